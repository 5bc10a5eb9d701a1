/* accounts.h - whether what a partition says of its segments is what its index says, counted anew.
 */
#ifndef BC_ACCOUNTS_H
#define BC_ACCOUNTS_H

#include "partition/partition.h"

/* Compares live bytes and live keys of every segment with a walk over the index, which must not name a place without a
 * segment. What differs is told on stderr. Takes write_lock; the instance is pinned and warm. Any
 * thread. */
bool accounts_agree(struct bc_partition *instance);

#endif
