/* dirstream.c - the table of positions: names in an arena, found by number and by hash. */
#include "dirstream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FIRST_SLOTS 256u
#define MOST_NAMES ((uint32_t)1 << 31)

void bcfs_positions_init(struct bcfs_positions *positions)
{
    memset(positions, 0, sizeof(*positions));
}

void bcfs_positions_release(struct bcfs_positions *positions)
{
    free(positions->arena);
    free(positions->starts);
    free(positions->slots);
    bcfs_positions_init(positions);
}

static bool grow_arena(struct bcfs_positions *positions, size_t more)
{
    size_t capacity = positions->arena_capacity;
    uint8_t *arena = NULL;

    if (positions->arena_used + more <= capacity) return true;
    capacity = capacity == 0 ? 4096 : capacity * 2;
    arena = realloc(positions->arena, capacity);
    if (arena == NULL) return false;
    positions->arena = arena;
    positions->arena_capacity = capacity;
    return true;
}

static bool grow_starts(struct bcfs_positions *positions)
{
    uint32_t capacity = positions->starts_capacity;
    size_t *starts = NULL;

    if (positions->count < capacity) return true;
    if (capacity >= MOST_NAMES) return false;
    capacity = capacity == 0 ? FIRST_SLOTS : capacity * 2;
    starts = realloc(positions->starts, capacity * sizeof(*starts));
    if (starts == NULL) return false;
    positions->starts = starts;
    positions->starts_capacity = capacity;
    return true;
}

static void name_of(const struct bcfs_positions *positions, uint32_t number, const void **name, size_t *name_size)
{
    const uint8_t *at = positions->arena + positions->starts[number];

    *name_size = at[0];
    *name = at + 1;
}

/* The slot of name, or the free one where it belongs. The table is never full. */
static uint32_t find_slot(const struct bcfs_positions *positions, const void *name, size_t name_size)
{
    uint32_t mask = positions->slots_capacity - 1;
    uint32_t slot = (uint32_t)XXH3_64bits(name, name_size) & mask;

    for (; positions->slots[slot] != 0; slot = (slot + 1) & mask) {
        const void *other = NULL;
        size_t other_size = 0;

        name_of(positions, positions->slots[slot] - 1, &other, &other_size);
        if (other_size == name_size && memcmp(other, name, name_size) == 0) break;
    }
    return slot;
}

static bool grow_slots(struct bcfs_positions *positions)
{
    uint32_t capacity = positions->slots_capacity;
    uint32_t *old = positions->slots;
    uint32_t *slots = NULL;

    if ((uint64_t)positions->count * 4 < (uint64_t)capacity * 3) return true;
    if (capacity >= MOST_NAMES) return false;
    capacity = capacity == 0 ? FIRST_SLOTS : capacity * 2;
    slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL) return false;
    positions->slots = slots;
    positions->slots_capacity = capacity;
    for (uint32_t number = 0; number < positions->count; number++) {
        const void *name = NULL;
        size_t name_size = 0;

        name_of(positions, number, &name, &name_size);
        slots[find_slot(positions, name, name_size)] = number + 1;
    }
    free(old);
    return true;
}

bool bcfs_positions_number(struct bcfs_positions *positions, const void *name, size_t name_size, uint32_t *number)
{
    uint32_t slot = 0;

    assert(name_size >= 1 && name_size <= UINT8_MAX);
    if (!grow_slots(positions)) return false;
    slot = find_slot(positions, name, name_size);
    if (positions->slots[slot] == 0) {
        if (!grow_arena(positions, name_size + 1) || !grow_starts(positions)) return false;
        positions->starts[positions->count] = positions->arena_used;
        positions->arena[positions->arena_used] = (uint8_t)name_size;
        memcpy(positions->arena + positions->arena_used + 1, name, name_size);
        positions->arena_used += name_size + 1;
        positions->count++;
        positions->slots[slot] = positions->count;
    }
    *number = positions->slots[slot] - 1;
    return true;
}

bool bcfs_positions_name(const struct bcfs_positions *positions, uint64_t number, const void **name, size_t *name_size)
{
    if (number >= positions->count) return false;
    name_of(positions, (uint32_t)number, name, name_size);
    return true;
}
