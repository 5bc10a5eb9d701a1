/* record.c - one record's head, key and attributes, to bytes and back.
 *
 * Holds the layout that record.h draws, as offsets, and the seed of the head's CRC. It assumes of its input nothing:
 * every size is held against what is there, and the cheap checks come before the CRC, because a search behind damage
 * asks for a record at every offset. Invariant: a record decodes only at the offset and in the segment that it was
 * encoded for.
 */
#include "log/record.h"

#include <assert.h>
#include <string.h>

#include "base/crc.h"

enum {
    AT_HEAD_CRC = 0,
    AT_VALUE_CRC = 4,
    AT_VERSION = 8,
    AT_VALUE_SIZE = 16,
    AT_KEY_SIZE = 20,
    AT_ATTRS_SIZE = 21,
    AT_FLAGS = 24
};

static uint32_t head_crc(const uint8_t *head, size_t front_size, uint64_t generation, uint64_t offset)
{
    uint8_t seed[16];
    bc_put_u64(seed, generation);
    bc_put_u64(seed + 8, offset);
    return bc_crc32c(bc_crc32c(0, seed, sizeof seed), head + AT_VALUE_CRC, front_size - AT_VALUE_CRC);
}

bool bc_key_is_hostile(const void *key, size_t size)
{
    static const char reserved[] = ".bitcask";

    if (bc_key_is_internal(key, size)) return false;
    if (memchr(key, '/', size) || memchr(key, 0, size)) return true;
    return (size <= 2 && memcmp(key, "..", size) == 0) ||
           (size == sizeof reserved - 1 && memcmp(key, reserved, size) == 0);
}

void bc_record_encode(const struct bc_record *record, uint64_t generation, uint64_t offset, uint8_t *out)
{
    assert(record->key_size > 0);
    assert(record->attrs_size <= BC_ATTRS_SIZE_MAX);
    assert((record->flags & ~BC_RECORD_KNOWN) == 0);
    assert((record->flags & BC_RECORD_TOMBSTONE) == 0 || record->value_size == 0);

    bc_put_u32(out + AT_VALUE_CRC, record->value_crc);
    bc_put_u64(out + AT_VERSION, record->version);
    bc_put_u32(out + AT_VALUE_SIZE, record->value_size);
    out[AT_KEY_SIZE] = record->key_size;
    bc_put_u16(out + AT_ATTRS_SIZE, (uint16_t)record->attrs_size);
    out[AT_ATTRS_SIZE + 2] = (uint8_t)(record->attrs_size >> 16);
    bc_put_u16(out + AT_FLAGS, record->flags);
    memcpy(out + BC_RECORD_HEAD_SIZE, record->key, record->key_size);
    uint8_t *attrs = out + BC_RECORD_HEAD_SIZE + record->key_size;
    if (record->attrs_size > 0 && record->attrs != attrs) memcpy(attrs, record->attrs, record->attrs_size);
    bc_put_u32(out + AT_HEAD_CRC, head_crc(out, bc_record_front_size(record), generation, offset));
}

bc_status bc_record_decode(const uint8_t *data, size_t available, uint64_t generation, uint64_t offset,
                           uint64_t remaining, struct bc_record *record, size_t *needed)
{
    /* The least a record takes is its head and one byte of key. */
    if (remaining <= BC_RECORD_HEAD_SIZE) return BITCASK_CORRUPT;
    if (available < BC_RECORD_HEAD_SIZE) {
        *needed = BC_RECORD_HEAD_SIZE;
        return BITCASK_TOO_LARGE;
    }
    if (!bc_record_may_start(data)) return BITCASK_CORRUPT;

    struct bc_record found = {
        .version = bc_get_u64(data + AT_VERSION),
        .flags = bc_get_u16(data + AT_FLAGS),
        .key_size = data[AT_KEY_SIZE],
        .attrs_size = bc_get_u16(data + AT_ATTRS_SIZE) | (uint32_t)data[AT_ATTRS_SIZE + 2] << 16,
        .value_size = bc_get_u32(data + AT_VALUE_SIZE),
        .value_crc = bc_get_u32(data + AT_VALUE_CRC),
    };
    if (found.attrs_size > BC_ATTRS_SIZE_MAX) return BITCASK_CORRUPT;
    if (bc_record_size(&found) > remaining) return BITCASK_CORRUPT;
    if ((found.flags & BC_RECORD_TOMBSTONE) != 0 && found.value_size != 0) return BITCASK_CORRUPT;

    size_t front_size = bc_record_front_size(&found);
    if (available < front_size) {
        *needed = front_size;
        return BITCASK_TOO_LARGE;
    }
    found.key = data + BC_RECORD_HEAD_SIZE;
    found.attrs = found.key + found.key_size;
    if (!bc_attrs_plausible(found.attrs, found.attrs_size)) return BITCASK_CORRUPT;
    if (bc_get_u32(data + AT_HEAD_CRC) != head_crc(data, front_size, generation, offset)) return BITCASK_CORRUPT;
    *record = found;
    return BITCASK_OK;
}
