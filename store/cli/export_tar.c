/* export_tar.c - a partition as a tar archive in pax format, which GNU tar and bsdtar read.
 *
 * libarchive writes it. Extended attributes are SCHILY.xattr records, which both know; ACLs are SCHILY.acl ones.
 */
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "export.h"
#include "output.h"
#include "progress.h"
#include "tar_acl.h"

enum {
    BLOCK = 10240, /* bytes: what tar pads an archive to a multiple of */
    CHUNK = 4096,  /* a pipe that can be written to at all takes so many bytes at once */
    NS_PER_S = 1000000000
};

struct tar {
    const char *store;
    struct archive *archive;
    struct archive_entry *entry;
    bool lost;      /* the output takes nothing more, which was told, or need not be */
    int status;     /* why */
    bool in_chunks; /* standard output is a pipe: it is waited for, so that a signal is noticed */
    uint64_t sockets;
};

/* Never says that it failed: libarchive would lose memory by that. What is lost is noticed by tar->lost. */
static la_ssize_t write_block(struct archive *archive, void *context, const void *data, size_t size)
{
    struct tar *tar = context;
    const char *bytes = data;

    (void)archive;
    for (size_t at = 0; at < size && !tar->lost;) {
        size_t chunk = tar->in_chunks && size - at > CHUNK ? CHUNK : size - at;
        /* The signal is told by who asked for all this. */
        bool ready = !tar->in_chunks || cli_progress_wait(STDOUT_FILENO, true);
        tar->status = ready ? cli_write_output(bytes + at, chunk) : CLI_FAILED;
        tar->lost = tar->status != CLI_OK;
        at += chunk;
    }
    return (la_ssize_t)size;
}

static void *open_tar(const char *store)
{
    struct tar *tar = calloc(1, sizeof(*tar));
    struct stat info;

    if (!tar) {
        cli_error("out of memory");
        return NULL;
    }
    /* Names are bytes here, but UTF-8 in the format: whatever the user's own character set, none is converted. */
    setlocale(LC_CTYPE, "C.UTF-8");
    tar->store = store;
    tar->in_chunks = fstat(STDOUT_FILENO, &info) != 0 || !S_ISREG(info.st_mode);
    tar->archive = archive_write_new();
    tar->entry = archive_entry_new();
    if (tar->archive && tar->entry && archive_write_set_format_pax(tar->archive) == ARCHIVE_OK &&
        archive_write_set_format_option(tar->archive, "pax", "xattrheader", "SCHILY") == ARCHIVE_OK &&
        archive_write_set_bytes_per_block(tar->archive, BLOCK) == ARCHIVE_OK &&
        archive_write_set_bytes_in_last_block(tar->archive, BLOCK) == ARCHIVE_OK &&
        archive_write_open(tar->archive, tar, NULL, write_block, NULL) == ARCHIVE_OK)
        return tar;
    cli_error("cannot write a tar archive: %s", tar->archive ? archive_error_string(tar->archive) : "out of memory");
    if (tar->entry) archive_entry_free(tar->entry);
    if (tar->archive) archive_write_free(tar->archive);
    free(tar);
    return NULL;
}

/* libarchive writes a time as seconds, a dot and nanoseconds, whatever the sign, which is right for -1.5 where it gets
 * -1 and 5. What lies between -1 and 0 it cannot write: that becomes -1. */
static void split(int64_t time_ns, time_t *seconds, long *ns)
{
    *seconds = (time_t)(time_ns / NS_PER_S);
    *ns = labs((long)(time_ns % NS_PER_S));
    if (time_ns < 0 && *seconds == 0) {
        *seconds = -1;
        *ns = 0;
    }
}

/* Whether all of them could be given to the entry. */
static bool set_xattrs(struct archive_entry *entry, const bitcask_attrs *attrs)
{
    struct cli_xattr xattr;
    size_t place = 0;
    char name[256];

    if (!(attrs->present & BITCASK_ATTR_XATTRS)) return true;
    if (!cli_xattrs_check(attrs->xattrs, attrs->xattrs_size)) return false;
    while (cli_xattrs_next(attrs->xattrs, attrs->xattrs_size, &place, &xattr)) {
        if (cli_tar_acl_write(entry, &xattr)) continue;
        memcpy(name, xattr.name, xattr.name_size);
        name[xattr.name_size] = 0;
        archive_entry_xattr_add_entry(entry, name, xattr.value, xattr.value_size);
    }
    return true;
}

/* The root partition has no times before something set them: then those of the store's directory. */
static void set_mtime_of_store(const struct tar *tar)
{
    struct stat info;

    if (stat(tar->store, &info) == 0) archive_entry_set_mtime(tar->entry, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

static void set_attrs(struct tar *tar, const struct cli_item *item)
{
    struct archive_entry *entry = tar->entry;
    const bitcask_attrs *attrs = &item->attrs;
    uint32_t mode = cli_item_mode(item);
    time_t seconds;
    long ns;

    archive_entry_set_mode(entry, mode);
    archive_entry_set_uid(entry, attrs->present & BITCASK_ATTR_UID ? attrs->uid : geteuid());
    archive_entry_set_gid(entry, attrs->present & BITCASK_ATTR_GID ? attrs->gid : getegid());
    if (attrs->present & BITCASK_ATTR_MTIME) {
        split(attrs->mtime_ns, &seconds, &ns);
        archive_entry_set_mtime(entry, seconds, ns);
    } else {
        set_mtime_of_store(tar);
    }
    if (attrs->present & BITCASK_ATTR_ATIME) {
        split(attrs->atime_ns, &seconds, &ns);
        archive_entry_set_atime(entry, seconds, ns);
    }
    if ((S_ISCHR(mode) || S_ISBLK(mode)) && (attrs->present & BITCASK_ATTR_RDEV)) {
        archive_entry_set_rdevmajor(entry, major(attrs->rdev));
        archive_entry_set_rdevminor(entry, minor(attrs->rdev));
    }
}

/* The archive did not take something. */
static enum cli_export_result refused(struct tar *tar, const char *path)
{
    const char *why = archive_error_string(tar->archive);

    cli_error("%s/%s: %s", tar->store, path, why ? why : "cannot be put into a tar archive");
    return CLI_EXPORT_LEFT_OUT;
}

static bool write_piece(void *context, const void *data, size_t size)
{
    struct tar *tar = context;
    const char *bytes = data;

    while (size > 0 && !tar->lost) {
        la_ssize_t written = archive_write_data(tar->archive, bytes, size);
        if (written <= 0) return false;
        bytes += written;
        size -= (size_t)written;
    }
    return !tar->lost;
}

/* What the entry is beside its attributes: a name, and where it leads. The value of a symbolic link is that. */
static bitcask_status set_kind(struct tar *tar, const struct cli_item *item, bitcask_value *value, char **name)
{
    bool directory = item->kind == BITCASK_PARTITION;

    if (asprintf(name, "%s%s", *item->path ? item->path : ".", directory ? "/" : "") < 0) {
        *name = NULL;
        return BITCASK_NO_MEMORY;
    }
    archive_entry_copy_pathname(tar->entry, *name);
    archive_entry_set_size(tar->entry, 0);
    if (item->target) {
        archive_entry_copy_hardlink(tar->entry, item->target);
    } else if (S_ISLNK(cli_item_mode(item))) {
        bitcask_status status = bitcask_value_load(value);
        if (status != BITCASK_OK) return status;
        char *target =
            strndup(bitcask_value_size(value) > 0 ? bitcask_value_data(value) : "", (size_t)bitcask_value_size(value));
        if (!target) return BITCASK_NO_MEMORY;
        archive_entry_copy_symlink(tar->entry, target);
        free(target);
    } else if (S_ISREG(cli_item_mode(item))) {
        archive_entry_set_size(tar->entry, (la_int64_t)bitcask_value_size(value));
    }
    return BITCASK_OK;
}

static enum cli_export_result add_tar(void *form, const struct cli_item *item, bitcask_value *value,
                                      bitcask_status *status)
{
    struct tar *tar = form;
    enum cli_export_result result = CLI_EXPORT_OK;
    char *name = NULL;

    if (S_ISSOCK(cli_item_mode(item))) {
        tar->sockets++;
        return CLI_EXPORT_OK;
    }
    archive_entry_clear(tar->entry);
    set_attrs(tar, item);
    bool whole = item->target || set_xattrs(tar->entry, &item->attrs);
    *status = set_kind(tar, item, value, &name);
    if (*status == BITCASK_OK) {
        /* A warning is of names that are no UTF-8, which are written as they are. */
        if (archive_write_header(tar->archive, tar->entry) < ARCHIVE_WARN) {
            result = refused(tar, item->path);
        } else if (!item->target && item->kind == BITCASK_KEY && S_ISREG(cli_item_mode(item))) {
            *status = cli_value_pieces(value, write_piece, tar);
            if (*status != BITCASK_OK)
                cli_error("%s/%s: is damaged; in the archive its end is zeros", tar->store, item->path);
        }
        if (tar->lost) result = CLI_EXPORT_ENDED;
    }
    if (!whole && result == CLI_EXPORT_OK) {
        cli_error("%s/%s: its extended attributes are in no form that is known, and were left out; --json keeps them",
                  tar->store, item->path);
        result = CLI_EXPORT_LEFT_OUT;
    }
    free(name);
    return result;
}

static int close_tar(void *form, bool whole)
{
    struct tar *tar = form;
    int status = CLI_OK;

    /* One that is not whole gets no end: who reads it shall notice. */
    if (!whole) tar->lost = true;
    if (!whole && tar->status == CLI_OK) tar->status = CLI_FAILED;
    if (archive_write_close(tar->archive) != ARCHIVE_OK && !tar->lost)
        status = cli_error("cannot end the tar archive: %s", archive_error_string(tar->archive));
    if (tar->lost) status = tar->status;
    archive_write_free(tar->archive);
    archive_entry_free(tar->entry);
    if (whole && tar->sockets > 0)
        fprintf(stderr, "bitcask: %llu socket%s left out, for which tar has no form\n",
                (unsigned long long)tar->sockets, tar->sockets == 1 ? "" : "s");
    free(tar);
    return status;
}

const struct cli_export_form cli_export_tar = {open_tar, add_tar, close_tar};
