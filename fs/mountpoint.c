/* mountpoint.c - the checks of STORE and MOUNTPOINT, and detaching mounts: see mountpoint.h.
 *
 * A dead mount (its daemon was killed) answers ENOTCONN to everything, also to the lstat() inside realpath(). A
 * descriptor opened with O_PATH can still be had, and /proc tells its path and its mount.
 */
#include "mountpoint.h"

#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    DEVICE_MAJOR = 10, /* of /dev/fuse, by the kernel's list of devices */
    DEVICE_MINOR = 229,
    STACKED_MAX = 16 /* dead mounts one over the other; more than that is no accident */
};

/* One line of the mount table. */
struct mount_entry {
    char mountpoint[PATH_MAX];
    char type[64];
    char source[PATH_MAX];
};

/* ---- the mount table ---- */

int bcfs_mount_id_of_fd(int fd)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    FILE *info = fopen(name, "re");
    if (info == NULL) return -1;

    int id = -1;
    char line[256];
    while (id == -1 && fgets(line, sizeof line, info) != NULL) {
        if (sscanf(line, "mnt_id: %d", &id) != 1) id = -1;
    }
    fclose(info);
    return id;
}

int bcfs_mount_id(const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return -1;
    int id = bcfs_mount_id_of_fd(fd);
    close(fd);
    return id;
}

uint64_t bcfs_mount_unique_id(const char *path)
{
    const unsigned wanted = 0x4000; /* STATX_MNT_ID_UNIQUE, which the headers of older systems lack */
    struct statx answer = {.stx_mask = 0};
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return 0;
    /* Not to be asked of a daemon, which may be dead, or ourselves. */
    int result = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, wanted, &answer);
    close(fd);
    return result == 0 && (answer.stx_mask & wanted) != 0 ? answer.stx_mnt_id : 0;
}

/* Turns the \040 of the mount table back into bytes, in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
            from[3] <= '7') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

static bool copy_word(char *to, size_t size, const char *word)
{
    if (word == NULL || strlen(word) >= size) return false;
    strcpy(to, word);
    unescape(to);
    return true;
}

/* Takes one line of /proc/self/mountinfo apart: ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS... - TYPE SOURCE OPTIONS. */
static bool parse_mount_line(char *line, int wanted_id, struct mount_entry *entry)
{
    if (atoi(line) != wanted_id) return false;
    char *tail = strstr(line, " - ");
    if (tail == NULL) return false;
    *tail = '\0';
    tail += 3;

    char *rest = line;
    const char *word = NULL;
    for (int i = 0; i < 5; i++) word = strsep(&rest, " ");
    if (!copy_word(entry->mountpoint, sizeof entry->mountpoint, word)) return false;
    if (!copy_word(entry->type, sizeof entry->type, strsep(&tail, " "))) return false;
    return copy_word(entry->source, sizeof entry->source, strsep(&tail, " "));
}

static bool find_mount(int id, struct mount_entry *entry)
{
    FILE *table = fopen("/proc/self/mountinfo", "re");
    if (table == NULL) return false;

    bool found = false;
    char *line = NULL;
    size_t room = 0;
    while (!found && getline(&line, &room, table) > 0) found = parse_mount_line(line, id, entry);
    free(line);
    fclose(table);
    return found;
}

/* ---- detaching ---- */

/* Runs `fusermount3 -u -z path`, the way for those who are not root. What it says comes back in reason. */
static bool run_fusermount(const char *path, char *reason, size_t reason_size)
{
    char *argv[] = {"fusermount3", "-u", "-z", "--", (char *)path, NULL};
    snprintf(reason, reason_size, "fusermount3 failed");

    int output = memfd_create("fusermount3", MFD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (output >= 0) posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);

    pid_t child = 0;
    int status = -1;
    int error = posix_spawnp(&child, argv[0], &actions, &attributes, argv, environ);
    if (error != 0) {
        snprintf(reason, reason_size, "cannot run fusermount3: %s; is the package fuse3 installed?", strerror(error));
    } else {
        pid_t waited = 0;
        do waited = waitpid(child, &status, 0);
        while (waited < 0 && errno == EINTR);
        ssize_t length = output < 0 ? 0 : pread(output, reason, reason_size - 1, 0);
        if (length > 0) reason[strcspn(reason, "\n")] = '\0';
        if (length > 0 && (size_t)length < reason_size) reason[length] = '\0';
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (output >= 0) close(output);
    return error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool bcfs_mount_detach(const char *path, int mount_id)
{
    if (mount_id < 0 || bcfs_mount_id(path) != mount_id) return true;
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return true;

    int error = errno;
    char reason[256] = "";
    if (error == EPERM && run_fusermount(path, reason, sizeof reason)) return true;
    if (bcfs_mount_id(path) != mount_id) return true;
    bcfs_log(BCFS_LOG_ERROR, "%s: cannot unmount: %s", path, error == EPERM ? reason : strerror(error));
    return false;
}

/* ---- MOUNTPOINT ---- */

/* The absolute path of an O_PATH descriptor. NULL if it has none, or has lost its name. */
static char *path_of_fd(int fd)
{
    char name[64];
    char path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path);
    if (length <= 0 || (size_t)length >= sizeof path || path[0] != '/') return NULL;
    path[length] = '\0';
    return strdup(path);
}

/* The directory must hold nothing: a mount would hide it. */
static bool check_empty(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot read the directory to see if it is empty: %s", path, strerror(errno));
        return false;
    }
    const struct dirent *entry = NULL;
    do {
        errno = 0;
        entry = readdir(directory);
    } while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    int error = errno;
    closedir(directory);

    if (entry != NULL) {
        bcfs_log(BCFS_LOG_ERROR, "%s: is not empty; mount on an empty directory, so that nothing gets hidden", path);
        return false;
    }
    if (error != 0) bcfs_log(BCFS_LOG_ERROR, "%s: cannot read the directory: %s", path, strerror(error));
    return error == 0;
}

/* Whether the dead mount that path lies in may be taken away: it is ours, and path is its root. */
static bool check_dead(const char *path, int fd)
{
    struct mount_entry entry;
    if (!find_mount(bcfs_mount_id_of_fd(fd), &entry)) {
        bcfs_log(BCFS_LOG_ERROR, "%s: is a dead mount of an unknown kind; unmount it first", path);
        return false;
    }
    if (strcmp(entry.mountpoint, path) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: lies in a dead mount; unmount %s first", path, entry.mountpoint);
        return false;
    }
    if (strcmp(entry.type, BCFS_MOUNT_TYPE) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: is a dead mount of type %s; unmount it first", path, entry.type);
        return false;
    }
    return true;
}

/* A directory that can be reached: not one of our mounts, writable where fusermount3 will ask for that, empty. */
static bool check_live(const char *path, int fd)
{
    struct mount_entry entry;
    if (find_mount(bcfs_mount_id_of_fd(fd), &entry) && strcmp(entry.mountpoint, path) == 0 &&
        strcmp(entry.type, BCFS_MOUNT_TYPE) == 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: %s is mounted there already; fusermount3 -u ends that mount", path, entry.source);
        return false;
    }
    if (geteuid() != 0 && access(path, W_OK) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: %s; only root may mount on a directory without write permission", path,
                 strerror(errno));
        return false;
    }
    return check_empty(path);
}

/* 0 if the directory answers; ENOTCONN if the daemon of its mount died; else the error that stat(2) gets. The kernel
 * may hold the attributes of a mount of ours without a limit of time, so that stat(2) succeeds on a dead one: statfs is
 * always asked of the daemon. A request that was on its way when the daemon died fails with ECONNABORTED instead. */
static int probe(const char *path, int fd)
{
    struct stat status;
    struct statvfs space;
    struct mount_entry entry;
    if (stat(path, &status) != 0) return errno == ECONNABORTED ? ENOTCONN : errno;
    if (find_mount(bcfs_mount_id_of_fd(fd), &entry) && strcmp(entry.type, BCFS_MOUNT_TYPE) == 0 &&
        statvfs(path, &space) != 0 && (errno == ENOTCONN || errno == ECONNABORTED)) {
        return ENOTCONN;
    }
    return 0;
}

bool bcfs_mountpoint_check(const char *given, char **path, bool *dead)
{
    *path = NULL;
    *dead = false;
    int fd = open(given, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        const char *hint = errno == ENOENT    ? "no such directory; create it first (mkdir)"
                           : errno == ENOTDIR ? "is not a directory; mount on an empty directory"
                                              : strerror(errno);
        bcfs_log(BCFS_LOG_ERROR, "%s: %s", given, hint);
        return false;
    }

    bool good = false;
    *path = path_of_fd(fd);
    if (*path == NULL) {
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot find its path; is /proc mounted?", given);
    } else {
        int error = probe(*path, fd);
        if (error == 0) good = check_live(*path, fd);
        if (error == ENOTCONN) good = *dead = check_dead(*path, fd);
        if (error != 0 && error != ENOTCONN) bcfs_log(BCFS_LOG_ERROR, "%s: %s", given, strerror(error));
    }
    close(fd);
    if (!good) {
        free(*path);
        *path = NULL;
    }
    return good;
}

bool bcfs_mountpoint_clear(const char *path)
{
    for (int i = 0; i < STACKED_MAX; i++) {
        int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            bcfs_log(BCFS_LOG_ERROR, "%s: %s", path, strerror(errno));
            return false;
        }
        bool alive = probe(path, fd) != ENOTCONN;
        bool good = alive ? check_live(path, fd) : check_dead(path, fd);
        int mount_id = bcfs_mount_id_of_fd(fd);
        close(fd);
        if (alive || !good) return good;
        if (!bcfs_mount_detach(path, mount_id)) return false;
    }
    bcfs_log(BCFS_LOG_ERROR, "%s: too many dead mounts on one another; unmount them first", path);
    return false;
}

bool bcfs_mount_find(const char *given, char **path, char **store)
{
    struct mount_entry entry;
    int fd = open(given, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *path = fd < 0 ? NULL : path_of_fd(fd);
    *store = NULL;
    bool found = *path != NULL && find_mount(bcfs_mount_id_of_fd(fd), &entry) && strcmp(entry.mountpoint, *path) == 0 &&
                 strcmp(entry.type, BCFS_MOUNT_TYPE) == 0;
    if (found) *store = strdup(entry.source);
    if (fd >= 0) close(fd);
    if (*store != NULL) return true;
    bcfs_log(BCFS_LOG_ERROR, "%s: cannot remount: no store is mounted there; leave remount out to mount one", given);
    free(*path);
    *path = NULL;
    return false;
}

/* ---- STORE and the rest ---- */

/* The path of something that is not there yet: its parent's with the last name behind it. */
static char *resolve_absent(const char *given)
{
    char *copy = strdup(given);
    if (copy == NULL) return NULL;
    size_t length = strlen(copy);
    while (length > 1 && copy[length - 1] == '/') copy[--length] = '\0';

    char *slash = strrchr(copy, '/');
    const char *name = slash == NULL ? copy : slash + 1;
    const char *parent = slash == NULL ? "." : slash == copy ? "/" : copy;
    if (slash != NULL && slash != copy) *slash = '\0';

    char *path = NULL;
    char *directory = realpath(parent, NULL);
    if (directory != NULL && name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
        if (asprintf(&path, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, name) < 0) path = NULL;
    }
    free(directory);
    free(copy);
    return path;
}

bool bcfs_store_resolve(const char *given, char **path)
{
    *path = realpath(given, NULL);
    if (*path != NULL) return true;
    if (errno != ENOENT) {
        bcfs_log(BCFS_LOG_ERROR, "%s: %s; STORE must be a directory, or a name for a new one", given, strerror(errno));
        return false;
    }
    *path = resolve_absent(given);
    if (*path == NULL) {
        bcfs_log(BCFS_LOG_ERROR, "%s: the directory that the store would be created in does not exist", given);
    }
    return *path != NULL;
}

/* Whether path is directory, or lies somewhere in it. */
static bool lies_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    if (strcmp(directory, "/") == 0) return true;
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool bcfs_paths_apart(const char *store, const char *mountpoint)
{
    if (lies_in(store, mountpoint)) {
        bcfs_log(BCFS_LOG_ERROR, "%s: lies below its mountpoint %s, which would hide it; mount elsewhere", store,
                 mountpoint);
        return false;
    }
    if (lies_in(mountpoint, store)) {
        bcfs_log(BCFS_LOG_ERROR, "%s: lies inside the store %s; mount elsewhere", mountpoint, store);
        return false;
    }
    return true;
}

/* fusermount3's rule. It would say so itself, but only when the store has been created already. */
bool bcfs_allow_other_check(void)
{
    if (geteuid() == 0) return true;
    FILE *rules = fopen("/etc/fuse.conf", "re");
    if (rules == NULL && errno != ENOENT) return true;

    bool allowed = false;
    char line[256];
    char word[32];
    while (rules != NULL && !allowed && fgets(line, sizeof line, rules) != NULL) {
        allowed = sscanf(line, " %31[a-z_]", word) == 1 && strcmp(word, "user_allow_other") == 0;
    }
    if (rules != NULL) fclose(rules);
    if (!allowed) {
        bcfs_log(BCFS_LOG_ERROR, "-o allow_other: only root may, unless /etc/fuse.conf has a line user_allow_other");
    }
    return allowed;
}

bool bcfs_device_check(void)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        bcfs_log(BCFS_LOG_ERROR, "/dev/fuse: %s; root has to let you mount (chmod 666 /dev/fuse)", strerror(errno));
        return false;
    }
    if (fd < 0) {
        bcfs_log(BCFS_LOG_ERROR,
                 "/dev/fuse: %s; load the kernel's module (modprobe fuse), or pass the device into "
                 "this container",
                 strerror(errno));
        return false;
    }
    struct stat status;
    bool good = fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && major(status.st_rdev) == DEVICE_MAJOR &&
                minor(status.st_rdev) == DEVICE_MINOR;
    if (!good) bcfs_log(BCFS_LOG_ERROR, "/dev/fuse: is not the FUSE device; load the kernel's module (modprobe fuse)");
    close(fd);
    return good;
}
