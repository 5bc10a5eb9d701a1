/* bitcask.h - libbitcask, an embeddable log-structured key-value store with partition and sort keys.
 *
 * A store is a directory. It holds partitions, nested like directories; a partition holds keys with values,
 * ordered by memcmp. Every key could be a file of a mount and every partition a directory: names are 1 to 255
 * bytes, anything but '/' and NUL, and not ".", ".." or ".bitcask".
 *
 * Threads: every function may be called from any thread, on the same handles, except that one query or one
 * batch is used by one thread at a time, and that nothing is used after, or while, it is closed. A store that
 * is open must not be carried through fork().
 * Signals: data files are mapped. So that a page that cannot be had, because the file was cut short by somebody or the
 * disk is faulty, is a status rather than the end of the process, the first mapping installs a handler of SIGBUS, which
 * stays. Faults at other addresses go on to the handler that was there before, or do what they did without one. Who
 * installs one of his own later must hand on what he does not know: keep what sigaction(2) gives back, and call it.
 * SIGXFSZ is the program's: where a limit of file sizes may be set, ignore it, so that a write beyond fails instead.
 * Errors: a bitcask_status each; bitcask_error_detail() has the line for a person.
 * Ownership: handles come from open/create calls and go with the close call of the same noun, which sets the
 * pointer to NULL and accepts a pointer to NULL. Pointers passed in are read during the call only, unless said.
 * Stability: as long as the soname (libbitcask.so.0) stays, a program linked with one release works with later ones.
 * No function goes or changes what it promises, no member of a structure moves, no constant changes its value; new
 * functions get a new symbol version. A store is readable by all later releases; one of a newer format is refused,
 * unchanged. Before 1.0 the soname may change with each minor release. Treat a status you do not know as a failure.
 *
 * libbitcask(3) and the pages it names say the same at more length; examples/ has whole programs.
 */
#ifndef BITCASK_H
#define BITCASK_H

#include <stdio.h>

#include "bitcask_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITCASK_API __attribute__((visibility("default")))

typedef struct bitcask bitcask;                     /* an open store */
typedef struct bitcask_partition bitcask_partition; /* a handle on a partition; survives its being renamed */
typedef struct bitcask_value bitcask_value;         /* a pinned value: readable until unpinned, whatever happens */
typedef struct bitcask_writer bitcask_writer;       /* a value that is being written in pieces */
typedef struct bitcask_batch bitcask_batch;         /* writes that are done, and durable, together */
typedef struct bitcask_query bitcask_query;         /* a running query */

/* ---- statuses ---- */

/* A short English text for status, never NULL. */
BITCASK_API const char *bitcask_status_text(bitcask_status status);

/* The errno that says the same to a program used to files: BITCASK_NOT_FOUND is ENOENT, and so on; 0 for OK. */
BITCASK_API int bitcask_status_errno(bitcask_status status);

/* One line about the last call of this thread that failed: which file, which offset, what to do. Empty if there
 * is nothing to add to the status text. Valid until the thread's next call. */
BITCASK_API const char *bitcask_error_detail(void);

/* Whether the size bytes at name may name a key or a partition: BITCASK_OK, BITCASK_BAD_NAME or BITCASK_NAME_TOO_LONG.
 */
BITCASK_API bitcask_status bitcask_check_name(const void *name, size_t size);

/* ---- store ---- */

/* Fills in the defaults, which the types' comments state. To be called before members are set. */
BITCASK_API void bitcask_options_init(bitcask_options *options);

/* Opens the store at path. A writer takes the store's lock (one at a time), redoes what a crash interrupted, and
 * creates the store if options->create and path is absent or empty. A reader (options->read_only) takes part
 * beside a writer: it sees each partition as it was when it first used it.
 * options: NULL for the defaults. *db is set on success only.
 * Errors: NOT_FOUND, NOT_A_STORE, NEWER_FORMAT, UNSAFE, IN_USE, DENIED, NO_SPACE, CORRUPT, IO, ... */
BITCASK_API bitcask_status bitcask_open(const char *path, const bitcask_options *options, bitcask **db);

/* The process that has the store at path open to write: its id, or 0 where it does not say. In another namespace of
 * processes it has another id. NOT_FOUND: nobody has it; and the errors of bitcask_open(). Waits for nobody. */
BITCASK_API bitcask_status bitcask_store_holder(const char *path, int64_t *pid);

/* Says that this writer is about to close: openers that wait (lock_wait_ms) wait for it rather than fail. */
BITCASK_API void bitcask_announce_close(bitcask *db);

/* Syncs everything, writes the closing marks, releases the lock last, frees db. All partition handles, values,
 * batches and queries must have been closed before. A failure means that something could not be made durable;
 * db is gone all the same. */
BITCASK_API bitcask_status bitcask_close(bitcask **db);

/* Makes every acknowledged write durable, of all threads. Errors: IO, NO_SPACE, POISONED: the partition concerned takes
 * no writes from then on, until the store is opened anew. */
BITCASK_API bitcask_status bitcask_sync(bitcask *db);

/* Adds up over the partitions that are open, and those that were closed to make room, as they were then (the last 8192
 * of them); of one partition (opened if need be) with bitcask_partition_stats(). */
BITCASK_API bitcask_status bitcask_get_stats(bitcask *db, bitcask_stats *stats);
BITCASK_API bitcask_status bitcask_partition_stats(bitcask_partition *partition, bitcask_stats *stats);

/* Calls visit for each figure of partition and of what is known below it; false stops. First those of the whole, then of
 * each of the BITCASK_METRICS_PARTITIONS largest partitions, then of the rest as one; ordered by name, each with all its
 * partitions, as Prometheus wants it, or BITCASK_BY_PARTITION. Known are the partitions that are open, and those that
 * were closed to make room, as they were then: of more than 8192 of these, the ones closed last. Counters go on where
 * they were when a partition is opened again; at the root those of the whole and of the rest never fall, whatever is
 * deleted; those of a directory fall when a partition below it is deleted or moved elsewhere. Of a partition that has no index yet, because only single keys were read so far, records that are
 * dead count as live. flags: BITCASK_BELOW (else partition alone), BITCASK_UNOPENED, BITCASK_BY_PARTITION. A partition that
 * cannot be opened is left out, and its status returned at the end. visit must not
 * call the library, but for bitcask_metric_print(). */
BITCASK_API bitcask_status bitcask_metrics(bitcask_partition *partition, unsigned flags,
                                           bool (*visit)(void *context, const bitcask_metric *metric), void *context);

/* Writes one metric in Prometheus' text format; previous: the one printed before it, NULL: none, so that each name's help
 * comes once. Names of partitions have all but printable ASCII, '\\' and '"' as \xNN. */
BITCASK_API void bitcask_metric_print(FILE *out, const bitcask_metric *metric, const bitcask_metric *previous);

/* How partition, and all that is open below it, is. Opens nothing, and waits for nobody's work. */
BITCASK_API bitcask_status bitcask_get_health(bitcask_partition *partition, bitcask_health *health);

/* ---- partitions ---- */

/* A handle on the partition at path: names joined by '/', "" for the root. Any number may be open on one partition.
 * Errors: NOT_FOUND, NOT_PARTITION (a name on the path is a key), BAD_NAME, CORRUPT, ... */
BITCASK_API bitcask_status bitcask_partition_open(bitcask *db, const char *path, bitcask_partition **partition);

/* A handle on the sub-partition name of parent. NOT_FOUND; NOT_PARTITION if name is a key. */
BITCASK_API bitcask_status bitcask_partition_open_at(bitcask_partition *parent, const void *name, size_t name_size,
                                                     bitcask_partition **partition);

/* Gives the handle up; what is pinned or queried through it stays valid. */
BITCASK_API void bitcask_partition_close(bitcask_partition **partition);

/* Creates the sub-partition name of parent: one append to parent's log. attrs may be NULL; flags: BITCASK_DURABLE.
 * partition: NULL, or gets a handle. EXISTS if the name is taken by a key or a partition. */
BITCASK_API bitcask_status bitcask_partition_create(bitcask_partition *parent, const void *name, size_t name_size,
                                                    const bitcask_attrs *attrs, unsigned flags,
                                                    bitcask_partition **partition);

/* Deletes the sub-partition name of parent, which must be empty (NOT_EMPTY). Its files go after the deletion is
 * durable. Open handles on it answer NOT_FOUND from then on. */
BITCASK_API bitcask_status bitcask_partition_drop(bitcask_partition *parent, const void *name, size_t name_size,
                                                  unsigned flags);

/* The partition's id: random, never reused; the root's is 0. */
BITCASK_API uint64_t bitcask_partition_id(const bitcask_partition *partition);

/* The inode number that a key of this partition has when its record states none: a hash of partition id and name,
 * top bit clear, never 0 or 1. */
BITCASK_API uint64_t bitcask_derived_ino(const bitcask_partition *partition, const void *key, size_t key_size);

/* The partition's own attributes (its record in the parent; the root keeps its own). entry->key is NULL. */
BITCASK_API bitcask_status bitcask_partition_stat(bitcask_partition *partition, bitcask_entry *entry);

/* Sets the members present in attrs, keeps the others. flags: BITCASK_DURABLE. */
BITCASK_API bitcask_status bitcask_partition_set_attrs(bitcask_partition *partition, const bitcask_attrs *attrs,
                                                       unsigned flags);

/* The bytes of the partition's own extended attributes, as put: *value is pinned, its data are the xattrs' bytes. */
BITCASK_API bitcask_status bitcask_partition_xattrs(bitcask_partition *partition, bitcask_value **xattrs);

/* Makes every acknowledged write to this partition durable, with the directory records on the path to it. */
BITCASK_API bitcask_status bitcask_partition_sync(bitcask_partition *partition);

/* Reserves bytes of disk space for later writes, so that these cannot fail with NO_SPACE; a write gives back what
 * its options say in `reserved`, bitcask_unreserve() the rest. bitcask_record_bound() is what one put needs. */
BITCASK_API bitcask_status bitcask_reserve(bitcask_partition *partition, uint64_t bytes);
BITCASK_API void bitcask_unreserve(bitcask_partition *partition, uint64_t bytes);

/* Upper bound, in bytes, of the log that a put of such sizes takes, with the tombstone that may follow it. */
BITCASK_API uint64_t bitcask_record_bound(size_t key_size, uint64_t value_size, size_t xattrs_size);

/* ---- keys ---- */

/* What is known of a name, key or partition, without reading its value. entry->key is the pointer passed in. NOT_FOUND.
 */
BITCASK_API bitcask_status bitcask_stat(bitcask_partition *partition, const void *key, size_t key_size,
                                        bitcask_entry *entry);

/* Values above BITCASK_SMALL_MAX, and files with several names, are inodes: their bytes stand in extents beside each
 * other, and names lead to them. The calls below follow; entry->version is then the inode's, which a rename does not
 * change.
 *
 * Reads and checks the value of key. CORRUPT if its bytes fail their check. *value must be unpinned. */
BITCASK_API bitcask_status bitcask_get(bitcask_partition *partition, const void *key, size_t key_size,
                                       bitcask_value **value);

/* Like bitcask_get(), but nothing is read before bitcask_value_read() or bitcask_value_load(): cheap at any size.
 * The value stays readable after the key was overwritten, deleted, or its partition dropped. */
BITCASK_API bitcask_status bitcask_pin(bitcask_partition *partition, const void *key, size_t key_size,
                                       bitcask_value **value);

/* Reads and checks the whole value, once. */
BITCASK_API bitcask_status bitcask_value_load(bitcask_value *value);

/* Frees the bytes that bitcask_value_load() or _read() brought in; the value stays pinned. */
BITCASK_API void bitcask_value_unload(bitcask_value *value);

/* Copies size bytes from offset into buffer; *got says how many there were (less at the value's end). Loads a
 * small value; of a large one reads and checks the extents that the range touches, and no others. */
BITCASK_API bitcask_status bitcask_value_read(bitcask_value *value, uint64_t offset, void *buffer, size_t size,
                                              size_t *got);

/* The bytes, valid until unpin or unload; NULL before load (and where the size is 0). They may stand in the mapped
 * file: read-only, and should the file be cut short or its disk fail after the load, zeros from then on, or EFAULT for
 * a system call. bitcask_value_read() would say so. */
BITCASK_API const void *bitcask_value_data(const bitcask_value *value);
BITCASK_API uint64_t bitcask_value_size(const bitcask_value *value);

/* *found: the first byte at or behind offset that is stored, or (hole) the first that is not: the value's end counts as
 * a hole. As fine as extents are. NOT_FOUND: offset is at or behind the end, or nothing more is stored. */
BITCASK_API bitcask_status bitcask_value_seek(bitcask_value *value, uint64_t offset, bool hole, uint64_t *found);

/* The entry as of the pin; its attrs.xattrs are there once the value is loaded, and as long. entry->key is NULL. */
BITCASK_API void bitcask_value_entry(const bitcask_value *value, bitcask_entry *entry);

/* Gives the value up, and its bytes. */
BITCASK_API void bitcask_value_unpin(bitcask_value **value);

/* Stores value under key. options NULL: none. version: NULL, or gets the record's version.
 * The version is attrs->ctime_ns (else attrs->mtime_ns, else now) where that lies above the partition's last one
 * and not in the future, else max(now, last + 1); times equal to it take no room.
 * Of a file with several names the value changes under all of them. A value above BITCASK_SMALL_MAX is written in
 * pieces and put in one step; the first one under a name syncs, whatever the policy says. An inode number that attrs
 * does not state stays what it was. Errors: BAD_NAME, IS_PARTITION, EXISTS, VERSION_MISMATCH, TOO_LARGE, NO_SPACE,
 * POISONED, ... */
BITCASK_API bitcask_status bitcask_put(bitcask_partition *partition, const void *key, size_t key_size,
                                       const void *value, size_t value_size, const bitcask_write_options *options,
                                       uint64_t *version);

/* Deletes key; of a file with several names that one. Where it is a name of an inode it syncs. NOT_FOUND if there is
 * none; IS_PARTITION: see bitcask_partition_drop(). On a full disk it uses room that is kept for deletions; where that is
 * used up it first merges what they left dead, for some seconds at most, and fails with NO_SPACE if nothing comes of it;
 * likewise bitcask_move() and bitcask_partition_drop(). */
BITCASK_API bitcask_status bitcask_delete(bitcask_partition *partition, const void *key, size_t key_size,
                                          const bitcask_write_options *options);

/* Sets the members present in attrs of a key or sub-partition, keeps value and others. flags: BITCASK_DURABLE,
 * BITCASK_PROMISED.
 * The version grows; mtime and ctime keep their values unless attrs sets them. version: NULL, or gets it. */
BITCASK_API bitcask_status bitcask_set_attrs(bitcask_partition *partition, const void *key, size_t key_size,
                                             const bitcask_attrs *attrs, unsigned flags, uint64_t *version);

/* Gives the file under from_key another name: both, and all further ones, are one file with one value, one set of
 * attributes and one inode number; entry->nlink counts them, and bitcask_delete() takes one away. Durable when it
 * returns, whatever flags says. NOT_FOUND, EXISTS (to_key is taken), IS_PARTITION (directories have one name),
 * TOO_MANY_LINKS above 65,000, ... */
BITCASK_API bitcask_status bitcask_link(bitcask_partition *from, const void *from_key, size_t from_key_size,
                                        bitcask_partition *to, const void *to_key, size_t to_key_size, unsigned flags);

/* Renames count keys or partitions, or, by their flags, links or deletes files, in rounds of many. A rename replaces a
 * key that is at the target, or an empty partition if a partition is moved; two names of one file are left as they are.
 * BITCASK_LINK and BITCASK_REMOVE are bitcask_link() and bitcask_delete(), but with one sync for many. Each item is
 * atomic: after a crash a renamed one stands under exactly one of its two names, and a file has its link, or not. Items
 * are done in their order, and one may build on those before it; but that costs a round, except where it links the same
 * file again. An inode number is kept. A rename within a partition syncs nothing; what concerns two partitions, or a
 * file with several names, syncs a redo intent once a round. The first item that cannot be done stops the call with its
 * status: *done (may be NULL) says how many were done before it.
 * Errors: NOT_FOUND, EXISTS, NOT_EMPTY, IS_PARTITION, NOT_PARTITION, LOOP, TOO_MANY_LINKS, NO_SPACE, ... */
BITCASK_API bitcask_status bitcask_move(bitcask *db, const bitcask_move_item *items, size_t count, size_t *done);

/* ---- writers: a value of any size, to 16 TiB, written piece by piece and committed at once ---- */

/* A writer has a content of its own, which nobody else sees. What is written goes to the log while memory for it is
 * bounded (a few MiB); a commit makes the content the value of a name, in one atomic step at any size, and may be
 * repeated: between two of them only what was touched is written. Holes take no room, in steps of an extent (256 KiB).
 * Closing gives up what was not committed.
 * Errors: NO_SPACE before anything changed: the room of what is written is reserved first; a call that writes more than
 * 1 MiB may have written the front of it. VERSION_MISMATCH: somebody else replaced the value that this writer builds
 * on; close it. READ_ONLY, TOO_LARGE, CORRUPT, IO, POISONED, NO_MEMORY.
 * Threads: any number may use one writer; each call is one step. Nothing may change the content during a commit. */

/* Opens a writer with the content of base, which it takes over (*base becomes NULL; on failure it stays), or with none
 * (base or *base NULL). Where base came from does not matter; the partition is any of the same store. */
BITCASK_API bitcask_status bitcask_writer_open(bitcask_partition *partition, bitcask_value **base,
                                               bitcask_writer **writer);
BITCASK_API bitcask_status bitcask_writer_write(bitcask_writer *writer, uint64_t offset, const void *bytes,
                                                size_t size);
BITCASK_API bitcask_status bitcask_writer_read(bitcask_writer *writer, uint64_t offset, void *buffer, size_t size,
                                               size_t *got);

/* Cuts the content, or makes it longer by a hole. */
BITCASK_API bitcask_status bitcask_writer_truncate(bitcask_writer *writer, uint64_t size);

/* Makes a range read as zeros, and a hole of each extent that it covers; the size stays. */
BITCASK_API bitcask_status bitcask_writer_punch(bitcask_writer *writer, uint64_t offset, uint64_t size);

/* Reserves disk space for writes into a range, until they come or the writer is closed. */
BITCASK_API bitcask_status bitcask_writer_reserve(bitcask_writer *writer, uint64_t offset, uint64_t size);

/* As bitcask_value_seek(). */
BITCASK_API bitcask_status bitcask_writer_seek(bitcask_writer *writer, uint64_t offset, bool hole, uint64_t *found);

/* Bytes: of the content; of these, that are no hole; of memory for what is being written. */
BITCASK_API uint64_t bitcask_writer_size(bitcask_writer *writer);
BITCASK_API uint64_t bitcask_writer_stored(bitcask_writer *writer);
BITCASK_API uint64_t bitcask_writer_memory(bitcask_writer *writer);

/* Appends what stands in memory to the log, and gives back the room for a commit: for a content that nobody will commit
 * soon. A later write takes memory and room again. */
BITCASK_API bitcask_status bitcask_writer_flush(bitcask_writer *writer);

/* Makes the content the value of key, as a put does: with options' attributes and no others, and its conditions. A key
 * with several names gets it under all of them. version (may be NULL) gets the new version. */
BITCASK_API bitcask_status bitcask_writer_commit(bitcask_writer *writer, bitcask_partition *partition, const void *key,
                                                 size_t key_size, const bitcask_write_options *options,
                                                 uint64_t *version);
BITCASK_API void bitcask_writer_close(bitcask_writer **writer);

/* A handle through which files that have an entry->file_id are reached by it, whatever names they have: the "keys" are
 * the numbers as 16 hex digits, lower case. For bitcask_stat(), _get(), _pin(), _put() and batches of puts (to a file
 * that is there: else NOT_FOUND), _set_attrs(), _locate(), as `from` of a BITCASK_LINK, _reserve(), _unreserve(),
 * _partition_sync(). Nothing is listed, made or deleted there. */
BITCASK_API bitcask_status bitcask_partition_open_files(bitcask *db, bitcask_partition **files);

/* ---- batches: within one partition, all or nothing, also after a crash ---- */

/* An empty batch of partition, whose handle must stay open until the batch is closed. NO_MEMORY. */
BITCASK_API bitcask_status bitcask_batch_open(bitcask_partition *partition, bitcask_batch **batch);

/* Adds a put or a delete. The key is copied, attrs are copied without the xattrs' bytes; value and xattrs are
 * borrowed until commit or clear. Deleting an absent key is no error. Later operations win over earlier ones. Where
 * one of them is above BITCASK_SMALL_MAX, or concerns a file with several names, the whole batch is written twice and
 * synced. */
BITCASK_API bitcask_status bitcask_batch_put(bitcask_batch *batch, const void *key, size_t key_size, const void *value,
                                             size_t value_size, const bitcask_attrs *attrs);
BITCASK_API bitcask_status bitcask_batch_delete(bitcask_batch *batch, const void *key, size_t key_size);

/* Adds the commit of a writer, which is borrowed until the batch is committed or cleared. */
BITCASK_API bitcask_status bitcask_batch_put_writer(bitcask_batch *batch, const void *key, size_t key_size,
                                                    bitcask_writer *writer, const bitcask_attrs *attrs);

/* Appends all of it in one write, then empties the batch. flags: BITCASK_DURABLE; reserved: as in write options.
 * versions: NULL, or an array that gets the version of each operation. On failure the batch keeps its content
 * and nothing was changed. Readers wait for nobody: one that reads several keys meanwhile may see the first
 * operations and not yet the last ones; each key is seen as it was before or as it is after. IS_PARTITION if a name is
 * a partition; TOO_LARGE above BITCASK_BATCH_MAX. */
BITCASK_API bitcask_status bitcask_batch_commit(bitcask_batch *batch, unsigned flags, uint64_t reserved,
                                                uint64_t *versions);

/* Empties the batch, and closes it; what it held is not done. */
BITCASK_API void bitcask_batch_clear(bitcask_batch *batch);
BITCASK_API void bitcask_batch_close(bitcask_batch **batch);

/* ---- queries: ordered, in constant memory, while writes go on ---- */

/* A name present throughout the query appears exactly once; one that comes or goes may or may not appear. options: NULL
 * for all names in order; what it points at is copied. The partition's handle may be closed before the query. */
BITCASK_API bitcask_status bitcask_query_open(bitcask_partition *partition, const bitcask_query_options *options,
                                              bitcask_query **query);

/* The next entry; NOT_FOUND at the end. entry->key is valid until the next call on query. */
BITCASK_API bitcask_status bitcask_query_next(bitcask_query *query, bitcask_entry *entry);
BITCASK_API void bitcask_query_close(bitcask_query **query);

/* ---- space and soundness ---- */

/* Rewrites runs of sealed segments without what was overwritten or deleted, in the thread that calls, while reads and
 * writes go on; with BITCASK_BELOW the partitions below too. The active segment is sealed first where that is worth
 * it. Without BITCASK_MERGE_FULL only where space comes back, or small neighbours can be joined. One merge at a time
 * in a store: others wait. A damaged segment is left alone (result->damaged): see bitcask_repair(). options and
 * result may be NULL. A merge that fails, or is cancelled, leaves its inputs; those before it stand.
 * Errors: CANCELLED, NO_SPACE (before it begins, where there is no room for the output), READ_ONLY, CORRUPT, IO, ... */
BITCASK_API bitcask_status bitcask_merge(bitcask_partition *partition, const bitcask_merge_options *options,
                                         bitcask_merge_result *result);

/* Seals the active segment, if anything is in it. flags: BITCASK_BELOW. */
BITCASK_API bitcask_status bitcask_rotate(bitcask_partition *partition, unsigned flags);

/* Reads everything of the partition and checks it: each checksum, batches, order and coverage of the segments, hints
 * against data, index and accounting against both. Changes nothing. Reads and writes may go on.
 * OK whatever was found: result->damage counts it. CANCELLED if a function of the options said so; else could not run:
 * IO, NO_MEMORY, ... options and result may be NULL. */
BITCASK_API bitcask_status bitcask_verify(bitcask_partition *partition, const bitcask_verify_options *options,
                                          bitcask_verify_result *result);

/* Repairs the store at path, which nobody may have open, as reader or as writer (IN_USE): each damaged segment is
 * set aside as *.damaged, after all that is good in it was copied to a new one of the same name. partition: where to
 * begin, "" for the whole with BITCASK_BELOW. What was found is told as by bitcask_verify(). */
BITCASK_API bitcask_status bitcask_repair(const char *path, const char *partition,
                                          const bitcask_verify_options *options, bitcask_verify_result *result);

/* Background merges: on or off; off waits for none, the one that runs is cancelled. READ_ONLY. */
BITCASK_API bitcask_status bitcask_set_scheduler(bitcask *db, bool on);

/* The most that merges write, in bytes a second, from now on; 0: no limit. BAD_ARGUMENT from 1 to 4095. */
BITCASK_API bitcask_status bitcask_set_throttle(bitcask *db, uint64_t bytes_per_s);

/* What runs, and how the last of each kind ended. Takes no lock that a merge or a verify holds. */
BITCASK_API void bitcask_get_activity(bitcask *db, bitcask_activity *activity);

/* Calls visit for each data file of the partition, in the order of their ids; false stops. visit must not call the
 * library. */
BITCASK_API bitcask_status bitcask_segments(bitcask_partition *partition,
                                            bool (*visit)(void *context, const bitcask_segment_info *segment),
                                            void *context);

/* Where the record of key, or of a sub-partition, is: reads its head. */
BITCASK_API bitcask_status bitcask_locate(bitcask_partition *partition, const void *key, size_t key_size,
                                          bitcask_location *location);

/* ---- looking inside ---- */

/* Calls visit for the header, each record and each damaged stretch of every data file of the partition, in file
 * order; visit returns false to stop. A file that is damaged is walked all the same, and CORRUPT returned at the end.
 */
BITCASK_API bitcask_status bitcask_dump(bitcask_partition *partition,
                                        bool (*visit)(void *context, const bitcask_dump_record *record), void *context);

/* The same for the hints of the partition's data files: header and keys of each. One that fails its checks is a
 * BITCASK_DUMP_BAD of its whole size, and CORRUPT returned at the end. */
BITCASK_API bitcask_status bitcask_dump_hints(bitcask_partition *partition,
                                              bool (*visit)(void *context, const bitcask_dump_record *record),
                                              void *context);

/* The same for the partition's checkpoint: header, slots and blocks. NOT_FOUND: there is none, as of a store that is in
 * use. */
BITCASK_API bitcask_status bitcask_dump_checkpoint(bitcask_partition *partition,
                                                   bool (*visit)(void *context, const bitcask_dump_record *record),
                                                   void *context);

/* The same for one file by its path, without a store around it: a hint if it is named like one, 000007.hint, a
 * checkpoint if its name is index, else a data file. */
BITCASK_API bitcask_status bitcask_dump_file(const char *path,
                                             bool (*visit)(void *context, const bitcask_dump_record *record),
                                             void *context);

#ifdef __cplusplus
}
#endif

#endif
