/* recover.h - from data files and hints to index: what opening a partition is made of, one segment at a time.
 *
 * Threads: one; the partition is not shared yet, or its write_lock is held.
 */
#ifndef BC_RECOVER_H
#define BC_RECOVER_H

#include "partition/partition.h"

/* What a checkpoint has brought into the index: all in front of `from`, and some of what comes behind. */
struct bc_replay {
    struct bc_log_place from;
    struct bc_log_place durable; /* the log is so up to here: as if a mark said so */
    uint64_t last_record;        /* of the record that ends there, 0: there is none in this segment */
};

/* Loads the segment in slot, the active one: what its hint names, then the records behind. Cuts a torn tail off, makes
 * durable what stays, and makes it the partition's active segment. replay: what the index holds already; or NULL. */
bc_status bc_recover_active(struct bc_partition *partition, uint32_t slot, const struct bc_replay *replay);

/* Makes the segment in slot the active one, of which a hint speaks up to `hinted`; what is behind is nothing, or a
 * closing mark that was looked at. Loads nothing. */
bc_status bc_recover_closed(struct bc_partition *partition, uint32_t slot, uint64_t hinted);

/* Loads what is behind replay->from in the sealed segment in slot, in which that place is: by reading it, or the hint of
 * the whole segment where that is shorter. */
bc_status bc_recover_rest(struct bc_partition *partition, uint32_t slot, const struct bc_replay *replay);

/* Loads the sealed segment in slot, from its hint, or by scanning it where there is none that can be used. */
bc_status bc_recover_sealed(struct bc_partition *partition, uint32_t slot);

#endif
