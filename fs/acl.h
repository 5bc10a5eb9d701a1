/* acl.h - POSIX ACLs: what the kernel leaves to a filesystem that keeps them.
 *
 * An ACL is the value of an extended attribute, in the kernel's form: a version, then 8 bytes an entry. The kernel
 * checks permissions by it and hands it over as it is. What belongs to it is done here: the mode of a file says what
 * its ACL says (setting one sets the mode, chmod changes the ACL), and new files inherit the default one of their
 * directory. The rules are those of fs/posix_acl.c in the kernel, by which ext4 goes too.
 * Threads: any; nothing here is shared.
 */
#ifndef BCFS_ACL_H
#define BCFS_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BCFS_ACL_ACCESS "system.posix_acl_access"
#define BCFS_ACL_DEFAULT "system.posix_acl_default"

bool bcfs_acl_is_name(const char *name);

/* Whether the bytes are an ACL with all its entries in order. What the functions below get must be one. */
bool bcfs_acl_check(const void *acl, size_t size);

/* Sets the permissions in *mode, and nothing else of it, to those of an access ACL. True: they say all that it says. */
bool bcfs_acl_to_mode(const void *acl, size_t size, uint32_t *mode);

/* Makes an access ACL say what mode was just set to. */
void bcfs_acl_chmod(void *acl, size_t size, uint32_t mode);

/* Makes a directory's default ACL the access ACL of a new file that is created with *mode, where it stands, and takes
 * out of *mode what it does not allow. True: the mode says all that it says then. */
bool bcfs_acl_inherit(void *acl, size_t size, uint32_t *mode);

#endif
