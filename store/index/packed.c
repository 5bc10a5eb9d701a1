/* packed.c - see packed.h. */
#include "index/packed.h"

#include <string.h>

#include "base/bytes.h"

/* The shape: two bits of width for value size and slot, and what the rest looks like. */
enum {
    VALUE_WIDTH = 0, /* shift: 0, 1, 2 for 1, 2, 4 bytes */
    SLOT_WIDTH = 2,
    WIDTH_MASK = 3,
    WHOLE_SIZE = 1u << 4, /* the record's size in full, not of its rest in a byte */
    WIDE_CLASS = 1u << 5,
    OWN_CLASS = 1u << 6,
    HAS_RARE = 1u << 7
};

enum {
    RARE_MTIME = 1u << 0,
    RARE_CTIME = 1u << 1,
    RARE_ATIME = 1u << 2,
    RARE_INO = 1u << 3,
    RARE_EXPIRY = 1u << 4,
    RARE_CHILD = 1u << 5,
    RARE_EIGHT = RARE_MTIME | RARE_CTIME | RARE_ATIME | RARE_INO | RARE_EXPIRY | RARE_CHILD,
    RARE_RDEV = 1u << 6,
    RARE_ALL = RARE_EIGHT | RARE_RDEV
};

enum { CLASS_SIZE = sizeof(struct bc_class), FIXED = 2 + 8 + 4 };

static unsigned width_of(uint32_t number)
{
    return number <= UINT8_MAX ? 0 : number <= UINT16_MAX ? 1 : 2;
}

static uint8_t *put_width(uint8_t *at, unsigned width, uint32_t number)
{
    if (width == 0)
        *at = (uint8_t)number;
    else if (width == 1)
        bc_put_u16(at, (uint16_t)number);
    else
        bc_put_u32(at, number);
    return at + (1u << width);
}

static const uint8_t *get_width(const uint8_t *at, unsigned width, uint32_t *number)
{
    *number = width == 0 ? *at : width == 1 ? bc_get_u16(at) : bc_get_u32(at);
    return at + (1u << width);
}

static unsigned rare_of(const struct bc_entry *entry)
{
    uint32_t present = entry->attrs.present;

    return (present & BITCASK_ATTR_MTIME ? RARE_MTIME : 0u) | (present & BITCASK_ATTR_CTIME ? RARE_CTIME : 0u) |
           (present & BITCASK_ATTR_ATIME ? RARE_ATIME : 0u) | (present & BITCASK_ATTR_INO ? RARE_INO : 0u) |
           (present & BITCASK_ATTR_EXPIRY ? RARE_EXPIRY : 0u) | (present & BITCASK_ATTR_RDEV ? RARE_RDEV : 0u) |
           (entry->flags & (BC_ENTRY_PARTITION | BC_ENTRY_LINK) ? RARE_CHILD : 0u);
}

static uint8_t *put_rare(uint8_t *at, unsigned rare, const struct bc_entry *entry)
{
    const uint64_t eight[] = {(uint64_t)entry->attrs.mtime_ns,  (uint64_t)entry->attrs.ctime_ns,
                              (uint64_t)entry->attrs.atime_ns,  entry->attrs.ino,
                              (uint64_t)entry->attrs.expiry_ns, entry->child_id};

    *at++ = (uint8_t)rare;
    for (unsigned i = 0; i < sizeof(eight) / sizeof(eight[0]); i++) {
        if (!(rare & 1u << i)) continue;
        bc_put_u64(at, eight[i]);
        at += 8;
    }
    if (rare & RARE_RDEV) {
        bc_put_u32(at, entry->attrs.rdev);
        at += 4;
    }
    return at;
}

static void get_rare(const uint8_t *at, struct bc_entry *entry)
{
    uint64_t eight[6] = {0};
    unsigned rare = *at++;

    for (unsigned i = 0; i < sizeof(eight) / sizeof(eight[0]); i++) {
        if (!(rare & 1u << i)) continue;
        eight[i] = bc_get_u64(at);
        at += 8;
    }
    if (rare & RARE_RDEV) entry->attrs.rdev = bc_get_u32(at);
    entry->attrs.mtime_ns = (int64_t)eight[0];
    entry->attrs.ctime_ns = (int64_t)eight[1];
    entry->attrs.atime_ns = (int64_t)eight[2];
    entry->attrs.ino = eight[3];
    entry->attrs.expiry_ns = (int64_t)eight[4];
    entry->child_id = eight[5];
}

static uint32_t rare_size(unsigned rare)
{
    return 1 + 8 * (uint32_t)__builtin_popcount(rare & RARE_EIGHT) + (rare & RARE_RDEV ? 4 : 0);
}

uint32_t bc_pack(struct bc_classes *classes, const void *key, size_t key_size, const struct bc_entry *entry,
                 uint8_t *out)
{
    struct bc_class class = bc_class_of(entry);
    uint32_t number = bc_class_number(classes, &class);
    unsigned value_width = width_of(entry->value_size), slot_width = width_of(entry->slot), rare = rare_of(entry);
    unsigned shape = value_width << VALUE_WIDTH | slot_width << SLOT_WIDTH;
    uint64_t known = (uint64_t)entry->value_size + key_size;
    uint8_t *at = out + 2;

    memcpy(at, key, key_size);
    at += key_size;
    bc_put_u64(at, entry->version);
    bc_put_u32(at + 8, entry->offset);
    at = put_width(at + 12, slot_width, entry->slot);
    at = put_width(at, value_width, entry->value_size);
    if (entry->record_size >= known && entry->record_size - known <= UINT8_MAX) {
        *at++ = (uint8_t)(entry->record_size - known);
    } else {
        shape |= WHOLE_SIZE;
        at = put_width(at, 2, entry->record_size);
    }
    if (number == BC_CLASS_NONE) {
        shape |= OWN_CLASS;
        memcpy(at, &class, CLASS_SIZE);
        at += CLASS_SIZE;
    } else {
        unsigned width = width_of(number);
        if (width > 0) shape |= WIDE_CLASS;
        at = put_width(at, width, number);
    }
    if (rare != 0) {
        shape |= HAS_RARE;
        at = put_rare(at, rare, entry);
    }
    out[0] = (uint8_t)key_size;
    out[1] = (uint8_t)shape;
    return (uint32_t)(at - out);
}

void bc_unpack(const struct bc_classes *classes, const uint8_t *packed, struct bc_entry *entry)
{
    unsigned shape = packed[1];
    const uint8_t *at = packed + 2 + packed[0];
    struct bc_class class;
    uint32_t number;

    memset(entry, 0, sizeof(*entry));
    entry->version = bc_get_u64(at);
    entry->offset = bc_get_u32(at + 8);
    at = get_width(at + 12, shape >> SLOT_WIDTH & WIDTH_MASK, &entry->slot);
    at = get_width(at, shape >> VALUE_WIDTH & WIDTH_MASK, &entry->value_size);
    if (shape & WHOLE_SIZE)
        at = get_width(at, 2, &entry->record_size);
    else
        entry->record_size = *at++ + entry->value_size + packed[0];
    if (shape & OWN_CLASS) {
        memcpy(&class, at, CLASS_SIZE);
        at += CLASS_SIZE;
    } else {
        at = get_width(at, shape & WIDE_CLASS ? 1 : 0, &number);
        class = bc_class_get(classes, number);
    }
    entry->flags = (uint16_t) class.flags;
    entry->attrs.present = class.present;
    entry->attrs.mode = class.mode;
    entry->attrs.uid = class.uid;
    entry->attrs.gid = class.gid;
    if (shape & HAS_RARE) get_rare(at, entry);
}

/* Bytes up to the mask of rare members, key included. */
static uint32_t front_size(const uint8_t *packed)
{
    unsigned shape = packed[1];
    uint32_t size = FIXED + packed[0];

    size += 1u << (shape >> SLOT_WIDTH & WIDTH_MASK);
    size += 1u << (shape >> VALUE_WIDTH & WIDTH_MASK);
    size += shape & WHOLE_SIZE ? 4 : 1;
    return size + (shape & OWN_CLASS ? CLASS_SIZE : shape & WIDE_CLASS ? 2u : 1u);
}

uint32_t bc_packed_size(const uint8_t *packed)
{
    uint32_t size = front_size(packed);

    return packed[1] & HAS_RARE ? size + rare_size(packed[size]) : size;
}

bool bc_packed_is_sane(const uint8_t *packed, uint32_t room, uint32_t class_count, uint32_t slot_count)
{
    unsigned shape, slot_width;
    uint32_t size, slot, number;
    const uint8_t *at;

    if (room < FIXED || packed[0] == 0) return false;
    shape = packed[1];
    slot_width = shape >> SLOT_WIDTH & WIDTH_MASK;
    if (slot_width > 2 || (shape >> VALUE_WIDTH & WIDTH_MASK) > 2) return false;
    size = front_size(packed);
    if (size > room) return false;
    if (shape & HAS_RARE) {
        if (size + 1 > room || (packed[size] & ~(unsigned)RARE_ALL) != 0) return false;
        if (size + rare_size(packed[size]) > room) return false;
    }
    at = packed + FIXED + packed[0];
    (void)get_width(at, slot_width, &slot);
    if (slot >= slot_count) return false;
    if (shape & OWN_CLASS) return true;
    if (shape & WIDE_CLASS)
        number = bc_get_u16(packed + size - 2);
    else
        number = packed[size - 1];
    return number < class_count;
}
