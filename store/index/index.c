/* index.c - see index.h: puts hash, order, entries and keys together.
 *
 * Hash and order name entries by number, an entry names its key in the arena. Entries are numbered without gaps, so
 * removing one renames the last. All memory a change may need is taken before anything changes.
 *
 * What bc_index_prepare promised is remembered until it is used up, since removals give memory back and must leave
 * that much. Emptied, and with nothing promised, an index holds no memory but its head.
 */
#include "index/index.h"

#include <stdlib.h>
#include <string.h>

#include "index/entry_pool.h"
#include "index/hash_index.h"
#include "index/key_arena.h"
#include "index/sort_index.h"

struct bc_index {
    struct bc_key_arena keys;
    struct bc_entry_pool entries;
    struct bc_hash_index hash;
    struct bc_sort_index sort;
    size_t promised;           /* puts still to come for which room is kept */
    size_t promised_key_bytes; /* of their keys together */
};

static const uint8_t *key_of(const void *context, uint32_t number, size_t *key_size)
{
    const struct bc_index *index = context;

    return bc_key_arena_get(&index->keys, bc_entry_pool_key(&index->entries, number), key_size);
}

static uint64_t hash_of(const void *context, uint32_t number)
{
    size_t key_size;
    const uint8_t *key = key_of(context, number, &key_size);

    return bc_hash_key(key, key_size);
}

/* What bc_hash_find is to compare with. */
struct wanted {
    const struct bc_index *index;
    const void *key;
    size_t key_size;
    uint32_t key_ref; /* for has_key_ref */
};

static bool has_key(const void *context, uint32_t number)
{
    const struct wanted *wanted = context;
    size_t key_size;
    const uint8_t *key = key_of(wanted->index, number, &key_size);

    return key_size == wanted->key_size && memcmp(key, wanted->key, key_size) == 0;
}

static bool has_key_ref(const void *context, uint32_t number)
{
    const struct wanted *wanted = context;

    return bc_entry_pool_key(&wanted->index->entries, number) == wanted->key_ref;
}

static uint32_t find(const struct bc_index *index, uint64_t hash, const void *key, size_t key_size)
{
    struct wanted wanted = {.index = index, .key = key, .key_size = key_size};

    return bc_hash_find(&index->hash, hash, has_key, &wanted);
}

bc_status bc_index_open(struct bc_index **index)
{
    struct bc_index *opened = bc_index_realloc(NULL, sizeof(*opened));

    *index = opened;
    if (opened == NULL) return bc_fail(BITCASK_NO_MEMORY, "no memory for an index");
    memset(opened, 0, sizeof(*opened));
    bc_entry_pool_init(&opened->entries);
    bc_sort_init(&opened->sort, key_of, opened);
    return BITCASK_OK;
}

void bc_index_close(struct bc_index **index)
{
    if (*index == NULL) return;
    bc_sort_release(&(*index)->sort);
    bc_hash_release(&(*index)->hash);
    bc_entry_pool_release(&(*index)->entries);
    bc_key_arena_release(&(*index)->keys);
    free(*index);
    *index = NULL;
}

bc_status bc_index_get(const struct bc_index *index, const void *key, size_t key_size, struct bc_entry *entry)
{
    uint32_t number = find(index, bc_hash_key(key, key_size), key, key_size);

    if (number == BC_NONE) return BITCASK_NOT_FOUND;
    if (entry != NULL) bc_entry_pool_get(&index->entries, number, entry);
    return BITCASK_OK;
}

/* Room for `count` new keys in all but the order, which can tell better itself what one insert needs. */
static bc_status reserve(struct bc_index *index, size_t count, size_t key_bytes)
{
    bc_status status = bc_key_arena_reserve(&index->keys, count, key_bytes);

    if (status == BITCASK_OK) status = bc_entry_pool_reserve(&index->entries, count);
    if (status == BITCASK_OK) status = bc_hash_reserve(&index->hash, count, hash_of, index);
    return status;
}

/* Gives back what neither the keys nor the promised puts need. */
static void trim(struct bc_index *index)
{
    bc_key_arena_trim(&index->keys, index->promised, index->promised_key_bytes);
    bc_entry_pool_trim(&index->entries, index->promised);
    bc_hash_trim(&index->hash, index->promised, hash_of, index);
    bc_sort_trim(&index->sort, index->promised);
}

bc_status bc_index_prepare(struct bc_index *index, size_t count, size_t key_bytes)
{
    bc_status status = reserve(index, count, key_bytes);
    bool less = count < index->promised;

    if (status == BITCASK_OK) status = bc_sort_reserve(&index->sort, count);
    if (status != BITCASK_OK) return bc_fail(status, "no memory to index %zu more keys", count);
    index->promised = count;
    index->promised_key_bytes = count > 0 ? key_bytes : 0;
    if (less) trim(index);
    return BITCASK_OK;
}

/* Only an insert uses it up: replaces may come in any number, and what they take of it is little. */
static void use_promise(struct bc_index *index, size_t key_size)
{
    if (index->promised > 0) index->promised--;
    index->promised_key_bytes -= key_size < index->promised_key_bytes ? key_size : index->promised_key_bytes;
    if (index->promised == 0) index->promised_key_bytes = 0;
}

static bc_status insert(struct bc_index *index, uint64_t hash, const void *key, size_t key_size,
                        const struct bc_entry *entry)
{
    uint32_t number = bc_entry_pool_count(&index->entries), key_ref;
    bc_status status = reserve(index, 1, key_size);

    if (status != BITCASK_OK) return status;
    key_ref = bc_key_arena_add(&index->keys, key, key_size);
    bc_entry_pool_add(&index->entries, key_ref, entry);
    status = bc_sort_insert(&index->sort, number);
    if (status != BITCASK_OK) {
        bc_entry_pool_remove(&index->entries, number);
        bc_key_arena_remove(&index->keys, key_ref);
        return status;
    }
    bc_hash_insert(&index->hash, hash, number);
    use_promise(index, key_size);
    return BITCASK_OK;
}

bc_status bc_index_put(struct bc_index *index, const void *key, size_t key_size, const struct bc_entry *entry,
                       bool *had, struct bc_entry *old)
{
    uint64_t hash;
    uint32_t number;
    bc_status status;

    if (key_size == 0 || key_size > BITCASK_NAME_MAX)
        return bc_fail(BITCASK_BAD_ARGUMENT, "a key of %zu bytes; 1 to 255 are possible", key_size);
    hash = bc_hash_key(key, key_size);
    number = find(index, hash, key, key_size);
    if (had != NULL) *had = number != BC_NONE;
    if (number == BC_NONE) {
        status = insert(index, hash, key, key_size, entry);
    } else {
        struct bc_entry before;
        bc_entry_pool_get(&index->entries, number, &before);
        status = bc_entry_pool_set(&index->entries, number, entry);
        if (status == BITCASK_OK && old != NULL) *old = before;
    }
    return status == BITCASK_OK ? status : bc_fail(status, "no memory to index another key");
}

/* The compaction has moved a key: its entry still names the old place. */
static void key_moved(void *context, const void *key, size_t key_size, uint32_t old_ref, uint32_t new_ref)
{
    struct bc_index *index = context;
    struct wanted wanted = {.index = index, .key_ref = old_ref};
    uint32_t number = bc_hash_find(&index->hash, bc_hash_key(key, key_size), has_key_ref, &wanted);

    bc_entry_pool_set_key(&index->entries, number, new_ref);
}

bc_status bc_index_remove(struct bc_index *index, const void *key, size_t key_size, struct bc_entry *old)
{
    enum { COMPACT_FACTOR = 8, COMPACT_LEAST = 256 };
    uint64_t hash = bc_hash_key(key, key_size);
    uint32_t number = find(index, hash, key, key_size), last = bc_entry_pool_count(&index->entries) - 1;
    size_t effort = key_size * COMPACT_FACTOR < COMPACT_LEAST ? COMPACT_LEAST : key_size * COMPACT_FACTOR;

    if (number == BC_NONE) return BITCASK_NOT_FOUND;
    if (old != NULL) bc_entry_pool_get(&index->entries, number, old);
    bc_sort_remove(&index->sort, number);
    bc_hash_remove(&index->hash, hash, number);
    bc_key_arena_remove(&index->keys, bc_entry_pool_key(&index->entries, number));
    if (number != last) {
        bc_sort_rename(&index->sort, last, number);
        bc_hash_rename(&index->hash, hash_of(index, last), last, number);
    }
    bc_entry_pool_remove(&index->entries, number);
    bc_key_arena_compact(&index->keys, effort, key_moved, index);
    trim(index);
    return BITCASK_OK;
}

size_t bc_index_count(const struct bc_index *index)
{
    return bc_entry_pool_count(&index->entries);
}

void bc_index_memory(const struct bc_index *index, size_t *total, size_t *key_bytes)
{
    *total = sizeof(*index) + bc_key_arena_memory(&index->keys) + bc_entry_pool_memory(&index->entries) +
             bc_hash_memory(&index->hash) + bc_sort_memory(&index->sort);
    *key_bytes = index->keys.key_size;
}

bc_status bc_index_seek(const struct bc_index *index, enum bc_seek seek, const void *key, size_t key_size,
                        uint8_t found[255], size_t *found_size, struct bc_entry *entry)
{
    struct bc_sort_place place;
    uint32_t number;
    size_t size;
    const uint8_t *bytes;

    if (!bc_sort_seek(&index->sort, seek, key, key_size, &place)) return BITCASK_NOT_FOUND;
    number = bc_sort_ref(&index->sort, &place);
    bytes = key_of(index, number, &size);
    memcpy(found, bytes, size);
    if (found_size != NULL) *found_size = size;
    if (entry != NULL) bc_entry_pool_get(&index->entries, number, entry);
    return BITCASK_OK;
}

void bc_index_walk(const struct bc_index *index, enum bc_seek seek, const void *key, size_t key_size, size_t max,
                   bool (*visit)(void *context, const void *key, size_t key_size, const struct bc_entry *entry),
                   void *context)
{
    bool back = seek == BC_SEEK_LE || seek == BC_SEEK_LT;
    struct bc_sort_place place;

    if (max == 0 || !bc_sort_seek(&index->sort, seek, key, key_size, &place)) return;
    do {
        uint32_t number = bc_sort_ref(&index->sort, &place);
        struct bc_entry entry;
        size_t size;
        const uint8_t *bytes = key_of(index, number, &size);

        bc_entry_pool_get(&index->entries, number, &entry);
        if (!visit(context, bytes, size, &entry)) return;
    } while (--max > 0 && bc_sort_step(&index->sort, back, &place));
}
