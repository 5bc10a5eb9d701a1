/* measure.h - what the benchmarks of the store share: a clock, medians, the memory of this process, keys and values.
 *
 * Keys have 16 bytes, hexadecimal digits of a number that was mixed: counting up gives them in random order. A value
 * tells its key and a generation, so that a wrong one is noticed. Threads: any, the functions keep nothing.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MEASURE_KEY_SIZE 16u
#define MEASURE_ROUNDS_MAX 64

static inline uint64_t measure_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline double measure_seconds_since(uint64_t begin_ns)
{
    return (double)(measure_now_ns() - begin_ns) / 1e9;
}

static inline int measure_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The middle one, or the mean of both; sorts the values. 0 if there is none. */
static inline double measure_median(double *values, size_t count)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, measure_compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* A line of /proc/self/status, such as "VmRSS" or "RssAnon", in bytes. */
static inline uint64_t measure_memory(const char *field)
{
    char line[256];
    unsigned long long kib = 0;
    size_t length = strlen(field);
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, field, length) == 0 && line[length] == ':') {
            kib = strtoull(line + length + 1, NULL, 10);
            break;
        }
    if (file) fclose(file);
    return kib * 1024;
}

/* The next number of a splitmix64 sequence. */
static inline uint64_t measure_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Different numbers give different keys: each step can be undone. */
static inline void measure_key(uint64_t number, char key[MEASURE_KEY_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t state = number * 0x9e3779b97f4a7c15u, mixed = measure_random(&state);
    for (unsigned i = 0; i < MEASURE_KEY_SIZE; i++) key[i] = digits[(mixed >> (4 * i)) & 15];
}

/* size: at least that of a key and 2 bytes. */
static inline void measure_value(const char key[MEASURE_KEY_SIZE], char generation, char *value, size_t size)
{
    memcpy(value, key, MEASURE_KEY_SIZE);
    memset(value + MEASURE_KEY_SIZE, generation, size - MEASURE_KEY_SIZE);
}

static inline bool measure_value_is(const char key[MEASURE_KEY_SIZE], char generation, const char *value, size_t size,
                                    size_t wanted_size)
{
    return size == wanted_size && memcmp(value, key, MEASURE_KEY_SIZE) == 0 && value[MEASURE_KEY_SIZE] == generation &&
           value[size - 1] == generation;
}

/* The numbers below count in random order, malloc'ed. */
static inline uint32_t *measure_shuffled(uint32_t count, uint64_t seed)
{
    uint32_t *order = malloc((count ? count : 1) * sizeof *order);
    if (!order) exit(1);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)(measure_random(&seed) % (i + 1u));
        order[i] = order[at];
        order[at] = i;
    }
    return order;
}

#endif
