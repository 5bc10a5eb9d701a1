/* xattrs.c - requests about extended attributes: what users keep, the figures of a directory, the place of a record.
 *
 * user.*, trusted.*, security.* and ACLs are kept with the file. Who may see and change them the kernel decides; what
 * goes with an ACL is done here. Those named user.bitcask.* are asked of the store each time, cannot be changed, and
 * are not listed, so that no cp -a or tar copies them; only .bitcask lists those of its directory, for getfattr -d.
 */
#include "ops.h"

#include "acl.h"
#include "commit.h"
#include "control.h"
#include "init.h"
#include "moves.h"
#include "node_xattrs.h"
#include "pending.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

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
    {METRIC(log_bytes_written), .of_store = false},
    {METRIC(syncs), .of_store = true},
    {METRIC(poisoned), .of_store = false},
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
    } else if (strcmp(name, "extents") == 0) {
        (void)snprintf(value, VALUE_SIZE, "%" PRIu64, location->extents);
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

/* ---- what users keep ---- */

static bool is_ours(const char *name)
{
    return strncmp(name, PREFIX, PREFIX_SIZE) == 0;
}

/* 0, or what ext4 says to such a name, whatever is asked. */
static int check_name(const struct bcfs *fs, const char *name)
{
    static const char *const spaces[] = {"user.", "trusted.", "security."};

    if (bcfs_acl_is_name(name)) return fs->options.acl ? 0 : EOPNOTSUPP;
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        size_t size = strlen(spaces[i]);

        if (strncmp(name, spaces[i], size) == 0) return name[size] != '\0' ? 0 : EINVAL;
    }
    return EOPNOTSUPP;
}

/* Locks inode->lock, with the list in memory. On failure the lock is not held. */
static bitcask_status lock_loaded(struct bcfs *fs, struct bcfs_inode *inode)
{
    for (;;) {
        bitcask_status status = BITCASK_OK;
        bool moved = false;

        (void)pthread_mutex_lock(&inode->lock);
        moved = inode->state == BCFS_MOVED;
        status = bcfs_xattrs_load(inode);
        if (status == BITCASK_OK) return status;
        (void)pthread_mutex_unlock(&inode->lock);
        if (status != BITCASK_NOT_FOUND) return status;
        if (!moved || !bcfs_moves_wait(fs, inode)) return BITCASK_IO;
    }
}

/* Answers as getxattr(2) and listxattr(2) do: a size of 0 asks for the size. */
static void reply_bytes(fuse_req_t req, const void *bytes, size_t count, size_t size)
{
    if (size == 0) {
        (void)fuse_reply_xattr(req, count);
    } else if (size < count) {
        (void)fuse_reply_err(req, ERANGE);
    } else {
        (void)fuse_reply_buf(req, count > 0 ? bytes : NULL, count);
    }
}

static void get_kept(fuse_req_t req, struct bcfs_inode *inode, const char *name, size_t size)
{
    struct bcfs_xattr xattr;
    uint8_t small[256], *value = NULL;
    int error = check_name(bcfs_of(req), name);
    bitcask_status status = error == 0 ? lock_loaded(bcfs_of(req), inode) : BITCASK_OK;

    if (error != 0) {
        (void)fuse_reply_err(req, error);
        return;
    }
    if (status != BITCASK_OK) {
        bcfs_reply_status(req, status);
        return;
    }
    if (bcfs_xattrs_find(inode, name, &xattr)) {
        value = xattr.value_size <= sizeof(small) ? small : malloc(xattr.value_size);
        if (value != NULL && xattr.value_size > 0) memcpy(value, xattr.value, xattr.value_size);
        if (value == NULL) error = ENOMEM;
    } else {
        error = ENODATA;
    }
    bcfs_xattrs_rest(inode);
    (void)pthread_mutex_unlock(&inode->lock);
    if (error != 0) {
        (void)fuse_reply_err(req, error);
    } else {
        reply_bytes(req, value, xattr.value_size, size);
    }
    if (value != small) free(value);
}

/* What listxattr(2) shows to the caller. trusted.* is for root alone. */
static bool is_shown(fuse_req_t req, const struct bcfs_xattr *xattr)
{
    char name[BCFS_XATTR_NAME_MAX + 1];

    memcpy(name, xattr->name, xattr->name_size);
    name[xattr->name_size] = '\0';
    if (is_ours(name) || check_name(bcfs_of(req), name) != 0) return false;
    return fuse_req_ctx(req)->uid == 0 || strncmp(name, "trusted.", strlen("trusted.")) != 0;
}

static void list_kept(fuse_req_t req, struct bcfs_inode *inode, size_t size)
{
    struct bcfs_xattr xattr;
    char *names = NULL;
    size_t used = 0;
    size_t place = 0;
    bitcask_status status = lock_loaded(bcfs_of(req), inode);

    if (status != BITCASK_OK) {
        bcfs_reply_status(req, status);
        return;
    }
    if (inode->xattrs != NULL && bcfs_xattr_list_check(inode->xattrs->bytes, inode->xattrs->size)) {
        names = malloc(inode->xattrs->size); /* the sizes take more than the NULs do */
        if (names == NULL) status = BITCASK_NO_MEMORY;
        while (names != NULL && bcfs_xattr_list_next(inode->xattrs->bytes, inode->xattrs->size, &place, &xattr)) {
            if (!is_shown(req, &xattr)) continue;
            memcpy(names + used, xattr.name, xattr.name_size);
            names[used + xattr.name_size] = '\0';
            used += xattr.name_size + 1;
        }
    }
    bcfs_xattrs_rest(inode);
    (void)pthread_mutex_unlock(&inode->lock);
    if (status == BITCASK_OK) {
        reply_bytes(req, names, used, size);
    } else {
        bcfs_reply_status(req, status);
    }
    free(names);
}

/* What a SETXATTR or a REMOVEXATTR is about. */
struct change {
    const char *name;
    const void *value; /* NULL: to be removed */
    size_t size;
    int flags;       /* XATTR_CREATE, XATTR_REPLACE */
    bool kills_sgid; /* of an access ACL: who sets it may not keep setgid */
    uint32_t mode;   /* that the node gets with it */
};

/* An access ACL is also the mode; one that says no more than that is not kept. Returns 0 or an errno. */
static int apply_acl(const struct bcfs_inode *inode, struct change *change)
{
    bool is_default = strcmp(change->name, BCFS_ACL_DEFAULT) == 0;

    if (S_ISLNK(inode->mode)) return EOPNOTSUPP;
    if (change->value == NULL) return 0;
    if (is_default && inode->dir == NULL) return EACCES;
    if (!bcfs_acl_check(change->value, change->size)) return EINVAL;
    if (is_default) return 0;
    if (bcfs_acl_to_mode(change->value, change->size, &change->mode)) change->value = NULL;
    if (change->kills_sgid) change->mode &= ~(uint32_t)S_ISGID;
    return 0;
}

/* Changes the list in memory, and makes sure that there is room for it in the log; the old list goes to *old. Returns 0
 * or an errno; then nothing has changed. inode->lock is held. */
static int change_list(struct bcfs *fs, struct bcfs_inode *inode, struct change *change, struct bcfs_xattr_list **old)
{
    struct bcfs_xattr found;
    bool is_there = bcfs_xattrs_find(inode, change->name, &found);
    bool removes = change->value == NULL;
    bitcask_status status = BITCASK_OK;
    int error = 0;

    change->mode = inode->mode;
    if (is_there && change->flags & XATTR_CREATE) return EEXIST;
    if (!is_there && change->flags & XATTR_REPLACE) return ENODATA;
    if (bcfs_acl_is_name(change->name)) {
        error = apply_acl(inode, change);
    } else if (removes && !is_there) {
        error = ENODATA;
    }
    if (error != 0) return error;
    status = bcfs_xattrs_change(inode, change->name, change->value, change->size, old);
    if (status != BITCASK_OK) return bitcask_status_errno(status);
    if (inode->dir == NULL) {
        bcfs_content_trim(inode, *old != NULL ? (*old)->size : 0);
        status = bcfs_content_reserve(inode, inode->size);
    }
    if (status != BITCASK_OK) {
        free(bcfs_xattrs_swap(inode, *old));
        *old = NULL;
        return bitcask_status_errno(status);
    }
    if (change->mode != inode->mode) inode->assumed = 0;
    inode->mode = change->mode;
    inode->ctime_ns = bcfs_now_ns(fs);
    return 0;
}

static int change_file(struct bcfs *fs, struct bcfs_inode *inode, struct change *change)
{
    struct bcfs_xattr_list *old = NULL;
    /* What removes one makes less of it. */
    bitcask_status status = change->value != NULL ? bcfs_wait_for_room(fs) : BITCASK_OK;
    int error = 0;

    if (status == BITCASK_OK) status = bcfs_lock_settled(fs, inode);

    if (status != BITCASK_OK) return bitcask_status_errno(status);
    status = bcfs_xattrs_load(inode);
    if (status == BITCASK_OK && !bcfs_pending_make(inode)) status = BITCASK_NO_MEMORY;
    error = status == BITCASK_OK ? change_list(fs, inode, change, &old) : bitcask_status_errno(status);
    if (error == 0) bcfs_dirty_mark(fs, inode, BCFS_DIRTY_ATTRS | BCFS_DIRTY_XATTRS);
    (void)pthread_mutex_unlock(&inode->lock);
    free(old);
    return error != 0 ? error : bitcask_status_errno(bcfs_commit_if_asked(fs, inode));
}

/* A directory has no room reserved, so the change is written at once, and taken back where that fails. */
static int change_dir(struct bcfs *fs, struct bcfs_inode *inode, struct change *change)
{
    struct bcfs_xattr_list *old = NULL;
    const struct bcfs_xattr_list *made = NULL;
    bitcask_status status = lock_loaded(fs, inode);
    uint32_t old_mode = 0;
    int error = 0;

    if (status != BITCASK_OK) return bitcask_status_errno(status);
    old_mode = inode->mode;
    error = change_list(fs, inode, change, &old);
    made = inode->xattrs;
    if (error == 0) inode->dirty |= BCFS_DIRTY_XATTRS;
    (void)pthread_mutex_unlock(&inode->lock);
    if (error != 0) return error;
    bcfs_dirty_mark_dir(fs, inode, true);
    status = bcfs_commit_dir_attrs(fs, inode);
    (void)pthread_mutex_lock(&inode->lock);
    if (status == BITCASK_OK) {
        bcfs_xattrs_rest(inode);
    } else if (inode->xattrs == made) {
        old = bcfs_xattrs_swap(inode, old);
        if (inode->mode == change->mode) inode->mode = old_mode;
    }
    (void)pthread_mutex_unlock(&inode->lock);
    free(old);
    return bitcask_status_errno(status);
}

static void change_kept(fuse_req_t req, fuse_ino_t ino, struct change *change)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    int error = 0;

    if (is_ours(change->name) || inode->control != NULL) {
        error = EPERM;
    } else if (fs->options.read_only) {
        error = EROFS;
    } else {
        error = check_name(fs, change->name);
    }
    if (error == 0) error = inode->dir != NULL ? change_dir(fs, inode, change) : change_file(fs, inode, change);
    (void)fuse_reply_err(req, error);
}

/* ---- the four requests ---- */

void bcfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct bcfs *fs = bcfs_of(req);
    struct bcfs_inode *inode = bcfs_inode_of(fs, ino);
    char value[VALUE_SIZE];
    bitcask_status status = BITCASK_NOT_FOUND;

    if (!is_ours(name) && inode->control == NULL) {
        get_kept(req, inode, name, size);
        return;
    }
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
    struct bcfs_inode *inode = bcfs_inode_of(bcfs_of(req), ino);
    char list[METRICS * 48];
    size_t used = 0;

    if (inode->control == NULL) {
        list_kept(req, inode, size);
        return;
    }
    if (inode->control->file == NULL) {
        for (size_t i = 0; i < METRICS; i++) {
            used += (size_t)snprintf(list + used, sizeof(list) - used, PREFIX "%s", metrics[i].name) + 1;
        }
    }
    reply_bytes(req, list, used, size);
}

void bcfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    struct change change = {.name = name, .value = value, .size = size, .flags = flags};

    /* An empty ACL is none. */
    if (size == 0 && bcfs_acl_is_name(name)) change.value = NULL;
    change.kills_sgid = bcfs_request_kills_sgid();
    change_kept(req, ino, &change);
}

void bcfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct change change = {.name = name};

    change_kept(req, ino, &change);
}
