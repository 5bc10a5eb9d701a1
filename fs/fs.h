/* fs.h - the mounted file system: what the session and the nodes share, and the order of all locks.
 *
 * The session (main, session, init) reads the options, opens the store, and runs the request loop. The nodes
 * (inode, pending, commit, moves, ops_*) answer the requests. struct bcfs is the userdata of the FUSE session.
 *
 * Locks, outermost first. A thread takes them downwards only, and holds at most one of each kind unless noted.
 *
 *   1. nodes->tree       A rwlock over the shape of the tree. Exclusive: rename, link, and the end of a round of
 *                        moves; it stands for the lock of every directory. Shared: everything else that takes 2.
 *   2. inode->dir->lock  One directory: its overlay, position table, and which inode has which name in it. Only
 *                        rmdir holds two, parent before child; the tree's shape cannot change meanwhile. Behind any of
 *                        them that of nodes->files, the home of files with several names.
 *   3. inode->lock       One node: attributes, pending content, state. Parent and name are written under 1 and 2
 *                        and this one, so each of them is enough to read them.
 *   4. leaves            nodes->table_lock, dirty_lock, moves_lock, commit_lock, cache_lock, jobs->lock: one at a time,
 *                        and nothing but memory is touched under them.
 *
 * No lock is held over an fsync, but: under sync=always; in rmdir, where the store syncs the parent's log; and in a
 * rename that exchanges two names of different directories or replaces a directory there, which the store syncs at
 * once.
 * No handler tells the kernel anything but its answer: a message may have to wait for the answers of others. Those of
 * prune.h come from a thread of its own, without a lock.
 */
#ifndef BCFS_FS_H
#define BCFS_FS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#endif
#include <fuse_lowlevel.h>

#include "bitcask.h"
#include "options.h"

#include <stdatomic.h>

struct bcfs_jobs;    /* jobs.h */
struct bcfs_metrics; /* metrics.h */
struct bcfs_mounter; /* mounter.h */
struct bcfs_nodes;   /* inode.h */
struct bcfs_sandbox; /* sandbox.h */

struct bcfs {
    struct bcfs_options options;        /* fixed before bcfs_start() */
    struct bcfs_mounter *mounter;       /* who mounts and unmounts; main's, like the next */
    const struct bcfs_sandbox *sandbox; /* what the daemon has shut itself off from; NULL in tests */
    bitcask *db;                        /* opened before bcfs_start(), closed after bcfs_stop() */
    struct bcfs_nodes *nodes;           /* between bcfs_start() and bcfs_stop(), as the next five */
    struct bcfs_jobs *jobs;
    struct bcfs_metrics *metrics;
    uid_t owner_uid; /* who runs the daemon, and may command it */
    gid_t owner_gid;
    int64_t started_ns;
    atomic_bool ending; /* the mount comes to its end: commands at work give up */
};

/* The operations of the session; its userdata is a struct bcfs. */
extern const struct fuse_lowlevel_ops bcfs_ops;

/* Makes the root's node and starts the commit thread. fs->options and fs->db are set. To be called after the last
 * fork() and before the first request. On failure nothing stays behind; the status says why. */
bitcask_status bcfs_start(struct bcfs *fs);

/* Commits all that is pending, completes queued renames, writes the directories' times, ends the commit thread and
 * frees every node. To be called when no request runs any more and none will come. Returns the first failure; the
 * nodes are freed all the same, and what could not be committed has been logged. Does not sync: bitcask_close()
 * does. */
bitcask_status bcfs_stop(struct bcfs *fs);

#endif
