/* checkpoint_load.c - from the file to the index: blocks are read, summed up, checked, and used as they stand.
 *
 * Measured with 480 MB in the page cache: 265 ms by one thread, of which two thirds are page faults; 85 ms with memory
 * in huge pages; 57 ms with a second thread. So both are worth it, and threads for large files alone.
 */
#include "partition/checkpoint.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/image.h"

#define THREADS_MAX 4u
#define A_THREAD ((uint64_t)8 << 20) /* bytes that another one is worth */

_Static_assert((unsigned)BC_CHECKPOINT_ALIGN == (unsigned)BC_IMAGE_ALIGN, "blocks stand in the file as in memory");

/* ---- reading ---- */

struct reading {
    const struct bc_checkpoint *checkpoint;
    const struct bc_index *index;
    uint8_t *memory;
    _Atomic uint32_t next; /* block to be read by whoever is free */
    atomic_bool failed;
    bc_status status; /* of the first that failed; set by its thread, read when all have ended, as is the next */
    char why[300];
};

static void *read_some(void *context)
{
    struct reading *reading = context;
    const struct bc_checkpoint *checkpoint = reading->checkpoint;
    uint32_t count = bc_checkpoint_head(checkpoint)->block_count;
    uint32_t slot_count = bc_checkpoint_head(checkpoint)->slot_count, i;

    while (!atomic_load(&reading->failed) && (i = atomic_fetch_add(&reading->next, 1)) < count) {
        uint8_t *block = reading->memory + bc_checkpoint_block_at(checkpoint, i);
        bc_status status = bc_checkpoint_read_block(checkpoint, i, block);

        if (status == BITCASK_OK)
            status = bc_image_check(reading->index, block, bc_checkpoint_block_size(checkpoint, i), slot_count);
        if (status == BITCASK_OK || atomic_exchange(&reading->failed, true)) continue;
        reading->status = status;
        snprintf(reading->why, sizeof reading->why, "%s", bc_detail());
    }
    return NULL;
}

static unsigned threads_for(uint64_t size)
{
    uint64_t worth = size / A_THREAD;
    unsigned processors = 1;
    cpu_set_t set;

    if (worth > THREADS_MAX) worth = THREADS_MAX;
    if (worth > 1 && sched_getaffinity(0, sizeof set, &set) == 0) processors = (unsigned)CPU_COUNT(&set);
    return worth < processors ? (unsigned)worth : processors;
}

/* Reads with as many threads as are worth it and can be had, this one among them. */
static void read_all(struct reading *reading, uint64_t size)
{
    pthread_t threads[THREADS_MAX];
    unsigned wanted = threads_for(size), count = 0;
    sigset_t all, before;

    if (wanted > 1) {
        /* Signals are for the program's own threads. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (count + 1 < wanted && pthread_create(&threads[count], NULL, read_some, reading) == 0) count++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    read_some(reading);
    while (count > 0) pthread_join(threads[--count], NULL);
}

bc_status bc_checkpoint_read_blocks(const struct bc_checkpoint *checkpoint, const struct bc_index *index,
                                    uint8_t **memory)
{
    struct reading reading = {.checkpoint = checkpoint, .index = index};
    uint64_t size = bc_checkpoint_blocks_size(checkpoint);

    *memory = NULL;
    if (size == 0) return BITCASK_OK;
    /* Bounded by the size of the file. */
    reading.memory = bc_image_alloc((size_t)size);
    if (!reading.memory)
        return bc_fail(BITCASK_NO_MEMORY, "out of memory for an index of %llu bytes", (unsigned long long)size);
    read_all(&reading, size);
    if (reading.failed) {
        bc_image_free(reading.memory, (size_t)size);
        return bc_fail(reading.status, "%s", reading.why);
    }
    *memory = reading.memory;
    return BITCASK_OK;
}

/* ---- loading ---- */

/* Hands the blocks over to the index, which owns those that it takes. */
static bc_status add_blocks(const struct bc_checkpoint *checkpoint, struct bc_index *index, uint8_t *memory)
{
    uint32_t count = bc_checkpoint_head(checkpoint)->block_count;
    uint64_t size = bc_checkpoint_blocks_size(checkpoint);
    bc_status status = BITCASK_OK;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = bc_checkpoint_block_at(checkpoint, i);

        status = bc_image_add(index, memory + at, bc_checkpoint_block_size(checkpoint, i));
        if (status == BITCASK_OK) continue;
        bc_image_free(memory + at, (size_t)(size - at));
        break;
    }
    if (status == BITCASK_OK) status = bc_image_end(index);
    if (status == BITCASK_OK && bc_index_count(index) != bc_checkpoint_head(checkpoint)->keys)
        status = bc_fail(BITCASK_CORRUPT, "%s: it holds another number of keys than it says", BC_CHECKPOINT_NAME);
    return status;
}

/* The numbers are those of the entries that the blocks hold: they were added up when these were written. What the
 * replay brings in is counted as it comes. */
static void take_accounts(struct bc_partition *partition, const struct bc_checkpoint *checkpoint)
{
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
    const struct bc_checkpoint_slot *rows = bc_checkpoint_slots(checkpoint);

    for (uint32_t i = 0; i < head->slot_count; i++) {
        struct bc_slot *slot = &partition->slots[i];

        if (rows[i].segment_id == 0) continue;
        slot->live_bytes = rows[i].live_bytes;
        slot->live_keys = rows[i].live_keys;
        slot->tombstone_bytes = rows[i].tombstone_bytes;
        slot->hint_bytes = rows[i].hint_bytes;
        slot->tombstones_due = rows[i].tombstones_due;
    }
    if (head->last_version > partition->last_version) partition->last_version = head->last_version;
}

void bc_checkpoint_load(struct bc_partition *partition, const struct bc_checkpoint *checkpoint, bool *loaded)
{
    struct bc_index *index = NULL;
    uint8_t *memory = NULL;
    size_t size;
    const void *image_head = bc_checkpoint_image_head(checkpoint, &size);
    bc_status status = bc_image_open(image_head, size, &index);

    if (status == BITCASK_OK) status = bc_checkpoint_read_blocks(checkpoint, index, &memory);
    if (status == BITCASK_OK) status = add_blocks(checkpoint, index, memory);
    *loaded = status == BITCASK_OK;
    if (*loaded) {
        bc_index_close(&partition->index);
        partition->index = index;
        take_accounts(partition, checkpoint);
        return;
    }
    bc_index_close(&index);
    bc_env_log(partition->env, BITCASK_LOG_WARNING, "partition '%s': the checkpoint of its index is not used: %s",
               partition->label, bc_detail());
    /* A bad one would only be read in vain again. Of memory there may be more the next time. */
    if (status == BITCASK_CORRUPT && !partition->env->read_only)
        (void)bc_io_unlink(partition->env->io, partition->dir_fd, BC_CHECKPOINT_NAME);
    bc_detail_clear();
}
