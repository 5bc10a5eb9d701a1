/* recover.c - opening a partition after whatever happened: from data files to index, tail cut, damage reported.
 *
 * Pages that were not synced reach the disk in any order, so after a power cut a bad stretch with good records behind
 * it is normal in the unsynced part of the log, and corruption in the synced part. The marks in the log say how far
 * it was synced (record flag DURABLE, or a mark record). So the active segment is read to its end: the first bad
 * stretch at or behind the last stated length is the torn tail, and everything from there is cut off; one before it is
 * damage, left as it is, counted and reported. A sealed segment is durable as a whole: nothing in it is ever cut.
 */
#include "partition/partition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "partition/load.h"

/* ---- the active segment ---- */

/* What a first reading of the active segment found. */
struct tail {
    uint64_t durable;      /* the last stated length */
    uint64_t end;          /* where the log ends: bytes from here are cut off */
    uint64_t applied_to;   /* records before this are in the index already */
    uint64_t closing_mark; /* offset of a closing mark that is the last record, else 0 */
    bool damaged;          /* something bad was seen: the rest is to be loaded from applied_to */
};

static void note_marks(struct tail *tail, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    uint64_t stated = 0;

    tail->closing_mark = 0;
    if (record->flags & BC_RECORD_DURABLE) stated = item->offset;
    if (record->key_size == 2 && record->key[0] == 0 && record->key[1] == BC_KEY_MARK && record->value_size == 8 &&
        record->value) {
        uint64_t value = bc_get_u64(record->value);
        if (value <= item->offset && value > stated) stated = value;
        if (value == item->offset) tail->closing_mark = item->offset;
    }
    if (stated > tail->durable) tail->durable = stated;
}

/* Reads the active segment to its end. Records go to the index as long as nothing bad was seen; from then on only
 * marks and bad stretches are noted, since what lies behind may be cut off. */
static bc_status read_active(struct bc_loader *loader, struct tail *tail)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    uint64_t *bad = NULL; /* offsets of bad stretches */
    size_t bad_count = 0, bad_room = 0;
    bc_status status;

    *tail = (struct tail){.durable = loader->segment->header_size, .end = loader->segment->end};
    status = bc_scan_open(loader->segment, loader->segment->header_size, tail->end, &scan);
    while (status == BITCASK_OK && (status = bc_scan_next(scan, &item)) == BITCASK_OK && item.kind != BC_SCAN_END) {
        if (item.kind == BC_SCAN_ZEROS) {
            tail->end = item.offset;
            break;
        }
        if (item.kind == BC_SCAN_RECORD && !bc_has_hostile_version(&item)) {
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
    for (size_t i = bad_count; i > 0 && bad[i - 1] >= tail->durable; i--) tail->end = bad[i - 1];
    if (tail->damaged) {
        loader->count = 0;
        bc_buffer_reset(&loader->bytes);
    } else if (loader->count > 0) {
        tail->end = loader->batch[0].offset; /* a batch without its end was never acknowledged */
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
 * could be gone. */
static bc_status settle_tail(struct bc_partition *partition, struct tail *tail, uint64_t file_size)
{
    struct bc_segment *active = partition->active;
    bool closed = tail->closing_mark > 0 && tail->closing_mark == tail->durable &&
                  tail->end - tail->closing_mark <= sizeof partition->carry;
    bc_status status = BITCASK_OK;

    active->end = tail->end;
    partition->marked = tail->durable;
    partition->synced = tail->durable;
    if (partition->env->read_only) return BITCASK_OK;
    if (file_size > tail->end) {
        bc_env_log(partition->env, BITCASK_LOG_INFO, "partition '%s': %s: cut off %llu bytes of an unfinished write",
                   partition->label, active->name, (unsigned long long)(file_size - tail->end));
        status = bc_io_truncate(active->io, active->fd, active->name, tail->end);
    }
    partition->allocated = tail->end;
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
    if (status == BITCASK_OK) partition->synced = tail->end;
    /* A log that never saw a completed sync may stand in a directory that was never synced. */
    if (tail->durable <= active->header_size) bc_partition_names_changed(partition);
    return status;
}

static bc_status recover_active(struct bc_partition *partition, struct bc_segment *segment)
{
    struct bc_loader loader = {.partition = partition, .segment = segment};
    uint64_t file_size = segment->end;
    struct tail tail;
    bc_status status = bc_partition_add_slot(partition, segment, &loader.slot);

    if (status != BITCASK_OK) {
        bc_segment_unref(&segment);
        return status;
    }
    status = read_active(&loader, &tail);
    if (status == BITCASK_OK && tail.damaged && tail.applied_to < tail.end)
        status = bc_loader_load(&loader, tail.applied_to, &tail.end, tail.durable);
    bc_loader_release(&loader);
    if (status != BITCASK_OK) return status;
    partition->active = segment;
    partition->active_slot = loader.slot;
    return settle_tail(partition, &tail, file_size);
}

static bc_status recover_sealed(struct bc_partition *partition, struct bc_segment *segment)
{
    struct bc_loader loader = {.partition = partition, .segment = segment};
    uint64_t end = segment->end;
    bc_status status = bc_partition_add_slot(partition, segment, &loader.slot);

    if (status != BITCASK_OK) {
        bc_segment_unref(&segment);
        return status;
    }
    status = bc_loader_load(&loader, segment->header_size, &end, end);
    bc_loader_release(&loader);
    return status;
}

/* ---- the directory ---- */

struct listing {
    uint32_t *ids;
    size_t count, room;
    bool active;
    bool leftover; /* new.tmp of a crash in bc_segment_create() */
    bool failed;
};

static bool list_name(void *context, const char *name)
{
    struct listing *listing = context;
    uint32_t id;

    if (strcmp(name, BC_ACTIVE_NAME) == 0) listing->active = true;
    else if (strcmp(name, BC_TEMPORARY_NAME) == 0) listing->leftover = true;
    else if (bc_segment_parse_name(name, &id)) {
        if (listing->count == listing->room) {
            size_t room = listing->room ? listing->room * 2 : 16;
            void *ids = realloc(listing->ids, room * sizeof *listing->ids);
            if (!ids) return !(listing->failed = true);
            listing->ids = ids;
            listing->room = room;
        }
        listing->ids[listing->count++] = id;
    }
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bc_status list_segments(struct bc_partition *partition, struct listing *listing)
{
    bc_status status;

    *listing = (struct listing){0};
    status = bc_io_list(partition->env->io, partition->dir_fd, partition->label, list_name, listing);
    if (status == BITCASK_OK && listing->failed) status = BITCASK_NO_MEMORY;
    if (status != BITCASK_OK) {
        free(listing->ids);
        listing->ids = NULL;
        return status;
    }
    if (listing->count > 0) qsort(listing->ids, listing->count, sizeof *listing->ids, compare_ids);
    return BITCASK_OK;
}

/* Opens one file of the list and checks that it is what its name and place say. */
static bc_status open_segment(struct bc_partition *partition, const char *name, bool active, uint32_t id,
                              struct bc_segment **segment)
{
    struct bc_segment_header header;
    char fan[3], directory[17];
    bc_status status = bc_segment_open(partition->env->io, partition->dir_fd, name, active && !partition->env->read_only,
                                       segment, &header);

    bc_partition_dir_names(partition->id, fan, directory);
    if (status == BITCASK_CORRUPT || status == BITCASK_NEWER_FORMAT) {
        char reason[300];
        snprintf(reason, sizeof reason, "%s", bc_detail());
        return bc_fail(status, "partition '%s' (partitions/%s/%s): %s", partition->label, fan, directory, reason);
    }
    if (status != BITCASK_OK) return status;
    if (header.partition_id != partition->id)
        status = bc_fail(BITCASK_CORRUPT, "partition '%s' (partitions/%s/%s): %s belongs to partition %016llx",
                         partition->label, fan, directory, name, (unsigned long long)header.partition_id);
    else if (!active && header.segment_id != id)
        status = bc_fail(BITCASK_CORRUPT, "partition '%s' (partitions/%s/%s): %s says that it is segment %u",
                         partition->label, fan, directory, name, header.segment_id);
    else if (active && header.segment_id < partition->next_segment_id)
        status = bc_fail(BITCASK_CORRUPT, "partition '%s' (partitions/%s/%s): %s is segment %u, which is sealed already",
                         partition->label, fan, directory, name, header.segment_id);
    if (status != BITCASK_OK) {
        bc_segment_unref(segment);
        return status;
    }
    if (header.segment_id >= partition->next_segment_id) partition->next_segment_id = header.segment_id + 1;
    if (header.last_version > partition->last_version && header.last_version <= BC_VERSION_MAX)
        partition->last_version = header.last_version;
    return BITCASK_OK;
}

static bool same_listing(const struct listing *a, const struct listing *b)
{
    return a->count == b->count && a->active == b->active &&
           (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

/* Opens all files of the list into segments[]; beside a writer that rotates meanwhile: NOT_FOUND, or names that have
 * changed when listed again, and the caller starts anew. */
static bc_status open_segments(struct bc_partition *partition, const struct listing *listing,
                               struct bc_segment **segments)
{
    bc_status status = BITCASK_OK;
    size_t i;

    for (i = 0; i < listing->count && status == BITCASK_OK; i++) {
        char name[16];
        bc_segment_name(listing->ids[i], name);
        status = open_segment(partition, name, false, listing->ids[i], &segments[i]);
    }
    if (status == BITCASK_OK && listing->active)
        status = open_segment(partition, BC_ACTIVE_NAME, true, 0, &segments[i]);
    if (status == BITCASK_OK && partition->env->read_only) {
        struct listing again;
        status = list_segments(partition, &again);
        if (status == BITCASK_OK && !same_listing(listing, &again)) status = BITCASK_NOT_FOUND;
        free(again.ids);
    }
    return status;
}

bc_status bc_partition_recover(struct bc_partition *partition)
{
    struct bc_segment **segments = NULL;
    struct listing listing = {0};
    size_t total = 0;
    bc_status status = bc_partition_open_dir(partition->env, partition->id, false, &partition->dir_fd);

    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* nothing was ever put here */
    if (status != BITCASK_OK) return status;
    for (int attempt = 0; attempt < 100; attempt++) {
        partition->next_segment_id = 1;
        status = list_segments(partition, &listing);
        if (status != BITCASK_OK) return status;
        total = listing.count + (listing.active ? 1 : 0);
        segments = calloc(total + 1, sizeof(struct bc_segment *));
        status = segments ? open_segments(partition, &listing, segments) : BITCASK_NO_MEMORY;
        if (status != BITCASK_NOT_FOUND || !partition->env->read_only) break;
        for (size_t i = 0; i < total; i++) bc_segment_unref(&segments[i]);
        free(segments);
        free(listing.ids);
        segments = NULL;
        listing.ids = NULL;
    }
    if (status == BITCASK_OK && listing.leftover && !partition->env->read_only)
        (void)bc_io_unlink(partition->env->io, partition->dir_fd, BC_TEMPORARY_NAME); /* overwritten at need anyway */
    for (size_t i = 0; i < total && status == BITCASK_OK; i++) {
        struct bc_segment *segment = segments[i];
        segments[i] = NULL;
        status = i < listing.count ? recover_sealed(partition, segment) : recover_active(partition, segment);
    }
    for (size_t i = 0; segments && i < total; i++) bc_segment_unref(&segments[i]);
    free(segments);
    free(listing.ids);
    /* A sealed segment without a successor: a crash in rotation, whose names may not be synced. */
    if (status == BITCASK_OK && !partition->active && total > 0) bc_partition_names_changed(partition);
    return status;
}
