/* image.c - see image.h: shards as blocks of bytes.
 *
 * A block is laid out anew: entries in key order, without what is dead, and a table with some places to spare. Its
 * parts are those of a shard in memory, so a loaded one is used as it stands, where it stands:
 *
 *   head (struct block), places 4 each, order 2 each, and from a multiple of 64 on the chunks, whole ones
 *
 * Numbers are as the machine has them; a mark tells a machine of the other kind that it cannot use them. A checkpoint
 * is for the machine that wrote it: any other has the hints and the log.
 */
#include "index/image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "index/index_parts.h"

#define BLOCK_MARK 0x62634b31u
#define HEAD_MARK 0x62634831u

struct block {
    uint32_t mark;
    uint32_t place_count;
    uint32_t room;
    uint32_t used; /* all alive */
    uint32_t end;
    uint32_t chunk_count;
    uint32_t key_bytes;
    uint32_t chunks_at; /* offset in the block */
    uint8_t low_size;
    uint8_t low[255];
};

struct head {
    uint32_t mark;
    uint32_t class_count;
    uint64_t seed;
};

_Static_assert(sizeof(struct block) == 32 + 256 && sizeof(struct head) == 16, "no padding");

static size_t places_at(void)
{
    return sizeof(struct block);
}

static size_t order_at(uint32_t place_count)
{
    return places_at() + place_count * sizeof(uint32_t);
}

static size_t chunks_at(uint32_t place_count, uint32_t room)
{
    return (order_at(place_count) + room * sizeof(uint16_t) + 63) / 64 * 64;
}

void *bc_image_alloc(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) return NULL;
    (void)madvise(memory, size, MADV_HUGEPAGE); /* fewer faults while it is filled; without it they are more */
    return memory;
}

void bc_image_free(void *memory, size_t size)
{
    if (memory != NULL && size > 0) (void)munmap(memory, size);
}

/* ---- saving ---- */

/* Copies what a freshly built shard holds into a block behind out's end. */
static bc_status write_block(const struct bc_shard *shard, struct bc_buffer *out)
{
    struct block block = {.mark = BLOCK_MARK,
                          .place_count = shard->place_count,
                          .room = shard->room,
                          .used = atomic_load_explicit(&shard->used, memory_order_relaxed),
                          .end = shard->end,
                          .chunk_count = ((shard->end - 1) >> BC_CHUNK_SHIFT) + 1,
                          .key_bytes = shard->key_bytes,
                          .low_size = shard->low_size};
    size_t size;
    uint8_t *at;

    block.chunks_at = (uint32_t)chunks_at(block.place_count, block.room);
    size = block.chunks_at + (size_t)block.chunk_count * BC_CHUNK_SIZE;
    at = bc_buffer_extend(out, size);
    if (at == NULL) return bc_fail(BITCASK_NO_MEMORY, "no memory to save an index");
    memcpy(block.low, shard->low, shard->low_size);
    memset(at, 0, size);
    memcpy(at, &block, sizeof(block));
    memcpy(at + places_at(), (const void *)shard->places, block.place_count * sizeof(uint32_t));
    memcpy(at + order_at(block.place_count), shard->order, block.used * sizeof(uint16_t));
    for (uint32_t i = 0; i < block.chunk_count; i++) {
        uint32_t left = block.end - (i << BC_CHUNK_SHIFT);
        const uint8_t *chunk = atomic_load_explicit(&shard->chunks[i], memory_order_relaxed);
        memcpy(at + block.chunks_at + (size_t)i * BC_CHUNK_SIZE, chunk, left < BC_CHUNK_SIZE ? left : BC_CHUNK_SIZE);
    }
    out->size += size;
    return BITCASK_OK;
}

static void tell_each(const struct bc_index *index, const struct bc_entries *entries, uint32_t from, bc_image_each each,
                      void *context)
{
    for (uint32_t i = from; each != NULL && i < entries->count; i++) {
        struct bc_entry entry;
        bc_unpack(&index->classes, entries->packed[i], &entry);
        each(context, &entry, entries->packed[i][0]);
    }
}

/* The next shard's part from the cursor on, and the cursor moved behind it. *empty: there was nothing in it. */
static bc_status save_shard(struct bc_index *index, struct bc_image_cursor *cursor, struct bc_buffer *out,
                            bc_image_each each, void *context, bool *empty)
{
    struct bc_directory *directory = bc_index_directory(index);
    uint32_t at = cursor->begun ? bc_directory_find(directory, cursor->key, cursor->key_size) : 0, from = 0;
    struct bc_shard *shard = bc_directory_at(directory, at), *copy;
    struct bc_entries entries;
    bc_status status = bc_entries_gather(&shard, 1, &entries);

    if (status != BITCASK_OK) return status;
    /* Shards may have been joined since: what is before the cursor was saved already. */
    while (cursor->begun && from < entries.count &&
           bc_key_compare(entries.packed[from] + 2, entries.packed[from][0], cursor->key, cursor->key_size) < 0)
        from++;
    *empty = from == entries.count;
    if (!*empty) {
        copy = bc_build(index->seed, &entries, from, entries.count, cursor->key, cursor->key_size, 0, 0);
        status = copy != NULL ? write_block(copy, out) : bc_fail(BITCASK_NO_MEMORY, "no memory to save an index");
        bc_shard_close(copy);
        if (status == BITCASK_OK) tell_each(index, &entries, from, each, context);
    }
    bc_entries_release(&entries);
    if (status != BITCASK_OK) return status;
    cursor->begun = true;
    cursor->ended = at + 1 == directory->count;
    if (!cursor->ended) {
        const struct bc_shard *next = bc_directory_at(directory, at + 1);
        memcpy(cursor->key, next->low, next->low_size);
        cursor->key_size = next->low_size;
    }
    return BITCASK_OK;
}

bc_status bc_image_next(struct bc_index *index, struct bc_image_cursor *cursor, struct bc_buffer *out,
                        bc_image_each each, void *context)
{
    bool empty = true;
    bc_status status = BITCASK_OK;

    while (status == BITCASK_OK && empty) {
        if (cursor->ended) return BITCASK_NOT_FOUND;
        status = save_shard(index, cursor, out, each, context, &empty);
    }
    return status;
}

bc_status bc_image_head(const struct bc_index *index, struct bc_buffer *out)
{
    struct head head = {.mark = HEAD_MARK, .class_count = bc_class_count(&index->classes), .seed = index->seed};
    size_t classes_size = head.class_count * sizeof(struct bc_class);
    uint8_t *at = bc_buffer_extend(out, sizeof(head) + classes_size);

    if (at == NULL) return bc_fail(BITCASK_NO_MEMORY, "no memory to save an index");
    memcpy(at, &head, sizeof(head));
    for (uint32_t i = 0; i < head.class_count; i++) {
        struct bc_class class = bc_class_get(&index->classes, i);
        memcpy(at + sizeof(head) + i * sizeof(class), &class, sizeof(class));
    }
    out->size += sizeof(head) + classes_size;
    return BITCASK_OK;
}

/* ---- loading ---- */

static bc_status corrupt(const char *what)
{
    return bc_fail(BITCASK_CORRUPT, "a saved index makes no sense: %s", what);
}

bc_status bc_image_open(const void *bytes, size_t size, struct bc_index **index)
{
    const uint8_t *at = bytes;
    struct head head;
    bc_status status;

    *index = NULL;
    if (size < sizeof(head)) return corrupt("no head");
    memcpy(&head, at, sizeof(head));
    if (head.mark != HEAD_MARK) return corrupt("it is not of this kind of machine");
    if (head.class_count > BC_CLASSES_MAX || size != sizeof(head) + head.class_count * sizeof(struct bc_class))
        return corrupt("the number of classes");
    status = bc_index_open(head.seed, index);
    for (uint32_t i = 0; i < head.class_count && status == BITCASK_OK; i++) {
        struct bc_class class;
        memcpy(&class, at + sizeof(head) + i * sizeof(class), sizeof(class));
        uint32_t number = bc_class_number(&(*index)->classes, &class);
        /* There is room for as many as the head may say: what has no number lacks memory. */
        if (number == BC_CLASS_NONE)
            status = bc_fail(BITCASK_NO_MEMORY, "no memory for an index");
        else if (number != i)
            status = corrupt("a class stands twice");
    }
    if (status != BITCASK_OK) bc_index_close(index);
    return status;
}

/* Whether the head's numbers agree with one another and with the block's size. */
static bool head_is_sane(const struct block *block, size_t size)
{
    if (block->mark != BLOCK_MARK || block->room == 0 || block->room > BC_SHARD_ROOM_MAX) return false;
    if (block->place_count <= block->room || block->place_count > UINT16_MAX) return false;
    if (block->used == 0 || block->used > block->room) return false;
    if (block->chunk_count == 0 || block->chunk_count > BC_CHUNKS_MAX || block->end == 0) return false;
    if (block->end > block->chunk_count << BC_CHUNK_SHIFT) return false;
    if (block->chunks_at != chunks_at(block->place_count, block->room)) return false;
    return size == block->chunks_at + (size_t)block->chunk_count * BC_CHUNK_SIZE;
}

/* The packed entry in a place, or NULL where the place or what it refers to makes no sense. */
static const uint8_t *entry_in(const struct block *block, const uint8_t *bytes, uint32_t place, uint32_t class_count,
                               uint32_t slot_count)
{
    const uint32_t *places = (const uint32_t *)(const void *)(bytes + places_at());
    uint32_t word, ref, room;
    const uint8_t *packed;

    if (place >= block->place_count) return NULL;
    word = places[place];
    ref = word >> 8;
    if (word <= UINT8_MAX || ref >= block->end) return NULL;
    room = BC_CHUNK_SIZE - (ref & (BC_CHUNK_SIZE - 1));
    if (room > block->end - ref) room = block->end - ref;
    packed = bytes + block->chunks_at + ref;
    return bc_packed_is_sane(packed, room, class_count, slot_count) ? packed : NULL;
}

bc_status bc_image_check(const struct bc_index *index, const void *memory, size_t size, uint32_t slot_count)
{
    const uint8_t *bytes = memory, *last = NULL;
    const uint32_t *places = (const uint32_t *)(const void *)(bytes + places_at());
    uint32_t class_count = bc_class_count(&index->classes), filled = 0, key_bytes = 0;
    const uint16_t *order;
    struct block block;

    if (size < sizeof(block)) return corrupt("a block without a head");
    memcpy(&block, bytes, sizeof(block));
    if (!head_is_sane(&block, size)) return corrupt("the head of a block");
    for (uint32_t i = 0; i < block.place_count; i++) filled += places[i] != BC_PLACE_EMPTY;
    if (filled != block.used) return corrupt("the number of keys in a block");
    order = (const uint16_t *)(const void *)(bytes + order_at(block.place_count));
    for (uint32_t i = 0; i < block.used; i++) {
        const uint8_t *packed = entry_in(&block, bytes, order[i], class_count, slot_count);
        if (packed == NULL) return corrupt("an entry");
        /* Ascending, so that no place stands in the order twice, and with the count above none is missing. */
        if (last == NULL ? bc_key_compare(packed + 2, packed[0], block.low, block.low_size) < 0
                         : bc_key_compare(last + 2, last[0], packed + 2, packed[0]) >= 0)
            return corrupt("the order of keys");
        last = packed;
        key_bytes += packed[0];
    }
    return key_bytes == block.key_bytes ? BITCASK_OK : corrupt("the size of keys");
}

/* A shard whose parts stand in the block. NULL: out of memory. */
static struct bc_shard *shard_of(uint8_t *bytes, const struct block *block, size_t whole, bool first)
{
    size_t low_size = first ? 0 : block->low_size;
    uint32_t chunk_room = block->chunk_count + block->chunk_count / 4 + 4;
    struct bc_shard *shard = bc_index_realloc(NULL, sizeof(*shard) + low_size);

    if (shard == NULL) return NULL;
    memset(shard, 0, sizeof(*shard));
    shard->chunks = bc_index_realloc(NULL, chunk_room * sizeof(*shard->chunks));
    if (shard->chunks == NULL) {
        free(shard);
        return NULL;
    }
    shard->place_count = block->place_count;
    shard->room = block->room;
    shard->chunk_room = chunk_room;
    shard->chunk_count = block->chunk_count;
    shard->first_size = BC_CHUNK_SIZE;
    shard->end = block->end;
    shard->live = block->used;
    shard->key_bytes = block->key_bytes;
    shard->places = (_Atomic uint32_t *)(void *)(bytes + places_at());
    shard->order = (uint16_t *)(void *)(bytes + order_at(block->place_count));
    for (uint32_t i = 0; i < block->chunk_count; i++)
        atomic_init(&shard->chunks[i], bytes + block->chunks_at + (size_t)i * BC_CHUNK_SIZE);
    atomic_init(&shard->used, block->used);
    atomic_init(&shard->sorted, block->used);
    shard->image = bytes;
    shard->image_size = whole;
    shard->low_size = (uint8_t)low_size;
    memcpy(shard->low, block->low, low_size);
    shard->memory = sizeof(*shard) + low_size + chunk_room * sizeof(*shard->chunks) + whole;
    return shard;
}

/* Whether everything in the block stands behind everything in the shard. */
static bool is_behind(const struct bc_shard *shard, const struct block *block)
{
    const uint8_t *last =
        bc_shard_at(shard, shard->order[atomic_load_explicit(&shard->used, memory_order_relaxed) - 1]);

    return last != NULL && bc_key_compare(last + 2, last[0], block->low, block->low_size) < 0;
}

bc_status bc_image_add(struct bc_index *index, void *memory, size_t size)
{
    size_t whole = (size + BC_IMAGE_ALIGN - 1) / BC_IMAGE_ALIGN * BC_IMAGE_ALIGN;
    struct bc_shard *shard, **loaded;
    struct block block;

    memcpy(&block, memory, sizeof(block));
    if (index->loaded_count > 0 && !is_behind(index->loaded[index->loaded_count - 1], &block))
        return corrupt("the order of blocks");
    loaded = index->loaded;
    if (index->loaded_count == index->loaded_room) {
        size_t room = index->loaded_room == 0 ? 16 : index->loaded_room * 2;
        loaded = bc_index_realloc(loaded, room * sizeof(struct bc_shard *));
        if (loaded == NULL) return bc_fail(BITCASK_NO_MEMORY, "no memory for an index");
        index->loaded = loaded;
        index->loaded_room = room;
    }
    shard = shard_of(memory, &block, whole, index->loaded_count == 0);
    if (shard == NULL) return bc_fail(BITCASK_NO_MEMORY, "no memory for an index");
    loaded[index->loaded_count++] = shard;
    atomic_fetch_add_explicit(&index->count, block.used, memory_order_relaxed);
    atomic_fetch_add_explicit(&index->key_bytes, block.key_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&index->memory, bc_shard_memory(shard), memory_order_relaxed);
    return BITCASK_OK;
}

bc_status bc_image_end(struct bc_index *index)
{
    struct bc_directory *empty = bc_index_directory(index), *made;

    if (index->loaded_count == 0) return BITCASK_OK;
    made = bc_directory_open(index->loaded, (uint32_t)index->loaded_count);
    if (made == NULL) return bc_fail(BITCASK_NO_MEMORY, "no memory for an index");
    atomic_fetch_add_explicit(&index->memory,
                              bc_directory_memory(made) - bc_directory_memory(empty) -
                                  bc_shard_memory(bc_directory_at(empty, 0)),
                              memory_order_relaxed);
    atomic_store_explicit(&index->directory, made, memory_order_release);
    bc_shard_close(bc_directory_at(empty, 0));
    bc_directory_close(empty);
    free(index->loaded);
    index->loaded = NULL;
    index->loaded_count = index->loaded_room = 0;
    return BITCASK_OK;
}
