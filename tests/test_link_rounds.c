/* test_link_rounds.c - links and deletions, many at a time, and files reached by their number. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/inodes.h"

struct store {
    bitcask *db;
    bitcask_partition *root, *dir;
};

static void store_open(struct store *store, const char *name)
{
    store->db = fixture_open(fixture_path("%s", name), BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_open(store->db, "", &store->root));
    if (bitcask_partition_open(store->db, "dir", &store->dir) != BITCASK_OK)
        EXPECT(BITCASK_OK, bitcask_partition_create(store->root, "dir", 3, NULL, 0, &store->dir));
}

static void store_close(struct store *store)
{
    bitcask_partition_close(&store->dir);
    bitcask_partition_close(&store->root);
    EXPECT(BITCASK_OK, bitcask_close(&store->db));
}

static bitcask_move_item link_item(bitcask_partition *from, const char *a, bitcask_partition *to, const char *b)
{
    return (bitcask_move_item){.from = from,
                               .from_key = a,
                               .from_key_size = strlen(a),
                               .to = to,
                               .to_key = b,
                               .to_key_size = strlen(b),
                               .flags = BITCASK_LINK};
}

static bitcask_move_item removal(bitcask_partition *from, const char *a)
{
    return (bitcask_move_item){.from = from, .from_key = a, .from_key_size = strlen(a), .flags = BITCASK_REMOVE};
}

static uint64_t links(bitcask_partition *partition, const char *key)
{
    bitcask_entry entry = {0};
    return bitcask_stat(partition, key, strlen(key), &entry) == BITCASK_OK ? entry.nlink : 0;
}

static uint64_t syncs(bitcask *db)
{
    bitcask_stats stats;
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    return stats.syncs;
}

static void expect_sound(bitcask *db)
{
    bitcask_partition *root = NULL;
    bitcask_verify_result result;
    const bitcask_verify_options options = {.flags = BITCASK_BELOW};
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_verify(root, &options, &result));
    CU_ASSERT_EQUAL(result.damage + result.hints, 0);
    bitcask_partition_close(&root);
}

static void thousands_take_few_syncs(void)
{
    enum { COUNT = 3000 };
    static char names[COUNT][8];
    bitcask_move_item *items = calloc(COUNT, sizeof *items);
    struct store store;
    size_t done = 0;
    uint64_t before;
    store_open(&store, "thousands");
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "f%05zu", i);
        EXPECT(BITCASK_OK, put_text(store.root, names[i], names[i], 0));
        items[i] = link_item(store.root, names[i], store.dir, names[i]);
    }
    before = syncs(store.db);
    EXPECT(BITCASK_OK, bitcask_move(store.db, items, COUNT, &done));
    CU_ASSERT_EQUAL(done, COUNT);
    CU_ASSERT(syncs(store.db) - before < 20);
    for (size_t i = 0; i < COUNT; i++) {
        CU_ASSERT_EQUAL(links(store.dir, names[i]), 2);
        items[i] = removal(store.root, names[i]);
    }
    expect_sound(store.db);
    before = syncs(store.db);
    EXPECT(BITCASK_OK, bitcask_move(store.db, items, COUNT, &done));
    CU_ASSERT(done == COUNT && syncs(store.db) - before < 20);
    store_close(&store);
    store_open(&store, "thousands");
    for (size_t i = 0; i < COUNT; i++) CU_ASSERT(links(store.dir, names[i]) == 1 && links(store.root, names[i]) == 0);
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, names[COUNT - 1]), names[COUNT - 1]);
    expect_sound(store.db);
    store_close(&store);
    free(items);
}

static void items_build_on_one_another(void)
{
    struct store store;
    size_t done = 0;
    uint64_t id = 0, other = 0;
    store_open(&store, "chain");
    EXPECT(BITCASK_OK, put_text(store.root, "a", "hello", 0));
    EXPECT(BITCASK_OK, put_text(store.root, "x", "other", 0));
    bitcask_move_item items[] = {
        link_item(store.root, "a", store.dir, "b"),
        link_item(store.dir, "b", store.root, "c"),
        removal(store.root, "a"),
        link_item(store.root, "x", store.root, "a"),
        removal(store.dir, "b"),
        {.from = store.root, .from_key = "c", .from_key_size = 1, .to = store.dir, .to_key = "d", .to_key_size = 1},
        removal(store.dir, "none"),
        removal(store.root, "x"),
    };
    items[0].file_id = &id;
    items[1].file_id = &other;
    EXPECT(BITCASK_NOT_FOUND, bitcask_move(store.db, items, 8, &done));
    CU_ASSERT(done == 6 && id != 0 && id == other);
    CU_ASSERT(links(store.root, "a") == 2 && links(store.root, "x") == 2 && links(store.dir, "b") == 0);
    CU_ASSERT(links(store.dir, "d") == 1 && links(store.root, "c") == 0);
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "d"), "hello");
    CU_ASSERT_STRING_EQUAL(get_text(store.root, "a"), "other");
    /* The last name takes the file with it; a plain record goes the same way. */
    const bitcask_move_item last[] = {removal(store.dir, "d"), removal(store.root, "x"), removal(store.root, "a")};
    EXPECT(BITCASK_OK, bitcask_move(store.db, last, 3, &done));
    EXPECT(BITCASK_OK, put_text(store.root, "p", "plain", 0));
    const bitcask_move_item plain = removal(store.root, "p");
    EXPECT(BITCASK_OK, bitcask_move(store.db, &plain, 1, &done));
    CU_ASSERT(links(store.dir, "d") + links(store.root, "x") + links(store.root, "a") + links(store.root, "p") == 0);
    expect_sound(store.db);
    store_close(&store);
}

static void what_cannot_be_done_is_refused(void)
{
    struct store store;
    bitcask_partition *files = NULL;
    size_t done = 1;
    store_open(&store, "refused");
    EXPECT(BITCASK_OK, bitcask_partition_open_files(store.db, &files));
    EXPECT(BITCASK_OK, put_text(store.root, "a", "hello", 0));
    const bitcask_move_item twice[] = {link_item(store.root, "a", store.dir, "b"),
                                       link_item(store.root, "a", store.dir, "b")};
    EXPECT(BITCASK_EXISTS, bitcask_move(store.db, twice, 2, &done));
    CU_ASSERT_EQUAL(done, 1);
    bitcask_move_item wrong = link_item(store.root, "dir", store.root, "e");
    EXPECT(BITCASK_IS_PARTITION, bitcask_move(store.db, &wrong, 1, &done));
    wrong = removal(store.root, "dir");
    EXPECT(BITCASK_IS_PARTITION, bitcask_move(store.db, &wrong, 1, &done));
    wrong = link_item(files, "0123456789abcdef", store.root, "e");
    EXPECT(BITCASK_NOT_FOUND, bitcask_move(store.db, &wrong, 1, &done));
    wrong = link_item(files, "no number", store.root, "e");
    EXPECT(BITCASK_NOT_FOUND, bitcask_move(store.db, &wrong, 1, &done));
    wrong = link_item(store.root, "a", files, "0123456789abcdef");
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_move(store.db, &wrong, 1, &done));
    wrong = removal(files, "0123456789abcdef");
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_move(store.db, &wrong, 1, &done));
    wrong = link_item(store.root, "a", store.root, "e");
    wrong.flags = BITCASK_LINK | BITCASK_EXCHANGE;
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_move(store.db, &wrong, 1, &done));
    bitcask_partition_close(&files);
    store_close(&store);
}

static void a_file_has_at_most_so_many_names(void)
{
    char(*names)[8] = calloc(BITCASK_LINKS_MAX, sizeof *names);
    bitcask_move_item *items = calloc(BITCASK_LINKS_MAX, sizeof *items);
    struct store store;
    size_t done = 0;
    store_open(&store, "most");
    EXPECT(BITCASK_OK, put_text(store.root, "a", "hello", 0));
    for (size_t i = 0; i < BITCASK_LINKS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "f%05zu", i);
        items[i] = link_item(store.root, "a", store.dir, names[i]);
    }
    EXPECT(BITCASK_TOO_MANY_LINKS, bitcask_move(store.db, items, BITCASK_LINKS_MAX, &done));
    CU_ASSERT_EQUAL(done, BITCASK_LINKS_MAX - 1);
    CU_ASSERT_EQUAL(links(store.dir, "f00000"), BITCASK_LINKS_MAX);
    EXPECT(BITCASK_OK, delete_text(store.dir, "f00000", 0));
    EXPECT(BITCASK_OK, bitcask_link(store.dir, "f00001", 6, store.root, "one more", 8, 0));
    store_close(&store);
    free(items);
    free(names);
}

static void files_are_reached_by_their_number(void)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_UID, .uid = 7};
    struct store store;
    bitcask_partition *files = NULL;
    bitcask_batch *batch = NULL;
    bitcask_location location;
    bitcask_entry entry, same;
    char number[17], *large = calloc(1, 100001);
    store_open(&store, "files");
    EXPECT(BITCASK_OK, bitcask_partition_open_files(store.db, &files));
    EXPECT(BITCASK_OK, put_text(store.root, "a", "hello", 0));
    EXPECT(BITCASK_OK, bitcask_stat(store.root, "a", 1, &entry));
    CU_ASSERT_EQUAL(entry.file_id, 0);
    EXPECT(BITCASK_OK, bitcask_link(store.root, "a", 1, store.dir, "b", 1, 0));
    EXPECT(BITCASK_OK, bitcask_stat(store.root, "a", 1, &entry));
    snprintf(number, sizeof number, "%016llx", (unsigned long long)entry.file_id);
    EXPECT(BITCASK_OK, bitcask_stat(files, number, 16, &same));
    CU_ASSERT(same.ino == entry.ino && same.nlink == 2 && same.value_size == 5 && same.file_id == entry.file_id);
    CU_ASSERT_STRING_EQUAL(get_text(files, number), "hello");
    EXPECT(BITCASK_OK, put_text(files, number, "changed", 0));
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "b"), "changed");
    EXPECT(BITCASK_OK, bitcask_set_attrs(files, number, 16, &attrs, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "b", 1, &entry));
    CU_ASSERT(entry.attrs.uid == 7 && entry.ino == same.ino && entry.nlink == 2);
    EXPECT(BITCASK_OK, bitcask_reserve(files, 200000));
    const bitcask_write_options reserved = {.reserved = 200000};
    memset(large, 'x', 100000);
    EXPECT(BITCASK_OK, bitcask_put(files, number, 16, large, 100000, &reserved, NULL));
    CU_ASSERT_EQUAL(bitcask_stat(store.root, "a", 1, &entry), BITCASK_OK);
    CU_ASSERT(entry.value_size == 100000 && store.db->inodes->instance->reserved == 0);
    EXPECT(BITCASK_OK, bitcask_locate(files, number, 16, &location));
    CU_ASSERT_EQUAL(location.version, entry.version);
    EXPECT(BITCASK_OK, bitcask_batch_open(files, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, number, 16, "in a batch", 10, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(store.root, "a"), "in a batch");
    EXPECT(BITCASK_OK, bitcask_batch_delete(batch, number, 16));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    EXPECT(BITCASK_NOT_FOUND, put_text(files, "0000000000000001", "new", 0));
    EXPECT(BITCASK_NOT_FOUND, put_text(files, "no number", "new", 0));
    EXPECT(BITCASK_NOT_FOUND, delete_text(files, number, 0));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_partition_create(files, "p", 1, NULL, 0, NULL));
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_partition_stat(files, &entry));
    EXPECT(BITCASK_OK, delete_text(store.root, "a", 0));
    CU_ASSERT_STRING_EQUAL(get_text(files, number), "in a batch");
    EXPECT(BITCASK_OK, delete_text(store.dir, "b", 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_stat(files, number, 16, &entry));
    EXPECT(BITCASK_OK, bitcask_partition_sync(files));
    expect_sound(store.db);
    bitcask_partition_close(&files);
    store_close(&store);
    free(large);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"thousands take few syncs", thousands_take_few_syncs},
        {"items build on one another", items_build_on_one_another},
        {"what cannot be done is refused", what_cannot_be_done_is_refused},
        {"a file has at most so many names", a_file_has_at_most_so_many_names},
        {"files are reached by their number", files_are_reached_by_their_number},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("rounds of links", tests);
}
