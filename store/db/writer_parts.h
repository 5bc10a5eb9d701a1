/* writer_parts.h - what the files of the writer share. */
#ifndef BC_WRITER_PARTS_H
#define BC_WRITER_PARTS_H

#include "db/writer.h"

/* An extent in memory, changed. */
struct bc_piece {
    uint64_t number;
    uint8_t *bytes;    /* owned; one extent of them, of which */
    uint32_t used;     /* so many count; zeros follow */
    uint64_t reserved; /* room for its record in partition 1 */
    uint64_t touched;  /* writer->clock of its last use */
};

struct bitcask_writer {
    struct bitcask *db;
    struct bc_partition *inodes; /* pinned: what no inode maps must not be taken for dead by a new index */
    pthread_mutex_t lock;        /* guards all to the end */
    struct bc_value *base;       /* holds the extents of inode `ino`; NULL: there are none to hold */
    uint64_t ino;
    uint64_t size;
    uint8_t extent_shift;
    struct bc_runs map;       /* extents, but where a piece stands instead */
    struct bc_runs committed; /* as the inode has them */
    struct bc_runs prepared;  /* as it will, while a commit is under way */
    uint64_t *ids; /* owned: value ids of extents that no inode maps; the last one is written to, if `writing` */
    size_t id_count, id_room;
    size_t ids_prepared; /* of these, those that the commit under way covers */
    bool writing;
    bool stale;  /* somebody else replaced the content that this builds on */
    bool unheld; /* the extents of the last commit could not be held, for lack of memory, say: to be tried again */
    struct bc_piece pieces[BC_WRITER_PIECES];
    size_t piece_count;
    uint64_t clock;
    uint64_t reserved;     /* in partition 1, for the inode's record; that of the pieces stands there */
    uint64_t promised;     /* likewise, for ranges to be written */
    uint8_t *inline_bytes; /* owned: a small content, while a commit is under way */
    struct bc_value *last; /* the extent that was read last, loaded, */
    uint64_t last_number;  /* and its number */
};

/* ---- writer.c ---- */

#define BC_CHUNK_PIECES (BC_WRITER_PIECES / 2) /* that one step of a write touches at most */

static inline uint64_t bc_extent_size(const struct bitcask_writer *writer)
{
    return 1ull << writer->extent_shift;
}

/* Room for the inode's record, whose map may have become longer by `runs`. NO_SPACE. */
bc_status bc_writer_reserve_record(struct bitcask_writer *writer, size_t runs);

/* Room in partition 1. NO_SPACE. */
bc_status bc_writer_take_room(struct bitcask_writer *writer, uint64_t bytes);
void bc_writer_give_room(struct bitcask_writer *writer, uint64_t bytes);

/* Extents of the map go: those that no inode has are given up at once. lock held; room in the map was prepared. */
void bc_writer_forget(struct bitcask_writer *writer, uint64_t first, uint64_t count);

/* ---- writer_commit.c ---- */

/* Whether the committed extents are still there to be read, held anew if need be. VERSION_MISMATCH; NO_MEMORY, IO, ...
 * where that cannot be said now. lock held. */
bc_status bc_writer_check_held(struct bitcask_writer *writer);

/* ---- pieces.c ---- */

struct bc_piece *bc_piece_find(struct bitcask_writer *writer, uint64_t number);

/* The piece of an extent, read if there is something of it and it is not to be written as a whole. */
bc_status bc_piece_get(struct bitcask_writer *writer, uint64_t number, bool whole, struct bc_piece **piece);

/* Makes its first `used` bytes count, reserving room; gap bytes are zeros. */
bc_status bc_piece_reserve(struct bitcask_writer *writer, struct bc_piece *piece, uint32_t used);
void bc_piece_grow(struct bc_piece *piece, uint32_t used);
void bc_piece_drop(struct bitcask_writer *writer, struct bc_piece *piece);

/* Appends the least recently used `count` pieces; all that are left, where fewer are. */
bc_status bc_pieces_flush(struct bitcask_writer *writer, size_t count);

/* The extent, loaded, valid until the next call; *extent NULL: a hole. */
bc_status bc_writer_extent(struct bitcask_writer *writer, uint64_t number, struct bc_value **extent);

#endif
