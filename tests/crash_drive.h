/* crash_drive.h - plays scripts of calls on the simulated disk: the power cut at every change of it, calls that fail.
 * With a sanitizer, at one in CRASH_EVERY (4, the thread sanitizer 24; LONG=1: at every one). What more is done with
 * LONG=1 is done as long as CRASH_SECONDS (5) of the processor's time last, of each script.
 *
 * Each crash point leaves several disks: all that was done, only what was synced, random parts of the rest (CRASH_CUTS
 * of them: about 4, more with LONG=1, one with a sanitizer). On each: a reader opens it and changes nothing; a writer
 * opens it and finds an admissible state; what it found survives another crash; writing on and reopening works; and a
 * crash in the midst of recovery (CRASH_NESTED points of it: about 3, more with LONG=1, one with a sanitizer, for 0
 * all) is recovered from as well. And at each point the process is killed with the system going on, as is its
 * successor, until the power is cut under the third. Threads: one.
 */
#ifndef BC_CRASH_DRIVE_H
#define BC_CRASH_DRIVE_H

#include "crash_world.h"

typedef void (*crash_script)(struct world *world);

extern uint64_t crash_seed; /* of the random parts; said with each failure */
extern bool crash_merges;   /* every other time what was recovered is merged before the next power cut */

/* Plays the script on a store of that policy, with values of that size and segments of 64 KiB, as often as it makes
 * changes, and checks with CUnit that each crash was survived. What was not is told on stderr. */
void crash_everywhere(const char *name, crash_script play, bitcask_sync_policy sync, size_t value_size);

/* The same with each call of each kind failing once, with EIO, ENOSPC or EMFILE; and with all writes of a kind failing
 * from each call on. LONG=1: each with each error. */
void fail_everywhere(const char *name, crash_script play, bitcask_sync_policy sync, size_t value_size);

/* The same with each allocation of the store failing once (one in seven; LONG=1: each), in a program that can do that:
 * starve_at() and starve_count() of starve.h are handed over, so that others need not. */
void starve_everywhere(const char *name, crash_script play, bitcask_sync_policy sync, size_t value_size,
                       void (*starve)(uint64_t n), uint64_t (*starved)(void));

/* For random scripts: a partition that is there, and one random step, the i-th. Both go by the script's own *rng. */
int crash_any_partition(const struct world *world, uint64_t *rng);
void crash_random_step(struct world *world, uint64_t *rng, int i);

#endif
