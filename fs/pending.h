/* pending.h - the content of a file in memory: changed and not committed, loaded to be read, or outliving its name.
 *
 * A clean file has none of this. The first change, or the first read of a large value, makes it; the commit, or the
 * cache's bound, takes it away. It has one of three forms: bytes of our own, all of them, of a file that is small; a
 * writer, which has a few extents of a large one in memory and the others in the log; or a pinned value, which may not
 * be written.
 *
 * Invariants: a file with BCFS_DIRTY_CONTENT has its content in one of the first two forms. While a named file's
 * content is dirty, the room for its commit is reserved in its directory's partition (`reserved`), and by the writer.
 * Threads: inode->lock for all functions and fields, unless noted.
 */
#ifndef BCFS_PENDING_H
#define BCFS_PENDING_H

#include "inode.h"

/* A value of up to this size is read anew for each request; larger ones stay pinned for a while. */
#define BCFS_SMALL_VALUE 131072u

struct bcfs_pending {
    struct bcfs_inode *inode;
    uint8_t *data;          /* the content, inode->size bytes, owned; NULL: it has another form, or is empty */
    size_t capacity;        /* of data */
    bitcask_value *value;   /* the content, pinned, or NULL */
    bitcask_writer *writer; /* the content, being written, or written lately; or NULL */
    bool loaded;            /* it can be read: only false where there is none of these, or value is as yet unchecked */
    uint64_t reserved;      /* bytes reserved in the parent's partition */
    bitcask_status error;   /* of a commit that failed, until someone was told */

    struct bcfs_dir *listed_in; /* in whose `changed` list this is; dirty_lock, as the next five */
    TAILQ_ENTRY(bcfs_pending) changed_link;
    int64_t first_ms; /* first and last change since the last commit */
    int64_t last_ms;
    bool emptied;     /* a file that has a content in the store was cut to nothing, and not written since */
    uint64_t counted; /* what it has in nodes->pending_bytes, or unlinked_bytes */

    TAILQ_ENTRY(bcfs_pending) cache_link; /* cache_lock, as the next */
    uint64_t cached;                      /* bytes it has in nodes->cached_bytes; 0: not in that list */
};

/* Makes inode->pending if there is none. False: no memory. */
bool bcfs_pending_make(struct bcfs_inode *inode);

/* Bytes of memory that the content takes. */
uint64_t bcfs_pending_bytes(const struct bcfs_pending *pending);

/* Of a file without a name: lets the log have what stands in memory, if there is much of such files. Nothing is lost
 * where that fails. */
bitcask_status bcfs_content_spill(struct bcfs *fs, struct bcfs_inode *inode);

/* Frees inode->pending, which is in no list any more and has nothing reserved. It may be NULL. */
void bcfs_pending_free(struct bcfs_inode *inode);

/* Gets rid of clean content, and of inode->pending if nothing else needs it. What only memory has is kept, and all of
 * a busy node. */
void bcfs_pending_drop(struct bcfs *fs, struct bcfs_inode *inode);

/* The same for a node that has just become clean, or idle: large content that is loaded is cached instead. */
void bcfs_pending_rest(struct bcfs *fs, struct bcfs_inode *inode);

/* Where the record of a file in state COMMITTED or MOVED stands. Nothing is owned by the caller. */
void bcfs_inode_home(const struct bcfs_inode *inode, bitcask_partition **partition, const char **name,
                     size_t *name_size);

/* Pins the committed value, without reading it, so that the content outlives the record. Nothing to do for content
 * that is in memory, or empty, or pinned. */
bitcask_status bcfs_content_pin(struct bcfs_inode *inode);

/* Brings the content in. NOT_FOUND in state MOVED: the round that moves it is just over or being done; wait for it. */
bitcask_status bcfs_content_load(struct bcfs_inode *inode);

/* Copies size bytes of the content, which is loaded, from offset, where they are: IO, CORRUPT where they cannot be had
 * any more. */
bitcask_status bcfs_content_copy(const struct bcfs_pending *pending, uint64_t offset, void *buffer, size_t size);

/* Writes, or changes the size, filling with zeros; or makes a part read as zeros, and holes where it can be. Room is
 * reserved before anything changes; on failure nothing has changed. The new size is at most BITCASK_SIZE_MAX. Not for
 * state MOVED. The caller sets times and marks dirty. */
bitcask_status bcfs_content_write(struct bcfs *fs, struct bcfs_inode *inode, const void *bytes, size_t size,
                                  uint64_t offset);
bitcask_status bcfs_content_resize(struct bcfs *fs, struct bcfs_inode *inode, uint64_t size);
bitcask_status bcfs_content_clear(struct bcfs *fs, struct bcfs_inode *inode, uint64_t offset, uint64_t size);

/* Reserves room for writes to a part, which may reach beyond the end. */
bitcask_status bcfs_content_allocate(struct bcfs *fs, struct bcfs_inode *inode, uint64_t offset, uint64_t size);

/* As bitcask_value_seek(). */
bitcask_status bcfs_content_seek(struct bcfs_inode *inode, uint64_t offset, bool hole, uint64_t *found);

/* Bytes to be reserved in the directory for a commit with a content of size bytes. */
uint64_t bcfs_content_bound(const struct bcfs_inode *inode, size_t name_size, uint64_t size, size_t xattrs_size);

/* Makes sure that a commit with a content of size bytes has its room. Nothing to do for a file without a name. */
bitcask_status bcfs_content_reserve(struct bcfs_inode *inode, uint64_t size);

/* The list of extended attributes had xattrs_size bytes and may have become shorter: gives back the room that is not
 * needed for it any more. What fallocate(2) asked for stays. */
void bcfs_content_trim(struct bcfs_inode *inode, size_t xattrs_size);

/* Gives the reserved room back: there will be no commit, or not here. */
void bcfs_content_unreserve(struct bcfs_inode *inode);

#endif
