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
    positions->limit = BCFS_POSITIONS_LEAST;
}

static void release(struct bcfs_position_table *table)
{
    free(table->arena);
    free(table->starts);
    free(table->slots);
}

void bcfs_positions_release(struct bcfs_positions *positions)
{
    release(&positions->now);
    release(&positions->before);
    bcfs_positions_init(positions);
}

static bool grow_arena(struct bcfs_position_table *table, size_t more)
{
    size_t capacity = table->arena_capacity;
    uint8_t *arena = NULL;

    if (table->arena_used + more <= capacity) return true;
    capacity = capacity == 0 ? 4096 : capacity * 2;
    arena = realloc(table->arena, capacity);
    if (arena == NULL) return false;
    table->arena = arena;
    table->arena_capacity = capacity;
    return true;
}

static bool grow_starts(struct bcfs_position_table *table)
{
    uint32_t capacity = table->starts_capacity;
    size_t *starts = NULL;

    if (table->count < capacity) return true;
    if (capacity >= MOST_NAMES) return false;
    capacity = capacity == 0 ? FIRST_SLOTS : capacity * 2;
    starts = realloc(table->starts, capacity * sizeof(*starts));
    if (starts == NULL) return false;
    table->starts = starts;
    table->starts_capacity = capacity;
    return true;
}

static void name_of(const struct bcfs_position_table *table, uint32_t number, const void **name, size_t *name_size)
{
    const uint8_t *at = table->arena + table->starts[number];

    *name_size = at[0];
    *name = at + 1;
}

/* The slot of name, or the free one where it belongs. The table is never full. */
static uint32_t find_slot(const struct bcfs_position_table *table, const void *name, size_t name_size)
{
    uint32_t mask = table->slots_capacity - 1;
    uint32_t slot = (uint32_t)XXH3_64bits(name, name_size) & mask;

    for (; table->slots[slot] != 0; slot = (slot + 1) & mask) {
        const void *other = NULL;
        size_t other_size = 0;

        name_of(table, table->slots[slot] - 1, &other, &other_size);
        if (other_size == name_size && memcmp(other, name, name_size) == 0) break;
    }
    return slot;
}

static bool grow_slots(struct bcfs_position_table *table)
{
    uint32_t capacity = table->slots_capacity;
    uint32_t *old = table->slots;
    uint32_t *slots = NULL;

    if ((uint64_t)table->count * 4 < (uint64_t)capacity * 3) return true;
    if (capacity >= MOST_NAMES) return false;
    capacity = capacity == 0 ? FIRST_SLOTS : capacity * 2;
    slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL) return false;
    table->slots = slots;
    table->slots_capacity = capacity;
    for (uint32_t number = 0; number < table->count; number++) {
        const void *name = NULL;
        size_t name_size = 0;

        name_of(table, number, &name, &name_size);
        slots[find_slot(table, name, name_size)] = number + 1;
    }
    free(old);
    return true;
}

bool bcfs_positions_number(struct bcfs_positions *positions, const void *name, size_t name_size, uint64_t *number)
{
    struct bcfs_position_table *table = &positions->now;
    uint32_t slot = 0;

    assert(name_size >= 1 && name_size <= UINT8_MAX);
    if (!grow_slots(table)) return false;
    slot = find_slot(table, name, name_size);
    if (table->slots[slot] == 0) {
        if (!grow_arena(table, name_size + 1) || !grow_starts(table)) return false;
        table->starts[table->count] = table->arena_used;
        table->arena[table->arena_used] = (uint8_t)name_size;
        memcpy(table->arena + table->arena_used + 1, name, name_size);
        table->arena_used += name_size + 1;
        table->count++;
        table->slots[slot] = table->count;
    }
    *number = table->base + table->slots[slot] - 1;
    return true;
}

bool bcfs_positions_are_many(const struct bcfs_positions *positions)
{
    return positions->now.count >= positions->limit;
}

void bcfs_positions_trim(struct bcfs_positions *positions, uint64_t entries)
{
    uint64_t most = entries < MOST_NAMES / 4 ? entries * 2 : MOST_NAMES / 2;

    if (most < BCFS_POSITIONS_LEAST) most = BCFS_POSITIONS_LEAST;
    if (positions->now.count >= most) {
        release(&positions->before);
        positions->before = positions->now;
        positions->now = (struct bcfs_position_table){.base = positions->before.base + positions->before.count};
        most = BCFS_POSITIONS_LEAST;
    }
    positions->limit = (uint32_t)most;
}

bool bcfs_positions_name(const struct bcfs_positions *positions, uint64_t number, const void **name, size_t *name_size)
{
    const struct bcfs_position_table *table = number < positions->now.base ? &positions->before : &positions->now;

    if (number < table->base || number - table->base >= table->count) return false;
    name_of(table, (uint32_t)(number - table->base), name, name_size);
    return true;
}
