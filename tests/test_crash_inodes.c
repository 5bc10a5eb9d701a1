/* test_crash_inodes.c - large values on the simulated disk, the power cut at every change of it. The scripts are like
 * those of test_crash.c, with values that are cut into extents: a name has exactly one whole content, whatever happens,
 * also where a call fails. See crash_drive.h. Overwriting a file whose rename is not durable yet is left out: the two
 * are in different logs, and the model knows no state with the one and not the other.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "crash_drive.h"
#include "db/maintain.h"
#include "starve.h"

#define VALUE_SIZE 9000 /* three extents of 4 KiB */

/* The power cut at every change, and each call failing; the same of allocations. */
static void everywhere(const char *name, crash_script play)
{
    crash_everywhere(name, play, BITCASK_SYNC_OS, VALUE_SIZE);
    fail_everywhere(name, play, BITCASK_SYNC_OS, VALUE_SIZE);
    starve_everywhere(name, play, BITCASK_SYNC_OS, VALUE_SIZE, starve_at, starve_count);
}

/* Growth into an inode, overwriting, deleting. */
static void growth_and_overwrites(struct world *world)
{
    int dir = world_create(world, WORLD_ROOT, 50, 0);
    world_put(world, dir, 1, 0);
    world_put(world, dir, 1, 0);
    world_put(world, dir, 1, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 2, 0);
    world_delete(world, dir, 1, 0);
    world_put(world, dir, 1, 0);
    world_sync(world);
    world_put(world, WORLD_ROOT, 2, 0);
    world_delete(world, WORLD_ROOT, 2, BITCASK_DURABLE);
    world_close(world);
    if (!world_open(world, false)) return;
    world_put(world, dir, 1, 0);
    world_put(world, WORLD_ROOT, 3, 0);
    world_delete(world, dir, 1, 0);
}

/* Renames of links: within and across, over links, exchanged. */
static void renames(struct world *world)
{
    int dir = world_create(world, WORLD_ROOT, 50, BITCASK_DURABLE);
    world_put(world, WORLD_ROOT, 1, 0);
    world_put(world, WORLD_ROOT, 2, 0);
    world_put(world, dir, 3, 0);
    world_move(world, &(struct world_move){WORLD_ROOT, 1, WORLD_ROOT, 4, 0}, 1);
    world_move(world, &(struct world_move){WORLD_ROOT, 4, WORLD_ROOT, 2, 0}, 1);
    world_move(world, &(struct world_move){WORLD_ROOT, 2, dir, 3, 0}, 1);
    world_put(world, WORLD_ROOT, 5, 0);
    world_move(world, &(struct world_move){WORLD_ROOT, 5, dir, 3, BITCASK_EXCHANGE}, 1);
    world_move(world, &(struct world_move){dir, 3, WORLD_ROOT, 6, 0}, 1);
    world_delete(world, WORLD_ROOT, 5, 0);
    world_move(world, &(struct world_move){WORLD_ROOT, 6, WORLD_ROOT, 7, 0}, 1);
    world_delete(world, WORLD_ROOT, 7, 0);
}

static void batches(struct world *world)
{
    int dir = world_create(world, WORLD_ROOT, 50, 0);
    world_batch(world, dir, (int[]){1, 2, 3}, 3, 3, 0);
    world_batch(world, dir, (int[]){1, 4, 2}, 2, 3, 0);
    world_batch(world, dir, (int[]){1, 4}, 2, 2, BITCASK_DURABLE);
    world_batch(world, dir, (int[]){1, 3, 4}, 0, 3, 0);
}

/* Partition 1 rotates, merges and writes checkpoints in between. */
static void merges_of_inodes(struct world *world)
{
    world_put(world, WORLD_ROOT, 1, 0);
    world_put(world, WORLD_ROOT, 2, 0);
    world_rotate(world, WORLD_INODES);
    world_put(world, WORLD_ROOT, 1, 0);
    world_delete(world, WORLD_ROOT, 2, 0);
    world_checkpoint(world, WORLD_INODES);
    world_put(world, WORLD_ROOT, 3, 0);
    world_merge(world, WORLD_INODES, BC_MERGE_FULL);
    world_put(world, WORLD_ROOT, 1, 0);
    world_sync(world);
    world_merge(world, WORLD_INODES, BC_MERGE_FULL);
    world_close(world);
    if (!world_open(world, false)) return;
    world_delete(world, WORLD_ROOT, 3, 0);
    world_merge(world, WORLD_INODES, BC_MERGE_FULL);
}

static void growth_test(void)
{
    everywhere("growth and overwrites", growth_and_overwrites);
}
static void renames_test(void)
{
    everywhere("renames", renames);
}
/* Values written in pieces: whatever was appended before the commit is no value of anybody's. */
static void pieces(struct world *world)
{
    world_put(world, WORLD_ROOT, 1, 0);
    world_put(world, WORLD_ROOT, 1, 0);
    world_rotate(world, WORLD_INODES);
    world_put(world, WORLD_ROOT, 1, BITCASK_DURABLE);
    world_checkpoint(world, WORLD_INODES);
    world_put(world, WORLD_ROOT, 2, 0);
    world_merge(world, WORLD_INODES, BC_MERGE_FULL);
    world_put(world, WORLD_ROOT, 1, 0);
    world_close(world);
    if (!world_open(world, false)) return;
    world_put(world, WORLD_ROOT, 1, 0);
    world_delete(world, WORLD_ROOT, 2, 0);
}
static void pieces_test(void)
{
    world_in_pieces = true;
    everywhere("pieces", pieces);
    world_in_pieces = false;
}
static void batches_test(void)
{
    everywhere("batches", batches);
}
static void merges_test(void)
{
    everywhere("merges of inodes", merges_of_inodes);
}

/* ---- several names ---- */

static bitcask *open_sim(struct bc_sim *sim)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    if (bc_db_open(bc_sim_io(sim), "store", &options, &db) != BITCASK_OK) return NULL;
    return db;
}

/* Links, moves and deletes names of one file, until the power goes. */
static void play_links(bitcask *db)
{
    bitcask_partition *root = NULL, *dir = NULL;
    if (bitcask_partition_open(db, "", &root) != BITCASK_OK || bitcask_partition_open(db, "dir", &dir) != BITCASK_OK)
        goto out;
    const bitcask_move_item within = {
        .from = dir, .from_key = "b", .from_key_size = 1, .to = dir, .to_key = "c", .to_key_size = 1};
    const bitcask_move_item across = {
        .from = dir, .from_key = "c", .from_key_size = 1, .to = root, .to_key = "d", .to_key_size = 1};
    if (bitcask_link(root, "a", 1, dir, "b", 1, 0) != BITCASK_OK) goto out;
    if (bitcask_link(dir, "b", 1, root, "e", 1, 0) != BITCASK_OK) goto out;
    if (bitcask_move(db, &within, 1, NULL) != BITCASK_OK) goto out;
    if (bitcask_delete(root, "a", 1, NULL) != BITCASK_OK) goto out;
    if (bitcask_move(db, &across, 1, NULL) != BITCASK_OK) goto out;
    if (bitcask_delete(root, "d", 1, NULL) != BITCASK_OK) goto out;
out:
    bitcask_partition_close(&dir);
    bitcask_partition_close(&root);
}

/* The same in rounds of many, some of which build on one another, with contents put to the file by its number. */
static void play_rounds(bitcask *db)
{
    bitcask_partition *root = NULL, *dir = NULL, *files = NULL;
    uint64_t id = 0;
    char number[17];
    if (bitcask_partition_open(db, "", &root) != BITCASK_OK || bitcask_partition_open(db, "dir", &dir) != BITCASK_OK ||
        bitcask_partition_open_files(db, &files) != BITCASK_OK)
        goto out;
    const bitcask_move_item made[] = {
        {.from = root,
         .from_key = "a",
         .from_key_size = 1,
         .to = dir,
         .to_key = "b",
         .to_key_size = 1,
         .flags = BITCASK_LINK,
         .file_id = &id},
        {.from = root,
         .from_key = "a",
         .from_key_size = 1,
         .to = dir,
         .to_key = "c",
         .to_key_size = 1,
         .flags = BITCASK_LINK},
        {.from = dir,
         .from_key = "b",
         .from_key_size = 1,
         .to = root,
         .to_key = "d",
         .to_key_size = 1,
         .flags = BITCASK_LINK},
        {.from = root, .from_key = "a", .from_key_size = 1, .flags = BITCASK_REMOVE},
    };
    const bitcask_move_item gone[] = {
        {.from = dir, .from_key = "b", .from_key_size = 1, .flags = BITCASK_REMOVE},
        {.from = files,
         .from_key = number,
         .from_key_size = 16,
         .to = root,
         .to_key = "e",
         .to_key_size = 1,
         .flags = BITCASK_LINK},
        {.from = root, .from_key = "d", .from_key_size = 1, .flags = BITCASK_REMOVE},
        {.from = dir, .from_key = "c", .from_key_size = 1, .to = dir, .to_key = "b", .to_key_size = 1},
    };
    if (bitcask_move(db, made, 4, NULL) != BITCASK_OK) goto out;
    snprintf(number, sizeof number, "%016llx", (unsigned long long)id);
    if (put_text(files, number, "hello", 0) != BITCASK_OK) goto out;
    if (bitcask_move(db, gone, 4, NULL) != BITCASK_OK) goto out;
    if (put_text(files, number, "hello", BITCASK_DURABLE) != BITCASK_OK) goto out;
out:
    bitcask_partition_close(&files);
    bitcask_partition_close(&dir);
    bitcask_partition_close(&root);
}

/* The file has at least one name, the same content under each, and as many as it says. */
static void check_links(bitcask *db, uint64_t n)
{
    static const char *const names[][2] = {{"", "a"}, {"", "d"}, {"", "e"}, {"dir", "b"}, {"dir", "c"}};
    bitcask_verify_result result = {0};
    const struct bc_verify verify = {.env = &db->env, .path = "", .result = &result};
    uint64_t nlink = 0, found = 0;
    for (size_t i = 0; i < 5; i++) {
        bitcask_partition *partition = NULL;
        bitcask_entry entry;
        EXPECT(BITCASK_OK, bitcask_partition_open(db, names[i][0], &partition));
        bitcask_status status = bitcask_stat(partition, names[i][1], 1, &entry);
        if (status == BITCASK_OK) {
            found++;
            nlink = entry.nlink;
            CU_ASSERT_STRING_EQUAL(get_text(partition, names[i][1]), "hello");
        } else {
            EXPECT(BITCASK_NOT_FOUND, status);
        }
        bitcask_partition_close(&partition);
    }
    if (found == 0 || found != nlink)
        fprintf(stderr, "crash at %llu: %llu names of %llu\n", (unsigned long long)n, (unsigned long long)found,
                (unsigned long long)nlink);
    CU_ASSERT(found > 0 && found == nlink);
    EXPECT(BITCASK_OK, bc_verify_links(db, &verify));
    CU_ASSERT_EQUAL(result.damage, 0);
}

static bitcask *open_with_file(struct bc_sim *sim)
{
    bitcask *db = open_sim(sim);
    bitcask_partition *root = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "dir", 3, NULL, 0, NULL));
    EXPECT(BITCASK_OK, put_text(root, "a", "hello", BITCASK_DURABLE));
    bitcask_partition_close(&root);
    return db;
}

static void expect_links_after(struct bc_sim *sim, enum bc_sim_cut cut, uint64_t seed, uint64_t n)
{
    struct bc_sim *after = bc_sim_power_cut(sim, cut, seed);
    for (int twice = 0; twice < 2; twice++) {
        bitcask *found = open_sim(after);
        CU_ASSERT_PTR_NOT_NULL_FATAL(found);
        check_links(found, n);
        EXPECT(BITCASK_OK, bitcask_close(&found));
    }
    bc_sim_close(&after);
}

static void crash_links(void (*play)(bitcask *db))
{
    bool crashed = true;
    for (uint64_t n = 1; crashed; n++) {
        struct bc_sim *sim = bc_sim_open(7);
        bitcask *db = open_with_file(sim);
        bc_sim_crash_at(sim, bc_sim_changes(sim) + n);
        play(db);
        crashed = bc_sim_crashed(sim);
        for (uint64_t cut = 0; cut < 12; cut++)
            expect_links_after(sim,
                               cut == 0   ? BC_SIM_CUT_ALL
                               : cut == 1 ? BC_SIM_CUT_SYNCED
                                          : BC_SIM_CUT_RANDOM,
                               crash_seed + n * 100 + cut, n);
        (void)bitcask_close(&db);
        bc_sim_close(&sim);
    }
}

static void links_test(void)
{
    crash_links(play_links);
}
static void rounds_test(void)
{
    crash_links(play_rounds);
}

/* The open store shows one whole state behind a call that failed, and so do the next ones. */
static void failing_links_test(void)
{
    for (int kind = 0; kind < BC_SIM_CALLS; kind++) {
        bool reached = kind != BC_SIM_CLOSE;
        for (uint64_t n = 1; reached; n++) {
            struct bc_sim *sim = bc_sim_open(7);
            bitcask *db = open_with_file(sim);
            uint64_t before = bc_sim_calls(sim, (enum bc_sim_call)kind);
            bc_sim_fail(sim, (enum bc_sim_call)kind, n, EIO, false);
            play_links(db);
            reached = bc_sim_calls(sim, (enum bc_sim_call)kind) - before >= n;
            bc_sim_fail(sim, (enum bc_sim_call)kind, 0, 0, false);
            check_links(db, n);
            for (uint64_t cut = 0; cut < 4; cut++)
                expect_links_after(sim, cut == 0 ? BC_SIM_CUT_SYNCED : BC_SIM_CUT_RANDOM, crash_seed + n * 100 + cut,
                                   n);
            (void)bitcask_close(&db);
            expect_links_after(sim, BC_SIM_CUT_ALL, 0, n);
            bc_sim_close(&sim);
        }
    }
}

int main(void)
{
    crash_seed = fixture_number("SEED", (uint64_t)time(NULL));
    world_inline_max = 100;
    printf("SEED=%#llx\n", (unsigned long long)crash_seed);
    CU_TestInfo tests[] = {
        {"growth and overwrites", growth_test},
        {"renames", renames_test},
        {"batches", batches_test},
        {"merges of inodes", merges_test},
        {"several names", links_test},
        {"several names, and calls that fail", failing_links_test},
        {"pieces", pieces_test},
        {"rounds of links", rounds_test},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("crash with inodes", tests);
}
