/* failing_disks.c - see failing_disks.h.
 */
#include "failing_disks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "small_store.h"

static void must(bool good)
{
    if (good) return;
    fprintf(stderr, "failing disks: %s\n", bitcask_error_detail());
    exit(99);
}

static bool is_index(const char *file)
{
    return strstr(file, ".hint") != NULL || strstr(file, "checkpoint") != NULL;
}

struct bc_sim *failing_disk(bool indexes)
{
    char files[SMALL_FILES_MAX][128];
    struct bc_sim *sim = bc_sim_open(1);

    small_store_make(bc_sim_io(sim));
    size_t count = small_store_files(bc_sim_io(sim), files);
    for (size_t i = 0; i < count; i++)
        if (!indexes && is_index(files[i])) (void)bc_io_unlink(bc_sim_io(sim), BC_AT_CWD, files[i]);
    return sim;
}

struct bc_sim *failing_disk_killed(void)
{
    struct bc_sim *alive = failing_disk(true);
    bitcask *db = NULL;
    bitcask_partition *root = NULL, *sub = NULL, *made = NULL;
    size_t done;

    must(small_store_open(bc_sim_io(alive), false, &db) == BITCASK_OK);
    must(bitcask_partition_open(db, "", &root) == BITCASK_OK && bitcask_partition_open(db, "sub", &sub) == BITCASK_OK);
    must(bitcask_partition_create(root, "n9", 2, NULL, 0, &made) == BITCASK_OK);
    must(put_text(root, "a1", "edited", 0) == BITCASK_OK);
    const bitcask_move_item items[] = {{root, "a1", 2, made, "n1", 2, 0, NULL, NULL},
                                       {root, "big", 3, sub, "n2", 2, BITCASK_LINK, NULL, NULL}};
    must(bitcask_move(db, items, 2, &done) == BITCASK_OK);
    must(bitcask_partition_create(sub, "n3", 2, NULL, BITCASK_DURABLE, NULL) == BITCASK_OK);
    must(bitcask_partition_drop(sub, "n3", 2, BITCASK_DURABLE) == BITCASK_OK);
    struct bc_sim *dead = bc_sim_power_cut(alive, BC_SIM_CUT_ALL, 2);
    bitcask_partition_close(&made);
    bitcask_partition_close(&sub);
    bitcask_partition_close(&root);
    must(bitcask_close(&db) == BITCASK_OK);
    bc_sim_close(&alive);
    return dead;
}

/* Changes the first byte of the first place of a file of the root where these bytes are. */
static void rot(struct bc_sim *sim, const char *name, const char *bytes)
{
    char path[128];
    size_t size;

    snprintf(path, sizeof path, SMALL_STORE "/partitions/00/0000000000000000/%s", name);
    uint8_t *data = small_store_read(bc_sim_io(sim), path, &size);
    uint8_t *at = memmem(data, size, bytes, strlen(bytes));
    must(at != NULL);
    at[0] ^= 1;
    small_store_write(bc_sim_io(sim), path, data, size);
    free(data);
}

struct bc_sim *failing_disk_damaged(void)
{
    struct bc_sim *sim = failing_disk(true);

    rot(sim, "000001.data", "a1.0 a1");
    return sim;
}

struct bc_sim *failing_disk_rotten(void)
{
    struct bc_sim *sim = failing_disk(true);

    rot(sim, "000001.data", "a1");
    rot(sim, "000001.data", "gone");
    rot(sim, "000002.data", "a4.1");
    rot(sim, "000002.hint", "b0");
    rot(sim, "active.data", "a1.1");
    return sim;
}
