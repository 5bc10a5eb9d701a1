/* test_index_threads.c - readers of an index beside its writer: each key is there, always, and in its place in the
 * order.
 *
 * A part of the keys, the fixed ones, is there from beginning to end, and only overwritten; the others come and go in
 * waves, so that shards widen, split, are built anew and join. LONG=1: a minute instead of a moment.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit.h"
#include "base/rcu.h"
#include "index/index.h"

enum { FIXED_EVERY = 8, READERS = 4, KEY_SIZE = 8 };

static uint32_t all = 24000; /* numbers of keys; every FIXED_EVERY-th is fixed */

struct world {
    struct bc_index *index;
    atomic_bool stop;
    atomic_uint missing, wrong, disorder;
    atomic_uint_least64_t gets, walks;
};

static void key_of(uint32_t number, uint8_t key[KEY_SIZE])
{
    for (int i = 0; i < KEY_SIZE; i++) key[i] = (uint8_t)('a' + (number >> (28 - 4 * i) & 15));
}

/* An entry whose members all follow from its key and its version: a mixture of two would show. */
static struct bc_entry entry_of(uint32_t number, uint32_t version)
{
    struct bc_entry entry = {
        .slot = version % 3, .offset = number, .record_size = 60 + version % 50, .value_size = version % 50};

    entry.version = (uint64_t)version << 32 | number;
    entry.attrs.present = BITCASK_ATTR_MODE | (version % 4 == 0 ? BITCASK_ATTR_MTIME : 0u);
    entry.attrs.mode = 0100600 + version % 64;
    if (version % 4 == 0) entry.attrs.mtime_ns = (int64_t)version * 1000 + number;
    return entry;
}

static bool is_whole(const struct bc_entry *entry, uint32_t number)
{
    struct bc_entry expected = entry_of(number, (uint32_t)(entry->version >> 32));

    return entry->version == expected.version && entry->slot == expected.slot && entry->offset == number &&
           entry->record_size == expected.record_size && entry->value_size == expected.value_size &&
           entry->attrs.present == expected.attrs.present && entry->attrs.mode == expected.attrs.mode &&
           entry->attrs.mtime_ns == expected.attrs.mtime_ns;
}

static void get_fixed(struct world *world, uint64_t *rng)
{
    uint32_t number = (uint32_t)(unit_random(rng) % (all / FIXED_EVERY)) * FIXED_EVERY;
    struct bc_entry entry;
    uint8_t key[KEY_SIZE];
    bc_status status;

    key_of(number, key);
    bc_rcu_read_lock();
    status = bc_index_get(world->index, key, KEY_SIZE, &entry);
    bc_rcu_read_unlock();
    if (status != BITCASK_OK)
        atomic_fetch_add(&world->missing, 1);
    else if (!is_whole(&entry, number))
        atomic_fetch_add(&world->wrong, 1);
    atomic_fetch_add_explicit(&world->gets, 1, memory_order_relaxed);
}

/* What a scan has seen. */
struct scan {
    struct world *world;
    bool back;
    uint8_t last[KEY_SIZE];
    size_t seen, fixed;
};

static uint32_t number_of(const uint8_t *key)
{
    uint32_t number = 0;

    for (int i = 0; i < KEY_SIZE; i++) number = number << 4 | (uint32_t)(key[i] - 'a');
    return number;
}

static bool look(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct scan *scan = context;
    int order = scan->seen > 0 ? memcmp(scan->last, key, KEY_SIZE) : 0;

    if (key_size != KEY_SIZE || (scan->seen > 0 && (scan->back ? order <= 0 : order >= 0)))
        atomic_fetch_add(&scan->world->disorder, 1);
    memcpy(scan->last, key, KEY_SIZE);
    scan->seen++;
    if (!is_whole(entry, number_of(key))) atomic_fetch_add(&scan->world->wrong, 1);
    if (number_of(key) % FIXED_EVERY == 0) scan->fixed++;
    return true;
}

/* All keys in order, a batch at a time, as a query does it: each fixed one once. */
static void scan_all(struct world *world, bool back)
{
    struct scan scan = {.world = world, .back = back};
    size_t before;

    do {
        enum bc_seek seek = back ? BC_SEEK_LT : BC_SEEK_GT;
        before = scan.seen;
        bc_rcu_read_lock();
        if (bc_index_walk(world->index, seek, scan.last, before > 0 ? KEY_SIZE : 0, 500, look, &scan) != BITCASK_OK)
            atomic_fetch_add(&world->wrong, 1);
        bc_rcu_read_unlock();
    } while (scan.seen > before);
    if (scan.fixed != all / FIXED_EVERY) atomic_fetch_add(&world->missing, 1);
    atomic_fetch_add_explicit(&world->walks, 1, memory_order_relaxed);
}

struct reader {
    pthread_t thread;
    struct world *world;
    unsigned number;
};

static void *read_on(void *context)
{
    struct reader *reader = context;
    uint64_t rng = 77 + reader->number;

    while (!atomic_load(&reader->world->stop)) {
        for (int i = 0; i < 2000; i++) get_fixed(reader->world, &rng);
        if (reader->number % 2 == 0) scan_all(reader->world, reader->number % 4 == 0);
    }
    return NULL;
}

static void put(struct world *world, uint32_t number, uint32_t version)
{
    struct bc_entry entry = entry_of(number, version);
    uint8_t key[KEY_SIZE];

    key_of(number, key);
    if (bc_index_put(world->index, key, KEY_SIZE, &entry, NULL, NULL) != BITCASK_OK) atomic_fetch_add(&world->wrong, 1);
}

/* One wave: all come, in an order of their own, then the others go again; the fixed ones are overwritten. */
static void wave(struct world *world, uint32_t version)
{
    uint32_t step = version % 3 == 0 ? 1 : version % 3 == 1 ? all - 1 : 7919; /* up, down, mixed */
    uint8_t key[KEY_SIZE];

    for (uint32_t i = 0; i < all; i++) put(world, (uint32_t)((uint64_t)i * step % all), version);
    for (uint32_t i = 0; i < all; i++) {
        uint32_t number = (uint32_t)((uint64_t)i * step % all);
        key_of(number, key);
        if (number % FIXED_EVERY == 0)
            put(world, number, version + 1);
        else
            (void)bc_index_remove(world->index, key, KEY_SIZE, NULL);
    }
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void readers_see_each_key_while_shards_come_and_go(void)
{
    struct world world = {0};
    struct reader readers[READERS];
    const char *is_long = getenv("LONG");
    double end = now() + (is_long != NULL && *is_long != '\0' ? 60 : 2);
    uint32_t version = 1;

    CU_ASSERT_EQUAL_FATAL(bc_index_open(unit_seed("threads"), &world.index), BITCASK_OK);
    for (uint32_t i = 0; i < all; i += FIXED_EVERY) put(&world, i, version);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.world = &world, .number = i};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    do {
        wave(&world, version);
        version += 2;
    } while (now() < end);
    atomic_store(&world.stop, true);
    for (unsigned i = 0; i < READERS; i++) pthread_join(readers[i].thread, NULL);
    CU_ASSERT_EQUAL(atomic_load(&world.missing), 0);
    CU_ASSERT_EQUAL(atomic_load(&world.wrong), 0);
    CU_ASSERT_EQUAL(atomic_load(&world.disorder), 0);
    CU_ASSERT_EQUAL(bc_index_count(world.index), all / FIXED_EVERY);
    printf("[%u waves, %llu gets, %llu scans] ", version / 2, (unsigned long long)atomic_load(&world.gets),
           (unsigned long long)atomic_load(&world.walks));
    bc_index_close(&world.index);
    bc_rcu_flush();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"readers see each key while shards come and go", readers_see_each_key_while_shards_come_and_go},
        CU_TEST_INFO_NULL,
    };
    return unit_run("index_threads", tests);
}
