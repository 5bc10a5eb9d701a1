/* stripes.c - see stripes.h: which thread counts where.
 */
#include "base/stripes.h"

static atomic_uint threads;
static _Thread_local unsigned mine; /* 1 and up; 0: none yet */

unsigned bc_stripe(void)
{
    if (mine == 0) mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % BC_STRIPES + 1;
    return mine - 1;
}
