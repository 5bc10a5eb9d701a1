/* index.c - see index.h: shards by key range, and when they grow, split, shrink and join.
 *
 * A put into a shard whose places are used up builds that shard anew, wider; one that would become too large is split
 * in two; one in which much is dead is built anew without that. Each costs a fraction of a millisecond, however many
 * keys the index has. What was replaced is retired: readers that are in it finish there.
 *
 * Invariants: the shards of the directory cover all keys without overlap, in ascending order, the first from the
 * beginning; a key is in the shard that the directory names. Memory that a put may need is there before anything
 * changes.
 */
#include "index/index_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    GARBAGE_MIN = 2048,  /* dead bytes in a shard that are left alone */
    JOIN_BELOW = 1024,   /* keys of a shard that is joined with a neighbour, */
    JOIN_UPTO = 4096,    /* if both together have no more than this */
    BATCH_SORTED = 4096, /* keys of a batch that is prepared in key order */
    DEAD_SHARE = 5       /* a fifth of a shard's bytes may be dead */
};

uint64_t bc_hash_key(const void *key, size_t key_size)
{
    return XXH3_64bits(key, key_size);
}

/* ---- life ---- */

static void account(struct bc_index *index, size_t more, size_t less)
{
    atomic_fetch_add_explicit(&index->memory, more - less, memory_order_relaxed);
}

bc_status bc_index_open(uint64_t seed, struct bc_index **out)
{
    struct bc_index *index = bc_index_realloc(NULL, sizeof(*index));
    struct bc_shard *shard = bc_shard_open(NULL, 0, 4, 0);
    struct bc_directory *directory = shard != NULL ? bc_directory_open(&shard, 1) : NULL;

    *out = index;
    if (index == NULL || directory == NULL) {
        bc_directory_close(directory);
        bc_shard_close(shard);
        free(index);
        *out = NULL;
        return bc_fail(BITCASK_NO_MEMORY, "no memory for an index");
    }
    memset(index, 0, sizeof(*index));
    index->seed = seed;
    atomic_init(&index->directory, directory);
    account(index, bc_shard_memory(shard) + bc_directory_memory(directory), 0);
    return BITCASK_OK;
}

void bc_index_close(struct bc_index **pointer)
{
    struct bc_index *index = *pointer;
    struct bc_directory *directory;

    if (index == NULL) return;
    *pointer = NULL;
    directory = bc_index_directory(index);
    for (uint32_t i = 0; directory != NULL && i < directory->count; i++) bc_shard_close(bc_directory_at(directory, i));
    bc_directory_close(directory);
    for (size_t i = 0; i < index->loaded_count; i++) bc_shard_close(index->loaded[i]);
    free(index->loaded);
    bc_classes_release(&index->classes);
    free(index);
}

/* ---- exchanging shards ---- */

/* Puts new shards in the place of `gone` old ones from number `at` on, and retires these. NO_MEMORY: nothing changed,
 * the new ones are the caller's still. */
static bc_status exchange(struct bc_index *index, uint32_t at, uint32_t gone, struct bc_shard *const *shards,
                          uint32_t count)
{
    struct bc_directory *directory = bc_index_directory(index), *made;
    struct bc_shard *old[2] = {NULL, NULL};

    assert(gone <= 2);
    for (uint32_t i = 0; i < gone; i++) old[i] = bc_directory_at(directory, at + i);
    if (gone == 1 && count == 1) {
        bc_directory_set(directory, at, shards[0]);
    } else {
        made = bc_directory_exchange(directory, at, gone, shards, count);
        if (made == NULL) return BITCASK_NO_MEMORY;
        atomic_store_explicit(&index->directory, made, memory_order_release);
        account(index, bc_directory_memory(made), bc_directory_memory(directory));
        bc_directory_retire(directory);
    }
    for (uint32_t i = 0; i < count; i++) account(index, bc_shard_memory(shards[i]), 0);
    for (uint32_t i = 0; i < gone; i++) bc_shard_retire(old[i]);
    return BITCASK_OK;
}

/* One shard of all live keys of `gone` neighbours, with room for more. */
static bc_status rebuild(struct bc_index *index, uint32_t at, uint32_t gone, uint32_t more, uint32_t more_bytes)
{
    struct bc_shard *old[2] = {bc_directory_at(bc_index_directory(index), at), NULL}, *made = NULL;
    struct bc_entries entries;
    size_t before = bc_shard_memory(old[0]);
    bc_status status;

    if (gone == 2) {
        old[1] = bc_directory_at(bc_index_directory(index), at + 1);
        before += bc_shard_memory(old[1]);
    }
    status = bc_entries_gather(old, gone, &entries);
    if (status != BITCASK_OK) return status;
    made = bc_build(index->seed, &entries, 0, entries.count, old[0]->low, old[0]->low_size, more, more_bytes);
    bc_entries_release(&entries);
    if (made == NULL) return BITCASK_NO_MEMORY;
    status = exchange(index, at, gone, &made, 1);
    if (status == BITCASK_OK)
        account(index, 0, before);
    else
        bc_shard_close(made);
    return status;
}

/* Splits a shard in front of the key low; with a low_size of 0, in the middle. */
static bc_status split(struct bc_index *index, uint32_t at, const void *low, size_t low_size)
{
    struct bc_shard *old = bc_directory_at(bc_index_directory(index), at), *made[2] = {NULL, NULL};
    struct bc_entries entries;
    size_t before = bc_shard_memory(old);
    uint32_t cut;
    bc_status status = bc_entries_gather(&old, 1, &entries);

    if (status != BITCASK_OK) return status;
    cut = entries.count / 2;
    if (low_size == 0) {
        low = bc_packed_key(entries.packed[cut], &low_size);
    } else {
        for (cut = 0; cut < entries.count; cut++) {
            size_t size;
            const uint8_t *key = bc_packed_key(entries.packed[cut], &size);
            if (bc_key_compare(key, size, low, low_size) >= 0) break;
        }
    }
    made[0] = bc_build(index->seed, &entries, 0, cut, old->low, old->low_size, 0, 0);
    made[1] = bc_build(index->seed, &entries, cut, entries.count, low, low_size, 0, 0);
    status = made[0] != NULL && made[1] != NULL ? exchange(index, at, 1, made, 2) : BITCASK_NO_MEMORY;
    if (status == BITCASK_OK) {
        account(index, 0, before);
    } else {
        bc_shard_close(made[0]);
        bc_shard_close(made[1]);
    }
    bc_entries_release(&entries);
    return status;
}

/* A shard to the right of one that is full, for a key behind all of it: what comes in order leaves full shards behind.
 */
static bc_status extend(struct bc_index *index, uint32_t at, const void *key, size_t key_size)
{
    struct bc_shard *full = bc_directory_at(bc_index_directory(index), at);
    struct bc_shard *pair[2] = {full, bc_shard_open(key, key_size, BC_SHARD_KEYS_MAX / 4, 0)};
    struct bc_directory *directory = bc_index_directory(index), *made;

    if (pair[1] == NULL) return BITCASK_NO_MEMORY;
    made = bc_directory_exchange(directory, at, 1, pair, 2);
    if (made == NULL) {
        bc_shard_close(pair[1]);
        return BITCASK_NO_MEMORY;
    }
    atomic_store_explicit(&index->directory, made, memory_order_release);
    account(index, bc_directory_memory(made) + bc_shard_memory(pair[1]), bc_directory_memory(directory));
    bc_directory_retire(directory);
    return BITCASK_OK;
}

/* A wider table over the same entries, and room for `count` puts of `bytes` packed. */
static bc_status widen(struct bc_index *index, uint32_t at, uint32_t room, uint32_t count, uint32_t bytes)
{
    struct bc_directory *directory = bc_index_directory(index);
    struct bc_shard *old = bc_directory_at(directory, at), *wider;
    size_t before = bc_shard_memory(old);
    bool reserved;

    if (room > BC_SHARD_ROOM_MAX) return BITCASK_NO_MEMORY;
    wider = bc_build_wider(old, index->seed, room);
    if (wider == NULL) return BITCASK_NO_MEMORY;
    bc_directory_set(directory, at, wider);
    bc_shard_retire(old);
    reserved = bc_shard_reserve(wider, count, bytes);
    account(index, bc_shard_memory(wider), before);
    return reserved ? BITCASK_OK : rebuild(index, at, 1, count, bytes);
}

static bool is_behind_all(const struct bc_shard *shard, const void *key, size_t key_size)
{
    uint32_t used = atomic_load_explicit(&shard->used, memory_order_relaxed);
    const uint8_t *last;

    if (used == 0 || atomic_load_explicit(&shard->sorted, memory_order_relaxed) != used) return false;
    last = bc_shard_at(shard, shard->order[used - 1]);
    return last != NULL && bc_key_compare(last + 2, last[0], key, key_size) < 0;
}

static bool is_wasteful(const struct bc_shard *shard)
{
    return shard->garbage > GARBAGE_MIN && shard->garbage > shard->end / DEAD_SHARE;
}

/* Puts that a shard was promised in bc_index_prepare(), and that have not come yet. */
static uint32_t promised_to(const struct bc_index *index, const struct bc_shard *shard)
{
    return shard->promise_round == index->promise_round ? shard->promised : 0;
}

static void set_promise(const struct bc_index *index, struct bc_shard *shard, uint32_t count, uint32_t bytes)
{
    shard->promise_round = index->promise_round;
    shard->promised = count;
    shard->promised_bytes = bytes;
}

/* Splits a shard that is too large to be widened, or adds one behind it if all of it is before the key. */
static bc_status divide(struct bc_index *index, uint32_t at, const void *key, size_t key_size)
{
    const struct bc_shard *shard = bc_directory_at(bc_index_directory(index), at);

    return is_behind_all(shard, key, key_size) ? extend(index, at, key, key_size) : split(index, at, NULL, 0);
}

static bool is_large(const struct bc_shard *shard)
{
    return bc_shard_room_for(shard->live) > BC_SHARD_KEYS_MAX;
}

/* Makes room in a shard for `count` puts of `bytes` packed, one of which is of this key. With may_split, one that is
 * full may be split instead, or one be added: *moved, and the key is to be looked for again. */
static bc_status make_room(struct bc_index *index, uint32_t at, const void *key, size_t key_size, uint32_t count,
                           uint32_t bytes, bool may_split, bool *moved)
{
    struct bc_shard *shard = bc_directory_at(bc_index_directory(index), at);
    size_t before = bc_shard_memory(shard);
    uint32_t room = bc_shard_room_for(shard->live);
    bool is_full, reserved;

    *moved = false;
    if (may_split && is_wasteful(shard)) {
        *moved = rebuild(index, at, 1, count, bytes) == BITCASK_OK;
        if (*moved) return BITCASK_OK;
    }
    reserved = bc_shard_reserve(shard, count, bytes);
    account(index, bc_shard_memory(shard), before); /* a chunk may have come */
    if (reserved) return BITCASK_OK;
    is_full = atomic_load_explicit(&shard->used, memory_order_relaxed) + count > shard->room;
    *moved = true;
    if (is_full && may_split && is_large(shard) && divide(index, at, key, key_size) == BITCASK_OK) return BITCASK_OK;
    if (room > BC_SHARD_ROOM_MAX) room = BC_SHARD_ROOM_MAX;
    if (room < shard->live + count) room = shard->live + count;
    if (!is_full || shard->image != NULL || is_wasteful(shard)) return rebuild(index, at, 1, count, bytes);
    return widen(index, at, room, count, bytes);
}

/* ---- reading ---- */

bc_status bc_index_get(const struct bc_index *index, const void *key, size_t key_size, struct bc_entry *entry)
{
    const struct bc_directory *directory = bc_index_directory(index);
    const struct bc_shard *shard = bc_directory_at(directory, bc_directory_find(directory, key, key_size));
    const uint8_t *packed = bc_shard_find(shard, bc_shard_hash(index->seed, key, key_size), key, key_size, NULL);

    if (packed == NULL) return BITCASK_NOT_FOUND;
    if (entry != NULL) bc_unpack(&index->classes, packed, entry);
    return BITCASK_OK;
}

/* ---- writing ---- */

/* Whether a shard, in which nothing is counted yet, would have to be widened for what may still be counted in it, and
 * is too large for that: this is the moment to split it. */
static bool is_to_be_split(const struct bc_shard *shard, size_t to_come)
{
    return is_large(shard) && to_come > shard->room - atomic_load_explicit(&shard->used, memory_order_relaxed);
}

/* One more put of this key is to come, and after it to_come others: counts it in its shard, and makes room for all that
 * are counted there. A shard is split only as long as nothing is counted in it. */
static bc_status promise(struct bc_index *index, const void *key, size_t key_size, size_t to_come)
{
    for (;;) {
        struct bc_directory *directory = bc_index_directory(index);
        uint32_t at = bc_directory_find(directory, key, key_size), count = 1, bytes = bc_packed_bound(key_size);
        struct bc_shard *shard = bc_directory_at(directory, at);
        bool first = promised_to(index, shard) == 0, moved;
        bc_status status;

        if (!first) {
            count += shard->promised;
            bytes += shard->promised_bytes;
        } else if (is_to_be_split(shard, to_come) && divide(index, at, key, key_size) == BITCASK_OK) {
            continue;
        }
        status = make_room(index, at, key, key_size, count, bytes, first, &moved);
        if (status != BITCASK_OK) return status;
        if (moved && first) continue;
        set_promise(index, bc_directory_at(bc_index_directory(index), at), count, bytes);
        return BITCASK_OK;
    }
}

/* A key of a large batch, to be prepared in key order. */
struct batch_key {
    const uint8_t *key;
    size_t key_size;
};

static int compare_batch_keys(const void *left, const void *right)
{
    const struct batch_key *a = left, *b = right;

    return bc_key_compare(a->key, a->key_size, b->key, b->key_size);
}

/* In key order a shard that has been promised enough is simply cut off in front of the next key. */
static bc_status promise_sorted(struct bc_index *index, const struct batch_key *keys, size_t count)
{
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < count && status == BITCASK_OK; i++) {
        struct bc_directory *directory = bc_index_directory(index);
        uint32_t at = bc_directory_find(directory, keys[i].key, keys[i].key_size);
        struct bc_shard *shard = bc_directory_at(directory, at);
        bool is_low = bc_key_compare(shard->low, shard->low_size, keys[i].key, keys[i].key_size) == 0;

        if (promised_to(index, shard) >= BATCH_SORTED && !is_low) {
            uint32_t promised = shard->promised, bytes = shard->promised_bytes;
            bool moved;
            status = split(index, at, keys[i].key, keys[i].key_size);
            if (status != BITCASK_OK) return status;
            /* What is below has been promised room, which it must have in the new shard as well. */
            status = make_room(index, at, keys[i - 1].key, keys[i - 1].key_size, promised, bytes, false, &moved);
            if (status != BITCASK_OK) return status;
            set_promise(index, bc_directory_at(bc_index_directory(index), at), promised, bytes);
        }
        status = promise(index, keys[i].key, keys[i].key_size, 0);
    }
    return status;
}

static bc_status promise_batch(struct bc_index *index, size_t count,
                               const void *(*key_of)(const void *context, size_t i, size_t *key_size),
                               const void *context)
{
    struct batch_key *keys = bc_index_realloc(NULL, count * sizeof(*keys));
    bc_status status;

    if (keys == NULL) return BITCASK_NO_MEMORY;
    for (size_t i = 0; i < count; i++) keys[i].key = key_of(context, i, &keys[i].key_size);
    qsort(keys, count, sizeof(*keys), compare_batch_keys);
    status = promise_sorted(index, keys, count);
    free(keys);
    return status;
}

bc_status bc_index_prepare(struct bc_index *index, size_t count,
                           const void *(*key_of)(const void *context, size_t i, size_t *key_size), const void *context)
{
    bc_status status = BITCASK_OK;

    index->promise_round++;
    if (count > SIZE_MAX / sizeof(struct batch_key)) return BITCASK_NO_MEMORY;
    if (count > BATCH_SORTED) {
        status = promise_batch(index, count, key_of, context);
    } else {
        for (size_t i = 0; i < count && status == BITCASK_OK; i++) {
            size_t key_size;
            const void *key = key_of(context, i, &key_size);
            status = promise(index, key, key_size, count - i - 1);
        }
    }
    if (status != BITCASK_OK) index->promise_round++; /* what was promised so far will not come */
    return status == BITCASK_OK ? status : bc_fail(status, "no memory to index %zu more keys", count);
}

/* The shard of a key, with room for one more put. Where that was promised nothing is built anew: a split would take
 * with it the room that others of the batch were promised. */
static bc_status shard_for_put(struct bc_index *index, const void *key, size_t key_size, struct bc_shard **shard)
{
    for (;;) {
        struct bc_directory *directory = bc_index_directory(index);
        uint32_t at = bc_directory_find(directory, key, key_size);
        bool moved;
        bc_status status;

        *shard = bc_directory_at(directory, at);
        if (promised_to(index, *shard) > 0) {
            (*shard)->promised--;
            return BITCASK_OK;
        }
        status = make_room(index, at, key, key_size, 1, bc_packed_bound(key_size), true, &moved);
        if (status != BITCASK_OK || !moved) return status;
    }
}

bc_status bc_index_put(struct bc_index *index, const void *key, size_t key_size, const struct bc_entry *entry,
                       bool *had, struct bc_entry *old)
{
    uint64_t hash;
    uint32_t place;
    struct bc_shard *shard;
    const uint8_t *packed;
    bc_status status;

    if (key_size == 0 || key_size > BITCASK_NAME_MAX)
        return bc_fail(BITCASK_BAD_ARGUMENT, "a key of %zu bytes; 1 to 255 are possible", key_size);
    status = shard_for_put(index, key, key_size, &shard);
    if (status != BITCASK_OK) return bc_fail(status, "no memory to index another key");
    hash = bc_shard_hash(index->seed, key, key_size);
    packed = bc_shard_find(shard, hash, key, key_size, &place);
    if (had != NULL) *had = packed != NULL;
    if (packed == NULL) {
        bc_shard_insert(shard, &index->classes, hash, key, key_size, entry);
        atomic_fetch_add_explicit(&index->count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&index->key_bytes, key_size, memory_order_relaxed);
        return BITCASK_OK;
    }
    if (old != NULL) bc_unpack(&index->classes, packed, old);
    bc_shard_replace(shard, &index->classes, place, entry);
    return BITCASK_OK;
}

/* After a removal: a shard in which much is dead is built anew; one without keys goes; one with few is joined with a
 * neighbour. Without memory for it, it stays as it is. */
static void shrink(struct bc_index *index, uint32_t at)
{
    struct bc_directory *directory = bc_index_directory(index);
    struct bc_shard *shard = bc_directory_at(directory, at);
    uint32_t other = at > 0 ? at - 1 : at + 1, both;

    if (promised_to(index, shard) > 0) return;
    if (shard->live > 0 && !is_wasteful(shard)) return;
    if (shard->live < JOIN_BELOW && directory->count > 1 &&
        promised_to(index, bc_directory_at(directory, other)) == 0) {
        both = shard->live + bc_directory_at(directory, other)->live;
        if (both <= JOIN_UPTO) {
            (void)rebuild(index, at < other ? at : other, 2, 0, 0);
            return;
        }
    }
    if (shard->live == 0 && atomic_load_explicit(&shard->used, memory_order_relaxed) < 8) return;
    (void)rebuild(index, at, 1, 0, 0);
}

bc_status bc_index_remove(struct bc_index *index, const void *key, size_t key_size, struct bc_entry *old)
{
    struct bc_directory *directory = bc_index_directory(index);
    uint32_t at = bc_directory_find(directory, key, key_size), place;
    struct bc_shard *shard = bc_directory_at(directory, at);
    const uint8_t *packed = bc_shard_find(shard, bc_shard_hash(index->seed, key, key_size), key, key_size, &place);

    if (packed == NULL) return BITCASK_NOT_FOUND;
    if (old != NULL) bc_unpack(&index->classes, packed, old);
    bc_shard_remove(shard, place);
    atomic_fetch_sub_explicit(&index->count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&index->key_bytes, key_size, memory_order_relaxed);
    if (promised_to(index, shard) > 0) shard->promised--; /* a deletion is prepared like a put, and needs nothing */
    shrink(index, at);
    return BITCASK_OK;
}
