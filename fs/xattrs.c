/* xattrs.c - requests about extended attributes: the figures of a directory, the place of a file's record.
 *
 * Attributes of users are not kept yet. Those named user.bitcask.* are asked of the store each time, cannot be changed,
 * and are not listed, so that no cp -a or tar copies them; only .bitcask lists those of its directory, for getfattr -d.
 */
#include "ops.h"

#include "commit.h"
#include "control.h"
#include "moves.h"
#include "pending.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "user.bitcask."
#define PREFIX_SIZE (sizeof(PREFIX) - 1)

enum { VALUE_SIZE = 40, TRIES = 3 };

/* One figure of a directory: a member of bitcask_stats. */
struct metric {
    const char *name;
    size_t member;
    bool of_store;  /* counted for the whole store */
    bool divided;   /* nanoseconds, shown in seconds */
    bool fractions; /* of a second too */
};

#define METRIC(name) #name, offsetof(bitcask_stats, name)

static const struct metric metrics[] = {
    {METRIC(live_keys), .of_store = false},
    {METRIC(live_bytes), .of_store = false},
    {METRIC(dead_bytes), .of_store = false},
    {METRIC(data_bytes), .of_store = false},
    {METRIC(tombstone_bytes), .of_store = false},
    {METRIC(segments), .of_store = false},
    {METRIC(hint_bytes), .of_store = false},
    {METRIC(checkpoint_bytes), .of_store = false},
    {METRIC(index_bytes), .of_store = false},
    {METRIC(index_limit_bytes), .of_store = true},
    {METRIC(memory_closes), .of_store = true},
    {"open_seconds", offsetof(bitcask_stats, open_ns), .of_store = true, .divided = true, .fractions = true},
    {METRIC(damaged_regions), .of_store = false},
    {METRIC(bytes_written), .of_store = true},
    {METRIC(bytes_read), .of_store = true},
    {METRIC(merges), .of_store = false},
    {"merge_seconds", offsetof(bitcask_stats, merge_ns), .divided = true, .fractions = true},
    {METRIC(merge_reclaimed_bytes), .of_store = false},
    {METRIC(bloom_hits), .of_store = false},
    {METRIC(bloom_misses), .of_store = false},
    {"last_merge", offsetof(bitcask_stats, last_merge_ns), .divided = true},
    {METRIC(puts), .of_store = false},
    {METRIC(deletes), .of_store = false},
    {METRIC(gets), .of_store = false},
};

enum { METRICS = sizeof(metrics) / sizeof(metrics[0]) };

/* ---- directories ---- */

/* NOT_FOUND: there is no such figure. */
static bitcask_status read_metric(struct bcfs *fs, struct bcfs_inode *dir, const char *name, char value[VALUE_SIZE])
{
    const struct metric *metric = metrics;
    bitcask_stats stats = {0};
    uint64_t number = 0;
    bitcask_status status = BITCASK_OK;

    while (metric < metrics + METRICS && strcmp(name, metric->name) != 0) metric++;
    if (metric == metrics + METRICS) return BITCASK_NOT_FOUND;
    if (!fs->options.read_only) {
        /* So that what was just created counts. What cannot be committed keeps its error for its own files. */
        (void)bcfs_moves_complete(fs);
        (void)bcfs_commit_dir(fs, dir, BCFS_ALL);
    }
    status =
        metric->of_store ? bitcask_get_stats(fs->db, &stats) : bitcask_partition_stats(dir->dir->partition, &stats);
    if (status != BITCASK_OK) return status;
    memcpy(&number, (const char *)&stats + metric->member, sizeof(number));
    if (!metric->divided) {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu64, number);
    } else if (!metric->fractions) {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu64, number / 1000000000u);
    } else {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu64 ".%09" PRIu64, number / 1000000000u, number % 1000000000u);
    }
    return BITCASK_OK;
}

/* ---- files ---- */

static bool print_location(const bitcask_location *location, const char *name, char value[VALUE_SIZE])
{
    if (strcmp(name, "version") == 0) {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu64, location->version);
    } else if (strcmp(name, "segment") == 0) {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu32, location->segment_id);
    } else if (strcmp(name, "offset") == 0) {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu64, location->offset);
    } else if (strcmp(name, "record_bytes") == 0) {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu64, location->record_bytes);
    } else if (strcmp(name, "crc32") == 0) {
        (void)snprintf(value, VALUE_SIZE, "%08" PRIx32, location->value_crc);
    } else {
        return false;
    }
    return true;
}

/* Where the record is now. NOT_FOUND: there is none, or a round of moves has just taken it away. */
static bitcask_status locate(struct bcfs_inode *inode, bitcask_location *location)
{
    bitcask_partition *partition = NULL;
    const char *name = NULL;
    size_t name_size = 0;
    bitcask_status status = BITCASK_NOT_FOUND;

    (void)pthread_mutex_lock(&inode->lock);
    if (inode->state == BCFS_COMMITTED || inode->state == BCFS_MOVED) {
        bcfs_inode_home(inode, &partition, &name, &name_size);
        status = bitcask_locate(partition, name, name_size, location);
    }
    (void)pthread_mutex_unlock(&inode->lock);
    return status;
}

/* NOT_FOUND: there is no such attribute, or nothing in the log to speak of (the file was removed). */
static bitcask_status read_location(struct bcfs *fs, struct bcfs_inode *inode, const char *name, char value[VALUE_SIZE])
{
    bitcask_location location = {0};
    bitcask_status status = BITCASK_NOT_FOUND;

    if (!print_location(&location, name, value)) return BITCASK_NOT_FOUND;
    for (int i = 0; status == BITCASK_NOT_FOUND && i < TRIES; i++) {
        status = fs->options.read_only ? BITCASK_OK : bcfs_commit_inode(fs, inode);
        if (status == BITCASK_OK) status = locate(inode, &location);
    }
    if (status == BITCASK_OK) (void)print_location(&location, name, value);
    return status;
}

/* ---- the four requests ---- */

static bool is_ours(const char *name)
{
    return strncmp(name, PREFIX, PREFIX_SIZE) == 0;
}

/* Answers as getxattr(2) and listxattr(2) do: a size of 0 asks for the size. */
static void reply_bytes(fuse_req_t req, const char *bytes, size_t count, size_t size)
{
    if (size == 0) {
        (void)fuse_reply_xattr(req, count);
    } else if (size < count) {
        (void)fuse_reply_err(req, ERANGE);
    } else {
        (void)fuse_reply_buf(req, count > 0 ? bytes : NULL, count);
    }
}

void bcfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    char value[VALUE_SIZE];
    bitcask_status status = BITCASK_NOT_FOUND;

    if (!is_ours(name) || (inode->control != NULL && inode->control->file != NULL)) {
        (void)fuse_reply_err(req, ENODATA);
        return;
    }
    name += PREFIX_SIZE;
    if (inode->control != NULL) {
        status = read_metric(fs, bcfs_control_dir(inode), name, value);
    } else if (inode->dir != NULL) {
        status = read_metric(fs, inode, name, value);
    } else {
        status = read_location(fs, inode, name, value);
    }
    if (status == BITCASK_OK) {
        reply_bytes(req, value, strlen(value), size);
    } else if (status == BITCASK_NOT_FOUND) {
        (void)fuse_reply_err(req, ENODATA);
    } else {
        bcfs_reply_status(req, status);
    }
}

void bcfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    const struct bcfs_inode *inode = bcfs_inode_of(bcfs_of(req), ino);
    char list[METRICS * 48];
    size_t used = 0;

    if (inode->control != NULL && inode->control->file == NULL) {
        for (size_t i = 0; i < METRICS; i++) {
            used += (size_t)snprintf(list + used, sizeof(list) - used, PREFIX "%s", metrics[i].name) + 1;
        }
    }
    reply_bytes(req, list, used, size);
}

/* What changing an attribute is answered with. */
static int refusal(fuse_req_t req, const char *name)
{
    if (is_ours(name)) return EPERM;
    return bcfs_of(req)->options.read_only ? EROFS : EOPNOTSUPP;
}

void bcfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    (void)ino;
    (void)value;
    (void)size;
    (void)flags;
    (void)fuse_reply_err(req, refusal(req, name));
}

void bcfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)ino;
    (void)fuse_reply_err(req, refusal(req, name));
}
