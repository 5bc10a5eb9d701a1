/* small_files.c - does one thing to many small files of a directory and says how many a second.
 *
 * small_files DIRECTORY PHASE COUNT [SIZE]: prints "PHASE COUNT SECONDS FILES_PER_SECOND". The files are named f0000000
 * and so on, hold SIZE bytes (default 100) that depend on their number, and are taken in that order. One process, one
 * thread, system calls relative to the directory: what is measured is the filesystem. Phases that read check what they
 * read, so a fast wrong answer fails.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct work {
    int dir;
    const char *path;
    long count;
    size_t size;
    char *text;   /* what a file should hold */
    char *buffer; /* what was read; one byte longer */
};

static int failed(const char *what, long i)
{
    fprintf(stderr, "small_files: %s, file %ld: %s\n", what, i, errno != 0 ? strerror(errno) : "wrong content");
    return 1;
}

static void fill_text(const struct work *w, long i)
{
    for (size_t at = 0; at < w->size; at++) w->text[at] = (char)('a' + (i + (long)at) % 26);
}

static const char *name_of(long i)
{
    static char name[32];
    snprintf(name, sizeof name, "f%07ld", i);
    return name;
}

static int write_file(struct work *w, long i, int flags, bool sync)
{
    fill_text(w, i);
    int fd = openat(w->dir, name_of(i), O_WRONLY | flags, 0644);
    if (fd < 0) return failed("open", i);
    if (write(fd, w->text, w->size) != (ssize_t)w->size) return failed("write", i);
    if (sync && fsync(fd) != 0) return failed("fsync", i);
    return close(fd) == 0 ? 0 : failed("close", i);
}

static int create_file(struct work *w, long i)
{
    return write_file(w, i, O_CREAT | O_EXCL, false);
}

static int durable_file(struct work *w, long i)
{
    return write_file(w, i, O_CREAT | O_EXCL, true);
}

static int overwrite_file(struct work *w, long i)
{
    return write_file(w, i, O_TRUNC, false);
}

static int append_file(struct work *w, long i)
{
    return write_file(w, i, O_APPEND, false);
}

static int stat_file(struct work *w, long i)
{
    struct stat st;
    if (fstatat(w->dir, name_of(i), &st, AT_SYMLINK_NOFOLLOW) != 0) return failed("stat", i);
    errno = 0;
    return st.st_size == (off_t)w->size ? 0 : failed("stat", i);
}

static int read_file(struct work *w, long i)
{
    fill_text(w, i);
    int fd = openat(w->dir, name_of(i), O_RDONLY);
    if (fd < 0) return failed("open", i);
    ssize_t got = read(fd, w->buffer, w->size + 1);
    if (got < 0) return failed("read", i);
    errno = 0;
    if ((size_t)got != w->size || memcmp(w->buffer, w->text, w->size) != 0) return failed("read", i);
    return close(fd) == 0 ? 0 : failed("close", i);
}

static int unlink_file(struct work *w, long i)
{
    return unlinkat(w->dir, name_of(i), 0) == 0 ? 0 : failed("unlink", i);
}

/* Reads the whole directory; it must hold `count` entries that are ours. with_stat: looks at each as it comes. */
static int list_all(struct work *w, bool with_stat)
{
    long found = 0;
    DIR *dir = opendir(w->path);
    if (dir == NULL) return failed("opendir", 0);
    for (struct dirent *entry; (errno = 0, entry = readdir(dir)) != NULL;) {
        struct stat st;
        if (entry->d_name[0] != 'f') continue;
        if (with_stat && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return failed("stat", found);
        found++;
    }
    if (errno != 0) return failed("readdir", found);
    closedir(dir);
    if (found == w->count) return 0;
    fprintf(stderr, "small_files: %ld files listed, wanted %ld\n", found, w->count);
    return 1;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(struct work *w, const char *phase)
{
    static const struct {
        const char *name;
        int (*act)(struct work *, long);
    } phases[] = {
        {"create", create_file}, {"durable", durable_file},     {"stat", stat_file},     {"read", read_file},
        {"reread", read_file},   {"overwrite", overwrite_file}, {"append", append_file}, {"unlink", unlink_file},
    };
    if (strcmp(phase, "list") == 0) return list_all(w, false);
    if (strcmp(phase, "liststat") == 0) return list_all(w, true);
    for (size_t p = 0; p < sizeof phases / sizeof phases[0]; p++) {
        if (strcmp(phase, phases[p].name) != 0) continue;
        for (long i = 0; i < w->count; i++)
            if (phases[p].act(w, i) != 0) return 1;
        return 0;
    }
    fprintf(stderr, "small_files: unknown phase %s\n", phase);
    return 1;
}

int main(int argc, char **argv)
{
    struct work w = {.size = 100};
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: small_files DIRECTORY PHASE COUNT [SIZE]\n");
        return 2;
    }
    w.path = argv[1];
    w.count = strtol(argv[3], NULL, 10);
    if (argc == 5) w.size = strtoul(argv[4], NULL, 10);
    w.text = calloc(1, w.size + 1);
    w.buffer = calloc(1, w.size + 1);
    if (w.text == NULL || w.buffer == NULL) return failed("memory", 0);
    w.dir = open(w.path, O_RDONLY | O_DIRECTORY);
    if (w.dir < 0) return failed("open of the directory", 0);
    double start = now_s();
    int status = run(&w, argv[2]);
    double seconds = now_s() - start;
    if (status == 0)
        printf("%s %ld %.6f %.0f\n", argv[2], w.count, seconds, (double)w.count / (seconds > 1e-9 ? seconds : 1e-9));
    free(w.text);
    free(w.buffer);
    close(w.dir);
    return status;
}
