/* test_model.c - 100,000 random operations on a real store against a plain map, with rotations, merges, reopenings,
 * hints that are lost or damaged meanwhile, and damaged tails; a million with LONG=1.
 *
 * SEED and OPERATIONS come from the environment; the seed is printed. After a difference the rest is left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model_ops.h"
#include "partition/checkpoint.h"

#define TAIL_STEPS 8u

static uint64_t first_seed;

static void random_options(struct model_run *run, bitcask_options *options)
{
    static const bitcask_sync_policy policies[] = {BITCASK_SYNC_OS, BITCASK_SYNC_OS, BITCASK_SYNC_OS,
                                                   BITCASK_SYNC_INTERVAL};
    bitcask_options_init(options);
    options->create = true;
    options->sync = policies[fixture_below(&run->rng, 4)];
    options->sync_interval_ms = 50;
    options->segment_size = fixture_below(&run->rng, 5) ? 65536 : 1 << 20;
    options->max_open = fixture_below(&run->rng, 4) ? 0 : 4;
    bc_checkpoint_limits.least = fixture_below(&run->rng, 2) ? 1 : 64 * 1024;
    bc_checkpoint_limits.keys = bc_checkpoint_limits.least == 1 ? 0 : 256;
    bc_checkpoint_limits.growth = fixture_below(&run->rng, 2) ? 4096 : 1024 * 1024;
}

static bool reopen(struct model_run *run, const char *path, bitcask_options *options)
{
    model_close_handles(run->root);
    if (run->db && !fixture_expect(BITCASK_OK, bitcask_close(&run->db), "close", __FILE__, __LINE__)) return false;
    random_options(run, options);
    if (fixture_below(&run->rng, 3)) model_mangle_hints(run, path);
    bitcask_status status = bitcask_open(path, options, &run->db);
    if (run->db) {
        /* Mostly so little that large values are not rare. */
        run->db->inline_max = fixture_below(&run->rng, 4) ? 1500 : BC_INLINE_MAX;
        run->db->extent_shift = fixture_below(&run->rng, 4) ? 12 : BC_EXTENT_SHIFT;
    }
    return fixture_expect(BITCASK_OK, status, "open", __FILE__, __LINE__) && model_cold_reads(run) &&
           model_equals(run->db, run->root) && model_accounts_agree(run);
}

static bool reader_agrees(struct model_run *run, const char *path)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.read_only = true;
    if (!fixture_expect(BITCASK_OK, bitcask_open(path, &options, &db), "open read-only", __FILE__, __LINE__))
        return false;
    bool same = model_equals(db, run->root);
    return fixture_expect(BITCASK_OK, bitcask_close(&db), "close read-only", __FILE__, __LINE__) && same;
}

/* ---- damaged tails ---- */

struct tail {
    struct model_partition *partition;
    struct model_partition *states[TAIL_STEPS + 1]; /* the partition after each step */
    uint64_t sizes[TAIL_STEPS + 1];                 /* of its active file then */
    size_t count;
    uint64_t damaged_from; /* the first byte of the file that may be damaged */
};

static bool note_active(void *context, const bitcask_segment_info *segment)
{
    if (segment->active) *(uint64_t *)context = segment->bytes;
    return true;
}

/* Where the log of the active file ends: the file may be longer, by zeros laid out for later writes. UINT64_MAX: there is
 * none. */
static uint64_t log_end(bitcask_partition *handle)
{
    uint64_t end = UINT64_MAX;
    EXPECT(BITCASK_OK, bitcask_segments(handle, note_active, &end));
    return end;
}

/* Does something to the file behind sizes[0], all of it unsynced, as a power cut may. */
static void damage(struct model_run *run, struct tail *tail, const char *file)
{
    size_t size;
    uint8_t *data = fixture_read(file, &size);
    /* Mostly in the log; else behind it too, where the file may be longer. */
    uint64_t start = tail->sizes[0], end_of_log = tail->sizes[tail->count - 1];
    uint64_t room = (fixture_below(&run->rng, 4) ? end_of_log : size) - start;
    uint64_t kind = room ? fixture_below(&run->rng, 5) : 0, at = start + (room ? fixture_below(&run->rng, room) : 0);
    uint64_t length = fixture_below(&run->rng, 600) + 1;
    tail->damaged_from = at;
    if (kind == 0) { /* garbage behind the end: random bytes, zeros, or older parts of the file */
        tail->damaged_from = size;
        data = realloc(data, size + length);
        if (!data) exit(99);
        uint64_t sort = fixture_below(&run->rng, 3), from = fixture_below(&run->rng, size);
        for (uint64_t i = 0; i < length; i++)
            data[size + i] = sort == 0   ? (uint8_t)fixture_random(&run->rng)
                             : sort == 1 ? 0
                                         : data[from + i % (size - from)];
        size += length;
    } else if (kind == 1) {
        size = at;
    } else if (kind == 2) {
        data[at] ^= (uint8_t)(1u << fixture_below(&run->rng, 8));
    } else { /* a hole: zeros, up to the end or not. Where zeros were before, nothing is damaged there. */
        uint64_t end = kind == 3 || length > size - at ? size : at + length;
        while (at < end && data[at] == 0) at++;
        tail->damaged_from = at;
        memset(data + at, 0, end - at);
    }
    fixture_write(file, data, size);
    free(data);
}

static bool copy_equals(struct model_run *run, struct tail *tail, const char *path, size_t state)
{
    struct model_partition *partition = tail->partition, real = *partition;
    bitcask_options options;
    bitcask *db = NULL;
    random_options(run, &options);
    if (!fixture_expect(BITCASK_OK, bitcask_open(path, &options, &db), "open of a copy", __FILE__, __LINE__))
        return false;
    partition->items = tail->states[state]->items;
    partition->count = tail->states[state]->count;
    bool same = model_equals(db, run->root);
    partition->items = real.items;
    partition->count = real.count;
    return fixture_expect(BITCASK_OK, bitcask_close(&db), "close of a copy", __FILE__, __LINE__) && same;
}

/* Where partition 1 ends: what touches inodes moves it. */
static uint64_t end_of_inodes(struct model_run *run)
{
    struct bc_partition *inodes;
    uint64_t end = 0;
    if (bc_node_pin(run->db->inodes, &inodes) != BITCASK_OK) return 0;
    end = bc_partition_appended(inodes);
    bc_node_unpin(run->db->inodes);
    return end;
}

/* Takes steps that nothing syncs; false in *usable where the file was sealed meanwhile. */
static bool take_steps(struct model_run *run, struct tail *tail, const char *file, bool *usable)
{
    static bool (*const steps[])(struct model_run *) = {model_op_put, model_op_put, model_op_delete, model_op_batch,
                                                        model_op_set_attrs};
    size_t header_size, wanted = fixture_below(&run->rng, TAIL_STEPS) + 1;
    uint8_t *header = fixture_read(file, &header_size);
    bool same = true;
    uint64_t inodes = end_of_inodes(run);
    for (tail->count = 1; same && tail->count <= wanted; tail->count++) {
        same = steps[fixture_below(&run->rng, 5)](run);
        tail->states[tail->count] = model_copy(tail->partition);
        tail->sizes[tail->count] = log_end(tail->partition->handle);
    }
    size_t size;
    uint8_t *now = fixture_read(file, &size);
    /* What touched an inode is durable, or in another log. */
    *usable = size >= header_size && memcmp(now, header, header_size) == 0 && end_of_inodes(run) == inodes;
    free(header);
    free(now);
    return same;
}

static bool damaged_tail(struct model_run *run, const char *path)
{
    struct tail tail = {.partition = model_pick_any(run)};
    const char *copy = fixture_path("copy");
    char file[1024];
    bool usable = false;
    if (!model_handle(run, tail.partition)) return false;
    snprintf(file, sizeof file, "%s", fixture_partition_file(path, tail.partition->id, "active.data"));
    bitcask_status status = bitcask_sync(run->db);
    if (!fixture_expect(BITCASK_OK, status, "sync", __FILE__, __LINE__)) return false;
    tail.sizes[0] = log_end(tail.partition->handle);
    if (tail.sizes[0] == UINT64_MAX) return true;
    tail.states[0] = model_copy(tail.partition);
    run->only = tail.partition;
    run->never_durable = true;
    bool same = take_steps(run, &tail, file, &usable);
    run->only = NULL;
    run->never_durable = false;
    if (same && usable) {
        size_t state = 0;
        fixture_copy(path, copy);
        damage(run, &tail, fixture_partition_file(copy, tail.partition->id, "active.data"));
        while (state + 1 < tail.count && tail.sizes[state + 1] <= tail.damaged_from) state++;
        same = copy_equals(run, &tail, copy, state) && copy_equals(run, &tail, copy, state);
        fixture_remove(copy);
    }
    for (size_t i = 0; i < tail.count; i++) model_free_copy(tail.states[i]);
    return same;
}

/* ---- the run ---- */

static bool random_operation(struct model_run *run)
{
    static const struct {
        unsigned share; /* of 1000 */
        bool (*run)(struct model_run *);
    } operations[] = {{400, model_op_put},  {130, model_op_delete}, {60, model_op_batch}, {60, model_op_set_attrs},
                      {180, model_op_read}, {120, model_op_query},  {6, model_op_create}, {6, model_op_drop},
                      {24, model_op_move},  {5, model_op_rotate},   {5, model_op_merge},
                      {4, model_op_checkpoint}};
    uint64_t choice = fixture_below(&run->rng, 1000);
    size_t i = 0;
    while (choice >= operations[i].share) choice -= operations[i++].share;
    return operations[i].run(run);
}

static void random_operations_agree_with_a_plain_map(void)
{
    struct model_run run = {.root = model_new(NULL), .rng = first_seed};
    uint64_t usual = fixture_number("LONG", 0) ? 1000000 : 100000;
    uint64_t operations = fixture_number("OPERATIONS", usual), done = 0;
    const char *path = fixture_path("store");
    bitcask_options options;
    bool same = reopen(&run, path, &options);
    for (; same && done < operations; done++) {
        uint64_t special = fixture_below(&run.rng, 6000);
        if (special < 4)
            same = reopen(&run, path, &options);
        else if (special < 6)
            same = reader_agrees(&run, path);
        else if (special < 10 && options.sync == BITCASK_SYNC_OS)
            same = damaged_tail(&run, path);
        else if (special < 300)
            bitcask_partition_close(&model_pick(&run)->handle);
        if (same) same = random_operation(&run);
    }
    if (same) same = reader_agrees(&run, path) && reopen(&run, path, &options);
    if (!same)
        fprintf(stderr, "SEED=%#llx: differs at operation %llu\n", (unsigned long long)first_seed,
                (unsigned long long)done);
    CU_ASSERT(same);
    CU_ASSERT_EQUAL(done, operations);
    /* Or less was tested than it seems. */
    CU_ASSERT(!same || operations < 10000 || (run.merges > operations / 1000 && run.cold_opens > 10));
    CU_ASSERT(!same || operations < 10000 || run.checkpoint_loads > 10);
    model_close_handles(run.root);
    if (run.db) EXPECT(BITCASK_OK, bitcask_close(&run.db));
    model_free(run.root);
}

int main(void)
{
    first_seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%#llx\n", (unsigned long long)first_seed);
    bc_io_posix()->background = false; /* files are damaged in between, and nobody should be at them meanwhile */
    static CU_TestInfo tests[] = {
        {"random operations agree with a plain map", random_operations_agree_with_a_plain_map},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("model", tests);
}
