/* link.c - link(2), and unlink(2) of what has several names, or is large.
 *
 * Both are done in memory and queued (moves.h): a round makes or removes thousands of names with one sync.
 */
#include "commit.h"
#include "links.h"
#include "moves.h"
#include "names.h"
#include "ops.h"
#include "pending.h"

#include <errno.h>
#include <string.h>

/* ---- making ---- */

/* A link that is wanted. */
struct linking {
    struct bcfs *fs;
    struct bcfs_inode *inode;
    struct bcfs_inode *parent;
    const char *name;
    size_t name_size;
    bool concerned; /* nothing was done: a queued move has to be completed first, */
    bool is_new;    /* or the file has to be committed */
};

/* Gives the file its name in memory and queues the rest. All that is needed is there. */
static bitcask_status queue_link(struct linking *linking)
{
    struct bcfs *fs = linking->fs;
    struct bcfs_inode *inode = linking->inode;
    bitcask_partition *partition = linking->parent->dir->partition;
    uint64_t reserved = bcfs_move_bound(inode, linking->name_size);
    int64_t now_ns = bcfs_now_ns(fs);
    struct bcfs_move *move = NULL;
    bitcask_status status = bitcask_reserve(partition, reserved);

    if (status != BITCASK_OK) return status;
    move = bcfs_move_prepare_link(fs, inode, linking->parent, linking->name, linking->name_size, reserved);
    if (move == NULL) {
        bitcask_unreserve(partition, reserved);
        return BITCASK_NO_MEMORY;
    }
    (void)pthread_mutex_lock(&inode->lock);
    inode->nlink++;
    inode->ctime_ns = now_ns;
    (void)pthread_mutex_unlock(&inode->lock);
    bcfs_moves_queue(fs, move);
    bcfs_touch_dir(fs, linking->parent, now_ns);
    bcfs_inode_ref(inode); /* for the reply */
    return BITCASK_OK;
}

/* One attempt. The tree is locked exclusively: the file's home is in some other directory, and must stay there. */
static bitcask_status try_link(struct linking *linking)
{
    struct bcfs_inode *inode = linking->inode;
    bitcask_status status = BITCASK_OK;

    (void)pthread_rwlock_wrlock(&linking->fs->nodes->tree);
    status = bcfs_name_check_free(linking->fs, linking->parent, linking->name, linking->name_size, &linking->concerned);
    if (status == BITCASK_OK && inode->state == BCFS_UNLINKED) status = BITCASK_NOT_FOUND;
    linking->is_new = status == BITCASK_OK && inode->state == BCFS_NEW;
    if (inode->state == BCFS_MOVED) linking->concerned = true;
    if (status == BITCASK_OK && inode->nlink >= BITCASK_LINKS_MAX) status = BITCASK_TOO_MANY_LINKS;
    if (status == BITCASK_OK && !linking->concerned && !linking->is_new) status = queue_link(linking);
    (void)pthread_rwlock_unlock(&linking->fs->nodes->tree);
    return status;
}

void bcfs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct bcfs *fs = bcfs_of(req);
    struct linking linking = {
        .fs = fs, .inode = bcfs_inode_of(fs, ino), .parent = bcfs_inode_of(fs, parent), .name = name};
    bitcask_status status = BITCASK_OK;

    if (bcfs_refused(req, parent, name, EEXIST)) return;
    if (linking.inode->dir != NULL || linking.inode->control != NULL) {
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    linking.name_size = strlen(name);
    status = fs->options.read_only ? BITCASK_READ_ONLY : bitcask_check_name(name, linking.name_size);
    do {
        /* A file that the store does not have yet cannot be linked there. */
        if (linking.is_new) status = bcfs_commit_inode(fs, linking.inode);
        if (linking.concerned) status = bcfs_moves_complete(fs);
        if (status == BITCASK_OK) status = try_link(&linking);
    } while (status == BITCASK_OK && (linking.concerned || linking.is_new));
    if (status == BITCASK_OK) {
        status = bcfs_moves_if_asked(fs);
        if (status != BITCASK_OK) bcfs_inode_unref(fs, linking.inode, 1);
    }
    if (status == BITCASK_OK) {
        bcfs_reply_entry(req, linking.inode);
    } else {
        bcfs_reply_status(req, status);
    }
}

/* ---- removing ---- */

bool bcfs_is_link(const struct bcfs *fs, const struct bcfs_inode *inode)
{
    return bcfs_is_shared(fs, inode) || (inode->state == BCFS_COMMITTED && inode->file_id != 0);
}

/* Takes the name away in memory; if it is the last one, the node goes on without. What can fail has been done. */
static void lose_name(struct bcfs *fs, struct bcfs_inode *inode, struct bcfs_name *link, bool last, int64_t now_ns,
                      struct bcfs_removed *removed)
{
    struct bcfs_inode *home = NULL;

    if (link != NULL) removed->parent = bcfs_name_remove(fs, link);
    if (last) {
        home = bcfs_name_detach(fs, inode, now_ns, &removed->refs);
        /* The directory of shared files is there to the end. */
        if (link != NULL) bcfs_inode_unref(fs, home, 1);
        if (link == NULL) removed->parent = home;
        return;
    }
    (void)pthread_mutex_lock(&inode->lock);
    inode->nlink--;
    inode->ctime_ns = now_ns;
    (void)pthread_mutex_unlock(&inode->lock);
}

bitcask_status bcfs_remove_link(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                struct bcfs_removed *removed)
{
    struct bcfs_inode *inode = removed->inode;
    struct bcfs_name *link = bcfs_name_of(fs, parent, name, name_size);
    struct bcfs_inode *files = link != NULL ? fs->nodes->files : NULL;
    int64_t now_ns = bcfs_now_ns(fs);
    uint64_t reserved = bcfs_move_bound(inode, name_size);
    struct bcfs_move *move = NULL;
    bitcask_status status = BITCASK_NO_MEMORY;
    bool last = false;

    /* No commit of it may be under way when it loses its last name. */
    if (files != NULL) (void)pthread_mutex_lock(&files->dir->lock);
    last = link == NULL || inode->nlink <= 1;
    /* A full disk is no reason to refuse a removal. */
    if (bitcask_reserve(parent->dir->partition, reserved) != BITCASK_OK) reserved = 0;
    move = bcfs_move_prepare_removal(inode, parent, name, name_size, reserved);
    if (move == NULL) goto exit;
    status = last ? bcfs_name_hold(fs, inode) : BITCASK_OK;
    if (status != BITCASK_OK) {
        bcfs_move_cancel_removal(fs, move);
        goto exit;
    }
    lose_name(fs, inode, link, last, now_ns, removed);
    if (last) bcfs_name_release(fs, inode);
    bcfs_moves_queue(fs, move);
    bcfs_touch_dir(fs, parent, now_ns);

exit:
    if (status != BITCASK_OK && reserved > 0) bitcask_unreserve(parent->dir->partition, reserved);
    if (files != NULL) (void)pthread_mutex_unlock(&files->dir->lock);
    return status;
}
