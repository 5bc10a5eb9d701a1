/* durable.c - what a sync promises: the log of the partition, and the records that lead to it.
 *
 * A key is reachable after a power cut only if each directory on the path from the root is: so whoever asks for a
 * durable write gets the directory records above it too. Those of a closed partition are durable already, since
 * closing syncs.
 */
#include "db/db.h"

/* The parent as of now, counted; NULL at the root. */
static struct bitcask_partition *parent_of(struct bitcask_partition *node)
{
    struct bitcask_partition *parent;

    pthread_mutex_lock(&node->db->nodes_lock);
    parent = node->parent;
    if (parent) parent->users++;
    pthread_mutex_unlock(&node->db->nodes_lock);
    return parent;
}

bc_status bc_node_sync_path(struct bitcask_partition *node)
{
    struct bitcask_partition *at = parent_of(node);
    bc_status status = BITCASK_OK;

    while (at && status == BITCASK_OK) {
        struct bitcask_partition *above = parent_of(at);
        struct bc_partition *instance;

        status = bc_node_pin_for_sync(at, &instance);
        if (status == BITCASK_OK && instance) {
            uint64_t position;
            bc_fair_lock_soon(&instance->write_lock);
            position = instance->directory_position;
            bc_fair_unlock(&instance->write_lock);
            status = bc_partition_sync_to(instance, position);
            bc_node_unpin(at);
        }
        bc_node_unref(&at);
        at = above;
    }
    bc_node_unref(&at);
    return status;
}

/* The contents of inodes that were put without a sync. Those of a closed partition 1 are durable. */
static bc_status sync_inodes(struct bitcask *db)
{
    struct bc_partition *inodes;
    uint64_t wanted, appended;
    bc_status status;

    if (atomic_load(&db->inode_position) == 0) return BITCASK_OK;
    status = bc_node_pin_for_sync(db->inodes, &inodes);
    if (status != BITCASK_OK || !inodes) return status;
    wanted = atomic_load(&db->inode_position);
    appended = bc_partition_appended(inodes);
    status = bc_partition_sync_to(inodes, wanted < appended ? wanted : appended);
    bc_node_unpin(db->inodes);
    return status;
}

bc_status bc_node_sync(struct bitcask_partition *node)
{
    struct bc_partition *instance;
    bc_status status;

    if (node->db->env.read_only) return BITCASK_OK;
    status = bc_node_pin_for_sync(node, &instance);
    if (status == BITCASK_OK && instance) {
        status = bc_partition_sync_to(instance, bc_partition_appended(instance));
        bc_node_unpin(node);
    }
    if (status == BITCASK_OK) status = sync_inodes(node->db);
    if (status == BITCASK_OK) status = bc_node_sync_path(node);
    return status;
}

bc_status bc_node_end_append(struct bitcask_partition *node, struct bc_partition *instance, uint64_t position,
                             unsigned flags)
{
    bool durable = flags & BITCASK_DURABLE || node->db->sync == BITCASK_SYNC_ALWAYS;
    bc_status status = durable ? bc_partition_sync_to(instance, position) : BITCASK_OK;

    bc_node_unpin(node);
    return status == BITCASK_OK && durable ? bc_node_sync_path(node) : status;
}

bc_status bc_node_end_write(struct bitcask_partition *node, unsigned flags)
{
    if (!(flags & BITCASK_DURABLE) && node->db->sync != BITCASK_SYNC_ALWAYS) return BITCASK_OK;
    return bc_node_sync(node);
}
