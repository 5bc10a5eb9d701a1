/* content.c - the bytes of an inode: extents appended to partition 1, and the runs that say which.
 *
 * Extents are appended before the inode's record that maps them, to the same log: so wherever a crash cuts that log, a
 * map that is there finds its extents. Such as no map came to name are dead weight, which the next build of the index
 * finds (partition/extents.c).
 */
#include "db/inodes.h"

#include <stdlib.h>
#include <string.h>

#define APPEND_EXTENTS 4u /* in one write */

bc_status bc_content_value_id(struct bitcask *db, uint64_t *value_id)
{
    uint8_t bytes[8];
    bc_status status = bc_io_random(db->env.io, bytes, sizeof bytes);

    *value_id = bc_get_u64(bytes);
    return status;
}

bc_status bc_extents_append(struct bc_partition *inodes, const struct bc_extent *extents, size_t count, uint64_t *room)
{
    bc_status status = BITCASK_OK;

    for (size_t at = 0; at < count && status == BITCASK_OK; at += APPEND_EXTENTS) {
        uint8_t keys[APPEND_EXTENTS][BC_EXTENT_KEY_SIZE];
        struct bc_write writes[APPEND_EXTENTS];
        uint64_t used;
        size_t n = 0;

        for (; n < APPEND_EXTENTS && at + n < count; n++) {
            const struct bc_extent *extent = &extents[at + n];

            bc_extent_key(extent->value_id, extent->number, keys[n]);
            writes[n] = (struct bc_write){.key = keys[n],
                                          .key_size = BC_EXTENT_KEY_SIZE,
                                          .flags = BC_RECORD_EXTENT,
                                          .value = extent->bytes,
                                          .value_size = extent->size};
        }
        used = bc_writes_bound(writes, n);
        if (used > *room) used = *room;
        bc_fair_lock(&inodes->write_lock);
        status = bc_partition_append(inodes, writes, n, true, used);
        bc_fair_unlock(&inodes->write_lock);
        if (status == BITCASK_OK) *room -= used;
    }
    return status;
}

bc_status bc_content_write(struct bitcask *db, struct bc_partition *inodes, const void *bytes, uint64_t size,
                           uint64_t *room, struct bc_content *content)
{
    uint64_t extent_size = 1ull << db->extent_shift, value_id, count = (size + extent_size - 1) >> db->extent_shift;
    bc_status status;

    *content = (struct bc_content){.size = size, .bytes = bytes};
    if (size <= db->inline_max) return BITCASK_OK;
    content->runs = malloc(sizeof *content->runs);
    if (!content->runs) return BITCASK_NO_MEMORY;
    status = bc_content_value_id(db, &value_id);
    content->bytes = NULL;
    content->extent_shift = db->extent_shift;
    content->runs[0] = (struct bc_run){0, count, value_id};
    content->run_count = 1;
    content->written = true;
    for (uint64_t n = 0; n < count && status == BITCASK_OK; n += APPEND_EXTENTS) {
        struct bc_extent extents[APPEND_EXTENTS];
        size_t some = 0;

        for (; some < APPEND_EXTENTS && n + some < count; some++) {
            uint64_t offset = (n + some) << db->extent_shift;
            uint64_t left = size - offset;

            extents[some] = (struct bc_extent){value_id, n + some, (const uint8_t *)bytes + offset,
                                               (uint32_t)(left < extent_size ? left : extent_size)};
        }
        status = bc_extents_append(inodes, extents, some, room);
    }
    if (status != BITCASK_OK) bc_content_release(inodes, content);
    return status;
}

void bc_content_release(struct bc_partition *inodes, struct bc_content *content)
{
    if (content->written) {
        bc_fair_lock(&inodes->write_lock);
        bc_partition_forget_extents(inodes, content->runs, content->run_count);
        bc_fair_unlock(&inodes->write_lock);
    }
    free(content->runs);
    *content = (struct bc_content){0};
}
