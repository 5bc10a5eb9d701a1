/* init.h - what is agreed with the kernel at INIT, and the raw requests.
 *
 * libfuse before 3.17 hides three things that the kernel has: it loses FUSE_PARALLEL_DIROPS, and knows neither
 * FUSE_HANDLE_KILLPRIV_V2 nor FUSE_SETXATTR_EXT, nor the flags that come with them. They are added here, where requests
 * and replies pass as bytes: in the read and writev that the session uses instead of libfuse's.
 *
 * With V2 the kernel no longer removes setuid and setgid itself: it marks the requests that must do so. Missing
 * such a mark would be a root hole, so it is read from each request before a handler runs.
 */
#ifndef BCFS_INIT_H
#define BCFS_INIT_H

#include "fs.h"

#include <stdint.h>

#include <stdbool.h>

/* True in the thread that handles a WRITE with FUSE_WRITE_KILL_SUIDGID or a SETATTR with FATTR_KILL_SUIDGID: the
 * handler then clears setuid, and setgid where the group may execute. Any handler may ask; it is about the request
 * that the calling thread read last. */
bool bcfs_request_kills_suid(void);

/* True in the thread that handles a SETXATTR of an access ACL by somebody who may not keep setgid. Likewise. */
bool bcfs_request_kills_sgid(void);

/* The kind of the request that the calling thread read last, as the kernel numbers them. */
uint32_t bcfs_request_opcode(void);

/* The init handler of bcfs_ops: says which of the kernel's abilities are wanted. userdata: struct bcfs. */
void bcfs_init_op(void *userdata, struct fuse_conn_info *conn);

/* Lets session read requests from device, the connection of a mount, and answer there, through the read and writev of
 * this file; the session owns device then. One session a process. Returns 0 or an errno value. */
int bcfs_init_install(struct fuse_session *session, int device);

/* Waits until INIT was answered (true), or bcfs_init_give_up() was called because it never will be (false). */
bool bcfs_init_wait(void);
void bcfs_init_give_up(void);

#endif
