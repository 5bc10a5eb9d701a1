/* redo.c - records of intents that a crash kept from their log.
 */
#include "partition/load.h"

#include <stdlib.h>
#include <string.h>

bc_status bc_partition_redo_in_memory(struct bc_partition *partition, const struct bc_write *writes, size_t count)
{
    struct bc_segment *segment = NULL;
    uint64_t size = 0, offset = 0;
    uint32_t slot;
    bc_status status;

    status = bc_partition_warm_locked(partition);
    if (status != BITCASK_OK) return status;
    for (size_t i = 0; i < count; i++) size += bc_writes_bound(&writes[i], 1);
    status = bc_segment_in_memory(partition->env->io, size, &segment);
    if (status != BITCASK_OK) return status;
    status = bc_partition_add_slot(partition, segment, &slot);
    if (status != BITCASK_OK) {
        bc_segment_unref(&segment);
        return status;
    }
    for (size_t i = 0; i < count && status == BITCASK_OK; i++) {
        const struct bc_write *write = &writes[i];
        struct bc_record record = {
            .version = write->version,
            .flags = write->flags,
            .key_size = (uint8_t)write->key_size,
            .attrs_size = (uint32_t)bc_attrs_size(&write->attrs),
            .value_size = write->value_size,
            .value_crc = write->value_crc,
            .key = write->key,
            .value = write->value,
        };
        uint8_t *front = segment->memory + offset;
        uint8_t *attrs = front + BC_RECORD_HEAD_SIZE + write->key_size;

        bc_attrs_encode(&write->attrs, attrs);
        record.attrs = attrs;
        bc_record_encode(&record, segment->generation, offset, front);
        if (record.value_size > 0) memcpy(front + bc_record_front_size(&record), record.value, record.value_size);
        segment->end = offset + bc_record_size(&record);
        status = bc_load_apply(partition, slot, offset, &record);
        offset = segment->end;
    }
    return status;
}

bc_status bc_partition_redo(struct bc_partition *partition, struct bc_write *writes, size_t count)
{
    size_t first = 0;

    /* Versions strictly grow in a partition, so the last one says exactly which of the records came before it. */
    while (first < count && writes[first].version <= partition->last_version) first++;
    if (first == count) return BITCASK_OK;
    if (partition->env->read_only) return bc_partition_redo_in_memory(partition, writes + first, count - first);
    writes[first].is_due = true; /* a store must open on a full disk */
    return bc_partition_append(partition, writes + first, count - first, true, 0);
}
