/* caller.h - what a request does not say about who sent it, and /proc does.
 *
 * Asked rarely: it reads a file. A caller who has gone meanwhile has no groups and no capabilities.
 * Threads: any.
 */
#ifndef BCFS_CALLER_H
#define BCFS_CALLER_H

#include "fs.h"

#include <stdbool.h>

/* Whether the caller is in the group, by its process group or one of the others. */
bool bcfs_caller_in_group(fuse_req_t req, gid_t gid);

/* Whether setgid stays on a file of the group, which may not execute it, when the caller changes it: members and those
 * with CAP_FSETID may keep it. */
bool bcfs_caller_keeps_setgid(fuse_req_t req, gid_t gid);

#endif
