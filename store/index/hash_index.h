/* hash_index.h - from the hash of a key to its reference: open addressing, linear probing, 8-bit tags.
 *
 * Holds 32-bit references and one byte of tag each, 5 bytes a place and no key: who calls it compares keys. The
 * table is at most 7/8 full and grows by half, so it costs 6 to 9 bytes a key.
 *
 * Threads: find changes nothing; the rest needs a writer alone.
 */
#ifndef BC_HASH_INDEX_H
#define BC_HASH_INDEX_H

#include "index/chunk_array.h"

/* The hash of a key: XXH3, 64 bits. */
uint64_t bc_hash_key(const void *key, size_t key_size);

struct bc_hash_index {
    uint32_t *refs; /* `places` references; the tags stand in the same memory, behind them */
    uint8_t *tags;  /* 0 empty, 1 dead, else 8 bits of the hash */
    uint64_t places;
    uint64_t live;
    uint64_t dead; /* places whose reference was removed, and that a probe must pass */
};

/* All zero is an empty index. */
void bc_hash_release(struct bc_hash_index *index);

/* The reference with this hash that match() accepts, or BC_NONE. match sees few but the right one: tags differ. */
uint32_t bc_hash_find(const struct bc_hash_index *index, uint64_t hash,
                      bool (*match)(const void *context, uint32_t ref), const void *context);

/* Makes room for `more` inserts. When the table must be built anew, hash_of() gives the hash of each reference, and
 * the references are 0 to live - 1. NO_MEMORY: unchanged. */
bc_status bc_hash_reserve(struct bc_hash_index *index, size_t more,
                          uint64_t (*hash_of)(const void *context, uint32_t ref), const void *context);

/* Halves a table that is mostly empty, leaving room for `more` inserts. Without memory for it nothing happens. */
void bc_hash_trim(struct bc_hash_index *index, size_t more, uint64_t (*hash_of)(const void *context, uint32_t ref),
                  const void *context);

/* Inserts a reference that is not there; room was reserved. */
void bc_hash_insert(struct bc_hash_index *index, uint64_t hash, uint32_t ref);

/* Removes, and renames, a reference that is there. */
void bc_hash_remove(struct bc_hash_index *index, uint64_t hash, uint32_t ref);
void bc_hash_rename(struct bc_hash_index *index, uint64_t hash, uint32_t ref, uint32_t new_ref);

size_t bc_hash_memory(const struct bc_hash_index *index); /* bytes allocated */

#endif
