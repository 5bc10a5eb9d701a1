/* shard.h - a range of keys, some thousands of them: hash, order and the packed entries.
 *
 *   places   one word for each place of the hash table: 24 bits of reference and 8 bits of the key's hash. Open
 *            addressing, linear probing, at most 85 % full
 *   order    the numbers of the places in use, 16 bits each: the first `sorted` in key order, the rest as they came
 *   chunks   the packed entries, one behind the other, 8 KiB each; a reference is chunk and offset
 *
 * A packed entry never changes. To replace one, the new is written behind the last and the word of its place is
 * swapped, in one store; to remove one, its word becomes "dead". A place keeps its key for as long as the shard lives,
 * so the order, which names places, stays right. What is dead is left behind when the shard is built anew: because the
 * places are used up, because too many bytes are dead, or because it splits (build.h). Readers that are in the old one
 * finish there.
 *
 * Who needs order sorts what has come since, into a view, and leaves that for the next one (order.c).
 *
 * Threads: functions that take a const shard are for any, within a read section; the rest is for the writer.
 */
#ifndef BC_SHARD_H
#define BC_SHARD_H

#include "index/index.h"
#include "index/packed.h"

enum {
    BC_SHARD_KEYS_MAX = 8192,  /* what does not fit with a quarter to spare is split */
    BC_SHARD_ROOM_MAX = 55000, /* places that can be used, at the very most: numbers of 16 bits, 85 % full */
    BC_CHUNK_SHIFT = 13,
    BC_CHUNK_SIZE = 1 << BC_CHUNK_SHIFT,
    BC_CHUNKS_MAX = (1 << 24) >> BC_CHUNK_SHIFT,
    BC_PLACE_EMPTY = 0,
    BC_PLACE_DEAD = 1 /* the reference of 0 stands for no entry */
};

/* The places in key order, made by a reader. */
struct bc_view {
    struct bc_retired retired; /* must be first */
    uint32_t covers;           /* places, of those in `order`, that it has looked at: the first ones */
    uint32_t count;            /* of these were alive */
    uint16_t places[];
};

struct bc_shard {
    struct bc_retired retired; /* must be first */
    uint32_t place_count;
    uint32_t room;       /* of `order`: places that can be used */
    uint32_t chunk_room; /* of `chunks` */
    _Atomic uint32_t *places;
    uint16_t *order;
    _Atomic(uint8_t *) *chunks; /* bytes of a struct bc_block each, or within the image */
    void *image;                /* what places, order and chunks stand in if it was loaded (bc_image_free()), or NULL */
    size_t image_size;

    _Atomic uint32_t used;          /* of `order`; stored after what it counts, as is sorted */
    _Atomic uint32_t sorted;        /* the first of `order` that are in order: stored before used */
    _Atomic(struct bc_view *) view; /* the best one so far, or NULL */

    uint32_t live;        /* keys; the writer's alone, as are the next */
    uint32_t end;         /* reference behind the last entry */
    uint32_t chunk_count; /* chunks there are, empty ones at the end included */
    uint32_t first_size;  /* bytes of the first chunk; the others are whole */
    uint32_t garbage;     /* bytes of dead entries */
    uint32_t key_bytes;   /* of live keys */
    size_t memory;        /* bytes allocated, without the view */
    uint32_t promised;    /* puts to come, if promise_round is the index' */
    uint32_t promised_bytes;
    uint64_t promise_round;
    bool keeps_chunks; /* they have gone over to its successor */
    uint8_t low_size;  /* the lowest key that belongs here; size 0: no bound */
    uint8_t low[];
};

/* The hash of a key with the index' seed, and what of it stands in a place. */
uint64_t bc_shard_hash(uint64_t seed, const void *key, size_t key_size);

/* Where a hash would like to stand. */
static inline uint32_t bc_shard_home(const struct bc_shard *shard, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * shard->place_count) >> 32);
}

/* The first empty place from there on: there is always one. The writer's. */
uint32_t bc_shard_empty_place(const struct bc_shard *shard, uint64_t hash);

/* One without chunks. NULL: out of memory. */
struct bc_shard *bc_shard_open_bare(const void *low, size_t low_size, uint32_t room, uint32_t chunk_room);

/* An empty shard for `room` keys, of `bytes` packed (a guess). NULL: out of memory. */
struct bc_shard *bc_shard_open(const void *low, size_t low_size, uint32_t room, uint32_t bytes);

/* Frees it: at once, or once no reader can look at it any more. NULL is fine. */
void bc_shard_close(struct bc_shard *shard);
void bc_shard_retire(struct bc_shard *shard);

/* The packed entry that a place's word refers to. */
static inline const uint8_t *bc_shard_entry(const struct bc_shard *shard, uint32_t word)
{
    uint32_t ref = word >> 8;

    return atomic_load_explicit(&shard->chunks[ref >> BC_CHUNK_SHIFT], memory_order_acquire) +
           (ref & (BC_CHUNK_SIZE - 1));
}

/* The packed entry in a place, or NULL if it is dead. */
static inline const uint8_t *bc_shard_at(const struct bc_shard *shard, uint32_t place)
{
    uint32_t word = atomic_load_explicit(&shard->places[place], memory_order_acquire);

    return word <= UINT8_MAX ? NULL : bc_shard_entry(shard, word);
}

/* The packed entry of a key, or NULL; *place (may be NULL) is where it stands. */
const uint8_t *bc_shard_find(const struct bc_shard *shard, uint64_t hash, const void *key, size_t key_size,
                             uint32_t *place);

/* Makes sure that `count` puts of `bytes` packed at most cannot fail, without building anew: false if it is out of
 * places, or of memory. */
bool bc_shard_reserve(struct bc_shard *shard, uint32_t count, uint32_t bytes);

/* Puts a key that is not there, or into its place, in room that was reserved. */
void bc_shard_insert(struct bc_shard *shard, struct bc_classes *classes, uint64_t hash, const void *key,
                     size_t key_size, const struct bc_entry *entry);
void bc_shard_replace(struct bc_shard *shard, struct bc_classes *classes, uint32_t place, const struct bc_entry *entry);

/* Appends a packed entry, in room that was reserved, that stands behind all so far in key order. */
void bc_shard_append(struct bc_shard *shard, uint64_t seed, const uint8_t *packed);

void bc_shard_remove(struct bc_shard *shard, uint32_t place);

/* Bytes allocated, without its view. */
static inline size_t bc_shard_memory(const struct bc_shard *shard)
{
    return shard->memory;
}

/* ---- order.c ---- */

/* 8 bytes of a key from `skip` on, as a number that orders like them; zeros stand for what is behind its end. */
uint64_t bc_key_front(const uint8_t *key, size_t key_size, uint32_t skip);

/* Places in key order; those that die meanwhile are in it. */
struct bc_sorted {
    const uint16_t *places;
    uint32_t count;
    struct bc_view *own; /* made for this call, to be freed; else NULL */
};

/* All that are in the shard now, in key order. With publish, what was sorted is left for others. NO_MEMORY. Give it
 * back with bc_sorted_release(), within the same read section. */
bc_status bc_shard_sort(const struct bc_shard *shard, bool publish, struct bc_sorted *sorted);
void bc_sorted_release(struct bc_sorted *sorted);

/* The first of the sorted places whose key is at or behind key (above: behind it). */
uint32_t bc_sorted_seek(const struct bc_shard *shard, const struct bc_sorted *sorted, const void *key, size_t key_size,
                        bool above);

/* Bytes of the view that is published in the shard. */
size_t bc_shard_view_memory(const struct bc_shard *shard);

#endif
