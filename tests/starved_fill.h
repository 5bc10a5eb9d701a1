/* starved_fill.h - the store that the scripts of starved.h begin with, and steps that several of them take. Threads:
 * one.
 */
#ifndef BC_STARVED_FILL_H
#define BC_STARVED_FILL_H

#include "starved.h"

/* Whether checkpoints are written at a close, however little there is to save. */
void starved_set_checkpoints(bool on);

/* Small and large files, overwritten and deleted ones, names of one file, three partitions, several segments: with
 * hints alone, or checkpoints. The store stays open. */
void starved_fill_for_hints(struct starved *store);
void starved_fill_for_checkpoints(struct starved *store);
int starved_dir(const struct starved *store); /* partition "dir" */
int starved_sub(const struct starved *store); /* partition "dir/sub" */

void starved_rotate(struct starved *store); /* all partitions */
void starved_open_and_read(struct starved *store);

/* Reads a value of more than 50 bytes in all ways that there are. */
void starved_read_in_parts(struct starved *store, int partition, const char *name);

/* A test of one script. */
#define STARVED_SCRIPT(function, text, ...)                                                 \
    static void function##_test(void)                                                       \
    {                                                                                       \
        const struct starved_script script = {.name = text, .play = function, __VA_ARGS__}; \
        starved_everywhere(&script);                                                        \
    }

/* Runs the tests as a program: its seed, one thread on the machine's own disk too. */
int starved_run(const char *suite, CU_TestInfo *tests);

#endif
