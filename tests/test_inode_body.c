/* test_inode_body.c - the body of an inode: what goes in comes out, and hostile bytes are refused. */
#include "unit.h"

#include "log/inode_body.h"

static size_t encode(const struct bc_inode_body *body, const struct bc_run *runs, uint8_t *out)
{
    bc_inode_encode_head(body, out);
    for (size_t i = 0; i < body->run_count; i++)
        bc_inode_put_run(&runs[i], out + BC_INODE_HEAD_SIZE + i * BC_INODE_RUN_SIZE);
    return BC_INODE_HEAD_SIZE + body->run_count * BC_INODE_RUN_SIZE;
}

static void maps_round_trip(void)
{
    uint64_t seed = unit_seed("maps");
    static uint8_t bytes[BC_INODE_HEAD_SIZE + 100 * BC_INODE_RUN_SIZE];

    for (int round = 0; round < 2000; round++) {
        struct bc_inode_body body = {.extent_shift = (uint8_t)(12 + unit_random(&seed) % 15), .links = (uint32_t)round},
                             back;
        struct bc_run runs[100];
        uint64_t next = 0;

        body.run_count = unit_random(&seed) % 100;
        for (size_t i = 0; i < body.run_count; i++) {
            runs[i] = (struct bc_run){next + unit_random(&seed) % 3, 1 + unit_random(&seed) % 1000, unit_random(&seed)};
            next = runs[i].first + runs[i].count;
        }
        body.size = (next << body.extent_shift) + unit_random(&seed) % 100000;
        size_t size = encode(&body, runs, bytes);
        CU_ASSERT_EQUAL_FATAL(bc_inode_decode(bytes, size, &back), BITCASK_OK);
        CU_ASSERT_EQUAL(back.links, body.links);
        CU_ASSERT_EQUAL(back.size, body.size);
        CU_ASSERT_EQUAL_FATAL(back.run_count, body.run_count);
        for (size_t i = 0; i < body.run_count; i++) {
            struct bc_run run = bc_inode_run(&back, i);
            CU_ASSERT(run.first == runs[i].first && run.count == runs[i].count && run.value_id == runs[i].value_id);
        }
    }
}

static void content_round_trips(void)
{
    uint8_t bytes[BC_INODE_HEAD_SIZE + 5];
    struct bc_inode_body body = {.links = 2, .size = 5}, back;

    bc_inode_encode_head(&body, bytes);
    memcpy(bytes + BC_INODE_HEAD_SIZE, "hello", 5);
    CU_ASSERT_EQUAL_FATAL(bc_inode_decode(bytes, sizeof bytes, &back), BITCASK_OK);
    CU_ASSERT(back.size == 5 && memcmp(back.content, "hello", 5) == 0);
    for (size_t n = 0; n < sizeof bytes; n++) CU_ASSERT_NOT_EQUAL(bc_inode_decode(bytes, n, &back), BITCASK_OK);
}

/* Every truncation and every changed byte: refused, or a map that keeps the rules; nothing is read out of bounds. */
static void damage_is_refused_or_harmless(void)
{
    const struct bc_run runs[] = {{0, 4, 7}, {4, 1, 8}, {9, 1ull << 20, 9}};
    struct bc_inode_body body = {.extent_shift = 18, .links = 1, .run_count = 3, .size = ((1ull << 20) + 9) << 18},
                         back;
    uint8_t bytes[BC_INODE_HEAD_SIZE + 3 * BC_INODE_RUN_SIZE];
    size_t size = encode(&body, runs, bytes);

    for (size_t n = 0; n < size; n++) {
        uint8_t *exact = malloc(n + 1);
        memcpy(exact, bytes, n);
        bool whole_runs = n >= BC_INODE_HEAD_SIZE && (n - BC_INODE_HEAD_SIZE) % BC_INODE_RUN_SIZE == 0;
        CU_ASSERT_EQUAL(bc_inode_decode(exact, n, &back) == BITCASK_OK, whole_runs);
        free(exact);
    }
    for (size_t at = 0; at < size; at++)
        for (unsigned flip = 1; flip < 256; flip++) {
            uint64_t next = 0;
            bytes[at] ^= (uint8_t)flip;
            if (bc_inode_decode(bytes, size, &back) == BITCASK_OK) {
                CU_ASSERT(back.size <= BITCASK_SIZE_MAX);
                for (size_t i = 0; i < back.run_count && back.extent_shift; i++) {
                    struct bc_run run = bc_inode_run(&back, i);
                    CU_ASSERT(run.first >= next && run.count > 0);
                    next = run.first + run.count;
                    CU_ASSERT(((next - 1) << back.extent_shift) < back.size);
                }
            }
            bytes[at] ^= (uint8_t)flip;
        }
}

static void runs_out_of_place_are_refused(void)
{
    const struct {
        struct bc_run runs[2];
        uint64_t size;
    } bad[] = {
        {{{0, 2, 1}, {1, 1, 2}}, 1 << 20},          /* overlap */
        {{{3, 1, 1}, {0, 1, 2}}, 1 << 20},          /* order */
        {{{0, 1, 1}, {3, 2, 2}}, 1 << 20},          /* beyond the content */
        {{{0, 1, 1}, {1, UINT64_MAX, 2}}, 1 << 20}, /* overflow */
        {{{0, 1, 1}, {UINT64_MAX, 1, 2}}, 1 << 20}, /* overflow */
    };
    uint8_t bytes[BC_INODE_HEAD_SIZE + 2 * BC_INODE_RUN_SIZE];
    struct bc_inode_body back;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bc_inode_body body = {.extent_shift = 18, .links = 1, .run_count = 2, .size = bad[i].size};
        size_t size = encode(&body, bad[i].runs, bytes);
        CU_ASSERT_EQUAL(bc_inode_decode(bytes, size, &back), BITCASK_CORRUPT);
    }
    bytes[0] = 2;
    CU_ASSERT_EQUAL(bc_inode_decode(bytes, sizeof bytes, &back), BITCASK_NEWER_FORMAT);
}

static void keys_sort_by_number(void)
{
    uint8_t a[BC_EXTENT_KEY_SIZE], b[BC_EXTENT_KEY_SIZE];
    uint64_t id, number, ino;

    bc_extent_key(5, 255, a);
    bc_extent_key(5, 256, b);
    CU_ASSERT(memcmp(a, b, sizeof a) < 0);
    CU_ASSERT(bc_is_extent_key(b, sizeof b, &id, &number) && id == 5 && number == 256);
    bc_inode_key(BC_INODE_BIT | 3, a);
    CU_ASSERT(bc_is_inode_key(a, BC_INODE_KEY_SIZE, &ino) && ino == (BC_INODE_BIT | 3));
    CU_ASSERT(!bc_is_inode_key(b, sizeof b, NULL) && !bc_is_extent_key(a, BC_INODE_KEY_SIZE, NULL, NULL));
}

int main(void)
{
    CU_TestInfo tests[] = {{"maps_round_trip", maps_round_trip},
                           {"content_round_trips", content_round_trips},
                           {"damage_is_refused_or_harmless", damage_is_refused_or_harmless},
                           {"runs_out_of_place_are_refused", runs_out_of_place_are_refused},
                           {"keys_sort_by_number", keys_sort_by_number},
                           CU_TEST_INFO_NULL};
    return unit_run("inode_body", tests);
}
