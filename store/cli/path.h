/* path.h - paths inside a store, as users write them: names joined by '/', from the store's root.
 *
 * A slash in front, at the end or doubled makes no difference, except that one at the end asks for a partition.
 */
#ifndef CLI_PATH_H
#define CLI_PATH_H

#include <stdbool.h>
#include <stddef.h>

struct cli_path {
    char *full;       /* the whole path, slashes tidied; "" for the root. Owned */
    char *parent;     /* all but the last name; "" where that is the root. Owned */
    const char *name; /* the last name, in full; "" for the root */
    size_t name_size;
    bool wants_partition; /* it ended in a slash, or is the root */
};

/* Splits text. Says what is wrong with it, naming the store, on failure. Returns an exit status; cli_path_release()
 * is due only after CLI_OK. */
int cli_path_parse(const char *store, const char *text, struct cli_path *path);

/* The same, for a path that must name a key. */
int cli_path_parse_key(const char *store, const char *text, struct cli_path *path);

/* Takes the escapes out of text, in place: \xNN for a byte, and \\ and \" for these two. What is printed with
 * CLI_ESCAPE_QUOTED becomes itself again. Says what is wrong with it on failure. Returns an exit status. */
int cli_unescape(char *text);

/* The same for all operands but the first one, which names the store. */
int cli_unescape_operands(int argc, char **argv, int first);

void cli_path_release(struct cli_path *path);

#endif
