/* damaged_store.c - see damaged_store.h.
 */
#include "damaged_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc.h"
#include "findings.h"
#include "log/scan.h"

bitcask *open_damaged(const char *path, bool read_only)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.sync = BITCASK_SYNC_OS;
    options.create = !read_only;
    options.read_only = read_only;
    options.segment_size = 64 * 1024;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    return db;
}

bitcask_partition *root_of(bitcask *db)
{
    bitcask_partition *root = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    return root;
}

void close_damaged(bitcask **db, bitcask_partition **root)
{
    bitcask_partition_close(root);
    EXPECT(BITCASK_OK, bitcask_close(db));
}

void key_and_value(int i, char key[8], char value[40])
{
    snprintf(key, 8, "k%d", i);
    snprintf(value, 40, "value of %d, %.*s.", i, i * 2, "abcdefghijklmnopqrstuvwxyz");
}

void seal(bitcask_partition *partition)
{
    struct bc_partition *instance;
    EXPECT(BITCASK_OK, bc_node_pin(partition, &instance));
    bc_fair_lock_soon(&instance->write_lock);
    EXPECT(BITCASK_OK, bc_partition_rotate(instance));
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(partition);
}

void put_filler(bitcask_partition *root, const char *key)
{
    char *filler = calloc(1, 60000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(filler);
    EXPECT(BITCASK_OK, bitcask_put(root, key, strlen(key), filler, 60000, NULL, NULL));
    free(filler);
}

void fill(bitcask_partition *root)
{
    bitcask_batch *batch = NULL;
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | BITCASK_ATTR_MTIME | BITCASK_ATTR_XATTRS,
                                 .mode = 0100600,
                                 .mtime_ns = 5,
                                 .xattrs = "user.x",
                                 .xattrs_size = 6};
    const bitcask_write_options options = {.attrs = &attrs};
    char key[8], value[40];

    EXPECT(BITCASK_OK, put_text(root, "k1", "an older one", 0));
    EXPECT(BITCASK_OK, put_text(root, "gone", "soon", 0));
    EXPECT(BITCASK_OK, bitcask_put(root, "attrs", 5, "v", 1, &options, NULL));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, NULL));
    put_filler(root, "filler");
    seal(root);
    for (int i = 0; i < KEYS; i++) {
        key_and_value(i, key, value);
        EXPECT(BITCASK_OK, put_text(root, key, value, i % 4 == 0 ? BITCASK_DURABLE : 0));
    }
    EXPECT(BITCASK_OK, delete_text(root, "gone", 0));
    seal(root);
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "b1", 2, "1", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "b2", 2, "2", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_delete(batch, "k8", 2));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    EXPECT(BITCASK_OK, put_text(root, "last", "in the active one", 0));
}

const char *make_store(const char *name)
{
    const char *path = fixture_path("%s", name);
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    fill(root);
    close_damaged(&db, &root);
    findings_make_hint(path, 0, 1);
    findings_make_hint(path, 0, 2);
    return path;
}

const char *file_of(const char *store, const char *name)
{
    return fixture_partition_file(store, 0, name);
}

void find_record(const char *file, const char *key, uint64_t *offset, uint64_t *size)
{
    struct bc_segment_header header;
    struct bc_segment *segment = NULL;
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;

    *offset = *size = 0;
    EXPECT(BITCASK_OK, bc_segment_open(bc_io_posix(), BC_AT_CWD, file, false, &segment, &header));
    EXPECT(BITCASK_OK, bc_scan_open(segment, header.header_size, segment->end, &scan));
    while (bc_scan_next(scan, &item) == BITCASK_OK && item.kind != BC_SCAN_END)
        if (item.kind == BC_SCAN_RECORD && item.record.key_size == strlen(key) &&
            memcmp(item.record.key, key, strlen(key)) == 0) {
            *offset = item.offset;
            *size = item.size;
        }
    bc_scan_close(&scan);
    bc_segment_unref(&segment);
    CU_ASSERT_FATAL(*size > 0);
}

void flip(const char *file, uint64_t at)
{
    size_t size;
    uint8_t *bytes = fixture_read(file, &size);
    CU_ASSERT_FATAL(at < size);
    bytes[at] ^= 0x10;
    /* In place: whoever has the file open is to see it. */
    FILE *out = fopen(file, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT(fseek(out, (long)at, SEEK_SET) == 0 && fwrite(bytes + at, 1, 1, out) == 1);
    CU_ASSERT_EQUAL(fclose(out), 0);
    free(bytes);
}

struct bc_segment *craft(const char *store, const char *name, uint32_t id, uint32_t lowest)
{
    struct bc_segment_header header = {.segment_id = id, .lowest_id = lowest};
    struct bc_segment *segment = NULL;
    int fd = findings_dir(store, 0);
    EXPECT(BITCASK_OK, bc_segment_create(bc_io_posix(), fd, name, &header, &segment));
    close(fd);
    return segment;
}

uint64_t add_record(struct bc_segment *segment, const char *key, const char *value, uint64_t version, uint16_t flags,
                    const void *attrs, uint32_t attrs_size)
{
    uint8_t front[256];
    uint64_t offset = segment->end;
    struct bc_record record = {.version = version,
                               .flags = flags,
                               .key_size = (uint8_t)strlen(key),
                               .attrs_size = attrs_size,
                               .value_size = (uint32_t)strlen(value),
                               .value_crc = bc_crc32c(0, value, strlen(value)),
                               .key = (const uint8_t *)key,
                               .attrs = attrs};
    bc_record_encode(&record, segment->generation, offset, front);
    struct iovec iov[] = {{front, bc_record_front_size(&record)}, {(void *)(uintptr_t)value, strlen(value)}};
    EXPECT(BITCASK_OK, bc_io_write(segment->io, segment->fd, segment->name, iov, 2, offset));
    segment->end = offset + bc_record_size(&record);
    return offset;
}

const char *make_empty_store(const char *name)
{
    const char *path = fixture_path("%s", name);
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, NULL));
    close_damaged(&db, &root);
    CU_ASSERT_EQUAL(unlink(file_of(path, "active.data")), 0);
    return path;
}
