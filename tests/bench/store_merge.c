/* store_merge.c - what merging costs those who read meanwhile, and what opening costs, with hints and without.
 *
 * store_merge DIRECTORY [KEYS [ROUNDS]]: makes a store in DIRECTORY/store (removed at the end) of KEYS keys (default
 * 500,000) of 16 bytes with values of 100 bytes, each overwritten once. Then one thread gets random keys for a second
 * at a time, alternately with nothing else going on and with merges of everything one after another beside it; medians
 * over the rounds (default 5). Each value is checked. Then the store is closed and opened with hints, and without.
 */
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bitcask.h"

#define VALUE_SIZE 100u
#define SAMPLES_MAX 4000000u

static char store_path[4096];
static uint64_t keys = 500000;
static uint32_t *samples; /* nanoseconds each get took */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void must(bitcask_status status, const char *what)
{
    if (status == BITCASK_OK) return;
    fprintf(stderr, "store_merge: %s: %s: %s\n", what, bitcask_status_text(status), bitcask_error_detail());
    exit(1);
}

static bitcask *open_store(void)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.create = true;
    options.segment_size = 32u * 1024 * 1024;
    must(bitcask_open(store_path, &options, &db), "open");
    return db;
}

static void key_of(uint64_t i, char key[17])
{
    snprintf(key, 17, "%016" PRIx64, i * 0x9e3779b97f4a7c15u);
}

static void fill(bitcask_partition *root, int round)
{
    char key[17], value[VALUE_SIZE];
    for (uint64_t i = 0; i < keys; i++) {
        key_of(i, key);
        memset(value, 'a' + round, sizeof value);
        memcpy(value, key, 16);
        must(bitcask_put(root, key, 16, value, sizeof value, NULL, NULL), "put");
    }
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

struct latency {
    double per_s, p50_us, p99_us, p999_us;
};

/* Gets random keys for a second. */
static struct latency read_for_a_second(bitcask_partition *root, uint64_t seed)
{
    uint64_t begin = now_ns(), at = begin;
    size_t count = 0;
    while (at - begin < 1000000000u && count < SAMPLES_MAX) {
        char key[17];
        bitcask_value *value = NULL;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        key_of((seed >> 20) % keys, key);
        must(bitcask_get(root, key, 16, &value), "get");
        if (memcmp(bitcask_value_data(value), key, 16) != 0) must(BITCASK_CORRUPT, "a value of another key");
        bitcask_value_unpin(&value);
        uint64_t then = now_ns();
        samples[count++] = (uint32_t)(then - at);
        at = then;
    }
    qsort(samples, count, sizeof *samples, compare_samples);
    return (struct latency){(double)count * 1e9 / (double)(at - begin), samples[count / 2] / 1e3,
                            samples[count * 99 / 100] / 1e3, samples[count * 999 / 1000] / 1e3};
}

struct merger {
    bitcask_partition *root;
    atomic_bool stop;
    unsigned merges;
};

static bool go_on(void *context, const bitcask_progress *progress)
{
    (void)progress;
    return !atomic_load((atomic_bool *)context);
}

static void *merge_without_pause(void *context)
{
    struct merger *merger = context;
    while (!atomic_load(&merger->stop)) {
        bitcask_merge_options options = {BITCASK_MERGE_FULL, go_on, &merger->stop};
        bitcask_merge_result result;
        bitcask_status status = bitcask_merge(merger->root, &options, &result);
        if (status != BITCASK_CANCELLED) must(status, "merge");
        merger->merges += (unsigned)result.merges;
    }
    return NULL;
}

static int compare_latency(const void *a, const void *b)
{
    double x = ((const struct latency *)a)->p99_us, y = ((const struct latency *)b)->p99_us;
    return x < y ? -1 : x > y;
}

static double measure_reads(bitcask_partition *root, int rounds)
{
    struct latency alone[64], beside[64];
    unsigned merges = 0;
    for (int i = 0; i < rounds; i++) {
        struct merger merger = {.root = root};
        pthread_t thread;
        alone[i] = read_for_a_second(root, (uint64_t)i + 1);
        if (pthread_create(&thread, NULL, merge_without_pause, &merger) != 0) exit(1);
        beside[i] = read_for_a_second(root, (uint64_t)i + 100);
        atomic_store(&merger.stop, true);
        pthread_join(thread, NULL);
        merges += merger.merges;
    }
    qsort(alone, (size_t)rounds, sizeof *alone, compare_latency);
    qsort(beside, (size_t)rounds, sizeof *beside, compare_latency);
    const struct latency *a = &alone[rounds / 2], *b = &beside[rounds / 2];
    printf("%-22s %12s %8s %8s %8s\n", "get", "per second", "p50 us", "p99 us", "p99.9 us");
    printf("%-22s %12.0f %8.2f %8.2f %8.2f\n", "alone", a->per_s, a->p50_us, a->p99_us, a->p999_us);
    printf("%-22s %12.0f %8.2f %8.2f %8.2f   (%u merges)\n", "beside merges", b->per_s, b->p50_us, b->p99_us,
           b->p999_us, merges);
    return b->p99_us / a->p99_us;
}

/* Removes the hints below path: what kind is it that a name ends so. */
static void remove_hints(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char below[8192];
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.') continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".hint") == 0)
            unlink(below);
        else
            remove_hints(below);
    }
    closedir(dir);
}

static double time_open(void)
{
    uint64_t begin = now_ns();
    bitcask *db = open_store();
    bitcask_partition *root = NULL;
    bitcask_stats stats;
    must(bitcask_partition_open(db, "", &root), "open the root");
    must(bitcask_partition_stats(root, &stats), "stats"); /* counts: the index is built */
    double ms = (double)(now_ns() - begin) / 1e6;
    if (stats.live_keys != keys) must(BITCASK_CORRUPT, "keys are missing");
    bitcask_partition_close(&root);
    must(bitcask_close(&db), "close");
    return ms;
}

int main(int argc, char **argv)
{
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    bitcask_partition *root = NULL;
    bitcask_merge_result result;
    if (argc < 2 || rounds < 1 || rounds > 64)
        return fprintf(stderr, "usage: store_merge DIRECTORY [KEYS [ROUNDS]]\n"), 2;
    if (argc > 2) keys = strtoull(argv[2], NULL, 10);
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (!samples || keys == 0) return 2;
    snprintf(store_path, sizeof store_path, "%s/store", argv[1]);

    bitcask *db = open_store();
    must(bitcask_partition_open(db, "", &root), "open the root");
    uint64_t begin = now_ns();
    fill(root, 0);
    fill(root, 1);
    printf("put: %.0f a second\n", (double)keys * 2e9 / (double)(now_ns() - begin));
    double ratio = measure_reads(root, rounds);
    printf("p99 beside merges: %.2f times that alone\n", ratio);
    must(bitcask_merge(root, &(bitcask_merge_options){.flags = BITCASK_MERGE_FULL}, &result), "merge");
    printf("merge: %.0f MB/s\n", (double)result.bytes_in / 1e6 / ((double)result.elapsed_ns / 1e9));
    bitcask_stats stats;
    must(bitcask_partition_stats(root, &stats), "stats");
    printf("bytes a key: %.1f data, %.1f hints (payload 116)\n", (double)stats.data_bytes / (double)keys,
           (double)stats.hint_bytes / (double)keys);
    bitcask_partition_close(&root);
    must(bitcask_close(&db), "close");
    printf("open %" PRIu64 " keys with hints: %.0f ms\n", keys, time_open());
    remove_hints(store_path);
    printf("open without hints: %.0f ms\n", time_open());
    char command[8300];
    snprintf(command, sizeof command, "rm -rf '%s'", store_path);
    return system(command) == 0 ? 0 : 1;
}
