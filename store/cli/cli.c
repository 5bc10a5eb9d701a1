/* cli.c - opening the store for a command, and telling of failures.
 *
 * The library's detail line is preferred to words of our own, since it names the file and the remedy; what it leaves
 * empty (a miss is no event to it) gets a text here that speaks of commands.
 */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "in_use.h"
#include "output.h"
#include "progress.h"

/* What the library warned of, held back until the command ends: a failure says the same again, and better. */
static struct {
    pthread_mutex_t lock; /* the library's own thread warns too */
    char *first;
    unsigned more;
    bool failure_told;
} warnings = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void take_log_line(void *context, bitcask_log_level level, const char *line)
{
    (void)context;
    if (level < BITCASK_LOG_WARNING) return;
    pthread_mutex_lock(&warnings.lock);
    if (warnings.first)
        warnings.more++;
    else
        warnings.first = strdup(line);
    pthread_mutex_unlock(&warnings.lock);
}

/* To be called when the store is closed, and no other thread is left. */
static void tell_warnings(const struct cli_store *store)
{
    if (warnings.first && !warnings.failure_told) {
        fputs("bitcask: ", stderr);
        cli_print_name(stderr, store->path, CLI_ESCAPE_CONTROLS);
        fputs(": ", stderr);
        cli_print_name(stderr, warnings.first, CLI_ESCAPE_CONTROLS);
        if (warnings.more > 0) fprintf(stderr, " (and %u more such lines)", warnings.more);
        fputc('\n', stderr);
    }
    free(warnings.first);
    warnings.first = NULL;
    warnings.more = 0;
}

bitcask_status cli_store_try_open(struct cli_store *store, const char *path, enum cli_access access)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.read_only = access == CLI_READ;
    options.create = access == CLI_CREATE;
    options.lock_wait_ms = CLI_LOCK_WAIT_MS; /* for a daemon that was just unmounted and still writes */
    options.log = take_log_line;

    /* A reader of the output that goes away ends this process, as usual; but not while the store is being written. Nor
     * does a limit of file sizes, which is an error that can be told. */
    if (access != CLI_READ) signal(SIGPIPE, SIG_IGN);
    if (access != CLI_READ) signal(SIGXFSZ, SIG_IGN);

    store->path = path;
    store->db = NULL;
    return bitcask_open(path, &options, &store->db);
}

int cli_store_open(struct cli_store *store, const char *path, enum cli_access access)
{
    bitcask_status status = cli_store_try_open(store, path, access);
    return status == BITCASK_OK ? CLI_OK : cli_fail(store, NULL, status);
}

int cli_store_close(struct cli_store *store, int status)
{
    if (store->db) {
        bitcask_status closed = bitcask_close(&store->db);
        if (closed != BITCASK_OK) status = cli_fail(store, NULL, closed);
    }
    tell_warnings(store);
    return status;
}

/* What a user of the commands can do about a status that came without a detail line. */
static const char *advice(bitcask_status status)
{
    switch (status) {
    case BITCASK_NOT_FOUND: return "no such key or partition; bitcask ls shows what there is";
    case BITCASK_IS_PARTITION: return "is a partition, not a key; bitcask ls lists it";
    case BITCASK_NOT_PARTITION: return "is a key, not a partition";
    case BITCASK_NOT_EMPTY: return "the partition is not empty; delete what is in it first";
    case BITCASK_TOO_LARGE: return "larger than a value may be, 16 TiB";
    case BITCASK_IN_USE: return "in use by another process; unmount it, or write through the mount";
    case BITCASK_NO_SPACE: return "the disk is full; nothing was changed";
    default: return NULL;
    }
}

/* What concerns the store as a whole the library begins with its path. */
static bool begins_with_path(const char *text, const char *path)
{
    size_t size = strlen(path);
    return strncmp(text, path, size) == 0 && (text[size] == ':' || text[size] == ' ');
}

int cli_fail(const struct cli_store *store, const char *path, bitcask_status status)
{
    const char *detail = bitcask_error_detail();
    const char *hint = advice(status);
    const char *text = *detail ? detail : hint ? hint : bitcask_status_text(status);
    warnings.failure_told = true;
    cli_progress_hide();
    /* Of a repair, or of readers who are in its way, the library says enough. */
    if (status == BITCASK_IN_USE && strstr(text, "in use by")) return cli_tell_in_use(store);
    fputs("bitcask: ", stderr);
    if (!begins_with_path(text, store->path)) {
        cli_print_name(stderr, store->path, CLI_ESCAPE_CONTROLS);
        if (path && *path) {
            fputc('/', stderr);
            cli_print_name(stderr, path, CLI_ESCAPE_CONTROLS);
        }
        fputs(": ", stderr);
    }
    cli_print_name(stderr, text, CLI_ESCAPE_CONTROLS);
    fputc('\n', stderr);
    return CLI_FAILED;
}

/* Arguments of the user are quoted in messages: they are escaped like names. */
static void print_message(const char *format, va_list arguments)
{
    char *text = NULL;
    cli_progress_hide();
    fputs("bitcask: ", stderr);
    if (vasprintf(&text, format, arguments) < 0) text = NULL;
    cli_print_name(stderr, text ? text : "out of memory", CLI_ESCAPE_CONTROLS);
    free(text);
}

int cli_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    warnings.failure_told = true;
    return CLI_FAILED;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    fprintf(stderr, "; see bitcask %s%s--help\n", command ? command : "", command ? " " : "");
    return CLI_USAGE;
}

int cli_check_operands(const char *command, int argc, char **argv, int first, int least, int most)
{
    int count = argc - first;
    if (count < 1 || (least > 1 && count < least))
        return cli_usage(command, count < 1 ? "%s: STORE is missing" : "%s: PATH is missing", command);
    if (count > most) return cli_usage(command, "%s: one argument too many: %s", command, argv[first + most]);
    if (!*argv[first]) return cli_usage(command, "%s: STORE is empty", command);
    return CLI_OK;
}
