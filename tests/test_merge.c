/* test_merge.c - merging sealed segments: what comes back, what is kept and in which order, and what happens to those
 * who look at it meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/hint.h"
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

/* ---- what is written ---- */

struct seen {
    char file[16];     /* whose records are looked at */
    uint8_t last[255]; /* key */
    size_t last_size;
    unsigned records, tombstones, partitions, disorder, flagged, bad;
};

static bool see(void *context, const bitcask_dump_record *record)
{
    struct seen *seen = context;
    size_t least = record->key_size < seen->last_size ? record->key_size : seen->last_size;
    int order;

    if (strcmp(record->file, seen->file) != 0 || record->state == BITCASK_DUMP_HEADER) return true;
    if (record->state != BITCASK_DUMP_GOOD) {
        seen->bad++;
        return true;
    }
    order = memcmp(record->key, seen->last, least);
    if (seen->records++ > 0 && (order < 0 || (order == 0 && record->key_size <= seen->last_size))) seen->disorder++;
    memcpy(seen->last, record->key, record->key_size);
    seen->last_size = record->key_size;
    if (strcmp(record->flags, "tombstone") == 0)
        seen->tombstones++;
    else if (strcmp(record->flags, "partition") == 0)
        seen->partitions++;
    else if (strcmp(record->flags, "-") != 0)
        seen->flagged++;
    return true;
}

static struct seen look_at(bitcask_partition *partition, uint32_t segment_id)
{
    struct seen seen = {0};

    bc_segment_name(segment_id, seen.file);
    EXPECT(BITCASK_OK, bitcask_dump(partition, see, &seen));
    CU_ASSERT(seen.bad == 0 && seen.disorder == 0 && seen.flagged == 0);
    return seen;
}

static void output_is_sorted_by_key_without_marks_and_batches(void)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    struct book book;

    book_open(&book, 400, 40);
    open_store(fixture_path("sorted"), 65536);
    for (int round = 0; round < 3; round++) {
        EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, 400));
        for (size_t key = 0; key < 400; key += 7) { /* with marks between them */
            EXPECT(BITCASK_OK, book_put(&book, root, key));
            EXPECT(BITCASK_OK, bitcask_partition_sync(root));
        }
    }
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    CU_ASSERT_EQUAL_FATAL(merging_segments(root, list), 2);
    struct seen seen = look_at(root, list[0].segment_id);
    CU_ASSERT(seen.records == 400 && seen.tombstones == 0);
    CU_ASSERT(list[0].lowest_id == 1 && list[0].live_keys == 400);
    CU_ASSERT(list[0].hint_bytes > 0 && list[0].tombstone_bytes == 0);
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    book_close(&book);
}

#define KINDS 12

/* Attributes of kind i: each alone, all together, none. */
static bitcask_attrs attrs_of(int i, const char *xattrs)
{
    return (bitcask_attrs){
        .present = i < 10    ? 1u << i
                   : i == 10 ? (uint32_t)BITCASK_ATTR_ALL
                             : 0,
        .mode = 0120777,
        .uid = 1000,
        .gid = 100,
        .rdev = 0x801,
        .mtime_ns = 1111111111000000001,
        .ctime_ns = 1234567890123456789,
        .atime_ns = -5,
        .expiry_ns = 4000000000000000000,
        .ino = 0x8000000000000123u,
        .xattrs = xattrs,
        .xattrs_size = strlen(xattrs),
    };
}

struct kept {
    bitcask_entry entry;
    bitcask_location location;
    char xattrs[64];
    size_t xattrs_size;
};

static void remember(int i, struct kept *kept)
{
    bitcask_value *value = NULL;
    char name[16];
    size_t size = (size_t)snprintf(name, sizeof name, "kind%02d", i);

    EXPECT(BITCASK_OK, bitcask_get(root, name, size, &value));
    bitcask_value_entry(value, &kept->entry);
    kept->xattrs_size = kept->entry.attrs.xattrs_size;
    if (kept->xattrs_size > 0) memcpy(kept->xattrs, kept->entry.attrs.xattrs, kept->xattrs_size);
    kept->entry.attrs.xattrs = NULL;
    bitcask_value_unpin(&value);
    EXPECT(BITCASK_OK, bitcask_locate(root, name, size, &kept->location));
}

static void check_kept(const struct kept before[KINDS], const char *file)
{
    for (int i = 0; i < KINDS; i++) {
        struct kept now = {0};
        const bitcask_attrs *a = &before[i].entry.attrs, *b = &now.entry.attrs;

        remember(i, &now);
        CU_ASSERT_EQUAL(now.entry.version, before[i].entry.version);
        CU_ASSERT(a->present == b->present && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid);
        CU_ASSERT(a->rdev == b->rdev && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns);
        CU_ASSERT(a->atime_ns == b->atime_ns && a->expiry_ns == b->expiry_ns && a->ino == b->ino);
        CU_ASSERT(now.xattrs_size == before[i].xattrs_size && memcmp(now.xattrs, before[i].xattrs, 64) == 0);
        CU_ASSERT_EQUAL(now.location.value_crc, before[i].location.value_crc);
        CU_ASSERT_EQUAL(now.location.record_bytes, before[i].location.record_bytes);
        CU_ASSERT_STRING_EQUAL(now.location.file, file);
    }
}

static void versions_and_attributes_of_all_kinds_are_kept(void)
{
    const char *path = fixture_path("attrs");
    static struct kept kept[KINDS];
    bitcask_value *value = NULL;
    char name[16], text[64];

    memset(kept, 0, sizeof kept);
    open_store(path, 65536);
    EXPECT(BITCASK_OK, put_text(root, "old", "1", 0));
    for (int i = 0; i < KINDS; i++) {
        size_t size = (size_t)snprintf(name, sizeof name, "kind%02d", i);
        bitcask_attrs attrs = attrs_of(i, "the xattrs, opaque");
        bitcask_write_options options = {.attrs = &attrs};

        if (i == 6) EXPECT(BITCASK_OK, merging_rotate(root));
        snprintf(text, sizeof text, "value of kind %d", i);
        EXPECT(BITCASK_OK, bitcask_put(root, name, size, text, strlen(text), &options, NULL));
    }
    EXPECT(BITCASK_OK, delete_text(root, "old", 0));
    for (int i = 0; i < KINDS; i++) remember(i, &kept[i]);
    CU_ASSERT(kept[9].xattrs_size == 18 && kept[10].xattrs_size == 18);
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    check_kept(kept, "000002.data");
    reopen(path, 65536); /* cold */
    check_kept(kept, "000002.data");
    EXPECT(BITCASK_OK, put_text(root, "new", "1", 0)); /* warm */
    check_kept(kept, "000002.data");
    close_store();
    merging_each_file(path, 0, ".hint", remove_file, NULL);
    open_store(path, 65536);
    check_kept(kept, "000002.data");
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    check_kept(kept, "000003.data");
    EXPECT(BITCASK_NOT_FOUND, bitcask_get(root, "old", 3, &value));
    close_store();
}

static void partitions_survive_with_what_is_in_them(void)
{
    const char *path = fixture_path("partitions");
    bitcask_partition *sub = NULL, *below = NULL;
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    uint64_t id = 0;
    char name[16];

    open_store(path, 65536);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "p%02d", i);
        EXPECT(BITCASK_OK, bitcask_partition_create(root, name, 3, NULL, 0, &sub));
        EXPECT(BITCASK_OK, put_text(sub, "k", name, 0));
        if (i == 7) EXPECT(BITCASK_OK, bitcask_partition_create(sub, "below", 5, NULL, 0, &below));
        if (i == 7) id = bitcask_partition_id(sub);
        bitcask_partition_close(&sub);
        if (i % 6 == 5) EXPECT(BITCASK_OK, merging_rotate(root));
    }
    EXPECT(BITCASK_OK, put_text(below, "deep", "v", 0));
    bitcask_partition_close(&below);
    for (int i = 0; i < 20; i += 3) {
        snprintf(name, sizeof name, "p%02d", i);
        EXPECT(BITCASK_OK, bitcask_partition_open(db, name, &sub));
        EXPECT(BITCASK_OK, delete_text(sub, "k", 0));
        bitcask_partition_close(&sub);
        EXPECT(BITCASK_OK, bitcask_partition_drop(root, name, 3, 0));
    }
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    CU_ASSERT_EQUAL_FATAL(merging_segments(root, list), 2);
    struct seen seen = look_at(root, list[0].segment_id);
    CU_ASSERT(seen.partitions == 13 && seen.tombstones == 0);
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < 20; i++) {
            snprintf(name, sizeof name, "p%02d", i);
            EXPECT(i % 3 == 0 ? BITCASK_NOT_FOUND : BITCASK_OK, bitcask_partition_open(db, name, &sub));
            if (sub) CU_ASSERT_STRING_EQUAL(get_text(sub, "k"), name);
            if (sub && i == 7) CU_ASSERT_EQUAL(bitcask_partition_id(sub), id);
            bitcask_partition_close(&sub);
        }
        EXPECT(BITCASK_OK, bitcask_partition_open(db, "p07/below", &sub));
        CU_ASSERT_STRING_EQUAL(get_text(sub, "deep"), "v");
        bitcask_partition_close(&sub);
        close_store();
        if (way == 1) merging_each_file(path, 0, ".hint", remove_file, NULL);
        open_store(path, 65536);
    }
    close_store();
}

/* ---- tombstones ---- */

static void tombstone_stays_while_an_older_segment_holds_the_key(void)
{
    const char *path = fixture_path("needed");

    open_store(path, 65536);
    EXPECT(BITCASK_OK, put_text(root, "gone", "v", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_text(root, "other", "v", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, delete_text(root, "gone", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, merging_run(root, 2, 3, NULL, NULL));
    struct seen seen = look_at(root, 3);
    CU_ASSERT(seen.records == 2 && seen.tombstones == 1);
    for (int way = 0; way < 2; way++) {
        reopen(path, 65536);
        CU_ASSERT_STRING_EQUAL(get_text(root, "gone"), "-");
        CU_ASSERT_STRING_EQUAL(get_text(root, "other"), "v");
        if (way == 0) EXPECT(BITCASK_OK, merging_run(root, 1, 3, NULL, NULL)); /* now it can go */
    }
    seen = look_at(root, 3);
    CU_ASSERT(seen.records == 1 && seen.tombstones == 0);
    close_store();
}

static void tombstone_goes_when_no_older_segment_holds_the_key(void)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    const char *path = fixture_path("needless");

    open_store(path, 65536);
    EXPECT(BITCASK_OK, put_text(root, "other", "v", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_text(root, "gone", "v", 0));
    EXPECT(BITCASK_OK, put_text(root, "stays", "v", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, delete_text(root, "gone", 0));
    EXPECT(BITCASK_OK, put_text(root, "last", "v", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    CU_ASSERT_EQUAL(merging_segments(root, list), 4);
    CU_ASSERT_EQUAL(list[2].tombstone_bytes, 26 + 4);
    EXPECT(BITCASK_OK, merging_run(root, 2, 3, NULL, NULL));
    struct seen seen = look_at(root, 3);
    CU_ASSERT(seen.records == 2 && seen.tombstones == 0);
    reopen(path, 65536);
    CU_ASSERT_STRING_EQUAL(get_text(root, "gone"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "stays"), "v");
    CU_ASSERT_STRING_EQUAL(get_text(root, "other"), "v");
    close_store();
}

/* Without a hint there is no filter to ask, and so the tombstone stays, though nothing older holds the key. */
static void tombstone_stays_where_an_older_segment_cannot_be_asked(void)
{
    const char *path = fixture_path("unasked");

    open_store(path, 65536);
    EXPECT(BITCASK_OK, put_text(root, "other", "v", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_text(root, "gone", "v", 0));
    EXPECT(BITCASK_OK, delete_text(root, "gone", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    fixture_remove(merging_hint_file(path, 0, 1));
    EXPECT(BITCASK_OK, merging_run(root, 2, 2, NULL, NULL));
    CU_ASSERT_EQUAL(look_at(root, 2).tombstones, 1);
    CU_ASSERT_STRING_EQUAL(get_text(root, "gone"), "-");
    close_store();
}

static void tombstone_goes_when_the_key_was_put_again(void)
{
    const char *path = fixture_path("again-put");

    open_store(path, 65536);
    EXPECT(BITCASK_OK, put_text(root, "back", "1", 0));
    EXPECT(BITCASK_OK, put_text(root, "side", "1", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_text(root, "other", "1", 0));
    EXPECT(BITCASK_OK, delete_text(root, "back", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_text(root, "back", "2", 0));
    EXPECT(BITCASK_OK, merging_run(root, 2, 2, NULL, NULL));
    struct seen seen = look_at(root, 2);
    CU_ASSERT(seen.records == 1 && seen.tombstones == 0);
    reopen(path, 65536);
    CU_ASSERT_STRING_EQUAL(get_text(root, "back"), "2");
    EXPECT(BITCASK_OK, delete_text(root, "back", 0)); /* and once more, with a tombstone in the active segment */
    EXPECT(BITCASK_OK, merging_run(root, 1, 2, NULL, NULL));
    reopen(path, 65536);
    CU_ASSERT_STRING_EQUAL(get_text(root, "back"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "side"), "1");
    close_store();
}

/* ---- an output with nothing in it ---- */

static void output_that_would_be_empty_goes_with_all_it_covers(void)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    const char *path = fixture_path("empty");
    bitcask_merge_result result = {0};
    unsigned files = 0;

    open_store(path, 65536);
    EXPECT(BITCASK_OK, put_text(root, "a", "1", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_text(root, "b", "1", 0));
    EXPECT(BITCASK_OK, delete_text(root, "a", 0));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_text(root, "b", "2", 0));
    EXPECT(BITCASK_OK, merging_run(root, 1, 2, NULL, &result));
    CU_ASSERT(result.segments_in == 2 && result.segments_out == 0 && result.bytes_out == 0);
    CU_ASSERT_EQUAL(merging_segments(root, list), 1);
    CU_ASSERT(list[0].active && list[0].segment_id == 3);
    merging_bytes(path, 0, ".data", &files);
    CU_ASSERT_EQUAL(files, 1);
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "2");
    uint64_t version = 0;
    EXPECT(BITCASK_OK, bitcask_put(root, "c", 1, "1", 1, NULL, &version));
    reopen(path, 65536);
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "2");
    EXPECT(BITCASK_OK, merging_rotate(root));
    CU_ASSERT_EQUAL(merging_segments(root, list), 2);
    CU_ASSERT_EQUAL(list[1].segment_id, 4); /* ids only grow */
    EXPECT(BITCASK_OK, delete_text(root, "b", 0));
    EXPECT(BITCASK_OK, delete_text(root, "c", 0));
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, &result));
    CU_ASSERT_EQUAL(merging_segments(root, list), 1);
    merging_bytes(path, 0, "", &files);
    CU_ASSERT_EQUAL(files, 1);
    reopen(path, 65536);
    EXPECT(BITCASK_OK, bitcask_put(root, "c", 1, "1", 1, NULL, &version));
    close_store();
}

/* The last file there is knows the last version, and how far ids got. */
static void empty_output_stays_where_there_is_no_active_segment(void)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    const char *path = fixture_path("empty-last");
    struct bc_partition *instance;
    bitcask_stats stats;

    open_store(path, 65536);
    EXPECT(BITCASK_OK, put_text(root, "a", "1", 0));
    EXPECT(BITCASK_OK, delete_text(root, "a", 0));
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    uint64_t last_version = instance->last_version;
    bc_node_unpin(root);
    EXPECT(BITCASK_OK, merging_rotate(root));
    close_store();
    fixture_remove(fixture_partition_file(path, 0, "active.data")); /* as a crash in the rotation leaves it */
    open_store(path, 65536);
    EXPECT(BITCASK_OK, merging_run(root, 1, 1, NULL, NULL));
    CU_ASSERT_EQUAL(merging_segments(root, list), 1);
    CU_ASSERT(list[0].segment_id == 1 && !list[0].active && list[0].live_keys == 0);
    reopen(path, 65536);
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    CU_ASSERT_EQUAL(instance->last_version, last_version);
    CU_ASSERT_EQUAL(instance->next_segment_id, 2);
    bc_node_unpin(root);
    EXPECT(BITCASK_OK, put_text(root, "b", "1", 0));
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT_EQUAL(stats.live_keys, 1);
    close_store();
}

/* ---- those who look at it meanwhile ---- */

static void pinned_value_of_a_replaced_segment_stays_readable(void)
{
    bitcask_value *kept = NULL, *overwritten = NULL, *deleted = NULL;

    open_store(fixture_path("pinned"), 65536);
    EXPECT(BITCASK_OK, put_text(root, "kept", "kept value", 0));
    EXPECT(BITCASK_OK, put_text(root, "over", "old value", 0));
    EXPECT(BITCASK_OK, put_text(root, "gone", "gone value", 0));
    EXPECT(BITCASK_OK, bitcask_pin(root, "kept", 4, &kept));
    EXPECT(BITCASK_OK, bitcask_pin(root, "over", 4, &overwritten));
    EXPECT(BITCASK_OK, bitcask_pin(root, "gone", 4, &deleted));
    EXPECT(BITCASK_OK, put_text(root, "over", "new value", 0));
    EXPECT(BITCASK_OK, delete_text(root, "gone", 0));
    for (int i = 0; i < 3; i++) EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    struct {
        bitcask_value **value;
        const char *text;
    } values[] = {{&kept, "kept value"}, {&overwritten, "old value"}, {&deleted, "gone value"}};
    for (size_t i = 0; i < 3; i++) {
        EXPECT(BITCASK_OK, bitcask_value_load(*values[i].value));
        CU_ASSERT_EQUAL(bitcask_value_size(*values[i].value), strlen(values[i].text));
        CU_ASSERT(memcmp(bitcask_value_data(*values[i].value), values[i].text, strlen(values[i].text)) == 0);
        bitcask_value_unpin(values[i].value);
    }
    CU_ASSERT_STRING_EQUAL(get_text(root, "kept"), "kept value");
    CU_ASSERT_STRING_EQUAL(get_text(root, "over"), "new value");
    close_store();
}

struct meddler {
    struct book *book;
    unsigned calls;
};

/* Changes keys that the merge has decided upon already, and others. */
static bool meddle(void *context, uint64_t bytes)
{
    struct meddler *meddler = context;

    (void)bytes;
    for (size_t key = meddler->calls++; key < meddler->book->keys; key += 7) {
        EXPECT(BITCASK_OK, key % 2 ? book_put(meddler->book, root, key) : book_delete(meddler->book, root, key));
    }
    if (meddler->calls == 2) EXPECT(BITCASK_OK, merging_rotate(root));
    return true;
}

static void what_is_written_during_a_merge_stays(void)
{
    const char *path = fixture_path("meddled");
    struct book book;

    book_open(&book, 2500, 100);
    open_store(path, 1024 * 1024);
    EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, 2500));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, 1000));
    EXPECT(BITCASK_OK, merging_rotate(root));
    struct meddler meddler = {&book, 0};
    const struct bc_merge_hooks hooks = {meddle, &meddler};
    EXPECT(BITCASK_OK, merging_run(root, 1, 2, &hooks, NULL));
    CU_ASSERT(meddler.calls >= 2);
    CU_ASSERT(book_agrees(&book, root));
    CU_ASSERT(merging_accounts_agree(root));
    reopen(path, 1024 * 1024);
    CU_ASSERT(book_agrees(&book, root));
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    reopen(path, 1024 * 1024);
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    book_close(&book);
}

static void query_goes_on_over_a_merge(void)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    struct book book;
    char last[64] = "";
    unsigned listed = 0;

    book_open(&book, 1000, 100);
    open_store(fixture_path("query"), 65536);
    for (int round = 0; round < 3; round++) EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, 1000));
    EXPECT(BITCASK_OK, bitcask_query_open(root, NULL, &query));
    while (bitcask_query_next(query, &entry) == BITCASK_OK) {
        char name[64];

        snprintf(name, sizeof name, "%.*s", (int)entry.key_size, (const char *)entry.key);
        CU_ASSERT(strcmp(name, last) > 0);
        memcpy(last, name, sizeof last);
        if (++listed % 200 == 100) EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
        if (listed % 200 == 150) EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, 500));
        CU_ASSERT(entry.value_size >= 100 && entry.value_size < 108);
    }
    bitcask_query_close(&query);
    CU_ASSERT_EQUAL(listed, 1000);
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    book_close(&book);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"output is sorted by key, without marks and batches", output_is_sorted_by_key_without_marks_and_batches},
        {"versions and attributes of all kinds are kept", versions_and_attributes_of_all_kinds_are_kept},
        {"partitions survive with what is in them", partitions_survive_with_what_is_in_them},
        {"tombstone stays while an older segment holds the key", tombstone_stays_while_an_older_segment_holds_the_key},
        {"tombstone goes when no older segment holds the key", tombstone_goes_when_no_older_segment_holds_the_key},
        {"tombstone stays where an older segment cannot be asked",
         tombstone_stays_where_an_older_segment_cannot_be_asked},
        {"tombstone goes when the key was put again", tombstone_goes_when_the_key_was_put_again},
        {"output that would be empty goes, with all it covers", output_that_would_be_empty_goes_with_all_it_covers},
        {"empty output stays where there is no active segment", empty_output_stays_where_there_is_no_active_segment},
        {"pinned value of a replaced segment stays readable", pinned_value_of_a_replaced_segment_stays_readable},
        {"what is written during a merge stays", what_is_written_during_a_merge_stays},
        {"query goes on over a merge", query_goes_on_over_a_merge},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("merge", tests);
}
