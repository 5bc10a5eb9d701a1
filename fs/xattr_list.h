/* xattr_list.h - the extended attributes of one file, as the bytes that its record holds.
 *
 * To the store these are opaque (BITCASK_ATTR_XATTRS). The mount's form, all integers little-endian:
 *
 *     1 byte      form, 1
 *     then each attribute, in ascending order of the names (memcmp, the shorter first), no name twice:
 *     1 byte      n, size of the name, never 0
 *     2 bytes     m, size of the value
 *     n bytes     name, without a NUL: user.colour
 *     m bytes     value
 *
 * No attributes are no bytes. A program that embeds the library may have put bytes of its own there, and a store is
 * hostile input anyway: what is not of this form is said to be so, and nothing is read beyond its end.
 * Threads: any; nothing here is shared.
 */
#ifndef BCFS_XATTR_LIST_H
#define BCFS_XATTR_LIST_H

#include "bitcask.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BCFS_XATTR_NAME_MAX 255u

/* A list in memory of its own. */
struct bcfs_xattr_list {
    size_t size; /* 1 to BITCASK_XATTRS_MAX */
    uint8_t bytes[];
};

/* One attribute; both pointers are into the list. */
struct bcfs_xattr {
    const char *name; /* no NUL behind it */
    size_t name_size;
    const uint8_t *value;
    size_t value_size;
};

/* Whether bytes are a list: then the functions below find their way in it. An empty one is. */
bool bcfs_xattr_list_check(const void *bytes, size_t size);

/* The attribute at *place, which is 0 for the first and is moved on behind it. False at the end. */
bool bcfs_xattr_list_next(const void *bytes, size_t size, size_t *place, struct bcfs_xattr *xattr);

/* Finds name in a list. */
bool bcfs_xattr_list_find(const void *bytes, size_t size, const char *name, struct bcfs_xattr *xattr);

/* Makes a list with name set to value, or, where value is NULL, without name, in *made; the caller frees it. NULL: no
 * attribute is left. bytes: the list as it is, which stays. name has 1 to BCFS_XATTR_NAME_MAX bytes.
 * NO_SPACE: more than BITCASK_XATTRS_MAX bytes; NO_MEMORY. */
bitcask_status bcfs_xattr_list_change(const void *bytes, size_t size, const char *name, const void *value,
                                      size_t value_size, struct bcfs_xattr_list **made);

/* Takes an attribute out, which was found in the list, where it stands. Returns the size that is left; 0: none is. */
size_t bcfs_xattr_list_remove(void *bytes, size_t size, const struct bcfs_xattr *xattr);

#endif
