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
#include "metrics.h"
#include "mounter.h"
#include "prune.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    struct bcfs_pruner *pruner;

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
        /* A write beyond a limit of file sizes (RLIMIT_FSIZE) is to fail, as one on a full disk does, and no more. */
        if (sigaction(WAKE_SIGNAL, &wake, NULL) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0 ||
            sigaction(SIGXFSZ, &ignore, NULL) != 0)
            error = errno;
    }
    if (error != 0) bcfs_log(BCFS_LOG_ERROR, "cannot set up signals: %s", strerror(error));
    return error == 0;
}

/* ---- mounting ---- */

/* What the kernel was told stands in mounter.c: here libfuse only answers. */
static struct fuse_session *new_fuse_session(struct bcfs *fs)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_session *fuse = NULL;
    if (fuse_opt_add_arg(&args, "bitcaskfs") == 0 && (!fs->options.debug || fuse_opt_add_arg(&args, "-d") == 0)) {
        fuse = fuse_session_new(&args, &bcfs_ops, sizeof bcfs_ops, fs);
    }
    fuse_opt_free_args(&args);
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

bool bcfs_session_mount(struct bcfs *fs, struct bcfs_session **session)
{
    *session = NULL;
    struct bcfs_session *made = calloc(1, sizeof *made);
    if (made == NULL) {
        bcfs_log(BCFS_LOG_ERROR, "out of memory");
        return false;
    }
    made->fs = fs;
    pthread_mutex_init(&made->lock, NULL);
    /* A clock that nobody sets: the end must not wait for years because somebody set the other one back. */
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);

    made->fuse = new_fuse_session(fs);
    int device = made->fuse == NULL ? -1 : bcfs_mounter_mount(fs->mounter);
    if (made->fuse == NULL) bcfs_log(BCFS_LOG_ERROR, "libfuse could not make a session");
    if (device < 0) goto fail;
    if (!fs->options.debug) fuse_set_log_func(log_libfuse);

    int error = bcfs_init_install(made->fuse, device);
    if (error != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot use custom I/O: %s", fs->options.mountpoint, strerror(error));
        close(device);
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
        uint64_t began_ns = bcfs_metrics_clock_ns();
        fuse_session_process_buf(fuse, buffer);
        bcfs_metrics_request(worker->session->fs->metrics, bcfs_request_opcode(), bcfs_metrics_clock_ns() - began_ns);
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
    clock_gettime(CLOCK_MONOTONIC, &until);
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

/* ---- the thread that waits for signals ---- */

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
    /* While the loop still answers. */
    bool detached = bcfs_mounter_detach(session->fs->mounter, true);

    /* With no file open in it the mount is gone by now, and the workers have seen ENODEV. */
    if (!detached || !wait_for_workers(session, GRACE_MS)) {
        bcfs_log(BCFS_LOG_WARNING, "%s: files are still open in it; their programs will see errors",
                 session->fs->options.mountpoint);
        bcfs_pruner_stop(&session->pruner);
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
    if (start_workers(session)) {
        if (!bcfs_init_wait()) {
            bcfs_log(BCFS_LOG_ERROR, "%s: the kernel and libfuse did not come to terms at INIT", mountpoint);
        } else if (bcfs_mounter_probe(session->fs->mounter)) {
            int error = bcfs_pruner_start(session->fs, session->fuse, &session->pruner) ? 0 : errno;
            if (error == 0) error = pthread_create(&session->signal_thread, NULL, run_signal_thread, session);
            if (error == 0) return true;
            bcfs_log(BCFS_LOG_ERROR, "cannot start a thread: %s", strerror(error));
        }
    }
    bcfs_pruner_stop(&session->pruner);
    bcfs_mounter_detach(session->fs->mounter, false);
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
    bcfs_pruner_stop(&session->pruner);
    join_workers(session);
    return !broken;
}

void bcfs_session_close(struct bcfs_session **session)
{
    struct bcfs_session *closing = *session;
    *session = NULL;
    if (closing == NULL) return;

    if (closing->fuse != NULL) {
        /* This closes /dev/fuse, which ends the connection: whoever still waits for an answer gets an error now. */
        fuse_session_destroy(closing->fuse);
        /* Still there if the connection was aborted, or if detaching failed before. */
        bcfs_mounter_detach(closing->fs->mounter, false);
    }
    pthread_cond_destroy(&closing->changed);
    pthread_mutex_destroy(&closing->lock);
    free(closing);
}
