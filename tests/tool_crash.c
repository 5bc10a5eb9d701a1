/* tool_crash.c - writes files so that after a crash it can be told what must be there, and checks that it is.
 *
 * tool_crash write DIRECTORY LOG SEED: works in DIRECTORY until a call fails (the mount died) and writes to LOG, which
 *     lies elsewhere, what has been made durable. Exit status 0 then; 1 when a call failed in another way.
 * tool_crash check DIRECTORY LOG: exit status 0 when DIRECTORY holds what LOG promises.
 *
 * PROBE: a file on the disk below the mount, which is looked at after each fsync and before LOG gets its line. Linux
 * may say of an fsync that is under way while ext4 is shut down that it was done, though its transaction was thrown
 * away (tool_godown.c): when an fsync of PROBE fails, nothing was promised.
 *
 * Four kinds of work, mixed by the seed:
 *     new      n000001 ...: created, written, fsynced
 *     rewrite  rewritten: truncated, written and fsynced again and again: old or new content, never a mix
 *     save     document: written under another name, fsynced, renamed: at every moment one of both is whole
 *     move     one/m00 ... or two/m00 ...: renamed across directories and back: under exactly one of both names
 * Content is "GENERATION SIZE" and then bytes that both decide, so a torn or mixed file is recognised.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MOVED = 16, LARGEST = 300000 };

static char text[LARGEST + 64];
static int probe = -1;

static int wrong(const char *what, const char *name, long generation)
{
    fprintf(stderr, "%s: %s (generation %ld)\n", name, what, generation);
    return 1;
}

/* Fills `text` with the content of a generation; returns its size. Small and large ones alternate. */
static size_t compose(long generation)
{
    size_t size = (size_t)(generation * 7919 % (generation % 8 == 0 ? LARGEST : 900)) + 32;
    memset(text, 0, 32);
    snprintf(text, 32, "%ld %zu\n", generation, size);
    for (size_t at = 32; at < size; at++) text[at] = (char)('a' + ((size_t)generation + at / 7) % 26);
    return size;
}

/* Whether the mount is gone: all calls on it fail with one of three errors then. EIO would be a fault, but for one
 * case: where the kill meets the daemon inside write(2), copying its answer, the kernel fails the request it was for
 * with EIO. statfs(2), which no cache answers, then tells a dead daemon from one that failed. */
static bool crashed(void)
{
    struct statfs space;
    if (errno == EIO && statfs(".", &space) == 0) errno = EIO;
    return errno == ENOTCONN || errno == ECONNABORTED || errno == ENODEV;
}

/* Writes and fsyncs a generation; false with errno set. */
static bool write_synced(const char *name, long generation)
{
    size_t size = compose(generation), done = 0;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return false;
    while (done < size) {
        ssize_t put = write(fd, text + done, size - done);
        if (put < 0) break;
        done += (size_t)put;
    }
    if (done < size || fsync(fd) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return false;
    }
    return close(fd) == 0;
}

/* The generation in a file, 0 if it is absent or empty, -1 if its content is no whole generation. */
static long read_generation(const char *name)
{
    static char found[LARGEST + 128];
    size_t size = 0;
    int fd = open(name, O_RDONLY);
    if (fd < 0) return errno == ENOENT ? 0 : -1;
    for (ssize_t got; size < sizeof found && (got = read(fd, found + size, sizeof found - size)) > 0;)
        size += (size_t)got;
    close(fd);
    if (size == 0) return 0;
    if (size < 32) return -1;
    long generation = strtol(found, NULL, 10);
    if (generation <= 0 || compose(generation) != size || memcmp(text, found, size) != 0) return -1;
    return generation;
}

/* False too if the disk is gone: what it said last counts for nothing. */
static bool note(FILE *log, const char *kind, long number)
{
    if (probe >= 0 && fsync(probe) != 0) return false;
    return fprintf(log, "%s %ld\n", kind, number) > 0 && fflush(log) == 0;
}

/* One step of the work; false when a call failed. */
static bool step(FILE *log, long i, unsigned *seed)
{
    static bool in_two[MOVED];
    char from[32], to[32];
    switch (rand_r(seed) % 4) {
    case 0: snprintf(from, sizeof from, "n%06ld", i); return write_synced(from, i) && note(log, "new", i);
    case 1: return write_synced("rewritten", i) && note(log, "rewrite", i);
    case 2:
        /* Noted between fsync and rename: from here on generation i stands under one of the two names. */
        return write_synced("document.new", i) && note(log, "save", i) && rename("document.new", "document") == 0;
    default:
        for (int n = 0; n < 4; n++) {
            int m = rand_r(seed) % MOVED;
            snprintf(from, sizeof from, "%s/m%02d", in_two[m] ? "two" : "one", m);
            snprintf(to, sizeof to, "%s/m%02d", in_two[m] ? "one" : "two", m);
            if (rename(from, to) != 0) return false;
            in_two[m] = !in_two[m];
        }
        return true;
    }
}

static int write_until_crash(const char *log_path, unsigned seed)
{
    FILE *log = fopen(log_path, "a");
    if (log == NULL) return wrong(strerror(errno), log_path, 0);
    const char *probed = getenv("PROBE");
    if (probed != NULL && (probe = open(probed, O_RDONLY)) < 0) return wrong(strerror(errno), probed, 0);
    bool going = mkdir("one", 0755) == 0 && mkdir("two", 0755) == 0;
    for (int m = 0; going && m < MOVED; m++) {
        char name[32];
        snprintf(name, sizeof name, "one/m%02d", m);
        going = write_synced(name, m + 1) && note(log, "move", m);
    }
    for (long i = 1; going; i++) going = step(log, i, &seed);
    if (!crashed()) return wrong(strerror(errno), "a call failed, and not for a crash", 0);
    fclose(log);
    return 0;
}

static int check_moved(long m)
{
    char one[32], two[32];
    snprintf(one, sizeof one, "one/m%02ld", m);
    snprintf(two, sizeof two, "two/m%02ld", m);
    long a = read_generation(one), b = read_generation(two);
    if (a == 0 && b == 0) return wrong("a moved file is under neither name", one, m + 1);
    if (a != 0 && b != 0) return wrong("a moved file is under both names", one, m + 1);
    return a + b == m + 1 ? 0 : wrong("a moved file has changed", one, m + 1);
}

static int check(const char *log_path)
{
    char kind[16], name[32];
    long number, rewritten = 0, saved = 0, promises = 0;
    int status = 0;
    FILE *log = fopen(log_path, "r");
    if (log == NULL) return wrong(strerror(errno), log_path, 0);
    while (fscanf(log, "%15s %ld", kind, &number) == 2) {
        promises++;
        if (strcmp(kind, "rewrite") == 0) rewritten = number;
        if (strcmp(kind, "save") == 0) saved = number;
        if (strcmp(kind, "move") == 0) status |= check_moved(number);
        if (strcmp(kind, "new") != 0) continue;
        snprintf(name, sizeof name, "n%06ld", number);
        if (read_generation(name) != number) status |= wrong("an fsynced file is not there in full", name, number);
    }
    fclose(log);
    long found = read_generation("rewritten");
    /* At an end in good order a file may just have been truncated. */
    struct stat st;
    bool emptied = getenv("MAY_BE_EMPTY") != NULL && stat("rewritten", &st) == 0 && st.st_size == 0;
    if (found < rewritten && !emptied)
        status |= wrong("not the fsynced content or a later one", "rewritten", rewritten);
    long document = read_generation("document"), beside = read_generation("document.new");
    if (document < 0) status |= wrong("torn", "document", saved);
    if (document < saved && beside < saved) status |= wrong("an fsynced save is under neither name", "document", saved);
    printf("%ld promises kept\n", promises);
    return status;
}

int main(int argc, char **argv)
{
    bool writing = argc == 5 && strcmp(argv[1], "write") == 0;
    if (!writing && !(argc == 4 && strcmp(argv[1], "check") == 0)) {
        fprintf(stderr, "usage: tool_crash write DIRECTORY LOG SEED | check DIRECTORY LOG\n");
        return 2;
    }
    if (chdir(argv[2]) != 0) return wrong(strerror(errno), argv[2], 0);
    return writing ? write_until_crash(argv[3], (unsigned)strtoul(argv[4], NULL, 10)) : check(argv[3]);
}
