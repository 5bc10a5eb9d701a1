/* commit.c - building batches out of changed files, and what their success or failure does to the nodes. */
#include "commit.h"

#include "log.h"
#include "metrics.h"
#include "moves.h"
#include "pending.h"
#include "value_cache.h"
#include "node_xattrs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define BATCH_FILES 1024u
#define BATCH_BYTES ((uint64_t)8 * 1024 * 1024)

/* One file that is being committed: what its record will say. It is busy, so data stays as it is. */
struct item {
    struct bcfs_inode *inode; /* with a reference */
    bitcask_attrs attrs;
    const uint8_t *data;
    size_t size;
    bitcask_writer *writer; /* or this has the content */
    uint64_t reserved;      /* attributes only: what set_one() gave back */
    bool content;           /* else attributes only */
    bool held;              /* it was busy before, and stays so: a rename is under way */
    bool unref;             /* it left the list of dirty files: its reference is to be given back */
    bitcask_status status;
};

/* ---- what a record says ---- */

static void add_times(const struct bcfs_inode *inode, bitcask_attrs *attrs)
{
    attrs->present |= BITCASK_ATTR_MTIME | BITCASK_ATTR_CTIME;
    attrs->present |= (BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID) & ~(uint32_t)inode->assumed;
    attrs->mode = inode->mode;
    attrs->uid = inode->uid;
    attrs->gid = inode->gid;
    attrs->mtime_ns = inode->mtime_ns;
    attrs->ctime_ns = inode->ctime_ns;
    if (inode->atime_set) {
        attrs->present |= BITCASK_ATTR_ATIME;
        attrs->atime_ns = inode->atime_ns;
    }
}

/* All of them, which may be none: the record will have these and no others. */
static void add_xattrs(const struct bcfs_inode *inode, bitcask_attrs *attrs)
{
    attrs->present |= BITCASK_ATTR_XATTRS;
    attrs->xattrs = inode->xattrs != NULL ? inode->xattrs->bytes : NULL;
    attrs->xattrs_size = bcfs_xattrs_size(inode);
}

/* The attributes of a whole record. What is absent is what a reader would assume anyway. */
static void fill_attrs(const struct bcfs_inode *inode, bitcask_attrs *attrs)
{
    add_times(inode, attrs);
    if (inode->mode == (S_IFREG | 0644) && inode->assumed == 0) attrs->present &= ~(uint32_t)BITCASK_ATTR_MODE;
    if (inode->atime_set && inode->atime_ns == inode->mtime_ns) attrs->present &= ~(uint32_t)BITCASK_ATTR_ATIME;
    /* A large file would get a number of its own. */
    if (inode->size > BITCASK_SMALL_MAX || (inode->pending != NULL && inode->pending->writer != NULL) ||
        inode->ino != bitcask_derived_ino(inode->parent->dir->partition, inode->name, inode->name_size)) {
        attrs->present |= BITCASK_ATTR_INO;
        attrs->ino = inode->ino;
    }
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
        attrs->present |= BITCASK_ATTR_RDEV;
        attrs->rdev = inode->rdev;
    }
    if (inode->expiry_ns != 0) {
        attrs->present |= BITCASK_ATTR_EXPIRY;
        attrs->expiry_ns = inode->expiry_ns;
    }
    assert(!bcfs_xattrs_unread(inode));
    add_xattrs(inode, attrs);
}

/* Makes the file busy and notes what its record will say. False: there is nothing to commit, or more than `room`
 * bytes of it; busy files of another thread do not occur, since that would hold the directory's lock. */
static bool take(struct bcfs *fs, struct bcfs_inode *inode, uint64_t room, struct item *item)
{
    bool taken = false;

    memset(item, 0, sizeof(*item));
    item->inode = inode;
    (void)pthread_mutex_lock(&inode->lock);
    if (inode->dirty != 0 && inode->state != BCFS_UNLINKED && inode->state != BCFS_MOVED &&
        (!(inode->dirty & BCFS_DIRTY_CONTENT) ||
         (inode->pending->writer != NULL ? 0 : inode->size) + bcfs_xattrs_size(inode) <= room)) {
        item->content = (inode->dirty & BCFS_DIRTY_CONTENT) != 0;
        item->reserved = inode->pending->reserved;
        if (item->content) {
            item->data = inode->pending->data;
            item->writer = inode->pending->writer;
            item->size = item->writer != NULL ? 0 : (size_t)inode->size;
            fill_attrs(inode, &item->attrs);
        } else {
            add_times(inode, &item->attrs);
            if (inode->dirty & BCFS_DIRTY_XATTRS) add_xattrs(inode, &item->attrs);
        }
        item->held = inode->busy;
        if (!item->held) bcfs_set_busy(fs, inode, true);
        taken = true;
    }
    (void)pthread_mutex_unlock(&inode->lock);
    return taken;
}

/* ---- the store's part ---- */

/* Sets the attributes only. What was reserved for that is handed over by being free; what is more than it takes was
 * asked for by fallocate(2), and stays. */
static bitcask_status set_one(bitcask_partition *partition, struct item *item)
{
    const struct bcfs_inode *inode = item->inode;

    if (item->reserved > bcfs_content_bound(inode, inode->name_size, inode->size, bcfs_xattrs_size(inode))) {
        item->reserved = 0;
    }
    if (item->reserved > 0) bitcask_unreserve(partition, item->reserved);
    return bitcask_set_attrs(partition, inode->name, inode->name_size, &item->attrs, BITCASK_PROMISED, NULL);
}

static bitcask_status put_one(bitcask_partition *partition, const struct item *item)
{
    bitcask_write_options options = {.attrs = &item->attrs, .reserved = item->reserved};

    if (item->writer != NULL) {
        return bitcask_writer_commit(item->writer, partition, item->inode->name, item->inode->name_size, &options,
                                     NULL);
    }
    return bitcask_put(partition, item->inode->name, item->inode->name_size, item->data, item->size, &options, NULL);
}

static bool is_large(const struct item *item)
{
    return item->content && item->writer != NULL;
}

/* All contents that are large, or all that are not, in one append. */
static bitcask_status put_batch(bitcask_partition *partition, const struct item *items, size_t count, bool large)
{
    bitcask_batch *batch = NULL;
    uint64_t reserved = 0;
    bitcask_status status = bitcask_batch_open(partition, &batch);

    for (size_t i = 0; status == BITCASK_OK && i < count; i++) {
        const struct bcfs_inode *inode = items[i].inode;

        if (!items[i].content || is_large(&items[i]) != large) continue;
        if (large) {
            status = bitcask_batch_put_writer(batch, inode->name, inode->name_size, items[i].writer, &items[i].attrs);
        } else {
            status =
                bitcask_batch_put(batch, inode->name, inode->name_size, items[i].data, items[i].size, &items[i].attrs);
        }
        reserved += items[i].reserved;
    }
    if (status == BITCASK_OK) status = bitcask_batch_commit(batch, 0, reserved, NULL);
    bitcask_batch_close(&batch);
    return status;
}

/* Large contents go by themselves: beside one, the records of a batch would be written twice. */
static void store_contents(bitcask_partition *partition, struct item *items, size_t count, bool large)
{
    size_t contents = 0;
    bitcask_status status = BITCASK_OK;

    for (size_t i = 0; i < count; i++) contents += items[i].content && is_large(&items[i]) == large;
    if (contents > 1) status = put_batch(partition, items, count, large);
    for (size_t i = 0; i < count; i++) {
        if (!items[i].content || is_large(&items[i]) != large) continue;
        /* What one of many large ones cannot have, room say, the others may. */
        items[i].status = contents == 1 || (large && status != BITCASK_OK) ? put_one(partition, &items[i]) : status;
    }
}

/* Hands the items to the store and sets their statuses. The directory is locked, or the tree. */
static void store_items(bitcask_partition *partition, struct item *items, size_t count)
{
    store_contents(partition, items, count, false);
    store_contents(partition, items, count, true);
    for (size_t i = 0; i < count; i++) {
        if (!items[i].content) items[i].status = set_one(partition, &items[i]);
    }
}

/* ---- what becomes of the nodes ---- */

/* The directory is locked, or the tree. */
static void finish(struct bcfs *fs, struct item *item)
{
    struct bcfs_inode *inode = item->inode;
    struct bcfs_dir *dir = inode->parent->dir;

    (void)pthread_mutex_lock(&inode->lock);
    if (!item->content) inode->pending->reserved -= item->reserved;
    if (item->status != BITCASK_OK) {
        inode->pending->error = item->status;
    } else {
        if (inode->state == BCFS_NEW) {
            bcfs_overlay_remove(&dir->overlay, inode->name, inode->name_size);
            inode->state = BCFS_COMMITTED;
            inode->stale = false;
        }
        if (item->content) inode->pending->reserved = 0;
        item->unref = bcfs_dirty_clear(fs, inode);
    }
    if (!item->held) {
        bcfs_set_busy(fs, inode, false);
        bcfs_pending_rest(fs, inode);
    }
    (void)pthread_mutex_unlock(&inode->lock);
}

static void say_failure(struct bcfs *fs, struct bcfs_inode *dir, const struct item *items, size_t count)
{
    size_t failed = 0;
    const struct item *first = NULL;

    for (size_t i = 0; i < count; i++) {
        if (items[i].status == BITCASK_OK) continue;
        if (first == NULL) first = &items[i];
        failed++;
    }
    if (first != NULL) bcfs_metrics_commit_failed(fs->metrics, failed, first->status);
    if (!bcfs_dirty_result(fs, dir->dir, first != NULL ? first->status : BITCASK_OK) || first == NULL) return;
    bcfs_log(BCFS_LOG_ERROR,
             "%s: cannot commit %zu files, \"%s\" among them (%s); they stay in memory: make room or "
             "look at the disk, it will be tried again",
             fs->options.store, failed, first->inode->name, bitcask_status_text(first->status));
}

static int by_ctime(const void *a, const void *b)
{
    int64_t first = ((const struct item *)a)->attrs.ctime_ns;
    int64_t second = ((const struct item *)b)->attrs.ctime_ns;

    return first < second ? -1 : first > second;
}

/* Commits the files of found[], whose references it gives to the items. Returns how many items there are. The
 * directory is locked, or the tree. In the order of their times, so that versions can be these. */
static size_t commit_files(struct bcfs *fs, struct bcfs_inode *dir, struct bcfs_inode **found, size_t count,
                           struct item *items)
{
    uint64_t bytes = 0;
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        /* The first one may have any size: it goes alone. */
        uint64_t room = used == 0 ? BITCASK_VALUE_MAX : BATCH_BYTES - bytes;
        bool taken = bytes <= BATCH_BYTES && take(fs, found[i], room, &items[used]);

        if (taken) {
            bytes += items[used].size + items[used].attrs.xattrs_size;
            used++;
        } else {
            bcfs_inode_unref(fs, found[i], 1);
        }
    }
    if (used == 0) return 0;
    qsort(items, used, sizeof(*items), by_ctime);
    store_items(dir->dir->partition, items, used);
    say_failure(fs, dir, items, used);
    for (size_t i = 0; i < used; i++) finish(fs, &items[i]);
    return used;
}

static bitcask_status release_items(struct bcfs *fs, struct item *items, size_t count)
{
    bitcask_status status = BITCASK_OK;

    for (size_t i = 0; i < count; i++) {
        if (status == BITCASK_OK) status = items[i].status;
        bcfs_inode_unref(fs, items[i].inode, items[i].unref ? 2 : 1);
    }
    bcfs_cache_trim(fs);
    return status;
}

bitcask_status bcfs_commit_locked(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct item item = {0};

    bcfs_inode_ref(inode);
    if (commit_files(fs, inode->parent, &inode, 1, &item) == 0) return BITCASK_OK;
    return release_items(fs, &item, 1);
}

bitcask_status bcfs_commit_inode(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_nodes *nodes = fs->nodes;

    for (;;) {
        struct bcfs_inode *parent = NULL;
        bitcask_status status = BITCASK_OK;
        struct item item = {0};
        size_t count = 0;
        bool moved = false;

        /* While the tree is locked a parent can only be lost, by unlink, which takes the parent's lock. */
        (void)pthread_rwlock_rdlock(&nodes->tree);
        (void)pthread_mutex_lock(&inode->lock);
        parent = inode->parent;
        if (parent != NULL) bcfs_inode_ref(parent);
        (void)pthread_mutex_unlock(&inode->lock);
        if (parent != NULL) {
            (void)pthread_mutex_lock(&parent->dir->lock);
            if (inode->state != BCFS_UNLINKED) {
                moved = inode->state == BCFS_MOVED || inode->queued > 0;
                bcfs_inode_ref(inode);
                count = commit_files(fs, parent, &inode, 1, &item);
            }
            (void)pthread_mutex_unlock(&parent->dir->lock);
        }
        (void)pthread_rwlock_unlock(&nodes->tree);
        status = release_items(fs, &item, count);
        bcfs_inode_unref(fs, parent, 1);
        if (!moved) return status;
        status = bcfs_moves_complete(fs);
        if (status != BITCASK_OK) return status;
    }
}

bitcask_status bcfs_commit_dir(struct bcfs *fs, struct bcfs_inode *dir, enum bcfs_which which)
{
    struct bcfs_inode **found = calloc(BATCH_FILES, sizeof(struct bcfs_inode *));
    struct item *items = calloc(BATCH_FILES, sizeof(*items));
    bitcask_status status = BITCASK_OK;
    size_t used = 0;

    if (found == NULL || items == NULL) {
        status = BITCASK_NO_MEMORY;
        goto exit;
    }
    do {
        size_t count = 0;

        /* One batch for each time that the locks are taken: others get their turn. */
        used = 0;
        (void)pthread_rwlock_rdlock(&fs->nodes->tree);
        (void)pthread_mutex_lock(&dir->dir->lock);
        count = bcfs_dirty_collect(fs, dir->dir, which, found, BATCH_FILES);
        if (count > 0) used = commit_files(fs, dir, found, count, items);
        (void)pthread_mutex_unlock(&dir->dir->lock);
        (void)pthread_rwlock_unlock(&fs->nodes->tree);
        status = release_items(fs, items, used);
    } while (used > 0 && status == BITCASK_OK);

exit:
    free(items);
    free(found);
    return status;
}

/* ---- directories' attributes ---- */

/* Notes what the record shall say; extended attributes, if they changed, are copied to *list, since they may change
 * again while the record is written. */
static bitcask_status take_dir_attrs(struct bcfs_inode *dir, bitcask_attrs *attrs, struct bcfs_xattr_list **list)
{
    size_t size = sizeof(**list) + bcfs_xattrs_size(dir);

    add_times(dir, attrs);
    if (!(dir->dirty & BCFS_DIRTY_XATTRS)) return BITCASK_OK;
    add_xattrs(dir, attrs);
    if (dir->xattrs != NULL) {
        *list = malloc(size);
        if (*list == NULL) return BITCASK_NO_MEMORY;
        memcpy(*list, dir->xattrs, size);
        attrs->xattrs = (*list)->bytes;
    }
    dir->dirty = BCFS_WRITING_XATTRS;
    return BITCASK_OK;
}

/* Writes what the directory's attributes are now. *moved: nothing was done, a queued move takes its record away. */
static bitcask_status try_write_dir_attrs(struct bcfs *fs, struct bcfs_inode *dir, bool *moved)
{
    bitcask_attrs attrs = {0};
    struct bcfs_xattr_list *list = NULL;
    bitcask_status status = BITCASK_OK;

    /* Its lock is held over the write, or an older snapshot of the attributes could be written after a newer one. */
    (void)pthread_rwlock_rdlock(&fs->nodes->tree);
    (void)pthread_mutex_lock(&dir->dir->lock);
    *moved = dir->state == BCFS_MOVED;
    if (dir->state == BCFS_COMMITTED) {
        (void)pthread_mutex_lock(&dir->lock);
        status = take_dir_attrs(dir, &attrs, &list);
        (void)pthread_mutex_unlock(&dir->lock);
        if (status == BITCASK_OK) status = bitcask_partition_set_attrs(dir->dir->partition, &attrs, 0);
        if (attrs.present & BITCASK_ATTR_XATTRS) {
            (void)pthread_mutex_lock(&dir->lock);
            dir->dirty &= (uint8_t)~BCFS_WRITING_XATTRS;
            if (status != BITCASK_OK) dir->dirty |= BCFS_DIRTY_XATTRS;
            (void)pthread_mutex_unlock(&dir->lock);
        }
    }
    (void)pthread_mutex_unlock(&dir->dir->lock);
    (void)pthread_rwlock_unlock(&fs->nodes->tree);
    free(list);
    return status;
}

static bitcask_status write_dir_attrs(struct bcfs *fs, struct bcfs_inode *dir)
{
    bool moved = false;
    bitcask_status status = try_write_dir_attrs(fs, dir, &moved);

    while (status == BITCASK_OK && moved) {
        status = bcfs_moves_complete(fs);
        if (status == BITCASK_OK) status = try_write_dir_attrs(fs, dir, &moved);
    }
    if (status != BITCASK_OK) {
        bcfs_log_failure("cannot write a directory's attributes", status);
        bcfs_dirty_mark_dir(fs, dir, false);
    }
    return bcfs_dirty_dir_written(fs, dir, status);
}

bitcask_status bcfs_commit_dir_attrs(struct bcfs *fs, struct bcfs_inode *dir)
{
    bitcask_status status = BITCASK_OK;

    if (!bcfs_dirty_take_dir(fs, dir)) return BITCASK_OK;
    status = write_dir_attrs(fs, dir);
    bcfs_inode_unref(fs, dir, 1);
    return status;
}

/* Writes the attributes of the directories that are due, each once: one that failed is listed again, behind the
 * others, and with all of them wanted it would be due at once. */
static bitcask_status commit_due_dir_attrs(struct bcfs *fs, int64_t now_ms)
{
    bitcask_status first = BITCASK_OK, status = BITCASK_OK;
    struct bcfs_inode *dir = NULL;

    for (size_t left = bcfs_dirty_listed_dirs(fs); left > 0; left--) {
        dir = bcfs_dirty_next_dir(fs, now_ms);
        if (dir == NULL) break;
        status = write_dir_attrs(fs, dir);
        if (first == BITCASK_OK) first = status;
        bcfs_inode_unref(fs, dir, 1);
    }
    return first;
}

/* ---- all of it ---- */

static bitcask_status commit_dirs(struct bcfs *fs, bool skip_failed, enum bcfs_which which)
{
    struct bcfs_inode **dirs = NULL;
    bitcask_status first = BITCASK_OK;
    size_t count = 0;

    if (!bcfs_dirty_dirs(fs, skip_failed, &dirs, &count)) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        bitcask_status status = bcfs_commit_dir(fs, dirs[i], which);

        if (first == BITCASK_OK) first = status;
        bcfs_inode_unref(fs, dirs[i], 1);
    }
    free(dirs);
    return first;
}

bitcask_status bcfs_commit_all(struct bcfs *fs)
{
    bitcask_status first = bcfs_moves_complete(fs);
    bitcask_status status = commit_dirs(fs, false, BCFS_ALL);

    if (first == BITCASK_OK) first = status;
    status = commit_due_dir_attrs(fs, INT64_MAX);
    return first == BITCASK_OK ? status : first;
}

void *bcfs_commit_thread(void *context)
{
    struct bcfs *fs = context;

    while (bcfs_wait_for_work(fs, bcfs_moves_any(fs))) {
        /* Failures are kept on the nodes and have been logged; the next turn tries again. */
        if (bcfs_moves_due(fs)) (void)bcfs_moves_complete(fs);
        (void)commit_dirs(fs, true, bcfs_dirty_pressed(fs) ? BCFS_HURRY : BCFS_DUE);
        (void)commit_due_dir_attrs(fs, bcfs_clock_ms());
        bcfs_trim_memory(fs);
    }
    return NULL;
}
