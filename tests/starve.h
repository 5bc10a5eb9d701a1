/* starve.h - allocations of the store that fail, for a test program that is linked with --wrap=malloc, calloc, realloc
 * and strdup (Makefile.am). Threads: one.
 */
#ifndef BC_STARVE_H
#define BC_STARVE_H

#include <stdint.h>

/* Makes allocation n from now on fail, once, and counts from here. 0: none. What is allocated while `fixture_own` is
 * not 0 is the test's own: it is not counted. */
void starve_at(uint64_t n);

/* Allocations since then. */
uint64_t starve_count(void);

#endif
