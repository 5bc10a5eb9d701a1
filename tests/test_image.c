/* test_image.c - an index as bytes and back: the same keys, also when it changes while it is saved; and hostile bytes.
 */
#include "unit.h"
#include "base/rcu.h"
#include "index/image.h"

enum { SLOTS = 5 };

/* A saved index: blocks one behind the other, each at a multiple of BC_IMAGE_ALIGN. */
struct saved {
    struct bc_buffer head, blocks;
    size_t at[4096], size[4096];
    size_t count;
};

struct sums {
    uint64_t keys, key_bytes, record_bytes;
};

static void add_up(void *context, const struct bc_entry *entry, size_t key_size)
{
    struct sums *sums = context;

    sums->keys++;
    sums->key_bytes += key_size;
    sums->record_bytes += entry->record_size;
}

static void pad(struct bc_buffer *buffer)
{
    size_t more = (BC_IMAGE_ALIGN - buffer->size % BC_IMAGE_ALIGN) % BC_IMAGE_ALIGN;

    CU_ASSERT_PTR_NOT_NULL_FATAL(bc_buffer_extend(buffer, more + 1));
    memset(buffer->data + buffer->size, 0, more);
    buffer->size += more;
}

/* Saves; calls between(context) after every block. */
static void save(struct bc_index *index, struct saved *saved, struct sums *sums, void (*between)(void *context),
                 void *context)
{
    struct bc_image_cursor cursor = {0};
    bc_status status;

    *saved = (struct saved){0};
    *sums = (struct sums){0};
    for (;;) {
        pad(&saved->blocks);
        saved->at[saved->count] = saved->blocks.size;
        status = bc_image_next(index, &cursor, &saved->blocks, add_up, sums);
        if (status != BITCASK_OK) break;
        saved->size[saved->count] = saved->blocks.size - saved->at[saved->count];
        saved->count++;
        if (between != NULL) between(context);
    }
    CU_ASSERT_EQUAL_FATAL(status, BITCASK_NOT_FOUND);
    CU_ASSERT_EQUAL_FATAL(bc_image_head(index, &saved->head), BITCASK_OK);
}

static void release(struct saved *saved)
{
    bc_buffer_release(&saved->head);
    bc_buffer_release(&saved->blocks);
}

/* Loads; the first status that is not OK. */
static bc_status load(const struct saved *saved, struct bc_index **index)
{
    size_t added = 0, size = saved->blocks.size + BC_IMAGE_ALIGN;
    uint8_t *memory = bc_image_alloc(size);
    bc_status status = bc_image_open(saved->head.data, saved->head.size, index);

    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    memcpy(memory, saved->blocks.data, saved->blocks.size);
    for (size_t i = 0; i < saved->count && status == BITCASK_OK; i++)
        status = bc_image_check(*index, memory + saved->at[i], saved->size[i], SLOTS);
    for (size_t i = 0; i < saved->count && status == BITCASK_OK; i++) {
        status = bc_image_add(*index, memory + saved->at[i], saved->size[i]);
        if (status == BITCASK_OK) added = i + 1 < saved->count ? saved->at[i + 1] : saved->blocks.size + BC_IMAGE_ALIGN;
    }
    if (status == BITCASK_OK) status = bc_image_end(*index);
    added = (added + BC_IMAGE_ALIGN - 1) / BC_IMAGE_ALIGN * BC_IMAGE_ALIGN;
    if (added < size) bc_image_free(memory + added, size - added);
    if (status != BITCASK_OK) bc_index_close(index);
    return status;
}

static size_t key_of(uint64_t i, uint8_t key[255])
{
    size_t size = 4 + i % 40;

    memset(key, 'k', size);
    for (int b = 0; b < 4; b++) key[b] = (uint8_t)(i * 2654435761u >> (24 - 8 * b));
    return size;
}

static struct bc_entry entry_of(uint64_t i, uint32_t round)
{
    struct bc_entry entry = {.slot = (uint32_t)(i % SLOTS), .offset = (uint32_t)i, .version = i << 8 | round};

    entry.value_size = (uint32_t)(i * 37 % 70000);
    entry.record_size = entry.value_size + 100;
    entry.attrs.present = (uint32_t)(i % (BITCASK_ATTR_XATTRS - 1));
    if (entry.attrs.present & BITCASK_ATTR_MODE) entry.attrs.mode = 0100600 + round;
    if (entry.attrs.present & BITCASK_ATTR_UID) entry.attrs.uid = (uint32_t)(i % 3);
    if (entry.attrs.present & BITCASK_ATTR_GID) entry.attrs.gid = 7;
    if (entry.attrs.present & BITCASK_ATTR_MTIME) entry.attrs.mtime_ns = -(int64_t)i;
    if (entry.attrs.present & BITCASK_ATTR_EXPIRY) entry.attrs.expiry_ns = (int64_t)i;
    if (i % 50 == 0) {
        entry.flags = BC_ENTRY_PARTITION;
        entry.child_id = i * 77;
    }
    return entry;
}

static void put(struct bc_index *index, uint64_t i, uint32_t round)
{
    struct bc_entry entry = entry_of(i, round);
    uint8_t key[255];
    size_t size = key_of(i, key);

    CU_ASSERT_EQUAL_FATAL(bc_index_put(index, key, size, &entry, NULL, NULL), BITCASK_OK);
}

static void drop(struct bc_index *index, uint64_t i)
{
    uint8_t key[255];
    size_t size = key_of(i, key);

    (void)bc_index_remove(index, key, size, NULL);
}

static bool same_entry(const struct bc_entry *a, const struct bc_entry *b)
{
    return a->slot == b->slot && a->offset == b->offset && a->record_size == b->record_size &&
           a->value_size == b->value_size && a->flags == b->flags && a->version == b->version &&
           a->child_id == b->child_id && a->attrs.present == b->attrs.present && a->attrs.mode == b->attrs.mode &&
           a->attrs.uid == b->attrs.uid && a->attrs.gid == b->attrs.gid && a->attrs.mtime_ns == b->attrs.mtime_ns &&
           a->attrs.expiry_ns == b->attrs.expiry_ns;
}

/* Two indexes, walked side by side. */
struct twin {
    const struct bc_index *other;
    uint8_t last[255];
    size_t last_size, seen, wrong;
};

static bool compare_twin(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct twin *twin = context;
    uint8_t found[255];
    size_t found_size = 0;
    struct bc_entry theirs;

    if (bc_index_seek(twin->other, BC_SEEK_GT, twin->last, twin->last_size, found, &found_size, &theirs) !=
            BITCASK_OK ||
        bc_key_compare(found, found_size, key, key_size) != 0 || !same_entry(entry, &theirs) ||
        bc_index_get(twin->other, key, key_size, &theirs) != BITCASK_OK || !same_entry(entry, &theirs))
        twin->wrong++;
    memcpy(twin->last, key, key_size);
    twin->last_size = key_size;
    twin->seen++;
    return true;
}

static void check_same(const struct bc_index *a, const struct bc_index *b)
{
    struct twin twin = {.other = b};

    CU_ASSERT_EQUAL(bc_index_count(a), bc_index_count(b));
    CU_ASSERT_EQUAL(bc_index_walk(a, BC_SEEK_GE, "", 0, SIZE_MAX, compare_twin, &twin), BITCASK_OK);
    CU_ASSERT_EQUAL(twin.seen, bc_index_count(a));
    CU_ASSERT_EQUAL(twin.wrong, 0);
}

static void what_is_loaded_equals_what_was_saved_and_can_be_changed(void)
{
    static const uint64_t counts[] = {0, 1, 7, 300, 9000, 60000};

    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct bc_index *index, *loaded;
        struct saved saved;
        struct sums sums;

        CU_ASSERT_EQUAL_FATAL(bc_index_open(99, &index), BITCASK_OK);
        for (uint64_t i = 0; i < counts[c]; i++) put(index, i, 0);
        for (uint64_t i = 0; i < counts[c]; i += 3) put(index, i, 1);
        for (uint64_t i = 1; i < counts[c]; i += 5) drop(index, i);
        save(index, &saved, &sums, NULL, NULL);
        CU_ASSERT_EQUAL(sums.keys, bc_index_count(index));
        CU_ASSERT_EQUAL_FATAL(load(&saved, &loaded), BITCASK_OK);
        check_same(index, loaded);
        for (uint64_t i = 0; i < counts[c] + 500; i += 2) put(loaded, i, 2), put(index, i, 2);
        for (uint64_t i = 0; i < counts[c]; i += 7) drop(loaded, i), drop(index, i);
        check_same(index, loaded);
        for (uint64_t i = 0; i < counts[c] + 500; i++) drop(loaded, i);
        CU_ASSERT_EQUAL(bc_index_count(loaded), 0);
        bc_index_close(&index);
        bc_index_close(&loaded);
        release(&saved);
    }
    bc_rcu_flush();
}

/* Changes made while it is saved, and made again in what was loaded, as a log is replayed. */
struct changes {
    struct bc_index *index;
    uint64_t rng, done[20000];
    size_t count;
};

static void change(struct changes *changes, struct bc_index *index, uint64_t what)
{
    (void)changes;
    if (what % 3 == 0)
        drop(index, what / 3 % 40000);
    else
        put(index, what / 3 % 40000, (uint32_t)(what >> 40 & 0xff));
}

static void change_some(void *context)
{
    struct changes *changes = context;

    for (int i = 0; i < 700 && changes->count < 20000; i++) {
        uint64_t what = unit_random(&changes->rng);
        changes->done[changes->count++] = what;
        change(changes, changes->index, what);
    }
}

static void changes_while_it_is_saved_are_mended_by_replaying_them(void)
{
    struct changes *changes = calloc(1, sizeof *changes);
    struct bc_index *loaded;
    struct saved saved;
    struct sums sums;

    changes->rng = unit_seed("replay");
    CU_ASSERT_EQUAL_FATAL(bc_index_open(5, &changes->index), BITCASK_OK);
    for (uint64_t i = 0; i < 40000; i++) put(changes->index, i, 0);
    save(changes->index, &saved, &sums, change_some, changes);
    CU_ASSERT(changes->count > 1000);
    CU_ASSERT_EQUAL_FATAL(load(&saved, &loaded), BITCASK_OK);
    CU_ASSERT_EQUAL(sums.keys, bc_index_count(loaded));
    for (size_t i = 0; i < changes->count; i++) change(changes, loaded, changes->done[i]);
    check_same(changes->index, loaded);
    bc_index_close(&changes->index);
    bc_index_close(&loaded);
    release(&saved);
    free(changes);
    bc_rcu_flush();
}

/* No checksum here: whatever the bytes are, nothing outside is touched (a sanitizer would tell), and nothing hangs. */
static void hostile_bytes_are_refused_or_harmless(void)
{
    uint64_t rng = unit_seed("hostile");
    struct bc_index *index, *loaded;
    struct saved saved;
    struct sums sums;
    size_t refused = 0;

    CU_ASSERT_EQUAL_FATAL(bc_index_open(1, &index), BITCASK_OK);
    for (uint64_t i = 0; i < 400; i++) put(index, i, 0);
    save(index, &saved, &sums, NULL, NULL);
    CU_ASSERT_EQUAL_FATAL(saved.count, 1);
    for (int i = 0; i < 20000; i++) {
        bool in_head = unit_random(&rng) % 10 == 0;
        size_t size = in_head ? saved.head.size : saved.size[0], at = (size_t)(unit_random(&rng) % size);
        uint8_t *byte = in_head ? saved.head.data + at : saved.blocks.data + at, before = *byte, key[255];
        struct bc_entry entry;

        *byte = (uint8_t)unit_random(&rng);
        if (load(&saved, &loaded) != BITCASK_OK) {
            refused++;
        } else {
            for (uint64_t k = 0; k < 500; k += 50) (void)bc_index_get(loaded, key, key_of(k, key), &entry);
            if (i % 100 == 0)
                for (uint64_t k = 0; k < 600; k++) put(loaded, k, 3);
            bc_index_close(&loaded);
        }
        *byte = before;
    }
    CU_ASSERT(refused > 1000);
    for (size_t size = 0; size < saved.size[0]; size += 97) {
        CU_ASSERT_EQUAL_FATAL(bc_image_open(saved.head.data, saved.head.size, &loaded), BITCASK_OK);
        CU_ASSERT_EQUAL(bc_image_check(loaded, saved.blocks.data, size, SLOTS), BITCASK_CORRUPT);
        bc_index_close(&loaded);
    }
    CU_ASSERT_EQUAL_FATAL(bc_image_open(saved.head.data, saved.head.size, &loaded), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_image_check(loaded, saved.blocks.data, saved.size[0], SLOTS - 1), BITCASK_CORRUPT);
    bc_index_close(&loaded);
    bc_index_close(&index);
    release(&saved);
    bc_rcu_flush();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"what is loaded equals what was saved and can be changed",
         what_is_loaded_equals_what_was_saved_and_can_be_changed},
        {"changes while it is saved are mended by replaying them",
         changes_while_it_is_saved_are_mended_by_replaying_them},
        {"hostile bytes are refused or harmless", hostile_bytes_are_refused_or_harmless},
        CU_TEST_INFO_NULL,
    };
    return unit_run("image", tests);
}
