/* derived_ino.h - the inode number of a key whose record states none.
 */
#ifndef BC_DERIVED_INO_H
#define BC_DERIVED_INO_H

#include <stddef.h>
#include <stdint.h>

/* A hash of partition id and name: the same on every machine and at every mount. Top bit clear (those are inodes),
 * never 0, 1 (the root directory) or 2. */
uint64_t bc_derived_ino(uint64_t partition_id, const void *key, size_t key_size);

#endif
