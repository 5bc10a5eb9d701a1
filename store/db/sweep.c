/* sweep.c - after an unclean end: the directories of partitions that nobody names any more.
 *
 * A power cut can take a directory record and leave the files of its partition, or come between a deletion and the
 * removal of the files. A session that may leave such files behind says so in partition 1 first; so this runs only
 * after one that did not end well. All reachable partitions are opened and their records read; where any of them is
 * damaged nothing is removed, since the name may just be unreadable; nor where a repair has set a file aside, in which a
 * name may be that is in no log any more.
 */
#include "db/db.h"

#include <stdlib.h>
#include <string.h>

#include "partition/file_list.h"

struct ids {
    uint64_t *list;
    size_t count, room;
    bool failed;
};

static bool add_id(struct ids *ids, uint64_t id)
{
    if (ids->count == ids->room) {
        size_t room = ids->room ? ids->room * 2 : 64;
        void *list = realloc(ids->list, room * sizeof *ids->list);
        if (!list) return !(ids->failed = true);
        ids->list = list;
        ids->room = room;
    }
    ids->list[ids->count++] = id;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool has_id(const struct ids *ids, uint64_t id)
{
    return ids->count > 0 && bsearch(&id, ids->list, ids->count, sizeof *ids->list, compare_ids) != NULL;
}

/* True for a name of `digits` lower-case hex digits. */
static bool parse_hex(const char *name, size_t digits, uint64_t *value)
{
    if (strlen(name) != digits || strspn(name, "0123456789abcdef") != digits) return false;
    *value = strtoull(name, NULL, 16);
    return true;
}

/* Whom to tell of a partition's directory. */
struct told {
    bool (*each)(void *context, uint64_t id);
    void *context;
    bool stopped;
};

static bool list_partition(void *context, const char *name)
{
    struct told *told = context;
    uint64_t id;

    if (parse_hex(name, 16, &id) && !told->each(told->context, id)) told->stopped = true;
    return !told->stopped;
}

static bool list_fan(void *context, const char *name)
{
    uint64_t fan;

    return parse_hex(name, 2, &fan) ? add_id(context, fan) : true;
}

bc_status bc_partitions_on_disk(struct bitcask *db, bool (*each)(void *context, uint64_t id), void *context)
{
    struct ids fans = {0};
    struct told told = {each, context, false};
    bc_status status = bc_io_list(db->env.io, db->env.partitions_fd, "partitions", list_fan, &fans);

    for (size_t i = 0; i < fans.count && status == BITCASK_OK && !told.stopped; i++) {
        char fan[3], name[17];
        int fd = -1;

        bc_partition_dir_names(fans.list[i], fan, name);
        status = bc_io_open(db->env.io, db->env.partitions_fd, fan, BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd);
        if (status == BITCASK_OK) status = bc_io_list(db->env.io, fd, fan, list_partition, &told);
        (void)bc_io_close(db->env.io, &fd);
    }
    if (status == BITCASK_OK && fans.failed) status = BITCASK_NO_MEMORY;
    free(fans.list);
    return status;
}

static bool add_disk(void *context, uint64_t id)
{
    return add_id(context, id);
}

/* The ids of all partition directories on disk, sorted. */
static bc_status list_disk(struct bitcask *db, struct ids *ids)
{
    bc_status status = bc_partitions_on_disk(db, add_disk, ids);

    if (status == BITCASK_OK && ids->failed) status = BITCASK_NO_MEMORY;
    if (ids->count > 0) qsort(ids->list, ids->count, sizeof *ids->list, compare_ids);
    return status;
}

static bool add_child(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    (void)key;
    (void)key_size;
    return entry->flags & BC_ENTRY_PARTITION ? add_id(context, entry->child_id) : true;
}

static bool look_for_damaged(void *context, const char *name)
{
    return !(*(bool *)context = bc_is_damaged_name(name));
}

/* Whether a repair set a file of this partition aside: names that were lost with it may be in nothing else. */
static bc_status was_repaired(struct bitcask *db, uint64_t id, bool *repaired)
{
    int fd = -1;
    bc_status status = bc_partition_open_dir(&db->env, id, false, &fd);

    *repaired = false;
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK;
    if (status == BITCASK_OK) status = bc_io_list(db->env.io, fd, "partition", look_for_damaged, repaired);
    (void)bc_io_close(db->env.io, &fd);
    return status;
}

/* Collects what is named, from the root down, through partitions that have files. *whole: nothing was damaged. */
static bc_status collect_named(struct bitcask *db, const struct ids *disk, struct ids *named, bool *whole)
{
    static const uint8_t first = 1;
    bc_status status = add_id(named, BC_ROOT_ID) && add_id(named, BC_INODES_ID) ? BITCASK_OK : BITCASK_NO_MEMORY;

    *whole = true;
    for (size_t i = 0; i < named->count && status == BITCASK_OK && *whole; i++) {
        struct bc_partition *instance = NULL;
        uint64_t id = named->list[i];
        bool repaired;

        status = was_repaired(db, id, &repaired);
        if (status != BITCASK_OK) break;
        if (repaired) {
            *whole = false;
            break;
        }
        if (id == BC_INODES_ID || !has_id(disk, id)) continue;
        status = bc_partition_open(&db->env, id, BC_ROOT_ID, "", &instance);
        if (status == BITCASK_CORRUPT) {
            bc_partition_abandon(&instance);
            *whole = false;
            status = BITCASK_OK;
            break;
        }
        if (status != BITCASK_OK) {
            bc_partition_abandon(&instance);
            break;
        }
        *whole = instance->damaged_regions == 0;
        status = bc_index_walk(instance->index, BC_SEEK_GE, &first, 1, SIZE_MAX, add_child, named);
        if (named->failed) status = BITCASK_NO_MEMORY;
        /* What recovery made durable is marked as such, so that the next open does not do it again. */
        if (status == BITCASK_OK) status = bc_partition_close(&instance, true);
        else bc_partition_abandon(&instance);
    }
    return status;
}

bc_status bc_sweep(struct bitcask *db)
{
    struct ids disk = {0}, named = {0};
    bool whole = false;
    size_t removed = 0;
    bc_status status = list_disk(db, &disk);

    /* What a killed writer has removed is not there any more, and may be back after a power cut. */
    for (unsigned fan = 0; fan < BC_FANS; fan++) bc_dir_names_removed(&db->dir_names, fan);

    if (status == BITCASK_OK) status = collect_named(db, &disk, &named, &whole);
    if (status == BITCASK_OK && !whole)
        bc_env_log(&db->env, BITCASK_LOG_WARNING,
                   "%s: a log is, or was, damaged, so that unnamed partitions are kept", db->path);
    if (status == BITCASK_OK && whole) {
        qsort(named.list, named.count, sizeof *named.list, compare_ids);
        for (size_t i = 0; i < disk.count; i++) {
            if (has_id(&named, disk.list[i])) continue;
            bc_status removal = bc_partition_remove_files(&db->env, disk.list[i]);
            if (removal == BITCASK_OK) {
                removed++;
                continue;
            }
            /* What cannot be removed costs room, no more; it must not keep the store from being opened. The session
             * does not end on record, so that the next open tries again. */
            bc_env_log(&db->env, BITCASK_LOG_WARNING, "files that nothing names are left: %s", bc_detail_of(removal));
            db->left_behind = true;
        }
    }
    if (removed > 0)
        bc_env_log(&db->env, BITCASK_LOG_INFO, "%s: removed %zu partitions that nothing names any more", db->path,
                   removed);
    free(disk.list);
    free(named.list);
    return status;
}
