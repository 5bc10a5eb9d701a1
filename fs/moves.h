/* moves.h - renames across directories, hard links and their removal: done in memory and queued for the store.
 *
 * What touches two logs needs a synced intent. The kernel holds a lock on the whole mount while a rename runs, and `cp
 * -al` makes links by the thousand, so the reply does not wait for that: the names change in memory at once, and a
 * round hands all that was queued to the store in one call, with one sync. Until the end of its round
 *   - a moved node is in state BCFS_MOVED, its record still under the old name; a whiteout hides that one, and the
 *     overlay shows the new one. Of a shared file (links.h) it is the name that is marked as queued, the node stays;
 *   - a link is in the overlay, its name marked as queued;
 *   - a whiteout hides a name that was removed.
 *
 * Invariant: no two queued moves concern the same name, and no operation uses a name that a queued move concerns:
 * each completes the round first. So a move always finds in the store what the rename saw in memory. The name that a
 * link was made from, the home of a file that is not shared yet, counts as concerned.
 */
#ifndef BCFS_MOVES_H
#define BCFS_MOVES_H

#include "inode.h"

enum bcfs_move_kind { BCFS_RENAME, BCFS_LINK, BCFS_REMOVE };

struct bcfs_move {
    TAILQ_ENTRY(bcfs_move) link; /* moves_lock; the rest is fixed once queued */
    enum bcfs_move_kind kind;
    struct bcfs_inode *inode; /* with a reference; its parent and name are the target, if `name` is NULL */
    struct bcfs_name *name;   /* the target: of a link, and of a shared file; not owned, it is the node's */
    struct bcfs_inode *from;  /* the directory it left, with a reference; of a link NULL: it is from the node's home */
    uint64_t reserved;        /* bytes, in the partition of the target; those of a running round alone use it */
    struct bcfs_name *first;  /* of a link to a file that is not shared yet: what its home will be as a name, */
    char *home_name;          /* and the name of its home then; both owned */
    uint64_t file_id;         /* of a link: gets the number of the file in the store, in the round */
    uint8_t from_name_size;
    char from_name[];
};

/* What the store needs in the target's partition for the move of a node, and for the intent: reserved by the rename,
 * so that it is the rename that fails when the disk is full. */
uint64_t bcfs_move_bound(const struct bcfs_inode *inode, size_t name_size);

/* Makes the move of a committed node from one name to another, and sets the overlays for it: all of a queued rename
 * that can fail. NULL: no memory, nothing changed. reserved: what was reserved for it; the queue gives it back. The
 * tree is locked exclusively, as for the next. */
struct bcfs_move *bcfs_move_prepare(struct bcfs *fs, struct bcfs_inode *inode, struct bcfs_inode *from,
                                    const char *from_name, size_t from_name_size, struct bcfs_inode *to,
                                    const char *to_name, size_t to_name_size, uint64_t reserved);

/* Makes a link to a committed node, which gets the name in memory and in the overlay. NULL: no memory, nothing changed.
 * The tree is locked exclusively. */
struct bcfs_move *bcfs_move_prepare_link(struct bcfs *fs, struct bcfs_inode *inode, struct bcfs_inode *to,
                                         const char *to_name, size_t to_name_size, uint64_t reserved);

/* Makes the removal of a name, and sets its whiteout. NULL: no memory, nothing changed. The directory is locked. */
struct bcfs_move *bcfs_move_prepare_removal(struct bcfs_inode *inode, struct bcfs_inode *from, const char *from_name,
                                            size_t from_name_size, uint64_t reserved);

/* Takes back bcfs_move_prepare_removal(): whiteout and all; what was reserved stays so. */
void bcfs_move_cancel_removal(struct bcfs *fs, struct bcfs_move *move);

/* Queues a prepared move; its node has the new name by now, or has lost it. Takes the node's lock. */
void bcfs_moves_queue(struct bcfs *fs, struct bcfs_move *move);

/* Where the record of a moved node still stands. */
void bcfs_move_source(const struct bcfs_move *move, bitcask_partition **partition, const char **name,
                      size_t *name_size);

/* Whether a queued move concerns a name of a directory: as the source (whiteout), as the target (inode, the known node
 * of that name or NULL, is moved), or as what is linked. The directory is locked, or the tree. */
bool bcfs_moves_concern(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                        struct bcfs_inode *inode);

/* Whether one concerns an entry of this directory. No lock is held. */
bool bcfs_moves_in(struct bcfs *fs, const struct bcfs_inode *dir);

/* Completes the round where a reply is to wait for it: commit_ms=0, sync=always. No lock is held. */
bitcask_status bcfs_moves_if_asked(struct bcfs *fs);

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
