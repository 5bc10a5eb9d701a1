/* checkpoint.h - a partition's index as one file: writing it, reading it, both without knowing what is in its blocks.
 *
 * Disposable: whatever is wrong with it, the index is built from hints or data instead. checkpoint_format.h has the
 * layout byte by byte; whether one fits the log, and is believed, is decided where the log is known
 * (partition/checkpoint.h).
 */
#ifndef BC_CHECKPOINT_H
#define BC_CHECKPOINT_H

#include "io/io.h"
#include "log/record.h"

#define BC_CHECKPOINT_NAME "index"
#define BC_CHECKPOINT_TEMPORARY_NAME "index.tmp" /* one being written; a crash may leave it */

enum { BC_CHECKPOINT_ALIGN = 4096 };

/* Where in the log: in which segment, before which byte. */
struct bc_log_place {
    uint32_t segment_id;
    uint64_t offset;
};

struct bc_checkpoint_head {
    uint64_t id; /* filled in by the writer; random, never 0 */
    uint64_t partition_id;
    uint64_t last_version;
    uint64_t keys;
    struct bc_log_place tail;                /* the log is to be replayed from here */
    struct bc_log_place end;                 /* it was durable up to here, and entries name nothing behind */
    uint64_t last_record;                    /* offset of the record that ends at end; 0: there is none */
    uint8_t last_front[BC_RECORD_HEAD_SIZE]; /* its first bytes */
    uint32_t slot_count, block_count;        /* filled in by the writer */
};

/* One of the partition's slots. */
struct bc_checkpoint_slot {
    uint32_t segment_id; /* 0: free */
    uint32_t lowest_id;
    uint64_t generation;
    uint64_t size;
    uint64_t live_bytes, live_keys;
    uint64_t tombstone_bytes, hint_bytes;
    bool tombstones_due;
};

/* ---- writing ---- */

struct bc_checkpoint_writer;

/* Begins one in the directory at, under the temporary name. at must stay open. */
bc_status bc_checkpoint_writer_open(struct bc_io *io, int at, struct bc_checkpoint_writer **writer);

/* Adds a block, at most 4 GiB. After a failure only abort is left. */
bc_status bc_checkpoint_writer_add(struct bc_checkpoint_writer *writer, const void *block, size_t size);

/* Ends it and gives it its name, in the place of the one before. Nothing is synced: torn by a power cut it fails its
 * checks. The log must be durable up to head->end. *id, *bytes: its id and size. Frees the writer, also on failure, and
 * leaves no temporary file behind then; the one before is still there. */
bc_status bc_checkpoint_writer_commit(struct bc_checkpoint_writer **writer, const struct bc_checkpoint_head *head,
                                      const struct bc_checkpoint_slot *slots, size_t slot_count, const void *image_head,
                                      size_t image_head_size, uint64_t *id, uint64_t *bytes);

/* Gives up: removes the temporary file. A pointer to NULL is fine. */
void bc_checkpoint_writer_abort(struct bc_checkpoint_writer **writer);

/* ---- reading ---- */

struct bc_checkpoint;

/* Opens the checkpoint in the directory at and reads header and tables, all checked: their sizes against the file's,
 * the blocks' too, so that what they say can be allocated. NOT_FOUND where there is none, CORRUPT (with a detail line;
 * one of a newer format is that, too), IO, NO_MEMORY. The io and at must stay as long as it. */
bc_status bc_checkpoint_open(struct bc_io *io, int at, struct bc_checkpoint **checkpoint);
void bc_checkpoint_close(struct bc_checkpoint **checkpoint);

/* What is in it; owned by it. */
const struct bc_checkpoint_head *bc_checkpoint_head(const struct bc_checkpoint *checkpoint);
const struct bc_checkpoint_slot *bc_checkpoint_slots(const struct bc_checkpoint *checkpoint);
const void *bc_checkpoint_image_head(const struct bc_checkpoint *checkpoint, size_t *size);
uint64_t bc_checkpoint_file_size(const struct bc_checkpoint *checkpoint);

/* The size of block i; where it begins in a piece of memory that holds them all, aligned; and the size of that. */
size_t bc_checkpoint_block_size(const struct bc_checkpoint *checkpoint, uint32_t i);
uint64_t bc_checkpoint_block_at(const struct bc_checkpoint *checkpoint, uint32_t i);
uint64_t bc_checkpoint_blocks_size(const struct bc_checkpoint *checkpoint);

/* Reads block i to out, with the zeros behind it: as much as it takes in that piece. CORRUPT where it fails its check,
 * IO. Any number of threads, side by side. */
bc_status bc_checkpoint_read_block(const struct bc_checkpoint *checkpoint, uint32_t i, void *out);

#endif
