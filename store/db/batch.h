/* batch.h - writes to one partition that take effect together. One thread at a time uses a batch.
 */
#ifndef BC_BATCH_H
#define BC_BATCH_H

#include "db/db.h"

struct bitcask_batch;
struct bitcask_writer;

/* As the functions of the same names in bitcask.h; arguments are checked by the caller. */
bc_status bc_batch_open(struct bitcask_partition *node, struct bitcask_batch **batch);
bc_status bc_batch_add(struct bitcask_batch *batch, const struct bc_write *write, /* the key is copied */
                       struct bitcask_writer *writer);
bc_status bc_batch_commit(struct bitcask_batch *batch, unsigned flags, uint64_t reserved, uint64_t *versions);
void bc_batch_clear(struct bitcask_batch *batch);
void bc_batch_close(struct bitcask_batch **batch);

#endif
