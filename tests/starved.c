/* starved.c - the driver of starved.h: plays a script once for each allocation that it makes.
 */
#include "starved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "starve.h"
#include "starved_parts.h"

#define FAILURES_SHOWN 12u

/* Of the allocations of a script one in so many fails in `make check`. */
#if defined(__SANITIZE_THREAD__)
#define STEP 100u
#elif defined(__SANITIZE_ADDRESS__)
#define STEP 50u
#else
#define STEP 14u
#endif

uint64_t starved_seed;

static uint64_t points, violations;

static uint64_t step(void)
{
    uint64_t number = fixture_number("STARVE_EVERY", fixture_number("LONG", 0) ? 1 : STEP);
    return number > 0 ? number : 1;
}

static void sum_up(void)
{
    printf("FAULT allocations: %llu, violations: %llu\n", (unsigned long long)points, (unsigned long long)violations);
}

/* ---- where the store is ---- */

static void set_place(struct starved *store, struct bc_sim *sim, const char *name)
{
    store->sim = sim;
    store->io = sim ? bc_sim_io(sim) : bc_io_posix();
    store->db = NULL;
    snprintf(store->path, sizeof store->path, "%s", sim ? "store" : fixture_path("%s", name));
}

/* A copy of the store as it is on disk now; one that is open is found as after a kill. */
static void copy_store(const struct starved *from, struct starved *to, const char *name)
{
    *to = *from;
    set_place(to, from->sim ? bc_sim_power_cut(from->sim, BC_SIM_CUT_ALL, 0) : NULL, name);
    if (from->sim) return;
    fixture_remove(to->path);
    if (fixture_size(from->path) != UINT64_MAX) fixture_copy(from->path, to->path);
}

static void remove_store(struct starved *store)
{
    if (store->sim)
        bc_sim_close(&store->sim);
    else
        fixture_remove(store->path);
}

static void prepare(const struct starved_script *script, struct starved *base)
{
    static struct starved killed;
    snprintf(starved_context, sizeof starved_context, "%s, prepared", script->name);
    *base = (struct starved){.seed = 0};
    set_place(base, script->real_disk ? NULL : bc_sim_open(7), "base");
    bitcask_options_init(&base->options);
    base->options.create = true;
    base->options.sync = BITCASK_SYNC_OS;
    base->options.segment_size = 65536;
    if (script->prepare) {
        script->prepare(base);
        starved_compare(base);
    }
    if (script->killed) {
        killed = *base;
        copy_store(&killed, base, "killed");
        starved_close(&killed);
        remove_store(&killed);
    }
    starved_close(base);
    if (base->failed) exit(1);
}

/* ---- one run ---- */

static void violated(struct starved *store, const char *what, uint64_t number)
{
    fprintf(stderr, "%s: %s: %llu\n", starved_context, what, (unsigned long long)number);
    store->failed = true;
}

static void write_on(struct starved *store)
{
    int made = starved_create(store, STARVED_ROOT, "new dir");
    starved_put(store, made, "small", 100, BITCASK_DURABLE);
    starved_put(store, STARVED_ROOT, "large", 9000, 0);
    starved_moves(store, &(struct starved_move){STARVED_ROOT, "large", made, "large", 0}, 1);
    starved_put(store, STARVED_ROOT, "gone", 10, 0);
    starved_delete(store, STARVED_ROOT, "gone", 0);
    starved_sync(store);
    starved_compare(store);
}

/* What there is, once memory is back. */
static void finish(struct starved *store, bool warm)
{
    static struct starved killed;
    /* The process may also end just here. */
    if (store->db && !store->options.read_only) {
        copy_store(store, &killed, "killed");
        fixture_own++;
        if (starved_open(&killed)) starved_compare(&killed);
        starved_close(&killed);
        fixture_own--;
        store->failed |= killed.failed;
        remove_store(&killed);
    }
    if (!store->db) (void)starved_open(store);
    if (store->db) starved_compare(store);
    if (store->db && !store->options.read_only) write_on(store);
    starved_close(store);
    if (store->sim && bc_sim_handles(store->sim) > 0) violated(store, "handles left open", bc_sim_handles(store->sim));
    if (store->sim && bc_sim_misuses(store->sim) > 0) violated(store, "handles misused", bc_sim_misuses(store->sim));
    if (!warm && starve_live() > 0) violated(store, "pieces of memory not given back", starve_live());
    store->options.read_only = false;
    if (!starved_open(store)) return;
    starved_compare(store);
    starved_verify(store);
    starved_close(store);
}

/* What the store says of what happens, where one allocation was chosen. */
static void tell_line(void *context, bitcask_log_level level, const char *line)
{
    (void)context;
    (void)level;
    fprintf(stderr, "%s: said: %s\n", starved_context, line);
}

/* Plays the script with allocation n failing; 0: none. False if there were fewer. */
static bool run(const struct starved_script *script, const struct starved *base, uint64_t n, bool forever, bool looks)
{
    static struct starved store;
    snprintf(starved_context, sizeof starved_context, "%s, allocation %llu fails%s%s", script->name,
             (unsigned long long)n, forever ? " with all after it" : "",
             looks ? ", what there is is read at once" : "");
    copy_store(base, &store, "run");
    store.looks = looks;
    if (getenv("STARVE_AT")) store.options.log = tell_line;
    starve_forget_live();
    if (script->behind) starve_others_only(true);
    if (forever)
        starve_from(n);
    else
        starve_at(n);
    script->play(&store);
    bool reached = n > 0 && starve_failed();
    starve_at(0);
    starve_others_only(false);
    finish(&store, n == 0);
    if (store.failed) violations++;
    remove_store(&store);
    return reached;
}

void starved_everywhere(const struct starved_script *script)
{
    static struct starved base;
    static bool registered;
    uint64_t before = violations, only = fixture_number("STARVE_AT", 0);
    bool all = fixture_number("LONG", 0) > 0, reached = true;
    const char *wanted = getenv("STARVE_SCRIPT");
    if (wanted && strcmp(wanted, script->name) != 0) return;
    if (!registered && atexit(sum_up) != 0) exit(99);
    if (!registered) printf("every %llu. allocation of each script\n", (unsigned long long)step());
    registered = true;
    prepare(script, &base);
    (void)run(script, &base, 0, false, false); /* what is made once in a program's life is made here */
    uint64_t stride = script->real_disk || script->behind ? 4 * step() : step();
    if (all || script->thorough) stride = all ? step() : 1;
    for (uint64_t n = only ? only : 1 + starved_seed % stride; reached && violations - before < FAILURES_SHOWN;
         n += stride) {
        uint64_t way = n / stride + starved_seed;
        for (uint64_t i = 0; i < 4 && reached; i++) {
            if (!all && !only && i != way % 4) continue;
            reached = run(script, &base, n, i & 1, i & 2);
            points += reached;
        }
        if (only || (violations > before && getenv("FAIL_FAST"))) break;
    }
    remove_store(&base);
    CU_ASSERT_EQUAL(violations - before, 0);
}
