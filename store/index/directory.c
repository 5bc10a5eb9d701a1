/* directory.c - see directory.h. */
#include "index/directory.h"

#include <stdlib.h>
#include <string.h>

static size_t size_for(uint32_t count)
{
    return sizeof(struct bc_directory) + count * (sizeof(uint64_t) + sizeof(_Atomic(struct bc_shard *)));
}

/* Sets what the lowest keys say. They ascend: what the first and the last have in common, all have. */
static void set_fronts(struct bc_directory *directory)
{
    const struct bc_shard *first, *last;

    directory->skip = 0;
    directory->fronts[0] = 0;
    if (directory->count < 2) return;
    first = bc_directory_at(directory, 1);
    last = bc_directory_at(directory, directory->count - 1);
    while (directory->skip < first->low_size && directory->skip < last->low_size &&
           first->low[directory->skip] == last->low[directory->skip])
        directory->skip++;
    memcpy(directory->common, first->low, directory->skip);
    for (uint32_t i = 1; i < directory->count; i++) {
        const struct bc_shard *shard = bc_directory_at(directory, i);
        directory->fronts[i] = bc_key_front(shard->low, shard->low_size, directory->skip);
    }
}

static struct bc_directory *alloc(uint32_t count)
{
    struct bc_directory *directory = bc_index_realloc(NULL, size_for(count));

    if (directory == NULL) return NULL;
    directory->count = count;
    directory->shards = (_Atomic(struct bc_shard *) *)(void *)(directory->fronts + count);
    return directory;
}

struct bc_directory *bc_directory_open(struct bc_shard *const *shards, uint32_t count)
{
    struct bc_directory *directory = alloc(count);

    if (directory == NULL) return NULL;
    for (uint32_t i = 0; i < count; i++) atomic_init(&directory->shards[i], shards[i]);
    set_fronts(directory);
    return directory;
}

struct bc_directory *bc_directory_exchange(const struct bc_directory *directory, uint32_t at, uint32_t gone,
                                           struct bc_shard *const *shards, uint32_t count)
{
    struct bc_directory *made = alloc(directory->count - gone + count);

    if (made == NULL) return NULL;
    for (uint32_t i = 0; i < made->count; i++) {
        struct bc_shard *shard;
        if (i < at)
            shard = bc_directory_at(directory, i);
        else if (i < at + count)
            shard = shards[i - at];
        else
            shard = bc_directory_at(directory, i - count + gone);
        atomic_init(&made->shards[i], shard);
    }
    set_fronts(made);
    return made;
}

void bc_directory_close(struct bc_directory *directory)
{
    free(directory);
}

static void release_directory(struct bc_retired *retired)
{
    free(retired);
}

void bc_directory_retire(struct bc_directory *directory)
{
    bc_rcu_retire(&directory->retired, release_directory);
}

/* Of the shards in [low, high), whose 8 bytes are those of the key: the last whose lowest key is not above it; low - 1
 * if there is none. */
static uint32_t find_equal(const struct bc_directory *directory, uint32_t low, uint32_t high, const void *key,
                           size_t key_size)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct bc_shard *shard = bc_directory_at(directory, middle);

        if (bc_key_compare(shard->low, shard->low_size, key, key_size) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

/* The first of fronts[1 .. count) that is at least `front`; count, if there is none. Written so that it compiles
 * without branches: which way each step goes cannot be predicted, and a wrong guess costs more than the step. */
static uint32_t bound(const struct bc_directory *directory, uint64_t front)
{
    const uint64_t *base = directory->fronts + 1;
    uint32_t count = directory->count - 1;

    while (count > 1) {
        uint32_t half = count / 2;

        base += half & -(uint32_t)(base[half - 1] < front);
        count -= half;
    }
    base += *base < front;
    return (uint32_t)(base - directory->fronts);
}

uint32_t bc_directory_find(const struct bc_directory *directory, const void *key, size_t key_size)
{
    uint32_t skip = directory->skip, low, high;
    uint64_t front;
    int order;

    if (directory->count == 1) return 0;
    order = memcmp(key, directory->common, skip < key_size ? skip : key_size);
    if (order < 0 || (order == 0 && key_size < skip)) return 0;
    if (order > 0) return directory->count - 1;
    front = bc_key_front(key, key_size, skip);
    low = bound(directory, front);
    if (low == directory->count || directory->fronts[low] != front) return low - 1;
    high = front == UINT64_MAX ? directory->count : bound(directory, front + 1);
    return find_equal(directory, low, high, key, key_size);
}

size_t bc_directory_memory(const struct bc_directory *directory)
{
    return size_for(directory->count);
}
