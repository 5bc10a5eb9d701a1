/* test_index.c - the index against a sorted array, out of memory, at a million keys, and emptied again. */
#include "unit.h"

#include "index/memory.h"
#include "index/index_parts.h"

/* ---- memory that runs out: stands in for the library's weak function ---- */

static size_t allocations_left = SIZE_MAX; /* until they fail */

void *bc_index_realloc(void *memory, size_t size)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left != SIZE_MAX) allocations_left--;
    return realloc(memory, size);
}

/* ---- the model: keys and entries in a sorted array ---- */

struct item {
    uint8_t key[255];
    size_t size;
    struct bc_entry entry;
};

struct world {
    struct bc_index *index;
    struct item **items;
    size_t count;
    size_t room;
    uint64_t rng;
};

static int compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    for (size_t i = 0; i < a_size && i < b_size; i++) {
        int difference = ((const uint8_t *)a)[i] - ((const uint8_t *)b)[i];
        if (difference != 0) return difference;
    }
    return (a_size > b_size) - (a_size < b_size);
}

static const void *any_key(const void *context, size_t i, size_t *key_size)
{
    static const uint8_t longest[255] = {1};

    (void)context, (void)i;
    *key_size = 100;
    return longest;
}

static bc_status prepare_any(struct bc_index *index, size_t count)
{
    return bc_index_prepare(index, count, any_key, NULL);
}

static void world_open(struct world *world, const char *test)
{
    *world = (struct world){.rng = unit_seed(test)};
    CU_ASSERT_EQUAL_FATAL(bc_index_open(0, &world->index), BITCASK_OK);
}

static void world_close(struct world *world)
{
    allocations_left = SIZE_MAX;
    bc_index_close(&world->index);
    CU_ASSERT_PTR_NULL(world->index);
    for (size_t i = 0; i < world->count; i++) free(world->items[i]);
    free(world->items);
}

/* Where key stands, or would. */
static size_t model_at(const struct world *world, const void *key, size_t size, bool *there)
{
    size_t low = 0, high = world->count;

    *there = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(world->items[middle]->key, world->items[middle]->size, key, size);
        if (order == 0) *there = true;
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t below(struct world *world, uint64_t bound)
{
    return unit_random(&world->rng) % bound;
}

/* Keys that collide, share long prefixes, hold NUL and 0xff, and have every size. */
static size_t random_key(struct world *world, uint8_t key[255])
{
    static const uint8_t few[] = {0x00, 0xff, 'a', 'b', 0x01, 0x7f, 0x80, 0xfe};
    size_t size, varied;

    switch (below(world, 5)) {
    case 0: size = varied = 1 + below(world, 4); break;
    case 1: size = 255, varied = 4; break;
    case 2: size = 240 + below(world, 16), varied = 2; break;
    case 3: size = 8 + below(world, 4), varied = 3; break;
    default: size = 1 + below(world, 255), varied = size < 3 ? size : 3; break;
    }
    memset(key, 'p', size);
    for (size_t i = size - varied; i < size; i++) key[i] = few[below(world, sizeof few)];
    if (size == 1) key[0] = (uint8_t)unit_random(&world->rng);
    return size;
}

/* An entry with every member set, whatever is said to be present. */
static struct bc_entry random_entry(struct world *world)
{
    struct bc_entry entry = {0};
    bitcask_attrs *attrs = &entry.attrs;

    entry.slot = (uint32_t)unit_random(&world->rng);
    entry.offset = (uint32_t)unit_random(&world->rng);
    entry.record_size = (uint32_t)unit_random(&world->rng);
    entry.value_size = (uint32_t)unit_random(&world->rng);
    entry.flags = (uint16_t)below(world, 4);
    entry.version = unit_random(&world->rng);
    if (entry.flags & BC_ENTRY_PARTITION) entry.child_id = unit_random(&world->rng);
    attrs->present = (uint32_t)unit_random(&world->rng) & BITCASK_ATTR_ALL;
    if (below(world, 2) == 0) attrs->present &= BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_MTIME;
    attrs->mode = 0100600u + (uint32_t)below(world, 8);
    attrs->uid = below(world, 8) == 0 ? (uint32_t)unit_random(&world->rng) : (uint32_t)below(world, 3);
    attrs->gid = (uint32_t)below(world, 3);
    attrs->rdev = (uint32_t)unit_random(&world->rng);
    attrs->mtime_ns = (int64_t)unit_random(&world->rng);
    attrs->ctime_ns = (int64_t)unit_random(&world->rng);
    attrs->atime_ns = (int64_t)unit_random(&world->rng);
    attrs->expiry_ns = (int64_t)unit_random(&world->rng);
    attrs->ino = unit_random(&world->rng);
    attrs->xattrs = "x";
    attrs->xattrs_size = 1;
    return entry;
}

/* What the index is to give back: absent members are 0, and xattrs are not kept. */
static struct bc_entry kept(const struct bc_entry *entry)
{
    struct bc_entry out = *entry;
    bitcask_attrs *attrs = &out.attrs;

    attrs->present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    attrs->xattrs = NULL;
    attrs->xattrs_size = 0;
    if (!(attrs->present & BITCASK_ATTR_MODE)) attrs->mode = 0;
    if (!(attrs->present & BITCASK_ATTR_UID)) attrs->uid = 0;
    if (!(attrs->present & BITCASK_ATTR_GID)) attrs->gid = 0;
    if (!(attrs->present & BITCASK_ATTR_RDEV)) attrs->rdev = 0;
    if (!(attrs->present & BITCASK_ATTR_MTIME)) attrs->mtime_ns = 0;
    if (!(attrs->present & BITCASK_ATTR_CTIME)) attrs->ctime_ns = 0;
    if (!(attrs->present & BITCASK_ATTR_ATIME)) attrs->atime_ns = 0;
    if (!(attrs->present & BITCASK_ATTR_EXPIRY)) attrs->expiry_ns = 0;
    if (!(attrs->present & BITCASK_ATTR_INO)) attrs->ino = 0;
    return out;
}

static bool same(const struct bc_entry *a, const struct bc_entry *b)
{
    const bitcask_attrs *x = &a->attrs, *y = &b->attrs;

    return a->slot == b->slot && a->offset == b->offset && a->record_size == b->record_size &&
           a->value_size == b->value_size && a->flags == b->flags && a->version == b->version &&
           a->child_id == b->child_id && x->present == y->present && x->mode == y->mode && x->uid == y->uid &&
           x->gid == y->gid && x->rdev == y->rdev && x->mtime_ns == y->mtime_ns && x->ctime_ns == y->ctime_ns &&
           x->atime_ns == y->atime_ns && x->expiry_ns == y->expiry_ns && x->ino == y->ino && x->xattrs == y->xattrs &&
           x->xattrs_size == y->xattrs_size;
}

/* Puts into index and model, if the index takes it. */
static bc_status both_put(struct world *world, const uint8_t *key, size_t size, const struct bc_entry *entry)
{
    bool there, had = false;
    size_t at = model_at(world, key, size, &there);
    struct bc_entry old;
    bc_status status = bc_index_put(world->index, key, size, entry, &had, &old);

    if (status != BITCASK_OK) return status;
    CU_ASSERT_EQUAL_FATAL(had, there);
    if (there) {
        CU_ASSERT_FATAL(same(&old, &world->items[at]->entry));
    } else {
        if (world->count == world->room) {
            world->room = world->room * 2 + 16;
            world->items = realloc(world->items, world->room * sizeof *world->items);
        }
        memmove(world->items + at + 1, world->items + at, (world->count - at) * sizeof *world->items);
        world->items[at] = malloc(sizeof **world->items);
        memcpy(world->items[at]->key, key, size);
        world->items[at]->size = size;
        world->count++;
    }
    world->items[at]->entry = kept(entry);
    return BITCASK_OK;
}

static void both_remove(struct world *world, const uint8_t *key, size_t size)
{
    bool there;
    size_t at = model_at(world, key, size, &there);
    struct bc_entry old;
    bc_status status = bc_index_remove(world->index, key, size, &old);

    CU_ASSERT_EQUAL_FATAL(status, there ? BITCASK_OK : BITCASK_NOT_FOUND);
    if (!there) return;
    CU_ASSERT_FATAL(same(&old, &world->items[at]->entry));
    free(world->items[at]);
    world->count--;
    memmove(world->items + at, world->items + at + 1, (world->count - at) * sizeof *world->items);
}

static void remove_at(struct world *world, size_t at)
{
    uint8_t key[255];
    size_t size = world->items[at]->size;

    memcpy(key, world->items[at]->key, size);
    both_remove(world, key, size);
}

/* Where seek leads in the model; count if nowhere. */
static size_t model_seek(const struct world *world, enum bc_seek seek, const void *key, size_t size)
{
    bool there;
    size_t at = model_at(world, key, size, &there);

    if (size == 0) return seek == BC_SEEK_GE || seek == BC_SEEK_GT || world->count == 0 ? 0 : world->count - 1;
    if (seek == BC_SEEK_GE) return at;
    if (seek == BC_SEEK_GT) return there ? at + 1 : at;
    if (seek == BC_SEEK_LE && there) return at;
    return at > 0 ? at - 1 : world->count;
}

static void check_seek(struct world *world, enum bc_seek seek, const void *key, size_t size)
{
    size_t at = model_seek(world, seek, key, size), found_size = 0;
    uint8_t found[255];
    struct bc_entry entry;
    bc_status status;

    memcpy(found, key, size); /* the key sought may stand where the one found goes */
    status = bc_index_seek(world->index, seek, found, size, found, &found_size, &entry);
    CU_ASSERT_EQUAL_FATAL(status, at < world->count ? BITCASK_OK : BITCASK_NOT_FOUND);
    if (status != BITCASK_OK) return;
    CU_ASSERT_EQUAL_FATAL(compare(found, found_size, world->items[at]->key, world->items[at]->size), 0);
    CU_ASSERT_FATAL(same(&entry, &world->items[at]->entry));
}

struct walk {
    const struct world *world;
    size_t at;
    size_t seen;
    size_t stop_after;
    bool back;
};

static bool walk_visit(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct walk *walk = context;
    const struct item *item;

    CU_ASSERT_FATAL(walk->at < walk->world->count);
    item = walk->world->items[walk->at];
    CU_ASSERT_EQUAL_FATAL(compare(key, key_size, item->key, item->size), 0);
    CU_ASSERT_FATAL(same(entry, &item->entry));
    walk->at = walk->back ? walk->at - 1 : walk->at + 1;
    walk->seen++;
    return walk->seen < walk->stop_after;
}

/* Walks from where seek leads and returns how many keys were visited; each is compared with the model. */
static size_t check_walk(struct world *world, enum bc_seek seek, const void *key, size_t size, size_t max,
                         size_t stop_after)
{
    bool back = seek == BC_SEEK_LE || seek == BC_SEEK_LT;
    size_t at = model_seek(world, seek, key, size), there = 0, expected;
    struct walk walk = {.world = world, .at = at, .stop_after = stop_after, .back = back};

    if (at < world->count) there = back ? at + 1 : world->count - at;
    expected = there < max ? there : max;
    if (stop_after < expected) expected = stop_after;
    bc_index_walk(world->index, seek, key, size, max, walk_visit, &walk);
    CU_ASSERT_EQUAL_FATAL(walk.seen, expected);
    return walk.seen;
}

/* The whole of the index against the model: both ways, and by key. */
static void check_all(struct world *world)
{
    size_t total, key_bytes, expected = 0;

    CU_ASSERT_EQUAL_FATAL(bc_index_count(world->index), world->count);
    CU_ASSERT_EQUAL(check_walk(world, BC_SEEK_GE, "", 0, SIZE_MAX, SIZE_MAX), world->count);
    CU_ASSERT_EQUAL(check_walk(world, BC_SEEK_LE, "", 0, SIZE_MAX, SIZE_MAX), world->count);
    for (size_t i = 0; i < world->count; i++) {
        struct bc_entry entry;
        const struct item *item = world->items[i];
        CU_ASSERT_EQUAL_FATAL(bc_index_get(world->index, item->key, item->size, &entry), BITCASK_OK);
        CU_ASSERT_FATAL(same(&entry, &item->entry));
        expected += item->size;
    }
    bc_index_memory(world->index, &total, &key_bytes);
    CU_ASSERT_EQUAL(key_bytes, expected);
    CU_ASSERT(total > key_bytes);
}

static void random_read(struct world *world)
{
    static const enum bc_seek seeks[] = {BC_SEEK_GE, BC_SEEK_GT, BC_SEEK_LE, BC_SEEK_LT};
    uint8_t key[255];
    size_t size = random_key(world, key), at;
    bool there;
    struct bc_entry entry;

    if (world->count > 0 && below(world, 2) == 0) {
        const struct item *item = world->items[below(world, world->count)];
        size = item->size;
        memcpy(key, item->key, size);
    }
    at = model_at(world, key, size, &there);
    CU_ASSERT_EQUAL_FATAL(bc_index_get(world->index, key, size, &entry), there ? BITCASK_OK : BITCASK_NOT_FOUND);
    if (there) CU_ASSERT_FATAL(same(&entry, &world->items[at]->entry));
    CU_ASSERT_EQUAL_FATAL(bc_index_get(world->index, key, size, NULL), there ? BITCASK_OK : BITCASK_NOT_FOUND);
    for (size_t i = 0; i < 4; i++) {
        check_seek(world, seeks[i], key, size);
        check_seek(world, seeks[i], "", 0);
        check_walk(world, seeks[i], key, size, below(world, 80), 1 + below(world, 200));
    }
}

/* ---- the tests ---- */

static void random_operations_agree_with_a_sorted_array(void)
{
    struct world world;
    size_t bound = 0;

    world_open(&world, "index");
    for (unsigned i = 0; i < 60000; i++) {
        uint8_t key[255];
        size_t size = random_key(&world, key);
        struct bc_entry entry = random_entry(&world);

        /* The number of keys swings between none and some thousands. */
        if (i % 4000 == 0) bound = below(&world, 4) == 0 ? 0 : below(&world, 4000);
        if (world.count < bound ? below(&world, 4) > 0 : below(&world, 4) == 0) {
            CU_ASSERT_EQUAL_FATAL(both_put(&world, key, size, &entry), BITCASK_OK);
        } else if (world.count > 0 && below(&world, 8) > 0) {
            remove_at(&world, below(&world, world.count));
        } else {
            both_remove(&world, key, size);
        }
        if (i % 16 == 0) random_read(&world);
        if (i % 3000 == 0) check_all(&world);
    }
    check_all(&world);
    world_close(&world);
}

static void keys_of_the_extreme_sizes_are_kept_and_others_refused(void)
{
    struct world world;
    uint8_t key[256] = {0};
    struct bc_entry entry = {.version = 1};

    world_open(&world, "extremes");
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t size = 1; size <= 255; size += 127) {
            memset(key, (int)byte, size);
            CU_ASSERT_EQUAL_FATAL(both_put(&world, key, size, &entry), BITCASK_OK);
        }
    }
    check_all(&world);
    CU_ASSERT_EQUAL(bc_index_put(world.index, key, 0, &entry, NULL, NULL), BITCASK_BAD_ARGUMENT);
    CU_ASSERT_EQUAL(bc_index_put(world.index, key, 256, &entry, NULL, NULL), BITCASK_BAD_ARGUMENT);
    CU_ASSERT_EQUAL(bc_index_get(world.index, key, 0, NULL), BITCASK_NOT_FOUND);
    CU_ASSERT_EQUAL(bc_index_remove(world.index, key, 0, NULL), BITCASK_NOT_FOUND);
    check_all(&world);
    world_close(&world);
}

static void empty_index_finds_nothing(void)
{
    struct world world;

    world_open(&world, "empty");
    for (unsigned i = 0; i < 20; i++) random_read(&world);
    check_all(&world);
    world_close(&world);
    bc_index_close(&world.index); /* closed already: nothing happens */
}

static void every_subset_of_attributes_comes_back(void)
{
    struct world world;

    world_open(&world, "attributes");
    /* Twice: each key is inserted with one subset, then replaced with another. */
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t subset = 0; subset <= BITCASK_ATTR_ALL; subset++) {
            uint8_t key[2] = {(uint8_t)(subset >> 8), (uint8_t)subset};
            struct bc_entry entry = random_entry(&world);
            entry.attrs.present = round == 0 ? subset : subset * 397u & BITCASK_ATTR_ALL;
            CU_ASSERT_EQUAL_FATAL(both_put(&world, key, 2, &entry), BITCASK_OK);
        }
        check_all(&world);
    }
    world_close(&world);
}

/* Each owner differs: there are as many attribute classes as keys, and later one. */
static void as_many_owners_as_keys_are_kept_apart(void)
{
    struct world world;

    world_open(&world, "owners");
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            uint8_t key[2] = {(uint8_t)(i >> 8), (uint8_t)i};
            struct bc_entry entry = {.version = i};
            entry.attrs.present = BITCASK_ATTR_UID;
            entry.attrs.uid = round == 1 ? 7 : i;
            CU_ASSERT_EQUAL_FATAL(both_put(&world, key, 2, &entry), BITCASK_OK);
        }
        check_all(&world);
    }
    world_close(&world);
}

/* Fails the first allocation of a call, then the second, and so on until the call needs no more. */
static void failed_allocation_leaves_everything_as_it_was(void)
{
    struct world world;
    size_t failures = 0, prepare_failures = 0;

    world_open(&world, "no memory");
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t key[255];
        size_t size = random_key(&world, key);
        struct bc_entry entry = random_entry(&world);
        bc_status status = BITCASK_NO_MEMORY;

        for (size_t allowed = 0; status != BITCASK_OK; allowed++) {
            CU_ASSERT_FATAL(allowed < 1000);
            allocations_left = allowed;
            if (i > 1500 && i % 50 == 0) {
                status = prepare_any(world.index, 300);
                if (status == BITCASK_NO_MEMORY) prepare_failures++;
            } else {
                status = both_put(&world, key, size, &entry);
                if (status == BITCASK_NO_MEMORY) failures++;
            }
            allocations_left = SIZE_MAX;
            CU_ASSERT_FATAL(status == BITCASK_OK || status == BITCASK_NO_MEMORY);
            if (status == BITCASK_NO_MEMORY) check_all(&world);
        }
        /* What was promised is used up elsewhere: here puts shall need memory of their own. */
        if (i > 1500 && i % 50 == 0) CU_ASSERT_EQUAL(prepare_any(world.index, 0), BITCASK_OK);
        allocations_left = 0;
        if (i % 7 == 0 && world.count > 0) remove_at(&world, below(&world, world.count)); /* needs none */
        allocations_left = SIZE_MAX;
    }
    check_all(&world);
    printf("[%zu, %zu failures] ", failures, prepare_failures);
    CU_ASSERT(failures > 2);
    CU_ASSERT(prepare_failures > 10);
    world_close(&world);
    allocations_left = 0;
    CU_ASSERT_EQUAL(bc_index_open(0, &world.index), BITCASK_NO_MEMORY);
    CU_ASSERT_PTR_NULL(world.index);
    allocations_left = SIZE_MAX;
}

static size_t number_key(uint8_t key[16], uint64_t number)
{
    for (unsigned i = 0; i < 16; i++) key[i] = (uint8_t)("0123456789abcdef"[number >> (60 - 4 * i) & 15]);
    return 16;
}

/* Of every item of a permutation of 0 to count - 1, the i-th; count is a power of two. */
static uint64_t shuffled(uint64_t i, uint64_t count)
{
    i = i * 0x9e3779b97f4a7c15u & (count - 1);
    i ^= i >> 7;
    return i * 0xbf58476d1ce4e5b9u & (count - 1);
}

struct order {
    uint8_t last[255];
    size_t last_size;
    size_t seen;
    size_t wrong;
};

static bool order_visit(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct order *order = context;
    uint8_t expected[16];

    if (order->last_size > 0 && compare(order->last, order->last_size, key, key_size) >= 0) order->wrong++;
    if (key_size != number_key(expected, entry->version) || memcmp(expected, key, 16) != 0) order->wrong++;
    memcpy(order->last, key, key_size);
    order->last_size = key_size;
    order->seen++;
    return true;
}

/* Keys that are prepared together. */
struct prepared {
    uint8_t (*keys)[255];
    size_t *sizes;
};

static const void *prepared_key(const void *context, size_t i, size_t *key_size)
{
    const struct prepared *prepared = context;

    *key_size = prepared->sizes[i];
    return prepared->keys[i];
}

/* After prepare no memory at all is given: to puts of these keys in any order, and to removing some of them instead. */
static void prepared_puts_cannot_fail(void)
{
    struct world world;

    world_open(&world, "prepared");
    for (unsigned i = 0; i < 600; i++) {
        size_t count = below(&world, 3) == 0 ? below(&world, 400) : below(&world, 8);
        struct prepared prepared = {calloc(count + 1, sizeof *prepared.keys), calloc(count + 1, sizeof(size_t))};

        if (i % 100 == 99) count = 0;
        for (size_t k = 0; k < count; k++) prepared.sizes[k] = random_key(&world, prepared.keys[k]);
        CU_ASSERT_EQUAL_FATAL(bc_index_prepare(world.index, count, prepared_key, &prepared), BITCASK_OK);
        allocations_left = 0;
        for (size_t k = count; k-- > 0;) {
            struct bc_entry entry = random_entry(&world);
            if (below(&world, 10) == 0)
                (void)both_remove(&world, prepared.keys[k], prepared.sizes[k]);
            else
                CU_ASSERT_EQUAL_FATAL(both_put(&world, prepared.keys[k], prepared.sizes[k], &entry), BITCASK_OK);
        }
        allocations_left = SIZE_MAX;
        for (size_t r = below(&world, i % 5 == 0 ? 300 : 2); r > 0 && world.count > 0; r--)
            remove_at(&world, below(&world, world.count));
        if (i % 20 == 0) check_all(&world);
        free(prepared.keys);
        free(prepared.sizes);
    }
    check_all(&world);
    world_close(&world);
}

static const void *numbered_key(const void *context, size_t i, size_t *key_size)
{
    *key_size = 16;
    return (const uint8_t *)context + i * 16;
}

/* Shards stay small whatever the batches are: else one that grew and grew would one day be too large. */
static void batches_split_shards_as_single_puts_do(void)
{
    enum { BATCHES = 3000, MOST = 300 };
    uint64_t rng = unit_seed("batches");
    struct bc_index *index;
    uint8_t keys[MOST * 16];

    CU_ASSERT_EQUAL_FATAL(bc_index_open(3, &index), BITCASK_OK);
    for (unsigned i = 0; i < BATCHES; i++) {
        size_t count = 1 + unit_random(&rng) % MOST;
        const struct bc_directory *directory;

        for (size_t k = 0; k < count; k++) number_key(keys + k * 16, unit_random(&rng) % 200000);
        CU_ASSERT_EQUAL_FATAL(bc_index_prepare(index, count, numbered_key, keys), BITCASK_OK);
        for (size_t k = 0; k < count; k++) {
            struct bc_entry entry = {.record_size = 100};
            if (i / 500 % 2 == 0) {
                CU_ASSERT_EQUAL_FATAL(bc_index_put(index, keys + k * 16, 16, &entry, NULL, NULL), BITCASK_OK);
                continue;
            }
            (void)bc_index_remove(index, keys + k * 16, 16, NULL);
        }
        directory = bc_index_directory(index);
        for (uint32_t d = 0; d < directory->count; d++)
            if (bc_directory_at(directory, d)->live > BC_SHARD_KEYS_MAX + MOST) CU_FAIL_FATAL("a shard was not split");
    }
    bc_index_close(&index);
}

/* A batch that is far larger than a shard, in order, backwards and at random: prepared whole, then put without memory.
 */
static void a_large_prepared_batch_cannot_fail(void)
{
    enum { COUNT = 1 << 16 };
    uint8_t *keys = malloc((size_t)COUNT * 16);

    for (unsigned kind = 0; kind < 3; kind++) {
        struct bc_index *index;
        struct order order = {0};
        struct bc_entry entry = {0};

        for (uint64_t i = 0; i < COUNT; i++)
            number_key(keys + i * 16, kind == 0 ? i : kind == 1 ? COUNT - 1 - i : shuffled(i, COUNT));
        CU_ASSERT_EQUAL_FATAL(bc_index_open(kind, &index), BITCASK_OK);
        for (unsigned round = 0; round < 2; round++) {
            CU_ASSERT_EQUAL_FATAL(bc_index_prepare(index, COUNT, numbered_key, keys), BITCASK_OK);
            allocations_left = 0;
            for (uint64_t i = 0; i < COUNT; i++) {
                entry.version = kind == 0 ? i : kind == 1 ? COUNT - 1 - i : shuffled(i, COUNT);
                CU_ASSERT_EQUAL_FATAL(bc_index_put(index, keys + i * 16, 16, &entry, NULL, NULL), BITCASK_OK);
            }
            allocations_left = SIZE_MAX;
        }
        CU_ASSERT_EQUAL(bc_index_walk(index, BC_SEEK_GE, "", 0, SIZE_MAX, order_visit, &order), BITCASK_OK);
        CU_ASSERT_EQUAL(order.seen, COUNT);
        CU_ASSERT_EQUAL(order.wrong, 0);
        bc_index_close(&index);
    }
    free(keys);
}

static void million(bool in_order)
{
    enum { COUNT = 1 << 20 };
    struct bc_index *index;
    struct order order = {0};
    size_t total, key_bytes;
    uint8_t key[16];

    CU_ASSERT_EQUAL_FATAL(bc_index_open(0, &index), BITCASK_OK);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct bc_entry entry = {.version = in_order ? i : shuffled(i, COUNT), .value_size = 100};
        bool had = true;

        /* The version is the mtime. */
        entry.attrs.present = BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID;
        entry.record_size = 150;
        number_key(key, entry.version);
        CU_ASSERT_EQUAL_FATAL(bc_index_put(index, key, 16, &entry, &had, NULL), BITCASK_OK);
        if (had) CU_FAIL_FATAL("a new key was there");
    }
    CU_ASSERT_EQUAL(bc_index_count(index), COUNT);
    bc_index_walk(index, BC_SEEK_GE, "", 0, SIZE_MAX, order_visit, &order);
    CU_ASSERT_EQUAL(order.seen, COUNT);
    CU_ASSERT_EQUAL(order.wrong, 0);
    for (uint64_t i = 0; i < COUNT; i += 97) {
        struct bc_entry entry;
        number_key(key, i);
        CU_ASSERT_EQUAL_FATAL(bc_index_get(index, key, 16, &entry), BITCASK_OK);
        CU_ASSERT_EQUAL(entry.version, i);
        number_key(key, i + COUNT);
        CU_ASSERT_EQUAL(bc_index_get(index, key, 16, NULL), BITCASK_NOT_FOUND);
    }
    bc_index_memory(index, &total, &key_bytes);
    CU_ASSERT_EQUAL(key_bytes, (size_t)COUNT * 16);
    printf("[%.1f B a key beside the key] ", (double)(total - key_bytes) / COUNT);
    CU_ASSERT((total - key_bytes) / COUNT <= 32);
    bc_index_close(&index);
}

static void million_keys_in_order(void)
{
    million(true);
}

static void million_keys_in_random_order(void)
{
    million(false);
}

static void fill(struct bc_index *index, uint64_t count)
{
    uint8_t key[16];

    for (uint64_t i = 0; i < count; i++) {
        struct bc_entry entry = {.version = shuffled(i, count)};
        entry.attrs.present = BITCASK_ATTR_CTIME;
        number_key(key, entry.version);
        CU_ASSERT_EQUAL_FATAL(bc_index_put(index, key, 16, &entry, NULL, NULL), BITCASK_OK);
    }
}

static size_t memory_of(const struct bc_index *index)
{
    size_t total, key_bytes;

    bc_index_memory(index, &total, &key_bytes);
    return total;
}

/* Most of the keys go, in another order than they came, then all: memory follows, and never grows from one round
 * to the next. Each removal is prepared, as a partition does for its tombstones. */
static void removed_keys_give_their_memory_back(void)
{
    enum { COUNT = 1 << 17, LEFT = COUNT / 128 };
    struct bc_index *index;
    size_t full = 0, empty = 0;
    uint8_t key[16];

    CU_ASSERT_EQUAL_FATAL(bc_index_open(0, &index), BITCASK_OK);
    for (unsigned round = 0; round < 3; round++) {
        fill(index, COUNT);
        if (round == 0) full = memory_of(index);
        CU_ASSERT(memory_of(index) <= full + full / 8);
        for (uint64_t i = 0; i < COUNT; i++) {
            number_key(key, i);
            CU_ASSERT_EQUAL_FATAL(prepare_any(index, 1), BITCASK_OK);
            CU_ASSERT_EQUAL_FATAL(bc_index_remove(index, key, 16, NULL), BITCASK_OK);
            if (i == COUNT - LEFT - 1) {
                struct order order = {0};
                bc_index_walk(index, BC_SEEK_GT, key, 16, SIZE_MAX, order_visit, &order);
                CU_ASSERT_EQUAL(order.seen, LEFT);
                CU_ASSERT_EQUAL(order.wrong, 0);
                CU_ASSERT(memory_of(index) < LEFT * 200);
                CU_ASSERT(memory_of(index) < full / 20);
            }
        }
        CU_ASSERT_EQUAL(bc_index_count(index), 0);
        if (round == 0) empty = memory_of(index);
        CU_ASSERT(memory_of(index) <= empty);
        CU_ASSERT(empty < 2048);
    }
    CU_ASSERT_EQUAL(prepare_any(index, 0), BITCASK_OK);
    CU_ASSERT(memory_of(index) < 2048);
    bc_index_close(&index);
}

static void few_keys_take_little(void)
{
    struct bc_index *index;

    CU_ASSERT_EQUAL_FATAL(bc_index_open(0, &index), BITCASK_OK);
    CU_ASSERT(memory_of(index) < 1024);
    fill(index, 8);
    CU_ASSERT(memory_of(index) < 4096);
    bc_index_close(&index);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"empty index finds nothing", empty_index_finds_nothing},
        {"random operations agree with a sorted array", random_operations_agree_with_a_sorted_array},
        {"keys of the extreme sizes are kept and others refused",
         keys_of_the_extreme_sizes_are_kept_and_others_refused},
        {"every subset of attributes comes back", every_subset_of_attributes_comes_back},
        {"as many owners as keys are kept apart", as_many_owners_as_keys_are_kept_apart},
        {"failed allocation leaves everything as it was", failed_allocation_leaves_everything_as_it_was},
        {"prepared puts cannot fail", prepared_puts_cannot_fail},
        {"batches split shards as single puts do", batches_split_shards_as_single_puts_do},
        {"a large prepared batch cannot fail", a_large_prepared_batch_cannot_fail},
        {"a million keys in order", million_keys_in_order},
        {"a million keys in random order", million_keys_in_random_order},
        {"removed keys give their memory back", removed_keys_give_their_memory_back},
        {"few keys take little", few_keys_take_little},
        CU_TEST_INFO_NULL,
    };
    return unit_run("index", tests);
}
