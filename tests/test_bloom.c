/* test_bloom.c - the filter: never denies what was added, seldom claims what was not, same bytes everywhere. */
#include "unit.h"

#include "index/index.h"
#include "log/bloom.h"

/* The hash of key n of a family. */
static uint64_t hash_of(uint64_t family, uint64_t n)
{
    uint64_t key[2] = {family, n};
    return bc_hash_key(key, sizeof key);
}

static uint8_t *filter_of(uint64_t family, size_t keys, size_t *size)
{
    *size = bc_bloom_size(keys);
    uint8_t *bits = calloc(1, *size);
    for (size_t i = 0; i < keys; i++) bc_bloom_add(bits, *size, hash_of(family, i));
    return bits;
}

static void sizes_are_whole_words_of_thirteen_bits_a_key(void)
{
    CU_ASSERT_EQUAL(bc_bloom_size(0), 8);
    CU_ASSERT_EQUAL(bc_bloom_size(1), 8);
    CU_ASSERT_EQUAL(bc_bloom_size(4), 8);
    CU_ASSERT_EQUAL(bc_bloom_size(5), 16);
    CU_ASSERT_EQUAL(bc_bloom_size(64), 13 * 8);
    CU_ASSERT_EQUAL(bc_bloom_size(100000), 162504);
}

static void what_was_added_is_never_denied(void)
{
    static const size_t counts[] = {1, 2, 5, 64, 1000, 100000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        size_t size = 0, denied = 0;
        uint8_t *bits = filter_of(c, counts[c], &size);
        for (size_t i = 0; i < counts[c]; i++) denied += !bc_bloom_may_contain(bits, size, hash_of(c, i));
        CU_ASSERT_EQUAL(denied, 0);
        free(bits);
    }
}

static void filter_of_no_keys_denies_all(void)
{
    size_t size = 0, claimed = 0;
    uint8_t *bits = filter_of(0, 0, &size);
    for (size_t i = 0; i < 10000; i++) claimed += bc_bloom_may_contain(bits, size, hash_of(0, i));
    CU_ASSERT_EQUAL(claimed, 0);
    free(bits);
}

static void false_claims_are_one_in_five_hundred(void)
{
    size_t size = 0, claimed = 0, asked = 1000000;
    uint8_t *bits = filter_of(1, 100000, &size);
    for (size_t i = 0; i < asked; i++) claimed += bc_bloom_may_contain(bits, size, hash_of(2, i));
    printf("[%.3f %%] ", 100.0 * (double)claimed / (double)asked);
    CU_ASSERT(claimed < asked * 4 / 1000);
    CU_ASSERT(claimed > asked / 10000); /* else it was not asked */
    free(bits);
}

/* Most partitions are small, and so are their filters. */
static void small_filters_are_as_good(void)
{
    size_t claimed = 0, asked = 0;
    for (uint64_t family = 0; family < 2000; family++) {
        size_t size = 0;
        uint8_t *bits = filter_of(family, 20, &size);
        for (size_t i = 0; i < 200; i++, asked++)
            claimed += bc_bloom_may_contain(bits, size, hash_of(family + 1000000, i));
        free(bits);
    }
    printf("[%.3f %%] ", 100.0 * (double)claimed / (double)asked);
    CU_ASSERT(claimed < asked * 4 / 1000);
}

/* A change here is a change of the format. */
static void bits_are_those_of_the_format(void)
{
    static const uint8_t expected[16] = {0x41, 0x00, 0x09, 0x08, 0x50, 0x04, 0x20, 0x80,
                                         0x00, 0x00, 0x10, 0x20, 0x40, 0x05, 0x00, 0x00};
    uint8_t bits[16] = {0};
    bc_bloom_add(bits, sizeof bits, UINT64_C(0x0123456789abcdef));
    bc_bloom_add(bits, sizeof bits, UINT64_C(0xfedcba9876543210));
    for (size_t i = 0; i < sizeof bits; i++) {
        if (bits[i] != expected[i]) printf("[byte %zu: %02x] ", i, bits[i]);
        CU_ASSERT_EQUAL(bits[i], expected[i]);
    }
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"sizes are whole words of thirteen bits a key", sizes_are_whole_words_of_thirteen_bits_a_key},
        {"what was added is never denied", what_was_added_is_never_denied},
        {"filter of no keys denies all", filter_of_no_keys_denies_all},
        {"false claims are one in five hundred", false_claims_are_one_in_five_hundred},
        {"small filters are as good", small_filters_are_as_good},
        {"bits are those of the format", bits_are_those_of_the_format},
        CU_TEST_INFO_NULL,
    };
    return unit_run("bloom", tests);
}
