/* session.c - one mount from mount(2) to its end: see session.h.
 *
 * A fixed number of threads read and answer requests, each with a buffer of its own. They are more than there are
 * processors, because a request may wait for the disk (fsync) and must not keep the others waiting. Commands that were
 * written into a control file run for minutes: there is a thread more for each that may (jobs.h).
 *
 * The end comes from outside (umount: every read answers ENODEV), or from a signal. Then the thread that waits for
 * signals must get the other threads out of read(2), which only a signal does: they are kicked until they are gone,
 * and only while they stand idle in that read, so that no handler sees an interrupted system call.
 */
#include "session.h"

#include "init.h"
#include "jobs.h"
#include "log.h"
#include "mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 10 + BCFS_JOBS_MAX,
    GRACE_MS = 2000, /* after a signal, for programs that still have files open */
    KICK_MS = 10,
    WAKE_SIGNAL = SIGUSR1 /* interrupts a worker's read, and ends the signal thread's wait */
};

struct worker {
    struct bcfs_session *session;
    pthread_t thread;
    atomic_bool idle; /* in read(2), or about to be */
};

struct bcfs_session {
    struct bcfs *fs;
    struct fuse_session *fuse;
    int mount_id;
    uint64_t unique_id; /* 0: unknown */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    int running;  /* by lock: workers that have not left the loop */
    bool broken;  /* by lock: a worker left because of an error */
    bool stopped; /* by lock: bcfs_session_wait() saw the last worker leave */

    int started; /* workers that have to be joined; main thread only */
    struct worker workers[WORKERS];
    pthread_t signal_thread;
};

/* ---- signals ---- */

static void ignore_wake_signal(int signal_number)
{
    (void)signal_number;
}

/* The signals that end a mount, with the one that wakes threads. */
static void fill_signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, WAKE_SIGNAL);
}

bool bcfs_session_block_signals(void)
{
    sigset_t set;
    fill_signal_set(&set);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error == 0) {
        /* No SA_RESTART: the point is that read(2) returns. */
        struct sigaction wake = {.sa_handler = ignore_wake_signal};
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        if (sigaction(WAKE_SIGNAL, &wake, NULL) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0) error = errno;
    }
    if (error != 0) bcfs_log(BCFS_LOG_ERROR, "cannot set up signals: %s", strerror(error));
    return error == 0;
}

/* ---- mounting ---- */

/* Adds ",name=value" for libfuse, which takes a backslash before a comma or a backslash. */
static void add_escaped(FILE *list, const char *name, const char *value)
{
    fprintf(list, ",%s=", name);
    for (; *value != '\0'; value++) {
        if (*value == ',' || *value == '\\') fputc('\\', list);
        fputc(*value, list);
    }
}

/* The -o list for libfuse and the kernel; NULL without memory. */
static char *mount_options(const struct bcfs_options *options)
{
    char *text = NULL;
    size_t size = 0;
    FILE *list = open_memstream(&text, &size);
    if (list == NULL) return NULL;
    fputs(options->read_only ? "ro" : "rw", list);
    /* Where only root can enter and there are no ACLs they would decide nothing, and cost a GETATTR of the directory
     * after each change in it. */
    if (options->acl || options->allow_other || geteuid() != 0) fputs(",default_permissions", list);
    fputs(",subtype=bitcaskfs", list);
    if (options->allow_other) fputs(",allow_other", list);
    if (options->kernel_flags != NULL) fprintf(list, ",%s", options->kernel_flags);
    add_escaped(list, "fsname", options->store);
    if (fclose(list) == 0) return text;
    free(text);
    return NULL;
}

static struct fuse_session *new_fuse_session(struct bcfs *fs)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_session *fuse = NULL;
    char *options = mount_options(&fs->options);
    if (options != NULL && fuse_opt_add_arg(&args, "bitcaskfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
        fuse_opt_add_arg(&args, options) == 0 && (!fs->options.debug || fuse_opt_add_arg(&args, "-d") == 0)) {
        fuse = fuse_session_new(&args, &bcfs_ops, sizeof bcfs_ops, fs);
    }
    fuse_opt_free_args(&args);
    free(options);
    return fuse;
}

static void log_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
    bcfs_vlog(level <= FUSE_LOG_ERR       ? BCFS_LOG_ERROR
              : level == FUSE_LOG_WARNING ? BCFS_LOG_WARNING
              : level == FUSE_LOG_DEBUG   ? BCFS_LOG_DEBUG
                                          : BCFS_LOG_INFO,
              format, arguments);
}

/* The last line that was written into the memory file fd, without its newline; "" if there is none. */
static void last_line(int fd, char *line, size_t size)
{
    char text[4096];
    ssize_t length = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, 0);
    while (length > 0 && text[length - 1] == '\n') length--;
    text[length > 0 ? length : 0] = '\0';
    const char *newline = strrchr(text, '\n');
    snprintf(line, size, "%.*s", (int)size - 1, newline == NULL ? text : newline + 1);
}

/* Makes the FUSE session and mounts it. libfuse and fusermount3 write what goes wrong to stderr, in lines of several
 * forms. They are caught, so that one line of ours can hold the reason. */
static bool mount_caught(struct bcfs_session *session)
{
    struct bcfs *fs = session->fs;
    int caught = memfd_create("stderr", MFD_CLOEXEC);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (caught >= 0 && saved >= 0) dup2(caught, STDERR_FILENO);
    session->fuse = new_fuse_session(fs);
    bool mounted = session->fuse != NULL && fuse_session_mount(session->fuse, fs->options.mountpoint) == 0;
    if (saved >= 0) dup2(saved, STDERR_FILENO);

    if (!mounted) {
        char reason[512];
        last_line(caught, reason, sizeof reason);
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot mount: %s", fs->options.mountpoint,
                 reason[0] != '\0' ? reason : "libfuse gave no reason");
    }
    if (caught >= 0) close(caught);
    if (saved >= 0) close(saved);
    return mounted;
}

bool bcfs_session_mount(struct bcfs *fs, struct bcfs_session **session)
{
    *session = NULL;
    struct bcfs_session *made = calloc(1, sizeof *made);
    if (made == NULL) {
        bcfs_log(BCFS_LOG_ERROR, "out of memory");
        return false;
    }
    made->fs = fs;
    made->mount_id = -1;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);

    if (!mount_caught(made)) goto fail;
    made->mount_id = bcfs_mount_id(fs->options.mountpoint);
    made->unique_id = bcfs_mount_unique_id(fs->options.mountpoint);
    if (!fs->options.debug) fuse_set_log_func(log_libfuse);

    int error = bcfs_init_install(made->fuse);
    if (error != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot use custom I/O: %s", fs->options.mountpoint, strerror(error));
        goto fail;
    }
    *session = made;
    return true;
fail:
    bcfs_session_close(&made);
    return false;
}

/* ---- the request loop ---- */

/* Reads and answers requests until the session is over. Returns 0, or the error that ended it. */
static int serve(struct worker *worker, struct fuse_buf *buffer)
{
    struct fuse_session *fuse = worker->session->fuse;
    while (!fuse_session_exited(fuse)) {
        atomic_store(&worker->idle, true);
        int size = fuse_session_receive_buf(fuse, buffer);
        atomic_store(&worker->idle, false);
        if (size == -EINTR || size == -EAGAIN) continue;
        if (size <= 0) return -size;
        fuse_session_process_buf(fuse, buffer);
    }
    return 0;
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    struct bcfs_session *session = worker->session;

    /* Every other thread keeps the wake signal blocked. */
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, WAKE_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);

    struct fuse_buf buffer = {.mem = NULL};
    int error = serve(worker, &buffer);
    free(buffer.mem);
    if (error != 0) bcfs_log(BCFS_LOG_ERROR, "cannot read requests: %s", strerror(error));
    atomic_store(&session->fs->ending, true);

    pthread_mutex_lock(&session->lock);
    session->running--;
    if (error != 0) session->broken = true;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);

    /* A session that ends before INIT was answered must not leave the main thread waiting for it. */
    bcfs_init_give_up();
    return NULL;
}

/* Waits until every worker has left the loop, at most ms milliseconds. True if they have. */
static bool wait_for_workers(struct bcfs_session *session, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&session->lock);
    int error = 0;
    while (session->running > 0 && error == 0) {
        error = pthread_cond_timedwait(&session->changed, &session->lock, &until);
    }
    bool gone = session->running == 0;
    pthread_mutex_unlock(&session->lock);
    return gone;
}

/* Ends the loop and returns when no worker is in it any more. Handlers that run are waited for. */
static void end_loop(struct bcfs_session *session)
{
    fuse_session_exit(session->fuse);
    do {
        for (int i = 0; i < session->started; i++) {
            /* The worker may have started on a request since: then the handler sees EINTR at worst once, where a
             * system call can be interrupted at all. A worker that is just before its read is met by the next kick. */
            if (atomic_load(&session->workers[i].idle)) pthread_kill(session->workers[i].thread, WAKE_SIGNAL);
        }
    } while (!wait_for_workers(session, KICK_MS));
}

/* Takes the mount away, if it is there. Somebody may have unmounted it and mounted something else: that may have got
 * our id, which is free again by then. */
static bool detach(struct bcfs_session *session)
{
    const char *mountpoint = session->fs->options.mountpoint;
    uint64_t there = session->unique_id != 0 ? bcfs_mount_unique_id(mountpoint) : 0;
    if (there != 0 && there != session->unique_id) return true;
    return bcfs_mount_detach(mountpoint, session->mount_id);
}

/* ---- the thread that waits for signals ---- */

/* Takes the mount away while the loop still answers: pages that programs changed through mmap live in the kernel only,
 * and come as WRITEs of this syncfs(). The second one catches what was changed before the mount had gone. */
static bool sync_and_detach(struct bcfs_session *session)
{
    const char *mountpoint = session->fs->options.mountpoint;
    int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ours = fd >= 0 && bcfs_mount_id_of_fd(fd) == session->mount_id;
    if (ours && syncfs(fd) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: the kernel could not write back changed pages: %s", mountpoint, strerror(errno));
    }
    bool detached = detach(session);
    if (ours) syncfs(fd);
    if (fd >= 0) close(fd);
    return detached;
}

static void *run_signal_thread(void *argument)
{
    struct bcfs_session *session = argument;
    sigset_t set;
    fill_signal_set(&set);

    int received = 0;
    do {
        if (sigwait(&set, &received) != 0) continue;
        pthread_mutex_lock(&session->lock);
        bool stopped = session->stopped;
        pthread_mutex_unlock(&session->lock);
        if (stopped) return NULL;
    } while (received == WAKE_SIGNAL);

    bcfs_log(BCFS_LOG_INFO, "signal %d (%s): unmounting", received, sigabbrev_np(received));
    atomic_store(&session->fs->ending, true);
    bool detached = sync_and_detach(session);

    /* With no file open in it the mount is gone by now, and the workers have seen ENODEV. */
    if (!detached || !wait_for_workers(session, GRACE_MS)) {
        bcfs_log(BCFS_LOG_WARNING, "%s: files are still open in it; their programs will see errors",
                 session->fs->options.mountpoint);
        end_loop(session);
    }
    return NULL;
}

/* ---- start, wait, close ---- */

static bool start_workers(struct bcfs_session *session)
{
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &session->workers[i];
        worker->session = session;
        pthread_mutex_lock(&session->lock);
        session->running++;
        pthread_mutex_unlock(&session->lock);
        int error = pthread_create(&worker->thread, NULL, run_worker, worker);
        if (error != 0) {
            pthread_mutex_lock(&session->lock);
            session->running--;
            pthread_mutex_unlock(&session->lock);
            bcfs_log(BCFS_LOG_ERROR, "cannot start a thread: %s", strerror(error));
            return false;
        }
        session->started++;
    }
    return true;
}

static void join_workers(struct bcfs_session *session)
{
    for (int i = 0; i < session->started; i++) pthread_join(session->workers[i].thread, NULL);
    session->started = 0;
}

bool bcfs_session_start(struct bcfs_session *session)
{
    const char *mountpoint = session->fs->options.mountpoint;
    struct stat root;
    if (start_workers(session)) {
        if (!bcfs_init_wait()) {
            bcfs_log(BCFS_LOG_ERROR, "%s: the kernel and libfuse did not come to terms at INIT", mountpoint);
        } else if (stat(mountpoint, &root) != 0) {
            bcfs_log(BCFS_LOG_ERROR, "%s: is mounted, but its root does not answer: %s", mountpoint, strerror(errno));
        } else {
            int error = pthread_create(&session->signal_thread, NULL, run_signal_thread, session);
            if (error == 0) return true;
            bcfs_log(BCFS_LOG_ERROR, "cannot start a thread: %s", strerror(error));
        }
    }
    detach(session);
    end_loop(session);
    join_workers(session);
    return false;
}

bool bcfs_session_wait(struct bcfs_session *session)
{
    pthread_mutex_lock(&session->lock);
    while (session->running > 0) pthread_cond_wait(&session->changed, &session->lock);
    session->stopped = true;
    bool broken = session->broken;
    pthread_mutex_unlock(&session->lock);

    /* The workers are joined last: until then the signal thread may still kick them. */
    pthread_kill(session->signal_thread, WAKE_SIGNAL);
    pthread_join(session->signal_thread, NULL);
    join_workers(session);
    return !broken;
}

/* Closes /dev/fuse, which ends the connection: whoever still waits for an answer gets an error now. libfuse would then
 * unmount whatever stands at the path by now, be it ours or not; only a descriptor in error tells it that there is
 * nothing left to unmount. So a pipe that nobody reads takes the device's place. */
static void cut_connection(struct fuse_session *fuse)
{
    int ends[2];
    int device = fuse_session_fd(fuse);
    if (device >= 0 && pipe2(ends, O_CLOEXEC) == 0) {
        dup3(ends[1], device, O_CLOEXEC);
        close(ends[0]);
        close(ends[1]);
    }
    fuse_session_unmount(fuse);
}

void bcfs_session_close(struct bcfs_session **session)
{
    struct bcfs_session *closing = *session;
    *session = NULL;
    if (closing == NULL) return;

    if (closing->fuse != NULL) {
        cut_connection(closing->fuse);
        /* Still there if the connection was aborted, or if detaching failed before. */
        detach(closing);
        fuse_session_destroy(closing->fuse);
    }
    pthread_cond_destroy(&closing->changed);
    pthread_mutex_destroy(&closing->lock);
    free(closing);
}
