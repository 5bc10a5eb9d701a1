/* merge_copy.c - what a merge keeps, and the writing of it: all inputs at once, in key order.
 *
 * The inputs' hints say which keys are there, sorted; of each key the newest record in the run is looked at. A put is
 * kept if the index points at it. A tombstone is kept if nothing came after it and an older segment may hold its key.
 * Every record is checked as it passes: what fails its check is not carried along, and no merge happens.
 */
#include "partition/merge_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "index/index.h"

#define WRITE_SIZE (256u * 1024u) /* bytes gathered for one write, and between two looks at the hooks */
#define PACE_KEYS 1024u           /* keys looked at between two looks, where nothing is kept */

struct copier {
    struct bc_merge *merge;
    struct bc_hint_cursor **cursors;
    struct bc_hint_entry *heads; /* the entry that each cursor stands on */
    uint32_t *heap;              /* inputs that have one, by key, the newest first among equals */
    size_t heap_count;
    struct bc_buffer out;    /* encoded, not written yet */
    struct bc_buffer record; /* the record under way, as in its input */
    uint64_t kept;
    uint32_t looked_at; /* keys since the last look at the hooks */
};

bc_status bc_merge_go_on(const struct bc_merge *merge, uint64_t bytes)
{
    const struct bc_merge_hooks *hooks = merge->hooks;

    if (atomic_load(&merge->partition->poisoned))
        return bc_fail(BITCASK_POISONED, "partition '%s': a sync failed; close the store and open it again",
                       merge->partition->label);
    if (atomic_load(&merge->partition->dropped) || (hooks && hooks->pace && !hooks->pace(hooks->context, bytes)))
        return bc_fail(BITCASK_CANCELLED, "cancelled");
    return BITCASK_OK;
}

/* ---- the inputs in one order ---- */

static int compare_heads(const struct copier *copier, uint32_t a, uint32_t b)
{
    const struct bc_hint_entry *x = &copier->heads[a], *y = &copier->heads[b];
    int order = bc_key_compare(x->key, x->key_size, y->key, y->key_size);

    return order != 0 ? order : a > b ? -1 : 1; /* inputs are in the order of their ids */
}

static void sift_down(struct copier *copier, size_t at)
{
    for (;;) {
        size_t least = at, left = 2 * at + 1;

        for (size_t child = left; child < left + 2 && child < copier->heap_count; child++)
            if (compare_heads(copier, copier->heap[child], copier->heap[least]) < 0) least = child;
        if (least == at) return;
        uint32_t swapped = copier->heap[at];
        copier->heap[at] = copier->heap[least];
        copier->heap[least] = swapped;
        at = least;
    }
}

/* Takes a cursor's next entry. A hint that fails now was good enough to be opened, and may have been torn by a power
 * cut further on. It is disposable: forgotten, so that the next try makes it anew. */
static bc_status next_head(struct copier *copier, uint32_t input)
{
    struct bc_partition *partition = copier->merge->partition;
    bc_status status = bc_hint_cursor_next(copier->cursors[input], &copier->heads[input]);

    if (status != BITCASK_CORRUPT && status != BITCASK_IO) return status;
    bc_env_log(partition->env, BITCASK_LOG_WARNING, "partition '%s': %s; it is made anew", partition->label,
               bc_detail());
    copier->merge->bad_hint = true;
    bc_fair_lock_soon(&partition->write_lock);
    partition->slots[copier->merge->inputs[input].slot].hint_bytes = 0;
    bc_fair_unlock(&partition->write_lock);
    return status;
}

static bc_status open_cursors(struct copier *copier)
{
    struct bc_merge *merge = copier->merge;
    bc_status status = BITCASK_OK;

    copier->cursors = calloc(merge->input_count, sizeof *copier->cursors);
    copier->heads = calloc(merge->input_count, sizeof *copier->heads);
    copier->heap = calloc(merge->input_count, sizeof *copier->heap);
    if (!copier->cursors || !copier->heads || !copier->heap) return BITCASK_NO_MEMORY;
    for (uint32_t i = 0; i < merge->input_count && status == BITCASK_OK; i++) {
        status = bc_hint_cursor_open(merge->inputs[i].hint, &copier->cursors[i]);
        if (status != BITCASK_OK) break;
        status = next_head(copier, i);
        if (status == BITCASK_OK)
            copier->heap[copier->heap_count++] = i;
        else if (status == BITCASK_NOT_FOUND)
            status = BITCASK_OK;
    }
    for (size_t i = copier->heap_count / 2; i-- > 0;) sift_down(copier, i);
    return status;
}

/* Moves the cursor at the top of the heap on. */
static bc_status advance(struct copier *copier)
{
    uint32_t top = copier->heap[0];
    bc_status status = next_head(copier, top);

    if (status == BITCASK_NOT_FOUND) {
        copier->heap[0] = copier->heap[--copier->heap_count];
        status = BITCASK_OK;
    }
    if (status == BITCASK_OK) sift_down(copier, 0);
    return status;
}

/* ---- what is kept ---- */

static bool older_may_hold(const struct bc_merge *merge, uint64_t hash)
{
    for (size_t i = 0; i < merge->older_count; i++)
        if (!merge->older[i].hint || bc_hint_may_contain(merge->older[i].hint, hash)) return true;
    return false;
}

/* Whether the newest record that the run has of a key is to live on. */
static bool is_kept(const struct copier *copier, const struct bc_merge_input *input, const struct bc_hint_entry *hinted)
{
    struct bc_partition *partition = copier->merge->partition;
    struct bc_entry entry;
    bool known;

    bc_rcu_read_lock();
    known = bc_index_get(partition->index, hinted->key, hinted->key_size, &entry) == BITCASK_OK;
    bc_rcu_read_unlock();
    if (!(hinted->flags & BC_HINT_TOMBSTONE))
        return known && entry.slot == input->slot && entry.offset == hinted->offset;
    return !known && older_may_hold(copier->merge, bc_hash_key(hinted->key, hinted->key_size));
}

/* ---- writing ---- */

static bc_status flush(struct copier *copier)
{
    struct bc_segment *output = copier->merge->output;
    struct iovec iov = {copier->out.data, copier->out.size};
    bc_status status = BITCASK_OK;

    if (iov.iov_len == 0) return BITCASK_OK;
    status = bc_io_write(output->io, output->fd, BC_MERGE_NAME, &iov, 1, output->end);
    if (status != BITCASK_OK) return status;
    output->end += iov.iov_len;
    bc_buffer_reset(&copier->out);
    copier->looked_at = 0;
    return bc_merge_go_on(copier->merge, iov.iov_len);
}

/* Says that an input is damaged, so that it is not picked again before it is repaired. */
static bc_status found_damage(struct copier *copier, struct bc_merge_input *input, const struct bc_hint_entry *hinted)
{
    struct bc_partition *partition = copier->merge->partition;

    bc_fair_lock_soon(&partition->write_lock);
    partition->slots[input->slot].damaged = true;
    partition->damaged_regions++;
    bc_fair_unlock(&partition->write_lock);
    bc_fail(BITCASK_CORRUPT, "partition '%s': %s: the record at offset %u fails its check; verify and repair the store",
            partition->label, input->segment->name, hinted->offset);
    bc_env_log(partition->env, BITCASK_LOG_ERROR, "%s", bc_detail());
    return BITCASK_CORRUPT;
}

/* Reads the record and checks that it is the one that the hint means, whole. */
static bc_status read_record(struct copier *copier, struct bc_merge_input *input, const struct bc_hint_entry *hinted,
                             struct bc_record *record)
{
    size_t needed;
    uint8_t *bytes;
    bc_status status;

    bc_buffer_reset(&copier->record);
    bytes = bc_buffer_extend(&copier->record, hinted->record_size);
    if (!bytes) return BITCASK_NO_MEMORY;
    status = bc_segment_read_raw(input->segment, hinted->offset, bytes, hinted->record_size);
    if (status == BITCASK_CORRUPT) return found_damage(copier, input, hinted);
    if (status != BITCASK_OK) return status;
    if (bc_record_decode(bytes, hinted->record_size, input->segment->generation, hinted->offset, hinted->record_size,
                         record, &needed) != BITCASK_OK ||
        bc_record_size(record) != hinted->record_size || record->key_size != hinted->key_size ||
        memcmp(record->key, hinted->key, hinted->key_size) != 0)
        return found_damage(copier, input, hinted);
    record->value = bytes + bc_record_front_size(record);
    if (bc_crc32c(0, record->value, record->value_size) != record->value_crc)
        return found_damage(copier, input, hinted);
    return BITCASK_OK;
}

/* Encodes the record for its place in the output. Its value and the value's checksum are carried along as they are. */
static bc_status copy_record(struct copier *copier, struct bc_merge_input *input, const struct bc_hint_entry *hinted)
{
    struct bc_segment *output = copier->merge->output;
    uint64_t offset = output->end + copier->out.size;
    struct bc_hint_entry kept = *hinted;
    struct bc_record record;
    size_t front;
    uint8_t *place;
    bc_status status = read_record(copier, input, hinted, &record);

    if (status != BITCASK_OK) return status;
    if (offset + hinted->record_size > BC_SEGMENT_SIZE_MAX)
        return bc_fail(BITCASK_TOO_LARGE, "the output of a merge exceeds the size of a segment");
    place = bc_buffer_extend(&copier->out, hinted->record_size);
    if (!place) return BITCASK_NO_MEMORY;
    /* Its batch is complete, or it would not be here; and what was durable before it says nothing in the new place. */
    record.flags &= (uint16_t) ~(BC_RECORD_MORE | BC_RECORD_DURABLE);
    front = bc_record_front_size(&record);
    bc_record_encode(&record, output->generation, offset, place);
    if (record.value_size > 0) memcpy(place + front, record.value, record.value_size);
    copier->out.size += hinted->record_size;
    copier->kept++;
    kept.offset = (uint32_t)offset;
    status = bc_hint_writer_add(copier->merge->hint_writer, &kept);
    return status == BITCASK_OK && copier->out.size >= WRITE_SIZE ? flush(copier) : status;
}

/* ---- all of it ---- */

static bc_status copy_all(struct copier *copier)
{
    struct bc_merge *merge = copier->merge;
    bc_status status = open_cursors(copier);

    while (status == BITCASK_OK && copier->heap_count > 0) {
        uint32_t top = copier->heap[0];
        struct bc_merge_input *input = &merge->inputs[top];
        uint8_t key[BITCASK_NAME_MAX];
        size_t key_size = copier->heads[top].key_size;

        memcpy(key, copier->heads[top].key, key_size);
        if (is_kept(copier, input, &copier->heads[top])) status = copy_record(copier, input, &copier->heads[top]);
        if (status == BITCASK_OK && ++copier->looked_at >= PACE_KEYS) {
            copier->looked_at = 0;
            status = bc_merge_go_on(merge, 0);
        }
        /* Past this key in all inputs: what the others have of it is older. */
        while (status == BITCASK_OK && copier->heap_count > 0) {
            const struct bc_hint_entry *next = &copier->heads[copier->heap[0]];
            if (next->key_size != key_size || memcmp(next->key, key, key_size) != 0) break;
            status = advance(copier);
        }
    }
    return status == BITCASK_OK ? flush(copier) : status;
}

/* Makes the output's file, with room for all that may come, and its hint. */
static bc_status begin_output(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    const struct bc_segment *first = merge->inputs[0].segment, *last = merge->inputs[merge->input_count - 1].segment;
    struct bc_segment_header header = {
        .segment_id = last->segment_id,
        .lowest_id = first->lowest_id,
        .partition_id = partition->id,
        .parent_id = partition->parent_id,
    };
    struct bc_hint_head head = {.segment_id = last->segment_id, .data_size = BC_SEGMENT_SIZE_MAX};
    bc_status status;

    /* The highest version of all that is merged, not of the segment before: the record that had it may be left out, and
     * what counts as done already is told by version (see redo.c). */
    for (size_t i = 0; i < merge->input_count; i++) {
        const struct bc_merge_input *input = &merge->inputs[i];
        uint64_t version = bc_hint_head(input->hint)->last_version;
        if (input->segment->last_version > header.last_version) header.last_version = input->segment->last_version;
        if (version > header.last_version) header.last_version = version;
    }
    head.last_version = header.last_version;
    bc_segment_set_path(&header, partition->label);
    status = bc_segment_begin(partition->env->io, partition->dir_fd, BC_MERGE_NAME, &header, &merge->output);
    if (status != BITCASK_OK) return status;
    /* All of it before the first byte is copied: a full disk is found out now, and the writers are not. */
    status = bc_io_allocate(partition->env->io, merge->output->fd, BC_MERGE_NAME, merge->output->end, merge->room);
    if (status == BITCASK_UNSUPPORTED || merge->room == 0) status = BITCASK_OK;
    head.generation = merge->output->generation;
    if (status == BITCASK_OK)
        status = bc_hint_writer_open(partition->env->io, partition->dir_fd, &head, &merge->hint_writer);
    return status;
}

bc_status bc_merge_copy(struct bc_merge *merge)
{
    struct copier copier = {.merge = merge};
    bc_status status = begin_output(merge);

    if (status == BITCASK_OK) status = copy_all(&copier);
    if (status == BITCASK_OK) {
        merge->empty = copier.kept == 0;
        bc_hint_writer_set_size(merge->hint_writer, merge->output->end);
    }
    for (size_t i = 0; copier.cursors && i < merge->input_count; i++) bc_hint_cursor_close(&copier.cursors[i]);
    free(copier.cursors);
    free(copier.heads);
    free(copier.heap);
    bc_buffer_release(&copier.out);
    bc_buffer_release(&copier.record);
    return status;
}
