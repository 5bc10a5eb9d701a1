/* damaged_store.h - stores of several segments on the real disk, and bytes of them changed; data files made by hand.
 *
 * Threads: one.
 */
#ifndef BC_TEST_DAMAGED_STORE_H
#define BC_TEST_DAMAGED_STORE_H

#include "fixture.h"
#include "log/segment.h"

#define KEYS 9

/* Opens a store with segments of 64 KiB, made if absent unless read_only. */
bitcask *open_damaged(const char *path, bool read_only);
bitcask_partition *root_of(bitcask *db);
void close_damaged(bitcask **db, bitcask_partition **root);

/* "k0" to "k8" with values of their own. */
void key_and_value(int i, char key[8], char value[40]);

/* A value of 60,000 bytes: nearly all that a segment holds. */
void put_filler(bitcask_partition *root, const char *key);

/* Seals the active segment. */
void seal(bitcask_partition *partition);

/* The keys, overwritten and deleted ones, a batch, attributes, a directory: in two sealed segments and an active one.
 */
void fill(bitcask_partition *root);

/* A filled store, closed, with hints. */
const char *make_store(const char *name);

/* A store, closed, whose root has a directory on disk and no file in it. */
const char *make_empty_store(const char *name);

/* A file of the root. */
const char *file_of(const char *store, const char *name);

/* The place of a key's last record in file. */
void find_record(const char *file, const char *key, uint64_t *offset, uint64_t *size);

/* Changes a bit of a byte, in place: whoever has the file open sees it. */
void flip(const char *file, uint64_t at);

/* Makes a segment of the root, empty. */
struct bc_segment *craft(const char *store, const char *name, uint32_t id, uint32_t lowest);

/* Appends a record to it, of any flags and attributes; its offset. */
uint64_t add_record(struct bc_segment *segment, const char *key, const char *value, uint64_t version, uint16_t flags,
                    const void *attrs, uint32_t attrs_size);

#endif
