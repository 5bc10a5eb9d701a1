/* test_sync.c - on the simulated disk: when writes become durable and at what price, what a failing disk leaves, how
 * many partitions are open at once.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db/db.h"
#include "fixture.h"
#include "io_sim.h"

#define THREADS 16u
#define PATIENCE_S 20 /* how long a test waits for what must come */

static struct bc_sim *sim;
static bitcask *db;
static bitcask_partition *root;

static void open_on(struct bc_sim *disk, bitcask_sync_policy sync, unsigned max_open)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = sync;
    options.sync_interval_ms = 1;
    options.max_open = max_open;
    options.segment_size = 65536;
    sim = disk;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "/store", &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static void begin(bitcask_sync_policy sync)
{
    open_on(bc_sim_open(3), sync, 0);
}

static void end(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
    CU_ASSERT_EQUAL(bc_sim_misuses(sim), 0);
    bc_sim_close(&sim);
}

static void end_keeping_disk(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

/* What a key would be after a power cut now that takes all that was not synced. */
static const char *after_a_cut(const char *partition_path, const char *key)
{
    static char text[64];
    struct bc_sim *now = sim, *cut = bc_sim_power_cut(sim, BC_SIM_CUT_SYNCED, 0);
    bitcask *was = db;
    bitcask_partition *was_root = root, *partition = NULL;
    root = NULL;
    open_on(cut, BITCASK_SYNC_OS, 0);
    bitcask_status status = bitcask_partition_open(db, partition_path, &partition);
    snprintf(text, sizeof text, "%s", status == BITCASK_OK ? get_text(partition, key) : "no partition");
    bitcask_partition_close(&partition);
    end();
    sim = now;
    db = was;
    root = was_root;
    return text;
}

static uint64_t syncs(void)
{
    return bc_sim_calls(sim, BC_SIM_FDATASYNC);
}

/* ---- policies ---- */

static void always_syncs_each_write_before_it_returns(void)
{
    char key[16];
    begin(BITCASK_SYNC_ALWAYS);
    EXPECT(BITCASK_OK, put_text(root, "first", "", 0));
    uint64_t before = syncs();
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "k%d", i);
        EXPECT(BITCASK_OK, put_text(root, key, "v", 0));
        CU_ASSERT_STRING_EQUAL(after_a_cut("", key), "v");
    }
    CU_ASSERT_EQUAL(syncs() - before, 10);
    EXPECT(BITCASK_OK, delete_text(root, "k3", 0));
    CU_ASSERT_EQUAL(syncs() - before, 11);
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "k3"), "-");
    bitcask_stats stats;
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT_EQUAL(stats.syncs, syncs() + bc_sim_calls(sim, BC_SIM_SYNC_DIR));
    end();
}

static void os_policy_syncs_only_when_asked(void)
{
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "first", "", BITCASK_DURABLE));
    uint64_t before = syncs();
    for (int i = 0; i < 20; i++) EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    CU_ASSERT_EQUAL(syncs(), before);
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "k"), "-");
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "first"), "");
    EXPECT(BITCASK_OK, bitcask_sync(db));
    CU_ASSERT(syncs() > before);
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "k"), "v");
    before = syncs();
    EXPECT(BITCASK_OK, bitcask_sync(db)); /* nothing to do */
    CU_ASSERT_EQUAL(syncs(), before);
    EXPECT(BITCASK_OK, put_text(root, "k", "w", BITCASK_DURABLE));
    CU_ASSERT_EQUAL(syncs(), before + 1);
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "k"), "w");
    end();
}

static void interval_policy_syncs_by_itself(void)
{
    begin(BITCASK_SYNC_INTERVAL);
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    time_t deadline = time(NULL) + PATIENCE_S;
    while (strcmp(after_a_cut("", "k"), "v") != 0 && time(NULL) < deadline)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "k"), "v");
    end();
}

static void durable_put_takes_the_path_along(void)
{
    bitcask_partition *a = NULL, *b = NULL;
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "a", 1, NULL, 0, &a));
    EXPECT(BITCASK_OK, bitcask_partition_create(a, "b", 1, NULL, 0, &b));
    EXPECT(BITCASK_OK, put_text(b, "k", "v", 0));
    CU_ASSERT_STRING_EQUAL(after_a_cut("a/b", "k"), "no partition");
    EXPECT(BITCASK_OK, put_text(b, "l", "w", BITCASK_DURABLE));
    CU_ASSERT_STRING_EQUAL(after_a_cut("a/b", "l"), "w");
    CU_ASSERT_STRING_EQUAL(after_a_cut("a/b", "k"), "v");
    EXPECT(BITCASK_OK, put_text(a, "m", "x", 0));
    EXPECT(BITCASK_OK, bitcask_partition_sync(a));
    CU_ASSERT_STRING_EQUAL(after_a_cut("a", "m"), "x");
    bitcask_partition_close(&a);
    bitcask_partition_close(&b);
    end();
}

/* ---- threads share syncs ---- */

/* Stops the first fdatasync until all threads have written. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned writes;
    bool closed, timed_out;
};

static void gate_hook(void *context, enum bc_sim_call kind)
{
    struct gate *gate = context;
    pthread_mutex_lock(&gate->mutex);
    if (kind == BC_SIM_PWRITEV) {
        gate->writes++;
        pthread_cond_broadcast(&gate->changed);
    } else if (kind == BC_SIM_FDATASYNC && gate->closed) {
        struct timespec deadline;
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += PATIENCE_S;
        gate->closed = false;
        while (gate->writes < THREADS && !gate->timed_out)
            gate->timed_out = pthread_cond_timedwait(&gate->changed, &gate->mutex, &deadline) == ETIMEDOUT;
    }
    pthread_mutex_unlock(&gate->mutex);
}

static atomic_uint put_failures;

static void *durable_put(void *argument)
{
    char key[16];
    snprintf(key, sizeof key, "k%zu", (size_t)(uintptr_t)argument);
    if (put_text(root, key, "v", BITCASK_DURABLE) != BITCASK_OK) atomic_fetch_add(&put_failures, 1);
    return NULL;
}

static void durable_puts_of_many_threads_share_syncs(void)
{
    static struct gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[THREADS];
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "first", "", BITCASK_DURABLE));
    uint64_t before = syncs();
    gate.closed = true;
    atomic_store(&put_failures, 0);
    bc_sim_set_hook(sim, gate_hook, &gate);
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, durable_put, (void *)i) != 0) exit(99);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    bc_sim_set_hook(sim, NULL, NULL);
    CU_ASSERT_EQUAL(atomic_load(&put_failures), 0);
    CU_ASSERT_FALSE(gate.timed_out); /* writers go on while a sync runs */
    CU_ASSERT_EQUAL(syncs() - before, 2);
    for (size_t i = 0; i < THREADS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%zu", i);
        CU_ASSERT_STRING_EQUAL(after_a_cut("", key), "v");
    }
    end();
}

/* ---- a disk that fails ---- */

static void full_disk_fails_the_put_and_leaves_the_old_value(void)
{
    static const int errors[] = {ENOSPC, EDQUOT, EIO};
    static const bitcask_status statuses[] = {BITCASK_NO_SPACE, BITCASK_QUOTA, BITCASK_IO};
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "k", "old", 0));
    for (size_t i = 0; i < 3; i++) {
        for (uint64_t part = 0; part < 2; part++) { /* at once, or after half of it was written */
            bc_sim_set_short(sim, part ? 20 : 0);
            bc_sim_fail(sim, BC_SIM_PWRITEV, 1 + part, errors[i], false);
            EXPECT(statuses[i], put_text(root, "k", "a value that does not get in", 0));
            bc_sim_set_short(sim, 0);
            CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "old");
            EXPECT(BITCASK_OK, put_text(root, "other", "goes in", 0));
        }
    }
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "old");
    EXPECT(BITCASK_OK, bitcask_sync(db));
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "k"), "old");
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "other"), "goes in");
    end();
}

static void put_that_failed_does_not_come_back_after_a_crash(void)
{
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "k", "old", BITCASK_DURABLE));
    bc_sim_set_short(sim, 20);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 2, ENOSPC, false);
    EXPECT(BITCASK_NO_SPACE, put_text(root, "k", "new", 0));
    bc_sim_set_short(sim, 0);
    EXPECT(BITCASK_OK, put_text(root, "l", "", BITCASK_DURABLE));
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "k"), "old");
    CU_ASSERT_STRING_EQUAL(after_a_cut("", "l"), "");
    end();
}

static void no_room_is_found_before_anything_is_written(void)
{
    char value[3000];
    memset(value, 'v', sizeof value);
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "k", "old", 0));
    bc_sim_fail(sim, BC_SIM_ALLOCATE, 1, ENOSPC, true);
    bitcask_status status = BITCASK_OK;
    unsigned stored = 0;
    while (status == BITCASK_OK && stored < 1000) {
        char key[16];
        snprintf(key, sizeof key, "f%u", stored);
        status = bitcask_put(root, key, strlen(key), value, sizeof value, NULL, NULL);
        if (status == BITCASK_OK) stored++;
    }
    EXPECT(BITCASK_NO_SPACE, status);
    EXPECT(BITCASK_OK, delete_text(root, "k", 0)); /* the last reserve is for deletions */
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "-");
    bc_sim_fail(sim, BC_SIM_ALLOCATE, 0, 0, false);
    EXPECT(BITCASK_OK, put_text(root, "k", "again", 0));
    end();
}

static void failed_sync_poisons_the_partition_until_reopened(void)
{
    bitcask_partition *sub = NULL;
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, BITCASK_DURABLE, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "k", "safe", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, put_text(root, "k", "safe", BITCASK_DURABLE));
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, false);
    EXPECT(BITCASK_IO, put_text(sub, "k", "lost", BITCASK_DURABLE));
    EXPECT(BITCASK_POISONED, put_text(sub, "k", "more", 0));
    EXPECT(BITCASK_POISONED, delete_text(sub, "k", 0));
    EXPECT(BITCASK_POISONED, bitcask_partition_sync(sub));
    CU_ASSERT_STRING_EQUAL(get_text(sub, "k"), "lost"); /* reads go on, of what the system has */
    EXPECT(BITCASK_OK, put_text(root, "k", "others go on", BITCASK_DURABLE));
    CU_ASSERT_STRING_EQUAL(after_a_cut("sub", "k"), "safe");
    bitcask_partition_close(&sub);
    bitcask_partition_close(&root);
    CU_ASSERT_NOT_EQUAL(bitcask_close(&db), BITCASK_OK); /* it could not keep its word */
    CU_ASSERT_PTR_NULL(db);
    open_on(sim, BITCASK_SYNC_OS, 0);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    EXPECT(BITCASK_OK, put_text(sub, "new", "works", BITCASK_DURABLE));
    /* What was read back must be as durable as what is acknowledged behind it: the page cache lied once. */
    char seen[32];
    snprintf(seen, sizeof seen, "%s", get_text(sub, "k"));
    CU_ASSERT_STRING_EQUAL(after_a_cut("sub", "k"), seen);
    CU_ASSERT_STRING_EQUAL(after_a_cut("sub", "new"), "works");
    bitcask_partition_close(&sub);
    end();
}

static void read_error_is_an_error_and_passes(void)
{
    bitcask_value *value = NULL;
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    bc_sim_fail(sim, BC_SIM_PREAD, 1, EIO, false);
    EXPECT(BITCASK_IO, bitcask_get(root, "k", 1, &value));
    CU_ASSERT_PTR_NULL(value);
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "v");
    end();
}

static void store_works_with_short_transfers(void)
{
    begin(BITCASK_SYNC_OS);
    bc_sim_set_short(sim, 7);
    for (int i = 0; i < 5; i++) EXPECT(BITCASK_OK, put_text(root, "k", "a value longer than seven bytes", 0));
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    open_on(sim, BITCASK_SYNC_OS, 0);
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "a value longer than seven bytes");
    end();
}

struct waiter {
    struct bc_partition *instance;
    bitcask_status status;
};

static void *wait_for_sync(void *argument)
{
    struct waiter *waiter = argument;
    waiter->status = bc_partition_sync_to(waiter->instance, UINT64_MAX >> 1);
    return NULL;
}

/* One thread is about to sync when the sync of another fails: its own would succeed, with the pages gone. Should it
 * come late it finds the partition poisoned, and the test passes as well. */
static void sync_begun_before_another_failed_does_not_succeed(void)
{
    struct waiter waiter = {.status = BITCASK_OK};
    pthread_t thread;
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    EXPECT(BITCASK_OK, bc_node_pin(root, &waiter.instance));
    bc_fair_lock_soon(&waiter.instance->write_lock);
    if (pthread_create(&thread, NULL, wait_for_sync, &waiter) != 0) exit(99);
    nanosleep(&(struct timespec){0, 50000000}, NULL); /* to the write lock */
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, false);
    EXPECT(BITCASK_IO, bc_partition_sync_locked(waiter.instance));
    bc_fair_unlock(&waiter.instance->write_lock);
    pthread_join(thread, NULL);
    EXPECT(BITCASK_POISONED, waiter.status);
    bc_node_unpin(root);
    bitcask_partition_close(&root);
    CU_ASSERT_NOT_EQUAL(bitcask_close(&db), BITCASK_OK);
    bc_sim_close(&sim);
}

static void cut_of_a_failed_append_is_synced(void)
{
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "k", "old", 0));
    uint64_t before = syncs();
    bc_sim_set_short(sim, 20);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 2, EIO, false);
    EXPECT(BITCASK_IO, put_text(root, "k", "new", 0));
    bc_sim_set_short(sim, 0);
    CU_ASSERT_EQUAL(syncs() - before, 1);
    EXPECT(BITCASK_OK, put_text(root, "k", "newer", 0));
    end();
}

static void append_that_cannot_be_cut_back_poisons(void)
{
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(root, "k", "old", BITCASK_DURABLE));
    bc_sim_set_short(sim, 20);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 2, EIO, false);
    bc_sim_fail(sim, BC_SIM_TRUNCATE, 1, EIO, false);
    EXPECT(BITCASK_IO, put_text(root, "k", "new", 0));
    bc_sim_set_short(sim, 0);
    EXPECT(BITCASK_POISONED, put_text(root, "l", "v", 0));
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "old");
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
    open_on(sim, BITCASK_SYNC_OS, 0);
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "old");
    EXPECT(BITCASK_OK, put_text(root, "l", "v", 0));
    end();
}

/* The mark of the last close was never synced. Where it spans two sectors a power cut may tear it, and keep what the
 * next session appended behind it. */
static void closing_mark_torn_by_a_power_cut_is_no_rot(void)
{
    char value[600];
    memset(value, 'v', sizeof value);
    for (size_t size = 330; size < 500; size += 4) {
        begin(BITCASK_SYNC_OS);
        EXPECT(BITCASK_OK, bitcask_put(root, "k", 1, value, size, NULL, NULL));
        end_keeping_disk();
        open_on(sim, BITCASK_SYNC_OS, 0);
        EXPECT(BITCASK_OK, bitcask_put(root, "l", 1, value, sizeof value, NULL, NULL));
        for (uint64_t seed = 0; seed < 12; seed++) {
            struct bc_sim *now = sim, *cut = bc_sim_power_cut(sim, BC_SIM_CUT_RANDOM, seed);
            bitcask *was = db;
            bitcask_partition *was_root = root;
            bitcask_stats stats = {0};
            open_on(cut, BITCASK_SYNC_OS, 0);
            CU_ASSERT_EQUAL(strlen(get_text(root, "k")), size);
            EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
            CU_ASSERT_EQUAL(stats.damaged_regions, 0);
            end();
            sim = now;
            db = was;
            root = was_root;
        }
        end();
    }
}

static void files_of_a_dropped_partition_stay_until_that_is_durable(void)
{
    bitcask_partition *sub = NULL;
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "k", "v", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, delete_text(sub, "k", BITCASK_DURABLE));
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "sub", 3, 0));
    uint64_t removed = bc_sim_calls(sim, BC_SIM_UNLINK);
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, true);
    CU_ASSERT_NOT_EQUAL(bitcask_sync(db), BITCASK_OK);
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 0, 0, false);
    CU_ASSERT_NOT_EQUAL(bitcask_sync(db), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_sim_calls(sim, BC_SIM_UNLINK), removed);
    bitcask_partition_close(&root);
    CU_ASSERT_NOT_EQUAL(bitcask_close(&db), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_sim_calls(sim, BC_SIM_UNLINK), removed);
    bc_sim_close(&sim);
}

/* ---- several renames in one call ---- */

static bitcask_move_item item(bitcask_partition *from, const char *from_key, bitcask_partition *to, const char *to_key,
                              unsigned flags)
{
    return (bitcask_move_item){.from = from,
                               .from_key = from_key,
                               .from_key_size = strlen(from_key),
                               .to = to,
                               .to_key = to_key,
                               .to_key_size = strlen(to_key),
                               .flags = flags};
}

static void renames_of_one_call_see_those_before_them(void)
{
    bitcask_partition *a = NULL, *b = NULL, *c = NULL;
    size_t done = 0;
    begin(BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "a", 1, NULL, 0, &a));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "b", 1, NULL, 0, &b));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "c", 1, NULL, 0, &c));
    EXPECT(BITCASK_OK, put_text(a, "x", "1", 0));
    EXPECT(BITCASK_OK, put_text(a, "y", "2", 0));
    bitcask_move_item chain[] = {item(a, "x", b, "x", 0), item(b, "x", c, "z", 0)};
    EXPECT(BITCASK_OK, bitcask_move(db, chain, 2, &done));
    CU_ASSERT_EQUAL(done, 2);
    CU_ASSERT_STRING_EQUAL(get_text(b, "x"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(c, "z"), "1");
    bitcask_move_item twice[] = {item(a, "y", b, "y", 0), item(a, "y", c, "y", 0)};
    EXPECT(BITCASK_NOT_FOUND, bitcask_move(db, twice, 2, &done));
    CU_ASSERT_EQUAL(done, 1);
    CU_ASSERT_STRING_EQUAL(get_text(c, "y"), "-");
    bitcask_move_item taken[] = {item(b, "y", a, "t", 0), item(c, "z", a, "t", BITCASK_NOREPLACE)};
    EXPECT(BITCASK_EXISTS, bitcask_move(db, taken, 2, &done));
    CU_ASSERT_STRING_EQUAL(get_text(a, "t"), "2");
    bitcask_move_item loop[] = {item(root, "a", b, "a", 0), item(root, "b", a, "b", 0)};
    EXPECT(BITCASK_LOOP, bitcask_move(db, loop, 2, &done));
    CU_ASSERT_EQUAL(done, 1);
    /* An empty partition may be replaced; not by two, one of which is in it by then. */
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "e", 1, NULL, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "f", 1, NULL, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_partition_create(c, "g", 1, NULL, 0, NULL));
    bitcask_move_item onto[] = {item(root, "e", c, "g", 0), item(root, "f", c, "g", 0)};
    EXPECT(BITCASK_OK, bitcask_move(db, onto, 2, &done));
    CU_ASSERT_EQUAL(done, 2);
    bitcask_partition_close(&a);
    bitcask_partition_close(&b);
    bitcask_partition_close(&c);
    end();
}

static void rename_without_room_leaves_no_half(void)
{
    char value[3000];
    bitcask_partition *a = NULL, *b = NULL;
    size_t done = 0;
    memset(value, 'v', sizeof value);
    for (uint64_t n = 1; n < 8; n++) {
        begin(BITCASK_SYNC_OS);
        EXPECT(BITCASK_OK, bitcask_partition_create(root, "a", 1, NULL, 0, &a));
        EXPECT(BITCASK_OK, bitcask_partition_create(root, "b", 1, NULL, 0, &b));
        EXPECT(BITCASK_OK, put_text(a, "x", "1", 0));
        EXPECT(BITCASK_OK, bitcask_put(a, "y", 1, value, sizeof value, NULL, NULL));
        EXPECT(BITCASK_OK, bitcask_put(b, "z", 1, value, sizeof value, NULL, NULL));
        bitcask_move_item items[] = {item(a, "x", b, "x", 0), item(a, "y", b, "y", 0), item(b, "z", a, "z", 0)};
        bc_sim_fail(sim, BC_SIM_ALLOCATE, n, ENOSPC, true);
        (void)bitcask_move(db, items, 3, &done);
        bc_sim_fail(sim, BC_SIM_ALLOCATE, 0, 0, false);
        for (size_t i = 0; i < 3; i++) {
            bool here = strcmp(get_text(items[i].from, items[i].from_key), "-") != 0;
            bool there = strcmp(get_text(items[i].to, items[i].to_key), "-") != 0;
            CU_ASSERT_EQUAL(there, i < done);
            CU_ASSERT_EQUAL(here, !there);
        }
        bitcask_partition_close(&a);
        bitcask_partition_close(&b);
        end();
    }
}

/* ---- many partitions, few open ---- */

/* What was not synced when it was to be closed is neither forgotten nor said to be durable. */
static void partition_whose_sync_fails_stays_open_and_poisoned(void)
{
    bitcask_partition *first = NULL, *other = NULL;
    char name[16];
    open_on(bc_sim_open(3), BITCASK_SYNC_OS, 4);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "first", 5, NULL, BITCASK_DURABLE, &first));
    EXPECT(BITCASK_OK, put_text(first, "k", "safe", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, put_text(first, "k", "lost", 0));
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, false);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "p%d", i);
        (void)bitcask_partition_create(root, name, strlen(name), NULL, 0, &other);
        if (other) (void)get_text(other, "k");
        bitcask_partition_close(&other);
    }
    CU_ASSERT_STRING_EQUAL(get_text(first, "k"), "lost");
    if (bitcask_partition_sync(first) == BITCASK_OK) CU_ASSERT_STRING_EQUAL(after_a_cut("first", "k"), "lost");
    CU_ASSERT(bitcask_partition_sync(first) != BITCASK_OK || put_text(first, "k", "new", 0) == BITCASK_OK);
    bitcask_partition_close(&first);
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
    bc_sim_close(&sim);
}

static void few_partitions_are_open_at_once_and_all_are_served(void)
{
    bitcask_partition *partitions[50];
    bitcask_value *pinned = NULL;
    bitcask_stats stats;
    char name[16];
    open_on(bc_sim_open(3), BITCASK_SYNC_OS, 4);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "p%d", i);
        EXPECT(BITCASK_OK, bitcask_partition_create(root, name, strlen(name), NULL, 0, &partitions[i]));
        EXPECT(BITCASK_OK, put_text(partitions[i], "k", name, 0));
        if (i == 0) EXPECT(BITCASK_OK, bitcask_pin(partitions[0], "k", 1, &pinned));
        EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
        CU_ASSERT(stats.partitions_open <= 4);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 49; i >= 0; i--) {
            snprintf(name, sizeof name, "p%d", i);
            CU_ASSERT_STRING_EQUAL(get_text(partitions[i], "k"), name);
            EXPECT(BITCASK_OK, put_text(partitions[i], "k", name, 0));
        }
    }
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT(stats.partitions_open <= 4);
    CU_ASSERT(stats.partition_opens >= 140 && stats.partition_closes >= 130);
    CU_ASSERT(bc_sim_handles(sim) < 25);
    /* One that is in use again and again stays open. */
    uint64_t opens = stats.partition_opens;
    for (int i = 0; i < 20; i++) CU_ASSERT_STRING_EQUAL(get_text(partitions[7], "k"), "p7");
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT(stats.partition_opens <= opens + 1);
    EXPECT(BITCASK_OK, bitcask_value_load(pinned));
    CU_ASSERT(bitcask_value_size(pinned) == 2 && memcmp(bitcask_value_data(pinned), "p0", 2) == 0);
    bitcask_value_unpin(&pinned);
    for (int i = 0; i < 50; i++) bitcask_partition_close(&partitions[i]);
    end();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"always syncs each write before it returns", always_syncs_each_write_before_it_returns},
        {"os policy syncs only when asked", os_policy_syncs_only_when_asked},
        {"interval policy syncs by itself", interval_policy_syncs_by_itself},
        {"durable put takes the path along", durable_put_takes_the_path_along},
        {"durable puts of many threads share syncs", durable_puts_of_many_threads_share_syncs},
        {"full disk fails the put and leaves the old value", full_disk_fails_the_put_and_leaves_the_old_value},
        {"put that failed does not come back after a crash", put_that_failed_does_not_come_back_after_a_crash},
        {"no room is found before anything is written", no_room_is_found_before_anything_is_written},
        {"failed sync poisons the partition until reopened", failed_sync_poisons_the_partition_until_reopened},
        {"read error is an error and passes", read_error_is_an_error_and_passes},
        {"store works with short transfers", store_works_with_short_transfers},
        {"sync begun before another failed does not succeed", sync_begun_before_another_failed_does_not_succeed},
        {"cut of a failed append is synced", cut_of_a_failed_append_is_synced},
        {"append that cannot be cut back poisons", append_that_cannot_be_cut_back_poisons},
        {"closing mark torn by a power cut is no rot", closing_mark_torn_by_a_power_cut_is_no_rot},
        {"files of a dropped partition stay until that is durable",
         files_of_a_dropped_partition_stay_until_that_is_durable},
        {"renames of one call see those before them", renames_of_one_call_see_those_before_them},
        {"rename without room leaves no half", rename_without_room_leaves_no_half},
        {"partition whose sync fails stays open and poisoned", partition_whose_sync_fails_stays_open_and_poisoned},
        {"few partitions are open at once and all are served", few_partitions_are_open_at_once_and_all_are_served},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("sync", tests);
}
