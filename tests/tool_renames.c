/* tool_renames.c - renames at random beside a model that knows what a crash may leave of them.
 *
 * tool_renames write DIRECTORY LOG SEED ROOT [PID SYNCS]: works in DIRECTORY until a call fails because the mount died,
 * and writes to LOG, which lies elsewhere, how far it came. ROOT: the mount's root directory, for the fsync that covers
 * all. PID: of the daemon, to be killed as soon as SYNCS syncs have returned. Exit status 0 when the mount died; 1 when
 * a call failed in another way.
 *
 * tool_renames check DIRECTORY LOG SEED: exit status 0 when what is in DIRECTORY may be there.
 *
 * Files and directories are made, written, renamed within and across directories, onto others, exchanged, removed, and
 * sometimes synced. The steps follow from the seed alone, so the checker goes through them again. For each thing the
 * model knows the places where it may be: that of its last sync and each one since. A file says in its content which
 * one it is, and which generation of it; a directory is known by its number.
 *
 * Checked: nothing is in two places, or where it never was, or has bytes of two generations; what was synced is there,
 * at its place or a later one, unless it was removed or replaced since; where a synced file was replaced by one that
 * was not, one of the two is there; what was removed before a sync that covers it is not there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { THINGS = 6000, PLACES = 48, NAMES = 9, DIRECTORIES = 9, FILES = 30, LARGEST = 90000, NONE = -1 };

struct place {
    int parent; /* a thing */
    int name;
};

struct thing {
    bool is_dir;
    bool alive;
    bool must; /* it must be there after a crash */
    struct place at;
    struct place may[PLACES];
    int may_count;
    long generation; /* of a file's content; `synced`: what is durable of it */
    long synced;
    int replaced_by; /* NONE, or the thing that is there if this one is not */
    uint64_t ino;    /* directories, in the checker */
    int found;       /* checker: how often */
};

enum kind { CREATE, MKDIR, REWRITE, REMOVE, RENAME, EXCHANGE, NOREPLACE, SYNC_FILE, SYNC_DIR, SYNC_ALL };

struct step {
    enum kind kind;
    int thing;       /* what it is about */
    struct place to; /* where it goes */
    int other;       /* what is there; NONE */
};

static struct thing things[THINGS]; /* thing 0 is DIRECTORY */
static int thing_count = 1;
static unsigned seed;
static char text[LARGEST + 64];

static int draw(int below)
{
    return below <= 1 ? 0 : rand_r(&seed) % below;
}

/* ---- the model ---- */

static int at_place(struct place place)
{
    for (int i = 1; i < thing_count; i++) {
        if (things[i].alive && things[i].at.parent == place.parent && things[i].at.name == place.name) return i;
    }
    return NONE;
}

static bool is_above(int thing, int below)
{
    while (below != NONE && below != thing) below = things[below].at.parent;
    return below == thing;
}

static bool is_empty(int dir)
{
    for (int i = 1; i < thing_count; i++) {
        if (things[i].alive && things[i].at.parent == dir) return false;
    }
    return true;
}

static int count_alive(bool dirs)
{
    int count = 0;

    for (int i = 1; i < thing_count; i++) count += things[i].alive && things[i].is_dir == dirs;
    return count;
}

/* A thing that is alive, of those that are wanted; NONE if there is none. */
static int pick(bool files, bool dirs)
{
    int wanted = draw((files ? count_alive(false) : 0) + (dirs ? count_alive(true) : 0));

    for (int i = 1; i < thing_count; i++) {
        if (!things[i].alive || !(things[i].is_dir ? dirs : files)) continue;
        if (wanted-- == 0) return i;
    }
    return NONE;
}

static int pick_dir(void)
{
    int dir = draw(5) == 0 ? NONE : pick(false, true);

    return dir == NONE ? 0 : dir;
}

static bool needs_sync(void)
{
    for (int i = 1; i < thing_count; i++) {
        if (things[i].may_count >= PLACES - 2) return true;
    }
    return false;
}

/* The next step, from the model and the seed. One that cannot be done is drawn again. */
static struct step choose(void)
{
    for (;;) {
        static const enum kind kinds[] = {CREATE, CREATE,   MKDIR,    REWRITE,  REMOVE,    RENAME,    RENAME,
                                          RENAME, RENAME,   RENAME,   EXCHANGE, EXCHANGE,  NOREPLACE, CREATE,
                                          RENAME, SYNC_ALL, SYNC_DIR, RENAME,   SYNC_FILE, SYNC_FILE};
        struct step step = {.kind = kinds[draw(20)], .thing = NONE, .other = NONE};

        if (needs_sync()) step.kind = SYNC_ALL;
        if (step.kind >= SYNC_FILE && !needs_sync() && draw(step.kind == SYNC_ALL ? 16 : 4) != 0) continue;
        if (step.kind == SYNC_ALL) return step;
        if (step.kind == REWRITE || step.kind == SYNC_FILE) step.thing = pick(true, false);
        if (step.kind == SYNC_DIR) step.thing = pick_dir();
        if (step.kind == REMOVE) step.thing = pick(true, true);
        if (step.kind == REMOVE && step.thing != NONE && !is_empty(step.thing)) continue;
        if (step.kind == REWRITE || step.kind == SYNC_FILE || step.kind == SYNC_DIR || step.kind == REMOVE) {
            if (step.thing == NONE) continue;
            return step;
        }
        step.to = (struct place){pick_dir(), draw(NAMES)};
        step.other = at_place(step.to);
        if (step.kind == CREATE || step.kind == MKDIR) {
            if (step.other != NONE || thing_count == THINGS) continue;
            if (count_alive(step.kind == MKDIR) >= (step.kind == MKDIR ? DIRECTORIES : FILES)) continue;
            step.thing = thing_count;
            return step;
        }
        step.thing = pick(true, true);
        if (step.thing == NONE || step.thing == step.other || is_above(step.thing, step.to.parent)) continue;
        if (step.kind == RENAME && step.other != NONE) {
            if (things[step.thing].is_dir != things[step.other].is_dir || !is_empty(step.other)) continue;
        }
        if (step.kind == EXCHANGE && (step.other == NONE || is_above(step.other, things[step.thing].at.parent)))
            continue;
        if (step.kind == NOREPLACE && step.other == NONE) step.kind = RENAME;
        return step;
    }
}

static void touched(int thing)
{
    for (int i = 1; i < thing_count; i++) {
        if (things[i].replaced_by == thing) things[i].replaced_by = NONE;
    }
}

static void goes_to(int thing, struct place place)
{
    touched(thing);
    things[thing].at = place;
    things[thing].may[things[thing].may_count++] = place;
}

static void stays(int thing)
{
    things[thing].must = true;
    things[thing].may[0] = things[thing].at;
    things[thing].may_count = 1;
    things[thing].synced = things[thing].generation;
}

static void path_stays(int thing)
{
    for (; thing > 0; thing = things[thing].at.parent) stays(thing);
}

/* The directory's entries are durable: those that are there, and that the others are not. */
static void entries_stay(int dir)
{
    path_stays(dir);
    for (int i = 1; i < thing_count; i++) {
        struct thing *thing = &things[i];
        int kept = 0;

        if (thing->alive && thing->at.parent == dir) {
            stays(i);
            continue;
        }
        for (int p = 0; p < thing->may_count; p++) {
            if (thing->may[p].parent != dir) thing->may[kept++] = thing->may[p];
        }
        thing->may_count = kept;
    }
}

static void all_stays(void)
{
    for (int i = 1; i < thing_count; i++) {
        if (things[i].alive) stays(i);
        if (!things[i].alive) things[i].may_count = 0;
        things[i].replaced_by = NONE;
    }
}

static void dies(int thing, int replaced_by)
{
    touched(thing);
    things[thing].replaced_by = things[thing].must ? replaced_by : NONE;
    things[thing].must = false;
    things[thing].alive = false;
}

/* What the step makes possible; nothing that was possible before is impossible, but by a sync. */
static void apply(const struct step *step)
{
    struct place from = things[step->thing > 0 ? step->thing : 0].at;

    switch (step->kind) {
    case CREATE:
    case MKDIR:
        things[thing_count++] =
            (struct thing){.is_dir = step->kind == MKDIR, .alive = true, .generation = 1, .replaced_by = NONE};
        goes_to(step->thing, step->to);
        break;
    case REWRITE: things[step->thing].generation++; break;
    case REMOVE: dies(step->thing, NONE); break;
    case RENAME:
        goes_to(step->thing, step->to);
        if (step->other != NONE) dies(step->other, step->thing);
        break;
    case EXCHANGE:
        goes_to(step->thing, step->to);
        goes_to(step->other, from);
        break;
    case NOREPLACE: break;
    case SYNC_FILE: path_stays(step->thing); break;
    case SYNC_DIR: entries_stay(step->thing); break;
    case SYNC_ALL: all_stays(); break;
    }
}

/* ---- the real thing ---- */

/* Puts the path of a place, from DIRECTORY, into path[1024]. */
static char *path_of(struct place place, char *path)
{
    char part[1024];

    snprintf(path, 1024, "n%d", place.name);
    for (int dir = place.parent; dir > 0; dir = things[dir].at.parent) {
        snprintf(part, sizeof part, "n%d/%.1000s", things[dir].at.name, path);
        snprintf(path, 1024, "%s", part);
    }
    return path;
}

/* Fills `text` with a generation of a file; returns its size, which is that of all its generations. */
static size_t compose(int thing, long generation)
{
    size_t size = (size_t)(thing * 7919 % (thing % 8 == 0 ? LARGEST : 500)) + 32;

    memset(text, 0, 32);
    snprintf(text, 32, "%d %ld\n", thing, generation);
    for (size_t at = 32; at < size; at++) text[at] = (char)('a' + ((size_t)thing + (size_t)generation + at / 7) % 26);
    return size;
}

static bool write_file(int thing, struct place place, long generation, int flags)
{
    char path[1024];
    size_t size = compose(thing, generation);
    int fd = open(path_of(place, path), O_WRONLY | flags, 0644);
    bool done = fd >= 0 && write(fd, text, size) == (ssize_t)size;
    int error = errno;

    if (fd >= 0) close(fd);
    errno = error;
    return done;
}

static bool sync_path(const char *path)
{
    int fd = open(path, O_RDONLY);
    bool done = fd >= 0 && fsync(fd) == 0;
    int error = errno;

    if (fd >= 0) close(fd);
    errno = error;
    return done;
}

static bool make_dir(int thing, const char *path, FILE *log)
{
    struct stat st;

    if (mkdir(path, 0755) != 0 || stat(path, &st) != 0) return false;
    return fprintf(log, "dir %d %" PRIu64 "\n", thing, (uint64_t)st.st_ino) > 0 && fflush(log) == 0;
}

/* Does a step; false with errno set. */
static bool perform(const struct step *step, const char *root, FILE *log)
{
    char from[1024] = ".", to[1024] = ".";

    if (step->thing > 0 && step->kind != CREATE && step->kind != MKDIR) path_of(things[step->thing].at, from);
    path_of(step->to, to);
    switch (step->kind) {
    case CREATE: return write_file(step->thing, step->to, 1, O_CREAT | O_EXCL);
    case MKDIR: return make_dir(step->thing, to, log);
    case REWRITE: return write_file(step->thing, things[step->thing].at, things[step->thing].generation + 1, 0);
    case REMOVE: return (things[step->thing].is_dir ? rmdir(from) : unlink(from)) == 0;
    case RENAME: return rename(from, to) == 0;
    case EXCHANGE: return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0;
    case NOREPLACE: return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0 && errno == EEXIST;
    case SYNC_FILE: return sync_path(from);
    case SYNC_DIR: return sync_path(from);
    case SYNC_ALL: return sync_path(root);
    }
    return false;
}

/* Whether the mount is gone. EIO is what the kernel answers a write(2) with whose answer the kill cut short; statfs(2)
 * tells a dead daemon from one that failed. */
static bool crashed(void)
{
    struct statfs space;

    if (errno == EIO && statfs(".", &space) == 0) errno = EIO;
    return errno == ENOTCONN || errno == ECONNABORTED || errno == ENODEV;
}

static int write_until_crash(const char *log_path, const char *root, pid_t daemon, int syncs)
{
    FILE *log = fopen(log_path, "w");

    if (log == NULL) return 1;
    for (long i = 0;; i++) {
        struct step step = choose();

        if (fprintf(log, "begun %ld\n", i) < 0 || fflush(log) != 0) return 1;
        if (!perform(&step, root, log)) {
            if (crashed()) break;
            fprintf(stderr, "step %ld, kind %d of thing %d: %s\n", i, step.kind, step.thing, strerror(errno));
            return 1;
        }
        if (step.kind >= SYNC_FILE && --syncs == 0 && daemon > 0) (void)kill(daemon, SIGKILL);
        apply(&step);
        if (fprintf(log, "done %ld\n", i) < 0 || fflush(log) != 0) return 1;
    }
    return fclose(log) == 0 ? 0 : 1;
}

/* ---- the checker ---- */

static int faults;

static void fault(int thing, const char *what, const char *path)
{
    fprintf(stderr, "thing %d, at %s: %s\n", thing, path, what);
    faults++;
}

/* Which file this is, by its content; NONE if it is empty, or no file of ours. */
static int identify(int dir_fd, const char *name, const char *path)
{
    static char found[LARGEST + 128];
    ssize_t size = 0;
    int thing = NONE;
    long generation = 0;
    int fd = openat(dir_fd, name, O_RDONLY);

    if (fd >= 0) size = read(fd, found, sizeof found);
    if (fd < 0 || size < 0) fault(NONE, strerror(errno), path);
    if (fd >= 0) close(fd);
    if (size <= 0) return NONE;
    if (sscanf(found, "%d %ld", &thing, &generation) != 2 || thing <= 0 || thing >= thing_count) {
        fault(NONE, "not a file of ours", path);
        return NONE;
    }
    if (compose(thing, generation) != (size_t)size || memcmp(text, found, (size_t)size) != 0)
        fault(thing, "its content is torn", path);
    if (generation < things[thing].synced) fault(thing, "a content older than the synced one", path);
    if (generation > things[thing].generation) fault(thing, "a content it never had", path);
    return thing;
}

static int identify_dir(uint64_t ino, const char *path)
{
    for (int i = 1; i < thing_count; i++) {
        if (things[i].is_dir && things[i].ino == ino) return i;
    }
    /* The writer did not come to note its number. */
    if (things[thing_count - 1].is_dir && things[thing_count - 1].ino == 0) return thing_count - 1;
    fault(NONE, "a directory that nobody made", path);
    return NONE;
}

static void check_place(int thing, struct place place, const char *path)
{
    if (++things[thing].found > 1) fault(thing, "it is in two places", path);
    for (int p = 0; p < things[thing].may_count; p++) {
        if (things[thing].may[p].parent == place.parent && things[thing].may[p].name == place.name) return;
    }
    fault(thing, things[thing].alive ? "it cannot be here" : "it was removed", path);
}

static void walk(int dir, int dir_fd, const char *path)
{
    DIR *stream = fdopendir(dir_fd);
    struct dirent *entry = NULL;

    if (stream == NULL) {
        fault(dir, strerror(errno), path);
        return;
    }
    while ((entry = readdir(stream)) != NULL) {
        struct place place = {dir, atoi(entry->d_name + 1)};
        char below[1024];
        struct stat st;
        int thing = NONE;
        int fd = NONE;

        if (entry->d_name[0] == '.') continue;
        snprintf(below, sizeof below, "%.700s/%.255s", path, entry->d_name);
        if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            fault(NONE, strerror(errno), below);
            continue;
        }
        if (S_ISDIR(st.st_mode)) thing = identify_dir(st.st_ino, below);
        if (!S_ISDIR(st.st_mode)) thing = identify(dir_fd, entry->d_name, below);
        if (thing == NONE) continue;
        check_place(thing, place, below);
        if (things[thing].is_dir) fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY);
        if (fd >= 0) walk(thing, fd, below);
    }
    closedir(stream);
}

/* Goes through the steps that the log tells of. */
static bool replay(const char *log_path)
{
    FILE *log = fopen(log_path, "r");
    char word[16];
    long begun = 0, done = 0, number = 0;
    uint64_t ino = 0;

    if (log == NULL) return false;
    while (fscanf(log, "%15s %ld", word, &number) == 2) {
        if (strcmp(word, "begun") == 0) begun = number + 1;
        if (strcmp(word, "done") == 0) done = number + 1;
        if (strcmp(word, "dir") != 0 || fscanf(log, "%" SCNu64, &ino) != 1) continue;
        things[number].ino = ino;
    }
    fclose(log);
    for (long i = 0; i < begun; i++) {
        struct step step = choose();
        uint64_t its_ino = step.kind == MKDIR ? things[step.thing].ino : 0;

        /* The last one may have happened or not: a sync that did not end promises nothing. */
        if (i >= done && (step.kind == SYNC_FILE || step.kind == SYNC_DIR || step.kind == SYNC_ALL)) break;
        apply(&step);
        if (step.kind == MKDIR) things[step.thing].ino = its_ino;
    }
    printf("%ld steps", done);
    return true;
}

static int check(const char *log_path)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    int there = 0;

    if (fd < 0 || !replay(log_path)) return 1;
    walk(0, fd, ".");
    for (int i = 1; i < thing_count; i++) {
        const struct thing *thing = &things[i];
        char path[1024];

        there += thing->found > 0;
        if (thing->found > 0) continue;
        if (thing->must) fault(i, "it is not there", path_of(thing->at, path));
        if (thing->replaced_by != NONE && things[thing->replaced_by].found == 0)
            fault(i, "neither it nor what replaced it is there", path_of(thing->at, path));
    }
    printf(", %d files and directories, %d faults\n", there, faults);
    return faults == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    bool writes = (argc == 6 || argc == 8) && strcmp(argv[1], "write") == 0;
    pid_t daemon = argc == 8 ? (pid_t)atoi(argv[6]) : 0;

    if (!writes && !(argc == 5 && strcmp(argv[1], "check") == 0)) {
        fprintf(stderr, "usage: tool_renames write DIRECTORY LOG SEED ROOT [PID SYNCS] | check DIRECTORY LOG SEED\n");
        return 2;
    }
    things[0] = (struct thing){.is_dir = true, .alive = true, .at = {NONE, 0}, .replaced_by = NONE};
    seed = (unsigned)strtoul(argv[4], NULL, 10);
    if (chdir(argv[2]) != 0) {
        perror(argv[2]);
        return 1;
    }
    return writes ? write_until_crash(argv[3], argv[5], daemon, daemon > 0 ? atoi(argv[7]) : 0) : check(argv[3]);
}
