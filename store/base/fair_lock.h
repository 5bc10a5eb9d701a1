/* fair_lock.h - a mutex for one who comes again and again, and for those who come now and then.
 *
 * A thread that unlocks a plain mutex and locks it again at once is faster than any that sleeps on it: beside a writer
 * that puts without a pause, and readers that keep the processors busy, a merge, a sync or whoever asks for statistics
 * waits for seconds, and for each lock it takes anew. So these have a door of their own: while one of them waits, those
 * who come often stay behind it. Between two who come often, or two who come seldom, there is no order; and as long as
 * nobody waits, coming often costs one load more than a plain mutex.
 *
 * Threads: any. Not recursive. Who holds one may take another one in the same order in which all others do.
 */
#ifndef BC_FAIR_LOCK_H
#define BC_FAIR_LOCK_H

#include <pthread.h>
#include <stdatomic.h>

struct bc_fair_lock {
    pthread_mutex_t lock;
    pthread_mutex_t door; /* held by one who comes seldom, while it waits for lock */
    atomic_uint at_door;  /* how many hold or want the door */
};

/* 0, or not 0: there is no memory for it. */
static inline int bc_fair_lock_init(struct bc_fair_lock *fair)
{
    int failed = pthread_mutex_init(&fair->lock, NULL);

    atomic_init(&fair->at_door, 0);
    return failed | pthread_mutex_init(&fair->door, NULL);
}

static inline void bc_fair_lock_destroy(struct bc_fair_lock *fair)
{
    pthread_mutex_destroy(&fair->door);
    pthread_mutex_destroy(&fair->lock);
}

/* For who comes often: appends. */
static inline void bc_fair_lock(struct bc_fair_lock *fair)
{
    if (atomic_load_explicit(&fair->at_door, memory_order_relaxed) > 0) {
        pthread_mutex_lock(&fair->door);
        pthread_mutex_unlock(&fair->door);
    }
    pthread_mutex_lock(&fair->lock);
}

/* For who comes seldom. */
static inline void bc_fair_lock_soon(struct bc_fair_lock *fair)
{
    atomic_fetch_add_explicit(&fair->at_door, 1, memory_order_relaxed);
    pthread_mutex_lock(&fair->door);
    pthread_mutex_lock(&fair->lock);
    pthread_mutex_unlock(&fair->door);
    atomic_fetch_sub_explicit(&fair->at_door, 1, memory_order_relaxed);
}

static inline void bc_fair_unlock(struct bc_fair_lock *fair)
{
    pthread_mutex_unlock(&fair->lock);
}

#endif
