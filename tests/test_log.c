/* test_log.c - the lines of the daemon: one each, escaped, cut, not mixed, limited in number, on stderr and in syslog.
 */
#include "unit.h"

#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <syslog.h>

#define SECOND UINT64_C(1000000000)

/* ---- what is said, caught ---- */

static char caught[1 << 20];

/* Runs `what` in a process of its own (limits and where lines go are of the process), its stderr in caught[]. */
static void catch_stderr(void (*what)(void))
{
    int ends[2];
    size_t size = 0;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        what();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got = 1; got > 0;) {
        got = read(ends[0], caught + size, sizeof caught - 1 - size);
        if (got > 0) size += (size_t)got;
    }
    caught[size] = '\0';
    close(ends[0]);
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (const char *p = text; *p != '\0'; p++) count += *p == '\n';
    return count;
}

/* In place of syslog(3): the line and its priority go to stderr. */
static void say_to_syslog(int priority, const char *format, va_list arguments)
{
    char line[4096];
    int size = vsnprintf(line, sizeof line - 1, format, arguments);
    dprintf(STDERR_FILENO, "<%d>%.*s\n", priority, size, line);
}

void __wrap_syslog(int priority, const char *format, ...);
void __wrap_syslog(int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_to_syslog(priority, format, arguments);
    va_end(arguments);
}

void __wrap___syslog_chk(int priority, int flag, const char *format, ...);
void __wrap___syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;
    (void)flag;
    va_start(arguments, format);
    say_to_syslog(priority, format, arguments);
    va_end(arguments);
}

/* ---- lines ---- */

static void say_names(void)
{
    bcfs_log(BCFS_LOG_ERROR, "%s: %s", "plain name", "no space");
    bcfs_log(BCFS_LOG_WARNING, "%s", "two\nlines: bitcaskfs: forged\r");
    bcfs_log(BCFS_LOG_INFO, "%s", "\x1b[2Jscreen \x7f \xc3\xa4 \xff");
    bcfs_log_store_line(NULL, BITCASK_LOG_WARNING, "of the store\n");
}

static void what_cannot_be_printed_is_escaped(void)
{
    catch_stderr(say_names);
    CU_ASSERT_STRING_EQUAL(caught, "bitcaskfs: plain name: no space\n"
                                   "bitcaskfs: two\\x0alines: bitcaskfs: forged\\x0d\n"
                                   "bitcaskfs: \\x1b[2Jscreen \\x7f \\xc3\\xa4 \\xff\n"
                                   "bitcaskfs: of the store\n");
}

static void say_long(void)
{
    char text[6000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    bcfs_log(BCFS_LOG_ERROR, "%s", text);
    memset(text, '\n', sizeof text - 1);
    bcfs_log(BCFS_LOG_ERROR, "%s", text);
}

static void long_line_is_cut_and_stays_one(void)
{
    catch_stderr(say_long);
    CU_ASSERT_EQUAL(count_lines(caught), 2);
    CU_ASSERT_TRUE(strlen(caught) <= 2 * 2100);
    CU_ASSERT_TRUE(strlen(caught) >= 2 * 2000);
    CU_ASSERT_STRING_EQUAL(caught + strlen(caught) - 5, "\\x0a\n");
}

static void say_errno(void)
{
    errno = ENOSPC;
    bcfs_log(BCFS_LOG_ERROR, "%m");
    if (errno != ENOSPC) _exit(1);
    bcfs_log(BCFS_LOG_DEBUG, "not said");
    bcfs_log_set_debug(true);
    bcfs_log(BCFS_LOG_DEBUG, "said");
}

static void errno_is_kept_and_debug_is_asked_for(void)
{
    catch_stderr(say_errno);
    CU_ASSERT_STRING_EQUAL(caught, "bitcaskfs: No space left on device\nbitcaskfs: said\n");
}

static void say_through_syslog(void)
{
    bcfs_log_to_syslog();
    bcfs_log(BCFS_LOG_ERROR, "%s", "100%s of\nthis");
    bcfs_log(BCFS_LOG_WARNING, "warning");
    bcfs_log(BCFS_LOG_INFO, "info");
}

static void syslog_gets_the_same_without_a_prefix(void)
{
    char wanted[256];
    catch_stderr(say_through_syslog);
    snprintf(wanted, sizeof wanted, "<%d>100%%s of\\x0athis\n<%d>warning\n<%d>info\n", LOG_ERR, LOG_WARNING, LOG_INFO);
    CU_ASSERT_STRING_EQUAL(caught, wanted);
}

static void *say_many(void *argument)
{
    char letters[200];
    memset(letters, *(const char *)argument, sizeof letters - 1);
    letters[sizeof letters - 1] = '\0';
    for (int i = 0; i < 200; i++) bcfs_log(BCFS_LOG_DEBUG, "%s", letters);
    return NULL;
}

static void say_from_threads(void)
{
    pthread_t threads[4];
    static char letters[] = "abcd";
    bcfs_log_set_debug(true);
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, say_many, &letters[i]) != 0) _exit(1);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void lines_of_threads_do_not_mix(void)
{
    catch_stderr(say_from_threads);
    CU_ASSERT_EQUAL(count_lines(caught), 800);
    for (char *line = strtok(caught, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char wanted[] = {line[11], '\0'};
        CU_ASSERT_EQUAL(strlen(line), 11 + 199);
        CU_ASSERT_EQUAL(strspn(line + 11, wanted), 199);
    }
}

/* ---- how many ---- */

static void burst_passes_then_some_each_second(void)
{
    struct bcfs_log_limit limit = {0};
    uint64_t now = 5 * SECOND, left_out = 7, said = 0;

    for (int i = 0; i < BCFS_LOG_BURST; i++) {
        CU_ASSERT_TRUE(bcfs_log_may_say(&limit, now, &left_out));
        CU_ASSERT_EQUAL(left_out, 0);
    }
    for (int i = 0; i < 1000; i++) CU_ASSERT_FALSE(bcfs_log_may_say(&limit, now, &left_out));
    now += SECOND / BCFS_LOG_PER_S;
    CU_ASSERT_TRUE(bcfs_log_may_say(&limit, now, &left_out));
    CU_ASSERT_EQUAL(left_out, 1000);
    CU_ASSERT_FALSE(bcfs_log_may_say(&limit, now, &left_out));

    /* Ten seconds of a flood. */
    for (int i = 0; i < 10000; i++) said += bcfs_log_may_say(&limit, now += SECOND / 1000, &left_out);
    CU_ASSERT_TRUE(said >= 10 * BCFS_LOG_PER_S - 1 && said <= 10 * BCFS_LOG_PER_S + 1);

    /* After a quiet time a whole burst again, and no more than that, however long it was. */
    now += 1000 * SECOND;
    said = 0;
    for (int i = 0; i < 10 * BCFS_LOG_BURST; i++) said += bcfs_log_may_say(&limit, now, &left_out);
    CU_ASSERT_EQUAL(said, BCFS_LOG_BURST);
}

static void flood(void)
{
    for (int i = 0; i < 5000; i++) bcfs_log(BCFS_LOG_WARNING, "warning %d", i);
    bcfs_log(BCFS_LOG_ERROR, "an error");
    bcfs_log_end();
    bcfs_log_end();
}

static void flood_is_cut_counted_and_hides_no_error(void)
{
    unsigned long said = 0, left_out = 0, errors = 0;

    catch_stderr(flood);
    CU_ASSERT_TRUE(count_lines(caught) >= BCFS_LOG_BURST);
    CU_ASSERT_TRUE(count_lines(caught) < 2500);
    for (char *line = strtok(caught, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned long count = 0;
        if (strstr(line, "left out") != NULL && sscanf(line, "bitcaskfs: %lu lines", &count) == 1)
            left_out += count;
        else if (strcmp(line, "bitcaskfs: an error") == 0)
            errors++;
        else
            said++;
    }
    CU_ASSERT_EQUAL(said + left_out, 5000);
    CU_ASSERT_EQUAL(errors, 1);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what cannot be printed is escaped", what_cannot_be_printed_is_escaped},
        {"a long line is cut, and stays one", long_line_is_cut_and_stays_one},
        {"errno is kept, and debug lines are asked for", errno_is_kept_and_debug_is_asked_for},
        {"syslog gets the same without a prefix", syslog_gets_the_same_without_a_prefix},
        {"lines of several threads do not mix", lines_of_threads_do_not_mix},
        {"a burst passes, then some lines each second", burst_passes_then_some_each_second},
        {"a flood is cut and counted, and hides no error", flood_is_cut_counted_and_hides_no_error},
        CU_TEST_INFO_NULL,
    };
    return unit_run("log", tests);
}
