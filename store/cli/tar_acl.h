/* tar_acl.h - POSIX ACLs between a tar archive, where they are entries of their own, and a store, where they are
 * extended attributes in the kernel's form.
 */
#ifndef CLI_TAR_ACL_H
#define CLI_TAR_ACL_H

#include <archive_entry.h>
#include <stdbool.h>

#include "xattrs.h"

/* Adds what the attribute says to the entry. False: it is no ACL, or not in the kernel's form. */
bool cli_tar_acl_write(struct archive_entry *entry, const struct cli_xattr *xattr);

/* Adds the entry's ACLs to xattrs; whose: for messages. *mode: its group's permissions become those of the mask, as
 * in a file that has an ACL. Returns an exit status. */
int cli_tar_acl_read(struct archive_entry *entry, const char *whose, struct cli_xattrs *xattrs, unsigned *mode);

#endif
