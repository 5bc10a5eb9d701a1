/* control.h - `.bitcask`, the directory that every directory has, and the files in it.
 *
 * It can be reached by name and is in no listing, so that no cp -a, tar or rsync copies it. A file in it is not kept
 * anywhere: each LOOKUP answers a new node, with its text made then. That node is what an open file would be in a mount
 * that had open: whoever reads it, however slowly, sees one whole text, and the next one to look sees a new one. The
 * kernel keeps pages by node, not by st_ino, which is the same for all of them; entries and attributes time out at
 * once. A WRITE is a command, whatever its offset; truncation does nothing, so that `echo verify > control` works.
 *
 * A node below .bitcask is a bcfs_inode with `control` set: it is never pending, moved or unlinked, and its parent
 * is the .bitcask, whose parent is the directory. Handlers pass requests for it on to the functions here first of all.
 */
#ifndef BCFS_CONTROL_H
#define BCFS_CONTROL_H

#include "inode.h"

#define BCFS_CONTROL_NAME ".bitcask"

struct bcfs_control_file;

/* What makes a node one of these. Fixed while the node lives. */
struct bcfs_control {
    const struct bcfs_control_file *file; /* NULL: .bitcask itself */
    char *text;                           /* owned */
    size_t text_size;
};

void bcfs_control_free(struct bcfs *fs, struct bcfs_control *control);

/* The directory that a node speaks of; good as long as the node is. */
struct bcfs_inode *bcfs_control_dir(const struct bcfs_inode *inode);

/* How long the kernel may keep a node's name and attributes, in seconds. */
double bcfs_control_timeout(const struct bcfs *fs, const struct bcfs_inode *inode);

/* LOOKUP of .bitcask in a directory, or of name in a .bitcask. */
void bcfs_control_lookup(fuse_req_t req, struct bcfs_inode *parent, const char *name);

/* The requests that concern a node below .bitcask. Each answers. */
void bcfs_control_list(fuse_req_t req, struct bcfs_inode *inode, size_t size, off_t position, bool plus);
void bcfs_control_setattr(fuse_req_t req, struct bcfs_inode *inode, int to_set);
void bcfs_control_read(fuse_req_t req, struct bcfs_inode *inode, size_t size, off_t off);
void bcfs_control_write(fuse_req_t req, struct bcfs_inode *inode, const char *bytes, size_t size);

#endif
