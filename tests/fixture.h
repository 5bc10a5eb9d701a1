/* fixture.h - what the store's test programs share: a directory of their own, files as bytes, running a suite.
 *
 * A failure of the machine (no room, no temporary directory) ends the program with a message: it says nothing about
 * the store. Threads: one; CUnit itself is not made for more.
 */
#ifndef BC_FIXTURE_H
#define BC_FIXTURE_H

#include <CUnit/Basic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitcask.h"

/* Not 0 while a test allocates for itself: see starve.h. */
extern _Thread_local volatile unsigned fixture_own; /* volatile: a compiler knows that malloc() reads no variable */

/* The program's directory, made below $TMPDIR or /tmp at the first call, removed by fixture_run(). */
const char *fixture_dir(void);

/* "DIR/name" with name formatted; valid to the end. */
const char *fixture_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Removes a tree; absent is fine. */
void fixture_remove(const char *path);

/* Copies a tree of directories and regular files; to must not exist. Modes are kept. */
void fixture_copy(const char *from, const char *to);

/* The bytes of a file, malloc'ed, with a NUL behind them that size does not count. */
uint8_t *fixture_read(const char *path, size_t *size);
void fixture_write(const char *path, const void *data, size_t size);
uint64_t fixture_size(const char *path); /* UINT64_MAX where there is no such file */

/* "STORE/partitions/31/8f..31/name", valid to the end. */
const char *fixture_partition_file(const char *store, uint64_t partition_id, const char *name);

/* Digest of all names, modes and bytes of a tree: to show that nothing was changed. */
uint64_t fixture_digest(const char *path);

/* A number of the environment, or the default. */
uint64_t fixture_number(const char *variable, uint64_t otherwise);

/* The next number of a splitmix64 sequence, and one below limit. */
uint64_t fixture_random(uint64_t *state);
uint64_t fixture_below(uint64_t *state, uint64_t limit);

/* Runs the tests as one suite, prints CUnit's summary, removes the directory. The exit status. */
int fixture_run(const char *suite, CU_TestInfo *tests);

/* Opens a store for writing, made if absent, with the given policy; the other options as by default. */
bitcask *fixture_open(const char *path, bitcask_sync_policy sync);

/* Checks a call's status and, where it is another, shows both and the detail line. */
#define EXPECT(wanted, call) CU_ASSERT(fixture_expect((wanted), (call), #call, __FILE__, __LINE__))
bool fixture_expect(bitcask_status wanted, bitcask_status got, const char *what, const char *file, int line);

/* The same, and the detail line must hold `part`. */
#define EXPECT_DETAIL(wanted, part, call) \
    CU_ASSERT(fixture_expect_detail((wanted), (part), (call), #call, __FILE__, __LINE__))
bool fixture_expect_detail(bitcask_status wanted, const char *part, bitcask_status got, const char *what,
                           const char *file, int line);

/* Short forms for keys and values that are C strings. */
bitcask_status put_text(bitcask_partition *partition, const char *key, const char *value, unsigned flags);
bitcask_status delete_text(bitcask_partition *partition, const char *key, unsigned flags);
/* The value under key in a static buffer (16 KiB), "-" if there is none, "!status" for another failure. */
const char *get_text(bitcask_partition *partition, const char *key);

#endif
