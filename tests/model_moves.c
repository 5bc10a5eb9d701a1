/* model_moves.c - random renames: of keys and partitions, within and across partitions, replacing and exchanging.
 */
#include "model_ops.h"

#include <stdio.h>
#include <string.h>

#define ITEMS_MAX 3u

struct move {
    struct model_partition *from, *to;
    struct model_name from_name, to_name;
    unsigned flags;
    bool has_attrs;
    bitcask_attrs attrs;
    uint8_t xattrs[MODEL_XATTRS_MAX];
};

static bool same_name(const struct model_partition *a, const struct model_name *a_name, const struct model_partition *b,
                      const struct model_name *b_name)
{
    return a == b && a_name->size == b_name->size && memcmp(a_name->bytes, b_name->bytes, a_name->size) == 0;
}

static bool meet(const struct move *a, const struct move *b)
{
    return same_name(a->from, &a->from_name, b->from, &b->from_name) ||
           same_name(a->from, &a->from_name, b->to, &b->to_name) ||
           same_name(a->to, &a->to_name, b->from, &b->from_name) || same_name(a->to, &a->to_name, b->to, &b->to_name);
}

static bool touches_partition(const struct move *move)
{
    struct model_item *from = model_find(move->from, move->from_name.bytes, move->from_name.size);
    struct model_item *to = model_find(move->to, move->to_name.bytes, move->to_name.size);
    return (from && from->child) || (to && to->child);
}

static void random_move(struct model_run *run, struct move *move)
{
    move->from = model_pick(run);
    move->to = fixture_below(&run->rng, 3) ? move->from : model_pick_any(run);
    model_random_name(run, &move->from_name);
    model_random_name(run, &move->to_name);
    /* Mostly something that is there. */
    if (move->from->count && fixture_below(&run->rng, 4)) {
        const struct model_item *item = move->from->items[fixture_below(&run->rng, move->from->count)];
        move->from_name.size = item->name_size;
        memcpy(move->from_name.bytes, item->name, item->name_size);
    }
    static const unsigned flags[] = {0, 0, BITCASK_NOREPLACE, BITCASK_EXCHANGE};
    move->flags = flags[fixture_below(&run->rng, 4)];
    struct model_item *item = model_find(move->from, move->from_name.bytes, move->from_name.size);
    model_random_attrs(run, &move->attrs, true);
    if (!item || !item->child) move->attrs.mode ^= 0140000u;
    memcpy(move->xattrs, move->attrs.xattrs, move->attrs.xattrs_size);
    move->attrs.xattrs = move->xattrs;
    move->has_attrs = move->flags != BITCASK_EXCHANGE && fixture_below(&run->rng, 2);
}

/* One bit for each status that the move may end with; none: it succeeds. */
static uint32_t reasons_against(const struct move *move)
{
    const struct model_item *from = model_find(move->from, move->from_name.bytes, move->from_name.size);
    const struct model_item *to = model_find(move->to, move->to_name.bytes, move->to_name.size);
    bool exchange = move->flags == BITCASK_EXCHANGE;
    uint32_t reasons = 0;
    if (!from || (exchange && !to)) reasons |= 1u << BITCASK_NOT_FOUND;
    if (to && move->flags == BITCASK_NOREPLACE) reasons |= 1u << BITCASK_EXISTS;
    if (from && from->child && model_within(move->to, from->child)) reasons |= 1u << BITCASK_LOOP;
    if (exchange && to && to->child && model_within(move->from, to->child)) reasons |= 1u << BITCASK_LOOP;
    if (exchange || !from || !to) return reasons;
    if (!from->child && to->child) reasons |= 1u << BITCASK_IS_PARTITION;
    if (from->child && !to->child) reasons |= 1u << BITCASK_NOT_PARTITION;
    if (to->child && to->child->count > 0) reasons |= 1u << BITCASK_NOT_EMPTY;
    return reasons;
}

static void rename_item(struct model_item *item, const struct model_name *name)
{
    item->name_size = name->size;
    memcpy(item->name, name->bytes, name->size);
}

/* Does the move in the model; the version, which only the store knows, is read back. */
static bool apply(struct model_run *run, const struct move *move)
{
    struct model_item *item = model_take(move->from, move->from_name.bytes, move->from_name.size);
    struct model_item *other = model_take(move->to, move->to_name.bytes, move->to_name.size);
    if (move->flags == BITCASK_EXCHANGE) {
        rename_item(other, &move->from_name);
        model_insert(move->from, other);
    } else if (other) {
        if (other->child) {
            bitcask_partition_close(&other->child->handle);
            model_free(other->child);
        }
        model_free_item(other);
    }
    rename_item(item, &move->to_name);
    model_insert(move->to, item);
    if (move->has_attrs) model_merge_attrs(item, &move->attrs);
    bool exchange = move->flags == BITCASK_EXCHANGE;
    bitcask_entry entry;
    if (!exchange) {
        bitcask_status status =
            bitcask_stat(model_handle(run, move->from), move->from_name.bytes, move->from_name.size, &entry);
        if (!fixture_expect(BITCASK_NOT_FOUND, status, "stat of the old name", __FILE__, __LINE__)) return false;
        return model_refresh(run, move->to, item);
    }
    /* Within one partition either of the two may have the higher version. */
    uint64_t last = move->to->last_version;
    if (!model_refresh(run, move->to, item)) return false;
    if (move->from == move->to) move->to->last_version = last;
    if (!model_refresh(run, move->from, other)) return false;
    if (move->from->last_version < item->version && move->from == move->to && !item->linked) move->from->last_version = item->version;
    return item->version != other->version || move->from != move->to;
}

bool model_op_move(struct model_run *run)
{
    static struct move moves[ITEMS_MAX];
    bitcask_move_item items[ITEMS_MAX];
    size_t count = 0, wanted = fixture_below(&run->rng, 4) ? 1 : ITEMS_MAX, done = SIZE_MAX, good = 0;
    for (size_t i = 0; i < wanted; i++) {
        struct move *move = &moves[count];
        random_move(run, move);
        bool usable = !same_name(move->from, &move->from_name, move->to, &move->to_name);
        for (size_t j = 0; j < count; j++) usable &= !meet(move, &moves[j]);
        if (wanted > 1 && touches_partition(move)) usable = false;
        if (usable) count++;
    }
    for (size_t i = 0; i < count; i++) {
        struct move *move = &moves[i];
        if (!model_handle(run, move->from) || !model_handle(run, move->to)) return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct move *move = &moves[i];
        items[i] = (bitcask_move_item){.from = move->from->handle,
                                       .from_key = move->from_name.bytes,
                                       .from_key_size = move->from_name.size,
                                       .to = move->to->handle,
                                       .to_key = move->to_name.bytes,
                                       .to_key_size = move->to_name.size,
                                       .flags = move->flags,
                                       .attrs = move->has_attrs ? &move->attrs : NULL};
    }
    if (count == 0) return true;
    while (good < count && reasons_against(&moves[good]) == 0) good++;
    uint32_t reasons = good < count ? reasons_against(&moves[good]) : 1u << BITCASK_OK;
    bitcask_status status = bitcask_move(run->db, items, count, &done);
    if (!(reasons & (1u << status)) || done != good) {
        fprintf(stderr, "model: move of %zu: '%s' (%s), %zu done; wanted one of statuses %#x after %zu\n", count,
                bitcask_status_text(status), bitcask_error_detail(), done, reasons, good);
        return false;
    }
    for (size_t i = 0; i < good; i++)
        if (!apply(run, &moves[i])) return false;
    return true;
}
