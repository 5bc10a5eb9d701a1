/* inode_body.h - the value of an inode's record: link count, size, and the content or where it stands.
 *
 *   0  1  format        1
 *   1  1  extent_shift  0: the content follows; else 12 to 26: extents of 1 << extent_shift bytes, runs follow
 *   2  4  links         names that lead here
 *   6  8  size          bytes of content
 *  14     content, `size` bytes; or runs, 24 bytes each, ascending, without overlap:
 *             0  8  first     number of the run's first extent; extent n holds the content from n << extent_shift on
 *             8  8  count     never 0
 *            16  8  value_id  which extents: the key of extent n is NUL 'E' value_id n
 *
 * What no run covers is a hole, and so is what an extent's record is too short for: both read as zeros. Inode and
 * extent keys hold their numbers big-endian, so that they sort. Decoding trusts nothing.
 */
#ifndef BC_INODE_BODY_H
#define BC_INODE_BODY_H

#include "log/record.h"

#define BC_INODE_HEAD_SIZE 14u
#define BC_INODE_RUN_SIZE 24u
#define BC_INODE_FORMAT 1u
#define BC_INODE_KEY_SIZE 10u
#define BC_EXTENT_KEY_SIZE 18u
#define BC_EXTENT_SHIFT_MIN 12u
#define BC_EXTENT_SHIFT_MAX 26u
#define BC_INODE_BIT (1ull << 63) /* set in every inode's number, clear in every partition's and derived one */

/* Extents that follow one another under one value id. */
struct bc_run {
    uint64_t first, count, value_id;
};

struct bc_inode_body {
    uint8_t extent_shift; /* 0: the content stands in the body */
    uint32_t links;
    uint64_t size;          /* bytes of content, at most BITCASK_SIZE_MAX */
    const uint8_t *content; /* not owned; `size` bytes, if extent_shift is 0 */
    const uint8_t *runs;    /* not owned; encoded: see bc_inode_run() */
    size_t run_count;
};

/* Decodes size bytes. Pointers go into data. CORRUPT for sizes out of range, runs that are empty, unordered, overlap or
 * reach beyond the content; NEWER_FORMAT for an unknown format. Allocates nothing. */
bc_status bc_inode_decode(const uint8_t *data, size_t size, struct bc_inode_body *body);

/* Run i of a decoded body. */
struct bc_run bc_inode_run(const struct bc_inode_body *body, size_t i);

/* Encodes the front; content or runs follow it: bc_inode_put_run() each. out has room for BC_INODE_HEAD_SIZE. */
void bc_inode_encode_head(const struct bc_inode_body *body, uint8_t *out);
void bc_inode_put_run(const struct bc_run *run, uint8_t out[BC_INODE_RUN_SIZE]);

/* The keys of an inode and of an extent. */
void bc_inode_key(uint64_t ino, uint8_t key[BC_INODE_KEY_SIZE]);
void bc_extent_key(uint64_t value_id, uint64_t number, uint8_t key[BC_EXTENT_KEY_SIZE]);

/* Whether key is one; what is in it (each may be NULL). */
bool bc_is_inode_key(const void *key, size_t size, uint64_t *ino);
bool bc_is_extent_key(const void *key, size_t size, uint64_t *value_id, uint64_t *number);

#endif
