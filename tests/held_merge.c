/* held_merge.c - merges under a test's control. See held_merge.h.
 */
#include "held_merge.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fixture.h"

atomic_bool held_merge_hold;
atomic_uint held_merges;
_Atomic(bc_status) held_merge_failure;
atomic_uint held_merge_calls;

bc_status __real_bc_partition_merge(struct bc_partition *partition, const struct bc_merge_run *run,
                                    const struct bc_merge_hooks *hooks, bitcask_merge_result *result);
bc_status __wrap_bc_partition_merge(struct bc_partition *partition, const struct bc_merge_run *run,
                                    const struct bc_merge_hooks *hooks, bitcask_merge_result *result);

bc_status __wrap_bc_partition_merge(struct bc_partition *partition, const struct bc_merge_run *run,
                                    const struct bc_merge_hooks *hooks, bitcask_merge_result *result)
{
    bool go_on = true;

    atomic_fetch_add(&held_merge_calls, 1);
    if (atomic_load(&held_merge_failure) != BITCASK_OK)
        return bc_fail(atomic_load(&held_merge_failure), "as the test wants it");
    atomic_fetch_add(&held_merges, 1);
    while (go_on && atomic_load(&held_merge_hold)) {
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        go_on = hooks->pace(hooks->context, 1);
    }
    atomic_fetch_sub(&held_merges, 1);
    if (!go_on) return bc_fail(BITCASK_CANCELLED, "cancelled");
    return __real_bc_partition_merge(partition, run, hooks, result);
}

/* Waits until condition() holds; false after two minutes without. */
bool wait_for(bool (*condition)(void *context), void *context)
{
    uint64_t until = bc_monotonic_ns() + 120ull * 1000000000u;

    while (!condition(context)) {
        if (bc_monotonic_ns() > until) return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

bool is_held(void *context)
{
    (void)context;
    return atomic_load(&held_merges) > 0;
}

bool merge_runs(void *context)
{
    bitcask_activity activity;
    bitcask_get_activity(context, &activity);
    return activity.merge.running;
}

bool merge_rests(void *context)
{
    return !merge_runs(context);
}

bitcask *open_store(const char *path, bool scheduler, unsigned max_open)
{
    bitcask_options options;
    bitcask *db = NULL;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = 65536;
    options.max_open = max_open;
    options.scheduler = scheduler;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    return db;
}

bitcask_partition *open_partition(bitcask *db, const char *path)
{
    bitcask_partition *partition = NULL;

    EXPECT(BITCASK_OK, bitcask_partition_open(db, path, &partition));
    CU_ASSERT_PTR_NOT_NULL_FATAL(partition);
    return partition;
}

bitcask_partition *make_partition(bitcask_partition *parent, const char *name)
{
    bitcask_partition *partition = NULL;

    EXPECT(BITCASK_OK, bitcask_partition_create(parent, name, strlen(name), NULL, 0, &partition));
    CU_ASSERT_PTR_NOT_NULL_FATAL(partition);
    return partition;
}

/* Sealed segments of which nearly all is dead. */
void make_garbage(bitcask_partition *partition)
{
    static char value[30000];

    memset(value, 'v', sizeof value);
    for (int i = 0; i < 12; i++) EXPECT(BITCASK_OK, bitcask_put(partition, "k", 1, value, sizeof value, NULL, NULL));
}

uint64_t dead_bytes(bitcask_partition *partition)
{
    bitcask_stats stats;

    EXPECT(BITCASK_OK, bitcask_partition_stats(partition, &stats));
    return stats.dead_bytes;
}

static bool tell_merger(void *context, const bitcask_progress *progress)
{
    struct merger *merger = context;

    if (progress->work != BITCASK_WORK_MERGE || !progress->path || progress->bytes_done > progress->bytes_total)
        abort();
    atomic_fetch_add(&merger->told, 1);
    return !atomic_load(&merger->cancel);
}

static void *merger_main(void *argument)
{
    struct merger *merger = argument;

    merger->status = bitcask_merge(merger->partition, &merger->options, &merger->result);
    atomic_store(&merger->done, true);
    return NULL;
}

void start_merger(struct merger *merger, bitcask_partition *partition, unsigned flags)
{
    memset(merger, 0, sizeof *merger);
    merger->partition = partition;
    merger->options = (bitcask_merge_options){.flags = flags, .progress = tell_merger, .context = merger};
    if (pthread_create(&merger->thread, NULL, merger_main, merger) != 0) exit(99);
}

bitcask_status end_merger(struct merger *merger)
{
    pthread_join(merger->thread, NULL);
    return merger->status;
}
