/* reclaim.c - see reclaim.h.
 */
#include "db/reclaim.h"

#include "db/maintain.h"

#define SECOND_NS 1000000000u
#define PATIENCE_NS (5u * (uint64_t)SECOND_NS)

bc_status bc_reclaim_segment(struct bc_work *work, struct bc_partition *instance, bitcask_merge_result *result)
{
    struct bc_merge_run run;
    bc_status status = BITCASK_NO_SPACE;

    bc_merge_plan(instance, BC_MERGE_ONE, 0, &run);
    while (run.segments > 0 && bc_is_full(status)) {
        status = bc_merge_run(work, instance, &run, result);
        if (!bc_is_full(status) || run.last_id == UINT32_MAX) break;
        bc_merge_plan(instance, BC_MERGE_ONE, run.last_id + 1, &run);
    }
    return status;
}

/* ---- for one deletion ---- */

struct patience {
    uint64_t until_ns;
};

static bool be_patient(void *context, const bitcask_progress *progress)
{
    const struct patience *patience = context;

    (void)progress;
    return bc_monotonic_ns() < patience->until_ns;
}

/* The open partition that has most to give in one segment. */
struct richest {
    struct bitcask_partition *node; /* counted, or NULL */
    uint64_t gain;
};

static void compare(void *context, struct bitcask_partition *node, struct bc_partition *instance)
{
    struct richest *richest = context;
    struct bc_merge_run run;

    if (atomic_load(&instance->poisoned) || atomic_load(&instance->dropped)) return;
    bc_merge_plan(instance, BC_MERGE_ONE, 0, &run);
    if (run.segments == 0 || (richest->node && run.gain <= richest->gain)) return;
    bc_node_unref(&richest->node);
    bc_node_ref(node);
    richest->node = node;
    richest->gain = run.gain;
}

/* Whether something came back from this one. */
static bool reclaim_from(struct bc_work *work, struct bitcask_partition *node, bitcask_merge_result *result)
{
    struct bc_partition *instance;
    struct bc_merge_run run;
    uint64_t before = result->bytes_in - result->bytes_out;
    bc_status status = bc_node_pin(node, &instance);

    if (status != BITCASK_OK) return false;
    bc_merge_plan(instance, BC_MERGE_ONE, 0, &run);
    /* What is dead may all be in the segment that is written to. */
    if (run.segments == 0 && bc_merge_wants_rotation(instance, BC_MERGE_ONE)) (void)bc_merge_seal(instance);
    status = bc_work_at(work, node, instance);
    if (status == BITCASK_OK) status = bc_reclaim_segment(work, instance, result);
    work->instance = NULL;
    bc_node_unpin(node);
    return status == BITCASK_OK && result->bytes_in - result->bytes_out > before;
}

bool bc_db_reclaim(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct patience patience = {bc_monotonic_ns() + PATIENCE_NS};
    struct bc_work work = {.kind = BITCASK_WORK_MERGE, .db = db, .progress = be_patient, .context = &patience};
    struct richest richest = {0};
    struct bc_failure kept = {0};
    bool gained = false;

    bc_failure_note(&kept, BITCASK_NO_SPACE);
    if (bc_work_begin(&work) == BITCASK_OK) {
        bitcask_merge_result result = {0};

        gained = reclaim_from(&work, node, &result) || reclaim_from(&work, db->inodes, &result);
        if (!gained) {
            (void)bc_nodes_peek(db, compare, &richest);
            gained = richest.node && reclaim_from(&work, richest.node, &result);
            bc_node_unref(&richest.node);
        }
        bc_work_end(&work, gained ? BITCASK_OK : BITCASK_NO_SPACE, &result, NULL);
    }
    (void)bc_failure_end(&kept);
    return gained;
}
