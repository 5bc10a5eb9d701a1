/* build.h - building shards anew: wider, without what is dead, split, or joined.
 *
 * The old ones stay as they are, for the readers that are in them; the caller publishes the new ones and retires the
 * old. Each of these takes well below a millisecond or two, since a shard is small: so no put ever waits for longer.
 *
 * Threads: the writer's.
 */
#ifndef BC_BUILD_H
#define BC_BUILD_H

#include "index/shard.h"

/* Live entries in key order. Valid while the shards they are from are. */
struct bc_entries {
    const uint8_t **packed;
    uint32_t count;
};

/* Those of neighbouring shards, in order. NO_MEMORY. */
bc_status bc_entries_gather(struct bc_shard *const *shards, uint32_t count, struct bc_entries *entries);
void bc_entries_release(struct bc_entries *entries);

/* How many places a shard of `live` keys gets. */
static inline uint32_t bc_shard_room_for(uint32_t live)
{
    return live + live / 4 + 4;
}

/* A shard of entries [from, to) with room for `more` puts of more_bytes packed. NULL: out of memory. */
struct bc_shard *bc_build(uint64_t seed, const struct bc_entries *entries, uint32_t from, uint32_t to, const void *low,
                          size_t low_size, uint32_t more, uint32_t more_bytes);

/* The same keys in a larger table, over the same entries: those now belong to the new shard, and the old one must be
 * retired. NULL: out of memory, the old one is as it was. Not for one that was loaded. */
struct bc_shard *bc_build_wider(struct bc_shard *shard, uint64_t seed, uint32_t room);

#endif
