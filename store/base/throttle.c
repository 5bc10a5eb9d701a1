/* throttle.c - a token bucket in whole numbers.
 *
 * Tokens come in with time, at most a moment's worth of them, and may be taken in advance, to be waited for. What an
 * elapsed time brings is kept to a billionth of a byte, so that many small steps add up to what one large one brings.
 * Invariant: tokens is at most the burst, fraction below a billion, and no product here exceeds 64 bits.
 */
#include "base/throttle.h"

#define SECOND_NS 1000000000u
#define BURST_MIN (256u * 1024u)

/* At most 2^62, so that it fits the sign of tokens. */
static int64_t burst_of(uint64_t bytes_per_s)
{
    uint64_t quarter = bytes_per_s / 4;

    return (int64_t)(quarter > BURST_MIN ? quarter : BURST_MIN);
}

bc_status bc_throttle_init(struct bc_throttle *throttle, uint64_t bytes_per_s)
{
    *throttle = (struct bc_throttle){.bytes_per_s = bytes_per_s, .tokens = burst_of(bytes_per_s)};
    return pthread_mutex_init(&throttle->lock, NULL) == 0 ? BITCASK_OK : BITCASK_NO_MEMORY;
}

void bc_throttle_release(struct bc_throttle *throttle)
{
    pthread_mutex_destroy(&throttle->lock);
}

void bc_throttle_set(struct bc_throttle *throttle, uint64_t bytes_per_s)
{
    int64_t burst = burst_of(bytes_per_s);

    pthread_mutex_lock(&throttle->lock);
    throttle->bytes_per_s = bytes_per_s;
    if (throttle->tokens < 0) throttle->tokens = 0;
    if (throttle->tokens > burst) throttle->tokens = burst;
    pthread_mutex_unlock(&throttle->lock);
}

uint64_t bc_throttle_get(struct bc_throttle *throttle)
{
    uint64_t bytes_per_s;

    pthread_mutex_lock(&throttle->lock);
    bytes_per_s = throttle->bytes_per_s;
    pthread_mutex_unlock(&throttle->lock);
    return bytes_per_s;
}

/* Adds what the time since the last filling brought. lock held. */
static void fill(struct bc_throttle *throttle, uint64_t now_ns)
{
    uint64_t rate = throttle->bytes_per_s, elapsed, rest_ns, part, bytes;
    int64_t burst = burst_of(rate);
    uint64_t missing = (uint64_t)burst - (uint64_t)throttle->tokens; /* below 2^62 + 2^63 */

    if (now_ns <= throttle->filled_ns) return; /* a clock that goes back brings nothing, and takes nothing */
    elapsed = now_ns - throttle->filled_ns;
    throttle->filled_ns = now_ns;
    rest_ns = elapsed % SECOND_NS;
    /* rest_ns * rate / a billion, in two parts of which none overflows: (10^9 - 1) * (2^64 / 10^9) < 2^64. */
    part = rest_ns * (rate % SECOND_NS) + throttle->fraction;
    if (__builtin_mul_overflow(elapsed / SECOND_NS, rate, &bytes) ||
        __builtin_add_overflow(bytes, rest_ns * (rate / SECOND_NS), &bytes) ||
        __builtin_add_overflow(bytes, part / SECOND_NS, &bytes) || bytes >= missing) {
        throttle->tokens = burst;
        throttle->fraction = 0;
        return;
    }
    throttle->tokens = (int64_t)((uint64_t)throttle->tokens + bytes);
    throttle->fraction = (uint32_t)(part % SECOND_NS);
}

/* How long it takes for bytes to come in, rounded up. rate is not 0. */
static uint64_t time_for(uint64_t bytes, uint64_t rate)
{
    uint64_t seconds = bytes / rate, rest = bytes % rate, wait;

    /* A rest below 2^34 times a billion fits; of larger numbers the low bits make less than a nanosecond. */
    while (rate >> 34) {
        rate >>= 1;
        rest >>= 1;
    }
    wait = (rest * SECOND_NS + (rate - 1)) / rate;
    if (__builtin_mul_overflow(seconds, (uint64_t)SECOND_NS, &seconds) || __builtin_add_overflow(wait, seconds, &wait))
        return UINT64_MAX;
    return wait;
}

uint64_t bc_throttle_take(struct bc_throttle *throttle, uint64_t now_ns, uint64_t bytes)
{
    uint64_t wait = 0;

    pthread_mutex_lock(&throttle->lock);
    if (throttle->bytes_per_s > 0) {
        fill(throttle, now_ns);
        /* Of what nobody could live to wait for, the excess is forgotten. */
        if (bytes > INT64_MAX || __builtin_sub_overflow(throttle->tokens, (int64_t)bytes, &throttle->tokens) ||
            throttle->tokens < -INT64_MAX)
            throttle->tokens = -INT64_MAX;
        if (throttle->tokens < 0) wait = time_for((uint64_t)-throttle->tokens, throttle->bytes_per_s);
    } else if (now_ns > throttle->filled_ns) {
        throttle->filled_ns = now_ns; /* a limit that is set later counts from here */
    }
    pthread_mutex_unlock(&throttle->lock);
    return wait;
}
