/* write_shim.c - a library that is loaded before others (LD_PRELOAD) and takes the place of a disk that refuses writes:
 * what fails is said by the file $REFUSE_FILE, one byte, which may change at any moment. 0: nothing. 's': each sync, as
 * where what was written is accepted and gets lost behind it. 'w': each call that writes or changes names too. 'f':
 * each that takes room, for the lack of it. Reads and opens of what is there go on. Tests only. The file is mapped at
 * the start: later the process may have given up opening files. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

static const volatile char *refuse;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("REFUSE_FILE");
    int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) refuse = map;
}

enum kind { SYNC, GROWS, CHANGES };

static int refused(enum kind kind)
{
    char what = refuse == NULL ? 0 : *refuse;
    if (what != 'w' && !(what == 's' && kind == SYNC) && !(what == 'f' && kind == GROWS)) return 0;
    errno = what == 'f' ? ENOSPC : EIO;
    return 1;
}

/* A call with another one behind it, which is looked up once. */
#define CALL(type, name, kind, parameters, ...)                      \
    type name parameters                                             \
    {                                                                \
        static type(*real) parameters;                               \
        if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name); \
        return refused(kind) ? -1 : real(__VA_ARGS__);               \
    }

CALL(int, fdatasync, SYNC, (int fd), fd)
CALL(int, fsync, SYNC, (int fd), fd)
CALL(int, syncfs, SYNC, (int fd), fd)
CALL(ssize_t, pwritev, GROWS, (int fd, const struct iovec *iov, int count, off_t at), fd, iov, count, at)
CALL(ssize_t, pwritev64, GROWS, (int fd, const struct iovec *iov, int count, off64_t at), fd, iov, count, at)
CALL(ssize_t, pwrite, GROWS, (int fd, const void *bytes, size_t size, off_t at), fd, bytes, size, at)
CALL(ssize_t, pwrite64, GROWS, (int fd, const void *bytes, size_t size, off64_t at), fd, bytes, size, at)
CALL(int, ftruncate, CHANGES, (int fd, off_t size), fd, size)
CALL(int, ftruncate64, CHANGES, (int fd, off64_t size), fd, size)
CALL(int, fallocate, GROWS, (int fd, int mode, off_t at, off_t size), fd, mode, at, size)
CALL(int, fallocate64, GROWS, (int fd, int mode, off64_t at, off64_t size), fd, mode, at, size)
CALL(int, renameat, CHANGES, (int from, const char *a, int to, const char *b), from, a, to, b)
CALL(int, unlinkat, CHANGES, (int at, const char *name, int flags), at, name, flags)
CALL(int, mkdirat, GROWS, (int at, const char *name, mode_t mode), at, name, mode)
CALL(int, linkat, GROWS, (int from, const char *a, int to, const char *b, int flags), from, a, to, b, flags)

#define OPEN(name)                                                                                 \
    int name(int at, const char *path, int flags, ...)                                             \
    {                                                                                              \
        static int (*real)(int, const char *, int, ...);                                           \
        mode_t mode = 0;                                                                           \
        if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);                               \
        if (flags & O_CREAT) {                                                                     \
            va_list more;                                                                          \
            va_start(more, flags);                                                                 \
            mode = va_arg(more, mode_t);                                                           \
            va_end(more);                                                                          \
        }                                                                                          \
        return (flags & (O_CREAT | O_TRUNC)) && refused(GROWS) ? -1 : real(at, path, flags, mode); \
    }

OPEN(openat)
OPEN(openat64)
