/* segment.h - a data file: its header, and reading and appending records at known offsets.
 *
 * Header (little-endian): magic 8, format version u16, kind u16, header size u32 (CRC included), segment id u32, lowest
 * id covered u32, generation u64, partition id u64, parent id u64, last version before u64, path size u16, path,
 * CRC-32C of all that u32. Records follow at once, up to the end of the file.
 *
 * A segment is counted: the partition holds one reference, each pinned value another, so that a value stays readable
 * when its partition is closed or dropped. Threads: reading from any; appending under the partition's write lock.
 */
#ifndef BC_SEGMENT_H
#define BC_SEGMENT_H

#include <stdatomic.h>

#include "io/io.h"
#include "log/record.h"

#define BC_SEGMENT_MAGIC "bitcask\n"
#define BC_FORMAT_VERSION 1u
#define BC_SEGMENT_HEADER_FIXED 62u /* with an empty path, CRC included */
#define BC_SEGMENT_PATH_MAX 4096u   /* longer paths keep their end */
#define BC_SEGMENT_SIZE_MAX 0xffffffffull
#define BC_ACTIVE_NAME "active.data"
#define BC_TEMPORARY_NAME "new.tmp" /* a segment being created; a crash may leave one */
#define BC_MERGE_NAME "merge.tmp"   /* an output of a merge being written; likewise */

enum bc_file_kind { BC_KIND_DATA = 1, BC_KIND_HINT = 2, BC_KIND_INDEX = 3 };

struct bc_segment_header {
    uint32_t segment_id;
    uint32_t lowest_id;
    uint64_t generation;
    uint64_t partition_id;
    uint64_t parent_id;
    uint64_t last_version; /* of the segment before */
    uint32_t header_size;
    char path[BC_SEGMENT_PATH_MAX + 1]; /* last known path; "" for the root */
};

struct bc_segment {
    struct bc_io *io; /* not owned */
    int fd;
    const char *_Atomic name; /* one of the two below: what it is called now */
    char names[2][16];        /* as it was made or opened; as it is called since bc_segment_rename() */
    atomic_uint references;
    uint32_t segment_id;
    uint32_t lowest_id; /* it stands for the segments from this id to its own */
    uint32_t header_size;
    uint64_t generation;
    uint64_t last_version;
    _Atomic uint64_t end; /* bytes of good log; changed under the partition's write lock, read by any */
    /* The file in memory; made at the first look, by whoever comes first, and there until the last reference goes. */
    struct bc_mapping *_Atomic mapping;
    atomic_bool unmappable;
    uint64_t room;   /* bytes that the file may grow to while it is mapped; 0: it does not. Set before it is shared */
    uint8_t *memory; /* instead of a file: redo records that a reader applies (owned), else NULL */
};

/* The name of sealed segment id, "000007.data", into name[16]. */
void bc_segment_name(uint32_t segment_id, char name[16]);

/* The id in a sealed segment's name; false for any other name. */
bool bc_segment_parse_name(const char *name, uint32_t *segment_id);

/* Bytes of the header for path. */
size_t bc_segment_header_encode(const struct bc_segment_header *header, uint8_t *out, size_t room);

/* CORRUPT (with a detail line that says what is wrong: "empty file", "cut short", "not a data file", "checksum"),
 * NEWER_FORMAT. file_name is for the message. available: bytes at data, of a file of file_size bytes. */
bc_status bc_segment_header_decode(const uint8_t *data, size_t available, uint64_t file_size, const char *file_name,
                                   struct bc_segment_header *header);

/* Creates the segment as name in the directory at: written as a temporary file, synced, then renamed, so that a
 * file of this name always has a whole header. The directory is not synced: the caller does before anything in
 * it is acknowledged as durable. header->generation and header_size are filled in. */
bc_status bc_segment_create(struct bc_io *io, int at, const char *name, struct bc_segment_header *header,
                            struct bc_segment **segment);

/* The two halves of it. Between them, the file has a temporary name, is synced, and has `room` bytes laid out behind its
 * header, where the disk can do that. publish takes *segment back when it fails; abandon is for who does not publish:
 * status and the detail line stay as they are. */
bc_status bc_segment_prepare(struct bc_io *io, int at, struct bc_segment_header *header, uint64_t room,
                             struct bc_segment **segment);
bc_status bc_segment_publish(struct bc_io *io, int at, const char *name, struct bc_segment **segment);
void bc_segment_abandon(struct bc_io *io, int at, struct bc_segment **segment, bc_status status);

/* Creates name, whatever was there, with the header in it, and nothing synced: for a file that is to get its real name
 * later. header->generation and header_size are filled in. After a failure the file is gone. */
bc_status bc_segment_begin(struct bc_io *io, int at, const char *name, struct bc_segment_header *header,
                           struct bc_segment **segment);

/* The header's path from a partition's: one that is too long keeps its end, the part that tells partitions apart. */
void bc_segment_set_path(struct bc_segment_header *header, const char *path);

/* Opens name and checks its header. end is the file's size. writable: for appending. */
bc_status bc_segment_open(struct bc_io *io, int at, const char *name, bool writable, struct bc_segment **segment,
                          struct bc_segment_header *header);

/* Opens name for reading as a segment of this header, whatever stands in the file: for one whose header is damaged. */
bc_status bc_segment_open_as(struct bc_io *io, int at, const char *name, const struct bc_segment_header *header,
                             struct bc_segment **segment);

/* A segment of room bytes in memory, empty, of a generation of 0, named "(intents)": see its member memory. */
bc_status bc_segment_in_memory(struct bc_io *io, uint64_t room, struct bc_segment **segment);

/* Notes that the file has another name, for good: once in a segment's life, when an active one is sealed or an output of
 * a merge gets its place. Readers go on meanwhile: they see one of the two. */
void bc_segment_rename(struct bc_segment *segment, const char *name);

struct bc_segment *bc_segment_ref(struct bc_segment *segment);
void bc_segment_unref(struct bc_segment **segment); /* the last one closes the file */

/* Reads the front of the record at offset; its key and attrs point into buffer, which is reset. CORRUPT with a detail
 * line when it does not verify. */
bc_status bc_segment_read_front(struct bc_segment *segment, uint64_t offset, struct bc_buffer *buffer,
                                struct bc_record *record);

/* Reads the value of a record whose front was read, into out (record->value_size bytes), and checks its CRC. */
bc_status bc_segment_read_value(struct bc_segment *segment, uint64_t offset, const struct bc_record *record, void *out);

/* The size bytes at offset where they stand in memory, valid as long as the segment; NULL: they are to be read. Whoever
 * has used them asks bc_segment_view_is_broken() before he believes them. */
const uint8_t *bc_segment_view(struct bc_segment *segment, uint64_t offset, size_t size);

/* Whether a part of what stands in memory could not be had: what was seen may be zeros. From then on views are NULL. */
bool bc_segment_view_is_broken(const struct bc_segment *segment);

/* Reads size bytes at offset as they are, from file or memory; fewer than size is CORRUPT ("cut short"). */
bc_status bc_segment_read_raw(struct bc_segment *segment, uint64_t offset, void *out, size_t size);

#endif
