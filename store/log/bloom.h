/* bloom.h - a Bloom filter: whether a segment may hold a key, without looking into it.
 *
 * 13 bits a key and 9 probes, split from one 64-bit hash: a false answer in about 500. So a miss in a partition of 50
 * segments asks more than one of them in less than one case of 100. A key that was added is never denied.
 * Pure memory; the bytes are the format, the same on every machine.
 * Threads: adding needs a writer alone; asking changes nothing.
 */
#ifndef BC_BLOOM_H
#define BC_BLOOM_H

#include "base/status.h"

#define BC_BLOOM_BITS_PER_KEY 13u
#define BC_BLOOM_PROBES 9u

/* Bytes of a filter for so many keys; at least 8, a multiple of 8. */
size_t bc_bloom_size(size_t keys);

/* hash: XXH3, 64 bits, of the key. bits: size bytes, all zero at first. */
void bc_bloom_add(uint8_t *bits, size_t size, uint64_t hash);

/* False: the key was never added. */
bool bc_bloom_may_contain(const uint8_t *bits, size_t size, uint64_t hash);

#endif
