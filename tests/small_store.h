/* small_store.h - one small store with something of everything in it, on any disk, and what is to be read of it.
 *
 * Files small and large, overwritten and deleted ones, batches, attributes, an inode with extents and two names, a
 * sub-partition, a rename across partitions; in the root two sealed segments with hints, an active one, a checkpoint.
 * On a simulated disk it comes out the same, byte for byte, each time. A failure ends the program. Threads: one.
 */
#ifndef BC_TEST_SMALL_STORE_H
#define BC_TEST_SMALL_STORE_H

#include "db/db.h"
#include "fixture.h"

#define SMALL_STORE "store"
#define SMALL_NAMES 18u
#define SMALL_FILES_MAX 32u
#define SMALL_VALUE_MAX 6000u

/* A name that has a value. */
struct small_name {
    const char *partition; /* "" is the root */
    const char *key;
    int generation;  /* how often it was put before */
    size_t size;     /* of the value */
    const char *was; /* the name that it was put under */
};
extern const struct small_name small_names[SMALL_NAMES];

/* The value that the generation-th put under key has: "key.generation ", again and again. */
void small_value(const char *key, int generation, size_t size, char out[SMALL_VALUE_MAX]);

/* Whether the bytes are a value that was once put under the name, of whatever generation. */
bool small_value_was_put(const struct small_name *name, const void *value, size_t size);

void small_store_make(struct bc_io *io);

/* Opens it, with small segments, nothing synced in the background. */
bitcask_status small_store_open(struct bc_io *io, bool read_only, bitcask **db);

/* Its regular files, as paths that begin with SMALL_STORE; how many. */
size_t small_store_files(struct bc_io *io, char files[SMALL_FILES_MAX][128]);

/* A file as bytes, malloc'ed; and back, whatever its size was. */
uint8_t *small_store_read(struct bc_io *io, const char *path, size_t *size);
void small_store_write(struct bc_io *io, const char *path, const void *data, size_t size);

#endif
