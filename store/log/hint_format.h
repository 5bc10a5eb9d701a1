/* hint_format.h - the bytes of a hint file, known to its writer and its reader alone.
 *
 * Four areas follow one another without a gap and fill the file: header, blocks of entries, block index, filter. All
 * numbers are little-endian; a varint is LEB128, seven bits a byte, the lowest first.
 *
 * Header:
 *
 *   0   8  magic            "bitcask\n", as of a data file
 *   8   2  format version   1
 *  10   2  kind             2, BC_KIND_HINT
 *  12   4  header size      108
 *  16   4  segment id       the file_id of all entries
 *  20   4  blocks           how many
 *  24   8  generation       of the data file
 *  32   8  data_size        bytes of the data file that this hint stands for
 *  40   8  last_version     the highest in these
 *  48   8  keys             entries
 *  56   8  tombstone_bytes  record sizes of the tombstones, added up
 *  64   8  entries_size     bytes of all blocks
 *  72   8  index_size       bytes of the block index
 *  80   8  filter_size      bytes of the Bloom filter, a multiple of 8 (bloom.c says what they mean)
 *  88   8  salt             random: what ties the blocks to this header
 *  96   4  index_crc        CRC-32C of the block index
 * 100   4  filter_crc       CRC-32C of the filter
 * 104   4  header_crc       CRC-32C of bytes 0 to 103
 *
 * The numbers are known only at the end, so the header is written last; a file that was given up half way begins
 * with zeros.
 *
 * Block, at most 4096 bytes: entries, then the CRC-32C (4 bytes) of generation (8), salt (8), the block's offset in
 * the file (8) and its entries. So zeros, a block in the wrong place and one of an earlier hint, of this segment
 * too, never verify.
 *
 * Entry. Each saves what the one before it in the block, or the rest of the entry, tells already: a key in order
 * repeats the beginning of the last one, and its version is mostly near that of the last one; the size of nearly every
 * record is the sum of its parts.
 *
 *      1  shared        bytes of key taken over from the entry before; 0 in the first of a block
 *      1  rest          bytes of key of its own, never 0
 *      1  flags         BC_HINT_* and the two below
 *      4  key_hash      low half of XXH3 of the key
 *      4  offset        of the record in the data file
 *      v  value_size
 *      v  version       difference to that of the entry before, to last_version in the first of a block; in zigzag, so
 *                       that small differences of either sign are short
 *      v  record_size   with BC_HINT_SIZED only; else head, key, attributes and value make the record
 *      v  attrs_size    with BC_HINT_ATTRS only
 *   rest  key           shared is as large as can be, so the first byte differs from the last key's, and is larger
 *      n  attrs         attrs_size bytes, without xattrs
 *      8  child_id      with BC_HINT_PARTITION and BC_HINT_LINK only
 *
 * Block index: for each block its size (varint), the size of its first key (1), that key. Keys ascend, and the sizes
 * add up to entries_size.
 */
#ifndef BC_HINT_FORMAT_H
#define BC_HINT_FORMAT_H

#include "base/crc.h"
#include "log/hint.h"
#include "log/segment.h"

enum bc_hint_header_at {
    BC_HINT_AT_MAGIC = 0,
    BC_HINT_AT_FORMAT = 8,
    BC_HINT_AT_KIND = 10,
    BC_HINT_AT_HEADER_SIZE = 12,
    BC_HINT_AT_SEGMENT_ID = 16,
    BC_HINT_AT_BLOCKS = 20,
    BC_HINT_AT_GENERATION = 24,
    BC_HINT_AT_DATA_SIZE = 32,
    BC_HINT_AT_LAST_VERSION = 40,
    BC_HINT_AT_KEYS = 48,
    BC_HINT_AT_TOMBSTONE_BYTES = 56,
    BC_HINT_AT_ENTRIES_SIZE = 64,
    BC_HINT_AT_INDEX_SIZE = 72,
    BC_HINT_AT_FILTER_SIZE = 80,
    BC_HINT_AT_SALT = 88,
    BC_HINT_AT_INDEX_CRC = 96,
    BC_HINT_AT_FILTER_CRC = 100,
    BC_HINT_AT_HEADER_CRC = 104,
    BC_HINT_HEADER_SIZE = 108
};

enum bc_hint_entry_at {
    BC_HINT_AT_SHARED = 0,
    BC_HINT_AT_REST = 1,
    BC_HINT_AT_FLAGS = 2,
    BC_HINT_AT_KEY_HASH = 3,
    BC_HINT_AT_OFFSET = 7,
    BC_HINT_ENTRY_FIXED = 11
};

/* Flags of an entry on disk, beside BC_HINT_*, whose bits they leave free. */
enum {
    BC_HINT_ATTRS = 1u << 3,
    BC_HINT_SIZED = 1u << 4,
    BC_HINT_PUBLIC = BC_HINT_TOMBSTONE | BC_HINT_CHILD | BC_HINT_XATTRS,
    BC_HINT_KNOWN = BC_HINT_PUBLIC | BC_HINT_ATTRS | BC_HINT_SIZED
};

#define BC_HINT_MAGIC_SIZE 8u
#define BC_HINT_CRC_SIZE 4u
#define BC_HINT_BLOCK_MAX 4096u
#define BC_HINT_KEY_MAX BITCASK_NAME_MAX
#define BC_HINT_ATTRS_MAX 128u                       /* encoded bytes without xattrs; these are 74 at most */
#define BC_HINT_RECORD_MIN 27u                       /* bytes: a head and one byte of key */
#define BC_HINT_ENTRY_MIN (BC_HINT_ENTRY_FIXED + 3u) /* two varints and a byte of key */
#define BC_HINT_ENTRY_MAX (BC_HINT_ENTRY_FIXED + 5u + 10u + 5u + 2u + BC_HINT_KEY_MAX + BC_HINT_ATTRS_MAX + 8u)
#define BC_HINT_INDEX_ENTRY_MAX (2u + 1u + BC_HINT_KEY_MAX)
#define BC_HINT_VARINT_MAX 10u

_Static_assert(BC_HINT_ENTRY_MAX + BC_HINT_CRC_SIZE <= BC_HINT_BLOCK_MAX, "every entry fits a block");
_Static_assert(BC_HINT_RECORD_MIN == BC_RECORD_HEAD_SIZE + 1, "a record is no shorter");

/* Writes value to out, which has room for BC_HINT_VARINT_MAX bytes; the bytes written. */
static inline size_t bc_hint_put_varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

/* Takes a varint from *next, moving it on; false where none of at most `max` ends in front of end. */
static inline bool bc_hint_take_varint(const uint8_t **next, const uint8_t *end, uint64_t max, uint64_t *value)
{
    uint64_t found = 0;
    for (unsigned shift = 0; shift < 64 && *next < end; shift += 7) {
        uint8_t byte = *(*next)++;
        if (shift == 63 && byte > 1) return false;
        found |= (uint64_t)(byte & 0x7f) << shift;
        if (byte >= 0x80) continue;
        *value = found;
        return found <= max;
    }
    return false;
}

/* The difference from one version to another as a number that is small where they are near, and back. Both wrap
 * round, so that any two versions have one. */
static inline uint64_t bc_hint_version_delta(uint64_t from, uint64_t to)
{
    uint64_t delta = to - from;
    return (delta << 1) ^ (0 - (delta >> 63));
}

static inline uint64_t bc_hint_version_apply(uint64_t from, uint64_t delta)
{
    return from + ((delta >> 1) ^ (0 - (delta & 1)));
}

/* The check of size bytes of entries that stand in a block at offset. */
static inline uint32_t bc_hint_block_crc(const struct bc_hint_head *head, uint64_t offset, const uint8_t *entries,
                                         size_t size)
{
    uint8_t seed[24];
    bc_put_u64(seed, head->generation);
    bc_put_u64(seed + 8, head->salt);
    bc_put_u64(seed + 16, offset);
    return bc_crc32c(bc_crc32c(0, seed, sizeof seed), entries, size);
}

#endif
