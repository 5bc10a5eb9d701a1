/* status.c - errno, status and text side by side, and each thread's detail line.
 *
 * Holds the two tables that translate between the operating system's errors and the store's statuses, and the
 * one piece of per-thread state in the store: the line that explains the thread's last failure. It assumes nothing
 * of its callers; a status out of range has a text and an errno too. Invariant: a detail line is printable ASCII,
 * whatever bytes a file name held, so that it can go to a terminal or a log as it is.
 */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char detail[BC_DETAIL_SIZE];

/* Three of these are less obvious than the rest:
 * ENOTDIR and EISDIR say that the wrong sort of thing bears the name. They keep that meaning (NOT_PARTITION and
 * IS_PARTITION go back to the same errno), so that the caller, who knows what the name was to be, can say "not a
 * store" or "damaged" instead.
 * ELOOP is a symbolic link where the store keeps a file of its own. The store makes none, so somebody else wrote
 * into its directory: UNSAFE. */
bc_status bc_status_from_errno(int error)
{
    switch (error) {
    case 0: return BITCASK_OK;
    case ENOENT: return BITCASK_NOT_FOUND;
    case EEXIST: return BITCASK_EXISTS;
    case ENOTEMPTY: return BITCASK_NOT_EMPTY;
    case EISDIR: return BITCASK_IS_PARTITION;
    case ENOTDIR: return BITCASK_NOT_PARTITION;
    case ELOOP: return BITCASK_UNSAFE;
    case ENAMETOOLONG: return BITCASK_NAME_TOO_LONG;
    case EFBIG: return BITCASK_TOO_LARGE;
    case EROFS: return BITCASK_READ_ONLY;
    case EAGAIN:
    case EBUSY: return BITCASK_IN_USE;
    case EACCES:
    case EPERM: return BITCASK_DENIED;
    case ENOSPC: return BITCASK_NO_SPACE;
    case EDQUOT: return BITCASK_QUOTA;
    case EMFILE:
    case ENFILE: return BITCASK_TOO_MANY_FILES;
    case ENOMEM: return BITCASK_NO_MEMORY;
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOLCK: return BITCASK_UNSUPPORTED;
    default: return BITCASK_IO;
    }
}

const char *bc_status_text(bc_status status)
{
    switch (status) {
    case BITCASK_OK: return "success";
    case BITCASK_NOT_FOUND: return "not found";
    case BITCASK_EXISTS: return "the name is taken";
    case BITCASK_NOT_EMPTY: return "the partition is not empty";
    case BITCASK_IS_PARTITION: return "the name is a partition";
    case BITCASK_TOO_MANY_LINKS: return "the file has too many names";
    case BITCASK_NOT_PARTITION: return "the name is not a partition";
    case BITCASK_BAD_NAME: return "not a valid name";
    case BITCASK_NAME_TOO_LONG: return "the name is too long";
    case BITCASK_BAD_ARGUMENT: return "invalid argument";
    case BITCASK_TOO_LARGE: return "too large";
    case BITCASK_VERSION_MISMATCH: return "the key has another version";
    case BITCASK_LOOP: return "a partition cannot be moved into itself";
    case BITCASK_READ_ONLY: return "read-only";
    case BITCASK_IN_USE: return "in use by another process";
    case BITCASK_NOT_A_STORE: return "not a store";
    case BITCASK_NEWER_FORMAT: return "written by a newer version of this software";
    case BITCASK_UNSAFE: return "others could have written to the store";
    case BITCASK_DENIED: return "access denied";
    case BITCASK_CORRUPT: return "the stored data are damaged";
    case BITCASK_POISONED: return "an earlier sync failed; no writes until the store is reopened";
    case BITCASK_NO_SPACE: return "no space left on the disk";
    case BITCASK_QUOTA: return "the disk quota is used up";
    case BITCASK_TOO_MANY_FILES: return "too many open files";
    case BITCASK_IO: return "input/output error";
    case BITCASK_NO_MEMORY: return "out of memory";
    case BITCASK_UNSUPPORTED: return "not supported by the filesystem";
    case BITCASK_CANCELLED: return "cancelled";
    }
    return "unknown status";
}

int bc_status_errno(bc_status status)
{
    switch (status) {
    case BITCASK_OK: return 0;
    case BITCASK_NOT_FOUND: return ENOENT;
    case BITCASK_EXISTS: return EEXIST;
    case BITCASK_NOT_EMPTY: return ENOTEMPTY;
    case BITCASK_IS_PARTITION: return EISDIR;
    case BITCASK_TOO_MANY_LINKS: return EMLINK;
    case BITCASK_NOT_PARTITION: return ENOTDIR;
    case BITCASK_BAD_NAME: return EINVAL;
    case BITCASK_NAME_TOO_LONG: return ENAMETOOLONG;
    case BITCASK_BAD_ARGUMENT: return EINVAL;
    case BITCASK_TOO_LARGE: return EFBIG;
    case BITCASK_VERSION_MISMATCH: return ESTALE;
    case BITCASK_LOOP: return EINVAL; /* as rename(2) has it */
    case BITCASK_READ_ONLY: return EROFS;
    case BITCASK_IN_USE: return EBUSY;
    case BITCASK_NOT_A_STORE: return EINVAL;
    case BITCASK_NEWER_FORMAT: return EPROTONOSUPPORT;
    case BITCASK_UNSAFE: return EPERM;
    case BITCASK_DENIED: return EACCES;
    case BITCASK_CORRUPT: return EIO;
    case BITCASK_POISONED: return EIO;
    case BITCASK_NO_SPACE: return ENOSPC;
    case BITCASK_QUOTA: return EDQUOT;
    case BITCASK_TOO_MANY_FILES: return ENFILE;
    case BITCASK_IO: return EIO;
    case BITCASK_NO_MEMORY: return ENOMEM;
    case BITCASK_UNSUPPORTED: return EOPNOTSUPP;
    case BITCASK_CANCELLED: return EINTR;
    }
    return EIO;
}

bc_status bc_fail(bc_status status, const char *format, ...)
{
    char raw[BC_DETAIL_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    if (length < 0) raw[0] = '\0';

    /* By way of raw, since an argument may be the detail line itself, with something put in front of it. */
    size_t size = 0;
    for (const char *p = raw; *p != '\0'; p++) {
        unsigned char byte = (unsigned char)*p;
        bool plain = byte >= 0x20 && byte < 0x7f;
        size_t width = plain ? 1 : 4;
        if (size + width >= sizeof detail) break;
        if (plain)
            detail[size] = *p;
        else
            snprintf(detail + size, sizeof detail - size, "\\x%02X", byte);
        size += width;
    }
    detail[size] = '\0';
    return status;
}

const char *bc_detail(void)
{
    return detail;
}

const char *bc_detail_of(bc_status status)
{
    return detail[0] != '\0' ? detail : bc_status_text(status);
}

void bc_detail_clear(void)
{
    detail[0] = '\0';
}

void bc_failure_note(struct bc_failure *failure, bc_status status)
{
    if (failure->status != BITCASK_OK || status == BITCASK_OK) return;
    failure->status = status;
    memcpy(failure->line, detail, sizeof failure->line);
}

bc_status bc_failure_end(const struct bc_failure *failure)
{
    if (failure->status != BITCASK_OK) memcpy(detail, failure->line, sizeof detail);
    return failure->status;
}
