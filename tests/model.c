/* model.c - a store as a plain map in memory. See model.h.
 */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *get_memory(void *memory, size_t size)
{
    void *grown = realloc(memory, size ? size : 1);
    if (!grown) exit(99);
    return grown;
}

struct model_partition *model_new(struct model_partition *parent)
{
    struct model_partition *partition = get_memory(NULL, sizeof *partition);
    *partition = (struct model_partition){.parent = parent};
    return partition;
}

void model_free_item(struct model_item *item)
{
    free(item->value);
    free(item);
}

void model_free(struct model_partition *partition)
{
    for (size_t i = 0; i < partition->count; i++) {
        if (partition->items[i]->child) model_free(partition->items[i]->child);
        model_free_item(partition->items[i]);
    }
    free(partition->items);
    free(partition);
}

struct model_partition *model_copy(const struct model_partition *partition)
{
    struct model_partition *copy = model_new(partition->parent);
    *copy = *partition;
    copy->handle = NULL;
    copy->room = partition->count;
    copy->items = get_memory(NULL, partition->count * sizeof(struct model_item *));
    for (size_t i = 0; i < partition->count; i++) {
        copy->items[i] = get_memory(NULL, sizeof(struct model_item));
        *copy->items[i] = *partition->items[i];
        copy->items[i]->value = NULL;
        model_set_value(copy->items[i], partition->items[i]->value, partition->items[i]->value_size);
    }
    return copy;
}

void model_free_copy(struct model_partition *copy)
{
    for (size_t i = 0; i < copy->count; i++) model_free_item(copy->items[i]);
    free(copy->items);
    free(copy);
}

static int compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

size_t model_place(const struct model_partition *partition, const void *name, size_t size)
{
    size_t low = 0, high = partition->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct model_item *item = partition->items[middle];
        if (compare(item->name, item->name_size, name, size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct model_item *model_find(const struct model_partition *partition, const void *name, size_t size)
{
    size_t i = model_place(partition, name, size);
    if (i == partition->count || partition->items[i]->name_size != size) return NULL;
    return memcmp(partition->items[i]->name, name, size) == 0 ? partition->items[i] : NULL;
}

void model_insert(struct model_partition *partition, struct model_item *item)
{
    size_t i = model_place(partition, item->name, item->name_size);
    if (partition->count == partition->room) {
        partition->room = partition->room * 2 + 8;
        partition->items = get_memory(partition->items, partition->room * sizeof(struct model_item *));
    }
    memmove(partition->items + i + 1, partition->items + i, (partition->count - i) * sizeof(struct model_item *));
    partition->items[i] = item;
    partition->count++;
    if (item->child) item->child->parent = partition;
}

struct model_item *model_take(struct model_partition *partition, const void *name, size_t size)
{
    struct model_item *item = model_find(partition, name, size);
    if (!item) return NULL;
    size_t i = model_place(partition, name, size);
    partition->count--;
    memmove(partition->items + i, partition->items + i + 1, (partition->count - i) * sizeof(struct model_item *));
    return item;
}

struct model_item *model_set(struct model_partition *partition, const void *name, size_t size)
{
    struct model_item *item = model_find(partition, name, size);
    if (item) return item;
    item = get_memory(NULL, sizeof *item);
    *item = (struct model_item){.name_size = size};
    memcpy(item->name, name, size);
    model_insert(partition, item);
    return item;
}

void model_remove(struct model_partition *partition, const void *name, size_t size)
{
    struct model_item *item = model_take(partition, name, size);
    if (item) model_free_item(item);
}

void model_set_value(struct model_item *item, const void *value, size_t size)
{
    item->value = get_memory(item->value, size);
    if (size) memcpy(item->value, value, size);
    item->value_size = size;
}

void model_merge_attrs(struct model_item *item, const bitcask_attrs *attrs)
{
    bitcask_attrs *to = &item->attrs;
    to->present |= attrs->present;
    if (attrs->present & BITCASK_ATTR_MODE) to->mode = attrs->mode;
    if (attrs->present & BITCASK_ATTR_UID) to->uid = attrs->uid;
    if (attrs->present & BITCASK_ATTR_GID) to->gid = attrs->gid;
    if (attrs->present & BITCASK_ATTR_ATIME) to->atime_ns = attrs->atime_ns;
    if (attrs->present & BITCASK_ATTR_RDEV) to->rdev = attrs->rdev;
    if (attrs->present & BITCASK_ATTR_EXPIRY) to->expiry_ns = attrs->expiry_ns;
    if (attrs->present & BITCASK_ATTR_MTIME) item->mtime_ns = attrs->mtime_ns;
    if (attrs->present & BITCASK_ATTR_CTIME) item->ctime_ns = attrs->ctime_ns;
    if (attrs->present & BITCASK_ATTR_INO) item->ino = attrs->ino;
    if (attrs->present & BITCASK_ATTR_XATTRS) {
        to->xattrs_size = attrs->xattrs_size;
        memcpy(item->xattrs, attrs->xattrs, attrs->xattrs_size);
    }
}

bool model_within(const struct model_partition *inner, const struct model_partition *outer)
{
    while (inner && inner != outer) inner = inner->parent;
    return inner == outer;
}

size_t model_list(struct model_partition *root, struct model_partition **list, size_t room)
{
    size_t count = 0;
    if (room == 0) return 0;
    list[count++] = root;
    for (size_t i = 0; i < root->count; i++)
        if (root->items[i]->child) count += model_list(root->items[i]->child, list + count, room - count);
    return count;
}

void model_close_handles(struct model_partition *root)
{
    bitcask_partition_close(&root->handle);
    for (size_t i = 0; i < root->count; i++)
        if (root->items[i]->child) model_close_handles(root->items[i]->child);
}

static bool wanted(const struct model_item *item, const bitcask_query_options *options)
{
    if (options->from) {
        int order = compare(item->name, item->name_size, options->from, options->from_size);
        if (order < 0 || (order == 0 && options->from_exclusive)) return false;
    }
    if (options->to) {
        int order = compare(item->name, item->name_size, options->to, options->to_size);
        if (order > 0 || (order == 0 && options->to_exclusive)) return false;
    }
    if (options->prefix &&
        (item->name_size < options->prefix_size || memcmp(item->name, options->prefix, options->prefix_size) != 0))
        return false;
    return options->keys == options->partitions || (item->child ? options->partitions : options->keys);
}

size_t model_query(const struct model_partition *partition, const bitcask_query_options *options,
                   struct model_item **list)
{
    size_t count = 0;
    for (size_t i = 0; i < partition->count; i++) {
        struct model_item *item = partition->items[options->reverse ? partition->count - 1 - i : i];
        if (options->limit && count == options->limit) break;
        if (wanted(item, options)) list[count++] = item;
    }
    return count;
}

static bool differ(const struct model_item *item, const char *what, uint64_t stored, uint64_t expected)
{
    fprintf(stderr, "key of %zu bytes '%.*s': %s is %" PRIu64 ", should be %" PRIu64 "\n", item->name_size,
            (int)item->name_size, (const char *)item->name, what, stored, expected);
    return false;
}

#define SAME(what, stored, expected) \
    if ((stored) != (expected)) return differ(item, what, (uint64_t)(stored), (uint64_t)(expected))

bool model_entry_equals(const struct model_item *item, const bitcask_entry *entry)
{
    const uint32_t plain = BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID | BITCASK_ATTR_ATIME |
                           BITCASK_ATTR_RDEV | BITCASK_ATTR_EXPIRY;
    const uint32_t always = BITCASK_ATTR_MTIME | BITCASK_ATTR_CTIME | BITCASK_ATTR_INO;
    const bitcask_attrs *expected = &item->attrs, *stored = &entry->attrs;
    SAME("kind", entry->kind, item->child ? BITCASK_PARTITION : BITCASK_KEY);
    SAME("version", entry->version, item->version);
    SAME("value_size", entry->value_size, item->child ? 0 : item->value_size);
    SAME("partition_id", entry->partition_id, item->child ? item->child->id : 0);
    SAME("ino", entry->ino, item->child ? item->child->id : item->ino);
    SAME("attrs.ino", stored->ino, entry->ino);
    SAME("present", stored->present & plain, expected->present & plain);
    SAME("times present", stored->present & always, always);
    if (stored->present & BITCASK_ATTR_MODE) SAME("mode", stored->mode, expected->mode);
    if (stored->present & BITCASK_ATTR_UID) SAME("uid", stored->uid, expected->uid);
    if (stored->present & BITCASK_ATTR_GID) SAME("gid", stored->gid, expected->gid);
    if (stored->present & BITCASK_ATTR_ATIME) SAME("atime", stored->atime_ns, expected->atime_ns);
    if (stored->present & BITCASK_ATTR_RDEV) SAME("rdev", stored->rdev, expected->rdev);
    if (stored->present & BITCASK_ATTR_EXPIRY) SAME("expiry", stored->expiry_ns, expected->expiry_ns);
    SAME("mtime", stored->mtime_ns, item->mtime_ns);
    SAME("ctime", stored->ctime_ns, item->ctime_ns);
    return true;
}

static bool same_xattrs(const struct model_item *item, const void *data, size_t size)
{
    size_t expected = item->attrs.present & BITCASK_ATTR_XATTRS ? item->attrs.xattrs_size : 0;
    SAME("xattrs_size", size, expected);
    if (size && memcmp(data, item->xattrs, size) != 0) return differ(item, "xattrs equal", 0, 1);
    return true;
}

static bool same_value(const struct model_item *item, bitcask_value *value)
{
    bitcask_entry entry;
    SAME("size of the value", bitcask_value_size(value), item->value_size);
    if (item->value_size && memcmp(bitcask_value_data(value), item->value, item->value_size) != 0)
        return differ(item, "value equal", 0, 1);
    bitcask_value_entry(value, &entry);
    size_t xattrs_size = entry.attrs.present & BITCASK_ATTR_XATTRS ? entry.attrs.xattrs_size : 0;
    return model_entry_equals(item, &entry) && same_xattrs(item, entry.attrs.xattrs, xattrs_size);
}

bool model_value_equals(bitcask_partition *partition, const struct model_item *item)
{
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_get(partition, item->name, item->name_size, &value);
    if (!fixture_expect(BITCASK_OK, status, "bitcask_get", __FILE__, __LINE__))
        return differ(item, "status", status, BITCASK_OK);
    bool same = same_value(item, value);
    bitcask_value_unpin(&value);
    return same;
}

bool model_partition_equals(bitcask_partition *handle, const struct model_partition *partition)
{
    bitcask_query_options options = {0};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bool same = true;
    if (!fixture_expect(BITCASK_OK, bitcask_query_open(handle, &options, &query), "query", __FILE__, __LINE__))
        return false;
    for (size_t i = 0; same && i <= partition->count; i++) {
        const struct model_item *item = i < partition->count ? partition->items[i] : NULL;
        bitcask_status status = bitcask_query_next(query, &entry);
        bitcask_status expected = item ? BITCASK_OK : BITCASK_NOT_FOUND;
        same = fixture_expect(expected, status, "query_next of a partition", __FILE__, __LINE__);
        if (!same || !item) break;
        same = compare(entry.key, entry.key_size, item->name, item->name_size) == 0;
        if (!same) fprintf(stderr, "query gives '%.*s'\n", (int)entry.key_size, (const char *)entry.key);
        if (!same) differ(item, "listed", 0, 1);
        if (same) same = model_entry_equals(item, &entry);
        if (same && !item->child) same = model_value_equals(handle, item);
    }
    bitcask_query_close(&query);
    return same;
}

static bool tree_equals(bitcask_partition *handle, const struct model_partition *partition)
{
    bool same = model_partition_equals(handle, partition);
    for (size_t i = 0; same && i < partition->count; i++) {
        const struct model_item *item = partition->items[i];
        bitcask_partition *child = NULL;
        bitcask_value *xattrs = NULL;
        if (!item->child) continue;
        bitcask_status status = bitcask_partition_open_at(handle, item->name, item->name_size, &child);
        same = fixture_expect(BITCASK_OK, status, "partition_open_at", __FILE__, __LINE__);
        if (!same) break;
        status = bitcask_partition_xattrs(child, &xattrs);
        same = fixture_expect(BITCASK_OK, status, "partition_xattrs", __FILE__, __LINE__);
        if (same) same = same_xattrs(item, bitcask_value_data(xattrs), (size_t)bitcask_value_size(xattrs));
        bitcask_value_unpin(&xattrs);
        if (same) same = tree_equals(child, item->child);
        bitcask_partition_close(&child);
    }
    return same;
}

bool model_equals(bitcask *db, const struct model_partition *root)
{
    bitcask_partition *handle = NULL;
    bitcask_status status = bitcask_partition_open(db, "", &handle);
    if (!fixture_expect(BITCASK_OK, status, "bitcask_partition_open", __FILE__, __LINE__)) return false;
    bool same = tree_equals(handle, root);
    bitcask_partition_close(&handle);
    return same;
}
