/* packed.h - an entry as bytes: 18 for a plain one, and the key.
 *
 *   size of the key 1, shape 1, key, version 8, offset 4, slot 1, 2 or 4, value size 1, 2 or 4, size of the rest of the
 *   record (head and attributes) 1, or whole record size 4; class 1 or 2, or the class itself 20; and if the shape says
 *   so a mask 1 of rare members, with these: mtime, ctime, atime, inode number, expiry, child id 8 each, device 4.
 *
 * The shape says which widths hold: so a packed entry knows its own size. Once written it never changes: a reader that
 * came by way of its reference sees all of it. Numbers are little-endian and stand on no boundary.
 */
#ifndef BC_PACKED_H
#define BC_PACKED_H

#include "index/classes.h"

enum { BC_PACKED_MAX = 2 + 255 + 8 + 4 + 4 + 4 + 4 + 20 + 1 + 6 * 8 + 4 };

/* The most that an entry with a key of this size takes. */
static inline uint32_t bc_packed_bound(size_t key_size)
{
    return BC_PACKED_MAX - 255 + (uint32_t)key_size;
}

/* Its key. */
static inline const uint8_t *bc_packed_key(const uint8_t *packed, size_t *key_size)
{
    *key_size = packed[0];
    return packed + 2;
}

/* Packs into out, which has room for bc_packed_bound(). Returns the size. */
uint32_t bc_pack(struct bc_classes *classes, const void *key, size_t key_size, const struct bc_entry *entry,
                 uint8_t *out);

void bc_unpack(const struct bc_classes *classes, const uint8_t *packed, struct bc_entry *entry);

/* Bytes that it takes, key included. */
uint32_t bc_packed_size(const uint8_t *packed);

/* Whether at most `room` bytes hold a packed entry of sense: a known class, a slot below slot_count. */
bool bc_packed_is_sane(const uint8_t *packed, uint32_t room, uint32_t class_count, uint32_t slot_count);

#endif
