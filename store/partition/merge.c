/* merge.c - one merge, from its inputs to their end, while reads and writes go on.
 *
 * The output takes the place of a run of neighbouring segments, under the highest of their ids. Its rename is the
 * commit point: before it the inputs are all there is, after it they are superseded by the output's coverage, and a
 * crash anywhere leaves one complete copy of every record that counts. What is to be written is decided in
 * merge_copy.c.
 */
#include "partition/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/hint.h"
#include "partition/checkpoint.h"
#include "partition/load.h"
#include "partition/merge_copy.h"

#define SWAP_KEYS 256u /* that change over under one hold of the locks */

/* ---- inputs ---- */

static int compare_inputs(const void *a, const void *b)
{
    const struct bc_merge_input *x = a, *y = b;
    return x->segment->segment_id < y->segment->segment_id ? -1 : x->segment->segment_id > y->segment->segment_id;
}

/* Takes references on the segments of the run into merge->inputs, and on those before it into merge->older. */
static bc_status gather(struct bc_merge *merge, const struct bc_merge_run *run)
{
    struct bc_partition *partition = merge->partition;
    bc_status status = BITCASK_OK;

    bc_fair_lock_soon(&partition->write_lock);
    merge->inputs = calloc(partition->slot_count + 1, sizeof *merge->inputs);
    merge->older = calloc(partition->slot_count + 1, sizeof *merge->older);
    merge->is_input = calloc(partition->slot_count + 1, sizeof *merge->is_input);
    merge->slot_count = partition->slot_count;
    if (!merge->inputs || !merge->older || !merge->is_input) status = BITCASK_NO_MEMORY;
    for (uint32_t i = 0; i < partition->slot_count && status == BITCASK_OK; i++) {
        const struct bc_slot *slot = &partition->slots[i];
        struct bc_merge_input input = {.slot = i, .damaged = slot->damaged, .hinted = slot->hint_bytes > 0};

        if (!slot->segment || slot->segment->memory || slot->segment == partition->active ||
            slot->segment->segment_id > run->last_id)
            continue;
        input.segment = bc_segment_ref(slot->segment);
        if (slot->segment->segment_id < run->first_id) {
            merge->older[merge->older_count++] = input;
            continue;
        }
        merge->inputs[merge->input_count++] = input;
        merge->is_input[i] = true;
        merge->room += slot->live_bytes + slot->tombstone_bytes;
    }
    bc_fair_unlock(&partition->write_lock);
    if (status == BITCASK_OK && merge->input_count == 0)
        status = bc_fail(BITCASK_NOT_FOUND, "partition '%s': no segments from %u to %u", partition->label,
                         run->first_id, run->last_id);
    if (merge->input_count > 0) qsort(merge->inputs, merge->input_count, sizeof *merge->inputs, compare_inputs);
    return status;
}

/* Opens the hints of the inputs; one that is missing, or does not serve, is made from the data. */
static bc_status open_hints(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < merge->input_count && status == BITCASK_OK; i++) {
        struct bc_merge_input *input = &merge->inputs[i];

        if (input->damaged)
            return bc_fail(BITCASK_CORRUPT, "partition '%s': %s is damaged: verify and repair the store",
                           partition->label, input->segment->name);
        status = BITCASK_NOT_FOUND;
        if (input->hinted) status = bc_load_open_hint(partition, input->segment, true, &input->hint);
        if (status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT || status == BITCASK_IO) {
            status = bc_partition_hint_slot(partition, input->slot);
            if (status == BITCASK_OK) status = bc_load_open_hint(partition, input->segment, true, &input->hint);
        }
        if (status == BITCASK_OK && bc_hint_head(input->hint)->tombstone_bytes > 0) merge->has_tombstones = true;
    }
    if (status != BITCASK_OK) return status;
    /* Those of older segments are asked whether they may hold a deleted key. None: it may. */
    for (size_t i = 0; i < merge->older_count && merge->has_tombstones; i++)
        if (!merge->older[i].damaged)
            (void)bc_load_open_hint(partition, merge->older[i].segment, true, &merge->older[i].hint);
    bc_detail_clear();
    return BITCASK_OK;
}

static void release(struct bc_merge *merge)
{
    /* The references of the slots are gone with these: somebody may have found a segment in its place just before that
     * was given free. */
    if (merge->slots_freed) bc_rcu_wait();
    for (size_t i = 0; i < merge->input_count; i++) {
        bc_hint_close(&merge->inputs[i].hint);
        bc_segment_unref(&merge->inputs[i].segment);
    }
    for (size_t i = 0; i < merge->older_count; i++) {
        bc_hint_close(&merge->older[i].hint);
        bc_segment_unref(&merge->older[i].segment);
    }
    free(merge->inputs);
    free(merge->older);
    free(merge->is_input);
    bc_hint_cursor_close(&merge->cursor);
    bc_hint_close(&merge->hint);
    free(merge->keys);
    bc_segment_unref(&merge->output);
    free(merge);
}

/* ---- commit ---- */

/* Makes durable what the decisions stand on, and then the output. */
static bc_status sync_all(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    struct bc_segment *output = merge->output;
    bc_status status = bc_io_truncate(output->io, output->fd, BC_MERGE_NAME, output->end);

    if (status != BITCASK_OK) return status;
    /* A record was left out because a later one in the active segment took its place: that one must be durable first,
     * or a power cut takes both. */
    status = bc_partition_sync_to(partition, bc_partition_appended(partition));
    if (status != BITCASK_OK) return status;
    /* Before the rename: else a power cut could leave the name of a whole input on half an output. */
    return bc_io_sync(output->io, output->fd, BC_MERGE_NAME);
}

/* Gives the output the name of the highest input, for good. On failure the inputs are what they were. */
static bc_status rename_output(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    struct bc_io *io = partition->env->io;
    char name[16];
    bc_status status;

    bc_segment_name(merge->output->segment_id, name);
    status = bc_io_rename(io, partition->dir_fd, BC_MERGE_NAME, name);
    if (status != BITCASK_OK) return status;
    merge->committed = true;
    bc_segment_rename(merge->output, name);
    /* The name before the first unlink: of the two a power cut may keep the unlink alone. */
    status = bc_io_sync_dir(io, partition->dir_fd, partition->label);
    /* Which of the two files has the name after a power cut nobody knows; either will do, but nothing may be built on
     * it. The inputs stay in use, and on disk. */
    if (status != BITCASK_OK) bc_partition_poison(partition);
    return status;
}

/* ---- hot swap ---- */

static bool is_input(const struct bc_merge *merge, uint32_t slot)
{
    return slot < merge->slot_count && merge->is_input[slot];
}

/* A key of the output, copied out of its hint. */
struct swap_key {
    uint8_t key[BITCASK_NAME_MAX];
    size_t key_size;
    struct bc_entry entry;
};

/* Lets the index name the output where it still names an input. What was put or deleted meanwhile stays as it is. */
static void swap_keys(struct bc_merge *merge, const struct swap_key *keys, size_t count)
{
    struct bc_partition *partition = merge->partition;

    bc_fair_lock_soon(&partition->write_lock);
    for (size_t i = 0; i < count; i++) {
        const struct swap_key *k = &keys[i];
        struct bc_entry old;
        bool had;

        if (bc_index_get(partition->index, k->key, k->key_size, &old) != BITCASK_OK || !is_input(merge, old.slot))
            continue;
        /* Without memory for it the input stays in use: inputs_are_free() sees that. */
        if (bc_index_put(partition->index, k->key, k->key_size, &k->entry, &had, NULL) != BITCASK_OK) {
            merge->no_memory = true;
            continue;
        }
        bc_slot_loses(partition, &old);
        bc_slot_gains(partition, &k->entry);
    }
    bc_fair_unlock(&partition->write_lock);
}

/* Gets the memory of swap_all(). */
static bc_status prepare_swap(struct bc_merge *merge)
{
    if (!merge->keys) merge->keys = malloc(SWAP_KEYS * sizeof *merge->keys);
    if (!merge->keys) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a merge");
    return merge->cursor ? BITCASK_OK : bc_hint_cursor_open(merge->hint, &merge->cursor);
}

/* Walks the output's hint, a few keys at a time, so that nobody waits long. */
static bc_status swap_all(struct bc_merge *merge)
{
    struct bc_hint_entry hinted;
    size_t count = 0;
    bc_status status = prepare_swap(merge);

    merge->no_memory = false;
    while (status == BITCASK_OK) {
        status = bc_hint_cursor_next(merge->cursor, &hinted);
        if (status == BITCASK_OK && !(hinted.flags & BC_HINT_TOMBSTONE)) {
            struct swap_key *k = &merge->keys[count++];
            memcpy(k->key, hinted.key, hinted.key_size);
            k->key_size = hinted.key_size;
            bc_entry_from_hint(merge->output_slot, &hinted, &k->entry);
        }
        if (count == SWAP_KEYS || (status != BITCASK_OK && count > 0)) {
            swap_keys(merge, merge->keys, count);
            count = 0;
        }
    }
    bc_hint_cursor_close(&merge->cursor);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

/* Whether the index names none of the inputs any more. */
static bool inputs_are_free(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    uint64_t left = 0;

    bc_fair_lock_soon(&partition->write_lock);
    for (size_t i = 0; i < merge->input_count; i++) left += partition->slots[merge->inputs[i].slot].live_keys;
    bc_fair_unlock(&partition->write_lock);
    return left == 0;
}

/* ---- the inputs' end ---- */

/* Unlinks the data of a segment and its hint. What cannot be unlinked is superseded, and goes at the next open. */
static bool unlink_segment(struct bc_partition *partition, uint32_t id)
{
    struct bc_io *io = partition->env->io;
    char name[16];
    bool gone;

    bc_segment_name(id, name);
    gone = bc_io_unlink(io, partition->dir_fd, name) == BITCASK_OK;
    if (!gone) bc_env_log(partition->env, BITCASK_LOG_WARNING, "partition '%s': %s", partition->label, bc_detail());
    bc_hint_name(id, name);
    (void)bc_io_unlink(io, partition->dir_fd, name);
    return gone;
}

static void free_slot(struct bc_merge *merge, uint32_t slot)
{
    bc_fair_lock_soon(&merge->partition->write_lock);
    bc_partition_free_slot(merge->partition, slot);
    bc_fair_unlock(&merge->partition->write_lock);
    merge->slots_freed = true;
}

static bc_status retire_inputs(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    bool active;
    bc_status status;

    /* The index has just let go of the inputs. Readers that had found one in it before may still be on their way to its
     * place, which must not be another segment's by then. No lock is held: a read section may be as long as a thread is
     * off its processor. */
    bc_rcu_wait();
    for (size_t i = 0; i < merge->input_count; i++) {
        uint32_t id = merge->inputs[i].segment->segment_id;

        free_slot(merge, merge->inputs[i].slot);
        if (id != merge->output->segment_id && !unlink_segment(partition, id)) partition->superseded_left = true;
    }
    status = bc_io_sync_dir(partition->env->io, partition->dir_fd, partition->label);
    if (status != BITCASK_OK) {
        bc_partition_poison(partition);
        return status;
    }
    bc_fair_lock_soon(&partition->write_lock);
    active = partition->active != NULL;
    bc_fair_unlock(&partition->write_lock);
    /* An output with nothing in it has done its work once the unlinks of all that it covers, inputs of earlier merges
     * too, are durable: before, they could come back with nothing to supersede them. The last file there is stays: it
     * knows the last version. */
    if (!merge->empty || partition->superseded_left || !active) return BITCASK_OK;
    unlink_segment(partition, merge->output->segment_id);
    free_slot(merge, merge->output_slot);
    merge->removed = true;
    return BITCASK_OK;
}

/* Tells the slots: the output what it is, those behind that their tombstones may have become needless. */
static void note_output(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;

    bc_fair_lock_soon(&partition->write_lock);
    partition->slots[merge->output_slot].hint_bytes = bc_hint_file_size(merge->hint);
    partition->slots[merge->output_slot].tombstone_bytes = bc_hint_head(merge->hint)->tombstone_bytes;
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        struct bc_slot *slot = &partition->slots[i];
        if (slot->segment && slot->segment->segment_id > merge->output->segment_id) slot->tombstones_due = true;
    }
    bc_fair_unlock(&partition->write_lock);
}

/* From the commit point on: index, slots, files. NO_MEMORY: it may be done again. */
static bc_status take_over(struct bc_merge *merge)
{
    bc_status status = swap_all(merge);

    if (status == BITCASK_OK) note_output(merge);
    if (status == BITCASK_OK && !inputs_are_free(merge))
        status = merge->no_memory
                     ? bc_fail(BITCASK_NO_MEMORY, "partition '%s': out of memory for the index of what was merged",
                               merge->partition->label)
                     : bc_fail(BITCASK_CORRUPT, "partition '%s': the index names records that the merge left out",
                               merge->partition->label);
    if (status == BITCASK_NO_MEMORY) return status;
    if (status != BITCASK_OK) {
        /* On disk all is well. Here both stay in use, and no more is built on it until the store is opened anew. */
        bc_partition_poison(merge->partition);
        return status;
    }
    return retire_inputs(merge);
}

/* ---- all of it ---- */

/* Gives the output a place among the slots, and has the name of the last input's hint free for the output's. */
static bc_status place_output(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    struct bc_segment *output = bc_segment_ref(merge->output);
    bc_status status;

    bc_fair_lock_soon(&partition->write_lock);
    status = bc_partition_add_slot(partition, output, &merge->output_slot);
    if (status == BITCASK_OK) partition->slots[merge->inputs[merge->input_count - 1].slot].hint_bytes = 0;
    bc_fair_unlock(&partition->write_lock);
    if (status != BITCASK_OK) bc_segment_unref(&output);
    return status;
}

static bc_status commit(struct bc_merge *merge)
{
    struct bc_partition *partition = merge->partition;
    bc_status status = sync_all(merge);

    if (status == BITCASK_OK) status = bc_merge_go_on(merge, 0);
    if (status != BITCASK_OK) return status;
    /* Memory, and the hint that the swap walks, open, before the commit point: behind it nothing should fail. A crash
     * between the two renames leaves a hint that does not match its segment, and costs a scan. */
    status = place_output(merge);
    if (status != BITCASK_OK) return status;
    status = bc_hint_writer_commit(&merge->hint_writer, NULL);
    if (status == BITCASK_OK) status = bc_load_open_hint(partition, merge->output, true, &merge->hint);
    if (status == BITCASK_OK) status = prepare_swap(merge);
    if (status == BITCASK_OK) status = rename_output(merge);
    if (status != BITCASK_OK) {
        free_slot(merge, merge->output_slot);
        bc_partition_want_hints(partition);
        return status;
    }
    return take_over(merge);
}

static void count(const struct bc_merge *merge, bitcask_merge_result *result)
{
    result->merges++;
    result->segments_in += merge->input_count;
    for (size_t i = 0; i < merge->input_count; i++) result->bytes_in += merge->inputs[i].segment->end;
    if (merge->removed) return;
    result->segments_out++;
    result->bytes_out += merge->output->end;
}

/* One try. *again: an input's hint was found out to be bad, and is made anew by the next try; *inputs: how many there
 * are. */
static bc_status try_merge(struct bc_partition *partition, const struct bc_merge_run *run,
                           const struct bc_merge_hooks *hooks, bitcask_merge_result *result, bool *again,
                           size_t *inputs)
{
    struct bc_merge *merge = calloc(1, sizeof *merge);
    struct bc_failure failure = {0};
    bc_status status;

    *again = false;
    if (!merge) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a merge");
    merge->partition = partition;
    merge->hooks = hooks;
    status = gather(merge, run);
    if (status == BITCASK_OK) status = open_hints(merge);
    if (status == BITCASK_OK) status = bc_merge_copy(merge);
    if (status == BITCASK_OK) status = commit(merge);
    if (status == BITCASK_OK) count(merge, result);
    bc_failure_note(&failure, status);
    bc_hint_writer_abort(&merge->hint_writer);
    if (merge->output && !merge->committed) (void)bc_io_unlink(partition->env->io, partition->dir_fd, BC_MERGE_NAME);
    /* Behind the commit point, whatever came then. */
    if (merge->committed) bc_checkpoint_after_merge(partition, merge->output->end);
    *again = merge->bad_hint;
    *inputs = merge->input_count;
    if (merge->committed && status == BITCASK_NO_MEMORY)
        partition->unfinished = merge;
    else
        release(merge);
    return bc_failure_end(&failure);
}

bc_status bc_merge_finish(struct bc_partition *partition)
{
    struct bc_merge *merge = partition->unfinished;
    bc_status status;

    if (!merge) return BITCASK_OK;
    status = take_over(merge);
    if (status == BITCASK_NO_MEMORY) return status;
    partition->unfinished = NULL;
    release(merge);
    return status;
}

void bc_merge_forget(struct bc_partition *partition)
{
    if (partition->unfinished) release(partition->unfinished);
    partition->unfinished = NULL;
}

bc_status bc_partition_merge(struct bc_partition *partition, const struct bc_merge_run *run,
                             const struct bc_merge_hooks *hooks, bitcask_merge_result *result)
{
    bc_status status = bc_partition_warm(partition);
    struct bc_reserve *reserve = partition->env->reserve;
    uint64_t before = result->bytes_in - result->bytes_out;
    size_t tries = 0, inputs = 0;
    bool again;

    if (status != BITCASK_OK) return status;
    bc_fair_lock_soon(&partition->write_lock);
    status = bc_partition_writable(partition);
    bc_fair_unlock(&partition->write_lock);
    if (status != BITCASK_OK) return status;
    pthread_mutex_lock(&partition->files_lock);
    status = bc_merge_finish(partition);
    again = status == BITCASK_OK;
    while (again && tries++ <= inputs) { /* each makes one hint anew, at most */
        status = try_merge(partition, run, hooks, result, &again, &inputs);
        /* All of its share at once: a merge that finds no room may have copied much until then. */
        if (bc_is_full(status) && bc_reserve_lend(reserve))
            status = try_merge(partition, run, hooks, result, &again, &inputs);
    }
    pthread_mutex_unlock(&partition->files_lock);
    bc_reserve_note(reserve, (int64_t)(before - (result->bytes_in - result->bytes_out)));
    bc_reserve_refill(reserve, true);
    return status;
}
