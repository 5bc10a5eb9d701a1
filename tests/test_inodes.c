/* test_inodes.c - large values and files with several names, through the public API. Most tests make extents small. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "db/inodes.h"
#include "partition/merge.h"

#define KIB 1024u

static uint8_t *pattern(size_t size, unsigned seed)
{
    uint8_t *bytes = malloc(size + 1);
    uint64_t state = seed;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = fixture_random(&state);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
    return bytes;
}

static bitcask_status put_pattern(bitcask_partition *partition, const char *key, size_t size, unsigned seed)
{
    uint8_t *bytes = pattern(size, seed);
    bitcask_status status = bitcask_put(partition, key, strlen(key), bytes, size, NULL, NULL);
    free(bytes);
    return status;
}

static bool value_is(bitcask_value *value, size_t size, unsigned seed)
{
    uint8_t *bytes = pattern(size, seed);
    bool same = bitcask_value_size(value) == size && bitcask_value_load(value) == BITCASK_OK &&
                (size == 0 || memcmp(bitcask_value_data(value), bytes, size) == 0);
    free(bytes);
    return same;
}

static bool is_pattern(bitcask_partition *partition, const char *key, size_t size, unsigned seed)
{
    bitcask_value *value = NULL;
    bool same = bitcask_get(partition, key, strlen(key), &value) == BITCASK_OK && value_is(value, size, seed);
    bitcask_value_unpin(&value);
    return same;
}

/* Keys of partition 1 with this type byte. */
static size_t count_keys(bitcask *db, char type)
{
    struct bc_partition *inodes;
    uint8_t key[BITCASK_NAME_MAX] = {0, (uint8_t)type};
    size_t size = 2, count = 0;
    EXPECT(BITCASK_OK, bc_node_pin(db->inodes, &inodes));
    while (bc_index_seek(inodes->index, BC_SEEK_GT, key, size, key, &size, NULL) == BITCASK_OK && key[1] == type)
        count++;
    CU_ASSERT(accounts_agree(inodes));
    bc_node_unpin(db->inodes);
    return count;
}

static uint64_t damage_found(bitcask *db, bitcask_partition *root)
{
    bitcask_verify_result result;
    const bitcask_verify_options options = {.flags = BITCASK_BELOW};
    (void)db;
    EXPECT(BITCASK_OK, bitcask_verify(root, &options, &result));
    return result.damage + result.hints;
}

static void merge_inodes(bitcask *db)
{
    const bitcask_merge_options options = {.flags = BITCASK_MERGE_FULL};
    EXPECT(BITCASK_OK, bitcask_merge(db->inodes, &options, NULL));
}

struct store {
    bitcask *db;
    bitcask_partition *root, *dir;
};

static void store_open(struct store *store, const char *name)
{
    store->db = fixture_open(fixture_path("%s", name), BITCASK_SYNC_OS);
    store->db->extent_shift = 12;
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

static void large_values_come_back(void)
{
    static const size_t sizes[] = {65536, 65537, 262144, 262145, 3000000, 70000, 10, 0, 1048576};
    struct store store;
    store_open(&store, "sizes");
    for (int shift = 12; shift <= 18; shift += 6) {
        store.db->extent_shift = (uint8_t)shift;
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            EXPECT(BITCASK_OK, put_pattern(store.dir, "k", sizes[i], i + 1));
            CU_ASSERT(is_pattern(store.dir, "k", sizes[i], i + 1));
        }
    }
    CU_ASSERT_EQUAL(count_keys(store.db, 'I'), 1);
    CU_ASSERT_EQUAL(count_keys(store.db, 'E'), 4);
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 0);
    store_close(&store);
    store_open(&store, "sizes");
    CU_ASSERT(is_pattern(store.dir, "k", 1048576, 9));
    EXPECT(BITCASK_OK, bitcask_delete(store.dir, "k", 1, NULL));
    CU_ASSERT_EQUAL(count_keys(store.db, 'I') + count_keys(store.db, 'E'), 0);
    store_close(&store);
}

static void ranges_read_only_what_they_touch(void)
{
    struct store store;
    bitcask_value *value = NULL;
    uint8_t buffer[10000], *bytes = pattern(1 << 20, 5);
    size_t got;
    store_open(&store, "ranges");
    EXPECT(BITCASK_OK, put_pattern(store.root, "k", 1 << 20, 5));
    EXPECT(BITCASK_OK, bitcask_pin(store.root, "k", 1, &value));
    CU_ASSERT_PTR_NULL(bitcask_value_data(value));
    for (size_t at = 0; at < (1 << 20) + 5000; at += 7777) {
        EXPECT(BITCASK_OK, bitcask_value_read(value, at, buffer, sizeof buffer, &got));
        size_t wanted = at >= 1 << 20 ? 0 : (1 << 20) - at < sizeof buffer ? (1 << 20) - at : sizeof buffer;
        CU_ASSERT(got == wanted && memcmp(buffer, bytes + at, got) == 0);
    }
    CU_ASSERT_PTR_NULL(bitcask_value_data(value));
    EXPECT(BITCASK_OK, bitcask_value_load(value));
    CU_ASSERT(memcmp(bitcask_value_data(value), bytes, 1 << 20) == 0);
    bitcask_value_unpin(&value);
    free(bytes);
    store_close(&store);
}

static void stat_and_listing_follow(void)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | BITCASK_ATTR_MTIME | BITCASK_ATTR_XATTRS,
                                 .mode = 0100640,
                                 .mtime_ns = 12345,
                                 .xattrs = "xx",
                                 .xattrs_size = 2};
    const bitcask_attrs change = {.present = BITCASK_ATTR_UID, .uid = 7};
    const bitcask_write_options options = {.attrs = &attrs};
    struct store store;
    bitcask_entry entry, listed;
    bitcask_query *query = NULL;
    bitcask_value *value = NULL;
    uint64_t version;
    uint8_t *bytes = pattern(100000, 3);
    store_open(&store, "stat");
    EXPECT(BITCASK_OK, bitcask_put(store.root, "k", 1, bytes, 100000, &options, &version));
    EXPECT(BITCASK_OK, bitcask_stat(store.root, "k", 1, &entry));
    CU_ASSERT(entry.value_size == 100000 && entry.attrs.mode == 0100640 && entry.attrs.mtime_ns == 12345);
    CU_ASSERT(entry.version == version && entry.nlink == 1 && entry.ino >> 63 == 1 && entry.ino == entry.attrs.ino);
    EXPECT(BITCASK_OK, bitcask_set_attrs(store.root, "k", 1, &change, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_query_open(store.root, NULL, &query));
    EXPECT(BITCASK_OK, bitcask_query_next(query, &listed)); /* dir */
    EXPECT(BITCASK_OK, bitcask_query_next(query, &listed));
    CU_ASSERT(listed.ino == entry.ino && listed.value_size == 100000 && listed.attrs.uid == 7 &&
              listed.version > version);
    CU_ASSERT(listed.attrs.mtime_ns == 12345 && listed.attrs.mode == 0100640);
    bitcask_query_close(&query);
    EXPECT(BITCASK_OK, bitcask_get(store.root, "k", 1, &value));
    bitcask_value_entry(value, &entry);
    CU_ASSERT(entry.attrs.xattrs_size == 2 && memcmp(entry.attrs.xattrs, "xx", 2) == 0 && entry.attrs.uid == 7);
    CU_ASSERT(value_is(value, 100000, 3));
    bitcask_value_unpin(&value);
    bitcask_stats stats;
    EXPECT(BITCASK_OK, bitcask_get_stats(store.db, &stats));
    CU_ASSERT_EQUAL(stats.live_keys, 2);
    free(bytes);
    store_close(&store);
}

static void pinned_contents_stay_through_everything(void)
{
    struct store store;
    bitcask_value *first = NULL, *second = NULL;
    store_open(&store, "pinned");
    EXPECT(BITCASK_OK, put_pattern(store.dir, "k", 200000, 1));
    EXPECT(BITCASK_OK, bitcask_pin(store.dir, "k", 1, &first));
    EXPECT(BITCASK_OK, put_pattern(store.dir, "k", 100000, 2));
    EXPECT(BITCASK_OK, bitcask_pin(store.dir, "k", 1, &second));
    EXPECT(BITCASK_OK, bitcask_delete(store.dir, "k", 1, NULL));
    merge_inodes(store.db);
    CU_ASSERT(value_is(first, 200000, 1));
    bitcask_value_unpin(&first);
    merge_inodes(store.db);
    CU_ASSERT(value_is(second, 100000, 2));
    CU_ASSERT(count_keys(store.db, 'E') > 0);
    bitcask_value_unpin(&second);
    CU_ASSERT_EQUAL(count_keys(store.db, 'E'), 0);
    CU_ASSERT_EQUAL(count_keys(store.db, 'I'), 0);
    store_close(&store);
}

static void links_share_a_file(void)
{
    const bitcask_attrs change = {.present = BITCASK_ATTR_UID, .uid = 9};
    struct store store;
    bitcask_entry a, b;
    store_open(&store, "links");
    EXPECT(BITCASK_OK, put_text(store.root, "a", "hello", 0));
    EXPECT(BITCASK_OK, bitcask_link(store.root, "a", 1, store.dir, "b", 1, 0));
    EXPECT(BITCASK_EXISTS, bitcask_link(store.root, "a", 1, store.dir, "b", 1, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_link(store.root, "x", 1, store.dir, "y", 1, 0));
    EXPECT(BITCASK_IS_PARTITION, bitcask_link(store.root, "dir", 3, store.root, "y", 1, 0));
    EXPECT(BITCASK_OK, bitcask_stat(store.root, "a", 1, &a));
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "b", 1, &b));
    CU_ASSERT(a.ino == b.ino && a.nlink == 2 && b.nlink == 2 && a.value_size == 5);
    EXPECT(BITCASK_OK, put_text(store.dir, "b", "changed", 0));
    CU_ASSERT_STRING_EQUAL(get_text(store.root, "a"), "changed");
    EXPECT(BITCASK_OK, bitcask_set_attrs(store.root, "a", 1, &change, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "b", 1, &b));
    CU_ASSERT_EQUAL(b.attrs.uid, 9);
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 0);
    store_close(&store);
    store_open(&store, "links");
    EXPECT(BITCASK_OK, put_pattern(store.root, "a", 300000, 4));
    CU_ASSERT(is_pattern(store.dir, "b", 300000, 4));
    EXPECT(BITCASK_OK, delete_text(store.root, "a", 0));
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "b", 1, &b));
    CU_ASSERT(b.nlink == 1 && b.ino == a.ino);
    CU_ASSERT(is_pattern(store.dir, "b", 300000, 4));
    EXPECT(BITCASK_OK, delete_text(store.dir, "b", 0));
    CU_ASSERT_EQUAL(count_keys(store.db, 'E') + count_keys(store.db, 'I'), 0);
    store_close(&store);
}

static void move(struct store *store, bitcask_partition *from, const char *a, bitcask_partition *to, const char *b,
                 unsigned flags)
{
    const bitcask_move_item item = {from, a, strlen(a), to, b, strlen(b), flags, NULL, NULL};
    EXPECT(BITCASK_OK, bitcask_move(store->db, &item, 1, NULL));
}

static void moves_carry_links_and_replace_them(void)
{
    struct store store;
    bitcask_entry entry;
    store_open(&store, "moves");
    EXPECT(BITCASK_OK, put_pattern(store.root, "a", 100000, 1));
    EXPECT(BITCASK_OK, put_pattern(store.root, "b", 100000, 2));
    EXPECT(BITCASK_OK, put_text(store.root, "s", "small", 0));
    move(&store, store.root, "a", store.root, "a2", 0);
    move(&store, store.root, "a2", store.dir, "a3", 0);
    CU_ASSERT(is_pattern(store.dir, "a3", 100000, 1));
    move(&store, store.root, "b", store.dir, "a3", 0); /* over a link, across */
    CU_ASSERT(is_pattern(store.dir, "a3", 100000, 2));
    CU_ASSERT_EQUAL(count_keys(store.db, 'I'), 1);
    EXPECT(BITCASK_OK, bitcask_link(store.dir, "a3", 2, store.dir, "a4", 2, 0));
    move(&store, store.dir, "a3", store.dir, "a4", 0); /* one file: nothing happens */
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "a3", 2, &entry));
    CU_ASSERT_EQUAL(entry.nlink, 2);
    move(&store, store.root, "s", store.root, "s2", 0);
    move(&store, store.root, "s2", store.dir, "a3", 0); /* a small one over a link */
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "a3"), "small");
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "a4", 2, &entry));
    CU_ASSERT_EQUAL(entry.nlink, 1);
    move(&store, store.dir, "a3", store.dir, "a4", BITCASK_EXCHANGE);
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "a4"), "small");
    CU_ASSERT(is_pattern(store.dir, "a3", 100000, 2));
    move(&store, store.dir, "a4", store.dir, "a3", 0); /* over the last name, within */
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "a3"), "small");
    CU_ASSERT_EQUAL(count_keys(store.db, 'I') + count_keys(store.db, 'E'), 0);
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 0);
    store_close(&store);
}

static void batches_may_hold_both(void)
{
    struct store store;
    bitcask_batch *batch = NULL;
    bitcask_entry entry;
    uint64_t versions[5];
    uint8_t *bytes = pattern(100000, 6);
    store_open(&store, "batches");
    EXPECT(BITCASK_OK, put_text(store.dir, "x", "x", 0));
    EXPECT(BITCASK_OK, bitcask_link(store.dir, "x", 1, store.dir, "y", 1, 0));
    EXPECT(BITCASK_OK, bitcask_batch_open(store.dir, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "a", 1, "small", 5, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "b", 1, bytes, 100000, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_delete(batch, "x", 1));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "x", 1, "another", 7, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_delete(batch, "absent", 6));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, BITCASK_DURABLE, 0, versions));
    bitcask_batch_close(&batch);
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "a"), "small");
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "x"), "another");
    CU_ASSERT_STRING_EQUAL(get_text(store.dir, "y"), "x");
    CU_ASSERT(is_pattern(store.dir, "b", 100000, 6));
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "y", 1, &entry));
    CU_ASSERT_EQUAL(entry.nlink, 1);
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "b", 1, &entry));
    CU_ASSERT(entry.version == versions[1]);
    free(bytes);
    store_close(&store);
}

static void conditions_hold_for_inodes(void)
{
    struct store store;
    bitcask_write_options options = {.flags = BITCASK_IF_ABSENT};
    uint64_t version;
    uint8_t *bytes = pattern(100000, 1);
    store_open(&store, "conditions");
    EXPECT(BITCASK_OK, bitcask_put(store.root, "k", 1, bytes, 100000, &options, &version));
    EXPECT(BITCASK_EXISTS, bitcask_put(store.root, "k", 1, bytes, 100000, &options, NULL));
    EXPECT(BITCASK_EXISTS, bitcask_put(store.root, "k", 1, bytes, 10, &options, NULL));
    options = (bitcask_write_options){.flags = BITCASK_IF_VERSION, .if_version = version + 1};
    EXPECT(BITCASK_VERSION_MISMATCH, bitcask_put(store.root, "k", 1, bytes, 10, &options, NULL));
    EXPECT(BITCASK_VERSION_MISMATCH, bitcask_delete(store.root, "k", 1, &options));
    options.if_version = version;
    EXPECT(BITCASK_OK, bitcask_put(store.root, "k", 1, bytes, 90000, &options, &version));
    EXPECT(BITCASK_IS_PARTITION, bitcask_put(store.root, "dir", 3, bytes, 90000, NULL, NULL));
    CU_ASSERT_EQUAL(count_keys(store.db, 'E'), (90000 + 4095) / 4096);
    free(bytes);
    store_close(&store);
}

/* Extents that no inode came to map are dead weight; an index that is built finds them. */
static void uncommitted_extents_go_with_a_reopen(void)
{
    struct store store;
    struct bc_partition *inodes;
    store_open(&store, "uncommitted");
    EXPECT(BITCASK_OK, put_pattern(store.root, "k", 100000, 1));
    for (int round = 0; round < 2; round++) {
        uint8_t key[BC_EXTENT_KEY_SIZE];
        struct bc_write write = {
            .key = key, .key_size = sizeof key, .flags = BC_RECORD_EXTENT, .value = "lost", .value_size = 4};
        bc_extent_key(77, 3, key);
        EXPECT(BITCASK_OK, bc_node_pin(store.db->inodes, &inodes));
        bc_fair_lock_soon(&inodes->write_lock);
        EXPECT(BITCASK_OK, bc_partition_append(inodes, &write, 1, true, 0));
        bc_fair_unlock(&inodes->write_lock);
        bc_node_unpin(store.db->inodes);
        size_t before = count_keys(store.db, 'E');
        if (round == 1) EXPECT(BITCASK_OK, put_pattern(store.root, "k", 100000, 1));
        store_close(&store);
        store_open(&store, "uncommitted");
        CU_ASSERT_EQUAL(count_keys(store.db, 'E'), before - 1);
        CU_ASSERT_EQUAL(damage_found(store.db, store.root), 0);
        merge_inodes(store.db);
        CU_ASSERT(is_pattern(store.root, "k", 100000, 1));
    }
    store_close(&store);
}

/* Appends a record to partition 1 as nobody should. */
static void meddle(bitcask *db, const struct bc_write *given)
{
    struct bc_write write = *given;
    struct bc_partition *inodes;
    EXPECT(BITCASK_OK, bc_node_pin(db->inodes, &inodes));
    bc_fair_lock_soon(&inodes->write_lock);
    EXPECT(BITCASK_OK, bc_partition_append(inodes, &write, 1, true, 0));
    bc_fair_unlock(&inodes->write_lock);
    bc_node_unpin(db->inodes);
}

static void verify_finds_what_does_not_agree(void)
{
    struct store store;
    bitcask_entry entry;
    bitcask_value *value = NULL;
    struct bc_partition *inodes;
    uint8_t key[BC_INODE_KEY_SIZE], body[BC_INODE_HEAD_SIZE];
    const struct bc_inode_body wrong = {.links = 2};
    store_open(&store, "meddled");
    EXPECT(BITCASK_OK, put_pattern(store.dir, "a", 100000, 1));
    EXPECT(BITCASK_OK, put_pattern(store.dir, "b", 100000, 2));
    EXPECT(BITCASK_OK, put_pattern(store.root, "c", 100000, 3));
    EXPECT(BITCASK_OK, bitcask_link(store.root, "c", 1, store.dir, "d", 1, 0));
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 0);
    /* An inode says that it has two names, and has one. */
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "a", 1, &entry));
    bc_inode_key(entry.ino, key);
    bc_inode_encode_head(&wrong, body);
    meddle(store.db,
           &(struct bc_write){
               .key = key, .key_size = sizeof key, .flags = BC_RECORD_INODE, .value = body, .value_size = sizeof body});
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 1);
    /* One is gone: nothing of its file can be had, and the rest can. */
    EXPECT(BITCASK_OK, bitcask_stat(store.dir, "b", 1, &entry));
    bc_inode_key(entry.ino, key);
    meddle(store.db, &(struct bc_write){.key = key, .key_size = sizeof key, .flags = BC_RECORD_TOMBSTONE});
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 2);
    EXPECT(BITCASK_CORRUPT, bitcask_get(store.dir, "b", 1, &value));
    EXPECT(BITCASK_CORRUPT, bitcask_stat(store.dir, "b", 1, &entry));
    /* One lacks an extent: what lies outside of it can be read. */
    EXPECT(BITCASK_OK, bc_node_pin(store.db->inodes, &inodes));
    uint8_t extent[BITCASK_NAME_MAX] = {0, BC_KEY_EXTENT};
    size_t size = 2, got;
    EXPECT(BITCASK_OK, bitcask_pin(store.root, "c", 1, &value));
    struct bc_run run = {.count = 1};
    bc_fair_lock_soon(&inodes->write_lock);
    /* Those of a and b are still there: their inodes were pushed aside without a word. */
    while (bc_index_seek(inodes->index, BC_SEEK_GT, extent, size, extent, &size, NULL) == BITCASK_OK)
        if (bc_is_extent_key(extent, size, &run.value_id, &run.first) && run.first == 5)
            bc_partition_forget_extents(inodes, &run, 1);
    bc_fair_unlock(&inodes->write_lock);
    bc_node_unpin(store.db->inodes);
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 3);
    uint8_t buffer[4096];
    EXPECT(BITCASK_OK, bitcask_value_read(value, 4 * 4096, buffer, 4096, &got));
    EXPECT(BITCASK_CORRUPT, bitcask_value_read(value, 5 * 4096 + 10, buffer, 10, &got));
    EXPECT(BITCASK_OK, bitcask_value_read(value, 6 * 4096, buffer, 4096, &got));
    bitcask_value_unpin(&value);
    /* A put over a name whose inode is gone makes it whole again. */
    EXPECT(BITCASK_OK, put_pattern(store.dir, "b", 100000, 2));
    CU_ASSERT(is_pattern(store.dir, "b", 100000, 2));
    CU_ASSERT_EQUAL(damage_found(store.db, store.root), 2);
    store_close(&store);
}

static void readers_beside_a_writer_see_whole_files(void)
{
    struct store store;
    bitcask *reader = NULL;
    bitcask_partition *root = NULL;
    bitcask_options options;
    store_open(&store, "reader");
    EXPECT(BITCASK_OK, put_pattern(store.root, "k", 100000, 1));
    bitcask_options_init(&options);
    options.read_only = true;
    EXPECT(BITCASK_OK, bitcask_open(fixture_path("reader"), &options, &reader));
    EXPECT(BITCASK_OK, bitcask_partition_open(reader, "", &root));
    CU_ASSERT(is_pattern(root, "k", 100000, 1));
    EXPECT(BITCASK_READ_ONLY, put_pattern(root, "k", 100000, 1));
    EXPECT(BITCASK_READ_ONLY, bitcask_link(root, "k", 1, root, "l", 1, 0));
    EXPECT(BITCASK_OK, put_pattern(store.root, "k", 50000, 2));
    merge_inodes(store.db);
    CU_ASSERT(is_pattern(root, "k", 100000, 1));
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&reader));
    store_close(&store);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"large values come back", large_values_come_back},
        {"ranges read only what they touch", ranges_read_only_what_they_touch},
        {"stat and listing follow", stat_and_listing_follow},
        {"pinned contents stay through everything", pinned_contents_stay_through_everything},
        {"links share a file", links_share_a_file},
        {"moves carry links and replace them", moves_carry_links_and_replace_them},
        {"batches may hold both", batches_may_hold_both},
        {"conditions hold for inodes", conditions_hold_for_inodes},
        {"uncommitted extents go with a reopen", uncommitted_extents_go_with_a_reopen},
        {"verify finds what does not agree", verify_finds_what_does_not_agree},
        {"readers beside a writer see whole files", readers_beside_a_writer_see_whole_files},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("inodes", tests);
}
