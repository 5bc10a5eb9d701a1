/* checkpoint_writer.c - writing a checkpoint, block by block.
 *
 * Invariant: a file that bears the name of a checkpoint was written to its end without an error. Whether all of it
 * reached the disk is for its checks to say. A file under the temporary name is nobody's, and the next writer's to
 * overwrite.
 */
#include "log/checkpoint_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "log/segment.h"

struct bc_checkpoint_writer {
    struct bc_io *io; /* not owned */
    int at;           /* not owned */
    int fd;
    uint64_t id;
    uint64_t offset;         /* where the next block goes */
    struct bc_buffer blocks; /* their rows, as they go to the file */
    uint32_t block_count;
};

static bc_status no_memory(void)
{
    return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", BC_CHECKPOINT_TEMPORARY_NAME);
}

bc_status bc_checkpoint_writer_open(struct bc_io *io, int at, struct bc_checkpoint_writer **writer)
{
    struct bc_checkpoint_writer *made = calloc(1, sizeof *made);
    bc_status status;

    if (made == NULL) return no_memory();
    made->io = io;
    made->at = at;
    made->fd = -1;
    made->offset = BC_CHECKPOINT_HEADER_SIZE;
    status = bc_io_random(io, &made->id, sizeof made->id);
    if (made->id == 0) made->id = 1;
    /* Truncated, not exclusive: a crash may have left a file of this name. */
    if (status == BITCASK_OK)
        status = bc_io_open(io, at, BC_CHECKPOINT_TEMPORARY_NAME, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_TRUNCATE,
                            &made->fd);
    if (status == BITCASK_OK)
        *writer = made;
    else
        free(made);
    return status;
}

static void free_writer(struct bc_checkpoint_writer **writer)
{
    bc_buffer_release(&(*writer)->blocks);
    free(*writer);
    *writer = NULL;
}

void bc_checkpoint_writer_abort(struct bc_checkpoint_writer **writer)
{
    struct bc_checkpoint_writer *gone = *writer;
    char why[512];

    if (gone == NULL) return;
    /* The failure that made the caller give up is what it should read, not that of the cleaning up. */
    snprintf(why, sizeof why, "%s", bc_detail());
    bc_io_close(gone->io, &gone->fd);
    bc_io_unlink(gone->io, gone->at, BC_CHECKPOINT_TEMPORARY_NAME);
    bc_fail(BITCASK_OK, "%s", why);
    free_writer(writer);
}

bc_status bc_checkpoint_writer_add(struct bc_checkpoint_writer *writer, const void *block, size_t size)
{
    static const uint8_t zeros[BC_CHECKPOINT_ALIGN];
    size_t padding = (size_t)(bc_checkpoint_padded(size) - size);
    struct iovec iov[] = {{(void *)(uintptr_t)block, size}, {(void *)(uintptr_t)zeros, padding}};
    uint8_t *row;
    bc_status status;

    if (size == 0 || size > UINT32_MAX || writer->block_count == UINT32_MAX)
        return bc_fail(BITCASK_TOO_LARGE, "%s: a block of %zu bytes", BC_CHECKPOINT_TEMPORARY_NAME, size);
    row = bc_buffer_extend(&writer->blocks, BC_CHECKPOINT_BLOCK_ROW_SIZE);
    if (row == NULL) return no_memory();
    status =
        bc_io_write(writer->io, writer->fd, BC_CHECKPOINT_TEMPORARY_NAME, iov, padding > 0 ? 2 : 1, writer->offset);
    if (status != BITCASK_OK) return status;
    bc_put_u32(row, (uint32_t)size);
    bc_put_u32(row + 4, bc_crc32c(bc_crc32c(0, block, size), zeros, padding));
    writer->blocks.size += BC_CHECKPOINT_BLOCK_ROW_SIZE;
    writer->block_count++;
    writer->offset += size + padding;
    return BITCASK_OK;
}

static void encode_slot(const struct bc_checkpoint_slot *slot, uint8_t *row)
{
    memset(row, 0, BC_CHECKPOINT_SLOT_SIZE);
    if (slot->segment_id == 0) return;
    bc_put_u32(row + BC_CHECKPOINT_AT_SEGMENT_ID, slot->segment_id);
    bc_put_u32(row + BC_CHECKPOINT_AT_LOWEST_ID, slot->lowest_id);
    bc_put_u64(row + BC_CHECKPOINT_AT_GENERATION, slot->generation);
    bc_put_u64(row + BC_CHECKPOINT_AT_SIZE, slot->size);
    bc_put_u64(row + BC_CHECKPOINT_AT_LIVE_BYTES, slot->live_bytes);
    bc_put_u64(row + BC_CHECKPOINT_AT_LIVE_KEYS, slot->live_keys);
    bc_put_u64(row + BC_CHECKPOINT_AT_TOMBSTONE_BYTES, slot->tombstone_bytes);
    bc_put_u64(row + BC_CHECKPOINT_AT_HINT_BYTES, slot->hint_bytes);
    if (slot->tombstones_due) bc_put_u32(row + BC_CHECKPOINT_AT_FLAGS, BC_CHECKPOINT_TOMBSTONES_DUE);
}

static void encode_header(const struct bc_checkpoint_writer *writer, const struct bc_checkpoint_head *head,
                          size_t slot_count, size_t image_head_size, uint32_t tables_crc, uint8_t *out)
{
    memset(out, 0, BC_CHECKPOINT_HEADER_SIZE);
    memcpy(out + BC_CHECKPOINT_AT_MAGIC, BC_SEGMENT_MAGIC, 8);
    bc_put_u16(out + BC_CHECKPOINT_AT_FORMAT, BC_FORMAT_VERSION);
    bc_put_u16(out + BC_CHECKPOINT_AT_KIND, BC_KIND_INDEX);
    bc_put_u32(out + BC_CHECKPOINT_AT_HEADER_SIZE, BC_CHECKPOINT_HEADER_SIZE);
    bc_put_u64(out + BC_CHECKPOINT_AT_ID, writer->id);
    bc_put_u64(out + BC_CHECKPOINT_AT_PARTITION_ID, head->partition_id);
    bc_put_u64(out + BC_CHECKPOINT_AT_LAST_VERSION, head->last_version);
    bc_put_u64(out + BC_CHECKPOINT_AT_KEYS, head->keys);
    bc_put_u32(out + BC_CHECKPOINT_AT_TAIL_ID, head->tail.segment_id);
    bc_put_u32(out + BC_CHECKPOINT_AT_END_ID, head->end.segment_id);
    bc_put_u64(out + BC_CHECKPOINT_AT_TAIL_OFFSET, head->tail.offset);
    bc_put_u64(out + BC_CHECKPOINT_AT_END_OFFSET, head->end.offset);
    bc_put_u64(out + BC_CHECKPOINT_AT_LAST_RECORD, head->last_record);
    if (head->last_record > 0) memcpy(out + BC_CHECKPOINT_AT_LAST_FRONT, head->last_front, sizeof head->last_front);
    bc_put_u32(out + BC_CHECKPOINT_AT_SLOTS, (uint32_t)slot_count);
    bc_put_u32(out + BC_CHECKPOINT_AT_BLOCKS, writer->block_count);
    bc_put_u32(out + BC_CHECKPOINT_AT_HEAD_SIZE, (uint32_t)image_head_size);
    bc_put_u32(out + BC_CHECKPOINT_AT_TABLES_CRC, tables_crc);
    bc_put_u64(out + BC_CHECKPOINT_AT_TABLES_OFFSET, writer->offset);
    bc_put_u32(out + BC_CHECKPOINT_AT_HEADER_CRC, bc_crc32c(0, out, BC_CHECKPOINT_AT_HEADER_CRC));
}

/* Writes the tables and then the header: until then the file begins with zeros. */
static bc_status write_rest(struct bc_checkpoint_writer *writer, const struct bc_checkpoint_head *head,
                            const struct bc_checkpoint_slot *slots, size_t slot_count, const void *image_head,
                            size_t image_head_size, uint64_t *bytes)
{
    size_t slots_size = slot_count * BC_CHECKPOINT_SLOT_SIZE;
    uint8_t header[BC_CHECKPOINT_HEADER_SIZE], *rows = malloc(slots_size + 1);
    struct iovec front = {header, sizeof header};
    struct iovec tables[] = {{rows, slots_size},
                             {writer->blocks.data, writer->blocks.size},
                             {(void *)(uintptr_t)image_head, image_head_size}};
    uint32_t crc = 0;
    bc_status status;

    if (rows == NULL) return no_memory();
    for (size_t i = 0; i < slot_count; i++) encode_slot(&slots[i], rows + i * BC_CHECKPOINT_SLOT_SIZE);
    *bytes = writer->offset;
    for (size_t i = 0; i < 3; i++) {
        if (tables[i].iov_len > 0) crc = bc_crc32c(crc, tables[i].iov_base, tables[i].iov_len);
        *bytes += tables[i].iov_len;
    }
    encode_header(writer, head, slot_count, image_head_size, crc, header);
    status = bc_io_write(writer->io, writer->fd, BC_CHECKPOINT_TEMPORARY_NAME, tables, 3, writer->offset);
    if (status == BITCASK_OK) status = bc_io_write(writer->io, writer->fd, BC_CHECKPOINT_TEMPORARY_NAME, &front, 1, 0);
    free(rows);
    return status;
}

bc_status bc_checkpoint_writer_commit(struct bc_checkpoint_writer **writer, const struct bc_checkpoint_head *head,
                                      const struct bc_checkpoint_slot *slots, size_t slot_count, const void *image_head,
                                      size_t image_head_size, uint64_t *id, uint64_t *bytes)
{
    struct bc_checkpoint_writer *done = *writer;
    bc_status status = BITCASK_OK;

    if (slot_count > UINT32_MAX || image_head_size > UINT32_MAX) status = no_memory();
    if (status == BITCASK_OK) status = write_rest(done, head, slots, slot_count, image_head, image_head_size, bytes);
    if (status == BITCASK_OK) status = bc_io_close(done->io, &done->fd);
    /* Not synced before it gets its name. A power cut may let the name reach the disk without the bytes, or with some:
     * then a check fails, and the index is built as if there were no checkpoint. Or it leaves the name with the one
     * before, which stands for less of the log, and is as right as it was. To write the whole index to the disk now,
     * while somebody waits for a close, would buy an open after a power cut its speed, and nothing else. */
    if (status == BITCASK_OK)
        status = bc_io_rename(done->io, done->at, BC_CHECKPOINT_TEMPORARY_NAME, BC_CHECKPOINT_NAME);
    if (status != BITCASK_OK) {
        bc_checkpoint_writer_abort(writer);
        return status;
    }
    *id = done->id;
    free_writer(writer);
    return BITCASK_OK;
}
