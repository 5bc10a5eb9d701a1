/* test_hint_damage.c - hints that were damaged, are of other data, or lie: refused, or what they still say is right.
 */
#include "unit.h"

#include "hint_check.h"
#include "index/index.h"
#include "log/hint_format.h"

/* A hint of two entries whose bytes are known by place. */
struct pair {
    struct hint_item items[2];
    struct hint_memory *memory;
};

static void pair_make(struct pair *pair)
{
    *pair = (struct pair){.items = {{.key = "key-a"}, {.key = "key-b"}}};
    for (int i = 0; i < 2; i++) {
        struct bc_hint_entry *entry = &pair->items[i].entry;
        *entry = (struct bc_hint_entry){.key = pair->items[i].key, .key_size = 5, .value_size = 10, .offset = 100};
        entry->attrs = (bitcask_attrs){.present = BITCASK_ATTR_UID, .uid = 1};
        entry->record_size = 26 + 5 + 3 + 10;
        entry->version = hint_head.last_version;
    }
    pair->memory = hint_memory_open(pair->items, 2, 0);
}

/* A change here is a change of the format. */
static void bytes_are_those_of_the_format(void)
{
    struct pair pair;
    pair_make(&pair);
    uint32_t crc = bc_crc32c(0, pair.memory->data, pair.memory->size);
    printf("[%08" PRIx32 "] ", crc);
    CU_ASSERT_EQUAL(crc, 0x09e849dd);
    hint_memory_close(&pair.memory);
}

static void flipped_bits_are_noticed(void)
{
    uint64_t seed = unit_seed("flips");
    /* Every bit of a small one, one bit in every byte of one of several blocks. */
    for (int large = 0; large <= 1; large++) {
        size_t count = 0;
        struct hint_item *items = hint_items_make(&seed, large ? 60 : 20, large ? 255 : 12, &count);
        struct hint_memory *memory = hint_memory_open(items, count, 0);
        CU_ASSERT_EQUAL(hint_check(&memory->io, 0, items, count), 0);
        CU_ASSERT(!large || bc_get_u32(memory->data + BC_HINT_AT_BLOCKS) > 1);
        for (size_t i = 0; i < memory->size * (large ? 1 : 8); i++) {
            size_t bit = large ? i * 8 + unit_random(&seed) % 8 : i;
            memory->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            CU_ASSERT(hint_check(&memory->io, 0, items, count) > 0);
            memory->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        CU_ASSERT_EQUAL(hint_check(&memory->io, 0, items, count), 0);
        hint_memory_close(&memory);
        free(items);
    }
}

static void other_lengths_are_refused(void)
{
    uint64_t seed = unit_seed("lengths");
    size_t count = 0;
    struct bc_hint *hint = NULL;
    struct hint_item *items = hint_items_make(&seed, 60, 255, &count);
    struct hint_memory *memory = hint_memory_open(items, count, 5000);
    size_t size = memory->size;
    for (memory->size = 0; memory->size < size + 5000; memory->size++) {
        if (memory->size == size) continue;
        CU_ASSERT_EQUAL(bc_hint_open(&memory->io, 0, &hint_head, true, &hint), BITCASK_CORRUPT);
        const char *what = memory->size == 0 ? "empty file" : memory->size < size ? "cut short" : "longer than";
        CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), what));
    }
    /* Cut under an open hint. */
    memory->size = size;
    CU_ASSERT_EQUAL_FATAL(bc_hint_open(&memory->io, 0, &hint_head, true, &hint), BITCASK_OK);
    struct bc_buffer buffer = {0};
    struct bc_hint_entry entry;
    size_t errors = 0;
    memory->size = BC_HINT_HEADER_SIZE + 10;
    CU_ASSERT_EQUAL(bc_hint_find(hint, items[0].key, items[0].entry.key_size, &buffer, &entry), BITCASK_CORRUPT);
    CU_ASSERT_STRING_EQUAL(bc_detail(), HINT_NAME ": cut short");
    hint_check_cursor(hint, items, count, &errors);
    CU_ASSERT_EQUAL(errors, 1);
    bc_buffer_release(&buffer);
    bc_hint_close(&hint);
    hint_memory_close(&memory);
    free(items);
}

static void hint_of_other_data_is_refused(void)
{
    struct hint_item item = {.key = "k"};
    item.entry = (struct bc_hint_entry){.key = item.key, .key_size = 1, .offset = 1, .record_size = 27};
    struct bc_hint_head wanted = hint_head;
    struct bc_hint *hint = NULL;
    int at;
    struct bc_sim *sim = hint_disk_open(&at);
    struct bc_io *io = bc_sim_io(sim);
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, true, &hint), BITCASK_NOT_FOUND);
    wanted.data_size = 1000;
    CU_ASSERT_EQUAL(hint_write(io, at, &wanted, &item, 1, NULL), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, true, &hint), BITCASK_OK);
    bc_hint_close(&hint);

    wanted.data_size = 1001;
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, true, &hint), BITCASK_CORRUPT);
    CU_ASSERT_STRING_EQUAL(bc_detail(), HINT_NAME ": of 1000 bytes of data, where there are 1001");
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, false, &hint), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_head(hint)->data_size, 1000);
    bc_hint_close(&hint);
    wanted.data_size = 999;
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, false, &hint), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, true, &hint), BITCASK_CORRUPT);
    wanted.data_size = 1000;
    wanted.generation = 0x77;
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, false, &hint), BITCASK_CORRUPT);
    CU_ASSERT_STRING_EQUAL(bc_detail(),
                           HINT_NAME ": of a data file of generation fedcba9876543210, not 0000000000000077");
    wanted.generation = hint_head.generation;
    CU_ASSERT_EQUAL(bc_io_rename(io, at, HINT_NAME, "000008.hint"), BITCASK_OK);
    wanted.segment_id = 8;
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, true, &hint), BITCASK_CORRUPT);
    CU_ASSERT_STRING_EQUAL(bc_detail(), "000008.hint: of segment 7, not 8");
    wanted.segment_id = 9;
    CU_ASSERT_EQUAL(bc_io_mkdir(io, at, "000009.hint"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_open(io, at, &wanted, true, &hint), BITCASK_CORRUPT);
    CU_ASSERT_PTR_NULL(hint);
    hint_disk_close(&sim, at);
}

/* Makes all checks of a hint right again, of its first block as its header has it. */
static void seal(struct hint_memory *memory, size_t block_size)
{
    uint8_t *data = memory->data;
    uint64_t index_at = BC_HINT_HEADER_SIZE + bc_get_u64(data + BC_HINT_AT_ENTRIES_SIZE);
    uint64_t index_size = bc_get_u64(data + BC_HINT_AT_INDEX_SIZE);
    if (index_at < memory->size && index_size <= memory->size - index_at)
        bc_put_u32(data + BC_HINT_AT_INDEX_CRC, bc_crc32c(0, data + index_at, (size_t)index_size));
    uint8_t *block = data + BC_HINT_HEADER_SIZE;
    struct bc_hint_head head = hint_head;
    head.salt = bc_get_u64(data + BC_HINT_AT_SALT);
    bc_put_u32(block + block_size - 4, bc_hint_block_crc(&head, BC_HINT_HEADER_SIZE, block, block_size - 4));
    bc_put_u32(data + BC_HINT_AT_HEADER_CRC, bc_crc32c(0, data, BC_HINT_AT_HEADER_CRC));
}

/* What opening and a whole walk come to; whatever is handed out keeps the promises of hint.h. */
static bc_status walk_hostile(struct hint_memory *memory)
{
    struct bc_hint *hint = NULL;
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry, found;
    struct bc_buffer buffer = {0};
    size_t seen = 0;
    size_t claimed = 0; /* the filter may say anything, but has to say it */
    bc_status status = bc_hint_open(&memory->io, 0, &hint_head, true, &hint);
    if (status != BITCASK_OK) return status;
    CU_ASSERT(bc_hint_head(hint)->keys < memory->size);
    CU_ASSERT_EQUAL(bc_hint_cursor_open(hint, &cursor), BITCASK_OK);
    while ((status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK) {
        CU_ASSERT(entry.key_size >= 1 && entry.key_size <= 255 && entry.offset >= 1 && entry.record_size >= 27);
        CU_ASSERT((uint64_t)entry.offset + entry.record_size <= hint_head.data_size);
        bc_status again = bc_hint_find(hint, entry.key, entry.key_size, &buffer, &found);
        /* A key in a block that is not its own by the index is not found there. */
        CU_ASSERT(again == BITCASK_OK ? hint_entry_same(&entry, &found) : again != BITCASK_IO);
        seen++;
        claimed += bc_hint_may_contain(hint, bc_hash_key(entry.key, entry.key_size));
    }
    CU_ASSERT_EQUAL(bc_hint_cursor_next(cursor, &entry), status);
    bc_buffer_release(&buffer);
    bc_hint_cursor_close(&cursor);
    CU_ASSERT(claimed <= seen && seen <= bc_hint_head(hint)->keys);
    bc_hint_close(&hint);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

/* Sets bytes of a good hint of two entries, makes the checks right, and expects it to be refused; then puts the bytes
 * back. */
static void expect_refused(struct hint_memory *memory, size_t block_size, size_t at, const char *bytes, size_t size)
{
    uint8_t before[16];
    memcpy(before, memory->data + at, size);
    memcpy(memory->data + at, bytes, size);
    seal(memory, block_size);
    bc_status status = walk_hostile(memory);
    if (status != BITCASK_CORRUPT) printf("[byte %zu] ", at);
    CU_ASSERT_EQUAL(status, BITCASK_CORRUPT);
    memcpy(memory->data + at, before, size);
    seal(memory, block_size);
    CU_ASSERT_EQUAL(walk_hostile(memory), BITCASK_OK);
}

static void lies_with_right_checks_are_refused(void)
{
    struct pair pair;
    pair_make(&pair);
    struct hint_memory *memory = pair.memory;
    size_t entry = BC_HINT_HEADER_SIZE;    /* fixed 11, value, version, attributes' size, key 5, attributes 3 */
    size_t other = entry + 11 + 3 + 5 + 3; /* the same with a key of 1 */
    size_t block = 2 * (11 + 3 + 3) + 5 + 1 + 4;
    size_t index = entry + block; /* size, key's size, key 5 */
    CU_ASSERT_EQUAL_FATAL(bc_get_u64(memory->data + BC_HINT_AT_ENTRIES_SIZE), block);
    CU_ASSERT_EQUAL_FATAL(memory->size, index + 7 + 8);
#define REFUSED(at, bytes) expect_refused(memory, block, (at), (bytes), sizeof(bytes) - 1)
    REFUSED(entry + 0, "\1");                                      /* shared with nothing */
    REFUSED(other + 0, "\6");                                      /* more than there is */
    REFUSED(other + 0, "\3");                                      /* keys fall */
    REFUSED(entry + 1, "\0");                                      /* no key */
    REFUSED(entry + 1, "\377");                                    /* behind the block */
    REFUSED(other + 1, "\373");                                    /* 255 bytes, behind the block */
    REFUSED(other + 1, "\374");                                    /* a key of 256 bytes */
    REFUSED(other + 2, "\50");                                     /* unknown flag */
    REFUSED(other + 2, "\11");                                     /* a tombstone with a value */
    REFUSED(other + 2, "\12");                                     /* no room for a partition's id */
    REFUSED(other + 2, "\30");                                     /* a record of 3 bytes */
    REFUSED(other + 3, "\0");                                      /* another key's hash */
    REFUSED(other + 7, "\0\0\0\0");                                /* offset 0 */
    REFUSED(other + 7, "\377\377\377\377");                        /* behind the data */
    REFUSED(other + 11, "\377\377\377\377\377\377\377\377\377\1"); /* a value of 2^64 - 1 bytes */
    REFUSED(other + 12, "\2");                                     /* later than the last version */
    REFUSED(other + 13, "\2");                                     /* attributes cut */
    REFUSED(other + 14, "a");                                      /* the key of the one before */
    REFUSED(other + 15, "\200");                                   /* attributes that must be understood */
    REFUSED(other + 15, "\11");                                    /* xattrs */
    REFUSED(index, "\4");                                          /* a block of a CRC alone */
    REFUSED(index, "\200");                                        /* of thousands of bytes */
    REFUSED(index + 1, "\0");
    REFUSED(index + 1, "\6");
    REFUSED(index + 2, "a"); /* not the block's first key */
    REFUSED(BC_HINT_AT_FORMAT, "\2");
    REFUSED(BC_HINT_AT_KIND, "\1");
    REFUSED(BC_HINT_AT_HEADER_SIZE, "\145");
    REFUSED(BC_HINT_AT_BLOCKS, "\0");
    REFUSED(BC_HINT_AT_BLOCKS, "\2");
    REFUSED(BC_HINT_AT_BLOCKS, "\377\377\377\377");
    REFUSED(BC_HINT_AT_KEYS, "\0");
    REFUSED(BC_HINT_AT_KEYS, "\1");
    REFUSED(BC_HINT_AT_KEYS, "\3");
    REFUSED(BC_HINT_AT_KEYS, "\377\377\377\377\377\377\377\377");
    REFUSED(BC_HINT_AT_LAST_VERSION, "\377\377\377\377\377\377\377\177"); /* no version can follow */
    REFUSED(BC_HINT_AT_TOMBSTONE_BYTES, "\1");
    REFUSED(BC_HINT_AT_ENTRIES_SIZE, "\377\377\377\377\377\377\377\377");
    REFUSED(BC_HINT_AT_INDEX_SIZE, "\377\377\377\377\377\377\377\377");
    REFUSED(BC_HINT_AT_INDEX_SIZE, "\17\0\0\0\0\0\0\0\0"); /* filter_size 0: all is index */
    REFUSED(BC_HINT_AT_FILTER_SIZE, "\0");
    REFUSED(BC_HINT_AT_FILTER_SIZE, "\377\377\377\377\377\377\377\377");
#undef REFUSED
    hint_memory_close(&memory);
}

/* ---- hints made by hand ---- */

/* A hint that is built piece by piece, whatever the pieces say. */
struct craft {
    struct hint_memory memory;
    struct hint_memory *good; /* its table */
    uint8_t file[8192];
    uint8_t index[600];
    size_t index_size;
    size_t block_at; /* of the block being built */
};

static void craft_begin(struct craft *craft)
{
    *craft = (struct craft){.good = hint_memory_open(NULL, 0, 0)};
    craft->memory.io.ops = craft->good->io.ops;
    craft->memory.data = craft->file;
    craft->memory.size = craft->block_at = BC_HINT_HEADER_SIZE;
}

/* Adds bytes to the file. */
static void craft_bytes(struct craft *craft, const void *bytes, size_t size)
{
    memcpy(craft->file + craft->memory.size, bytes, size);
    craft->memory.size += size;
}

/* Adds an entry that says so; whole: the key that its hash is of. No value, a record as short as can be. */
static void craft_entry(struct craft *craft, size_t shared, const char *rest, const char *whole, unsigned flags)
{
    uint8_t fixed[13] = {(uint8_t)shared, (uint8_t)strlen(rest), (uint8_t)flags};
    bc_put_u32(fixed + BC_HINT_AT_KEY_HASH, (uint32_t)bc_hash_key(whole, strlen(whole)));
    fixed[BC_HINT_AT_OFFSET] = 1;
    craft_bytes(craft, fixed, sizeof fixed);
    craft_bytes(craft, rest, strlen(rest));
}

/* Ends a block, with a right check and a place in the index under this key. */
static void craft_block(struct craft *craft, const char *first_key)
{
    uint8_t crc[4];
    size_t size = craft->memory.size - craft->block_at;
    struct bc_hint_head head = hint_head;
    head.salt = bc_get_u64(craft->good->data + BC_HINT_AT_SALT);
    bc_put_u32(crc, bc_hint_block_crc(&head, craft->block_at, craft->file + craft->block_at, size));
    craft_bytes(craft, crc, sizeof crc);
    craft->index_size += bc_hint_put_varint(craft->index + craft->index_size, size + sizeof crc);
    craft->index[craft->index_size++] = (uint8_t)strlen(first_key);
    memcpy(craft->index + craft->index_size, first_key, strlen(first_key));
    craft->index_size += strlen(first_key);
    craft->block_at = craft->memory.size;
}

/* Ends the hint and expects it to be refused with these words, or to be taken if they are NULL. */
static void craft_expect(struct craft *craft, uint32_t blocks, uint64_t keys, size_t filter_size, const char *words)
{
    uint8_t *out = craft->file;
    uint64_t entries_size = craft->memory.size - BC_HINT_HEADER_SIZE;
    memcpy(out, craft->good->data, BC_HINT_HEADER_SIZE);
    craft_bytes(craft, craft->index, craft->index_size);
    craft->memory.size += filter_size;
    bc_put_u32(out + BC_HINT_AT_BLOCKS, blocks);
    bc_put_u64(out + BC_HINT_AT_KEYS, keys);
    bc_put_u64(out + BC_HINT_AT_ENTRIES_SIZE, entries_size);
    bc_put_u64(out + BC_HINT_AT_INDEX_SIZE, craft->index_size);
    bc_put_u64(out + BC_HINT_AT_FILTER_SIZE, filter_size);
    bc_put_u32(out + BC_HINT_AT_INDEX_CRC, bc_crc32c(0, craft->index, craft->index_size));
    bc_put_u32(out + BC_HINT_AT_FILTER_CRC, bc_crc32c(0, out + craft->memory.size - filter_size, filter_size));
    bc_put_u32(out + BC_HINT_AT_HEADER_CRC, bc_crc32c(0, out, BC_HINT_AT_HEADER_CRC));
    bc_status status = walk_hostile(&craft->memory);
    CU_ASSERT_EQUAL(status, words != NULL ? BITCASK_CORRUPT : BITCASK_OK);
    if (words != NULL && strstr(bc_detail(), words) == NULL) {
        CU_FAIL("another reason");
        printf("[%s, not %s] ", bc_detail(), words);
    }
    CU_ASSERT_EQUAL(craft->memory.open, 0);
    hint_memory_close(&craft->good);
}

static void blocks_that_do_not_fit_together_are_refused(void)
{
    struct craft craft;
    /* What is varied below. */
    static const struct {
        const char *second; /* key of the first block */
        const char *third;  /* the second block */
        const char *named;  /* in the index */
        const char *behind; /* bytes behind the blocks */
        const char *index;  /* and behind the index */
        size_t filter_size;
        const char *words;
    } cases[] = {
        {"c", "e", "e", "", "", 8, NULL},
        {"c", "e", "e", "", "", 16, NULL},
        {"c", "e", "a", "", "", 8, "keys out of order"},
        {"c", "a", "a", "", "", 8, "keys out of order"},
        {"c", "e", "d", "", "", 8, "bad entry"},
        {"f", "e", "e", "", "", 8, "blocks out of order"},
        {"e", "e", "e", "", "", 8, "blocks out of order"},
        {"c", "e", "e", "x", "", 8, "not of these blocks"},
        {"c", "e", "e", "", "x", 8, "not of these blocks"},
        {"c", "e", "", "", "", 8, "bad length"},
        {"c", "e", "e", "", "", 0, "bad sizes"},
        {"c", "e", "e", "", "", 4, "bad sizes"},
        {"c", "e", "e", "", "", 9, "bad sizes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        craft_begin(&craft);
        craft_entry(&craft, 0, "a", "a", 0);
        craft_entry(&craft, 0, cases[i].second, cases[i].second, 0);
        craft_block(&craft, "a");
        craft_entry(&craft, 0, cases[i].third, cases[i].third, 0);
        craft_block(&craft, cases[i].named);
        craft_bytes(&craft, cases[i].behind, strlen(cases[i].behind));
        memcpy(craft.index + craft.index_size, cases[i].index, strlen(cases[i].index));
        craft.index_size += strlen(cases[i].index);
        craft_expect(&craft, 2, 3, cases[i].filter_size, cases[i].words);
    }
    /* A block shorter than its check, and one that ends in front of its key's end. */
    for (int i = 0; i < 3; i++) {
        craft_begin(&craft);
        craft_entry(&craft, 0, "a", "a", 0);
        craft_entry(&craft, 0, "b", "b", 0);
        craft_block(&craft, "a");
        memcpy(craft.index + craft.index_size, i == 0 ? "\3\1b" : i == 1 ? "\3\377b" : "\3", i == 2 ? 1 : 3);
        craft.index_size += i == 2 ? 1 : 3;
        craft_bytes(&craft, "xyz", 3);
        craft_expect(&craft, 2, 2, 8, i == 0 ? "bad size of a block" : "bad length");
    }
}

static void entries_that_lean_wrongly_on_others_are_refused(void)
{
    char before[256] = {0}, after[257] = {0};
    struct craft craft;
    memset(before, 'a', 201);
    memset(after, 'a', 201);
    memset(after + 201, 'b', 55);
    static const struct {
        const char *rest;
        const char *whole;
        size_t shared;
        const char *behind; /* bytes behind it */
        const char *words;
    } cases[] = {
        {"b", "ab", 1, "", NULL},
        {"b", "b", 0, "", NULL},
        {"a", "a", 0, "", "bad entry"},                                /* the same key again */
        {"A", "A", 0, "", "bad entry"},                                /* a lower one */
        {"", "a", 1, "", "bad entry"},                                 /* no key of its own */
        {"b", "a", 2, "", "bad entry"},                                /* more of the last than there is: a NUL, here */
        {"bbbbbbbbbbbbbbbb", "abbbbbbbbbbbbbbbb", 1, "x", "bad entry"} /* less than an entry behind it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        craft_begin(&craft);
        craft_entry(&craft, 0, "a", "a", 0);
        craft_entry(&craft, cases[i].shared, cases[i].rest, cases[i].whole, 0);
        if (cases[i].shared == 2) /* the hash of the key as it would be put together */
            bc_put_u32(craft.file + BC_HINT_HEADER_SIZE + 14 + BC_HINT_AT_KEY_HASH, (uint32_t)bc_hash_key("a\0b", 3));
        craft_bytes(&craft, cases[i].behind, strlen(cases[i].behind));
        craft_block(&craft, "a");
        craft_expect(&craft, 1, 2 + strlen(cases[i].behind), 8, cases[i].words);
    }
    for (int long_by = 0; long_by <= 1; long_by++) {
        after[255 + long_by] = '\0';
        craft_begin(&craft);
        craft_entry(&craft, 0, before, before, 0);
        craft_entry(&craft, 201, after + 201, after, 0);
        craft_block(&craft, before);
        craft_expect(&craft, 1, 2, 8, long_by > 0 ? "bad entry" : NULL);
        memset(after + 201, 'b', 55);
    }
    /* A tombstone with a value, counted as it should be. */
    craft_begin(&craft);
    craft_entry(&craft, 0, "a", "a", BC_HINT_TOMBSTONE);
    craft.file[BC_HINT_HEADER_SIZE + 11] = 10;
    craft_block(&craft, "a");
    bc_put_u64(craft.good->data + BC_HINT_AT_TOMBSTONE_BYTES, 26 + 1 + 10);
    craft_expect(&craft, 1, 1, 8, "bad entry");
}

static void random_bytes_with_right_checks_do_no_harm(void)
{
    uint64_t seed = unit_seed("hostile");
    for (int round = 0; round < 20000; round++) {
        size_t count = 0;
        struct hint_item *items = hint_items_make(&seed, 6, 8, &count);
        struct hint_memory *memory = hint_memory_open(items, count, 0);
        size_t block_size = (size_t)bc_get_u64(memory->data + BC_HINT_AT_ENTRIES_SIZE);
        for (uint64_t n = 1 + unit_random(&seed) % 3; n > 0; n--) {
            size_t at = BC_HINT_AT_BLOCKS + unit_random(&seed) % (memory->size - BC_HINT_AT_BLOCKS);
            memory->data[at] = (uint8_t)(unit_random(&seed) % 2 ? unit_random(&seed) : unit_random(&seed) % 8);
        }
        seal(memory, block_size);
        bc_status status = walk_hostile(memory);
        CU_ASSERT(status == BITCASK_OK || status == BITCASK_CORRUPT);
        hint_memory_close(&memory);
        free(items);
    }
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"bytes are those of the format", bytes_are_those_of_the_format},
        {"flipped bits are noticed", flipped_bits_are_noticed},
        {"other lengths are refused", other_lengths_are_refused},
        {"hint of other data is refused", hint_of_other_data_is_refused},
        {"lies with right checks are refused", lies_with_right_checks_are_refused},
        {"blocks that do not fit together are refused", blocks_that_do_not_fit_together_are_refused},
        {"entries that lean wrongly on others are refused", entries_that_lean_wrongly_on_others_are_refused},
        {"random bytes with right checks do no harm", random_bytes_with_right_checks_do_no_harm},
        CU_TEST_INFO_NULL,
    };
    return unit_run("hint damage", tests);
}
