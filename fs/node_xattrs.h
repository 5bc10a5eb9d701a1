/* node_xattrs.h - the extended attributes of one node, as they are now.
 *
 * Most files have none: inode->has_xattrs says so, and nothing is read. Else inode->xattrs is the list, or NULL while
 * it stands in the record alone. A change is made in memory, marked BCFS_DIRTY_XATTRS, and committed with the file's
 * other attributes, or with its content; a directory's goes with its own attributes.
 *
 * Invariant: a file with BCFS_DIRTY_CONTENT or BCFS_DIRTY_XATTRS has its list in memory, if it has one.
 * Threads: inode->lock for all functions. What changes the list needs a node that is not busy: a commit borrows it.
 */
#ifndef BCFS_NODE_XATTRS_H
#define BCFS_NODE_XATTRS_H

#include "inode.h"
#include "xattr_list.h"

/* Brings the list in. NOT_FOUND in state MOVED: the round that moves the file is just over or being done. */
bitcask_status bcfs_xattrs_load(struct bcfs_inode *inode);

/* The size of the list in memory; 0 if there is none. */
size_t bcfs_xattrs_size(const struct bcfs_inode *inode);

/* Whether some are in the record alone. */
bool bcfs_xattrs_unread(const struct bcfs_inode *inode);

/* Finds name in the list, which was loaded. What is no list of ours has no names. */
bool bcfs_xattrs_find(const struct bcfs_inode *inode, const char *name, struct bcfs_xattr *xattr);

/* Puts list, which may be NULL, in the place of the present one, which is returned, not freed. */
struct bcfs_xattr_list *bcfs_xattrs_swap(struct bcfs_inode *inode, struct bcfs_xattr_list *list);

/* Puts a list with name set to value, or without it (NULL), in the place of the present one, which was loaded, and
 * which *old gets. Nothing is marked dirty. On failure nothing has changed. CORRUPT: what the record has is no list of
 * ours, and is kept; NO_SPACE, NO_MEMORY. */
bitcask_status bcfs_xattrs_change(struct bcfs_inode *inode, const char *name, const void *value, size_t value_size,
                                  struct bcfs_xattr_list **old);

/* Takes a name out of the list, which was loaded. False: it was not there. */
bool bcfs_xattrs_drop(struct bcfs_inode *inode, const char *name);

/* Lets go of a list that takes much room, if the record has it too. */
void bcfs_xattrs_rest(struct bcfs_inode *inode);

#endif
