/* load.h - from records to index entries.
 *
 * A loader walks one segment of a partition that nobody else uses yet. Threads: one.
 */
#ifndef BC_LOAD_H
#define BC_LOAD_H

#include "log/scan.h"
#include "partition/partition.h"

#define BC_VERSION_MAX ((uint64_t)INT64_MAX - 1) /* what a version may be at most; more is hostile */

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

void bc_loader_release(struct bc_loader *loader);

/* Points the index at one record; memory is made room for. CORRUPT, NEWER_FORMAT (attributes), NO_MEMORY. */
bc_status bc_load_apply(struct bc_partition *partition, uint32_t slot, uint64_t offset, const struct bc_record *record);

/* Takes the next record: applied at once, or with the batch that it ends. */
bc_status bc_loader_take(struct bc_loader *loader, const struct bc_scan_item *item);

/* A good record whose version nothing could follow: treated as damage. */
bool bc_has_hostile_version(const struct bc_scan_item *item);

/* Applies the records from `from` to *end, which are there to stay: bad stretches are damage, counted and logged. A
 * batch that the end cuts short is dropped if it begins at or behind `durable`, and *end moved to its start. */
bc_status bc_loader_load(struct bc_loader *loader, uint64_t from, uint64_t *end, uint64_t durable);

#endif
