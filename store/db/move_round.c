/* move_round.c - what touches two logs: renames across partitions, or over a name of an inode; links and deletions.
 *
 * They are gathered into rounds (round.c), as many as do not depend on one another.
 */
#include "db/move.h"

#include <stdlib.h>
#include <string.h>

#define ROUND_BYTES (16u * 1024u * 1024u)
#define ROUND_ITEMS 2048u /* links and deletions; */
#define ROUND_MOVES 32u   /* moves, whose values are written twice; */
#define ROUND_SIDES 64u   /* and the partitions of all of them, which are open at once */

struct gathered {
    struct bc_round *round;
    struct bc_round_names names;
    struct bc_move *moves;
    size_t most;  /* whose partitions are pinned */
    size_t count; /* prepared */
};

static bool is_plain(const bitcask_move_item *item)
{
    return !(item->flags & (BITCASK_LINK | BITCASK_REMOVE));
}

static bc_status gather_one(struct gathered *gathered, struct bc_move *move)
{
    const bitcask_move_item *item = move->item;
    bc_status status = BITCASK_OK;

    if (is_plain(item)) status = bc_move_find_replaced(move);
    if (status == BITCASK_OK && !(item->flags & BITCASK_REMOVE))
        status = bc_round_add_side(gathered->round, item->to, &move->to);
    if (status == BITCASK_OK && !bc_is_files(item->from))
        status = bc_round_add_side(gathered->round, item->from, &move->from);
    if (status == BITCASK_OK && move->replaced)
        status = bc_round_add_side(gathered->round, move->replaced, &move->replaced_instance);
    return status;
}

/* Pins all that takes part in the round, and says how much of the items that is. */
static bc_status gather_sides(struct gathered *gathered, size_t count)
{
    bc_status status = BITCASK_OK;
    size_t plain = 0;

    while (gathered->most < count && status == BITCASK_OK) {
        struct bc_move *move = &gathered->moves[gathered->most];

        if (is_plain(move->item) && ++plain > ROUND_MOVES) break;
        if (gathered->most > 0 && bc_round_sides(gathered->round) >= ROUND_SIDES) break;
        status = gather_one(gathered, move);
        if (status == BITCASK_OK) gathered->most++;
    }
    return status;
}

/* Whether the round has changed a name of this item already. */
static bool concerns(const struct gathered *gathered, const bitcask_move_item *item)
{
    return bc_round_names_find(&gathered->names, item->from, item->from_key, item->from_key_size) ||
           bc_round_names_find(&gathered->names, item->to, item->to_key, item->to_key_size);
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
    *later = bc_round_find_inode(gathered->round, move->replaced_ino) != NULL;
    if (*later) return BITCASK_OK;
    status = bc_change_inode(&move->change, bc_round_inodes(gathered->round), move->replaced_ino, &inode);
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* damage; the name is better off with what is moved here */
    if (status == BITCASK_OK && inode->links > 0) inode->links--;
    return status;
}

static bc_status prepare_plain(struct gathered *gathered, struct bc_move *move, bool *later)
{
    const bitcask_move_item *item = move->item;
    bc_status status = bc_move_prepare(move);

    if (status != BITCASK_OK || move->same) return status;
    status = add_replaced_inode(gathered, move, later);
    if (status == BITCASK_OK && !*later) status = bc_change_add(&move->change, item->to, &move->put);
    if (status == BITCASK_OK && !*later) status = bc_change_add(&move->change, item->from, &move->removal);
    if (status == BITCASK_OK && !*later) status = bc_round_take(gathered->round, &move->change);
    if (status != BITCASK_OK || *later) return status;
    bc_round_names_add(&gathered->names, item->from, item->from_key, item->from_key_size, 0);
    bc_round_names_add(&gathered->names, item->to, item->to_key, item->to_key_size, 0);
    return BITCASK_OK;
}

static bc_status prepare(struct gathered *gathered, struct bc_move *move, bool *later)
{
    if (move->item->flags & BITCASK_LINK) return bc_link_prepare(gathered->round, &gathered->names, move, later);
    if (move->item->flags & BITCASK_REMOVE) return bc_removal_prepare(gathered->round, &gathered->names, move, later);
    return prepare_plain(gathered, move, later);
}

/* Prepares moves, from the first on, until one cannot be done: *stop is its status. What depends on an earlier move is
 * left to the next round, since index and tree show that one only when this round is over: a name of it, which would
 * else be moved twice or replaced unseen; an inode, but see link_round.c; and partitions, which must be found empty and
 * make no loop. All write locks are held. */
static void prepare_moves(struct gathered *gathered, bc_status *stop)
{
    uint64_t bytes = 0;
    bool alone = false, later = false;

    while (gathered->count < gathered->most && bytes < ROUND_BYTES && !alone) {
        struct bc_move *move = &gathered->moves[gathered->count];
        bool plain = is_plain(move->item);

        alone = plain && moves_partition(move);
        if (plain && gathered->count > 0 && (alone || concerns(gathered, move->item))) return;
        *stop = prepare(gathered, move, &later);
        if (*stop != BITCASK_OK || later) {
            bc_move_take_back(move);
            return;
        }
        bytes += move->put.value_size + move->removal.value_size + move->content.size;
        gathered->count++;
    }
}

/* What was done is in the logs: the tree of names follows. */
static void finish_move(struct bc_move *move)
{
    if (is_plain(move->item))
        bc_move_update_tree(move);
    else if (move->item->file_id)
        *move->item->file_id = move->ino;
    bc_move_release(move);
}

bc_status bc_moves_round(struct bitcask *db, const bitcask_move_item *items, size_t count, size_t *done)
{
    struct gathered gathered = {0};
    size_t moved = 0;
    bc_status status, stop = BITCASK_OK;

    if (count > ROUND_ITEMS) count = ROUND_ITEMS;
    gathered.moves = calloc(count, sizeof *gathered.moves);
    status = gathered.moves ? bc_round_names_init(&gathered.names, count) : BITCASK_NO_MEMORY;
    if (status == BITCASK_OK) status = bc_round_open(db, &gathered.round);
    for (size_t i = 0; gathered.moves && i < count; i++) gathered.moves[i].item = &items[i];
    if (status == BITCASK_OK) {
        status = gather_sides(&gathered, count);
        if (status == BITCASK_OK) {
            status = bc_round_lock(gathered.round);
            if (status == BITCASK_OK) prepare_moves(&gathered, &stop);
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
    for (size_t i = 0; i < moved; i++) finish_move(&gathered.moves[i]);
    bc_round_names_release(&gathered.names);
    free(gathered.moves);
    *done += moved;
    return status != BITCASK_OK ? status : stop;
}
