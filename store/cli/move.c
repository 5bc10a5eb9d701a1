/* move.c - the commands that give names: mv and link.
 */
#include <getopt.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "path.h"

/* Two names, taken apart. */
struct names {
    struct cli_store store;
    struct cli_path from, to;
    bitcask_partition *from_parent, *to_parent;
    const char *to_name;
    size_t to_name_size;
};

static void release_names(struct names *names)
{
    bitcask_partition_close(&names->from_parent);
    bitcask_partition_close(&names->to_parent);
    cli_path_release(&names->from);
    cli_path_release(&names->to);
}

static int parse_names(char **operands, struct names *names)
{
    int status = cli_path_parse(operands[0], operands[1], &names->from);

    if (status == CLI_OK) status = cli_path_parse(operands[0], operands[2], &names->to);
    if (status == CLI_OK && names->from.name_size == 0)
        status = cli_error("%s: the root partition has no name that could be changed", operands[0]);
    return status;
}

/* Opens both parents. into: where the second path is a partition, the name goes into it, under the name it has. Returns
 * an exit status. */
static int open_names(struct names *names, bool into)
{
    bitcask *db = names->store.db;
    bitcask_status status = bitcask_partition_open(db, names->from.parent, &names->from_parent);

    if (status != BITCASK_OK) return cli_fail(&names->store, names->from.parent, status);
    names->to_name = names->to.name;
    names->to_name_size = names->to.name_size;
    if (into || names->to.name_size == 0) {
        status = bitcask_partition_open(db, names->to.full, &names->to_parent);
        if (status == BITCASK_OK) {
            names->to_name = names->from.name;
            names->to_name_size = names->from.name_size;
            return CLI_OK;
        }
        if (names->to.wants_partition || (status != BITCASK_NOT_FOUND && status != BITCASK_NOT_PARTITION))
            return cli_fail(&names->store, names->to.full, status);
    }
    status = bitcask_partition_open(db, names->to.parent, &names->to_parent);
    return status == BITCASK_OK ? CLI_OK : cli_fail(&names->store, names->to.parent, status);
}

/* ---- mv ---- */

/* What a failure is about: the second name where that is in the way, else the first. */
static const char *culprit(const struct names *names, bitcask_status status)
{
    bool target = status == BITCASK_EXISTS || status == BITCASK_NOT_EMPTY || status == BITCASK_IS_PARTITION ||
                  status == BITCASK_NOT_PARTITION;
    return target ? names->to.full : names->from.full;
}

static int move(struct names *names, unsigned flags, bool into)
{
    int status = open_names(names, into);

    if (status != CLI_OK) return status;
    bitcask_move_item item = {.from = names->from_parent,
                              .from_key = names->from.name,
                              .from_key_size = names->from.name_size,
                              .to = names->to_parent,
                              .to_key = names->to_name,
                              .to_key_size = names->to_name_size,
                              .flags = flags};
    bitcask_status moved = bitcask_move(names->store.db, &item, 1, NULL);
    return moved == BITCASK_OK ? CLI_OK : cli_fail(&names->store, culprit(names, moved), moved);
}

int cli_mv(int argc, char **argv)
{
    static const struct option options[] = {
        {"no-replace", no_argument, NULL, 'n'},          {"exchange", no_argument, NULL, 'x'},
        {"no-target-directory", no_argument, NULL, 'T'}, {"escape", no_argument, NULL, 'e'},
        {"help", no_argument, NULL, CLI_OPTION_HELP},    {NULL, 0, NULL, 0}};
    struct names names = {0};
    unsigned flags = 0;
    bool into = true, escaped = false;

    for (int c; (c = getopt_long(argc, argv, "nxTeh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("mv");
        case 'n': flags |= BITCASK_NOREPLACE; break;
        case 'x':
            flags |= BITCASK_EXCHANGE;
            into = false;
            break;
        case 'T': into = false; break;
        case 'e': escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    if ((flags & BITCASK_NOREPLACE) && (flags & BITCASK_EXCHANGE))
        return cli_usage("mv", "mv: --no-replace and --exchange exclude one another");
    int status = cli_check_operands("mv", argc, argv, optind, 3, 3);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    status = parse_names(argv + optind, &names);
    names.store.remedy = (struct cli_remedy){"mv", names.from.full, names.to.full};
    if (status == CLI_OK) status = cli_store_open(&names.store, argv[optind], CLI_WRITE);
    if (status == CLI_OK) status = move(&names, flags, into);
    release_names(&names);
    if (names.store.path) status = cli_store_close(&names.store, status);
    return status;
}

/* ---- link ---- */

int cli_link(int argc, char **argv)
{
    static const struct option options[] = {
        {"escape", no_argument, NULL, 'e'}, {"help", no_argument, NULL, CLI_OPTION_HELP}, {NULL, 0, NULL, 0}};
    struct names names = {0};
    bool escaped = false;

    for (int c; (c = getopt_long(argc, argv, "eh", options, NULL)) != -1;) {
        if (c != 'e') return c == CLI_OPTION_HELP ? cli_help("link") : CLI_USAGE;
        escaped = true;
    }
    int status = cli_check_operands("link", argc, argv, optind, 3, 3);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    status = parse_names(argv + optind, &names);
    names.store.remedy = (struct cli_remedy){"ln", names.from.full, names.to.full};
    if (status == CLI_OK) status = cli_store_open(&names.store, argv[optind], CLI_WRITE);
    if (status == CLI_OK) status = open_names(&names, true);
    if (status == CLI_OK) {
        bitcask_status linked = bitcask_link(names.from_parent, names.from.name, names.from.name_size, names.to_parent,
                                             names.to_name, names.to_name_size, 0);
        if (linked == BITCASK_IS_PARTITION)
            status = cli_error("%s/%s: is a partition, which has one name only", argv[optind], names.from.full);
        else if (linked != BITCASK_OK)
            status = cli_fail(&names.store, culprit(&names, linked), linked);
    }
    release_names(&names);
    if (names.store.path) status = cli_store_close(&names.store, status);
    return status;
}
