/* checkpoint.h - a partition's index on disk, so that opening costs what the log's tail costs.
 *
 * The file `index` (log/checkpoint.h) holds the index as it stood when the log was so long, and names the segments that
 * it stands for. It is written at a clean close, and in the background when the log has grown; loaded at open,
 * whereupon the log is replayed from the checkpoint's tail. It is disposable: where it does not fit, hints and data are
 * there.
 *
 * When it is believed. Each segment in its table must be there with its id, its coverage, its generation, and its size,
 * of the last one at least the part that the index may name (the end); none may be there besides, but later ones. A
 * generation is random and belongs to one file, and sealed segments never change. That leaves the last segment, which
 * may have been cut below the end and have grown anew since: so the record that ends at the end must be there, byte for
 * byte up to its sizes. Its version, in nanoseconds, is never given twice, and in front of it nothing is ever cut off
 * without it. So what is in the files decides, and no order in which names reach the disk: a checkpoint that an
 * unsynced unlink brings back, or that somebody puts back, is believed exactly if it is right.
 *
 * How it can be right though others write meanwhile. First the tail is noted; then shard after shard is copied, each as
 * it is by then; then the end is noted, up to where the log is synced before the file gets its name. Entries may name
 * records between tail and end. Whoever loads it replays the log from the tail on, over what is there: of each key the
 * last record wins, as always.
 */
#ifndef BC_PARTITION_CHECKPOINT_H
#define BC_PARTITION_CHECKPOINT_H

#include "log/checkpoint.h"
#include "partition/recover.h"

/* With more free places a partition gets none: they go with the next open. */
#define BC_CHECKPOINT_FREE_SLOTS_MAX 4096u

/* When one is written. Not constants, so that tests can have them smaller. */
struct bc_checkpoint_limits {
    uint64_t keys;   /* below so many none is written at a close: hints are as quick, and take less room */
    uint64_t least;  /* bytes of log below which a scan is as quick; and that a new one must have more than the last */
    uint64_t growth; /* bytes that the log grows by at least before one is written in the background */
};
extern struct bc_checkpoint_limits bc_checkpoint_limits;

/* ---- checkpoint_bind.c: for who opens a partition ---- */

/* Opens the checkpoint of the directory if it fits these segments, which are in the order of their ids (NULLs are
 * passed over), else *checkpoint is NULL. One that does not fit, or is bad, is logged; a writer removes it. */
void bc_checkpoint_find(struct bc_partition *partition, struct bc_segment *const *segments, size_t count,
                        struct bc_checkpoint **checkpoint);

/* Puts those segments that the checkpoint names in the places that it names, and sets them to NULL. Not shared yet. */
bc_status bc_checkpoint_place(struct bc_partition *partition, struct bc_segment **segments, size_t count,
                              const struct bc_checkpoint *checkpoint);

/* Notes where the log stands to the checkpoint (NULL: there is none that serves), once the segments are in their places
 * and the active one is settled. */
void bc_checkpoint_note_open(struct bc_partition *partition, const struct bc_checkpoint *checkpoint);

/* What is to be replayed behind it. */
struct bc_replay bc_checkpoint_replay(const struct bc_checkpoint *checkpoint);

/* ---- checkpoint_load.c ---- */

/* Puts the index that the checkpoint holds in the place of the partition's, and its numbers into the slots. *loaded:
 * whether that worked; else the index is what it was, and a checkpoint that is bad is logged and, by a writer, removed.
 * The partition is not shared yet, or cold and write_lock held. */
void bc_checkpoint_load(struct bc_partition *partition, const struct bc_checkpoint *checkpoint, bool *loaded);

/* Reads and checks all blocks into one piece of memory, for bc_image_add() or bc_image_free(), of
 * bc_checkpoint_blocks_size() bytes. With several threads where it is large. CORRUPT, IO, NO_MEMORY. */
bc_status bc_checkpoint_read_blocks(const struct bc_checkpoint *checkpoint, const struct bc_index *index,
                                    uint8_t **memory);

/* ---- checkpoint_save.c ---- */

/* Sets what the log is to grow to until the next one is due, from the position `from` on. write_lock held, or not
 * shared yet. */
void bc_checkpoint_set_due(struct bc_partition *partition, int64_t from);

/* Writes a checkpoint of the partition as it is, beside readers and writers. files_lock held, or nobody else there. OK
 * also where there is nothing to be saved (a cold partition, a damaged one: its damage is to be found at each open). A
 * failure leaves the one before; only that of a sync of the log matters to anyone else. */
bc_status bc_checkpoint_save(struct bc_partition *partition);

/* The same at a clean close, if it is worth it, all failures logged. brief: the partition is to be opened again soon.
 */
void bc_checkpoint_at_close(struct bc_partition *partition, bool brief);

/* In the background, if it is due. files_lock held. */
void bc_checkpoint_if_due(struct bc_partition *partition);

/* Says that the log is as long as position, so that somebody sees to bc_checkpoint_if_due() if that is wanted. Any
 * thread, no lock. */
void bc_checkpoint_note_growth(struct bc_partition *partition, uint64_t position);

/* After a merge's commit point: the checkpoint names segments that are none any more. written: bytes that the merge
 * wrote. files_lock held, write_lock not. */
void bc_checkpoint_after_merge(struct bc_partition *partition, uint64_t written);

#endif
