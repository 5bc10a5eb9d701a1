/* test_threads.c - several threads on one store: writers of different partitions, readers, a mover, one who makes and
 * drops partitions, one who syncs; with fewer instances open than partitions in use. Made to be run under TSan.
 *
 * Each value names its key and a count that only grows, so that a reader knows a wrong or a returning value when it
 * sees one. ROUNDS (default 2000) is how many writes each writer does. No check depends on who comes first.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define WRITERS 4u
#define READERS 3u
#define KEYS 20u
#define VALUE_MAX 200u

struct shared {
    bitcask *db;
    uint64_t rounds;
    atomic_uint writers_left;
    atomic_uint failures;
    _Atomic uint64_t written[WRITERS][KEYS]; /* the highest count whose put was acknowledged; odd ones are deletions */
};

struct thread {
    struct shared *shared;
    unsigned number;
    pthread_t id;
};

static void failed(struct shared *shared, const char *what, bitcask_status status)
{
    if (atomic_fetch_add(&shared->failures, 1) < 10)
        fprintf(stderr, "%s: %s (%s)\n", what, bitcask_status_text(status), bitcask_error_detail());
}

static bool good(struct shared *shared, const char *what, bitcask_status status)
{
    if (status == BITCASK_OK) return true;
    failed(shared, what, status);
    return false;
}

static size_t make_value(char *value, unsigned writer, unsigned key, uint64_t count)
{
    size_t size = (size_t)snprintf(value, VALUE_MAX, "w%u k%u c%llu ", writer, key, (unsigned long long)count);
    size_t whole = size + (size_t)(count % (VALUE_MAX - size));
    memset(value + size, 'a' + (int)(count % 26), whole - size);
    return whole;
}

static uint64_t count_in_value(struct shared *shared, const void *data, size_t size, unsigned writer, unsigned key)
{
    char head[64] = "", expected[VALUE_MAX];
    unsigned got_writer, got_key;
    unsigned long long count = 0;
    memcpy(head, data, size < 63 ? size : 63);
    if (sscanf(head, "w%u k%u c%llu ", &got_writer, &got_key, &count) != 3 || got_writer != writer || got_key != key ||
        make_value(expected, writer, key, count) != size || memcmp(expected, data, size) != 0)
        failed(shared, "a value is not one that was put under this key", BITCASK_CORRUPT);
    return count;
}

static void partition_name(unsigned writer, char name[16])
{
    snprintf(name, 16, "w%u", writer);
}

/* One count after the other for each key: even ones are puts, odd ones deletions of what the put before left. */
static bool write_one(struct shared *shared, bitcask_partition *partition, unsigned writer, unsigned key, uint64_t *rng)
{
    char name[16], value[VALUE_MAX];
    uint64_t count = atomic_load(&shared->written[writer][key]) + 1;
    size_t name_size = (size_t)snprintf(name, sizeof name, "k%u", key);
    bitcask_write_options options = {.flags = fixture_below(rng, 100) == 0 ? BITCASK_DURABLE : 0};
    bitcask_status status;
    if (count % 2 == 1 && (count == 1 || fixture_below(rng, 3))) count++;
    if (count % 2 == 1) {
        status = bitcask_delete(partition, name, name_size, &options);
    } else {
        size_t size = make_value(value, writer, key, count);
        status = bitcask_put(partition, name, name_size, value, size, &options, NULL);
    }
    if (!good(shared, count % 2 ? "delete" : "put", status)) return false;
    atomic_store(&shared->written[writer][key], count);
    return true;
}

static bool write_batch(struct shared *shared, bitcask_partition *partition, unsigned writer)
{
    char names[KEYS][16], values[KEYS][VALUE_MAX];
    uint64_t counts[KEYS];
    bitcask_batch *batch = NULL;
    bool fine = good(shared, "batch_open", bitcask_batch_open(partition, &batch));
    for (unsigned key = 0; fine && key < KEYS; key += 3) {
        size_t name_size = (size_t)snprintf(names[key], sizeof names[key], "k%u", key);
        counts[key] = (atomic_load(&shared->written[writer][key]) / 2 + 1) * 2;
        size_t size = make_value(values[key], writer, key, counts[key]);
        fine = good(shared, "batch_put", bitcask_batch_put(batch, names[key], name_size, values[key], size, NULL));
    }
    if (fine) fine = good(shared, "batch_commit", bitcask_batch_commit(batch, 0, 0, NULL));
    for (unsigned key = 0; fine && key < KEYS; key += 3) atomic_store(&shared->written[writer][key], counts[key]);
    bitcask_batch_close(&batch);
    return fine;
}

static void *writer_main(void *argument)
{
    struct thread *thread = argument;
    struct shared *shared = thread->shared;
    bitcask_partition *partition = NULL;
    uint64_t rng = thread->number;
    char path[16];
    partition_name(thread->number, path);
    bool fine = true;
    for (uint64_t i = 0; fine && i < shared->rounds; i++) {
        if (!partition) fine = good(shared, "open", bitcask_partition_open(shared->db, path, &partition));
        if (!fine) break;
        if (i % 50 == 7)
            fine = write_batch(shared, partition, thread->number);
        else
            fine = write_one(shared, partition, thread->number, (unsigned)fixture_below(&rng, KEYS), &rng);
        if (i % 100 == 99) bitcask_partition_close(&partition);
    }
    bitcask_partition_close(&partition);
    atomic_fetch_sub(&shared->writers_left, 1);
    return NULL;
}

/* A get must give no count lower than one acknowledged before it began, nor lower than one seen before. */
static void read_one(struct shared *shared, bitcask_partition *partition, unsigned writer, unsigned key, uint64_t *seen)
{
    char name[16];
    bitcask_value *value = NULL;
    uint64_t before = atomic_load(&shared->written[writer][key]);
    size_t name_size = (size_t)snprintf(name, sizeof name, "k%u", key);
    bitcask_status status = bitcask_get(partition, name, name_size, &value);
    if (status == BITCASK_NOT_FOUND) return;
    if (!good(shared, "get", status)) return;
    uint64_t count = count_in_value(shared, bitcask_value_data(value), (size_t)bitcask_value_size(value), writer, key);
    bitcask_value_unpin(&value);
    if (count < before || count < *seen) failed(shared, "an older value came back", BITCASK_CORRUPT);
    *seen = count;
}

/* A query gives names in strict order, each of a key that somebody writes. */
static void query_all(struct shared *shared, bitcask_partition *partition, bool reverse)
{
    bitcask_query_options options = {.reverse = reverse};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    char last[BITCASK_NAME_MAX + 1] = "";
    if (!good(shared, "query_open", bitcask_query_open(partition, &options, &query))) return;
    bitcask_status status;
    while ((status = bitcask_query_next(query, &entry)) == BITCASK_OK) {
        char name[BITCASK_NAME_MAX + 1] = "";
        memcpy(name, entry.key, entry.key_size);
        int order = strcmp(name, last);
        if (*last && (reverse ? order >= 0 : order <= 0)) failed(shared, "a query is out of order", BITCASK_CORRUPT);
        memcpy(last, name, sizeof last);
    }
    if (status != BITCASK_NOT_FOUND) failed(shared, "query_next", status);
    bitcask_query_close(&query);
}

static void *reader_main(void *argument)
{
    struct thread *thread = argument;
    struct shared *shared = thread->shared;
    uint64_t seen[WRITERS][KEYS] = {{0}};
    uint64_t rng = 1000 + thread->number;
    bool last_round = false;
    while (!last_round) {
        last_round = atomic_load(&shared->writers_left) == 0;
        unsigned writer = (unsigned)fixture_below(&rng, WRITERS);
        bitcask_partition *partition = NULL;
        char path[16];
        partition_name(writer, path);
        if (!good(shared, "open", bitcask_partition_open(shared->db, path, &partition))) return NULL;
        for (int i = 0; i < 30; i++) {
            unsigned key = (unsigned)fixture_below(&rng, KEYS);
            read_one(shared, partition, writer, key, &seen[writer][key]);
        }
        query_all(shared, partition, fixture_below(&rng, 2));
        bitcask_partition_close(&partition);
    }
    return NULL;
}

/* Moves one file to and fro between two partitions, beside the writers of both. */
static void *mover_main(void *argument)
{
    struct thread *thread = argument;
    struct shared *shared = thread->shared;
    bitcask_partition *sides[2] = {NULL, NULL};
    bool fine = good(shared, "open", bitcask_partition_open(shared->db, "w0", &sides[0])) &&
                good(shared, "open", bitcask_partition_open(shared->db, "w1", &sides[1])) &&
                good(shared, "put", put_text(sides[0], "moved", "payload", 0));
    for (unsigned i = 0; fine && (i < 20 || atomic_load(&shared->writers_left) > 0); i++) {
        bitcask_move_item item = {.from = sides[i % 2],
                                  .from_key = "moved",
                                  .from_key_size = 5,
                                  .to = sides[(i + 1) % 2],
                                  .to_key = "moved",
                                  .to_key_size = 5};
        fine = good(shared, "move", bitcask_move(shared->db, &item, 1, NULL));
    }
    bitcask_partition_close(&sides[0]);
    bitcask_partition_close(&sides[1]);
    return NULL;
}

static bitcask_status move_x(struct shared *shared, bitcask_partition *from, bitcask_partition *to)
{
    bitcask_move_item item = {
        .from = from, .from_key = "x", .from_key_size = 1, .to = to, .to_key = "x", .to_key_size = 1};
    return bitcask_move(shared->db, &item, 1, NULL);
}

static void *maker_main(void *argument)
{
    struct thread *thread = argument;
    struct shared *shared = thread->shared;
    bitcask_partition *root = NULL, *made = NULL, *other = NULL;
    bool fine = good(shared, "open", bitcask_partition_open(shared->db, "", &root)) &&
                good(shared, "open", bitcask_partition_open(shared->db, "w3", &other));
    for (unsigned i = 0; fine && (i < 10 || atomic_load(&shared->writers_left) > 0); i++) {
        char name[16], moved[20];
        size_t size = (size_t)snprintf(name, sizeof name, "t%u", i % 3);
        size_t moved_size = (size_t)snprintf(moved, sizeof moved, "m%u", i % 3);
        bitcask_move_item item = {.from = root,
                                  .from_key = name,
                                  .from_key_size = size,
                                  .to = root,
                                  .to_key = moved,
                                  .to_key_size = moved_size};
        fine = good(shared, "create", bitcask_partition_create(root, name, size, NULL, 0, &made)) &&
               good(shared, "put", put_text(made, "x", "y", 0)) &&
               /* There and back over another log: the drop below has intents to wait for. */
               good(shared, "move", move_x(shared, made, other)) && good(shared, "move", move_x(shared, other, made)) &&
               good(shared, "reserve", bitcask_reserve(made, 3000)) &&
               good(shared, "move", bitcask_move(shared->db, &item, 1, NULL)) &&
               good(shared, "delete", delete_text(made, "x", 0));
        if (made) bitcask_unreserve(made, 3000);
        fine = fine && good(shared, "drop", bitcask_partition_drop(root, moved, moved_size, 0));
        if (fine && put_text(made, "x", "z", 0) != BITCASK_NOT_FOUND)
            failed(shared, "put into a dropped partition", BITCASK_OK);
        bitcask_partition_close(&made);
    }
    bitcask_partition_close(&other);
    bitcask_partition_close(&root);
    return NULL;
}

static bool walk_on(void *context, const bitcask_metric *metric)
{
    (void)context;
    return metric->name != NULL;
}

static void *syncer_main(void *argument)
{
    struct thread *thread = argument;
    struct shared *shared = thread->shared;
    bitcask_partition *root = NULL;
    bitcask_stats stats;
    bitcask_health health;
    bool last_round = false;
    if (!good(shared, "open the root", bitcask_partition_open(shared->db, "", &root))) return NULL;
    while (!last_round) {
        last_round = atomic_load(&shared->writers_left) == 0;
        good(shared, "sync", bitcask_sync(shared->db));
        good(shared, "stats", bitcask_get_stats(shared->db, &stats));
        good(shared, "metrics", bitcask_metrics(root, BITCASK_BELOW, walk_on, NULL));
        good(shared, "health", bitcask_get_health(root, &health));
    }
    bitcask_partition_close(&root);
    return NULL;
}

static void check_end(struct shared *shared)
{
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        bitcask_partition *partition = NULL;
        char path[16], name[16], expected[VALUE_MAX];
        partition_name(writer, path);
        EXPECT(BITCASK_OK, bitcask_partition_open(shared->db, path, &partition));
        for (unsigned key = 0; partition && key < KEYS; key++) {
            bitcask_value *value = NULL;
            uint64_t count = atomic_load(&shared->written[writer][key]);
            size_t name_size = (size_t)snprintf(name, sizeof name, "k%u", key);
            bool absent = count == 0 || count % 2 == 1;
            EXPECT(absent ? BITCASK_NOT_FOUND : BITCASK_OK, bitcask_get(partition, name, name_size, &value));
            if (!value) continue;
            size_t size = make_value(expected, writer, key, count);
            CU_ASSERT(bitcask_value_size(value) == size && memcmp(bitcask_value_data(value), expected, size) == 0);
            bitcask_value_unpin(&value);
        }
        bitcask_partition_close(&partition);
    }
    bitcask_partition *first = NULL, *second = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(shared->db, "w0", &first));
    EXPECT(BITCASK_OK, bitcask_partition_open(shared->db, "w1", &second));
    bool in_first = strcmp(get_text(first, "moved"), "payload") == 0;
    CU_ASSERT_EQUAL(strcmp(get_text(second, "moved"), "payload") == 0, !in_first);
    bitcask_partition_close(&first);
    bitcask_partition_close(&second);
}

static void run_threads(bitcask_sync_policy sync, uint64_t rounds)
{
    static struct shared shared;
    static void *(*const others[])(void *) = {mover_main, maker_main, syncer_main};
    struct thread threads[WRITERS + READERS + 3];
    size_t count = 0;
    bitcask_options options;
    memset(&shared, 0, sizeof shared);
    bitcask_options_init(&options);
    options.create = true;
    options.sync = sync;
    options.sync_interval_ms = 5;
    options.segment_size = 65536;
    options.max_open = 4;
    const char *path = fixture_path("threads");
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &shared.db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(shared.db);
    bitcask_partition *root = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(shared.db, "", &root));
    for (unsigned i = 0; i < WRITERS; i++) {
        char name[16];
        partition_name(i, name);
        EXPECT(BITCASK_OK, bitcask_partition_create(root, name, strlen(name), NULL, 0, NULL));
    }
    bitcask_partition_close(&root);
    shared.rounds = rounds;
    atomic_store(&shared.writers_left, WRITERS);
    for (unsigned i = 0; i < WRITERS + READERS + 3; i++) {
        threads[i] = (struct thread){.shared = &shared, .number = i < WRITERS ? i : i - WRITERS};
        void *(*run)(void *) = i < WRITERS             ? writer_main
                               : i < WRITERS + READERS ? reader_main
                                                       : others[i - WRITERS - READERS];
        if (pthread_create(&threads[i].id, NULL, run, &threads[i]) != 0) exit(99);
        count++;
    }
    while (count > 0) pthread_join(threads[--count].id, NULL);
    CU_ASSERT_EQUAL(atomic_load(&shared.failures), 0);
    check_end(&shared);
    EXPECT(BITCASK_OK, bitcask_close(&shared.db));
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &shared.db));
    if (shared.db) check_end(&shared);
    EXPECT(BITCASK_OK, bitcask_close(&shared.db));
    fixture_remove(path);
}

static void threads_agree_with_the_interval_policy(void)
{
    run_threads(BITCASK_SYNC_INTERVAL, fixture_number("ROUNDS", 2000));
}

static void threads_agree_when_every_write_is_synced(void)
{
    run_threads(BITCASK_SYNC_ALWAYS, fixture_number("ROUNDS", 2000) / 10);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"threads agree with the interval policy", threads_agree_with_the_interval_policy},
        {"threads agree when every write is synced", threads_agree_when_every_write_is_synced},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("threads", tests);
}
