/* metrics.h - the figures of a store, or of a part of it, gathered and told one by one.
 *
 * Each open partition counts for itself; what it counted, and how large it was, is kept when it is closed (ledger.c).
 * Gathering looks at each open partition for a moment and keeps the largest ones apart, so that as many series come of a store of a
 * million partitions as of one of a hundred. Memory: some 200 KiB while it goes on.
 */
#ifndef BC_METRICS_H
#define BC_METRICS_H

#include <stdio.h>

#include "db/db.h"

/* bitcask_metrics(), bitcask_get_health(). No lock held. */
bc_status bc_db_metrics(struct bitcask_partition *node, unsigned flags,
                        bool (*visit)(void *context, const bitcask_metric *metric), void *context);
bc_status bc_db_get_health(struct bitcask_partition *node, bitcask_health *health);

/* Fills in what is counted for the whole store alone, and leaves the other members. Takes nodes_lock. */
void bc_db_store_stats(struct bitcask *db, bitcask_stats *stats);

/* ---- metrics_text.c ---- */

void bc_metric_print(FILE *out, const bitcask_metric *metric, const bitcask_metric *previous);

#endif
