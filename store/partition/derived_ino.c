/* derived_ino.c - the inode number of a key whose record states none.
 *
 * Part of the format in effect: backup tools remember these numbers, so the hash never changes.
 */
#include "partition/derived_ino.h"

#include <xxhash.h>

uint64_t bc_derived_ino(uint64_t partition_id, const void *key, size_t key_size)
{
    uint64_t hash = XXH3_64bits_withSeed(key, key_size, partition_id) >> 1;

    return hash > 2 ? hash : hash + 3;
}
