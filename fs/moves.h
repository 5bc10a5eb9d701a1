/* moves.h - renames across directories that are done in memory and queued for the store.
 *
 * A move between two partitions needs one synced intent. The kernel holds a lock on the whole mount while a rename
 * runs, so the reply does not wait for that: the names change in memory at once, and a round hands all that was
 * queued to the store in one call, with one sync. Until the end of its round a node is in state BCFS_MOVED, its record
 * still under the old name; a whiteout hides that one, and the overlay shows the new one.
 *
 * Invariant: no two queued moves concern the same name, and no operation uses a name that a queued move concerns:
 * each completes the round first. So a move always finds in the store what the rename saw in memory.
 */
#ifndef BCFS_MOVES_H
#define BCFS_MOVES_H

#include "inode.h"

struct bcfs_move {
    TAILQ_ENTRY(bcfs_move) link; /* moves_lock; the rest is fixed once queued */
    struct bcfs_inode *inode;    /* with a reference; its parent and name are the target */
    struct bcfs_inode *from;     /* the directory it left, with a reference */
    uint64_t reserved;           /* bytes, in the partition of the target; those of a running round alone use it */
    uint8_t from_name_size;
    char from_name[];
};

/* What the store needs in the target's partition for the move of a node, and for the intent: reserved by the rename,
 * so that it is the rename that fails when the disk is full. */
uint64_t bcfs_move_bound(const struct bcfs_inode *inode, size_t name_size);

/* Makes the move of a committed node from one name to another, and sets the overlays for it: all of a queued rename
 * that can fail. NULL: no memory, nothing changed. reserved: what was reserved for it; the queue gives it back. The
 * tree is locked exclusively, as for the next. */
struct bcfs_move *bcfs_move_prepare(struct bcfs_inode *inode, struct bcfs_inode *from, const char *from_name,
                                    size_t from_name_size, struct bcfs_inode *to, const char *to_name,
                                    size_t to_name_size, uint64_t reserved);

/* Queues a prepared move; its node has the new name by now. */
void bcfs_moves_queue(struct bcfs *fs, struct bcfs_move *move);

/* Where the record of a moved node still stands. */
void bcfs_move_source(const struct bcfs_move *move, bitcask_partition **partition, const char **name,
                      size_t *name_size);

/* Whether a queued move concerns a name of a directory: as the source (whiteout) or as the target (inode, the known
 * node of that name or NULL, is moved). The directory is locked, or the tree. */
bool bcfs_moves_concern(struct bcfs_inode *parent, const char *name, size_t name_size, const struct bcfs_inode *inode);

/* Hands all queued moves to the store, and waits for a round that is running. A failure leaves those not done queued.
 * No lock is held. */
bitcask_status bcfs_moves_complete(struct bcfs *fs);

/* For who did not find the record of a node in state MOVED at its source: waits for the round that takes it away.
 * False: it failed, and the node is still queued. No lock is held. */
bool bcfs_moves_wait(struct bcfs *fs, struct bcfs_inode *inode);

/* Frees what is still queued, when the nodes are about to be freed: only moves that failed. No other thread is there.
 */
void bcfs_moves_release(struct bcfs *fs);

/* Whether there are queued moves that a round is due for; any: whether there are some at all. */
bool bcfs_moves_due(struct bcfs *fs);
bool bcfs_moves_any(struct bcfs *fs);

#endif
