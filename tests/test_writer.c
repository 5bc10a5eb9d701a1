/* test_writer.c - values written in pieces: every step compared with plain memory, and what is left in the log counted.
 * Extents are small, so that few bytes make many.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "db/inodes.h"
#include "db/writer.h"

#define MOST 400000u /* bytes of a content that grows at random: about 100 extents */
#define SHIFT 12

struct store {
    bitcask *db;
    bitcask_partition *root;
};

static void store_open(struct store *store, const char *name)
{
    store->db = fixture_open(fixture_path("%s", name), BITCASK_SYNC_OS);
    store->db->extent_shift = SHIFT;
    store->db->inline_max = 3000;
    EXPECT(BITCASK_OK, bitcask_partition_open(store->db, "", &store->root));
}

static void store_close(struct store *store)
{
    bitcask_partition_close(&store->root);
    EXPECT(BITCASK_OK, bitcask_close(&store->db));
}

static size_t count_extents(bitcask *db)
{
    struct bc_partition *inodes;
    uint8_t key[BITCASK_NAME_MAX] = {0, BC_KEY_EXTENT};
    size_t size = 2, count = 0;

    EXPECT(BITCASK_OK, bc_node_pin(db->inodes, &inodes));
    while (bc_index_seek(inodes->index, BC_SEEK_GT, key, size, key, &size, NULL) == BITCASK_OK &&
           key[1] == BC_KEY_EXTENT)
        count++;
    CU_ASSERT(accounts_agree(inodes));
    bc_node_unpin(db->inodes);
    return count;
}

static uint64_t reserved_room(bitcask *db)
{
    struct bc_partition *inodes;
    uint64_t reserved;

    EXPECT(BITCASK_OK, bc_node_pin(db->inodes, &inodes));
    reserved = inodes->reserved;
    bc_node_unpin(db->inodes);
    return reserved;
}

static bitcask_writer *open_on(struct store *store, const char *key)
{
    bitcask_value *value = NULL;
    bitcask_writer *writer = NULL;

    if (key) EXPECT(BITCASK_OK, bitcask_pin(store->root, key, strlen(key), &value));
    EXPECT(BITCASK_OK, bitcask_writer_open(store->root, &value, &writer));
    CU_ASSERT_PTR_NULL(value);
    return writer;
}

static bitcask_status commit(struct store *store, bitcask_writer *writer, const char *key)
{
    return bitcask_writer_commit(writer, store->root, key, strlen(key), NULL, NULL);
}

static bool value_is(struct store *store, const char *key, const uint8_t *bytes, size_t size)
{
    bitcask_value *value = NULL;
    bool same = bitcask_get(store->root, key, strlen(key), &value) == BITCASK_OK && bitcask_value_size(value) == size &&
                (size == 0 || memcmp(bitcask_value_data(value), bytes, size) == 0);

    bitcask_value_unpin(&value);
    return same;
}

static void fill(uint8_t *bytes, size_t size, uint64_t *random)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(1 + fixture_below(random, 255));
}

/* ---- against memory ---- */

struct shadow {
    uint8_t now[MOST], committed[MOST]; /* zeros behind the sizes */
    size_t size, committed_size;
    bool exists;
};

static void check_content(bitcask_writer *writer, const struct shadow *shadow, uint64_t *random)
{
    static uint8_t buffer[MOST];
    uint64_t offset = fixture_below(random, shadow->size + 5000);
    size_t size = (size_t)fixture_below(random, 30000), wanted = 0, got;

    CU_ASSERT_EQUAL(bitcask_writer_size(writer), shadow->size);
    if (offset < shadow->size) wanted = shadow->size - offset < size ? (size_t)(shadow->size - offset) : size;
    EXPECT(BITCASK_OK, bitcask_writer_read(writer, offset, buffer, size, &got));
    CU_ASSERT_EQUAL_FATAL(got, wanted);
    CU_ASSERT_FATAL(memcmp(buffer, shadow->now + offset, got) == 0);
}

static bool all_zeros(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0) return false;
    return true;
}

/* What seek calls a hole reads as zeros; and from data to hole to data the whole content is walked through. */
static void check_seek(bitcask_writer *writer, const struct shadow *shadow)
{
    uint64_t at = 0, data, hole;

    while (at < shadow->size) {
        bitcask_status status = bitcask_writer_seek(writer, at, false, &data);
        uint64_t end = status == BITCASK_OK ? data : shadow->size;

        CU_ASSERT_FATAL(status == BITCASK_OK || status == BITCASK_NOT_FOUND);
        CU_ASSERT_FATAL(end >= at);
        CU_ASSERT_FATAL(all_zeros(shadow->now + at, (size_t)(end - at)));
        if (status != BITCASK_OK) break;
        EXPECT(BITCASK_OK, bitcask_writer_seek(writer, data, true, &hole));
        CU_ASSERT_FATAL(hole > data && hole <= shadow->size);
        at = hole;
    }
    EXPECT(BITCASK_NOT_FOUND, bitcask_writer_seek(writer, shadow->size, false, &data));
}

static void change(bitcask_writer *writer, struct shadow *shadow, uint64_t *random)
{
    static uint8_t bytes[MOST];
    size_t offset = (size_t)fixture_below(random, fixture_below(random, 4) ? shadow->size + 1 : MOST - 70000);
    size_t size = (size_t)fixture_below(random, fixture_below(random, 8) ? 6000 : 70000);

    if (offset + size > MOST) offset = MOST - size;
    switch (fixture_below(random, 8)) {
    case 0:
        size = (size_t)fixture_below(random, fixture_below(random, 3) ? shadow->size + 1 : MOST);
        EXPECT(BITCASK_OK, bitcask_writer_truncate(writer, size));
        if (size < shadow->size) memset(shadow->now + size, 0, shadow->size - size);
        shadow->size = size;
        break;
    case 1:
    case 2:
        EXPECT(BITCASK_OK, bitcask_writer_punch(writer, offset, size));
        if (offset < shadow->size)
            memset(shadow->now + offset, 0, offset + size < shadow->size ? size : shadow->size - offset);
        break;
    default:
        fill(bytes, size, random);
        EXPECT(BITCASK_OK, bitcask_writer_write(writer, offset, bytes, size));
        memcpy(shadow->now + offset, bytes, size);
        if (size > 0 && offset + size > shadow->size) shadow->size = offset + size;
    }
}

static void run_shadow(uint64_t seed, unsigned steps)
{
    struct shadow *shadow = calloc(1, sizeof *shadow);
    struct store store;
    bitcask_writer *writer;
    uint64_t random = seed;

    store_open(&store, "shadow");
    writer = open_on(&store, NULL);
    for (unsigned i = 0; i < steps; i++) {
        change(writer, shadow, &random);
        check_content(writer, shadow, &random);
        if (fixture_below(&random, 16) == 0) check_seek(writer, shadow);
        if (fixture_below(&random, 12) == 0) {
            EXPECT(BITCASK_OK, commit(&store, writer, "k"));
            memcpy(shadow->committed, shadow->now, sizeof shadow->now);
            shadow->committed_size = shadow->size;
            shadow->exists = true;
        }
        if (shadow->exists && fixture_below(&random, 16) == 0)
            CU_ASSERT_FATAL(value_is(&store, "k", shadow->committed, shadow->committed_size));
        if (fixture_below(&random, 60) != 0) continue;
        /* Given up; then from what was committed, in the same store or in one opened anew. */
        bitcask_writer_close(&writer);
        CU_ASSERT_EQUAL(reserved_room(store.db), 0);
        if (fixture_below(&random, 3) == 0) {
            store_close(&store);
            store_open(&store, "shadow");
        }
        writer = open_on(&store, shadow->exists ? "k" : NULL);
        memcpy(shadow->now, shadow->committed, sizeof shadow->now);
        shadow->size = shadow->committed_size;
    }
    bitcask_writer_close(&writer);
    if (shadow->exists) {
        bitcask_verify_result result;
        const bitcask_verify_options options = {.flags = BITCASK_BELOW};

        CU_ASSERT(count_extents(store.db) <= MOST >> SHIFT);
        EXPECT(BITCASK_OK, bitcask_verify(store.root, &options, &result));
        CU_ASSERT_EQUAL(result.damage, 0);
        EXPECT(BITCASK_OK, bitcask_delete(store.root, "k", 1, NULL));
    }
    CU_ASSERT_EQUAL(count_extents(store.db), 0);
    CU_ASSERT_EQUAL(reserved_room(store.db), 0);
    store_close(&store);
    fixture_remove(fixture_path("shadow"));
    free(shadow);
}

static void agrees_with_plain_memory(void)
{
    uint64_t seed = fixture_number("SEED", 20261130);
    unsigned rounds = fixture_number("LONG", 0) ? 200 : 4;

    printf("SEED=%llu ", (unsigned long long)seed);
    for (unsigned i = 0; i < rounds; i++) run_shadow(seed + i, 1500);
}

/* ---- one by one ---- */

static void an_overwrite_writes_what_it_touches(void)
{
    struct store store;
    uint8_t *bytes = calloc(1, MOST);
    uint64_t random = 7, before, after;
    bitcask_writer *writer;
    bitcask_stats stats;

    store_open(&store, "touch");
    fill(bytes, MOST, &random);
    writer = open_on(&store, NULL);
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 0, bytes, MOST));
    EXPECT(BITCASK_OK, commit(&store, writer, "k"));
    EXPECT(BITCASK_OK, bitcask_get_stats(store.db, &stats));
    before = stats.bytes_written;
    memset(bytes + 100000, 0xee, 10);
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 100000, bytes + 100000, 10));
    EXPECT(BITCASK_OK, commit(&store, writer, "k"));
    EXPECT(BITCASK_OK, bitcask_get_stats(store.db, &stats));
    after = stats.bytes_written;
    CU_ASSERT(after - before < 2 * 4096);
    CU_ASSERT(value_is(&store, "k", bytes, MOST));
    /* The old extent went with the commit, although the writer is still there. */
    CU_ASSERT_EQUAL(count_extents(store.db), (MOST + 4095) >> SHIFT);
    bitcask_writer_close(&writer);
    free(bytes);
    store_close(&store);
}

static void a_reader_keeps_what_it_pinned(void)
{
    struct store store;
    uint8_t old[20000], new[20000], read[20000];
    uint64_t random = 9;
    bitcask_value *value = NULL;
    bitcask_writer *writer;
    size_t got;

    store_open(&store, "pinned");
    fill(old, sizeof old, &random);
    fill(new, sizeof new, &random);
    EXPECT(BITCASK_OK, bitcask_put(store.root, "k", 1, old, sizeof old, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_pin(store.root, "k", 1, &value));
    writer = open_on(&store, "k");
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 0, new, sizeof new));
    EXPECT(BITCASK_OK, commit(&store, writer, "k"));
    EXPECT(BITCASK_OK, bitcask_value_read(value, 0, read, sizeof read, &got));
    CU_ASSERT(got == sizeof read && memcmp(read, old, got) == 0);
    CU_ASSERT_EQUAL(count_extents(store.db), 10);
    bitcask_value_unpin(&value);
    CU_ASSERT(value_is(&store, "k", new, sizeof new));
    bitcask_writer_close(&writer);
    CU_ASSERT_EQUAL(count_extents(store.db), 5);
    store_close(&store);
}

static void sixteen_tebibytes_of_hole(void)
{
    struct store store;
    bitcask_writer *writer;
    bitcask_entry entry;
    uint8_t byte = 0, last = 42;
    uint64_t found;
    size_t got;

    store_open(&store, "sparse");
    writer = open_on(&store, NULL);
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, BITCASK_SIZE_MAX - 1, &last, 1));
    EXPECT(BITCASK_TOO_LARGE, bitcask_writer_write(writer, BITCASK_SIZE_MAX, &last, 1));
    EXPECT(BITCASK_TOO_LARGE, bitcask_writer_truncate(writer, BITCASK_SIZE_MAX + 1));
    EXPECT(BITCASK_OK, commit(&store, writer, "k"));
    bitcask_writer_close(&writer);
    EXPECT(BITCASK_OK, bitcask_stat(store.root, "k", 1, &entry));
    CU_ASSERT_EQUAL(entry.value_size, BITCASK_SIZE_MAX);
    CU_ASSERT_EQUAL(entry.stored_size, 4096);
    writer = open_on(&store, "k");
    EXPECT(BITCASK_OK, bitcask_writer_seek(writer, 1, false, &found));
    CU_ASSERT_EQUAL(found, BITCASK_SIZE_MAX - 4096);
    EXPECT(BITCASK_OK, bitcask_writer_seek(writer, 77, true, &found));
    CU_ASSERT_EQUAL(found, 77);
    EXPECT(BITCASK_OK, bitcask_writer_read(writer, BITCASK_SIZE_MAX - 1, &byte, 9, &got));
    CU_ASSERT(got == 1 && byte == 42);
    EXPECT(BITCASK_OK, bitcask_writer_truncate(writer, 5));
    EXPECT(BITCASK_OK, commit(&store, writer, "k"));
    CU_ASSERT(value_is(&store, "k", (const uint8_t[5]){0}, 5));
    bitcask_writer_close(&writer);
    CU_ASSERT_EQUAL(count_extents(store.db), 0);
    store_close(&store);
}

static void a_replaced_value_is_noticed(void)
{
    struct store store;
    uint8_t bytes[20000];
    uint64_t random = 3;
    bitcask_writer *writer;

    store_open(&store, "replaced");
    fill(bytes, sizeof bytes, &random);
    EXPECT(BITCASK_OK, bitcask_put(store.root, "k", 1, bytes, sizeof bytes, NULL, NULL));
    writer = open_on(&store, "k");
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 0, "x", 1));
    EXPECT(BITCASK_OK, bitcask_put(store.root, "k", 1, bytes, sizeof bytes, NULL, NULL));
    EXPECT(BITCASK_VERSION_MISMATCH, commit(&store, writer, "k"));
    CU_ASSERT(value_is(&store, "k", bytes, sizeof bytes));
    EXPECT(BITCASK_VERSION_MISMATCH, commit(&store, writer, "other"));
    bitcask_writer_close(&writer);
    /* One that builds on nothing replaces whatever is there, and an attribute that changes is no new content. */
    writer = open_on(&store, NULL);
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 0, bytes, 9000));
    EXPECT(BITCASK_OK, commit(&store, writer, "k"));
    EXPECT(BITCASK_OK, bitcask_link(store.root, "k", 1, store.root, "l", 1, 0));
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 9000, "end", 3));
    EXPECT(BITCASK_OK, commit(&store, writer, "l"));
    memcpy(bytes + 9000, "end", 3);
    CU_ASSERT(value_is(&store, "k", bytes, 9003));
    bitcask_writer_close(&writer);
    store_close(&store);
}

static void a_batch_takes_writers(void)
{
    struct store store;
    uint8_t bytes[20000];
    uint64_t random = 4, versions[3];
    bitcask_writer *first, *second;
    bitcask_batch *batch = NULL;

    store_open(&store, "batch");
    fill(bytes, sizeof bytes, &random);
    first = open_on(&store, NULL);
    second = open_on(&store, NULL);
    EXPECT(BITCASK_OK, bitcask_writer_write(first, 0, bytes, 15000));
    EXPECT(BITCASK_OK, bitcask_writer_write(second, 0, bytes + 1, 2000));
    EXPECT(BITCASK_OK, bitcask_batch_open(store.root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put_writer(batch, "a", 1, first, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put_writer(batch, "b", 1, second, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "c", 1, bytes, 100, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, versions));
    bitcask_batch_close(&batch);
    CU_ASSERT(value_is(&store, "a", bytes, 15000));
    CU_ASSERT(value_is(&store, "b", bytes + 1, 2000));
    CU_ASSERT(value_is(&store, "c", bytes, 100));
    EXPECT(BITCASK_OK, bitcask_writer_write(first, 15000, bytes + 15000, 5000));
    EXPECT(BITCASK_OK, commit(&store, first, "a"));
    CU_ASSERT(value_is(&store, "a", bytes, 20000));
    bitcask_writer_close(&first);
    bitcask_writer_close(&second);
    CU_ASSERT_EQUAL(count_extents(store.db), 5);
    store_close(&store);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"agrees with plain memory", agrees_with_plain_memory},
        {"an overwrite writes what it touches", an_overwrite_writes_what_it_touches},
        {"a reader keeps what it pinned", a_reader_keeps_what_it_pinned},
        {"sixteen tebibytes of hole", sixteen_tebibytes_of_hole},
        {"a replaced value is noticed", a_replaced_value_is_noticed},
        {"a batch takes writers", a_batch_takes_writers},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("writer", tests);
}
