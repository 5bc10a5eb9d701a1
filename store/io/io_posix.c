/* io_posix.c - the raw operations on a Linux machine's own disk.
 *
 * One system call each, as far as possible, with errno handed on as a negative number; what is short or interrupted
 * stays so, io.c deals with it. Holds no state but the process-wide counters.
 *
 * Invariant: nothing here follows a symbolic link below the store's directory. A name is one component, so that there
 * is no directory in it to be a link, and the last one is opened with O_NOFOLLOW. Only the path that the user typed
 * (BC_AT_CWD) may lead through links, and end in one if a directory is meant: STORE may well be a link to where it is.
 */
#include "io/io.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/mapping.h"

_Static_assert(BC_AT_CWD == AT_FDCWD, "the at-argument is handed on as it is");
_Static_assert(sizeof(off_t) == 8, "segments reach 4 GiB: build with 64-bit file offsets");

static int result_of(int result)
{
    return result < 0 ? -errno : result;
}

static bool acceptable(int at, const char *name)
{
    return at == BC_AT_CWD || strchr(name, '/') == NULL;
}

static bool in_range(uint64_t offset, uint64_t size)
{
    return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

static int posix_open(struct bc_io *io, int at, const char *name, unsigned flags)
{
    (void)io;
    if (!acceptable(at, name)) return -EINVAL;
    /* O_NONBLOCK means nothing to a regular file; a FIFO that somebody left under the name of a data file would
     * otherwise hang the open for ever. */
    int bits = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    bits |= (flags & BC_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;
    if ((flags & BC_OPEN_CREATE) != 0) bits |= O_CREAT;
    if ((flags & BC_OPEN_EXCLUSIVE) != 0) bits |= O_EXCL;
    if ((flags & BC_OPEN_TRUNCATE) != 0) bits |= O_TRUNC;
    if ((flags & BC_OPEN_DIRECTORY) != 0) bits |= O_DIRECTORY;
    if (at != BC_AT_CWD || (flags & BC_OPEN_DIRECTORY) == 0) bits |= O_NOFOLLOW;
    return result_of(openat(at, name, bits, 0600));
}

static int posix_close(struct bc_io *io, int fd)
{
    (void)io;
    return result_of(close(fd));
}

static ssize_t posix_pread(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    (void)io;
    if (offset > INT64_MAX) return -EINVAL;
    ssize_t n = pread(fd, data, size, (off_t)offset);
    return n < 0 ? -errno : n;
}

static ssize_t posix_pwritev(struct bc_io *io, int fd, const struct iovec *iov, int count, uint64_t offset)
{
    (void)io;
    if (offset > INT64_MAX) return -EINVAL;
    ssize_t n = pwritev(fd, iov, count, (off_t)offset);
    return n < 0 ? -errno : n;
}

static int posix_fdatasync(struct bc_io *io, int fd)
{
    (void)io;
    return result_of(fdatasync(fd));
}

static int posix_sync_dir(struct bc_io *io, int fd)
{
    (void)io;
    return result_of(fsync(fd));
}

static int posix_truncate(struct bc_io *io, int fd, uint64_t size)
{
    (void)io;
    if (size > INT64_MAX) return -EINVAL;
    return result_of(ftruncate(fd, (off_t)size));
}

/* fallocate(2) rather than posix_fallocate(3), which on a filesystem without it writes zeros into the file. */
static int posix_allocate(struct bc_io *io, int fd, uint64_t offset, uint64_t size)
{
    (void)io;
    if (!in_range(offset, size)) return -EINVAL;
    return result_of(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size));
}

static int posix_map(struct bc_io *io, int fd, uint64_t offset, size_t size, enum bc_map_kind kind,
                     struct bc_mapping **mapping)
{
    (void)io;
    int result = bc_mapping_open(fd, offset, size, kind == BC_MAP_APPEND, mapping);
    /* One read a record, not the surroundings as well; pages that are in memory already come by the dozen all the
     * same. */
    if (result == 0 && kind == BC_MAP_READ) (void)madvise((*mapping)->data, (*mapping)->size, MADV_RANDOM);
    return result;
}

static void posix_unmap(struct bc_io *io, struct bc_mapping *mapping)
{
    (void)io;
    bc_mapping_close(mapping);
}

static int posix_map_write(struct bc_io *io, struct bc_mapping *mapping, const struct iovec *iov, int count,
                           uint64_t offset)
{
    (void)io;
    uint8_t *to = mapping->data + (offset - mapping->offset);
    for (int i = 0; i < count; i++) {
        assert(iov[i].iov_len <= mapping->size - (size_t)(to - mapping->data));
        if (iov[i].iov_len > 0) memcpy(to, iov[i].iov_base, iov[i].iov_len);
        to += iov[i].iov_len;
    }
    return atomic_load(&mapping->broken) ? -EIO : 0;
}

static int posix_info(struct bc_io *io, int fd, struct bc_file_info *info)
{
    (void)io;
    struct stat st;
    if (fstat(fd, &st) < 0) return -errno;
    *info = (struct bc_file_info){
        .size = st.st_size > 0 ? (uint64_t)st.st_size : 0,
        .mode = st.st_mode,
        .uid = st.st_uid,
        .is_directory = S_ISDIR(st.st_mode),
        .is_regular = S_ISREG(st.st_mode),
    };
    return 0;
}

static int posix_mkdir(struct bc_io *io, int at, const char *name)
{
    (void)io;
    if (!acceptable(at, name)) return -EINVAL;
    return result_of(mkdirat(at, name, 0700));
}

static int posix_rmdir(struct bc_io *io, int at, const char *name)
{
    (void)io;
    if (!acceptable(at, name)) return -EINVAL;
    return result_of(unlinkat(at, name, AT_REMOVEDIR));
}

static int posix_rename(struct bc_io *io, int at, const char *from, const char *to)
{
    (void)io;
    if (!acceptable(at, from) || !acceptable(at, to)) return -EINVAL;
    return result_of(renameat(at, from, at, to));
}

static int posix_unlink(struct bc_io *io, int at, const char *name)
{
    (void)io;
    if (!acceptable(at, name)) return -EINVAL;
    return result_of(unlinkat(at, name, 0));
}

/* Without AT_SYMLINK_FOLLOW: a link in the way is linked to itself, not to where it leads. */
static int posix_link(struct bc_io *io, int at, const char *from, const char *to)
{
    (void)io;
    if (!acceptable(at, from) || !acceptable(at, to)) return -EINVAL;
    return result_of(linkat(at, from, at, to, 0));
}

static int posix_list(struct bc_io *io, int fd, bool (*each)(void *context, const char *name), void *context)
{
    (void)io;
    /* An open of its own: a duplicate would share the position with every other listing of fd, in other threads. */
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) return -errno;
    DIR *dir = fdopendir(own);
    if (dir == NULL) {
        int result = -errno;
        close(own);
        return result;
    }
    int result = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno == EINTR) continue;
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!each(context, entry->d_name)) break;
    }
    closedir(dir);
    return result;
}

/* Open file description locks: unlike those of fcntl(F_SETLK) they are not lost when some other descriptor of the
 * same file is closed, and they hold between two opens in one process. */
static int posix_lock(struct bc_io *io, int fd, enum bc_lock_kind kind, uint64_t start, uint64_t size)
{
    (void)io;
    if (!in_range(start, size)) return -EINVAL;
    struct flock lock = {.l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)size};
    switch (kind) {
    case BC_LOCK_SHARED: lock.l_type = F_RDLCK; break;
    case BC_LOCK_EXCLUSIVE: lock.l_type = F_WRLCK; break;
    case BC_LOCK_NONE: lock.l_type = F_UNLCK; break;
    default: return -EINVAL;
    }
    return result_of(fcntl(fd, F_OFD_SETLK, &lock));
}

static int64_t posix_now_ns(struct bc_io *io)
{
    (void)io;
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int posix_free_bytes(struct bc_io *io, int fd, uint64_t *bytes)
{
    struct statvfs disk;

    (void)io;
    if (fstatvfs(fd, &disk) != 0) return -errno;
    *bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return 0;
}

static int posix_random(struct bc_io *io, void *data, size_t size)
{
    (void)io;
    for (size_t done = 0; done < size;) {
        ssize_t n = getrandom((uint8_t *)data + done, size - done, 0);
        if (n < 0 && errno != EINTR) return -errno;
        if (n > 0) done += (size_t)n;
    }
    return 0;
}

static const struct bc_io_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwritev = posix_pwritev,
    .fdatasync = posix_fdatasync,
    .sync_dir = posix_sync_dir,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .map = posix_map,
    .unmap = posix_unmap,
    .map_write = posix_map_write,
    .info = posix_info,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .link = posix_link,
    .list = posix_list,
    .lock = posix_lock,
    .now_ns = posix_now_ns,
    .random = posix_random,
    .free_bytes = posix_free_bytes,
};

static struct bc_io posix = {.ops = &posix_ops, .background = true};

struct bc_io *bc_io_posix(void)
{
    return &posix;
}
