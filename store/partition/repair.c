/* repair.c - a damaged data file replaced by one that holds all that is good in it.
 *
 * Nobody has the partition open. The damaged file is kept, under a name that no open looks at. Invariant: whenever the
 * power fails, the directory holds each segment under its name, damaged or repaired, whole either way; and once the
 * repaired one bears the name, the damaged one is there under another.
 *
 * The copy has a generation of its own, so that no hint of the damaged file fits it, and that file's records can never
 * be taken for its.
 */
#include "partition/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "partition/data_file.h"
#include "partition/load.h"
#include "partition/verify_checkpoint.h"

#define PIECE ((size_t)1024 * 1024)

/* The copy while it is written, under the name that a crash may leave: an open removes it. */
struct copy {
    struct bc_io *io;
    int fd;
    struct bc_segment_header header;
    uint64_t offset;          /* of the next record */
    struct bc_buffer pending; /* what ends there and is not written yet */
};

/* ---- writing the copy ---- */

static bc_status flush(struct copy *copy)
{
    struct iovec iov = {copy->pending.data, copy->pending.size};
    bc_status status = bc_io_write(copy->io, copy->fd, BC_TEMPORARY_NAME, &iov, 1, copy->offset - copy->pending.size);

    bc_buffer_reset(&copy->pending);
    return status;
}

/* A value larger than the scan's window, in pieces. It verified a moment ago; what is read now must again. */
static bc_status copy_large_value(struct copy *copy, struct bc_segment *from, uint64_t offset,
                                  const struct bc_record *record)
{
    uint64_t left = record->value_size;
    uint32_t crc = 0;
    bc_status status = flush(copy);

    while (status == BITCASK_OK && left > 0) {
        size_t size = left < PIECE ? (size_t)left : PIECE;
        uint8_t *room = bc_buffer_extend(&copy->pending, size);
        if (!room) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", from->name);
        status = bc_segment_read_raw(from, offset, room, size);
        if (status != BITCASK_OK) return status;
        crc = bc_crc32c(crc, room, size);
        copy->pending.size += size;
        copy->offset += size;
        offset += size;
        left -= size;
        status = flush(copy);
    }
    if (status == BITCASK_OK && crc != record->value_crc)
        return bc_fail(BITCASK_IO, "%s: the disk gives other bytes than a moment ago", from->name);
    return status;
}

static bc_status copy_record(struct copy *copy, struct bc_segment *from, const struct bc_scan_item *item)
{
    struct bc_record record = item->record;
    size_t front_size = bc_record_front_size(&record);
    uint8_t *front;
    bc_status status = BITCASK_OK;

    /* What a batch's flag binds together may be incomplete here; and what was durable is so no longer, as yet. */
    record.flags &= (uint16_t) ~(BC_RECORD_MORE | BC_RECORD_DURABLE);
    if (copy->offset + bc_record_size(&record) > BC_SEGMENT_SIZE_MAX)
        return bc_fail(BITCASK_TOO_LARGE, "%s: what is good in it does not fit into one segment", from->name);
    front = bc_buffer_extend(&copy->pending, front_size);
    if (!front) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", from->name);
    bc_record_encode(&record, copy->header.generation, copy->offset, front);
    copy->pending.size += front_size;
    copy->offset += front_size;
    if (record.version > copy->header.last_version) copy->header.last_version = record.version;
    if (record.value_size > 0 && !item->record.value)
        return copy_large_value(copy, from, item->offset + front_size, &record);
    if (record.value_size > 0) status = bc_buffer_append(&copy->pending, item->record.value, record.value_size);
    if (status != BITCASK_OK) return status;
    copy->offset += record.value_size;
    return copy->pending.size >= PIECE ? flush(copy) : BITCASK_OK;
}

static bc_status copy_good(struct copy *copy, const struct bc_verify *verify, const struct bc_data_file *file,
                           const struct bc_survey *survey)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    uint64_t unpaced = 0;
    bc_status status = bc_scan_open(file->segment, file->header.header_size, survey->end, &scan);

    while (status == BITCASK_OK && (status = bc_scan_next(scan, &item)) == BITCASK_OK && item.kind != BC_SCAN_END) {
        if (bc_item_flaw(&item) == BC_FLAW_NONE && !bc_record_is_mark(&item.record))
            status = copy_record(copy, file->segment, &item);
        else if (item.kind == BC_SCAN_BAD_VALUE && item.record.version <= BC_VERSION_MAX &&
                 item.record.version > copy->header.last_version)
            copy->header.last_version = item.record.version; /* gone, but its version is not given again */
        unpaced += item.size;
        if (status != BITCASK_OK || unpaced < PIECE / 4) continue;
        status = bc_pace(verify, unpaced);
        unpaced = 0;
    }
    if (scan) bc_scan_close(&scan);
    return status == BITCASK_OK ? flush(copy) : status;
}

/* Of an active segment: the copy is synced as a whole, and says so as a clean close does, so that bytes of it that go
 * bad later are not taken for a torn tail. */
static bc_status write_mark(struct copy *copy)
{
    static const uint8_t key[2] = {0, BC_KEY_MARK};
    uint8_t bytes[BC_RECORD_HEAD_SIZE + sizeof key + 8], *value = bytes + BC_RECORD_HEAD_SIZE + sizeof key;
    struct bc_record record = {.version = copy->header.last_version,
                               .flags = BC_RECORD_DURABLE,
                               .key_size = sizeof key,
                               .value_size = 8,
                               .key = key};
    struct iovec iov = {bytes, sizeof bytes};
    bc_status status;

    if (copy->offset + sizeof bytes > BC_SEGMENT_SIZE_MAX) return BITCASK_OK;
    bc_put_u64(value, copy->offset);
    record.value_crc = bc_crc32c(0, value, 8);
    bc_record_encode(&record, copy->header.generation, copy->offset, bytes);
    status = bc_io_write(copy->io, copy->fd, BC_TEMPORARY_NAME, &iov, 1, copy->offset);
    if (status == BITCASK_OK) copy->offset += sizeof bytes;
    return status;
}

/* Last, since it holds the highest version: until then the file begins with zeros. */
static bc_status write_header(struct copy *copy)
{
    uint8_t bytes[BC_SEGMENT_HEADER_FIXED + BC_SEGMENT_PATH_MAX];
    struct iovec iov = {bytes, bc_segment_header_encode(&copy->header, bytes, sizeof bytes)};

    return bc_io_write(copy->io, copy->fd, BC_TEMPORARY_NAME, &iov, 1, 0);
}

static bc_status begin_copy(struct copy *copy, const struct bc_verify *verify, int dir_fd,
                            const struct bc_data_file *file)
{
    uint8_t random[8];
    bc_status status = bc_io_random(copy->io, random, sizeof random);

    copy->header = file->header;
    if (copy->header.last_version > BC_VERSION_MAX) copy->header.last_version = 0;
    if (file->header_damaged) {
        size_t length = strlen(verify->path), skipped = length > BC_SEGMENT_PATH_MAX ? length - BC_SEGMENT_PATH_MAX : 0;
        snprintf(copy->header.path, sizeof copy->header.path, "%s", verify->path + skipped);
    }
    copy->header.generation = bc_get_u64(random);
    copy->header.header_size = (uint32_t)bc_segment_header_encode(&copy->header, NULL, 0);
    copy->offset = copy->header.header_size;
    if (status != BITCASK_OK) return status;
    return bc_io_open(copy->io, dir_fd, BC_TEMPORARY_NAME, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_TRUNCATE,
                      &copy->fd);
}

/* ---- names ---- */

static void damaged_name(const struct bc_data_file *file, unsigned number, char out[64])
{
    if (number == 0)
        snprintf(out, 64, "%s" BC_DAMAGED_SUFFIX, file->name);
    else
        snprintf(out, 64, "%s" BC_DAMAGED_SUFFIX ".%u", file->name, number);
}

/* Gives the damaged file a second name. One that is taken stays: it is what an earlier repair set aside. */
static bc_status link_aside(const struct bc_data_dir *dir, const struct bc_data_file *file)
{
    bc_status status = BITCASK_EXISTS;
    char name[64];

    for (unsigned number = 0; status == BITCASK_EXISTS && number < 100000; number++) {
        damaged_name(file, number, name);
        status = bc_io_link(dir->verify->env->io, dir->fd, file->name, name);
    }
    return status;
}

/* The hint of the file that was: it fits no other, so that a crash that brings it back does no harm. */
static bc_status remove_hint(const struct bc_data_dir *dir, uint32_t segment_id)
{
    char name[16];
    bc_status status;

    bc_hint_name(segment_id, name);
    status = bc_io_unlink(dir->verify->env->io, dir->fd, name);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

/* Puts the copy in the damaged file's place. */
static bc_status take_over(const struct bc_data_dir *dir, const struct bc_data_file *file)
{
    struct bc_io *io = dir->verify->env->io;
    bc_status status = link_aside(dir, file);

    /* Before the rename: names reach the disk in any order, and a power cut must not leave the copy under the name
     * while the damaged file, which may hold more than a repair of today can read, has none. */
    if (status == BITCASK_OK) status = bc_io_sync_dir(io, dir->fd, file->name);
    /* A crash behind this leaves the name with the damaged file or with the copy, which was synced. */
    if (status == BITCASK_OK) status = bc_io_rename(io, dir->fd, BC_TEMPORARY_NAME, file->name);
    if (status == BITCASK_OK) status = remove_hint(dir, file->segment->segment_id);
    /* Before anyone is told: else a power cut brings the damage back that was said to be repaired. */
    return status == BITCASK_OK ? bc_io_sync_dir(io, dir->fd, file->name) : status;
}

static bc_status rewrite(const struct bc_data_dir *dir, const struct bc_data_file *file, const struct bc_survey *survey)
{
    struct copy copy = {.io = dir->verify->env->io, .fd = -1};
    bool made;
    char why[512];
    bc_status status = begin_copy(&copy, dir->verify, dir->fd, file);

    made = copy.fd >= 0;
    /* A crash here leaves a temporary file that nobody reads. */
    if (status == BITCASK_OK) status = copy_good(&copy, dir->verify, file, survey);
    if (status == BITCASK_OK && file->active) status = write_mark(&copy);
    if (status == BITCASK_OK) status = write_header(&copy);
    /* Before the rename, which may reach the disk ahead of the bytes: a crash then would leave a segment of zeros. */
    if (status == BITCASK_OK) status = bc_io_sync(copy.io, copy.fd, BC_TEMPORARY_NAME);
    if (status == BITCASK_OK) status = bc_io_close(copy.io, &copy.fd);
    if (status == BITCASK_OK) status = take_over(dir, file);
    if (status == BITCASK_OK) dir->verify->result->segments_repaired++;
    bc_buffer_release(&copy.pending);
    if (status == BITCASK_OK || !made) return status;
    snprintf(why, sizeof why, "%s", bc_detail()); /* the first failure is the one to be read */
    (void)bc_io_close(copy.io, &copy.fd);
    (void)bc_io_unlink(copy.io, dir->fd, BC_TEMPORARY_NAME);
    return bc_fail(status, "%s", why);
}

/* Of a file that nothing can be read from, or that does not belong here: only its name goes. */
static bc_status set_aside(const struct bc_data_dir *dir, const struct bc_data_file *file)
{
    struct bc_io *io = dir->verify->env->io;
    bc_status status = BITCASK_OK;
    char name[64];

    for (unsigned number = 0; status != BITCASK_NOT_FOUND; number++) {
        int fd = -1;
        if (number == 100000) return bc_fail(BITCASK_EXISTS, "%s: too many files were set aside", file->name);
        damaged_name(file, number, name);
        status = bc_io_open(io, dir->fd, name, BC_OPEN_READ, &fd);
        (void)bc_io_close(io, &fd);
    }
    /* Nobody else is here who could take the name meanwhile. */
    status = bc_io_rename(io, dir->fd, file->name, name);
    if (status == BITCASK_OK && !file->misplaced && !file->active) status = remove_hint(dir, file->id);
    /* Before anyone is told: else a power cut brings back the file for which the partition does not open. */
    if (status == BITCASK_OK) status = bc_io_sync_dir(io, dir->fd, name);
    if (status == BITCASK_OK) dir->verify->result->segments_repaired++;
    return status;
}

/* ---- a partition ---- */

static bool has_newer(const struct bc_survey *survey)
{
    for (size_t i = 0; i < survey->stretch_count; i++)
        if (survey->stretches[i].flaw == BC_FLAW_NEWER) return true;
    return false;
}

static bc_status repair_file(const struct bc_data_dir *dir, size_t i)
{
    struct bc_survey survey = {.repairing = true};
    struct bc_data_file file;
    bc_status status = bc_data_file_open(dir, i, &file);

    if (status == BITCASK_OK && file.superseded)
        status = bc_tell_file(dir->verify, BITCASK_FOUND_NOTE, file.name,
                              "superseded by a later file; the next open removes it");
    else if (status == BITCASK_OK) {
        status = bc_data_file_check(dir, &file, &survey);
        if (status == BITCASK_OK && has_newer(&survey))
            status = bc_fail(BITCASK_NEWER_FORMAT,
                             "%s: written to by a newer version of this software; repair it with that", file.name);
        if (status == BITCASK_OK && (file.misplaced || !file.segment))
            status = set_aside(dir, &file);
        else if (status == BITCASK_OK && (file.header_damaged || bc_survey_is_damaged(&survey)))
            status = rewrite(dir, &file, &survey);
    }
    bc_survey_release(&survey);
    bc_data_file_close(&file);
    return status;
}

/* Removes a checkpoint that is bad, or stands for files that were repaired: it would not be believed, and only stay until
 * the next one. Not synced: see checkpoint.h. */
static bc_status remove_checkpoint(const struct bc_data_dir *dir, bool repaired)
{
    struct bc_io *io = dir->verify->env->io;
    bool bad;
    bc_status status = bc_verify_checkpoint_file(dir->verify, dir->fd, &bad);

    if (status != BITCASK_OK || (!bad && !repaired)) return status;
    status = bc_io_unlink(io, dir->fd, BC_CHECKPOINT_NAME);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

bc_status bc_repair_files(const struct bc_verify *verify, uint64_t id)
{
    struct bc_data_dir dir;
    uint64_t before = verify->result->segments_repaired;
    bc_status status = bc_data_dir_open(verify, id, &dir);

    verify->result->partitions++;
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* nothing was ever put there */
    if (status != BITCASK_OK) return status;
    for (size_t i = 0; i < bc_data_dir_count(&dir) && status == BITCASK_OK; i++) status = repair_file(&dir, i);
    if (status == BITCASK_OK) status = remove_checkpoint(&dir, verify->result->segments_repaired > before);
    bc_data_dir_close(&dir);
    return status;
}
