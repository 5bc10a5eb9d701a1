/* attrs.c - the attributes of a record, to bytes and back.
 *
 * Holds the one place where a member of bitcask_attrs meets its type on disk. It may assume nothing of what it
 * decodes: every length is held against the bytes that are left before it is used.
 *
 * Invariant: one set of attributes has one encoding. Lengths and integers are as short as can be, types ascend; the
 * decoder refuses other spellings, so that bytes carried through unchanged and bytes encoded anew are the same.
 */
#include "log/attrs.h"

#include <assert.h>
#include <string.h>

/* Where encoded bytes go. out NULL: they are only counted, so that size and encoding cannot disagree. */
struct sink {
    uint8_t *out;
    size_t size;
};

static void put_bytes(struct sink *sink, const void *data, size_t size)
{
    if (sink->out != NULL && size > 0) memcpy(sink->out + sink->size, data, size);
    sink->size += size;
}

static void put_lead(struct sink *sink, enum bc_attr_type type, size_t length)
{
    uint8_t lead[4] = {(uint8_t)type};
    size_t n = 1;
    for (; length >= 0x80; length >>= 7) lead[n++] = (uint8_t)(length | 0x80);
    lead[n++] = (uint8_t)length;
    put_bytes(sink, lead, n);
}

static void put_integer(struct sink *sink, enum bc_attr_type type, uint64_t value)
{
    uint8_t bytes[8];
    size_t width = 0;
    bc_put_u64(bytes, value);
    while (width < 8 && value >> (8 * width) != 0) width++;
    put_lead(sink, type, width);
    put_bytes(sink, bytes, width);
}

static void put_time(struct sink *sink, enum bc_attr_type type, int64_t time_ns)
{
    uint8_t bytes[8];
    bc_put_u64(bytes, (uint64_t)time_ns);
    put_lead(sink, type, sizeof bytes);
    put_bytes(sink, bytes, sizeof bytes);
}

static void encode(const bitcask_attrs *attrs, struct sink *sink)
{
    uint32_t present = attrs->present;
    if (present & BITCASK_ATTR_MODE) put_integer(sink, BC_ATTR_MODE, attrs->mode);
    if (present & BITCASK_ATTR_UID) put_integer(sink, BC_ATTR_UID, attrs->uid);
    if (present & BITCASK_ATTR_GID) put_integer(sink, BC_ATTR_GID, attrs->gid);
    if (present & BITCASK_ATTR_MTIME) put_time(sink, BC_ATTR_MTIME, attrs->mtime_ns);
    if (present & BITCASK_ATTR_CTIME) put_time(sink, BC_ATTR_CTIME, attrs->ctime_ns);
    if (present & BITCASK_ATTR_ATIME) put_time(sink, BC_ATTR_ATIME, attrs->atime_ns);
    if (present & BITCASK_ATTR_INO) put_integer(sink, BC_ATTR_INO, attrs->ino);
    if (present & BITCASK_ATTR_RDEV) put_integer(sink, BC_ATTR_RDEV, attrs->rdev);
    if (present & BITCASK_ATTR_XATTRS) {
        assert(attrs->xattrs_size <= BITCASK_XATTRS_MAX);
        put_lead(sink, BC_ATTR_XATTRS, attrs->xattrs_size);
        put_bytes(sink, attrs->xattrs, attrs->xattrs_size);
    }
    if (present & BITCASK_ATTR_EXPIRY) put_time(sink, BC_ATTR_EXPIRY, attrs->expiry_ns);
}

size_t bc_attrs_size(const bitcask_attrs *attrs)
{
    struct sink sink = {NULL, 0};
    encode(attrs, &sink);
    return sink.size;
}

void bc_attrs_encode(const bitcask_attrs *attrs, uint8_t *out)
{
    struct sink sink = {out, 0};
    encode(attrs, &sink);
}

/* A walk over encoded attributes. */
struct walk {
    const uint8_t *next;
    size_t left;
    unsigned last_type;
    unsigned type; /* of the attribute reached */
    const uint8_t *payload;
    size_t length;
};

/* Steps to the next attribute; false when the bytes do not hold one. Call it only while left > 0. */
static bool walk_step(struct walk *walk)
{
    walk->type = walk->next[0];
    if (walk->type <= walk->last_type) return false;
    walk->last_type = walk->type;

    size_t length = 0;
    size_t lead = 1;
    for (;;) {
        if (lead == walk->left || lead == 4) return false;
        uint8_t byte = walk->next[lead];
        length |= (size_t)(byte & 0x7f) << (7 * (lead - 1));
        lead++;
        if (byte >= 0x80) continue;
        if (byte == 0 && lead > 2) return false; /* a longer spelling of a shorter length */
        break;
    }
    if (length > walk->left - lead) return false;
    walk->payload = walk->next + lead;
    walk->length = length;
    walk->next += lead + length;
    walk->left -= lead + length;
    return true;
}

bool bc_attrs_plausible(const uint8_t *data, size_t size)
{
    struct walk walk = {.next = data, .left = size};
    if (size > BC_ATTRS_SIZE_MAX) return false;
    while (walk.left > 0) {
        if (!walk_step(&walk)) return false;
    }
    return true;
}

/* An integer of at most width bytes without leading zeros. */
static bool take_integer(const struct walk *walk, size_t width, uint64_t *value)
{
    if (walk->length > width) return false;
    if (walk->length > 0 && walk->payload[walk->length - 1] == 0) return false;
    *value = 0;
    for (size_t i = 0; i < walk->length; i++) *value |= (uint64_t)walk->payload[i] << (8 * i);
    return true;
}

static bool take_u32(const struct walk *walk, uint32_t *value)
{
    uint64_t wide = 0;
    if (!take_integer(walk, 4, &wide)) return false;
    *value = (uint32_t)wide;
    return true;
}

static bool take_time(const struct walk *walk, int64_t *time_ns)
{
    if (walk->length != 8) return false;
    *time_ns = (int64_t)bc_get_u64(walk->payload);
    return true;
}

static bool take_xattrs(const struct walk *walk, bitcask_attrs *attrs)
{
    if (walk->length > BITCASK_XATTRS_MAX) return false;
    attrs->xattrs = walk->payload;
    attrs->xattrs_size = walk->length;
    return true;
}

/* Takes over the attribute that walk stands on. */
static bc_status decode_one(const struct walk *walk, bitcask_attrs *attrs)
{
    bool good = false;
    uint32_t bit = 0;
    switch (walk->type) {
    case BC_ATTR_MODE: good = take_u32(walk, &attrs->mode), bit = BITCASK_ATTR_MODE; break;
    case BC_ATTR_UID: good = take_u32(walk, &attrs->uid), bit = BITCASK_ATTR_UID; break;
    case BC_ATTR_GID: good = take_u32(walk, &attrs->gid), bit = BITCASK_ATTR_GID; break;
    case BC_ATTR_MTIME: good = take_time(walk, &attrs->mtime_ns), bit = BITCASK_ATTR_MTIME; break;
    case BC_ATTR_CTIME: good = take_time(walk, &attrs->ctime_ns), bit = BITCASK_ATTR_CTIME; break;
    case BC_ATTR_ATIME: good = take_time(walk, &attrs->atime_ns), bit = BITCASK_ATTR_ATIME; break;
    case BC_ATTR_INO: good = take_integer(walk, 8, &attrs->ino), bit = BITCASK_ATTR_INO; break;
    case BC_ATTR_RDEV: good = take_u32(walk, &attrs->rdev), bit = BITCASK_ATTR_RDEV; break;
    case BC_ATTR_XATTRS: good = take_xattrs(walk, attrs), bit = BITCASK_ATTR_XATTRS; break;
    case BC_ATTR_EXPIRY: good = take_time(walk, &attrs->expiry_ns), bit = BITCASK_ATTR_EXPIRY; break;
    default:
        if ((walk->type & 0x80) == 0) return BITCASK_OK;
        return bc_fail(BITCASK_NEWER_FORMAT, "attributes: type %u is not known here; use a newer version of bitcask",
                       walk->type);
    }
    if (!good) return bc_fail(BITCASK_CORRUPT, "attributes: type %u has a bad length or range", walk->type);
    attrs->present |= bit;
    return BITCASK_OK;
}

bc_status bc_attrs_decode(const uint8_t *data, size_t size, bitcask_attrs *attrs)
{
    struct walk walk = {.next = data, .left = size};
    *attrs = (bitcask_attrs){0};
    if (size > BC_ATTRS_SIZE_MAX) return bc_fail(BITCASK_CORRUPT, "attributes: %zu bytes are too many", size);
    while (walk.left > 0) {
        if (!walk_step(&walk)) return bc_fail(BITCASK_CORRUPT, "attributes: bad order or length");
        bc_status status = decode_one(&walk, attrs);
        if (status != BITCASK_OK) return status;
    }
    return BITCASK_OK;
}

void bc_attrs_merge(bitcask_attrs *into, const bitcask_attrs *from)
{
    uint32_t present = from->present;
    if (present & BITCASK_ATTR_MODE) into->mode = from->mode;
    if (present & BITCASK_ATTR_UID) into->uid = from->uid;
    if (present & BITCASK_ATTR_GID) into->gid = from->gid;
    if (present & BITCASK_ATTR_MTIME) into->mtime_ns = from->mtime_ns;
    if (present & BITCASK_ATTR_CTIME) into->ctime_ns = from->ctime_ns;
    if (present & BITCASK_ATTR_ATIME) into->atime_ns = from->atime_ns;
    if (present & BITCASK_ATTR_INO) into->ino = from->ino;
    if (present & BITCASK_ATTR_RDEV) into->rdev = from->rdev;
    if (present & BITCASK_ATTR_EXPIRY) into->expiry_ns = from->expiry_ns;
    if (present & BITCASK_ATTR_XATTRS) {
        into->xattrs = from->xattrs;
        into->xattrs_size = from->xattrs_size;
    }
    into->present |= present & BITCASK_ATTR_ALL;
}
