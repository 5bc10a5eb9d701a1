/* rcu.h - readers that never wait, and memory that outlives them: read-copy-update, by liburcu.
 *
 * What a reader may reach is never freed under it: a writer first takes it out of reach and then retires it; it is
 * freed once every read section that had begun by then has ended. A read section costs a few nanoseconds, takes no
 * lock, and may nest. Keep it short: as long as one lasts nothing that was retired since is freed. No wait for a grace
 * period (bc_rcu_wait, bc_rcu_flush) within one, or it waits for itself.
 *
 * Pointers that readers follow are C11 atomics: stored with release, loaded with acquire.
 * Threads: any; they need no registration.
 */
#ifndef BC_RCU_H
#define BC_RCU_H

#include <stdatomic.h>
#include <stddef.h>

void bc_rcu_read_lock(void);
void bc_rcu_read_unlock(void);

/* Stands in what is to be retired; owned by the mechanism from then on. */
struct bc_retired {
    void *link[2]; /* the mechanism's own */
    void (*release)(struct bc_retired *retired);
};

/* Calls release(retired) after a grace period, in a thread of liburcu's or in one that flushes. Returns at once, takes
 * no lock, is allowed within a read section. release must neither block for long nor wait for a grace period. */
void bc_rcu_retire(struct bc_retired *retired, void (*release)(struct bc_retired *retired));

/* Returns once every read section that had begun before has ended. */
void bc_rcu_wait(void);

/* Returns once all that this process has retired before is released. For who closes a store, and for tests. */
void bc_rcu_flush(void);

#endif
