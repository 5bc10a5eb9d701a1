/* inspect.c - what a partition is made of: its segments and what of them is in use; where a key's record is.
 */
#include "partition/partition.h"

#include <stdlib.h>
#include <string.h>

static int compare_segments(const void *a, const void *b)
{
    const bitcask_segment_info *x = a, *y = b;

    return x->segment_id < y->segment_id ? -1 : x->segment_id > y->segment_id;
}

static void describe(const struct bc_partition *partition, const struct bc_slot *slot, bitcask_segment_info *info)
{
    const struct bc_segment *segment = slot->segment;

    *info = (bitcask_segment_info){
        .segment_id = segment->segment_id,
        .lowest_id = segment->lowest_id,
        .active = segment == partition->active,
        .damaged = slot->damaged,
        .bytes = segment->end,
        .live_bytes = slot->live_bytes,
        .live_keys = slot->live_keys,
        .tombstone_bytes = slot->tombstone_bytes,
        .hint_bytes = slot->hint_bytes,
    };
    memcpy(info->file, segment->name, sizeof info->file);
}

bc_status bc_partition_segments(struct bc_partition *partition,
                                bool (*visit)(void *context, const bitcask_segment_info *segment), void *context)
{
    bitcask_segment_info *list;
    size_t count = 0;

    /* Copied first: visit may take its time, and nobody should wait for it. */
    bc_fair_lock_soon(&partition->write_lock);
    list = malloc((partition->slot_count + 1) * sizeof *list);
    for (uint32_t i = 0; list && i < partition->slot_count; i++) {
        const struct bc_segment *segment = partition->slots[i].segment;
        if (segment && !segment->memory) describe(partition, &partition->slots[i], &list[count++]);
    }
    bc_fair_unlock(&partition->write_lock);
    if (!list) return BITCASK_NO_MEMORY;
    qsort(list, count, sizeof *list, compare_segments);
    for (size_t i = 0; i < count && visit(context, &list[i]); i++) {
    }
    free(list);
    return BITCASK_OK;
}

bc_status bc_partition_locate(struct bc_partition *partition, const void *key, size_t key_size,
                              bitcask_location *location)
{
    struct bc_value *value = NULL;
    struct bc_buffer buffer = {0};
    struct bc_record record;
    bc_status status = bc_partition_pin(partition, key, key_size, &value);

    if (status != BITCASK_OK) return status;
    status = bc_segment_read_front(value->segment, value->entry.offset, &buffer, &record);
    if (status == BITCASK_OK) {
        *location = (bitcask_location){
            .segment_id = value->segment->segment_id,
            .offset = value->entry.offset,
            .record_bytes = value->entry.record_size,
            .version = value->entry.version,
            .value_crc = record.value_crc,
        };
        memcpy(location->file, value->segment->name, sizeof location->file);
    }
    bc_buffer_release(&buffer);
    bc_value_close(&value);
    return status;
}
