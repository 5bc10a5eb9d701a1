/* test_arguments.c - what the library refuses to begin with: arguments outside of what they may be, and partitions that
 * are gone. Each says so in words, and changes nothing; and what may be left out can be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static bitcask *db;
static bitcask_partition *root, *files;
static char longest[256];

static void begin(const char *name)
{
    db = fixture_open(fixture_path("%s", name), BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_partition_open_files(db, &files));
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    memset(longest, 'n', sizeof longest);
}

static void end(void)
{
    EXPECT(BITCASK_OK, bitcask_delete(root, "k", 1, NULL)); /* it is there still */
    bitcask_partition_close(&files);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

/* Names that nobody can have, of each kind. */
static const struct bad_name {
    const char *name;
    size_t size;
    bitcask_status status;
} bad_names[] = {{NULL, 0, BITCASK_BAD_NAME},       {NULL, 5, BITCASK_BAD_NAME},          {"k", 0, BITCASK_BAD_NAME},
                 {"a/b", 3, BITCASK_BAD_NAME},      {"a\0b", 3, BITCASK_BAD_NAME},        {"..", 2, BITCASK_BAD_NAME},
                 {".bitcask", 8, BITCASK_BAD_NAME}, {longest, 256, BITCASK_NAME_TOO_LONG}};

static void every_call_refuses_names_that_are_none(void)
{
    bitcask_batch *batch = NULL;
    bitcask_writer *writer = NULL;
    bitcask_partition *made = NULL;
    bitcask_value *value = NULL;
    bitcask_location location;
    bitcask_entry entry;
    const bitcask_attrs attrs = {0};
    size_t done = 7;

    begin("names");
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_writer_open(root, NULL, &writer));
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        const struct bad_name *bad = &bad_names[i];
        const bitcask_move_item from = {.from = root,
                                        .from_key = bad->name,
                                        .from_key_size = bad->size,
                                        .to = root,
                                        .to_key = "t",
                                        .to_key_size = 1};
        const bitcask_move_item to = {.from = root,
                                      .from_key = "k",
                                      .from_key_size = 1,
                                      .to = root,
                                      .to_key = bad->name,
                                      .to_key_size = bad->size};
        const bitcask_move_item both[] = {
            {.from = root, .from_key = "k", .from_key_size = 1, .to = root, .to_key = "t", .to_key_size = 1}, to};
        EXPECT(bad->status, bitcask_check_name(bad->name, bad->size));
        EXPECT(bad->status, bitcask_put(root, bad->name, bad->size, "v", 1, NULL, NULL));
        EXPECT(bad->status, bitcask_get(root, bad->name, bad->size, &value));
        EXPECT(bad->status, bitcask_pin(root, bad->name, bad->size, &value));
        EXPECT(bad->status, bitcask_stat(root, bad->name, bad->size, &entry));
        EXPECT(bad->status, bitcask_delete(root, bad->name, bad->size, NULL));
        EXPECT(bad->status, bitcask_set_attrs(root, bad->name, bad->size, &attrs, 0, NULL));
        EXPECT(bad->status, bitcask_locate(root, bad->name, bad->size, &location));
        EXPECT(bad->status, bitcask_partition_create(root, bad->name, bad->size, NULL, 0, &made));
        EXPECT(bad->status, bitcask_partition_open_at(root, bad->name, bad->size, &made));
        EXPECT(bad->status, bitcask_partition_drop(root, bad->name, bad->size, 0));
        EXPECT(bad->status, bitcask_batch_put(batch, bad->name, bad->size, "v", 1, NULL));
        EXPECT(bad->status, bitcask_batch_put_writer(batch, bad->name, bad->size, writer, NULL));
        EXPECT(bad->status, bitcask_batch_delete(batch, bad->name, bad->size));
        EXPECT(bad->status, bitcask_writer_commit(writer, root, bad->name, bad->size, NULL, NULL));
        EXPECT(bad->status, bitcask_link(root, bad->name, bad->size, root, "t", 1, 0));
        EXPECT(bad->status, bitcask_link(root, "k", 1, root, bad->name, bad->size, 0));
        EXPECT(bad->status, bitcask_move(db, &from, 1, &done));
        EXPECT(bad->status, bitcask_move(db, &to, 1, NULL));
        EXPECT(bad->status, bitcask_move(db, both, 2, &done)); /* before the first one is done */
        CU_ASSERT_EQUAL(done, 0);
        CU_ASSERT(bitcask_error_detail()[0] != '\0');
        CU_ASSERT(value == NULL && made == NULL);
    }
    bitcask_writer_close(&writer);
    bitcask_batch_close(&batch);
    bitcask_batch_close(&batch); /* NULL by now */
    CU_ASSERT_STRING_EQUAL(get_text(root, "t"), "-");
    end();
}

static void every_call_refuses_attributes_that_are_none(void)
{
    static const bitcask_attrs unknown = {.present = 1u << 20};
    static const bitcask_attrs no_xattrs = {.present = BITCASK_ATTR_XATTRS, .xattrs_size = 3};
    static const bitcask_attrs empty_xattrs = {.present = BITCASK_ATTR_XATTRS};
    static const bitcask_attrs large = {
        .present = BITCASK_ATTR_XATTRS, .xattrs = "x", .xattrs_size = BITCASK_XATTRS_MAX + 1};
    static const struct {
        const bitcask_attrs *attrs;
        bitcask_status status;
    } bad[] = {{&unknown, BITCASK_BAD_ARGUMENT}, {&no_xattrs, BITCASK_BAD_ARGUMENT}, {&large, BITCASK_TOO_LARGE}};
    bitcask_batch *batch = NULL;
    bitcask_writer *writer = NULL;

    begin("attributes");
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_writer_open(root, NULL, &writer));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const bitcask_attrs *attrs = bad[i].attrs;
        const bitcask_write_options options = {.attrs = attrs};
        const bitcask_move_item item = {.from = root,
                                        .from_key = "k",
                                        .from_key_size = 1,
                                        .to = root,
                                        .to_key = "t",
                                        .to_key_size = 1,
                                        .attrs = attrs};
        EXPECT(bad[i].status, bitcask_put(root, "k", 1, "w", 1, &options, NULL));
        EXPECT(bad[i].status, bitcask_set_attrs(root, "k", 1, attrs, 0, NULL));
        EXPECT(bad[i].status, bitcask_partition_set_attrs(root, attrs, 0));
        EXPECT(bad[i].status, bitcask_partition_create(root, "p", 1, attrs, 0, NULL));
        EXPECT(bad[i].status, bitcask_batch_put(batch, "k", 1, "w", 1, attrs));
        EXPECT(bad[i].status, bitcask_batch_put_writer(batch, "k", 1, writer, attrs));
        EXPECT(bad[i].status, bitcask_writer_commit(writer, root, "k", 1, &options, NULL));
        EXPECT(bad[i].status, bitcask_move(db, &item, 1, NULL));
    }
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_set_attrs(root, "k", 1, NULL, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_set_attrs(root, "k", 1, &empty_xattrs, 0, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_put(root, "k", 1, NULL, 1, NULL, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_batch_put(batch, "k", 1, NULL, 1, NULL));
    EXPECT(BITCASK_TOO_LARGE, bitcask_batch_put(batch, "k", 1, "w", (size_t)BITCASK_VALUE_MAX + 1, NULL));
    EXPECT(BITCASK_OK, bitcask_put(root, "none", 4, NULL, 0, NULL, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(root, "none"), "");
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "v");
    /* A batch that was only refused things is empty. */
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "v");
    bitcask_writer_close(&writer);
    bitcask_batch_close(&batch);
    end();
}

static void paths_and_flags_that_are_none_are_refused(void)
{
    static const bitcask_merge_options merge = {.flags = BITCASK_DURABLE};
    static const bitcask_verify_options verify = {.flags = BITCASK_MERGE_FULL};
    static const char *const paths[] = {NULL, ""};
    bitcask_partition *opened = NULL;
    bitcask_verify_result result;
    bitcask *none = NULL;
    int64_t pid = -5;

    begin("flags");
    for (size_t i = 0; i < 2; i++) {
        EXPECT(BITCASK_BAD_ARGUMENT, bitcask_open(paths[i], NULL, &none));
        EXPECT(BITCASK_BAD_ARGUMENT, bitcask_store_holder(paths[i], &pid));
        EXPECT(BITCASK_BAD_ARGUMENT, bitcask_repair(paths[i], NULL, NULL, &result));
        EXPECT(BITCASK_BAD_ARGUMENT, bitcask_dump_file(paths[i], NULL, NULL));
    }
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_partition_open(db, NULL, &opened));
    EXPECT(BITCASK_BAD_NAME, bitcask_partition_open(db, "k/", &opened));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_merge(root, &merge, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_verify(root, &verify, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_repair(fixture_path("flags"), NULL, &verify, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_rotate(root, BITCASK_MERGE_FULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_metrics(root, BITCASK_DURABLE, NULL, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_set_throttle(db, 1));
    EXPECT(BITCASK_IN_USE, bitcask_repair(fixture_path("flags"), NULL, NULL, NULL));
    CU_ASSERT(opened == NULL && none == NULL && pid == -5);
    /* Options and results can be left out. */
    EXPECT(BITCASK_OK, bitcask_merge(root, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_verify(root, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_set_throttle(db, 0));
    end();
    EXPECT(BITCASK_OK, bitcask_repair(fixture_path("flags"), "", NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_repair(fixture_path("flags"), NULL, NULL, &result));
    CU_ASSERT_EQUAL(result.damage, 0);
}

static void moves_are_of_one_kind_and_of_one_store(void)
{
    static const unsigned flags[] = {BITCASK_DURABLE, BITCASK_NOREPLACE | BITCASK_EXCHANGE,
                                     BITCASK_LINK | BITCASK_REMOVE, BITCASK_BELOW | BITCASK_LINK};
    bitcask *other = NULL;
    bitcask_partition *foreign = NULL;

    begin("moves");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const bitcask_move_item item = {.from = root,
                                        .from_key = "k",
                                        .from_key_size = 1,
                                        .to = root,
                                        .to_key = "t",
                                        .to_key_size = 1,
                                        .flags = flags[i]};
        EXPECT(BITCASK_BAD_ARGUMENT, bitcask_move(db, &item, 1, NULL));
    }
    other = fixture_open(fixture_path("other"), BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_open(other, "", &foreign));
    EXPECT_DETAIL(BITCASK_BAD_ARGUMENT, "different stores", bitcask_link(root, "k", 1, foreign, "t", 1, 0));
    CU_ASSERT_STRING_EQUAL(get_text(foreign, "t"), "-");
    bitcask_partition_close(&foreign);
    EXPECT(BITCASK_OK, bitcask_close(&other));
    EXPECT(BITCASK_OK, bitcask_move(db, NULL, 0, NULL)); /* none at all */
    end();
}

static void files_by_number_have_no_directory(void)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 0100600};
    bitcask_partition *made = NULL;
    bitcask_value *value = NULL;
    bitcask_location location;
    bitcask_entry entry;

    begin("numbers");
    const bitcask_move_item away = {.from = files,
                                    .from_key = "0000000000000001",
                                    .from_key_size = 16,
                                    .to = root,
                                    .to_key = "t",
                                    .to_key_size = 1};
    const bitcask_move_item there = {
        .from = root, .from_key = "k", .from_key_size = 1, .to = files, .to_key = "t", .to_key_size = 1};
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_partition_create(files, "p", 1, NULL, 0, &made));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_partition_stat(files, &entry));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_partition_set_attrs(files, &attrs, 0));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_partition_xattrs(files, &value));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_move(db, &away, 1, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_move(db, &there, 1, NULL));
    /* Numbers are sixteen digits of hexadecimal, in small letters, of a file that is there. */
    EXPECT(BITCASK_NOT_FOUND, bitcask_locate(files, "k", 1, &location));
    EXPECT(BITCASK_NOT_FOUND, bitcask_stat(files, "00000000000000G1", 16, &entry));
    EXPECT(BITCASK_NOT_FOUND, bitcask_stat(files, "000000000000ABCD", 16, &entry));
    EXPECT(BITCASK_NOT_FOUND, bitcask_stat(files, "00000000000000 1", 16, &entry));
    EXPECT(BITCASK_NOT_FOUND, bitcask_stat(files, "000000000000abcd", 16, &entry));
    EXPECT(BITCASK_NOT_FOUND, bitcask_locate(files, "000000000000abcd", 16, &location));
    EXPECT(BITCASK_NOT_FOUND, bitcask_get(files, "000000000000abcd", 16, &value));
    end();
}

static bool never_called(void *context, const bitcask_segment_info *segment)
{
    (void)segment;
    *(bool *)context = true;
    return true;
}

static bool never_shown(void *context, const bitcask_dump_record *record)
{
    (void)record;
    *(bool *)context = true;
    return true;
}

/* A handle outlives its partition, and every call through it says that there is none. */
static void partition_that_was_dropped_is_not_found(void)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 0100600};
    bitcask_partition *gone = NULL, *made = NULL;
    bitcask_value *value = NULL;
    bitcask_batch *batch = NULL;
    bitcask_writer *writer = NULL;
    bitcask_query *query = NULL;
    bitcask_location location;
    bitcask_entry entry;
    bitcask_stats stats;
    bool called = false;

    begin("dropped");
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "gone", 4, NULL, 0, &gone));
    EXPECT(BITCASK_OK, bitcask_batch_open(gone, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "a", 1, "b", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_writer_open(gone, NULL, &writer));
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "gone", 4, 0));
    EXPECT(BITCASK_NOT_FOUND, put_text(gone, "a", "b", 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_stat(gone, "a", 1, &entry));
    EXPECT(BITCASK_NOT_FOUND, bitcask_get(gone, "a", 1, &value));
    EXPECT(BITCASK_NOT_FOUND, delete_text(gone, "a", 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_set_attrs(gone, "a", 1, &attrs, 0, NULL));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_stat(gone, &entry));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_set_attrs(gone, &attrs, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_xattrs(gone, &value));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_stats(gone, &stats));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_create(gone, "p", 1, NULL, 0, &made));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_open_at(gone, "p", 1, &made));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_drop(gone, "p", 1, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_link(root, "k", 1, gone, "t", 1, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_reserve(gone, 100));
    bitcask_unreserve(gone, 100);
    EXPECT(BITCASK_NOT_FOUND, bitcask_locate(gone, "a", 1, &location));
    EXPECT(BITCASK_NOT_FOUND, bitcask_segments(gone, never_called, &called));
    EXPECT(BITCASK_OK, bitcask_dump(gone, never_shown, &called));
    EXPECT(BITCASK_OK, bitcask_dump_hints(gone, never_shown, &called));
    EXPECT(BITCASK_NOT_FOUND, bitcask_dump_checkpoint(gone, never_shown, &called));
    EXPECT(BITCASK_NOT_FOUND, bitcask_rotate(gone, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_merge(gone, NULL, NULL));
    EXPECT(BITCASK_NOT_FOUND, bitcask_verify(gone, NULL, NULL));
    EXPECT(BITCASK_NOT_FOUND, bitcask_batch_commit(batch, 0, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 0, "bytes", 5));
    EXPECT(BITCASK_NOT_FOUND, bitcask_writer_commit(writer, gone, "a", 1, NULL, NULL));
    if (bitcask_query_open(gone, NULL, &query) == BITCASK_OK)
        EXPECT(BITCASK_NOT_FOUND, bitcask_query_next(query, &entry));
    bitcask_query_close(&query);
    EXPECT(BITCASK_OK, bitcask_partition_sync(gone)); /* nothing of it can be lost */
    CU_ASSERT_FALSE(called);
    bitcask_writer_close(&writer);
    bitcask_batch_close(&batch);
    bitcask_partition_close(&gone);
    end();
}

/* Reading a small value in parts, and looking for holes in it: as in a large one, but there are none. */
static void parts_of_a_small_value(void)
{
    bitcask_value *value = NULL;
    uint64_t found = 0;
    char part[8] = "";
    size_t got = 9;

    begin("parts");
    EXPECT(BITCASK_OK, put_text(root, "small", "0123456789", 0));
    EXPECT(BITCASK_OK, bitcask_pin(root, "small", 5, &value));
    EXPECT(BITCASK_OK, bitcask_value_read(value, 8, part, sizeof part, &got));
    CU_ASSERT(got == 2 && memcmp(part, "89", 2) == 0);
    EXPECT(BITCASK_OK, bitcask_value_read(value, 10, part, sizeof part, &got));
    CU_ASSERT_EQUAL(got, 0);
    EXPECT(BITCASK_OK, bitcask_value_seek(value, 3, false, &found));
    CU_ASSERT_EQUAL(found, 3);
    EXPECT(BITCASK_OK, bitcask_value_seek(value, 3, true, &found));
    CU_ASSERT_EQUAL(found, 10);
    EXPECT(BITCASK_NOT_FOUND, bitcask_value_seek(value, 10, true, &found));
    bitcask_value_unload(value);
    EXPECT(BITCASK_OK, bitcask_value_load(value));
    CU_ASSERT(memcmp(bitcask_value_data(value), "0123456789", 10) == 0);
    bitcask_value_unpin(&value);
    bitcask_value_unpin(&value);
    end();
}

/* What a put may need, by this bound, it needs. */
static void bound_of_a_record_is_one(void)
{
    static const size_t sizes[] = {0, 100, BITCASK_SMALL_MAX, BITCASK_SMALL_MAX + 1, 3000000};
    char *value = calloc(1, 3000000);
    bitcask_stats stats;

    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    begin("bounds");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
        uint64_t before = stats.data_bytes;
        EXPECT(BITCASK_OK, bitcask_put(root, longest, 255, value, sizes[i], NULL, NULL));
        EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
        CU_ASSERT(stats.data_bytes - before <= bitcask_record_bound(255, sizes[i], 0));
    }
    free(value);
    end();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"every call refuses names that are none", every_call_refuses_names_that_are_none},
        {"every call refuses attributes that are none", every_call_refuses_attributes_that_are_none},
        {"paths and flags that are none are refused", paths_and_flags_that_are_none_are_refused},
        {"moves are of one kind and of one store", moves_are_of_one_kind_and_of_one_store},
        {"files by number have no directory", files_by_number_have_no_directory},
        {"a partition that was dropped is not found", partition_that_was_dropped_is_not_found},
        {"parts of a small value", parts_of_a_small_value},
        {"the bound of a record is one", bound_of_a_record_is_one},
        CU_TEST_INFO_NULL,
    };

    return fixture_run("arguments", tests);
}
