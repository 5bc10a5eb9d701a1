/* tool_conform.c - what calls do to the oddest of paths, as text: mount_conform.sh compares it between two filesystems.
 *
 * tool_conform DIRECTORY: works in DIRECTORY, which is empty, and prints a line for each case: the call, its result or
 * its errno, and, where it succeeded, what then stands there. Exit status 0, or 2 where a case could not be set up.
 */
#include "conform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static char long_255[256], long_256[257], deep_4095[PATH_MAX], deep_4096[PATH_MAX + 1];
static int top; /* DIRECTORY */
static char stage[32];
static int stages;

/* ---- the stage that each case plays on ---- */

static const char *const paths[] = {
    "f",       "f/",     "f/.",     "f/x",     "d",    "d/",        "d/.",         "d/..",     ".",
    "..",      "./",     "lf",      "lf/",     "ld",   "ld/",       "ld/.",        "dangling", "dangling/",
    "loop",    "loop/x", "p",       "p/",      "s",    "absent",    "absent/",     "absent/x", "",
    long_255,  long_256, deep_4095, deep_4096, "full", "full/",     "full/x",      "full/sub", "full/sub/new",
    "full/..", "ld/new", "d/new",   "d/new/",  "exe",  "full/sub/", "full/sub/..",
};
enum { PATHS = sizeof paths / sizeof paths[0] };

void must(bool fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "tool_conform: %s: %s\n", what, strerror(errno));
    exit(2);
}

void put(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, path);
}

void set_stage(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "s"};
    /* A new one each time: removing a directory takes a sync in some filesystems. */
    snprintf(stage, sizeof stage, "stage%d", ++stages);
    must(fchdir(top) == 0 && mkdir(stage, 0755) == 0 && chdir(stage) == 0, "stage");
    put("f", "hello", 0644);
    put("exe", "#!/bin/true\n", 0755);
    must(mkdir("d", 0755) == 0 && mkdir("full", 0755) == 0 && mkdir("full/sub", 0755) == 0, "mkdir");
    put("full/x", "x", 0644);
    must(symlink("f", "lf") == 0 && symlink("d", "ld") == 0 && symlink("nowhere", "dangling") == 0, "symlink");
    must(symlink("loop", "loop") == 0 && mkfifo("p", 0644) == 0, "mkfifo");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && close(fd) == 0, "socket");
}

static const char *shown(const char *path)
{
    return path == long_255    ? "NAME255"
           : path == long_256  ? "NAME256"
           : path == deep_4095 ? "PATH4095"
           : path == deep_4096 ? "PATH4096"
                               : path;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* What is below a directory: names, kinds, and of files size, links and mode. */
static void print_tree(FILE *out, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, by_name);
    for (int i = 0; i < count; i++) {
        char name[PATH_MAX], target[300] = "";
        struct stat st;
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0 && lstat(name, &st) == 0) {
            bool kind_fits = entries[i]->d_type == (st.st_mode & S_IFMT) >> 12;
            fprintf(out, " %.12s:%o%s", name + 2, st.st_mode, kind_fits ? "" : ":other d_type");
            if (!S_ISDIR(st.st_mode)) fprintf(out, ":%lld:%lu", (long long)st.st_size, (unsigned long)st.st_nlink);
            if (S_ISLNK(st.st_mode) && readlink(name, target, sizeof target - 1) > 0) fprintf(out, ">%s", target);
            if (S_ISDIR(st.st_mode)) print_tree(out, name);
        }
        free(entries[i]);
    }
    free(entries);
}

/* The tree of the stage, in memory of the caller. */
static char *stage_tree(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    must(fchdir(top) == 0 && chdir(stage) == 0 && out != NULL, "stage");
    print_tree(out, ".");
    must(fclose(out) == 0, "stage");
    return text;
}

void outcome(const char *call, const char *a, const char *b, long result)
{
    static char *untouched; /* the tree of a stage on which nothing was done */
    printf("%s %s%s%s: ", call, shown(a), b[0] != '\0' ? " " : "", shown(b));
    if (result < 0) {
        printf("%s\n", strerrorname_np(errno));
        return;
    }
    char *tree = stage_tree();
    if (untouched != NULL && strcmp(tree, untouched) == 0) {
        printf("%ld; nothing changed\n", result);
    } else {
        printf("%ld;%s\n", result, tree);
        set_stage();
        free(untouched);
        untouched = stage_tree();
    }
    free(tree);
}

/* ---- one path ---- */

static long open_it(const char *path, int flags)
{
    int fd = open(path, flags, 0640);
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

static long read_it(const char *path)
{
    char bytes[10];
    int fd = open(path, O_RDONLY | O_NONBLOCK), error = 0;
    if (fd < 0) return -1;
    long result = read(fd, bytes, sizeof bytes);
    error = errno;
    close(fd);
    errno = error;
    return result;
}

static long list_it(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) return -1;
    closedir(dir);
    return 0;
}

static void open_cases(void)
{
    static const struct {
        const char *name;
        int flags;
    } ways[] = {
        {"rdonly", O_RDONLY},
        {"wronly", O_WRONLY},
        {"rdwr", O_RDWR},
        {"creat", O_WRONLY | O_CREAT},
        {"creat-rdonly", O_RDONLY | O_CREAT},
        {"creat-excl", O_WRONLY | O_CREAT | O_EXCL},
        {"creat-trunc", O_WRONLY | O_CREAT | O_TRUNC},
        {"creat-nofollow", O_WRONLY | O_CREAT | O_NOFOLLOW},
        {"creat-excl-nofollow", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW},
        {"creat-directory", O_RDONLY | O_CREAT | O_DIRECTORY},
        {"trunc", O_WRONLY | O_TRUNC},
        {"trunc-rdonly", O_RDONLY | O_TRUNC},
        {"trunc-nofollow", O_WRONLY | O_TRUNC | O_NOFOLLOW},
        {"directory", O_RDONLY | O_DIRECTORY},
        {"directory-wronly", O_WRONLY | O_DIRECTORY},
        {"directory-nofollow", O_RDONLY | O_DIRECTORY | O_NOFOLLOW},
        {"nofollow", O_RDONLY | O_NOFOLLOW},
        {"path", O_PATH},
        {"path-nofollow", O_PATH | O_NOFOLLOW},
        {"path-directory", O_PATH | O_DIRECTORY},
        {"append", O_WRONLY | O_APPEND},
        {"noatime", O_RDONLY | O_NOATIME},
        {"sync", O_WRONLY | O_SYNC},
        {"dsync", O_WRONLY | O_DSYNC},
    };
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++)
        for (int i = 0; i < PATHS; i++)
            outcome(ways[way].name, paths[i], "", open_it(paths[i], ways[way].flags | O_NONBLOCK));
}

static void path_cases(void)
{
    static const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
    static const struct timespec omitted[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    static const struct timespec invalid[2] = {{.tv_nsec = 1000000000}, {.tv_nsec = 0}};
    char target[PATH_MAX];
    struct stat st;
    struct statfs space;
    for (int i = 0; i < PATHS; i++) {
        const char *path = paths[i];
        outcome("stat", path, "", stat(path, &st));
        outcome("lstat", path, "", lstat(path, &st));
        outcome("statfs", path, "", statfs(path, &space));
        outcome("access", path, "", access(path, R_OK | W_OK));
        outcome("access-x", path, "", access(path, X_OK));
        outcome("readlink", path, "", readlink(path, target, sizeof target));
        outcome("readlink-0", path, "", readlink(path, target, 0));
        outcome("readlink-1", path, "", readlink(path, target, 1));
        outcome("read", path, "", read_it(path));
        outcome("list", path, "", list_it(path));
        outcome("chdir", path, "", chdir(path));
        outcome("truncate-3", path, "", truncate(path, 3));
        outcome("truncate-100", path, "", truncate(path, 100));
        outcome("truncate-minus", path, "", truncate(path, -1));
        outcome("chmod", path, "", chmod(path, 0600));
        outcome("chmod-7777", path, "", chmod(path, 07777));
        outcome("chmod-nofollow", path, "", fchmodat(AT_FDCWD, path, 0600, AT_SYMLINK_NOFOLLOW));
        outcome("chown-nobody", path, "", lchown(path, (uid_t)-1, (gid_t)-1));
        outcome("utimens", path, "", utimensat(AT_FDCWD, path, times, 0));
        outcome("utimens-nofollow", path, "", utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
        outcome("utimens-omit", path, "", utimensat(AT_FDCWD, path, omitted, 0));
        outcome("utimens-invalid", path, "", utimensat(AT_FDCWD, path, invalid, 0));
        outcome("unlink", path, "", unlink(path));
        outcome("rmdir", path, "", rmdir(path));
        outcome("mkdir", path, "", mkdir(path, 0750));
        outcome("mkdir-7777", path, "", mkdir(path, 07777));
        outcome("mkfifo", path, "", mkfifo(path, 0640));
        outcome("mknod-regular", path, "", mknod(path, S_IFREG | 0640, 0));
        outcome("mknod-none", path, "", mknod(path, 0640, 0));
        outcome("mknod-socket", path, "", mknod(path, S_IFSOCK | 0640, 0));
        outcome("mknod-directory", path, "", mknod(path, S_IFDIR | 0640, 0));
        outcome("mknod-symlink", path, "", mknod(path, S_IFLNK | 0640, 0));
        outcome("symlink", "f", path, symlink("f", path));
        outcome("symlink-empty", "", path, symlink("", path));
        outcome("symlink-4095", "", path, symlink(deep_4095, path));
        outcome("symlink-4096", "", path, symlink(deep_4096, path));
        outcome("getxattr", path, "", getxattr(path, "user.none", target, sizeof target));
    }
}

/* ---- two paths ---- */

static void pair_cases(void)
{
    for (int i = 0; i < PATHS; i++) {
        for (int j = 0; j < PATHS; j++) {
            const char *a = paths[i], *b = paths[j];
            outcome("rename", a, b, rename(a, b));
            outcome("noreplace", a, b, renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE));
            outcome("exchange", a, b, renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE));
            outcome("rename-both", a, b, renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE | RENAME_NOREPLACE));
            outcome("link", a, b, link(a, b));
            outcome("link-follow", a, b, linkat(AT_FDCWD, a, AT_FDCWD, b, AT_SYMLINK_FOLLOW));
        }
    }
}

/* ---- times ---- */

struct seen {
    const char *path;
    bool there;
    struct stat st;
};

static void look(struct seen *seen)
{
    seen->there = lstat(seen->path, &seen->st) == 0;
}

static bool differ(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

/* What `now` was before, under whichever name. */
static const struct seen *same_file(const struct seen *before, size_t count, const struct seen *now)
{
    for (size_t i = 0; i < count; i++) {
        bool same = before[i].there && before[i].st.st_ino == now->st.st_ino;
        if (same) return &before[i];
    }
    return NULL;
}

static int file_fd; /* of "f", open for the cases below */

static long do_write(void)
{
    return pwrite(file_fd, "J", 1, 0);
}
static long do_write_none(void)
{
    return pwrite(file_fd, "J", 0, 0);
}
static long do_append(void)
{
    return pwrite(file_fd, "J", 1, 5);
}
static long do_ftruncate_same(void)
{
    return ftruncate(file_fd, 5);
}
static long do_ftruncate_less(void)
{
    return ftruncate(file_fd, 3);
}
static long do_ftruncate_more(void)
{
    return ftruncate(file_fd, 9);
}
static long do_truncate_same(void)
{
    return truncate("f", 5);
}
static long do_truncate_less(void)
{
    return truncate("f", 3);
}
static long do_open_trunc(void)
{
    return open_it("f", O_WRONLY | O_TRUNC);
}
static long do_open_creat_old(void)
{
    return open_it("f", O_WRONLY | O_CREAT);
}
static long do_open_trunc_empty(void)
{
    return truncate("f", 0) + open_it("f", O_WRONLY | O_TRUNC);
}
static long do_create(void)
{
    return open_it("new", O_WRONLY | O_CREAT);
}
static long do_create_below(void)
{
    return open_it("d/new", O_WRONLY | O_CREAT);
}
static long do_allocate(void)
{
    return fallocate(file_fd, 0, 0, 20);
}
static long do_allocate_keep(void)
{
    return fallocate(file_fd, FALLOC_FL_KEEP_SIZE, 0, 20);
}
static long do_allocate_within(void)
{
    return fallocate(file_fd, 0, 0, 3);
}
static long do_chmod(void)
{
    return chmod("f", 0600);
}
static long do_chmod_same(void)
{
    return chmod("f", 0644);
}
static long do_chmod_dir(void)
{
    return chmod("d", 0700);
}
static long do_chown(void)
{
    return chown("f", getuid(), getgid());
}
static long do_chown_none(void)
{
    return chown("f", (uid_t)-1, (gid_t)-1);
}
static long do_chown_setuid(void)
{
    return chmod("exe", 06755) + chown("exe", getuid(), getgid());
}
static long do_utime(void)
{
    return utimensat(AT_FDCWD, "f", NULL, 0);
}
static long do_utime_dir(void)
{
    return utimensat(AT_FDCWD, "d", NULL, 0);
}
static long do_rename(void)
{
    return rename("f", "g");
}
static long do_rename_over(void)
{
    return rename("f", "exe");
}
static long do_rename_across(void)
{
    return rename("f", "d/f");
}
static long do_rename_dir(void)
{
    return rename("d", "full/d");
}
static long do_rename_dir_here(void)
{
    return rename("d", "e");
}
static long do_rename_self(void)
{
    return rename("f", "f");
}
static long do_exchange(void)
{
    return renameat2(AT_FDCWD, "f", AT_FDCWD, "exe", RENAME_EXCHANGE);
}
static long do_exchange_across(void)
{
    return renameat2(AT_FDCWD, "f", AT_FDCWD, "full/x", RENAME_EXCHANGE);
}
static long do_link(void)
{
    return link("f", "g");
}
static long do_link_across(void)
{
    return link("f", "d/g");
}
static long do_unlink(void)
{
    return unlink("f");
}
static long do_unlink_below(void)
{
    return unlink("full/x");
}
static long do_mkdir(void)
{
    return mkdir("d/new", 0755);
}
static long do_rmdir(void)
{
    return rmdir("full/sub");
}
static long do_symlink(void)
{
    return symlink("x", "d/new");
}
static long do_mkfifo(void)
{
    return mkfifo("d/new", 0644);
}
static long do_fsync(void)
{
    return fsync(file_fd);
}
static long do_failed_unlink(void)
{
    return unlink("absent") != 0 ? 0 : -1;
}
static long do_failed_mkdir(void)
{
    return mkdir("d", 0755) != 0 ? 0 : -1;
}
static long do_map(void)
{
    char *map = mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, file_fd, 0);
    if (map == MAP_FAILED) return -1;
    map[0] = 'M';
    long result = msync(map, 5, MS_SYNC);
    munmap(map, 5);
    return result;
}

enum { BEFORE = 15 };

static void time_case(const char *name, long (*act)(void))
{
    static const struct timespec a_while = {.tv_nsec = 15000000};
    struct seen before[BEFORE] = {{.path = "."},        {.path = "f"},   {.path = "g"},     {.path = "d"},
                                  {.path = "d/f"},      {.path = "exe"}, {.path = "full"},  {.path = "full/x"},
                                  {.path = "lf"},       {.path = "e"},   {.path = "new"},   {.path = "d/new"},
                                  {.path = "full/sub"}, {.path = "d/g"}, {.path = "full/d"}};
    set_stage();
    file_fd = open("f", O_RDWR);
    for (size_t i = 0; i < BEFORE; i++) look(&before[i]);
    nanosleep(&a_while, NULL); /* longer than the clock of ext4 ticks */
    long result = act();
    printf("times %s: %s;", name, result < 0 ? strerrorname_np(errno) : "done");
    for (size_t i = 0; i < BEFORE; i++) {
        struct seen now = {.path = before[i].path};
        look(&now);
        if (now.there != before[i].there) printf(" %s %s", now.path, now.there ? "came" : "went");
        if (now.there && !S_ISDIR(now.st.st_mode)) printf(" %s:%lld", now.path, (long long)now.st.st_size);
        if (now.there) printf(" %o", now.st.st_mode);
        const struct seen *was = now.there ? same_file(before, BEFORE, &now) : NULL;
        if (was == NULL) continue;
        if (was->path != now.path) printf(" %s:was %s", now.path, was->path);
        if (differ(now.st.st_mtim, was->st.st_mtim)) printf(" %s:mtime", now.path);
        if (differ(now.st.st_ctim, was->st.st_ctim)) printf(" %s:ctime", now.path);
        if (differ(now.st.st_atim, was->st.st_atim)) printf(" %s:atime", now.path);
    }
    printf("\n");
    close(file_fd);
}

static void time_cases(void)
{
#define CASE(name) time_case(#name, do_##name)
    CASE(write), CASE(write_none), CASE(append), CASE(ftruncate_same), CASE(ftruncate_less), CASE(ftruncate_more);
    CASE(truncate_same), CASE(truncate_less), CASE(open_trunc), CASE(open_creat_old), CASE(open_trunc_empty);
    CASE(create), CASE(create_below), CASE(allocate), CASE(allocate_keep), CASE(allocate_within), CASE(chmod);
    CASE(chmod_same), CASE(chmod_dir), CASE(chown), CASE(chown_none), CASE(chown_setuid), CASE(utime), CASE(utime_dir);
    CASE(rename), CASE(rename_over), CASE(rename_across), CASE(rename_dir), CASE(rename_dir_here), CASE(rename_self);
    CASE(exchange), CASE(exchange_across), CASE(link), CASE(link_across), CASE(unlink), CASE(unlink_below);
    CASE(mkdir), CASE(rmdir), CASE(symlink), CASE(mkfifo), CASE(fsync), CASE(failed_unlink), CASE(failed_mkdir);
    CASE(map);
#undef CASE
}

int main(int argc, char **argv)
{
    if (argc != 2 || (top = open(argv[1], O_RDONLY | O_DIRECTORY)) < 0) {
        fprintf(stderr, "usage: tool_conform DIRECTORY\n");
        return 2;
    }
    umask(022);
    memset(long_255, 'n', 255);
    memset(long_256, 'n', 256);
    for (size_t i = 0; i < PATH_MAX; i++) deep_4096[i] = i % 2 == 0 ? '.' : '/';
    memcpy(deep_4095, deep_4096, PATH_MAX - 1);
    set_stage();
    open_cases();
    path_cases();
    pair_cases();
    time_cases();
    descriptor_cases();
    user_cases();
    return 0;
}
