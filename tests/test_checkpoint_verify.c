/* test_checkpoint_verify.c - what verify and repair say of checkpoints, and that forged ones crash nobody.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "findings.h"
#include "log/checkpoint_format.h"
#include "saved_store.h"

/* ---- what a verify says ---- */

static struct findings told;

static void rewrite_index(const char *path, uint8_t *bytes, size_t size)
{
    FILE *file = fopen(saved_file(path), "r+b"); /* in place: the store may have it open */

    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) exit(99);
}

static void verify_holds_it_against_the_index(void)
{
    const char *path = fixture_path("verified");
    struct book book;
    size_t size;
    uint8_t *bytes;

    book_open(&book, 1500, 60);
    saved_open(path, false);
    saved_scribble(&book, 3000, 9);
    EXPECT(BITCASK_OK, saved_save(saved_root));
    saved_scribble(&book, 300, 10); /* of what it holds some is overwritten, and some deleted */
    EXPECT(BITCASK_OK, findings_verify(saved_root, &told));
    CU_ASSERT(findings_clean(&told));
    bytes = fixture_read(saved_file(path), &size);
    /* Whatever the byte says: of one alone, what does not fit might be found without the checksum. */
    for (size_t at = 5000; at < 5040; at++) {
        bytes[at] ^= 4;
        rewrite_index(path, bytes, size);
        EXPECT(BITCASK_OK, findings_verify(saved_root, &told));
        CU_ASSERT_EQUAL(told.result.damage, 0);
        CU_ASSERT_EQUAL(told.result.hints, 1);
        CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_HINT, BC_CHECKPOINT_NAME, NULL));
        bytes[at] ^= 4;
    }
    rewrite_index(path, bytes, size);
    EXPECT(BITCASK_OK, findings_verify(saved_root, &told));
    CU_ASSERT(findings_clean(&told));
    fixture_remove(saved_file(path));
    EXPECT(BITCASK_OK, saved_save(saved_root));
    rewrite_index(path, bytes, size); /* one that is good, and not the one that was made last */
    EXPECT(BITCASK_OK, findings_verify(saved_root, &told));
    CU_ASSERT_EQUAL(told.result.hints, 1);
    saved_close();
    free(bytes);
    book_close(&book);
}

/* Wrong in itself in a way that no checksum sees: what a mistake in the making of it would leave. */
static void verify_finds_keys_that_are_wrong_in_it(void)
{
    for (int way = 0; way < 3; way++) {
        const char *path = fixture_path("wrong%d", way);
        struct bc_partition *instance;
        struct book book;
        char name[20];
        size_t name_size;
        bool had;

        book_open(&book, 30, 60);
        saved_open(path, false);
        for (size_t key = 0; key < 20; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
        name_size = book_key(way == 2 ? 25 : 5, name);
        EXPECT(BITCASK_OK, bc_node_pin(saved_root, &instance));
        struct bc_entry entry, other;
        bc_fair_lock_soon(&instance->write_lock);
        if (way < 2) EXPECT(BITCASK_OK, bc_index_remove(instance->index, name, name_size, &entry));
        if (way > 0) {
            char five[20];
            if (way == 2) EXPECT(BITCASK_OK, bc_index_get(instance->index, five, book_key(5, five), &entry));
            other = entry;
            other.version++;
            EXPECT(BITCASK_OK, bc_index_put(instance->index, name, name_size, &other, &had, NULL));
        }
        bc_fair_unlock(&instance->write_lock);
        EXPECT(BITCASK_OK, saved_save(saved_root)); /* lacks a key; has one that is different; has one too many */
        bc_fair_lock_soon(&instance->write_lock);
        if (way > 0) EXPECT(BITCASK_OK, bc_index_remove(instance->index, name, name_size, NULL));
        if (way < 2) EXPECT(BITCASK_OK, bc_index_put(instance->index, name, name_size, &entry, &had, NULL));
        bc_fair_unlock(&instance->write_lock);
        bc_node_unpin(saved_root);
        EXPECT(BITCASK_OK, findings_verify(saved_root, &told));
        CU_ASSERT_EQUAL(told.result.damage, 0);
        CU_ASSERT_EQUAL(told.result.hints, 1);
        saved_close();
        book_close(&book);
    }
}

static void repair_removes_a_bad_one(void)
{
    struct book book;
    size_t size;
    uint8_t *bytes = saved_make_store("repaired", &book, &size);

    EXPECT(BITCASK_OK, findings_repair(bc_io_posix(), saved_path, &told));
    CU_ASSERT(fixture_size(saved_file(saved_path)) == size); /* a good one stays */
    bytes[size - 3] ^= 1;
    fixture_write(saved_file(saved_path), bytes, size);
    EXPECT(BITCASK_OK, findings_verify_files(saved_path, 0, &told));
    CU_ASSERT_EQUAL(told.result.hints, 1);
    EXPECT(BITCASK_OK, findings_repair(bc_io_posix(), saved_path, &told));
    CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_HINT, BC_CHECKPOINT_NAME, NULL));
    CU_ASSERT_EQUAL(fixture_size(saved_file(saved_path)), UINT64_MAX);
    saved_want_all();
    saved_expect_book(saved_path, &book, false);
    book_close(&book);
    free(bytes);
}

/* ---- hostile ones ---- */

/* Gives a checkpoint right checksums, as far as its numbers lead anywhere. */
static void seal(uint8_t *bytes, size_t size)
{
    uint64_t tables = bc_get_u64(bytes + BC_CHECKPOINT_AT_TABLES_OFFSET);
    uint64_t row = tables + (uint64_t)bc_get_u32(bytes + BC_CHECKPOINT_AT_SLOTS) * BC_CHECKPOINT_SLOT_SIZE;
    uint64_t at = BC_CHECKPOINT_HEADER_SIZE;

    for (uint32_t i = 0; i < bc_get_u32(bytes + BC_CHECKPOINT_AT_BLOCKS) && row + 8 <= size; i++, row += 8) {
        uint64_t padded = bc_checkpoint_padded(bc_get_u32(bytes + row));
        if (at > size || padded > size - at) break;
        bc_put_u32(bytes + row + 4, bc_crc32c(0, bytes + at, padded));
        at += padded;
    }
    if (tables <= size) bc_put_u32(bytes + BC_CHECKPOINT_AT_TABLES_CRC, bc_crc32c(0, bytes + tables, size - tables));
    bc_put_u32(bytes + BC_CHECKPOINT_AT_HEADER_CRC, bc_crc32c(0, bytes, BC_CHECKPOINT_AT_HEADER_CRC));
}

static bool look(void *context, const bitcask_segment_info *segment)
{
    (void)context, (void)segment;
    return true;
}

/* Uses all of a partition whose index may be nonsense: nothing is expected but that the program lives. */
static void use_all(const struct book *book)
{
    const bitcask_query_options options = {0};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bitcask_stats stats;

    for (size_t key = 0; key < book->keys; key += 7) {
        char name[20];
        bitcask_value *value = NULL;
        bitcask_location location;
        size_t size = book_key(key, name);

        if (bitcask_get(saved_root, name, size, &value) == BITCASK_OK) bitcask_value_unpin(&value);
        (void)bitcask_locate(saved_root, name, size, &location);
    }
    if (bitcask_query_open(saved_root, &options, &query) == BITCASK_OK)
        while (bitcask_query_next(query, &entry) == BITCASK_OK) {
        }
    bitcask_query_close(&query);
    (void)bitcask_partition_stats(saved_root, &stats);
    (void)bitcask_segments(saved_root, look, NULL);
}

static void spoil(uint8_t *bytes, size_t size, uint64_t *rng)
{
    uint64_t tables = bc_get_u64(bytes + BC_CHECKPOINT_AT_TABLES_OFFSET);
    static const uint64_t numbers[] = {0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX, 1ull << 40};

    for (uint64_t i = 0, changes = 1 + fixture_below(rng, 3); i < changes; i++) {
        uint64_t where = fixture_below(rng, 4), at, span = fixture_below(rng, 2) ? 4 : 8;

        if (where == 0)
            at = 8 + fixture_below(rng, 31) * 4;
        else if (where == 1)
            at = tables + fixture_below(rng, (size - tables) / 4) * 4;
        else if (where == 2)
            at = BC_CHECKPOINT_HEADER_SIZE + fixture_below(rng, 100) * 4;
        else
            at = BC_CHECKPOINT_HEADER_SIZE + fixture_below(rng, tables - BC_CHECKPOINT_HEADER_SIZE);
        if (at + 8 > size) continue;
        uint64_t number = fixture_below(rng, 3) == 0 ? fixture_random(rng) : numbers[fixture_below(rng, 10)];
        if (fixture_below(rng, 3) == 0)
            bytes[at] ^= (uint8_t)(1u << fixture_below(rng, 8));
        else if (span == 4)
            bc_put_u32(bytes + at, (uint32_t)number);
        else
            bc_put_u64(bytes + at, number);
    }
    seal(bytes, size);
}

static void forged_checkpoints_crash_nobody(void)
{
    struct book book;
    size_t size, used = 0;
    uint8_t *bytes = saved_make_store("forged", &book, &size), *forged = malloc(size);
    uint64_t rng = fixture_number("SEED", 11), rounds = fixture_number("LONG", 0) ? 20000 : 1500;

    if (!forged) exit(99);
    for (uint64_t i = 0; i < rounds; i++) {
        memcpy(forged, bytes, size);
        spoil(forged, size, &rng);
        fixture_write(saved_file(saved_path), forged, size);
        EXPECT(BITCASK_OK, saved_try_open(saved_path, true));
        used += saved_is(saved_root);
        use_all(&book);
        saved_close();
    }
    CU_ASSERT(used > rounds / 20 && used < rounds); /* some get as far as that */
    for (uint64_t i = 0; i < rounds / 30; i++) {
        const char *copy = fixture_path("forged-copy");

        memcpy(forged, bytes, size);
        spoil(forged, size, &rng);
        fixture_write(saved_file(saved_path), forged, size);
        fixture_copy(saved_path, copy);
        EXPECT(BITCASK_OK, saved_try_open(copy, false));
        use_all(&book);
        for (size_t key = 0; key < book.keys; key += 3) {
            char name[20];
            size_t name_size = book_key(key, name);
            if (key % 2)
                (void)bitcask_put(saved_root, name, name_size, "new", 3, NULL, NULL);
            else
                (void)bitcask_delete(saved_root, name, name_size, NULL);
        }
        (void)merging_all(saved_root, BC_MERGE_FULL, NULL, NULL);
        use_all(&book);
        bitcask_partition_close(&saved_root);
        (void)bitcask_close(&saved_db);
        fixture_remove(copy);
    }
    saved_want_all();
    book_close(&book);
    free(forged);
    free(bytes);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"verify holds it against the index", verify_holds_it_against_the_index},
        {"verify finds keys that are wrong in it", verify_finds_keys_that_are_wrong_in_it},
        {"repair removes a bad one", repair_removes_a_bad_one},
        {"forged checkpoints crash nobody", forged_checkpoints_crash_nobody},
        CU_TEST_INFO_NULL,
    };
    saved_want_all();
    return fixture_run("checkpoint verify", tests);
}
