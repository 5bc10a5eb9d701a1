/* sync.c - how far the log is durable: one fdatasync for all who wait.
 *
 * Whoever finds no sync running becomes the one who syncs, for everything appended so far; the others wait and are
 * served by it or by the next. On a disk that takes its time groups come about by themselves: while one sync runs, the
 * others append. Where a sync takes no longer than an append each would be alone; so whoever is about to sync first
 * lets those append who came along lately. A lone writer does not wait: nobody did come along, and all that it does is
 * to give its processor away for a moment now and then, to see whether there are others. All syncs of a partition go
 * one after another through `syncing`: the kernel reports a failed write-back once per open file, so of two fdatasync
 * calls side by side one would see success.
 */
#include "partition/checkpoint.h"

#include <sched.h>

#define IDLE_YIELDS 16u      /* without a newcomer, and the group goes without the others */
#define GATHER_YIELDS 10000u /* and in the end anyhow: newcomers without end are no reason to wait for ever */
#define PROBE_EVERY 8u       /* so many syncs for one each, and the next looks whether there is really nobody else */

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
    uint64_t began_ns = bc_monotonic_ns();

    bc_foreground_begin(partition->env->foreground);
    if (segment) status = bc_io_sync(partition->env->io, segment->fd, segment->name);
    if (status == BITCASK_OK && names) status = sync_names(partition);
    bc_foreground_end(partition->env->foreground);
    bc_histogram_add(&partition->timings.of[BC_TIMED_FSYNC], bc_monotonic_ns() - began_ns, 1);
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
    if (status == BITCASK_OK) bc_checkpoint_note_growth(partition, position);
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

/* Lets others append, and wait for the sync that is about to be: until as many do as lately, or nobody new comes. No
 * lock held: they need both. expected 0: nobody is known of, a look will do. */
static void gather(struct bc_partition *partition, unsigned expected)
{
    unsigned seen = atomic_load_explicit(&partition->sync_waiters, memory_order_relaxed), idle = 0;
    unsigned idle_most = expected > 0 ? IDLE_YIELDS : 1;

    for (unsigned i = 0; i < GATHER_YIELDS && (seen < expected || expected == 0) && idle < idle_most; i++) {
        unsigned now;

        sched_yield();
        now = atomic_load_explicit(&partition->sync_waiters, memory_order_relaxed);
        idle = now > seen ? 0 : idle + 1;
        if (now > seen) idle_most = IDLE_YIELDS; /* there are others, after all */
        seen = now;
    }
}

/* How many wait for the sync that begins now. They are served by it, all of them: each has appended before. So those
 * who are counted from here on are newcomers, though the others are still on their way out. sync_lock held. */
static unsigned take_waiters(struct bc_partition *partition)
{
    return atomic_exchange_explicit(&partition->sync_waiters, 0, memory_order_relaxed);
}

/* Becomes the one who syncs, or says so that there is nothing to be done any more: false, and another look is worth it.
 * Fills in what the sync is for; *segment gets a reference, if there is one. */
static bool begin(struct bc_partition *partition, uint64_t position, struct bc_segment **segment, uint64_t *target,
                  unsigned *names, bool *names_too)
{
    bool mine;

    /* write_lock first, and not again before finish(): rotation holds it while it waits for `syncing`. */
    bc_fair_lock_soon(&partition->write_lock);
    pthread_mutex_lock(&partition->sync_lock);
    partition->gathering = false;
    /* Looked at again: a rotation may have synced in between, and that may have failed. The kernel reports such a
     * failure once; the next fdatasync would succeed, with the pages gone. */
    mine = !partition->syncing && !is_durable(partition, position) && !atomic_load(&partition->poisoned);
    if (mine) {
        partition->syncing = true;
        partition->group_before = partition->last_group;
        partition->last_group = take_waiters(partition);
        partition->lone_syncs = partition->last_group > 1 ? 0 : partition->lone_syncs + 1;
        if (partition->active) *segment = bc_segment_ref(partition->active);
        *target = bc_partition_position(partition);
        *names = partition->names_made;
        *names_too = *names != partition->names_synced;
    } else {
        pthread_cond_broadcast(&partition->sync_done); /* those who waited for the gathering see to it themselves */
    }
    pthread_mutex_unlock(&partition->sync_lock);
    bc_fair_unlock(&partition->write_lock);
    return mine;
}

/* Waits until the log is durable up to position, or this thread is the one to gather for a sync: OK with *durable
 * false. *expected: how many came along lately; 1: it alone; 0: it alone, and that for long. */
static bc_status wait_for_turn(struct bc_partition *partition, uint64_t position, bool *durable, unsigned *expected)
{
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&partition->sync_lock);
    if (!is_durable(partition, position)) atomic_fetch_add_explicit(&partition->sync_waiters, 1, memory_order_relaxed);
    while ((partition->syncing || partition->gathering) && !is_durable(partition, position))
        pthread_cond_wait(&partition->sync_done, &partition->sync_lock);
    *durable = is_durable(partition, position);
    if (!*durable && atomic_load(&partition->poisoned)) status = BITCASK_POISONED;
    if (!*durable && status == BITCASK_OK) partition->gathering = true;
    *expected = partition->last_group > partition->group_before ? partition->last_group : partition->group_before;
    if (*expected <= 1) *expected = partition->lone_syncs % PROBE_EVERY == PROBE_EVERY - 1 ? 0 : 1;
    pthread_mutex_unlock(&partition->sync_lock);
    return status == BITCASK_OK ? status : poisoned_status(partition);
}

bc_status bc_partition_sync_to(struct bc_partition *partition, uint64_t position)
{
    bc_status status = BITCASK_OK;

    while (status == BITCASK_OK) {
        struct bc_segment *segment = NULL;
        uint64_t target = 0;
        unsigned names = 0, expected = 0;
        bool names_too = false, durable = false;

        status = wait_for_turn(partition, position, &durable, &expected);
        if (status != BITCASK_OK || durable) break;
        gather(partition, expected);
        if (!begin(partition, position, &segment, &target, &names, &names_too)) continue;
        status = sync_segment(partition, segment, names_too);
        finish(partition, status, target, names);
        bc_segment_unref(&segment);
    }
    return status;
}

static bc_status sync_locked(struct bc_partition *partition, uint64_t target, bool anyway)
{
    unsigned names;
    bool needed, names_too;
    bc_status status;

    pthread_mutex_lock(&partition->sync_lock);
    while (partition->syncing) pthread_cond_wait(&partition->sync_done, &partition->sync_lock);
    names = partition->names_made;
    names_too = names != partition->names_synced;
    needed = anyway || !is_durable(partition, target);
    if (needed) {
        partition->syncing = true;
        (void)take_waiters(partition);
    }
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

bc_status bc_partition_sync_locked(struct bc_partition *partition)
{
    return sync_locked(partition, bc_partition_position(partition), false);
}

bc_status bc_partition_sync_cut(struct bc_partition *partition)
{
    return sync_locked(partition, bc_partition_position(partition), true);
}

bc_status bc_partition_sync_ahead(struct bc_partition *partition, uint64_t end)
{
    return sync_locked(partition, partition->position_base + end, true);
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

    bc_fair_lock_soon(&partition->write_lock);
    position = bc_partition_position(partition);
    bc_fair_unlock(&partition->write_lock);
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

uint64_t bc_partition_known_durable(struct bc_partition *partition)
{
    uint64_t position;

    pthread_mutex_lock(&partition->sync_lock);
    position = partition->names_made == partition->names_synced ? partition->synced : 0;
    pthread_mutex_unlock(&partition->sync_lock);
    return position;
}

uint64_t bc_partition_synced(struct bc_partition *partition)
{
    uint64_t synced;

    pthread_mutex_lock(&partition->sync_lock);
    synced = partition->synced;
    pthread_mutex_unlock(&partition->sync_lock);
    return synced;
}
