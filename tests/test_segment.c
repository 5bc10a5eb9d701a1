/* test_segment.c - data files: names, headers, creation that fails half way, reading records back. */
#include "unit.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/crc.h"
#include "log/segment.h"

static void segment_names_go_there_and_back(void)
{
    static const uint32_t ids[] = {0, 1, 7, 999999, 1000000, 4294967295u};
    char name[16];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        uint32_t back = 5;
        bc_segment_name(ids[i], name);
        CU_ASSERT(bc_segment_parse_name(name, &back));
        CU_ASSERT_EQUAL(back, ids[i]);
    }
    bc_segment_name(7, name);
    CU_ASSERT_STRING_EQUAL(name, "000007.data");
    bc_segment_name(4294967295u, name);
    CU_ASSERT_STRING_EQUAL(name, "4294967295.data");
}

static void other_names_are_no_segments(void)
{
    static const char *const names[] = {"",
                                        "active.data",
                                        "7.data",
                                        "0000007.data",
                                        "000007.hint",
                                        "000007.dat",
                                        "000007.data~",
                                        "000007data",
                                        "4294967296.data",
                                        "-00007.data",
                                        "+00007.data",
                                        " 00007.data",
                                        "00000x.data",
                                        ".data",
                                        "new.tmp",
                                        "99999999999999999999999999.data"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint32_t id = 5;
        CU_ASSERT(!bc_segment_parse_name(names[i], &id));
        CU_ASSERT_EQUAL(id, 5);
    }
}

static struct bc_segment_header sample_header(void)
{
    return (struct bc_segment_header){
        .segment_id = 9,
        .lowest_id = 4,
        .generation = UINT64_C(0xfedcba9876543210),
        .partition_id = UINT64_C(0x8f00000000000031),
        .parent_id = 3,
        .last_version = UINT64_C(1700000000123456789),
        .path = "orders/2026",
    };
}

static void header_round_trip(void)
{
    static uint8_t bytes[BC_SEGMENT_HEADER_FIXED + BC_SEGMENT_PATH_MAX];
    struct bc_segment_header header = sample_header(), back;
    static const size_t paths[] = {0, 1, 11, BC_SEGMENT_PATH_MAX};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        memset(header.path, 'p', paths[i]);
        header.path[paths[i]] = '\0';
        size_t size = bc_segment_header_encode(&header, bytes, sizeof bytes);
        CU_ASSERT_EQUAL_FATAL(size, BC_SEGMENT_HEADER_FIXED + paths[i]);
        CU_ASSERT_EQUAL_FATAL(bc_segment_header_decode(bytes, size, size + 1000, "f", &back), BITCASK_OK);
        CU_ASSERT_EQUAL(back.segment_id, 9);
        CU_ASSERT_EQUAL(back.lowest_id, 4);
        CU_ASSERT_EQUAL(back.generation, header.generation);
        CU_ASSERT_EQUAL(back.partition_id, header.partition_id);
        CU_ASSERT_EQUAL(back.parent_id, 3);
        CU_ASSERT_EQUAL(back.last_version, header.last_version);
        CU_ASSERT_EQUAL(back.header_size, size);
        CU_ASSERT_STRING_EQUAL(back.path, header.path);
    }
    memset(bytes, 0xee, sizeof bytes);
    header.path[0] = '\0';
    CU_ASSERT_EQUAL(bc_segment_header_encode(&header, bytes, BC_SEGMENT_HEADER_FIXED - 1), BC_SEGMENT_HEADER_FIXED);
    CU_ASSERT_EQUAL(bytes[0], 0xee);
}

static void header_cut_at_any_length_is_refused(void)
{
    uint8_t whole[200];
    struct bc_segment_header header = sample_header(), back;
    size_t size = bc_segment_header_encode(&header, whole, sizeof whole);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *bytes = malloc(cut > 0 ? cut : 1);
        memcpy(bytes, whole, cut);
        CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, cut, cut, "000009.data", &back), BITCASK_CORRUPT);
        CU_ASSERT_STRING_EQUAL(bc_detail(),
                               cut == 0 ? "000009.data: header: empty file" : "000009.data: header: cut short");
        free(bytes);
    }
}

static void header_with_any_bit_flipped_is_refused(void)
{
    uint8_t bytes[200];
    struct bc_segment_header header = sample_header(), back;
    size_t size = bc_segment_header_encode(&header, bytes, sizeof bytes);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, 100000, "f", &back), BITCASK_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, 100000, "f", &back), BITCASK_OK);
}

static void seal(uint8_t *bytes, size_t size)
{
    bc_put_u32(bytes + size - 4, bc_crc32c(0, bytes, size - 4));
}

static void foreign_newer_and_lying_headers_are_told_apart(void)
{
    uint8_t bytes[200];
    struct bc_segment_header header = sample_header(), back;
    size_t size = bc_segment_header_encode(&header, bytes, sizeof bytes);
    CU_ASSERT_EQUAL(bc_segment_header_decode((const uint8_t *)"#!/bin/sh\n", 10, 10, "f", &back), BITCASK_CORRUPT);
    CU_ASSERT_STRING_EQUAL(bc_detail(), "f: header: not a data file");

    bc_put_u16(bytes + 8, BC_FORMAT_VERSION + 1);
    seal(bytes, size);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, size, "f", &back), BITCASK_NEWER_FORMAT);
    bc_put_u32(bytes + 12, 100000); /* more header than anyone reads of version 1 */
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, 200000, "f", &back), BITCASK_NEWER_FORMAT);
    bc_put_u16(bytes + 8, BC_FORMAT_VERSION);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, 200000, "f", &back), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, 200, "f", &back), BITCASK_CORRUPT);
    bc_put_u32(bytes + 12, (uint32_t)size);
    bc_put_u16(bytes + 8, 0);
    seal(bytes, size);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, size, "f", &back), BITCASK_CORRUPT);
    bc_put_u16(bytes + 8, BC_FORMAT_VERSION);
    bc_put_u16(bytes + 10, BC_KIND_HINT);
    seal(bytes, size);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, size, "f", &back), BITCASK_CORRUPT);
    bc_put_u16(bytes + 10, BC_KIND_DATA);
    bc_put_u16(bytes + 56, 12); /* the path is said to be longer than it is */
    seal(bytes, size);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, size, "f", &back), BITCASK_CORRUPT);
    bc_put_u16(bytes + 56, 11);
    bytes[60] = '\0';
    seal(bytes, size);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, size, "f", &back), BITCASK_CORRUPT);
    bytes[60] = 'd';
    seal(bytes, size);
    CU_ASSERT_EQUAL(bc_segment_header_decode(bytes, size, size, "f", &back), BITCASK_OK);
}

static bool exists(int at, const char *name)
{
    struct stat st;
    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void created_segment_opens_again(void)
{
    char path[256];
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    struct bc_segment_header header = sample_header(), back;
    struct bc_segment *segment = NULL;
    /* What a crash left under the temporary name is in nobody's way. */
    int stale = openat(at, "new.tmp", O_WRONLY | O_CREAT, 0600);
    CU_ASSERT_EQUAL(write(stale, path, sizeof path), sizeof path);
    CU_ASSERT_EQUAL(close(stale), 0);
    uint64_t syncs = bc_io_count(&io->syncs);
    CU_ASSERT_EQUAL_FATAL(bc_segment_create(io, at, BC_ACTIVE_NAME, &header, &segment), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_count(&io->syncs), syncs + 1);
    CU_ASSERT(!exists(at, "new.tmp"));
    CU_ASSERT_EQUAL(segment->end, header.header_size);
    CU_ASSERT_EQUAL(segment->generation, header.generation);
    CU_ASSERT_NOT_EQUAL(header.generation, sample_header().generation);
    CU_ASSERT_STRING_EQUAL(segment->name, BC_ACTIVE_NAME);
    bc_segment_unref(&segment);
    CU_ASSERT_PTR_NULL(segment);

    CU_ASSERT_EQUAL_FATAL(bc_segment_open(io, at, BC_ACTIVE_NAME, false, &segment, &back), BITCASK_OK);
    CU_ASSERT_EQUAL(back.generation, header.generation);
    CU_ASSERT_EQUAL(back.header_size, header.header_size);
    CU_ASSERT_STRING_EQUAL(back.path, "orders/2026");
    CU_ASSERT_EQUAL(segment->end, header.header_size);
    CU_ASSERT_EQUAL(segment->segment_id, 9);
    CU_ASSERT_EQUAL(segment->last_version, header.last_version);
    struct bc_segment *second = bc_segment_ref(segment);
    bc_segment_unref(&segment);
    uint8_t bytes[200];
    CU_ASSERT_EQUAL(bc_segment_read_raw(second, 0, bytes, 8), BITCASK_OK);
    CU_ASSERT(memcmp(bytes, BC_SEGMENT_MAGIC, 8) == 0);
    CU_ASSERT_EQUAL(bc_segment_read_raw(second, 1, bytes, header.header_size), BITCASK_CORRUPT);
    bc_segment_unref(&second);
    bc_segment_unref(&second);
    unit_scratch_close(at, path);
}

static void what_is_no_data_file_is_refused_and_left_alone(void)
{
    char path[256];
    int at = unit_scratch_open(path);
    struct bc_segment_header header;
    struct bc_segment *segment = NULL;
    struct bc_io *io = bc_io_posix();
    CU_ASSERT_EQUAL(bc_segment_open(io, at, "none", true, &segment, &header), BITCASK_NOT_FOUND);
    CU_ASSERT_EQUAL(close(openat(at, "empty", O_WRONLY | O_CREAT, 0600)), 0);
    CU_ASSERT_EQUAL(bc_segment_open(io, at, "empty", true, &segment, &header), BITCASK_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "empty file"));
    CU_ASSERT_EQUAL(mkfifoat(at, "fifo", 0600), 0);
    CU_ASSERT_EQUAL(bc_segment_open(io, at, "fifo", true, &segment, &header), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(mkdirat(at, "dir", 0700), 0);
    CU_ASSERT_EQUAL(bc_segment_open(io, at, "dir", false, &segment, &header), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_segment_open(io, at, "dir", true, &segment, &header), BITCASK_CORRUPT);
    CU_ASSERT_PTR_NULL(segment);
    CU_ASSERT(exists(at, "empty") && exists(at, "fifo") && exists(at, "dir"));
    unit_scratch_close(at, path);
}

/* ---- the disk fails ---- */

static int fail_fd(struct bc_io *io, int fd)
{
    (void)io, (void)fd;
    return -EIO;
}

static ssize_t fail_write(struct bc_io *io, int fd, const struct iovec *iov, int count, uint64_t offset)
{
    (void)io, (void)fd, (void)iov, (void)count, (void)offset;
    return -ENOSPC;
}

static int fail_rename(struct bc_io *io, int at, const char *from, const char *to)
{
    (void)io, (void)at, (void)from, (void)to;
    return -EDQUOT;
}

static void create_that_fails_leaves_nothing_behind(void)
{
    char path[256];
    int at = unit_scratch_open(path);
    static const bc_status expected[] = {BITCASK_NO_SPACE, BITCASK_IO, BITCASK_QUOTA};
    static const char *const words[] = {"new.tmp: cannot write", "new.tmp: cannot sync", "new.tmp: cannot rename"};
    for (int step = 0; step < 3; step++) {
        struct bc_io_ops ops = *bc_io_posix()->ops;
        struct bc_io io = {.ops = &ops};
        struct bc_segment_header header = sample_header();
        struct bc_segment *segment = NULL;
        if (step == 0) ops.pwritev = fail_write;
        if (step == 1) ops.fdatasync = fail_fd;
        if (step == 2) ops.rename = fail_rename;
        CU_ASSERT_EQUAL(bc_segment_create(&io, at, BC_ACTIVE_NAME, &header, &segment), expected[step]);
        CU_ASSERT_EQUAL(strncmp(bc_detail(), words[step], strlen(words[step])), 0);
        CU_ASSERT_PTR_NULL(segment);
        CU_ASSERT(!exists(at, "new.tmp"));
        CU_ASSERT(!exists(at, BC_ACTIVE_NAME));
    }
    unit_scratch_close(at, path);
}

/* ---- records ---- */

/* Appends one record and returns its offset. */
static uint64_t append(struct bc_segment *segment, const char *key, const bitcask_attrs *attrs, const void *value,
                       uint32_t value_size)
{
    struct bc_record record = {
        .version = 5,
        .key_size = (uint8_t)strlen(key),
        .attrs_size = (uint32_t)bc_attrs_size(attrs),
        .value_size = value_size,
        .value_crc = bc_crc32c(0, value, value_size),
        .key = (const uint8_t *)key,
    };
    uint8_t *encoded = malloc(record.attrs_size + 1);
    uint8_t *front = malloc(bc_record_front_size(&record));
    bc_attrs_encode(attrs, encoded);
    record.attrs = encoded;
    uint64_t offset = segment->end;
    bc_record_encode(&record, segment->generation, offset, front);
    struct iovec iov[] = {{front, bc_record_front_size(&record)}, {(void *)(uintptr_t)value, value_size}};
    CU_ASSERT_EQUAL(bc_io_write(segment->io, segment->fd, segment->name, iov, 2, offset), BITCASK_OK);
    segment->end = offset + bc_record_size(&record);
    free(encoded);
    free(front);
    return offset;
}

static void records_are_read_back_at_their_offsets(void)
{
    char path[256];
    static uint8_t xattrs[BITCASK_XATTRS_MAX], value[100000], out[100000];
    int at = unit_scratch_open(path);
    uint64_t seed = unit_seed("read back");
    unit_random_bytes(&seed, xattrs, sizeof xattrs);
    unit_random_bytes(&seed, value, sizeof value);
    struct bc_segment_header header = sample_header();
    struct bc_segment *segment = NULL;
    struct bc_buffer buffer = {0};
    struct bc_record record;
    CU_ASSERT_EQUAL_FATAL(bc_segment_create(bc_io_posix(), at, BC_ACTIVE_NAME, &header, &segment), BITCASK_OK);

    bitcask_attrs none = {0};
    bitcask_attrs most = {.present = BITCASK_ATTR_XATTRS | BITCASK_ATTR_UID, .uid = 7};
    most.xattrs = xattrs;
    most.xattrs_size = sizeof xattrs;
    uint64_t a = append(segment, "empty", &none, "", 0);
    uint64_t b = append(segment, "big", &most, value, sizeof value);
    uint64_t c = append(segment, "last", &none, "tail", 4);

    CU_ASSERT_EQUAL(bc_segment_read_front(segment, b, &buffer, &record), BITCASK_OK);
    CU_ASSERT(record.key_size == 3 && memcmp(record.key, "big", 3) == 0);
    bitcask_attrs back;
    CU_ASSERT_EQUAL(bc_attrs_decode(record.attrs, record.attrs_size, &back), BITCASK_OK);
    CU_ASSERT(back.uid == 7 && back.xattrs_size == sizeof xattrs && memcmp(back.xattrs, xattrs, sizeof xattrs) == 0);
    CU_ASSERT_EQUAL(bc_segment_read_value(segment, b, &record, out), BITCASK_OK);
    CU_ASSERT(memcmp(out, value, sizeof value) == 0);
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, a, &buffer, &record), BITCASK_OK);
    CU_ASSERT_EQUAL(record.value_size, 0);
    CU_ASSERT_EQUAL(bc_segment_read_value(segment, a, &record, NULL), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, c, &buffer, &record), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_segment_read_value(segment, c, &record, out), BITCASK_OK);
    CU_ASSERT(memcmp(out, "tail", 4) == 0);

    /* Not at other offsets, and not behind the end. */
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, b + 1, &buffer, &record), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, segment->end, &buffer, &record), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, UINT64_MAX, &buffer, &record), BITCASK_CORRUPT);

    /* A rotten byte in the value is noticed by the value alone, the other records do not care. */
    uint8_t rotten = (uint8_t)~value[50000];
    struct iovec iov = {&rotten, 1};
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, b, &buffer, &record), BITCASK_OK);
    uint64_t where = b + bc_record_front_size(&record) + 50000;
    CU_ASSERT_EQUAL(bc_io_write(segment->io, segment->fd, "f", &iov, 1, where), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, b, &buffer, &record), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_segment_read_value(segment, b, &record, out), BITCASK_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), BC_ACTIVE_NAME));
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, c, &buffer, &record), BITCASK_OK);

    /* The file is shorter than the segment believes. */
    CU_ASSERT_EQUAL(bc_io_truncate(segment->io, segment->fd, "f", segment->end - 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_segment_read_value(segment, c, &record, out), BITCASK_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "cut short"));
    bc_buffer_release(&buffer);
    bc_segment_unref(&segment);
    unit_scratch_close(at, path);
}

static void segment_in_memory_reads_like_a_file(void)
{
    struct bc_record record = {.version = 1, .key_size = 1, .value_size = 3, .key = (const uint8_t *)"k"};
    struct bc_segment *segment = calloc(1, sizeof *segment);
    struct bc_buffer buffer = {0};
    uint8_t out[3];
    segment->io = bc_io_posix();
    segment->fd = -1;
    segment->references = 1;
    segment->generation = 77;
    segment->end = 30;
    segment->memory = malloc(30);
    record.value_crc = bc_crc32c(0, "abc", 3);
    bc_record_encode(&record, 77, 0, segment->memory);
    memcpy(segment->memory + 27, "abc", 3);
    CU_ASSERT_EQUAL(bc_segment_read_front(segment, 0, &buffer, &record), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_segment_read_value(segment, 0, &record, out), BITCASK_OK);
    CU_ASSERT(memcmp(out, "abc", 3) == 0);
    CU_ASSERT_EQUAL(bc_segment_read_raw(segment, 28, out, 3), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_segment_read_raw(segment, UINT64_MAX, out, 3), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_segment_read_raw(segment, 30, out, 0), BITCASK_OK);
    bc_buffer_release(&buffer);
    bc_segment_unref(&segment);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"segment names go there and back", segment_names_go_there_and_back},
        {"other names are no segments", other_names_are_no_segments},
        {"header round trip", header_round_trip},
        {"header cut at any length is refused", header_cut_at_any_length_is_refused},
        {"header with any bit flipped is refused", header_with_any_bit_flipped_is_refused},
        {"foreign, newer and lying headers are told apart", foreign_newer_and_lying_headers_are_told_apart},
        {"created segment opens again", created_segment_opens_again},
        {"what is no data file is refused and left alone", what_is_no_data_file_is_refused_and_left_alone},
        {"create that fails leaves nothing behind", create_that_fails_leaves_nothing_behind},
        {"records are read back at their offsets", records_are_read_back_at_their_offsets},
        {"segment in memory reads like a file", segment_in_memory_reads_like_a_file},
        CU_TEST_INFO_NULL,
    };
    return unit_run("segment", tests);
}
