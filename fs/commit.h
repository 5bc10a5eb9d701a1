/* commit.h - from memory into the store: the whole pending value of a file becomes its record, in one step.
 *
 * A commit never holds a file's lock over the store's work: the file is busy meanwhile, readers go on, who wants to
 * change it waits. The directory's lock is held, so that a name can neither come nor go under a commit.
 * A failed commit leaves the file dirty and its content readable, keeps the error for the next write and fsync, and
 * is tried again later.
 */
#ifndef BCFS_COMMIT_H
#define BCFS_COMMIT_H

#include "dirty.h"
#include "inode.h"

/* Commits one file's changes, if any, after the moves that concern it. No lock is held. */
bitcask_status bcfs_commit_inode(struct bcfs *fs, struct bcfs_inode *inode);

/* The same within a rename, which holds the file: the tree is locked exclusively, and the file is not MOVED. */
bitcask_status bcfs_commit_locked(struct bcfs *fs, struct bcfs_inode *inode);

/* Commits changed files of a directory, all or those that are due. Returns the first failure. No lock is held. */
bitcask_status bcfs_commit_dir(struct bcfs *fs, struct bcfs_inode *dir, enum bcfs_which which);

/* Writes a directory's own attributes, if they changed. No lock is held. */
bitcask_status bcfs_commit_dir_attrs(struct bcfs *fs, struct bcfs_inode *dir);

/* Completes all moves, commits all files and all directories' attributes. Returns the first failure. No lock is
 * held. */
bitcask_status bcfs_commit_all(struct bcfs *fs);

/* What the commit thread does, until it is told to stop. context: struct bcfs. */
void *bcfs_commit_thread(void *context);

#endif
