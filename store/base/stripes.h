/* stripes.h - a count that many threads change all the time and somebody reads now and then.
 *
 * One atomic would be a cache line that wanders from processor to processor with every change. Here each thread has one
 * of a few, a line apart from the next, and who reads adds them up. Threads: any. The sum is exact once those that
 * changed it are through; what one thread adds it may take off again.
 */
#ifndef BC_STRIPES_H
#define BC_STRIPES_H

#include <stdatomic.h>
#include <stdint.h>

#define BC_STRIPES 4u

struct bc_stripes {
    struct {
        _Atomic uint64_t count;
        char apart[56]; /* no alignment is asked for: this alone keeps two counts out of one line of 64 bytes */
    } of[BC_STRIPES];
};

/* Which one is this thread's; below BC_STRIPES. */
unsigned bc_stripe(void);

static inline void bc_stripes_add(struct bc_stripes *stripes, uint64_t count)
{
    atomic_fetch_add_explicit(&stripes->of[bc_stripe()].count, count, memory_order_relaxed);
}

/* By the thread that has added as much. */
static inline void bc_stripes_take_off(struct bc_stripes *stripes, uint64_t count)
{
    atomic_fetch_sub_explicit(&stripes->of[bc_stripe()].count, count, memory_order_relaxed);
}

static inline uint64_t bc_stripes_sum(const struct bc_stripes *stripes)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < BC_STRIPES; i++) sum += atomic_load_explicit(&stripes->of[i].count, memory_order_relaxed);
    return sum;
}

#endif
