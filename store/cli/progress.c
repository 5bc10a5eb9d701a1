/* progress.c - the bar of a long run, and the signals that stop it.
 *
 * Drawn with carriage returns and spaces alone: every terminal knows these. The line is kept one column short of the
 * width, since some terminals wrap when the last one is filled.
 */
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "cli.h"
#include "output.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
    REDRAW_NS = 100 * 1000 * 1000,
    WIDTH_UNKNOWN = 80, /* what a terminal that does not say has */
    BAR_LEAST = 8,      /* cells; a bar with fewer says nothing */
    BAR_MOST = 30,
    NAME_LEAST = 8 /* columns */
};

/* ---- signals ---- */

static atomic_int stopped_by; /* the handler may run in a thread of the library's */

/* What the handler writes to, so that who waits for a pipe wakes up: the signal may come in between looking at
 * stopped_by and waiting. -1: not open. */
static int wake[2] = {-1, -1};

static void on_stop(int number)
{
    int error = errno;
    atomic_store(&stopped_by, number);
    if (wake[1] >= 0) (void)!write(wake[1], "", 1);
    errno = error;
}

int cli_progress_signal(void)
{
    return atomic_load(&stopped_by);
}

bool cli_progress_wait(int fd, bool to_write)
{
    struct pollfd fds[2] = {{.fd = fd, .events = to_write ? POLLOUT : POLLIN}, {.fd = wake[0], .events = POLLIN}};

    while (cli_progress_signal() == 0) {
        int ready = poll(fds, 2, -1);
        if (ready < 0 && errno != EINTR) return true; /* then let the read or the write say what is wrong */
        if (ready > 0 && fds[0].revents) return cli_progress_signal() == 0;
    }
    return false;
}

int cli_tell_stopped(const char *store, const char *what)
{
    int number = cli_progress_signal();
    cli_error("%s: stopped by %s; %s", store, number == SIGINT ? "SIGINT" : "SIGTERM", what);
    return CLI_SIGNALLED + number;
}

static void catch_stop(int number)
{
    struct sigaction old, action = {.sa_handler = on_stop, .sa_flags = SA_RESTART | (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(number, &action, NULL);
}

/* ---- the bar ---- */

static struct cli_progress *drawn; /* whose bar is on the screen; NULL: nobody's */

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return WIDTH_UNKNOWN;
    return size.ws_col;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void format_bytes(char *text, size_t size, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++) bytes /= 1024;
    snprintf(text, size, "%.*f %s", unit > 0 && bytes < 100 ? 1 : 0, bytes, units[unit]);
}

static void format_time(char *text, size_t size, double seconds)
{
    if (seconds >= 359999) { /* also where nothing is known */
        snprintf(text, size, "-:--");
        return;
    }
    unsigned rest = (unsigned)seconds;
    if (rest >= 3600)
        snprintf(text, size, "%u:%02u:%02u", rest / 3600, rest / 60 % 60, rest % 60);
    else
        snprintf(text, size, "%u:%02u", rest / 60, rest % 60);
}

/* The columns of the character that text begins with, and its bytes in *length. text was escaped: all is printable. */
static size_t character_columns(const char *text, size_t *length)
{
    mbstate_t state;
    wchar_t character;

    memset(&state, 0, sizeof(state));
    *length = mbrtowc(&character, text, strlen(text), &state);
    if (*length == 0 || *length == (size_t)-1 || *length == (size_t)-2) {
        *length = 1;
        return 1;
    }
    int columns = wcwidth(character);
    return columns < 0 ? 1 : (size_t)columns;
}

/* Prints name if it fits into room columns, else its end, which tells more than its beginning. Returns the columns
 * taken. */
static size_t print_name_end(FILE *out, const char *name, size_t room)
{
    char *text = NULL;
    size_t size = 0, columns = 0, length;
    FILE *memory = open_memstream(&text, &size);

    if (!memory) return 0;
    cli_print_name(memory, *name ? name : "/", CLI_ESCAPE_CONTROLS);
    if (fclose(memory) != 0 || !text) {
        free(text);
        return 0;
    }
    for (const char *p = text; *p; p += length) columns += character_columns(p, &length);
    const char *rest = text;
    if (columns > room) {
        while (*rest && columns + 3 > room) {
            columns -= character_columns(rest, &length);
            rest += length;
        }
        fputs("...", out);
        columns += 3;
    }
    fputs(rest, out);
    free(text);
    return columns;
}

static void format_amount(char *text, size_t size, const struct cli_progress *progress, double amount)
{
    if (progress->noun)
        snprintf(text, size, "%.0f", amount);
    else
        format_bytes(text, size, amount);
}

/* Prints the line, of at most width columns. Returns the columns taken. */
static size_t print_line(FILE *out, const struct cli_progress *progress, const bitcask_progress *state, size_t width)
{
    char done[32], total[32], rate[32], left[16], numbers[192];
    const char *noun = progress->noun ? progress->noun : "", *space = progress->noun ? " " : "";
    bool known = state->bytes_total > 0;
    uint64_t all = state->bytes_total, bytes = state->bytes_done < all ? state->bytes_done : all;
    double share = all ? (double)bytes / (double)all : 0;
    double bytes_per_s =
        state->elapsed_ns ? (double)state->bytes_done * (double)NS_PER_S / (double)state->elapsed_ns : 0;

    format_amount(done, sizeof(done), progress, (double)state->bytes_done);
    format_amount(total, sizeof(total), progress, (double)all);
    format_amount(rate, sizeof(rate), progress, bytes_per_s);
    format_time(left, sizeof(left), bytes_per_s > 0 ? (double)(all - bytes) / bytes_per_s : 1e9);
    int length =
        known ? snprintf(numbers, sizeof(numbers), "%s of %s%s%s, %s/s, %s left", done, total, space, noun, rate, left)
              : snprintf(numbers, sizeof(numbers), "%s%s%s, %s/s", done, space, noun, rate);

    size_t used = known ? (size_t)fprintf(out, "%3u%% ", (unsigned)(share * 100)) : 0;
    size_t spare = known && width > used + (size_t)length ? width - used - (size_t)length : 0;
    if (spare >= BAR_LEAST + 3) {
        size_t cells = spare / 3 < BAR_LEAST ? BAR_LEAST : spare / 3 > BAR_MOST ? BAR_MOST : spare / 3;
        size_t full = (size_t)(share * (double)cells);
        fputc('[', out);
        for (size_t i = 0; i < cells; i++) fputc(i < full ? '=' : i == full ? '>' : ' ', out);
        fputs("] ", out);
        used += cells + 3;
    }
    fputs(numbers, out);
    used += (size_t)length;
    if (used + 2 + NAME_LEAST <= width) {
        fputs("  ", out);
        used += 2;
        used += print_name_end(out, state->path ? state->path : "", width - used);
    }
    return used;
}

/* Puts text over what is on the screen. One write, so that nothing flickers, nor is mixed with others' output. */
static void show(struct cli_progress *progress, const char *text, size_t size)
{
    fwrite(text, 1, size, stderr);
    fflush(stderr);
    if (ferror(stderr)) progress->shown = false;
}

static void draw(struct cli_progress *progress, const bitcask_progress *state)
{
    char *text = NULL;
    size_t size = 0, width = terminal_width() - 1;
    FILE *memory = open_memstream(&text, &size);

    if (!memory) return;
    fputc('\r', memory);
    size_t columns = print_line(memory, progress, state, width);
    for (size_t i = columns; i < progress->columns && i < width; i++) fputc(' ', memory);
    if (fclose(memory) == 0 && text) {
        /* Narrower than the numbers: these are ASCII, and may be cut anywhere. */
        show(progress, text, columns > width && size > width + 1 ? width + 1 : size);
        progress->columns = columns < width ? columns : width;
        drawn = progress;
    }
    free(text);
}

void cli_progress_begin(struct cli_progress *progress, bool quiet)
{
    memset(progress, 0, sizeof(*progress));
    progress->shown = !quiet && isatty(STDERR_FILENO);
    progress->began_ns = now_ns();
    if (wake[0] < 0 && pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) wake[0] = wake[1] = -1;
    catch_stop(SIGINT);
    catch_stop(SIGTERM);
}

bool cli_progress_update(struct cli_progress *progress, const bitcask_progress *state)
{
    if (progress->shown) {
        uint64_t now = now_ns();
        if (progress->drawn_ns == 0 || now - progress->drawn_ns >= REDRAW_NS) {
            bitcask_progress shown = *state;
            if (shown.elapsed_ns == 0) shown.elapsed_ns = now - progress->began_ns;
            draw(progress, &shown);
            progress->drawn_ns = now;
        }
    }
    return cli_progress_signal() == 0;
}

void cli_progress_hide(void)
{
    if (drawn) cli_progress_clear(drawn);
}

void cli_progress_clear(struct cli_progress *progress)
{
    if (progress->columns == 0) return;
    size_t width = terminal_width() - 1;
    fprintf(stderr, "\r%*s\r", (int)(progress->columns < width ? progress->columns : width), "");
    progress->columns = 0;
    drawn = NULL;
}
