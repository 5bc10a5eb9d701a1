/* main.c - bitcask(1): finds the command and runs it; the help texts.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "output.h"

static const struct command {
    const char *name;
    const char *arguments;
    const char *summary;
    const char *details;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"put", "[-p] [-f FILE] STORE PATH", "store standard input, or FILE, under PATH",
     "  -f, --file FILE   take the value from FILE\n"
     "  -p, --parents     make the partitions that are missing on the way to PATH\n"
     "\nA STORE that is absent, or an empty directory, is created.\n",
     cli_put},
    {"get", "STORE PATH", "write the value under PATH to standard output", "", cli_get},
    {"del", "[-d] STORE PATH", "delete the key PATH", "  -d, --partition   PATH is a partition, and empty\n", cli_del},
    {"ls", "[-l] STORE [PATH]", "list a partition in the order of its keys",
     "  -l, --long        mode, owner, group, size in bytes, and mtime (UTC) of each\n"
     "\nPartitions end in a slash. On a terminal, bytes that it cannot print are shown as \\xNN.\n",
     cli_ls},
    {"stats", "[-j] [-p] [-s] STORE [PATH]", "count keys and bytes of a partition and all below it",
     "  -j, --json        as a JSON object\n"
     "  -p, --prometheus  as metrics; of a store that is mounted those of its daemon, counters included\n"
     "  -s, --segments    list each data file as well\n",
     cli_stats},
    {"dump", "STORE [PATH] | FILE.data", "show the records of a partition, or of one data file",
     "Prints each record with its offset, its size, the state of its checksums, version, sizes, flags and key; of\n"
     "a damaged file too, and then ends with status 1.\n",
     cli_dump},
    {"merge", "[OPTION]... STORE [PATH]", "give back the space of what was replaced or deleted",
     "  --full            rewrite everything, not only where space comes back\n"
     "  --rate BYTES      write at most BYTES a second; K, M and G are understood: 500K, 20M\n"
     "  -q, --quiet       no progress bar, and no line at the end\n"
     "\nMerges PATH, or the root partition, and all below it. It can be stopped at any time, ^C included, and loses\n"
     "nothing. Of a store that is mounted: echo merge > MNT/.bitcask/control\n",
     cli_merge},
    {"verify", "[OPTION]... STORE [PATH]", "read everything and check it",
     "  --repair          set damaged data files aside, as *.damaged, and keep all that is good in them;\n"
     "                    nobody may use the store meanwhile\n"
     "  -j, --json        one JSON object a line: each finding, then the summary\n"
     "  -q, --quiet       no progress bar and no summary, just the findings\n"
     "\nLooks at PATH, or the root partition, and all below it. Without --repair nothing is changed.\n"
     "Exit status: 0 sound, 1 damage was found (and repaired, if so asked), 2 it could not be looked at.\n",
     cli_verify},
};

static const size_t command_count = sizeof(commands) / sizeof(commands[0]);

static int help_all(void)
{
    fputs("Usage: bitcask COMMAND [OPTION]... STORE [PATH]\n"
          "Reads and writes a store of keys and values. PATH is as under a mount of it: orders/2026/0001.\n\n",
          stdout);
    for (size_t i = 0; i < command_count; i++)
        printf("  %-6s %-27s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
    fputs("\nbitcask COMMAND --help says more of a command, bitcask --version which release this is.\n"
          "Reading works beside a mount of the same store; to write, go through the mount or unmount first.\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage; verify: 0 sound, 1 damaged, 2 could not look.\n",
          stdout);
    return cli_finish_output(CLI_OK);
}

int cli_help(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        if (strcmp(name, command->name) != 0) continue;
        printf("Usage: bitcask %s %s\n%c%s.\n%s%s", command->name, command->arguments,
               command->summary[0] - ('a' - 'A'), command->summary + 1, *command->details ? "\n" : "",
               command->details);
    }
    return cli_finish_output(CLI_OK);
}

int main(int argc, char **argv)
{
    cli_guard_descriptors();
    setlocale(LC_CTYPE, "");

    const char *word = argc > 1 ? argv[1] : "";
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) return help_all();
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
        printf("bitcask (bitcaskfs) %s\n", PACKAGE_VERSION);
        return cli_finish_output(CLI_OK);
    }
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(word, commands[i].name) != 0) continue;
        static char name[] = "bitcask"; /* as getopt_long() calls the program in its messages */
        argv[1] = name;
        return commands[i].run(argc - 1, argv + 1);
    }
    if (argc < 2) return cli_usage(NULL, "a command is missing");
    return cli_usage(NULL, "%s: no such %s", word, word[0] == '-' ? "option" : "command");
}
