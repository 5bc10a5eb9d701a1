/* inodes.c - the record of an inode: read, changed, and written as one.
 *
 * A content is replaced by the put of this record: its map names the new extents, and those of the old one are given up
 * only behind it.
 */
#include "db/inodes.h"

#include <stdlib.h>
#include <string.h>

bc_status bc_inode_load(struct bc_partition *inodes, uint64_t ino, struct bc_inode *inode)
{
    bc_status status;

    *inode = (struct bc_inode){.ino = ino};
    bc_inode_key(ino, inode->key);
    status = bc_partition_pin(inodes, inode->key, sizeof inode->key, &inode->record);
    if (status == BITCASK_OK) status = bc_value_load(inode->record);
    if (status == BITCASK_OK)
        status = bc_inode_decode(inode->record->data, inode->record->entry.value_size, &inode->old);
    if (status != BITCASK_OK) return status;
    inode->links = inode->old.links;
    inode->attrs = inode->record->entry.attrs;
    /* Times that were the version must be stated from now on, the version being a new one. */
    bc_attrs_fill_times(&inode->attrs, inode->record->entry.version);
    return BITCASK_OK;
}

bc_status bc_inode_new(struct bitcask *db, struct bc_partition *inodes, struct bc_inode *inode)
{
    bc_status status;

    *inode = (struct bc_inode){.fresh = true, .links = 1};
    do {
        status = bc_content_value_id(db, &inode->ino);
        inode->ino |= BC_INODE_BIT;
        bc_inode_key(inode->ino, inode->key);
    } while (status == BITCASK_OK && bc_index_get(inodes->index, inode->key, sizeof inode->key, NULL) == BITCASK_OK);
    return status;
}

void bc_inode_set_content(struct bc_inode *inode, struct bc_content *content, const bitcask_attrs *attrs)
{
    bool stated = inode->attrs.present & BITCASK_ATTR_INO;
    uint64_t ino = inode->attrs.ino;

    inode->content = content;
    inode->attrs = attrs ? *attrs : (bitcask_attrs){0};
    /* The number that it is known by stays, unless another is given. */
    if (!stated || (inode->attrs.present & BITCASK_ATTR_INO)) return;
    inode->attrs.present |= BITCASK_ATTR_INO;
    inode->attrs.ino = ino;
}

/* The body with a new content; what the old one had and this one has not is found out. */
static bc_status encode_content(struct bc_inode *inode)
{
    const struct bc_content *content = inode->content;
    const struct bc_inode_body body = {
        .extent_shift = content->extent_shift, .links = inode->links, .size = content->size};
    size_t rest = content->extent_shift > 0 ? content->run_count * BC_INODE_RUN_SIZE : (size_t)content->size;
    uint8_t *out;

    bc_buffer_reset(&inode->body);
    out = bc_buffer_extend(&inode->body, BC_INODE_HEAD_SIZE + rest);
    if (!out) return bc_fail(BITCASK_NO_MEMORY, "out of memory for an inode of %zu bytes", rest);
    bc_inode_encode_head(&body, out);
    out += BC_INODE_HEAD_SIZE;
    for (size_t i = 0; i < content->run_count; i++) bc_inode_put_run(&content->runs[i], out + i * BC_INODE_RUN_SIZE);
    if (content->extent_shift == 0 && rest > 0) memcpy(out, content->bytes, rest);
    inode->body.size = BC_INODE_HEAD_SIZE + rest;
    return BITCASK_OK;
}

/* The body as it is, but for the link count. */
static bc_status encode_links(struct bc_inode *inode)
{
    struct bc_inode_body body = inode->old;
    bc_status status;

    body.links = inode->links;
    bc_buffer_reset(&inode->body);
    status = bc_buffer_append(&inode->body, inode->record->data, inode->record->entry.value_size);
    if (status == BITCASK_OK) bc_inode_encode_head(&body, inode->body.data);
    return status;
}

static bc_status find_gone(struct bc_inode *inode)
{
    const struct bc_content none = {0}, *content = inode->content ? inode->content : &none;
    struct bc_run *old = NULL;
    size_t old_count;
    bc_status status = bc_runs_copy(&inode->old, &old, &old_count);

    free(inode->gone);
    inode->gone = NULL;
    if (status == BITCASK_OK && inode->links == 0) content = &none;
    if (status == BITCASK_OK)
        status = bc_runs_subtract(old, old_count, content->runs, content->run_count, &inode->gone, &inode->gone_count);
    free(old);
    return status;
}

bc_status bc_inode_encode(struct bc_inode *inode, struct bc_write *write)
{
    bc_status status = BITCASK_OK;

    if (inode->links > 0) status = inode->content ? encode_content(inode) : encode_links(inode);
    if (status == BITCASK_OK && !inode->fresh && (inode->content || inode->links == 0)) status = find_gone(inode);
    *write = (struct bc_write){
        .key = inode->key,
        .key_size = sizeof inode->key,
        .flags = inode->links > 0 ? BC_RECORD_INODE : BC_RECORD_TOMBSTONE,
    };
    if (inode->links == 0) return status;
    if (inode->attrs.ino == inode->ino) inode->attrs.present &= ~(uint32_t)BITCASK_ATTR_INO;
    write->value = inode->body.data;
    write->value_size = (uint32_t)inode->body.size;
    write->attrs = inode->attrs;
    return status;
}

void bc_inode_done(struct bitcask *db, struct bc_partition *inodes, struct bc_inode *inode)
{
    if (inode->content && inode->links > 0) inode->content->written = false;
    bc_hold_gone(db, inodes, inode->ino, inode->gone, inode->gone_count);
    inode->gone_count = 0;
}

void bc_inode_release(struct bc_inode *inode)
{
    bc_value_close(&inode->record);
    bc_buffer_release(&inode->body);
    free(inode->gone);
    inode->gone = NULL;
}

bc_status bc_inode_put(struct bitcask *db, struct bc_partition *inodes, struct bc_inode *inode, bool is_due,
                       uint64_t *version)
{
    struct bc_write write;
    bc_status status = bc_inode_encode(inode, &write);

    if (status == BITCASK_OK) write.is_due = is_due;
    if (status == BITCASK_OK) status = bc_partition_append(inodes, &write, 1, true, 0);
    if (status != BITCASK_OK) return status;
    atomic_store(&db->inode_position, bc_partition_position(inodes));
    bc_inode_done(db, inodes, inode);
    if (version) *version = write.version;
    return BITCASK_OK;
}
