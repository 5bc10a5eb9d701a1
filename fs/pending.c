/* pending.c - loading, changing and dropping the content of one file. */
#include "pending.h"

#include "moves.h"
#include "value_cache.h"
#include "node_xattrs.h"

#include <stdlib.h>
#include <string.h>

bool bcfs_pending_make(struct bcfs_inode *inode)
{
    if (inode->pending != NULL) return true;
    inode->pending = calloc(1, sizeof(*inode->pending));
    if (inode->pending == NULL) return false;
    inode->pending->inode = inode;
    return true;
}

/* Lets go of the content, pinned or our own. */
static void release_content(struct bcfs_pending *pending)
{
    if (pending->value == NULL) free(pending->data);
    bitcask_value_unpin(&pending->value);
    pending->data = NULL;
    pending->capacity = 0;
    pending->loaded = false;
}

void bcfs_pending_free(struct bcfs_inode *inode)
{
    struct bcfs_pending *pending = inode->pending;

    if (pending == NULL) return;
    release_content(pending);
    free(pending);
    inode->pending = NULL;
}

void bcfs_pending_drop(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_pending *pending = inode->pending;

    if (pending == NULL || inode->dirty != 0 || inode->busy) return;
    bcfs_cache_remove(fs, inode);
    if (inode->state == BCFS_UNLINKED) {
        if (pending->value == NULL) return;
        bitcask_value_unload(pending->value);
        pending->data = NULL;
        pending->loaded = false;
        return;
    }
    if (inode->state == BCFS_NEW) return;
    release_content(pending);
    bcfs_xattrs_rest(inode);
    if (pending->error == BITCASK_OK && pending->reserved == 0) bcfs_pending_free(inode);
}

void bcfs_pending_rest(struct bcfs *fs, struct bcfs_inode *inode)
{
    if (inode->pending == NULL || inode->dirty != 0) return;
    if (inode->pending->loaded && inode->size > BCFS_SMALL_VALUE && inode->state == BCFS_COMMITTED) {
        bcfs_cache_touch(fs, inode);
    } else {
        bcfs_pending_drop(fs, inode);
    }
}

void bcfs_inode_home(const struct bcfs_inode *inode, bitcask_partition **partition, const char **name,
                     size_t *name_size)
{
    if (inode->state == BCFS_MOVED) {
        bcfs_move_source(inode->move, partition, name, name_size);
        return;
    }
    *partition = inode->parent->dir->partition;
    *name = inode->name;
    *name_size = inode->name_size;
}

bitcask_status bcfs_content_pin(struct bcfs_inode *inode)
{
    bitcask_partition *partition = NULL;
    const char *name = NULL;
    size_t name_size = 0;

    if (inode->size == 0) return BITCASK_OK;
    if (inode->pending != NULL && (inode->pending->loaded || inode->pending->value != NULL)) return BITCASK_OK;
    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    bcfs_inode_home(inode, &partition, &name, &name_size);
    return bitcask_pin(partition, name, name_size, &inode->pending->value);
}

bitcask_status bcfs_content_load(struct bcfs_inode *inode)
{
    struct bcfs_pending *pending = NULL;
    bitcask_status status = BITCASK_OK;

    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    pending = inode->pending;
    if (pending->loaded) return BITCASK_OK;
    if (inode->size == 0) {
        pending->loaded = true;
        return BITCASK_OK;
    }
    if (pending->value == NULL) {
        bitcask_partition *partition = NULL;
        const char *name = NULL;
        size_t name_size = 0;

        bcfs_inode_home(inode, &partition, &name, &name_size);
        status = bitcask_pin(partition, name, name_size, &pending->value);
    }
    if (status == BITCASK_OK) status = bitcask_value_load(pending->value);
    /* The record is not the one this node was made from; only a read-only mount beside a writer sees that. */
    if (status == BITCASK_OK && bitcask_value_size(pending->value) != inode->size) status = BITCASK_IO;
    if (status != BITCASK_OK) {
        if (inode->state != BCFS_UNLINKED) bitcask_value_unpin(&pending->value);
        return status;
    }
    /* Never written to: own_content() copies first. */
    pending->data = (uint8_t *)(uintptr_t)bitcask_value_data(pending->value);
    pending->loaded = true;
    return BITCASK_OK;
}

bitcask_status bcfs_content_copy(const struct bcfs_pending *pending, uint64_t offset, void *buffer, size_t size)
{
    size_t got = 0;
    bitcask_status status = BITCASK_OK;

    if (size == 0) return status;
    if (pending->value == NULL) {
        memcpy(buffer, pending->data + offset, size);
        return status;
    }
    status = bitcask_value_read(pending->value, offset, buffer, size, &got);
    return status == BITCASK_OK && got < size ? BITCASK_IO : status;
}

/* Makes the first `keep` bytes of the content our own, with room for `capacity` bytes in all. What lies between is
 * not initialised. */
static bitcask_status own_content(struct bcfs_pending *pending, size_t keep, size_t capacity)
{
    uint8_t *data = NULL;
    size_t wanted = capacity;

    if (pending->value == NULL && capacity <= pending->capacity) return BITCASK_OK;
    if (pending->value == NULL) {
        /* A file that grows write by write must not be copied at each; one written at once takes its size only. */
        if (pending->capacity > 0 && wanted < pending->capacity * 2) wanted = pending->capacity * 2;
        if (wanted > BITCASK_VALUE_MAX) wanted = BITCASK_VALUE_MAX;
        data = realloc(pending->data, wanted);
        if (data == NULL) return BITCASK_NO_MEMORY;
    } else {
        data = malloc(wanted > 0 ? wanted : 1);
        if (data == NULL) return BITCASK_NO_MEMORY;
        bitcask_status status = bcfs_content_copy(pending, 0, data, keep);
        if (status != BITCASK_OK) {
            free(data);
            return status;
        }
        bitcask_value_unpin(&pending->value);
    }
    pending->data = data;
    pending->capacity = wanted;
    pending->loaded = true;
    return BITCASK_OK;
}

bitcask_status bcfs_content_reserve(struct bcfs_inode *inode, uint64_t size)
{
    struct bcfs_pending *pending = NULL;
    bitcask_status status = BITCASK_OK;
    uint64_t bound = 0;

    if (inode->state == BCFS_UNLINKED) return BITCASK_OK;
    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    pending = inode->pending;
    bound = bitcask_record_bound(inode->name_size, size, bcfs_xattrs_size(inode));
    if (bound <= pending->reserved) return BITCASK_OK;
    status = bitcask_reserve(inode->parent->dir->partition, bound - pending->reserved);
    if (status == BITCASK_OK) pending->reserved = bound;
    return status;
}

void bcfs_content_trim(struct bcfs_inode *inode, size_t xattrs_size)
{
    uint64_t before = bitcask_record_bound(inode->name_size, inode->size, xattrs_size);
    uint64_t now = bitcask_record_bound(inode->name_size, inode->size, bcfs_xattrs_size(inode));

    if (inode->state == BCFS_UNLINKED || now >= before || inode->pending->reserved != before) return;
    bitcask_unreserve(inode->parent->dir->partition, before - now);
    inode->pending->reserved = now;
}

void bcfs_content_unreserve(struct bcfs_inode *inode)
{
    if (inode->pending == NULL || inode->pending->reserved == 0) return;
    bitcask_unreserve(inode->parent->dir->partition, inode->pending->reserved);
    inode->pending->reserved = 0;
}

bitcask_status bcfs_content_write(struct bcfs_inode *inode, const void *bytes, size_t size, uint64_t offset)
{
    struct bcfs_pending *pending = NULL;
    size_t old_size = (size_t)inode->size;
    size_t end = (size_t)offset + size;
    size_t new_size = end > old_size ? end : old_size;
    bool whole = offset == 0 && end >= old_size;
    bitcask_status status = BITCASK_OK;

    if (size == 0) return BITCASK_OK;
    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    pending = inode->pending;
    if (!whole) status = bcfs_content_load(inode);
    if (status == BITCASK_OK) status = bcfs_xattrs_load(inode);
    if (status == BITCASK_OK) status = bcfs_content_reserve(inode, new_size);
    if (status == BITCASK_OK) status = own_content(pending, whole ? 0 : old_size, new_size);
    if (status != BITCASK_OK) return status;
    if (offset > old_size) memset(pending->data + old_size, 0, (size_t)offset - old_size);
    memcpy(pending->data + offset, bytes, size);
    pending->loaded = true;
    inode->size = new_size;
    return BITCASK_OK;
}

bitcask_status bcfs_content_resize(struct bcfs_inode *inode, uint64_t size)
{
    struct bcfs_pending *pending = NULL;
    size_t old_size = (size_t)inode->size;
    size_t keep = size < old_size ? (size_t)size : old_size;
    bitcask_status status = BITCASK_OK;

    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    pending = inode->pending;
    if (keep > 0) status = bcfs_content_load(inode);
    if (status == BITCASK_OK) status = bcfs_xattrs_load(inode);
    if (status == BITCASK_OK) status = bcfs_content_reserve(inode, size);
    if (status == BITCASK_OK && size == 0) {
        release_content(pending);
        pending->loaded = true;
    } else if (status == BITCASK_OK) {
        status = own_content(pending, keep, (size_t)size);
    }
    if (status != BITCASK_OK) return status;
    if (size > old_size) memset(pending->data + old_size, 0, (size_t)size - old_size);
    inode->size = size;
    return BITCASK_OK;
}
