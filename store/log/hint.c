/* hint.c - reading a hint: opening it, looking a key up, walking all keys.
 *
 * Holds what a struct bc_hint needs of its file: head, filter, and where each block begins and with which key. It may
 * assume nothing of the bytes: every size is held against the file's before memory is asked for, every check is made
 * before what it covers is used, and an entry that passes it is still held to the limits of its block and of the data
 * file, since a check proves that bytes are as they were written and not who wrote them.
 *
 * Invariant: an entry that was handed out stood in a block that verified, with a key that its hash confirms, and its
 * record lies within head.data_size bytes of data.
 */
#include "log/hint_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "log/bloom.h"

#define READ_AHEAD ((size_t)128 << 10)

_Static_assert(READ_AHEAD >= BC_HINT_BLOCK_MAX, "a block fits what is read at once");

struct block {
    uint64_t offset; /* in the file; the next one's is its end */
    uint32_t key_at; /* of its first key, in index; the byte in front of it is the key's size */
};

struct bc_hint {
    struct bc_io *io; /* not owned */
    int fd;
    char name[16];
    struct bc_hint_head head;
    uint64_t file_size;
    uint64_t entries_size;
    size_t index_size;
    size_t filter_size;
    uint32_t block_count;
    struct block *blocks; /* block_count, and one that begins where the last ends */
    uint8_t *index;       /* as it stands in the file */
    uint8_t *filter;      /* behind it in the same memory */
};

struct bc_hint_cursor {
    const struct bc_hint *hint; /* not owned */
    uint32_t block;             /* the one being walked, once walk.next is set */
    uint32_t loaded_from;       /* blocks in data: from this one, up to loaded_to */
    uint32_t loaded_to;
    bool broken;              /* by an entry that was none: those behind it lean on it */
    uint64_t keys;            /* handed out */
    uint64_t tombstone_bytes; /* of these */
    struct walk {
        const uint8_t *next; /* NULL: no block was begun */
        const uint8_t *end;
        uint8_t *key; /* of the last entry; room for BC_HINT_KEY_MAX */
        size_t key_size;
        uint64_t version;
        const uint8_t *attrs;
        size_t attrs_size;
        uint32_t key_hash;
    } walk;
    uint8_t key[BC_HINT_KEY_MAX];
    uint8_t data[]; /* room for READ_AHEAD, or all blocks if these are less */
};

void bc_hint_name(uint32_t segment_id, char name[16])
{
    snprintf(name, 16, "%06" PRIu32 ".hint", segment_id);
}

bool bc_hint_parse_name(const char *name, uint32_t *segment_id)
{
    uint64_t id = 0;
    for (const char *p = name; *p >= '0' && *p <= '9'; p++) {
        id = id * 10 + (uint64_t)(*p - '0');
        if (id > UINT32_MAX) return false;
    }
    /* One id has one name, as of segments. */
    char expected[16];
    bc_hint_name((uint32_t)id, expected);
    if (strcmp(name, expected) != 0) return false;
    *segment_id = (uint32_t)id;
    return true;
}

/* ---- opening ---- */

static bc_status corrupt(const struct bc_hint *hint, const char *what)
{
    return bc_fail(BITCASK_CORRUPT, "%s: %s", hint->name, what);
}

/* Whether the sizes in the header can be those of a hint of such a head, and of this file. */
static bc_status check_sizes(const struct bc_hint *hint, uint64_t index_size, uint64_t filter_size)
{
    const struct bc_hint_head *head = &hint->head;
    uint64_t left = hint->file_size - BC_HINT_HEADER_SIZE;
    if (hint->entries_size > left || index_size > left - hint->entries_size ||
        filter_size > left - hint->entries_size - index_size)
        return corrupt(hint, "cut short");
    if (hint->entries_size + index_size + filter_size != left) return corrupt(hint, "longer than its header says");
    if (index_size > UINT32_MAX || left > SIZE_MAX / 2 || filter_size < 8 || filter_size % 8 != 0)
        return corrupt(hint, "header: bad sizes");
    /* Callers make room for so many keys, and we for as many blocks at most. */
    if (head->keys > hint->entries_size / BC_HINT_ENTRY_MIN || head->keys > head->data_size / BC_HINT_RECORD_MIN ||
        head->keys < hint->block_count || head->tombstone_bytes > head->data_size)
        return corrupt(hint, "header: bad number of keys");
    return BITCASK_OK;
}

/* Whether the hint stands for the data that the caller has. */
static bc_status check_match(const struct bc_hint *hint, const struct bc_hint_head *wanted, bool exact)
{
    const struct bc_hint_head *head = &hint->head;
    if (head->segment_id != wanted->segment_id)
        return bc_fail(BITCASK_CORRUPT, "%s: of segment %" PRIu32 ", not %" PRIu32, hint->name, head->segment_id,
                       wanted->segment_id);
    if (head->generation != wanted->generation)
        return bc_fail(BITCASK_CORRUPT, "%s: of a data file of generation %016" PRIx64 ", not %016" PRIx64, hint->name,
                       head->generation, wanted->generation);
    if (exact ? head->data_size != wanted->data_size : head->data_size > wanted->data_size)
        return bc_fail(BITCASK_CORRUPT, "%s: of %" PRIu64 " bytes of data, where there are %" PRIu64, hint->name,
                       head->data_size, wanted->data_size);
    return BITCASK_OK;
}

/* Takes the header over: all of the head, and the sizes of the areas behind it. */
static bc_status decode_header(struct bc_hint *hint, const uint8_t *data, size_t available, uint64_t *index_size,
                               uint64_t *filter_size)
{
    size_t magic_size = available < BC_HINT_MAGIC_SIZE ? available : BC_HINT_MAGIC_SIZE;
    if (available == 0) return corrupt(hint, "header: empty file");
    if (memcmp(data, BC_SEGMENT_MAGIC, magic_size) != 0) return corrupt(hint, "header: not a hint file");
    if (available < BC_HINT_HEADER_SIZE) return corrupt(hint, "header: cut short");
    unsigned format = bc_get_u16(data + BC_HINT_AT_FORMAT);
    if (format > BC_FORMAT_VERSION)
        return bc_fail(BITCASK_CORRUPT, "%s: header: format %u is newer than this version of bitcask reads (%u)",
                       hint->name, format, BC_FORMAT_VERSION);
    if (bc_get_u32(data + BC_HINT_AT_HEADER_CRC) != bc_crc32c(0, data, BC_HINT_AT_HEADER_CRC))
        return corrupt(hint, "header: checksum does not match");
    if (format != BC_FORMAT_VERSION || bc_get_u16(data + BC_HINT_AT_KIND) != BC_KIND_HINT ||
        bc_get_u32(data + BC_HINT_AT_HEADER_SIZE) != BC_HINT_HEADER_SIZE)
        return corrupt(hint, "header: not a hint file");

    hint->head = (struct bc_hint_head){
        .segment_id = bc_get_u32(data + BC_HINT_AT_SEGMENT_ID),
        .generation = bc_get_u64(data + BC_HINT_AT_GENERATION),
        .data_size = bc_get_u64(data + BC_HINT_AT_DATA_SIZE),
        .last_version = bc_get_u64(data + BC_HINT_AT_LAST_VERSION),
        .salt = bc_get_u64(data + BC_HINT_AT_SALT),
        .keys = bc_get_u64(data + BC_HINT_AT_KEYS),
        .tombstone_bytes = bc_get_u64(data + BC_HINT_AT_TOMBSTONE_BYTES),
    };
    /* Entries have none above it. */
    if (hint->head.last_version > BC_VERSION_MAX) return corrupt(hint, "header: a version that nothing could follow");
    hint->block_count = bc_get_u32(data + BC_HINT_AT_BLOCKS);
    hint->entries_size = bc_get_u64(data + BC_HINT_AT_ENTRIES_SIZE);
    *index_size = bc_get_u64(data + BC_HINT_AT_INDEX_SIZE);
    *filter_size = bc_get_u64(data + BC_HINT_AT_FILTER_SIZE);
    return BITCASK_OK;
}

/* Orders keys as memcmp does, a shorter one before those that it begins. */
static int compare_keys(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* The first key of a block. */
static const uint8_t *first_key(const struct bc_hint *hint, uint32_t block, size_t *size)
{
    const uint8_t *key = hint->index + hint->blocks[block].key_at;
    *size = key[-1];
    return key;
}

/* Finds the blocks in the index, whose check was made. */
static bc_status decode_index(struct bc_hint *hint)
{
    const uint8_t *next = hint->index;
    const uint8_t *end = hint->index + hint->index_size;
    uint64_t offset = BC_HINT_HEADER_SIZE;
    uint64_t entries_end = BC_HINT_HEADER_SIZE + hint->entries_size;
    for (uint32_t i = 0; i < hint->block_count; i++) {
        uint64_t size = 0;
        if (!bc_hint_take_varint(&next, end, BC_HINT_BLOCK_MAX, &size) || next == end || *next == 0 ||
            *next >= end - next)
            return corrupt(hint, "block index: bad length");
        if (size < BC_HINT_ENTRY_MIN + BC_HINT_CRC_SIZE || size > entries_end - offset)
            return corrupt(hint, "block index: bad size of a block");
        size_t key_size = *next++;
        hint->blocks[i] = (struct block){offset, (uint32_t)(next - hint->index)};
        if (i > 0) {
            size_t before_size = 0;
            const uint8_t *before = first_key(hint, i - 1, &before_size);
            if (compare_keys(before, before_size, next, key_size) >= 0)
                return corrupt(hint, "block index: keys out of order");
        }
        next += key_size;
        offset += size;
    }
    hint->blocks[hint->block_count] = (struct block){.offset = offset};
    if (next != end || offset != entries_end) return corrupt(hint, "block index: not of these blocks");
    return BITCASK_OK;
}

/* Reads what follows the entries: block index and filter, in one piece. */
static bc_status read_tail(struct bc_hint *hint, uint32_t index_crc, uint32_t filter_crc)
{
    size_t size = hint->index_size + hint->filter_size;
    size_t got = 0;
    hint->index = malloc(size);
    hint->blocks = calloc((size_t)hint->block_count + 1, sizeof *hint->blocks);
    if (hint->index == NULL || hint->blocks == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", hint->name);
    hint->filter = hint->index + hint->index_size;
    bc_status status =
        bc_io_read(hint->io, hint->fd, hint->name, hint->index, size, BC_HINT_HEADER_SIZE + hint->entries_size, &got);
    if (status != BITCASK_OK) return status;
    if (got != size) return corrupt(hint, "cut short");
    if (bc_crc32c(0, hint->index, hint->index_size) != index_crc)
        return corrupt(hint, "block index: checksum does not match");
    if (bc_crc32c(0, hint->filter, hint->filter_size) != filter_crc)
        return corrupt(hint, "filter: checksum does not match");
    return decode_index(hint);
}

/* Reads and checks the header of the file that hint->fd names. */
static bc_status read_header(struct bc_hint *hint, uint8_t header[BC_HINT_HEADER_SIZE], uint64_t *index_size,
                             uint64_t *filter_size)
{
    struct bc_file_info info;
    size_t got = 0;

    bc_status status = bc_io_info(hint->io, hint->fd, hint->name, &info);
    if (status != BITCASK_OK) return status;
    if (!info.is_regular) return corrupt(hint, "not a hint file (not a regular file)");
    hint->file_size = info.size;
    status = bc_io_read(hint->io, hint->fd, hint->name, header,
                        info.size < BC_HINT_HEADER_SIZE ? (size_t)info.size : BC_HINT_HEADER_SIZE, 0, &got);
    if (status != BITCASK_OK) return status;
    return decode_header(hint, header, got, index_size, filter_size);
}

/* Reads and checks all but the entries of the file that hint->fd names. */
static bc_status load(struct bc_hint *hint, const struct bc_hint_head *wanted, bool exact)
{
    uint8_t header[BC_HINT_HEADER_SIZE];
    uint64_t index_size = 0, filter_size = 0;

    bc_status status = read_header(hint, header, &index_size, &filter_size);
    if (status != BITCASK_OK) return status;
    status = check_match(hint, wanted, exact);
    if (status != BITCASK_OK) return status;
    status = check_sizes(hint, index_size, filter_size);
    if (status != BITCASK_OK) return status;
    hint->index_size = (size_t)index_size;
    hint->filter_size = (size_t)filter_size;
    return read_tail(hint, bc_get_u32(header + BC_HINT_AT_INDEX_CRC), bc_get_u32(header + BC_HINT_AT_FILTER_CRC));
}

/* Opens the file; nothing of it is read. */
static bc_status open_file(struct bc_io *io, int at, uint32_t segment_id, struct bc_hint **hint)
{
    struct bc_hint *made = calloc(1, sizeof *made);
    char name[16];
    bc_hint_name(segment_id, name);
    if (made == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", name);
    made->io = io;
    memcpy(made->name, name, sizeof name);

    bc_status status = bc_io_open(io, at, name, BC_OPEN_READ, &made->fd);
    if (status != BITCASK_OK) bc_hint_close(&made);
    *hint = made;
    return status;
}

bc_status bc_hint_open(struct bc_io *io, int at, const struct bc_hint_head *wanted, bool exact, struct bc_hint **hint)
{
    struct bc_hint *made = NULL;
    bc_status status = open_file(io, at, wanted->segment_id, &made);
    if (status == BITCASK_OK) status = load(made, wanted, exact);
    if (status != BITCASK_OK) {
        bc_hint_close(&made);
        return status;
    }
    *hint = made;
    return BITCASK_OK;
}

bc_status bc_hint_read_head(struct bc_io *io, int at, uint32_t segment_id, struct bc_hint_head *head)
{
    struct bc_hint *hint = NULL;
    uint8_t header[BC_HINT_HEADER_SIZE];
    uint64_t index_size = 0, filter_size = 0;
    bc_status status = open_file(io, at, segment_id, &hint);
    if (status == BITCASK_OK) status = read_header(hint, header, &index_size, &filter_size);
    if (status == BITCASK_OK && hint->head.segment_id != segment_id)
        status = bc_fail(BITCASK_CORRUPT, "%s: of segment %" PRIu32, hint->name, hint->head.segment_id);
    if (status == BITCASK_OK) *head = hint->head;
    bc_hint_close(&hint);
    return status;
}

void bc_hint_close(struct bc_hint **hint)
{
    struct bc_hint *gone = *hint;
    *hint = NULL;
    if (gone == NULL) return;
    /* Nothing was written, and the detail line of a failed open is to stay. */
    if (gone->fd >= 0) gone->io->ops->close(gone->io, gone->fd);
    free(gone->index);
    free(gone->blocks);
    free(gone);
}

bool bc_hint_looks_whole(struct bc_io *io, int at, const struct bc_hint_head *wanted)
{
    struct bc_hint *hint = NULL;
    uint8_t header[BC_HINT_HEADER_SIZE];
    uint64_t index_size = 0, filter_size = 0;
    bc_status status = open_file(io, at, wanted->segment_id, &hint);
    if (status == BITCASK_OK) status = read_header(hint, header, &index_size, &filter_size);
    if (status == BITCASK_OK) status = check_match(hint, wanted, true);
    if (status == BITCASK_OK) status = check_sizes(hint, index_size, filter_size);
    bc_hint_close(&hint);
    return status == BITCASK_OK;
}

const struct bc_hint_head *bc_hint_head(const struct bc_hint *hint)
{
    return &hint->head;
}

uint64_t bc_hint_file_size(const struct bc_hint *hint)
{
    return hint->file_size;
}

size_t bc_hint_memory(const struct bc_hint *hint)
{
    return sizeof *hint + hint->index_size + hint->filter_size + ((size_t)hint->block_count + 1) * sizeof(struct block);
}

bool bc_hint_may_contain(const struct bc_hint *hint, uint64_t hash)
{
    return bc_bloom_may_contain(hint->filter, hint->filter_size, hash);
}

/* ---- the entries of a block ---- */

/* Begins a walk over a block, which stands at data and is checked here. */
static bc_status walk_begin(const struct bc_hint *hint, uint32_t block, const uint8_t *data, struct walk *walk)
{
    uint64_t offset = hint->blocks[block].offset;
    size_t size = (size_t)(hint->blocks[block + 1].offset - offset) - BC_HINT_CRC_SIZE;
    if (bc_get_u32(data + size) != bc_hint_block_crc(&hint->head, offset, data, size))
        return bc_fail(BITCASK_CORRUPT, "%s: block at offset %" PRIu64 ": checksum does not match", hint->name, offset);
    walk->next = data;
    walk->end = data + size;
    walk->key_size = 0;
    walk->version = hint->head.last_version;
    return BITCASK_OK;
}

/* Whether the record that the entry names can be where and what it says. */
static bool record_possible(const struct bc_hint_head *head, const struct bc_hint_entry *entry, uint64_t record_size)
{
    return entry->offset >= 1 && record_size <= UINT32_MAX &&
           record_size >= BC_RECORD_HEAD_SIZE + entry->key_size + (uint64_t)entry->value_size &&
           entry->offset + record_size <= head->data_size && entry->version <= head->last_version &&
           ((entry->flags & BC_HINT_TOMBSTONE) == 0 || entry->value_size == 0);
}

/* Takes the next entry but for its attributes, which walk then points at. Call it only in front of the end. False:
 * there is none that can be one. */
static bool walk_step(const struct bc_hint_head *head, struct walk *walk, struct bc_hint_entry *entry)
{
    const uint8_t *next = walk->next;
    if (walk->end - next < BC_HINT_ENTRY_FIXED) return false;
    size_t shared = next[BC_HINT_AT_SHARED];
    size_t rest = next[BC_HINT_AT_REST];
    unsigned flags = next[BC_HINT_AT_FLAGS];
    if (shared > walk->key_size || rest == 0 || shared + rest > BC_HINT_KEY_MAX) return false;
    if ((flags & ~(unsigned)BC_HINT_KNOWN) != 0) return false;
    walk->key_hash = bc_get_u32(next + BC_HINT_AT_KEY_HASH);
    *entry = (struct bc_hint_entry){
        .key = walk->key,
        .key_size = shared + rest,
        .offset = bc_get_u32(next + BC_HINT_AT_OFFSET),
        .flags = (uint16_t)(flags & BC_HINT_PUBLIC),
    };
    next += BC_HINT_ENTRY_FIXED;

    uint64_t value_size = 0, delta = 0, record_size = 0, attrs_size = 0;
    if (!bc_hint_take_varint(&next, walk->end, UINT32_MAX, &value_size)) return false;
    if (!bc_hint_take_varint(&next, walk->end, UINT64_MAX, &delta)) return false;
    if ((flags & BC_HINT_SIZED) != 0 && !bc_hint_take_varint(&next, walk->end, UINT32_MAX, &record_size)) return false;
    if ((flags & BC_HINT_ATTRS) != 0 && !bc_hint_take_varint(&next, walk->end, BC_HINT_ATTRS_MAX, &attrs_size))
        return false;
    size_t child_size = (flags & BC_HINT_CHILD) != 0 ? 8 : 0;
    if ((size_t)(walk->end - next) < rest + attrs_size + child_size) return false;
    if ((flags & BC_HINT_SIZED) == 0) record_size = BC_RECORD_HEAD_SIZE + entry->key_size + attrs_size + value_size;
    entry->value_size = (uint32_t)value_size;
    entry->version = bc_hint_version_apply(walk->version, delta);
    if (!record_possible(head, entry, record_size)) return false;
    entry->record_size = (uint32_t)record_size;

    /* Ascending: it goes on behind the last key, or differs from it in a larger byte. */
    if (shared < walk->key_size && next[0] <= walk->key[shared]) return false;
    memcpy(walk->key + shared, next, rest);
    walk->key_size = entry->key_size;
    walk->version = entry->version;
    walk->attrs = next + rest;
    walk->attrs_size = (size_t)attrs_size;
    if (child_size > 0) entry->child_id = bc_get_u64(walk->attrs + attrs_size);
    walk->next = walk->attrs + attrs_size + child_size;
    return true;
}

/* Completes the entry that walk stands on: its attributes, and whether its key is the one that was written. */
static bool walk_finish(const struct walk *walk, struct bc_hint_entry *entry)
{
    if (walk->key_hash != (uint32_t)XXH3_64bits(walk->key, walk->key_size)) return false;
    if (walk->attrs_size == 0) return true;
    return bc_attrs_decode(walk->attrs, walk->attrs_size, &entry->attrs) == BITCASK_OK &&
           (entry->attrs.present & BITCASK_ATTR_XATTRS) == 0;
}

static bc_status bad_entry(const struct bc_hint *hint, uint32_t block)
{
    return bc_fail(BITCASK_CORRUPT, "%s: block at offset %" PRIu64 ": bad entry", hint->name,
                   hint->blocks[block].offset);
}

/* ---- looking a key up ---- */

/* The block that would hold key: the last that does not begin behind it. False: all do. */
static bool find_block(const struct bc_hint *hint, const uint8_t *key, size_t key_size, uint32_t *block)
{
    /* Blocks in front of low begin at or before key, those from high on behind it. */
    uint32_t low = 0, high = hint->block_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        size_t size = 0;
        const uint8_t *first = first_key(hint, middle, &size);
        if (compare_keys(first, size, key, key_size) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return false;
    *block = low - 1;
    return true;
}

bc_status bc_hint_find(const struct bc_hint *hint, const void *key, size_t key_size, struct bc_buffer *buffer,
                       struct bc_hint_entry *entry)
{
    uint32_t block = 0;
    size_t got = 0;
    if (!find_block(hint, key, key_size, &block)) return BITCASK_NOT_FOUND;
    size_t size = (size_t)(hint->blocks[block + 1].offset - hint->blocks[block].offset);

    bc_buffer_reset(buffer);
    uint8_t *data = bc_buffer_extend(buffer, size + BC_HINT_KEY_MAX);
    if (data == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", hint->name);
    bc_status status = bc_io_read(hint->io, hint->fd, hint->name, data, size, hint->blocks[block].offset, &got);
    if (status != BITCASK_OK) return status;
    if (got != size) return corrupt(hint, "cut short");
    struct walk walk = {.key = data + size};
    status = walk_begin(hint, block, data, &walk);
    if (status != BITCASK_OK) return status;

    while (walk.next < walk.end) {
        if (!walk_step(&hint->head, &walk, entry)) return bad_entry(hint, block);
        int order = compare_keys(walk.key, walk.key_size, key, key_size);
        if (order > 0) break;
        if (order == 0) return walk_finish(&walk, entry) ? BITCASK_OK : bad_entry(hint, block);
    }
    return BITCASK_NOT_FOUND;
}

/* ---- walking all keys ---- */

bc_status bc_hint_cursor_open(const struct bc_hint *hint, struct bc_hint_cursor **cursor)
{
    size_t room = hint->entries_size < READ_AHEAD ? (size_t)hint->entries_size : READ_AHEAD;
    struct bc_hint_cursor *made = malloc(sizeof *made + room);
    if (made == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", hint->name);
    *made = (struct bc_hint_cursor){.hint = hint};
    made->walk.key = made->key;
    *cursor = made;
    return BITCASK_OK;
}

void bc_hint_cursor_close(struct bc_hint_cursor **cursor)
{
    free(*cursor);
    *cursor = NULL;
}

static bc_status bad_count(const struct bc_hint *hint)
{
    return corrupt(hint, "its entries are not those that its header counts");
}

/* Reads blocks from this one on, as many as fit. */
static bc_status read_blocks(struct bc_hint_cursor *cursor, uint32_t from)
{
    const struct bc_hint *hint = cursor->hint;
    uint64_t offset = hint->blocks[from].offset;
    uint32_t to = from + 1;
    while (to < hint->block_count && hint->blocks[to + 1].offset - offset <= READ_AHEAD) to++;
    size_t size = (size_t)(hint->blocks[to].offset - offset);
    size_t got = 0;
    bc_status status = bc_io_read(hint->io, hint->fd, hint->name, cursor->data, size, offset, &got);
    if (status != BITCASK_OK) return status;
    if (got != size) return corrupt(hint, "cut short");
    cursor->loaded_from = from;
    cursor->loaded_to = to;
    return BITCASK_OK;
}

/* Goes to the next block; NOT_FOUND behind the last one. After a failure it can be called again. */
static bc_status next_block(struct bc_hint_cursor *cursor)
{
    const struct bc_hint *hint = cursor->hint;
    uint32_t block = cursor->walk.next == NULL ? 0 : cursor->block + 1;
    if (block >= hint->block_count) {
        bool counted = cursor->keys == hint->head.keys && cursor->tombstone_bytes == hint->head.tombstone_bytes;
        return counted ? BITCASK_NOT_FOUND : bad_count(hint);
    }
    size_t key_size = 0;
    const uint8_t *key = first_key(hint, block, &key_size);
    if (compare_keys(cursor->key, cursor->walk.key_size, key, key_size) >= 0)
        return corrupt(hint, "blocks out of order");
    if (block < cursor->loaded_from || block >= cursor->loaded_to) {
        bc_status status = read_blocks(cursor, block);
        if (status != BITCASK_OK) return status;
    }
    const uint8_t *data = cursor->data + (hint->blocks[block].offset - hint->blocks[cursor->loaded_from].offset);
    bc_status status = walk_begin(hint, block, data, &cursor->walk);
    if (status == BITCASK_OK) cursor->block = block;
    return status;
}

/* Whether the cursor stands on the first entry of its block, and not with the key that the index gives it. */
static bool wrong_first(const struct bc_hint_cursor *cursor, bool first)
{
    size_t size = 0;
    const uint8_t *key = first_key(cursor->hint, cursor->block, &size);
    return first && compare_keys(cursor->walk.key, cursor->walk.key_size, key, size) != 0;
}

bc_status bc_hint_cursor_next(struct bc_hint_cursor *cursor, struct bc_hint_entry *entry)
{
    struct walk *walk = &cursor->walk;
    if (cursor->broken) return bad_entry(cursor->hint, cursor->block);
    bool first = walk->next == walk->end; /* both are NULL at the beginning */
    if (first) {
        bc_status status = next_block(cursor);
        if (status != BITCASK_OK) return status;
    }
    /* Before it is handed out: the caller may have made room for so many. */
    if (cursor->keys == cursor->hint->head.keys) return bad_count(cursor->hint);
    if (!walk_step(&cursor->hint->head, walk, entry) || wrong_first(cursor, first) || !walk_finish(walk, entry)) {
        cursor->broken = true;
        return bad_entry(cursor->hint, cursor->block);
    }
    cursor->keys++;
    if ((entry->flags & BC_HINT_TOMBSTONE) != 0) cursor->tombstone_bytes += entry->record_size;
    return BITCASK_OK;
}
