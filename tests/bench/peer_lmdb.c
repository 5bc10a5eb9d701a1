/* peer_lmdb.c - LMDB, for store_peers.
 *
 * A map far larger than the data, so that it never has to grow. Plain: written through the map, nothing synced.
 * Durable: its defaults, the only ones that promise it. One read transaction is kept, reset and renewed around each
 * get, so that each sees what was committed before, without allocating a reader's slot.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

struct handle {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reader; /* reset between gets */
};

static void must(int error, const char *what)
{
    if (error == 0) return;
    fprintf(stderr, "lmdb: %s: %s\n", what, mdb_strerror(error));
    exit(1);
}

static void *open_store(const char *directory, uint64_t keys, bool durable)
{
    struct handle *handle = calloc(1, sizeof *handle);
    MDB_txn *txn;
    if (!handle) exit(1);
    must(mdb_env_create(&handle->env), "create");
    must(mdb_env_set_mapsize(handle->env, (size_t)(keys * 1024 + (1u << 30))), "set_mapsize");
    must(mdb_env_open(handle->env, directory, durable ? 0 : MDB_NOSYNC | MDB_WRITEMAP | MDB_NORDAHEAD, 0600), "open");
    must(mdb_txn_begin(handle->env, NULL, 0, &txn), "begin");
    must(mdb_dbi_open(txn, NULL, 0, &handle->dbi), "dbi_open");
    must(mdb_txn_commit(txn), "commit");
    must(mdb_txn_begin(handle->env, NULL, MDB_RDONLY, &handle->reader), "begin to read");
    mdb_txn_reset(handle->reader);
    return handle;
}

static void close_store(void *opened)
{
    struct handle *handle = opened;
    mdb_txn_abort(handle->reader);
    mdb_env_close(handle->env);
    free(handle);
}

static void put_in(struct handle *handle, MDB_txn *txn, const char *key, const char *value)
{
    /* LMDB's values are not const, but it does not write to these. */
    MDB_val k = {PEER_KEY_SIZE, (void *)(uintptr_t)key}, v = {PEER_VALUE_SIZE, (void *)(uintptr_t)value};
    must(mdb_put(txn, handle->dbi, &k, &v, 0), "put");
}

static void put(void *opened, const char *key, const char *value)
{
    struct handle *handle = opened;
    MDB_txn *txn;
    must(mdb_txn_begin(handle->env, NULL, 0, &txn), "begin");
    put_in(handle, txn, key, value);
    must(mdb_txn_commit(txn), "commit");
}

static void put_batch(void *opened, const char (*keys)[PEER_KEY_SIZE], const char (*values)[PEER_VALUE_SIZE],
                      size_t count)
{
    struct handle *handle = opened;
    MDB_txn *txn;
    must(mdb_txn_begin(handle->env, NULL, 0, &txn), "begin");
    for (size_t i = 0; i < count; i++) put_in(handle, txn, keys[i], values[i]);
    must(mdb_txn_commit(txn), "commit");
}

static bool get(void *opened, const char *key, char *value, size_t *size)
{
    struct handle *handle = opened;
    MDB_val k = {PEER_KEY_SIZE, (void *)(uintptr_t)key}, v;
    must(mdb_txn_renew(handle->reader), "renew");
    int error = mdb_get(handle->reader, handle->dbi, &k, &v);
    if (error == 0) {
        *size = v.mv_size;
        memcpy(value, v.mv_data, *size < PEER_VALUE_SIZE ? *size : PEER_VALUE_SIZE);
    } else if (error != MDB_NOTFOUND) {
        must(error, "get");
    }
    mdb_txn_reset(handle->reader);
    return error == 0;
}

const struct peer peer_lmdb = {
    .name = "LMDB",
    .settings = "NOSYNC|WRITEMAP|NORDAHEAD, map of 1 KiB a key + 1 GiB; one put a transaction; durable: its defaults",
    .open = open_store,
    .close = close_store,
    .put = put,
    .put_batch = put_batch,
    .get = get,
};
