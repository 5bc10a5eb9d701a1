/* writer_commit.c - what writers hold becomes the values of names, by the same way as every other put.
 *
 * The extents are in the log by then, in front of the inode's record that names them; so wherever a crash cuts the log,
 * a map that is there finds what it names. The put of that record is the commit, at any size.
 */
#include <stdlib.h>
#include <string.h>

#include "db/writer_parts.h"

/* A small content stands in the record. It is all brought into pieces, which are never committed themselves. */
static bc_status prepare_inline(struct bitcask_writer *writer, struct bc_content *content)
{
    uint64_t count = (writer->size + bc_extent_size(writer) - 1) >> writer->extent_shift;
    bc_status status = BITCASK_OK;

    for (uint64_t n = 0; n < count && status == BITCASK_OK; n++) {
        struct bc_piece *piece;

        if (bc_runs_find(writer->map.runs, writer->map.count, n)) status = bc_piece_get(writer, n, false, &piece);
    }
    free(writer->inline_bytes);
    writer->inline_bytes = calloc(1, (size_t)writer->size + 1);
    if (!writer->inline_bytes) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < writer->piece_count && status == BITCASK_OK; i++) {
        const struct bc_piece *piece = &writer->pieces[i];
        uint64_t start = piece->number << writer->extent_shift;

        if (start < writer->size) memcpy(writer->inline_bytes + start, piece->bytes, piece->used);
    }
    if (status == BITCASK_OK) status = bc_runs_prepare(&writer->map, 1);
    if (status != BITCASK_OK) return status;
    bc_writer_forget(writer, 0, UINT64_MAX);
    *content = (struct bc_content){.size = writer->size, .bytes = writer->inline_bytes};
    return BITCASK_OK;
}

static bc_status prepare_extents(struct bitcask_writer *writer, struct bc_content *content)
{
    size_t count;
    bc_status status = bc_pieces_flush(writer, BC_WRITER_PIECES);

    count = writer->map.count;
    if (status == BITCASK_OK && count > (BITCASK_VALUE_MAX - BC_INODE_HEAD_SIZE) / BC_INODE_RUN_SIZE)
        status = bc_fail(BITCASK_TOO_LARGE, "a map of %zu runs is too long; copy the file", count);
    writer->prepared.count = 0;
    if (status == BITCASK_OK) status = bc_runs_prepare(&writer->prepared, count);
    if (status != BITCASK_OK) return status;
    *content = (struct bc_content){.size = writer->size, .extent_shift = writer->extent_shift, .run_count = count};
    content->runs = malloc((count + 1) * sizeof *content->runs);
    if (!content->runs) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a map of %zu runs", count);
    if (count > 0) {
        memcpy(content->runs, writer->map.runs, count * sizeof *content->runs);
        memcpy(writer->prepared.runs, writer->map.runs, count * sizeof *content->runs);
    }
    writer->prepared.count = count;
    return BITCASK_OK;
}

static bool same_map(const struct bc_run *runs, size_t count, const struct bc_runs *list)
{
    if (count != list->count) return false;
    for (size_t i = 0; i < count; i++)
        if (runs[i].first != list->runs[i].first || runs[i].count != list->runs[i].count ||
            runs[i].value_id != list->runs[i].value_id)
            return false;
    return true;
}

/* The extents are the inode's now, and held as those of every reader are. Between the commit and this somebody may have
 * replaced them: then what is not in memory here is lost, and the writer says so. Where it cannot be said, that is
 * tried again at the next use of them: the commit stands. */
static bc_status hold(struct bitcask_writer *writer, uint64_t ino)
{
    struct bc_value *value = NULL;
    const struct bc_run *runs = NULL;
    size_t count = 0;
    uint8_t shift = 0;
    uint64_t pinned_ino = 0;
    bc_status status = BITCASK_OK;

    if (ino == writer->ino && (writer->base || writer->committed.count == 0)) {
        if (writer->base) bc_hold_settle(writer->db, writer->inodes, ino);
        writer->unheld = false;
        return BITCASK_OK;
    }
    if (ino != 0 && writer->committed.count > 0) {
        status = bc_inode_pin(writer->db, ino, &value);
        if (status == BITCASK_OK) bc_pinned_map(value, &pinned_ino, &shift, &runs, &count);
    }
    writer->unheld = status != BITCASK_OK && status != BITCASK_NOT_FOUND;
    writer->stale =
        writer->committed.count > 0 && !writer->unheld && (!value || !same_map(runs, count, &writer->committed));
    if (writer->base) bc_pinned_close(&writer->base);
    writer->base = value;
    writer->ino = ino;
    return writer->unheld ? status : BITCASK_OK;
}

bc_status bc_writer_check_held(struct bitcask_writer *writer)
{
    bc_status status = writer->unheld ? hold(writer, writer->ino) : BITCASK_OK;

    if (status == BITCASK_OK && writer->stale)
        status = bc_fail(BITCASK_VERSION_MISMATCH, "the value was replaced by somebody else; open it anew");
    return status;
}

bc_status bc_writer_prepare(struct bitcask_writer *writer, struct bc_content *content, struct bc_content *based)
{
    bool small;
    bc_status status;

    pthread_mutex_lock(&writer->lock);
    small = writer->size <= writer->db->inline_max && writer->size <= (uint64_t)BC_CHUNK_PIECES << writer->extent_shift;
    status = bc_writer_check_held(writer);
    writer->prepared.count = 0;
    if (status == BITCASK_OK) status = small ? prepare_inline(writer, content) : prepare_extents(writer, content);
    if (status == BITCASK_OK) {
        *based = (struct bc_content){.runs = writer->committed.runs, .run_count = writer->committed.count};
        writer->ids_prepared = small ? 0 : writer->id_count;
        writer->writing = false;
        /* Handed over by being free: the record, and what goes with it, is written next. */
        bc_writer_give_room(writer, writer->reserved);
        writer->reserved = 0;
    }
    pthread_mutex_unlock(&writer->lock);
    return status;
}

void bc_writer_done(struct bitcask_writer *writer, bool committed, uint64_t ino)
{
    pthread_mutex_lock(&writer->lock);
    free(writer->inline_bytes);
    writer->inline_bytes = NULL;
    if (committed) {
        struct bc_runs old = writer->committed;

        writer->committed = writer->prepared;
        writer->prepared = old;
        writer->id_count -= writer->ids_prepared;
        if (writer->id_count > 0)
            memmove(writer->ids, writer->ids + writer->ids_prepared, writer->id_count * sizeof *writer->ids);
        (void)hold(writer, ino);
    } else {
        /* It will be tried again, and needs the room then. Where it is gone, the next attempt says so. */
        (void)bc_writer_reserve_record(writer, 0);
    }
    bc_detail_clear();
    writer->ids_prepared = 0;
    pthread_mutex_unlock(&writer->lock);
}

/* ---- one or several, as values of names ---- */

struct committing {
    struct bc_content content, based;
    bool prepared;
};

/* What is not large may become a record: the write has its bytes. */
static void give_bytes(struct bc_name_op *op, struct bc_write *write, const struct bc_content *content)
{
    if (content->extent_shift > 0) return;
    write->value = content->bytes;
    write->value_size = (uint32_t)content->size;
    op->value_size = content->size;
}

bc_status bc_writers_change(struct bitcask_partition *node, struct bc_name_op *ops, struct bc_write *writes,
                            struct bitcask_writer *const *writers, size_t count, const bitcask_write_options *options)
{
    struct committing *commits = calloc(count + 1, sizeof *commits);
    struct bc_failure failure = {0};
    size_t prepared = 0;
    bc_status status = BITCASK_OK;

    if (!commits) return BITCASK_NO_MEMORY;
    for (; prepared < count && status == BITCASK_OK; prepared++) {
        struct committing *commit = &commits[prepared];

        if (!writers[prepared]) continue;
        status = bc_writer_prepare(writers[prepared], &commit->content, &commit->based);
        if (status != BITCASK_OK) break;
        commit->prepared = true;
        ops[prepared].content = &commit->content;
        ops[prepared].based = &commit->based;
        give_bytes(&ops[prepared], &writes[prepared], &commit->content);
    }
    if (status == BITCASK_OK)
        status = bc_names_change(node, ops, count, options);
    else
        for (size_t i = 0; i < prepared; i++) free(commits[i].content.runs);
    bc_failure_note(&failure, status);
    for (size_t i = 0; i < count; i++)
        if (commits[i].prepared) bc_writer_done(writers[i], ops[i].done, ops[i].ino);
    free(commits);
    return bc_failure_end(&failure);
}

bc_status bc_writer_commit(struct bitcask_writer *writer, struct bitcask_partition *node, const void *key,
                           size_t key_size, const bitcask_write_options *options, uint64_t *version)
{
    struct bc_write write = {.key = key, .key_size = key_size};
    struct bc_name_op op = {.write = &write};
    bc_status status;

    if (options && options->attrs) write.attrs = *options->attrs;
    status = bc_writers_change(node, &op, &write, &writer, 1, options);
    if (status == BITCASK_OK && version) *version = op.version;
    return status;
}
