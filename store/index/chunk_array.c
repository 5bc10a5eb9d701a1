/* chunk_array.c - see chunk_array.h.
 *
 * Invariant: chunks behind the first exist only once the first is whole, so an item's place follows from its
 * number alone.
 */
#include "index/chunk_array.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 64 * 1024, FIRST_SIZE = 256 };

__attribute__((weak)) void *bc_index_realloc(void *memory, size_t size)
{
    return realloc(memory, size);
}

void bc_chunk_array_init(struct bc_chunk_array *array, size_t item_size)
{
    *array = (struct bc_chunk_array){.item_size = (uint32_t)item_size};
    while (((size_t)2 << array->shift) * item_size <= CHUNK_SIZE) array->shift++;
}

void bc_chunk_array_release(struct bc_chunk_array *array)
{
    for (uint32_t i = 0; i < array->chunk_count; i++) free(array->chunks[i]);
    free(array->chunks);
    bc_chunk_array_init(array, array->item_size);
}

/* Makes the first chunk hold at least `wanted` items, at most a whole chunk. */
static bc_status grow_first(struct bc_chunk_array *array, size_t wanted)
{
    uint32_t room = array->first_room == 0 ? FIRST_SIZE / array->item_size + 1 : array->first_room;
    uint8_t *chunk;

    if (array->chunks == NULL) {
        array->chunks = bc_index_realloc(NULL, sizeof(*array->chunks));
        if (array->chunks == NULL) return BITCASK_NO_MEMORY;
        array->chunk_room = 1;
    }
    while (room < wanted && room < 1u << array->shift) room *= 2;
    if (room > 1u << array->shift) room = 1u << array->shift;
    chunk = bc_index_realloc(array->chunk_count > 0 ? array->chunks[0] : NULL, (size_t)room * array->item_size);
    if (chunk == NULL) return BITCASK_NO_MEMORY;
    array->chunks[0] = chunk;
    array->chunk_count = 1;
    array->first_room = room;
    return BITCASK_OK;
}

static bc_status add_chunk(struct bc_chunk_array *array)
{
    uint8_t *chunk;

    if (array->chunk_count == array->chunk_room) {
        uint32_t room = array->chunk_room * 2;
        uint8_t **chunks = bc_index_realloc(array->chunks, room * sizeof(*chunks));
        if (chunks == NULL) return BITCASK_NO_MEMORY;
        array->chunks = chunks;
        array->chunk_room = room;
    }
    chunk = bc_index_realloc(NULL, ((size_t)1 << array->shift) * array->item_size);
    if (chunk == NULL) return BITCASK_NO_MEMORY;
    array->chunks[array->chunk_count++] = chunk;
    return BITCASK_OK;
}

bc_status bc_chunk_array_reserve(struct bc_chunk_array *array, size_t more)
{
    uint32_t whole = 1u << array->shift;
    size_t wanted;
    bc_status status = BITCASK_OK;

    if (more >= BC_NONE - array->count) return BITCASK_NO_MEMORY;
    wanted = array->count + more;
    if (wanted <= bc_chunk_array_room(array)) return BITCASK_OK;
    if (array->first_room < whole) status = grow_first(array, wanted);
    while (status == BITCASK_OK && bc_chunk_array_room(array) < wanted) status = add_chunk(array);
    return status;
}

void bc_chunk_array_trim(struct bc_chunk_array *array, size_t more)
{
    uint32_t whole = 1u << array->shift;
    size_t keep = array->count + more;

    if (keep == 0) {
        bc_chunk_array_release(array);
        return;
    }
    while (array->chunk_count > 1 && keep + whole / 2 <= (size_t)(array->chunk_count - 1) << array->shift)
        free(array->chunks[--array->chunk_count]);
    if (array->chunk_count == 1 && keep < array->first_room / 4) {
        uint32_t room = array->first_room / 2;
        uint8_t *chunk = bc_index_realloc(array->chunks[0], (size_t)room * array->item_size);
        if (chunk == NULL) return;
        array->chunks[0] = chunk;
        array->first_room = room;
    }
}

size_t bc_chunk_array_memory(const struct bc_chunk_array *array)
{
    return bc_chunk_array_room(array) * array->item_size + array->chunk_room * sizeof(*array->chunks);
}
