/* hint_writer.c - writing a hint, entry by entry.
 *
 * Holds the blocks that are not on disk yet, the block index and the filter; the file grows by PIECE at a time, behind
 * a gap for the header, which is written last. It may assume that entries come in order and keep the limits that the
 * reader checks: both are asserted, since they come from a segment whose records were checked.
 *
 * Invariant: a file that bears a hint's name was written to its end without an error. Whether all of it reached the
 * disk is for its checks to say. A file under the temporary name is nobody's, and the next writer's to overwrite.
 */
#include "log/hint_format.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "log/bloom.h"

#define PIECE ((size_t)128 << 10)

struct bc_hint_writer {
    struct bc_io *io; /* not owned */
    int at;           /* not owned */
    int fd;
    bc_status failed; /* what an earlier call came to; a file with a hole must not get a name */
    struct bc_hint_head head;
    uint32_t blocks;
    uint64_t out_offset;     /* of out[0] in the file */
    size_t out_size;         /* finished blocks and the one being filled */
    size_t block_start;      /* of that one, in out */
    struct bc_buffer index;  /* as it goes to the file */
    struct bc_buffer hashes; /* 8 bytes a key: how large the filter must be is known at the end */
    size_t filter_size;
    uint8_t *filter;
    uint64_t version; /* of the last entry of the block, or head.last_version */
    size_t key_size;  /* of the last entry; 0: there is none */
    uint8_t key[BC_HINT_KEY_MAX];
    size_t first_key_size; /* of the block being filled */
    uint8_t first_key[BC_HINT_KEY_MAX];
    uint8_t out[PIECE];
};

bc_status bc_hint_writer_open(struct bc_io *io, int at, const struct bc_hint_head *head, struct bc_hint_writer **writer)
{
    uint8_t salt[8];
    bc_status status = bc_io_random(io, salt, sizeof salt);
    if (status != BITCASK_OK) return status;
    /* Memory first: what fails then needs no file removed. */
    struct bc_hint_writer *made = calloc(1, sizeof *made);
    if (made == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", BC_HINT_TEMPORARY_NAME);
    made->io = io;
    made->at = at;
    made->head = *head;
    made->head.keys = 0;
    made->head.tombstone_bytes = 0;
    made->head.salt = bc_get_u64(salt);
    made->out_offset = BC_HINT_HEADER_SIZE;
    made->version = head->last_version;
    /* Truncated, not exclusive: a crash may have left a file of this name. */
    status = bc_io_open(io, at, BC_HINT_TEMPORARY_NAME, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_TRUNCATE, &made->fd);
    if (status != BITCASK_OK) {
        free(made);
        return status;
    }
    *writer = made;
    return BITCASK_OK;
}

static void free_writer(struct bc_hint_writer **writer)
{
    bc_buffer_release(&(*writer)->index);
    bc_buffer_release(&(*writer)->hashes);
    free((*writer)->filter);
    free(*writer);
    *writer = NULL;
}

void bc_hint_writer_abort(struct bc_hint_writer **writer)
{
    struct bc_hint_writer *gone = *writer;
    if (gone == NULL) return;
    /* The failure that made the caller give up is what it should read, not that of the cleaning up. */
    char why[512];
    snprintf(why, sizeof why, "%s", bc_detail());
    bc_io_close(gone->io, &gone->fd);
    bc_io_unlink(gone->io, gone->at, BC_HINT_TEMPORARY_NAME);
    bc_fail(BITCASK_OK, "%s", why);
    free_writer(writer);
}

/* Ends the block being filled, if there is one: its check, its place in the index. */
static bc_status end_block(struct bc_hint_writer *writer)
{
    size_t size = writer->out_size - writer->block_start;
    if (size == 0) return BITCASK_OK;

    uint8_t *entry = bc_buffer_extend(&writer->index, BC_HINT_INDEX_ENTRY_MAX);
    if (entry == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", BC_HINT_TEMPORARY_NAME);
    size_t n = bc_hint_put_varint(entry, size + BC_HINT_CRC_SIZE);
    entry[n++] = (uint8_t)writer->first_key_size;
    memcpy(entry + n, writer->first_key, writer->first_key_size);
    writer->index.size += n + writer->first_key_size;

    uint32_t crc = bc_hint_block_crc(&writer->head, writer->out_offset + writer->block_start,
                                     writer->out + writer->block_start, size);
    bc_put_u32(writer->out + writer->out_size, crc);
    writer->out_size += BC_HINT_CRC_SIZE;
    writer->block_start = writer->out_size;
    writer->version = writer->head.last_version;
    writer->blocks++;
    return BITCASK_OK;
}

/* Makes room for another block behind the finished ones. */
static bc_status begin_block(struct bc_hint_writer *writer)
{
    if (sizeof writer->out - writer->out_size >= BC_HINT_BLOCK_MAX) return BITCASK_OK;
    struct iovec iov = {writer->out, writer->out_size};
    bc_status status = bc_io_write(writer->io, writer->fd, BC_HINT_TEMPORARY_NAME, &iov, 1, writer->out_offset);
    if (status != BITCASK_OK) return status;
    writer->out_offset += writer->out_size;
    writer->out_size = 0;
    writer->block_start = 0;
    return BITCASK_OK;
}

/* How many bytes key and the last one have in common at their front. */
static size_t shared_size(const struct bc_hint_writer *writer, const struct bc_hint_entry *entry)
{
    size_t n = 0;
    while (n < writer->key_size && n < entry->key_size && writer->key[n] == entry->key[n]) n++;
    return n;
}

/* Encodes entry to out, with a key that shares so many bytes with that of the entry before, whose version is given;
 * the bytes written. */
static size_t encode(const struct bc_hint_entry *entry, size_t shared, uint64_t hash, uint64_t version_before,
                     uint8_t *out)
{
    bitcask_attrs attrs = entry->attrs;
    attrs.present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    size_t attrs_size = bc_attrs_size(&attrs);
    size_t rest = entry->key_size - shared;
    uint64_t sum = (uint64_t)BC_RECORD_HEAD_SIZE + entry->key_size + attrs_size + entry->value_size;
    unsigned flags = entry->flags;
    assert(attrs_size <= BC_HINT_ATTRS_MAX);

    if (attrs_size > 0) flags |= BC_HINT_ATTRS;
    if (sum != entry->record_size) flags |= BC_HINT_SIZED;
    out[BC_HINT_AT_SHARED] = (uint8_t)shared;
    out[BC_HINT_AT_REST] = (uint8_t)rest;
    out[BC_HINT_AT_FLAGS] = (uint8_t)flags;
    bc_put_u32(out + BC_HINT_AT_KEY_HASH, (uint32_t)hash);
    bc_put_u32(out + BC_HINT_AT_OFFSET, entry->offset);
    size_t n = BC_HINT_ENTRY_FIXED;
    n += bc_hint_put_varint(out + n, entry->value_size);
    n += bc_hint_put_varint(out + n, bc_hint_version_delta(version_before, entry->version));
    if ((flags & BC_HINT_SIZED) != 0) n += bc_hint_put_varint(out + n, entry->record_size);
    if ((flags & BC_HINT_ATTRS) != 0) n += bc_hint_put_varint(out + n, attrs_size);
    memcpy(out + n, entry->key + shared, rest);
    n += rest;
    bc_attrs_encode(&attrs, out + n);
    n += attrs_size;
    if ((flags & BC_HINT_CHILD) != 0) {
        bc_put_u64(out + n, entry->child_id);
        n += 8;
    }
    return n;
}

/* The limits that a reader holds an entry to. */
static void assert_valid(const struct bc_hint_writer *writer, const struct bc_hint_entry *entry, size_t shared)
{
    assert(entry->key_size >= 1 && entry->key_size <= BC_HINT_KEY_MAX);
    /* Ascending: longer than what both have, and where the last key goes on, larger there. */
    assert(shared < entry->key_size);
    assert(shared == writer->key_size || entry->key[shared] > writer->key[shared]);
    assert((entry->flags & ~(unsigned)BC_HINT_PUBLIC) == 0);
    assert(entry->offset >= 1);
    assert((uint64_t)entry->offset + entry->record_size <= writer->head.data_size);
    assert(entry->record_size >= BC_RECORD_HEAD_SIZE + entry->key_size + (uint64_t)entry->value_size);
    assert((entry->flags & BC_HINT_TOMBSTONE) == 0 || entry->value_size == 0);
    assert(entry->version <= writer->head.last_version);
    (void)writer, (void)entry, (void)shared;
}

bc_status bc_hint_writer_add(struct bc_hint_writer *writer, const struct bc_hint_entry *entry)
{
    if (writer->failed != BITCASK_OK) return bc_fail(writer->failed, "%s: writing it failed", BC_HINT_TEMPORARY_NAME);
    size_t shared = shared_size(writer, entry);
    assert_valid(writer, entry, shared);

    uint64_t hash = XXH3_64bits(entry->key, entry->key_size);
    bool first = writer->out_size == writer->block_start;
    uint8_t encoded[BC_HINT_ENTRY_MAX];
    size_t size = encode(entry, first ? 0 : shared, hash, writer->version, encoded);
    size_t block_size = writer->out_size - writer->block_start;
    if (!first && block_size + size + BC_HINT_CRC_SIZE > BC_HINT_BLOCK_MAX) {
        writer->failed = end_block(writer);
        if (writer->failed != BITCASK_OK) return writer->failed;
        first = true;
        size = encode(entry, 0, hash, writer->version, encoded);
    }
    if (first) {
        writer->failed = begin_block(writer);
        if (writer->failed != BITCASK_OK) return writer->failed;
        memcpy(writer->first_key, entry->key, entry->key_size);
        writer->first_key_size = entry->key_size;
    }
    writer->failed = bc_buffer_append(&writer->hashes, &hash, sizeof hash);
    if (writer->failed != BITCASK_OK) return writer->failed;
    memcpy(writer->out + writer->out_size, encoded, size);
    writer->out_size += size;
    memcpy(writer->key, entry->key, entry->key_size);
    writer->key_size = entry->key_size;
    writer->version = entry->version;
    writer->head.keys++;
    if ((entry->flags & BC_HINT_TOMBSTONE) != 0) writer->head.tombstone_bytes += entry->record_size;
    return BITCASK_OK;
}

void bc_hint_writer_set_size(struct bc_hint_writer *writer, uint64_t data_size)
{
    writer->head.data_size = data_size;
}

static bc_status build_filter(struct bc_hint_writer *writer)
{
    writer->filter_size = bc_bloom_size((size_t)writer->head.keys);
    writer->filter = calloc(1, writer->filter_size);
    if (writer->filter == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", BC_HINT_TEMPORARY_NAME);
    for (size_t at = 0; at < writer->hashes.size; at += sizeof(uint64_t)) {
        uint64_t hash;
        memcpy(&hash, writer->hashes.data + at, sizeof hash);
        bc_bloom_add(writer->filter, writer->filter_size, hash);
    }
    return BITCASK_OK;
}

static void encode_header(const struct bc_hint_writer *writer, uint64_t entries_size, uint8_t *out)
{
    const struct bc_hint_head *head = &writer->head;
    memcpy(out + BC_HINT_AT_MAGIC, BC_SEGMENT_MAGIC, BC_HINT_MAGIC_SIZE);
    bc_put_u16(out + BC_HINT_AT_FORMAT, BC_FORMAT_VERSION);
    bc_put_u16(out + BC_HINT_AT_KIND, BC_KIND_HINT);
    bc_put_u32(out + BC_HINT_AT_HEADER_SIZE, BC_HINT_HEADER_SIZE);
    bc_put_u32(out + BC_HINT_AT_SEGMENT_ID, head->segment_id);
    bc_put_u32(out + BC_HINT_AT_BLOCKS, writer->blocks);
    bc_put_u64(out + BC_HINT_AT_GENERATION, head->generation);
    bc_put_u64(out + BC_HINT_AT_DATA_SIZE, head->data_size);
    bc_put_u64(out + BC_HINT_AT_LAST_VERSION, head->last_version);
    bc_put_u64(out + BC_HINT_AT_KEYS, head->keys);
    bc_put_u64(out + BC_HINT_AT_TOMBSTONE_BYTES, head->tombstone_bytes);
    bc_put_u64(out + BC_HINT_AT_ENTRIES_SIZE, entries_size);
    bc_put_u64(out + BC_HINT_AT_INDEX_SIZE, writer->index.size);
    bc_put_u64(out + BC_HINT_AT_FILTER_SIZE, writer->filter_size);
    bc_put_u64(out + BC_HINT_AT_SALT, head->salt);
    bc_put_u32(out + BC_HINT_AT_INDEX_CRC, bc_crc32c(0, writer->index.data, writer->index.size));
    bc_put_u32(out + BC_HINT_AT_FILTER_CRC, bc_crc32c(0, writer->filter, writer->filter_size));
    bc_put_u32(out + BC_HINT_AT_HEADER_CRC, bc_crc32c(0, out, BC_HINT_AT_HEADER_CRC));
}

/* Writes what is left: the last blocks, block index, filter, and the header that makes a hint of it all. */
static bc_status write_rest(struct bc_hint_writer *writer)
{
    bc_status status = end_block(writer);
    if (status == BITCASK_OK) status = build_filter(writer);
    if (status != BITCASK_OK) return status;
    struct iovec iov[] = {
        {writer->out, writer->out_size},
        {writer->index.data, writer->index.size},
        {writer->filter, writer->filter_size},
    };
    status = bc_io_write(writer->io, writer->fd, BC_HINT_TEMPORARY_NAME, iov, 3, writer->out_offset);
    if (status != BITCASK_OK) return status;
    uint8_t header[BC_HINT_HEADER_SIZE];
    encode_header(writer, writer->out_offset + writer->out_size - BC_HINT_HEADER_SIZE, header);
    struct iovec front = {header, sizeof header};
    return bc_io_write(writer->io, writer->fd, BC_HINT_TEMPORARY_NAME, &front, 1, 0);
}

bc_status bc_hint_writer_commit(struct bc_hint_writer **writer, uint64_t *bytes)
{
    struct bc_hint_writer *done = *writer;
    char name[16];
    bc_hint_name(done->head.segment_id, name);

    bc_status status = done->failed;
    if (status != BITCASK_OK) bc_fail(status, "%s: writing it failed", BC_HINT_TEMPORARY_NAME);
    if (status == BITCASK_OK) status = write_rest(done);
    if (status == BITCASK_OK) status = bc_io_close(done->io, &done->fd);
    /* A crash that lets the name reach the disk without the bytes leaves a hint that fails its check. */
    if (status == BITCASK_OK) status = bc_io_rename(done->io, done->at, BC_HINT_TEMPORARY_NAME, name);
    if (status != BITCASK_OK) {
        bc_hint_writer_abort(writer);
        return status;
    }
    if (bytes != NULL) *bytes = done->out_offset + done->out_size + done->index.size + done->filter_size;
    free_writer(writer);
    return BITCASK_OK;
}
