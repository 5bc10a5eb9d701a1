/* seekdir.c - positions in a directory survive inserts and deletes: readdir, telldir, seekdir, getdents64.
 *
 * seekdir DIRECTORY [COUNT]: works in an empty directory; prints its seed and takes it from SEED. Names sort by memcmp;
 * the directory lists in that order, which makes each expectation exact: what comes after a position is every name
 * that is there throughout and sorts behind it, once each. Exit status 0 or 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* As the kernel fills it in. */
struct kernel_dirent {
    uint64_t ino;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* Stable names are k00000000, k00000010, ...: always there. Others lie between them and come and go. */
enum { STEP = 10 };

static long count = 3000;
static int failures;

static void wrong(const char *what, const char *name)
{
    if (failures++ < 10) fprintf(stderr, "%s: %s\n", what, name);
}

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void name_of(char *name, long number)
{
    snprintf(name, 32, "k%08ld", number);
}

static void create_name(long number)
{
    char name[32];
    name_of(name, number);
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    if (fd < 0) die("create");
    close(fd);
}

static void delete_name(long number)
{
    char name[32];
    name_of(name, number);
    if (unlink(name) != 0 && errno != ENOENT) die("unlink");
}

/* The number in a name, -1 for "." and "..". */
static long number_of(const char *name)
{
    return name[0] == 'k' ? strtol(name + 1, NULL, 10) : -1;
}

/* Adds and removes some names that are not stable ones, near and far. */
static void disturb(long near)
{
    for (int i = 0; i < 8; i++) {
        long base = i < 4 ? near : random() % (count * STEP);
        long number = base / STEP * STEP + 1 + random() % (STEP - 1);
        if (random() % 2 == 0) {
            create_name(number);
        } else {
            delete_name(number);
        }
    }
}

/* Reads on from the directory's position. Every stable name from `next` on must come, in order and once; others only
 * above `last`. `most`: stop after so many stable names. */
static void expect_rest(DIR *dir, long last, long most, bool disturbing)
{
    struct dirent *entry;
    long next = last < 0 ? 0 : last / STEP * STEP + STEP;
    while (most > 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        long number = number_of(entry->d_name);
        if (number < 0) continue;
        if (number <= last) wrong("listed twice, or out of order", entry->d_name);
        last = number;
        if (number % STEP != 0) continue;
        if (number != next) wrong("names are missing before", entry->d_name);
        next = number + STEP;
        most--;
        if (disturbing && random() % 50 == 0) disturb(number);
    }
    if (most > 0 && errno != 0) die("readdir");
    if (most > 0 && next != count * STEP) wrong("the listing ended early", "");
}

/* Positions kept from one pass lead back to the same place, whatever came and went since. */
static void kept_positions_survive(void)
{
    DIR *dir = opendir(".");
    long *positions = calloc((size_t)count, sizeof *positions);
    if (dir == NULL || positions == NULL) die("opendir");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        long number = number_of(entry->d_name);
        if (number >= 0 && number % STEP == 0) positions[number / STEP] = telldir(dir);
    }
    for (int i = 0; i < 200; i++) {
        long at = random() % count;
        disturb(at * STEP);
        seekdir(dir, positions[at]);
        expect_rest(dir, at * STEP, 5, false);
    }
    /* The entry that a position stands on may itself be gone. */
    for (int i = 0; i < 50; i++) {
        long at = 1 + random() % (count - 1), position;
        create_name(at * STEP + 5);
        rewinddir(dir);
        struct dirent *entry;
        while ((entry = readdir(dir)) != NULL && number_of(entry->d_name) != at * STEP + 5) continue;
        if (entry == NULL) wrong("a name created before rewinddir is missing", "");
        position = telldir(dir);
        delete_name(at * STEP + 5);
        seekdir(dir, position);
        expect_rest(dir, at * STEP + 5, 3, false);
    }
    free(positions);
    closedir(dir);
}

/* All the names between `blocks` stable ones behind a place, and none of them: many leaves of an index, several
 * requests for a listing. */
static void change_block(long at, long blocks, void (*change)(long number))
{
    for (long number = at * STEP + 1; number < (at + blocks) * STEP; number++)
        if (number % STEP != 0) change(number);
}

/* The position on an entry of this number, which must be there. */
static long position_of(DIR *dir, long number)
{
    struct dirent *entry;
    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL && number_of(entry->d_name) != number) continue;
    if (entry == NULL) wrong("a name that is there is not listed", "");
    return telldir(dir);
}

/* Positions in front of, in the midst of and behind a block of names that comes and goes. */
static void positions_survive_blocks_of_inserts_and_deletes(void)
{
    long blocks = count / 2 < 300 ? count / 2 : 300;
    DIR *dir = opendir(".");
    if (dir == NULL) die("opendir");
    for (int i = 0; i < 3; i++) {
        long at = random() % (count - blocks), middle = at + blocks / 2, end = at + blocks;
        change_block(at, blocks, delete_name);
        long front = position_of(dir, at * STEP);
        long behind = position_of(dir, end * STEP);
        change_block(at, blocks, create_name);
        seekdir(dir, front);
        expect_rest(dir, at * STEP, blocks + 3, false);
        long within = position_of(dir, middle * STEP + 5);
        seekdir(dir, behind);
        expect_rest(dir, end * STEP, 5, false);
        change_block(at, blocks, delete_name);
        seekdir(dir, within);
        expect_rest(dir, middle * STEP + 5, blocks, false);
        seekdir(dir, front);
        expect_rest(dir, at * STEP, blocks, false);
        seekdir(dir, behind);
        expect_rest(dir, end * STEP, 5, false);
    }
    closedir(dir);
}

/* A pass over everything while names come and go around it. */
static void a_pass_while_names_come_and_go(void)
{
    for (int i = 0; i < 3; i++) {
        DIR *dir = opendir(".");
        if (dir == NULL) die("opendir");
        expect_rest(dir, -1, count + 1, true);
        closedir(dir);
    }
}

/* Two open directories do not share a position. */
static void two_readers_do_not_mix(void)
{
    DIR *one = opendir("."), *two = opendir(".");
    if (one == NULL || two == NULL) die("opendir");
    expect_rest(one, -1, count / 2, false);
    expect_rest(two, -1, count + 1, true);
    expect_rest(one, (count / 2 - 1) * STEP, count, false);
    rewinddir(two);
    expect_rest(two, -1, count + 1, false);
    closedir(one);
    closedir(two);
}

/* The system call itself, with a buffer for a handful of entries and a new descriptor for each of them. */
static void small_buffers_and_offsets(void)
{
    char buffer[256] __attribute__((aligned(8)));
    long last = -1, next = 0;
    int64_t offset = 0;
    for (bool more = true; more;) {
        int fd = open(".", O_RDONLY | O_DIRECTORY);
        if (fd < 0 || lseek(fd, offset, SEEK_SET) != offset) die("lseek");
        long got = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (got < 0) die("getdents64");
        for (long at = 0; at < got;) {
            struct kernel_dirent *entry = (struct kernel_dirent *)(void *)(buffer + at);
            long number = number_of(entry->name);
            at += entry->size;
            if (entry->offset == offset) wrong("an entry's offset is that of the one before", entry->name);
            offset = entry->offset;
            if (number < 0) continue;
            if (number <= last) wrong("getdents64 listed it twice, or out of order", entry->name);
            if (number % STEP == 0 && number != next) wrong("getdents64 missed names before", entry->name);
            if (number % STEP == 0) next = number + STEP;
            last = number;
        }
        more = got > 0;
        close(fd);
        if (random() % 10 == 0) disturb(last < 0 ? 0 : last);
    }
    if (next != count * STEP) wrong("getdents64 ended early", "");
}

static void stable_renames(void)
{
    DIR *dir = opendir(".");
    char from[32], to[32];
    if (dir == NULL) die("opendir");
    expect_rest(dir, -1, count / 2, false);
    long position = telldir(dir);
    /* A name in front of the position moves behind it and back: neither skips nor doubles a stable one. */
    create_name(1);
    name_of(from, 1);
    name_of(to, count * STEP - 1);
    if (rename(from, to) != 0) die("rename");
    seekdir(dir, position);
    expect_rest(dir, (count / 2 - 1) * STEP, count, false);
    if (rename(to, from) != 0) die("rename");
    seekdir(dir, position);
    expect_rest(dir, (count / 2 - 1) * STEP, count, false);
    delete_name(1);
    closedir(dir);
}

int main(int argc, char **argv)
{
    const char *given = getenv("SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL) ^ (unsigned)getpid();
    if (argc < 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: seekdir DIRECTORY [COUNT]\n");
        return 2;
    }
    if (argc > 2) count = strtol(argv[2], NULL, 10);
    if (count < 100) count = 100;
    printf("seekdir: SEED=%u, %ld names\n", seed, count);
    fflush(stdout);
    srandom(seed);
    for (long i = 0; i < count; i++) create_name(i * STEP);
    kept_positions_survive();
    positions_survive_blocks_of_inserts_and_deletes();
    a_pass_while_names_come_and_go();
    two_readers_do_not_mix();
    small_buffers_and_offsets();
    stable_renames();
    printf("seekdir: %d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
