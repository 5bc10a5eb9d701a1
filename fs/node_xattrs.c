/* node_xattrs.c - a node's list of extended attributes, read when it is needed and changed in memory: see
 * node_xattrs.h. */
#include "node_xattrs.h"

#include "pending.h"

#include <stdlib.h>
#include <string.h>

/* A list of up to this size stays in memory with its node: capabilities and ACLs are asked for again and again, and to
 * read them again would be to read and check the whole record. */
#define SMALL_LIST 512u

bool bcfs_xattrs_unread(const struct bcfs_inode *inode)
{
    return inode->has_xattrs && inode->xattrs == NULL;
}

size_t bcfs_xattrs_size(const struct bcfs_inode *inode)
{
    return inode->xattrs != NULL ? inode->xattrs->size : 0;
}

static bitcask_status keep(struct bcfs_inode *inode, const void *bytes, size_t size)
{
    if (bytes == NULL || size == 0) {
        inode->has_xattrs = false;
        return BITCASK_OK;
    }
    inode->xattrs = malloc(sizeof(*inode->xattrs) + size);
    if (inode->xattrs == NULL) return BITCASK_NO_MEMORY;
    inode->xattrs->size = size;
    memcpy(inode->xattrs->bytes, bytes, size);
    return BITCASK_OK;
}

static bitcask_status load_dir(struct bcfs_inode *inode)
{
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_partition_xattrs(inode->dir->partition, &value);

    if (status == BITCASK_OK) status = keep(inode, bitcask_value_data(value), (size_t)bitcask_value_size(value));
    bitcask_value_unpin(&value);
    return status;
}

static bitcask_status keep_of_value(struct bcfs_inode *inode, bitcask_value *value)
{
    bitcask_entry entry;
    bitcask_status status = BITCASK_OK;

    /* Of a large value, or one with several names, they are there without its content. */
    if (bitcask_value_size(value) <= BITCASK_SMALL_MAX) status = bitcask_value_load(value);
    if (status != BITCASK_OK) return status;
    bitcask_value_entry(value, &entry);
    return keep(inode, entry.attrs.xattrs, entry.attrs.xattrs_size);
}

bitcask_status bcfs_xattrs_load(struct bcfs_inode *inode)
{
    bitcask_partition *partition = NULL;
    bitcask_value *value = NULL;
    const char *name = NULL;
    size_t name_size = 0;
    bitcask_status status = BITCASK_OK;

    if (!bcfs_xattrs_unread(inode)) return BITCASK_OK;
    if (inode->dir != NULL) return load_dir(inode);
    if (inode->pending != NULL && inode->pending->value != NULL) return keep_of_value(inode, inode->pending->value);
    if (inode->state == BCFS_UNLINKED) return BITCASK_IO;
    bcfs_inode_home(inode, &partition, &name, &name_size);
    status = bitcask_pin(partition, name, name_size, &value);
    if (status == BITCASK_OK) status = keep_of_value(inode, value);
    bitcask_value_unpin(&value);
    return status;
}

static bool is_list(const struct bcfs_inode *inode)
{
    return inode->xattrs == NULL || bcfs_xattr_list_check(inode->xattrs->bytes, inode->xattrs->size);
}

bool bcfs_xattrs_find(const struct bcfs_inode *inode, const char *name, struct bcfs_xattr *xattr)
{
    return inode->xattrs != NULL && is_list(inode) &&
           bcfs_xattr_list_find(inode->xattrs->bytes, inode->xattrs->size, name, xattr);
}

struct bcfs_xattr_list *bcfs_xattrs_swap(struct bcfs_inode *inode, struct bcfs_xattr_list *list)
{
    struct bcfs_xattr_list *old = inode->xattrs;

    inode->xattrs = list;
    inode->has_xattrs = list != NULL;
    return old;
}

bitcask_status bcfs_xattrs_change(struct bcfs_inode *inode, const char *name, const void *value, size_t value_size,
                                  struct bcfs_xattr_list **old)
{
    struct bcfs_xattr_list *made = NULL;
    bitcask_status status = BITCASK_OK;

    if (!is_list(inode)) return BITCASK_CORRUPT;
    status = bcfs_xattr_list_change(inode->xattrs != NULL ? inode->xattrs->bytes : NULL, bcfs_xattrs_size(inode), name,
                                    value, value_size, &made);
    if (status == BITCASK_OK) *old = bcfs_xattrs_swap(inode, made);
    return status;
}

bool bcfs_xattrs_drop(struct bcfs_inode *inode, const char *name)
{
    struct bcfs_xattr xattr;

    if (!bcfs_xattrs_find(inode, name, &xattr)) return false;
    inode->xattrs->size = bcfs_xattr_list_remove(inode->xattrs->bytes, inode->xattrs->size, &xattr);
    if (inode->xattrs->size == 0) free(bcfs_xattrs_swap(inode, NULL));
    return true;
}

void bcfs_xattrs_rest(struct bcfs_inode *inode)
{
    if (inode->dirty != 0 || inode->busy || inode->state != BCFS_COMMITTED) return;
    /* A value that was pinned before may have older ones. */
    if (inode->pending != NULL && inode->pending->value != NULL) return;
    if (bcfs_xattrs_size(inode) <= SMALL_LIST) return;
    free(inode->xattrs);
    inode->xattrs = NULL;
}
