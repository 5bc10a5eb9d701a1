/* starve.h - allocations of the store that fail, for a test program that is linked with $(starve_flags) of Makefile.am.
 * What counts as one: malloc, calloc, realloc, strdup, strndup, asprintf, an mmap, a thread that is started, a
 * directory that is opened to be listed.
 *
 * What a thread allocates while its `fixture_own` is not 0 is the test's own: it neither counts nor fails. Threads:
 * any; orders are given while nobody else allocates.
 */
#ifndef BC_STARVE_H
#define BC_STARVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes allocation n from now on fail, once, or with all after it; counts from here. 0: none. */
void starve_at(uint64_t n);
void starve_from(uint64_t n);

/* Whether the thread that calls is left out: then only those behind its back are starved. */
void starve_others_only(bool on);

/* Allocations since the last order, and whether one of them failed. */
uint64_t starve_count(void);
bool starve_failed(void);

/* Memory that the store has allocated and not given back: pieces. */
size_t starve_live(void);

/* Forgets what is live, as that which stays for the program's life; from here on it is not looked at. */
void starve_forget_live(void);

#endif
