/* dir_names.c - which directory names below STORE/partitions are durable.
 */
#include "partition/dir_names.h"

#include <stdio.h>

#define TOP BC_FANS /* partitions/ itself */

bc_status bc_dir_names_init(struct bc_dir_names *names)
{
    *names = (struct bc_dir_names){.failed = {false}};
    return pthread_mutex_init(&names->lock, NULL) == 0 ? BITCASK_OK : BITCASK_NO_MEMORY;
}

void bc_dir_names_release(struct bc_dir_names *names)
{
    pthread_mutex_destroy(&names->lock);
}

void bc_dir_names_made(struct bc_dir_names *names, unsigned fan)
{
    pthread_mutex_lock(&names->lock);
    names->made[fan]++;
    names->made[TOP]++;
    pthread_mutex_unlock(&names->lock);
}

/* Syncs one directory if names were made in it since its last sync. fd is -1 for a fan-out directory, opened at need. */
static bc_status sync_one(struct bc_dir_names *names, struct bc_io *io, int partitions_fd, unsigned which)
{
    char name[16] = "partitions";
    int fan_fd = -1;
    unsigned made;
    bool needed, failed;
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&names->lock);
    made = names->made[which];
    if (which != TOP) names->removed[which] = false;
    needed = made != names->synced[which];
    failed = names->failed[which];
    pthread_mutex_unlock(&names->lock);
    if (failed) return bc_fail(BITCASK_IO, "a sync of a directory of the store failed earlier");
    if (!needed) return BITCASK_OK;
    if (which != TOP) {
        snprintf(name, sizeof name, "%02x", which);
        status = bc_io_open(io, partitions_fd, name, BC_OPEN_READ | BC_OPEN_DIRECTORY, &fan_fd);
        if (status != BITCASK_OK) return status;
    }
    status = bc_io_sync_dir(io, which == TOP ? partitions_fd : fan_fd, name);
    (void)bc_io_close(io, &fan_fd);
    pthread_mutex_lock(&names->lock);
    if (status != BITCASK_OK) names->failed[which] = true;
    else if (made - names->synced[which] < 0x80000000u) names->synced[which] = made; /* never back to an older count */
    pthread_mutex_unlock(&names->lock);
    return status;
}

bc_status bc_dir_names_sync(struct bc_dir_names *names, struct bc_io *io, int partitions_fd, unsigned fan)
{
    bc_status status = sync_one(names, io, partitions_fd, fan);

    return status == BITCASK_OK ? sync_one(names, io, partitions_fd, TOP) : status;
}

void bc_dir_names_removed(struct bc_dir_names *names, unsigned fan)
{
    pthread_mutex_lock(&names->lock);
    names->made[fan]++; /* so that a sync of it is needed */
    names->removed[fan] = true;
    pthread_mutex_unlock(&names->lock);
}

bc_status bc_dir_names_sync_removed(struct bc_dir_names *names, struct bc_io *io, int partitions_fd)
{
    bc_status status = BITCASK_OK;

    for (unsigned fan = 0; fan < BC_FANS && status == BITCASK_OK; fan++) {
        pthread_mutex_lock(&names->lock);
        bool removed = names->removed[fan];
        pthread_mutex_unlock(&names->lock);
        if (removed) status = sync_one(names, io, partitions_fd, fan);
        if (status == BITCASK_NOT_FOUND) status = BITCASK_OK; /* it never was: nothing was removed from it */
    }
    return status;
}
