/* io_sim.c - the calls of struct bc_io_ops on the simulated disk: handles, locks, clock, failures, the crash.
 *
 * Each call enters under the mutex, counts itself, and learns there whether it fails by order or because the power
 * is gone; what the disk then remembers is io_sim_disk.c's.
 */
#include "io_sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io_sim_disk.h"

#define FIRST_HANDLE 1000 /* so that a handle is never taken for a descriptor of the process */

struct handle {
    struct sim_node *node; /* NULL: closed */
    bool writable;
};

struct held_lock {
    int fd;
    struct sim_node *node;
    enum bc_lock_kind kind;
    uint64_t start, end; /* end is exclusive */
};

struct failure {
    uint64_t in; /* calls until it strikes, 0: no order */
    int error;
    bool forever;
};

struct sim_mapping {
    struct bc_mapping mapping; /* must be first */
    struct sim_node *node;
};

struct bc_sim {
    struct bc_io io;
    pthread_mutex_t mutex; /* guards all below */
    struct sim_disk *disk;
    struct handle *handles;
    size_t handle_count, handle_room;
    size_t mappings;
    struct held_lock *locks;
    size_t lock_count, lock_room;
    uint64_t rng;
    int64_t now_ns;
    uint64_t calls[BC_SIM_CALLS];
    uint64_t changes;
    uint64_t misuses;
    uint64_t crash_at;
    uint64_t crashed; /* 0 or 1 */
    struct failure failures[BC_SIM_CALLS];
    size_t short_bytes;
    uint64_t room; /* bytes, 0: there is always some */
    void (*hook)(void *context, enum bc_sim_call kind); /* set before use, not guarded */
    void *hook_context;
};

/* What a call that changes the disk has to do. */
enum fate { GOES, FAILS, IN_FLIGHT };

static struct bc_sim *enter(struct bc_io *io, enum bc_sim_call kind)
{
    struct bc_sim *sim = io->context;
    if (sim->hook) sim->hook(sim->hook_context, kind);
    pthread_mutex_lock(&sim->mutex);
    sim->calls[kind]++;
    return sim;
}

static int leave(struct bc_sim *sim, int result)
{
    pthread_mutex_unlock(&sim->mutex);
    return result;
}

/* The errno that the order for this kind gives this call, 0 for none. */
static int ordered_failure(struct bc_sim *sim, enum bc_sim_call kind)
{
    struct failure *failure = &sim->failures[kind];
    if (failure->in == 0 || --failure->in > 0) return 0;
    if (failure->forever) failure->in = 1;
    return failure->error;
}

/* Counts a change. Only the call that the crash hits is in flight; all later ones leave no trace. */
static enum fate change_fate(struct bc_sim *sim)
{
    if (sim->crashed) return FAILS;
    sim->changes++;
    sim->crashed = sim->changes == sim->crash_at;
    return sim->crashed ? IN_FLIGHT : GOES;
}

static struct handle *handle_of(struct bc_sim *sim, int fd)
{
    size_t i = (size_t)fd - FIRST_HANDLE;
    if (fd >= FIRST_HANDLE && i < sim->handle_count && sim->handles[i].node) return &sim->handles[i];
    sim->misuses++;
    return NULL;
}

/* Where name leads from the directory at: the directory that holds its last component, that component, and its node,
 * NULL where there is none yet. */
static int walk(struct bc_sim *sim, int at, const char *name, struct sim_node **directory, const char **leaf,
                struct sim_node **node)
{
    struct handle *handle = at == BC_AT_CWD ? NULL : handle_of(sim, at);
    if (at != BC_AT_CWD && !handle) return -EBADF;
    return sim_walk(handle ? handle->node : sim->disk->nodes[0], name, directory, leaf, node);
}

/* ---- locks ---- */

static void add_lock(struct bc_sim *sim, struct held_lock lock)
{
    if (sim->lock_count == sim->lock_room) {
        sim->lock_room = sim->lock_room * 2 + 8;
        sim->locks = sim_realloc(sim->locks, sim->lock_room * sizeof *sim->locks);
    }
    sim->locks[sim->lock_count++] = lock;
}

/* Takes the range out of what fd holds, leaving what sticks out on either side. */
static void drop_range(struct bc_sim *sim, int fd, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < sim->lock_count;) {
        struct held_lock held = sim->locks[i];
        if (held.fd != fd || held.end <= start || end <= held.start) {
            i++;
            continue;
        }
        sim->locks[i] = sim->locks[--sim->lock_count];
        struct held_lock left = held, right = held;
        left.end = start;
        right.start = end;
        if (held.start < start) add_lock(sim, left);
        if (end < held.end) add_lock(sim, right);
    }
}

static int lock_locked(struct bc_sim *sim, int fd, enum bc_lock_kind kind, uint64_t start, uint64_t size)
{
    int error = ordered_failure(sim, BC_SIM_LOCK);
    if (error) return -error;
    struct handle *handle = handle_of(sim, fd);
    if (!handle || (kind == BC_LOCK_EXCLUSIVE && !handle->writable)) return -EBADF;
    uint64_t end = size ? start + size : UINT64_MAX;
    for (size_t i = 0; kind != BC_LOCK_NONE && i < sim->lock_count; i++) {
        const struct held_lock *held = &sim->locks[i];
        if (held->fd == fd || held->node != handle->node || held->end <= start || end <= held->start) continue;
        if (kind == BC_LOCK_EXCLUSIVE || held->kind == BC_LOCK_EXCLUSIVE) return -EAGAIN;
    }
    drop_range(sim, fd, start, end);
    if (kind != BC_LOCK_NONE)
        add_lock(sim, (struct held_lock){.fd = fd, .node = handle->node, .kind = kind, .start = start, .end = end});
    return 0;
}

static int sim_op_lock(struct bc_io *io, int fd, enum bc_lock_kind kind, uint64_t start, uint64_t size)
{
    struct bc_sim *sim = enter(io, BC_SIM_LOCK);
    return leave(sim, lock_locked(sim, fd, kind, start, size));
}

/* ---- files ---- */

static int add_handle(struct bc_sim *sim, struct sim_node *node, bool writable)
{
    if (sim->handle_count == sim->handle_room) {
        sim->handle_room = sim->handle_room * 2 + 64;
        sim->handles = sim_realloc(sim->handles, sim->handle_room * sizeof *sim->handles);
    }
    sim->handles[sim->handle_count] = (struct handle){.node = node, .writable = writable};
    return FIRST_HANDLE + (int)sim->handle_count++;
}

static int open_locked(struct bc_sim *sim, int at, const char *name, unsigned flags)
{
    struct sim_node *directory, *node;
    const char *leaf;
    int error = ordered_failure(sim, BC_SIM_OPEN);
    if (error) return -error;
    error = walk(sim, at, name, &directory, &leaf, &node);
    if (error) return error;
    if (!node && !(flags & BC_OPEN_CREATE)) return -ENOENT;
    if (node && (flags & BC_OPEN_CREATE) && (flags & BC_OPEN_EXCLUSIVE)) return -EEXIST;
    if (node && (flags & BC_OPEN_DIRECTORY) && !node->is_directory) return -ENOTDIR;
    if (node && node->is_directory && (flags & (BC_OPEN_WRITE | BC_OPEN_TRUNCATE))) return -EISDIR;
    bool truncates = node && (flags & BC_OPEN_TRUNCATE) && node->now.size > 0;
    enum fate fate = !node || truncates ? change_fate(sim) : GOES;
    if (fate == FAILS) return -EIO;
    if (!node) {
        node = sim_node_new(sim->disk, false);
        sim_link(directory, leaf, node, fate == IN_FLIGHT);
    } else if (truncates) {
        sim_truncate(node, 0, fate == IN_FLIGHT);
    }
    return fate == GOES ? add_handle(sim, node, flags & BC_OPEN_WRITE) : -EIO;
}

static int sim_op_open(struct bc_io *io, int at, const char *name, unsigned flags)
{
    struct bc_sim *sim = enter(io, BC_SIM_OPEN);
    return leave(sim, open_locked(sim, at, name, flags));
}

static int sim_op_close(struct bc_io *io, int fd)
{
    struct bc_sim *sim = enter(io, BC_SIM_CLOSE);
    int error = ordered_failure(sim, BC_SIM_CLOSE);
    struct handle *handle = handle_of(sim, fd);
    if (!handle) return leave(sim, -EBADF);
    handle->node = NULL;
    drop_range(sim, fd, 0, UINT64_MAX);
    return leave(sim, -error);
}

static ssize_t sim_op_pread(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    struct bc_sim *sim = enter(io, BC_SIM_PREAD);
    int error = ordered_failure(sim, BC_SIM_PREAD);
    struct handle *handle = handle_of(sim, fd);
    if (!handle) error = EBADF;
    if (!error && handle->node->is_directory) error = EISDIR;
    if (error) return leave(sim, -error);
    const struct sim_content *now = &handle->node->now;
    size_t got = offset >= now->size ? 0 : (size_t)(now->size - offset);
    if (got > size) got = size;
    if (sim->short_bytes && got > sim->short_bytes) got = sim->short_bytes;
    if (got) memcpy(data, now->data + offset, got);
    return leave(sim, (int)got); /* at most SIM_FILE_MAX */
}

/* Whether a file may grow so far. */
static bool has_room(const struct bc_sim *sim, const struct sim_node *node, uint64_t end)
{
    return sim->room == 0 || sim_node_used(node, end) == sim_node_used(node, 0) ||
           sim_disk_used(sim->disk) - sim_node_used(node, 0) + sim_node_used(node, end) <= sim->room;
}

static ssize_t pwritev_locked(struct bc_sim *sim, int fd, const struct iovec *iov, int count, uint64_t offset)
{
    struct handle *handle = handle_of(sim, fd);
    if (!handle || !handle->writable) return -EBADF;
    if (count < 0 || count > 1024) return -EINVAL;
    enum fate fate = change_fate(sim);
    if (fate == FAILS) return -EIO;
    int error = ordered_failure(sim, BC_SIM_PWRITEV);
    if (error) return fate == IN_FLIGHT ? -EIO : -error;
    size_t size = 0;
    for (int i = 0; i < count; i++) size += iov[i].iov_len;
    if (sim->short_bytes && size > sim->short_bytes) size = sim->short_bytes;
    if (offset > SIM_FILE_MAX || size > SIM_FILE_MAX - offset) return -EFBIG;
    if (!has_room(sim, handle->node, offset + size)) return -ENOSPC;
    uint8_t *data = sim_realloc(NULL, size);
    size_t done = 0;
    for (int i = 0; i < count && done < size; i++) {
        size_t part = iov[i].iov_len < size - done ? iov[i].iov_len : size - done;
        if (part) memcpy(data + done, iov[i].iov_base, part);
        done += part;
    }
    sim_write(handle->node, data, size, offset, fate == IN_FLIGHT);
    free(data);
    return fate == GOES ? (ssize_t)size : -EIO;
}

static ssize_t sim_op_pwritev(struct bc_io *io, int fd, const struct iovec *iov, int count, uint64_t offset)
{
    struct bc_sim *sim = enter(io, BC_SIM_PWRITEV);
    return leave(sim, (int)pwritev_locked(sim, fd, iov, count, offset)); /* at most SIM_FILE_MAX */
}

static int sync_node(struct bc_io *io, int fd, enum bc_sim_call kind)
{
    struct bc_sim *sim = enter(io, kind);
    struct handle *handle = handle_of(sim, fd);
    if (!handle) return leave(sim, -EBADF);
    if (handle->node->is_directory != (kind == BC_SIM_SYNC_DIR)) return leave(sim, -EINVAL);
    if (change_fate(sim) != GOES) return leave(sim, -EIO);
    int error = ordered_failure(sim, kind);
    if (error)
        sim_sync_lose(handle->node);
    else
        sim_sync(handle->node);
    return leave(sim, -error);
}

static int sim_op_fdatasync(struct bc_io *io, int fd)
{
    return sync_node(io, fd, BC_SIM_FDATASYNC);
}

static int sim_op_sync_dir(struct bc_io *io, int fd)
{
    return sync_node(io, fd, BC_SIM_SYNC_DIR);
}

static int truncate_locked(struct bc_sim *sim, int fd, uint64_t size)
{
    struct handle *handle = handle_of(sim, fd);
    if (!handle || !handle->writable) return -EBADF;
    if (size > SIM_FILE_MAX) return -EFBIG;
    enum fate fate = change_fate(sim);
    if (fate == FAILS) return -EIO;
    int error = ordered_failure(sim, BC_SIM_TRUNCATE);
    if (error) return fate == IN_FLIGHT ? -EIO : -error;
    if (fate == GOES && size <= handle->node->now.size) handle->node->allocated = 0;
    sim_truncate(handle->node, size, fate == IN_FLIGHT);
    return fate == GOES ? 0 : -EIO;
}

static int sim_op_truncate(struct bc_io *io, int fd, uint64_t size)
{
    struct bc_sim *sim = enter(io, BC_SIM_TRUNCATE);
    return leave(sim, truncate_locked(sim, fd, size));
}

/* The disk is as large as the machine's memory: room is never short unless ordered, or limited. */
static int sim_op_allocate(struct bc_io *io, int fd, uint64_t offset, uint64_t size)
{
    struct bc_sim *sim = enter(io, BC_SIM_ALLOCATE);
    struct handle *handle = handle_of(sim, fd);
    if (!handle || !handle->writable) return leave(sim, -EBADF);
    if (offset > SIM_FILE_MAX * 4 || size > SIM_FILE_MAX * 4) return leave(sim, -EFBIG);
    if (change_fate(sim) != GOES) return leave(sim, -EIO);
    int error = ordered_failure(sim, BC_SIM_ALLOCATE);
    if (!error && !has_room(sim, handle->node, offset + size)) error = ENOSPC;
    if (!error && handle->node->allocated < offset + size) handle->node->allocated = offset + size;
    return leave(sim, -error);
}

static int sim_op_map(struct bc_io *io, int fd, uint64_t offset, size_t size, enum bc_map_kind kind,
                      struct bc_mapping **mapping)
{
    if (kind != BC_MAP_APPEND) return -EOPNOTSUPP;
    struct bc_sim *sim = enter(io, BC_SIM_MAP);
    int error = ordered_failure(sim, BC_SIM_MAP);
    if (error) return leave(sim, -error);
    struct handle *handle = handle_of(sim, fd);
    if (!handle || !handle->writable) return leave(sim, -EBADF);
    if (offset % BC_MAP_GRAIN || size == 0) return leave(sim, -EINVAL);
    struct sim_mapping *made = sim_realloc(NULL, sizeof *made);
    *made = (struct sim_mapping){.mapping = {.offset = offset, .size = size}, .node = handle->node};
    *mapping = &made->mapping;
    sim->mappings++;
    return leave(sim, 0);
}

static void sim_op_unmap(struct bc_io *io, struct bc_mapping *mapping)
{
    struct bc_sim *sim = io->context;
    pthread_mutex_lock(&sim->mutex);
    sim->mappings--;
    pthread_mutex_unlock(&sim->mutex);
    free(mapping);
}

static uint8_t *gather(const struct iovec *iov, int count, size_t *size)
{
    *size = 0;
    for (int i = 0; i < count; i++) *size += iov[i].iov_len;
    uint8_t *data = sim_realloc(NULL, *size);
    size_t done = 0;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len) memcpy(data + done, iov[i].iov_base, iov[i].iov_len);
        done += iov[i].iov_len;
    }
    return data;
}

static int map_write_locked(struct bc_sim *sim, struct sim_mapping *mapping, const uint8_t *data, size_t size,
                            uint64_t offset)
{
    const struct bc_mapping *range = &mapping->mapping;
    enum fate fate = change_fate(sim);
    if (fate == FAILS) return -EIO;
    int error = ordered_failure(sim, BC_SIM_MAP_WRITE);
    if (offset < range->offset || offset + size > range->offset + range->size ||
        offset + size > mapping->node->now.size) {
        sim->misuses++;
        error = EIO;
    }
    if (error && fate == GOES) sim_write(mapping->node, data, size / 2, offset, false);
    if (!error) sim_write(mapping->node, data, size, offset, fate == IN_FLIGHT);
    if (fate == IN_FLIGHT) return -EIO;
    return -error;
}

static int sim_op_map_write(struct bc_io *io, struct bc_mapping *mapping, const struct iovec *iov, int count,
                            uint64_t offset)
{
    struct bc_sim *sim = enter(io, BC_SIM_MAP_WRITE);
    size_t size;
    uint8_t *data = gather(iov, count, &size);
    int result = map_write_locked(sim, (struct sim_mapping *)mapping, data, size, offset);
    free(data);
    return leave(sim, result);
}

static int sim_op_info(struct bc_io *io, int fd, struct bc_file_info *info)
{
    struct bc_sim *sim = enter(io, BC_SIM_INFO);
    int error = ordered_failure(sim, BC_SIM_INFO);
    struct handle *handle = handle_of(sim, fd);
    if (!handle) error = EBADF;
    if (error) return leave(sim, -error);
    bool is_directory = handle->node->is_directory;
    *info = (struct bc_file_info){.size = handle->node->now.size,
                                  .mode = is_directory ? S_IFDIR | 0700 : S_IFREG | 0600,
                                  .uid = geteuid(),
                                  .is_directory = is_directory,
                                  .is_regular = !is_directory};
    return leave(sim, 0);
}

/* ---- names ---- */

static int mkdir_locked(struct bc_sim *sim, int at, const char *name)
{
    struct sim_node *directory, *node;
    const char *leaf;
    int error = walk(sim, at, name, &directory, &leaf, &node);
    if (error) return error;
    if (node) return -EEXIST;
    enum fate fate = change_fate(sim);
    if (fate == FAILS) return -EIO;
    error = ordered_failure(sim, BC_SIM_MKDIR);
    if (error) return fate == IN_FLIGHT ? -EIO : -error;
    sim_link(directory, leaf, sim_node_new(sim->disk, true), fate == IN_FLIGHT);
    return fate == GOES ? 0 : -EIO;
}

static int sim_op_mkdir(struct bc_io *io, int at, const char *name)
{
    struct bc_sim *sim = enter(io, BC_SIM_MKDIR);
    return leave(sim, mkdir_locked(sim, at, name));
}

static int remove_locked(struct bc_sim *sim, int at, const char *name, enum bc_sim_call kind)
{
    struct sim_node *directory, *node;
    const char *leaf;
    int error = walk(sim, at, name, &directory, &leaf, &node);
    if (error) return error;
    if (!node) return -ENOENT;
    if (node == directory) return -EINVAL;
    if (kind == BC_SIM_UNLINK && node->is_directory) return -EISDIR;
    if (kind == BC_SIM_RMDIR && !node->is_directory) return -ENOTDIR;
    if (kind == BC_SIM_RMDIR && node->names.count > 0) return -ENOTEMPTY;
    enum fate fate = change_fate(sim);
    if (fate == FAILS) return -EIO;
    error = ordered_failure(sim, kind);
    if (error) return fate == IN_FLIGHT ? -EIO : -error;
    sim_unlink(directory, leaf, fate == IN_FLIGHT);
    return fate == GOES ? 0 : -EIO;
}

static int sim_op_rmdir(struct bc_io *io, int at, const char *name)
{
    struct bc_sim *sim = enter(io, BC_SIM_RMDIR);
    return leave(sim, remove_locked(sim, at, name, BC_SIM_RMDIR));
}

static int sim_op_unlink(struct bc_io *io, int at, const char *name)
{
    struct bc_sim *sim = enter(io, BC_SIM_UNLINK);
    return leave(sim, remove_locked(sim, at, name, BC_SIM_UNLINK));
}

static int rename_locked(struct bc_sim *sim, int at, const char *from, const char *to)
{
    struct sim_node *from_directory, *to_directory, *node, *target;
    const char *from_leaf, *to_leaf;
    int error = walk(sim, at, from, &from_directory, &from_leaf, &node);
    if (!error) error = walk(sim, at, to, &to_directory, &to_leaf, &target);
    if (error) return error;
    if (!node) return -ENOENT;
    if (node == from_directory || target == to_directory) return -EINVAL;
    if (from_directory != to_directory) return -EXDEV;
    if (target && target->is_directory != node->is_directory) return target->is_directory ? -EISDIR : -ENOTDIR;
    if (target && target->is_directory && target->names.count > 0) return -ENOTEMPTY;
    enum fate fate = change_fate(sim);
    if (fate == FAILS) return -EIO;
    error = ordered_failure(sim, BC_SIM_RENAME);
    if (error) return fate == IN_FLIGHT ? -EIO : -error;
    if (node != target) sim_rename(from_directory, from_leaf, to_leaf, fate == IN_FLIGHT);
    return fate == GOES ? 0 : -EIO;
}

static int sim_op_rename(struct bc_io *io, int at, const char *from, const char *to)
{
    struct bc_sim *sim = enter(io, BC_SIM_RENAME);
    return leave(sim, rename_locked(sim, at, from, to));
}

static int link_locked(struct bc_sim *sim, int at, const char *from, const char *to)
{
    struct sim_node *from_directory, *to_directory, *node, *target;
    const char *from_leaf, *to_leaf;
    int error = walk(sim, at, from, &from_directory, &from_leaf, &node);
    if (!error) error = walk(sim, at, to, &to_directory, &to_leaf, &target);
    if (error) return error;
    if (!node) return -ENOENT;
    if (node->is_directory) return -EPERM;
    if (target) return -EEXIST;
    if (from_directory != to_directory) return -EXDEV;
    enum fate fate = change_fate(sim);
    if (fate == FAILS) return -EIO;
    error = ordered_failure(sim, BC_SIM_LINK);
    if (error) return fate == IN_FLIGHT ? -EIO : -error;
    sim_link(to_directory, to_leaf, node, fate == IN_FLIGHT);
    return fate == GOES ? 0 : -EIO;
}

static int sim_op_link(struct bc_io *io, int at, const char *from, const char *to)
{
    struct bc_sim *sim = enter(io, BC_SIM_LINK);
    return leave(sim, link_locked(sim, at, from, to));
}

/* The names are copied first: each may call the disk again. */
static int sim_op_list(struct bc_io *io, int fd, bool (*each)(void *context, const char *name), void *context)
{
    struct bc_sim *sim = enter(io, BC_SIM_LIST);
    int error = ordered_failure(sim, BC_SIM_LIST);
    struct handle *handle = handle_of(sim, fd);
    if (!handle) error = EBADF;
    if (!error && !handle->node->is_directory) error = ENOTDIR;
    if (error) return leave(sim, -error);
    const struct sim_entries *names = &handle->node->names;
    size_t count = names->count;
    char **copies = sim_realloc(NULL, count * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(names->list[i].name) + 1;
        copies[i] = memcpy(sim_realloc(NULL, size), names->list[i].name, size);
    }
    leave(sim, 0);
    bool go_on = true;
    for (size_t i = 0; i < count; i++) {
        if (go_on) go_on = each(context, copies[i]);
        free(copies[i]);
    }
    free(copies);
    return 0;
}

/* ---- clock, randomness ---- */

static int64_t sim_op_now_ns(struct bc_io *io)
{
    struct bc_sim *sim = io->context;
    pthread_mutex_lock(&sim->mutex);
    int64_t now_ns = sim->now_ns += 1000;
    pthread_mutex_unlock(&sim->mutex);
    return now_ns;
}

static int sim_op_random(struct bc_io *io, void *data, size_t size)
{
    struct bc_sim *sim = enter(io, BC_SIM_RANDOM);
    int error = ordered_failure(sim, BC_SIM_RANDOM);
    for (size_t i = 0; i < size; i++) ((uint8_t *)data)[i] = (uint8_t)sim_random(&sim->rng);
    return leave(sim, -error);
}

static const struct bc_io_ops sim_ops = {
    .open = sim_op_open,
    .close = sim_op_close,
    .pread = sim_op_pread,
    .pwritev = sim_op_pwritev,
    .fdatasync = sim_op_fdatasync,
    .sync_dir = sim_op_sync_dir,
    .truncate = sim_op_truncate,
    .allocate = sim_op_allocate,
    .map = sim_op_map,
    .unmap = sim_op_unmap,
    .map_write = sim_op_map_write,
    .info = sim_op_info,
    .mkdir = sim_op_mkdir,
    .rmdir = sim_op_rmdir,
    .rename = sim_op_rename,
    .unlink = sim_op_unlink,
    .link = sim_op_link,
    .list = sim_op_list,
    .lock = sim_op_lock,
    .now_ns = sim_op_now_ns,
    .random = sim_op_random,
};

/* ---- the disk as the tests handle it ---- */

static struct bc_sim *sim_on_disk(struct sim_disk *disk, uint64_t seed, int64_t now_ns)
{
    struct bc_sim *sim = sim_realloc(NULL, sizeof *sim);
    *sim = (struct bc_sim){.io = {.ops = &sim_ops}, .disk = disk, .rng = seed, .now_ns = now_ns};
    sim->io.context = sim;
    pthread_mutex_init(&sim->mutex, NULL);
    return sim;
}

struct bc_sim *bc_sim_open(uint64_t seed)
{
    return sim_on_disk(sim_disk_open(), seed, INT64_C(1770000000) * 1000000000);
}

void bc_sim_close(struct bc_sim **sim)
{
    if (!*sim) return;
    sim_disk_close(&(*sim)->disk);
    pthread_mutex_destroy(&(*sim)->mutex);
    free((*sim)->handles);
    free((*sim)->locks);
    free(*sim);
    *sim = NULL;
}

struct bc_io *bc_sim_io(struct bc_sim *sim)
{
    return &sim->io;
}

void bc_sim_set_clock(struct bc_sim *sim, int64_t now_ns)
{
    pthread_mutex_lock(&sim->mutex);
    sim->now_ns = now_ns;
    pthread_mutex_unlock(&sim->mutex);
}

static uint64_t read_counter(struct bc_sim *sim, const uint64_t *counter)
{
    pthread_mutex_lock(&sim->mutex);
    uint64_t value = *counter;
    pthread_mutex_unlock(&sim->mutex);
    return value;
}

uint64_t bc_sim_calls(struct bc_sim *sim, enum bc_sim_call kind)
{
    return read_counter(sim, &sim->calls[kind]);
}

uint64_t bc_sim_changes(struct bc_sim *sim)
{
    return read_counter(sim, &sim->changes);
}

uint64_t bc_sim_misuses(struct bc_sim *sim)
{
    return read_counter(sim, &sim->misuses);
}

size_t bc_sim_handles(struct bc_sim *sim)
{
    size_t count = 0;
    pthread_mutex_lock(&sim->mutex);
    for (size_t i = 0; i < sim->handle_count; i++) count += sim->handles[i].node != NULL;
    count += sim->mappings;
    pthread_mutex_unlock(&sim->mutex);
    return count;
}

void bc_sim_crash_at(struct bc_sim *sim, uint64_t n)
{
    pthread_mutex_lock(&sim->mutex);
    sim->crash_at = n;
    pthread_mutex_unlock(&sim->mutex);
}

bool bc_sim_crashed(struct bc_sim *sim)
{
    return read_counter(sim, &sim->crashed) != 0;
}

void bc_sim_kill(struct bc_sim *sim)
{
    sim_disk_drop_flights(sim->disk);
    for (size_t i = 0; i < sim->handle_count; i++) sim->handles[i].node = NULL;
    sim->lock_count = 0;
    sim->crash_at = sim->crashed = 0;
}

struct bc_sim *bc_sim_power_cut(struct bc_sim *sim, enum bc_sim_cut cut, uint64_t seed)
{
    static const enum sim_keep keeps[] = {[BC_SIM_CUT_ALL] = SIM_KEEP_ALL,
                                          [BC_SIM_CUT_SYNCED] = SIM_KEEP_SYNCED,
                                          [BC_SIM_CUT_RANDOM] = SIM_KEEP_RANDOM,
                                          [BC_SIM_CUT_SYNCED_AND_ONE] = SIM_KEEP_SYNCED_AND_ONE,
                                          [BC_SIM_CUT_ALL_BUT_ONE] = SIM_KEEP_ALL_BUT_ONE,
                                          [BC_SIM_CUT_NAMES] = SIM_KEEP_NAMES,
                                          [BC_SIM_CUT_CONTENT] = SIM_KEEP_CONTENT};
    pthread_mutex_lock(&sim->mutex);
    struct bc_sim *after = sim_on_disk(sim_disk_cut(sim->disk, keeps[cut], seed), ~seed, sim->now_ns + 1000000000);
    pthread_mutex_unlock(&sim->mutex);
    return after;
}

size_t bc_sim_unsynced(struct bc_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    size_t count = sim_disk_unsynced(sim->disk);
    pthread_mutex_unlock(&sim->mutex);
    return count;
}

uint64_t bc_sim_digest(struct bc_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    uint64_t digest = sim_disk_digest(sim->disk);
    pthread_mutex_unlock(&sim->mutex);
    return digest;
}

void bc_sim_fail(struct bc_sim *sim, enum bc_sim_call kind, uint64_t n, int error, bool forever)
{
    pthread_mutex_lock(&sim->mutex);
    sim->failures[kind] = (struct failure){.in = n, .error = error, .forever = forever};
    pthread_mutex_unlock(&sim->mutex);
}

void bc_sim_set_short(struct bc_sim *sim, size_t bytes)
{
    pthread_mutex_lock(&sim->mutex);
    sim->short_bytes = bytes;
    pthread_mutex_unlock(&sim->mutex);
}

void bc_sim_set_room(struct bc_sim *sim, uint64_t bytes)
{
    pthread_mutex_lock(&sim->mutex);
    sim->room = bytes;
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t bc_sim_used(struct bc_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    uint64_t used = sim_disk_used(sim->disk);
    pthread_mutex_unlock(&sim->mutex);
    return used;
}

void bc_sim_set_hook(struct bc_sim *sim, void (*hook)(void *context, enum bc_sim_call kind), void *context)
{
    sim->hook = hook;
    sim->hook_context = context;
}
