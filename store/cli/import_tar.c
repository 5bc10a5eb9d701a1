/* import_tar.c - a tar archive, in any of its formats and compressions, on its way into a store.
 *
 * libarchive reads it. What it hands out is as hostile as the archive: names and sizes are checked where they are used.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "import.h"
#include "tar_acl.h"

enum { PIECE = 256 * 1024 };

struct tar {
    struct cli_import *import;
    struct archive *archive;
    char buffer[PIECE];
};

static la_ssize_t read_piece(struct archive *archive, void *context, const void **buffer)
{
    struct tar *tar = context;
    long got = cli_import_read(tar->import, tar->buffer, sizeof(tar->buffer));

    *buffer = tar->buffer;
    if (got < 0) archive_set_error(archive, EIO, "standard input");
    return got;
}

/* Seconds and nanoseconds as one number; what that does not hold, before 1677 or after 2262, is the nearest. Of a
 * negative number, -1.5, libarchive gives the parts as they stand, -1 and 5; see split() in export_tar.c. */
static int64_t join(time_t seconds, long ns)
{
    int64_t time_ns;

    if (seconds < 0) ns = -ns;

    if (!__builtin_mul_overflow((int64_t)seconds, INT64_C(1000000000), &time_ns) &&
        !__builtin_add_overflow(time_ns, ns, &time_ns))
        return time_ns;
    return seconds < 0 ? INT64_MIN : INT64_MAX;
}

static int take_xattrs(struct cli_import *import, struct archive_entry *entry, const char *path, unsigned *mode)
{
    struct cli_xattr xattr;
    int status = CLI_OK;

    cli_xattrs_reset(&import->xattrs);
    archive_entry_xattr_reset(entry);
    while (status == CLI_OK &&
           archive_entry_xattr_next(entry, &xattr.name, &xattr.value, &xattr.value_size) == ARCHIVE_OK) {
        xattr.name_size = strlen(xattr.name);
        status = cli_xattrs_add(&import->xattrs, path, &xattr);
    }
    return status == CLI_OK ? cli_tar_acl_read(entry, path, &import->xattrs, mode) : status;
}

/* Fills in the attributes; what they point at is the import's. Returns an exit status. */
static int take_attrs(struct cli_import *import, struct archive_entry *entry, struct cli_item *item)
{
    bitcask_attrs *attrs = &item->attrs;
    unsigned mode = archive_entry_mode(entry);
    int status = take_xattrs(import, entry, item->path, &mode);

    if (status == CLI_OK) status = cli_xattrs_encode(&import->xattrs, item->path, &attrs->xattrs, &attrs->xattrs_size);
    if (status != CLI_OK) return status;
    attrs->present = BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID;
    if (attrs->xattrs_size > 0) attrs->present |= BITCASK_ATTR_XATTRS;
    attrs->mode = (uint32_t)archive_entry_filetype(entry) | (mode & 07777);
    if (archive_entry_filetype(entry) == 0) attrs->mode |= S_IFREG;
    attrs->uid = (uint32_t)archive_entry_uid(entry);
    attrs->gid = (uint32_t)archive_entry_gid(entry);
    if (archive_entry_mtime_is_set(entry)) {
        attrs->mtime_ns = join(archive_entry_mtime(entry), archive_entry_mtime_nsec(entry));
        attrs->present |= BITCASK_ATTR_MTIME;
    }
    if (archive_entry_atime_is_set(entry)) {
        attrs->atime_ns = join(archive_entry_atime(entry), archive_entry_atime_nsec(entry));
        if (attrs->atime_ns != attrs->mtime_ns) attrs->present |= BITCASK_ATTR_ATIME;
    }
    if (S_ISCHR(attrs->mode) || S_ISBLK(attrs->mode)) {
        attrs->rdev =
            (uint32_t)makedev((unsigned)archive_entry_rdevmajor(entry), (unsigned)archive_entry_rdevminor(entry));
        attrs->present |= BITCASK_ATTR_RDEV;
    }
    return CLI_OK;
}

/* Gathers the bytes of the entry, holes included. False: the archive has no more of it; *refused: the value cannot be
 * stored, which was told. */
static bool take_data(struct tar *tar, struct archive_entry *entry, const char *path, bool *refused)
{
    const void *data;
    la_int64_t offset;
    size_t size;
    int result;

    *refused = false;
    cli_gather_reset(&tar->import->value);
    while ((result = archive_read_data_block(tar->archive, &data, &size, &offset)) == ARCHIVE_OK ||
           result == ARCHIVE_WARN) {
        if (*refused) continue;
        *refused = offset < 0 || cli_gather_write(&tar->import->value, path, (uint64_t)offset, data, size) != CLI_OK;
    }
    if (result != ARCHIVE_EOF) return false;
    /* A sparse file may end in a hole. */
    la_int64_t whole = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
    if (!*refused && whole > 0 && (uint64_t)whole > cli_gather_size(&tar->import->value))
        *refused = cli_gather_write(&tar->import->value, path, (uint64_t)whole, "", 0) != CLI_OK;
    return true;
}

static int tell(struct tar *tar, const char *path)
{
    if (cli_progress_signal() != 0 || tar->import->input_failed) return CLI_FAILED; /* told, or will be */
    const char *why = archive_error_string(tar->archive);
    return cli_error("standard input: %s%s%s; what came before it was stored", path ? path : "", path ? ": " : "",
                     why ? why : "not a tar archive");
}

/* Takes one entry in. *done: the import is over. Returns an exit status, of the archive alone. */
static int take_entry(struct tar *tar, struct archive_entry *entry, bool *done)
{
    struct cli_import *import = tar->import;
    struct cli_item item = {.path = archive_entry_pathname(entry), .target = archive_entry_hardlink(entry)};
    mode_t type = archive_entry_filetype(entry);
    bool refused = false;

    *done = false;
    if (!item.path) {
        cli_import_refuse(import, "standard input", "an entry whose name cannot be read");
        return CLI_OK;
    }
    item.kind = type == S_IFDIR && !item.target ? BITCASK_PARTITION : BITCASK_KEY;
    if (take_attrs(import, entry, &item) != CLI_OK) {
        import->status = CLI_FAILED;
        return CLI_OK;
    }
    cli_gather_reset(&import->value);
    if (!item.target && type == S_IFLNK) {
        const char *target = archive_entry_symlink(entry);
        refused = !target || cli_gather_write(&import->value, item.path, 0, target, strlen(target)) != CLI_OK;
    } else if (!item.target && (type == S_IFREG || type == 0) && !take_data(tar, entry, item.path, &refused)) {
        *done = true;
        return tell(tar, item.path);
    }
    if (refused) {
        import->status = CLI_FAILED;
        return CLI_OK;
    }
    *done = !cli_import_item(import, &item);
    return CLI_OK;
}

int cli_import_tar(struct cli_import *import)
{
    struct tar *tar = malloc(sizeof(*tar));
    struct archive_entry *entry;
    int status = CLI_OK, result = ARCHIVE_OK;
    bool done = false;

    if (!tar) return cli_error("out of memory");
    setlocale(LC_CTYPE, "C.UTF-8"); /* names are bytes: none is converted to the user's character set */
    tar->import = import;
    tar->archive = archive_read_new();
    if (!tar->archive) {
        status = cli_error("out of memory");
        goto out;
    }
    archive_read_support_filter_all(tar->archive);
    archive_read_support_format_tar(tar->archive);
    archive_read_support_format_empty(tar->archive);
    if (archive_read_open(tar->archive, tar, NULL, read_piece, NULL) != ARCHIVE_OK) {
        status = tell(tar, NULL);
        goto out;
    }
    while (!done && status == CLI_OK) {
        result = archive_read_next_header(tar->archive, &entry);
        if (result == ARCHIVE_EOF) break;
        if (result < ARCHIVE_WARN)
            status = tell(tar, NULL);
        else
            status = take_entry(tar, entry, &done);
    }

out:
    archive_read_free(tar->archive);
    free(tar);
    return status;
}
