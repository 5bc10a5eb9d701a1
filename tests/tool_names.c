/* tool_names.c - files whose names change all the time, while others read and write them by descriptor.
 *
 * tool_names DIRECTORY HOW MILLISECONDS: in DIRECTORY, one process changes names (HOW: rename, across, exchange,
 * replace, unlink), others read files that they opened before or have just opened, past the kernel's cache, and one
 * writes single bytes. A descriptor must show the bytes of its own file, whatever happens to the name. Exit status 0
 * or 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 4096 };

static char *buffer; /* a page: what O_DIRECT asks for */
static long long end_ms;

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static bool in_time(void)
{
    return now_ms() < end_ms;
}

static int failed(const char *what, const char *name)
{
    fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
    return 1;
}

/* Fills a file with one character, and has it committed. */
static int put(const char *name, char c)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    char bytes[SIZE];

    memset(bytes, c, sizeof bytes);
    if (fd < 0 || write(fd, bytes, SIZE) != SIZE || fsync(fd) != 0) return failed("put", name);
    return close(fd) == 0 ? 0 : failed("close", name);
}

/* Reads all of fd; the bytes must be one character, c unless that is 0. */
static int look(int fd, const char *name, char c)
{
    ssize_t got = pread(fd, buffer, SIZE, 0);

    if (got < 0) return failed("read", name);
    if (got == SIZE && c == 0) c = buffer[0];
    for (ssize_t i = 0; i < got; i++) {
        if (buffer[i] == c) continue;
        fprintf(stderr, "%s: byte %zd is '%c', should be '%c'\n", name, i, buffer[i], c);
        return 1;
    }
    if (got == SIZE) return 0;
    fprintf(stderr, "%s: %zd bytes\n", name, got);
    return 1;
}

/* A process that reads a file that it opened once. */
static int read_on(const char *name, char c)
{
    int fd = open(name, O_RDONLY | O_DIRECT);

    if (fd < 0) return failed("open", name);
    if (fork() != 0) return close(fd);
    while (in_time())
        if (look(fd, name, c) != 0) _exit(1);
    _exit(0);
}

/* A process that writes what is there anyway, a byte at a time: the rest of the file must be its own. */
static int write_on(const char *name, char c)
{
    int fd = open(name, O_RDWR | O_DIRECT);
    int plain = open(name, O_WRONLY);
    struct timespec pause = {.tv_nsec = 1000000};

    if (fd < 0 || plain < 0) return failed("open", name);
    if (fork() != 0) return close(fd) != 0 || close(plain) != 0;
    for (long i = 0; in_time(); i++) {
        if (pwrite(plain, &c, 1, i % SIZE) != 1) _exit(failed("write", name));
        if (i % 8 == 0 && fsync(plain) != 0) _exit(failed("fsync", name));
        if (look(fd, name, c) != 0) _exit(1);
        nanosleep(&pause, NULL);
    }
    _exit(0);
}

/* A process that opens what the name stands for, if anything, and reads that a few times. */
static int open_and_read(const char *name)
{
    if (fork() != 0) return 0;
    while (in_time()) {
        int fd = open(name, O_RDONLY | O_DIRECT);
        char first = 0;

        if (fd < 0 && errno == ENOENT) continue;
        if (fd < 0) _exit(failed("open", name));
        for (int i = 0; i < 20; i++) {
            /* It may have been opened before its bytes were written. */
            if (i == 0 && pread(fd, buffer, SIZE, 0) != SIZE) break;
            first = buffer[0];
            if (look(fd, name, first) != 0) _exit(1);
        }
        close(fd);
    }
    _exit(0);
}

static int change_names(const char *how)
{
    long count = 0;

    for (; in_time(); count++) {
        bool even = count % 2 == 0;
        int result = 0;

        if (strcmp(how, "rename") == 0) result = even ? rename("a", "b") : rename("b", "a");
        if (strcmp(how, "across") == 0) result = even ? rename("a", "sub/b") : rename("sub/b", "a");
        if (strcmp(how, "exchange") == 0) result = renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE);
        if (strcmp(how, "replace") == 0) result = put("new", (char)('a' + count % 26)) != 0 || rename("new", "a") != 0;
        if (strcmp(how, "unlink") == 0) result = put("new", 'u') != 0 || rename("new", "a") != 0 || unlink("a") != 0;
        if (result != 0) return failed(how, "a");
    }
    printf("%s: %ld times\n", how, count);
    return 0;
}

int main(int argc, char **argv)
{
    int result = 0;
    int status = 0;

    if (argc != 4 || chdir(argv[1]) != 0) return failed("usage: tool_names DIRECTORY HOW MILLISECONDS", "");
    end_ms = now_ms() + strtol(argv[3], NULL, 10);
    buffer = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED || (mkdir("sub", 0755) != 0 && errno != EEXIST)) return failed("mkdir", "sub");
    if (strcmp(argv[2], "replace") == 0 || strcmp(argv[2], "unlink") == 0) {
        result = open_and_read("a");
    } else {
        result = put("a", 'a') != 0 || put("b", 'b') != 0 || read_on("a", 'a') != 0 || write_on("a", 'a') != 0;
        if (result == 0 && strcmp(argv[2], "exchange") == 0) result = read_on("b", 'b') != 0 || write_on("b", 'b') != 0;
    }
    if (result == 0) result = change_names(argv[2]);
    while (wait(&status) > 0)
        if (status != 0) result = 1;
    return result;
}
