/* test_sort_index.c - the ordered index by itself: its shape, its order under any mix of changes, and that what was
 * reserved is enough in the worst orders of inserts. */
#include "unit.h"

#include "index/sort_index.h"

static bool memory_refused;

void *bc_index_realloc(void *memory, size_t size)
{
    return memory_refused ? NULL : realloc(memory, size);
}

/* A key is a number, 8 bytes, big-endian; keys[ref] is the one of a reference. */
struct table {
    uint8_t (*keys)[8];
    uint32_t count;
};

static const uint8_t *table_key(const void *context, uint32_t ref, size_t *key_size)
{
    const struct table *table = context;

    if (ref >= table->count) abort();
    *key_size = 8;
    return table->keys[ref];
}

static void table_open(struct table *table, uint32_t count)
{
    table->keys = calloc(count, sizeof *table->keys);
    table->count = count;
}

static void table_set(struct table *table, uint32_t ref, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++) table->keys[ref][i] = (uint8_t)(number >> (56 - 8 * i));
}

static uint64_t number_of(const struct table *table, uint32_t ref)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < 8; i++) number = number << 8 | table->keys[ref][i];
    return number;
}

/* Walks both ways; the keys must ascend and descend, and no leaf may be lost. Returns how many there are. */
static size_t check_order(const struct bc_sort_index *index, const struct table *table)
{
    struct bc_sort_place place;
    size_t forth = 0, back = 0, leaves = 0;
    uint64_t last = 0;
    uint32_t leaf = BC_NONE;

    for (bool more = bc_sort_seek(index, BC_SEEK_GE, "", 0, &place); more; more = bc_sort_step(index, false, &place)) {
        uint64_t number = number_of(table, bc_sort_ref(index, &place));
        if (forth++ > 0 && number <= last) CU_FAIL_FATAL("keys do not ascend");
        if (place.leaf != leaf) leaves++;
        leaf = place.leaf;
        last = number;
    }
    CU_ASSERT_EQUAL(leaves, index->leaves.count);
    for (bool more = bc_sort_seek(index, BC_SEEK_LE, "", 0, &place); more; more = bc_sort_step(index, true, &place)) {
        uint64_t number = number_of(table, bc_sort_ref(index, &place));
        if (back++ > 0 && number >= last) CU_FAIL_FATAL("keys do not descend");
        last = number;
    }
    CU_ASSERT_EQUAL(forth, back);
    return forth;
}

static bool holds(const struct bc_sort_index *index, const struct table *table, uint32_t ref)
{
    struct bc_sort_place place;

    return bc_sort_seek(index, BC_SEEK_GE, table->keys[ref], 8, &place) && bc_sort_ref(index, &place) == ref;
}

static void ascending_keys_leave_full_leaves(void)
{
    enum { COUNT = 64 * 64 * 3 };
    struct table table;
    struct bc_sort_index index;

    table_open(&table, COUNT);
    bc_sort_init(&index, table_key, &table);
    for (uint32_t i = 0; i < COUNT; i++) {
        table_set(&table, i, i);
        CU_ASSERT_EQUAL_FATAL(bc_sort_insert(&index, i), BITCASK_OK);
    }
    CU_ASSERT_EQUAL(index.leaves.count, COUNT / 64);
    CU_ASSERT_EQUAL(index.inners.count, COUNT / 64 / 64 + 1);
    CU_ASSERT_EQUAL(check_order(&index, &table), COUNT);
    bc_sort_release(&index);
    free(table.keys);
}

static void other_orders_leave_leaves_half_full_or_better(void)
{
    enum { COUNT = 30000 };
    struct table table;
    struct bc_sort_index index;
    uint64_t rng = unit_seed("fill");

    table_open(&table, COUNT);
    for (unsigned descending = 0; descending < 2; descending++) {
        bc_sort_init(&index, table_key, &table);
        for (uint32_t i = 0; i < COUNT; i++) {
            table_set(&table, i, descending ? COUNT - i : unit_random(&rng));
            CU_ASSERT_EQUAL_FATAL(bc_sort_insert(&index, i), BITCASK_OK);
        }
        CU_ASSERT_EQUAL(check_order(&index, &table), COUNT);
        CU_ASSERT(index.leaves.count <= (descending ? COUNT / 32 + 1 : COUNT / 40));
        bc_sort_release(&index);
    }
    free(table.keys);
}

/* Inserts, removals and renames at random, with phases that fill, thin out, and cut away whole stretches. */
static void any_mix_of_changes_keeps_the_order(void)
{
    enum { ROOM = 40000 };
    struct table table;
    struct bc_sort_index index;
    uint32_t count = 0; /* references 0 to count - 1 are in it */
    uint64_t rng = unit_seed("mix");

    table_open(&table, ROOM + 1);
    bc_sort_init(&index, table_key, &table);
    for (unsigned i = 0; i < 300000; i++) {
        unsigned phase = i / 20000 % 3;
        bool grow = phase == 0 ? unit_random(&rng) % 8 > 0 : phase == 1 ? unit_random(&rng) % 8 == 0 : i % 2 == 0;
        if (grow && count < ROOM) {
            table_set(&table, count, unit_random(&rng));
            CU_ASSERT_EQUAL_FATAL(bc_sort_insert(&index, count), BITCASK_OK);
            count++;
        } else if (count > 0) {
            struct bc_sort_place place;
            uint32_t ref = (uint32_t)(unit_random(&rng) % count);
            /* Half of the time the smallest, or what follows a fixed key: stretches empty out. */
            if (i % 4 == 0 && bc_sort_seek(&index, BC_SEEK_GE, "", 0, &place)) ref = bc_sort_ref(&index, &place);
            if (i % 4 == 1 && bc_sort_seek(&index, BC_SEEK_GE, "\x55", 1, &place)) ref = bc_sort_ref(&index, &place);
            bc_sort_remove(&index, ref);
            CU_ASSERT_FALSE_FATAL(holds(&index, &table, ref));
            count--;
            if (ref != count) {
                bc_sort_rename(&index, count, ref);
                memcpy(table.keys[ref], table.keys[count], 8);
                CU_ASSERT_FATAL(holds(&index, &table, ref));
            }
        }
        if (i % 10000 == 0) CU_ASSERT_EQUAL_FATAL(check_order(&index, &table), count);
    }
    for (; count > 0; count--) {
        bc_sort_remove(&index, count - 1);
        if (count % 1000 == 0) CU_ASSERT_EQUAL_FATAL(check_order(&index, &table), count - 1);
    }
    CU_ASSERT_EQUAL(index.height, 0);
    bc_sort_trim(&index, 0);
    CU_ASSERT_EQUAL(bc_sort_memory(&index), 0);
    bc_sort_release(&index);
    free(table.keys);
}

/* A tree of nothing but full leaves; keys are even, so that others fit between. */
static uint32_t full_tree(struct bc_sort_index *index, struct table *table, uint32_t leaves)
{
    bc_sort_init(index, table_key, table);
    for (uint32_t i = 0; i < leaves * 64; i++) {
        table_set(table, i, (uint64_t)i << 20);
        CU_ASSERT_EQUAL_FATAL(bc_sort_insert(index, i), BITCASK_OK);
    }
    return leaves * 64;
}

enum order { ONE_IN_EACH_LEAF, ALL_IN_ONE_PLACE, AT_THE_END, DESCENDING, RANDOM, END_AND_AWAY, SPLIT_AND_THIN, ORDERS };

static uint64_t nth_number(enum order order, uint32_t i, uint32_t leaves, uint64_t *rng)
{
    switch (order) {
    case ONE_IN_EACH_LEAF: return ((uint64_t)(i % leaves) * 64 + 32) * (1 << 20) + 1 + i / leaves;
    case ALL_IN_ONE_PLACE: return (1 << 20) + 1 + i;
    case AT_THE_END:
    case END_AND_AWAY: return ((uint64_t)leaves * 64 + i + 1) << 20;
    case DESCENDING: return ((uint64_t)1 << 20) - 1 - i;
    default: return (unit_random(rng) % ((uint64_t)leaves * 64) << 20) + 1 + i;
    }
}

/* Reserves room for `count` inserts, then gives no more memory. */
static void insert_reserved(struct table *table, enum order order, uint32_t leaves, uint32_t count, uint64_t *rng)
{
    struct bc_sort_index index;
    uint32_t old = full_tree(&index, table, leaves), live = old;

    CU_ASSERT_EQUAL_FATAL(bc_sort_reserve(&index, count), BITCASK_OK);
    memory_refused = true;
    for (uint32_t i = 0; i < count; i++) {
        table_set(table, old + i, nth_number(order, i, leaves, rng));
        CU_ASSERT_EQUAL_FATAL(bc_sort_insert(&index, old + i), BITCASK_OK);
        live++;
        /* The end is taken away again, so that a full leaf is the last one once more. */
        if (order == END_AND_AWAY && i % 2 == 0) {
            bc_sort_remove(&index, old + i);
            live--;
        }
        /* Old keys go in order, 31 after each insert, so that leaves thin out and join while others split. */
        for (uint32_t k = i * 31; order == SPLIT_AND_THIN && k < (i + 1) * 31 && k < old; k++) {
            bc_sort_remove(&index, k);
            live--;
        }
        bc_sort_trim(&index, count - i - 1);
    }
    memory_refused = false;
    CU_ASSERT_EQUAL(check_order(&index, table), live);
    bc_sort_release(&index);
}

static void reserved_inserts_need_no_memory_in_any_order(void)
{
    static const uint32_t sizes[] = {0, 1, 2, 63, 64, 65, 200, 700};
    struct table table;
    uint64_t rng = unit_seed("reserve");

    table_open(&table, 700 * 64 + 6000);
    for (unsigned order = 0; order < ORDERS; order++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            uint32_t leaves = sizes[s];
            if (leaves == 0 && order != AT_THE_END && order != DESCENDING && order != END_AND_AWAY) continue;
            insert_reserved(&table, order, leaves, 1, &rng);
            insert_reserved(&table, order, leaves, 2, &rng);
            insert_reserved(&table, order, leaves, 70, &rng);
            insert_reserved(&table, order, leaves, 701, &rng);
            insert_reserved(&table, order, leaves, 6000, &rng);
        }
    }
    free(table.keys);
}

/* One reserve for many inserts asks for about what they take, not for a node each. */
static void reserve_for_many_stays_near_what_they_take(void)
{
    struct table table = {0};
    struct bc_sort_index index;

    bc_sort_init(&index, table_key, &table);
    CU_ASSERT_EQUAL_FATAL(bc_sort_reserve(&index, 100000), BITCASK_OK);
    CU_ASSERT(bc_sort_memory(&index) < 100000 * 40);
    CU_ASSERT_EQUAL(bc_sort_reserve(&index, (size_t)UINT32_MAX + 1), BITCASK_NO_MEMORY);
    bc_sort_trim(&index, 0);
    CU_ASSERT_EQUAL(bc_sort_memory(&index), 0);
}

static void insert_without_memory_changes_nothing(void)
{
    enum { COUNT = 64 * 70 };
    struct table table;
    struct bc_sort_index index;
    size_t refused = 0;

    table_open(&table, COUNT);
    bc_sort_init(&index, table_key, &table);
    for (uint32_t i = 0; i < COUNT; i++) {
        table_set(&table, i, (uint64_t)i * 2654435761u % COUNT);
        memory_refused = true;
        if (bc_sort_insert(&index, i) != BITCASK_OK) {
            refused++;
            CU_ASSERT_FALSE(holds(&index, &table, i));
            CU_ASSERT_EQUAL_FATAL(check_order(&index, &table), i);
            memory_refused = false;
            CU_ASSERT_EQUAL_FATAL(bc_sort_insert(&index, i), BITCASK_OK);
        }
        memory_refused = false;
    }
    CU_ASSERT(refused > 5);
    CU_ASSERT_EQUAL(check_order(&index, &table), COUNT);
    bc_sort_release(&index);
    free(table.keys);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"ascending keys leave full leaves", ascending_keys_leave_full_leaves},
        {"other orders leave leaves half full or better", other_orders_leave_leaves_half_full_or_better},
        {"any mix of changes keeps the order", any_mix_of_changes_keeps_the_order},
        {"reserved inserts need no memory in any order", reserved_inserts_need_no_memory_in_any_order},
        {"reserve for many stays near what they take", reserve_for_many_stays_near_what_they_take},
        {"insert without memory changes nothing", insert_without_memory_changes_nothing},
        CU_TEST_INFO_NULL,
    };
    return unit_run("sort index", tests);
}
