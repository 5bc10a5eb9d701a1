/* db.c - a store's life: opening with recovery, the thread that syncs, closing.
 */
#include "db/db.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "db/inodes.h"
#include "db/maintain.h"

#define OTHER_FILES 64u       /* descriptors left to the rest of the process */
#define MEMORY_LIMIT_MIN 65536u
#define FILES_PER_PARTITION 3u /* its directory, its active segment, one more */

static unsigned default_max_open(void)
{
    struct rlimit limit;
    rlim_t files = 1024;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) files = limit.rlim_cur;
    if (files == RLIM_INFINITY || files > 65536) files = 65536;
    if (files < OTHER_FILES + 8 * FILES_PER_PARTITION) return 8;
    return (unsigned)(files - OTHER_FILES) / FILES_PER_PARTITION;
}

/* A quarter of the machine's memory; where that is not to be had, no limit. */
static uint64_t default_memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 : UINT64_MAX;
}

static bc_status check_options(const bitcask_options *options)
{
    if (options->segment_size < 64 * 1024 || options->segment_size > BC_SEGMENT_SIZE_MAX)
        return bc_fail(BITCASK_BAD_ARGUMENT, "segment_size is %llu; it may be from 64 KiB to 4 GiB - 1",
                       (unsigned long long)options->segment_size);
    if (options->sync_interval_ms < 1 || options->sync_interval_ms > 3600000)
        return bc_fail(BITCASK_BAD_ARGUMENT, "sync_interval_ms is %u; it may be from 1 to 3600000",
                       options->sync_interval_ms);
    if (options->sync != BITCASK_SYNC_INTERVAL && options->sync != BITCASK_SYNC_ALWAYS &&
        options->sync != BITCASK_SYNC_OS)
        return bc_fail(BITCASK_BAD_ARGUMENT, "sync is no known policy");
    if (options->merge_bytes_per_s > 0 && options->merge_bytes_per_s < BC_MERGE_RATE_MIN)
        return bc_fail(BITCASK_BAD_ARGUMENT, "merge_bytes_per_s is %u; it may be 0, for no limit, or from %u on",
                       (unsigned)options->merge_bytes_per_s, BC_MERGE_RATE_MIN);
    if (options->memory_limit > 0 && options->memory_limit < MEMORY_LIMIT_MIN)
        return bc_fail(BITCASK_BAD_ARGUMENT, "memory_limit is %llu; it may be 0, for the default, or from %u on",
                       (unsigned long long)options->memory_limit, MEMORY_LIMIT_MIN);
    return BITCASK_OK;
}

static void make_hints(void *context, struct bitcask_partition *node, struct bc_partition *instance)
{
    (void)context;
    (void)node;
    bc_partition_make_hints(instance);
}

/* The store's thread. With the policy "interval" it makes durable what was acknowledged an interval ago; behind that,
 * with every policy, the hints of what was sealed, and checkpoints. */
static void *sync_now_and_then(void *context)
{
    struct bitcask *db = context;
    bc_status status = BITCASK_OK, last = BITCASK_OK;

    pthread_mutex_lock(&db->nodes_lock);
    while (!db->stopping) {
        struct timespec until = bc_timespec(bc_monotonic_ns() + db->sync_interval_ms * 1000000ull);
        int error = 0;

        while (!db->stopping && error == 0) error = pthread_cond_timedwait(&db->stop, &db->nodes_lock, &until);
        if (db->stopping) break;
        pthread_mutex_unlock(&db->nodes_lock);
        if (db->sync == BITCASK_SYNC_INTERVAL) status = bc_db_sync(db);
        if (status != BITCASK_OK && status != last) /* said once, not every second */
            bc_env_log(&db->env, BITCASK_LOG_ERROR, "%s: background sync: %s", db->path, bc_detail_of(status));
        last = status;
        if (atomic_exchange(&db->hints_wanted, false)) (void)bc_nodes_peek(db, make_hints, NULL);
        pthread_mutex_lock(&db->nodes_lock);
    }
    pthread_mutex_unlock(&db->nodes_lock);
    return NULL;
}

/* The other policies leave it nothing to sync: then it can be done without. */
static bool has_thread(const struct bc_io *io, const bitcask_options *options)
{
    return !options->read_only && (options->sync == BITCASK_SYNC_INTERVAL || io->background);
}

static void stop_syncer(struct bitcask *db)
{
    if (!db->syncer_runs) return;
    pthread_mutex_lock(&db->nodes_lock);
    db->stopping = true;
    pthread_cond_broadcast(&db->stop);
    pthread_mutex_unlock(&db->nodes_lock);
    pthread_join(db->syncer, NULL);
}

static bc_status init_locks(struct bitcask *db)
{
    int failed = pthread_mutex_init(&db->tree_lock, NULL);

    if (failed || bc_dir_names_init(&db->dir_names) != BITCASK_OK) return BITCASK_NO_MEMORY;
    failed |= pthread_mutex_init(&db->nodes_lock, NULL) | pthread_mutex_init(&db->live_lock, NULL) |
              pthread_mutex_init(&db->strike_lock, NULL) | pthread_mutex_init(&db->holds_lock, NULL) |
              pthread_cond_init(&db->nodes_changed, NULL);
    if (failed) return BITCASK_NO_MEMORY;
    return bc_cond_init_monotonic(&db->stop);
}

static void free_db(struct bitcask *db)
{
    bc_maintenance_close(db);
    bc_reserve_close(&db->reserve);
    bc_store_dir_close(db);
    bc_dir_names_release(&db->dir_names);
    pthread_mutex_destroy(&db->tree_lock);
    pthread_mutex_destroy(&db->nodes_lock);
    pthread_mutex_destroy(&db->strike_lock);
    pthread_mutex_destroy(&db->live_lock);
    pthread_mutex_destroy(&db->holds_lock);
    bc_holds_free(db);
    pthread_cond_destroy(&db->nodes_changed);
    pthread_cond_destroy(&db->stop);
    free(db->redo);
    bc_buffer_release(&db->redo_bytes);
    free(db->path);
    free(db);
}

/* Whether the last writer left a note that it was at work. */
static bc_status was_unclean(struct bitcask *db, bool *unclean)
{
    static const uint8_t key[2] = {0, BC_KEY_SESSION};
    struct bc_partition *inodes;
    bc_status status = bc_node_pin_reading(db->inodes, &inodes);

    if (status != BITCASK_OK) return status;
    *unclean = bc_partition_find(inodes, key, sizeof key, NULL) == BITCASK_OK;
    bc_node_unpin(db->inodes);
    return BITCASK_OK;
}

/* Takes the note back. Everything else is durable by now, so it need not be; but for directories that were removed: were
 * one back after a power cut, and the note gone, nobody would look for it any more. */
static bc_status end_session(struct bitcask *db)
{
    static const uint8_t key[2] = {0, BC_KEY_SESSION};
    struct bc_write write = {.key = key, .key_size = sizeof key, .flags = BC_RECORD_TOMBSTONE};
    struct bc_partition *inodes;
    bc_status status = bc_dir_names_sync_removed(&db->dir_names, db->env.io, db->env.partitions_fd);

    if (status != BITCASK_OK) {
        bc_env_log(&db->env, BITCASK_LOG_WARNING, "%s: the next open looks for partitions left behind: %s", db->path,
                   bc_detail());
        bc_detail_clear();
        return BITCASK_OK;
    }
    status = bc_node_pin(db->inodes, &inodes);
    if (status != BITCASK_OK) return status;
    bc_fair_lock_soon(&inodes->write_lock);
    status = bc_partition_append(inodes, &write, 1, true, 0);
    bc_fair_unlock(&inodes->write_lock);
    bc_node_unpin(db->inodes);
    return status;
}

static bc_status recover(struct bitcask *db)
{
    bool unclean = false;
    bc_status status = bc_node_get(db, BC_ROOT_ID, NULL, "", 0, &db->root);

    if (status == BITCASK_OK) status = bc_node_get(db, BC_INODES_ID, NULL, "(inodes)", 8, &db->inodes);
    if (status == BITCASK_OK) status = bc_intents_recover(db);
    if (status != BITCASK_OK || db->env.read_only) return status;
    status = was_unclean(db, &unclean);
    if (status != BITCASK_OK || !unclean) return status;
    /* After the redo: a directory record may have stood in an intent alone. */
    status = bc_sweep(db);
    return status == BITCASK_OK && !db->left_behind ? end_session(db) : status;
}

bc_status bc_db_open(struct bc_io *io, const char *path, const bitcask_options *options, struct bitcask **out)
{
    struct bitcask *db;
    bc_status status = check_options(options);

    if (status != BITCASK_OK) return status;
    db = calloc(1, sizeof *db);
    if (!db || !(db->path = strdup(path)) || init_locks(db) != BITCASK_OK) {
        if (db) free(db->path);
        free(db);
        return BITCASK_NO_MEMORY;
    }
    db->env = (struct bc_env){
        .io = io,
        .partitions_fd = -1,
        .dir_names = &db->dir_names,
        .read_only = options->read_only,
        .segment_size = options->segment_size,
        /* Else a rotation makes its hint itself: nobody would come by. */
        .hints_wanted = has_thread(io, options) ? &db->hints_wanted : NULL,
        .log = options->log,
        .log_context = options->log_context,
        .memory = &db->memory,
        .foreground = &db->foreground,
    };
    db->dir_fd = -1;
    db->lock_fd = -1;
    db->bytes_read = bc_io_count(&io->bytes_read);
    db->bytes_written = bc_io_count(&io->bytes_written);
    db->syncs = bc_io_count(&io->syncs);
    db->live_end = &db->live;
    db->next_intent_id = 1;
    db->extent_shift = BC_EXTENT_SHIFT;
    db->inline_max = BC_INLINE_MAX;
    db->sync = options->sync;
    db->sync_interval_ms = options->sync_interval_ms;
    db->max_open = options->max_open > 0 ? options->max_open : default_max_open();
    db->memory.limit = options->memory_limit > 0 ? options->memory_limit : default_memory_limit();
    db->ledgers_max = BC_LEDGERS_MAX;
    if (db->max_open < 4) db->max_open = 4; /* a rename needs both sides and partition 1 */
    status = bc_store_dir_open(db, options);
    if (status == BITCASK_OK && !options->read_only) {
        status = bc_reserve_open(&db->reserve, io, db->dir_fd);
        if (status == BITCASK_OK) db->env.reserve = &db->reserve;
    }
    if (status == BITCASK_OK) status = recover(db);
    if (status == BITCASK_OK && has_thread(io, options)) {
        if (pthread_create(&db->syncer, NULL, sync_now_and_then, db) == 0) db->syncer_runs = true;
        else status = bc_fail(BITCASK_NO_MEMORY, "the thread that syncs could not be started");
    }
    if (status == BITCASK_OK) status = bc_maintenance_open(db, options);
    if (status != BITCASK_OK) {
        stop_syncer(db);
        (void)bc_nodes_close(db);
        bc_node_unref(&db->root);
        bc_node_unref(&db->inodes);
        bc_rcu_flush();
        free_db(db);
        return status;
    }
    *out = db;
    return BITCASK_OK;
}

static bc_status sync_one(void *context, struct bitcask_partition *node, struct bc_partition *instance)
{
    (void)context;
    (void)node;
    return bc_partition_sync_to(instance, bc_partition_appended(instance));
}

bc_status bc_db_sync(struct bitcask *db)
{
    struct bc_failure first = {0};

    if (db->env.read_only) return BITCASK_OK;
    bc_failure_note(&first, bc_nodes_each(db, true, sync_one, NULL));
    bc_failure_note(&first, bc_intents_strike(db, false));
    bc_tree_remove_dropped(db);
    return bc_failure_end(&first);
}

/* Leaves the lists empty, whatever is still in them: what they stand for is on disk and is found at the next open. */
static void free_lists(struct bitcask *db)
{
    while (db->live) {
        struct bc_live_intent *live = db->live;
        db->live = live->next;
        for (unsigned s = 0; s < live->side_count; s++) bc_node_unref(&live->side[s].node);
        free(live);
    }
    while (db->dropped) {
        struct bc_dropped *dropped = db->dropped;
        db->dropped = dropped->next;
        bc_node_unref(&dropped->parent);
        free(dropped);
    }
}

bc_status bc_db_close(struct bitcask **pointer)
{
    struct bitcask *db = *pointer;
    struct bc_failure first = {0};
    bc_status status;

    if (!db) return BITCASK_OK;
    *pointer = NULL;
    bc_store_dir_announce_close(db);
    bc_maintenance_stop(db);
    stop_syncer(db);
    if (!db->env.read_only) {
        /* In this order: all logs, then what hangs on their being durable, then the note that all is well. */
        status = bc_db_sync(db);
        if (status == BITCASK_OK) status = bc_intents_strike(db, true);
        if (status == BITCASK_OK && db->session_noted && !db->dropped && !db->live && !db->left_behind)
            status = end_session(db);
        bc_failure_note(&first, status);
    }
    free_lists(db);
    bc_failure_note(&first, bc_nodes_close(db));
    bc_node_unref(&db->root);
    bc_node_unref(&db->inodes);
    /* What was retired on the way belongs to nobody any more, and should not outlive the store. */
    bc_rcu_flush();
    free_db(db); /* the lock goes last */
    return bc_failure_end(&first);
}
