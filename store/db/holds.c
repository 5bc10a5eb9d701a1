/* holds.c - what keeps the extents of an inode's earlier contents: somebody who pinned one, or writes.
 *
 * Counted per inode: what it gives up while anybody holds it waits for the last one. Who pins takes the hold first and
 * reads the inode then; who replaces a content changes the inode first and looks for holds then. So either the reader
 * sees the new map, or the writer sees the hold.
 */
#include "db/inodes.h"

#include <stdlib.h>
#include <string.h>

struct bc_hold {
    uint64_t ino;
    unsigned count;
    struct bc_run *gone; /* owned */
    size_t gone_count, gone_room;
    struct bc_hold *next;
};

static struct bc_hold **find(struct bitcask *db, uint64_t ino)
{
    struct bc_hold **at = &db->holds[ino % BC_HOLD_BUCKETS];

    while (*at && (*at)->ino != ino) at = &(*at)->next;
    return at;
}

bc_status bc_hold_take(struct bitcask *db, uint64_t ino)
{
    struct bc_partition *inodes;
    struct bc_hold **at;
    bc_status status = bc_node_pin_reading(db->inodes, &inodes);

    if (status != BITCASK_OK) return status;
    pthread_mutex_lock(&db->holds_lock);
    at = find(db, ino);
    if (!*at && (*at = calloc(1, sizeof **at))) (*at)->ino = ino;
    if (*at)
        (*at)->count++;
    else
        status = BITCASK_NO_MEMORY;
    pthread_mutex_unlock(&db->holds_lock);
    if (status != BITCASK_OK) bc_node_unpin(db->inodes);
    return status;
}

void bc_hold_drop(struct bitcask *db, uint64_t ino)
{
    struct bc_partition *inodes = db->inodes->instance; /* pinned by the hold */
    struct bc_hold **at, *last = NULL;

    pthread_mutex_lock(&db->holds_lock);
    at = find(db, ino);
    if (--(*at)->count == 0) {
        last = *at;
        *at = last->next;
    }
    pthread_mutex_unlock(&db->holds_lock);
    if (last && last->gone_count > 0) {
        bc_fair_lock(&inodes->write_lock);
        bc_partition_forget_extents(inodes, last->gone, last->gone_count);
        bc_fair_unlock(&inodes->write_lock);
    }
    if (last) free(last->gone);
    free(last);
    bc_node_unpin(db->inodes);
}

void bc_hold_gone(struct bitcask *db, struct bc_partition *inodes, uint64_t ino, const struct bc_run *runs,
                  size_t count)
{
    struct bc_hold *hold;

    if (count == 0) return;
    pthread_mutex_lock(&db->holds_lock);
    hold = *find(db, ino);
    for (size_t i = 0; hold && i < count; i++) {
        struct bc_run *list = bc_list_room(hold->gone, hold->gone_count, &hold->gone_room, sizeof *list);

        if (!list) break; /* they stay in the index until it is built anew */
        hold->gone = list;
        list[hold->gone_count++] = runs[i];
    }
    pthread_mutex_unlock(&db->holds_lock);
    if (!hold) bc_partition_forget_extents(inodes, runs, count);
}

void bc_hold_settle(struct bitcask *db, struct bc_partition *inodes, uint64_t ino)
{
    struct bc_hold *hold;
    struct bc_run *gone = NULL;
    size_t count = 0;

    pthread_mutex_lock(&db->holds_lock);
    hold = *find(db, ino);
    if (hold && hold->count == 1) {
        gone = hold->gone;
        count = hold->gone_count;
        hold->gone = NULL;
        hold->gone_count = hold->gone_room = 0;
    }
    pthread_mutex_unlock(&db->holds_lock);
    if (count > 0) {
        bc_fair_lock(&inodes->write_lock);
        bc_partition_forget_extents(inodes, gone, count);
        bc_fair_unlock(&inodes->write_lock);
    }
    free(gone);
}

void bc_holds_free(struct bitcask *db)
{
    for (size_t i = 0; i < BC_HOLD_BUCKETS; i++)
        while (db->holds[i]) {
            struct bc_hold *hold = db->holds[i];
            db->holds[i] = hold->next;
            free(hold->gone);
            free(hold);
        }
}
