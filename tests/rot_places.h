/* rot_places.h - where in the files of the small store the records stand that a name needs to be read.
 *
 * A name needs its own last record, those of the directories above it, and, where it leads to an inode, that inode's
 * and its extents'. Threads: one.
 */
#ifndef BC_TEST_ROT_PLACES_H
#define BC_TEST_ROT_PLACES_H

#include "small_store.h"

#define ROT_NEEDS_MAX 8u
#define ROT_DELETED 3u
#define ROT_NAMES (SMALL_NAMES + ROT_DELETED)

struct rot_place {
    size_t file; /* number in rot_files */
    uint64_t offset, size;
    uint64_t batch_end; /* where the batch ends that it belongs to */
};

/* A name of the small store, or one that was deleted, with what is to be read of it. */
struct rot_name {
    struct small_name name;
    bool deleted;
    size_t need_count;
    struct rot_place needs[ROT_NEEDS_MAX];
};

extern char rot_files[SMALL_FILES_MAX][128];
extern size_t rot_file_count;
extern uint64_t rot_header_size[SMALL_FILES_MAX]; /* of data files */
extern uint64_t
    rot_last_mark[SMALL_FILES_MAX]; /* of data files: where the last record begins that is a mark; 0: none */
extern uint64_t rot_partition[SMALL_FILES_MAX]; /* to which a file belongs; UINT64_MAX: to none */
extern struct rot_name rot_names[ROT_NAMES];

/* Fills in the above of the small store on io, which is closed. */
void rot_places_find(struct bc_io *io);

/* Whether the name needs the byte. */
bool rot_needs(const struct rot_name *name, size_t file, uint64_t at);

/* Whether it needs something that is gone when the file is cut there. */
bool rot_needs_behind(const struct rot_name *name, size_t file, uint64_t cut);

/* Whether it needs anything of that partition. */
bool rot_needs_partition(const struct rot_name *name, uint64_t partition_id);

#endif
