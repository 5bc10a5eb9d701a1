/* image.h - an index as bytes, and back: what a checkpoint file is made of.
 *
 * An image is a head (the seed and the attribute classes) and the shards, each a block of bytes of its own that covers
 * a range of keys. Blocks hold packed arrays and no pointers, so that one that was read back into memory is used as it
 * stands. Checksums are the file's business, not the image's; but a block is checked for sense before it is used, so
 * that even a forged one, whose checksum fits, never leads outside of it.
 *
 * Threads: as the writer of the index. Between two calls of bc_image_next() the index may change: each shard is as of
 * its own call. Whoever saves replays the log from where it stood before the first one.
 */
#ifndef BC_IMAGE_H
#define BC_IMAGE_H

#include "base/bytes.h"
#include "index/index.h"

enum { BC_IMAGE_ALIGN = 4096 }; /* blocks begin at multiples of it in the memory handed to bc_image_add() */

/* Where a saving stands: behind this key. All zero: before the first shard. */
struct bc_image_cursor {
    uint8_t key[255];
    uint8_t key_size;
    bool begun, ended;
};

/* What each() of bc_image_next() is told, to add up what segments hold. */
typedef void (*bc_image_each)(void *context, const struct bc_entry *entry, size_t key_size);

/* Appends the block of the next shard to out (empty shards are left out) and calls each (may be NULL) for every live
 * entry in it, exactly those that the block holds. NOT_FOUND, out unchanged: there is none left; NO_MEMORY. */
bc_status bc_image_next(struct bc_index *index, struct bc_image_cursor *cursor, struct bc_buffer *out,
                        bc_image_each each, void *context);

/* Appends the head. After the last block: classes that entries in the blocks name are all in it. */
bc_status bc_image_head(const struct bc_index *index, struct bc_buffer *out);

/* Memory for blocks to be loaded into, size bytes, aligned to BC_IMAGE_ALIGN; NULL: there is none. Give up what is not
 * handed to bc_image_add() with bc_image_free(). */
void *bc_image_alloc(size_t size);
void bc_image_free(void *memory, size_t size);

/* Begins an index from a saved head. CORRUPT, NO_MEMORY. */
bc_status bc_image_open(const void *head, size_t size, struct bc_index **index);

/* Whether `block`, of size bytes, makes sense as a shard of an index with this head: every reference within it, every
 * class known, every slot below slot_count, keys in ascending order. CORRUPT. Changes nothing; any number of threads,
 * for different blocks, side by side. */
bc_status bc_image_check(const struct bc_index *index, const void *block, size_t size, uint32_t slot_count);

/* Adds a block that was checked, whose keys all stand behind those of the blocks before. Takes over the memory from
 * block to block + size rounded up to BC_IMAGE_ALIGN, if it succeeds; block is a multiple of it, within a
 * bc_image_alloc(). CORRUPT (order), NO_MEMORY. */
bc_status bc_image_add(struct bc_index *index, void *block, size_t size);

/* After the last block: the index is what the blocks hold. Before it is called nobody may look into it, and all that
 * may be done but adding is bc_index_close(). NO_MEMORY. */
bc_status bc_image_end(struct bc_index *index);

#endif
