/* findings.c - see findings.h.
 */
#include "findings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc.h"
#include "db/maintain.h"
#include "log/scan.h"
#include "partition/load.h"

bool findings_found(void *context, const bitcask_finding *finding)
{
    struct findings *findings = context;
    struct told *told = &findings->list[findings->count < FINDINGS_KEPT ? findings->count : FINDINGS_KEPT - 1];

    *told = (struct told){.kind = finding->kind, .offset = finding->offset, .size = finding->size};
    snprintf(told->path, sizeof told->path, "%s", finding->path);
    snprintf(told->file, sizeof told->file, "%s", finding->file);
    snprintf(told->text, sizeof told->text, "%s", finding->text);
    if (finding->key_size > 0)
        snprintf(told->key, sizeof told->key, "%.*s", (int)finding->key_size, (const char *)finding->key);
    findings->count++;
    return findings->stop_after == 0 || findings->count < findings->stop_after;
}

bool findings_pace(void *context, uint64_t bytes)
{
    struct findings *findings = context;

    findings->paced += bytes;
    return findings->pauses_left == 0 || --findings->pauses_left > 0;
}

static void begin(struct findings *findings)
{
    findings->count = 0;
    findings->paced = 0;
    findings->result = (bitcask_verify_result){0};
}

bc_status findings_verify(bitcask_partition *partition, struct findings *findings)
{
    struct bc_partition *instance;
    struct bc_verify verify = {.env = &partition->db->env,
                               .path = "",
                               .found = findings_found,
                               .pace = findings_pace,
                               .context = findings,
                               .result = &findings->result};
    bc_status status = bc_node_pin(partition, &instance);

    if (status != BITCASK_OK) return status;
    begin(findings);
    status = bc_verify_partition(&verify, instance);
    bc_node_unpin(partition);
    return status;
}

bc_status findings_verify_files(const char *store, uint64_t id, struct findings *findings)
{
    char path[512];
    struct bc_dir_names dir_names;
    struct bc_env env = {.io = bc_io_posix(), .dir_names = &dir_names, .read_only = true};
    struct bc_verify verify = {.env = &env,
                               .path = "",
                               .found = findings_found,
                               .pace = findings_pace,
                               .context = findings,
                               .result = &findings->result};
    bc_status status;

    begin(findings);
    snprintf(path, sizeof path, "%s/partitions", store);
    status = bc_io_open(env.io, BC_AT_CWD, path, BC_OPEN_READ | BC_OPEN_DIRECTORY, &env.partitions_fd);
    if (status == BITCASK_OK) status = bc_verify_files(&verify, id);
    bc_io_close(env.io, &env.partitions_fd);
    return status;
}

bc_status findings_repair(struct bc_io *io, const char *store, struct findings *findings)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = findings_found, .context = findings};

    begin(findings);
    return bc_db_repair(io, store, "", &options, &findings->result);
}

const struct told *findings_of(const struct findings *findings, bitcask_finding_kind kind, const char *file,
                               const char *key)
{
    for (size_t i = 0; i < findings->count && i < FINDINGS_KEPT; i++) {
        const struct told *told = &findings->list[i];
        if (told->kind != kind || (file && strcmp(told->file, file) != 0)) continue;
        if (!key || strcmp(told->key, key) == 0) return told;
    }
    return NULL;
}

void findings_print(const struct findings *findings)
{
    static const char *const kinds[] = {"damage", "hint", "note"};

    for (size_t i = 0; i < findings->count && i < FINDINGS_KEPT; i++) {
        const struct told *told = &findings->list[i];
        fprintf(stderr, "  %s: '%s' %s: %llu bytes at %llu, key '%s': %s\n", kinds[told->kind], told->path, told->file,
                (unsigned long long)told->size, (unsigned long long)told->offset, told->key, told->text);
    }
}

bool findings_clean(const struct findings *findings)
{
    bool clean = findings->result.damage == 0 && findings->result.hints == 0;

    for (size_t i = 0; i < findings->count && i < FINDINGS_KEPT && clean; i++)
        clean = strstr(findings->list[i].text, "there is no hint") || strstr(findings->list[i].text, "superseded by") ||
                strstr(findings->list[i].text, "are not here");
    if (!clean) findings_print(findings);
    return clean;
}

int findings_dir(const char *store, uint64_t partition_id)
{
    char path[600];
    int fd;

    snprintf(path, sizeof path, "%s", fixture_partition_file(store, partition_id, ""));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    return fd;
}

/* The last record of each key, by way of an index; a deletion is one of slot 1. */
static void gather(struct bc_segment *segment, struct bc_index *index, struct bc_hint_head *head)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    bitcask_attrs attrs;

    EXPECT(BITCASK_OK, bc_scan_open(segment, segment->header_size, segment->end, &scan));
    while (bc_scan_next(scan, &item) == BITCASK_OK && item.kind != BC_SCAN_END) {
        struct bc_entry entry;
        if (item.kind != BC_SCAN_RECORD) continue;
        if (item.record.version > head->last_version) head->last_version = item.record.version;
        if (item.record.key_size == 2 && item.record.key[0] == 0 && item.record.key[1] == BC_KEY_MARK) continue;
        EXPECT(BITCASK_OK, bc_attrs_decode(item.record.attrs, item.record.attrs_size, &attrs));
        bc_entry_from_record(item.record.flags & BC_RECORD_TOMBSTONE ? 1 : 0, item.offset, &item.record, &attrs,
                             &entry);
        EXPECT(BITCASK_OK, bc_index_put(index, item.record.key, item.record.key_size, &entry, NULL, NULL));
    }
    bc_scan_close(&scan);
}

static bool add_entry(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct bc_hint_entry hint = {
        .key = key,
        .key_size = key_size,
        .offset = entry->offset,
        .record_size = entry->record_size,
        .value_size = entry->value_size,
        .version = entry->version,
        .child_id = entry->child_id,
        .attrs = entry->attrs,
    };

    if (entry->slot == 1) hint.flags |= BC_HINT_TOMBSTONE;
    if (entry->flags & BC_ENTRY_PARTITION) hint.flags |= BC_HINT_PARTITION;
    if (entry->flags & BC_ENTRY_HAS_XATTRS) hint.flags |= BC_HINT_XATTRS;
    EXPECT(BITCASK_OK, bc_hint_writer_add(context, &hint));
    return true;
}

void findings_make_hint(const char *store, uint64_t partition_id, uint32_t segment_id)
{
    struct bc_segment_header header;
    struct bc_segment *segment = NULL;
    struct bc_hint_writer *writer = NULL;
    struct bc_index *index = NULL;
    int fd = findings_dir(store, partition_id);
    char name[16];

    bc_segment_name(segment_id, name);
    EXPECT(BITCASK_OK, bc_segment_open(bc_io_posix(), fd, name, false, &segment, &header));
    EXPECT(BITCASK_OK, bc_index_open(0, &index));
    struct bc_hint_head head = {.segment_id = segment_id, .generation = segment->generation, .data_size = segment->end};
    gather(segment, index, &head);
    EXPECT(BITCASK_OK, bc_hint_writer_open(bc_io_posix(), fd, &head, &writer));
    bc_index_walk(index, BC_SEEK_GE, "", 0, SIZE_MAX, add_entry, writer);
    EXPECT(BITCASK_OK, bc_hint_writer_commit(&writer, NULL));
    bc_index_close(&index);
    bc_segment_unref(&segment);
    close(fd);
}

bool findings_told(const struct findings *findings, bitcask_finding_kind kind, const char *file, const char *key,
                   uint64_t offset, uint64_t size)
{
    const struct told *found = findings_of(findings, kind, file, key);
    bool as_expected = found && found->offset == offset && found->size == size;
    if (!as_expected) {
        fprintf(stderr, "not told: %s, key '%s', %llu bytes at %llu; but:\n", file, key ? key : "(any)",
                (unsigned long long)size, (unsigned long long)offset);
        findings_print(findings);
    }
    return as_expected;
}
