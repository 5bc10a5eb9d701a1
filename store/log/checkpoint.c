/* checkpoint.c - reading a checkpoint.
 *
 * It may assume nothing of the file's bytes, nor that the file stays as long as it is: a checksum that is right says
 * that these are the bytes that were written, not that whoever wrote them meant well. Blocks are read, not mapped: were
 * the file cut short under a mapping, every look into the index could be a SIGBUS, and a copy of 480 MB costs 60 ms.
 */
#include "log/checkpoint_format.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "log/segment.h"

#define PIECE ((size_t)256 << 10) /* read and then summed up while it is in the processor's cache */

struct block {
    uint64_t at; /* from the first block on */
    uint32_t size, crc;
};

struct bc_checkpoint {
    struct bc_io *io; /* not owned */
    int fd;
    uint64_t file_size;
    uint64_t tables_offset;
    struct bc_checkpoint_head head;
    struct bc_checkpoint_slot *slots;
    struct block *blocks;
    uint8_t *tables; /* as in the file; the image head stands at their end */
    size_t image_head_at, image_head_size;
    uint32_t tables_crc;
};

static bc_status corrupt(const char *what)
{
    return bc_fail(BITCASK_CORRUPT, "%s: %s", BC_CHECKPOINT_NAME, what);
}

/* Reads exactly so much. */
static bc_status read_exactly(const struct bc_checkpoint *checkpoint, void *out, size_t size, uint64_t offset)
{
    size_t got = 0;
    bc_status status = bc_io_read(checkpoint->io, checkpoint->fd, BC_CHECKPOINT_NAME, out, size, offset, &got);

    if (status == BITCASK_OK && got != size) status = corrupt("cut short");
    return status;
}

static bc_status read_header(struct bc_checkpoint *checkpoint)
{
    struct bc_checkpoint_head *head = &checkpoint->head;
    uint8_t bytes[BC_CHECKPOINT_HEADER_SIZE];
    bc_status status = read_exactly(checkpoint, bytes, sizeof bytes, 0);

    if (status != BITCASK_OK) return status;
    if (memcmp(bytes + BC_CHECKPOINT_AT_MAGIC, BC_SEGMENT_MAGIC, 8) != 0) return corrupt("not a checkpoint");
    if (bc_get_u16(bytes + BC_CHECKPOINT_AT_FORMAT) != BC_FORMAT_VERSION) return corrupt("of another format version");
    if (bc_get_u16(bytes + BC_CHECKPOINT_AT_KIND) != BC_KIND_INDEX ||
        bc_get_u32(bytes + BC_CHECKPOINT_AT_HEADER_SIZE) != BC_CHECKPOINT_HEADER_SIZE)
        return corrupt("not a checkpoint");
    if (bc_get_u32(bytes + BC_CHECKPOINT_AT_HEADER_CRC) != bc_crc32c(0, bytes, BC_CHECKPOINT_AT_HEADER_CRC))
        return corrupt("its header fails its checksum");
    head->id = bc_get_u64(bytes + BC_CHECKPOINT_AT_ID);
    head->partition_id = bc_get_u64(bytes + BC_CHECKPOINT_AT_PARTITION_ID);
    head->last_version = bc_get_u64(bytes + BC_CHECKPOINT_AT_LAST_VERSION);
    head->keys = bc_get_u64(bytes + BC_CHECKPOINT_AT_KEYS);
    head->tail = (struct bc_log_place){bc_get_u32(bytes + BC_CHECKPOINT_AT_TAIL_ID),
                                       bc_get_u64(bytes + BC_CHECKPOINT_AT_TAIL_OFFSET)};
    head->end = (struct bc_log_place){bc_get_u32(bytes + BC_CHECKPOINT_AT_END_ID),
                                      bc_get_u64(bytes + BC_CHECKPOINT_AT_END_OFFSET)};
    head->last_record = bc_get_u64(bytes + BC_CHECKPOINT_AT_LAST_RECORD);
    memcpy(head->last_front, bytes + BC_CHECKPOINT_AT_LAST_FRONT, sizeof head->last_front);
    head->slot_count = bc_get_u32(bytes + BC_CHECKPOINT_AT_SLOTS);
    head->block_count = bc_get_u32(bytes + BC_CHECKPOINT_AT_BLOCKS);
    checkpoint->image_head_size = bc_get_u32(bytes + BC_CHECKPOINT_AT_HEAD_SIZE);
    checkpoint->tables_crc = bc_get_u32(bytes + BC_CHECKPOINT_AT_TABLES_CRC);
    checkpoint->tables_offset = bc_get_u64(bytes + BC_CHECKPOINT_AT_TABLES_OFFSET);
    return head->id != 0 ? BITCASK_OK : corrupt("it has no id");
}

static void decode_slot(const uint8_t *row, struct bc_checkpoint_slot *slot)
{
    *slot = (struct bc_checkpoint_slot){
        .segment_id = bc_get_u32(row + BC_CHECKPOINT_AT_SEGMENT_ID),
        .lowest_id = bc_get_u32(row + BC_CHECKPOINT_AT_LOWEST_ID),
        .generation = bc_get_u64(row + BC_CHECKPOINT_AT_GENERATION),
        .size = bc_get_u64(row + BC_CHECKPOINT_AT_SIZE),
        .live_bytes = bc_get_u64(row + BC_CHECKPOINT_AT_LIVE_BYTES),
        .live_keys = bc_get_u64(row + BC_CHECKPOINT_AT_LIVE_KEYS),
        .tombstone_bytes = bc_get_u64(row + BC_CHECKPOINT_AT_TOMBSTONE_BYTES),
        .hint_bytes = bc_get_u64(row + BC_CHECKPOINT_AT_HINT_BYTES),
        .tombstones_due = bc_get_u32(row + BC_CHECKPOINT_AT_FLAGS) & BC_CHECKPOINT_TOMBSTONES_DUE,
    };
}

/* Takes the tables apart. That the blocks fill the room between header and tables says that each is within the file. */
static bc_status decode_tables(struct bc_checkpoint *checkpoint)
{
    uint32_t slot_count = checkpoint->head.slot_count, block_count = checkpoint->head.block_count;
    const uint8_t *row = checkpoint->tables;
    uint64_t at = 0;

    checkpoint->slots = calloc((size_t)slot_count + 1, sizeof *checkpoint->slots);
    checkpoint->blocks = calloc((size_t)block_count + 1, sizeof *checkpoint->blocks);
    if (checkpoint->slots == NULL || checkpoint->blocks == NULL)
        return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", BC_CHECKPOINT_NAME);
    for (uint32_t i = 0; i < slot_count; i++, row += BC_CHECKPOINT_SLOT_SIZE) decode_slot(row, &checkpoint->slots[i]);
    for (uint32_t i = 0; i < block_count; i++, row += BC_CHECKPOINT_BLOCK_ROW_SIZE) {
        checkpoint->blocks[i] = (struct block){at, bc_get_u32(row), bc_get_u32(row + 4)};
        if (checkpoint->blocks[i].size == 0) return corrupt("an empty block");
        at += bc_checkpoint_padded(checkpoint->blocks[i].size);
    }
    checkpoint->image_head_at = (size_t)(row - checkpoint->tables);
    return at == checkpoint->tables_offset - BC_CHECKPOINT_HEADER_SIZE ? BITCASK_OK
                                                                       : corrupt("its blocks do not add up");
}

static bc_status read_tables(struct bc_checkpoint *checkpoint)
{
    /* None of the three can overflow: 32-bit numbers, times little. */
    uint64_t size = (uint64_t)checkpoint->head.slot_count * BC_CHECKPOINT_SLOT_SIZE +
                    (uint64_t)checkpoint->head.block_count * BC_CHECKPOINT_BLOCK_ROW_SIZE + checkpoint->image_head_size;
    bc_status status;

    if (checkpoint->tables_offset < BC_CHECKPOINT_HEADER_SIZE || checkpoint->tables_offset > checkpoint->file_size ||
        size != checkpoint->file_size - checkpoint->tables_offset)
        return corrupt("its size is not what its header says");
    checkpoint->tables = malloc((size_t)size + 1);
    if (checkpoint->tables == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", BC_CHECKPOINT_NAME);
    status = read_exactly(checkpoint, checkpoint->tables, (size_t)size, checkpoint->tables_offset);
    if (status != BITCASK_OK) return status;
    if (bc_crc32c(0, checkpoint->tables, (size_t)size) != checkpoint->tables_crc)
        return corrupt("its tables fail their checksum");
    return decode_tables(checkpoint);
}

bc_status bc_checkpoint_open(struct bc_io *io, int at, struct bc_checkpoint **checkpoint)
{
    struct bc_checkpoint *made = calloc(1, sizeof *made);
    struct bc_file_info info = {0};
    bc_status status;

    if (made == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", BC_CHECKPOINT_NAME);
    made->io = io;
    made->fd = -1;
    status = bc_io_open(io, at, BC_CHECKPOINT_NAME, BC_OPEN_READ, &made->fd);
    if (status == BITCASK_OK) status = bc_io_info(io, made->fd, BC_CHECKPOINT_NAME, &info);
    if (status == BITCASK_OK && !info.is_regular) status = corrupt("not a regular file");
    made->file_size = info.size;
    if (status == BITCASK_OK) status = read_header(made);
    if (status == BITCASK_OK) status = read_tables(made);
    if (status == BITCASK_OK)
        *checkpoint = made;
    else
        bc_checkpoint_close(&made);
    return status;
}

void bc_checkpoint_close(struct bc_checkpoint **checkpoint)
{
    struct bc_checkpoint *gone = *checkpoint;

    *checkpoint = NULL;
    if (gone == NULL) return;
    if (gone->fd >= 0) gone->io->ops->close(gone->io, gone->fd); /* only read from; the detail line is to stay */
    free(gone->slots);
    free(gone->blocks);
    free(gone->tables);
    free(gone);
}

const struct bc_checkpoint_head *bc_checkpoint_head(const struct bc_checkpoint *checkpoint)
{
    return &checkpoint->head;
}

const struct bc_checkpoint_slot *bc_checkpoint_slots(const struct bc_checkpoint *checkpoint)
{
    return checkpoint->slots;
}

const void *bc_checkpoint_image_head(const struct bc_checkpoint *checkpoint, size_t *size)
{
    *size = checkpoint->image_head_size;
    return checkpoint->tables + checkpoint->image_head_at;
}

uint64_t bc_checkpoint_file_size(const struct bc_checkpoint *checkpoint)
{
    return checkpoint->file_size;
}

size_t bc_checkpoint_block_size(const struct bc_checkpoint *checkpoint, uint32_t i)
{
    return checkpoint->blocks[i].size;
}

uint64_t bc_checkpoint_block_at(const struct bc_checkpoint *checkpoint, uint32_t i)
{
    return checkpoint->blocks[i].at;
}

uint64_t bc_checkpoint_blocks_size(const struct bc_checkpoint *checkpoint)
{
    return checkpoint->tables_offset - BC_CHECKPOINT_HEADER_SIZE;
}

bc_status bc_checkpoint_read_block(const struct bc_checkpoint *checkpoint, uint32_t i, void *out)
{
    const struct block *block = &checkpoint->blocks[i];
    uint64_t size = bc_checkpoint_padded(block->size);
    uint8_t *bytes = out;
    uint32_t crc = 0;

    for (uint64_t done = 0; done < size;) {
        size_t piece = size - done < PIECE ? (size_t)(size - done) : PIECE;
        bc_status status = read_exactly(checkpoint, bytes + done, piece, BC_CHECKPOINT_HEADER_SIZE + block->at + done);

        if (status != BITCASK_OK) return status;
        crc = bc_crc32c(crc, bytes + done, piece);
        done += piece;
    }
    return crc == block->crc ? BITCASK_OK : corrupt("a block fails its checksum");
}
