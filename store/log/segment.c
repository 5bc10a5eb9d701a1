/* segment.c - a data file's life, from creation to the last reference, and reading at known offsets.
 *
 * Holds what a struct bc_segment needs besides its header's bytes (segment_header.c). It may assume that offsets come
 * from the index or a scan, and believes none of them: what does not verify is CORRUPT. Invariant: a file that bears a
 * segment's name has a whole header, whenever the power fails.
 */
#include "log/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"

#define HEADER_ROOM (BC_SEGMENT_HEADER_FIXED + BC_SEGMENT_PATH_MAX)

/* What a first read of a record's front asks for: most keys and attributes fit, and one block holds it. */
#define FIRST_READ 512u

/* What messages call it: of a path, the name at its end. */
static void set_name(struct bc_segment *segment, const char *name)
{
    const char *slash = strrchr(name, '/');

    snprintf(segment->names[0], sizeof segment->names[0], "%.*s", (int)sizeof segment->names[0] - 1,
             slash ? slash + 1 : name);
}

/* A segment for an open file; takes over fd when it succeeds. */
static bc_status segment_new(struct bc_io *io, int fd, const char *name, const struct bc_segment_header *header,
                             uint64_t end, struct bc_segment **segment)
{
    struct bc_segment *made = calloc(1, sizeof *made);
    if (made == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", name);
    made->io = io;
    made->fd = fd;
    set_name(made, name);
    atomic_init(&made->name, made->names[0]);
    atomic_init(&made->references, 1);
    made->segment_id = header->segment_id;
    made->lowest_id = header->lowest_id;
    made->header_size = header->header_size;
    made->generation = header->generation;
    /* One that nothing could follow is a lie: its records say theirs. */
    made->last_version = header->last_version <= BC_VERSION_MAX ? header->last_version : 0;
    atomic_init(&made->end, end);
    atomic_init(&made->mapping, NULL);
    atomic_init(&made->unmappable, false);
    *segment = made;
    return BITCASK_OK;
}

/* Takes back a file that was begun. The first failure is what the caller should read, not that of the cleaning up. */
static void discard(struct bc_io *io, int at, const char *name, int *fd, bc_status status)
{
    char why[512];
    snprintf(why, sizeof why, "%s", bc_detail());
    bc_io_close(io, fd);
    bc_io_unlink(io, at, name);
    bc_fail(status, "%s", why);
}

bc_status bc_segment_begin(struct bc_io *io, int at, const char *name, struct bc_segment_header *header,
                           struct bc_segment **segment)
{
    int fd = -1;
    uint8_t bytes[HEADER_ROOM];
    uint8_t random[8];

    bc_status status = bc_io_random(io, random, sizeof random);
    if (status != BITCASK_OK) return status;
    header->generation = bc_get_u64(random);
    header->header_size = (uint32_t)bc_segment_header_encode(header, bytes, sizeof bytes);
    struct iovec iov = {bytes, header->header_size};

    /* Truncated, not exclusive: a crash may have left a file of that name behind, with anything in it. */
    status = bc_io_open(io, at, name, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_TRUNCATE, &fd);
    if (status != BITCASK_OK) return status;
    status = bc_io_write(io, fd, name, &iov, 1, 0);
    if (status == BITCASK_OK) status = segment_new(io, fd, name, header, header->header_size, segment);
    if (status != BITCASK_OK) discard(io, at, name, &fd, status);
    return status;
}

bc_status bc_segment_prepare(struct bc_io *io, int at, struct bc_segment_header *header, uint64_t room,
                             struct bc_segment **segment)
{
    struct bc_segment *made = NULL;
    bc_status status = bc_segment_begin(io, at, BC_TEMPORARY_NAME, header, &made);

    if (status != BITCASK_OK) return status;
    if (room > 0) status = bc_io_allocate(io, made->fd, BC_TEMPORARY_NAME, made->end, room);
    if (status == BITCASK_UNSUPPORTED) {
        bc_detail_clear();
        status = BITCASK_OK;
    }
    /* Before the rename, which may reach the disk ahead of the header: a crash then would leave a segment of that
     * name that is empty or full of zeros. */
    if (status == BITCASK_OK) status = bc_io_sync(io, made->fd, BC_TEMPORARY_NAME);
    if (status != BITCASK_OK) {
        discard(io, at, BC_TEMPORARY_NAME, &made->fd, status);
        bc_segment_unref(&made);
        return status;
    }
    *segment = made;
    return BITCASK_OK;
}

void bc_segment_abandon(struct bc_io *io, int at, struct bc_segment **segment, bc_status status)
{
    if (*segment == NULL) return;
    discard(io, at, BC_TEMPORARY_NAME, &(*segment)->fd, status);
    bc_segment_unref(segment);
}

bc_status bc_segment_publish(struct bc_io *io, int at, const char *name, struct bc_segment **segment)
{
    struct bc_segment *made = *segment;
    /* A crash behind this leaves either no file of that name or a whole, empty segment. */
    bc_status status = bc_io_rename(io, at, BC_TEMPORARY_NAME, name);

    if (status != BITCASK_OK) {
        bc_segment_abandon(io, at, segment, status);
        return status;
    }
    /* Nobody else knows it yet. */
    set_name(made, name);
    return BITCASK_OK;
}

bc_status bc_segment_create(struct bc_io *io, int at, const char *name, struct bc_segment_header *header,
                            struct bc_segment **segment)
{
    struct bc_segment *made = NULL;
    bc_status status = bc_segment_prepare(io, at, header, 0, &made);

    if (status == BITCASK_OK) status = bc_segment_publish(io, at, name, &made);
    if (status == BITCASK_OK) *segment = made;
    return status;
}

void bc_segment_set_path(struct bc_segment_header *header, const char *path)
{
    size_t length = strlen(path);
    snprintf(header->path, sizeof header->path, "%s",
             length > BC_SEGMENT_PATH_MAX ? path + length - BC_SEGMENT_PATH_MAX : path);
}

/* Opens a regular file; *size is its. */
static bc_status open_file(struct bc_io *io, int at, const char *name, bool writable, int *fd, uint64_t *size)
{
    struct bc_file_info info;
    bc_status status = bc_io_open(io, at, name, writable ? BC_OPEN_WRITE : BC_OPEN_READ, fd);
    /* A directory opens for reading and not for writing: the answer should not depend on that. */
    if (status == BITCASK_IS_PARTITION) return bc_fail(BITCASK_CORRUPT, "%s: not a data file (a directory)", name);
    if (status != BITCASK_OK) return status;
    status = bc_io_info(io, *fd, name, &info);
    if (status == BITCASK_OK && !info.is_regular)
        status = bc_fail(BITCASK_CORRUPT, "%s: not a data file (not a regular file)", name);
    if (status != BITCASK_OK) {
        io->ops->close(io, *fd); /* nothing was written, and the detail line is to stay */
        *fd = -1;
        return status;
    }
    *size = info.size;
    return BITCASK_OK;
}

bc_status bc_segment_open(struct bc_io *io, int at, const char *name, bool writable, struct bc_segment **segment,
                          struct bc_segment_header *header)
{
    int fd = -1;
    uint8_t bytes[HEADER_ROOM];
    size_t got = 0;
    uint64_t size = 0;

    bc_status status = open_file(io, at, name, writable, &fd, &size);
    if (status != BITCASK_OK) return status;
    status = bc_io_read(io, fd, name, bytes, size < sizeof bytes ? (size_t)size : sizeof bytes, 0, &got);
    if (status != BITCASK_OK) goto out;
    status = bc_segment_header_decode(bytes, got, size, name, header);
    if (status != BITCASK_OK) goto out;
    status = segment_new(io, fd, name, header, size, segment);
    if (status != BITCASK_OK) goto out;
    return BITCASK_OK;

out:
    io->ops->close(io, fd);
    return status;
}

bc_status bc_segment_open_as(struct bc_io *io, int at, const char *name, const struct bc_segment_header *header,
                             struct bc_segment **segment)
{
    int fd = -1;
    uint64_t size = 0;
    bc_status status = open_file(io, at, name, false, &fd, &size);
    if (status == BITCASK_OK) status = segment_new(io, fd, name, header, size, segment);
    if (status != BITCASK_OK && fd >= 0) io->ops->close(io, fd);
    return status;
}

bc_status bc_segment_in_memory(struct bc_io *io, uint64_t room, struct bc_segment **segment)
{
    const struct bc_segment_header header = {0};
    uint8_t *memory = room <= BC_SEGMENT_SIZE_MAX ? malloc((size_t)room + 1) : NULL;
    bc_status status = memory != NULL
                           ? segment_new(io, -1, "(intents)", &header, 0, segment)
                           : bc_fail(BITCASK_NO_MEMORY, "out of memory for %" PRIu64 " bytes of intents", room);
    if (status != BITCASK_OK)
        free(memory);
    else
        (*segment)->memory = memory;
    return status;
}

void bc_segment_rename(struct bc_segment *segment, const char *name)
{
    /* Into the place that no reader looks at yet: the old name may be under way in somebody's message. */
    snprintf(segment->names[1], sizeof segment->names[1], "%.*s", (int)sizeof segment->names[1] - 1, name);
    atomic_store_explicit(&segment->name, segment->names[1], memory_order_release);
}

struct bc_segment *bc_segment_ref(struct bc_segment *segment)
{
    atomic_fetch_add_explicit(&segment->references, 1, memory_order_relaxed);
    return segment;
}

void bc_segment_unref(struct bc_segment **segment)
{
    struct bc_segment *gone = *segment;
    *segment = NULL;
    if (gone == NULL) return;
    /* Release what this thread did with the segment, acquire what the others did, before it is freed. */
    if (atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1) return;
    struct bc_mapping *mapping = atomic_load_explicit(&gone->mapping, memory_order_relaxed);
    bc_io_unmap(gone->io, &mapping);
    /* What a close could still report was either synced before, and reported then, or never promised. */
    if (gone->fd >= 0) gone->io->ops->close(gone->io, gone->fd);
    free(gone->memory);
    free(gone);
}

/* The file's mapping; made now where there is none. Several threads may come at once: one publishes its own, the others
 * drop theirs. A growing file is mapped at the size that it may reach: beyond its end there is nothing to look at, and
 * nobody looks, since all records lie before segment->end. */
static struct bc_mapping *mapping_of(struct bc_segment *segment)
{
    struct bc_mapping *mapping = atomic_load_explicit(&segment->mapping, memory_order_acquire);
    struct bc_mapping *none = NULL;
    uint64_t size = atomic_load_explicit(&segment->end, memory_order_acquire);

    if (mapping != NULL || atomic_load_explicit(&segment->unmappable, memory_order_relaxed)) return mapping;
    if (size < segment->room) size = segment->room;
    if (size == 0 || size > SIZE_MAX / 2 ||
        bc_io_map(segment->io, segment->fd, segment->name, 0, (size_t)size, BC_MAP_READ, &mapping) != BITCASK_OK) {
        bc_detail_clear(); /* no failure of whoever asked: there is pread */
        atomic_store_explicit(&segment->unmappable, true, memory_order_relaxed);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&segment->mapping, &none, mapping)) return mapping;
    bc_io_unmap(segment->io, &mapping);
    return none;
}

const uint8_t *bc_segment_view(struct bc_segment *segment, uint64_t offset, size_t size)
{
    uint64_t end = atomic_load_explicit(&segment->end, memory_order_acquire);
    const struct bc_mapping *mapping;

    if (offset > end || size > end - offset) return NULL;
    if (segment->memory != NULL) return segment->memory + offset;
    mapping = mapping_of(segment);
    if (mapping == NULL || offset + size > mapping->size || atomic_load(&mapping->broken)) return NULL;
    bc_io_note_read(segment->io, size);
    return mapping->data + offset;
}

bool bc_segment_view_is_broken(const struct bc_segment *segment)
{
    const struct bc_mapping *mapping = atomic_load_explicit(&segment->mapping, memory_order_acquire);
    return mapping != NULL && atomic_load(&mapping->broken);
}

bc_status bc_segment_read_raw(struct bc_segment *segment, uint64_t offset, void *out, size_t size)
{
    size_t got = 0;
    if (segment->memory != NULL) {
        uint64_t end = atomic_load_explicit(&segment->end, memory_order_acquire);
        if (offset <= end && size <= end - offset) {
            if (size > 0) memcpy(out, segment->memory + offset, size);
            return BITCASK_OK;
        }
    } else {
        bc_status status = bc_io_read(segment->io, segment->fd, segment->name, out, size, offset, &got);
        if (status != BITCASK_OK || got == size) return status;
    }
    return bc_fail(BITCASK_CORRUPT, "%s: cut short: no %zu bytes at offset %" PRIu64, segment->name, size, offset);
}

bc_status bc_segment_read_front(struct bc_segment *segment, uint64_t offset, struct bc_buffer *buffer,
                                struct bc_record *record)
{
    uint64_t end = atomic_load_explicit(&segment->end, memory_order_acquire);
    uint64_t remaining = offset < end ? end - offset : 0;
    size_t size = remaining < FIRST_READ ? (size_t)remaining : FIRST_READ;
    for (;;) {
        bc_buffer_reset(buffer);
        uint8_t *data = bc_buffer_extend(buffer, size);
        if (data == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", segment->name);
        bc_status status = bc_segment_read_raw(segment, offset, data, size);
        if (status != BITCASK_OK) return status;
        buffer->size = size;

        size_t needed = 0;
        status = bc_record_decode(data, size, segment->generation, offset, remaining, record, &needed);
        if (status == BITCASK_OK) return BITCASK_OK;
        if (status != BITCASK_TOO_LARGE || needed <= size)
            return bc_fail(BITCASK_CORRUPT, "%s: no valid record at offset %" PRIu64, segment->name, offset);
        size = needed; /* bounded: no front is larger than a key and BC_ATTRS_SIZE_MAX allow */
    }
}

bc_status bc_segment_read_value(struct bc_segment *segment, uint64_t offset, const struct bc_record *record, void *out)
{
    bc_status status = bc_segment_read_raw(segment, offset + bc_record_front_size(record), out, record->value_size);
    if (status != BITCASK_OK) return status;
    if (bc_crc32c(0, out, record->value_size) != record->value_crc)
        return bc_fail(BITCASK_CORRUPT, "%s: the value of the record at offset %" PRIu64 " fails its check",
                       segment->name, offset);
    return BITCASK_OK;
}
