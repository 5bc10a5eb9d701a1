/* rcu.c - see rcu.h: a thin face on liburcu's "bulletproof" flavour, which needs no registration of threads, so that an
 * embedding program need not know of it.
 *
 * What was retired is gathered in a list of our own, which liburcu's thread empties some milliseconds later, or whoever
 * flushes at once. That thread sleeps 10 ms before it looks, and a flush that waited for it would make the closing of a
 * store take as long.
 *
 * ThreadSanitizer does not see into liburcu. What a grace period orders (all of a read section before the release of
 * what it could reach) is therefore told to it here; nothing else is, so that a missing acquire or release still shows.
 */
#include "base/rcu.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <urcu/urcu-bp.h>

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

#ifdef HAS_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char grace; /* its address stands for "a read section has ended" */
#define ENDED() __tsan_release(&grace)
#define ALL_ENDED() __tsan_acquire(&grace)
#else
#define ENDED() ((void)0)
#define ALL_ENDED() ((void)0)
#endif

static struct bc_retired *_Atomic retired_list; /* linked by link[0], the last one first */
static atomic_bool due;                         /* liburcu's thread will come by */
static pthread_mutex_t emptying = PTHREAD_MUTEX_INITIALIZER;

void bc_rcu_read_lock(void)
{
    urcu_bp_read_lock();
}

void bc_rcu_read_unlock(void)
{
    ENDED();
    urcu_bp_read_unlock();
}

/* Releases all that was retired before. The lock makes a flush wait for those that another thread is at. */
static void empty_list(void)
{
    struct bc_retired *list;

    pthread_mutex_lock(&emptying);
    list = atomic_exchange(&retired_list, NULL);
    if (list) {
        urcu_bp_synchronize_rcu();
        ALL_ENDED();
    }
    while (list) {
        struct bc_retired *next = list->link[0];
        list->release(list);
        list = next;
    }
    pthread_mutex_unlock(&emptying);
}

/* In liburcu's thread. `due` first: who retires something behind the exchange above asks for another visit. */
static void visit(struct rcu_head *head)
{
    (void)head;
    atomic_store(&due, false);
    empty_list();
}

/* liburcu's thread takes no signals: they are for the threads of the program, which may wait for them. */
static void start_thread(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)urcu_bp_get_default_call_rcu_data();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void bc_rcu_retire(struct bc_retired *retired, void (*release)(struct bc_retired *retired))
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static struct rcu_head head; /* one is enough: it is in use from when `due` is set to the visit */
    struct bc_retired *before = atomic_load(&retired_list);

    pthread_once(&once, start_thread);
    retired->release = release;
    ENDED(); /* what this thread did to it comes before its release, too */
    do retired->link[0] = before;
    while (!atomic_compare_exchange_weak(&retired_list, &before, retired));
    if (!atomic_exchange(&due, true)) urcu_bp_call_rcu(&head, visit);
}

void bc_rcu_wait(void)
{
    urcu_bp_synchronize_rcu();
    ALL_ENDED();
}

void bc_rcu_flush(void)
{
    empty_list();
}
