/* tool_load.c - clients that work in a mount side by side, each knowing what its files must hold.
 *
 * tool_load run DIRECTORY SECONDS SEED CLIENTS LEDGER: in DIRECTORY, which is empty, each client makes a directory of
 *     its own and there creates, appends, rewrites, truncates, renames, exchanges, links and unlinks files, small and
 *     large, sets extended attributes, lists, reads, makes trees and removes them; and looks at what the others do.
 * What it reads of its own must be what it wrote. At the end each writes LEDGER.<client>. Prints how many calls were
 * made. tool_load check DIRECTORY CLIENTS LEDGER: DIRECTORY holds just what these files say. Exit status 0, or 1 when a
 * call failed that must not, or something was not as it should be.
 *
 * A file is a number and a size: the byte at an offset follows from number and offset, so that appends, and rewrites of
 * a part, leave it whole. The number 0 means that there is no file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { DIRECTORIES = 4, FILES = 24, SLOTS = DIRECTORIES * FILES, LARGEST = 4 << 20, SMALL = 20000, SHARED = 6 };

struct file {
    uint64_t number, note; /* note: of the extended attribute; 0: it has none */
    size_t size;
};

static struct file files[SLOTS];
static unsigned char bytes[LARGEST], found[LARGEST];
static uint64_t state, calls;
static unsigned client, clients;
static bool failed;

static uint64_t scramble(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t draw(size_t below)
{
    state += 0x9e3779b97f4a7c15u;
    return (size_t)(scramble(state) % below);
}

static void compose(unsigned char *to, uint64_t number, size_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        size_t at = offset + i;
        uint64_t word = scramble(number * 0x9e3779b97f4a7c15u + at / 8);
        to[i] = (unsigned char)(word >> at % 8 * 8);
    }
}

static const char *path_of(unsigned who, size_t slot)
{
    static char paths[2][48];
    static unsigned turn;
    char *path = paths[turn = 1 - turn];
    snprintf(path, sizeof paths[0], "c%u/d%zu/f%zu", who, slot / FILES, slot % FILES);
    return path;
}

static bool wrong(const char *what, const char *name)
{
    fprintf(stderr, "client %u: %s: %s\n", client, name, what);
    failed = true;
    return false;
}

/* A call of ours that must succeed. */
static bool must(const char *what, const char *name, bool done)
{
    calls++;
    if (done) return true;
    fprintf(stderr, "client %u: %s %s: %s\n", client, what, name, strerror(errno));
    failed = true;
    return false;
}

/* A call on what others change meanwhile: these two errors are none. */
static void may(const char *what, const char *name, bool done)
{
    calls++;
    if (!done && errno != ENOENT && errno != EEXIST) must(what, name, false);
}

/* ---- reading ---- */

static bool verify_part(int fd, const char *name, const struct file *file, size_t offset, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = pread(fd, found + got, size - got, (off_t)(offset + got));
        if (!must("read", name, n >= 0)) return false;
        if (n == 0) break;
        got += (size_t)n;
    }
    if (got < size) return wrong("too short", name);
    compose(bytes, file->number, offset, size);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == found[i]) continue;
        fprintf(stderr, "client %u: %s: another byte at %zu of %zu\n", client, name, offset + i, file->size);
        failed = true;
        return false;
    }
    return true;
}

static void verify_note(const char *name, const struct file *file)
{
    uint64_t value = 0;
    ssize_t got = getxattr(name, "user.note", &value, sizeof value);
    if (file->note == 0 && got < 0 && errno == ENODATA) return;
    if (must("getxattr", name, got >= 0) && (got != sizeof value || value != file->note))
        (void)wrong("another attribute", name);
}

/* All of a file, or a part of it. */
static void verify_file(const char *name, const struct file *file, bool all)
{
    struct stat st;
    int fd = open(name, O_RDONLY);
    if (file->number == 0) {
        if (fd >= 0 || errno != ENOENT) (void)wrong("is there", name);
        if (fd >= 0) close(fd);
        return;
    }
    if (!must("open", name, fd >= 0)) return;
    size_t offset = all || file->size == 0 ? 0 : draw(file->size), size = file->size - offset;
    if (!all && size > 65536) size = 65536;
    if (must("fstat", name, fstat(fd, &st) == 0) && (size_t)st.st_size != file->size) (void)wrong("another size", name);
    (void)verify_part(fd, name, file, offset, size);
    must("close", name, close(fd) == 0);
    verify_note(name, file);
}

/* A directory of ours has just the names that it should. */
static void list(unsigned who, size_t directory)
{
    char name[32];
    bool seen[FILES] = {false};
    size_t count = 0, wanted = 0;
    snprintf(name, sizeof name, "c%u/d%zu", who, directory);
    DIR *dir = opendir(name);
    if (!must("opendir", name, dir != NULL)) return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        size_t n = (size_t)strtoul(entry->d_name + 1, NULL, 10);
        if (entry->d_name[0] != 'f' || n >= FILES || seen[n])
            (void)wrong("odd, or listed twice", entry->d_name);
        else
            seen[n] = true;
        count++;
    }
    closedir(dir);
    for (size_t n = 0; n < FILES; n++) {
        bool is = files[directory * FILES + n].number != 0;
        wanted += is;
        if (is && !seen[n]) (void)wrong("not listed", path_of(who, directory * FILES + n));
    }
    if (count != wanted) (void)wrong("lists another number of files", name);
}

/* ---- writing ---- */

static bool put(int fd, const char *name, uint64_t number, size_t offset, size_t size)
{
    size_t done = 0;
    compose(bytes, number, offset, size);
    while (done < size) {
        size_t part = size - done < 131072 ? size - done : 131072;
        ssize_t n = pwrite(fd, bytes + done, part, (off_t)(offset + done));
        if (!must("write", name, n > 0)) return false;
        done += (size_t)n;
    }
    return true;
}

static void create(const char *name, struct file *file, bool large)
{
    size_t size = large ? 100000 + draw(LARGEST - 100000) : draw(SMALL);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (!must("create", name, fd >= 0)) return;
    if (file->number == 0) file->note = 0;
    file->number = 1 + draw((size_t)1 << 40);
    file->size = size;
    (void)put(fd, name, file->number, 0, size);
    if (draw(4) == 0) must("fsync", name, fsync(fd) == 0);
    must("close", name, close(fd) == 0);
}

/* Appends, writes a part anew, or cuts. */
static void change(const char *name, struct file *file)
{
    size_t offset = file->size, size = draw(8000);
    int fd = open(name, O_RDWR);
    if (!must("open", name, fd >= 0)) return;
    switch (draw(4)) {
    case 0:
        file->size = file->size == 0 ? 0 : draw(file->size);
        must("ftruncate", name, ftruncate(fd, (off_t)file->size) == 0);
        break;
    case 1:
        if (file->size == 0) break;
        offset = draw(file->size);
        if (size > file->size - offset) size = file->size - offset;
        (void)put(fd, name, file->number, offset, size);
        break;
    default:
        if (file->size + size > LARGEST) break;
        (void)put(fd, name, file->number, offset, size);
        file->size += size;
    }
    if (draw(8) == 0) must("fdatasync", name, fdatasync(fd) == 0);
    must("close", name, close(fd) == 0);
}

static void move(size_t from, size_t to)
{
    const char *a = path_of(client, from), *b = path_of(client, to);
    bool exchange = files[to].number != 0 && draw(3) == 0;
    struct file other = files[to];
    if (from == to || !must("rename", a, renameat2(AT_FDCWD, a, AT_FDCWD, b, exchange ? RENAME_EXCHANGE : 0) == 0))
        return;
    files[to] = files[from];
    files[from] = exchange ? other : (struct file){0};
}

static void set_note(const char *name, struct file *file)
{
    if (file->note != 0 && draw(3) == 0) {
        if (must("removexattr", name, removexattr(name, "user.note") == 0)) file->note = 0;
        return;
    }
    file->note = 1 + draw((size_t)1 << 40);
    must("setxattr", name, setxattr(name, "user.note", &file->note, sizeof file->note, 0) == 0);
}

/* A second name, read through and taken away. */
static void second_name(const char *name, const struct file *file)
{
    char other[32];
    struct stat st;
    snprintf(other, sizeof other, "c%u/link", client);
    if (!must("link", name, link(name, other) == 0)) return;
    if (must("stat", other, stat(other, &st) == 0) && st.st_nlink != 2) (void)wrong("not two links", other);
    verify_file(other, file, false);
    must("unlink", other, unlink(other) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)where;
    must("remove", path, (type == FTW_DP ? rmdir(path) : unlink(path)) == 0);
    return 0;
}

/* rm -r of a tree that was just made. */
static void come_and_go(void)
{
    char name[64];
    snprintf(name, sizeof name, "c%u/tree", client);
    if (!must("mkdir", name, mkdir(name, 0755) == 0)) return;
    for (unsigned d = 0; d < 3 && !failed; d++) {
        snprintf(name, sizeof name, "c%u/tree/d%u", client, d);
        must("mkdir", name, mkdir(name, 0755) == 0);
        for (unsigned n = 0; n < 5 && !failed; n++) {
            struct file file = {0};
            snprintf(name, sizeof name, "c%u/tree/d%u/f%u", client, d, n);
            if (n == 4)
                must("symlink", name, symlink("f0", name) == 0);
            else
                create(name, &file, false);
        }
    }
    snprintf(name, sizeof name, "c%u/tree", client);
    must("rm -r", name, nftw(name, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/* Files of all, and of the others: what they hold changes meanwhile. */
static void meet_others(void)
{
    char a[32], b[32];
    struct statvfs space;
    const char *theirs = path_of((unsigned)draw(clients), draw(SLOTS));
    int fd = open(theirs, O_RDONLY);
    may("open", theirs, fd >= 0);
    if (fd >= 0) {
        must("read", theirs, read(fd, found, 65536) >= 0);
        close(fd);
    }
    snprintf(a, sizeof a, "shared/s%zu", draw(SHARED));
    snprintf(b, sizeof b, "shared/s%zu", draw(SHARED));
    switch (draw(4)) {
    case 0: may("rename", a, rename(a, b) == 0); break;
    case 1: may("unlink", a, unlink(a) == 0); break;
    case 2: must("statvfs", ".", statvfs(".", &space) == 0); break;
    default:
        fd = open(a, O_RDWR | O_CREAT, 0644);
        must("open", a, fd >= 0);
        if (fd >= 0) must("write", a, pwrite(fd, bytes, 3000, (off_t)draw(9000)) == 3000);
        if (fd >= 0) must("close", a, close(fd) == 0);
    }
}

static void step(void)
{
    size_t slot = draw(SLOTS);
    const char *name = path_of(client, slot);
    struct file *file = &files[slot];
    if (file->number == 0 && draw(3) != 0) {
        create(name, file, draw(40) == 0);
        return;
    }
    size_t what = draw(20);
    if (what == 0)
        list(client, draw(DIRECTORIES));
    else if (what == 1 && draw(4) == 0)
        come_and_go();
    else if (what < 4)
        meet_others();
    else if (what < 9 || file->number == 0)
        verify_file(name, file, draw(8) == 0);
    else if (what < 12)
        change(name, file);
    else if (what < 14)
        move(slot, draw(SLOTS));
    else if (what == 14)
        set_note(name, file);
    else if (what == 15)
        second_name(name, file);
    else if (what < 18)
        create(name, file, draw(40) == 0);
    else if (must("unlink", name, unlink(name) == 0))
        *file = (struct file){0};
}

/* ---- a run ---- */

static FILE *open_ledger(const char *place, unsigned who, const char *mode)
{
    char name[4096];
    snprintf(name, sizeof name, "%s.%u", place, who);
    FILE *ledger = fopen(name, mode);
    if (ledger == NULL) perror(name);
    return ledger;
}

static void check_all(void)
{
    for (size_t d = 0; d < DIRECTORIES; d++) list(client, d);
    for (size_t slot = 0; slot < SLOTS && !failed; slot++) verify_file(path_of(client, slot), &files[slot], true);
}

static int work(FILE *ledger, double seconds, FILE *counts)
{
    char name[32];
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds;
    for (unsigned d = 0; d <= DIRECTORIES; d++) {
        snprintf(name, sizeof name, d == 0 ? "c%u" : "c%u/d%u", client, d - 1);
        if (!must("mkdir", name, mkdir(name, 0755) == 0)) return 1;
    }
    do {
        for (int i = 0; i < 10 && !failed; i++) step();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (!failed && (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec)));
    if (!failed) check_all();
    for (size_t slot = 0; slot < SLOTS; slot++)
        fprintf(ledger, "%" PRIu64 " %zu %" PRIu64 "\n", files[slot].number, files[slot].size, files[slot].note);
    fprintf(counts, "%" PRIu64 "\n", calls);
    return (fclose(ledger) != 0) | (fclose(counts) != 0) | failed;
}

static int run(const char *directory, double seconds, uint64_t seed, const char *place)
{
    int worst = 0, status = 0;
    uint64_t total = 0;
    FILE *counts = tmpfile();
    if (counts == NULL || chdir(directory) != 0 || mkdir("shared", 0755) != 0) return perror(directory), 1;
    setvbuf(counts, NULL, _IOLBF, 0);
    for (client = 0; client < clients; client++) {
        FILE *ledger = open_ledger(place, client, "w");
        pid_t child = ledger == NULL ? -1 : fork();
        if (child < 0) return 1;
        state = seed * 1000003u + client;
        if (child == 0) _exit(work(ledger, seconds, counts));
        fclose(ledger);
    }
    while (wait(&status) > 0)
        if (status != 0) worst = 1;
    rewind(counts);
    for (uint64_t n; fscanf(counts, "%" SCNu64, &n) == 1;) total += n;
    printf("calls %" PRIu64 "\n", total);
    return worst;
}

static int check(const char *directory, const char *place)
{
    if (chdir(directory) != 0) return perror(directory), 1;
    for (client = 0; client < clients; client++) {
        FILE *ledger = open_ledger(place, client, "r");
        if (ledger == NULL) return 1;
        for (size_t slot = 0; slot < SLOTS; slot++)
            if (fscanf(ledger, "%" SCNu64 " %zu %" SCNu64, &files[slot].number, &files[slot].size, &files[slot].note) !=
                    3 ||
                files[slot].size > LARGEST)
                return fprintf(stderr, "%s.%u: cut off\n", place, client), 1;
        fclose(ledger);
        check_all();
    }
    return failed;
}

int main(int argc, char **argv)
{
    bool runs = argc == 7 && strcmp(argv[1], "run") == 0;
    if (!runs && !(argc == 5 && strcmp(argv[1], "check") == 0)) {
        fprintf(stderr,
                "usage: tool_load run DIRECTORY SECONDS SEED CLIENTS LEDGER | check DIRECTORY CLIENTS LEDGER\n");
        return 2;
    }
    clients = (unsigned)strtoul(argv[runs ? 5 : 3], NULL, 10);
    return runs ? run(argv[2], strtod(argv[3], NULL), strtoull(argv[4], NULL, 10), argv[6]) : check(argv[2], argv[4]);
}
