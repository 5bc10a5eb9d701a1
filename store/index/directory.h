/* directory.h - which shard a key belongs to: the shards by their lowest keys.
 *
 * A directory is made anew when a shard is added or goes, and published by whoever holds it; a shard that is replaced
 * by one with the same range is exchanged in place. What an old directory leads to is what was there when it was
 * replaced.
 *
 * Threads: find and at from any, within a read section; the rest is the writer's.
 */
#ifndef BC_DIRECTORY_H
#define BC_DIRECTORY_H

#include "index/shard.h"

struct bc_directory {
    struct bc_retired retired; /* must be first */
    uint32_t count;
    uint32_t skip;       /* bytes that all lowest keys have in common, but for the first shard, which has none */
    uint8_t common[255]; /* these bytes */
    _Atomic(struct bc_shard *) *shards;
    uint64_t fronts[]; /* 8 bytes behind them of each lowest key, as a number; then come the shards */
};

/* A directory of these shards, in order; the first has no lowest key. Not owned. NULL: out of memory. */
struct bc_directory *bc_directory_open(struct bc_shard *const *shards, uint32_t count);

/* The same with shards from `at` to at + gone exchanged for `count` others. */
struct bc_directory *bc_directory_exchange(const struct bc_directory *directory, uint32_t at, uint32_t gone,
                                           struct bc_shard *const *shards, uint32_t count);

/* Frees it, not the shards; the other one once no reader can look at it any more. */
void bc_directory_close(struct bc_directory *directory);
void bc_directory_retire(struct bc_directory *directory);

/* The number of the shard that a key belongs to. */
uint32_t bc_directory_find(const struct bc_directory *directory, const void *key, size_t key_size);

static inline struct bc_shard *bc_directory_at(const struct bc_directory *directory, uint32_t number)
{
    return atomic_load_explicit(&directory->shards[number], memory_order_acquire);
}

static inline void bc_directory_set(struct bc_directory *directory, uint32_t number, struct bc_shard *shard)
{
    atomic_store_explicit(&directory->shards[number], shard, memory_order_release);
}

size_t bc_directory_memory(const struct bc_directory *directory); /* bytes allocated, without the shards */

#endif
