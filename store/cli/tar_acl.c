/* tar_acl.c - POSIX ACLs between tar and the kernel's form, see tar_acl.h.
 *
 * The kernel's form, all integers little-endian: 4 bytes, 2; then for each entry 2 bytes tag, 2 bytes permissions, 4
 * bytes user or group id, in the order of tags and ids.
 */
#include "tar_acl.h"

#include <archive.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { FORM = 2, HEAD = 4, ENTRY = 8, ENTRIES_MOST = 1024 };
enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

static const char *const names[] = {"system.posix_acl_access", "system.posix_acl_default"};
static const int types[] = {ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT};

static const struct {
    unsigned ours;
    int archive;
} tags[] = {{USER_OBJ, ARCHIVE_ENTRY_ACL_USER_OBJ},   {USER, ARCHIVE_ENTRY_ACL_USER},
            {GROUP_OBJ, ARCHIVE_ENTRY_ACL_GROUP_OBJ}, {GROUP, ARCHIVE_ENTRY_ACL_GROUP},
            {MASK, ARCHIVE_ENTRY_ACL_MASK},           {OTHER, ARCHIVE_ENTRY_ACL_OTHER}};

enum { TAGS = sizeof(tags) / sizeof(tags[0]) };

static uint32_t get(const unsigned char *p, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

static void put(unsigned char *p, int bytes, uint32_t value)
{
    for (int i = 0; i < bytes; i++, value >>= 8) p[i] = (unsigned char)(value & 0xff);
}

static bool write_entry(struct archive_entry *entry, int type, const unsigned char *p)
{
    uint32_t tag = get(p, 2), permissions = get(p + 2, 2), id = get(p + 4, 4);

    for (size_t i = 0; i < TAGS; i++) {
        if (tags[i].ours != tag || permissions > 7) continue;
        bool named = tag == USER || tag == GROUP;
        return archive_entry_acl_add_entry(entry, type, (int)permissions, tags[i].archive, named ? (int)id : -1,
                                           NULL) == ARCHIVE_OK;
    }
    return false;
}

bool cli_tar_acl_write(struct archive_entry *entry, const struct cli_xattr *xattr)
{
    const unsigned char *p = xattr->value;

    for (int i = 0; i < 2; i++) {
        if (xattr->name_size != strlen(names[i]) || memcmp(xattr->name, names[i], xattr->name_size) != 0) continue;
        if (xattr->value_size < HEAD || (xattr->value_size - HEAD) % ENTRY != 0 || get(p, 4) != FORM) return false;
        for (size_t at = HEAD; at < xattr->value_size; at += ENTRY)
            if (!write_entry(entry, types[i], p + at)) return false;
        return true;
    }
    return false;
}

/* By tag, then id: the beginning of an entry, read as numbers. */
static int compare_entries(const void *a, const void *b)
{
    const unsigned char *x = a, *y = b;
    uint32_t first = get(x, 2), second = get(y, 2);

    if (first == second) {
        first = get(x + 4, 4);
        second = get(y + 4, 4);
    }
    return first < second ? -1 : first > second;
}

/* The id of a user or group that an archive knows by name, as GNU tar writes them. False: there is none here. */
static bool find_id(bool user, const char *name, int *id)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    if (*name && !*end) {
        *id = (int)number;
        return true;
    }
    const struct passwd *person = user ? getpwnam(name) : NULL;
    const struct group *group = user ? NULL : getgrnam(name);
    if (!person && !group) return false;
    *id = person ? (int)person->pw_uid : (int)group->gr_gid;
    return true;
}

/* The entries of one type, in bytes. Returns how many. *unknown: a name that nobody has here. */
static size_t read_entries(struct archive_entry *entry, int type, unsigned char *bytes, unsigned *mask,
                           const char **unknown)
{
    int one_type, permissions, tag, id;
    const char *name;
    size_t count = 0;

    archive_entry_acl_reset(entry, type);
    while (count < ENTRIES_MOST &&
           archive_entry_acl_next(entry, type, &one_type, &permissions, &tag, &id, &name) == ARCHIVE_OK) {
        unsigned char *p = bytes + HEAD + count * ENTRY;
        for (size_t i = 0; i < TAGS; i++) {
            if (tags[i].archive != tag) continue;
            bool named = tags[i].ours == USER || tags[i].ours == GROUP;
            if (named && id <= 0 && name && *name && !find_id(tags[i].ours == USER, name, &id)) *unknown = name;
            put(p, 2, tags[i].ours);
            put(p + 2, 2, (uint32_t)permissions & 7);
            put(p + 4, 4, named ? (uint32_t)id : UINT32_MAX);
            if (tags[i].ours == MASK) *mask = (unsigned)permissions & 7;
            count++;
        }
    }
    qsort(bytes + HEAD, count, ENTRY, compare_entries);
    put(bytes, 4, FORM);
    return count;
}

static bool has(const struct cli_xattrs *xattrs, const char *name)
{
    for (size_t i = 0; i < xattrs->count; i++)
        if (xattrs->list[i].name_size == strlen(name) && !memcmp(xattrs->list[i].name, name, strlen(name))) return true;
    return false;
}

int cli_tar_acl_read(struct archive_entry *entry, const char *whose, struct cli_xattrs *xattrs, unsigned *mode)
{
    int status = CLI_OK;

    if (archive_entry_acl_count(entry, ARCHIVE_ENTRY_ACL_TYPE_POSIX1E) == 0) return CLI_OK;
    unsigned char *bytes = malloc(HEAD + (size_t)ENTRIES_MOST * ENTRY);
    if (!bytes) return cli_error("out of memory");
    for (int i = 0; i < 2 && status == CLI_OK; i++) {
        unsigned mask = 8; /* none */
        const char *unknown = NULL;
        size_t count = read_entries(entry, types[i], bytes, &mask, &unknown);
        bool access = types[i] == ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
        if (count == 0 || (access && count <= 3)) continue; /* the mode says the same */
        if (access && mask < 8) *mode = (*mode & ~070u) | mask << 3;
        if (has(xattrs, names[i])) continue; /* the archive has it in the kernel's form, too */
        if (unknown) {
            status = cli_error("%s: its ACL names %s, and there is nobody of that name here", whose, unknown);
            break;
        }
        struct cli_xattr xattr = {names[i], strlen(names[i]), bytes, HEAD + count * ENTRY};
        status = cli_xattrs_add(xattrs, whose, &xattr);
    }
    free(bytes);
    return status;
}
