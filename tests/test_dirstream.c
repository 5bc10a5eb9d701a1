/* test_dirstream.c - positions in a directory: a number for each name, and back. */
#include "unit.h"

#include "dirstream.h"

static void a_name_keeps_its_number(void)
{
    struct bcfs_positions positions;
    uint64_t first = 9;
    uint64_t second = 9;
    uint64_t again = 9;

    bcfs_positions_init(&positions);
    CU_ASSERT_TRUE(bcfs_positions_number(&positions, "a", 1, &first));
    CU_ASSERT_TRUE(bcfs_positions_number(&positions, "b", 1, &second));
    CU_ASSERT_TRUE(bcfs_positions_number(&positions, "a", 1, &again));
    CU_ASSERT_EQUAL(first, 0);
    CU_ASSERT_EQUAL(second, 1);
    CU_ASSERT_EQUAL(again, first);
    bcfs_positions_release(&positions);
}

static void a_number_never_given_has_no_name(void)
{
    struct bcfs_positions positions;
    const void *name = NULL;
    size_t size = 0;
    uint64_t number = 0;

    bcfs_positions_init(&positions);
    CU_ASSERT_FALSE(bcfs_positions_name(&positions, 0, &name, &size));
    CU_ASSERT_TRUE(bcfs_positions_number(&positions, "a", 1, &number));
    CU_ASSERT_TRUE(bcfs_positions_name(&positions, 0, &name, &size));
    CU_ASSERT_FALSE(bcfs_positions_name(&positions, 1, &name, &size));
    /* A position that some program made up must not be cut to 32 bits on its way. */
    CU_ASSERT_FALSE(bcfs_positions_name(&positions, (uint64_t)1 << 32, &name, &size));
    CU_ASSERT_FALSE(bcfs_positions_name(&positions, UINT64_MAX, &name, &size));
    bcfs_positions_release(&positions);
}

static void a_name_that_begins_another_is_another(void)
{
    struct bcfs_positions positions;
    uint64_t short_number = 0;
    uint64_t long_number = 0;
    uint64_t odd_number = 0;

    bcfs_positions_init(&positions);
    CU_ASSERT_TRUE(bcfs_positions_number(&positions, "ab", 2, &long_number));
    CU_ASSERT_TRUE(bcfs_positions_number(&positions, "a", 1, &short_number));
    CU_ASSERT_TRUE(bcfs_positions_number(&positions, "a\xff", 2, &odd_number));
    CU_ASSERT_NOT_EQUAL(short_number, long_number);
    CU_ASSERT_NOT_EQUAL(odd_number, long_number);
    bcfs_positions_release(&positions);
}

static void every_number_leads_back_to_its_name(void)
{
    enum { NAMES = 20000 };
    uint64_t state = unit_seed("positions");
    struct bcfs_positions positions;
    char(*names)[256] = calloc(NAMES, sizeof(*names));
    size_t *sizes = calloc(NAMES, sizeof(*sizes));

    CU_ASSERT_PTR_NOT_NULL_FATAL(names);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sizes);
    bcfs_positions_init(&positions);
    for (uint32_t i = 0; i < NAMES; i++) {
        uint64_t number = 0;

        /* Distinct by the number in front, of any length up to the longest. */
        sizes[i] = 8 + (size_t)(unit_random(&state) % 248);
        unit_random_bytes(&state, (uint8_t *)names[i], sizes[i]);
        memcpy(names[i], &i, sizeof(i));
        CU_ASSERT_TRUE_FATAL(bcfs_positions_number(&positions, names[i], sizes[i], &number));
        CU_ASSERT_EQUAL_FATAL(number, i);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        const void *name = NULL;
        size_t size = 0;
        uint64_t number = 0;

        CU_ASSERT_TRUE_FATAL(bcfs_positions_name(&positions, i, &name, &size));
        CU_ASSERT_EQUAL_FATAL(size, sizes[i]);
        CU_ASSERT_EQUAL_FATAL(memcmp(name, names[i], size), 0);
        CU_ASSERT_TRUE_FATAL(bcfs_positions_number(&positions, names[i], sizes[i], &number));
        CU_ASSERT_EQUAL_FATAL(number, i);
    }
    bcfs_positions_release(&positions);
    free(sizes);
    free(names);
}

/* A directory of a few names that come and go: positions of lately stay good, and memory bounded. */
static void names_that_come_and_go_are_forgotten(void)
{
    enum { ENTRIES = 1000, ROUNDS = 400 };
    struct bcfs_positions positions;
    uint64_t number = 0, last = 0;
    size_t most = 0;

    bcfs_positions_init(&positions);
    for (uint32_t i = 0; i < ENTRIES * ROUNDS; i++) {
        const void *name = NULL;
        size_t size = 0;

        if (bcfs_positions_are_many(&positions)) bcfs_positions_trim(&positions, ENTRIES);
        CU_ASSERT_TRUE_FATAL(bcfs_positions_number(&positions, &i, sizeof(i), &number));
        CU_ASSERT_EQUAL_FATAL(number, i);
        if (positions.now.count + positions.before.count > most) most = positions.now.count + positions.before.count;
        last = i > BCFS_POSITIONS_LEAST ? i - BCFS_POSITIONS_LEAST : 0;
        CU_ASSERT_TRUE_FATAL(bcfs_positions_name(&positions, last, &name, &size));
        CU_ASSERT_EQUAL_FATAL(size, sizeof(i));
        CU_ASSERT_EQUAL_FATAL(memcmp(name, &(uint32_t){(uint32_t)last}, size), 0);
    }
    CU_ASSERT_TRUE(most <= 2 * BCFS_POSITIONS_LEAST);
    CU_ASSERT_FALSE(bcfs_positions_name(&positions, 0, &(const void *){NULL}, &(size_t){0}));
    bcfs_positions_release(&positions);
}

/* One of many names keeps them all: who goes back to its beginning finds that. */
static void all_names_of_a_large_directory_are_kept(void)
{
    enum { ENTRIES = 300000 };
    struct bcfs_positions positions;
    uint64_t number = 0;

    bcfs_positions_init(&positions);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < ENTRIES; i++) {
            if (bcfs_positions_are_many(&positions)) bcfs_positions_trim(&positions, ENTRIES);
            CU_ASSERT_TRUE_FATAL(bcfs_positions_number(&positions, &i, sizeof(i), &number));
            CU_ASSERT_EQUAL_FATAL(number, i);
        }
    bcfs_positions_release(&positions);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"a name keeps its number", a_name_keeps_its_number},
        {"a number never given has no name", a_number_never_given_has_no_name},
        {"a name that begins another is another", a_name_that_begins_another_is_another},
        {"every number leads back to its name", every_number_leads_back_to_its_name},
        {"names that come and go are forgotten", names_that_come_and_go_are_forgotten},
        {"all names of a large directory are kept", all_names_of_a_large_directory_are_kept},
        CU_TEST_INFO_NULL,
    };
    return unit_run("dirstream", tests);
}
