/* overlay.h - what one directory is in memory and not yet in its log.
 *
 * Holds, in memcmp order, the names that exist only in memory (created and not committed, or moved here by a rename
 * that is still queued) and the whiteouts: names that the log still has although their file was moved away. What the
 * directory shows is the log, minus the whiteouts, plus the names here; where both have a name, the one here counts.
 *
 * A skip list: 20,000 files created in a row must not cost a search through all of them, and a listing starts in the
 * middle. Invariant: a name is in here at most once.
 * Threads: the directory's lock.
 */
#ifndef BCFS_OVERLAY_H
#define BCFS_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bcfs_inode;

#define BCFS_OVERLAY_LEVELS 16u

struct bcfs_overlay_entry {
    struct bcfs_inode *inode; /* not owned; NULL: a whiteout */
    const char *name;         /* behind next[], part of the same allocation */
    uint8_t name_size;
    uint8_t levels;
    struct bcfs_overlay_entry *next[];
};

struct bcfs_overlay {
    struct bcfs_overlay_entry *first[BCFS_OVERLAY_LEVELS];
    uint64_t random; /* decides the levels */
    size_t live;     /* entries with an inode */
    size_t whiteouts;
};

void bcfs_overlay_init(struct bcfs_overlay *overlay);

/* Frees all entries; the overlay is empty afterwards and may be used on. */
void bcfs_overlay_release(struct bcfs_overlay *overlay);

/* Puts name in, with its inode, or as a whiteout (NULL). What stood under name is replaced. False: no memory, nothing
 * changed; never where the name was there before. name_size: 1 to 255. */
bool bcfs_overlay_set(struct bcfs_overlay *overlay, const char *name, size_t name_size, struct bcfs_inode *inode);

/* Takes name out; nothing happens if it is not there. */
void bcfs_overlay_remove(struct bcfs_overlay *overlay, const char *name, size_t name_size);

/* The entry of name, NULL if none. Valid until the overlay is changed. */
const struct bcfs_overlay_entry *bcfs_overlay_get(const struct bcfs_overlay *overlay, const char *name,
                                                  size_t name_size);

/* The first entry behind name (an empty one: the very first), NULL at the end; the one after it is next[0]. */
const struct bcfs_overlay_entry *bcfs_overlay_after(const struct bcfs_overlay *overlay, const char *name,
                                                    size_t name_size);

/* The order of all listings: memcmp, and the shorter one first where one begins with the other. */
int bcfs_name_compare(const void *a, size_t a_size, const void *b, size_t b_size);

#endif
