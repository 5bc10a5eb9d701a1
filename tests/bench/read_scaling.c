/* read_scaling.c - what a writer and merges without a pause cost eight readers.
 *
 * read_scaling DIRECTORY [KEYS [ROUNDS]]: a store of KEYS (500,000) of 16 bytes with values of 100 below DIRECTORY,
 * removed at the end. READERS (8) threads get random keys for SECONDS (2) at a time: with nothing else going on, beside
 * as many threads as will write and merge that only burn their processor time, and beside these themselves. All three
 * take turns, ROUNDS (5) of them; medians. A writer and a merge need a processor too: only what readers lose against
 * the burning threads do they lose by waiting. Each value is checked.
 */
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "bitcask.h"
#include "measure.h"

#define VALUE_SIZE 100u
#define READERS_MAX 64u
#define BESIDE 2u /* threads: one writes, one merges */

enum load { ALONE, BURNING, WRITING, LOADS };

static char path[4096];
static bitcask_partition *root;
static uint64_t keys = 500000;
static unsigned readers = 8;
static atomic_bool stop;
static _Atomic uint64_t writes, merges, burnt;

static void must(bitcask_status status, const char *what)
{
    if (status == BITCASK_OK) return;
    fprintf(stderr, "read_scaling: %s: %s: %s\n", what, bitcask_status_text(status), bitcask_error_detail());
    exit(1);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void put(uint64_t number, char generation)
{
    char key[MEASURE_KEY_SIZE], value[VALUE_SIZE];
    measure_key(number, key);
    measure_value(key, generation, value, sizeof value);
    must(bitcask_put(root, key, sizeof key, value, sizeof value, NULL, NULL), "put");
}

/* ---- threads ---- */

struct reader {
    pthread_t thread;
    uint64_t seed, gets;
};

static void *read_on(void *context)
{
    struct reader *reader = context;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        char key[MEASURE_KEY_SIZE];
        bitcask_value *value = NULL;
        measure_key(measure_random(&reader->seed) % keys, key);
        must(bitcask_get(root, key, sizeof key, &value), "get");
        const char *data = bitcask_value_data(value);
        if (!measure_value_is(key, data[VALUE_SIZE - 1], data, (size_t)bitcask_value_size(value), VALUE_SIZE))
            must(BITCASK_CORRUPT, "a value is wrong");
        bitcask_value_unpin(&value);
        reader->gets++;
    }
    return NULL;
}

static void *burn_on(void *context)
{
    uint64_t state = 1;
    (void)context;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        for (int i = 0; i < 1000; i++) measure_random(&state);
    atomic_fetch_add(&burnt, state);
    return NULL;
}

/* Overwrites, and puts and deletes others, so that the index grows and shrinks as well. */
static void *write_on(void *context)
{
    uint64_t rng = (uint64_t)(uintptr_t)context + 1, passing = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        char key[MEASURE_KEY_SIZE];
        put(measure_random(&rng) % keys, (char)('a' + measure_random(&rng) % 26));
        put(keys + passing % keys, 'z');
        if (passing >= keys / 4) {
            measure_key(keys + (passing - keys / 4) % keys, key);
            must(bitcask_delete(root, key, sizeof key, NULL), "delete");
        }
        passing++;
        atomic_fetch_add_explicit(&writes, passing > keys / 4 ? 3 : 2, memory_order_relaxed);
    }
    /* The next round begins with the same keys. */
    for (uint64_t i = passing > keys / 4 ? passing - keys / 4 : 0; i < passing; i++) {
        char key[MEASURE_KEY_SIZE];
        measure_key(keys + i % keys, key);
        must(bitcask_delete(root, key, sizeof key, NULL), "delete");
    }
    return NULL;
}

static bool merge_further(void *context, const bitcask_progress *progress)
{
    (void)context, (void)progress;
    return !atomic_load(&stop);
}

static void *merge_on(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        bitcask_merge_options options = {.flags = BITCASK_MERGE_FULL, .progress = merge_further};
        bitcask_merge_result result = {0};
        bitcask_status status = bitcask_merge(root, &options, &result);
        if (status != BITCASK_CANCELLED) must(status, "merge");
        atomic_fetch_add(&merges, result.merges);
    }
    return NULL;
}

/* ---- measuring ---- */

static double measure(enum load load, unsigned seed, unsigned seconds)
{
    static void *(*const mains[LOADS][BESIDE])(void *) = {
        [BURNING] = {burn_on, burn_on},
        [WRITING] = {write_on, merge_on},
    };
    struct reader list[READERS_MAX] = {{0}};
    pthread_t beside[BESIDE];
    uint64_t gets = 0;
    atomic_store(&stop, false);
    for (unsigned i = 0; i < BESIDE && mains[load][i]; i++)
        if (pthread_create(&beside[i], NULL, mains[load][i], (void *)(uintptr_t)seed) != 0) exit(1);
    uint64_t begin = measure_now_ns();
    for (unsigned i = 0; i < readers; i++) {
        list[i].seed = seed * 1000u + i;
        if (pthread_create(&list[i].thread, NULL, read_on, &list[i]) != 0) exit(1);
    }
    nanosleep(&(struct timespec){(time_t)seconds, 0}, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < readers; i++) {
        pthread_join(list[i].thread, NULL);
        gets += list[i].gets;
    }
    double rate = (double)gets / measure_seconds_since(begin);
    for (unsigned i = 0; i < BESIDE && mains[load][i]; i++) pthread_join(beside[i], NULL);
    return rate;
}

static int remove_one(const char *name, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(name);
}

static void report(double rates[LOADS][MEASURE_ROUNDS_MAX], unsigned rounds, unsigned seconds)
{
    double alone = measure_median(rates[ALONE], rounds), burning = measure_median(rates[BURNING], rounds);
    double writing = measure_median(rates[WRITING], rounds);
    double time = (double)rounds * seconds;
    printf("%u readers, %llu keys, thousand gets/s, medians of %u rounds\n", readers, (unsigned long long)keys, rounds);
    printf("%-40s %10.0f\n", "alone", alone / 1e3);
    printf("%-40s %10.0f\n", "beside 2 threads that burn processor", burning / 1e3);
    printf("%-40s %10.0f   (%.0f thousand writes/s, %.1f merges/s)\n", "beside a writer and merges", writing / 1e3,
           (double)writes / time / 1e3, (double)merges / time);
    printf("%-40s %+9.1f %%\n", "against the burning threads", (writing / burning - 1) * 100);
}

int main(int argc, char **argv)
{
    static double rates[LOADS][MEASURE_ROUNDS_MAX];
    unsigned rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 5, seconds = (unsigned)number_of("SECONDS", 2);
    bitcask_options options;
    bitcask *db = NULL;
    if (argc > 2) keys = strtoull(argv[2], NULL, 10);
    readers = (unsigned)number_of("READERS", 8);
    if (argc < 2 || keys < 4 || rounds < 1 || rounds > MEASURE_ROUNDS_MAX || readers < 1 || readers > READERS_MAX)
        return fprintf(stderr, "usage: read_scaling DIRECTORY [KEYS [ROUNDS]]\n"), 2;
    snprintf(path, sizeof path, "%.4000s/read-scaling-XXXXXX", argv[1]);
    if (!mkdtemp(path)) return perror(path), 1;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = 16u * 1024 * 1024;
    must(bitcask_open(path, &options, &db), "open");
    must(bitcask_partition_open(db, "", &root), "open the root");
    for (uint64_t i = 0; i < keys; i++) put(i, 'a');
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned load = 0; load < LOADS; load++) rates[load][round] = measure((enum load)load, round + 1, seconds);
    report(rates, rounds, seconds);
    bitcask_partition_close(&root);
    must(bitcask_close(&db), "close");
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : 1;
}
