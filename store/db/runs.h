/* runs.h - the map of a large content: which extents it has, as runs, ascending and without overlap.
 *
 * What no run covers is a hole. An extent is named by its run's value id and its number.
 * Threads: none of its own; the caller's lock guards a list.
 */
#ifndef BC_RUNS_H
#define BC_RUNS_H

#include "base/status.h"
#include "log/inode_body.h"

struct bc_runs {
    struct bc_run *runs; /* owned */
    size_t count, room;
};

/* Copies the runs of a decoded body. NO_MEMORY. */
bc_status bc_runs_copy(const struct bc_inode_body *body, struct bc_run **runs, size_t *count);

/* What of the old runs is not in the new ones: *out, owned, has room for what comes. NO_MEMORY. */
bc_status bc_runs_subtract(const struct bc_run *old, size_t old_count, const struct bc_run *new, size_t new_count,
                           struct bc_run **out, size_t *out_count);

/* The run that holds extent number, or NULL: a hole. */
const struct bc_run *bc_runs_find(const struct bc_run *runs, size_t count, uint64_t number);

/* The first extent at or behind number that is there, or UINT64_MAX. */
uint64_t bc_runs_next(const struct bc_run *runs, size_t count, uint64_t number);

/* Bytes of a content of size bytes that are no hole. */
uint64_t bc_runs_bytes(const struct bc_run *runs, size_t count, uint8_t extent_shift, uint64_t size);

/* Makes sure that `changes` calls of set or clear find room. NO_MEMORY: nothing changed. */
bc_status bc_runs_prepare(struct bc_runs *list, size_t changes);

/* Extents first to first + count - 1 are of this value, or gone; neighbours are joined. Room was prepared. */
void bc_runs_set(struct bc_runs *list, uint64_t first, uint64_t count, uint64_t value_id);
void bc_runs_clear(struct bc_runs *list, uint64_t first, uint64_t count);

#endif
