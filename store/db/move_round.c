/* move_round.c - renames that touch two logs: across partitions, or over a name of an inode.
 *
 * They are gathered into rounds (round.c), as many as do not depend on one another.
 */
#include "db/move.h"

#include <stdlib.h>
#include <string.h>

#define ROUND_BYTES (16u * 1024u * 1024u)

struct gathered {
    struct bc_round *round;
    struct bc_move *moves;
    size_t count; /* prepared */
};

/* Pins all that takes part in the round. */
static bc_status gather_sides(struct gathered *gathered, const bitcask_move_item *items, size_t count)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < count && status == BITCASK_OK; i++) {
        struct bc_move *move = &gathered->moves[i];

        status = bc_move_find_replaced(move);
        if (status == BITCASK_OK) status = bc_round_add_side(gathered->round, items[i].to, &move->to);
        if (status == BITCASK_OK) status = bc_round_add_side(gathered->round, items[i].from, &move->from);
        if (status == BITCASK_OK && move->replaced)
            status = bc_round_add_side(gathered->round, move->replaced, &move->replaced_instance);
    }
    return status;
}

static bool same_name(const struct bitcask_partition *a, const void *a_key, size_t a_size,
                      const struct bitcask_partition *b, const void *b_key, size_t b_size)
{
    return a == b && a_size == b_size && memcmp(a_key, b_key, a_size) == 0;
}

/* Whether a move of the round so far concerns a name of this item. */
static bool concerns(const struct gathered *gathered, const bitcask_move_item *item)
{
    for (size_t i = 0; i < gathered->count; i++) {
        const bitcask_move_item *other = gathered->moves[i].item;

        if (same_name(item->from, item->from_key, item->from_key_size, other->from, other->from_key,
                      other->from_key_size) ||
            same_name(item->from, item->from_key, item->from_key_size, other->to, other->to_key, other->to_key_size) ||
            same_name(item->to, item->to_key, item->to_key_size, other->from, other->from_key, other->from_key_size) ||
            same_name(item->to, item->to_key, item->to_key_size, other->to, other->to_key, other->to_key_size))
            return true;
    }
    return false;
}

/* Whether one of the two names is a partition's. Its write locks are held. */
static bool moves_partition(const struct bc_move *move)
{
    const bitcask_move_item *item = move->item;
    struct bc_entry entry;

    return (bc_index_get(move->from->index, item->from_key, item->from_key_size, &entry) == BITCASK_OK &&
            (entry.flags & BC_ENTRY_PARTITION)) ||
           (bc_index_get(move->to->index, item->to_key, item->to_key_size, &entry) == BITCASK_OK &&
            (entry.flags & BC_ENTRY_PARTITION));
}

/* The name that is moved over loses its inode. *later: the round has changed that one already. */
static bc_status add_replaced_inode(struct gathered *gathered, struct bc_move *move, bool *later)
{
    struct bc_inode *inode;
    bc_status status;

    if (move->replaced_ino == 0) return BITCASK_OK;
    *later = bc_round_has_inode(gathered->round, move->replaced_ino);
    if (*later) return BITCASK_OK;
    status = bc_change_inode(&move->change, bc_round_inodes(gathered->round), move->replaced_ino, &inode);
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* damage; the name is better off with what is moved here */
    if (status == BITCASK_OK && inode->links > 0) inode->links--;
    return status;
}

static bc_status prepare(struct gathered *gathered, struct bc_move *move, bool *later)
{
    bc_status status = bc_move_prepare(move);

    if (status != BITCASK_OK || move->same) return status;
    status = add_replaced_inode(gathered, move, later);
    if (status == BITCASK_OK && !*later) status = bc_change_add(&move->change, move->item->to, &move->put);
    if (status == BITCASK_OK && !*later) status = bc_change_add(&move->change, move->item->from, &move->removal);
    if (status == BITCASK_OK && !*later) status = bc_round_take(gathered->round, &move->change);
    return status;
}

/* Prepares moves, from the first on, until one cannot be done: *stop is its status. What depends on an earlier move is
 * left to the next round, since index and tree show that one only when this round is over: a name of it, which would
 * else be moved twice or replaced unseen; an inode; and partitions, which must be found empty and make no loop. All
 * write locks are held. */
static void prepare_moves(struct gathered *gathered, size_t count, bc_status *stop)
{
    uint64_t bytes = 0;
    bool alone = false, later = false;

    while (gathered->count < count && bytes < ROUND_BYTES && !alone) {
        struct bc_move *move = &gathered->moves[gathered->count];

        alone = moves_partition(move);
        if (gathered->count > 0 && (alone || concerns(gathered, move->item))) return;
        *stop = prepare(gathered, move, &later);
        if (*stop != BITCASK_OK || later) {
            bc_move_take_back(move);
            return;
        }
        bytes += move->put.value_size + move->removal.value_size;
        gathered->count++;
    }
}

bc_status bc_moves_round(struct bitcask *db, const bitcask_move_item *items, size_t count, size_t *done)
{
    struct gathered gathered = {.moves = calloc(count, sizeof *gathered.moves)};
    size_t moved = 0;
    bc_status status = gathered.moves ? bc_round_open(db, &gathered.round) : BITCASK_NO_MEMORY, stop = BITCASK_OK;

    for (size_t i = 0; gathered.moves && i < count; i++) gathered.moves[i].item = &items[i];
    if (status == BITCASK_OK) {
        status = gather_sides(&gathered, items, count);
        if (status == BITCASK_OK) {
            status = bc_round_lock(gathered.round);
            if (status == BITCASK_OK) prepare_moves(&gathered, count, &stop);
            if (status == BITCASK_OK && bc_round_count(gathered.round) > 0) status = bc_round_commit(gathered.round);
            if (status != BITCASK_OK)
                for (size_t i = 0; i < gathered.count; i++) bc_move_take_back(&gathered.moves[i]);
        }
        bc_round_end(&gathered.round);
    }
    /* Those that were not done first: they may have pinned the partition that one that was done replaces, and
     * bc_move_update_tree() waits for all its pins. */
    if (status == BITCASK_OK) moved = gathered.count;
    for (size_t i = moved; gathered.moves && i < count; i++) bc_move_release(&gathered.moves[i]);
    for (size_t i = 0; i < moved; i++) {
        bc_move_update_tree(&gathered.moves[i]);
        bc_move_release(&gathered.moves[i]);
    }
    free(gathered.moves);
    *done += moved;
    return status != BITCASK_OK ? status : stop;
}
