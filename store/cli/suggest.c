/* suggest.c - what somebody meant who wrote a command that does not exist.
 */
#include <string.h>

#include "cli.h"

enum { WORD_MOST = 32 /* bytes; what is longer was no slip of the fingers */ };

/* The least number of letters to add, leave out, replace, or swap with the next one, to get from a to b. */
static unsigned distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    unsigned cost[WORD_MOST + 1][WORD_MOST + 1];

    if (rows > WORD_MOST || columns > WORD_MOST) return WORD_MOST;
    for (size_t i = 0; i <= rows; i++) cost[i][0] = (unsigned)i;
    for (size_t j = 0; j <= columns; j++) cost[0][j] = (unsigned)j;
    for (size_t i = 1; i <= rows; i++) {
        for (size_t j = 1; j <= columns; j++) {
            unsigned least = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (cost[i - 1][j] + 1 < least) least = cost[i - 1][j] + 1;
            if (cost[i][j - 1] + 1 < least) least = cost[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && cost[i - 2][j - 2] + 1 < least)
                least = cost[i - 2][j - 2] + 1;
            cost[i][j] = least;
        }
    }
    return cost[rows][columns];
}

/* What the commands of a shell are called here. */
static const char *translate(const char *word)
{
    static const char *const words[][2] = {{"cat", "get"},
                                           {"read", "get"},
                                           {"set", "put"},
                                           {"write", "put"},
                                           {"rm", "del"},
                                           {"delete", "del"},
                                           {"remove", "del"},
                                           {"unlink", "del"},
                                           {"rename", "mv"},
                                           {"move", "mv"},
                                           {"ln", "link"},
                                           {"list", "ls"},
                                           {"dir", "ls"},
                                           {"scan", "query"},
                                           {"find", "query"},
                                           {"fsck", "verify"},
                                           {"check", "verify"},
                                           {"compact", "merge"},
                                           {"gc", "merge"},
                                           {"restore", "import"},
                                           {"load", "import"},
                                           {"backup", "export"},
                                           {"tar", "export"},
                                           {"benchmark", "bench"},
                                           {"mkdir", "partition create"},
                                           {"rmdir", "partition drop"},
                                           {"info", "stats"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(word, words[i][0])) return words[i][1];
    return NULL;
}

int cli_unknown(const char *command, const char *word, const char *const *names, size_t count)
{
    const char *translated = command ? NULL : translate(word), *nearest = translated;
    const char *before = command ? command : "", *between = command ? ": " : "";
    size_t length = strlen(word);
    unsigned least = length < 3 ? 2 : length < 6 ? 3 : 4; /* more than this would be another word */

    for (size_t i = 0; i < count && length > 0 && !translated; i++) {
        unsigned far = distance(word, names[i]);
        if (far >= least || far >= strlen(names[i])) continue;
        least = far;
        nearest = names[i];
    }
    const char *kind = word[0] == '-' ? "option" : "command";
    if (!nearest || word[0] == '-') return cli_usage(command, "%s%s%s: no such %s", before, between, word, kind);
    return cli_usage(command, "%s%s%s: no such %s; did you mean %s?", before, between, word, kind, nearest);
}
