/* read.c - from a key to its bytes: one look into the index, one read, two checksums.
 *
 * A pinned value holds its segment, so that it stays readable when the key is overwritten or deleted, and when the
 * partition is closed or dropped: the file lives as long as it is open.
 */
#include "partition/partition.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "partition/cold.h"

/* Looks the key up, in the index or, where there is none yet, in the hints. *segment (may be NULL) gets a reference. */
static bc_status look_up(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry,
                         struct bc_segment **segment)
{
    bc_status status;
    bool cold;

    pthread_rwlock_rdlock(&partition->index_lock);
    cold = atomic_load(&partition->cold);
    if (cold) status = bc_cold_find(partition, key, key_size, entry);
    else status = bc_index_get(partition->index, key, key_size, entry);
    /* Under the lock: once it is dropped, a merge may take the segment away. */
    if (status == BITCASK_OK && segment) *segment = bc_segment_ref(partition->slots[entry->slot].segment);
    pthread_rwlock_unlock(&partition->index_lock);
    if (!cold || ((status == BITCASK_OK || status == BITCASK_NOT_FOUND) && !bc_cold_is_hot(partition))) return status;
    if (status == BITCASK_OK || status == BITCASK_NOT_FOUND) {
        (void)bc_partition_warm(partition); /* without it the next one tries again */
        return status;
    }
    /* A hint that was good when it was opened cannot be read now: the data may still be. */
    status = bc_partition_warm(partition);
    return status == BITCASK_OK ? look_up(partition, key, key_size, entry, segment) : status;
}

bc_status bc_partition_find(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry)
{
    return look_up(partition, key, key_size, entry, NULL);
}

bc_status bc_partition_pin(struct bc_partition *partition, const void *key, size_t key_size, struct bc_value **out)
{
    struct bc_value *value = calloc(1, sizeof *value);
    bc_status status;

    if (!value) return BITCASK_NO_MEMORY;
    status = look_up(partition, key, key_size, &value->entry, &value->segment);
    if (status != BITCASK_OK) {
        free(value);
        return status;
    }
    value->foreground = partition->env->foreground;
    value->partition_id = partition->id;
    memcpy(value->key, key, key_size);
    value->key_size = key_size;
    partition->gets++;
    *out = value;
    return BITCASK_OK;
}

static bc_status damaged(const struct bc_value *value, const char *what)
{
    return bc_fail(BITCASK_CORRUPT, "%s: the record at offset %u %s; restore it from a backup", value->segment->name,
                   value->entry.offset, what);
}

bc_status bc_value_load(struct bc_value *value)
{
    const struct bc_entry *entry = &value->entry;
    struct bc_record record;
    bitcask_attrs attrs;
    uint8_t *bytes;
    size_t needed;
    bc_status status;

    if (value->record) return BITCASK_OK;
    bytes = malloc(entry->record_size);
    if (!bytes) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a value of %u bytes", entry->value_size);
    bc_foreground_begin(value->foreground);
    status = bc_segment_read_raw(value->segment, entry->offset, bytes, entry->record_size);
    bc_foreground_end(value->foreground);
    if (status != BITCASK_OK) goto fail;
    if (bc_record_decode(bytes, entry->record_size, value->segment->generation, entry->offset, entry->record_size,
                         &record, &needed) != BITCASK_OK ||
        bc_record_size(&record) != entry->record_size || record.key_size != value->key_size ||
        memcmp(record.key, value->key, value->key_size) != 0) {
        status = damaged(value, "fails its checksum");
        goto fail;
    }
    value->data = bytes + bc_record_front_size(&record);
    if (bc_crc32c(0, value->data, record.value_size) != record.value_crc) {
        status = damaged(value, "has a value that fails its checksum");
        goto fail;
    }
    status = bc_attrs_decode(record.attrs, record.attrs_size, &attrs);
    if (status != BITCASK_OK) goto fail;
    if (attrs.present & BITCASK_ATTR_XATTRS) {
        value->entry.attrs.present |= BITCASK_ATTR_XATTRS;
        value->entry.attrs.xattrs = attrs.xattrs;
        value->entry.attrs.xattrs_size = attrs.xattrs_size;
    }
    value->value_crc = record.value_crc;
    value->record = bytes;
    return BITCASK_OK;

fail:
    value->data = NULL;
    free(bytes);
    return status;
}

void bc_value_unload(struct bc_value *value)
{
    value->entry.attrs.present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    value->entry.attrs.xattrs = NULL;
    value->entry.attrs.xattrs_size = 0;
    value->data = NULL;
    free(value->record);
    value->record = NULL;
}

void bc_value_close(struct bc_value **pointer)
{
    struct bc_value *value = *pointer;

    if (!value) return;
    *pointer = NULL;
    free(value->record);
    bc_segment_unref(&value->segment);
    free(value);
}
