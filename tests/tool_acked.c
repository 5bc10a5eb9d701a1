/* tool_acked.c - writes files and notes which ones the mount has acknowledged, for tests of ends that lose nothing.
 *
 * tool_acked write DIRECTORY LOG SEED: creates, overwrites, renames and removes files in DIRECTORY until a call fails,
 *     or $ACKED_CHANGES were made;
 *     after each that succeeded, without any fsync, LOG, which lies elsewhere, gets a line. Exit status 0.
 * tool_acked check DIRECTORY LOG: exit status 0 when each file is as the last line about it says, or, of the one file
 *     that was being changed when the end came, as the change would have left it. Prints how many were acknowledged.
 * tool_acked verify DIRECTORY LOG: the same while the disk is failing: a file may also be unreadable (EIO), and not
 *     wrong.
 *
 * A file is f000..f511; its content is "GENERATION SIZE" and bytes that both decide. A LOG line is "NAME GENERATION",
 * -1: there is none. Before each change "? NAME GENERATION" says what it will be.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 512, LARGEST = 1500000 };

static char text[LARGEST + 64];
static FILE *ledger;

static unsigned long long seed;

static unsigned next(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

/* At most $ACKED_LARGEST bytes, where that is set; the same at write and at check. */
static size_t compose(long generation)
{
    static size_t largest;
    if (largest == 0) {
        const char *given = getenv("ACKED_LARGEST");
        largest = given == NULL ? LARGEST : (size_t)strtoul(given, NULL, 10);
        if (largest < 64 || largest > LARGEST) largest = LARGEST;
    }
    size_t below = generation % 64 == 0 ? LARGEST : generation % 8 == 0 ? 100000 : 900;
    if (below > largest - 32) below = largest - 32;
    size_t size = (size_t)(generation * 7919) % below + 32;
    memset(text, 0, 32);
    snprintf(text, 32, "%ld %zu\n", generation, size);
    for (size_t at = 32; at < size; at++) text[at] = (char)('a' + ((size_t)generation + at / 7) % 26);
    return size;
}

static void name_of(char name[16], unsigned file)
{
    snprintf(name, 16, "f%03u", file);
}

/* One write(2) to the log: the tool may be killed as well. */
static void note(const char *mark, unsigned file, long generation)
{
    fprintf(ledger, "%sf%03u %ld\n", mark, file, generation);
    fflush(ledger);
}

static bool put(const char *name, long generation)
{
    size_t size = compose(generation), done = 0;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return false;
    while (done < size) {
        ssize_t n = write(fd, text + done, size - done);
        if (n < 0) break;
        done += (size_t)n;
    }
    return (close(fd) == 0) & (done == size);
}

static int write_files(void)
{
    static long now[FILES];
    const char *given = getenv("ACKED_CHANGES");
    long most = given == NULL ? LONG_MAX : strtol(given, NULL, 10);
    memset(now, -1, sizeof now);
    for (long generation = 1; generation <= most; generation++) {
        unsigned file = next(FILES), what = next(10);
        char name[16], other[16];
        name_of(name, file);
        if (what == 0 && now[file] >= 0) {
            note("? ", file, -1);
            if (unlink(name) != 0) return 0;
            now[file] = -1;
            note("", file, -1);
        } else if (what == 1 && now[file] >= 0) {
            unsigned to = (file + 1 + next(FILES - 1)) % FILES;
            name_of(other, to);
            note("? ", file, -1);
            note("? ", to, now[file]);
            if (rename(name, other) != 0) return 0;
            now[to] = now[file];
            now[file] = -1;
            note("", to, now[to]);
            note("", file, -1);
        } else {
            note("? ", file, generation);
            if (!put(name, generation)) return 0;
            now[file] = generation;
            note("", file, generation);
        }
    }
    return 0;
}

/* The generation that a file holds whole; -1: there is no file; -2: something else; -3: it cannot be read. */
static long generation_of(const char *name)
{
    static char found[LARGEST + 64];
    long generation = -2;
    size_t size = 0, done = 0;
    int fd = open(name, O_RDONLY);
    if (fd < 0) return errno == ENOENT ? -1 : errno == EIO ? -3 : -2;
    for (;;) {
        ssize_t n = read(fd, found + done, sizeof found - done);
        if (n < 0) {
            int error = errno;
            close(fd);
            return error == EIO ? -3 : -2;
        }
        if (n == 0) break;
        done += (size_t)n;
    }
    close(fd);
    if (done < 32 || sscanf(found, "%ld %zu", &generation, &size) != 2 || size != done) return -2;
    return compose(generation) == size && memcmp(found, text, size) == 0 ? generation : -2;
}

static int check_files(bool failing)
{
    static long acked[FILES], tried[FILES];
    static bool open_end[FILES];
    char line[64];
    long lines = 0;
    int wrong = 0, unreadable = 0;
    memset(acked, -1, sizeof acked);
    while (fgets(line, sizeof line, ledger) != NULL) {
        bool before = line[0] == '?';
        unsigned file = 0;
        long generation = 0;
        if (sscanf(line + (before ? 2 : 0), "f%u %ld", &file, &generation) != 2 || file >= FILES) continue;
        if (before) {
            tried[file] = generation;
        } else {
            acked[file] = generation;
            lines++;
        }
        open_end[file] = before;
    }
    for (unsigned file = 0; file < FILES; file++) {
        char name[16];
        name_of(name, file);
        long found = generation_of(name);
        if (found == acked[file]) continue;
        /* The last change: done, not done, or, of one that overwrites, cut to nothing or short. */
        if (open_end[file] && (found == tried[file] || (found == -2 && tried[file] >= 0))) continue;
        if (failing && found == -3) {
            unreadable++;
            continue;
        }
        fprintf(stderr, "%s: wanted generation %ld, found %ld\n", name, acked[file], found);
        wrong++;
    }
    printf("%ld acknowledged, %d wrong, %d unreadable\n", lines, wrong, unreadable);
    return wrong > 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    bool writes = strcmp(argv[1], "write") == 0;
    ledger = fopen(argv[3], writes ? "w" : "r");
    if (ledger == NULL || chdir(argv[2]) != 0) {
        perror(ledger == NULL ? argv[3] : argv[2]);
        return 1;
    }
    if (writes && argc > 4) seed = strtoull(argv[4], NULL, 0);
    return writes ? write_files() : check_files(strcmp(argv[1], "verify") == 0);
}
