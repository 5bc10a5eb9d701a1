/* dirty.h - which nodes have changes that are not committed, and since when.
 *
 * Each directory has a list of its changed files, oldest first; the directories with such files are in a list too,
 * and so are directories whose own attributes changed. A file in a list has a reference; so has a directory in the
 * list of changed attributes.
 * Threads: any. dirty_lock is a leaf.
 */
#ifndef BCFS_DIRTY_H
#define BCFS_DIRTY_H

#include "inode.h"

/* Which changed files are wanted. */
enum bcfs_which {
    BCFS_DUE,   /* unchanged for commit_ms (but for what was just truncated), or changed first 5 s ago */
    BCFS_HURRY, /* memory runs short: all, but that failures are not tried again at once */
    BCFS_ALL
};

/* inode->lock, of a node that is not busy. The caller has changed inode and adds its BCFS_DIRTY_* flags; the commit
 * thread will see to it. A file without a name only loses its place in the cache. */
void bcfs_dirty_mark(struct bcfs *fs, struct bcfs_inode *inode, unsigned flags);

/* The file is clean, or will never be committed. True: the caller gives one reference back, once it holds no lock.
 * inode->lock is held. */
bool bcfs_dirty_clear(struct bcfs *fs, struct bcfs_inode *inode);

/* A dirty file got another parent: it goes into that one's list. The tree is locked, and inode->lock. */
void bcfs_dirty_relist(struct bcfs *fs, struct bcfs_inode *inode);

/* A directory's attributes changed: they are written soon (chmod), or within seconds (times). */
void bcfs_dirty_mark_dir(struct bcfs *fs, struct bcfs_inode *inode, bool soon);

/* Its attributes were written, or could not be. A full disk has no room for the times of a directory whose entries
 * went, and nobody was promised any: OK then. */
bitcask_status bcfs_dirty_dir_written(struct bcfs *fs, struct bcfs_inode *inode, bitcask_status status);

/* How many directories there are whose attributes are to be written. */
size_t bcfs_dirty_listed_dirs(struct bcfs *fs);

/* Takes a directory whose attributes are due out of the list, with its reference; NULL if there is none. now_ms:
 * INT64_MAX takes all. */
struct bcfs_inode *bcfs_dirty_next_dir(struct bcfs *fs, int64_t now_ms);

/* True: this directory's attributes were to be written, and are not any more; the caller has a reference to give
 * back. */
bool bcfs_dirty_take_dir(struct bcfs *fs, struct bcfs_inode *inode);

/* Locks inode->lock of a node that is not being committed, after waiting for that. No other lock is held but tree. */
void bcfs_lock_idle(struct bcfs *fs, struct bcfs_inode *inode);

/* Says that the node is being committed, or not any more. inode->lock is held. */
void bcfs_set_busy(struct bcfs *fs, struct bcfs_inode *inode, bool busy);

/* Fills nodes[] with changed files of dir, each with a reference, at most max; returns how many. Files that a queued
 * move concerns are left out. dir->lock is held. */
size_t bcfs_dirty_collect(struct bcfs *fs, struct bcfs_dir *dir, enum bcfs_which which, struct bcfs_inode **nodes,
                          size_t max);

/* The directories that have changed files, each with a reference, in *dirs (malloc'ed). skip_failed leaves out those
 * whose last commit failed a short time ago. False: no memory. */
bool bcfs_dirty_dirs(struct bcfs *fs, bool skip_failed, struct bcfs_inode ***dirs, size_t *count);

/* How the last commit of files of dir went: failures are not tried again at once. True: this is the first failure
 * after a success. */
bool bcfs_dirty_result(struct bcfs *fs, struct bcfs_dir *dir, bitcask_status status);

/* Counts what a file without a name has in memory. True: such files have much together. inode->lock is held. */
bool bcfs_dirty_count_unlinked(struct bcfs *fs, struct bcfs_inode *inode);

/* Counts nothing for it any more: it is about to be freed. */
void bcfs_dirty_uncount(struct bcfs *fs, struct bcfs_inode *inode);

/* Bytes pending exceed the bound at which commits hurry. */
bool bcfs_dirty_pressed(struct bcfs *fs);

/* Before what makes more of it: lets the caller wait, a second at most, while far more is pending than memory should
 * hold. Else what is to be said instead of taking more: why it cannot be committed; NO_MEMORY, where twice as much is
 * pending and does not become less. No lock is held. */
bitcask_status bcfs_wait_for_room(struct bcfs *fs);

/* Gives the system back what was freed, when that is much. What was committed lies between what stays, and an allocator
 * keeps it: several times what is pending. */
void bcfs_trim_memory(struct bcfs *fs);

/* The commit thread's sleep, until something is to be done. False: the thread shall end. */
bool bcfs_wait_for_work(struct bcfs *fs, bool moves_queued);

/* Wakes the commit thread; `stop`: to end it. */
void bcfs_wake_committer(struct bcfs *fs, bool stop);

#endif
