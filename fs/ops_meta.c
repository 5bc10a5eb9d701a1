/* ops_meta.c - requests about attributes: stat, chmod and the like, symlinks' targets, statfs. */
#include "ops.h"

#include "acl.h"
#include "caller.h"
#include "commit.h"
#include "control.h"
#include "moves.h"
#include "node_xattrs.h"
#include "pending.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* What a file and its record take, for the guess how many more fit. */
#define BYTES_A_FILE 256u

/* How long a file is just being written: as long as the kernel may keep pages, and then some. */
#define WRITEBACK_NS ((int64_t)120 * 1000000000)

void bcfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    struct stat attr;

    (void)info;
    (void)pthread_mutex_lock(&inode->lock);
    bcfs_inode_stat(inode, &attr);
    (void)pthread_mutex_unlock(&inode->lock);
    (void)fuse_reply_attr(req, &attr, inode->control != NULL ? bcfs_control_timeout(fs, inode) : bcfs_timeout(fs));
}

/* ---- setattr ---- */

/* Nanoseconds since 1970, at the end of the range where it lies outside. */
static int64_t to_ns(struct timespec time)
{
    const int64_t most_seconds = INT64_MAX / 1000000000 - 1;

    if (time.tv_sec > most_seconds) return most_seconds * 1000000000;
    if (time.tv_sec < -most_seconds) return -most_seconds * 1000000000;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Whether this is the kernel's word on writes that it has gathered (writeback), not somebody's on the times. It looks
 * like touch -m, after which the atime is to be stored; for a file that is just being written it is not worth that. */
static bool is_of_writes(const struct bcfs *fs, const struct bcfs_inode *inode, const struct stat *attr, int to_set)
{
    int64_t apart_ns = to_ns(attr->st_mtim) - inode->mtime_ns;

    return fs->options.writeback && (to_set & FUSE_SET_ATTR_MTIME) != 0 && (to_set & FUSE_SET_ATTR_CTIME) != 0 &&
           apart_ns < WRITEBACK_NS && apart_ns > -WRITEBACK_NS;
}

/* Sets the times of a node; inode->lock is held, as for the next two. */
static void set_times(struct bcfs *fs, struct bcfs_inode *inode, const struct stat *attr, int to_set)
{
    int64_t now_ns = bcfs_now_ns(fs);
    bool sets_mtime =
        (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) != 0 && !is_of_writes(fs, inode, attr, to_set);

    if (to_set & FUSE_SET_ATTR_ATIME_NOW) {
        inode->atime_ns = now_ns;
        inode->atime_set = true;
    } else if (to_set & FUSE_SET_ATTR_ATIME) {
        inode->atime_ns = to_ns(attr->st_atim);
        inode->atime_set = true;
    } else if (sets_mtime && !inode->atime_set) {
        inode->atime_ns = inode->mtime_ns;
        inode->atime_set = true;
    }
    if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
        inode->mtime_ns = now_ns;
    } else if (to_set & FUSE_SET_ATTR_MTIME) {
        inode->mtime_ns = to_ns(attr->st_mtim);
    } else if (to_set & FUSE_SET_ATTR_SIZE) {
        inode->mtime_ns = now_ns;
    }
    /* With writeback the kernel keeps a file's ctime itself. */
    inode->ctime_ns = to_set & FUSE_SET_ATTR_CTIME ? to_ns(attr->st_ctim) : now_ns;
}

static bitcask_status set_size(struct bcfs *fs, struct bcfs_inode *inode, uint64_t size, unsigned *flags)
{
    bitcask_status status = bcfs_take_error(inode);

    if (status != BITCASK_OK) return status;
    /* Its times change all the same, which takes a record. */
    if (size == inode->size) return bcfs_content_reserve(inode, size);
    *flags |= BCFS_DIRTY_CONTENT;
    return bcfs_content_resize(fs, inode, size);
}

/* Sets the permissions, in the access ACL too if there is one. Returns the flags for what changed beside them. */
static unsigned set_mode(const struct bcfs *fs, struct bcfs_inode *inode, mode_t mode)
{
    struct bcfs_xattr acl;

    inode->mode = (inode->mode & S_IFMT) | (mode & 07777);
    if (!fs->options.acl || !bcfs_xattrs_find(inode, BCFS_ACL_ACCESS, &acl)) return 0;
    if (!bcfs_acl_check(acl.value, acl.value_size)) return 0;
    bcfs_acl_chmod((void *)(uintptr_t)acl.value, acl.value_size, inode->mode);
    return BCFS_DIRTY_XATTRS;
}

/* Whether there is something that a write by the caller would take away. The list of attributes was loaded. */
static bool has_privileges(fuse_req_t req, const struct bcfs_inode *inode)
{
    struct bcfs_xattr capability;

    if (inode->mode & S_ISUID || bcfs_xattrs_find(inode, BCFS_CAPABILITY, &capability)) return true;
    if (!(inode->mode & S_ISGID)) return false;
    return inode->mode & S_IXGRP || !bcfs_caller_keeps_setgid(req, inode->gid);
}

/* A SETATTR that sets nothing comes from a write or an allocation, and means that privileges go; but from a chown(2)
 * that names neither owner nor group too. With it nobody shall take the privileges from a file that he may not write.
 */
static bool may_strip(fuse_req_t req, const struct bcfs_inode *inode, int to_set)
{
    uid_t uid = fuse_req_ctx(req)->uid;

    if ((to_set & ~FUSE_SET_ATTR_CTIME) != 0 || inode->dir != NULL) return true;
    if (!has_privileges(req, inode)) return true;
    if (uid == 0 || uid == inode->uid || inode->mode & S_IWOTH) return true;
    if (!(inode->mode & S_IWGRP)) return false;
    /* Where there is an ACL these bits are its mask: whom it names is not looked at. */
    return inode->has_xattrs || bcfs_caller_in_group(req, inode->gid);
}

/* Changes what to_set says. On failure nothing has changed. The list of attributes was loaded. */
static bitcask_status change(fuse_req_t req, struct bcfs_inode *inode, const struct stat *attr, int to_set)
{
    struct bcfs *fs = bcfs_of(req);
    bool sets_nothing = (to_set & ~FUSE_SET_ATTR_CTIME) == 0;
    bool sets_owner = (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0;
    bitcask_status status = BITCASK_OK;
    unsigned flags = BCFS_DIRTY_ATTRS;

    if (inode->dir == NULL && !bcfs_pending_make(inode)) return BITCASK_NO_MEMORY;
    if (to_set & FUSE_SET_ATTR_SIZE) {
        status = set_size(fs, inode, (uint64_t)attr->st_size, &flags);
    } else if (inode->dir == NULL) {
        /* Its commit writes the whole record again. Without room it is this call that should say so. */
        status = bcfs_content_reserve(inode, inode->size);
    }
    if (status != BITCASK_OK) return status;
    if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) inode->assumed = 0;
    if (to_set & FUSE_SET_ATTR_MODE) flags |= set_mode(fs, inode, attr->st_mode);
    /* A SETATTR that sets nothing is what is left of "remove the privileges" when someone without CAP_FSETID writes to
     * or allocates in a setuid file. The WRITE behind it says so too, but its reply carries no mode, and the kernel
     * would go on with the old one: a program that anybody wrote to would still run as its owner. An allocation says
     * so nowhere else. */
    bcfs_kill_suid(req, inode, sets_nothing);
    if (to_set & FUSE_SET_ATTR_UID) inode->uid = attr->st_uid;
    if (to_set & FUSE_SET_ATTR_GID) inode->gid = attr->st_gid;
    set_times(fs, inode, attr, to_set);
    if (inode->dir != NULL) {
        inode->dirty = (uint8_t)(inode->dirty | (flags & BCFS_DIRTY_XATTRS));
        return BITCASK_OK;
    }
    if (sets_owner || sets_nothing || to_set & FUSE_SET_ATTR_SIZE) flags |= bcfs_kill_capability(inode);
    bcfs_dirty_mark(fs, inode, flags);
    return BITCASK_OK;
}

void bcfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    bool sets_size = (to_set & FUSE_SET_ATTR_SIZE) != 0;
    bitcask_status status = BITCASK_OK;
    bool refused = false;
    struct stat result;

    (void)info;
    if (inode->control != NULL) {
        bcfs_control_setattr(req, inode, to_set);
        return;
    }
    if (fs->options.read_only) {
        (void)fuse_reply_err(req, EROFS);
        return;
    }
    if (sets_size && (inode->dir != NULL || attr->st_size < 0 || (uint64_t)attr->st_size > BITCASK_SIZE_MAX)) {
        (void)fuse_reply_err(req, inode->dir != NULL ? EISDIR : attr->st_size < 0 ? EINVAL : EFBIG);
        return;
    }
    bcfs_lock_idle(fs, inode);
    if (inode->state == BCFS_MOVED && (sets_size || bcfs_xattrs_unread(inode))) {
        (void)pthread_mutex_unlock(&inode->lock);
        status = bcfs_lock_settled(fs, inode);
    }
    if (status == BITCASK_OK) {
        status = bcfs_xattrs_load(inode);
        refused = !may_strip(req, inode, to_set);
        if (status == BITCASK_OK && !refused) status = change(req, inode, attr, to_set);
        bcfs_inode_stat(inode, &result);
        (void)pthread_mutex_unlock(&inode->lock);
    }
    if (refused) {
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    if (status == BITCASK_OK && inode->dir != NULL) bcfs_dirty_mark_dir(fs, inode, true);
    if (status == BITCASK_OK) status = bcfs_commit_if_asked(fs, inode);
    if (status == BITCASK_OK) {
        (void)fuse_reply_attr(req, &result, bcfs_timeout(fs));
    } else {
        bcfs_reply_status(req, status);
    }
}

/* ---- symlinks ---- */

/* Copies a symlink's target into target[PATH_MAX], with a NUL. NOT_FOUND with *moved: a round of moves has just taken
 * the record to its new name. */
static bitcask_status read_target(struct bcfs *fs, struct bcfs_inode *inode, char *target, bool *moved)
{
    bitcask_status status = BITCASK_OK;

    (void)pthread_mutex_lock(&inode->lock);
    *moved = inode->state == BCFS_MOVED;
    if (!S_ISLNK(inode->mode)) status = BITCASK_BAD_ARGUMENT;
    if (status == BITCASK_OK && inode->size >= PATH_MAX) status = BITCASK_NAME_TOO_LONG;
    if (status == BITCASK_OK) status = bcfs_content_load(inode);
    if (status == BITCASK_OK) {
        status = bcfs_content_copy(inode->pending, 0, target, (size_t)inode->size);
        target[inode->size] = '\0';
        if (inode->pending->value != NULL) bcfs_pending_drop(fs, inode);
    }
    (void)pthread_mutex_unlock(&inode->lock);
    return status;
}

void bcfs_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    char target[PATH_MAX];
    bitcask_status status = BITCASK_OK;
    bool moved = false;

    do {
        status = read_target(fs, inode, target, &moved);
    } while (status == BITCASK_NOT_FOUND && moved && bcfs_moves_wait(fs, inode));
    if (status == BITCASK_OK) {
        (void)fuse_reply_readlink(req, target);
    } else {
        bcfs_reply_status(req, status == BITCASK_NOT_FOUND ? BITCASK_IO : status);
    }
}

/* ---- the file system as a whole ---- */

void bcfs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct bcfs *fs = bcfs_of(req);
    struct statvfs space;
    bitcask_stats stats = {0};
    bitcask_status status = BITCASK_OK;

    (void)ino;
    if (fstatvfs(fs->nodes->store_fd, &space) != 0) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    status = bitcask_get_stats(fs->db, &stats);
    if (status != BITCASK_OK) {
        bcfs_reply_status(req, status);
        return;
    }
    space.f_namemax = BITCASK_NAME_MAX;
    space.f_ffree = (fsfilcnt_t)((uint64_t)space.f_bavail * space.f_frsize / BYTES_A_FILE);
    space.f_favail = space.f_ffree;
    space.f_files = space.f_ffree + stats.live_keys;
    (void)fuse_reply_statfs(req, &space);
}
