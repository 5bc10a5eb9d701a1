/* dump.c - the command that shows what files of a store consist of: records, hints, checkpoints.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "output.h"
#include "path.h"

static const char *const state_names[] = {[BITCASK_DUMP_HEADER] = "header",
                                          [BITCASK_DUMP_GOOD] = "ok",
                                          [BITCASK_DUMP_BAD_VALUE] = "BAD-VALUE",
                                          [BITCASK_DUMP_BAD] = "BAD",
                                          [BITCASK_DUMP_HINT] = "hint",
                                          [BITCASK_DUMP_HINT_ENTRY] = "entry",
                                          [BITCASK_DUMP_CHECKPOINT] = "checkpoint",
                                          [BITCASK_DUMP_SLOT] = "slot",
                                          [BITCASK_DUMP_BLOCK] = "block"};

/* Whether a name stands in it, and what belongs to one. */
static bool has_key(const bitcask_dump_record *record)
{
    return record->state == BITCASK_DUMP_GOOD || record->state == BITCASK_DUMP_BAD_VALUE ||
           record->state == BITCASK_DUMP_HINT_ENTRY;
}

/* ---- as text ---- */

/* The line that says which file it is, and the one above the columns. */
static void print_head(const bitcask_dump_record *record)
{
    switch (record->state) {
    case BITCASK_DUMP_HEADER:
        printf("%s: segment %" PRIu32 " of partition %016" PRIx64 " below %016" PRIx64 ", last known as \"",
               record->file, record->segment_id, record->partition_id, record->parent_id);
        cli_print_bytes(stdout, record->key, record->key_size, CLI_ESCAPE_QUOTED);
        puts("\"");
        break;
    case BITCASK_DUMP_HINT:
        printf("%s: hint of segment %" PRIu32 ", %" PRIu64 " keys, for %" PRIu64
               " bytes of data of generation %016" PRIx64 "\n",
               record->file, record->segment_id, record->keys, record->data_size, record->generation);
        break;
    case BITCASK_DUMP_CHECKPOINT:
        printf("%s: checkpoint of partition %016" PRIx64 ", %" PRIu64 " keys, from segment %" PRIu32 " offset %" PRIu64
               " on to be replayed, durable to segment %" PRIu32 " offset %" PRIu64 "\n",
               record->file, record->partition_id, record->keys, record->tail_segment_id, record->tail_offset,
               record->end_segment_id, record->end_offset);
        break;
    default: return;
    }
    printf("%10s %10s %-9s %19s %6s %10s  %s\n", "offset", "size", "check", "version", "attrs", "value", "flags key");
}

static void print_slot(const bitcask_segment_info *segment)
{
    printf("  segments %" PRIu32 " to %" PRIu32 ", %" PRIu64 " bytes, %" PRIu64 " live in %" PRIu64 " keys, %" PRIu64
           " of tombstones",
           segment->lowest_id, segment->segment_id, segment->bytes, segment->live_bytes, segment->live_keys,
           segment->tombstone_bytes);
}

static bool print_record(void *context, const bitcask_dump_record *record)
{
    const char *check = state_names[record->state];

    (void)context;
    print_head(record);
    printf("%10" PRIu64 " %10" PRIu64 " %s", record->offset, record->segment ? record->segment->bytes : record->size,
           check);
    if (has_key(record)) {
        printf("%*s %19" PRIu64 " %6" PRIu64 " %10" PRIu64 "  %s \"", (int)(9 - strlen(check)), "", record->version,
               record->attrs_size, record->value_size, record->flags);
        cli_print_bytes(stdout, record->key, record->key_size, CLI_ESCAPE_QUOTED);
        putchar('"');
    }
    if (record->segment) print_slot(record->segment);
    putchar('\n');
    return !ferror(stdout);
}

/* ---- as JSON ---- */

static void print_number(const char *name, uint64_t value)
{
    printf(", \"%s\": %" PRIu64, name, value);
}

static void print_id(const char *name, uint64_t id)
{
    printf(", \"%s\": \"%016" PRIx64 "\"", name, id);
}

static void print_slot_json(const bitcask_segment_info *segment)
{
    print_number("lowest_id", segment->lowest_id);
    print_number("live_bytes", segment->live_bytes);
    print_number("live_keys", segment->live_keys);
    print_number("tombstone_bytes", segment->tombstone_bytes);
    print_number("hint_bytes", segment->hint_bytes);
}

/* One object a line. Ids of partitions and generations are strings: they have 64 bits, and numbers of JSON mostly 53.
 */
static bool print_record_json(void *context, const bitcask_dump_record *record)
{
    (void)context;
    printf("{\"type\": \"%s\", ", has_key(record) && record->state != BITCASK_DUMP_HINT_ENTRY ? "record"
                                  : record->state == BITCASK_DUMP_BAD                         ? "damage"
                                                                      : state_names[record->state]);
    cli_print_json_member(stdout, "file", record->file, strlen(record->file));
    print_number("offset", record->offset);
    print_number("size", record->segment ? record->segment->bytes : record->size);
    if (record->state == BITCASK_DUMP_HEADER || record->state == BITCASK_DUMP_HINT || record->segment)
        print_number("segment_id", record->segment_id);
    if (record->state == BITCASK_DUMP_HEADER || record->state == BITCASK_DUMP_CHECKPOINT)
        print_id("partition_id", record->partition_id);
    if (record->state == BITCASK_DUMP_HEADER) {
        print_id("parent_id", record->parent_id);
        fputs(", ", stdout);
        cli_print_json_member(stdout, "path", record->key, record->key_size);
    }
    if (record->state == BITCASK_DUMP_HINT) {
        print_id("generation", record->generation);
        print_number("data_size", record->data_size);
    }
    if (record->state == BITCASK_DUMP_HINT || record->state == BITCASK_DUMP_CHECKPOINT)
        print_number("keys", record->keys);
    if (record->state == BITCASK_DUMP_CHECKPOINT) {
        print_number("tail_segment_id", record->tail_segment_id);
        print_number("tail_offset", record->tail_offset);
        print_number("end_segment_id", record->end_segment_id);
        print_number("end_offset", record->end_offset);
    }
    if (record->segment) print_slot_json(record->segment);
    if (has_key(record)) {
        printf(", \"check\": \"%s\", \"version\": \"%" PRIu64 "\"",
               record->state == BITCASK_DUMP_BAD_VALUE ? "bad-value" : "ok", record->version);
        print_number("attrs_size", record->attrs_size);
        print_number("value_size", record->value_size);
        printf(", \"flags\": \"%s\", ", record->flags);
        cli_print_json_member(stdout, "key", record->key, record->key_size);
    }
    puts("}");
    return !ferror(stdout);
}

/* ---- the command ---- */

enum what { RECORDS, HINTS, CHECKPOINT };

struct dump_arguments {
    enum what what;
    bool (*print)(void *context, const bitcask_dump_record *record);
};

static int dump_partition(struct cli_store *store, const char *text, const struct dump_arguments *arguments)
{
    struct cli_path path = {0};
    bitcask_partition *partition = NULL;
    int status = cli_path_parse(store->path, text, &path);
    if (status != CLI_OK) return status;
    status = cli_store_open(store, store->path, CLI_READ);
    if (status != CLI_OK) goto out;
    bitcask_status dumped = bitcask_partition_open(store->db, path.full, &partition);
    bool found = dumped == BITCASK_OK;
    if (found && arguments->what == RECORDS) dumped = bitcask_dump(partition, arguments->print, NULL);
    if (found && arguments->what == HINTS) dumped = bitcask_dump_hints(partition, arguments->print, NULL);
    if (found && arguments->what == CHECKPOINT) dumped = bitcask_dump_checkpoint(partition, arguments->print, NULL);
    if (found && arguments->what == CHECKPOINT && dumped == BITCASK_NOT_FOUND)
        status = cli_error("%s%s%s: has no checkpoint; one is written when a writer closes a partition that has enough "
                           "in it",
                           store->path, *path.full ? "/" : "", path.full);
    else if (dumped != BITCASK_OK)
        status = cli_fail(store, path.full, dumped);

out:
    bitcask_partition_close(&partition);
    status = cli_store_close(store, status);
    cli_path_release(&path);
    return status;
}

int cli_dump(int argc, char **argv)
{
    enum { OPTION_HINTS = 256, OPTION_CHECKPOINT };
    static const struct option options[] = {{"hints", no_argument, NULL, OPTION_HINTS},
                                            {"checkpoint", no_argument, NULL, OPTION_CHECKPOINT},
                                            {"json", no_argument, NULL, 'j'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct dump_arguments arguments = {.print = print_record};
    bool escaped = false;

    for (int c; (c = getopt_long(argc, argv, "jeh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("dump");
        case OPTION_HINTS: arguments.what = HINTS; break;
        case OPTION_CHECKPOINT: arguments.what = CHECKPOINT; break;
        case 'j': arguments.print = print_record_json; break;
        case 'e': escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    int status = cli_check_operands("dump", argc, argv, optind, 1, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;

    struct cli_store store = {.path = argv[optind]};
    struct stat info;
    if (stat(store.path, &info) == 0 && !S_ISDIR(info.st_mode)) {
        if (argc > optind + 1) return cli_usage("dump", "dump: %s is a file, and has no PATH in it", store.path);
        bitcask_status dumped = bitcask_dump_file(store.path, arguments.print, NULL);
        if (dumped != BITCASK_OK) status = cli_fail(&store, NULL, dumped);
    } else {
        status = dump_partition(&store, argc > optind + 1 ? argv[optind + 1] : "", &arguments);
    }
    return cli_finish_output(status);
}
