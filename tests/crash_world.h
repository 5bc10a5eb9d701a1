/* crash_world.h - what a store on the simulated disk may look like after a crash, and what it must.
 *
 * A world follows objects: each key and each partition that was ever made is one, and carries its number in its bytes,
 * so that it is known again wherever it is found. An object's history is the list of its states: absent, or a name in
 * a partition with a value. An acknowledged durable call raises the object's floor: older states may not come back.
 * After a crash each object must be in one state, at or above its floor, at one place; and the objects that one call
 * changed together must all have changed or none.
 *
 * A world holds no pointers but handles and is copied as a whole. Threads: one.
 */
#ifndef BC_CRASH_WORLD_H
#define BC_CRASH_WORLD_H

#include "db/db.h"
#include "fixture.h"
#include "io_sim.h"
#include "partition/merge.h"

#define WORLD_OBJECTS 80u
#define WORLD_STATES 24u
#define WORLD_GROUPS 160u
#define WORLD_GROUP_MAX 6u
#define WORLD_ABSENT (-1)
#define WORLD_ROOT 0
#define WORLD_INODES (-3) /* the store's own partition, for rotations and merges alone */

struct world_state {
    int parent; /* object number of the partition, WORLD_ABSENT */
    int name;
    int tag; /* of a key: which put wrote the value */
};

struct world_object {
    bool is_partition;
    size_t count, floor;
    struct world_state states[WORLD_STATES];
    bitcask_partition *handle;
};

/* States that one call made: all of them hold or none. */
struct world_group {
    size_t count;
    int object[WORLD_GROUP_MAX];
    size_t state[WORLD_GROUP_MAX];
};

struct world {
    struct bc_sim *sim;
    bitcask *db;
    bitcask_options options;
    size_t value_size;
    bool opened;                            /* an open was acknowledged once: the store is there */
    bool stopped;                           /* by the crash, or by a failure of the store */
    bool failed;                            /* a call failed though the power was on, or a check did */
    bool faulty;                            /* calls may fail: the disk was told to */
    bool had_faults;                        /* or were, so that a failed removal may have left a partition on disk */
    void (*meanwhile)(struct world *world); /* called once in the midst of the next merge or checkpoint; or NULL */
    int next_tag;
    size_t object_count, group_count;
    struct world_object objects[WORLD_OBJECTS];
    struct world_group groups[WORLD_GROUPS];
};

struct world_move {
    int from, from_name, to, to_name;
    unsigned flags;
};

/* Where a failure happened, for the message; formatted by the driver. */
extern char world_context[256];

/* Values larger than this become inodes, of extents of 4 KiB. 0: as always. */
extern uint32_t world_inline_max;

/* Puts are done by writers. */
extern bool world_in_pieces;

/* An empty world on sim. */
void world_init(struct world *world, struct bc_sim *sim, const bitcask_options *options, size_t value_size);

/* Opens the store; closes it with all handles. A clean close makes everything durable. */
bool world_open(struct world *world, bool read_only);
void world_close(struct world *world);

/* The object under name in partition (object numbers) as of the last call, WORLD_ABSENT if there is none. */
int world_at(const struct world *world, int partition, int name);

/* Each does the call and notes what it may and must leave. Nothing happens once the world has stopped. */
void world_put(struct world *world, int partition, int name, unsigned flags);
void world_delete(struct world *world, int partition, int name, unsigned flags);
/* Puts the first `puts` of names and deletes the others, as one batch. */
void world_batch(struct world *world, int partition, const int *names, size_t puts, size_t count, unsigned flags);
int world_create(struct world *world, int partition, int name, unsigned flags); /* the new object */
void world_drop(struct world *world, int partition, int name, unsigned flags);
void world_move(struct world *world, const struct world_move *moves, size_t count);
void world_sync_partition(struct world *world, int partition);
void world_sync(struct world *world);

/* Seals the active segment, of which nothing but its header need be there. This changes no object, nor does a merge.
 * Where the disk was told to fail, and the failure left the partition in order, the script goes on. */
void world_rotate(struct world *world, int partition);
/* What a merge of that kind does to a partition: seals the active segment if that is wanted, merges run by run. */
void world_merge(struct world *world, int partition, enum bc_merge_kind kind);
/* Merges `count` neighbouring sealed segments from the first-th on (0 is the oldest), fewer where there are no more. */
void world_merge_run(struct world *world, int partition, size_t first, size_t count);
size_t world_sealed(struct world *world, int partition); /* how many there are */
/* Writes a checkpoint of a partition's index as it is; `meanwhile` is called when the index is copied, and the end of
 * the log not yet noted. A failure of anything but a sync of the log is none of the world's. */
void world_checkpoint(struct world *world, int partition);

/* Checkpoints that were loaded, as far as world_check() saw it, since the start of the program. */
extern uint64_t world_checkpoint_loads;

/* Partitions that were cold when world_check() looked their names up, since the start of the program. */
extern uint64_t world_cold_checks;

/* Compares the open store with what may be there: each name by look-ups first, while the partition may be cold, then by
 * a query; and, where a writer has it open and no call was made to fail, that its directories hold only what is in use.
 * With rebase what was found is from now on what must be there. */
bool world_check(struct world *world, bool rebase);

#endif
