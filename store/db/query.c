/* query.c - a range of names in order, a batch of entries at a time.
 *
 * A batch is copied out of the index within one read section, tightly packed: most entries have few attributes. Between
 * batches nothing of the index is kept but the last name, from which the next one descends anew: so a query runs in
 * constant memory while writes go on, holds nothing that others wait for, and a name that is there throughout is listed
 * exactly once.
 */
#include "db/query.h"
#include "db/inodes.h"

#include <stdlib.h>
#include <string.h>

/* Names looked at for a batch: few at first, since many queries want few; then more, so that a descent into the index
 * costs little beside what it finds. */
#define BATCH_LEAST 64u
#define BATCH_MOST 512u

/* An entry of a batch, as it stands in the query's bytes: this, then its attributes if it has any, then the key. */
struct item {
    uint64_t version, child_id;
    uint32_t value_size;
    uint16_t flags;
    uint8_t key_size;
    bool has_attrs;
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
    struct bc_buffer items;         /* those of the batch that are wanted */
    size_t next;                    /* where in it the next one stands */
    size_t batch, seen;             /* names to look at for a batch, and looked at */
    bool failed;                    /* no memory for the batch */
    bool grown;                     /* batches are now as large as they get */
    uint8_t last[BITCASK_NAME_MAX]; /* the last name looked at */
    size_t last_size;
    uint8_t key[BITCASK_NAME_MAX]; /* of the entry that was given out */
};

static bool has_prefix(const struct bitcask_query *query, const void *key, size_t key_size)
{
    return key_size >= query->prefix_size && memcmp(key, query->prefix, query->prefix_size) == 0;
}

/* Whether key lies behind the far end of the range, in the query's direction. */
static bool is_past(const struct bitcask_query *query, const void *key, size_t key_size)
{
    int order;

    if (query->prefix_size > 0 && !has_prefix(query, key, key_size)) {
        order = bc_key_compare(key, key_size, query->prefix, query->prefix_size);
        if (query->reverse ? order < 0 : order > 0) return true;
    }
    if (query->reverse) {
        order = bc_key_compare(key, key_size, query->low, query->low_size);
        return order < 0 || (order == 0 && query->low_exclusive);
    }
    if (query->high_size == 0) return false;
    order = bc_key_compare(key, key_size, query->high, query->high_size);
    return order > 0 || (order == 0 && query->high_exclusive);
}

/* Adds an entry to the batch. */
static bool add_item(struct bitcask_query *query, const void *key, size_t key_size, const struct bc_entry *entry)
{
    const struct item item = {
        .version = entry->version,
        .child_id = entry->child_id,
        .value_size = entry->value_size,
        .flags = entry->flags,
        .key_size = (uint8_t)key_size,
        .has_attrs = entry->attrs.present != 0,
    };
    uint8_t *out = bc_buffer_extend(&query->items, sizeof item + sizeof entry->attrs + key_size);

    if (!out) return false;
    memcpy(out, &item, sizeof item);
    out += sizeof item;
    if (item.has_attrs) {
        memcpy(out, &entry->attrs, sizeof entry->attrs);
        out += sizeof entry->attrs;
    }
    memcpy(out, key, key_size);
    query->items.size += sizeof item + (item.has_attrs ? sizeof entry->attrs : 0) + key_size;
    return true;
}

/* Takes the next entry of the batch out; its key goes to query->key. */
static void take_item(struct bitcask_query *query, struct bc_entry *entry, size_t *key_size)
{
    const uint8_t *in = query->items.data + query->next;
    struct item item;

    memcpy(&item, in, sizeof item);
    in += sizeof item;
    entry->version = item.version;
    entry->child_id = item.child_id;
    entry->value_size = item.value_size;
    entry->flags = item.flags;
    if (item.has_attrs) {
        memcpy(&entry->attrs, in, sizeof entry->attrs);
        in += sizeof entry->attrs;
    } else {
        entry->attrs = (bitcask_attrs){0};
    }
    memcpy(query->key, in, item.key_size);
    *key_size = item.key_size;
    query->next = (size_t)(in + item.key_size - query->items.data);
}

static bool collect(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct bitcask_query *query = context;
    bool partition = entry->flags & BC_ENTRY_PARTITION;

    if (is_past(query, key, key_size)) {
        query->ended = true;
        return false;
    }
    /* A log that holds such a key is damaged, and did not bring it in; a forged checkpoint may. */
    if ((partition ? query->partitions : query->keys) && !bc_key_is_hostile(key, key_size)) {
        if (query->prefix_size == 0 || has_prefix(query, key, key_size))
            query->failed = !add_item(query, key, key_size, entry);
        if (query->failed) return false;
    }
    /* Of what is not wanted the name counts as well: the next batch starts behind it. */
    memcpy(query->last, key, key_size);
    query->last_size = key_size;
    query->seen++;
    return true;
}

/* Narrows the near end of the range to the prefix. */
static void narrow_to_prefix(struct bitcask_query *query)
{
    if (query->prefix_size == 0) return;
    if (!query->reverse && bc_key_compare(query->low, query->low_size, query->prefix, query->prefix_size) < 0) {
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
        if (query->high_size == 0 || bc_key_compare(end, size, query->high, query->high_size) < 0) {
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
    uint8_t *bound = query->reverse ? query->high : query->low;
    size_t *bound_size = query->reverse ? &query->high_size : &query->low_size;
    bc_status status = bc_node_pin(query->node, &instance);

    if (status != BITCASK_OK) return status;
    if (query->reverse)
        seek = query->high_exclusive ? BC_SEEK_LT : BC_SEEK_LE;
    else
        seek = query->low_exclusive ? BC_SEEK_GT : BC_SEEK_GE;
    bc_buffer_reset(&query->items);
    query->next = query->seen = 0;
    query->failed = false;
    bc_rcu_read_lock();
    status = bc_index_walk(instance->index, seek, bound, *bound_size, query->batch, collect, query);
    bc_rcu_read_unlock();
    /* What was put in order for it takes memory. Of small queries it is not worth counting each time. */
    if (query->grown) bc_partition_count_memory(instance);
    query->grown = false;
    bc_node_unpin(query->node);
    if (query->failed) status = BITCASK_NO_MEMORY;
    if (status != BITCASK_OK) {
        bc_buffer_reset(&query->items); /* the next try looks at the same names again */
        query->ended = false;
        return status;
    }
    if (query->seen < query->batch) query->ended = true;
    if (query->batch < BATCH_MOST && (query->batch *= 2) == BATCH_MOST) query->grown = true;
    if (query->seen == 0) return BITCASK_OK;
    memcpy(bound, query->last, query->last_size);
    *bound_size = query->last_size;
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

/* Narrows the near end of the range to what lies behind a name. */
static void narrow_to_after(struct bitcask_query *query, const bitcask_query_options *options)
{
    uint8_t after[BITCASK_NAME_MAX];
    bool exclusive = true;
    size_t size = copy_bound(after, options->after, options->after_size, &exclusive, query->reverse);

    if (!options->after) return;
    if (query->reverse) {
        if (size == 0 || after[0] == 0) {
            query->ended = true; /* no name lies before it */
            return;
        }
        if (query->high_size > 0 && bc_key_compare(query->high, query->high_size, after, size) < 0) return;
        memcpy(query->high, after, size);
        query->high_size = size;
        query->high_exclusive = exclusive;
    } else if (bc_key_compare(after, size, query->low, query->low_size) >= 0) {
        memcpy(query->low, after, size);
        query->low_size = size;
        query->low_exclusive = exclusive;
    }
}

bc_status bc_query_open(struct bitcask_partition *node, const bitcask_query_options *options,
                        struct bitcask_query **out)
{
    static const bitcask_query_options everything = {0};
    struct bitcask_query *query = calloc(1, sizeof *query);

    if (!options) options = &everything;
    if (!query) return BITCASK_NO_MEMORY;
    query->batch = BATCH_LEAST;
    query->node = node;
    bc_node_ref(node);
    query->reverse = options->reverse;
    query->keys = options->keys || !options->partitions;
    query->partitions = options->partitions || !options->keys;
    query->left = options->limit > 0 ? options->limit : UINT64_MAX;
    if (query->left < BATCH_LEAST && query->keys && query->partitions) query->batch = query->left;
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
    if (options->prefix && options->prefix_size > BITCASK_NAME_MAX)
        query->ended = true;
    else
        query->prefix_size = copy_bound(query->prefix, options->prefix, options->prefix_size, &(bool){false}, false);
    narrow_to_prefix(query);
    narrow_to_after(query, options);
    *out = query;
    return BITCASK_OK;
}

/* Fills in the public entry. NOT_FOUND: the name has gone since. */
static bc_status show(struct bitcask_query *query, const struct bc_entry *found, size_t key_size, bitcask_entry *entry)
{
    bc_status status = BITCASK_NOT_FOUND;

    bc_entry_to_public(query->node->id, found, query->key, key_size, entry);
    if (!(found->flags & BC_ENTRY_LINK)) return BITCASK_OK;
    status = bc_inode_stat(query->node->db, found->child_id, query->key, key_size, entry);
    if (status == BITCASK_NOT_FOUND) status = bc_node_stat(query->node, query->key, key_size, entry);
    /* A listing shows what cannot be read as well. */
    return status == BITCASK_CORRUPT || status == BITCASK_IO ? BITCASK_OK : status;
}

bc_status bc_query_next(struct bitcask_query *query, bitcask_entry *entry)
{
    struct bc_entry found;
    size_t key_size;
    bc_status shown;

    if (query->left == 0) return BITCASK_NOT_FOUND;
    do {
        while (query->next == query->items.size) {
            if (query->ended) return BITCASK_NOT_FOUND;
            bc_status status = fill(query);
            if (status != BITCASK_OK) return status;
        }
        take_item(query, &found, &key_size);
        shown = show(query, &found, key_size, entry);
    } while (shown == BITCASK_NOT_FOUND);
    if (shown != BITCASK_OK) return shown;
    query->left--;
    return BITCASK_OK;
}

void bc_query_close(struct bitcask_query **pointer)
{
    struct bitcask_query *query = *pointer;

    if (!query) return;
    *pointer = NULL;
    bc_node_unref(&query->node);
    bc_buffer_release(&query->items);
    free(query);
}
