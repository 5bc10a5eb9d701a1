/* recover.h - from data files and hints to index: what opening a partition is made of, one segment at a time.
 *
 * Threads: one; the partition is not shared yet, or its write_lock is held.
 */
#ifndef BC_RECOVER_H
#define BC_RECOVER_H

#include "partition/partition.h"

/* Loads the segment in slot, the active one: what its hint names, then the records behind. Cuts a torn tail off, makes
 * durable what stays, and makes it the partition's active segment. */
bc_status bc_recover_active(struct bc_partition *partition, uint32_t slot);

/* Makes the segment in slot the active one, of which a hint speaks up to `hinted`; what is behind is nothing, or a
 * closing mark that was looked at. Loads nothing. */
bc_status bc_recover_closed(struct bc_partition *partition, uint32_t slot, uint64_t hinted);

/* Loads the sealed segment in slot, from its hint, or by scanning it where there is none that can be used. */
bc_status bc_recover_sealed(struct bc_partition *partition, uint32_t slot);

#endif
