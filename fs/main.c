/* main.c - bitcaskfs: from the command line to the exit status.
 *
 * Everything that can be refused is refused before anything is changed, and before the fork, on the terminal. Then
 * the child starts the process that mounts and unmounts, enters the sandbox, opens the store, has it mounted and
 * serves; the command returns when the child has said that the mount answers, so `bitcaskfs STORE MNT && ls MNT` works.
 * Both forks come before the store is opened, because threads (the store's, the daemon's) do not survive one.
 *
 * Exit status: 0 after a good end, or when the daemon is ready; 1 after one line that says what is wrong.
 */
#include "fs.h"
#include "http.h"
#include "log.h"
#include "mounter.h"
#include "mountpoint.h"
#include "options.h"
#include "remount.h"
#include "sandbox.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long to wait for a writer that is closing the store: umount(2) returns before its daemon is done. */
enum { LOCK_WAIT_MS = 10000 };

/* Replaces the two operands by absolute paths and looks at all that can be seen without changing anything. */
static bool check_world(struct bcfs_options *options, bool *dead_mount)
{
    char *mountpoint = NULL;
    char *store = NULL;
    bool good = bcfs_mountpoint_check(options->mountpoint, &mountpoint, dead_mount) &&
                bcfs_store_resolve(options->store, &store) && bcfs_paths_apart(store, mountpoint) &&
                (!options->allow_other || bcfs_allow_other_check()) && bcfs_device_check();
    if (mountpoint != NULL) {
        free(options->mountpoint);
        options->mountpoint = mountpoint;
    }
    if (store != NULL) {
        free(options->store);
        options->store = store;
    }
    return good;
}

/* Replaces the two operands likewise where the mount is there already. */
static bool resolve_mount(struct bcfs_options *options)
{
    char *mountpoint = NULL;
    char *store = NULL;
    bool good = bcfs_mount_find(options->mountpoint, &mountpoint, &store);
    char *given = good ? realpath(options->store, NULL) : NULL;
    if (good && (given == NULL || strcmp(given, store) != 0)) {
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot remount: %s is mounted there, not %s", mountpoint, store, options->store);
        good = false;
    }
    free(given);
    if (!good) {
        free(mountpoint);
        free(store);
        return false;
    }
    free(options->mountpoint);
    free(options->store);
    options->mountpoint = mountpoint;
    options->store = store;
    return true;
}

/* ---- the daemon ---- */

/* As many open files as the administrator allows; the library sizes its limit of open partitions by it. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        bcfs_log(BCFS_LOG_WARNING, "cannot raise the limit of open files: %s", strerror(errno));
    }
}

static bool open_store(struct bcfs *fs)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.read_only = fs->options.read_only;
    options.create = !fs->options.read_only;
    options.sync = fs->options.sync;
    options.sync_interval_ms = fs->options.sync_interval_ms;
    options.max_open = fs->options.max_open;
    options.lock_wait_ms = LOCK_WAIT_MS;
    options.memory_limit = fs->options.memory_limit;
    if (fs->options.segment_size != 0) options.segment_size = fs->options.segment_size;
    options.scheduler = fs->options.scheduler && !fs->options.read_only;
    options.merge_bytes_per_s = fs->options.merge_bytes_per_s;
    options.log = bcfs_log_store_line;

    bitcask_status status = bitcask_open(fs->options.store, &options, &fs->db);
    if (status != BITCASK_OK) bcfs_log_failure(fs->options.store, status);
    return status == BITCASK_OK;
}

/* Commits and closes. The order is the reverse of opening; the store's lock goes last. */
static bool close_store(struct bcfs *fs, bool started)
{
    bool good = true;
    bitcask_status status = started ? bcfs_stop(fs) : BITCASK_OK;
    if (status != BITCASK_OK) {
        bcfs_log(BCFS_LOG_ERROR, "%s: not everything could be stored: %s", fs->options.store,
                 bitcask_status_text(status));
        good = false;
    }
    status = bitcask_close(&fs->db);
    if (status != BITCASK_OK) {
        bcfs_log_failure(fs->options.store, status);
        good = false;
    }
    return good;
}

/* Who waits for the mount, and what the terminal is left for. Both -1 in the foreground. */
struct parent {
    int ready_fd; /* where to report that the mount answers */
    int null_fd;  /* /dev/null, which cannot be opened any more when it is needed */
};

/* Leaves the terminal and tells the waiting parent that the mount is ready. False if nobody waits any more: the command
 * was interrupted, so nobody wants this mount. */
static bool report_ready(struct bcfs *fs, const struct parent *parent)
{
    if (parent->ready_fd < 0) return true;
    if (!bcfs_mounter_leave_terminal(fs->mounter) || chdir("/") != 0) {
        bcfs_log(BCFS_LOG_ERROR, "cannot become a daemon: %s", strerror(errno));
        return false;
    }
    bcfs_log_to_syslog();
    for (int fd = 0; fd <= 2; fd++) dup2(parent->null_fd, fd);
    close(parent->null_fd);

    ssize_t written = 0;
    do written = write(parent->ready_fd, "", 1);
    while (written < 0 && errno == EINTR);
    close(parent->ready_fd);
    return written == 1;
}

/* Mounts the opened store and serves it to the end. */
static bool serve_mount(struct bcfs *fs, struct bcfs_http *http, const struct parent *parent)
{
    struct bcfs_session *session = NULL;
    bool good = false;
    if (bcfs_session_mount(fs, &session) && bcfs_session_start(session)) {
        good = bcfs_http_start(http) && report_ready(fs, parent);
        /* An interrupted command is answered as a signal to the daemon would be. */
        if (!good) kill(getpid(), SIGTERM);
        if (!bcfs_session_wait(session)) good = false;
    }

    /* From here on openers wait for the lock instead of failing: the mount is gone, and they may have seen it go. */
    bitcask_announce_close(fs->db);
    bcfs_session_close(&session);
    return good;
}

/* Opens the store, serves it, closes it. */
static bool serve_store(struct bcfs *fs, struct bcfs_http **http, const struct parent *parent)
{
    if (!open_store(fs)) return false;
    bitcask_status status = bcfs_start(fs);
    bool started = status == BITCASK_OK;
    if (!started) bcfs_log_failure(fs->options.store, status);
    bool good = started && serve_mount(fs, *http, parent);
    bcfs_http_close(http);
    if (!close_store(fs, started)) good = false;
    return good;
}

/* Makes the store where there is none yet: its own directory, and the one above, are out of reach later. Where none may
 * be made this fails as opening would. */
static bool make_store(struct bcfs *fs)
{
    char *marker = NULL;
    struct stat info;
    if (asprintf(&marker, "%s/STORE", fs->options.store) < 0) {
        bcfs_log(BCFS_LOG_ERROR, "out of memory");
        return false;
    }
    bool made = lstat(marker, &info) == 0;
    free(marker);
    return made || (open_store(fs) && close_store(fs, false));
}

/* The whole life of the daemon. The sandbox comes before the store is opened: what is read there is hostile input. */
static bool serve(struct bcfs *fs, bool dead_mount, int ready_fd)
{
    struct bcfs_mounter mounter = {.socket = -1};
    struct bcfs_sandbox sandbox;
    struct bcfs_http *http = NULL;
    struct parent parent = {.ready_fd = ready_fd, .null_fd = ready_fd < 0 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC)};

    umask(077);
    raise_file_limit();
    if (ready_fd >= 0 && parent.null_fd < 0) {
        bcfs_log(BCFS_LOG_ERROR, "/dev/null: %s", strerror(errno));
        return false;
    }
    if (!bcfs_session_block_signals() || !bcfs_mounter_start(&mounter, &fs->options, dead_mount, ready_fd))
        return false;
    fs->mounter = &mounter;
    fs->sandbox = &sandbox;
    bool good = bcfs_http_open(fs, &http) && make_store(fs);
    fs->options.sandbox.listens = http != NULL;
    good = good && bcfs_sandbox_enter(&fs->options.sandbox, fs->options.store, fs->options.read_only, &sandbox) &&
           serve_store(fs, &http, &parent);
    bcfs_http_close(&http);
    bcfs_mounter_end(&mounter);
    return good;
}

/* ---- the command ---- */

/* Waits for the child to be ready or to fail. It has then said why, unless a signal killed it. */
static int wait_until_ready(pid_t child, int ready_fd)
{
    char byte = 0;
    ssize_t got = 0;
    do got = read(ready_fd, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got == 1) return EXIT_SUCCESS;

    int status = 0;
    pid_t waited = 0;
    do waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (waited == child && WIFSIGNALED(status)) {
        bcfs_log(BCFS_LOG_ERROR, "the daemon was killed by signal %d before the mount was ready", WTERMSIG(status));
    }
    return EXIT_FAILURE;
}

/* Makes sure that 0, 1 and 2 are open: a file of the store must not become the program's stderr. */
static bool open_standard_files(void)
{
    int fd = 0;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static int run(struct bcfs *fs)
{
    bool dead_mount = false;
    if (fs->options.remount) {
        return resolve_mount(&fs->options) && bcfs_remount(&fs->options) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (!check_world(&fs->options, &dead_mount)) return EXIT_FAILURE;
    if (fs->options.foreground) return serve(fs, dead_mount, -1) ? EXIT_SUCCESS : EXIT_FAILURE;

    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "cannot make a pipe: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    pid_t child = fork();
    if (child < 0) {
        bcfs_log(BCFS_LOG_ERROR, "cannot fork: %s", strerror(errno));
        close(ready[0]);
        close(ready[1]);
        return EXIT_FAILURE;
    }
    if (child > 0) {
        close(ready[1]);
        int result = wait_until_ready(child, ready[0]);
        close(ready[0]);
        return result;
    }
    close(ready[0]);
    setsid();
    return serve(fs, dead_mount, ready[1]) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct bcfs fs = {.db = NULL};
    int result = EXIT_FAILURE;
    if (!open_standard_files()) return result;
    if (bcfs_options_parse(&fs.options, argc, argv)) {
        bcfs_log_set_debug(fs.options.debug);
        result = run(&fs);
    }
    bcfs_log_end();
    bcfs_options_release(&fs.options);
    return result;
}
