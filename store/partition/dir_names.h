/* dir_names.h - which directory names below STORE/partitions are durable.
 *
 * A log hangs on three names: its file's in the partition's directory, that directory's in its fan-out directory, and
 * the fan-out's in partitions/. The last two are shared by many partitions, so one sync serves all that were made before
 * it. Names are counted as they are made, and a sync notes the count that it began with.
 * Threads: any; the lock is a leaf, and not held over a sync.
 */
#ifndef BC_DIR_NAMES_H
#define BC_DIR_NAMES_H

#include <pthread.h>

#include "io/io.h"

#define BC_FANS 256u

struct bc_dir_names {
    pthread_mutex_t lock;
    /* Of each fan-out directory, and, last, of partitions/: names made, and made when the last sync began. */
    unsigned made[BC_FANS + 1], synced[BC_FANS + 1];
    bool failed[BC_FANS + 1]; /* a sync failed: trying again would prove nothing */
    bool removed[BC_FANS];    /* a name was removed, and no sync has begun since */
};

bc_status bc_dir_names_init(struct bc_dir_names *names);
void bc_dir_names_release(struct bc_dir_names *names);

/* Says that a name was made, or found and perhaps never synced, in fan-out directory fan, and its own in partitions/. */
void bc_dir_names_made(struct bc_dir_names *names, unsigned fan);

/* Makes the names in fan-out directory fan, and in partitions/, durable as far as they are not. */
bc_status bc_dir_names_sync(struct bc_dir_names *names, struct bc_io *io, int partitions_fd, unsigned fan);

/* Says that a name was removed, or may have been, from fan-out directory fan; and makes all that were removed durable. */
void bc_dir_names_removed(struct bc_dir_names *names, unsigned fan);
bc_status bc_dir_names_sync_removed(struct bc_dir_names *names, struct bc_io *io, int partitions_fd);

#endif
