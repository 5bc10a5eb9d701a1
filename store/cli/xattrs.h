/* xattrs.h - the extended attributes of one key or partition, as the mount stores them.
 *
 * To the store these are opaque bytes. The form is that of the mount, all integers little-endian: 1 byte, 1; then, in
 * ascending order of the names, each attribute: 1 byte, size of the name, never 0; 2 bytes, size of the value; the
 * name; the value. No attributes are no bytes.
 */
#ifndef CLI_XATTRS_H
#define CLI_XATTRS_H

#include <stdbool.h>
#include <stddef.h>

struct cli_xattr {
    const char *name; /* no NUL behind it */
    size_t name_size;
    const void *value;
    size_t value_size;
};

/* Whether bytes are of this form: then cli_xattrs_next() finds its way in them. */
bool cli_xattrs_check(const void *bytes, size_t size);

/* The attribute at *place, which is 0 for the first and is moved on. False at the end. */
bool cli_xattrs_next(const void *bytes, size_t size, size_t *place, struct cli_xattr *xattr);

/* Attributes that are being gathered. All zero: none. */
struct cli_xattrs {
    struct cli_xattr *list; /* names and values are copies; owned */
    size_t count, room;
    unsigned char *bytes; /* of cli_xattrs_encode(); owned */
};

/* Adds one; a later one of the same name takes its place. Returns an exit status: what is wrong with it is told, name
 * says whose it is. */
int cli_xattrs_add(struct cli_xattrs *xattrs, const char *whose, const struct cli_xattr *xattr);

/* Brings them into the form. *bytes stays valid until the next call on xattrs. Returns an exit status. */
int cli_xattrs_encode(struct cli_xattrs *xattrs, const char *whose, const void **bytes, size_t *size);

void cli_xattrs_reset(struct cli_xattrs *xattrs);
void cli_xattrs_release(struct cli_xattrs *xattrs);

#endif
