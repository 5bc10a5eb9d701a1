/* io_sim.h - a simulated disk behind struct bc_io: in memory, deterministic, with power cuts and failures.
 *
 * Files can be mapped for appending, not for reading. A write into a mapping is remembered like any other, and its
 * pages may reach the disk or not, as those of others. One outside of the mapping, or beyond the file's end, is a
 * misuse.
 *
 * A file's bytes are safe after fdatasync of the file, a name after sync_dir of its directory, nothing else is.
 * Time and randomness come from the disk and repeat with its seed. Paths given with BC_AT_CWD start at the disk's
 * root. Handles are never used twice, so that one that was closed is always found out.
 *
 * Threads: any, one mutex around all of it; the hook runs outside the mutex.
 */
#ifndef BC_IO_SIM_H
#define BC_IO_SIM_H

#include "io/io.h"

enum bc_sim_call {
    BC_SIM_OPEN,
    BC_SIM_CLOSE,
    BC_SIM_PREAD,
    BC_SIM_PWRITEV,
    BC_SIM_FDATASYNC,
    BC_SIM_SYNC_DIR,
    BC_SIM_TRUNCATE,
    BC_SIM_ALLOCATE,
    BC_SIM_MAP,
    BC_SIM_MAP_WRITE,
    BC_SIM_INFO,
    BC_SIM_MKDIR,
    BC_SIM_RMDIR,
    BC_SIM_RENAME,
    BC_SIM_UNLINK,
    BC_SIM_LINK,
    BC_SIM_LIST,
    BC_SIM_LOCK,
    BC_SIM_RANDOM,
    BC_SIM_CALLS
};

enum bc_sim_cut {
    BC_SIM_CUT_ALL,            /* everything that was done is on disk; the call in flight too if the seed is odd */
    BC_SIM_CUT_SYNCED,         /* only what was synced */
    BC_SIM_CUT_RANDOM,         /* that, and any part of the rest: torn writes, lone renames, growth as zeros */
    BC_SIM_CUT_SYNCED_AND_ONE, /* what was synced, and one change of the rest: number seed, modulo how many there are */
    BC_SIM_CUT_ALL_BUT_ONE,    /* all but that one, and what was in flight */
    BC_SIM_CUT_NAMES,          /* all names, and of the files' content what was synced */
    BC_SIM_CUT_CONTENT         /* all content, under the names that were synced */
};

struct bc_sim;

/* An empty disk. seed: of its random bytes. The clock starts in 2026 and gains 1 us with each look at it. */
struct bc_sim *bc_sim_open(uint64_t seed);
void bc_sim_close(struct bc_sim **sim);

/* The table to open a store on; lives as long as sim. */
struct bc_io *bc_sim_io(struct bc_sim *sim);

void bc_sim_set_clock(struct bc_sim *sim, int64_t now_ns);

/* Calls of one kind so far, failed ones included; and all that change the disk or sync it (an open that creates or
 * truncates is one): the numbers that bc_sim_crash_at() counts in. */
uint64_t bc_sim_calls(struct bc_sim *sim, enum bc_sim_call kind);
uint64_t bc_sim_changes(struct bc_sim *sim);

/* Handles and mappings that are open. */
size_t bc_sim_handles(struct bc_sim *sim);

/* Calls made on a handle that was not open, and writes into mappings where there is no file: bugs of the caller. */
uint64_t bc_sim_misuses(struct bc_sim *sim);

/* Cuts the power in changing call n, counted from 1 with the first call of this disk; that call and all later
 * changing ones fail with EIO, reads go on. 0: never. */
void bc_sim_crash_at(struct bc_sim *sim, uint64_t n);
bool bc_sim_crashed(struct bc_sim *sim);

/* The process died and the system goes on: the call that crashed was never made, handles and locks are gone, what was
 * written is still to be read and still not synced. Nobody may use sim meanwhile. */
void bc_sim_kill(struct bc_sim *sim);

/* The disk as it is found after the power cut, as a disk of its own with its own seed, one second later. sim stays as
 * it is and can be asked again. */
struct bc_sim *bc_sim_power_cut(struct bc_sim *sim, enum bc_sim_cut cut, uint64_t seed);

/* How many changes no sync has covered yet; and a hash of all that is on the disk now. */
size_t bc_sim_unsynced(struct bc_sim *sim);
uint64_t bc_sim_digest(struct bc_sim *sim);

/* Makes call n of that kind, counted from 1 from now on, fail with errno error (positive), and with forever every
 * later one as well. Replaces the last order for this kind; n 0: none. A failed fdatasync loses what it was to
 * sync, as kernels do: the next one succeeds and brings nothing back. A failed write into a mapping leaves its first
 * half. */
void bc_sim_fail(struct bc_sim *sim, enum bc_sim_call kind, uint64_t n, int error, bool forever);

/* Reads and writes transfer at most so many bytes a call; 0: all. */
void bc_sim_set_short(struct bc_sim *sim, size_t bytes);

/* The disk is full when its files take so many bytes, in blocks of 4 KiB, one for each directory; 0: it never is. A file
 * that has no name any more takes none. Room laid out behind a file's end goes with the next truncation that makes it
 * no longer, and with the power. bc_sim_used(): what is taken now. */
void bc_sim_set_room(struct bc_sim *sim, uint64_t bytes);
uint64_t bc_sim_used(struct bc_sim *sim);

/* Called before each call, outside the mutex: to stop a thread at a chosen place. NULL: none. Not while in use. */
void bc_sim_set_hook(struct bc_sim *sim, void (*hook)(void *context, enum bc_sim_call kind), void *context);

#endif
