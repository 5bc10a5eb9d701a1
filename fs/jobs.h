/* jobs.h - doing what a control file was told, and remembering how it went.
 *
 * A command runs in the thread that got its WRITE, and the write returns when it is done. So that a mount does not
 * stop answering, at most BCFS_JOBS_MAX commands that take time run at once, and the session has as many threads more
 * than it needs otherwise; no lock is held while one runs. Setting the scheduler or the throttle takes no time, and
 * is never refused for that.
 */
#ifndef BCFS_JOBS_H
#define BCFS_JOBS_H

#include "control_text.h"
#include "inode.h"

#define BCFS_JOBS_MAX 6

struct bcfs_jobs;

/* NULL: no memory. */
struct bcfs_jobs *bcfs_jobs_new(void);

/* Frees jobs, of which none runs any more. jobs may be NULL. */
void bcfs_jobs_free(struct bcfs_jobs *jobs);

/* Does what size bytes, written by req into a control file of dir, say. Returns 0, or the errno that the write fails
 * with: EPERM to those who are neither the owner of the mount nor root, EINVAL for what is no command, EBUSY where too
 * many run, EINTR when it was cancelled by INTERRUPT or the mount's end, EIO for damage found, else what the store
 * says. The caller has a reference on dir, and holds no lock. */
int bcfs_jobs_run(fuse_req_t req, struct bcfs_inode *dir, const char *bytes, size_t size);

/* The path of a directory, "" for the root. Renames may go on meanwhile: it is for people to read. */
void bcfs_dir_path(struct bcfs *fs, struct bcfs_inode *dir, char path[BCFS_PATH_SIZE]);

/* The text of dir's control file as of now, malloc'ed; NULL: no memory. No lock is held. */
char *bcfs_jobs_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size);

#endif
