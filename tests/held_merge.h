/* held_merge.h - merges under a test's control, and stores with something to merge.
 *
 * Programs that use this are linked so that bc_partition_merge() is wrapped: a merge can be made to fail, or to last
 * until the test lets it end. Whatever is waited for is waited for minutes.
 * Threads: the mergers' own, and the one that tests.
 */
#ifndef BC_HELD_MERGE_H
#define BC_HELD_MERGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bitcask.h"
#include "db/maintain.h"

extern atomic_bool held_merge_hold;           /* merges call their pace on and on, until this ends */
extern atomic_uint held_merges;               /* so many do now */
extern _Atomic(bc_status) held_merge_failure; /* what merges come to, if not OK */
extern atomic_uint held_merge_calls;

/* Waits until condition() holds; false after two minutes without. */
bool wait_for(bool (*condition)(void *context), void *context);

/* Conditions: a merge is held (no context); one runs, or none does (context: the store). */
bool is_held(void *context);
bool merge_runs(void *context);
bool merge_rests(void *context);

/* A store with small segments that syncs nothing on its own. max_open 0: the default. */
bitcask *open_store(const char *path, bool scheduler, unsigned max_open);
bitcask_partition *open_partition(bitcask *db, const char *path);
bitcask_partition *make_partition(bitcask_partition *parent, const char *name);

/* Sealed segments of which nearly all is dead, 330,000 bytes or more. */
void make_garbage(bitcask_partition *partition);
uint64_t dead_bytes(bitcask_partition *partition);

/* A merge in a thread of its own; cancel makes its progress function say so. */
struct merger {
    pthread_t thread;
    bitcask_partition *partition;
    bitcask_merge_options options;
    bitcask_merge_result result;
    bitcask_status status;
    atomic_bool done, cancel;
    atomic_uint told;
};

void start_merger(struct merger *merger, bitcask_partition *partition, unsigned flags);
bitcask_status end_merger(struct merger *merger);

#endif
