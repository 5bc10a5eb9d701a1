/* log.c - the lines that bitcaskfs says to people: see log.h.
 *
 * Each line leaves in one write(2) or one syslog(3), so lines of several threads do not mix. Where they go changes
 * once, before any thread but the first can log, or by an atomic flag.
 */
#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 2048 };

static const char PREFIX[] = "bitcaskfs: ";

static atomic_bool to_syslog;
static atomic_bool debug_lines;

/* Copies text into line (size bytes), anything unprintable as \xNN. Returns the length. */
static size_t escape(const char *text, char *line, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t length = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool plain = *p >= 0x20 && *p < 0x7f;
        if (length + (plain ? 1 : 4) >= size) break;
        if (plain) {
            line[length++] = (char)*p;
        } else {
            line[length++] = '\\';
            line[length++] = 'x';
            line[length++] = hex[*p >> 4];
            line[length++] = hex[*p & 15];
        }
    }
    line[length] = '\0';
    return length;
}

static int syslog_priority(enum bcfs_log_level level)
{
    switch (level) {
    case BCFS_LOG_DEBUG: return LOG_DEBUG;
    case BCFS_LOG_INFO: return LOG_INFO;
    case BCFS_LOG_WARNING: return LOG_WARNING;
    default: return LOG_ERR;
    }
}

void bcfs_vlog(enum bcfs_log_level level, const char *format, va_list arguments)
{
    if (level == BCFS_LOG_DEBUG && !atomic_load_explicit(&debug_lines, memory_order_relaxed)) return;

    int saved_errno = errno;
    char text[LINE_MAX_SIZE];
    char line[LINE_MAX_SIZE + sizeof PREFIX + 1];
    errno = saved_errno; /* for %m */
    if (vsnprintf(text, sizeof text, format, arguments) < 0) strcpy(text, "(a message that could not be formatted)");
    size_t length = strlen(PREFIX);
    memcpy(line, PREFIX, length);
    length += escape(text, line + length, sizeof line - length - 1);

    if (atomic_load_explicit(&to_syslog, memory_order_acquire)) {
        syslog(syslog_priority(level), "%s", line + strlen(PREFIX));
    } else {
        line[length++] = '\n';
        /* There is nobody to tell that stderr cannot be written. */
        ssize_t written = write(STDERR_FILENO, line, length);
        (void)written;
    }
    errno = saved_errno;
}

void bcfs_log(enum bcfs_log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bcfs_vlog(level, format, arguments);
    va_end(arguments);
}

void bcfs_log_failure(const char *name, bitcask_status status)
{
    const char *detail = bitcask_error_detail();
    if (detail[0] != '\0') {
        bcfs_log(BCFS_LOG_ERROR, "%s", detail);
    } else {
        bcfs_log(BCFS_LOG_ERROR, "%s: %s", name, bitcask_status_text(status));
    }
}

void bcfs_log_set_debug(bool debug)
{
    atomic_store(&debug_lines, debug);
}

void bcfs_log_to_syslog(void)
{
    openlog("bitcaskfs", LOG_PID, LOG_DAEMON);
    atomic_store_explicit(&to_syslog, true, memory_order_release);
}

void bcfs_log_store_line(void *context, bitcask_log_level level, const char *line)
{
    (void)context;
    static const enum bcfs_log_level levels[] = {BCFS_LOG_INFO, BCFS_LOG_WARNING, BCFS_LOG_ERROR};
    bcfs_log(level <= BITCASK_LOG_ERROR ? levels[level] : BCFS_LOG_ERROR, "%s", line);
}
