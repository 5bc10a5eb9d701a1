/* test_checkpoint_bind.c - which checkpoints are believed: not those that are damaged, nor of another log than is
 * there.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/crc.h"
#include "log/checkpoint_format.h"
#include "saved_store.h"

/* ---- which ones are not believed ---- */

static void damaged_checkpoints_cost_time_only(void)
{
    struct book book;
    size_t size, used = 0;
    uint8_t *bytes = saved_make_store("damaged", &book, &size);
    uint64_t rng = fixture_number("SEED", 7);

    saved_open(saved_path, true);
    CU_ASSERT(saved_is(saved_root));
    saved_close();
    for (size_t at = 0; at < size; at += at < 256 ? 8 : at + 4096 < size ? 4096 : 16) {
        size_t where = at + fixture_below(&rng, 8) < size ? at + fixture_below(&rng, 8) : at;

        if (where >= size) where = size - 1;
        bytes[where] ^= 0x10;
        fixture_write(saved_file(saved_path), bytes, size);
        bytes[where] ^= 0x10;
        saved_open(saved_path, true);
        used += saved_is(saved_root);
        CU_ASSERT(book_agrees(&book, saved_root));
        CU_ASSERT(merging_accounts_agree(saved_root));
        saved_close();
        fixture_write(saved_file(saved_path), bytes, at); /* cut short */
        saved_open(saved_path, true);
        used += saved_is(saved_root);
        CU_ASSERT(book_agrees(&book, saved_root));
        saved_close();
    }
    CU_ASSERT_EQUAL(used, 0);
    /* A writer removes it, and says why. */
    bytes[size / 2] ^= 1;
    fixture_write(saved_file(saved_path), bytes, size);
    saved_open(saved_path, false);
    CU_ASSERT(book_agrees(&book, saved_root));
    CU_ASSERT(strstr(saved_said, "checkpoint") != NULL);
    CU_ASSERT_EQUAL(fixture_size(saved_file(saved_path)), UINT64_MAX);
    saved_want_all();
    saved_close();
    CU_ASSERT(fixture_size(saved_file(saved_path)) != UINT64_MAX); /* made anew */
    saved_expect_book(saved_path, &book, false);
    book_close(&book);
    free(bytes);
}

/* An old one is put back after something was done. */
static void stale_checkpoints_are_believed_only_if_they_are_right(void)
{
    for (int way = 0; way < 7; way++) {
        struct book book;
        size_t size;
        uint8_t *bytes;
        char name[16];
        bool serves;

        snprintf(name, sizeof name, "stale%d", way);
        bytes = saved_make_store(name, &book, &size);
        saved_open(saved_path, false);
        if (way == 0) saved_scribble(&book, 200, 20);
        if (way == 1) saved_scribble(&book, 3000, 21); /* with rotations */
        if (way == 2) EXPECT(BITCASK_OK, merging_all(saved_root, BC_MERGE_FULL, NULL, NULL));
        if (way == 3) EXPECT(BITCASK_OK, merging_run(saved_root, 2, 2, NULL, NULL)); /* one into one */
        for (size_t key = 0; way == 4 && key < book.keys; key++)
            EXPECT(BITCASK_OK, book_delete(&book, saved_root, key));
        if (way == 5) {
            EXPECT(BITCASK_OK, merging_rotate(saved_root));
            saved_scribble(&book, 3, 22);
            EXPECT(BITCASK_OK, merging_rotate(saved_root));
        }
        if (way == 6) { /* segments above the checkpoint's are merged with one another */
            EXPECT(BITCASK_OK, merging_rotate(saved_root));
            saved_scribble(&book, 3000, 23);
            static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
            size_t segments = merging_segments(saved_root, list);
            EXPECT(BITCASK_OK,
                   merging_run(saved_root, list[segments - 3].segment_id, list[segments - 2].segment_id, NULL, NULL));
        }
        saved_close();
        serves = way != 2 && way != 3;
        merging_each_file(saved_path, 0, ".hint", saved_remove_file, NULL);
        for (int read_only = 1; read_only >= 0; read_only--) {
            fixture_write(saved_file(saved_path), bytes, size);
            saved_open(saved_path, read_only);
            CU_ASSERT_EQUAL(saved_is(saved_root), serves);
            CU_ASSERT(book_agrees(&book, saved_root));
            CU_ASSERT(merging_accounts_agree(saved_root));
            saved_close();
        }
        CU_ASSERT(serves == (fixture_size(saved_file(saved_path)) != UINT64_MAX));
        saved_want_all();
        saved_expect_book(saved_path, &book, false);
        book_close(&book);
        free(bytes);
    }
}

/* A merge of one segment in which all is alive puts the records into another order, and changes nothing else. */
static void segment_rewritten_in_the_same_size_is_another_one(void)
{
    const char *path = fixture_path("rewritten");
    struct book book;
    size_t size;
    uint8_t *bytes;
    uint64_t before;

    book_open(&book, 100, 30);
    saved_open(path, false);
    for (size_t key = 0; key < 50; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
    EXPECT(BITCASK_OK, merging_rotate(saved_root));
    EXPECT(BITCASK_OK, book_put(&book, saved_root, 50));
    saved_close();
    bytes = fixture_read(saved_file(path), &size);
    before = fixture_size(merging_data_file(path, 0, 1));
    saved_forbid_closing();
    saved_open(path, false);
    EXPECT(BITCASK_OK, merging_run(saved_root, 1, 1, NULL, NULL));
    CU_ASSERT_EQUAL(fixture_size(saved_file(path)), UINT64_MAX);
    saved_close();
    CU_ASSERT_EQUAL(fixture_size(merging_data_file(path, 0, 1)), before);
    fixture_write(saved_file(path), bytes, size);
    merging_each_file(path, 0, ".hint", saved_remove_file, NULL);
    saved_open(path, true);
    CU_ASSERT_FALSE(saved_is(saved_root));
    CU_ASSERT(book_agrees(&book, saved_root));
    saved_close();
    saved_want_all();
    book_close(&book);
    free(bytes);
}

/* The log is cut off in front of the checkpoint's end, and grows anew beyond it, with records of the same sizes, so
 * that one ends where the checkpoint does. */
static void checkpoint_of_a_log_that_was_cut_and_grew_anew_is_not_believed(void)
{
    for (int way = 0; way < 2; way++) {
        const char *path = fixture_path("cut%d", way);
        struct book book;
        size_t size, data_size;
        uint8_t *bytes, *data;
        uint64_t end;

        saved_forbid_closing();
        book_open(&book, 40, 30);
        saved_open(path, false);
        for (size_t key = 0; key < 10; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
        EXPECT(BITCASK_OK, bitcask_sync(saved_db));
        end = fixture_size(fixture_partition_file(path, 0, "active.data"));
        for (size_t key = 10; key < 20; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
        EXPECT(BITCASK_OK, saved_save(saved_root));
        saved_close();
        bytes = fixture_read(saved_file(path), &size);
        data = fixture_read(fixture_partition_file(path, 0, "active.data"), &data_size);
        CU_ASSERT_FATAL(end < data_size);
        if (way == 0) { /* it is shorter now */
            fixture_write(fixture_partition_file(path, 0, "active.data"), data, end);
        } else { /* rot, where only the checkpoint says that the log is durable */
            data[end + 40] ^= 1;
            fixture_write(fixture_partition_file(path, 0, "active.data"), data, bc_get_u64(bytes + 64));
        }
        for (size_t key = 10; key < 20; key++) book.counts[key] = 0;
        merging_each_file(path, 0, ".hint", saved_remove_file, NULL);
        fixture_remove(saved_file(path));
        saved_open(path, false); /* which cuts */
        for (size_t key = 20; key < 30; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
        saved_close();
        merging_each_file(path, 0, ".hint", saved_remove_file, NULL);
        fixture_write(saved_file(path), bytes, size);
        for (int read_only = 1; read_only >= 0; read_only--) {
            saved_open(path, read_only);
            CU_ASSERT_FALSE(saved_is(saved_root));
            CU_ASSERT(book_agrees(&book, saved_root));
            CU_ASSERT(strstr(saved_said, "grown anew") != NULL);
            saved_close();
        }
        saved_want_all();
        book_close(&book);
        free(bytes);
        free(data);
    }
}

/* Behind the tail, and in front of the end: the log is durable there, whatever the marks say. */
static void rot_in_front_of_the_end_is_damage_and_no_torn_tail(void)
{
    const char *path = fixture_path("rot");
    struct book book;
    struct bc_partition *instance;
    size_t size;
    uint8_t *bytes, *data;
    uint64_t at;

    book_open(&book, 40, 30);
    saved_open(path, false);
    for (size_t key = 0; key < 20; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
    EXPECT(BITCASK_OK, saved_save(saved_root));
    saved_close();
    bytes = fixture_read(saved_file(path), &size);
    data = fixture_read(fixture_partition_file(path, 0, "active.data"), &size);
    /* The tail is put back to where the first record begins: as if all had been written while it was copied. */
    bc_put_u64(bytes + BC_CHECKPOINT_AT_TAIL_OFFSET, BC_SEGMENT_HEADER_FIXED);
    bc_put_u32(bytes + BC_CHECKPOINT_AT_HEADER_CRC, bc_crc32c(0, bytes, BC_CHECKPOINT_AT_HEADER_CRC));
    at = bc_get_u64(bytes + BC_CHECKPOINT_AT_END_OFFSET);
    data[BC_SEGMENT_HEADER_FIXED + 300] ^= 1;
    fixture_write(fixture_partition_file(path, 0, "active.data"), data, at); /* no closing mark */
    size = (size_t)fixture_size(saved_file(path));
    fixture_write(saved_file(path), bytes, size);
    merging_each_file(path, 0, ".hint", saved_remove_file, NULL);
    saved_open(path, false);
    EXPECT(BITCASK_OK, bc_node_pin(saved_root, &instance));
    CU_ASSERT_EQUAL(instance->damaged_regions, 1);
    CU_ASSERT_EQUAL(instance->active->end, at);
    bc_node_unpin(saved_root);
    CU_ASSERT(book_agrees_key(&book, saved_root, 19));
    EXPECT(BITCASK_OK, bitcask_put(saved_root, "more", 4, "x", 1, NULL, NULL));
    EXPECT(BITCASK_OK, saved_save(saved_root));
    CU_ASSERT_EQUAL(fixture_size(saved_file(path)), size); /* of a damaged partition none is made */
    saved_close();
    saved_open(path, true);
    EXPECT(BITCASK_OK, bc_node_pin(saved_root, &instance));
    CU_ASSERT_EQUAL(instance->damaged_regions, 1); /* told again */
    bc_node_unpin(saved_root);
    saved_close();
    book_close(&book);
    free(bytes);
    free(data);
}

/* A sealed file that is shorter than it was: not believed, so that it is found out as without a checkpoint. */
static void sealed_file_that_was_cut_short_is_found_out(void)
{
    struct book book;
    size_t size, data_size;
    uint8_t *bytes = saved_make_store("short", &book, &size), *data;
    struct bc_partition *instance;
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    uint64_t cut;

    saved_open(saved_path, false); /* makes the hints anew */
    CU_ASSERT(saved_is(saved_root));
    CU_ASSERT(merging_segments(saved_root, list) > 2);
    saved_close();
    data = fixture_read(merging_data_file(saved_path, 0, 1), &data_size);
    cut = data_size - 200;
    fixture_write(merging_data_file(saved_path, 0, 1), data, cut);
    saved_open(saved_path, true);
    EXPECT(BITCASK_OK, bc_node_pin(saved_root, &instance));
    CU_ASSERT_EQUAL(instance->checkpoint.id, 0);
    CU_ASSERT_EQUAL(instance->damaged_regions, 1);
    bc_node_unpin(saved_root);
    saved_close();
    saved_want_all();
    book_close(&book);
    free(bytes);
    free(data);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"damaged checkpoints cost time only", damaged_checkpoints_cost_time_only},
        {"stale checkpoints are believed only if they are right",
         stale_checkpoints_are_believed_only_if_they_are_right},
        {"segment rewritten in the same size is another one", segment_rewritten_in_the_same_size_is_another_one},
        {"checkpoint of a log that was cut and grew anew is not believed",
         checkpoint_of_a_log_that_was_cut_and_grew_anew_is_not_believed},
        {"rot in front of the end is damage and no torn tail", rot_in_front_of_the_end_is_damage_and_no_torn_tail},
        {"sealed file that was cut short is found out", sealed_file_that_was_cut_short_is_found_out},
        CU_TEST_INFO_NULL,
    };
    saved_want_all();
    return fixture_run("checkpoint bind", tests);
}
