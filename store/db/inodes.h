/* inodes.h - files whose value is large or has several names: an inode in partition 1, extents beside it, links to it.
 *
 * Three layers: content.c holds the bytes (extents written, read, given up), inodes.c the record (loaded, changed,
 * encoded), change.c the names (what touches directory logs and partition 1 at once).
 *
 * Locks: an inode changes under the write_lock of partition 1 alone. A name that leads to it changes under that of its
 * directory too, which is taken first; so who holds the directory's finds a link and its inode in agreement, and who
 * holds neither may find a link whose inode has just gone.
 */
#ifndef BC_INODES_H
#define BC_INODES_H

#include "db/db.h"
#include "db/runs.h"
#include "log/inode_body.h"

#define BC_LINKS_MAX BITCASK_LINKS_MAX

/* ---- content.c ---- */

/* Where the bytes of a value are: in the body, or in extents. */
struct bc_content {
    uint64_t size;        /* bytes */
    uint8_t extent_shift; /* 0: in bytes */
    const void *bytes;    /* not owned */
    struct bc_run *runs;  /* owned; ascending */
    size_t run_count;
    bool written; /* the extents are new, and lost unless an inode comes to map them */
};

/* Makes a content of size bytes: what is large is written as extents to partition 1, which the caller has pinned, and
 * uses up *room of what is reserved there. No lock held. On failure nothing is left. */
bc_status bc_content_write(struct bitcask *db, struct bc_partition *inodes, const void *bytes, uint64_t size,
                           uint64_t *room, struct bc_content *content);

/* Gives up new extents that no inode came to map, and frees the runs. No lock held; partition 1 is pinned. */
void bc_content_release(struct bc_partition *inodes, struct bc_content *content);

/* A random number that names extents. */
bc_status bc_content_value_id(struct bitcask *db, uint64_t *value_id);

/* Appends extents, which use up *room of what is reserved. No lock held. */
struct bc_extent {
    uint64_t value_id, number;
    const void *bytes;
    uint32_t size;
};
bc_status bc_extents_append(struct bc_partition *inodes, const struct bc_extent *extents, size_t count, uint64_t *room);

/* ---- pinned.c ---- */

/* Pins the content of an inode. NOT_FOUND; CORRUPT, ... *value is closed with bc_pinned_close(). */
bc_status bc_inode_pin(struct bitcask *db, uint64_t ino, struct bc_value **value);
void bc_pinned_close(struct bc_value **value);

/* What bc_value_load() and so on are for a record. Values that bc_inode_pin() made only. */
bc_status bc_pinned_load(struct bc_value *value);
void bc_pinned_unload(struct bc_value *value);
bc_status bc_pinned_read(struct bc_value *value, uint64_t offset, void *buffer, size_t size, size_t *got);
const void *bc_pinned_data(const struct bc_value *value);
/* How many it stands in; 0: it stands in the inode's own record. */
uint64_t bc_pinned_extents(const struct bc_value *value);
uint64_t bc_pinned_size(const struct bc_value *value);
void bc_pinned_entry(const struct bc_value *value, bitcask_entry *entry);

/* Which inode it is, and the map, valid as long as the value; extent_shift 0: the content stands in the record. */
void bc_pinned_map(const struct bc_value *value, uint64_t *ino, uint8_t *extent_shift, const struct bc_run **runs,
                   size_t *count);

/* Where the next byte that is stored, or the next hole, is from offset on. NOT_FOUND: offset is not within the content,
 * or no more is stored. */
bc_status bc_pinned_seek(const struct bc_value *value, uint64_t offset, bool hole, uint64_t *found);

/* Fills in a public entry from an inode's. */
void bc_inode_to_public(const struct bc_entry *entry, const struct bc_inode_body *body, uint64_t ino, const void *key,
                        size_t key_size, bitcask_entry *out);

/* stat of an inode, under one of its names. NOT_FOUND, CORRUPT, ... */
bc_status bc_inode_stat(struct bitcask *db, uint64_t ino, const void *key, size_t key_size, bitcask_entry *out);

/* ---- holds.c: whoever reads an inode's extents, or writes new ones ---- */

/* Partition 1 stays open, and extents that the inode gives up stay in its index, until the last hold is dropped. No
 * write_lock held. */
bc_status bc_hold_take(struct bitcask *db, uint64_t ino);
void bc_hold_drop(struct bitcask *db, uint64_t ino);

/* Says that the inode maps these runs no more: they leave the index now, or with the last hold. write_lock of partition
 * 1 held. */
void bc_hold_gone(struct bitcask *db, struct bc_partition *inodes, uint64_t ino, const struct bc_run *runs,
                  size_t count);

/* What the inode gave up goes now, if nobody but the caller holds it. No write_lock held. */
void bc_hold_settle(struct bitcask *db, struct bc_partition *inodes, uint64_t ino);

/* Frees what is left, at the end of the store. */
void bc_holds_free(struct bitcask *db);

/* ---- inodes.c: the records. All with write_lock of partition 1 held ---- */

/* An inode that is to change: loaded, told what is new, encoded, appended. */
struct bc_inode {
    uint64_t ino;
    bool fresh;                 /* it is not there yet */
    struct bc_value *record;    /* as it is; NULL if fresh */
    struct bc_inode_body old;   /* of it */
    uint32_t links;             /* as it shall be; 0: it goes */
    struct bc_content *content; /* the new one, not owned; NULL: as it is */
    bitcask_attrs attrs;
    uint8_t key[BC_INODE_KEY_SIZE];
    struct bc_buffer body; /* encoded */
    struct bc_run *gone;   /* what it maps no more */
    size_t gone_count;
};

/* Loads inode ino, with its attributes as they are; NOT_FOUND. Released by the caller in either case. */
bc_status bc_inode_load(struct bc_partition *inodes, uint64_t ino, struct bc_inode *inode);

/* A new one, under a number that is not taken. */
bc_status bc_inode_new(struct bitcask *db, struct bc_partition *inodes, struct bc_inode *inode);

/* Puts a value into it: the attributes are replaced, as by a put. */
void bc_inode_set_content(struct bc_inode *inode, struct bc_content *content, const bitcask_attrs *attrs);

/* Prepares the record that is to be appended: all that can fail. */
bc_status bc_inode_encode(struct bc_inode *inode, struct bc_write *write);

/* After it was appended: what it maps no more is given up, its new content is its own. */
void bc_inode_done(struct bitcask *db, struct bc_partition *inodes, struct bc_inode *inode);
void bc_inode_release(struct bc_inode *inode);

/* Encodes, appends and ends one inode. */
bc_status bc_inode_put(struct bitcask *db, struct bc_partition *inodes, struct bc_inode *inode, bool is_due,
                       uint64_t *version);

/* ---- change.c: names. No lock is held, nor a directory pinned, by who calls these ---- */

/* Pins the value under key: a record, or what an inode holds, which has something `above`. IS_PARTITION, NOT_FOUND;
 * CORRUPT: a link whose inode is not there. */
bc_status bc_node_pin_value(struct bitcask_partition *node, const void *key, size_t key_size, struct bc_value **value);

/* What is known of a name. */
bc_status bc_node_stat(struct bitcask_partition *node, const void *key, size_t key_size, bitcask_entry *entry);

/* One operation on a name of a directory. */
struct bc_name_op {
    const struct bc_write *write; /* as a batch has it: a put or a tombstone */
    const void *value;            /* of a put */
    uint64_t value_size;
    struct bc_content *content; /* of a put: what a writer has prepared, instead of value. Its runs are taken over */
    const struct bc_content *based; /* then: extents that the inode must map, if any; or VERSION_MISMATCH */
    uint64_t version;               /* gets the record's, or the inode's */
    uint64_t ino;                   /* gets the inode's number; 0: it is a record */
    bool done;                      /* it shows, also where a sync behind it failed; false: a later one has the name */
};

/* Puts and deletions in one partition that concern inodes, or values that are large enough for one: all or nothing.
 * options: conditions, for a single operation, and flags; reserved is given back to the partition. */
bc_status bc_names_change(struct bitcask_partition *node, struct bc_name_op *ops, size_t count,
                          const bitcask_write_options *options);

/* OK, EXISTS, IS_PARTITION or VERSION_MISMATCH, for a name that is there (or not) with this version. */
bc_status bc_check_conditions(bool present, bool partition, uint64_t version, const bitcask_write_options *options);

/* Sets attributes of the inode that a link leads to. */
bc_status bc_link_set_attrs(struct bitcask_partition *node, const void *key, size_t key_size,
                            const bitcask_attrs *attrs, unsigned flags, uint64_t *version);

/* The number that 16 hex digits stand for, the key of a file in the handle on all files. NOT_FOUND: they are none. */
bc_status bc_files_number(const void *key, size_t key_size, uint64_t *ino);

/* A name of `instance` leads to an inode that is not there: damage, in words. */
bc_status bc_no_inode(const struct bc_partition *instance, uint64_t ino);

#endif
