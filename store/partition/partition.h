/* partition.h - one open partition: its segments, its index, its writer.
 *
 * A partition is a directory of segments. Its instance, here, is made when the partition is first used and closed
 * when it has been idle; it knows neither its name nor its parent's instance: that is the floor above.
 *
 * Locks, in the order in which they are taken:
 *   files_lock   one who makes or replaces sealed segments and hints: a merge, or whoever makes hints. Held for long
 *   write_lock   one writer: appends, rotation, and every change to what is said to be guarded by it
 *   sync_lock    who syncs, and how far; so that threads share one fdatasync
 *   index_lock   readers of index and slots side by side; the writer alone while it changes them
 * Positions count the bytes of the log since it was opened, over all segments: `position` below is
 * position_base + offset in the active segment. They order appends and syncs, across rotations.
 */
#ifndef BC_PARTITION_H
#define BC_PARTITION_H

#include <pthread.h>

#include "index/index.h"
#include "log/attrs.h"
#include "log/segment.h"
#include "partition/dir_names.h"

#define BC_VERSION_MAX ((uint64_t)INT64_MAX - 1) /* what a version may be at most; more is hostile */
#define BC_ROOT_ID 0u
#define BC_INODES_ID 1u

/* What all partitions of a store share. Not owned by them, outlives them. */
struct bc_env {
    struct bc_io *io;
    int partitions_fd; /* STORE/partitions */
    struct bc_dir_names *dir_names;
    bool read_only;
    atomic_bool *hints_wanted; /* somebody looks at it now and then, and calls bc_partition_make_hints(); NULL: nobody,
                                  so that a rotation makes the hint itself */
    uint64_t segment_size;
    void (*log)(void *context, bitcask_log_level level, const char *line); /* or NULL */
    void *log_context;
    atomic_uint *foreground; /* threads within reads and writes that somebody waits for: merges step back; or NULL */
};

/* Around such a read or write. */
static inline void bc_foreground_begin(atomic_uint *foreground)
{
    if (foreground) atomic_fetch_add_explicit(foreground, 1, memory_order_relaxed);
}
static inline void bc_foreground_end(atomic_uint *foreground)
{
    if (foreground) atomic_fetch_sub_explicit(foreground, 1, memory_order_relaxed);
}

void bc_env_log(const struct bc_env *env, bitcask_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A segment in its place, and what of it is in use. Entries of the index name segments by place: an output of a merge
 * takes over an id, but never a place that an entry still names. */
struct bc_slot {
    struct bc_segment *segment; /* counted; NULL: the place is free */
    uint64_t live_bytes;        /* of records that the index points at */
    uint64_t live_keys;
    uint64_t tombstone_bytes;   /* of tombstones in it: each key's last in this segment, once it has a hint; before, all */
    uint64_t hint_bytes;        /* size of its hint file; 0: there is none that serves */
    struct bc_hint *hint;       /* of a cold partition; see cold.h */
    bool damaged;               /* bytes in it fail their check: repaired, not merged */
    bool tombstones_due;        /* older segments were merged: its tombstones may have become needless */
};

struct bc_partition {
    const struct bc_env *env;
    uint64_t id;
    uint64_t parent_id;
    char *label; /* path for messages and headers as of the open; owned */
    int dir_fd;  /* -1 while there is no directory yet; set once, under write_lock */

    pthread_mutex_t files_lock;
    bool superseded_left; /* a file that was merged away could not be removed: what supersedes it must stay, be it empty.
                             Guarded by files_lock */
    atomic_bool hints_wanted; /* a sealed segment has no hint: somebody is to call bc_partition_make_hints() */

    pthread_mutex_t write_lock;
    struct bc_segment *active;  /* NULL until the first append, or where rotation could not make the next one */
    uint32_t active_slot;       /* guarded by write_lock, as are all to here: */
    uint32_t next_segment_id;   /* ids only grow */
    uint64_t last_version;      /* of the last record appended or found */
    uint64_t position_base;     /* position of offset 0 of active */
    uint64_t allocated;         /* bytes of active that have room on disk */
    uint64_t reserved;          /* bytes promised to later writes */
    uint64_t marked;            /* offset in active up to which some record says the log is durable */
    uint64_t carry_from;        /* carry_size bytes from this offset, the closing mark that was found at open, */
    uint8_t carry[64];          /* are written again with the first append (see write.c) */
    size_t carry_size;
    uint64_t active_hinted;     /* offset in active up to which there is a hint, found at open, or nothing; 0: none */
    bool cannot_allocate;       /* the filesystem has no fallocate */
    uint64_t directory_position; /* behind the last directory record or rename batch */

    pthread_mutex_t sync_lock;
    pthread_cond_t sync_done;
    bool syncing;    /* guarded by sync_lock, as are the next */
    uint64_t synced; /* position up to which the log is durable */
    /* The directory, or active.data in it, may not survive a power cut yet where these differ: how often names were
     * made that the log hangs on, and the count that the last sync of names covered. sync_lock, too. */
    unsigned names_made, names_synced;
    /* A hint, read without a lock: whether anything may be left to sync. See bc_partition_is_dirty(). */
    atomic_bool dirty;
    _Atomic uint64_t appended; /* the position behind the last append, for the hint */
    atomic_bool poisoned; /* an fsync failed: no more writes */
    atomic_bool dropped;  /* deleted: takes no more writes. Set under write_lock */

    pthread_rwlock_t index_lock;
    struct bc_index *index;    /* changed under write_lock and index_lock both; read under either */
    struct bc_slot *slots; /* likewise; entries refer to segments by their place here */
    uint32_t slot_count;
    uint64_t damaged_regions;
    atomic_bool cold; /* there is no index yet: see cold.h. Set before the partition is shared; cleared under index_lock */
    uint64_t cold_keys;             /* in the hints of a cold partition */
    _Atomic uint64_t cold_reads;    /* look-ups in it that read something */

    _Atomic uint64_t puts, deletes, gets, bloom_hits, bloom_misses;
    _Atomic uint64_t merges, merge_ns, merge_reclaimed_bytes, last_merge_ns; /* by the floor above */
};

/* One record to be written, before it is encoded. */
struct bc_write {
    const void *key;
    size_t key_size;
    uint16_t flags; /* BC_RECORD_TOMBSTONE, BC_RECORD_PARTITION or 0 */
    const void *value;
    uint32_t value_size;
    uint32_t value_crc;  /* if has_crc: the value's CRC, known from when it was put */
    bool has_crc;
    bool explicit_version; /* version is given (a redo), else it is chosen and filled in */
    uint64_t version;
    bitcask_attrs attrs; /* times equal to the version are left out on disk */
};

/* ---- partition.c ---- */

/* Opens partition id: lists and scans what is there, recovers after a crash; an absent directory is an empty
 * partition. label is copied. CORRUPT where a segment's header is damaged or an id stands twice. */
bc_status bc_partition_open(const struct bc_env *env, uint64_t id, uint64_t parent_id, const char *label,
                            struct bc_partition **partition);

/* The same for who may only look up single keys: it may be cold. See cold.h, and bc_partition_warm(). */
bc_status bc_partition_open_reading(const struct bc_env *env, uint64_t id, uint64_t parent_id, const char *label,
                                    struct bc_partition **partition);

/* Syncs, writes hints and the closing mark where something was written, frees. Reports a failed sync; it is gone all the
 * same. brief: it is to be opened again soon, and a little may be left to be scanned then. */
bc_status bc_partition_close(struct bc_partition **partition, bool brief);

/* Frees without a sync: for a partition that was dropped, or after an error. */
void bc_partition_abandon(struct bc_partition **partition);

/* Removes the directory of partition id and everything in it. Absent is fine. */
bc_status bc_partition_remove_files(const struct bc_env *env, uint64_t id);

/* "partitions/31/8f..31" in parts: fan-out name (3 bytes) and directory name (17 bytes), with their NULs. */
void bc_partition_dir_names(uint64_t id, char fan[3], char name[17]);

/* Opens the partition's directory into *fd; creates it (and its fan-out) if create. NOT_FOUND if absent. */
bc_status bc_partition_open_dir(const struct bc_env *env, uint64_t id, bool create, int *fd);

void bc_partition_stats(struct bc_partition *partition, bitcask_stats *add_to);

/* ---- bootstrap.c ---- */

/* Lists and opens the segments of a partition being opened, and loads them, or leaves it cold. */
bc_status bc_partition_recover(struct bc_partition *partition);

/* ---- redo.c ---- */

/* Applies redo records, in ascending order of their versions, that are newer than the partition's last one: by
 * appending, or, read-only, in memory. Caller holds write_lock. */
bc_status bc_partition_redo(struct bc_partition *partition, struct bc_write *writes, size_t count);

/* Applies records in memory alone, for one who must not write (a reader) or cannot (a poisoned partition): they stand
 * in a segment of memory, found through the index like any other. write_lock held. */
bc_status bc_partition_redo_in_memory(struct bc_partition *partition, const struct bc_write *writes, size_t count);

/* ---- segment_set.c ---- */

/* Adds segment (reference taken over) as the highest slot. write_lock held, or not shared yet. */
bc_status bc_partition_add_slot(struct bc_partition *partition, struct bc_segment *segment, uint32_t *slot);

/* Makes active.data, and the directory where need be. write_lock held. */
bc_status bc_partition_make_active(struct bc_partition *partition);

/* Seals active as N.data and makes the next. write_lock held. */
bc_status bc_partition_rotate(struct bc_partition *partition);

/* Room on disk for bytes more at the end of active, besides what is reserved for others. A deletion may use the
 * last reserve. write_lock held. */
bc_status bc_partition_make_room(struct bc_partition *partition, uint64_t bytes, bool deletion);

/* After a failed sync of the directory: no more writes, nor merges, until the store is opened anew. */
void bc_partition_poison(struct bc_partition *partition);

/* Gives a slot's segment up and the place free. Nothing in the index names it any more. write_lock held. */
void bc_partition_free_slot(struct bc_partition *partition, uint32_t slot);

/* ---- cold.c ---- */

/* Builds the index of a partition that was opened without: before anything but the look-up of single keys. Takes
 * write_lock; _locked: the caller holds it. Cheap where there is nothing to do. */
bc_status bc_partition_warm(struct bc_partition *partition);
bc_status bc_partition_warm_locked(struct bc_partition *partition);

/* ---- hints.c ---- */

/* Says that a sealed segment has no hint. */
void bc_partition_want_hints(struct bc_partition *partition);

/* Makes the hint of the first data_size bytes of segment, from these. *bytes: its size. CORRUPT where they are damaged:
 * a hint that is there stays. files_lock held, or nobody else there. */
bc_status bc_partition_make_hint(struct bc_partition *partition, struct bc_segment *segment, uint64_t data_size,
                                 uint64_t *bytes);

/* The same for a sealed slot, which is told of it. files_lock held. */
bc_status bc_partition_hint_slot(struct bc_partition *partition, uint32_t slot);

/* Makes the hints of sealed segments that have none, if any are wanted and no merge is at work. */
void bc_partition_make_hints(struct bc_partition *partition);

/* Makes a hint of the active segment, which is durable to its end, where that is worth it. At a close, nobody else there.
 * brief: only if much has come since the last one, since it costs a reading of the whole segment. */
void bc_partition_hint_active(struct bc_partition *partition, bool brief);

/* ---- inspect.c ---- */

/* bitcask_segments() and bitcask_locate(). */
bc_status bc_partition_segments(struct bc_partition *partition,
                                bool (*visit)(void *context, const bitcask_segment_info *segment), void *context);
bc_status bc_partition_locate(struct bc_partition *partition, const void *key, size_t key_size,
                              bitcask_location *location);

/* ---- write.c ---- */

/* Appends count records as one batch (loose: as single records), and points the index at them. Uses up `reserved`
 * bytes of the reservation if it succeeds. On failure log and index are as before. write_lock held. */
bc_status bc_partition_append(struct bc_partition *partition, struct bc_write *writes, size_t count, bool loose,
                              uint64_t reserved);

/* Gets ready for a write of at most bound bytes: a segment that takes it, and disk for the segment. write_lock held. */
bc_status bc_partition_make_ready(struct bc_partition *partition, uint64_t bound, bool deletion);

/* Upper bound of the bytes that count records will take. */
uint64_t bc_writes_bound(const struct bc_write *writes, size_t count);

/* Says that the closing mark found at open was written again, and is to be synced with what follows. write_lock held. */
void bc_partition_carry_written(struct bc_partition *partition);

/* The position behind the last append. write_lock held. */
uint64_t bc_partition_position(const struct bc_partition *partition);

/* The version that a write of these attributes would get. write_lock held. */
uint64_t bc_partition_next_version(const struct bc_partition *partition, const bitcask_attrs *attrs);

/* Fills in mtime and ctime from the version where absent. */
void bc_attrs_fill_times(bitcask_attrs *attrs, uint64_t version);

/* OK, or NOT_FOUND (dropped), POISONED, READ_ONLY. write_lock held. */
bc_status bc_partition_writable(const struct bc_partition *partition);

/* ---- sync.c ---- */

/* Returns when the log is durable up to position, the directory's names included. No lock held. */
bc_status bc_partition_sync_to(struct bc_partition *partition, uint64_t position);

/* Says that names were made which the log hangs on: the next sync covers them. Takes sync_lock. */
void bc_partition_names_changed(struct bc_partition *partition);

/* The same for all that was appended, with write_lock held. */
bc_status bc_partition_sync_locked(struct bc_partition *partition);

/* Whether there may be something to sync: never false when there is. Takes no lock. */
bool bc_partition_is_dirty(struct bc_partition *partition);

/* Position of all that was appended; and up to which all is durable. Take and drop the locks. */
uint64_t bc_partition_appended(struct bc_partition *partition);
uint64_t bc_partition_synced(struct bc_partition *partition);

/* Whether all up to position is durable, the names that lead to it included. Takes sync_lock. */
bool bc_partition_is_durable(struct bc_partition *partition, uint64_t position);

/* ---- read.c ---- */

/* A value held for a reader: the segment stays, whatever becomes of key and partition. */
struct bc_value {
    struct bc_segment *segment; /* reference held */
    atomic_uint *foreground;    /* the store's; see struct bc_env */
    uint64_t partition_id;
    struct bc_entry entry;
    uint8_t key[BITCASK_NAME_MAX];
    size_t key_size;
    uint8_t *record;     /* the whole record once loaded, else NULL */
    const uint8_t *data; /* the value in it */
    uint32_t value_crc;
};

/* NOT_FOUND, or the index' entry. Takes index_lock. */
bc_status bc_partition_find(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry);

/* Pins the record under key, key or partition record; no I/O. */
bc_status bc_partition_pin(struct bc_partition *partition, const void *key, size_t key_size, struct bc_value **value);

/* Reads and checks the record, once; fills in the xattrs of entry.attrs. CORRUPT, IO, NO_MEMORY. */
bc_status bc_value_load(struct bc_value *value);
void bc_value_unload(struct bc_value *value);
void bc_value_close(struct bc_value **value);

#endif
