/* test_dirstream.c - positions in a directory: a number for each name, and back. */
#include "unit.h"

#include "dirstream.h"

static void a_name_keeps_its_number(void)
{
    struct bcfs_positions positions;
    uint32_t first = 9;
    uint32_t second = 9;
    uint32_t again = 9;

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
    uint32_t number = 0;

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
    uint32_t short_number = 0;
    uint32_t long_number = 0;
    uint32_t odd_number = 0;

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
        uint32_t number = 0;

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
        uint32_t number = 0;

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

int main(void)
{
    static CU_TestInfo tests[] = {
        {"a name keeps its number", a_name_keeps_its_number},
        {"a number never given has no name", a_number_never_given_has_no_name},
        {"a name that begins another is another", a_name_that_begins_another_is_another},
        {"every number leads back to its name", every_number_leads_back_to_its_name},
        CU_TEST_INFO_NULL,
    };
    return unit_run("dirstream", tests);
}
