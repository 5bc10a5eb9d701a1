/* hint.h - N.hint: the keys of segment N, so that an open reads them and not the data.
 *
 * Holds the latest record of each key in the segment, tombstones included, sorted by key, in blocks of about 4 KiB with
 * a checksum each; an index of the blocks; the segment's Bloom filter. Disposable: it names generation and size of its
 * data file, and whatever does not match, or fails its check, is no hint, and the data are scanned instead.
 * Everything in it is checked before it is used; nothing in it is believed about the data but where to look.
 *
 * Of the active segment, as it was closed, there may be a hint too: of the part up to head.data_size.
 * Read with pread, not mapped: a mapped file that is cut short under us would kill the process.
 *
 * Threads: a writer and a cursor are used by one thread at a time; an open hint by any, side by side.
 */
#ifndef BC_HINT_H
#define BC_HINT_H

#include "io/io.h"
#include "log/record.h"

#define BC_HINT_TEMPORARY_NAME "hint.tmp" /* a hint being written; a crash may leave one, which is removed */

/* What binds a hint to its data file, and what is known of the whole. */
struct bc_hint_head {
    uint32_t segment_id;
    uint64_t generation;      /* of the data file */
    uint64_t data_size;       /* bytes of it that this hint stands for, from its start */
    uint64_t last_version;    /* highest version in these, tombstones and marks included; BC_VERSION_MAX at most */
    uint64_t keys;            /* entries; filled in by the writer */
    uint64_t tombstone_bytes; /* encoded bytes of the tombstones listed; filled in by the writer */
    uint64_t salt; /* random, so that no block of another hint verifies in this one; filled in by the writer */
};

enum {
    BC_HINT_TOMBSTONE = 1u << 0,
    BC_HINT_PARTITION = 1u << 1, /* child_id is the partition's id */
    BC_HINT_XATTRS = 1u << 2,    /* the record holds extended attributes */
    BC_HINT_LINK = 1u << 5,      /* child_id is the number of an inode */
    BC_HINT_CHILD = BC_HINT_PARTITION | BC_HINT_LINK
};

/* One key. attrs: as in the record, without xattrs. */
struct bc_hint_entry {
    const uint8_t *key; /* from a reader: valid until the next call on the same cursor or buffer */
    size_t key_size;
    uint32_t offset;      /* of the record, bytes */
    uint32_t record_size; /* whole record, bytes */
    uint32_t value_size;
    uint16_t flags; /* BC_HINT_* */
    uint64_t version;
    uint64_t child_id;
    bitcask_attrs attrs;
};

/* Fills in the flags of an entry from its record's and from its attributes, and takes the xattrs from these. */
static inline void bc_hint_entry_describe(uint16_t record_flags, struct bc_hint_entry *entry)
{
    if (record_flags & BC_RECORD_TOMBSTONE) entry->flags |= BC_HINT_TOMBSTONE;
    if (record_flags & BC_RECORD_PARTITION) entry->flags |= BC_HINT_PARTITION;
    if (record_flags & BC_RECORD_LINK) entry->flags |= BC_HINT_LINK;
    if (entry->attrs.present & BITCASK_ATTR_XATTRS) entry->flags |= BC_HINT_XATTRS;
    entry->attrs.present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    entry->attrs.xattrs = NULL;
    entry->attrs.xattrs_size = 0;
}

/* The name of segment id's hint, "000007.hint", into name[16]; and back, false for any other name. */
void bc_hint_name(uint32_t segment_id, char name[16]);
bool bc_hint_parse_name(const char *name, uint32_t *segment_id);

/* ---- writing ---- */

struct bc_hint_writer;

/* Begins a hint in the directory at, as BC_HINT_TEMPORARY_NAME. head is copied: its last_version is at least that of
 * each key, data_size an upper bound where it is not known yet. at must stay open. */
bc_status bc_hint_writer_open(struct bc_io *io, int at, const struct bc_hint_head *head,
                              struct bc_hint_writer **writer);

/* Adds a key; ascending, each once, its record within head.data_size bytes, its version at most head.last_version (all
 * asserted). Index and hashes grow in memory, blocks go to the file. xattrs among the attributes are left out. After a
 * failure only commit, which then fails as well, or abort is left. */
bc_status bc_hint_writer_add(struct bc_hint_writer *writer, const struct bc_hint_entry *entry);

/* Says how large the data file has become, where that was not known at the beginning: not less than the keys say. */
void bc_hint_writer_set_size(struct bc_hint_writer *writer, uint64_t data_size);

/* Ends it and gives it its name. Not synced: torn by a power cut it fails its check, and costs a scan.
 * *bytes (may be NULL): its size. Frees the writer, also on failure, and leaves no file behind then. */
bc_status bc_hint_writer_commit(struct bc_hint_writer **writer, uint64_t *bytes);

/* Gives up: removes the temporary file. A pointer to NULL is fine. */
void bc_hint_writer_abort(struct bc_hint_writer **writer);

/* ---- reading ---- */

struct bc_hint;

/* Opens the hint of segment_id and reads its head, filter and block index (not the entries), all checked. wanted:
 * generation and segment_id must match, and data_size too if exact, else not exceed wanted->data_size.
 * NOT_FOUND where there is none, CORRUPT (detail line) where it is not one to be used, IO, NO_MEMORY. */
bc_status bc_hint_open(struct bc_io *io, int at, const struct bc_hint_head *wanted, bool exact, struct bc_hint **hint);
void bc_hint_close(struct bc_hint **hint);

/* Only the head, of whatever generation: for a data file that cannot say its own any more. As bc_hint_open(). */
bc_status bc_hint_read_head(struct bc_io *io, int at, uint32_t segment_id, struct bc_hint_head *head);

/* Whether there is a hint that matches exactly, by its head and the file's size alone. */
bool bc_hint_looks_whole(struct bc_io *io, int at, const struct bc_hint_head *wanted);

const struct bc_hint_head *bc_hint_head(const struct bc_hint *hint);
uint64_t bc_hint_file_size(const struct bc_hint *hint);
size_t bc_hint_memory(const struct bc_hint *hint); /* bytes of memory held: filter and block index */

/* Asks the filter; hash as of bc_hash_key(). Reads nothing. */
bool bc_hint_may_contain(const struct bc_hint *hint, uint64_t hash);

/* Looks key up: one block is read and checked. OK with *entry, pointing into buffer (which is reset), NOT_FOUND, or
 * CORRUPT, IO, NO_MEMORY. */
bc_status bc_hint_find(const struct bc_hint *hint, const void *key, size_t key_size, struct bc_buffer *buffer,
                       struct bc_hint_entry *entry);

/* Walks the entries in key order. Reads ahead in pieces of about 128 KiB. The hint must outlive the cursor. */
struct bc_hint_cursor;
bc_status bc_hint_cursor_open(const struct bc_hint *hint, struct bc_hint_cursor **cursor);

/* The next entry, NOT_FOUND at the end; CORRUPT if a block fails its check, its keys are not in order, or there are not
 * head.keys of them; never hands out more. What failed to be read is read again by the next call. */
bc_status bc_hint_cursor_next(struct bc_hint_cursor *cursor, struct bc_hint_entry *entry);
void bc_hint_cursor_close(struct bc_hint_cursor **cursor);

#endif
