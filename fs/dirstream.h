/* dirstream.h - positions in a directory, as telldir and seekdir use them.
 *
 * A position must outlive inserts and deletes in front of it, also the delete of the very name it stands behind, and
 * a mount without opendir has no stream to keep it in. So each name that was ever handed out in a listing of this
 * directory gets a number; resuming at a number means: the names behind that one. Numbers count from 0 without gaps.
 *
 * In a directory where names come and go that would grow for ever. So there are two tables: when the younger one has
 * twice as many names as the directory, and BCFS_POSITIONS_LEAST besides, it becomes the older one, and another begins,
 * whose numbers go on from there. A position is good until so many names are new after it, twice over.
 *
 * Threads: the directory's lock.
 */
#ifndef BCFS_DIRSTREAM_H
#define BCFS_DIRSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BCFS_POSITIONS_LEAST 65536u

struct bcfs_position_table {
    uint64_t base;  /* the number of its first name */
    uint8_t *arena; /* for each number: one byte of size, then the name */
    size_t arena_used;
    size_t arena_capacity;
    size_t *starts; /* number - base -> offset in the arena */
    uint32_t count;
    uint32_t starts_capacity;
    uint32_t *slots; /* open addressing: number - base + 1, 0 is free */
    uint32_t slots_capacity;
};

struct bcfs_positions {
    struct bcfs_position_table now, before;
    uint32_t limit; /* of names in `now`, before somebody looks whether there are too many */
};

void bcfs_positions_init(struct bcfs_positions *positions);
void bcfs_positions_release(struct bcfs_positions *positions);

/* The number of name, which gets the next one if it has none in the younger table. False: no memory (or 2^31 names);
 * nothing changed. name_size: 1 to 255. */
bool bcfs_positions_number(struct bcfs_positions *positions, const void *name, size_t name_size, uint64_t *number);

/* Whether somebody should say how many entries the directory has: bcfs_positions_trim(). */
bool bcfs_positions_are_many(const struct bcfs_positions *positions);

/* The directory has so many entries: begins another table, if the younger one has far more names. */
void bcfs_positions_trim(struct bcfs_positions *positions, uint64_t entries);

/* The name that has the number; false if none was given out so far, or it was too long ago. *name is valid until the
 * next call that adds, or trims. */
bool bcfs_positions_name(const struct bcfs_positions *positions, uint64_t number, const void **name, size_t *name_size);

#endif
