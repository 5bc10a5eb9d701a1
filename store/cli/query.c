/* query.c - the command that prints a range of a partition, keys with values.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "item.h"
#include "output.h"
#include "path.h"

struct query {
    bitcask_query_options range;
    bool keys_only, json, null, escaped;
    struct cli_store store;
    struct cli_path path;
    bitcask_partition *partition;
};

enum { OPTION_FROM = 256, OPTION_TO, OPTION_PREFIX, OPTION_AFTER, OPTION_LIMIT };

static int parse_limit(const char *text, uint64_t *limit)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value == 0)
        return cli_usage("query", "query: --limit %s: wants a number, 1 or more", text);
    *limit = value;
    return CLI_OK;
}

static void set_bound(const char *text, const void **bytes, size_t *size)
{
    *bytes = text;
    *size = strlen(text);
}

/* The texts of bounds may still have escapes in them. */
static int finish_bounds(struct query *query, char **texts)
{
    bitcask_query_options *range = &query->range;
    const void **bounds[] = {&range->from, &range->to, &range->prefix, &range->after};
    size_t *sizes[] = {&range->from_size, &range->to_size, &range->prefix_size, &range->after_size};

    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        if (!texts[i]) continue;
        if (query->escaped && cli_unescape(texts[i]) != CLI_OK) return CLI_USAGE;
        set_bound(texts[i], bounds[i], sizes[i]);
    }
    return CLI_OK;
}

/* Reads the command line. *done: it was but a call for help, or wrong; the exit status is returned. */
static int parse_query(int argc, char **argv, struct query *query, bool *done)
{
    static const struct option options[] = {{"from", required_argument, NULL, OPTION_FROM},
                                            {"to", required_argument, NULL, OPTION_TO},
                                            {"prefix", required_argument, NULL, OPTION_PREFIX},
                                            {"after", required_argument, NULL, OPTION_AFTER},
                                            {"limit", required_argument, NULL, OPTION_LIMIT},
                                            {"reverse", no_argument, NULL, 'r'},
                                            {"keys-only", no_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"null", no_argument, NULL, '0'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    char *texts[4] = {NULL, NULL, NULL, NULL};
    int status;

    *done = true;
    for (int c; (c = getopt_long(argc, argv, "rkj0eh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("query");
        case OPTION_FROM:
        case OPTION_TO:
        case OPTION_PREFIX:
        case OPTION_AFTER: texts[c - OPTION_FROM] = optarg; break;
        case OPTION_LIMIT:
            status = parse_limit(optarg, &query->range.limit);
            if (status != CLI_OK) return status;
            break;
        case 'r': query->range.reverse = true; break;
        case 'k': query->keys_only = true; break;
        case 'j': query->json = true; break;
        case '0': query->null = true; break;
        case 'e': query->escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    if (query->null && (!query->keys_only || query->json))
        return cli_usage("query", "query: --null goes with --keys-only alone, since a value may hold a NUL byte");
    status = cli_check_operands("query", argc, argv, optind, 1, 2);
    if (status == CLI_OK && query->escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status == CLI_OK) status = finish_bounds(query, texts);
    if (status != CLI_OK) return status;
    status = cli_path_parse(argv[optind], argc > optind + 1 ? argv[optind + 1] : "", &query->path);
    if (status != CLI_OK) return status;
    query->store.path = argv[optind];
    *done = false;
    return CLI_OK;
}

static bool print_piece(void *context, const void *data, size_t size)
{
    (void)context;
    cli_print_bytes(stdout, data, size, CLI_ESCAPE_QUOTED);
    return !ferror(stdout);
}

/* "name", a tab and the value, both escaped so that a line is a line; of a partition, "name/". */
static bitcask_status print_text(const struct query *query, const bitcask_entry *entry, bitcask_value *value)
{
    bitcask_status status = BITCASK_OK;

    cli_print_bytes(stdout, entry->key, entry->key_size,
                    !query->keys_only || query->escaped ? CLI_ESCAPE_QUOTED
                    : query->null                       ? CLI_ESCAPE_NOTHING
                                                        : cli_output_escape());
    if (entry->kind == BITCASK_PARTITION) putchar('/');
    if (value) {
        putchar('\t');
        status = cli_value_pieces(value, print_piece, NULL);
    }
    putchar(query->null ? 0 : '\n');
    return status;
}

static bitcask_status print_json(const bitcask_entry *entry, bitcask_value *value)
{
    char name[BITCASK_NAME_MAX + 1];
    struct cli_item item = {.path = name, .kind = entry->kind, .attrs = entry->attrs, .value_size = entry->value_size};

    memcpy(name, entry->key, entry->key_size);
    name[entry->key_size] = 0;
    item.attrs.present &= ~(uint32_t)(BITCASK_ATTR_CTIME | BITCASK_ATTR_INO | BITCASK_ATTR_XATTRS);
    if (value) {
        bitcask_status status = bitcask_value_load(value);
        if (status != BITCASK_OK) return status;
        bitcask_entry loaded;
        bitcask_value_entry(value, &loaded);
        item.attrs.present |= loaded.attrs.present & BITCASK_ATTR_XATTRS;
        item.attrs.xattrs = loaded.attrs.xattrs;
        item.attrs.xattrs_size = loaded.attrs.xattrs_size;
    }
    return cli_item_print_json(&item, value, !value && entry->kind == BITCASK_KEY);
}

/* One entry. What went since the query saw it is left out. Returns an exit status. */
static int print_entry(const struct query *query, const bitcask_entry *entry)
{
    bitcask_value *value = NULL;
    bitcask_status status = BITCASK_OK;

    if (entry->kind == BITCASK_KEY && !query->keys_only)
        status = bitcask_pin(query->partition, entry->key, entry->key_size, &value);
    if (status == BITCASK_NOT_FOUND) return CLI_OK;
    if (status == BITCASK_OK) status = query->json ? print_json(entry, value) : print_text(query, entry, value);
    int result = CLI_OK;
    if (status != BITCASK_OK) {
        char *path = NULL;
        if (asprintf(&path, "%s%s%.*s", query->path.full, *query->path.full ? "/" : "", (int)entry->key_size,
                     (const char *)entry->key) < 0)
            path = NULL;
        result = cli_fail(&query->store, path, status);
        free(path);
    }
    bitcask_value_unpin(&value);
    return result;
}

int cli_query(int argc, char **argv)
{
    struct query query = {0};
    bitcask_query *running = NULL;
    bitcask_entry entry;
    bool done;

    int status = parse_query(argc, argv, &query, &done);
    if (done) return status;
    status = cli_store_open(&query.store, query.store.path, CLI_READ);
    if (status != CLI_OK) goto out;
    bitcask_status found = bitcask_partition_open(query.store.db, query.path.full, &query.partition);
    if (found == BITCASK_OK) found = bitcask_query_open(query.partition, &query.range, &running);
    while (found == BITCASK_OK && !ferror(stdout)) {
        found = bitcask_query_next(running, &entry);
        if (found == BITCASK_OK && print_entry(&query, &entry) != CLI_OK) status = CLI_FAILED;
    }
    if (running ? found != BITCASK_NOT_FOUND && found != BITCASK_OK : found != BITCASK_OK)
        status = cli_fail(&query.store, query.path.full, found);
    status = cli_finish_output(status);

out:
    bitcask_query_close(&running);
    bitcask_partition_close(&query.partition);
    status = cli_store_close(&query.store, status);
    cli_path_release(&query.path);
    return status;
}
