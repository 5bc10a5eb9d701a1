/* peer.h - what store_peers asks of each store that it compares.
 *
 * One process uses one handle: it is opened after the fork and closed before the exit. All but put() are called by one
 * thread at a time; put() of a handle that was opened durable by several at once. A function that fails prints why and
 * ends the process: a benchmark of a store that fails is none.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PEER_KEY_SIZE 16u
#define PEER_VALUE_SIZE 100u

struct peer {
    const char *name;
    const char *settings; /* a line for the reader of the table */
    /* directory is there, and empty or holds what an earlier handle left. keys: how many are to be expected.
     * durable: a put has reached stable storage when it returns; else nothing is ever synced. */
    void *(*open)(const char *directory, uint64_t keys, bool durable);
    void (*close)(void *handle);
    void (*put)(void *handle, const char *key, const char *value);
    /* Visible together; a peer that has no such call does what comes nearest and says so in its settings. NULL: left
     * out. */
    void (*put_batch)(void *handle, const char (*keys)[PEER_KEY_SIZE], const char (*values)[PEER_VALUE_SIZE],
                      size_t count);
    /* Whether key is there; if so, its value is copied, at most PEER_VALUE_SIZE bytes of it, and *size says how long it
     * is. NULL: left out. */
    bool (*get)(void *handle, const char *key, char *value, size_t *size);
};

extern const struct peer peer_bitcask, peer_bare, peer_lmdb, peer_leveldb, peer_rocksdb, peer_tkrzw, peer_kyotocabinet;

#ifdef __cplusplus
}
#endif

#endif
