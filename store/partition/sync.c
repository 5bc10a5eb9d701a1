/* sync.c - how far the log is durable: one fdatasync for all who wait.
 *
 * Whoever finds no sync running becomes the one who syncs, for everything appended so far; the others wait and are
 * served by it or by the next. All syncs of a partition go one after another through `syncing`: the kernel reports a
 * failed write-back once per open file, so of two fdatasync calls side by side one would see success.
 */
#include "partition/partition.h"

/* Makes the names durable on which the log hangs. None of it is acknowledged before all of it is done. Without it a
 * power cut may take a partition's whole directory, synced log and all. */
static bc_status sync_names(struct bc_partition *partition)
{
    const struct bc_env *env = partition->env;
    bc_status status = bc_io_sync_dir(env->io, partition->dir_fd, partition->label);

    if (status != BITCASK_OK) return status;
    return bc_dir_names_sync(env->dir_names, env->io, env->partitions_fd, (unsigned)(partition->id & 0xff));
}

/* Syncs segment (NULL: there is none to append to) and names; `syncing` is set by the caller, so that this runs once
 * at a time. After a failure the kernel may have dropped the pages and forgotten about it: trying again would prove
 * nothing, so the partition is poisoned. */
static bc_status sync_segment(struct bc_partition *partition, struct bc_segment *segment, bool names)
{
    bc_status status = BITCASK_OK;

    bc_foreground_begin(partition->env->foreground);
    if (segment) status = bc_io_sync(partition->env->io, segment->fd, segment->name);
    if (status == BITCASK_OK && names) status = sync_names(partition);
    bc_foreground_end(partition->env->foreground);
    if (status != BITCASK_OK) {
        atomic_store(&partition->poisoned, true);
        bc_env_log(partition->env, BITCASK_LOG_ERROR,
                   "partition '%s': sync failed: %s; it takes no writes until reopened", partition->label, bc_detail());
    }
    return status;
}

/* Ends a sync that went up to position, and covered the names as of their count `names`. */
static void finish(struct bc_partition *partition, bc_status status, uint64_t position, unsigned names)
{
    pthread_mutex_lock(&partition->sync_lock);
    partition->syncing = false;
    if (status == BITCASK_OK && position > partition->synced) partition->synced = position;
    if (status == BITCASK_OK) partition->names_synced = names;
    /* Cleared first and then looked at: an append sets its position first and the hint then, so that one of the two
     * threads sees the other. */
    atomic_store(&partition->dirty, false);
    if (status != BITCASK_OK || atomic_load(&partition->appended) > partition->synced ||
        partition->names_made != partition->names_synced)
        atomic_store(&partition->dirty, true);
    pthread_cond_broadcast(&partition->sync_done);
    pthread_mutex_unlock(&partition->sync_lock);
}

static bc_status poisoned_status(const struct bc_partition *partition)
{
    return bc_fail(BITCASK_POISONED, "partition '%s': a sync failed earlier; close the store and open it again",
                   partition->label);
}

/* Whether all up to position is durable: the bytes, and the names that lead to them. A log that was found at open may
 * be durable itself, in a directory that is not. sync_lock held. */
static bool is_durable(const struct bc_partition *partition, uint64_t position)
{
    return partition->synced >= position && partition->names_made == partition->names_synced;
}

bc_status bc_partition_sync_to(struct bc_partition *partition, uint64_t position)
{
    for (;;) {
        struct bc_segment *segment = NULL;
        uint64_t target = 0;
        unsigned names = 0;
        bool names_too = false, mine = false, done, bad;
        bc_status status;

        pthread_mutex_lock(&partition->sync_lock);
        while (partition->syncing && !is_durable(partition, position))
            pthread_cond_wait(&partition->sync_done, &partition->sync_lock);
        done = is_durable(partition, position);
        bad = !done && atomic_load(&partition->poisoned);
        pthread_mutex_unlock(&partition->sync_lock);
        if (done) return BITCASK_OK;
        if (bad) return poisoned_status(partition);

        /* write_lock first, and not again before finish(): rotation holds it while it waits for `syncing`. */
        pthread_mutex_lock(&partition->write_lock);
        pthread_mutex_lock(&partition->sync_lock);
        /* Looked at again: the sync of another thread may have failed in between, and the kernel reports such a
         * failure once. The next fdatasync would succeed, with the pages gone. */
        if (!partition->syncing && !is_durable(partition, position) && !atomic_load(&partition->poisoned)) {
            mine = true;
            partition->syncing = true;
            if (partition->active) segment = bc_segment_ref(partition->active);
            target = bc_partition_position(partition);
            names = partition->names_made;
            names_too = names != partition->names_synced;
        }
        pthread_mutex_unlock(&partition->sync_lock);
        pthread_mutex_unlock(&partition->write_lock);
        if (!mine) continue;

        status = sync_segment(partition, segment, names_too);
        finish(partition, status, target, names);
        bc_segment_unref(&segment);
        if (status != BITCASK_OK) return status;
    }
}

bc_status bc_partition_sync_locked(struct bc_partition *partition)
{
    uint64_t target = bc_partition_position(partition);
    unsigned names;
    bool needed, names_too;
    bc_status status;

    pthread_mutex_lock(&partition->sync_lock);
    while (partition->syncing) pthread_cond_wait(&partition->sync_done, &partition->sync_lock);
    names = partition->names_made;
    names_too = names != partition->names_synced;
    needed = !is_durable(partition, target);
    if (needed) partition->syncing = true;
    pthread_mutex_unlock(&partition->sync_lock);
    if (!needed) return BITCASK_OK;
    if (atomic_load(&partition->poisoned)) {
        finish(partition, BITCASK_POISONED, 0, 0);
        return poisoned_status(partition);
    }
    status = sync_segment(partition, partition->active, names_too);
    finish(partition, status, target, names);
    return status;
}

void bc_partition_names_changed(struct bc_partition *partition)
{
    bc_dir_names_made(partition->env->dir_names, (unsigned)(partition->id & 0xff));
    pthread_mutex_lock(&partition->sync_lock);
    partition->names_made++;
    atomic_store(&partition->dirty, true);
    pthread_mutex_unlock(&partition->sync_lock);
}

bool bc_partition_is_dirty(struct bc_partition *partition)
{
    return atomic_load(&partition->dirty);
}

uint64_t bc_partition_appended(struct bc_partition *partition)
{
    uint64_t position;

    pthread_mutex_lock(&partition->write_lock);
    position = bc_partition_position(partition);
    pthread_mutex_unlock(&partition->write_lock);
    return position;
}

bool bc_partition_is_durable(struct bc_partition *partition, uint64_t position)
{
    bool durable;

    pthread_mutex_lock(&partition->sync_lock);
    durable = is_durable(partition, position);
    pthread_mutex_unlock(&partition->sync_lock);
    return durable;
}

uint64_t bc_partition_synced(struct bc_partition *partition)
{
    uint64_t synced;

    pthread_mutex_lock(&partition->sync_lock);
    synced = partition->synced;
    pthread_mutex_unlock(&partition->sync_lock);
    return synced;
}
