/* fuzz_operations.c - a sequence of operations on a store beside a plain map in memory: tests/model.h.
 *
 * Three bytes are a step: what is done (1), and the seed of its random parts (2), so that a step can be left out, moved
 * or changed by itself. On the simulated disk, with segments of 64 KiB. After each reopening, and at the end, all of
 * the store is compared with the map. At most 400 steps of an input are done.
 */
#include "fuzz.h"
#include "io_sim.h"
#include "model_ops.h"
#include "partition/checkpoint.h"

#define STEPS_MAX 400u

static struct bc_io *io;

static void random_options(struct model_run *run, bitcask_options *options)
{
    bitcask_options_init(options);
    options->create = true;
    options->sync = fixture_below(&run->rng, 4) ? BITCASK_SYNC_OS : BITCASK_SYNC_ALWAYS;
    options->segment_size = 65536;
    options->max_open = fixture_below(&run->rng, 2) ? 0 : 4;
    bc_checkpoint_limits.least = 1;
    bc_checkpoint_limits.keys = fixture_below(&run->rng, 2) ? 0 : 256;
    bc_checkpoint_limits.growth = 4096;
}

static bool model_op_reopen(struct model_run *run)
{
    bitcask_options options;
    model_close_handles(run->root);
    if (run->db && !fixture_expect(BITCASK_OK, bitcask_close(&run->db), "close", __FILE__, __LINE__)) return false;
    random_options(run, &options);
    if (!fixture_expect(BITCASK_OK, bc_db_open(io, "store", &options, &run->db), "open", __FILE__, __LINE__))
        return false;
    run->db->inline_max = fixture_below(&run->rng, 4) ? 1500 : BC_INLINE_MAX;
    run->db->extent_shift = fixture_below(&run->rng, 4) ? 12 : BC_EXTENT_SHIFT;
    return model_cold_reads(run) && model_equals(run->db, run->root) && model_accounts_agree(run);
}

static bool model_op_look(struct model_run *run)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.read_only = true;
    if (!fixture_expect(BITCASK_OK, bc_db_open(io, "store", &options, &db), "reader", __FILE__, __LINE__)) return false;
    bool same = model_equals(db, run->root);
    return fixture_expect(BITCASK_OK, bitcask_close(&db), "close of a reader", __FILE__, __LINE__) && same;
}

static bool model_op_close_handle(struct model_run *run)
{
    bitcask_partition_close(&model_pick_any(run)->handle);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool (*const operations[])(struct model_run *) = {
        model_op_put,   model_op_put,        model_op_delete, model_op_batch, model_op_set_attrs,   model_op_read,
        model_op_query, model_op_create,     model_op_drop,   model_op_move,  model_op_move,        model_op_rotate,
        model_op_merge, model_op_checkpoint, model_op_reopen, model_op_look,  model_op_close_handle};
    struct model_run run = {.root = model_new(NULL), .rng = size};
    struct bc_sim *sim = bc_sim_open(7);
    io = bc_sim_io(sim);
    bool same = model_op_reopen(&run);
    for (size_t at = 0; same && size - at >= 3 && at < STEPS_MAX * 3; at += 3) {
        run.rng = (uint64_t)data[at + 1] | (uint64_t)data[at + 2] << 8;
        run.favourite = data[at + 1];
        same = operations[data[at] % (sizeof operations / sizeof *operations)](&run);
        if (!same) fprintf(stderr, "step %zu: %u\n", at / 3, data[at]);
    }
    FUZZ_CHECK(same && model_op_look(&run) && model_op_reopen(&run));
    model_close_handles(run.root);
    FUZZ_CHECK(bitcask_close(&run.db) == BITCASK_OK);
    FUZZ_CHECK(bc_sim_handles(sim) == 0 && bc_sim_misuses(sim) == 0);
    model_free(run.root);
    bc_sim_close(&sim);
    return 0;
}
