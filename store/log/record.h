/* record.h - the record codec: 26 bytes of head, then key, attributes, value.
 *
 *   0  4  head_crc    CRC-32C of generation (8 bytes), offset (8 bytes), then bytes 4 to the end of the attributes
 *   4  4  value_crc   CRC-32C of the value
 *   8  8  timestamp   the version
 *  16  4  value_size
 *  20  1  key_size    never 0
 *  21  3  attributes_size
 *  24  2  flags
 *
 * Seeding the head's CRC with the segment's generation and the record's own offset makes zeros, a record in the
 * wrong place and a copy of a log inside a value fail. Encoding cannot fail; decoding trusts nothing.
 */
#ifndef BC_RECORD_H
#define BC_RECORD_H

#include "base/bytes.h"
#include "log/attrs.h"

#define BC_RECORD_HEAD_SIZE 26u
#define BC_VERSION_MAX ((uint64_t)INT64_MAX - 1) /* what a version may be at most; more is hostile */

enum bc_record_flag {
    BC_RECORD_TOMBSTONE = 1u << 0, /* the key is deleted; no value */
    BC_RECORD_MORE = 1u << 1,      /* more of this batch follows */
    BC_RECORD_PARTITION = 1u << 2, /* the value is a partition id, 8 bytes */
    BC_RECORD_LINK = 1u << 3,      /* the value is the number of an inode, 8 bytes */
    BC_RECORD_INODE = 1u << 4,     /* in partition 1: an inode, see inode_body.h */
    BC_RECORD_EXTENT = 1u << 5,    /* in partition 1: a piece of an inode's content */
    BC_RECORD_DURABLE = 1u << 6,   /* all before this record was on stable storage when it was written */
    BC_RECORD_KNOWN = (1u << 7) - 1,
    BC_RECORD_CHILD = BC_RECORD_PARTITION | BC_RECORD_LINK /* the value is 8 bytes that the index keeps */
};

/* The store's own keys begin with NUL and a type byte. */
enum bc_internal_key {
    BC_KEY_MARK = 'D',    /* the value (8 bytes) is a length up to which the segment is durable; never indexed */
    BC_KEY_SELF = 'A',    /* the root's own attributes */
    BC_KEY_INTENT = 'X',  /* in partition 1, then 8 bytes of intent id: records still to be redone */
    BC_KEY_INODE = 'I',   /* in partition 1, then 8 bytes of number, big-endian: an inode */
    BC_KEY_EXTENT = 'E',  /* in partition 1, then value id and extent number, 8 bytes each, big-endian */
    BC_KEY_SESSION = 'S'  /* in partition 1: a writer that may leave unnamed partitions is at work */
};

struct bc_record {
    uint64_t version;
    uint16_t flags;
    uint8_t key_size;
    uint32_t attrs_size;
    uint32_t value_size;
    uint32_t value_crc;   /* filled in by decode; encode takes it as given */
    const uint8_t *key;   /* not owned; into the decoded buffer after decode */
    const uint8_t *attrs; /* not owned; encoded */
    const uint8_t *value; /* not owned; NULL after decode_head */
};

static inline bool bc_key_is_internal(const void *key, size_t size)
{
    return size > 0 && *(const uint8_t *)key == 0;
}

/* Whether no writer makes such a key: neither the store's own nor a name (bitcask_check_name()). Shown to a kernel it would
 * have a whole directory refused. */
bool bc_key_is_hostile(const void *key, size_t size);

static inline bool bc_record_is_mark(const struct bc_record *record)
{
    return record->key_size == 2 && record->key[0] == 0 && record->key[1] == BC_KEY_MARK;
}

/* Bytes of head, key and attributes; and of the whole record. */
static inline size_t bc_record_front_size(const struct bc_record *record)
{
    return BC_RECORD_HEAD_SIZE + (size_t)record->key_size + record->attrs_size;
}
static inline uint64_t bc_record_size(const struct bc_record *record)
{
    return bc_record_front_size(record) + (uint64_t)record->value_size;
}

/* Whether a record may start with these BC_RECORD_HEAD_SIZE bytes: what can be told from single bytes. Rejects
 * nearly everything that is no record, so that a search at every offset stays cheap. */
static inline bool bc_record_may_start(const uint8_t *head)
{
    return head[20] != 0 && head[25] == 0 && (head[24] & ~BC_RECORD_KNOWN) == 0 && head[23] <= BC_ATTRS_SIZE_MAX >> 16;
}

/* Encodes head, key and attributes into out (bc_record_front_size bytes); the value follows it on disk as it is.
 * The attributes may stand in their place in out already.
 * Asserts key_size > 0, attrs_size <= BC_ATTRS_SIZE_MAX, known flags only, and that a tombstone has no value. */
void bc_record_encode(const struct bc_record *record, uint64_t generation, uint64_t offset, uint8_t *out);

/* Decodes the front of a record that should stand at offset of its segment. available: readable bytes at data;
 * remaining: bytes from offset to the end of the segment. BITCASK_OK with record filled in (value NULL);
 * BITCASK_TOO_LARGE when the front is plausible but needs more than available: *needed says how many bytes;
 * BITCASK_CORRUPT otherwise (no detail line: the scanner tries this at every offset). */
bc_status bc_record_decode(const uint8_t *data, size_t available, uint64_t generation, uint64_t offset,
                           uint64_t remaining, struct bc_record *record, size_t *needed);

#endif
