/* test_scheduler.c - the thread that merges in the background: it finds what is worth it, and stops when told.
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

/* ---- the scheduler ---- */

static bool is_clean(void *context)
{
    return dead_bytes(context) < 70000;
}

static void scheduler_merges_what_is_open_and_opens_nothing(void)
{
    const char *path = fixture_path("scheduler");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *a = make_partition(root, "a"), *b = make_partition(root, "b");
    bitcask_stats stats;
    bitcask_activity activity;
    uint64_t opens;

    make_garbage(a);
    make_garbage(b);
    bitcask_partition_close(&a);
    bitcask_partition_close(&b);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    db = open_store(path, true, 0);
    b = open_partition(db, "b");
    CU_ASSERT(dead_bytes(b) > 0); /* opens it */
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    opens = stats.partition_opens;
    CU_ASSERT(wait_for(is_clean, b));
    CU_ASSERT(wait_for(merge_rests, db));
    bitcask_get_activity(db, &activity);
    CU_ASSERT(activity.scheduler && activity.merge.status == BITCASK_OK && strcmp(activity.merge.path, "b") == 0);
    CU_ASSERT(activity.merge.result.merge.merges > 0);
    /* New garbage is found as well, of the partition that has been looked at before. */
    make_garbage(b);
    CU_ASSERT(wait_for(is_clean, b));
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT_EQUAL(stats.partition_opens, opens);
    CU_ASSERT(stats.merges > 0);
    EXPECT(BITCASK_OK, bitcask_set_scheduler(db, false));
    bitcask_get_activity(db, &activity);
    CU_ASSERT_FALSE(activity.scheduler);
    bitcask_partition_close(&b);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static void scheduler_starts_and_is_cancelled_a_thousand_times(void)
{
    const char *path = fixture_path("switch");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, "");
    bitcask_activity activity;
    uint64_t rng = 1;
    unsigned before = atomic_load(&held_merge_calls), seen = 0;

    make_garbage(root);
    atomic_store(&held_merge_hold, true);
    for (unsigned i = 0; i < fixture_number("ROUNDS", 1000); i++) {
        EXPECT(BITCASK_OK, bitcask_set_scheduler(db, true));
        if (i % 20 == 0) CU_ASSERT(wait_for(merge_runs, db));
        if (fixture_below(&rng, 2)) EXPECT(BITCASK_OK, bitcask_set_scheduler(db, true));
        EXPECT(BITCASK_OK, bitcask_set_scheduler(db, false));
        bitcask_get_activity(db, &activity);
        CU_ASSERT_FALSE(activity.scheduler);
        if (i % 20 == 1) CU_ASSERT(wait_for(merge_rests, db));
        seen += activity.merge.status == BITCASK_CANCELLED;
    }
    CU_ASSERT(wait_for(merge_rests, db));
    CU_ASSERT(atomic_load(&held_merge_calls) > before && seen > 0);
    CU_ASSERT(dead_bytes(root) > 100000);
    /* Off means off. */
    atomic_store(&held_merge_hold, false);
    EXPECT(BITCASK_OK, bitcask_merge(root, NULL, NULL));
    CU_ASSERT(dead_bytes(root) < 70000);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    atomic_store(&held_merge_hold, true);
    for (unsigned i = 0; i < fixture_number("ROUNDS", 1000) / 20; i++) {
        db = open_store(path, true, 0);
        root = open_partition(db, "");
        if (i == 0) make_garbage(root);
        CU_ASSERT(dead_bytes(root) < UINT64_MAX);
        if (i % 5 == 0 && i < 10) CU_ASSERT(wait_for(is_held, NULL));
        bitcask_partition_close(&root);
        EXPECT(BITCASK_OK, bitcask_close(&db)); /* comes back while the merge is held */
        CU_ASSERT_EQUAL(atomic_load(&held_merges), 0);
    }
    atomic_store(&held_merge_hold, false);
    fixture_remove(path);
}

static void scheduler_lets_others_have_their_turn_and_their_partitions_go(void)
{
    const char *path = fixture_path("gives-way");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *a = make_partition(root, "a"), *b = make_partition(root, "b");
    bitcask_activity activity;
    static struct merger merger;

    make_garbage(a);
    atomic_store(&held_merge_hold, true);
    EXPECT(BITCASK_OK, bitcask_set_scheduler(db, true));
    CU_ASSERT(wait_for(is_held, NULL));
    EXPECT(BITCASK_OK, delete_text(a, "k", 0));
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "a", 1, 0));
    CU_ASSERT(wait_for(merge_rests, db));
    bitcask_get_activity(db, &activity);
    CU_ASSERT(activity.merge.status == BITCASK_OK && activity.merge.ended_ns == 0); /* passed over in silence */
    bitcask_partition_close(&a);
    make_garbage(b);
    CU_ASSERT(wait_for(is_held, NULL));
    start_merger(&merger, b, 0);
    atomic_store(&held_merge_hold, false);
    EXPECT(BITCASK_OK, end_merger(&merger));
    CU_ASSERT(wait_for(is_clean, b));
    bitcask_partition_close(&b);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static atomic_uint lines;

static void count_line(void *context, bitcask_log_level level, const char *line)
{
    (void)context;
    if (level == BITCASK_LOG_ERROR && strstr(line, "as the test wants it") && strstr(line, "'bad'"))
        atomic_fetch_add(&lines, 1);
}

static bool was_said(void *context)
{
    (void)context;
    return atomic_load(&lines) > 0;
}

static void failed_merge_is_said_once_and_left_alone_for_a_while(void)
{
    const char *path = fixture_path("failing");
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_partition *root, *bad, *good;
    unsigned before;

    bitcask_options_init(&options);
    options.create = true;
    options.segment_size = 65536;
    options.scheduler = true;
    options.log = count_line;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    root = open_partition(db, "");
    bad = make_partition(root, "bad");
    good = make_partition(root, "good");
    before = atomic_load(&held_merge_calls);
    atomic_store(&held_merge_failure, BITCASK_IO);
    make_garbage(bad);
    make_garbage(bad);
    CU_ASSERT(wait_for(was_said, NULL));
    atomic_store(&held_merge_failure, BITCASK_OK);
    CU_ASSERT_EQUAL(atomic_load(&held_merge_calls), before + 1);
    /* Others are merged meanwhile, though they gain less. */
    make_garbage(good);
    CU_ASSERT(wait_for(is_clean, good));
    CU_ASSERT(dead_bytes(bad) > 100000);
    CU_ASSERT(bad->merge_not_before_ns > bc_monotonic_ns());
    CU_ASSERT_EQUAL(atomic_load(&lines), 1);
    bitcask_partition_close(&bad);
    bitcask_partition_close(&good);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static void ignore(void *context, struct bitcask_partition *node, struct bc_partition *instance)
{
    (void)node;
    (void)instance;
    ++*(unsigned *)context;
}

static void looking_at_partitions_does_not_make_them_look_used(void)
{
    const char *path = fixture_path("peek");
    bitcask *db = open_store(path, false, 0);
    bitcask_partition *root = open_partition(db, ""), *a = make_partition(root, "a"), *b = make_partition(root, "b");
    uint64_t last_use[2];
    unsigned seen = 0;

    EXPECT(BITCASK_OK, put_text(b, "k", "v", 0));
    EXPECT(BITCASK_OK, put_text(a, "k", "v", 0));
    last_use[0] = a->last_use;
    last_use[1] = b->last_use;
    EXPECT(BITCASK_OK, bc_nodes_peek(db, ignore, &seen));
    CU_ASSERT_EQUAL(seen, 4);
    CU_ASSERT_EQUAL(a->last_use, last_use[0]);
    CU_ASSERT_EQUAL(b->last_use, last_use[1]);
    bitcask_partition_close(&a);
    bitcask_partition_close(&b);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"scheduler merges what is open and opens nothing", scheduler_merges_what_is_open_and_opens_nothing},
        {"scheduler starts and is cancelled a thousand times", scheduler_starts_and_is_cancelled_a_thousand_times},
        {"scheduler lets others have their turn and their partitions go",
         scheduler_lets_others_have_their_turn_and_their_partitions_go},
        {"failed merge is said once and left alone for a while", failed_merge_is_said_once_and_left_alone_for_a_while},
        {"looking at partitions does not make them look used", looking_at_partitions_does_not_make_them_look_used},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("scheduler", tests);
}
