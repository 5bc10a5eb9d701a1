/* metrics.h - what the mount counts of itself, and the files metrics, stats and health of each .bitcask.
 *
 * The store counts what it does (bitcask_metrics()); here are the requests of the kernel, by kind, and what is pending.
 * Counting takes no lock. The texts are made anew for each reader, from the figures of a directory and all that is open
 * below it; the root's have those of the whole store and of the mount besides.
 */
#ifndef BCFS_METRICS_H
#define BCFS_METRICS_H

#include "inode.h"

#include <stdio.h>

struct bcfs_metrics;

/* NULL: no memory. */
struct bcfs_metrics *bcfs_metrics_new(void);
void bcfs_metrics_free(struct bcfs_metrics *metrics);

/* Nanoseconds of a clock that nobody sets. */
uint64_t bcfs_metrics_clock_ns(void);

/* A request of this kind (opcode of the kernel's protocol) was handled within elapsed_ns. Any thread. */
void bcfs_metrics_request(struct bcfs_metrics *metrics, uint32_t opcode, uint64_t elapsed_ns);

/* So many files could not be committed. Any thread, under any lock. */
void bcfs_metrics_commit_failed(struct bcfs_metrics *metrics, uint64_t files, bitcask_status status);

/* The first failure of the last commit that failed. */
bitcask_status bcfs_metrics_last_failure(const struct bcfs_metrics *metrics);

/* Calls visit for each figure of the mount itself, as bitcask_metrics() does. */
void bcfs_metrics_visit(struct bcfs *fs, bool (*visit)(void *context, const bitcask_metric *metric), void *context);

/* The text of a file, malloc'ed, *size bytes; NULL: no memory. No lock is held. */
char *bcfs_metrics_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size);
char *bcfs_stats_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size);
char *bcfs_health_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size);

/* The same, and what the daemon has shut itself off from. */
char *bcfs_health_file(struct bcfs *fs, struct bcfs_inode *dir, size_t *size);

/* As bcfs_metrics_text(), and nothing is committed for it. */
char *bcfs_metrics_render(struct bcfs *fs, struct bcfs_inode *dir, size_t *size);

/* As bcfs_stats_text() of the root, with the segments of the largest partitions, for the page over HTTP. */
char *bcfs_stats_page(struct bcfs *fs, size_t *size);

/* ---- health.c ---- */

enum bcfs_health { BCFS_HEALTH_OK, BCFS_HEALTH_DEGRADED, BCFS_HEALTH_POISONED };

/* How a directory and all below it is; out (may be NULL) gets a line for each thing that is wrong, with what to do, the
 * worst first; "ok" if there is none. No lock is held. */
enum bcfs_health bcfs_health(struct bcfs *fs, struct bcfs_inode *dir, FILE *out);

#endif
