/* tool_random_io.c - random file operations beside a model in memory: after each the file must equal the model.
 *
 * tool_random_io DIRECTORY NAME OPERATIONS SEED COPY: works on NAME in DIRECTORY (and on NAME.x, to which it is renamed
 * and back, and in the sub-directory NAME.d, which it makes), and leaves the model's content in the file COPY at the
 * end, so that it can be compared once more after a remount. Several may run in one directory. Exit status 0 or 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 400000 };

/* The file and what it should hold. `fd` stays open across renames and is opened anew now and then. */
struct subject {
    char names[3][300]; /* NAME, NAME.x, NAME.d/x */
    int at;             /* which of them it has now */
    int fd;
    size_t size;
    mode_t mode;
    char *content;
    char *buffer;
    unsigned seed;
    long operation;
};

static unsigned draw(struct subject *s, size_t below)
{
    return below == 0 ? 0 : (unsigned)rand_r(&s->seed) % (unsigned)below;
}

/* Small offsets and sizes are as likely as large ones, and page borders likelier than their neighbours. */
static size_t draw_size(struct subject *s)
{
    static const size_t limits[] = {10, 200, 5000, 70000, LARGEST / 2};
    size_t size = draw(s, limits[draw(s, 5)]);
    return draw(s, 4) == 0 ? size / 4096 * 4096 : size;
}

static int broken(const struct subject *s, const char *what)
{
    fprintf(stderr, "operation %ld on %s: %s (%s)\n", s->operation, s->names[s->at], what, strerror(errno));
    return 1;
}

static void grow_model(struct subject *s, size_t size)
{
    if (size > s->size) memset(s->content + s->size, 0, size - s->size);
    if (size > s->size) s->size = size;
}

static int reopen(struct subject *s, int flags)
{
    if (s->fd >= 0 && close(s->fd) != 0) return broken(s, "close");
    s->fd = open(s->names[s->at], O_RDWR | flags, 0644);
    return s->fd >= 0 ? 0 : broken(s, "open");
}

static int do_write(struct subject *s)
{
    size_t offset = draw_size(s), size = draw_size(s) + 1;
    if (draw(s, 3) == 0) offset = s->size;
    if (offset + size > LARGEST) return 0;
    memset(s->buffer, (int)('a' + draw(s, 26)), size);
    errno = 0;
    if (pwrite(s->fd, s->buffer, size, (off_t)offset) != (ssize_t)size) return broken(s, "write");
    grow_model(s, offset + size);
    memcpy(s->content + offset, s->buffer, size);
    return 0;
}

static int do_truncate(struct subject *s)
{
    size_t size = draw(s, 3) == 0 ? draw(s, s->size + 1) : draw_size(s);
    if (ftruncate(s->fd, (off_t)size) != 0) return broken(s, "ftruncate");
    grow_model(s, size);
    s->size = size;
    return 0;
}

static int do_map(struct subject *s)
{
    if (s->size == 0) return 0;
    size_t offset = draw(s, s->size), size = 1 + draw(s, s->size - offset);
    char *map = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (map == MAP_FAILED) return broken(s, "mmap");
    int same = memcmp(map, s->content, s->size);
    memset(map + offset, (int)('A' + draw(s, 26)), size);
    memcpy(s->content + offset, map + offset, size);
    if (draw(s, 2) == 0 && msync(map, s->size, MS_SYNC) != 0) return broken(s, "msync");
    munmap(map, s->size);
    errno = 0;
    return same == 0 ? 0 : broken(s, "a mapping shows other bytes");
}

static int do_rename(struct subject *s)
{
    int to = (s->at + 1 + (int)draw(s, 2)) % 3;
    /* Over another file, now and then. */
    if (draw(s, 2) == 0) {
        int fd = open(s->names[to], O_CREAT | O_WRONLY, 0600);
        if (fd < 0 || write(fd, "other", 5) != 5 || (draw(s, 2) == 0 && fsync(fd) != 0) || close(fd) != 0)
            return broken(s, "writing the file to be replaced");
    }
    if (rename(s->names[s->at], s->names[to]) != 0) return broken(s, "rename");
    if (access(s->names[s->at], F_OK) == 0) return broken(s, "the old name is still there");
    s->at = to;
    return draw(s, 2) == 0 ? reopen(s, 0) : 0;
}

/* Another file under the same name; the old one is still open, and still what it was, until reopened. */
static int do_replace(struct subject *s)
{
    int how = (int)draw(s, 3);
    if (how == 0 && unlink(s->names[s->at]) != 0) return broken(s, "unlink");
    if (how == 0) {
        if (pread(s->fd, s->buffer, LARGEST, 0) != (ssize_t)s->size || memcmp(s->buffer, s->content, s->size) != 0)
            return broken(s, "an unlinked file lost its content");
        s->mode = 0644;
    }
    s->size = 0;
    return reopen(s, how == 0 ? O_CREAT | O_EXCL : O_CREAT | O_TRUNC);
}

static int do_attributes(struct subject *s)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000 + (time_t)draw(s, 1000000)}};
    struct stat st;
    times[1].tv_nsec = (long)draw(s, 1000000000);
    s->mode = (mode_t)(0600 | draw(s, 64));
    if (fchmod(s->fd, s->mode) != 0 || futimens(s->fd, times) != 0) return broken(s, "fchmod or futimens");
    if (draw(s, 2) == 0 && fsync(s->fd) != 0) return broken(s, "fsync");
    if (stat(s->names[s->at], &st) != 0) return broken(s, "stat");
    if (st.st_mtim.tv_sec != times[1].tv_sec || st.st_mtim.tv_nsec != times[1].tv_nsec)
        return broken(s, "mtime is not what was set");
    return 0;
}

static int do_sync_or_wait(struct subject *s)
{
    /* Longer than the daemon waits before it commits, so that the next operation finds a committed file. */
    struct timespec pause = {.tv_nsec = 130000000};
    if (draw(s, 4) != 0) return fsync(s->fd) == 0 ? 0 : broken(s, "fsync");
    nanosleep(&pause, NULL);
    return 0;
}

static int compare(struct subject *s)
{
    struct stat st;
    size_t offset = draw(s, 2) == 0 ? 0 : draw(s, s->size + 1), size = s->size - offset;
    errno = 0;
    if (pread(s->fd, s->buffer, LARGEST + 1, (off_t)offset) != (ssize_t)size)
        return broken(s, "read gives another size");
    if (memcmp(s->buffer, s->content + offset, size) != 0) return broken(s, "read gives other bytes");
    if (stat(s->names[s->at], &st) != 0) return broken(s, "stat");
    if ((size_t)st.st_size != s->size) return broken(s, "stat gives another size");
    if ((st.st_mode & 07777) != s->mode) return broken(s, "stat gives another mode");
    return 0;
}

static int step(struct subject *s)
{
    switch (draw(s, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: return do_write(s);
    case 5:
    case 6: return do_truncate(s);
    case 7:
    case 8: return do_map(s);
    case 9:
    case 10: return do_rename(s);
    case 11: return do_replace(s);
    case 12:
    case 13: return do_attributes(s);
    case 14: return reopen(s, 0);
    default: return do_sync_or_wait(s);
    }
}

static int save_model(const struct subject *s, const char *copy)
{
    FILE *file = fopen(copy, "w");
    if (file == NULL || fwrite(s->content, 1, s->size, file) != s->size) return broken(s, copy);
    return fclose(file) == 0 ? 0 : broken(s, copy);
}

int main(int argc, char **argv)
{
    struct subject s = {.fd = -1, .mode = 0644};
    if (argc != 6 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: tool_random_io DIRECTORY NAME OPERATIONS SEED COPY\n");
        return 2;
    }
    s.seed = (unsigned)strtoul(argv[4], NULL, 10);
    s.content = calloc(1, LARGEST + 1);
    s.buffer = calloc(1, LARGEST + 1);
    snprintf(s.names[0], sizeof s.names[0], "%s", argv[2]);
    snprintf(s.names[1], sizeof s.names[1], "%s.x", argv[2]);
    snprintf(s.names[2], sizeof s.names[2], "%s.d", argv[2]);
    if (s.content == NULL || s.buffer == NULL || mkdir(s.names[2], 0755) != 0) return broken(&s, "mkdir");
    snprintf(s.names[2], sizeof s.names[2], "%s.d/x", argv[2]);
    umask(022);
    int status = reopen(&s, O_CREAT | O_EXCL);
    for (long end = strtol(argv[3], NULL, 10); status == 0 && s.operation < end; s.operation++) {
        status = step(&s);
        if (status == 0) status = compare(&s);
    }
    /* Under its first name at the end. */
    if (status == 0 && s.at != 0 && rename(s.names[s.at], s.names[0]) != 0) status = broken(&s, "rename");
    if (status == 0) status = save_model(&s, argv[5]);
    close(s.fd);
    free(s.content);
    free(s.buffer);
    return status;
}
