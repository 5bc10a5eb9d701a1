/* merge_plan.c - which segments are worth merging: by what of them is dead, and by how many small ones stand together.
 *
 * A run is a stretch of neighbouring sealed segments, whose live records fit into one of the size that segments have.
 * Damaged ones are no part of any: they are repaired, not merged. What is dead but for a tombstone counts as kept as
 * long as an older segment may need it: else a segment of tombstones would be merged for ever, and give nothing back.
 */
#include "partition/merge.h"

#include <stdlib.h>

#define SMALL_SHARE 4u   /* a segment is small below this part of the size that segments have */
#define DUE_SMALL 4u     /* so many small neighbours are due */
#define WORTH_PERCENT 5u /* of a segment dead: worth it when asked for */
#define DUE_PERCENT 50u  /* due */
#define JOIN_PERCENT 25u /* a neighbour of one that is due goes along */
#define LEAST_GAIN 4096u /* bytes; nobody misses less */

/* A sealed segment, as far as the plan needs it. */
struct candidate {
    uint32_t id;
    uint64_t bytes;
    uint64_t keeps; /* bytes that a merge will write again, about */
    bool damaged;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static uint64_t dead_bytes(const struct bc_slot *slot)
{
    uint64_t used = slot->segment->header_size + slot->live_bytes;
    return slot->segment->end > used ? slot->segment->end - used : 0;
}

/* Lists the sealed segments by id. write_lock held. */
static size_t list_sealed(const struct bc_partition *partition, struct candidate *list)
{
    size_t count = 0;
    uint32_t oldest = UINT32_MAX;

    for (uint32_t i = 0; i < partition->slot_count; i++) {
        const struct bc_slot *slot = &partition->slots[i];
        if (!slot->segment || slot->segment->memory || slot->segment == partition->active) continue;
        if (slot->segment->segment_id < oldest) oldest = slot->segment->segment_id;
    }
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        const struct bc_slot *slot = &partition->slots[i];
        uint64_t dead, kept;

        if (!slot->segment || slot->segment->memory || slot->segment == partition->active) continue;
        dead = dead_bytes(slot);
        kept = slot->segment->segment_id == oldest || slot->tombstones_due ? 0 : slot->tombstone_bytes;
        if (kept > dead) kept = dead;
        list[count++] = (struct candidate){
            .id = slot->segment->segment_id,
            .bytes = slot->segment->end,
            .keeps = slot->segment->end - dead + kept,
            .damaged = slot->damaged,
        };
    }
    qsort(list, count, sizeof *list, compare_candidates);
    return count;
}

static bool gives(const struct candidate *candidate, unsigned percent)
{
    uint64_t gain = candidate->bytes - candidate->keeps;
    return gain >= LEAST_GAIN && gain * 100 >= candidate->bytes * percent;
}

static void add(struct bc_merge_run *run, const struct candidate *candidate)
{
    if (run->segments == 0) run->first_id = candidate->id;
    run->last_id = candidate->id;
    run->segments++;
    run->bytes += candidate->bytes;
    run->live_bytes += candidate->keeps;
    run->gain += candidate->bytes - candidate->keeps;
}

/* The run that begins at list[at], as far as its members are of use to each other. */
static void grow(const struct candidate *list, size_t count, size_t at, enum bc_merge_kind kind, uint64_t size,
                 struct bc_merge_run *run)
{
    unsigned percent = kind == BC_MERGE_DUE ? JOIN_PERCENT : WORTH_PERCENT;

    if (kind == BC_MERGE_ONE) size = 0;
    *run = (struct bc_merge_run){0};
    for (size_t i = at; i < count && !list[i].damaged; i++) {
        bool small = list[i].keeps < size / SMALL_SHARE;

        if (run->segments > 0 && run->live_bytes + list[i].keeps > size) break;
        if (kind != BC_MERGE_FULL && !small && !gives(&list[i], percent)) break;
        add(run, &list[i]);
    }
}

static bool is_worth_it(const struct candidate *list, size_t at, const struct bc_merge_run *run,
                        enum bc_merge_kind kind)
{
    bool due = false;

    if (run->segments == 0) return false;
    if (kind == BC_MERGE_FULL) return true;
    for (size_t i = at; i < at + run->segments; i++)
        if (gives(&list[i], kind == BC_MERGE_DUE ? DUE_PERCENT : WORTH_PERCENT)) due = true;
    return due || run->segments >= (kind == BC_MERGE_DUE ? DUE_SMALL : 2);
}

void bc_merge_plan(struct bc_partition *partition, enum bc_merge_kind kind, uint32_t from_id, struct bc_merge_run *run)
{
    struct candidate *list = NULL;
    size_t count = 0;

    *run = (struct bc_merge_run){0};
    if (atomic_load(&partition->cold)) return; /* what is dead in it shows with its index */
    bc_fair_lock_soon(&partition->write_lock);
    list = malloc((partition->slot_count + 1) * sizeof *list);
    if (list) count = list_sealed(partition, list);
    bc_fair_unlock(&partition->write_lock);
    for (size_t i = 0; i < count; i++) {
        if (list[i].id < from_id) continue;
        grow(list, count, i, kind, partition->env->segment_size, run);
        if (is_worth_it(list, i, run, kind)) break;
        *run = (struct bc_merge_run){0};
    }
    free(list);
}

bool bc_merge_wants_rotation(struct bc_partition *partition, enum bc_merge_kind kind)
{
    bool wanted = false;

    if (kind == BC_MERGE_DUE) return false; /* it will be sealed in its time */
    bc_fair_lock_soon(&partition->write_lock);
    if (partition->active && !partition->slots[partition->active_slot].damaged) {
        uint64_t dead = dead_bytes(&partition->slots[partition->active_slot]), end = partition->active->end;
        wanted = kind == BC_MERGE_FULL ? end > partition->active->header_size
                                       : dead >= LEAST_GAIN && dead * 100 >= end * WORTH_PERCENT;
    }
    bc_fair_unlock(&partition->write_lock);
    return wanted;
}
