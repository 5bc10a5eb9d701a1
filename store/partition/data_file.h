/* data_file.h - the data files of a partition that is not open, as verify and repair find them.
 *
 * A file whose header is damaged can still be read where its generation is known, on which the checksums of its records
 * hang: from the bytes of the header itself, if those were not hit, from its hint, or, where one byte of the header was
 * changed, from its checksum. A generation is believed once a record verifies under it.
 *
 * Threads: one. Nobody has the partition open.
 */
#ifndef BC_DATA_FILE_H
#define BC_DATA_FILE_H

#include "partition/file_list.h"
#include "partition/survey.h"

/* A partition's directory. */
struct bc_data_dir {
    const struct bc_verify *verify;
    uint64_t partition_id;
    int fd;
    struct bc_file_list files;
    uint32_t *lowest;   /* of each file, the lowest id that it stands for */
    uint64_t parent_id; /* as a good header says, else 0 */
};

struct bc_data_file {
    char name[16];
    bool active;
    uint32_t id;                     /* by its name; of active.data one above all others */
    struct bc_segment *segment;      /* NULL: it cannot be read */
    struct bc_segment_header header; /* where segment is there; rebuilt if the one in the file is damaged */
    bool header_damaged;
    bool misplaced;  /* a whole header, of a file that does not belong here */
    bool superseded; /* a later file stands for it: left by a merge that a crash cut short, removed by the next open */
    uint64_t file_size;
    char why[300]; /* what is wrong with header or place */
};

/* Opens the directory of partition id and lists it. NOT_FOUND where there is none. */
bc_status bc_data_dir_open(const struct bc_verify *verify, uint64_t partition_id, struct bc_data_dir *dir);
void bc_data_dir_close(struct bc_data_dir *dir);

/* Number of data files, and the one at place i, oldest records first. NEWER_FORMAT: it is left alone. */
size_t bc_data_dir_count(const struct bc_data_dir *dir);
bc_status bc_data_file_open(const struct bc_data_dir *dir, size_t i, struct bc_data_file *file);
void bc_data_file_close(struct bc_data_file *file);

/* Opens the hint that belongs to file, NULL where there is none that does. */
bc_status bc_data_file_open_hint(const struct bc_data_dir *dir, const struct bc_data_file *file, struct bc_hint **hint);

/* Reads the file: surveys it, with what its hint knows, and tells what is wrong with all of it, header included. */
bc_status bc_data_file_check(const struct bc_data_dir *dir, const struct bc_data_file *file, struct bc_survey *survey);

#endif
