/* small_store.c - see small_store.h.
 */
#include "small_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "partition/checkpoint.h"

#define BIG_SIZE 5000u /* two extents of 4 KiB */

const struct small_name small_names[SMALL_NAMES] = {
    {"", "a0", 1, 24, "a0"},       {"", "a1", 1, 24, "a1"},
    {"", "a2", 0, 24, "a2"},       {"", "a3", 0, 24, "a3"},
    {"", "a4", 2, 24, "a4"},       {"", "attrs", 0, 10, "attrs"},
    {"", "b0", 0, 15, "b0"},       {"", "b1", 0, 15, "b1"},
    {"", "c0", 0, 15, "c0"},       {"", "c1", 0, 15, "c1"},
    {"", "empty", 0, 0, "empty"},  {"", "big", 0, BIG_SIZE, "big"},
    {"", "last", 0, 30, "last"},   {"sub", "alias", 0, BIG_SIZE, "big"},
    {"sub", "moved", 0, 24, "a5"}, {"sub", "x", 1, 20, "x"},
    {"sub", "y", 0, 20, "y"},      {"sub/deep", "z", 0, 20, "z"},
};

static void must(bitcask_status status, const char *what)
{
    if (status == BITCASK_OK) return;
    fprintf(stderr, "small store: %s: %s (%s)\n", what, bitcask_status_text(status), bitcask_error_detail());
    exit(99);
}

void small_value(const char *key, int generation, size_t size, char out[SMALL_VALUE_MAX])
{
    char piece[32];
    size_t length = (size_t)snprintf(piece, sizeof piece, "%s.%d ", key, generation);
    for (size_t i = 0; i < size; i++) out[i] = piece[i % length];
}

bool small_value_was_put(const struct small_name *name, const void *value, size_t size)
{
    char wanted[SMALL_VALUE_MAX];
    for (int generation = 0; generation <= name->generation; generation++) {
        small_value(name->was, generation, name->size, wanted);
        if (size == name->size && memcmp(value, wanted, size) == 0) return true;
    }
    return false;
}

static void put(bitcask_partition *partition, const char *key, int generation, size_t size, const bitcask_attrs *attrs)
{
    char value[SMALL_VALUE_MAX];
    const bitcask_write_options options = {.attrs = attrs};
    small_value(key, generation, size, value);
    must(bitcask_put(partition, key, strlen(key), value, size, &options, NULL), key);
}

static void put_batch(bitcask_partition *partition, const char *first, const char *second, const char *deleted)
{
    bitcask_batch *batch = NULL;
    char values[2][SMALL_VALUE_MAX];
    small_value(first, 0, 15, values[0]);
    small_value(second, 0, 15, values[1]);
    must(bitcask_batch_open(partition, &batch), "batch");
    must(bitcask_batch_put(batch, first, strlen(first), values[0], 15, NULL), first);
    must(bitcask_batch_put(batch, second, strlen(second), values[1], 15, NULL), second);
    must(bitcask_batch_delete(batch, deleted, strlen(deleted)), deleted);
    must(bitcask_batch_commit(batch, 0, 0, NULL), "commit");
    bitcask_batch_close(&batch);
}

/* Seals the active segment and makes the hints that are due. */
static void seal(bitcask_partition *partition)
{
    struct bc_partition *instance;
    must(bitcask_rotate(partition, 0), "rotate");
    must(bc_node_pin(partition, &instance), "pin");
    bc_partition_make_hints(instance);
    bc_node_unpin(partition);
}

static void fill(bitcask *db, bitcask_partition *root)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | BITCASK_ATTR_MTIME | BITCASK_ATTR_XATTRS,
                                 .mode = 0100600,
                                 .mtime_ns = 5,
                                 .xattrs = "\1\6\3user.xval", /* the mount's form, but for one byte that is left out */
                                 .xattrs_size = 12};
    bitcask_partition *sub = NULL, *deep = NULL;
    const char *const first[] = {"a0", "a1", "a2", "a3", "a4", "a5"};
    for (size_t i = 0; i < 6; i++) put(root, first[i], 0, 24, NULL);
    put(root, "gone", 0, 24, NULL);
    put(root, "attrs", 0, 10, &attrs);
    must(bitcask_partition_create(root, "sub", 3, NULL, 0, &sub), "sub");
    put(sub, "x", 0, 20, NULL);
    put(sub, "y", 0, 20, NULL);
    must(bitcask_partition_create(sub, "deep", 4, NULL, 0, &deep), "deep");
    put(deep, "z", 0, 20, NULL);
    seal(root);
    put(root, "a0", 1, 24, NULL);
    put_batch(root, "b0", "b1", "gone");
    put(root, "a4", 1, 24, NULL);
    put(root, "big", 0, BIG_SIZE, NULL);
    must(bitcask_link(root, "big", 3, sub, "alias", 5, 0), "link");
    put(root, "empty", 0, 0, NULL);
    put(sub, "x", 1, 20, NULL);
    seal(root);
    put(root, "a1", 1, 24, NULL);
    put(root, "a4", 2, 24, NULL);
    put(root, "dropped", 0, 24, NULL);
    put_batch(root, "c0", "c1", "dropped");
    const bitcask_move_item item = {
        .from = root, .from_key = "a5", .from_key_size = 2, .to = sub, .to_key = "moved", .to_key_size = 5};
    must(bitcask_move(db, &item, 1, NULL), "move");
    put(root, "last", 0, 30, NULL);
    bitcask_partition_close(&deep);
    bitcask_partition_close(&sub);
}

bitcask_status small_store_open(struct bc_io *io, bool read_only, bitcask **db)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.sync = BITCASK_SYNC_OS;
    options.create = !read_only;
    options.read_only = read_only;
    options.segment_size = 65536;
    bitcask_status status = bc_db_open(io, SMALL_STORE, &options, db);
    if (status != BITCASK_OK) return status;
    (*db)->inline_max = 1500;
    (*db)->extent_shift = 12;
    return status;
}

void small_store_make(struct bc_io *io)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bc_checkpoint_limits.least = 1;
    bc_checkpoint_limits.keys = 0;
    must(small_store_open(io, false, &db), "open");
    must(bitcask_partition_open(db, "", &root), "root");
    fill(db, root);
    bitcask_partition_close(&root);
    must(bitcask_close(&db), "close");
}

/* ---- files ---- */

struct listing {
    char names[SMALL_FILES_MAX][64];
    size_t count;
};

static bool note(void *context, const char *name)
{
    struct listing *listing = context;
    if (listing->count == SMALL_FILES_MAX || strlen(name) >= 64) exit(99);
    strcpy(listing->names[listing->count++], name);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void collect(struct bc_io *io, const char *path, char files[SMALL_FILES_MAX][128], size_t *count)
{
    struct listing listing = {.count = 0};
    struct bc_file_info info = {0};
    int fd = -1;
    must(bc_io_open(io, BC_AT_CWD, path, BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd), path);
    must(bc_io_list(io, fd, path, note, &listing), path);
    must(bc_io_close(io, &fd), path);
    qsort(listing.names, listing.count, sizeof *listing.names, by_name);
    for (size_t i = 0; i < listing.count; i++) {
        char below[256];
        snprintf(below, sizeof below, "%.150s/%s", path, listing.names[i]);
        if (bc_io_open(io, BC_AT_CWD, below, BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd) == BITCASK_OK) {
            must(bc_io_info(io, fd, below, &info), below);
            must(bc_io_close(io, &fd), below);
            if (info.is_directory) collect(io, below, files, count);
            if (info.is_directory) continue;
        }
        if (*count == SMALL_FILES_MAX || strlen(below) >= 128) exit(99);
        strcpy(files[(*count)++], below);
    }
}

size_t small_store_files(struct bc_io *io, char files[SMALL_FILES_MAX][128])
{
    size_t count = 0;
    collect(io, SMALL_STORE, files, &count);
    return count;
}

uint8_t *small_store_read(struct bc_io *io, const char *path, size_t *size)
{
    struct bc_file_info info;
    int fd = -1;
    must(bc_io_open(io, BC_AT_CWD, path, BC_OPEN_READ, &fd), path);
    must(bc_io_info(io, fd, path, &info), path);
    uint8_t *data = malloc((size_t)info.size + 1);
    if (!data) exit(99);
    must(bc_io_read(io, fd, path, data, (size_t)info.size, 0, size), path);
    must(bc_io_close(io, &fd), path);
    return data;
}

void small_store_write(struct bc_io *io, const char *path, const void *data, size_t size)
{
    const struct iovec iov = {(void *)(uintptr_t)data, size};
    int fd = -1;
    must(bc_io_open(io, BC_AT_CWD, path, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_TRUNCATE, &fd), path);
    if (size > 0) must(bc_io_write(io, fd, path, &iov, 1, 0), path);
    must(bc_io_close(io, &fd), path);
}
