/* xattrs.c - extended attributes in the form of the mount, see xattrs.h.
 *
 * What comes from the store may be anything: a program that embeds the library may have put bytes of its own there.
 */
#include "xattrs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { FORM = 1, LEAD = 3 /* the sizes before a name */, NAME_MOST = 255, VALUE_MOST = 65535 };

static int compare_names(const struct cli_xattr *a, const struct cli_xattr *b)
{
    int order = memcmp(a->name, b->name, a->name_size < b->name_size ? a->name_size : b->name_size);
    if (order != 0) return order;
    return a->name_size < b->name_size ? -1 : a->name_size > b->name_size;
}

bool cli_xattrs_next(const void *bytes, size_t size, size_t *place, struct cli_xattr *xattr)
{
    const unsigned char *p = bytes;
    size_t at = *place ? *place : 1;

    if (at > size || size - at < LEAD) return false;
    xattr->name_size = p[at];
    xattr->value_size = (size_t)p[at + 1] | (size_t)p[at + 2] << 8;
    if (xattr->name_size == 0 || size - at - LEAD < xattr->name_size + xattr->value_size) return false;
    xattr->name = (const char *)p + at + LEAD;
    xattr->value = p + at + LEAD + xattr->name_size;
    *place = at + LEAD + xattr->name_size + xattr->value_size;
    return true;
}

bool cli_xattrs_check(const void *bytes, size_t size)
{
    struct cli_xattr before = {.name = ""}, xattr;
    size_t place = 0;

    if (size == 0) return true;
    if (*(const unsigned char *)bytes != FORM) return false;
    while (cli_xattrs_next(bytes, size, &place, &xattr)) {
        if (memchr(xattr.name, 0, xattr.name_size) || compare_names(&before, &xattr) >= 0) return false;
        before = xattr;
    }
    return (place ? place : 1) == size;
}

int cli_xattrs_add(struct cli_xattrs *xattrs, const char *whose, const struct cli_xattr *xattr)
{
    if (xattr->name_size == 0 || xattr->name_size > NAME_MOST || xattr->value_size > VALUE_MOST ||
        memchr(xattr->name, 0, xattr->name_size))
        return cli_error(
            "%s: the extended attribute '%.*s' is not possible: a name has 1 to 255 bytes, a value at most "
            "64 KiB",
            whose, (int)xattr->name_size, xattr->name);
    if (xattrs->count == xattrs->room) {
        size_t room = xattrs->room ? 2 * xattrs->room : 8;
        struct cli_xattr *grown = realloc(xattrs->list, room * sizeof(*grown));
        if (!grown) return cli_error("out of memory");
        xattrs->list = grown;
        xattrs->room = room;
    }
    char *copy = malloc(xattr->name_size + xattr->value_size);
    if (!copy) return cli_error("out of memory");
    memcpy(copy, xattr->name, xattr->name_size);
    if (xattr->value_size > 0) memcpy(copy + xattr->name_size, xattr->value, xattr->value_size);
    struct cli_xattr added = {copy, xattr->name_size, copy + xattr->name_size, xattr->value_size};

    size_t at = 0;
    while (at < xattrs->count && compare_names(&xattrs->list[at], &added) < 0) at++;
    if (at < xattrs->count && compare_names(&xattrs->list[at], &added) == 0) {
        free((char *)xattrs->list[at].name);
    } else {
        memmove(&xattrs->list[at + 1], &xattrs->list[at], (xattrs->count - at) * sizeof(added));
        xattrs->count++;
    }
    xattrs->list[at] = added;
    return CLI_OK;
}

int cli_xattrs_encode(struct cli_xattrs *xattrs, const char *whose, const void **bytes, size_t *size)
{
    size_t total = 1;

    for (size_t i = 0; i < xattrs->count; i++) total += LEAD + xattrs->list[i].name_size + xattrs->list[i].value_size;
    free(xattrs->bytes);
    xattrs->bytes = NULL;
    *bytes = NULL;
    *size = 0;
    if (xattrs->count == 0) return CLI_OK;
    if (total > BITCASK_XATTRS_MAX)
        return cli_error("%s: its extended attributes take more than 64 KiB; a key has no room for them", whose);
    unsigned char *to = xattrs->bytes = malloc(total);
    if (!to) return cli_error("out of memory");
    *to++ = FORM;
    for (size_t i = 0; i < xattrs->count; i++) {
        const struct cli_xattr *xattr = &xattrs->list[i];
        *to++ = (unsigned char)xattr->name_size;
        *to++ = (unsigned char)(xattr->value_size & 0xff);
        *to++ = (unsigned char)(xattr->value_size >> 8);
        memcpy(to, xattr->name, xattr->name_size + xattr->value_size); /* the value stands behind the name */
        to += xattr->name_size + xattr->value_size;
    }
    *bytes = xattrs->bytes;
    *size = total;
    return CLI_OK;
}

void cli_xattrs_reset(struct cli_xattrs *xattrs)
{
    for (size_t i = 0; i < xattrs->count; i++) free((char *)xattrs->list[i].name);
    xattrs->count = 0;
}

void cli_xattrs_release(struct cli_xattrs *xattrs)
{
    cli_xattrs_reset(xattrs);
    free(xattrs->list);
    free(xattrs->bytes);
    memset(xattrs, 0, sizeof(*xattrs));
}
