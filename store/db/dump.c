/* dump.c - data files told record by record, damaged ones too.
 *
 * Reads the files as they are, without an instance: so it works where an open would refuse.
 */
#include "db/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log/scan.h"

struct dump {
    bool (*visit)(void *context, const bitcask_dump_record *record);
    void *context;
    bool stopped;
    bool damaged;
};

static const char *flag_names(uint16_t flags, char out[96])
{
    static const char *const names[] = {"tombstone", "more", "partition", "link", "inode", "extent", "durable"};
    size_t at = 0;

    snprintf(out, 96, "-");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & (1u << i)) at += (size_t)snprintf(out + at, 96 - at, "%s%s", at > 0 ? "," : "", names[i]);
    return out;
}

static void dump_item(struct dump *dump, const char *name, const struct bc_segment *segment,
                      const struct bc_scan_item *item)
{
    bitcask_dump_record record = {
        .file = name, .offset = item->offset, .size = item->size, .flags = "-", .segment_id = segment->segment_id};
    char flags[96];

    record.state = item->kind == BC_SCAN_RECORD      ? BITCASK_DUMP_GOOD
                   : item->kind == BC_SCAN_BAD_VALUE ? BITCASK_DUMP_BAD_VALUE
                                                     : BITCASK_DUMP_BAD;
    if (item->kind == BC_SCAN_RECORD || item->kind == BC_SCAN_BAD_VALUE) {
        record.version = item->record.version;
        record.flags = flag_names(item->record.flags, flags);
        record.key = item->record.key;
        record.key_size = item->record.key_size;
        record.attrs_size = item->record.attrs_size;
        record.value_size = item->record.value_size;
    }
    if (item->kind != BC_SCAN_RECORD) dump->damaged = true;
    dump->stopped = !dump->visit(dump->context, &record);
}

/* Puts the scan back to a record that may be being written now, a little later. */
static bc_status look_again(struct bc_segment *segment, uint64_t offset, struct bc_scan **scan)
{
    const struct timespec time = {.tv_nsec = 1000000};

    bc_scan_close(scan);
    nanosleep(&time, NULL); /* a signal only makes it shorter */
    return bc_scan_open(segment, offset, segment->end, scan);
}

/* name: as it is told, which may be a whole path; a segment keeps only what its messages need. growing: a writer may be
 * at work in it, who lays zeros out behind the log for what he is going to write. They are no part of it, nor is what
 * is written there meanwhile. */
static bc_status dump_segment(struct dump *dump, const char *name, struct bc_segment *segment,
                              const struct bc_segment_header *header, bool growing)
{
    bitcask_dump_record first = {
        .file = name,
        .state = BITCASK_DUMP_HEADER,
        .size = header->header_size,
        .flags = "-",
        .key = header->path,
        .key_size = strlen(header->path),
        .version = header->last_version,
        .partition_id = header->partition_id,
        .parent_id = header->parent_id,
        .segment_id = header->segment_id,
    };
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    uint64_t used = UINT64_MAX;
    unsigned looks = growing ? 20 : 0;
    bc_status status = BITCASK_OK;

    dump->stopped = !dump->visit(dump->context, &first);
    if (growing) status = bc_scan_find_used(segment, segment->end, &used);
    if (status == BITCASK_OK) status = bc_scan_open(segment, header->header_size, segment->end, &scan);
    while (status == BITCASK_OK && !dump->stopped) {
        status = bc_scan_next(scan, &item);
        if (status != BITCASK_OK || item.kind == BC_SCAN_END || item.offset >= used) break;
        if (item.kind != BC_SCAN_RECORD && item.offset + item.size >= used && looks > 0) {
            looks--;
            status = look_again(segment, item.offset, &scan);
            continue;
        }
        dump_item(dump, name, segment, &item);
    }
    bc_scan_close(&scan);
    return status;
}

/* A file whose header is bad: nothing in it can be checked, since the checksums hang on the header. */
static bc_status dump_unreadable(struct dump *dump, struct bc_io *io, int at, const char *name)
{
    bitcask_dump_record record = {.file = name, .state = BITCASK_DUMP_BAD, .flags = "-"};
    struct bc_file_info info;
    int fd = -1;
    bc_status status = bc_io_open(io, at, name, BC_OPEN_READ, &fd);

    if (status == BITCASK_OK) status = bc_io_info(io, fd, name, &info);
    if (status == BITCASK_OK) record.size = info.size;
    (void)bc_io_close(io, &fd);
    dump->damaged = true;
    dump->stopped = !dump->visit(dump->context, &record);
    return status;
}

static bc_status dump_name(struct dump *dump, struct bc_io *io, int at, const char *name)
{
    struct bc_segment_header *header = malloc(sizeof *header);
    struct bc_segment *segment = NULL;
    const char *slash = strrchr(name, '/'), *leaf = slash ? slash + 1 : name;
    bc_status status = header ? bc_segment_open(io, at, name, false, &segment, header) : BITCASK_NO_MEMORY;

    if (status == BITCASK_OK) {
        status = dump_segment(dump, name, segment, header, strcmp(leaf, BC_ACTIVE_NAME) == 0);
    } else if (status == BITCASK_CORRUPT) {
        char reason[512];
        snprintf(reason, sizeof reason, "%s", bc_detail());
        status = dump_unreadable(dump, io, at, name);
        if (status == BITCASK_OK) status = bc_fail(BITCASK_CORRUPT, "%s", reason);
    }
    bc_segment_unref(&segment);
    free(header);
    return status;
}

struct files {
    char (*names)[16];
    size_t count, room;
    bool failed;
};

static bool list_data(void *context, const char *name)
{
    struct files *files = context;
    uint32_t id;

    if (strcmp(name, BC_ACTIVE_NAME) != 0 && !bc_segment_parse_name(name, &id)) return true;
    if (files->count == files->room) {
        size_t room = files->room ? files->room * 2 : 16;
        void *names = realloc(files->names, room * sizeof *files->names);
        if (!names) return !(files->failed = true);
        files->names = names;
        files->room = room;
    }
    snprintf(files->names[files->count++], sizeof *files->names, "%s", name);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b); /* digits before "active" */
}

bc_status bc_dump_partition(struct bitcask_partition *node,
                            bool (*visit)(void *context, const bitcask_dump_record *record), void *context)
{
    const struct bc_env *env = &node->db->env;
    struct dump dump = {.visit = visit, .context = context};
    struct files files = {0};
    int fd = -1;
    bc_status status = bc_partition_open_dir(env, node->id, false, &fd), worst = BITCASK_OK;

    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* nothing was ever put there */
    if (status == BITCASK_OK) status = bc_io_list(env->io, fd, "partition", list_data, &files);
    if (status == BITCASK_OK && files.failed) status = BITCASK_NO_MEMORY;
    if (status == BITCASK_OK && files.count > 0) qsort(files.names, files.count, sizeof *files.names, compare_names);
    for (size_t i = 0; i < files.count && status == BITCASK_OK && !dump.stopped; i++) {
        status = dump_name(&dump, env->io, fd, files.names[i]);
        if (status == BITCASK_CORRUPT) {
            worst = status; /* the other files are told too */
            status = BITCASK_OK;
        }
    }
    (void)bc_io_close(env->io, &fd);
    free(files.names);
    if (status == BITCASK_OK && worst == BITCASK_OK && dump.damaged)
        worst = bc_fail(BITCASK_CORRUPT, "bytes are damaged, or belong to a write that was cut short");
    return status != BITCASK_OK ? status : worst;
}

bc_status bc_dump_file(struct bc_io *io, const char *path,
                       bool (*visit)(void *context, const bitcask_dump_record *record), void *context)
{
    struct dump dump = {.visit = visit, .context = context};
    bc_status status = dump_name(&dump, io, BC_AT_CWD, path);

    if (status == BITCASK_OK && dump.damaged)
        status = bc_fail(BITCASK_CORRUPT, "bytes are damaged, or belong to a write that was cut short");
    return status;
}
