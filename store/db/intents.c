/* intents.c - the life of redo intents after their round: struck out when they are not needed, redone after a crash.
 *
 * An intent is needed until its records are durable in both logs. They get durable with any sync of these; then the
 * intent is struck out by a tombstone in partition 1, which itself needs no sync: an intent that comes back is found
 * done, by the versions of its records.
 */
#include "db/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIVE_MAX 1024u /* intents that wait for somebody else's sync, before one is forced */

static void intent_key(uint64_t id, uint8_t key[10])
{
    key[0] = 0;
    key[1] = BC_KEY_INTENT;
    bc_put_u64(key + 2, id);
}

static bc_status strike_one(struct bitcask *db, uint64_t id)
{
    uint8_t key[10];
    struct bc_write write = {.key = key, .key_size = sizeof key, .flags = BC_RECORD_TOMBSTONE};
    struct bc_partition *inodes;
    bc_status status = bc_node_pin(db->inodes, &inodes);

    if (status != BITCASK_OK) return status;
    intent_key(id, key);
    bc_fair_lock(&inodes->write_lock);
    status = bc_partition_append(inodes, &write, 1, true, 0);
    bc_fair_unlock(&inodes->write_lock);
    bc_node_unpin(db->inodes);
    return status;
}

static bc_status make_durable(struct bitcask_partition *node, uint64_t position)
{
    struct bc_partition *instance = bc_node_pin_if_open(node);
    uint64_t appended;
    bc_status status = BITCASK_OK;

    if (!instance) return BITCASK_OK;
    appended = bc_partition_appended(instance);
    status = bc_partition_sync_to(instance, position < appended ? position : appended);
    bc_node_unpin(node);
    return status;
}

/* strike_lock held. */
static bc_status strike(struct bitcask *db, bool force)
{
    struct bc_live_intent *list;
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&db->live_lock);
    list = db->live;
    db->live = NULL;
    db->live_end = &db->live;
    pthread_mutex_unlock(&db->live_lock);
    while (list) {
        struct bc_live_intent *live = list;
        bool durable = true;

        for (unsigned s = 0; s < live->side_count && status == BITCASK_OK && force; s++)
            status = make_durable(live->side[s].node, live->side[s].position);
        for (unsigned s = 0; s < live->side_count; s++)
            durable = durable &&
                      bc_node_is_durable(live->side[s].node, live->side[s].instances, live->side[s].position);
        if (status != BITCASK_OK || !durable) break; /* in order: the later ones wait with it */
        status = strike_one(db, live->intent_id);
        if (status != BITCASK_OK) break;
        list = live->next;
        for (unsigned s = 0; s < live->side_count; s++) bc_node_unref(&live->side[s].node);
        free(live);
        pthread_mutex_lock(&db->live_lock);
        db->live_count--;
        pthread_mutex_unlock(&db->live_lock);
    }
    if (list) { /* what is left goes in front of what came meanwhile */
        struct bc_live_intent *last = list;
        while (last->next) last = last->next;
        pthread_mutex_lock(&db->live_lock);
        last->next = db->live;
        if (!db->live) db->live_end = &last->next;
        db->live = list;
        pthread_mutex_unlock(&db->live_lock);
    }
    return status;
}

bc_status bc_intents_strike(struct bitcask *db, bool force)
{
    bc_status status;

    pthread_mutex_lock(&db->strike_lock);
    status = strike(db, force);
    pthread_mutex_unlock(&db->strike_lock);
    return status;
}

void bc_intents_limit(struct bitcask *db)
{
    bool many;

    pthread_mutex_lock(&db->live_lock);
    many = db->live_count > LIVE_MAX;
    pthread_mutex_unlock(&db->live_lock);
    /* What is asked for is done, and durable by its intent; a log that cannot be synced says so to who uses it. */
    if (many && bc_intents_strike(db, true) != BITCASK_OK) bc_detail_clear();
}

bc_status bc_intents_finish(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_partition *inodes;
    bool concerned = false;
    /* At first: behind a strike that is not synced, nobody would look here again. */
    bc_status status = bc_node_pin(db->inodes, &inodes);

    if (status != BITCASK_OK) return status;
    /* The lock before the look: another thread that strikes has the intents off the list meanwhile, and the partition
     * would go while one that names it may still be redone. */
    pthread_mutex_lock(&db->strike_lock);
    pthread_mutex_lock(&db->live_lock);
    for (struct bc_live_intent *live = db->live; live && !concerned; live = live->next)
        for (unsigned s = 0; s < live->side_count; s++) concerned |= live->side[s].node == node;
    pthread_mutex_unlock(&db->live_lock);
    if (concerned) status = strike(db, true);
    pthread_mutex_unlock(&db->strike_lock);
    /* The strike itself durable: the partition's files are about to go, and an intent that names it must not be back. */
    if (status == BITCASK_OK && concerned) status = bc_partition_sync_to(inodes, bc_partition_appended(inodes));
    bc_node_unpin(db->inodes);
    return status;
}

/* ---- recovery ---- */

/* Collects the values of all intents of partition 1 and their ids; fills in db->redo. */
struct collection {
    struct bc_buffer values; /* each: 8 bytes of size, then the intent */
    uint64_t *ids;
    size_t count, room;
};

static bc_status collect(struct bc_partition *inodes, struct collection *found)
{
    uint8_t key[BITCASK_NAME_MAX] = {0, BC_KEY_INTENT};
    size_t size = 2;

    for (;;) {
        struct bc_value *value = NULL;
        uint8_t *out;
        bc_status status = bc_index_seek(inodes->index, BC_SEEK_GT, key, size, key, &size, NULL);

        if (status != BITCASK_OK && status != BITCASK_NOT_FOUND) return status;
        if (status == BITCASK_NOT_FOUND || key[0] != 0 || key[1] != BC_KEY_INTENT) return BITCASK_OK;
        if (size != 10) return bc_fail(BITCASK_CORRUPT, "partition 1 holds an intent with a bad key");
        if (found->count == found->room) {
            size_t room = found->room ? found->room * 2 : 16;
            void *ids = realloc(found->ids, room * sizeof *found->ids);
            if (!ids) return BITCASK_NO_MEMORY;
            found->ids = ids;
            found->room = room;
        }
        status = bc_partition_pin(inodes, key, size, &value);
        if (status == BITCASK_OK) status = bc_value_load(value);
        if (status == BITCASK_OK) {
            out = bc_buffer_extend(&found->values, 8 + (size_t)value->entry.value_size);
            if (out) {
                bc_put_u64(out, value->entry.value_size);
                memcpy(out + 8, value->data, value->entry.value_size);
                found->values.size += 8 + (size_t)value->entry.value_size;
                found->ids[found->count++] = bc_get_u64(key + 2);
            } else {
                status = BITCASK_NO_MEMORY;
            }
        }
        bc_value_close(&value);
        if (status != BITCASK_OK) return status;
    }
}

static int by_partition_and_version(const void *a, const void *b)
{
    const struct bc_redo *x = a, *y = b;

    if (x->partition_id != y->partition_id) return x->partition_id < y->partition_id ? -1 : 1;
    return x->record.version < y->record.version ? -1 : x->record.version > y->record.version;
}

/* Decodes all intents into db->redo, ordered by partition and version. The bytes move to db->redo_bytes. */
static bc_status decode(struct bitcask *db, struct collection *found)
{
    size_t room = 0, at = 0;

    db->redo_bytes = found->values;
    found->values = (struct bc_buffer){0};
    while (at < db->redo_bytes.size) {
        size_t size = (size_t)bc_get_u64(db->redo_bytes.data + at), offset = 0;
        struct bc_redo redo;
        bc_status status;

        at += 8;
        while ((status = bc_intent_next(db->redo_bytes.data + at, size, &offset, &redo)) == BITCASK_OK) {
            /* Its log is open, to read the intents: a second instance on the same file would write over the first. */
            if (redo.partition_id == BC_INODES_ID)
                return bc_fail(BITCASK_CORRUPT, "an intent concerns the store's own partition");
            if (db->redo_count == room) {
                void *more = realloc(db->redo, (room = room ? room * 2 : 16) * sizeof *db->redo);
                if (!more) return BITCASK_NO_MEMORY;
                db->redo = more;
            }
            db->redo[db->redo_count++] = redo;
        }
        if (status != BITCASK_NOT_FOUND) return status;
        at += size;
    }
    if (db->redo_count > 0) qsort(db->redo, db->redo_count, sizeof *db->redo, by_partition_and_version);
    return BITCASK_OK;
}

bc_status bc_intents_apply(struct bitcask *db, struct bc_partition *instance)
{
    struct bc_write *writes;
    size_t count = 0;
    bc_status status = BITCASK_OK;

    writes = calloc(db->redo_count + 1, sizeof *writes);
    if (!writes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < db->redo_count && status == BITCASK_OK; i++) {
        const struct bc_record *record = &db->redo[i].record;
        struct bc_write *write = &writes[count];

        if (db->redo[i].partition_id != instance->id) continue;
        *write = (struct bc_write){
            .key = record->key,
            .key_size = record->key_size,
            .flags = record->flags & (BC_RECORD_TOMBSTONE | BC_RECORD_CHILD),
            .value = record->value,
            .value_size = record->value_size,
            .value_crc = record->value_crc,
            .has_crc = true,
            .explicit_version = true,
            .version = record->version,
        };
        if ((write->flags & BC_RECORD_CHILD) && write->value_size != 8)
            status = bc_fail(BITCASK_CORRUPT, "an intent holds a record of a partition or link without a number");
        if (status == BITCASK_OK) status = bc_attrs_decode(record->attrs, record->attrs_size, &write->attrs);
        count++;
    }
    if (status == BITCASK_OK && count > 0) {
        bc_fair_lock(&instance->write_lock);
        status = bc_partition_redo(instance, writes, count);
        bc_fair_unlock(&instance->write_lock);
    }
    free(writes);
    return status;
}

/* Redoes what concerns one partition after the other; closing each makes it durable. */
static bc_status redo_all(struct bitcask *db)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < db->redo_count && status == BITCASK_OK; i++) {
        struct bc_partition *instance = NULL;
        char label[32];

        if (i > 0 && db->redo[i].partition_id == db->redo[i - 1].partition_id) continue;
        bc_env_log(&db->env, BITCASK_LOG_INFO, "redoing renames that were cut short, in partition %016llx",
                   (unsigned long long)db->redo[i].partition_id);
        snprintf(label, sizeof label, "%016llx", (unsigned long long)db->redo[i].partition_id);
        status = bc_partition_open(&db->env, db->redo[i].partition_id, BC_ROOT_ID, label, &instance);
        if (status == BITCASK_OK) status = bc_intents_apply(db, instance);
        if (status == BITCASK_OK) status = bc_partition_close(&instance, true);
        else bc_partition_abandon(&instance);
    }
    return status;
}

bc_status bc_intents_read(struct bitcask *db, struct bc_partition *inodes)
{
    struct collection found = {{0}, NULL, 0, 0};
    bc_status status = collect(inodes, &found);

    if (status == BITCASK_OK) status = decode(db, &found);
    bc_buffer_release(&found.values);
    free(found.ids);
    return status;
}

bc_status bc_intents_recover(struct bitcask *db)
{
    struct collection found = {{0}, NULL, 0, 0};
    struct bc_partition *inodes;
    bc_status status = bc_node_pin(db->inodes, &inodes);

    if (status != BITCASK_OK) return status;
    status = collect(inodes, &found);
    for (size_t i = 0; i < found.count; i++)
        if (found.ids[i] >= db->next_intent_id) db->next_intent_id = found.ids[i] + 1;
    if (status == BITCASK_OK) status = decode(db, &found);
    if (status == BITCASK_OK && !db->env.read_only && found.count > 0) {
        /* If only the process died, partition 1 may be unsynced, names included: what is redone names inodes in it. */
        status = bc_partition_sync_to(inodes, bc_partition_appended(inodes));
        if (status == BITCASK_OK) status = redo_all(db);
        /* Struck out only now that all is durable where it belongs. */
        for (size_t i = 0; i < found.count && status == BITCASK_OK; i++) status = strike_one(db, found.ids[i]);
    }
    bc_node_unpin(db->inodes);
    if (!db->env.read_only) {
        free(db->redo);
        db->redo = NULL;
        db->redo_count = 0;
        bc_buffer_release(&db->redo_bytes);
    }
    bc_buffer_release(&found.values);
    free(found.ids);
    return status;
}
