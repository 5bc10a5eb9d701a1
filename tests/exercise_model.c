/* exercise_model.c - see exercise.h: the model, the comparisons, and what a crash may leave. */
#include "exercise.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const dirs[DIRS] = {"", "a/", "a/b/", "c/"};
const char *root;
struct file *files[FILES]; /* NULL: free */
struct file *at[NAMES];
bool name_must[NAMES];
bool kill_asked, crashes;
unsigned seed;
long operation;
size_t largest;
uint8_t *buffer;
void *mapped;
size_t mapped_size;
sigjmp_buf mount_died, disk_full;
bool may_be_full;

unsigned draw(size_t below)
{
    return below <= 1 ? 0 : (unsigned)(((uint64_t)(unsigned)rand_r(&seed) << 16 ^ (unsigned)rand_r(&seed)) % below);
}

const char *path(int name)
{
    static char paths[2][600];
    static int turn;
    turn = 1 - turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%sf%02d", root, dirs[name / NAMES_EACH], name % NAMES_EACH);
    return paths[turn];
}

void note(struct file *f, const char *format, ...)
{
    va_list list;
    char *line = f->notes[f->notes_count++ % NOTES];
    int done = snprintf(line, sizeof f->notes[0], "%ld: ", operation);
    va_start(list, format);
    vsnprintf(line + done, sizeof f->notes[0] - (size_t)done, format, list);
    va_end(list);
}

static void show(const struct file *f)
{
    fprintf(stderr, "file of %zu bytes, names %#llx, may be at %#llx%s%s; the last operations on it:\n", f->size,
            (unsigned long long)f->names, (unsigned long long)f->may, f->must ? ", must be there" : "",
            f->loose ? ", loose" : "");
    for (long i = f->notes_count > NOTES ? f->notes_count - NOTES : 0; i < f->notes_count; i++)
        fprintf(stderr, "  %s\n", f->notes[i % NOTES]);
}

void need(const struct file *f, bool fine, const char *what)
{
    if (fine) return;
    if (kill_asked && (errno == ENOTCONN || errno == ECONNABORTED || errno == EIO)) siglongjmp(mount_died, 1);
    if (may_be_full && errno == ENOSPC) siglongjmp(disk_full, 1);
    fprintf(stderr, "operation %ld: %s (%s)\n", operation, what, strerror(errno));
    if (f != NULL) show(f);
    exit(1);
}

/* ---- the model ---- */

static uint64_t hash_of(const uint8_t *data, size_t size)
{
    uint64_t hash = 0x9E3779B97F4A7C15u ^ size, word = 0;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    for (; i < size; i++) hash = (hash ^ data[i]) * 0x100000001B3u;
    return hash ^ hash >> 29;
}

/* The file's content is a possible one from now on. */
void remember(struct file *f)
{
    if (!crashes) return;
    if (f->states_count == f->states_room) {
        f->states_room = f->states_room * 2 + 8;
        f->states = realloc(f->states, f->states_room * sizeof *f->states);
    }
    f->states[f->states_count++] = (struct state){hash_of(f->data, f->size), f->size};
}

void resize(struct file *f, size_t size)
{
    if (size > f->room) {
        f->room = size * 2;
        f->data = realloc(f->data, f->room);
        need(f, f->data != NULL, "no memory");
    }
    if (size > f->size) memset(f->data + f->size, 0, size - f->size);
    f->size = size;
}

struct file *new_file(int name)
{
    for (int i = 0; i < FILES; i++) {
        if (files[i] != NULL) continue;
        files[i] = calloc(1, sizeof *files[i]);
        files[i]->fd = -1;
        files[i]->names = files[i]->may = UINT64_C(1) << name;
        return at[name] = files[i];
    }
    return NULL;
}

void free_file(int i)
{
    if (files[i]->fd >= 0) close(files[i]->fd);
    free(files[i]->data);
    free(files[i]->states);
    free(files[i]);
    files[i] = NULL;
}

/* A file that nobody can reach goes, but where crashes may bring it back it is remembered, with its fd closed. */
bool is_alive(const struct file *f)
{
    return f != NULL && (f->names != 0 || f->fd >= 0);
}

void name_lost(int name)
{
    struct file *f = at[name];
    if (f == NULL) return;
    f->names &= ~(UINT64_C(1) << name);
    if (f->names == 0) f->must = false;
    at[name] = NULL;
}

void name_gained(int name, struct file *f)
{
    if (f->names != 0) f->linked = true;
    f->names |= UINT64_C(1) << name;
    f->may |= UINT64_C(1) << name;
    at[name] = f;
}

static void content_synced(struct file *f)
{
    f->states_count = 0;
    remember(f);
}

void file_synced(struct file *f)
{
    if (f->names == 0) return;
    content_synced(f);
    f->loose = false;
    f->must = true;
    if (f->linked) return;
    f->may = f->names;
    for (int name = 0; name < NAMES; name++) name_must[name] |= at[name] == f;
}

void dir_synced(int dir)
{
    for (int name = 0; name < NAMES; name++) {
        if (dir != 0 && name / NAMES_EACH != dir) continue;
        name_must[name] = at[name] != NULL;
        for (int i = 0; i < FILES; i++)
            if (files[i] != NULL && at[name] != files[i]) files[i]->may &= ~(UINT64_C(1) << name);
        if (at[name] != NULL) at[name]->must = true;
    }
    for (int i = 0; i < FILES && dir == 0; i++)
        if (files[i] != NULL && files[i]->names != 0) content_synced(files[i]);
    for (int i = 0; i < FILES; i++)
        if (files[i] != NULL && !is_alive(files[i]) && files[i]->may == 0) free_file(i);
}

/* ---- comparing ---- */

int descriptor(struct file *f)
{
    if (f->fd >= 0) return f->fd;
    f->fd = open(path(__builtin_ctzll(f->names)), O_RDWR);
    need(f, f->fd >= 0, "open");
    return f->fd;
}

static size_t read_all(const struct file *f, int fd, size_t size, size_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, buffer + done, size - done, (off_t)(offset + done));
        need(f, got >= 0, "read");
        if (got == 0) break;
        done += (size_t)got;
    }
    return done;
}

void compare_part(struct file *f, size_t offset, size_t size)
{
    int fd = descriptor(f);
    size_t wanted = offset >= f->size ? 0 : size < f->size - offset ? size : f->size - offset;
    size_t got = read_all(f, fd, size, offset);
    errno = 0;
    need(f, got == wanted, "read gives another size");
    for (size_t i = 0; i < got && memcmp(buffer, f->data + offset, got) != 0; i++) {
        if (buffer[i] == f->data[offset + i]) continue;
        fprintf(stderr, "first at %zu: %#x instead of %#x\n", offset + i, buffer[i], f->data[offset + i]);
        need(f, false, "read gives other bytes");
    }
}

void compare_stat(struct file *f)
{
    struct stat st;
    need(f,
         (f->names == 0 || draw(2) == 0 ? fstat(descriptor(f), &st) : stat(path(__builtin_ctzll(f->names)), &st)) == 0,
         "stat");
    errno = 0;
    need(f, (size_t)st.st_size == f->size, "stat gives another size");
    need(f, st.st_nlink == (nlink_t)__builtin_popcountll(f->names), "stat gives another number of links");
    need(f,
         st.st_mtim.tv_sec > f->mtime.tv_sec ||
             (st.st_mtim.tv_sec == f->mtime.tv_sec && st.st_mtim.tv_nsec >= f->mtime.tv_nsec),
         "mtime went back");
    f->mtime = st.st_mtim;
}

void compare_listing(int dir)
{
    char name[600];
    bool seen[NAMES_EACH] = {false};
    snprintf(name, sizeof name, "%s/%s", root, dirs[dir]);
    DIR *stream = opendir(name);
    need(NULL, stream != NULL, "opendir");
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream)) != NULL) {
        int number = 0;
        if (entry->d_name[0] != 'f') continue;
        if (sscanf(entry->d_name, "f%2d", &number) != 1 || seen[number] || at[dir * NAMES_EACH + number] == NULL) {
            fprintf(stderr, "in %s: %s\n", name, entry->d_name);
            errno = 0;
            need(NULL, false, "listed twice, or not there");
        }
        seen[number] = true;
    }
    int error = errno;
    closedir(stream);
    errno = error;
    need(NULL, error == 0, "readdir");
    for (int i = 0; i < NAMES_EACH; i++)
        need(at[dir * NAMES_EACH + i], seen[i] == (at[dir * NAMES_EACH + i] != NULL), "not listed");
}

void compare_all(void)
{
    for (int dir = 0; dir < DIRS; dir++) compare_listing(dir);
    for (int i = 0; i < FILES; i++) {
        if (!is_alive(files[i])) continue;
        compare_part(files[i], 0, files[i]->size + 10);
        compare_stat(files[i]);
    }
    for (int i = 0; i < NAMES; i++) {
        struct stat st;
        need(at[i], (lstat(path(i), &st) == 0) == (at[i] != NULL), "a name is there that should not, or the reverse");
    }
}

/* ---- full disks, remounts and crashes ---- */

void settle(struct file *f, size_t first_state)
{
    size_t size = read_all(f, descriptor(f), largest + 1, 0), i = first_state;
    uint64_t hash = hash_of(buffer, size);
    note(f, "no space");
    while (i < f->states_count && (f->states[i].size != size || f->states[i].hash != hash)) i++;
    errno = 0;
    need(f, i < f->states_count, "a call that found no space changed the file in another way");
    resize(f, size);
    memcpy(f->data, buffer, size);
    remember(f);
    compare_stat(f);
}

static void ask(const char *what)
{
    char answer[64];
    printf("%s\n", what);
    fflush(stdout);
    errno = 0;
    need(NULL, fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "ok\n") == 0, "no answer");
}

static void close_all(void)
{
    if (mapped != NULL && mapped != MAP_FAILED) munmap(mapped, mapped_size);
    mapped = NULL;
    for (int i = 0; i < FILES; i++) {
        if (files[i] == NULL) continue;
        if (files[i]->fd >= 0) close(files[i]->fd);
        files[i]->fd = -1;
        if (files[i]->names == 0 && !kill_asked) free_file(i);
    }
}

void remount(void)
{
    compare_all();
    close_all();
    ask("remount");
    for (int i = 0; i < FILES; i++) {
        if (files[i] == NULL) continue;
        note(files[i], "remount");
        files[i]->linked = false;
        file_synced(files[i]);
        files[i]->may = files[i]->names;
    }
    dir_synced(0);
    compare_all();
}

/* Whether a file may be what was read from a name into buffer. */
static bool may_be(const struct file *f, int name, size_t size, uint64_t hash)
{
    if (f == NULL || (f->may >> name & 1) == 0) return false;
    if (f->loose) return true;
    for (size_t i = f->states_count; i-- > 0;)
        if (f->states[i].size == size && f->states[i].hash == hash) return true;
    return false;
}

/* The file that another of its names was found as before this one; NULL: this is the first, or the only one. */
static struct file *found_before(int name, const struct stat *st, ino_t inos[NAMES])
{
    inos[name] = st->st_ino;
    for (int i = 0; i < name && st->st_nlink > 1; i++)
        if (at[i] != NULL && inos[i] == st->st_ino) return at[i];
    return NULL;
}

/* The files as a crash left them, against what they may be; they are what the model goes on with. */
void recover(void)
{
    struct file *old[FILES];
    int found[FILES] = {0}, found_alone[FILES] = {0};
    ino_t inos[NAMES] = {0};
    struct stat st;
    close_all();
    ask("revive");
    kill_asked = false;
    memcpy(old, files, sizeof old);
    memset(files, 0, sizeof files);
    memset(at, 0, sizeof at);
    for (int name = 0; name < NAMES; name++) {
        int fd = open(path(name), O_RDONLY), matches = 0, last = 0;
        if (fd < 0) {
            need(NULL, errno == ENOENT, path(name));
            if (name_must[name]) fprintf(stderr, "%s is not there\n", path(name));
            for (int i = 0; i < FILES && name_must[name]; i++)
                if (old[i] != NULL && old[i]->may >> name & 1) show(old[i]);
            need(NULL, !name_must[name], "a name that was durable is lost");
            continue;
        }
        need(NULL, fstat(fd, &st) == 0, "stat");
        size_t size = read_all(NULL, fd, largest + 1, 0);
        close(fd);
        uint64_t hash = hash_of(buffer, size);
        for (int i = 0; i < FILES; i++) {
            if (!may_be(old[i], name, size, hash)) continue;
            matches++;
            last = i;
            found[i]++;
        }
        if (matches == 1) found_alone[last]++;
        if (matches == 0) fprintf(stderr, "%s has %zu bytes that no file had; it may be:\n", path(name), size);
        for (int i = 0; i < FILES && matches == 0; i++)
            if (old[i] != NULL && old[i]->may >> name & 1) show(old[i]);
        errno = 0;
        need(NULL, matches > 0, "a content that should not be there");
        struct file *f = found_before(name, &st, inos);
        if (f != NULL) {
            name_gained(name, f);
        } else {
            f = new_file(name);
            resize(f, size);
            if (size > 0) memcpy(f->data, buffer, size);
        }
        errno = 0;
        need(f, f->size == size && (size == 0 || memcmp(f->data, buffer, size) == 0), "two contents of one file");
        note(f, "found after a crash as %s, %zu bytes, %d candidates", path(name), size, matches);
    }
    for (int i = 0; i < FILES; i++) {
        if (old[i] == NULL) continue;
        errno = 0;
        need(old[i], !old[i]->must || found[i] > 0, "a file that was durable is lost");
        need(old[i], old[i]->linked || old[i]->loose || found_alone[i] < 2, "a file is there twice");
        free(old[i]->data);
        free(old[i]->states);
        free(old[i]);
    }
    /* What is there is in the log, so it stays, whatever comes. */
    for (int i = 0; i < FILES; i++)
        if (files[i] != NULL) file_synced(files[i]);
    dir_synced(0);
    compare_all();
}
