/* range_query.c - lists a range of keys in order, page by page.
 *
 *     range_query STORE PARTITION FROM TO [PAGE]       keys from FROM up to TO, both included; "" is no bound
 *     range_query -r STORE PARTITION FROM TO [PAGE]    the same from the last to the first
 *
 * Each page (of 10 entries, unless PAGE says otherwise) is a query of its own that goes on behind the last key seen. So
 * nothing has to be kept open between two pages, and a key that is deleted meanwhile, the last one seen too, does no
 * harm: that is how a web service would hand out pages.
 */
#include <bitcask.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *what, bitcask_status status)
{
    const char *detail = bitcask_error_detail();

    fprintf(stderr, "range_query: %s: %s\n", what, detail[0] != '\0' ? detail : bitcask_status_text(status));
    return 1;
}

/* Prints one page. last (of at least BITCASK_NAME_MAX bytes) gets the last key, *last_size its size. */
static bitcask_status print_page(bitcask_partition *partition, const bitcask_query_options *options, char *last,
                                 size_t *last_size, uint64_t *count)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bitcask_status status = bitcask_query_open(partition, options, &query);

    if (status != BITCASK_OK) return status;
    for (*count = 0; (status = bitcask_query_next(query, &entry)) == BITCASK_OK; ++*count) {
        /* The key is the query's until its next step. */
        *last_size = entry.key_size;
        memcpy(last, entry.key, entry.key_size);
        printf("%.*s\t%llu bytes\n", (int)entry.key_size, (const char *)entry.key,
               (unsigned long long)entry.value_size);
    }
    bitcask_query_close(&query);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status; /* the end */
}

static int print_range(bitcask_partition *partition, bitcask_query_options *options)
{
    char last[BITCASK_NAME_MAX];
    size_t last_size = 0;
    uint64_t count = 0;

    for (unsigned page = 1;; page++) {
        bitcask_status status = print_page(partition, options, last, &last_size, &count);

        if (status != BITCASK_OK) return complain("query", status);
        if (count == 0) return 0;
        printf("-- page %u\n", page);
        if (count < options->limit) return 0;
        options->after = last;
        options->after_size = last_size;
    }
}

int main(int argc, char **argv)
{
    bitcask *db = NULL;
    bitcask_partition *partition = NULL;
    bitcask_options options;
    bitcask_query_options query = {.keys = true, .limit = 10};
    int result;

    if (argc > 1 && strcmp(argv[1], "-r") == 0) {
        query.reverse = true;
        argv++, argc--;
    }
    if (argc != 5 && argc != 6) return fprintf(stderr, "usage: range_query [-r] STORE PARTITION FROM TO [PAGE]\n"), 2;
    query.from = argv[3][0] != '\0' ? argv[3] : NULL;
    query.from_size = strlen(argv[3]);
    query.to = argv[4][0] != '\0' ? argv[4] : NULL;
    query.to_size = strlen(argv[4]);
    if (argc == 6) query.limit = strtoull(argv[5], NULL, 10);
    if (query.limit == 0) return fprintf(stderr, "range_query: PAGE must be a number above 0\n"), 2;

    bitcask_options_init(&options);
    options.read_only = true; /* works beside a program that writes, and beside a mount */
    bitcask_status status = bitcask_open(argv[1], &options, &db);
    if (status != BITCASK_OK) return complain(argv[1], status);
    status = bitcask_partition_open(db, argv[2], &partition);
    result = status == BITCASK_OK ? print_range(partition, &query) : complain(argv[2], status);
    bitcask_partition_close(&partition);
    status = bitcask_close(&db);
    return status == BITCASK_OK ? result : complain("close", status);
}
