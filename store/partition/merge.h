/* merge.h - rewriting a run of neighbouring sealed segments without what is dead.
 *
 * Threads: one merge of a partition at a time (the caller sees to it), beside any number of readers and the writer.
 * The instance stays pinned meanwhile.
 */
#ifndef BC_MERGE_H
#define BC_MERGE_H

#include "partition/partition.h"

enum bc_merge_kind {
    BC_MERGE_DUE,   /* what the scheduler would: half of it dead, or small neighbours in number */
    BC_MERGE_WORTH, /* whatever gives space back, or joins small neighbours */
    BC_MERGE_FULL,  /* everything */
    BC_MERGE_ONE    /* what gives space back, each segment by itself: on a full disk, where there is room for little */
};

/* A run of neighbouring sealed segments, by their ids. */
struct bc_merge_run {
    uint32_t first_id, last_id;
    uint32_t segments;
    uint64_t bytes;      /* of their files */
    uint64_t live_bytes; /* at least so much will be written */
    uint64_t gain;       /* bytes that come back, about: the dead but for tombstones that may be needed */
};

/* What a merge asks while it works, and tells. All may be NULL. */
struct bc_merge_hooks {
    /* Called for each piece copied, no lock held: waits as throttle and foreground demand; false cancels. */
    bool (*pace)(void *context, uint64_t bytes);
    void *context;
};

/* Finds the oldest run at or above from_id that is worth it; run->segments is 0 where there is none. */
void bc_merge_plan(struct bc_partition *partition, enum bc_merge_kind kind, uint32_t from_id, struct bc_merge_run *run);

/* Whether the active segment should be sealed first, so that what is dead in it can be merged. */
bool bc_merge_wants_rotation(struct bc_partition *partition, enum bc_merge_kind kind);

/* Merges run. Adds to *result. CANCELLED, NO_SPACE, CORRUPT (an input is damaged: noted, so that it is not picked
 * again), IO, ...: the inputs are untouched. POISONED where a sync failed. NO_MEMORY: likewise, or see bc_merge_finish().
 */
bc_status bc_partition_merge(struct bc_partition *partition, const struct bc_merge_run *run,
                             const struct bc_merge_hooks *hooks, bitcask_merge_result *result);

/* Ends a merge whose output has its name, but whose inputs the index still names, for lack of memory. Until that is done
 * reads and writes go on, and what goes by the segments' names, another merge, hints, a checkpoint, a verify, cannot.
 * OK where there is none; NO_MEMORY: not yet. files_lock held, or nobody else there; write_lock not. */
bc_status bc_merge_finish(struct bc_partition *partition);

/* Gives it up, at the end of the instance: the next open finds the output alone. */
void bc_merge_forget(struct bc_partition *partition);

#endif
