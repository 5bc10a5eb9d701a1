/* bitcask.c - the public API: arguments are checked here, the work is done below.
 *
 * Also the seam where another engine would stand for those who outgrow one machine: nothing here knows of a log.
 */
#include "bitcask_parts.h"

#include <string.h>

#include "db/batch.h"
#include "db/inodes.h"
#include "db/query.h"
#include "db/reclaim.h"
#include "partition/derived_ino.h"

const char *bitcask_status_text(bitcask_status status)
{
    return bc_status_text(status);
}

int bitcask_status_errno(bitcask_status status)
{
    return bc_status_errno(status);
}

const char *bitcask_error_detail(void)
{
    return bc_detail();
}

static bool is(const void *name, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(name, word, size) == 0;
}

bitcask_status bitcask_check_name(const void *name, size_t size)
{
    if (!name || size == 0) return bc_fail(BITCASK_BAD_NAME, "a name is empty; it needs 1 to 255 bytes");
    if (size > BITCASK_NAME_MAX) return bc_fail(BITCASK_NAME_TOO_LONG, "a name has %zu bytes; it may have 255", size);
    if (memchr(name, '/', size))
        return bc_fail(BITCASK_BAD_NAME, "a name holds a '/'; partitions are named one by one");
    if (memchr(name, 0, size)) return bc_fail(BITCASK_BAD_NAME, "a name holds a NUL byte");
    if (is(name, size, ".") || is(name, size, "..") || is(name, size, ".bitcask"))
        return bc_fail(BITCASK_BAD_NAME, "the name '%.*s' is reserved", (int)size, (const char *)name);
    return BITCASK_OK;
}

bitcask_status bc_check_attrs(const bitcask_attrs *attrs)
{
    if (!attrs) return BITCASK_OK;
    if (attrs->present & ~(uint32_t)BITCASK_ATTR_ALL)
        return bc_fail(BITCASK_BAD_ARGUMENT, "attributes of an unknown kind are marked as present");
    if (!(attrs->present & BITCASK_ATTR_XATTRS)) return BITCASK_OK;
    if (attrs->xattrs_size > BITCASK_XATTRS_MAX)
        return bc_fail(BITCASK_TOO_LARGE, "extended attributes have %zu bytes; they may have %u", attrs->xattrs_size,
                       BITCASK_XATTRS_MAX);
    return attrs->xattrs || attrs->xattrs_size == 0 ? BITCASK_OK : bc_fail(BITCASK_BAD_ARGUMENT, "xattrs is NULL");
}

bitcask_status bc_check_value(const void *value, size_t size)
{
    if (!value && size > 0) return bc_fail(BITCASK_BAD_ARGUMENT, "value is NULL");
    if (size > BITCASK_VALUE_MAX)
        return bc_fail(BITCASK_TOO_LARGE, "a value has %zu bytes; it may have %u", size, BITCASK_VALUE_MAX);
    return BITCASK_OK;
}

/* ---- store ---- */

void bitcask_options_init(bitcask_options *options)
{
    *options = (bitcask_options){.sync_interval_ms = 1000, .segment_size = 256ull * 1024 * 1024};
}

bitcask_status bitcask_open(const char *path, const bitcask_options *options, bitcask **db)
{
    bitcask_options defaults;

    ENTER();
    if (!path || !*path) return bc_fail(BITCASK_BAD_ARGUMENT, "the path of the store is empty");
    bitcask_options_init(&defaults);
    return bc_db_open(bc_io_posix(), path, options ? options : &defaults, db);
}

bitcask_status bitcask_store_holder(const char *path, int64_t *pid)
{
    ENTER();
    if (!path || !*path) return bc_fail(BITCASK_BAD_ARGUMENT, "the path of the store is empty");
    return bc_store_dir_holder(bc_io_posix(), path, pid);
}

void bitcask_announce_close(bitcask *db)
{
    bc_store_dir_announce_close(db);
}

bitcask_status bitcask_close(bitcask **db)
{
    ENTER();
    return bc_db_close(db);
}

bitcask_status bitcask_sync(bitcask *db)
{
    ENTER();
    return bc_db_sync(db);
}

/* ---- partitions ---- */

bitcask_status bitcask_partition_open(bitcask *db, const char *path, bitcask_partition **out)
{
    struct bitcask_partition *node = db->root;

    ENTER();
    if (!path) return bc_fail(BITCASK_BAD_ARGUMENT, "the path of the partition is NULL");
    bc_node_ref(node);
    while (*path) {
        size_t size = strcspn(path, "/");
        struct bitcask_partition *child = NULL;
        bc_status status = bitcask_check_name(path, size);

        if (status == BITCASK_OK && path[size] == '/' && path[size + 1] == '\0')
            status = bc_fail(BITCASK_BAD_NAME, "the path of a partition ends in '/'");
        if (status == BITCASK_OK) status = bc_tree_open(node, path, size, &child);
        bc_node_unref(&node);
        if (status != BITCASK_OK) return status;
        node = child;
        path += size + (path[size] == '/');
    }
    *out = node;
    return BITCASK_OK;
}

bitcask_status bitcask_partition_open_at(bitcask_partition *parent, const void *name, size_t name_size,
                                         bitcask_partition **partition)
{
    ENTER();
    bc_status status = bitcask_check_name(name, name_size);
    return status == BITCASK_OK ? bc_tree_open(parent, name, name_size, partition) : status;
}

bitcask_status bitcask_partition_open_files(bitcask *db, bitcask_partition **files)
{
    ENTER();
    bc_node_ref(db->inodes);
    *files = db->inodes;
    return BITCASK_OK;
}

static bc_status check_no_files(const bitcask_partition *partition)
{
    return bc_is_files(partition) ? bc_fail(BITCASK_BAD_ARGUMENT, "files by number have no directory") : BITCASK_OK;
}

void bitcask_partition_close(bitcask_partition **partition)
{
    bc_node_unref(partition);
}

bitcask_status bitcask_partition_create(bitcask_partition *parent, const void *name, size_t name_size,
                                        const bitcask_attrs *attrs, unsigned flags, bitcask_partition **partition)
{
    ENTER();
    bc_status status = bitcask_check_name(name, name_size);
    if (status == BITCASK_OK) status = bc_check_attrs(attrs);
    if (status == BITCASK_OK) status = check_no_files(parent);
    return status == BITCASK_OK ? bc_tree_create(parent, name, name_size, attrs, flags, partition) : status;
}

bitcask_status bitcask_partition_drop(bitcask_partition *parent, const void *name, size_t name_size, unsigned flags)
{
    ENTER();
    bc_status status = bitcask_check_name(name, name_size);
    if (status != BITCASK_OK) return status;
    do {
        status = bc_tree_drop(parent, name, name_size, flags);
    } while (bc_is_full(status) && bc_db_reclaim(parent));
    return status;
}

uint64_t bitcask_partition_id(const bitcask_partition *partition)
{
    return partition->id;
}

uint64_t bitcask_derived_ino(const bitcask_partition *partition, const void *key, size_t key_size)
{
    return bc_derived_ino(partition->id, key, key_size);
}

/* Where a partition's own record stands: in its parent, under its name; the root's in itself. */
struct own_record {
    struct bitcask_partition *node; /* counted */
    uint8_t key[BITCASK_NAME_MAX];
    size_t key_size;
};

static bool is_root(const struct bitcask_partition *partition)
{
    return partition->id == BC_ROOT_ID;
}

static bc_status find_own_record(struct bitcask_partition *partition, struct own_record *own)
{
    bc_status status = check_no_files(partition);

    if (status != BITCASK_OK) return status;
    pthread_mutex_lock(&partition->db->nodes_lock);
    if (partition->dropped) {
        status = BITCASK_NOT_FOUND;
    } else if (is_root(partition)) {
        own->node = partition;
        own->key[0] = 0;
        own->key[1] = BC_KEY_SELF;
        own->key_size = 2;
    } else {
        own->node = partition->parent;
        own->key_size = partition->name_size;
        memcpy(own->key, partition->name, partition->name_size);
    }
    if (status == BITCASK_OK) own->node->users++;
    pthread_mutex_unlock(&partition->db->nodes_lock);
    return status;
}

bitcask_status bitcask_partition_stat(bitcask_partition *partition, bitcask_entry *entry)
{
    struct bc_partition *instance;
    struct own_record own;
    struct bc_entry found = {0};

    ENTER();
    bc_status status = find_own_record(partition, &own);
    if (status != BITCASK_OK) return status;
    status = bc_node_pin_reading(own.node, &instance);
    if (status == BITCASK_OK) {
        status = bc_partition_find(instance, own.key, own.key_size, &found);
        bc_node_unpin(own.node);
    }
    bc_node_unref(&own.node);
    if (status == BITCASK_NOT_FOUND && is_root(partition)) status = BITCASK_OK;
    if (status != BITCASK_OK) return status;
    found.flags |= BC_ENTRY_PARTITION;
    found.child_id = partition->id;
    bc_entry_to_public(partition->id, &found, NULL, 0, entry);
    if (is_root(partition)) entry->ino = entry->attrs.ino = 1;
    return BITCASK_OK;
}

bitcask_status bitcask_partition_set_attrs(bitcask_partition *partition, const bitcask_attrs *attrs, unsigned flags)
{
    struct own_record own;

    ENTER();
    bc_status status = bc_check_attrs(attrs);
    if (status == BITCASK_OK) status = find_own_record(partition, &own);
    if (status != BITCASK_OK) return status;
    status = bc_node_set_attrs(own.node, own.key, own.key_size, attrs, flags, NULL);
    bc_node_unref(&own.node);
    return status;
}

bitcask_status bitcask_partition_xattrs(bitcask_partition *partition, bitcask_value **xattrs)
{
    struct bc_partition *instance;
    struct own_record own;
    struct bc_value *value = NULL;

    ENTER();
    bc_status status = find_own_record(partition, &own);
    if (status != BITCASK_OK) return status;
    status = bc_node_pin_reading(own.node, &instance);
    if (status == BITCASK_OK) {
        status = bc_partition_pin(instance, own.key, own.key_size, &value);
        bc_node_unpin(own.node);
    }
    bc_node_unref(&own.node);
    if (status == BITCASK_OK) status = bc_value_load(value);
    if (status != BITCASK_OK) {
        bc_value_close(&value);
        return status;
    }
    value->data = value->entry.attrs.xattrs;
    value->entry.value_size = (uint32_t)value->entry.attrs.xattrs_size;
    *xattrs = (bitcask_value *)value;
    return BITCASK_OK;
}

bitcask_status bitcask_partition_sync(bitcask_partition *partition)
{
    ENTER();
    return bc_node_sync(partition);
}

bitcask_status bitcask_reserve(bitcask_partition *partition, uint64_t bytes)
{
    struct bc_partition *instance;

    ENTER();
    bc_status status = bc_node_pin(partition, &instance);
    if (status != BITCASK_OK) return status;
    bc_fair_lock(&instance->write_lock);
    status = bc_partition_writable(instance);
    if (status == BITCASK_OK) status = bc_partition_make_ready(instance, bytes, false);
    if (status == BITCASK_OK) instance->reserved += bytes;
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(partition);
    return status;
}

void bitcask_unreserve(bitcask_partition *partition, uint64_t bytes)
{
    struct bc_partition *instance = bc_node_pin_if_open(partition);

    if (!instance) return;
    bc_fair_lock(&instance->write_lock);
    instance->reserved -= bytes < instance->reserved ? bytes : instance->reserved;
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(partition);
}

uint64_t bitcask_record_bound(size_t key_size, uint64_t value_size, size_t xattrs_size)
{
    const struct bc_write tombstone = {.key_size = key_size};
    const struct bc_write put = {.key_size = key_size + xattrs_size};

    uint64_t bound = bc_writes_bound(&tombstone, 1) + bc_writes_bound(&put, 1) + value_size;

    /* A large one is cut into extents, with an inode, a link and an intent beside them, and a file may have to be
     * begun. */
    if (value_size > BITCASK_SMALL_MAX) bound += (value_size >> BC_EXTENT_SHIFT) * 256 + 131072;
    return bound;
}

/* ---- keys ---- */

bitcask_status bitcask_stat(bitcask_partition *partition, const void *key, size_t key_size, bitcask_entry *entry)
{
    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    return status == BITCASK_OK ? bc_node_stat(partition, key, key_size, entry) : status;
}

bitcask_status bitcask_pin(bitcask_partition *partition, const void *key, size_t key_size, bitcask_value **value)
{
    struct bc_value *pinned = NULL;

    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    if (status == BITCASK_OK) status = bc_node_pin_value(partition, key, key_size, &pinned);
    if (status == BITCASK_OK) *value = (bitcask_value *)pinned;
    return status;
}

/* Operations of this thread, to tell which are timed. */
static _Thread_local unsigned gets_begun, puts_begun;

static bc_status load(struct bc_value *value)
{
    return value->above ? bc_pinned_load(value) : bc_value_load(value);
}

bitcask_status bitcask_get(bitcask_partition *partition, const void *key, size_t key_size, bitcask_value **value)
{
    const struct bc_sample sample = bc_sample_begin(&gets_begun);
    bitcask_value *pinned = NULL;
    bc_status status = bitcask_pin(partition, key, key_size, &pinned);

    if (status == BITCASK_OK) status = load(&pinned->value);
    if (sample.weight > 0) bc_node_time(partition, BC_TIMED_GET, &sample);
    if (status == BITCASK_OK)
        *value = pinned;
    else
        bitcask_value_unpin(&pinned);
    return status;
}

/* Ends the timing of what was read of a pinned value. */
static void end_get(const struct bc_value *value, const struct bc_sample *sample)
{
    /* Every value that the public interface hands out is of an open store, which its environment is the first part of. */
    if (sample->weight > 0)
        bc_db_time((struct bitcask *)(uintptr_t)value->env, value->partition_id, BC_TIMED_GET, sample);
}

bitcask_status bitcask_value_load(bitcask_value *value)
{
    struct bc_sample sample = {0};

    ENTER();
    if (!value->value.loaded || value->value.above) sample = bc_sample_begin(&gets_begun);
    bc_status status = load(&value->value);
    end_get(&value->value, &sample);
    return status;
}

void bitcask_value_unload(bitcask_value *value)
{
    if (value->value.above)
        bc_pinned_unload(&value->value);
    else
        bc_value_unload(&value->value);
}

bitcask_status bitcask_value_read(bitcask_value *value, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    uint64_t whole = value->value.entry.value_size;

    struct bc_sample sample = {0};
    bc_status status;

    ENTER();
    if (!value->value.loaded || value->value.above) sample = bc_sample_begin(&gets_begun);
    if (value->value.above) {
        status = bc_pinned_read(&value->value, offset, buffer, size, got);
        end_get(&value->value, &sample);
        return status;
    }
    *got = 0;
    status = bc_value_load(&value->value);
    end_get(&value->value, &sample);
    if (status != BITCASK_OK || offset >= whole) return status;
    if (size > whole - offset) size = (size_t)(whole - offset);
    status = bc_value_copy(&value->value, offset, buffer, size);
    if (status == BITCASK_OK) *got = size;
    return status;
}

const void *bitcask_value_data(const bitcask_value *value)
{
    return value->value.above ? bc_pinned_data(&value->value) : value->value.data;
}

uint64_t bitcask_value_size(const bitcask_value *value)
{
    return value->value.above ? bc_pinned_size(&value->value) : value->value.entry.value_size;
}

bitcask_status bitcask_value_seek(bitcask_value *value, uint64_t offset, bool hole, uint64_t *found)
{
    ENTER();
    if (value->value.above) return bc_pinned_seek(&value->value, offset, hole, found);
    if (offset >= value->value.entry.value_size) return BITCASK_NOT_FOUND;
    *found = hole ? value->value.entry.value_size : offset;
    return BITCASK_OK;
}

void bitcask_value_entry(const bitcask_value *value, bitcask_entry *entry)
{
    if (value->value.above)
        bc_pinned_entry(&value->value, entry);
    else
        bc_entry_to_public(value->value.partition_id, &value->value.entry, value->value.key, value->value.key_size,
                           entry);
    entry->key = NULL;
    entry->key_size = 0;
}

void bitcask_value_unpin(bitcask_value **value)
{
    struct bc_value *pinned = (struct bc_value *)*value;

    if (pinned && pinned->above)
        bc_pinned_close(&pinned);
    else
        bc_value_close(&pinned);
    *value = NULL;
}

/* What syncs is timed each time. */
static struct bc_sample begin_put(const bitcask_partition *partition, const bitcask_write_options *options)
{
    bool durable = (options && (options->flags & BITCASK_DURABLE)) || partition->db->sync == BITCASK_SYNC_ALWAYS;

    return durable ? bc_sample_always() : bc_sample_begin(&puts_begun);
}

bitcask_status bitcask_put(bitcask_partition *partition, const void *key, size_t key_size, const void *value,
                           size_t value_size, const bitcask_write_options *options, uint64_t *version)
{
    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    if (status == BITCASK_OK) status = bc_check_value(value, value_size);
    if (status == BITCASK_OK && options) status = bc_check_attrs(options->attrs);
    if (status != BITCASK_OK) return status;
    const struct bc_sample sample = begin_put(partition, options);
    status = bc_node_put(partition, key, key_size, value, value_size, options, version);
    if (sample.weight > 0) bc_node_time(partition, BC_TIMED_PUT, &sample);
    return status;
}

bitcask_status bitcask_delete(bitcask_partition *partition, const void *key, size_t key_size,
                              const bitcask_write_options *options)
{
    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    if (status != BITCASK_OK) return status;
    const struct bc_sample sample = begin_put(partition, options);
    do {
        status = bc_node_delete(partition, key, key_size, options);
    } while (bc_is_full(status) && bc_db_reclaim(partition));
    if (sample.weight > 0) bc_node_time(partition, BC_TIMED_PUT, &sample);
    return status;
}

bitcask_status bitcask_set_attrs(bitcask_partition *partition, const void *key, size_t key_size,
                                 const bitcask_attrs *attrs, unsigned flags, uint64_t *version)
{
    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    if (status == BITCASK_OK && !attrs) status = bc_fail(BITCASK_BAD_ARGUMENT, "attrs is NULL");
    if (status == BITCASK_OK) status = bc_check_attrs(attrs);
    return status == BITCASK_OK ? bc_node_set_attrs(partition, key, key_size, attrs, flags, version) : status;
}

bitcask_status bitcask_link(bitcask_partition *from, const void *from_key, size_t from_key_size, bitcask_partition *to,
                            const void *to_key, size_t to_key_size, unsigned flags)
{
    ENTER();
    const bitcask_move_item item = {.from = from,
                                    .from_key = from_key,
                                    .from_key_size = from_key_size,
                                    .to = to,
                                    .to_key = to_key,
                                    .to_key_size = to_key_size,
                                    .flags = BITCASK_LINK};

    (void)flags; /* with its intent it is durable anyway */
    if (from->db != to->db) return bc_fail(BITCASK_BAD_ARGUMENT, "the two names are in different stores");
    return bitcask_move(from->db, &item, 1, NULL);
}

static bc_status check_move(const bitcask_move_item *item)
{
    unsigned flags = item->flags;
    bc_status status = bitcask_check_name(item->from_key, item->from_key_size);

    if (status == BITCASK_OK && !(flags & BITCASK_REMOVE)) status = bitcask_check_name(item->to_key, item->to_key_size);
    if (status == BITCASK_OK) status = bc_check_attrs(item->attrs);
    if (status != BITCASK_OK) return status;
    if ((flags & ~(unsigned)(BITCASK_NOREPLACE | BITCASK_EXCHANGE | BITCASK_LINK | BITCASK_REMOVE)) ||
        (flags & (flags - 1)))
        return bc_fail(BITCASK_BAD_ARGUMENT, "a move is plain, or one of noreplace, exchange, link and remove");
    if (!(flags & BITCASK_LINK)) status = check_no_files(item->from);
    if (status == BITCASK_OK && !(flags & BITCASK_REMOVE)) status = check_no_files(item->to);
    return status;
}

bitcask_status bitcask_move(bitcask *db, const bitcask_move_item *items, size_t count, size_t *done)
{
    ENTER();
    if (done) *done = 0;
    for (size_t i = 0; i < count; i++) {
        bc_status status = check_move(&items[i]);

        if (status != BITCASK_OK) return status;
    }
    size_t moved = 0;
    bc_status status;
    do {
        size_t now = 0;
        status = bc_db_move(db, items + moved, count - moved, &now);
        moved += now;
    } while (bc_is_full(status) && moved < count && bc_db_reclaim(items[moved].from));
    if (done) *done = moved;
    return status;
}

/* ---- queries ---- */

bitcask_status bitcask_query_open(bitcask_partition *partition, const bitcask_query_options *options,
                                  bitcask_query **query)
{
    ENTER();
    return bc_query_open(partition, options, query);
}

bitcask_status bitcask_query_next(bitcask_query *query, bitcask_entry *entry)
{
    ENTER();
    return bc_query_next(query, entry);
}

void bitcask_query_close(bitcask_query **query)
{
    bc_query_close(query);
}
