/* tool_database.c - fills a database of another make, and checks it after a crash of the filesystem below.
 *
 * tool_database write PATH ROUND: puts keys "ROUND-0", "ROUND-1", ... until something fails, and prints a number once
 * all keys up to it are durable. tool_database check PATH ROUND LAST: all keys up to LAST of that round, and none with
 * another value, must be there.
 *
 * mount_apps.sh compiles it with -DWITH_LEVELDB, -DWITH_ROCKSDB or -DWITH_LMDB, where their headers are installed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void need(const char *error)
{
    if (error == NULL) return;
    fprintf(stderr, "%s\n", error);
    exit(1);
}

#ifdef WITH_LMDB
#include <lmdb.h>

static MDB_env *env;
static MDB_dbi dbi;

static void need_ok(int result)
{
    need(result == 0 ? NULL : mdb_strerror(result));
}

static void open_database(const char *path)
{
    MDB_txn *txn = NULL;
    (void)mkdir(path, 0755);
    need_ok(mdb_env_create(&env));
    need_ok(mdb_env_set_mapsize(env, 100 << 20));
    need_ok(mdb_env_open(env, path, 0, 0644));
    need_ok(mdb_txn_begin(env, NULL, 0, &txn));
    need_ok(mdb_dbi_open(txn, NULL, 0, &dbi));
    need_ok(mdb_txn_commit(txn));
}

/* A transaction each, so `sync` is always done. */
static void put(const char *key, const char *value, size_t size, bool sync)
{
    MDB_txn *txn = NULL;
    MDB_val k = {strlen(key), (void *)key}, v = {size, (void *)value};
    (void)sync;
    need_ok(mdb_txn_begin(env, NULL, 0, &txn));
    need_ok(mdb_put(txn, dbi, &k, &v, 0));
    need_ok(mdb_txn_commit(txn));
}

static bool get(const char *key, char *value, size_t *size)
{
    MDB_txn *txn = NULL;
    MDB_val k = {strlen(key), (void *)key}, v;
    need_ok(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    int result = mdb_get(txn, dbi, &k, &v);
    if (result != MDB_NOTFOUND) need_ok(result);
    *size = result == 0 ? v.mv_size : 0;
    if (result == 0) memcpy(value, v.mv_data, v.mv_size);
    mdb_txn_abort(txn);
    return result == 0;
}

static void close_database(void)
{
    mdb_env_close(env);
}
#else
#ifdef WITH_ROCKSDB
#include <rocksdb/c.h>
#define API(name) rocksdb_##name
#else
#include <leveldb/c.h>
#define API(name) leveldb_##name
#endif

static API(t) * db;

static void open_database(const char *path)
{
    char *error = NULL;
    API(options_t) *options = API(options_create)();
    API(options_set_create_if_missing)(options, 1);
    API(options_set_paranoid_checks)(options, 1);
    API(options_set_write_buffer_size)(options, 200000);
    db = API(open)(options, path, &error);
    need(error);
}

static void put(const char *key, const char *value, size_t size, bool sync)
{
    char *error = NULL;
    API(writeoptions_t) *options = API(writeoptions_create)();
    API(writeoptions_set_sync)(options, sync);
    API(put)(db, options, key, strlen(key), value, size, &error);
    need(error);
    API(writeoptions_destroy)(options);
}

static bool get(const char *key, char *value, size_t *size)
{
    char *error = NULL;
    API(readoptions_t) *options = API(readoptions_create)();
    API(readoptions_set_verify_checksums)(options, 1);
    char *got = API(get)(db, options, key, strlen(key), size, &error);
    need(error);
    if (got != NULL) memcpy(value, got, *size);
    API(free)(got);
    API(readoptions_destroy)(options);
    return got != NULL;
}

static void close_database(void)
{
    API(close)(db);
}
#endif

/* The value of a key, of 0 to 1,999 bytes. */
static size_t make_value(char *value, long round, long number)
{
    size_t size = (size_t)(number * 31 + round) % 2000;
    for (size_t i = 0; i < size; i++) value[i] = (char)('a' + ((size_t)(number + round) + i / 7) % 26);
    return size;
}

int main(int argc, char **argv)
{
    static char value[4096], wanted[4096];
    char key[64];
    if (argc < 4) need("usage: tool_database write|check PATH ROUND [LAST]");
    long round = atol(argv[3]), last = argc > 4 ? atol(argv[4]) : 0;
    open_database(argv[2]);
    for (long i = 0; argc == 4; i++) {
        snprintf(key, sizeof key, "%ld-%ld", round, i);
        put(key, value, make_value(value, round, i), i % 20 == 19);
        if (i % 20 == 19) printf("%ld\n", i);
        fflush(stdout);
    }
    for (long i = 0; i < last + 100; i++) {
        size_t size = 0, wanted_size = make_value(wanted, round, i);
        snprintf(key, sizeof key, "%ld-%ld", round, i);
        bool there = get(key, value, &size);
        if (!there && i > last) continue;
        if (!there || size != wanted_size || memcmp(value, wanted, size) != 0) {
            fprintf(stderr, "key %s: %s\n", key, there ? "another value" : "lost");
            return 1;
        }
    }
    close_database();
    return 0;
}
