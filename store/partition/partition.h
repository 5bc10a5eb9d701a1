/* partition.h - one open partition: its segments, its index, its writer.
 *
 * A partition is a directory of segments. Its instance, here, is made when the partition is first used and closed
 * when it has been idle; it knows neither its name nor its parent's instance: that is the floor above.
 *
 * Locks, in the order in which they are taken:
 *   files_lock   one who makes or replaces sealed segments and hints: a merge, or whoever makes hints. Held for long
 *   write_lock   one writer: appends, rotation, and every change to what is said to be guarded by it. Writers come often,
 *                all others seldom; see base/fair_lock.h
 *   sync_lock    who syncs, and how far; so that threads share one fdatasync
 *   cold_lock    who looks into the hints of a cold partition; and alone, who takes them away
 * Who reads single keys, or walks the index, of a warm partition takes none of them and waits for nobody: index and
 * slots are looked at within a read section (base/rcu.h), under which the writer goes on. What such a reader may reach
 * is given up only after a grace period: an array of slots that was outgrown; a place, from when the index names it no
 * more to when it is another segment's; a segment, from when it is out of its place to when it is closed.
 *
 * Positions count the bytes of the log since it was opened, over all segments: `position` below is
 * position_base + offset in the active segment. They order appends and syncs, across rotations.
 */
#ifndef BC_PARTITION_H
#define BC_PARTITION_H

#include <pthread.h>

#include "base/fair_lock.h"
#include "base/histogram.h"
#include "base/rcu.h"
#include "base/stripes.h"
#include "index/index.h"
#include "log/attrs.h"
#include "log/checkpoint.h"
#include "log/inode_body.h"
#include "log/segment.h"
#include "partition/dir_names.h"
#include "partition/reserve.h"

#define BC_ROOT_ID 0u
#define BC_INODES_ID 1u

/* What the open partitions of a store take together: memory of indexes, and of the hints of those without one. No lock. */
struct bc_memory {
    uint64_t limit;
    _Atomic uint64_t used;
    atomic_bool exceeded; /* it has grown beyond the limit: whoever sees to it clears this first */
    _Atomic uint64_t open_ns; /* spent in opening partitions and building indexes */
};

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
    struct bc_memory *memory; /* or NULL: it is not counted */
    struct bc_reserve *reserve; /* or NULL: no room is kept for deletions and merges but the partitions' own */
    struct bc_stripes *foreground; /* threads within reads and writes that somebody waits for: merges step back; or NULL */
};

/* Around such a read or write. */
static inline void bc_foreground_begin(struct bc_stripes *foreground)
{
    if (foreground) bc_stripes_add(foreground, 1);
}
static inline void bc_foreground_end(struct bc_stripes *foreground)
{
    if (foreground) bc_stripes_take_off(foreground, 1);
}

void bc_env_log(const struct bc_env *env, bitcask_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A segment in its place, and what of it is in use. Entries of the index name segments by place: an output of a merge
 * takes over an id, but never a place that an entry still names, or that a reader may still have seen in one. */
struct bc_slot {
    /* Counted; NULL: the place is free. Changed under write_lock; read under it, or within a read section by
     * bc_partition_segment_at(). */
    struct bc_segment *_Atomic segment;
    uint64_t live_bytes;        /* of records that the index points at. Guarded by write_lock, as are the others: */
    uint64_t live_keys;
    uint64_t tombstone_bytes;   /* of tombstones in it: each key's last in this segment, once it has a hint; before, all */
    uint64_t hint_bytes;        /* size of its hint file; 0: there is none that serves */
    struct bc_hint *hint;       /* of a cold partition, guarded by cold_lock; see cold.h */
    bool damaged;               /* bytes in it fail their check: repaired, not merged */
    bool tombstones_due;        /* older segments were merged: its tombstones may have become needless */
};

/* How the log stands to the checkpoint of the index; see partition/checkpoint.h. Guarded by write_lock, but for due. */
struct bc_checkpoint_state {
    uint64_t id;         /* of the one on disk; 0: there is none that serves */
    uint64_t bytes;      /* size of the last one, also if it does not serve any more */
    int64_t from;        /* the position up to which it stands for the log, less what merges have written since */
    int64_t opened_at;   /* the position where the log ended when it was opened */
    _Atomic int64_t due; /* the position from which on the next one is wanted */
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
    struct bc_merge *unfinished; /* a merge behind its commit point that lacked memory, see merge.h; owned. Guarded by
                                    files_lock */
    atomic_bool hints_wanted; /* a sealed segment has no hint: somebody is to call bc_partition_make_hints() */

    struct bc_fair_lock write_lock;
    struct bc_segment *active;  /* NULL until the first append, or where rotation could not make the next one */
    uint32_t active_slot;       /* guarded by write_lock, as are all to here: */
    uint32_t next_segment_id;   /* ids only grow */
    uint64_t last_version;      /* of the last record appended or found */
    uint64_t position_base;     /* position of offset 0 of active */
    uint64_t allocated;         /* bytes of active that have room on disk */
    struct bc_mapping *window;  /* what appends are copied into, or NULL; see window.c */
    uint64_t file_end;          /* where active ends on disk if a window was laid out behind its log, else less than that */
    bool no_window;             /* in this segment there is none any more */
    uint64_t zeroed;            /* bytes of active whose blocks have been written, with zeros behind the log */
    unsigned synced_often;      /* groups of appends, lately, each of which found all before it durable */
    unsigned since_synced;      /* appends since the last one that did */
    uint64_t reserved;          /* bytes promised to later writes */
    uint64_t marked;            /* offset in active up to which some record says the log is durable */
    uint64_t carry_from;        /* carry_size bytes from this offset, the closing mark that was found at open, */
    uint8_t carry[64];          /* are written again with the first append (see write.c) */
    size_t carry_size;
    uint64_t last_record;       /* offset of the record that ends where the log ends; 0: none, or it is not known */
    struct bc_checkpoint_state checkpoint;
    uint64_t active_hinted;     /* offset in active up to which there is a hint, found at open, or nothing; 0: none */
    bool cannot_allocate;       /* the filesystem has no fallocate */
    uint64_t directory_position; /* behind the last directory record or rename batch */

    pthread_mutex_t sync_lock;
    pthread_cond_t sync_done;
    bool syncing;    /* guarded by sync_lock, as are the next */
    bool gathering;  /* somebody is about to sync, and lets others come along; see sync.c */
    unsigned last_group, group_before; /* how many were served by the last sync that was gathered for, the one before */
    unsigned lone_syncs;               /* since one of more than one */
    uint64_t synced; /* position up to which the log is durable */
    /* The directory, or active.data in it, may not survive a power cut yet where these differ: how often names were
     * made that the log hangs on, and the count that the last sync of names covered. sync_lock, too. */
    unsigned names_made, names_synced;
    /* A hint, read without a lock: whether anything may be left to sync. See bc_partition_is_dirty(). */
    atomic_bool dirty;
    atomic_uint sync_waiters; /* who waits for a sync that has not begun; changed under sync_lock, read without */
    _Atomic uint64_t appended; /* the position behind the last append, for the hint */
    atomic_bool poisoned; /* an fsync failed: no more writes */
    atomic_bool dropped;  /* deleted: takes no more writes. Set under write_lock */

    struct bc_index *index; /* set before `cold` is cleared; changed under write_lock, read within a read section too */
    /* Entries refer to segments by their place here. An array that is full is replaced, under write_lock, and retired;
     * the count grows behind it: a reader that takes the count first finds so many places. */
    struct bc_slot *_Atomic slots;
    _Atomic uint32_t slot_count;
    uint32_t slot_room;       /* guarded by write_lock */
    uint64_t damaged_regions; /* guarded by write_lock */

    pthread_rwlock_t cold_lock;
    /* There is no index yet: see cold.h. Set before the partition is shared; cleared under write_lock and cold_lock, with
     * release: who loads false with acquire sees the index and its slots. */
    atomic_bool cold;
    uint32_t *by_age; /* the slots in the order of their segments' ids, as of the open: for that, and while cold */
    uint32_t by_age_count;
    atomic_bool distrust_hints; /* a hint that was good at open cannot be read any more */
    uint64_t cold_keys;             /* in the hints of a cold partition */
    _Atomic uint64_t hint_memory;   /* bytes that these hold */
    _Atomic uint64_t memory_counted; /* of this one in env->memory */
    _Atomic uint64_t keys_counted;   /* how many keys there were then */
    _Atomic uint64_t cold_reads;    /* look-ups in it that read something */

    _Atomic uint64_t puts, deletes; /* counted under write_lock */
    _Atomic uint64_t bloom_hits, bloom_misses;
    _Atomic uint64_t merges, merge_ns, merge_reclaimed_bytes, last_merge_ns; /* by the floor above */
    _Atomic uint64_t log_bytes; /* appended, under write_lock */
    uint64_t told_bytes;        /* of these the reserve knows; guarded by write_lock */
    _Atomic uint64_t merged_bytes; /* of outputs; by the floor above */
    struct bc_timings timings;  /* fsync here, the others by the floor above; no lock */
    struct bc_stripes gets; /* last: see base/stripes.h */
};

/* One record to be written, before it is encoded. */
struct bc_write {
    const void *key;
    size_t key_size;
    uint16_t flags; /* BC_RECORD_TOMBSTONE, _PARTITION, _LINK, _INODE, _EXTENT or 0 */
    const void *value;
    uint32_t value_size;
    uint32_t value_crc;  /* if has_crc: the value's CRC, known from when it was put */
    bool has_crc;
    bool explicit_version; /* version is given (a redo), else it is chosen and filled in */
    bool is_due;           /* its batch may use what is kept for deletions: it was promised, or is a part of one */
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

/* An empty index, in place of none. */
bc_status bc_partition_new_index(struct bc_partition *partition);

void bc_partition_stats(struct bc_partition *partition, bitcask_stats *add_to);

/* ---- memory.c ---- */

/* Brings env->memory up to date with what this partition takes. Any thread that has it pinned. Some microseconds for
 * each million keys; _if_changed: only if the keys have become more or fewer, by a sixteenth or so. */
void bc_partition_count_memory(struct bc_partition *partition);
void bc_partition_count_memory_if_changed(struct bc_partition *partition);

/* Takes it out again, at the end of the instance. */
void bc_partition_uncount_memory(struct bc_partition *partition);

/* Adds the time since began_ns, monotonic, to what opening has taken. */
void bc_partition_count_open(const struct bc_partition *partition, uint64_t began_ns);

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

/* ---- extents.c: of partition 1 ---- */

/* Whether key is an extent's: one that is in the log and not in the index is dead, and has no tombstone. */
bool bc_partition_is_extent(const struct bc_partition *partition, const void *key, size_t key_size);

/* Takes the extents of these runs out of the index: nothing maps them any more. write_lock held. */
void bc_partition_forget_extents(struct bc_partition *partition, const struct bc_run *runs, size_t count);

/* After an index was built: takes the extents out of it that no inode maps. Where that cannot be told, because an inode
 * cannot be read, all are kept. write_lock held, or not shared yet; any partition but 1 is left alone. */
void bc_partition_drop_unmapped(struct bc_partition *partition);

/* ---- segment_set.c ---- */

/* The segment in a place, which may be any number: NULL if there is none. Valid to the end of the read section, or as
 * long as write_lock is held, one of which the caller is in. */
struct bc_segment *bc_partition_segment_at(const struct bc_partition *partition, uint32_t slot);

/* Frees the array of slots, at the end of the instance. */
void bc_partition_release_slots(struct bc_partition *partition);

/* Adds segment (reference taken over) in a free place, or as the highest slot. write_lock held, or not shared yet. */
bc_status bc_partition_add_slot(struct bc_partition *partition, struct bc_segment *segment, uint32_t *slot);

/* Makes active.data, and the directory where need be. deletion: as below. write_lock held. */
bc_status bc_partition_make_active(struct bc_partition *partition, bool deletion);

/* Seals active as N.data and makes the next. On a full disk the room behind the old one is given back first, so this
 * works there, too, and may lose what was reserved if somebody else is faster. write_lock held. */
bc_status bc_partition_rotate(struct bc_partition *partition);

/* The same, only if what is reserved, and what deletions may use, has room in the next one as well: where it does not,
 * NO_SPACE or QUOTA, with active unchanged. */
bc_status bc_partition_rotate_keeping_room(struct bc_partition *partition);

/* Room on disk for bytes more at the end of active, besides what is reserved for others. A deletion, or what was
 * promised, may use the last reserve, and then the store's. write_lock held. */
bc_status bc_partition_make_room(struct bc_partition *partition, uint64_t bytes, bool deletion);

/* Gives the disk back what was laid out behind the log, but for what is reserved. write_lock held, active segment. */
bc_status bc_partition_give_room(struct bc_partition *partition);

/* After a failed sync of the directory: no more writes, nor merges, until the store is opened anew. */
void bc_partition_poison(struct bc_partition *partition);

/* While a partition is opened: whether a write that failed with status was refused by the disk, so that the partition
 * is poisoned, and opened to be read. */
bool bc_partition_serve_reads(struct bc_partition *partition, bc_status status);

/* Gives a place free, with the reference on its segment. Nothing in the index has named it since before the last grace
 * period. The caller holds the segment by a reference of its own for another one (bc_rcu_wait()): somebody may just be
 * looking into the place. write_lock held. */
void bc_partition_free_slot(struct bc_partition *partition, uint32_t slot);

/* ---- window.c: all with write_lock held, and an active segment ---- */

/* Sees to it that the window covers the next `bytes` of the log, where that is of use and possible. */
void bc_window_lay(struct bc_partition *partition, uint64_t bytes);

/* Notes an append, for bc_window_lay(): whether it finds all before it durable. */
void bc_window_note(struct bc_partition *partition, bool all_durable);

/* Writes at offset of the active segment, through the window if it covers that. */
bc_status bc_window_write(struct bc_partition *partition, const struct iovec *iov, int count, uint64_t offset);

/* Drops the window and cuts the file to the log's end. What is cut off comes back at a power cut until it is synced. */
bc_status bc_window_cut(struct bc_partition *partition);
void bc_window_drop(struct bc_partition *partition);

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

/* The same for a sealed slot, which is told of it. files_lock held. Takes write_lock; _locked: the caller holds it. */
bc_status bc_partition_hint_slot(struct bc_partition *partition, uint32_t slot);
bc_status bc_partition_hint_slot_locked(struct bc_partition *partition, uint32_t slot);

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

/* Appends them as one batch and syncs it before the index points at it. On failure log and index are as before; but if
 * the partition is poisoned then, the batch may be on disk all the same, and show at the next open. write_lock held. */
bc_status bc_partition_append_synced(struct bc_partition *partition, struct bc_write *writes, size_t count);

/* Memory for an append that is to come. */
struct bc_append_memory {
    struct encoded *encoded;
    struct iovec *iov;
    uint8_t *fronts;
};

/* Gets all the memory that bc_partition_append_prepared() needs, and room in the index, so that it cannot fail for want
 * of either, if no other put or remove comes between. NO_MEMORY. Released in any case. write_lock held. */
bc_status bc_partition_append_prepare(struct bc_partition *partition, const struct bc_write *writes, size_t count,
                                      struct bc_append_memory *memory);

/* As bc_partition_append(), loose, of those writes; bc_partition_make_ready() came before their versions. */
bc_status bc_partition_append_prepared(struct bc_partition *partition, struct bc_write *writes, size_t count,
                                       uint64_t reserved, const struct bc_append_memory *memory);
void bc_append_memory_release(struct bc_append_memory *memory);

/* Gets ready for a write of at most bound bytes: a segment that takes it, and disk for the segment. write_lock held. */
bc_status bc_partition_make_ready(struct bc_partition *partition, uint64_t bound, bool deletion);

/* Upper bound of the bytes that count records will take. */
uint64_t bc_writes_bound(const struct bc_write *writes, size_t count);

/* Says that the closing mark found at open was written again, and is to be synced with what follows. write_lock held. */
void bc_partition_carry_written(struct bc_partition *partition);

/* The position behind the last append. write_lock held. */
uint64_t bc_partition_position(const struct bc_partition *partition);

/* Where the log ends in the active segment, a closing mark left aside that will be written again: 0 if there is none.
 * write_lock held. */
uint64_t bc_partition_log_end(const struct bc_partition *partition);

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

/* Syncs the active segment even if all that was appended is durable: its end was cut. write_lock held. */
bc_status bc_partition_sync_cut(struct bc_partition *partition);

/* Syncs what was written to the active segment up to offset end, where the log does not end yet. write_lock held. */
bc_status bc_partition_sync_ahead(struct bc_partition *partition, uint64_t end);

/* Whether there may be something to sync: never false when there is. Takes no lock. */
bool bc_partition_is_dirty(struct bc_partition *partition);

/* Position of all that was appended; and up to which all is durable. Take and drop the locks. */
uint64_t bc_partition_appended(struct bc_partition *partition);
uint64_t bc_partition_synced(struct bc_partition *partition);

/* The latter, but 0 where a name that the log hangs on is not: what the log may say of itself. Takes sync_lock. */
uint64_t bc_partition_known_durable(struct bc_partition *partition);

/* Whether all up to position is durable, the names that lead to it included. Takes sync_lock. */
bool bc_partition_is_durable(struct bc_partition *partition, uint64_t position);

/* ---- read.c ---- */

/* A value held for a reader: the segment stays, whatever becomes of key and partition. */
struct bc_value {
    struct bc_segment *segment; /* reference held */
    const struct bc_env *env;
    uint64_t partition_id;
    struct bc_entry entry;
    uint8_t key[BITCASK_NAME_MAX];
    size_t key_size;
    bool loaded;
    uint8_t *record;      /* the whole record, where it was read; NULL where it stands in the segment's memory */
    const uint8_t *bytes; /* where the record begins, here or there, once loaded */
    const uint8_t *data;  /* what is shown of it: the value, or the xattrs */
    uint32_t value_crc;
    void *above; /* of the floor above, which sees to it: NULL, or what it needs for a value that is an inode */
};

/* NOT_FOUND, or the index' entry. Takes no lock but for cold_lock where the partition is cold. */
bc_status bc_partition_find(struct bc_partition *partition, const void *key, size_t key_size, struct bc_entry *entry);

/* Pins the record under key, key or partition record; no I/O. CORRUPT: the index names no segment. Locks as before. */
bc_status bc_partition_pin(struct bc_partition *partition, const void *key, size_t key_size, struct bc_value **value);

/* Reads and checks the record, once; fills in the xattrs of entry.attrs. CORRUPT, IO, NO_MEMORY. Where the segment is
 * in memory nothing is copied. */
bc_status bc_value_load(struct bc_value *value);

/* Copies size bytes of a loaded value, which has them, from offset. A value whose pages went away since it was loaded is
 * read again: CORRUPT, IO, NO_MEMORY. */
bc_status bc_value_copy(const struct bc_value *value, uint64_t offset, void *out, size_t size);
void bc_value_unload(struct bc_value *value);
void bc_value_close(struct bc_value **value);

#endif
