/* memory.c - what a partition takes of the memory that all of a store share.
 *
 * Each keeps the figure that it has put into the sum, and puts the difference in when it has become another. Threads
 * that do so at the same time each take the figure of the one before, so that the sum is right whatever their order.
 */
#include "base/clock.h"
#include "partition/partition.h"

#define KEYS_SHARE 16u /* it is looked at anew once a sixteenth of the keys came or went, */
#define KEYS_LEAST 64u /* and so many */

static void set_counted(struct bc_partition *partition, uint64_t bytes)
{
    struct bc_memory *memory = partition->env->memory;
    uint64_t before = atomic_exchange_explicit(&partition->memory_counted, bytes, memory_order_relaxed);
    uint64_t used = atomic_fetch_add_explicit(&memory->used, bytes - before, memory_order_relaxed) + bytes - before;

    if (bytes > before && used > memory->limit) atomic_store_explicit(&memory->exceeded, true, memory_order_relaxed);
}

void bc_partition_count_memory(struct bc_partition *partition)
{
    uint64_t bytes = atomic_load_explicit(&partition->hint_memory, memory_order_relaxed);
    size_t total, key_bytes;

    if (!partition->env->memory) return;
    /* A cold one has an empty index, which somebody may just be building anew. */
    if (!atomic_load_explicit(&partition->cold, memory_order_acquire)) {
        atomic_store_explicit(&partition->keys_counted, bc_index_count(partition->index), memory_order_relaxed);
        bc_index_memory(partition->index, &total, &key_bytes);
        bytes += total;
    }
    set_counted(partition, bytes);
}

void bc_partition_count_memory_if_changed(struct bc_partition *partition)
{
    uint64_t keys = bc_index_count(partition->index),
             before = atomic_load_explicit(&partition->keys_counted, memory_order_relaxed);
    uint64_t change = keys > before ? keys - before : before - keys;

    if (change >= KEYS_LEAST && change >= before / KEYS_SHARE) bc_partition_count_memory(partition);
}

void bc_partition_uncount_memory(struct bc_partition *partition)
{
    if (partition->env->memory) set_counted(partition, 0);
}

void bc_partition_count_open(const struct bc_partition *partition, uint64_t began_ns)
{
    struct bc_memory *memory = partition->env->memory;

    if (memory) atomic_fetch_add_explicit(&memory->open_ns, bc_monotonic_ns() - began_ns, memory_order_relaxed);
}
