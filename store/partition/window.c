/* window.c - appending through memory: the file's end is laid out in advance and mapped, and a put is a copy into it.
 *
 * The window is a part of the active segment from about the log's end on, within what has room on disk. It moves
 * forward as the log grows, and only the one in use is mapped. The file is longer than the log meanwhile, and ends in
 * zeros: recovery stops at them and cuts them off, readers beside the writer look no further, and before the segment is
 * sealed or closed the file is cut to the log's end. A small log has no window, so that a small partition stays small.
 *
 * Where each put, or each group of them, is synced, there is no window. A sync costs twice its time where blocks that
 * were only laid out become written ones, since the filesystem then has its own journal to sync; and a mapped page has
 * to be faulted in again after each. There the blocks next to the log's end are written with zeros in advance, and
 * appends go by pwrite.
 *
 * Invariants: the window lies within the file, and the file's end within `allocated`. Nothing here makes a put fail
 * that would succeed without: where there can be no window, there is pwrite. All is done with write_lock held.
 */
#include "partition/partition.h"

#define LOG_LEAST (256u * 1024u)        /* bytes of log before there is a window, or a sixteenth of a small segment */
#define WINDOW_MAX (4u * 1024u * 1024u) /* bytes */
#define WRITE_MAX (16u * 1024u)         /* what is larger is written: a page fault for each page costs more */
#define OFTEN 8u                        /* groups in a row that were synced, and the next ones will be, too */
#define GROUP_MAX 64u                   /* appends; where more go between two syncs the window is faster */
#define ZEROS_LEAST (16u * 1024u) /* bytes of log before zeros are written in advance, or as above; half the log */
#define ZEROS_MAX (256u * 1024u)  /* of them, and so much at most */
#define BLOCK 4096u

void bc_window_drop(struct bc_partition *partition)
{
    bc_io_unmap(partition->env->io, &partition->window);
}

/* So many bytes of log before anything is laid out behind it; less where segments are small. */
static uint64_t least_log(const struct bc_partition *partition, uint64_t usually)
{
    uint64_t share = partition->env->segment_size / 16;

    return share < usually ? share : usually;
}

static bool covers(const struct bc_mapping *window, uint64_t offset, uint64_t size)
{
    return window && offset >= window->offset && offset + size <= window->offset + window->size;
}

void bc_window_note(struct bc_partition *partition, bool all_durable)
{
    if (!all_durable) {
        if (partition->since_synced < GROUP_MAX)
            partition->since_synced++;
        else
            partition->synced_often = 0;
        return;
    }
    partition->since_synced = 0;
    if (partition->synced_often < OFTEN) partition->synced_often++;
}

/* Nothing hangs on these zeros: should they fail, or be lost, the blocks are what they were without them. */
static void lay_zeros(struct bc_partition *partition, uint64_t bytes)
{
    static uint8_t zeros[ZEROS_MAX]; /* of a page that is never written */
    struct bc_segment *active = partition->active;
    uint64_t end = active->end, from, stop, ahead = end / 2;
    struct iovec iov = {.iov_base = zeros};

    if (partition->zeroed > partition->file_end) partition->zeroed = partition->file_end;
    if (end + bytes <= partition->zeroed || end < least_log(partition, ZEROS_LEAST) || bytes > WRITE_MAX) return;
    from = partition->zeroed > end ? partition->zeroed : end;
    stop = (end + bytes + ahead) / BLOCK * BLOCK;
    if (stop > partition->allocated) stop = partition->allocated;
    if (stop > from + ZEROS_MAX) stop = from + ZEROS_MAX;
    if (stop < end + bytes) return;
    iov.iov_len = (size_t)(stop - from);
    if (bc_io_write(partition->env->io, active->fd, active->name, &iov, 1, from) != BITCASK_OK) {
        bc_detail_clear();
        /* How long the file is now nobody knows: to be cut before it is sealed, and too short to be mapped. */
        partition->no_window = true;
    }
    if (stop > partition->file_end) partition->file_end = stop;
    partition->zeroed = stop;
}

void bc_window_lay(struct bc_partition *partition, uint64_t bytes)
{
    struct bc_io *io = partition->env->io;
    struct bc_segment *active = partition->active;
    uint64_t end = active->end, start, stop;
    bc_status status = BITCASK_OK;

    if (partition->synced_often >= OFTEN) {
        bc_window_drop(partition);
        if (!partition->no_window) lay_zeros(partition, bytes);
        return;
    }
    if (partition->no_window || covers(partition->window, end, bytes)) return;
    if (end < least_log(partition, LOG_LEAST) || bytes > WRITE_MAX) return;
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
    if (status == BITCASK_OK) partition->file_end = partition->allocated = partition->zeroed = active->end;
    return status;
}
