/* ops_file.c - requests about a file's content: read, write, sync, allocate.
 *
 * A write changes the pending content and nothing else; every later request sees it. What makes it durable is the
 * commit and the sync that follows it.
 */
#include "ops.h"

#include "caller.h"
#include "commit.h"
#include "control.h"
#include "init.h"
#include "links.h"
#include "moves.h"
#include "node_xattrs.h"
#include "pending.h"
#include "value_cache.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

bitcask_status bcfs_lock_settled(struct bcfs *fs, struct bcfs_inode *inode)
{
    for (;;) {
        bitcask_status status = BITCASK_OK;

        bcfs_lock_idle(fs, inode);
        if (inode->state != BCFS_MOVED) return BITCASK_OK;
        (void)pthread_mutex_unlock(&inode->lock);
        status = bcfs_moves_complete(fs);
        if (status != BITCASK_OK) return status;
    }
}

bitcask_status bcfs_take_error(struct bcfs_inode *inode)
{
    bitcask_status error = BITCASK_OK;

    if (inode->pending == NULL) return BITCASK_OK;
    error = inode->pending->error;
    inode->pending->error = BITCASK_OK;
    return error;
}

void bcfs_kill_suid(fuse_req_t req, struct bcfs_inode *inode, bool always)
{
    if ((!always && !bcfs_request_kills_suid()) || inode->dir != NULL) return;
    inode->mode &= ~(uint32_t)S_ISUID;
    if (!(inode->mode & S_ISGID)) return;
    if (!(inode->mode & S_IXGRP) && bcfs_caller_keeps_setgid(req, inode->gid)) return;
    inode->mode &= ~(uint32_t)S_ISGID;
}

unsigned bcfs_kill_capability(struct bcfs_inode *inode)
{
    return bcfs_xattrs_drop(inode, BCFS_CAPABILITY) ? BCFS_DIRTY_XATTRS : 0;
}

/* State belongs to the node, so there is nothing to open. After this answer the kernel does not ask again, neither to
 * open nor to release, and keeps pages and listings as if it had been told to. */
void bcfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino;
    (void)info;
    (void)fuse_reply_err(req, ENOSYS);
}

/* ---- reading ---- */

/* Answers with a part of a value, or of what a writer has. Copied first: the bytes of a value may stand in a file of
 * the store, and should that be cut short, the answer would fail half-way, and whoever reads wait for ever. */
static bitcask_status reply_part(fuse_req_t req, bitcask_value *value, bitcask_writer *writer, uint64_t off,
                                 size_t size)
{
    size_t got = 0;
    char small[4096], *buffer = size <= sizeof(small) ? small : malloc(size);
    bitcask_status status = BITCASK_NO_MEMORY;

    if (buffer != NULL && value != NULL) status = bitcask_value_read(value, off, buffer, size, &got);
    if (buffer != NULL && value == NULL) status = bitcask_writer_read(writer, off, buffer, size, &got);
    if (status == BITCASK_OK) (void)fuse_reply_buf(req, buffer, got);
    if (buffer != small) free(buffer);
    return status;
}

/* Reads once. OK: the request was answered. NOT_FOUND with *moved: a round of moves has just taken the record away. */
static bitcask_status try_read(fuse_req_t req, struct bcfs *fs, struct bcfs_inode *inode, uint64_t off, size_t size,
                               bool *moved)
{
    bitcask_status status = BITCASK_OK;
    bitcask_value *value = NULL;
    size_t count = 0;

    (void)pthread_mutex_lock(&inode->lock);
    *moved = inode->state == BCFS_MOVED;
    if (off < inode->size) count = size < inode->size - off ? size : (size_t)(inode->size - off);
    if (count == 0) {
        (void)pthread_mutex_unlock(&inode->lock);
        (void)fuse_reply_buf(req, NULL, 0);
        return BITCASK_OK;
    }
    if (inode->size <= BCFS_SMALL_VALUE && inode->state != BCFS_UNLINKED &&
        (inode->pending == NULL || (!inode->pending->loaded && inode->pending->value == NULL))) {
        bitcask_partition *partition = NULL;
        const char *name = NULL;
        size_t name_size = 0;

        bcfs_inode_home(inode, &partition, &name, &name_size);
        status = bitcask_get(partition, name, name_size, &value);
        (void)pthread_mutex_unlock(&inode->lock);
        if (status == BITCASK_OK) status = reply_part(req, value, NULL, off, count);
        bitcask_value_unpin(&value);
        return status;
    }
    status = bcfs_content_load(inode);
    if (status == BITCASK_OK && (inode->pending->value != NULL || inode->pending->writer != NULL))
        status = reply_part(req, inode->pending->value, inode->pending->writer, off, count);
    else if (status == BITCASK_OK)
        /* Answered under the lock, so that the bytes stay where they are. */
        (void)fuse_reply_buf(req, (const char *)inode->pending->data + off, count);
    if (status == BITCASK_OK) {
        if (inode->dirty == 0 && (inode->pending->value != NULL || inode->state != BCFS_UNLINKED)) {
            bcfs_cache_touch(fs, inode);
        }
    }
    (void)pthread_mutex_unlock(&inode->lock);
    bcfs_cache_trim(fs);
    return status;
}

void bcfs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    bitcask_status status = BITCASK_BAD_ARGUMENT;
    bool moved = false;

    (void)info;
    if (inode->control != NULL) {
        bcfs_control_read(req, inode, size, off);
        return;
    }
    if (inode->dir != NULL) status = BITCASK_IS_PARTITION;
    if (inode->dir == NULL && off >= 0) {
        /* Once the reply is written, the reader may close an unlinked file, and its FORGET overtake this thread. */
        bcfs_inode_ref(inode);
        do {
            status = try_read(req, fs, inode, (uint64_t)off, size, &moved);
        } while (status == BITCASK_NOT_FOUND && moved && bcfs_moves_wait(fs, inode));
        bcfs_inode_unref(fs, inode, 1);
        if (status == BITCASK_OK) return;
    }
    bcfs_reply_status(req, status == BITCASK_NOT_FOUND ? BITCASK_IO : status);
}

/* ---- writing ---- */

void bcfs_op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
                   struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    bitcask_status status = BITCASK_OK;

    if (inode->control != NULL) {
        bcfs_control_write(req, inode, bytes, size);
        return;
    }
    if (fs->options.read_only) {
        (void)fuse_reply_err(req, EROFS);
        return;
    }
    if (off < 0 || size > BITCASK_SIZE_MAX || (uint64_t)off > BITCASK_SIZE_MAX - size) {
        (void)fuse_reply_err(req, EFBIG);
        return;
    }
    status = bcfs_wait_for_room(fs);
    if (status == BITCASK_OK) status = bcfs_lock_settled(fs, inode);
    if (status == BITCASK_OK) {
        status = bcfs_take_error(inode);
        if (status == BITCASK_OK) status = bcfs_content_spill(fs, inode);
        if (status == BITCASK_OK) status = bcfs_content_write(fs, inode, bytes, size, (uint64_t)off);
        if (status == BITCASK_OK && size > 0) {
            /* With writeback the kernel keeps a file's times, and tells them in a SETATTR, behind the pages it
             * gathered, where they changed. */
            if (!fs->options.writeback || !info->writepage) {
                inode->mtime_ns = bcfs_now_ns(fs);
                inode->ctime_ns = inode->mtime_ns;
            }
            bcfs_kill_suid(req, inode, false);
            bcfs_dirty_mark(fs, inode, BCFS_DIRTY_CONTENT | bcfs_kill_capability(inode));
        }
        (void)pthread_mutex_unlock(&inode->lock);
    }
    if (status == BITCASK_OK) status = bcfs_commit_if_asked(fs, inode);
    if (status == BITCASK_OK) {
        (void)fuse_reply_write(req, size);
    } else {
        bcfs_reply_status(req, status);
    }
}

/* fallocate(2) with a mode that is supported. */
static bitcask_status allocate(struct bcfs *fs, struct bcfs_inode *inode, int mode, uint64_t off, uint64_t size)
{
    uint64_t end = off + size;
    bool clears = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0 && off < inode->size;
    bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0 && end > inode->size;
    bitcask_status status = BITCASK_OK;

    /* What may find no room comes first. */
    if ((mode & FALLOC_FL_PUNCH_HOLE) == 0) status = bcfs_content_allocate(fs, inode, off, size);
    if (status == BITCASK_OK && clears) status = bcfs_content_clear(fs, inode, off, size);
    if (status == BITCASK_OK && grows) status = bcfs_content_resize(fs, inode, end);
    if (status == BITCASK_OK && bcfs_pending_make(inode)) {
        /* Also where the size stays: programs that watch a file see it this way on other filesystems. */
        inode->mtime_ns = bcfs_now_ns(fs);
        inode->ctime_ns = inode->mtime_ns;
        bcfs_dirty_mark(fs, inode,
                        (grows || clears ? BCFS_DIRTY_CONTENT : BCFS_DIRTY_ATTRS) | bcfs_kill_capability(inode));
    }
    return status;
}

void bcfs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t size, struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    bitcask_status status = BITCASK_OK;

    (void)info;
    if (fs->options.read_only) {
        (void)fuse_reply_err(req, EROFS);
    } else if (inode->control != NULL ||
               (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
        (void)fuse_reply_err(req, EOPNOTSUPP);
    } else if (inode->dir != NULL || off < 0 || size <= 0) {
        (void)fuse_reply_err(req, EINVAL);
    } else if ((uint64_t)size > BITCASK_SIZE_MAX || (uint64_t)off > BITCASK_SIZE_MAX - (uint64_t)size) {
        (void)fuse_reply_err(req, EFBIG);
    } else {
        status = bcfs_wait_for_room(fs);
        if (status == BITCASK_OK) status = bcfs_lock_settled(fs, inode);
        if (status == BITCASK_OK) {
            status = bcfs_xattrs_load(inode);
            if (status == BITCASK_OK) status = allocate(fs, inode, mode, (uint64_t)off, (uint64_t)size);
            (void)pthread_mutex_unlock(&inode->lock);
        }
        if (status == BITCASK_OK) status = bcfs_commit_if_asked(fs, inode);
        bcfs_reply_status(req, status);
    }
}

/* NOT_FOUND with *moved: a round of moves has just taken the record away. */
static bitcask_status seek(struct bcfs *fs, struct bcfs_inode *inode, uint64_t off, bool hole, uint64_t *found,
                           bool *moved)
{
    bitcask_status status = BITCASK_OK;

    (void)pthread_mutex_lock(&inode->lock);
    if (inode->control != NULL) {
        /* Its text is all data. */
        *found = hole ? inode->size : off;
        status = off < inode->size ? BITCASK_OK : BITCASK_NOT_FOUND;
        (void)pthread_mutex_unlock(&inode->lock);
        return status;
    }
    *moved = inode->state == BCFS_MOVED && off < inode->size;
    status = bcfs_content_seek(inode, off, hole, found);
    if (inode->dirty == 0 && inode->pending != NULL && !inode->busy) bcfs_pending_rest(fs, inode);
    (void)pthread_mutex_unlock(&inode->lock);
    bcfs_cache_trim(fs);
    return status;
}

void bcfs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    bitcask_status status = BITCASK_OK;
    uint64_t found = 0;
    bool moved = false;

    (void)info;
    if (fs->options.writeback) {
        /* The kernel alone knows where the file ends; without an answer it goes by that, and never asks again. */
        (void)fuse_reply_err(req, ENOSYS);
    } else if (whence != SEEK_DATA && whence != SEEK_HOLE) {
        (void)fuse_reply_err(req, EINVAL);
    } else if (off < 0) {
        (void)fuse_reply_err(req, ENXIO);
    } else {
        do {
            status = seek(fs, inode, (uint64_t)off, whence == SEEK_HOLE, &found, &moved);
        } while (status == BITCASK_NOT_FOUND && moved && bcfs_moves_wait(fs, inode));
        if (status == BITCASK_OK) {
            (void)fuse_reply_lseek(req, (off_t)found);
        } else if (status == BITCASK_NOT_FOUND) {
            (void)fuse_reply_err(req, ENXIO);
        } else {
            bcfs_reply_status(req, status);
        }
    }
}

/* ---- syncing ---- */

void bcfs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    struct bcfs_inode *parent = NULL;
    bitcask_status status = BITCASK_OK;
    bitcask_status error = BITCASK_OK;

    (void)datasync;
    (void)info;
    if (fs->options.read_only || inode->control != NULL) {
        (void)fuse_reply_err(req, 0);
        return;
    }
    /* With what is queued; but a rename of others that finds no room is no failure of this file. */
    (void)bcfs_moves_complete(fs);
    status = bcfs_commit_inode(fs, inode);
    (void)pthread_mutex_lock(&inode->lock);
    error = bcfs_take_error(inode);
    parent = inode->parent;
    if (parent != NULL) bcfs_inode_ref(parent);
    (void)pthread_mutex_unlock(&inode->lock);
    if (status == BITCASK_OK) status = error;
    if (status == BITCASK_OK && parent != NULL) status = bitcask_partition_sync(parent->dir->partition);
    if (status == BITCASK_OK) status = bcfs_names_sync(fs, inode);
    bcfs_inode_unref(fs, parent, 1);
    bcfs_reply_status(req, status);
}

static bool is_unlinked(struct bcfs_inode *inode)
{
    bool unlinked = false;

    (void)pthread_mutex_lock(&inode->lock);
    unlinked = inode->state == BCFS_UNLINKED;
    (void)pthread_mutex_unlock(&inode->lock);
    return unlinked;
}

void bcfs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *info)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *dir = bcfs_inode_of(fs, ino);
    bitcask_status status = BITCASK_OK;

    (void)datasync;
    (void)info;
    if (fs->options.read_only || dir->control != NULL) {
        (void)fuse_reply_err(req, 0);
        return;
    }
    if (dir == fs->nodes->root) {
        status = bcfs_commit_all(fs);
        if (status == BITCASK_OK) status = bitcask_sync(fs->db);
    } else {
        status = bcfs_moves_complete(fs);
        if (status != BITCASK_OK && !bcfs_moves_in(fs, dir)) status = BITCASK_OK; /* likewise */
        if (status == BITCASK_OK) status = bcfs_commit_dir(fs, dir, BCFS_ALL);
        /* Some may have a name here. */
        if (status == BITCASK_OK) status = bcfs_commit_dir(fs, fs->nodes->files, BCFS_ALL);
        if (status == BITCASK_OK) status = bcfs_commit_dir_attrs(fs, dir);
        if (status == BITCASK_OK) status = bitcask_partition_sync(dir->dir->partition);
        /* The directory itself was removed: nothing is left to be made durable. */
        if (status == BITCASK_NOT_FOUND && is_unlinked(dir)) status = BITCASK_OK;
    }
    bcfs_reply_status(req, status);
}
