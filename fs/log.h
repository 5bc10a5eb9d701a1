/* log.h - the lines that bitcaskfs says to people.
 *
 * One event, one line, "bitcaskfs: " in front of it: on stderr while there is someone to read it, to syslog once
 * the daemon has left its terminal. Bytes outside printable ASCII are written as \xNN, so that a file name can
 * neither forge a second line nor confuse a terminal. A disk that fails may have something to say for every request:
 * of each level at most BCFS_LOG_BURST lines are said at once and BCFS_LOG_PER_S a second; how many were left out is
 * said ahead of the next one, or in the end. Debug lines are not counted: who asked for them wants them all.
 */
#ifndef BCFS_LOG_H
#define BCFS_LOG_H

#include "bitcask.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum bcfs_log_level { BCFS_LOG_DEBUG, BCFS_LOG_INFO, BCFS_LOG_WARNING, BCFS_LOG_ERROR };

enum { BCFS_LOG_BURST = 100, BCFS_LOG_PER_S = 10 };

/* How much may be said. All zero: nothing was yet. */
struct bcfs_log_limit {
    uint64_t
        paid_until_ns; /* each line is paid with 1/BCFS_LOG_PER_S s of time, up to BCFS_LOG_BURST lines in advance */
    uint64_t left_out; /* lines since the last one that was said */
};

/* Whether a line may be said at now_ns, of a clock that does not go back; then *left_out says how many before it were
 * not, and the count begins anew. Threads: one at a time. */
bool bcfs_log_may_say(struct bcfs_log_limit *limit, uint64_t now_ns, uint64_t *left_out);

/* Says one line, cut at 2047 bytes; a newline at its end is left out. Keeps errno. From any thread. */
void bcfs_log(enum bcfs_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bcfs_vlog(enum bcfs_log_level level, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

/* Says what a failed call of the library left in bitcask_error_detail(), or "NAME: the status's text" where it left
 * nothing. To be called from the thread of the failed call, before any other call of the library. */
void bcfs_log_failure(const char *name, bitcask_status status);

/* Whether BCFS_LOG_DEBUG lines are said; they are not at first. Before threads start. */
void bcfs_log_set_debug(bool debug);

/* From now on lines go to syslog (facility daemon). Call before stderr is given up. */
void bcfs_log_to_syslog(void);

/* Says how many lines were left out, if any were since the last one of their level. For the end of the program. */
void bcfs_log_end(void);

/* To be put into bitcask_options.log. context is not used. From any thread. */
void bcfs_log_store_line(void *context, bitcask_log_level level, const char *line);

#endif
