/* read.c - from a key to its bytes: one look into the index, one read or none, two checksums.
 *
 * A pinned value holds its segment, so that it stays readable when the key is overwritten or deleted, and when the
 * partition is closed or dropped: the file lives as long as it is open. Its bytes are those of the file in memory,
 * which is mapped; where that cannot be, or a page of it is gone, they are read.
 */
#include "partition/partition.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "partition/cold.h"

/* Larger records are extents. They are read: their pages would all count as this process's memory until the segment
 * goes, and a copy of so much costs less than the faults. */
#define VIEW_MAX 98304u

/* In the index: no lock, and nobody is waited for. The segment is taken within the read section in which its place was
 * read: from its end on a merge may take it away. */
static bc_status look_up_warm(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry,
                              struct bc_segment **segment)
{
    bc_status status;

    bc_rcu_read_lock();
    status = bc_index_get(partition->index, key, key_size, entry);
    if (status == BITCASK_OK && segment) {
        *segment = bc_partition_segment_at(partition, entry->slot);
        if (*segment)
            bc_segment_ref(*segment);
        else
            status = bc_fail(BITCASK_CORRUPT, "partition '%s': the index names segment %u, which is not there",
                             partition->label, entry->slot);
    }
    bc_rcu_read_unlock();
    return status;
}

/* Looks the key up, in the index or, where there is none yet, in the hints. *segment (may be NULL) gets a reference. */
static bc_status look_up(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry,
                         struct bc_segment **segment)
{
    bc_status status = BITCASK_OK;
    bool cold;

    if (!atomic_load_explicit(&partition->cold, memory_order_acquire))
        return look_up_warm(partition, key, key_size, entry, segment);
    pthread_rwlock_rdlock(&partition->cold_lock);
    cold = atomic_load_explicit(&partition->cold, memory_order_relaxed); /* cleared under the lock */
    if (cold) status = bc_cold_find(partition, key, key_size, entry);
    /* Under the lock: nothing in a cold partition changes. */
    if (cold && status == BITCASK_OK && segment) *segment = bc_segment_ref(partition->slots[entry->slot].segment);
    pthread_rwlock_unlock(&partition->cold_lock);
    if (!cold) return look_up_warm(partition, key, key_size, entry, segment);
    if ((status == BITCASK_OK || status == BITCASK_NOT_FOUND) && !bc_cold_is_hot(partition)) return status;
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
    struct bc_value *value = malloc(sizeof *value); /* most of it is key: not worth clearing */
    bc_status status;

    if (!value) return BITCASK_NO_MEMORY;
    value->segment = NULL;
    status = look_up(partition, key, key_size, &value->entry, &value->segment);
    if (status != BITCASK_OK) {
        free(value);
        return status;
    }
    value->env = partition->env;
    value->partition_id = partition->id;
    memcpy(value->key, key, key_size);
    value->key_size = key_size;
    value->loaded = false;
    value->record = NULL;
    value->bytes = value->data = NULL;
    value->value_crc = 0;
    value->above = NULL;
    if (!bc_key_is_internal(key, key_size)) bc_stripes_add(&partition->gets, 1);
    *out = value;
    return BITCASK_OK;
}

static bc_status damaged(const struct bc_value *value, const char *what)
{
    return bc_fail(BITCASK_CORRUPT, "%s: the record at offset %u %s; restore it from a backup", value->segment->name,
                   value->entry.offset, what);
}

/* Checks the record in bytes. */
static bc_status check_record(const struct bc_value *value, const uint8_t *bytes, struct bc_record *record,
                              bitcask_attrs *attrs)
{
    const struct bc_entry *entry = &value->entry;
    size_t needed;

    if (bc_record_decode(bytes, entry->record_size, value->segment->generation, entry->offset, entry->record_size,
                         record, &needed) != BITCASK_OK ||
        bc_record_size(record) != entry->record_size || record->key_size != value->key_size ||
        memcmp(record->key, value->key, value->key_size) != 0)
        return damaged(value, "fails its checksum");
    if (bc_crc32c(0, bytes + bc_record_front_size(record), record->value_size) != record->value_crc)
        return damaged(value, "has a value that fails its checksum");
    return bc_attrs_decode(record->attrs, record->attrs_size, attrs);
}

static void take_record(struct bc_value *value, const uint8_t *bytes, const struct bc_record *record,
                        const bitcask_attrs *attrs)
{
    if (attrs->present & BITCASK_ATTR_XATTRS) {
        value->entry.attrs.present |= BITCASK_ATTR_XATTRS;
        value->entry.attrs.xattrs = attrs->xattrs;
        value->entry.attrs.xattrs_size = attrs->xattrs_size;
    }
    value->value_crc = record->value_crc;
    value->bytes = bytes;
    value->data = bytes + bc_record_front_size(record);
    value->loaded = true;
}

/* Reads the record into memory of its own, *bytes, and checks it. */
static bc_status read_record(const struct bc_value *value, uint8_t **bytes, struct bc_record *record,
                             bitcask_attrs *attrs)
{
    bc_status status;

    *bytes = malloc(value->entry.record_size);
    if (!*bytes) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a value of %u bytes", value->entry.value_size);
    status = bc_segment_read_raw(value->segment, value->entry.offset, *bytes, value->entry.record_size);
    if (status == BITCASK_OK) status = check_record(value, *bytes, record, attrs);
    if (status == BITCASK_OK) return BITCASK_OK;
    free(*bytes);
    *bytes = NULL;
    return status;
}

static bc_status load_record(struct bc_value *value)
{
    const uint8_t *view = NULL;
    struct bc_record record;
    bitcask_attrs attrs;
    bc_status status;

    if (value->entry.record_size <= VIEW_MAX)
        view = bc_segment_view(value->segment, value->entry.offset, value->entry.record_size);
    if (view) {
        /* Its lines on the way at once, not one after another. */
        for (uint32_t at = 64; at < value->entry.record_size && at <= 256; at += 64) __builtin_prefetch(view + at);
        status = check_record(value, view, &record, &attrs);
        if (!bc_segment_view_is_broken(value->segment)) {
            if (status == BITCASK_OK) take_record(value, view, &record, &attrs);
            return status;
        }
        /* A page could not be had, of this record or of another one. Reading tells which, and what is wrong with it. */
        bc_detail_clear();
    }
    status = read_record(value, &value->record, &record, &attrs);
    if (status == BITCASK_OK) take_record(value, value->record, &record, &attrs);
    return status;
}

bc_status bc_value_load(struct bc_value *value)
{
    bc_status status;

    if (value->loaded) return BITCASK_OK;
    bc_foreground_begin(value->env->foreground);
    status = load_record(value);
    bc_foreground_end(value->env->foreground);
    return status;
}

bc_status bc_value_copy(const struct bc_value *value, uint64_t offset, void *out, size_t size)
{
    struct bc_record record;
    bitcask_attrs attrs;
    uint8_t *bytes;
    bc_status status;

    if (size > 0) memcpy(out, value->data + offset, size);
    if (value->record || !bc_segment_view_is_broken(value->segment)) return BITCASK_OK;
    status = read_record(value, &bytes, &record, &attrs);
    if (status != BITCASK_OK) return status;
    if (size > 0) memcpy(out, bytes + (value->data - value->bytes) + offset, size);
    free(bytes);
    return BITCASK_OK;
}

void bc_value_unload(struct bc_value *value)
{
    value->entry.attrs.present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    value->entry.attrs.xattrs = NULL;
    value->entry.attrs.xattrs_size = 0;
    value->bytes = value->data = NULL;
    free(value->record);
    value->record = NULL;
    value->loaded = false;
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
