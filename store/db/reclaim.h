/* reclaim.h - room for deletions on a full disk, when what is kept for them is used up: by merging what they left dead.
 */
#ifndef BC_RECLAIM_H
#define BC_RECLAIM_H

#include "db/job.h"

/* Merges one segment by itself, the oldest that gives something back and that there is room for. NO_SPACE, QUOTA: there
 * is none; else as bc_merge_run(). work is at the instance. */
bc_status bc_reclaim_segment(struct bc_work *work, struct bc_partition *instance, bitcask_merge_result *result);

/* For a deletion in node that found no room: gives some back, of this partition, of partition 1, or of the open one
 * that has most to give. Takes a few seconds at most, also where somebody else merges. False: nothing came back, and
 * the deletion fails; its detail line is kept. No lock is held, nothing pinned. */
bool bc_db_reclaim(struct bitcask_partition *node);

#endif
