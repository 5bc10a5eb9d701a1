/* test_repair_crash.c - the power fails, or the disk, at any call of a repair: on the simulated disk.
 *
 * After each crash the damaged files must be there, byte for byte, under one of their names; a second repair must do
 * what the first did not; and all that is good must be in the store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/maintain.h"
#include "findings.h"
#include "io_sim.h"

#define DIRECTORY "store/partitions/00/0000000000000000/"
/* Files: a value of a sealed one, the header of another, all that could tell the generation of a third, a durable value
 * of the active one. */
#define DAMAGED 4

static struct findings told;

/* What was damaged, as it was when the repair began. */
static struct {
    const char *name;
    uint8_t bytes[2048];
    size_t size;
} damaged[DAMAGED] = {
    {.name = "000001.data"}, {.name = "000002.data"}, {.name = "000003.data"}, {.name = "active.data"}};

static size_t read_file(struct bc_sim *sim, const char *name, uint8_t *bytes, size_t room)
{
    struct bc_io *io = bc_sim_io(sim);
    char path[128];
    snprintf(path, sizeof path, DIRECTORY "%s", name);
    int fd = io->ops->open(io, BC_AT_CWD, path, BC_OPEN_READ);
    if (fd < 0) return 0;
    ssize_t got = io->ops->pread(io, fd, bytes, room, 0);
    CU_ASSERT(got >= 0 && io->ops->close(io, fd) == 0);
    return (size_t)got;
}

static void flip(struct bc_sim *sim, const char *name, uint64_t at)
{
    struct bc_io *io = bc_sim_io(sim);
    uint8_t bytes[2048];
    char path[128];
    CU_ASSERT_FATAL(read_file(sim, name, bytes, sizeof bytes) > at);
    bytes[at] ^= 4;
    struct iovec iov = {bytes + at, 1};
    snprintf(path, sizeof path, DIRECTORY "%s", name);
    int fd = io->ops->open(io, BC_AT_CWD, path, BC_OPEN_WRITE);
    CU_ASSERT(io->ops->pwritev(io, fd, &iov, 1, at) == 1 && io->ops->fdatasync(io, fd) == 0);
    CU_ASSERT_EQUAL(io->ops->close(io, fd), 0);
}

static void forget_hint(struct bc_sim *sim, const char *name)
{
    struct bc_io *io = bc_sim_io(sim);
    int at = io->ops->open(io, BC_AT_CWD, "store/partitions/00/0000000000000000", BC_OPEN_READ | BC_OPEN_DIRECTORY);
    CU_ASSERT(io->ops->unlink(io, at, name) == 0 && io->ops->sync_dir(io, at) == 0);
    CU_ASSERT_EQUAL(io->ops->close(io, at), 0);
}

static bitcask *open_store(struct bc_sim *sim)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "store", &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    return db;
}

static void seal(bitcask_partition *partition)
{
    struct bc_partition *instance;
    EXPECT(BITCASK_OK, bc_node_pin(partition, &instance));
    bc_fair_lock_soon(&instance->write_lock);
    EXPECT(BITCASK_OK, bc_partition_rotate(instance));
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(partition);
}

/* Four segments of three keys each, "a1" to "d3". */
static struct bc_sim *make_damaged_disk(void)
{
    struct bc_sim *sim = bc_sim_open(1);
    bitcask *db = open_store(sim);
    bitcask_partition *root = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    for (int i = 0; i < 12; i++) {
        char key[8], value[40];
        snprintf(key, sizeof key, "%c%d", "abcd"[i / 3], i % 3 + 1);
        snprintf(value, sizeof value, "the value of %s", key);
        if (i % 3 == 0 && i > 0) seal(root);
        EXPECT(BITCASK_OK, put_text(root, key, value, 0));
    }
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bc_db_close(&db));
    uint64_t second = 62 + 26 + 2 + 15 + 26 + 2 + 5; /* in the second record's value */
    flip(sim, "000001.data", second);
    flip(sim, "000002.data", 16); /* in the header: the second segment costs nothing */
    flip(sim, "000003.data", 26);
    flip(sim, "000003.data", 30);    /* two bytes: the header's checksum does not say which */
    forget_hint(sim, "000003.hint"); /* of this one nothing is left that knows its generation */
    flip(sim, "active.data", second);
    for (int i = 0; i < DAMAGED; i++)
        damaged[i].size = read_file(sim, damaged[i].name, damaged[i].bytes, sizeof damaged[i].bytes);
    return sim;
}

static bool exists(struct bc_sim *sim, const char *name)
{
    struct bc_io *io = bc_sim_io(sim);
    char path[128];
    snprintf(path, sizeof path, DIRECTORY "%s", name);
    int fd = io->ops->open(io, BC_AT_CWD, path, BC_OPEN_READ);
    return fd >= 0 && io->ops->close(io, fd) == 0;
}

/* Whether the damaged file is there: under its own name, or one that begins so. */
static bool is_kept(struct bc_sim *sim, int i)
{
    char name[64];
    uint8_t bytes[2048];
    for (int number = -2; number < 8; number++) {
        if (number == -2) snprintf(name, sizeof name, "%s", damaged[i].name);
        if (number == -1) snprintf(name, sizeof name, "%s.damaged", damaged[i].name);
        if (number >= 0) snprintf(name, sizeof name, "%s.damaged.%d", damaged[i].name, number);
        if (read_file(sim, name, bytes, sizeof bytes) == damaged[i].size &&
            memcmp(bytes, damaged[i].bytes, damaged[i].size) == 0)
            return true;
    }
    return false;
}

/* A second repair, and what the store holds then. */
static void check_after(struct bc_sim *sim, const char *when)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    for (int i = 0; i < DAMAGED; i++) {
        bool kept = is_kept(sim, i);
        if (!kept) fprintf(stderr, "%s: %s is gone\n", when, damaged[i].name);
        CU_ASSERT(kept);
    }
    EXPECT(BITCASK_OK, findings_repair(bc_sim_io(sim), "store", &told));
    db = open_store(sim);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    for (int i = 0; i < 12; i++) {
        char key[8], value[40];
        snprintf(key, sizeof key, "%c%d", "abcd"[i / 3], i % 3 + 1);
        snprintf(value, sizeof value, "the value of %s", key);
        bool lost = i == 1 || (i >= 6 && i < 9) || i == 10;
        const char *got = get_text(root, key), *wanted = lost ? "-" : value;
        if (strcmp(got, wanted) != 0) fprintf(stderr, "%s: %s is '%s'\n", when, key, got);
        CU_ASSERT_STRING_EQUAL(got, wanted);
    }
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_of(&told, BITCASK_FOUND_DAMAGE, NULL, NULL) == NULL);
    EXPECT(BITCASK_OK, put_text(root, "a2", "again", BITCASK_DURABLE));
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bc_db_close(&db));
    for (int i = 0; i < DAMAGED; i++) CU_ASSERT(is_kept(sim, i));
    CU_ASSERT(bc_sim_handles(sim) == 0 && bc_sim_misuses(sim) == 0);
}

/* The disks that a power cut may leave of sim, one after the other. */
static void check_cuts(struct bc_sim *sim, unsigned n)
{
    for (unsigned i = 0; i < 13; i++) {
        char when[64];
        enum bc_sim_cut cut = i < 2 ? BC_SIM_CUT_ALL : i == 2 ? BC_SIM_CUT_SYNCED : BC_SIM_CUT_RANDOM;
        struct bc_sim *after = bc_sim_power_cut(sim, cut, i);
        snprintf(when, sizeof when, "change %u, cut %u", n, i);
        check_after(after, when);
        bc_sim_close(&after);
    }
}

static void repair_that_crashes_at_any_change_loses_nothing(void)
{
    struct bc_sim *disk = make_damaged_disk(), *sim = bc_sim_power_cut(disk, BC_SIM_CUT_ALL, 0);
    EXPECT(BITCASK_OK, findings_repair(bc_sim_io(sim), "store", &told));
    CU_ASSERT_EQUAL(told.result.segments_repaired, DAMAGED);
    uint64_t changes = bc_sim_changes(sim);
    CU_ASSERT(changes > 20);
    check_cuts(sim, 0); /* acknowledged: every cut leaves it repaired */
    bc_sim_close(&sim);
    for (unsigned n = 1; n <= changes; n++) {
        sim = bc_sim_power_cut(disk, BC_SIM_CUT_ALL, 0);
        bc_sim_crash_at(sim, n);
        CU_ASSERT_NOT_EQUAL(findings_repair(bc_sim_io(sim), "store", &told), BITCASK_OK);
        CU_ASSERT(bc_sim_crashed(sim) && bc_sim_handles(sim) == 0);
        check_cuts(sim, n);
        bc_sim_kill(sim); /* and without a power cut */
        check_after(sim, "killed");
        bc_sim_close(&sim);
    }
    bc_sim_close(&disk);
}

/* Repairs, with so many files to be done, and cuts the power: nothing is left to be done. */
static void expect_lasting_repair(struct bc_sim *sim, uint64_t files)
{
    EXPECT(BITCASK_OK, findings_repair(bc_sim_io(sim), "store", &told));
    CU_ASSERT_EQUAL(told.result.segments_repaired, files);
    for (unsigned i = 0; i < 20; i++) {
        struct bc_sim *after = bc_sim_power_cut(sim, i == 0 ? BC_SIM_CUT_SYNCED : BC_SIM_CUT_RANDOM, i);
        EXPECT(BITCASK_OK, findings_repair(bc_sim_io(after), "store", &told));
        CU_ASSERT(told.result.segments_repaired == 0 && told.result.damage == 0);
        bc_sim_close(&after);
    }
}

static void repair_that_was_acknowledged_stays_repaired(void)
{
    struct bc_sim *disk = make_damaged_disk(), *sim = bc_sim_power_cut(disk, BC_SIM_CUT_ALL, 0);
    expect_lasting_repair(sim, DAMAGED);
    flip(sim, "active.data", 30);
    flip(sim, "active.data", 26); /* one that is set aside, and nothing behind it */
    expect_lasting_repair(sim, 1);
    bc_sim_close(&sim);
    bc_sim_close(&disk);
}

static void repair_on_a_failing_disk_says_so_and_can_be_done_again(void)
{
    static const enum bc_sim_call kinds[] = {BC_SIM_OPEN,     BC_SIM_PREAD,    BC_SIM_PWRITEV, BC_SIM_FDATASYNC,
                                             BC_SIM_SYNC_DIR, BC_SIM_RENAME,   BC_SIM_LINK,    BC_SIM_UNLINK,
                                             BC_SIM_LIST,     BC_SIM_TRUNCATE, BC_SIM_INFO,    BC_SIM_RANDOM};
    struct bc_sim *disk = make_damaged_disk();
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        bitcask_status status = BITCASK_IO;
        for (unsigned n = 1; status != BITCASK_OK; n++) {
            struct bc_sim *sim = bc_sim_power_cut(disk, BC_SIM_CUT_ALL, 0);
            bc_sim_fail(sim, kinds[k], n, kinds[k] == BC_SIM_PWRITEV ? ENOSPC : EIO, false);
            status = findings_repair(bc_sim_io(sim), "store", &told);
            /* A hint that cannot be removed, or a file that is not there, may go unsaid; what matters may not. */
            CU_ASSERT(status != BITCASK_OK || told.result.segments_repaired == DAMAGED);
            CU_ASSERT(bc_sim_handles(sim) == 0 && bc_sim_misuses(sim) == 0);
            bc_sim_fail(sim, kinds[k], 0, 0, false);
            CU_ASSERT(!exists(sim, "new.tmp") || kinds[k] == BC_SIM_UNLINK);
            check_after(sim, "failed");
            bc_sim_close(&sim);
        }
    }
    bc_sim_close(&disk);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"repair that crashes at any change loses nothing", repair_that_crashes_at_any_change_loses_nothing},
        {"repair that was acknowledged stays repaired", repair_that_was_acknowledged_stays_repaired},
        {"repair on a failing disk says so and can be done again",
         repair_on_a_failing_disk_says_so_and_can_be_done_again},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("repair crash", tests);
}
