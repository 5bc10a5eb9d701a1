/* failing_disks.h - what test_failing_calls.c begins with: simulated disks with the small store on them, whole, without
 * indexes, left by a process that died, and damaged. A failure ends the program. Threads: one.
 */
#ifndef BC_FAILING_DISKS_H
#define BC_FAILING_DISKS_H

#include "io_sim.h"

/* A store that was closed; or the same without hints and checkpoints. */
struct bc_sim *failing_disk(bool indexes);

/* One whose process died after some rounds: they are done again, and what was dropped is swept. The names a1 and big
 * have been changed, and there is n9/n1 with the value "edited". */
struct bc_sim *failing_disk_killed(void);

/* One with a byte of a value changed, which was replaced since: a repair has something to do, and loses nothing. */
struct bc_sim *failing_disk_damaged(void);

/* One with heads, keys and values changed, in each kind of file. */
struct bc_sim *failing_disk_rotten(void);

#endif
