/* test_overlay.c - the ordered set of names that a directory has in memory, against a plain table. */
#include "unit.h"

#include "overlay.h"

/* The overlay keeps these pointers and never looks behind them. */
static struct bcfs_inode *node(uintptr_t number)
{
    return (struct bcfs_inode *)(number * 16);
}

static void names_are_ordered_by_their_bytes(void)
{
    static const char *const given[] = {"b", "ab", "a", "\xff", "B", "abc", "a\x01"};
    static const char *const wanted[] = {"B", "a", "a\x01", "ab", "abc", "b", "\xff"};
    struct bcfs_overlay overlay;
    const struct bcfs_overlay_entry *entry = NULL;
    size_t count = sizeof(given) / sizeof(given[0]);

    bcfs_overlay_init(&overlay);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_TRUE_FATAL(bcfs_overlay_set(&overlay, given[i], strlen(given[i]), node(i + 1)));
    }
    entry = bcfs_overlay_after(&overlay, "", 0);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
        CU_ASSERT_EQUAL(entry->name_size, strlen(wanted[i]));
        CU_ASSERT_EQUAL(memcmp(entry->name, wanted[i], entry->name_size), 0);
        entry = entry->next[0];
    }
    CU_ASSERT_PTR_NULL(entry);
    bcfs_overlay_release(&overlay);
}

static void a_name_is_there_once_and_counted_right(void)
{
    struct bcfs_overlay overlay;

    bcfs_overlay_init(&overlay);
    CU_ASSERT_TRUE(bcfs_overlay_set(&overlay, "x", 1, node(1)));
    CU_ASSERT_TRUE(bcfs_overlay_set(&overlay, "x", 1, NULL));
    CU_ASSERT_EQUAL(overlay.live, 0);
    CU_ASSERT_EQUAL(overlay.whiteouts, 1);
    CU_ASSERT_TRUE(bcfs_overlay_set(&overlay, "x", 1, node(2)));
    CU_ASSERT_EQUAL(overlay.live, 1);
    CU_ASSERT_EQUAL(overlay.whiteouts, 0);
    CU_ASSERT_PTR_EQUAL(bcfs_overlay_get(&overlay, "x", 1)->inode, node(2));
    CU_ASSERT_PTR_NULL(bcfs_overlay_get(&overlay, "xx", 2));
    bcfs_overlay_remove(&overlay, "absent", 6);
    bcfs_overlay_remove(&overlay, "x", 1);
    CU_ASSERT_EQUAL(overlay.live, 0);
    CU_ASSERT_PTR_NULL(bcfs_overlay_get(&overlay, "x", 1));
    CU_ASSERT_PTR_NULL(bcfs_overlay_after(&overlay, "", 0));
    bcfs_overlay_release(&overlay);
}

enum { NAMES = 500 };

/* The names are "000" to "499"; what[i] is the node of name i, present[i] whether it is in. */
static void compare(const struct bcfs_overlay *overlay, const bool *present, struct bcfs_inode *const *what)
{
    const struct bcfs_overlay_entry *entry = bcfs_overlay_after(overlay, "", 0);
    size_t live = 0;
    size_t whiteouts = 0;
    char name[8];

    for (unsigned i = 0; i < NAMES; i++) {
        if (!present[i]) continue;
        snprintf(name, sizeof(name), "%03u", i);
        CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
        CU_ASSERT_EQUAL_FATAL(memcmp(entry->name, name, 3), 0);
        CU_ASSERT_PTR_EQUAL_FATAL(entry->inode, what[i]);
        live += what[i] != NULL;
        whiteouts += what[i] == NULL;
        entry = entry->next[0];
    }
    CU_ASSERT_PTR_NULL(entry);
    CU_ASSERT_EQUAL(overlay->live, live);
    CU_ASSERT_EQUAL(overlay->whiteouts, whiteouts);
}

static void random_changes_agree_with_a_plain_table(void)
{
    uint64_t state = unit_seed("overlay");
    struct bcfs_overlay overlay;
    bool present[NAMES] = {false};
    struct bcfs_inode *what[NAMES] = {NULL};
    char name[8];

    bcfs_overlay_init(&overlay);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)(unit_random(&state) % NAMES);
        unsigned choice = (unsigned)(unit_random(&state) % 5);
        unsigned next = i + 1;
        const struct bcfs_overlay_entry *entry = NULL;

        snprintf(name, sizeof(name), "%03u", i);
        if (choice < 2) {
            what[i] = choice == 0 ? node(step + 1) : NULL;
            present[i] = true;
            CU_ASSERT_TRUE_FATAL(bcfs_overlay_set(&overlay, name, 3, what[i]));
        } else if (choice < 4) {
            present[i] = false;
            bcfs_overlay_remove(&overlay, name, 3);
        } else {
            while (next < NAMES && !present[next]) next++;
            entry = bcfs_overlay_after(&overlay, name, 3);
            CU_ASSERT_EQUAL_FATAL(entry == NULL, next == NAMES);
            if (entry != NULL) CU_ASSERT_PTR_EQUAL(entry->inode, what[next]);
            entry = bcfs_overlay_get(&overlay, name, 3);
            CU_ASSERT_EQUAL_FATAL(entry != NULL, present[i]);
        }
        if (step % 1000 == 0) compare(&overlay, present, what);
    }
    compare(&overlay, present, what);
    bcfs_overlay_release(&overlay);
    CU_ASSERT_EQUAL(overlay.live + overlay.whiteouts, 0);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"names are ordered by their bytes", names_are_ordered_by_their_bytes},
        {"a name is there once and counted right", a_name_is_there_once_and_counted_right},
        {"random changes agree with a plain table", random_changes_agree_with_a_plain_table},
        CU_TEST_INFO_NULL,
    };
    return unit_run("overlay", tests);
}
