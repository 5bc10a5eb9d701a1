/* build.c - see build.h. */
#include "index/build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bc_status gather_shard(const struct bc_shard *shard, struct bc_entries *entries)
{
    struct bc_sorted sorted;
    bc_status status;

    /* The order of a view that readers may exchange meanwhile: it stays within a read section. */
    bc_rcu_read_lock();
    status = bc_shard_sort(shard, false, &sorted);
    for (uint32_t i = 0; status == BITCASK_OK && i < sorted.count; i++) {
        const uint8_t *packed = bc_shard_at(shard, sorted.places[i]);
        if (packed != NULL) entries->packed[entries->count++] = packed;
    }
    bc_sorted_release(&sorted);
    bc_rcu_read_unlock();
    return status;
}

bc_status bc_entries_gather(struct bc_shard *const *shards, uint32_t count, struct bc_entries *entries)
{
    uint32_t live = 0;
    bc_status status = BITCASK_OK;

    *entries = (struct bc_entries){0};
    for (uint32_t i = 0; i < count; i++) live += shards[i]->live;
    entries->packed = bc_index_realloc(NULL, (live + 1) * sizeof(*entries->packed));
    if (entries->packed == NULL) return BITCASK_NO_MEMORY;
    for (uint32_t i = 0; i < count && status == BITCASK_OK; i++) status = gather_shard(shards[i], entries);
    if (status != BITCASK_OK) bc_entries_release(entries);
    return status;
}

void bc_entries_release(struct bc_entries *entries)
{
    free((void *)entries->packed);
    *entries = (struct bc_entries){0};
}

struct bc_shard *bc_build(uint64_t seed, const struct bc_entries *entries, uint32_t from, uint32_t to, const void *low,
                          size_t low_size, uint32_t more, uint32_t more_bytes)
{
    uint32_t live = to - from, room = bc_shard_room_for(live), bytes = 0;
    struct bc_shard *shard;

    if (room > BC_SHARD_ROOM_MAX) room = BC_SHARD_ROOM_MAX;
    if (room < live + more) room = live + more;
    if (room > BC_SHARD_ROOM_MAX) return NULL;
    for (uint32_t i = from; i < to; i++) bytes += bc_packed_size(entries->packed[i]);
    shard = bc_shard_open(low, low_size, room, bytes + more_bytes);
    if (shard == NULL) return NULL;
    for (uint32_t i = from; i < to; i++) {
        const uint8_t *packed = entries->packed[i];
        if (!bc_shard_reserve(shard, 1, bc_packed_size(packed))) goto fail;
        bc_shard_append(shard, seed, packed);
    }
    if (more > 0 && !bc_shard_reserve(shard, more, more_bytes)) goto fail;
    return shard;

fail:
    bc_shard_close(shard);
    return NULL;
}

/* Puts the live ones of these places into the wider table, behind those that are in it. */
static void take_places(struct bc_shard *wider, const struct bc_shard *shard, uint64_t seed, const uint16_t *places,
                        uint32_t count)
{
    uint32_t used = atomic_load_explicit(&wider->used, memory_order_relaxed);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = atomic_load_explicit(&shard->places[places[i]], memory_order_relaxed), at;
        const uint8_t *packed;

        if (word <= UINT8_MAX) continue;
        packed = bc_shard_entry(shard, word);
        at = bc_shard_empty_place(wider, bc_shard_hash(seed, packed + 2, packed[0]));
        atomic_store_explicit(&wider->places[at], word, memory_order_relaxed);
        wider->order[used++] = (uint16_t)at;
    }
    atomic_store_explicit(&wider->used, used, memory_order_relaxed);
}

/* All of them: first those that are in order, then the rest as they came. */
static void take_all(struct bc_shard *wider, const struct bc_shard *shard, uint64_t seed)
{
    uint32_t used = atomic_load_explicit(&shard->used, memory_order_relaxed);
    uint32_t sorted = atomic_load_explicit(&shard->sorted, memory_order_relaxed);
    const struct bc_view *view;

    /* Readers may exchange the view meanwhile. */
    bc_rcu_read_lock();
    view = atomic_load_explicit(&shard->view, memory_order_acquire);
    if (view != NULL && view->covers > sorted) {
        sorted = view->covers;
        take_places(wider, shard, seed, view->places, view->count);
    } else {
        take_places(wider, shard, seed, shard->order, sorted);
    }
    bc_rcu_read_unlock();
    atomic_store_explicit(&wider->sorted, atomic_load_explicit(&wider->used, memory_order_relaxed),
                          memory_order_relaxed);
    take_places(wider, shard, seed, shard->order + sorted, used - sorted);
}

struct bc_shard *bc_build_wider(struct bc_shard *shard, uint64_t seed, uint32_t room)
{
    uint32_t chunk_room = shard->chunk_count + shard->chunk_count / 4 + 4;
    struct bc_shard *wider;

    assert(shard->image == NULL && room >= shard->live);
    wider = bc_shard_open_bare(shard->low, shard->low_size, room, chunk_room);
    if (wider == NULL) return NULL;
    for (uint32_t i = 0; i < shard->chunk_count; i++)
        atomic_store_explicit(&wider->chunks[i], atomic_load_explicit(&shard->chunks[i], memory_order_relaxed),
                              memory_order_relaxed);
    wider->chunk_count = shard->chunk_count;
    wider->first_size = shard->first_size;
    wider->end = shard->end;
    wider->memory += (shard->chunk_count - 1) * (sizeof(struct bc_block) + BC_CHUNK_SIZE) + sizeof(struct bc_block) +
                     shard->first_size;
    wider->live = shard->live;
    wider->garbage = shard->garbage;
    wider->key_bytes = shard->key_bytes;
    take_all(wider, shard, seed);
    shard->keeps_chunks = true;
    return wider;
}
