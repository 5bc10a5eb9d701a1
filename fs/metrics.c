/* metrics.c - counting requests, and the file metrics: see metrics.h. */
#include "metrics.h"

#include "commit.h"
#include "moves.h"

#include <linux/fuse.h>
#include <stdlib.h>
#include <time.h>

/* The kinds of requests that are told; opcodes that do the same for a user are one. */
static const struct kind {
    const char *name;
    uint32_t opcodes[2];
} kinds[] = {
    {"other", {0, 0}},
    {"lookup", {FUSE_LOOKUP, 0}},
    {"forget", {FUSE_FORGET, FUSE_BATCH_FORGET}},
    {"getattr", {FUSE_GETATTR, 0}},
    {"setattr", {FUSE_SETATTR, 0}},
    {"readlink", {FUSE_READLINK, 0}},
    {"symlink", {FUSE_SYMLINK, 0}},
    {"mknod", {FUSE_MKNOD, FUSE_CREATE}},
    {"mkdir", {FUSE_MKDIR, 0}},
    {"unlink", {FUSE_UNLINK, 0}},
    {"rmdir", {FUSE_RMDIR, 0}},
    {"rename", {FUSE_RENAME, FUSE_RENAME2}},
    {"link", {FUSE_LINK, 0}},
    {"open", {FUSE_OPEN, FUSE_OPENDIR}},
    {"read", {FUSE_READ, 0}},
    {"write", {FUSE_WRITE, 0}},
    {"statfs", {FUSE_STATFS, 0}},
    {"fsync", {FUSE_FSYNC, FUSE_FSYNCDIR}},
    {"setxattr", {FUSE_SETXATTR, FUSE_REMOVEXATTR}},
    {"getxattr", {FUSE_GETXATTR, 0}},
    {"listxattr", {FUSE_LISTXATTR, 0}},
    {"readdir", {FUSE_READDIR, FUSE_READDIRPLUS}},
    {"fallocate", {FUSE_FALLOCATE, 0}},
    {"lseek", {FUSE_LSEEK, 0}},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), OPCODES = 64 };

struct bcfs_metrics {
    uint8_t kind_of[OPCODES]; /* fixed */
    struct {
        _Atomic uint64_t counts[BITCASK_HISTOGRAM_BUCKETS];
        _Atomic uint64_t sum_ns;
    } requests[KINDS];
    _Atomic uint64_t commit_failures;
    _Atomic int last_failure; /* a bitcask_status */
};

struct bcfs_metrics *bcfs_metrics_new(void)
{
    struct bcfs_metrics *metrics = calloc(1, sizeof(*metrics));

    for (unsigned kind = 1; metrics != NULL && kind < KINDS; kind++) {
        for (unsigned i = 0; i < 2; i++) {
            if (kinds[kind].opcodes[i] != 0) metrics->kind_of[kinds[kind].opcodes[i]] = (uint8_t)kind;
        }
    }
    return metrics;
}

void bcfs_metrics_free(struct bcfs_metrics *metrics)
{
    free(metrics);
}

uint64_t bcfs_metrics_clock_ns(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The bucket of a time, as bitcask_histogram has it. */
static unsigned bucket_of(uint64_t ns)
{
    unsigned bucket = 0;

    while (bucket + 1 < BITCASK_HISTOGRAM_BUCKETS && ns > BITCASK_HISTOGRAM_BOUND_NS(bucket)) bucket++;
    return bucket;
}

void bcfs_metrics_request(struct bcfs_metrics *metrics, uint32_t opcode, uint64_t elapsed_ns)
{
    unsigned kind = opcode < OPCODES ? metrics->kind_of[opcode] : 0;

    (void)atomic_fetch_add_explicit(&metrics->requests[kind].counts[bucket_of(elapsed_ns)], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&metrics->requests[kind].sum_ns, elapsed_ns, memory_order_relaxed);
}

void bcfs_metrics_commit_failed(struct bcfs_metrics *metrics, uint64_t files, bitcask_status status)
{
    (void)atomic_fetch_add_explicit(&metrics->commit_failures, files, memory_order_relaxed);
    atomic_store_explicit(&metrics->last_failure, (int)status, memory_order_relaxed);
}

bitcask_status bcfs_metrics_last_failure(const struct bcfs_metrics *metrics)
{
    return (bitcask_status)atomic_load_explicit(&metrics->last_failure, memory_order_relaxed);
}

static uint64_t pending_bytes(struct bcfs *fs)
{
    uint64_t bytes = 0;

    (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
    bytes = fs->nodes->pending_bytes;
    (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
    return bytes;
}

static uint64_t known_nodes(struct bcfs *fs)
{
    uint64_t count = 0;

    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    count = fs->nodes->count;
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    return count;
}

void bcfs_metrics_visit(struct bcfs *fs, bool (*visit)(void *context, const bitcask_metric *metric), void *context)
{
    const bitcask_metric metrics[] = {
        {.name = "bitcaskfs_health",
         .help = "0: ok, 1: degraded, 2: poisoned; .bitcask/health says why.",
         .type = BITCASK_GAUGE,
         .value = (uint64_t)bcfs_health(fs, fs->nodes->root, NULL)},
        {.name = "bitcaskfs_start_time_seconds",
         .help = "When the store was mounted, since 1970.",
         .type = BITCASK_GAUGE,
         .nanoseconds = true,
         .value = (uint64_t)fs->started_ns},
        {.name = "bitcaskfs_pending_bytes",
         .help = "Bytes of files changed and not committed yet.",
         .type = BITCASK_GAUGE,
         .value = pending_bytes(fs)},
        {.name = "bitcaskfs_nodes",
         .help = "Files and directories that the kernel knows.",
         .type = BITCASK_GAUGE,
         .value = known_nodes(fs)},
        {.name = "bitcaskfs_commit_failures_total",
         .help = "Commits of a file that failed, each try counted.",
         .value = atomic_load_explicit(&fs->metrics->commit_failures, memory_order_relaxed)},
    };

    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        if (!visit(context, &metrics[i])) return;
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        bitcask_histogram histogram = {.sum_ns = fs->metrics->requests[kind].sum_ns};
        const bitcask_metric metric = {
            .name = "bitcaskfs_request_seconds",
            .help = "How long requests of the kernel took, until they were answered.",
            .type = BITCASK_HISTOGRAM,
            .nanoseconds = true,
            .operation = kinds[kind].name,
            .histogram = &histogram,
        };

        for (unsigned i = 0; i < BITCASK_HISTOGRAM_BUCKETS; i++) {
            histogram.counts[i] = fs->metrics->requests[kind].counts[i];
            histogram.count += histogram.counts[i];
        }
        if (!visit(context, &metric)) return;
    }
}

/* ---- the file ---- */

struct printer {
    FILE *out;
    bitcask_metric previous; /* whose name lives for ever */
    bool any;
};

static bool print(void *context, const bitcask_metric *metric)
{
    struct printer *printer = context;

    bitcask_metric_print(printer->out, metric, printer->any ? &printer->previous : NULL);
    printer->previous = *metric;
    printer->any = true;
    return true;
}

char *bcfs_metrics_render(struct bcfs *fs, struct bcfs_inode *dir, size_t *size)
{
    char *text = NULL;
    struct printer printer = {.out = open_memstream(&text, size)};
    bitcask_status status = BITCASK_OK;
    bool failed = false;

    if (printer.out == NULL) return NULL;
    status = bitcask_metrics(dir->dir->partition, BITCASK_BELOW, print, &printer);
    if (status != BITCASK_OK) fprintf(printer.out, "# the store's figures: %s\n", bitcask_status_text(status));
    if (dir == fs->nodes->root) bcfs_metrics_visit(fs, print, &printer);
    failed = ferror(printer.out) != 0;
    if (fclose(printer.out) == 0 && !failed) return text;
    free(text);
    return NULL;
}

char *bcfs_metrics_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size)
{
    if (!fs->options.read_only) {
        /* So that what was just created counts. What cannot be committed keeps its error for its own files. */
        (void)bcfs_moves_complete(fs);
        (void)bcfs_commit_dir(fs, dir, BCFS_ALL);
    }
    return bcfs_metrics_render(fs, dir, size);
}
