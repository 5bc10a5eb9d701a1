/* names.c - looking a name up in overlay and log, and losing it. */
#include "names.h"

#include "dirty.h"
#include "links.h"
#include "moves.h"
#include "pending.h"
#include "value_cache.h"
#include "node_xattrs.h"

/* The node of a file that has several names, made from its record if none of them is known; this one is from now on.
 * NOT_FOUND: it has but one, and is not known. */
static bitcask_status node_of_file(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                   const bitcask_entry *entry, struct bcfs_inode **result)
{
    struct bcfs_inode *inode = bcfs_file_find(fs, entry->file_id);
    struct bcfs_name *link = NULL;

    if (inode == NULL && entry->nlink <= 1) return BITCASK_NOT_FOUND;
    if (inode == NULL) inode = bcfs_inode_new_file(fs, entry);
    if (inode == NULL) return BITCASK_NO_MEMORY;
    link = bcfs_name_new(inode, parent, name, name_size);
    if (link == NULL) {
        bcfs_inode_unref(fs, inode, 1);
        return BITCASK_NO_MEMORY;
    }
    bcfs_name_add(fs, link);
    *result = inode;
    return BITCASK_OK;
}

static bitcask_status node_from_record(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                       const bitcask_entry *entry, struct bcfs_inode **result)
{
    bool is_dir = entry->kind == BITCASK_PARTITION;
    struct bcfs_inode *inode = NULL;
    bitcask_status status = BITCASK_NOT_FOUND;

    if (entry->file_id != 0) status = node_of_file(fs, parent, name, name_size, entry, result);
    if (status != BITCASK_NOT_FOUND) return status;
    status = BITCASK_OK;
    inode = bcfs_inode_new(fs, parent, name, name_size, is_dir, entry->ino);
    if (inode == NULL) return BITCASK_NO_MEMORY;
    (void)pthread_mutex_lock(&inode->lock);
    bcfs_inode_take_attrs(fs, inode, entry);
    (void)pthread_mutex_unlock(&inode->lock);
    if (is_dir) status = bitcask_partition_open_at(parent->dir->partition, name, name_size, &inode->dir->partition);
    if (status != BITCASK_OK) {
        bcfs_inode_unref(fs, inode, 1);
        return status;
    }
    bcfs_inode_publish(fs, inode);
    *result = inode;
    return BITCASK_OK;
}

bitcask_status bcfs_node_of_entry(struct bcfs *fs, struct bcfs_inode *parent, const bitcask_entry *entry,
                                  struct bcfs_inode **inode)
{
    *inode = bcfs_inode_find(fs, parent, entry->key, entry->key_size);
    if (*inode != NULL) return BITCASK_OK;
    return node_from_record(fs, parent, entry->key, entry->key_size, entry, inode);
}

bitcask_status bcfs_lookup_locked(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                  struct bcfs_inode **inode)
{
    bitcask_entry entry;
    bitcask_status status = BITCASK_OK;

    *inode = bcfs_inode_find(fs, parent, name, name_size);
    if (*inode != NULL) return BITCASK_OK;
    /* A name in the overlay that no node has is a whiteout. */
    if (bcfs_overlay_get(&parent->dir->overlay, name, name_size) != NULL) return BITCASK_NOT_FOUND;
    status = bitcask_stat(parent->dir->partition, name, name_size, &entry);
    if (status != BITCASK_OK) return status;
    return node_from_record(fs, parent, name, name_size, &entry, inode);
}

bitcask_status bcfs_dir_is_empty(struct bcfs_inode *dir)
{
    bitcask_query_options options = {0};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bitcask_status status = BITCASK_OK;

    if (dir->dir->overlay.live > 0) return BITCASK_NOT_EMPTY;
    status = bitcask_query_open(dir->dir->partition, &options, &query);
    while (status == BITCASK_OK) {
        status = bitcask_query_next(query, &entry);
        if (status != BITCASK_OK) break;
        if (bcfs_overlay_get(&dir->dir->overlay, entry.key, entry.key_size) == NULL) status = BITCASK_NOT_EMPTY;
    }
    bitcask_query_close(&query);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

bitcask_status bcfs_name_check_free(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                    bool *concerned)
{
    struct bcfs_inode *other = bcfs_inode_find(fs, parent, name, name_size);
    bitcask_entry entry;
    bitcask_status status = BITCASK_OK;

    *concerned = other == NULL && bcfs_moves_concern(fs, parent, name, name_size, NULL);
    bcfs_inode_unref(fs, other, 1);
    if (parent->state == BCFS_UNLINKED) return BITCASK_NOT_FOUND;
    if (other != NULL) return BITCASK_EXISTS;
    if (*concerned) return BITCASK_OK;
    status = bitcask_stat(parent->dir->partition, name, name_size, &entry);
    if (status == BITCASK_OK) return BITCASK_EXISTS;
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

bool bcfs_name_has_record(const struct bcfs_inode *inode)
{
    return inode->state == BCFS_COMMITTED || inode->stale;
}

bitcask_status bcfs_name_hold(struct bcfs *fs, struct bcfs_inode *inode)
{
    bitcask_status status = BITCASK_OK;

    if (inode->dir != NULL) return BITCASK_OK;
    (void)pthread_mutex_lock(&inode->lock);
    if (inode->state == BCFS_COMMITTED) status = bcfs_content_pin(inode);
    /* The extended attributes are in the pinned value, if there is one. A record that cannot be read may be deleted. */
    if (status == BITCASK_OK && inode->state == BCFS_COMMITTED &&
        (inode->pending == NULL || inode->pending->value == NULL)) {
        (void)bcfs_xattrs_load(inode);
    }
    if (status == BITCASK_OK) bcfs_set_busy(fs, inode, true);
    (void)pthread_mutex_unlock(&inode->lock);
    return status;
}

void bcfs_name_release(struct bcfs *fs, struct bcfs_inode *inode)
{
    if (inode->dir != NULL) return;
    (void)pthread_mutex_lock(&inode->lock);
    bcfs_set_busy(fs, inode, false);
    bcfs_pending_rest(fs, inode);
    (void)pthread_mutex_unlock(&inode->lock);
}

struct bcfs_inode *bcfs_name_detach(struct bcfs *fs, struct bcfs_inode *inode, int64_t now_ns, unsigned *refs)
{
    (void)pthread_mutex_lock(&inode->lock);
    if (inode->state == BCFS_NEW) {
        const struct bcfs_overlay_entry *entry = NULL;

        /* The name may be another node's by now. */
        entry = bcfs_overlay_get(&inode->parent->dir->overlay, inode->name, inode->name_size);
        if (entry != NULL && entry->inode == inode) {
            bcfs_overlay_remove(&inode->parent->dir->overlay, inode->name, inode->name_size);
        }
    }
    bcfs_content_unreserve(inode);
    *refs = bcfs_dirty_clear(fs, inode) ? 1 : 0;
    inode->state = BCFS_UNLINKED;
    inode->nlink = 0;
    inode->stale = false;
    inode->ctime_ns = now_ns;
    /* Content that memory alone has stays until the node goes. */
    if (inode->pending != NULL && inode->pending->value == NULL) bcfs_cache_remove(fs, inode);
    (void)bcfs_content_spill(fs, inode);
    (void)pthread_mutex_unlock(&inode->lock);
    bcfs_file_forget(fs, inode);
    return bcfs_inode_rename(fs, inode, NULL, NULL, 0);
}
