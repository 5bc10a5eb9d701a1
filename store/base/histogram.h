/* histogram.h - how long things took: counts in buckets whose bounds double, and the sum.
 *
 * Adding is two atomic additions and no lock; who reads may see one of them without the other, no more. The bounds are
 * those of bitcask_histogram. Threads: any.
 *
 * What takes less time than two looks at the clock is worth is sampled: each thread times its first few operations
 * one by one, and then one of many, which counts for as many. So the count stays what it was without sampling, to
 * within one sample a thread, and hot loops pay for the clock now and then.
 */
#ifndef BC_HISTOGRAM_H
#define BC_HISTOGRAM_H

#include <stdatomic.h>

#include "base/clock.h"
#include "bitcask_types.h"

#define BC_SAMPLE_EVERY 64u /* a power of two */

struct bc_histogram {
    _Atomic uint64_t counts[BITCASK_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
};

/* What is timed, for each partition. */
enum bc_timed { BC_TIMED_GET, BC_TIMED_PUT, BC_TIMED_COMMIT, BC_TIMED_FSYNC, BC_TIMED_MERGE, BC_TIMED };

struct bc_timings {
    struct bc_histogram of[BC_TIMED];
};

/* In which bucket ns goes. */
unsigned bc_histogram_bucket(uint64_t ns);

/* Adds weight times ns. */
void bc_histogram_add(struct bc_histogram *histogram, uint64_t ns, unsigned weight);

/* Adds to *sum what is in histogram now. */
void bc_histogram_sum(const struct bc_histogram *histogram, bitcask_histogram *sum);

/* Adds all of from to to. Nobody adds to from any more. */
void bc_timings_merge(struct bc_timings *to, const struct bc_timings *from);

/* An operation that may be timed: began_ns counts where weight is not 0. */
struct bc_sample {
    uint64_t began_ns;
    unsigned weight;
};

/* tick: of this thread, for this kind of operation. */
static inline struct bc_sample bc_sample_begin(unsigned *tick)
{
    unsigned now = (*tick)++;

    if (__builtin_expect(now >= BC_SAMPLE_EVERY, 1)) {
        if (__builtin_expect(now % BC_SAMPLE_EVERY != BC_SAMPLE_EVERY - 1, 1)) return (struct bc_sample){0, 0};
        if (now == UINT32_MAX) *tick = BC_SAMPLE_EVERY; /* not from the beginning again */
        return (struct bc_sample){bc_monotonic_ns(), BC_SAMPLE_EVERY};
    }
    return (struct bc_sample){bc_monotonic_ns(), 1};
}

/* One that is always timed. */
static inline struct bc_sample bc_sample_always(void)
{
    return (struct bc_sample){bc_monotonic_ns(), 1};
}

#endif
