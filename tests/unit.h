/* unit.h - what several test programs need: a scratch directory, reproducible random numbers, running a suite.
 *
 * Functions are static inline so that a test program is one source file. Threads: one.
 */
#ifndef UNIT_H
#define UNIT_H

#include <CUnit/Basic.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/io.h"

/* The seed of a random test: that of the environment's SEED, else a new one. Printed, so that a failure can be run
 * again. */
static inline uint64_t unit_seed(const char *test)
{
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    printf("[%s: SEED=%" PRIu64 "] ", test, seed);
    return seed;
}

/* splitmix64 */
static inline uint64_t unit_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline void unit_random_bytes(uint64_t *state, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) out[i] = (uint8_t)unit_random(state);
}

/* A new directory of its own under $TMPDIR or /tmp, its path in path[256]; returns a handle on it. */
static inline int unit_scratch_open(char path[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, 256, "%.200s/bitcask-test-XXXXXX", base != NULL && *base != '\0' ? base : "/tmp");
    if (mkdtemp(path) == NULL) {
        perror(path);
        exit(2);
    }
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline bool unit_scratch_remove_one(void *context, const char *name)
{
    int fd = *(int *)context;
    if (unlinkat(fd, name, 0) != 0) unlinkat(fd, name, AT_REMOVEDIR);
    return true;
}

/* Removes what stands in the directory (no deeper than empty directories) and itself. */
static inline void unit_scratch_close(int fd, const char *path)
{
    struct bc_io *io = bc_io_posix();
    CU_ASSERT_EQUAL(io->ops->list(io, fd, unit_scratch_remove_one, &fd), 0);
    CU_ASSERT_EQUAL(close(fd), 0);
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

/* Runs one suite of tests and returns what main() is to return. */
static inline int unit_run(const char *name, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{name, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) return 2;
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed > 0 ? 1 : 0;
}

#endif
