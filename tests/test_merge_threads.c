/* test_merge_threads.c - merges without pause under readers, a writer, a query and those who ask for numbers.
 *
 * The writer publishes, for each key, the count that it has acknowledged; who reads must find that or a later one, and
 * a key that is never deleted must always be there, whatever becomes of its segment.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "merging.h"

#define KEYS 300u
#define READERS 3u
#define VALUE 200u

struct scene {
    bitcask *db;
    bitcask_partition *partition;
    _Atomic uint64_t acknowledged[KEYS]; /* odd: deleted, which happens to every third key only */
    atomic_bool stop;
    atomic_uint failures;
    _Atomic uint64_t reads, writes, merges, queries, rotations;
};

static void failed(struct scene *scene, const char *what, unsigned key, uint64_t wanted, bitcask_status status)
{
    if (atomic_fetch_add(&scene->failures, 1) < 5)
        fprintf(stderr, "key %u, from count %llu: %s (%s; %s)\n", key, (unsigned long long)wanted, what,
                bitcask_status_text(status), bitcask_error_detail());
    atomic_store(&scene->stop, true);
}

static bool is_deleted_at_times(unsigned key)
{
    return key % 3 == 0;
}

static void write_one(struct scene *scene, const struct book *shape, uint64_t *rng)
{
    unsigned key = (unsigned)fixture_below(rng, KEYS);
    uint64_t count = atomic_load(&scene->acknowledged[key]);
    char name[20], value[VALUE + 64];
    size_t name_size = book_key(key, name);
    bitcask_status status;

    if (is_deleted_at_times(key) && count % 2 == 0 && count > 0 && fixture_below(rng, 2)) {
        count++;
        status = bitcask_delete(scene->partition, name, name_size, NULL);
    } else {
        count = (count / 2 + 1) * 2;
        status =
            bitcask_put(scene->partition, name, name_size, value, book_value(shape, key, count, value), NULL, NULL);
    }
    if (status != BITCASK_OK) failed(scene, "cannot be written", key, count, status);
    atomic_store(&scene->acknowledged[key], count);
    atomic_fetch_add(&scene->writes, 1);
}

static void *writer_main(void *argument)
{
    const struct book shape = {.value_size = VALUE};
    struct scene *scene = argument;
    uint64_t rng = 7;

    for (unsigned i = 0; !atomic_load(&scene->stop); i++) {
        write_one(scene, &shape, &rng);
        if (i % 256 == 0) nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return NULL;
}

/* The count in a value: it must be a whole one, of this key. 0: it is not. */
static uint64_t count_in(const struct book *shape, unsigned key, bitcask_value *value)
{
    char head[40] = "", expected[VALUE + 64];
    unsigned long long count = 0;
    unsigned got_key = 0;
    size_t size = (size_t)bitcask_value_size(value);

    memcpy(head, bitcask_value_data(value), size < 39 ? size : 39);
    if (sscanf(head, "%u:%llu:", &got_key, &count) != 2 || got_key != key) return 0;
    if (book_value(shape, key, count, expected) != size) return 0;
    return memcmp(expected, bitcask_value_data(value), size) == 0 ? count : 0;
}

static void read_one(struct scene *scene, const struct book *shape, unsigned key, uint64_t *seen)
{
    uint64_t before = atomic_load(&scene->acknowledged[key]), after, got;
    char name[20];
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_get(scene->partition, name, book_key(key, name), &value);

    atomic_fetch_add(&scene->reads, 1);
    if (status == BITCASK_NOT_FOUND) {
        /* Deleted since, or, at the time, acknowledged as deleted; else there must have been a later change. */
        after = atomic_load(&scene->acknowledged[key]);
        if (!is_deleted_at_times(key) || (before % 2 == 0 && after == before)) {
            /* The deletion may be done and not acknowledged yet. */
            for (int i = 0; i < 10000 && after == before && is_deleted_at_times(key); i++) {
                nanosleep(&(struct timespec){0, 1000000}, NULL);
                after = atomic_load(&scene->acknowledged[key]);
                if (atomic_load(&scene->stop)) return;
            }
            if (after == before || !is_deleted_at_times(key)) failed(scene, "is missing", key, before, status);
        }
        return;
    }
    if (status != BITCASK_OK) {
        failed(scene, "cannot be read", key, before, status);
        return;
    }
    got = count_in(shape, key, value);
    if (got == 0)
        failed(scene, "has a value that was never put", key, before, status);
    else if (got < before || got < *seen)
        failed(scene, "has a stale value", key, before, status);
    *seen = got;
    bitcask_value_unpin(&value);
}

static void *reader_main(void *argument)
{
    const struct book shape = {.value_size = VALUE};
    struct scene *scene = argument;
    uint64_t rng = (uint64_t)(uintptr_t)&rng, seen[KEYS] = {0};

    while (!atomic_load(&scene->stop)) {
        unsigned key = (unsigned)fixture_below(&rng, KEYS);
        read_one(scene, &shape, key, &seen[key]);
    }
    return NULL;
}

/* Lists all again and again: the keys that are never deleted are in every list. Asks for numbers besides. */
static void *lister_main(void *argument)
{
    struct scene *scene = argument;

    while (!atomic_load(&scene->stop)) {
        bitcask_query *query = NULL;
        bitcask_stats stats;
        bitcask_entry entry;
        char name[20];
        unsigned steady = 0;
        bool at_times[KEYS] = {false};
        bitcask_status status = bitcask_query_open(scene->partition, NULL, &query);

        while (status == BITCASK_OK && (status = bitcask_query_next(query, &entry)) == BITCASK_OK) {
            for (unsigned key = 0; key < KEYS; key++) {
                if (entry.key_size != book_key(key, name) || memcmp(entry.key, name, entry.key_size) != 0) continue;
                if (at_times[key]) failed(scene, "is listed twice", key, 0, status);
                at_times[key] = true;
                steady += !is_deleted_at_times(key);
            }
        }
        if (status != BITCASK_NOT_FOUND || steady != KEYS - KEYS / 3)
            failed(scene, "list without keys that are there", steady, 0, status);
        bitcask_query_close(&query);
        status = bitcask_get_stats(scene->db, &stats);
        if (status == BITCASK_OK) status = bitcask_partition_stats(scene->partition, &stats);
        if (status != BITCASK_OK || stats.live_keys < KEYS - KEYS / 3 || stats.live_keys > KEYS)
            failed(scene, "wrong number of keys", (unsigned)stats.live_keys, 0, status);
        atomic_fetch_add(&scene->queries, 1);
    }
    return NULL;
}

static bool go_on(void *context, uint64_t bytes)
{
    struct scene *scene = context;

    (void)bytes;
    return !atomic_load(&scene->stop);
}

static void *merger_main(void *argument)
{
    struct scene *scene = argument;
    const struct bc_merge_hooks hooks = {go_on, scene};
    uint64_t rng = 3;

    while (!atomic_load(&scene->stop)) {
        bitcask_merge_result result = {0};
        enum bc_merge_kind kind = fixture_below(&rng, 3) ? BC_MERGE_FULL : BC_MERGE_WORTH;
        bitcask_status status;

        status = merging_all(scene->partition, kind, &hooks, &result);
        if (status != BITCASK_OK && status != BITCASK_CANCELLED) failed(scene, "merge", 0, 0, status);
        atomic_fetch_add(&scene->merges, result.merges);
    }
    return NULL;
}

/* Rotations that are none of the merger's, and, with the policy interval, the store's own thread making hints. */
static void *rotator_main(void *argument)
{
    struct scene *scene = argument;

    while (!atomic_load(&scene->stop)) {
        bitcask_status status = merging_rotate(scene->partition);
        if (status != BITCASK_OK) failed(scene, "rotation", 0, 0, status);
        atomic_fetch_add(&scene->rotations, 1);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    return NULL;
}

static void open_scene(struct scene *scene, const char *path, bitcask_sync_policy sync)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = sync;
    options.sync_interval_ms = 20;
    options.segment_size = 65536;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &scene->db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(scene->db);
    EXPECT(BITCASK_OK, bitcask_partition_open(scene->db, "", &scene->partition));
}

static void close_scene(struct scene *scene)
{
    bitcask_partition_close(&scene->partition);
    EXPECT(BITCASK_OK, bitcask_close(&scene->db));
}

static void check_final(struct scene *scene)
{
    struct book book;

    book_open(&book, KEYS, VALUE);
    for (unsigned key = 0; key < KEYS; key++) book.counts[key] = atomic_load(&scene->acknowledged[key]);
    CU_ASSERT(book_agrees(&book, scene->partition));
    CU_ASSERT(merging_accounts_agree(scene->partition));
    book_close(&book);
}

static void run_scene(const char *path, bitcask_sync_policy sync)
{
    static void *(*const roles[])(void *) = {writer_main, merger_main, rotator_main, lister_main,
                                             reader_main, reader_main, reader_main};
    static struct scene scene;
    pthread_t threads[sizeof roles / sizeof *roles];
    struct timespec second = {0, 100000000};
    uint64_t rounds = fixture_number("LONG", 0) ? 300 : 15;
    const struct book shape = {.value_size = VALUE};
    char name[20], value[VALUE + 64];

    memset(&scene, 0, sizeof scene);
    open_scene(&scene, path, sync);
    for (unsigned key = 0; key < KEYS; key++) {
        EXPECT(BITCASK_OK, bitcask_put(scene.partition, name, book_key(key, name), value,
                                       book_value(&shape, key, 2, value), NULL, NULL));
        atomic_store(&scene.acknowledged[key], 2);
    }
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (pthread_create(&threads[i], NULL, roles[i], &scene) != 0) exit(99);
    /* So long, and until everybody had a turn. */
    for (uint64_t i = 0; !atomic_load(&scene.stop) && i < 6000; i++) {
        nanosleep(&second, NULL);
        if (i >= rounds && scene.reads > 1000 && scene.writes > 1000 && scene.merges > 5 && scene.queries > 5) break;
    }
    atomic_store(&scene.stop, true);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&scene.failures), 0);
    CU_ASSERT(scene.merges > 5 && scene.reads > 1000 && scene.writes > 1000 && scene.queries > 5);
    check_final(&scene);
    close_scene(&scene);
    open_scene(&scene, path, sync);
    check_final(&scene);
    close_scene(&scene);
}

static void nothing_is_missed_or_stale_while_merges_go_on(void)
{
    run_scene(fixture_path("os"), BITCASK_SYNC_OS);
}

static void nothing_is_missed_or_stale_while_hints_are_made_too(void)
{
    run_scene(fixture_path("interval"), BITCASK_SYNC_INTERVAL);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"nothing is missed or stale while merges go on", nothing_is_missed_or_stale_while_merges_go_on},
        {"nothing is missed or stale while hints are made too", nothing_is_missed_or_stale_while_hints_are_made_too},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("merge threads", tests);
}
