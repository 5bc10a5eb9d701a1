/* rot_places.c - see rot_places.h.
 */
#include "rot_places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/inode_body.h"
#include "log/scan.h"

#define RECORDS_MAX 256u

/* The last record of a key. */
struct found {
    uint64_t partition_id;
    uint8_t key[BITCASK_NAME_MAX];
    size_t key_size;
    uint16_t flags;
    uint32_t segment_id;
    uint8_t value[512]; /* its beginning */
    size_t value_size;
    struct rot_place place;
};

char rot_files[SMALL_FILES_MAX][128];
size_t rot_file_count;
uint64_t rot_header_size[SMALL_FILES_MAX], rot_last_mark[SMALL_FILES_MAX], rot_partition[SMALL_FILES_MAX];
struct rot_name rot_names[ROT_NAMES];

static struct found records[RECORDS_MAX];
static size_t record_count;

static void must(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "rot: %s\n", what);
    exit(99);
}

static struct found *find(uint64_t partition_id, const void *key, size_t key_size)
{
    for (size_t i = 0; i < record_count; i++)
        if (records[i].partition_id == partition_id && records[i].key_size == key_size &&
            memcmp(records[i].key, key, key_size) == 0)
            return &records[i];
    return NULL;
}

static void note(size_t file, const struct bc_segment_header *header, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    struct found *found = find(header->partition_id, record->key, record->key_size);
    if (found && found->segment_id > header->segment_id) return;
    if (!found) {
        must(record_count < RECORDS_MAX, "too many records");
        found = &records[record_count++];
    }
    *found = (struct found){.partition_id = header->partition_id,
                            .key_size = record->key_size,
                            .flags = record->flags,
                            .segment_id = header->segment_id,
                            .value_size = record->value_size < 512 ? record->value_size : 512,
                            .place = {file, item->offset, item->size, 0}};
    memcpy(found->key, record->key, record->key_size);
    if (found->value_size > 0) memcpy(found->value, record->value, found->value_size);
}

/* Where the batch of each record ends that began since `since`. */
static void end_batch(size_t file, uint64_t since, uint64_t end)
{
    for (size_t i = 0; i < record_count; i++)
        if (records[i].place.file == file && records[i].place.offset >= since && records[i].place.batch_end == 0)
            records[i].place.batch_end = end;
}

static void scan(struct bc_io *io, size_t file)
{
    struct bc_segment_header header;
    struct bc_segment *segment = NULL;
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    uint64_t since = 0;
    must(bc_segment_open(io, BC_AT_CWD, rot_files[file], false, &segment, &header) == BITCASK_OK, rot_files[file]);
    rot_header_size[file] = header.header_size;
    rot_partition[file] = header.partition_id;
    must(bc_scan_open(segment, header.header_size, segment->end, &scan) == BITCASK_OK, "scan");
    while (bc_scan_next(scan, &item) == BITCASK_OK && item.kind != BC_SCAN_END) {
        must(item.kind == BC_SCAN_RECORD, "a store that is not clean");
        rot_last_mark[file] = bc_record_is_mark(&item.record) ? item.offset : 0;
        if (since == 0) since = item.offset;
        note(file, &header, &item);
        if (item.record.flags & BC_RECORD_MORE) continue;
        end_batch(file, since, item.offset + item.size);
        since = 0;
    }
    bc_scan_close(&scan);
    bc_segment_unref(&segment);
}

static void need(struct rot_name *name, const struct found *found)
{
    must(found != NULL && name->need_count < ROT_NEEDS_MAX, "a record that is needed is not there");
    name->needs[name->need_count++] = found->place;
}

static void need_inode(struct rot_name *name, uint64_t ino)
{
    uint8_t key[BC_EXTENT_KEY_SIZE];
    struct bc_inode_body body;
    bc_inode_key(ino, key);
    const struct found *inode = find(BC_INODES_ID, key, BC_INODE_KEY_SIZE);
    need(name, inode);
    must(bc_inode_decode(inode->value, inode->value_size, &body) == BITCASK_OK, "an inode");
    for (size_t i = 0; i < body.run_count; i++) {
        struct bc_run run = bc_inode_run(&body, i);
        for (uint64_t n = run.first; n < run.first + run.count; n++) {
            bc_extent_key(run.value_id, n, key);
            need(name, find(BC_INODES_ID, key, BC_EXTENT_KEY_SIZE));
        }
    }
}

static void find_needs(struct rot_name *name)
{
    uint64_t partition_id = 0;
    for (const char *at = name->name.partition; *at;) {
        size_t size = strcspn(at, "/");
        const struct found *directory = find(partition_id, at, size);
        need(name, directory);
        partition_id = bc_get_u64(directory->value);
        at += size + (at[size] == '/');
    }
    const struct found *own = find(partition_id, name->name.key, strlen(name->name.key));
    need(name, own);
    must(name->deleted == ((own->flags & BC_RECORD_TOMBSTONE) != 0), "a deleted name that is there");
    if (own->flags & BC_RECORD_LINK) need_inode(name, bc_get_u64(own->value));
}

void rot_places_find(struct bc_io *io)
{
    static const struct small_name deleted[ROT_DELETED] = {
        {"", "gone", 0, 24, "gone"}, {"", "dropped", 0, 24, "dropped"}, {"", "a5", 0, 24, "a5"}};
    rot_file_count = small_store_files(io, rot_files);
    record_count = 0;
    for (size_t i = 0; i < rot_file_count; i++) {
        size_t size = strlen(rot_files[i]);
        rot_partition[i] = UINT64_MAX;
        if (size > 5 && strcmp(rot_files[i] + size - 5, ".data") == 0) scan(io, i);
    }
    for (size_t i = 0; i < SMALL_NAMES; i++) rot_names[i] = (struct rot_name){.name = small_names[i]};
    for (size_t i = 0; i < ROT_DELETED; i++)
        rot_names[SMALL_NAMES + i] = (struct rot_name){.name = deleted[i], .deleted = true};
    for (size_t i = 0; i < ROT_NAMES; i++) find_needs(&rot_names[i]);
}

bool rot_needs(const struct rot_name *name, size_t file, uint64_t at)
{
    for (size_t i = 0; i < name->need_count; i++) {
        const struct rot_place *place = &name->needs[i];
        if (place->file == file && at >= place->offset && at < place->offset + place->size) return true;
    }
    return false;
}

bool rot_needs_behind(const struct rot_name *name, size_t file, uint64_t cut)
{
    for (size_t i = 0; i < name->need_count; i++)
        if (name->needs[i].file == file && cut < name->needs[i].batch_end) return true;
    return false;
}

bool rot_needs_partition(const struct rot_name *name, uint64_t partition_id)
{
    for (size_t i = 0; i < name->need_count; i++)
        if (rot_partition[name->needs[i].file] == partition_id) return true;
    return false;
}
