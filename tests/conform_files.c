/* conform_files.c - part of tool_conform.c: calls on descriptors, on what was removed meanwhile, and by another user.
 */
#include "conform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define DO(what, call) outcome(what, name, "", (errno = 0, (long)(call)))

static long map(int fd, int protection, int flags)
{
    void *address = mmap(NULL, 5, protection, flags, fd, 0);
    if (address == MAP_FAILED) return -1;
    munmap(address, 5);
    return 0;
}

/* The number of entries; -1 with errno. */
static long list(int fd)
{
    DIR *dir = fdopendir(dup(fd));
    long count = 0;
    if (dir == NULL) return -1;
    for (errno = 0; readdir(dir) != NULL;) count++;
    int error = errno;
    closedir(dir);
    errno = error;
    return error == 0 ? count : -1;
}

static long open_dir(const char *path)
{
    DIR *dir = opendir(path);
    return dir == NULL ? -1 : closedir(dir);
}

static long lock_range(int fd, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2};
    return fcntl(fd, F_SETLK, &lock);
}

static long modes_of(int fd, struct stat *st)
{
    return fstat(fd, st) == 0 ? (long)st->st_mode * 100 + (S_ISDIR(st->st_mode) ? 0 : (long)st->st_nlink) : -1;
}

/* Each case on a descriptor of its own: `open` says of what. */
static void cases_of(const char *name, const char *path, int flags)
{
    char bytes[64] = "bytes";
    void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct stat st;
    off_t in = 0, out = 0;
    int fd = -1, other = -1;
    set_stage();
#define CASE(what, call)                   \
    do {                                   \
        fd = open(path, flags, 0644);      \
        other = open("exe", O_RDWR);       \
        must(fd >= 0 && other >= 0, path); \
        DO(what, call);                    \
        close(fd);                         \
        close(other);                      \
    } while (0)
    CASE("fd-read", read(fd, bytes, 10));
    CASE("fd-read-0", read(fd, bytes, 0));
    CASE("fd-pread-far", pread(fd, bytes, 10, 1000));
    CASE("fd-pread-minus", pread(fd, bytes, 10, -1));
    CASE("fd-pread-largest", pread(fd, bytes, 10, INT64_MAX));
    CASE("fd-write", write(fd, bytes, 5));
    CASE("fd-write-0", write(fd, bytes, 0));
    CASE("fd-pwrite-far", pwrite(fd, bytes, 5, 100000));
    CASE("fd-pwrite-minus", pwrite(fd, bytes, 5, -1));
    CASE("fd-pwrite-largest", pwrite(fd, bytes, 5, INT64_MAX - 2));
    CASE("fd-write-bad-address", write(fd, nowhere, 5));
    CASE("fd-read-bad-address", read(fd, nowhere, 5));
    CASE("fd-ftruncate", ftruncate(fd, 2));
    CASE("fd-ftruncate-minus", ftruncate(fd, -2));
    CASE("fd-ftruncate-largest", ftruncate(fd, INT64_MAX));
    CASE("fd-fallocate", fallocate(fd, 0, 0, 10));
    CASE("fd-fallocate-keep", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10));
    CASE("fd-fallocate-0", fallocate(fd, 0, 0, 0));
    CASE("fd-fallocate-minus", fallocate(fd, 0, -1, 10));
    CASE("fd-fallocate-largest", fallocate(fd, 0, INT64_MAX - 5, 10));
    CASE("fd-punch-no-keep", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 3));
    CASE("fd-punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 2));
    CASE("fd-zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, 1, 2));
    CASE("fd-collapse-odd", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, 2));
    CASE("fd-fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    CASE("fd-readahead", readahead(fd, 0, 100));
    CASE("fd-lseek-end", lseek(fd, 0, SEEK_END) < 0 ? -1 : 0);
    CASE("fd-lseek-beyond", lseek(fd, 1000000, SEEK_SET));
    CASE("fd-lseek-minus", lseek(fd, -1, SEEK_SET));
    CASE("fd-lseek-data", lseek(fd, 0, SEEK_DATA));
    CASE("fd-lseek-hole", lseek(fd, 2, SEEK_HOLE) < 0 ? -1 : 0);
    CASE("fd-lseek-data-at-end", lseek(fd, 5, SEEK_DATA));
    CASE("fd-lseek-hole-at-end", lseek(fd, 5, SEEK_HOLE));
    CASE("fd-lseek-data-minus", lseek(fd, -1, SEEK_DATA));
    CASE("fd-lseek-whence", lseek(fd, 0, 77));
    CASE("fd-fsync", fsync(fd));
    CASE("fd-fdatasync", fdatasync(fd));
    CASE("fd-sync-range", sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    CASE("fd-fchmod", fchmod(fd, 0711));
    CASE("fd-fchown", fchown(fd, (uid_t)-1, (gid_t)-1));
    CASE("fd-fchdir", fchdir(fd));
    CASE("fd-futimens", futimens(fd, NULL));
    CASE("fd-getdents", list(fd));
    CASE("fd-flock", flock(fd, LOCK_EX | LOCK_NB));
    CASE("fd-lock-read", lock_range(fd, F_RDLCK));
    CASE("fd-lock-write", lock_range(fd, F_WRLCK));
    CASE("fd-lease", fcntl(fd, F_SETLEASE, F_RDLCK));
    CASE("fd-map-read", map(fd, PROT_READ, MAP_SHARED));
    CASE("fd-map-write", map(fd, PROT_READ | PROT_WRITE, MAP_SHARED));
    CASE("fd-map-private", map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE));
    CASE("fd-map-exec", map(fd, PROT_READ | PROT_EXEC, MAP_PRIVATE));
    CASE("fd-copy-to", copy_file_range(other, &in, fd, &out, 4, 0));
    in = out = 0;
    CASE("fd-copy-from", copy_file_range(fd, &in, other, &out, 4, 0));
    in = 0, out = 2;
    CASE("fd-copy-overlapping", copy_file_range(fd, &in, fd, &out, 4, 0));
    in = 0, out = 50;
    CASE("fd-copy-self", copy_file_range(fd, &in, fd, &out, 4, 0));
    in = 100, out = 0;
    CASE("fd-copy-beyond", copy_file_range(fd, &in, other, &out, 4, 0));
    CASE("fd-copy-flags", copy_file_range(fd, NULL, other, NULL, 4, 1));
    CASE("fd-sendfile", sendfile(other, fd, NULL, 4));
    CASE("fd-reopen", open("/proc/self/fd/0", O_RDONLY) < 0 ? -1 : 0);
    CASE("fd-openat", openat(fd, "x", O_RDONLY));
    CASE("fd-openat-dot", openat(fd, ".", O_RDONLY) < 0 ? -1 : 0);
    CASE("fd-mkdirat", mkdirat(fd, "new", 0755));
    CASE("fd-unlinkat", unlinkat(fd, "x", 0));
    CASE("fd-renameat", renameat(AT_FDCWD, "f", fd, "g"));
    CASE("fd-linkat-empty", linkat(fd, "", AT_FDCWD, "linked", AT_EMPTY_PATH));
    CASE("fd-direct", fcntl(fd, F_SETFL, O_DIRECT));
    CASE("fd-append", fcntl(fd, F_SETFL, O_APPEND) + pwrite(fd, bytes, 5, 0));
    CASE("fd-fionread", ioctl(fd, FIONREAD, bytes));
    CASE("fd-ioctl", ioctl(fd, _IO(0x77, 0x99)));
    CASE("fd-modes", modes_of(fd, &st));
#undef CASE
}

/* What a descriptor can do once its name is gone; `how` makes it go. */
static void removed_file(const char *name, int how)
{
    char bytes[10] = "01234567";
    struct stat st;
    set_stage();
    int fd = open("f", O_RDWR), dir = open("full/sub", O_RDONLY | O_DIRECTORY), result = 0;
    must(fd >= 0 && dir >= 0 && chdir("full/sub") == 0, "removed");
    if (how == 0) result = unlink("../../f") | rmdir("../sub");
    if (how == 1) result = rename("../../exe", "../../f") | rename("../../d", "../sub");
    must(result == 0, "removing");
#define CASE(what, call)                                                                   \
    do {                                                                                   \
        errno = 0;                                                                         \
        long got = (long)(call);                                                           \
        printf("%s %s: %ld %s\n", name, what, got, got < 0 ? strerrorname_np(errno) : ""); \
    } while (0)
    CASE("modes of the file", modes_of(fd, &st));
    CASE("modes of the directory", modes_of(dir, &st));
    CASE("read", pread(fd, bytes, 5, 0));
    CASE("write", pwrite(fd, bytes, 5, 3));
    CASE("ftruncate", ftruncate(fd, 200000));
    CASE("read again", pread(fd, bytes, 9, 1));
    CASE("fallocate", fallocate(fd, 0, 0, 300000));
    CASE("fsync", fsync(fd));
    CASE("fchmod", fchmod(fd, 04711));
    CASE("futimens", futimens(fd, NULL));
    CASE("map", map(fd, PROT_READ | PROT_WRITE, MAP_SHARED));
    CASE("modes of the file", modes_of(fd, &st));
    CASE("size", (fstat(fd, &st), st.st_size));
    CASE("linkat", linkat(fd, "", AT_FDCWD, "/absent/linked", AT_EMPTY_PATH));
    CASE("link", linkat(fd, "", dir, "linked", AT_EMPTY_PATH));
    CASE("fsync of the directory", fsync(dir));
    CASE("fchmod of the directory", fchmod(dir, 0700));
    CASE("futimens of the directory", futimens(dir, NULL));
    CASE("list", list(dir));
    CASE("create in it", openat(dir, "new", O_WRONLY | O_CREAT, 0644));
    CASE("mkdir in it", mkdirat(dir, "new", 0755));
    CASE("symlink in it", symlinkat("x", dir, "new"));
    CASE("mknod in it", mknodat(dir, "new", S_IFIFO | 0644, 0));
    CASE("rename into it", renameat(AT_FDCWD, "../x", dir, "x"));
    CASE("link into it", linkat(AT_FDCWD, "../x", dir, "x", 0));
    CASE("unlink in it", unlinkat(dir, "x", 0));
    CASE("rmdir of it", unlinkat(dir, ".", AT_REMOVEDIR));
    CASE("its dot", openat(dir, ".", O_RDONLY) < 0 ? -1 : 0);
    CASE("its parent", openat(dir, "..", O_RDONLY) < 0 ? -1 : 0);
    CASE("lookup in it", faccessat(dir, "x", F_OK, 0));
    CASE("getcwd", getcwd(bytes, sizeof bytes) == NULL ? -1 : 0);
    CASE("stat of the working directory", stat(".", &st));
    CASE("list of the working directory", open_dir("."));
    close(fd);
    close(dir);
}

static void programs(void)
{
    const char *name = "programs";
    set_stage();
    must(system("cp /bin/true prog && cp /bin/sleep sleeper") == 0, "copying programs");
    DO("run", WEXITSTATUS(system("./prog")));
    set_stage();
    must(system("cp /bin/sleep sleeper") == 0, "copying programs");
    fflush(stdout); /* else a child that cannot exec may write what is in the buffer, too: a sanitizer's _exit does */
    pid_t child = fork();
    if (child == 0) {
        execl("./sleeper", "sleeper", "20", (char *)NULL);
        _exit(9);
    }
    char link[64], target[300] = "";
    snprintf(link, sizeof link, "/proc/%d/exe", (int)child);
    while (readlink(link, target, sizeof target - 1) > 0 && strstr(target, "sleeper") == NULL) usleep(1000);
    printf("open of a running program: %s\n", open("sleeper", O_WRONLY) < 0 ? strerrorname_np(errno) : "done");
    printf("truncate of a running program: %s\n", truncate("sleeper", 0) < 0 ? strerrorname_np(errno) : "done");
    kill(child, 9);
    waitpid(child, NULL, 0);
    int fd = open("sleeper", O_WRONLY);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        execl("./sleeper", "sleeper", "0", (char *)NULL);
        _exit(errno == ETXTBSY ? 7 : 8);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("running a file that is open for writing: %d\n", WEXITSTATUS(status));
    close(fd);
    must(chmod("sleeper", 0644) == 0, "chmod");
    printf("running what is not executable: %s\n",
           execl("./sleeper", "sleeper", "0", (char *)NULL) < 0 ? strerrorname_np(errno) : "done");
}

void descriptor_cases(void)
{
    cases_of("rdonly", "f", O_RDONLY);
    cases_of("wronly", "f", O_WRONLY);
    cases_of("rdwr", "f", O_RDWR);
    cases_of("append", "f", O_RDWR | O_APPEND);
    cases_of("sync", "f", O_RDWR | O_SYNC);
    cases_of("directory", "full", O_RDONLY);
    cases_of("path-only", "f", O_PATH);
    cases_of("path-only-directory", "full", O_PATH);
    cases_of("path-only-symlink", "lf", O_PATH | O_NOFOLLOW);
    cases_of("fifo", "p", O_RDWR | O_NONBLOCK);
    cases_of("new", "new", O_RDWR | O_CREAT);
    removed_file("removed", 0);
    removed_file("replaced", 1);
    programs();
}

/* ---- another user ---- */

enum { OWNER = 12345, STRANGER = 23456 };

/* Makes a stage with files of two owners, and directories that anybody, or nobody else, may change. */
static void set_owned_stage(void)
{
    set_stage();
    must(mkdir("open", 0777) == 0 && mkdir("sticky", 0777) == 0 && mkdir("mine", 0755) == 0, "mkdir");
    must(chmod("open", 0777) == 0 && chmod("sticky", 01777) == 0 && chmod("d", 0700) == 0, "chmod");
    static const char *const dirs[] = {"open", "sticky", "mine", "full", "d"};
    char name[64];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%s/theirs", dirs[i]);
        put(name, "theirs", 0644);
        must(chown(name, STRANGER, STRANGER) == 0, "chown");
        snprintf(name, sizeof name, "%s/own", dirs[i]);
        put(name, "own", 0640);
        must(chown(name, OWNER, OWNER) == 0, "chown");
        snprintf(name, sizeof name, "%s/all", dirs[i]);
        put(name, "all", 0666);
        must(chmod(name, 0666) == 0, "chmod");
    }
    must(chown("mine", OWNER, OWNER) == 0, "chown");
}

/* Runs a call as OWNER and prints what it gave. */
#define AS_USER(what, path, call)                                                                                  \
    do {                                                                                                           \
        if (changed) set_owned_stage();                                                                            \
        must(seteuid(OWNER) == 0, "seteuid");                                                                      \
        errno = 0;                                                                                                 \
        long got = (long)(call);                                                                                   \
        changed = got >= 0;                                                                                        \
        int error = errno;                                                                                         \
        must(seteuid(0) == 0, "seteuid");                                                                          \
        struct stat st = {0};                                                                                      \
        int there = lstat(path, &st);                                                                              \
        printf("user %s %s: %ld %s; %d %o %u %u\n", what, path, got, got < 0 ? strerrorname_np(error) : "", there, \
               st.st_mode, st.st_uid, st.st_gid);                                                                  \
    } while (0)

static long open_and_close(const char *path, int flags)
{
    int fd = open(path, flags, 0666);
    return fd < 0 ? -1 : close(fd);
}

void user_cases(void)
{
    static const char *const dirs[] = {"open", "sticky", "mine", "full", "d"};
    static const char *const names[] = {"theirs", "own", "all", "absent"};
    bool changed = true;
    static const struct timespec past[2] = {{.tv_sec = 5}, {.tv_sec = 6}};
    if (getuid() != 0 || setegid(OWNER) != 0 || setegid(0) != 0) return;
    must(setegid(OWNER) == 0, "setegid");
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 4; j++) {
            char path[64], other[64];
            snprintf(path, sizeof path, "%s/%s", dirs[i], names[j]);
            snprintf(other, sizeof other, "%s/%s", dirs[i], names[(j + 1) % 4]);
            AS_USER("read", path, open_and_close(path, O_RDONLY));
            AS_USER("write", path, open_and_close(path, O_WRONLY));
            AS_USER("create", path, open_and_close(path, O_WRONLY | O_CREAT));
            AS_USER("truncate", path, truncate(path, 1));
            AS_USER("unlink", path, unlink(path));
            AS_USER("rename", path, rename(path, other));
            AS_USER("rename-out", path, rename(path, "open/moved"));
            AS_USER("exchange", path, renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE));
            AS_USER("link", path, link(path, "open/linked"));
            AS_USER("chmod", path, chmod(path, 06755));
            AS_USER("chown", path, chown(path, OWNER, OWNER));
            AS_USER("chown-away", path, chown(path, STRANGER, (gid_t)-1));
            AS_USER("chgrp", path, chown(path, (uid_t)-1, OWNER));
            AS_USER("utimes", path, utimensat(AT_FDCWD, path, past, 0));
            AS_USER("touch", path, utimensat(AT_FDCWD, path, NULL, 0));
            AS_USER("mkdir", path, mkdir(path, 0777));
            AS_USER("noatime", path, open_and_close(path, O_RDONLY | O_NOATIME));
            AS_USER("stat", path, access(path, F_OK));
        }
        AS_USER("rmdir", dirs[i], rmdir(dirs[i]));
        AS_USER("list", dirs[i], open_dir(dirs[i]));
        AS_USER("chmod", dirs[i], chmod(dirs[i], 0777));
        AS_USER("rename", dirs[i], rename(dirs[i], "open/dir"));
    }
    must(setegid(0) == 0, "setegid");
}
