/* throttle.h - a token bucket: so many bytes a second, and no more than a moment's worth at once: a quarter of a
 * second's, or 256 KiB where that is more.
 *
 * It does not sleep itself: it says how long to wait, so that who waits can look around meanwhile.
 * Threads: any; a lock inside, held for moments.
 */
#ifndef BC_THROTTLE_H
#define BC_THROTTLE_H

#include <pthread.h>

#include "base/status.h"

struct bc_throttle {
    pthread_mutex_t lock;
    uint64_t bytes_per_s; /* 0: no limit. Guarded by lock, as are the next */
    int64_t tokens;       /* bytes that may go at once; below 0: taken in advance */
    uint32_t fraction;    /* billionths of a byte beyond tokens */
    uint64_t filled_ns;   /* when tokens were last added to */
};

bc_status bc_throttle_init(struct bc_throttle *throttle, uint64_t bytes_per_s);
void bc_throttle_release(struct bc_throttle *throttle);

/* Takes effect with the next take; what was taken in advance is forgiven. */
void bc_throttle_set(struct bc_throttle *throttle, uint64_t bytes_per_s);
uint64_t bc_throttle_get(struct bc_throttle *throttle);

/* Takes bytes, at once, and says how many nanoseconds to wait, from now_ns of a monotonic clock on, until what was
 * taken in advance has come in; UINT64_MAX stands for longer than can be said. The bucket begins full. */
uint64_t bc_throttle_take(struct bc_throttle *throttle, uint64_t now_ns, uint64_t bytes);

#endif
