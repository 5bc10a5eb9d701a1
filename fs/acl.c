/* acl.c - the arithmetic of POSIX ACLs: see acl.h. */
#include "acl.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/stat.h>

/* One entry: tag (2 bytes), permissions (2), id (4), little-endian. */
enum { HEAD = 4, ENTRY = 8, PERM_ALL = ACL_READ | ACL_WRITE | ACL_EXECUTE };

bool bcfs_acl_is_name(const char *name)
{
    return strcmp(name, BCFS_ACL_ACCESS) == 0 || strcmp(name, BCFS_ACL_DEFAULT) == 0;
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static void set_perm(uint8_t *entry, unsigned perm)
{
    entry[2] = (uint8_t)perm;
    entry[3] = 0;
}

/* The entries come in the order of their tags; of users and groups with a name there may be many. */
bool bcfs_acl_check(const void *acl, size_t size)
{
    const uint8_t *bytes = acl;
    uint32_t version = 0;
    unsigned last = 0;
    bool named = false;
    unsigned seen = 0;

    if (size <= HEAD || (size - HEAD) % ENTRY != 0) return false;
    memcpy(&version, bytes, sizeof(version));
    if (le32toh(version) != POSIX_ACL_XATTR_VERSION) return false;
    for (size_t place = HEAD; place < size; place += ENTRY) {
        unsigned tag = get16(bytes + place);
        bool many = tag == ACL_USER || tag == ACL_GROUP;

        if (get16(bytes + place + 2) & ~(unsigned)PERM_ALL) return false;
        if (tag != ACL_USER_OBJ && tag != ACL_GROUP_OBJ && tag != ACL_MASK && tag != ACL_OTHER && !many) return false;
        if (tag < last || (tag == last && !many)) return false;
        if (many) {
            static const uint8_t no_id[4] = {0xff, 0xff, 0xff, 0xff};

            if (memcmp(bytes + place + 4, no_id, sizeof(no_id)) == 0) return false;
            named = true;
        }
        last = tag;
        seen |= tag;
    }
    return (seen & ACL_USER_OBJ) && (seen & ACL_GROUP_OBJ) && (seen & ACL_OTHER) && (!named || (seen & ACL_MASK));
}

/* The entry with a tag that an ACL has once, or NULL. */
static uint8_t *find(const void *acl, size_t size, unsigned tag)
{
    const uint8_t *bytes = acl;

    for (size_t place = HEAD; place < size; place += ENTRY) {
        if (get16(bytes + place) == tag) return (uint8_t *)(uintptr_t)(bytes + place);
    }
    return NULL;
}

/* The entry that the group's bits of a mode stand for: the mask, where there is one. */
static uint8_t *group_class(const void *acl, size_t size)
{
    uint8_t *mask = find(acl, size, ACL_MASK);

    return mask != NULL ? mask : find(acl, size, ACL_GROUP_OBJ);
}

/* Without named entries and without a mask. */
static bool is_minimal(size_t size)
{
    return size == HEAD + 3 * ENTRY;
}

bool bcfs_acl_to_mode(const void *acl, size_t size, uint32_t *mode)
{
    uint32_t user = get16(find(acl, size, ACL_USER_OBJ) + 2);
    uint32_t group = get16(group_class(acl, size) + 2);
    uint32_t other = get16(find(acl, size, ACL_OTHER) + 2);

    *mode = (*mode & ~(uint32_t)0777) | user << 6 | group << 3 | other;
    return is_minimal(size);
}

void bcfs_acl_chmod(void *acl, size_t size, uint32_t mode)
{
    set_perm(find(acl, size, ACL_USER_OBJ), mode >> 6 & PERM_ALL);
    set_perm(group_class(acl, size), mode >> 3 & PERM_ALL);
    set_perm(find(acl, size, ACL_OTHER), mode & PERM_ALL);
}

bool bcfs_acl_inherit(void *acl, size_t size, uint32_t *mode)
{
    uint32_t allowed = *mode;

    (void)bcfs_acl_to_mode(acl, size, &allowed);
    *mode &= allowed;
    bcfs_acl_chmod(acl, size, *mode);
    return is_minimal(size);
}
