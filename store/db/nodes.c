/* nodes.c - the tree of partitions in use, and which of them are open.
 *
 * A node lives as long as somebody counts on it: a handle, an operation, a child node, its open instance. Instances
 * are opened by the first operation that needs one, one thread doing it (`busy`) while others wait; when more are open
 * than max_open, the one unused for longest is closed. One that has room reserved for writes to come stays open, and
 * so does a poisoned one.
 */
#include "db/db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct bitcask_partition **bucket_of(struct bitcask *db, uint64_t id)
{
    return &db->buckets[(id ^ (id >> 32)) % BC_NODE_BUCKETS]; /* ids are random */
}

static void lru_remove(struct bitcask *db, struct bitcask_partition *node)
{
    if (node->newer) node->newer->older = node->older;
    else if (db->newest == node) db->newest = node->older;
    else return; /* not in the list */
    if (node->older) node->older->newer = node->newer;
    else db->oldest = node->newer;
    node->newer = node->older = NULL;
}

static void lru_add(struct bitcask *db, struct bitcask_partition *node)
{
    node->older = db->newest;
    node->newer = NULL;
    if (db->newest) db->newest->newer = node;
    db->newest = node;
    if (!db->oldest) db->oldest = node;
}

/* nodes_lock held. Frees the node and then its parent, as far as nobody counts on them. */
static void unref_locked(struct bitcask_partition *node)
{
    while (node && --node->users == 0) {
        struct bitcask_partition *parent = node->parent, **at = bucket_of(node->db, node->id);

        while (*at != node) at = &(*at)->next_in_table;
        *at = node->next_in_table;
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
    unref_locked(node);
    pthread_mutex_unlock(&db->nodes_lock);
}

bc_status bc_node_get(struct bitcask *db, uint64_t id, struct bitcask_partition *parent, const void *name,
                      size_t name_size, struct bitcask_partition **out)
{
    struct bitcask_partition *node;
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&db->nodes_lock);
    for (node = *bucket_of(db, id); node && node->id != id; node = node->next_in_table) {}
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

static char *path_locked(const struct bitcask_partition *node)
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
    path = path_locked(node);
    pthread_mutex_unlock(&node->db->nodes_lock);
    return path;
}

bc_status bc_node_move(struct bitcask_partition *node, struct bitcask_partition *parent, const void *name,
                       size_t name_size)
{
    struct bitcask *db = node->db;
    char *copy = malloc(name_size + 1);
    struct bitcask_partition *old;

    if (!copy) return BITCASK_NO_MEMORY;
    memcpy(copy, name, name_size);
    copy[name_size] = '\0';
    pthread_mutex_lock(&db->nodes_lock);
    free(node->name);
    node->name = copy;
    node->name_size = name_size;
    old = node->parent;
    node->parent = parent;
    parent->users++;
    unref_locked(old);
    pthread_mutex_unlock(&db->nodes_lock);
    return BITCASK_OK;
}

bool bc_node_is_below(struct bitcask_partition *node, const struct bitcask_partition *ancestor)
{
    const struct bitcask_partition *n;

    pthread_mutex_lock(&node->db->nodes_lock);
    for (n = node; n && n != ancestor; n = n->parent) {}
    pthread_mutex_unlock(&node->db->nodes_lock);
    return n != NULL;
}

/* nodes_lock held, dropped meanwhile. Closes the node's instance, which is unpinned and out of the list. */
static bc_status close_instance(struct bitcask_partition *node, bool abandon, bool brief)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = node->instance;
    bc_status status = BITCASK_OK;

    node->busy = true;
    db->closed_puts += instance->puts;
    db->closed_deletes += instance->deletes;
    db->closed_gets += instance->gets;
    db->closed_merges += instance->merges;
    db->closed_merge_ns += instance->merge_ns;
    db->closed_merge_reclaimed_bytes += instance->merge_reclaimed_bytes;
    if (db->closed_last_merge_ns < instance->last_merge_ns) db->closed_last_merge_ns = instance->last_merge_ns;
    pthread_mutex_unlock(&db->nodes_lock);
    if (abandon) bc_partition_abandon(&instance);
    else status = bc_partition_close(&instance, brief);
    pthread_mutex_lock(&db->nodes_lock);
    node->instance = NULL;
    node->busy = false;
    node->close_failed = status != BITCASK_OK;
    db->open_count--;
    pthread_cond_broadcast(&db->nodes_changed);
    /* After a failure the node stays, so that the next sync knows what it has to make good for. */
    if (!node->close_failed) unref_locked(node);
    return status;
}

/* Syncs the instance, which is unpinned and out of the list, before it is closed to make room. nodes_lock held, dropped
 * meanwhile. After a failure it stays open, poisoned: opened anew it would take what the page cache has for what the
 * disk has, and the names that lead to it for durable, since the second sync of a directory succeeds. */
static bc_status sync_before_closing(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = node->instance;
    bc_status status;

    if (db->env.read_only) return BITCASK_OK;
    node->busy = true;
    pthread_mutex_unlock(&db->nodes_lock);
    status = bc_partition_sync_to(instance, bc_partition_appended(instance));
    pthread_mutex_lock(&db->nodes_lock);
    node->busy = false;
    if (status != BITCASK_OK) {
        lru_add(db, node);
        pthread_cond_broadcast(&db->nodes_changed);
    }
    return status;
}

/* nodes_lock held, dropped meanwhile. Where all are in use or have room reserved, more are open for a while. */
static void make_room(struct bitcask *db)
{
    struct bitcask_partition *victim = db->oldest;

    while (db->open_count > db->max_open && victim) {
        /* Neither changes but under a pin, and it has none. What could not be synced, or has an intent to be redone at
         * the next open, would be forgotten if the partition were opened anew meanwhile: it would take writes again,
         * and their versions would keep the intent from being redone. */
        if (victim->peeks > 0 || victim->instance->reserved > 0 || atomic_load(&victim->instance->poisoned)) {
            victim = victim->newer;
            continue;
        }
        lru_remove(db, victim);
        if (sync_before_closing(victim) == BITCASK_OK) {
            db->partition_closes++;
            if (close_instance(victim, false, true) != BITCASK_OK)
                bc_env_log(&db->env, BITCASK_LOG_ERROR, "closing a partition: %s", bc_detail());
        }
        victim = db->oldest;
    }
}

bc_status bc_node_pin_reading(struct bitcask_partition *node, struct bc_partition **out)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = NULL;
    uint64_t parent_id;
    char *path;
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&db->nodes_lock);
    while (node->busy) pthread_cond_wait(&db->nodes_changed, &db->nodes_lock);
    if (node->dropped) {
        status = bc_fail(BITCASK_NOT_FOUND, "the partition was deleted");
    } else if (node->instance) {
        if (node->pins++ == 0) lru_remove(db, node);
    } else {
        node->busy = true;
        node->users++; /* for the instance */
        db->open_count++;
        make_room(db);
        path = path_locked(node);
        parent_id = node->parent ? node->parent->id : BC_ROOT_ID;
        pthread_mutex_unlock(&db->nodes_lock);
        status = path ? bc_partition_open_reading(&db->env, node->id, parent_id, path, &instance) : BITCASK_NO_MEMORY;
        if (status == BITCASK_OK && db->redo_count > 0) status = bc_intents_apply(db, instance);
        if (status != BITCASK_OK) bc_partition_abandon(&instance);
        free(path);
        pthread_mutex_lock(&db->nodes_lock);
        node->busy = false;
        if (status == BITCASK_OK) {
            node->instance = instance;
            if (node->close_failed) unref_locked(node);
            node->close_failed = false;
            node->instances++;
            node->pins++;
            db->partition_opens++;
        } else {
            db->open_count--;
            unref_locked(node); /* never the last one: the caller counts */
        }
        pthread_cond_broadcast(&db->nodes_changed);
    }
    *out = status == BITCASK_OK ? node->instance : NULL;
    pthread_mutex_unlock(&db->nodes_lock);
    return status;
}

bc_status bc_node_pin(struct bitcask_partition *node, struct bc_partition **out)
{
    bc_status status = bc_node_pin_reading(node, out);

    if (status != BITCASK_OK) return status;
    status = bc_partition_warm(*out);
    if (status == BITCASK_OK) return status;
    bc_node_unpin(node);
    *out = NULL;
    return status;
}

struct bc_partition *bc_node_pin_if_open(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = NULL;

    pthread_mutex_lock(&db->nodes_lock);
    while (node->busy) pthread_cond_wait(&db->nodes_changed, &db->nodes_lock);
    if (!node->dropped && node->instance) {
        if (node->pins++ == 0) lru_remove(db, node);
        instance = node->instance;
    }
    pthread_mutex_unlock(&db->nodes_lock);
    return instance;
}

void bc_node_unpin(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;

    pthread_mutex_lock(&db->nodes_lock);
    assert(node->pins > 0);
    if (--node->pins == 0) {
        if (node->instance && !node->dropped) lru_add(db, node);
        if (node->dropped) pthread_cond_broadcast(&db->nodes_changed);
        else if (db->open_count > db->max_open) make_room(db);
    }
    pthread_mutex_unlock(&db->nodes_lock);
}

void bc_node_drop(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;

    pthread_mutex_lock(&db->nodes_lock);
    node->dropped = true;
    node->pins--;
    while (node->busy || node->pins + node->peeks > 0) pthread_cond_wait(&db->nodes_changed, &db->nodes_lock);
    if (node->instance) {
        lru_remove(db, node);
        (void)close_instance(node, true, false);
    }
    pthread_mutex_unlock(&db->nodes_lock);
}

bool bc_node_is_durable(struct bitcask_partition *node, uint64_t instances, uint64_t position)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = NULL;
    bool same, durable;

    /* Under one hold of the lock: a closing whose sync fails must not come between the looks at flag and instance. */
    pthread_mutex_lock(&db->nodes_lock);
    while (node->busy) pthread_cond_wait(&db->nodes_changed, &db->nodes_lock);
    if (!node->dropped && node->instance) {
        if (node->pins++ == 0) lru_remove(db, node);
        instance = node->instance;
    }
    same = node->instances == instances;
    durable = !node->close_failed; /* closed, so synced; or dropped, which its own rules made safe */
    pthread_mutex_unlock(&db->nodes_lock);
    if (!instance) return durable;
    /* An open makes durable what it found, but for the names that lead to it. */
    durable = bc_partition_is_durable(instance, same ? position : 0);
    bc_node_unpin(node);
    return durable;
}

bc_status bc_node_pin_for_sync(struct bitcask_partition *node, struct bc_partition **instance)
{
    bool failed;

    *instance = bc_node_pin_if_open(node);
    if (*instance) return BITCASK_OK;
    pthread_mutex_lock(&node->db->nodes_lock);
    failed = node->close_failed && !node->dropped;
    pthread_mutex_unlock(&node->db->nodes_lock);
    return failed ? bc_node_pin(node, instance) : BITCASK_OK;
}

enum which { ALL, DIRTY, OPEN };

/* Whether each is wanted of a node. Whoever only looks for what to sync does not touch the others, or every background
 * sync would make all look used just now. */
static bool is_wanted(const struct bitcask_partition *node, enum which which)
{
    /* Being opened or closed: the instance is nobody else's to look at; the pin waits. */
    if (node->busy) return which != OPEN;
    if (!node->instance) return which != OPEN && node->close_failed;
    return which != DIRTY || bc_partition_is_dirty(node->instance);
}

/* The nodes that are wanted, counted; the list is the caller's. NULL: out of memory. */
static struct bitcask_partition **collect(struct bitcask *db, enum which which, size_t *count)
{
    struct bitcask_partition **nodes;
    size_t room = 0;

    *count = 0;
    pthread_mutex_lock(&db->nodes_lock);
    for (size_t i = 0; i < BC_NODE_BUCKETS; i++)
        for (struct bitcask_partition *node = db->buckets[i]; node; node = node->next_in_table)
            if (is_wanted(node, which)) room++;
    nodes = malloc((room + 1) * sizeof *nodes);
    for (size_t i = 0; nodes && i < BC_NODE_BUCKETS; i++)
        for (struct bitcask_partition *node = db->buckets[i]; node; node = node->next_in_table) {
            if (!is_wanted(node, which) || *count == room) continue; /* the hint may have changed since */
            node->users++;
            nodes[(*count)++] = node;
        }
    pthread_mutex_unlock(&db->nodes_lock);
    return nodes;
}

bc_status bc_nodes_each(struct bitcask *db, bool dirty_only, bc_status (*each)(void *context, struct bitcask_partition *node,
                                                               struct bc_partition *instance), void *context)
{
    size_t count;
    struct bitcask_partition **nodes = collect(db, dirty_only ? DIRTY : ALL, &count);
    bc_status first = BITCASK_OK;

    if (!nodes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct bc_partition *instance;
        bc_status status = bc_node_pin_for_sync(nodes[i], &instance);

        if (status == BITCASK_OK && instance) {
            status = each(context, nodes[i], instance);
            bc_node_unpin(nodes[i]);
        }
        if (first == BITCASK_OK) first = status;
        bc_node_unref(&nodes[i]);
    }
    free(nodes);
    return first;
}

bc_status bc_nodes_peek(struct bitcask *db,
                        void (*each)(void *context, struct bitcask_partition *node, struct bc_partition *instance),
                        void *context)
{
    size_t count;
    struct bitcask_partition **nodes = collect(db, OPEN, &count);

    if (!nodes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct bitcask_partition *node = nodes[i];
        struct bc_partition *instance = NULL;

        pthread_mutex_lock(&db->nodes_lock);
        if (!node->busy && !node->dropped) instance = node->instance;
        if (instance) node->peeks++;
        pthread_mutex_unlock(&db->nodes_lock);
        if (instance) {
            each(context, node, instance);
            pthread_mutex_lock(&db->nodes_lock);
            /* As with pins: it may have been waited for, and what was not closed because of it is closed now. */
            if (--node->peeks == 0 && node->dropped) pthread_cond_broadcast(&db->nodes_changed);
            else if (db->open_count > db->max_open) make_room(db);
            pthread_mutex_unlock(&db->nodes_lock);
        }
        bc_node_unref(&nodes[i]);
    }
    free(nodes);
    return BITCASK_OK;
}

bc_status bc_nodes_close(struct bitcask *db)
{
    bc_status first = BITCASK_OK;

    pthread_mutex_lock(&db->nodes_lock);
    while (db->oldest) {
        struct bitcask_partition *node = db->oldest;
        lru_remove(db, node);
        bc_status status = close_instance(node, false, false);
        if (first == BITCASK_OK) first = status;
    }
    for (size_t i = 0; i < BC_NODE_BUCKETS; i++)
        for (struct bitcask_partition *node = db->buckets[i]; node;) {
            if (!node->close_failed) {
                node = node->next_in_table;
                continue;
            }
            node->close_failed = false;
            unref_locked(node);
            node = db->buckets[i];
        }
    pthread_mutex_unlock(&db->nodes_lock);
    return first;
}
