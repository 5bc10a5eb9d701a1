/* test_golden_hint.c - a hint file of format version 1, kept byte for byte: a change of the format cannot slip in
 * unseen.
 *
 * The file is tests/golden/hint-v1.hint below $srcdir (or the working directory), the hint of segment-v1.data beside
 * it. It is written anew only with GOLDEN_WRITE=1, and a released version's file never. Hints are disposable, so a
 * newer format may refuse it; what must not happen is that it is read as something else.
 */
#include "unit.h"

#include "io_sim.h"
#include "log/hint.h"

#define TIME UINT64_C(1700000000000000000) /* 2023-11-14 */
#define BYTES_MAX 4096u
#define SEED 5u /* of the simulated disk, which gives the salt */

#define KEY(text) .key = (const uint8_t *)(text), .key_size = sizeof(text) - 1

static const struct bc_hint_head golden_head = {
    .segment_id = 7,
    .generation = UINT64_C(0x0123456789abcdef),
    .data_size = 463,
    .last_version = TIME + 8,
};

/* The last records of the keys of segment-v1.data, about. */
static const struct bc_hint_entry golden[] = {
    {KEY("batch/1"), .offset = 285, .record_size = 38, .value_size = 5, .version = TIME + 4},
    {KEY("batch/2"), .offset = 323, .record_size = 33, .flags = BC_HINT_TOMBSTONE, .version = TIME + 5},
    {KEY("empty"), .offset = 208, .record_size = 36, .version = TIME + 2,
     .attrs = {.present = BITCASK_ATTR_MODE, .mode = 0120777}},
    {KEY("full"), .offset = 105, .record_size = 103, .value_size = 4, .flags = BC_HINT_XATTRS, .version = TIME + 1,
     .attrs = {.present = BITCASK_ATTR_ALL & ~(uint32_t)BITCASK_ATTR_XATTRS,
               .mode = 0100755,
               .gid = 1000,
               .rdev = 0x0801,
               .mtime_ns = INT64_C(1600000000123456789),
               .ctime_ns = INT64_C(1600000000000000001),
               .atime_ns = -1,
               .expiry_ns = INT64_C(4000000000000000000),
               .ino = UINT64_C(0x8000000000000001)}},
    {KEY("hello"), .offset = 432, .record_size = 31, .flags = BC_HINT_TOMBSTONE, .version = TIME + 8},
    {KEY("orders"), .offset = 244, .record_size = 40, .value_size = 8, .flags = BC_HINT_PARTITION, .version = TIME + 3,
     .child_id = UINT64_C(0x8f00000000000031)},
};
#define GOLDEN_COUNT (sizeof golden / sizeof golden[0])

static void golden_path(char path[1024])
{
    const char *srcdir = getenv("srcdir");
    snprintf(path, 1024, "%s/tests/golden/hint-v1.hint", srcdir != NULL ? srcdir : ".");
}

static int open_root(struct bc_sim *sim)
{
    struct bc_io *io = bc_sim_io(sim);
    int at = -1;
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, BC_AT_CWD, ".", BC_OPEN_READ | BC_OPEN_DIRECTORY, &at), BITCASK_OK);
    return at;
}

static size_t read_kept(uint8_t kept[BYTES_MAX])
{
    char path[1024];
    golden_path(path);
    FILE *file = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    size_t size = fread(kept, 1, BYTES_MAX, file);
    fclose(file);
    return size;
}

static void writing_yields_the_kept_bytes(void)
{
    static uint8_t written[BYTES_MAX], kept[BYTES_MAX];
    struct bc_sim *sim = bc_sim_open(SEED);
    struct bc_io *io = bc_sim_io(sim);
    struct bc_hint_writer *writer = NULL;
    int at = open_root(sim), fd = -1;
    size_t size = 0;
    CU_ASSERT_EQUAL_FATAL(bc_hint_writer_open(io, at, &golden_head, &writer), BITCASK_OK);
    for (size_t i = 0; i < GOLDEN_COUNT; i++) CU_ASSERT_EQUAL(bc_hint_writer_add(writer, &golden[i]), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_writer_commit(&writer, NULL), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, at, "000007.hint", BC_OPEN_READ, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_read(io, fd, "000007.hint", written, sizeof written, 0, &size), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(io, &at), BITCASK_OK);
    bc_sim_close(&sim);

    const char *write = getenv("GOLDEN_WRITE");
    if (write != NULL && strcmp(write, "1") == 0) {
        char path[1024];
        golden_path(path);
        FILE *file = fopen(path, "wb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_EQUAL(fwrite(written, 1, size, file), size);
        CU_ASSERT_EQUAL(fclose(file), 0);
    }
    CU_ASSERT_EQUAL_FATAL(read_kept(kept), size);
    CU_ASSERT_EQUAL(memcmp(kept, written, size), 0);
}

static void kept_bytes_are_read_as_what_was_written(void)
{
    static uint8_t kept[BYTES_MAX];
    struct bc_sim *sim = bc_sim_open(1);
    struct bc_io *io = bc_sim_io(sim);
    struct iovec iov = {kept, read_kept(kept)};
    struct bc_hint *hint = NULL;
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry;
    int at = open_root(sim), fd = -1;
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, at, "000007.hint", BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_write(io, fd, "000007.hint", &iov, 1, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_hint_open(io, at, &golden_head, true, &hint), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_head(hint)->keys, GOLDEN_COUNT);
    CU_ASSERT_EQUAL(bc_hint_head(hint)->tombstone_bytes, 33 + 31);
    CU_ASSERT_EQUAL_FATAL(bc_hint_cursor_open(hint, &cursor), BITCASK_OK);
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        const struct bc_hint_entry *wanted = &golden[i];
        CU_ASSERT_EQUAL_FATAL(bc_hint_cursor_next(cursor, &entry), BITCASK_OK);
        CU_ASSERT(entry.key_size == wanted->key_size && memcmp(entry.key, wanted->key, wanted->key_size) == 0);
        CU_ASSERT_EQUAL(entry.offset, wanted->offset);
        CU_ASSERT_EQUAL(entry.record_size, wanted->record_size);
        CU_ASSERT_EQUAL(entry.value_size, wanted->value_size);
        CU_ASSERT_EQUAL(entry.flags, wanted->flags);
        CU_ASSERT_EQUAL(entry.version, wanted->version);
        CU_ASSERT_EQUAL(entry.child_id, wanted->child_id);
        CU_ASSERT_EQUAL(entry.attrs.present, wanted->attrs.present);
        CU_ASSERT_EQUAL(entry.attrs.mtime_ns, wanted->attrs.mtime_ns);
        CU_ASSERT_EQUAL(entry.attrs.ino, wanted->attrs.ino);
    }
    CU_ASSERT_EQUAL(bc_hint_cursor_next(cursor, &entry), BITCASK_NOT_FOUND);
    bc_hint_cursor_close(&cursor);
    bc_hint_close(&hint);
    CU_ASSERT_EQUAL(bc_io_close(io, &at), BITCASK_OK);
    bc_sim_close(&sim);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"writing yields the kept bytes", writing_yields_the_kept_bytes},
        {"kept bytes are read as what was written", kept_bytes_are_read_as_what_was_written},
        CU_TEST_INFO_NULL,
    };
    return unit_run("golden hint", tests);
}
