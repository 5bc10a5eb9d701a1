/* cold.h - a partition that is open without an index: it answers from filters and hints.
 *
 * A miss asks the filters alone, which are in memory; a hit reads one block of one hint, and then the record. So a
 * single `get` in a partition of millions of keys costs two reads. Whatever wants more than single keys (a write, a
 * query, a count) makes the partition warm first; many single reads do so as well, since then the index pays.
 *
 * Invariant: a cold partition has a hint for every byte of log that it holds, and nothing in it changes. An active
 * segment with nothing in it needs none.
 */
#ifndef BC_COLD_H
#define BC_COLD_H

#include "partition/partition.h"

/* Tries to do without an index: *cold says whether that is possible, which takes a hint of every segment that holds
 * anything. has_active: the newest segment is the active one, which is settled then. bad[], by slot, all false: set for
 * sealed segments whose hint does not serve, as far as they were looked at. The partition is not shared yet. */
bc_status bc_cold_open(struct bc_partition *partition, bool has_active, bool *cold, bool *bad);

/* NOT_FOUND, or the entry that the index would have. Anything else: make the partition warm and ask the index.
 * cold_lock held for reading. */
bc_status bc_cold_find(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry);

/* Whether so many keys were looked up that the index pays. */
bool bc_cold_is_hot(const struct bc_partition *partition);

/* Gives the hints up that a cold partition holds. */
void bc_cold_release(struct bc_partition *partition);

#endif
