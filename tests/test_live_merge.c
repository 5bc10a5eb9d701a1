/* test_live_merge.c - readers and a writer while merges follow each other without a pause. Made to be run under
 * TSan.
 *
 * The writer says of each key which write it begins and which was acknowledged; a reader notes that before and after,
 * so that it knows a value that is too old, or missing, when it sees one. Beside that partition there are quiet ones,
 * more than may be open, so that they are opened cold all the time, and made warm by one thread while others look keys
 * up. SECONDS (default 3, with LONG=1 60) is how long it goes on.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accounts.h"
#include "db/db.h"
#include "fixture.h"
#include "partition/merge.h"

#define READERS 4u
#define KEYS 300u
#define STAYING 150u /* keys below are never deleted */
#define VALUE_MAX 400u
#define QUIET 6u
#define QUIET_KEYS 40u

struct shared {
    bitcask *db;
    bitcask_partition *busy;
    atomic_bool stop;
    atomic_uint failures;
    /* Counts: even ones are puts, odd ones deletions. begun is set before the call, written after it. */
    _Atomic uint64_t begun[KEYS], written[KEYS];
    _Atomic uint64_t merges, reads, queries, writes, cold_opens, cut_short;
};

static struct shared shared;

static void failed(const char *what, bitcask_status status)
{
    if (atomic_fetch_add(&shared.failures, 1) < 10)
        fprintf(stderr, "%s: %s (%s)\n", what, bitcask_status_text(status), bitcask_error_detail());
    atomic_store(&shared.stop, true);
}

static bool good(const char *what, bitcask_status status)
{
    if (status != BITCASK_OK) failed(what, status);
    return status == BITCASK_OK;
}

static bool going_on(void)
{
    return !atomic_load(&shared.stop);
}

static size_t key_name(unsigned key, char name[16])
{
    return (size_t)snprintf(name, 16, "k%05u", key);
}

static size_t make_value(char *value, unsigned key, uint64_t count)
{
    size_t size = (size_t)snprintf(value, VALUE_MAX, "k%u c%llu ", key, (unsigned long long)count);
    size_t whole = size + (size_t)((count * 37 + key) % (VALUE_MAX - size));
    memset(value + size, 'a' + (int)(count % 26), whole - size);
    return whole;
}

/* The count in a value that must be one of key's. */
static uint64_t count_in(const void *data, size_t size, unsigned key)
{
    char head[64] = "", expected[VALUE_MAX];
    unsigned got_key = 0;
    unsigned long long count = 0;
    memcpy(head, data, size < 63 ? size : 63);
    if (sscanf(head, "k%u c%llu ", &got_key, &count) != 2 || got_key != key ||
        make_value(expected, key, count) != size || memcmp(expected, data, size) != 0)
        failed("a value is not one that was put under this key", BITCASK_CORRUPT);
    return count;
}

/* ---- the writer ---- */

static bool write_key(unsigned key, uint64_t *rng)
{
    char name[16], value[VALUE_MAX];
    size_t name_size = key_name(key, name);
    uint64_t count = atomic_load(&shared.written[key]) + 1;
    bitcask_write_options options = {.flags = fixture_below(rng, 500) == 0 ? BITCASK_DURABLE : 0};
    bitcask_status status;
    if (count % 2 == 1 && (count == 1 || key < STAYING || fixture_below(rng, 2))) count++;
    atomic_store(&shared.begun[key], count);
    if (count % 2 == 1)
        status = bitcask_delete(shared.busy, name, name_size, &options);
    else
        status = bitcask_put(shared.busy, name, name_size, value, make_value(value, key, count), &options, NULL);
    if (!good(count % 2 ? "delete" : "put", status)) return false;
    atomic_store(&shared.written[key], count);
    atomic_fetch_add(&shared.writes, 1);
    return true;
}

static void *writer_main(void *argument)
{
    uint64_t rng = 1;
    (void)argument;
    while (going_on() && write_key((unsigned)fixture_below(&rng, KEYS), &rng)) {
    }
    return NULL;
}

/* ---- readers ---- */

static void read_key(unsigned key, bool later)
{
    char name[16];
    size_t name_size = key_name(key, name);
    bitcask_value *value = NULL;
    uint64_t before = atomic_load(&shared.written[key]);
    bitcask_status status = bitcask_pin(shared.busy, name, name_size, &value);
    uint64_t after = atomic_load(&shared.begun[key]);
    atomic_fetch_add(&shared.reads, 1);
    if (status == BITCASK_NOT_FOUND) {
        /* It was there when this began, and nobody has begun to delete it since. */
        if (before > 0 && (key < STAYING || (before % 2 == 0 && after == before))) failed("a key is missed", status);
        return;
    }
    if (!good("pin", status)) return;
    /* What is pinned stays what it was, whatever becomes of its segment. */
    if (later) nanosleep(&(struct timespec){0, 3000000}, NULL);
    char buffer[VALUE_MAX + 1];
    size_t got = 0;
    status = bitcask_value_read(value, 0, buffer, sizeof buffer, &got);
    bitcask_value_unpin(&value);
    if (!good("read", status)) return;
    uint64_t count = count_in(buffer, got, key);
    if (count < before || count > after) failed("a value is not of its time", BITCASK_CORRUPT);
}

/* Each key that is there throughout is listed once, and names come in order. */
static void query_all(bool reverse)
{
    bitcask_query_options options = {.reverse = reverse};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    uint64_t before[KEYS];
    unsigned listed[KEYS] = {0};
    int last = reverse ? (int)KEYS : -1;
    for (unsigned key = 0; key < KEYS; key++) before[key] = atomic_load(&shared.written[key]);
    bitcask_status status = bitcask_query_open(shared.busy, &options, &query);
    if (!good("query_open", status)) return;
    while ((status = bitcask_query_next(query, &entry)) == BITCASK_OK) {
        char name[BITCASK_NAME_MAX + 1] = "";
        int key = -1;
        memcpy(name, entry.key, entry.key_size);
        if (sscanf(name, "k%d", &key) != 1 || key < 0 || key >= (int)KEYS || (reverse ? key >= last : key <= last)) {
            failed("a query gives a wrong name, or in a wrong order", BITCASK_CORRUPT);
            break;
        }
        listed[last = key]++;
    }
    if (status != BITCASK_NOT_FOUND) failed("query_next", status);
    bitcask_query_close(&query);
    for (unsigned key = 0; key < KEYS; key++) {
        uint64_t after = atomic_load(&shared.begun[key]);
        bool throughout = before[key] > 0 && (key < STAYING || (before[key] % 2 == 0 && after == before[key]));
        if (throughout && listed[key] != 1) failed("a query misses a key", BITCASK_NOT_FOUND);
    }
    atomic_fetch_add(&shared.queries, 1);
}

static bitcask_partition *open_quiet(unsigned number)
{
    bitcask_partition *quiet = NULL;
    char name[16];
    snprintf(name, sizeof name, "quiet%u", number);
    good("open", bitcask_partition_open(shared.db, name, &quiet));
    return quiet;
}

/* A key of a partition that nobody writes, which may be cold, or getting warm now. */
static void read_quiet(uint64_t *rng)
{
    unsigned number = (unsigned)fixture_below(rng, QUIET), key = (unsigned)fixture_below(rng, QUIET_KEYS * 2);
    bitcask_partition *quiet = open_quiet(number);
    bitcask_value *value = NULL;
    bitcask_entry entry;
    char name[16];
    size_t name_size = key_name(key, name);
    bool there = key < QUIET_KEYS && key % 3 != 1;
    if (!quiet) return;
    struct bc_partition *instance = NULL;
    if (bc_node_pin_reading(quiet, &instance) == BITCASK_OK) {
        atomic_fetch_add(&shared.cold_opens, atomic_load(&instance->cold));
        bc_node_unpin(quiet);
    }
    bitcask_status status = bitcask_stat(quiet, name, name_size, &entry);
    if (status != (there ? BITCASK_OK : BITCASK_NOT_FOUND)) failed("stat in a quiet partition", status);
    status = bitcask_get(quiet, name, name_size, &value);
    if (status != (there ? BITCASK_OK : BITCASK_NOT_FOUND)) failed("get in a quiet partition", status);
    if (value && count_in(bitcask_value_data(value), (size_t)bitcask_value_size(value), key) != number)
        failed("a value of another partition", BITCASK_CORRUPT);
    bitcask_value_unpin(&value);
    bitcask_partition_close(&quiet);
}

static void *reader_main(void *argument)
{
    uint64_t rng = 100 + (uintptr_t)argument;
    while (going_on()) {
        for (int i = 0; i < 40; i++) read_key((unsigned)fixture_below(&rng, KEYS), false);
        read_key((unsigned)fixture_below(&rng, KEYS), true);
        query_all(fixture_below(&rng, 2));
        for (int i = 0; i < 3; i++) read_quiet(&rng);
    }
    return NULL;
}

static bool look_at_segment(void *context, const bitcask_segment_info *segment)
{
    uint64_t *live_keys = context;
    *live_keys += segment->live_keys;
    if (segment->file[0] == 0 || segment->lowest_id > segment->segment_id) failed("segments", BITCASK_CORRUPT);
    return true;
}

/* Makes quiet partitions warm, and asks for numbers. */
static void *browser_main(void *argument)
{
    uint64_t rng = 3;
    (void)argument;
    while (going_on()) {
        bitcask_partition *quiet = open_quiet((unsigned)fixture_below(&rng, QUIET));
        bitcask_stats stats = {0};
        if (!quiet) break;
        if (good("stats", bitcask_partition_stats(quiet, &stats)) &&
            stats.live_keys != QUIET_KEYS - (QUIET_KEYS + 1) / 3)
            failed("a quiet partition has another number of keys", BITCASK_CORRUPT);
        bitcask_partition_close(&quiet);
        uint64_t live_keys = 0;
        good("stats", bitcask_get_stats(shared.db, &stats));
        good("segments", bitcask_segments(shared.busy, look_at_segment, &live_keys));
        if (live_keys > KEYS) failed("the segments hold more keys than there are", BITCASK_CORRUPT);
    }
    return NULL;
}

/* ---- merges ---- */

static bc_status rotate(struct bc_partition *instance)
{
    bc_status status = BITCASK_OK;
    bc_fair_lock_soon(&instance->write_lock);
    if (instance->active && instance->active->end > instance->active->header_size)
        status = bc_partition_rotate(instance);
    bc_fair_unlock(&instance->write_lock);
    return status;
}

/* may_go: the partition may be dropped meanwhile. */
static bool merge(bitcask_partition *partition, enum bc_merge_kind kind, bool may_go)
{
    struct bc_partition *instance = NULL;
    struct bc_merge_run run;
    bitcask_merge_result result = {0};
    bc_status pinned = bc_node_pin(partition, &instance);
    if (may_go && pinned == BITCASK_NOT_FOUND) return true;
    if (!good("pin", pinned)) return false;
    bc_status status = bc_merge_wants_rotation(instance, kind) ? rotate(instance) : BITCASK_OK;
    for (uint32_t from = 0; status == BITCASK_OK; from = run.last_id + 1) {
        bc_merge_plan(instance, kind, from, &run);
        if (run.segments == 0) break;
        status = bc_partition_merge(instance, &run, NULL, &result);
    }
    if (may_go && (status == BITCASK_CANCELLED || status == BITCASK_NOT_FOUND)) {
        atomic_fetch_add(&shared.cut_short, 1);
        status = BITCASK_OK;
    }
    bool fine = good("merge", status);
    if (fine && !accounts_agree(instance)) failed("accounts", BITCASK_CORRUPT);
    atomic_fetch_add(&shared.merges, result.merges);
    bc_node_unpin(partition);
    return fine;
}

static void *merger_main(void *argument)
{
    static const enum bc_merge_kind kinds[] = {BC_MERGE_WORTH, BC_MERGE_FULL, BC_MERGE_DUE, BC_MERGE_WORTH};
    uint64_t rng = 2;
    (void)argument;
    for (unsigned i = 0; going_on() && merge(shared.busy, kinds[i % 4], false); i++) {
        if (i % 8 == 7) merge(shared.db->inodes, BC_MERGE_FULL, false);
        if (i % 8 == 3) merge(shared.db->root, BC_MERGE_FULL, false);
        if (i % 4 != 1) continue;
        bitcask_partition *quiet = open_quiet((unsigned)fixture_below(&rng, QUIET));
        if (quiet) merge(quiet, BC_MERGE_FULL, false);
        bitcask_partition_close(&quiet);
    }
    return NULL;
}

/* Makes a partition, merges it in one thread and drops it in another. */
static void *drop_main(void *argument)
{
    bitcask_partition *passing = argument;
    nanosleep(&(struct timespec){0, 300000}, NULL);
    for (unsigned key = 0; key < QUIET_KEYS; key++) {
        char name[16];
        good("delete", bitcask_delete(passing, name, key_name(key, name), NULL));
    }
    good("drop", bitcask_partition_drop(shared.db->root, "passing", 7, 0));
    return NULL;
}

static void *dropper_main(void *argument)
{
    (void)argument;
    while (going_on()) {
        bitcask_partition *passing = NULL;
        struct bc_partition *instance = NULL;
        char name[16], value[VALUE_MAX];
        pthread_t dropper;
        bool fine = good("create", bitcask_partition_create(shared.db->root, "passing", 7, NULL, 0, &passing));
        for (unsigned key = 0; fine && key < QUIET_KEYS; key++) {
            size_t name_size = key_name(key, name);
            fine = good("put", bitcask_put(passing, name, name_size, value, make_value(value, key, 2), NULL, NULL));
            if (key % 16 != 15 || !fine || !good("pin", bc_node_pin(passing, &instance))) continue;
            fine = good("rotate", rotate(instance));
            bc_node_unpin(passing);
        }
        if (fine && pthread_create(&dropper, NULL, drop_main, passing) == 0) {
            while (fine && going_on() && bc_node_pin(passing, &instance) == BITCASK_OK) {
                bc_node_unpin(passing);
                fine = merge(passing, BC_MERGE_FULL, true);
            }
            pthread_join(dropper, NULL);
        }
        bitcask_partition_close(&passing);
    }
    return NULL;
}

/* ---- beginning and end ---- */

static void fill_quiet(bitcask_partition *root, unsigned number)
{
    bitcask_partition *quiet = NULL;
    struct bc_partition *instance = NULL;
    char name[16], value[VALUE_MAX];
    snprintf(name, sizeof name, "quiet%u", number);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, name, strlen(name), NULL, 0, &quiet));
    for (unsigned key = 0; key < QUIET_KEYS; key++) {
        size_t name_size = key_name(key, name);
        EXPECT(BITCASK_OK, bitcask_put(quiet, name, name_size, value, make_value(value, key, number), NULL, NULL));
        if (key % 3 == 1) EXPECT(BITCASK_OK, bitcask_delete(quiet, name, name_size, NULL));
        if (key % 10 != 9) continue;
        EXPECT(BITCASK_OK, bc_node_pin(quiet, &instance));
        EXPECT(BITCASK_OK, rotate(instance));
        bc_node_unpin(quiet);
    }
    bitcask_partition_close(&quiet);
}

static void check_end(void)
{
    struct bc_partition *instance = NULL;
    uint64_t rng = 5;
    EXPECT(BITCASK_OK, bitcask_partition_open(shared.db, "busy", &shared.busy));
    for (unsigned key = 0; shared.busy && key < KEYS; key++) {
        atomic_store(&shared.begun[key], atomic_load(&shared.written[key]));
        read_key(key, false);
    }
    query_all(false);
    for (int i = 0; i < 500; i++) read_quiet(&rng);
    EXPECT(BITCASK_OK, bc_node_pin(shared.busy, &instance));
    CU_ASSERT(accounts_agree(instance));
    CU_ASSERT_EQUAL(instance->damaged_regions, 0);
    bc_node_unpin(shared.busy);
    CU_ASSERT_EQUAL(atomic_load(&shared.failures), 0);
    bitcask_partition_close(&shared.busy);
}

static void merges_without_pause_hide_nothing_and_bring_nothing_back(void)
{
    static void *(*const mains[])(void *) = {writer_main, merger_main, browser_main, dropper_main};
    pthread_t threads[READERS + 4];
    bitcask_options options;
    bitcask_partition *root = NULL;
    uint64_t seconds = fixture_number("SECONDS", fixture_number("LONG", 0) ? 60 : 3);
    const char *path = fixture_path("merges");
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_INTERVAL;
    options.sync_interval_ms = 5;
    options.segment_size = 65536;
    options.max_open = 5;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &shared.db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(shared.db);
    EXPECT(BITCASK_OK, bitcask_partition_open(shared.db, "", &root));
    for (unsigned i = 0; i < QUIET; i++) fill_quiet(root, i);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "busy", 4, NULL, 0, &shared.busy));
    bitcask_partition_close(&root);
    for (uintptr_t i = 0; i < READERS + 4; i++)
        if (pthread_create(&threads[i], NULL, i < 4 ? mains[i] : reader_main, (void *)i) != 0) exit(99);
    for (uint64_t i = 0; i < seconds * 20 && going_on(); i++) nanosleep(&(struct timespec){0, 50000000}, NULL);
    atomic_store(&shared.stop, true);
    for (unsigned i = 0; i < READERS + 4; i++) pthread_join(threads[i], NULL);
    printf("%llu writes, %llu reads, %llu queries, %llu merges (%llu more cut short), %llu look-ups in cold "
           "partitions\n",
           (unsigned long long)shared.writes, (unsigned long long)shared.reads, (unsigned long long)shared.queries,
           (unsigned long long)shared.merges, (unsigned long long)shared.cut_short,
           (unsigned long long)shared.cold_opens);
    bitcask_partition_close(&shared.busy);
    check_end();
    EXPECT(BITCASK_OK, bitcask_close(&shared.db));
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &shared.db));
    if (shared.db) check_end();
    EXPECT(BITCASK_OK, bitcask_close(&shared.db));
    CU_ASSERT(shared.merges > 0 && shared.queries > 0 && shared.writes > 0 && shared.cold_opens > 0);
    fixture_remove(path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"merges without pause hide nothing and bring nothing back",
         merges_without_pause_hide_nothing_and_bring_nothing_back},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("merge_threads", tests);
}
