/* log.c - the lines that bitcaskfs says to people: see log.h.
 *
 * Each line leaves in one write(2) or one syslog(3), so lines of several threads do not mix. Where they go changes
 * once, before any thread but the first can log, or by an atomic flag.
 */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 2048 };

static const char PREFIX[] = "bitcaskfs: ";

static atomic_bool to_syslog;
static atomic_bool debug_lines;

/* A leaf: nothing else is locked, and nothing written, while it is held. */
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bcfs_log_limit limits[BCFS_LOG_ERROR + 1]; /* by level, so that a flood of warnings hides no error */

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

bool bcfs_log_may_say(struct bcfs_log_limit *limit, uint64_t now_ns, uint64_t *left_out)
{
    const uint64_t price_ns = 1000000000u / BCFS_LOG_PER_S;
    uint64_t paid = limit->paid_until_ns > now_ns ? limit->paid_until_ns : now_ns;

    *left_out = 0;
    if (paid + price_ns > now_ns + BCFS_LOG_BURST * price_ns) {
        limit->left_out++;
        return false;
    }
    limit->paid_until_ns = paid + price_ns;
    *left_out = limit->left_out;
    limit->left_out = 0;
    return true;
}

static bool may_say(enum bcfs_log_level level, uint64_t *left_out)
{
    struct timespec now = {0};

    *left_out = 0;
    if (level == BCFS_LOG_DEBUG) return true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&limit_lock);
    bool may = bcfs_log_may_say(&limits[level], (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, left_out);
    pthread_mutex_unlock(&limit_lock);
    return may;
}

/* Says a line that needs no formatting any more. */
static void say(enum bcfs_log_level level, const char *text)
{
    char line[LINE_MAX_SIZE + sizeof PREFIX + 1];
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
}

static void say_left_out(enum bcfs_log_level level, uint64_t count)
{
    char text[96];

    snprintf(text, sizeof text, "%" PRIu64 " lines of this kind were left out: there were too many at once", count);
    say(level, text);
}

void bcfs_vlog(enum bcfs_log_level level, const char *format, va_list arguments)
{
    if (level == BCFS_LOG_DEBUG && !atomic_load_explicit(&debug_lines, memory_order_relaxed)) return;

    int saved_errno = errno;
    uint64_t left_out = 0;
    if (may_say(level, &left_out)) {
        char text[LINE_MAX_SIZE];
        if (left_out > 0) say_left_out(level, left_out);
        errno = saved_errno; /* for %m */
        if (vsnprintf(text, sizeof text, format, arguments) < 0)
            strcpy(text, "(a message that could not be formatted)");
        size_t size = strlen(text);
        if (size > 0 && text[size - 1] == '\n') text[size - 1] = '\0'; /* libfuse ends its lines */
        say(level, text);
    }
    errno = saved_errno;
}

void bcfs_log_end(void)
{
    for (int level = 0; level <= BCFS_LOG_ERROR; level++) {
        pthread_mutex_lock(&limit_lock);
        uint64_t count = limits[level].left_out;
        limits[level].left_out = 0;
        pthread_mutex_unlock(&limit_lock);
        if (count > 0) say_left_out((enum bcfs_log_level)level, count);
    }
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
