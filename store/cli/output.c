/* output.c - printing names, and making sure that what was printed has arrived.
 *
 * Names are opaque bytes. On a terminal only what its character set calls printable is sent as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "cli.h"
#include "output.h"

static void print_escaped(FILE *out, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) fprintf(out, "\\x%02x", bytes[i]);
}

static void print_without_controls(FILE *out, const unsigned char *bytes, size_t size)
{
    mbstate_t state;
    memset(&state, 0, sizeof(state));
    for (size_t at = 0; at < size;) {
        wchar_t character;
        size_t length = mbrtowc(&character, (const char *)bytes + at, size - at, &state);
        if (length == (size_t)-1 || length == (size_t)-2 || length == 0) {
            memset(&state, 0, sizeof(state));
            print_escaped(out, bytes + at, 1);
            at++;
            continue;
        }
        if (iswprint((wint_t)character))
            fwrite(bytes + at, 1, length, out);
        else
            print_escaped(out, bytes + at, length);
        at += length;
    }
}

void cli_print_bytes(FILE *out, const void *name, size_t size, enum cli_escape escape)
{
    const unsigned char *bytes = name;
    if (escape == CLI_ESCAPE_NOTHING) {
        fwrite(bytes, 1, size, out);
    } else if (escape == CLI_ESCAPE_CONTROLS) {
        print_without_controls(out, bytes, size);
    } else {
        for (size_t i = 0; i < size; i++) {
            if (bytes[i] == '\\' || bytes[i] == '"')
                fprintf(out, "\\%c", bytes[i]);
            else if (bytes[i] >= 0x20 && bytes[i] < 0x7f)
                fputc(bytes[i], out);
            else
                print_escaped(out, bytes + i, 1);
        }
    }
}

void cli_print_name(FILE *out, const char *name, enum cli_escape escape)
{
    cli_print_bytes(out, name, strlen(name), escape);
}

void cli_print_path(FILE *out, const char *path)
{
    cli_print_name(out, *path ? path : "/", CLI_ESCAPE_QUOTED);
}

/* The size in bytes of the UTF-8 sequence that bytes begin with; 0: they begin with none. */
static size_t utf8_size(const unsigned char *bytes, size_t size)
{
    /* What the second byte may be keeps out overlong forms, surrogates, and what is beyond U+10FFFF. */
    unsigned char first = bytes[0], least = 0x80, most = 0xbf;
    size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

    if (length < 2) return length;
    if (length > size) return 0;
    if (first == 0xe0) least = 0xa0;
    if (first == 0xed) most = 0x9f;
    if (first == 0xf0) least = 0x90;
    if (first == 0xf4) most = 0x8f;
    if (bytes[1] < least || bytes[1] > most) return 0;
    for (size_t i = 2; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80) return 0;
    return length;
}

void cli_print_json_member(FILE *out, const char *name, const void *text, size_t size)
{
    const unsigned char *bytes = text;
    bool whole = true;

    fprintf(out, "\"%s\": \"", name);
    for (size_t at = 0, length; at < size; at += length) {
        length = utf8_size(bytes + at, size - at);
        if (length == 0) {
            whole = false;
            length = 1;
            fputs("\\ufffd", out);
        } else if (bytes[at] < 0x20 || bytes[at] == 0x7f) {
            fprintf(out, "\\u%04x", bytes[at]);
        } else {
            if (bytes[at] == '"' || bytes[at] == '\\') fputc('\\', out);
            fwrite(bytes + at, 1, length, out);
        }
    }
    fputc('"', out);
    if (whole) return;
    fprintf(out, ", \"%s_hex\": \"", name);
    for (size_t i = 0; i < size; i++) fprintf(out, "%02x", bytes[i]);
    fputc('"', out);
}

bool cli_is_utf8(const void *text, size_t size)
{
    const unsigned char *bytes = text;
    for (size_t at = 0, length; at < size; at += length) {
        length = utf8_size(bytes + at, size - at);
        if (length == 0) return false;
    }
    return true;
}

void cli_print_base64(FILE *out, const void *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    char text[4];

    for (; size > 0; size -= size < 3 ? size : 3, p += 3) {
        unsigned second = size > 1 ? p[1] : 0, third = size > 2 ? p[2] : 0;
        text[0] = digits[p[0] >> 2];
        text[1] = digits[(p[0] & 3u) << 4 | second >> 4];
        text[2] = size > 1 ? digits[(second & 15) << 2 | third >> 6] : '=';
        text[3] = size > 2 ? digits[third & 63] : '=';
        fwrite(text, 1, sizeof(text), out);
    }
}

void cli_print_json_value(FILE *out, const char *name, const void *value, size_t size)
{
    if (cli_is_utf8(value, size)) {
        cli_print_json_member(out, name, value, size);
        return;
    }
    fprintf(out, "\"%s_base64\": \"", name);
    cli_print_base64(out, value, size);
    fputc('"', out);
}

enum cli_escape cli_output_escape(void)
{
    return isatty(STDOUT_FILENO) ? CLI_ESCAPE_CONTROLS : CLI_ESCAPE_NOTHING;
}

int cli_write_output(const void *data, size_t size)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && errno == EPIPE) return CLI_SIGNALLED + SIGPIPE;
        if (written <= 0) return cli_error("standard output: %s; %zu bytes were not written", strerror(errno), size);
        bytes += written;
        size -= (size_t)written;
    }
    return CLI_OK;
}

int cli_finish_output(int status)
{
    errno = 0;
    bool failed = ferror(stdout) != 0;
    if (fflush(stdout) != 0) failed = true;
    int error = errno;
    /* What failed earlier left no errno; a pipe still tells that nobody reads it. */
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (failed && error == 0 && poll(&out, 1, 0) > 0 && (out.revents & POLLERR)) error = EPIPE;
    /* Closing reports what a network filesystem kept back until now. EBADF: it was closed all along, which matters
     * only where something was printed, and then the flush has failed. */
    if (close(STDOUT_FILENO) != 0 && errno != EBADF && !failed) {
        failed = true;
        error = errno;
    }
    if (!failed) return status;
    if (error == EPIPE) return CLI_SIGNALLED + SIGPIPE;
    cli_error("standard output: %s; not all of it was written", error ? strerror(error) : "write error");
    return CLI_FAILED;
}

void cli_guard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        /* The wrong way round, so that reading 0 and writing 1 and 2 fail as they would have. Where even this fails
         * there is no descriptor left to say so on. */
        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) _exit(CLI_FAILED);
    }
}
