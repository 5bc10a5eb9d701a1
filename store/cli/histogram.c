/* histogram.c - times of operations in buckets that grow with the time, see histogram.h.
 */
#include "histogram.h"

enum { PART_BITS = 5 }; /* log2 of CLI_HISTOGRAM_PARTS */

/* Below 32 ns a bucket is one ns; from there on it is the number's first six bits. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < CLI_HISTOGRAM_PARTS) return (size_t)ns;
    unsigned top = 63 - (unsigned)__builtin_clzll(ns);
    uint64_t part = (ns >> (top - PART_BITS)) & (CLI_HISTOGRAM_PARTS - 1);
    return (size_t)(top - PART_BITS + 1) * CLI_HISTOGRAM_PARTS + (size_t)part;
}

/* The least time that belongs to a bucket. */
static uint64_t bucket_begin(size_t bucket)
{
    if (bucket < CLI_HISTOGRAM_PARTS) return bucket;
    unsigned shift = (unsigned)(bucket / CLI_HISTOGRAM_PARTS) - 1;
    return (uint64_t)(CLI_HISTOGRAM_PARTS + bucket % CLI_HISTOGRAM_PARTS) << shift;
}

void cli_histogram_add(struct cli_histogram *histogram, uint64_t ns)
{
    histogram->counts[bucket_of(ns)]++;
    histogram->count++;
    if (ns > histogram->max_ns) histogram->max_ns = ns;
}

void cli_histogram_merge(struct cli_histogram *into, const struct cli_histogram *from)
{
    for (size_t i = 0; i < CLI_HISTOGRAM_BUCKETS; i++) into->counts[i] += from->counts[i];
    into->count += from->count;
    if (from->max_ns > into->max_ns) into->max_ns = from->max_ns;
}

uint64_t cli_histogram_quantile(const struct cli_histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count), seen = 0;

    if (wanted >= histogram->count) return histogram->max_ns;
    for (size_t i = 0; i < CLI_HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->counts[i];
        if (seen <= wanted) continue;
        uint64_t end = bucket_begin(i + 1) - 1;
        return end < histogram->max_ns ? end : histogram->max_ns;
    }
    return histogram->max_ns;
}

uint64_t cli_histogram_between(const struct cli_histogram *histogram, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t count = 0;
    for (size_t i = bucket_of(from_ns); i < CLI_HISTOGRAM_BUCKETS && bucket_begin(i) < to_ns; i++)
        if (bucket_begin(i) >= from_ns) count += histogram->counts[i];
    return count;
}
