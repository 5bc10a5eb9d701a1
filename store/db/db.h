/* db.h - an open store: many partitions, the tree of their names, renames across them.
 *
 * Each partition in use has a node, which knows its name and its parent's node and counts its users; the instance
 * behind it, with files and index, is opened when it is needed and closed again, least recently used first.
 *
 * Who uses an instance that is open pins it without a lock, and reads keys of it without one: see instances.c, and
 * partition.h.
 *
 * Locks, in the order in which they are taken:
 *   turns        of merges, and of verifies (job.h): before everything else, and held for long: only who wants such
 * work done may wait for one tree_lock    creating, dropping and renaming partitions, and every round of moves: one at
 * a time strike_lock  striking out intents: one at a time, so that who finds none to wait for knows that none is left
 *   write_lock   of partitions, by ascending id; that of partition 1 last   (partition.h)
 *   nodes_lock   the table of nodes, their counts, which are open; held for moments, never over I/O
 *   live_lock    the list of intents that are not struck out yet
 *   holds_lock   who holds the contents of inodes
 * and the other locks of partition.h behind their write_lock. Behind all of them, for moments: the locks of job.h, of
 * the scheduler and of the throttle.
 *
 * Who drops a partition holds tree_lock and waits for those who use the instance. So who has one pinned must neither
 * take tree_lock nor wait for long; a merge or a verify, which does, looks at instance->dropped and ends.
 */
#ifndef BC_DB_H
#define BC_DB_H

#include "log/intent.h"
#include "partition/partition.h"

/* A partition by name; what the public handle points at. */
struct bitcask_partition {
    struct bitcask *db;
    uint64_t id;
    struct bitcask_partition *parent; /* counted; NULL for the root and the store's own. Guarded by nodes_lock, */
    char *name;                       /* as are all to the end; owned; "" for the root */
    size_t name_size;
    unsigned users;    /* handles, operations under way, and nodes that have this one as parent */
    unsigned peeks;    /* of those that only look at the instance: they do not make it look used */
    bool busy;         /* the instance is being opened or closed */
    bool dropped;      /* deleted: no instance any more */
    bool close_failed; /* the last instance could not be synced; the next one makes good for it, or fails to open */
    struct bc_ledger *ledger;      /* owned; what is known of it beside the instance; NULL: none was closed yet */
    struct bc_partition *instance; /* changed where BC_NODE_CLOSED is in pins; so who has it pinned reads it as well */
    uint64_t instances;            /* how many instances there were: positions are of one instance */
    struct bitcask_partition *next_in_table, *next_passed;
    size_t open_at;      /* its place in db->open, while it is there */
    uint64_t listed_use; /* last_use when it was put there */
    /* The next two without a lock, as instances.c and lru.c have it. */
    _Atomic uint32_t pins;        /* operations that use the instance now, BC_NODE_CLOSED, BC_NODE_WANTED */
    _Atomic uint64_t last_use;    /* db->uses, about, when it was pinned the last time */
    uint64_t merge_not_before_ns; /* after a merge that failed, monotonic. Of the scheduler's thread alone, */
    bitcask_status merge_failed;  /* as is this: how, and so logged; OK: it did not */
};

/* An intent that is done but may have to be done again after a crash. */
struct bc_live_intent {
    uint64_t intent_id;
    unsigned side_count;
    struct {
        struct bitcask_partition *node; /* counted */
        uint64_t instances;
        uint64_t position; /* to be synced to here */
    } side[2];
    struct bc_live_intent *next;
};

struct bc_dropped {
    uint64_t id;
    struct bitcask_partition *parent; /* counted: the tombstone in its log must be durable first */
    uint64_t instances, position;
    struct bc_dropped *next;
};

/* The figures of one partition, or of several together. */
struct bc_figures {
    bitcask_stats stats;
    bitcask_histogram timings[BC_TIMED];
};

/* What is known of a partition that is not open; see ledger.c. Guarded by nodes_lock. */
struct bc_ledger {
    bitcask_stats stats;        /* counted in all instances that are closed; sizes as of the last one's closing */
    struct bc_timings *timings; /* owned; NULL: nothing was timed */
    struct bitcask_partition *previous, *next;
    bool listed; /* closed, and its node kept for this */
};

#define BC_LEDGERS_MAX 8192u
#define BC_NODE_BUCKETS 4096u
#define BC_HOLD_BUCKETS 256u
#define BC_EXTENT_SHIFT 18u /* extents of 256 KiB */
#define BC_INLINE_MAX BITCASK_SMALL_MAX /* bytes of value that stand in the record of a name, or of an inode */

struct bc_hold;

/* In the word that counts a node's pins. */
#define BC_NODE_CLOSED (1u << 31) /* none can be added but with nodes_lock: not open, being opened or closed, dropped \
                                   */
#define BC_NODE_WANTED (1u << 30) /* it was to be closed: the last one to unpin it makes room */

struct bitcask {
    struct bc_env env;
    struct bc_dir_names dir_names;
    int dir_fd;
    int lock_fd;
    bitcask_sync_policy sync;
    unsigned sync_interval_ms;
    unsigned max_open;
    struct bc_memory memory;                   /* what the open partitions take; no lock */
    struct bc_reserve reserve;                 /* has a lock of its own */
    char *path;                                /* for messages */
    uint64_t bytes_read, bytes_written, syncs; /* what io had counted when this store was opened */

    pthread_mutex_t tree_lock;
    pthread_mutex_t nodes_lock;
    pthread_cond_t nodes_changed; /* a node stopped being busy, or a pin went */
    struct bitcask_partition *buckets[BC_NODE_BUCKETS];
    struct bitcask_partition **open; /* nodes with an open instance, see lru.c; owned */
    size_t listed, open_room;
    unsigned open_count;                     /* those that are being opened or closed included */
    _Atomic uint64_t uses;                   /* grows with the uses of partitions, about; no lock */
    struct bitcask_partition *root, *inodes; /* counted */
    uint64_t partition_opens, partition_closes;
    uint64_t memory_closes;                                  /* of these, because of memory */
    struct bitcask_partition *oldest_closed, *newest_closed; /* those kept for their ledgers */
    size_t closed_count, ledgers_max;                        /* of these; the most of them. Tests make it less */
    uint64_t forgotten;                                      /* ledgers that are no more, whose counters are these: */
    bitcask_stats closed;
    struct bc_timings closed_timings; /* and what could be put to no instance; no lock */

    pthread_mutex_t strike_lock;
    pthread_mutex_t live_lock;
    struct bc_live_intent *live, **live_end; /* oldest first; where the next one goes */
    size_t live_count;
    struct bc_dropped *dropped; /* directories to be removed; guarded by live_lock too */
    size_t dropped_count;
    bool left_behind;        /* files of a dropped partition could not be removed; guarded by live_lock too */
    pthread_mutex_t holds_lock;
    struct bc_hold *holds[BC_HOLD_BUCKETS]; /* by number of inode; guarded by holds_lock */
    _Atomic uint64_t inode_position; /* behind the last inode that was put without a sync, in partition 1; no lock */
    _Atomic uint64_t name_changes; /* begun and ended, of names that may be links; changed under tree_lock */
    uint8_t extent_shift;            /* of extents that are written: log2 of their bytes. Tests make it smaller, */
    uint32_t inline_max;             /* and this: larger values are cut into extents */
    uint64_t next_intent_id; /* guarded by tree_lock */
    bool session_noted;      /* partition 1 says that a writer is at work; guarded by tree_lock */

    struct bc_redo *redo; /* read-only: records of intents, applied to each partition when it is opened */
    size_t redo_count;
    struct bc_buffer redo_bytes;

    struct bc_maintenance *maintenance; /* owned; see maintain.h */
    struct bc_figures told_whole, told_rest; /* the most that bc_db_metrics() has told; guarded by nodes_lock */

    pthread_t syncer;
    bool syncer_runs;
    atomic_bool hints_wanted; /* a partition has a sealed segment without a hint; the syncer makes it */
    bool stopping;            /* guarded by nodes_lock */
    pthread_cond_t stop;

    struct bc_stripes foreground; /* see struct bc_env. Last: it changes all the time, and what is beside it does not */
};

/* ---- db.c ---- */

/* bitcask_open() on a given disk. io must outlive the store. */
bc_status bc_db_open(struct bc_io *io, const char *path, const bitcask_options *options, struct bitcask **db);
bc_status bc_db_close(struct bitcask **db);
bc_status bc_db_sync(struct bitcask *db);

/* ---- store_dir.c: the store's directory, its marker and its lock ---- */

/* Opens (or creates) the directory, checks the marker, takes the lock; fills in dir_fd, lock_fd and partitions_fd. */
bc_status bc_store_dir_open(struct bitcask *db, const bitcask_options *options);

/* The same for repair, which nobody may be beside, not even a reader. IN_USE. */
bc_status bc_store_dir_open_for_repair(struct bitcask *db);
bc_status bc_store_dir_holder(struct bc_io *io, const char *path, int64_t *pid); /* as bitcask_store_holder() */
void bc_store_dir_announce_close(struct bitcask *db);
void bc_store_dir_close(struct bitcask *db);

/* ---- nodes.c: the tree of partitions that are in use ---- */

/* With nodes_lock held: gives up a reference (and frees the node, and then its parent, as far as nobody counts on
 * them), and the path. */
void bc_node_unref_locked(struct bitcask_partition *node);
char *bc_node_path_locked(const struct bitcask_partition *node);

/* With nodes_lock held: the node of partition id, not counted; NULL: it is not known. */
struct bitcask_partition *bc_node_find_locked(struct bitcask *db, uint64_t id);

/* The node of partition id, counted; made if it is not known. parent and name as in the directory record. */
bc_status bc_node_get(struct bitcask *db, uint64_t id, struct bitcask_partition *parent, const void *name,
                      size_t name_size, struct bitcask_partition **node);
void bc_node_ref(struct bitcask_partition *node);
void bc_node_unref(struct bitcask_partition **node);

/* The path of a node, "orders/2026", freed by the caller; NULL when out of memory. */
char *bc_node_path(struct bitcask_partition *node);

/* Gives a node a new place in the tree, and takes name over, which was malloc'ed with a NUL behind it. */
void bc_node_move(struct bitcask_partition *node, struct bitcask_partition *parent, char *name, size_t name_size);

/* True if node is ancestor or stands below it. */
bool bc_node_is_below(struct bitcask_partition *node, const struct bitcask_partition *ancestor);

/* ---- ledger.c: what is known of those that are closed. With nodes_lock held, but for the first ---- */

/* The figures of an instance, pinned or peeked at. Without an index nobody knows what is dead in it; that is no reason
 * to build one. */
void bc_ledger_measure(struct bc_partition *instance, bitcask_stats *stats);

/* Adds what was counted, and what are sizes, of from to to. */
void bc_ledger_add_counters(bitcask_stats *to, const bitcask_stats *from);
void bc_ledger_add_sizes(bitcask_stats *to, const bitcask_stats *from);

/* Notes how large the node's partition is, about to be closed, and takes over what was counted in its instance. Without
 * memory the one is left out, and the other counts for the store as a whole. */
void bc_ledger_set_sizes(struct bitcask_partition *node, const bitcask_stats *stats);
void bc_ledger_take_counters(struct bitcask_partition *node, struct bc_partition *instance);

/* Keeps the closed node for its ledger, and takes the caller's reference for that; gives it up again; all of them. */
void bc_ledger_keep(struct bitcask_partition *node);
void bc_ledger_unlist(struct bitcask_partition *node);
void bc_ledgers_release(struct bitcask *db);

/* The node goes, or its partition was deleted: what was counted there counts for the store as a whole. */
void bc_ledger_forget(struct bitcask_partition *node);

/* Copies what is known; all 0 and false where nothing is. */
bool bc_ledger_figures(const struct bitcask_partition *node, struct bc_figures *figures);

/* ---- instances.c: which of them are open, and who uses those ---- */

/* Pins the node's instance, opened if need be (another one closed to make room). NOT_FOUND if it was dropped. */
bc_status bc_node_pin(struct bitcask_partition *node, struct bc_partition **instance);

/* The same for who only looks up single keys: the instance may be cold, without an index. */
bc_status bc_node_pin_reading(struct bitcask_partition *node, struct bc_partition **instance);
void bc_node_unpin(struct bitcask_partition *node);

/* Pins the instance only if it is open now; NULL otherwise. */
struct bc_partition *bc_node_pin_if_open(struct bitcask_partition *node);

/* Pins the instance if there is anything in it to be synced, else *instance is NULL. Where the last one could not be
 * synced when it was closed, only opening anew, which writes and syncs again what it finds, can make good for it. */
bc_status bc_node_pin_for_sync(struct bitcask_partition *node, struct bc_partition **instance);

/* Marks the node, which the caller has pinned, as dropped; gives up that pin, and closes the instance without a sync
 * once nobody uses it any more. write_lock not held. */
void bc_node_drop(struct bitcask_partition *node);

/* Notes how long something took, by the node's instance if it is open, else for the store as a whole. */
void bc_node_time(struct bitcask_partition *node, enum bc_timed kind, const struct bc_sample *sample);

/* The same by id, for who holds no node. */
void bc_db_time(struct bitcask *db, uint64_t id, enum bc_timed kind, const struct bc_sample *sample);

/* Calls each for every node with an open instance (dirty_only: with something to sync), pinned meanwhile, and each
 * whose last one could not be synced. Goes on after a failure; returns the first. */
bc_status bc_nodes_each(struct bitcask *db, bool dirty_only,
                        bc_status (*each)(void *context, struct bitcask_partition *node, struct bc_partition *instance),
                        void *context);

/* Calls each for every node of which something is known: those that are open, which stay open meanwhile, and those that
 * were and have a ledger; instance is NULL, and known has its sizes as well, where it is closed, being opened or being
 * closed. Else as the next. */
bc_status bc_nodes_survey(struct bitcask *db,
                          void (*each)(void *context, struct bitcask_partition *node, struct bc_partition *instance,
                                       const struct bc_figures *known),
                          void *context);

/* Calls each for every node with an open instance, which stays open meanwhile. Opens and waits for none, and does not
 * make it look used. NO_MEMORY. */
bc_status bc_nodes_peek(struct bitcask *db,
                        void (*each)(void *context, struct bitcask_partition *node, struct bc_partition *instance),
                        void *context);

/* Closes every instance; the first failure is returned. No handles may be in use. */
bc_status bc_nodes_close(struct bitcask *db);

/* Whether what was appended to the node's instance number `instances` up to position is durable. */
bool bc_node_is_durable(struct bitcask_partition *node, uint64_t instances, uint64_t position);

/* ---- lru.c: which of them was unused for longest. nodes_lock held ---- */

/* Room in the list for one more that is opened. False: out of memory. */
bool bc_lru_reserve(struct bitcask *db);
void bc_lru_add(struct bitcask *db, struct bitcask_partition *node);
void bc_lru_remove(struct bitcask *db, struct bitcask_partition *node);
struct bitcask_partition *bc_lru_oldest(struct bitcask *db); /* NULL: none is listed */
void bc_lru_release(struct bitcask *db);

/* ---- durable.c: what fsync means ---- */

/* Makes all that was appended to node durable, and the directory records on its path. */
bc_status bc_node_sync(struct bitcask_partition *node);

/* Only the path: the records of node and its ancestors in their parents' logs. */
bc_status bc_node_sync_path(struct bitcask_partition *node);

/* What a write ends with: durable if flags or the store's policy say so. */
bc_status bc_node_end_write(struct bitcask_partition *node, unsigned flags);

/* The same for one that was appended to the pinned instance up to position, and no more than that is waited for; unpins
 * the node. */
bc_status bc_node_end_append(struct bitcask_partition *node, struct bc_partition *instance, uint64_t position,
                             unsigned flags);

/* ---- keys.c: reading and writing single keys ---- */

bc_status bc_node_put(struct bitcask_partition *node, const void *key, size_t key_size, const void *value,
                      size_t value_size, const bitcask_write_options *options, uint64_t *version);
bc_status bc_node_delete(struct bitcask_partition *node, const void *key, size_t key_size,
                         const bitcask_write_options *options);
bc_status bc_node_set_attrs(struct bitcask_partition *node, const void *key, size_t key_size,
                            const bitcask_attrs *attrs, unsigned flags, uint64_t *version);

/* Fills in a public entry from the index'. */
void bc_entry_to_public(uint64_t partition_id, const struct bc_entry *entry, const void *key, size_t key_size,
                        bitcask_entry *out);

/* A write that puts the record of value again, with its attributes as they are: for attribute changes and moves. */
void bc_write_from_value(const struct bc_value *value, struct bc_write *write);

/* ---- tree.c: creating and dropping partitions ---- */

bc_status bc_tree_create(struct bitcask_partition *parent, const void *name, size_t name_size,
                         const bitcask_attrs *attrs, unsigned flags, struct bitcask_partition **node);
bc_status bc_tree_drop(struct bitcask_partition *parent, const void *name, size_t name_size, unsigned flags);
bc_status bc_tree_open(struct bitcask_partition *parent, const void *name, size_t name_size,
                       struct bitcask_partition **node);

/* NOT_EMPTY if the instance holds a name. write_lock held. */
bc_status bc_partition_check_empty(struct bc_partition *instance);

/* Queues the files of partition id for removal, once parent's log is durable up to where it stands now. */
bc_status bc_tree_forget_files(struct bitcask_partition *parent, uint64_t id);

/* Removes the files of dropped partitions whose deletion is durable. What cannot be removed is logged and left. */
void bc_tree_remove_dropped(struct bitcask *db);

/* Says in partition 1, durably, that a writer is at work that may leave unnamed partitions. tree_lock held, or open. */
bc_status bc_tree_note_session(struct bitcask *db);

/* Whether a handle is that of files by their number, and not of a directory. */
static inline bool bc_is_files(const struct bitcask_partition *node)
{
    return node == node->db->inodes;
}

/* Around what changes names that may be links: takes and gives back the tree lock. */
static inline void bc_names_lock(struct bitcask *db)
{
    pthread_mutex_lock(&db->tree_lock);
    atomic_fetch_add(&db->name_changes, 1);
}
static inline void bc_names_unlock(struct bitcask *db)
{
    atomic_fetch_add(&db->name_changes, 1);
    pthread_mutex_unlock(&db->tree_lock);
}

/* ---- move.c: renames ---- */

bc_status bc_db_move(struct bitcask *db, const bitcask_move_item *items, size_t count, size_t *done);

/* ---- intents.c: what touches two logs ---- */

/* Strikes out intents whose records are durable everywhere; force: makes them so. */
bc_status bc_intents_strike(struct bitcask *db, bool force);

/* The same by force, if many have gathered. */
void bc_intents_limit(struct bitcask *db);

/* The same by force, if node is part of a live intent. */
bc_status bc_intents_finish(struct bitcask_partition *node);

/* After an open: reads the intents of partition 1 and redoes them (a reader keeps them for later). */
bc_status bc_intents_recover(struct bitcask *db);

/* Reads the intents into db->redo, and nothing more: from an instance of partition 1 that is not a node's. */
bc_status bc_intents_read(struct bitcask *db, struct bc_partition *inodes);

/* Applies what concerns the instance of a partition that is being opened read-only. */
bc_status bc_intents_apply(struct bitcask *db, struct bc_partition *instance);

/* ---- sweep.c ---- */

/* After an unclean end: removes partitions' directories that no directory record names. */
bc_status bc_sweep(struct bitcask *db);

/* The ids of all partitions that have a directory on disk; false stops. */
bc_status bc_partitions_on_disk(struct bitcask *db, bool (*each)(void *context, uint64_t id), void *context);

#endif
