/* key_arena.c - see key_arena.h.
 *
 * A key does not span chunks. A gap is a size byte of 0 with the size that stood there behind it. Invariants: only
 * the first chunk may be smaller than CHUNK_SIZE, and only while it is the only one; keys stand in chunks 0 to
 * current, in each up to `used`.
 */
#include "index/key_arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_SIZE = 64 * 1024, /* 1 << 15 units, as bc_key_arena_get has it */
    FIRST_SIZE = 256,
    STORED_MAX = 256,                    /* bytes of the longest key as stored */
    CHUNKS_MAX = 1 << 17,                /* what 32-bit references reach */
    COMPACT_MIN = 4096,                  /* gaps of fewer bytes are left alone */
    FILLED_MIN = CHUNK_SIZE - STORED_MAX /* bytes that a chunk holds at least when the next key goes elsewhere */
};

/* Bytes that a key takes. */
static uint32_t stored_size(size_t key_size)
{
    return ((uint32_t)key_size + 2) & ~1u;
}

static uint32_t ref_of(uint32_t chunk, uint32_t offset)
{
    return (chunk << 15) | (offset >> 1);
}

void bc_key_arena_release(struct bc_key_arena *arena)
{
    for (uint32_t i = 0; i < arena->chunk_count; i++) free(arena->chunks[i].data);
    free(arena->chunks);
    *arena = (struct bc_key_arena){0};
}

/* Makes the first chunk hold at least `wanted` bytes, at most CHUNK_SIZE. */
static bc_status grow_first(struct bc_key_arena *arena, size_t wanted)
{
    uint32_t size = arena->chunk_count > 0 ? arena->chunks[0].size : FIRST_SIZE;
    uint8_t *data;

    if (arena->chunks == NULL) {
        arena->chunks = bc_index_realloc(NULL, sizeof(*arena->chunks));
        if (arena->chunks == NULL) return BITCASK_NO_MEMORY;
        arena->chunk_room = 1;
    }
    while (size < wanted && size < CHUNK_SIZE) size *= 2;
    data = bc_index_realloc(arena->chunk_count > 0 ? arena->chunks[0].data : NULL, size);
    if (data == NULL) return BITCASK_NO_MEMORY;
    if (arena->chunk_count == 0) arena->chunks[0].used = 0;
    arena->chunks[0].data = data;
    arena->chunks[0].size = size;
    arena->chunk_count = 1;
    return BITCASK_OK;
}

static bc_status add_chunk(struct bc_key_arena *arena)
{
    uint8_t *data;

    if (arena->chunk_count == CHUNKS_MAX)
        return bc_fail(BITCASK_NO_MEMORY, "a partition holds at most 8 GiB of names; spread them over several");
    if (arena->chunk_count == arena->chunk_room) {
        uint32_t room = arena->chunk_room * 2;
        struct bc_key_chunk *chunks = bc_index_realloc(arena->chunks, room * sizeof(*chunks));
        if (chunks == NULL) return BITCASK_NO_MEMORY;
        arena->chunks = chunks;
        arena->chunk_room = room;
    }
    data = bc_index_realloc(NULL, CHUNK_SIZE);
    if (data == NULL) return BITCASK_NO_MEMORY;
    arena->chunks[arena->chunk_count++] = (struct bc_key_chunk){.data = data, .size = CHUNK_SIZE};
    return BITCASK_OK;
}

/* The most bytes that count keys can take as stored: exact for one key. */
static size_t need_of(size_t count, size_t key_bytes)
{
    return count == 1 ? stored_size(key_bytes) : key_bytes + 2 * count;
}

/* Chunks needed in all to hold `need` more bytes, once the first is whole. */
static size_t chunks_for(const struct bc_key_arena *arena, size_t need)
{
    size_t unused = CHUNK_SIZE - (arena->chunk_count > 0 ? arena->chunks[arena->current].used : 0);

    if (need <= unused) return (size_t)arena->current + 1;
    /* The keys need not fill a chunk to its end. */
    need -= unused > STORED_MAX ? unused - STORED_MAX : 0;
    return (size_t)arena->current + 1 + (need + FILLED_MIN - 1) / FILLED_MIN;
}

bc_status bc_key_arena_reserve(struct bc_key_arena *arena, size_t count, size_t key_bytes)
{
    size_t need;
    bc_status status = BITCASK_OK;

    if (count == 0) return BITCASK_OK;
    if (count > UINT32_MAX || key_bytes > SIZE_MAX / 4) return BITCASK_NO_MEMORY;
    need = need_of(count, key_bytes);
    if (arena->chunk_count == 0) {
        status = grow_first(arena, need);
    } else if (arena->chunks[0].size < CHUNK_SIZE && arena->chunks[0].used + need > arena->chunks[0].size) {
        status = grow_first(arena, arena->chunks[0].used + need);
    }
    if (status != BITCASK_OK || arena->chunks[0].size < CHUNK_SIZE) return status;
    for (size_t wanted = chunks_for(arena, need); status == BITCASK_OK && arena->chunk_count < wanted;)
        status = add_chunk(arena);
    return status;
}

uint32_t bc_key_arena_add(struct bc_key_arena *arena, const void *key, size_t key_size)
{
    uint32_t size = stored_size(key_size), offset;
    struct bc_key_chunk *chunk = &arena->chunks[arena->current];

    assert(key_size >= 1 && key_size <= BITCASK_NAME_MAX);
    if (chunk->used + size > chunk->size) {
        arena->current++;
        assert(arena->current < arena->chunk_count);
        chunk++;
    }
    offset = chunk->used;
    chunk->data[offset] = (uint8_t)key_size;
    memcpy(chunk->data + offset + 1, key, key_size);
    chunk->used += size;
    arena->live += size;
    arena->key_size += key_size;
    return ref_of(arena->current, offset);
}

void bc_key_arena_remove(struct bc_key_arena *arena, uint32_t ref)
{
    uint8_t *stored = arena->chunks[ref >> 15].data + (size_t)(ref & 0x7fff) * 2;

    struct bc_key_chunk *current = &arena->chunks[arena->current];
    uint32_t size = stored_size(stored[0]);

    assert(stored[0] != 0);
    arena->live -= size;
    arena->key_size -= stored[0];
    /* The key added last leaves no gap. A compaction may already have passed the end: then it does. */
    if (!arena->compacting && stored + size == current->data + current->used) {
        current->used -= size;
        return;
    }
    arena->dead += size;
    stored[1] = stored[0];
    stored[0] = 0;
}

/* Moves the key at `from` to `to`; where it then stands. `to` is never ahead of `from`: it packs a part of the same
 * keys, in the same order, into chunks of the same size. */
static struct bc_key_place slide_down(struct bc_key_arena *arena, uint32_t size)
{
    struct bc_key_place at = arena->to;

    if (at.offset + size > CHUNK_SIZE) {
        arena->chunks[at.chunk].used = at.offset;
        at = (struct bc_key_place){.chunk = at.chunk + 1};
    }
    memmove(arena->chunks[at.chunk].data + at.offset, arena->chunks[arena->from.chunk].data + arena->from.offset, size);
    arena->to = (struct bc_key_place){.chunk = at.chunk, .offset = at.offset + size};
    return at;
}

void bc_key_arena_compact(struct bc_key_arena *arena, size_t effort,
                          void (*moved)(void *context, const void *key, size_t key_size, uint32_t old_ref,
                                        uint32_t new_ref),
                          void *context)
{
    if (!arena->compacting) {
        if (arena->dead < COMPACT_MIN || arena->dead <= arena->live) return;
        arena->compacting = true;
        arena->from = arena->to = (struct bc_key_place){0};
    }
    while (effort > 0) {
        struct bc_key_place from = arena->from, at;
        const uint8_t *stored;
        uint32_t size;

        if (from.offset == arena->chunks[from.chunk].used) {
            if (from.chunk == arena->current) {
                arena->current = arena->to.chunk;
                arena->chunks[arena->current].used = arena->to.offset;
                for (uint32_t i = arena->current + 1; i < arena->chunk_count; i++) arena->chunks[i].used = 0;
                arena->compacting = false;
                return;
            }
            arena->from = (struct bc_key_place){.chunk = from.chunk + 1};
            continue;
        }
        stored = arena->chunks[from.chunk].data + from.offset;
        size = stored_size(stored[0] != 0 ? stored[0] : stored[1]);
        if (stored[0] == 0) {
            arena->dead -= size;
        } else {
            at = slide_down(arena, size);
            stored = arena->chunks[at.chunk].data + at.offset;
            if (at.chunk != from.chunk || at.offset != from.offset)
                moved(context, stored + 1, stored[0], ref_of(from.chunk, from.offset), ref_of(at.chunk, at.offset));
        }
        arena->from.offset += size;
        effort -= size < effort ? size : effort;
    }
}

/* Makes the first chunk smaller where `wanted` bytes take less than a quarter of it. */
static void shrink_first(struct bc_key_arena *arena, size_t wanted)
{
    uint32_t size = arena->chunks[0].size;
    uint8_t *data;

    while (size > FIRST_SIZE && wanted < size / 4) size /= 2;
    if (size == arena->chunks[0].size) return;
    data = bc_index_realloc(arena->chunks[0].data, size);
    if (data == NULL) return;
    arena->chunks[0].data = data;
    arena->chunks[0].size = size;
}

void bc_key_arena_trim(struct bc_key_arena *arena, size_t count, size_t key_bytes)
{
    size_t need = count > 0 ? need_of(count, key_bytes) : 0;

    if (arena->live == 0 && count == 0) {
        bc_key_arena_release(arena);
        return;
    }
    if (arena->live == 0) {
        /* Nothing but gaps, and room for what is promised. */
        for (uint32_t i = 0; i < arena->chunk_count; i++) arena->chunks[i].used = 0;
        arena->current = 0;
        arena->dead = 0;
        arena->compacting = false;
    }
    if (arena->chunk_count == 0) return;
    if (arena->chunk_count > 1) {
        size_t keep = chunks_for(arena, need) + (arena->live > 0);
        while (arena->chunk_count > keep) free(arena->chunks[--arena->chunk_count].data);
    }
    if (arena->chunk_count == 1) shrink_first(arena, arena->chunks[0].used + need);
}

size_t bc_key_arena_memory(const struct bc_key_arena *arena)
{
    size_t total = arena->chunk_room * sizeof(*arena->chunks);

    if (arena->chunk_count > 0) total += arena->chunks[0].size + (size_t)(arena->chunk_count - 1) * CHUNK_SIZE;
    return total;
}
