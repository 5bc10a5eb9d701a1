/* checkpoint_bind.c - whether a checkpoint fits the log that is there.
 *
 * It may assume that the checkpoint's checksums are right, and nothing of what it says.
 */
#include "partition/checkpoint.h"

#include <stdlib.h>
#include <string.h>

/* A row of the table, by the id of its segment. */
struct row {
    uint32_t segment_id;
    uint32_t slot;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->segment_id < y->segment_id ? -1 : x->segment_id > y->segment_id;
}

/* The rows that name a segment, ascending; NULL when out of memory. */
static struct row *sorted_rows(const struct bc_checkpoint *checkpoint, size_t *count)
{
    const struct bc_checkpoint_slot *slots = bc_checkpoint_slots(checkpoint);
    uint32_t slot_count = bc_checkpoint_head(checkpoint)->slot_count;
    struct row *rows = malloc(((size_t)slot_count + 1) * sizeof *rows);

    *count = 0;
    for (uint32_t i = 0; rows && i < slot_count; i++)
        if (slots[i].segment_id != 0) rows[(*count)++] = (struct row){slots[i].segment_id, i};
    if (rows && *count > 0) qsort(rows, *count, sizeof *rows, compare_rows);
    return rows;
}

/* Numbers that nothing could have. */
static bool is_absurd(const struct bc_checkpoint_head *head, const struct bc_checkpoint_slot *slot)
{
    return slot->live_bytes > slot->size || slot->tombstone_bytes > slot->size ||
           slot->live_keys > slot->live_bytes / (BC_RECORD_HEAD_SIZE + 1) ||
           (slot->segment_id > head->tail.segment_id && slot->tombstone_bytes > 0);
}

/* Whether the segment is the one that the row speaks of; else what is different. */
static const char *compare_segment(const struct bc_checkpoint_head *head, const struct bc_checkpoint_slot *slot,
                                   const struct bc_segment *segment)
{
    bool last = slot->segment_id == head->end.segment_id;
    uint64_t end = segment->end;

    if (segment->segment_id != slot->segment_id) return "it names a segment that is not here";
    if (segment->generation != slot->generation || segment->lowest_id != slot->lowest_id)
        return "it is of another file of that number";
    if (last ? slot->size != head->end.offset || end < slot->size : end != slot->size)
        return "it is of a file of another size";
    if (slot->segment_id > head->end.segment_id || is_absurd(head, slot)) return "its table makes no sense";
    if (slot->segment_id == head->tail.segment_id &&
        (head->tail.offset < segment->header_size || head->tail.offset > slot->size))
        return "its tail is not in the log";
    return NULL;
}

/* Whether the record that ends where the checkpoint ends is still there: then nothing in front of it was cut off. */
static const char *compare_end(const struct bc_checkpoint_head *head, struct bc_segment *segment)
{
    struct bc_buffer buffer = {0};
    struct bc_record record;
    const char *wrong = NULL;

    if (head->last_record == 0) {
        /* In front of the first record there is nothing to be cut off. */
        return head->end.offset == segment->header_size ? NULL : "it does not say where it ends";
    }
    if (head->last_record >= head->end.offset ||
        bc_segment_read_front(segment, head->last_record, &buffer, &record) != BITCASK_OK ||
        head->last_record + bc_record_size(&record) != head->end.offset ||
        memcmp(buffer.data, head->last_front, sizeof head->last_front) != 0)
        wrong = "the log was cut off since, and has grown anew";
    bc_buffer_release(&buffer);
    return wrong;
}

static bool add_up(const struct bc_checkpoint *checkpoint)
{
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
    const struct bc_checkpoint_slot *slots = bc_checkpoint_slots(checkpoint);
    uint64_t keys = 0;

    for (uint32_t i = 0; i < head->slot_count; i++) keys += slots[i].live_keys;
    return keys == head->keys;
}

/* NULL if the checkpoint fits; else why not. */
static const char *misfit(const struct bc_partition *partition, struct bc_segment *const *segments, size_t count,
                          const struct bc_checkpoint *checkpoint, const struct row *rows, size_t row_count)
{
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
    const struct bc_checkpoint_slot *slots = bc_checkpoint_slots(checkpoint);
    struct bc_segment *last = NULL;
    bool has_tail = false;
    const char *wrong = NULL;
    size_t next = 0;

    if (head->partition_id != partition->id) return "it is of another partition";
    if (head->last_version > BC_VERSION_MAX || !add_up(checkpoint)) return "its numbers make no sense";
    if (head->slot_count > row_count + BC_CHECKPOINT_FREE_SLOTS_MAX) return "it has too many free places";
    for (size_t i = 0; i < count && !wrong; i++) {
        struct bc_segment *segment = segments[i];

        if (!segment || segment->segment_id > head->end.segment_id) continue;
        if (next == row_count) return "a segment is here that it does not name";
        wrong = compare_segment(head, &slots[rows[next].slot], segment);
        if (segment->segment_id == head->end.segment_id) last = segment;
        if (segment->segment_id == head->tail.segment_id) has_tail = true;
        next++;
    }
    if (wrong) return wrong;
    if (next < row_count) return "it names a segment that is not here";
    if (!last || !has_tail) return "its table makes no sense";
    return compare_end(head, last);
}

/* It will not serve later either, and keeping it costs room. Not synced: see checkpoint.h. */
static void discard(const struct bc_partition *partition, const char *why)
{
    bc_env_log(partition->env, BITCASK_LOG_INFO, "partition '%s': the checkpoint of its index is not used: %s",
               partition->label, why);
    if (!partition->env->read_only) (void)bc_io_unlink(partition->env->io, partition->dir_fd, BC_CHECKPOINT_NAME);
    bc_detail_clear();
}

void bc_checkpoint_find(struct bc_partition *partition, struct bc_segment *const *segments, size_t count,
                        struct bc_checkpoint **checkpoint)
{
    struct bc_checkpoint *found = NULL;
    bc_status status = bc_checkpoint_open(partition->env->io, partition->dir_fd, &found);
    struct row *rows = NULL;
    size_t row_count = 0;
    const char *why;

    *checkpoint = NULL;
    if (status == BITCASK_CORRUPT) discard(partition, bc_detail());
    if (status == BITCASK_OK) rows = sorted_rows(found, &row_count);
    if (rows) {
        why = misfit(partition, segments, count, found, rows, row_count);
        if (why) {
            bc_checkpoint_close(&found);
            discard(partition, why);
        }
        *checkpoint = found;
    } else {
        bc_checkpoint_close(&found); /* out of memory, or it cannot be read: no failure, there is another way */
    }
    bc_detail_clear();
    free(rows);
}

/* ---- places ---- */

/* Takes the segment of that id out of the list. *next: where to begin; mostly it is there. */
static struct bc_segment *take(struct bc_segment **segments, size_t count, uint32_t id, size_t *next)
{
    for (size_t tried = 0; tried < count; tried++) {
        size_t i = (*next + tried) % count;
        struct bc_segment *segment = segments[i];

        if (!segment || segment->segment_id != id) continue;
        segments[i] = NULL;
        *next = i + 1;
        return segment;
    }
    return NULL;
}

bc_status bc_checkpoint_place(struct bc_partition *partition, struct bc_segment **segments, size_t count,
                              const struct bc_checkpoint *checkpoint)
{
    const struct bc_checkpoint_slot *slots = bc_checkpoint_slots(checkpoint);
    uint32_t slot_count = bc_checkpoint_head(checkpoint)->slot_count, placed = 0, at;
    size_t next = 0;
    bc_status status = BITCASK_OK;

    /* One after another, so that each gets the number that it is to have; what stands in for a free place goes again.
     */
    while (placed < slot_count && status == BITCASK_OK) {
        uint32_t id = slots[placed].segment_id;
        struct bc_segment *segment = id != 0 ? take(segments, count, id, &next) : NULL;

        if (!segment) status = bc_segment_in_memory(partition->env->io, 0, &segment);
        if (status == BITCASK_OK) status = bc_partition_add_slot(partition, segment, &at);
        if (status == BITCASK_OK)
            placed++;
        else
            bc_segment_unref(&segment);
    }
    for (uint32_t i = 0; i < placed; i++)
        if (slots[i].segment_id == 0) bc_partition_free_slot(partition, i);
    return status;
}

/* ---- where the log stands to it ---- */

struct bc_replay bc_checkpoint_replay(const struct bc_checkpoint *checkpoint)
{
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);

    return (struct bc_replay){.from = head->tail, .durable = head->end, .last_record = head->last_record};
}

void bc_checkpoint_note_open(struct bc_partition *partition, const struct bc_checkpoint *checkpoint)
{
    struct bc_checkpoint_state *state = &partition->checkpoint;
    const struct bc_checkpoint_head *head = checkpoint ? bc_checkpoint_head(checkpoint) : NULL;
    uint64_t behind = 0; /* bytes of log that it does not stand for */

    for (uint32_t i = 0; i < partition->slot_count; i++) {
        const struct bc_segment *segment = partition->slots[i].segment;
        if (!segment || segment->memory || (head && segment->segment_id < head->tail.segment_id)) continue;
        behind += segment == partition->active ? bc_partition_log_end(partition) : segment->end;
        if (head && segment->segment_id == head->tail.segment_id) behind -= head->tail.offset;
    }
    state->id = head ? head->id : 0;
    state->bytes = head ? bc_checkpoint_file_size(checkpoint) : 0;
    state->opened_at = (int64_t)(partition->position_base + bc_partition_log_end(partition));
    state->from = state->opened_at - (int64_t)behind;
    bc_checkpoint_set_due(partition, state->from);
}
