/* model_merge.c - rotations and merges of random runs, which change nothing that can be seen; hints that are lost.
 */
#define _XOPEN_SOURCE 700
#include "model_ops.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "partition/checkpoint.h"
#include "partition/merge.h"

#define CHECK(wanted, call) \
    if (!fixture_expect((wanted), (call), #call, __FILE__, __LINE__)) return false

static bc_status rotate(struct bc_partition *instance)
{
    bc_status status = BITCASK_OK;
    bc_fair_lock_soon(&instance->write_lock);
    if (instance->active && instance->active->end > instance->active->header_size)
        status = bc_partition_rotate(instance);
    bc_fair_unlock(&instance->write_lock);
    return status;
}

/* A partition of the store, now and then its own one for inodes and intents. */
static bitcask_partition *pick(struct model_run *run, struct model_partition **partition)
{
    *partition = fixture_below(&run->rng, 12) ? model_pick(run) : NULL;
    return *partition ? model_handle(run, *partition) : run->db->inodes;
}

bool model_op_rotate(struct model_run *run)
{
    struct model_partition *partition;
    bitcask_partition *handle = pick(run, &partition);
    struct bc_partition *instance = NULL;
    if (!handle) return false;
    CHECK(BITCASK_OK, bc_node_pin(handle, &instance));
    bc_status status = rotate(instance);
    bc_node_unpin(handle);
    CHECK(BITCASK_OK, status);
    return true;
}

struct sealed {
    uint32_t *ids;
    size_t count;
};

static bool note_sealed(void *context, const bitcask_segment_info *segment)
{
    struct sealed *sealed = context;
    if (segment->active) return true;
    sealed->ids = realloc(sealed->ids, (sealed->count + 1) * sizeof *sealed->ids);
    if (!sealed->ids) exit(99);
    sealed->ids[sealed->count++] = segment->segment_id;
    return true;
}

static bc_status merge_random_run(struct model_run *run, struct bc_partition *instance, bitcask_merge_result *result)
{
    struct sealed sealed = {NULL, 0};
    bc_status status = bc_partition_segments(instance, note_sealed, &sealed);
    if (status == BITCASK_OK && sealed.count > 0) {
        size_t first = (size_t)fixture_below(&run->rng, sealed.count);
        size_t last = first + (size_t)fixture_below(&run->rng, sealed.count - first < 9 ? sealed.count - first : 9);
        const struct bc_merge_run merged = {.first_id = sealed.ids[first], .last_id = sealed.ids[last]};
        status = bc_partition_merge(instance, &merged, NULL, result);
    }
    free(sealed.ids);
    return status;
}

static bc_status merge_all(struct bc_partition *instance, enum bc_merge_kind kind, bitcask_merge_result *result)
{
    struct bc_merge_run run;
    bc_status status = bc_merge_wants_rotation(instance, kind) ? rotate(instance) : BITCASK_OK;
    for (uint32_t from = 0; status == BITCASK_OK; from = run.last_id + 1) {
        bc_merge_plan(instance, kind, from, &run);
        if (run.segments == 0) break;
        status = bc_partition_merge(instance, &run, NULL, result);
    }
    return status;
}

bool model_op_merge(struct model_run *run)
{
    static const enum bc_merge_kind kinds[] = {BC_MERGE_DUE, BC_MERGE_WORTH, BC_MERGE_FULL};
    struct model_partition *partition;
    bitcask_partition *handle = pick(run, &partition);
    struct bc_partition *instance = NULL;
    bitcask_merge_result result = {0};
    uint64_t kind = fixture_below(&run->rng, 6);
    if (!handle) return false;
    CHECK(BITCASK_OK, bc_node_pin(handle, &instance));
    bc_status status =
        kind < 3 ? merge_random_run(run, instance, &result) : merge_all(instance, kinds[kind - 3], &result);
    bool agree = accounts_agree(instance);
    bc_node_unpin(handle);
    CHECK(BITCASK_OK, status);
    /* A header holds the partition's path, which may have become longer. */
    if (result.bytes_out > result.bytes_in + result.merges * BC_SEGMENT_PATH_MAX) {
        fprintf(stderr, "model: a merge made more of %llu bytes\n", (unsigned long long)result.bytes_in);
        return false;
    }
    run->merges += result.merges;
    if (agree && partition && fixture_below(&run->rng, 4) == 0) return model_partition_equals(handle, partition);
    return agree;
}

bool model_op_checkpoint(struct model_run *run)
{
    struct model_partition *partition;
    bitcask_partition *handle = pick(run, &partition);
    struct bc_partition *instance = NULL;
    if (!handle) return false;
    CHECK(BITCASK_OK, bc_node_pin(handle, &instance));
    pthread_mutex_lock(&instance->files_lock);
    bc_status status = bc_checkpoint_save(instance);
    pthread_mutex_unlock(&instance->files_lock);
    bc_node_unpin(handle);
    CHECK(BITCASK_OK, status);
    return true;
}

/* ---- around a reopening ---- */

static struct model_run *mangling;

static int mangle(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    size_t size, length = strlen(path);
    (void)info;
    (void)ftw;
    if (type != FTW_F || length < 6 ||
        (strcmp(path + length - 5, ".hint") != 0 && strcmp(path + length - 6, "/index") != 0))
        return 0;
    uint64_t kind = fixture_below(&mangling->rng, 5);
    if (kind == 0) return unlink(path);
    if (kind > 2) return 0;
    uint8_t *data = fixture_read(path, &size);
    if (kind == 1 && size > 0) size = (size_t)fixture_below(&mangling->rng, size);
    if (kind == 2 && size > 0)
        data[fixture_below(&mangling->rng, size)] ^= (uint8_t)(1u << fixture_below(&mangling->rng, 8));
    fixture_write(path, data, size);
    free(data);
    return 0;
}

void model_mangle_hints(struct model_run *run, const char *path)
{
    mangling = run;
    if (access(path, F_OK) == 0 && nftw(path, mangle, 16, FTW_PHYS) != 0) exit(99);
}

bool model_cold_reads(struct model_run *run)
{
    bool same = true;
    for (int i = 0; same && i < 6; i++) {
        struct bc_partition *instance = NULL;
        run->only = model_pick_any(run);
        bitcask_partition *handle = model_handle(run, run->only);
        same = handle && bc_node_pin_reading(handle, &instance) == BITCASK_OK;
        if (!same) break;
        run->cold_opens += atomic_load(&instance->cold);
        bc_node_unpin(handle);
        for (int j = 0; same && j < 12; j++) same = model_op_read(run);
        run->only = NULL;
    }
    run->only = NULL;
    return same;
}

bool model_accounts_agree(struct model_run *run)
{
    struct model_partition *list[MODEL_PARTITIONS_MAX + 1];
    size_t count = model_list(run->root, list, MODEL_PARTITIONS_MAX + 1);
    for (size_t i = 0; i <= count; i++) {
        bitcask_partition *handle = i < count ? model_handle(run, list[i]) : run->db->inodes;
        struct bc_partition *instance = NULL;
        if (!handle) return false;
        CHECK(BITCASK_OK, bc_node_pin(handle, &instance));
        bool agree = accounts_agree(instance), whole = instance->damaged_regions == 0;
        bc_fair_lock_soon(&instance->write_lock); /* the store's thread may be saving one */
        run->checkpoint_loads += instance->checkpoint.id != 0;
        bc_fair_unlock(&instance->write_lock);
        bc_node_unpin(handle);
        if (!whole) fprintf(stderr, "model: something is taken for damage\n");
        if (!agree || !whole) return false;
    }
    return true;
}
