/* memory.h - where the index gets its memory, and how it gives back what readers may still look at.
 *
 * Threads: any.
 */
#ifndef BC_INDEX_MEMORY_H
#define BC_INDEX_MEMORY_H

#include <stddef.h>

#include "base/rcu.h"

/* All memory of this floor comes from here: realloc(3), size not 0; free(3) gives it back. Weak, so that a test
 * can put its own in place and refuse. */
void *bc_index_realloc(void *memory, size_t size);

/* A block whose readers may outlive its use: its bytes stand behind the head. */
struct bc_block {
    struct bc_retired retired; /* must be first */
    unsigned char bytes[];
};

/* NULL: out of memory. */
struct bc_block *bc_block_alloc(size_t size);

/* Frees it once no reader can look at it any more; NULL is fine. */
void bc_block_retire(struct bc_block *block);

#endif
