/* recover.c - opening a partition after whatever happened: from data files to index, tail cut, damage reported.
 *
 * Pages that were not synced reach the disk in any order, so after a power cut a bad stretch with good records behind
 * it is normal in the unsynced part of the log, and corruption in the synced part. The marks in the log say how far
 * it was synced (record flag DURABLE, or a mark record). So the active segment is read to its end: the first bad
 * stretch at or behind the last stated length is the torn tail, and everything from there is cut off; one before it is
 * damage, left as it is, counted and reported. A sealed segment is durable as a whole: nothing in it is ever cut.
 */
#include "partition/recover.h"

#include <stdlib.h>

#include "partition/load.h"

/* ---- the active segment ---- */

/* What a first reading of the active segment found. */
struct tail {
    uint64_t stated;       /* the last length that a mark in what was read states; else that of the header */
    uint64_t durable;      /* that, or where the hint ends, which was made when all before was durable */
    uint64_t end;          /* where the log ends: bytes from here are cut off */
    uint64_t applied_to;   /* records before this are in the index already */
    uint64_t closing_mark; /* offset of a closing mark that is the last record, else 0 */
    bool zeros;            /* the log ends where zeros begin: room that was laid out in advance, or was never written */
    uint64_t last_record;  /* of the last record but such a mark, 0: none was seen */
    bool damaged;          /* something bad was seen: the rest is to be loaded from applied_to */
};

static void note_marks(struct tail *tail, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    uint64_t stated = 0;

    tail->closing_mark = 0;
    if (record->flags & BC_RECORD_DURABLE) stated = item->offset;
    if (bc_record_is_mark(record) && record->value_size == 8 && record->value) {
        uint64_t value = bc_get_u64(record->value);
        if (value <= item->offset && value > stated) stated = value;
        if (value == item->offset) tail->closing_mark = item->offset;
    }
    if (tail->closing_mark == 0) tail->last_record = item->offset;
    if (stated > tail->stated) tail->stated = stated;
    if (stated > tail->durable) tail->durable = stated;
}

/* Reads the active segment to its end, from where a hint or a checkpoint ends; it is durable up to there at least.
 * Records go to the index as long as nothing bad was seen; from then on only marks and bad stretches are noted, since what lies behind may be cut off.
 *
 * A writer beside a reader may write while this goes on, where zeros were read a moment ago: a bad stretch, with a mark
 * behind it. All before that mark was there when it was written, so that reading again what is in doubt finds it. */
static bc_status read_active(struct bc_loader *loader, uint64_t from, uint64_t durable, struct tail *tail)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item = {0};
    uint64_t *bad = NULL; /* offsets of bad stretches */
    size_t bad_count = 0, bad_room = 0;
    bc_status status;

    *tail = (struct tail){.stated = loader->segment->header_size, .durable = durable,
        .end = loader->segment->end,
        .last_record = tail->last_record};
    status = bc_scan_open(loader->segment, from, tail->end, &scan);
    while (status == BITCASK_OK && (status = bc_scan_next(scan, &item)) == BITCASK_OK && item.kind != BC_SCAN_END) {
        if (item.kind == BC_SCAN_ZEROS) {
            tail->end = item.offset;
            tail->zeros = true;
            break;
        }
        if (item.kind == BC_SCAN_RECORD && !bc_is_hostile(&item)) {
            note_marks(tail, &item);
            if (!tail->damaged) status = bc_loader_take(loader, &item);
            continue;
        }
        if (!tail->damaged) tail->applied_to = loader->count > 0 ? loader->batch[0].offset : item.offset;
        tail->damaged = true;
        tail->closing_mark = 0;
        if (bad_count == bad_room) {
            void *more = realloc(bad, (bad_room = bad_room ? bad_room * 2 : 16) * sizeof *bad);
            if (!more) {
                status = BITCASK_NO_MEMORY;
                break;
            }
            bad = more;
        }
        bad[bad_count++] = item.offset;
    }
    /* Not where the file ended when it was opened: a writer beside us may have sealed it since, and cut what it had laid
     * out for later. */
    if (status == BITCASK_OK && item.kind == BC_SCAN_END) tail->end = item.offset;
    for (size_t i = bad_count; i > 0 && bad[i - 1] >= tail->durable; i--) {
        tail->end = bad[i - 1];
        tail->zeros = false;
    }
    if (tail->damaged) {
        loader->count = 0;
        bc_buffer_reset(&loader->bytes);
    } else if (loader->count > 0) {
        tail->end = loader->batch[0].offset; /* a batch without its end was never acknowledged */
        tail->zeros = false;
        loader->count = 0;
    }
    free(bad);
    bc_scan_close(&scan);
    return status;
}

/* Writes the bytes from `from` to the end once more. They were read back from the page cache, which after a failed
 * write-back may hold what the disk does not; once rewritten and synced they are on both. */
static bc_status rewrite(struct bc_segment *segment, uint64_t from)
{
    const size_t window = 1024 * 1024;
    uint8_t *bytes = malloc(window);
    bc_status status = bytes ? BITCASK_OK : BITCASK_NO_MEMORY;

    while (status == BITCASK_OK && from < segment->end) {
        size_t size = segment->end - from < window ? (size_t)(segment->end - from) : window;
        struct iovec iov = {bytes, size};

        status = bc_segment_read_raw(segment, from, bytes, size);
        if (status == BITCASK_OK) status = bc_io_write(segment->io, segment->fd, segment->name, &iov, 1, from);
        from += size;
    }
    free(bytes);
    return status;
}

/* Makes the file end where the log ends, and what was not synced before durable, before anything is appended: else
 * what is cut off now could come back behind later records at the next power cut, and what was read and acted upon
 * could be gone. On a disk that refuses writes nothing is appended, and nothing acted upon: it can be read. */
static bc_status settle_tail(struct bc_partition *partition, struct tail *tail, uint64_t file_size)
{
    struct bc_segment *active = partition->active;
    bool closed = tail->closing_mark > 0 && tail->closing_mark == tail->durable &&
                  tail->end - tail->closing_mark <= sizeof partition->carry;
    bc_status status = BITCASK_OK;

    active->end = tail->end;
    if (!partition->env->read_only) active->room = partition->env->segment_size;
    /* Not what the hint says: a hint may be gone at the next open, and then only marks keep rot from being taken for a
     * torn tail. So the next append states it anew. */
    partition->marked = tail->stated;
    partition->synced = tail->durable;
    if (partition->env->read_only) return BITCASK_OK;
    partition->allocated = partition->file_end = tail->end;
    if (atomic_load(&partition->poisoned)) return BITCASK_OK;
    if (file_size > tail->end) {
        bc_env_log(partition->env, BITCASK_LOG_INFO, "partition '%s': %s: cut off %llu bytes %s", partition->label,
                   active->name, (unsigned long long)(file_size - tail->end),
                   tail->zeros ? "laid out for later writes" : "of an unfinished write");
        status = bc_io_truncate(active->io, active->fd, active->name, tail->end);
    }
    if (status == BITCASK_OK && closed) {
        /* Of the mark itself nothing depends: it is written again with the next append, see write_out(). */
        partition->carry_from = tail->closing_mark;
        partition->carry_size = (size_t)(tail->end - tail->closing_mark);
        status = bc_segment_read_raw(active, partition->carry_from, partition->carry, partition->carry_size);
    } else if (status == BITCASK_OK && tail->durable < tail->end) {
        status = rewrite(active, tail->durable);
    }
    if (status == BITCASK_OK && (file_size > tail->end || (!closed && tail->durable < tail->end)))
        status = bc_io_sync(active->io, active->fd, active->name);
    if (bc_partition_serve_reads(partition, status)) return BITCASK_OK;
    if (status == BITCASK_OK) partition->synced = tail->end;
    /* A log that never saw a completed sync may stand in a directory that was never synced. */
    if (tail->durable <= active->header_size) bc_partition_names_changed(partition);
    return status;
}

/* Loads the keys that the segment's hint names, if there is one, unless the rest of the log behind *from is shorter.
 * *from: where the hint ends, if it ends behind that. exact: the hint of a sealed segment. */
static bc_status load_hint_from(struct bc_loader *loader, bool exact, uint64_t *from)
{
    struct bc_partition *partition = loader->partition;
    struct bc_slot *slot = &partition->slots[loader->slot];
    struct bc_hint *hint = NULL;
    uint64_t hinted;
    bc_status status = bc_load_open_hint(partition, loader->segment, exact, &hint);

    if (status == BITCASK_NO_MEMORY) return status;
    if (status != BITCASK_OK) {
        bc_detail_clear(); /* no failure of whoever asked: there is another way */
        return BITCASK_OK;
    }
    hinted = bc_hint_head(hint)->data_size;
    /* What it names in front of *from is in the index already, or was: the last record of a key in this segment, it
     * comes out right. */
    if (hinted > *from && (*from == loader->segment->header_size || hinted - *from > bc_hint_file_size(hint))) {
        status = bc_load_hint(partition, loader->slot, hint);
        if (status == BITCASK_OK) *from = hinted;
    }
    if (status == BITCASK_OK) {
        if (!exact) partition->active_hinted = hinted;
        slot->hint_bytes = bc_hint_file_size(hint);
    }
    bc_hint_close(&hint);
    return status == BITCASK_CORRUPT || status == BITCASK_IO ? BITCASK_OK : status;
}

bc_status bc_recover_active(struct bc_partition *partition, uint32_t slot, const struct bc_replay *replay)
{
    struct bc_segment *segment = partition->slots[slot].segment;
    struct bc_loader loader = {.partition = partition, .segment = segment, .slot = slot};
    uint64_t file_size = segment->end, from = segment->header_size, durable;
    struct tail tail = {0};
    bc_status status;

    partition->slots[slot].hint_bytes = 0;
    if (replay && replay->from.segment_id == segment->segment_id) from = replay->from.offset;
    status = load_hint_from(&loader, false, &from);
    durable = from;
    if (replay && replay->durable.segment_id == segment->segment_id) {
        tail.last_record = replay->last_record;
        if (replay->durable.offset > durable) durable = replay->durable.offset;
    }
    if (status == BITCASK_OK) status = read_active(&loader, from, durable, &tail);
    if (status == BITCASK_OK && tail.damaged && tail.applied_to < tail.end)
        status = bc_loader_load(&loader, tail.applied_to, &tail.end, tail.durable);
    bc_loader_release(&loader);
    if (status != BITCASK_OK) return status;
    partition->active = segment;
    partition->active_slot = slot;
    partition->last_record = tail.last_record < tail.end ? tail.last_record : 0;
    return settle_tail(partition, &tail, file_size);
}

bc_status bc_recover_rest(struct bc_partition *partition, uint32_t slot, const struct bc_replay *replay)
{
    struct bc_segment *segment = partition->slots[slot].segment;
    struct bc_loader loader = {.partition = partition, .segment = segment, .slot = slot};
    uint64_t from = replay->from.offset, end = segment->end;
    bc_status status;

    partition->slots[slot].hint_bytes = 0;
    status = load_hint_from(&loader, true, &from);
    if (status == BITCASK_OK && partition->slots[slot].hint_bytes == 0) bc_partition_want_hints(partition);
    if (status == BITCASK_OK && from < end) status = bc_loader_load(&loader, from, &end, end);
    bc_loader_release(&loader);
    return status;
}

bc_status bc_recover_closed(struct bc_partition *partition, uint32_t slot, uint64_t hinted)
{
    struct bc_segment *segment = partition->slots[slot].segment;
    uint64_t file_size = segment->end;
    struct tail tail = {
        .stated = segment->header_size, .durable = hinted, .end = segment->end, .applied_to = segment->end};

    if (file_size > hinted) {
        tail.closing_mark = hinted;
        tail.stated = hinted;
    }
    partition->active = segment;
    partition->active_slot = slot;
    partition->active_hinted = hinted;
    return settle_tail(partition, &tail, file_size);
}

/* Whether a sealed segment is shorter than its hint says: cut short since. Then the hint knows keys that the data do not
 * any more; without them their older values, or deleted ones, would come back. */
static bool open_longer_hint(const struct bc_partition *partition, const struct bc_segment *segment,
                             struct bc_hint **hint)
{
    struct bc_hint_head wanted = {
        .segment_id = segment->segment_id, .generation = segment->generation, .data_size = UINT64_MAX};

    if (bc_hint_open(partition->env->io, partition->dir_fd, &wanted, false, hint) != BITCASK_OK) return false;
    if (bc_hint_head(*hint)->data_size > segment->end) return true;
    bc_hint_close(hint);
    return false;
}

static void report_cut(struct bc_partition *partition, uint32_t slot, uint64_t size)
{
    const struct bc_segment *segment = partition->slots[slot].segment;

    partition->slots[slot].damaged = true;
    partition->damaged_regions++;
    bc_env_log(partition->env, BITCASK_LOG_ERROR, "partition '%s': %s: cut short: %llu bytes are left of %llu",
               partition->label, segment->name, (unsigned long long)segment->end, (unsigned long long)size);
}

bc_status bc_recover_sealed(struct bc_partition *partition, uint32_t slot)
{
    struct bc_segment *segment = partition->slots[slot].segment;
    struct bc_loader loader = {.partition = partition, .segment = segment, .slot = slot};
    uint64_t end = segment->end, hinted;
    struct bc_hint *hint = NULL;
    bc_status status = bc_load_open_hint(partition, segment, true, &hint);

    if (status == BITCASK_CORRUPT && open_longer_hint(partition, segment, &hint)) status = BITCASK_OK;
    if (status == BITCASK_OK) {
        status = bc_load_hint(partition, slot, hint);
        if (status == BITCASK_OK) partition->slots[slot].hint_bytes = bc_hint_file_size(hint);
        hinted = bc_hint_head(hint)->data_size;
        bc_hint_close(&hint);
        if (status == BITCASK_OK && hinted > end) report_cut(partition, slot, hinted);
        if (status != BITCASK_CORRUPT && status != BITCASK_IO) return status;
    }
    if (status == BITCASK_NO_MEMORY) return status;
    bc_detail_clear();
    /* No hint, or none to be used. What it has brought in already does no harm: the scan passes over all of it again. */
    partition->slots[slot].tombstone_bytes = 0;
    bc_partition_want_hints(partition);
    status = bc_loader_load(&loader, segment->header_size, &end, end);
    bc_loader_release(&loader);
    return status;
}
