/* memory.c - see memory.h. */
#include "index/memory.h"

#include <stdlib.h>

__attribute__((weak)) void *bc_index_realloc(void *memory, size_t size)
{
    return realloc(memory, size);
}

struct bc_block *bc_block_alloc(size_t size)
{
    return bc_index_realloc(NULL, sizeof(struct bc_block) + size);
}

static void release_block(struct bc_retired *retired)
{
    free(retired);
}

void bc_block_retire(struct bc_block *block)
{
    if (block != NULL) bc_rcu_retire(&block->retired, release_block);
}
