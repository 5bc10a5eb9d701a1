/* round.c - see round.h.
 */
#include "db/round.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "db/move.h"

/* A partition that takes part in a round, and what is to be appended to it. */
struct side {
    struct bitcask_partition *node;
    struct bc_partition *instance;
    struct bc_write *writes; /* owned */
    size_t count, write_room;
    struct bc_append_memory memory;
    bool due;              /* nothing is written but tombstones, and what was promised */
    uint64_t room;         /* reserved for them */
    uint64_t last_version; /* to be put back if the round fails */
};

struct bc_round {
    struct bitcask *db;
    struct bc_partition *inodes;
    struct side *sides;
    struct bc_partition **locked; /* the same, in the order of their ids */
    size_t side_count, side_room;
    bool is_locked;
    struct bc_change **changes;
    size_t count, room;
    struct bc_live_intent *live; /* one for each change, until they are known to the store */
    uint64_t first_intent;
};

/* ---- a change ---- */

bc_status bc_change_add(struct bc_change *change, struct bitcask_partition *node, const struct bc_write *write)
{
    void *list = bc_list_room(change->writes, change->write_count, &change->write_room, sizeof *change->writes);

    if (!list) return BITCASK_NO_MEMORY;
    change->writes = list;
    change->writes[change->write_count++] = (struct bc_change_write){.node = node, .write = *write};
    return BITCASK_OK;
}

static bc_status room_for_inode(struct bc_change *change)
{
    void *list = bc_list_room(change->inodes, change->inode_count, &change->inode_room, sizeof *change->inodes);

    if (!list) return BITCASK_NO_MEMORY;
    change->inodes = list;
    return BITCASK_OK;
}

bc_status bc_change_inode(struct bc_change *change, struct bc_partition *inodes, uint64_t ino, struct bc_inode **inode)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < change->inode_count; i++)
        if (change->inodes[i].ino == ino) {
            *inode = &change->inodes[i];
            return BITCASK_OK;
        }
    status = room_for_inode(change);
    if (status != BITCASK_OK) return status;
    *inode = &change->inodes[change->inode_count];
    status = bc_inode_load(inodes, ino, *inode);
    if (status == BITCASK_OK)
        change->inode_count++;
    else
        bc_inode_release(*inode);
    return status;
}

bc_status bc_change_new_inode(struct bc_change *change, struct bitcask *db, struct bc_partition *inodes,
                              struct bc_inode **inode)
{
    bc_status status = room_for_inode(change);

    if (status == BITCASK_OK) status = bc_inode_new(db, inodes, &change->inodes[change->inode_count]);
    if (status == BITCASK_OK) *inode = &change->inodes[change->inode_count++];
    return status;
}

void bc_change_release(struct bc_change *change)
{
    for (size_t i = 0; i < change->inode_count; i++) bc_inode_release(&change->inodes[i]);
    free(change->inodes);
    free(change->inode_writes);
    free(change->writes);
    *change = (struct bc_change){0};
}

/* ---- the partitions ---- */

bc_status bc_round_open(struct bitcask *db, struct bc_round **out)
{
    struct bc_round *round = calloc(1, sizeof *round);
    bc_status status;

    if (!round) return BITCASK_NO_MEMORY;
    round->db = db;
    /* Before any lock is taken: a pin may have to close another partition, which takes that one's locks. */
    status = bc_node_pin(db->inodes, &round->inodes);
    if (status == BITCASK_OK)
        *out = round;
    else
        free(round);
    return status;
}

struct bc_partition *bc_round_inodes(struct bc_round *round)
{
    return round->inodes;
}

static struct side *find_side(struct bc_round *round, const struct bitcask_partition *node)
{
    for (size_t i = 0; i < round->side_count; i++)
        if (round->sides[i].node == node) return &round->sides[i];
    return NULL;
}

bc_status bc_round_add_side(struct bc_round *round, struct bitcask_partition *node, struct bc_partition **instance)
{
    struct side *side = find_side(round, node), *list;
    bc_status status;

    if (!side) {
        list = bc_list_room(round->sides, round->side_count, &round->side_room, sizeof *list);
        if (!list) return BITCASK_NO_MEMORY;
        round->sides = list;
        side = &list[round->side_count];
        *side = (struct side){.node = node, .due = true};
        status = bc_node_pin(node, &side->instance);
        if (status != BITCASK_OK) return status;
        round->side_count++;
    }
    if (instance) *instance = side->instance;
    return BITCASK_OK;
}

/* What the logs hold unsynced of directory records and rename batches must be durable before the intents are: a redo on
 * top of a log that lost an earlier rename would bring a file back under a second name, or leave the name of an inode
 * that is gone; and one into a directory whose own record is lost would lose the file. */
bc_status bc_round_lock(struct bc_round *round)
{
    bc_status status = BITCASK_OK;

    round->locked = calloc(round->side_count + 1, sizeof(struct bc_partition *));
    if (!round->locked) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < round->side_count && status == BITCASK_OK; i++)
        status = bc_node_sync_path(round->sides[i].node);
    for (size_t i = 0; i < round->side_count; i++) round->locked[i] = round->sides[i].instance;
    bc_moves_lock(round->locked, round->side_count);
    for (size_t i = 0; i < round->side_count && status == BITCASK_OK; i++) {
        struct bc_partition *instance = round->sides[i].instance;
        if (instance->directory_position > bc_partition_synced(instance)) status = bc_partition_sync_locked(instance);
        round->sides[i].last_version = instance->last_version;
    }
    bc_fair_lock(&round->inodes->write_lock);
    round->is_locked = true;
    return status;
}

void bc_round_end(struct bc_round **pointer)
{
    struct bc_round *round = *pointer;

    if (!round) return;
    *pointer = NULL;
    if (round->is_locked) {
        for (size_t i = 0; i < round->side_count; i++) round->sides[i].instance->reserved -= round->sides[i].room;
        bc_fair_unlock(&round->inodes->write_lock);
        bc_moves_unlock(round->locked, round->side_count);
    }
    bc_node_unpin(round->db->inodes);
    for (size_t i = 0; i < round->side_count; i++) {
        bc_node_unpin(round->sides[i].node);
        free(round->sides[i].writes);
        bc_append_memory_release(&round->sides[i].memory);
    }
    while (round->live) {
        struct bc_live_intent *live = round->live;
        round->live = live->next;
        free(live);
    }
    free(round->sides);
    free(round->locked);
    free(round->changes);
    free(round);
}

/* ---- the changes ---- */

size_t bc_round_count(const struct bc_round *round)
{
    return round->count;
}

size_t bc_round_sides(const struct bc_round *round)
{
    return round->side_count;
}

struct bc_inode *bc_round_find_inode(const struct bc_round *round, uint64_t ino)
{
    for (size_t i = 0; i < round->count; i++)
        for (size_t n = 0; n < round->changes[i]->inode_count; n++)
            if (round->changes[i]->inodes[n].ino == ino) return &round->changes[i]->inodes[n];
    return NULL;
}

static bc_status encode_inodes(struct bc_change *change)
{
    bc_status status = BITCASK_OK;

    free(change->inode_writes);
    change->inode_writes = calloc(change->inode_count + 1, sizeof *change->inode_writes);
    if (!change->inode_writes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < change->inode_count && status == BITCASK_OK; i++)
        status = bc_inode_encode(&change->inodes[i], &change->inode_writes[i]);
    return status;
}

/* Reserves room for the records of a change. */
static bc_status reserve(struct bc_round *round, struct bc_change *change)
{
    for (size_t i = 0; i < change->write_count; i++) {
        struct bc_write *write = &change->writes[i].write;
        struct side *side = find_side(round, change->writes[i].node);
        uint64_t bound = bc_writes_bound(write, 1);
        bool due = change->is_due || (write->flags & BC_RECORD_TOMBSTONE) != 0;
        bc_status status = bc_partition_make_ready(side->instance, bound, due);

        if (status != BITCASK_OK) return status; /* what the first ones reserved is given back with the round */
        side->instance->reserved += bound;
        side->room += bound;
        side->due = side->due && due;
        if (!write->has_crc) {
            write->value_crc = bc_crc32c(0, write->value, write->value_size);
            write->has_crc = true;
        }
    }
    return BITCASK_OK;
}

bc_status bc_round_take(struct bc_round *round, struct bc_change *change)
{
    void *list = bc_list_room(round->changes, round->count, &round->room, sizeof(struct bc_change *));
    bc_status status;

    if (!list) return BITCASK_NO_MEMORY;
    round->changes = list;
    status = reserve(round, change);
    if (status == BITCASK_OK) round->changes[round->count++] = change;
    return status;
}

/* ---- doing it ---- */

static bc_status add_to_side(struct side *side, struct bc_write *write)
{
    struct bc_partition *instance = side->instance;
    struct bc_write *list = bc_list_room(side->writes, side->count, &side->write_room, sizeof *list);

    if (!list) return BITCASK_NO_MEMORY;
    side->writes = list;
    write->version = bc_partition_next_version(instance, &write->attrs);
    write->explicit_version = true;
    instance->last_version = write->version;
    list[side->count++] = *write;
    return BITCASK_OK;
}

/* Each side with a segment that takes all that comes to it: what is rotated behind the intents could fail. */
static bc_status make_sides_ready(struct bc_round *round)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < round->side_count && status == BITCASK_OK; i++) {
        struct side *side = &round->sides[i];

        if (side->room == 0) continue;
        side->instance->reserved -= side->room;
        status = bc_partition_make_ready(side->instance, side->room, side->due);
        side->instance->reserved += side->room;
    }
    return status;
}

/* All the memory that is needed behind the intents, when it is too late to go without. */
static bc_status get_memory(struct bc_round *round)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < round->side_count && status == BITCASK_OK; i++) {
        struct side *side = &round->sides[i];

        if (side->count > 0)
            status = bc_partition_append_prepare(side->instance, side->writes, side->count, &side->memory);
    }
    for (size_t i = 0; i < round->count && status == BITCASK_OK; i++) {
        struct bc_live_intent *live = calloc(1, sizeof *live);

        if (!live) return BITCASK_NO_MEMORY;
        live->next = round->live;
        round->live = live;
    }
    return status;
}

/* Gives the records of the round their versions, and adds them to their sides. Only now that all have room: a change
 * that fails half-way would leave one record to be appended without the other; and a rotation would state a version in
 * the new segment's header whose record is not in the log yet, so that a crash would keep it from being redone. */
static bc_status add_to_sides(struct bc_round *round)
{
    bc_status status = BITCASK_OK;

    for (size_t c = 0; c < round->count; c++)
        for (size_t i = 0; i < round->changes[c]->write_count && status == BITCASK_OK; i++) {
            struct bc_change_write *write = &round->changes[c]->writes[i];
            status = add_to_side(find_side(round, write->node), &write->write);
        }
    return status;
}

static bc_status add_to_intent(struct bc_buffer *buffer, uint64_t partition_id, const struct bc_write *write)
{
    size_t attrs_size = bc_attrs_size(&write->attrs);
    uint8_t *attrs = malloc(attrs_size + 1);
    struct bc_record record = {
        .version = write->version,
        .flags = write->flags,
        .key_size = (uint8_t)write->key_size,
        .attrs_size = (uint32_t)attrs_size,
        .value_size = write->value_size,
        .value_crc = write->value_crc,
        .key = write->key,
        .attrs = attrs,
        .value = write->value,
    };
    bc_status status;

    if (!attrs) return BITCASK_NO_MEMORY;
    bc_attrs_encode(&write->attrs, attrs);
    status = bc_intent_add(buffer, partition_id, &record);
    free(attrs);
    return status;
}

/* What goes to partition 1, as one batch. */
struct batch {
    struct bc_buffer *values; /* of the intents */
    uint8_t (*keys)[10];
    struct bc_write *writes;
    size_t count;
};

static bc_status make_batch(struct bc_round *round, struct batch *batch)
{
    size_t most = round->count;
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < round->count; i++) most += round->changes[i]->inode_count;
    batch->values = calloc(round->count, sizeof *batch->values);
    batch->keys = calloc(round->count, sizeof *batch->keys);
    batch->writes = calloc(most, sizeof *batch->writes);
    if (!batch->values || !batch->keys || !batch->writes) return BITCASK_NO_MEMORY;
    round->first_intent = round->db->next_intent_id;
    for (size_t i = 0; i < round->count && status == BITCASK_OK; i++) {
        const struct bc_change *change = round->changes[i];

        for (size_t n = 0; n < change->inode_count; n++) batch->writes[batch->count++] = change->inode_writes[n];
        for (size_t n = 0; n < change->write_count && status == BITCASK_OK; n++)
            status = add_to_intent(&batch->values[i], change->writes[n].node->id, &change->writes[n].write);
        batch->keys[i][0] = 0;
        batch->keys[i][1] = BC_KEY_INTENT;
        bc_put_u64(batch->keys[i] + 2, round->db->next_intent_id++);
        batch->writes[batch->count++] = (struct bc_write){.key = batch->keys[i],
                                                          .key_size = sizeof batch->keys[i],
                                                          .value = batch->values[i].data,
                                                          .value_size = (uint32_t)batch->values[i].size};
    }
    return status;
}

/* The inodes are in the log. */
static void inodes_done(struct bc_round *round, const struct batch *batch)
{
    size_t at = 0;

    for (size_t i = 0; i < round->count; i++, at++) {
        struct bc_change *change = round->changes[i];

        change->done = true;
        for (size_t n = 0; n < change->inode_count; n++) {
            change->inode_writes[n].version = batch->writes[at++].version;
            bc_inode_done(round->db, round->inodes, &change->inodes[n]);
        }
    }
}

/* Gives back what the sides have laid out and need not. False: there was nothing. */
static bool give_room(struct bc_round *round)
{
    bool given = false;

    for (size_t i = 0; i < round->side_count; i++) {
        struct bc_partition *instance = round->sides[i].instance;

        if (!instance->active || instance->allocated <= instance->active->end) continue;
        given |= bc_partition_give_room(instance) == BITCASK_OK;
    }
    return given;
}

/* Writes an intent for each change to partition 1, with its inodes, and syncs them, once for all, before anybody sees
 * them: a name whose inode was gone would else be left of a failed sync. *logged: they are on disk, or may be, though
 * it failed. */
static bc_status write_intents(struct bc_round *round, bool *logged)
{
    struct batch batch = {0};
    bool due = true;
    bool poisoned = atomic_load(&round->inodes->poisoned);
    bc_status status = make_batch(round, &batch);

    for (size_t i = 0; i < round->count; i++)
        for (size_t n = 0; n < round->changes[i]->write_count; n++)
            due &= round->changes[i]->is_due || (round->changes[i]->writes[n].write.flags & BC_RECORD_TOMBSTONE) != 0;
    /* With the records of inodes that lose a name, and keep others. */
    if (status == BITCASK_OK) batch.writes[0].is_due = due;
    if (status == BITCASK_OK) status = bc_partition_append_synced(round->inodes, batch.writes, batch.count);
    /* Whoever promised a rename had room reserved for both logs in the one that it goes to. */
    if (bc_is_full(status) && batch.count > 0 && give_room(round))
        status = bc_partition_append_synced(round->inodes, batch.writes, batch.count);
    if (status == BITCASK_OK) inodes_done(round, &batch);
    *logged = status == BITCASK_OK || (!poisoned && atomic_load(&round->inodes->poisoned));
    for (size_t i = 0; batch.values && i < round->count; i++) bc_buffer_release(&batch.values[i]);
    free(batch.values);
    free(batch.keys);
    free(batch.writes);
    return status;
}

/* The records go to their logs. The intents are durable by now, so the changes are done, whatever happens here: a log
 * that cannot take its part is poisoned and shows it from memory, and the next open redoes it. *whole: all logs took
 * it. */
static bc_status append_sides(struct bc_round *round, bool *whole)
{
    bc_status first = BITCASK_OK;

    *whole = true;

    for (size_t i = 0; i < round->side_count; i++) {
        struct side *side = &round->sides[i];
        bc_status status;

        if (side->count == 0) continue;
        side->instance->last_version = side->last_version;
        status = bc_partition_append_prepared(side->instance, side->writes, side->count, side->room, &side->memory);
        if (status == BITCASK_OK) {
            side->room = 0;
            side->instance->directory_position = bc_partition_position(side->instance);
        } else {
            *whole = false;
            atomic_store(&side->instance->poisoned, true);
            bc_env_log(&round->db->env, BITCASK_LOG_ERROR,
                       "partition '%s': a change of names could not be appended: %s; it takes no writes until reopened",
                       side->instance->label, bc_detail());
            status = bc_partition_redo_in_memory(side->instance, side->writes, side->count);
            /* No closing mark may claim the versions, or the next open would take them for done. */
            side->instance->last_version = side->last_version;
            if (first == BITCASK_OK) first = status;
        }
    }
    return first;
}

static void add_live_side(struct bc_round *round, struct bc_live_intent *live, struct bitcask_partition *node)
{
    struct bitcask *db = round->db;
    unsigned s = live->side_count;

    for (unsigned i = 0; i < s; i++)
        if (live->side[i].node == node) return;
    live->side[s].node = node;
    live->side[s].position = bc_partition_position(find_side(round, node)->instance);
    pthread_mutex_lock(&db->nodes_lock);
    node->users++;
    live->side[s].instances = node->instances;
    pthread_mutex_unlock(&db->nodes_lock);
    live->side_count++;
}

static void add_live(struct bc_round *round)
{
    struct bitcask *db = round->db;

    for (size_t i = 0; i < round->count; i++) {
        struct bc_live_intent *live = round->live;
        const struct bc_change *change = round->changes[i];

        round->live = live->next;
        live->next = NULL;
        live->intent_id = round->first_intent + i;
        for (size_t n = 0; n < change->write_count; n++) add_live_side(round, live, change->writes[n].node);
        pthread_mutex_lock(&db->live_lock);
        *db->live_end = live;
        db->live_end = &live->next;
        db->live_count++;
        pthread_mutex_unlock(&db->live_lock);
    }
}

/* Undoes what a failed round has reserved. */
static void roll_back(struct bc_round *round, bool logged)
{
    for (size_t i = 0; i < round->side_count; i++) {
        struct bc_partition *instance = round->sides[i].instance;

        instance->last_version = round->sides[i].last_version;
        /* An intent whose sync failed may still be there after a crash. Should the logs go on meanwhile, one of them
         * might be redone and the other not; so they take no more writes until the store is opened anew. */
        if (logged && round->sides[i].count > 0) atomic_store(&instance->poisoned, true);
    }
}

bc_status bc_round_commit(struct bc_round *round)
{
    bool logged = false, whole = false;
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < round->count && status == BITCASK_OK; i++) status = encode_inodes(round->changes[i]);
    if (status == BITCASK_OK) status = make_sides_ready(round);
    if (status == BITCASK_OK) status = add_to_sides(round);
    if (status == BITCASK_OK) status = get_memory(round);
    if (status == BITCASK_OK) status = write_intents(round, &logged);
    if (status == BITCASK_OK) status = append_sides(round, &whole);
    /* Else the intents are to stay until the next open. */
    if (status == BITCASK_OK && whole) add_live(round);
    if (status != BITCASK_OK) roll_back(round, logged);
    return status;
}
