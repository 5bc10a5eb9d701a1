/* control.c - the nodes of `.bitcask` and the requests about them: see control.h. */
#include "control.h"

#include "jobs.h"
#include "metrics.h"
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Texts in memory; beyond it only who may give commands gets another. */
#define TEXT_BYTES ((uint64_t)16 * 1024 * 1024)

/* One kind of file in .bitcask. A new one is a new line in the table. */
struct bcfs_control_file {
    const char *name;
    uint32_t permissions;
    /* Makes the text; NULL: no memory. */
    char *(*text)(struct bcfs *fs, struct bcfs_inode *dir, size_t *size);
    /* Does what was written; returns an errno. NULL: nothing can be. */
    int (*write)(fuse_req_t req, struct bcfs_inode *dir, const char *bytes, size_t size);
};

static const struct bcfs_control_file files[] = {
    {"control", 0644, bcfs_jobs_text, bcfs_jobs_run},
    {"health", 0444, bcfs_health_file, NULL},
    {"metrics", 0444, bcfs_metrics_text, NULL},
    {"stats", 0444, bcfs_stats_text, NULL},
};

enum { FILES = sizeof(files) / sizeof(files[0]) };

void bcfs_control_free(struct bcfs *fs, struct bcfs_control *control)
{
    if (control == NULL) return;
    atomic_fetch_sub(&fs->nodes->control_bytes, control->text_size);
    free(control->text);
    free(control);
}

struct bcfs_inode *bcfs_control_dir(const struct bcfs_inode *inode)
{
    return inode->control->file == NULL ? inode->parent : inode->parent->parent;
}

double bcfs_control_timeout(const struct bcfs *fs, const struct bcfs_inode *inode)
{
    return inode->control->file == NULL ? bcfs_timeout(fs) : 0.0;
}

/* ---- nodes ---- */

/* The number of .bitcask (file NULL) or of a file in it. No key can have such a name, so none has the number. */
static uint64_t number_of(const struct bcfs_inode *dir, const struct bcfs_control_file *file)
{
    char name[64] = BCFS_CONTROL_NAME;

    if (file != NULL) {
        strcat(name, "/");
        strncat(name, file->name, sizeof(name) - strlen(name) - 1);
    }
    return bitcask_derived_ino(dir->dir->partition, name, strlen(name));
}

/* Makes a node with one reference; NULL: no memory. Takes text over. */
static struct bcfs_inode *make_node(struct bcfs *fs, struct bcfs_inode *parent, const char *name, uint64_t ino,
                                    const struct bcfs_control_file *file, char *text, size_t text_size)
{
    struct bcfs_control *control = calloc(1, sizeof(*control));
    struct bcfs_inode *inode = bcfs_inode_new_shared(fs, parent, name, strlen(name), ino);

    if (control == NULL || inode == NULL) {
        bcfs_inode_unref(fs, inode, 1);
        free(control);
        free(text);
        return NULL;
    }
    control->file = file;
    control->text = text;
    control->text_size = text_size;
    atomic_fetch_add(&fs->nodes->control_bytes, text_size);
    inode->control = control;
    inode->state = BCFS_COMMITTED;
    inode->mode = file == NULL ? S_IFDIR | 0555u : S_IFREG | file->permissions;
    inode->uid = fs->owner_uid;
    inode->gid = fs->owner_gid;
    inode->size = text_size;
    inode->stored = text_size;
    inode->mtime_ns = file == NULL ? fs->started_ns : bcfs_now_ns(fs);
    inode->ctime_ns = inode->mtime_ns;
    return inode;
}

/* The one node that stands for a directory's .bitcask: while the kernel knows it, it stays the same. */
static struct bcfs_inode *find_control_dir(struct bcfs *fs, struct bcfs_inode *dir)
{
    struct bcfs_inode *inode = NULL;

    bcfs_lock_dir(fs, dir);
    inode = bcfs_inode_find(fs, dir, BCFS_CONTROL_NAME, strlen(BCFS_CONTROL_NAME));
    if (inode == NULL) {
        inode = make_node(fs, dir, BCFS_CONTROL_NAME, number_of(dir, NULL), NULL, NULL, 0);
        if (inode != NULL) bcfs_inode_publish(fs, inode);
    }
    bcfs_unlock_dir(fs, dir);
    return inode;
}

static struct bcfs_inode *make_file(struct bcfs *fs, struct bcfs_inode *parent, const struct bcfs_control_file *file)
{
    struct bcfs_inode *dir = parent->parent;
    size_t size = 0;
    char *text = file->text(fs, dir, &size);

    if (text == NULL) return NULL;
    return make_node(fs, parent, file->name, number_of(dir, file), file, text, size);
}

/* Each text stays as long as somebody has its file open. */
static bool is_trusted(fuse_req_t req)
{
    uid_t uid = fuse_req_ctx(req)->uid;

    return uid == 0 || uid == bcfs_of(req)->owner_uid;
}

static const struct bcfs_control_file *find_file(const char *name)
{
    for (size_t i = 0; i < FILES; i++) {
        if (strcmp(name, files[i].name) == 0) return &files[i];
    }
    return NULL;
}

void bcfs_control_lookup(fuse_req_t req, struct bcfs_inode *parent, const char *name)
{
    struct bcfs *fs = bcfs_of(req);
    struct fuse_entry_param entry = {0};
    struct bcfs_inode *inode = NULL;

    if (parent->control == NULL) {
        inode = find_control_dir(fs, parent);
    } else {
        const struct bcfs_control_file *file = find_file(name);

        if (file == NULL) {
            entry.entry_timeout = bcfs_timeout(fs);
            (void)fuse_reply_entry(req, &entry);
            return;
        }
        if (atomic_load(&fs->nodes->control_bytes) <= TEXT_BYTES || is_trusted(req)) {
            inode = make_file(fs, parent, file);
        }
    }
    if (inode == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    entry.ino = bcfs_inode_id(fs, inode);
    entry.entry_timeout = bcfs_control_timeout(fs, inode);
    entry.attr_timeout = entry.entry_timeout;
    bcfs_inode_stat(inode, &entry.attr);
    /* The kernel gave up waiting: it does not know of this lookup. */
    if (fuse_reply_entry(req, &entry) != 0) bcfs_inode_unref(fs, inode, 1);
}

/* ---- requests ---- */

/* Adds one entry; false: it does not fit. Without a node, even for READDIRPLUS: the kernel looks the name up when
 * someone wants it. */
static bool add(fuse_req_t req, char *buffer, size_t size, size_t *used, bool plus, const char *name, uint64_t ino,
                uint32_t mode, off_t position)
{
    struct fuse_entry_param entry = {.attr = {.st_ino = ino, .st_mode = mode}};
    size_t needed = plus ? fuse_add_direntry_plus(req, buffer + *used, size - *used, name, &entry, position)
                         : fuse_add_direntry(req, buffer + *used, size - *used, name, &entry.attr, position);

    if (needed > size - *used) return false;
    *used += needed;
    return true;
}

void bcfs_control_list(fuse_req_t req, struct bcfs_inode *inode, size_t size, off_t position, bool plus)
{
    const struct bcfs_inode *dir = NULL;
    char *buffer = NULL;
    size_t used = 0;
    bool fits = true;

    if (inode->control->file != NULL || position < 0) {
        (void)fuse_reply_err(req, inode->control->file != NULL ? ENOTDIR : EINVAL);
        return;
    }
    buffer = malloc(size + 1);
    if (buffer == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    dir = inode->parent;
    for (off_t at = position; fits && at < 2 + FILES; at++) {
        if (at == 0) {
            fits = add(req, buffer, size, &used, plus, ".", inode->ino, S_IFDIR, 1);
        } else if (at == 1) {
            fits = add(req, buffer, size, &used, plus, "..", dir->ino, S_IFDIR, 2);
        } else {
            const struct bcfs_control_file *file = &files[at - 2];

            fits = add(req, buffer, size, &used, plus, file->name, number_of(dir, file), S_IFREG, at + 1);
        }
    }
    (void)fuse_reply_buf(req, buffer, used);
    free(buffer);
}

/* Nothing can be changed. What changes the size comes from O_TRUNC, and is as good as done. */
void bcfs_control_setattr(fuse_req_t req, struct bcfs_inode *inode, int to_set)
{
    struct stat attr;

    if (inode->control->file == NULL || !(to_set & FUSE_SET_ATTR_SIZE) ||
        (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    bcfs_inode_stat(inode, &attr);
    (void)fuse_reply_attr(req, &attr, bcfs_control_timeout(bcfs_of(req), inode));
}

void bcfs_control_read(fuse_req_t req, struct bcfs_inode *inode, size_t size, off_t off)
{
    struct bcfs *fs = bcfs_of(req);
    const struct bcfs_control *control = inode->control;
    size_t start = 0;

    if (control->file == NULL || off < 0) {
        (void)fuse_reply_err(req, control->file == NULL ? EISDIR : EINVAL);
        return;
    }
    start = (uint64_t)off < control->text_size ? (size_t)off : control->text_size;
    if (size > control->text_size - start) size = control->text_size - start;
    /* Once the kernel has the reply the reader may be gone, and its FORGET overtake this thread. */
    bcfs_inode_ref(inode);
    (void)fuse_reply_buf(req, size > 0 ? control->text + start : NULL, size);
    bcfs_inode_unref(fs, inode, 1);
}

void bcfs_control_write(fuse_req_t req, struct bcfs_inode *inode, const char *bytes, size_t size)
{
    struct bcfs *fs = bcfs_of(req);
    const struct bcfs_control_file *file = inode->control->file;
    int error = EACCES;

    if (file != NULL && file->write != NULL) {
        /* The kernel forgets nothing while it waits for an answer, unless the connection is cut meanwhile. */
        bcfs_inode_ref(inode);
        error = file->write(req, bcfs_control_dir(inode), bytes, size);
        bcfs_inode_unref(fs, inode, 1);
    }
    if (error == 0) {
        (void)fuse_reply_write(req, size);
    } else {
        (void)fuse_reply_err(req, error);
    }
}
