/* shard.c - see shard.h.
 *
 * Invariants: used <= room < place_count, so that every probe ends at an empty place; every word that is not empty or
 * dead refers to an entry that was written before the word was stored; a place's key never changes.
 */
#include "index/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "index/image.h"

enum { FIRST_SIZE = 256, ENTRY_FIRST = 1 /* references of 0 mean no entry */ };

_Static_assert(BC_SHARD_ROOM_MAX * 20ull / 17 + 8 < UINT16_MAX, "places are numbered in 16 bits");

uint64_t bc_shard_hash(uint64_t seed, const void *key, size_t key_size)
{
    return XXH3_64bits_withSeed(key, key_size, seed);
}

static uint32_t word_of(uint64_t hash, uint32_t ref)
{
    return ref << 8 | (uint8_t)hash;
}

/* ---- life ---- */

static struct bc_block *block_of(uint8_t *bytes)
{
    return (struct bc_block *)(void *)(bytes - offsetof(struct bc_block, bytes));
}

static uint8_t *chunk_of(const struct bc_shard *shard, uint32_t chunk)
{
    return atomic_load_explicit(&shard->chunks[chunk], memory_order_relaxed);
}

static bool add_chunk(struct bc_shard *shard, uint32_t size)
{
    struct bc_block *block;

    if (shard->chunk_count == BC_CHUNKS_MAX) return false;
    if (shard->chunk_count == shard->chunk_room) return false;
    block = bc_block_alloc(size);
    if (block == NULL) return false;
    atomic_store_explicit(&shard->chunks[shard->chunk_count++], block->bytes, memory_order_release);
    shard->memory += sizeof(*block) + size;
    return true;
}

struct bc_shard *bc_shard_open_bare(const void *low, size_t low_size, uint32_t room, uint32_t chunk_room)
{
    struct bc_shard *shard = bc_index_realloc(NULL, sizeof(*shard) + low_size);

    if (shard == NULL) return NULL;
    memset(shard, 0, sizeof(*shard));
    shard->room = room;
    shard->place_count = (uint32_t)(room * 20ull / 17 + 4);
    shard->chunk_room = chunk_room;
    shard->low_size = (uint8_t)low_size;
    if (low_size > 0) memcpy(shard->low, low, low_size);
    shard->end = ENTRY_FIRST;
    shard->places = bc_index_realloc(NULL, shard->place_count * sizeof(*shard->places));
    shard->order = bc_index_realloc(NULL, room * sizeof(*shard->order));
    shard->chunks = bc_index_realloc(NULL, chunk_room * sizeof(*shard->chunks));
    if (shard->places == NULL || shard->order == NULL || shard->chunks == NULL) {
        bc_shard_close(shard);
        return NULL;
    }
    memset((void *)shard->places, 0, shard->place_count * sizeof(*shard->places));
    shard->memory = sizeof(*shard) + low_size + shard->place_count * sizeof(*shard->places) +
                    room * sizeof(*shard->order) + chunk_room * sizeof(*shard->chunks);
    return shard;
}

struct bc_shard *bc_shard_open(const void *low, size_t low_size, uint32_t room, uint32_t bytes)
{
    uint32_t chunk_room = bytes / BC_CHUNK_SIZE + bytes / (4 * BC_CHUNK_SIZE) + 4;
    struct bc_shard *shard = bc_shard_open_bare(low, low_size, room, chunk_room);
    uint32_t first = FIRST_SIZE;

    if (shard == NULL) return NULL;
    while (first < bytes + ENTRY_FIRST && first < BC_CHUNK_SIZE) first *= 2;
    shard->first_size = first;
    if (add_chunk(shard, first)) return shard;
    bc_shard_close(shard);
    return NULL;
}

static void free_chunks(struct bc_shard *shard)
{
    for (uint32_t i = 0; shard->chunks != NULL && i < shard->chunk_count; i++) {
        const uint8_t *bytes = chunk_of(shard, i), *image = shard->image;
        bool loaded = image != NULL && bytes >= image && bytes < image + shard->image_size;
        if (!loaded) free(block_of(chunk_of(shard, i)));
    }
}

void bc_shard_close(struct bc_shard *shard)
{
    if (shard == NULL) return;
    if (!shard->keeps_chunks) free_chunks(shard);
    free((void *)shard->chunks);
    free(atomic_load_explicit(&shard->view, memory_order_acquire));
    if (shard->image != NULL) {
        bc_image_free(shard->image, shard->image_size);
    } else {
        free((void *)shard->places);
        free(shard->order);
    }
    free(shard);
}

static void release_shard(struct bc_retired *retired)
{
    bc_shard_close((struct bc_shard *)(void *)retired);
}

void bc_shard_retire(struct bc_shard *shard)
{
    if (shard != NULL) bc_rcu_retire(&shard->retired, release_shard);
}

/* ---- reading ---- */

const uint8_t *bc_shard_find(const struct bc_shard *shard, uint64_t hash, const void *key, size_t key_size,
                             uint32_t *place)
{
    uint32_t at = bc_shard_home(shard, hash), word;

    while ((word = atomic_load_explicit(&shard->places[at], memory_order_acquire)) != BC_PLACE_EMPTY) {
        if ((uint8_t)word == (uint8_t)hash && word > UINT8_MAX) {
            const uint8_t *packed = bc_shard_entry(shard, word);
            if (packed[0] == key_size && memcmp(packed + 2, key, key_size) == 0) {
                if (place != NULL) *place = at;
                return packed;
            }
        }
        if (++at == shard->place_count) at = 0;
    }
    return NULL;
}

/* ---- writing ---- */

/* The first chunk of a small shard doubles. Readers of the old one see the same bytes at the same offsets. */
static bool grow_first(struct bc_shard *shard, uint32_t wanted)
{
    uint32_t size = shard->first_size;
    struct bc_block *block;
    uint8_t *old = chunk_of(shard, 0);

    if (shard->image != NULL) return false;
    while (size < wanted && size < BC_CHUNK_SIZE) size *= 2;
    block = bc_block_alloc(size);
    if (block == NULL) return false;
    memcpy(block->bytes, old, shard->end);
    atomic_store_explicit(&shard->chunks[0], block->bytes, memory_order_release);
    shard->memory += size - shard->first_size;
    shard->first_size = size;
    bc_block_retire(block_of(old));
    return true;
}

/* Whether `bytes` more, in entries of any size, fit into the chunks that are there. */
static bool has_bytes(const struct bc_shard *shard, uint32_t bytes)
{
    uint32_t chunk = shard->end >> BC_CHUNK_SHIFT, offset = shard->end & (BC_CHUNK_SIZE - 1), left;

    if (chunk == shard->chunk_count)
        left = 0; /* the last one is full to its last byte */
    else
        left = (chunk == 0 ? shard->first_size : BC_CHUNK_SIZE) - offset;
    if (bytes <= left) return true;
    if (chunk >= shard->chunk_count) return false;
    /* Each chunk may stay unfilled by less than an entry. */
    left = left > BC_PACKED_MAX ? left - BC_PACKED_MAX : 0;
    return bytes <= left + (shard->chunk_count - 1 - chunk) * (uint64_t)(BC_CHUNK_SIZE - BC_PACKED_MAX);
}

bool bc_shard_reserve(struct bc_shard *shard, uint32_t count, uint32_t bytes)
{
    uint32_t used = atomic_load_explicit(&shard->used, memory_order_relaxed);

    if (count > shard->room - used) return false;
    while (!has_bytes(shard, bytes)) {
        bool small = shard->chunk_count == 1 && shard->first_size < BC_CHUNK_SIZE;
        if (!(small ? grow_first(shard, shard->end + bytes) : add_chunk(shard, BC_CHUNK_SIZE))) return false;
    }
    return true;
}

/* Where the next entry goes, of at most `bound` bytes; *ref is its reference. */
static uint8_t *next_entry(struct bc_shard *shard, uint32_t bound, uint32_t *ref)
{
    uint32_t chunk = shard->end >> BC_CHUNK_SHIFT, offset = shard->end & (BC_CHUNK_SIZE - 1);
    uint32_t size = chunk == 0 ? shard->first_size : BC_CHUNK_SIZE;

    if (offset + bound > size) {
        chunk++;
        offset = 0;
    }
    assert(chunk < shard->chunk_count);
    *ref = chunk << BC_CHUNK_SHIFT | offset;
    return chunk_of(shard, chunk) + offset;
}

uint32_t bc_shard_empty_place(const struct bc_shard *shard, uint64_t hash)
{
    uint32_t at = bc_shard_home(shard, hash);

    while (atomic_load_explicit(&shard->places[at], memory_order_relaxed) != BC_PLACE_EMPTY)
        if (++at == shard->place_count) at = 0;
    return at;
}

/* Puts a reference into the first empty place from its home on, and into the order. */
static void place_ref(struct bc_shard *shard, uint64_t hash, uint32_t ref, bool last)
{
    uint32_t used = atomic_load_explicit(&shard->used, memory_order_relaxed), at = bc_shard_empty_place(shard, hash);

    assert(used < shard->room);
    atomic_store_explicit(&shard->places[at], word_of(hash, ref), memory_order_release);
    shard->order[used] = (uint16_t)at;
    /* sorted first: who sees the count then knows that all of it is in order. */
    if (last) atomic_store_explicit(&shard->sorted, used + 1, memory_order_release);
    atomic_store_explicit(&shard->used, used + 1, memory_order_release);
    shard->live++;
}

/* Whether a key stands behind all others, as far as that is easily told: keys that come in order stay in order. */
static bool is_last(const struct bc_shard *shard, const void *key, size_t key_size)
{
    uint32_t used = atomic_load_explicit(&shard->used, memory_order_relaxed), i = used;
    size_t last_size;
    const uint8_t *last = NULL;

    if (atomic_load_explicit(&shard->sorted, memory_order_relaxed) != used) return false;
    while (i > 0 && i + 8 > used && (last = bc_shard_at(shard, shard->order[i - 1])) == NULL) i--;
    if (i == 0) return true;
    if (last == NULL) return false;
    last = bc_packed_key(last, &last_size);
    return bc_key_compare(last, last_size, key, key_size) < 0;
}

void bc_shard_insert(struct bc_shard *shard, struct bc_classes *classes, uint64_t hash, const void *key,
                     size_t key_size, const struct bc_entry *entry)
{
    uint32_t ref;
    uint8_t *out = next_entry(shard, bc_packed_bound(key_size), &ref);

    shard->end = ref + bc_pack(classes, key, key_size, entry, out);
    shard->key_bytes += (uint32_t)key_size;
    place_ref(shard, hash, ref, is_last(shard, key, key_size));
}

void bc_shard_replace(struct bc_shard *shard, struct bc_classes *classes, uint32_t place, const struct bc_entry *entry)
{
    uint32_t word = atomic_load_explicit(&shard->places[place], memory_order_relaxed), ref;
    const uint8_t *old = bc_shard_entry(shard, word), *key;
    size_t key_size;
    uint8_t *out;

    key = bc_packed_key(old, &key_size);
    out = next_entry(shard, bc_packed_bound(key_size), &ref);
    shard->end = ref + bc_pack(classes, key, key_size, entry, out);
    shard->garbage += bc_packed_size(old);
    atomic_store_explicit(&shard->places[place], word_of(word, ref), memory_order_release);
}

void bc_shard_append(struct bc_shard *shard, uint64_t seed, const uint8_t *packed)
{
    uint32_t ref, size = bc_packed_size(packed);
    uint8_t *out = next_entry(shard, size, &ref);
    size_t key_size;
    const uint8_t *key = bc_packed_key(packed, &key_size);

    memcpy(out, packed, size);
    shard->end = ref + size;
    shard->key_bytes += (uint32_t)key_size;
    place_ref(shard, bc_shard_hash(seed, key, key_size), ref, true);
}

void bc_shard_remove(struct bc_shard *shard, uint32_t place)
{
    const uint8_t *packed = bc_shard_at(shard, place);

    shard->garbage += bc_packed_size(packed);
    shard->key_bytes -= packed[0];
    shard->live--;
    atomic_store_explicit(&shard->places[place], BC_PLACE_DEAD, memory_order_release);
}
