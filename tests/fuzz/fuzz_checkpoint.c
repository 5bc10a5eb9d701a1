/* fuzz_checkpoint.c - a checkpoint of any bytes, and the index that is made of it: refused, or usable to its end.
 *
 * With its checksums made right a checkpoint says what a forger wants. The index of it is walked both ways, each key
 * looked up, overwritten and removed: none of that may leave its blocks, and the order must hold.
 */
#include "fuzz.h"
#include "index/image.h"
#include "log/checkpoint.h"

#define KEYS_TRIED 64u

struct walk {
    uint32_t slot_count;
    bool descending;
    size_t count, kept;
    uint8_t last[255];
    size_t last_size;
    struct {
        uint8_t key[255];
        size_t size;
    } keys[KEYS_TRIED];
};

static bool visit(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct walk *walk = context;
    FUZZ_CHECK(key_size > 0 && key_size <= 255 && entry->slot < walk->slot_count);
    fuzz_touch(key, key_size);
    if (walk->count > 0) {
        int order = bc_key_compare(walk->last, walk->last_size, key, key_size);
        FUZZ_CHECK(walk->descending ? order > 0 : order < 0);
    }
    memcpy(walk->last, key, key_size);
    walk->last_size = key_size;
    walk->count++;
    if (walk->kept < KEYS_TRIED) {
        memcpy(walk->keys[walk->kept].key, key, key_size);
        walk->keys[walk->kept++].size = key_size;
    }
    return true;
}

static void use(struct bc_index *index, uint32_t slot_count)
{
    static struct walk up, down;
    struct bc_entry entry;
    bool had;
    up = (struct walk){.slot_count = slot_count};
    down = (struct walk){.slot_count = slot_count, .descending = true};
    FUZZ_CHECK(bc_index_walk(index, BC_SEEK_GE, "", 0, SIZE_MAX, visit, &up) == BITCASK_OK);
    FUZZ_CHECK(bc_index_walk(index, BC_SEEK_LE, "", 0, SIZE_MAX, visit, &down) == BITCASK_OK);
    FUZZ_CHECK(up.count == down.count);
    FUZZ_CHECK(up.count == bc_index_count(index));
    for (size_t i = 0; i < up.kept; i++) {
        /* The hashes may be forged: then a key that is listed is not found, and what is put makes it two. */
        if (bc_index_get(index, up.keys[i].key, up.keys[i].size, &entry) != BITCASK_OK) return;
        fuzz_touch(&entry, sizeof entry);
        entry.offset++;
        FUZZ_CHECK(bc_index_put(index, up.keys[i].key, up.keys[i].size, &entry, &had, NULL) == BITCASK_OK && had);
    }
    for (size_t i = 0; i < up.kept; i += 2)
        FUZZ_CHECK(bc_index_remove(index, up.keys[i].key, up.keys[i].size, &entry) == BITCASK_OK);
    up.count = 0;
    FUZZ_CHECK(bc_index_walk(index, BC_SEEK_GE, "", 0, SIZE_MAX, visit, &up) == BITCASK_OK);
    FUZZ_CHECK(up.count == bc_index_count(index));
}

/* As checkpoint_load.c does it. */
static void load(const struct bc_checkpoint *checkpoint)
{
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
    uint64_t size = bc_checkpoint_blocks_size(checkpoint), at = 0;
    struct bc_index *index = NULL;
    size_t head_size;
    const void *image_head = bc_checkpoint_image_head(checkpoint, &head_size);
    bc_status status = bc_image_open(image_head, head_size, &index);
    if (status != BITCASK_OK) return;
    FUZZ_CHECK(size <= bc_checkpoint_file_size(checkpoint));
    uint8_t *memory = size > 0 ? bc_image_alloc((size_t)size) : NULL;
    for (uint32_t i = 0; i < head->block_count && status == BITCASK_OK; i++) {
        uint8_t *block = memory + bc_checkpoint_block_at(checkpoint, i);
        status = bc_checkpoint_read_block(checkpoint, i, block);
        if (status == BITCASK_OK)
            status = bc_image_check(index, block, bc_checkpoint_block_size(checkpoint, i), head->slot_count);
    }
    for (uint32_t i = 0; i < head->block_count && status == BITCASK_OK; i++) {
        at = bc_checkpoint_block_at(checkpoint, i);
        status = bc_image_add(index, memory + at, bc_checkpoint_block_size(checkpoint, i));
        if (status == BITCASK_OK) at = i + 1 < head->block_count ? bc_checkpoint_block_at(checkpoint, i + 1) : size;
    }
    bc_image_free(memory + at, (size_t)(size - at));
    if (status == BITCASK_OK) status = bc_image_end(index);
    if (status == BITCASK_OK && bc_index_count(index) == head->keys) use(index, head->slot_count);
    bc_index_close(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file;
    struct bc_checkpoint *checkpoint = NULL;
    if (size == 0) return 0;
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & 1) fuzz_seal_checkpoint(bytes, size - 1);
    fuzz_file_init(&file, bytes, size - 1);
    if (bc_checkpoint_open(&file.io, 0, &checkpoint) == BITCASK_OK) {
        const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
        fuzz_touch(bc_checkpoint_slots(checkpoint), head->slot_count * sizeof(struct bc_checkpoint_slot));
        load(checkpoint);
        bc_checkpoint_close(&checkpoint);
    }
    FUZZ_CHECK(file.open == 0 && checkpoint == NULL);
    free(bytes);
    return 0;
}
