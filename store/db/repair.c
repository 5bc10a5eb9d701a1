/* repair.c - a store repaired from its files, partition by partition, parents first.
 *
 * A store that is damaged may not open at all: so this opens none. It takes the lock that keeps everyone else out, and
 * looks at the files before recovery would. Only a directory's log says which partitions are below it, so each is
 * repaired before it is read for them, and read as a reader would: nothing but what is damaged is changed. What a crash
 * interrupted is left to the next open.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db/maintain.h"
#include "partition/data_file.h"
#include "partition/verify.h"

/* A partition to be repaired. */
struct todo {
    uint64_t id, parent_id;
    char *path; /* owned */
};

struct repair {
    struct bitcask *db;
    const bitcask_verify_options *options;
    bitcask_verify_result *result;
    bitcask_progress progress;
    uint64_t started_ns;
    struct todo *list; /* those that are done in front */
    size_t count, room;
    struct bc_index *seen; /* ids, as keys: a damaged or hostile record may lead back up */
    bc_status failed;      /* in a function that can only say stop */
};

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- telling ---- */

static bool found(void *context, const bitcask_finding *finding)
{
    struct repair *repair = context;

    return !repair->options->found || repair->options->found(repair->options->context, finding);
}

static bool pace(void *context, uint64_t bytes)
{
    struct repair *repair = context;
    bitcask_progress *progress = &repair->progress;

    progress->bytes_done += bytes;
    if (progress->bytes_total < progress->bytes_done) progress->bytes_total = progress->bytes_done;
    progress->elapsed_ns = monotonic_ns() - repair->started_ns;
    return !repair->options->progress || repair->options->progress(repair->options->context, progress);
}

static struct bc_verify verify_of(struct repair *repair, const char *path)
{
    return (struct bc_verify){.env = &repair->db->env,
                              .path = path,
                              .found = found,
                              .pace = pace,
                              .context = repair,
                              .result = repair->result};
}

/* ---- what is to be done ---- */

/* Adds a partition, once. */
static bc_status add_todo(struct repair *repair, uint64_t id, uint64_t parent_id, const char *parent_path,
                          const void *name, size_t name_size)
{
    size_t parent_size = strlen(parent_path);
    const struct bc_entry entry = {.offset = 0};
    struct todo *list;
    bool had = false;
    uint8_t key[8];
    char *path;
    bc_status status;

    bc_put_u64(key, id);
    status = bc_index_put(repair->seen, key, sizeof key, &entry, &had, NULL);
    if (status != BITCASK_OK || had) return status;
    list = bc_list_room(repair->list, repair->count, &repair->room, sizeof *list);
    if (!list) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a list of partitions");
    repair->list = list;
    path = malloc(parent_size + name_size + 2);
    if (!path) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a path");
    memcpy(path, parent_path, parent_size);
    if (parent_size > 0) path[parent_size++] = '/';
    memcpy(path + parent_size, name, name_size);
    path[parent_size + name_size] = '\0';
    list[repair->count++] = (struct todo){id, parent_id, path};
    return BITCASK_OK;
}

/* Opens a partition as a reader does: its own log and what intents have for it, with nothing changed on disk. */
static bc_status open_to_read(struct repair *repair, uint64_t id, uint64_t parent_id, const char *path,
                              struct bc_partition **instance)
{
    bc_status status = bc_partition_open(&repair->db->env, id, parent_id, path, instance);

    if (status == BITCASK_OK && repair->db->redo_count > 0) status = bc_intents_apply(repair->db, *instance);
    if (status != BITCASK_OK) bc_partition_abandon(instance);
    return status;
}

struct parent {
    struct repair *repair;
    struct todo todo; /* a copy: the list moves when it grows */
};

static bool add_child(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct parent *parent = context;
    struct repair *repair = parent->repair;

    if (!(entry->flags & BC_ENTRY_PARTITION)) return true;
    repair->failed = add_todo(repair, entry->child_id, parent->todo.id, parent->todo.path, key, key_size);
    return repair->failed == BITCASK_OK;
}

/* Adds what is below a partition that was repaired. One that still does not open is told: what is below is not reached.
 */
static bc_status add_children(struct repair *repair, size_t i)
{
    static const uint8_t first = 1; /* behind the store's own keys */
    struct parent parent = {repair, repair->list[i]};
    struct bc_verify verify = verify_of(repair, parent.todo.path);
    struct bc_partition *instance = NULL;
    char why[300];
    bc_status status = open_to_read(repair, parent.todo.id, parent.todo.parent_id, parent.todo.path, &instance);

    if (status == BITCASK_CORRUPT) {
        snprintf(why, sizeof why, "%s", bc_detail());
        return bc_tell_file(&verify, BITCASK_FOUND_DAMAGE, "", "it still does not open: %s", why);
    }
    if (status != BITCASK_OK) return status;
    status = bc_index_walk(instance->index, BC_SEEK_GE, &first, 1, SIZE_MAX, add_child, &parent);
    bc_partition_abandon(&instance);
    return status == BITCASK_OK ? repair->failed : status;
}

/* The partition at path, through directories that must be readable. */
static bc_status resolve(struct repair *repair, const char *path)
{
    uint64_t id = BC_ROOT_ID, parent_id = BC_ROOT_ID;
    const char *rest = path += strspn(path, "/");
    size_t path_size = strlen(path);

    while (*rest != '\0') {
        size_t size = strcspn(rest, "/");
        struct bc_partition *instance = NULL;
        struct bc_entry entry = {0};
        bc_status status = open_to_read(repair, id, parent_id, "", &instance);

        if (status != BITCASK_OK) return status;
        status = bc_index_get(instance->index, rest, size, &entry);
        bc_partition_abandon(&instance);
        if (status == BITCASK_NOT_FOUND)
            return bc_fail(status, "%s: there is no partition '%s'", repair->db->path, path);
        if (!(entry.flags & BC_ENTRY_PARTITION))
            return bc_fail(BITCASK_NOT_PARTITION, "%s: '%s' is a key", repair->db->path, path);
        parent_id = id;
        id = entry.child_id;
        rest += size;
        while (*rest == '/') rest++;
    }
    while (path_size > 0 && path[path_size - 1] == '/') path_size--;
    return add_todo(repair, id, parent_id, "", path, path_size);
}

/* ---- doing it ---- */

static bc_status repair_one(struct repair *repair, uint64_t id, const char *path)
{
    struct bc_verify verify = verify_of(repair, path);

    repair->progress.path = path;
    return bc_repair_files(&verify, id);
}

/* Reads the intents, so that what a crash left in them alone is seen. An unreadable partition 1 is the business of a
 * repair of the whole; for one of a part it is no hindrance. */
static bc_status read_intents(struct repair *repair, bool whole)
{
    struct bc_verify verify = verify_of(repair, "(inodes)");
    struct bc_partition *inodes = NULL;
    char why[300];
    bc_status status = bc_partition_open(&repair->db->env, BC_INODES_ID, BC_ROOT_ID, "(inodes)", &inodes);

    if (status == BITCASK_OK) status = bc_intents_read(repair->db, inodes);
    bc_partition_abandon(&inodes);
    if (status != BITCASK_CORRUPT) return status;
    free(repair->db->redo);
    repair->db->redo = NULL;
    repair->db->redo_count = 0;
    if (!whole) return BITCASK_OK;
    snprintf(why, sizeof why, "%s", bc_detail());
    return bc_tell_file(&verify, BITCASK_FOUND_DAMAGE, "", "renames that a crash interrupted cannot be read: %s", why);
}

static bool tell_unnamed(void *context, uint64_t id)
{
    struct repair *repair = context;
    struct bc_verify verify = verify_of(repair, "");
    uint8_t key[8];

    if (id == BC_INODES_ID) return true;
    bc_put_u64(key, id);
    if (bc_index_get(repair->seen, key, sizeof key, NULL) == BITCASK_OK) return true;
    repair->failed = bc_tell_file(&verify, BITCASK_FOUND_NOTE, "",
                                  "partition %016llx is in no directory; it is kept as long as there are files that "
                                  "were set aside",
                                  (unsigned long long)id);
    return repair->failed == BITCASK_OK;
}

static bc_status repair_all(struct repair *repair, const char *partition)
{
    bool below = repair->options->flags & BITCASK_BELOW, whole = below && partition[strspn(partition, "/")] == '\0';
    bc_status status = BITCASK_OK;

    /* First, since renames that a crash interrupted are redone from there. */
    if (whole) status = repair_one(repair, BC_INODES_ID, "(inodes)");
    if (status == BITCASK_OK) status = read_intents(repair, whole);
    if (status == BITCASK_OK) status = resolve(repair, partition);
    for (size_t i = 0; i < repair->count && status == BITCASK_OK; i++) {
        status = repair_one(repair, repair->list[i].id, repair->list[i].path);
        if (status == BITCASK_OK && below) status = add_children(repair, i);
    }
    if (status != BITCASK_OK || !whole || repair->result->damage == 0) return status;
    /* A directory's log that was damaged may have held the only names of what is below it. */
    status = bc_partitions_on_disk(repair->db, tell_unnamed, repair);
    return status == BITCASK_OK ? repair->failed : status;
}

/* A store with nothing but its directory and its lock. */
static bc_status open_store(struct bc_io *io, const char *path, struct bitcask **out)
{
    struct bitcask *db = calloc(1, sizeof *db);

    if (!db || !(db->path = strdup(path)) || bc_dir_names_init(&db->dir_names) != BITCASK_OK) {
        if (db) free(db->path);
        free(db);
        return bc_fail(BITCASK_NO_MEMORY, "out of memory");
    }
    db->env = (struct bc_env){.io = io,
                              .partitions_fd = -1,
                              .dir_names = &db->dir_names,
                              .read_only = true, /* for instances; what is repaired is repaired without one */
                              .segment_size = BC_SEGMENT_SIZE_MAX};
    db->dir_fd = db->lock_fd = -1;
    *out = db;
    return bc_store_dir_open_for_repair(db);
}

static void close_store(struct bitcask **pointer)
{
    struct bitcask *db = *pointer;

    if (!db) return;
    *pointer = NULL;
    bc_store_dir_close(db);
    bc_dir_names_release(&db->dir_names);
    free(db->redo);
    bc_buffer_release(&db->redo_bytes);
    free(db->path);
    free(db);
}

bc_status bc_db_repair(struct bc_io *io, const char *path, const char *partition, const bitcask_verify_options *options,
                       bitcask_verify_result *result)
{
    struct repair repair = {.options = options,
                            .result = result,
                            .progress = {.work = BITCASK_WORK_VERIFY, .path = ""},
                            .started_ns = monotonic_ns(),
                            .failed = BITCASK_OK};
    bc_status status;

    *result = (bitcask_verify_result){0};
    status = open_store(io, path, &repair.db);
    if (status == BITCASK_OK) status = bc_index_open(0, &repair.seen);
    if (status == BITCASK_OK) status = repair_all(&repair, partition);
    for (size_t i = 0; i < repair.count; i++) free(repair.list[i].path);
    free(repair.list);
    bc_index_close(&repair.seen);
    close_store(&repair.db);
    result->elapsed_ns = monotonic_ns() - repair.started_ns;
    return status;
}
