/* move.h - one rename under way, and what its two implementations share: move.c within a partition, move_round.c
 * where two logs are touched.
 *
 * Threads: all of it runs under the tree lock.
 */
#ifndef BC_MOVE_H
#define BC_MOVE_H

#include "db/round.h"

/* One rename under way. */
struct bc_move {
    const bitcask_move_item *item;
    struct bc_partition *from, *to;     /* pinned by the round */
    struct bc_value *source, *target;   /* loaded; target for an exchange only */
    struct bitcask_partition *replaced; /* a partition at the target, or NULL; counted and pinned */
    struct bc_partition *replaced_instance;
    bool replacing;               /* it is empty, takes no more writes, and vanishes with the move */
    struct bc_write put, removal; /* at the target; at the source: a tombstone, or the target's record */
    uint64_t replaced_ino;        /* the target is a name of this inode, and shall not be one any more; 0: no */
    bool same;                    /* both are names of one inode: nothing is to be done */
    struct bc_change change;      /* of a round */
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

/* ---- many moves with one sync: move_round.c ---- */

#define BC_ROUND_ITEMS 32u

/* Does the first of these moves, at most BC_ROUND_ITEMS, by intents: as many as depend on none before them. *done grows
 * by their number; the status is that of the one after them. */
bc_status bc_moves_round(struct bitcask *db, const bitcask_move_item *items, size_t count, size_t *done);

#endif
