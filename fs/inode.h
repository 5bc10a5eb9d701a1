/* inode.h - the nodes that the kernel or the daemon itself knows, and the tables that find them.
 *
 * A node is one file or directory, named or not. State belongs to it and not to an open file: the mount answers no
 * open and no release. It lives as long as somebody counts on it: the kernel by its lookups, children by their
 * parent, the list of dirty nodes, a queued move. The kernel's node id is the node's address (the root's is
 * FUSE_ROOT_ID), so it is good exactly as long as the kernel holds a lookup.
 *
 * Where a node's content is read and committed is its home: (parent, name). Of most it is the one name that they have.
 * A shared file, one that has several names, or had them, has its home in nodes->files, a directory that nobody sees:
 * there it stands under its number in the store, whatever becomes of its names. Those are in a list (links.h).
 *
 * Invariants: a named node is in the table of names under (parent, name), and holds a reference on its parent; every
 * node is in the table of numbers, and no two known nodes have the same number, but for those of one control file
 * (control.h). A directory's overlay holds its nodes in state BCFS_NEW and BCFS_MOVED, names of files that a queued
 * move concerns, and no others.
 */
#ifndef BCFS_INODE_H
#define BCFS_INODE_H

#include "dirstream.h"
#include "fs.h"
#include "overlay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

/* Where a node's record stands. */
enum bcfs_state {
    BCFS_NEW,       /* nowhere: created in memory, not committed yet */
    BCFS_COMMITTED, /* under its name (the root: always) */
    BCFS_MOVED,     /* under the name that a queued move takes it from */
    BCFS_UNLINKED   /* nowhere any more; the node has no name and no parent, only those who had it open */
};

/* What changed since the last commit. */
enum {
    BCFS_DIRTY_CONTENT = 1u << 0,
    BCFS_DIRTY_ATTRS = 1u << 1,
    BCFS_DIRTY_XATTRS = 1u << 2,
    BCFS_WRITING_XATTRS = 1u << 3 /* of a directory: its list is on its way to the record */
};

struct bcfs_pending;    /* pending.h: a file's content in memory */
struct bcfs_xattr_list; /* xattr_list.h */
struct bcfs_move;       /* moves.h */
struct bcfs_control;    /* control.h */
struct bcfs_name;       /* links.h */
struct bcfs_dir;

LIST_HEAD(bcfs_name_list, bcfs_name);

struct bcfs_inode {
    struct bcfs_inode *next_by_name; /* table_lock, as the next */
    struct bcfs_inode *next_by_ino;
    _Atomic uint64_t refs; /* drops to 0 under table_lock only */
    pthread_mutex_t lock;

    struct bcfs_inode *parent; /* with a reference; NULL: the root, or unlinked. tree or the parent's lock, and lock */
    char *name;                /* owned; likewise */
    uint8_t name_size;         /* likewise */
    uint8_t state;             /* enum bcfs_state; likewise */
    bool stale;                /* NEW: the log still has the record of a file that this one replaced; likewise */

    struct bcfs_name_list names;     /* those of a shared file, and links that are queued: links.h */
    struct bcfs_inode *next_by_file; /* table_lock */
    uint64_t file_id;                /* its number in the store, 0: none, or not known; tree or the home's lock */
    uint32_t nlink;                  /* names that the file has, queued links included; lock, as the next */
    uint32_t queued;                 /* moves of its names in the queue; not those that state MOVED stands for */

    bool busy;       /* being committed, renamed or unlinked: nothing may change. lock and dirty_lock */
    uint8_t dirty;   /* BCFS_DIRTY_*; of a directory the last two alone; lock */
    bool has_xattrs; /* it has extended attributes; lock, as all below */
    bool atime_set;  /* atime_ns counts; else atime is mtime */
    uint8_t assumed; /* BITCASK_ATTR_MODE, UID, GID: the record states none, and a commit need not */
    uint32_t mode;   /* type and permissions */
    uint32_t uid;
    uint32_t gid;
    uint32_t rdev;
    uint64_t size;
    uint64_t stored; /* of size, bytes that are no hole */
    int64_t mtime_ns;
    int64_t ctime_ns;
    int64_t atime_ns;
    int64_t expiry_ns; /* 0: none */
    uint64_t ino;      /* fixed before the node is in a table */

    struct bcfs_xattr_list *xattrs; /* these, owned; NULL: none, or not read (node_xattrs.h) */

    struct bcfs_dir *dir;         /* directories of the store; fixed */
    struct bcfs_control *control; /* nodes below .bitcask; owned, fixed */
    struct bcfs_pending *pending; /* files: NULL when neither content nor changes are in memory; lock */
    struct bcfs_move *move;       /* MOVED: the queued move; as state */
};

TAILQ_HEAD(bcfs_pending_list, bcfs_pending);

/* What only directories have. */
struct bcfs_dir {
    struct bcfs_inode *inode;
    pthread_mutex_t lock;
    bitcask_partition *partition;    /* fixed */
    struct bcfs_overlay overlay;     /* lock */
    struct bcfs_positions positions; /* lock */

    struct bcfs_pending_list changed;   /* its dirty files; dirty_lock, as all below */
    TAILQ_ENTRY(bcfs_dir) changed_link; /* in nodes->changed_dirs while `changed` is not empty */
    TAILQ_ENTRY(bcfs_dir) attrs_link;   /* in nodes->attrs_dirs, with a reference, while attrs_due_ms is not 0 */
    int64_t attrs_due_ms;               /* when its own attributes are to be written; 0: they are clean */
    bool attrs_asked;                   /* somebody set them, and not only an entry that came or went */
    int64_t retry_ms;                   /* no commit before this: the last one failed */
    int64_t backoff_ms;                 /* 0: the last one worked */
};

TAILQ_HEAD(bcfs_dir_list, bcfs_dir);
TAILQ_HEAD(bcfs_move_list, bcfs_move);

/* Everything about the nodes of one mount. */
struct bcfs_nodes {
    pthread_rwlock_t tree;
    struct bcfs_inode *root;  /* fixed, as the next six */
    struct bcfs_inode *files; /* the home of shared files: a directory without a name, in none */
    uint32_t default_uid;     /* of records that state none */
    uint32_t default_gid;
    int64_t store_ns; /* when the store's directory changed */
    int store_fd;     /* the store's directory, for statfs */
    pthread_t commit_thread;
    _Atomic int64_t last_ns;        /* the last time given out */
    _Atomic uint64_t control_bytes; /* of texts of control files */

    pthread_mutex_t table_lock;
    struct bcfs_inode **by_name; /* table_lock, as all of this paragraph */
    struct bcfs_inode **by_ino;
    size_t buckets; /* of each; a power of two */
    size_t count;
    size_t most;            /* nodes that there shall be: prune.h; fixed */
    uint64_t gone;          /* nodes that are no more */
    pthread_cond_t crowded; /* count is above most */
    struct bcfs_name **by_link; /* names of links.h */
    size_t link_buckets;
    size_t link_count;
    struct bcfs_inode **by_file; /* shared files by file_id */
    size_t file_buckets;
    size_t file_count;
    uint64_t random;

    pthread_mutex_t dirty_lock;
    pthread_cond_t work_cond;          /* wakes the commit thread */
    pthread_cond_t idle_cond;          /* a busy node is busy no more, or bytes were committed */
    struct bcfs_dir_list changed_dirs; /* dirty_lock, as all of this paragraph */
    struct bcfs_dir_list attrs_dirs;
    uint64_t pending_bytes;  /* of files that are not committed: content, extended attributes, and what each takes */
    uint64_t unlinked_bytes; /* the same of files without a name */
    uint64_t freed_bytes;    /* of these, since the last bcfs_trim_memory() */
    bitcask_status failure;  /* of the last commit, OK if it did not fail: no use in waiting for room */
    bool asleep;             /* the commit thread waits for work */
    bool kicked;             /* there is work that the lists above do not show */
    bool stop;

    pthread_mutex_t moves_lock;
    pthread_cond_t moves_cond;   /* a round ended */
    struct bcfs_move_list moves; /* queued; moves_lock, as the next four */
    size_t moves_count;
    bool moves_running; /* some thread runs a round */
    int64_t moves_since_ms;
    int64_t moves_backoff_ms;

    pthread_mutex_t cache_lock;
    struct bcfs_pending_list cached; /* loaded clean contents, least recently used first; cache_lock */
    uint64_t cached_bytes;           /* cache_lock */
};

/* ---- tables and lifetime ---- */

/* Makes a node that nobody finds yet, with one reference for the caller; parent (may be NULL) gets a reference more.
 * is_dir: dir is made as well, its partition still NULL. ino: the wanted number; another one is drawn if a known node
 * has it. NULL: no memory. parent's directory is locked, or the tree. */
struct bcfs_inode *bcfs_inode_new(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                  bool is_dir, uint64_t ino);

/* The node of a shared file: the known one, or one made from the entry; with a reference. It has no name yet. NULL: no
 * memory. */
struct bcfs_inode *bcfs_inode_new_file(struct bcfs *fs, const bitcask_entry *entry);

/* Makes a node for a control file, or for .bitcask: it keeps the number, whoever has it. */
struct bcfs_inode *bcfs_inode_new_shared(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size,
                                         uint64_t ino);

/* Puts a new node into the table of names. The directory is locked, or the tree. */
void bcfs_inode_publish(struct bcfs *fs, struct bcfs_inode *inode);

/* The known node of a name, its home or one of links.h, with a reference; NULL if there is none. */
struct bcfs_inode *bcfs_inode_find(struct bcfs *fs, struct bcfs_inode *parent, const char *name, size_t name_size);

/* The node of a kernel's node id; no reference is taken, the kernel holds one. */
struct bcfs_inode *bcfs_inode_of(struct bcfs *fs, fuse_ino_t id);
fuse_ino_t bcfs_inode_id(const struct bcfs *fs, const struct bcfs_inode *inode);

void bcfs_inode_ref(struct bcfs_inode *inode);

/* One more reference if there still is one. For those who found the node in a list that holds none. */
bool bcfs_inode_try_ref(struct bcfs_inode *inode);

/* Gives references back; the last one frees the node, and then gives back its parent's. inode may be NULL. No lock
 * of a node that may go with it is held. */
void bcfs_inode_unref(struct bcfs *fs, struct bcfs_inode *inode, uint64_t count);

/* Gives the node another name: new_name is malloc'ed, ends with a NUL, and is owned by the node from now on. parent
 * NULL: none (it is unlinked). The parent's reference moves along: the old parent's is returned, and given back by the
 * caller once it holds no lock but tree. Cannot fail. The directories concerned are locked, or the tree; takes the
 * node's lock. */
struct bcfs_inode *bcfs_inode_rename(struct bcfs *fs, struct bcfs_inode *inode, struct bcfs_inode *parent,
                                     char *new_name, size_t name_size);

/* There are more nodes than there shall be. */
bool bcfs_nodes_crowded(struct bcfs *fs);

bitcask_status bcfs_tables_init(struct bcfs *fs);

/* Frees every node, whatever counts on it, and the tables. No other thread is there any more. */
void bcfs_tables_release(struct bcfs *fs);

/* ---- attributes ---- */

/* Now, in nanoseconds since 1970, and above every time given out before, unless the clock was set back by a second or
 * more. */
int64_t bcfs_now_ns(struct bcfs *fs);

/* A clock for waiting, in milliseconds; never 0. */
int64_t bcfs_clock_ms(void);

/* Takes over what a record says; the state becomes COMMITTED. inode->lock is held, or nobody knows the node yet. */
void bcfs_inode_take_attrs(struct bcfs *fs, struct bcfs_inode *inode, const bitcask_entry *entry);

/* Fills in *attr. inode->lock is held. */
void bcfs_inode_stat(const struct bcfs_inode *inode, struct stat *attr);

/* An entry of parent came or went: its times are now. No node's lock is held. */
void bcfs_touch_dir(struct bcfs *fs, struct bcfs_inode *parent, int64_t now_ns);

/* How long the kernel may keep what it was told, in seconds. */
double bcfs_timeout(const struct bcfs *fs);

#endif
