/* model.h - a store as a plain map in memory, to compare the real one with.
 *
 * A partition is a sorted array of items; an item is a key with its value or a sub-partition. Nothing here is
 * clever, so that it can be believed. Out of memory ends the program. Threads: one.
 */
#ifndef BC_MODEL_H
#define BC_MODEL_H

#include "fixture.h"

#define MODEL_XATTRS_MAX 40u

struct model_partition;

struct model_item {
    uint8_t name[BITCASK_NAME_MAX];
    size_t name_size;
    struct model_partition *child; /* NULL: a key */
    uint8_t *value;
    size_t value_size;
    bitcask_attrs attrs; /* as put; xattrs points nowhere, see below */
    uint8_t xattrs[MODEL_XATTRS_MAX];
    uint64_t version, ino; /* as the store said after the write */
    int64_t mtime_ns, ctime_ns;
    bool linked; /* it was large once: an inode, whose number and versions are of its own kind */
};

struct model_partition {
    struct model_partition *parent; /* NULL: the root */
    struct model_item **items;
    size_t count;
    size_t room;
    uint64_t id;
    uint64_t last_version;     /* the highest that was seen */
    bitcask_partition *handle; /* an open handle, or NULL */
};

struct model_partition *model_new(struct model_partition *parent);
void model_free(struct model_partition *partition); /* with all in it; handles must be closed */

/* A copy of one partition's own items; sub-partitions are shared with the original. For model_free_copy() only. */
struct model_partition *model_copy(const struct model_partition *partition);
void model_free_copy(struct model_partition *copy);

/* The place of name, or where it would stand; NULL or the item. */
size_t model_place(const struct model_partition *partition, const void *name, size_t size);
struct model_item *model_find(const struct model_partition *partition, const void *name, size_t size);

/* The item of that name, made where there is none. */
struct model_item *model_set(struct model_partition *partition, const void *name, size_t size);

/* Takes an item out, without freeing it or its child; puts one in under its name, which must be free. */
struct model_item *model_take(struct model_partition *partition, const void *name, size_t size);
void model_insert(struct model_partition *partition, struct model_item *item);
void model_free_item(struct model_item *item);

/* Removes a key. */
void model_remove(struct model_partition *partition, const void *name, size_t size);

void model_set_value(struct model_item *item, const void *value, size_t size);

/* Sets the members present in attrs, as bitcask_set_attrs() does. */
void model_merge_attrs(struct model_item *item, const bitcask_attrs *attrs);

/* True if inner is outer or lies below it. */
bool model_within(const struct model_partition *inner, const struct model_partition *outer);

/* All partitions below and with root, into list; how many. */
size_t model_list(struct model_partition *root, struct model_partition **list, size_t room);

void model_close_handles(struct model_partition *root);

/* The names that a query of these options gives, in its order, into list (room for all items); how many. */
size_t model_query(const struct model_partition *partition, const bitcask_query_options *options,
                   struct model_item **list);

/* Compare with the store; each says on stderr what differs and returns false. */
bool model_entry_equals(const struct model_item *item, const bitcask_entry *entry);
bool model_value_equals(bitcask_partition *partition, const struct model_item *item);
bool model_partition_equals(bitcask_partition *handle, const struct model_partition *partition);
bool model_equals(bitcask *db, const struct model_partition *root);

#endif
