/* test_crash.c - scripts of calls on the simulated disk, the power cut at every change of it, and what is found then.
 * See crash_drive.h for what is done at each point. SEED varies the random parts, CRASH_SCRIPTS (default 3, with LONG=1
 * 20) is how many random scripts there are. Merges have scripts of their own: test_crash_merge.c.
 */
#include <stdio.h>
#include <time.h>

#include "crash_drive.h"

/* ---- the scripts ---- */

static void puts_and_deletes(struct world *world)
{
    for (int i = 1; i <= 4; i++) world_put(world, WORLD_ROOT, i, i == 2 ? BITCASK_DURABLE : 0);
    world_put(world, WORLD_ROOT, 1, 0);
    world_delete(world, WORLD_ROOT, 2, 0);
    world_put(world, WORLD_ROOT, 5, 0);
    world_delete(world, WORLD_ROOT, 1, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 1, 0);
    world_sync(world);
    world_delete(world, WORLD_ROOT, 3, 0);
    world_delete(world, WORLD_ROOT, 4, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 6, BITCASK_DURABLE);
    world_close(world);
    if (!world_open(world, false)) return;
    world_put(world, WORLD_ROOT, 6, 0);
    world_delete(world, WORLD_ROOT, 5, BITCASK_DURABLE);
}

static void batches(struct world *world)
{
    int child = world_create(world, WORLD_ROOT, 50, 0);
    world_batch(world, child, (int[]){1, 2, 3, 4}, 4, 4, BITCASK_DURABLE);
    world_batch(world, child, (int[]){1, 2, 5, 3}, 3, 4, 0);
    world_put(world, child, 6, 0);
    world_batch(world, child, (int[]){4, 5, 6}, 0, 3, 0);
    world_batch(world, WORLD_ROOT, (int[]){1, 2, 3, 4, 5}, 5, 5, 0);
    world_sync_partition(world, child);
    world_batch(world, child, (int[]){1, 2, 4}, 2, 3, 0);
    world_batch(world, WORLD_ROOT, (int[]){2, 5, 6}, 1, 2, BITCASK_DURABLE);
}

static void rotations(struct world *world)
{
    int child = world_create(world, WORLD_ROOT, 50, 0);
    for (int i = 1; i <= 14; i++) {
        world_put(world, child, i % 5, i % 6 == 0 ? BITCASK_DURABLE : 0);
        if (i % 4 == 0) world_delete(world, child, (i + 2) % 5, 0);
        if (i % 7 == 0) world_batch(world, child, (int[]){7, 8, 9}, 2, 3, 0);
    }
    world_delete(world, child, 8, BITCASK_DURABLE);
}

static void partitions(struct world *world)
{
    int a = world_create(world, WORLD_ROOT, 1, 0);
    int b = world_create(world, a, 2, 0);
    world_put(world, b, 3, 0);
    world_put(world, b, 4, BITCASK_DURABLE);
    int c = world_create(world, WORLD_ROOT, 5, BITCASK_DURABLE);
    world_put(world, c, 6, 0);
    world_move(world, &(struct world_move){a, 2, c, 2, 0}, 1);
    world_put(world, b, 7, BITCASK_DURABLE);
    world_move(world, &(struct world_move){WORLD_ROOT, 5, a, 5, 0}, 1);
    world_put(world, b, 8, 0);
    world_delete(world, c, 6, 0);
    int d = world_create(world, c, 10, 0);
    world_put(world, d, 1, BITCASK_DURABLE);
    world_delete(world, d, 1, 0);
    world_drop(world, c, 10, 0);
    int e = world_create(world, c, 10, 0);
    world_put(world, e, 1, 0);
    world_create(world, WORLD_ROOT, 12, 0);
    world_move(world, &(struct world_move){c, 10, WORLD_ROOT, 12, 0}, 1);
    world_sync_partition(world, e);
    world_move(world, &(struct world_move){WORLD_ROOT, 12, a, 5, BITCASK_EXCHANGE}, 1);
    world_create(world, WORLD_ROOT, 13, 0);
    world_drop(world, WORLD_ROOT, 13, 0);
    world_put(world, e, 2, BITCASK_DURABLE);
}

static void moves(struct world *world)
{
    int a = world_create(world, WORLD_ROOT, 50, 0), b = world_create(world, WORLD_ROOT, 51, 0);
    for (int i = 1; i <= 6; i++) world_put(world, a, i, 0);
    world_put(world, b, 7, BITCASK_DURABLE);
    world_sync_partition(world, a);
    world_move(world, &(struct world_move){a, 1, a, 11, 0}, 1);
    world_move(world, &(struct world_move){a, 2, b, 2, 0}, 1);
    world_put(world, a, 8, 0);
    world_put(world, b, 2, 0);
    world_move(world, &(struct world_move){a, 3, b, 7, 0}, 1);
    world_move(world, &(struct world_move){a, 4, b, 2, BITCASK_EXCHANGE}, 1);
    world_move(world, &(struct world_move){a, 5, a, 6, BITCASK_EXCHANGE}, 1);
    world_sync_partition(world, b);
    world_move(world,
               (struct world_move[]){{b, 2, WORLD_ROOT, 2, 0}, {a, 6, b, 20, 0}, {a, 5, a, 30, BITCASK_NOREPLACE}}, 3);
    world_put(world, WORLD_ROOT, 9, 0);
    world_move(world, &(struct world_move){WORLD_ROOT, 9, a, 9, 0}, 1);
    world_move(world, &(struct world_move){a, 9, b, 9, 0}, 1);
    world_delete(world, b, 9, BITCASK_DURABLE);
    world_move(world, &(struct world_move){WORLD_ROOT, 2, a, 2, 0}, 1);
    world_sync(world);
    world_move(world, &(struct world_move){a, 2, b, 40, 0}, 1);
}

/* Files move out of directories that are dropped at once: the intents of their moves are struck out before. */
static void moves_and_drops(struct world *world)
{
    int a = world_create(world, WORLD_ROOT, 50, 0), b = world_create(world, WORLD_ROOT, 51, 0);
    int c = world_create(world, WORLD_ROOT, 52, 0);
    for (int i = 1; i <= 3; i++) world_put(world, a, i, 0);
    world_put(world, c, 5, 0);
    world_sync(world);
    for (int i = 1; i <= 3; i++) world_move(world, &(struct world_move){a, i, b, i, 0}, 1);
    world_drop(world, WORLD_ROOT, 50, 0);
    world_move(world, &(struct world_move){c, 5, b, 5, 0}, 1);
    world_move(world, &(struct world_move){b, 1, WORLD_ROOT, 1, 0}, 1);
    world_drop(world, WORLD_ROOT, 52, BITCASK_DURABLE);
    world_put(world, b, 6, BITCASK_DURABLE);
}

static uint64_t window_writes;

/* Puts until appends go through the window; most of what follows does. */
static void reach_window(struct world *world)
{
    uint64_t before = bc_sim_calls(world->sim, BC_SIM_MAP_WRITE);
    for (int i = 0; i < 6 && !world->stopped && bc_sim_calls(world->sim, BC_SIM_MAP_WRITE) == before; i++)
        world_put(world, WORLD_ROOT, 20 + i, 0);
}

static void windows(struct world *world)
{
    reach_window(world);
    for (int i = 1; i <= 6; i++) world_put(world, WORLD_ROOT, i % 4, i % 4 == 0 ? BITCASK_DURABLE : 0);
    world_batch(world, WORLD_ROOT, (int[]){1, 2, 3, 4}, 3, 4, 0);
    world_rotate(world, WORLD_ROOT);
    world_put(world, WORLD_ROOT, 5, BITCASK_DURABLE);
    reach_window(world);
    world_put(world, WORLD_ROOT, 2, BITCASK_DURABLE);
    world_rotate(world, WORLD_ROOT); /* all is durable already, but for the end of the file */
    reach_window(world);
    world_delete(world, WORLD_ROOT, 3, 0);
    world_put(world, WORLD_ROOT, 6, BITCASK_DURABLE);
    world_close(world);
    if (!world_open(world, false)) return;
    world_put(world, WORLD_ROOT, 7, 0);
    reach_window(world);
    world_put(world, WORLD_ROOT, 7, BITCASK_DURABLE);
    window_writes = bc_sim_calls(world->sim, BC_SIM_MAP_WRITE);
}

/* Each put is synced: zeros are written behind the log in advance, and no window is laid. */
static void zeros(struct world *world)
{
    for (int i = 0; i < 16; i++) world_put(world, WORLD_ROOT, 20 + i % 6, BITCASK_DURABLE);
    world_batch(world, WORLD_ROOT, (int[]){1, 2, 3, 4}, 3, 4, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 5, 0);
    world_rotate(world, WORLD_ROOT);
    for (int i = 0; i < 10; i++) world_put(world, WORLD_ROOT, 20 + i % 6, BITCASK_DURABLE);
    world_delete(world, WORLD_ROOT, 20, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 6, 0);
    world_close(world);
    if (!world_open(world, false)) return;
    for (int i = 0; i < 10; i++) world_put(world, WORLD_ROOT, 20 + i % 6, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 7, 0);
}

static uint64_t script_seed;

static uint64_t number_of_scripts(void)
{
    return fixture_number("CRASH_SCRIPTS", fixture_number("LONG", 0) ? 10 : 3);
}

static void random_script(struct world *world)
{
    uint64_t rng = script_seed;
    for (int i = 0; i < 36; i++) crash_random_step(world, &rng, i);
}

/* ---- tests ---- */

static void call_that_fails_harms_nothing_that_was_there(void)
{
    fail_everywhere("puts and deletes", puts_and_deletes, BITCASK_SYNC_OS, 60);
    fail_everywhere("batches", batches, BITCASK_SYNC_ALWAYS, 60);
    fail_everywhere("partitions", partitions, BITCASK_SYNC_OS, 60);
    fail_everywhere("moves", moves, BITCASK_SYNC_OS, 60);
    fail_everywhere("windows", windows, BITCASK_SYNC_OS, 1500);
    fail_everywhere("zeros", zeros, BITCASK_SYNC_OS, 1500);
    for (uint64_t i = 0; i < number_of_scripts(); i++) {
        script_seed = crash_seed + i;
        fail_everywhere("random script", random_script, BITCASK_SYNC_OS, 60);
    }
}

static void puts_and_deletes_survive_every_crash(void)
{
    crash_everywhere("puts and deletes", puts_and_deletes, BITCASK_SYNC_OS, 60);
    crash_everywhere("puts and deletes, always", puts_and_deletes, BITCASK_SYNC_ALWAYS, 600);
}

static void batches_are_whole_or_absent_after_every_crash(void)
{
    crash_everywhere("batches", batches, BITCASK_SYNC_OS, 300);
    crash_everywhere("batches, always", batches, BITCASK_SYNC_ALWAYS, 60);
}

static void rotation_survives_every_crash(void)
{
    crash_everywhere("rotations", rotations, BITCASK_SYNC_OS, 16000);
}

static void windows_survive_every_crash(void)
{
    window_writes = 0;
    crash_everywhere("windows", windows, BITCASK_SYNC_OS, 1500);
    CU_ASSERT(window_writes > 12);
    crash_everywhere("windows, always", windows, BITCASK_SYNC_ALWAYS, 1500);
}

static void zeros_written_in_advance_survive_every_crash(void)
{
    crash_everywhere("zeros", zeros, BITCASK_SYNC_OS, 1500);
}

static void partitions_survive_every_crash(void)
{
    crash_everywhere("partitions", partitions, BITCASK_SYNC_OS, 60);
    crash_everywhere("partitions, always", partitions, BITCASK_SYNC_ALWAYS, 60);
}

static void moved_key_is_under_one_name_after_every_crash(void)
{
    crash_everywhere("moves", moves, BITCASK_SYNC_OS, 60);
    crash_everywhere("moves, always", moves, BITCASK_SYNC_ALWAYS, 60);
}

static void files_that_left_a_dropped_directory_are_there(void)
{
    crash_everywhere("moves and drops", moves_and_drops, BITCASK_SYNC_OS, 60);
    fail_everywhere("moves and drops", moves_and_drops, BITCASK_SYNC_OS, 60);
}

static void random_scripts_survive_every_crash(void)
{
    for (uint64_t i = 0; i < number_of_scripts(); i++) {
        char name[40];
        script_seed = crash_seed + i;
        snprintf(name, sizeof name, "random script %u", (unsigned)i);
        crash_everywhere(name, random_script, BITCASK_SYNC_OS, i % 2 ? 60 : 700);
    }
}

int main(void)
{
    crash_seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%#llx\n", (unsigned long long)crash_seed);
    static CU_TestInfo tests[] = {
        {"puts and deletes survive every crash", puts_and_deletes_survive_every_crash},
        {"batches are whole or absent after every crash", batches_are_whole_or_absent_after_every_crash},
        {"rotation survives every crash", rotation_survives_every_crash},
        {"windows survive every crash", windows_survive_every_crash},
        {"zeros written in advance survive every crash", zeros_written_in_advance_survive_every_crash},
        {"partitions survive every crash", partitions_survive_every_crash},
        {"moved key is under one name after every crash", moved_key_is_under_one_name_after_every_crash},
        {"files that left a dropped directory are there", files_that_left_a_dropped_directory_are_there},
        {"random scripts survive every crash", random_scripts_survive_every_crash},
        {"call that fails harms nothing that was there", call_that_fails_harms_nothing_that_was_there},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("crash", tests);
}
