/* peer_leveldb.c - LevelDB, for store_peers.
 *
 * A cache that holds all the data, a Bloom filter of 10 bits a key, a write buffer of 64 MiB, no compression.
 */
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

struct handle {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write;
    leveldb_writebatch_t *batch;
};

static void must(char *error, const char *what)
{
    if (!error) return;
    fprintf(stderr, "leveldb: %s: %s\n", what, error);
    exit(1);
}

static void *open_store(const char *directory, uint64_t keys, bool durable)
{
    struct handle *handle = calloc(1, sizeof *handle);
    char *error = NULL;
    if (!handle) exit(1);
    handle->options = leveldb_options_create();
    handle->cache = leveldb_cache_create_lru((size_t)(keys * 2 * (PEER_KEY_SIZE + PEER_VALUE_SIZE) + (64u << 20)));
    handle->filter = leveldb_filterpolicy_create_bloom(10);
    leveldb_options_set_create_if_missing(handle->options, 1);
    leveldb_options_set_compression(handle->options, leveldb_no_compression);
    leveldb_options_set_cache(handle->options, handle->cache);
    leveldb_options_set_filter_policy(handle->options, handle->filter);
    leveldb_options_set_write_buffer_size(handle->options, 64u << 20);
    handle->db = leveldb_open(handle->options, directory, &error);
    must(error, "open");
    handle->read = leveldb_readoptions_create();
    handle->write = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(handle->write, durable);
    handle->batch = leveldb_writebatch_create();
    return handle;
}

static void close_store(void *opened)
{
    struct handle *handle = opened;
    leveldb_writebatch_destroy(handle->batch);
    leveldb_writeoptions_destroy(handle->write);
    leveldb_readoptions_destroy(handle->read);
    leveldb_close(handle->db);
    leveldb_options_destroy(handle->options);
    leveldb_filterpolicy_destroy(handle->filter);
    leveldb_cache_destroy(handle->cache);
    free(handle);
}

static void put(void *opened, const char *key, const char *value)
{
    struct handle *handle = opened;
    char *error = NULL;
    leveldb_put(handle->db, handle->write, key, PEER_KEY_SIZE, value, PEER_VALUE_SIZE, &error);
    must(error, "put");
}

static void put_batch(void *opened, const char (*keys)[PEER_KEY_SIZE], const char (*values)[PEER_VALUE_SIZE],
                      size_t count)
{
    struct handle *handle = opened;
    char *error = NULL;
    leveldb_writebatch_clear(handle->batch);
    for (size_t i = 0; i < count; i++)
        leveldb_writebatch_put(handle->batch, keys[i], PEER_KEY_SIZE, values[i], PEER_VALUE_SIZE);
    leveldb_write(handle->db, handle->write, handle->batch, &error);
    must(error, "write");
}

static bool get(void *opened, const char *key, char *value, size_t *size)
{
    struct handle *handle = opened;
    char *error = NULL;
    char *found = leveldb_get(handle->db, handle->read, key, PEER_KEY_SIZE, size, &error);
    must(error, "get");
    if (!found) return false;
    memcpy(value, found, *size < PEER_VALUE_SIZE ? *size : PEER_VALUE_SIZE);
    leveldb_free(found);
    return true;
}

const struct peer peer_leveldb = {
    .name = "LevelDB",
    .settings = "Bloom filter of 10 bits, cache for all the data, write buffer 64 MiB; durable: sync",
    .open = open_store,
    .close = close_store,
    .put = put,
    .put_batch = put_batch,
    .get = get,
};
