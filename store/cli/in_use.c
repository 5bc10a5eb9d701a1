/* in_use.c - who has the store, and how to do the same where he has it mounted.
 *
 * The process is the one whose lock the library found; its command line comes from /proc, and the place of its mount
 * from the table of mounts, where the daemon's have the store's path as their source. Each may be out of sight (another
 * namespace, another user): what is not known is left out.
 */
#include "in_use.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "output.h"

enum { COMMAND_SHOWN = 60 /* bytes of a command line that are worth a reader's time */ };

/* The beginning of the command line of a process, its arguments joined by spaces; NULL: not to be had. To be freed. */
static char *command_of(int64_t pid)
{
    char path[64], text[4096 + COMMAND_SHOWN];

    snprintf(path, sizeof(path), "/proc/%" PRId64 "/cmdline", pid);
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    while (size > 0 && text[size - 1] == 0) size--;
    for (size_t i = 0; i < size; i++)
        if (text[i] == 0) text[i] = ' ';
    char *command = NULL;
    /* The program by its name alone: where it lies matters less than what it was given. */
    size_t skip = 0;
    for (size_t i = 0; i < size && text[i] != ' '; i++)
        if (text[i] == '/') skip = i + 1;
    memmove(text, text + skip, size -= skip);
    bool cut = size > COMMAND_SHOWN;
    if (cut) size = COMMAND_SHOWN;
    if (size == 0 || asprintf(&command, "%.*s%s", (int)size, text, cut ? "..." : "") < 0) return NULL;
    return command;
}

/* Takes the octal escapes of the table of mounts, \040 for a space, out of text. */
static void decode_octal(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
            from[3] <= '7') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
}

/* Looks at one line of the table: "id parent major:minor root mountpoint options [fields] - type source options". Its
 * mountpoint, if it mounts the store at path, which lies in the line; else NULL. */
static char *mountpoint_in(char *line, const char *path)
{
    char *rest = strstr(line, " - fuse.bitcaskfs ");
    char *save = NULL, *field = NULL;

    if (!rest) return NULL;
    *rest = 0;
    char *source = rest + strlen(" - fuse.bitcaskfs ");
    source[strcspn(source, " \n")] = 0;
    decode_octal(source);
    if (strcmp(source, path) != 0) return NULL;
    char *next = line;
    for (int i = 0; i < 5; i++, next = NULL) {
        field = strtok_r(next, " ", &save);
        if (!field) return NULL;
    }
    decode_octal(field);
    return field;
}

char *cli_mountpoint_of(const char *store)
{
    char *path = realpath(store, NULL), *line = NULL, *found = NULL;
    size_t room = 0;
    FILE *table = path ? fopen("/proc/self/mountinfo", "re") : NULL;

    while (table && getline(&line, &room, table) > 0) {
        const char *place = mountpoint_in(line, path);
        if (!place) continue;
        free(found); /* the last one is the one on top */
        found = strdup(place);
    }
    if (table) fclose(table);
    free(line);
    free(path);
    return found;
}

/* Prints a word of a command line, so that a shell takes it for one. */
static void print_word(const char *mountpoint, const char *path)
{
    char *word = NULL;
    bool plain = true;

    if (asprintf(&word, "%s%s%s", mountpoint, *path ? "/" : "", path) < 0) return;
    for (const char *p = word; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_./+-,:=@%", *p)) plain = false;
    if (plain) {
        fputs(word, stderr);
    } else {
        fputc('\'', stderr);
        for (char *p = word; *p;) {
            size_t length = strcspn(p, "'");
            char *rest = p + length;
            bool quote = *rest != 0;
            *rest = 0;
            cli_print_name(stderr, p, CLI_ESCAPE_CONTROLS);
            if (quote) fputs("'\\''", stderr);
            p = rest + (quote ? 1 : 0);
        }
        fputc('\'', stderr);
    }
    free(word);
}

static void print_remedy(const struct cli_remedy *remedy, const char *mountpoint)
{
    fprintf(stderr, "%s ", remedy->verb);
    print_word(mountpoint, remedy->path ? remedy->path : "");
    if (remedy->to) {
        fputc(' ', stderr);
        print_word(mountpoint, remedy->to);
    }
}

int cli_tell_in_use(const struct cli_store *store)
{
    int64_t pid = 0;
    if (bitcask_store_holder(store->path, &pid) != BITCASK_OK) pid = 0;
    char *command = pid > 0 ? command_of(pid) : NULL;
    char *mountpoint = cli_mountpoint_of(store->path);

    fputs("bitcask: ", stderr);
    cli_print_name(stderr, store->path, CLI_ESCAPE_CONTROLS);
    if (pid > 0)
        fprintf(stderr, " is in use by process %" PRId64, pid);
    else
        fputs(" is in use by another process", stderr);
    if (command) {
        fputs(" (", stderr);
        cli_print_name(stderr, command, CLI_ESCAPE_CONTROLS);
        fputc(')', stderr);
    }
    if (mountpoint) {
        fputs(", mounted on ", stderr);
        cli_print_name(stderr, mountpoint, CLI_ESCAPE_CONTROLS);
        fputs(store->remedy.verb ? "; the same through the mount: " : "; unmount it first: umount ", stderr);
        if (store->remedy.verb)
            print_remedy(&store->remedy, mountpoint);
        else
            print_word(mountpoint, "");
    } else {
        fputs("; end that first", stderr);
        if (store->remedy.verb) {
            fputs(", or if it is mounted: ", stderr);
            print_remedy(&store->remedy, "MNT");
        }
    }
    fputc('\n', stderr);
    free(command);
    free(mountpoint);
    return CLI_FAILED;
}
