/* keys.c - reading and writing single keys of a partition.
 *
 * Conditions are checked and the record appended under one hold of the write lock, so that an if-absent put is atomic.
 */
#include "db/db.h"

#include <stdlib.h>
#include <string.h>

#include "db/inodes.h"
#include "partition/derived_ino.h"

void bc_entry_to_public(uint64_t partition_id, const struct bc_entry *entry, const void *key, size_t key_size,
                        bitcask_entry *out)
{
    bool partition = entry->flags & BC_ENTRY_PARTITION;

    *out = (bitcask_entry){
        .key = key,
        .key_size = key_size,
        .kind = partition ? BITCASK_PARTITION : BITCASK_KEY,
        .attrs = entry->attrs,
        .version = entry->version,
        .value_size = partition || (entry->flags & BC_ENTRY_LINK) ? 0 : entry->value_size,
        .partition_id = partition ? entry->child_id : 0,
        .nlink = 1,
    };
    out->stored_size = out->value_size;
    bc_attrs_fill_times(&out->attrs, entry->version);
    if (entry->flags & BC_ENTRY_HAS_XATTRS) out->attrs.present |= BITCASK_ATTR_XATTRS;
    if (partition || (entry->flags & BC_ENTRY_LINK)) out->ino = entry->child_id;
    else if (entry->attrs.present & BITCASK_ATTR_INO) out->ino = entry->attrs.ino;
    else out->ino = bc_derived_ino(partition_id, key, key_size);
    out->attrs.ino = out->ino;
    out->attrs.present |= BITCASK_ATTR_INO;
}

void bc_write_from_value(const struct bc_value *value, struct bc_write *write)
{
    const struct bc_entry *entry = &value->entry;

    *write = (struct bc_write){
        .key = value->key,
        .key_size = value->key_size,
        .flags = (uint16_t)((entry->flags & BC_ENTRY_PARTITION ? BC_RECORD_PARTITION : 0) |
                            (entry->flags & BC_ENTRY_LINK ? BC_RECORD_LINK : 0)),
        .value = value->data,
        .value_size = entry->value_size,
        .value_crc = value->value_crc,
        .has_crc = true,
        .attrs = entry->attrs,
    };
    if (entry->flags & BC_ENTRY_LINK) return; /* it has none */
    /* Times that were the version must be stated from now on, the version being a new one. */
    bc_attrs_fill_times(&write->attrs, entry->version);
}

/* A put or deletion that concerns an inode. */
static bc_status change(struct bitcask_partition *node, const struct bc_write *write, const void *value,
                        size_t value_size, const bitcask_write_options *options, uint64_t *version)
{
    struct bc_name_op op = {.write = write, .value = value, .value_size = value_size};
    bc_status status = bc_names_change(node, &op, 1, options);

    if (status == BITCASK_OK && version) *version = op.version;
    return status;
}

bc_status bc_node_put(struct bitcask_partition *node, const void *key, size_t key_size, const void *value,
                      size_t value_size, const bitcask_write_options *options, uint64_t *version)
{
    struct bc_write write = {.key = key, .key_size = key_size, .value = value, .value_size = (uint32_t)value_size};
    struct bc_partition *instance;
    struct bc_entry entry = {0};
    uint64_t position = 0;
    bool present, link;
    bc_status status;

    if (options && options->attrs) write.attrs = *options->attrs;
    if (value_size > node->db->inline_max || bc_is_files(node))
        return change(node, &write, value, value_size, options, version);
    status = bc_node_pin(node, &instance);
    if (status != BITCASK_OK) return status;
    bc_fair_lock(&instance->write_lock);
    present = bc_index_get(instance->index, key, key_size, &entry) == BITCASK_OK;
    link = entry.flags & BC_ENTRY_LINK;
    status = link ? BITCASK_OK
                  : bc_check_conditions(present, entry.flags & BC_ENTRY_PARTITION, entry.version, options);
    if (status == BITCASK_OK && !link)
        status = bc_partition_append(instance, &write, 1, true, options ? options->reserved : 0);
    position = bc_partition_position(instance);
    bc_fair_unlock(&instance->write_lock);
    if (status != BITCASK_OK || link) {
        bc_node_unpin(node);
        return status == BITCASK_OK ? change(node, &write, value, value_size, options, version) : status;
    }
    if (version) *version = write.version;
    return bc_node_end_append(node, instance, position, options ? options->flags : 0);
}

bc_status bc_node_delete(struct bitcask_partition *node, const void *key, size_t key_size,
                         const bitcask_write_options *options)
{
    struct bc_write write = {.key = key, .key_size = key_size, .flags = BC_RECORD_TOMBSTONE};
    struct bc_partition *instance;
    struct bc_entry entry = {0};
    uint64_t position = 0;
    bool link;
    bc_status status = bc_node_pin(node, &instance);

    if (status != BITCASK_OK) return status;
    bc_fair_lock(&instance->write_lock);
    status = bc_index_get(instance->index, key, key_size, &entry);
    link = entry.flags & BC_ENTRY_LINK;
    if (status == BITCASK_OK && !link)
        status = bc_check_conditions(true, entry.flags & BC_ENTRY_PARTITION, entry.version, options);
    if (status == BITCASK_OK && !link)
        status = bc_partition_append(instance, &write, 1, true, options ? options->reserved : 0);
    position = bc_partition_position(instance);
    bc_fair_unlock(&instance->write_lock);
    if (status != BITCASK_OK || link) {
        bc_node_unpin(node);
        return status == BITCASK_OK ? change(node, &write, NULL, 0, options, NULL) : status;
    }
    return bc_node_end_append(node, instance, position, options ? options->flags : 0);
}

bc_status bc_node_set_attrs(struct bitcask_partition *node, const void *key, size_t key_size,
                            const bitcask_attrs *attrs, unsigned flags, uint64_t *version)
{
    struct bc_value *value = NULL;
    struct bc_partition *instance;
    struct bc_write write = {.key = key, .key_size = key_size};
    bool own = bc_key_is_internal(key, key_size), link = false;
    bc_status status;

    if (bc_is_files(node)) return bc_link_set_attrs(node, key, key_size, attrs, flags, version);
    status = bc_node_pin(node, &instance);

    if (status != BITCASK_OK) return status;
    bc_fair_lock(&instance->write_lock);
    status = bc_partition_pin(instance, key, key_size, &value);
    link = status == BITCASK_OK && (value->entry.flags & BC_ENTRY_LINK);
    if (status == BITCASK_OK && !link) {
        status = bc_value_load(value);
        if (status == BITCASK_OK) bc_write_from_value(value, &write);
    } else if (status == BITCASK_NOT_FOUND && own) {
        status = BITCASK_OK; /* the root's own attributes, set for the first time */
    }
    if (status == BITCASK_OK && !link) {
        bc_attrs_merge(&write.attrs, attrs);
        write.is_due = (flags & BITCASK_PROMISED) != 0;
        status = bc_partition_append(instance, &write, 1, true, 0);
        /* A partition's own sync covers its record here, so this one must count as one of those on its path. */
        if (status == BITCASK_OK && (write.flags & BC_RECORD_PARTITION))
            instance->directory_position = bc_partition_position(instance);
    }
    bc_fair_unlock(&instance->write_lock);
    bc_value_close(&value);
    bc_node_unpin(node);
    if (status != BITCASK_OK) return status;
    if (link) return bc_link_set_attrs(node, key, key_size, attrs, flags, version);
    if (version) *version = write.version;
    return bc_node_end_write(node, flags);
}
