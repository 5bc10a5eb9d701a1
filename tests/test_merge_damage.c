/* test_merge_damage.c - merges over damaged segments and hints: bytes that fail their check are never carried along,
 * nor is what they hide brought back; what can be made anew is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merging.h"

static bitcask *db;
static bitcask_partition *root;

static bitcask_options options_for_tests(void)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    bc_io_posix()->background = false; /* hints at once, not a second later */
    options.segment_size = 1024 * 1024;
    return options;
}

static void open_on_disk(const char *path)
{
    bitcask_options options = options_for_tests();

    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static bitcask_status close_store(void)
{
    bitcask_partition_close(&root);
    return bitcask_close(&db);
}

/* What of a record's bytes is hit; or its segment is cut short in it. */
enum damage { DAMAGE_VALUE, DAMAGE_HEAD, DAMAGE_CUT, DAMAGES };

/* Damages the record of key, of a store that is closed or open. */
static void damage_record(const char *file, const bitcask_location *location, enum damage damage)
{
    size_t size;
    uint8_t *bytes = fixture_read(file, &size);

    if (damage == DAMAGE_VALUE) bytes[location->offset + location->record_bytes - 3] ^= 1;
    if (damage == DAMAGE_HEAD) bytes[location->offset + 12] ^= 1;
    if (damage == DAMAGE_CUT) size = (size_t)(location->offset + location->record_bytes / 2);
    fixture_write(file, bytes, size);
    free(bytes);
}

/* Four segments with keys of their own; the third deletes one of the second and one of the first. */
static void make_four(struct book *book)
{
    for (size_t segment = 0; segment < 4; segment++) {
        EXPECT(BITCASK_OK, book_put_batch(book, root, segment * 10, 10));
        EXPECT(BITCASK_OK, book_put(book, root, segment * 10));
        if (segment == 2) EXPECT(BITCASK_OK, book_delete(book, root, 11));
        if (segment == 2) EXPECT(BITCASK_OK, book_delete(book, root, 1));
        EXPECT(BITCASK_OK, merging_rotate(root));
    }
}

/* All keys are right, but those that the damage hit, which are said to be damaged: key 19, and where the segment was
 * cut there also key 10, put after it once more, whose older value must not come back. */
static bool others_agree(const struct book *book, enum damage damage)
{
    bool good = true;

    for (size_t key = 0; key < book->keys; key++) {
        char name[20];

        book_key(key, name);
        if (key == 19 || (key == 10 && damage == DAMAGE_CUT))
            good = get_text(root, name)[0] == '!' && good;
        else
            good = book_agrees_key(book, root, key) && good;
    }
    return good;
}

static void check_damaged_is_left_alone(const char *path, const struct book *book, enum damage damage)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    const char *file = merging_data_file(path, 0, 2);
    size_t size, size_now, count = merging_segments(root, list);
    uint8_t *before = fixture_read(file, &size);
    bitcask_merge_result result = {0};

    CU_ASSERT(count == 5 && list[1].segment_id == 2 && list[1].damaged);
    CU_ASSERT(!list[0].damaged && !list[2].damaged && !list[3].damaged);
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, &result));
    count = merging_segments(root, list);
    CU_ASSERT_EQUAL_FATAL(count, 4);
    CU_ASSERT(list[0].segment_id == 1 && list[1].segment_id == 2 && list[2].segment_id == 5 && list[2].lowest_id == 3);
    CU_ASSERT_EQUAL(result.segments_in, 4);
    uint8_t *after = fixture_read(file, &size_now);
    CU_ASSERT(size == size_now && memcmp(before, after, size) == 0);
    free(before);
    free(after);
    CU_ASSERT(others_agree(book, damage));
}

static void damaged_input_is_left_alone_and_its_neighbours_merged(void)
{
    for (int while_open = 0; while_open < 2; while_open++) {
        for (enum damage damage = 0; damage < DAMAGES; damage++) {
            const char *path = fixture_path("damaged-%d-%d", while_open, (int)damage);
            bitcask_location location;
            struct book book;
            char key[20];
            size_t key_size = book_key(19, key);

            book_open(&book, 40, 50);
            open_on_disk(path);
            make_four(&book);
            EXPECT(BITCASK_OK, put_text(root, "active", "v", 0));
            EXPECT(BITCASK_OK, bitcask_locate(root, key, key_size, &location));
            CU_ASSERT_STRING_EQUAL(location.file, "000002.data");
            if (!while_open) EXPECT(BITCASK_OK, close_store());
            damage_record(merging_data_file(path, 0, 2), &location, damage);
            if (!while_open) open_on_disk(path);
            EXPECT(BITCASK_CORRUPT, merging_run(root, 1, 4, NULL, NULL));
            CU_ASSERT(fixture_size(fixture_partition_file(path, 0, "merge.tmp")) == UINT64_MAX);
            EXPECT_DETAIL(BITCASK_CORRUPT, "000002.data", merging_run(root, 1, 4, NULL, NULL));
            check_damaged_is_left_alone(path, &book, damage);
            EXPECT(BITCASK_OK, close_store());
            open_on_disk(path); /* no tombstone was given up over what the damaged one may hold */
            CU_ASSERT(others_agree(&book, damage));
            EXPECT(BITCASK_OK, close_store());
            book_close(&book);
        }
    }
}

static void damage_in_a_dead_record_does_not_matter(void)
{
    const char *path = fixture_path("dead-damage");
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    bitcask_location location;
    struct book book;
    char key[20];
    size_t key_size = book_key(19, key);

    book_open(&book, 40, 50);
    open_on_disk(path);
    make_four(&book);
    EXPECT(BITCASK_OK, bitcask_locate(root, key, key_size, &location));
    EXPECT(BITCASK_OK, book_put(&book, root, 19));
    EXPECT(BITCASK_OK, close_store());
    damage_record(merging_data_file(path, 0, 2), &location, DAMAGE_VALUE);
    open_on_disk(path);
    EXPECT(BITCASK_OK, merging_run(root, 1, 4, NULL, NULL));
    CU_ASSERT_EQUAL(merging_segments(root, list), 2);
    CU_ASSERT(book_agrees(&book, root));
    EXPECT(BITCASK_OK, close_store());
    open_on_disk(path);
    CU_ASSERT(book_agrees(&book, root));
    EXPECT(BITCASK_OK, close_store());
    book_close(&book);
}

/* Spoils a hint behind its head, as a power cut may: hints are not synced. */
static void spoil_hint(const char *file)
{
    size_t size;
    uint8_t *bytes = fixture_read(file, &size);

    bytes[120] ^= 0x20;
    fixture_write(file, bytes, size);
    free(bytes);
}

static void hint_that_breaks_off_in_a_merge_is_made_anew(void)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    const char *path = fixture_path("spoiled");
    struct book book;

    book_open(&book, 40, 50);
    open_on_disk(path);
    make_four(&book);
    for (uint32_t id = 1; id < 5; id++) spoil_hint(merging_hint_file(path, 0, id));
    EXPECT(BITCASK_OK, merging_run(root, 2, 3, NULL, NULL));
    EXPECT(BITCASK_OK, merging_run(root, 1, 4, NULL, NULL));
    CU_ASSERT_EQUAL(merging_segments(root, list), 2);
    CU_ASSERT(!list[0].damaged);
    CU_ASSERT(book_agrees(&book, root));
    EXPECT(BITCASK_OK, close_store());
    open_on_disk(path);
    CU_ASSERT(book_agrees(&book, root));
    EXPECT(BITCASK_OK, close_store());
    book_close(&book);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"damaged input is left alone, and its neighbours merged",
         damaged_input_is_left_alone_and_its_neighbours_merged},
        {"damage in a dead record does not matter", damage_in_a_dead_record_does_not_matter},
        {"hint that breaks off in a merge is made anew", hint_that_breaks_off_in_a_merge_is_made_anew},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("merge damage", tests);
}
