/* ops_list.c - listing a directory: the log and the overlay merged, in memcmp order.
 *
 * Each request opens a query at its position and closes it, so a listing holds nothing between requests. The position
 * behind an entry is the number of its name (dirstream.h) and 3: "." and ".." come first.
 */
#include "ops.h"

#include "control.h"
#include "links.h"
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_NAME 3

/* One reply being filled. */
struct listing {
    fuse_req_t req;
    struct bcfs *fs;
    struct bcfs_inode *dir;
    bool plus;
    char *buffer;
    size_t size;
    size_t used;
    struct bcfs_inode **handed; /* plus: nodes in the buffer, each with the reference that will be the kernel's */
    size_t handed_count;
};

/* Adds one entry; false: it does not fit. attr has the number and the mode at least. */
static bool add(struct listing *listing, const char *name, const struct stat *attr, fuse_ino_t id, off_t position)
{
    char *at = listing->buffer + listing->used;
    size_t room = listing->size - listing->used;
    size_t needed = 0;

    if (listing->plus) {
        struct fuse_entry_param entry = {0};

        entry.ino = id;
        entry.attr = *attr;
        entry.attr_timeout = bcfs_timeout(listing->fs);
        entry.entry_timeout = bcfs_timeout(listing->fs);
        needed = fuse_add_direntry_plus(listing->req, at, room, name, &entry, position);
    } else {
        needed = fuse_add_direntry(listing->req, at, room, name, attr, position);
    }
    if (needed > room) return false;
    listing->used += needed;
    return true;
}

/* "." or "..": the kernel wants no node for these. */
static bool add_dots(struct listing *listing, off_t *position)
{
    struct stat attr;
    struct bcfs_inode *parent = NULL;

    memset(&attr, 0, sizeof(attr));
    attr.st_mode = S_IFDIR;
    if (*position == 0) {
        attr.st_ino = listing->dir->ino;
        if (!add(listing, ".", &attr, 0, 1)) return false;
        *position = 1;
    }
    if (*position == 1) {
        (void)pthread_mutex_lock(&listing->dir->lock);
        parent = listing->dir->parent;
        attr.st_ino = parent != NULL ? parent->ino : listing->dir->ino;
        (void)pthread_mutex_unlock(&listing->dir->lock);
        if (!add(listing, "..", &attr, 0, 2)) return false;
        *position = 2;
    }
    return true;
}

/* Adds a node's entry, under the name it has in this directory. Takes the reference over. */
static bool add_node(struct listing *listing, struct bcfs_inode *inode, const char *bytes, size_t name_size,
                     off_t position)
{
    char name[BITCASK_NAME_MAX + 1];
    struct stat attr;
    bool fits = false;

    (void)pthread_mutex_lock(&inode->lock);
    bcfs_inode_stat(inode, &attr);
    (void)pthread_mutex_unlock(&inode->lock);
    memcpy(name, bytes, name_size);
    name[name_size] = '\0';
    fits = add(listing, name, &attr, bcfs_inode_id(listing->fs, inode), position);
    if (fits && listing->plus) {
        listing->handed[listing->handed_count++] = inode;
    } else {
        bcfs_inode_unref(listing->fs, inode, 1);
    }
    return fits;
}

/* Adds an entry of the log. A plain listing makes no nodes, but shows those that are known as they are; so does any one
 * while there are too many nodes: the kernel looks up what it wants to know of a name. */
static bitcask_status add_entry(struct listing *listing, const bitcask_entry *entry, off_t position, bool *fits)
{
    struct bcfs_inode *inode = NULL;
    char name[BITCASK_NAME_MAX + 1];
    struct stat attr;
    bitcask_status status = BITCASK_OK;

    if (listing->plus && !bcfs_nodes_crowded(listing->fs)) {
        status = bcfs_node_of_entry(listing->fs, listing->dir, entry, &inode);
        if (status != BITCASK_OK) return status;
    } else {
        inode = bcfs_inode_find(listing->fs, listing->dir, entry->key, entry->key_size);
        if (inode == NULL && entry->file_id != 0) inode = bcfs_file_find(listing->fs, entry->file_id);
    }
    if (inode != NULL) {
        *fits = add_node(listing, inode, entry->key, entry->key_size, position);
        return BITCASK_OK;
    }
    memset(&attr, 0, sizeof(attr));
    attr.st_ino = entry->ino;
    attr.st_mode = entry->kind == BITCASK_PARTITION           ? S_IFDIR
                   : entry->attrs.present & BITCASK_ATTR_MODE ? entry->attrs.mode & S_IFMT
                                                              : S_IFREG;
    memcpy(name, entry->key, entry->key_size);
    name[entry->key_size] = '\0';
    *fits = add(listing, name, &attr, 0, position);
    return BITCASK_OK;
}

/* Adds what comes next of the two, and steps on. *fits: false ends the reply; so does the end of both (NULL, NULL). */
static bitcask_status add_next(struct listing *listing, bitcask_query *query, bitcask_entry *entry, bool *has_entry,
                               const struct bcfs_overlay_entry **memory, bool *fits)
{
    const struct bcfs_overlay_entry *node = *memory;
    bitcask_status status = BITCASK_OK;
    uint64_t number = 0;
    int order = 0;

    if (node == NULL) {
        order = -1;
    } else if (!*has_entry) {
        order = 1;
    } else {
        order = bcfs_name_compare(entry->key, entry->key_size, node->name, node->name_size);
    }
    if (order < 0) {
        if (!bcfs_positions_number(&listing->dir->dir->positions, entry->key, entry->key_size, &number)) {
            return BITCASK_NO_MEMORY;
        }
        status = add_entry(listing, entry, (off_t)number + FIRST_NAME, fits);
    } else if (node->inode != NULL) {
        if (!bcfs_positions_number(&listing->dir->dir->positions, node->name, node->name_size, &number)) {
            return BITCASK_NO_MEMORY;
        }
        bcfs_inode_ref(node->inode);
        *fits = add_node(listing, node->inode, node->name, node->name_size, (off_t)number + FIRST_NAME);
    }
    if (status != BITCASK_OK || !*fits) return status;
    if (order >= 0) *memory = node->next[0];
    if (order <= 0) {
        status = bitcask_query_next(query, entry);
        *has_entry = status == BITCASK_OK;
        if (status == BITCASK_NOT_FOUND) status = BITCASK_OK;
    }
    return status;
}

/* In a directory where names come and go, forgets the positions of long ago. The directory is locked. */
static void trim_positions(struct bcfs_inode *dir)
{
    bitcask_stats stats = {0};

    if (!bcfs_positions_are_many(&dir->dir->positions)) return;
    if (bitcask_partition_stats(dir->dir->partition, &stats) != BITCASK_OK) return;
    bcfs_positions_trim(&dir->dir->positions, stats.live_keys);
}

/* Fills the buffer with the names behind position. The directory is locked. */
static bitcask_status fill(struct listing *listing, off_t position)
{
    bitcask_query_options options = {0};
    bitcask_query *query = NULL;
    bitcask_entry entry = {0};
    bitcask_status status = BITCASK_OK;
    const struct bcfs_overlay_entry *memory = NULL;
    const void *name = "";
    size_t name_size = 0;
    bool has_entry = false;
    bool fits = true;
    char after[BITCASK_NAME_MAX];

    if (!add_dots(listing, &position)) return BITCASK_OK;
    trim_positions(listing->dir);
    if (position >= FIRST_NAME) {
        if (!bcfs_positions_name(&listing->dir->dir->positions, (uint64_t)position - FIRST_NAME, &name, &name_size)) {
            return BITCASK_BAD_ARGUMENT;
        }
        /* The table may move while it takes new names. */
        memcpy(after, name, name_size);
        options.from = after;
        options.from_size = name_size;
        options.from_exclusive = true;
    }
    memory = bcfs_overlay_after(&listing->dir->dir->overlay, name_size > 0 ? after : "", name_size);
    status = bitcask_query_open(listing->dir->dir->partition, &options, &query);
    /* A directory that was removed while someone has it open is empty. */
    if (listing->dir->state == BCFS_UNLINKED) status = BITCASK_NOT_FOUND;
    if (status == BITCASK_OK) status = bitcask_query_next(query, &entry);
    has_entry = status == BITCASK_OK;
    if (status == BITCASK_NOT_FOUND) status = BITCASK_OK;
    while (status == BITCASK_OK && fits && (has_entry || memory != NULL)) {
        status = add_next(listing, query, &entry, &has_entry, &memory, &fits);
    }
    bitcask_query_close(&query);
    /* What came before the failure is shown; the next request will meet it again. */
    return listing->used > 0 ? BITCASK_OK : status;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position, bool plus)
{
    struct bcfs *fs = bcfs_of(req);
    struct listing listing = {.req = req, .fs = fs, .dir = bcfs_inode_of(fs, ino), .plus = plus, .size = size};
    bitcask_status status = BITCASK_NO_MEMORY;

    if (listing.dir->control != NULL) {
        bcfs_control_list(req, listing.dir, size, position, plus);
        return;
    }
    /* No entry of READDIRPLUS takes less than its fixed part of 152 bytes. */
    listing.buffer = malloc(size + 1);
    if (plus) listing.handed = malloc((size / 152 + 1) * sizeof(*listing.handed));
    if (listing.buffer == NULL || (plus && listing.handed == NULL)) goto exit;
    status = BITCASK_BAD_ARGUMENT;
    if (listing.dir->dir == NULL || position < 0) goto exit;
    (void)pthread_rwlock_rdlock(&fs->nodes->tree);
    (void)pthread_mutex_lock(&listing.dir->dir->lock);
    status = fill(&listing, position);
    (void)pthread_mutex_unlock(&listing.dir->dir->lock);
    (void)pthread_rwlock_unlock(&fs->nodes->tree);

exit:
    if (status != BITCASK_OK) {
        bcfs_reply_status(req, status);
    } else if (fuse_reply_buf(req, listing.buffer, listing.used) != 0) {
        /* The kernel gave up waiting, and does not know of these lookups. */
        for (size_t i = 0; i < listing.handed_count; i++) bcfs_inode_unref(fs, listing.handed[i], 1);
    }
    free(listing.handed);
    free(listing.buffer);
}

void bcfs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info)
{
    (void)info;
    list(req, ino, size, off, false);
}

void bcfs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info)
{
    (void)info;
    list(req, ino, size, off, true);
}
