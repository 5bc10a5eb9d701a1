/* links.c - the names of shared files: their lists, and the two tables that find them. */
#include "links.h"

#include "dirty.h"
#include "node_xattrs.h"
#include "pending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FIRST_BUCKETS 64u

/* ---- the table of names ---- */

static size_t link_bucket(const struct bcfs_nodes *nodes, const struct bcfs_inode *parent, const char *name,
                          size_t name_size)
{
    return XXH3_64bits_withSeed(name, name_size, (XXH64_hash_t)(uintptr_t)parent) & (nodes->link_buckets - 1);
}

static void link_name(struct bcfs_nodes *nodes, struct bcfs_name *name)
{
    struct bcfs_name **head = &nodes->by_link[link_bucket(nodes, name->parent, name->name, name->name_size)];

    name->next_by_name = *head;
    *head = name;
    nodes->link_count++;
}

static void unlink_name(struct bcfs_nodes *nodes, struct bcfs_name *name)
{
    struct bcfs_name **link = &nodes->by_link[link_bucket(nodes, name->parent, name->name, name->name_size)];

    while (*link != name) link = &(*link)->next_by_name;
    *link = name->next_by_name;
    nodes->link_count--;
}

/* Doubles the table; where there is no memory for it, it only gets slower. */
static void grow_links(struct bcfs_nodes *nodes)
{
    size_t old_buckets = nodes->link_buckets;
    struct bcfs_name **old = nodes->by_link;
    struct bcfs_name **grown = calloc(old_buckets * 2, sizeof(*grown));

    if (grown == NULL) return;
    nodes->by_link = grown;
    nodes->link_buckets = old_buckets * 2;
    nodes->link_count = 0;
    for (size_t i = 0; i < old_buckets; i++) {
        struct bcfs_name *next = NULL;

        for (struct bcfs_name *name = old[i]; name != NULL; name = next) {
            next = name->next_by_name;
            link_name(nodes, name);
        }
    }
    free(old);
}

struct bcfs_name *bcfs_link_find_locked(const struct bcfs_nodes *nodes, const struct bcfs_inode *parent,
                                        const char *name, size_t name_size)
{
    struct bcfs_name *link = nodes->by_link[link_bucket(nodes, parent, name, name_size)];

    while (link != NULL &&
           (link->parent != parent || link->name_size != name_size || memcmp(link->name, name, name_size) != 0)) {
        link = link->next_by_name;
    }
    return link;
}

/* ---- the table of shared files ---- */

/* Their numbers are random. */
static struct bcfs_inode **file_bucket(const struct bcfs_nodes *nodes, uint64_t file_id)
{
    return &nodes->by_file[file_id & (nodes->file_buckets - 1)];
}

static void grow_files(struct bcfs_nodes *nodes)
{
    size_t old_buckets = nodes->file_buckets;
    struct bcfs_inode **old = nodes->by_file;
    struct bcfs_inode **grown = calloc(old_buckets * 2, sizeof(*grown));

    if (grown == NULL) return;
    nodes->by_file = grown;
    nodes->file_buckets = old_buckets * 2;
    for (size_t i = 0; i < old_buckets; i++) {
        struct bcfs_inode *next = NULL;

        for (struct bcfs_inode *inode = old[i]; inode != NULL; inode = next) {
            struct bcfs_inode **head = file_bucket(nodes, inode->file_id);

            next = inode->next_by_file;
            inode->next_by_file = *head;
            *head = inode;
        }
    }
    free(old);
}

struct bcfs_inode *bcfs_file_find_locked(const struct bcfs_nodes *nodes, uint64_t file_id)
{
    struct bcfs_inode *inode = *file_bucket(nodes, file_id);

    while (inode != NULL && inode->file_id != file_id) inode = inode->next_by_file;
    return inode;
}

void bcfs_file_add_locked(struct bcfs_nodes *nodes, struct bcfs_inode *inode)
{
    struct bcfs_inode **head = NULL;

    if (nodes->file_count >= nodes->file_buckets) grow_files(nodes);
    head = file_bucket(nodes, inode->file_id);
    inode->next_by_file = *head;
    *head = inode;
    nodes->file_count++;
}

/* table_lock is held. Not every file that has a number is in the table: one with a single name need not be. */
static void unlink_file(struct bcfs_nodes *nodes, struct bcfs_inode *inode)
{
    struct bcfs_inode **link = NULL;

    if (inode->file_id == 0) return;
    link = file_bucket(nodes, inode->file_id);
    while (*link != NULL && *link != inode) link = &(*link)->next_by_file;
    if (*link == NULL) return;
    *link = inode->next_by_file;
    nodes->file_count--;
}

/* ---- both ---- */

bool bcfs_links_init(struct bcfs_nodes *nodes)
{
    nodes->link_buckets = FIRST_BUCKETS;
    nodes->file_buckets = FIRST_BUCKETS;
    nodes->by_link = calloc(FIRST_BUCKETS, sizeof(*nodes->by_link));
    nodes->by_file = calloc(FIRST_BUCKETS, sizeof(*nodes->by_file));
    return nodes->by_link != NULL && nodes->by_file != NULL;
}

void bcfs_links_release(struct bcfs_nodes *nodes)
{
    free(nodes->by_link);
    free(nodes->by_file);
    nodes->by_link = NULL;
    nodes->by_file = NULL;
}

void bcfs_links_drop_locked(struct bcfs_nodes *nodes, struct bcfs_inode *inode)
{
    struct bcfs_name *name = NULL;

    LIST_FOREACH(name, &inode->names, link)
    {
        unlink_name(nodes, name);
    }
    unlink_file(nodes, inode);
}

/* ---- names ---- */

struct bcfs_name *bcfs_name_new(struct bcfs_inode *inode, struct bcfs_inode *parent, const char *name, size_t name_size)
{
    struct bcfs_name *made = calloc(1, sizeof(*made));

    assert(name_size >= 1 && name_size <= BITCASK_NAME_MAX);
    if (made != NULL) made->name = malloc(name_size + 1);
    if (made == NULL || made->name == NULL) {
        free(made);
        return NULL;
    }
    memcpy(made->name, name, name_size);
    made->name[name_size] = '\0';
    made->name_size = (uint8_t)name_size;
    made->inode = inode;
    made->parent = parent;
    bcfs_inode_ref(parent);
    return made;
}

void bcfs_name_free(struct bcfs *fs, struct bcfs_name *name)
{
    if (name == NULL) return;
    bcfs_inode_unref(fs, name->parent, 1);
    free(name->name);
    free(name);
}

void bcfs_names_free(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_name *name = NULL;

    while ((name = LIST_FIRST(&inode->names)) != NULL) {
        LIST_REMOVE(name, link);
        bcfs_name_free(fs, name);
    }
}

void bcfs_names_orphan(struct bcfs_inode *inode)
{
    struct bcfs_name *name = NULL;

    LIST_FOREACH(name, &inode->names, link)
    {
        name->parent = NULL;
    }
}

void bcfs_name_add(struct bcfs *fs, struct bcfs_name *name)
{
    struct bcfs_nodes *nodes = fs->nodes;

    (void)pthread_mutex_lock(&name->inode->lock);
    LIST_INSERT_HEAD(&name->inode->names, name, link);
    (void)pthread_mutex_lock(&nodes->table_lock);
    if (nodes->link_count >= nodes->link_buckets) grow_links(nodes);
    link_name(nodes, name);
    (void)pthread_mutex_unlock(&nodes->table_lock);
    (void)pthread_mutex_unlock(&name->inode->lock);
}

struct bcfs_inode *bcfs_name_remove(struct bcfs *fs, struct bcfs_name *name)
{
    struct bcfs_inode *parent = name->parent;
    struct bcfs_inode *inode = name->inode;

    (void)pthread_mutex_lock(&inode->lock);
    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    unlink_name(fs->nodes, name);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    LIST_REMOVE(name, link);
    (void)pthread_mutex_unlock(&inode->lock);
    free(name->name);
    free(name);
    return parent;
}

struct bcfs_inode *bcfs_name_rename(struct bcfs *fs, struct bcfs_name *name, struct bcfs_inode *parent, char *new_name,
                                    size_t name_size)
{
    struct bcfs_inode *old_parent = name->parent;
    char *old_name = name->name;

    bcfs_inode_ref(parent);
    (void)pthread_mutex_lock(&name->inode->lock);
    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    unlink_name(fs->nodes, name);
    name->parent = parent;
    name->name = new_name;
    name->name_size = (uint8_t)name_size;
    link_name(fs->nodes, name);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    (void)pthread_mutex_unlock(&name->inode->lock);
    free(old_name);
    return old_parent;
}

struct bcfs_name *bcfs_name_of(struct bcfs *fs, const struct bcfs_inode *parent, const char *name, size_t name_size)
{
    struct bcfs_name *found = NULL;

    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    if (fs->nodes->link_count > 0) found = bcfs_link_find_locked(fs->nodes, parent, name, name_size);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    return found;
}

/* The directories of all names, with a reference each, one after the other only once. */
static bitcask_status find_parents(struct bcfs_inode *inode, struct bcfs_inode ***parents, size_t *count)
{
    const struct bcfs_name *name = NULL;
    bitcask_status status = BITCASK_OK;
    size_t most = 0;

    *parents = NULL;
    *count = 0;
    (void)pthread_mutex_lock(&inode->lock);
    LIST_FOREACH(name, &inode->names, link) most++;
    if (most > 0) *parents = malloc(most * sizeof(struct bcfs_inode *));
    if (most > 0 && *parents == NULL) status = BITCASK_NO_MEMORY;
    LIST_FOREACH(name, &inode->names, link)
    {
        if (status != BITCASK_OK || (*count > 0 && (*parents)[*count - 1] == name->parent)) continue;
        bcfs_inode_ref(name->parent);
        (*parents)[(*count)++] = name->parent;
    }
    (void)pthread_mutex_unlock(&inode->lock);
    return status;
}

bitcask_status bcfs_names_sync(struct bcfs *fs, struct bcfs_inode *inode)
{
    struct bcfs_inode **parents = NULL;
    size_t count = 0;
    bitcask_status status = find_parents(inode, &parents, &count);

    for (size_t i = 0; i < count; i++) {
        if (status == BITCASK_OK) status = bitcask_partition_sync(parents[i]->dir->partition);
        if (status == BITCASK_NOT_FOUND) status = BITCASK_OK; /* removed meanwhile, so the name was too */
        bcfs_inode_unref(fs, parents[i], 1);
    }
    free(parents);
    return status;
}

/* ---- shared files ---- */

void bcfs_home_name(uint64_t file_id, char name[BCFS_HOME_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = BCFS_HOME_SIZE; i-- > 0; file_id >>= 4) name[i] = digits[file_id & 15];
    name[BCFS_HOME_SIZE] = '\0';
}

bool bcfs_is_shared(const struct bcfs *fs, const struct bcfs_inode *inode)
{
    return inode->parent != NULL && inode->parent == fs->nodes->files;
}

struct bcfs_inode *bcfs_file_find(struct bcfs *fs, uint64_t file_id)
{
    struct bcfs_inode *inode = NULL;

    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    inode = bcfs_file_find_locked(fs->nodes, file_id);
    if (inode != NULL) bcfs_inode_ref(inode);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    return inode;
}

void bcfs_file_forget(struct bcfs *fs, struct bcfs_inode *inode)
{
    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    unlink_file(fs->nodes, inode);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
}

/* What is reserved for the next commit is reserved where that will be done. Where a full disk refuses it, the commit
 * has to find its room by itself. */
static void move_reservation(struct bcfs *fs, struct bcfs_inode *inode)
{
    uint64_t bound = 0;

    (void)pthread_mutex_lock(&inode->lock);
    if (inode->pending != NULL && inode->pending->reserved > 0) {
        bound = inode->pending->reserved;
        bcfs_content_unreserve(inode);
        if (bitcask_reserve(fs->nodes->files->dir->partition, bound) == BITCASK_OK) inode->pending->reserved = bound;
    }
    (void)pthread_mutex_unlock(&inode->lock);
}

void bcfs_share(struct bcfs *fs, struct bcfs_inode *inode, uint64_t file_id, struct bcfs_name *first, char *home_name)
{
    struct bcfs_inode *old_parent = NULL;

    bcfs_home_name(file_id, home_name);
    move_reservation(fs, inode);
    old_parent = bcfs_inode_rename(fs, inode, fs->nodes->files, home_name, BCFS_HOME_SIZE);
    bcfs_name_add(fs, first);
    (void)pthread_mutex_lock(&inode->lock);
    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    inode->file_id = file_id;
    bcfs_file_add_locked(fs->nodes, inode);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    bcfs_dirty_relist(fs, inode);
    (void)pthread_mutex_unlock(&inode->lock);
    bcfs_inode_unref(fs, old_parent, 1); /* not the last: the name has one */
}
