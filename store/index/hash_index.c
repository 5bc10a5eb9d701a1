/* hash_index.c - see hash_index.h.
 *
 * The place of a hash is its upper half scaled to the table's size, so any size will do, not only powers of two;
 * the tag is its lowest byte. Invariant: live + dead <= 7/8 of the places, so that every probe ends at an empty one.
 */
#include "index/hash_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { TAG_EMPTY = 0, TAG_DEAD = 1, TAG_FIRST = 2, PLACES_MIN = 8, PLACE_SIZE = sizeof(uint32_t) + 1 };

uint64_t bc_hash_key(const void *key, size_t key_size)
{
    return XXH3_64bits(key, key_size);
}

static uint8_t tag_of(uint64_t hash)
{
    uint8_t tag = (uint8_t)hash;
    return tag < TAG_FIRST ? (uint8_t)(tag + TAG_FIRST) : tag;
}

static uint64_t home_of(const struct bc_hash_index *index, uint64_t hash)
{
    return ((hash >> 32) * index->places) >> 32;
}

static uint64_t next_place(const struct bc_hash_index *index, uint64_t place)
{
    return place + 1 == index->places ? 0 : place + 1;
}

static uint64_t limit_of(uint64_t places)
{
    return places - places / 8;
}

void bc_hash_release(struct bc_hash_index *index)
{
    free(index->refs);
    *index = (struct bc_hash_index){0};
}

uint32_t bc_hash_find(const struct bc_hash_index *index, uint64_t hash,
                      bool (*match)(const void *context, uint32_t ref), const void *context)
{
    uint8_t tag = tag_of(hash);

    if (index->live == 0) return BC_NONE;
    for (uint64_t place = home_of(index, hash); index->tags[place] != TAG_EMPTY; place = next_place(index, place))
        if (index->tags[place] == tag && match(context, index->refs[place])) return index->refs[place];
    return BC_NONE;
}

static void place_ref(struct bc_hash_index *index, uint64_t hash, uint32_t ref)
{
    uint64_t place = home_of(index, hash);

    while (index->tags[place] >= TAG_FIRST) place = next_place(index, place);
    if (index->tags[place] == TAG_DEAD) index->dead--;
    index->tags[place] = tag_of(hash);
    index->refs[place] = ref;
    index->live++;
}

static bc_status rebuild(struct bc_hash_index *index, uint64_t places,
                         uint64_t (*hash_of)(const void *context, uint32_t ref), const void *context)
{
    struct bc_hash_index fresh = {.places = places};

    if (places > UINT32_MAX) return BITCASK_NO_MEMORY;
    fresh.refs = bc_index_realloc(NULL, places * PLACE_SIZE);
    if (fresh.refs == NULL) return BITCASK_NO_MEMORY;
    fresh.tags = (uint8_t *)(fresh.refs + places);
    memset(fresh.tags, TAG_EMPTY, places);
    for (uint32_t ref = 0; ref < index->live; ref++) place_ref(&fresh, hash_of(context, ref), ref);
    free(index->refs);
    *index = fresh;
    return BITCASK_OK;
}

/* The fewest places that hold count references, not above the limit. */
static uint64_t places_for(uint64_t count)
{
    uint64_t places = count + count / 7 + 1;
    return places < PLACES_MIN ? PLACES_MIN : places;
}

bc_status bc_hash_reserve(struct bc_hash_index *index, size_t more,
                          uint64_t (*hash_of)(const void *context, uint32_t ref), const void *context)
{
    uint64_t places = index->places;

    if (more > UINT32_MAX) return BITCASK_NO_MEMORY;
    if (index->places > 0 && index->live + index->dead + more <= limit_of(index->places)) return BITCASK_OK;
    /* With many dead places a table of the same size is room enough: and for a quarter of it, or this would be
     * due again at once. */
    if (index->live + more > limit_of(places) / 4 * 3) places += places / 2;
    if (places < places_for(index->live + more)) places = places_for(index->live + more);
    return rebuild(index, places, hash_of, context);
}

void bc_hash_trim(struct bc_hash_index *index, size_t more, uint64_t (*hash_of)(const void *context, uint32_t ref),
                  const void *context)
{
    uint64_t needed = index->live + more;

    if (needed == 0) {
        bc_hash_release(index);
    } else if (index->places > 64 && needed < index->places / 4) {
        /* Out of memory, the table stays as it is, and is as good. */
        (void)rebuild(index, index->places / 2, hash_of, context);
    }
}

void bc_hash_insert(struct bc_hash_index *index, uint64_t hash, uint32_t ref)
{
    assert(index->live + index->dead < index->places);
    place_ref(index, hash, ref);
}

/* The place of a reference that is there. */
static uint64_t place_of(const struct bc_hash_index *index, uint64_t hash, uint32_t ref)
{
    uint64_t place = home_of(index, hash);

    while (index->refs[place] != ref || index->tags[place] < TAG_FIRST) {
        assert(index->tags[place] != TAG_EMPTY);
        place = next_place(index, place);
    }
    return place;
}

void bc_hash_remove(struct bc_hash_index *index, uint64_t hash, uint32_t ref)
{
    uint64_t place = place_of(index, hash, ref);

    index->live--;
    index->dead++;
    index->tags[place] = TAG_DEAD;
    if (index->tags[next_place(index, place)] != TAG_EMPTY) return;
    /* No probe goes on beyond here: the dead places in front of an empty one are empty as well. */
    while (index->tags[place] == TAG_DEAD) {
        index->tags[place] = TAG_EMPTY;
        index->dead--;
        place = place == 0 ? index->places - 1 : place - 1;
    }
}

void bc_hash_rename(struct bc_hash_index *index, uint64_t hash, uint32_t ref, uint32_t new_ref)
{
    index->refs[place_of(index, hash, ref)] = new_ref;
}

size_t bc_hash_memory(const struct bc_hash_index *index)
{
    return index->places * PLACE_SIZE;
}
