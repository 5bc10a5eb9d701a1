/* hints.c - making the hints of a partition's segments, from their data.
 *
 * A hint is made once its segment is sealed: by the store's thread a moment later, by a merge that needs it, or at
 * close. Of the active segment one is made at a clean close, for what is in it then. Hints are disposable, so none of
 * it is synced, and a failure is logged and forgotten. What a damaged segment has for a hint is kept as it is: made
 * before the damage, it knows more of the keys than the data do now.
 */
#include "partition/partition.h"

#include <stdlib.h>
#include <string.h>

#include "index/index.h"
#include "log/hint.h"
#include "log/scan.h"
#include "partition/checkpoint.h"
#include "partition/load.h"
#include "partition/merge.h"

#define SMALL_LOG 8192u          /* a log that is as quickly scanned as a hint is read */
#define BRIEF_LEAST (64u * 1024) /* what is worth a new hint where a partition is closed to make room: so much, */
#define BRIEF_SHARE 4u           /* and a quarter of the log */

/* A record on its way into a hint. */
struct item {
    uint64_t version;
    size_t key_at; /* in the collector's bytes: key, then attributes, then a partition's id */
    uint32_t offset;
    uint32_t record_size;
    uint32_t value_size;
    uint32_t attrs_size;
    uint16_t record_flags;
    uint8_t key_size;
};

struct collector {
    struct bc_buffer bytes;
    struct item *items;
    size_t count, room;
    uint64_t last_version;
    uint64_t tombstone_bytes; /* of those that went into the hint */
    bool damaged;
};

static bc_status collect(struct collector *collector, const struct bc_scan_item *found)
{
    const struct bc_record *record = &found->record;
    size_t at = collector->bytes.size;
    bc_status status;

    if (record->version > collector->last_version) collector->last_version = record->version;
    if (bc_record_is_mark(record)) return BITCASK_OK;
    if ((record->flags & BC_RECORD_CHILD) && (!record->value || record->value_size != 8)) {
        collector->damaged = true;
        return BITCASK_OK;
    }
    if (collector->count == collector->room) {
        size_t room = collector->room ? collector->room * 2 : 256;
        void *items = realloc(collector->items, room * sizeof *collector->items);
        if (!items) return BITCASK_NO_MEMORY;
        collector->items = items;
        collector->room = room;
    }
    status = bc_buffer_append(&collector->bytes, record->key, record->key_size);
    if (status == BITCASK_OK && record->attrs_size > 0)
        status = bc_buffer_append(&collector->bytes, record->attrs, record->attrs_size);
    if (status == BITCASK_OK && (record->flags & BC_RECORD_CHILD))
        status = bc_buffer_append(&collector->bytes, record->value, 8);
    if (status != BITCASK_OK) return status;
    collector->items[collector->count++] = (struct item){
        .version = record->version,
        .key_at = at,
        .offset = (uint32_t)found->offset,
        .record_size = (uint32_t)bc_record_size(record),
        .value_size = record->value_size,
        .attrs_size = record->attrs_size,
        .record_flags = record->flags,
        .key_size = record->key_size,
    };
    return BITCASK_OK;
}

/* Reads the records of the first data_size bytes. */
static bc_status scan_all(struct collector *collector, struct bc_segment *segment, uint64_t data_size)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    bc_status status = bc_scan_open(segment, segment->header_size, data_size, &scan);

    while (status == BITCASK_OK && !collector->damaged && (status = bc_scan_next(scan, &item)) == BITCASK_OK &&
           item.kind != BC_SCAN_END) {
        if (item.kind != BC_SCAN_RECORD || bc_is_hostile(&item))
            collector->damaged = true;
        else
            status = collect(collector, &item);
    }
    bc_scan_close(&scan);
    return status;
}

/* Key order, and the order of the log within a key. */
static int compare_items(const void *a, const void *b, void *context)
{
    const struct collector *collector = context;
    const struct item *x = a, *y = b;
    int order =
        bc_key_compare(collector->bytes.data + x->key_at, x->key_size, collector->bytes.data + y->key_at, y->key_size);

    if (order != 0) return order;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bc_status add_item(struct bc_hint_writer *writer, const struct collector *collector, const struct item *item)
{
    const uint8_t *attrs = collector->bytes.data + item->key_at + item->key_size;
    struct bc_hint_entry entry = {
        .key = collector->bytes.data + item->key_at,
        .key_size = item->key_size,
        .offset = item->offset,
        .record_size = item->record_size,
        .value_size = item->value_size,
        .version = item->version,
    };
    bc_status status = bc_attrs_decode(attrs, item->attrs_size, &entry.attrs);

    if (status != BITCASK_OK) return status;
    bc_hint_entry_describe(item->record_flags, &entry);
    if (entry.flags & BC_HINT_CHILD) entry.child_id = bc_get_u64(attrs + item->attrs_size);
    return bc_hint_writer_add(writer, &entry);
}

static bc_status write_sorted(struct bc_partition *partition, const struct bc_segment *segment, uint64_t data_size,
                              struct collector *collector, uint64_t *bytes)
{
    struct bc_hint_head head = {.segment_id = segment->segment_id,
                                .generation = segment->generation,
                                .data_size = data_size,
                                .last_version = collector->last_version};
    struct bc_hint_writer *writer = NULL;
    bc_status status;

    if (collector->count > 0)
        qsort_r(collector->items, collector->count, sizeof *collector->items, compare_items, collector);
    status = bc_hint_writer_open(partition->env->io, partition->dir_fd, &head, &writer);
    for (size_t i = 0; i < collector->count && status == BITCASK_OK; i++) {
        const struct item *item = &collector->items[i], *next = item + 1;

        /* Of several records of one key the last counts. */
        if (i + 1 < collector->count && next->key_size == item->key_size &&
            memcmp(collector->bytes.data + next->key_at, collector->bytes.data + item->key_at, item->key_size) == 0)
            continue;
        status = add_item(writer, collector, item);
        if (item->record_flags & BC_RECORD_TOMBSTONE) collector->tombstone_bytes += item->record_size;
    }
    if (status == BITCASK_OK) return bc_hint_writer_commit(&writer, bytes);
    bc_hint_writer_abort(&writer);
    return status;
}

static bc_status make_hint(struct bc_partition *partition, struct bc_segment *segment, uint64_t data_size,
                           uint64_t *bytes, uint64_t *tombstone_bytes)
{
    struct collector collector = {.last_version = segment->last_version};
    bc_status status = scan_all(&collector, segment, data_size);

    if (status == BITCASK_OK && collector.damaged)
        status = bc_fail(BITCASK_CORRUPT, "partition '%s': %s is damaged", partition->label, segment->name);
    if (status == BITCASK_OK) status = write_sorted(partition, segment, data_size, &collector, bytes);
    *tombstone_bytes = collector.tombstone_bytes;
    bc_buffer_release(&collector.bytes);
    free(collector.items);
    return status;
}

bc_status bc_partition_make_hint(struct bc_partition *partition, struct bc_segment *segment, uint64_t data_size,
                                 uint64_t *bytes)
{
    uint64_t tombstone_bytes;

    return make_hint(partition, segment, data_size, bytes, &tombstone_bytes);
}

/* What came of a hint, for the slot. write_lock held. */
static void tell_slot(struct bc_partition *partition, uint32_t slot, bc_status status, uint64_t bytes,
                      uint64_t tombstone_bytes)
{
    if (status == BITCASK_OK) {
        partition->slots[slot].hint_bytes = bytes;
        partition->slots[slot].tombstone_bytes = tombstone_bytes;
    }
    if (status == BITCASK_CORRUPT) partition->slots[slot].damaged = true;
}

bc_status bc_partition_hint_slot(struct bc_partition *partition, uint32_t slot)
{
    struct bc_segment *segment;
    uint64_t bytes = 0, tombstone_bytes = 0;
    bc_status status;

    bc_fair_lock_soon(&partition->write_lock);
    segment = bc_segment_ref(partition->slots[slot].segment);
    bc_fair_unlock(&partition->write_lock);
    /* Without the lock: it takes its time, and files_lock keeps the segment in its place. */
    status = make_hint(partition, segment, segment->end, &bytes, &tombstone_bytes);
    bc_fair_lock_soon(&partition->write_lock);
    tell_slot(partition, slot, status, bytes, tombstone_bytes);
    bc_fair_unlock(&partition->write_lock);
    bc_segment_unref(&segment);
    return status;
}

bc_status bc_partition_hint_slot_locked(struct bc_partition *partition, uint32_t slot)
{
    struct bc_segment *segment = partition->slots[slot].segment;
    uint64_t bytes = 0, tombstone_bytes = 0;
    bc_status status = make_hint(partition, segment, segment->end, &bytes, &tombstone_bytes);

    tell_slot(partition, slot, status, bytes, tombstone_bytes);
    return status;
}

void bc_partition_want_hints(struct bc_partition *partition)
{
    if (partition->env->read_only) return;
    atomic_store(&partition->hints_wanted, true);
    if (partition->env->hints_wanted) atomic_store(partition->env->hints_wanted, true);
}

/* The next sealed slot at or behind *slot that lacks a hint. */
static bool next_without_hint(struct bc_partition *partition, uint32_t *slot)
{
    bool found = false;

    /* write_lock: rotation makes a sealed segment of the active one. */
    bc_fair_lock_soon(&partition->write_lock);
    for (; !found && *slot < partition->slot_count; ++*slot) {
        const struct bc_slot *place = &partition->slots[*slot];
        found = place->segment && !place->segment->memory && place->segment != partition->active &&
                place->hint_bytes == 0 && !place->damaged;
        if (found) break;
    }
    bc_fair_unlock(&partition->write_lock);
    return found;
}

/* A hint that could not be made costs a scan, no more. On a full disk nobody needs to be told so. */
static void note_failure(const struct bc_partition *partition, bc_status status)
{
    if (status == BITCASK_OK || status == BITCASK_NO_SPACE || status == BITCASK_QUOTA) return;
    bc_env_log(partition->env, BITCASK_LOG_WARNING, "a hint could not be made: %s", bc_detail_of(status));
}

void bc_partition_make_hints(struct bc_partition *partition)
{
    if (partition->env->read_only || atomic_load(&partition->poisoned)) return;
    if (!atomic_exchange(&partition->hints_wanted, false)) return;
    if (pthread_mutex_trylock(&partition->files_lock) != 0) {
        /* A merge is at work, and makes those that it needs; the rest comes later. */
        bc_partition_want_hints(partition);
        return;
    }
    if (bc_merge_finish(partition) == BITCASK_OK) {
        for (uint32_t slot = 0; next_without_hint(partition, &slot); slot++) {
            bc_status status = bc_partition_hint_slot(partition, slot);

            note_failure(partition, status);
            if (status == BITCASK_NO_MEMORY) bc_partition_want_hints(partition);
        }
        bc_checkpoint_if_due(partition);
    } else {
        /* Two segments have a claim to the name of one hint. Another time. */
        bc_partition_want_hints(partition);
        bc_detail_clear();
    }
    pthread_mutex_unlock(&partition->files_lock);
}

void bc_partition_hint_active(struct bc_partition *partition, bool brief)
{
    struct bc_segment *active = partition->active;
    uint64_t end = active ? active->end : 0, bytes = 0;
    bool sealed = false;

    if (!active || partition->slots[partition->active_slot].damaged) return;
    if (partition->carry_size > 0) end = partition->carry_from; /* the closing mark will be there again */
    for (uint32_t i = 0; i < partition->slot_count; i++)
        if (partition->slots[i].segment && i != partition->active_slot) sealed = true;
    if (end == partition->active_hinted || end <= active->header_size) return;
    if (end <= SMALL_LOG && !sealed) return;
    if (brief && end - partition->active_hinted < BRIEF_LEAST + end / BRIEF_SHARE) return;
    note_failure(partition, bc_partition_make_hint(partition, active, end, &bytes));
}
