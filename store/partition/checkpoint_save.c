/* checkpoint_save.c - writing a checkpoint, beside readers and a writer that go on.
 *
 * Invariant: a checkpoint gets its name only when the log is durable up to its end. What else may go wrong costs the
 * checkpoint, never a write, a deletion, or a close: on a full disk there is none.
 */
#include "partition/checkpoint.h"
#include "partition/merge.h"

#include <stdlib.h>
#include <string.h>

#include "index/image.h"
#include "log/scan.h"

#define CLOSE_SHARE 32u /* of its size, that the log must have grown by to make a new one worth it at a close, */
#define BRIEF_SHARE 4u  /* and at a brief one: replaying costs some three times as much a byte as loading does */

struct bc_checkpoint_limits bc_checkpoint_limits = {.keys = 256, .least = 64 * 1024, .growth = 32 * 1024 * 1024};

struct saving {
    struct bc_partition *partition;
    struct bc_checkpoint_head head;
    struct bc_checkpoint_slot *slots;
    uint32_t slot_room;
    uint32_t slot_count; /* as of the end */
    int64_t from;        /* position of the tail */
    uint64_t end_position;
    struct bc_segment *last; /* the one that is active at the end; reference held */
    struct bc_buffer image_head;
    bool no_memory; /* for a slot that came meanwhile */
    bool nothing;   /* is to be saved, or can be */
};

/* ---- under write_lock ---- */

static bool has_room(struct saving *saving, uint32_t slot)
{
    uint32_t room = saving->slot_room;
    struct bc_checkpoint_slot *moved;

    if (slot < room) return true;
    while (room <= slot) room = room ? room * 2 : 16;
    moved = realloc(saving->slots, room * sizeof *moved);
    if (!moved) {
        saving->no_memory = true;
        return false;
    }
    memset(moved + saving->slot_room, 0, (room - saving->slot_room) * sizeof *moved);
    saving->slots = moved;
    saving->slot_room = room;
    return true;
}

/* Whether this partition can have a checkpoint now. Of a damaged one there is to be none: it would hide the damage from
 * the next open. */
static bool can_be_saved(const struct bc_partition *partition)
{
    uint32_t used = 0;

    if (!partition->active || partition->dropped || atomic_load(&partition->poisoned) ||
        partition->damaged_regions > 0 || atomic_load(&partition->cold))
        return false;
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        const struct bc_slot *slot = &partition->slots[i];
        if (slot->segment && (slot->segment->memory || slot->damaged)) return false;
        used += slot->segment != NULL;
    }
    return partition->slot_count <= used + BC_CHECKPOINT_FREE_SLOTS_MAX;
}

/* Where the log stands before the first shard is copied. The numbers of tombstones are of this moment, since the replay
 * counts from here on. */
static bc_status note_tail(struct saving *saving)
{
    struct bc_partition *partition = saving->partition;
    uint64_t end = bc_partition_log_end(partition);

    saving->nothing = !can_be_saved(partition);
    if (saving->nothing) return BITCASK_OK;
    if (!has_room(saving, partition->slot_count)) return BITCASK_NO_MEMORY;
    saving->head.tail = (struct bc_log_place){partition->active->segment_id, end};
    saving->from = (int64_t)(partition->position_base + end);
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        saving->slots[i].tombstone_bytes = partition->slots[i].tombstone_bytes;
        saving->slots[i].hint_bytes = partition->slots[i].hint_bytes;
        saving->slots[i].tombstones_due = partition->slots[i].tombstones_due;
    }
    return BITCASK_OK;
}

/* Where it stands behind the last one. */
static bc_status note_end(struct saving *saving)
{
    struct bc_partition *partition = saving->partition;
    uint64_t end = bc_partition_log_end(partition);

    saving->nothing = !can_be_saved(partition);
    if (saving->nothing) return BITCASK_OK;
    if (!has_room(saving, partition->slot_count)) return BITCASK_NO_MEMORY;
    saving->slot_count = partition->slot_count;
    saving->head.partition_id = partition->id;
    saving->head.last_version = partition->last_version;
    saving->head.end = (struct bc_log_place){partition->active->segment_id, end};
    saving->head.last_record = partition->last_record;
    saving->end_position = partition->position_base + end;
    saving->last = bc_segment_ref(partition->active);
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        const struct bc_segment *segment = partition->slots[i].segment;
        struct bc_checkpoint_slot *slot = &saving->slots[i];

        if (!segment) continue;
        slot->segment_id = segment->segment_id;
        slot->lowest_id = segment->lowest_id;
        slot->generation = segment->generation;
        slot->size = segment == partition->active ? end : segment->end;
    }
    return bc_image_head(partition->index, &saving->image_head);
}

static void add_up(void *context, const struct bc_entry *entry, size_t key_size)
{
    struct saving *saving = context;

    (void)key_size;
    if (!has_room(saving, entry->slot)) return;
    saving->slots[entry->slot].live_bytes += entry->record_size;
    saving->slots[entry->slot].live_keys++;
    saving->head.keys++;
}

/* ---- what is done without it ---- */

/* Shard by shard, so that a writer waits for one at most. */
static bc_status write_blocks(struct saving *saving, struct bc_checkpoint_writer *writer)
{
    struct bc_partition *partition = saving->partition;
    struct bc_image_cursor cursor = {0};
    struct bc_buffer block = {0};
    bc_status status = BITCASK_OK;

    while (status == BITCASK_OK) {
        bc_buffer_reset(&block);
        bc_fair_lock_soon(&partition->write_lock);
        saving->nothing = partition->dropped;
        if (!saving->nothing) status = bc_image_next(partition->index, &cursor, &block, add_up, saving);
        bc_fair_unlock(&partition->write_lock);
        if (saving->nothing) break; /* somebody waits for it to be let go */
        if (status == BITCASK_OK && saving->no_memory) status = BITCASK_NO_MEMORY;
        if (status == BITCASK_OK) status = bc_checkpoint_writer_add(writer, block.data, block.size);
    }
    bc_buffer_release(&block);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

/* The front of the record that ends where the checkpoint does; NOT_FOUND: the one that is thought to be that is not. */
static bc_status read_last(struct saving *saving)
{
    struct bc_checkpoint_head *head = &saving->head;
    struct bc_buffer buffer = {0};
    struct bc_record record;
    bc_status status = BITCASK_NOT_FOUND;

    if (head->last_record > 0 && head->last_record < head->end.offset)
        status = bc_segment_read_front(saving->last, head->last_record, &buffer, &record);
    if (status == BITCASK_OK && head->last_record + bc_record_size(&record) != head->end.offset)
        status = BITCASK_NOT_FOUND;
    if (status == BITCASK_OK) memcpy(head->last_front, buffer.data, sizeof head->last_front);
    bc_buffer_release(&buffer);
    return status == BITCASK_OK || status == BITCASK_NO_MEMORY ? status : BITCASK_NOT_FOUND;
}

/* Finds that record. Where the log was loaded from a hint nobody has seen it: then the segment is read. */
static bc_status find_last(struct saving *saving)
{
    struct bc_checkpoint_head *head = &saving->head;
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    bc_status status;

    if (head->end.offset == saving->last->header_size) head->last_record = 0;
    if (head->end.offset == saving->last->header_size) return BITCASK_OK;
    status = read_last(saving);
    if (status != BITCASK_NOT_FOUND) return status;
    bc_detail_clear();
    status = bc_scan_open(saving->last, saving->last->header_size, head->end.offset, &scan);
    while (status == BITCASK_OK && (status = bc_scan_next(scan, &item)) == BITCASK_OK && item.kind != BC_SCAN_END)
        if (item.kind == BC_SCAN_RECORD) head->last_record = item.offset;
    bc_scan_close(&scan);
    if (status == BITCASK_OK) status = read_last(saving);
    if (status != BITCASK_NOT_FOUND) return status;
    return bc_fail(BITCASK_CORRUPT, "%s: no record ends where the log does", saving->last->name);
}

static bc_status write_all(struct saving *saving, struct bc_checkpoint_writer **writer, uint64_t *id, uint64_t *bytes)
{
    struct bc_partition *partition = saving->partition;
    bc_status status = write_blocks(saving, *writer);

    if (status != BITCASK_OK || saving->nothing) return status;
    bc_fair_lock_soon(&partition->write_lock);
    status = note_end(saving);
    bc_fair_unlock(&partition->write_lock);
    if (status != BITCASK_OK || saving->nothing) return status;
    /* The log first: else a power cut could leave the checkpoint, and of the log that it says is durable a part that is
     * torn. That would be taken for damage, since nothing in front of the end is ever cut off. */
    status = bc_partition_sync_to(partition, saving->end_position);
    if (status == BITCASK_OK) status = find_last(saving);
    if (status != BITCASK_OK) return status;
    return bc_checkpoint_writer_commit(writer, &saving->head, saving->slots, saving->slot_count,
                                       saving->image_head.data, saving->image_head.size, id, bytes);
}

/* ---- all of it ---- */

void bc_checkpoint_set_due(struct bc_partition *partition, int64_t from)
{
    struct bc_checkpoint_state *state = &partition->checkpoint;
    uint64_t growth = bc_checkpoint_limits.growth > state->bytes ? bc_checkpoint_limits.growth : state->bytes;

    /* So that checkpoints never write more than the log does. */
    atomic_store(&state->due, from + (int64_t)growth);
}

static void note_saved(struct saving *saving, bool saved, uint64_t id, uint64_t bytes)
{
    struct bc_partition *partition = saving->partition;
    struct bc_checkpoint_state *state = &partition->checkpoint;

    bc_fair_lock_soon(&partition->write_lock);
    if (saved) {
        state->id = id;
        state->bytes = bytes;
        state->from = saving->from;
    }
    /* Also after a failure: what fails now, on a full disk, is not tried again at once. */
    bc_checkpoint_set_due(partition, (int64_t)(partition->position_base + bc_partition_log_end(partition)));
    if (saved) bc_checkpoint_set_due(partition, state->from);
    bc_fair_unlock(&partition->write_lock);
}

bc_status bc_checkpoint_save(struct bc_partition *partition)
{
    struct saving saving = {.partition = partition};
    struct bc_checkpoint_writer *writer = NULL;
    uint64_t id = 0, bytes = 0;
    bool saved;
    bc_status status = bc_merge_finish(partition); /* what it names must be there at the next open */

    if (status != BITCASK_OK) return status;
    bc_fair_lock_soon(&partition->write_lock);
    status = note_tail(&saving);
    bc_fair_unlock(&partition->write_lock);
    if (status == BITCASK_OK && !saving.nothing)
        status = bc_checkpoint_writer_open(partition->env->io, partition->dir_fd, &writer);
    if (writer) status = write_all(&saving, &writer, &id, &bytes);
    saved = status == BITCASK_OK && id != 0;
    bc_checkpoint_writer_abort(&writer);
    note_saved(&saving, saved, id, bytes);
    bc_segment_unref(&saving.last);
    bc_buffer_release(&saving.image_head);
    free(saving.slots);
    return status;
}

static void save_and_log(struct bc_partition *partition)
{
    bc_status status = bc_checkpoint_save(partition);

    /* On a full disk nobody needs to be told so. */
    if (status != BITCASK_OK && status != BITCASK_NO_SPACE && status != BITCASK_QUOTA)
        bc_env_log(partition->env, BITCASK_LOG_WARNING, "partition '%s': no checkpoint of its index could be made: %s",
                   partition->label, bc_detail());
    bc_detail_clear();
}

void bc_checkpoint_at_close(struct bc_partition *partition, bool brief)
{
    const struct bc_checkpoint_state *state = &partition->checkpoint;
    int64_t now = (int64_t)(partition->position_base + bc_partition_log_end(partition));
    uint64_t log = 0, worth = state->bytes / (brief ? BRIEF_SHARE : CLOSE_SHARE);

    if (atomic_load(&partition->cold)) return; /* and there may be no index at all */
    for (uint32_t i = 0; i < partition->slot_count; i++)
        if (partition->slots[i].segment) log += partition->slots[i].segment->end;
    if (worth < bc_checkpoint_limits.least) worth = bc_checkpoint_limits.least;
    if (log < bc_checkpoint_limits.least || bc_index_count(partition->index) < bc_checkpoint_limits.keys) return;
    if (brief && now == state->opened_at) return;
    if (state->id != 0 && now - state->from < (int64_t)worth) return;
    save_and_log(partition);
}

void bc_checkpoint_if_due(struct bc_partition *partition)
{
    bool due;

    if (!partition->env->hints_wanted) return; /* nobody comes by: at close, then */
    bc_fair_lock_soon(&partition->write_lock);
    due = (int64_t)bc_partition_position(partition) >= atomic_load(&partition->checkpoint.due);
    bc_fair_unlock(&partition->write_lock);
    if (due) save_and_log(partition);
}

void bc_checkpoint_note_growth(struct bc_partition *partition, uint64_t position)
{
    if (partition->env->hints_wanted && (int64_t)position >= atomic_load(&partition->checkpoint.due))
        bc_partition_want_hints(partition);
}

void bc_checkpoint_after_merge(struct bc_partition *partition, uint64_t written)
{
    struct bc_checkpoint_state *state = &partition->checkpoint;

    bc_fair_lock_soon(&partition->write_lock);
    state->id = 0;
    state->from -= (int64_t)written;
    bc_checkpoint_set_due(partition, state->from);
    bc_fair_unlock(&partition->write_lock);
    /* Not synced: it names generations that are gone, so that it serves nobody who finds it after a power cut, or only
     * where the merge has not come to pass either. */
    (void)bc_io_unlink(partition->env->io, partition->dir_fd, BC_CHECKPOINT_NAME);
    bc_detail_clear();
}
