/* starved_model.c - the model of starved.h: what was acknowledged, and whether it is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "starved.h"
#include "starved_parts.h"

static bool is_here(const struct starved *store, int i, int partition)
{
    return store->items[i].used && store->items[i].parent == partition;
}

int starved_at(const struct starved *store, int partition, const char *name)
{
    for (int i = 0; i < (int)STARVED_ITEMS; i++)
        if (is_here(store, i, partition) && strcmp(store->items[i].name, name) == 0) return i;
    return STARVED_NONE;
}

int starved_add_item(struct starved *store, int partition, const char *name)
{
    int i = 0;
    while (i < (int)STARVED_ITEMS && store->items[i].used) i++;
    if (i == (int)STARVED_ITEMS) exit(99);
    store->items[i] = (struct starved_item){.used = true, .parent = partition, .content = STARVED_NONE};
    snprintf(store->items[i].name, sizeof store->items[i].name, "%s", name);
    return i;
}

struct starved_content *starved_content_of(struct starved *store, int partition, const char *name)
{
    int i = starved_at(store, partition, name), c = 0;
    if (i == STARVED_NONE) i = starved_add_item(store, partition, name);
    if (store->items[i].content == STARVED_NONE) {
        while (store->contents[c].names > 0) c++; /* there is one for each item */
        store->items[i].content = c;
        store->contents[c].names = 1;
        store->contents[c].size = 0;
    }
    struct starved_content *content = &store->contents[store->items[i].content];
    content->version = 0;
    return content;
}

void starved_remove_item(struct starved *store, int i)
{
    if (i == STARVED_NONE) return;
    if (!store->items[i].is_partition) {
        store->contents[store->items[i].content].names--;
        store->contents[store->items[i].content].version = 0;
    }
    store->items[i].used = false;
}

void starved_pattern(uint8_t *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(seed * 37 + i * 7 + (i >> 8) + 1);
}

void starved_path(const struct starved *store, int partition, char path[256])
{
    char rest[256] = "";
    for (path[0] = 0; partition >= 0; partition = store->items[partition].parent) {
        snprintf(rest, sizeof rest, "%s", path);
        snprintf(path, 256, "%s%s%.200s", store->items[partition].name, *rest ? "/" : "", rest);
    }
}

/* ---- comparing ---- */

static void differs(struct starved *store, int i, const char *what, uint64_t found, uint64_t wanted)
{
    char path[256];
    starved_path(store, i, path);
    fprintf(stderr, "%s: '%s': %s is %llu, should be %llu\n", starved_context, path, what, (unsigned long long)found,
            (unsigned long long)wanted);
    store->failed = true;
}

static void compare_entry(struct starved *store, int i, const bitcask_entry *entry)
{
    struct starved_item *item = &store->items[i];
    struct starved_content *content = item->is_partition ? NULL : &store->contents[item->content];
    uint64_t *version = content ? &content->version : &item->version;
    uint32_t mode = entry->attrs.present & BITCASK_ATTR_MODE ? entry->attrs.mode : 0;
    uint32_t wanted_mode = content ? content->mode : item->mode;
    if (entry->kind != (content ? BITCASK_KEY : BITCASK_PARTITION)) differs(store, i, "kind", entry->kind, !content);
    if (mode != wanted_mode) differs(store, i, "mode", mode, wanted_mode);
    if (content && entry->value_size != content->size)
        differs(store, i, "value_size", entry->value_size, content->size);
    if (content && entry->nlink != content->names) differs(store, i, "nlink", entry->nlink, content->names);
    if (*version == 0) *version = entry->version;
    if (entry->version != *version) differs(store, i, "version", entry->version, *version);
}

static void compare_value(struct starved *store, bitcask_partition *at, int i)
{
    const struct starved_item *item = &store->items[i];
    const struct starved_content *content = &store->contents[item->content];
    bitcask_value *value = NULL;
    bitcask_entry entry;
    if (!starved_ok(store, bitcask_get(at, item->name, strlen(item->name), &value), "get")) return;
    bitcask_value_entry(value, &entry);
    compare_entry(store, i, &entry);
    if (bitcask_value_size(value) != content->size ||
        (content->size > 0 && memcmp(bitcask_value_data(value), content->bytes, content->size) != 0))
        differs(store, i, "value", bitcask_value_size(value), content->size);
    bitcask_value_unpin(&value);
}

/* The item of the partition whose name comes next behind `last`, "" for the first. */
static int next_item(const struct starved *store, int partition, const char *last)
{
    int found = STARVED_NONE;
    for (int i = 0; i < (int)STARVED_ITEMS; i++)
        if (is_here(store, i, partition) && strcmp(store->items[i].name, last) > 0 &&
            (found == STARVED_NONE || strcmp(store->items[i].name, store->items[found].name) < 0))
            found = i;
    return found;
}

static void compare_list(struct starved *store, bitcask_partition *at, int partition)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    const char *last = "";
    bool same = starved_ok(store, bitcask_query_open(at, NULL, &query), "query");
    while (same) {
        int i = next_item(store, partition, last);
        bitcask_status wanted = i == STARVED_NONE ? BITCASK_NOT_FOUND : BITCASK_OK;
        bitcask_status status = bitcask_query_next(query, &entry);
        if (status == BITCASK_OK && wanted != BITCASK_OK)
            fprintf(stderr, "%s: '%.*s' is listed\n", starved_context, (int)entry.key_size, (const char *)entry.key);
        same = starved_expect(store, wanted, status, "query_next") && i != STARVED_NONE;
        if (!same) break;
        last = store->items[i].name;
        if (entry.key_size != strlen(last) || memcmp(entry.key, last, entry.key_size) != 0) {
            differs(store, i, "listed", 0, 1);
            break;
        }
        compare_entry(store, i, &entry);
    }
    bitcask_query_close(&query);
}

static void compare_partition(struct starved *store, int partition)
{
    bitcask_partition *at = starved_enter(store, partition);
    bitcask_entry entry;
    if (!at) return;
    /* By single names first, while it may be cold. */
    for (int i = 0; i < (int)STARVED_ITEMS; i++) {
        const struct starved_item *item = &store->items[i];
        if (!is_here(store, i, partition)) continue;
        if (starved_ok(store, bitcask_stat(at, item->name, strlen(item->name), &entry), "stat"))
            compare_entry(store, i, &entry);
        if (!item->is_partition) compare_value(store, at, i);
    }
    (void)starved_expect(store, BITCASK_NOT_FOUND, bitcask_stat(at, "nobody", 6, &entry), "stat of nobody");
    compare_list(store, at, partition);
    bitcask_partition_close(&at);
}

void starved_compare(struct starved *store)
{
    compare_partition(store, STARVED_ROOT);
    for (int i = 0; i < (int)STARVED_ITEMS; i++)
        if (store->items[i].used && store->items[i].is_partition) compare_partition(store, i);
}
