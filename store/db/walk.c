/* walk.c - through a partition and all below it.
 *
 * Each level of the way down keeps its node and the last name that was gone into; the next one is found by descending
 * the index from that name anew. So what is made or deleted meanwhile disturbs nothing: a partition that is there
 * throughout, under one name, is visited exactly once.
 * Invariant: nothing is pinned or locked while a name is opened or visited. Opening takes tree_lock, and who drops a
 * partition holds that while he waits for pins.
 */
#include "db/maintain.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 1024u /* names looked at within one read section */

struct level {
    struct bitcask_partition *node; /* counted */
    uint8_t last[BITCASK_NAME_MAX];
    size_t last_size; /* 0: none so far */
    bool found;       /* last is a partition */
};

struct walk {
    struct level *levels;
    size_t depth, room;
};

static bc_status go_down(struct walk *walk, struct bitcask_partition *node)
{
    if (walk->depth == walk->room) {
        size_t room = walk->room ? walk->room * 2 : 8;
        void *levels = realloc(walk->levels, room * sizeof *walk->levels);

        if (!levels) return BITCASK_NO_MEMORY;
        walk->levels = levels;
        walk->room = room;
    }
    walk->levels[walk->depth++] = (struct level){.node = node};
    bc_node_ref(node);
    return BITCASK_OK;
}

static void go_up(struct walk *walk)
{
    bc_node_unref(&walk->levels[--walk->depth].node);
}

static bool look(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct level *level = context;

    memcpy(level->last, key, key_size);
    level->last_size = key_size;
    level->found = entry->flags & BC_ENTRY_PARTITION;
    return !level->found;
}

/* Moves on to the level's next partition; NOT_FOUND behind the last one. */
static bc_status next_name(struct level *level)
{
    static const uint8_t first = 1; /* names begin with a byte of at least 1 */
    struct bc_partition *instance;
    bc_status status = BITCASK_OK;

    level->found = false;
    while (status == BITCASK_OK && !level->found) {
        size_t size = level->last_size;
        uint8_t from[BITCASK_NAME_MAX];

        memcpy(from, level->last, size);
        status = bc_node_pin(level->node, &instance);
        if (status != BITCASK_OK) break;
        bc_rcu_read_lock();
        if (size == 0)
            status = bc_index_walk(instance->index, BC_SEEK_GE, &first, 1, BATCH, look, level);
        else
            status = bc_index_walk(instance->index, BC_SEEK_GT, from, size, BATCH, look, level);
        bc_rcu_read_unlock();
        bc_node_unpin(level->node);
        if (status == BITCASK_OK && level->last_size == size && memcmp(level->last, from, size) == 0) status = BITCASK_NOT_FOUND;
    }
    return status;
}

/* The level's next partition that is there, counted. */
static bc_status next_child(struct level *level, struct bitcask_partition **child)
{
    bc_status status;

    do {
        status = next_name(level);
        if (status != BITCASK_OK) return status;
        status = bc_tree_open(level->node, level->last, level->last_size, child);
        /* Gone in between, or a key now; or it names an id that none may have: verify finds that in the record. */
    } while (status == BITCASK_NOT_FOUND || status == BITCASK_NOT_PARTITION || status == BITCASK_CORRUPT);
    return status;
}

bc_status bc_nodes_walk(struct bitcask_partition *node, bool below,
                        bc_status (*each)(void *context, struct bitcask_partition *node), void *context)
{
    struct walk walk = {0};
    bc_status status = each(context, node);

    if (status == BITCASK_OK && below) status = go_down(&walk, node);
    while (status == BITCASK_OK && walk.depth > 0) {
        struct bitcask_partition *child = NULL;

        status = next_child(&walk.levels[walk.depth - 1], &child);
        if (status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT) {
            bc_detail_clear();
            go_up(&walk);
            status = BITCASK_OK;
            continue;
        }
        if (status == BITCASK_OK) status = each(context, child);
        if (status == BITCASK_OK) {
            status = go_down(&walk, child);
        } else if (status == BITCASK_NOT_FOUND) {
            bc_detail_clear();
            status = BITCASK_OK;
        }
        bc_node_unref(&child);
    }
    while (walk.depth > 0) go_up(&walk);
    free(walk.levels);
    return status;
}
