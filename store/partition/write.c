/* write.c - the writer: records get a version, an offset and a mark, go to the log in one write, then to the index.
 *
 * Invariant: log and index change together or not at all. All that can fail for want of memory or disk comes before
 * the write; what follows a successful write cannot fail.
 */
#include "partition/partition.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "partition/derived_ino.h"
#include "partition/load.h"

#define MARK_SIZE (BC_RECORD_HEAD_SIZE + 2u + 8u)

/* A record as it goes to the log. */
struct encoded {
    struct bc_record record;
    bitcask_attrs attrs; /* as stored */
    uint64_t offset;
    size_t front_at; /* where its front stands in the buffer of fronts */
};

enum how_to_append {
    BATCH, /* all of them or none */
    LOOSE, /* each for itself */
    SYNCED /* as a batch, and durable before anybody sees it */
};

bc_status bc_partition_writable(const struct bc_partition *partition)
{
    if (partition->env->read_only) return bc_fail(BITCASK_READ_ONLY, "the store was opened read-only");
    if (partition->dropped) return bc_fail(BITCASK_NOT_FOUND, "partition '%s' was deleted", partition->label);
    if (atomic_load(&partition->poisoned))
        return bc_fail(BITCASK_POISONED, "partition '%s': a sync failed earlier; close the store and open it again",
                       partition->label);
    return BITCASK_OK;
}

uint64_t bc_partition_position(const struct bc_partition *partition)
{
    return partition->position_base + (partition->active ? partition->active->end : 0);
}

uint64_t bc_partition_log_end(const struct bc_partition *partition)
{
    if (!partition->active) return 0;
    return partition->carry_size > 0 ? partition->carry_from : partition->active->end;
}

uint64_t bc_partition_next_version(const struct bc_partition *partition, const bitcask_attrs *attrs)
{
    int64_t clock = bc_io_now_ns(partition->env->io);
    uint64_t now = clock > 0 ? (uint64_t)clock : 1, wanted = 0, next = partition->last_version + 1;

    if (attrs->present & BITCASK_ATTR_CTIME) wanted = attrs->ctime_ns > 0 ? (uint64_t)attrs->ctime_ns : 0;
    else if (attrs->present & BITCASK_ATTR_MTIME) wanted = attrs->mtime_ns > 0 ? (uint64_t)attrs->mtime_ns : 0;
    if (wanted >= next && wanted <= now) return wanted;
    return now > next ? now : next;
}

void bc_attrs_fill_times(bitcask_attrs *attrs, uint64_t version)
{
    if (!(attrs->present & BITCASK_ATTR_MTIME)) attrs->mtime_ns = (int64_t)version;
    if (!(attrs->present & BITCASK_ATTR_CTIME)) attrs->ctime_ns = (int64_t)version;
    attrs->present |= BITCASK_ATTR_MTIME | BITCASK_ATTR_CTIME;
}

/* Leaves out what can be derived: times equal to the version, the number that follows from id and name. */
static bitcask_attrs stored_attrs(const struct bc_partition *partition, const struct bc_write *write)
{
    bitcask_attrs attrs = write->attrs;

    if (attrs.mtime_ns == (int64_t)write->version) attrs.present &= ~(uint32_t)BITCASK_ATTR_MTIME;
    if (attrs.ctime_ns == (int64_t)write->version) attrs.present &= ~(uint32_t)BITCASK_ATTR_CTIME;
    if ((attrs.present & BITCASK_ATTR_INO) && attrs.ino == bc_derived_ino(partition->id, write->key, write->key_size))
        attrs.present &= ~(uint32_t)BITCASK_ATTR_INO;
    if ((attrs.present & BITCASK_ATTR_XATTRS) && attrs.xattrs_size == 0)
        attrs.present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    return attrs;
}

uint64_t bc_writes_bound(const struct bc_write *writes, size_t count)
{
    uint64_t bound = MARK_SIZE;

    for (size_t i = 0; i < count; i++) {
        size_t xattrs = writes[i].attrs.present & BITCASK_ATTR_XATTRS ? writes[i].attrs.xattrs_size : 0;
        bound += BC_RECORD_HEAD_SIZE + writes[i].key_size + 128 + xattrs + writes[i].value_size;
    }
    return bound;
}

/* Where the log is known to be durable now, as an offset in the active segment. */
static uint64_t durable_offset(struct bc_partition *partition)
{
    /* A log that was found at open may be synced, in a directory that is not: stated to be durable, nobody would sync the
     * names any more. */
    uint64_t synced = bc_partition_known_durable(partition), offset = partition->active->header_size;

    if (synced > partition->position_base + offset) offset = synced - partition->position_base;
    /* A closing mark that was never synced goes out again with this append: a power cut may take its part of the write
     * and leave the rest, which would make a torn mark look like rot, were it stated to be durable. */
    if (partition->carry_size > 0 && offset > partition->carry_from) offset = partition->carry_from;
    return offset;
}

/* Lays the records out from offset on: versions, sizes, offsets. The first one of the list may be a mark. */
static void lay_out(struct bc_partition *partition, struct bc_write *writes, size_t count, bool loose, uint64_t offset,
                    struct encoded *encoded, size_t *fronts_size)
{
    uint64_t last = partition->last_version;

    for (size_t i = 0; i < count; i++) {
        struct bc_write *write = &writes[i];
        struct encoded *e = &encoded[i];

        if (!write->explicit_version) write->version = bc_partition_next_version(partition, &write->attrs);
        partition->last_version = write->version; /* put back below: the next record's version builds on it */
        e->attrs = stored_attrs(partition, write);
        e->record = (struct bc_record){
            .version = write->version,
            .flags = write->flags,
            .key_size = (uint8_t)write->key_size,
            .attrs_size = (uint32_t)bc_attrs_size(&e->attrs),
            .value_size = write->value_size,
            .value_crc = write->has_crc ? write->value_crc : bc_crc32c(0, write->value, write->value_size),
            .key = write->key,
            .value = write->value,
        };
        if (!loose && i + 1 < count) e->record.flags |= BC_RECORD_MORE;
        e->offset = offset;
        e->front_at = *fronts_size;
        *fronts_size += bc_record_front_size(&e->record);
        offset += bc_record_size(&e->record);
    }
    partition->last_version = last;
}

/* Encodes the fronts into buffer and gathers the pieces of the write. Returns how many. */
static int gather(const struct bc_segment *segment, struct encoded *encoded, size_t count, uint8_t *fronts,
                  struct iovec *iov)
{
    int pieces = 0;

    for (size_t i = 0; i < count; i++) {
        struct encoded *e = &encoded[i];
        uint8_t *front = fronts + e->front_at;
        uint8_t *attrs = front + BC_RECORD_HEAD_SIZE + e->record.key_size;

        /* The attributes go where the record encoder would copy them from: straight into place. */
        bc_attrs_encode(&e->attrs, attrs);
        e->record.attrs = attrs;
        bc_record_encode(&e->record, segment->generation, e->offset, front);
        iov[pieces++] = (struct iovec){front, bc_record_front_size(&e->record)};
        if (e->record.value_size > 0) iov[pieces++] = (struct iovec){(void *)(uintptr_t)e->record.value, e->record.value_size};
    }
    return pieces;
}

/* Only the writer counts here: no locked instruction is needed. */
static void count_up(_Atomic uint64_t *count, uint64_t by)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Points the index at what was written. bc_index_prepare() has made sure that it cannot fail. */
static void apply(struct bc_partition *partition, const struct encoded *encoded, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct bc_record *record = &encoded[i].record;
        struct bc_entry entry, old;
        bool had = false;
        bc_status status;

        if (record->flags & BC_RECORD_TOMBSTONE) {
            had = bc_index_remove(partition->index, record->key, record->key_size, &old) == BITCASK_OK;
            partition->slots[partition->active_slot].tombstone_bytes += bc_record_size(record);
            if (!bc_key_is_internal(record->key, record->key_size)) count_up(&partition->deletes, 1);
        } else {
            bc_entry_from_record(partition->active_slot, encoded[i].offset, record, &encoded[i].attrs, &entry);
            status = bc_index_put(partition->index, record->key, record->key_size, &entry, &had, &old);
            assert(status == BITCASK_OK);
            (void)status;
            bc_slot_gains(partition, &entry);
            if (!bc_key_is_internal(record->key, record->key_size)) count_up(&partition->puts, 1);
        }
        if (had) bc_slot_loses(partition, &old);
    }
}

bc_status bc_partition_make_ready(struct bc_partition *partition, uint64_t bound, bool deletion)
{
    bc_status status;

    if (!partition->active) {
        status = bc_partition_make_active(partition, deletion);
        if (status != BITCASK_OK) return status;
    }
    if (partition->active->end + bound > partition->env->segment_size &&
        partition->active->end > partition->active->header_size) {
        struct bc_segment *full = partition->active;

        status = bc_partition_rotate_keeping_room(partition);
        /* On a full disk what was promised has its room behind the segment that is there, so that one goes on. */
        if (bc_is_full(status) && partition->active == full)
            bc_detail_clear();
        else if (status != BITCASK_OK)
            return status;
    }
    if (partition->active->end + bound > BC_SEGMENT_SIZE_MAX)
        return bc_fail(BITCASK_TOO_LARGE, "%llu bytes do not fit into one segment", (unsigned long long)bound);
    return bc_partition_make_room(partition, bound, deletion);
}

/* Says, ahead of what is appended, how far the log is durable: as a flag of the first record where that is all
 * before it, else as a record of its own. Recovery tells a torn tail from rot by it. Returns the mark's size. *marked:
 * up to where it will be stated then; another sync may end before that is written, of which it says nothing. */
static uint64_t state_durable(struct bc_partition *partition, uint8_t mark[MARK_SIZE], uint16_t *first_flags,
                              uint64_t *marked)
{
    static const uint8_t key[2] = {0, BC_KEY_MARK};
    uint64_t durable = durable_offset(partition), end = partition->active->end;
    struct bc_record record = {.version = partition->last_version, .key_size = 2, .value_size = 8, .key = key};

    *marked = partition->marked;
    if (durable == end) {
        *first_flags |= BC_RECORD_DURABLE;
        *marked = end;
        return 0;
    }
    if (durable <= partition->marked) return 0;
    *marked = durable;
    bc_put_u64(mark + BC_RECORD_HEAD_SIZE + 2, durable);
    record.value_crc = bc_crc32c(0, mark + BC_RECORD_HEAD_SIZE + 2, 8);
    bc_record_encode(&record, partition->active->generation, end, mark);
    return MARK_SIZE;
}

/* Cuts a failed append off again, so that no part of it is ever read: a batch whose records are all there, but whose
 * write failed, would else come back to life when the next append is shorter. Where that fails too the log's end is
 * unknown, and the partition takes no more writes. */
static void cut_back(struct bc_partition *partition)
{
    if (bc_window_cut(partition) != BITCASK_OK) {
        atomic_store(&partition->poisoned, true);
        bc_env_log(partition->env, BITCASK_LOG_ERROR,
                   "partition '%s': a failed append could not be cut back: %s; it takes no writes until reopened",
                   partition->label, bc_detail());
    }
    partition->allocated = partition->file_end = partition->active->end;
    /* The cut is one more thing to be durable before the next append: parts of the failed one may be on disk already,
     * and a shorter record over its first part would bring the others back at a power cut. A failed sync poisons. */
    bc_partition_names_changed(partition);
    (void)bc_partition_sync_locked(partition);
}

/* Writes what was laid out; iov has room for a carried mark and a new mark ahead of the records. */
static bc_status write_out(struct bc_partition *partition, const uint8_t *mark, uint64_t mark_size, struct iovec *iov,
                           int pieces)
{
    uint64_t offset = partition->active->end;
    int first = 2;
    bc_status status;

    if (mark_size > 0) iov[--first] = (struct iovec){(void *)(uintptr_t)mark, (size_t)mark_size};
    if (partition->carry_size > 0) {
        /* The closing mark found at open was never synced. Write it again, so that no hole is left in front of what
         * is synced next, should the kernel have lost its page without our knowing. */
        iov[--first] = (struct iovec){partition->carry, partition->carry_size};
        offset = partition->carry_from;
    }
    bc_foreground_begin(partition->env->foreground);
    status = bc_window_write(partition, iov + first, pieces + 2 - first, offset);
    bc_foreground_end(partition->env->foreground);
    return status;
}

void bc_partition_carry_written(struct bc_partition *partition)
{
    if (partition->carry_size == 0) return;
    /* It counted as synced while nothing hung on it. From here on it is as unsynced as what follows it: a mark that
     * stated it durable would turn its being torn by a power cut into rot. */
    pthread_mutex_lock(&partition->sync_lock);
    if (partition->synced > partition->position_base + partition->carry_from)
        partition->synced = partition->position_base + partition->carry_from;
    pthread_mutex_unlock(&partition->sync_lock);
    partition->carry_size = 0;
}

/* memory->fronts may be NULL: then there is memory to be found for them. */
static bc_status append_encoded(struct bc_partition *partition, struct bc_write *writes, size_t count,
                                enum how_to_append how, const struct bc_append_memory *memory)
{
    uint8_t mark[MARK_SIZE], small[4096], *fronts = memory->fronts ? memory->fronts : small;
    struct encoded *encoded = memory->encoded;
    struct iovec *iov = memory->iov;
    uint64_t mark_size, marked, end;
    uint16_t first_flags = 0;
    size_t fronts_size = 0;
    bc_status status;
    int pieces;

    mark_size = state_durable(partition, mark, &first_flags, &marked);
    bc_window_note(partition, first_flags != 0);
    lay_out(partition, writes, count, how == LOOSE, partition->active->end + mark_size, encoded, &fronts_size);
    encoded[0].record.flags |= first_flags;
    if (fronts == small && fronts_size > sizeof small && !(fronts = malloc(fronts_size))) return BITCASK_NO_MEMORY;
    pieces = gather(partition->active, encoded, count, fronts, iov + 2);
    status = write_out(partition, mark, mark_size, iov, pieces);
    if (status != BITCASK_OK) {
        cut_back(partition);
        goto out;
    }
    bc_partition_carry_written(partition);
    end = encoded[count - 1].offset + bc_record_size(&encoded[count - 1].record);
    /* What a failed sync may have lost never was: the log ends where it did, and readers go on with what they had. The
     * partition is poisoned, so that nothing comes behind it, and the next open says what has become of it. */
    if (how == SYNCED) status = bc_partition_sync_ahead(partition, end);
    if (status != BITCASK_OK) goto out;
    partition->marked = marked;
    count_up(&partition->log_bytes,
             encoded[count - 1].offset + bc_record_size(&encoded[count - 1].record) - partition->active->end);
    /* Before the index names what is in front of it. */
    partition->active->end = end;
    partition->last_record = encoded[count - 1].offset;
    partition->last_version = writes[count - 1].version;
    apply(partition, encoded, count);
    atomic_store(&partition->appended, bc_partition_position(partition));
    if (how != SYNCED) atomic_store(&partition->dirty, true);
    if (partition->env->memory) bc_partition_count_memory_if_changed(partition);
out:
    if (fronts != small && fronts != memory->fronts) free(fronts);
    return status;
}

static const void *write_key(const void *writes, size_t i, size_t *key_size)
{
    const struct bc_write *write = (const struct bc_write *)writes + i;

    *key_size = write->key_size;
    return write->key;
}

/* prepared: NULL, or what is there for it. */
static bc_status append(struct bc_partition *partition, struct bc_write *writes, size_t count, enum how_to_append how,
                        uint64_t reserved, const struct bc_append_memory *prepared)
{
    struct encoded few[4];
    struct iovec few_iov[10];
    struct bc_append_memory memory = {few, few_iov, NULL};
    bool deletion = true, any = false, due = false;
    uint64_t bound = bc_writes_bound(writes, count);
    bc_status status = bc_partition_writable(partition);

    if (status == BITCASK_OK) status = bc_partition_warm_locked(partition);
    if (status != BITCASK_OK || count == 0) return status;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *key = writes[i].key;

        due |= writes[i].is_due;
        /* An intent beside tombstones is that of a deletion. */
        if (writes[i].flags & BC_RECORD_TOMBSTONE) any = true;
        else if (key[0] != 0 || key[1] != BC_KEY_INTENT) deletion = false;
    }
    if (reserved > partition->reserved) reserved = partition->reserved;
    /* What has its room reserved was promised, and takes no part of anybody else's. */
    due |= reserved >= bound;
    partition->reserved -= reserved;
    status = bc_partition_make_ready(partition, bound, (deletion && any) || due);
    if (status == BITCASK_OK && !prepared && count > 4) {
        memory.encoded = malloc(count * sizeof *memory.encoded);
        memory.iov = malloc((2 * count + 2) * sizeof *memory.iov);
        if (!memory.encoded || !memory.iov) status = BITCASK_NO_MEMORY;
    }
    if (status == BITCASK_OK && !prepared) {
        status = bc_index_prepare(partition->index, count, write_key, writes);
    }
    if (status == BITCASK_OK) status = append_encoded(partition, writes, count, how, prepared ? prepared : &memory);
    if (status != BITCASK_OK) partition->reserved += reserved;
    if (memory.encoded != few) free(memory.encoded);
    if (memory.iov != few_iov) free(memory.iov);
    return status;
}

bc_status bc_partition_append_prepare(struct bc_partition *partition, const struct bc_write *writes, size_t count,
                                      struct bc_append_memory *memory)
{
    size_t fronts_size = 1;

    for (size_t i = 0; i < count; i++) fronts_size += (size_t)(bc_writes_bound(&writes[i], 1) - writes[i].value_size);
    *memory = (struct bc_append_memory){.encoded = malloc((count + 1) * sizeof *memory->encoded),
                                        .iov = malloc((2 * count + 2) * sizeof *memory->iov),
                                        .fronts = malloc(fronts_size)};
    if (!memory->encoded || !memory->iov || !memory->fronts) return BITCASK_NO_MEMORY;
    return bc_index_prepare(partition->index, count, write_key, writes);
}

bc_status bc_partition_append_prepared(struct bc_partition *partition, struct bc_write *writes, size_t count,
                                       uint64_t reserved, const struct bc_append_memory *memory)
{
    return append(partition, writes, count, LOOSE, reserved, memory);
}

void bc_append_memory_release(struct bc_append_memory *memory)
{
    free(memory->encoded);
    free(memory->iov);
    free(memory->fronts);
    *memory = (struct bc_append_memory){NULL, NULL, NULL};
}

bc_status bc_partition_append(struct bc_partition *partition, struct bc_write *writes, size_t count, bool loose,
                              uint64_t reserved)
{
    return append(partition, writes, count, loose ? LOOSE : BATCH, reserved, NULL);
}

bc_status bc_partition_append_synced(struct bc_partition *partition, struct bc_write *writes, size_t count)
{
    return append(partition, writes, count, SYNCED, 0, NULL);
}
