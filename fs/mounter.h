/* mounter.h - the process that mounts and unmounts, so that the daemon needs no privilege for it.
 *
 * Mounting takes CAP_SYS_ADMIN, or running fusermount3, which is set-user-id; so does detaching at SIGTERM. The daemon
 * gives up both before it opens the store (sandbox.h). This process is forked off before that. It holds no file of the
 * store and not the connection to the kernel, and reads nothing but one byte a request: "mount", once; "does it
 * answer?"; "detach what you mounted". Whoever takes the daemon over can ask for no more.
 *
 * It ends when the daemon's end of the socket closes, however the daemon ended. The mount of a daemon that was killed
 * is left as it is, dead: programs in it shall see errors, and not write on into the directory below. Threads: one
 * request at a time; the caller sees to that.
 */
#ifndef BCFS_MOUNTER_H
#define BCFS_MOUNTER_H

#include "options.h"

#include <stdbool.h>
#include <sys/types.h>

struct bcfs_mounter {
    int socket; /* -1: none */
    pid_t pid;
};

/* Starts it. dead_mount: one of ours stands at the mountpoint, to be detached first. unwanted_fd: closed there; or -1.
 * options: read, then and later, in the copy of the new process. To be called before there are threads. On failure a
 * line says why. */
bool bcfs_mounter_start(struct bcfs_mounter *mounter, const struct bcfs_options *options, bool dead_mount,
                        int unwanted_fd);

/* Mounts. Returns the descriptor of the connection, owned by the caller, or -1 after a line that says why. */
int bcfs_mounter_mount(struct bcfs_mounter *mounter);

/* Whether the root of the mount answers; waits until it does or fails, with a line. */
bool bcfs_mounter_probe(struct bcfs_mounter *mounter);

/* Detaches the mount if it is there still. write_back: has the kernel write back what programs changed through mmap,
 * which needs someone who answers requests meanwhile. False after a line if the mount may still be there. */
bool bcfs_mounter_detach(struct bcfs_mounter *mounter, bool write_back);

/* Its messages go to syslog from now on, and the terminal is let go. */
bool bcfs_mounter_leave_terminal(struct bcfs_mounter *mounter);

/* Ends it and waits for that. */
void bcfs_mounter_end(struct bcfs_mounter *mounter);

#endif
