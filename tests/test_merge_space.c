/* test_merge_space.c - what merging gives back, and when it leaves segments in peace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merging.h"

static bitcask *db;
static bitcask_partition *root;

static void open_store(const char *path, uint64_t segment_size)
{
    merging_open(path, segment_size, &db, &root);
}

static void close_store(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

static void reopen(const char *path, uint64_t segment_size)
{
    close_store();
    open_store(path, segment_size);
}

static void remove_file(const char *path, void *context)
{
    (void)context;
    fixture_remove(path);
}

/* Every other one gets a flipped byte somewhere in the middle. */
static void damage_some(const char *path, void *context)
{
    unsigned *at = context;
    size_t size;

    if (++*at % 2) return;
    uint8_t *bytes = fixture_read(path, &size);
    bytes[size / 4 * (*at / 2 % 4)] ^= 0x10;
    fixture_write(path, bytes, size);
    free(bytes);
}

/* The book, and the partition's numbers, are the same whichever way the partition is opened. */
static void check_all_ways(const char *path, uint64_t segment_size, const struct book *book)
{
    unsigned damaged = 0;

    for (int way = 0; way < 3; way++) {
        bitcask_stats before, after;

        EXPECT(BITCASK_OK, bitcask_partition_stats(root, &before));
        close_store();
        if (way == 1) merging_each_file(path, 0, ".hint", remove_file, NULL);
        if (way == 2) merging_each_file(path, 0, ".hint", damage_some, &damaged);
        open_store(path, segment_size);
        CU_ASSERT(book_agrees(book, root));
        CU_ASSERT(merging_accounts_agree(root));
        EXPECT(BITCASK_OK, bitcask_partition_stats(root, &after));
        CU_ASSERT_EQUAL(after.live_bytes, before.live_bytes);
        CU_ASSERT_EQUAL(after.live_keys, before.live_keys);
        CU_ASSERT_EQUAL(after.damaged_regions, 0);
    }
    CU_ASSERT(damaged > 0);
}

static void check_space(const char *path)
{
    bitcask_stats stats;
    unsigned files, hints;
    uint64_t data, hint_bytes, index_bytes;

    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    close_store(); /* so that nothing is preallocated, and every hint is there */
    data = merging_bytes(path, 0, ".data", &files);
    hint_bytes = merging_bytes(path, 0, ".hint", &hints);
    index_bytes = merging_bytes(path, 0, "index", NULL);
    CU_ASSERT(data + hint_bytes <= (stats.live_bytes + hint_bytes) * 11 / 10);
    CU_ASSERT(hint_bytes * 10 <= stats.live_bytes * 3);
    CU_ASSERT_EQUAL(merging_bytes(path, 0, "", NULL), data + hint_bytes + index_bytes); /* and nothing else */
    CU_ASSERT(index_bytes * 100 <= stats.live_bytes * 45 + 100 * 64 * 1024);
    CU_ASSERT(hints <= files);
}

static void overwritten_and_deleted_keys_give_their_space_back(enum bc_merge_kind kind, size_t keys,
                                                               uint64_t segment_size)
{
    const char *path = fixture_path("space-%d", (int)kind);
    bitcask_merge_result result = {0};
    struct book book;

    book_open(&book, keys, 100);
    open_store(path, segment_size);
    for (int round = 0; round < 10; round++)
        for (size_t key = 0; key < keys; key += 100) EXPECT(BITCASK_OK, book_put_batch(&book, root, key, 100));
    for (size_t key = 0; key < keys; key += 2) EXPECT(BITCASK_OK, book_delete(&book, root, key));
    EXPECT(BITCASK_OK, merging_all(root, kind, NULL, &result));
    CU_ASSERT(result.merges > 0 && result.segments_in > 20);
    CU_ASSERT(result.bytes_out < result.bytes_in / 10);
    CU_ASSERT(book_agrees(&book, root));
    CU_ASSERT(merging_accounts_agree(root));

    result = (bitcask_merge_result){0}; /* a second one finds nothing to do */
    if (kind == BC_MERGE_WORTH) EXPECT(BITCASK_OK, merging_all(root, kind, NULL, &result));
    CU_ASSERT_EQUAL(result.merges, 0);

    check_space(path);
    open_store(path, segment_size);
    check_all_ways(path, segment_size, &book);
    close_store();
    book_close(&book);
}

static void what_is_worth_it_gives_all_space_back(void)
{
    overwritten_and_deleted_keys_give_their_space_back(BC_MERGE_WORTH, 100000, 1024 * 1024);
}

static void full_merge_gives_all_space_back(void)
{
    overwritten_and_deleted_keys_give_their_space_back(BC_MERGE_FULL, fixture_number("LONG", 0) ? 100000 : 20000,
                                                       65536);
}

/* At every merge, not only at the first, the rest is left in peace. */
static void space_comes_back_again_and_again(void)
{
    const char *path = fixture_path("again");
    uint64_t rng = fixture_number("SEED", 8);
    struct book book;

    book_open(&book, 2000, 100);
    open_store(path, 65536);
    for (int round = 0; round < 12; round++) {
        bitcask_merge_result result = {0};
        bitcask_stats stats;

        for (int i = 0; i < 3000; i++) {
            size_t key = fixture_below(&rng, book.keys);
            bool put = fixture_below(&rng, 3) > 0;
            EXPECT(BITCASK_OK, put ? book_put(&book, root, key) : book_delete(&book, root, key));
        }
        EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_WORTH, NULL, &result));
        CU_ASSERT(result.merges > 0);
        EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
        CU_ASSERT(stats.dead_bytes * 5 < stats.live_bytes);
        result = (bitcask_merge_result){0};
        EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_WORTH, NULL, &result));
        CU_ASSERT_EQUAL(result.merges, 0);
        CU_ASSERT(book_agrees(&book, root));
        CU_ASSERT(merging_accounts_agree(root));
        if (round % 3 == 2) reopen(path, 65536);
    }
    check_all_ways(path, 65536, &book);
    close_store();
    book_close(&book);
}

static void small_neighbours_are_joined_until_they_fill_a_segment(void)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    const char *path = fixture_path("small");
    bitcask_merge_result result = {0};
    struct book book;

    book_open(&book, 1000, 500);
    open_store(path, 65536);
    for (size_t key = 0; key < book.keys; key++) { /* 27 a segment: 15 KiB, below a quarter */
        EXPECT(BITCASK_OK, book_put(&book, root, key));
        if (key % 27 == 26) EXPECT(BITCASK_OK, merging_rotate(root));
    }
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_DUE, NULL, &result));
    size_t count = merging_segments(root, list);
    CU_ASSERT(result.merges >= 9 && count <= 12);
    for (size_t i = 0; i < count; i++) CU_ASSERT(list[i].bytes <= 65536 + 100);
    CU_ASSERT(book_agrees(&book, root));
    check_all_ways(path, 65536, &book);
    close_store();
    book_close(&book);
}

static void segments_of_needed_tombstones_are_not_merged_for_ever(void)
{
    bitcask_merge_result result = {0};
    struct book book;

    book_open(&book, 4000, 64);
    open_store(fixture_path("for-ever"), 1024 * 1024);
    EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, 4000));
    EXPECT(BITCASK_OK, merging_rotate(root));
    for (size_t key = 0; key < 4000; key += 25) EXPECT(BITCASK_OK, book_delete(&book, root, key)); /* 4 % */
    for (int i = 0; i < 3; i++) {
        result = (bitcask_merge_result){0};
        EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_WORTH, NULL, &result));
    }
    CU_ASSERT_EQUAL(result.merges, 0);
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    book_close(&book);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"what is worth it gives all space back", what_is_worth_it_gives_all_space_back},
        {"full merge gives all space back", full_merge_gives_all_space_back},
        {"space comes back again and again", space_comes_back_again_and_again},
        {"small neighbours are joined until they fill a segment",
         small_neighbours_are_joined_until_they_fill_a_segment},
        {"segments of needed tombstones are not merged for ever",
         segments_of_needed_tombstones_are_not_merged_for_ever},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("merge space", tests);
}
