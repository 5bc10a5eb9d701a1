/* init.c - the agreement at INIT, and the read and writev that see every request and reply: see init.h.
 *
 * libfuse handles a request in the thread that read it, and answers INIT there as well, so what was seen of a
 * request is kept in thread-local memory. The requests are the kernel's: only their length is checked.
 */
#include "init.h"

#include "log.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_WRITE = 1024 * 1024, MAX_BACKGROUND = 64 };

/* The request that this thread read last. */
static _Thread_local struct {
    bool kills_suid;
    bool kills_sgid;
    bool is_setxattr;
    bool is_init;
    uint32_t opcode;
    uint64_t unique;
    uint32_t offered; /* INIT only: the kernel's flags */
} current;

/* Whether a SETXATTR comes in the long form. Written before the reply to INIT, after which the other requests come. */
static atomic_bool setxattr_is_long;

/* Where INIT stands. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool answered; /* by lock */
    bool given_up; /* by lock */
} progress = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

bool bcfs_request_kills_suid(void)
{
    return current.kills_suid;
}

uint32_t bcfs_request_opcode(void)
{
    return current.opcode;
}

bool bcfs_request_kills_sgid(void)
{
    return current.kills_sgid;
}

/* ---- waiting for INIT ---- */

static void report_progress(bool answered)
{
    pthread_mutex_lock(&progress.lock);
    if (answered) progress.answered = true;
    if (!answered) progress.given_up = true;
    pthread_cond_broadcast(&progress.changed);
    pthread_mutex_unlock(&progress.lock);
}

void bcfs_init_give_up(void)
{
    report_progress(false);
}

bool bcfs_init_wait(void)
{
    pthread_mutex_lock(&progress.lock);
    while (!progress.answered && !progress.given_up) pthread_cond_wait(&progress.changed, &progress.lock);
    bool answered = progress.answered;
    pthread_mutex_unlock(&progress.lock);
    return answered;
}

/* ---- requests ---- */

/* A SETXATTR says in a longer form whether setgid must go. libfuse knows the shorter one only, so it gets that, once
 * the words have been read. Returns the size of the request. */
static size_t shorten_setxattr(char *bytes, size_t size)
{
    const size_t head = sizeof(struct fuse_in_header);
    const size_t extra = sizeof(struct fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
    struct fuse_setxattr_in in;
    uint32_t length = 0;

    if (!setxattr_is_long || size < head + sizeof in) return size;
    memcpy(&in, bytes + head, sizeof in);
    current.kills_sgid = (in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0;
    memmove(bytes + head + FUSE_COMPAT_SETXATTR_IN_SIZE, bytes + head + sizeof in, size - head - sizeof in);
    length = (uint32_t)(size - extra);
    memcpy(bytes + offsetof(struct fuse_in_header, len), &length, sizeof length);
    return length;
}

static void note_request(const char *bytes, size_t size)
{
    memset(&current, 0, sizeof current);
    struct fuse_in_header header;
    if (size < sizeof header) return;
    memcpy(&header, bytes, sizeof header);
    bytes += sizeof header;
    size -= sizeof header;
    current.unique = header.unique;
    current.opcode = header.opcode;

    if (header.opcode == FUSE_WRITE && size >= sizeof(struct fuse_write_in)) {
        struct fuse_write_in in;
        memcpy(&in, bytes, sizeof in);
        current.kills_suid = (in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
    } else if (header.opcode == FUSE_SETATTR && size >= sizeof(struct fuse_setattr_in)) {
        struct fuse_setattr_in in;
        memcpy(&in, bytes, sizeof in);
        current.kills_suid = (in.valid & FATTR_KILL_SUIDGID) != 0;
    } else if (header.opcode == FUSE_SETXATTR) {
        current.is_setxattr = true;
    } else if (header.opcode == FUSE_INIT && size >= offsetof(struct fuse_init_in, flags2)) {
        struct fuse_init_in in = {0};
        memcpy(&in, bytes, offsetof(struct fuse_init_in, flags2));
        current.is_init = true;
        current.offered = in.flags;
    }
}

static ssize_t read_request(int fd, void *buffer, size_t size, void *userdata)
{
    (void)userdata;
    ssize_t got = read(fd, buffer, size);
    if (got <= 0) return got;
    note_request(buffer, (size_t)got);
    return current.is_setxattr ? (ssize_t)shorten_setxattr(buffer, (size_t)got) : got;
}

/* ---- replies ---- */

/* Adds to the reply to INIT what libfuse leaves out, if the kernel offered it. Returns false for any other reply, and
 * for one that refuses. */
static bool complete_init_reply(const struct iovec *parts, int count)
{
    struct fuse_out_header header;
    if (!current.is_init || count < 2 || parts[0].iov_len < sizeof header) return false;
    memcpy(&header, parts[0].iov_base, sizeof header);
    if (header.unique != current.unique || header.error != 0) return false;

    const size_t end_of_flags = offsetof(struct fuse_init_out, flags) + sizeof(uint32_t);
    if (parts[1].iov_len < end_of_flags) return true;
    char *place = (char *)parts[1].iov_base + offsetof(struct fuse_init_out, flags);
    uint32_t flags = 0;
    memcpy(&flags, place, sizeof flags);
    flags |= current.offered & (FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT);
    atomic_store(&setxattr_is_long, (flags & FUSE_SETXATTR_EXT) != 0);
    memcpy(place, &flags, sizeof flags);
    bcfs_log(BCFS_LOG_DEBUG,
             "INIT: offered flags 0x%08x, answered 0x%08x: PARALLEL_DIROPS %s, HANDLE_KILLPRIV_V2 %s, SETXATTR_EXT %s",
             current.offered, flags, (flags & FUSE_PARALLEL_DIROPS) != 0 ? "on" : "off",
             (flags & FUSE_HANDLE_KILLPRIV_V2) != 0 ? "on" : "off", (flags & FUSE_SETXATTR_EXT) != 0 ? "on" : "off");
    return true;
}

static ssize_t write_reply(int fd, struct iovec *parts, int count, void *userdata)
{
    (void)userdata;
    bool answers_init = complete_init_reply(parts, count);
    ssize_t written = writev(fd, parts, count);
    if (answers_init && written >= 0) report_progress(true);
    return written;
}

int bcfs_init_install(struct fuse_session *session, int device)
{
    static const struct fuse_custom_io io = {.writev = write_reply, .read = read_request};
    return -fuse_session_custom_io(session, &io, device);
}

/* ---- the init handler ---- */

void bcfs_init_op(void *userdata, struct fuse_conn_info *conn)
{
    const struct bcfs *fs = userdata;

    /* Not wanted, each for its reason: ATOMIC_O_TRUNC, since without an open the truncation would never arrive;
     * WRITEBACK_CACHE, which makes small files slower, but with an option; SPLICE_*, since custom I/O goes without;
     * HANDLE_KILLPRIV, whose second version is set in the reply; the locks, which the kernel keeps locally when nobody
     * wants them; READDIRPLUS_AUTO, which would look up one by one the names after a listing's first block. */
    unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
                    FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_CACHE_SYMLINKS |
                    FUSE_CAP_DONT_MASK;

    /* The umask counts only where the directory has no default ACL, which the daemon alone knows. */
    if (fs->options.acl) want |= FUSE_CAP_POSIX_ACL;

    if (fs->options.writeback && !fs->options.read_only) want |= FUSE_CAP_WRITEBACK_CACHE;

    /* Beside a writer, pages must go when size or mtime show that the file changed. Where nobody but the daemon
     * changes the store nothing has to go: with AUTO_INVAL_DATA each append would drop the whole file's pages. */
    want |= fs->options.read_only ? FUSE_CAP_AUTO_INVAL_DATA : FUSE_CAP_EXPLICIT_INVAL_DATA;

    conn->want = want & conn->capable;
    conn->max_write = MAX_WRITE;
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
    conn->time_gran = 1;
}
