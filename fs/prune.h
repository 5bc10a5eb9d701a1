/* prune.h - a bound on the nodes that the kernel makes the daemon keep.
 *
 * Whatever is looked up or listed becomes a node, and stays one until the kernel forgets it: which it does when the
 * machine needs memory, not when the daemon's has grown. A walk over ten million files would leave gigabytes. So above
 * a number of nodes a thread asks the kernel to forget some of them. It lets go of what no program uses: no open file,
 * no current directory, no directory below which it knows something. What it forgets is looked up again when wanted.
 */
#ifndef BCFS_PRUNE_H
#define BCFS_PRUNE_H

#include "fs.h"

struct bcfs_pruner;

/* Starts the thread for the connection of session, which INIT has passed. fs->nodes is there until it is stopped. The
 * caller owns *pruner. False: no memory, or no thread; errno says which. */
bool bcfs_pruner_start(struct bcfs *fs, struct fuse_session *session, struct bcfs_pruner **pruner);

/* Ends the thread, waits for it and sets *pruner to NULL; NULL is left alone. Either requests are still answered, since
 * what the kernel forgets may wait for the answer to a read of it, or the connection is dead. */
void bcfs_pruner_stop(struct bcfs_pruner **pruner);

#endif
