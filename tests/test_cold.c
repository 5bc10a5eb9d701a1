/* test_cold.c - a partition that is open without an index: what it answers, at what price, and how it becomes warm.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io_count.h"
#include "merging.h"

#define SEGMENTS 50u
#define SEGMENT_SIZE 65536u

static struct io_count count;
static bitcask *db;
static bitcask_partition *root;

static void open_store(const char *path, bool read_only)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = !read_only;
    options.read_only = read_only;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = SEGMENT_SIZE;
    io_count_init(&count, bc_io_posix());
    EXPECT(BITCASK_OK, bc_db_open(&count.io, path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static void close_store(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

static bool is_cold(bitcask_partition *partition)
{
    struct bc_partition *instance;
    bool cold;

    EXPECT(BITCASK_OK, bc_node_pin_reading(partition, &instance));
    cold = atomic_load(&instance->cold);
    bc_node_unpin(partition);
    return cold;
}

/* More than SEGMENTS segments of keys, some overwritten and some deleted in later ones, and an active one; closed. */
static const char *make_store(const char *name, struct book *book, size_t value_size)
{
    const char *path = fixture_path("%s", name);
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    size_t a_segment = (SEGMENT_SIZE - 400) / (26 + 16 + value_size + 7);

    book_open(book, (SEGMENTS + 2) * a_segment, value_size);
    open_store(path, false);
    for (size_t key = 0; key < book->keys; key++) {
        EXPECT(BITCASK_OK, book_put(book, root, key));
        if (key > 1000 && key % 50 == 0) EXPECT(BITCASK_OK, book_delete(book, root, key - 1000));
        if (key > 1000 && key % 50 == 1) EXPECT(BITCASK_OK, book_put(book, root, key - 900));
    }
    CU_ASSERT(merging_segments(root, list) >= SEGMENTS);
    close_store();
    return path;
}

/* ---- the price ---- */

static void miss_touches_a_segment_in_one_of_a_hundred_cases_at_most(void)
{
    const char *path;
    struct book book;
    const unsigned misses = 10000;
    unsigned more_than_one = 0, touched = 0;
    uint64_t rng = fixture_number("SEED", 1);
    char name[64];

    path = make_store("misses", &book, 100);
    open_store(path, false);
    CU_ASSERT(is_cold(root));
    CU_ASSERT(count.bytes[IO_COUNT_DATA] < (SEGMENTS + 3) * 4300); /* headers, and the closing mark */
    io_count_reset(&count);
    for (unsigned i = 0; i < misses; i++) {
        bitcask_entry entry;
        uint64_t before = count.reads[IO_COUNT_HINT];
        size_t size = (size_t)snprintf(name, sizeof name, "none%016llx", (unsigned long long)fixture_random(&rng));

        EXPECT(BITCASK_NOT_FOUND, bitcask_stat(root, name, size, &entry));
        if (!is_cold(root)) break; /* it may get warm over so many that were not spared */
        more_than_one += count.reads[IO_COUNT_HINT] - before > 1;
        touched += count.reads[IO_COUNT_HINT] > before;
    }
    CU_ASSERT(more_than_one <= misses / 100);
    CU_ASSERT(touched > 0 && touched < misses / 5);
    CU_ASSERT_EQUAL(count.reads[IO_COUNT_DATA], 0);
    CU_ASSERT(is_cold(root));
    close_store();
    book_close(&book);
}

static void hit_costs_two_reads(void)
{
    struct book book;
    const char *path = make_store("hits", &book, 100);
    uint64_t rng = fixture_number("SEED", 2), hits = 0;

    open_store(path, false);
    CU_ASSERT(is_cold(root));
    io_count_reset(&count);
    for (unsigned i = 0; i < 500; i++) {
        char name[20];
        bitcask_value *value = NULL;
        size_t key = fixture_below(&rng, book.keys);
        uint64_t hints = count.reads[IO_COUNT_HINT], data = count.reads[IO_COUNT_DATA];

        if (book.counts[key] % 2) continue;
        EXPECT(BITCASK_OK, bitcask_get(root, name, book_key(key, name), &value));
        bitcask_value_unpin(&value);
        hits++;
        CU_ASSERT_EQUAL(count.reads[IO_COUNT_DATA] - data, 1);
        CU_ASSERT(count.reads[IO_COUNT_HINT] - hints >= 1);
    }
    CU_ASSERT(hits > 400);
    CU_ASSERT(count.reads[IO_COUNT_HINT] < hits * 115 / 100); /* a filter errs now and then */
    CU_ASSERT(count.bytes[IO_COUNT_HINT] < hits * 4096 * 115 / 100);
    CU_ASSERT(is_cold(root));
    close_store();
    book_close(&book);
}

/* ---- the same answers ---- */

static void check_each_key(const struct book *book, bool also_cold)
{
    unsigned cold = 0, wrong = 0;

    for (size_t key = 0; key < book->keys; key += 29) {
        wrong += !book_agrees_key(book, root, key);
        cold += is_cold(root);
    }
    for (size_t key = 100; key < book->keys; key += 50) wrong += !book_agrees_key(book, root, key); /* deleted ones */
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT(!also_cold || cold > book->keys / 40);
}

static void cold_answers_are_those_of_the_index(void)
{
    struct book book;
    const char *path = make_store("answers", &book, 60);

    for (int read_only = 0; read_only < 2; read_only++) {
        open_store(path, read_only);
        check_each_key(&book, true);
        CU_ASSERT(book_agrees(&book, root)); /* this asks for all of it, and makes it warm */
        CU_ASSERT_FALSE(is_cold(root));
        CU_ASSERT(merging_accounts_agree(root));
        close_store();
    }
    book_close(&book);
}

struct shown {
    bitcask_entry entry;
    char xattrs[32];
};

static void show(bitcask_partition *partition, const char *name, struct shown *shown)
{
    bitcask_value *value = NULL;

    *shown = (struct shown){0};
    if (bitcask_get(partition, name, strlen(name), &value) == BITCASK_OK) {
        bitcask_value_entry(value, &shown->entry);
        if (shown->entry.attrs.xattrs_size > 0)
            memcpy(shown->xattrs, shown->entry.attrs.xattrs, shown->entry.attrs.xattrs_size);
        bitcask_value_unpin(&value);
    }
    shown->entry.key = NULL;
    shown->entry.attrs.xattrs = NULL;
    bitcask_entry stat;
    if (bitcask_stat(partition, name, strlen(name), &stat) != BITCASK_OK) return;
    CU_ASSERT(shown->entry.version == 0 || stat.version == shown->entry.version);
    shown->entry = stat;
    shown->entry.key = NULL;
}

static void attributes_and_partitions_are_shown_without_an_index(void)
{
    static const char *const names[] = {"plain", "attrs", "xattrs", "sub", "gone", "dropped"};
    const char *path = fixture_path("shown");
    struct shown warm[6], cold;
    bitcask_partition *sub = NULL;
    bitcask_attrs attrs = {.present = BITCASK_ATTR_ALL & ~(uint32_t)BITCASK_ATTR_XATTRS,
                           .mode = 0100640,
                           .uid = 7,
                           .gid = 8,
                           .rdev = 9,
                           .mtime_ns = 10,
                           .ctime_ns = 11,
                           .atime_ns = 12,
                           .expiry_ns = 4000000000000000000,
                           .ino = 14};
    bitcask_attrs xattrs = {.present = BITCASK_ATTR_XATTRS, .xattrs = "some xattrs", .xattrs_size = 11};
    bitcask_write_options with_attrs = {.attrs = &attrs}, with_xattrs = {.attrs = &xattrs};

    open_store(path, false);
    EXPECT(BITCASK_OK, put_text(root, "gone", "v", 0));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "dropped", 7, NULL, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, &attrs, 0, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "in sub", "v", 0));
    EXPECT(BITCASK_OK, merging_rotate(sub));
    EXPECT(BITCASK_OK, bitcask_partition_create(sub, "below", 5, NULL, 0, NULL));
    EXPECT(BITCASK_OK, put_text(root, "plain", "v", 0));
    EXPECT(BITCASK_OK, bitcask_put(root, "attrs", 5, "value", 5, &with_attrs, NULL));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, bitcask_put(root, "xattrs", 6, "value", 5, &with_xattrs, NULL));
    EXPECT(BITCASK_OK, delete_text(root, "gone", 0));
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "dropped", 7, 0));
    for (int i = 0; i < 6; i++) show(root, names[i], &warm[i]);
    CU_ASSERT(warm[1].entry.attrs.uid == 7 && warm[3].entry.kind == BITCASK_PARTITION);
    CU_ASSERT(strcmp(warm[2].xattrs, "some xattrs") == 0 && warm[4].entry.version == 0 && warm[5].entry.version == 0);
    bitcask_partition_close(&sub);
    close_store();
    for (int read_only = 0; read_only < 2; read_only++) {
        open_store(path, read_only);
        for (int i = 0; i < 6; i++) {
            show(root, names[i], &cold);
            const bitcask_attrs *a = &warm[i].entry.attrs, *b = &cold.entry.attrs;
            CU_ASSERT(cold.entry.version == warm[i].entry.version && cold.entry.kind == warm[i].entry.kind);
            CU_ASSERT(cold.entry.value_size == warm[i].entry.value_size && cold.entry.ino == warm[i].entry.ino);
            CU_ASSERT_EQUAL(cold.entry.partition_id, warm[i].entry.partition_id);
            CU_ASSERT(a->present == b->present && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid);
            CU_ASSERT(a->rdev == b->rdev && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns);
            CU_ASSERT(a->atime_ns == b->atime_ns && a->expiry_ns == b->expiry_ns && a->ino == b->ino);
            CU_ASSERT_STRING_EQUAL(cold.xattrs, warm[i].xattrs);
        }
        EXPECT(BITCASK_NOT_FOUND, bitcask_partition_open(db, "dropped", &sub));
        EXPECT(BITCASK_NOT_PARTITION, bitcask_partition_open(db, "plain", &sub));
        EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub/below", &sub));
        bitcask_partition_close(&sub);
        EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
        CU_ASSERT_STRING_EQUAL(get_text(sub, "in sub"), "v");
        CU_ASSERT(is_cold(root) && is_cold(sub)); /* none of this took an index */
        bitcask_partition_close(&sub);
        close_store();
    }
}

/* ---- getting warm ---- */

static void many_reads_make_it_warm(void)
{
    struct book book;
    const char *path = make_store("many", &book, 100);
    size_t reads = 0;

    for (int read_only = 0; read_only < 2; read_only++) {
        open_store(path, read_only);
        for (reads = 0; is_cold(root) && reads < book.keys; reads++) CU_ASSERT(book_agrees_key(&book, root, reads));
        CU_ASSERT(reads > 1000 && reads < 1000 + book.keys / 10);
        CU_ASSERT(book_agrees(&book, root));
        CU_ASSERT(merging_accounts_agree(root));
        close_store();
    }
    book_close(&book);
}

static void write_makes_it_warm_and_numbers_are_right(void)
{
    struct book book;
    const char *path = make_store("write", &book, 100);
    bitcask_stats before, after;

    open_store(path, false);
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &before));
    close_store();
    for (int what = 0; what < 4; what++) {
        open_store(path, false);
        CU_ASSERT(is_cold(root));
        CU_ASSERT(book_agrees_key(&book, root, 5));
        if (what == 0) EXPECT(BITCASK_OK, put_text(root, "new", "v", 0));
        if (what == 1) EXPECT(BITCASK_OK, delete_text(root, "new", 0));
        if (what == 2) EXPECT(BITCASK_OK, book_put(&book, root, 5));
        if (what == 3) EXPECT(BITCASK_OK, bitcask_get_stats(db, &after));
        CU_ASSERT_FALSE(is_cold(root));
        CU_ASSERT(merging_accounts_agree(root));
        EXPECT(BITCASK_OK, bitcask_partition_stats(root, &after));
        CU_ASSERT_EQUAL(after.live_keys, before.live_keys + (what == 0));
        CU_ASSERT_EQUAL(after.segments, before.segments);
        CU_ASSERT(after.hint_bytes > 0);
        close_store();
    }
    open_store(path, true);
    CU_ASSERT(book_agrees_key(&book, root, 5)); /* what was put behind the hint of the active segment */
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    book_close(&book);
}

static void empty_active_segment_does_not_keep_it_from_being_cold(void)
{
    struct book book;
    const char *path = make_store("empty-active", &book, 200);

    open_store(path, false);
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    close_store();
    for (int read_only = 0; read_only < 2; read_only++) {
        open_store(path, read_only);
        CU_ASSERT(is_cold(root));
        check_each_key(&book, true);
        CU_ASSERT(book_agrees(&book, root));
        close_store();
    }
    open_store(path, false);
    EXPECT(BITCASK_OK, book_put(&book, root, 3));
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    book_close(&book);
}

/* ---- hints that go bad ---- */

static void hint_that_cannot_be_read_any_more_costs_time_only(void)
{
    struct book book;
    const char *path = make_store("unreadable", &book, 100);

    for (int read_only = 0; read_only < 2; read_only++) {
        open_store(path, read_only);
        CU_ASSERT(is_cold(root));
        atomic_store(&count.errors[IO_COUNT_HINT], EIO);
        CU_ASSERT(book_agrees_key(&book, root, 77));
        CU_ASSERT_FALSE(is_cold(root));
        CU_ASSERT(book_agrees(&book, root));
        CU_ASSERT(merging_accounts_agree(root));
        atomic_store(&count.errors[IO_COUNT_HINT], 0);
        close_store();
    }
    book_close(&book);
}

struct spoiling {
    int way;
    unsigned files;
};

/* Overwrites what a hint has of entries, or cuts it short, under who has it open. */
static void spoil_hint(const char *path, void *context)
{
    struct spoiling *spoiling = context;
    size_t size;
    uint8_t *bytes = fixture_read(path, &size);
    FILE *file = fopen(path, "r+b");

    if (!file) exit(99);
    spoiling->files++;
    if (spoiling->way == 0) {
        memset(bytes + 108, 0, size - 108);
        if (fwrite(bytes, 1, size, file) != size) exit(99);
    } else if (spoiling->way == 1) {
        for (size_t at = 108; at < size; at += 64) bytes[at] ^= 0x20;
        if (fwrite(bytes, 1, size, file) != size) exit(99);
    } else if (ftruncate(fileno(file), 120) != 0) {
        exit(99);
    }
    fclose(file);
    free(bytes);
}

static void hint_that_is_overwritten_under_us_costs_time_only(void)
{
    struct book book;
    const char *path = make_store("overwritten", &book, 100);

    for (int i = 0; i < 6; i++) {
        struct spoiling spoiling = {.way = i % 3};
        bitcask_stats stats;

        open_store(path, i >= 3);
        CU_ASSERT_EQUAL(is_cold(root), i < 4); /* a reader makes no new ones */
        merging_each_file(path, 0, ".hint", spoil_hint, &spoiling);
        CU_ASSERT(spoiling.files >= SEGMENTS);
        CU_ASSERT(book_agrees_key(&book, root, 78));
        CU_ASSERT(book_agrees_key(&book, root, 100));
        CU_ASSERT_FALSE(is_cold(root));
        CU_ASSERT(book_agrees(&book, root));
        EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
        CU_ASSERT_EQUAL(stats.damaged_regions, 0);
        CU_ASSERT(merging_accounts_agree(root));
        close_store();
    }
    open_store(path, false);
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    open_store(path, false);
    CU_ASSERT(is_cold(root)); /* made anew */
    close_store();
    book_close(&book);
}

/* ---- many at once ---- */

struct crowd {
    const struct book *book;
    atomic_bool stop;
    atomic_uint wrong;
    _Atomic uint64_t reads;
};

static void *read_on(void *argument)
{
    struct crowd *crowd = argument;
    uint64_t rng = (uint64_t)(uintptr_t)&rng;

    while (!atomic_load(&crowd->stop)) {
        size_t key = fixture_below(&rng, crowd->book->keys);
        if (!book_agrees_key(crowd->book, root, key)) atomic_fetch_add(&crowd->wrong, 1);
        atomic_fetch_add(&crowd->reads, 1);
    }
    return NULL;
}

static void wait_for_reads(const struct crowd *crowd, uint64_t reads)
{
    while (crowd->reads < reads || (reads > 50 && is_cold(root))) nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void readers_go_on_while_it_becomes_warm(void)
{
    struct book book;
    const char *path = make_store("crowd", &book, 100);

    for (int way = 0; way < 5; way++) {
        struct crowd crowd = {.book = &book};
        pthread_t threads[4];
        bitcask_stats stats;

        open_store(path, way == 4);
        for (int i = 0; i < 4; i++)
            if (pthread_create(&threads[i], NULL, read_on, &crowd) != 0) exit(99);
        wait_for_reads(&crowd, 50);
        if (way == 0) EXPECT(BITCASK_OK, put_text(root, "other", "v", 0));
        if (way == 1) EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
        if (way == 2) atomic_store(&count.errors[IO_COUNT_HINT], EIO);
        if (way >= 3) EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
        wait_for_reads(&crowd, crowd.reads + 50);
        atomic_store(&crowd.stop, true);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
        atomic_store(&count.errors[IO_COUNT_HINT], 0);
        CU_ASSERT_EQUAL(atomic_load(&crowd.wrong), 0);
        CU_ASSERT(merging_accounts_agree(root));
        close_store();
    }
    book_close(&book);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"miss touches a segment in one of a hundred cases at most",
         miss_touches_a_segment_in_one_of_a_hundred_cases_at_most},
        {"hit costs two reads", hit_costs_two_reads},
        {"cold answers are those of the index", cold_answers_are_those_of_the_index},
        {"attributes and partitions are shown without an index", attributes_and_partitions_are_shown_without_an_index},
        {"many reads make it warm", many_reads_make_it_warm},
        {"write makes it warm, and numbers are right", write_makes_it_warm_and_numbers_are_right},
        {"empty active segment does not keep it from being cold",
         empty_active_segment_does_not_keep_it_from_being_cold},
        {"hint that cannot be read any more costs time only", hint_that_cannot_be_read_any_more_costs_time_only},
        {"hint that is overwritten under us costs time only", hint_that_is_overwritten_under_us_costs_time_only},
        {"readers go on while it becomes warm", readers_go_on_while_it_becomes_warm},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("cold", tests);
}
