/* io_count.c - see io_count.h.
 */
#include "io_count.h"

#include <string.h>

static bool ends_with(const char *name, const char *ending)
{
    size_t size = strlen(name), end = strlen(ending);

    return size >= end && strcmp(name + size - end, ending) == 0;
}

static int count_open(struct bc_io *io, int at, const char *name, unsigned flags)
{
    struct io_count *count = (struct io_count *)io; /* io is its first member */
    int fd = count->behind->open(io, at, name, flags);
    enum io_count_kind kind = IO_COUNT_OTHER;

    if (ends_with(name, ".data")) kind = IO_COUNT_DATA;
    if (ends_with(name, ".hint")) kind = IO_COUNT_HINT;
    if (fd >= 0 && fd < IO_COUNT_HANDLES) atomic_store(&count->kinds[fd], (unsigned char)kind);
    return fd;
}

static ssize_t count_pread(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    struct io_count *count = (struct io_count *)io;
    int kind = fd >= 0 && fd < IO_COUNT_HANDLES ? atomic_load(&count->kinds[fd]) : IO_COUNT_OTHER;
    int error = atomic_load(&count->errors[kind]);
    ssize_t got;

    atomic_fetch_add(&count->reads[kind], 1);
    if (error) return -error;
    got = count->behind->pread(io, fd, data, size, offset);
    if (got > 0) atomic_fetch_add(&count->bytes[kind], (uint64_t)got);
    return got;
}

void io_count_init(struct io_count *count, const struct bc_io *behind)
{
    memset(count, 0, sizeof *count);
    count->behind = behind->ops;
    count->ops = *behind->ops;
    count->ops.open = count_open;
    count->ops.pread = count_pread;
    count->ops.map = NULL; /* all that is read is read by pread */
    /* What the other operations know of their disk is its context. */
    count->io = (struct bc_io){.ops = &count->ops, .context = behind->context};
}

void io_count_reset(struct io_count *count)
{
    for (int kind = 0; kind < IO_COUNT_KINDS; kind++) {
        atomic_store(&count->reads[kind], 0);
        atomic_store(&count->bytes[kind], 0);
    }
}
