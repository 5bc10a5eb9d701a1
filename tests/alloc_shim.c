/* alloc_shim.c - a library that is loaded before others (LD_PRELOAD) and has its process's allocations fail: of each
 * `every` one, which ones the seed decides. The file $ALLOC_FILE holds what is in struct control, in this machine's
 * bytes; `every` may change at any moment, 0: none fails. Tests only. For glibc, whose own functions it calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

struct control {
    _Atomic uint64_t every;
    uint64_t seed;
    _Atomic uint64_t calls;  /* while some fail */
    _Atomic uint64_t failed; /* of them */
};

static struct control *control;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("ALLOC_FILE");
    int fd = name == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) control = map;
}

static bool fails(void)
{
    uint64_t every = control == NULL ? 0 : atomic_load(&control->every);
    if (every == 0) return false;
    uint64_t mixed = (atomic_fetch_add(&control->calls, 1) + control->seed) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9u;
    if ((mixed >> 32) % every != 0) return false;
    atomic_fetch_add(&control->failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
