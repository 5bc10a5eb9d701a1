/* cold.c - see cold.h.
 */
#include "partition/cold.h"

#include <string.h>

#include "base/clock.h"

#include "index/index.h"
#include "log/hint.h"
#include "partition/checkpoint.h"
#include "partition/load.h"

#define HOT_LEAST 1000u /* look-ups that read something, before the index is built */
#define HOT_SHARE 16u   /* and one for so many keys: loading a key costs about a sixteenth of such a look-up */

/* Whether nothing is behind the hinted part of the active segment but the mark of a clean close. */
static bool ends_in_mark(struct bc_segment *segment, uint64_t hinted)
{
    struct bc_buffer buffer = {0};
    struct bc_record record;
    uint8_t value[8];
    bool mark = false;

    if (hinted == segment->end) return true;
    if (segment->end - hinted > BC_RECORD_HEAD_SIZE + 2 + sizeof value) return false;
    if (bc_segment_read_front(segment, hinted, &buffer, &record) == BITCASK_OK && bc_record_is_mark(&record) &&
        record.value_size == sizeof value && hinted + bc_record_size(&record) == segment->end &&
        bc_segment_read_value(segment, hinted, &record, value) == BITCASK_OK)
        mark = bc_get_u64(value) == hinted;
    bc_buffer_release(&buffer);
    return mark;
}

void bc_cold_release(struct bc_partition *partition)
{
    for (uint32_t i = 0; i < partition->slot_count; i++) bc_hint_close(&partition->slots[i].hint);
    atomic_store_explicit(&partition->hint_memory, 0, memory_order_relaxed);
}

static bool open_hint(struct bc_partition *partition, uint32_t slot, bool active)
{
    struct bc_slot *place = &partition->slots[slot];
    struct bc_segment *segment = place->segment;
    const struct bc_hint_head *head,
        wanted = {.segment_id = segment->segment_id, .generation = segment->generation, .data_size = segment->end};

    if (active && segment->end == segment->header_size) return true;
    /* What is wrong with one is told when the segment is loaded without it. */
    if (bc_hint_open(partition->env->io, partition->dir_fd, &wanted, !active, &place->hint) != BITCASK_OK) return false;
    head = bc_hint_head(place->hint);
    if (active && !ends_in_mark(segment, head->data_size)) return false;
    place->hint_bytes = bc_hint_file_size(place->hint);
    place->tombstone_bytes = head->tombstone_bytes;
    partition->cold_keys += head->keys;
    partition->hint_memory += bc_hint_memory(place->hint);
    if (head->last_version > partition->last_version) partition->last_version = head->last_version;
    return true;
}

bc_status bc_cold_open(struct bc_partition *partition, bool has_active, bool *cold, bool *bad)
{
    uint32_t count = partition->by_age_count, newest = count > 0 ? partition->by_age[count - 1] : 0;
    uint32_t sealed = has_active ? count - 1 : count;
    uint64_t last_version = partition->last_version, hinted;
    /* The active one first: after a crash it has none, and the others need not be looked at twice. */
    bool all = count > 0 && (!has_active || open_hint(partition, newest, true));

    for (uint32_t i = 0, look = all ? sealed : 0; i < look; i++) {
        if (open_hint(partition, partition->by_age[i], false)) continue;
        bad[partition->by_age[i]] = true;
        all = false;
    }
    bc_detail_clear();
    *cold = all;
    if (!all) {
        bc_cold_release(partition);
        partition->cold_keys = 0;
        for (uint32_t i = 0; i < partition->slot_count; i++)
            partition->slots[i].hint_bytes = partition->slots[i].tombstone_bytes = 0;
        partition->last_version = last_version;
        return BITCASK_OK;
    }
    atomic_store(&partition->cold, true);
    if (!has_active) return BITCASK_OK;
    hinted = partition->slots[newest].hint ? bc_hint_head(partition->slots[newest].hint)->data_size
                                           : partition->slots[newest].segment->header_size;
    return bc_recover_closed(partition, newest, hinted);
}

bc_status bc_cold_find(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry)
{
    uint64_t hash = bc_hash_key(key, key_size);
    struct bc_buffer buffer = {0};
    bc_status status = BITCASK_NOT_FOUND;

    /* The newest first: the first that knows the key has its last record. */
    for (uint32_t i = partition->by_age_count; i-- > 0 && status == BITCASK_NOT_FOUND;) {
        uint32_t slot = partition->by_age[i];
        const struct bc_hint *hint = partition->slots[slot].hint;
        struct bc_hint_entry hinted;

        if (!hint) continue; /* nothing in it */
        if (!bc_hint_may_contain(hint, hash)) {
            partition->bloom_misses++;
            continue;
        }
        partition->bloom_hits++;
        partition->cold_reads++;
        status = bc_hint_find(hint, key, key_size, &buffer, &hinted);
        if (status != BITCASK_OK) continue;
        if (hinted.flags & BC_HINT_TOMBSTONE) {
            status = BITCASK_NOT_FOUND;
            break;
        }
        if (entry) bc_entry_from_hint(slot, &hinted, entry);
    }
    bc_buffer_release(&buffer);
    if (status != BITCASK_OK && status != BITCASK_NOT_FOUND) atomic_store(&partition->distrust_hints, true);
    return status;
}

bool bc_cold_is_hot(const struct bc_partition *partition)
{
    return partition->cold_reads > HOT_LEAST + partition->cold_keys / HOT_SHARE;
}

/* ---- getting warm ---- */

/* Loads one segment of a cold partition, from the hint that is open, else from its data. */
static bc_status warm_slot(struct bc_partition *partition, uint32_t slot)
{
    struct bc_segment *segment = partition->slots[slot].segment;
    struct bc_loader loader = {.partition = partition, .segment = segment, .slot = slot};
    uint64_t end = segment->end;
    bc_status status = BITCASK_OK;

    if (partition->slots[slot].hint) status = bc_load_hint(partition, slot, partition->slots[slot].hint);
    if (status != BITCASK_CORRUPT && status != BITCASK_IO) return status;
    partition->slots[slot].hint_bytes = partition->slots[slot].tombstone_bytes = 0;
    if (segment == partition->active)
        partition->active_hinted = 0;
    else
        bc_partition_want_hints(partition);
    status = bc_loader_load(&loader, segment->header_size, &end, end);
    bc_loader_release(&loader);
    return status;
}

/* Loads the checkpoint that was found to fit at open. It may be another one by now: a writer goes on beside a reader. */
static bool load_checkpoint(struct bc_partition *partition, struct bc_replay *replay)
{
    struct bc_checkpoint *checkpoint = NULL;
    bool loaded = false;

    /* Where a hint cannot be read any more all are read, to find those that must be made anew. */
    if (partition->checkpoint.id == 0 || atomic_load(&partition->distrust_hints)) return false;
    if (bc_checkpoint_open(partition->env->io, partition->dir_fd, &checkpoint) == BITCASK_OK &&
        bc_checkpoint_head(checkpoint)->id == partition->checkpoint.id) {
        bc_checkpoint_load(partition, checkpoint, &loaded);
        *replay = bc_checkpoint_replay(checkpoint);
    }
    /* Of hints those that are open know better. */
    for (uint32_t i = 0; i < partition->slot_count && loaded; i++)
        if (partition->slots[i].hint) partition->slots[i].hint_bytes = bc_hint_file_size(partition->slots[i].hint);
    bc_detail_clear();
    bc_checkpoint_close(&checkpoint);
    if (!loaded) bc_checkpoint_note_open(partition, NULL);
    return loaded;
}

/* Loads what is behind the checkpoint in the segment where it ends: the hint, unless the rest of the log is shorter. */
static bc_status warm_rest(struct bc_partition *partition, uint32_t slot, uint64_t from)
{
    struct bc_segment *segment = partition->slots[slot].segment;
    struct bc_loader loader = {.partition = partition, .segment = segment, .slot = slot};
    const struct bc_hint *hint = partition->slots[slot].hint;
    uint64_t end = segment->end;
    bc_status status;

    if (hint && bc_hint_file_size(hint) < end - from) return warm_slot(partition, slot);
    status = bc_loader_load(&loader, from, &end, end);
    bc_loader_release(&loader);
    if (status == BITCASK_OK && hint) partition->slots[slot].tombstone_bytes = bc_hint_head(hint)->tombstone_bytes;
    return status;
}

/* An earlier try may have failed half-way: what it left is given up, once there is another one. */
static bc_status renew_index(struct bc_partition *partition)
{
    struct bc_index *before = partition->index;
    bc_status status = bc_partition_new_index(partition);

    if (status == BITCASK_OK) bc_index_close(&before);
    else partition->index = before; /* there always is one: who adds up figures looks at it */
    return status;
}

bc_status bc_partition_warm_locked(struct bc_partition *partition)
{
    struct bc_replay replay;
    uint64_t began_ns;
    bool loaded;
    bc_status status = BITCASK_OK;

    if (!atomic_load(&partition->cold)) return BITCASK_OK;
    began_ns = bc_monotonic_ns();
    status = renew_index(partition);
    for (uint32_t i = 0; i < partition->slot_count; i++)
        partition->slots[i].live_bytes = partition->slots[i].live_keys = 0;
    loaded = status == BITCASK_OK && load_checkpoint(partition, &replay);
    /* Readers go on meanwhile: they look at hints and segments, which stay, and not at index and counts. */
    for (uint32_t i = 0; i < partition->by_age_count && status == BITCASK_OK; i++) {
        uint32_t slot = partition->by_age[i], id = partition->slots[slot].segment->segment_id;

        if (!loaded || id > replay.from.segment_id) status = warm_slot(partition, slot);
        else if (id == replay.from.segment_id) status = warm_rest(partition, slot, replay.from.offset);
    }
    if (status != BITCASK_OK) return status;
    /* Who holds the lock still looks into the hints; who comes later finds the index. */
    pthread_rwlock_wrlock(&partition->cold_lock);
    atomic_store_explicit(&partition->cold, false, memory_order_release);
    bc_cold_release(partition);
    pthread_rwlock_unlock(&partition->cold_lock);
    bc_partition_drop_unmapped(partition);
    bc_partition_count_memory(partition);
    bc_partition_count_open(partition, began_ns);
    return BITCASK_OK;
}

bc_status bc_partition_warm(struct bc_partition *partition)
{
    bc_status status = BITCASK_OK;

    if (!atomic_load_explicit(&partition->cold, memory_order_acquire)) return BITCASK_OK;
    bc_fair_lock_soon(&partition->write_lock);
    status = bc_partition_warm_locked(partition);
    bc_fair_unlock(&partition->write_lock);
    return status;
}
