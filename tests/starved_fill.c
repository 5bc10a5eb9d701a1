/* starved_fill.c - the store that the scripts of starved.h begin with, and steps that several of them take.
 */
#include "starved_fill.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "partition/checkpoint.h"

#define ROOT STARVED_ROOT

void starved_set_checkpoints(bool on)
{
    bc_checkpoint_limits.least = on ? 1 : UINT64_MAX;
    bc_checkpoint_limits.keys = 0;
}

void starved_rotate(struct starved *store)
{
    bitcask_partition *root = starved_enter(store, ROOT);
    if (root) (void)starved_ok(store, bitcask_rotate(root, BITCASK_BELOW), "rotate");
    bitcask_partition_close(&root);
}

/* Small and large files, overwritten and deleted ones, names of one file, three partitions, several segments. */
static void fill(struct starved *store)
{
    int dir, sub;
    if (!starved_open(store)) return;
    dir = starved_create(store, ROOT, "dir");
    sub = starved_create(store, dir, "sub");
    starved_put(store, ROOT, "a", 100, 0);
    starved_put(store, ROOT, "b", 200, 0);
    starved_put(store, ROOT, "c", 0, 0);
    starved_put(store, ROOT, "old", 50, 0);
    starved_put(store, ROOT, "big", 9000, 0);
    starved_put(store, dir, "d", 300, 0);
    starved_put(store, sub, "s", 40, 0);
    starved_rotate(store);
    starved_link(store, &(struct starved_move){ROOT, "b", dir, "b link", 0});
    starved_link(store, &(struct starved_move){ROOT, "big", sub, "big link", 0});
    starved_put(store, ROOT, "a", 120, 0);
    starved_put(store, dir, "big", 13000, 0);
    starved_delete(store, ROOT, "old", 0);
    starved_batch(store, dir, (struct starved_op[]){{"e", 30, false}, {"f", 40, false}, {"g", 50, false}}, 3, 0);
    starved_rotate(store);
    starved_put(store, ROOT, "big", 5000, 0);
    starved_put(store, sub, "t", 70, 0);
    starved_delete(store, dir, "f", 0);
    starved_moves(store, &(struct starved_move){ROOT, "c", dir, "c", 0}, 1);
    starved_set_mode(store, ROOT, "a", 0100444, 0);
}

int starved_dir(const struct starved *store)
{
    return starved_at(store, ROOT, "dir");
}

int starved_sub(const struct starved *store)
{
    return starved_at(store, starved_dir(store), "sub");
}

void starved_fill_for_hints(struct starved *store)
{
    starved_set_checkpoints(false);
    fill(store);
}

void starved_fill_for_checkpoints(struct starved *store)
{
    starved_set_checkpoints(true);
    fill(store);
}

void starved_read_in_parts(struct starved *store, int partition, const char *name)
{
    bitcask_partition *at = starved_enter(store, partition);
    bitcask_value *value = NULL;
    const struct starved_content *content = &store->contents[store->items[starved_at(store, partition, name)].content];
    uint8_t part[300];
    uint64_t found;
    size_t got;
    if (at && starved_ok(store, bitcask_pin(at, name, strlen(name), &value), "pin")) {
        for (int twice = 0; twice < 2; twice++) {
            bitcask_status status = bitcask_value_read(value, 50, part, sizeof part, &got);
            if (starved_ok(store, status, "value_read") && memcmp(part, content->bytes + 50, got) != 0)
                store->failed = true;
        }
        (void)starved_ok(store, bitcask_value_seek(value, 0, true, &found), "value_seek");
        if (starved_ok(store, bitcask_value_load(value), "value_load") &&
            memcmp(bitcask_value_data(value), content->bytes, content->size) != 0)
            store->failed = true;
        bitcask_value_unload(value);
        (void)starved_ok(store, bitcask_value_load(value), "value_load");
    }
    bitcask_value_unpin(&value);
    bitcask_partition_close(&at);
}

void starved_open_and_read(struct starved *store)
{
    if (!starved_open(store)) return;
    starved_compare(store);
    starved_close(store);
}

int starved_run(const char *suite, CU_TestInfo *tests)
{
    starved_seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%#llx\n", (unsigned long long)starved_seed);
    bc_io_posix()->background = false; /* one thread, so that a run repeats */
    return fixture_run(suite, tests);
}
