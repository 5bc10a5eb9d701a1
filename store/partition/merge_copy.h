/* merge_copy.h - what merge.c and merge_copy.c share: a merge under way.
 */
#ifndef BC_MERGE_COPY_H
#define BC_MERGE_COPY_H

#include "log/hint.h"
#include "partition/merge.h"

/* A segment that is merged, or one older than those. */
struct bc_merge_input {
    struct bc_segment *segment; /* counted */
    struct bc_hint *hint;       /* NULL: of an older one, none that can be asked */
    uint32_t slot;
    bool damaged;
    bool hinted; /* there was a hint that served, when it was last looked at */
};

struct bc_merge {
    struct bc_partition *partition;
    const struct bc_merge_hooks *hooks;
    struct bc_merge_input *inputs; /* ascending ids */
    size_t input_count;
    struct bc_merge_input *older; /* segments before the inputs, in any order */
    size_t older_count;
    bool *is_input; /* by slot; those from slot_count on came later */
    uint32_t slot_count;
    uint64_t room; /* bytes that the output will take at most, without its header */
    bool has_tombstones;
    bool bad_hint; /* an input's hint could not be read to its end: forgotten, and worth another try */

    struct bc_segment *output; /* counted; NULL before it is begun */
    uint32_t output_slot;
    struct bc_hint_writer *hint_writer;
    struct bc_hint *hint;      /* of the output, once it has its name */
    struct swap_key *keys;     /* owned: some of the hint's, to change over, */
    struct bc_hint_cursor *cursor; /* and the walk over it, at its beginning; or NULL */
    bool empty;           /* nothing was worth keeping */
    bool committed;       /* the output has its name */
    bool removed;         /* and has lost it again, being empty */
    bool no_memory;       /* for an entry of the index, which names an input still */
    bool slots_freed;     /* segments are out of their places, where somebody may have found them just before */
};

/* Writes the output, as BC_MERGE_NAME, and its hint up to the name: the latest records that the index points at, sorted
 * by key, and the tombstones that are still needed. Nothing is synced. CANCELLED, NO_SPACE, CORRUPT (an input is
 * damaged, and its slot told so), IO, ... */
bc_status bc_merge_copy(struct bc_merge *merge);

/* Asks the hooks: OK, or CANCELLED, also once the partition was dropped; POISONED where a sync failed meanwhile. */
bc_status bc_merge_go_on(const struct bc_merge *merge, uint64_t bytes);

#endif
