/* tool_fill.c - fills a directory of a store through the library, which is faster than through a mount.
 *
 * tool_fill STORE PARTITION COUNT: COUNT keys in the partition of that name below the root, made if absent. A key is 16
 * hexadecimal digits, put in random order; its value is the key and a newline. Exit status 0, 1 or 2.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitcask.h"

#define BATCH 1000u
#define KEY_SIZE 16u

static void must(bitcask_status status, const char *what)
{
    if (status == BITCASK_OK) return;
    fprintf(stderr, "tool_fill: %s: %s: %s\n", what, bitcask_status_text(status), bitcask_error_detail());
    exit(1);
}

/* Another number for each number, with nothing of its order. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void fill(bitcask_partition *partition, uint64_t count)
{
    static char values[BATCH][KEY_SIZE + 2]; /* borrowed by the batch */
    bitcask_batch *batch = NULL;
    must(bitcask_batch_open(partition, &batch), "open a batch");
    for (uint64_t i = 0; i < count; i++) {
        char *value = values[i % BATCH];
        snprintf(value, sizeof values[0], "%016" PRIx64 "\n", mix(i + 1));
        must(bitcask_batch_put(batch, value, KEY_SIZE, value, KEY_SIZE + 1, NULL), "put");
        if (i % BATCH == BATCH - 1 || i == count - 1) must(bitcask_batch_commit(batch, 0, 0, NULL), "commit");
    }
    bitcask_batch_close(&batch);
}

int main(int argc, char **argv)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_partition *root = NULL, *partition = NULL;
    if (argc != 4) return fprintf(stderr, "usage: tool_fill STORE PARTITION COUNT\n"), 2;
    bitcask_options_init(&options);
    options.create = true;
    must(bitcask_open(argv[1], &options, &db), argv[1]);
    must(bitcask_partition_open(db, "", &root), "open the root");
    bitcask_status status = bitcask_partition_create(root, argv[2], strlen(argv[2]), NULL, 0, &partition);
    if (status == BITCASK_EXISTS) status = bitcask_partition_open(db, argv[2], &partition);
    must(status, argv[2]);
    fill(partition, strtoull(argv[3], NULL, 10));
    bitcask_partition_close(&partition);
    bitcask_partition_close(&root);
    must(bitcask_close(&db), "close");
    return 0;
}
