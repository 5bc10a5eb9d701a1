/* test_crash.c - scripts of calls on the simulated disk, the power cut at every change of it, and what is found then.
 *
 * Each crash point leaves several disks: all that was done, only what was synced, random parts of the rest (CRASH_CUTS
 * of them, default 4). On each: a reader opens it and changes nothing; a writer opens it and finds an admissible state;
 * what it found survives another crash; writing on and reopening works; and a crash in the midst of recovery
 * (CRASH_NESTED points of it, default 3, 0: all) is recovered from as well. And at each point the process is killed
 * with the system going on, until the power is cut under its successor. SEED varies the random parts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crash_world.h"

#define FAILURES_SHOWN 12u

typedef void (*script)(struct world *world);

static uint64_t seed;
static unsigned failures;

static void add_failure(bool failed)
{
    failures += failed;
}

/* ---- what is done with each crashed disk ---- */

static void write_on(struct world *world)
{
    int target = WORLD_ABSENT;
    for (size_t i = 1; i < world->object_count; i++) {
        const struct world_object *object = &world->objects[i];
        if (object->is_partition && object->states[object->count - 1].parent != WORLD_ABSENT) target = (int)i;
    }
    int made = world_create(world, target == WORLD_ABSENT ? WORLD_ROOT : target, 91, 0);
    world_put(world, made, 1, 0);
    world_put(world, WORLD_ROOT, 92, BITCASK_DURABLE);
    world_move(world, &(struct world_move){WORLD_ROOT, 92, made, 2, 0}, 1);
    world_put(world, WORLD_ROOT, 93, 0);
    if (target != WORLD_ABSENT) world_put(world, target, 94, 0);
    world_delete(world, made, 1, 0);
    world_move(world, &(struct world_move){WORLD_ROOT, 93, WORLD_ROOT, 95, 0}, 1);
}

static void move_to(struct world *world, struct bc_sim *sim)
{
    world->sim = sim;
    world->db = NULL;
    for (size_t i = 0; i < WORLD_OBJECTS; i++) world->objects[i].handle = NULL;
}

/* Opens and checks on sim, and writes a record of the size of most: what recovery cut off must not come to life
 * behind it. Then the power is cut, and what was found is to be found again. synced: the system went on between the
 * crash and the open, so what was found is safe only after a sync. */
static void expect_recovery(const struct world *crashed, struct bc_sim *sim, uint64_t cut_seed, bool synced)
{
    static struct world world;
    world = *crashed;
    world.failed = false;
    move_to(&world, sim);
    if (world_open(&world, false)) world_check(&world, true);
    if (synced) world_sync(&world);
    if (!world.failed) world_put(&world, WORLD_ROOT, 7, 0);
    struct bc_sim *after = bc_sim_power_cut(sim, BC_SIM_CUT_RANDOM, cut_seed);
    static struct world again;
    again = world;
    world_close(&world);
    add_failure(world.failed);
    if (!world.failed) {
        move_to(&again, after);
        if (world_open(&again, false)) world_check(&again, false);
        world_close(&again);
        add_failure(again.failed);
    }
    bc_sim_close(&after);
}

static void crash_in_recovery(const struct world *crashed, struct bc_sim *sim, enum bc_sim_cut cut, uint64_t cut_seed,
                              uint64_t changes)
{
    static struct world world;
    uint64_t points = fixture_number("CRASH_NESTED", 3), rng = cut_seed ^ seed;
    char context[sizeof world_context];
    memcpy(context, world_context, sizeof context);
    if (points == 0 || points > changes) points = changes;
    for (uint64_t i = 1; i <= points && failures < FAILURES_SHOWN; i++) {
        uint64_t at = points == changes ? i : 1 + fixture_below(&rng, changes);
        snprintf(world_context, sizeof world_context, "%.200s, recovery crashed at %llu", context,
                 (unsigned long long)at);
        struct bc_sim *first = bc_sim_power_cut(sim, cut, cut_seed);
        world = *crashed;
        move_to(&world, first);
        bc_sim_crash_at(first, at);
        bitcask_partition *root = NULL;
        if (world_open(&world, false)) (void)bitcask_partition_open(world.db, "", &root);
        bitcask_partition_close(&root);
        world_close(&world);
        struct bc_sim *second = bc_sim_power_cut(first, i % 3 ? BC_SIM_CUT_RANDOM : BC_SIM_CUT_SYNCED, at);
        expect_recovery(crashed, second, at, false);
        bc_sim_close(&second);
        bc_sim_close(&first);
    }
    memcpy(world_context, context, sizeof context);
}

static void read_only_open(const struct world *crashed, struct bc_sim *sim)
{
    static struct world world;
    world = *crashed;
    if (!world.opened) return;
    move_to(&world, sim);
    if (world_open(&world, true)) world_check(&world, false);
    world_close(&world);
    if (bc_sim_changes(sim) != 0) fprintf(stderr, "%s: a reader changed the disk\n", world_context);
    add_failure(world.failed || bc_sim_changes(sim) != 0);
}

static void survive(const struct world *crashed, enum bc_sim_cut cut, uint64_t cut_seed)
{
    static struct world world;
    struct bc_sim *sim = bc_sim_power_cut(crashed->sim, cut, cut_seed);
    read_only_open(crashed, sim);
    world = *crashed;
    world.failed = false;
    move_to(&world, sim);
    if (world_open(&world, false)) world_check(&world, true);
    uint64_t changes = bc_sim_changes(sim);
    if (!world.failed) write_on(&world);
    world_close(&world);
    if (!world.failed && world_open(&world, false)) world_check(&world, false);
    world_close(&world);
    bool tidy = bc_sim_handles(sim) == 0 && bc_sim_misuses(sim) == 0;
    if (!tidy) fprintf(stderr, "%s: handles left open, or used when closed\n", world_context);
    add_failure(world.failed || !tidy);
    bc_sim_close(&sim);
    struct bc_sim *fresh = bc_sim_power_cut(crashed->sim, cut, cut_seed);
    if (failures < FAILURES_SHOWN) expect_recovery(crashed, fresh, cut_seed, false);
    bc_sim_close(&fresh);
    if (failures < FAILURES_SHOWN) crash_in_recovery(crashed, crashed->sim, cut, cut_seed, changes);
}

/* ---- the crash at every point of a script ---- */

static void run_script(struct world *world, script play)
{
    if (world_open(world, false)) play(world);
    world_close(world);
}

static void crash_at(const char *name, script play, const bitcask_options *options, size_t value_size, uint64_t n)
{
    static struct world world;
    struct bc_sim *sim = bc_sim_open(7);
    snprintf(world_context, sizeof world_context, "SEED=%#llx %s, crash at %llu", (unsigned long long)seed, name,
             (unsigned long long)n);
    world_init(&world, sim, options, value_size);
    bc_sim_crash_at(sim, n);
    run_script(&world, play);
    add_failure(world.failed || !bc_sim_crashed(sim) || bc_sim_handles(sim) != 0);
    uint64_t cuts = fixture_number("CRASH_CUTS", 4);
    for (uint64_t i = 0; i < cuts + 3 && failures < FAILURES_SHOWN; i++) {
        static const char *const names[] = {"all kept", "synced kept", "some kept"};
        enum bc_sim_cut cut = i < 2 ? BC_SIM_CUT_ALL : i == 2 ? BC_SIM_CUT_SYNCED : BC_SIM_CUT_RANDOM;
        uint64_t cut_seed = i < 2 ? i : seed + n * 100 + i;
        snprintf(world_context, sizeof world_context, "SEED=%#llx %s, crash at %llu, %s (%llu)",
                 (unsigned long long)seed, name, (unsigned long long)n, names[cut], (unsigned long long)i);
        survive(&world, cut, cut_seed);
    }
    /* Only the process died; its successor finds what was never synced, syncs, and then the power goes. */
    snprintf(world_context, sizeof world_context, "SEED=%#llx %s, killed at %llu", (unsigned long long)seed, name,
             (unsigned long long)n);
    bc_sim_kill(sim);
    if (failures < FAILURES_SHOWN) expect_recovery(&world, sim, n, true);
    bc_sim_close(&sim);
}

static void crash_everywhere(const char *name, script play, bitcask_sync_policy sync, size_t value_size)
{
    static struct world world;
    bitcask_options options;
    bitcask_options_init(&options);
    options.sync = sync;
    options.segment_size = 65536;
    struct bc_sim *sim = bc_sim_open(7);
    failures = 0;
    snprintf(world_context, sizeof world_context, "%s, no crash", name);
    world_init(&world, sim, &options, value_size);
    run_script(&world, play);
    uint64_t changes = bc_sim_changes(sim);
    if (world_open(&world, false)) world_check(&world, false);
    world_close(&world);
    add_failure(world.failed);
    bc_sim_close(&sim);
    CU_ASSERT(changes > 10);
    for (uint64_t n = 1; n <= changes && failures < FAILURES_SHOWN; n++) crash_at(name, play, &options, value_size, n);
    CU_ASSERT_EQUAL(failures, 0);
}

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

static int any_partition(const struct world *world, uint64_t *rng)
{
    int list[WORLD_OBJECTS];
    size_t count = 0;
    for (size_t i = 0; i < world->object_count; i++)
        if (world->objects[i].is_partition &&
            world->objects[i].states[world->objects[i].count - 1].parent != WORLD_ABSENT)
            list[count++] = (int)i;
    return list[fixture_below(rng, count)];
}

static bool is_within(const struct world *world, int inner, int outer)
{
    while (inner > WORLD_ROOT && inner != outer)
        inner = world->objects[inner].states[world->objects[inner].count - 1].parent;
    return inner == outer;
}

static bool holds_nothing(const struct world *world, int partition)
{
    for (size_t i = 1; i < world->object_count; i++)
        if (world->objects[i].states[world->objects[i].count - 1].parent == partition) return false;
    return true;
}

static void random_rename(struct world *world, uint64_t *rng)
{
    struct world_move move = {any_partition(world, rng), (int)fixture_below(rng, 6), any_partition(world, rng),
                              (int)fixture_below(rng, 6), 0};
    int object = world_at(world, move.from, move.from_name), other = world_at(world, move.to, move.to_name);
    if (object == WORLD_ABSENT || object == other || is_within(world, move.to, object)) return;
    if (other != WORLD_ABSENT && fixture_below(rng, 2) && !is_within(world, move.from, other))
        move.flags = BITCASK_EXCHANGE;
    else if (other != WORLD_ABSENT && (world->objects[object].is_partition != world->objects[other].is_partition ||
                                       !holds_nothing(world, other) || is_within(world, move.from, other)))
        return;
    world_move(world, &move, 1);
}

static uint64_t script_seed;

static void random_script(struct world *world)
{
    uint64_t rng = script_seed;
    for (int i = 0; i < 36; i++) {
        int partition = any_partition(world, &rng), name = (int)fixture_below(&rng, 6);
        int object = world_at(world, partition, name);
        bool is_partition = object != WORLD_ABSENT && world->objects[object].is_partition;
        unsigned flags = fixture_below(&rng, 5) == 0 ? BITCASK_DURABLE : 0;
        switch (fixture_below(&rng, 12)) {
        case 0:
        case 1: random_rename(world, &rng); break;
        case 2: random_rename(world, &rng); break;
        case 3:
        case 4:
            if (object == WORLD_ABSENT) world_create(world, partition, name, flags);
            if (is_partition && holds_nothing(world, object)) world_drop(world, partition, name, flags);
            break;
        case 5:
            if (!is_partition) world_delete(world, partition, name, flags);
            break;
        case 6: world_sync_partition(world, partition); break;
        case 7: world_batch(world, partition, (int[]){10, 11, 12, 13}, (size_t)(1 + i % 3), 3, flags); break;
        default:
            if (!is_partition) world_put(world, partition, name, flags);
        }
    }
}

/* ---- a call that fails ---- */

/* Opens the store on what a power cut now would leave, and compares. */
static void expect_after_cut(const struct world *world, struct bc_sim *sim)
{
    static struct world after;
    struct bc_sim *cut = bc_sim_power_cut(sim, BC_SIM_CUT_SYNCED, 0);
    after = *world;
    after.failed = after.faulty = false;
    move_to(&after, cut);
    if (world_open(&after, false)) world_check(&after, false);
    world_close(&after);
    add_failure(after.failed);
    bc_sim_close(&cut);
}

/* After a sync: what was acknowledged is safe. The last call failed, and may come to pass nevertheless: its groups,
 * three at most, are left as they are. */
static void raise_floors(struct world *world)
{
    size_t in_flight[WORLD_OBJECTS] = {0};
    for (size_t g = world->group_count > 3 ? world->group_count - 3 : 0; g < world->group_count; g++)
        for (size_t i = 0; i < world->groups[g].count; i++) in_flight[world->groups[g].object[i]]++;
    for (size_t i = 0; i < world->object_count; i++) {
        struct world_object *object = &world->objects[i];
        size_t safe = object->count - 1 - in_flight[i];
        if (safe > object->floor) object->floor = safe;
    }
}

/* Plays the script until call n of a kind has failed; then reads go on and find an admissible state, a sync that
 * succeeds says the truth, and the store opens again. False if there were fewer calls. */
static bool fail_at(const char *name, script play, const bitcask_options *options, enum bc_sim_call kind, uint64_t n,
                    int error)
{
    static struct world world, stopped;
    struct bc_sim *sim = bc_sim_open(7);
    snprintf(world_context, sizeof world_context, "%s, call %llu of kind %d fails with %d", name,
             (unsigned long long)n, (int)kind, error);
    world_init(&world, sim, options, 60);
    world.faulty = true;
    bc_sim_fail(sim, kind, n, error, false);
    if (world_open(&world, false)) play(&world);
    bool reached = bc_sim_calls(sim, kind) >= n;
    stopped = world;
    if (world.opened) expect_after_cut(&stopped, sim);
    bc_sim_fail(sim, kind, 0, 0, false);
    if (world.db) {
        world.stopped = false;
        world_check(&world, false);
        add_failure(world.failed);
        world_sync(&world);
        if (!world.failed && !world.stopped) {
            raise_floors(&stopped);
            expect_after_cut(&stopped, sim);
        }
        world.stopped = false;
        world_close(&world);
    }
    bool tidy = bc_sim_handles(sim) == 0 && bc_sim_misuses(sim) == 0;
    if (!tidy) fprintf(stderr, "%s: handles left open, or used when closed\n", world_context);
    stopped.faulty = stopped.failed = false;
    move_to(&stopped, sim);
    if (world_open(&stopped, false)) world_check(&stopped, true);
    if (!stopped.failed) write_on(&stopped);
    world_close(&stopped);
    add_failure(stopped.failed || !tidy);
    bc_sim_close(&sim);
    return reached;
}

static void fail_everywhere(const char *name, script play, bitcask_sync_policy sync)
{
    static const int errors[] = {EIO, ENOSPC, EMFILE};
    bitcask_options options;
    bitcask_options_init(&options);
    options.sync = sync;
    options.segment_size = 65536;
    options.max_open = 4;
    failures = 0;
    for (int kind = 0; kind < BC_SIM_CALLS; kind++) {
        /* A close that fails has closed; of reads every third will do. */
        for (uint64_t n = 1; kind != BC_SIM_CLOSE && failures < FAILURES_SHOWN; n += kind == BC_SIM_PREAD ? 3 : 1)
            if (!fail_at(name, play, &options, (enum bc_sim_call)kind, n, errors[n % 3])) break;
    }
    CU_ASSERT_EQUAL(failures, 0);
}

/* ---- tests ---- */

static void call_that_fails_harms_nothing_that_was_there(void)
{
    fail_everywhere("puts and deletes", puts_and_deletes, BITCASK_SYNC_OS);
    fail_everywhere("batches", batches, BITCASK_SYNC_ALWAYS);
    fail_everywhere("partitions", partitions, BITCASK_SYNC_OS);
    fail_everywhere("moves", moves, BITCASK_SYNC_OS);
    for (uint64_t i = 0; i < fixture_number("CRASH_SCRIPTS", 3); i++) {
        script_seed = seed + i;
        fail_everywhere("random script", random_script, BITCASK_SYNC_OS);
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

static void random_scripts_survive_every_crash(void)
{
    for (uint64_t i = 0; i < fixture_number("CRASH_SCRIPTS", 3); i++) {
        char name[40];
        script_seed = seed + i;
        snprintf(name, sizeof name, "random script %u", (unsigned)i);
        crash_everywhere(name, random_script, BITCASK_SYNC_OS, i % 2 ? 60 : 700);
    }
}

int main(void)
{
    seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%#llx\n", (unsigned long long)seed);
    static CU_TestInfo tests[] = {
        {"puts and deletes survive every crash", puts_and_deletes_survive_every_crash},
        {"batches are whole or absent after every crash", batches_are_whole_or_absent_after_every_crash},
        {"rotation survives every crash", rotation_survives_every_crash},
        {"partitions survive every crash", partitions_survive_every_crash},
        {"moved key is under one name after every crash", moved_key_is_under_one_name_after_every_crash},
        {"random scripts survive every crash", random_scripts_survive_every_crash},
        {"call that fails harms nothing that was there", call_that_fails_harms_nothing_that_was_there},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("crash", tests);
}
