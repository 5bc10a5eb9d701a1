/* tool_links.c DIRECTORY [most] - hard links as link(2), rename(2), unlink(2) and stat(2) describe them, call by call.
 *
 * Makes its names in DIRECTORY, which is empty, and leaves two there: left/one and left/two, of one file. Exit status
 * 0, or 1 with the first thing that is otherwise. Run on a local filesystem too, to see that it asks for nothing odd.
 * With `most` it only makes links of one file there, until link(2) says EMLINK, and prints how many names it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define LARGE 300000

static void must(bool holds, const char *what, int line)
{
    if (holds) return;
    fprintf(stderr, "line %d: %s (errno: %s)\n", line, what, strerror(errno));
    exit(1);
}

#define MUST(holds) must(holds, #holds, __LINE__)
#define FAILS(call, error) (errno = 0, (call) == -1 && errno == (error))

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static bool holds(const char *path, const char *text)
{
    char bytes[256];
    int fd = open(path, O_RDONLY);
    ssize_t size = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;

    if (fd >= 0) close(fd);
    return size == (ssize_t)strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static struct stat look(const char *path)
{
    struct stat st;

    MUST(lstat(path, &st) == 0);
    return st;
}

static long links(const char *path)
{
    return (long)look(path).st_nlink;
}

static bool same(const char *a, const char *b)
{
    struct stat x = look(a), y = look(b);

    return x.st_ino == y.st_ino && x.st_nlink == y.st_nlink && x.st_size == y.st_size && x.st_mode == y.st_mode &&
           x.st_mtim.tv_nsec == y.st_mtim.tv_nsec && x.st_ctim.tv_nsec == y.st_ctim.tv_nsec;
}

static bool is_gone(const char *path)
{
    struct stat st;

    return FAILS(lstat(path, &st), ENOENT);
}

static bool later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Long enough for a clock that ticks every 10 ms, and for a commit. */
static void wait_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

static void making(void)
{
    struct stat before;

    put("a", "one");
    MUST(link("a", "b") == 0 && links("a") == 2 && same("a", "b"));
    MUST(link("b", "d/c") == 0 && links("a") == 3 && same("a", "d/c"));
    MUST(FAILS(link("a", "b"), EEXIST) && FAILS(link("a", "a"), EEXIST) && FAILS(link("a", "d"), EEXIST));
    MUST(FAILS(link("d", "e"), EPERM) && FAILS(link("none", "e"), ENOENT) && FAILS(link("a", "none/e"), ENOENT));
    MUST(FAILS(link("a", "b/e"), ENOTDIR));
    before = look("a");
    wait_ms(250);
    MUST(link("d/c", "d/d") == 0 && links("b") == 4);
    MUST(later(look("a").st_ctim, before.st_ctim) && !later(look("a").st_mtim, before.st_mtim));
    before = look("a");
    wait_ms(20);
    MUST(unlink("d/d") == 0 && links("b") == 3 && is_gone("d/d"));
    MUST(later(look("a").st_ctim, before.st_ctim));
}

/* Content and attributes are those of all names. */
static void sharing(void)
{
    struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000001, .tv_nsec = 5}};
    char value[8];
    char *bytes;
    int fd;

    put("b", "changed");
    MUST(holds("a", "changed") && holds("d/c", "changed"));
    wait_ms(250);
    put("d/c", "and again");
    MUST(holds("a", "and again") && same("a", "b"));
    MUST(truncate("a", 3) == 0 && holds("b", "and") && look("d/c").st_size == 3);
    MUST(chmod("b", 0600) == 0 && (look("d/c").st_mode & 07777) == 0600);
    MUST(utimensat(AT_FDCWD, "d/c", times, 0) == 0 && look("a").st_mtim.tv_sec == 1000000001 &&
         look("b").st_mtim.tv_nsec == 5);
    if (setxattr("a", "user.color", "red", 3, 0) == 0)
        MUST(getxattr("b", "user.color", value, sizeof value) == 3 && removexattr("d/c", "user.color") == 0 &&
             FAILS(getxattr("a", "user.color", value, sizeof value), ENODATA));
    else
        MUST(errno == EOPNOTSUPP);
    fd = open("a", O_RDWR);
    bytes = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(fd >= 0 && bytes != MAP_FAILED);
    put("d/x", "no"); /* another file */
    bytes[0] = 'A';
    MUST(msync(bytes, 3, MS_SYNC) == 0 && holds("b", "And"));
    MUST(pwrite(fd, "X", 1, 2) == 1 && bytes[2] == 'X' && holds("d/c", "AnX"));
    MUST(munmap(bytes, 3) == 0 && close(fd) == 0 && unlink("d/x") == 0);
}

static void renaming(void)
{
    struct stat st;

    MUST(rename("a", "b") == 0 && links("a") == 3 && same("a", "b")); /* nothing happens */
    MUST(rename("a", "d/c") == 0 && links("a") == 3);
    MUST(FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST));
    MUST(rename("b", "b2") == 0 && is_gone("b") && same("a", "b2") && links("a") == 3);
    MUST(rename("b2", "d/b3") == 0 && is_gone("b2") && same("a", "d/b3") && links("a") == 3);
    MUST(rename("d/b3", "b") == 0 && is_gone("d/b3") && same("a", "b") && links("d/c") == 3);
    put("other", "other");
    MUST(rename("other", "b") == 0 && holds("b", "other") && links("b") == 1 && links("a") == 2);
    MUST(holds("a", "AnX") && holds("d/c", "AnX"));
    put("other", "third");
    MUST(rename("other", "d/c") == 0 && links("a") == 1 && holds("d/c", "third"));
    MUST(link("a", "l1") == 0 && link("b", "l2") == 0);
    if (renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0) {
        MUST(holds("a", "other") && holds("b", "AnX") && same("a", "l2") && same("b", "l1") && links("a") == 2);
        MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/c", RENAME_EXCHANGE) == 0);
        MUST(holds("d/c", "other") && same("d/c", "l2") && holds("a", "third") && links("a") == 1 && links("l2") == 2);
        MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/c", RENAME_EXCHANGE) == 0 && same("a", "l2"));
        MUST(renameat2(AT_FDCWD, "l1", AT_FDCWD, "d", RENAME_EXCHANGE) == 0 && same("d", "b") && links("b") == 2);
        MUST(renameat2(AT_FDCWD, "l1", AT_FDCWD, "d", RENAME_EXCHANGE) == 0);
        MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0 && same("a", "l1") && same("b", "l2"));
        MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "l1", RENAME_EXCHANGE) == 0 && same("a", "l1") && links("a") == 2);
    }
    /* A name over one of another file with several, and the last one of its own. */
    MUST(rename("l1", "l2") == 0 && same("l2", "a") && links("a") == 2 && links("b") == 1);
    MUST(rename("b", "l2") == 0 && links("a") == 1 && holds("l2", "other"));
    MUST(rename("l2", "a") == 0 && holds("a", "other") && links("a") == 1 && stat("l2", &st) == -1);
}

static void open_files(void)
{
    struct stat st;
    char bytes[8];
    int fd;

    put("a", "open");
    MUST(link("a", "d/a2") == 0);
    fd = open("a", O_RDWR);
    MUST(fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 2);
    MUST(unlink("a") == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1);
    MUST(pwrite(fd, "O", 1, 0) == 1 && holds("d/a2", "Open")); /* it still has a name */
    wait_ms(250);
    MUST(pwrite(fd, "!", 1, 4) == 1 && holds("d/a2", "Open!") && fsync(fd) == 0);
    MUST(rename("d/a2", "a3") == 0 && link("a3", "d/a4") == 0 && fstat(fd, &st) == 0 && st.st_nlink == 2);
    MUST(unlink("a3") == 0 && unlink("d/a4") == 0 && fstat(fd, &st) == 0 && st.st_nlink == 0);
    MUST(pread(fd, bytes, 8, 0) == 5 && memcmp(bytes, "Open!", 5) == 0);
    MUST(pwrite(fd, "no name", 7, 0) == 7 && ftruncate(fd, 2) == 0 && fsync(fd) == 0);
    MUST(pread(fd, bytes, 8, 0) == 2 && memcmp(bytes, "no", 2) == 0);
    MUST(FAILS(linkat(fd, "", AT_FDCWD, "back", AT_EMPTY_PATH), ENOENT));
    MUST(close(fd) == 0 && is_gone("a3") && is_gone("d/a4"));
}

/* Of all kinds, and as they come: not committed, changed since, large, on the move. */
static void kinds(void)
{
    static char large[LARGE];
    int fd;

    MUST(symlink("target", "s") == 0 && link("s", "d/s2") == 0 && same("s", "d/s2") && links("s") == 2);
    MUST(unlink("s") == 0 && readlink("d/s2", large, 10) == 6 && unlink("d/s2") == 0);
    MUST(mkfifo("f", 0644) == 0 && link("f", "f2") == 0 && S_ISFIFO(look("f2").st_mode) && links("f") == 2);
    MUST(unlink("f2") == 0 && links("f") == 1 && unlink("f") == 0);
    if (mknod("n", S_IFCHR | 0644, 0x103) == 0) {
        MUST(link("n", "d/n2") == 0 && look("d/n2").st_rdev == 0x103 && links("n") == 2 && unlink("n") == 0);
        wait_ms(250);
        MUST(look("d/n2").st_rdev == 0x103 && links("d/n2") == 1 && unlink("d/n2") == 0);
    }
    fd = open("large", O_RDWR | O_CREAT, 0644);
    MUST(fd >= 0 && write(fd, large, LARGE) == LARGE && link("large", "d/large2") == 0);
    MUST(pwrite(fd, "x", 1, LARGE) == 1 && look("d/large2").st_size == LARGE + 1 && links("large") == 2);
    MUST(unlink("large") == 0 && links("d/large2") == 1 && link("d/large2", "large") == 0);
    MUST(truncate("large", 10) == 0 && look("d/large2").st_size == 10 && close(fd) == 0);
    MUST(rename("large", "d/large3") == 0 && link("d/large3", "large") == 0 && links("large") == 3);
    MUST(unlink("large") == 0 && unlink("d/large2") == 0 && unlink("d/large3") == 0);
    put("m", "moved");
    wait_ms(250);
    MUST(rename("m", "d/m") == 0 && link("d/m", "m") == 0 && holds("m", "moved") && links("m") == 2);
    put("d/m", "written");
    MUST(link("m", "d/m3") == 0 && holds("d/m3", "written") && links("m") == 3);
    MUST(unlink("m") == 0 && unlink("d/m") == 0 && holds("d/m3", "written") && unlink("d/m3") == 0);
    /* The name of a linked file, used again at once. */
    put("m", "first");
    MUST(link("m", "d/m") == 0 && unlink("m") == 0);
    put("m", "second");
    MUST(holds("d/m", "first") && holds("m", "second") && unlink("d/m") == 0 && unlink("m") == 0);
}

/* Directories that hold such names, gone or there. */
static void directories(void)
{
    put("a", "a");
    MUST(mkdir("e", 0755) == 0 && link("a", "e/a") == 0 && FAILS(rmdir("e"), ENOTEMPTY));
    MUST(rename("e", "d/e") == 0 && same("d/e/a", "a") && unlink("d/e/a") == 0 && links("a") == 1);
    MUST(rmdir("d/e") == 0 && FAILS(link("a", "d/e/a"), ENOENT));
    MUST(unlink("a") == 0 && (unlink("l1") == 0 || errno == ENOENT) && unlink("d/c") == 0);
    MUST(rmdir("d") == 0);
}

static void make_most(void)
{
    char name[32];

    put("most", "");
    for (long i = 1;; i++) {
        snprintf(name, sizeof name, "most.%ld", i);
        if (link("most", name) == 0) continue;
        MUST(errno == EMLINK && links("most") == i && unlink("most.1") == 0 && link("most", name) == 0);
        printf("%ld\n", i);
        return;
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: tool_links DIRECTORY [most]\n");
        return 2;
    }
    if (argc > 2) {
        make_most();
        return 0;
    }
    MUST(mkdir("d", 0755) == 0);
    making();
    sharing();
    renaming();
    open_files();
    kinds();
    directories();
    MUST(mkdir("left", 0755) == 0);
    put("left/one", "left");
    MUST(link("left/one", "left/two") == 0);
    return 0;
}
