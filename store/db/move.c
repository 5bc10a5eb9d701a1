/* move.c - renames: what is checked and written for each, and those within a partition, which are one batch.
 *
 * Those across partitions, and those over a name of an inode, are handed to rounds (move_round.c), as many at a time as
 * follow one another.
 */
#include "db/move.h"

#include <stdlib.h>
#include <string.h>

#include "partition/derived_ino.h"

/* The record of value under a new name: times and inode number stay what they were. */
static void write_under_new_name(const struct bc_value *value, const struct bc_partition *old, const void *key,
                                 size_t key_size, const bitcask_attrs *attrs, struct bc_write *write)
{
    bc_write_from_value(value, write);
    write->key = key;
    write->key_size = key_size;
    /* A link has none of its own: those of its inode stay what they are, or change with it. */
    if (write->flags & BC_RECORD_LINK) return;
    if (!(write->flags & BC_RECORD_PARTITION) && !(write->attrs.present & BITCASK_ATTR_INO)) {
        write->attrs.ino = bc_derived_ino(old->id, value->key, value->key_size);
        write->attrs.present |= BITCASK_ATTR_INO;
    }
    if (attrs) bc_attrs_merge(&write->attrs, attrs);
}

bc_status bc_move_find_replaced(struct bc_move *move)
{
    const bitcask_move_item *item = move->item;
    struct bitcask *db = item->to->db;
    struct bitcask_partition *node = NULL;
    struct bc_partition *instance;
    struct bc_entry entry;
    bc_status status = bc_node_pin(item->to, &instance);

    if (status != BITCASK_OK) return status;
    status = bc_partition_find(instance, item->to_key, item->to_key_size, &entry);
    bc_node_unpin(item->to);
    if (status != BITCASK_OK || !(entry.flags & BC_ENTRY_PARTITION) || (item->flags & BITCASK_EXCHANGE)) return BITCASK_OK;
    status = bc_node_get(db, entry.child_id, item->to, item->to_key, item->to_key_size, &node);
    if (status == BITCASK_OK) status = bc_intents_finish(node);
    if (status == BITCASK_OK) status = bc_tree_note_session(db);
    if (status == BITCASK_OK) status = bc_node_pin(node, &move->replaced_instance);
    if (status == BITCASK_OK) move->replaced = node;
    else bc_node_unref(&node);
    return status;
}

/* A partition that is to vanish under the moved one must be empty, and not the one that is moved from. */
static bc_status check_replaced(struct bc_move *move)
{
    bc_status status;

    if (bc_node_is_below(move->item->from, move->replaced)) return BITCASK_NOT_EMPTY;
    status = bc_partition_check_empty(move->replaced_instance);
    if (status != BITCASK_OK) return status;
    move->replacing = true;
    move->replaced_instance->dropped = true; /* no writes from here on; see bc_move_take_back() */
    return BITCASK_OK;
}

/* Of a partition that is moved from `node` under `old` to `into` under `key`: no loop may come of it, and the memory
 * for its new name is got now, since the tree must follow the records: syncs and checks go by it. */
static bc_status prepare_node(struct bc_moved_node *moved, const struct bc_entry *entry, struct bitcask_partition *node,
                              const void *old, size_t old_size, struct bitcask_partition *into, const void *key,
                              size_t key_size)
{
    bc_status status;

    if (!(entry->flags & BC_ENTRY_PARTITION)) return BITCASK_OK;
    status = bc_node_get(into->db, entry->child_id, node, old, old_size, &moved->node);
    if (status != BITCASK_OK) return status;
    if (bc_node_is_below(into, moved->node)) return bc_fail(BITCASK_LOOP, "a partition cannot be moved into itself");
    moved->name = malloc(key_size + 1);
    if (!moved->name) return BITCASK_NO_MEMORY;
    memcpy(moved->name, key, key_size);
    moved->name[key_size] = '\0';
    moved->name_size = key_size;
    return BITCASK_OK;
}

bc_status bc_move_prepare(struct bc_move *move)
{
    const bitcask_move_item *item = move->item;
    bool exchange = item->flags & BITCASK_EXCHANGE, partition;
    struct bc_entry target;
    bc_status status = bc_partition_writable(move->from);
    bool there;

    if (status == BITCASK_OK) status = bc_partition_writable(move->to);
    if (status == BITCASK_OK) status = bc_partition_pin(move->from, item->from_key, item->from_key_size, &move->source);
    if (status != BITCASK_OK) return status;
    partition = move->source->entry.flags & BC_ENTRY_PARTITION;
    there = bc_index_get(move->to->index, item->to_key, item->to_key_size, &target) == BITCASK_OK;
    if (there && (item->flags & BITCASK_NOREPLACE)) return BITCASK_EXISTS;
    if (!there && exchange) return BITCASK_NOT_FOUND;
    if (there && (target.flags & BC_ENTRY_LINK)) {
        move->same = (move->source->entry.flags & BC_ENTRY_LINK) && target.child_id == move->source->entry.child_id;
        if (move->same) return BITCASK_OK;
        if (!exchange) move->replaced_ino = target.child_id;
    }
    status = prepare_node(&move->moved[0], &move->source->entry, item->from, item->from_key, item->from_key_size,
                          item->to, item->to_key, item->to_key_size);
    if (status == BITCASK_OK && exchange)
        status = prepare_node(&move->moved[1], &target, item->to, item->to_key, item->to_key_size, item->from,
                              item->from_key, item->from_key_size);
    if (status == BITCASK_OK && there && !exchange) {
        if (!partition && (target.flags & BC_ENTRY_PARTITION)) status = BITCASK_IS_PARTITION;
        else if (partition && !(target.flags & BC_ENTRY_PARTITION)) status = BITCASK_NOT_PARTITION;
        else if (partition) status = check_replaced(move);
    }
    if (status == BITCASK_OK) status = bc_value_load(move->source);
    if (status == BITCASK_OK && exchange) {
        status = bc_partition_pin(move->to, item->to_key, item->to_key_size, &move->target);
        if (status == BITCASK_OK) status = bc_value_load(move->target);
    }
    if (status != BITCASK_OK) return status;
    write_under_new_name(move->source, move->from, item->to_key, item->to_key_size, exchange ? NULL : item->attrs,
                         &move->put);
    if (exchange)
        write_under_new_name(move->target, move->to, item->from_key, item->from_key_size, NULL, &move->removal);
    else
        move->removal = (struct bc_write){
            .key = item->from_key, .key_size = item->from_key_size, .flags = BC_RECORD_TOMBSTONE};
    return BITCASK_OK;
}

void bc_move_take_back(struct bc_move *move)
{
    if (move->replacing) move->replaced_instance->dropped = false;
    move->replacing = false;
}

void bc_move_update_tree(struct bc_move *move)
{
    const bitcask_move_item *item = move->item;

    /* The file's attributes stand in its inode. The move stands, whatever becomes of them. */
    if ((move->source->entry.flags & BC_ENTRY_LINK) && item->attrs && !move->same && !(item->flags & BITCASK_EXCHANGE))
        (void)bc_link_set_attrs(item->to, item->to_key, item->to_key_size, item->attrs, 0, NULL);
    if (move->replacing) {
        bc_node_drop(move->replaced);
        (void)bc_tree_forget_files(item->to, move->replaced->id);
        bc_node_unref(&move->replaced);
    }
    for (size_t i = 0; i < 2; i++) {
        struct bc_moved_node *moved = &move->moved[i];

        if (!moved->node) continue;
        bc_node_move(moved->node, i == 0 ? item->to : item->from, moved->name, moved->name_size);
        moved->name = NULL;
    }
}

void bc_move_release(struct bc_move *move)
{
    if (move->replaced) bc_node_unpin(move->replaced);
    bc_node_unref(&move->replaced);
    for (size_t i = 0; i < 2; i++) {
        bc_node_unref(&move->moved[i].node);
        free(move->moved[i].name);
    }
    bc_value_close(&move->source);
    bc_value_close(&move->target);
    bc_change_release(&move->change);
}

/* ---- locks ---- */

static int by_id(const void *a, const void *b)
{
    const struct bc_partition *x = *(struct bc_partition *const *)a, *y = *(struct bc_partition *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

void bc_moves_lock(struct bc_partition **instances, size_t count)
{
    qsort(instances, count, sizeof(struct bc_partition *), by_id);
    for (size_t i = 0; i < count; i++) bc_fair_lock(&instances[i]->write_lock);
}

void bc_moves_unlock(struct bc_partition **instances, size_t count)
{
    for (size_t i = count; i > 0; i--) bc_fair_unlock(&instances[i - 1]->write_lock);
}

/* ---- within a partition ---- */

static bool names_itself(const bitcask_move_item *item)
{
    return item->from_key_size == item->to_key_size && memcmp(item->from_key, item->to_key, item->to_key_size) == 0;
}

/* A name moved onto itself: nothing to do, if it is there. */
static bc_status check_itself(const struct bc_move *move)
{
    bc_status status = bc_index_get(move->from->index, move->item->from_key, move->item->from_key_size, NULL);

    return status == BITCASK_OK && (move->item->flags & BITCASK_NOREPLACE) ? BITCASK_EXISTS : status;
}

/* *round: it touches an inode as well, and must be done in a round. */
static bc_status move_within(const bitcask_move_item *item, bool *round)
{
    struct bc_move move = {.item = item};
    struct bc_partition *locked[2];
    struct bc_write writes[2];
    bool itself = names_itself(item);
    bc_status status = itself ? BITCASK_OK : bc_move_find_replaced(&move);

    if (status == BITCASK_OK) status = bc_node_pin(item->from, &move.from);
    if (status != BITCASK_OK) {
        bc_move_release(&move);
        return status;
    }
    move.to = move.from;
    locked[0] = move.from;
    locked[1] = move.replaced_instance;
    bc_moves_lock(locked, move.replaced ? 2 : 1);
    status = itself ? check_itself(&move) : bc_move_prepare(&move);
    *round = status == BITCASK_OK && move.replaced_ino != 0;
    if (status == BITCASK_OK && !itself && !move.same && !*round) {
        writes[0] = move.put;
        writes[1] = move.removal;
        status = bc_partition_append(move.from, writes, 2, false, 0);
        if (status == BITCASK_OK) move.from->directory_position = bc_partition_position(move.from);
    }
    if (status != BITCASK_OK || *round) bc_move_take_back(&move);
    bc_moves_unlock(locked, move.replaced ? 2 : 1);
    bc_node_unpin(item->from);
    if (status == BITCASK_OK && !itself && !*round) bc_move_update_tree(&move);
    bc_move_release(&move);
    return status;
}

/* ---- all of them ---- */

bc_status bc_db_move(struct bitcask *db, const bitcask_move_item *items, size_t count, size_t *done)
{
    size_t at = 0;
    bc_status status = BITCASK_OK;

    if (db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    bc_names_lock(db);
    while (at < count && status == BITCASK_OK) {
        size_t across = 0, before = at;
        bool round = false;

        if (!bc_move_is_for_round(&items[at])) {
            status = move_within(&items[at], &round);
            if (round) status = bc_moves_round(db, &items[at], 1, &at);
            else if (status == BITCASK_OK) at++;
            continue;
        }
        while (at + across < count && bc_move_is_for_round(&items[at + across])) across++;
        /* On a full disk there may be room for a few where there is none for all. */
        do {
            status = bc_moves_round(db, &items[at], across, &at);
            across /= 4;
        } while (bc_is_full(status) && at == before && across > 0);
    }
    bc_names_unlock(db);
    if (done) *done = at;
    if (status == BITCASK_OK) bc_intents_limit(db);
    if (status == BITCASK_OK && db->sync == BITCASK_SYNC_ALWAYS)
        for (size_t i = 0; i < count && status == BITCASK_OK; i++) {
            if (!(items[i].flags & BITCASK_REMOVE)) status = bc_node_sync(items[i].to);
            if (status == BITCASK_OK) status = bc_node_sync(items[i].from);
        }
    return status;
}
