/* reserve.h - room on disk that a store keeps for what must work on a full disk too: deletions, and merges.
 *
 * It is the file RESERVE in the store's directory, of blocks that nobody writes to. Where an append that only deletes
 * finds no room, or a merge, the file is cut and the blocks that come free are taken at once. Whatever else wants new
 * blocks makes the file whole again first, and fails with NO_SPACE where that cannot be: so nothing else grows into
 * what was given up. Half of it is for deletions, half for merges, so that neither can leave the other without any.
 *
 * It is a help, not a promise: a filesystem that cannot lay blocks out has none, and one that fails is done without.
 * The file is synced by nobody; a power cut may take it, and the next put lays it out anew. A store without one is
 * whole.
 *
 * Threads: any; one lock, taken behind the locks of partition.h, and held over the calls on the file. A NULL reserve
 * is fine everywhere: there is none.
 */
#ifndef BC_RESERVE_H
#define BC_RESERVE_H

#include <pthread.h>

#include "io/io.h"

#define BC_RESERVE_NAME "RESERVE"
/* Bytes: so much of what the logs hold, within these bounds. */
#define BC_RESERVE_SHARE 64u
#define BC_RESERVE_LEAST (64u * 1024u)
#define BC_RESERVE_MOST (64u * 1024u * 1024u)

enum bc_reserve_use { BC_RESERVE_DELETION, BC_RESERVE_MERGE, BC_RESERVE_USES };

struct bc_reserve {
    struct bc_io *io;
    int dir_fd; /* the store's directory, not owned */
    pthread_mutex_t lock;
    int fd;                          /* -1: no file yet. Guarded by lock, as are all to the end: */
    uint64_t size;                   /* of the file, all of it blocks */
    uint64_t wanted;                 /* what it is when it is whole */
    uint64_t given[BC_RESERVE_USES]; /* and not come back; at most what is missing of the file */
    bool lent;                       /* a merge works with its share, which nobody is to lay out again meanwhile */
    bool useless;                    /* it cannot be had here: done without */
    bool used;                       /* in this session: laid out or given up */
    _Atomic int64_t grown;           /* bytes that came to the logs and `wanted` does not know of; no lock */
    atomic_bool lacking;             /* it is not whole, or not known to be; read without the lock */
};

static inline bool bc_is_full(bc_status status)
{
    return status == BITCASK_NO_SPACE || status == BITCASK_QUOTA;
}

/* Begins with what an earlier writer left. Fails only where the lock cannot be made: NO_MEMORY. */
bc_status bc_reserve_open(struct bc_reserve *reserve, struct bc_io *io, int dir_fd);
void bc_reserve_close(struct bc_reserve *reserve); /* made whole first, where there is room */

/* Before a write that is no deletion takes new blocks: makes it whole. grown: bytes that came to the logs since the
 * caller said so last, negative where they became fewer. NO_SPACE, QUOTA: there is no room for it, so there is none for
 * the caller. */
bc_status bc_reserve_keep(struct bc_reserve *reserve, int64_t grown);

/* Gives up so many bytes or less. False: there are none left for this use. The detail line is kept. */
bool bc_reserve_give(struct bc_reserve *reserve, enum bc_reserve_use use, uint64_t bytes);

/* Whether what is left for a use, with what is free, may be so many bytes: else giving it up would help nobody. */
bool bc_reserve_suffices(struct bc_reserve *reserve, enum bc_reserve_use use, uint64_t bytes);

/* Gives up all that is left for merges, until bc_reserve_refill() says that the merge has ended. */
bool bc_reserve_lend(struct bc_reserve *reserve);

/* Says that bytes came to the logs, or went (negative). */
void bc_reserve_note(struct bc_reserve *reserve, int64_t grown);

/* Makes it whole if there is room, after what gives some back. merged: a merge has ended. The detail line is kept. */
void bc_reserve_refill(struct bc_reserve *reserve, bool merged);

#endif
