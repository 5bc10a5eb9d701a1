/* entry_pool.c - see entry_pool.h.
 *
 * Invariants: entry.extra names an extra whose owner is that entry, or is BC_NONE; a class counts the entries that
 * name it, and is free when none does. Classes therefore never outnumber entries.
 */
#include "index/entry_pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of 8 bytes stand on 4-byte boundaries here: that is 4 bytes a key. */
struct packed {
    uint32_t key;
    uint32_t slot;
    uint32_t offset;
    uint32_t record_size;
    uint32_t value_size;
    uint32_t class_number;
    uint32_t extra;
    uint64_t version;
    int64_t mtime_ns;
} __attribute__((packed, aligned(4)));

struct extra {
    uint32_t owner;
    uint32_t rdev;
    int64_t ctime_ns;
    int64_t atime_ns;
    int64_t expiry_ns;
    uint64_t ino;
    uint64_t child_id;
};

struct class_members {
    uint32_t present;
    uint32_t flags;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
};

struct entry_class {
    struct class_members members;
    uint32_t entries; /* that name it */
    uint32_t next;    /* in its chain, or in that of the free ones */
};

enum {
    RARE = BITCASK_ATTR_CTIME | BITCASK_ATTR_ATIME | BITCASK_ATTR_INO | BITCASK_ATTR_RDEV | BITCASK_ATTR_EXPIRY,
    KEPT = BITCASK_ATTR_ALL & ~BITCASK_ATTR_XATTRS
};

_Static_assert(sizeof(struct packed) == 44, "an entry is 44 bytes");

static struct packed *entry_at(const struct bc_entry_pool *pool, uint32_t number)
{
    assert(number < pool->entries.count);
    return bc_chunk_array_at(&pool->entries, number);
}

static struct extra *extra_at(const struct bc_entry_pool *pool, uint32_t number)
{
    return bc_chunk_array_at(&pool->extras, number);
}

static struct entry_class *class_at(const struct bc_entry_pool *pool, uint32_t number)
{
    return bc_chunk_array_at(&pool->classes, number);
}

/* ---- classes ---- */

static struct class_members members_of(const struct bc_entry *entry)
{
    const bitcask_attrs *attrs = &entry->attrs;
    uint32_t present = attrs->present & KEPT;

    return (struct class_members){
        .present = present,
        .flags = entry->flags,
        .mode = present & BITCASK_ATTR_MODE ? attrs->mode : 0,
        .uid = present & BITCASK_ATTR_UID ? attrs->uid : 0,
        .gid = present & BITCASK_ATTR_GID ? attrs->gid : 0,
    };
}

static uint32_t *bucket_of(const struct bc_entry_pool *pool, const struct class_members *members)
{
    const uint32_t words[] = {members->present, members->flags, members->mode, members->uid, members->gid};
    uint64_t hash = 0;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15), hash ^= hash >> 32;
    return &pool->buckets[hash & (pool->bucket_count - 1)];
}

static uint32_t class_find(const struct bc_entry_pool *pool, const struct class_members *members)
{
    uint32_t number = *bucket_of(pool, members);

    while (number != BC_NONE && memcmp(&class_at(pool, number)->members, members, sizeof(*members)) != 0)
        number = class_at(pool, number)->next;
    return number;
}

/* Four times the buckets. Without memory for it the chains get longer, and that is all. */
static void buckets_grow(struct bc_entry_pool *pool)
{
    uint32_t count = pool->bucket_count * 4, *buckets = bc_index_realloc(NULL, count * sizeof(*buckets));
    uint32_t old_count = pool->bucket_count, *old = pool->buckets;

    if (buckets == NULL) return;
    memset(buckets, 0xff, count * sizeof(*buckets));
    pool->buckets = buckets;
    pool->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        for (uint32_t number = old[i], next; number != BC_NONE; number = next) {
            struct entry_class *class = class_at(pool, number);
            uint32_t *bucket = bucket_of(pool, &class->members);
            next = class->next;
            class->next = *bucket;
            *bucket = number;
        }
    }
    if (old != pool->few_buckets) free(old);
}

/* The class with these members, counted once more; made if need be, in room that is there. */
static uint32_t class_take(struct bc_entry_pool *pool, const struct class_members *members)
{
    uint32_t number = class_find(pool, members), *bucket;

    if (number == BC_NONE) {
        if (pool->classes.count - pool->free_classes >= pool->bucket_count && pool->bucket_count < 1u << 28)
            buckets_grow(pool);
        if (pool->free_class != BC_NONE) {
            number = pool->free_class;
            pool->free_class = class_at(pool, number)->next;
            pool->free_classes--;
        } else {
            assert(pool->classes.count < bc_chunk_array_room(&pool->classes));
            number = pool->classes.count++;
        }
        bucket = bucket_of(pool, members);
        *class_at(pool, number) = (struct entry_class){.members = *members, .next = *bucket};
        *bucket = number;
    }
    class_at(pool, number)->entries++;
    return number;
}

static void class_drop(struct bc_entry_pool *pool, uint32_t number)
{
    struct entry_class *class = class_at(pool, number);
    uint32_t *link = bucket_of(pool, &class->members);

    if (--class->entries > 0) return;
    while (*link != number) link = &class_at(pool, *link)->next;
    *link = class->next;
    class->next = pool->free_class;
    pool->free_class = number;
    pool->free_classes++;
}

/* ---- extras ---- */

static bool has_extra(const struct bc_entry *entry)
{
    return (entry->attrs.present & RARE) != 0 || entry->child_id != 0;
}

static uint32_t extra_add(struct bc_entry_pool *pool, uint32_t owner)
{
    assert(pool->extras.count < bc_chunk_array_room(&pool->extras));
    *extra_at(pool, pool->extras.count) = (struct extra){.owner = owner};
    return pool->extras.count++;
}

/* The last extra takes the place of the removed one. */
static void extra_remove(struct bc_entry_pool *pool, uint32_t number)
{
    uint32_t last = pool->extras.count - 1;

    if (number != last) {
        *extra_at(pool, number) = *extra_at(pool, last);
        entry_at(pool, extra_at(pool, number)->owner)->extra = number;
    }
    pool->extras.count--;
}

/* ---- the pool ---- */

void bc_entry_pool_init(struct bc_entry_pool *pool)
{
    memset(pool, 0, sizeof(*pool));
    bc_chunk_array_init(&pool->entries, sizeof(struct packed));
    bc_chunk_array_init(&pool->extras, sizeof(struct extra));
    bc_chunk_array_init(&pool->classes, sizeof(struct entry_class));
    memset(pool->few_buckets, 0xff, sizeof(pool->few_buckets));
    pool->free_class = BC_NONE;
    pool->buckets = pool->few_buckets;
    pool->bucket_count = BC_CLASS_BUCKETS_MIN;
}

void bc_entry_pool_release(struct bc_entry_pool *pool)
{
    bc_chunk_array_release(&pool->entries);
    bc_chunk_array_release(&pool->extras);
    bc_chunk_array_release(&pool->classes);
    if (pool->buckets != pool->few_buckets) free(pool->buckets);
    bc_entry_pool_init(pool);
}

bc_status bc_entry_pool_reserve(struct bc_entry_pool *pool, size_t count)
{
    bc_status status = bc_chunk_array_reserve(&pool->entries, count);

    if (status == BITCASK_OK) status = bc_chunk_array_reserve(&pool->extras, count);
    if (status == BITCASK_OK && count > pool->free_classes)
        status = bc_chunk_array_reserve(&pool->classes, count - pool->free_classes);
    return status;
}

/* Packs all but key and extra. */
static void pack(struct packed *packed, const struct bc_entry *entry)
{
    packed->slot = entry->slot;
    packed->offset = entry->offset;
    packed->record_size = entry->record_size;
    packed->value_size = entry->value_size;
    packed->version = entry->version;
    packed->mtime_ns = entry->attrs.present & BITCASK_ATTR_MTIME ? entry->attrs.mtime_ns : 0;
}

static void pack_extra(struct extra *extra, const struct bc_entry *entry)
{
    const bitcask_attrs *attrs = &entry->attrs;

    extra->rdev = attrs->present & BITCASK_ATTR_RDEV ? attrs->rdev : 0;
    extra->ctime_ns = attrs->present & BITCASK_ATTR_CTIME ? attrs->ctime_ns : 0;
    extra->atime_ns = attrs->present & BITCASK_ATTR_ATIME ? attrs->atime_ns : 0;
    extra->expiry_ns = attrs->present & BITCASK_ATTR_EXPIRY ? attrs->expiry_ns : 0;
    extra->ino = attrs->present & BITCASK_ATTR_INO ? attrs->ino : 0;
    extra->child_id = entry->child_id;
}

void bc_entry_pool_add(struct bc_entry_pool *pool, uint32_t key_ref, const struct bc_entry *entry)
{
    struct class_members members = members_of(entry);
    uint32_t number = pool->entries.count;
    struct packed *packed;

    assert(number < bc_chunk_array_room(&pool->entries));
    pool->entries.count++;
    packed = entry_at(pool, number);
    pack(packed, entry);
    packed->key = key_ref;
    packed->class_number = class_take(pool, &members);
    packed->extra = has_extra(entry) ? extra_add(pool, number) : BC_NONE;
    if (packed->extra != BC_NONE) pack_extra(extra_at(pool, packed->extra), entry);
}

bc_status bc_entry_pool_set(struct bc_entry_pool *pool, uint32_t number, const struct bc_entry *entry)
{
    struct packed *packed = entry_at(pool, number);
    struct class_members members = members_of(entry);
    uint32_t class_number = packed->class_number;
    bc_status status;

    /* A class that only this entry names makes room for the new one. */
    if (pool->free_class == BC_NONE && class_at(pool, class_number)->entries > 1 &&
        class_find(pool, &members) == BC_NONE) {
        status = bc_chunk_array_reserve(&pool->classes, 1);
        if (status != BITCASK_OK) return status;
    }
    if (has_extra(entry) && packed->extra == BC_NONE) {
        status = bc_chunk_array_reserve(&pool->extras, 1);
        if (status != BITCASK_OK) return status;
        packed->extra = extra_add(pool, number);
    } else if (!has_extra(entry) && packed->extra != BC_NONE) {
        extra_remove(pool, packed->extra);
        packed->extra = BC_NONE;
    }
    if (memcmp(&class_at(pool, class_number)->members, &members, sizeof(members)) != 0) {
        class_drop(pool, class_number);
        packed->class_number = class_take(pool, &members);
    }
    pack(packed, entry);
    if (packed->extra != BC_NONE) pack_extra(extra_at(pool, packed->extra), entry);
    return BITCASK_OK;
}

void bc_entry_pool_get(const struct bc_entry_pool *pool, uint32_t number, struct bc_entry *entry)
{
    const struct packed *packed = entry_at(pool, number);
    const struct class_members *members = &class_at(pool, packed->class_number)->members;

    *entry = (struct bc_entry){
        .slot = packed->slot,
        .offset = packed->offset,
        .record_size = packed->record_size,
        .value_size = packed->value_size,
        .flags = (uint16_t)members->flags,
        .version = packed->version,
        .attrs = {.present = members->present,
                  .mode = members->mode,
                  .uid = members->uid,
                  .gid = members->gid,
                  .mtime_ns = packed->mtime_ns},
    };
    if (packed->extra != BC_NONE) {
        const struct extra *extra = extra_at(pool, packed->extra);
        entry->child_id = extra->child_id;
        entry->attrs.rdev = extra->rdev;
        entry->attrs.ctime_ns = extra->ctime_ns;
        entry->attrs.atime_ns = extra->atime_ns;
        entry->attrs.expiry_ns = extra->expiry_ns;
        entry->attrs.ino = extra->ino;
    }
}

void bc_entry_pool_remove(struct bc_entry_pool *pool, uint32_t number)
{
    struct packed *packed = entry_at(pool, number);
    uint32_t last = pool->entries.count - 1;

    class_drop(pool, packed->class_number);
    if (packed->extra != BC_NONE) extra_remove(pool, packed->extra);
    if (number != last) {
        *packed = *entry_at(pool, last);
        if (packed->extra != BC_NONE) extra_at(pool, packed->extra)->owner = number;
    }
    pool->entries.count--;
}

uint32_t bc_entry_pool_key(const struct bc_entry_pool *pool, uint32_t number)
{
    return entry_at(pool, number)->key;
}

void bc_entry_pool_set_key(struct bc_entry_pool *pool, uint32_t number, uint32_t key_ref)
{
    entry_at(pool, number)->key = key_ref;
}

void bc_entry_pool_trim(struct bc_entry_pool *pool, size_t count)
{
    if (pool->entries.count == 0 && count == 0) {
        bc_entry_pool_release(pool);
        return;
    }
    bc_chunk_array_trim(&pool->entries, count);
    bc_chunk_array_trim(&pool->extras, count);
}

size_t bc_entry_pool_memory(const struct bc_entry_pool *pool)
{
    return bc_chunk_array_memory(&pool->entries) + bc_chunk_array_memory(&pool->extras) +
           bc_chunk_array_memory(&pool->classes) +
           (pool->buckets != pool->few_buckets ? pool->bucket_count * sizeof(*pool->buckets) : 0);
}
