/* classes.c - see classes.h. */
#include "index/classes.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { KEPT = BITCASK_ATTR_ALL & ~BITCASK_ATTR_XATTRS, FIRST_ROOM = 4 };

_Static_assert(sizeof(struct bc_class) == 20, "no padding: classes are compared, hashed and saved as bytes");
_Static_assert(sizeof(struct bc_block) % _Alignof(struct bc_class) == 0, "the list behind the head is aligned");

void bc_classes_release(struct bc_classes *classes)
{
    free(atomic_load_explicit(&classes->list, memory_order_relaxed));
    free(classes->buckets);
    memset(classes, 0, sizeof(*classes));
}

struct bc_class bc_class_of(const struct bc_entry *entry)
{
    const bitcask_attrs *attrs = &entry->attrs;
    uint32_t present = attrs->present & KEPT;

    return (struct bc_class){
        .present = present,
        .flags = entry->flags,
        .mode = present & BITCASK_ATTR_MODE ? attrs->mode : 0,
        .uid = present & BITCASK_ATTR_UID ? attrs->uid : 0,
        .gid = present & BITCASK_ATTR_GID ? attrs->gid : 0,
    };
}

static struct bc_class *list_of(struct bc_block *block)
{
    return (struct bc_class *)(void *)block->bytes;
}

/* The bucket of this class: where it stands, or the empty one where it would. There are twice as many as classes. */
static uint16_t *bucket_of(const struct bc_classes *classes, const struct bc_class *list, const struct bc_class *class)
{
    uint32_t count = 2 * classes->room, at = (uint32_t)(XXH3_64bits(class, sizeof(*class)) % count);

    while (classes->buckets[at] != 0 && memcmp(&list[classes->buckets[at] - 1], class, sizeof(*class)) != 0)
        at = at + 1 == count ? 0 : at + 1;
    return &classes->buckets[at];
}

/* Twice the room. Readers go on with the old list, which holds all that they know of. */
static bool grow(struct bc_classes *classes)
{
    uint32_t room = classes->room == 0 ? FIRST_ROOM : classes->room * 2, count = bc_class_count(classes);
    struct bc_block *old = atomic_load_explicit(&classes->list, memory_order_relaxed);
    struct bc_block *list = bc_block_alloc(room * sizeof(struct bc_class));
    uint16_t *buckets = bc_index_realloc(NULL, 2 * room * sizeof(*buckets));

    if (list == NULL || buckets == NULL) {
        free(list);
        free(buckets);
        return false;
    }
    memset(buckets, 0, 2 * room * sizeof(*buckets));
    if (count > 0) memcpy(list->bytes, old->bytes, count * sizeof(struct bc_class));
    free(classes->buckets);
    classes->buckets = buckets;
    classes->room = room;
    for (uint32_t i = 0; i < count; i++) *bucket_of(classes, list_of(list), &list_of(list)[i]) = (uint16_t)(i + 1);
    atomic_store_explicit(&classes->list, list, memory_order_release);
    bc_block_retire(old);
    return true;
}

uint32_t bc_class_number(struct bc_classes *classes, const struct bc_class *class)
{
    uint32_t count = bc_class_count(classes);
    struct bc_block *block = atomic_load_explicit(&classes->list, memory_order_relaxed);

    if (count > 0) {
        uint16_t *bucket = bucket_of(classes, list_of(block), class);
        if (*bucket != 0) return *bucket - 1u;
    }
    if (count == BC_CLASSES_MAX || (count == classes->room && !grow(classes))) return BC_CLASS_NONE;
    block = atomic_load_explicit(&classes->list, memory_order_relaxed);
    list_of(block)[count] = *class;
    *bucket_of(classes, list_of(block), class) = (uint16_t)(count + 1);
    atomic_store_explicit(&classes->count, count + 1, memory_order_release);
    return count;
}

size_t bc_classes_memory(const struct bc_classes *classes)
{
    uint32_t count = bc_class_count(classes), room = count > 0 ? FIRST_ROOM : 0;

    while (room < count) room *= 2;
    return room * (sizeof(struct bc_class) + 2 * sizeof(uint16_t));
}
