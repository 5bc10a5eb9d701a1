/* pending.c - loading, changing and dropping the content of one file. */
#include "pending.h"

#include "dirty.h"
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

uint64_t bcfs_pending_bytes(const struct bcfs_pending *pending)
{
    return pending->writer != NULL ? bitcask_writer_memory(pending->writer) : pending->capacity;
}

/* Lets go of the content, in whichever form. What a writer has and nobody committed is lost. */
static void release_content(struct bcfs_pending *pending)
{
    free(pending->data);
    bitcask_value_unpin(&pending->value);
    bitcask_writer_close(&pending->writer);
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
    /* A file that became small is read like any other. */
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
    /* Of a large one the parts that are asked for are read then. */
    if (status == BITCASK_OK && inode->size <= BCFS_SMALL_VALUE) status = bitcask_value_load(pending->value);
    /* The record is not the one this node was made from; only a read-only mount beside a writer sees that. */
    if (status == BITCASK_OK && bitcask_value_size(pending->value) != inode->size) status = BITCASK_IO;
    if (status != BITCASK_OK) {
        if (inode->state != BCFS_UNLINKED) bitcask_value_unpin(&pending->value);
        return status;
    }
    pending->loaded = true;
    return BITCASK_OK;
}

bitcask_status bcfs_content_copy(const struct bcfs_pending *pending, uint64_t offset, void *buffer, size_t size)
{
    size_t got = 0;
    bitcask_status status = BITCASK_OK;

    if (size == 0) return status;
    if (pending->value == NULL && pending->writer == NULL) {
        memcpy(buffer, pending->data + offset, size);
        return status;
    }
    if (pending->writer != NULL) {
        status = bitcask_writer_read(pending->writer, offset, buffer, size, &got);
    } else {
        status = bitcask_value_read(pending->value, offset, buffer, size, &got);
    }
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
        if (wanted > BITCASK_SMALL_MAX) wanted = BITCASK_SMALL_MAX;
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

/* ---- large contents ---- */

static bool is_large(const struct bcfs_inode *inode, uint64_t size)
{
    return size > BITCASK_SMALL_MAX || inode->size > BITCASK_SMALL_MAX || inode->pending->writer != NULL;
}

/* What the writer begins with: the committed value, pinned already or not. *value NULL: nothing. */
static bitcask_status take_value(struct bcfs_inode *inode, bitcask_value **value)
{
    struct bcfs_pending *pending = inode->pending;
    bitcask_partition *partition = NULL;
    const char *name = NULL;
    size_t name_size = 0;

    *value = pending->value;
    pending->value = NULL;
    if (*value != NULL || pending->loaded || inode->size == 0) return BITCASK_OK;
    bcfs_inode_home(inode, &partition, &name, &name_size);
    return bitcask_pin(partition, name, name_size, value);
}

static void adopt(struct bcfs_pending *pending, bitcask_writer *writer)
{
    release_content(pending);
    pending->writer = writer;
    pending->loaded = true;
}

/* From here on a writer has the content. On failure all is as before. */
static bitcask_status begin_writer(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_pending *pending = inode->pending;
    bitcask_value *value = NULL;
    bitcask_writer *writer = NULL;
    bitcask_status status = BITCASK_OK;

    if (pending->writer != NULL) return BITCASK_OK;
    status = take_value(inode, &value);
    if (status == BITCASK_OK && value != NULL && bitcask_value_size(value) != inode->size) status = BITCASK_IO;
    if (status == BITCASK_OK) status = bitcask_writer_open(fs->nodes->root->dir->partition, &value, &writer);
    if (status == BITCASK_OK && pending->capacity > 0 && inode->size > 0) {
        status = bitcask_writer_write(writer, 0, pending->data, (size_t)inode->size);
    }
    if (status != BITCASK_OK) {
        bitcask_writer_close(&writer);
        /* Nobody else could find the value of an unlinked file again. */
        if (value != NULL) pending->value = value;
        return status;
    }
    adopt(pending, writer);
    return BITCASK_OK;
}

bitcask_status bcfs_content_spill(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_pending *pending = inode->pending;
    bitcask_status status = BITCASK_OK;

    if (inode->state != BCFS_UNLINKED || pending == NULL || !bcfs_dirty_count_unlinked(fs, inode)) return status;
    if (pending->writer == NULL && (pending->capacity == 0 || inode->size == 0)) return status;
    status = begin_writer(fs, inode);
    if (status == BITCASK_OK) status = bitcask_writer_flush(pending->writer);
    (void)bcfs_dirty_count_unlinked(fs, inode);
    return status;
}

/* A writer takes the place of the content, if it finds room for the bytes. */
static bitcask_status replace_content(struct bcfs *fs, struct bcfs_inode *inode, const void *bytes, size_t size)
{
    bitcask_writer *writer = NULL;
    bitcask_status status = bitcask_writer_open(fs->nodes->root->dir->partition, NULL, &writer);

    if (status == BITCASK_OK) status = bitcask_writer_write(writer, 0, bytes, size);
    if (status == BITCASK_OK) {
        adopt(inode->pending, writer);
    } else {
        bitcask_writer_close(&writer);
    }
    return status;
}

static void note_size(struct bcfs_inode *inode)
{
    inode->size = bitcask_writer_size(inode->pending->writer);
    inode->stored = bitcask_writer_stored(inode->pending->writer);
}

/* ---- room ---- */

uint64_t bcfs_content_bound(const struct bcfs_inode *inode, size_t name_size, uint64_t size, size_t xattrs_size)
{
    /* A writer sees to the room of what it is given; what is left is a name that leads there. */
    if (size > BITCASK_SMALL_MAX || (inode->pending != NULL && inode->pending->writer != NULL)) size = 0;
    return bitcask_record_bound(name_size, size, xattrs_size);
}

bitcask_status bcfs_content_reserve(struct bcfs_inode *inode, uint64_t size)
{
    struct bcfs_pending *pending = NULL;
    bitcask_status status = BITCASK_OK;
    uint64_t bound = 0;

    if (inode->state == BCFS_UNLINKED) return BITCASK_OK;
    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    pending = inode->pending;
    bound = bcfs_content_bound(inode, inode->name_size, size, bcfs_xattrs_size(inode));
    if (bound <= pending->reserved) return BITCASK_OK;
    status = bitcask_reserve(inode->parent->dir->partition, bound - pending->reserved);
    if (status == BITCASK_OK) pending->reserved = bound;
    return status;
}

void bcfs_content_trim(struct bcfs_inode *inode, size_t xattrs_size)
{
    uint64_t before = bcfs_content_bound(inode, inode->name_size, inode->size, xattrs_size);
    uint64_t now = bcfs_content_bound(inode, inode->name_size, inode->size, bcfs_xattrs_size(inode));

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

/* ---- changes ---- */

static bitcask_status write_large(struct bcfs *fs, struct bcfs_inode *inode, const void *bytes, size_t size,
                                  uint64_t offset)
{
    bool whole = offset == 0 && size >= inode->size && inode->pending->writer == NULL;
    bitcask_status status = bcfs_content_reserve(inode, offset + size);

    if (status == BITCASK_OK && whole) {
        status = replace_content(fs, inode, bytes, size);
    } else if (status == BITCASK_OK) {
        status = begin_writer(fs, inode);
        if (status == BITCASK_OK) status = bitcask_writer_write(inode->pending->writer, offset, bytes, size);
    }
    if (inode->pending->writer != NULL) note_size(inode);
    return status;
}

static bitcask_status write_small(struct bcfs_inode *inode, const void *bytes, size_t size, size_t offset)
{
    struct bcfs_pending *pending = inode->pending;
    size_t old_size = (size_t)inode->size;
    size_t end = offset + size;
    size_t new_size = end > old_size ? end : old_size;
    bool whole = offset == 0 && end >= old_size;
    bitcask_status status = whole ? BITCASK_OK : bcfs_content_load(inode);

    if (status == BITCASK_OK) status = bcfs_content_reserve(inode, new_size);
    if (status == BITCASK_OK) status = own_content(pending, whole ? 0 : old_size, new_size);
    if (status != BITCASK_OK) return status;
    if (offset > old_size) memset(pending->data + old_size, 0, offset - old_size);
    memcpy(pending->data + offset, bytes, size);
    pending->loaded = true;
    inode->size = new_size;
    inode->stored = new_size;
    return BITCASK_OK;
}

bitcask_status bcfs_content_write(struct bcfs *fs, struct bcfs_inode *inode, const void *bytes, size_t size,
                                  uint64_t offset)
{
    bitcask_status status = BITCASK_OK;

    if (size == 0) return BITCASK_OK;
    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    status = bcfs_xattrs_load(inode);
    if (status != BITCASK_OK) return status;
    if (is_large(inode, offset + size)) return write_large(fs, inode, bytes, size, offset);
    return write_small(inode, bytes, size, (size_t)offset);
}

static bitcask_status resize_large(struct bcfs *fs, struct bcfs_inode *inode, uint64_t size)
{
    bitcask_status status = bcfs_content_reserve(inode, size);

    if (status == BITCASK_OK) status = begin_writer(fs, inode);
    if (status == BITCASK_OK) status = bitcask_writer_truncate(inode->pending->writer, size);
    if (inode->pending->writer != NULL) note_size(inode);
    return status;
}

bitcask_status bcfs_content_resize(struct bcfs *fs, struct bcfs_inode *inode, uint64_t size)
{
    struct bcfs_pending *pending = NULL;
    uint64_t old_size = inode->size;
    size_t keep = 0;
    bitcask_status status = BITCASK_OK;

    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    pending = inode->pending;
    status = bcfs_xattrs_load(inode);
    if (status == BITCASK_OK && size > 0 && is_large(inode, size)) return resize_large(fs, inode, size);
    if (size > 0) keep = (size_t)(size < old_size ? size : old_size);
    if (status == BITCASK_OK && keep > 0) status = bcfs_content_load(inode);
    if (status == BITCASK_OK) status = bcfs_content_reserve(inode, size);
    if (status == BITCASK_OK && size == 0) {
        release_content(pending);
        pending->loaded = true;
    } else if (status == BITCASK_OK) {
        status = own_content(pending, keep, (size_t)size);
    }
    if (status != BITCASK_OK) return status;
    if (size > old_size) memset(pending->data + old_size, 0, (size_t)(size - old_size));
    inode->size = size;
    inode->stored = size;
    return BITCASK_OK;
}

bitcask_status bcfs_content_clear(struct bcfs *fs, struct bcfs_inode *inode, uint64_t offset, uint64_t size)
{
    bitcask_status status = BITCASK_OK;

    if (offset >= inode->size || size == 0) return BITCASK_OK;
    if (size > inode->size - offset) size = inode->size - offset;
    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    status = bcfs_xattrs_load(inode);
    if (status == BITCASK_OK) status = bcfs_content_reserve(inode, inode->size);
    if (status != BITCASK_OK) return status;
    if (is_large(inode, inode->size)) {
        status = begin_writer(fs, inode);
        if (status == BITCASK_OK) status = bitcask_writer_punch(inode->pending->writer, offset, size);
        if (inode->pending->writer != NULL) note_size(inode);
        return status;
    }
    status = bcfs_content_load(inode);
    if (status == BITCASK_OK) status = own_content(inode->pending, (size_t)inode->size, (size_t)inode->size);
    if (status == BITCASK_OK) memset(inode->pending->data + offset, 0, (size_t)size);
    return status;
}

bitcask_status bcfs_content_allocate(struct bcfs *fs, struct bcfs_inode *inode, uint64_t offset, uint64_t size)
{
    bitcask_status status = BITCASK_OK;

    if (!bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    status = bcfs_xattrs_load(inode);
    if (status == BITCASK_OK) {
        status = bcfs_content_reserve(inode, offset + size > inode->size ? offset + size : inode->size);
    }
    if (status != BITCASK_OK || !is_large(inode, offset + size)) return status;
    status = begin_writer(fs, inode);
    return status == BITCASK_OK ? bitcask_writer_reserve(inode->pending->writer, offset, size) : status;
}

bitcask_status bcfs_content_seek(struct bcfs_inode *inode, uint64_t offset, bool hole, uint64_t *found)
{
    bitcask_status status = BITCASK_OK;

    if (offset >= inode->size) return BITCASK_NOT_FOUND;
    *found = hole ? inode->size : offset;
    if (inode->size <= BITCASK_SMALL_MAX && (inode->pending == NULL || inode->pending->writer == NULL)) return status;
    status = bcfs_content_load(inode);
    if (status != BITCASK_OK) return status;
    if (inode->pending->writer != NULL) return bitcask_writer_seek(inode->pending->writer, offset, hole, found);
    return inode->pending->value != NULL ? bitcask_value_seek(inode->pending->value, offset, hole, found) : status;
}
