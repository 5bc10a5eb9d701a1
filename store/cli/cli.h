/* cli.h - what the commands of bitcask(1) share: exit statuses, the open store, and how a failure is told.
 *
 * A command parses its arguments, opens the store, does one thing and closes it. Whatever goes wrong is one line on
 * standard error: "bitcask: STORE/PATH: what; what to do". What the library warns of while all goes well is one line
 * too, at the end. Single-threaded.
 */
#ifndef CLI_H
#define CLI_H

#include "bitcask.h"

enum {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_DAMAGED = 1,    /* of verify: it was looked at, and is not sound */
    CLI_NOT_RUN = 2,    /* of verify: it could not be looked at */
    CLI_SIGNALLED = 128 /* and the signal's number: stopped by it, in good order */
};

#define CLI_LOCK_WAIT_MS 10000u /* umount(2) returns before the daemon has closed the store: wait for it */

/* How the same is done through a mount: "verb MNT/path MNT/to". Nothing in it is owned. */
struct cli_remedy {
    const char *verb; /* "rm"; NULL: it cannot be done there */
    const char *path; /* NULL: the mount itself */
    const char *to;   /* NULL: there is no second one */
};

/* An open store. All zero: none. */
struct cli_store {
    const char *path; /* as given by the user; not owned */
    bitcask *db;
    struct cli_remedy remedy; /* told when the store is in use */
};

enum cli_access { CLI_READ, CLI_WRITE, CLI_CREATE }; /* CREATE: write, and make the store if there is none */

/* Opens the store at path; says why on failure. Returns an exit status. */
int cli_store_open(struct cli_store *store, const char *path, enum cli_access access);

/* The same without a word about a failure, which cli_fail() may then tell. */
bitcask_status cli_store_try_open(struct cli_store *store, const char *path, enum cli_access access);

/* Closes it; a failure (a sync that failed) is told and turns CLI_OK into CLI_FAILED. Returns the exit status. */
int cli_store_close(struct cli_store *store, int status);

/* Tells of a failed call on path of the store ("" for the store itself); path may be NULL. Returns CLI_FAILED. */
int cli_fail(const struct cli_store *store, const char *path, bitcask_status status);

/* Tells of a failure in the caller's own words, or of bad arguments. Return CLI_FAILED and CLI_USAGE. */
int cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Tells of a command that does not exist, and which of count names was meant, if that can be guessed. command: the one
 * that word was given to; NULL: bitcask itself. Returns CLI_USAGE. */
int cli_unknown(const char *command, const char *word, const char *const *names, size_t count);

/* What getopt_long() returns for --help, and for an option that does not exist or lacks its argument. */
#define CLI_OPTION_HELP 'h'

/* Prints the help of one command to standard output. Returns an exit status. */
int cli_help(const char *command);

/* Checks that between least and most operands follow the options and that none of them is empty, except a path. */
int cli_check_operands(const char *command, int argc, char **argv, int first, int least, int most);

/* The commands. argv[0] is the command's name. Each returns an exit status. */
int cli_put(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_del(int argc, char **argv);
int cli_ls(int argc, char **argv);
int cli_query(int argc, char **argv);
int cli_mv(int argc, char **argv);
int cli_link(int argc, char **argv);
int cli_partition(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_stats(int argc, char **argv);
int cli_dump(int argc, char **argv);
int cli_merge(int argc, char **argv);
int cli_verify(int argc, char **argv);

#endif
