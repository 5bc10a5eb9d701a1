/* bootstrap.c - opening a partition's directory: which files are there, which of them count, in which order they load.
 *
 * Files are ordered by segment id, and for every key the last one wins. A file whose id lies in the coverage of a
 * higher one was merged into that, and is superseded: ignored, and removed by a writer. What a crash leaves is known by
 * name (new.tmp, merge.tmp, hint.tmp, index.tmp, hints without data) and removed; what nobody here made is left alone
 * and mentioned. A checkpoint of the index that fits the files takes the place of loading all but the last of them.
 */
#include "partition/checkpoint.h"
#include "partition/cold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/hint.h"
#include "partition/load.h"

struct listing {
    uint32_t *ids; /* of sealed segments, ascending */
    size_t count, room;
    uint32_t *hints; /* ids that there are hints for */
    size_t hint_count, hint_room;
    bool active;
    bool checkpoint;
    bool leftover[4]; /* by leftovers[] */
    char strange[64]; /* a file that nobody here made */
    size_t strangers;
    bool failed;
};

/* What a crash may leave of work under way; nothing of it is ever read. */
static const char *const leftovers[4] = {BC_TEMPORARY_NAME, BC_MERGE_NAME, BC_HINT_TEMPORARY_NAME,
                                         BC_CHECKPOINT_TEMPORARY_NAME};

static bool add_id(uint32_t **ids, size_t *count, size_t *room, uint32_t id)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 16;
        void *list = realloc(*ids, more * sizeof **ids);
        if (!list) return false;
        *ids = list;
        *room = more;
    }
    (*ids)[(*count)++] = id;
    return true;
}

static bool list_name(void *context, const char *name)
{
    struct listing *listing = context;
    uint32_t id;

    for (size_t i = 0; i < 4; i++) {
        if (strcmp(name, leftovers[i]) == 0) return listing->leftover[i] = true;
    }
    if (strcmp(name, BC_ACTIVE_NAME) == 0)
        listing->active = true;
    else if (strcmp(name, BC_CHECKPOINT_NAME) == 0)
        listing->checkpoint = true;
    else if (bc_segment_parse_name(name, &id))
        listing->failed = !add_id(&listing->ids, &listing->count, &listing->room, id);
    else if (bc_hint_parse_name(name, &id))
        listing->failed = !add_id(&listing->hints, &listing->hint_count, &listing->hint_room, id);
    else if (listing->strangers++ == 0)
        snprintf(listing->strange, sizeof listing->strange, "%s", name);
    return !listing->failed;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void release(struct listing *listing)
{
    free(listing->ids);
    free(listing->hints);
    *listing = (struct listing){0};
}

static bc_status list_directory(struct bc_partition *partition, struct listing *listing)
{
    bc_status status;

    *listing = (struct listing){0};
    status = bc_io_list(partition->env->io, partition->dir_fd, partition->label, list_name, listing);
    if (status == BITCASK_OK && listing->failed) status = BITCASK_NO_MEMORY;
    if (status != BITCASK_OK)
        release(listing);
    else if (listing->count > 0)
        qsort(listing->ids, listing->count, sizeof *listing->ids, compare_ids);
    return status;
}

/* CORRUPT with a line that says which file, and where it is. */
static bc_status refuse(const struct bc_partition *partition, bc_status status, const char *reason)
{
    char fan[3], directory[17];

    bc_partition_dir_names(partition->id, fan, directory);
    return bc_fail(status, "partition '%s' (partitions/%s/%s): %s", partition->label, fan, directory, reason);
}

/* Opens one file of the list and checks that it is what its name and place say. */
static bc_status open_segment(struct bc_partition *partition, const char *name, bool active, uint32_t id,
                              struct bc_segment **segment)
{
    struct bc_segment_header header;
    char reason[300] = "";
    bool writes = active && !partition->env->read_only;
    bc_status status = bc_segment_open(partition->env->io, partition->dir_fd, name, writes, segment, &header);

    if (writes && status == BITCASK_READ_ONLY && bc_partition_serve_reads(partition, status))
        status = bc_segment_open(partition->env->io, partition->dir_fd, name, false, segment, &header);
    if (status == BITCASK_CORRUPT || status == BITCASK_NEWER_FORMAT) {
        snprintf(reason, sizeof reason, "%s", bc_detail());
        return refuse(partition, status, reason);
    }
    if (status != BITCASK_OK) return status;
    if (header.partition_id != partition->id)
        snprintf(reason, sizeof reason, "%s belongs to partition %016llx", name,
                 (unsigned long long)header.partition_id);
    else if (!active && header.segment_id != id)
        snprintf(reason, sizeof reason, "%s says that it is segment %u", name, header.segment_id);
    else if (active && header.segment_id < partition->next_segment_id)
        snprintf(reason, sizeof reason, "%s is segment %u, which is sealed already", name, header.segment_id);
    else if (header.lowest_id > header.segment_id || (active && header.lowest_id != header.segment_id))
        snprintf(reason, sizeof reason, "%s says that segment %u stands for those from %u on", name, header.segment_id,
                 header.lowest_id);
    if (reason[0]) {
        bc_segment_unref(segment);
        return refuse(partition, BITCASK_CORRUPT, reason);
    }
    if (header.segment_id >= partition->next_segment_id) partition->next_segment_id = header.segment_id + 1;
    if (header.last_version > partition->last_version && header.last_version <= BC_VERSION_MAX)
        partition->last_version = header.last_version;
    return BITCASK_OK;
}

static bool same_listing(const struct listing *a, const struct listing *b)
{
    return a->count == b->count && a->active == b->active &&
           (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

/* Opens all files of the list into segments[]; beside a writer that rotates or merges meanwhile: NOT_FOUND, or names
 * that have changed when listed again, and the caller starts anew. */
static bc_status open_segments(struct bc_partition *partition, const struct listing *listing,
                               struct bc_segment **segments)
{
    bc_status status = BITCASK_OK;
    size_t i;

    for (i = 0; i < listing->count && status == BITCASK_OK; i++) {
        char name[16];
        bc_segment_name(listing->ids[i], name);
        status = open_segment(partition, name, false, listing->ids[i], &segments[i]);
    }
    if (status == BITCASK_OK && listing->active)
        status = open_segment(partition, BC_ACTIVE_NAME, true, 0, &segments[i]);
    if (status == BITCASK_OK && partition->env->read_only) {
        struct listing again;
        status = list_directory(partition, &again);
        if (status == BITCASK_OK && !same_listing(listing, &again)) status = BITCASK_NOT_FOUND;
        release(&again);
    }
    return status;
}

static void drop_segments(struct bc_segment **segments, size_t count)
{
    for (size_t i = 0; segments && i < count; i++) bc_segment_unref(&segments[i]);
    free(segments);
}

/* ---- superseded files ---- */

/* Takes those out of segments[] that a higher one covers, into gone[] by id. CORRUPT where two coverages cross: no
 * merge leaves that, and one of the two would be lost. */
static bc_status find_superseded(struct bc_partition *partition, struct bc_segment **segments, size_t count,
                                 uint32_t *gone, size_t *gone_count)
{
    uint32_t lowest = UINT32_MAX;
    char by[16] = "";

    *gone_count = 0;
    for (size_t i = count; i-- > 0;) {
        struct bc_segment *segment = segments[i];

        if (segment->segment_id < lowest) {
            lowest = segment->lowest_id;
            memcpy(by, segment->name, sizeof by);
            continue;
        }
        if (segment->lowest_id < lowest) {
            char reason[200];
            snprintf(reason, sizeof reason, "%s stands for segments from %u on, and crosses with %s", segment->name,
                     segment->lowest_id, by);
            return refuse(partition, BITCASK_CORRUPT, reason);
        }
        gone[(*gone_count)++] = segment->segment_id;
        bc_segment_unref(&segments[i]);
    }
    return BITCASK_OK;
}

/* Removes what a merge, interrupted behind its commit point, has left of its inputs. */
static bc_status remove_superseded(struct bc_partition *partition, const uint32_t *gone, size_t count)
{
    struct bc_io *io = partition->env->io;
    bc_status status;

    if (count == 0 || partition->env->read_only) return BITCASK_OK;
    bc_env_log(partition->env, BITCASK_LOG_INFO, "partition '%s': removing %zu segments that were merged already",
               partition->label, count);
    /* The output's name first: of a rename and an unlink that are both unsynced, a power cut may keep the unlink. */
    status = bc_io_sync_dir(io, partition->dir_fd, partition->label);
    partition->superseded_left = status != BITCASK_OK;
    if (bc_partition_serve_reads(partition, status)) return BITCASK_OK;
    if (status != BITCASK_OK) return status;
    for (size_t i = 0; i < count; i++) {
        char name[16];

        /* One that stays costs room, no more: it is superseded at the next open as well. */
        bc_segment_name(gone[i], name);
        if (bc_io_unlink(io, partition->dir_fd, name) != BITCASK_OK) {
            bc_env_log(partition->env, BITCASK_LOG_WARNING, "partition '%s': %s", partition->label, bc_detail());
            partition->superseded_left = true;
        }
        bc_hint_name(gone[i], name);
        (void)bc_io_unlink(io, partition->dir_fd, name);
    }
    bc_detail_clear();
    return BITCASK_OK;
}

static bool has_data(const struct listing *listing, const struct bc_partition *partition, uint32_t id)
{
    if (partition->active && partition->active->segment_id == id) return true;
    return listing->count > 0 && bsearch(&id, listing->ids, listing->count, sizeof id, compare_ids) != NULL;
}

/* Removes what crashes left. None of it matters but for its room, so a failure does not either. */
static void clean_up(struct bc_partition *partition, const struct listing *listing)
{
    struct bc_io *io = partition->env->io;
    char name[16];

    if (listing->strangers > 0)
        bc_env_log(partition->env, BITCASK_LOG_INFO, "partition '%s': left alone: %s%s, not a file of the store's",
                   partition->label, listing->strange, listing->strangers > 1 ? " and others" : "");
    if (partition->env->read_only) return;
    for (size_t i = 0; i < 4; i++)
        if (listing->leftover[i]) (void)bc_io_unlink(io, partition->dir_fd, leftovers[i]);
    for (size_t i = 0; i < listing->hint_count; i++) {
        if (has_data(listing, partition, listing->hints[i])) continue;
        bc_hint_name(listing->hints[i], name);
        (void)bc_io_unlink(io, partition->dir_fd, name);
    }
    bc_detail_clear();
}

/* ---- loading ---- */

/* Notes the slots in the order of their segments' ids. */
static bc_status order_by_age(struct bc_partition *partition)
{
    uint32_t count = 0, at;

    partition->by_age = malloc(((size_t)partition->slot_count + 1) * sizeof *partition->by_age);
    if (!partition->by_age) return BITCASK_NO_MEMORY;
    /* Mostly they are in that order already. */
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        const struct bc_segment *segment = partition->slots[i].segment;

        if (!segment) continue;
        for (at = count++; at > 0; at--) {
            uint32_t before = partition->by_age[at - 1];
            if (partition->slots[before].segment->segment_id < segment->segment_id) break;
            partition->by_age[at] = before;
        }
        partition->by_age[at] = i;
    }
    partition->by_age_count = count;
    return BITCASK_OK;
}

/* Puts the segments in their places: those that the checkpoint (or NULL) tells, or in the order of their ids. */
static bc_status place_segments(struct bc_partition *partition, struct bc_segment **segments, size_t count,
                                const struct bc_checkpoint *checkpoint)
{
    bc_status status = checkpoint ? bc_checkpoint_place(partition, segments, count, checkpoint) : BITCASK_OK;
    uint32_t slot;

    for (size_t i = 0; i < count && status == BITCASK_OK; i++) {
        if (!segments[i]) continue;
        status = bc_partition_add_slot(partition, segments[i], &slot);
        if (status == BITCASK_OK) segments[i] = NULL;
    }
    return status == BITCASK_OK ? order_by_age(partition) : status;
}

/* Looks whether sealed segments have the hints that the checkpoint knows of: after a power cut some may be gone, or torn.
 * bad: known not to serve, by slot. has_active: the newest segment is not sealed. */
static void look_for_hints(struct bc_partition *partition, bool has_active, const bool *bad)
{
    uint32_t sealed = partition->by_age_count - (has_active ? 1 : 0);

    for (uint32_t i = 0; i < sealed; i++) {
        struct bc_slot *slot = &partition->slots[partition->by_age[i]];
        struct bc_segment *segment = slot->segment;
        const struct bc_hint_head wanted = {
            .segment_id = segment->segment_id, .generation = segment->generation, .data_size = segment->end};

        if (slot->hint_bytes > 0 && !bad[partition->by_age[i]] &&
            bc_hint_looks_whole(segment->io, partition->dir_fd, &wanted))
            continue;
        slot->hint_bytes = 0;
        bc_partition_want_hints(partition);
    }
    bc_detail_clear();
}

/* Loads what is not in the index yet. has_active: the last segment is the active one. */
static bc_status load_segments(struct bc_partition *partition, bool has_active, const struct bc_replay *replay)
{
    bc_status status = BITCASK_OK;

    for (uint32_t i = 0; i < partition->by_age_count && status == BITCASK_OK; i++) {
        uint32_t slot = partition->by_age[i], id = partition->slots[slot].segment->segment_id;

        if (replay && id < replay->from.segment_id) continue;
        if (has_active && i + 1 == partition->by_age_count) status = bc_recover_active(partition, slot, replay);
        else if (replay && id == replay->from.segment_id) status = bc_recover_rest(partition, slot, replay);
        else status = bc_recover_sealed(partition, slot);
    }
    return status;
}

/* Leaves the partition cold where that can be; else builds its index, from the checkpoint (or NULL) as far as that goes. */
static bc_status load(struct bc_partition *partition, const struct listing *listing,
                      const struct bc_checkpoint *checkpoint)
{
    bool cold = false, loaded = false, *bad = calloc((size_t)partition->slot_count + 1, sizeof *bad);
    struct bc_replay replay = {0};
    bc_status status = bad ? bc_cold_open(partition, listing->active, &cold, bad) : BITCASK_NO_MEMORY;

    if (status == BITCASK_OK && !cold && checkpoint) bc_checkpoint_load(partition, checkpoint, &loaded);
    if (loaded) {
        replay = bc_checkpoint_replay(checkpoint);
        look_for_hints(partition, listing->active, bad);
    }
    free(bad);
    if (status == BITCASK_OK && !cold) status = load_segments(partition, listing->active, loaded ? &replay : NULL);
    if (status == BITCASK_OK) bc_checkpoint_note_open(partition, cold || loaded ? checkpoint : NULL);
    return status;
}

/* Lists and opens until both agree; see open_segments(). */
static bc_status open_all(struct bc_partition *partition, struct listing *listing, struct bc_segment ***segments,
                          size_t *count)
{
    bc_status status = BITCASK_OK;

    for (int attempt = 0; attempt < 100; attempt++) {
        partition->next_segment_id = 1;
        status = list_directory(partition, listing);
        if (status != BITCASK_OK) return status;
        *count = listing->count + (listing->active ? 1 : 0);
        *segments = calloc(*count + 1, sizeof **segments);
        status = *segments ? open_segments(partition, listing, *segments) : BITCASK_NO_MEMORY;
        if (status == BITCASK_OK || status != BITCASK_NOT_FOUND || !partition->env->read_only) return status;
        drop_segments(*segments, *count);
        *segments = NULL;
        release(listing);
    }
    return status;
}

bc_status bc_partition_recover(struct bc_partition *partition)
{
    struct bc_segment **segments = NULL;
    struct listing listing = {0};
    struct bc_checkpoint *checkpoint = NULL;
    size_t count = 0, gone_count = 0;
    uint32_t *gone = NULL;
    bc_status status = bc_partition_open_dir(partition->env, partition->id, false, &partition->dir_fd);

    bc_checkpoint_note_open(partition, NULL);
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* nothing was ever put here */
    if (status == BITCASK_OK) status = open_all(partition, &listing, &segments, &count);
    if (status == BITCASK_OK && !(gone = malloc((count + 1) * sizeof *gone))) status = BITCASK_NO_MEMORY;
    if (status == BITCASK_OK) status = find_superseded(partition, segments, count, gone, &gone_count);
    if (status == BITCASK_OK) status = remove_superseded(partition, gone, gone_count);
    if (status == BITCASK_OK && listing.checkpoint) bc_checkpoint_find(partition, segments, count, &checkpoint);
    if (status == BITCASK_OK) status = place_segments(partition, segments, count, checkpoint);
    if (status == BITCASK_OK) status = load(partition, &listing, checkpoint);
    if (status == BITCASK_OK) clean_up(partition, &listing);
    if (status == BITCASK_OK && !atomic_load(&partition->cold)) bc_partition_drop_unmapped(partition);
    /* A sealed segment without a successor: a crash in rotation, whose names may not be synced. */
    if (status == BITCASK_OK && !partition->active && count > 0) bc_partition_names_changed(partition);
    bc_checkpoint_close(&checkpoint);
    drop_segments(segments, count);
    free(gone);
    release(&listing);
    return status;
}
