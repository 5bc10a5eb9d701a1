/* walk.c - the index in order, and what it says about itself.
 *
 * A walk goes through the shards of the directory as it was when it began. What has been replaced since stays readable
 * for as long as the read section lasts, and shows what was there then.
 */
#include "index/index_parts.h"

#include <string.h>

#include "base/rcu.h"

/* Whom a walk calls, and how often it still may. */
struct walk {
    const struct bc_index *index;
    size_t left;
    bool (*visit)(void *context, const void *key, size_t key_size, const struct bc_entry *entry);
    void *context;
};

static bool visit_place(struct walk *walk, const struct bc_shard *shard, uint32_t place)
{
    const uint8_t *packed = bc_shard_at(shard, place);
    struct bc_entry entry;

    if (packed == NULL) return true;
    bc_unpack(&walk->index->classes, packed, &entry);
    return walk->visit(walk->context, packed + 2, packed[0], &entry) && --walk->left > 0;
}

/* Visits those of a shard behind (back: before) a key; all with a key_size of 0. False: enough. */
static bc_status walk_shard(struct walk *walk, const struct bc_shard *shard, enum bc_seek seek, const void *key,
                            size_t key_size, bool *more)
{
    bool back = seek == BC_SEEK_LE || seek == BC_SEEK_LT, above = seek == BC_SEEK_GT || seek == BC_SEEK_LE;
    struct bc_sorted sorted;
    uint32_t at;
    bc_status status = bc_shard_sort(shard, true, &sorted);

    *more = true;
    if (status != BITCASK_OK) return status;
    if (key_size > 0)
        at = bc_sorted_seek(shard, &sorted, key, key_size, above);
    else
        at = back ? sorted.count : 0;
    if (back) {
        while (*more && at > 0) *more = visit_place(walk, shard, sorted.places[--at]);
    } else {
        while (*more && at < sorted.count) *more = visit_place(walk, shard, sorted.places[at++]);
    }
    bc_sorted_release(&sorted);
    return BITCASK_OK;
}

bc_status bc_index_walk(const struct bc_index *index, enum bc_seek seek, const void *key, size_t key_size, size_t max,
                        bool (*visit)(void *context, const void *key, size_t key_size, const struct bc_entry *entry),
                        void *context)
{
    bool back = seek == BC_SEEK_LE || seek == BC_SEEK_LT, more = max > 0;
    struct walk walk = {.index = index, .left = max, .visit = visit, .context = context};
    const struct bc_directory *directory;
    bc_status status = BITCASK_OK;
    uint32_t at;

    /* For the partition's writer, too: its lock keeps everything in place but the views, which readers replace. */
    bc_rcu_read_lock();
    directory = bc_index_directory(index);
    at = back ? directory->count - 1 : 0;
    if (key_size > 0) at = bc_directory_find(directory, key, key_size);
    while (status == BITCASK_OK && more) {
        status = walk_shard(&walk, bc_directory_at(directory, at), seek, key, key_size, &more);
        /* Beyond the key's own shard all that there is lies on the right side of it. */
        key_size = 0;
        if (at == (back ? 0 : directory->count - 1)) break;
        at = back ? at - 1 : at + 1;
    }
    bc_rcu_read_unlock();
    return status;
}

/* What a seek wants to be told. */
struct found {
    uint8_t *key;
    size_t key_size;
    struct bc_entry *entry;
};

static bool note_found(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct found *found = context;

    memcpy(found->key, key, key_size);
    found->key_size = key_size;
    if (found->entry != NULL) *found->entry = *entry;
    return false;
}

bc_status bc_index_seek(const struct bc_index *index, enum bc_seek seek, const void *key, size_t key_size,
                        uint8_t found[255], size_t *found_size, struct bc_entry *entry)
{
    struct found first = {.key = found, .entry = entry};
    uint8_t wanted[255];
    bc_status status;

    /* found may be the same memory as key, which the walk still reads. */
    if (key_size > sizeof(wanted)) return bc_fail(BITCASK_BAD_ARGUMENT, "a key of %zu bytes", key_size);
    if (key_size > 0) memcpy(wanted, key, key_size);
    status = bc_index_walk(index, seek, wanted, key_size, 1, note_found, &first);
    if (status != BITCASK_OK) return status;
    if (first.key_size == 0) return BITCASK_NOT_FOUND;
    if (found_size != NULL) *found_size = first.key_size;
    return BITCASK_OK;
}

size_t bc_index_count(const struct bc_index *index)
{
    return atomic_load_explicit(&index->count, memory_order_relaxed);
}

void bc_index_memory(const struct bc_index *index, size_t *total, size_t *key_bytes)
{
    const struct bc_directory *directory;
    size_t views = 0;

    bc_rcu_read_lock();
    directory = bc_index_directory(index);
    for (uint32_t i = 0; i < directory->count; i++) views += bc_shard_view_memory(bc_directory_at(directory, i));
    bc_rcu_read_unlock();
    *total = sizeof(*index) + atomic_load_explicit(&index->memory, memory_order_relaxed) + views;
    *total += bc_classes_memory(&index->classes);
    *key_bytes = atomic_load_explicit(&index->key_bytes, memory_order_relaxed);
}
