/* scheduler.c - the thread that merges in the background what is worth it.
 *
 * Once a second it looks at the partitions that are open, without touching their place in the LRU list, and merges one
 * run of the one that gains most; then it looks again, until nothing is left. It opens no partition: what nobody uses
 * costs nothing but room, and a scan of a cold log more than that.
 * Invariant: it has an instance pinned, and the turn to merge, for one run at a time. So who asks for a merge waits for
 * one run at most.
 */
#include "db/maintain.h"
#include "db/reclaim.h"

#define SECOND_NS 1000000000u
#define LOOK_NS (1u * (uint64_t)SECOND_NS)
#define AFTER_FAILURE_NS (60u * (uint64_t)SECOND_NS)
#define AFTER_NO_SPACE_NS (10u * (uint64_t)SECOND_NS)

struct candidate {
    struct bitcask_partition *node; /* counted, or NULL */
    uint64_t gain;
    uint64_t now_ns;
};

static void consider(void *context, struct bitcask_partition *node, struct bc_partition *instance)
{
    struct candidate *best = context;
    struct bc_merge_run run;

    if (node->merge_not_before_ns > best->now_ns || atomic_load(&instance->poisoned) || atomic_load(&instance->dropped))
        return;
    bc_merge_plan(instance, BC_MERGE_DUE, 0, &run);
    if (run.segments == 0 || (best->node && run.gain <= best->gain)) return;
    bc_node_unref(&best->node);
    bc_node_ref(node);
    best->node = node;
    best->gain = run.gain;
}

/* Notes how it went: a failure is said once, and not tried again for a while. */
static void note_end(struct bc_work *work, struct bitcask_partition *node, bc_status status)
{
    bool full = status == BITCASK_NO_SPACE || status == BITCASK_QUOTA;

    if (status == BITCASK_CANCELLED || status == BITCASK_NOT_FOUND) return;
    if (status != BITCASK_OK && status != node->merge_failed)
        bc_env_log(&node->db->env, BITCASK_LOG_ERROR, "%s: merging partition '%s': %s%s%s", node->db->path,
                   work->path ? work->path : "?", bc_status_text(status), *bc_detail() ? ": " : "", bc_detail());
    if (status != BITCASK_OK)
        node->merge_not_before_ns = bc_monotonic_ns() + (full ? AFTER_NO_SPACE_NS : AFTER_FAILURE_NS);
    node->merge_failed = status;
}

/* Merges one run of node, if it is still open and has one. False if nothing came of it, and nothing will at once. */
static bool merge_one_run(struct bc_work *work, struct bitcask_partition *node)
{
    struct bc_partition *instance;
    struct bc_merge_run run;
    bitcask_merge_result result = {0};
    bc_status status;

    bc_detail_clear();
    instance = bc_node_pin_if_open(node);
    if (!instance) return false;
    status = bc_work_begin(work);
    if (status == BITCASK_OK) {
        /* Planned anew: somebody else may have merged it while the turn was his. */
        bc_merge_plan(instance, BC_MERGE_DUE, 0, &run);
        status = run.segments > 0 ? bc_work_at(work, node, instance) : BITCASK_NOT_FOUND;
        if (status == BITCASK_OK) status = bc_merge_run(work, instance, &run, &result);
        if (bc_is_full(status)) status = bc_reclaim_segment(work, instance, &result);
        note_end(work, node, status);
        bc_work_end(work, status, &result, NULL);
    }
    bc_node_unpin(node);
    return status == BITCASK_OK ? result.merges > 0 : status != BITCASK_IN_USE && status != BITCASK_NO_MEMORY;
}

/* True if something was merged, or tried: then there may be more. cancels: as it was when the scheduler was found to be
 * on. */
static bool look_around(struct bitcask *db, unsigned cancels)
{
    struct candidate best = {.now_ns = bc_monotonic_ns()};
    struct bc_work work = {.kind = BITCASK_WORK_MERGE, .db = db, .background = true, .cancels = cancels};
    bool merged = false;

    (void)bc_nodes_peek(db, consider, &best); /* without memory for a list: another time */
    if (best.node) merged = merge_one_run(&work, best.node);
    bc_node_unref(&best.node);
    return merged;
}

static void *scheduler_main(void *context)
{
    struct bitcask *db = context;
    struct bc_maintenance *maintenance = db->maintenance;

    pthread_mutex_lock(&maintenance->lock);
    while (!maintenance->stopping) {
        struct timespec until = bc_timespec(bc_monotonic_ns() + LOOK_NS);
        unsigned cancels = atomic_load(&maintenance->cancels);
        bool merged;
        int error = 0;

        if (!atomic_load(&maintenance->on)) {
            pthread_cond_wait(&maintenance->wake, &maintenance->lock);
            continue;
        }
        pthread_mutex_unlock(&maintenance->lock);
        merged = look_around(db, cancels);
        pthread_mutex_lock(&maintenance->lock);
        while (!merged && error == 0 && !maintenance->stopping && cancels == atomic_load(&maintenance->cancels))
            error = pthread_cond_timedwait(&maintenance->wake, &maintenance->lock, &until);
    }
    pthread_mutex_unlock(&maintenance->lock);
    return NULL;
}

bc_status bc_db_set_scheduler(struct bitcask *db, bool on)
{
    struct bc_maintenance *maintenance = db->maintenance;
    bc_status status = BITCASK_OK;

    if (db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    pthread_mutex_lock(&maintenance->lock);
    if (on && !maintenance->runs) {
        if (pthread_create(&maintenance->thread, NULL, scheduler_main, db) == 0)
            maintenance->runs = true;
        else
            status = bc_fail(BITCASK_NO_MEMORY, "the thread that merges could not be started");
    }
    if (status == BITCASK_OK) {
        atomic_store(&maintenance->on, on);
        if (!on) atomic_fetch_add(&maintenance->cancels, 1);
        pthread_cond_signal(&maintenance->wake);
    }
    pthread_mutex_unlock(&maintenance->lock);
    return status;
}

void bc_scheduler_stop(struct bitcask *db)
{
    struct bc_maintenance *maintenance = db->maintenance;
    bool runs;

    pthread_mutex_lock(&maintenance->lock);
    runs = maintenance->runs;
    maintenance->runs = false;
    maintenance->stopping = true;
    atomic_store(&maintenance->on, false);
    atomic_fetch_add(&maintenance->cancels, 1);
    pthread_cond_signal(&maintenance->wake);
    pthread_mutex_unlock(&maintenance->lock);
    if (runs) pthread_join(maintenance->thread, NULL);
}
