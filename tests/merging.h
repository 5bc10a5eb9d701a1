/* merging.h - what tests of merging and of opening share: merges through the partition's own floor, books of what a
 * partition must hold, and a recount of what the segments' numbers say.
 *
 * A book knows keys by number. Each has a count: 0 before its first put, even while it is there, odd once it was
 * deleted; its value can be told from number, count and size alone. A failure of the machine ends the program. Threads:
 * one, unless said.
 */
#ifndef BC_MERGING_H
#define BC_MERGING_H

#include "db/db.h"
#include "fixture.h"
#include "io_sim.h"
#include "partition/merge.h"

/* ---- stores ---- */

/* Opens a store that syncs nothing on its own, made if absent, and its root; the second on a simulated disk, with small
 * segments. */
void merging_open(const char *path, uint64_t segment_size, bitcask **db, bitcask_partition **root);
void merging_open_on(struct bc_sim *sim, bitcask **db, bitcask_partition **root);

/* ---- merges ---- */

/* Seals the active segment, if anything is in it. Any thread. */
bitcask_status merging_rotate(bitcask_partition *partition);

/* Merges all that is worth it for kind, oldest first, the active segment sealed if that is wanted: what the library's
 * own merge does to one partition. Damaged segments are passed over. hooks and result may be NULL. Any thread. */
bitcask_status merging_all(bitcask_partition *partition, enum bc_merge_kind kind, const struct bc_merge_hooks *hooks,
                           bitcask_merge_result *result);

/* Merges the sealed segments with ids from first to last. hooks and result may be NULL. */
bitcask_status merging_run(bitcask_partition *partition, uint32_t first, uint32_t last,
                           const struct bc_merge_hooks *hooks, bitcask_merge_result *result);

/* The partition's segments by id, the active one last; how many. */
#define MERGING_SEGMENTS_MAX 512u
size_t merging_segments(bitcask_partition *partition, bitcask_segment_info list[MERGING_SEGMENTS_MAX]);

/* Whether live bytes and live keys of each segment are what the index says, told on stderr where not. */
bool merging_accounts_agree(bitcask_partition *partition);

/* ---- files ---- */

/* "000007.data" of the partition, as a path; "000007.hint". Valid to the end. */
const char *merging_data_file(const char *store, uint64_t partition_id, uint32_t segment_id);
const char *merging_hint_file(const char *store, uint64_t partition_id, uint32_t segment_id);

/* Bytes of all files of a partition whose names end so (".data", ".hint", ""), and how many there are. */
uint64_t merging_bytes(const char *store, uint64_t partition_id, const char *ending, unsigned *files);

/* Calls visit with the path of each, in the order of names. */
void merging_each_file(const char *store, uint64_t partition_id, const char *ending,
                       void (*visit)(const char *path, void *context), void *context);

/* ---- books ---- */

struct book {
    uint64_t *counts;
    size_t keys;
    size_t value_size; /* bytes, at least; the count makes it vary by up to 7 */
};

void book_open(struct book *book, size_t keys, size_t value_size);
void book_close(struct book *book);

/* The name of a key, 16 bytes, whose order is not that of the numbers. Returns the size. */
size_t book_key(size_t key, char name[20]);
size_t book_value(const struct book *book, size_t key, uint64_t count, char *value);
#define BOOK_VALUE_MAX (128u * 1024u)

/* Puts the next value of a key; deletes it if it is there. The book is told if it worked. */
bitcask_status book_put(struct book *book, bitcask_partition *partition, size_t key);
bitcask_status book_delete(struct book *book, bitcask_partition *partition, size_t key);

/* Puts the next values of count keys from first on, in one batch. */
bitcask_status book_put_batch(struct book *book, bitcask_partition *partition, size_t first, size_t count);

/* Whether partition holds exactly what the book says: each key by get and stat, and the whole by a query. What is wrong
 * is told on stderr, the first few times. */
bool book_agrees(const struct book *book, bitcask_partition *partition);

/* The same for the look-up of single keys alone, which a cold partition stays cold over. */
bool book_agrees_key(const struct book *book, bitcask_partition *partition, size_t key);

#endif
