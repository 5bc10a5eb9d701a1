/* crash_drive.c - see crash_drive.h.
 */
#include "crash_drive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAILURES_SHOWN 12u
#define KILLED_CUTS 5u

uint64_t crash_seed;
bool crash_merges;

static unsigned failures;
static uint64_t total_failures; /* of all scripts */

static void add_failure(bool failed)
{
    failures += failed;
    total_failures += failed;
}

/* With FAIL_FAST, what was found is enough: who puts in a fault wants to know whether it is found, not how often. */
static void end_if_failed(void)
{
    if (failures > 0 && getenv("FAIL_FAST")) exit(1);
}

/* ---- how many different disks were looked at ---- */

struct states {
    uint64_t *seen; /* digests; 0: free */
    size_t room, count;
};

static struct states crashed_states, recovery_states; /* of the whole program */
static uint64_t fault_points, starve_points;

static void sum_up(void)
{
    if (crashed_states.count > 0)
        printf("CRASH states: %zu, of recovery: %zu, violations: %llu\n", crashed_states.count, recovery_states.count,
               (unsigned long long)total_failures);
    if (fault_points > 0)
        printf("FAULT points: %llu, violations: %llu\n", (unsigned long long)fault_points,
               (unsigned long long)total_failures);
    if (starve_points > 0)
        printf("FAULT allocations: %llu, violations: %llu\n", (unsigned long long)starve_points,
               (unsigned long long)total_failures);
    free(crashed_states.seen);
    free(recovery_states.seen);
}

static void sum_up_at_exit(void)
{
    static bool registered;
    if (!registered && atexit(sum_up) != 0) exit(99);
    registered = true;
}

static bool insert_state(struct states *states, uint64_t digest)
{
    size_t at = (size_t)(digest % states->room);
    while (states->seen[at] != 0 && states->seen[at] != digest) at = (at + 1) % states->room;
    if (states->seen[at] == digest) return false;
    states->seen[at] = digest;
    return true;
}

static void add_state(struct states *states, uint64_t digest)
{
    if (digest == 0) digest = 1;
    if (states->count * 2 >= states->room) {
        struct states wider = {.room = states->room ? states->room * 2 : 4096, .count = states->count};
        wider.seen = calloc(wider.room, sizeof *wider.seen);
        if (!wider.seen) exit(99);
        for (size_t i = 0; i < states->room; i++)
            if (states->seen[i] != 0) (void)insert_state(&wider, states->seen[i]);
        free(states->seen);
        *states = wider;
    }
    states->count += insert_state(states, digest);
}

/* Counts a disk that is about to be opened, once however often it comes. recovery: the crash was in one. */
static void note_state(struct bc_sim *sim, bool recovery)
{
    uint64_t digest = bc_sim_digest(sim);
    add_state(&crashed_states, digest);
    if (recovery) add_state(&recovery_states, digest);
}

/* How many random cuts there are of each crash, and how many crashes of each recovery. With a sanitizer, which makes
 * all of it many times slower and sees other things, few. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FEW 1
#else
#define FEW 0
#endif

/* With LONG everything is tried, of each script as long as CRASH_SECONDS of the processor's time last, and from then on
 * what is tried without LONG: so all of it ends within minutes. */
static clock_t script_began;

static bool is_thorough(void)
{
    uint64_t seconds = fixture_number("CRASH_SECONDS", 5);
    return fixture_number("LONG", 0) && (uint64_t)(clock() - script_began) < seconds * CLOCKS_PER_SEC;
}

static uint64_t number_of_cuts(void)
{
    return fixture_number("CRASH_CUTS", is_thorough() ? 20 : FEW ? 1 : crash_merges ? 3 : 4);
}

static uint64_t number_of_nested(void)
{
    return fixture_number("CRASH_NESTED", is_thorough() ? 10 : FEW ? 1 : crash_merges ? 2 : 3);
}

/* Of the points at which to crash or to fail, one in so many is tried, from a random one on; with LONG all. What is
 * played has one thread: the thread sanitizer has nothing to find there but time. */
#if defined(__SANITIZE_THREAD__)
#define EVERY 24
#elif defined(__SANITIZE_ADDRESS__)
#define EVERY 4
#else
#define EVERY 3
#endif

static uint64_t every(void)
{
    uint64_t number = fixture_number("CRASH_EVERY", fixture_number("LONG", 0) ? 1 : EVERY);
    return number > 0 ? number : 1;
}

static uint64_t first_point(void)
{
    return 1 + crash_seed % every();
}

/* ---- what is done with each crashed disk ---- */

/* The partition made last that is there, the root if there is no other. */
static int last_partition(const struct world *world)
{
    int last = WORLD_ROOT;
    for (size_t i = 1; i < world->object_count; i++) {
        const struct world_object *object = &world->objects[i];
        if (object->is_partition && object->states[object->count - 1].parent != WORLD_ABSENT) last = (int)i;
    }
    return last;
}

static void write_on(struct world *world)
{
    int target = last_partition(world), made = world_create(world, target, 91, 0);
    world_put(world, made, 1, 0);
    world_put(world, WORLD_ROOT, 92, BITCASK_DURABLE);
    world_move(world, &(struct world_move){WORLD_ROOT, 92, made, 2, 0}, 1);
    world_put(world, WORLD_ROOT, 93, 0);
    if (target != WORLD_ROOT) world_put(world, target, 94, 0);
    world_delete(world, made, 1, 0);
    world_move(world, &(struct world_move){WORLD_ROOT, 93, WORLD_ROOT, 95, 0}, 1);
}

static void move_to(struct world *world, struct bc_sim *sim)
{
    world->sim = sim;
    world->db = NULL;
    for (size_t i = 0; i < WORLD_OBJECTS; i++) world->objects[i].handle = NULL;
}

/* Merges all there is in every partition. more: in the store's own as well, which makes durable what recovery has done
 * there, and hides what depends on it; and something is written where nothing may be left. */
static void merge_all(struct world *world, bool more)
{
    for (size_t i = 0; i < world->object_count; i++) {
        const struct world_object *object = &world->objects[i];
        if (object->is_partition && object->states[object->count - 1].parent != WORLD_ABSENT)
            world_merge(world, (int)i, BC_MERGE_FULL);
    }
    if (more) world_merge(world, WORLD_INODES, BC_MERGE_FULL);
    if (more && !world->stopped) world_put(world, last_partition(world), 94, 0);
}

/* Opens and checks on sim, and writes a record of the size of most: what recovery cut off must not come to life
 * behind it. Then the power is cut, and what was found is to be found again. killed: the system went on between the
 * crash and the open, so what was found is safe only after a sync; and of what the dead process had begun and its
 * successor went on with, names above all, a power cut may take any part, so that it takes more than one to see. */
static void expect_recovery(const struct world *crashed, struct bc_sim *sim, uint64_t cut_seed, bool killed)
{
    static struct world world, again;
    world = *crashed;
    world.failed = false;
    move_to(&world, sim);
    if (world_open(&world, false)) world_check(&world, true);
    if (killed) world_sync(&world);
    if (!world.failed && !killed && crash_merges && cut_seed % 2) merge_all(&world, cut_seed % 4 == 3);
    if (!world.failed) world_put(&world, WORLD_ROOT, 7, 0);
    for (uint64_t i = 0; i < (killed ? KILLED_CUTS : 1) && !world.failed; i++) {
        struct bc_sim *after = bc_sim_power_cut(sim, BC_SIM_CUT_RANDOM, cut_seed + (i << 32));
        note_state(after, false);
        again = world;
        move_to(&again, after);
        if (world_open(&again, false)) world_check(&again, false);
        world_close(&again);
        add_failure(again.failed);
        bc_sim_close(&after);
    }
    world_close(&world);
    add_failure(world.failed);
}

/* The successor of a killed process opens the store and is killed as well, and then the power goes: nothing that was
 * promised before may hang on what neither of them has synced. */
static void expect_second_kill(const struct world *crashed, struct bc_sim *sim, uint64_t cut_seed)
{
    static struct world world, again;
    world = *crashed;
    world.failed = false;
    move_to(&world, sim);
    if (world_open(&world, false)) world_check(&world, false);
    add_failure(world.failed);
    for (uint64_t i = 0; i < KILLED_CUTS && failures < FAILURES_SHOWN; i++) {
        struct bc_sim *after = bc_sim_power_cut(sim, BC_SIM_CUT_RANDOM, ~cut_seed + (i << 32));
        note_state(after, true);
        again = *crashed;
        again.failed = false;
        move_to(&again, after);
        if (world_open(&again, false)) world_check(&again, false);
        world_close(&again);
        add_failure(again.failed);
        bc_sim_close(&after);
    }
    bc_sim_crash_at(sim, bc_sim_changes(sim) + 1);
    world_close(&world);
    bc_sim_kill(sim);
}

static void crash_in_recovery(const struct world *crashed, struct bc_sim *sim, enum bc_sim_cut cut, uint64_t cut_seed,
                              uint64_t changes)
{
    static struct world world;
    uint64_t points = number_of_nested(), rng = cut_seed ^ crash_seed;
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
        note_state(second, true);
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
    note_state(sim, false);
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

static void run_script(struct world *world, crash_script play)
{
    if (world_open(world, false)) play(world);
    world_close(world);
}

#define CUTS_MAX 96u
#define SINGLES_MAX 24u

struct cut {
    enum bc_sim_cut cut;
    uint64_t seed;
};

/* What of a crash is tried: all and none of what was not synced, with the call in flight or without; each single change
 * kept or lost, all names, all content (with LONG; else one of these, by turns); and random parts. */
static size_t list_cuts(struct bc_sim *sim, uint64_t n, struct cut list[CUTS_MAX])
{
    uint64_t random = number_of_cuts(), unsynced = bc_sim_unsynced(sim);
    size_t count = 0;
    list[count++] = (struct cut){BC_SIM_CUT_ALL, 0};
    list[count++] = (struct cut){BC_SIM_CUT_ALL, 1};
    list[count++] = (struct cut){BC_SIM_CUT_SYNCED, crash_seed + n * 100 + 2};
    if (is_thorough()) {
        for (uint64_t i = 0; i < unsynced && i < SINGLES_MAX; i++) {
            list[count++] = (struct cut){BC_SIM_CUT_SYNCED_AND_ONE, i};
            list[count++] = (struct cut){BC_SIM_CUT_ALL_BUT_ONE, i};
        }
        list[count++] = (struct cut){BC_SIM_CUT_NAMES, 0};
        list[count++] = (struct cut){BC_SIM_CUT_CONTENT, 0};
    } else if (random > 1 || n % 2) {
        list[count++] = (struct cut){BC_SIM_CUT_SYNCED_AND_ONE + (int)(n / 2 % 4), crash_seed + n / 8};
        if (random > 0) random--;
    }
    for (uint64_t i = 3; i < random + 3 && count < CUTS_MAX; i++)
        list[count++] = (struct cut){BC_SIM_CUT_RANDOM, crash_seed + n * 100 + i};
    return count;
}

static void crash_at(const char *name, crash_script play, const bitcask_options *options, size_t value_size, uint64_t n)
{
    static struct world world;
    struct bc_sim *sim = bc_sim_open(7);
    snprintf(world_context, sizeof world_context, "SEED=%#llx %s, crash at %llu", (unsigned long long)crash_seed, name,
             (unsigned long long)n);
    world_init(&world, sim, options, value_size);
    bc_sim_crash_at(sim, n);
    run_script(&world, play);
    add_failure(world.failed || !bc_sim_crashed(sim) || bc_sim_handles(sim) != 0);
    struct cut list[CUTS_MAX];
    size_t cuts = list_cuts(sim, n, list);
    for (size_t i = 0; i < cuts && failures < FAILURES_SHOWN; i++) {
        static const char *const names[] = {"all kept",         "synced kept", "some kept",   "synced and one kept",
                                            "all but one kept", "names kept",  "content kept"};
        snprintf(world_context, sizeof world_context, "SEED=%#llx %s, crash at %llu, %s (%llu)",
                 (unsigned long long)crash_seed, name, (unsigned long long)n, names[list[i].cut],
                 (unsigned long long)i);
        survive(&world, list[i].cut, list[i].seed);
    }
    /* Only the process died; its successor finds what was never synced, syncs, and then the power goes. */
    snprintf(world_context, sizeof world_context, "SEED=%#llx %s, killed at %llu", (unsigned long long)crash_seed, name,
             (unsigned long long)n);
    bc_sim_kill(sim);
    if (failures < FAILURES_SHOWN) expect_second_kill(&world, sim, n);
    if (failures < FAILURES_SHOWN) expect_recovery(&world, sim, n, true);
    bc_sim_close(&sim);
}

/* Small segments and few open partitions, so that scripts rotate and close. */
static bitcask_options options_with(bitcask_sync_policy sync)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.sync = sync;
    options.segment_size = 65536;
    options.max_open = 4;
    return options;
}

void crash_everywhere(const char *name, crash_script play, bitcask_sync_policy sync, size_t value_size)
{
    static struct world world;
    bitcask_options options;
    bitcask_options_init(&options);
    options.sync = sync;
    options.segment_size = 65536;
    struct bc_sim *sim = bc_sim_open(7);
    size_t states = crashed_states.count, of_recovery = recovery_states.count;
    script_began = clock();
    failures = 0;
    sum_up_at_exit();
    snprintf(world_context, sizeof world_context, "%s, no crash", name);
    world_init(&world, sim, &options, value_size);
    run_script(&world, play);
    uint64_t changes = bc_sim_changes(sim);
    if (world_open(&world, false)) world_check(&world, false);
    world_close(&world);
    add_failure(world.failed);
    bc_sim_close(&sim);
    CU_ASSERT(changes > 10);
    for (uint64_t n = first_point(); n <= changes && failures < FAILURES_SHOWN; n += every())
        crash_at(name, play, &options, value_size, n);
    printf("CRASH %s: states: %zu, of recovery: %zu\n", name, crashed_states.count - states,
           recovery_states.count - of_recovery);
    end_if_failed();
    CU_ASSERT_EQUAL(failures, 0);
}

/* ---- a call that fails ---- */

/* Opens the store on what a power cut now would leave, and compares: on what was synced, on all, and on random parts.
 */
static void expect_after_cut(const struct world *world, struct bc_sim *sim, uint64_t seed)
{
    static const enum bc_sim_cut cuts[] = {BC_SIM_CUT_SYNCED, BC_SIM_CUT_ALL, BC_SIM_CUT_RANDOM};
    static struct world after;
    uint64_t count = 2 + (number_of_cuts() + 3) / 4;
    for (uint64_t i = 0; i < count && failures < FAILURES_SHOWN; i++) {
        struct bc_sim *cut = bc_sim_power_cut(sim, cuts[i < 2 ? i : 2], i < 2 ? 0 : crash_seed + seed * 100 + i);
        after = *world;
        after.failed = after.faulty = false;
        move_to(&after, cut);
        if (world_open(&after, false)) world_check(&after, false);
        world_close(&after);
        if (after.failed) fprintf(stderr, "%s: after cut %llu\n", world_context, (unsigned long long)i);
        add_failure(after.failed);
        bc_sim_close(&cut);
    }
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

#define ALLOCATION BC_SIM_CALLS /* a kind of its own */

static void (*starve_at)(uint64_t n);
static uint64_t (*starve_count)(void);

static void order_failure(struct bc_sim *sim, int kind, uint64_t n, int error, bool forever)
{
    if (kind == ALLOCATION)
        starve_at(n);
    else
        bc_sim_fail(sim, (enum bc_sim_call)kind, n, error, forever);
}

/* Plays the script until call n of a kind has failed; then reads go on and find an admissible state, a sync that
 * succeeds says the truth, and the store opens again. forever: all later calls of the kind fail too, until the store is
 * closed, but for those of the reads, which may have to open a partition. False if there were fewer calls. */
static bool fail_at(const char *name, crash_script play, const bitcask_options *options, size_t value_size, int kind,
                    uint64_t n, int error, bool forever)
{
    static struct world world, stopped;
    struct bc_sim *sim = bc_sim_open(7);
    snprintf(world_context, sizeof world_context, "%s, call %llu of kind %d fails with %d%s", name,
             (unsigned long long)n, kind, error, forever ? ", and all after it" : "");
    world_init(&world, sim, options, value_size);
    world.faulty = world.had_faults = true;
    order_failure(sim, kind, n, error, forever);
    if (world_open(&world, false)) play(&world);
    bool reached = (kind == ALLOCATION ? starve_count() : bc_sim_calls(sim, (enum bc_sim_call)kind)) >= n;
    add_failure(world.failed); /* what follows may not see it: the script may have closed the store */
    world.failed = false;
    stopped = world;
    if (kind == ALLOCATION) order_failure(sim, kind, 0, 0, false);
    if (world.opened) expect_after_cut(&stopped, sim, n);
    order_failure(sim, kind, 0, 0, false);
    if (world.db) {
        world.stopped = false;
        world_check(&world, false);
        world_sync(&world);
        add_failure(world.failed);
        if (!world.failed && !world.stopped) {
            raise_floors(&stopped);
            expect_after_cut(&stopped, sim, ~n);
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

/* Reads and writes that transfer less than they were asked to are no failure. */
static void play_short(const char *name, crash_script play, const bitcask_options *options, size_t value_size)
{
    static struct world world;
    struct bc_sim *sim = bc_sim_open(7);
    snprintf(world_context, sizeof world_context, "%s, short transfers", name);
    world_init(&world, sim, options, value_size);
    bc_sim_set_short(sim, 11);
    run_script(&world, play);
    if (!world.failed && world_open(&world, false)) world_check(&world, false);
    world_close(&world);
    add_failure(world.failed || bc_sim_handles(sim) != 0);
    bc_sim_close(&sim);
}

void fail_everywhere(const char *name, crash_script play, bitcask_sync_policy sync, size_t value_size)
{
    /* EINTR is tried again, by all but a sync: were it for ever, so would that be. */
    static const int errors[] = {EIO, ENOSPC, EMFILE, EDQUOT, EINTR};
    const uint64_t kinds = sizeof errors / sizeof *errors;
    const bitcask_options options = options_with(sync);
    script_began = clock();
    failures = 0;
    sum_up_at_exit();
    play_short(name, play, &options, value_size);
    for (int kind = 0; kind < BC_SIM_CALLS; kind++) {
        /* A close that fails has closed; of reads every third will do. With LONG each error at each call, once and from
         * then on; else one of them, by turns. */
        uint64_t step = kind == BC_SIM_PREAD ? 3 * every() : every();
        bool reached = kind != BC_SIM_CLOSE;
        for (uint64_t n = first_point(); reached && failures < FAILURES_SHOWN; n += step) {
            uint64_t tries = is_thorough() ? kinds * 2 : 1;
            for (uint64_t i = 0; i < tries && reached; i++) {
                uint64_t which = tries > 1 ? i : n + (uint64_t)kind + crash_seed;
                int error = errors[which % kinds];
                bool forever = which / kinds % 2 && error != EINTR;
                reached = fail_at(name, play, &options, value_size, kind, n, error, forever);
                fault_points += reached;
            }
        }
    }
    end_if_failed();
    CU_ASSERT_EQUAL(failures, 0);
}

void starve_everywhere(const char *name, crash_script play, bitcask_sync_policy sync, size_t value_size,
                       void (*starve)(uint64_t n), uint64_t (*starved)(void))
{
    uint64_t step = 7 * every();
    const bitcask_options options = options_with(sync);
    script_began = clock();
    failures = 0;
    sum_up_at_exit();
    starve_at = starve;
    starve_count = starved;
    for (uint64_t n = fixture_number("LONG", 0) ? 1 : 1 + crash_seed % step; failures < FAILURES_SHOWN;
         n += is_thorough() ? 1 : step) {
        if (!fail_at(name, play, &options, value_size, ALLOCATION, n, ENOMEM, false)) break;
        starve_points++;
    }
    end_if_failed();
    CU_ASSERT_EQUAL(failures, 0);
}

/* ---- random steps ---- */

int crash_any_partition(const struct world *world, uint64_t *rng)
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
    struct world_move move = {crash_any_partition(world, rng), (int)fixture_below(rng, 6),
                              crash_any_partition(world, rng), (int)fixture_below(rng, 6), 0};
    int object = world_at(world, move.from, move.from_name), other = world_at(world, move.to, move.to_name);
    if (object == WORLD_ABSENT || object == other || is_within(world, move.to, object)) return;
    if (other != WORLD_ABSENT && fixture_below(rng, 2) && !is_within(world, move.from, other))
        move.flags = BITCASK_EXCHANGE;
    else if (other != WORLD_ABSENT && (world->objects[object].is_partition != world->objects[other].is_partition ||
                                       !holds_nothing(world, other) || is_within(world, move.from, other)))
        return;
    world_move(world, &move, 1);
}

void crash_random_step(struct world *world, uint64_t *rng, int i)
{
    int partition = crash_any_partition(world, rng), name = (int)fixture_below(rng, 6);
    int object = world_at(world, partition, name);
    bool is_partition = object != WORLD_ABSENT && world->objects[object].is_partition;
    unsigned flags = fixture_below(rng, 5) == 0 ? BITCASK_DURABLE : 0;
    switch (fixture_below(rng, 12)) {
    case 0:
    case 1: random_rename(world, rng); break;
    case 2: random_rename(world, rng); break;
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
