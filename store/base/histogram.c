/* histogram.c - see histogram.h. */
#include "base/histogram.h"

unsigned bc_histogram_bucket(uint64_t ns)
{
    uint64_t above = ns > 0 ? (ns - 1) / BITCASK_HISTOGRAM_BOUND_NS(0) : 0; /* a value at a bound is below it */
    unsigned bucket = above == 0 ? 0 : 64u - (unsigned)__builtin_clzll(above);

    return bucket < BITCASK_HISTOGRAM_BUCKETS ? bucket : BITCASK_HISTOGRAM_BUCKETS - 1;
}

void bc_histogram_add(struct bc_histogram *histogram, uint64_t ns, unsigned weight)
{
    atomic_fetch_add_explicit(&histogram->counts[bc_histogram_bucket(ns)], weight, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_ns, ns * weight, memory_order_relaxed);
}

void bc_histogram_sum(const struct bc_histogram *histogram, bitcask_histogram *sum)
{
    for (unsigned i = 0; i < BITCASK_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);

        sum->counts[i] += count;
        sum->count += count;
    }
    sum->sum_ns += atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
}

void bc_timings_merge(struct bc_timings *to, const struct bc_timings *from)
{
    for (unsigned kind = 0; kind < BC_TIMED; kind++) {
        for (unsigned i = 0; i < BITCASK_HISTOGRAM_BUCKETS; i++)
            atomic_fetch_add_explicit(&to->of[kind].counts[i],
                                      atomic_load_explicit(&from->of[kind].counts[i], memory_order_relaxed),
                                      memory_order_relaxed);
        atomic_fetch_add_explicit(&to->of[kind].sum_ns,
                                  atomic_load_explicit(&from->of[kind].sum_ns, memory_order_relaxed),
                                  memory_order_relaxed);
    }
}
