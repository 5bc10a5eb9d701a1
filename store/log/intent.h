/* intent.h - the value of a redo intent: complete records, each with the partition that it belongs into.
 *
 * Format: for each record 8 bytes of partition id, then the record as record.h has it, its head's CRC seeded with the
 * partition id as generation and with its place in the intent as offset.
 */
#ifndef BC_INTENT_H
#define BC_INTENT_H

#include "log/record.h"

/* A record to be redone. Pointers are into the decoded bytes. */
struct bc_redo {
    uint64_t partition_id;
    struct bc_record record; /* value and value_crc filled in */
};

/* Appends one record to the intent in buffer. record->value_crc is taken as given. */
bc_status bc_intent_add(struct bc_buffer *buffer, uint64_t partition_id, const struct bc_record *record);

/* Decodes the record at *offset of an intent and moves *offset behind it. NOT_FOUND at the end, CORRUPT. Heads are
 * checked here; the values are covered by the check of the intent's own record. */
bc_status bc_intent_next(const uint8_t *data, size_t size, size_t *offset, struct bc_redo *redo);

#endif
