/* segment_set.c - the segments of a partition: adding one, making the active one, sealing it, room on disk.
 *
 * Invariant: segment ids only grow, and a segment is durable before the first byte of the next is written; so a
 * power cut never leaves a later segment without what an earlier one held.
 */
#include "partition/partition.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define GROWTH_MAX (1024u * 1024u)
/* Bytes that only deletions may use, so that a full disk can be emptied: for each key, within limits. */
#define RESERVE_A_KEY 64u
#define RESERVE_LEAST 512u
#define RESERVE_MOST 65536u

/* ---- the slots ---- */

/* An array of slots with what its end needs. */
struct slot_array {
    struct bc_retired retired;
    struct bc_slot list[];
};

static void free_slots(struct bc_retired *retired)
{
    free(retired); /* its first member */
}

static struct bc_retired *retired_of(struct bc_slot *slots)
{
    return (struct bc_retired *)(void *)((char *)slots - offsetof(struct slot_array, list));
}

void bc_partition_release_slots(struct bc_partition *partition)
{
    if (partition->slots) free_slots(retired_of(partition->slots));
}

struct bc_segment *bc_partition_segment_at(const struct bc_partition *partition, uint32_t slot)
{
    /* In this order: of places there are at least as many as were counted before. */
    uint32_t count = atomic_load_explicit(&partition->slot_count, memory_order_acquire);
    const struct bc_slot *slots = atomic_load_explicit(&partition->slots, memory_order_acquire);

    return slot < count ? atomic_load_explicit(&slots[slot].segment, memory_order_acquire) : NULL;
}

/* An array with room for more. Readers may be in the old one, which shows them what it did. */
static bool grow_slots(struct bc_partition *partition)
{
    uint32_t count = partition->slot_count, room = count < 4 ? 4 : count * 2;
    struct bc_slot *old = partition->slots;
    struct slot_array *array = calloc(1, sizeof *array + room * sizeof *array->list);

    if (!array) return false;
    if (count > 0) memcpy(array->list, old, count * sizeof *old);
    atomic_store_explicit(&partition->slots, array->list, memory_order_release);
    partition->slot_room = room;
    if (old) bc_rcu_retire(retired_of(old), free_slots);
    return true;
}

/* Makes a place what it is for segment, or free (NULL). The rest first: it is no reader's, and the writer's own. */
static void set_slot(struct bc_slot *place, struct bc_segment *segment)
{
    place->live_bytes = place->live_keys = place->tombstone_bytes = place->hint_bytes = 0;
    place->hint = NULL;
    place->damaged = place->tombstones_due = false;
    atomic_store_explicit(&place->segment, segment, memory_order_release);
}

bc_status bc_partition_add_slot(struct bc_partition *partition, struct bc_segment *segment, uint32_t *slot)
{
    uint32_t count = partition->slot_count, at = 0;

    while (at < count && partition->slots[at].segment) at++;
    if (at == partition->slot_room && !grow_slots(partition)) return BITCASK_NO_MEMORY;
    set_slot(&partition->slots[at], segment);
    if (at == count) atomic_store_explicit(&partition->slot_count, count + 1, memory_order_release);
    *slot = at;
    return BITCASK_OK;
}

void bc_partition_free_slot(struct bc_partition *partition, uint32_t slot)
{
    struct bc_segment *segment = partition->slots[slot].segment;

    set_slot(&partition->slots[slot], NULL);
    bc_segment_unref(&segment); /* not the last reference: see partition.h */
}

/* ---- the active segment ---- */

void bc_partition_poison(struct bc_partition *partition)
{
    atomic_store(&partition->poisoned, true);
    bc_env_log(partition->env, BITCASK_LOG_ERROR, "partition '%s': %s; it takes no writes until reopened",
               partition->label, bc_detail());
}

bool bc_partition_serve_reads(struct bc_partition *partition, bc_status status)
{
    if (status != BITCASK_IO && status != BITCASK_READ_ONLY) return false;
    bc_partition_poison(partition);
    bc_detail_clear();
    /* What is not known to be durable will not be: whoever syncs is to be told. */
    atomic_store(&partition->dirty, true);
    return true;
}

/* A directory of a thousand files can be emptied without a free block, of a larger one as much at a time: then a merge
 * has something to give back. */
static uint64_t last_reserve(const struct bc_partition *partition)
{
    uint64_t bytes = partition->index ? bc_index_count(partition->index) * (uint64_t)RESERVE_A_KEY : 0;

    return bytes < RESERVE_LEAST ? RESERVE_LEAST : bytes > RESERVE_MOST ? RESERVE_MOST : bytes;
}

/* The file of the next active segment, under a name for the time being, with room laid out behind it. */
static bc_status try_active(struct bc_partition *partition, uint64_t room, struct bc_segment **segment)
{
    struct bc_segment_header header = {
        .segment_id = partition->next_segment_id,
        .lowest_id = partition->next_segment_id,
        .partition_id = partition->id,
        .parent_id = partition->parent_id,
        .last_version = partition->last_version,
    };

    bc_segment_set_path(&header, partition->label);
    return bc_segment_prepare(partition->env->io, partition->dir_fd, &header, room, segment);
}

/* The same at the expense of what is kept for this use. */
static bc_status prepare_active(struct bc_partition *partition, uint64_t room, enum bc_reserve_use use,
                                struct bc_segment **segment)
{
    bc_status status = try_active(partition, room, segment);

    for (uint64_t bytes = room + 2 * BLOCK; bc_is_full(status) && bc_reserve_give(partition->env->reserve, use, bytes);
         bytes *= 2)
        status = try_active(partition, room, segment);
    return status;
}

/* Makes what was prepared active.data, in the open directory. Takes segment over. */
static bc_status begin_active(struct bc_partition *partition, struct bc_segment *segment, uint64_t room)
{
    uint32_t slot;
    uint64_t position = partition->position_base;
    bc_status status = bc_segment_publish(partition->env->io, partition->dir_fd, BC_ACTIVE_NAME, &segment);

    if (status != BITCASK_OK) return status;
    segment->room = partition->env->segment_size;
    status = bc_partition_add_slot(partition, segment, &slot);
    if (status != BITCASK_OK) {
        bc_segment_unref(&segment);
        return status;
    }
    partition->active = segment;
    partition->active_slot = slot;
    partition->next_segment_id++;
    partition->file_end = partition->zeroed = segment->end;
    partition->allocated = segment->end + room;
    partition->no_window = false;
    partition->marked = segment->end;
    partition->carry_size = 0;
    partition->last_record = 0;
    pthread_mutex_lock(&partition->sync_lock);
    if (partition->synced < position + segment->end) partition->synced = position + segment->end; /* just the header */
    pthread_mutex_unlock(&partition->sync_lock);
    return BITCASK_OK;
}

bc_status bc_partition_make_active(struct bc_partition *partition, bool deletion)
{
    struct bc_reserve *reserve = partition->env->reserve;
    struct bc_segment *segment = NULL;
    bc_status status = deletion ? BITCASK_OK : bc_reserve_keep(reserve, 0);

    if (status == BITCASK_OK && partition->dir_fd < 0) {
        status = bc_partition_open_dir(partition->env, partition->id, true, &partition->dir_fd);
        for (uint64_t bytes = BLOCK;
             deletion && bc_is_full(status) && bc_reserve_give(reserve, BC_RESERVE_DELETION, bytes); bytes *= 2)
            status = bc_partition_open_dir(partition->env, partition->id, true, &partition->dir_fd);
    }
    if (status != BITCASK_OK) return status;
    /* The names are synced with the first sync of the log, not here: nothing depends on them before. */
    bc_partition_names_changed(partition);
    status =
        deletion ? prepare_active(partition, 0, BC_RESERVE_DELETION, &segment) : try_active(partition, 0, &segment);
    return status == BITCASK_OK ? begin_active(partition, segment, 0) : status;
}

/* A closing mark found at open, and not followed by anything, was never synced; nor does it count as something to sync.
 * In a sealed segment, which is durable as a whole, a power cut would make rot of it: so it is written and synced
 * with the rest. */
static bc_status settle_carry(struct bc_partition *partition)
{
    struct bc_segment *active = partition->active;
    struct iovec iov = {partition->carry, partition->carry_size};
    bc_status status;

    if (partition->carry_size == 0) return BITCASK_OK;
    status = bc_io_write(partition->env->io, active->fd, active->name, &iov, 1, partition->carry_from);
    if (status == BITCASK_OK) bc_partition_carry_written(partition);
    return status;
}

/* Makes the active segment durable, and its file end where its log ends. Durable before the next segment begins: what
 * follows there must never be there without this. */
static bc_status end_file(struct bc_partition *partition)
{
    struct bc_segment *active = partition->active;
    bc_status status;

    bc_window_drop(partition);
    status = partition->file_end > active->end ? bc_window_cut(partition) : BITCASK_OK;
    /* Cut, the cut synced, and only then renamed: of a cut and a name that are both unsynced a power cut may keep the
     * name, and a sealed segment that ends in zeros is damaged. The same sync makes the records durable. It is done
     * even where all of these are durable already: an earlier process may have cut the file, and never synced that. */
    if (status == BITCASK_OK) status = bc_partition_sync_cut(partition);
    /* Room behind the end of the file is no part of it, whenever it goes. */
    if (status == BITCASK_OK && partition->allocated > active->end) status = bc_window_cut(partition);
    return status;
}

static bc_status rotate(struct bc_partition *partition, bool keep_room)
{
    struct bc_io *io = partition->env->io;
    struct bc_segment *old = partition->active, *next = NULL;
    uint32_t old_slot = partition->active_slot;
    uint64_t room = keep_room && !partition->cannot_allocate ? partition->reserved + last_reserve(partition) : 0;
    char name[16];
    bc_status status = BITCASK_OK;

    /* Not even cut: behind its end a poisoned log may hold what the next open is to find, or never to see again. */
    status = bc_partition_writable(partition);
    /* Before the room behind the old one is given back: the disk may be full, and what was promised must not go to
     * somebody else in between. */
    if (status == BITCASK_OK && keep_room) status = try_active(partition, room, &next);
    if (status == BITCASK_OK) status = settle_carry(partition);
    if (status == BITCASK_OK) status = end_file(partition);
    bc_segment_name(old->segment_id, name);
    if (status == BITCASK_OK) status = bc_io_rename(io, partition->dir_fd, BC_ACTIVE_NAME, name);
    if (status != BITCASK_OK) {
        bc_segment_abandon(io, partition->dir_fd, &next, status);
        return status;
    }
    bc_segment_rename(old, name);
    partition->slots[old_slot].hint_bytes = 0; /* one of its beginning, at most */
    partition->active_hinted = 0;
    partition->position_base += old->end;
    partition->active = NULL;
    bc_partition_want_hints(partition);
    /* The sealed name before the next active.data: else a power cut could leave the new file under the old name. */
    status = bc_io_sync_dir(io, partition->dir_fd, name);
    if (status != BITCASK_OK) {
        bc_partition_poison(partition);
        bc_segment_abandon(io, partition->dir_fd, &next, status);
        return status;
    }
    if (!next) status = prepare_active(partition, 0, BC_RESERVE_MERGE, &next);
    if (status == BITCASK_OK) status = begin_active(partition, next, room);
    if (status != BITCASK_OK) return status; /* the next append tries again */
    /* The new name before the first acknowledged byte in it. */
    status = bc_io_sync_dir(io, partition->dir_fd, BC_ACTIVE_NAME);
    if (status != BITCASK_OK) bc_partition_poison(partition);
    /* Where nobody else comes by to make it. If a merge is at work, it stays wanted. */
    if (status == BITCASK_OK && !partition->env->hints_wanted && pthread_mutex_trylock(&partition->files_lock) == 0) {
        (void)bc_partition_hint_slot_locked(partition, old_slot);
        pthread_mutex_unlock(&partition->files_lock);
    }
    return status;
}

bc_status bc_partition_rotate_keeping_room(struct bc_partition *partition)
{
    return rotate(partition, true);
}

/* Lays out the file from the log's end up to `stop`; where there is no room, at the expense of what is kept for
 * deletions, if they or what was promised may use that. */
static bc_status lay_out(struct bc_partition *partition, uint64_t stop, bool deletion)
{
    struct bc_segment *active = partition->active;
    struct bc_reserve *reserve = partition->env->reserve;
    struct bc_io *io = partition->env->io;
    uint64_t from = partition->allocated > active->end ? partition->allocated : active->end;
    bc_status status = bc_io_allocate(io, active->fd, active->name, active->end, stop - active->end);

    if (deletion && bc_is_full(status))
        deletion = stop <= from || bc_reserve_suffices(reserve, BC_RESERVE_DELETION, stop - from);
    for (uint64_t bytes = BLOCK; deletion && bc_is_full(status) && bc_reserve_give(reserve, BC_RESERVE_DELETION, bytes);
         bytes *= 2)
        status = bc_io_allocate(io, active->fd, active->name, active->end, stop - active->end);
    if (status == BITCASK_OK) partition->allocated = stop;
    return status;
}

bc_status bc_partition_rotate(struct bc_partition *partition)
{
    struct bc_segment *full = partition->active;
    bc_status status = BITCASK_NO_SPACE;

    if (partition->reserved > 0) status = rotate(partition, true);
    if (!bc_is_full(status) || partition->active != full) return status;
    /* Where that could not be found again the segment stays: what was promised would be lost with its room. */
    if (partition->reserved > 0 && !partition->cannot_allocate &&
        !bc_reserve_suffices(partition->env->reserve, BC_RESERVE_DELETION, partition->reserved + 2 * BLOCK))
        return status;
    status = rotate(partition, false);
    /* What was promised comes first, be it at the expense of deletions. If it fails, the writes say so. */
    if (status == BITCASK_OK && partition->reserved > 0 && !partition->cannot_allocate)
        (void)lay_out(partition, partition->active->end + partition->reserved, true);
    return status;
}

static bc_status allocate_room(struct bc_partition *partition, uint64_t bytes, bool deletion)
{
    uint64_t end = partition->active->end, need = end + bytes + partition->reserved, want, more, grown;
    bc_status status = BITCASK_OK;

    if (!deletion) need += last_reserve(partition);
    if (need <= partition->allocated || partition->cannot_allocate) return BITCASK_OK;
    grown = partition->log_bytes - partition->told_bytes;
    partition->told_bytes += grown;
    if (!deletion) status = bc_reserve_keep(partition->env->reserve, (int64_t)grown);
    if (status != BITCASK_OK) return status;
    /* Ahead of the need by half the log, so that a large partition asks seldom and a small one takes a block. */
    more = end / 2 < GROWTH_MAX ? end / 2 : GROWTH_MAX;
    want = (need + (deletion ? last_reserve(partition) : 0) + more + BLOCK - 1) / BLOCK * BLOCK;
    status = lay_out(partition, want, false);
    if (bc_is_full(status)) status = lay_out(partition, need, deletion);
    if (status == BITCASK_UNSUPPORTED) {
        partition->cannot_allocate = true; /* then the write itself says when the disk is full */
        return BITCASK_OK;
    }
    return status;
}

bc_status bc_partition_give_room(struct bc_partition *partition)
{
    struct bc_segment *active = partition->active;
    uint64_t room = partition->reserved > 0 ? partition->reserved + last_reserve(partition) : 0;
    bc_status status = bc_window_cut(partition);

    if (status != BITCASK_OK || room == 0 || partition->cannot_allocate) return status;
    status = bc_io_allocate(partition->env->io, active->fd, active->name, active->end, room);
    if (status == BITCASK_OK) partition->allocated = active->end + room;
    return status;
}

bc_status bc_partition_make_room(struct bc_partition *partition, uint64_t bytes, bool deletion)
{
    bc_status status = allocate_room(partition, bytes, deletion);

    if (status == BITCASK_OK) bc_window_lay(partition, bytes);
    return status;
}
