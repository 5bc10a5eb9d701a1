/* batch.c - writes to one partition that take effect together.
 *
 * They are gathered in memory and appended in one write; each record but the last says that more follow, and a log
 * that ends without the last is cut before the first.
 */
#include "db/batch.h"
#include "db/writer.h"

#include <stdlib.h>
#include <string.h>

struct bitcask_batch {
    struct bitcask_partition *node;  /* counted */
    struct bc_write *writes;         /* keys are offsets into keys until commit */
    struct bitcask_writer **writers; /* of each, not owned, or NULL */
    size_t count, room;
    struct bc_buffer keys;
    uint64_t bytes;
};

bc_status bc_batch_open(struct bitcask_partition *node, struct bitcask_batch **out)
{
    struct bitcask_batch *batch = calloc(1, sizeof *batch);

    if (!batch) return BITCASK_NO_MEMORY;
    batch->node = node;
    bc_node_ref(node);
    *out = batch;
    return BITCASK_OK;
}

bc_status bc_batch_add(struct bitcask_batch *batch, const struct bc_write *write, struct bitcask_writer *writer)
{
    uint64_t bound = bc_writes_bound(write, 1);
    bc_status status;

    if (batch->count > 0 && batch->bytes + bound > BITCASK_BATCH_MAX)
        return bc_fail(BITCASK_TOO_LARGE, "a batch may have %u bytes; commit it and begin another", BITCASK_BATCH_MAX);
    if (batch->count == batch->room) {
        size_t room = batch->room ? batch->room * 2 : 16;
        void *writes = realloc(batch->writes, room * sizeof *batch->writes), *writers;
        if (!writes) return BITCASK_NO_MEMORY;
        batch->writes = writes;
        writers = realloc(batch->writers, room * sizeof *batch->writers);
        if (!writers) return BITCASK_NO_MEMORY;
        batch->writers = writers;
        batch->room = room;
    }
    status = bc_buffer_append(&batch->keys, write->key, write->key_size);
    if (status != BITCASK_OK) return status;
    batch->writers[batch->count] = writer;
    batch->writes[batch->count++] = *write;
    batch->bytes += bound;
    return BITCASK_OK;
}

/* Whether an earlier operation of the batch, or the index, has the key. */
static bool key_exists(const struct bitcask_batch *batch, size_t index, const struct bc_partition *instance)
{
    const struct bc_write *write = &batch->writes[index];

    for (size_t i = index; i-- > 0;) {
        const struct bc_write *earlier = &batch->writes[i];
        if (earlier->key_size == write->key_size && memcmp(earlier->key, write->key, write->key_size) == 0)
            return !(earlier->flags & BC_RECORD_TOMBSTONE);
    }
    return bc_index_get(instance->index, write->key, write->key_size, NULL) == BITCASK_OK;
}

/* Whether it touches an inode, or makes one: then two logs are concerned. Under the write lock. */
static bool concerns_inodes(const struct bitcask_batch *batch, const struct bc_partition *instance)
{
    if (bc_is_files(batch->node)) return true;
    for (size_t i = 0; i < batch->count; i++) {
        const struct bc_write *write = &batch->writes[i];
        struct bc_entry entry;

        if (write->value_size > batch->node->db->inline_max || batch->writers[i]) return true;
        if (bc_index_get(instance->index, write->key, write->key_size, &entry) == BITCASK_OK &&
            (entry.flags & BC_ENTRY_LINK))
            return true;
    }
    return false;
}

static bc_status commit_change(struct bitcask_batch *batch, unsigned flags, uint64_t reserved, uint64_t *versions)
{
    const bitcask_write_options options = {.flags = flags & BITCASK_DURABLE, .reserved = reserved};
    struct bc_name_op *ops = calloc(batch->count + 1, sizeof *ops);
    bc_status status;

    if (!ops) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < batch->count; i++)
        ops[i] = (struct bc_name_op){
            .write = &batch->writes[i], .value = batch->writes[i].value, .value_size = batch->writes[i].value_size};
    status = bc_writers_change(batch->node, ops, batch->writes, batch->writers, batch->count, &options);
    /* Of one operation alone it says so. */
    if (status == BITCASK_NOT_FOUND && batch->count == 1 && (batch->writes[0].flags & BC_RECORD_TOMBSTONE))
        status = BITCASK_OK;
    for (size_t i = 0; status == BITCASK_OK && versions && i < batch->count; i++) versions[i] = ops[i].version;
    if (status == BITCASK_OK) bc_batch_clear(batch);
    free(ops);
    return status;
}

/* Checks all of it against the index, under the write lock. Deletions of what is not there are left out: *writes gets
 * the rest. */
static bc_status select_writes(const struct bitcask_batch *batch, const struct bc_partition *instance,
                               struct bc_write *writes, size_t *origin, size_t *count)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct bc_write *write = &batch->writes[i];
        struct bc_entry entry;

        if (bc_index_get(instance->index, write->key, write->key_size, &entry) == BITCASK_OK &&
            (entry.flags & BC_ENTRY_PARTITION))
            return BITCASK_IS_PARTITION;
        if ((write->flags & BC_RECORD_TOMBSTONE) && !key_exists(batch, i, instance)) continue;
        origin[*count] = i;
        writes[(*count)++] = *write;
    }
    return BITCASK_OK;
}

bc_status bc_batch_commit(struct bitcask_batch *batch, unsigned flags, uint64_t reserved, uint64_t *versions)
{
    const struct bc_sample sample = bc_sample_always();
    struct bc_partition *instance;
    uint64_t position = 0;
    bool change = false;
    struct bc_write *writes = malloc((batch->count + 1) * sizeof *writes);
    size_t *origin = malloc((batch->count + 1) * sizeof *origin), count = 0, at = 0;
    bc_status status = writes && origin ? bc_node_pin(batch->node, &instance) : BITCASK_NO_MEMORY;

    if (status != BITCASK_OK) goto out;
    for (size_t i = 0; i < batch->count; i++) {
        batch->writes[i].key = batch->keys.data + at;
        at += batch->writes[i].key_size;
    }
    bc_fair_lock(&instance->write_lock);
    status = bc_partition_writable(instance);
    if (status == BITCASK_OK) change = concerns_inodes(batch, instance);
    if (status == BITCASK_OK && !change) status = select_writes(batch, instance, writes, origin, &count);
    if (status == BITCASK_OK && !change) status = bc_partition_append(instance, writes, count, false, reserved);
    position = bc_partition_position(instance);
    bc_fair_unlock(&instance->write_lock);
    if (status != BITCASK_OK || change) {
        bc_node_unpin(batch->node);
        if (status == BITCASK_OK) status = commit_change(batch, flags, reserved, versions);
        goto out;
    }
    if (versions) {
        memset(versions, 0, batch->count * sizeof *versions);
        for (size_t i = 0; i < count; i++) versions[origin[i]] = writes[i].version;
    }
    bc_batch_clear(batch);
    status = bc_node_end_append(batch->node, instance, position, flags);
out:
    bc_node_time(batch->node, BC_TIMED_COMMIT, &sample);
    free(writes);
    free(origin);
    return status;
}

void bc_batch_clear(struct bitcask_batch *batch)
{
    batch->count = 0;
    batch->bytes = 0;
    bc_buffer_reset(&batch->keys);
}

void bc_batch_close(struct bitcask_batch **pointer)
{
    struct bitcask_batch *batch = *pointer;

    if (!batch) return;
    *pointer = NULL;
    bc_node_unref(&batch->node);
    bc_buffer_release(&batch->keys);
    free(batch->writers);
    free(batch->writes);
    free(batch);
}
