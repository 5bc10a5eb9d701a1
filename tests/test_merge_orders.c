/* test_merge_orders.c - partial merges in any order, on the simulated disk: nothing comes back, nothing gets lost.
 *
 * A deletion in one segment of a key put in an older one is where stores have brought keys back to life: the merge of
 * the newer one alone drops the tombstone, or the merge of the older one keeps what it hid. So all ways to merge some
 * segments step by step are walked, each step opened anew, with hints and without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io_sim.h"
#include "log/hint.h"
#include "merging.h"

#define KEYS 8u

static struct bc_sim *sim;
static bitcask *db;
static bitcask_partition *root;
static uint64_t seed;

static void open_store(void)
{
    merging_open_on(sim, &db, &root);
}

static void close_store(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT(bc_sim_handles(sim) == 0 && bc_sim_misuses(sim) == 0);
}

static const char *root_file(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "/store/partitions/00/0000000000000000/%s", name);
    return path;
}

/* Takes away each hint with a chance of one in so many. */
static void lose_hints(uint64_t *rng, uint64_t of)
{
    struct bc_io *io = bc_sim_io(sim);
    char name[16];

    for (uint32_t id = 1; id < 40; id++) {
        bc_hint_name(id, name);
        if (fixture_below(rng, of) == 0) (void)io->ops->unlink(io, BC_AT_CWD, root_file(name));
    }
}

/* Some puts and deletes; of a key often several, in one batch now and then. */
static void change_some(struct book *book, uint64_t *rng)
{
    for (uint64_t i = fixture_below(rng, 10) + 1; i > 0; i--) {
        size_t key = fixture_below(rng, book->keys);

        if (fixture_below(rng, 8) == 0) {
            EXPECT(BITCASK_OK, book_put_batch(book, root, key, fixture_below(rng, book->keys - key) + 1));
        } else if (fixture_below(rng, 5) < 2) {
            EXPECT(BITCASK_OK, book_put(book, root, key));
        } else {
            EXPECT(BITCASK_OK, book_delete(book, root, key));
        }
    }
}

static void check(const struct book *book)
{
    CU_ASSERT(book_agrees(book, root));
    CU_ASSERT(merging_accounts_agree(root));
}

/* ---- all orders ---- */

struct walk {
    const struct book *book;
    uint64_t rng;
    unsigned merges, failed;
};

static size_t list_sealed(uint32_t ids[16])
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    size_t count = merging_segments(root, list), sealed = 0;

    for (size_t i = 0; i < count && sealed < 16; i++)
        if (!list[i].active) ids[sealed++] = list[i].segment_id;
    return sealed;
}

/* Merges each run of the sealed segments that are there, on a copy of the disk each, and goes on with what came of it.
 */
static void merge_all_ways(struct walk *walk, bool single)
{
    struct bc_sim *before = sim;
    uint32_t ids[16];
    size_t count = list_sealed(ids);

    close_store();
    for (size_t first = 0; first < count; first++) {
        for (size_t last = first + !single; last < count; last++) {
            unsigned failures = CU_get_number_of_failures();

            sim = bc_sim_power_cut(before, BC_SIM_CUT_ALL, 2);
            lose_hints(&walk->rng, 6);
            open_store();
            EXPECT(BITCASK_OK, merging_run(root, ids[first], ids[last], NULL, NULL));
            walk->merges++;
            check(walk->book);
            close_store();
            lose_hints(&walk->rng, 4);
            open_store();
            check(walk->book);
            merge_all_ways(walk, single && first != last);
            bc_sim_close(&sim);
            if (CU_get_number_of_failures() > failures && walk->failed++ < 3)
                fprintf(stderr, "seed %llu: after the merge of %u to %u\n", (unsigned long long)seed, ids[first],
                        ids[last]);
        }
    }
    sim = before;
}

static unsigned walk_all_ways(struct book *book, uint64_t rng, bool single)
{
    struct walk walk = {.book = book, .rng = rng};

    merge_all_ways(&walk, single);
    bc_sim_close(&sim);
    return walk.merges;
}

static void delete_in_a_later_segment_holds_in_all_orders(void)
{
    struct book book;

    book_open(&book, KEYS, 20);
    sim = bc_sim_open(seed);
    open_store();
    EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, KEYS));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_put(&book, root, 1));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_delete(&book, root, 0));
    EXPECT(BITCASK_OK, book_delete(&book, root, 1));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_put(&book, root, 2));
    EXPECT(BITCASK_OK, book_delete(&book, root, 2));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_put(&book, root, 3));
    CU_ASSERT(walk_all_ways(&book, seed, true) > 100);
    book_close(&book);
}

static void no_order_of_partial_merges_loses_or_resurrects_a_key(void)
{
    uint64_t rng = seed, rounds = fixture_number("LONG", 0) ? 1000 : 30, merges = 0;

    for (uint64_t i = 0; i < rounds; i++) {
        struct book book;
        uint64_t segments = 3 + i % 3;

        book_open(&book, KEYS, 20);
        sim = bc_sim_open(seed + i);
        open_store();
        for (uint64_t j = 0; j < segments; j++) {
            change_some(&book, &rng);
            EXPECT(BITCASK_OK, merging_rotate(root));
        }
        change_some(&book, &rng);
        merges += walk_all_ways(&book, fixture_random(&rng), segments < 5);
        book_close(&book);
    }
    CU_ASSERT(merges > rounds * 20);
}

/* ---- at random, for long ---- */

static void merge_some(uint64_t *rng)
{
    uint32_t ids[16];
    size_t count = list_sealed(ids);

    if (count == 0) return;
    size_t first = fixture_below(rng, count), last = first + fixture_below(rng, count - first);

    EXPECT(BITCASK_OK, merging_run(root, ids[first], ids[last], NULL, NULL));
}

static void random_merges_between_random_writes_change_nothing(void)
{
    uint64_t rng = seed ^ 77, steps = fixture_number("LONG", 0) ? 200000 : 10000;
    unsigned failures = CU_get_number_of_failures();
    struct book book;

    book_open(&book, 40, 30);
    sim = bc_sim_open(seed);
    open_store();
    for (uint64_t i = 0; i < steps && CU_get_number_of_failures() == failures; i++) {
        uint64_t what = fixture_below(&rng, 10);

        if (what < 5)
            change_some(&book, &rng);
        else if (what < 7)
            EXPECT(BITCASK_OK, merging_rotate(root))
        else if (what < 9)
            merge_some(&rng);
        else {
            close_store();
            if (fixture_below(&rng, 2)) lose_hints(&rng, 3);
            open_store();
        }
        check(&book);
    }
    if (CU_get_number_of_failures() > failures) fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed);
    close_store();
    bc_sim_close(&sim);
    book_close(&book);
}

/* The numbers of the segments are those of a recount, whichever way they came about. */
static void accounts_are_the_same_with_hints_and_without(void)
{
    static bitcask_segment_info lists[3][MERGING_SEGMENTS_MAX];
    uint64_t rng = seed ^ 5, always = 0;
    struct book book;

    book_open(&book, 60, 50);
    sim = bc_sim_open(seed);
    open_store();
    for (int round = 0; round < 40; round++) {
        size_t counts[3];

        for (int i = 0; i < 4; i++) change_some(&book, &rng);
        if (round % 3) EXPECT(BITCASK_OK, merging_rotate(root));
        if (round % 5 == 4) merge_some(&rng);
        close_store();
        for (int way = 0; way < 3; way++) { /* with hints, without, with those that were made then */
            if (way == 1) lose_hints(&always, 1);
            open_store();
            CU_ASSERT(merging_accounts_agree(root));
            counts[way] = merging_segments(root, lists[way]);
            if (way < 2) close_store();
        }
        CU_ASSERT(counts[0] == counts[1] && counts[0] == counts[2]);
        for (size_t i = 0; i < counts[0]; i++) {
            for (int way = 1; way < 3; way++) {
                const bitcask_segment_info *a = &lists[0][i], *b = &lists[way][i];

                CU_ASSERT(a->segment_id == b->segment_id && a->lowest_id == b->lowest_id);
                CU_ASSERT(a->live_bytes == b->live_bytes && a->live_keys == b->live_keys && a->bytes == b->bytes);
                /* A scan cannot tell a key's last tombstone from those before it. */
                CU_ASSERT(way == 1 ? a->tombstone_bytes <= b->tombstone_bytes
                                   : a->tombstone_bytes == b->tombstone_bytes);
            }
        }
    }
    check(&book);
    close_store();
    bc_sim_close(&sim);
    book_close(&book);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"delete in a later segment holds in all orders", delete_in_a_later_segment_holds_in_all_orders},
        {"no order of partial merges loses or resurrects a key", no_order_of_partial_merges_loses_or_resurrects_a_key},
        {"random merges between random writes change nothing", random_merges_between_random_writes_change_nothing},
        {"accounts are the same with hints and without", accounts_are_the_same_with_hints_and_without},
        CU_TEST_INFO_NULL,
    };
    seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%llu\n", (unsigned long long)seed);
    return fixture_run("merge orders", tests);
}
