/* sort_index.h - the order of the keys: a B+tree of references.
 *
 * Leaves hold up to 64 references in key order and are linked both ways by 32-bit number; the nodes above hold, for
 * each child, the reference of the smallest key below it. No key is kept here: key_of gives the bytes of one. Keys
 * inserted in ascending order leave full leaves behind, keys in random order leave them about 70 % full.
 *
 * Threads: seek and step change nothing; the rest needs a writer alone.
 */
#ifndef BC_SORT_INDEX_H
#define BC_SORT_INDEX_H

#include "index/chunk_array.h"
#include "index/index.h"

/* The bytes of the key with this reference, and its size. */
typedef const uint8_t *(*bc_key_of)(const void *context, uint32_t ref, size_t *key_size);

struct bc_sort_index {
    struct bc_chunk_array leaves;
    struct bc_chunk_array inners;
    uint32_t root;
    uint32_t height; /* levels; 0 is an empty tree, 1 a single leaf */
    bc_key_of key_of;
    const void *context;
};

/* Where a reference stands; valid until the tree changes. */
struct bc_sort_place {
    uint32_t leaf;
    uint32_t at;
};

/* Key order: memcmp, and the shorter first where one begins the other. */
int bc_key_compare(const void *a, size_t a_size, const void *b, size_t b_size);

void bc_sort_init(struct bc_sort_index *index, bc_key_of key_of, const void *context);
void bc_sort_release(struct bc_sort_index *index);

/* Makes sure that the next `count` inserts cannot fail, whatever is removed between them. NO_MEMORY: unchanged. */
bc_status bc_sort_reserve(struct bc_sort_index *index, size_t count);

/* Inserts the reference of a key that is not there; key_of must know it. NO_MEMORY: unchanged; does not happen
 * where room was reserved. */
bc_status bc_sort_insert(struct bc_sort_index *index, uint32_t ref);

/* Removes, and renames, a reference that is there; key_of must still know it, and any other. */
void bc_sort_remove(struct bc_sort_index *index, uint32_t ref);
void bc_sort_rename(struct bc_sort_index *index, uint32_t ref, uint32_t new_ref);

/* Goes to where bc_index_seek() describes; false if there is no such key. */
bool bc_sort_seek(const struct bc_sort_index *index, enum bc_seek seek, const void *key, size_t key_size,
                  struct bc_sort_place *place);

/* One key on, or back; false, and place unchanged, at the end. */
bool bc_sort_step(const struct bc_sort_index *index, bool back, struct bc_sort_place *place);

uint32_t bc_sort_ref(const struct bc_sort_index *index, const struct bc_sort_place *place);

/* Gives memory back, but for the next `count` inserts. */
void bc_sort_trim(struct bc_sort_index *index, size_t count);

size_t bc_sort_memory(const struct bc_sort_index *index); /* bytes allocated */

#endif
