/* tool_crowd.c - processes that create, rename, link, list and remove the same few names in the same few directories.
 *
 * tool_crowd DIRECTORY SECONDS SEED PROCESSES: works below DIRECTORY, which is empty. Since nobody knows what the
 * others do meanwhile, most calls may fail, but only with what a local filesystem gives for it: that is checked, and
 * that no listing has a name twice, and that a file that is open keeps what was written to it. Exit status 0 or 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIRECTORIES = 3, NAMES = 7, MOST_ERRORS = 8 };

static unsigned seed;
static long operations;
static bool failed;

static unsigned draw(unsigned below)
{
    return (unsigned)rand_r(&seed) % below;
}

/* A name in one of the directories, or in what may be a directory there. */
static const char *draw_path(void)
{
    static char paths[2][64];
    static int turn;
    char *path = paths[turn = 1 - turn];
    int size = snprintf(path, sizeof paths[0], "d%u/n%u", draw(DIRECTORIES), draw(NAMES));
    if (draw(3) == 0) snprintf(path + size, sizeof paths[0] - (size_t)size, "/n%u", draw(NAMES));
    return path;
}

/* errno after a call that failed must be one of the allowed ones, which end with 0. */
static void judge(const char *call, const char *a, const char *b, long result, const int allowed[MOST_ERRORS])
{
    operations++;
    if (result >= 0) return;
    for (int i = 0; i < MOST_ERRORS && allowed[i] != 0; i++)
        if (errno == allowed[i]) return;
    fprintf(stderr, "%s %s %s: %s\n", call, a, b, strerror(errno));
    failed = true;
}

#define ALLOWED(...) ((const int[MOST_ERRORS]){__VA_ARGS__})
#define NEVER ALLOWED(0)

static void use_file(void)
{
    static const int flags[] = {O_CREAT | O_EXCL, O_CREAT, O_CREAT | O_TRUNC, 0};
    const char *path = draw_path();
    char text[64], got[64];
    int fd = open(path, O_RDWR | flags[draw(4)], 0644),
        size = snprintf(text, sizeof text, "%d %ld", getpid(), operations);
    judge("open", path, "", fd, ALLOWED(EEXIST, ENOENT, ENOTDIR, EISDIR, ELOOP));
    if (fd < 0) return;
    /* At an offset of our own, where nobody else writes; others may cut the file. */
    off_t offset = getpid() % 1000 * 64;
    judge("write", path, "", pwrite(fd, text, (size_t)size, offset), NEVER);
    if (draw(4) == 0) judge("fsync", path, "", fsync(fd), NEVER);
    ssize_t count = pread(fd, got, (size_t)size, offset);
    judge("read", path, "", count, NEVER);
    for (ssize_t i = 0; i < count; i++) {
        if (got[i] == text[i] || got[i] == 0) continue;
        fprintf(stderr, "%s: read back another byte at %zd\n", path, i);
        failed = true;
    }
    judge("ftruncate", path, "", draw(8) == 0 ? ftruncate(fd, 100) : 0, NEVER);
    judge("close", path, "", close(fd), NEVER);
}

static void list(void)
{
    char path[64] = "d0";
    bool seen[NAMES] = {false};
    if (draw(2) == 0)
        path[1] = (char)('0' + draw(DIRECTORIES));
    else
        snprintf(path, sizeof path, "%s", draw_path());
    DIR *dir = opendir(path);
    judge("opendir", path, "", dir == NULL ? -1 : 0, ALLOWED(ENOENT, ENOTDIR, ELOOP));
    if (dir == NULL) return;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != 'n') continue;
        int number = entry->d_name[1] - '0';
        if (number < 0 || number >= NAMES || entry->d_name[2] != '\0' || seen[number]) {
            fprintf(stderr, "%s: %s listed, or listed twice\n", path, entry->d_name);
            failed = true;
            break;
        }
        seen[number] = true;
    }
    judge("readdir", path, "", errno == 0 ? 0 : -1, NEVER);
    if (draw(4) == 0) judge("fsync of a directory", path, "", fsync(dirfd(dir)), NEVER);
    closedir(dir);
}

static void step(void)
{
    static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    const char *a = draw_path(), *b = draw_path();
    char target[64];
    struct stat st;
    switch (draw(14)) {
    case 0:
    case 1:
    case 2: use_file(); break;
    case 3: judge("mkdir", a, "", mkdir(a, 0755), ALLOWED(EEXIST, ENOENT, ENOTDIR, ELOOP)); break;
    case 4:
    case 5:
    case 6:
        judge("rename", a, b, renameat2(AT_FDCWD, a, AT_FDCWD, b, flags[draw(4)]),
              ALLOWED(ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EEXIST, EINVAL, ELOOP));
        break;
    case 7: judge("link", a, b, link(a, b), ALLOWED(EEXIST, ENOENT, ENOTDIR, EPERM, ELOOP)); break;
    case 8:
        snprintf(target, sizeof target, "../%s", a);
        judge("symlink", target, b, symlink(target, b), ALLOWED(EEXIST, ENOENT, ENOTDIR, ELOOP));
        break;
    case 9:
    case 10: judge("unlink", a, "", unlink(a), ALLOWED(ENOENT, ENOTDIR, EISDIR, ELOOP)); break;
    case 11: judge("rmdir", a, "", rmdir(a), ALLOWED(ENOENT, ENOTDIR, ENOTEMPTY, ELOOP)); break;
    case 12: list(); break;
    default:
        judge("stat", a, "", stat(a, &st), ALLOWED(ENOENT, ENOTDIR, ELOOP));
        judge("readlink", b, "", readlink(b, target, sizeof target), ALLOWED(ENOENT, ENOTDIR, ELOOP, EINVAL));
    }
}

static int work(long seconds)
{
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    do {
        for (int i = 0; i < 20 && !failed; i++) step();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (!failed && now.tv_sec <= end.tv_sec && (now.tv_sec < end.tv_sec || now.tv_nsec < end.tv_nsec));
    printf("process %d: %ld operations\n", getpid(), operations);
    fflush(stdout);
    return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc != 5 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: tool_crowd DIRECTORY SECONDS SEED PROCESSES\n");
        return 2;
    }
    long processes = strtol(argv[4], NULL, 10);
    int worst = 0, status = 0;
    for (int i = 0; i < DIRECTORIES; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%d", i);
        if (mkdir(name, 0755) != 0) return perror(name), 1;
    }
    for (long i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0) return perror("fork"), 1;
        seed = (unsigned)strtoul(argv[3], NULL, 10) + (unsigned)i;
        if (child == 0) _exit(work(strtol(argv[2], NULL, 10)));
    }
    while (wait(&status) > 0)
        if (status != 0) worst = 1;
    return worst;
}
