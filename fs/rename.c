/* rename.c - rename(2), with RENAME_NOREPLACE and RENAME_EXCHANGE.
 *
 * Four cases. A file that was never committed only changes its name in memory. Within a directory the store moves the
 * record at once, in one batch without a sync. Across directories, or over one of several names of a file, the move is
 * queued (moves.h). An exchange, and the replacement of a directory, are done by the store at once, wherever they
 * reach.
 *
 * The tree is locked exclusively all the while, and the files concerned are held: nobody writes to them, and who reads
 * them does not ask the store by a name that may be another file's by then (names.h). A file whose content is pending
 * is committed before its record moves: else a crash could leave the old content of the source under the target's name,
 * which it never had there.
 *
 * A name of a file that has several is renamed by itself: the node's home, by which its content is read and committed,
 * stays where it is (links.h).
 */
#include "ops.h"

#include "commit.h"
#include "links.h"
#include "moves.h"
#include "names.h"
#include "pending.h"
#include "node_xattrs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the two ends of a rename. */
struct end {
    struct bcfs_inode *parent;
    const char *name;
    size_t name_size;
    struct bcfs_inode *inode; /* what stands there, with a reference; NULL: nothing */
    struct bcfs_name *link;   /* its name, if it is a shared file's */
};

/* A rename under way. */
struct renaming {
    struct bcfs *fs;
    struct end from;
    struct end to;
    unsigned flags;
    int64_t now_ns;
    /* The names to be, allocated before anything changes: nothing may fail half-way. Owned until a node has them. */
    char *new_name;
    char *back_name; /* exchange: the other node's */
    /* References to give back at the end. */
    struct bcfs_inode *lost_parents[2];
    unsigned victim_refs;
};

static void release(struct renaming *renaming)
{
    struct bcfs *fs = renaming->fs;

    bcfs_inode_unref(fs, renaming->to.inode, renaming->victim_refs + 1);
    bcfs_inode_unref(fs, renaming->from.inode, 1);
    bcfs_inode_unref(fs, renaming->lost_parents[0], 1);
    bcfs_inode_unref(fs, renaming->lost_parents[1], 1);
    renaming->to.inode = NULL;
    renaming->from.inode = NULL;
    renaming->lost_parents[0] = NULL;
    renaming->lost_parents[1] = NULL;
    renaming->victim_refs = 0;
}

/* Finds the node of an end. *concerned: a queued move has to be completed first. */
static bitcask_status find(struct renaming *renaming, struct end *end, bool *concerned)
{
    bitcask_status status = BITCASK_OK;

    if (end->parent->state == BCFS_UNLINKED) return BITCASK_NOT_FOUND;
    status = bcfs_lookup_locked(renaming->fs, end->parent, end->name, end->name_size, &end->inode);
    if (status != BITCASK_OK && status != BITCASK_NOT_FOUND) return status;
    end->link = bcfs_name_of(renaming->fs, end->parent, end->name, end->name_size);
    if (bcfs_moves_concern(renaming->fs, end->parent, end->name, end->name_size, end->inode)) *concerned = true;
    /* What the store does at once must find the count of its names as it is here. */
    if (end->inode != NULL && end->inode->queued > 0) *concerned = true;
    return BITCASK_OK;
}

/* Whether inode is dir, or above it. */
static bool is_above(const struct bcfs_inode *inode, const struct bcfs_inode *dir)
{
    while (dir != NULL && dir != inode) dir = dir->parent;
    return dir != NULL;
}

/* Whether dir, or a directory above it, waits in the queue of moves: then the store still has it elsewhere. */
static bool is_moving(const struct bcfs_inode *dir)
{
    while (dir != NULL && dir->state != BCFS_MOVED) dir = dir->parent;
    return dir != NULL;
}

/* What rename(2) refuses. A directory goes only where the store agrees what lies above it: in the store's tree it
 * could come to lie in itself, and a round with such a move would fail for good. */
static bitcask_status check(struct renaming *renaming, bool *concerned)
{
    struct bcfs_inode *inode = renaming->from.inode;
    struct bcfs_inode *victim = renaming->to.inode;

    if (inode == NULL) return BITCASK_NOT_FOUND;
    if (inode->dir != NULL && is_above(inode, renaming->to.parent)) return BITCASK_LOOP;
    if (inode->dir != NULL && is_moving(renaming->to.parent)) *concerned = true;
    if (renaming->flags & RENAME_EXCHANGE) {
        if (victim == NULL) return BITCASK_NOT_FOUND;
        if (victim->dir != NULL && is_above(victim, renaming->from.parent)) return BITCASK_LOOP;
        if (victim->dir != NULL && is_moving(renaming->from.parent)) *concerned = true;
        return BITCASK_OK;
    }
    if (victim == NULL) return BITCASK_OK;
    if (renaming->flags & RENAME_NOREPLACE) return BITCASK_EXISTS;
    if (victim == inode) return BITCASK_OK;
    if (inode->dir != NULL && victim->dir == NULL) return BITCASK_NOT_PARTITION;
    if (inode->dir == NULL && victim->dir != NULL) return BITCASK_IS_PARTITION;
    if (victim->dir != NULL) {
        bitcask_status status = bcfs_dir_is_empty(victim);

        /* What was moved out of it is still in its log. */
        if (status == BITCASK_OK && victim->dir->overlay.whiteouts > 0) *concerned = true;
        return status;
    }
    return BITCASK_OK;
}

/* ---- the parts of a rename ---- */

/* Has the store move the record, now. */
static bitcask_status move_now(struct renaming *renaming, unsigned flags)
{
    bitcask_attrs attrs = {.present = BITCASK_ATTR_CTIME, .ctime_ns = renaming->now_ns};
    bitcask_move_item item = {
        .from = renaming->from.parent->dir->partition,
        .from_key = renaming->from.name,
        .from_key_size = renaming->from.name_size,
        .to = renaming->to.parent->dir->partition,
        .to_key = renaming->to.name,
        .to_key_size = renaming->to.name_size,
        .flags = flags,
        .attrs = flags & BITCASK_EXCHANGE ? NULL : &attrs,
    };

    return bitcask_move(renaming->fs->db, &item, 1, NULL);
}

/* The store leaves the ctime of what was exchanged, or has lost one of several names, alone; the change is committed
 * like any other. */
static void touch_file(struct renaming *renaming, struct bcfs_inode *inode)
{
    (void)pthread_mutex_lock(&inode->lock);
    inode->ctime_ns = renaming->now_ns;
    /* What was asked for is done. Where a full disk has no room for one more record, the ctime stays in memory: a
     * commit that had to fail for it would fail the next write and fsync, though nothing that they promised is missing.
     */
    if (inode->dir == NULL && bcfs_content_reserve(inode, inode->size) == BITCASK_OK) {
        bcfs_dirty_mark(renaming->fs, inode, BCFS_DIRTY_ATTRS);
    }
    (void)pthread_mutex_unlock(&inode->lock);
    if (inode->dir != NULL) bcfs_dirty_mark_dir(renaming->fs, inode, true);
}

/* The replaced node loses its name, which may be one of several. */
static void detach_victim(struct renaming *renaming)
{
    struct bcfs *fs = renaming->fs;
    struct bcfs_inode *victim = renaming->to.inode;

    if (victim == NULL) return;
    if (renaming->to.link == NULL) {
        renaming->lost_parents[1] = bcfs_name_detach(fs, victim, renaming->now_ns, &renaming->victim_refs);
        return;
    }
    renaming->lost_parents[1] = bcfs_name_remove(fs, renaming->to.link);
    renaming->to.link = NULL;
    if (victim->nlink > 1) {
        (void)pthread_mutex_lock(&victim->lock);
        victim->nlink--;
        (void)pthread_mutex_unlock(&victim->lock);
        touch_file(renaming, victim);
    } else {
        bcfs_inode_unref(fs, bcfs_name_detach(fs, victim, renaming->now_ns, &renaming->victim_refs), 1);
    }
}

/* Gives a node, or the one of its names, another place in memory. Returns the directory that it leaves. */
static struct bcfs_inode *place(struct bcfs *fs, struct end *end, struct bcfs_inode *parent, char **name,
                                size_t name_size)
{
    struct bcfs_inode *lost = end->link != NULL ? bcfs_name_rename(fs, end->link, parent, *name, name_size)
                                                : bcfs_inode_rename(fs, end->inode, parent, *name, name_size);

    *name = NULL;
    return lost;
}

/* Gives the node its new name in memory. */
static void change_name(struct renaming *renaming)
{
    renaming->lost_parents[0] =
        place(renaming->fs, &renaming->from, renaming->to.parent, &renaming->new_name, renaming->to.name_size);
}

/* What the node has reserved for its next commit it shall have in its new directory: *bound bytes. */
static bitcask_status reserve_there(struct renaming *renaming, uint64_t *bound)
{
    const struct bcfs_inode *inode = renaming->from.inode;

    *bound = 0;
    if (renaming->from.link != NULL) return BITCASK_OK; /* it is reserved in the home */
    if (inode->pending == NULL || inode->pending->reserved == 0) return BITCASK_OK;
    *bound = bcfs_content_bound(inode, renaming->to.name_size, inode->size, bcfs_xattrs_size(inode));
    return bitcask_reserve(renaming->to.parent->dir->partition, *bound);
}

/* Gives back what the node has reserved in the directory that it leaves. */
static void unreserve_here(struct bcfs_inode *inode)
{
    (void)pthread_mutex_lock(&inode->lock);
    bcfs_content_unreserve(inode);
    (void)pthread_mutex_unlock(&inode->lock);
}

/* change_name(), and the room that was reserved there becomes the node's. */
static void change_directory(struct renaming *renaming, uint64_t bound)
{
    struct bcfs_inode *inode = renaming->from.inode;

    if (renaming->from.link == NULL) unreserve_here(inode);
    change_name(renaming);
    if (bound > 0) inode->pending->reserved = bound; /* the node is held: its content stays */
}

/* A file that was never committed: names and overlays only. Its commit will replace what the log has there. */
static bitcask_status rename_in_memory(struct renaming *renaming)
{
    struct bcfs *fs = renaming->fs;
    struct bcfs_inode *inode = renaming->from.inode;
    struct bcfs_inode *victim = renaming->to.inode;
    bool stale = victim != NULL && bcfs_name_has_record(victim);
    uint64_t bound = 0;
    bitcask_status status = BITCASK_OK;

    status = reserve_there(renaming, &bound);
    if (status != BITCASK_OK) return status;
    if (!bcfs_overlay_set(&renaming->to.parent->dir->overlay, renaming->to.name, renaming->to.name_size, inode)) {
        status = BITCASK_NO_MEMORY;
        goto fail_reserved;
    }
    detach_victim(renaming);
    bcfs_overlay_remove(&renaming->from.parent->dir->overlay, renaming->from.name, renaming->from.name_size);
    change_directory(renaming, bound);
    (void)pthread_mutex_lock(&inode->lock);
    inode->stale = stale;
    inode->ctime_ns = renaming->now_ns;
    bcfs_dirty_relist(fs, inode);
    bcfs_dirty_mark(fs, inode, BCFS_DIRTY_ATTRS);
    (void)pthread_mutex_unlock(&inode->lock);
    return BITCASK_OK;

fail_reserved:
    bitcask_unreserve(renaming->to.parent->dir->partition, bound);
    return status;
}

/* A committed node, within a directory or onto a directory: the store does it at once. */
static bitcask_status rename_in_store(struct renaming *renaming)
{
    struct bcfs_inode *inode = renaming->from.inode;
    bitcask_status status = move_now(renaming, 0);

    if (status != BITCASK_OK) return status;
    detach_victim(renaming);
    change_name(renaming);
    (void)pthread_mutex_lock(&inode->lock);
    inode->ctime_ns = renaming->now_ns;
    bcfs_dirty_relist(renaming->fs, inode);
    (void)pthread_mutex_unlock(&inode->lock);
    return BITCASK_OK;
}

/* A committed node, into another directory. */
static bitcask_status rename_in_queue(struct renaming *renaming)
{
    struct bcfs_inode *inode = renaming->from.inode;
    bitcask_partition *partition = renaming->to.parent->dir->partition;
    uint64_t reserved = bcfs_move_bound(inode, renaming->to.name_size);
    uint64_t bound = 0;
    struct bcfs_move *move = NULL;
    bitcask_status status = bitcask_reserve(partition, reserved);

    if (status != BITCASK_OK) return status;
    status = reserve_there(renaming, &bound);
    if (status != BITCASK_OK) goto fail_reserved;
    move = bcfs_move_prepare(renaming->fs, inode, renaming->from.parent, renaming->from.name, renaming->from.name_size,
                             renaming->to.parent, renaming->to.name, renaming->to.name_size, reserved);
    if (move == NULL) {
        status = BITCASK_NO_MEMORY;
        goto fail_reserved;
    }
    detach_victim(renaming);
    change_directory(renaming, bound);
    if (renaming->from.link != NULL) {
        move->name = renaming->from.link;
        move->name->queued = true;
        touch_file(renaming, inode);
    } else {
        (void)pthread_mutex_lock(&inode->lock);
        inode->ctime_ns = renaming->now_ns;
        bcfs_dirty_relist(renaming->fs, inode);
        (void)pthread_mutex_unlock(&inode->lock);
    }
    bcfs_moves_queue(renaming->fs, move);
    return BITCASK_OK;

fail_reserved:
    bitcask_unreserve(partition, reserved + bound);
    return status;
}

/* Commits what is pending of a node, so that the store knows all of it. */
static bitcask_status settle(struct renaming *renaming, struct bcfs_inode *inode)
{
    if (inode->dir != NULL || inode->dirty == 0) return BITCASK_OK;
    return bcfs_commit_locked(renaming->fs, inode);
}

static bitcask_status replace(struct renaming *renaming)
{
    struct bcfs_inode *inode = renaming->from.inode;
    struct bcfs_inode *victim = renaming->to.inode;
    bitcask_status status = BITCASK_OK;

    /* A commit under a name that leads to a shared file would write into that one. */
    if (inode->state == BCFS_NEW && !inode->stale && renaming->to.link == NULL) return rename_in_memory(renaming);
    if (inode->state == BCFS_NEW || inode->dirty & BCFS_DIRTY_CONTENT) status = settle(renaming, inode);
    if (status != BITCASK_OK) return status;
    /* Over a name of a shared file two logs are concerned as well. */
    if ((renaming->from.parent == renaming->to.parent && renaming->to.link == NULL) ||
        (victim != NULL && victim->dir != NULL)) {
        return rename_in_store(renaming);
    }
    return rename_in_queue(renaming);
}

static bitcask_status exchange(struct renaming *renaming)
{
    struct bcfs *fs = renaming->fs;
    struct bcfs_inode *first = renaming->from.inode;
    struct bcfs_inode *second = renaming->to.inode;
    bitcask_status status = BITCASK_OK;

    status = settle(renaming, first);
    if (status == BITCASK_OK) status = settle(renaming, second);
    if (status == BITCASK_OK) status = move_now(renaming, BITCASK_EXCHANGE);
    if (status != BITCASK_OK) return status;
    if (renaming->from.parent != renaming->to.parent) {
        if (renaming->from.link == NULL) unreserve_here(first);
        if (renaming->to.link == NULL) unreserve_here(second);
    }
    change_name(renaming);
    renaming->lost_parents[1] =
        place(fs, &renaming->to, renaming->from.parent, &renaming->back_name, renaming->from.name_size);
    touch_file(renaming, first);
    touch_file(renaming, second);
    return BITCASK_OK;
}

/* Does what was found to be possible, with the files held. */
static bitcask_status rename_held(struct renaming *renaming)
{
    struct bcfs_inode *inode = renaming->from.inode;
    struct bcfs_inode *other = renaming->to.inode;
    bitcask_status status = BITCASK_OK;

    if (inode == other) return BITCASK_OK;
    status = bcfs_name_hold(renaming->fs, inode);
    if (status != BITCASK_OK) return status;
    if (other != NULL) status = bcfs_name_hold(renaming->fs, other);
    if (status == BITCASK_OK) {
        status = renaming->flags & RENAME_EXCHANGE ? exchange(renaming) : replace(renaming);
        if (other != NULL) bcfs_name_release(renaming->fs, other);
    }
    bcfs_name_release(renaming->fs, inode);
    return status;
}

/* One attempt. *concerned: nothing was done, a queued move has to be completed first. */
static bitcask_status try_rename(struct renaming *renaming, bool *concerned)
{
    bitcask_status status = BITCASK_OK;

    *concerned = false;
    renaming->now_ns = bcfs_now_ns(renaming->fs);
    (void)pthread_rwlock_wrlock(&renaming->fs->nodes->tree);
    status = find(renaming, &renaming->from, concerned);
    if (status == BITCASK_OK) status = find(renaming, &renaming->to, concerned);
    if (status == BITCASK_OK && !*concerned) status = check(renaming, concerned);
    if (status == BITCASK_OK && !*concerned) {
        status = rename_held(renaming);
        if (status == BITCASK_OK) {
            bcfs_touch_dir(renaming->fs, renaming->from.parent, renaming->now_ns);
            if (renaming->to.parent != renaming->from.parent) {
                bcfs_touch_dir(renaming->fs, renaming->to.parent, renaming->now_ns);
            }
        }
    }
    (void)pthread_rwlock_unlock(&renaming->fs->nodes->tree);
    return status;
}

void bcfs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                    unsigned int flags)
{
    struct bcfs *fs = bcfs_of(req);
    struct renaming renaming = {
        .fs = fs,
        .from = {.parent = bcfs_inode_of(fs, parent), .name = name, .name_size = strlen(name)},
        .to = {.parent = bcfs_inode_of(fs, new_parent), .name = new_name, .name_size = strlen(new_name)},
        .flags = flags,
    };
    bool concerned = false;
    bitcask_status status = bitcask_check_name(name, renaming.from.name_size);

    if (renaming.from.parent->control != NULL || renaming.to.parent->control != NULL) {
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    if (bcfs_name_is_reserved(name) || bcfs_name_is_reserved(new_name)) {
        (void)fuse_reply_err(req, EBUSY);
        return;
    }
    if (status == BITCASK_OK) status = bitcask_check_name(new_name, renaming.to.name_size);
    if (fs->options.read_only) status = BITCASK_READ_ONLY;
    if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) status = BITCASK_BAD_ARGUMENT;
    renaming.new_name = strdup(new_name);
    renaming.back_name = strdup(name);
    if (renaming.new_name == NULL || renaming.back_name == NULL) status = BITCASK_NO_MEMORY;
    do {
        if (concerned) status = bcfs_moves_complete(fs);
        if (status != BITCASK_OK) break;
        status = try_rename(&renaming, &concerned);
        release(&renaming);
    } while (status == BITCASK_OK && concerned);
    free(renaming.back_name);
    free(renaming.new_name);
    if (status == BITCASK_OK && fs->options.commit_ms == 0) status = bcfs_commit_all(fs);
    bcfs_reply_status(req, status);
}
