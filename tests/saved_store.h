/* saved_store.h - what tests of checkpoints share: one store that is open, what was read of it and said about it, and
 * its checkpoint. A failure of the machine ends the program. Threads: one.
 */
#ifndef BC_SAVED_STORE_H
#define BC_SAVED_STORE_H

#include "io_count.h"
#include "merging.h"

extern struct io_count saved_count;
extern bitcask *saved_db;
extern bitcask_partition *saved_root;
extern char saved_said[8192]; /* the lines of its log */

/* Opens a store and its root, of small segments, that syncs nothing on its own; closes both. */
bitcask_status saved_try_open(const char *path, bool read_only);
void saved_open(const char *path, bool read_only);
void saved_close(void);

/* For merging_each_file(). */
void saved_remove_file(const char *path, void *context);

/* The root's checkpoint, as a path. */
const char *saved_file(const char *store);

/* Writes one of partition; whether the index that partition has now came from one, or is in one. */
bc_status saved_save(bitcask_partition *partition);
bool saved_is(bitcask_partition *partition);
bool saved_is_poisoned(bitcask_partition *partition);

/* No checkpoint at closes from now on; all of them again, of the smallest logs too. */
void saved_forbid_closing(void);
void saved_want_all(void);

/* Puts and deletes, at random, over several segments. */
void saved_scribble(struct book *book, size_t operations, uint64_t seed);

/* Opens and compares; then once more, in case the first has spoiled something. */
void saved_expect_book(const char *path, const struct book *book, bool read_only);

/* A store at saved_path, of some segments, a checkpoint, and a tail, closed; closing checkpoints are forbidden. Without
 * hints: so the index is built from the checkpoint, or the data, and no partition is cold. The bytes of the checkpoint,
 * about 130 KB, malloc'ed. */
extern const char *saved_path;
uint8_t *saved_make_store(const char *name, struct book *book, size_t *size);

#endif
