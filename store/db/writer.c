/* writer.c - changes to a content that nobody else sees yet, and its commit. */
#include <stdlib.h>
#include <string.h>

#include "db/writer_parts.h"

/* The inode's record without its map, the intent, and a file that may have to be begun. */
#define RECORD_ROOM 131072u
#define ROOM_CHUNK (64ull * 1024 * 1024)

/* Of extent number, bytes within the content. */
static uint64_t bytes_within(const struct bitcask_writer *writer, uint64_t number)
{
    uint64_t start = number << writer->extent_shift, left = writer->size > start ? writer->size - start : 0;

    return left < bc_extent_size(writer) ? left : bc_extent_size(writer);
}

/* ---- room ---- */

static bc_status take_some(struct bc_partition *inodes, uint64_t bytes)
{
    bc_status status;

    bc_fair_lock(&inodes->write_lock);
    status = bc_partition_writable(inodes);
    if (status == BITCASK_OK) status = bc_partition_make_ready(inodes, bytes, false);
    if (status == BITCASK_OK) inodes->reserved += bytes;
    bc_fair_unlock(&inodes->write_lock);
    return status;
}

bc_status bc_writer_take_room(struct bitcask_writer *writer, uint64_t bytes)
{
    uint64_t taken = 0;

    while (taken < bytes) {
        uint64_t some = bytes - taken < ROOM_CHUNK ? bytes - taken : ROOM_CHUNK;
        bc_status status = take_some(writer->inodes, some);

        if (status != BITCASK_OK) {
            bc_writer_give_room(writer, taken);
            return status;
        }
        taken += some;
    }
    return BITCASK_OK;
}

void bc_writer_give_room(struct bitcask_writer *writer, uint64_t bytes)
{
    struct bc_partition *inodes = writer->inodes;

    if (bytes == 0) return;
    bc_fair_lock(&inodes->write_lock);
    inodes->reserved -= bytes < inodes->reserved ? bytes : inodes->reserved;
    bc_fair_unlock(&inodes->write_lock);
}

/* Room for the record, whose map may have become longer by `runs`. */
bc_status bc_writer_reserve_record(struct bitcask_writer *writer, size_t runs)
{
    uint64_t wanted = RECORD_ROOM + (writer->map.count + 2 * runs) * BC_INODE_RUN_SIZE;
    bc_status status;

    /* In steps: the map grows run by run. */
    wanted = (wanted + RECORD_ROOM - 1) / RECORD_ROOM * RECORD_ROOM;
    if (wanted <= writer->reserved) return BITCASK_OK;
    status = bc_writer_take_room(writer, wanted - writer->reserved);
    if (status == BITCASK_OK) writer->reserved = wanted;
    return status;
}

/* ---- extents that go ---- */

static bool is_own_id(const struct bitcask_writer *writer, uint64_t value_id)
{
    for (size_t i = writer->ids_prepared; i < writer->id_count; i++)
        if (writer->ids[i] == value_id) return true;
    return false;
}

static void forget_runs(struct bitcask_writer *writer, const struct bc_run *runs, size_t count)
{
    bc_fair_lock(&writer->inodes->write_lock);
    bc_partition_forget_extents(writer->inodes, runs, count);
    bc_fair_unlock(&writer->inodes->write_lock);
}

void bc_writer_forget(struct bitcask_writer *writer, uint64_t first, uint64_t count)
{
    uint64_t end = count > UINT64_MAX - first ? UINT64_MAX : first + count;

    if (writer->last && writer->last_number >= first && writer->last_number < end) bc_value_close(&writer->last);
    for (uint64_t at = first; at < end;) {
        const struct bc_run *run;
        struct bc_run gone;

        at = bc_runs_next(writer->map.runs, writer->map.count, at);
        if (at >= end) break;
        run = bc_runs_find(writer->map.runs, writer->map.count, at);
        gone = (struct bc_run){at, run->first + run->count - at, run->value_id};
        if (gone.count > end - at) gone.count = end - at;
        if (is_own_id(writer, gone.value_id)) forget_runs(writer, &gone, 1);
        at += gone.count;
    }
    bc_runs_clear(&writer->map, first, count);
}

/* ---- from the beginning to the end ---- */

static bc_status write_locked(struct bitcask_writer *writer, uint64_t offset, const uint8_t *bytes, size_t size);

static bc_status take_base(struct bitcask_writer *writer, struct bc_value **base)
{
    const struct bc_run *runs;
    uint8_t shift;
    size_t count;
    bc_status status;

    if (!*base) return BITCASK_OK;
    if ((*base)->above) {
        bc_pinned_map(*base, &writer->ino, &shift, &runs, &count);
        if (shift > 0) {
            writer->committed.runs = malloc((count + 1) * sizeof *runs);
            if (!writer->committed.runs)
                return bc_fail(BITCASK_NO_MEMORY, "out of memory for a map of %zu runs", count);
            if (count > 0) memcpy(writer->committed.runs, runs, count * sizeof *runs);
            writer->committed.count = count;
            writer->committed.room = count + 1;
            status = bc_runs_prepare(&writer->map, count);
            if (status != BITCASK_OK) return status;
            if (count > 0) memcpy(writer->map.runs, runs, count * sizeof *runs);
            writer->map.count = count;
            writer->extent_shift = shift;
            writer->size = bc_pinned_size(*base);
            writer->base = *base;
            *base = NULL;
            return BITCASK_OK;
        }
        writer->ino = 0;
        status = bc_pinned_load(*base);
        if (status == BITCASK_OK && bc_pinned_size(*base) > 0)
            status = write_locked(writer, 0, bc_pinned_data(*base), (size_t)bc_pinned_size(*base));
        if (status == BITCASK_OK) bc_pinned_close(base);
        return status;
    }
    status = bc_value_load(*base);
    if (status == BITCASK_OK && (*base)->entry.value_size > 0)
        status = write_locked(writer, 0, (*base)->data, (*base)->entry.value_size);
    if (status == BITCASK_OK) bc_value_close(base);
    return status;
}

bc_status bc_writer_open(struct bitcask *db, struct bc_value **base, struct bitcask_writer **out)
{
    struct bitcask_writer *writer;
    bc_status status;

    if (db->env.read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    writer = calloc(1, sizeof *writer);
    if (!writer || pthread_mutex_init(&writer->lock, NULL) != 0) {
        free(writer);
        return BITCASK_NO_MEMORY;
    }
    writer->db = db;
    writer->extent_shift = db->extent_shift;
    status = bc_node_pin(db->inodes, &writer->inodes);
    if (status != BITCASK_OK) {
        pthread_mutex_destroy(&writer->lock);
        free(writer);
        return status;
    }
    status = take_base(writer, base);
    if (status == BITCASK_OK)
        *out = writer;
    else
        bc_writer_close(&writer);
    return status;
}

void bc_writer_close(struct bitcask_writer **pointer)
{
    struct bitcask_writer *writer = *pointer;

    if (!writer) return;
    *pointer = NULL;
    bc_writer_forget(writer, 0, UINT64_MAX);
    bc_value_close(&writer->last);
    while (writer->piece_count > 0) bc_piece_drop(writer, &writer->pieces[0]);
    bc_writer_give_room(writer, writer->reserved + writer->promised);
    if (writer->base) bc_pinned_close(&writer->base);
    free(writer->map.runs);
    free(writer->committed.runs);
    free(writer->prepared.runs);
    free(writer->ids);
    free(writer->inline_bytes);
    bc_node_unpin(writer->db->inodes);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

/* ---- changes ---- */

/* The content will grow: what an extent still holds behind the end must not be part of it. */
static bc_status seal_end(struct bitcask_writer *writer)
{
    uint64_t number = writer->size >> writer->extent_shift, within = writer->size & (bc_extent_size(writer) - 1);
    struct bc_piece *piece;
    struct bc_value *extent;
    bc_status status;

    if (within == 0 || bc_piece_find(writer, number)) return BITCASK_OK;
    status = bc_writer_extent(writer, number, &extent);
    if (status != BITCASK_OK || !extent || extent->entry.value_size <= within) return status;
    return bc_piece_get(writer, number, false, &piece);
}

/* One step: all that can fail is done for all pieces, then they are changed. */
static bc_status write_step(struct bitcask_writer *writer, uint64_t offset, const uint8_t *bytes, size_t size)
{
    uint64_t first = offset >> writer->extent_shift, last = (offset + size - 1) >> writer->extent_shift;
    uint64_t end = offset + size;
    bc_status status = BITCASK_OK;

    if (end > writer->size) status = seal_end(writer);
    if (status == BITCASK_OK) status = bc_writer_reserve_record(writer, BC_WRITER_PIECES);
    for (uint64_t n = first; n <= last && status == BITCASK_OK; n++) {
        uint64_t start = n << writer->extent_shift, stop = start + bc_extent_size(writer);
        uint32_t used = (uint32_t)((end < stop ? end : stop) - start);
        bool fresh = !bc_piece_find(writer, n);
        struct bc_piece *piece;

        status = bc_piece_get(writer, n, offset <= start && end >= start + bytes_within(writer, n), &piece);
        if (status == BITCASK_OK) status = bc_piece_reserve(writer, piece, used);
        /* A piece that was made for this and has nothing in it would hide its extent. */
        if (status != BITCASK_OK && fresh && (piece = bc_piece_find(writer, n))) bc_piece_drop(writer, piece);
    }
    if (status != BITCASK_OK) {
        /* Those made before it as a whole are empty too. */
        for (uint64_t n = first; n <= last; n++) {
            struct bc_piece *piece = bc_piece_find(writer, n);
            if (piece && piece->used == 0) bc_piece_drop(writer, piece);
        }
        return status;
    }
    for (uint64_t n = first; n <= last; n++) {
        uint64_t start = n << writer->extent_shift, stop = start + bc_extent_size(writer);
        uint64_t from = offset > start ? offset : start, to = end < stop ? end : stop;
        struct bc_piece *piece = bc_piece_find(writer, n);

        bc_piece_grow(piece, (uint32_t)(from - start));
        memcpy(piece->bytes + (from - start), bytes + (from - offset), (size_t)(to - from));
        if (to - start > piece->used) piece->used = (uint32_t)(to - start);
    }
    if (end > writer->size) writer->size = end;
    return BITCASK_OK;
}

static bc_status write_locked(struct bitcask_writer *writer, uint64_t offset, const uint8_t *bytes, size_t size)
{
    uint64_t most = (uint64_t)BC_CHUNK_PIECES << writer->extent_shift;
    bc_status status = BITCASK_OK;

    while (size > 0 && status == BITCASK_OK) {
        /* Up to a boundary, so that a step never touches more pieces than it may. */
        uint64_t some = most - (offset & (bc_extent_size(writer) - 1));

        if (some > size) some = size;
        status = write_step(writer, offset, bytes, (size_t)some);
        offset += some;
        bytes += some;
        size -= (size_t)some;
    }
    return status;
}

bc_status bc_writer_write(struct bitcask_writer *writer, uint64_t offset, const void *bytes, size_t size)
{
    bc_status status;

    if (size == 0) return BITCASK_OK;
    if (offset > BITCASK_SIZE_MAX || size > BITCASK_SIZE_MAX - offset)
        return bc_fail(BITCASK_TOO_LARGE, "a value may have 16 TiB");
    pthread_mutex_lock(&writer->lock);
    status = write_locked(writer, offset, bytes, size);
    pthread_mutex_unlock(&writer->lock);
    return status;
}

bc_status bc_writer_resize(struct bitcask_writer *writer, uint64_t size)
{
    bc_status status = BITCASK_OK;

    if (size > BITCASK_SIZE_MAX) return bc_fail(BITCASK_TOO_LARGE, "a value may have 16 TiB");
    pthread_mutex_lock(&writer->lock);
    if (size > writer->size) status = seal_end(writer);
    if (status == BITCASK_OK && size < writer->size) status = bc_runs_prepare(&writer->map, 1);
    if (status == BITCASK_OK && size > writer->size) status = bc_writer_reserve_record(writer, 0);
    if (status == BITCASK_OK && size < writer->size) {
        uint64_t keep = (size + bc_extent_size(writer) - 1) >> writer->extent_shift;
        struct bc_piece *end;

        for (size_t i = writer->piece_count; i-- > 0;)
            if (writer->pieces[i].number >= keep) bc_piece_drop(writer, &writer->pieces[i]);
        bc_writer_forget(writer, keep, UINT64_MAX - keep);
        end = keep > 0 ? bc_piece_find(writer, keep - 1) : NULL;
        if (end && end->used > size - ((keep - 1) << writer->extent_shift))
            end->used = (uint32_t)(size - ((keep - 1) << writer->extent_shift));
    }
    if (status == BITCASK_OK) writer->size = size;
    pthread_mutex_unlock(&writer->lock);
    return status;
}

/* Zeros in a part of an extent. */
static bc_status clear_part(struct bitcask_writer *writer, uint64_t number, uint64_t from, uint64_t to)
{
    struct bc_piece *piece = bc_piece_find(writer, number);
    bc_status status = BITCASK_OK;

    if (!piece && !bc_runs_find(writer->map.runs, writer->map.count, number)) return BITCASK_OK;
    status = bc_writer_reserve_record(writer, BC_WRITER_PIECES);
    if (status == BITCASK_OK) status = bc_piece_get(writer, number, false, &piece);
    if (status == BITCASK_OK) status = bc_piece_reserve(writer, piece, piece->used);
    if (status != BITCASK_OK) return status;
    if (to > piece->used) to = piece->used;
    if (from < to) memset(piece->bytes + from, 0, (size_t)(to - from));
    return BITCASK_OK;
}

bc_status bc_writer_clear(struct bitcask_writer *writer, uint64_t offset, uint64_t size)
{
    uint64_t end, first, stop;
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&writer->lock);
    if (offset >= writer->size || size == 0) goto out;
    end = size > writer->size - offset ? writer->size : offset + size;
    first = (offset + bc_extent_size(writer) - 1) >> writer->extent_shift; /* the first that goes as a whole */
    stop =
        end == writer->size ? (end + bc_extent_size(writer) - 1) >> writer->extent_shift : end >> writer->extent_shift;
    status = bc_runs_prepare(&writer->map, 1);
    if (status == BITCASK_OK) status = bc_writer_reserve_record(writer, 2);
    if (status == BITCASK_OK && first > stop) {
        status = clear_part(writer, stop, offset & (bc_extent_size(writer) - 1), end - (stop << writer->extent_shift));
        goto out;
    }
    if (status == BITCASK_OK && (first << writer->extent_shift) > offset)
        status = clear_part(writer, first - 1, offset & (bc_extent_size(writer) - 1), bc_extent_size(writer));
    if (status == BITCASK_OK && (stop << writer->extent_shift) < end)
        status = clear_part(writer, stop, 0, end - (stop << writer->extent_shift));
    if (status == BITCASK_OK) status = bc_runs_prepare(&writer->map, 1);
    if (status != BITCASK_OK) goto out;
    for (size_t i = writer->piece_count; i-- > 0;)
        if (writer->pieces[i].number >= first && writer->pieces[i].number < stop)
            bc_piece_drop(writer, &writer->pieces[i]);
    if (stop > first) bc_writer_forget(writer, first, stop - first);
out:
    pthread_mutex_unlock(&writer->lock);
    return status;
}

bc_status bc_writer_reserve(struct bitcask_writer *writer, uint64_t offset, uint64_t size)
{
    const struct bc_write write = {.key_size = BC_EXTENT_KEY_SIZE};
    uint64_t first, last, wanted;
    bc_status status = BITCASK_OK;

    if (size == 0) return BITCASK_OK;
    if (offset > BITCASK_SIZE_MAX || size > BITCASK_SIZE_MAX - offset)
        return bc_fail(BITCASK_TOO_LARGE, "a value may have 16 TiB");
    pthread_mutex_lock(&writer->lock);
    first = offset >> writer->extent_shift;
    last = (offset + size - 1) >> writer->extent_shift;
    /* The map as well: in the worst order each extent is a run. */
    wanted = (last - first + 1) * (bc_extent_size(writer) + bc_writes_bound(&write, 1) + BC_INODE_RUN_SIZE);
    status = bc_writer_reserve_record(writer, BC_WRITER_PIECES);
    /* Not by trying: the disk would be full for everybody until it fails. */
    if (status == BITCASK_OK && wanted > writer->promised &&
        wanted - writer->promised > bc_io_free_bytes(writer->db->env.io, writer->db->dir_fd))
        status = bc_fail(BITCASK_NO_SPACE, "the disk has no room for %llu bytes", (unsigned long long)size);
    if (status == BITCASK_OK && wanted > writer->promised) {
        status = bc_writer_take_room(writer, wanted - writer->promised);
        if (status == BITCASK_OK) writer->promised = wanted;
    }
    pthread_mutex_unlock(&writer->lock);
    return status;
}

/* ---- looking ---- */

bc_status bc_writer_read(struct bitcask_writer *writer, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    uint8_t *out = buffer;
    bc_status status = BITCASK_OK;

    *got = 0;
    pthread_mutex_lock(&writer->lock);
    if (offset >= writer->size)
        size = 0;
    else if (size > writer->size - offset)
        size = (size_t)(writer->size - offset);
    while (*got < size && status == BITCASK_OK) {
        uint64_t number = offset >> writer->extent_shift, within = offset & (bc_extent_size(writer) - 1), there = 0;
        uint64_t part = bc_extent_size(writer) - within < size - *got ? bc_extent_size(writer) - within : size - *got;
        const struct bc_piece *piece = bc_piece_find(writer, number);
        struct bc_value *extent = NULL;

        if (!piece) status = bc_writer_extent(writer, number, &extent);
        if (status != BITCASK_OK) break;
        if (piece && piece->used > within) there = piece->used - within;
        if (extent && extent->entry.value_size > within) there = extent->entry.value_size - within;
        if (there > part) there = part;
        if (there > 0 && piece) memcpy(out, piece->bytes + within, (size_t)there);
        if (there > 0 && extent) status = bc_value_copy(extent, within, out, (size_t)there);
        memset(out + there, 0, (size_t)(part - there));
        offset += part;
        out += part;
        *got += (size_t)part;
    }
    pthread_mutex_unlock(&writer->lock);
    if (status != BITCASK_OK) *got = 0;
    return status;
}

/* The first extent at or behind number that is there. */
static uint64_t next_data(struct bitcask_writer *writer, uint64_t number)
{
    uint64_t next = bc_runs_next(writer->map.runs, writer->map.count, number);

    for (size_t i = 0; i < writer->piece_count; i++)
        if (writer->pieces[i].number >= number && writer->pieces[i].number < next) next = writer->pieces[i].number;
    return next;
}

bc_status bc_writer_seek(struct bitcask_writer *writer, uint64_t offset, bool hole, uint64_t *found)
{
    uint64_t number, at;
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&writer->lock);
    number = offset >> writer->extent_shift;
    if (offset >= writer->size) {
        status = BITCASK_NOT_FOUND;
    } else if (!hole) {
        at = next_data(writer, number);
        *found = at == number ? offset : at << writer->extent_shift;
        if (at == UINT64_MAX || *found >= writer->size) status = BITCASK_NOT_FOUND;
    } else {
        while (next_data(writer, number) == number) {
            const struct bc_run *run = bc_runs_find(writer->map.runs, writer->map.count, number);
            number = run ? run->first + run->count : number + 1;
        }
        at = number << writer->extent_shift;
        *found = at < offset ? offset : at;
        if (*found > writer->size) *found = writer->size;
    }
    pthread_mutex_unlock(&writer->lock);
    return status;
}

bc_status bc_writer_flush(struct bitcask_writer *writer)
{
    bc_status status;

    pthread_mutex_lock(&writer->lock);
    status = bc_pieces_flush(writer, BC_WRITER_PIECES);
    if (status == BITCASK_OK) {
        bc_writer_give_room(writer, writer->reserved);
        writer->reserved = 0;
    }
    pthread_mutex_unlock(&writer->lock);
    return status;
}

void bc_writer_state(struct bitcask_writer *writer, uint64_t *size, uint64_t *stored, uint64_t *memory)
{
    pthread_mutex_lock(&writer->lock);
    *size = writer->size;
    *stored = bc_runs_bytes(writer->map.runs, writer->map.count, writer->extent_shift, writer->size);
    for (size_t i = 0; i < writer->piece_count; i++)
        if (!bc_runs_find(writer->map.runs, writer->map.count, writer->pieces[i].number))
            *stored += bytes_within(writer, writer->pieces[i].number);
    *memory = writer->piece_count << writer->extent_shift;
    pthread_mutex_unlock(&writer->lock);
}
