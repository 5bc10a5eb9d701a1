/* job.c - turns, progress, and the pace at which merges and verifies go.
 *
 * Whoever works at a partition has it pinned, and a deletion of it waits for that with the whole tree locked: so every
 * wait here is made of short steps, and between any two of them it is looked whether to stop.
 */
#include "db/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/maintain.h"

#define MS 1000000u
#define TELL_NS (100u * MS) /* between two calls of a progress function */
#define STEP_NS (10u * MS)  /* of waiting for the throttle */
#define YIELD_NS (MS / 2)   /* steps of standing back behind reads and writes, */
#define YIELD_STEPS 20u     /* so many at most, or a busy store would never be merged */

struct timespec bc_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

static void sleep_ns(uint64_t ns)
{
    struct timespec time = bc_timespec(ns);

    nanosleep(&time, NULL); /* a signal only makes it shorter */
}

static struct bc_job *job_of(const struct bc_work *work)
{
    struct bc_maintenance *maintenance = work->db->maintenance;

    return work->kind == BITCASK_WORK_VERIFY ? &maintenance->verify : &maintenance->merge;
}

bc_status bc_cond_init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    int error = pthread_condattr_init(&monotonic);

    if (error != 0) return BITCASK_NO_MEMORY;
    error = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (error == 0) error = pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return error == 0 ? BITCASK_OK : BITCASK_NO_MEMORY;
}

bc_status bc_job_open(struct bc_job *job)
{
    *job = (struct bc_job){.waiting = 0};
    if (pthread_mutex_init(&job->lock, NULL) != 0) return BITCASK_NO_MEMORY;
    if (bc_cond_init_monotonic(&job->freed) == BITCASK_OK) return BITCASK_OK;
    pthread_mutex_destroy(&job->lock);
    return BITCASK_NO_MEMORY;
}

void bc_job_close(struct bc_job *job)
{
    pthread_cond_destroy(&job->freed);
    pthread_mutex_destroy(&job->lock);
}

void bc_job_tell(struct bc_job *job, bitcask_job *told, uint64_t *waiting)
{
    pthread_mutex_lock(&job->lock);
    *told = job->told;
    if (told->running) told->elapsed_ns = bc_monotonic_ns() - job->started_ns;
    if (waiting) *waiting = job->waiting;
    pthread_mutex_unlock(&job->lock);
}

/* Calls the caller's function. */
static bool tell(struct bc_work *work, uint64_t now)
{
    const bitcask_progress progress = {
        .work = work->kind,
        .path = work->path ? work->path : "",
        .bytes_done = work->bytes_done,
        .bytes_total = work->bytes_total,
        .elapsed_ns = now - work->started_ns,
    };

    work->told_ns = now;
    if (work->progress && !work->progress(work->context, &progress)) work->cancelled = true;
    return !work->cancelled;
}

/* From here on others see that somebody works. lock held. */
static void show(struct bc_job *job)
{
    job->told.running = true;
    job->told.path[0] = '\0';
    job->told.bytes_done = job->told.bytes_total = 0;
}

bc_status bc_work_begin(struct bc_work *work)
{
    struct bc_job *job = job_of(work);
    bool mine;

    work->started_ns = work->told_ns = bc_monotonic_ns();
    pthread_mutex_lock(&job->lock);
    if (work->background && (job->taken || job->waiting > 0)) {
        pthread_mutex_unlock(&job->lock);
        return BITCASK_IN_USE;
    }
    job->waiting++;
    while (job->taken && !work->cancelled) {
        struct timespec until = bc_timespec(bc_monotonic_ns() + TELL_NS);

        pthread_cond_timedwait(&job->freed, &job->lock, &until);
        if (!job->taken) break;
        pthread_mutex_unlock(&job->lock);
        (void)tell(work, bc_monotonic_ns());
        pthread_mutex_lock(&job->lock);
    }
    job->waiting--;
    mine = !work->cancelled;
    if (mine) {
        job->taken = true;
        work->started_ns = work->told_ns = job->started_ns = bc_monotonic_ns();
        /* The scheduler has yet to look whether there is anything to do: see bc_work_at(). */
        if (!work->background) show(job);
    }
    pthread_mutex_unlock(&job->lock);
    return mine ? BITCASK_OK : bc_fail(BITCASK_CANCELLED, "cancelled before its turn came");
}

void bc_work_end(struct bc_work *work, bc_status status, bitcask_merge_result *merge, bitcask_verify_result *verify)
{
    struct bc_job *job = job_of(work);
    uint64_t now = bc_monotonic_ns();
    int64_t ended = bc_io_now_ns(work->db->env.io);

    if (merge) merge->elapsed_ns = now - work->started_ns;
    if (verify) verify->elapsed_ns = now - work->started_ns;
    if (status == BITCASK_OK) (void)tell(work, now); /* the last word, with nothing left to cancel */
    pthread_mutex_lock(&job->lock);
    if (!work->background || status != BITCASK_NOT_FOUND) {
        job->told.elapsed_ns = now - work->started_ns;
        job->told.ended_ns = ended > 0 ? (uint64_t)ended : 1;
        job->told.status = status;
        snprintf(job->told.detail, sizeof job->told.detail, "%s", status == BITCASK_OK ? "" : bc_detail());
        if (merge) job->told.result.merge = *merge;
        if (verify) job->told.result.verify = *verify;
    }
    job->told.running = false;
    job->taken = false;
    pthread_cond_signal(&job->freed);
    pthread_mutex_unlock(&job->lock);
    free(work->path);
    work->path = NULL;
    work->instance = NULL;
}

bc_status bc_work_at(struct bc_work *work, struct bitcask_partition *node, struct bc_partition *instance)
{
    struct bc_job *job = job_of(work);
    char *path = bc_node_path(node);
    size_t length, cut;

    if (!path) return BITCASK_NO_MEMORY;
    free(work->path);
    work->path = path;
    work->instance = instance;
    work->gone = false;
    length = strlen(path);
    cut = length < sizeof job->told.path ? 0 : length - (sizeof job->told.path - 1);
    pthread_mutex_lock(&job->lock);
    if (!job->told.running) show(job);
    memcpy(job->told.path, path + cut, length - cut + 1);
    pthread_mutex_unlock(&job->lock);
    return BITCASK_OK;
}

/* Enters what is done into the job, where others see it. */
static void publish(struct bc_work *work)
{
    struct bc_job *job = job_of(work);

    if (work->bytes_total < work->bytes_done) work->bytes_total = work->bytes_done;
    pthread_mutex_lock(&job->lock);
    job->told.bytes_done = work->bytes_done;
    job->told.bytes_total = work->bytes_total;
    pthread_mutex_unlock(&job->lock);
}

void bc_work_expect(struct bc_work *work, uint64_t bytes)
{
    work->bytes_total += bytes;
    publish(work);
}

/* Whether to go on, now; asks the caller's function if that is due. */
static bool goes_on(struct bc_work *work)
{
    uint64_t now;

    if (work->instance && atomic_load(&work->instance->dropped)) work->gone = true;
    if (work->background && atomic_load(&work->db->maintenance->cancels) != work->cancels) work->cancelled = true;
    if (work->gone || work->cancelled) return false;
    now = bc_monotonic_ns();
    return now - work->told_ns < TELL_NS || tell(work, now);
}

/* Until the throttle has what bytes take. A rate that is set meanwhile forgives what was taken at the old one. */
static bool wait_for_throttle(struct bc_work *work, uint64_t bytes)
{
    struct bc_throttle *throttle = &work->db->maintenance->throttle;
    uint64_t rate = bc_throttle_get(throttle), now = bc_monotonic_ns(), until;

    if (__builtin_add_overflow(now, bc_throttle_take(throttle, now, bytes), &until)) until = UINT64_MAX;
    while (now < until && bc_throttle_get(throttle) == rate) {
        if (!goes_on(work)) return false;
        sleep_ns(until - now < STEP_NS ? until - now : STEP_NS);
        now = bc_monotonic_ns();
    }
    return true;
}

bool bc_work_pace(void *context, uint64_t bytes)
{
    struct bc_work *work = context;

    work->bytes_done += bytes;
    publish(work);
    if (work->kind == BITCASK_WORK_MERGE && !wait_for_throttle(work, bytes)) return false;
    for (unsigned i = 0; i < YIELD_STEPS && bc_stripes_sum(&work->db->foreground) > 0; i++)
        sleep_ns(YIELD_NS);
    return goes_on(work);
}
