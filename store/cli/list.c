/* list.c - the command that lists a partition.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli.h"
#include "output.h"
#include "path.h"

/* How names are printed. */
struct list_form {
    bool in_full; /* with mode, owner, size and time */
    enum cli_escape escape;
    char end; /* of each line */
};

static void print_mode(const bitcask_entry *entry)
{
    uint32_t mode = entry->kind == BITCASK_PARTITION ? S_IFDIR | 0755 : S_IFREG | 0644;
    if (entry->attrs.present & BITCASK_ATTR_MODE) mode = entry->attrs.mode;
    char type = S_ISDIR(mode)    ? 'd'
                : S_ISLNK(mode)  ? 'l'
                : S_ISFIFO(mode) ? 'p'
                : S_ISSOCK(mode) ? 's'
                : S_ISCHR(mode)  ? 'c'
                : S_ISBLK(mode)  ? 'b'
                                 : '-';
    putchar(type);
    for (int shift = 6; shift >= 0; shift -= 3) {
        uint32_t bits = mode >> shift;
        bool special = mode & (shift == 6 ? S_ISUID : shift == 3 ? S_ISGID : S_ISVTX);
        putchar(bits & 4 ? 'r' : '-');
        putchar(bits & 2 ? 'w' : '-');
        putchar(special ? (shift ? (bits & 1 ? 's' : 'S') : (bits & 1 ? 't' : 'T')) : bits & 1 ? 'x' : '-');
    }
}

static void print_id(bool present, uint32_t id)
{
    if (present)
        printf(" %6u", id);
    else
        printf(" %6s", "-");
}

/* Mode, owner, group, bytes, mtime in UTC, name. */
static void print_entry(const bitcask_entry *entry, const struct list_form *form)
{
    if (form->in_full) {
        int64_t ns = entry->attrs.mtime_ns % 1000000000, seconds = entry->attrs.mtime_ns / 1000000000;
        if (ns < 0) {
            ns += 1000000000;
            seconds--;
        }
        time_t clock = (time_t)seconds;
        struct tm tm;
        char when[32] = "?";
        if (gmtime_r(&clock, &tm)) strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
        print_mode(entry);
        print_id(entry->attrs.present & BITCASK_ATTR_UID, entry->attrs.uid);
        print_id(entry->attrs.present & BITCASK_ATTR_GID, entry->attrs.gid);
        printf(" %10llu %s.%09lldZ ", (unsigned long long)entry->value_size, when, (long long)ns);
    }
    cli_print_bytes(stdout, entry->key, entry->key_size, form->escape);
    if (entry->kind == BITCASK_PARTITION) putchar('/');
    putchar(form->end);
}

static bitcask_status list_partition(bitcask_partition *partition, const struct list_form *form)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bitcask_status status = bitcask_query_open(partition, NULL, &query);
    while (status == BITCASK_OK && !ferror(stdout)) {
        status = bitcask_query_next(query, &entry);
        if (status == BITCASK_OK) print_entry(&entry, form);
    }
    bitcask_query_close(&query);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

/* What path names: a partition is listed, a key shows itself. */
static bitcask_status list_path(bitcask *db, const struct cli_path *path, const struct list_form *form)
{
    bitcask_partition *partition = NULL;
    bitcask_status status = bitcask_partition_open(db, path->full, &partition);
    if (status == BITCASK_OK) {
        status = list_partition(partition, form);
    } else if (status == BITCASK_NOT_PARTITION && !path->wants_partition) {
        bitcask_entry entry;
        status = bitcask_partition_open(db, path->parent, &partition);
        if (status == BITCASK_OK) status = bitcask_stat(partition, path->name, path->name_size, &entry);
        if (status == BITCASK_OK) print_entry(&entry, form);
    }
    bitcask_partition_close(&partition);
    return status;
}

int cli_ls(int argc, char **argv)
{
    static const struct option options[] = {{"long", no_argument, NULL, 'l'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"null", no_argument, NULL, '0'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct cli_store store = {0};
    struct cli_path path = {0};
    struct list_form form = {.escape = cli_output_escape(), .end = '\n'};
    bool escaped = false;

    for (int c; (c = getopt_long(argc, argv, "le0h", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("ls");
        case 'l': form.in_full = true; break;
        case 'e':
            escaped = true;
            form.escape = CLI_ESCAPE_QUOTED;
            break;
        case '0': form.end = 0; break;
        default: return CLI_USAGE;
        }
    }
    if (form.end == 0 && !escaped) form.escape = CLI_ESCAPE_NOTHING;
    int status = cli_check_operands("ls", argc, argv, optind, 1, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    status = cli_path_parse(argv[optind], argc > optind + 1 ? argv[optind + 1] : "", &path);
    if (status != CLI_OK) return status;
    status = cli_store_open(&store, argv[optind], CLI_READ);
    if (status == CLI_OK) {
        bitcask_status listed = list_path(store.db, &path, &form);
        if (listed != BITCASK_OK) status = cli_fail(&store, path.full, listed);
        status = cli_finish_output(status);
    }
    status = cli_store_close(&store, status);
    cli_path_release(&path);
    return status;
}
