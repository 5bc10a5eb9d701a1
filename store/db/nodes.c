/* nodes.c - the tree of partitions in use: their names, and who counts on them.
 *
 * A node lives as long as somebody counts on it: a handle, an operation, a child node, its open instance (instances.c).
 */
#include "db/db.h"

#include <stdlib.h>
#include <string.h>

static struct bitcask_partition **bucket_of(struct bitcask *db, uint64_t id)
{
    return &db->buckets[(id ^ (id >> 32)) % BC_NODE_BUCKETS]; /* ids are random */
}

void bc_node_unref_locked(struct bitcask_partition *node)
{
    while (node && --node->users == 0) {
        struct bitcask_partition *parent = node->parent, **at = bucket_of(node->db, node->id);

        while (*at != node) at = &(*at)->next_in_table;
        *at = node->next_in_table;
        bc_ledger_forget(node);
        free(node->name);
        free(node);
        node = parent;
    }
}

void bc_node_ref(struct bitcask_partition *node)
{
    pthread_mutex_lock(&node->db->nodes_lock);
    node->users++;
    pthread_mutex_unlock(&node->db->nodes_lock);
}

void bc_node_unref(struct bitcask_partition **pointer)
{
    struct bitcask_partition *node = *pointer;

    if (!node) return;
    struct bitcask *db = node->db;
    *pointer = NULL;
    pthread_mutex_lock(&db->nodes_lock);
    bc_node_unref_locked(node);
    pthread_mutex_unlock(&db->nodes_lock);
}

struct bitcask_partition *bc_node_find_locked(struct bitcask *db, uint64_t id)
{
    struct bitcask_partition *node;

    for (node = *bucket_of(db, id); node && node->id != id; node = node->next_in_table) {
    }
    return node;
}

bc_status bc_node_get(struct bitcask *db, uint64_t id, struct bitcask_partition *parent, const void *name,
                      size_t name_size, struct bitcask_partition **out)
{
    struct bitcask_partition *node;
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&db->nodes_lock);
    node = bc_node_find_locked(db, id);
    if (node) {
        node->users++;
    } else if ((node = calloc(1, sizeof *node)) != NULL && (node->name = malloc(name_size + 1)) != NULL) {
        node->db = db;
        node->id = id;
        node->parent = parent;
        if (parent) parent->users++;
        if (name_size > 0) memcpy(node->name, name, name_size);
        node->name[name_size] = '\0';
        node->name_size = name_size;
        node->users = 1;
        atomic_init(&node->pins, BC_NODE_CLOSED);
        node->next_in_table = *bucket_of(db, id);
        *bucket_of(db, id) = node;
    } else {
        free(node);
        node = NULL;
        status = BITCASK_NO_MEMORY;
    }
    pthread_mutex_unlock(&db->nodes_lock);
    *out = node;
    return status;
}

char *bc_node_path_locked(const struct bitcask_partition *node)
{
    size_t size = 1;
    char *path, *at;

    for (const struct bitcask_partition *n = node; n; n = n->parent) size += n->name_size + 1;
    path = malloc(size);
    if (!path) return NULL;
    at = path + size - 1;
    *at = '\0';
    for (const struct bitcask_partition *n = node; n && n->name_size > 0; n = n->parent) {
        if (*at != '\0') *--at = '/';
        at -= n->name_size;
        memcpy(at, n->name, n->name_size);
    }
    memmove(path, at, strlen(at) + 1);
    return path;
}

char *bc_node_path(struct bitcask_partition *node)
{
    char *path;

    pthread_mutex_lock(&node->db->nodes_lock);
    path = bc_node_path_locked(node);
    pthread_mutex_unlock(&node->db->nodes_lock);
    return path;
}

void bc_node_move(struct bitcask_partition *node, struct bitcask_partition *parent, char *name, size_t name_size)
{
    struct bitcask *db = node->db;
    struct bitcask_partition *old;

    pthread_mutex_lock(&db->nodes_lock);
    free(node->name);
    node->name = name;
    node->name_size = name_size;
    old = node->parent;
    node->parent = parent;
    parent->users++;
    bc_node_unref_locked(old);
    pthread_mutex_unlock(&db->nodes_lock);
}

bool bc_node_is_below(struct bitcask_partition *node, const struct bitcask_partition *ancestor)
{
    const struct bitcask_partition *n;

    pthread_mutex_lock(&node->db->nodes_lock);
    for (n = node; n && n != ancestor; n = n->parent) {
    }
    pthread_mutex_unlock(&node->db->nodes_lock);
    return n != NULL;
}
