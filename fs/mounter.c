/* mounter.c - the process that mounts and unmounts: see mounter.h.
 *
 * Both ends are in this file. A request is one byte, its answer one byte, with the descriptor of the connection beside
 * it where a mount was made. The paths and options are those of before the fork: nothing of them travels.
 */
#include "mounter.h"

#include "log.h"
#include "mountpoint.h"

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#endif
#include <fuse_lowlevel.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum request { MOUNT = 'm', PROBE = 'p', DETACH = 'd', SYNC_AND_DETACH = 's', LEAVE_TERMINAL = 't' };
enum answer { DONE = 'y', FAILED = 'n' };

/* What the mounting process knows. */
struct mounting {
    const struct bcfs_options *options;
    bool dead_mount;    /* to be cleared */
    int mount_id;       /* of the mount it made; -1: none */
    uint64_t unique_id; /* likewise; 0: unknown */
};

/* ---- in the mounting process: mount ---- */

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

static struct fuse_session *new_session(const struct bcfs_options *options)
{
    static const struct fuse_lowlevel_ops none; /* it answers nothing: it only mounts */
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_session *fuse = NULL;
    char *list = mount_options(options);
    if (list != NULL && fuse_opt_add_arg(&args, "bitcaskfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
        fuse_opt_add_arg(&args, list) == 0) {
        fuse = fuse_session_new(&args, &none, sizeof none, NULL);
    }
    fuse_opt_free_args(&args);
    free(list);
    return fuse;
}

/* Mounts through libfuse. It and fusermount3 write what goes wrong to stderr, in lines of several forms. They are
 * caught, so that one line of ours can hold the reason. Returns a descriptor or -1. */
static int mount_caught(const struct bcfs_options *options)
{
    int caught = memfd_create("stderr", MFD_CLOEXEC);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (caught >= 0 && saved >= 0) dup2(caught, STDERR_FILENO);
    struct fuse_session *fuse = new_session(options);
    int fd = -1;
    if (fuse != NULL && fuse_session_mount(fuse, options->mountpoint) == 0) {
        fd = fcntl(fuse_session_fd(fuse), F_DUPFD_CLOEXEC, 3);
        if (fd < 0) perror("bitcaskfs: dup");
        if (fd < 0) fuse_session_unmount(fuse);
    }
    if (fuse != NULL) fuse_session_destroy(fuse);
    if (saved >= 0) dup2(saved, STDERR_FILENO);

    if (fd < 0) {
        char reason[512];
        last_line(caught, reason, sizeof reason);
        bcfs_log(BCFS_LOG_ERROR, "%s: cannot mount: %s", options->mountpoint,
                 reason[0] != '\0' ? reason : "libfuse gave no reason");
    }
    if (caught >= 0) close(caught);
    if (saved >= 0) close(saved);
    return fd;
}

static int do_mount(struct mounting *mounting)
{
    const char *mountpoint = mounting->options->mountpoint;
    if (mounting->mount_id >= 0) return -1;
    if (mounting->dead_mount && !bcfs_mountpoint_clear(mountpoint)) return -1;
    int fd = mount_caught(mounting->options);
    if (fd >= 0) {
        mounting->mount_id = bcfs_mount_id(mountpoint);
        mounting->unique_id = bcfs_mount_unique_id(mountpoint);
    }
    return fd;
}

/* ---- in the mounting process: the rest ---- */

static bool probe(const struct mounting *mounting)
{
    struct stat root;
    if (mounting->mount_id >= 0 && stat(mounting->options->mountpoint, &root) == 0) return true;
    bcfs_log(BCFS_LOG_ERROR, "%s: is mounted, but its root does not answer: %s", mounting->options->mountpoint,
             strerror(errno));
    return false;
}

/* Somebody may have unmounted it and mounted something else: that may have got our id, which is free again by then. */
static bool is_another(const struct mounting *mounting)
{
    uint64_t there = mounting->unique_id != 0 ? bcfs_mount_unique_id(mounting->options->mountpoint) : 0;
    return there != 0 && there != mounting->unique_id;
}

/* Takes the mount away while the daemon still answers: pages that programs changed through mmap live in the kernel
 * only, and come as WRITEs of this syncfs(). The second one catches what was changed before the mount had gone. */
static bool detach(const struct mounting *mounting, bool write_back)
{
    const char *mountpoint = mounting->options->mountpoint;
    if (mounting->mount_id < 0) return true;
    int fd = write_back ? open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ours = fd >= 0 && bcfs_mount_id_of_fd(fd) == mounting->mount_id;
    if (ours && syncfs(fd) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "%s: the kernel could not write back changed pages: %s", mountpoint, strerror(errno));
    }
    bool detached = is_another(mounting) || bcfs_mount_detach(mountpoint, mounting->mount_id);
    if (ours) syncfs(fd);
    if (fd >= 0) close(fd);
    return detached;
}

static bool leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return false;
    bcfs_log_to_syslog();
    for (int fd = 0; fd <= 2; fd++) dup2(null, fd);
    if (null > 2) close(null);
    return true;
}

/* Sends one byte, and fd with it where that is one. */
static bool send_byte(int socket, char byte, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t sent = 0;
    do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1;
}

/* Answers requests until the daemon is gone. Its signals are blocked here as well, so Ctrl-C ends the daemon alone. */
static void serve(int socket, struct mounting *mounting)
{
    for (;;) {
        char request = 0;
        ssize_t got = read(socket, &request, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got != 1) return;

        int fd = -1;
        bool good = false;
        switch (request) {
        case MOUNT: good = (fd = do_mount(mounting)) >= 0; break;
        case PROBE: good = probe(mounting); break;
        case DETACH:
        case SYNC_AND_DETACH: good = detach(mounting, request == SYNC_AND_DETACH); break;
        case LEAVE_TERMINAL: good = leave_terminal(); break;
        default: break;
        }
        bool sent = send_byte(socket, good ? DONE : FAILED, fd);
        /* The daemon alone keeps the connection open: when it is killed the mount must fail, and not hang. */
        if (fd >= 0) close(fd);
        if (!sent) return;
    }
}

/* ---- in the daemon ---- */

bool bcfs_mounter_start(struct bcfs_mounter *mounter, const struct bcfs_options *options, bool dead_mount,
                        int unwanted_fd)
{
    int ends[2];
    mounter->socket = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        bcfs_log(BCFS_LOG_ERROR, "cannot make a pair of sockets: %s", strerror(errno));
        return false;
    }
    mounter->pid = fork();
    if (mounter->pid == 0) {
        struct mounting mounting = {.options = options, .dead_mount = dead_mount, .mount_id = -1};
        if (unwanted_fd >= 0) close(unwanted_fd);
        close(ends[0]);
        (void)prctl(PR_SET_NAME, "bitcaskfs-mount"); /* so that killall bitcaskfs means the daemon */
        /* It may be started anywhere, and must keep no other filesystem busy. */
        if (chdir("/") == 0) serve(ends[1], &mounting);
        _exit(EXIT_SUCCESS); /* what exit() flushes and runs is the daemon's business */
    }
    close(ends[1]);
    if (mounter->pid < 0) {
        bcfs_log(BCFS_LOG_ERROR, "cannot fork: %s", strerror(errno));
        close(ends[0]);
        return false;
    }
    mounter->socket = ends[0];
    return true;
}

/* Asks and waits for the answer; *fd is what came with it, or -1. */
static bool ask(struct bcfs_mounter *mounter, char request, int *fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char answer = FAILED;
    struct iovec part = {&answer, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};

    *fd = -1;
    ssize_t got = send_byte(mounter->socket, request, -1) ? 0 : -1;
    if (got == 0) {
        do got = recvmsg(mounter->socket, &message, MSG_CMSG_CLOEXEC);
        while (got < 0 && errno == EINTR);
    }
    if (got != 1) {
        bcfs_log(BCFS_LOG_ERROR, "the process that mounts and unmounts (bitcaskfs-mount) is gone");
        return false;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    }
    return answer == DONE;
}

int bcfs_mounter_mount(struct bcfs_mounter *mounter)
{
    int fd = -1;
    if (!ask(mounter, MOUNT, &fd)) return -1;
    if (fd < 0) bcfs_log(BCFS_LOG_ERROR, "the mount was made, but its connection did not arrive");
    return fd;
}

bool bcfs_mounter_probe(struct bcfs_mounter *mounter)
{
    int none = -1;
    return ask(mounter, PROBE, &none);
}

bool bcfs_mounter_detach(struct bcfs_mounter *mounter, bool write_back)
{
    int none = -1;
    return ask(mounter, write_back ? SYNC_AND_DETACH : DETACH, &none);
}

bool bcfs_mounter_leave_terminal(struct bcfs_mounter *mounter)
{
    int none = -1;
    return ask(mounter, LEAVE_TERMINAL, &none);
}

void bcfs_mounter_end(struct bcfs_mounter *mounter)
{
    if (mounter->socket < 0) return;
    close(mounter->socket);
    mounter->socket = -1;
    pid_t waited = 0;
    do waited = waitpid(mounter->pid, NULL, 0);
    while (waited < 0 && errno == EINTR);
}
