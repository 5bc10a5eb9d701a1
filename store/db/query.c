/* query.c - a range of names in order, a batch of entries at a time.
 *
 * Between batches no lock is held and nothing of the index is kept but the last name, from which the next batch
 * descends anew: so a query runs in constant memory while writes go on, and a name that is there throughout is
 * listed exactly once.
 */
#include "db/query.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64u

struct item {
    struct bc_entry entry;
    uint8_t key[BITCASK_NAME_MAX];
    uint8_t key_size;
    bool wanted;
};

struct bitcask_query {
    struct bitcask_partition *node; /* counted */
    bool reverse, keys, partitions, ended;
    uint64_t left;
    uint8_t low[BITCASK_NAME_MAX], high[BITCASK_NAME_MAX]; /* bounds; high_size 0: none */
    size_t low_size, high_size;
    bool low_exclusive, high_exclusive;
    uint8_t prefix[BITCASK_NAME_MAX];
    size_t prefix_size;
    struct item *items;
    size_t count, next;
};

static int compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    if (order != 0) return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

static bool has_prefix(const struct bitcask_query *query, const void *key, size_t key_size)
{
    return key_size >= query->prefix_size && memcmp(key, query->prefix, query->prefix_size) == 0;
}

/* Whether key lies behind the far end of the range, in the query's direction. */
static bool is_past(const struct bitcask_query *query, const void *key, size_t key_size)
{
    int order;

    if (query->prefix_size > 0 && !has_prefix(query, key, key_size)) {
        order = compare(key, key_size, query->prefix, query->prefix_size);
        if (query->reverse ? order < 0 : order > 0) return true;
    }
    if (query->reverse) {
        order = compare(key, key_size, query->low, query->low_size);
        return order < 0 || (order == 0 && query->low_exclusive);
    }
    if (query->high_size == 0) return false;
    order = compare(key, key_size, query->high, query->high_size);
    return order > 0 || (order == 0 && query->high_exclusive);
}

static bool collect(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct bitcask_query *query = context;
    bool partition = entry->flags & BC_ENTRY_PARTITION;
    struct item *item;

    if (is_past(query, key, key_size)) {
        query->ended = true;
        return false;
    }
    item = &query->items[query->count];
    memcpy(item->key, key, key_size);
    item->key_size = (uint8_t)key_size;
    item->entry = *entry;
    /* What is not wanted takes a place too, so that the next batch starts behind it. */
    item->wanted = (query->prefix_size == 0 || has_prefix(query, key, key_size)) &&
                   (partition ? query->partitions : query->keys);
    query->count++;
    return true;
}

/* Narrows the near end of the range to the prefix. */
static void narrow_to_prefix(struct bitcask_query *query)
{
    if (query->prefix_size == 0) return;
    if (!query->reverse && compare(query->low, query->low_size, query->prefix, query->prefix_size) < 0) {
        memcpy(query->low, query->prefix, query->prefix_size);
        query->low_size = query->prefix_size;
        query->low_exclusive = false;
    }
    if (query->reverse) {
        uint8_t end[BITCASK_NAME_MAX];
        size_t size = query->prefix_size;

        /* The first name that is above all with the prefix: its last byte below 0xff, plus one. */
        memcpy(end, query->prefix, size);
        while (size > 0 && end[size - 1] == 0xff) size--;
        if (size == 0) return;
        end[size - 1]++;
        if (query->high_size == 0 || compare(end, size, query->high, query->high_size) < 0) {
            memcpy(query->high, end, size);
            query->high_size = size;
            query->high_exclusive = true;
        }
    }
}

static bc_status fill(struct bitcask_query *query)
{
    struct bc_partition *instance;
    enum bc_seek seek;
    const void *key = query->reverse ? query->high : query->low;
    size_t key_size = query->reverse ? query->high_size : query->low_size;
    bc_status status = bc_node_pin(query->node, &instance);

    if (status != BITCASK_OK) return status;
    if (query->reverse) seek = query->high_exclusive ? BC_SEEK_LT : BC_SEEK_LE;
    else seek = query->low_exclusive ? BC_SEEK_GT : BC_SEEK_GE;
    query->count = 0;
    query->next = 0;
    pthread_rwlock_rdlock(&instance->index_lock);
    bc_index_walk(instance->index, seek, key, key_size, BATCH, collect, query);
    pthread_rwlock_unlock(&instance->index_lock);
    bc_node_unpin(query->node);
    if (query->count < BATCH) {
        query->ended = true;
        return BITCASK_OK;
    }
    const struct item *last = &query->items[query->count - 1];
    uint8_t *bound = query->reverse ? query->high : query->low;
    memcpy(bound, last->key, last->key_size);
    *(query->reverse ? &query->high_size : &query->low_size) = last->key_size;
    *(query->reverse ? &query->high_exclusive : &query->low_exclusive) = true;
    return BITCASK_OK;
}

/* Copies a bound, cut to the longest name: what is longer lies right behind its first 255 bytes. */
static size_t copy_bound(uint8_t out[BITCASK_NAME_MAX], const void *bound, size_t size, bool *exclusive, bool upper)
{
    if (!bound) return 0;
    if (size > BITCASK_NAME_MAX) {
        size = BITCASK_NAME_MAX;
        *exclusive = !upper; /* the name of these 255 bytes is below the bound */
    }
    if (size > 0) memcpy(out, bound, size);
    return size;
}

bc_status bc_query_open(struct bitcask_partition *node, const bitcask_query_options *options,
                        struct bitcask_query **out)
{
    static const bitcask_query_options everything = {0};
    struct bitcask_query *query = calloc(1, sizeof *query);

    if (!options) options = &everything;
    if (!query || !(query->items = malloc(BATCH * sizeof *query->items))) {
        free(query);
        return BITCASK_NO_MEMORY;
    }
    query->node = node;
    bc_node_ref(node);
    query->reverse = options->reverse;
    query->keys = options->keys || !options->partitions;
    query->partitions = options->partitions || !options->keys;
    query->left = options->limit > 0 ? options->limit : UINT64_MAX;
    query->low_exclusive = options->from_exclusive;
    query->high_exclusive = options->to_exclusive;
    query->low_size = copy_bound(query->low, options->from, options->from_size, &query->low_exclusive, false);
    query->high_size = copy_bound(query->high, options->to, options->to_size, &query->high_exclusive, true);
    /* Names begin with a byte of at least 1; what begins with 0 is the store's own, and nobody's to see. */
    if (options->to && (query->high_size == 0 || query->high[0] == 0)) query->ended = true;
    if (query->low_size == 0 || query->low[0] == 0) {
        query->low[0] = 1;
        query->low_size = 1;
        query->low_exclusive = false;
    }
    if (options->prefix && options->prefix_size > BITCASK_NAME_MAX) query->ended = true;
    else query->prefix_size = copy_bound(query->prefix, options->prefix, options->prefix_size, &(bool){false}, false);
    narrow_to_prefix(query);
    *out = query;
    return BITCASK_OK;
}

bc_status bc_query_next(struct bitcask_query *query, bitcask_entry *entry)
{
    if (query->left == 0) return BITCASK_NOT_FOUND;
    for (;;) {
        const struct item *item;

        if (query->next == query->count) {
            if (query->ended) return BITCASK_NOT_FOUND;
            bc_status status = fill(query);
            if (status != BITCASK_OK) return status;
            continue;
        }
        item = &query->items[query->next++];
        if (!item->wanted) continue;
        bc_entry_to_public(query->node->id, &item->entry, item->key, item->key_size, entry);
        query->left--;
        return BITCASK_OK;
    }
}

void bc_query_close(struct bitcask_query **pointer)
{
    struct bitcask_query *query = *pointer;

    if (!query) return;
    *pointer = NULL;
    bc_node_unref(&query->node);
    free(query->items);
    free(query);
}
