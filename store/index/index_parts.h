/* index_parts.h - what an index is made of: for index.c, walk.c and image.c alone.
 *
 * Threads: members that are not atomic are the writer's.
 */
#ifndef BC_INDEX_PARTS_H
#define BC_INDEX_PARTS_H

#include "index/build.h"
#include "index/directory.h"

struct bc_index {
    _Atomic(struct bc_directory *) directory;
    struct bc_classes classes;
    uint64_t seed; /* of the hash; never changes */
    _Atomic size_t count;
    _Atomic size_t key_bytes;
    _Atomic size_t memory;    /* bytes of directory and shards, without views and classes */
    uint64_t promise_round;   /* counts bc_index_prepare() */
    struct bc_shard **loaded; /* of an image that is being loaded */
    size_t loaded_count, loaded_room;
};

static inline struct bc_directory *bc_index_directory(const struct bc_index *index)
{
    return atomic_load_explicit(&index->directory, memory_order_acquire);
}

#endif
