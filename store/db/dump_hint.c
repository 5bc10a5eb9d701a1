/* dump_hint.c - hints and checkpoints told entry by entry: what an open would believe instead of reading the log.
 *
 * Reads the files as they are, without an instance. Both are disposable, so one that fails its checks is told and
 * passed over.
 */
#include "db/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/checkpoint.h"
#include "log/hint.h"

struct dump {
    struct bc_io *io;
    int at; /* the directory of the files */
    bool (*visit)(void *context, const bitcask_dump_record *record);
    void *context;
    bool stopped;
};

/* The whole file is no hint, or no checkpoint. status is what its reader said, and is returned. */
static bc_status dump_bad(struct dump *dump, const char *name, bc_status status)
{
    bitcask_dump_record record = {.file = name, .state = BITCASK_DUMP_BAD, .flags = "-"};
    struct bc_file_info info;
    char reason[512];
    int fd = -1;

    if (status != BITCASK_CORRUPT || dump->stopped) return status;
    snprintf(reason, sizeof reason, "%s", bc_detail());
    if (bc_io_open(dump->io, dump->at, name, BC_OPEN_READ, &fd) == BITCASK_OK &&
        bc_io_info(dump->io, fd, name, &info) == BITCASK_OK)
        record.size = info.size;
    (void)bc_io_close(dump->io, &fd);
    dump->stopped = !dump->visit(dump->context, &record);
    return bc_fail(BITCASK_CORRUPT, "%s", reason);
}

/* ---- hints ---- */

static void dump_entry(struct dump *dump, const char *name, uint32_t segment_id, const struct bc_hint_entry *entry)
{
    bitcask_dump_record record = {
        .file = name,
        .state = BITCASK_DUMP_HINT_ENTRY,
        .offset = entry->offset,
        .size = entry->record_size,
        .version = entry->version,
        .flags = entry->flags & BC_HINT_TOMBSTONE   ? "tombstone"
                 : entry->flags & BC_HINT_PARTITION ? "partition"
                 : entry->flags & BC_HINT_LINK      ? "link"
                                                    : "-",
        .key = entry->key,
        .key_size = entry->key_size,
        .value_size = entry->value_size,
        .segment_id = segment_id,
    };
    uint64_t parts = BC_RECORD_HEAD_SIZE + entry->key_size + entry->value_size;

    if (entry->record_size > parts) record.attrs_size = entry->record_size - parts;
    dump->stopped = !dump->visit(dump->context, &record);
}

static bc_status dump_hint(struct dump *dump, uint32_t segment_id)
{
    struct bc_hint_head head;
    struct bc_hint_entry entry;
    struct bc_hint *hint = NULL;
    struct bc_hint_cursor *cursor = NULL;
    char name[16];

    bc_hint_name(segment_id, name);
    bc_status status = bc_hint_read_head(dump->io, dump->at, segment_id, &head);
    if (status == BITCASK_OK) status = bc_hint_open(dump->io, dump->at, &head, true, &hint);
    if (status == BITCASK_OK) {
        bitcask_dump_record first = {
            .file = name,
            .state = BITCASK_DUMP_HINT,
            .size = bc_hint_file_size(hint),
            .flags = "-",
            .version = head.last_version,
            .segment_id = segment_id,
            .generation = head.generation,
            .keys = head.keys,
            .data_size = head.data_size,
        };
        dump->stopped = !dump->visit(dump->context, &first);
        status = bc_hint_cursor_open(hint, &cursor);
    }
    while (status == BITCASK_OK && !dump->stopped) {
        status = bc_hint_cursor_next(cursor, &entry);
        if (status == BITCASK_OK) dump_entry(dump, name, segment_id, &entry);
    }
    bool ended = cursor && status == BITCASK_NOT_FOUND;
    bc_hint_cursor_close(&cursor);
    bc_hint_close(&hint);
    return ended ? BITCASK_OK : dump_bad(dump, name, status);
}

struct ids {
    uint32_t *ids;
    size_t count, room;
    bool failed;
};

static bool list_hint(void *context, const char *name)
{
    struct ids *list = context;
    uint32_t id;

    if (!bc_hint_parse_name(name, &id)) return true;
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        uint32_t *ids = realloc(list->ids, room * sizeof *ids);
        if (!ids) return !(list->failed = true);
        list->ids = ids;
        list->room = room;
    }
    list->ids[list->count++] = id;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

bc_status bc_dump_hints(struct bitcask_partition *node, bool (*visit)(void *context, const bitcask_dump_record *record),
                        void *context)
{
    struct dump dump = {.io = node->db->env.io, .at = -1, .visit = visit, .context = context};
    struct ids list = {0};
    bc_status status = bc_partition_open_dir(&node->db->env, node->id, false, &dump.at), worst = BITCASK_OK;

    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* nothing was ever put there */
    if (status == BITCASK_OK) status = bc_io_list(dump.io, dump.at, "partition", list_hint, &list);
    if (status == BITCASK_OK && list.failed) status = BITCASK_NO_MEMORY;
    if (status == BITCASK_OK && list.count > 0) qsort(list.ids, list.count, sizeof *list.ids, compare_ids);
    for (size_t i = 0; i < list.count && status == BITCASK_OK && !dump.stopped; i++) {
        status = dump_hint(&dump, list.ids[i]);
        if (status == BITCASK_NOT_FOUND) status = BITCASK_OK; /* a writer removed it meanwhile */
        if (status != BITCASK_CORRUPT) continue;
        worst = status; /* the others are told too */
        status = BITCASK_OK;
    }
    (void)bc_io_close(dump.io, &dump.at);
    free(list.ids);
    if (status == BITCASK_OK && worst == BITCASK_CORRUPT)
        worst = bc_fail(BITCASK_CORRUPT, "a hint fails its checks; it will be made anew from the data");
    return status != BITCASK_OK ? status : worst;
}

/* ---- checkpoints ---- */

static void dump_slots(struct dump *dump, const struct bc_checkpoint *checkpoint)
{
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
    const struct bc_checkpoint_slot *slots = bc_checkpoint_slots(checkpoint);

    for (uint32_t i = 0; i < head->slot_count && !dump->stopped; i++) {
        bitcask_segment_info info = {
            .segment_id = slots[i].segment_id,
            .lowest_id = slots[i].lowest_id,
            .active = slots[i].segment_id == head->end.segment_id,
            .bytes = slots[i].size,
            .live_bytes = slots[i].live_bytes,
            .live_keys = slots[i].live_keys,
            .tombstone_bytes = slots[i].tombstone_bytes,
            .hint_bytes = slots[i].hint_bytes,
        };
        bitcask_dump_record record = {.file = BC_CHECKPOINT_NAME,
                                      .state = BITCASK_DUMP_SLOT,
                                      .flags = "-",
                                      .segment_id = info.segment_id,
                                      .generation = slots[i].generation,
                                      .segment = &info};
        if (info.segment_id == 0) continue; /* free */
        snprintf(info.file, sizeof info.file, "%06u.data", info.segment_id);
        dump->stopped = !dump->visit(dump->context, &record);
    }
}

static bc_status dump_blocks(struct dump *dump, const struct bc_checkpoint *checkpoint)
{
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
    bc_status status = BITCASK_OK, worst = BITCASK_OK;

    for (uint32_t i = 0; i < head->block_count && !dump->stopped && status == BITCASK_OK; i++) {
        bitcask_dump_record record = {.file = BC_CHECKPOINT_NAME,
                                      .state = BITCASK_DUMP_BLOCK,
                                      .offset = bc_checkpoint_block_at(checkpoint, i),
                                      .size = bc_checkpoint_block_size(checkpoint, i),
                                      .flags = "-"};
        size_t room = (record.size + BC_CHECKPOINT_ALIGN - 1) / BC_CHECKPOINT_ALIGN * BC_CHECKPOINT_ALIGN;
        uint8_t *block = malloc(room > 0 ? room : 1);

        status = block ? bc_checkpoint_read_block(checkpoint, i, block) : BITCASK_NO_MEMORY;
        free(block);
        record.offset += BC_CHECKPOINT_ALIGN; /* the blocks begin behind the header */
        if (status == BITCASK_CORRUPT) {
            worst = status;
            status = BITCASK_OK;
            record.state = BITCASK_DUMP_BAD;
        }
        if (status == BITCASK_OK) dump->stopped = !dump->visit(dump->context, &record);
    }
    if (status == BITCASK_OK && worst != BITCASK_OK)
        worst = bc_fail(worst, "the checkpoint fails its checks; hints and data will be read instead of it");
    return status != BITCASK_OK ? status : worst;
}

static bc_status dump_checkpoint(struct dump *dump)
{
    struct bc_checkpoint *checkpoint = NULL;
    bc_status status = bc_checkpoint_open(dump->io, dump->at, &checkpoint);

    if (status != BITCASK_OK) return dump_bad(dump, BC_CHECKPOINT_NAME, status);
    const struct bc_checkpoint_head *head = bc_checkpoint_head(checkpoint);
    bitcask_dump_record first = {
        .file = BC_CHECKPOINT_NAME,
        .state = BITCASK_DUMP_CHECKPOINT,
        .size = bc_checkpoint_file_size(checkpoint),
        .flags = "-",
        .version = head->last_version,
        .partition_id = head->partition_id,
        .keys = head->keys,
        .tail_segment_id = head->tail.segment_id,
        .tail_offset = head->tail.offset,
        .end_segment_id = head->end.segment_id,
        .end_offset = head->end.offset,
    };
    dump->stopped = !dump->visit(dump->context, &first);
    dump_slots(dump, checkpoint);
    status = dump_blocks(dump, checkpoint);
    bc_checkpoint_close(&checkpoint);
    return status;
}

bc_status bc_dump_checkpoint(struct bitcask_partition *node,
                             bool (*visit)(void *context, const bitcask_dump_record *record), void *context)
{
    struct dump dump = {.io = node->db->env.io, .at = -1, .visit = visit, .context = context};
    bc_status status = bc_partition_open_dir(&node->db->env, node->id, false, &dump.at);

    if (status == BITCASK_OK) status = dump_checkpoint(&dump);
    (void)bc_io_close(dump.io, &dump.at);
    return status;
}

/* ---- one file ---- */

bc_status bc_dump_index_file(struct bc_io *io, const char *path,
                             bool (*visit)(void *context, const bitcask_dump_record *record), void *context, bool *none)
{
    struct dump dump = {.io = io, .at = -1, .visit = visit, .context = context};
    const char *slash = strrchr(path, '/'), *leaf = slash ? slash + 1 : path;
    uint32_t segment_id = 0;
    bool hint = bc_hint_parse_name(leaf, &segment_id);

    *none = !hint && strcmp(leaf, BC_CHECKPOINT_NAME) != 0;
    if (*none) return BITCASK_OK;
    char *directory = slash ? strndup(path, (size_t)(leaf - path)) : strdup(".");
    bc_status status = directory ? BITCASK_OK : BITCASK_NO_MEMORY;
    if (status == BITCASK_OK) status = bc_io_open(io, BC_AT_CWD, directory, BC_OPEN_READ | BC_OPEN_DIRECTORY, &dump.at);
    if (status == BITCASK_OK) status = hint ? dump_hint(&dump, segment_id) : dump_checkpoint(&dump);
    (void)bc_io_close(io, &dump.at);
    free(directory);
    return status;
}
