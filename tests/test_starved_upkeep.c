/* test_starved_upkeep.c - each allocation of the library failing, in scripts that merge, save, verify, repair and tell,
 * and in the threads of a store. See starved.h and test_starved.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/dump.h"
#include "db/maintain.h"
#include "partition/checkpoint.h"
#include "starve.h"
#include "starved_fill.h"

#define ROOT STARVED_ROOT

/* ---- space and soundness ---- */

static void merge(struct starved *store, unsigned flags)
{
    const bitcask_merge_options options = {.flags = flags | BITCASK_BELOW};
    bitcask_partition *root = starved_enter(store, ROOT);
    if (root) (void)starved_ok(store, bitcask_merge(root, &options, NULL), "merge");
    bitcask_partition_close(&root);
}

static void merges(struct starved *store)
{
    if (!starved_open(store)) return;
    starved_rotate(store);
    merge(store, 0);
    starved_put(store, ROOT, "a", 90, 0);
    starved_put(store, ROOT, "big", 11000, 0);
    starved_delete(store, starved_dir(store), "d", 0);
    merge(store, BITCASK_MERGE_FULL);
    starved_compare(store);
    starved_delete(store, ROOT, "b", 0);
    merge(store, BITCASK_MERGE_FULL);
    starved_verify(store);
    starved_sync(store);
}

/* As many keys as there may be. */
static void fill_up(struct starved *store)
{
    starved_fill_for_checkpoints(store);
    for (int i = 0; i < 24; i++) {
        char name[16];
        snprintf(name, sizeof name, "many keys %d", i);
        starved_put(store, starved_dir(store), name, 30, 0);
    }
}

/* One partition, and nothing else. Each merge changes all entries of the index, which needs memory now and then. */
static void merge_alone(struct starved *store)
{
    const bitcask_merge_options options = {.flags = BITCASK_MERGE_FULL};
    bitcask_partition *dir;
    if (!starved_open(store) || !(dir = starved_enter(store, starved_dir(store)))) return;
    for (int i = 0; i < 4; i++) {
        (void)starved_ok(store, bitcask_merge(dir, &options, NULL), "merge");
        starved_put(store, starved_dir(store), "d", 77, 0);
    }
    bitcask_partition_close(&dir);
}

static void checkpoint(struct starved *store, bitcask_partition *node)
{
    struct bc_partition *instance;
    if (!starved_ok(store, bc_node_pin(node, &instance), "pin")) return;
    pthread_mutex_lock(&instance->files_lock);
    (void)starved_ok(store, bc_checkpoint_save(instance), "checkpoint");
    pthread_mutex_unlock(&instance->files_lock);
    bc_node_unpin(node);
}

static void checkpoints(struct starved *store)
{
    if (!starved_open(store)) return;
    starved_put(store, ROOT, "a", 90, 0);
    checkpoint(store, store->db->root);
    starved_put(store, ROOT, "a", 91, 0);
    checkpoint(store, store->db->root);
    checkpoint(store, store->db->inodes);
    merge(store, BITCASK_MERGE_FULL);
    checkpoint(store, store->db->root);
    starved_close(store);
    starved_open_and_read(store);
}

static bool count_record(void *context, const bitcask_dump_record *record)
{
    (void)record;
    ++*(uint64_t *)context;
    return true;
}

static bool count_segment(void *context, const bitcask_segment_info *segment)
{
    (void)segment;
    ++*(uint64_t *)context;
    return true;
}

static bool count_metric(void *context, const bitcask_metric *metric)
{
    (void)metric;
    ++*(uint64_t *)context;
    return true;
}

static void figures(struct starved *store)
{
    uint64_t count = 0;
    bitcask_stats stats;
    bitcask_health health;
    bitcask_location location;
    bitcask_activity activity;
    if (!starved_open(store)) return;
    bitcask_partition *root = starved_enter(store, ROOT), *dir = starved_enter(store, starved_dir(store));
    if (root && dir) {
        starved_verify(store);
        (void)starved_ok(store, bitcask_dump(root, count_record, &count), "dump");
        (void)starved_ok(store, bitcask_dump_hints(dir, count_record, &count), "dump_hints");
        (void)starved_expect(store, BITCASK_NOT_FOUND, bitcask_dump_checkpoint(root, count_record, &count),
                             "dump_checkpoint");
        (void)starved_ok(store, bitcask_segments(dir, count_segment, &count), "segments");
        (void)starved_ok(store, bitcask_locate(root, "big", 3, &location), "locate");
        (void)starved_ok(store, bitcask_get_stats(store->db, &stats), "get_stats");
        (void)starved_ok(store, bitcask_partition_stats(dir, &stats), "partition_stats");
        (void)starved_ok(store, bitcask_metrics(root, BITCASK_BELOW | BITCASK_UNOPENED, count_metric, &count),
                         "metrics");
        (void)starved_ok(store, bitcask_metrics(root, BITCASK_BELOW | BITCASK_BY_PARTITION, count_metric, &count),
                         "metrics");
        (void)starved_ok(store, bitcask_get_health(root, &health), "get_health");
        bitcask_get_activity(store->db, &activity);
    }
    bitcask_partition_close(&dir);
    bitcask_partition_close(&root);
}

static void dump_checkpoint(struct starved *store)
{
    uint64_t count = 0;
    store->options.read_only = true;
    if (!starved_open(store)) return;
    bitcask_partition *root = starved_enter(store, ROOT);
    if (root) (void)starved_ok(store, bitcask_dump_checkpoint(root, count_record, &count), "dump_checkpoint");
    bitcask_partition_close(&root);
}

/* ---- repair ---- */

/* A bit of a record that is dead, in a sealed segment. */
static void fill_and_damage(struct starved *store)
{
    char path[256];
    uint8_t byte;
    size_t got;
    int fd;
    starved_fill_for_hints(store);
    starved_close(store);
    snprintf(path, sizeof path, "%s/partitions/00/0000000000000000/000001.data", store->path);
    if (bc_io_open(store->io, BC_AT_CWD, path, BC_OPEN_WRITE, &fd) != BITCASK_OK) exit(99);
    uint64_t at = 62 + 26 + 3 + 200; /* in the first record with a value, that of "a", or behind it */
    if (bc_io_read(store->io, fd, path, &byte, 1, at, &got) != BITCASK_OK || got != 1) exit(99);
    byte ^= 4;
    if (bc_io_write(store->io, fd, path, &(struct iovec){&byte, 1}, 1, at) != BITCASK_OK) exit(99);
    if (bc_io_sync(store->io, fd, path) != BITCASK_OK) exit(99);
    (void)bc_io_close(store->io, &fd);
}

static bool tell(void *context, const bitcask_finding *finding)
{
    (void)context;
    if (getenv("STARVE_AT"))
        fprintf(stderr, "%s at %llu: %s\n", finding->file, (unsigned long long)finding->offset, finding->text);
    return true;
}

static void repair(struct starved *store)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = tell};
    bitcask_verify_result result;
    bool done = starved_ok(store, bc_db_repair(store->io, store->path, "", &options, &result), "repair");
    if (!done) {
        /* What is left over can be repaired. */
        fixture_own++;
        bitcask_status status = bc_db_repair(store->io, store->path, "", &options, &result);
        fixture_own--;
        if (status != BITCASK_OK) {
            fprintf(stderr, "repair: %s (%s)\n", bitcask_status_text(status), bitcask_error_detail());
            store->failed = true;
        }
    }
    starved_open_and_read(store);
}

/* ---- behind the caller's back ---- */

static void wait_for(bool (*over)(const struct starved *store), const struct starved *store)
{
    for (int i = 0; i < 2000 && !over(store); i++) usleep(1000);
}

static bool merge_is_over(const struct starved *store)
{
    bitcask_activity activity;
    bitcask_get_activity(store->db, &activity);
    return (activity.merge.ended_ns > 0 && !activity.merge.running) || (starve_failed() && !activity.merge.running);
}

static void scheduled(struct starved *store)
{
    if (!starved_open(store)) return;
    starved_compare(store);
    for (int i = 0; i < 20; i++) starved_put(store, ROOT, "a", 900, 0);
    starved_rotate(store);
    (void)starved_ok(store, bitcask_set_scheduler(store->db, true), "set_scheduler");
    wait_for(merge_is_over, store);
    (void)starved_ok(store, bitcask_set_scheduler(store->db, false), "set_scheduler");
    starved_compare(store);
    starved_sync(store);
}

static bool hints_are_made(const struct starved *store)
{
    return !atomic_load(&store->db->hints_wanted) || starve_failed();
}

static void synced_behind(struct starved *store)
{
    store->options.sync = BITCASK_SYNC_INTERVAL;
    store->options.sync_interval_ms = 1;
    if (!starved_open(store)) return;
    for (int i = 0; i < 3; i++) {
        starved_put(store, ROOT, "a", 900, 0);
        starved_put(store, starved_dir(store), "big", 9000, 0);
        starved_rotate(store);
        wait_for(hints_are_made, store);
        usleep(3000);
    }
    starved_compare(store);
}

/* Threads that cannot be started: no store, or one without. */
static void threads(struct starved *store)
{
    store->options.sync = BITCASK_SYNC_INTERVAL;
    store->options.sync_interval_ms = 3600000;
    store->options.scheduler = true;
    if (!starved_open(store)) return;
    (void)starved_ok(store, bitcask_set_scheduler(store->db, true), "set_scheduler");
    starved_put(store, ROOT, "a", 10, 0);
}

/* ---- the machine's own disk ---- */

static void on_disk(struct starved *store)
{
    uint64_t count = 0;
    int64_t pid;
    char path[256];
    if (!starved_open(store)) return;
    starved_compare(store);
    (void)starved_ok(store, bitcask_store_holder(store->path, &pid), "store_holder");
    starved_put(store, ROOT, "big", 19000, 0);
    starved_read_in_parts(store, ROOT, "big");
    starved_read_in_parts(store, starved_dir(store), "big");
    merge(store, BITCASK_MERGE_FULL);
    starved_compare(store);
    starved_close(store);
    snprintf(path, sizeof path, "%s/partitions/00/0000000000000000/active.data", store->path);
    bitcask_status status = bitcask_dump_file(path, count_record, &count);
    /* A rotation may have sealed the one, and not made the next. */
    if (status != BITCASK_NOT_FOUND || !starve_failed()) (void)starved_ok(store, status, "dump_file");
    snprintf(path, sizeof path, "%s/partitions/00/0000000000000000/index", store->path);
    status = bitcask_dump_file(path, count_record, &count);
    if (status != BITCASK_NOT_FOUND) (void)starved_ok(store, status, "dump_file of a checkpoint");
    (void)starved_ok(store, bitcask_repair(store->path, "", NULL, NULL), "repair");
    starved_open_and_read(store);
}

/* ---- all of them ---- */

STARVED_SCRIPT(merges, "merges", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(merge_alone, "merge alone", .prepare = fill_up, .thorough = true)
STARVED_SCRIPT(checkpoints, "checkpoints", .prepare = starved_fill_for_checkpoints)
STARVED_SCRIPT(figures, "figures", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(dump_checkpoint, "dump of a checkpoint", .prepare = starved_fill_for_checkpoints)
STARVED_SCRIPT(repair, "repair", .prepare = fill_and_damage)
STARVED_SCRIPT(scheduled, "scheduler", .prepare = starved_fill_for_hints, .behind = true)
STARVED_SCRIPT(synced_behind, "sync thread", .prepare = starved_fill_for_checkpoints, .behind = true)
STARVED_SCRIPT(threads, "threads", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(on_disk, "on disk", .prepare = starved_fill_for_checkpoints, .real_disk = true)

int main(void)
{
    CU_TestInfo tests[] = {
        {"merges", merges_test},
        {"merge alone", merge_alone_test},
        {"checkpoints", checkpoints_test},
        {"figures", figures_test},
        {"dump of a checkpoint", dump_checkpoint_test},
        {"repair", repair_test},
        {"scheduler", scheduled_test},
        {"sync thread", synced_behind_test},
        {"threads", threads_test},
        {"on disk", on_disk_test},
        CU_TEST_INFO_NULL,
    };
    return starved_run("starved upkeep", tests);
}
