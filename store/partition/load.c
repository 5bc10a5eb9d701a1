/* load.c - from records to index entries: one at a time, batches whole, damage reported.
 *
 * May assume that the records it is given verify; what they mean is still checked. Invariant: a batch goes to the index
 * whole, or not at all where the log ends in it.
 */
#include "partition/load.h"

#include <stdlib.h>
#include <string.h>

void bc_entry_from_record(uint32_t slot, uint64_t offset, const struct bc_record *record, const bitcask_attrs *attrs,
                          struct bc_entry *entry)
{
    *entry = (struct bc_entry){
        .slot = slot,
        .offset = (uint32_t)offset,
        .record_size = (uint32_t)bc_record_size(record),
        .value_size = record->value_size,
        .version = record->version,
        .attrs = *attrs,
    };
    if (attrs->present & BITCASK_ATTR_XATTRS) entry->flags |= BC_ENTRY_HAS_XATTRS;
    entry->attrs.present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    entry->attrs.xattrs = NULL;
    entry->attrs.xattrs_size = 0;
    if (record->flags & BC_RECORD_CHILD) {
        entry->flags |= record->flags & BC_RECORD_PARTITION ? BC_ENTRY_PARTITION : BC_ENTRY_LINK;
        entry->child_id = bc_get_u64(record->value);
    }
}

/* ---- from hints ---- */

static void log_bad_hint(const struct bc_partition *partition)
{
    bc_env_log(partition->env, BITCASK_LOG_WARNING, "partition '%s': %s; its segment is scanned instead",
               partition->label, bc_detail());
}

bc_status bc_load_open_hint(const struct bc_partition *partition, const struct bc_segment *segment, bool exact,
                            struct bc_hint **hint)
{
    struct bc_hint_head wanted = {
        .segment_id = segment->segment_id, .generation = segment->generation, .data_size = segment->end};
    bc_status status = bc_hint_open(partition->env->io, partition->dir_fd, &wanted, exact, hint);

    if (status != BITCASK_OK && status != BITCASK_NOT_FOUND) log_bad_hint(partition);
    return status;
}

void bc_entry_from_hint(uint32_t slot, const struct bc_hint_entry *hinted, struct bc_entry *entry)
{
    *entry = (struct bc_entry){
        .slot = slot,
        .offset = hinted->offset,
        .record_size = hinted->record_size,
        .value_size = hinted->value_size,
        .version = hinted->version,
        .attrs = hinted->attrs,
    };
    if (hinted->flags & BC_HINT_XATTRS) entry->flags |= BC_ENTRY_HAS_XATTRS;
    if (hinted->flags & BC_HINT_CHILD) {
        entry->flags |= hinted->flags & BC_HINT_PARTITION ? BC_ENTRY_PARTITION : BC_ENTRY_LINK;
        entry->child_id = hinted->child_id;
    }
}

static bc_status apply_hint(struct bc_partition *partition, uint32_t slot, const struct bc_hint_entry *hinted)
{
    struct bc_entry entry, old;
    bool had = false;
    bc_status status = BITCASK_OK;

    if (bc_key_is_hostile(hinted->key, hinted->key_size))
        return bc_fail(BITCASK_CORRUPT, "%s: its hint has a key that is no name", partition->slots[slot].segment->name);
    if (hinted->flags & BC_HINT_TOMBSTONE) {
        had = bc_index_remove(partition->index, hinted->key, hinted->key_size, &old) == BITCASK_OK;
    } else {
        bc_entry_from_hint(slot, hinted, &entry);
        status = bc_index_put(partition->index, hinted->key, hinted->key_size, &entry, &had, &old);
        if (status != BITCASK_OK) return status;
        bc_slot_gains(partition, &entry);
    }
    if (had) bc_slot_loses(partition, &old);
    return status;
}

bc_status bc_load_hint(struct bc_partition *partition, uint32_t slot, const struct bc_hint *hint)
{
    const struct bc_hint_head *head = bc_hint_head(hint);
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry;
    bc_status status = bc_hint_cursor_open(hint, &cursor);

    while (status == BITCASK_OK && (status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK)
        status = apply_hint(partition, slot, &entry);
    bc_hint_cursor_close(&cursor);
    if (status == BITCASK_CORRUPT || status == BITCASK_IO) log_bad_hint(partition);
    if (status != BITCASK_NOT_FOUND) return status;
    partition->slots[slot].tombstone_bytes = head->tombstone_bytes;
    if (head->last_version > partition->last_version) partition->last_version = head->last_version;
    return BITCASK_OK;
}

/* ---- from records ---- */

bc_status bc_load_apply(struct bc_partition *partition, uint32_t slot, uint64_t offset, const struct bc_record *record)
{
    struct bc_entry entry, old;
    bitcask_attrs attrs;
    bool had = false;
    bc_status status;

    if (record->version > partition->last_version) partition->last_version = record->version;
    if (bc_record_is_mark(record)) return BITCASK_OK;
    if (record->flags & BC_RECORD_TOMBSTONE) {
        had = bc_index_remove(partition->index, record->key, record->key_size, &old) == BITCASK_OK;
        partition->slots[slot].tombstone_bytes += bc_record_size(record);
    } else {
        status = bc_attrs_decode(record->attrs, record->attrs_size, &attrs);
        if (status != BITCASK_OK) return status;
        if ((record->flags & BC_RECORD_CHILD) && (!record->value || record->value_size != 8))
            return bc_fail(BITCASK_CORRUPT, "a record of a partition or link at offset %llu has no number",
                           (unsigned long long)offset);
        bc_entry_from_record(slot, offset, record, &attrs, &entry);
        status = bc_index_put(partition->index, record->key, record->key_size, &entry, &had, &old);
        if (status != BITCASK_OK) return status;
        bc_slot_gains(partition, &entry);
    }
    if (had) bc_slot_loses(partition, &old);
    return BITCASK_OK;
}

void bc_loader_release(struct bc_loader *loader)
{
    bc_buffer_release(&loader->bytes);
    free(loader->batch);
}

/* Applies what waits: the batch is complete, or it is known to have been durable. */
static bc_status flush(struct bc_loader *loader)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < loader->count && status == BITCASK_OK; i++) {
        struct bc_pending_record *pending = &loader->batch[i];
        struct bc_record record = pending->record;

        record.key = loader->bytes.data + pending->at;
        record.attrs = record.key + record.key_size;
        record.value = record.flags & BC_RECORD_CHILD ? record.attrs + record.attrs_size : NULL;
        status = bc_load_apply(loader->partition, loader->slot, pending->offset, &record);
    }
    loader->count = 0;
    bc_buffer_reset(&loader->bytes);
    return status;
}

static bc_status hold(struct bc_loader *loader, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    size_t at = loader->bytes.size;
    bc_status status;

    if (loader->count == loader->room) {
        size_t room = loader->room ? loader->room * 2 : 64;
        void *batch = realloc(loader->batch, room * sizeof *loader->batch);
        if (!batch) return BITCASK_NO_MEMORY;
        loader->batch = batch;
        loader->room = room;
    }
    status = bc_buffer_append(&loader->bytes, record->key, record->key_size);
    if (status == BITCASK_OK && record->attrs_size > 0)
        status = bc_buffer_append(&loader->bytes, record->attrs, record->attrs_size);
    if (status == BITCASK_OK && (record->flags & BC_RECORD_CHILD) && record->value && record->value_size == 8)
        status = bc_buffer_append(&loader->bytes, record->value, 8);
    else if (status == BITCASK_OK && (record->flags & BC_RECORD_CHILD))
        status = bc_fail(BITCASK_CORRUPT, "%s: a record of a partition or link at offset %llu has no number",
                         loader->segment->name, (unsigned long long)item->offset);
    if (status == BITCASK_OK)
        loader->batch[loader->count++] = (struct bc_pending_record){item->offset, *record, at};
    return status;
}

/* Takes the next record: applied at once, or with the batch that it ends. */
bc_status bc_loader_take(struct bc_loader *loader, const struct bc_scan_item *item)
{
    bool more = item->record.flags & BC_RECORD_MORE;
    bc_status status;

    if (!more && loader->count == 0) return bc_load_apply(loader->partition, loader->slot, item->offset, &item->record);
    status = hold(loader, item);
    if (status == BITCASK_OK && !more) status = flush(loader);
    return status;
}

static void report_damage(struct bc_loader *loader, const struct bc_scan_item *item)
{
    loader->partition->damaged_regions++;
    loader->partition->slots[loader->slot].damaged = true;
    bc_env_log(loader->partition->env, BITCASK_LOG_ERROR,
               "partition '%s': %s: %llu bytes at offset %llu are damaged%s", loader->partition->label,
               loader->segment->name, (unsigned long long)item->size, (unsigned long long)item->offset,
               item->kind == BC_SCAN_BAD_VALUE ? " (one value)" : "");
}

bool bc_is_hostile(const struct bc_scan_item *item)
{
    return (item->kind == BC_SCAN_RECORD || item->kind == BC_SCAN_BAD_VALUE) &&
           (item->record.version > BC_VERSION_MAX || bc_key_is_hostile(item->record.key, item->record.key_size));
}

/* Applies the records from `from` to `end`, of which all is known to be there to stay: bad stretches are damage. A batch
 * that the end cuts short is dropped where it was not durable, and *end moved to its start. */
bc_status bc_loader_load(struct bc_loader *loader, uint64_t from, uint64_t *end, uint64_t durable)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    bc_status status = bc_scan_open(loader->segment, from, *end, &scan);

    while (status == BITCASK_OK && (status = bc_scan_next(scan, &item)) == BITCASK_OK && item.kind != BC_SCAN_END) {
        bool damaged = item.kind != BC_SCAN_RECORD || bc_is_hostile(&item);

        if (damaged) report_damage(loader, &item);
        if (item.kind == BC_SCAN_RECORD && !damaged) status = bc_loader_take(loader, &item);
        else if (item.kind == BC_SCAN_BAD_VALUE && !bc_is_hostile(&item) && !(item.record.flags & BC_RECORD_CHILD))
            status = bc_loader_take(loader, &item); /* its key is known: reading it says that it is damaged */
        else if (status == BITCASK_OK) status = flush(loader);
    }
    if (status == BITCASK_OK && loader->count > 0) {
        uint64_t start = loader->batch[0].offset;

        if (start >= durable) {
            loader->count = 0;
            *end = start;
        } else {
            status = flush(loader);
        }
    }
    bc_scan_close(&scan);
    return status;
}
