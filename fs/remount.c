/* remount.c - mount(2) with MS_REMOUNT on a mount of ours: see remount.h. */
#include "remount.h"

#include "log.h"
#include "mountpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

/* A word of -o, the flag of mount(2) that it sets or clears, and how statvfs(3) shows it. */
static const struct {
    const char *word;
    unsigned long flag;
    unsigned long shown;
    bool sets;
} flags[] = {
    {"nosuid", MS_NOSUID, ST_NOSUID, true},
    {"suid", MS_NOSUID, ST_NOSUID, false},
    {"nodev", MS_NODEV, ST_NODEV, true},
    {"dev", MS_NODEV, ST_NODEV, false},
    {"noexec", MS_NOEXEC, ST_NOEXEC, true},
    {"exec", MS_NOEXEC, ST_NOEXEC, false},
    {"noatime", MS_NOATIME, ST_NOATIME, true},
    {"sync", MS_SYNCHRONOUS, ST_SYNCHRONOUS, true},
    {"async", MS_SYNCHRONOUS, ST_SYNCHRONOUS, false},
};

enum { FLAGS = sizeof(flags) / sizeof(flags[0]) };

/* Adds to *now what the words say. */
static bool add_words(const char *words, unsigned long *now)
{
    char *copy = strdup(words == NULL ? "" : words);
    char *rest = copy;

    if (copy == NULL) return false;
    for (const char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
        for (size_t i = 0; i < FLAGS; i++) {
            if (strcmp(word, flags[i].word) != 0) continue;
            *now = flags[i].sets ? *now | flags[i].flag : *now & ~flags[i].flag;
        }
    }
    free(copy);
    return true;
}

/* Whether the daemon refuses changes itself: it has the store open for reading only. Asked for by removing what nothing
 * has. */
static bool daemon_is_read_only(const char *path)
{
    return removexattr(path, "user.bitcask") != 0 && errno == EROFS;
}

bool bcfs_remount(const struct bcfs_options *options)
{
    const char *path = options->mountpoint;
    struct statvfs shown;
    unsigned long before = 0;
    unsigned long now = 0;

    if (statvfs(path, &shown) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot remount: %s", path, strerror(errno));
        return false;
    }
    for (size_t i = 0; i < FLAGS; i++) {
        if (flags[i].sets && shown.f_flag & flags[i].shown) before |= flags[i].flag;
    }
    if (shown.f_flag & ST_NODIRATIME) before |= MS_NODIRATIME;
    if (shown.f_flag & ST_RELATIME) before |= MS_RELATIME;
    now = before;
    if (shown.f_flag & ST_RDONLY) before |= MS_RDONLY;
    if (options->read_only) now |= MS_RDONLY;
    if (!add_words(options->kernel_flags, &now)) {
        bcfs_log(BCFS_LOG_ERROR, "out of memory");
        return false;
    }
    if (mount(options->store, path, BCFS_MOUNT_TYPE, MS_REMOUNT | now, NULL) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot remount: %s", path,
                 errno == EPERM   ? "only root may; unmount and mount it again"
                 : errno == EBUSY ? "files in it are open for writing"
                                  : strerror(errno));
        return false;
    }
    if (!options->read_only && daemon_is_read_only(path)) {
        (void)mount(options->store, path, BCFS_MOUNT_TYPE, MS_REMOUNT | before, NULL);
        bcfs_log(BCFS_LOG_ERROR, "%s: was mounted with ro, so its daemon cannot write; unmount it and mount it with rw",
                 path);
        return false;
    }
    return true;
}
