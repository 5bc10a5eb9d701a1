/* hint_check.c - random entries, hints of them, and whether a hint says what was put in: see hint_check.h.
 *
 * Files are written on the simulated disk, which can fail. Damage is done to a copy in memory, behind a table of its
 * own: a hundred thousand opens are quick there.
 */
#include "hint_check.h"

#include "unit.h"

#include <errno.h>

#include "index/index.h"
#include "log/hint_format.h"

const struct bc_hint_head hint_head = {
    .segment_id = 7,
    .generation = UINT64_C(0xfedcba9876543210),
    .data_size = 0xffffffff,
    .last_version = UINT64_C(1700000000123456789),
};

/* ---- entries ---- */

int hint_item_order(const void *a, const void *b)
{
    const struct hint_item *x = a, *y = b;
    size_t n = x->entry.key_size < y->entry.key_size ? x->entry.key_size : y->entry.key_size;
    int order = memcmp(x->key, y->key, n);
    return order != 0 ? order : (x->entry.key_size > y->entry.key_size) - (x->entry.key_size < y->entry.key_size);
}

/* Any subset of the attributes, small and large. */
static bitcask_attrs random_attrs(uint64_t *seed)
{
    bitcask_attrs attrs = {0};
    if (unit_random(seed) % 3 == 0) return attrs;
    attrs.present = (uint32_t)unit_random(seed) & BITCASK_ATTR_ALL & ~(uint32_t)BITCASK_ATTR_XATTRS;
    unsigned shift = (unsigned)unit_random(seed) % 32;
    attrs.mode = (uint32_t)unit_random(seed) >> shift;
    attrs.uid = (uint32_t)unit_random(seed) >> shift;
    attrs.gid = (uint32_t)unit_random(seed) >> shift;
    attrs.rdev = (uint32_t)unit_random(seed) >> shift;
    attrs.mtime_ns = (int64_t)unit_random(seed);
    attrs.ctime_ns = (int64_t)unit_random(seed);
    attrs.atime_ns = (int64_t)unit_random(seed);
    attrs.expiry_ns = (int64_t)unit_random(seed);
    attrs.ino = unit_random(seed) >> (2 * shift);
    return attrs;
}

static void fill_entry(uint64_t *seed, struct bc_hint_entry *entry)
{
    entry->attrs = random_attrs(seed);
    entry->flags = 0;
    entry->value_size = (uint32_t)(unit_random(seed) >> (34 + unit_random(seed) % 28));
    uint64_t more = 0;
    uint64_t kind = unit_random(seed) % 8;
    if (kind == 0) entry->flags = BC_HINT_TOMBSTONE, entry->value_size = 0;
    if (kind == 1) entry->flags = BC_HINT_PARTITION, entry->value_size = 8, entry->child_id = unit_random(seed);
    if (kind == 2) entry->flags = BC_HINT_XATTRS, more = 3 + unit_random(seed) % 70000;
    if (kind == 3) entry->flags = BC_HINT_PARTITION | BC_HINT_XATTRS, entry->value_size = 8, more = 9;
    entry->record_size =
        (uint32_t)(BC_RECORD_HEAD_SIZE + entry->key_size + bc_attrs_size(&entry->attrs) + entry->value_size + more);
    entry->offset = 1 + (uint32_t)(unit_random(seed) % (hint_head.data_size - entry->record_size));
    entry->version = hint_head.last_version - (unit_random(seed) >> (4 + unit_random(seed) % 60)) % 1000000000000;
}

struct hint_item *hint_items_make(uint64_t *seed, size_t count, size_t largest, size_t *made)
{
    struct hint_item *items = calloc(count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        struct hint_item *item = &items[i];
        size_t size = 1 + unit_random(seed) % largest;
        size_t kept = i > 0 ? unit_random(seed) % (items[i - 1].entry.key_size + 1) : 0;
        if (kept >= size) kept = size - 1;
        unit_random_bytes(seed, item->key, size);
        for (size_t b = 0; i % 2 == 0 && b < size; b++) item->key[b] = (uint8_t) "\0a\377\1"[item->key[b] % 4];
        if (i > 0) memcpy(item->key, items[i - 1].key, kept);
        item->entry.key_size = size;
        fill_entry(seed, &item->entry);
    }
    qsort(items, count, sizeof *items, hint_item_order);
    *made = 0;
    for (size_t i = 0; i < count; i++) {
        if (*made > 0 && hint_item_order(&items[*made - 1], &items[i]) == 0) continue;
        items[(*made)++] = items[i];
    }
    for (size_t i = 0; i < *made; i++) items[i].entry.key = items[i].key;
    return items;
}

bool hint_entry_same(const struct bc_hint_entry *a, const struct bc_hint_entry *b)
{
    const bitcask_attrs *x = &a->attrs, *y = &b->attrs;
    if (a->key_size != b->key_size || memcmp(a->key, b->key, a->key_size) != 0 || a->offset != b->offset ||
        a->record_size != b->record_size || a->value_size != b->value_size || a->flags != b->flags ||
        a->version != b->version || x->present != y->present)
        return false;
    if ((a->flags & BC_HINT_PARTITION) != 0 && a->child_id != b->child_id) return false;
    uint8_t one[128], other[128];
    size_t size = bc_attrs_size(x);
    if (size != bc_attrs_size(y)) return false;
    bc_attrs_encode(x, one);
    bc_attrs_encode(y, other);
    return memcmp(one, other, size) == 0;
}

/* ---- writing and checking ---- */

bc_status hint_write(struct bc_io *io, int at, const struct bc_hint_head *head, const struct hint_item *items,
                     size_t count, uint64_t *bytes)
{
    struct bc_hint_writer *writer = NULL;
    bc_status status = bc_hint_writer_open(io, at, head, &writer);
    for (size_t i = 0; status == BITCASK_OK && i < count; i++) status = bc_hint_writer_add(writer, &items[i].entry);
    if (status == BITCASK_OK) return bc_hint_writer_commit(&writer, bytes);
    bc_hint_writer_abort(&writer);
    return status;
}

/* Looks for a key that is not there: items[i] with its last byte changed by step, or cut or longer by one. */
static void find_absent(const struct bc_hint *hint, const struct hint_item *items, size_t count, size_t i, int step,
                        struct bc_buffer *buffer, size_t *errors)
{
    struct hint_item absent = items[i];
    struct bc_hint_entry entry;
    size_t last = absent.entry.key_size - 1;
    if (step == 2 && last < 254) absent.key[++last] = 0;
    if (step == -2 && last > 0) last--;
    if (step == 1 || step == -1) absent.key[last] = (uint8_t)(absent.key[last] + step);
    absent.entry.key_size = last + 1;
    if (bsearch(&absent, items, count, sizeof *items, hint_item_order) != NULL) return;
    bc_status status = bc_hint_find(hint, absent.key, absent.entry.key_size, buffer, &entry);
    if (status == BITCASK_CORRUPT)
        ++*errors;
    else
        CU_ASSERT_EQUAL(status, BITCASK_NOT_FOUND);
}

void hint_check_cursor(const struct bc_hint *hint, const struct hint_item *items, size_t count, size_t *errors)
{
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry;
    size_t i = 0, wrong = 0;
    bc_status status;
    CU_ASSERT_EQUAL_FATAL(bc_hint_cursor_open(hint, &cursor), BITCASK_OK);
    while ((status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK) {
        wrong += i >= count || !hint_entry_same(&entry, &items[i].entry);
        i++;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    if (status == BITCASK_CORRUPT)
        ++*errors;
    else
        CU_ASSERT(status == BITCASK_NOT_FOUND && i == count);
    /* It stays where it ended. */
    CU_ASSERT_EQUAL(bc_hint_cursor_next(cursor, &entry), status);
    bc_hint_cursor_close(&cursor);
    CU_ASSERT_PTR_NULL(cursor);
}

size_t hint_check(struct bc_io *io, int at, const struct hint_item *items, size_t count)
{
    struct bc_hint *hint = NULL;
    struct bc_buffer buffer = {0};
    struct bc_hint_entry entry;
    size_t errors = 0, wrong = 0;
    bc_status status = bc_hint_open(io, at, &hint_head, true, &hint);
    if (status != BITCASK_OK) {
        CU_ASSERT_EQUAL(status, BITCASK_CORRUPT);
        CU_ASSERT(strncmp(bc_detail(), HINT_NAME ": ", strlen(HINT_NAME) + 2) == 0);
        return 1;
    }
    CU_ASSERT_EQUAL(bc_hint_head(hint)->keys, count);
    hint_check_cursor(hint, items, count, &errors);
    for (size_t i = 0; i < count; i++) {
        const struct bc_hint_entry *wanted = &items[i].entry;
        wrong += !bc_hint_may_contain(hint, bc_hash_key(wanted->key, wanted->key_size));
        status = bc_hint_find(hint, wanted->key, wanted->key_size, &buffer, &entry);
        if (status == BITCASK_CORRUPT)
            errors++;
        else
            wrong += status != BITCASK_OK || !hint_entry_same(&entry, wanted);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    for (int step = -2; step <= 2 && count > 0; step++) {
        find_absent(hint, items, count, 0, step, &buffer, &errors);
        find_absent(hint, items, count, count / 2, step, &buffer, &errors);
        find_absent(hint, items, count, count - 1, step, &buffer, &errors);
    }
    CU_ASSERT(bc_hint_memory(hint) < 1024 + bc_hint_file_size(hint) + count);
    bc_buffer_release(&buffer);
    bc_hint_close(&hint);
    CU_ASSERT_PTR_NULL(hint);
    return errors;
}

struct bc_sim *hint_disk_open(int *at)
{
    struct bc_sim *sim = bc_sim_open(1);
    struct bc_io *io = bc_sim_io(sim);
    int root;
    CU_ASSERT_EQUAL_FATAL(bc_io_mkdir(io, BC_AT_CWD, "d"), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, BC_AT_CWD, "/", BC_OPEN_DIRECTORY, &root), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_io_sync_dir(io, root, "/"), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_io_close(io, &root), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, BC_AT_CWD, "d", BC_OPEN_DIRECTORY, at), BITCASK_OK);
    return sim;
}

void hint_disk_close(struct bc_sim **sim, int at)
{
    CU_ASSERT_EQUAL(bc_io_close(bc_sim_io(*sim), &at), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_sim_handles(*sim), 0);
    CU_ASSERT_EQUAL(bc_sim_misuses(*sim), 0);
    bc_sim_close(sim);
}

bool hint_disk_has(struct bc_sim *sim, int at, const char *name)
{
    struct bc_io *io = bc_sim_io(sim);
    int fd = -1;
    bool there = bc_io_open(io, at, name, BC_OPEN_READ, &fd) == BITCASK_OK;
    bc_io_close(io, &fd);
    return there;
}

/* ---- a file in memory ---- */

static int memory_open(struct bc_io *io, int at, const char *name, unsigned flags)
{
    (void)at, (void)flags;
    if (strcmp(name, HINT_NAME) != 0) return -ENOENT;
    return ((struct hint_memory *)io)->open++;
}

static int memory_close(struct bc_io *io, int fd)
{
    (void)fd;
    ((struct hint_memory *)io)->open--;
    return 0;
}

static ssize_t memory_pread(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    const struct hint_memory *memory = (struct hint_memory *)io;
    (void)fd;
    if (offset >= memory->size) return 0;
    if (size > memory->size - offset) size = memory->size - (size_t)offset;
    memcpy(data, memory->data + offset, size);
    return (ssize_t)size;
}

static int memory_info(struct bc_io *io, int fd, struct bc_file_info *info)
{
    (void)fd;
    *info = (struct bc_file_info){.size = ((struct hint_memory *)io)->size, .is_regular = true};
    return 0;
}

struct hint_memory *hint_memory_open(const struct hint_item *items, size_t count, size_t more)
{
    int at, fd;
    struct bc_sim *sim = hint_disk_open(&at);
    struct bc_io *io = bc_sim_io(sim);
    struct hint_memory *memory = calloc(1, sizeof *memory);
    uint64_t bytes = 0;
    CU_ASSERT_EQUAL_FATAL(hint_write(io, at, &hint_head, items, count, &bytes), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, at, HINT_NAME, BC_OPEN_READ, &fd), BITCASK_OK);
    memory->data = calloc(1, (size_t)bytes + more);
    CU_ASSERT_EQUAL(bc_io_read(io, fd, HINT_NAME, memory->data, (size_t)bytes + 1, 0, &memory->size), BITCASK_OK);
    CU_ASSERT_EQUAL(memory->size, bytes);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    hint_disk_close(&sim, at);
    memory->ops.open = memory_open;
    memory->ops.close = memory_close;
    memory->ops.pread = memory_pread;
    memory->ops.info = memory_info;
    memory->io.ops = &memory->ops;
    return memory;
}

void hint_memory_close(struct hint_memory **memory)
{
    CU_ASSERT_EQUAL((*memory)->open, 0);
    free((*memory)->data);
    free(*memory);
    *memory = NULL;
}
