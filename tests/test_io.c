/* test_io.c - what the bc_io_* functions make of a system that is short, interrupted or broken; and the real disk. */
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

/* ---- a disk that follows a script ---- */

/* One answer: a negative errno, or the most bytes that the call transfers. */
struct script {
    struct bc_io io;
    const ssize_t *answers;
    size_t count;
    size_t calls; /* beyond count every call does all it was asked */
    uint8_t disk[4096];
    size_t size;
    int widest; /* the largest iovec count seen */
};

static ssize_t script_answer(struct script *script, ssize_t whole)
{
    size_t call = script->calls++;
    if (call >= script->count) return whole;
    ssize_t answer = script->answers[call];
    return answer < whole ? answer : whole;
}

static ssize_t script_pread(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    struct script *script = io->context;
    (void)fd;
    size_t there = offset < script->size ? script->size - (size_t)offset : 0;
    ssize_t n = script_answer(script, (ssize_t)(size < there ? size : there));
    if (n > 0) memcpy(data, script->disk + offset, (size_t)n);
    return n;
}

static ssize_t script_pwritev(struct bc_io *io, int fd, const struct iovec *iov, int count, uint64_t offset)
{
    struct script *script = io->context;
    (void)fd;
    if (count > script->widest) script->widest = count;
    if (count > IOV_MAX) return -EINVAL;
    size_t whole = 0;
    for (int i = 0; i < count; i++) whole += iov[i].iov_len;
    ssize_t n = script_answer(script, (ssize_t)whole);
    size_t left = n > 0 ? (size_t)n : 0;
    for (int i = 0; i < count && left > 0; i++) {
        size_t step = iov[i].iov_len < left ? iov[i].iov_len : left;
        if (offset + step > sizeof script->disk) return -ENOSPC;
        if (step > 0) memcpy(script->disk + offset, iov[i].iov_base, step);
        offset += step;
        left -= step;
        if (offset > script->size) script->size = (size_t)offset;
    }
    return n;
}

static int script_fd_call(struct bc_io *io, int fd)
{
    (void)fd;
    return (int)script_answer(io->context, 0);
}

static int script_open(struct bc_io *io, int at, const char *name, unsigned flags)
{
    (void)at, (void)name, (void)flags;
    return (int)script_answer(io->context, 5);
}

static int script_allocate(struct bc_io *io, int fd, uint64_t offset, uint64_t size)
{
    (void)fd, (void)offset, (void)size;
    return (int)script_answer(io->context, 0);
}

static int script_truncate(struct bc_io *io, int fd, uint64_t size)
{
    (void)fd, (void)size;
    return (int)script_answer(io->context, 0);
}

static int script_name(struct bc_io *io, int at, const char *name)
{
    (void)at, (void)name;
    return (int)script_answer(io->context, 0);
}

static int script_rename(struct bc_io *io, int at, const char *from, const char *to)
{
    (void)at, (void)from, (void)to;
    return (int)script_answer(io->context, 0);
}

static int script_link(struct bc_io *io, int at, const char *from, const char *to)
{
    (void)at, (void)from, (void)to;
    return (int)script_answer(io->context, 0);
}

static int script_lock(struct bc_io *io, int fd, enum bc_lock_kind kind, uint64_t start, uint64_t size)
{
    (void)fd, (void)kind, (void)start, (void)size;
    return (int)script_answer(io->context, 0);
}

static const struct bc_io_ops script_ops = {
    .open = script_open,
    .close = script_fd_call,
    .pread = script_pread,
    .pwritev = script_pwritev,
    .fdatasync = script_fd_call,
    .sync_dir = script_fd_call,
    .truncate = script_truncate,
    .allocate = script_allocate,
    .mkdir = script_name,
    .rmdir = script_name,
    .rename = script_rename,
    .unlink = script_name,
    .link = script_link,
    .lock = script_lock,
};

static struct bc_io *script_start(struct script *script, const ssize_t *answers, size_t count)
{
    memset(script, 0, sizeof *script);
    script->io.ops = &script_ops;
    script->io.context = script;
    script->answers = answers;
    script->count = count;
    return &script->io;
}

#define SCRIPT(script, ...) \
    script_start(&(script), (const ssize_t[]){__VA_ARGS__}, sizeof((const ssize_t[]){__VA_ARGS__}) / sizeof(ssize_t))

static void short_and_interrupted_writes_are_finished(void)
{
    struct script script;
    char a[] = "abcdef", b[] = "ghijklmnop", c[] = "qrs";
    /* Cuts within an element, at its edge, and right behind its first byte. */
    struct bc_io *io = SCRIPT(script, 1, -EINTR, 2, 3, 1, -EINTR, -EINTR, 9, 2);
    struct iovec iov[] = {{NULL, 0}, {a, 6}, {NULL, 0}, {b, 10}, {c, 3}, {NULL, 0}};
    struct iovec before[6];
    memcpy(before, iov, sizeof iov);
    CU_ASSERT_EQUAL(bc_io_write(io, 3, "file", iov, 6, 10), BITCASK_OK);
    CU_ASSERT_EQUAL(script.size, 29);
    CU_ASSERT(memcmp(script.disk + 10, "abcdefghijklmnopqrs", 19) == 0);
    CU_ASSERT(memcmp(before, iov, sizeof iov) == 0);
    CU_ASSERT_EQUAL(bc_io_count(&io->bytes_written), 19);
}

static void write_that_takes_no_bytes_fails_instead_of_looping(void)
{
    struct script script;
    char a[] = "abcdef";
    struct iovec iov = {a, 6};
    struct bc_io *io = SCRIPT(script, 2, 0);
    CU_ASSERT_EQUAL(bc_io_write(io, 3, "file", &iov, 1, 0), BITCASK_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "file"));
    CU_ASSERT_EQUAL(script.calls, 2);
}

static void write_of_nothing_is_no_call(void)
{
    struct script script;
    struct iovec empty[2] = {{NULL, 0}, {NULL, 0}};
    struct bc_io *io = SCRIPT(script, -EIO);
    CU_ASSERT_EQUAL(bc_io_write(io, 3, "file", empty, 2, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_write(io, 3, "file", NULL, 0, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(script.calls, 0);
}

static void write_of_many_pieces_is_chunked(void)
{
    struct script script;
    enum { PIECES = IOV_MAX * 2 + 5 };
    static struct iovec iov[PIECES];
    static uint8_t bytes[PIECES];
    struct bc_io *io = SCRIPT(script, IOV_MAX, 7);
    for (size_t i = 0; i < PIECES; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 256);
        iov[i] = (struct iovec){bytes + i, 1};
    }
    CU_ASSERT_EQUAL(bc_io_write(io, 3, "file", iov, PIECES, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(script.widest, IOV_MAX);
    CU_ASSERT_EQUAL(script.size, PIECES);
    CU_ASSERT(memcmp(script.disk, bytes, PIECES) == 0);
}

static void full_disk_is_told_with_the_file_and_what_to_do(void)
{
    struct script script;
    char a[] = "abcdef";
    struct iovec iov = {a, 6};
    struct bc_io *io = SCRIPT(script, 4, -ENOSPC);
    CU_ASSERT_EQUAL(bc_io_write(io, 3, "000007.data", &iov, 1, 0), BITCASK_NO_SPACE);
    CU_ASSERT_STRING_EQUAL(bc_detail(),
                           "000007.data: cannot write: No space left on device; free some space on the disk");
    CU_ASSERT_EQUAL(bc_io_count(&io->bytes_written), 4);
}

static void short_and_interrupted_reads_are_finished(void)
{
    struct script script;
    char got[16] = {0};
    size_t size = 0;
    struct bc_io *io = SCRIPT(script, -EINTR, 1, 3, -EINTR, 2);
    memcpy(script.disk, "0123456789", 10);
    script.size = 10;
    CU_ASSERT_EQUAL(bc_io_read(io, 3, "file", got, sizeof got, 2, &size), BITCASK_OK);
    CU_ASSERT_EQUAL(size, 8);
    CU_ASSERT(memcmp(got, "23456789", 8) == 0);
    CU_ASSERT_EQUAL(bc_io_count(&io->bytes_read), 8);
    io = SCRIPT(script, -EIO);
    CU_ASSERT_EQUAL(bc_io_read(io, 3, "file", got, sizeof got, 0, &size), BITCASK_IO);
    CU_ASSERT_EQUAL(size, 0);
}

static void failed_sync_is_never_retried(void)
{
    struct script script;
    struct bc_io *io = SCRIPT(script, -EIO, -EINTR, -EIO, -EINTR);
    CU_ASSERT_EQUAL(bc_io_sync(io, 3, "file"), BITCASK_IO);
    CU_ASSERT_EQUAL(script.calls, 1);
    CU_ASSERT_EQUAL(bc_io_sync(io, 3, "file"), BITCASK_IO);
    CU_ASSERT_EQUAL(script.calls, 2);
    CU_ASSERT_EQUAL(bc_io_sync_dir(io, 3, "dir"), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_sync_dir(io, 3, "dir"), BITCASK_IO);
    CU_ASSERT_EQUAL(script.calls, 4);
    CU_ASSERT_EQUAL(bc_io_sync(io, 3, "file"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_count(&io->syncs), 5);
}

static void interrupted_close_is_not_repeated(void)
{
    struct script script;
    struct bc_io *io = SCRIPT(script, -EINTR);
    int fd = 3;
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_IO);
    CU_ASSERT_EQUAL(fd, -1);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(script.calls, 1);
}

static void interrupted_calls_are_repeated(void)
{
    struct script script;
    struct bc_io *io =
        SCRIPT(script, -EINTR, 0, -EINTR, 0, -EINTR, 0, -EINTR, 0, -EINTR, 0, -EINTR, 0, -EINTR, 0, -EINTR, 0, -EINTR,
               -EINTR, 5);
    int fd = -1;
    CU_ASSERT_EQUAL(bc_io_truncate(io, 3, "f", 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_allocate(io, 3, "f", 0, 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_mkdir(io, 3, "f"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_rmdir(io, 3, "f"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_rename(io, 3, "f", "g"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_unlink(io, 3, "f"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_link(io, 3, "f", "g"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_lock(io, 3, "f", BC_LOCK_SHARED, 0, 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_open(io, 3, "f", 0, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(fd, 5);
    CU_ASSERT_EQUAL(script.calls, 19);
}

static void failures_name_operation_and_file(void)
{
    struct script script;
    struct bc_io *io = SCRIPT(script, -EMFILE, -EOPNOTSUPP, -EAGAIN, -EACCES, -ENOTEMPTY, -EROFS, -EEXIST);
    int fd = 7;
    CU_ASSERT_EQUAL(bc_io_open(io, 3, "some\nfile", BC_OPEN_CREATE, &fd), BITCASK_TOO_MANY_FILES);
    CU_ASSERT_EQUAL(fd, -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "some\\x0Afile: cannot create: "));
    CU_ASSERT_EQUAL(bc_io_allocate(io, 3, "f", 0, 4096), BITCASK_UNSUPPORTED);
    CU_ASSERT_EQUAL(bc_io_lock(io, 3, "LOCK", BC_LOCK_EXCLUSIVE, 0, 1), BITCASK_IN_USE);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "LOCK"));
    CU_ASSERT_EQUAL(bc_io_lock(io, 3, "LOCK", BC_LOCK_EXCLUSIVE, 0, 1), BITCASK_IN_USE);
    CU_ASSERT_EQUAL(bc_io_rmdir(io, 3, "d"), BITCASK_NOT_EMPTY);
    CU_ASSERT_EQUAL(bc_io_rename(io, 3, "from", "to"), BITCASK_READ_ONLY);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "from: cannot rename to to: "));
    CU_ASSERT_EQUAL(bc_io_link(io, 3, "from", "to"), BITCASK_EXISTS);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "from: cannot link as to: "));
    CU_ASSERT_EQUAL(bc_io_allocate(io, 3, "f", 0, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(script.calls, 7);
}

/* ---- the real one ---- */

static int must_open(int at, const char *name, unsigned flags)
{
    int fd = -1;
    CU_ASSERT_EQUAL(bc_io_open(bc_io_posix(), at, name, flags, &fd), BITCASK_OK);
    return fd;
}

static void posix_file_is_written_read_and_resized(void)
{
    char path[256], got[16];
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    struct bc_file_info info = {0};
    size_t size = 0;
    char text[] = "0123456789";
    struct iovec iov[] = {{text, 5}, {text + 5, 5}};
    int fd = must_open(at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE);
    CU_ASSERT_EQUAL(bc_io_write(io, fd, "f", iov, 2, 3), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_sync(io, fd, "f"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_sync_dir(io, at, "."), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_read(io, fd, "f", got, sizeof got, 0, &size), BITCASK_OK);
    CU_ASSERT_EQUAL(size, 13);
    CU_ASSERT(memcmp(got,
                     "\0\0\0"
                     "0123456789",
                     13) == 0);
    CU_ASSERT_EQUAL(bc_io_truncate(io, fd, "f", 5), BITCASK_OK);
    bc_status allocated = bc_io_allocate(io, fd, "f", 0, 65536);
    CU_ASSERT(allocated == BITCASK_OK || allocated == BITCASK_UNSUPPORTED);
    CU_ASSERT_EQUAL(bc_io_info(io, fd, "f", &info), BITCASK_OK);
    CU_ASSERT_EQUAL(info.size, 5);
    CU_ASSERT(info.is_regular && !info.is_directory);
    CU_ASSERT_EQUAL(info.mode & 07777, 0600);
    CU_ASSERT_EQUAL(info.uid, geteuid());
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE, &fd), BITCASK_EXISTS);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "none", BC_OPEN_READ, &fd), BITCASK_NOT_FOUND);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "f", BC_OPEN_DIRECTORY, &fd), BITCASK_NOT_PARTITION);
    unit_scratch_close(at, path);
}

static void posix_symbolic_link_is_refused(void)
{
    char path[256];
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    int fd = must_open(at, "target", BC_OPEN_WRITE | BC_OPEN_CREATE);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(symlinkat("target", at, "link"), 0);
    CU_ASSERT_EQUAL(symlinkat("nowhere", at, "dangling"), 0);
    CU_ASSERT_EQUAL(symlinkat(".", at, "dirlink"), 0);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "link", BC_OPEN_READ, &fd), BITCASK_UNSAFE);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "link", BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_TRUNCATE, &fd), BITCASK_UNSAFE);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "dangling", BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), BITCASK_UNSAFE);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "nowhere", BC_OPEN_READ, &fd), BITCASK_NOT_FOUND);
    CU_ASSERT_NOT_EQUAL(bc_io_open(io, at, "dirlink", BC_OPEN_DIRECTORY, &fd), BITCASK_OK);
    /* Nor by way of a name with a directory in it. */
    CU_ASSERT_NOT_EQUAL(bc_io_open(io, at, "dirlink/target", BC_OPEN_READ, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(fd, -1);
    unit_scratch_close(at, path);
}

static void posix_path_of_the_user_may_lead_through_links(void)
{
    char path[256], longer[300];
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    CU_ASSERT_EQUAL(bc_io_mkdir(io, at, "real"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_mkdir(io, at, "real"), BITCASK_EXISTS);
    CU_ASSERT_EQUAL(symlinkat("real", at, "link"), 0);
    CU_ASSERT_EQUAL(symlinkat("x", at, "filelink"), 0);
    snprintf(longer, sizeof longer, "%s/link", path);
    int fd = must_open(BC_AT_CWD, longer, BC_OPEN_DIRECTORY);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    snprintf(longer, sizeof longer, "%s/filelink", path);
    CU_ASSERT_EQUAL(bc_io_open(io, BC_AT_CWD, longer, BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), BITCASK_UNSAFE);
    CU_ASSERT_EQUAL(bc_io_rmdir(io, at, "real"), BITCASK_OK);
    unit_scratch_close(at, path);
}

static void posix_link_is_a_second_name_and_replaces_nothing(void)
{
    char path[256], byte = 'x', got = 0;
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    struct iovec iov = {&byte, 1};
    size_t size = 0;
    int fd = must_open(at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE);
    CU_ASSERT_EQUAL(bc_io_link(io, at, "f", "g"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_write(io, fd, "f", &iov, 1, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_link(io, at, "f", "g"), BITCASK_EXISTS);
    CU_ASSERT_EQUAL(bc_io_link(io, at, "none", "h"), BITCASK_NOT_FOUND);
    CU_ASSERT_NOT_EQUAL(bc_io_link(io, at, "f", "../h"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_unlink(io, at, "f"), BITCASK_OK);
    fd = must_open(at, "g", BC_OPEN_READ);
    CU_ASSERT_EQUAL(bc_io_read(io, fd, "g", &got, 1, 0, &size), BITCASK_OK);
    CU_ASSERT(size == 1 && got == 'x');
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    unit_scratch_close(at, path);
}

static void posix_fifo_does_not_hang_the_open(void)
{
    char path[256], byte = 0;
    size_t got = 1;
    int at = unit_scratch_open(path);
    struct bc_file_info info = {0};
    CU_ASSERT_EQUAL(mkfifoat(at, "active.data", 0600), 0);
    int fd = must_open(at, "active.data", BC_OPEN_READ);
    CU_ASSERT_EQUAL(bc_io_info(bc_io_posix(), fd, "active.data", &info), BITCASK_OK);
    CU_ASSERT(!info.is_regular);
    CU_ASSERT_NOT_EQUAL(bc_io_read(bc_io_posix(), fd, "active.data", &byte, 1, 0, &got), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(bc_io_posix(), &fd), BITCASK_OK);
    unit_scratch_close(at, path);
}

static void posix_lock_counts_between_opens_of_one_process(void)
{
    char path[256];
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    int a = must_open(at, "LOCK", BC_OPEN_WRITE | BC_OPEN_CREATE);
    int b = must_open(at, "LOCK", BC_OPEN_WRITE);
    int c = must_open(at, "LOCK", BC_OPEN_WRITE);
    CU_ASSERT_EQUAL(bc_io_lock(io, a, "LOCK", BC_LOCK_EXCLUSIVE, 0, 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_lock(io, b, "LOCK", BC_LOCK_EXCLUSIVE, 0, 1), BITCASK_IN_USE);
    CU_ASSERT_EQUAL(bc_io_lock(io, b, "LOCK", BC_LOCK_SHARED, 0, 1), BITCASK_IN_USE);
    CU_ASSERT_EQUAL(bc_io_lock(io, b, "LOCK", BC_LOCK_EXCLUSIVE, 1, 1), BITCASK_OK);
    /* Closing some other open must not drop it, as it would with the older kind of lock. */
    CU_ASSERT_EQUAL(bc_io_close(io, &c), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_lock(io, b, "LOCK", BC_LOCK_EXCLUSIVE, 0, 1), BITCASK_IN_USE);
    CU_ASSERT_EQUAL(bc_io_lock(io, a, "LOCK", BC_LOCK_NONE, 0, 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_lock(io, b, "LOCK", BC_LOCK_SHARED, 0, 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_lock(io, a, "LOCK", BC_LOCK_SHARED, 0, 1), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(io, &b), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_lock(io, a, "LOCK", BC_LOCK_EXCLUSIVE, 0, 2), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(io, &a), BITCASK_OK);
    unit_scratch_close(at, path);
}

struct listing {
    unsigned seen;
    unsigned limit;
    unsigned mask; /* bit i: name 'a' + i */
    bool wrong;
};

static bool note_name(void *context, const char *name)
{
    struct listing *listing = context;
    listing->seen++;
    if (strlen(name) != 1 || name[0] < 'a' || name[0] > 'e')
        listing->wrong = true;
    else
        listing->mask |= 1u << (name[0] - 'a');
    return listing->limit == 0 || listing->seen < listing->limit;
}

static void posix_list_gives_every_name_each_time(void)
{
    char path[256], name[2] = "a";
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    for (; name[0] <= 'e'; name[0]++) {
        int fd = must_open(at, name, BC_OPEN_WRITE | BC_OPEN_CREATE);
        CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    }
    for (int round = 0; round < 2; round++) {
        struct listing listing = {0};
        CU_ASSERT_EQUAL(bc_io_list(io, at, ".", note_name, &listing), BITCASK_OK);
        CU_ASSERT(!listing.wrong && listing.seen == 5 && listing.mask == 0x1f);
    }
    struct listing stopped = {.limit = 2};
    CU_ASSERT_EQUAL(bc_io_list(io, at, ".", note_name, &stopped), BITCASK_OK);
    CU_ASSERT_EQUAL(stopped.seen, 2);
    CU_ASSERT_EQUAL(bc_io_rename(io, at, "a", "b"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_unlink(io, at, "a"), BITCASK_NOT_FOUND);
    CU_ASSERT_EQUAL(bc_io_unlink(io, at, "b"), BITCASK_OK);
    unit_scratch_close(at, path);
}

static void posix_random_and_clock(void)
{
    uint8_t a[600] = {0}, b[600] = {0};
    CU_ASSERT_EQUAL(bc_io_random(bc_io_posix(), a, sizeof a), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_random(bc_io_posix(), b, sizeof b), BITCASK_OK);
    CU_ASSERT(memcmp(a, b, sizeof a) != 0);
    CU_ASSERT(memcmp(a + 300, b, 300) != 0);
    CU_ASSERT(bc_io_now_ns(bc_io_posix()) > INT64_C(1500000000) * 1000000000);
}

static void posix_offset_beyond_the_range_is_refused(void)
{
    char path[256], byte = 0;
    size_t got = 0;
    int at = unit_scratch_open(path);
    int fd = must_open(at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE);
    CU_ASSERT_EQUAL(bc_io_read(bc_io_posix(), fd, "f", &byte, 1, UINT64_MAX - 5, &got), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_truncate(bc_io_posix(), fd, "f", UINT64_MAX), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_allocate(bc_io_posix(), fd, "f", 1, UINT64_MAX), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_close(bc_io_posix(), &fd), BITCASK_OK);
    unit_scratch_close(at, path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"short and interrupted writes are finished", short_and_interrupted_writes_are_finished},
        {"write that takes no bytes fails instead of looping", write_that_takes_no_bytes_fails_instead_of_looping},
        {"write of nothing is no call", write_of_nothing_is_no_call},
        {"write of many pieces is chunked", write_of_many_pieces_is_chunked},
        {"full disk is told with the file and what to do", full_disk_is_told_with_the_file_and_what_to_do},
        {"short and interrupted reads are finished", short_and_interrupted_reads_are_finished},
        {"failed sync is never retried", failed_sync_is_never_retried},
        {"interrupted close is not repeated", interrupted_close_is_not_repeated},
        {"interrupted calls are repeated", interrupted_calls_are_repeated},
        {"failures name operation and file", failures_name_operation_and_file},
        {"posix: file is written, read and resized", posix_file_is_written_read_and_resized},
        {"posix: symbolic link is refused", posix_symbolic_link_is_refused},
        {"posix: path of the user may lead through links", posix_path_of_the_user_may_lead_through_links},
        {"posix: link is a second name and replaces nothing", posix_link_is_a_second_name_and_replaces_nothing},
        {"posix: FIFO does not hang the open", posix_fifo_does_not_hang_the_open},
        {"posix: lock counts between opens of one process", posix_lock_counts_between_opens_of_one_process},
        {"posix: list gives every name each time", posix_list_gives_every_name_each_time},
        {"posix: random and clock", posix_random_and_clock},
        {"posix: offset beyond the range is refused", posix_offset_beyond_the_range_is_refused},
        CU_TEST_INFO_NULL,
    };
    return unit_run("io", tests);
}
