/* extents.c - which extents of partition 1 are in use: those that an inode's map names, and no others.
 *
 * An extent is a record without a tombstone. It lives as long as the index points at it, and leaves the index with the
 * map that named it; so a merge, which keeps what the index points at, needs to know nothing of inodes. An index that
 * was built from hints, records or a checkpoint has dead ones in it as well, and such as were never committed: they are
 * found by looking at all maps.
 */
#include "partition/partition.h"

#include <stdlib.h>
#include <string.h>

#include "partition/load.h"

#define STEP 1024u /* extents looked at before those that are dead are taken out */

bool bc_partition_is_extent(const struct bc_partition *partition, const void *key, size_t key_size)
{
    return partition->id == BC_INODES_ID && bc_is_extent_key(key, key_size, NULL, NULL);
}

static void forget(struct bc_partition *partition, const uint8_t key[BC_EXTENT_KEY_SIZE])
{
    struct bc_entry old;

    if (bc_index_remove(partition->index, key, BC_EXTENT_KEY_SIZE, &old) == BITCASK_OK) bc_slot_loses(partition, &old);
}

/* A run that is longer than there are keys comes from a map that lies: the index is asked what there is of it. */
static void forget_by_seeking(struct bc_partition *partition, const struct bc_run *run)
{
    uint8_t key[BITCASK_NAME_MAX];
    size_t size = BC_EXTENT_KEY_SIZE;
    uint64_t value_id, number;

    bc_extent_key(run->value_id, run->first, key);
    while (bc_index_seek(partition->index, BC_SEEK_GE, key, size, key, &size, NULL) == BITCASK_OK &&
           bc_is_extent_key(key, size, &value_id, &number) && value_id == run->value_id &&
           number - run->first < run->count)
        forget(partition, key);
}

void bc_partition_forget_extents(struct bc_partition *partition, const struct bc_run *runs, size_t count)
{
    uint8_t key[BC_EXTENT_KEY_SIZE];

    for (size_t i = 0; i < count; i++) {
        if (runs[i].count > bc_index_count(partition->index)) {
            forget_by_seeking(partition, &runs[i]);
            continue;
        }
        for (uint64_t n = 0; n < runs[i].count; n++) {
            bc_extent_key(runs[i].value_id, runs[i].first + n, key);
            forget(partition, key);
        }
    }
}

/* ---- all that is not mapped ---- */

struct maps {
    struct bc_run *runs; /* of all inodes; sorted by value id, then first */
    size_t count, room;
};

static int by_value_and_first(const void *a, const void *b)
{
    const struct bc_run *x = a, *y = b;

    if (x->value_id != y->value_id) return x->value_id < y->value_id ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bc_status add_map(struct bc_partition *partition, const uint8_t *key, size_t key_size, struct maps *maps)
{
    struct bc_value *value = NULL;
    struct bc_inode_body body;
    bc_status status = bc_partition_pin(partition, key, key_size, &value);

    if (status == BITCASK_OK) status = bc_value_load(value);
    if (status == BITCASK_OK) status = bc_inode_decode(value->data, value->entry.value_size, &body);
    for (size_t i = 0; status == BITCASK_OK && i < body.run_count; i++) {
        struct bc_run *runs = bc_list_room(maps->runs, maps->count, &maps->room, sizeof *runs);

        if (!runs) {
            status = bc_fail(BITCASK_NO_MEMORY, "out of memory for the maps of inodes");
            break;
        }
        maps->runs = runs;
        runs[maps->count++] = bc_inode_run(&body, i);
    }
    bc_value_close(&value);
    return status;
}

static bc_status collect_maps(struct bc_partition *partition, struct maps *maps)
{
    uint8_t key[BITCASK_NAME_MAX] = {0, BC_KEY_INODE};
    size_t size = 2;

    for (;;) {
        bc_status status = bc_index_seek(partition->index, BC_SEEK_GT, key, size, key, &size, NULL);

        if (status == BITCASK_NOT_FOUND || (status == BITCASK_OK && !bc_is_inode_key(key, size, NULL))) break;
        if (status == BITCASK_OK) status = add_map(partition, key, size, maps);
        if (status != BITCASK_OK) return status;
    }
    if (maps->count > 0) qsort(maps->runs, maps->count, sizeof *maps->runs, by_value_and_first);
    return BITCASK_OK;
}

struct pass {
    const struct maps *maps;
    size_t at; /* runs before it end in front of what was looked at */
    uint8_t last[BC_EXTENT_KEY_SIZE];
    bool any;
    uint8_t dead[STEP][BC_EXTENT_KEY_SIZE];
    size_t dead_count, seen;
};

static bool is_mapped(struct pass *pass, uint64_t value_id, uint64_t number)
{
    while (pass->at < pass->maps->count) {
        const struct bc_run *run = &pass->maps->runs[pass->at];

        if (run->value_id > value_id || (run->value_id == value_id && run->first > number)) return false;
        if (run->value_id == value_id && number - run->first < run->count) return true;
        pass->at++;
    }
    return false;
}

static bool look_at_extent(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct pass *pass = context;
    uint64_t value_id, number;

    (void)entry;
    if (!bc_is_extent_key(key, key_size, &value_id, &number)) return false;
    memcpy(pass->last, key, sizeof pass->last);
    pass->any = true;
    pass->seen++;
    if (!is_mapped(pass, value_id, number)) memcpy(pass->dead[pass->dead_count++], key, sizeof pass->last);
    return true;
}

static bc_status drop_dead(struct bc_partition *partition, const struct maps *maps, uint64_t *dropped)
{
    static const uint8_t first[2] = {0, BC_KEY_EXTENT};
    struct pass *pass = calloc(1, sizeof *pass);
    bc_status status = BITCASK_OK;

    if (!pass) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a look at extents");
    pass->maps = maps;
    do {
        pass->dead_count = pass->seen = 0;
        if (pass->any)
            status =
                bc_index_walk(partition->index, BC_SEEK_GT, pass->last, sizeof pass->last, STEP, look_at_extent, pass);
        else
            status = bc_index_walk(partition->index, BC_SEEK_GT, first, sizeof first, STEP, look_at_extent, pass);
        for (size_t i = 0; i < pass->dead_count; i++) forget(partition, pass->dead[i]);
        *dropped += pass->dead_count;
    } while (status == BITCASK_OK && pass->seen > 0);
    free(pass);
    return status;
}

static bool has_extents(const struct bc_partition *partition)
{
    static const uint8_t first[2] = {0, BC_KEY_EXTENT};
    uint8_t key[BITCASK_NAME_MAX];
    size_t size;

    return bc_index_seek(partition->index, BC_SEEK_GT, first, sizeof first, key, &size, NULL) == BITCASK_OK &&
           bc_is_extent_key(key, size, NULL, NULL);
}

void bc_partition_drop_unmapped(struct bc_partition *partition)
{
    struct maps maps = {0};
    uint64_t dropped = 0;
    bc_status status;

    if (partition->id != BC_INODES_ID || !has_extents(partition)) return;
    /* What is damaged may be an inode's last record: the one before it maps other extents. */
    if (partition->damaged_regions > 0)
        status = bc_fail(BITCASK_CORRUPT, "a log is damaged");
    else
        status = collect_maps(partition, &maps);
    if (status == BITCASK_OK) status = drop_dead(partition, &maps, &dropped);
    free(maps.runs);
    if (status != BITCASK_OK)
        bc_env_log(partition->env, BITCASK_LOG_WARNING, "partition '%s': extents that are not in use are kept: %s",
                   partition->label, bc_detail());
    bc_detail_clear();
}
