/* io.c - what the store calls: whole transfers, retries, counters and detail lines on top of a raw table.
 *
 * Holds no state but the counters in struct bc_io. It assumes of the raw operations what io.h says: short counts,
 * -EINTR, negative errnos. It keeps two invariants: a transfer that returns BITCASK_OK is complete, and a sync that
 * failed once is reported as failed, never tried again (the kernel drops the dirty pages it could not write, so that
 * a second fsync succeeds with the data gone).
 */
#include "io/io.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Repeats an operation that a signal interrupted before it did anything. */
#define RETRY(result, call) \
    do {                    \
        (result) = (call);  \
    } while ((result) == -EINTR)

/* What a person can do about a failure, where there is something. */
static const char *advice(bc_status status)
{
    switch (status) {
    case BITCASK_NO_SPACE: return "; free some space on the disk";
    case BITCASK_QUOTA: return "; free some space or have the quota raised";
    case BITCASK_TOO_MANY_FILES: return "; raise the limit of open files (ulimit -n)";
    case BITCASK_UNSUPPORTED: return "; keep the store on another filesystem";
    case BITCASK_UNSAFE: return "; the store makes no symbolic links, see who did";
    default: return "";
    }
}

static bc_status fail(const char *operation, const char *name, ssize_t result)
{
    int error = (int)-result;
    bc_status status = bc_status_from_errno(error);
    const char *text = strerrordesc_np(error);
    /* The name is cut rather than the reason, should a path be long. */
    return bc_fail(status, "%.350s: cannot %s: %s%s", name, operation, text != NULL ? text : "unknown error",
                   advice(status));
}

static void add(uint64_t *counter, uint64_t amount)
{
    __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

uint64_t bc_io_count(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

bc_status bc_io_open(struct bc_io *io, int at, const char *name, unsigned flags, int *fd)
{
    int result = 0;
    *fd = -1;
    RETRY(result, io->ops->open(io, at, name, flags));
    if (result < 0) return fail((flags & BC_OPEN_CREATE) != 0 ? "create" : "open", name, result);
    *fd = result;
    return BITCASK_OK;
}

bc_status bc_io_open_own_dir(struct bc_io *io, int at, const char *name, int *fd)
{
    struct bc_file_info info;
    bc_status status = bc_io_open(io, at, name, BC_OPEN_READ | BC_OPEN_DIRECTORY, fd);

    if (status != BITCASK_OK) return status;
    status = bc_io_info(io, *fd, name, &info);
    if (status == BITCASK_OK && info.uid != geteuid())
        status =
            bc_fail(BITCASK_UNSAFE, "%s: this directory of the store belongs to user %u and you are user %u; chown it",
                    name, info.uid, (unsigned)geteuid());
    else if (status == BITCASK_OK && (info.mode & 022) != 0)
        status =
            bc_fail(BITCASK_UNSAFE, "%s: others may write to this directory of the store (mode %03o); chmod go-w it",
                    name, info.mode & 0777);
    if (status != BITCASK_OK) {
        io->ops->close(io, *fd); /* only read from, and the detail line is to stay */
        *fd = -1;
    }
    return status;
}

bc_status bc_io_close(struct bc_io *io, int *fd)
{
    if (*fd < 0) return BITCASK_OK;
    /* Never repeated: Linux has freed the number even when close is interrupted, and another thread may own it. */
    int result = io->ops->close(io, *fd);
    *fd = -1;
    return result < 0 ? fail("close", "a file", result) : BITCASK_OK;
}

bc_status bc_io_read(struct bc_io *io, int fd, const char *name, void *data, size_t size, uint64_t offset, size_t *got)
{
    size_t done = 0;
    bc_status status = BITCASK_OK;
    while (done < size) {
        ssize_t n = io->ops->pread(io, fd, (uint8_t *)data + done, size - done, offset + done);
        if (n == -EINTR) continue;
        if (n < 0) {
            status = fail("read", name, n);
            break;
        }
        if (n == 0) break;
        done += (size_t)n;
    }
    add(&io->bytes_read, done);
    *got = done;
    return status;
}

bc_status bc_io_write(struct bc_io *io, int fd, const char *name, const struct iovec *iov, int count, uint64_t offset)
{
    int index = 0;   /* element to go on with */
    size_t done = 0; /* bytes of it that are written */
    for (;;) {
        while (index < count && iov[index].iov_len == done) {
            index++;
            done = 0;
        }
        if (index == count) return BITCASK_OK;

        /* An element that was left half written is finished on its own: the caller's array stays as it is. */
        struct iovec rest = {(uint8_t *)iov[index].iov_base + done, iov[index].iov_len - done};
        int pieces = count - index < IOV_MAX ? count - index : IOV_MAX;
        ssize_t n = done > 0 ? io->ops->pwritev(io, fd, &rest, 1, offset)
                             : io->ops->pwritev(io, fd, iov + index, pieces, offset);
        if (n == -EINTR) continue;
        if (n < 0) return fail("write", name, n);
        if (n == 0) return bc_fail(BITCASK_IO, "%.350s: cannot write: the system accepted no bytes", name);
        add(&io->bytes_written, (uint64_t)n);
        offset += (uint64_t)n;
        for (size_t left = (size_t)n; left > 0 && index < count;) {
            size_t room = iov[index].iov_len - done;
            size_t step = left < room ? left : room;
            done += step;
            left -= step;
            if (left > 0) {
                index++;
                done = 0;
            }
        }
    }
}

bc_status bc_io_sync(struct bc_io *io, int fd, const char *name)
{
    add(&io->syncs, 1);
    /* -EINTR counts as a failure like any other: nothing says which pages were written back before the signal, and
     * whether an error among them has been reported, and so forgotten, with it. */
    int result = io->ops->fdatasync(io, fd);
    return result < 0 ? fail("sync", name, result) : BITCASK_OK;
}

bc_status bc_io_sync_dir(struct bc_io *io, int fd, const char *name)
{
    add(&io->syncs, 1);
    int result = io->ops->sync_dir(io, fd); /* not retried either */
    return result < 0 ? fail("sync the directory", name, result) : BITCASK_OK;
}

bc_status bc_io_truncate(struct bc_io *io, int fd, const char *name, uint64_t size)
{
    int result = 0;
    RETRY(result, io->ops->truncate(io, fd, size));
    return result < 0 ? fail("truncate", name, result) : BITCASK_OK;
}

bc_status bc_io_allocate(struct bc_io *io, int fd, const char *name, uint64_t offset, uint64_t size)
{
    if (size == 0) return BITCASK_OK; /* EINVAL for fallocate(2) */
    int result = 0;
    RETRY(result, io->ops->allocate(io, fd, offset, size));
    return result < 0 ? fail("reserve room", name, result) : BITCASK_OK;
}

bc_status bc_io_map(struct bc_io *io, int fd, const char *name, uint64_t offset, size_t size, enum bc_map_kind kind,
                    struct bc_mapping **mapping)
{
    int result = io->ops->map != NULL ? io->ops->map(io, fd, offset, size, kind, mapping) : -EOPNOTSUPP;
    return result < 0 ? fail("map", name, result) : BITCASK_OK;
}

void bc_io_unmap(struct bc_io *io, struct bc_mapping **mapping)
{
    if (*mapping != NULL) io->ops->unmap(io, *mapping);
    *mapping = NULL;
}

bc_status bc_io_map_write(struct bc_io *io, struct bc_mapping *mapping, const char *name, const struct iovec *iov,
                          int count, uint64_t offset)
{
    uint64_t size = 0;
    for (int i = 0; i < count; i++) size += iov[i].iov_len;
    int result = io->ops->map_write(io, mapping, iov, count, offset);
    if (result < 0)
        return bc_fail(bc_status_from_errno(-result),
                       "%.350s: cannot write: the file was cut short, or the disk is full or faulty", name);
    add(&io->bytes_written, size);
    return BITCASK_OK;
}

void bc_io_note_read(struct bc_io *io, uint64_t bytes)
{
    add(&io->bytes_read, bytes);
}

bc_status bc_io_info(struct bc_io *io, int fd, const char *name, struct bc_file_info *info)
{
    int result = 0;
    RETRY(result, io->ops->info(io, fd, info));
    return result < 0 ? fail("stat", name, result) : BITCASK_OK;
}

bc_status bc_io_mkdir(struct bc_io *io, int at, const char *name)
{
    int result = 0;
    RETRY(result, io->ops->mkdir(io, at, name));
    return result < 0 ? fail("make the directory", name, result) : BITCASK_OK;
}

bc_status bc_io_rmdir(struct bc_io *io, int at, const char *name)
{
    int result = 0;
    RETRY(result, io->ops->rmdir(io, at, name));
    return result < 0 ? fail("remove the directory", name, result) : BITCASK_OK;
}

bc_status bc_io_rename(struct bc_io *io, int at, const char *from, const char *to)
{
    int result = 0;
    RETRY(result, io->ops->rename(io, at, from, to));
    if (result >= 0) return BITCASK_OK;
    char operation[64];
    snprintf(operation, sizeof operation, "rename to %.40s", to);
    return fail(operation, from, result);
}

bc_status bc_io_unlink(struct bc_io *io, int at, const char *name)
{
    int result = 0;
    RETRY(result, io->ops->unlink(io, at, name));
    return result < 0 ? fail("remove", name, result) : BITCASK_OK;
}

bc_status bc_io_link(struct bc_io *io, int at, const char *from, const char *to)
{
    int result = 0;
    RETRY(result, io->ops->link(io, at, from, to));
    if (result >= 0) return BITCASK_OK;
    char operation[64];
    snprintf(operation, sizeof operation, "link as %.40s", to);
    return fail(operation, from, result);
}

bc_status bc_io_list(struct bc_io *io, int fd, const char *name, bool (*each)(void *context, const char *name),
                     void *context)
{
    /* Not repeated when interrupted: some names may have been handed out already. */
    int result = io->ops->list(io, fd, each, context);
    return result < 0 ? fail("list", name, result) : BITCASK_OK;
}

bc_status bc_io_lock(struct bc_io *io, int fd, const char *name, enum bc_lock_kind kind, uint64_t start, uint64_t size)
{
    int result = 0;
    RETRY(result, io->ops->lock(io, fd, kind, start, size));
    if (result == -EAGAIN || result == -EACCES) return bc_fail(BITCASK_IN_USE, "%.350s: locked by another", name);
    return result < 0 ? fail("lock", name, result) : BITCASK_OK;
}

int64_t bc_io_now_ns(struct bc_io *io)
{
    return io->ops->now_ns(io);
}

uint64_t bc_io_free_bytes(struct bc_io *io, int fd)
{
    uint64_t bytes = 0;

    if (!io->ops->free_bytes || io->ops->free_bytes(io, fd, &bytes) < 0) return UINT64_MAX;
    return bytes;
}

bc_status bc_io_random(struct bc_io *io, void *data, size_t size)
{
    int result = 0;
    RETRY(result, io->ops->random(io, data, size));
    return result < 0 ? fail("get random bytes", "the system", result) : BITCASK_OK;
}
