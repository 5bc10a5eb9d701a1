/* chunk_array.h - an array of equal items in chunks, numbered densely from 0, that grows without moving much.
 *
 * The first chunk grows by doubling, so that a small index costs little; later ones come whole, so that a large
 * one never copies itself. Items are named by 32-bit number. Only the first chunk ever moves: an item is where it is
 * until the next reserve or trim.
 */
#ifndef BC_CHUNK_ARRAY_H
#define BC_CHUNK_ARRAY_H

#include "base/status.h"

#define BC_NONE UINT32_MAX /* no item */

/* All memory of this floor comes from here: realloc(3), size not 0; free(3) gives it back. Weak, so that a test
 * can put its own in place and refuse. */
void *bc_index_realloc(void *memory, size_t size);

struct bc_chunk_array {
    uint8_t **chunks;
    uint32_t chunk_count; /* chunks allocated */
    uint32_t chunk_room;  /* room in chunks */
    uint32_t first_room;  /* items that fit into the first chunk */
    uint32_t item_size;   /* bytes */
    uint32_t shift;       /* a whole chunk holds 1 << shift items */
    uint32_t count;       /* items in use: 0 to count - 1 */
};

void bc_chunk_array_init(struct bc_chunk_array *array, size_t item_size);
void bc_chunk_array_release(struct bc_chunk_array *array);

/* Makes room for `more` items beyond count. NO_MEMORY: nothing that counts has changed. */
bc_status bc_chunk_array_reserve(struct bc_chunk_array *array, size_t more);

/* Gives memory back that neither the items in use nor the next `more` need. Keeps some spare, so that a count that
 * swings around a chunk's end does not allocate each time. */
void bc_chunk_array_trim(struct bc_chunk_array *array, size_t more);

size_t bc_chunk_array_memory(const struct bc_chunk_array *array); /* bytes allocated */

/* Items that fit without allocating. */
static inline size_t bc_chunk_array_room(const struct bc_chunk_array *array)
{
    return array->chunk_count <= 1 ? array->first_room : (size_t)array->chunk_count << array->shift;
}

static inline void *bc_chunk_array_at(const struct bc_chunk_array *array, uint32_t item)
{
    return array->chunks[item >> array->shift] + (size_t)(item & ((1u << array->shift) - 1)) * array->item_size;
}

#endif
