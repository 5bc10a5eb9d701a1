/* instances.c - which partitions are open, who uses them, and which one is closed to make room.
 *
 * An instance is opened by the first operation that needs it, one thread doing it (`busy`) while others wait. When more
 * are open than max_open, or together they take more memory than the limit, the one unused for longest is closed; but
 * for memory not the one that was used last: should it be larger than the limit by itself, it would be opened and
 * closed for each operation. One that has room reserved for writes to come stays open, and so does a poisoned one.
 *
 * Who uses an open one takes no lock: the word node->pins counts the users, and each adds itself by a compare-and-swap
 * unless BC_NODE_CLOSED is in it. Who closes puts that bit in, in place of a count of 0, so that exactly one of the two
 * succeeds. What could not be closed because of its users gets BC_NODE_WANTED, and the last of them looks again.
 * Invariant: while nodes_lock can be had, BC_NODE_CLOSED is in the word exactly where a node is busy, dropped, or has
 * no instance.
 */
#include "db/db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT (~(BC_NODE_CLOSED | BC_NODE_WANTED))

static void stamp(struct bitcask_partition *node)
{
    uint64_t now = atomic_fetch_add_explicit(&node->db->uses, 1, memory_order_relaxed) + 1;
    atomic_store_explicit(&node->last_use, now, memory_order_relaxed);
}

/* Leaves a stamp on the node. Those of the most recently used ones may be a little behind: with many open, an order
 * that fine is not worth a line that all threads write. */
static void note_use(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    uint64_t now = atomic_load_explicit(&db->uses, memory_order_relaxed),
             last = atomic_load_explicit(&node->last_use, memory_order_relaxed);

    if (now - last > db->max_open / 8) stamp(node);
}

/* Adds one to the users of an open instance; false where there is none to be had without the lock. Acquire: the
 * instance is as it was opened, and as its last user left it. */
static bool add_pin(struct bitcask_partition *node)
{
    uint32_t word = atomic_load_explicit(&node->pins, memory_order_relaxed);

    while (!(word & BC_NODE_CLOSED))
        if (atomic_compare_exchange_weak_explicit(&node->pins, &word, word + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            note_use(node);
            return true;
        }
    return false;
}

/* nodes_lock held; waits while somebody opens or closes. False: dropped, or not open. */
static bool add_pin_locked(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;

    while (node->busy) pthread_cond_wait(&db->nodes_changed, &db->nodes_lock);
    return add_pin(node);
}

/* ---- closing ---- */

/* nodes_lock held, dropped meanwhile. Closes the node's instance, which is marked as closed and out of the list. */
static bc_status close_instance(struct bitcask_partition *node, bool abandon, bool brief)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = node->instance;
    bc_status status = BITCASK_OK;

    node->busy = true;
    bc_ledger_take_counters(node, instance);
    if (node->dropped) bc_ledger_forget(node);
    pthread_mutex_unlock(&db->nodes_lock);
    if (abandon)
        bc_partition_abandon(&instance);
    else
        status = bc_partition_close(&instance, brief);
    pthread_mutex_lock(&db->nodes_lock);
    node->instance = NULL;
    node->busy = false;
    node->close_failed = status != BITCASK_OK;
    db->open_count--;
    pthread_cond_broadcast(&db->nodes_changed);
    /* After a failure the node stays, so that the next sync knows what it has to make good for. */
    if (!node->close_failed) bc_ledger_keep(node);
    return status;
}

/* Syncs the instance, which is marked as closed and out of the list, before it is closed to make room, and notes how
 * large it is. nodes_lock held, dropped meanwhile. After a failure it stays open, poisoned: opened anew it would take
 * what the page cache has for what the disk has, and the names that lead to it for durable, since the second sync of a
 * directory succeeds. */
static bc_status sync_before_closing(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = node->instance;
    bitcask_stats stats = {0};
    bc_status status = BITCASK_OK;

    node->busy = true;
    pthread_mutex_unlock(&db->nodes_lock);
    /* Before the sync, which may take its time: whoever asks meanwhile is told this. */
    bc_ledger_measure(instance, &stats);
    pthread_mutex_lock(&db->nodes_lock);
    bc_ledger_set_sizes(node, &stats);
    if (!db->env.read_only) {
        pthread_mutex_unlock(&db->nodes_lock);
        status = bc_partition_sync_to(instance, bc_partition_appended(instance));
        pthread_mutex_lock(&db->nodes_lock);
    }
    node->busy = false;
    if (status != BITCASK_OK) {
        bc_lru_add(db, node);
        atomic_store_explicit(&node->pins, 0, memory_order_release);
        pthread_cond_broadcast(&db->nodes_changed);
    }
    return status;
}

/* Marks the node as closed if its instance can be: nobody uses or peeks at it, nothing is reserved in it, and it is not
 * poisoned. What could not be synced, or has an intent to be redone at the next open, would be forgotten if the
 * partition were opened anew meanwhile: it would take writes again, and their versions would keep the intent from being
 * redone. nodes_lock held. */
static bool try_to_close(struct bitcask_partition *node)
{
    uint32_t word = atomic_load_explicit(&node->pins, memory_order_relaxed);
    bool reserved, poisoned;

    if (node->peeks > 0) return false; /* who peeks makes room behind that */
    for (;;) {
        bool used = word & COUNT;

        if (atomic_compare_exchange_weak_explicit(&node->pins, &word, used ? word | BC_NODE_WANTED : BC_NODE_CLOSED,
                                                  memory_order_acquire, memory_order_relaxed)) {
            if (used) return false;
            break;
        }
    }
    /* Neither changes but under a pin, and there is none. */
    reserved = node->instance->reserved > 0;
    poisoned = atomic_load(&node->instance->poisoned);
    if (reserved || poisoned) atomic_store_explicit(&node->pins, reserved ? BC_NODE_WANTED : 0, memory_order_release);
    return !reserved && !poisoned;
}

/* The open partition that was used last. nodes_lock held. */
static struct bitcask_partition *newest(const struct bitcask *db)
{
    struct bitcask_partition *found = NULL;

    for (size_t i = 0; i < db->listed; i++)
        if (!found || atomic_load_explicit(&db->open[i]->last_use, memory_order_relaxed) >
                          atomic_load_explicit(&found->last_use, memory_order_relaxed))
            found = db->open[i];
    return found;
}

/* The open partition that was unused for longest, but not `keep`, marked as closed and out of the list; NULL where none
 * can be closed. nodes_lock held. */
static struct bitcask_partition *pick_victim(struct bitcask *db, const struct bitcask_partition *keep)
{
    struct bitcask_partition *victim = NULL, *passed = NULL, *node;

    while (!victim && (node = bc_lru_oldest(db)) != NULL) {
        bc_lru_remove(db, node);
        if (node != keep && try_to_close(node)) {
            victim = node;
        } else {
            node->next_passed = passed;
            passed = node;
        }
    }
    for (; passed; passed = passed->next_passed) bc_lru_add(db, passed);
    return victim;
}

/* nodes_lock held, dropped meanwhile. Where all are in use or have room reserved, more are open for a while. The line
 * that explains what the caller was about stays. */
static void make_room(struct bitcask *db)
{
    char line[BC_DETAIL_SIZE];

    snprintf(line, sizeof line, "%s", bc_detail());
    atomic_store_explicit(&db->memory.exceeded, false, memory_order_relaxed);
    for (;;) {
        bool many = db->open_count > db->max_open;
        struct bitcask_partition *victim = NULL;

        if (many)
            victim = pick_victim(db, NULL);
        else if (atomic_load_explicit(&db->memory.used, memory_order_relaxed) > db->memory.limit)
            victim = pick_victim(db, newest(db));
        if (!victim) break;
        if (sync_before_closing(victim) != BITCASK_OK) continue;
        db->partition_closes++;
        if (!many) db->memory_closes++;
        bc_status status = close_instance(victim, false, true);
        if (status != BITCASK_OK)
            bc_env_log(&db->env, BITCASK_LOG_ERROR, "closing a partition: %s", bc_detail_of(status));
    }
    (void)bc_fail(BITCASK_OK, "%s", line);
}

/* ---- opening and using ---- */

/* Opens the node's instance for its first user. nodes_lock held, dropped meanwhile. */
static bc_status open_instance(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = NULL;
    uint64_t parent_id = node->parent ? node->parent->id : BC_ROOT_ID;
    bc_status status = BITCASK_OK;
    char *path;

    if (!bc_lru_reserve(db)) return BITCASK_NO_MEMORY;
    node->busy = true;
    node->users++; /* for the instance */
    db->open_count++;
    make_room(db);
    path = bc_node_path_locked(node);
    pthread_mutex_unlock(&db->nodes_lock);
    status = path ? bc_partition_open_reading(&db->env, node->id, parent_id, path, &instance) : BITCASK_NO_MEMORY;
    if (status == BITCASK_OK && db->redo_count > 0) status = bc_intents_apply(db, instance);
    if (status != BITCASK_OK) bc_partition_abandon(&instance);
    /* What did not work on the way, a directory that is not there yet, say, is no matter of who asks for a key. */
    if (status == BITCASK_OK) bc_detail_clear();
    free(path);
    pthread_mutex_lock(&db->nodes_lock);
    node->busy = false;
    if (status == BITCASK_OK) {
        node->instance = instance;
        if (node->close_failed) bc_node_unref_locked(node);
        node->close_failed = false;
        bc_ledger_unlist(node); /* kept by its instance from here on */
        node->instances++;
        db->partition_opens++;
        stamp(node);
        bc_lru_add(db, node);
        /* From here on others find it without the lock. */
        atomic_store_explicit(&node->pins, 1, memory_order_release);
    } else {
        db->open_count--;
        bc_node_unref_locked(node); /* never the last one: the caller counts */
    }
    pthread_cond_broadcast(&db->nodes_changed);
    return status;
}

bc_status bc_node_pin_reading(struct bitcask_partition *node, struct bc_partition **out)
{
    struct bitcask *db = node->db;
    bc_status status = BITCASK_OK;

    if (!add_pin(node)) {
        pthread_mutex_lock(&db->nodes_lock);
        if (!add_pin_locked(node))
            status = node->dropped ? bc_fail(BITCASK_NOT_FOUND, "the partition was deleted") : open_instance(node);
        pthread_mutex_unlock(&db->nodes_lock);
    }
    *out = status == BITCASK_OK ? node->instance : NULL;
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
    bool pinned = add_pin(node);

    if (!pinned) {
        pthread_mutex_lock(&db->nodes_lock);
        pinned = add_pin_locked(node);
        pthread_mutex_unlock(&db->nodes_lock);
    }
    return pinned ? node->instance : NULL;
}

void bc_node_unpin(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    /* Release: who closes the instance sees all that was done to it. */
    uint32_t before = atomic_fetch_sub_explicit(&node->pins, 1, memory_order_release);

    assert((before & COUNT) > 0);
    if (((before & COUNT) != 1 || !(before & (BC_NODE_CLOSED | BC_NODE_WANTED))) &&
        !atomic_load_explicit(&db->memory.exceeded, memory_order_relaxed))
        return;
    pthread_mutex_lock(&db->nodes_lock);
    if (node->dropped)
        pthread_cond_broadcast(&db->nodes_changed);
    else
        atomic_fetch_and_explicit(&node->pins, ~BC_NODE_WANTED, memory_order_relaxed);
    make_room(db);
    pthread_mutex_unlock(&db->nodes_lock);
}

void bc_node_drop(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;

    pthread_mutex_lock(&db->nodes_lock);
    node->dropped = true;
    atomic_fetch_or_explicit(&node->pins, BC_NODE_CLOSED, memory_order_relaxed);
    atomic_fetch_sub_explicit(&node->pins, 1, memory_order_release);
    while (node->busy || node->peeks > 0 || (atomic_load_explicit(&node->pins, memory_order_acquire) & COUNT) > 0)
        pthread_cond_wait(&db->nodes_changed, &db->nodes_lock);
    if (node->instance) {
        bc_lru_remove(db, node);
        (void)close_instance(node, true, false);
    }
    pthread_mutex_unlock(&db->nodes_lock);
}

bool bc_node_is_durable(struct bitcask_partition *node, uint64_t instances, uint64_t position)
{
    struct bitcask *db = node->db;
    bool pinned, same, durable;

    /* Under one hold of the lock: a closing whose sync fails must not come between the looks at flag and instance. */
    pthread_mutex_lock(&db->nodes_lock);
    pinned = add_pin_locked(node);
    same = node->instances == instances;
    durable = !node->close_failed; /* closed, so synced; or dropped, which its own rules made safe */
    pthread_mutex_unlock(&db->nodes_lock);
    if (!pinned) return durable;
    /* An open makes durable what it found, but for the names that lead to it. */
    durable = bc_partition_is_durable(node->instance, same ? position : 0);
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

/* ---- all of them ---- */

enum which { ALL, DIRTY, OPEN, KNOWN };

/* Whether each is wanted of a node. Whoever only looks for what to sync does not touch the others, or every background
 * sync would make all look used just now. */
static bool is_wanted(const struct bitcask_partition *node, enum which which)
{
    if (which == KNOWN) return node->instance || node->ledger;
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

bc_status bc_nodes_each(struct bitcask *db, bool dirty_only,
                        bc_status (*each)(void *context, struct bitcask_partition *node, struct bc_partition *instance),
                        void *context)
{
    size_t count;
    struct bitcask_partition **nodes = collect(db, dirty_only ? DIRTY : ALL, &count);
    struct bc_failure first = {0};

    if (!nodes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct bc_partition *instance;
        bc_status status = bc_node_pin_for_sync(nodes[i], &instance);

        if (status == BITCASK_OK && instance) {
            status = each(context, nodes[i], instance);
            bc_node_unpin(nodes[i]);
        }
        bc_failure_note(&first, status);
        bc_node_unref(&nodes[i]);
    }
    free(nodes);
    return bc_failure_end(&first);
}

/* The node's instance if it is open, which stays so until end_peek(). known: what is known beside it, and whether
 * anything is. */
static struct bc_partition *begin_peek(struct bitcask_partition *node, struct bc_figures *figures, bool *known)
{
    struct bc_partition *instance = NULL;

    pthread_mutex_lock(&node->db->nodes_lock);
    if (!node->busy && !node->dropped) instance = node->instance;
    if (instance) node->peeks++;
    *known = bc_ledger_figures(node, figures) && !node->dropped;
    pthread_mutex_unlock(&node->db->nodes_lock);
    return instance;
}

static void end_peek(struct bitcask_partition *node)
{
    pthread_mutex_lock(&node->db->nodes_lock);
    /* As with pins: it may have been waited for, and what was not closed because of it is closed now. */
    if (--node->peeks == 0 && node->dropped)
        pthread_cond_broadcast(&node->db->nodes_changed);
    else
        make_room(node->db);
    pthread_mutex_unlock(&node->db->nodes_lock);
}

bc_status bc_nodes_survey(struct bitcask *db,
                          void (*each)(void *context, struct bitcask_partition *node, struct bc_partition *instance,
                                       const struct bc_figures *known),
                          void *context)
{
    size_t count;
    struct bitcask_partition **nodes = collect(db, KNOWN, &count);

    if (!nodes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct bc_figures figures;
        bool known;
        struct bc_partition *instance = begin_peek(nodes[i], &figures, &known);

        if (instance || known) each(context, nodes[i], instance, &figures);
        if (instance) end_peek(nodes[i]);
        bc_node_unref(&nodes[i]);
    }
    free(nodes);
    return BITCASK_OK;
}

bc_status bc_nodes_peek(struct bitcask *db,
                        void (*each)(void *context, struct bitcask_partition *node, struct bc_partition *instance),
                        void *context)
{
    size_t count;
    struct bitcask_partition **nodes = collect(db, OPEN, &count);

    if (!nodes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct bc_figures figures;
        bool known;
        struct bc_partition *instance = begin_peek(nodes[i], &figures, &known);

        if (instance) {
            each(context, nodes[i], instance);
            end_peek(nodes[i]);
        }
        bc_node_unref(&nodes[i]);
    }
    free(nodes);
    return BITCASK_OK;
}

/* ---- how long things take ---- */

void bc_node_time(struct bitcask_partition *node, enum bc_timed kind, const struct bc_sample *sample)
{
    uint64_t elapsed_ns;

    if (sample->weight == 0) return;
    elapsed_ns = bc_monotonic_ns() - sample->began_ns;
    if (add_pin(node)) {
        bc_histogram_add(&node->instance->timings.of[kind], elapsed_ns, sample->weight);
        bc_node_unpin(node);
    } else {
        bc_histogram_add(&node->db->closed_timings.of[kind], elapsed_ns, sample->weight);
    }
}

void bc_db_time(struct bitcask *db, uint64_t id, enum bc_timed kind, const struct bc_sample *sample)
{
    struct bc_timings *timings = &db->closed_timings;
    struct bitcask_partition *node;
    uint64_t elapsed_ns;

    if (sample->weight == 0) return;
    elapsed_ns = bc_monotonic_ns() - sample->began_ns;
    pthread_mutex_lock(&db->nodes_lock);
    node = bc_node_find_locked(db, id);
    /* Whoever closes it takes its timings while the lock is his. */
    if (node && node->instance && !node->busy) timings = &node->instance->timings;
    bc_histogram_add(&timings->of[kind], elapsed_ns, sample->weight);
    pthread_mutex_unlock(&db->nodes_lock);
}

/* Forgets that a node's last instance could not be synced, and gives the reference up that was kept for that. */
static void forget_failures(struct bitcask *db)
{
    for (size_t i = 0; i < BC_NODE_BUCKETS; i++)
        for (struct bitcask_partition *node = db->buckets[i]; node;) {
            if (!node->close_failed) {
                node = node->next_in_table;
                continue;
            }
            node->close_failed = false;
            bc_node_unref_locked(node);
            node = db->buckets[i];
        }
}

bc_status bc_nodes_close(struct bitcask *db)
{
    struct bitcask_partition *node;
    struct bc_failure first = {0};

    pthread_mutex_lock(&db->nodes_lock);
    while ((node = bc_lru_oldest(db)) != NULL) {
        bc_lru_remove(db, node);
        uint32_t before = atomic_exchange_explicit(&node->pins, BC_NODE_CLOSED, memory_order_acquire);
        assert((before & COUNT) == 0);
        (void)before;
        bc_failure_note(&first, close_instance(node, false, false));
    }
    forget_failures(db);
    bc_ledgers_release(db);
    bc_lru_release(db);
    pthread_mutex_unlock(&db->nodes_lock);
    return bc_failure_end(&first);
}
