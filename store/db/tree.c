/* tree.c - partitions come and go: each is a record in its parent's log.
 *
 * Invariant: the files of a partition are removed only when its deletion is durable; a power cut before leaves either
 * the partition or files that nobody names, never a name whose files are gone.
 */
#include "db/db.h"

#include <stdlib.h>
#include <string.h>

#define DROPPED_MAX 64u /* directories waiting for removal before a sync is forced */

bc_status bc_tree_note_session(struct bitcask *db)
{
    static const uint8_t key[2] = {0, BC_KEY_SESSION};
    struct bc_write write = {.key = key, .key_size = sizeof key, .is_due = true}; /* before an rmdir */
    struct bc_partition *instance;
    bc_status status;

    if (db->session_noted) return BITCASK_OK;
    status = bc_node_pin(db->inodes, &instance);
    if (status != BITCASK_OK) return status;
    bc_fair_lock_soon(&instance->write_lock);
    status = bc_partition_append(instance, &write, 1, true, 0);
    bc_fair_unlock(&instance->write_lock);
    /* Durable before the first directory that might be left behind: only then is it looked for after a crash. */
    if (status == BITCASK_OK) status = bc_partition_sync_to(instance, bc_partition_appended(instance));
    bc_node_unpin(db->inodes);
    if (status == BITCASK_OK) db->session_noted = true;
    return status;
}

static bc_status new_id(struct bitcask *db, uint64_t *id)
{
    uint8_t bytes[8];
    bc_status status;

    do {
        status = bc_io_random(db->env.io, bytes, sizeof bytes);
        *id = bc_get_u64(bytes) >> 1; /* the top bit is that of inodes */
    } while (status == BITCASK_OK && *id <= BC_INODES_ID);
    return status;
}

bc_status bc_tree_create(struct bitcask_partition *parent, const void *name, size_t name_size,
                         const bitcask_attrs *attrs, unsigned flags, struct bitcask_partition **node)
{
    struct bitcask *db = parent->db;
    struct bc_partition *instance = NULL;
    struct bitcask_partition *made = NULL;
    struct bc_write write = {.key = name, .key_size = name_size, .flags = BC_RECORD_PARTITION};
    struct bc_entry entry;
    uint8_t value[8];
    uint64_t id = 0;
    bc_status status;

    if (db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    if (attrs) write.attrs = *attrs;
    pthread_mutex_lock(&db->tree_lock);
    status = bc_tree_note_session(db);
    if (status == BITCASK_OK) status = new_id(db, &id);
    /* The handle before the record: who gets no handle must find no partition either. */
    if (status == BITCASK_OK && node) status = bc_node_get(db, id, parent, name, name_size, &made);
    if (status == BITCASK_OK) status = bc_node_pin(parent, &instance);
    if (status == BITCASK_OK) {
        bc_put_u64(value, id);
        write.value = value;
        write.value_size = sizeof value;
        bc_fair_lock_soon(&instance->write_lock);
        if (bc_index_get(instance->index, name, name_size, &entry) == BITCASK_OK) status = BITCASK_EXISTS;
        if (status == BITCASK_OK) status = bc_partition_append(instance, &write, 1, true, 0);
        if (status == BITCASK_OK) instance->directory_position = bc_partition_position(instance);
        bc_fair_unlock(&instance->write_lock);
        bc_node_unpin(parent);
    }
    pthread_mutex_unlock(&db->tree_lock);
    if (status == BITCASK_OK) status = bc_node_end_write(parent, flags);
    if (status == BITCASK_OK && node)
        *node = made;
    else
        bc_node_unref(&made);
    return status;
}

bc_status bc_tree_open(struct bitcask_partition *parent, const void *name, size_t name_size,
                       struct bitcask_partition **node)
{
    struct bitcask *db = parent->db;
    struct bc_partition *instance;
    struct bc_entry entry;
    bc_status status;

    /* The lock keeps a drop or rename from coming between the record and the node. */
    pthread_mutex_lock(&db->tree_lock);
    status = bc_node_pin_reading(parent, &instance);
    if (status == BITCASK_OK) {
        status = bc_partition_find(instance, name, name_size, &entry);
        bc_node_unpin(parent);
    }
    if (status == BITCASK_OK && !(entry.flags & BC_ENTRY_PARTITION)) status = BITCASK_NOT_PARTITION;
    if (status == BITCASK_OK && entry.child_id <= BC_INODES_ID)
        status = bc_fail(BITCASK_CORRUPT, "a partition record names the reserved id %u", (unsigned)entry.child_id);
    if (status == BITCASK_OK) status = bc_node_get(db, entry.child_id, parent, name, name_size, node);
    pthread_mutex_unlock(&db->tree_lock);
    return status;
}

bc_status bc_partition_check_empty(struct bc_partition *instance)
{
    static const uint8_t first_name = 1; /* the store's own keys begin with 0 */
    uint8_t found[BITCASK_NAME_MAX];
    size_t found_size;

    return bc_index_seek(instance->index, BC_SEEK_GE, &first_name, 1, found, &found_size, NULL) == BITCASK_NOT_FOUND
               ? BITCASK_OK
               : BITCASK_NOT_EMPTY;
}

bc_status bc_tree_forget_files(struct bitcask_partition *parent, uint64_t id)
{
    struct bitcask *db = parent->db;
    struct bc_dropped *dropped = calloc(1, sizeof *dropped);
    struct bc_partition *instance;

    if (!dropped) {
        /* The next open sweeps them. */
        pthread_mutex_lock(&db->live_lock);
        db->left_behind = true;
        pthread_mutex_unlock(&db->live_lock);
        return BITCASK_NO_MEMORY;
    }
    instance = bc_node_pin_if_open(parent);
    dropped->id = id;
    dropped->parent = parent;
    bc_node_ref(parent);
    if (instance) {
        dropped->position = bc_partition_appended(instance);
        pthread_mutex_lock(&db->nodes_lock);
        dropped->instances = parent->instances;
        pthread_mutex_unlock(&db->nodes_lock);
        bc_node_unpin(parent);
    }
    pthread_mutex_lock(&db->live_lock);
    dropped->next = db->dropped;
    db->dropped = dropped;
    db->dropped_count++;
    pthread_mutex_unlock(&db->live_lock);
    return BITCASK_OK;
}

void bc_tree_remove_dropped(struct bitcask *db)
{
    struct bc_dropped *list, *keep = NULL;
    bool removed = false;

    pthread_mutex_lock(&db->live_lock);
    list = db->dropped;
    db->dropped = NULL;
    db->dropped_count = 0;
    pthread_mutex_unlock(&db->live_lock);
    while (list) {
        struct bc_dropped *dropped = list;
        list = dropped->next;
        /* Only once the tombstone is durable: else a power cut brings the name back without its files. */
        if (!bc_node_is_durable(dropped->parent, dropped->instances, dropped->position)) {
            dropped->next = keep;
            keep = dropped;
            continue;
        }
        bc_status status = bc_partition_remove_files(&db->env, dropped->id);
        removed = true;
        if (status != BITCASK_OK) {
            /* The deletion stands and is durable, so this is no failure of the sync. The session does not end on
             * record, so that the next open sweeps. */
            bc_env_log(&db->env, BITCASK_LOG_WARNING, "files of a deleted partition are left behind: %s",
                       bc_detail_of(status));
            pthread_mutex_lock(&db->live_lock);
            db->left_behind = true;
            pthread_mutex_unlock(&db->live_lock);
        }
        bc_node_unref(&dropped->parent);
        free(dropped);
    }
    if (removed) bc_reserve_refill(db->env.reserve, false);
    while (keep) {
        struct bc_dropped *dropped = keep;
        keep = dropped->next;
        pthread_mutex_lock(&db->live_lock);
        dropped->next = db->dropped;
        db->dropped = dropped;
        db->dropped_count++;
        pthread_mutex_unlock(&db->live_lock);
    }
}

/* Appends the tombstone, with both instances locked, the one of the lower id first; from then on the child takes no
 * writes. */
static bc_status append_drop(struct bc_partition *instance, struct bc_partition *child, const void *name,
                             size_t name_size)
{
    struct bc_write write = {.key = name, .key_size = name_size, .flags = BC_RECORD_TOMBSTONE};
    bool child_first = child->id < instance->id;
    bc_status status;

    bc_fair_lock_soon(child_first ? &child->write_lock : &instance->write_lock);
    bc_fair_lock_soon(child_first ? &instance->write_lock : &child->write_lock);
    status = bc_partition_check_empty(child);
    if (status == BITCASK_OK) status = bc_partition_append(instance, &write, 1, true, 0);
    if (status == BITCASK_OK) {
        instance->directory_position = bc_partition_position(instance);
        child->dropped = true;
    }
    bc_fair_unlock(&instance->write_lock);
    bc_fair_unlock(&child->write_lock);
    return status;
}

bc_status bc_tree_drop(struct bitcask_partition *parent, const void *name, size_t name_size, unsigned flags)
{
    struct bitcask *db = parent->db;
    struct bitcask_partition *node = NULL;
    struct bc_partition *instance = NULL, *child = NULL;
    bitcask_stats stats = {0};
    bc_status status;
    bool many;

    if (db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    status = bc_tree_open(parent, name, name_size, &node);
    if (status != BITCASK_OK) return status;
    pthread_mutex_lock(&db->tree_lock);
    /* Looked at again under the lock: it may have been renamed or dropped in between. */
    status = bc_node_pin(parent, &instance);
    if (status == BITCASK_OK) {
        struct bc_entry entry;
        status = bc_partition_find(instance, name, name_size, &entry);
        if (status == BITCASK_OK && entry.child_id != node->id) status = BITCASK_NOT_FOUND;
    }
    /* A move from or to it that might be redone after a crash would bring its directory back. */
    if (status == BITCASK_OK) status = bc_intents_finish(node);
    if (status == BITCASK_OK) status = bc_tree_note_session(db);
    if (status == BITCASK_OK) status = bc_node_pin(node, &child);
    if (status == BITCASK_OK) {
        bc_partition_stats(child, &stats);
        status = append_drop(instance, child, name, name_size);
        if (status == BITCASK_OK) bc_node_drop(node);
        else bc_node_unpin(node);
    }
    if (instance) bc_node_unpin(parent);
    if (status == BITCASK_OK) (void)bc_tree_forget_files(parent, node->id);
    if (status == BITCASK_OK) bc_reserve_note(db->env.reserve, -(int64_t)stats.data_bytes);
    pthread_mutex_unlock(&db->tree_lock);
    bc_node_unref(&node);
    if (status != BITCASK_OK) return status;
    status = bc_node_end_write(parent, flags);
    pthread_mutex_lock(&db->live_lock);
    many = db->dropped_count >= DROPPED_MAX;
    pthread_mutex_unlock(&db->live_lock);
    if (status == BITCASK_OK && many) status = bc_db_sync(db);
    return status;
}
