/* verify_checkpoint.c - a checkpoint held against the index that it would bring back.
 *
 * What is to be true of each key, with the checkpoint's tail as the line between what it stands for and what is
 * replayed:
 *   - an entry of the index in front of the line stands in the checkpoint, and says the same
 *   - an entry of the checkpoint is that of the index, or the index has one behind the line, or the key was deleted
 * there files_lock keeps merges away meanwhile, so that both name the same places; the writer goes on.
 */
#include "partition/verify_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/image.h"
#include "log/scan.h"
#include "partition/checkpoint.h"
#include "partition/finding.h"
#include "partition/survey.h"

#define STEP 1024u /* entries of the index looked at within one read section */

struct comparison {
    const struct bc_verify *verify;
    struct bc_partition *partition; /* NULL: there is no index to compare with */
    const struct bc_checkpoint *checkpoint;
    struct bc_index *head;   /* empty, with the classes of the image */
    struct bc_index *gone;   /* keys that the index does not have; what is deleted behind the tail goes from it */
    uint64_t same, in_index; /* entries in front of the tail that the checkpoint has, and that the index has */
    bc_status failed;
    const char *wrong;
    uint8_t last[BITCASK_NAME_MAX]; /* where a step through the index ended */
    size_t last_size, seen;
};

/* ---- key by key ---- */

/* Whether the place is in front of the tail. */
static bool is_old(const struct comparison *c, const struct bc_entry *entry)
{
    const struct bc_log_place *tail = &bc_checkpoint_head(c->checkpoint)->tail;
    const struct bc_segment *segment = bc_partition_segment_at(c->partition, entry->slot);

    if (!segment || segment->memory) return false;
    return segment->segment_id < tail->segment_id ||
           (segment->segment_id == tail->segment_id && entry->offset < tail->offset);
}

/* One entry of the checkpoint. */
static bool compare_entry(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct comparison *c = context;
    struct bc_entry now;
    bool there, old;

    bc_rcu_read_lock();
    there = bc_index_get(c->partition->index, key, key_size, &now) == BITCASK_OK;
    old = there && is_old(c, &now);
    bc_rcu_read_unlock();
    if (!there) {
        if (bc_partition_is_extent(c->partition, key, key_size)) return true; /* gone with its inode */
        if (is_old(c, entry)) c->failed = bc_index_put(c->gone, key, key_size, entry, NULL, NULL);
        return c->failed == BITCASK_OK;
    }
    if (!old) return true;
    if (now.slot == entry->slot && now.offset == entry->offset && bc_digest_entry(&now) == bc_digest_entry(entry))
        c->same++;
    else
        c->wrong = "it says something else of a key than the index";
    return !c->wrong;
}

static bool count_entry(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct comparison *c = context;

    c->in_index += is_old(c, entry);
    memcpy(c->last, key, key_size);
    c->last_size = key_size;
    c->seen++;
    return true;
}

/* Counts what the index has in front of the tail. */
static bc_status count_index(struct comparison *c)
{
    uint8_t from[BITCASK_NAME_MAX];
    size_t from_size;
    bc_status status;

    do {
        from_size = c->last_size;
        memcpy(from, c->last, from_size);
        c->seen = 0;
        bc_rcu_read_lock();
        status = bc_index_walk(c->partition->index, from_size > 0 ? BC_SEEK_GT : BC_SEEK_GE, from, from_size, STEP,
                               count_entry, c);
        bc_rcu_read_unlock();
    } while (status == BITCASK_OK && c->seen > 0);
    return status;
}

/* ---- block by block ---- */

/* Reads, checks and compares block i, as an index of its own. */
static bc_status look_at_block(struct comparison *c, uint32_t i)
{
    size_t size = bc_checkpoint_block_size(c->checkpoint, i), head_size;
    size_t room = (size + BC_IMAGE_ALIGN - 1) / BC_IMAGE_ALIGN * BC_IMAGE_ALIGN;
    const void *head = bc_checkpoint_image_head(c->checkpoint, &head_size);
    void *block = bc_image_alloc(room);
    struct bc_index *part = NULL;
    bc_status status;

    if (!block) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a verify");
    status = bc_checkpoint_read_block(c->checkpoint, i, block);
    if (status == BITCASK_OK)
        status = bc_image_check(c->head, block, size, bc_checkpoint_head(c->checkpoint)->slot_count);
    if (status == BITCASK_OK && c->partition) status = bc_image_open(head, head_size, &part);
    if (status == BITCASK_OK && part) status = bc_image_add(part, block, size);
    if (status != BITCASK_OK || !part) bc_image_free(block, room);
    if (status == BITCASK_OK && part) status = bc_image_end(part);
    if (status == BITCASK_OK && part) status = bc_index_walk(part, BC_SEEK_GE, "", 0, SIZE_MAX, compare_entry, c);
    bc_index_close(&part);
    if (status == BITCASK_OK) status = c->failed;
    return status == BITCASK_OK ? bc_pace(c->verify, room) : status;
}

static bc_status look_at_blocks(struct comparison *c)
{
    uint32_t count = bc_checkpoint_head(c->checkpoint)->block_count;
    size_t size;
    const void *head = bc_checkpoint_image_head(c->checkpoint, &size);
    bc_status status = bc_image_open(head, size, &c->head);

    for (uint32_t i = 0; i < count && status == BITCASK_OK && !c->wrong; i++) status = look_at_block(c, i);
    return status;
}

/* ---- deletions ---- */

/* Takes what is deleted in segment behind `from` out of c->gone. */
static bc_status forget_deleted(struct comparison *c, struct bc_segment *segment, uint64_t from)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    bc_status status = bc_scan_open(segment, from, segment->end, &scan);

    while (status == BITCASK_OK && (status = bc_scan_next(scan, &item)) == BITCASK_OK && item.kind != BC_SCAN_END)
        if (item.kind == BC_SCAN_RECORD && (item.record.flags & BC_RECORD_TOMBSTONE))
            (void)bc_index_remove(c->gone, item.record.key, item.record.key_size, NULL);
    bc_scan_close(&scan);
    return status;
}

/* Keys that the checkpoint has and the index has not must be deleted behind the tail, or they would come back. */
static bc_status look_at_deletions(struct comparison *c)
{
    const struct bc_log_place *tail = &bc_checkpoint_head(c->checkpoint)->tail;
    struct bc_partition *partition = c->partition;
    bc_status status = BITCASK_OK;

    for (uint32_t i = 0; status == BITCASK_OK && bc_index_count(c->gone) > 0; i++) {
        struct bc_segment *segment;
        bool done;

        bc_fair_lock_soon(&partition->write_lock);
        done = i >= partition->slot_count;
        segment = done ? NULL : partition->slots[i].segment;
        if (segment) bc_segment_ref(segment);
        bc_fair_unlock(&partition->write_lock);
        if (done) break;
        if (segment && !segment->memory && segment->segment_id >= tail->segment_id)
            status = forget_deleted(c, segment,
                                    segment->segment_id == tail->segment_id ? tail->offset : segment->header_size);
        bc_segment_unref(&segment);
    }
    if (bc_index_count(c->gone) > 0) c->wrong = "it has a key that is not in the index";
    return status;
}

/* ---- all of it ---- */

static bc_status compare(struct comparison *c)
{
    struct bc_partition *partition = c->partition;
    uint64_t before = 0, after = 0;
    bc_status status = BITCASK_OK;

    if (partition) {
        before = bc_partition_appended(partition);
        status = bc_index_open(0, &c->gone);
        if (status == BITCASK_OK) status = count_index(c);
    }
    if (status == BITCASK_OK) status = look_at_blocks(c);
    if (status != BITCASK_OK || c->wrong || !partition) return status;
    after = bc_partition_appended(partition);
    /* What is overwritten meanwhile was counted the one time and not the other. */
    if (before == after && c->same != c->in_index) c->wrong = "it lacks a key that is in the index";
    return c->wrong ? BITCASK_OK : look_at_deletions(c);
}

/* partition may be NULL. *bad: it is of no use. */
static bc_status check(const struct bc_verify *verify, int dir_fd, struct bc_partition *partition, bool *bad)
{
    struct comparison c = {.verify = verify, .partition = partition};
    struct bc_checkpoint *checkpoint = NULL;
    char why[300];
    bc_status status = bc_checkpoint_open(verify->env->io, dir_fd, &checkpoint);

    *bad = false;
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK;
    c.checkpoint = checkpoint;
    if (status == BITCASK_OK && partition && bc_checkpoint_head(checkpoint)->id != partition->checkpoint.id)
        c.wrong = "it is not of this log";
    if (status == BITCASK_OK && !c.wrong) status = compare(&c);
    bc_index_close(&c.head);
    bc_index_close(&c.gone);
    bc_checkpoint_close(&checkpoint);
    if (status != BITCASK_CORRUPT && (status != BITCASK_OK || !c.wrong)) return status;
    *bad = true;
    snprintf(why, sizeof why, "%s", status == BITCASK_OK ? c.wrong : bc_detail());
    return bc_tell_file(verify, BITCASK_FOUND_HINT, BC_CHECKPOINT_NAME, "%s; it will be made anew", why);
}

bc_status bc_verify_checkpoint(const struct bc_verify *verify, struct bc_partition *partition)
{
    bool bad;
    bc_status status;

    if (partition->dir_fd < 0) return BITCASK_OK;
    /* The writer beside a reader may have made another one since: of that only the checksums can be looked at. */
    if (partition->env->read_only) return check(verify, partition->dir_fd, NULL, &bad);
    /* A merge that is at work makes an end of the checkpoint; and whoever waits for it keeps the partition from being
     * dropped. */
    if (pthread_mutex_trylock(&partition->files_lock) != 0) return BITCASK_OK;
    status = check(verify, partition->dir_fd, partition, &bad);
    pthread_mutex_unlock(&partition->files_lock);
    return status;
}

bc_status bc_verify_checkpoint_file(const struct bc_verify *verify, int dir_fd, bool *bad)
{
    return check(verify, dir_fd, NULL, bad);
}
