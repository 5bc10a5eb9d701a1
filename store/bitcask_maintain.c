/* bitcask_maintain.c - the public API, second part: merging, verifying, looking inside. See bitcask.c.
 */
#include "bitcask.h"

#include "db/dump.h"
#include "db/inodes.h"
#include "db/maintain.h"
#include "db/metrics.h"

#define ENTER() bc_detail_clear()

/* ---- space and soundness ---- */

static bitcask_status check_flags(unsigned flags, unsigned allowed)
{
    return flags & ~allowed ? bc_fail(BITCASK_BAD_ARGUMENT, "flags of an unknown kind are set") : BITCASK_OK;
}

bitcask_status bitcask_merge(bitcask_partition *partition, const bitcask_merge_options *options,
                             bitcask_merge_result *result)
{
    static const bitcask_merge_options none = {0};
    bitcask_merge_result unwanted;
    bitcask_status status;

    ENTER();
    status = check_flags(options ? options->flags : 0, BITCASK_BELOW | BITCASK_MERGE_FULL);
    if (status != BITCASK_OK) return status;
    return bc_db_merge(partition, options ? options : &none, result ? result : &unwanted);
}

bitcask_status bitcask_rotate(bitcask_partition *partition, unsigned flags)
{
    bitcask_status status;

    ENTER();
    status = check_flags(flags, BITCASK_BELOW);
    return status == BITCASK_OK ? bc_db_rotate(partition, flags) : status;
}

bitcask_status bitcask_verify(bitcask_partition *partition, const bitcask_verify_options *options,
                              bitcask_verify_result *result)
{
    static const bitcask_verify_options none = {0};
    bitcask_verify_result unwanted;
    bitcask_status status;

    ENTER();
    status = check_flags(options ? options->flags : 0, BITCASK_BELOW);
    if (status != BITCASK_OK) return status;
    return bc_db_verify(partition, options ? options : &none, result ? result : &unwanted);
}

bitcask_status bitcask_repair(const char *path, const char *partition, const bitcask_verify_options *options,
                              bitcask_verify_result *result)
{
    static const bitcask_verify_options none = {0};
    bitcask_verify_result unwanted;
    bitcask_status status;

    ENTER();
    if (!path || !*path) return bc_fail(BITCASK_BAD_ARGUMENT, "the path of the store is empty");
    status = check_flags(options ? options->flags : 0, BITCASK_BELOW);
    if (status != BITCASK_OK) return status;
    return bc_db_repair(bc_io_posix(), path, partition ? partition : "", options ? options : &none,
                        result ? result : &unwanted);
}

bitcask_status bitcask_set_scheduler(bitcask *db, bool on)
{
    ENTER();
    return bc_db_set_scheduler(db, on);
}

bitcask_status bitcask_set_throttle(bitcask *db, uint64_t bytes_per_s)
{
    ENTER();
    if (bytes_per_s > 0 && bytes_per_s < BC_MERGE_RATE_MIN)
        return bc_fail(BITCASK_BAD_ARGUMENT, "merges need at least %u bytes a second, or 0 for no limit",
                       BC_MERGE_RATE_MIN);
    bc_throttle_set(&db->maintenance->throttle, bytes_per_s);
    return BITCASK_OK;
}

void bitcask_get_activity(bitcask *db, bitcask_activity *activity)
{
    bc_db_get_activity(db, activity);
}

bitcask_status bitcask_segments(bitcask_partition *partition,
                                bool (*visit)(void *context, const bitcask_segment_info *segment), void *context)
{
    struct bc_partition *instance;
    bitcask_status status;

    ENTER();
    status = bc_node_pin(partition, &instance);
    if (status != BITCASK_OK) return status;
    status = bc_partition_segments(instance, visit, context);
    bc_node_unpin(partition);
    return status;
}

/* A partition has none, and what has just gone. */
static bitcask_status count_extents(bitcask_partition *partition, const void *key, size_t key_size, uint64_t *extents)
{
    struct bc_value *value = NULL;
    bitcask_status status = bc_node_pin_value(partition, key, key_size, &value);

    if (status == BITCASK_OK && value->above) {
        *extents = bc_pinned_extents(value);
        bc_pinned_close(&value);
    } else if (status == BITCASK_OK) {
        bc_value_close(&value);
    }
    if (status != BITCASK_NOT_FOUND && status != BITCASK_IS_PARTITION) return status;
    bc_detail_clear();
    return BITCASK_OK;
}

bitcask_status bitcask_locate(bitcask_partition *partition, const void *key, size_t key_size,
                              bitcask_location *location)
{
    struct bc_partition *instance;
    uint8_t inode_key[BC_INODE_KEY_SIZE];
    uint64_t ino = 0;
    bitcask_status status;

    ENTER();
    status = bitcask_check_name(key, key_size);
    if (status != BITCASK_OK) return status;
    if (bc_is_files(partition)) {
        status = bc_files_number(key, key_size, &ino);
        if (status != BITCASK_OK) return status;
        bc_inode_key(ino, inode_key);
        key = inode_key;
        key_size = sizeof inode_key;
    }
    status = bc_node_pin(partition, &instance);
    if (status != BITCASK_OK) return status;
    status = bc_partition_locate(instance, key, key_size, location);
    bc_node_unpin(partition);
    if (status == BITCASK_OK) status = count_extents(partition, key, key_size, &location->extents);
    return status;
}

/* ---- looking inside ---- */

bitcask_status bitcask_dump(bitcask_partition *partition,
                            bool (*visit)(void *context, const bitcask_dump_record *record), void *context)
{
    ENTER();
    return bc_dump_partition(partition, visit, context);
}

bitcask_status bitcask_dump_hints(bitcask_partition *partition,
                                  bool (*visit)(void *context, const bitcask_dump_record *record), void *context)
{
    ENTER();
    return bc_dump_hints(partition, visit, context);
}

bitcask_status bitcask_dump_checkpoint(bitcask_partition *partition,
                                       bool (*visit)(void *context, const bitcask_dump_record *record), void *context)
{
    ENTER();
    return bc_dump_checkpoint(partition, visit, context);
}

bitcask_status bitcask_dump_file(const char *path, bool (*visit)(void *context, const bitcask_dump_record *record),
                                 void *context)
{
    ENTER();
    if (!path || !*path) return bc_fail(BITCASK_BAD_ARGUMENT, "the path of the file is empty");
    bool none;
    bitcask_status status = bc_dump_index_file(bc_io_posix(), path, visit, context, &none);
    return none ? bc_dump_file(bc_io_posix(), path, visit, context) : status;
}

/* ---- figures ---- */

/* Only an index can count. */
static bc_status warm(void *context, struct bitcask_partition *node, struct bc_partition *instance)
{
    (void)context;
    (void)node;
    return bc_partition_warm(instance);
}

static void add_stats(void *context, struct bitcask_partition *node, struct bc_partition *instance,
                      const struct bc_figures *known)
{
    bitcask_stats *stats = context;

    (void)node;
    if (instance)
        bc_partition_stats(instance, stats);
    else
        bc_ledger_add_sizes(stats, &known->stats);
    bc_ledger_add_counters(stats, &known->stats);
    stats->partitions_known++;
}

bitcask_status bitcask_get_stats(bitcask *db, bitcask_stats *stats)
{
    ENTER();
    *stats = (bitcask_stats){0};
    bc_status status = bc_nodes_each(db, false, warm, NULL);
    bc_status other = bc_nodes_survey(db, add_stats, stats);
    if (status == BITCASK_OK) status = other;
    pthread_mutex_lock(&db->nodes_lock);
    bc_ledger_add_counters(stats, &db->closed);
    pthread_mutex_unlock(&db->nodes_lock);
    bc_db_store_stats(db, stats);
    return status;
}

bitcask_status bitcask_partition_stats(bitcask_partition *partition, bitcask_stats *stats)
{
    struct bc_partition *instance;

    ENTER();
    *stats = (bitcask_stats){0};
    bc_status status = bc_node_pin(partition, &instance);
    if (status != BITCASK_OK) return status;
    bc_partition_stats(instance, stats);
    pthread_mutex_lock(&partition->db->nodes_lock);
    if (partition->ledger) bc_ledger_add_counters(stats, &partition->ledger->stats);
    pthread_mutex_unlock(&partition->db->nodes_lock);
    stats->partitions_known = 1;
    bc_node_unpin(partition);
    return BITCASK_OK;
}

bitcask_status bitcask_metrics(bitcask_partition *partition, unsigned flags,
                               bool (*visit)(void *context, const bitcask_metric *metric), void *context)
{
    bitcask_status status;

    ENTER();
    status = check_flags(flags, BITCASK_BELOW | BITCASK_UNOPENED | BITCASK_BY_PARTITION);
    return status == BITCASK_OK ? bc_db_metrics(partition, flags, visit, context) : status;
}

void bitcask_metric_print(FILE *out, const bitcask_metric *metric, const bitcask_metric *previous)
{
    bc_metric_print(out, metric, previous);
}

bitcask_status bitcask_get_health(bitcask_partition *partition, bitcask_health *health)
{
    ENTER();
    return bc_db_get_health(partition, health);
}
