/* maintain.c - merging, sealing and verifying a partition, or all below it, for a caller who waits for the result.
 *
 * Invariant: an instance is pinned for one partition's work at a time, and not while the next one is looked for.
 */
#include "db/maintain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "partition/verify.h"

/* ---- life ---- */

bc_status bc_maintenance_open(struct bitcask *db, const bitcask_options *options)
{
    struct bc_maintenance *maintenance = calloc(1, sizeof *maintenance);

    if (!maintenance) return BITCASK_NO_MEMORY;
    if (bc_throttle_init(&maintenance->throttle, options->merge_bytes_per_s) != BITCASK_OK) goto no_throttle;
    if (bc_job_open(&maintenance->merge) != BITCASK_OK) goto no_merge;
    if (bc_job_open(&maintenance->verify) != BITCASK_OK) goto no_verify;
    if (pthread_mutex_init(&maintenance->lock, NULL) != 0) goto no_lock;
    if (bc_cond_init_monotonic(&maintenance->wake) != BITCASK_OK) goto no_wake;
    db->maintenance = maintenance;
    /* A reader has nothing to merge, whatever its options say. */
    return options->scheduler && !db->env.read_only ? bc_db_set_scheduler(db, true) : BITCASK_OK;

no_wake:
    pthread_mutex_destroy(&maintenance->lock);
no_lock:
    bc_job_close(&maintenance->verify);
no_verify:
    bc_job_close(&maintenance->merge);
no_merge:
    bc_throttle_release(&maintenance->throttle);
no_throttle:
    free(maintenance);
    return BITCASK_NO_MEMORY;
}

void bc_maintenance_stop(struct bitcask *db)
{
    bc_scheduler_stop(db);
}

void bc_maintenance_close(struct bitcask *db)
{
    struct bc_maintenance *maintenance = db->maintenance;

    if (!maintenance) return;
    db->maintenance = NULL;
    pthread_cond_destroy(&maintenance->wake);
    pthread_mutex_destroy(&maintenance->lock);
    bc_job_close(&maintenance->verify);
    bc_job_close(&maintenance->merge);
    bc_throttle_release(&maintenance->throttle);
    free(maintenance);
}

void bc_db_get_activity(struct bitcask *db, bitcask_activity *activity)
{
    struct bc_maintenance *maintenance = db->maintenance;

    *activity = (bitcask_activity){
        .scheduler = atomic_load(&maintenance->on),
        .merge_bytes_per_s = bc_throttle_get(&maintenance->throttle),
    };
    bc_job_tell(&maintenance->merge, &activity->merge, &activity->merges_waiting);
    bc_job_tell(&maintenance->verify, &activity->verify, NULL);
}

/* ---- over many partitions ---- */

/* The first failure of many partitions, where one's failure does not keep the others from being worked at. */
struct first_failure {
    bc_status status;
    char detail[512];
};

/* OK for what concerns one partition alone: its bytes, its log, or its want of room, which another one's merge may
 * end. */
static bc_status note_failure(struct first_failure *first, bc_status status)
{
    if (status != BITCASK_CORRUPT && status != BITCASK_POISONED && status != BITCASK_NO_SPACE &&
        status != BITCASK_QUOTA)
        return status;
    if (first->status == BITCASK_OK) {
        first->status = status;
        snprintf(first->detail, sizeof first->detail, "%s", bc_detail());
    }
    return BITCASK_OK;
}

/* The status of the whole. */
static bc_status end_with(const struct first_failure *first, bc_status status)
{
    return status == BITCASK_OK && first->status != BITCASK_OK ? bc_fail(first->status, "%s", first->detail) : status;
}

/* All below the root includes the store's own partition. */
static bc_status walk_all(struct bitcask_partition *node, bool below,
                          bc_status (*each)(void *context, struct bitcask_partition *node), void *context)
{
    bc_status status = bc_nodes_walk(node, below, each, context);

    if (status == BITCASK_OK && below && node == node->db->root) status = each(context, node->db->inodes);
    return status;
}

/* ---- merging ---- */

bc_status bc_merge_run(struct bc_work *work, struct bc_partition *instance, const struct bc_merge_run *run,
                       bitcask_merge_result *result)
{
    const struct bc_merge_hooks hooks = {.pace = bc_work_pace, .context = work};
    const bitcask_merge_result before = *result;
    uint64_t started_ns = bc_monotonic_ns(), elapsed_ns, in, out;
    uint64_t target;
    bc_status status;

    bc_work_expect(work, run->live_bytes);
    target = work->bytes_total;
    status = bc_partition_merge(instance, run, &hooks, result);
    elapsed_ns = bc_monotonic_ns() - started_ns;
    instance->merge_ns += elapsed_ns;
    if (status == BITCASK_CANCELLED && work->gone) return BITCASK_NOT_FOUND;
    if (status != BITCASK_OK) return status;
    in = result->bytes_in - before.bytes_in;
    out = result->bytes_out - before.bytes_out;
    instance->merges += result->merges - before.merges;
    instance->merged_bytes += out;
    if (in > out) instance->merge_reclaimed_bytes += in - out;
    if (result->merges > before.merges) {
        bc_histogram_add(&instance->timings.of[BC_TIMED_MERGE], elapsed_ns, 1);
        int64_t now = bc_io_now_ns(instance->env->io);
        instance->last_merge_ns = now > 0 ? (uint64_t)now : 1;
    }
    /* What died meanwhile was expected, and not copied. */
    if (work->bytes_done < target) work->bytes_done = target;
    bc_work_expect(work, 0);
    return BITCASK_OK;
}

struct merge {
    struct bc_work work;
    enum bc_merge_kind kind;
    bitcask_merge_result *result;
    struct first_failure first;
};

static uint64_t count_damaged(struct bc_partition *instance)
{
    uint64_t count = 0;

    bc_fair_lock_soon(&instance->write_lock);
    for (uint32_t i = 0; i < instance->slot_count; i++)
        if (instance->slots[i].segment && instance->slots[i].damaged) count++;
    bc_fair_unlock(&instance->write_lock);
    return count;
}

bc_status bc_merge_seal(struct bc_partition *instance)
{
    bc_status status;

    bc_fair_lock_soon(&instance->write_lock);
    status = bc_partition_writable(instance);
    if (status == BITCASK_OK && instance->active && instance->active->end > instance->active->header_size)
        status = bc_partition_rotate(instance);
    bc_fair_unlock(&instance->write_lock);
    return status;
}

/* The lowest id that is not sealed yet. */
static uint32_t first_unsealed(struct bc_partition *instance)
{
    uint32_t id;

    bc_fair_lock_soon(&instance->write_lock);
    id = instance->active ? instance->active->segment_id : instance->next_segment_id;
    bc_fair_unlock(&instance->write_lock);
    return id;
}

/* Once over all runs of an instance that are worth it below end_id, the oldest first. One that finds no room is passed
 * over, with *full set and the detail line in why: another one may need less, and give some back. */
static bc_status merge_pass(struct merge *merge, enum bc_merge_kind kind, struct bc_partition *instance,
                            uint32_t end_id, bc_status *full, char why[512])
{
    struct bc_merge_run run;
    uint32_t from_id = 0;
    bc_status status = BITCASK_OK;

    *full = BITCASK_OK;
    while (status == BITCASK_OK) {
        uint64_t damaged = count_damaged(instance);

        if (!bc_work_pace(&merge->work, 0)) return merge->work.gone ? BITCASK_NOT_FOUND : BITCASK_CANCELLED;
        bc_merge_plan(instance, kind, from_id, &run);
        if (run.segments == 0 || run.first_id >= end_id) break;
        status = bc_merge_run(&merge->work, instance, &run, merge->result);
        if (status == BITCASK_NO_SPACE || status == BITCASK_QUOTA) {
            snprintf(why, 512, "%s", bc_detail());
            *full = status;
            status = BITCASK_OK;
        }
        if (status == BITCASK_CORRUPT) {
            /* It turned out to be damaged, and is left alone as those that were known to be. Around it, what remains
             * of the run is planned anew. */
            status = BITCASK_OK;
            if (count_damaged(instance) > damaged) continue;
        }
        if (run.last_id == UINT32_MAX) break;
        from_id = run.last_id + 1;
    }
    return status;
}

/* All runs of an instance that are worth it. What is sealed while it works is for another time: beside a fast writer it
 * would never end. On a full disk as long as a pass gave room back that others lacked; where none did, segment by
 * segment, which takes the least room at a time. */
static bc_status merge_runs(struct merge *merge, struct bc_partition *instance)
{
    const bitcask_merge_result *result = merge->result;
    uint32_t end_id = first_unsealed(instance);
    bc_status status, full;
    char why[512] = "";
    uint64_t before;

    do {
        bc_status alone;

        before = result->bytes_in - result->bytes_out;
        status = merge_pass(merge, merge->kind, instance, end_id, &full, why);
        if (status == BITCASK_OK && full != BITCASK_OK && result->bytes_in - result->bytes_out <= before)
            status = merge_pass(merge, BC_MERGE_ONE, instance, end_id, &alone, why);
    } while (status == BITCASK_OK && full != BITCASK_OK && result->bytes_in - result->bytes_out > before);
    return status == BITCASK_OK && full != BITCASK_OK ? bc_fail(full, "%s", why) : status;
}

static bc_status merge_one(void *context, struct bitcask_partition *node)
{
    struct merge *merge = context;
    struct bc_partition *instance;
    bc_status status = bc_node_pin(node, &instance);

    if (status != BITCASK_OK) return note_failure(&merge->first, status);
    status = bc_work_at(&merge->work, node, instance);
    if (status == BITCASK_OK && bc_merge_wants_rotation(instance, merge->kind)) status = bc_merge_seal(instance);
    /* No room for the next active segment: all the more reason to merge what is sealed. */
    if (status == BITCASK_NO_SPACE || status == BITCASK_QUOTA) status = BITCASK_OK;
    if (status == BITCASK_OK) status = merge_runs(merge, instance);
    if (status != BITCASK_NOT_FOUND) merge->result->damaged += count_damaged(instance);
    merge->work.instance = NULL;
    bc_node_unpin(node);
    return note_failure(&merge->first, status);
}

bc_status bc_db_merge(struct bitcask_partition *node, const bitcask_merge_options *options,
                      bitcask_merge_result *result)
{
    struct merge merge = {
        .work = {.kind = BITCASK_WORK_MERGE,
                 .db = node->db,
                 .progress = options->progress,
                 .context = options->context},
        .kind = options->flags & BITCASK_MERGE_FULL ? BC_MERGE_FULL : BC_MERGE_WORTH,
        .result = result,
    };
    bc_status status;

    *result = (bitcask_merge_result){0};
    if (node->db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    status = bc_work_begin(&merge.work);
    if (status != BITCASK_OK) return status;
    status = walk_all(node, options->flags & BITCASK_BELOW, merge_one, &merge);
    status = end_with(&merge.first, status);
    /* What went well is told of where it began, a failure of where it happened. */
    if (status == BITCASK_OK) (void)bc_work_at(&merge.work, node, NULL);
    bc_work_end(&merge.work, status, result, NULL);
    return status;
}

/* ---- sealing ---- */

static bc_status rotate_one(void *context, struct bitcask_partition *node)
{
    struct bc_partition *instance;
    bc_status status = bc_node_pin(node, &instance);

    if (status == BITCASK_OK) {
        status = bc_merge_seal(instance);
        bc_node_unpin(node);
    }
    return note_failure(context, status);
}

bc_status bc_db_rotate(struct bitcask_partition *node, unsigned flags)
{
    struct first_failure first = {.status = BITCASK_OK};
    bc_status status;

    if (node->db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    status = walk_all(node, flags & BITCASK_BELOW, rotate_one, &first);
    return end_with(&first, status);
}

/* ---- verifying ---- */

struct verify {
    struct bc_work work;
    const bitcask_verify_options *options;
    bitcask_verify_result *result;
};

static bool found(void *context, const bitcask_finding *finding)
{
    struct verify *verify = context;

    if (verify->options->found && !verify->options->found(verify->options->context, finding))
        verify->work.cancelled = true;
    return !verify->work.cancelled;
}

static bool pace(void *context, uint64_t bytes)
{
    struct verify *verify = context;

    return bc_work_pace(&verify->work, bytes);
}

static bc_status verify_one(void *context, struct bitcask_partition *node)
{
    struct verify *verify = context;
    struct bc_work *work = &verify->work;
    struct bc_verify call = {
        .env = &node->db->env, .found = found, .pace = pace, .context = verify, .result = verify->result};
    struct bc_partition *instance = NULL;
    bc_status status = bc_node_pin(node, &instance), entered;

    if (status != BITCASK_OK && status != BITCASK_CORRUPT) return status;
    entered = bc_work_at(work, node, instance);
    call.path = work->path;
    if (entered != BITCASK_OK) {
        status = entered;
    } else if (status == BITCASK_CORRUPT) {
        status = bc_verify_files(&call, node->id);
    } else {
        bitcask_stats stats = {0};

        bc_partition_stats(instance, &stats);
        bc_work_expect(work, stats.data_bytes);
        status = bc_verify_partition(&call, instance);
        if (status == BITCASK_CANCELLED && work->gone) status = BITCASK_NOT_FOUND;
    }
    work->instance = NULL;
    if (instance) bc_node_unpin(node);
    return status;
}

bc_status bc_db_verify(struct bitcask_partition *node, const bitcask_verify_options *options,
                       bitcask_verify_result *result)
{
    struct verify verify = {
        .work = {.kind = BITCASK_WORK_VERIFY,
                 .db = node->db,
                 .progress = options->progress,
                 .context = options->context},
        .options = options,
        .result = result,
    };
    bc_status status;

    *result = (bitcask_verify_result){0};
    status = bc_work_begin(&verify.work);
    if (status != BITCASK_OK) return status;
    status = walk_all(node, options->flags & BITCASK_BELOW, verify_one, &verify);
    if (status == BITCASK_OK && (options->flags & BITCASK_BELOW) && node == node->db->root) {
        const struct bc_verify call = {.env = &node->db->env,
                                       .path = "(inodes)",
                                       .found = found,
                                       .context = &verify,
                                       .result = result};
        status = bc_verify_links(node->db, &call);
    }
    if (status == BITCASK_OK) (void)bc_work_at(&verify.work, node, NULL);
    bc_work_end(&verify.work, status, NULL, result);
    return status;
}
