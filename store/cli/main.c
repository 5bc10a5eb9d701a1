/* main.c - bitcask(1): finds the command and runs it; the help texts.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "output.h"

#define ESCAPE "  -e, --escape      \\xNN in PATH stands for a byte, \\\\ for a backslash\n"

static const struct command {
    const char *name;
    const char *arguments;
    const char *summary;
    const char *details;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"put", "[OPTION]... STORE PATH", "store standard input, or FILE, under PATH",
     "  -f, --file FILE   take the value from FILE\n"
     "  -p, --parents     make the partitions that are missing on the way to PATH\n" ESCAPE
     "\nA STORE that is absent, or an empty directory, is created.\n",
     cli_put},
    {"get", "[-e] STORE PATH", "write the value under PATH to standard output", ESCAPE, cli_get},
    {"del", "[OPTION]... STORE PATH", "delete the key PATH",
     "  -d, --partition   PATH is a partition, and empty\n"
     "  -0, --null        delete what standard input names, each ended by a NUL byte, below PATH if that is "
     "given\n" ESCAPE,
     cli_del},
    {"ls", "[OPTION]... STORE [PATH]", "list a partition in the order of its keys",
     "  -l, --long        mode, owner, group, size in bytes, and mtime (UTC) of each\n"
     "  -e, --escape      \\xNN stands for a byte, \\\\ for a backslash: in PATH, and in what is printed\n"
     "  -0, --null        end each name in a NUL byte instead of a newline\n"
     "\nPartitions end in a slash. On a terminal, bytes that it cannot print are shown as \\xNN.\n",
     cli_ls},
    {"query", "[OPTION]... STORE [PATH]", "print a range of a partition, keys and values",
     "      --from KEY    begin with KEY, or what follows it\n"
     "      --to KEY      end with KEY, or what comes before it\n"
     "      --prefix TEXT only keys that begin with TEXT\n"
     "      --after KEY   go on behind KEY, the last one seen: in front of it with --reverse\n"
     "      --limit N     at most N\n"
     "  -r, --reverse     from the last to the first\n"
     "  -k, --keys-only   keys without values\n"
     "  -j, --json        one JSON object a line, with the attributes, as export --json\n"
     "  -0, --null        with --keys-only: end each key in a NUL byte\n"
     "  -e, --escape      \\xNN stands for a byte, \\\\ for a backslash: in PATH and KEY, and in keys printed\n"
     "\nA line is a key, a tab and its value, both escaped as by --escape; partitions end in a slash.\n",
     cli_query},
    {"mv", "[OPTION]... STORE FROM TO", "rename a key or partition, or move it into partition TO",
     "  -n, --no-replace  fail if TO is there, instead of replacing it\n"
     "  -x, --exchange    swap the two\n"
     "  -T, --no-target-directory\n"
     "                    TO is the new name even where it is a partition: an empty one is replaced\n" ESCAPE,
     cli_mv},
    {"link", "[-e] STORE FROM TO", "give the key FROM a second name, TO",
     ESCAPE "\nBoth are one file then, with one value. TO may be a partition to put the name into.\n", cli_link},
    {"partition", "ACTION [OPTION]... STORE [PATH]", "create, drop, rename or list partitions",
     "  create [-p] STORE PATH     make an empty partition\n"
     "  drop [-rq] STORE PATH      delete an empty partition\n"
     "  rename STORE FROM TO       give it another name, or place; all that is in it goes with it\n"
     "  ls [-rj0] STORE [PATH]     list the partitions in PATH\n"
     "\n"
     "  -p, --parents     make the partitions that are missing on the way, too; one that is there will do\n"
     "  -r, --recursive   drop: delete what is in it first; ls: those below as well, with their paths\n"
     "  -q, --quiet       no progress\n"
     "  -j, --json        one JSON object a line\n"
     "  -0, --null        end each path in a NUL byte\n"
     "  -e, --escape      \\xNN stands for a byte, \\\\ for a backslash: in PATH, and in what is printed\n",
     cli_partition},
    {"import", "[OPTION]... STORE [PATH]", "store the files of a tar archive, or JSON lines",
     "  -j, --json        standard input is JSON lines, as export --json writes them; else a tar archive, which may "
     "be\n"
     "                    compressed\n"
     "  -q, --quiet       no progress, and no line at the end\n" ESCAPE
     "\nReads standard input. What is there under the same name is replaced; partitions on the way are made, and so "
     "is\n"
     "a STORE that is absent. Modes, owners, times, extended attributes and hard links come along.\n",
     cli_import},
    {"export", "[OPTION]... STORE [PATH]", "write a partition as a tar archive, or JSON lines",
     "  -j, --json        one JSON object a line instead of a tar archive (pax format)\n"
     "  -q, --quiet       no progress\n" ESCAPE "\nWrites to standard output, with names relative to PATH.\n",
     cli_export},
    {"stats", "[OPTION]... STORE [PATH]", "count keys and bytes of a partition and all below it",
     "  -j, --json        as a JSON object\n"
     "  -p, --prometheus  as metrics; of a store that is mounted those of its daemon, counters included\n"
     "  -s, --segments    list each data file as well\n" ESCAPE,
     cli_stats},
    {"dump", "[OPTION]... STORE [PATH] | FILE", "show the records of a partition, or of one file of it",
     "      --hints       the keys in its hint files instead\n"
     "      --checkpoint  what its checkpoint consists of instead\n"
     "  -j, --json        one JSON object a line\n" ESCAPE
     "\nPrints each record with its offset, its size, the state of its checksums, version, sizes, flags and key; of\n"
     "a damaged file too, and then ends with status 1. FILE is a data file, a hint file or a checkpoint.\n",
     cli_dump},
    {"merge", "[OPTION]... STORE [PATH]", "give back the space of what was replaced or deleted",
     "      --full        rewrite everything, not only where space comes back\n"
     "      --rate BYTES  write at most BYTES a second; K, M and G are understood: 500K, 20M\n"
     "  -q, --quiet       no progress bar, and no line at the end\n" ESCAPE
     "\nMerges PATH, or the root partition, and all below it. It can be stopped at any time, ^C included, and loses\n"
     "nothing. Of a store that is mounted: echo merge > MNT/.bitcask/control\n",
     cli_merge},
    {"verify", "[OPTION]... STORE [PATH]", "read everything and check it",
     "      --repair      set damaged data files aside, as *.damaged, and keep all that is good in them;\n"
     "                    nobody may use the store meanwhile\n"
     "  -j, --json        one JSON object a line: each finding, then the summary\n"
     "  -q, --quiet       no progress bar and no summary, just the findings\n" ESCAPE
     "\nLooks at PATH, or the root partition, and all below it. Without --repair nothing is changed.\n"
     "Exit status: 0 sound, 1 damage was found (and repaired, if so asked), 2 it could not be looked at.\n",
     cli_verify},
    {"bench", "[OPTION]... STORE [WORKLOAD]...", "measure how fast a store is here",
     "  -n, --ops N       operations of each workload, 100000 if not given; durable and query do fewer\n"
     "  -s, --size BYTES  of each value, 100 if not given; K and M are understood\n"
     "  -t, --threads N   that do them, 1 if not given\n"
     "  -k, --keep        leave the store there\n"
     "  -j, --json        one JSON object a line for each workload\n"
     "  -q, --quiet       no progress\n"
     "\nMakes STORE, which must be absent or an empty directory, and removes it in the end. WORKLOADs, all if none is\n"
     "named: fill, get, miss, overwrite, durable, query, open, mixed. Prints operations a second and the times that\n"
     "half, 99 and 99.9 percent of them stayed below; on a terminal a chart too.\n",
     cli_bench},
};

static const size_t command_count = sizeof(commands) / sizeof(commands[0]);

static int help_all(void)
{
    fputs("Usage: bitcask COMMAND [OPTION]... STORE [PATH]\n"
          "Reads and writes a store of keys and values. PATH is as under a mount of it: orders/2026/0001.\n\n",
          stdout);
    for (size_t i = 0; i < command_count; i++)
        printf("  %-9s %-31s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
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
    const char *names[sizeof(commands) / sizeof(commands[0])];
    for (size_t i = 0; i < command_count; i++) names[i] = commands[i].name;
    return cli_unknown(NULL, word, names, command_count);
}
