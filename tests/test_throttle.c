/* test_throttle.c - the token bucket against simulated time: nothing here sleeps.
 */
#include "base/throttle.h"

#include "fixture.h"

#define SECOND 1000000000ull
#define KIB 1024ull

static struct bc_throttle throttle;

static void begin(uint64_t rate)
{
    CU_ASSERT_EQUAL(bc_throttle_init(&throttle, rate), BITCASK_OK);
}

static void end(void)
{
    bc_throttle_release(&throttle);
}

/* The most that goes at once after a long rest, in steps of step bytes. */
static uint64_t take_burst(uint64_t now, uint64_t step)
{
    uint64_t taken = 0;

    while (taken < 1ull << 60 && bc_throttle_take(&throttle, now, step) == 0) taken += step;
    return taken;
}

/* Who waits as long as told moves, in all, what the rate allows: the burst and not a byte more, nor less. */
static void rate_is_kept_exactly_by_who_waits(void)
{
    static const uint64_t rates[] = {4096, 4099, 100000, 1000003, 20 * KIB * KIB, 12345678901ull};
    static const uint64_t sizes[] = {1, 4096, 65536, 1000000, 33 * KIB * KIB};

    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            uint64_t rate = rates[r], size = sizes[s], start = 77 * SECOND, now = start, bytes = 0;
            uint64_t burst = rate / 4 > 256 * KIB ? rate / 4 : 256 * KIB;

            begin(rate);
            CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, burst), 0);
            for (int i = 0; i < 5000; i++) {
                now += bc_throttle_take(&throttle, now, size);
                bytes += size;
            }
            /* Rounded up to whole nanoseconds and no more: the rest of one wait counts in the next. */
            long double exact = (long double)bytes / (long double)rate * 1e9L;
            long double off = (long double)(now - start) - exact;
            CU_ASSERT(off > -2 && off < 1e9L / (long double)rate + 2);
            end();
        }
}

/* Looking often, with little time in between, loses nothing of what the time brings. */
static void many_small_steps_bring_what_one_large_one_does(void)
{
    uint64_t now = SECOND, steps = 3 * SECOND / 997;

    begin(4096);
    (void)bc_throttle_take(&throttle, now, 256 * KIB + 4096 * 3);
    for (uint64_t i = 0; i < steps; i += 100) { /* 99.7 us: less than half a byte each */
        now += 997 * 100;
        (void)bc_throttle_take(&throttle, now, 0);
    }
    now = SECOND + 3 * SECOND;
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, 0), 0);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, 4096), SECOND);
    end();
}

static void burst_is_a_quarter_of_a_second_or_256_kib(void)
{
    begin(4096);
    CU_ASSERT_EQUAL(take_burst(SECOND, KIB), 256 * KIB);
    CU_ASSERT_EQUAL(take_burst(1000000 * SECOND, KIB), 256 * KIB);
    end();
    begin(100 * KIB * KIB);
    CU_ASSERT_EQUAL(take_burst(SECOND, KIB), 25 * KIB * KIB);
    /* After a tenth of a second: as much as that brings, once what was taken in advance is paid. */
    CU_ASSERT_EQUAL(take_burst(SECOND + SECOND / 10, KIB), 10 * KIB * KIB - KIB);
    CU_ASSERT_EQUAL(take_burst(9999 * SECOND, KIB), 25 * KIB * KIB);
    end();
}

static void more_than_the_burst_goes_at_once_and_is_waited_for(void)
{
    begin(KIB * KIB);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, SECOND, 10 * KIB * KIB + 256 * KIB), 10 * SECOND);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, 2 * SECOND, 0), 9 * SECOND);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, 2 * SECOND, KIB * KIB), 10 * SECOND);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, 12 * SECOND, 0), 0);
    end();
}

static void no_limit_never_waits(void)
{
    begin(0);
    CU_ASSERT_EQUAL(bc_throttle_get(&throttle), 0);
    for (uint64_t now = 0; now < 10; now++) CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, UINT64_MAX), 0);
    end();
}

static void changing_the_rate_forgives_and_counts_from_then_on(void)
{
    uint64_t now = 5 * SECOND;

    begin(4096);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, 256 * KIB + 4096 * 1000), 1000 * SECOND);
    bc_throttle_set(&throttle, KIB * KIB);
    CU_ASSERT_EQUAL(bc_throttle_get(&throttle), KIB * KIB);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, KIB * KIB), SECOND);
    bc_throttle_set(&throttle, 0);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, 1ull << 40), 0);
    /* What was moved without a limit is not held against the limit that comes. */
    bc_throttle_set(&throttle, 4096);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, 4096), SECOND);
    end();
    /* A full bucket of a high rate is no more than a full one of the low rate that follows. */
    begin(1ull << 40);
    bc_throttle_set(&throttle, 4096);
    CU_ASSERT_EQUAL(take_burst(now, KIB), 256 * KIB);
    end();
}

static void rates_and_sizes_without_bound_do_not_overflow(void)
{
    static const uint64_t large[] = {(1ull << 34) - 1, 1ull << 34,     (1ull << 34) + 1, 1ull << 62,
                                     1ull << 63,       UINT64_MAX - 1, UINT64_MAX};
    static const uint64_t times[] = {0, SECOND, 3 * SECOND - 1, 1ull << 62, UINT64_MAX - SECOND, UINT64_MAX};

    for (size_t r = 0; r < sizeof large / sizeof *large; r++) {
        begin(large[r]);
        for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
            CU_ASSERT_EQUAL(bc_throttle_take(&throttle, times[t], 0), 0);
            CU_ASSERT_EQUAL(bc_throttle_take(&throttle, times[t], large[r] / 4), 0);
        }
        end();
        /* A second's worth beyond the burst takes a second. */
        begin(large[r]);
        if (large[r] < 1ull << 63) {
            uint64_t wait = bc_throttle_take(&throttle, SECOND, large[r] + large[r] / 4);
            CU_ASSERT(wait >= SECOND - 1 && wait <= SECOND + 1);
        }
        end();
    }
    begin(1);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, SECOND, UINT64_MAX), UINT64_MAX);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, SECOND, UINT64_MAX), UINT64_MAX);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, SECOND, 1), UINT64_MAX);
    /* 584 years later a tenth of that is paid, to the byte. */
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, UINT64_MAX, 0), UINT64_MAX);
    bc_throttle_set(&throttle, UINT64_MAX);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, UINT64_MAX, UINT64_MAX / 2), SECOND / 2);
    end();
}

static void clock_that_stands_still_or_goes_back_brings_nothing(void)
{
    uint64_t now = 100 * SECOND;

    begin(KIB * KIB);
    CU_ASSERT_EQUAL(take_burst(now, 256 * KIB), 256 * KIB); /* the next 256 KiB are taken in advance */
    for (int i = 0; i < 1000; i++) CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, 0), SECOND / 4);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now - 50 * SECOND, 0), SECOND / 4);
    /* And the time that went back is not counted twice. */
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now, 0), SECOND / 4);
    CU_ASSERT_EQUAL(bc_throttle_take(&throttle, now + SECOND / 8, 0), SECOND / 8);
    end();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"rate is kept exactly by who waits", rate_is_kept_exactly_by_who_waits},
        {"many small steps bring what one large one does", many_small_steps_bring_what_one_large_one_does},
        {"burst is a quarter of a second or 256 KiB", burst_is_a_quarter_of_a_second_or_256_kib},
        {"more than the burst goes at once and is waited for", more_than_the_burst_goes_at_once_and_is_waited_for},
        {"no limit never waits", no_limit_never_waits},
        {"changing the rate forgives and counts from then on", changing_the_rate_forgives_and_counts_from_then_on},
        {"rates and sizes without bound do not overflow", rates_and_sizes_without_bound_do_not_overflow},
        {"clock that stands still or goes back brings nothing", clock_that_stands_still_or_goes_back_brings_nothing},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("throttle", tests);
}
