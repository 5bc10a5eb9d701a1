/* names.h - what a name of a directory stands for, and what becomes of a node that loses its name.
 *
 * What a directory holds is the log with the overlay over it; here the two are looked at together.
 * Threads: the directory's lock is held, or the tree's exclusively, for every function.
 */
#ifndef BCFS_NAMES_H
#define BCFS_NAMES_H

#include "inode.h"

/* The node of a name of a directory, made from its record if it is not known; with a reference. NOT_FOUND for a
 * whiteout too. */
bitcask_status bcfs_lookup_locked(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                  struct bcfs_inode **inode);

/* The node for an entry of parent's partition, known or made from it; with a reference. */
bitcask_status bcfs_node_of_entry(struct bcfs *fs, struct bcfs_inode *parent, const bitcask_entry *entry,
                                  struct bcfs_inode **inode);

/* OK if a directory has no names, NOT_EMPTY if it has; whiteouts do not count, nor what they hide. */
bitcask_status bcfs_dir_is_empty(struct bcfs_inode *dir);

/* OK: the name is free and may be used. EXISTS; NOT_FOUND: the directory was removed. *concerned: a queued move has to
 * be completed first. */
bitcask_status bcfs_name_check_free(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                    bool *concerned);

/* Whether the log has a record under the node's name, be it its own or that of the file it replaced. */
bool bcfs_name_has_record(const struct bcfs_inode *inode);

/* Before a file's record goes or moves: makes the node busy, and sure that its content is read without the record. Who
 * reads takes no lock that covers names, so between the store's change and the node's he would find nothing under the
 * old name, or another file's bytes. On failure nothing has changed. Nothing happens to directories. The node is not
 * MOVED; inode->lock is not held, as for the next two. */
bitcask_status bcfs_name_hold(struct bcfs *fs, struct bcfs_inode *inode);

/* The node has its new name, or none, or keeps the old one. */
void bcfs_name_release(struct bcfs *fs, struct bcfs_inode *inode);

/* Takes the node's name away: it was deleted, or another node has taken its place. The record is gone, or will be
 * replaced; a file is held. Pending changes go nowhere any more. The node lives on for those who have it
 * open. Returns the former parent, whose reference the caller gives back once it holds no lock but tree; *refs says
 * how many references on inode are to be given back likewise. */
struct bcfs_inode *bcfs_name_detach(struct bcfs *fs, struct bcfs_inode *inode, int64_t now_ns, unsigned *refs);

#endif
