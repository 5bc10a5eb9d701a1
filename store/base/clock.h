/* clock.h - the clock that intervals are measured by.
 */
#ifndef BC_CLOCK_H
#define BC_CLOCK_H

#include <stdint.h>

/* Nanoseconds of a clock that nobody sets. */
uint64_t bc_monotonic_ns(void);

#endif
