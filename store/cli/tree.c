/* tree.c - going through a partition and all below it, name by name.
 *
 * The partitions on the way are a stack of our own: how deep they are nested is up to whoever writes the store. A query
 * takes constant memory, so that its partition may hold any number of names.
 */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct level {
    bitcask_partition *partition;
    bitcask_query *query;
    bitcask_entry entry; /* its own; the key's bytes are the end of the path */
    size_t path_size;
};

struct walk {
    const struct cli_store *store;
    const char *base; /* where it began, for messages */
    const struct cli_visitor *visitor;
    struct level *levels;
    size_t depth, room;
    char *path; /* of what is visited now */
    size_t path_room;
    bool stopped;
    int status;
};

static void tell(struct walk *walk, bitcask_status status)
{
    char *path = NULL;

    if (walk->visitor->silent) {
        walk->status = CLI_FAILED;
        return;
    }
    bool joined = *walk->base && walk->path[0];

    if (asprintf(&path, "%s%s%s", walk->base, joined ? "/" : "", walk->path) < 0) path = NULL;
    walk->status = cli_fail(walk->store, path ? path : walk->base, status);
    free(path);
}

static void stop_without_memory(struct walk *walk)
{
    walk->status = cli_error("out of memory");
    walk->stopped = true;
}

/* Puts the name behind the first size bytes of the path. Returns the new size; 0: no memory. */
static size_t set_path(struct walk *walk, size_t size, const void *name, size_t name_size)
{
    size_t needed = size + 1 + name_size + 1;

    if (needed > walk->path_room) {
        char *grown = realloc(walk->path, 2 * needed);
        if (!grown) {
            stop_without_memory(walk);
            return 0;
        }
        walk->path = grown;
        walk->path_room = 2 * needed;
    }
    if (size > 0) walk->path[size++] = '/';
    memcpy(walk->path + size, name, name_size);
    size += name_size;
    walk->path[size] = 0;
    return size;
}

static bool visit(struct walk *walk, bool (*function)(void *context, const struct cli_place *place),
                  bitcask_partition *partition, bitcask_partition *parent, const bitcask_entry *entry)
{
    struct cli_place place = {.path = walk->path, .partition = partition, .parent = parent, .entry = entry};

    if (function && !function(walk->visitor->context, &place)) walk->stopped = true;
    return !walk->stopped;
}

/* Visits the partition, whose path is set, and puts it on the stack. Takes it over, also when it fails. */
static void enter(struct walk *walk, bitcask_partition *partition, const bitcask_entry *entry, size_t path_size)
{
    bitcask_query_options options = {.partitions = walk->visitor->only_partitions};
    struct level level = {.partition = partition, .entry = *entry, .path_size = path_size};
    bitcask_partition *parent = walk->depth > 0 ? walk->levels[walk->depth - 1].partition : NULL;

    if (walk->depth == walk->room) {
        size_t room = walk->room ? 2 * walk->room : 16;
        struct level *grown = realloc(walk->levels, room * sizeof(*grown));
        if (!grown) {
            stop_without_memory(walk);
            bitcask_partition_close(&partition);
            return;
        }
        walk->levels = grown;
        walk->room = room;
    }
    bitcask_status status = BITCASK_OK;
    if (visit(walk, walk->visitor->enter, partition, parent, entry))
        status = bitcask_query_open(partition, &options, &level.query);
    if (level.query) {
        walk->levels[walk->depth++] = level;
        return;
    }
    if (status != BITCASK_OK && (status != BITCASK_NOT_FOUND || walk->depth == 0)) tell(walk, status);
    bitcask_partition_close(&partition);
}

static void leave(struct walk *walk, bitcask_status why)
{
    struct level *top = &walk->levels[--walk->depth];

    bitcask_query_close(&top->query);
    walk->path[top->path_size] = 0;
    if (!walk->stopped) {
        bool whole = why == BITCASK_NOT_FOUND;
        if (!whole) tell(walk, why);
        const char *name = strrchr(walk->path, '/');
        top->entry.key = walk->depth > 0 ? (name ? name + 1 : walk->path) : NULL;
        if (whole)
            visit(walk, walk->visitor->leave, top->partition,
                  walk->depth > 0 ? walk->levels[walk->depth - 1].partition : NULL, &top->entry);
    }
    bitcask_partition_close(&top->partition);
}

/* Goes on with the topmost partition: its next name, or its end. */
static void step(struct walk *walk)
{
    struct level *top = &walk->levels[walk->depth - 1];
    bitcask_partition *child = NULL;
    bitcask_entry entry;

    bitcask_status status = walk->stopped ? BITCASK_NOT_FOUND : bitcask_query_next(top->query, &entry);
    if (status != BITCASK_OK) {
        leave(walk, status);
        return;
    }
    size_t size = set_path(walk, top->path_size, entry.key, entry.key_size);
    if (size == 0) return;
    if (entry.kind == BITCASK_KEY) {
        visit(walk, walk->visitor->key, top->partition, NULL, &entry);
        return;
    }
    status = bitcask_partition_open_at(top->partition, entry.key, entry.key_size, &child);
    if (status == BITCASK_OK)
        enter(walk, child, &entry, size);
    else if (status != BITCASK_NOT_FOUND)
        tell(walk, status);
}

int cli_tree_walk(const struct cli_store *store, const char *path, const struct cli_visitor *visitor)
{
    struct walk walk = {.store = store, .base = path, .visitor = visitor};
    bitcask_partition *partition = NULL;
    bitcask_entry entry;

    set_path(&walk, 0, "", 0);
    if (walk.stopped) return walk.status;
    bitcask_status status = bitcask_partition_open(store->db, path, &partition);
    if (status == BITCASK_OK) status = bitcask_partition_stat(partition, &entry);
    if (status == BITCASK_OK) {
        enter(&walk, partition, &entry, 0);
    } else {
        tell(&walk, status);
        bitcask_partition_close(&partition);
    }
    while (walk.depth > 0) step(&walk);
    free(walk.levels);
    free(walk.path);
    return walk.status;
}
