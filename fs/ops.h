/* ops.h - the handlers of requests, and what they share.
 *
 * A handler runs in one of the session's threads, answers its request exactly once, and holds no lock before and
 * after. The answer is the last thing it does with a node, unless it has a reference of its own: the kernel may forget
 * the node as soon as it has the answer. Signatures are those of struct fuse_lowlevel_ops. Permissions were checked by
 * the kernel (default_permissions).
 */
#ifndef BCFS_OPS_H
#define BCFS_OPS_H

#include "inode.h"

/* ops_dir.c */
void bcfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void bcfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void bcfs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void bcfs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void bcfs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void bcfs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void bcfs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void bcfs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/* link.c */
void bcfs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

/* rename.c */
void bcfs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                    unsigned int flags);

/* ops_list.c */
void bcfs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void bcfs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);

/* ops_file.c; open serves opendir too */
void bcfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void bcfs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void bcfs_op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
                   struct fuse_file_info *info);
void bcfs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *info);
void bcfs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *info);
void bcfs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t size, struct fuse_file_info *info);
void bcfs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *info);

/* ops_meta.c */
void bcfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void bcfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *info);
void bcfs_op_readlink(fuse_req_t req, fuse_ino_t ino);
void bcfs_op_statfs(fuse_req_t req, fuse_ino_t ino);

/* xattrs.c */
void bcfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void bcfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void bcfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void bcfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* ---- shared ---- */

/* The mount that a request is for. */
static inline struct bcfs *bcfs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Answers with the errno of status; 0 for BITCASK_OK. What only a look at the store's files can mend (CORRUPT, IO,
 * POISONED) is logged as well. */
void bcfs_reply_status(fuse_req_t req, bitcask_status status);

/* Locks the tree, shared, and a directory: what most operations on names hold. */
void bcfs_lock_dir(struct bcfs *fs, struct bcfs_inode *dir);
void bcfs_unlock_dir(struct bcfs *fs, struct bcfs_inode *dir);

/* Answers with the node; the reference becomes the kernel's. */
void bcfs_reply_entry(fuse_req_t req, struct bcfs_inode *inode);

/* Answers what would make or remove .bitcask, with error, or something in it; false: the request is about neither. */
bool bcfs_refused(fuse_req_t req, fuse_ino_t parent, const char *name, int error);

/* A name was removed: what is left to do once no lock is held. */
struct bcfs_removed {
    struct bcfs_inode *inode; /* with a reference of ours, and `refs` more to give back */
    struct bcfs_inode *parent;
    unsigned refs;
};

/* Whether removing a name of a file is a change of two logs, and queued: it has several, or is large. The directory is
 * locked, as for the next. */
bool bcfs_is_link(const struct bcfs *fs, const struct bcfs_inode *inode);

/* Removes a name of such a file; no queued move concerns it. */
bitcask_status bcfs_remove_link(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                struct bcfs_removed *removed);

/* The name every directory has and no listing shows: control.h. */
bool bcfs_name_is_reserved(const char *name);

/* Clears setuid and setgid, not those of directories, if the request being handled says so, or `always`. Setgid where
 * the group may not execute stays for those who may keep it (caller.h). inode->lock is held. */
void bcfs_kill_suid(fuse_req_t req, struct bcfs_inode *inode, bool always);

#define BCFS_CAPABILITY "security.capability"

/* Takes security.capability away: it was given to other content, or under another owner. Returns the flags that
 * bcfs_dirty_mark() is to get for it. The list of attributes was loaded, inode->lock is held. */
unsigned bcfs_kill_capability(struct bcfs_inode *inode);

/* Like bcfs_lock_idle(), for an operation on the content: a queued move of the node is completed first. On failure
 * the lock is not held. */
bitcask_status bcfs_lock_settled(struct bcfs *fs, struct bcfs_inode *inode);

/* The error of a commit that failed earlier, which is told once. inode->lock is held. */
bitcask_status bcfs_take_error(struct bcfs_inode *inode);

/* Where commit_ms is 0, commits the node (a directory: its attributes) now; else returns BITCASK_OK at once. */
bitcask_status bcfs_commit_if_asked(struct bcfs *fs, struct bcfs_inode *inode);

#endif
