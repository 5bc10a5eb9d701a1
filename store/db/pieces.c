/* pieces.c - extents in memory: taken in, changed, appended to the log.
 *
 * Room for an extent's record is reserved before the first byte of it changes; so a write that was accepted can be
 * appended.
 */
#include <stdlib.h>
#include <string.h>

#include "db/writer_parts.h"

#define STEP 65536u /* bytes that room is reserved in: not anew for each small write */

/* Bytes of the log that an extent with so many bytes takes; alone it may need a mark beside it. */
static uint64_t bound_of(const struct bitcask_writer *writer, uint64_t used)
{
    const struct bc_write write = {.key_size = BC_EXTENT_KEY_SIZE};
    uint64_t rounded = (used + STEP - 1) / STEP * STEP;

    if (rounded > bc_extent_size(writer)) rounded = bc_extent_size(writer);
    return rounded + bc_writes_bound(&write, 1);
}

struct bc_piece *bc_piece_find(struct bitcask_writer *writer, uint64_t number)
{
    for (size_t i = 0; i < writer->piece_count; i++)
        if (writer->pieces[i].number == number) return &writer->pieces[i];
    return NULL;
}

bc_status bc_writer_extent(struct bitcask_writer *writer, uint64_t number, struct bc_value **extent)
{
    const struct bc_run *run = bc_runs_find(writer->map.runs, writer->map.count, number);
    uint8_t key[BC_EXTENT_KEY_SIZE];
    bc_status status;

    *extent = writer->last;
    if (writer->last && writer->last_number == number) return BITCASK_OK;
    *extent = NULL;
    if (!run) return BITCASK_OK;
    status = bc_writer_check_held(writer);
    if (status != BITCASK_OK) return status;
    bc_value_close(&writer->last);
    bc_extent_key(run->value_id, number, key);
    status = bc_partition_pin(writer->inodes, key, sizeof key, &writer->last);
    if (status == BITCASK_NOT_FOUND)
        return bc_fail(BITCASK_CORRUPT, "extent %llu of inode %016llx is missing; restore the file from a backup",
                       (unsigned long long)number, (unsigned long long)writer->ino);
    if (status == BITCASK_OK) status = bc_value_load(writer->last);
    if (status != BITCASK_OK) bc_value_close(&writer->last);
    writer->last_number = number;
    *extent = writer->last;
    return status;
}

/* Copies in what there is of an extent, up to the content's end: what is behind that is not part of it any more. */
static bc_status take_in(struct bitcask_writer *writer, struct bc_piece *piece)
{
    struct bc_value *extent;
    uint64_t start = piece->number << writer->extent_shift, there;
    bc_status status = bc_writer_extent(writer, piece->number, &extent);

    if (status != BITCASK_OK || !extent || start >= writer->size) return status;
    there = extent->entry.value_size;
    if (there > writer->size - start) there = writer->size - start;
    if (there > bc_extent_size(writer))
        return bc_fail(BITCASK_CORRUPT, "extent %llu of inode %016llx is too long; restore the file from a backup",
                       (unsigned long long)piece->number, (unsigned long long)writer->ino);
    status = bc_piece_reserve(writer, piece, (uint32_t)there);
    if (status == BITCASK_OK && there > 0) status = bc_value_copy(extent, 0, piece->bytes, (size_t)there);
    if (status == BITCASK_OK) piece->used = (uint32_t)there;
    return status;
}

bc_status bc_piece_get(struct bitcask_writer *writer, uint64_t number, bool whole, struct bc_piece **out)
{
    struct bc_piece *piece = bc_piece_find(writer, number);
    bc_status status = BITCASK_OK;

    *out = piece;
    if (piece) {
        piece->touched = ++writer->clock;
        return BITCASK_OK;
    }
    if (writer->piece_count == BC_WRITER_PIECES) status = bc_pieces_flush(writer, BC_WRITER_PIECES / 2);
    if (status != BITCASK_OK) return status;
    piece = &writer->pieces[writer->piece_count];
    *piece = (struct bc_piece){.number = number, .touched = ++writer->clock};
    piece->bytes = malloc((size_t)bc_extent_size(writer));
    if (!piece->bytes) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a value that is being written");
    writer->piece_count++;
    if (!whole) status = take_in(writer, piece);
    if (status != BITCASK_OK) {
        bc_piece_drop(writer, piece);
        return status;
    }
    *out = piece;
    return BITCASK_OK;
}

bc_status bc_piece_reserve(struct bitcask_writer *writer, struct bc_piece *piece, uint32_t used)
{
    uint64_t wanted = bound_of(writer, used > piece->used ? used : piece->used), more, of_promise;
    bc_status status = BITCASK_OK;

    if (wanted <= piece->reserved) return BITCASK_OK;
    more = wanted - piece->reserved;
    of_promise = more < writer->promised ? more : writer->promised;
    if (more > of_promise) status = bc_writer_take_room(writer, more - of_promise);
    if (status != BITCASK_OK) return status;
    writer->promised -= of_promise;
    piece->reserved = wanted;
    return BITCASK_OK;
}

void bc_piece_grow(struct bc_piece *piece, uint32_t used)
{
    if (used <= piece->used) return;
    memset(piece->bytes + piece->used, 0, used - piece->used);
    piece->used = used;
}

void bc_piece_drop(struct bitcask_writer *writer, struct bc_piece *piece)
{
    bc_writer_give_room(writer, piece->reserved);
    free(piece->bytes);
    *piece = writer->pieces[--writer->piece_count];
}

/* ---- to the log ---- */

static int by_touch(const void *a, const void *b)
{
    uint64_t x = ((const struct bc_piece *)a)->touched, y = ((const struct bc_piece *)b)->touched;

    return x < y ? -1 : x > y;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct bc_piece *)a)->number, y = ((const struct bc_piece *)b)->number;

    return x < y ? -1 : x > y;
}

/* An id for what is appended until the next commit: an extent that is written twice in that time takes its own place,
 * and never that of one that an inode maps. */
static bc_status begin_writing(struct bitcask_writer *writer)
{
    uint64_t *ids;
    bc_status status;

    if (writer->writing) return BITCASK_OK;
    ids = bc_list_room(writer->ids, writer->id_count, &writer->id_room, sizeof *ids);
    if (!ids) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a value that is being written");
    writer->ids = ids;
    status = bc_content_value_id(writer->db, &ids[writer->id_count]);
    if (status != BITCASK_OK) return status;
    writer->id_count++;
    writer->writing = true;
    return BITCASK_OK;
}

/* Enters the first `count` pieces into the map, and takes them out of memory. An extent that another one of the same
 * commit takes the place of is displaced by its key; one of an earlier, failed commit is given up. */
static void enter(struct bitcask_writer *writer, size_t count)
{
    uint64_t value_id = writer->ids[writer->id_count - 1];

    for (size_t i = 0; i < count; i++) {
        struct bc_piece *piece = &writer->pieces[i];
        const struct bc_run *run = bc_runs_find(writer->map.runs, writer->map.count, piece->number);

        if (run && run->value_id != value_id) bc_writer_forget(writer, piece->number, 1);
        bc_runs_set(&writer->map, piece->number, 1, value_id);
        free(piece->bytes);
    }
    memmove(writer->pieces, writer->pieces + count, (writer->piece_count - count) * sizeof *writer->pieces);
    writer->piece_count -= count;
}

bc_status bc_pieces_flush(struct bitcask_writer *writer, size_t count)
{
    struct bc_extent extents[BC_WRITER_PIECES];
    uint64_t room = 0, before;
    bc_status status;

    if (count > writer->piece_count) count = writer->piece_count;
    if (count == 0) return BITCASK_OK;
    status = begin_writing(writer);
    /* Two changes each: one may be taken out of its run first. */
    if (status == BITCASK_OK) status = bc_runs_prepare(&writer->map, 2 * count);
    if (status != BITCASK_OK) return status;
    qsort(writer->pieces, writer->piece_count, sizeof *writer->pieces, by_touch);
    qsort(writer->pieces, count, sizeof *writer->pieces, by_number); /* what is read in sequence lies in sequence */
    for (size_t i = 0; i < count; i++) {
        const struct bc_piece *piece = &writer->pieces[i];

        extents[i] = (struct bc_extent){writer->ids[writer->id_count - 1], piece->number, piece->bytes, piece->used};
        room += piece->reserved;
    }
    bc_value_close(&writer->last);
    before = room;
    status = bc_extents_append(writer->inodes, extents, count, &room);
    if (status == BITCASK_OK) {
        enter(writer, count);
        bc_writer_give_room(writer, room);
        return BITCASK_OK;
    }
    /* What was appended is dead weight, or written again; the pieces have less room reserved than they had. */
    for (size_t i = 0, used = (size_t)(before - room); i < count && used > 0; i++) {
        struct bc_piece *piece = &writer->pieces[i];
        uint64_t part = used < piece->reserved ? used : piece->reserved;

        piece->reserved -= part;
        used -= part;
    }
    return status;
}
