/* merging.c - see merging.h.
 */
#include "merging.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "log/hint.h"

/* ---- merges ---- */

bitcask_status merging_rotate(bitcask_partition *partition)
{
    struct bc_partition *instance;
    bc_status status = bc_node_pin(partition, &instance);

    if (status != BITCASK_OK) return status;
    bc_fair_lock_soon(&instance->write_lock);
    if (instance->active && instance->active->end > instance->active->header_size)
        status = bc_partition_rotate(instance);
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(partition);
    return status;
}

bitcask_status merging_all(bitcask_partition *partition, enum bc_merge_kind kind, const struct bc_merge_hooks *hooks,
                           bitcask_merge_result *result)
{
    struct bc_partition *instance;
    bitcask_merge_result none = {0};
    struct bc_merge_run run, failed = {0};
    uint32_t from_id = 0, end_id;
    bc_status status = bc_node_pin(partition, &instance);

    if (status != BITCASK_OK) return status;
    if (bc_merge_wants_rotation(instance, kind)) status = merging_rotate(partition);
    /* What is sealed meanwhile is for another time: beside a fast writer it would never end. */
    bc_fair_lock_soon(&instance->write_lock);
    end_id = instance->active ? instance->active->segment_id : instance->next_segment_id;
    bc_fair_unlock(&instance->write_lock);
    while (status == BITCASK_OK) {
        bc_merge_plan(instance, kind, from_id, &run);
        if (run.segments == 0 || run.first_id >= end_id) break;
        status = bc_partition_merge(instance, &run, hooks, result ? result : &none);
        if (status != BITCASK_CORRUPT) {
            from_id = run.last_id + 1;
        } else if (run.first_id != failed.first_id || run.last_id != failed.last_id) {
            failed = run; /* noted: the plan passes over what is damaged from now on */
            status = BITCASK_OK;
        }
    }
    bc_node_unpin(partition);
    return status;
}

bitcask_status merging_run(bitcask_partition *partition, uint32_t first, uint32_t last,
                           const struct bc_merge_hooks *hooks, bitcask_merge_result *result)
{
    const struct bc_merge_run run = {.first_id = first, .last_id = last};
    bitcask_merge_result none = {0};
    struct bc_partition *instance;
    bc_status status = bc_node_pin(partition, &instance);

    if (status != BITCASK_OK) return status;
    status = bc_partition_merge(instance, &run, hooks, result ? result : &none);
    bc_node_unpin(partition);
    return status;
}

struct segments {
    bitcask_segment_info *list;
    size_t count;
};

static bool add_segment(void *context, const bitcask_segment_info *segment)
{
    struct segments *segments = context;

    if (segments->count < MERGING_SEGMENTS_MAX) segments->list[segments->count++] = *segment;
    return true;
}

size_t merging_segments(bitcask_partition *partition, bitcask_segment_info list[MERGING_SEGMENTS_MAX])
{
    struct segments segments = {list, 0};

    EXPECT(BITCASK_OK, bitcask_segments(partition, add_segment, &segments));
    return segments.count;
}

bool merging_accounts_agree(bitcask_partition *partition)
{
    struct bc_partition *instance;

    if (bc_node_pin(partition, &instance) != BITCASK_OK) return false;
    bool agree = accounts_agree(instance);
    bc_node_unpin(partition);
    return agree;
}

void merging_open(const char *path, uint64_t segment_size, bitcask **db, bitcask_partition **root)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    bc_io_posix()->background = false; /* hints at once, not a second later */
    options.segment_size = segment_size;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(*db);
    EXPECT(BITCASK_OK, bitcask_partition_open(*db, "", root));
}

void merging_open_on(struct bc_sim *sim, bitcask **db, bitcask_partition **root)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = 65536;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "/store", &options, db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(*db);
    EXPECT(BITCASK_OK, bitcask_partition_open(*db, "", root));
}

/* ---- files ---- */

const char *merging_data_file(const char *store, uint64_t partition_id, uint32_t segment_id)
{
    char name[16];

    bc_segment_name(segment_id, name);
    return fixture_partition_file(store, partition_id, name);
}

const char *merging_hint_file(const char *store, uint64_t partition_id, uint32_t segment_id)
{
    char name[16];

    bc_hint_name(segment_id, name);
    return fixture_partition_file(store, partition_id, name);
}

void merging_each_file(const char *store, uint64_t partition_id, const char *ending,
                       void (*visit)(const char *path, void *context), void *context)
{
    char directory[1024];
    struct dirent **names;
    int count;

    snprintf(directory, sizeof directory, "%s", fixture_partition_file(store, partition_id, "x"));
    *strrchr(directory, '/') = 0;
    count = scandir(directory, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        size_t size = strlen(name), end = strlen(ending);

        if (name[0] != '.' && size >= end && strcmp(name + size - end, ending) == 0)
            visit(fixture_partition_file(store, partition_id, name), context);
        free(names[i]);
    }
    if (count >= 0) free(names);
}

struct tally {
    uint64_t bytes;
    unsigned files;
};

static void tally_file(const char *path, void *context)
{
    struct tally *tally = context;

    tally->bytes += fixture_size(path);
    tally->files++;
}

uint64_t merging_bytes(const char *store, uint64_t partition_id, const char *ending, unsigned *files)
{
    struct tally tally = {0};

    merging_each_file(store, partition_id, ending, tally_file, &tally);
    if (files) *files = tally.files;
    return tally.bytes;
}

/* ---- books ---- */

void book_open(struct book *book, size_t keys, size_t value_size)
{
    *book = (struct book){calloc(keys, sizeof(uint64_t)), keys, value_size};
    if (!book->counts || value_size + 64 > BOOK_VALUE_MAX) exit(99);
}

void book_close(struct book *book)
{
    free(book->counts);
    *book = (struct book){0};
}

size_t book_key(size_t key, char name[20])
{
    /* The digits are turned round, so that neighbours in time are none in order. */
    char digits[16];
    int size = snprintf(digits, sizeof digits, "%06u", (unsigned)key);

    memcpy(name, "key-......", 10);
    for (int i = 0; i < size; i++) name[10 + i] = digits[size - 1 - i];
    name[10 + size] = 0;
    return 10 + (size_t)size;
}

size_t book_value(const struct book *book, size_t key, uint64_t count, char *value)
{
    size_t size = book->value_size + (book->value_size > 32 ? count % 8 : 0);
    char head[48];
    size_t head_size = (size_t)snprintf(head, sizeof head, "%u:%llu:", (unsigned)key, (unsigned long long)count);

    if (size < head_size) size = head_size;
    memset(value, 'a' + (int)((key + count) % 26), size);
    memcpy(value, head, head_size);
    return size;
}

bitcask_status book_put(struct book *book, bitcask_partition *partition, size_t key)
{
    static _Thread_local char value[BOOK_VALUE_MAX];
    char name[20];
    uint64_t next = (book->counts[key] / 2 + 1) * 2;
    size_t name_size = book_key(key, name), size = book_value(book, key, next, value);
    bitcask_status status = bitcask_put(partition, name, name_size, value, size, NULL, NULL);

    if (status == BITCASK_OK) book->counts[key] = next;
    return status;
}

bitcask_status book_delete(struct book *book, bitcask_partition *partition, size_t key)
{
    char name[20];
    size_t name_size = book_key(key, name);
    bitcask_status status;

    if (book->counts[key] == 0 || book->counts[key] % 2) return BITCASK_OK;
    status = bitcask_delete(partition, name, name_size, NULL);
    if (status == BITCASK_OK) book->counts[key]++;
    return status;
}

bitcask_status book_put_batch(struct book *book, bitcask_partition *partition, size_t first, size_t count)
{
    bitcask_batch *batch = NULL;
    char *values = malloc(count * (book->value_size + 64)), *at = values;
    bitcask_status status = bitcask_batch_open(partition, &batch);

    if (!values) exit(99);
    for (size_t key = first; key < first + count && status == BITCASK_OK; key++) {
        char name[20];
        size_t name_size = book_key(key, name);
        size_t size = book_value(book, key, (book->counts[key] / 2 + 1) * 2, at);

        status = bitcask_batch_put(batch, name, name_size, at, size, NULL);
        at += size;
    }
    if (status == BITCASK_OK) status = bitcask_batch_commit(batch, 0, 0, NULL);
    for (size_t key = first; key < first + count && status == BITCASK_OK; key++)
        book->counts[key] = (book->counts[key] / 2 + 1) * 2;
    bitcask_batch_close(&batch);
    free(values);
    return status;
}

static unsigned complaints;

static bool complain(const char *name, const char *what, uint64_t count, bitcask_status status)
{
    if (complaints++ < 10)
        fprintf(stderr, "%s of count %llu: %s (%s; %s)\n", name, (unsigned long long)count, what,
                bitcask_status_text(status), bitcask_error_detail());
    return false;
}

bool book_agrees_key(const struct book *book, bitcask_partition *partition, size_t key)
{
    static _Thread_local char expected[BOOK_VALUE_MAX];
    char name[20];
    size_t name_size = book_key(key, name), size;
    uint64_t count = book->counts[key];
    bitcask_value *value = NULL;
    bitcask_entry entry;
    bool there = count > 0 && count % 2 == 0, same;
    bitcask_status status = bitcask_get(partition, name, name_size, &value);

    if (!there) {
        bitcask_value_unpin(&value);
        if (status != BITCASK_NOT_FOUND) return complain(name, "is not gone", count, status);
        status = bitcask_stat(partition, name, name_size, &entry);
        return status == BITCASK_NOT_FOUND || complain(name, "can be looked at", count, status);
    }
    if (status != BITCASK_OK) return complain(name, "cannot be read", count, status);
    size = book_value(book, key, count, expected);
    same = bitcask_value_size(value) == size && memcmp(bitcask_value_data(value), expected, size) == 0;
    bitcask_value_unpin(&value);
    if (!same) return complain(name, "has another value", count, status);
    status = bitcask_stat(partition, name, name_size, &entry);
    if (status != BITCASK_OK || entry.value_size != size) return complain(name, "cannot be looked at", count, status);
    return true;
}

bool book_agrees(const struct book *book, bitcask_partition *partition)
{
    const bitcask_query_options options = {.prefix = "key-", .prefix_size = 4};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    size_t there = 0, listed = 0;
    bool good = true;
    bitcask_status status;

    for (size_t key = 0; key < book->keys; key++) {
        good = book_agrees_key(book, partition, key) && good;
        there += book->counts[key] > 0 && book->counts[key] % 2 == 0;
    }
    status = bitcask_query_open(partition, &options, &query);
    if (status != BITCASK_OK) return complain("query", "fails", 0, status);
    while ((status = bitcask_query_next(query, &entry)) == BITCASK_OK) listed++;
    bitcask_query_close(&query);
    if (status != BITCASK_NOT_FOUND || listed != there) return complain("query", "lists other keys", listed, status);
    return good;
}
