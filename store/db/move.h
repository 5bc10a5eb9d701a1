/* move.h - one rename, link or deletion under way, and what their implementations share: move.c within a partition,
 * move_round.c where two logs are touched, link_round.c for what is special of links and deletions there.
 *
 * Threads: all of it runs under the tree lock.
 */
#ifndef BC_MOVE_H
#define BC_MOVE_H

#include "db/round.h"

/* A partition that gets another name, with the memory for it. */
struct bc_moved_node {
    struct bitcask_partition *node; /* counted, or NULL */
    char *name;                     /* owned */
    size_t name_size;
};

/* One rename under way; or a link or a deletion, which have no target or replace none. */
struct bc_move {
    const bitcask_move_item *item;
    struct bc_partition *from, *to;     /* pinned by the round */
    struct bc_value *source, *target;   /* loaded; target for an exchange only */
    struct bitcask_partition *replaced; /* a partition at the target, or NULL; counted and pinned */
    struct bc_partition *replaced_instance;
    bool replacing;                /* it is empty, takes no more writes, and vanishes with the move */
    struct bc_write put, removal;  /* at the target; at the source: a tombstone, or the target's record */
    uint64_t replaced_ino;         /* the target is a name of this inode, and shall not be one any more; 0: no */
    bool same;                     /* both are names of one inode: nothing is to be done */
    struct bc_moved_node moved[2]; /* source and target, where these are partitions */
    struct bc_change change;       /* of a round */
    /* Of a link: */
    struct bc_content content; /* of a small file that becomes an inode: the bytes of source */
    uint8_t number[8];         /* the value of links */
    uint64_t ino;              /* the inode that gets the name */
};

/* ---- one move: move.c ---- */

/* Finds the partition that would vanish under a moved one. Nothing that may still be redone must concern it, and a
 * writer that drops partitions is on record first. No lock but the tree lock is held, which keeps it in its place. */
bc_status bc_move_find_replaced(struct bc_move *move);

/* Looks at both names, under both write locks, and prepares the two records. */
bc_status bc_move_prepare(struct bc_move *move);

/* A partition that was to be replaced, and is not, takes writes again. Its write lock is held. */
void bc_move_take_back(struct bc_move *move);

/* The names in the tree follow the records. */
void bc_move_update_tree(struct bc_move *move);

/* Closes and unpins what the move holds. No lock but the tree lock is held. */
void bc_move_release(struct bc_move *move);

/* Takes the write locks of different partitions in the order of their ids, which sorts them; gives them back. */
void bc_moves_lock(struct bc_partition **instances, size_t count);
void bc_moves_unlock(struct bc_partition **instances, size_t count);

/* ---- many moves with one sync: move_round.c ---- */

/* Whether an item is for a round in any case, which links and deletions are, and moves across partitions. */
static inline bool bc_move_is_for_round(const bitcask_move_item *item)
{
    return (item->flags & (BITCASK_LINK | BITCASK_REMOVE)) != 0 || item->from != item->to;
}

/* Does the first of these moves by intents: as many as depend on none before them, and as a round may take. *done grows
 * by their number; the status is that of the one after them. */
bc_status bc_moves_round(struct bitcask *db, const bitcask_move_item *items, size_t count, size_t *done);

/* ---- names that a round has changed already: link_round.c ---- */

/* What a name is once the round is over; index and tree do not show it yet. */
struct bc_round_name {
    const struct bitcask_partition *node; /* NULL: this place of the table is free */
    const void *key;                      /* not owned: it is an item's */
    size_t key_size;
    uint64_t ino; /* a link to this inode; 0: anything else */
};

struct bc_round_names {
    struct bc_round_name *table; /* owned */
    size_t places;               /* a power of two */
};

/* For at most `most` items. NO_MEMORY. */
bc_status bc_round_names_init(struct bc_round_names *names, size_t most);
void bc_round_names_release(struct bc_round_names *names);

/* NULL: the round has not changed it. */
const struct bc_round_name *bc_round_names_find(const struct bc_round_names *names,
                                                const struct bitcask_partition *node, const void *key, size_t key_size);
void bc_round_names_add(struct bc_round_names *names, const struct bitcask_partition *node, const void *key,
                        size_t key_size, uint64_t ino);

/* Prepares a link, or a deletion, as part of the round, under all write locks. *later: it depends on what the round has
 * changed, and is left to the next one. */
bc_status bc_link_prepare(struct bc_round *round, struct bc_round_names *names, struct bc_move *move, bool *later);
bc_status bc_removal_prepare(struct bc_round *round, struct bc_round_names *names, struct bc_move *move, bool *later);

#endif
