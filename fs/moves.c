/* moves.c - the queue of moves and its rounds. */
#include "moves.h"

#include "dirty.h"
#include "links.h"
#include "log.h"
#include "node_xattrs.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BACKOFF_MS 1000
#define LONGEST_BACKOFF_MS 30000

uint64_t bcfs_move_bound(const struct bcfs_inode *inode, size_t name_size)
{
    size_t xattrs_size = bcfs_xattrs_unread(inode) ? BITCASK_XATTRS_MAX : bcfs_xattrs_size(inode);

    /* What is large, or has several names, goes by reference. */
    if (inode->file_id != 0 || inode->size > BITCASK_SMALL_MAX) return 2 * bitcask_record_bound(name_size, 64, 0);
    return 2 * bitcask_record_bound(name_size, inode->size, xattrs_size);
}

/* A move with room for a name; the node gets a reference, and the directory. */
static struct bcfs_move *allocate(enum bcfs_move_kind kind, struct bcfs_inode *inode, struct bcfs_inode *from,
                                  const char *from_name, size_t from_name_size, uint64_t reserved)
{
    struct bcfs_move *move = calloc(1, sizeof(*move) + from_name_size);

    if (move == NULL) return NULL;
    move->kind = kind;
    move->inode = inode;
    move->from = from;
    move->reserved = reserved;
    move->from_name_size = (uint8_t)from_name_size;
    if (from_name_size > 0) memcpy(move->from_name, from_name, from_name_size);
    bcfs_inode_ref(inode);
    if (from != NULL) bcfs_inode_ref(from);
    return move;
}

/* No lock but tree is held. */
static void free_move(struct bcfs *fs, struct bcfs_move *move)
{
    bcfs_name_free(fs, move->first);
    free(move->home_name);
    bcfs_inode_unref(fs, move->inode, 1);
    bcfs_inode_unref(fs, move->from, 1);
    free(move);
}

struct bcfs_move *bcfs_move_prepare(struct bcfs *fs, struct bcfs_inode *inode, struct bcfs_inode *from,
                                    const char *from_name, size_t from_name_size, struct bcfs_inode *to,
                                    const char *to_name, size_t to_name_size, uint64_t reserved)
{
    struct bcfs_move *move = NULL;

    /* The second one may replace the entry of a victim that was never committed: nothing can fail after it. */
    if (!bcfs_overlay_set(&from->dir->overlay, from_name, from_name_size, NULL)) return NULL;
    move = allocate(BCFS_RENAME, inode, from, from_name, from_name_size, reserved);
    if (move == NULL) goto fail;
    if (!bcfs_overlay_set(&to->dir->overlay, to_name, to_name_size, inode)) goto fail_move;
    return move;

fail_move:
    free_move(fs, move); /* the caller has references of its own */
fail:
    bcfs_overlay_remove(&from->dir->overlay, from_name, from_name_size);
    return NULL;
}

struct bcfs_move *bcfs_move_prepare_link(struct bcfs *fs, struct bcfs_inode *inode, struct bcfs_inode *to,
                                         const char *to_name, size_t to_name_size, uint64_t reserved)
{
    struct bcfs_move *move = allocate(BCFS_LINK, inode, NULL, NULL, 0, reserved);
    bool shared = bcfs_is_shared(fs, inode);

    if (move == NULL) return NULL;
    move->name = bcfs_name_new(inode, to, to_name, to_name_size);
    if (move->name == NULL) goto fail;
    if (!shared) {
        move->first = bcfs_name_new(inode, inode->parent, inode->name, inode->name_size);
        move->home_name = malloc(BCFS_HOME_SIZE + 1);
        if (move->first == NULL || move->home_name == NULL) goto fail;
    }
    if (!bcfs_overlay_set(&to->dir->overlay, to_name, to_name_size, inode)) goto fail;
    move->name->queued = true;
    bcfs_name_add(fs, move->name);
    return move;

fail:
    bcfs_name_free(fs, move->name);
    free_move(fs, move);
    return NULL;
}

struct bcfs_move *bcfs_move_prepare_removal(struct bcfs_inode *inode, struct bcfs_inode *from, const char *from_name,
                                            size_t from_name_size, uint64_t reserved)
{
    struct bcfs_move *move = NULL;

    if (!bcfs_overlay_set(&from->dir->overlay, from_name, from_name_size, NULL)) return NULL;
    move = allocate(BCFS_REMOVE, inode, from, from_name, from_name_size, reserved);
    if (move == NULL) bcfs_overlay_remove(&from->dir->overlay, from_name, from_name_size);
    return move;
}

void bcfs_move_cancel_removal(struct bcfs *fs, struct bcfs_move *move)
{
    bcfs_overlay_remove(&move->from->dir->overlay, move->from_name, move->from_name_size);
    free_move(fs, move);
}

void bcfs_moves_queue(struct bcfs *fs, struct bcfs_move *move)
{
    struct bcfs_nodes *nodes = fs->nodes;

    (void)pthread_mutex_lock(&move->inode->lock);
    if (move->kind == BCFS_RENAME && move->name == NULL) {
        move->inode->state = BCFS_MOVED;
        move->inode->move = move;
    } else {
        move->inode->queued++;
    }
    (void)pthread_mutex_unlock(&move->inode->lock);
    (void)pthread_mutex_lock(&nodes->moves_lock);
    if (TAILQ_EMPTY(&nodes->moves)) nodes->moves_since_ms = bcfs_clock_ms();
    TAILQ_INSERT_TAIL(&nodes->moves, move, link);
    nodes->moves_count++;
    (void)pthread_mutex_unlock(&nodes->moves_lock);
    bcfs_wake_committer(fs, false);
}

void bcfs_move_source(const struct bcfs_move *move, bitcask_partition **partition, const char **name, size_t *name_size)
{
    *partition = move->from->dir->partition;
    *name = move->from_name;
    *name_size = move->from_name_size;
}

bool bcfs_moves_concern(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                        struct bcfs_inode *inode)
{
    const struct bcfs_overlay_entry *entry = NULL;
    const struct bcfs_name *link = NULL;
    bool concerned = false;

    if (inode != NULL) {
        link = bcfs_name_of(fs, parent, name, name_size);
        if (link != NULL) return link->queued;
        (void)pthread_mutex_lock(&inode->lock);
        concerned = inode->state == BCFS_MOVED || inode->queued > 0;
        (void)pthread_mutex_unlock(&inode->lock);
        return concerned;
    }
    entry = bcfs_overlay_get(&parent->dir->overlay, name, name_size);
    return entry != NULL && entry->inode == NULL;
}

bool bcfs_moves_in(struct bcfs *fs, const struct bcfs_inode *dir)
{
    struct bcfs_nodes *nodes = fs->nodes;
    const struct bcfs_move *move = NULL;
    bool found = false;

    (void)pthread_rwlock_rdlock(&nodes->tree);
    (void)pthread_mutex_lock(&nodes->moves_lock);
    TAILQ_FOREACH(move, &nodes->moves, link)
    {
        found |= move->from == dir || (move->name != NULL ? move->name->parent : move->inode->parent) == dir;
    }
    (void)pthread_mutex_unlock(&nodes->moves_lock);
    (void)pthread_rwlock_unlock(&nodes->tree);
    return found;
}

/* The store has done the move: what the node's record, or its names, are in memory is what they are there. The tree is
 * locked exclusively. */
static void settle(struct bcfs *fs, struct bcfs_move *move)
{
    struct bcfs_inode *inode = move->inode;
    bool of_node = move->kind == BCFS_RENAME && move->name == NULL;

    if (move->from != NULL) bcfs_overlay_remove(&move->from->dir->overlay, move->from_name, move->from_name_size);
    if (of_node) bcfs_overlay_remove(&inode->parent->dir->overlay, inode->name, inode->name_size);
    if (move->name != NULL) {
        bcfs_overlay_remove(&move->name->parent->dir->overlay, move->name->name, move->name->name_size);
        move->name->queued = false;
    }
    (void)pthread_mutex_lock(&inode->lock);
    if (of_node) {
        inode->state = BCFS_COMMITTED;
        inode->move = NULL;
    } else {
        inode->queued--;
    }
    (void)pthread_mutex_unlock(&inode->lock);
    if (move->kind != BCFS_LINK || bcfs_is_shared(fs, inode)) return;
    bcfs_share(fs, inode, move->file_id, move->first, move->home_name);
    move->first = NULL;
    move->home_name = NULL;
}

/* Describes a move for the store. */
static void describe(struct bcfs_move *move, bitcask_move_item *item, bitcask_attrs *attrs)
{
    struct bcfs_inode *inode = move->inode;

    (void)pthread_mutex_lock(&inode->lock);
    attrs->present = BITCASK_ATTR_CTIME;
    attrs->ctime_ns = inode->ctime_ns;
    /* The inode of a shared file may be committed meanwhile: its ctime comes with that. */
    if (move->kind != BCFS_RENAME || move->name == NULL) item->attrs = attrs;
    if (move->kind == BCFS_LINK) {
        item->flags = BITCASK_LINK;
        item->from = inode->parent->dir->partition;
        item->from_key = inode->name;
        item->from_key_size = inode->name_size;
        item->file_id = &move->file_id;
    } else {
        item->from = move->from->dir->partition;
        item->from_key = move->from_name;
        item->from_key_size = move->from_name_size;
    }
    if (move->kind == BCFS_REMOVE) {
        item->flags = BITCASK_REMOVE;
    } else if (move->name != NULL) {
        item->to = move->name->parent->dir->partition;
        item->to_key = move->name->name;
        item->to_key_size = move->name->name_size;
    } else {
        item->to = inode->parent->dir->partition;
        item->to_key = inode->name;
        item->to_key_size = inode->name_size;
    }
    (void)pthread_mutex_unlock(&inode->lock);
}

/* Runs the moves of a list, with no lock held: what they name does not change before they are settled, since whoever
 * would change it waits for this round. Says how many the store has done. */
static bitcask_status run_round(struct bcfs *fs, struct bcfs_move_list *round, size_t count, size_t *done)
{
    bitcask_move_item *items = calloc(count, sizeof(*items));
    bitcask_attrs *attrs = calloc(count, sizeof(*attrs));
    struct bcfs_move *move = NULL;
    bitcask_status status = BITCASK_OK;
    size_t i = 0;

    *done = 0;
    if (items == NULL || attrs == NULL) {
        status = BITCASK_NO_MEMORY;
        goto exit;
    }
    TAILQ_FOREACH(move, round, link)
    {
        describe(move, &items[i], &attrs[i]);
        /* bitcask_move() takes no reservation: the room is handed over by being free. */
        if (move->reserved > 0) {
            bitcask_unreserve(items[i].to != NULL ? items[i].to : items[i].from, move->reserved);
        }
        move->reserved = 0;
        i++;
    }
    status = bitcask_move(fs->db, items, count, done);

exit:
    free(attrs);
    free(items);
    return status;
}

/* Takes the queue for a round of the calling thread; waits for a round that runs. 0: there is nothing to do. */
static size_t begin_round(struct bcfs_nodes *nodes, struct bcfs_move_list *round)
{
    size_t count = 0;

    TAILQ_INIT(round);
    (void)pthread_mutex_lock(&nodes->moves_lock);
    while (nodes->moves_running) (void)pthread_cond_wait(&nodes->moves_cond, &nodes->moves_lock);
    count = nodes->moves_count;
    if (count > 0) {
        TAILQ_CONCAT(round, &nodes->moves, link);
        nodes->moves_count = 0;
        nodes->moves_running = true;
    }
    (void)pthread_mutex_unlock(&nodes->moves_lock);
    return count;
}

/* What was not done goes back to the head of the queue, since later moves may build on it. */
static void end_round(struct bcfs_nodes *nodes, struct bcfs_move_list *rest, size_t rest_count, bool failed)
{
    (void)pthread_mutex_lock(&nodes->moves_lock);
    TAILQ_CONCAT(rest, &nodes->moves, link);
    TAILQ_CONCAT(&nodes->moves, rest, link);
    nodes->moves_count += rest_count;
    nodes->moves_running = false;
    if (!failed) {
        nodes->moves_backoff_ms = 0;
    } else if (nodes->moves_backoff_ms == 0) {
        nodes->moves_backoff_ms = FIRST_BACKOFF_MS;
    } else if (nodes->moves_backoff_ms < LONGEST_BACKOFF_MS) {
        nodes->moves_backoff_ms *= 2;
    }
    nodes->moves_since_ms = bcfs_clock_ms();
    (void)pthread_cond_broadcast(&nodes->moves_cond);
    (void)pthread_mutex_unlock(&nodes->moves_lock);
}

bitcask_status bcfs_moves_complete(struct bcfs *fs)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_move_list round;
    struct bcfs_move_list settled;
    struct bcfs_move *move = NULL;
    bitcask_status status = BITCASK_OK;
    size_t count = begin_round(nodes, &round);
    size_t done = 0;

    if (count == 0) return BITCASK_OK;
    TAILQ_INIT(&settled);
    status = run_round(fs, &round, count, &done);
    if (status != BITCASK_OK) bcfs_log_failure("cannot complete renames and links", status);
    (void)pthread_rwlock_wrlock(&nodes->tree);
    for (size_t i = 0; i < done; i++) {
        move = TAILQ_FIRST(&round);
        TAILQ_REMOVE(&round, move, link);
        settle(fs, move);
        TAILQ_INSERT_TAIL(&settled, move, link);
    }
    (void)pthread_rwlock_unlock(&nodes->tree);
    end_round(nodes, &round, count - done, status != BITCASK_OK);
    while ((move = TAILQ_FIRST(&settled)) != NULL) {
        TAILQ_REMOVE(&settled, move, link);
        free_move(fs, move);
    }
    return status;
}

bitcask_status bcfs_moves_if_asked(struct bcfs *fs)
{
    if (fs->options.commit_ms != 0 && fs->options.sync != BITCASK_SYNC_ALWAYS) return BITCASK_OK;
    return bcfs_moves_complete(fs);
}

bool bcfs_moves_wait(struct bcfs *fs, struct bcfs_inode *inode)
{
    bool queued = false;

    if (bcfs_moves_complete(fs) == BITCASK_OK) return true;
    (void)pthread_mutex_lock(&inode->lock);
    queued = inode->state == BCFS_MOVED;
    (void)pthread_mutex_unlock(&inode->lock);
    return !queued;
}

bool bcfs_moves_any(struct bcfs *fs)
{
    bool any = false;

    (void)pthread_mutex_lock(&fs->nodes->moves_lock);
    any = fs->nodes->moves_count > 0 || fs->nodes->moves_running;
    (void)pthread_mutex_unlock(&fs->nodes->moves_lock);
    return any;
}

bool bcfs_moves_due(struct bcfs *fs)
{
    struct bcfs_nodes *nodes = fs->nodes;
    bool due = false;

    (void)pthread_mutex_lock(&nodes->moves_lock);
    due = nodes->moves_count > 0 &&
          bcfs_clock_ms() >= nodes->moves_since_ms + (int64_t)fs->options.commit_ms + nodes->moves_backoff_ms;
    (void)pthread_mutex_unlock(&nodes->moves_lock);
    return due;
}

void bcfs_moves_release(struct bcfs *fs)
{
    struct bcfs_move *move = NULL;

    while ((move = TAILQ_FIRST(&fs->nodes->moves)) != NULL) {
        TAILQ_REMOVE(&fs->nodes->moves, move, link);
        free_move(fs, move);
    }
}
