/* io.h - the seam: every system call of the store goes through a struct bc_io.
 *
 * Raw operations behave like their system calls: they may be short, they may be interrupted, and they return
 * a negative errno. What the store calls are the bc_io_* functions below: they finish short transfers, retry
 * EINTR (never a failed fsync) and turn an errno into a status with a detail line. Tests put a simulated disk,
 * or one that fails at call N, behind the same table.
 *
 * Files are named relative to an open directory; nothing follows a symbolic link. Handles are small integers,
 * -1 is none. Threads: any.
 */
#ifndef BC_IO_H
#define BC_IO_H

#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/status.h"

enum {
    BC_OPEN_READ = 0,
    BC_OPEN_WRITE = 1u << 0,     /* read and write */
    BC_OPEN_CREATE = 1u << 1,    /* create if absent, mode 0600 */
    BC_OPEN_EXCLUSIVE = 1u << 2, /* with CREATE: fail with EEXIST if present */
    BC_OPEN_TRUNCATE = 1u << 3,
    BC_OPEN_DIRECTORY = 1u << 4 /* a directory, for the at-argument and for sync_dir */
};

#define BC_MAP_GRAIN 65536u /* what mappings begin at a multiple of: whole pages, however large they are */
#define BC_AT_CWD (-100)    /* as at-argument: name is a path, and symbolic links in its directories are followed */

enum bc_lock_kind { BC_LOCK_SHARED, BC_LOCK_EXCLUSIVE, BC_LOCK_NONE };

struct bc_file_info {
    uint64_t size;
    uint32_t mode; /* st_mode */
    uint32_t uid;
    bool is_directory;
    bool is_regular;
};

enum bc_map_kind {
    BC_MAP_READ,  /* for reading, at random places */
    BC_MAP_APPEND /* for writing with bc_io_map_write(); what is read through it, or through the file, is the same */
};

/* A part of a file in memory. An access to it that fails ends nobody: it reads zeros, or what it wrote is lost, and
 * `broken` says so for good. So: use it, then look at broken, then believe it. */
struct bc_mapping {
    uint8_t *data;   /* NULL: it can be written to by the operation only */
    uint64_t offset; /* of data[0] in the file */
    size_t size;     /* bytes; it may reach beyond the file's end, where nobody may look before the file has grown */
    atomic_bool broken;
};

struct bc_io;

/* One table per disk; context is the disk's own. Each returns >= 0, or a negative errno. */
struct bc_io_ops {
    int (*open)(struct bc_io *io, int at, const char *name, unsigned flags);
    int (*close)(struct bc_io *io, int fd);
    ssize_t (*pread)(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset);
    ssize_t (*pwritev)(struct bc_io *io, int fd, const struct iovec *iov, int count, uint64_t offset);
    int (*fdatasync)(struct bc_io *io, int fd); /* file: content and size */
    int (*sync_dir)(struct bc_io *io, int fd);  /* directory: the names in it */
    int (*truncate)(struct bc_io *io, int fd, uint64_t size);
    int (*allocate)(struct bc_io *io, int fd, uint64_t offset, uint64_t size); /* room on disk, file size unchanged */
    /* Maps size bytes from offset, a multiple of BC_MAP_GRAIN. Either of the two may be NULL, or -EOPNOTSUPP: then
     * there is only reading and writing. unmap once nobody uses it. */
    int (*map)(struct bc_io *io, int fd, uint64_t offset, size_t size, enum bc_map_kind kind,
               struct bc_mapping **mapping);
    void (*unmap)(struct bc_io *io, struct bc_mapping *mapping);
    /* Writes into a mapping for appending: all, which lies within it and within the file, or a negative errno. */
    int (*map_write)(struct bc_io *io, struct bc_mapping *mapping, const struct iovec *iov, int count, uint64_t offset);
    int (*info)(struct bc_io *io, int fd, struct bc_file_info *info);
    int (*mkdir)(struct bc_io *io, int at, const char *name); /* mode 0700 */
    int (*rmdir)(struct bc_io *io, int at, const char *name);
    int (*rename)(struct bc_io *io, int at, const char *from, const char *to); /* within one directory */
    int (*unlink)(struct bc_io *io, int at, const char *name);
    int (*link)(struct bc_io *io, int at, const char *from, const char *to); /* a second name; -EEXIST if it is taken */
    /* Calls each(context, name) for every entry but . and .., in any order; each returns false to stop. */
    int (*list)(struct bc_io *io, int fd, bool (*each)(void *context, const char *name), void *context);
    /* A lock on size bytes from start, held by the open file until unlocked or closed, against other opens of
     * it in this process and others. -EAGAIN when it is taken. */
    int (*lock)(struct bc_io *io, int fd, enum bc_lock_kind kind, uint64_t start, uint64_t size);
    int64_t (*now_ns)(struct bc_io *io);                          /* wall clock, nanoseconds since 1970 */
    int (*random)(struct bc_io *io, void *data, size_t size);     /* unpredictable bytes */
    int (*free_bytes)(struct bc_io *io, int fd, uint64_t *bytes); /* that its filesystem has for us. NULL: unknown */
};

struct bc_io {
    const struct bc_io_ops *ops;
    void *context;
    bool background; /* a store may work on it behind its callers' backs; a simulated disk must repeat its runs */
    /* Counted by the bc_io_* functions, atomically; read them with bc_io_count(). */
    uint64_t bytes_read;
    uint64_t bytes_written;
    uint64_t syncs;
};

/* The machine's own disk. Static, shared by all, counters are process-wide. Not owned. */
struct bc_io *bc_io_posix(void);

/* Each names the file in its detail line; fd variants take it as `name` (not owned, for the message only). */
bc_status bc_io_open(struct bc_io *io, int at, const char *name, unsigned flags, int *fd);
/* Opens a directory of the store's own. UNSAFE where it is somebody else's, or others may write to it: what is made in
 * it could be a name for something else. */
bc_status bc_io_open_own_dir(struct bc_io *io, int at, const char *name, int *fd);
bc_status bc_io_close(struct bc_io *io, int *fd); /* sets *fd to -1; -1 is fine */
/* Reads up to size bytes; *got is less only at the end of the file. */
bc_status bc_io_read(struct bc_io *io, int fd, const char *name, void *data, size_t size, uint64_t offset, size_t *got);
/* Writes all of it, or fails with some of it written. count may exceed IOV_MAX; iov is left as it was. */
bc_status bc_io_write(struct bc_io *io, int fd, const char *name, const struct iovec *iov, int count, uint64_t offset);
bc_status bc_io_sync(struct bc_io *io, int fd, const char *name); /* fdatasync; not retried when it fails */
bc_status bc_io_sync_dir(struct bc_io *io, int fd, const char *name);
bc_status bc_io_truncate(struct bc_io *io, int fd, const char *name, uint64_t size);
bc_status bc_io_allocate(struct bc_io *io, int fd, const char *name, uint64_t offset, uint64_t size);
/* Maps a part of a file; see struct bc_io_ops. Any failure means: do without. The file may be closed before. */
bc_status bc_io_map(struct bc_io *io, int fd, const char *name, uint64_t offset, size_t size, enum bc_map_kind kind,
                    struct bc_mapping **mapping);
void bc_io_unmap(struct bc_io *io, struct bc_mapping **mapping); /* sets *mapping to NULL, which is fine, too */
/* Writes all of it into a mapping for appending. IO: some of it may stand there, and the mapping is of no more use. */
bc_status bc_io_map_write(struct bc_io *io, struct bc_mapping *mapping, const char *name, const struct iovec *iov,
                          int count, uint64_t offset);
/* Counts bytes that were read through a mapping. */
void bc_io_note_read(struct bc_io *io, uint64_t bytes);
bc_status bc_io_info(struct bc_io *io, int fd, const char *name, struct bc_file_info *info);
bc_status bc_io_mkdir(struct bc_io *io, int at, const char *name);
bc_status bc_io_rmdir(struct bc_io *io, int at, const char *name);
bc_status bc_io_rename(struct bc_io *io, int at, const char *from, const char *to);
bc_status bc_io_unlink(struct bc_io *io, int at, const char *name);
/* Gives the file a second name in its directory. EXISTS if that is taken: nothing is ever replaced. */
bc_status bc_io_link(struct bc_io *io, int at, const char *from, const char *to);
bc_status bc_io_list(struct bc_io *io, int fd, const char *name, bool (*each)(void *context, const char *name),
                     void *context);
/* BITCASK_IN_USE when taken. */
bc_status bc_io_lock(struct bc_io *io, int fd, const char *name, enum bc_lock_kind kind, uint64_t start, uint64_t size);
int64_t bc_io_now_ns(struct bc_io *io);
bc_status bc_io_random(struct bc_io *io, void *data, size_t size);

/* Room that the filesystem of an open file or directory has left, bytes; UINT64_MAX where it cannot be known. */
uint64_t bc_io_free_bytes(struct bc_io *io, int fd);
uint64_t bc_io_count(const uint64_t *counter);

#endif
