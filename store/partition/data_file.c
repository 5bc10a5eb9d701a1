/* data_file.c - see data_file.h.
 *
 * It may assume nothing of what lies in the directory. Invariant: it changes nothing there.
 */
#include "partition/data_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"

enum { AT_HEADER_SIZE = 12, AT_GENERATION = 24, AT_PATH_SIZE = 56 }; /* as in segment_header.c */

/* ---- the directory ---- */

static void name_of(const struct bc_data_dir *dir, size_t i, char name[16])
{
    if (i < dir->files.data_count)
        bc_segment_name(dir->files.data[i], name);
    else
        snprintf(name, 16, "%s", BC_ACTIVE_NAME);
}

/* Active segments stand above all others. */
static uint32_t id_of(const struct bc_data_dir *dir, size_t i)
{
    uint32_t last = dir->files.data_count > 0 ? dir->files.data[dir->files.data_count - 1] : 0;

    return i < dir->files.data_count ? dir->files.data[i] : last < UINT32_MAX ? last + 1 : last;
}

size_t bc_data_dir_count(const struct bc_data_dir *dir)
{
    return dir->files.data_count + (dir->files.active ? 1 : 0);
}

/* What can be told from good headers alone: which files later ones stand for, who the parent is. */
static bc_status read_headers(struct bc_data_dir *dir)
{
    size_t count = bc_data_dir_count(dir);

    dir->lowest = calloc(count + 1, sizeof *dir->lowest);
    if (!dir->lowest) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a list of files");
    for (size_t i = 0; i < count; i++) {
        struct bc_segment *segment = NULL;
        struct bc_segment_header header;
        char name[16];
        bc_status status;

        name_of(dir, i, name);
        dir->lowest[i] = id_of(dir, i);
        status = bc_segment_open(dir->verify->env->io, dir->fd, name, false, &segment, &header);
        if (status == BITCASK_CORRUPT || status == BITCASK_NEWER_FORMAT) continue;
        if (status != BITCASK_OK) return status;
        /* One that does not belong here speaks for none. */
        bool belongs =
            header.partition_id == dir->partition_id &&
            (i == dir->files.data_count ? header.segment_id >= id_of(dir, i) : header.segment_id == id_of(dir, i));
        if (belongs) {
            dir->parent_id = header.parent_id;
            if (header.lowest_id < dir->lowest[i]) dir->lowest[i] = header.lowest_id;
        }
        bc_segment_unref(&segment);
    }
    return BITCASK_OK;
}

bc_status bc_data_dir_open(const struct bc_verify *verify, uint64_t partition_id, struct bc_data_dir *dir)
{
    bc_status status;

    *dir = (struct bc_data_dir){.verify = verify, .partition_id = partition_id, .fd = -1};
    status = bc_partition_open_dir(verify->env, partition_id, false, &dir->fd);
    if (status == BITCASK_OK) status = bc_file_list_read(verify->env->io, dir->fd, verify->path, &dir->files);
    if (status == BITCASK_OK) status = read_headers(dir);
    if (status != BITCASK_OK) bc_data_dir_close(dir);
    return status;
}

void bc_data_dir_close(struct bc_data_dir *dir)
{
    if (dir->fd >= 0) dir->verify->env->io->ops->close(dir->verify->env->io, dir->fd); /* the detail line is to stay */
    dir->fd = -1;
    free(dir->lowest);
    dir->lowest = NULL;
    bc_file_list_release(&dir->files);
}

/* ---- headers that are damaged ---- */

/* Whether a record verifies in the segment. */
static bc_status has_record(const struct bc_data_dir *dir, struct bc_segment *segment, bool *has)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    bc_status status = bc_scan_open(segment, segment->header_size, segment->end, &scan);

    *has = false;
    while (status == BITCASK_OK && !*has) {
        status = bc_scan_next(scan, &item);
        if (status != BITCASK_OK || item.kind == BC_SCAN_END) break;
        *has = item.kind == BC_SCAN_RECORD || item.kind == BC_SCAN_BAD_VALUE;
        status = bc_pace(dir->verify, item.size);
    }
    if (scan) bc_scan_close(&scan);
    return status;
}

/* Tries a generation; on success file->segment is open under a header of it. */
static bc_status try_generation(const struct bc_data_dir *dir, struct bc_data_file *file, uint64_t generation,
                                uint32_t segment_id)
{
    bool has = false;
    bc_status status;

    file->header.generation = generation;
    file->header.segment_id = file->header.lowest_id = segment_id;
    status = bc_segment_open_as(dir->verify->env->io, dir->fd, file->name, &file->header, &file->segment);
    if (status == BITCASK_OK) status = has_record(dir, file->segment, &has);
    if (status != BITCASK_OK || !has) bc_segment_unref(&file->segment);
    return status;
}

/* Ids of hints that may be this file's. An active segment's name does not tell its id. */
static bool is_hint_of(const struct bc_data_file *file, uint32_t hint_id)
{
    return file->active ? hint_id >= file->id : hint_id == file->id;
}

/* Finds the header that the bytes were before one of them was changed: its checksum tells, of a few thousand tries. */
static bool mend_header(uint8_t *bytes, size_t size, const char *name, struct bc_segment_header *header)
{
    uint32_t sizes[2] = {bc_get_u32(bytes + AT_HEADER_SIZE),
                         BC_SEGMENT_HEADER_FIXED + bc_get_u16(bytes + AT_PATH_SIZE)};

    for (size_t s = 0; s < 2; s++) {
        uint32_t claimed = sizes[s];

        if (claimed < BC_SEGMENT_HEADER_FIXED || claimed > size || (s == 1 && claimed == sizes[0])) continue;
        for (size_t i = 0; i < claimed; i++) {
            for (unsigned change = 1; change < 256; change++) {
                bytes[i] ^= (uint8_t)change;
                if (bc_get_u32(bytes + claimed - 4) == bc_crc32c(0, bytes, claimed - 4) &&
                    bc_segment_header_decode(bytes, size, size, name, header) == BITCASK_OK)
                    return true;
                bytes[i] ^= (uint8_t)change;
            }
        }
    }
    return false;
}

/* A header that will do, for the generations that come into question. It claims to stand for itself alone: a claim to
 * others, were it wrong, would have them removed. */
static bc_status rebuild_header(const struct bc_data_dir *dir, struct bc_data_file *file)
{
    struct bc_segment_header *header = &file->header;
    uint8_t bytes[BC_SEGMENT_HEADER_FIXED + BC_SEGMENT_PATH_MAX] = {0};
    size_t size = file->file_size < sizeof bytes ? (size_t)file->file_size : sizeof bytes;
    struct bc_segment_header mended;
    uint64_t claimed;
    bc_status status = BITCASK_OK;

    *header = (struct bc_segment_header){.partition_id = dir->partition_id, .parent_id = dir->parent_id};
    status = bc_segment_open_as(dir->verify->env->io, dir->fd, file->name, header, &file->segment);
    if (status == BITCASK_OK) status = bc_segment_read_raw(file->segment, 0, bytes, size);
    bc_segment_unref(&file->segment);
    if (status != BITCASK_OK) return status;
    /* Where its two sizes agree the header is that long; else the search for records begins as early as can be. */
    header->header_size = BC_SEGMENT_HEADER_FIXED;
    claimed = BC_SEGMENT_HEADER_FIXED + (uint64_t)bc_get_u16(bytes + AT_PATH_SIZE);
    if (claimed == bc_get_u32(bytes + AT_HEADER_SIZE) && claimed <= file->file_size)
        header->header_size = (uint32_t)claimed;
    status = try_generation(dir, file, bc_get_u64(bytes + AT_GENERATION), file->id);
    for (size_t i = 0; i < dir->files.hint_count && status == BITCASK_OK && !file->segment; i++) {
        struct bc_hint_head head;
        if (!is_hint_of(file, dir->files.hints[i])) continue;
        status = bc_hint_read_head(dir->verify->env->io, dir->fd, dir->files.hints[i], &head);
        if (status == BITCASK_OK)
            status = try_generation(dir, file, head.generation, dir->files.hints[i]);
        else if (status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT)
            status = BITCASK_OK;
    }
    if (status != BITCASK_OK || file->segment || !mend_header(bytes, size, file->name, &mended)) return status;
    if (mended.partition_id != dir->partition_id || (!file->active && mended.segment_id != file->id)) return status;
    header->header_size = mended.header_size;
    return try_generation(dir, file, mended.generation, mended.segment_id);
}

/* ---- one file ---- */

static bc_status file_size(const struct bc_data_dir *dir, struct bc_data_file *file)
{
    struct bc_io *io = dir->verify->env->io;
    struct bc_file_info info = {0};
    int fd = -1;
    bc_status status = bc_io_open(io, dir->fd, file->name, BC_OPEN_READ, &fd);

    if (status == BITCASK_OK) status = bc_io_info(io, fd, file->name, &info);
    (void)bc_io_close(io, &fd);
    file->file_size = info.is_regular ? info.size : 0;
    return status;
}

static void check_place(const struct bc_data_dir *dir, struct bc_data_file *file)
{
    const struct bc_segment_header *header = &file->header;

    file->misplaced = true;
    if (header->partition_id != dir->partition_id)
        snprintf(file->why, sizeof file->why, "it belongs to partition %016llx",
                 (unsigned long long)header->partition_id);
    else if (!file->active && header->segment_id != file->id)
        snprintf(file->why, sizeof file->why, "it says that it is segment %u", header->segment_id);
    else if (file->active && header->segment_id < file->id)
        snprintf(file->why, sizeof file->why, "it is segment %u, which is sealed already", header->segment_id);
    else if (header->lowest_id > header->segment_id)
        snprintf(file->why, sizeof file->why, "it says that it stands for segments from %u on", header->lowest_id);
    else
        file->misplaced = false;
}

bc_status bc_data_file_open(const struct bc_data_dir *dir, size_t i, struct bc_data_file *file)
{
    bc_status status;

    *file = (struct bc_data_file){.active = i >= dir->files.data_count, .id = id_of(dir, i)};
    name_of(dir, i, file->name);
    for (size_t later = i + 1; later < bc_data_dir_count(dir); later++)
        if (dir->lowest[later] <= file->id) file->superseded = true;
    status = file_size(dir, file);
    if (status == BITCASK_OK)
        status = bc_segment_open(dir->verify->env->io, dir->fd, file->name, false, &file->segment, &file->header);
    if (status == BITCASK_OK) check_place(dir, file);
    if (status != BITCASK_CORRUPT) return status;
    file->header_damaged = true;
    snprintf(file->why, sizeof file->why, "%s", bc_detail());
    return file->file_size > 0 ? rebuild_header(dir, file) : BITCASK_OK;
}

void bc_data_file_close(struct bc_data_file *file)
{
    bc_segment_unref(&file->segment);
}

bc_status bc_data_file_open_hint(const struct bc_data_dir *dir, const struct bc_data_file *file, struct bc_hint **hint)
{
    struct bc_io *io = dir->verify->env->io;
    struct bc_hint_head wanted = {.data_size = BC_SEGMENT_SIZE_MAX};
    bc_status status;

    *hint = NULL;
    wanted.segment_id = file->segment ? file->segment->segment_id : file->id;
    if (file->segment) {
        wanted.generation = file->segment->generation;
    } else {
        /* Of a file that cannot be read: the hint that bears its number is all that is known of it. */
        status = bc_hint_read_head(io, dir->fd, wanted.segment_id, &wanted);
        if (status != BITCASK_OK) return status;
    }
    return bc_hint_open(io, dir->fd, &wanted, false, hint);
}

/* ---- what is wrong with it ---- */

/* Tells the keys whose last record was in a file that cannot be read. */
static bc_status tell_unreadable(const struct bc_data_dir *dir, const struct bc_data_file *file)
{
    struct bc_hint *hint = NULL;
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry;
    bc_status status = bc_data_file_open_hint(dir, file, &hint);

    if (status == BITCASK_OK) status = bc_hint_cursor_open(hint, &cursor);
    while (status == BITCASK_OK && (status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK)
        status = bc_tell(dir->verify,
                         (bitcask_finding){.kind = BITCASK_FOUND_DAMAGE,
                                           .file = file->name,
                                           .offset = entry.offset,
                                           .size = entry.record_size,
                                           .key = entry.key,
                                           .key_size = entry.key_size},
                         "the record of this key cannot be read; an older value of it may show again");
    if (cursor) bc_hint_cursor_close(&cursor);
    bc_hint_close(&hint);
    return status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT ? BITCASK_OK : status;
}

static bc_status tell_header(const struct bc_data_dir *dir, const struct bc_data_file *file)
{
    bitcask_finding finding = {.kind = BITCASK_FOUND_DAMAGE, .file = file->name, .size = file->file_size};

    if (file->segment) {
        finding.size = file->header.header_size;
        return bc_tell(dir->verify, finding, "%s; its records can be read all the same", file->why);
    }
    return bc_tell(dir->verify, finding, "%s; none of its records can be read", file->why);
}

/* What the hint knows, and whether it is right. */
static bc_status ask_hint(const struct bc_data_dir *dir, const struct bc_data_file *file, struct bc_survey *survey,
                          const struct bc_hint *hint, bc_status opened, const char *why)
{
    char name[16];

    bc_hint_name(file->segment->segment_id, name);
    if (opened == BITCASK_OK)
        return file->active ? bc_survey_ask_hint(survey, hint) : bc_survey_check_hint(survey, hint);
    if (file->active) return BITCASK_OK; /* one need not be there, nor be of what there is now */
    if (opened == BITCASK_NOT_FOUND)
        return bc_tell_file(dir->verify, BITCASK_FOUND_NOTE, file->name,
                            "there is no hint: opening the partition reads the whole file");
    return bc_tell_file(dir->verify, BITCASK_FOUND_HINT, name, "%s; the hint will be made anew", why);
}

bc_status bc_data_file_check(const struct bc_data_dir *dir, const struct bc_data_file *file, struct bc_survey *survey)
{
    struct bc_hint *hint = NULL;
    char why[300];
    bc_status status = BITCASK_OK, opened;

    dir->verify->result->segments++;
    if (file->misplaced) return bc_tell_file(dir->verify, BITCASK_FOUND_DAMAGE, file->name, "%s", file->why);
    if (file->header_damaged) status = tell_header(dir, file);
    if (status != BITCASK_OK) return status;
    if (!file->segment) return tell_unreadable(dir, file);
    survey->verify = dir->verify;
    survey->segment = file->segment;
    survey->tail = file->active;
    memcpy(survey->name, file->name, sizeof survey->name);
    opened = bc_data_file_open_hint(dir, file, &hint);
    if (opened != BITCASK_OK && opened != BITCASK_NOT_FOUND && opened != BITCASK_CORRUPT) return opened;
    survey->facts = opened == BITCASK_OK && !file->active;
    snprintf(why, sizeof why, "%s", opened == BITCASK_CORRUPT ? bc_detail() : "");
    status = bc_survey_read(survey, file->header.header_size, file->segment->end);
    if (status == BITCASK_OK) status = ask_hint(dir, file, survey, hint, opened, why);
    if (status == BITCASK_OK) status = bc_survey_tell(survey);
    bc_hint_close(&hint);
    return status;
}
