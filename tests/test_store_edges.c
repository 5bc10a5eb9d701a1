/* test_store_edges.c - the store's directory at the edges of what it may be: limits of the machine, paths with slashes,
 * creations cut short, who holds it, repairs beside others, and what does not belong below `partitions`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/db.h"
#include "db/maintain.h"
#include "fixture.h"
#include "small_store.h"
#include "io_sim.h"

static bitcask_status try_open(const char *path, const bitcask_options *options, bitcask **db)
{
    *db = NULL;
    return bitcask_open(path, options, db);
}

static unsigned opened_with(rlim_t files, unsigned max_open)
{
    struct rlimit before, limit;
    bitcask_options options;
    bitcask *db;
    unsigned most = 0;

    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = files < before.rlim_max ? files : before.rlim_max;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    bitcask_options_init(&options);
    options.create = true;
    options.max_open = max_open;
    EXPECT(BITCASK_OK, try_open(fixture_path("limits"), &options, &db));
    if (db) {
        most = db->max_open;
        EXPECT(BITCASK_OK, bitcask_close(&db));
    }
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    return most;
}

/* As many as the descriptors allow, but always enough for a rename between two. */
static void partitions_open_at_once_follow_the_limit_of_files(void)
{
    CU_ASSERT_EQUAL(opened_with(40, 0), 8);
    CU_ASSERT_EQUAL(opened_with(364, 0), 100);
    CU_ASSERT_EQUAL(opened_with(364, 1), 4);
    CU_ASSERT_EQUAL(opened_with(364, 7), 7);
    CU_ASSERT(opened_with(1u << 20, 0) <= (65536 - 64) / 3);
}

static void paths_may_end_in_slashes(void)
{
    bitcask_options options;
    bitcask *db;
    struct stat info;
    char here[512];

    bitcask_options_init(&options);
    options.create = true;
    EXPECT(BITCASK_OK, try_open(fixture_path("slashes///"), &options, &db));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(stat(fixture_path("slashes/STORE"), &info), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(here, sizeof here));
    CU_ASSERT_EQUAL(chdir(fixture_dir()), 0);
    EXPECT(BITCASK_OK, try_open("relative", &options, &db));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    EXPECT(BITCASK_OK, try_open("./relative/", &options, &db));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(chdir(here), 0);
    options.create = false;
    EXPECT(BITCASK_OK, try_open(fixture_path("slashes/"), &options, &db));
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

/* What an earlier creation left is gone on with; what only looks like it is not. */
static void creation_that_was_cut_short_is_gone_on_with(void)
{
    bitcask_options options;
    bitcask *db;

    bitcask_options_init(&options);
    options.create = true;
    CU_ASSERT_EQUAL(mkdir(fixture_path("cut"), 0700), 0);
    CU_ASSERT_EQUAL(mkdir(fixture_path("cut/partitions"), 0700), 0);
    CU_ASSERT_EQUAL(mkdir(fixture_path("cut/lost+found"), 0700), 0);
    fixture_write(fixture_path("cut/STORE.new"), "half a mark", 11);
    EXPECT(BITCASK_OK, try_open(fixture_path("cut"), &options, &db));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(unlink(fixture_path("cut/STORE")), 0);
    db = fixture_open(fixture_path("used"), BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, put_text(db->root, "k", "v", 0));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(unlink(fixture_path("used/STORE")), 0);
    EXPECT_DETAIL(BITCASK_NOT_A_STORE, "STORE is missing", try_open(fixture_path("used"), &options, &db));
    EXPECT_DETAIL(BITCASK_NOT_A_STORE, "no file STORE", bitcask_repair(fixture_path("used"), NULL, NULL, NULL));
    EXPECT(BITCASK_NOT_FOUND, bitcask_repair(fixture_path("nowhere"), NULL, NULL, NULL));
    fixture_write(fixture_path("used/b"), "x", 1);
    fixture_write(fixture_path("used/a"), "x", 1);
    EXPECT_DETAIL(BITCASK_NOT_A_STORE, "not empty", try_open(fixture_path("used"), &options, &db));
    /* Where partitions are to be is a file. */
    CU_ASSERT_EQUAL(mkdir(fixture_path("file"), 0700), 0);
    fixture_write(fixture_path("file/partitions"), "x", 1);
    CU_ASSERT_NOT_EQUAL(try_open(fixture_path("file"), &options, &db), BITCASK_OK);
    CU_ASSERT_PTR_NULL(db);
}

static void holder_is_told_while_there_is_one(void)
{
    const char *path = fixture_path("held");
    bitcask_options options;
    bitcask *db, *other;
    int64_t pid = 5;

    bitcask_options_init(&options);
    EXPECT(BITCASK_NOT_FOUND, bitcask_store_holder(path, &pid));
    CU_ASSERT_EQUAL(pid, 0);
    db = fixture_open(path, BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_store_holder(path, &pid));
    CU_ASSERT_EQUAL(pid, getpid());
    EXPECT_DETAIL(BITCASK_IN_USE, "in use by process", try_open(path, &options, &other));
    fixture_write(fixture_path("held/LOCK"), "nobody\n", 7);
    EXPECT(BITCASK_OK, bitcask_store_holder(path, &pid));
    CU_ASSERT_EQUAL(pid, 0);
    options.lock_wait_ms = 30;
    EXPECT_DETAIL(BITCASK_IN_USE, "in use by another process", try_open(path, &options, &other));
    bitcask_announce_close(db);
    options.lock_wait_ms = 700; /* as long as it takes, since it said that it is closing: but it does not */
    EXPECT(BITCASK_IN_USE, try_open(path, &options, &other));
    options.read_only = true;
    options.lock_wait_ms = 30;
    EXPECT(BITCASK_OK, try_open(path, &options, &other));
    EXPECT_DETAIL(BITCASK_IN_USE, "", bitcask_repair(path, NULL, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    EXPECT_DETAIL(BITCASK_IN_USE, "being read", bitcask_repair(path, NULL, NULL, NULL));
    bitcask_announce_close(other); /* a reader holds nothing that it could announce */
    EXPECT(BITCASK_OK, bitcask_close(&other));
    EXPECT(BITCASK_NOT_FOUND, bitcask_store_holder(path, &pid));
    EXPECT(BITCASK_OK, bitcask_repair(path, NULL, NULL, NULL));
    CU_ASSERT_EQUAL(unlink(fixture_path("held/LOCK")), 0);
    EXPECT(BITCASK_NOT_FOUND, bitcask_store_holder(path, &pid));
    EXPECT(BITCASK_NOT_FOUND, try_open(path, &options, &other)); /* a reader makes no file */
    EXPECT(BITCASK_OK, bitcask_close(&other));
}

struct intruder {
    const char *path;
    unsigned calls;
};

/* From within a repair: others are kept out. */
static bool intrude(void *context, const bitcask_progress *progress)
{
    struct intruder *intruder = context;
    bitcask_options options;
    bitcask *db;

    (void)progress;
    if (intruder->calls++ > 0) return true;
    bitcask_options_init(&options);
    EXPECT(BITCASK_IN_USE, try_open(intruder->path, &options, &db));
    options.read_only = true;
    EXPECT_DETAIL(BITCASK_IN_USE, "being repaired", try_open(intruder->path, &options, &db));
    EXPECT(BITCASK_IN_USE, bitcask_repair(intruder->path, NULL, NULL, NULL));
    return true;
}

static void repair_keeps_others_out(void)
{
    struct intruder intruder = {.path = fixture_path("intruded")};
    const bitcask_verify_options options = {.progress = intrude, .context = &intruder};
    bitcask_partition *sub = NULL;
    bitcask *db = fixture_open(intruder.path, BITCASK_SYNC_OS);

    EXPECT(BITCASK_OK, bitcask_partition_create(db->root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "k", "v", 0));
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    EXPECT(BITCASK_OK, bitcask_repair(intruder.path, "sub", &options, NULL));
    CU_ASSERT(intruder.calls > 0);
    EXPECT(BITCASK_OK, bitcask_repair(intruder.path, "sub/", NULL, NULL));
    EXPECT(BITCASK_NOT_FOUND, bitcask_repair(intruder.path, "none", NULL, NULL));
    CU_ASSERT_NOT_EQUAL(bitcask_repair(intruder.path, "sub/k", NULL, NULL), BITCASK_OK);
    EXPECT(BITCASK_OK, bitcask_repair(intruder.path, "/", NULL, NULL)); /* the root */
    CU_ASSERT_NOT_EQUAL(bitcask_repair(intruder.path, "..", NULL, NULL), BITCASK_OK);
}

static unsigned found_removed;

static void note_removed(void *context, bitcask_log_level level, const char *line)
{
    (void)context;
    (void)level;
    if (strstr(line, "that nothing names any more")) found_removed++;
}

/* What a killed writer left behind is swept up; what is no partition is nobody's business. */
static void strangers_below_partitions_are_left_alone(void)
{
    static const char *const strangers[] = {
        "zz", "000", "0G", "00/000000000000000", "00/00000000000000zz", "00/0000000000000000x"};
    struct bc_sim *alive = bc_sim_open(3), *dead;
    bitcask_options options;
    bitcask *db = NULL;
    char path[128];
    int fd;

    small_store_make(bc_sim_io(alive));
    EXPECT(BITCASK_OK, small_store_open(bc_sim_io(alive), false, &db));
    EXPECT(BITCASK_OK, put_text(db->root, "a0", "more", 0));
    EXPECT(BITCASK_OK, bitcask_partition_create(db->root, "made", 4, NULL, 0, NULL));
    dead = bc_sim_power_cut(alive, BC_SIM_CUT_ALL, 1);
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        snprintf(path, sizeof path, SMALL_STORE "/partitions/%s", strangers[i]);
        EXPECT(BITCASK_OK, bc_io_mkdir(bc_sim_io(dead), BC_AT_CWD, path));
    }
    /* One that nothing names, with a file. */
    EXPECT(BITCASK_OK, bc_io_mkdir(bc_sim_io(dead), BC_AT_CWD, SMALL_STORE "/partitions/ab"));
    EXPECT(BITCASK_OK, bc_io_mkdir(bc_sim_io(dead), BC_AT_CWD, SMALL_STORE "/partitions/ab/12345678901234ab"));
    EXPECT(BITCASK_OK, bc_io_open(bc_sim_io(dead), BC_AT_CWD, SMALL_STORE "/partitions/ab/12345678901234ab/active.data",
                                  BC_OPEN_WRITE | BC_OPEN_CREATE, &fd));
    EXPECT(BITCASK_OK, bc_io_close(bc_sim_io(dead), &fd));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    bc_sim_close(&alive);
    bitcask_options_init(&options);
    options.log = note_removed;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(dead), SMALL_STORE, &options, &db));
    CU_ASSERT_EQUAL(found_removed, 1);
    CU_ASSERT_STRING_EQUAL(get_text(db->root, "a0"), "more");
    EXPECT(BITCASK_OK, bitcask_verify(db->root, &(bitcask_verify_options){.flags = BITCASK_BELOW}, NULL));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        snprintf(path, sizeof path, SMALL_STORE "/partitions/%s", strangers[i]);
        EXPECT(BITCASK_OK, bc_io_rmdir(bc_sim_io(dead), BC_AT_CWD, path)); /* it is there still */
    }
    CU_ASSERT_NOT_EQUAL(bc_io_rmdir(bc_sim_io(dead), BC_AT_CWD, SMALL_STORE "/partitions/ab/12345678901234ab"),
                        BITCASK_OK);
    bc_sim_close(&dead);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"partitions open at once follow the limit of files", partitions_open_at_once_follow_the_limit_of_files},
        {"paths may end in slashes", paths_may_end_in_slashes},
        {"creation that was cut short is gone on with", creation_that_was_cut_short_is_gone_on_with},
        {"holder is told while there is one", holder_is_told_while_there_is_one},
        {"repair keeps others out", repair_keeps_others_out},
        {"strangers below partitions are left alone", strangers_below_partitions_are_left_alone},
        CU_TEST_INFO_NULL,
    };

    return fixture_run("store edges", tests);
}
