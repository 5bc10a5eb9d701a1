/* progress.h - how a long run is watched: a bar on the terminal, and the signals that stop it.
 *
 * The bar is one line on standard error, drawn where that is a terminal and nowhere else. Single-threaded, one run a
 * process.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "bitcask.h"

struct cli_progress {
    bool shown;
    uint64_t drawn_ns; /* when, by the monotonic clock; 0: not yet */
    size_t columns;    /* of it that are on the screen now; 0: none */
};

/* From here on SIGINT and SIGTERM stop the run instead of the process; the second of a kind ends it all the same. One
 * that is ignored stays ignored. quiet: no bar. */
void cli_progress_begin(struct cli_progress *progress, bool quiet);

/* Draws, at most ten times a second. Returns false once a signal came: as a progress function does to cancel. */
bool cli_progress_update(struct cli_progress *progress, const bitcask_progress *state);

/* Takes the bar away, for something else to be printed, or for good. */
void cli_progress_clear(struct cli_progress *progress);

/* The signal that came, or 0. */
int cli_progress_signal(void);

#endif
