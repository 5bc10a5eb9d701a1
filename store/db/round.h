/* round.h - what touches two logs: redo intents, many of them with one sync.
 *
 * A change is a set of records for directory logs and of inodes in partition 1 that take effect together. Logs reach
 * the disk in any order. So all of it is first written, complete, to partition 1: the inodes' records and an intent,
 * which holds those of the directories, in one batch; that is synced; then the records are appended to the directories'
 * logs, unsynced. After a crash whatever is missing there is appended again from the intent. A round does many changes
 * with one sync.
 *
 * Threads: all of it runs under the tree lock. From bc_round_lock() to bc_round_end() the write locks of all partitions
 * concerned are held, that of partition 1 last, so that versions that are reserved stay so until they are appended.
 */
#ifndef BC_ROUND_H
#define BC_ROUND_H

#include "db/inodes.h"

/* A record for a directory's log. */
struct bc_change_write {
    struct bitcask_partition *node; /* not owned: it outlives the change */
    struct bc_write write;          /* gets its version */
};

struct bc_change {
    struct bc_change_write *writes;
    size_t write_count, write_room;
    struct bc_inode *inodes;
    size_t inode_count, inode_room;
    struct bc_write *inode_writes; /* get their versions; while the round is under way */
    bool is_due;                   /* the room for its records was promised */
    bool done;                     /* its inodes are in the log, and it will not be undone */
};

/* Adds a record. NO_MEMORY. */
bc_status bc_change_add(struct bc_change *change, struct bitcask_partition *node, const struct bc_write *write);

/* The inode as the change has it, loaded if need be; valid until the next one is added. NOT_FOUND. */
bc_status bc_change_inode(struct bc_change *change, struct bc_partition *inodes, uint64_t ino, struct bc_inode **inode);

/* A new inode. */
bc_status bc_change_new_inode(struct bc_change *change, struct bitcask *db, struct bc_partition *inodes,
                              struct bc_inode **inode);
void bc_change_release(struct bc_change *change);

struct bc_round;

/* Pins partition 1. *round is ended with bc_round_end() in any case but failure. No lock but the tree lock is held. */
bc_status bc_round_open(struct bitcask *db, struct bc_round **round);

/* Pins a partition that takes part, if it is not there yet. Before bc_round_lock(). */
bc_status bc_round_add_side(struct bc_round *round, struct bitcask_partition *node, struct bc_partition **instance);

/* Makes durable what the intents will build on, then takes all write locks; they are held even if it fails. */
bc_status bc_round_lock(struct bc_round *round);

/* Partition 1. */
struct bc_partition *bc_round_inodes(struct bc_round *round);

/* Adds a change, which stays where it is until the end of the round: reserves room for its records. On failure it is
 * not part of the round. */
bc_status bc_round_take(struct bc_round *round, struct bc_change *change);

/* The inode as an earlier change of the round has it: then what is in the log is not the latest of it. A round is one
 * batch in partition 1, so a later change may go on changing it there. NULL: none concerns it. Valid until the end. */
struct bc_inode *bc_round_find_inode(const struct bc_round *round, uint64_t ino);
size_t bc_round_count(const struct bc_round *round);
size_t bc_round_sides(const struct bc_round *round);

/* Writes the intents, syncs, appends. On failure nothing was done, or it will be done at the next open and the
 * partitions take no writes until then. */
bc_status bc_round_commit(struct bc_round *round);

/* Gives locks and pins back. */
void bc_round_end(struct bc_round **round);

#endif
