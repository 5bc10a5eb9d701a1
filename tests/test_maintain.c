/* test_maintain.c - merging and verifying over many partitions on command: the walk, turns, what is seen of them, the
 * pace.
 *
 * What a merge does to a partition is tested elsewhere. No check depends on how long anything takes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "held_merge.h"

/* ---- the walk ---- */

#define PERMANENT 1000u

struct visits {
    unsigned count[PERMANENT];
    unsigned others, roots; /* names that come and go; the root */
    bool out_of_order;      /* one came before its parent */
};

static bc_status visit(void *context, struct bitcask_partition *node)
{
    struct visits *visits = context;
    char name[32], *end;
    unsigned number;

    pthread_mutex_lock(&node->db->nodes_lock);
    snprintf(name, sizeof name, "%s", node->name);
    pthread_mutex_unlock(&node->db->nodes_lock);
    if (!*name) {
        visits->roots++;
    } else if (name[0] == 'p' && (number = (unsigned)strtoul(name + 1, &end, 10)) < PERMANENT && !*end) {
        /* In a chain of levels with four leaves each: the parent is the first of the five, or that of the level above.
         */
        if (number > 0 && visits->count[number % 5 == 0 ? number - 5 : number / 5 * 5] == 0)
            visits->out_of_order = true;
        visits->count[number]++;
    } else {
        visits->others++;
    }
    return BITCASK_OK;
}

struct churner {
    pthread_t thread;
    bitcask_partition *at[4];
    unsigned number;
    atomic_bool *stop;
    atomic_uint *failures;
};

/* Makes and drops names before, between and behind those that stay. */
static void *churn(void *argument)
{
    static const char *const names[] = {"a", "p5z", "p500x", "z"};
    struct churner *churner = argument;

    for (unsigned i = 0; !atomic_load(churner->stop); i++) {
        bitcask_partition *parent = churner->at[i % 4], *made = NULL;
        char name[32];
        size_t size = (size_t)snprintf(name, sizeof name, "%s-%u", names[i / 4 % 4], churner->number);

        if (bitcask_partition_create(parent, name, size, NULL, 0, &made) != BITCASK_OK ||
            put_text(made, "key", "value", 0) != BITCASK_OK || delete_text(made, "key", 0) != BITCASK_OK ||
            bitcask_partition_drop(parent, name, size, 0) != BITCASK_OK) {
            fprintf(stderr, "churn: %s\n", bitcask_error_detail());
            atomic_fetch_add(churner->failures, 1);
            break;
        }
        bitcask_partition_close(&made);
    }
    return NULL;
}

static void walk_visits_each_of_a_thousand_once_beside_creating_and_dropping(void)
{
    const char *path = fixture_path("chain");
    bitcask *db = open_store(path, false, 8);
    bitcask_partition *root = open_partition(db, ""), *at[PERMANENT];
    struct churner churners[2];
    atomic_bool stop = false;
    atomic_uint failures = 0;

    for (unsigned i = 0; i < PERMANENT; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%u", i);
        at[i] = make_partition(i == 0 ? root : at[i % 5 == 0 ? i - 5 : i / 5 * 5], name);
    }
    for (unsigned i = 0; i < 2; i++) {
        churners[i] = (struct churner){
            .at = {root, at[5], at[400 + i], at[PERMANENT - 1]}, .number = i, .stop = &stop, .failures = &failures};
        if (pthread_create(&churners[i].thread, NULL, churn, &churners[i]) != 0) exit(99);
    }
    for (unsigned round = 0; round < fixture_number("ROUNDS", 3); round++) {
        static struct visits visits;
        unsigned wrong = 0;

        memset(&visits, 0, sizeof visits);
        EXPECT(BITCASK_OK, bc_nodes_walk(root, true, visit, &visits));
        for (unsigned i = 0; i < PERMANENT; i++) wrong += visits.count[i] != 1;
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_EQUAL(visits.roots, 1);
        CU_ASSERT_FALSE(visits.out_of_order);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++) pthread_join(churners[i].thread, NULL);
    CU_ASSERT_EQUAL(atomic_load(&failures), 0);
    for (unsigned i = 0; i < PERMANENT; i++) bitcask_partition_close(&at[i]);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static void walk_finds_partitions_among_many_keys(void)
{
    const char *path = fixture_path("wide");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *wide = make_partition(root, "wide"), *made;
    static struct visits visits;
    unsigned wrong = 0;

    for (unsigned i = 0; i < 3 * PERMANENT; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%u", i);
        EXPECT(BITCASK_OK, put_text(wide, name, "", 0));
        snprintf(name, sizeof name, "q%u", i);
        EXPECT(BITCASK_OK, put_text(wide, name, "", 0));
    }
    for (unsigned i = 0; i < PERMANENT; i += 10) {
        char name[16];
        snprintf(name, sizeof name, "p%u", i);
        made = make_partition(wide, name);
        bitcask_partition_close(&made);
    }
    made = make_partition(wide, "z");
    bitcask_partition_close(&made);
    memset(&visits, 0, sizeof visits);
    EXPECT(BITCASK_OK, bc_nodes_walk(root, true, visit, &visits));
    for (unsigned i = 0; i < PERMANENT; i++) wrong += visits.count[i] != (i % 10 == 0);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(visits.others, 2);
    memset(&visits, 0, sizeof visits);
    EXPECT(BITCASK_OK, bc_nodes_walk(root, false, visit, &visits));
    CU_ASSERT(visits.roots == 1 && visits.others == 0);
    EXPECT(BITCASK_OK, bitcask_partition_drop(wide, "z", 1, 0));
    bitcask_partition_close(&wide);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

/* ---- merges and verifies on command ---- */

static void merge_below_reaches_all_and_is_accounted_beyond_a_close(void)
{
    const char *path = fixture_path("below");
    bitcask *db = open_store(path, false, 4);
    bitcask_partition *root = open_partition(db, ""), *below[6];
    bitcask_merge_options options = {.flags = BITCASK_BELOW};
    bitcask_merge_result result;
    bitcask_activity activity;
    bitcask_stats stats;

    for (unsigned i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "b%u", i);
        below[i] = make_partition(i % 2 ? below[i - 1] : root, name);
        make_garbage(below[i]);
    }
    EXPECT(BITCASK_OK, bitcask_merge(below[0], NULL, &result));
    CU_ASSERT(result.merges > 0 && result.segments_in > 0 && result.bytes_out < result.bytes_in);
    CU_ASSERT(dead_bytes(below[1]) > 100000);
    EXPECT(BITCASK_OK, bitcask_merge(root, &options, &result));
    CU_ASSERT(result.merges >= 5);
    CU_ASSERT_EQUAL(result.damaged, 0);
    bitcask_get_activity(db, &activity);
    CU_ASSERT(!activity.scheduler && !activity.merge.running && activity.merges_waiting == 0);
    CU_ASSERT_EQUAL(activity.merge.status, BITCASK_OK);
    CU_ASSERT_EQUAL(activity.merge.result.merge.merges, result.merges);
    CU_ASSERT(activity.merge.ended_ns > 0 && activity.merge.bytes_done == activity.merge.bytes_total);
    CU_ASSERT_EQUAL(activity.verify.ended_ns, 0);
    /* At most 4 are open at once, so most have been closed. */
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT(stats.merges >= 6 && stats.merge_ns > 0 && stats.merge_reclaimed_bytes > 6 * 100000);
    CU_ASSERT(stats.last_merge_ns > 0 && stats.last_merge_ns <= activity.merge.ended_ns);
    for (unsigned i = 0; i < 6; i++) bitcask_partition_close(&below[i]);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static void rotate_seals_what_is_not_empty(void)
{
    const char *path = fixture_path("rotate");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *a = make_partition(root, "a"), *b = make_partition(a, "b");
    bitcask_stats stats;

    EXPECT(BITCASK_OK, put_text(a, "k", "v", 0));
    EXPECT(BITCASK_OK, put_text(b, "k", "v", 0));
    for (int twice = 0; twice < 2; twice++) {
        EXPECT(BITCASK_OK, bitcask_rotate(a, 0));
        EXPECT(BITCASK_OK, bitcask_partition_stats(a, &stats));
        CU_ASSERT_EQUAL(stats.segments, 2);
        EXPECT(BITCASK_OK, bitcask_partition_stats(b, &stats));
        CU_ASSERT_EQUAL(stats.segments, 1);
    }
    EXPECT(BITCASK_OK, bitcask_rotate(root, BITCASK_BELOW));
    EXPECT(BITCASK_OK, bitcask_partition_stats(b, &stats));
    CU_ASSERT_EQUAL(stats.segments, 2);
    EXPECT(BITCASK_OK, delete_text(b, "k", 0));
    EXPECT(BITCASK_OK, bitcask_partition_drop(a, "b", 1, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_rotate(b, 0));
    EXPECT(BITCASK_NOT_FOUND, bitcask_merge(b, NULL, NULL));
    EXPECT(BITCASK_NOT_FOUND, bitcask_verify(b, NULL, NULL));
    bitcask_partition_close(&b);
    bitcask_partition_close(&a);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static void read_only_store_is_verified_and_not_merged(void)
{
    const char *path = fixture_path("reader");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, "");
    bitcask_options options;
    bitcask_verify_result result;
    bitcask_activity activity;

    make_garbage(root);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    bitcask_options_init(&options);
    options.read_only = true;
    options.scheduler = true;
    options.merge_bytes_per_s = 4095;
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_open(path, &options, &db));
    options.merge_bytes_per_s = 4096;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    root = open_partition(db, "");
    EXPECT(BITCASK_READ_ONLY, bitcask_merge(root, NULL, NULL));
    EXPECT(BITCASK_READ_ONLY, bitcask_rotate(root, 0));
    EXPECT(BITCASK_READ_ONLY, bitcask_set_scheduler(db, true));
    EXPECT(BITCASK_OK, bitcask_verify(root, NULL, &result));
    CU_ASSERT(result.partitions == 1 && result.damage == 0 && result.bytes > 100000);
    bitcask_get_activity(db, &activity);
    CU_ASSERT(!activity.scheduler && activity.merge_bytes_per_s == 4096 && activity.merge.ended_ns == 0);
    CU_ASSERT(!activity.verify.running && activity.verify.ended_ns > 0);
    CU_ASSERT_EQUAL(activity.verify.result.verify.bytes, result.bytes);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static bool stop_at_once(void *context, const bitcask_finding *finding)
{
    (void)finding;
    ++*(unsigned *)context;
    return false;
}

/* a, a/b and c, of which a does not open: its header is damaged. */
static bitcask *open_with_a_damaged_partition(const char *path)
{
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *a = make_partition(root, "a"), *b = make_partition(a, "b"),
                      *c = make_partition(root, "c");
    bitcask_entry entry;
    const char *file;
    uint8_t *bytes;
    size_t size;

    make_garbage(b);
    make_garbage(c);
    EXPECT(BITCASK_OK, bitcask_stat(root, "a", 1, &entry));
    file = fixture_partition_file(path, entry.partition_id, "active.data");
    bitcask_partition_close(&c);
    bitcask_partition_close(&b);
    bitcask_partition_close(&a);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    bytes = fixture_read(file, &size);
    bytes[9] ^= 0x40;
    fixture_write(file, bytes, size);
    free(bytes);
    return open_store(path, false, 0);
}

static void damaged_partition_does_not_keep_the_others_from_being_worked_at(void)
{
    const char *path = fixture_path("damaged");
    bitcask *db = open_with_a_damaged_partition(path);
    bitcask_partition *root = open_partition(db, ""), *c = open_partition(db, "c");
    bitcask_verify_result verified;
    bitcask_merge_result merged;
    bitcask_activity activity;
    unsigned findings = 0;
    bitcask_verify_options verify = {.flags = BITCASK_BELOW};
    bitcask_merge_options merge = {.flags = BITCASK_BELOW};

    EXPECT(BITCASK_OK, bitcask_verify(root, &verify, &verified));
    CU_ASSERT(verified.damage > 0);
    CU_ASSERT_EQUAL(verified.partitions, 4); /* the root, a, c, the store's own; b cannot be found */
    verify.found = stop_at_once;
    verify.context = &findings;
    EXPECT(BITCASK_CANCELLED, bitcask_verify(root, &verify, &verified));
    CU_ASSERT_EQUAL(findings, 1);
    bitcask_get_activity(db, &activity);
    CU_ASSERT_EQUAL(activity.verify.status, BITCASK_CANCELLED);
    EXPECT(BITCASK_CORRUPT, bitcask_rotate(root, BITCASK_BELOW));
    EXPECT(BITCASK_CORRUPT, bitcask_merge(root, &merge, &merged));
    CU_ASSERT(merged.merges > 0 && dead_bytes(c) < 70000);
    bitcask_get_activity(db, &activity);
    CU_ASSERT(activity.merge.status == BITCASK_CORRUPT && *activity.merge.detail);
    bitcask_partition_close(&c);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

/* ---- turns, and what is seen of them ---- */

static bool three_wait(void *context)
{
    bitcask_activity activity;
    bitcask_get_activity(context, &activity);
    return activity.merges_waiting == 3;
}

static bool is_done(void *context)
{
    return atomic_load(&((struct merger *)context)->done);
}

static void one_merge_at_a_time_and_who_waits_can_be_cancelled(void)
{
    const char *path = fixture_path("turns");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *deep = make_partition(root, "deep");
    static struct merger mergers[4];
    bitcask_activity activity;

    make_garbage(deep);
    make_garbage(root);
    atomic_store(&held_merge_hold, true);
    start_merger(&mergers[0], deep, 0);
    CU_ASSERT(wait_for(is_held, NULL));
    for (int i = 1; i < 4; i++) start_merger(&mergers[i], root, 0);
    CU_ASSERT(wait_for(three_wait, db));
    bitcask_get_activity(db, &activity);
    CU_ASSERT(activity.merge.running && strcmp(activity.merge.path, "deep") == 0 && activity.merge.ended_ns == 0);
    CU_ASSERT(activity.merge.elapsed_ns > 0 && activity.merge.bytes_done <= activity.merge.bytes_total);
    /* Nothing but merges waits. */
    EXPECT(BITCASK_OK, put_text(deep, "other", "value", 0));
    EXPECT(BITCASK_OK, bitcask_verify(root, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_rotate(root, BITCASK_BELOW));
    CU_ASSERT_STRING_EQUAL(get_text(deep, "other"), "value");
    atomic_store(&mergers[3].cancel, true);
    CU_ASSERT(wait_for(is_done, &mergers[3]));
    EXPECT(BITCASK_CANCELLED, end_merger(&mergers[3]));
    CU_ASSERT_FALSE(atomic_load(&mergers[0].done));
    atomic_store(&mergers[0].cancel, true);
    EXPECT(BITCASK_CANCELLED, end_merger(&mergers[0]));
    CU_ASSERT_EQUAL(mergers[0].result.merges, 0);
    atomic_store(&held_merge_hold, false);
    EXPECT(BITCASK_OK, end_merger(&mergers[1]));
    EXPECT(BITCASK_OK, end_merger(&mergers[2]));
    CU_ASSERT(mergers[1].result.merges + mergers[2].result.merges > 0);
    CU_ASSERT(atomic_load(&mergers[1].told) > 0 && atomic_load(&mergers[2].told) > 0);
    CU_ASSERT(dead_bytes(deep) > 100000);
    bitcask_partition_close(&deep);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static void deletion_of_a_partition_ends_its_merge_and_only_that(void)
{
    const char *path = fixture_path("dropped");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *a = make_partition(root, "a"), *b = make_partition(root, "b");
    static struct merger merger;

    make_garbage(a);
    make_garbage(b);
    atomic_store(&held_merge_hold, true);
    start_merger(&merger, root, BITCASK_BELOW);
    CU_ASSERT(wait_for(is_held, NULL));
    EXPECT(BITCASK_OK, delete_text(a, "k", 0));
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "a", 1, 0)); /* it comes back while merges are held */
    CU_ASSERT(wait_for(is_held, NULL));
    CU_ASSERT_FALSE(atomic_load(&merger.done));
    atomic_store(&held_merge_hold, false);
    EXPECT(BITCASK_OK, end_merger(&merger));
    CU_ASSERT(merger.result.merges > 0 && dead_bytes(b) < 70000);
    bitcask_partition_close(&b);
    bitcask_partition_close(&a);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

/* ---- the pace ---- */

static void merge_stands_back_for_a_moment_behind_reads_and_writes(void)
{
    const char *path = fixture_path("pace");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, "");
    struct bc_work work = {.kind = BITCASK_WORK_MERGE, .db = db};
    uint64_t before;

    EXPECT(BITCASK_OK, put_text(root, "k", "v", BITCASK_DURABLE));
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "v");
    CU_ASSERT_EQUAL(bc_stripes_sum(&db->foreground), 0);
    EXPECT(BITCASK_OK, bc_work_begin(&work));
    bc_stripes_add(&db->foreground, 1);
    before = bc_monotonic_ns();
    CU_ASSERT_TRUE(bc_work_pace(&work, 100));
    CU_ASSERT(bc_monotonic_ns() - before >= 9000000);
    bc_stripes_take_off(&db->foreground, 1);
    /* The first 256 KiB go at once; each 64 KiB more take an eighth of a second. */
    EXPECT(BITCASK_OK, bitcask_set_throttle(db, 512 * 1024));
    before = bc_monotonic_ns();
    for (int i = 0; i < 6; i++) CU_ASSERT_TRUE(bc_work_pace(&work, 64 * 1024));
    CU_ASSERT(bc_monotonic_ns() - before >= 240000000);
    /* A debt of hours is forgotten when the limit goes. */
    EXPECT(BITCASK_OK, bitcask_set_throttle(db, 4096));
    CU_ASSERT_EQUAL(bc_throttle_take(&db->maintenance->throttle, bc_monotonic_ns(), 1ull << 30) > 0, true);
    EXPECT(BITCASK_BAD_ARGUMENT, bitcask_set_throttle(db, 4095));
    EXPECT(BITCASK_OK, bitcask_set_throttle(db, 0));
    CU_ASSERT_TRUE(bc_work_pace(&work, 1ull << 40));
    bc_work_end(&work, BITCASK_OK, NULL, NULL);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static bool owes(void *context)
{
    bitcask_activity activity;
    bitcask_get_activity(context, &activity);
    return activity.merge.running && activity.merge.bytes_done > 0;
}

static bool is_told(void *context)
{
    return atomic_load(&((struct merger *)context)->told) > 0;
}

static void wait_for_the_throttle_is_ended_by_the_caller_and_by_a_new_limit(void)
{
    const char *path = fixture_path("throttled");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *data = make_partition(root, "data");
    static struct merger merger;
    static char value[30000];

    for (int i = 0; i < 40; i++) {
        char key[16];
        size_t size = (size_t)snprintf(key, sizeof key, "k%d", i);
        EXPECT(BITCASK_OK, bitcask_put(data, key, size, value, sizeof value, NULL, NULL));
    }
    EXPECT(BITCASK_OK, bitcask_set_throttle(db, 4096)); /* four minutes */
    start_merger(&merger, data, BITCASK_MERGE_FULL);
    CU_ASSERT(wait_for(owes, db));
    atomic_store(&merger.cancel, true);
    EXPECT(BITCASK_CANCELLED, end_merger(&merger));
    /* Years are owed, and forgiven while they are waited for. */
    (void)bc_throttle_take(&db->maintenance->throttle, bc_monotonic_ns(), 1ull << 50);
    start_merger(&merger, data, BITCASK_MERGE_FULL);
    CU_ASSERT(wait_for(is_told, &merger));
    EXPECT(BITCASK_OK, bitcask_set_throttle(db, 0));
    EXPECT(BITCASK_OK, end_merger(&merger));
    CU_ASSERT(merger.result.merges > 0);
    bitcask_partition_close(&data);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"walk visits each of a thousand once beside creating and dropping",
         walk_visits_each_of_a_thousand_once_beside_creating_and_dropping},
        {"walk finds partitions among many keys", walk_finds_partitions_among_many_keys},
        {"merge below reaches all and is accounted beyond a close",
         merge_below_reaches_all_and_is_accounted_beyond_a_close},
        {"rotate seals what is not empty", rotate_seals_what_is_not_empty},
        {"read-only store is verified and not merged", read_only_store_is_verified_and_not_merged},
        {"damaged partition does not keep the others from being worked at",
         damaged_partition_does_not_keep_the_others_from_being_worked_at},
        {"one merge at a time and who waits can be cancelled", one_merge_at_a_time_and_who_waits_can_be_cancelled},
        {"deletion of a partition ends its merge and only that", deletion_of_a_partition_ends_its_merge_and_only_that},
        {"merge stands back for a moment behind reads and writes",
         merge_stands_back_for_a_moment_behind_reads_and_writes},
        {"wait for the throttle is ended by the caller and by a new limit",
         wait_for_the_throttle_is_ended_by_the_caller_and_by_a_new_limit},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("maintain", tests);
}
