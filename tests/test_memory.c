/* test_memory.c - the memory that the indexes of open partitions may take together.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/db.h"
#include "fixture.h"

#define PARTITIONS 40u
#define KEYS 500u
#define LIMIT (512u * 1024u)

static bitcask *db;
static bitcask_partition *root;
static const char *path;

static void open_limited(uint64_t limit)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    options.memory_limit = limit;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static void close_all(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

static bitcask_partition *make(unsigned number)
{
    bitcask_partition *partition = NULL;
    char name[16];
    int size = snprintf(name, sizeof name, "p%u", number);

    EXPECT(BITCASK_OK, bitcask_partition_create(root, name, (size_t)size, NULL, 0, &partition));
    return partition;
}

static bitcask_partition *find(unsigned number)
{
    bitcask_partition *partition = NULL;
    char name[16];

    snprintf(name, sizeof name, "p%u", number);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, name, &partition));
    return partition;
}

static void fill(bitcask_partition *partition, unsigned keys)
{
    unsigned failures = 0;

    for (unsigned i = 0; i < keys; i++) {
        char key[40];
        snprintf(key, sizeof key, "a key of some length %u", i);
        if (put_text(partition, key, key, 0) != BITCASK_OK) failures++;
    }
    CU_ASSERT_EQUAL(failures, 0);
}

static bool has_all(bitcask_partition *partition, unsigned keys)
{
    for (unsigned i = 0; i < keys; i++) {
        char key[40];
        snprintf(key, sizeof key, "a key of some length %u", i);
        if (strcmp(get_text(partition, key), key) != 0) return false;
    }
    return true;
}

/* What is really held, by those that are open. */
static void add_memory(void *context, struct bitcask_partition *node, struct bc_partition *instance)
{
    size_t total, key_bytes;

    (void)node;
    if (!atomic_load(&instance->cold)) {
        bc_index_memory(instance->index, &total, &key_bytes);
        *(uint64_t *)context += total;
    }
}

static uint64_t memory_held(void)
{
    uint64_t sum = 0;
    EXPECT(BITCASK_OK, bc_nodes_peek(db, add_memory, &sum));
    return sum;
}

static void all_is_readable_within_a_small_limit(void)
{
    bitcask_partition *partitions[PARTITIONS];
    bitcask_stats stats;
    uint64_t most = 0;

    path = fixture_path("small");
    open_limited(LIMIT);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        partitions[i] = make(i);
        fill(partitions[i], KEYS);
        if (memory_held() > most) most = memory_held();
    }
    for (unsigned i = 0; i < PARTITIONS; i++) {
        CU_ASSERT_TRUE(has_all(partitions[i], KEYS));
        if (memory_held() > most) most = memory_held();
    }
    /* A sixteenth of each may not be counted yet. */
    CU_ASSERT(most <= LIMIT + LIMIT / 8);
    CU_ASSERT(most >= LIMIT / 4);
    CU_ASSERT(atomic_load(&db->memory.used) <= LIMIT);
    CU_ASSERT(db->open_count < PARTITIONS);
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT_EQUAL(stats.index_limit_bytes, LIMIT);
    CU_ASSERT(stats.memory_closes > 0);
    CU_ASSERT_EQUAL(stats.memory_closes, stats.partition_closes);
    CU_ASSERT(stats.open_ns > 0);
    for (unsigned i = 0; i < PARTITIONS; i++) bitcask_partition_close(&partitions[i]);
    close_all();
    fixture_remove(path);
}

static void nothing_is_closed_below_the_limit(void)
{
    bitcask_partition *partitions[8];
    bitcask_stats stats;

    path = fixture_path("large");
    open_limited(64u * 1024 * 1024);
    for (unsigned i = 0; i < 8; i++) fill(partitions[i] = make(i), KEYS);
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT_EQUAL(stats.memory_closes, 0);
    CU_ASSERT(stats.partitions_open >= 8);
    for (unsigned i = 0; i < 8; i++) bitcask_partition_close(&partitions[i]);
    close_all();
    CU_ASSERT_PTR_NULL(db);
    fixture_remove(path);
}

static void partition_larger_than_the_limit_works_and_stays_open(void)
{
    bitcask_partition *large, *small;
    bitcask_stats stats;
    uint64_t opens;

    path = fixture_path("alone");
    open_limited(65536);
    small = make(1);
    fill(small, 10);
    large = make(0);
    fill(large, 5000);
    CU_ASSERT(memory_held() > 65536);
    CU_ASSERT_PTR_NULL(small->instance);
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    opens = stats.partition_opens;
    CU_ASSERT_TRUE(has_all(large, 5000)); /* and is not opened anew for each */
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT_EQUAL(stats.partition_opens, opens);
    CU_ASSERT_TRUE(has_all(small, 10));
    CU_ASSERT_PTR_NULL(large->instance); /* the older one gave way */
    CU_ASSERT(memory_held() <= 65536);
    CU_ASSERT_TRUE(has_all(large, 5000));
    bitcask_partition_close(&small);
    bitcask_partition_close(&large);
    close_all();
    fixture_remove(path);
}

static void pinned_or_reserved_stays_open_and_closes_behind_that(void)
{
    struct bc_partition *instance;
    bitcask_partition *pinned, *reserved, *other;

    path = fixture_path("pinned");
    open_limited(LIMIT);
    pinned = make(0);
    fill(pinned, KEYS);
    reserved = make(1);
    fill(reserved, KEYS);
    EXPECT(BITCASK_OK, bitcask_reserve(reserved, 1000));
    EXPECT(BITCASK_OK, bc_node_pin(pinned, &instance));
    other = make(2);
    fill(other, 30 * KEYS);
    CU_ASSERT(memory_held() > LIMIT);
    CU_ASSERT_PTR_EQUAL(pinned->instance, instance);
    CU_ASSERT_PTR_NOT_NULL(reserved->instance);
    bc_node_unpin(pinned);
    CU_ASSERT_PTR_NULL(pinned->instance);
    CU_ASSERT_PTR_NOT_NULL(reserved->instance);
    bitcask_unreserve(reserved, 1000);
    CU_ASSERT_PTR_NULL(reserved->instance);
    CU_ASSERT_PTR_NOT_NULL(other->instance);
    bitcask_partition_close(&pinned);
    bitcask_partition_close(&reserved);
    bitcask_partition_close(&other);
    close_all();
    fixture_remove(path);
}

static void *read_everything(void *failures)
{
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 12; i++) {
            bitcask_partition *partition = NULL;
            char name[16];
            bitcask_entry entry;
            snprintf(name, sizeof name, "p%u", i);
            if (bitcask_partition_open(db, name, &partition) != BITCASK_OK) {
                atomic_fetch_add((atomic_uint *)failures, 1);
                continue;
            }
            for (unsigned k = 0; k < KEYS; k++) {
                char key[40];
                int size = snprintf(key, sizeof key, "a key of some length %u", k);
                if (bitcask_stat(partition, key, (size_t)size, &entry) != BITCASK_OK)
                    atomic_fetch_add((atomic_uint *)failures, 1);
            }
            bitcask_partition_close(&partition);
        }
    return NULL;
}

/* More threads than fit: each pins what another would close. */
static void threads_go_on_while_partitions_come_and_go(void)
{
    atomic_uint failures = 0;
    bitcask_partition *partition;
    bitcask_stats stats;
    pthread_t threads[4];

    path = fixture_path("threads");
    open_limited(65536);
    for (unsigned i = 0; i < 12; i++) {
        fill(partition = make(i), KEYS);
        bitcask_partition_close(&partition);
    }
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, read_everything, &failures) != 0) exit(99);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&failures), 0);
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT(stats.memory_closes > 12);
    partition = find(3);
    CU_ASSERT_TRUE(has_all(partition, KEYS));
    bitcask_partition_close(&partition);
    close_all();
    fixture_remove(path);
}

static void memory_that_is_counted_goes_with_the_partition(void)
{
    bitcask_partition *partition;
    uint64_t before;

    path = fixture_path("count");
    open_limited(64u * 1024 * 1024);
    before = atomic_load(&db->memory.used);
    partition = make(0);
    fill(partition, 5000);
    CU_ASSERT(atomic_load(&db->memory.used) > before + 5000 * 20);
    for (unsigned i = 0; i < 5000; i++) {
        char key[40];
        snprintf(key, sizeof key, "a key of some length %u", i);
        (void)delete_text(partition, key, 0);
    }
    bitcask_partition_close(&partition);
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "p0", 2, 0));
    CU_ASSERT(atomic_load(&db->memory.used) <= before + 65536);
    close_all();
    fixture_remove(path);
}

static void bad_limit_is_refused_by_name(void)
{
    bitcask_options options;
    bitcask *none = NULL;

    bitcask_options_init(&options);
    options.create = true;
    options.memory_limit = 65535;
    EXPECT_DETAIL(BITCASK_BAD_ARGUMENT, "memory_limit", bitcask_open(fixture_path("bad"), &options, &none));
    options.memory_limit = 0;
    EXPECT(BITCASK_OK, bitcask_open(fixture_path("bad"), &options, &none));
    CU_ASSERT(none->memory.limit >= 1024 * 1024);
    EXPECT(BITCASK_OK, bitcask_close(&none));
    fixture_remove(fixture_path("bad"));
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"all is readable within a small limit", all_is_readable_within_a_small_limit},
        {"nothing is closed below the limit", nothing_is_closed_below_the_limit},
        {"partition larger than the limit works and stays open", partition_larger_than_the_limit_works_and_stays_open},
        {"pinned or reserved stays open and closes behind that", pinned_or_reserved_stays_open_and_closes_behind_that},
        {"threads go on while partitions come and go", threads_go_on_while_partitions_come_and_go},
        {"memory that is counted goes with the partition", memory_that_is_counted_goes_with_the_partition},
        {"bad limit is refused by name", bad_limit_is_refused_by_name},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("memory", tests);
}
