/* writer.h - a large value that is being written: in memory what was touched last, in the log the rest, until a commit
 * makes all of it the value of a name at once.
 *
 * A writer has a map of its own: extents of the value that it began with, and such as it has appended since, which no
 * inode names yet. What is being changed stands in pieces, one an extent, of which there are few; the least recently
 * used ones are appended when more are needed. So memory is bounded, an overwrite costs the extents that it touches,
 * and until the commit nobody else sees any of it. A crash, or a close, leaves the value as it was last committed; the
 * appended extents are dead then.
 *
 * Locks: each writer has one, taken before any write_lock. Any thread may call; but between the prepare and the done
 * of a commit nothing may change the content.
 */
#ifndef BC_WRITER_H
#define BC_WRITER_H

#include "db/inodes.h"

#define BC_WRITER_PIECES 16u

struct bitcask_writer;

/* A writer with the content of *base, a pinned value, which it takes over; or with none (NULL). NO_SPACE, ... */
bc_status bc_writer_open(struct bitcask *db, struct bc_value **base, struct bitcask_writer **out);
void bc_writer_close(struct bitcask_writer **writer);

bc_status bc_writer_write(struct bitcask_writer *writer, uint64_t offset, const void *bytes, size_t size);
bc_status bc_writer_read(struct bitcask_writer *writer, uint64_t offset, void *buffer, size_t size, size_t *got);
bc_status bc_writer_resize(struct bitcask_writer *writer, uint64_t size);
bc_status bc_writer_clear(struct bitcask_writer *writer, uint64_t offset, uint64_t size);
bc_status bc_writer_flush(struct bitcask_writer *writer);
bc_status bc_writer_reserve(struct bitcask_writer *writer, uint64_t offset, uint64_t size);
bc_status bc_writer_seek(struct bitcask_writer *writer, uint64_t offset, bool hole, uint64_t *found);
void bc_writer_state(struct bitcask_writer *writer, uint64_t *size, uint64_t *stored, uint64_t *memory);

/* For a commit: content is what an inode shall hold, its runs owned by the caller, its bytes by the writer until the
 * commit is done. `based`: what the inode must hold now, if anything; valid as long as the bytes. */
bc_status bc_writer_prepare(struct bitcask_writer *writer, struct bc_content *content, struct bc_content *based);

/* How it ended: ino now has the content that was prepared; 0: a record has. */
void bc_writer_done(struct bitcask_writer *writer, bool committed, uint64_t ino);

/* ---- writer_commit.c ---- */

/* As bc_names_change(), with writers instead of values where there are any; writes are those of the ops. */
bc_status bc_writers_change(struct bitcask_partition *node, struct bc_name_op *ops, struct bc_write *writes,
                            struct bitcask_writer *const *writers, size_t count, const bitcask_write_options *options);
bc_status bc_writer_commit(struct bitcask_writer *writer, struct bitcask_partition *node, const void *key,
                           size_t key_size, const bitcask_write_options *options, uint64_t *version);

#endif
