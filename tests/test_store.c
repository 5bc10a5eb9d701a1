/* test_store.c - what the public calls do, one by one: names, conditions, versions, batches, partitions, pins, queries.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"

static bitcask *db;
static bitcask_partition *root;
static const char *path;

static void begin(void)
{
    path = fixture_path("store");
    db = fixture_open(path, BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
}

static void end(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_PTR_NULL(db);
    fixture_remove(path);
}

static void again(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    db = fixture_open(path, BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static bitcask_partition *create(bitcask_partition *parent, const char *name)
{
    bitcask_partition *made = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_create(parent, name, strlen(name), NULL, 0, &made));
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    return made;
}

static bitcask_status move(bitcask_partition *from, const char *old, bitcask_partition *to, const char *new)
{
    bitcask_move_item item = {.from = from,
                              .from_key = old,
                              .from_key_size = strlen(old),
                              .to = to,
                              .to_key = new,
                              .to_key_size = strlen(new)};
    return bitcask_move(db, &item, 1, NULL);
}

/* ---- statuses and names ---- */

static void every_status_has_a_text_of_its_own_and_an_errno(void)
{
    for (int a = BITCASK_OK; a <= BITCASK_UNSUPPORTED; a++) {
        CU_ASSERT(strlen(bitcask_status_text((bitcask_status)a)) > 1);
        CU_ASSERT_EQUAL(bitcask_status_errno((bitcask_status)a) == 0, a == BITCASK_OK);
        for (int b = BITCASK_OK; b < a; b++)
            CU_ASSERT_STRING_NOT_EQUAL(bitcask_status_text((bitcask_status)a), bitcask_status_text((bitcask_status)b));
    }
    CU_ASSERT_PTR_NOT_NULL(bitcask_status_text((bitcask_status)9999));
}

static void bad_names_are_refused_everywhere_with_a_text(void)
{
    char longest[256];
    memset(longest, 'n', sizeof longest);
    const struct {
        const char *name;
        size_t size;
        bitcask_status status;
    } bad[] = {{"", 0, BITCASK_BAD_NAME},         {".", 1, BITCASK_BAD_NAME},   {"..", 2, BITCASK_BAD_NAME},
               {".bitcask", 8, BITCASK_BAD_NAME}, {"a/b", 3, BITCASK_BAD_NAME}, {"/", 1, BITCASK_BAD_NAME},
               {"a\0b", 3, BITCASK_BAD_NAME},     {"\0", 1, BITCASK_BAD_NAME},  {longest, 256, BITCASK_NAME_TOO_LONG}};
    begin();
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *name = bad[i].name;
        size_t size = bad[i].size;
        bitcask_status wanted = bad[i].status;
        bitcask_batch *batch = NULL;
        bitcask_entry entry;
        bitcask_move_item item = {
            .from = root, .from_key = "k", .from_key_size = 1, .to = root, .to_key = name, .to_key_size = size};
        EXPECT(wanted, bitcask_check_name(name, size));
        EXPECT(wanted, bitcask_put(root, name, size, "v", 1, NULL, NULL));
        CU_ASSERT(strlen(bitcask_error_detail()) > 0);
        EXPECT(wanted, bitcask_partition_create(root, name, size, NULL, 0, NULL));
        EXPECT(wanted, bitcask_move(db, &item, 1, NULL));
        EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
        EXPECT(wanted, bitcask_batch_put(batch, name, size, "v", 1, NULL));
        bitcask_batch_close(&batch);
        CU_ASSERT_NOT_EQUAL(bitcask_stat(root, name, size, &entry), BITCASK_OK);
        CU_ASSERT_NOT_EQUAL(bitcask_delete(root, name, size, NULL), BITCASK_OK);
    }
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "v");
    end();
}

static void odd_but_good_names_are_kept_byte_for_byte(void)
{
    static const char *const good[] = {"...", ".bitcaskx", ".bitcas", "\xff\xfe", "\n",
                                       " ",   "\x01",      "-rf",     "a\\b",     "~"};
    char longest[256] = "";
    memset(longest, 'n', 255);
    begin();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) EXPECT(BITCASK_OK, put_text(root, good[i], good[i], 0));
    EXPECT(BITCASK_OK, put_text(root, longest, "long", 0));
    again();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CU_ASSERT_STRING_EQUAL(get_text(root, good[i]), good[i]);
    CU_ASSERT_STRING_EQUAL(get_text(root, longest), "long");
    end();
}

static void paths_with_bad_parts_are_refused(void)
{
    static const char *const bad[] = {"/", "a/", "/a", "a//b", ".", "..", "a/../a", "a/.bitcask"};
    bitcask_partition *made, *opened = NULL;
    begin();
    made = create(root, "a");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT(BITCASK_BAD_NAME, bitcask_partition_open(db, bad[i], &opened));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_open(db, "a/b", &opened));
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    EXPECT(BITCASK_NOT_PARTITION, bitcask_partition_open(db, "k", &opened));
    EXPECT(BITCASK_NOT_PARTITION, bitcask_partition_open(db, "k/x", &opened));
    CU_ASSERT_PTR_NULL(opened);
    bitcask_partition_close(&made);
    end();
}

/* ---- values, conditions, versions ---- */

static void values_of_all_sizes_come_back(void)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 65536, 65537, 3 << 20};
    uint8_t *bytes = malloc(3 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (size_t i = 0; i < 3 << 20; i++) bytes[i] = (uint8_t)(i * i >> 7);
    begin();
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char key[16];
            size_t key_size = (size_t)snprintf(key, sizeof key, "%zu", sizes[i]);
            bitcask_value *value = NULL;
            if (round == 0) EXPECT(BITCASK_OK, bitcask_put(root, key, key_size, bytes, sizes[i], NULL, NULL));
            EXPECT(BITCASK_OK, bitcask_get(root, key, key_size, &value));
            CU_ASSERT_FATAL(value != NULL && bitcask_value_size(value) == sizes[i]);
            if (sizes[i]) CU_ASSERT(memcmp(bitcask_value_data(value), bytes, sizes[i]) == 0);
            bitcask_value_unpin(&value);
            CU_ASSERT_PTR_NULL(value);
        }
        if (round == 0) again();
    }
    end();
    free(bytes);
}

static void too_large_values_and_attributes_change_nothing(void)
{
    size_t size = (size_t)BITCASK_VALUE_MAX + 1;
    void *huge = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_FATAL(huge != MAP_FAILED);
    bitcask_attrs attrs = {.present = BITCASK_ATTR_XATTRS, .xattrs = huge, .xattrs_size = BITCASK_XATTRS_MAX + 1};
    bitcask_write_options options = {.attrs = &attrs};
    begin();
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    EXPECT_DETAIL(BITCASK_TOO_LARGE, "268435457", bitcask_put(root, "k", 1, huge, size, NULL, NULL));
    EXPECT_DETAIL(BITCASK_TOO_LARGE, "65537", bitcask_put(root, "k", 1, "x", 1, &options, NULL));
    EXPECT(BITCASK_TOO_LARGE, bitcask_set_attrs(root, "k", 1, &attrs, 0, NULL));
    attrs.xattrs_size = BITCASK_XATTRS_MAX;
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "v");
    EXPECT(BITCASK_OK, bitcask_put(root, "x", 1, "x", 1, &options, NULL));
    again();
    CU_ASSERT_STRING_EQUAL(get_text(root, "x"), "x");
    end();
    munmap(huge, size);
}

static void conditional_puts_and_deletes_hold_their_conditions(void)
{
    uint64_t version = 0, next = 0;
    bitcask_write_options condition = {.flags = BITCASK_IF_VERSION};
    begin();
    EXPECT(BITCASK_OK,
           bitcask_put(root, "k", 1, "1", 1, &(bitcask_write_options){.flags = BITCASK_IF_ABSENT}, &version));
    EXPECT(BITCASK_EXISTS, put_text(root, "k", "2", BITCASK_IF_ABSENT));
    condition.if_version = version - 1;
    EXPECT(BITCASK_VERSION_MISMATCH, bitcask_put(root, "k", 1, "2", 1, &condition, NULL));
    EXPECT(BITCASK_VERSION_MISMATCH, bitcask_delete(root, "k", 1, &condition));
    condition.if_version = version;
    EXPECT(BITCASK_OK, bitcask_put(root, "k", 1, "2", 1, &condition, &next));
    CU_ASSERT(next > version);
    EXPECT(BITCASK_VERSION_MISMATCH, bitcask_delete(root, "k", 1, &condition));
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "2");
    condition.if_version = next;
    EXPECT(BITCASK_OK, bitcask_delete(root, "k", 1, &condition));
    EXPECT(BITCASK_NOT_FOUND, delete_text(root, "k", 0));
    EXPECT(BITCASK_VERSION_MISMATCH, bitcask_put(root, "k", 1, "3", 1, &condition, NULL));
    EXPECT(BITCASK_OK, put_text(root, "k", "3", BITCASK_IF_ABSENT));
    end();
}

static uint64_t put_at(int64_t ctime_ns, uint32_t present)
{
    uint64_t version = 0;
    bitcask_attrs attrs = {.present = present, .ctime_ns = ctime_ns, .mtime_ns = ctime_ns};
    EXPECT(BITCASK_OK, bitcask_put(root, "k", 1, "v", 1, &(bitcask_write_options){.attrs = &attrs}, &version));
    return version;
}

static void version_is_the_given_time_where_that_grows_and_has_come(void)
{
    const int64_t past = INT64_C(1000000000000000000), future = INT64_C(8000000000000000000);
    bitcask_entry entry;
    begin();
    CU_ASSERT_EQUAL(put_at(past, BITCASK_ATTR_CTIME), past);
    CU_ASSERT_EQUAL(put_at(past + 5, BITCASK_ATTR_MTIME), past + 5);
    uint64_t now = put_at(past, BITCASK_ATTR_CTIME);
    CU_ASSERT(now > (uint64_t)past + 5);
    EXPECT(BITCASK_OK, bitcask_stat(root, "k", 1, &entry));
    CU_ASSERT_EQUAL(entry.attrs.ctime_ns, past);
    CU_ASSERT_EQUAL((uint64_t)entry.attrs.mtime_ns, now);
    uint64_t last = put_at(future, BITCASK_ATTR_CTIME);
    CU_ASSERT(last > now && last < (uint64_t)future);
    again();
    CU_ASSERT(put_at(past, BITCASK_ATTR_CTIME) > last);
    end();
}

/* ---- batches ---- */

static void batch_is_all_or_nothing_and_keeps_its_content_on_failure(void)
{
    bitcask_partition *sub;
    bitcask_batch *batch = NULL;
    uint64_t versions[4] = {0};
    begin();
    EXPECT(BITCASK_OK, put_text(root, "old", "old", 0));
    sub = create(root, "sub");
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "a", 1, "1", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_delete(batch, "old", 3));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "sub", 3, "x", 1, NULL));
    EXPECT(BITCASK_IS_PARTITION, bitcask_batch_commit(batch, 0, 0, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "old"), "old");
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "sub", 3, 0));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "a", 1, "2", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, versions));
    CU_ASSERT(versions[0] < versions[1] && versions[1] < versions[2] && versions[2] < versions[3]);
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "2");
    CU_ASSERT_STRING_EQUAL(get_text(root, "old"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "sub"), "x");
    EXPECT(BITCASK_OK, delete_text(root, "a", 0));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL)); /* it is empty now */
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "-");
    EXPECT(BITCASK_OK, bitcask_batch_delete(batch, "never", 5));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    bitcask_partition_close(&sub);
    end();
}

static void batch_above_its_limit_is_refused_whole(void)
{
    bitcask_batch *batch = NULL;
    size_t size = 1 << 20;
    char *value = calloc(1, size), key[16];
    bitcask_status status = BITCASK_OK;
    begin();
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    for (unsigned i = 0; status == BITCASK_OK && i < 64; i++)
        status = bitcask_batch_put(batch, key, (size_t)snprintf(key, sizeof key, "k%u", i), value, size, NULL);
    if (status == BITCASK_OK) status = bitcask_batch_commit(batch, 0, 0, NULL);
    EXPECT(BITCASK_TOO_LARGE, status);
    bitcask_batch_clear(batch);
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "small", 5, value, 10, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    CU_ASSERT_STRING_EQUAL(get_text(root, "k0"), "-");
    end();
    free(value);
}

/* ---- partitions ---- */

static void partitions_nest_and_are_dropped_only_when_empty(void)
{
    bitcask_partition *a, *b, *found = NULL;
    begin();
    a = create(root, "a");
    b = create(a, "b");
    uint64_t old_id = bitcask_partition_id(b);
    CU_ASSERT_EQUAL(bitcask_partition_id(root), 0);
    CU_ASSERT(old_id > 1 && old_id != bitcask_partition_id(a));
    EXPECT(BITCASK_OK, put_text(b, "k", "deep", 0));
    EXPECT(BITCASK_EXISTS, bitcask_partition_create(root, "a", 1, NULL, 0, NULL));
    EXPECT(BITCASK_IS_PARTITION, put_text(root, "a", "x", 0));
    EXPECT(BITCASK_IS_PARTITION, delete_text(root, "a", 0));
    EXPECT(BITCASK_NOT_EMPTY, bitcask_partition_drop(root, "a", 1, 0));
    EXPECT(BITCASK_NOT_EMPTY, bitcask_partition_drop(a, "b", 1, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_drop(root, "x", 1, 0));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "a/b", &found));
    CU_ASSERT_STRING_EQUAL(get_text(found, "k"), "deep");
    EXPECT(BITCASK_OK, delete_text(found, "k", 0));
    EXPECT(BITCASK_NOT_PARTITION, (put_text(a, "key", "", 0), bitcask_partition_drop(a, "key", 3, 0)));
    EXPECT(BITCASK_OK, bitcask_partition_drop(a, "b", 1, BITCASK_DURABLE));
    EXPECT(BITCASK_NOT_FOUND, put_text(b, "k", "late", 0));
    EXPECT(BITCASK_NOT_FOUND, put_text(found, "k", "late", 0));
    CU_ASSERT_STRING_EQUAL(get_text(b, "k"), "-");
    bitcask_partition_close(&b);
    b = create(a, "b");
    CU_ASSERT_NOT_EQUAL(bitcask_partition_id(b), old_id);
    CU_ASSERT_STRING_EQUAL(get_text(b, "k"), "-");
    bitcask_partition_close(&found);
    bitcask_partition_close(&a);
    bitcask_partition_close(&b);
    end();
}

static void dropped_partition_leaves_no_files(void)
{
    bitcask_partition *sub;
    begin();
    sub = create(root, "sub");
    EXPECT(BITCASK_OK, put_text(sub, "k", "v", BITCASK_DURABLE));
    const char *file = fixture_partition_file(path, bitcask_partition_id(sub), "active.data");
    CU_ASSERT(fixture_size(file) != UINT64_MAX);
    EXPECT(BITCASK_OK, delete_text(sub, "k", 0));
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "sub", 3, 0));
    again();
    CU_ASSERT_EQUAL(fixture_size(file), UINT64_MAX);
    end();
}

static void handles_survive_renames_and_loops_are_refused(void)
{
    bitcask_partition *a, *b, *found = NULL;
    begin();
    a = create(root, "a");
    b = create(a, "b");
    EXPECT(BITCASK_OK, put_text(b, "k", "v", 0));
    EXPECT(BITCASK_LOOP, move(root, "a", b, "a"));
    EXPECT(BITCASK_LOOP, move(root, "a", a, "c"));
    EXPECT(BITCASK_OK, move(root, "a", root, "z"));
    EXPECT(BITCASK_OK, put_text(a, "in-a", "1", 0));
    CU_ASSERT_STRING_EQUAL(get_text(b, "k"), "v");
    EXPECT(BITCASK_OK, move(a, "b", root, "b"));
    EXPECT(BITCASK_OK, move(root, "z", b, "a"));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "b/a", &found));
    CU_ASSERT_EQUAL(bitcask_partition_id(found), bitcask_partition_id(a));
    CU_ASSERT_STRING_EQUAL(get_text(found, "in-a"), "1");
    bitcask_partition_close(&found);
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_open(db, "a", &found));
    bitcask_partition_close(&a);
    bitcask_partition_close(&b);
    again();
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "b/a", &found));
    CU_ASSERT_STRING_EQUAL(get_text(found, "in-a"), "1");
    bitcask_partition_close(&found);
    end();
}

static void moved_key_keeps_number_and_times(void)
{
    bitcask_partition *sub;
    bitcask_entry before, after;
    begin();
    sub = create(root, "sub");
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    EXPECT(BITCASK_OK, bitcask_stat(root, "k", 1, &before));
    CU_ASSERT_EQUAL(before.ino, bitcask_derived_ino(root, "k", 1));
    EXPECT(BITCASK_OK, move(root, "k", sub, "l"));
    EXPECT(BITCASK_OK, bitcask_stat(sub, "l", 1, &after));
    CU_ASSERT_EQUAL(after.ino, before.ino);
    CU_ASSERT_EQUAL(after.attrs.mtime_ns, before.attrs.mtime_ns);
    CU_ASSERT_EQUAL(after.attrs.ctime_ns, before.attrs.ctime_ns);
    EXPECT(BITCASK_OK, bitcask_stat(root, "sub", 3, &after));
    CU_ASSERT_EQUAL(after.ino, bitcask_partition_id(sub));
    bitcask_partition_close(&sub);
    end();
}

static void root_keeps_its_own_attributes(void)
{
    bitcask_entry entry;
    bitcask_value *xattrs = NULL;
    bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | BITCASK_ATTR_MTIME | BITCASK_ATTR_XATTRS,
                           .mode = 0040750,
                           .mtime_ns = 12345,
                           .xattrs = "xattrs",
                           .xattrs_size = 6};
    begin();
    EXPECT(BITCASK_OK, bitcask_partition_stat(root, &entry));
    CU_ASSERT_EQUAL(entry.ino, 1);
    CU_ASSERT_EQUAL(entry.kind, BITCASK_PARTITION);
    EXPECT(BITCASK_OK, bitcask_partition_set_attrs(root, &attrs, BITCASK_DURABLE));
    again();
    EXPECT(BITCASK_OK, bitcask_partition_stat(root, &entry));
    CU_ASSERT(entry.attrs.mode == 0040750 && entry.attrs.mtime_ns == 12345);
    EXPECT(BITCASK_OK, bitcask_partition_xattrs(root, &xattrs));
    CU_ASSERT(bitcask_value_size(xattrs) == 6 && memcmp(bitcask_value_data(xattrs), "xattrs", 6) == 0);
    bitcask_value_unpin(&xattrs);
    bitcask_query *query = NULL;
    EXPECT(BITCASK_OK, bitcask_query_open(root, &(bitcask_query_options){0}, &query));
    EXPECT(BITCASK_NOT_FOUND, bitcask_query_next(query, &entry)); /* its record is no name of its own */
    bitcask_query_close(&query);
    end();
}

/* ---- pins, queries, reservations ---- */

static bool reads_as(bitcask_value *value, const char *text)
{
    char buffer[64] = "";
    size_t got = 0;
    EXPECT(BITCASK_OK, bitcask_value_read(value, 0, buffer, sizeof buffer, &got));
    bitcask_value_unload(value);
    return got == strlen(text) && memcmp(buffer, text, got) == 0;
}

static void pinned_values_survive_overwrite_delete_drop_and_close(void)
{
    bitcask_partition *sub;
    bitcask_value *first = NULL, *second = NULL;
    begin();
    sub = create(root, "sub");
    EXPECT(BITCASK_OK, put_text(sub, "k", "first", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, bitcask_pin(sub, "k", 1, &first));
    CU_ASSERT_PTR_NULL(bitcask_value_data(first));
    EXPECT(BITCASK_OK, put_text(sub, "k", "second", 0));
    EXPECT(BITCASK_OK, bitcask_pin(sub, "k", 1, &second));
    CU_ASSERT(reads_as(first, "first"));
    EXPECT(BITCASK_OK, delete_text(sub, "k", 0));
    CU_ASSERT(reads_as(first, "first"));
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "sub", 3, BITCASK_DURABLE));
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_sync(db));
    CU_ASSERT(reads_as(first, "first"));
    CU_ASSERT(reads_as(second, "second"));
    bitcask_value_unpin(&first);
    bitcask_value_unpin(&second);
    end();
}

static void query_resumes_after_a_deleted_name_and_sees_what_stays(void)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    char key[16];
    begin();
    for (int i = 0; i < 1000; i++)
        EXPECT(BITCASK_OK, put_text(root, (snprintf(key, sizeof key, "%03d", i), key), "", 0));
    EXPECT(BITCASK_OK, bitcask_query_open(root, &(bitcask_query_options){0}, &query));
    int odd = 0;
    while (bitcask_query_next(query, &entry) == BITCASK_OK) {
        memcpy(key, entry.key, entry.key_size);
        key[entry.key_size] = 0;
        int number = atoi(key);
        odd += number % 2;
        /* Deletes the even ones around, and adds some behind. */
        for (int i = number / 2 * 2; i < number + 4; i += 2) {
            snprintf(key, sizeof key, "%03d", i);
            (void)delete_text(root, key, 0);
        }
        if (odd < 50) put_text(root, (snprintf(key, sizeof key, "x%d", odd), key), "", 0);
    }
    CU_ASSERT(odd >= 500);
    bitcask_query_close(&query);
    bitcask_query_options options = {.from = "500", .from_size = 3, .from_exclusive = true, .limit = 1};
    EXPECT(BITCASK_NOT_FOUND, delete_text(root, "500", 0));
    EXPECT(BITCASK_OK, bitcask_query_open(root, &options, &query));
    EXPECT(BITCASK_OK, bitcask_query_next(query, &entry));
    CU_ASSERT(entry.key_size == 3 && memcmp(entry.key, "501", 3) == 0);
    EXPECT(BITCASK_NOT_FOUND, bitcask_query_next(query, &entry));
    bitcask_query_close(&query);
    end();
}

static void record_bound_holds_and_reservations_are_given_back(void)
{
    bitcask_stats before, after;
    bitcask_attrs attrs = {.present = BITCASK_ATTR_ALL, .mode = ~0u, .uid = ~0u, .gid = ~0u, .rdev = ~0u, .ino = ~0ull};
    attrs.mtime_ns = attrs.ctime_ns = attrs.atime_ns = -1;
    attrs.expiry_ns = INT64_MAX;
    attrs.xattrs = "0123456789";
    attrs.xattrs_size = 10;
    begin();
    EXPECT(BITCASK_OK, put_text(root, "a", "b", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &before));
    uint64_t bound = bitcask_record_bound(255, 1000, 10);
    char key[256], value[1000] = "";
    memset(key, 'k', sizeof key);
    EXPECT(BITCASK_OK, bitcask_reserve(root, bound));
    bitcask_write_options options = {.attrs = &attrs, .reserved = bound};
    EXPECT(BITCASK_OK, bitcask_put(root, key, 255, value, sizeof value, &options, NULL));
    EXPECT(BITCASK_OK, bitcask_delete(root, key, 255, NULL));
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &after));
    CU_ASSERT(after.data_bytes - before.data_bytes <= bound);
    CU_ASSERT(after.data_bytes - before.data_bytes > 1000 + 255);
    EXPECT(BITCASK_OK, bitcask_reserve(root, 1 << 20));
    bitcask_unreserve(root, 1 << 20);
    CU_ASSERT_NOT_EQUAL(bitcask_reserve(root, UINT64_C(1) << 60), BITCASK_OK);
    EXPECT(BITCASK_OK, put_text(root, "c", "d", 0));
    end();
}

static void stats_count_what_lives_and_what_is_dead(void)
{
    bitcask_stats stats;
    begin();
    EXPECT(BITCASK_OK, put_text(root, "a", "0123456789", 0));
    EXPECT(BITCASK_OK, put_text(root, "a", "0123456789", 0));
    EXPECT(BITCASK_OK, put_text(root, "b", "0123456789", 0));
    EXPECT(BITCASK_OK, delete_text(root, "b", 0));
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT_EQUAL(stats.live_keys, 1);
    CU_ASSERT_EQUAL(stats.live_bytes, 26 + 1 + 10);
    CU_ASSERT_EQUAL(stats.puts, 3);
    CU_ASSERT_EQUAL(stats.deletes, 1);
    CU_ASSERT(stats.dead_bytes >= 2 * 37 + 27 && stats.dead_bytes + stats.live_bytes <= stats.data_bytes);
    CU_ASSERT_EQUAL(stats.damaged_regions, 0);
    CU_ASSERT_EQUAL(stats.segments, 1);
    end();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"every status has a text of its own and an errno", every_status_has_a_text_of_its_own_and_an_errno},
        {"bad names are refused everywhere with a text", bad_names_are_refused_everywhere_with_a_text},
        {"odd but good names are kept byte for byte", odd_but_good_names_are_kept_byte_for_byte},
        {"paths with bad parts are refused", paths_with_bad_parts_are_refused},
        {"values of all sizes come back", values_of_all_sizes_come_back},
        {"too large values and attributes change nothing", too_large_values_and_attributes_change_nothing},
        {"conditional puts and deletes hold their conditions", conditional_puts_and_deletes_hold_their_conditions},
        {"version is the given time where that grows and has come",
         version_is_the_given_time_where_that_grows_and_has_come},
        {"batch is all or nothing and keeps its content on failure",
         batch_is_all_or_nothing_and_keeps_its_content_on_failure},
        {"batch above its limit is refused whole", batch_above_its_limit_is_refused_whole},
        {"partitions nest and are dropped only when empty", partitions_nest_and_are_dropped_only_when_empty},
        {"dropped partition leaves no files", dropped_partition_leaves_no_files},
        {"handles survive renames and loops are refused", handles_survive_renames_and_loops_are_refused},
        {"moved key keeps number and times", moved_key_keeps_number_and_times},
        {"root keeps its own attributes", root_keeps_its_own_attributes},
        {"pinned values survive overwrite, delete, drop and close",
         pinned_values_survive_overwrite_delete_drop_and_close},
        {"query resumes after a deleted name and sees what stays",
         query_resumes_after_a_deleted_name_and_sees_what_stays},
        {"record bound holds and reservations are given back", record_bound_holds_and_reservations_are_given_back},
        {"stats count what lives and what is dead", stats_count_what_lives_and_what_is_dead},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("store", tests);
}
