/* partition.c - an instance's life: its directory, opening, closing, its numbers.
 *
 * Invariant: an instance that was closed without an error has left a log that is durable to its end.
 */
#include "partition/partition.h"

#include "base/crc.h"
#include "base/clock.h"
#include "partition/checkpoint.h"
#include "partition/cold.h"
#include "partition/merge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bc_env_log(const struct bc_env *env, bitcask_log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;

    if (!env->log) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    env->log(env->log_context, level, line);
}

void bc_partition_dir_names(uint64_t id, char fan[3], char name[17])
{
    snprintf(fan, 3, "%02x", (unsigned)(id & 0xff));
    snprintf(name, 17, "%016llx", (unsigned long long)id);
}

bc_status bc_partition_open_dir(const struct bc_env *env, uint64_t id, bool create, int *fd)
{
    char fan[3], name[17];
    int fan_fd = -1;
    bc_status status;

    bc_partition_dir_names(id, fan, name);
    if (create) {
        status = bc_io_mkdir(env->io, env->partitions_fd, fan);
        if (status != BITCASK_OK && status != BITCASK_EXISTS) return status;
    }
    status = bc_io_open_own_dir(env->io, env->partitions_fd, fan, &fan_fd);
    if (status != BITCASK_OK) goto out;
    if (create) {
        status = bc_io_mkdir(env->io, fan_fd, name);
        if (status != BITCASK_OK && status != BITCASK_EXISTS) goto out;
    }
    status = bc_io_open_own_dir(env->io, fan_fd, name, fd);
out:
    if (status == BITCASK_NOT_FOUND) bc_detail_clear(); /* a miss: nothing was ever put there, mostly */
    (void)bc_io_close(env->io, &fan_fd);                /* only read from: nothing to lose */
    return status;
}

/* Who makes the partition warm goes before readers that come: with the default kind, readers that overlap would keep it
 * out for as long as they like. Nobody takes this lock twice. */
static int init_cold_lock(struct bc_partition *partition)
{
    pthread_rwlockattr_t attr;
    int error = pthread_rwlockattr_init(&attr);

    if (error != 0) return error;
    error = pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (error == 0) error = pthread_rwlock_init(&partition->cold_lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    return error;
}

static bc_status init_locks(struct bc_partition *partition)
{
    if (pthread_mutex_init(&partition->files_lock, NULL) != 0) return BITCASK_NO_MEMORY;
    if (bc_fair_lock_init(&partition->write_lock) != 0) goto no_write_lock;
    if (pthread_mutex_init(&partition->sync_lock, NULL) != 0) goto no_sync_lock;
    if (pthread_cond_init(&partition->sync_done, NULL) != 0) goto no_sync_done;
    if (init_cold_lock(partition) != 0) goto no_cold_lock;
    return BITCASK_OK;

no_cold_lock:
    pthread_cond_destroy(&partition->sync_done);
no_sync_done:
    pthread_mutex_destroy(&partition->sync_lock);
no_sync_lock:
    bc_fair_lock_destroy(&partition->write_lock);
no_write_lock:
    pthread_mutex_destroy(&partition->files_lock);
    return BITCASK_NO_MEMORY;
}

bc_status bc_partition_open(const struct bc_env *env, uint64_t id, uint64_t parent_id, const char *label,
                            struct bc_partition **out)
{
    bc_status status;

    *out = NULL;
    status = bc_partition_open_reading(env, id, parent_id, label, out);
    if (status == BITCASK_OK) status = bc_partition_warm(*out);
    if (status != BITCASK_OK) bc_partition_abandon(out);
    return status;
}

bc_status bc_partition_new_index(struct bc_partition *partition)
{
    uint64_t seed = 0;
    bc_status status = bc_io_random(partition->env->io, &seed, sizeof seed);

    return status == BITCASK_OK ? bc_index_open(seed, &partition->index) : status;
}

bc_status bc_partition_open_reading(const struct bc_env *env, uint64_t id, uint64_t parent_id, const char *label,
                                    struct bc_partition **out)
{
    struct bc_partition *partition = calloc(1, sizeof *partition);
    uint64_t began_ns = bc_monotonic_ns();
    bc_status status;

    if (!partition) return BITCASK_NO_MEMORY;
    partition->env = env;
    partition->id = id;
    partition->parent_id = parent_id;
    partition->dir_fd = -1;
    partition->next_segment_id = 1;
    partition->label = strdup(label);
    if (!partition->label || init_locks(partition) != BITCASK_OK) {
        free(partition->label);
        free(partition);
        return BITCASK_NO_MEMORY;
    }
    status = bc_partition_new_index(partition);
    if (status == BITCASK_OK) status = bc_partition_recover(partition);
    if (status != BITCASK_OK) {
        bc_partition_abandon(&partition);
        return status;
    }
    bc_partition_count_memory(partition);
    bc_partition_count_open(partition, began_ns);
    *out = partition;
    return BITCASK_OK;
}

void bc_partition_abandon(struct bc_partition **pointer)
{
    struct bc_partition *partition = *pointer;

    if (!partition) return;
    *pointer = NULL;
    bc_merge_forget(partition);
    bc_partition_uncount_memory(partition);
    bc_cold_release(partition);
    bc_window_drop(partition);
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        struct bc_segment *segment = partition->slots[i].segment;
        bc_segment_unref(&segment); /* values that are pinned keep it */
    }
    bc_partition_release_slots(partition);
    free(partition->by_age);
    bc_index_close(&partition->index);
    (void)bc_io_close(partition->env->io, &partition->dir_fd);
    pthread_rwlock_destroy(&partition->cold_lock);
    pthread_cond_destroy(&partition->sync_done);
    pthread_mutex_destroy(&partition->sync_lock);
    bc_fair_lock_destroy(&partition->write_lock);
    pthread_mutex_destroy(&partition->files_lock);
    free(partition->label);
    free(partition);
}

/* The closing mark says that all before it is durable, so that the next open neither cuts nor writes again. It is
 * not synced itself: lost, it leaves the mark before it, and the open takes longer, no more. Room beyond the end is
 * given back to the disk; so is what a window was laid over. Should that come back at a power cut, it is zeros, and the
 * next open cuts it off; a rotation syncs the cut first. */
static bc_status write_closing_mark(struct bc_partition *partition)
{
    uint8_t value[8], front[64];
    const uint8_t key[2] = {0, BC_KEY_MARK};
    struct bc_segment *active = partition->active;
    uint64_t end = active ? active->end : 0;
    struct bc_record record = {.version = partition->last_version, .flags = BC_RECORD_DURABLE, .key_size = 2, .key = key};
    struct iovec iov[2];
    bc_status status;

    if (!active) return BITCASK_OK;
    bc_window_drop(partition);
    if (end > partition->marked && partition->carry_size == 0 && end + 64 <= BC_SEGMENT_SIZE_MAX) {
        bc_put_u64(value, end);
        record.value_size = sizeof value;
        record.value_crc = bc_crc32c(0, value, sizeof value);
        bc_record_encode(&record, active->generation, end, front);
        iov[0] = (struct iovec){front, bc_record_front_size(&record)};
        iov[1] = (struct iovec){value, sizeof value};
        status = bc_io_write(partition->env->io, active->fd, active->name, iov, 2, end);
        if (status != BITCASK_OK) {
            /* A mark that is not there costs time only; half a mark would be reported as a torn tail. */
            return bc_io_truncate(partition->env->io, active->fd, active->name, end);
        }
        end += bc_record_size(&record);
        active->end = end;
    }
    if (partition->allocated > end)
        return bc_io_truncate(partition->env->io, active->fd, active->name, end);
    return BITCASK_OK;
}

bc_status bc_partition_close(struct bc_partition **pointer, bool brief)
{
    struct bc_partition *partition = *pointer;
    bc_status status = BITCASK_OK;

    if (!partition) return BITCASK_OK;
    if (!partition->env->read_only) {
        /* What was never synced successfully must not be marked as durable: no mark after a failure. */
        status = bc_partition_sync_to(partition, bc_partition_appended(partition));
        /* The log may be durable, and a name that leads to it not: a directory's sync failed, in a rotation or a merge. */
        if (status == BITCASK_OK && atomic_load(&partition->poisoned)) status = bc_partition_writable(partition);
        if (status == BITCASK_OK) {
            bc_partition_make_hints(partition);
            bc_partition_hint_active(partition, brief);
            bc_checkpoint_at_close(partition, brief);
            (void)write_closing_mark(partition);
            bc_reserve_note(partition->env->reserve, (int64_t)(partition->log_bytes - partition->told_bytes));
        }
    }
    bc_partition_abandon(pointer);
    return status;
}

struct names {
    char (*list)[256];
    size_t count;
    size_t room;
    bool failed;
};

static bool collect_name(void *context, const char *name)
{
    struct names *names = context;

    if (names->count == names->room) {
        size_t room = names->room ? names->room * 2 : 16;
        void *list = realloc(names->list, room * sizeof *names->list);
        if (!list) return !(names->failed = true);
        names->list = list;
        names->room = room;
    }
    snprintf(names->list[names->count++], sizeof *names->list, "%s", name);
    return true;
}

bc_status bc_partition_remove_files(const struct bc_env *env, uint64_t id)
{
    struct names names = {0};
    char fan[3], name[17];
    int dir_fd = -1, fan_fd = -1;
    bc_status status = bc_partition_open_dir(env, id, false, &dir_fd);

    if (status == BITCASK_NOT_FOUND) return BITCASK_OK;
    if (status != BITCASK_OK) return status;
    bc_partition_dir_names(id, fan, name);
    status = bc_io_list(env->io, dir_fd, name, collect_name, &names);
    if (status == BITCASK_OK && names.failed) status = BITCASK_NO_MEMORY;
    for (size_t i = 0; i < names.count && status == BITCASK_OK; i++)
        status = bc_io_unlink(env->io, dir_fd, names.list[i]);
    if (status == BITCASK_OK)
        status = bc_io_open(env->io, env->partitions_fd, fan, BC_OPEN_READ | BC_OPEN_DIRECTORY, &fan_fd);
    if (status == BITCASK_OK) status = bc_io_rmdir(env->io, fan_fd, name);
    if (status == BITCASK_OK) bc_dir_names_removed(env->dir_names, (unsigned)(id & 0xff));
    (void)bc_io_close(env->io, &fan_fd);
    (void)bc_io_close(env->io, &dir_fd);
    free(names.list);
    return status;
}

void bc_partition_stats(struct bc_partition *partition, bitcask_stats *add_to)
{
    size_t total, key_bytes;
    uint64_t data = 0, live = 0, internal = 0;
    uint8_t found[255];
    size_t found_size;
    static const uint8_t last_internal = 1; /* names begin with a byte of at least 1 */

    bc_fair_lock_soon(&partition->write_lock);
    bc_index_memory(partition->index, &total, &key_bytes);
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        const struct bc_slot *slot = &partition->slots[i];
        if (!slot->segment) continue;
        data += slot->segment->end;
        live += slot->live_bytes;
        add_to->tombstone_bytes += slot->tombstone_bytes;
        add_to->hint_bytes += slot->hint_bytes;
        add_to->segments++;
    }
    if (partition->id == BC_INODES_ID) {
        internal = bc_index_count(partition->index); /* all of them, and there may be many */
    } else {
        for (bc_status status = bc_index_seek(partition->index, BC_SEEK_LT, &last_internal, 1, found, &found_size, NULL);
             status == BITCASK_OK;
             status = bc_index_seek(partition->index, BC_SEEK_LT, found, found_size, found, &found_size, NULL))
            internal++;
    }
    if (partition->checkpoint.id != 0) add_to->checkpoint_bytes += partition->checkpoint.bytes;
    add_to->live_keys += bc_index_count(partition->index) - internal;
    add_to->live_bytes += live;
    add_to->dead_bytes += data > live ? data - live : 0; /* less where a segment was cut short */
    add_to->data_bytes += data;
    add_to->index_bytes += total;
    add_to->key_bytes += key_bytes;
    add_to->damaged_regions += partition->damaged_regions;
    bc_fair_unlock(&partition->write_lock);
    add_to->puts += partition->puts;
    add_to->deletes += partition->deletes;
    add_to->gets += bc_stripes_sum(&partition->gets);
    add_to->bloom_hits += partition->bloom_hits;
    add_to->bloom_misses += partition->bloom_misses;
    add_to->merges += partition->merges;
    add_to->merge_ns += partition->merge_ns;
    add_to->merge_reclaimed_bytes += partition->merge_reclaimed_bytes;
    if (add_to->last_merge_ns < partition->last_merge_ns) add_to->last_merge_ns = partition->last_merge_ns;
    add_to->log_bytes_written += partition->log_bytes + partition->merged_bytes;
    add_to->poisoned += atomic_load(&partition->poisoned);
    add_to->partitions_open++;
}
