/* histogram.h - how long many operations took each, in little memory: to within 3 percent.
 */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Each power of two is cut into 32 equal parts. */
enum { CLI_HISTOGRAM_PARTS = 32, CLI_HISTOGRAM_BUCKETS = (64 - 4) * CLI_HISTOGRAM_PARTS };

struct cli_histogram {
    uint64_t counts[CLI_HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max_ns;
};

void cli_histogram_add(struct cli_histogram *histogram, uint64_t ns);
void cli_histogram_merge(struct cli_histogram *into, const struct cli_histogram *from);

/* The time that the given share (0 to 1) of all stayed at or below. */
uint64_t cli_histogram_quantile(const struct cli_histogram *histogram, double share);

/* How many took from from_ns to below to_ns, to the bucket. */
uint64_t cli_histogram_between(const struct cli_histogram *histogram, uint64_t from_ns, uint64_t to_ns);

#endif
