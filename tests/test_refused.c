/* test_refused.c - on the simulated disk: one that can be read and refuses every write.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "db/db.h"
#include "fixture.h"
#include "io_sim.h"

static struct bc_sim *sim;
static bitcask *db;
static bitcask_partition *root;

static void open_store(void)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = 65536;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "/store", &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

/* The process dies: no closing marks, nothing synced. */
static void die(void)
{
    bc_sim_crash_at(sim, bc_sim_changes(sim) + 1);
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
    bc_sim_kill(sim);
}

static void end(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
    CU_ASSERT_EQUAL(bc_sim_misuses(sim), 0);
    bc_sim_close(&sim);
}

/* error 0: it takes them again. */
static void refuse_writes(int error)
{
    static const enum bc_sim_call writes[] = {BC_SIM_PWRITEV,  BC_SIM_FDATASYNC, BC_SIM_SYNC_DIR, BC_SIM_TRUNCATE,
                                              BC_SIM_ALLOCATE, BC_SIM_MKDIR,     BC_SIM_RENAME,   BC_SIM_UNLINK};
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        bc_sim_fail(sim, writes[i], error ? 1 : 0, error, error != 0);
}

/* The store of a process that died, on a disk that refuses writes from now on; its partition `sub` is not open yet. */
static void begin(int error)
{
    bitcask_partition *sub = NULL;

    sim = bc_sim_open(3);
    open_store();
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, NULL));
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    open_store(); /* a process that creates none: the next one does not look into all of them */
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    EXPECT(BITCASK_OK, put_text(sub, "synced", "one", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, put_text(sub, "written", "two", 0));
    bitcask_partition_close(&sub);
    die();
    open_store();
    refuse_writes(error);
}

/* What is there, and no more: no write succeeds, and no sync. */
static void expect_reads_alone(void)
{
    bitcask_partition *sub = NULL;
    bitcask_health health;

    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    CU_ASSERT_PTR_NOT_NULL_FATAL(sub);
    CU_ASSERT_STRING_EQUAL(get_text(sub, "synced"), "one");
    CU_ASSERT_STRING_EQUAL(get_text(sub, "written"), "two");
    EXPECT(BITCASK_POISONED, put_text(sub, "synced", "three", 0));
    EXPECT(BITCASK_POISONED, delete_text(sub, "synced", 0));
    EXPECT(BITCASK_POISONED, bitcask_partition_sync(sub));
    CU_ASSERT_NOT_EQUAL(bitcask_sync(db), BITCASK_OK);
    EXPECT(BITCASK_OK, bitcask_get_health(root, &health));
    CU_ASSERT_EQUAL(health.poisoned, 1);
    CU_ASSERT_STRING_EQUAL(health.poisoned_path, "/sub");
    CU_ASSERT_STRING_EQUAL(get_text(sub, "written"), "two");
    bitcask_partition_close(&sub);
}

/* The disk takes writes again: the next process has all of it, and goes on. */
static void expect_all_at_the_next_open(void)
{
    bitcask_partition *sub = NULL;

    refuse_writes(0);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_POISONED, bitcask_close(&db));
    open_store();
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    CU_ASSERT_PTR_NOT_NULL_FATAL(sub);
    CU_ASSERT_STRING_EQUAL(get_text(sub, "synced"), "one");
    CU_ASSERT_STRING_EQUAL(get_text(sub, "written"), "two");
    EXPECT(BITCASK_OK, put_text(sub, "written", "three", BITCASK_DURABLE));
    bitcask_partition_close(&sub);
}

/* What the process before left without a closing mark would be written once more. */
static void partition_without_its_closing_mark_can_be_read(void)
{
    begin(EIO);
    expect_reads_alone();
    expect_all_at_the_next_open();
    end();
    begin(EROFS);
    expect_reads_alone();
    expect_all_at_the_next_open();
    end();
}

/* A disk that is full takes writes again as soon as there is room: nothing is given up for it. */
static void full_disk_is_no_reason_to_give_up_writes(void)
{
    bitcask_partition *sub = NULL;

    begin(ENOSPC);
    (void)bitcask_partition_open(db, "sub", &sub);
    bitcask_partition_close(&sub);
    refuse_writes(0);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    CU_ASSERT_STRING_EQUAL(get_text(sub, "written"), "two");
    EXPECT(BITCASK_OK, put_text(sub, "written", "three", BITCASK_DURABLE));
    bitcask_partition_close(&sub);
    end();
}

/* The disk fails one sync, and takes the next as if nothing had been: what the first one lost is not brought back. */
static void sync_after_one_that_failed_does_not_succeed(void)
{
    sim = bc_sim_open(3);
    open_store();
    EXPECT(BITCASK_OK, put_text(root, "k", "v", 0));
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, false);
    EXPECT(BITCASK_IO, bitcask_partition_sync(root));
    EXPECT(BITCASK_POISONED, bitcask_partition_sync(root));
    EXPECT(BITCASK_POISONED, put_text(root, "l", "v", 0));
    bitcask_partition_close(&root);
    EXPECT(BITCASK_POISONED, bitcask_close(&db));
    open_store();
    EXPECT(BITCASK_OK, put_text(root, "l", "v", BITCASK_DURABLE));
    end();
}

/* ---- a partition that nothing names ---- */

static bool count_partition(void *context, uint64_t id)
{
    if (id != BC_ROOT_ID && id != BC_INODES_ID) ++*(unsigned *)context;
    return true;
}

static unsigned partitions_on_disk(void)
{
    unsigned count = 0;

    EXPECT(BITCASK_OK, bc_partitions_on_disk(db, count_partition, &count));
    return count;
}

static void unnamed_partition_that_could_not_be_removed_is_removed_later(void)
{
    bitcask_partition *sub = NULL;

    sim = bc_sim_open(3);
    open_store();
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "k", "v", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, delete_text(sub, "k", BITCASK_DURABLE));
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_partition_drop(root, "sub", 3, 0));
    die();
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
    bc_sim_fail(sim, BC_SIM_UNLINK, 1, EIO, true);
    open_store();
    CU_ASSERT_EQUAL(partitions_on_disk(), 1);
    bc_sim_fail(sim, BC_SIM_UNLINK, 0, 0, false);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    open_store();
    CU_ASSERT_EQUAL(partitions_on_disk(), 0);
    end();
}

/* ---- what is said of a failure ---- */

static bitcask_partition *others;

static unsigned writes;

/* In the middle of a put: another partition is used, memory is short, and the put's own one is to be closed as soon as
 * it is given back. And the put fails, as does the closing mark, in another way. */
static void use_another(void *context, enum bc_sim_call kind)
{
    (void)context;
    if (kind != BC_SIM_PWRITEV) return;
    if (writes++ == 0) {
        bc_sim_set_hook(sim, NULL, NULL);
        EXPECT(BITCASK_OK, put_text(others, "k", "v", 0));
        bc_sim_set_hook(sim, use_another, NULL);
        bc_sim_fail(sim, BC_SIM_PWRITEV, 1, EDQUOT, false);
    } else {
        bc_sim_fail(sim, BC_SIM_PWRITEV, 1, EIO, false);
    }
}

static void failure_is_told_though_its_partition_is_closed(void)
{
    bitcask_partition *sub = NULL;
    uint64_t closes;

    sim = bc_sim_open(3);
    open_store();
    db->memory.limit = 1; /* less than any option may say: all but the one used last are to be closed */
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "others", 6, NULL, 0, &others));
    EXPECT(BITCASK_OK, put_text(sub, "k", "one", 0));
    closes = db->partition_closes;
    bc_sim_set_hook(sim, use_another, NULL);
    EXPECT(BITCASK_QUOTA, put_text(sub, "k", "two", 0));
    CU_ASSERT_PTR_NOT_NULL(strstr(bitcask_error_detail(), "quota"));
    CU_ASSERT(writes > 1);
    bc_sim_set_hook(sim, NULL, NULL);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 0, 0, false);
    CU_ASSERT(db->partition_closes > closes);
    CU_ASSERT_STRING_EQUAL(get_text(sub, "k"), "one");
    bitcask_partition_close(&sub);
    bitcask_partition_close(&others);
    end();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"partition without its closing mark can be read", partition_without_its_closing_mark_can_be_read},
        {"full disk is no reason to give up writes", full_disk_is_no_reason_to_give_up_writes},
        {"sync after one that failed does not succeed", sync_after_one_that_failed_does_not_succeed},
        {"unnamed partition that could not be removed is removed later",
         unnamed_partition_that_could_not_be_removed_is_removed_later},
        {"failure is told though its partition is closed", failure_is_told_though_its_partition_is_closed},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("refused", tests);
}
