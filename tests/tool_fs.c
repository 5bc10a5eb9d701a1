/* tool_fs.c - file operations that no shell command offers, for the tests against a real mount.
 *
 * tool_fs OPERATION FILE [ARGUMENT...]: exit status 0 when the operation, and what it promises to have checked, went
 * well; else a line on stderr and 1. It knows nothing of the mount: each operation holds on any POSIX filesystem.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

static int wrong(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return 1;
}

/* Moves FROM to TO with a flag of renameat2(2). */
static int rename_with(const char *from, const char *to, unsigned flags)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) == 0 ? 0 : failed("renameat2");
}

static int create_exclusive(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (fd < 0) return failed("open with O_EXCL");
    return close(fd) == 0 ? 0 : failed("close");
}

/* Appends COUNT lines "TAG NUMBER", a write(2) each. */
static int append(const char *path, const char *tag, long count)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0) return failed("open with O_APPEND");
    for (long i = 0; i < count; i++) {
        char line[256];
        int size = snprintf(line, sizeof line, "%s %ld\n", tag, i);
        if (write(fd, line, (size_t)size) != size) return failed("write");
    }
    return close(fd) == 0 ? 0 : failed("close");
}

/* What an open descriptor of a file without a name still does. `other`: NULL to unlink it, else what replaces it. */
static int use_without_name(const char *path, const char *other)
{
    struct stat st;
    char buffer[64];
    int fd = open(path, O_RDWR | O_CREAT, 0644);

    if (fd < 0) return failed("open");
    if (pwrite(fd, "before", 6, 0) != 6) return failed("write before");
    if (other != NULL ? rename(other, path) != 0 : unlink(path) != 0) return failed("unlink or rename");
    if (pread(fd, buffer, sizeof buffer, 0) != 6 || memcmp(buffer, "before", 6) != 0)
        return wrong("old bytes are gone");
    if (pwrite(fd, " and after", 10, 6) != 10) return failed("write after");
    if (pread(fd, buffer, sizeof buffer, 0) != 16 || memcmp(buffer, "before and after", 16) != 0)
        return wrong("new bytes are gone");
    if (ftruncate(fd, 3) != 0) return failed("ftruncate");
    if (fchmod(fd, 0600) != 0) return failed("fchmod");
    if (fsync(fd) != 0) return failed("fsync");
    if (fstat(fd, &st) != 0) return failed("fstat");
    if (st.st_size != 3) return wrong("size is not what ftruncate made it");
    if (st.st_nlink != 0) return wrong("st_nlink of a file without a name is not 0");
    if ((st.st_mode & 07777) != 0600) return wrong("mode is not what fchmod made it");
    if (pread(fd, buffer, sizeof buffer, 0) != 3 || memcmp(buffer, "bef", 3) != 0) return wrong("cut bytes are wrong");
    if (other == NULL && access(path, F_OK) == 0) return wrong("the unlinked name is still there");
    return close(fd) == 0 ? 0 : failed("close");
}

/* Prints the file as mmap shows it. */
static int mmap_read(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0) return failed("open");
    char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return failed("mmap");
    if (fwrite(map, 1, (size_t)st.st_size, stdout) != (size_t)st.st_size || fflush(stdout) != 0)
        return failed("stdout");
    return munmap(map, (size_t)st.st_size) == 0 ? 0 : failed("munmap");
}

/* Writes TEXT at OFFSET through a shared mapping. `hold`: keeps it, unsynced, until killed; prints "ready" before. */
static int mmap_write(const char *path, off_t offset, const char *text, bool hold)
{
    struct stat st;
    size_t size = strlen(text);
    int fd = open(path, O_RDWR);
    if (fd < 0 || fstat(fd, &st) != 0) return failed("open");
    if (offset < 0 || st.st_size < offset + (off_t)size) return wrong("the file is too short");
    char *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return failed("mmap");
    memcpy(map + offset, text, size);
    if (hold) {
        puts("ready");
        fflush(stdout);
        for (;;) pause();
    }
    if (munmap(map, (size_t)st.st_size) != 0) return failed("munmap");
    return close(fd) == 0 ? 0 : failed("close");
}

/* Prints where data, or a hole, begins behind an offset. */
static int seek_to(const char *path, off_t offset, int whence)
{
    int fd = open(path, O_RDONLY);
    off_t found = fd < 0 ? -1 : lseek(fd, offset, whence);

    if (found < 0) return failed("lseek");
    printf("%lld\n", (long long)found);
    return close(fd) == 0 ? 0 : failed("close");
}

/* Writes past the end: the gap reads as zeros, and lseek finds the data and the end. */
static int write_past_end(const char *path)
{
    char buffer[4096];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return failed("open");
    if (pwrite(fd, "end", 3, 200000) != 3) return failed("pwrite");
    for (off_t at = 0; at < 200000; at += (off_t)sizeof buffer) {
        ssize_t got = pread(fd, buffer, sizeof buffer, at);
        if (got <= 0) return failed("pread");
        for (ssize_t i = 0; i < got && at + i < 200000; i++)
            if (buffer[i] != 0) return wrong("a gap does not read as zeros");
    }
    if (lseek(fd, 0, SEEK_HOLE) > 200003 || lseek(fd, 0, SEEK_HOLE) < 0) return wrong("SEEK_HOLE beyond the end");
    if (lseek(fd, 200000, SEEK_DATA) != 200000) return wrong("SEEK_DATA does not find the data");
    errno = 0;
    if (lseek(fd, 200003, SEEK_DATA) != -1 || errno != ENXIO) return wrong("SEEK_DATA at the end is not ENXIO");
    return close(fd) == 0 ? 0 : failed("close");
}

/* A socket's name: made by bind(2), gone by unlink(2). */
static int bind_socket(const char *path)
{
    struct stat st;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return failed("socket");
    if (strlen(path) >= sizeof address.sun_path) return wrong("path too long");
    memcpy(address.sun_path, path, strlen(path));
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) return failed("bind");
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) return wrong("no socket is there");
    return unlink(path) == 0 ? 0 : failed("unlink");
}

/* Writes zeros until the disk is full. Succeeds only when it is write(2) that says so, with ENOSPC; prints the bytes
 * written. */
static int write_until_full(const char *path, size_t block)
{
    long long total = 0;
    char *zeros = malloc(block);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (zeros == NULL || fd < 0) return failed("open");
    memset(zeros, 'z', block);
    for (;;) {
        ssize_t put = write(fd, zeros, block);
        if (put < 0 && errno == ENOSPC) break;
        if (put <= 0) return failed("write");
        total += put;
        if (total > 1LL << 30) return wrong("a small disk never filled up");
    }
    free(zeros);
    printf("%lld\n", total);
    return close(fd) == 0 ? 0 : failed("close");
}

/* Prints an extended attribute, asked for as getxattr(2) allows: its size, a byte too little, exactly that much. */
static int read_xattr(const char *path, const char *name)
{
    char value[4096];
    ssize_t size = getxattr(path, name, NULL, 0);
    if (size < 0) return failed("getxattr");
    if (size == 0 || (size_t)size > sizeof value) return wrong("getxattr: the attribute is empty or too long");
    /* Room for none would ask for the size again. */
    if (size > 1 && (getxattr(path, name, value, (size_t)size - 1) >= 0 || errno != ERANGE)) {
        return wrong("getxattr with too little room: not ERANGE");
    }
    if (getxattr(path, name, value, (size_t)size) != size) return failed("getxattr with just enough room");
    printf("%.*s\n", (int)size, value);
    return 0;
}

/* What setxattr(2) and its kin promise of an attribute that file has not yet, and of a list too long for its buffer. */
static int call_xattrs(int file)
{
    const char *name = "user.tool_fs";
    char value[8], list[4096];
    if (fsetxattr(file, name, "1", 1, XATTR_REPLACE) == 0 || errno != ENODATA)
        return wrong("REPLACE of none: no ENODATA");
    if (fsetxattr(file, name, "12", 2, XATTR_CREATE) != 0) return failed("CREATE");
    if (fsetxattr(file, name, "123", 3, XATTR_CREATE) == 0 || errno != EEXIST) return wrong("CREATE again: no EEXIST");
    if (fgetxattr(file, name, NULL, 0) != 2) return wrong("a refused CREATE changed the value");
    if (fsetxattr(file, name, "1234", 4, XATTR_REPLACE) != 0) return failed("REPLACE");
    if (fgetxattr(file, name, value, 3) >= 0 || errno != ERANGE) return wrong("too little room: no ERANGE");
    if (fgetxattr(file, name, value, sizeof value) != 4 || memcmp(value, "1234", 4) != 0) return wrong("another value");
    ssize_t size = flistxattr(file, NULL, 0);
    if (size <= 0 || (size_t)size > sizeof list) return failed("flistxattr");
    if (flistxattr(file, list, (size_t)size - 1) >= 0 || errno != ERANGE) return wrong("a short list: no ERANGE");
    if (flistxattr(file, list, (size_t)size) != size) return failed("flistxattr with just enough room");
    if (fsetxattr(file, name, NULL, 0, 0) != 0) return failed("an empty value");
    if (fgetxattr(file, name, value, sizeof value) != 0) return wrong("the empty value is not empty");
    if (fremovexattr(file, name) != 0) return failed("fremovexattr");
    if (fremovexattr(file, name) == 0 || errno != ENODATA) return wrong("removing none: no ENODATA");
    return 0;
}

/* The same through a descriptor, of a file that has a name, or, where `unlinked`, had one. */
static int call_xattrs_of(const char *path, bool unlinked)
{
    char before[256], after[256];
    int file = open(path, O_RDONLY);
    if (file < 0) return failed("open");
    ssize_t size = fgetxattr(file, "user.before", before, sizeof before);
    if (unlinked && (size < 0 || unlink(path) != 0)) return failed("unlink");
    int result = call_xattrs(file);
    if (unlinked &&
        (fgetxattr(file, "user.before", after, sizeof after) != size || memcmp(before, after, (size_t)size) != 0)) {
        return wrong("unlink took or changed an attribute");
    }
    close(file);
    return result;
}

/* Sets NAME to SIZE bytes. */
static int set_xattr_size(const char *path, const char *name, size_t size)
{
    char *value = malloc(size > 0 ? size : 1);
    if (value == NULL) return failed("malloc");
    memset(value, 'v', size);
    int result = setxattr(path, name, value, size, 0) == 0 ? 0 : failed("setxattr");
    free(value);
    return result;
}

static long number(const char *text)
{
    return strtol(text, NULL, 10);
}

int main(int argc, char **argv)
{
    const char *operation = argc > 1 ? argv[1] : "";
    if (argc == 4 && strcmp(operation, "rename") == 0) return rename_with(argv[2], argv[3], 0);
    if (argc == 4 && strcmp(operation, "noreplace") == 0) return rename_with(argv[2], argv[3], RENAME_NOREPLACE);
    if (argc == 4 && strcmp(operation, "exchange") == 0) return rename_with(argv[2], argv[3], RENAME_EXCHANGE);
    if (argc == 3 && strcmp(operation, "exclusive") == 0) return create_exclusive(argv[2]);
    if (argc == 5 && strcmp(operation, "append") == 0) return append(argv[2], argv[3], number(argv[4]));
    if (argc == 3 && strcmp(operation, "unlinked") == 0) return use_without_name(argv[2], NULL);
    if (argc == 4 && strcmp(operation, "replaced") == 0) return use_without_name(argv[2], argv[3]);
    if (argc == 3 && strcmp(operation, "mmap-read") == 0) return mmap_read(argv[2]);
    if (argc == 5 && strcmp(operation, "mmap-write") == 0) return mmap_write(argv[2], number(argv[3]), argv[4], false);
    if (argc == 5 && strcmp(operation, "mmap-hold") == 0) return mmap_write(argv[2], number(argv[3]), argv[4], true);
    if (argc == 4 && strcmp(operation, "seek-data") == 0) return seek_to(argv[2], number(argv[3]), SEEK_DATA);
    if (argc == 4 && strcmp(operation, "seek-hole") == 0) return seek_to(argv[2], number(argv[3]), SEEK_HOLE);
    if (argc == 3 && strcmp(operation, "past-end") == 0) return write_past_end(argv[2]);
    if (argc == 3 && strcmp(operation, "socket") == 0) return bind_socket(argv[2]);
    if (argc == 4 && strcmp(operation, "xattr") == 0) return read_xattr(argv[2], argv[3]);
    if (argc == 3 && strcmp(operation, "xattr-calls") == 0) return call_xattrs_of(argv[2], false);
    if (argc == 3 && strcmp(operation, "xattr-unlinked") == 0) return call_xattrs_of(argv[2], true);
    if (argc == 5 && strcmp(operation, "xattr-size") == 0) {
        return set_xattr_size(argv[2], argv[3], (size_t)number(argv[4]));
    }
    if (argc == 4 && strcmp(operation, "fill") == 0) return write_until_full(argv[2], (size_t)number(argv[3]));
    return wrong("usage: tool_fs OPERATION FILE [ARGUMENT...]");
}
