/* classes.h - what many keys have in common, kept once: mode, owner, flags, and which attributes are present.
 *
 * Few distinct sets occur, so an entry names its set by a number, its class. Classes are only ever added: an entry that
 * a reader still looks at keeps its meaning. There are at most BC_CLASSES_MAX; whatever comes after that, or when there
 * is no memory, stands in the entry itself.
 *
 * Threads: bc_class_get from any, within a read section; the rest is the writer's.
 */
#ifndef BC_CLASSES_H
#define BC_CLASSES_H

#include "index/index.h"
#include "index/memory.h"

enum { BC_CLASSES_MAX = 4096, BC_CLASS_NONE = BC_CLASSES_MAX };

/* The set itself; members that are not present are 0. */
struct bc_class {
    uint32_t present; /* BITCASK_ATTR_*, without xattrs */
    uint32_t flags;   /* BC_ENTRY_* */
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
};

struct bc_classes {
    _Atomic(struct bc_block *) list; /* of struct bc_class, `room` of them */
    _Atomic uint32_t count;
    uint32_t room;
    uint16_t *buckets; /* number + 1 by hash, open addressing, twice `room` of them; 0: empty */
};

/* All zero is an empty one. No reader may be left. */
void bc_classes_release(struct bc_classes *classes);

/* The class of an entry. */
struct bc_class bc_class_of(const struct bc_entry *entry);

/* The number of this class, made if it is new. BC_CLASS_NONE: it has none, and gets none. */
uint32_t bc_class_number(struct bc_classes *classes, const struct bc_class *class);

/* Class number, below count as of when the entry that names it was made. */
static inline struct bc_class bc_class_get(const struct bc_classes *classes, uint32_t number)
{
    const struct bc_block *list = atomic_load_explicit(&classes->list, memory_order_acquire);

    return ((const struct bc_class *)(const void *)list->bytes)[number];
}

static inline uint32_t bc_class_count(const struct bc_classes *classes)
{
    return atomic_load_explicit(&classes->count, memory_order_acquire);
}

size_t bc_classes_memory(const struct bc_classes *classes); /* bytes allocated */

#endif
