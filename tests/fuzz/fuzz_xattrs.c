/* fuzz_xattrs.c - the extended attributes of a record and POSIX ACLs, of any bytes: what the mount reads of a store.
 *
 * A list that is one stays one when a name is set, and when it is taken out again; an ACL that is one stays one.
 */
#include "acl.h"
#include "fuzz.h"
#include "xattr_list.h"

static void check_list(uint8_t *bytes, size_t size)
{
    struct bcfs_xattr xattr, found;
    struct bcfs_xattr_list *made = NULL, *less = NULL;
    size_t place = 0, count = 0;
    if (!bcfs_xattr_list_check(bytes, size)) return;
    while (bcfs_xattr_list_next(bytes, size, &place, &xattr)) {
        char name[BCFS_XATTR_NAME_MAX + 1];
        FUZZ_CHECK(xattr.name_size > 0 && place <= size && memchr(xattr.name, 0, xattr.name_size) == NULL);
        fuzz_touch(xattr.value, xattr.value_size);
        memcpy(name, xattr.name, xattr.name_size);
        name[xattr.name_size] = '\0';
        FUZZ_CHECK(bcfs_xattr_list_find(bytes, size, name, &found) && found.value == xattr.value);
        count++;
    }
    FUZZ_CHECK(place == size || size == 0);
    if (bcfs_xattr_list_change(bytes, size, "user.m", "value", 5, &made) != BITCASK_OK) return;
    FUZZ_CHECK(made != NULL && bcfs_xattr_list_check(made->bytes, made->size));
    FUZZ_CHECK(bcfs_xattr_list_find(made->bytes, made->size, "user.m", &found) && found.value_size == 5);
    FUZZ_CHECK(bcfs_xattr_list_change(made->bytes, made->size, "user.m", NULL, 0, &less) == BITCASK_OK);
    if (!bcfs_xattr_list_find(bytes, size, "user.m", &found) && size > 0 && count > 0)
        FUZZ_CHECK(less != NULL && less->size == size && memcmp(less->bytes, bytes, size) == 0);
    free(made);
    free(less);
    place = 0;
    if (bcfs_xattr_list_next(bytes, size, &place, &xattr))
        FUZZ_CHECK(bcfs_xattr_list_check(bytes, bcfs_xattr_list_remove(bytes, size, &xattr)));
}

static void check_acl(uint8_t *bytes, size_t size)
{
    uint32_t mode = 0100640, again = 0100000;
    if (!bcfs_acl_check(bytes, size)) return;
    (void)bcfs_acl_to_mode(bytes, size, &mode);
    FUZZ_CHECK((mode & ~0777u) == 0100000);
    bcfs_acl_chmod(bytes, size, 0100751);
    FUZZ_CHECK(bcfs_acl_check(bytes, size));
    (void)bcfs_acl_to_mode(bytes, size, &again);
    FUZZ_CHECK(again == 0100751);
    (void)bcfs_acl_inherit(bytes, size, &mode);
    FUZZ_CHECK(bcfs_acl_check(bytes, size) && (mode & ~0777u) == 0100000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & 1)
        check_acl(bytes, size - 1);
    else
        check_list(bytes, size - 1);
    free(bytes);
    return 0;
}
