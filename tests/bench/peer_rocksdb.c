/* peer_rocksdb.c - RocksDB, for store_peers.
 *
 * Log on, but not synced unless durable; a cache that holds all the data, a full Bloom filter of 10 bits a key, a write
 * buffer of 64 MiB, two background jobs, no compression. Gets are pinned, so that nothing is copied twice.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

struct handle {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_writebatch_t *batch;
};

static void must(char *error, const char *what)
{
    if (!error) return;
    fprintf(stderr, "rocksdb: %s: %s\n", what, error);
    exit(1);
}

static void *open_store(const char *directory, uint64_t keys, bool durable)
{
    struct handle *handle = calloc(1, sizeof *handle);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    char *error = NULL;
    if (!handle) exit(1);
    rocksdb_cache_t *cache =
        rocksdb_cache_create_lru((size_t)(keys * 2 * (PEER_KEY_SIZE + PEER_VALUE_SIZE) + (64u << 20)));
    handle->options = rocksdb_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(handle->options, table);
    rocksdb_options_set_create_if_missing(handle->options, 1);
    rocksdb_options_set_compression(handle->options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(handle->options, 64u << 20);
    rocksdb_options_increase_parallelism(handle->options, 2);
    handle->db = rocksdb_open(handle->options, directory, &error);
    must(error, "open");
    rocksdb_cache_destroy(cache); /* counted: the options keep theirs */
    rocksdb_block_based_options_destroy(table);
    handle->read = rocksdb_readoptions_create();
    handle->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(handle->write, durable);
    handle->batch = rocksdb_writebatch_create();
    return handle;
}

static void close_store(void *opened)
{
    struct handle *handle = opened;
    rocksdb_writebatch_destroy(handle->batch);
    rocksdb_writeoptions_destroy(handle->write);
    rocksdb_readoptions_destroy(handle->read);
    rocksdb_close(handle->db);
    rocksdb_options_destroy(handle->options);
    free(handle);
}

static void put(void *opened, const char *key, const char *value)
{
    struct handle *handle = opened;
    char *error = NULL;
    rocksdb_put(handle->db, handle->write, key, PEER_KEY_SIZE, value, PEER_VALUE_SIZE, &error);
    must(error, "put");
}

static void put_batch(void *opened, const char (*keys)[PEER_KEY_SIZE], const char (*values)[PEER_VALUE_SIZE],
                      size_t count)
{
    struct handle *handle = opened;
    char *error = NULL;
    rocksdb_writebatch_clear(handle->batch);
    for (size_t i = 0; i < count; i++)
        rocksdb_writebatch_put(handle->batch, keys[i], PEER_KEY_SIZE, values[i], PEER_VALUE_SIZE);
    rocksdb_write(handle->db, handle->write, handle->batch, &error);
    must(error, "write");
}

static bool get(void *opened, const char *key, char *value, size_t *size)
{
    struct handle *handle = opened;
    char *error = NULL;
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned(handle->db, handle->read, key, PEER_KEY_SIZE, &error);
    must(error, "get");
    if (!found) return false;
    const char *bytes = rocksdb_pinnableslice_value(found, size);
    memcpy(value, bytes, *size < PEER_VALUE_SIZE ? *size : PEER_VALUE_SIZE);
    rocksdb_pinnableslice_destroy(found);
    return true;
}

const struct peer peer_rocksdb = {
    .name = "RocksDB",
    .settings = "log not synced, Bloom filter of 10 bits, cache for all the data, write buffer 64 MiB; durable: sync",
    .open = open_store,
    .close = close_store,
    .put = put,
    .put_batch = put_batch,
    .get = get,
};
