/* window.c - appending through memory: the file's end is laid out in advance and mapped, and a put is a copy into it.
 *
 * The window is a part of the active segment from about the log's end on, within what has room on disk. It moves
 * forward as the log grows, and only the one in use is mapped. The file is longer than the log meanwhile, and ends in
 * zeros: recovery stops at them and cuts them off, readers beside the writer look no further, and before the segment is
 * sealed or closed the file is cut to the log's end. A small log has no window, so that a small partition stays small.
 *
 * Invariants: the window lies within the file, and the file's end within `allocated`. Nothing here makes a put fail
 * that would succeed without: where there can be no window, there is pwrite. All is done with write_lock held.
 */
#include "partition/partition.h"

#define LOG_LEAST (256u * 1024u)        /* bytes of log before there is a window, or a sixteenth of a small segment */
#define WINDOW_MAX (4u * 1024u * 1024u) /* bytes */
#define WRITE_MAX (16u * 1024u)         /* what is larger is written: a page fault for each page costs more */

void bc_window_drop(struct bc_partition *partition)
{
    bc_io_unmap(partition->env->io, &partition->window);
}

static bool covers(const struct bc_mapping *window, uint64_t offset, uint64_t size)
{
    return window && offset >= window->offset && offset + size <= window->offset + window->size;
}

void bc_window_lay(struct bc_partition *partition, uint64_t bytes)
{
    struct bc_io *io = partition->env->io;
    struct bc_segment *active = partition->active;
    uint64_t end = active->end, least = partition->env->segment_size / 16, start, stop;
    bc_status status = BITCASK_OK;

    if (partition->no_window || covers(partition->window, end, bytes)) return;
    if (end < (least < LOG_LEAST ? least : LOG_LEAST) || bytes > WRITE_MAX) return;
    start = end / BC_MAP_GRAIN * BC_MAP_GRAIN;
    stop = partition->allocated < start + WINDOW_MAX ? partition->allocated : start + WINDOW_MAX;
    if (stop < end + bytes) return; /* no room that is sure: the write itself says so */
    bc_window_drop(partition);
    /* The file first: a page beyond its end is none, and touching it would fail the put. */
    if (stop > partition->file_end) {
        status = bc_io_truncate(io, active->fd, active->name, stop);
        if (status == BITCASK_OK) partition->file_end = stop;
    }
    if (status == BITCASK_OK)
        status =
            bc_io_map(io, active->fd, active->name, start, (size_t)(stop - start), BC_MAP_APPEND, &partition->window);
    if (status == BITCASK_OK) return;
    partition->no_window = true;
    bc_detail_clear();
}

bc_status bc_window_write(struct bc_partition *partition, const struct iovec *iov, int count, uint64_t offset)
{
    struct bc_segment *active = partition->active;
    uint64_t size = 0;
    bc_status status;

    for (int i = 0; i < count; i++) size += iov[i].iov_len;
    if (size > WRITE_MAX || !covers(partition->window, offset, size))
        return bc_io_write(partition->env->io, active->fd, active->name, iov, count, offset);
    status = bc_io_map_write(partition->env->io, partition->window, active->name, iov, count, offset);
    /* What is copied into it from now on may be lost: no more windows in this segment. */
    if (status != BITCASK_OK) partition->no_window = true;
    return status;
}

bc_status bc_window_cut(struct bc_partition *partition)
{
    struct bc_segment *active = partition->active;
    bc_status status;

    bc_window_drop(partition);
    status = bc_io_truncate(partition->env->io, active->fd, active->name, active->end);
    if (status == BITCASK_OK) partition->file_end = partition->allocated = active->end;
    return status;
}
