/* test_acl.c - what an ACL and a mode make of each other. */
#include "unit.h"

#include "acl.h"

#include <linux/posix_acl.h>
#include <stdarg.h>

enum { NO_ID = -1 };

/* An ACL in the kernel's form, of count entries (tag, permissions, id). */
static size_t make(uint8_t *out, int count, ...)
{
    size_t size = 4;
    va_list entries;

    memcpy(out, "\2\0\0\0", 4);
    va_start(entries, count);
    for (int i = 0; i < count; i++) {
        unsigned tag = va_arg(entries, unsigned);
        unsigned perm = va_arg(entries, unsigned);
        uint32_t id = (uint32_t)va_arg(entries, int);
        uint8_t entry[8] = {(uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)perm,       (uint8_t)(perm >> 8),
                            (uint8_t)id,  (uint8_t)(id >> 8),  (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

        memcpy(out + size, entry, sizeof(entry));
        size += sizeof(entry);
    }
    va_end(entries);
    return size;
}

static size_t minimal(uint8_t *out, unsigned user, unsigned group, unsigned other)
{
    return make(out, 3, ACL_USER_OBJ, user, NO_ID, ACL_GROUP_OBJ, group, NO_ID, ACL_OTHER, other, NO_ID);
}

static size_t with_user(uint8_t *out, unsigned user, unsigned named, unsigned group, unsigned mask, unsigned other)
{
    return make(out, 5, ACL_USER_OBJ, user, NO_ID, ACL_USER, named, 7, ACL_GROUP_OBJ, group, NO_ID, ACL_MASK, mask,
                NO_ID, ACL_OTHER, other, NO_ID);
}

static unsigned perm_of(const uint8_t *acl, int entry)
{
    return acl[4 + 8 * entry + 2];
}

static void whole_acls_are_taken_and_others_refused(void)
{
    uint8_t acl[128];
    size_t size = minimal(acl, 6, 4, 0);

    CU_ASSERT_TRUE(bcfs_acl_check(acl, size));
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size - 1));
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size - 8)); /* no entry for others */
    CU_ASSERT_FALSE(bcfs_acl_check(acl, 4));
    CU_ASSERT_FALSE(bcfs_acl_check(acl, 3));
    CU_ASSERT_FALSE(bcfs_acl_check(acl, 0));
    acl[0] = 1;
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size));
    CU_ASSERT_TRUE(bcfs_acl_check(acl, with_user(acl, 7, 7, 5, 7, 0)));
    CU_ASSERT_FALSE(bcfs_acl_check(acl, minimal(acl, 6, 8, 0)));
    size = make(acl, 4, ACL_USER_OBJ, 6, NO_ID, ACL_USER, 6, 7, ACL_GROUP_OBJ, 4, NO_ID, ACL_OTHER, 4, NO_ID);
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size)); /* a name without a mask */
    size = make(acl, 3, ACL_USER_OBJ, 6, NO_ID, ACL_OTHER, 4, NO_ID, ACL_GROUP_OBJ, 4, NO_ID);
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size));
    size = make(acl, 4, ACL_USER_OBJ, 6, NO_ID, ACL_USER_OBJ, 6, NO_ID, ACL_GROUP_OBJ, 4, NO_ID, ACL_OTHER, 4, NO_ID);
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size));
    size = make(acl, 4, ACL_USER_OBJ, 6, NO_ID, ACL_GROUP_OBJ, 4, NO_ID, ACL_OTHER, 4, NO_ID, 0x40, 4, NO_ID);
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size)); /* no such tag */
    size = make(acl, 5, ACL_USER_OBJ, 6, NO_ID, ACL_USER, 6, NO_ID, ACL_GROUP_OBJ, 4, NO_ID, ACL_MASK, 4, NO_ID,
                ACL_OTHER, 4, NO_ID);
    CU_ASSERT_FALSE(bcfs_acl_check(acl, size)); /* a user without an id */
}

static void random_bytes_do_no_harm(void)
{
    uint64_t state = unit_seed("acl");

    for (int round = 0; round < 20000; round++) {
        size_t size = unit_random(&state) % 64;
        uint8_t *acl = malloc(size > 0 ? size : 1);
        uint32_t mode = 0644;

        unit_random_bytes(&state, acl, size);
        if (size >= 4) memcpy(acl, "\2\0\0\0", 4);
        for (size_t i = 4; i < size; i++) acl[i] &= 0x37;
        if (bcfs_acl_check(acl, size)) (void)bcfs_acl_inherit(acl, size, &mode);
        free(acl);
    }
}

static void an_acl_gives_the_mode(void)
{
    uint8_t acl[128];
    uint32_t mode = 0107777;
    size_t size = minimal(acl, 6, 4, 0);

    CU_ASSERT_TRUE(bcfs_acl_to_mode(acl, size, &mode));
    CU_ASSERT_EQUAL(mode, 0107640);
    /* The group's bits are the mask. */
    size = with_user(acl, 7, 6, 4, 6, 1);
    CU_ASSERT_FALSE(bcfs_acl_to_mode(acl, size, &mode));
    CU_ASSERT_EQUAL(mode, 0107761);
}

static void chmod_changes_the_mask(void)
{
    uint8_t acl[128];
    size_t size = with_user(acl, 7, 7, 5, 7, 0);

    bcfs_acl_chmod(acl, size, 0100641);
    CU_ASSERT_EQUAL(perm_of(acl, 0), 6);
    CU_ASSERT_EQUAL(perm_of(acl, 1), 7);
    CU_ASSERT_EQUAL(perm_of(acl, 2), 5);
    CU_ASSERT_EQUAL(perm_of(acl, 3), 4);
    CU_ASSERT_EQUAL(perm_of(acl, 4), 1);
    size = minimal(acl, 7, 7, 7);
    bcfs_acl_chmod(acl, size, 0100640);
    CU_ASSERT_EQUAL(perm_of(acl, 1), 4);
}

static void a_new_file_gets_what_both_allow(void)
{
    uint8_t acl[128];
    uint32_t mode = 0102666;
    size_t size = with_user(acl, 7, 7, 5, 7, 5);

    CU_ASSERT_FALSE(bcfs_acl_inherit(acl, size, &mode));
    CU_ASSERT_EQUAL(mode, 0102664);
    CU_ASSERT_EQUAL(perm_of(acl, 0), 6);
    CU_ASSERT_EQUAL(perm_of(acl, 1), 7);
    CU_ASSERT_EQUAL(perm_of(acl, 2), 5);
    CU_ASSERT_EQUAL(perm_of(acl, 3), 6);
    CU_ASSERT_EQUAL(perm_of(acl, 4), 4);
    mode = 040777;
    size = minimal(acl, 7, 5, 0);
    CU_ASSERT_TRUE(bcfs_acl_inherit(acl, size, &mode));
    CU_ASSERT_EQUAL(mode, 040750);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"whole_acls_are_taken_and_others_refused", whole_acls_are_taken_and_others_refused},
        {"random_bytes_do_no_harm", random_bytes_do_no_harm},
        {"an_acl_gives_the_mode", an_acl_gives_the_mode},
        {"chmod_changes_the_mask", chmod_changes_the_mask},
        {"a_new_file_gets_what_both_allow", a_new_file_gets_what_both_allow},
        CU_TEST_INFO_NULL,
    };
    return unit_run("acl", tests);
}
