/* fuzz.c - a file in memory, and checksums made right: see fuzz.h.
 */
#include "fuzz.h"

#include "base/crc.h"
#include "log/checkpoint_format.h"
#include "log/hint_format.h"

void fuzz_touch(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    volatile uint8_t all = 0;
    for (size_t i = 0; i < size; i++) all = (uint8_t)(all ^ bytes[i]);
}

uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (!copy) exit(99);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

/* ---- a file in memory ---- */

static int file_open(struct bc_io *io, int at, const char *name, unsigned flags)
{
    (void)at;
    (void)name;
    (void)flags;
    return ((struct fuzz_file *)io)->open++;
}

static int file_close(struct bc_io *io, int fd)
{
    (void)fd;
    ((struct fuzz_file *)io)->open--;
    return 0;
}

static ssize_t file_pread(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    const struct fuzz_file *file = (struct fuzz_file *)io;
    (void)fd;
    if (offset >= file->size) return 0;
    if (size > file->size - offset) size = file->size - (size_t)offset;
    memcpy(data, file->data + offset, size);
    return (ssize_t)size;
}

static int file_info(struct bc_io *io, int fd, struct bc_file_info *info)
{
    (void)fd;
    *info = (struct bc_file_info){.size = ((struct fuzz_file *)io)->size, .is_regular = true};
    return 0;
}

void fuzz_file_init(struct fuzz_file *file, const uint8_t *data, size_t size)
{
    *file = (struct fuzz_file){.data = data, .size = size};
    file->ops.open = file_open;
    file->ops.close = file_close;
    file->ops.pread = file_pread;
    file->ops.info = file_info;
    file->io.ops = &file->ops;
}

/* ---- checksums ---- */

enum {
    HEADER_SIZE_AT = 12,
    GENERATION_AT = 24,
    VALUE_CRC_AT = 4,
    VALUE_SIZE_AT = 16,
    KEY_SIZE_AT = 20,
    ATTRS_SIZE_AT = 21
};

void fuzz_seal_header(uint8_t *data, size_t size)
{
    if (size < BC_SEGMENT_HEADER_FIXED) return;
    uint32_t header = bc_get_u32(data + HEADER_SIZE_AT);
    if (header >= BC_SEGMENT_HEADER_FIXED && header <= size)
        bc_put_u32(data + header - 4, bc_crc32c(0, data, header - 4));
}

size_t fuzz_seal_record(uint8_t *data, size_t size, size_t at, uint64_t generation)
{
    uint8_t seed[16], *head = data + at;
    if (at > size || size - at < BC_RECORD_HEAD_SIZE) return 0;
    size_t front = BC_RECORD_HEAD_SIZE + (size_t)head[KEY_SIZE_AT] +
                   (bc_get_u32(head + ATTRS_SIZE_AT - 1) >> 8); /* three bytes behind the size of the key */
    size_t value = bc_get_u32(head + VALUE_SIZE_AT);
    if (front > size - at) return 0;
    if (value <= size - at - front) bc_put_u32(head + VALUE_CRC_AT, bc_crc32c(0, head + front, value));
    bc_put_u64(seed, generation);
    bc_put_u64(seed + 8, at);
    bc_put_u32(head, bc_crc32c(bc_crc32c(0, seed, sizeof seed), head + VALUE_CRC_AT, front - VALUE_CRC_AT));
    return value <= size - at - front ? front + value : 0;
}

void fuzz_seal_records(uint8_t *data, size_t size, size_t at, uint64_t generation)
{
    for (size_t record; (record = fuzz_seal_record(data, size, at, generation)) > 0;) at += record;
}

void fuzz_seal_segment(uint8_t *data, size_t size)
{
    if (size < BC_SEGMENT_HEADER_FIXED) return;
    fuzz_seal_header(data, size);
    fuzz_seal_records(data, size, bc_get_u32(data + HEADER_SIZE_AT), bc_get_u64(data + GENERATION_AT));
}

void fuzz_seal_intent(uint8_t *data, size_t size)
{
    for (size_t at = 0, record; size - at > 8; at += 8 + record) {
        record = fuzz_seal_record(data, size, at + 8, bc_get_u64(data + at));
        if (record == 0) return;
    }
}

/* The blocks by the block index, which says how large each is. */
static void seal_hint_blocks(uint8_t *data, const uint8_t *index, size_t index_size, size_t end)
{
    struct bc_hint_head head = {.generation = bc_get_u64(data + BC_HINT_AT_GENERATION),
                                .salt = bc_get_u64(data + BC_HINT_AT_SALT)};
    size_t block_at = BC_HINT_HEADER_SIZE;
    for (size_t at = 0; at < index_size;) {
        uint64_t block = 0;
        for (unsigned shift = 0; at < index_size && shift < 35; shift += 7) {
            block |= (uint64_t)(index[at] & 0x7f) << shift;
            if ((index[at++] & 0x80) == 0) break;
        }
        if (block <= BC_HINT_CRC_SIZE || block > end - block_at) return;
        uint8_t *bytes = data + block_at;
        bc_put_u32(bytes + block - 4, bc_hint_block_crc(&head, block_at, bytes, (size_t)block - 4));
        block_at += (size_t)block;
        if (at >= index_size) return;
        at += 1 + (size_t)index[at];
    }
}

void fuzz_seal_hint(uint8_t *data, size_t size)
{
    if (size < BC_HINT_HEADER_SIZE) return;
    uint64_t entries = bc_get_u64(data + BC_HINT_AT_ENTRIES_SIZE), index = bc_get_u64(data + BC_HINT_AT_INDEX_SIZE);
    uint64_t filter = bc_get_u64(data + BC_HINT_AT_FILTER_SIZE), left = size - BC_HINT_HEADER_SIZE;
    if (entries <= left && index <= left - entries) {
        uint8_t *index_at = data + BC_HINT_HEADER_SIZE + entries;
        seal_hint_blocks(data, index_at, (size_t)index, (size_t)(BC_HINT_HEADER_SIZE + entries));
        bc_put_u32(data + BC_HINT_AT_INDEX_CRC, bc_crc32c(0, index_at, (size_t)index));
        if (filter <= left - entries - index)
            bc_put_u32(data + BC_HINT_AT_FILTER_CRC, bc_crc32c(0, index_at + index, (size_t)filter));
    }
    bc_put_u32(data + BC_HINT_AT_HEADER_CRC, bc_crc32c(0, data, BC_HINT_AT_HEADER_CRC));
}

void fuzz_seal_checkpoint(uint8_t *data, size_t size)
{
    if (size < BC_CHECKPOINT_HEADER_SIZE) return;
    uint64_t tables = bc_get_u64(data + BC_CHECKPOINT_AT_TABLES_OFFSET);
    uint64_t rows = tables + (uint64_t)bc_get_u32(data + BC_CHECKPOINT_AT_SLOTS) * BC_CHECKPOINT_SLOT_SIZE;
    uint64_t blocks = bc_get_u32(data + BC_CHECKPOINT_AT_BLOCKS), block_at = BC_CHECKPOINT_HEADER_SIZE;
    if (tables > size || rows > size) rows = size;
    for (uint64_t i = 0; i < blocks && size - rows >= (i + 1) * BC_CHECKPOINT_BLOCK_ROW_SIZE; i++) {
        uint8_t *row = data + rows + i * BC_CHECKPOINT_BLOCK_ROW_SIZE;
        uint64_t padded = bc_checkpoint_padded(bc_get_u32(row));
        if (block_at > tables || padded > tables - block_at) break;
        bc_put_u32(row + 4, bc_crc32c(0, data + block_at, (size_t)padded));
        block_at += padded;
    }
    if (tables <= size)
        bc_put_u32(data + BC_CHECKPOINT_AT_TABLES_CRC, bc_crc32c(0, data + tables, size - (size_t)tables));
    bc_put_u32(data + BC_CHECKPOINT_AT_HEADER_CRC, bc_crc32c(0, data, BC_CHECKPOINT_AT_HEADER_CRC));
}
