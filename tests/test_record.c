/* test_record.c - the record codec and the attribute codec: what goes in comes out, and nothing else does. */
#include "unit.h"

#include "base/crc.h"
#include "log/attrs.h"
#include "log/record.h"

#define GENERATION UINT64_C(0x1122334455667788)

static bool same_attrs(const bitcask_attrs *a, const bitcask_attrs *b)
{
    uint32_t p = a->present;
    if (p != b->present) return false;
    if ((p & BITCASK_ATTR_MODE) && a->mode != b->mode) return false;
    if ((p & BITCASK_ATTR_UID) && a->uid != b->uid) return false;
    if ((p & BITCASK_ATTR_GID) && a->gid != b->gid) return false;
    if ((p & BITCASK_ATTR_RDEV) && a->rdev != b->rdev) return false;
    if ((p & BITCASK_ATTR_MTIME) && a->mtime_ns != b->mtime_ns) return false;
    if ((p & BITCASK_ATTR_CTIME) && a->ctime_ns != b->ctime_ns) return false;
    if ((p & BITCASK_ATTR_ATIME) && a->atime_ns != b->atime_ns) return false;
    if ((p & BITCASK_ATTR_EXPIRY) && a->expiry_ns != b->expiry_ns) return false;
    if ((p & BITCASK_ATTR_INO) && a->ino != b->ino) return false;
    if ((p & BITCASK_ATTR_XATTRS) &&
        (a->xattrs_size != b->xattrs_size || (a->xattrs_size > 0 && memcmp(a->xattrs, b->xattrs, a->xattrs_size) != 0)))
        return false;
    return true;
}

/* A number of random width, so that short encodings come up as often as long ones. */
static uint64_t any_number(uint64_t *seed, unsigned bits)
{
    return unit_random(seed) >> (64 - bits) >> (unit_random(seed) % bits);
}

static void random_attrs(uint64_t *seed, bitcask_attrs *attrs, uint8_t *xattrs, size_t xattrs_max)
{
    *attrs = (bitcask_attrs){
        .present = (uint32_t)unit_random(seed) & BITCASK_ATTR_ALL,
        .mode = (uint32_t)any_number(seed, 32),
        .uid = (uint32_t)any_number(seed, 32),
        .gid = (uint32_t)any_number(seed, 32),
        .rdev = (uint32_t)any_number(seed, 32),
        .mtime_ns = (int64_t)unit_random(seed),
        .ctime_ns = (int64_t)any_number(seed, 64),
        .atime_ns = -(int64_t)any_number(seed, 63),
        .expiry_ns = (int64_t)any_number(seed, 64),
        .ino = any_number(seed, 64),
        .xattrs = xattrs,
        .xattrs_size = (size_t)(unit_random(seed) % (xattrs_max + 1)),
    };
    unit_random_bytes(seed, xattrs, attrs->xattrs_size);
}

/* ---- attributes ---- */

static void attrs_round_trip(void)
{
    static uint8_t xattrs[BITCASK_XATTRS_MAX];
    uint64_t seed = unit_seed("attrs");
    for (int i = 0; i < 3000; i++) {
        bitcask_attrs attrs, back;
        random_attrs(&seed, &attrs, xattrs, i % 100 == 0 ? sizeof xattrs : 300);
        size_t size = bc_attrs_size(&attrs);
        CU_ASSERT_FATAL(size <= BC_ATTRS_SIZE_MAX);
        uint8_t *bytes = malloc(size > 0 ? size : 1); /* exact: the address sanitizer sees one byte too many */
        bc_attrs_encode(&attrs, bytes);
        CU_ASSERT(bc_attrs_plausible(bytes, size));
        CU_ASSERT_EQUAL(bc_attrs_decode(bytes, size, &back), BITCASK_OK);
        CU_ASSERT(same_attrs(&attrs, &back));
        free(bytes);
    }
}

static void absent_attrs_take_no_room_and_small_ones_little(void)
{
    uint8_t bytes[16];
    bitcask_attrs attrs = {.present = 0, .mode = 0644, .mtime_ns = 5};
    CU_ASSERT_EQUAL(bc_attrs_size(&attrs), 0);
    attrs.present = BITCASK_ATTR_UID;
    CU_ASSERT_EQUAL_FATAL(bc_attrs_size(&attrs), 2);
    bc_attrs_encode(&attrs, bytes);
    CU_ASSERT(memcmp(bytes, "\x02\x00", 2) == 0);
    attrs = (bitcask_attrs){.present = BITCASK_ATTR_MODE, .mode = 0100644};
    CU_ASSERT_EQUAL_FATAL(bc_attrs_size(&attrs), 4);
    bc_attrs_encode(&attrs, bytes);
    CU_ASSERT(memcmp(bytes, "\x01\x02\xa4\x81", 4) == 0);
    attrs = (bitcask_attrs){.present = BITCASK_ATTR_MTIME, .mtime_ns = 1};
    CU_ASSERT_EQUAL(bc_attrs_size(&attrs), 10);
    CU_ASSERT(bc_attrs_plausible(NULL, 0));
    CU_ASSERT_EQUAL(bc_attrs_decode(NULL, 0, &attrs), BITCASK_OK);
    CU_ASSERT_EQUAL(attrs.present, 0);
}

static void truncated_attrs_lose_whole_members_or_are_refused(void)
{
    uint8_t xattrs[200];
    bitcask_attrs attrs, back;
    uint64_t seed = unit_seed("truncated attrs");
    for (int i = 0; i < 50; i++) {
        random_attrs(&seed, &attrs, xattrs, sizeof xattrs);
        size_t size = bc_attrs_size(&attrs);
        uint8_t *whole = malloc(size + 1);
        bc_attrs_encode(&attrs, whole);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *bytes = malloc(cut > 0 ? cut : 1);
            memcpy(bytes, whole, cut);
            bc_status status = bc_attrs_decode(bytes, cut, &back);
            CU_ASSERT(status == BITCASK_CORRUPT || status == BITCASK_OK);
            CU_ASSERT_EQUAL(bc_attrs_plausible(bytes, cut), status == BITCASK_OK);
            /* Cut between two members: what is left is a shorter list. */
            if (status == BITCASK_OK) {
                CU_ASSERT_EQUAL(back.present & ~attrs.present, 0);
                CU_ASSERT_NOT_EQUAL(back.present, attrs.present);
                CU_ASSERT_EQUAL(bc_attrs_size(&back), cut);
            }
            free(bytes);
        }
        free(whole);
    }
}

static void random_bytes_are_decoded_within_their_bounds(void)
{
    uint64_t seed = unit_seed("attrs garbage");
    unsigned decoded = 0;
    for (int i = 0; i < 200000; i++) {
        size_t size = (size_t)(unit_random(&seed) % 40);
        uint8_t *bytes = malloc(size > 0 ? size : 1);
        unit_random_bytes(&seed, bytes, size);
        /* Half of them with small types and lengths, to get further than the first bytes. */
        if (i % 2 == 0)
            for (size_t k = 0; k < size; k++) bytes[k] &= 0x8f;
        bitcask_attrs attrs;
        bc_status status = bc_attrs_decode(bytes, size, &attrs);
        if (status == BITCASK_OK) {
            decoded++;
            CU_ASSERT(bc_attrs_plausible(bytes, size));
            if (attrs.present & BITCASK_ATTR_XATTRS)
                CU_ASSERT(attrs.xattrs_size <= size && (const uint8_t *)attrs.xattrs >= bytes);
        } else {
            CU_ASSERT(status == BITCASK_CORRUPT || status == BITCASK_NEWER_FORMAT);
        }
        free(bytes);
    }
    CU_ASSERT(decoded > 0);
}

static bc_status decode_text(const char *bytes, size_t size)
{
    bitcask_attrs attrs;
    return bc_attrs_decode((const uint8_t *)bytes, size, &attrs);
}
#define DECODE(text) decode_text(text, sizeof(text) - 1)

static void misspelt_attrs_are_refused(void)
{
    CU_ASSERT_EQUAL(DECODE("\x02\x01\x05"), BITCASK_OK);
    CU_ASSERT_EQUAL(DECODE("\x00\x00"), BITCASK_CORRUPT);                     /* type 0 */
    CU_ASSERT_EQUAL(DECODE("\x02"), BITCASK_CORRUPT);                         /* no length */
    CU_ASSERT_EQUAL(DECODE("\x02\x02\x05"), BITCASK_CORRUPT);                 /* longer than what is there */
    CU_ASSERT_EQUAL(DECODE("\x02\x81\x00\x05"), BITCASK_CORRUPT);             /* length 1, spelt long */
    CU_ASSERT_EQUAL(DECODE("\x02\x02\x05\x00"), BITCASK_CORRUPT);             /* integer with a leading zero */
    CU_ASSERT_EQUAL(DECODE("\x02\x05\x01\x01\x01\x01\x01"), BITCASK_CORRUPT); /* a uid of 5 bytes */
    CU_ASSERT_EQUAL(DECODE("\x02\x01\x05\x02\x01\x05"), BITCASK_CORRUPT);     /* twice */
    CU_ASSERT_EQUAL(DECODE("\x03\x01\x05\x02\x01\x05"), BITCASK_CORRUPT);     /* descending */
    CU_ASSERT_EQUAL(DECODE("\x04\x07zzzzzzz"), BITCASK_CORRUPT);              /* a time of 7 bytes */
    CU_ASSERT_EQUAL(DECODE("\x04\x08zzzzzzzz"), BITCASK_OK);
    CU_ASSERT_EQUAL(DECODE("\x02\xff\xff\xff\xff\x01"), BITCASK_CORRUPT); /* a length of more than 3 bytes */
}

static void unknown_attrs_are_skipped_unless_they_must_be_understood(void)
{
    bitcask_attrs attrs;
    CU_ASSERT_EQUAL(bc_attrs_decode((const uint8_t *)"\x02\x01\x05\x55\x03zzz\x8a\x08zzzzzzzz", 18, &attrs),
                    BITCASK_OK);
    CU_ASSERT_EQUAL(attrs.present, BITCASK_ATTR_UID | BITCASK_ATTR_EXPIRY);
    CU_ASSERT_EQUAL(DECODE("\x02\x01\x05\xd5\x03zzz"), BITCASK_NEWER_FORMAT);
    CU_ASSERT_EQUAL(DECODE("\x55\x04zzz"), BITCASK_CORRUPT);
}

static void xattrs_beyond_their_limit_are_refused(void)
{
    size_t size = BITCASK_XATTRS_MAX + 1;
    uint8_t *bytes = calloc(size + 4, 1);
    bitcask_attrs attrs;
    memcpy(bytes, "\x09\x81\x80\x04", 4); /* 65,537 */
    CU_ASSERT_EQUAL(bc_attrs_decode(bytes, size + 4, &attrs), BITCASK_CORRUPT);
    memcpy(bytes, "\x09\x80\x80\x04", 4); /* 65,536 */
    CU_ASSERT_EQUAL(bc_attrs_decode(bytes, size + 3, &attrs), BITCASK_OK);
    CU_ASSERT_EQUAL(attrs.xattrs_size, BITCASK_XATTRS_MAX);
    CU_ASSERT_EQUAL(bc_attrs_decode(bytes, BC_ATTRS_SIZE_MAX + 1, &attrs), BITCASK_CORRUPT);
    CU_ASSERT(!bc_attrs_plausible(bytes, BC_ATTRS_SIZE_MAX + 1));
    free(bytes);
}

static void merge_sets_what_is_present_and_keeps_the_rest(void)
{
    uint8_t a[64], b[64];
    uint64_t seed = unit_seed("merge");
    for (int i = 0; i < 1000; i++) {
        bitcask_attrs into, from, merged, masked;
        random_attrs(&seed, &into, a, sizeof a);
        random_attrs(&seed, &from, b, sizeof b);
        merged = into;
        bc_attrs_merge(&merged, &from);
        CU_ASSERT_EQUAL(merged.present, into.present | from.present);
        masked = merged;
        masked.present = from.present;
        CU_ASSERT(same_attrs(&from, &masked));
        masked.present = into.present = into.present & ~from.present;
        CU_ASSERT(same_attrs(&into, &masked));
    }
}

/* ---- records ---- */

/* One record with the memory behind it. */
struct sample {
    struct bc_record record;
    uint8_t key[255];
    uint8_t attrs[512];
    uint8_t value[300];
    uint8_t *front;
    size_t front_size;
    uint64_t offset;
};

static void sample_make(struct sample *sample, uint64_t *seed)
{
    static const uint16_t kinds[] = {0, BC_RECORD_TOMBSTONE, BC_RECORD_MORE, BC_RECORD_PARTITION | BC_RECORD_DURABLE};
    uint8_t xattrs[200];
    bitcask_attrs attrs;
    random_attrs(seed, &attrs, xattrs, sizeof xattrs);
    struct bc_record *record = &sample->record;
    *record = (struct bc_record){
        .version = unit_random(seed),
        .flags = kinds[unit_random(seed) % 4],
        .key_size = (uint8_t)(1 + unit_random(seed) % 255),
        .attrs_size = (uint32_t)bc_attrs_size(&attrs),
        .key = sample->key,
        .attrs = sample->attrs,
        .value = sample->value,
    };
    if ((record->flags & BC_RECORD_TOMBSTONE) == 0) record->value_size = (uint32_t)(unit_random(seed) % 301);
    unit_random_bytes(seed, sample->key, record->key_size);
    unit_random_bytes(seed, sample->value, record->value_size);
    bc_attrs_encode(&attrs, sample->attrs);
    record->value_crc = bc_crc32c(0, sample->value, record->value_size);
    sample->offset = unit_random(seed) >> 32;
    sample->front_size = bc_record_front_size(record);
    sample->front = malloc(sample->front_size);
    bc_record_encode(record, GENERATION, sample->offset, sample->front);
}

static bc_status sample_decode(const struct sample *sample, size_t available, uint64_t generation, uint64_t offset,
                               struct bc_record *back, size_t *needed)
{
    return bc_record_decode(sample->front, available, generation, offset, bc_record_size(&sample->record), back,
                            needed);
}

static void record_round_trip(void)
{
    uint64_t seed = unit_seed("record");
    for (int i = 0; i < 2000; i++) {
        struct sample sample;
        struct bc_record back;
        size_t needed = 0;
        sample_make(&sample, &seed);
        CU_ASSERT_EQUAL_FATAL(sample_decode(&sample, sample.front_size, GENERATION, sample.offset, &back, &needed),
                              BITCASK_OK);
        CU_ASSERT_EQUAL(back.version, sample.record.version);
        CU_ASSERT_EQUAL(back.flags, sample.record.flags);
        CU_ASSERT_EQUAL(back.value_size, sample.record.value_size);
        CU_ASSERT_EQUAL(back.value_crc, sample.record.value_crc);
        CU_ASSERT_EQUAL_FATAL(back.key_size, sample.record.key_size);
        CU_ASSERT_EQUAL_FATAL(back.attrs_size, sample.record.attrs_size);
        CU_ASSERT(memcmp(back.key, sample.key, back.key_size) == 0);
        CU_ASSERT(memcmp(back.attrs, sample.attrs, back.attrs_size) == 0);
        CU_ASSERT_PTR_NULL(back.value);
        free(sample.front);
    }
}

static void record_with_any_bit_flipped_is_refused(void)
{
    uint64_t seed = unit_seed("flips");
    for (int i = 0; i < 30; i++) {
        struct sample sample;
        struct bc_record back;
        size_t needed = 0;
        sample_make(&sample, &seed);
        for (size_t bit = 0; bit < sample.front_size * 8; bit++) {
            sample.front[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            CU_ASSERT_NOT_EQUAL(sample_decode(&sample, sample.front_size, GENERATION, sample.offset, &back, &needed),
                                BITCASK_OK);
            sample.front[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        free(sample.front);
    }
}

static void record_in_the_wrong_place_is_refused(void)
{
    uint64_t seed = unit_seed("place");
    struct sample sample;
    struct bc_record back;
    size_t needed = 0;
    sample_make(&sample, &seed);
    size_t size = sample.front_size;
    for (uint64_t away = 1; away < 5000; away++)
        CU_ASSERT_EQUAL(sample_decode(&sample, size, GENERATION, sample.offset + away, &back, &needed),
                        BITCASK_CORRUPT);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t one = UINT64_C(1) << bit;
        CU_ASSERT_EQUAL(sample_decode(&sample, size, GENERATION ^ one, sample.offset, &back, &needed), BITCASK_CORRUPT);
        CU_ASSERT_EQUAL(sample_decode(&sample, size, GENERATION, sample.offset ^ one, &back, &needed), BITCASK_CORRUPT);
    }
    CU_ASSERT_EQUAL(sample_decode(&sample, size, GENERATION, sample.offset, &back, &needed), BITCASK_OK);
    free(sample.front);
}

static void record_cut_short_says_what_it_needs_and_never_reads_on(void)
{
    uint64_t seed = unit_seed("cut");
    for (int i = 0; i < 20; i++) {
        struct sample sample;
        struct bc_record back;
        sample_make(&sample, &seed);
        uint64_t whole = bc_record_size(&sample.record);
        for (size_t cut = 0; cut < sample.front_size; cut++) {
            uint8_t *bytes = malloc(cut > 0 ? cut : 1);
            memcpy(bytes, sample.front, cut);
            size_t needed = 0;
            bc_status status = bc_record_decode(bytes, cut, GENERATION, sample.offset, whole, &back, &needed);
            CU_ASSERT_EQUAL(status, BITCASK_TOO_LARGE);
            CU_ASSERT_EQUAL(needed, cut < BC_RECORD_HEAD_SIZE ? BC_RECORD_HEAD_SIZE : sample.front_size);
            /* The end of the segment is there: no more will come. */
            status = bc_record_decode(bytes, cut, GENERATION, sample.offset, cut, &back, &needed);
            CU_ASSERT_EQUAL(status, BITCASK_CORRUPT);
            free(bytes);
        }
        /* The front is whole, the value is not. */
        size_t needed = 0;
        bc_status status =
            bc_record_decode(sample.front, sample.front_size, GENERATION, sample.offset, whole - 1, &back, &needed);
        CU_ASSERT_EQUAL(status, BITCASK_CORRUPT);
        free(sample.front);
    }
}

/* A head of zeros but for what the test sets, with a CRC that is right where it can be. */
static bc_status decode_head(uint8_t *bytes, size_t size, uint64_t remaining, size_t *needed)
{
    struct bc_record back;
    uint8_t seed[16];
    bc_put_u64(seed, GENERATION);
    bc_put_u64(seed + 8, 100);
    bc_put_u32(bytes, bc_crc32c(bc_crc32c(0, seed, 16), bytes + 4, size - 4));
    return bc_record_decode(bytes, size, GENERATION, 100, remaining, &back, needed);
}

static void record_with_impossible_sizes_is_refused_despite_its_crc(void)
{
    uint8_t bytes[27] = {0};
    size_t needed = 0;
    CU_ASSERT_EQUAL(decode_head(bytes, 26, 1000, &needed), BITCASK_CORRUPT); /* no key */
    bytes[20] = 1;
    bytes[26] = 'k';
    CU_ASSERT_EQUAL(decode_head(bytes, 27, 27, &needed), BITCASK_OK);
    CU_ASSERT_EQUAL(decode_head(bytes, 27, 26, &needed), BITCASK_CORRUPT);

    bc_put_u32(bytes + 16, 0xffffffffu); /* the value ends behind the segment */
    CU_ASSERT_EQUAL(decode_head(bytes, 27, 0xffffffffu, &needed), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(decode_head(bytes, 27, UINT64_C(0xffffffff) + 27, &needed), BITCASK_OK);
    bc_put_u32(bytes + 16, 0);

    memset(bytes + 21, 0xff, 3); /* 16 MiB of attributes */
    CU_ASSERT_EQUAL(decode_head(bytes, 27, UINT64_MAX, &needed), BITCASK_CORRUPT);
    bc_put_u16(bytes + 21, (uint16_t)(BC_ATTRS_SIZE_MAX + 1));
    bytes[23] = (uint8_t)((BC_ATTRS_SIZE_MAX + 1) >> 16);
    CU_ASSERT_EQUAL(decode_head(bytes, 27, UINT64_MAX, &needed), BITCASK_CORRUPT);
    bc_put_u16(bytes + 21, (uint16_t)BC_ATTRS_SIZE_MAX);
    CU_ASSERT_EQUAL(decode_head(bytes, 27, UINT64_MAX, &needed), BITCASK_TOO_LARGE);
    CU_ASSERT_EQUAL(needed, BC_RECORD_HEAD_SIZE + 1 + BC_ATTRS_SIZE_MAX);
}

static void record_with_unknown_flags_is_refused_despite_its_crc(void)
{
    uint8_t bytes[27] = {0};
    size_t needed = 0;
    bytes[20] = 1;
    for (unsigned bit = 0; bit < 16; bit++) {
        bc_put_u16(bytes + 24, (uint16_t)(1u << bit));
        bc_status expected = ((1u << bit) & BC_RECORD_KNOWN) != 0 ? BITCASK_OK : BITCASK_CORRUPT;
        CU_ASSERT_EQUAL(decode_head(bytes, 27, 27, &needed), expected);
    }
    bc_put_u16(bytes + 24, BC_RECORD_TOMBSTONE);
    bc_put_u32(bytes + 16, 1);
    CU_ASSERT_EQUAL(decode_head(bytes, 27, 28, &needed), BITCASK_CORRUPT); /* a tombstone with a value */
}

static void zeros_are_no_record(void)
{
    uint8_t zeros[512] = {0};
    struct bc_record back;
    size_t needed = 0;
    for (size_t size = BC_RECORD_HEAD_SIZE; size <= sizeof zeros; size++)
        CU_ASSERT_EQUAL(bc_record_decode(zeros, size, 0, 0, size, &back, &needed), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_record_decode(zeros, 0, 0, 0, 0, &back, &needed), BITCASK_CORRUPT);
}

static void internal_keys_begin_with_nul(void)
{
    CU_ASSERT(bc_key_is_internal("\0D", 2));
    CU_ASSERT(!bc_key_is_internal("D", 1));
    CU_ASSERT(!bc_key_is_internal("", 0));
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"attrs round trip", attrs_round_trip},
        {"absent attrs take no room and small ones little", absent_attrs_take_no_room_and_small_ones_little},
        {"truncated attrs lose whole members or are refused", truncated_attrs_lose_whole_members_or_are_refused},
        {"random bytes are decoded within their bounds", random_bytes_are_decoded_within_their_bounds},
        {"misspelt attrs are refused", misspelt_attrs_are_refused},
        {"unknown attrs are skipped unless they must be understood",
         unknown_attrs_are_skipped_unless_they_must_be_understood},
        {"xattrs beyond their limit are refused", xattrs_beyond_their_limit_are_refused},
        {"merge sets what is present and keeps the rest", merge_sets_what_is_present_and_keeps_the_rest},
        {"record round trip", record_round_trip},
        {"record with any bit flipped is refused", record_with_any_bit_flipped_is_refused},
        {"record in the wrong place is refused", record_in_the_wrong_place_is_refused},
        {"record cut short says what it needs and never reads on",
         record_cut_short_says_what_it_needs_and_never_reads_on},
        {"record with impossible sizes is refused despite its CRC",
         record_with_impossible_sizes_is_refused_despite_its_crc},
        {"record with unknown flags is refused despite its CRC", record_with_unknown_flags_is_refused_despite_its_crc},
        {"zeros are no record", zeros_are_no_record},
        {"internal keys begin with NUL", internal_keys_begin_with_nul},
        CU_TEST_INFO_NULL,
    };
    return unit_run("record", tests);
}
