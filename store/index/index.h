/* index.h - the index of one partition: from key to the latest record, by hash and in order.
 *
 * Holds all that get, stat and a listing need without touching a data file: where the record is, its sizes, its
 * version and the attributes that stat shows. Memory only. Keys are opaque bytes, 1 to 255, ordered by memcmp;
 * internal keys (that begin with NUL) are kept like any other.
 *
 * Threads: one writer at a time (the partition's write lock sees to it) beside any number of readers. get, seek and
 * walk take no lock, wait for nobody and see each key always, also while the index grows, splits or compacts: they are
 * called within a read section (base/rcu.h), or by the writer. count and memory may be called by any.
 */
#ifndef BC_INDEX_H
#define BC_INDEX_H

#include "base/status.h"

enum {
    BC_ENTRY_PARTITION = 1u << 0,  /* value_size is 8, child_id the partition's id */
    BC_ENTRY_HAS_XATTRS = 1u << 1, /* the record holds extended attributes; read it for them */
    BC_ENTRY_LINK = 1u << 2,       /* value_size is 8, child_id the number of an inode */
};

/* What the index knows of a key, unpacked. */
struct bc_entry {
    uint32_t slot;        /* which segment, by the partition's slot number */
    uint32_t offset;      /* of the record, bytes */
    uint32_t record_size; /* whole record, bytes */
    uint32_t value_size;
    uint16_t flags; /* BC_ENTRY_* */
    uint64_t version;
    uint64_t child_id;   /* of a partition, or a link */
    bitcask_attrs attrs; /* as in the record, without xattrs */
};

struct bc_index;

/* The hash of a key that filters and hints use: XXH3, 64 bits, no seed. */
uint64_t bc_hash_key(const void *key, size_t key_size);

/* Key order: memcmp, and the shorter first where one begins the other. */
int bc_key_compare(const void *a, size_t a_size, const void *b, size_t b_size);

/* seed: unpredictable, so that nobody can choose names that collide in the index. */
bc_status bc_index_open(uint64_t seed, struct bc_index **index);

/* No reader may be in it any more: they had ended, or a grace period has passed. */
void bc_index_close(struct bc_index **index);

/* NOT_FOUND, or OK with *entry filled in (entry may be NULL). */
bc_status bc_index_get(const struct bc_index *index, const void *key, size_t key_size, struct bc_entry *entry);

/* Makes sure that putting these `count` keys, in any order, once each, cannot fail, if no other put or remove comes
 * between: called before the log is appended to, since what is in the log must get into the index. key_of gives key
 * i and its size. NO_MEMORY: the index holds what it held. */
bc_status bc_index_prepare(struct bc_index *index, size_t count,
                           const void *(*key_of)(const void *context, size_t i, size_t *key_size), const void *context);

/* Inserts or replaces. *had says whether there was one, *old (may be NULL) what it was. Attributes that are not present
 * come back as 0, xattrs are not kept. NO_MEMORY: nothing has changed; does not happen to a prepared key. */
bc_status bc_index_put(struct bc_index *index, const void *key, size_t key_size, const struct bc_entry *entry,
                       bool *had, struct bc_entry *old);

/* Removes; NOT_FOUND if absent. *old (may be NULL) is what it was. Cannot fail for want of memory. */
bc_status bc_index_remove(struct bc_index *index, const void *key, size_t key_size, struct bc_entry *old);

/* Number of keys, internal ones included. */
size_t bc_index_count(const struct bc_index *index);

/* Bytes of memory held, and of these the bytes of live keys. */
void bc_index_memory(const struct bc_index *index, size_t *total, size_t *key_bytes);

enum bc_seek { BC_SEEK_GE, BC_SEEK_GT, BC_SEEK_LE, BC_SEEK_LT };

/* The first key at or after (GE), after (GT), the last at or before (LE), before (LT) key; an empty key (size 0)
 * stands before all, and with LE or LT behind all. Copies the key into found[255], its size and entry (each may be
 * NULL but found). NOT_FOUND if there is none; NO_MEMORY. O(log n). */
bc_status bc_index_seek(const struct bc_index *index, enum bc_seek seek, const void *key, size_t key_size,
                        uint8_t found[255], size_t *found_size, struct bc_entry *entry);

/* Calls visit for up to max keys from where seek leads, ascending for GE and GT, descending for LE and LT, until it
 * returns false. Pointers are valid during the call only; visit must not change the index. A key that is there
 * throughout is visited exactly once; of one that comes, goes or changes meanwhile the old or the new is seen.
 * NO_MEMORY: some may have been visited. */
bc_status bc_index_walk(const struct bc_index *index, enum bc_seek seek, const void *key, size_t key_size, size_t max,
                        bool (*visit)(void *context, const void *key, size_t key_size, const struct bc_entry *entry),
                        void *context);

#endif
