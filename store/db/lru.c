/* lru.c - which of the open partitions was unused for longest.
 *
 * Whoever uses a partition leaves a stamp on its node, and takes no lock for it: a number that only grows. The nodes
 * stand in a heap, the one with the oldest stamp on top, each by the stamp that it had when it was last looked at.
 * Stamps being newer by then, or the same, the top is the oldest of all once its own is the same: if not, it is moved
 * down and the next top looked at. So a use costs next to nothing, and a look some steps for each node that was used
 * since.
 */
#include "db/db.h"

#include <assert.h>
#include <stdlib.h>

static void put_at(struct bitcask *db, size_t at, struct bitcask_partition *node)
{
    db->open[at] = node;
    node->open_at = at;
}

static void sift_up(struct bitcask *db, size_t at)
{
    struct bitcask_partition *node = db->open[at];

    while (at > 0 && db->open[(at - 1) / 2]->listed_use > node->listed_use) {
        put_at(db, at, db->open[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put_at(db, at, node);
}

static void sift_down(struct bitcask *db, size_t at)
{
    struct bitcask_partition *node = db->open[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < db->listed && db->open[child + 1]->listed_use < db->open[child]->listed_use) child++;
        if (child >= db->listed || db->open[child]->listed_use >= node->listed_use) break;
        put_at(db, at, db->open[child]);
        at = child;
    }
    put_at(db, at, node);
}

bool bc_lru_reserve(struct bitcask *db)
{
    size_t room = db->open_room ? db->open_room * 2 : 16;
    void *more;

    /* As many as are open or being opened, not only as are listed: one is taken out for a moment and put back. */
    if (db->open_count < db->open_room) return true;
    more = realloc(db->open, room * sizeof *db->open);
    if (!more) return false;
    db->open = more;
    db->open_room = room;
    return true;
}

void bc_lru_add(struct bitcask *db, struct bitcask_partition *node)
{
    assert(db->listed < db->open_room);
    node->listed_use = atomic_load_explicit(&node->last_use, memory_order_relaxed);
    put_at(db, db->listed++, node);
    sift_up(db, node->open_at);
}

void bc_lru_remove(struct bitcask *db, struct bitcask_partition *node)
{
    size_t at = node->open_at;
    struct bitcask_partition *last = db->open[--db->listed];

    if (last == node) return;
    put_at(db, at, last);
    sift_up(db, at);
    sift_down(db, last->open_at);
}

struct bitcask_partition *bc_lru_oldest(struct bitcask *db)
{
    while (db->listed > 0) {
        struct bitcask_partition *node = db->open[0];
        uint64_t last_use = atomic_load_explicit(&node->last_use, memory_order_relaxed);

        if (node->listed_use == last_use) return node;
        node->listed_use = last_use;
        sift_down(db, 0);
    }
    return NULL;
}

void bc_lru_release(struct bitcask *db)
{
    free(db->open);
    db->open = NULL;
    db->listed = db->open_room = 0;
}
