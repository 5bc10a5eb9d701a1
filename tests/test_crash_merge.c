/* test_crash_merge.c - scripts that seal, merge and reopen, the power cut at every change of the simulated disk, or a
 * call failing at every call. See crash_drive.h. SEED varies the random parts, CRASH_SCRIPTS (default 2, with LONG=1
 * 20) is how many random scripts there are.
 */
#include <stdio.h>
#include <time.h>

#include "crash_drive.h"

static void reopen(struct world *world)
{
    world_close(world);
    world_open(world, false);
}

/* ---- the scripts ---- */

/* Newer segments are merged first: their tombstones have puts in an older one. Then all of it. */
static void deletes_of_older_puts(struct world *world)
{
    for (int i = 5; i >= 1; i--) world_put(world, WORLD_ROOT, i, 0);
    world_rotate(world, WORLD_ROOT);
    world_delete(world, WORLD_ROOT, 2, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 1, 0);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 3, 0);
    world_delete(world, WORLD_ROOT, 4, 0);
    world_put(world, WORLD_ROOT, 6, BITCASK_DURABLE);
    world_delete(world, WORLD_ROOT, 6, 0);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 8, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 9, BITCASK_DURABLE);
    world_merge_run(world, WORLD_ROOT, 1, 2);
    world_put(world, WORLD_ROOT, 2, 0);
    reopen(world);
    world_delete(world, WORLD_ROOT, 2, BITCASK_DURABLE);
    world_merge(world, WORLD_ROOT, BC_MERGE_FULL);
    world_put(world, WORLD_ROOT, 4, 0);
}

/* What takes the place of a merged record is in the active segment, and not durable. */
static void merges_beside_unsynced_writes(struct world *world)
{
    for (int i = 1; i <= 4; i++) world_put(world, WORLD_ROOT, i, BITCASK_DURABLE);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 1, 0);
    world_delete(world, WORLD_ROOT, 2, 0);
    world_merge_run(world, WORLD_ROOT, 0, 1);
    world_delete(world, WORLD_ROOT, 3, 0);
    world_batch(world, WORLD_ROOT, (int[]){4, 5, 1}, 2, 3, 0);
    world_merge_run(world, WORLD_ROOT, 0, 1);
    world_put(world, WORLD_ROOT, 3, 0);
    world_rotate(world, WORLD_ROOT);
    world_delete(world, WORLD_ROOT, 3, 0);
    world_delete(world, WORLD_ROOT, 4, 0);
    world_delete(world, WORLD_ROOT, 5, 0);
    world_merge_run(world, WORLD_ROOT, 0, 2);
}

/* Each output is an input of the next one, in both directions; a segment older than all stays for long. */
static void chains_of_merges(struct world *world)
{
    for (int i = 1; i <= 5; i++) {
        world_put(world, WORLD_ROOT, 1, 0);
        world_put(world, WORLD_ROOT, i + 10, 0);
        if (i > 1) world_delete(world, WORLD_ROOT, i + 9, i % 2 ? BITCASK_DURABLE : 0);
        world_rotate(world, WORLD_ROOT);
    }
    world_merge_run(world, WORLD_ROOT, 1, 2);
    world_merge_run(world, WORLD_ROOT, 1, 2);
    world_merge_run(world, WORLD_ROOT, 2, 1);
    world_merge_run(world, WORLD_ROOT, 0, 2);
    reopen(world);
    world_merge_run(world, WORLD_ROOT, 0, 3);
    world_delete(world, WORLD_ROOT, 1, 0);
    world_merge(world, WORLD_ROOT, BC_MERGE_WORTH);
    world_put(world, WORLD_ROOT, 1, 0);
}

/* Nothing is left of what is merged: the output goes as well, once nothing of its inputs can come back. */
static void merges_that_leave_nothing(struct world *world)
{
    int child = world_create(world, WORLD_ROOT, 50, BITCASK_DURABLE);
    for (int i = 1; i <= 3; i++) world_put(world, child, i, 0);
    world_rotate(world, child);
    for (int i = 1; i <= 3; i++) world_delete(world, child, i, i == 3 ? BITCASK_DURABLE : 0);
    world_rotate(world, child);
    world_rotate(world, child); /* nothing in it */
    world_merge_run(world, child, 0, 1);
    world_merge_run(world, child, 0, 3);
    world_put(world, child, 1, BITCASK_DURABLE);
    world_rotate(world, child);
    world_delete(world, child, 1, BITCASK_DURABLE);
    world_merge(world, child, BC_MERGE_FULL);
    world_put(world, child, 2, 0);
    reopen(world);
    world_merge(world, child, BC_MERGE_FULL);
    world_delete(world, child, 2, BITCASK_DURABLE);
    reopen(world);
    world_merge(world, child, BC_MERGE_FULL);
}

/* Of segments that merges leave behind when they cannot be unlinked, outputs are made that are empty. */
static void outputs_that_cover_much_and_hold_nothing(struct world *world)
{
    world_put(world, WORLD_ROOT, 1, 0);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 2, 0);
    world_rotate(world, WORLD_ROOT);
    world_merge_run(world, WORLD_ROOT, 0, 2);
    world_delete(world, WORLD_ROOT, 1, 0);
    world_delete(world, WORLD_ROOT, 2, 0);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 3, 0);
    world_merge_run(world, WORLD_ROOT, 0, 2);
    reopen(world);
    world_rotate(world, WORLD_ROOT);
    world_delete(world, WORLD_ROOT, 3, 0);
    world_rotate(world, WORLD_ROOT);
    world_merge_run(world, WORLD_ROOT, 0, 2);
    world_put(world, WORLD_ROOT, 1, 0);
}

/* One segment is rewritten in the order of keys, and is as large as before: its old hint fits but for the generation.
 */
static void rewrites_of_the_same_size(struct world *world)
{
    world_rotate(world, WORLD_ROOT);
    for (int i = 9; i >= 1; i -= 2) world_put(world, WORLD_ROOT, i, 0);
    world_rotate(world, WORLD_ROOT);
    world_merge_run(world, WORLD_ROOT, world_sealed(world, WORLD_ROOT) - 1, 1);
    reopen(world);
    world_merge_run(world, WORLD_ROOT, world_sealed(world, WORLD_ROOT) - 1, 1);
}

/* The records of partitions are merged like any, and redo intents look for versions in what merges left. */
static void partitions_and_moves(struct world *world)
{
    int a = world_create(world, WORLD_ROOT, 50, 0), b = world_create(world, WORLD_ROOT, 51, 0);
    world_put(world, a, 1, 0);
    world_put(world, a, 2, 0);
    world_rotate(world, WORLD_ROOT);
    world_move(world, &(struct world_move){a, 1, b, 1, 0}, 1);
    world_delete(world, b, 1, BITCASK_DURABLE);
    world_rotate(world, b);
    world_merge(world, b, BC_MERGE_FULL);
    world_create(world, WORLD_ROOT, 52, 0);
    world_drop(world, WORLD_ROOT, 52, 0);
    world_rotate(world, WORLD_ROOT);
    world_merge_run(world, WORLD_ROOT, 0, 2);
    world_put(world, b, 3, 0);
    world_move(world, &(struct world_move){b, 3, a, 2, BITCASK_EXCHANGE}, 1);
    world_rotate(world, a);
    world_merge(world, a, BC_MERGE_FULL);
    world_rotate(world, WORLD_INODES);
    world_move(world, &(struct world_move){a, 2, WORLD_ROOT, 5, 0}, 1);
    world_merge(world, WORLD_INODES, BC_MERGE_FULL);
    world_move(world, &(struct world_move){WORLD_ROOT, 51, a, 51, 0}, 1);
    world_merge(world, WORLD_ROOT, BC_MERGE_FULL);
    world_sync(world);
    world_merge(world, WORLD_INODES, BC_MERGE_FULL);
}

/* Clean closes with hints, cold opens, and what is done first after one. */
static void reopenings(struct world *world)
{
    int child = world_create(world, WORLD_ROOT, 50, 0);
    for (int i = 1; i <= 3; i++) world_put(world, child, i, 0);
    world_rotate(world, child);
    world_put(world, child, 1, 0);
    reopen(world);
    world_rotate(world, child); /* behind a closing mark that was never synced */
    reopen(world);
    world_delete(world, child, 2, 0);
    reopen(world);
    world_put(world, child, 3, BITCASK_DURABLE);
    reopen(world);
    world_merge_run(world, child, 0, 2);
    reopen(world);
    world_batch(world, child, (int[]){4, 5, 1}, 2, 3, 0);
    reopen(world);
    world_merge(world, child, BC_MERGE_FULL);
    world_rotate(world, WORLD_ROOT);
    reopen(world);
    world_delete(world, child, 4, BITCASK_DURABLE);
}

static void overwrite_meanwhile(struct world *world)
{
    world_put(world, WORLD_ROOT, 1, 0);
    world_delete(world, WORLD_ROOT, 2, BITCASK_DURABLE);
    world_delete(world, WORLD_ROOT, 3, 0);
    world_put(world, WORLD_ROOT, 6, 0);
}

static void rotate_meanwhile(struct world *world)
{
    world_put(world, WORLD_ROOT, 3, BITCASK_DURABLE);
    world_rotate(world, WORLD_ROOT);
    world_delete(world, WORLD_ROOT, 4, 0);
    world_put(world, WORLD_ROOT, 2, 0);
}

/* What is copied already is overwritten and deleted, and the active segment sealed, before the output has its name. */
static void writes_in_the_midst(struct world *world)
{
    for (int i = 1; i <= 5; i++) world_put(world, WORLD_ROOT, i, 0);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 4, 0);
    world_put(world, WORLD_ROOT, 5, 0);
    world_rotate(world, WORLD_ROOT);
    world->meanwhile = overwrite_meanwhile;
    world_merge_run(world, WORLD_ROOT, 0, 2);
    world->meanwhile = rotate_meanwhile;
    world_merge_run(world, WORLD_ROOT, 0, 1);
    world_merge(world, WORLD_ROOT, BC_MERGE_FULL);
    world_put(world, WORLD_ROOT, 1, 0);
}

/* Segments that are full, as in life. */
static void full_segments(struct world *world)
{
    int child = world_create(world, WORLD_ROOT, 50, 0);
    for (int i = 1; i <= 14; i++) {
        world_put(world, child, i % 5, i % 6 == 0 ? BITCASK_DURABLE : 0);
        if (i % 4 == 0) world_delete(world, child, (i + 2) % 5, 0);
        if (i % 6 == 0) world_merge(world, child, BC_MERGE_DUE);
    }
    world_merge(world, child, BC_MERGE_WORTH);
    world_put(world, child, 1, BITCASK_DURABLE);
}

static uint64_t script_seed;

static uint64_t number_of_scripts(void)
{
    return fixture_number("CRASH_SCRIPTS", fixture_number("LONG", 0) ? 10 : 2);
}

static void random_script(struct world *world)
{
    uint64_t rng = script_seed;
    for (int i = 0; i < 34; i++) {
        int partition = fixture_below(&rng, 8) ? crash_any_partition(world, &rng) : WORLD_INODES;
        size_t sealed;
        switch (fixture_below(&rng, 12)) {
        case 0:
        case 1: world_rotate(world, partition); break;
        case 2:
        case 3:
            sealed = world_sealed(world, partition);
            if (sealed > 0) sealed = (size_t)fixture_below(&rng, sealed);
            world_merge_run(world, partition, sealed, 1 + (size_t)fixture_below(&rng, 3));
            break;
        case 4: world_merge(world, partition, (enum bc_merge_kind)fixture_below(&rng, 3)); break;
        case 5:
            if (i % 3 == 0) reopen(world);
            break;
        default: crash_random_step(world, &rng, i);
        }
    }
}

/* ---- tests ---- */

static void deleted_keys_stay_deleted_after_every_crash(void)
{
    crash_everywhere("deletes of older puts", deletes_of_older_puts, BITCASK_SYNC_OS, 60);
}

static void unsynced_overwrites_keep_what_they_overwrite_until_they_are_durable(void)
{
    crash_everywhere("merges beside unsynced writes", merges_beside_unsynced_writes, BITCASK_SYNC_OS, 600);
}

static void writes_in_the_midst_of_a_merge_survive_every_crash(void)
{
    crash_everywhere("writes in the midst", writes_in_the_midst, BITCASK_SYNC_OS, 60);
}

static void chains_of_merges_survive_every_crash(void)
{
    crash_everywhere("chains of merges", chains_of_merges, BITCASK_SYNC_OS, 60);
}

static void empty_outputs_go_when_nothing_can_come_back(void)
{
    crash_everywhere("merges that leave nothing", merges_that_leave_nothing, BITCASK_SYNC_OS, 60);
    crash_everywhere("outputs that cover much", outputs_that_cover_much_and_hold_nothing, BITCASK_SYNC_OS, 60);
}

static void hints_of_another_generation_are_not_believed(void)
{
    crash_everywhere("rewrites of the same size", rewrites_of_the_same_size, BITCASK_SYNC_OS, 60);
}

static void moves_and_partitions_survive_every_crash_beside_merges(void)
{
    crash_everywhere("partitions and moves", partitions_and_moves, BITCASK_SYNC_OS, 60);
}

static void hinted_partitions_survive_every_crash(void)
{
    crash_everywhere("reopenings", reopenings, BITCASK_SYNC_OS, 60);
}

static void full_segments_survive_every_crash(void)
{
    crash_everywhere("full segments", full_segments, BITCASK_SYNC_OS, 16000);
}

static void random_scripts_with_merges_survive_every_crash(void)
{
    for (uint64_t i = 0; i < number_of_scripts(); i++) {
        char name[40];
        script_seed = crash_seed + i;
        snprintf(name, sizeof name, "random script %u", (unsigned)i);
        crash_everywhere(name, random_script, i % 3 ? BITCASK_SYNC_OS : BITCASK_SYNC_ALWAYS, i % 2 ? 60 : 700);
    }
}

static void call_that_fails_harms_nothing_that_is_merged(void)
{
    fail_everywhere("deletes of older puts", deletes_of_older_puts, BITCASK_SYNC_OS, 60);
    fail_everywhere("writes in the midst", writes_in_the_midst, BITCASK_SYNC_OS, 60);
    fail_everywhere("chains of merges", chains_of_merges, BITCASK_SYNC_OS, 60);
    fail_everywhere("merges that leave nothing", merges_that_leave_nothing, BITCASK_SYNC_OS, 60);
    fail_everywhere("outputs that cover much", outputs_that_cover_much_and_hold_nothing, BITCASK_SYNC_OS, 60);
    fail_everywhere("partitions and moves", partitions_and_moves, BITCASK_SYNC_OS, 60);
    for (uint64_t i = 0; i < number_of_scripts(); i++) {
        script_seed = crash_seed + i;
        fail_everywhere("random script", random_script, BITCASK_SYNC_OS, 60);
    }
}

static void partitions_were_cold_now_and_then(void)
{
    CU_ASSERT(world_cold_checks > 1000); /* or nothing above has tested that */
}

int main(void)
{
    crash_seed = fixture_number("SEED", (uint64_t)time(NULL));
    crash_merges = true;
    printf("SEED=%#llx\n", (unsigned long long)crash_seed);
    static CU_TestInfo tests[] = {
        {"deleted keys stay deleted after every crash", deleted_keys_stay_deleted_after_every_crash},
        {"unsynced overwrites keep what they overwrite until they are durable",
         unsynced_overwrites_keep_what_they_overwrite_until_they_are_durable},
        {"writes in the midst of a merge survive every crash", writes_in_the_midst_of_a_merge_survive_every_crash},
        {"chains of merges survive every crash", chains_of_merges_survive_every_crash},
        {"empty outputs go when nothing can come back", empty_outputs_go_when_nothing_can_come_back},
        {"hints of another generation are not believed", hints_of_another_generation_are_not_believed},
        {"moves and partitions survive every crash beside merges",
         moves_and_partitions_survive_every_crash_beside_merges},
        {"hinted partitions survive every crash", hinted_partitions_survive_every_crash},
        {"full segments survive every crash", full_segments_survive_every_crash},
        {"random scripts with merges survive every crash", random_scripts_with_merges_survive_every_crash},
        {"call that fails harms nothing that is merged", call_that_fails_harms_nothing_that_is_merged},
        {"partitions were cold now and then", partitions_were_cold_now_and_then},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("crash_merge", tests);
}
