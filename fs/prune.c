/* prune.c - asking the kernel to forget nodes: see prune.h.
 *
 * The kernel answers such a call when it has let go; the FORGETs come later, to the threads that answer requests. So
 * the thread asks for as many nodes as are too many, in small messages, and pauses before it counts again.
 *
 * Which nodes: those that come next in the table of numbers, which are random ones. Nobody tells the daemon what is
 * used often; what the kernel has in its cache it does not ask for.
 *
 * A node may be gone, or its address be that of another one, when the kernel reads the message. It then finds none, or
 * forgets another one than was meant, which is as well.
 */
#include "prune.h"

#include "inode.h"
#include "log.h"

#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

enum {
    MESSAGE_NODES = 4096, /* many: between two the thread has to get table_lock back, beside all that look up */
    PAUSE_MS = 10,        /* for the FORGETs to come */
    PAUSE_MAX_MS = 320,
    WORTH = 16,         /* of so many nodes one has to go, or programs use them: the next pause is twice as long */
    FREED_OF_LIMIT = 8, /* of so many one is made room for at a time */
    CODE_PRUNE = 9      /* FUSE_NOTIFY_PRUNE: newer than the headers of many a system, as is this struct */
};

struct prune_head {
    uint32_t count;
    uint32_t padding;
    uint64_t spare;
};

struct bcfs_pruner {
    struct bcfs *fs;
    int device;
    pthread_t thread;
    size_t hand;                 /* the bucket that comes next; the thread's, as the next */
    uint64_t ids[MESSAGE_NODES]; /* a message */
    bool stop;                   /* nodes->table_lock */
};

/* The kernel's verdict on one message: 0 or an errno. */
static int ask_to_forget(int device, const uint64_t *ids, size_t count)
{
    struct prune_head head = {.count = (uint32_t)count};
    struct fuse_out_header header = {.error = CODE_PRUNE};
    struct iovec parts[] = {
        {&header, sizeof(header)}, {&head, sizeof(head)}, {(void *)(uintptr_t)ids, count * sizeof(*ids)}};

    header.len = (uint32_t)(sizeof(header) + sizeof(head) + count * sizeof(*ids));
    return writev(device, parts, 3) < 0 ? errno : 0;
}

/* Makes a message of the nodes of the next buckets, of `most` or a few more if there is room; *looked grows by the
 * buckets. The two that live as long as the mount are left out. Returns how many these are. table_lock is held. */
static size_t choose(struct bcfs_pruner *pruner, size_t most, size_t *looked)
{
    const struct bcfs_nodes *nodes = pruner->fs->nodes;
    size_t count = 0;

    for (; *looked < nodes->buckets && count < most; (*looked)++) {
        const struct bcfs_inode *inode = nodes->by_ino[pruner->hand++ & (nodes->buckets - 1)];

        for (; inode != NULL && count < MESSAGE_NODES; inode = inode->next_by_ino) {
            if (inode == nodes->root || inode == nodes->files) continue;
            pruner->ids[count++] = bcfs_inode_id(pruner->fs, inode);
        }
    }
    return count;
}

/* Waits, at most ms milliseconds; 0: until there are too many nodes. Ends early to stop. table_lock is held. */
static void wait_for(struct bcfs_pruner *pruner, int64_t ms)
{
    struct bcfs_nodes *nodes = pruner->fs->nodes;
    struct timespec until;
    int error = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!pruner->stop && error == 0 && (ms != 0 || nodes->count <= nodes->most)) {
        error = ms == 0 ? pthread_cond_wait(&nodes->crowded, &nodes->table_lock)
                        : pthread_cond_timedwait(&nodes->crowded, &nodes->table_lock, &until);
    }
}

/* Asks for all that are too many, once round the table at most. *asked: how many that were. Returns an errno.
 * table_lock is held, but not over the calls. */
static int prune(struct bcfs_pruner *pruner, size_t *asked)
{
    struct bcfs_nodes *nodes = pruner->fs->nodes;
    const size_t low = nodes->most - nodes->most / FREED_OF_LIMIT;
    size_t wanted = nodes->count > low ? nodes->count - low : 0;
    size_t looked = 0;
    int error = 0;

    *asked = 0;
    while (wanted > 0 && looked < nodes->buckets && !pruner->stop && (error == 0 || error == ENOMEM)) {
        size_t count = choose(pruner, wanted < MESSAGE_NODES ? wanted : MESSAGE_NODES, &looked);

        if (count == 0) break;
        wanted -= count < wanted ? count : wanted;
        *asked += count;
        (void)pthread_mutex_unlock(&nodes->table_lock);
        error = ask_to_forget(pruner->device, pruner->ids, count);
        (void)pthread_mutex_lock(&nodes->table_lock);
    }
    return error;
}

static void *run(void *argument)
{
    struct bcfs_pruner *pruner = argument;
    struct bcfs_nodes *nodes = pruner->fs->nodes;
    int64_t pause_ms = PAUSE_MS;
    int error = 0;

    (void)pthread_mutex_lock(&nodes->table_lock);
    while (!pruner->stop && (error == 0 || error == ENOMEM)) {
        uint64_t gone = nodes->gone;
        size_t asked = 0;

        if (nodes->count <= nodes->most) {
            pause_ms = PAUSE_MS;
            wait_for(pruner, 0);
            continue;
        }
        error = prune(pruner, &asked);
        wait_for(pruner, pause_ms);
        if (nodes->gone - gone >= asked / WORTH) {
            pause_ms = PAUSE_MS;
        } else if (pause_ms < PAUSE_MAX_MS) {
            pause_ms *= 2;
        }
    }
    (void)pthread_mutex_unlock(&nodes->table_lock);
    if (error == EINVAL) {
        bcfs_log(BCFS_LOG_INFO,
                 "max_nodes=%zu has no effect: this kernel forgets files only as it needs memory (Linux "
                 "6.18 can be asked to)",
                 nodes->most);
    }
    return NULL;
}

bool bcfs_pruner_start(struct bcfs *fs, struct fuse_session *session, struct bcfs_pruner **pruner)
{
    struct bcfs_pruner *made = calloc(1, sizeof(*made));
    sigset_t all;
    sigset_t old;
    int error = made == NULL ? ENOMEM : 0;

    *pruner = NULL;
    if (made == NULL) {
        errno = error;
        return false;
    }
    made->fs = fs;
    made->device = fuse_session_fd(session);
    /* Signals are the session's. */
    (void)sigfillset(&all);
    error = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (error == 0) {
        error = pthread_create(&made->thread, NULL, run, made);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (error != 0) {
        free(made);
        errno = error;
        return false;
    }
    *pruner = made;
    return true;
}

void bcfs_pruner_stop(struct bcfs_pruner **pruner)
{
    struct bcfs_pruner *stopping = *pruner;
    struct bcfs_nodes *nodes = NULL;

    *pruner = NULL;
    if (stopping == NULL) return;
    nodes = stopping->fs->nodes;
    (void)pthread_mutex_lock(&nodes->table_lock);
    stopping->stop = true;
    (void)pthread_cond_broadcast(&nodes->crowded);
    (void)pthread_mutex_unlock(&nodes->table_lock);
    (void)pthread_join(stopping->thread, NULL);
    free(stopping);
}
