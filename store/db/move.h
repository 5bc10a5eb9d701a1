/* move.h - one rename under way, and what its two implementations share: move.c within a partition, round.c across two.
 *
 * Threads: all of it runs under the tree lock.
 */
#ifndef BC_MOVE_H
#define BC_MOVE_H

#include "db/db.h"

/* One rename under way. */
struct bc_move {
    const bitcask_move_item *item;
    struct bc_partition *from, *to;     /* pinned by the round */
    struct bc_value *source, *target;   /* loaded; target for an exchange only */
    struct bitcask_partition *replaced; /* a partition at the target, or NULL; counted and pinned */
    struct bc_partition *replaced_instance;
    bool replacing;               /* it is empty, takes no more writes, and vanishes with the move */
    struct bc_write put, removal; /* at the target; at the source: a tombstone, or the target's record */
};

/* ---- one move: move.c ---- */

/* Finds the partition that would vanish under a moved one. Nothing that may still be redone must concern it, and a
 * writer that drops partitions is on record first. No lock but the tree lock is held, which keeps it in its place. */
bc_status bc_move_find_replaced(struct bc_move *move);

/* Looks at both names, under both write locks, and prepares the two records. */
bc_status bc_move_prepare(struct bc_move *move);

/* A partition that was to be replaced, and is not, takes writes again. Its write lock is held. */
void bc_move_take_back(struct bc_move *move);

/* The names in the tree follow the records. Failing here is lack of memory: paths in messages are stale, no more. */
void bc_move_update_tree(struct bc_move *move);

/* Closes and unpins what the move holds. No lock but the tree lock is held. */
void bc_move_release(struct bc_move *move);

/* Takes the write locks of different partitions in the order of their ids, which sorts them; gives them back. */
void bc_moves_lock(struct bc_partition **instances, size_t count);
void bc_moves_unlock(struct bc_partition **instances, size_t count);

/* ---- many moves with one sync: round.c ---- */

#define BC_ROUND_ITEMS 32u

struct bc_round;

/* The memory of rounds, one after the other; NULL: there is none. Freed with free(). */
struct bc_round *bc_round_new(struct bitcask *db);

/* Does the first of these moves, at most BC_ROUND_ITEMS, each across partitions: as many as depend on none before them.
 * *done grows by their number; the status is that of the one after them. */
bc_status bc_round_run(struct bc_round *round, const bitcask_move_item *items, size_t count, size_t *done);

#endif
