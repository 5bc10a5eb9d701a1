/* links.h - the names of files that have several: hard links.
 *
 * A shared file's home is in nodes->files (inode.h), under its number in the store as 16 hex digits. What its names are
 * is a list: those that are known, since they were looked up or made. A file of which no link was made yet, but one is
 * queued, has its first name as home and the queued ones in this list; when they are done it becomes shared.
 *
 * Invariants: a name of this list is in the table by_link, and holds a reference on its directory; shared files are in
 * the table by_file as long as they have a name.
 * Threads: names of a directory change under its lock, or the tree's; the list of a node under its own too.
 */
#ifndef BCFS_LINKS_H
#define BCFS_LINKS_H

#include "inode.h"

#define BCFS_HOME_SIZE 16u

struct bcfs_name {
    struct bcfs_name *next_by_name; /* table_lock */
    LIST_ENTRY(bcfs_name) link;     /* inode->lock, and the directory's or the tree, as the next */
    struct bcfs_inode *parent;      /* with a reference */
    char *name;                     /* owned; likewise */
    uint8_t name_size;              /* likewise */
    bool queued;                    /* a queued move concerns it: the log has it not yet; likewise */
    struct bcfs_inode *inode;       /* fixed */
};

/* ---- names ---- */

/* A name that is in no list yet. NULL: no memory. */
struct bcfs_name *bcfs_name_new(struct bcfs_inode *inode, struct bcfs_inode *parent, const char *name,
                                size_t name_size);

/* Frees a name that is in no list; the reference on its directory is given back. May be NULL. No lock but tree. */
void bcfs_name_free(struct bcfs *fs, struct bcfs_name *name);

/* Puts it into the list of its node and the table. Its directory is locked, or the tree; takes the node's lock, as the
 * next two. */
void bcfs_name_add(struct bcfs *fs, struct bcfs_name *name);

/* Takes it out and frees it. Returns its directory, whose reference the caller gives back once it holds no lock but
 * tree. */
struct bcfs_inode *bcfs_name_remove(struct bcfs *fs, struct bcfs_name *name);

/* What bcfs_inode_rename() is for a node's home. */
struct bcfs_inode *bcfs_name_rename(struct bcfs *fs, struct bcfs_name *name, struct bcfs_inode *parent, char *new_name,
                                    size_t name_size);

/* The name of a directory that is in some node's list; NULL: there is none. Valid while the lock is held. */
struct bcfs_name *bcfs_name_of(struct bcfs *fs, const struct bcfs_inode *parent, const char *name, size_t name_size);

/* Makes the known names of a shared file durable: an intent does that for links, but not for a rename in a directory.
 * No lock is held. */
bitcask_status bcfs_names_sync(struct bcfs *fs, struct bcfs_inode *inode);

/* ---- shared files ---- */

/* The name of a shared file's home. */
void bcfs_home_name(uint64_t file_id, char name[BCFS_HOME_SIZE + 1]);

bool bcfs_is_shared(const struct bcfs *fs, const struct bcfs_inode *inode);

/* The known node of a shared file, with a reference; NULL if there is none. */
struct bcfs_inode *bcfs_file_find(struct bcfs *fs, uint64_t file_id);

/* Makes a committed file shared: its home becomes home_name (malloc'ed, BCFS_HOME_SIZE + 1 bytes, owned from now on),
 * what was its home its first name, which the caller has made. Cannot fail. The tree is locked exclusively. */
void bcfs_share(struct bcfs *fs, struct bcfs_inode *inode, uint64_t file_id, struct bcfs_name *first, char *home_name);

/* The file has lost its last name: nobody finds it by its number any more. */
void bcfs_file_forget(struct bcfs *fs, struct bcfs_inode *inode);

/* ---- for inode.c: the tables; with table_lock held where the name says so ---- */

bool bcfs_links_init(struct bcfs_nodes *nodes);
void bcfs_links_release(struct bcfs_nodes *nodes);
struct bcfs_name *bcfs_link_find_locked(const struct bcfs_nodes *nodes, const struct bcfs_inode *parent,
                                        const char *name, size_t name_size);
struct bcfs_inode *bcfs_file_find_locked(const struct bcfs_nodes *nodes, uint64_t file_id);
void bcfs_file_add_locked(struct bcfs_nodes *nodes, struct bcfs_inode *inode);

/* A node that goes leaves both tables. */
void bcfs_links_drop_locked(struct bcfs_nodes *nodes, struct bcfs_inode *inode);

/* Frees the names of a node that is in no table any more, and gives back their directories. */
void bcfs_names_free(struct bcfs *fs, struct bcfs_inode *inode);

/* Its directories may be freed already: no reference is given back. */
void bcfs_names_orphan(struct bcfs_inode *inode);

#endif
