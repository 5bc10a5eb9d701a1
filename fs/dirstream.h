/* dirstream.h - positions in a directory, as telldir and seekdir use them.
 *
 * A position must outlive inserts and deletes in front of it, also the delete of the very name it stands behind, and
 * a mount without opendir has no stream to keep it in. So each name that was ever handed out in a listing of this
 * directory gets a number, for as long as the directory is known; resuming at a number means: the names behind that
 * one. Numbers count from 0 without gaps.
 *
 * Threads: the directory's lock.
 */
#ifndef BCFS_DIRSTREAM_H
#define BCFS_DIRSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bcfs_positions {
    uint8_t *arena; /* for each number: one byte of size, then the name */
    size_t arena_used;
    size_t arena_capacity;
    size_t *starts; /* number -> offset in the arena */
    uint32_t count;
    uint32_t starts_capacity;
    uint32_t *slots; /* open addressing: number + 1, 0 is free */
    uint32_t slots_capacity;
};

/* All zero is an empty table as well. */
void bcfs_positions_init(struct bcfs_positions *positions);
void bcfs_positions_release(struct bcfs_positions *positions);

/* The number of name, which gets the next one if it has none. False: no memory (or 2^31 names); nothing changed.
 * name_size: 1 to 255. */
bool bcfs_positions_number(struct bcfs_positions *positions, const void *name, size_t name_size, uint32_t *number);

/* The name that has the number; false if none was given out so far. *name is valid until the next call that adds. */
bool bcfs_positions_name(const struct bcfs_positions *positions, uint64_t number, const void **name, size_t *name_size);

#endif
