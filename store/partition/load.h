/* load.h - from records to index entries.
 *
 * A loader walks one segment of a partition that nobody else uses yet. Threads: one.
 */
#ifndef BC_LOAD_H
#define BC_LOAD_H

#include "log/hint.h"
#include "log/scan.h"
#include "partition/partition.h"

/* A record of a batch whose end has not been seen. */
struct bc_pending_record {
    uint64_t offset;
    struct bc_record record; /* without its pointers */
    size_t at;               /* where its key begins in the loader's bytes */
};

struct bc_loader {
    struct bc_partition *partition;
    struct bc_segment *segment;
    uint32_t slot;
    struct bc_buffer bytes; /* key, attributes, and the value of partition records, of the batch so far */
    struct bc_pending_record *batch;
    size_t count, room;
};

/* What the index keeps of a record: the value of a partition record is its id, 8 bytes. attrs: as decoded. */
void bc_entry_from_record(uint32_t slot, uint64_t offset, const struct bc_record *record, const bitcask_attrs *attrs,
                          struct bc_entry *entry);

/* Keeps the slots' numbers when the index changes: an entry came in, or went; a tombstone was written. */
static inline void bc_slot_gains(struct bc_partition *partition, const struct bc_entry *entry)
{
    partition->slots[entry->slot].live_bytes += entry->record_size;
    partition->slots[entry->slot].live_keys++;
}
static inline void bc_slot_loses(struct bc_partition *partition, const struct bc_entry *entry)
{
    if (entry->slot >= partition->slot_count) return; /* from a forged checkpoint */
    partition->slots[entry->slot].live_bytes -= entry->record_size;
    partition->slots[entry->slot].live_keys--;
}

void bc_loader_release(struct bc_loader *loader);

/* Points the index at one record; memory is made room for. CORRUPT, NEWER_FORMAT (attributes), NO_MEMORY. */
bc_status bc_load_apply(struct bc_partition *partition, uint32_t slot, uint64_t offset, const struct bc_record *record);

/* Opens the hint of segment, if there is one that fits it. exact: it must stand for the whole of the file; else for a
 * part from its start. NOT_FOUND, CORRUPT, ... as bc_hint_open(); a hint that does not serve is logged. */
bc_status bc_load_open_hint(const struct bc_partition *partition, const struct bc_segment *segment, bool exact,
                            struct bc_hint **hint);

/* What the index keeps of a hint's entry. */
void bc_entry_from_hint(uint32_t slot, const struct bc_hint_entry *hinted, struct bc_entry *entry);

/* Points the index at the keys of a hint. On CORRUPT and IO, which are logged, some may be in already. */
bc_status bc_load_hint(struct bc_partition *partition, uint32_t slot, const struct bc_hint *hint);

/* Takes the next record: applied at once, or with the batch that it ends. */
bc_status bc_loader_take(struct bc_loader *loader, const struct bc_scan_item *item);

/* A record that is whole, with a version that nothing could follow, or a key that no writer makes: treated as damage. */
bool bc_is_hostile(const struct bc_scan_item *item);

/* Applies the records from `from` to *end, which are there to stay: bad stretches are damage, counted and logged. A
 * batch that the end cuts short is dropped if it begins at or behind `durable`, and *end moved to its start. */
bc_status bc_loader_load(struct bc_loader *loader, uint64_t from, uint64_t *end, uint64_t durable);

#endif
