/* nodes.c - the beginning and the end of a mount's nodes. */
#include "commit.h"
#include "init.h"
#include "inode.h"
#include "jobs.h"
#include "metrics.h"
#include "moves.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

const struct fuse_lowlevel_ops bcfs_ops = {
    .init = bcfs_init_op,
    .lookup = bcfs_op_lookup,
    .open = bcfs_op_open,
    .opendir = bcfs_op_open,
    .forget = bcfs_op_forget,
    .forget_multi = bcfs_op_forget_multi,
    .getattr = bcfs_op_getattr,
    .setattr = bcfs_op_setattr,
    .readlink = bcfs_op_readlink,
    .mknod = bcfs_op_mknod,
    .mkdir = bcfs_op_mkdir,
    .unlink = bcfs_op_unlink,
    .rmdir = bcfs_op_rmdir,
    .symlink = bcfs_op_symlink,
    .rename = bcfs_op_rename,
    .link = bcfs_op_link,
    .read = bcfs_op_read,
    .write = bcfs_op_write,
    .fsync = bcfs_op_fsync,
    .readdir = bcfs_op_readdir,
    .readdirplus = bcfs_op_readdirplus,
    .fsyncdir = bcfs_op_fsyncdir,
    .statfs = bcfs_op_statfs,
    .setxattr = bcfs_op_setxattr,
    .getxattr = bcfs_op_getxattr,
    .listxattr = bcfs_op_listxattr,
    .removexattr = bcfs_op_removexattr,
    .fallocate = bcfs_op_fallocate,
    .lseek = bcfs_op_lseek,
    /* create, flush, release and copy_file_range are missing on purpose: libfuse answers ENOSYS for them, after which
     * the kernel does not ask again. There is nothing to do in them, since state belongs to the node. */
};

/* A condition variable on the clock that nobody can set. */
static int init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);

    if (error != 0) return error;
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (error == 0) error = pthread_cond_init(cond, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return error;
}

/* Writers first: with a steady stream of requests a rename would never get the tree. Nobody locks it twice. */
static int init_tree_lock(pthread_rwlock_t *tree)
{
    pthread_rwlockattr_t attributes;
    int error = pthread_rwlockattr_init(&attributes);

    if (error != 0) return error;
    error = pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (error == 0) error = pthread_rwlock_init(tree, &attributes);
    (void)pthread_rwlockattr_destroy(&attributes);
    return error;
}

static bitcask_status init_locks(struct bcfs_nodes *nodes)
{
    /* These fail for lack of memory alone, and on Linux not even then. */
    if (init_tree_lock(&nodes->tree) != 0 || pthread_mutex_init(&nodes->table_lock, NULL) != 0 ||
        pthread_mutex_init(&nodes->dirty_lock, NULL) != 0 || pthread_mutex_init(&nodes->moves_lock, NULL) != 0 ||
        pthread_mutex_init(&nodes->cache_lock, NULL) != 0 || init_cond(&nodes->work_cond) != 0 ||
        init_cond(&nodes->crowded) != 0 || init_cond(&nodes->idle_cond) != 0 || init_cond(&nodes->moves_cond) != 0) {
        return BITCASK_NO_MEMORY;
    }
    return BITCASK_OK;
}

static bitcask_status open_store_dir(struct bcfs *fs)
{
    struct stat attr;

    fs->nodes->store_fd = open(fs->options.store, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fs->nodes->store_fd < 0 || fstat(fs->nodes->store_fd, &attr) != 0) return BITCASK_IO;
    fs->nodes->default_uid = fs->options.uid >= 0 ? (uint32_t)fs->options.uid : attr.st_uid;
    fs->nodes->default_gid = fs->options.gid >= 0 ? (uint32_t)fs->options.gid : attr.st_gid;
    fs->nodes->store_ns = (int64_t)attr.st_mtim.tv_sec * 1000000000 + attr.st_mtim.tv_nsec;
    return BITCASK_OK;
}

static bitcask_status make_root(struct bcfs *fs)
{
    struct bcfs_inode *root = bcfs_inode_new(fs, NULL, NULL, 0, true, FUSE_ROOT_ID);
    bitcask_status status = BITCASK_OK;
    bitcask_entry entry;

    if (root == NULL) return BITCASK_NO_MEMORY;
    fs->nodes->root = root;
    status = bitcask_partition_open(fs->db, "", &root->dir->partition);
    if (status == BITCASK_OK) status = bitcask_partition_stat(root->dir->partition, &entry);
    if (status == BITCASK_OK) bcfs_inode_take_attrs(fs, root, &entry);
    /* A root that never got attributes of its own is as old as its store. */
    if (status == BITCASK_OK && root->mtime_ns == 0) root->mtime_ns = fs->nodes->store_ns;
    if (status == BITCASK_OK && root->ctime_ns == 0) root->ctime_ns = fs->nodes->store_ns;
    return status;
}

/* The home of shared files. It is listed and changed by nobody. */
static bitcask_status make_files(struct bcfs *fs)
{
    struct bcfs_inode *files = bcfs_inode_new(fs, NULL, NULL, 0, true, 0);

    if (files == NULL) return BITCASK_NO_MEMORY;
    fs->nodes->files = files;
    files->state = BCFS_COMMITTED;
    files->mode = S_IFDIR;
    return bitcask_partition_open_files(fs->db, &files->dir->partition);
}

/* The thread takes no signals: these are the session's. */
static bitcask_status start_thread(struct bcfs *fs)
{
    sigset_t all;
    sigset_t old;
    int error = 0;

    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0) return BITCASK_IO;
    error = pthread_create(&fs->nodes->commit_thread, NULL, bcfs_commit_thread, fs);
    if (pthread_sigmask(SIG_SETMASK, &old, NULL) != 0 && error == 0) error = EINVAL;
    return error == 0 ? BITCASK_OK : BITCASK_NO_MEMORY;
}

static void free_nodes(struct bcfs *fs)
{
    struct bcfs_nodes *nodes = fs->nodes;

    bcfs_tables_release(fs);
    if (nodes->store_fd >= 0) (void)close(nodes->store_fd);
    (void)pthread_cond_destroy(&nodes->moves_cond);
    (void)pthread_cond_destroy(&nodes->idle_cond);
    (void)pthread_cond_destroy(&nodes->crowded);
    (void)pthread_cond_destroy(&nodes->work_cond);
    (void)pthread_mutex_destroy(&nodes->cache_lock);
    (void)pthread_mutex_destroy(&nodes->moves_lock);
    (void)pthread_mutex_destroy(&nodes->dirty_lock);
    (void)pthread_mutex_destroy(&nodes->table_lock);
    (void)pthread_rwlock_destroy(&nodes->tree);
    free(nodes);
    fs->nodes = NULL;
    bcfs_jobs_free(fs->jobs);
    fs->jobs = NULL;
    bcfs_metrics_free(fs->metrics);
    fs->metrics = NULL;
}

bitcask_status bcfs_start(struct bcfs *fs)
{
    bitcask_status status = BITCASK_OK;

    fs->nodes = calloc(1, sizeof(*fs->nodes));
    if (fs->nodes == NULL) return BITCASK_NO_MEMORY;
    fs->nodes->store_fd = -1;
    fs->nodes->most = fs->options.max_nodes;
    fs->owner_uid = geteuid();
    fs->owner_gid = getegid();
    fs->started_ns = bcfs_now_ns(fs);
    fs->jobs = bcfs_jobs_new();
    fs->metrics = bcfs_metrics_new();
    TAILQ_INIT(&fs->nodes->changed_dirs);
    TAILQ_INIT(&fs->nodes->attrs_dirs);
    TAILQ_INIT(&fs->nodes->moves);
    TAILQ_INIT(&fs->nodes->cached);
    status = init_locks(fs->nodes);
    if (status == BITCASK_OK && (fs->jobs == NULL || fs->metrics == NULL)) status = BITCASK_NO_MEMORY;
    if (status == BITCASK_OK) status = bcfs_tables_init(fs);
    if (status == BITCASK_OK) status = open_store_dir(fs);
    if (status == BITCASK_OK) status = make_root(fs);
    if (status == BITCASK_OK) status = make_files(fs);
    if (status == BITCASK_OK) status = start_thread(fs);
    if (status != BITCASK_OK) free_nodes(fs);
    return status;
}

bitcask_status bcfs_stop(struct bcfs *fs)
{
    bitcask_status status = BITCASK_OK;

    bcfs_wake_committer(fs, true);
    if (pthread_join(fs->nodes->commit_thread, NULL) != 0) status = BITCASK_IO;
    if (status == BITCASK_OK && !fs->options.read_only) status = bcfs_commit_all(fs);
    bcfs_moves_release(fs);
    free_nodes(fs);
    return status;
}
