/* model_ops.c - random operations on keys and partitions, and queries. See model_ops.h.
 */
#include "model_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 100000u
#define BATCH_OPERATIONS 12u

#define CHECK(wanted, call) \
    if (!fixture_expect((wanted), (call), #call, __FILE__, __LINE__)) return false

static bool complain(const char *what)
{
    fprintf(stderr, "model: %s\n", what);
    return false;
}

static uint64_t below(struct model_run *run, uint64_t limit)
{
    return fixture_below(&run->rng, limit);
}

static bool one_in(struct model_run *run, uint64_t n)
{
    return below(run, n) == 0;
}

/* Few names, so that they meet often: short ones, common prefixes, bytes of all kinds, the longest there are. */
void model_random_name(struct model_run *run, struct model_name *name)
{
    static const char *const odd[] = {"\n",        "\xff", "\xff\xff", "...",       ".bitcas",
                                      ".bitcaskx", " ",    "\x01",     "a\xc3\xa4", "-"};
    uint64_t kind = below(run, 10), n = below(run, 16);
    if (kind < 6) {
        name->size = (size_t)snprintf((char *)name->bytes, sizeof name->bytes, "k%u", (unsigned)n);
    } else if (kind < 8) {
        const char *text = odd[n % (sizeof odd / sizeof *odd)];
        name->size = strlen(text);
        memcpy(name->bytes, text, name->size);
    } else {
        name->size = kind == 8 ? BITCASK_NAME_MAX - (size_t)(n % 2) : (size_t)n + 2;
        memset(name->bytes, 'k', name->size);
    }
}

void model_random_attrs(struct model_run *run, bitcask_attrs *attrs, bool partition)
{
    static uint8_t xattrs[MODEL_XATTRS_MAX];
    memset(attrs, 0, sizeof *attrs);
    attrs->present = (uint32_t)(fixture_random(&run->rng) & fixture_random(&run->rng)) & BITCASK_ATTR_ALL;
    if (partition) attrs->present &= ~(uint32_t)(BITCASK_ATTR_INO | BITCASK_ATTR_EXPIRY | BITCASK_ATTR_RDEV);
    attrs->mode = (partition ? 0040000u : 0100000u) | (uint32_t)below(run, 010000);
    attrs->uid = one_in(run, 3) ? 0 : (uint32_t)fixture_random(&run->rng);
    attrs->gid = (uint32_t)below(run, 70000);
    attrs->rdev = (uint32_t)below(run, 4096);
    attrs->mtime_ns = (int64_t)fixture_random(&run->rng) >> below(run, 20);
    attrs->ctime_ns = (int64_t)fixture_random(&run->rng) >> below(run, 20);
    attrs->atime_ns = (int64_t)below(run, 3) - 1;
    attrs->expiry_ns = INT64_MAX - (int64_t)below(run, 1000);
    attrs->ino = fixture_random(&run->rng) | 2;
    attrs->xattrs = xattrs;
    attrs->xattrs_size = 1 + (size_t)below(run, MODEL_XATTRS_MAX);
    for (size_t i = 0; i < attrs->xattrs_size; i++) xattrs[i] = (uint8_t)fixture_random(&run->rng);
}

struct model_partition *model_pick_any(struct model_run *run)
{
    struct model_partition *list[MODEL_PARTITIONS_MAX + 1];
    if (run->only) return run->only;
    size_t count = model_list(run->root, list, MODEL_PARTITIONS_MAX + 1);
    return list[below(run, count)];
}

struct model_partition *model_pick(struct model_run *run)
{
    struct model_partition *list[MODEL_PARTITIONS_MAX + 1];
    if (run->only) return run->only;
    if (one_in(run, 10)) run->favourite = (size_t)fixture_random(&run->rng);
    size_t count = model_list(run->root, list, MODEL_PARTITIONS_MAX + 1);
    return list[run->favourite % count];
}

static size_t path_of(const struct model_partition *partition, char *path)
{
    if (!partition->parent) return 0;
    size_t size = path_of(partition->parent, path), i = 0;
    while (partition->parent->items[i]->child != partition) i++;
    const struct model_item *item = partition->parent->items[i];
    if (size) path[size++] = '/';
    memcpy(path + size, item->name, item->name_size);
    path[size + item->name_size] = 0;
    return size + item->name_size;
}

bitcask_partition *model_handle(struct model_run *run, struct model_partition *partition)
{
    if (partition->handle) return partition->handle;
    char path[(MODEL_PARTITIONS_MAX + 1) * (BITCASK_NAME_MAX + 1)] = "";
    bitcask_status status;
    path_of(partition, path);
    if (partition->parent && partition->parent->handle && one_in(run, 2)) {
        size_t i = 0;
        while (partition->parent->items[i]->child != partition) i++;
        const struct model_item *item = partition->parent->items[i];
        status = bitcask_partition_open_at(partition->parent->handle, item->name, item->name_size, &partition->handle);
    } else {
        status = bitcask_partition_open(run->db, path, &partition->handle);
    }
    fixture_expect(BITCASK_OK, status, "partition_open", __FILE__, __LINE__);
    if (partition->handle && bitcask_partition_id(partition->handle) != partition->id) {
        complain("a partition has another id than before");
        bitcask_partition_close(&partition->handle);
    }
    return partition->handle;
}

static bool new_version(struct model_partition *partition, uint64_t version)
{
    if (version <= partition->last_version) return complain("a version did not grow");
    partition->last_version = version;
    return true;
}

/* What a put makes of an item's attributes. */
static void replace_attrs(bitcask_partition *handle, struct model_item *item, const bitcask_attrs *attrs,
                          uint64_t version)
{
    item->attrs.present = 0;
    item->version = version;
    item->mtime_ns = item->ctime_ns = (int64_t)version;
    if (!item->linked)
        item->ino = item->child ? item->child->id : bitcask_derived_ino(handle, item->name, item->name_size);
    if (attrs) model_merge_attrs(item, attrs);
}

bool model_refresh(struct model_run *run, struct model_partition *partition, struct model_item *item)
{
    bitcask_entry entry;
    bitcask_partition *handle = model_handle(run, partition);
    if (!handle) return false;
    CHECK(BITCASK_OK, bitcask_stat(handle, item->name, item->name_size, &entry));
    if (item->linked ? entry.version < item->version : !new_version(partition, entry.version)) return false;
    item->version = entry.version;
    return model_entry_equals(item, &entry);
}

static size_t random_value(struct model_run *run, uint8_t *value)
{
    uint64_t kind = below(run, 400);
    size_t size = (size_t)below(run, kind == 0 ? VALUE_MAX : kind < 20 ? 3000 : kind < 40 ? 1 : 120);
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0) word = fixture_random(&run->rng);
        value[i] = (uint8_t)(word >> (8 * (i % 8)));
    }
    return size;
}

static unsigned random_flags(struct model_run *run)
{
    unsigned flags = one_in(run, 6) ? BITCASK_IF_ABSENT : one_in(run, 6) ? BITCASK_IF_VERSION : 0;
    if (!run->never_durable && one_in(run, 300)) flags |= BITCASK_DURABLE;
    return flags;
}

/* A value that is large makes the item an inode, which it stays. Its number is whatever the store says the first time. */
static bool note_size(struct model_run *run, bitcask_partition *handle, struct model_item *item,
                      const bitcask_attrs *attrs)
{
    bitcask_entry entry;
    if (item->linked || item->value_size <= run->db->inline_max) return true;
    CHECK(BITCASK_OK, bitcask_stat(handle, item->name, item->name_size, &entry));
    if (!(attrs && (attrs->present & BITCASK_ATTR_INO)) && !(entry.ino >> 63)) return complain("an inode has the number of a small file");
    item->ino = entry.ino;
    item->version = 0;
    return item->linked = true;
}

bool model_op_put(struct model_run *run)
{
    static uint8_t value[VALUE_MAX];
    struct model_partition *partition = model_pick(run);
    bitcask_partition *handle = model_handle(run, partition);
    struct model_name name;
    bitcask_attrs attrs;
    uint64_t version = 0;
    model_random_name(run, &name);
    model_random_attrs(run, &attrs, false);
    size_t size = random_value(run, value);
    struct model_item *item = model_find(partition, name.bytes, name.size);
    bitcask_write_options options = {.flags = random_flags(run), .attrs = one_in(run, 2) ? &attrs : NULL};
    options.if_version = item && !one_in(run, 3) ? item->version : 1;
    bitcask_status wanted = BITCASK_OK;
    if (item && (options.flags & BITCASK_IF_ABSENT))
        wanted = BITCASK_EXISTS;
    else if (item && item->child)
        wanted = BITCASK_IS_PARTITION;
    else if ((options.flags & BITCASK_IF_VERSION) && (!item || item->version != options.if_version))
        wanted = BITCASK_VERSION_MISMATCH;
    if (!handle) return false;
    CHECK(wanted, bitcask_put(handle, name.bytes, name.size, value, size, &options, &version));
    if (wanted != BITCASK_OK) return true;
    item = model_set(partition, name.bytes, name.size);
    model_set_value(item, value, size);
    if (!note_size(run, handle, item, options.attrs)) return false;
    if (item->linked ? version <= item->version : !new_version(partition, version))
        return complain("a version did not grow");
    replace_attrs(handle, item, options.attrs, version);
    return (!one_in(run, 4) || model_value_equals(handle, item));
}

bool model_op_delete(struct model_run *run)
{
    struct model_partition *partition = model_pick(run);
    bitcask_partition *handle = model_handle(run, partition);
    struct model_name name;
    bitcask_entry entry;
    model_random_name(run, &name);
    struct model_item *item = model_find(partition, name.bytes, name.size);
    bitcask_write_options options = {.flags = random_flags(run) & ~(unsigned)BITCASK_IF_ABSENT};
    options.if_version = item && !one_in(run, 3) ? item->version : 1;
    bitcask_status wanted = BITCASK_OK;
    if (!item)
        wanted = BITCASK_NOT_FOUND;
    else if (item->child)
        wanted = BITCASK_IS_PARTITION;
    else if ((options.flags & BITCASK_IF_VERSION) && item->version != options.if_version)
        wanted = BITCASK_VERSION_MISMATCH;
    if (!handle) return false;
    bitcask_status got = bitcask_delete(handle, name.bytes, name.size, &options);
    if (!item && (options.flags & BITCASK_IF_VERSION) && got == BITCASK_VERSION_MISMATCH) got = BITCASK_NOT_FOUND;
    CHECK(wanted, got);
    if (wanted != BITCASK_OK) return true;
    model_remove(partition, name.bytes, name.size);
    CHECK(BITCASK_NOT_FOUND, bitcask_stat(handle, name.bytes, name.size, &entry));
    return true;
}

struct batch_operation {
    struct model_name name;
    bool is_put, has_attrs;
    bitcask_attrs attrs;
    uint8_t value[200], xattrs[MODEL_XATTRS_MAX];
    size_t size;
};

static bool add_to_batch(struct model_run *run, bitcask_batch *batch, struct batch_operation *operation)
{
    model_random_name(run, &operation->name);
    model_random_attrs(run, &operation->attrs, false);
    memcpy(operation->xattrs, operation->attrs.xattrs, operation->attrs.xattrs_size);
    operation->attrs.xattrs = operation->xattrs;
    operation->is_put = !one_in(run, 3);
    operation->has_attrs = one_in(run, 2);
    operation->size = (size_t)below(run, sizeof operation->value);
    memset(operation->value, (int)below(run, 256), operation->size);
    if (!operation->is_put) {
        CHECK(BITCASK_OK, bitcask_batch_delete(batch, operation->name.bytes, operation->name.size));
        return true;
    }
    CHECK(BITCASK_OK, bitcask_batch_put(batch, operation->name.bytes, operation->name.size, operation->value,
                                        operation->size, operation->has_attrs ? &operation->attrs : NULL));
    return true;
}

/* Whether the next operation of the batch on this name is a put too. */
static bool is_put_again(const struct batch_operation *operations, size_t i, size_t count)
{
    for (size_t j = i + 1; j < count; j++)
        if (operations[j].name.size == operations[i].name.size &&
            memcmp(operations[j].name.bytes, operations[i].name.bytes, operations[i].name.size) == 0)
            return operations[j].is_put;
    return false;
}

static bool commit_batch(struct model_run *run, struct model_partition *partition, bitcask_batch *batch,
                         const struct batch_operation *operations, size_t count)
{
    uint64_t versions[BATCH_OPERATIONS];
    bitcask_status wanted = BITCASK_OK;
    unsigned flags = random_flags(run) & BITCASK_DURABLE;
    for (size_t i = 0; i < count; i++) {
        struct model_item *item = model_find(partition, operations[i].name.bytes, operations[i].name.size);
        if (item && item->child) wanted = BITCASK_IS_PARTITION;
    }
    CHECK(wanted, bitcask_batch_commit(batch, flags, 0, versions));
    for (size_t i = 0; wanted == BITCASK_OK && i < count; i++) {
        const struct batch_operation *operation = &operations[i];
        if (!operation->is_put) {
            model_remove(partition, operation->name.bytes, operation->name.size);
            continue;
        }
        struct model_item *item = model_set(partition, operation->name.bytes, operation->name.size);
        /* Of an inode's puts in one batch the last one alone is done: a number that another stated does not count. */
        if (item->linked && is_put_again(operations, i, count)) continue;
        model_set_value(item, operation->value, operation->size);
        if (!note_size(run, partition->handle, item, operation->has_attrs ? &operation->attrs : NULL)) return false;
        replace_attrs(partition->handle, item, operation->has_attrs ? &operation->attrs : NULL, versions[i]);
        if (!item->linked && versions[i] > partition->last_version) partition->last_version = versions[i];
    }
    return true;
}

bool model_op_batch(struct model_run *run)
{
    static struct batch_operation operations[BATCH_OPERATIONS];
    struct model_partition *partition = model_pick(run);
    bitcask_partition *handle = model_handle(run, partition);
    bitcask_batch *batch = NULL;
    size_t count = (size_t)below(run, BATCH_OPERATIONS) + 1;
    if (!handle) return false;
    CHECK(BITCASK_OK, bitcask_batch_open(handle, &batch));
    bool same = true;
    for (size_t i = 0; same && i < count; i++) same = add_to_batch(run, batch, &operations[i]);
    if (same) same = commit_batch(run, partition, batch, operations, count);
    bitcask_batch_close(&batch);
    for (size_t i = 0; same && i < count; i++) {
        struct model_item *item = model_find(partition, operations[i].name.bytes, operations[i].name.size);
        if (item && !item->child) same = model_value_equals(handle, item);
    }
    return same;
}

bool model_op_set_attrs(struct model_run *run)
{
    struct model_partition *partition = model_pick(run);
    bitcask_partition *handle = model_handle(run, partition);
    struct model_name name;
    bitcask_attrs attrs;
    uint64_t version = 0;
    model_random_name(run, &name);
    struct model_item *item = model_find(partition, name.bytes, name.size);
    model_random_attrs(run, &attrs, item && item->child);
    unsigned flags = random_flags(run) & BITCASK_DURABLE;
    if (!handle) return false;
    if (item && item->child && item->child->handle && one_in(run, 2)) {
        CHECK(BITCASK_OK, bitcask_partition_set_attrs(item->child->handle, &attrs, flags));
    } else {
        bitcask_status wanted = item ? BITCASK_OK : BITCASK_NOT_FOUND;
        CHECK(wanted, bitcask_set_attrs(handle, name.bytes, name.size, &attrs, flags, &version));
    }
    if (!item) return true;
    model_merge_attrs(item, &attrs);
    return model_refresh(run, partition, item) && (version == 0 || version == item->version) &&
           (item->child || model_value_equals(handle, item));
}

bool model_op_read(struct model_run *run)
{
    struct model_partition *partition = model_pick(run);
    bitcask_partition *handle = model_handle(run, partition);
    struct model_name name;
    bitcask_entry entry;
    bitcask_value *value = NULL;
    uint8_t buffer[64];
    size_t got = 0;
    model_random_name(run, &name);
    const struct model_item *item = model_find(partition, name.bytes, name.size);
    bitcask_status wanted = !item ? BITCASK_NOT_FOUND : item->child ? BITCASK_IS_PARTITION : BITCASK_OK;
    if (!handle) return false;
    CHECK(item ? BITCASK_OK : BITCASK_NOT_FOUND, bitcask_stat(handle, name.bytes, name.size, &entry));
    if (item && !model_entry_equals(item, &entry)) return false;
    CHECK(wanted, bitcask_pin(handle, name.bytes, name.size, &value));
    if (wanted != BITCASK_OK) return true;
    uint64_t offset = below(run, item->value_size + 10);
    bitcask_status status = bitcask_value_read(value, offset, buffer, sizeof buffer, &got);
    bitcask_value_unpin(&value);
    CHECK(BITCASK_OK, status);
    size_t left = offset < item->value_size ? item->value_size - (size_t)offset : 0;
    if (got != (left < sizeof buffer ? left : sizeof buffer)) return complain("a read gave another number of bytes");
    if (got && memcmp(buffer, item->value + offset, got) != 0) return complain("a read gave other bytes");
    return model_value_equals(handle, item);
}

bool model_op_query(struct model_run *run)
{
    struct model_partition *partition = model_pick(run);
    bitcask_partition *handle = model_handle(run, partition);
    struct model_item **expected = malloc((partition->count + 1) * sizeof *expected);
    struct model_name from, to, prefix;
    bitcask_query *query = NULL;
    bitcask_entry entry;
    model_random_name(run, &from);
    model_random_name(run, &to);
    model_random_name(run, &prefix);
    bitcask_query_options options = {.from_size = from.size, .to_size = to.size, .limit = below(run, 6)};
    if (one_in(run, 2)) options.from = from.bytes;
    if (one_in(run, 2)) options.to = to.bytes;
    if (one_in(run, 3)) options.prefix = prefix.bytes;
    options.prefix_size = options.prefix && one_in(run, 2) ? 1 : options.prefix ? prefix.size : 0;
    options.from_exclusive = one_in(run, 2);
    options.to_exclusive = one_in(run, 2);
    options.reverse = one_in(run, 2);
    options.keys = one_in(run, 2);
    options.partitions = one_in(run, 2);
    size_t count = model_query(partition, &options, expected);
    bitcask_status status = handle ? bitcask_query_open(handle, &options, &query) : BITCASK_IO;
    bool same = fixture_expect(BITCASK_OK, status, "query_open", __FILE__, __LINE__);
    for (size_t i = 0; same && i <= count; i++) {
        status = bitcask_query_next(query, &entry);
        same = fixture_expect(i < count ? BITCASK_OK : BITCASK_NOT_FOUND, status, "query_next", __FILE__, __LINE__);
        if (!same || i == count) break;
        same = entry.key_size == expected[i]->name_size && !memcmp(entry.key, expected[i]->name, entry.key_size);
        if (!same) complain("a query gave another name");
        if (same) same = model_entry_equals(expected[i], &entry);
    }
    bitcask_query_close(&query);
    free(expected);
    return same;
}

bool model_op_create(struct model_run *run)
{
    struct model_partition *partition = model_pick(run), *list[MODEL_PARTITIONS_MAX + 1];
    bitcask_partition *handle = model_handle(run, partition), *child = NULL;
    struct model_name name;
    bitcask_attrs attrs;
    if (model_list(run->root, list, MODEL_PARTITIONS_MAX + 1) >= MODEL_PARTITIONS_MAX) return true;
    model_random_name(run, &name);
    model_random_attrs(run, &attrs, true);
    bool has_attrs = one_in(run, 2), taken = model_find(partition, name.bytes, name.size) != NULL;
    if (!handle) return false;
    CHECK(taken ? BITCASK_EXISTS : BITCASK_OK,
          bitcask_partition_create(handle, name.bytes, name.size, has_attrs ? &attrs : NULL,
                                   random_flags(run) & BITCASK_DURABLE, &child));
    if (taken) return true;
    struct model_item *item = model_set(partition, name.bytes, name.size);
    bitcask_entry entry;
    item->child = model_new(partition);
    item->child->id = bitcask_partition_id(child);
    item->child->handle = child;
    CHECK(BITCASK_OK, bitcask_stat(handle, name.bytes, name.size, &entry));
    replace_attrs(handle, item, has_attrs ? &attrs : NULL, entry.version);
    return model_refresh(run, partition, item);
}

/* Empties a partition without sub-partitions, so that some drops succeed. */
static bool empty(struct model_run *run, struct model_partition *partition)
{
    bitcask_partition *handle = model_handle(run, partition);
    for (size_t i = 0; i < partition->count; i++)
        if (partition->items[i]->child) return true;
    while (handle && partition->count > 0) {
        struct model_item *item = partition->items[partition->count - 1];
        CHECK(BITCASK_OK, bitcask_delete(handle, item->name, item->name_size, NULL));
        model_remove(partition, item->name, item->name_size);
    }
    return handle != NULL;
}

bool model_op_drop(struct model_run *run)
{
    struct model_partition *partition = model_pick(run);
    bitcask_partition *handle = model_handle(run, partition);
    struct model_name name;
    bitcask_entry entry;
    model_random_name(run, &name);
    /* Mostly a name that is a partition. */
    for (size_t i = 0; i < partition->count && !one_in(run, 8); i++) {
        if (!partition->items[i]->child) continue;
        name.size = partition->items[i]->name_size;
        memcpy(name.bytes, partition->items[i]->name, name.size);
        if (one_in(run, 2)) break;
    }
    struct model_item *item = model_find(partition, name.bytes, name.size);
    if (item && item->child && one_in(run, 2) && !empty(run, item->child)) return false;
    bitcask_status wanted = !item                    ? BITCASK_NOT_FOUND
                            : !item->child           ? BITCASK_NOT_PARTITION
                            : item->child->count > 0 ? BITCASK_NOT_EMPTY
                                                     : BITCASK_OK;
    if (!handle) return false;
    CHECK(wanted, bitcask_partition_drop(handle, name.bytes, name.size, random_flags(run) & BITCASK_DURABLE));
    if (wanted != BITCASK_OK) return true;
    if (item->child->handle) {
        CHECK(BITCASK_NOT_FOUND, bitcask_stat(item->child->handle, "x", 1, &entry));
        CHECK(BITCASK_NOT_FOUND, bitcask_put(item->child->handle, "x", 1, "x", 1, NULL, NULL));
        bitcask_partition_close(&item->child->handle);
    }
    model_free(item->child);
    model_remove(partition, name.bytes, name.size);
    CHECK(BITCASK_NOT_FOUND, bitcask_stat(handle, name.bytes, name.size, &entry));
    return true;
}
