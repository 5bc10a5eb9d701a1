/* pinned.c - the content of an inode held for a reader: only the extents that a range touches are read.
 *
 * Its map was copied when it was pinned, and a hold keeps the extents that the map names, whatever becomes of the
 * inode. The extent read last is kept at hand: ranges mostly follow one another, and each extent is checked as a whole.
 */
#include "db/inodes.h"

#include <stdlib.h>
#include <string.h>

/* What a pinned value has above it. */
struct pinned {
    struct bitcask *db;
    uint64_t ino;
    uint64_t size;
    uint32_t links;
    uint8_t extent_shift;
    struct bc_run *runs; /* owned */
    size_t run_count;
    pthread_mutex_t lock;  /* guards all to the end */
    struct bc_value *last; /* the extent that was read last, loaded, */
    uint64_t last_number;  /* and its number */
    uint8_t *whole;        /* all of it, owned; NULL: not loaded, or inline */
    bool loaded;
};

static struct pinned *of(const struct bc_value *value)
{
    return value->above;
}

void bc_pinned_close(struct bc_value **pointer)
{
    struct bc_value *value = *pointer;
    struct pinned *pinned = value->above;

    bc_value_close(&pinned->last);
    free(pinned->whole);
    free(pinned->runs);
    pthread_mutex_destroy(&pinned->lock);
    bc_hold_drop(pinned->db, pinned->ino);
    free(pinned);
    bc_value_close(pointer);
}

/* Pins and loads the record of the inode, which the caller holds. */
static bc_status open_record(struct bitcask *db, uint64_t ino, struct bc_value **value, struct bc_inode_body *body)
{
    struct bc_partition *inodes;
    uint8_t key[BC_INODE_KEY_SIZE];
    bc_status status = bc_node_pin_reading(db->inodes, &inodes);

    if (status != BITCASK_OK) return status;
    bc_inode_key(ino, key);
    status = bc_partition_pin(inodes, key, sizeof key, value);
    bc_node_unpin(db->inodes);
    if (status != BITCASK_OK) return status;
    status = bc_value_load(*value);
    if (status == BITCASK_OK) status = bc_inode_decode((*value)->data, (*value)->entry.value_size, body);
    if (status != BITCASK_OK) bc_value_close(value);
    return status;
}

bc_status bc_inode_pin(struct bitcask *db, uint64_t ino, struct bc_value **out)
{
    struct pinned *pinned = calloc(1, sizeof *pinned);
    struct bc_inode_body body;
    struct bc_value *value = NULL;
    bc_status status;

    if (!pinned || pthread_mutex_init(&pinned->lock, NULL) != 0) {
        free(pinned);
        return BITCASK_NO_MEMORY;
    }
    status = bc_hold_take(db, ino);
    if (status == BITCASK_OK) {
        status = open_record(db, ino, &value, &body);
        if (status == BITCASK_OK) status = bc_runs_copy(&body, &pinned->runs, &pinned->run_count);
        if (status != BITCASK_OK) bc_hold_drop(db, ino);
    }
    if (status != BITCASK_OK) {
        bc_value_close(&value);
        pthread_mutex_destroy(&pinned->lock);
        free(pinned);
        return status;
    }
    pinned->db = db;
    pinned->ino = ino;
    pinned->size = body.size;
    pinned->links = body.links;
    pinned->extent_shift = body.extent_shift;
    value->above = pinned;
    *out = value;
    return BITCASK_OK;
}

/* Has the extent at hand; *value NULL: a hole. lock held. */
static bc_status take_extent(struct pinned *pinned, uint64_t number, struct bc_value **value)
{
    const struct bc_run *run = bc_runs_find(pinned->runs, pinned->run_count, number);
    struct bc_partition *inodes;
    uint8_t key[BC_EXTENT_KEY_SIZE];
    bc_status status;

    *value = pinned->last;
    if (pinned->last && pinned->last_number == number) return BITCASK_OK;
    *value = NULL;
    if (!run) return BITCASK_OK;
    bc_value_close(&pinned->last);
    bc_extent_key(run->value_id, number, key);
    status = bc_node_pin_reading(pinned->db->inodes, &inodes);
    if (status != BITCASK_OK) return status;
    status = bc_partition_pin(inodes, key, sizeof key, &pinned->last);
    bc_node_unpin(pinned->db->inodes);
    if (status == BITCASK_NOT_FOUND)
        return bc_fail(BITCASK_CORRUPT, "extent %llu of inode %016llx is missing; restore the file from a backup",
                       (unsigned long long)number, (unsigned long long)pinned->ino);
    if (status == BITCASK_OK) status = bc_value_load(pinned->last);
    if (status != BITCASK_OK) bc_value_close(&pinned->last);
    pinned->last_number = number;
    *value = pinned->last;
    return status;
}

/* lock held; the range is within the content. */
static bc_status read_extents(struct pinned *pinned, uint64_t offset, uint8_t *out, uint64_t size)
{
    uint64_t extent_size = 1ull << pinned->extent_shift;

    while (size > 0) {
        uint64_t number = offset >> pinned->extent_shift, within = offset & (extent_size - 1), there = 0;
        uint64_t part = extent_size - within < size ? extent_size - within : size;
        struct bc_value *extent;
        bc_status status = take_extent(pinned, number, &extent);

        if (status != BITCASK_OK) return status;
        if (extent && extent->entry.value_size > within) there = extent->entry.value_size - within;
        if (there > part) there = part;
        if (there > 0) status = bc_value_copy(extent, within, out, there);
        if (status != BITCASK_OK) return status;
        memset(out + there, 0, part - there);
        offset += part;
        out += part;
        size -= part;
    }
    return BITCASK_OK;
}

bc_status bc_pinned_read(struct bc_value *value, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    struct pinned *pinned = of(value);
    bc_status status;

    *got = 0;
    if (offset >= pinned->size) return BITCASK_OK;
    if (size > pinned->size - offset) size = (size_t)(pinned->size - offset);
    if (pinned->extent_shift == 0) {
        status = bc_value_copy(value, BC_INODE_HEAD_SIZE + offset, buffer, size);
    } else {
        pthread_mutex_lock(&pinned->lock);
        status = read_extents(pinned, offset, buffer, size);
        pthread_mutex_unlock(&pinned->lock);
    }
    if (status == BITCASK_OK) *got = size;
    return status;
}

bc_status bc_pinned_load(struct bc_value *value)
{
    struct pinned *pinned = of(value);
    bc_status status = BITCASK_OK;

    pthread_mutex_lock(&pinned->lock);
    if (!pinned->loaded && pinned->extent_shift > 0 && pinned->size > 0) {
        pinned->whole = pinned->size <= SIZE_MAX / 2 ? malloc((size_t)pinned->size) : NULL;
        if (!pinned->whole)
            status =
                bc_fail(BITCASK_NO_MEMORY, "out of memory for a value of %llu bytes", (unsigned long long)pinned->size);
        else
            status = read_extents(pinned, 0, pinned->whole, pinned->size);
        if (status != BITCASK_OK) {
            free(pinned->whole);
            pinned->whole = NULL;
        }
    }
    if (status == BITCASK_OK) pinned->loaded = true;
    pthread_mutex_unlock(&pinned->lock);
    return status;
}

void bc_pinned_unload(struct bc_value *value)
{
    struct pinned *pinned = of(value);

    pthread_mutex_lock(&pinned->lock);
    bc_value_close(&pinned->last);
    free(pinned->whole);
    pinned->whole = NULL;
    pinned->loaded = false;
    pthread_mutex_unlock(&pinned->lock);
}

const void *bc_pinned_data(const struct bc_value *value)
{
    const struct pinned *pinned = of(value);

    if (!pinned->loaded || pinned->size == 0) return NULL;
    return pinned->extent_shift > 0 ? pinned->whole : value->data + BC_INODE_HEAD_SIZE;
}

uint64_t bc_pinned_extents(const struct bc_value *value)
{
    const struct pinned *pinned = of(value);
    uint64_t count = 0;

    for (size_t i = 0; i < pinned->run_count; i++) count += pinned->runs[i].count;
    return count;
}

uint64_t bc_pinned_size(const struct bc_value *value)
{
    return of(value)->size;
}

void bc_pinned_entry(const struct bc_value *value, bitcask_entry *entry)
{
    const struct pinned *pinned = of(value);
    const struct bc_inode_body body = {.links = pinned->links, .size = pinned->size};

    bc_inode_to_public(&value->entry, &body, pinned->ino, NULL, 0, entry);
    if (pinned->extent_shift > 0)
        entry->stored_size = bc_runs_bytes(pinned->runs, pinned->run_count, pinned->extent_shift, pinned->size);
}

void bc_pinned_map(const struct bc_value *value, uint64_t *ino, uint8_t *extent_shift, const struct bc_run **runs,
                   size_t *count)
{
    const struct pinned *pinned = of(value);

    *ino = pinned->ino;
    *extent_shift = pinned->extent_shift;
    *runs = pinned->runs;
    *count = pinned->run_count;
}

bc_status bc_pinned_seek(const struct bc_value *value, uint64_t offset, bool hole, uint64_t *found)
{
    const struct pinned *pinned = of(value);
    uint64_t number, at;

    if (offset >= pinned->size) return BITCASK_NOT_FOUND;
    *found = hole ? pinned->size : offset;
    if (pinned->extent_shift == 0) return BITCASK_OK;
    number = offset >> pinned->extent_shift;
    at = bc_runs_next(pinned->runs, pinned->run_count, number);
    if (!hole) {
        if (at == UINT64_MAX) return BITCASK_NOT_FOUND;
        if (at > number) *found = at << pinned->extent_shift;
        return *found < pinned->size ? BITCASK_OK : BITCASK_NOT_FOUND;
    }
    for (; at == number; at = bc_runs_next(pinned->runs, pinned->run_count, number)) {
        const struct bc_run *run = bc_runs_find(pinned->runs, pinned->run_count, number);
        number = run->first + run->count;
    }
    at = number << pinned->extent_shift;
    *found = at < offset ? offset : at < pinned->size ? at : pinned->size;
    return BITCASK_OK;
}

void bc_inode_to_public(const struct bc_entry *entry, const struct bc_inode_body *body, uint64_t ino, const void *key,
                        size_t key_size, bitcask_entry *out)
{
    struct bc_entry shown = *entry;

    if (!(shown.attrs.present & BITCASK_ATTR_INO)) shown.attrs.ino = ino;
    shown.attrs.present |= BITCASK_ATTR_INO;
    bc_entry_to_public(BC_INODES_ID, &shown, key, key_size, out);
    out->value_size = body->size;
    out->stored_size = body->size;
    out->nlink = body->links;
    out->file_id = ino;
    if (body->extent_shift == 0) return;
    out->stored_size = 0;
    for (size_t i = 0; i < body->run_count; i++) {
        const struct bc_run run = bc_inode_run(body, i);
        out->stored_size += bc_runs_bytes(&run, 1, body->extent_shift, body->size);
    }
}

bc_status bc_inode_stat(struct bitcask *db, uint64_t ino, const void *key, size_t key_size, bitcask_entry *out)
{
    struct bc_value *value = NULL;
    struct bc_inode_body body;
    bc_status status = open_record(db, ino, &value, &body);

    if (status != BITCASK_OK) return status;
    /* As stat has it: that there are xattrs, not which. */
    value->entry.attrs.xattrs = NULL;
    value->entry.attrs.xattrs_size = 0;
    bc_inode_to_public(&value->entry, &body, ino, key, key_size, out);
    bc_value_close(&value);
    return BITCASK_OK;
}
