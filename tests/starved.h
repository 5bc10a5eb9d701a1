/* starved.h - a store on which allocations fail, with a model of what was acknowledged; and a driver that plays scripts
 * of calls on it, as often as they allocate, with another allocation failing each time.
 *
 * A call may fail with NO_MEMORY, once an allocation has failed, and has then changed nothing; any other failure is a
 * violation. When memory is back the store holds what was acknowledged and nothing else, takes writes, makes them
 * durable, closes, has given back all that it allocated and every handle, and opens again without damage.
 *
 * A model holds no pointers but handles and is copied as a whole. Threads: one, unless said.
 */
#ifndef BC_STARVED_H
#define BC_STARVED_H

#include "db/db.h"
#include "fixture.h"
#include "io_sim.h"

#define STARVED_ITEMS 48u
#define STARVED_VALUE_MAX 20000u
#define STARVED_ROOT (-1)
#define STARVED_NONE (-2)
#define STARVED_INLINE_MAX 1000u /* larger values are inodes, of extents of 4 KiB */

/* The bytes of one file, under however many names. */
struct starved_content {
    unsigned names; /* 0: free */
    uint32_t mode;
    uint64_t version; /* 0: not known yet */
    size_t size;
    uint8_t bytes[STARVED_VALUE_MAX];
};

struct starved_item {
    bool used, is_partition;
    int parent; /* number of an item, or STARVED_ROOT */
    int content;
    uint32_t mode; /* of a partition */
    uint64_t version;
    char name[16];
};

struct starved {
    struct bc_sim *sim; /* NULL: on the machine's own disk */
    struct bc_io *io;
    char path[128];
    bitcask *db;
    bitcask_options options;
    bool failed; /* something is not as it should be */
    bool looks;  /* what there is is compared at once when a call fails, not only in the end */
    bool has_looked;
    unsigned seed; /* of the next content */
    struct starved_item items[STARVED_ITEMS];
    struct starved_content contents[STARVED_ITEMS];
};

struct starved_script {
    const char *name;
    void (*prepare)(struct starved *store); /* without hunger; NULL: there is no store yet */
    bool killed;                            /* what it prepared is not closed: the process ends there */
    bool real_disk;                         /* not on the simulated one: data files are mapped for reading */
    bool thorough;                          /* each allocation fails, in `make check` too */
    bool behind;                            /* only threads other than the caller's are starved */
    void (*play)(struct starved *store);    /* opens the store first; may leave it open or closed */
};

extern uint64_t starved_seed; /* of which allocations are chosen */

/* Plays the script with one allocation in STEP failing, or it and all after it (LONG=1: both, each); with CUnit's
 * assertion that nothing was violated. At exit the sum of all is printed. */
void starved_everywhere(const struct starved_script *script);

/* ---- what a script is made of. Names are short C strings; partitions are numbers of items ---- */

/* Whether a call went well. A failure is one of memory, or a violation. */
bool starved_ok(struct starved *store, bitcask_status status, const char *what);

/* Whether a call ended with `wanted`, as it should; NO_MEMORY, or a violation, otherwise. */
bool starved_expect(struct starved *store, bitcask_status wanted, bitcask_status status, const char *what);

bool starved_open(struct starved *store);
void starved_close(struct starved *store);

/* A handle on a partition, for the caller to close; NULL after a failure. */
bitcask_partition *starved_enter(struct starved *store, int partition);

/* The item under name in partition, STARVED_NONE if there is none. */
int starved_at(const struct starved *store, int partition, const char *name);

int starved_create(struct starved *store, int partition, const char *name); /* STARVED_NONE after a failure */
void starved_drop(struct starved *store, int partition, const char *name);
void starved_put(struct starved *store, int partition, const char *name, size_t size, unsigned flags);
void starved_delete(struct starved *store, int partition, const char *name, unsigned flags);
void starved_set_mode(struct starved *store, int partition, const char *name, uint32_t mode, unsigned flags);

struct starved_op {
    const char *name;
    int size;     /* of the value; -1: it is deleted */
    bool written; /* by a writer */
};
void starved_batch(struct starved *store, int partition, const struct starved_op *ops, size_t count, unsigned flags);

struct starved_piece {
    enum { STARVED_WRITE, STARVED_CUT, STARVED_PUNCH, STARVED_COMMIT } what;
    size_t offset, size;
};
/* A writer goes over the name's value, or begins a new one where there is none. */
void starved_write(struct starved *store, int partition, const char *name, const struct starved_piece *pieces,
                   size_t count);

struct starved_move {
    int from;
    const char *from_name;
    int to;
    const char *to_name;
    unsigned flags; /* BITCASK_LINK, BITCASK_REMOVE, BITCASK_EXCHANGE, 0 */
};
void starved_moves(struct starved *store, const struct starved_move *moves, size_t count);
void starved_link(struct starved *store, const struct starved_move *move); /* bitcask_link() */

/* What was acknowledged is durable from then on: compared with what a power cut would leave. */
void starved_sync(struct starved *store);

/* Damage is a violation, as is a hint that says something wrong. */
void starved_verify(struct starved *store);

/* Compares all that there is, by names and by queries. While memory is short it ends where that shows. */
void starved_compare(struct starved *store);

#endif
