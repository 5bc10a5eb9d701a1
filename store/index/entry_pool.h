/* entry_pool.h - the entries of an index, packed: what is known of each key, 44 bytes for a plain one.
 *
 * Entries are numbered 0 to count - 1 without gaps: removing one moves the last into its place. What many keys share
 * (mode, uid, gid, flags and which attributes are present) is kept once, as a class. What few have (explicit ctime,
 * atime, expiry, inode and device number, a partition's id) is kept aside.
 *
 * Threads: get and key change nothing; the rest needs a writer alone.
 */
#ifndef BC_ENTRY_POOL_H
#define BC_ENTRY_POOL_H

#include "index/chunk_array.h"
#include "index/index.h"

enum { BC_CLASS_BUCKETS_MIN = 8 };

struct bc_entry_pool {
    struct bc_chunk_array entries;
    struct bc_chunk_array extras;  /* one for each entry that has rare members, without gaps */
    struct bc_chunk_array classes; /* those in use and, chained, free ones */
    uint32_t free_class;           /* first free class, or BC_NONE */
    uint32_t free_classes;         /* how many */
    uint32_t *buckets;             /* chains of classes by hash; few_buckets at first */
    uint32_t bucket_count;         /* a power of two */
    uint32_t few_buckets[BC_CLASS_BUCKETS_MIN];
};

/* The pool must not move in memory after this. */
void bc_entry_pool_init(struct bc_entry_pool *pool);
void bc_entry_pool_release(struct bc_entry_pool *pool);

/* Makes room for `count` calls of add and set. NO_MEMORY: nothing that counts has changed. */
bc_status bc_entry_pool_reserve(struct bc_entry_pool *pool, size_t count);

/* Number of entries; they are 0 to count - 1. */
static inline uint32_t bc_entry_pool_count(const struct bc_entry_pool *pool)
{
    return pool->entries.count;
}

/* Adds an entry, for which room was reserved; its number is the count before. */
void bc_entry_pool_add(struct bc_entry_pool *pool, uint32_t key_ref, const struct bc_entry *entry);

/* Replaces what is known of the key. Without room reserved it may fail with NO_MEMORY, but only where flags, mode,
 * uid, gid or the set of attributes change: nothing has changed then. */
bc_status bc_entry_pool_set(struct bc_entry_pool *pool, uint32_t number, const struct bc_entry *entry);

void bc_entry_pool_get(const struct bc_entry_pool *pool, uint32_t number, struct bc_entry *entry);

/* Removes an entry; the last one takes its number. Needs no memory. */
void bc_entry_pool_remove(struct bc_entry_pool *pool, uint32_t number);

/* The reference of an entry's key. */
uint32_t bc_entry_pool_key(const struct bc_entry_pool *pool, uint32_t number);
void bc_entry_pool_set_key(struct bc_entry_pool *pool, uint32_t number, uint32_t key_ref);

/* Gives memory back, but for `count` calls of add and set. */
void bc_entry_pool_trim(struct bc_entry_pool *pool, size_t count);

size_t bc_entry_pool_memory(const struct bc_entry_pool *pool); /* bytes allocated */

#endif
