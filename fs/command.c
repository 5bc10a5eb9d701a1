/* command.c - reading the commands of a control file: see command.h. */
#include "command.h"

#include "number.h"

#include <string.h>

enum { WORDS_MAX = 3 }; /* one more than any command has */

const struct bcfs_command_help bcfs_command_help[] = {
    {"merge", "give back the space of what was overwritten or deleted, where it pays"},
    {"merge full", "the same, and rewrite everything"},
    {"sync", "commit what is pending, and make all of it durable"},
    {"rotate", "begin new data files, so that those of now can be merged"},
    {"verify", "read everything and check it"},
    {"scheduler on|off", "merge in the background, in the whole store"},
    {"throttle RATE|off", "the most that merges write, bytes a second: 500K, 20M, 1G"},
    {NULL, NULL},
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

void bcfs_command_trim(const char **bytes, size_t *size)
{
    while (*size > 0 && (is_blank((*bytes)[*size - 1]) || (*bytes)[*size - 1] == '\n')) (*size)--;
    while (*size > 0 && (is_blank((*bytes)[0]) || (*bytes)[0] == '\n')) {
        (*bytes)++;
        (*size)--;
    }
}

/* Cuts text, which it changes, into words; returns how many, WORDS_MAX if there are more. */
static size_t split(char *text, const char *words[WORDS_MAX])
{
    size_t count = 0;
    char *rest = text;

    for (char *word = strsep(&rest, " \t"); word != NULL && count < WORDS_MAX; word = strsep(&rest, " \t")) {
        if (word[0] != '\0') words[count++] = word;
    }
    return count;
}

static bool on_or_off(const char *word, bool *on)
{
    *on = strcmp(word, "on") == 0;
    return *on || strcmp(word, "off") == 0;
}

static const char *parse_merge(const char *const *words, size_t count, struct bcfs_command *command)
{
    command->kind = BCFS_MERGE;
    command->full = count == 2;
    return count == 1 || (count == 2 && strcmp(words[1], "full") == 0) ? NULL : "merge takes nothing, or: full";
}

static const char *parse_scheduler(const char *const *words, size_t count, struct bcfs_command *command)
{
    command->kind = BCFS_SCHEDULER;
    return count == 2 && on_or_off(words[1], &command->on) ? NULL : "scheduler takes one word: on or off";
}

static const char *parse_throttle(const char *const *words, size_t count, struct bcfs_command *command)
{
    command->kind = BCFS_THROTTLE;
    if (count == 2 && strcmp(words[1], "off") == 0) return NULL;
    if (count == 2 && bcfs_parse_number(words[1], true, BCFS_RATE_MIN, BCFS_RATE_MAX, &command->rate_bytes_per_s)) {
        return NULL;
    }
    return "throttle takes one word: off, or bytes a second from 4K on, such as 500K, 20M or 1G";
}

static const char *parse_words(const char *const *words, size_t count, struct bcfs_command *command)
{
    static const struct {
        const char *word;
        enum bcfs_command_kind kind;
    } plain[] = {{"sync", BCFS_SYNC}, {"rotate", BCFS_ROTATE}, {"verify", BCFS_VERIFY}};

    if (strcmp(words[0], "merge") == 0) return parse_merge(words, count, command);
    if (strcmp(words[0], "scheduler") == 0) return parse_scheduler(words, count, command);
    if (strcmp(words[0], "throttle") == 0) return parse_throttle(words, count, command);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (strcmp(words[0], plain[i].word) != 0) continue;
        command->kind = plain[i].kind;
        return count == 1 ? NULL : "this command takes no further word";
    }
    return "not a command";
}

const char *bcfs_command_parse(const char *bytes, size_t size, struct bcfs_command *command)
{
    char text[BCFS_COMMAND_MAX + 1];
    const char *words[WORDS_MAX] = {NULL};
    size_t count = 0;
    struct bcfs_command read = {0};
    const char *wrong = NULL;

    bcfs_command_trim(&bytes, &size);
    if (size == 0) return "nothing but blanks";
    if (size > BCFS_COMMAND_MAX) return "a command has at most 256 bytes";
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n') return "one write is one command, in one line";
        if ((bytes[i] < ' ' || bytes[i] > '~') && bytes[i] != '\t') return "not a command";
    }
    memcpy(text, bytes, size);
    text[size] = '\0';
    count = split(text, words);
    wrong = parse_words(words, count, &read);
    if (wrong == NULL) *command = read;
    return wrong;
}
