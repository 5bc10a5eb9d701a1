/* maintain.h - merging, verifying and repairing, over many partitions; what runs, and how the last of it ended.
 *
 * One merge at a time in a store, and one verify: others wait for their turn (job.h).
 */
#ifndef BC_MAINTAIN_H
#define BC_MAINTAIN_H

#include "base/throttle.h"
#include "db/job.h"
#include "partition/merge.h"
#include "partition/verify.h"

#define BC_MERGE_RATE_MIN 4096u /* bytes a second: with less a merge would never end */

/* A store's part of this floor: bitcask.maintenance. */
struct bc_maintenance {
    struct bc_throttle throttle;
    struct bc_job merge, verify;
    /* The scheduler's thread sleeps on wake with lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool runs;           /* the thread was started; guarded by lock, as is the next */
    bool stopping;       /* it is to end */
    atomic_bool on;      /* changed under lock */
    atomic_uint cancels; /* counts on: what the scheduler began to merge before that is to end */
};

/* ---- maintain.c ---- */

bc_status bc_maintenance_open(struct bitcask *db, const bitcask_options *options);
/* Cancels what the scheduler does, and waits for its thread. */
void bc_maintenance_stop(struct bitcask *db);
void bc_maintenance_close(struct bitcask *db);

/* bitcask_merge() and so on. */
bc_status bc_db_merge(struct bitcask_partition *node, const bitcask_merge_options *options,
                      bitcask_merge_result *result);
bc_status bc_db_rotate(struct bitcask_partition *node, unsigned flags);
bc_status bc_db_verify(struct bitcask_partition *node, const bitcask_verify_options *options,
                       bitcask_verify_result *result);
bc_status bc_db_repair(struct bc_io *io, const char *path, const char *partition, const bitcask_verify_options *options,
                       bitcask_verify_result *result);
void bc_db_get_activity(struct bitcask *db, bitcask_activity *activity);

/* Merges one run of an instance that work is at, and adds it to the instance's numbers and to *result. NOT_FOUND where
 * the partition was dropped meanwhile; else as bc_partition_merge(). */
bc_status bc_merge_run(struct bc_work *work, struct bc_partition *instance, const struct bc_merge_run *run,
                       bitcask_merge_result *result);

/* Seals the active segment if there is anything in it. NOT_FOUND: dropped; POISONED, ... */
bc_status bc_merge_seal(struct bc_partition *instance);

/* ---- verify_links.c ---- */

/* Holds all names against the inodes, and these against their extents; tells what does not agree. Nothing is locked or
 * pinned by the caller. */
bc_status bc_verify_links(struct bitcask *db, const struct bc_verify *verify);

/* ---- scheduler.c ---- */

/* On starts the thread if there is none yet; off cancels what it merges, and waits for nothing. READ_ONLY. */
bc_status bc_db_set_scheduler(struct bitcask *db, bool on);

/* Ends the thread, if there is one. */
void bc_scheduler_stop(struct bitcask *db);

/* ---- walk.c ---- */

/* Calls each for node and, with below, all partitions below it, parents first, with nothing locked or pinned. One that
 * goes meanwhile is passed over: NOT_FOUND of each, but for node itself, means just that. So are the partitions below
 * one that is too damaged to be opened, which each has been called for. A partition that is renamed meanwhile may be
 * visited twice, or not at all. Stops at the first failure. Memory: a few hundred bytes a level. */
bc_status bc_nodes_walk(struct bitcask_partition *node, bool below,
                        bc_status (*each)(void *context, struct bitcask_partition *node), void *context);

#endif
