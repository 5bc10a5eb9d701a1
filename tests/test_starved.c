/* test_starved.c - each allocation of the library failing, in scripts that open, read, write and rename; what keeps a
 * store in order is in test_starved_upkeep.c. See starved.h; STARVE_SCRIPT, STARVE_AT and STARVE_EVERY choose among
 * what is done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "starved_fill.h"

#define ROOT STARVED_ROOT
#define COUNT(list) (sizeof(list) / sizeof *(list))

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
    starved_fill_for_hints(store);
    starved_close(store);
    remove_hints(store, BC_ROOT_ID);
    remove_hints(store, BC_INODES_ID);
}

/* ---- opening ---- */

static void create_and_reopen(struct starved *store)
{
    starved_set_checkpoints(true);
    if (!starved_open(store)) return;
    int dir = starved_create(store, ROOT, "dir");
    if (dir >= 0) starved_put(store, dir, "a", 100, BITCASK_DURABLE);
    starved_put(store, ROOT, "big", 5000, 0);
    starved_close(store);
    if (starved_open(store)) starved_compare(store);
}

static void open_twice(struct starved *store)
{
    if (!starved_open(store) && !starved_open(store)) return;
    starved_put(store, starved_dir(store), "d", 310, 0);
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
        if (i > 0) starved_moves(store, &(struct starved_move){made, "k", starved_dir(store), name, 0}, 1);
    }
    starved_compare(store);
    starved_sync(store);
}

/* ---- keys ---- */

static void keys(struct starved *store)
{
    if (!starved_open(store)) return;
    int dir = starved_dir(store);
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
    starved_read_in_parts(store, ROOT, "big");
    starved_read_in_parts(store, ROOT, "a");
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
    starved_batch(store, starved_dir(store), small, COUNT(small), 0);
    starved_batch(store, starved_dir(store), mixed, COUNT(mixed), 0);
    starved_batch(store, starved_dir(store), written, COUNT(written), BITCASK_DURABLE);
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
    starved_write(store, starved_dir(store), "big", shrink, COUNT(shrink));
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
        query(store, starved_dir(store), &forms[i]);
        query(store, ROOT, &forms[i]);
        if (i == 3) starved_put(store, starved_dir(store), "cc", 60, 0);
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
    int dir = starved_dir(store), sub = starved_sub(store);
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
    int dir = starved_dir(store), sub = starved_sub(store);
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
    int made = starved_create(store, starved_sub(store), "made"), below = STARVED_NONE;
    if (made >= 0) below = starved_create(store, made, "below");
    if (below >= 0) starved_put(store, below, "k", 20, BITCASK_DURABLE);
    if (below >= 0) starved_delete(store, below, "k", 0);
    if (below >= 0) starved_drop(store, made, "below");
    if ((at = starved_enter(store, starved_dir(store))) != NULL) {
        const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 040750};
        (void)starved_ok(store, bitcask_partition_stat(at, &entry), "partition_stat");
        if (starved_ok(store, bitcask_partition_set_attrs(at, &attrs, BITCASK_DURABLE), "partition_set_attrs")) {
            store->items[starved_dir(store)].mode = attrs.mode;
            store->items[starved_dir(store)].version = 0;
        }
        (void)starved_ok(store, bitcask_partition_xattrs(at, &xattrs), "partition_xattrs");
        (void)starved_ok(store, bitcask_partition_sync(at), "partition_sync");
        bitcask_value_unpin(&xattrs);
    }
    bitcask_partition_close(&at);
    starved_sync(store);
    starved_drop(store, starved_dir(store), "nobody");
    starved_compare(store);
}

/* ---- all of them ---- */

STARVED_SCRIPT(create_and_reopen, "creating", .prepare = NULL)
static void open_others_test(void)
{
    const struct starved_script scripts[] = {
        {.name = "opening", .prepare = starved_fill_for_hints, .play = starved_open_and_read},
        {.name = "opening with checkpoints", .prepare = starved_fill_for_checkpoints, .play = starved_open_and_read},
        {.name = "opening without hints", .prepare = fill_without_hints, .play = starved_open_and_read},
        {.name = "opening after a kill",
         .prepare = starved_fill_for_hints,
         .killed = true,
         .play = starved_open_and_read},
    };
    for (size_t i = 0; i < COUNT(scripts); i++) starved_everywhere(&scripts[i]);
}
STARVED_SCRIPT(open_twice, "opening once more", .prepare = starved_fill_for_checkpoints, .killed = true)
STARVED_SCRIPT(open_few, "few partitions open", .prepare = starved_fill_for_hints)
static void open_read_only_test(void)
{
    const struct starved_script scripts[] = {
        {.name = "read-only", .prepare = starved_fill_for_hints, .play = open_read_only},
        {.name = "read-only with checkpoints", .prepare = starved_fill_for_checkpoints, .play = open_read_only},
        {.name = "read-only after a kill", .prepare = starved_fill_for_hints, .killed = true, .play = open_read_only},
    };
    for (size_t i = 0; i < COUNT(scripts); i++) starved_everywhere(&scripts[i]);
}
STARVED_SCRIPT(keys, "keys", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(batches, "batches", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(queries, "queries", .prepare = starved_fill_for_checkpoints)
STARVED_SCRIPT(writers, "writers", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(writers_with_room, "writers with room", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(links, "links", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(moves, "moves", .prepare = starved_fill_for_hints)
STARVED_SCRIPT(partitions, "partitions", .prepare = starved_fill_for_hints)

int main(void)
{
    CU_TestInfo tests[] = {
        {"creating", create_and_reopen_test},
        {"opening", open_others_test},
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
        CU_TEST_INFO_NULL,
    };
    return starved_run("starved", tests);
}
