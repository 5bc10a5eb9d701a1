/* dirty.c - the lists of changed nodes, and who waits for whom. */
#include "dirty.h"

#include "node_xattrs.h"
#include "pending.h"
#include "value_cache.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#define OLDEST_MS 5000
#define DIR_TIMES_MS 5000
#define FIRST_BACKOFF_MS 1000
#define LONGEST_BACKOFF_MS 30000
#define PRESSED_BYTES ((uint64_t)32 * 1024 * 1024)
#define FULL_BYTES ((uint64_t)128 * 1024 * 1024)
#define UNLINKED_BYTES ((uint64_t)32 * 1024 * 1024)
#define NODE_BYTES 1024 /* about what a file that is not committed takes without its content */

/* Sets *deadline to ms from now, on the clock of our condition variables. */
static void deadline_in(struct timespec *deadline, int64_t ms)
{
    (void)clock_gettime(CLOCK_MONOTONIC, deadline);
    deadline->tv_sec += ms / 1000;
    deadline->tv_nsec += (ms % 1000) * 1000000;
    if (deadline->tv_nsec >= 1000000000) {
        deadline->tv_sec++;
        deadline->tv_nsec -= 1000000000;
    }
}

/* dirty_lock is held, as for the next three. */
static void wake(struct bcfs_nodes *nodes)
{
    if (!nodes->asleep) return;
    nodes->asleep = false;
    (void)pthread_cond_signal(&nodes->work_cond);
}

static void list_file(struct bcfs_nodes *nodes, struct bcfs_pending *pending, struct bcfs_dir *dir)
{
    if (TAILQ_EMPTY(&dir->changed)) TAILQ_INSERT_TAIL(&nodes->changed_dirs, dir, changed_link);
    TAILQ_INSERT_TAIL(&dir->changed, pending, changed_link);
    pending->listed_in = dir;
}

static void unlist_file(struct bcfs_nodes *nodes, struct bcfs_pending *pending)
{
    struct bcfs_dir *dir = pending->listed_in;

    TAILQ_REMOVE(&dir->changed, pending, changed_link);
    if (TAILQ_EMPTY(&dir->changed)) TAILQ_REMOVE(&nodes->changed_dirs, dir, changed_link);
    pending->listed_in = NULL;
}

/* What a changed file takes in memory. */
static uint64_t bytes_of(const struct bcfs_inode *inode)
{
    bool content = inode->state == BCFS_UNLINKED || inode->dirty & BCFS_DIRTY_CONTENT;

    return NODE_BYTES + bcfs_xattrs_size(inode) + (content ? bcfs_pending_bytes(inode->pending) : 0);
}

static void count_bytes(struct bcfs_nodes *nodes, struct bcfs_pending *pending, uint64_t bytes)
{
    bool pressed = nodes->pending_bytes > PRESSED_BYTES;

    if (bytes < pending->counted) nodes->freed_bytes += pending->counted - bytes;
    nodes->pending_bytes = nodes->pending_bytes - pending->counted + bytes;
    pending->counted = bytes;
    if (!pressed && nodes->pending_bytes > PRESSED_BYTES) (void)pthread_cond_signal(&nodes->work_cond);
}

void bcfs_dirty_mark(struct bcfs *fs, struct bcfs_inode *inode, unsigned flags)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_pending *pending = inode->pending;

    if (inode->state == BCFS_UNLINKED) {
        /* Content that changed is in memory alone now; a pinned value could be unloaded. */
        if (pending != NULL && pending->value == NULL) bcfs_cache_remove(fs, inode);
        (void)bcfs_content_spill(fs, inode);
        return;
    }
    if (inode->dirty == 0) bcfs_cache_remove(fs, inode);
    inode->dirty = (uint8_t)(inode->dirty | flags);
    (void)pthread_mutex_lock(&nodes->dirty_lock);
    pending->last_ms = bcfs_clock_ms();
    pending->emptied = (inode->dirty & BCFS_DIRTY_CONTENT) != 0 && inode->size == 0 && inode->state == BCFS_COMMITTED;
    if (pending->listed_in == NULL) {
        pending->first_ms = pending->last_ms;
        bcfs_inode_ref(inode);
        list_file(nodes, pending, inode->parent->dir);
    }
    count_bytes(nodes, pending, bytes_of(inode));
    wake(nodes);
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
}

bool bcfs_dirty_clear(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_pending *pending = inode->pending;
    bool listed = false;

    inode->dirty = 0;
    if (pending == NULL) return false;
    (void)pthread_mutex_lock(&nodes->dirty_lock);
    listed = pending->listed_in != NULL;
    if (listed) unlist_file(nodes, pending);
    count_bytes(nodes, pending, 0);
    (void)pthread_cond_broadcast(&nodes->idle_cond);
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
    return listed;
}

bool bcfs_dirty_count_unlinked(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_nodes *nodes = fs->nodes;
    bool much = false;

    (void)pthread_mutex_lock(&nodes->dirty_lock);
    nodes->unlinked_bytes -= inode->pending->counted;
    inode->pending->counted = bytes_of(inode);
    nodes->unlinked_bytes += inode->pending->counted;
    much = nodes->unlinked_bytes > UNLINKED_BYTES;
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
    return much;
}

void bcfs_dirty_uncount(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_nodes *nodes = fs->nodes;

    if (inode->state != BCFS_UNLINKED) return;
    (void)pthread_mutex_lock(&nodes->dirty_lock);
    nodes->unlinked_bytes -= inode->pending->counted;
    inode->pending->counted = 0;
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
}

void bcfs_dirty_relist(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_pending *pending = inode->pending;

    if (pending == NULL) return;
    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    if (pending->listed_in != NULL && pending->listed_in != inode->parent->dir) {
        unlist_file(fs->nodes, pending);
        list_file(fs->nodes, pending, inode->parent->dir);
    }
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
}

/* ---- directories' own attributes ---- */

void bcfs_dirty_mark_dir(struct bcfs *fs, struct bcfs_inode *inode, bool soon)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_dir *dir = inode->dir;
    int64_t due_ms = bcfs_clock_ms() + (soon ? (int64_t)fs->options.commit_ms : DIR_TIMES_MS);

    (void)pthread_mutex_lock(&nodes->dirty_lock);
    if (soon) dir->attrs_asked = true;
    if (dir->attrs_due_ms == 0) {
        bcfs_inode_ref(inode);
        TAILQ_INSERT_TAIL(&nodes->attrs_dirs, dir, attrs_link);
        dir->attrs_due_ms = due_ms;
    } else if (due_ms < dir->attrs_due_ms) {
        dir->attrs_due_ms = due_ms;
    }
    wake(nodes);
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
}

bitcask_status bcfs_dirty_dir_written(struct bcfs *fs, struct bcfs_inode *inode, bitcask_status status)
{
    bool full = status == BITCASK_NO_SPACE || status == BITCASK_QUOTA;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    if (status == BITCASK_OK) inode->dir->attrs_asked = inode->dir->attrs_due_ms != 0 && inode->dir->attrs_asked;
    if (full && !inode->dir->attrs_asked) status = BITCASK_OK;
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
    return status;
}

size_t bcfs_dirty_listed_dirs(struct bcfs *fs)
{
    struct bcfs_dir *dir = NULL;
    size_t count = 0;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    TAILQ_FOREACH(dir, &fs->nodes->attrs_dirs, attrs_link)
    {
        count++;
    }
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
    return count;
}

struct bcfs_inode *bcfs_dirty_next_dir(struct bcfs *fs, int64_t now_ms)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_dir *dir = NULL;

    (void)pthread_mutex_lock(&nodes->dirty_lock);
    TAILQ_FOREACH(dir, &nodes->attrs_dirs, attrs_link)
    {
        if (dir->attrs_due_ms <= now_ms) break;
    }
    if (dir != NULL) {
        TAILQ_REMOVE(&nodes->attrs_dirs, dir, attrs_link);
        dir->attrs_due_ms = 0;
    }
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
    return dir == NULL ? NULL : dir->inode;
}

bool bcfs_dirty_take_dir(struct bcfs *fs, struct bcfs_inode *inode)
{
    bool listed = false;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    listed = inode->dir->attrs_due_ms != 0;
    if (listed) {
        TAILQ_REMOVE(&fs->nodes->attrs_dirs, inode->dir, attrs_link);
        inode->dir->attrs_due_ms = 0;
    }
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
    return listed;
}

/* ---- busy nodes ---- */

void bcfs_lock_idle(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_nodes *nodes = fs->nodes;

    for (;;) {
        (void)pthread_mutex_lock(&inode->lock);
        if (!inode->busy) return;
        (void)pthread_mutex_unlock(&inode->lock);
        (void)pthread_mutex_lock(&nodes->dirty_lock);
        while (inode->busy) (void)pthread_cond_wait(&nodes->idle_cond, &nodes->dirty_lock);
        (void)pthread_mutex_unlock(&nodes->dirty_lock);
    }
}

void bcfs_set_busy(struct bcfs *fs, struct bcfs_inode *inode, bool busy)
{
    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    inode->busy = busy;
    if (!busy) (void)pthread_cond_broadcast(&fs->nodes->idle_cond);
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
}

/* ---- what is to be committed ---- */

size_t bcfs_dirty_collect(struct bcfs *fs, struct bcfs_dir *dir, enum bcfs_which which, struct bcfs_inode **found,
                          size_t max)
{
    int64_t now_ms = bcfs_clock_ms();
    int64_t quiet_ms = now_ms - (int64_t)fs->options.commit_ms;
    struct bcfs_pending *pending = NULL;
    size_t count = 0;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    TAILQ_FOREACH(pending, &dir->changed, changed_link)
    {
        /* Who truncates a file writes it next, and may be slow: a crash in between should leave the old content. */
        bool due = (pending->last_ms <= quiet_ms && !pending->emptied) || pending->first_ms <= now_ms - OLDEST_MS;

        if (count == max) break;
        /* The list is in the order of first changes, but for files renamed into this directory: those may wait for
         * one round more. */
        if (which == BCFS_DUE && pending->first_ms > quiet_ms) break;
        if (which == BCFS_DUE && !due) continue;
        if (pending->inode->state == BCFS_MOVED) continue;
        bcfs_inode_ref(pending->inode);
        found[count++] = pending->inode;
    }
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
    return count;
}

bool bcfs_dirty_dirs(struct bcfs *fs, bool skip_failed, struct bcfs_inode ***dirs, size_t *count)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_dir *dir = NULL;
    size_t most = 0;
    int64_t now_ms = bcfs_clock_ms();

    *dirs = NULL;
    *count = 0;
    (void)pthread_mutex_lock(&nodes->dirty_lock);
    TAILQ_FOREACH(dir, &nodes->changed_dirs, changed_link) most++;
    if (most > 0) *dirs = malloc(most * sizeof(**dirs));
    if (*dirs != NULL) {
        TAILQ_FOREACH(dir, &nodes->changed_dirs, changed_link)
        {
            if (skip_failed && dir->retry_ms > now_ms) continue;
            bcfs_inode_ref(dir->inode);
            (*dirs)[(*count)++] = dir->inode;
        }
    }
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
    return most == 0 || *dirs != NULL;
}

bool bcfs_dirty_result(struct bcfs *fs, struct bcfs_dir *dir, bitcask_status status)
{
    bool failed = status != BITCASK_OK;
    bool first = false;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    fs->nodes->failure = status;
    if (failed) {
        first = dir->backoff_ms == 0;
        dir->backoff_ms = first ? FIRST_BACKOFF_MS : dir->backoff_ms * 2;
        if (dir->backoff_ms > LONGEST_BACKOFF_MS) dir->backoff_ms = LONGEST_BACKOFF_MS;
        dir->retry_ms = bcfs_clock_ms() + dir->backoff_ms;
    } else {
        dir->backoff_ms = 0;
        dir->retry_ms = 0;
    }
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
    return first;
}

bool bcfs_dirty_pressed(struct bcfs *fs)
{
    bool pressed = false;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    pressed = fs->nodes->pending_bytes > PRESSED_BYTES;
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
    return pressed;
}

bitcask_status bcfs_wait_for_room(struct bcfs *fs)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct timespec deadline;
    bitcask_status status = BITCASK_OK;

    (void)pthread_mutex_lock(&nodes->dirty_lock);
    if (nodes->pending_bytes > FULL_BYTES && nodes->failure == BITCASK_OK) {
        deadline_in(&deadline, 1000);
        wake(nodes);
        while (nodes->pending_bytes > FULL_BYTES && nodes->failure == BITCASK_OK) {
            if (pthread_cond_timedwait(&nodes->idle_cond, &nodes->dirty_lock, &deadline) == ETIMEDOUT) break;
        }
    }
    if (nodes->pending_bytes > FULL_BYTES) status = nodes->failure;
    if (status == BITCASK_OK && nodes->pending_bytes > 2 * FULL_BYTES) status = BITCASK_NO_MEMORY;
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
    return status;
}

void bcfs_trim_memory(struct bcfs *fs)
{
    bool due = false;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    due = fs->nodes->freed_bytes > PRESSED_BYTES;
    if (due) fs->nodes->freed_bytes = 0;
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
#ifdef __GLIBC__
    if (due) (void)malloc_trim(0);
#endif
}

bool bcfs_wait_for_work(struct bcfs *fs, bool moves_queued)
{
    struct bcfs_nodes *nodes = fs->nodes;
    int64_t tick_ms = fs->options.commit_ms / 4;
    struct timespec deadline;
    bool go_on = true;

    if (tick_ms < 5) tick_ms = 5;
    if (tick_ms > 100) tick_ms = 100;
    (void)pthread_mutex_lock(&nodes->dirty_lock);
    if (!nodes->stop && TAILQ_EMPTY(&nodes->changed_dirs) && TAILQ_EMPTY(&nodes->attrs_dirs) && !moves_queued &&
        !nodes->kicked) {
        nodes->asleep = true;
        while (nodes->asleep && !nodes->stop) (void)pthread_cond_wait(&nodes->work_cond, &nodes->dirty_lock);
        nodes->asleep = false;
    }
    nodes->kicked = false;
    if (!nodes->stop) {
        deadline_in(&deadline, tick_ms);
        (void)pthread_cond_timedwait(&nodes->work_cond, &nodes->dirty_lock, &deadline);
    }
    go_on = !nodes->stop;
    (void)pthread_mutex_unlock(&nodes->dirty_lock);
    return go_on;
}

void bcfs_wake_committer(struct bcfs *fs, bool stop)
{
    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    if (stop) fs->nodes->stop = true;
    fs->nodes->kicked = true;
    fs->nodes->asleep = false;
    (void)pthread_cond_signal(&fs->nodes->work_cond);
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
}
