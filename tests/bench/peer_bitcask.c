/* peer_bitcask.c - this library, for store_peers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitcask.h"
#include "peer.h"

struct handle {
    bitcask *db;
    bitcask_partition *root;
    bitcask_batch *batch;
    bitcask_write_options options;
};

static void must(bitcask_status status, const char *what)
{
    if (status == BITCASK_OK) return;
    fprintf(stderr, "bitcask: %s: %s: %s\n", what, bitcask_status_text(status), bitcask_error_detail());
    exit(1);
}

static void *open_store(const char *directory, uint64_t keys, bool durable)
{
    struct handle *handle = calloc(1, sizeof *handle);
    bitcask_options options;
    (void)keys;
    if (!handle) exit(1);
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    handle->options.flags = durable ? BITCASK_DURABLE : 0;
    must(bitcask_open(directory, &options, &handle->db), "open");
    must(bitcask_partition_open(handle->db, "", &handle->root), "open the root");
    must(bitcask_batch_open(handle->root, &handle->batch), "open a batch");
    return handle;
}

static void close_store(void *opened)
{
    struct handle *handle = opened;
    bitcask_batch_close(&handle->batch);
    bitcask_partition_close(&handle->root);
    must(bitcask_close(&handle->db), "close");
    free(handle);
}

static void put(void *opened, const char *key, const char *value)
{
    struct handle *handle = opened;
    must(bitcask_put(handle->root, key, PEER_KEY_SIZE, value, PEER_VALUE_SIZE, &handle->options, NULL), "put");
}

static void put_batch(void *opened, const char (*keys)[PEER_KEY_SIZE], const char (*values)[PEER_VALUE_SIZE],
                      size_t count)
{
    struct handle *handle = opened;
    for (size_t i = 0; i < count; i++)
        must(bitcask_batch_put(handle->batch, keys[i], PEER_KEY_SIZE, values[i], PEER_VALUE_SIZE, NULL), "batch");
    must(bitcask_batch_commit(handle->batch, 0, 0, NULL), "commit");
}

static bool get(void *opened, const char *key, char *value, size_t *size)
{
    struct handle *handle = opened;
    bitcask_value *pinned = NULL;
    bitcask_status status = bitcask_get(handle->root, key, PEER_KEY_SIZE, &pinned);
    if (status == BITCASK_NOT_FOUND) return false;
    must(status, "get");
    *size = (size_t)bitcask_value_size(pinned);
    memcpy(value, bitcask_value_data(pinned), *size < PEER_VALUE_SIZE ? *size : PEER_VALUE_SIZE);
    bitcask_value_unpin(&pinned);
    return true;
}

const struct peer peer_bitcask = {
    .name = "bitcask",
    .settings = "default options, BITCASK_SYNC_OS; durable: BITCASK_DURABLE",
    .open = open_store,
    .close = close_store,
    .put = put,
    .put_batch = put_batch,
    .get = get,
};
