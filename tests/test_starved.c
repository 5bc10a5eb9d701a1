/* test_starved.c - each allocation of the library failing, in scripts that go through all groups of its functions. See
 * starved.h; STARVE_SCRIPT, STARVE_AT and STARVE_EVERY choose among what it does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "db/dump.h"
#include "db/maintain.h"
#include "partition/checkpoint.h"
#include "starve.h"
#include "starved.h"

#define ROOT STARVED_ROOT
#define COUNT(list) (sizeof(list) / sizeof *(list))

static void set_checkpoints(bool on)
{
    bc_checkpoint_limits.least = on ? 1 : UINT64_MAX;
    bc_checkpoint_limits.keys = 0;
}

static void rotate(struct starved *store)
{
    bitcask_partition *root = starved_enter(store, ROOT);
    if (root) (void)starved_ok(store, bitcask_rotate(root, BITCASK_BELOW), "rotate");
    bitcask_partition_close(&root);
}

/* Small and large files, overwritten and deleted ones, names of one file, three partitions, several segments. */
static void fill(struct starved *store)
{
    int dir, sub;
    if (!starved_open(store)) return;
    dir = starved_create(store, ROOT, "dir");
    sub = starved_create(store, dir, "sub");
    starved_put(store, ROOT, "a", 100, 0);
    starved_put(store, ROOT, "b", 200, 0);
    starved_put(store, ROOT, "c", 0, 0);
    starved_put(store, ROOT, "old", 50, 0);
    starved_put(store, ROOT, "big", 9000, 0);
    starved_put(store, dir, "d", 300, 0);
    starved_put(store, sub, "s", 40, 0);
    rotate(store);
    starved_link(store, &(struct starved_move){ROOT, "b", dir, "b link", 0});
    starved_link(store, &(struct starved_move){ROOT, "big", sub, "big link", 0});
    starved_put(store, ROOT, "a", 120, 0);
    starved_put(store, dir, "big", 13000, 0);
    starved_delete(store, ROOT, "old", 0);
    starved_batch(store, dir, (struct starved_op[]){{"e", 30, false}, {"f", 40, false}, {"g", 50, false}}, 3, 0);
    rotate(store);
    starved_put(store, ROOT, "big", 5000, 0);
    starved_put(store, sub, "t", 70, 0);
    starved_delete(store, dir, "f", 0);
    starved_moves(store, &(struct starved_move){ROOT, "c", dir, "c", 0}, 1);
    starved_set_mode(store, ROOT, "a", 0100444, 0);
}

static int dir_of(const struct starved *store)
{
    return starved_at(store, ROOT, "dir");
}

static int sub_of(const struct starved *store)
{
    return starved_at(store, dir_of(store), "sub");
}

static void fill_for_hints(struct starved *store)
{
    set_checkpoints(false);
    fill(store);
}

static void fill_for_checkpoints(struct starved *store)
{
    set_checkpoints(true);
    fill(store);
}

/* Calls each for the names in a directory of the store. */
static void remove_hints(struct starved *store, uint64_t id)
{
    char path[256], name[16];
    int fd;
    snprintf(path, sizeof path, "%s/partitions/%02x/%016llx", store->path, (unsigned)(id & 0xff),
             (unsigned long long)id);
    if (bc_io_open(store->io, BC_AT_CWD, path, BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd) != BITCASK_OK) exit(99);
    for (unsigned i = 1; i < 10; i++) {
        snprintf(name, sizeof name, "%06u.hint", i);
        (void)bc_io_unlink(store->io, fd, name);
    }
    (void)bc_io_close(store->io, &fd);
}

static void fill_without_hints(struct starved *store)
{
    fill_for_hints(store);
    starved_close(store);
    remove_hints(store, BC_ROOT_ID);
    remove_hints(store, BC_INODES_ID);
}

/* ---- opening ---- */

static void create_and_reopen(struct starved *store)
{
    set_checkpoints(true);
    if (!starved_open(store)) return;
    int dir = starved_create(store, ROOT, "dir");
    if (dir >= 0) starved_put(store, dir, "a", 100, BITCASK_DURABLE);
    starved_put(store, ROOT, "big", 5000, 0);
    starved_close(store);
    if (starved_open(store)) starved_compare(store);
}

static void open_and_read(struct starved *store)
{
    if (!starved_open(store)) return;
    starved_compare(store);
    starved_close(store);
}

static void open_twice(struct starved *store)
{
    if (!starved_open(store) && !starved_open(store)) return;
    starved_put(store, dir_of(store), "d", 310, 0);
    starved_close(store);
}

static void open_read_only(struct starved *store)
{
    store->options.read_only = true;
    if (!starved_open(store)) return;
    starved_compare(store);
    starved_verify(store);
    starved_close(store);
}

/* Few open at a time, and little memory for them. */
static void open_few(struct starved *store)
{
    store->options.max_open = 4;
    store->options.memory_limit = 65536;
    if (!starved_open(store)) return;
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        int made = starved_create(store, ROOT, name);
        if (made < 0) continue;
        starved_put(store, made, "k", 500, i % 2 ? BITCASK_DURABLE : 0);
        if (i > 0) starved_moves(store, &(struct starved_move){made, "k", dir_of(store), name, 0}, 1);
    }
    starved_compare(store);
    starved_sync(store);
}

/* ---- keys ---- */

static void read_in_parts(struct starved *store, int partition, const char *name)
{
    bitcask_partition *at = starved_enter(store, partition);
    bitcask_value *value = NULL;
    const struct starved_content *content = &store->contents[store->items[starved_at(store, partition, name)].content];
    uint8_t part[300];
    uint64_t found;
    size_t got;
    if (at && starved_ok(store, bitcask_pin(at, name, strlen(name), &value), "pin")) {
        for (int twice = 0; twice < 2; twice++) {
            bitcask_status status = bitcask_value_read(value, 50, part, sizeof part, &got);
            if (starved_ok(store, status, "value_read") && memcmp(part, content->bytes + 50, got) != 0)
                store->failed = true;
        }
        (void)starved_ok(store, bitcask_value_seek(value, 0, true, &found), "value_seek");
        if (starved_ok(store, bitcask_value_load(value), "value_load") &&
            memcmp(bitcask_value_data(value), content->bytes, content->size) != 0)
            store->failed = true;
        bitcask_value_unload(value);
        (void)starved_ok(store, bitcask_value_load(value), "value_load");
    }
    bitcask_value_unpin(&value);
    bitcask_partition_close(&at);
}

static void keys(struct starved *store)
{
    if (!starved_open(store)) return;
    int dir = dir_of(store);
    starved_put(store, ROOT, "a", 300, BITCASK_DURABLE);
    starved_put(store, ROOT, "a", 300, BITCASK_IF_ABSENT);
    starved_put(store, ROOT, "new", 400, BITCASK_IF_ABSENT);
    starved_put(store, ROOT, "b", 250, 0); /* of two names */
    starved_put(store, dir, "big", 15000, 0);
    starved_put(store, dir, "d", 8000, 0); /* grows */
    starved_put(store, dir, "big", 10, 0); /* shrinks */
    starved_set_mode(store, ROOT, "a", 0100600, BITCASK_DURABLE);
    starved_set_mode(store, ROOT, "big", 0100640, 0);
    starved_set_mode(store, ROOT, "dir", 040711, 0);
    read_in_parts(store, ROOT, "big");
    read_in_parts(store, ROOT, "a");
    starved_delete(store, ROOT, "nobody", 0);
    starved_delete(store, ROOT, "a", BITCASK_DURABLE);
    starved_delete(store, ROOT, "big", 0); /* another name stays */
    starved_delete(store, dir, "big", 0);
    starved_sync(store);
    starved_compare(store);
}

static void batches(struct starved *store)
{
    static const struct starved_op small[] = {{"x", 10, false}, {"y", 20, false}, {"d", -1, false}, {"x", 30, false}};
    static const struct starved_op mixed[] = {{"x", 9000, false}, {"b link", 50, false}, {"e", -1, false}};
    static const struct starved_op written[] = {{"z", 6000, true}, {"y", 7000, true}, {"big", -1, false}};
    if (!starved_open(store)) return;
    starved_batch(store, dir_of(store), small, COUNT(small), 0);
    starved_batch(store, dir_of(store), mixed, COUNT(mixed), 0);
    starved_batch(store, dir_of(store), written, COUNT(written), BITCASK_DURABLE);
    starved_compare(store);
    starved_sync(store);
}

static void writers(struct starved *store)
{
    static const struct starved_piece over[] = {
        {STARVED_WRITE, 3000, 4000}, {STARVED_COMMIT, 0, 0},   {STARVED_PUNCH, 1000, 9000}, {STARVED_COMMIT, 0, 0},
        {STARVED_CUT, 0, 16000},     {STARVED_WRITE, 500, 20}, {STARVED_COMMIT, 0, 0},
    };
    static const struct starved_piece fresh[] = {
        {STARVED_WRITE, 8192, 9000}, {STARVED_WRITE, 0, 100}, {STARVED_CUT, 0, 12000}, {STARVED_COMMIT, 0, 0}};
    static const struct starved_piece shrink[] = {{STARVED_CUT, 0, 100}, {STARVED_COMMIT, 0, 0}};
    if (!starved_open(store)) return;
    starved_write(store, ROOT, "big", over, COUNT(over));
    starved_write(store, ROOT, "fresh", fresh, COUNT(fresh));
    starved_write(store, ROOT, "a", over, COUNT(over));
    starved_write(store, dir_of(store), "big", shrink, COUNT(shrink));
    starved_compare(store);
    starved_sync(store);
}

/* Many pieces in memory and out of it: more than a writer keeps. */
static void writers_with_room(struct starved *store)
{
    bitcask_partition *root;
    bitcask_writer *writer = NULL;
    if (!starved_open(store)) return;
    root = starved_enter(store, ROOT);
    if (root && starved_ok(store, bitcask_writer_open(root, NULL, &writer), "writer_open")) {
        for (uint64_t i = 0; i < 24; i++) {
            (void)starved_ok(store, bitcask_writer_write(writer, i * 15000, "some bytes", 10), "writer_write");
            (void)starved_ok(store, bitcask_writer_reserve(writer, i * 15000, 4000), "writer_reserve");
        }
        (void)bitcask_writer_stored(writer);
    }
    bitcask_writer_close(&writer);
    if (root && starved_ok(store, bitcask_reserve(root, 1000), "reserve")) bitcask_unreserve(root, 1000);
    bitcask_partition_close(&root);
}

/* ---- queries ---- */

static bool is_wanted(const struct starved *store, int i, int partition, const bitcask_query_options *options)
{
    const struct starved_item *item = &store->items[i];
    if (!item->used || item->parent != partition) return false;
    if (options->prefix && strncmp(item->name, options->prefix, options->prefix_size) != 0) return false;
    int low = options->from ? strcmp(item->name, options->from) : 1,
        high = options->to ? strcmp(item->name, options->to) : -1;
    if (low < 0 || (low == 0 && options->from_exclusive) || high > 0 || (high == 0 && options->to_exclusive))
        return false;
    int behind = options->after ? strcmp(item->name, options->after) : options->reverse ? -1 : 1;
    if (options->reverse ? behind >= 0 : behind <= 0) return false;
    return options->keys == options->partitions || item->is_partition == options->partitions;
}

static int next_wanted(const struct starved *store, int partition, const bitcask_query_options *options, int last)
{
    int found = STARVED_NONE;
    for (int i = 0; i < (int)STARVED_ITEMS; i++) {
        int sign = options->reverse ? -1 : 1;
        if (!is_wanted(store, i, partition, options)) continue;
        if (last >= 0 && sign * strcmp(store->items[i].name, store->items[last].name) <= 0) continue;
        if (found < 0 || sign * strcmp(store->items[i].name, store->items[found].name) < 0) found = i;
    }
    return found;
}

static void query(struct starved *store, int partition, const bitcask_query_options *options)
{
    bitcask_partition *at = starved_enter(store, partition);
    bitcask_query *query = NULL;
    bitcask_entry entry;
    uint64_t count = 0;
    int last = STARVED_NONE;
    bool same = at && starved_ok(store, bitcask_query_open(at, options, &query), "query_open");
    bitcask_partition_close(&at);
    while (same) {
        int i = next_wanted(store, partition, options, last);
        bool ends = i == STARVED_NONE || (options->limit && count == options->limit);
        bitcask_status status = bitcask_query_next(query, &entry);
        same = starved_expect(store, ends ? BITCASK_NOT_FOUND : BITCASK_OK, status, "query_next") && !ends;
        if (same && (entry.key_size != strlen(store->items[i].name) ||
                     memcmp(entry.key, store->items[i].name, entry.key_size) != 0)) {
            fprintf(stderr, "a query gives another name than %s\n", store->items[i].name);
            store->failed = true;
            same = false;
        }
        last = i;
        count++;
    }
    bitcask_query_close(&query);
}

static void queries(struct starved *store)
{
    static const bitcask_query_options forms[] = {
        {.keys = true},
        {.partitions = true},
        {.reverse = true},
        {.from = "b", .from_size = 1, .to = "d", .to_size = 1},
        {.from = "b", .from_size = 1, .from_exclusive = true, .to = "e", .to_size = 1, .to_exclusive = true},
        {.prefix = "b", .prefix_size = 1, .reverse = true},
        {.after = "cc", .after_size = 2, .limit = 2},
        {.after = "e", .after_size = 1, .reverse = true},
    };
    if (!starved_open(store)) return;
    for (size_t i = 0; i < COUNT(forms); i++) {
        query(store, dir_of(store), &forms[i]);
        query(store, ROOT, &forms[i]);
        if (i == 3) starved_put(store, dir_of(store), "cc", 60, 0);
    }
}

/* ---- several names, and places ---- */

static void put_by_number(struct starved *store, int partition, const char *name)
{
    int i = starved_at(store, partition, name);
    bitcask_partition *at = starved_enter(store, partition), *files = NULL;
    bitcask_entry entry;
    char number[17];
    if (at && starved_ok(store, bitcask_stat(at, name, strlen(name), &entry), "stat") && entry.file_id > 0 &&
        starved_ok(store, bitcask_partition_open_files(store->db, &files), "open_files")) {
        struct starved_content *content = &store->contents[store->items[i].content];
        snprintf(number, sizeof number, "%016llx", (unsigned long long)entry.file_id);
        if (starved_ok(store, bitcask_put(files, number, 16, "by number", 9, NULL, NULL), "put by number")) {
            content->size = 9;
            memcpy(content->bytes, "by number", 9);
            content->mode = 0;
            content->version = 0;
        }
        (void)starved_ok(store, bitcask_stat(files, number, 16, &entry), "stat by number");
    }
    bitcask_partition_close(&files);
    bitcask_partition_close(&at);
}

static void links(struct starved *store)
{
    if (!starved_open(store)) return;
    int dir = dir_of(store), sub = sub_of(store);
    const struct starved_move made[] = {{ROOT, "a", dir, "a1", BITCASK_LINK},
                                        {ROOT, "a", sub, "a2", BITCASK_LINK},
                                        {dir, "d", ROOT, "d1", BITCASK_LINK},
                                        {ROOT, "b", ROOT, NULL, BITCASK_REMOVE}};
    const struct starved_move changed[] = {{dir, "big", sub, "big1", BITCASK_LINK},
                                           {sub, "big1", dir, "big2", BITCASK_LINK},
                                           {dir, "big", dir, NULL, BITCASK_REMOVE},
                                           {dir, "big2", dir, "big", 0}};
    starved_link(store, &(struct starved_move){dir, "e", sub, "e", 0});
    starved_moves(store, made, COUNT(made));
    starved_moves(store, changed, COUNT(changed));
    put_by_number(store, ROOT, "big");
    starved_put(store, dir, "b link", 333, 0);
    starved_delete(store, dir, "b link", 0);
    starved_delete(store, sub, "big link", 0);
    starved_delete(store, ROOT, "big", 0);
    starved_compare(store);
    starved_sync(store);
}

static void moves(struct starved *store)
{
    if (!starved_open(store)) return;
    int dir = dir_of(store), sub = sub_of(store);
    const struct starved_move round[] = {
        {ROOT, "a", sub, "a", 0}, {dir, "d", ROOT, "d", 0}, {ROOT, "big", dir, "g", 0}, {sub, "s", ROOT, "s", 0}};
    starved_moves(store, &(struct starved_move){dir, "e", dir, "e2", 0}, 1);
    starved_moves(store, round, COUNT(round));
    starved_moves(store, &(struct starved_move){sub, "a", dir, "big", BITCASK_EXCHANGE}, 1);
    starved_moves(store, &(struct starved_move){dir, "sub", ROOT, "moved", 0}, 1);
    starved_moves(store, &(struct starved_move){ROOT, "moved", ROOT, "sub", 0}, 1);
    starved_moves(store, &(struct starved_move){ROOT, "sub", ROOT, "dir", BITCASK_EXCHANGE}, 1);
    starved_put(store, sub, "t", 80, 0);
    starved_compare(store);
    starved_sync(store);
}

static void partitions(struct starved *store)
{
    bitcask_partition *at;
    bitcask_value *xattrs = NULL;
    bitcask_entry entry;
    if (!starved_open(store)) return;
    int made = starved_create(store, sub_of(store), "made"), below = STARVED_NONE;
    if (made >= 0) below = starved_create(store, made, "below");
    if (below >= 0) starved_put(store, below, "k", 20, BITCASK_DURABLE);
    if (below >= 0) starved_delete(store, below, "k", 0);
    if (below >= 0) starved_drop(store, made, "below");
    if ((at = starved_enter(store, dir_of(store))) != NULL) {
        const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 040750};
        (void)starved_ok(store, bitcask_partition_stat(at, &entry), "partition_stat");
        if (starved_ok(store, bitcask_partition_set_attrs(at, &attrs, BITCASK_DURABLE), "partition_set_attrs")) {
            store->items[dir_of(store)].mode = attrs.mode;
            store->items[dir_of(store)].version = 0;
        }
        (void)starved_ok(store, bitcask_partition_xattrs(at, &xattrs), "partition_xattrs");
        (void)starved_ok(store, bitcask_partition_sync(at), "partition_sync");
        bitcask_value_unpin(&xattrs);
    }
    bitcask_partition_close(&at);
    starved_sync(store);
    starved_drop(store, dir_of(store), "nobody");
    starved_compare(store);
}

/* ---- space and soundness ---- */

static void merge(struct starved *store, unsigned flags)
{
    const bitcask_merge_options options = {.flags = flags | BITCASK_BELOW};
    bitcask_partition *root = starved_enter(store, ROOT);
    if (root) (void)starved_ok(store, bitcask_merge(root, &options, NULL), "merge");
    bitcask_partition_close(&root);
}

static void merges(struct starved *store)
{
    if (!starved_open(store)) return;
    rotate(store);
    merge(store, 0);
    starved_put(store, ROOT, "a", 90, 0);
    starved_put(store, ROOT, "big", 11000, 0);
    starved_delete(store, dir_of(store), "d", 0);
    merge(store, BITCASK_MERGE_FULL);
    starved_compare(store);
    starved_delete(store, ROOT, "b", 0);
    merge(store, BITCASK_MERGE_FULL);
    starved_verify(store);
    starved_sync(store);
}

static void checkpoint(struct starved *store, bitcask_partition *node)
{
    struct bc_partition *instance;
    if (!starved_ok(store, bc_node_pin(node, &instance), "pin")) return;
    pthread_mutex_lock(&instance->files_lock);
    (void)starved_ok(store, bc_checkpoint_save(instance), "checkpoint");
    pthread_mutex_unlock(&instance->files_lock);
    bc_node_unpin(node);
}

static void checkpoints(struct starved *store)
{
    if (!starved_open(store)) return;
    starved_put(store, ROOT, "a", 90, 0);
    checkpoint(store, store->db->root);
    starved_put(store, ROOT, "a", 91, 0);
    checkpoint(store, store->db->root);
    checkpoint(store, store->db->inodes);
    merge(store, BITCASK_MERGE_FULL);
    checkpoint(store, store->db->root);
    starved_close(store);
    open_and_read(store);
}

static bool count_record(void *context, const bitcask_dump_record *record)
{
    (void)record;
    ++*(uint64_t *)context;
    return true;
}

static bool count_segment(void *context, const bitcask_segment_info *segment)
{
    (void)segment;
    ++*(uint64_t *)context;
    return true;
}

static bool count_metric(void *context, const bitcask_metric *metric)
{
    (void)metric;
    ++*(uint64_t *)context;
    return true;
}

static void figures(struct starved *store)
{
    uint64_t count = 0;
    bitcask_stats stats;
    bitcask_health health;
    bitcask_location location;
    bitcask_activity activity;
    if (!starved_open(store)) return;
    bitcask_partition *root = starved_enter(store, ROOT), *dir = starved_enter(store, dir_of(store));
    if (root && dir) {
        starved_verify(store);
        (void)starved_ok(store, bitcask_dump(root, count_record, &count), "dump");
        (void)starved_ok(store, bitcask_dump_hints(dir, count_record, &count), "dump_hints");
        (void)starved_expect(store, BITCASK_NOT_FOUND, bitcask_dump_checkpoint(root, count_record, &count),
                             "dump_checkpoint");
        (void)starved_ok(store, bitcask_segments(dir, count_segment, &count), "segments");
        (void)starved_ok(store, bitcask_locate(root, "big", 3, &location), "locate");
        (void)starved_ok(store, bitcask_get_stats(store->db, &stats), "get_stats");
        (void)starved_ok(store, bitcask_partition_stats(dir, &stats), "partition_stats");
        (void)starved_ok(store, bitcask_metrics(root, BITCASK_BELOW | BITCASK_UNOPENED, count_metric, &count),
                         "metrics");
        (void)starved_ok(store, bitcask_metrics(root, BITCASK_BELOW | BITCASK_BY_PARTITION, count_metric, &count),
                         "metrics");
        (void)starved_ok(store, bitcask_get_health(root, &health), "get_health");
        bitcask_get_activity(store->db, &activity);
    }
    bitcask_partition_close(&dir);
    bitcask_partition_close(&root);
}

static void dump_checkpoint(struct starved *store)
{
    uint64_t count = 0;
    store->options.read_only = true;
    if (!starved_open(store)) return;
    bitcask_partition *root = starved_enter(store, ROOT);
    if (root) (void)starved_ok(store, bitcask_dump_checkpoint(root, count_record, &count), "dump_checkpoint");
    bitcask_partition_close(&root);
}

/* ---- repair ---- */

/* A bit of a record that is dead, in a sealed segment. */
static void fill_and_damage(struct starved *store)
{
    char path[256];
    uint8_t byte;
    size_t got;
    int fd;
    fill_for_hints(store);
    starved_close(store);
    snprintf(path, sizeof path, "%s/partitions/00/0000000000000000/000001.data", store->path);
    if (bc_io_open(store->io, BC_AT_CWD, path, BC_OPEN_WRITE, &fd) != BITCASK_OK) exit(99);
    uint64_t at = 62 + 26 + 3 + 200; /* in the first record with a value, that of "a", or behind it */
    if (bc_io_read(store->io, fd, path, &byte, 1, at, &got) != BITCASK_OK || got != 1) exit(99);
    byte ^= 4;
    if (bc_io_write(store->io, fd, path, &(struct iovec){&byte, 1}, 1, at) != BITCASK_OK) exit(99);
    if (bc_io_sync(store->io, fd, path) != BITCASK_OK) exit(99);
    (void)bc_io_close(store->io, &fd);
}

static bool tell(void *context, const bitcask_finding *finding)
{
    (void)context;
    if (getenv("STARVE_AT"))
        fprintf(stderr, "%s at %llu: %s\n", finding->file, (unsigned long long)finding->offset, finding->text);
    return true;
}

static void repair(struct starved *store)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = tell};
    bitcask_verify_result result;
    bool done = starved_ok(store, bc_db_repair(store->io, store->path, "", &options, &result), "repair");
    if (!done) {
        /* What is left over can be repaired. */
        fixture_own++;
        bitcask_status status = bc_db_repair(store->io, store->path, "", &options, &result);
        fixture_own--;
        if (status != BITCASK_OK) {
            fprintf(stderr, "repair: %s (%s)\n", bitcask_status_text(status), bitcask_error_detail());
            store->failed = true;
        }
    }
    open_and_read(store);
}

/* ---- behind the caller's back ---- */

static void wait_for(bool (*over)(const struct starved *store), const struct starved *store)
{
    for (int i = 0; i < 2000 && !over(store); i++) usleep(1000);
}

static bool merge_is_over(const struct starved *store)
{
    bitcask_activity activity;
    bitcask_get_activity(store->db, &activity);
    return (activity.merge.ended_ns > 0 && !activity.merge.running) || (starve_failed() && !activity.merge.running);
}

static void scheduled(struct starved *store)
{
    if (!starved_open(store)) return;
    starved_compare(store);
    for (int i = 0; i < 20; i++) starved_put(store, ROOT, "a", 900, 0);
    rotate(store);
    (void)starved_ok(store, bitcask_set_scheduler(store->db, true), "set_scheduler");
    wait_for(merge_is_over, store);
    (void)starved_ok(store, bitcask_set_scheduler(store->db, false), "set_scheduler");
    starved_compare(store);
    starved_sync(store);
}

static bool hints_are_made(const struct starved *store)
{
    return !atomic_load(&store->db->hints_wanted) || starve_failed();
}

static void synced_behind(struct starved *store)
{
    store->options.sync = BITCASK_SYNC_INTERVAL;
    store->options.sync_interval_ms = 1;
    if (!starved_open(store)) return;
    for (int i = 0; i < 3; i++) {
        starved_put(store, ROOT, "a", 900, 0);
        starved_put(store, dir_of(store), "big", 9000, 0);
        rotate(store);
        wait_for(hints_are_made, store);
        usleep(3000);
    }
    starved_compare(store);
}

/* Threads that cannot be started: no store, or one without. */
static void threads(struct starved *store)
{
    store->options.sync = BITCASK_SYNC_INTERVAL;
    store->options.sync_interval_ms = 3600000;
    store->options.scheduler = true;
    if (!starved_open(store)) return;
    (void)starved_ok(store, bitcask_set_scheduler(store->db, true), "set_scheduler");
    starved_put(store, ROOT, "a", 10, 0);
}

/* ---- the machine's own disk ---- */

static void on_disk(struct starved *store)
{
    uint64_t count = 0;
    int64_t pid;
    char path[256];
    if (!starved_open(store)) return;
    starved_compare(store);
    (void)starved_ok(store, bitcask_store_holder(store->path, &pid), "store_holder");
    starved_put(store, ROOT, "big", 19000, 0);
    read_in_parts(store, ROOT, "big");
    read_in_parts(store, dir_of(store), "big");
    merge(store, BITCASK_MERGE_FULL);
    starved_compare(store);
    starved_close(store);
    snprintf(path, sizeof path, "%s/partitions/00/0000000000000000/active.data", store->path);
    (void)starved_ok(store, bitcask_dump_file(path, count_record, &count), "dump_file");
    snprintf(path, sizeof path, "%s/partitions/00/0000000000000000/index", store->path);
    bitcask_status status = bitcask_dump_file(path, count_record, &count);
    if (status != BITCASK_NOT_FOUND) (void)starved_ok(store, status, "dump_file of a checkpoint");
    (void)starved_ok(store, bitcask_repair(store->path, "", NULL, NULL), "repair");
    open_and_read(store);
}

/* ---- all of them ---- */

#define SCRIPT(function, text, ...)                                                         \
    static void function##_test(void)                                                       \
    {                                                                                       \
        const struct starved_script script = {.name = text, .play = function, __VA_ARGS__}; \
        starved_everywhere(&script);                                                        \
    }

SCRIPT(create_and_reopen, "creating", .prepare = NULL)
SCRIPT(open_and_read, "opening", .prepare = fill_for_hints)
static void open_others_test(void)
{
    const struct starved_script scripts[] = {
        {.name = "opening with checkpoints", .prepare = fill_for_checkpoints, .play = open_and_read},
        {.name = "opening without hints", .prepare = fill_without_hints, .play = open_and_read},
        {.name = "opening after a kill", .prepare = fill_for_hints, .killed = true, .play = open_and_read},
    };
    for (size_t i = 0; i < COUNT(scripts); i++) starved_everywhere(&scripts[i]);
}
SCRIPT(open_twice, "opening once more", .prepare = fill_for_checkpoints, .killed = true)
SCRIPT(open_few, "few partitions open", .prepare = fill_for_hints)
static void open_read_only_test(void)
{
    const struct starved_script scripts[] = {
        {.name = "read-only", .prepare = fill_for_hints, .play = open_read_only},
        {.name = "read-only with checkpoints", .prepare = fill_for_checkpoints, .play = open_read_only},
        {.name = "read-only after a kill", .prepare = fill_for_hints, .killed = true, .play = open_read_only},
    };
    for (size_t i = 0; i < COUNT(scripts); i++) starved_everywhere(&scripts[i]);
}
SCRIPT(keys, "keys", .prepare = fill_for_hints)
SCRIPT(batches, "batches", .prepare = fill_for_hints)
SCRIPT(queries, "queries", .prepare = fill_for_checkpoints)
SCRIPT(writers, "writers", .prepare = fill_for_hints)
SCRIPT(writers_with_room, "writers with room", .prepare = fill_for_hints)
SCRIPT(links, "links", .prepare = fill_for_hints)
SCRIPT(moves, "moves", .prepare = fill_for_hints)
SCRIPT(partitions, "partitions", .prepare = fill_for_hints)
SCRIPT(merges, "merges", .prepare = fill_for_hints)
SCRIPT(checkpoints, "checkpoints", .prepare = fill_for_checkpoints)
SCRIPT(figures, "figures", .prepare = fill_for_hints)
SCRIPT(dump_checkpoint, "dump of a checkpoint", .prepare = fill_for_checkpoints)
SCRIPT(repair, "repair", .prepare = fill_and_damage)
SCRIPT(scheduled, "scheduler", .prepare = fill_for_hints, .behind = true)
SCRIPT(synced_behind, "sync thread", .prepare = fill_for_checkpoints, .behind = true)
SCRIPT(threads, "threads", .prepare = fill_for_hints)
SCRIPT(on_disk, "on disk", .prepare = fill_for_checkpoints, .real_disk = true)

int main(void)
{
    starved_seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%#llx\n", (unsigned long long)starved_seed);
    bc_io_posix()->background = false; /* one thread, so that a run repeats */
    CU_TestInfo tests[] = {
        {"creating", create_and_reopen_test},
        {"opening", open_and_read_test},
        {"opening what a kill left, or with other files", open_others_test},
        {"opening once more", open_twice_test},
        {"few partitions open", open_few_test},
        {"read-only", open_read_only_test},
        {"keys", keys_test},
        {"batches", batches_test},
        {"queries", queries_test},
        {"writers", writers_test},
        {"writers with room", writers_with_room_test},
        {"links", links_test},
        {"moves", moves_test},
        {"partitions", partitions_test},
        {"merges", merges_test},
        {"checkpoints", checkpoints_test},
        {"figures", figures_test},
        {"dump of a checkpoint", dump_checkpoint_test},
        {"repair", repair_test},
        {"scheduler", scheduled_test},
        {"sync thread", synced_behind_test},
        {"threads", threads_test},
        {"on disk", on_disk_test},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("starved", tests);
}
