/* job.h - whose turn it is to merge, or to verify, how far that is, and when it has to stop.
 *
 * A store has a job for each kind of work, and one at a time does it. Who works holds a struct bc_work, whose function
 * pace() is what the work calls between two pieces of it.
 * Threads: a job is shared; a work belongs to one thread.
 */
#ifndef BC_JOB_H
#define BC_JOB_H

#include "base/clock.h"
#include <time.h>

#include "db/db.h"

/* One kind of work. */
struct bc_job {
    pthread_mutex_t lock; /* guards all that follows; held for moments */
    pthread_cond_t freed; /* the turn was given back */
    bool taken;           /* the turn: somebody works */
    unsigned waiting;     /* for the turn */
    bitcask_job told;
    uint64_t started_ns; /* monotonic */
};

/* Somebody who works, or waits for the turn. Set up kind, db and what is to be asked; the rest begins as 0. */
struct bc_work {
    bitcask_work kind;
    struct bitcask *db;
    bool (*progress)(void *context, const bitcask_progress *progress); /* the caller's, or NULL */
    void *context;
    bool background;  /* the scheduler's: it gives way to others, */
    unsigned cancels; /* and ends when bc_maintenance.cancels differs */

    char *path; /* of the partition that is worked at; owned */
    struct bc_partition *instance;
    uint64_t started_ns, told_ns; /* monotonic */
    uint64_t bytes_done, bytes_total;
    bool cancelled; /* by the caller's function, or the scheduler's being stopped */
    bool gone;      /* instance was dropped meanwhile */
};

struct timespec bc_timespec(uint64_t ns);

/* A condition that is waited for by the monotonic clock. */
bc_status bc_cond_init_monotonic(pthread_cond_t *cond);

bc_status bc_job_open(struct bc_job *job);
void bc_job_close(struct bc_job *job);

/* What the job is at, for bitcask_get_activity(); waiting may be NULL. */
void bc_job_tell(struct bc_job *job, bitcask_job *told, uint64_t *waiting);

/* Waits for the turn, asking the caller's function now and then: CANCELLED if it says so, and the turn is not taken.
 * Background work never waits, and takes no turn that others wait for: IN_USE. No other lock held. */
bc_status bc_work_begin(struct bc_work *work);

/* Gives the turn back, and keeps how it ended for bitcask_get_activity(), unless it is background work that found
 * nothing to do (NOT_FOUND). merge or verify: the result, whose elapsed_ns is filled in; the other is NULL. */
void bc_work_end(struct bc_work *work, bc_status status, bitcask_merge_result *merge, bitcask_verify_result *verify);

/* Turns to another partition, pinned by the caller, or not open at all (instance is NULL). NO_MEMORY. */
bc_status bc_work_at(struct bc_work *work, struct bitcask_partition *node, struct bc_partition *instance);

/* So many bytes more are to be done than was known. */
void bc_work_expect(struct bc_work *work, uint64_t bytes);

/* The hook of merges and verifies; context is the work. Tells of bytes more that are done, and waits: a merge as long
 * as the throttle wants, both for a moment while others read and write. False: stop; work->cancelled or gone says why.
 * No lock of any partition held. */
bool bc_work_pace(void *context, uint64_t bytes);

#endif
