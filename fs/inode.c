/* inode.c - the tables of nodes, and their references.
 *
 * The tables hold no references. A node leaves them where its last reference goes, under table_lock, so what is found
 * there under table_lock can be referenced.
 */
#include "inode.h"

#include "control.h"
#include "dirty.h"
#include "links.h"
#include "pending.h"
#include "value_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define FIRST_BUCKETS 1024u
#define BLOCK_SIZE 131072

/* ---- the two tables ---- */

static size_t name_bucket(const struct bcfs_nodes *nodes, const struct bcfs_inode *parent, const char *name,
                          size_t name_size)
{
    return XXH3_64bits_withSeed(name, name_size, (XXH64_hash_t)(uintptr_t)parent) & (nodes->buckets - 1);
}

/* Numbers may share their low bits on purpose (a hash of the user's choosing), so they are mixed. */
static size_t ino_bucket(const struct bcfs_nodes *nodes, uint64_t ino)
{
    return (size_t)((ino * 0x9e3779b97f4a7c15u) >> 32) & (nodes->buckets - 1);
}

static void link_name(struct bcfs_nodes *nodes, struct bcfs_inode *inode)
{
    struct bcfs_inode **head = &nodes->by_name[name_bucket(nodes, inode->parent, inode->name, inode->name_size)];

    inode->next_by_name = *head;
    *head = inode;
}

static void unlink_name(struct bcfs_nodes *nodes, struct bcfs_inode *inode)
{
    struct bcfs_inode **link = NULL;

    if (inode->name == NULL) return;
    link = &nodes->by_name[name_bucket(nodes, inode->parent, inode->name, inode->name_size)];
    while (*link != NULL && *link != inode) link = &(*link)->next_by_name;
    if (*link == inode) *link = inode->next_by_name;
}

static void link_ino(struct bcfs_nodes *nodes, struct bcfs_inode *inode)
{
    struct bcfs_inode **head = &nodes->by_ino[ino_bucket(nodes, inode->ino)];

    inode->next_by_ino = *head;
    *head = inode;
    nodes->count++;
}

static void unlink_ino(struct bcfs_nodes *nodes, struct bcfs_inode *inode)
{
    struct bcfs_inode **link = &nodes->by_ino[ino_bucket(nodes, inode->ino)];

    while (*link != inode) link = &(*link)->next_by_ino;
    *link = inode->next_by_ino;
    nodes->count--;
    nodes->gone++;
}

static bool ino_taken(const struct bcfs_nodes *nodes, uint64_t ino)
{
    const struct bcfs_inode *inode = nodes->by_ino[ino_bucket(nodes, ino)];

    while (inode != NULL && inode->ino != ino) inode = inode->next_by_ino;
    return inode != NULL;
}

/* A number of 62 bits that no known node has. */
static uint64_t draw_ino(struct bcfs_nodes *nodes)
{
    uint64_t ino = 0;

    do {
        nodes->random ^= nodes->random << 13;
        nodes->random ^= nodes->random >> 7;
        nodes->random ^= nodes->random << 17;
        ino = nodes->random >> 2;
    } while (ino <= FUSE_ROOT_ID || ino_taken(nodes, ino));
    return ino;
}

/* Doubles the tables; where there is no memory for it they stay, and only get slower. */
static void grow_tables(struct bcfs_nodes *nodes)
{
    size_t old_buckets = nodes->buckets;
    struct bcfs_inode **old_by_name = nodes->by_name;
    struct bcfs_inode **old_by_ino = nodes->by_ino;
    struct bcfs_inode **by_name = calloc(old_buckets * 2, sizeof(*by_name));
    struct bcfs_inode **by_ino = calloc(old_buckets * 2, sizeof(*by_ino));

    if (by_name == NULL || by_ino == NULL) {
        free(by_name);
        free(by_ino);
        return;
    }
    nodes->by_name = by_name;
    nodes->by_ino = by_ino;
    nodes->buckets = old_buckets * 2;
    nodes->count = 0;
    for (size_t i = 0; i < old_buckets; i++) {
        struct bcfs_inode *next = NULL;

        for (struct bcfs_inode *inode = old_by_name[i]; inode != NULL; inode = next) {
            next = inode->next_by_name;
            link_name(nodes, inode);
        }
        for (struct bcfs_inode *inode = old_by_ino[i]; inode != NULL; inode = next) {
            next = inode->next_by_ino;
            link_ino(nodes, inode);
        }
    }
    free(old_by_name);
    free(old_by_ino);
}

bitcask_status bcfs_tables_init(struct bcfs *fs)
{
    struct bcfs_nodes *nodes = fs->nodes;

    nodes->buckets = FIRST_BUCKETS;
    nodes->by_name = calloc(nodes->buckets, sizeof(*nodes->by_name));
    nodes->by_ino = calloc(nodes->buckets, sizeof(*nodes->by_ino));
    if (nodes->by_name == NULL || nodes->by_ino == NULL || !bcfs_links_init(nodes)) return BITCASK_NO_MEMORY;
    if (getrandom(&nodes->random, sizeof(nodes->random), 0) != (ssize_t)sizeof(nodes->random) || nodes->random == 0) {
        nodes->random = 0x9e3779b97f4a7c15u;
    }
    return BITCASK_OK;
}

/* ---- lifetime ---- */

static struct bcfs_dir *new_dir(struct bcfs_inode *inode)
{
    struct bcfs_dir *dir = calloc(1, sizeof(*dir));

    if (dir == NULL) return NULL;
    if (pthread_mutex_init(&dir->lock, NULL) != 0) {
        free(dir);
        return NULL;
    }
    dir->inode = inode;
    bcfs_overlay_init(&dir->overlay);
    bcfs_positions_init(&dir->positions);
    TAILQ_INIT(&dir->changed);
    return dir;
}

/* Frees a node that is in no table; its parent keeps the reference, those of its names do not. */
static void free_inode(struct bcfs *fs, struct bcfs_inode *inode)
{
    bcfs_names_free(fs, inode);
    if (inode->pending != NULL) {
        bcfs_cache_remove(fs, inode);
        if (inode->parent != NULL) bcfs_content_unreserve(inode);
        bcfs_dirty_uncount(fs, inode);
        bcfs_pending_free(inode);
    }
    if (inode->dir != NULL) {
        bitcask_partition_close(&inode->dir->partition);
        bcfs_overlay_release(&inode->dir->overlay);
        bcfs_positions_release(&inode->dir->positions);
        (void)pthread_mutex_destroy(&inode->dir->lock);
        free(inode->dir);
    }
    bcfs_control_free(fs, inode->control);
    free(inode->xattrs);
    (void)pthread_mutex_destroy(&inode->lock);
    free(inode->name);
    free(inode);
}

void bcfs_tables_release(struct bcfs *fs)
{
    struct bcfs_nodes *nodes = fs->nodes;

    bcfs_links_release(nodes);
    for (size_t i = 0; nodes->by_ino != NULL && i < nodes->buckets; i++) {
        struct bcfs_inode *next = NULL;

        for (struct bcfs_inode *inode = nodes->by_ino[i]; inode != NULL; inode = next) {
            next = inode->next_by_ino;
            inode->parent = NULL; /* it may be freed already */
            bcfs_names_orphan(inode);
            free_inode(fs, inode);
        }
    }
    free(nodes->by_name);
    free(nodes->by_ino);
    nodes->by_name = NULL;
    nodes->by_ino = NULL;
}

/* A node that is in no table yet. */
static struct bcfs_inode *allocate_inode(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                         bool is_dir)
{
    struct bcfs_inode *inode = calloc(1, sizeof(*inode));

    if (inode == NULL) return NULL;
    if (pthread_mutex_init(&inode->lock, NULL) != 0) {
        free(inode);
        return NULL;
    }
    if (is_dir) inode->dir = new_dir(inode);
    if (parent != NULL) inode->name = malloc(name_size + 1);
    if ((is_dir && inode->dir == NULL) || (parent != NULL && inode->name == NULL)) {
        free_inode(fs, inode);
        return NULL;
    }
    if (parent != NULL) {
        assert(name_size >= 1 && name_size <= BITCASK_NAME_MAX);
        memcpy(inode->name, name, name_size);
        inode->name[name_size] = '\0';
        inode->name_size = (uint8_t)name_size;
        inode->parent = parent;
        bcfs_inode_ref(parent);
    }
    LIST_INIT(&inode->names);
    inode->nlink = 1;
    atomic_init(&inode->refs, 1);
    return inode;
}

/* shared: the number may be that of other nodes too. table_lock is held. */
static void give_ino(struct bcfs_nodes *nodes, struct bcfs_inode *inode, uint64_t ino, bool shared)
{
    inode->ino = !shared && ino_taken(nodes, ino) ? draw_ino(nodes) : ino;
    /* Half full: each further node of a chain is a cache miss, and a bucket is small beside a node. */
    if (nodes->count * 2 >= nodes->buckets) grow_tables(nodes);
    link_ino(nodes, inode);
    if (nodes->count > nodes->most) (void)pthread_cond_signal(&nodes->crowded);
}

static struct bcfs_inode *make_inode(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                     bool is_dir, uint64_t ino, bool shared)
{
    struct bcfs_inode *inode = allocate_inode(fs, parent, name, name_size, is_dir);

    if (inode == NULL) return NULL;
    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    give_ino(fs->nodes, inode, ino, shared);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    return inode;
}

struct bcfs_inode *bcfs_inode_new_file(struct bcfs *fs, const bitcask_entry *entry)
{
    struct bcfs_nodes *nodes = fs->nodes;
    char home[BCFS_HOME_SIZE + 1];
    struct bcfs_inode *inode = NULL;
    struct bcfs_inode *known = NULL;
    bitcask_entry now;

    bcfs_home_name(entry->file_id, home);
    inode = allocate_inode(fs, nodes->files, home, BCFS_HOME_SIZE, false);
    if (inode == NULL) return NULL;
    bcfs_inode_take_attrs(fs, inode, entry);
    (void)pthread_mutex_lock(&inode->lock);
    (void)pthread_mutex_lock(&nodes->table_lock);
    known = bcfs_file_find_locked(nodes, entry->file_id);
    if (known != NULL) {
        bcfs_inode_ref(known);
    } else {
        give_ino(nodes, inode, entry->ino, false);
        bcfs_file_add_locked(nodes, inode);
    }
    (void)pthread_mutex_unlock(&nodes->table_lock);
    /* Since the entry was read the file may have been known under another name, changed and forgotten. */
    if (known == NULL && bitcask_stat(nodes->files->dir->partition, home, BCFS_HOME_SIZE, &now) == BITCASK_OK) {
        bcfs_inode_take_attrs(fs, inode, &now);
    }
    (void)pthread_mutex_unlock(&inode->lock);
    if (known == NULL) return inode;
    free_inode(fs, inode);
    bcfs_inode_unref(fs, nodes->files, 1);
    return known;
}

struct bcfs_inode *bcfs_inode_new(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                  bool is_dir, uint64_t ino)
{
    return make_inode(fs, parent, name, name_size, is_dir, ino, false);
}

struct bcfs_inode *bcfs_inode_new_shared(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                         uint64_t ino)
{
    return make_inode(fs, parent, name, name_size, false, ino, true);
}

void bcfs_inode_publish(struct bcfs *fs, struct bcfs_inode *inode)
{
    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    link_name(fs->nodes, inode);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
}

struct bcfs_inode *bcfs_inode_find(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size)
{
    struct bcfs_nodes *nodes = fs->nodes;
    struct bcfs_inode *inode = NULL;

    (void)pthread_mutex_lock(&nodes->table_lock);
    inode = nodes->by_name[name_bucket(nodes, parent, name, name_size)];
    while (inode != NULL &&
           (inode->parent != parent || inode->name_size != name_size || memcmp(inode->name, name, name_size) != 0)) {
        inode = inode->next_by_name;
    }
    if (inode == NULL && nodes->link_count > 0) {
        const struct bcfs_name *link = bcfs_link_find_locked(nodes, parent, name, name_size);

        if (link != NULL) inode = link->inode;
    }
    if (inode != NULL) bcfs_inode_ref(inode);
    (void)pthread_mutex_unlock(&nodes->table_lock);
    return inode;
}

struct bcfs_inode *bcfs_inode_of(struct bcfs *fs, fuse_ino_t id)
{
    if (id == FUSE_ROOT_ID) return fs->nodes->root;
    return (struct bcfs_inode *)(uintptr_t)id;
}

fuse_ino_t bcfs_inode_id(const struct bcfs *fs, const struct bcfs_inode *inode)
{
    return inode == fs->nodes->root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)inode;
}

bool bcfs_nodes_crowded(struct bcfs *fs)
{
    bool crowded = false;

    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    crowded = fs->nodes->count > fs->nodes->most;
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    return crowded;
}

void bcfs_inode_ref(struct bcfs_inode *inode)
{
    (void)atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
}

bool bcfs_inode_try_ref(struct bcfs_inode *inode)
{
    uint64_t refs = atomic_load_explicit(&inode->refs, memory_order_relaxed);

    while (refs != 0) {
        if (atomic_compare_exchange_weak_explicit(&inode->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Takes count references away; true: they were the last, and the node has left the tables. The last ones go under
 * table_lock, or a lookup could find the node between the count's reaching 0 and its leaving. */
static bool drop_refs(struct bcfs_nodes *nodes, struct bcfs_inode *inode, uint64_t count)
{
    uint64_t refs = atomic_load_explicit(&inode->refs, memory_order_relaxed);
    bool last = false;

    while (refs > count) {
        if (atomic_compare_exchange_weak_explicit(&inode->refs, &refs, refs - count, memory_order_release,
                                                  memory_order_relaxed)) {
            return false;
        }
    }
    (void)pthread_mutex_lock(&nodes->table_lock);
    last = atomic_fetch_sub_explicit(&inode->refs, count, memory_order_acq_rel) == count;
    if (last) {
        unlink_name(nodes, inode);
        unlink_ino(nodes, inode);
        bcfs_links_drop_locked(nodes, inode);
    }
    (void)pthread_mutex_unlock(&nodes->table_lock);
    return last;
}

void bcfs_inode_unref(struct bcfs *fs, struct bcfs_inode *inode, uint64_t count)
{
    while (inode != NULL && count > 0 && drop_refs(fs->nodes, inode, count)) {
        struct bcfs_inode *parent = inode->parent;

        free_inode(fs, inode);
        inode = parent;
        count = 1;
    }
}

struct bcfs_inode *bcfs_inode_rename(struct bcfs *fs, struct bcfs_inode *inode, struct bcfs_inode *parent,
                                     char *new_name, size_t name_size)
{
    struct bcfs_inode *old_parent = NULL;
    char *old_name = NULL;

    assert(parent == NULL || (name_size >= 1 && name_size <= BITCASK_NAME_MAX));
    if (parent != NULL) bcfs_inode_ref(parent);
    (void)pthread_mutex_lock(&inode->lock);
    (void)pthread_mutex_lock(&fs->nodes->table_lock);
    unlink_name(fs->nodes, inode);
    old_parent = inode->parent;
    old_name = inode->name;
    inode->parent = parent;
    inode->name = new_name;
    inode->name_size = (uint8_t)name_size;
    if (parent != NULL) link_name(fs->nodes, inode);
    (void)pthread_mutex_unlock(&fs->nodes->table_lock);
    (void)pthread_mutex_unlock(&inode->lock);
    free(old_name);
    return old_parent;
}

/* ---- attributes ---- */

void bcfs_inode_take_attrs(struct bcfs *fs, struct bcfs_inode *inode, const bitcask_entry *entry)
{
    const bitcask_attrs *attrs = &entry->attrs;
    uint32_t present = attrs->present;
    uint32_t default_mode = inode->dir != NULL ? S_IFDIR | 0755 : S_IFREG | 0644;

    /* What the mount itself leaves out is a mode of 0644, never the owner. Without that a program put the record there,
     * and the options say what is assumed. */
    inode->assumed = (uint8_t)(~present & (BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID));
    if (present & BITCASK_ATTR_UID) inode->assumed &= (uint8_t)~BITCASK_ATTR_MODE;
    if (inode->assumed & BITCASK_ATTR_MODE) {
        default_mode =
            inode->dir != NULL ? S_IFDIR | (0777 & ~fs->options.umask) : S_IFREG | (0666 & ~fs->options.umask);
    }
    inode->mode = present & BITCASK_ATTR_MODE ? attrs->mode : default_mode;
    /* The kind is what the store says, whatever a stored mode claims: a file with a directory's mode would confuse
     * every caller, the kernel first. */
    if (inode->dir != NULL) inode->mode = (inode->mode & 07777) | S_IFDIR;
    if (inode->dir == NULL && (S_ISDIR(inode->mode) || (inode->mode & S_IFMT) == 0)) {
        inode->mode = (inode->mode & 07777) | S_IFREG;
    }
    inode->uid = present & BITCASK_ATTR_UID ? attrs->uid : fs->nodes->default_uid;
    inode->gid = present & BITCASK_ATTR_GID ? attrs->gid : fs->nodes->default_gid;
    inode->rdev = present & BITCASK_ATTR_RDEV ? attrs->rdev : 0;
    inode->mtime_ns = attrs->mtime_ns;
    inode->ctime_ns = attrs->ctime_ns;
    inode->atime_set = (present & BITCASK_ATTR_ATIME) != 0;
    inode->atime_ns = inode->atime_set ? attrs->atime_ns : attrs->mtime_ns;
    inode->expiry_ns = present & BITCASK_ATTR_EXPIRY ? attrs->expiry_ns : 0;
    inode->has_xattrs = (present & BITCASK_ATTR_XATTRS) != 0;
    inode->size = entry->value_size;
    inode->stored = entry->stored_size;
    inode->nlink = entry->nlink < UINT32_MAX ? (uint32_t)entry->nlink : UINT32_MAX;
    inode->file_id = entry->file_id;
    inode->state = BCFS_COMMITTED;
}

#define SET_BACK_NS 1000000000

int64_t bcfs_now_ns(struct bcfs *fs)
{
    struct timespec now = {0};
    int64_t ns = 0;
    int64_t last = atomic_load_explicit(&fs->nodes->last_ns, memory_order_relaxed);

    (void)clock_gettime(CLOCK_REALTIME, &now);
    do {
        ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        /* Two changes have two times; but a clock that was set back is followed. */
        if (ns <= last && last - ns < SET_BACK_NS) ns = last + 1;
    } while (!atomic_compare_exchange_weak_explicit(&fs->nodes->last_ns, &last, ns, memory_order_relaxed,
                                                    memory_order_relaxed));
    return ns;
}

int64_t bcfs_clock_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

static struct timespec to_timespec(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    if (time.tv_nsec < 0) { /* before 1970 */
        time.tv_sec--;
        time.tv_nsec += 1000000000;
    }
    return time;
}

void bcfs_inode_stat(const struct bcfs_inode *inode, struct stat *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->st_ino = inode->ino;
    attr->st_mode = inode->mode;
    /* A directory's link count would have to open it to count its sub-directories; 1 is how filesystems say that
     * they do not count them. */
    attr->st_nlink = inode->state == BCFS_UNLINKED ? 0 : inode->dir != NULL ? 1 : inode->nlink;
    attr->st_uid = inode->uid;
    attr->st_gid = inode->gid;
    attr->st_rdev = inode->rdev;
    attr->st_size = (off_t)inode->size;
    attr->st_blksize = BLOCK_SIZE;
    attr->st_blocks = (blkcnt_t)((inode->stored + 511) / 512);
    attr->st_mtim = to_timespec(inode->mtime_ns);
    attr->st_ctim = to_timespec(inode->ctime_ns);
    attr->st_atim = to_timespec(inode->atime_set ? inode->atime_ns : inode->mtime_ns);
}

double bcfs_timeout(const struct bcfs *fs)
{
    return fs->options.read_only ? 1.0 : 1e9;
}

void bcfs_touch_dir(struct bcfs *fs, struct bcfs_inode *parent, int64_t now_ns)
{
    (void)pthread_mutex_lock(&parent->lock);
    parent->mtime_ns = now_ns;
    parent->ctime_ns = now_ns;
    (void)pthread_mutex_unlock(&parent->lock);
    bcfs_dirty_mark_dir(fs, parent, false);
}
