/* test_golden.c - a data file of format version 1, kept byte for byte: a change of the format cannot slip in unseen.
 *
 * The file is tests/golden/segment-v1.data below $srcdir (or the working directory). It is written anew only with
 * GOLDEN_WRITE=1, and a released version's file never: a new format gets a new file, and the old one stays readable.
 */
#include "unit.h"

#include "base/crc.h"
#include "log/scan.h"

#define GENERATION UINT64_C(0x0123456789abcdef)
#define TIME UINT64_C(1700000000000000000) /* 2023-11-14 */
#define BYTES_MAX 4096

/* What the file holds, record by record. */
struct golden {
    const char *key;
    size_t key_size;
    uint64_t version;
    uint16_t flags;
    bitcask_attrs attrs;
    const char *value;
    size_t value_size;
};

#define TEXT(text) text, sizeof(text) - 1

static const struct golden golden[] = {
    {TEXT("hello"), TIME, 0, {0}, TEXT("world\n")},
    {TEXT("full"),
     TIME + 1,
     0,
     {.present = BITCASK_ATTR_ALL,
      .mode = 0100755,
      .uid = 0,
      .gid = 1000,
      .rdev = 0x0801,
      .mtime_ns = INT64_C(1600000000123456789),
      .ctime_ns = INT64_C(1600000000000000001),
      .atime_ns = -1,
      .expiry_ns = INT64_C(4000000000000000000),
      .ino = UINT64_C(0x8000000000000001),
      .xattrs = "user.a=1",
      .xattrs_size = 8},
     TEXT("\x00\x01\xfe\xff")},
    {TEXT("empty"), TIME + 2, 0, {.present = BITCASK_ATTR_MODE, .mode = 0120777}, TEXT("")},
    {TEXT("orders"), TIME + 3, BC_RECORD_PARTITION, {0}, TEXT("\x31\x00\x00\x00\x00\x00\x00\x8f")},
    {TEXT("batch/1"), TIME + 4, BC_RECORD_MORE, {0}, TEXT("first")},
    {TEXT("batch/2"), TIME + 5, BC_RECORD_MORE | BC_RECORD_TOMBSTONE, {0}, TEXT("")},
    {TEXT("batch/3"), TIME + 6, 0, {0}, TEXT("last")},
    {TEXT("\x00"
          "D"),
     TIME + 7,
     0,
     {0},
     TEXT("\x8c\x01\x00\x00\x00\x00\x00\x00")},
    {TEXT("hello"), TIME + 8, BC_RECORD_TOMBSTONE | BC_RECORD_DURABLE, {0}, TEXT("")},
};
#define GOLDEN_COUNT (sizeof golden / sizeof golden[0])

static struct bc_segment_header golden_header(void)
{
    return (struct bc_segment_header){
        .segment_id = 7,
        .lowest_id = 5,
        .generation = GENERATION,
        .partition_id = UINT64_C(0x8f00000000000031),
        .parent_id = 0,
        .last_version = TIME - 1,
        .path = "orders",
    };
}

/* Encodes the whole file; returns its size. */
static size_t encode(uint8_t *out)
{
    struct bc_segment_header header = golden_header();
    size_t size = bc_segment_header_encode(&header, out, BYTES_MAX);
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        const struct golden *one = &golden[i];
        uint8_t attrs[256];
        struct bc_record record = {
            .version = one->version,
            .flags = one->flags,
            .key_size = (uint8_t)one->key_size,
            .attrs_size = (uint32_t)bc_attrs_size(&one->attrs),
            .value_size = (uint32_t)one->value_size,
            .value_crc = bc_crc32c(0, one->value, one->value_size),
            .key = (const uint8_t *)one->key,
            .attrs = attrs,
        };
        bc_attrs_encode(&one->attrs, attrs);
        bc_record_encode(&record, GENERATION, size, out + size);
        size += bc_record_front_size(&record);
        memcpy(out + size, one->value, one->value_size);
        size += one->value_size;
    }
    return size;
}

static void golden_path(char path[1024], const char *name)
{
    const char *srcdir = getenv("srcdir");
    snprintf(path, 1024, "%s/tests/golden%s%s", srcdir != NULL ? srcdir : ".", *name != '\0' ? "/" : "", name);
}

static void encoding_yields_the_kept_bytes(void)
{
    static uint8_t encoded[BYTES_MAX], kept[BYTES_MAX];
    char path[1024];
    golden_path(path, "segment-v1.data");
    size_t size = encode(encoded);
    const char *write = getenv("GOLDEN_WRITE");
    if (write != NULL && strcmp(write, "1") == 0) {
        FILE *file = fopen(path, "wb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_EQUAL(fwrite(encoded, 1, size, file), size);
        CU_ASSERT_EQUAL(fclose(file), 0);
    }
    FILE *file = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fread(kept, 1, sizeof kept, file), size);
    CU_ASSERT_EQUAL(fclose(file), 0);
    CU_ASSERT(memcmp(kept, encoded, size) == 0);
}

static void expect_attrs(const struct bc_record *record, const bitcask_attrs *expected)
{
    bitcask_attrs attrs;
    CU_ASSERT_EQUAL_FATAL(bc_attrs_decode(record->attrs, record->attrs_size, &attrs), BITCASK_OK);
    CU_ASSERT_EQUAL(attrs.present, expected->present);
    CU_ASSERT_EQUAL(attrs.mode, expected->mode);
    CU_ASSERT_EQUAL(attrs.uid, expected->uid);
    CU_ASSERT_EQUAL(attrs.gid, expected->gid);
    CU_ASSERT_EQUAL(attrs.rdev, expected->rdev);
    CU_ASSERT_EQUAL(attrs.mtime_ns, expected->mtime_ns);
    CU_ASSERT_EQUAL(attrs.ctime_ns, expected->ctime_ns);
    CU_ASSERT_EQUAL(attrs.atime_ns, expected->atime_ns);
    CU_ASSERT_EQUAL(attrs.expiry_ns, expected->expiry_ns);
    CU_ASSERT_EQUAL(attrs.ino, expected->ino);
    CU_ASSERT_EQUAL_FATAL(attrs.xattrs_size, expected->xattrs_size);
    if (attrs.xattrs_size > 0) CU_ASSERT(memcmp(attrs.xattrs, expected->xattrs, attrs.xattrs_size) == 0);
}

static void kept_bytes_decode_to_the_fields(void)
{
    char path[1024];
    golden_path(path, "");
    struct bc_io *io = bc_io_posix();
    struct bc_segment *segment = NULL;
    struct bc_segment_header header, expected = golden_header();
    int at = -1;
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, BC_AT_CWD, path, BC_OPEN_DIRECTORY, &at), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_segment_open(io, at, "segment-v1.data", false, &segment, &header), BITCASK_OK);
    CU_ASSERT_EQUAL(header.segment_id, expected.segment_id);
    CU_ASSERT_EQUAL(header.lowest_id, expected.lowest_id);
    CU_ASSERT_EQUAL(header.generation, expected.generation);
    CU_ASSERT_EQUAL(header.partition_id, expected.partition_id);
    CU_ASSERT_EQUAL(header.parent_id, expected.parent_id);
    CU_ASSERT_EQUAL(header.last_version, expected.last_version);
    CU_ASSERT_EQUAL(header.header_size, BC_SEGMENT_HEADER_FIXED + 6);
    CU_ASSERT_STRING_EQUAL(header.path, expected.path);

    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    CU_ASSERT_EQUAL_FATAL(bc_scan_open(segment, header.header_size, segment->end, &scan), BITCASK_OK);
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        const struct golden *one = &golden[i];
        CU_ASSERT_EQUAL_FATAL(bc_scan_next(scan, &item), BITCASK_OK);
        CU_ASSERT_EQUAL_FATAL(item.kind, BC_SCAN_RECORD);
        CU_ASSERT_EQUAL(item.record.version, one->version);
        CU_ASSERT_EQUAL(item.record.flags, one->flags);
        CU_ASSERT_EQUAL_FATAL(item.record.key_size, one->key_size);
        CU_ASSERT(memcmp(item.record.key, one->key, one->key_size) == 0);
        CU_ASSERT_EQUAL_FATAL(item.record.value_size, one->value_size);
        CU_ASSERT(memcmp(item.record.value, one->value, one->value_size) == 0);
        expect_attrs(&item.record, &one->attrs);
    }
    CU_ASSERT_EQUAL(bc_scan_next(scan, &item), BITCASK_OK);
    CU_ASSERT_EQUAL(item.kind, BC_SCAN_END);
    bc_scan_close(&scan);
    bc_segment_unref(&segment);
    CU_ASSERT_EQUAL(bc_io_close(io, &at), BITCASK_OK);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"encoding yields the kept bytes", encoding_yields_the_kept_bytes},
        {"kept bytes decode to the fields", kept_bytes_decode_to_the_fields},
        CU_TEST_INFO_NULL,
    };
    return unit_run("golden", tests);
}
