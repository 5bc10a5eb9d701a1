/* key_arena.h - the bytes of all keys of an index, one behind the other.
 *
 * A key is its size, one byte, and its bytes, padded to an even size; a reference is its place in units of 2 bytes,
 * so 32 bits reach 8 GiB. Removed keys leave gaps. When these outweigh the keys, a compaction slides the keys
 * down, a few with every removal, so that none of them takes long, and gives the memory behind them back.
 *
 * Threads: bc_key_arena_get changes nothing; the rest needs a writer alone.
 */
#ifndef BC_KEY_ARENA_H
#define BC_KEY_ARENA_H

#include "index/chunk_array.h"

struct bc_key_chunk {
    uint8_t *data;
    uint32_t size; /* bytes allocated */
    uint32_t used; /* bytes with keys and gaps */
};

/* A place between keys, for the compaction. */
struct bc_key_place {
    uint32_t chunk;
    uint32_t offset;
};

struct bc_key_arena {
    struct bc_key_chunk *chunks;
    uint32_t chunk_count;
    uint32_t chunk_room;
    uint32_t current;  /* the chunk that takes the next key; those behind it are empty */
    uint64_t live;     /* bytes of keys as stored */
    uint64_t dead;     /* bytes of gaps left by removed keys, that no compaction has passed yet */
    uint64_t key_size; /* bytes of live keys themselves */
    bool compacting;
    struct bc_key_place from; /* compaction: the next key to look at */
    struct bc_key_place to;   /* compaction: where the next live one goes; nothing counts between to and from */
};

/* All zero is an empty arena. */
void bc_key_arena_release(struct bc_key_arena *arena);

/* Makes room for `count` keys of `key_bytes` bytes together. NO_MEMORY: nothing that counts has changed. */
bc_status bc_key_arena_reserve(struct bc_key_arena *arena, size_t count, size_t key_bytes);

/* Stores a key, 1 to 255 bytes, for which room was reserved; its reference. */
uint32_t bc_key_arena_add(struct bc_key_arena *arena, const void *key, size_t key_size);

/* The key and its size. Valid until the next add, remove, compact or reserve. */
static inline const uint8_t *bc_key_arena_get(const struct bc_key_arena *arena, uint32_t ref, size_t *key_size)
{
    const uint8_t *stored = arena->chunks[ref >> 15].data + (size_t)(ref & 0x7fff) * 2;

    *key_size = stored[0];
    return stored + 1;
}

void bc_key_arena_remove(struct bc_key_arena *arena, uint32_t ref);

/* Goes on with a compaction, or begins one where gaps outweigh keys, past up to `effort` bytes. For each key that
 * moves it calls moved(), after the move; the old reference is no longer readable. Needs no memory. */
void bc_key_arena_compact(struct bc_key_arena *arena, size_t effort,
                          void (*moved)(void *context, const void *key, size_t key_size, uint32_t old_ref,
                                        uint32_t new_ref),
                          void *context);

/* Gives memory back that holds nothing and that a reserve of count and key_bytes would not ask for; keeps some spare.
 */
void bc_key_arena_trim(struct bc_key_arena *arena, size_t count, size_t key_bytes);

size_t bc_key_arena_memory(const struct bc_key_arena *arena); /* bytes allocated */

#endif
