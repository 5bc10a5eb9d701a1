/* bench_work.h - the workloads that bench measures.
 */
#ifndef CLI_BENCH_WORK_H
#define CLI_BENCH_WORK_H

#include "cli.h"
#include "histogram.h"
#include "progress.h"

struct cli_bench {
    struct cli_store store; /* made by fill, open from then on */
    uint64_t ops;           /* of each workload, and keys in the store */
    uint64_t value_size;    /* bytes */
    unsigned threads;
    bool filled;
    struct cli_progress progress;
};

/* What came of one. */
struct cli_bench_result {
    uint64_t ops;
    uint64_t elapsed_ns;
    struct cli_histogram times;
    uint64_t merges; /* that ran meanwhile; mixed only */
};

struct cli_bench_workload {
    const char *name;
    const char *meaning;                                                  /* of one operation */
    int (*run)(struct cli_bench *bench, struct cli_bench_result *result); /* returns an exit status */
};

#define CLI_BENCH_WORKLOADS 8
extern const struct cli_bench_workload cli_bench_workloads[CLI_BENCH_WORKLOADS];

#endif
