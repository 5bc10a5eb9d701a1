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
    const char *noun; /* what bytes_done counts: "names"; NULL: bytes. May be set after the beginning. Not owned */
    bool shown;
    uint64_t began_ns; /* by the monotonic clock, as the next one */
    uint64_t drawn_ns; /* 0: not yet */
    size_t columns;    /* of it that are on the screen now; 0: none */
};

/* From here on SIGINT and SIGTERM stop the run instead of the process; the second of a kind ends it all the same. One
 * that is ignored stays ignored. quiet: no bar. */
void cli_progress_begin(struct cli_progress *progress, bool quiet);

/* Draws, at most ten times a second; where state->bytes_total is 0 there is no bar, just how much was done, and
 * state->elapsed_ns 0 stands for the time since the beginning. Returns false once a signal came: as a progress function
 * does to cancel. */
bool cli_progress_update(struct cli_progress *progress, const bitcask_progress *state);

/* Takes the bar away, for something else to be printed, or for good. */
void cli_progress_clear(struct cli_progress *progress);

/* Takes away whatever bar is on the screen, for a message to be printed; it comes back by itself. */
void cli_progress_hide(void);

/* The signal that came, or 0. */
int cli_progress_signal(void);

/* Waits until fd can be read from, or written to, or a signal came: then it is false. */
bool cli_progress_wait(int fd, bool to_write);

/* Tells of a run that a signal stopped, and in which state that left things. Returns the exit status that a shell gives
 * to it. */
int cli_tell_stopped(const char *store, const char *what);

#endif
