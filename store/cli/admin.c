/* admin.c - the command that looks inside: dump.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "output.h"
#include "path.h"

static bool print_record(void *context, const bitcask_dump_record *record)
{
    static const char *const checks[] = {[BITCASK_DUMP_HEADER] = "header",
                                         [BITCASK_DUMP_GOOD] = "ok",
                                         [BITCASK_DUMP_BAD_VALUE] = "BAD-VALUE",
                                         [BITCASK_DUMP_BAD] = "BAD"};
    (void)context;
    if (record->state == BITCASK_DUMP_HEADER) {
        printf("%s: segment %" PRIu32 " of partition %016" PRIx64 " below %016" PRIx64 ", last known as \"",
               record->file, record->segment_id, record->partition_id, record->parent_id);
        cli_print_bytes(stdout, record->key, record->key_size, CLI_ESCAPE_QUOTED);
        printf("\"\n%10s %10s %-9s %19s %6s %10s  %s\n", "offset", "size", "check", "version", "attrs", "value",
               "flags key");
    }
    printf("%10" PRIu64 " %10" PRIu64 " %s", record->offset, record->size, checks[record->state]);
    if (record->state == BITCASK_DUMP_GOOD || record->state == BITCASK_DUMP_BAD_VALUE) {
        printf("%*s %19" PRIu64 " %6" PRIu64 " %10" PRIu64 "  %s \"", (int)(9 - strlen(checks[record->state])), "",
               record->version, record->attrs_size, record->value_size, record->flags);
        cli_print_bytes(stdout, record->key, record->key_size, CLI_ESCAPE_QUOTED);
        putchar('"');
    }
    putchar('\n');
    return !ferror(stdout);
}

static int dump_partition(struct cli_store *store, const char *text)
{
    struct cli_path path = {0};
    bitcask_partition *partition = NULL;
    int status = cli_path_parse(store->path, text, &path);
    if (status != CLI_OK) return status;
    status = cli_store_open(store, store->path, CLI_READ);
    if (status != CLI_OK) goto out;
    bitcask_status dumped = bitcask_partition_open(store->db, path.full, &partition);
    if (dumped == BITCASK_OK) dumped = bitcask_dump(partition, print_record, NULL);
    if (dumped != BITCASK_OK) status = cli_fail(store, path.full, dumped);

out:
    bitcask_partition_close(&partition);
    status = cli_store_close(store, status);
    cli_path_release(&path);
    return status;
}

int cli_dump(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, CLI_OPTION_HELP}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        return c == CLI_OPTION_HELP ? cli_help("dump") : CLI_USAGE;
    int status = cli_check_operands("dump", argc, argv, optind, 1, 2);
    if (status != CLI_OK) return status;

    struct cli_store store = {.path = argv[optind]};
    struct stat info;
    if (stat(store.path, &info) == 0 && !S_ISDIR(info.st_mode)) {
        if (argc > optind + 1) return cli_usage("dump", "dump: %s is a file, and has no PATH in it", store.path);
        bitcask_status dumped = bitcask_dump_file(store.path, print_record, NULL);
        if (dumped != BITCASK_OK) status = cli_fail(&store, NULL, dumped);
    } else {
        status = dump_partition(&store, argc > optind + 1 ? argv[optind + 1] : "");
    }
    return cli_finish_output(status);
}
