/* change.c - puts and deletions that concern inodes.
 *
 * What is large is written first, as extents that nobody maps yet. Then, under the locks of the directory and of
 * partition 1, each operation is looked at: does its name lead to an inode, shall it lead to one, or not any more? If
 * only records of one log come of that, they are appended as one batch. Else it is a change of two logs, and a round
 * does it.
 */
#include <stdlib.h>
#include <string.h>

#include "db/round.h"
#include "partition/derived_ino.h"

struct names {
    struct bitcask_partition *node;
    struct bc_name_op *ops;
    size_t count;
    const bitcask_write_options *options; /* or NULL */
    struct bc_partition *inodes;          /* pinned */
    uint64_t taken;                       /* of the partition's reserved room, given to partition 1, */
    uint64_t room;                        /* where so much of it is left */
    uint64_t promise;                     /* of that room, what stands for the records here: while the lock is held */
    struct part {
        struct bc_content content; /* of a put */
        uint8_t number[8];         /* the value of its link */
        size_t write, inode;       /* its place in the change, plus 1 */
        bool superseded;           /* a later operation has the same name */
        bool anew;                 /* a put behind a deletion: a new file, whatever the name led to */
    } * parts;
    struct bc_change change;
};

bc_status bc_files_number(const void *key, size_t key_size, uint64_t *ino)
{
    *ino = 0;
    for (size_t i = 0; i < key_size; i++) {
        char digit = ((const char *)key)[i];

        if (!(digit >= '0' && digit <= '9') && !(digit >= 'a' && digit <= 'f')) return BITCASK_NOT_FOUND;
        *ino = *ino << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return key_size == 16 ? BITCASK_OK : BITCASK_NOT_FOUND;
}

bc_status bc_check_conditions(bool present, bool partition, uint64_t version, const bitcask_write_options *options)
{
    if (options && (options->flags & BITCASK_IF_ABSENT) && present) return BITCASK_EXISTS;
    if (present && partition) return BITCASK_IS_PARTITION;
    if (options && (options->flags & BITCASK_IF_VERSION) && (!present || version != options->if_version))
        return BITCASK_VERSION_MISMATCH;
    return BITCASK_OK;
}

/* ---- before the locks ---- */

static bool is_deletion(const struct bc_name_op *op)
{
    return op->write->flags & BC_RECORD_TOMBSTONE;
}

/* Whether the bytes of a put are still to be written. */
static bool has_value(const struct bc_name_op *op)
{
    return !is_deletion(op) && !op->content;
}

/* The locks of the directory and of partition 1, which are one where the names are numbers of files. */
static void lock_both(const struct names *names, struct bc_partition *instance)
{
    bc_fair_lock(&instance->write_lock);
    if (instance != names->inodes) bc_fair_lock(&names->inodes->write_lock);
}

static void unlock_both(const struct names *names, struct bc_partition *instance)
{
    if (instance != names->inodes) bc_fair_unlock(&names->inodes->write_lock);
    bc_fair_unlock(&instance->write_lock);
}

/* Of operations on one name the last one counts; a deletion among the others parts it from what was there. */
static bc_status find_superseded(struct names *names)
{
    struct bc_index *seen = NULL;
    bc_status status = BITCASK_OK;

    if (names->count > 1) status = bc_index_open(0, &seen);
    for (size_t i = names->count; seen && i-- > 0 && status == BITCASK_OK;) {
        const struct bc_write *write = names->ops[i].write;
        struct bc_entry entry = {.version = i}, last;

        names->parts[i].superseded = bc_index_get(seen, write->key, write->key_size, &last) == BITCASK_OK;
        if (!names->parts[i].superseded)
            status = bc_index_put(seen, write->key, write->key_size, &entry, NULL, NULL);
        else if (is_deletion(&names->ops[i]))
            names->parts[last.version].anew = true;
    }
    bc_index_close(&seen);
    return status;
}

/* Bytes of the log of partition 1 that the extents of a value take. */
static uint64_t extents_bound(const struct bitcask *db, uint64_t size)
{
    const struct bc_write extent = {.key_size = BC_EXTENT_KEY_SIZE};

    return size <= db->inline_max ? 0 : size + ((size >> db->extent_shift) + 1) * bc_writes_bound(&extent, 1);
}

/* What was reserved in the partition is for extents that go to partition 1: the room follows. */
static bc_status move_room(struct names *names)
{
    uint64_t reserved = names->options ? names->options->reserved : 0, bound = 0;
    struct bc_partition *instance;
    bc_status status;

    for (size_t i = 0; i < names->count; i++)
        if (has_value(&names->ops[i])) bound += extents_bound(names->node->db, names->ops[i].value_size);
    if (reserved == 0 || bound == 0) return BITCASK_OK;
    if (bc_is_files(names->node)) {
        names->taken = names->room = reserved < bound ? reserved : bound;
        return BITCASK_OK;
    }
    status = bc_node_pin(names->node, &instance);
    if (status != BITCASK_OK) return status;
    bc_fair_lock(&instance->write_lock);
    bc_fair_lock(&names->inodes->write_lock);
    names->taken = names->count == 1 || reserved < bound ? reserved : bound;
    if (names->taken > instance->reserved) names->taken = instance->reserved;
    instance->reserved -= names->taken;
    if (instance->active) status = bc_partition_give_room(instance);
    if (status == BITCASK_OK) status = bc_partition_writable(names->inodes);
    if (status == BITCASK_OK) status = bc_partition_make_ready(names->inodes, bound, true); /* it was promised */
    if (status == BITCASK_OK) names->inodes->reserved += names->room = bound;
    bc_fair_unlock(&names->inodes->write_lock);
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(names->node);
    return status;
}

static void give_up_room(struct names *names)
{
    bc_fair_lock(&names->inodes->write_lock);
    names->inodes->reserved -= names->room;
    names->room = 0;
    bc_fair_unlock(&names->inodes->write_lock);
}

/* After a failure: what was reserved in the partition is so again, as far as there still is room. */
static void give_room_back(struct names *names)
{
    struct bc_partition *instance;

    if (names->taken == 0 || bc_node_pin(names->node, &instance) != BITCASK_OK) return;
    bc_fair_lock(&instance->write_lock);
    if (instance->active) (void)bc_partition_make_room(instance, names->taken, true);
    instance->reserved += names->taken;
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(names->node);
}

/* What is reserved in the partition for these writes is free for them, while its lock is held: the room is there, and
 * nobody else comes by. Given back after a failure, else it is used up. */
static void take_promise(struct names *names, struct bc_partition *instance)
{
    uint64_t reserved = names->options && !bc_is_files(names->node) ? names->options->reserved - names->taken : 0;

    names->promise = reserved < instance->reserved ? reserved : instance->reserved;
    instance->reserved -= names->promise;
}

static void return_promise(struct names *names, struct bc_partition *instance)
{
    if (names->promise > 0) instance->reserved += names->promise; /* else nothing was taken, maybe not even the lock */
    names->promise = 0;
}

/* Whether the records that are planned for the partition were promised, all of them. */
static bool is_promised(const struct names *names)
{
    uint64_t bound = 0;
    for (size_t i = 0; i < names->change.write_count; i++) bound += bc_writes_bound(&names->change.writes[i].write, 1);
    return names->promise > 0 && names->promise >= bound;
}

static bc_status write_contents(struct names *names)
{
    bc_status status = move_room(names);

    for (size_t i = 0; i < names->count && status == BITCASK_OK; i++) {
        const struct bc_name_op *op = &names->ops[i];

        if (has_value(op) && !names->parts[i].superseded)
            status = bc_content_write(names->node->db, names->inodes, op->value, op->value_size, &names->room,
                                      &names->parts[i].content);
    }
    give_up_room(names);
    return status;
}

/* ---- under the locks ---- */

/* What a writer builds on must still be mapped: else it has been given up, or will be. */
static bool has_map(const struct bc_inode *inode, const struct bc_content *based)
{
    if (inode->fresh || inode->old.run_count != based->run_count) return false;
    for (size_t i = 0; i < based->run_count; i++) {
        const struct bc_run run = bc_inode_run(&inode->old, i);

        if (run.first != based->runs[i].first || run.count != based->runs[i].count ||
            run.value_id != based->runs[i].value_id)
            return false;
    }
    return true;
}

static bc_status plan_put(struct names *names, size_t i, struct bc_inode *inode)
{
    struct part *part = &names->parts[i];
    struct bc_write write = *names->ops[i].write;
    const struct bc_content *based = names->ops[i].based;
    bc_status status = BITCASK_OK;
    bool is_new = !inode && part->content.extent_shift > 0;

    if (based && based->run_count > 0 && (!inode || !has_map(inode, based)))
        return bc_fail(BITCASK_VERSION_MISMATCH, "the value was replaced by somebody else; open it anew");
    if (is_new) status = bc_change_new_inode(&names->change, names->node->db, names->inodes, &inode);
    if (status != BITCASK_OK) return status;
    if (inode) {
        bc_inode_set_content(inode, &part->content, &write.attrs);
        part->inode = (size_t)(inode - names->change.inodes) + 1;
        names->ops[i].ino = inode->ino;
    }
    if (inode && !is_new) return BITCASK_OK;
    if (is_new) {
        bc_put_u64(part->number, inode->ino);
        write = (struct bc_write){.key = write.key,
                                  .key_size = write.key_size,
                                  .flags = BC_RECORD_LINK,
                                  .value = part->number,
                                  .value_size = sizeof part->number};
    }
    status = bc_change_add(&names->change, names->node, &write);
    part->write = names->change.write_count;
    return status;
}

static bc_status plan_deletion(struct names *names, size_t i, struct bc_inode *inode)
{
    bc_status status;

    if (inode && inode->links > 0) inode->links--;
    status = bc_change_add(&names->change, names->node, names->ops[i].write);
    names->parts[i].write = names->change.write_count;
    return status;
}

/* A put to a file by its number. */
static bc_status plan_file(struct names *names, size_t i)
{
    const struct bc_name_op *op = &names->ops[i];
    struct bc_inode *inode = NULL;
    uint64_t ino;
    bc_status status = bc_files_number(op->write->key, op->write->key_size, &ino);

    if (is_deletion(op)) return bc_fail(BITCASK_BAD_ARGUMENT, "files are deleted by their names");
    if (status == BITCASK_OK) status = bc_change_inode(&names->change, names->inodes, ino, &inode);
    if (status == BITCASK_OK)
        status = bc_check_conditions(true, false, inode->record ? inode->record->entry.version : 0, names->options);
    return status == BITCASK_OK ? plan_put(names, i, inode) : status;
}

static bc_status plan_one(struct names *names, const struct bc_partition *instance, size_t i)
{
    const struct bc_name_op *op = &names->ops[i];
    struct bc_inode *inode = NULL;
    struct bc_entry entry = {0};
    uint64_t version;
    bool there;
    bc_status status;

    names->parts[i].write = names->parts[i].inode = 0;
    names->ops[i].ino = 0;
    if (names->parts[i].superseded) return BITCASK_OK;
    if (bc_is_files(names->node)) return plan_file(names, i);
    there = bc_index_get(instance->index, op->write->key, op->write->key_size, &entry) == BITCASK_OK;
    version = entry.version;
    if (there && (entry.flags & BC_ENTRY_LINK)) {
        status = bc_change_inode(&names->change, names->inodes, entry.child_id, &inode);
        if (status == BITCASK_NOT_FOUND)
            inode = NULL; /* damage; it goes with what takes its place */
        else if (status != BITCASK_OK)
            return status;
        if (inode && names->parts[i].anew && !is_deletion(op)) {
            if (inode->links > 0) inode->links--;
            inode = NULL;
        }
        if (inode && inode->record) version = inode->record->entry.version;
    }
    if (!there && is_deletion(op)) return names->count == 1 ? BITCASK_NOT_FOUND : BITCASK_OK;
    status = bc_check_conditions(there, entry.flags & BC_ENTRY_PARTITION, version, names->options);
    if (status != BITCASK_OK) return status;
    return is_deletion(op) ? plan_deletion(names, i, inode) : plan_put(names, i, inode);
}

static bc_status plan(struct names *names, const struct bc_partition *instance)
{
    bc_status status = bc_partition_writable(instance);

    if (status == BITCASK_OK) status = bc_partition_writable(names->inodes);
    for (size_t i = 0; i < names->count && status == BITCASK_OK; i++) status = plan_one(names, instance, i);
    return status;
}

/* Appends inodes alone. */
static bc_status append_inodes(struct names *names)
{
    struct bc_change *change = &names->change;
    struct bc_partition *inodes = names->inodes;
    uint64_t reserved = bc_is_files(names->node) && names->options ? names->options->reserved - names->taken : 0;
    bc_status status = BITCASK_OK;

    change->inode_writes = calloc(change->inode_count, sizeof *change->inode_writes);
    if (!change->inode_writes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < change->inode_count && status == BITCASK_OK; i++)
        status = bc_inode_encode(&change->inodes[i], &change->inode_writes[i]);
    change->inode_writes[0].is_due = names->promise > 0;
    if (status == BITCASK_OK)
        status = bc_partition_append(inodes, change->inode_writes, change->inode_count, false, reserved);
    if (status != BITCASK_OK) return status;
    atomic_store(&names->node->db->inode_position, bc_partition_position(inodes));
    for (size_t i = 0; i < change->inode_count; i++) bc_inode_done(names->node->db, inodes, &change->inodes[i]);
    return BITCASK_OK;
}

/* Appends records of the directory alone. */
static bc_status append_records(struct names *names, struct bc_partition *instance)
{
    struct bc_change *change = &names->change;
    struct bc_write *writes = calloc(change->write_count + 1, sizeof *writes);
    bc_status status;

    if (!writes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < change->write_count; i++) writes[i] = change->writes[i].write;
    writes[0].is_due = is_promised(names); /* there is room for one more than there are */
    status = bc_partition_append(instance, writes, change->write_count, false, 0);
    for (size_t i = 0; i < change->write_count; i++) change->writes[i].write.version = writes[i].version;
    free(writes);
    return status;
}

/* Whatever a sync will say: it shows. */
static void mark_done(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) names->ops[i].done = !names->parts[i].superseded;
}

/* The versions of what succeeded. */
static void done(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct part *part = &names->parts[i];

        names->ops[i].version = part->inode > 0   ? names->change.inode_writes[part->inode - 1].version
                                : part->write > 0 ? names->change.writes[part->write - 1].write.version
                                                  : 0;
    }
}

/* One log alone, if that is what it comes to; else *round. */
static bc_status try_one_log(struct names *names, bool *round)
{
    struct bc_partition *instance;
    uint64_t position = 0;
    unsigned flags = names->options ? names->options->flags : 0;
    bool inodes_alone = false;
    bc_status status = bc_node_pin(names->node, &instance);

    if (status != BITCASK_OK) return status;
    lock_both(names, instance);
    take_promise(names, instance);
    status = plan(names, instance);
    *round = status == BITCASK_OK && names->change.inode_count > 0 && names->change.write_count > 0;
    inodes_alone = names->change.inode_count > 0;
    if (status == BITCASK_OK && !*round) status = inodes_alone ? append_inodes(names) : append_records(names, instance);
    if (status == BITCASK_OK && !*round) mark_done(names);
    if (status == BITCASK_OK && !*round) done(names);
    if (status != BITCASK_OK || *round) return_promise(names, instance);
    position = bc_partition_position(instance);
    bc_change_release(&names->change);
    unlock_both(names, instance);
    if (status == BITCASK_OK && !*round && !inodes_alone)
        return bc_node_end_append(names->node, instance, position, flags);
    bc_node_unpin(names->node);
    return status == BITCASK_OK && !*round ? bc_node_end_write(names->node, flags) : status;
}

static bc_status do_round(struct names *names)
{
    struct bitcask *db = names->node->db;
    struct bc_round *round = NULL;
    struct bc_partition *instance = NULL;
    bc_status status;

    bc_names_lock(db);
    status = bc_round_open(db, &round);
    if (status == BITCASK_OK) status = bc_round_add_side(round, names->node, &instance);
    if (status == BITCASK_OK) status = bc_round_lock(round);
    if (status == BITCASK_OK) take_promise(names, instance);
    if (status == BITCASK_OK) status = plan(names, instance);
    names->change.is_due = is_promised(names);
    /* One log alone may be enough by now: an intent does no harm. */
    if (status == BITCASK_OK) status = bc_round_take(round, &names->change);
    if (status == BITCASK_OK) status = bc_round_commit(round);
    if (names->change.done) mark_done(names);
    if (status == BITCASK_OK) done(names);
    if (status != BITCASK_OK) return_promise(names, instance);
    bc_round_end(&round);
    bc_names_unlock(db);
    bc_change_release(&names->change);
    /* With the intent it is durable, whatever flags say. */
    if (status == BITCASK_OK) bc_intents_limit(db);
    return status;
}

bc_status bc_names_change(struct bitcask_partition *node, struct bc_name_op *ops, size_t count,
                          const bitcask_write_options *options)
{
    struct bitcask *db = node->db;
    struct names names = {.node = node, .ops = ops, .count = count, .options = options};
    bool round = false;
    bc_status status;

    if (db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    names.parts = calloc(count + 1, sizeof *names.parts);
    status = names.parts ? bc_node_pin(db->inodes, &names.inodes) : BITCASK_NO_MEMORY;
    if (status != BITCASK_OK) {
        for (size_t i = 0; i < count; i++)
            if (ops[i].content) free(ops[i].content->runs);
        free(names.parts);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        ops[i].done = false;
        if (ops[i].content) names.parts[i].content = *ops[i].content;
    }
    status = find_superseded(&names);
    if (status == BITCASK_OK) status = write_contents(&names);
    if (status == BITCASK_OK) status = try_one_log(&names, &round);
    if (status == BITCASK_OK && round) status = do_round(&names);
    for (size_t i = 0; i < count; i++) bc_content_release(names.inodes, &names.parts[i].content);
    if (status != BITCASK_OK) give_room_back(&names);
    bc_node_unpin(db->inodes);
    free(names.parts);
    return status;
}

/* ---- links ---- */

bc_status bc_no_inode(const struct bc_partition *instance, uint64_t ino)
{
    return bc_fail(BITCASK_CORRUPT,
                   "partition '%s': a name leads to inode %016llx, which is not there; verify the store",
                   instance->label, (unsigned long long)ino);
}

/* A link was found whose inode was not there. OK: look again; NOT_FOUND, for a reader, who may see the two as of
 * different moments; CORRUPT: it is damage. */
static bc_status settle(struct bitcask_partition *node, const void *key, size_t key_size, uint64_t ino)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance, *inodes;
    uint8_t inode_key[BC_INODE_KEY_SIZE];
    struct bc_entry entry;
    bc_status status;

    if (db->env.read_only) return BITCASK_NOT_FOUND;
    status = bc_node_pin(db->inodes, &inodes);
    if (status != BITCASK_OK) return status;
    status = bc_node_pin(node, &instance);
    if (status == BITCASK_OK) {
        /* Who takes an inode away holds this lock until the name has gone too. */
        bc_fair_lock(&instance->write_lock);
        bc_inode_key(ino, inode_key);
        if (bc_index_get(instance->index, key, key_size, &entry) == BITCASK_OK && (entry.flags & BC_ENTRY_LINK) &&
            entry.child_id == ino &&
            bc_index_get(inodes->index, inode_key, sizeof inode_key, NULL) == BITCASK_NOT_FOUND)
            status = bc_no_inode(instance, ino);
        bc_fair_unlock(&instance->write_lock);
        bc_node_unpin(node);
    }
    bc_node_unpin(db->inodes);
    return status;
}

bc_status bc_node_pin_value(struct bitcask_partition *node, const void *key, size_t key_size, struct bc_value **out)
{
    if (bc_is_files(node)) {
        uint64_t number;
        bc_status status = bc_files_number(key, key_size, &number);

        return status == BITCASK_OK ? bc_inode_pin(node->db, number, out) : status;
    }
    for (;;) {
        struct bc_partition *instance;
        struct bc_value *value = NULL;
        uint64_t ino;
        bc_status status = bc_node_pin_reading(node, &instance);

        if (status != BITCASK_OK) return status;
        status = bc_partition_pin(instance, key, key_size, &value);
        bc_node_unpin(node);
        if (status == BITCASK_OK && !(value->entry.flags & (BC_ENTRY_PARTITION | BC_ENTRY_LINK))) {
            *out = value;
            return status;
        }
        if (status != BITCASK_OK) return status;
        ino = value->entry.child_id;
        if (value->entry.flags & BC_ENTRY_PARTITION) status = BITCASK_IS_PARTITION;
        bc_value_close(&value);
        if (status == BITCASK_OK) status = bc_inode_pin(node->db, ino, out);
        if (status != BITCASK_NOT_FOUND) return status;
        status = settle(node, key, key_size, ino);
        if (status != BITCASK_OK) return status;
    }
}

bc_status bc_node_stat(struct bitcask_partition *node, const void *key, size_t key_size, bitcask_entry *out)
{
    if (bc_is_files(node)) {
        uint64_t number;
        bc_status status = bc_files_number(key, key_size, &number);

        return status == BITCASK_OK ? bc_inode_stat(node->db, number, key, key_size, out) : status;
    }
    for (;;) {
        struct bc_partition *instance;
        struct bc_entry entry;
        bc_status status = bc_node_pin_reading(node, &instance);

        if (status != BITCASK_OK) return status;
        status = bc_partition_find(instance, key, key_size, &entry);
        bc_node_unpin(node);
        if (status != BITCASK_OK) return status;
        if (!(entry.flags & BC_ENTRY_LINK)) {
            bc_entry_to_public(node->id, &entry, key, key_size, out);
            return BITCASK_OK;
        }
        status = bc_inode_stat(node->db, entry.child_id, key, key_size, out);
        if (status != BITCASK_NOT_FOUND) return status;
        status = settle(node, key, key_size, entry.child_id);
        if (status != BITCASK_OK) return status;
    }
}

/* The inode that a name leads to. */
static bc_status find_link(struct bitcask_partition *node, const struct bc_partition *instance, const void *key,
                           size_t key_size, uint64_t *ino)
{
    struct bc_entry entry;
    bc_status status;

    if (bc_is_files(node)) return bc_files_number(key, key_size, ino);
    status = bc_index_get(instance->index, key, key_size, &entry);
    if (status != BITCASK_OK) return status;
    if (!(entry.flags & BC_ENTRY_LINK)) return BITCASK_NOT_FOUND; /* replaced meanwhile */
    *ino = entry.child_id;
    return BITCASK_OK;
}

bc_status bc_link_set_attrs(struct bitcask_partition *node, const void *key, size_t key_size,
                            const bitcask_attrs *attrs, unsigned flags, uint64_t *version)
{
    struct bitcask *db = node->db;
    struct bc_partition *instance = NULL, *inodes;
    struct bc_inode inode = {0};
    uint64_t ino = 0;
    bc_status status = bc_node_pin(db->inodes, &inodes);

    if (status != BITCASK_OK) return status;
    status = bc_node_pin(node, &instance);
    if (status != BITCASK_OK) {
        bc_node_unpin(db->inodes);
        return status;
    }
    bc_fair_lock(&instance->write_lock);
    if (instance != inodes) bc_fair_lock(&inodes->write_lock);
    status = find_link(node, instance, key, key_size, &ino);
    if (status == BITCASK_OK) status = bc_inode_load(inodes, ino, &inode);
    if (status == BITCASK_NOT_FOUND && ino != 0 && instance != inodes) status = bc_no_inode(instance, ino);
    if (status == BITCASK_OK) {
        bc_attrs_merge(&inode.attrs, attrs);
        status = bc_inode_put(db, inodes, &inode, (flags & BITCASK_PROMISED) != 0, version);
    }
    bc_inode_release(&inode);
    if (instance != inodes) bc_fair_unlock(&inodes->write_lock);
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(node);
    bc_node_unpin(db->inodes);
    return status == BITCASK_OK ? bc_node_end_write(node, flags) : status;
}
