/* test_open.c - who may open what: no store, foreign directories, newer formats, unsafe modes, two writers, readers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

static bitcask_status try_open(const char *path, bool create, bool read_only)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.create = create;
    options.read_only = read_only;
    bitcask_status status = bitcask_open(path, &options, &db);
    char detail[600];
    snprintf(detail, sizeof detail, "%s", bitcask_error_detail());
    CU_ASSERT_EQUAL(db != NULL, status == BITCASK_OK);
    if (status == BITCASK_OK) EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT(status == BITCASK_OK || (strlen(detail) > 10 && !strchr(detail, '\n')));
    return status;
}

/* A store with one key in the root and one in a partition. */
static const char *make_store(const char *name)
{
    const char *path = fixture_path("%s", name);
    bitcask *db = fixture_open(path, BITCASK_SYNC_OS);
    bitcask_partition *root = NULL, *sub = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, put_text(root, "k", "root's", 0));
    EXPECT(BITCASK_OK, put_text(sub, "k", "sub's", 0));
    bitcask_partition_close(&root);
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    return path;
}

static void store_is_created_only_when_asked(void)
{
    const char *path = fixture_path("absent");
    EXPECT(BITCASK_NOT_FOUND, try_open(path, false, false));
    EXPECT(BITCASK_NOT_FOUND, try_open(path, false, true));
    CU_ASSERT_EQUAL(access(path, F_OK), -1);
    EXPECT(BITCASK_NOT_FOUND, try_open(fixture_path("absent/below"), true, false));
    EXPECT(BITCASK_OK, try_open(path, true, false));
    EXPECT(BITCASK_OK, try_open(path, false, false));
    EXPECT(BITCASK_OK, try_open(path, false, true));
    struct stat info;
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0700);
    CU_ASSERT(stat(fixture_path("absent/STORE"), &info) == 0 && (info.st_mode & 0777) == 0600);
    const char *empty = fixture_path("empty");
    CU_ASSERT_EQUAL(mkdir(empty, 0700), 0);
    CU_ASSERT_NOT_EQUAL(try_open(empty, false, false), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(try_open(empty, true, true), BITCASK_OK);
    CU_ASSERT_EQUAL(rmdir(empty), 0);
    CU_ASSERT_EQUAL(mkdir(empty, 0700), 0);
    EXPECT(BITCASK_OK, try_open(empty, true, false));
}

static void what_is_no_store_is_refused_and_left_alone(void)
{
    const char *file = fixture_path("file"), *foreign = fixture_path("foreign"), *marker = fixture_path("marker");
    fixture_write(file, "text", 4);
    CU_ASSERT_EQUAL(mkdir(foreign, 0700), 0);
    fixture_write(fixture_path("foreign/thesis.tex"), "text", 4);
    CU_ASSERT_EQUAL(mkdir(marker, 0700), 0);
    fixture_write(fixture_path("marker/STORE"), "a shop\n", 7);
    const char *const paths[] = {file, foreign, marker};
    for (size_t i = 0; i < 3; i++) {
        uint64_t before = fixture_digest(paths[i]);
        EXPECT(BITCASK_NOT_A_STORE, try_open(paths[i], true, false));
        EXPECT(BITCASK_NOT_A_STORE, try_open(paths[i], false, true));
        CU_ASSERT_EQUAL(fixture_digest(paths[i]), before);
    }
}

/* Replaces `old` in the marker, the same length. */
static void edit_marker(const char *path, const char *old, const char *new)
{
    char file[1024];
    size_t size;
    snprintf(file, sizeof file, "%s/STORE", path);
    uint8_t *text = fixture_read(file, &size);
    char *place = strstr((char *)text, old);
    CU_ASSERT_PTR_NOT_NULL_FATAL(place);
    memcpy(place, new, strlen(new));
    fixture_write(file, text, size);
    free(text);
}

static void newer_format_is_refused_and_left_alone(void)
{
    const char *path = make_store("newer");
    edit_marker(path, "format: 1", "format: 7");
    uint64_t before = fixture_digest(path);
    EXPECT(BITCASK_NEWER_FORMAT, try_open(path, true, false));
    EXPECT(BITCASK_NEWER_FORMAT, try_open(path, false, true));
    CU_ASSERT_EQUAL(fixture_digest(path), before);
    edit_marker(path, "format: 7", "format: x");
    EXPECT(BITCASK_CORRUPT, try_open(path, true, false));
    edit_marker(path, "format: x", "format: 1");
    EXPECT(BITCASK_OK, try_open(path, false, false));
}

static void store_that_others_may_write_is_refused(void)
{
    const char *path = make_store("unsafe");
    const mode_t modes[] = {0770, 0720, 0702, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        CU_ASSERT_EQUAL(chmod(path, modes[i]), 0);
        EXPECT(BITCASK_UNSAFE, try_open(path, false, false));
        EXPECT(BITCASK_UNSAFE, try_open(path, false, true));
    }
    CU_ASSERT_EQUAL(chmod(path, 0755), 0);
    EXPECT(BITCASK_OK, try_open(path, false, false));
    if (geteuid() != 0) return;
    CU_ASSERT_EQUAL(chown(path, 12345, 12345), 0);
    EXPECT(BITCASK_UNSAFE, try_open(path, false, false));
}

/* Who could write to one of its directories could plant a name there that leads out of the store. */
static void directories_of_a_store_that_others_may_write_are_refused(void)
{
    const char *levels[] = {"partitions", "partitions/00", "partitions/00/0000000000000000"};
    const char *path = make_store("unsafe-below");
    bitcask *db = fixture_open(path, BITCASK_SYNC_OS);
    bitcask_partition *root = NULL;

    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, put_text(root, "key", "value", 0));
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    for (size_t i = 0; i < 3; i++)
        for (int way = 0; way < (geteuid() == 0 ? 3 : 2); way++) {
            char *level = strdup(fixture_path("unsafe-below/%s", levels[i]));
            bitcask_options options;
            bitcask_status status;

            if (way < 2) CU_ASSERT_EQUAL(chmod(level, way == 0 ? 0770 : 0702), 0);
            if (way == 2) CU_ASSERT_EQUAL(chown(level, 12345, 12345), 0);
            bitcask_options_init(&options);
            status = bitcask_open(fixture_path("unsafe-below"), &options, &db);
            if (status == BITCASK_OK) status = bitcask_partition_open(db, "", &root);
            if (status == BITCASK_OK) status = put_text(root, "key", "again", 0);
            EXPECT(BITCASK_UNSAFE, status);
            CU_ASSERT_PTR_NOT_NULL(strstr(bitcask_error_detail(), way < 2 ? "chmod go-w" : "chown"));
            bitcask_partition_close(&root);
            (void)bitcask_close(&db);
            if (way == 2) CU_ASSERT_EQUAL(chown(level, geteuid(), getegid()), 0);
            CU_ASSERT_EQUAL(chmod(level, 0700), 0);
            free(level);
        }
    EXPECT(BITCASK_OK, try_open(fixture_path("unsafe-below"), false, false));
}

static void second_writer_is_refused_and_readers_are_not(void)
{
    const char *path = make_store("busy");
    bitcask *writer = fixture_open(path, BITCASK_SYNC_OS);
    EXPECT_DETAIL(BITCASK_IN_USE, path, try_open(path, false, false));
    EXPECT(BITCASK_OK, try_open(path, false, true));
    EXPECT_DETAIL(BITCASK_IN_USE, path, try_open(path, true, false));
    EXPECT(BITCASK_OK, bitcask_close(&writer));
    EXPECT(BITCASK_OK, try_open(path, false, false));
}

static bitcask *open_reader(const char *path)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.read_only = true;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    return db;
}

static void reader_beside_a_writer_sees_a_partition_as_of_its_first_use(void)
{
    const char *path = make_store("beside");
    bitcask *writer = fixture_open(path, BITCASK_SYNC_OS), *reader;
    bitcask_partition *written = NULL, *sub = NULL, *seen = NULL, *seen_sub = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(writer, "", &written));
    EXPECT(BITCASK_OK, bitcask_partition_open(writer, "sub", &sub));
    EXPECT(BITCASK_OK, put_text(written, "new", "before", 0));
    reader = open_reader(path);
    EXPECT(BITCASK_OK, bitcask_partition_open(reader, "", &seen));
    CU_ASSERT_STRING_EQUAL(get_text(seen, "new"), "before");
    EXPECT(BITCASK_OK, put_text(written, "new", "after", 0));
    EXPECT(BITCASK_OK, delete_text(written, "k", 0));
    EXPECT(BITCASK_OK, put_text(sub, "k", "late", 0));
    CU_ASSERT_STRING_EQUAL(get_text(seen, "new"), "before");
    CU_ASSERT_STRING_EQUAL(get_text(seen, "k"), "root's");
    EXPECT(BITCASK_OK, bitcask_partition_open(reader, "sub", &seen_sub));
    CU_ASSERT_STRING_EQUAL(get_text(seen_sub, "k"), "late");
    bitcask_partition_close(&seen);
    bitcask_partition_close(&seen_sub);
    EXPECT(BITCASK_OK, bitcask_close(&reader));
    bitcask_partition_close(&written);
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_close(&writer));
}

static void reader_changes_nothing_and_refuses_writes(void)
{
    const char *path = make_store("reader");
    uint64_t before = fixture_digest(path);
    bitcask *db = open_reader(path);
    bitcask_partition *root = NULL;
    bitcask_batch *batch = NULL;
    bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 0100600};
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    bitcask_move_item item = {
        .from = root, .from_key = "k", .from_key_size = 1, .to = root, .to_key = "l", .to_key_size = 1};
    EXPECT(BITCASK_READ_ONLY, put_text(root, "k", "x", 0));
    EXPECT(BITCASK_READ_ONLY, delete_text(root, "k", 0));
    EXPECT(BITCASK_READ_ONLY, bitcask_set_attrs(root, "k", 1, &attrs, 0, NULL));
    EXPECT(BITCASK_READ_ONLY, bitcask_partition_set_attrs(root, &attrs, 0));
    EXPECT(BITCASK_READ_ONLY, bitcask_partition_create(root, "p", 1, NULL, 0, NULL));
    EXPECT(BITCASK_READ_ONLY, bitcask_partition_drop(root, "sub", 3, 0));
    EXPECT(BITCASK_READ_ONLY, bitcask_move(db, &item, 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "k", 1, "x", 1, NULL));
    EXPECT(BITCASK_READ_ONLY, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    EXPECT(BITCASK_OK, bitcask_sync(db));
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "root's");
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(fixture_digest(path), before);
}

static void options_out_of_range_are_refused(void)
{
    const char *path = make_store("options");
    bitcask_options good, bad;
    bitcask *db = NULL;
    bitcask_options_init(&good);
    CU_ASSERT(good.sync_interval_ms == 1000 && good.segment_size == 256u << 20 && good.sync == BITCASK_SYNC_INTERVAL);
    bad = good;
    bad.segment_size = 65535;
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_open(path, &bad, &db));
    bad.segment_size = UINT64_C(1) << 32;
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_open(path, &bad, &db));
    bad = good;
    bad.sync_interval_ms = 0;
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_open(path, &bad, &db));
    bad.sync_interval_ms = 3600001;
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_open(path, &bad, &db));
    bad = good;
    bad.sync = (bitcask_sync_policy)9;
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_open(path, &bad, &db));
    EXPECT(BITCASK_OK, bitcask_open(path, NULL, &db));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"store is created only when asked", store_is_created_only_when_asked},
        {"what is no store is refused and left alone", what_is_no_store_is_refused_and_left_alone},
        {"newer format is refused and left alone", newer_format_is_refused_and_left_alone},
        {"store that others may write is refused", store_that_others_may_write_is_refused},
        {"directories of a store that others may write are refused",
         directories_of_a_store_that_others_may_write_are_refused},
        {"second writer is refused and readers are not", second_writer_is_refused_and_readers_are_not},
        {"reader beside a writer sees a partition as of its first use",
         reader_beside_a_writer_sees_a_partition_as_of_its_first_use},
        {"reader changes nothing and refuses writes", reader_changes_nothing_and_refuses_writes},
        {"options out of range are refused", options_out_of_range_are_refused},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("open", tests);
}
