/* test_crash_checkpoint.c - scripts that write checkpoints of the index, at closes and beside writes, the power cut at
 * every change of the simulated disk, or a call failing at every call. See crash_drive.h. SEED varies the random parts,
 * CRASH_SCRIPTS (default 2, with LONG=1 20) is how many random scripts there are.
 */
#include <stdio.h>
#include <time.h>

#include "crash_drive.h"
#include "partition/checkpoint.h"

static void reopen(struct world *world)
{
    world_close(world);
    world_open(world, false);
}

/* ---- the scripts ---- */

/* What was written since is replayed over what was loaded: puts, overwrites, deletions. */
static void closes_and_tails(struct world *world)
{
    for (int i = 1; i <= 4; i++) world_put(world, WORLD_ROOT, i, 0);
    reopen(world);
    world_put(world, WORLD_ROOT, 1, 0);
    world_delete(world, WORLD_ROOT, 2, 0);
    world_put(world, WORLD_ROOT, 5, BITCASK_DURABLE);
    world_checkpoint(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 3, 0);
    world_delete(world, WORLD_ROOT, 5, 0);
    world_put(world, WORLD_ROOT, 2, 0);
    reopen(world);
    world_delete(world, WORLD_ROOT, 1, BITCASK_DURABLE);
}

/* Nothing that the checkpoint holds was synced before it. */
static void unsynced_logs(struct world *world)
{
    for (int i = 1; i <= 3; i++) world_put(world, WORLD_ROOT, i, 0);
    world_checkpoint(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 1, 0);
    world_batch(world, WORLD_ROOT, (int[]){2, 4, 3}, 2, 3, 0);
    world_checkpoint(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 3, 0);
    world_delete(world, WORLD_ROOT, 4, 0);
    world_checkpoint(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 1, 0);
}

/* Segments are sealed between the checkpoint's making and its loading. */
static void rotations(struct world *world)
{
    for (int i = 1; i <= 3; i++) world_put(world, WORLD_ROOT, i, 0);
    world_checkpoint(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 2, 0);
    world_rotate(world, WORLD_ROOT);
    world_delete(world, WORLD_ROOT, 1, 0);
    world_put(world, WORLD_ROOT, 3, 0);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 1, 0);
    reopen(world);
    world_rotate(world, WORLD_ROOT);
    world_checkpoint(world, WORLD_ROOT); /* of a segment with nothing in it */
    world_delete(world, WORLD_ROOT, 3, BITCASK_DURABLE);
}

/* In a random script a name may be that of a partition by now. */
static bool is_partition(const struct world *world, int name)
{
    int object = world_at(world, WORLD_ROOT, name);
    return object != WORLD_ABSENT && world->objects[object].is_partition;
}

static void put_key(struct world *world, int name, unsigned flags)
{
    if (!is_partition(world, name)) world_put(world, WORLD_ROOT, name, flags);
}

static void delete_key(struct world *world, int name)
{
    if (!is_partition(world, name)) world_delete(world, WORLD_ROOT, name, 0);
}

static void write_meanwhile(struct world *world)
{
    put_key(world, 1, 0);
    delete_key(world, 2);
    put_key(world, 6, 0);
}

static void rotate_meanwhile(struct world *world)
{
    put_key(world, 3, BITCASK_DURABLE);
    world_rotate(world, WORLD_ROOT);
    delete_key(world, 4);
    put_key(world, 2, 0);
}

/* The log goes on while the index is being copied. */
static void writes_in_the_midst(struct world *world)
{
    for (int i = 1; i <= 5; i++) world_put(world, WORLD_ROOT, i, 0);
    world->meanwhile = write_meanwhile;
    world_checkpoint(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 2, 0);
    world->meanwhile = rotate_meanwhile;
    world_checkpoint(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 1, 0);
    reopen(world);
    world_delete(world, WORLD_ROOT, 6, 0);
}

/* A merge takes away what a checkpoint names, and a later one names its output; places are not in the order of ids. */
static void merges(struct world *world)
{
    for (int i = 1; i <= 4; i++) {
        world_put(world, WORLD_ROOT, i, 0);
        world_put(world, WORLD_ROOT, 5, 0);
        if (i > 1) world_delete(world, WORLD_ROOT, i - 1, 0);
        world_rotate(world, WORLD_ROOT);
    }
    world_checkpoint(world, WORLD_ROOT);
    world_merge_run(world, WORLD_ROOT, 1, 2);
    world_put(world, WORLD_ROOT, 2, 0);
    reopen(world);
    world_merge_run(world, WORLD_ROOT, 1, 1);
    world_checkpoint(world, WORLD_ROOT);
    world_delete(world, WORLD_ROOT, 2, BITCASK_DURABLE);
    world_merge(world, WORLD_ROOT, BC_MERGE_FULL);
    world_put(world, WORLD_ROOT, 1, 0);
    reopen(world);
    world_put(world, WORLD_ROOT, 2, 0);
}

/* Directory records, moves, and the store's own partition. */
static void partitions_and_moves(struct world *world)
{
    int a = world_create(world, WORLD_ROOT, 50, 0), b = world_create(world, WORLD_ROOT, 51, 0);
    world_put(world, a, 1, 0);
    world_put(world, a, 2, 0);
    world_checkpoint(world, a);
    world_move(world, &(struct world_move){a, 1, b, 1, 0}, 1);
    world_checkpoint(world, WORLD_INODES);
    world_checkpoint(world, b);
    world_move(world, &(struct world_move){b, 1, WORLD_ROOT, 5, 0}, 1);
    world_checkpoint(world, WORLD_ROOT);
    reopen(world);
    world_move(world, &(struct world_move){WORLD_ROOT, 51, a, 51, 0}, 1);
    world_put(world, b, 3, 0);
    world_delete(world, WORLD_ROOT, 5, BITCASK_DURABLE);
}

static uint64_t script_seed;

static uint64_t number_of_scripts(void)
{
    return fixture_number("CRASH_SCRIPTS", fixture_number("LONG", 0) ? 10 : 2);
}

/* Names that are never partitions in random scripts. */
static void write_other_names(struct world *world)
{
    world_put(world, WORLD_ROOT, 20, 0);
    world_delete(world, WORLD_ROOT, 21, 0);
    if (world->next_tag % 3 == 0) world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 21, 0);
}

static void random_script(struct world *world)
{
    uint64_t rng = script_seed;
    for (int i = 0; i < 34; i++) {
        int partition = fixture_below(&rng, 8) ? crash_any_partition(world, &rng) : WORLD_INODES;
        size_t sealed;
        switch (fixture_below(&rng, 12)) {
        case 0: world_rotate(world, partition); break;
        case 1:
            sealed = world_sealed(world, partition);
            if (sealed > 0) sealed = (size_t)fixture_below(&rng, sealed);
            world_merge_run(world, partition, sealed, 1 + (size_t)fixture_below(&rng, 3));
            break;
        case 2:
        case 3:
        case 4:
            if (partition == WORLD_ROOT && i % 2) world->meanwhile = write_other_names;
            world_checkpoint(world, partition);
            world->meanwhile = NULL;
            break;
        case 5:
            if (i % 3 == 0) reopen(world);
            break;
        default: crash_random_step(world, &rng, i);
        }
    }
}

/* ---- tests ---- */

static void tails_are_replayed_after_every_crash(void)
{
    crash_everywhere("closes and tails", closes_and_tails, BITCASK_SYNC_OS, 60);
}

static void no_checkpoint_stands_for_what_was_not_durable(void)
{
    crash_everywhere("unsynced logs", unsynced_logs, BITCASK_SYNC_OS, 60);
    crash_everywhere("unsynced logs", unsynced_logs, BITCASK_SYNC_OS, 1500);
}

static void rotations_between_survive_every_crash(void)
{
    crash_everywhere("rotations", rotations, BITCASK_SYNC_OS, 60);
}

static void writes_in_the_midst_survive_every_crash(void)
{
    crash_everywhere("writes in the midst", writes_in_the_midst, BITCASK_SYNC_OS, 60);
    crash_everywhere("writes in the midst", writes_in_the_midst, BITCASK_SYNC_OS, 1500);
}

static void merged_segments_survive_every_crash(void)
{
    crash_everywhere("merges", merges, BITCASK_SYNC_OS, 60);
}

static void partitions_and_moves_survive_every_crash(void)
{
    crash_everywhere("partitions and moves", partitions_and_moves, BITCASK_SYNC_OS, 60);
}

static void random_scripts_survive_every_crash(void)
{
    for (uint64_t i = 0; i < number_of_scripts(); i++) {
        char name[40];
        script_seed = crash_seed + i;
        snprintf(name, sizeof name, "random script %u", (unsigned)i);
        crash_everywhere(name, random_script, i % 3 ? BITCASK_SYNC_OS : BITCASK_SYNC_ALWAYS, i % 2 ? 60 : 700);
    }
}

static void call_that_fails_harms_nothing(void)
{
    fail_everywhere("closes and tails", closes_and_tails, BITCASK_SYNC_OS, 60);
    fail_everywhere("writes in the midst", writes_in_the_midst, BITCASK_SYNC_OS, 60);
    fail_everywhere("merges", merges, BITCASK_SYNC_OS, 60);
    fail_everywhere("partitions and moves", partitions_and_moves, BITCASK_SYNC_OS, 60);
}

static void checkpoints_were_loaded_now_and_then(void)
{
    CU_ASSERT(world_checkpoint_loads > 1000); /* or nothing above has tested that */
}

int main(void)
{
    crash_seed = fixture_number("SEED", (uint64_t)time(NULL));
    crash_merges = true;
    bc_checkpoint_limits.least = 1;
    bc_checkpoint_limits.keys = 0;
    printf("SEED=%#llx\n", (unsigned long long)crash_seed);
    static CU_TestInfo tests[] = {
        {"tails are replayed after every crash", tails_are_replayed_after_every_crash},
        {"no checkpoint stands for what was not durable", no_checkpoint_stands_for_what_was_not_durable},
        {"rotations between survive every crash", rotations_between_survive_every_crash},
        {"writes in the midst survive every crash", writes_in_the_midst_survive_every_crash},
        {"merged segments survive every crash", merged_segments_survive_every_crash},
        {"partitions and moves survive every crash", partitions_and_moves_survive_every_crash},
        {"random scripts survive every crash", random_scripts_survive_every_crash},
        {"call that fails harms nothing", call_that_fails_harms_nothing},
        {"checkpoints were loaded now and then", checkpoints_were_loaded_now_and_then},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("crash beside checkpoints", tests);
}
