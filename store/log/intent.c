/* intent.c - the value of a redo intent: complete records, each with the partition that it belongs into.
 */
#include "log/intent.h"

#include <string.h>

bc_status bc_intent_add(struct bc_buffer *buffer, uint64_t partition_id, const struct bc_record *record)
{
    size_t front = bc_record_front_size(record), at = buffer->size + 8;
    uint8_t *out = bc_buffer_extend(buffer, 8 + front + record->value_size);

    if (!out) return bc_fail(BITCASK_NO_MEMORY, "out of memory for an intent of %zu bytes", 8 + front + record->value_size);
    bc_put_u64(out, partition_id);
    bc_record_encode(record, partition_id, at, out + 8);
    if (record->value_size > 0) memcpy(out + 8 + front, record->value, record->value_size);
    buffer->size = at + front + record->value_size;
    return BITCASK_OK;
}

bc_status bc_intent_next(const uint8_t *data, size_t size, size_t *offset, struct bc_redo *redo)
{
    size_t at = *offset + 8, needed;

    if (*offset >= size) return BITCASK_NOT_FOUND;
    if (size - *offset < 8) return bc_fail(BITCASK_CORRUPT, "an intent is cut short at byte %zu", *offset);
    redo->partition_id = bc_get_u64(data + *offset);
    if (bc_record_decode(data + at, size - at, redo->partition_id, at, size - at, &redo->record, &needed) != BITCASK_OK ||
        bc_record_size(&redo->record) > size - at)
        return bc_fail(BITCASK_CORRUPT, "an intent holds a damaged record at byte %zu", at);
    redo->record.value = data + at + bc_record_front_size(&redo->record);
    *offset = at + (size_t)bc_record_size(&redo->record);
    return BITCASK_OK;
}
