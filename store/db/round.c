/* round.c - renames across partitions: redo intents, many of them with one sync.
 *
 * Across partitions two logs change, which reach the disk in any order. So the records of both sides are first
 * written, complete, to partition 1 (the intent), and that is synced; then they are appended to the two logs, unsynced.
 * After a crash whatever is missing there is appended again from the intent. A round does many renames with one
 * sync. From when their versions are reserved until they are appended the logs take nothing else: their write
 * locks are held, under the tree lock, which makes the order of taking them immaterial.
 */
#include "db/move.h"

#include <stdlib.h>
#include <string.h>

#define ROUND_BYTES (16u * 1024u * 1024u)

/* A partition that takes part in a round, and what is to be appended to it. */
struct side {
    struct bitcask_partition *node;
    struct bc_partition *instance;
    struct bc_write writes[2 * BC_ROUND_ITEMS];
    size_t count;
    uint64_t room;         /* reserved for them */
    uint64_t last_version; /* to be put back if the round fails */
};

struct bc_round {
    struct bitcask *db;
    struct bc_move moves[BC_ROUND_ITEMS];
    size_t count;
    struct side sides[3 * BC_ROUND_ITEMS];
    struct bc_partition *locked[3 * BC_ROUND_ITEMS]; /* the same, in the order of their ids */
    size_t side_count;
    uint64_t first_intent;
    struct bc_partition *inodes; /* pinned by the round */
};

static struct side *find_side(struct bc_round *round, struct bitcask_partition *node)
{
    for (size_t i = 0; i < round->side_count; i++)
        if (round->sides[i].node == node) return &round->sides[i];
    return NULL;
}

static bc_status add_side(struct bc_round *round, struct bitcask_partition *node, struct bc_partition **instance)
{
    struct side *side = find_side(round, node);
    bc_status status;

    if (!side) {
        side = &round->sides[round->side_count];
        side->node = node;
        side->count = 0;
        side->room = 0;
        status = bc_node_pin(node, &side->instance);
        if (status != BITCASK_OK) return status;
        round->side_count++;
    }
    *instance = side->instance;
    return BITCASK_OK;
}

/* What the logs hold unsynced of directory records and earlier rename batches must be durable before the intents are:
 * a redo on top of a log that lost an earlier rename would bring a file back under a second name, and one into a
 * directory whose own record is lost would lose the file. Ends with all write locks held. */
static bc_status presync_and_lock(struct bc_round *round)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < round->side_count && status == BITCASK_OK; i++)
        status = bc_node_sync_path(round->sides[i].node);
    for (size_t i = 0; i < round->side_count; i++) round->locked[i] = round->sides[i].instance;
    bc_moves_lock(round->locked, round->side_count);
    for (size_t i = 0; i < round->side_count && status == BITCASK_OK; i++) {
        struct bc_partition *instance = round->sides[i].instance;
        if (instance->directory_position > bc_partition_synced(instance)) status = bc_partition_sync_locked(instance);
        round->sides[i].last_version = instance->last_version;
    }
    return status;
}

/* Reserves room for the two records of a move. */
static bc_status reserve(struct bc_round *round, struct bc_move *move)
{
    struct bc_write *writes[2] = {&move->put, &move->removal};
    struct side *sides[2] = {find_side(round, move->item->to), find_side(round, move->item->from)};

    for (int i = 0; i < 2; i++) {
        uint64_t bound = bc_writes_bound(writes[i], 1);
        bc_status status = bc_partition_make_ready(sides[i]->instance, bound, false);

        if (status != BITCASK_OK) return status; /* what the first one reserved is given back with the round */
        sides[i]->instance->reserved += bound;
        sides[i]->room += bound;
    }
    return BITCASK_OK;
}

/* Gives the records of the round their versions, and adds them to their sides. Only now that all have room: a move that
 * fails half-way would leave one record to be appended without the other; and a rotation would state a version in the
 * new segment's header whose record is not in the log yet, so that a crash would keep it from being redone. */
static void add_to_sides(struct bc_round *round)
{
    for (size_t m = 0; m < round->count; m++) {
        struct bc_move *move = &round->moves[m];
        struct bc_write *writes[2] = {&move->put, &move->removal};
        struct side *sides[2] = {find_side(round, move->item->to), find_side(round, move->item->from)};

        for (int i = 0; i < 2; i++) {
            struct bc_partition *instance = sides[i]->instance;

            writes[i]->version = bc_partition_next_version(instance, &writes[i]->attrs);
            writes[i]->explicit_version = true;
            instance->last_version = writes[i]->version;
            sides[i]->writes[sides[i]->count++] = *writes[i];
        }
    }
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

/* Writes an intent for each move to partition 1 and syncs them, once for all. *logged: they may be on disk, even if
 * the sync failed. */
static bc_status write_intents(struct bc_round *round, bool *logged)
{
    struct bitcask *db = round->db;
    struct bc_buffer values[BC_ROUND_ITEMS] = {{0}};
    uint8_t keys[BC_ROUND_ITEMS][10];
    struct bc_write writes[BC_ROUND_ITEMS] = {{0}};
    struct bc_partition *inodes = round->inodes;
    bc_status status = BITCASK_OK;

    round->first_intent = db->next_intent_id;
    for (size_t i = 0; i < round->count && status == BITCASK_OK; i++) {
        struct bc_move *move = &round->moves[i];

        status = add_to_intent(&values[i], move->to->id, &move->put);
        if (status == BITCASK_OK) status = add_to_intent(&values[i], move->from->id, &move->removal);
        keys[i][0] = 0;
        keys[i][1] = BC_KEY_INTENT;
        bc_put_u64(keys[i] + 2, db->next_intent_id++);
        writes[i].key = keys[i];
        writes[i].key_size = sizeof keys[i];
        writes[i].value = values[i].data;
        writes[i].value_size = (uint32_t)values[i].size;
    }
    if (status == BITCASK_OK) {
        pthread_mutex_lock(&inodes->write_lock);
        status = bc_partition_append(inodes, writes, round->count, true, 0);
        *logged = status == BITCASK_OK;
        if (status == BITCASK_OK) status = bc_partition_sync_locked(inodes);
        pthread_mutex_unlock(&inodes->write_lock);
    }
    for (size_t i = 0; i < round->count; i++) bc_buffer_release(&values[i]);
    return status;
}

/* The records go to their logs. The intents are durable by now, so the moves are done, whatever happens here: a log
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
        status = bc_partition_append(side->instance, side->writes, side->count, true, side->room);
        if (status == BITCASK_OK) {
            side->room = 0;
            side->instance->directory_position = bc_partition_position(side->instance);
        } else {
            *whole = false;
            atomic_store(&side->instance->poisoned, true);
            bc_env_log(&round->db->env, BITCASK_LOG_ERROR,
                       "partition '%s': a rename could not be appended: %s; it takes no writes until reopened",
                       side->instance->label, bc_detail());
            status = bc_partition_redo_in_memory(side->instance, side->writes, side->count);
            /* No closing mark may claim the versions, or the next open would take them for done. */
            side->instance->last_version = side->last_version;
            if (first == BITCASK_OK) first = status;
        }
    }
    return first;
}

static bc_status add_live(struct bc_round *round)
{
    struct bitcask *db = round->db;

    for (size_t i = 0; i < round->count; i++) {
        struct bc_live_intent *live = calloc(1, sizeof *live);
        struct bitcask_partition *nodes[2] = {round->moves[i].item->to, round->moves[i].item->from};

        if (!live) return BITCASK_NO_MEMORY; /* it stays in partition 1 until the next open */
        live->intent_id = round->first_intent + i;
        for (int s = 0; s < 2; s++) {
            live->side[s].node = nodes[s];
            live->side[s].position = bc_partition_position(find_side(round, nodes[s])->instance);
            pthread_mutex_lock(&db->nodes_lock);
            nodes[s]->users++;
            live->side[s].instances = nodes[s]->instances;
            pthread_mutex_unlock(&db->nodes_lock);
        }
        pthread_mutex_lock(&db->live_lock);
        *db->live_end = live;
        db->live_end = &live->next;
        db->live_count++;
        pthread_mutex_unlock(&db->live_lock);
    }
    return BITCASK_OK;
}

/* Undoes what a failed round has reserved. */
static void roll_back(struct bc_round *round, bool logged)
{
    for (size_t i = 0; i < round->side_count; i++) {
        struct bc_partition *instance = round->sides[i].instance;

        instance->reserved -= round->sides[i].room;
        instance->last_version = round->sides[i].last_version;
        /* An intent whose sync failed may still be there after a crash. Should the logs go on meanwhile, one of them
         * might be redone and the other not; so they take no more writes until the store is opened anew. */
        if (logged && round->sides[i].count > 0) atomic_store(&instance->poisoned, true);
    }
    for (size_t i = 0; i < round->count; i++) bc_move_take_back(&round->moves[i]);
}

/* Pins all that takes part in the round. */
static bc_status gather_sides(struct bc_round *round, const bitcask_move_item *items, size_t count)
{
    bc_status status;

    for (size_t i = 0; i < count; i++) round->moves[i] = (struct bc_move){.item = &items[i]};
    round->inodes = NULL;
    /* Here, before any lock is taken: a pin may have to close another partition, which takes that one's locks. */
    status = bc_node_pin(round->db->inodes, &round->inodes);
    for (size_t i = 0; i < count && status == BITCASK_OK; i++) {
        struct bc_move *move = &round->moves[i];

        status = bc_move_find_replaced(move);
        if (status == BITCASK_OK) status = add_side(round, items[i].to, &move->to);
        if (status == BITCASK_OK) status = add_side(round, items[i].from, &move->from);
        if (status == BITCASK_OK && move->replaced) status = add_side(round, move->replaced, &move->replaced_instance);
    }
    return status;
}

static bool same_name(const struct bitcask_partition *a, const void *a_key, size_t a_size,
                      const struct bitcask_partition *b, const void *b_key, size_t b_size)
{
    return a == b && a_size == b_size && memcmp(a_key, b_key, a_size) == 0;
}

/* Whether a move of the round so far concerns a name of this item. */
static bool concerns(const struct bc_round *round, const bitcask_move_item *item)
{
    for (size_t i = 0; i < round->count; i++) {
        const bitcask_move_item *other = round->moves[i].item;

        if (same_name(item->from, item->from_key, item->from_key_size, other->from, other->from_key,
                      other->from_key_size) ||
            same_name(item->from, item->from_key, item->from_key_size, other->to, other->to_key, other->to_key_size) ||
            same_name(item->to, item->to_key, item->to_key_size, other->from, other->from_key, other->from_key_size) ||
            same_name(item->to, item->to_key, item->to_key_size, other->to, other->to_key, other->to_key_size))
            return true;
    }
    return false;
}

/* Whether one of the two names is a partition's. Its write locks are held. */
static bool moves_partition(const struct bc_move *move)
{
    const bitcask_move_item *item = move->item;
    struct bc_entry entry;

    return (bc_index_get(move->from->index, item->from_key, item->from_key_size, &entry) == BITCASK_OK &&
            (entry.flags & BC_ENTRY_PARTITION)) ||
           (bc_index_get(move->to->index, item->to_key, item->to_key_size, &entry) == BITCASK_OK &&
            (entry.flags & BC_ENTRY_PARTITION));
}

/* Prepares moves, from the first on, until one cannot be done: *stop is its status. What depends on an earlier move is
 * left to the next round, since index and tree show that one only when this round is over: a name of it, which would
 * else be moved twice or replaced unseen; and partitions, which must be found empty and make no loop. All write locks
 * are held. */
static void prepare_moves(struct bc_round *round, size_t count, bc_status *stop)
{
    uint64_t bytes = 0;
    bool alone = false;

    while (round->count < count && bytes < ROUND_BYTES && !alone) {
        struct bc_move *move = &round->moves[round->count];

        alone = moves_partition(move);
        if (round->count > 0 && (alone || concerns(round, move->item))) return;
        *stop = bc_move_prepare(move);
        if (*stop == BITCASK_OK) *stop = reserve(round, move);
        if (*stop != BITCASK_OK) {
            bc_move_take_back(move);
            return;
        }
        bytes += move->put.value_size + move->removal.value_size;
        round->count++;
    }
}

struct bc_round *bc_round_new(struct bitcask *db)
{
    struct bc_round *round = malloc(sizeof *round);

    if (round) round->db = db;
    return round;
}

bc_status bc_round_run(struct bc_round *round, const bitcask_move_item *items, size_t count, size_t *done)
{
    bool logged = false, whole = false;
    size_t moved = 0;
    bc_status status, stop = BITCASK_OK;

    round->count = 0;
    round->side_count = 0;
    status = gather_sides(round, items, count);
    if (status == BITCASK_OK) {
        status = presync_and_lock(round);
        if (status == BITCASK_OK) prepare_moves(round, count, &stop);
        if (status == BITCASK_OK && round->count > 0) {
            add_to_sides(round);
            status = write_intents(round, &logged);
            if (status == BITCASK_OK) status = append_sides(round, &whole);
            /* Else the intents are to stay until the next open. */
            if (status == BITCASK_OK && whole) (void)add_live(round);
        }
        if (status != BITCASK_OK)
            roll_back(round, logged);
        else
            for (size_t i = 0; i < round->side_count; i++) round->sides[i].instance->reserved -= round->sides[i].room;
        bc_moves_unlock(round->locked, round->side_count);
    }
    if (round->inodes) bc_node_unpin(round->db->inodes);
    for (size_t i = 0; i < round->side_count; i++) bc_node_unpin(round->sides[i].node);
    /* Those that were not done first: they may have pinned the partition that one that was done replaces, and
     * bc_move_update_tree() waits for all its pins. */
    if (status == BITCASK_OK) moved = round->count;
    for (size_t i = moved; i < count; i++) bc_move_release(&round->moves[i]);
    for (size_t i = 0; i < moved; i++) {
        bc_move_update_tree(&round->moves[i]);
        bc_move_release(&round->moves[i]);
    }
    *done += moved;
    return status != BITCASK_OK ? status : stop;
}
