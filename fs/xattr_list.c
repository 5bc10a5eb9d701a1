/* xattr_list.c - the form of a file's extended attributes: see xattr_list.h. */
#include "xattr_list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FORM = 1, LEAD = 3 /* the sizes before a name */ };

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    if (order != 0) return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

/* Takes the attribute at place apart, if there is a whole one. */
static bool take(const uint8_t *bytes, size_t size, size_t place, struct bcfs_xattr *xattr)
{
    if (place > size || size - place < LEAD) return false;
    xattr->name_size = bytes[place];
    xattr->value_size = (size_t)bytes[place + 1] | (size_t)bytes[place + 2] << 8;
    if (xattr->name_size == 0 || size - place - LEAD < xattr->name_size + xattr->value_size) return false;
    xattr->name = (const char *)bytes + place + LEAD;
    xattr->value = bytes + place + LEAD + xattr->name_size;
    return true;
}

bool bcfs_xattr_list_check(const void *bytes, size_t size)
{
    struct bcfs_xattr before = {.name = "", .name_size = 0};
    size_t place = 1;

    if (size == 0) return true;
    if (size > BITCASK_XATTRS_MAX || *(const uint8_t *)bytes != FORM) return false;
    while (place < size) {
        struct bcfs_xattr xattr;

        if (!take(bytes, size, place, &xattr) || memchr(xattr.name, '\0', xattr.name_size) != NULL ||
            compare_names(before.name, before.name_size, xattr.name, xattr.name_size) >= 0) {
            return false;
        }
        before = xattr;
        place += LEAD + xattr.name_size + xattr.value_size;
    }
    return true;
}

bool bcfs_xattr_list_next(const void *bytes, size_t size, size_t *place, struct bcfs_xattr *xattr)
{
    if (*place == 0) *place = 1;
    if (!take(bytes, size, *place, xattr)) return false;
    *place += LEAD + xattr->name_size + xattr->value_size;
    return true;
}

bool bcfs_xattr_list_find(const void *bytes, size_t size, const char *name, struct bcfs_xattr *xattr)
{
    size_t name_size = strlen(name);
    size_t place = 0;

    while (bcfs_xattr_list_next(bytes, size, &place, xattr)) {
        int order = compare_names(xattr->name, xattr->name_size, name, name_size);

        if (order >= 0) return order == 0;
    }
    return false;
}

static uint8_t *put(uint8_t *to, const char *name, size_t name_size, const void *value, size_t value_size)
{
    to[0] = (uint8_t)name_size;
    to[1] = (uint8_t)value_size;
    to[2] = (uint8_t)(value_size >> 8);
    memcpy(to + LEAD, name, name_size);
    if (value_size > 0) memcpy(to + LEAD + name_size, value, value_size);
    return to + LEAD + name_size + value_size;
}

bitcask_status bcfs_xattr_list_change(const void *bytes, size_t size, const char *name, const void *value,
                                      size_t value_size, struct bcfs_xattr_list **made)
{
    size_t name_size = strlen(name);
    size_t room = (size > 0 ? size : 1) + (value != NULL ? LEAD + name_size + value_size : 0);
    bool due = value != NULL;
    struct bcfs_xattr_list *list = NULL;
    struct bcfs_xattr xattr;
    size_t place = 0;
    uint8_t *to = NULL;

    assert(name_size >= 1 && name_size <= BCFS_XATTR_NAME_MAX);
    *made = NULL;
    if (value_size >= BITCASK_XATTRS_MAX) return BITCASK_NO_SPACE;
    list = malloc(sizeof(*list) + room);
    if (list == NULL) return BITCASK_NO_MEMORY;
    to = list->bytes;
    *to++ = FORM;
    while (bcfs_xattr_list_next(bytes, size, &place, &xattr)) {
        int order = compare_names(xattr.name, xattr.name_size, name, name_size);

        if (due && order >= 0) {
            to = put(to, name, name_size, value, value_size);
            due = false;
        }
        if (order != 0) to = put(to, xattr.name, xattr.name_size, xattr.value, xattr.value_size);
    }
    if (due) to = put(to, name, name_size, value, value_size);
    list->size = (size_t)(to - list->bytes);
    if (list->size == 1 || list->size > BITCASK_XATTRS_MAX) {
        bitcask_status status = list->size == 1 ? BITCASK_OK : BITCASK_NO_SPACE;

        free(list);
        return status;
    }
    *made = list;
    return BITCASK_OK;
}

size_t bcfs_xattr_list_remove(void *bytes, size_t size, const struct bcfs_xattr *xattr)
{
    size_t begin = (size_t)((const uint8_t *)xattr->name - (const uint8_t *)bytes) - LEAD;
    size_t end = (size_t)(xattr->value - (const uint8_t *)bytes) + xattr->value_size;

    memmove((uint8_t *)bytes + begin, (uint8_t *)bytes + end, size - end);
    size -= end - begin;
    return size > 1 ? size : 0;
}
