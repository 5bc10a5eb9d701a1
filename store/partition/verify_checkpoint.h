/* verify_checkpoint.h - the checkpoint of an index, held against that.
 */
#ifndef BC_VERIFY_CHECKPOINT_H
#define BC_VERIFY_CHECKPOINT_H

#include "partition/verify.h"

/* Checks the checkpoint of an open, warm partition, if there is one: its bytes, and what it says against the index and
 * the log. What is wrong is told as of a hint: it is disposable. Nothing is looked at while a merge is at work.
 * CANCELLED, IO, NO_MEMORY. Takes files_lock, if it is free, and write_lock for moments. */
bc_status bc_verify_checkpoint(const struct bc_verify *verify, struct bc_partition *partition);

/* The same of a directory that nobody has open, and of the bytes alone. *bad: it is of no use. */
bc_status bc_verify_checkpoint_file(const struct bc_verify *verify, int dir_fd, bool *bad);

#endif
