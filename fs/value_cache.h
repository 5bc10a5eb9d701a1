/* value_cache.h - the bound on contents that are kept in memory only to be read.
 *
 * Holds the files whose content is loaded and clean, least recently used first. Small values are not in here: they
 * are read for each request. The list counts no references: a node that is freed takes itself out.
 * Threads: any; cache_lock is a leaf. Where inode->lock is to be held, it is said.
 */
#ifndef BCFS_VALUE_CACHE_H
#define BCFS_VALUE_CACHE_H

#include "inode.h"

#define BCFS_CACHE_BYTES ((uint64_t)64 * 1024 * 1024)

/* Says that inode's loaded clean content was used. inode->lock is held. */
void bcfs_cache_touch(struct bcfs *fs, struct bcfs_inode *inode);

/* Takes inode out: its content goes, or is no longer clean. inode->lock is held, or the node is being freed. */
void bcfs_cache_remove(struct bcfs *fs, struct bcfs_inode *inode);

/* Drops the least recently used contents until the rest is within the bound; the last one always stays. No lock but
 * tree is held. */
void bcfs_cache_trim(struct bcfs *fs);

#endif
