/* tool_exercise.c - random operations on the files of a few directories, beside a copy of each file in plain memory.
 *
 * tool_exercise DIRECTORY OPERATIONS SEED LARGEST [REMOUNT KILL]: works below DIRECTORY, which is empty, on files of up
 * to LARGEST bytes, most of them small. Every REMOUNT operations it writes "remount" to stdout, every KILL operations
 * "kill MS", and once the mount is dead "revive"; whoever started it does that and answers with a line on stdin (not to
 * "kill", which it does MS milliseconds later, while this program goes on). Without these two, or with 0, it works on
 * any directory of any filesystem, and must find nothing there. Exit status 0 or 1.
 *
 * KILL -1: the disk may be full. A call that finds no space must leave all as it was before it, or, a write of several
 * parts, as it was after one of them; fsync and unlink never do. There is no mapping and no long copy.
 *
 * Compared after each operation: a part of the file, its size, number of links, and that its mtime does not go back;
 * now and then the listings, and all files.
 *
 * After a kill each file must equal its content at some moment not before its last fsync: a hash of each content since
 * then is kept. What changes a file in several requests (a mapping that was not synced, a long copy) makes the file
 * `loose` until its next fsync: then its content is not known in between. A file that was renamed, replaced or removed
 * since its last fsync may be under any of the names that it had since; a name that always was some file's since one
 * was synced there must be there.
 */
#include "exercise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ONE_WRITE = 128 * 1024 };

static bool links_work;
static bool fills;    /* the disk may become full */
static long refusals; /* how often it was */

/* ---- operations on content ---- */

static size_t draw_size(void)
{
    static const size_t limits[] = {10, 200, 200, 200, 200, 5000, 5000, 70000, 400000};
    unsigned which = draw(60);
    size_t size = draw(which == 0 ? largest : limits[which % 9]);
    if (size > largest) size = largest;
    return draw(4) == 0 ? size / 4096 * 4096 : size;
}

static size_t draw_offset(const struct file *f)
{
    return draw(3) == 0 ? f->size : draw(2) == 0 ? draw(f->size + 1) : draw_size();
}

static void fill(size_t size)
{
    uint64_t word = (uint64_t)operation * 0x9E3779B97F4A7C15u + seed;
    for (size_t i = 0; i < size; i += 8, word = word * 6364136223846793005u + 1442695040888963407u)
        memcpy(buffer + i, &word, 8);
}

/* In calls that are one request each, so that the content after each of them is one that a crash may leave. */
static void do_write(struct file *f, bool append)
{
    static uint8_t old[ONE_WRITE];
    size_t size = draw_size() + 1, offset = append ? f->size : draw_offset(f);
    int fd = descriptor(f);
    if (offset + size > largest) return;
    note(f, "%s of %zu at %zu, size was %zu", append ? "append" : "write", size, offset, f->size);
    if (append) {
        fd = f->names == 0 ? fd : open(path(__builtin_ctzll(f->names)), O_WRONLY | O_APPEND);
        need(f, fd >= 0, "open O_APPEND");
    }
    fill(size);
    for (size_t done = 0; done < size;) {
        size_t part = size - done < ONE_WRITE ? size - done : ONE_WRITE, place = offset + done, old_size = f->size;
        if (place < old_size) memcpy(old, f->data + place, part < old_size - place ? part : old_size - place);
        if (offset + done + part > f->size) resize(f, offset + done + part);
        memcpy(f->data + offset + done, buffer + done, part);
        remember(f);
        ssize_t wrote = append && fd != f->fd ? write(fd, buffer + done, part)
                                              : pwrite(fd, buffer + done, part, (off_t)(offset + done));
        if (wrote != (ssize_t)part && append && fd != f->fd) close(fd);
        if (wrote > 0 && wrote < (ssize_t)part) {
            /* The kernel made two requests of it, and the daemon died in between, or found no space for the second. */
            size_t end = place + (size_t)wrote;
            if (end < old_size) {
                size_t kept = place + part < old_size ? place + part : old_size;
                memcpy(f->data + end, old + wrote, kept - end);
            }
            resize(f, end > old_size ? end : old_size);
            remember(f);
            f->loose = true;
            errno = fills ? ENOSPC : ENOTCONN;
        }
        need(f, wrote == (ssize_t)part, "write");
        done += part;
    }
    if (fd != f->fd) close(fd);
    compare_part(f, offset > 5 ? offset - 5 : 0, size + 10);
}

static void do_truncate(struct file *f)
{
    bool by_open = f->names != 0 && draw(5) == 0;
    size_t size = by_open ? 0 : draw(3) == 0 ? draw(f->size + 1) : draw_size(), old = f->size;
    int fd = descriptor(f);
    note(f, "truncate from %zu to %zu%s", f->size, size, by_open ? " by O_TRUNC" : "");
    resize(f, size);
    remember(f);
    if (by_open) {
        fd = open(path(__builtin_ctzll(f->names)), O_WRONLY | O_TRUNC);
        need(f, fd >= 0, "open O_TRUNC");
        close(fd);
    } else if (f->names != 0 && draw(2) == 0) {
        need(f, truncate(path(__builtin_ctzll(f->names)), (off_t)size) == 0, "truncate");
    } else {
        need(f, ftruncate(fd, (off_t)size) == 0, "ftruncate");
    }
    compare_part(f, old < size ? old : size, 5000);
}

static void do_allocate(struct file *f)
{
    /* FALLOC_FL_KEEP_SIZE, and with FALLOC_FL_PUNCH_HOLE; FALLOC_FL_ZERO_RANGE without and with it */
    static const int modes[] = {0, 1, 3, 16, 17};
    int mode = modes[draw(5)], fd = descriptor(f);
    bool clears = mode >= 3;
    size_t offset = draw_offset(f), size = draw_size() + 1, end = offset + size;
    if (end > largest) return;
    note(f, "fallocate mode %d of %zu at %zu, size was %zu", mode, size, offset, f->size);
    if (clears && offset < f->size) memset(f->data + offset, 0, (end < f->size ? end : f->size) - offset);
    if ((mode == 0 || mode == 16) && end > f->size) resize(f, end);
    remember(f);
    need(f, fallocate(fd, mode, (off_t)offset, (off_t)size) == 0, "fallocate");
    compare_part(f, offset > 5 ? offset - 5 : 0, size + 10);
}

static void do_map(struct file *f)
{
    int fd = descriptor(f);
    if (f->size == 0) return;
    size_t offset = draw(f->size), size = 1 + draw_size();
    if (size > f->size - offset) size = f->size - offset;
    bool sync = draw(4) != 0;
    note(f, "mapped write of %zu at %zu%s, size is %zu", size, offset, sync ? ", synced" : "", f->size);
    fill(size);
    mapped = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    mapped_size = f->size;
    need(f, mapped != MAP_FAILED, "mmap");
    f->loose = true;
    size_t around = offset > 100 ? 100 : offset;
    int same = memcmp((uint8_t *)mapped + offset - around, f->data + offset - around, size + around);
    errno = 0;
    need(f, same == 0, "a mapping shows other bytes");
    memcpy((uint8_t *)mapped + offset, buffer, size);
    memcpy(f->data + offset, buffer, size);
    if (sync) {
        need(f, msync(mapped, mapped_size, MS_SYNC) == 0, "msync");
        file_synced(f);
    }
    munmap(mapped, mapped_size);
    mapped = NULL;
    compare_part(f, offset - around, size + 200);
}

static struct file *any_file(void)
{
    int first = (int)draw(FILES);
    for (int i = 0; i < FILES; i++)
        if (is_alive(files[(first + i) % FILES])) return files[(first + i) % FILES];
    return NULL;
}

static void do_copy(struct file *f)
{
    struct file *source = any_file();
    if (source == f || source->size == 0) return;
    size_t from = draw(source->size), to = draw_offset(f), size = 1 + draw_size();
    if (size > source->size - from) size = source->size - from;
    if (to + size > largest) return;
    int source_fd = descriptor(source), fd = descriptor(f);
    note(f, "copy_file_range of %zu at %zu, size was %zu", size, to, f->size);
    if (size > 1) f->loose = true;
    if (to + size > f->size) resize(f, to + size);
    memcpy(f->data + to, source->data + from, size);
    remember(f);
    off_t in = (off_t)from, out = (off_t)to;
    for (size_t left = size; left > 0;) {
        ssize_t done = copy_file_range(source_fd, &in, fd, &out, left, 0);
        need(f, done > 0, "copy_file_range");
        left -= (size_t)done;
    }
    compare_part(f, to > 5 ? to - 5 : 0, size + 10);
}

static void do_sync(struct file *f)
{
    int fd = descriptor(f);
    if (draw(8) == 0) {
        char name[600];
        int dir = (int)draw(DIRS);
        snprintf(name, sizeof name, "%s/%s", root, dirs[dir]);
        fd = open(name, O_RDONLY | O_DIRECTORY);
        need(NULL, fd >= 0, "opening a directory");
        int result = fsync(fd), error = errno;
        close(fd);
        errno = error;
        /* Its times are written then, and no room was reserved for them. */
        if (result != 0 && error == ENOSPC && fills) return;
        need(NULL, result == 0, "fsync of a directory");
        dir_synced(dir);
        return;
    }
    note(f, "fsync");
    need(f, (draw(2) == 0 ? fsync(fd) : fdatasync(fd)) == 0, "fsync");
    file_synced(f);
}

/* ---- operations on names ---- */

static void do_create(int name)
{
    struct file *f = new_file(name);
    if (f == NULL) return;
    note(f, "created as %s", path(name));
    remember(f);
    f->fd = open(path(name), O_RDWR | O_CREAT | (draw(2) == 0 ? O_EXCL : 0), 0644);
    need(f, f->fd >= 0, "create");
}

static void do_unlink(int name)
{
    struct file *f = at[name];
    note(f, "unlink of %s", path(name));
    name_lost(name);
    name_must[name] = false;
    if (f->names == 0 && draw(2) == 0 && f->fd >= 0) {
        close(f->fd);
        f->fd = -1;
    }
    need(f, unlink(path(name)) == 0, "unlink");
}

static void do_link(int name, int to)
{
    struct file *f = at[name];
    if (at[to] != NULL) {
        need(f, link(path(name), path(to)) != 0 && (errno == EEXIST || !links_work), "link onto a name that is there");
        return;
    }
    note(f, "link %s to %s", path(name), path(to));
    if (links_work) name_gained(to, f);
    int result = link(path(name), path(to));
    need(f, links_work ? result == 0 : result != 0 && errno == EPERM, "link");
}

static void do_rename(int name, int to)
{
    struct file *f = at[name], *victim = at[to];
    unsigned flags = draw(3); /* 0, RENAME_NOREPLACE, RENAME_EXCHANGE */
    note(f, "rename %s to %s flags %u", path(name), path(to), flags);
    if (victim != NULL) note(victim, "rename %s to %s onto this one, flags %u", path(name), path(to), flags);
    if (flags == 1 && victim != NULL) {
        need(f, renameat2(AT_FDCWD, path(name), AT_FDCWD, path(to), flags) != 0 && errno == EEXIST, "NOREPLACE");
        return;
    }
    if (flags == 2 && victim == NULL) {
        need(f, renameat2(AT_FDCWD, path(name), AT_FDCWD, path(to), flags) != 0 && errno == ENOENT, "EXCHANGE");
        return;
    }
    if (victim != f && flags == 2) {
        bool linked = f->linked, victim_linked = victim->linked;
        f->names = (f->names & ~(UINT64_C(1) << name)) | UINT64_C(1) << to;
        victim->names = (victim->names & ~(UINT64_C(1) << to)) | UINT64_C(1) << name;
        f->may |= f->names;
        victim->may |= victim->names;
        at[name] = victim;
        at[to] = f;
        f->linked = linked;
        victim->linked = victim_linked;
    } else if (victim != f) {
        bool linked = f->linked, must = f->must;
        name_lost(to);
        name_lost(name);
        name_must[name] = false;
        name_gained(to, f);
        f->linked = linked;
        f->must = must;
        if (victim != NULL && victim->names == 0 && draw(2) == 0 && victim->fd >= 0) {
            close(victim->fd);
            victim->fd = -1;
        }
    }
    need(f, renameat2(AT_FDCWD, path(name), AT_FDCWD, path(to), flags) == 0, "rename");
    compare_stat(f);
}

/* ---- the run ---- */

/* What to go back to when a call found no space: the model was changed before it. */
static struct {
    struct file *f, *victim;
    struct file file_was, victim_was;
    int name, to; /* -1: the call was about content */
    bool must[2];
    size_t first_state;
} undo;

static void call_may_find_no_space(struct file *f, int name, int to)
{
    undo.f = f;
    undo.victim = to >= 0 ? at[to] : NULL;
    undo.name = name;
    undo.to = to;
    if (f != NULL) undo.file_was = *f;
    if (undo.victim != NULL) undo.victim_was = *undo.victim;
    for (int i = 0; i < 2 && to >= 0; i++) undo.must[i] = name_must[i == 0 ? name : to];
    undo.first_state = f != NULL ? f->states_count - 1 : 0;
    may_be_full = crashes && fills;
}

static void put_back(struct file *f, const struct file *was)
{
    f->names = was->names;
    f->may = was->may;
    f->must = was->must;
    f->linked = was->linked;
}

static void found_no_space(void)
{
    struct stat st;
    may_be_full = false;
    refusals++;
    if (undo.name < 0) {
        settle(undo.f, undo.first_state);
        return;
    }
    if (undo.to < 0) { /* a file that was to be made */
        for (int i = 0; i < FILES; i++)
            if (files[i] != NULL && files[i] == at[undo.name]) free_file(i);
        at[undo.name] = NULL;
        need(NULL, lstat(path(undo.name), &st) != 0 && errno == ENOENT, "a file that found no space is there");
        return;
    }
    put_back(undo.f, &undo.file_was);
    if (undo.victim != NULL) put_back(undo.victim, &undo.victim_was);
    at[undo.name] = undo.f;
    at[undo.to] = undo.victim;
    name_must[undo.name] = undo.must[0];
    name_must[undo.to] = undo.must[1];
    note(undo.f, "no space");
    compare_all();
}

static void step(void)
{
    int name = (int)draw(NAMES), to = (int)draw(NAMES);
    struct file *f = at[name];
    if (draw(5) == 0) {
        switch (f == NULL ? 0 : draw(6)) {
        case 0:
            if (f == NULL) call_may_find_no_space(NULL, name, -1);
            f == NULL ? do_create(name) : do_unlink(name);
            return;
        case 1:
            call_may_find_no_space(f, name, to);
            do_link(name, to);
            return;
        case 2: compare_listing((int)draw(DIRS)); return;
        default:
            call_may_find_no_space(f, name, to);
            do_rename(name, to);
            return;
        }
    }
    f = any_file();
    if (f == NULL) return;
    unsigned what = draw(16);
    /* What a mapping or a long copy loses is told by no call that could be repeated. */
    if (fills && what >= 9 && what <= 11) what = 0;
    if (what <= 8) call_may_find_no_space(f, -1, -1);
    switch (what) {
    case 0:
    case 1:
    case 2:
    case 3: do_write(f, false); break;
    case 4:
    case 5: do_write(f, true); break;
    case 6:
    case 7: do_truncate(f); break;
    case 8: do_allocate(f); break;
    case 9:
    case 10: do_map(f); break;
    case 11: do_copy(f); break;
    case 12: do_sync(f); break;
    case 13: compare_part(f, 0, f->size + 10); break;
    default:
        if (f->fd >= 0) close(f->fd);
        f->fd = -1;
        return;
    }
    compare_stat(f);
}

static void on_bus_error(int number)
{
    (void)number;
    errno = EIO;
    need(NULL, false, "SIGBUS");
}

static void forget_unreachable(void)
{
    for (int i = 0; i < FILES && !crashes; i++)
        if (files[i] != NULL && !is_alive(files[i])) free_file(i);
}

int main(int argc, char **argv)
{
    char name[600];
    if (argc != 5 && argc != 7) {
        fprintf(stderr, "usage: tool_exercise DIRECTORY OPERATIONS SEED LARGEST [REMOUNT KILL]\n");
        return 2;
    }
    long end = strtol(argv[2], NULL, 10), remounts = argc > 5 ? strtol(argv[5], NULL, 10) : 0;
    long kills = argc > 6 ? strtol(argv[6], NULL, 10) : 0;
    root = argv[1];
    seed = (unsigned)strtoul(argv[3], NULL, 10);
    largest = strtoul(argv[4], NULL, 10);
    crashes = kills != 0;
    fills = kills < 0;
    buffer = calloc(1, largest + 4096);
    need(NULL, buffer != NULL && signal(SIGBUS, on_bus_error) != SIG_ERR, "no memory");
    for (int i = 1; i < DIRS; i++) {
        snprintf(name, sizeof name, "%s/%s", root, dirs[i]);
        need(NULL, mkdir(name, 0755) == 0, "mkdir");
    }
    do_create(0);
    links_work = link(path(0), path(1)) == 0;
    need(NULL, links_work ? unlink(path(1)) == 0 : errno == EPERM, "link");

    if (sigsetjmp(mount_died, 1) != 0) recover();
    while (operation < end || kill_asked) {
        operation++;
        if (kills > 0 && !kill_asked && operation % kills == 0) {
            printf("kill %u\n", draw(300));
            fflush(stdout);
            kill_asked = true;
        }
        if (remounts > 0 && operation % remounts == 0 && !kill_asked) remount();
        if (operation % 1000 == 0) compare_all();
        if (sigsetjmp(disk_full, 1) == 0) {
            step();
        } else {
            found_no_space();
        }
        may_be_full = false;
        forget_unreachable();
    }
    compare_all();
    if (fills) fprintf(stderr, "the disk was full %ld times\n", refusals);
    return 0;
}
