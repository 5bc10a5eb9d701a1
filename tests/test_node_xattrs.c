/* test_node_xattrs.c - the extended attributes of one node: changes, and bytes that are no list. */
#include "unit.h"

#include "node_xattrs.h"

/* A list of these bytes, as load() would have left it. */
static struct bcfs_xattr_list *list_of(const void *bytes, size_t size)
{
    struct bcfs_xattr_list *list = malloc(sizeof(*list) + size);

    list->size = size;
    memcpy(list->bytes, bytes, size);
    return list;
}

static void a_change_replaces_the_list_and_gives_the_old_one(void)
{
    struct bcfs_inode inode = {.state = BCFS_COMMITTED};
    struct bcfs_xattr_list *old = NULL;
    struct bcfs_xattr found;

    CU_ASSERT_EQUAL(bcfs_xattrs_change(&inode, "user.a", "1", 1, &old), BITCASK_OK);
    CU_ASSERT_PTR_NULL(old);
    CU_ASSERT_TRUE(inode.has_xattrs);
    CU_ASSERT_EQUAL(bcfs_xattrs_change(&inode, "user.b", "2", 1, &old), BITCASK_OK);
    CU_ASSERT_PTR_NOT_NULL(old);
    free(old);
    CU_ASSERT_TRUE(bcfs_xattrs_find(&inode, "user.a", &found));
    CU_ASSERT_TRUE(bcfs_xattrs_drop(&inode, "user.a"));
    CU_ASSERT_FALSE(bcfs_xattrs_drop(&inode, "user.a"));
    CU_ASSERT_FALSE(bcfs_xattrs_find(&inode, "user.a", &found));
    CU_ASSERT_EQUAL(bcfs_xattrs_change(&inode, "user.b", NULL, 0, &old), BITCASK_OK);
    CU_ASSERT_PTR_NULL(inode.xattrs);
    CU_ASSERT_FALSE(inode.has_xattrs);
    free(old);
}

static void the_last_one_dropped_leaves_none(void)
{
    struct bcfs_inode inode = {.state = BCFS_COMMITTED};
    struct bcfs_xattr_list *old = NULL;

    CU_ASSERT_EQUAL(bcfs_xattrs_change(&inode, "security.capability", "1", 1, &old), BITCASK_OK);
    CU_ASSERT_TRUE(bcfs_xattrs_drop(&inode, "security.capability"));
    CU_ASSERT_PTR_NULL(inode.xattrs);
    CU_ASSERT_FALSE(inode.has_xattrs);
}

/* A program that embeds the library may keep bytes of its own there. */
static void what_is_no_list_is_kept_and_not_shown(void)
{
    static const char bytes[] = "user.a=1";
    struct bcfs_inode inode = {.state = BCFS_COMMITTED, .has_xattrs = true};
    struct bcfs_xattr_list *old = NULL;
    struct bcfs_xattr found;

    inode.xattrs = list_of(bytes, sizeof(bytes));
    CU_ASSERT_FALSE(bcfs_xattrs_find(&inode, "user.a", &found));
    CU_ASSERT_FALSE(bcfs_xattrs_drop(&inode, "user.a"));
    CU_ASSERT_EQUAL(bcfs_xattrs_change(&inode, "user.a", "2", 1, &old), BITCASK_CORRUPT);
    CU_ASSERT_EQUAL(bcfs_xattrs_change(&inode, "user.a", NULL, 0, &old), BITCASK_CORRUPT);
    CU_ASSERT_PTR_NULL(old);
    CU_ASSERT_EQUAL(bcfs_xattrs_size(&inode), sizeof(bytes));
    CU_ASSERT_EQUAL(memcmp(inode.xattrs->bytes, bytes, sizeof(bytes)), 0);
    free(inode.xattrs);
}

static void a_long_list_goes_when_the_record_has_it(void)
{
    struct bcfs_inode inode = {.state = BCFS_COMMITTED, .dirty = BCFS_DIRTY_XATTRS};
    struct bcfs_xattr_list *old = NULL;
    char value[1000] = {0};

    CU_ASSERT_EQUAL(bcfs_xattrs_change(&inode, "user.a", value, sizeof(value), &old), BITCASK_OK);
    bcfs_xattrs_rest(&inode);
    CU_ASSERT_PTR_NOT_NULL(inode.xattrs); /* memory alone has it */
    inode.dirty = 0;
    inode.busy = true;
    bcfs_xattrs_rest(&inode);
    CU_ASSERT_PTR_NOT_NULL(inode.xattrs); /* a commit looks at it */
    inode.busy = false;
    bcfs_xattrs_rest(&inode);
    CU_ASSERT_PTR_NULL(inode.xattrs);
    CU_ASSERT_TRUE(bcfs_xattrs_unread(&inode));
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"a_change_replaces_the_list_and_gives_the_old_one", a_change_replaces_the_list_and_gives_the_old_one},
        {"the_last_one_dropped_leaves_none", the_last_one_dropped_leaves_none},
        {"what_is_no_list_is_kept_and_not_shown", what_is_no_list_is_kept_and_not_shown},
        {"a_long_list_goes_when_the_record_has_it", a_long_list_goes_when_the_record_has_it},
        CU_TEST_INFO_NULL,
    };
    return unit_run("node_xattrs", tests);
}
