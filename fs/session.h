/* session.h - one mount from mount(2) to its end: the request loop, the signals, the leaving.
 *
 * The order of calls: bcfs_session_block_signals, bcfs_session_mount, bcfs_session_start, bcfs_session_wait,
 * bcfs_session_close; all from the main thread, once a process. The store must be open and bcfs_start() done before
 * the mount; bcfs_stop() comes after bcfs_session_close(), when no request can run any more.
 */
#ifndef BCFS_SESSION_H
#define BCFS_SESSION_H

#include "fs.h"

#include <stdbool.h>

struct bcfs_session;

/* Blocks the signals that end a mount, and ignores SIGPIPE, in this thread and those it will create. They are taken
 * up by bcfs_session_wait(). Before anything else starts a thread. */
bool bcfs_session_block_signals(void);

/* Mounts at fs->options.mountpoint. On failure nothing is mounted, and a line says why. fs is borrowed until close. */
bool bcfs_session_mount(struct bcfs *fs, struct bcfs_session **session);

/* Starts the threads that answer requests, and returns once the root of the mount has been seen to answer. On failure
 * the mount is gone and a line says why; close is still due. */
bool bcfs_session_start(struct bcfs_session *session);

/* Returns when the mount has come to its end: unmounted by someone, or by SIGTERM, SIGINT or SIGHUP. A signal first
 * has the kernel write back what programs changed through mmap, then detaches the mount, and gives those that still
 * have files open a few seconds. No request runs when it returns. False if the loop broke off by an error. */
bool bcfs_session_wait(struct bcfs_session *session);

/* Cuts the connection to the kernel, detaches the mount if it is still there, frees session and sets it to NULL.
 * Accepts NULL. */
void bcfs_session_close(struct bcfs_session **session);

#endif
