/* accounts.c - see accounts.h.
 */
#include "accounts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct recount {
    const struct bc_partition *instance;
    uint64_t *bytes, *keys; /* by slot */
    size_t lost;            /* entries whose place holds no segment, or whose record reaches beyond its end */
};

static bool count_entry(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct recount *recount = context;
    const struct bc_segment *segment =
        entry->slot < recount->instance->slot_count ? recount->instance->slots[entry->slot].segment : NULL;

    (void)key;
    (void)key_size;
    if (!segment || entry->offset + (uint64_t)entry->record_size > segment->end) {
        recount->lost++;
        return true;
    }
    recount->bytes[entry->slot] += entry->record_size;
    recount->keys[entry->slot]++;
    return true;
}

static bool compare(const struct bc_partition *instance, const struct recount *recount)
{
    bool same = recount->lost == 0;

    if (!same) fprintf(stderr, "the index names %zu records that are in no segment\n", recount->lost);
    for (uint32_t i = 0; i < instance->slot_count; i++) {
        const struct bc_slot *slot = &instance->slots[i];
        bool sane = !slot->segment || slot->live_bytes + slot->segment->header_size <= slot->segment->end ||
                    slot->segment->memory;

        if (sane && slot->live_bytes == recount->bytes[i] && slot->live_keys == recount->keys[i]) continue;
        fprintf(stderr,
                "%s: said to hold %" PRIu64 " live bytes, %" PRIu64 " keys; it holds %" PRIu64 ", %" PRIu64 "\n",
                slot->segment ? slot->segment->name : "a free place", slot->live_bytes, slot->live_keys,
                recount->bytes[i], recount->keys[i]);
        same = false;
    }
    return same;
}

bool accounts_agree(struct bc_partition *instance)
{
    struct recount recount = {.instance = instance};
    bool same;

    bc_fair_lock_soon(&instance->write_lock);
    recount.bytes = calloc(instance->slot_count + 1, sizeof *recount.bytes);
    recount.keys = calloc(instance->slot_count + 1, sizeof *recount.keys);
    if (!recount.bytes || !recount.keys) exit(99);
    bc_index_walk(instance->index, BC_SEEK_GE, "", 0, SIZE_MAX, count_entry, &recount);
    same = compare(instance, &recount);
    bc_fair_unlock(&instance->write_lock);
    free(recount.bytes);
    free(recount.keys);
    return same;
}
