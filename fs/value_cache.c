/* value_cache.c - the list behind value_cache.h. */
#include "value_cache.h"

#include "pending.h"

#define VIEW_BYTES 524288u

/* cache_lock is held. */
static void take_out(struct bcfs_nodes *nodes, struct bcfs_pending *pending)
{
    if (pending->cached == 0) return;
    TAILQ_REMOVE(&nodes->cached, pending, cache_link);
    nodes->cached_bytes -= pending->cached;
    pending->cached = 0;
}

void bcfs_cache_touch(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_pending *pending = inode->pending;

    (void)pthread_mutex_lock(&nodes->cache_lock);
    take_out(nodes, pending);
    pending->cached = bcfs_pending_bytes(pending);
    /* A map, and the extent that was read last. */
    if (pending->value != NULL || pending->writer != NULL) pending->cached += VIEW_BYTES;
    if (pending->cached > 0) {
        TAILQ_INSERT_TAIL(&nodes->cached, pending, cache_link);
        nodes->cached_bytes += pending->cached;
    }
    (void)pthread_mutex_unlock(&nodes->cache_lock);
}

void bcfs_cache_remove(struct bcfs *fs, struct bcfs_inode *inode)
{
    if (inode->pending == NULL) return;
    (void)pthread_mutex_lock(&fs->nodes->cache_lock);
    take_out(fs->nodes, inode->pending);
    (void)pthread_mutex_unlock(&fs->nodes->cache_lock);
}

/* The node to drop next, with a reference and out of the list; NULL if all is within the bound. A node without
 * references is about to take itself out, so it is passed over. */
static struct bcfs_inode *next_victim(struct bcfs_nodes *nodes)
{
    struct bcfs_inode *victim = NULL;
    struct bcfs_pending *pending = NULL;

    (void)pthread_mutex_lock(&nodes->cache_lock);
    if (nodes->cached_bytes > BCFS_CACHE_BYTES) {
        TAILQ_FOREACH(pending, &nodes->cached, cache_link)
        {
            if (TAILQ_NEXT(pending, cache_link) == NULL) break;
            if (!bcfs_inode_try_ref(pending->inode)) continue;
            victim = pending->inode;
            take_out(nodes, pending);
            break;
        }
    }
    (void)pthread_mutex_unlock(&nodes->cache_lock);
    return victim;
}

void bcfs_cache_trim(struct bcfs *fs)
{
    for (;;) {
        struct bcfs_inode *victim = next_victim(fs->nodes);

        if (victim == NULL) return;
        (void)pthread_mutex_lock(&victim->lock);
        bcfs_pending_drop(fs, victim);
        (void)pthread_mutex_unlock(&victim->lock);
        bcfs_inode_unref(fs, victim, 1);
    }
}
