/* ops_dir.c - requests about names in a directory: finding, making and removing them.
 *
 * Making a file only touches memory and reserves its room; making or removing a directory is one append. An
 * operation on a name that a queued move concerns first completes that move, without any lock, and then starts
 * again.
 */
#include "ops.h"

#include "acl.h"
#include "commit.h"
#include "control.h"
#include "links.h"
#include "log.h"
#include "moves.h"
#include "names.h"
#include "node_xattrs.h"
#include "pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared ---- */

void bcfs_reply_status(fuse_req_t req, bitcask_status status)
{
    if (status == BITCASK_CORRUPT || status == BITCASK_IO || status == BITCASK_POISONED) {
        bcfs_log_failure(bcfs_of(req)->options.store, status);
    }
    (void)fuse_reply_err(req, bitcask_status_errno(status));
}

bool bcfs_name_is_reserved(const char *name)
{
    return strcmp(name, BCFS_CONTROL_NAME) == 0;
}

bitcask_status bcfs_commit_if_asked(struct bcfs *fs, struct bcfs_inode *inode)
{
    if (fs->options.commit_ms != 0 || fs->options.read_only) return BITCASK_OK;
    return inode->dir != NULL ? bcfs_commit_dir_attrs(fs, inode) : bcfs_commit_inode(fs, inode);
}

void bcfs_lock_dir(struct bcfs *fs, struct bcfs_inode *parent)
{
    (void)pthread_rwlock_rdlock(&fs->nodes->tree);
    (void)pthread_mutex_lock(&parent->dir->lock);
}

void bcfs_unlock_dir(struct bcfs *fs, struct bcfs_inode *parent)
{
    (void)pthread_mutex_unlock(&parent->dir->lock);
    (void)pthread_rwlock_unlock(&fs->nodes->tree);
}

void bcfs_reply_entry(fuse_req_t req, struct bcfs_inode *inode)
{
    struct bcfs *fs = bcfs_of(req);
    struct fuse_entry_param entry = {0};

    entry.ino = bcfs_inode_id(fs, inode);
    entry.attr_timeout = bcfs_timeout(fs);
    entry.entry_timeout = bcfs_timeout(fs);
    (void)pthread_mutex_lock(&inode->lock);
    bcfs_inode_stat(inode, &entry.attr);
    (void)pthread_mutex_unlock(&inode->lock);
    /* The kernel gave up waiting: it does not know of this lookup. */
    if (fuse_reply_entry(req, &entry) != 0) bcfs_inode_unref(fs, inode, 1);
}

static void reply_absent(fuse_req_t req)
{
    struct fuse_entry_param entry = {0};

    entry.entry_timeout = bcfs_timeout(bcfs_of(req));
    (void)fuse_reply_entry(req, &entry);
}

bool bcfs_refused(fuse_req_t req, fuse_ino_t parent, const char *name, int error)
{
    if (bcfs_inode_of(bcfs_of(req), parent)->control != NULL) {
        error = EPERM;
    } else if (!bcfs_name_is_reserved(name)) {
        return false;
    }
    (void)fuse_reply_err(req, error);
    return true;
}

/* ---- finding ---- */

void bcfs_op_lookup(fuse_req_t req, fuse_ino_t parent_id, const char *name)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *parent = bcfs_inode_of(fs, parent_id);
    struct bcfs_inode *inode = NULL;
    size_t name_size = strlen(name);
    bitcask_status status = bitcask_check_name(name, name_size);

    if (parent->control != NULL || bcfs_name_is_reserved(name)) {
        bcfs_control_lookup(req, parent, name);
        return;
    }
    if (status == BITCASK_BAD_NAME) status = BITCASK_NOT_FOUND;
    if (status == BITCASK_OK) {
        bcfs_lock_dir(fs, parent);
        status = bcfs_lookup_locked(fs, parent, name, name_size, &inode);
        bcfs_unlock_dir(fs, parent);
    }
    if (status == BITCASK_OK) {
        bcfs_reply_entry(req, inode);
    } else if (status == BITCASK_NOT_FOUND) {
        reply_absent(req);
    } else {
        bcfs_reply_status(req, status);
    }
}

static void forget(struct bcfs *fs, fuse_ino_t id, uint64_t count)
{
    if (id != FUSE_ROOT_ID) bcfs_inode_unref(fs, bcfs_inode_of(fs, id), count);
}

void bcfs_op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
    forget(bcfs_of(req), id, count);
    fuse_reply_none(req);
}

void bcfs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++) forget(bcfs_of(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* ---- making ---- */

/* What a new node shall be. */
struct wanted {
    const char *name;
    size_t name_size;
    mode_t mode; /* with its type */
    dev_t rdev;
    const char *target; /* of a symlink; else NULL */
    uint32_t uid;
    uint32_t gid;
    int64_t now_ns;
    struct bcfs_xattr_list *xattrs; /* the ACLs it inherits; owned */
};

/* Puts the ACLs that come from a directory's default one into wanted, and takes out of the mode what these, or without
 * them the umask, do not allow. The parent's lock is held. */
static bitcask_status inherit(const struct bcfs *fs, struct bcfs_inode *parent, mode_t umask, struct wanted *wanted)
{
    struct bcfs_xattr found;
    uint8_t *acl = NULL;
    uint32_t mode = wanted->mode;
    bool says_all = false;
    bitcask_status status = BITCASK_OK;

    if (S_ISLNK(wanted->mode)) return BITCASK_OK;
    if (fs->options.acl) status = bcfs_xattrs_load(parent);
    if (status != BITCASK_OK) return status;
    if (!fs->options.acl || !bcfs_xattrs_find(parent, BCFS_ACL_DEFAULT, &found) ||
        !bcfs_acl_check(found.value, found.value_size)) {
        wanted->mode &= ~umask;
        return BITCASK_OK;
    }
    acl = malloc(found.value_size);
    if (acl == NULL) return BITCASK_NO_MEMORY;
    memcpy(acl, found.value, found.value_size);
    says_all = bcfs_acl_inherit(acl, found.value_size, &mode);
    wanted->mode = mode;
    if (S_ISDIR(mode)) {
        status = bcfs_xattr_list_change(NULL, 0, BCFS_ACL_DEFAULT, found.value, found.value_size, &wanted->xattrs);
    }
    if (status == BITCASK_OK && !says_all) {
        struct bcfs_xattr_list *first = wanted->xattrs;

        status = bcfs_xattr_list_change(first != NULL ? first->bytes : NULL, first != NULL ? first->size : 0,
                                        BCFS_ACL_ACCESS, acl, found.value_size, &wanted->xattrs);
        free(first);
    }
    free(acl);
    return status;
}

static bitcask_status describe(fuse_req_t req, struct bcfs_inode *parent, struct wanted *wanted)
{
    const struct fuse_ctx *context = fuse_req_ctx(req);
    bitcask_status status = BITCASK_OK;

    wanted->name_size = strlen(wanted->name);
    wanted->uid = context->uid;
    wanted->gid = context->gid;
    wanted->now_ns = bcfs_now_ns(bcfs_of(req));
    (void)pthread_mutex_lock(&parent->lock);
    if (parent->mode & S_ISGID) {
        wanted->gid = parent->gid;
        if (S_ISDIR(wanted->mode)) wanted->mode |= S_ISGID;
    }
    status = inherit(bcfs_of(req), parent, context->umask, wanted);
    (void)pthread_mutex_unlock(&parent->lock);
    return status;
}

static void set_attrs(struct bcfs_inode *inode, struct wanted *wanted)
{
    inode->mode = wanted->mode;
    inode->uid = wanted->uid;
    inode->gid = wanted->gid;
    inode->rdev = (uint32_t)wanted->rdev;
    inode->mtime_ns = wanted->now_ns;
    inode->ctime_ns = wanted->now_ns;
    (void)bcfs_xattrs_swap(inode, wanted->xattrs);
    wanted->xattrs = NULL;
}

/* Makes a file in memory, with its room reserved; the directory is locked. */
static bitcask_status make_file(struct bcfs *fs, struct bcfs_inode *parent, struct wanted *wanted,
                                struct bcfs_inode **result)
{
    uint64_t ino = bitcask_derived_ino(parent->dir->partition, wanted->name, wanted->name_size);
    struct bcfs_inode *inode = bcfs_inode_new(fs, parent, wanted->name, wanted->name_size, false, ino);
    size_t target_size = wanted->target != NULL ? strlen(wanted->target) : 0;
    bitcask_status status = BITCASK_OK;

    if (inode == NULL) return BITCASK_NO_MEMORY;
    (void)pthread_mutex_lock(&inode->lock);
    set_attrs(inode, wanted);
    status = bcfs_content_reserve(inode, target_size);
    if (status == BITCASK_OK && target_size > 0) {
        status = bcfs_content_write(fs, inode, wanted->target, target_size, 0);
    }
    if (status == BITCASK_OK && !bcfs_overlay_set(&parent->dir->overlay, wanted->name, wanted->name_size, inode)) {
        status = BITCASK_NO_MEMORY;
    }
    if (status == BITCASK_OK) {
        inode->pending->loaded = true;
        bcfs_inode_publish(fs, inode);
        bcfs_dirty_mark(fs, inode, BCFS_DIRTY_CONTENT);
    } else {
        bcfs_content_unreserve(inode);
    }
    (void)pthread_mutex_unlock(&inode->lock);
    if (status == BITCASK_OK) {
        *result = inode;
    } else {
        bcfs_inode_unref(fs, inode, 1);
    }
    return status;
}

/* Makes a directory, in the log at once; the parent is locked. */
static bitcask_status make_dir(struct bcfs *fs, struct bcfs_inode *parent, struct wanted *wanted,
                               struct bcfs_inode **result)
{
    bitcask_attrs attrs = {0};
    bitcask_partition *partition = NULL;
    struct bcfs_inode *inode = NULL;
    bitcask_entry entry;
    bitcask_status status = BITCASK_OK;

    attrs.present = BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID | BITCASK_ATTR_MTIME | BITCASK_ATTR_CTIME;
    attrs.mode = wanted->mode;
    attrs.uid = wanted->uid;
    attrs.gid = wanted->gid;
    attrs.mtime_ns = wanted->now_ns;
    attrs.ctime_ns = wanted->now_ns;
    if (wanted->xattrs != NULL) {
        attrs.present |= BITCASK_ATTR_XATTRS;
        attrs.xattrs = wanted->xattrs->bytes;
        attrs.xattrs_size = wanted->xattrs->size;
    }
    status = bitcask_partition_create(parent->dir->partition, wanted->name, wanted->name_size, &attrs, 0, &partition);
    if (status == BITCASK_OK) status = bitcask_partition_stat(partition, &entry);
    if (status == BITCASK_OK) {
        inode = bcfs_inode_new(fs, parent, wanted->name, wanted->name_size, true, entry.ino);
        if (inode == NULL) status = BITCASK_NO_MEMORY;
    }
    if (status != BITCASK_OK) {
        bitcask_partition_close(&partition);
        return status;
    }
    inode->dir->partition = partition;
    (void)pthread_mutex_lock(&inode->lock);
    set_attrs(inode, wanted);
    inode->state = BCFS_COMMITTED;
    (void)pthread_mutex_unlock(&inode->lock);
    bcfs_inode_publish(fs, inode);
    *result = inode;
    return BITCASK_OK;
}

/* Makes what is wanted and answers the request. */
static void make(fuse_req_t req, fuse_ino_t parent_id, struct wanted *wanted)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *parent = bcfs_inode_of(fs, parent_id);
    struct bcfs_inode *inode = NULL;
    bool concerned = false;
    bitcask_status status = BITCASK_OK;

    status = describe(req, parent, wanted);
    if (status == BITCASK_OK) status = bitcask_check_name(wanted->name, wanted->name_size);
    if (fs->options.read_only) status = BITCASK_READ_ONLY;
    do {
        if (concerned) status = bcfs_moves_complete(fs);
        if (status != BITCASK_OK) break;
        bcfs_lock_dir(fs, parent);
        status = bcfs_name_check_free(fs, parent, wanted->name, wanted->name_size, &concerned);
        if (status == BITCASK_OK && !concerned) {
            status =
                S_ISDIR(wanted->mode) ? make_dir(fs, parent, wanted, &inode) : make_file(fs, parent, wanted, &inode);
        }
        if (status == BITCASK_OK && !concerned) bcfs_touch_dir(fs, parent, wanted->now_ns);
        bcfs_unlock_dir(fs, parent);
    } while (status == BITCASK_OK && concerned);
    free(wanted->xattrs);
    if (status == BITCASK_OK) {
        status = bcfs_commit_if_asked(fs, inode);
        if (status != BITCASK_OK) bcfs_inode_unref(fs, inode, 1);
    }
    if (status == BITCASK_OK) {
        bcfs_reply_entry(req, inode);
    } else {
        bcfs_reply_status(req, status);
    }
}

void bcfs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct wanted wanted = {.name = name, .mode = mode, .rdev = rdev};

    if (bcfs_refused(req, parent, name, EEXIST)) return;
    if ((wanted.mode & S_IFMT) == 0) wanted.mode |= S_IFREG;
    make(req, parent, &wanted);
}

void bcfs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct wanted wanted = {.name = name, .mode = (mode & 07777) | S_IFDIR};

    if (bcfs_refused(req, parent, name, EEXIST)) return;
    make(req, parent, &wanted);
}

void bcfs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct wanted wanted = {.name = name, .mode = S_IFLNK | 0777, .target = target};

    if (bcfs_refused(req, parent, name, EEXIST)) return;
    make(req, parent, &wanted);
}

/* ---- removing ---- */

static void finish_removed(struct bcfs *fs, struct bcfs_removed *removed)
{
    bcfs_inode_unref(fs, removed->inode, removed->refs + 1);
    bcfs_inode_unref(fs, removed->parent, 1);
}

/* The parent is locked. */
static bitcask_status remove_file(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                  struct bcfs_removed *removed)
{
    struct bcfs_inode *inode = removed->inode;
    bitcask_status status = BITCASK_OK;
    int64_t now_ns = bcfs_now_ns(fs);

    if (inode->dir != NULL) return BITCASK_IS_PARTITION;
    if (bcfs_is_link(fs, inode)) return bcfs_remove_link(fs, parent, name, name_size, removed);
    status = bcfs_name_hold(fs, inode);
    if (status != BITCASK_OK) return status;
    if (bcfs_name_has_record(inode)) {
        status = bitcask_delete(parent->dir->partition, inode->name, inode->name_size, NULL);
    }
    if (status == BITCASK_OK) removed->parent = bcfs_name_detach(fs, inode, now_ns, &removed->refs);
    bcfs_name_release(fs, inode);
    if (status == BITCASK_OK) bcfs_touch_dir(fs, parent, now_ns);
    return status;
}

/* The parent is locked. *concerned: names that were moved out of the directory are still in its log, so the moves
 * have to be completed first. */
static bitcask_status remove_dir(struct bcfs *fs, struct bcfs_inode *parent, struct bcfs_removed *removed,
                                 bool *concerned)
{
    struct bcfs_inode *inode = removed->inode;
    bitcask_status status = BITCASK_OK;
    int64_t now_ns = bcfs_now_ns(fs);

    if (inode->dir == NULL) return BITCASK_NOT_PARTITION;
    (void)pthread_mutex_lock(&inode->dir->lock);
    status = bcfs_dir_is_empty(inode);
    if (status == BITCASK_OK && inode->dir->overlay.whiteouts > 0) *concerned = true;
    if (status == BITCASK_OK && !*concerned) {
        status = bitcask_partition_drop(parent->dir->partition, inode->name, inode->name_size, 0);
        if (status == BITCASK_OK) removed->parent = bcfs_name_detach(fs, inode, now_ns, &removed->refs);
    }
    (void)pthread_mutex_unlock(&inode->dir->lock);
    if (status == BITCASK_OK && !*concerned) bcfs_touch_dir(fs, parent, now_ns);
    return status;
}

static bitcask_status remove_name(struct bcfs *fs, struct bcfs_inode *parent, const char *name, bool is_dir)
{
    size_t name_size = strlen(name);
    bitcask_status status = BITCASK_OK;
    bool concerned = false;

    do {
        struct bcfs_removed removed = {0};

        if (concerned) status = bcfs_moves_complete(fs);
        if (status != BITCASK_OK) break;
        bcfs_lock_dir(fs, parent);
        status = bcfs_lookup_locked(fs, parent, name, name_size, &removed.inode);
        concerned = status == BITCASK_OK && bcfs_moves_concern(fs, parent, name, name_size, removed.inode);
        if (status == BITCASK_OK && !concerned) {
            status = is_dir ? remove_dir(fs, parent, &removed, &concerned)
                            : remove_file(fs, parent, name, name_size, &removed);
        }
        bcfs_unlock_dir(fs, parent);
        finish_removed(fs, &removed);
    } while (status == BITCASK_OK && concerned);
    return status == BITCASK_OK ? bcfs_moves_if_asked(fs) : status;
}

void bcfs_op_unlink(fuse_req_t req, fuse_ino_t parent_id, const char *name)
{
    struct bcfs *fs = bcfs_of(req);

    if (bcfs_refused(req, parent_id, name, EISDIR)) return;
    if (fs->options.read_only) {
        (void)fuse_reply_err(req, EROFS);
    } else {
        bcfs_reply_status(req, remove_name(fs, bcfs_inode_of(fs, parent_id), name, false));
    }
}

void bcfs_op_rmdir(fuse_req_t req, fuse_ino_t parent_id, const char *name)
{
    struct bcfs *fs = bcfs_of(req);

    if (bcfs_refused(req, parent_id, name, EBUSY)) return;
    if (fs->options.read_only) {
        (void)fuse_reply_err(req, EROFS);
    } else {
        bcfs_reply_status(req, remove_name(fs, bcfs_inode_of(fs, parent_id), name, true));
    }
}
