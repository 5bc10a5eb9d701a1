/* bloom.c - the bits of a Bloom filter: which of them a hash sets and asks for.
 *
 * Holds the rule that leads from a hash to bits, which is part of the format: the hash is multiplied by an odd
 * constant, anew for each probe, and the upper half of the product, scaled to the number of bits, is the bit's number;
 * bit n is bit n % 8 of byte n / 8. Multiplying costs one instruction and leaves the probes of two keys as unrelated
 * as the hashes; stepping by a fixed distance would not in small filters, where many distances are the same.
 * It may assume of size what bloom.h says; the bytes may hold anything.
 */
#include "log/bloom.h"

#include <assert.h>

#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15) /* 2^64 divided by the golden ratio */

size_t bc_bloom_size(size_t keys)
{
    size_t words = (keys * BC_BLOOM_BITS_PER_KEY + 63) / 64;
    return words > 0 ? words * 8 : 8;
}

/* The bit of the next probe, below bits. */
static inline uint64_t next_bit(uint64_t *hash, uint64_t bits)
{
    *hash *= MULTIPLIER;
    return ((*hash >> 32) * bits) >> 32;
}

void bc_bloom_add(uint8_t *bits, size_t size, uint64_t hash)
{
    assert(size >= 8 && size % 8 == 0);
    for (unsigned i = 0; i < BC_BLOOM_PROBES; i++) {
        uint64_t bit = next_bit(&hash, (uint64_t)size * 8);
        bits[bit / 8] |= (uint8_t)(1u << (bit % 8));
    }
}

bool bc_bloom_may_contain(const uint8_t *bits, size_t size, uint64_t hash)
{
    assert(size >= 8 && size % 8 == 0);
    for (unsigned i = 0; i < BC_BLOOM_PROBES; i++) {
        uint64_t bit = next_bit(&hash, (uint64_t)size * 8);
        if ((bits[bit / 8] & 1u << (bit % 8)) == 0) return false;
    }
    return true;
}
