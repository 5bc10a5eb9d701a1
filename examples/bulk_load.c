/* bulk_load.c - loads many keys as fast as they come: in batches, with one sync at the end.
 *
 *     bulk_load STORE PARTITION <lines       each line a key, a tab, a value; without a tab an empty value
 *
 * A batch is appended with one write, and is there after a crash as a whole or not at all. The policy BITCASK_SYNC_OS
 * leaves the disk to the operating system; bitcask_sync() then makes all of it durable at once. Keys in ascending order
 * load fastest, since they need not be sorted later.
 */
#include <bitcask.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { BATCH_LINES = 1000, BATCH_BYTES = 8 << 20 };

struct load {
    bitcask_partition *partition;
    bitcask_batch *batch;
    char *lines[BATCH_LINES]; /* a batch borrows its values until it is committed: so the lines stay until then */
    size_t count;
    size_t bytes;
    unsigned long long total;
};

static int complain(const char *what, bitcask_status status)
{
    const char *detail = bitcask_error_detail();

    fprintf(stderr, "bulk_load: %s: %s\n", what, detail[0] != '\0' ? detail : bitcask_status_text(status));
    return 1;
}

static bitcask_status commit(struct load *load)
{
    bitcask_status status = bitcask_batch_commit(load->batch, 0, 0, NULL);

    if (status != BITCASK_OK) return status;
    for (size_t i = 0; i < load->count; i++) free(load->lines[i]);
    load->total += load->count;
    load->count = 0;
    load->bytes = 0;
    return BITCASK_OK;
}

/* Adds one line, which becomes the load's own. */
static bitcask_status add(struct load *load, char *line, size_t size)
{
    char *tab = memchr(line, '\t', size);
    size_t key_size = tab != NULL ? (size_t)(tab - line) : size;
    const char *value = tab != NULL ? tab + 1 : "";

    load->lines[load->count++] = line;
    load->bytes += size;
    bitcask_status status =
        bitcask_batch_put(load->batch, line, key_size, value, tab != NULL ? size - key_size - 1 : 0, NULL);
    if (status != BITCASK_OK) return status;
    return load->count == BATCH_LINES || load->bytes >= BATCH_BYTES ? commit(load) : BITCASK_OK;
}

static int load_lines(struct load *load)
{
    bitcask_status status = BITCASK_OK;

    while (status == BITCASK_OK) {
        char *line = NULL;
        size_t room = 0;
        ssize_t size = getline(&line, &room, stdin);

        if (size <= 0) {
            free(line);
            break;
        }
        if (line[size - 1] == '\n') size--;
        status = add(load, line, (size_t)size);
        if (status != BITCASK_OK) fprintf(stderr, "bulk_load: line %llu\n", load->total + load->count);
    }
    if (status == BITCASK_OK && ferror(stdin)) return perror("bulk_load: standard input"), 1;
    if (status == BITCASK_OK && load->count > 0) status = commit(load);
    return status == BITCASK_OK ? 0 : complain("put", status);
}

/* Opens the partition at path, and makes it, below parents that are there, if it is not. */
static bitcask_status open_or_create(bitcask *db, const char *path, bitcask_partition **partition)
{
    bitcask_partition *parent = NULL;
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    bitcask_status status = bitcask_partition_open(db, path, partition);

    if (status != BITCASK_NOT_FOUND) return status;
    char *above = strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    if (above == NULL) return BITCASK_NO_MEMORY;
    status = bitcask_partition_open(db, above, &parent);
    free(above);
    if (status == BITCASK_OK) status = bitcask_partition_create(parent, name, strlen(name), NULL, 0, partition);
    bitcask_partition_close(&parent);
    return status;
}

int main(int argc, char **argv)
{
    static struct load load;
    bitcask *db = NULL;
    bitcask_options options;
    int result;

    if (argc != 3) return fprintf(stderr, "usage: bulk_load STORE PARTITION <lines\n"), 2;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    bitcask_status status = bitcask_open(argv[1], &options, &db);
    if (status != BITCASK_OK) return complain(argv[1], status);

    status = open_or_create(db, argv[2], &load.partition);
    if (status == BITCASK_OK) status = bitcask_batch_open(load.partition, &load.batch);
    result = status == BITCASK_OK ? load_lines(&load) : complain(argv[2], status);
    bitcask_batch_close(&load.batch);
    for (size_t i = 0; i < load.count; i++) free(load.lines[i]);

    status = result == 0 ? bitcask_sync(db) : BITCASK_OK;
    if (status != BITCASK_OK) result = complain("sync", status);
    bitcask_partition_close(&load.partition);
    status = bitcask_close(&db);
    if (status != BITCASK_OK) result = complain("close", status);
    if (result == 0) printf("%llu keys, durable\n", load.total);
    return result;
}
