/* model_ops.h - random operations, each done on a store and on its model, and their results compared.
 *
 * Each returns false, with a line on stderr, where the store does anything but what bitcask.h says. Threads: one.
 */
#ifndef BC_MODEL_OPS_H
#define BC_MODEL_OPS_H

#include "db/db.h"
#include "model.h"

#define MODEL_PARTITIONS_MAX 14u

struct model_run {
    bitcask *db;
    struct model_partition *root;
    uint64_t rng;
    struct model_partition *only; /* operations stay in this partition; NULL: anywhere */
    bool never_durable;           /* no operation syncs */
    size_t favourite;             /* which partition model_pick() likes now */
    uint64_t merges, cold_opens;  /* how many there were: what was not, was not tested */
    uint64_t checkpoint_loads;    /* likewise: partitions that were opened from their checkpoint */
};

/* A handle on partition, opened by one of the ways there are and kept in the model. NULL after a failure. */
bitcask_partition *model_handle(struct model_run *run, struct model_partition *partition);

/* A partition of the model, or run->only: any of them, or mostly the one picked before, as users do: with few instances
 * open a store that is used all over opens and closes more than it writes. */
struct model_partition *model_pick_any(struct model_run *run);
struct model_partition *model_pick(struct model_run *run);

bool model_op_put(struct model_run *run);
bool model_op_delete(struct model_run *run);
bool model_op_batch(struct model_run *run);
bool model_op_set_attrs(struct model_run *run);
bool model_op_read(struct model_run *run); /* stat, get, ranges of a pinned value */
bool model_op_query(struct model_run *run);
bool model_op_create(struct model_run *run);
bool model_op_drop(struct model_run *run);
bool model_op_move(struct model_run *run); /* model_moves.c */

/* model_merge.c: seal the active segment; merge a random run of segments, or what a merge of some kind would. Nothing
 * is to be seen of either, and the numbers of the segments are right afterwards. */
bool model_op_rotate(struct model_run *run);
bool model_op_merge(struct model_run *run);
bool model_op_checkpoint(struct model_run *run); /* writes one; likewise */

/* While the store is closed: some hints and checkpoints are removed, some cut short, some get a bit flipped. */
void model_mangle_hints(struct model_run *run, const char *path);

/* Just after an open: reads single keys of some partitions, which may be cold. */
bool model_cold_reads(struct model_run *run);

/* Whether the numbers of all segments are what the indices say, and nothing is damaged. Makes all partitions warm. */
bool model_accounts_agree(struct model_run *run);

/* What these share. */
struct model_name {
    uint8_t bytes[BITCASK_NAME_MAX];
    size_t size;
};
void model_random_name(struct model_run *run, struct model_name *name);
void model_random_attrs(struct model_run *run, bitcask_attrs *attrs, bool partition);

/* Brings item up to date with what the store says of it after a write, and compares the rest. */
bool model_refresh(struct model_run *run, struct model_partition *partition, struct model_item *item);

#endif
