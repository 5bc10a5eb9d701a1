/* tool_files.c - uses of files that databases and servers rely on: locks, mappings, direct and synchronous writes,
 * holes, very many open files, odd names and deep paths.
 *
 * tool_files OPERATION PATH [NUMBER]: exit status 0 when everything was as on any POSIX filesystem; else a line on
 * stderr and 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Ends the program, which may be a child, unless fine. */
static void need(bool fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "%s (%s)\n", what, strerror(errno));
    _exit(1);
}

static int open_file(const char *path, int flags)
{
    int fd = open(path, flags, 0644);
    need(fd >= 0, path);
    return fd;
}

/* ---- locks ---- */

static int set_lock(int fd, int command, short type, off_t start, off_t size)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
    return fcntl(fd, command, &lock);
}

static void wait_for(pid_t child)
{
    int status = 0;
    need(waitpid(child, &status, 0) == child && status == 0, "the other process failed");
}

/* The other process finds what is locked, waits for it, and gets it once it is unlocked. */
static void lock_other(const char *path, int ready, volatile int *unlocked)
{
    int fd = open_file(path, O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
    need(flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK, "flock: locked twice");
    need(flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK, "flock: shared beside exclusive");
    need(set_lock(fd, F_SETLK, F_WRLCK, 15, 10) != 0 && (errno == EAGAIN || errno == EACCES), "fcntl: locked twice");
    need(set_lock(fd, F_SETLK, F_RDLCK, 19, 1) != 0, "fcntl: read lock inside a write lock");
    need(set_lock(fd, F_SETLK, F_WRLCK, 20, 10) == 0, "fcntl: a range beside it");
    need(set_lock(fd, F_SETLK, F_RDLCK, 50, 5) == 0, "fcntl: two read locks");
    need(set_lock(fd, F_SETLK, F_WRLCK, 50, 5) != 0, "fcntl: write lock onto a read lock");
    need(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_start == 10 && lock.l_len == 10 &&
             lock.l_pid == getppid(),
         "fcntl: who has the lock");
    need(write(ready, "x", 1) == 1, "pipe");
    need(set_lock(fd, F_SETLKW, F_WRLCK, 10, 10) == 0 && *unlocked >= 1, "fcntl: waiting for a lock");
    need(flock(fd, LOCK_EX) == 0 && *unlocked >= 2, "flock: waiting for a lock");
    _exit(0);
}

static void locks(const char *path)
{
    static const struct timespec moment = {.tv_nsec = 100000000};
    int fd = open_file(path, O_RDWR | O_CREAT), again = open_file(path, O_RDWR), ends[2];
    volatile int *unlocked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char byte;
    need(pipe(ends) == 0 && unlocked != MAP_FAILED, "pipe");
    need(flock(fd, LOCK_EX) == 0, "flock");
    need(flock(again, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK, "flock: by another open file");
    need(set_lock(fd, F_SETLK, F_WRLCK, 10, 10) == 0 && set_lock(fd, F_SETLK, F_RDLCK, 50, 10) == 0, "fcntl");
    need(set_lock(again, F_OFD_SETLK, F_WRLCK, 12, 2) != 0, "fcntl: an open file's lock beside a process's");
    pid_t child = fork();
    if (child == 0) {
        /* An open file's lock goes when nobody has it open any more. */
        close(fd);
        close(again);
        lock_other(path, ends[1], unlocked);
    }
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 1) wait_for(child);
    nanosleep(&moment, NULL);
    *unlocked = 1;
    need(set_lock(fd, F_SETLK, F_UNLCK, 10, 10) == 0, "fcntl: unlock");
    nanosleep(&moment, NULL);
    *unlocked = 2;
    need(close(fd) == 0, "close"); /* lets go of the flock */
    wait_for(child);
    need(flock(again, LOCK_EX | LOCK_NB) == 0, "flock: after all others ended");
    close(again);
}

/* ---- mappings ---- */

static void mappings(const char *path)
{
    enum { SIZE = 300000 };
    int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
    char *buffer = malloc(SIZE);
    memset(buffer, 'a', SIZE);
    need(write(fd, buffer, SIZE) == SIZE, "write");
    char *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    need(shared != MAP_FAILED && private != MAP_FAILED, "mmap");
    private[5] = 'P';
    need(shared[5] == 'a', "a private write shows in a shared mapping");
    shared[70000] = 'S';
    need(private[70000] == 'S', "a shared write does not show in a private mapping of a page not written to");
    need(pread(fd, buffer, 1, 70000) == 1 && buffer[0] == 'S', "read() does not see a shared mapping's write");
    need(pwrite(fd, "W", 1, 70001) == 1 && shared[70001] == 'W', "a shared mapping does not see write()");
    pid_t child = fork();
    if (child == 0) {
        shared[200000] = 'C';
        _exit(0);
    }
    wait_for(child);
    need(shared[200000] == 'C', "another process's write is not seen");
    need(msync(shared, SIZE, MS_SYNC) == 0, "msync");
    need(ftruncate(fd, 100) == 0 && ftruncate(fd, SIZE) == 0, "ftruncate");
    need(shared[99] == 'a' && shared[100] == 0 && shared[70000] == 0, "bytes came back after truncation");
    /* The mapping outlives its descriptor, and its name. */
    close(fd);
    need(unlink(path) == 0, "unlink");
    shared[150000] = 'U';
    need(msync(shared, SIZE, MS_SYNC) == 0 && shared[150000] == 'U', "a mapping of an unlinked file");
    munmap(shared, SIZE);
    munmap(private, SIZE);
    free(buffer);
}

/* ---- direct and synchronous ---- */

static void direct(const char *path)
{
    enum { SIZE = 3 * 1024 * 1024, PIECE = 8192 };
    int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT), buffered = open_file(path, O_RDWR);
    unsigned char *buffer = aligned_alloc(4096, SIZE), *got = aligned_alloc(4096, SIZE);
    need(buffer != NULL && got != NULL, "no memory");
    for (int i = 0; i < SIZE; i++) buffer[i] = (unsigned char)(i * 7 + i / 4096);
    need(pwrite(fd, buffer, SIZE, 0) == SIZE, "direct write");
    need(pread(buffered, got, SIZE, 0) == SIZE && memcmp(got, buffer, SIZE) == 0, "read() after a direct write");
    memset(buffer + 409600, 'x', PIECE);
    need(pwrite(buffered, buffer + 409600, PIECE, 409600) == PIECE, "write");
    memset(got, 0, SIZE);
    need(pread(fd, got, SIZE, 0) == SIZE && memcmp(got, buffer, SIZE) == 0, "direct read after write()");
    memset(buffer + 819200, 'y', PIECE);
    need(pwrite(fd, buffer + 819200, PIECE, 819200) == PIECE, "direct write inside");
    need(pread(buffered, got, SIZE, 0) == SIZE && memcmp(got, buffer, SIZE) == 0, "read() of cached pages");
    need(pread(fd, got, PIECE, SIZE - 4096) == 4096, "direct read across the end");
    need(pread(fd, got, PIECE, SIZE + 4096) == 0, "direct read past the end");
    close(fd);
    close(buffered);
    free(buffer);
    free(got);
}

/* Each of these must be on the disk when the call returns: the daemon is killed right after this program. */
static void synchronous(const char *path)
{
    static const int flags[] = {O_SYNC, O_DSYNC, O_SYNC | O_APPEND};
    char name[PATH_MAX];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%d", path, i);
        int fd = open_file(name, O_WRONLY | O_CREAT | flags[i]);
        need(write(fd, "one", 3) == 3 && write(fd, "two\n", 4) == 4, "synchronous write");
    }
    snprintf(name, sizeof name, "%s3", path);
    int fd = open_file(name, O_WRONLY | O_CREAT);
    need(write(fd, "onetwo\n", 7) == 7 && fdatasync(fd) == 0, "fdatasync");
    snprintf(name, sizeof name, "%s4", path);
    fd = open_file(name, O_RDWR | O_CREAT);
    need(ftruncate(fd, 7) == 0, "ftruncate");
    char *map = mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(map != MAP_FAILED, "mmap");
    memcpy(map, "onetwo\n", 7);
    need(msync(map, 7, MS_SYNC) == 0, "msync");
}

/* ---- holes ---- */

/* What SEEK_DATA and SEEK_HOLE leave out must read as zeros, and they must come to an end. */
static void holes(const char *path)
{
    enum { SIZE = 2000000 };
    int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
    char *bytes = malloc(SIZE);
    need(lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO && lseek(fd, 0, SEEK_HOLE) < 0, "seeking in an empty file");
    need(pwrite(fd, "data", 4, 600000) == 4 && pwrite(fd, "end", 3, SIZE - 3) == 3, "write");
    off_t at = 0, data = 0, seen = 0;
    while ((data = lseek(fd, at, SEEK_DATA)) >= 0) {
        need(data >= at, "data before where it was sought");
        need(pread(fd, bytes, (size_t)(data - at), at) == data - at, "read");
        for (off_t i = 0; i < data - at; i++) need(bytes[i] == 0, "data in a hole");
        at = lseek(fd, data, SEEK_HOLE);
        need(at > data && at <= SIZE, "no hole behind the data");
        seen += at - data;
    }
    need(errno == ENXIO && at == SIZE && seen >= 7, "the end");
    need(lseek(fd, SIZE - 1, SEEK_HOLE) == SIZE && lseek(fd, SIZE, SEEK_HOLE) < 0 && errno == ENXIO, "hole at the end");
    close(fd);
    free(bytes);
}

/* ---- whole ---- */

enum { DOCUMENT = 60000 };

/* Replaces path six hundred times, from beside it and from another directory, by exchange, and by writing in place.
 */
static void replace_whole(const char *path, const char *other)
{
    static char text[DOCUMENT];
    for (int i = 0; i < 600; i++) {
        char beside[PATH_MAX];
        snprintf(beside, sizeof beside, i % 2 == 0 ? "%s.new" : "%s", i % 2 == 0 ? path : other);
        memset(text, 'a' + i % 26, sizeof text);
        int fd = open_file(i % 7 == 6 ? path : beside, i % 7 == 6 ? O_WRONLY : O_WRONLY | O_CREAT | O_TRUNC);
        need(write(fd, text, sizeof text) == DOCUMENT, "write");
        need(i % 20 != 0 || fsync(fd) == 0, "fsync");
        need(close(fd) == 0, "close");
        if (i % 7 == 6) continue;
        need(renameat2(AT_FDCWD, beside, AT_FDCWD, path, i % 3 == 0 ? RENAME_EXCHANGE : 0) == 0, "rename");
        /* Not to be written to again: somebody may still read it. */
        need(i % 3 != 0 || unlink(beside) == 0, "unlink");
    }
    _exit(0);
}

/* While one process replaces a file, others that open and read it always find it, and find it whole. */
static void whole(const char *directory)
{
    char path[PATH_MAX], other[PATH_MAX];
    volatile int *ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *text = aligned_alloc(4096, DOCUMENT / 4096 * 4096 + 4096);
    pid_t readers[3];
    memset(text, 'A', DOCUMENT);
    snprintf(path, sizeof path, "%s/other", directory);
    need(text != NULL && ended != MAP_FAILED && mkdir(path, 0755) == 0, "mkdir");
    snprintf(path, sizeof path, "%s/document", directory);
    snprintf(other, sizeof other, "%s/other/document", directory);
    int fd = open_file(path, O_WRONLY | O_CREAT);
    need(write(fd, text, DOCUMENT) == DOCUMENT && close(fd) == 0, "write");
    for (int i = 0; i < 3; i++) {
        readers[i] = fork();
        while (readers[i] == 0 && *ended == 0) {
            /* Directly, so that one request brings all of it. */
            fd = open_file(path, O_RDONLY | O_DIRECT);
            need(read(fd, text, DOCUMENT + 1000) == DOCUMENT, "the file is not whole");
            for (int at = 1; at < DOCUMENT; at++) need(text[at] == text[0], "a mix of two contents");
            close(fd);
        }
        if (readers[i] == 0) _exit(0);
    }
    pid_t writer = fork();
    if (writer == 0) replace_whole(path, other);
    wait_for(writer);
    *ended = 1;
    for (int i = 0; i < 3; i++) wait_for(readers[i]);
    free(text);
}

/* ---- many ---- */

/* `count` files are open at the same time, half of them unlinked; each keeps what was written to it. Then waits for a
 * line on stdin, so that somebody can look at the daemon meanwhile. */
static void hold(const char *directory, int count)
{
    struct rlimit limit = {(rlim_t)count + 50, (rlim_t)count + 50};
    int *fds = calloc((size_t)count, sizeof *fds);
    char name[64], got[64];
    need(fds != NULL && chdir(directory) == 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0, "so many descriptors");
    for (int i = 0; i < count; i++) {
        int size = snprintf(name, sizeof name, "held%d", i);
        fds[i] = open_file(name, O_RDWR | O_CREAT | O_EXCL);
        need(write(fds[i], name, (size_t)size) == size, "write");
    }
    for (int i = 0; i < count; i += 2) {
        snprintf(name, sizeof name, "held%d", i);
        need(unlink(name) == 0, "unlink");
    }
    printf("held\n");
    fflush(stdout);
    need(fgets(got, sizeof got, stdin) != NULL, "no line on stdin");
    for (int i = 0; i < count; i++) {
        struct stat st;
        int size = snprintf(name, sizeof name, "held%d", i);
        need(pread(fds[i], got, sizeof got, 0) == size && memcmp(got, name, (size_t)size) == 0, name);
        need(fstat(fds[i], &st) == 0 && st.st_nlink == (nlink_t)(i % 2) && st.st_size == size, name);
        need(close(fds[i]) == 0, "close");
        need(i % 2 == 0 || unlink(name) == 0, "unlink");
    }
    free(fds);
}

/* Makes, finds, reads and removes `count` files, and looks for as many that are not there. */
static void come_and_go(const char *directory, int count)
{
    char name[64], got[64];
    struct stat st;
    need(chdir(directory) == 0, directory);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "none%d", i);
        need(stat(name, &st) != 0 && errno == ENOENT, name);
        snprintf(name, sizeof name, "file%d", i);
        int fd = open_file(name, O_RDWR | O_CREAT | O_EXCL);
        need(write(fd, name, 5) == 5 && pread(fd, got, 5, 0) == 5 && close(fd) == 0, name);
        need(stat(name, &st) == 0 && unlink(name) == 0, name);
    }
}

/* ---- names and paths ---- */

static void names(const char *directory)
{
    char name[300];
    struct stat st;
    int count = 0;
    need(chdir(directory) == 0, directory);
    for (int byte = 1; byte < 256; byte++) {
        if (byte == '/') continue;
        /* Alone, and filling a name of 255 bytes. */
        for (int size = 1; size <= 255; size += 254) {
            memset(name, byte, sizeof name);
            name[size] = '\0';
            if (strcmp(name, ".") == 0) continue;
            int fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL);
            need(write(fd, name, 1) == 1 && close(fd) == 0 && stat(name, &st) == 0 && st.st_size == 1, name);
            count++;
        }
        name[255] = (char)byte;
        name[256] = '\0';
        need(open(name, O_WRONLY | O_CREAT, 0644) < 0 && errno == ENAMETOOLONG, "a name of 256 bytes");
    }
    DIR *dir = opendir(".");
    struct dirent *entry;
    need(dir != NULL, "opendir");
    while ((entry = readdir(dir)) != NULL) {
        size_t size = strlen(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        need(size == 1 || size == 255, "a listed name");
        count--;
    }
    closedir(dir);
    need(count == 0, "number of names");
}

/* Directories down to where the path from the working directory has PATH_MAX bytes, and some more by their own. */
static void depth(const char *directory)
{
    static char path[PATH_MAX * 2];
    struct stat st;
    size_t size = 0;
    need(chdir(directory) == 0, directory);
    while (size + 102 < PATH_MAX) {
        if (size > 0) path[size++] = '/';
        memset(path + size, 'a' + (int)(size / 101) % 26, 100);
        size += 100;
        path[size] = '\0';
        need(mkdir(path, 0755) == 0, "mkdir of a long path");
    }
    size_t last = size;
    path[size++] = '/';
    memset(path + size, 'f', PATH_MAX);
    path[PATH_MAX - 1] = '\0';
    int fd = open_file(path, O_WRONLY | O_CREAT);
    need(write(fd, "deep", 4) == 4 && close(fd) == 0 && stat(path, &st) == 0 && st.st_size == 4,
         "a path of 4,095 bytes");
    path[PATH_MAX - 1] = 'f';
    path[PATH_MAX] = '\0';
    need(stat(path, &st) != 0 && errno == ENAMETOOLONG, "a path of 4,096 bytes");
    path[last] = '\0';
    need(chdir(path) == 0, "chdir");
    for (int i = 0; i < 20; i++) need(mkdir("deeper", 0755) == 0 && chdir("deeper") == 0, "below PATH_MAX");
    fd = open_file("file", O_WRONLY | O_CREAT);
    need(write(fd, "deeper", 6) == 6 && fsync(fd) == 0 && close(fd) == 0, "a file below PATH_MAX");
    need(stat("../../file", &st) != 0 && errno == ENOENT && stat("../deeper/file", &st) == 0, "a path upwards");
}

int main(int argc, char **argv)
{
    alarm(300); /* nothing here may wait for ever */
    static const struct {
        const char *name;
        void (*run)(const char *path);
    } operations[] = {{"locks", locks}, {"mappings", mappings}, {"direct", direct}, {"synchronous", synchronous},
                      {"holes", holes}, {"names", names},       {"whole", whole},   {"depth", depth}};
    if (argc == 4 && strcmp(argv[1], "hold") == 0) return hold(argv[2], atoi(argv[3])), 0;
    if (argc == 4 && strcmp(argv[1], "come-and-go") == 0) return come_and_go(argv[2], atoi(argv[3])), 0;
    for (size_t i = 0; argc == 3 && i < sizeof operations / sizeof operations[0]; i++)
        if (strcmp(argv[1], operations[i].name) == 0) return operations[i].run(argv[2]), 0;
    fprintf(stderr, "usage: tool_files OPERATION PATH [NUMBER]\n");
    return 2;
}
