/* test_io_sim.c - the simulated disk itself: what a power cut may take and what it must leave, failures, locks. */
#include "io_sim.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int open_file(struct bc_sim *sim, const char *name, unsigned flags)
{
    struct bc_io *io = bc_sim_io(sim);
    return io->ops->open(io, BC_AT_CWD, name, flags);
}

static ssize_t write_at(struct bc_sim *sim, int fd, const char *text, uint64_t offset)
{
    struct bc_io *io = bc_sim_io(sim);
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    return io->ops->pwritev(io, fd, &iov, 1, offset);
}

static int sync_file(struct bc_sim *sim, int fd)
{
    return bc_sim_io(sim)->ops->fdatasync(bc_sim_io(sim), fd);
}

static int sync_root(struct bc_sim *sim)
{
    struct bc_io *io = bc_sim_io(sim);
    int fd = open_file(sim, "/", BC_OPEN_DIRECTORY);
    int result = io->ops->sync_dir(io, fd);
    return io->ops->close(io, fd) ? -1 : result;
}

/* Reads the file into a string for comparison; "-" where there is none. */
static const char *content(struct bc_sim *sim, const char *name)
{
    static char text[4096];
    struct bc_io *io = bc_sim_io(sim);
    int fd = open_file(sim, name, BC_OPEN_READ);
    if (fd < 0) return "-";
    ssize_t got = io->ops->pread(io, fd, text, sizeof text - 1, 0);
    text[got < 0 ? 0 : got] = 0;
    CU_ASSERT_EQUAL(io->ops->close(io, fd), 0);
    return text;
}

/* A disk with file "f", durable, holding "base", and a handle to it. */
static struct bc_sim *disk_with_file(int *fd)
{
    struct bc_sim *sim = bc_sim_open(1);
    *fd = open_file(sim, "f", BC_OPEN_WRITE | BC_OPEN_CREATE);
    CU_ASSERT_EQUAL(write_at(sim, *fd, "base", 0), 4);
    CU_ASSERT_EQUAL(sync_file(sim, *fd), 0);
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    return sim;
}

/* Runs check on the disks that many random cuts leave; true if it ever said yes. */
static bool ever(struct bc_sim *sim, bool (*check)(struct bc_sim *after))
{
    bool yes = false;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct bc_sim *after = bc_sim_power_cut(sim, BC_SIM_CUT_RANDOM, seed);
        yes |= check(after);
        bc_sim_close(&after);
    }
    return yes;
}

static void expect_after(struct bc_sim *sim, enum bc_sim_cut cut, uint64_t seed, const char *name, const char *text)
{
    struct bc_sim *after = bc_sim_power_cut(sim, cut, seed);
    CU_ASSERT_STRING_EQUAL(content(after, name), text);
    bc_sim_close(&after);
}

static void unsynced_write_is_lost_and_synced_one_stays(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    CU_ASSERT_EQUAL(write_at(sim, fd, "more", 4), 4);
    CU_ASSERT_STRING_EQUAL(content(sim, "f"), "basemore");
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "base");
    expect_after(sim, BC_SIM_CUT_ALL, 0, "f", "basemore");
    CU_ASSERT_EQUAL(sync_file(sim, fd), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "basemore");
    bc_sim_close(&sim);
}

static void synced_file_without_synced_name_is_gone(void)
{
    struct bc_sim *sim = bc_sim_open(1);
    int fd = open_file(sim, "f", BC_OPEN_WRITE | BC_OPEN_CREATE);
    CU_ASSERT_EQUAL(write_at(sim, fd, "x", 0), 1);
    CU_ASSERT_EQUAL(sync_file(sim, fd), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "-");
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "x");
    bc_sim_close(&sim);
}

static void rename_unlink_and_rmdir_need_a_directory_sync(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    struct bc_io *io = bc_sim_io(sim);
    CU_ASSERT_EQUAL(io->ops->rename(io, BC_AT_CWD, "f", "g"), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "base");
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "g", "-");
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "-");
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "g", "base");
    CU_ASSERT_EQUAL(io->ops->unlink(io, BC_AT_CWD, "g"), 0);
    CU_ASSERT_EQUAL(io->ops->mkdir(io, BC_AT_CWD, "d"), 0);
    CU_ASSERT_EQUAL(io->ops->mkdir(io, BC_AT_CWD, "d/e"), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "g", "base");
    struct bc_sim *after = bc_sim_power_cut(sim, BC_SIM_CUT_SYNCED, 0);
    CU_ASSERT_EQUAL(open_file(after, "d", BC_OPEN_DIRECTORY), -ENOENT);
    bc_sim_close(&after);
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    after = bc_sim_power_cut(sim, BC_SIM_CUT_SYNCED, 0);
    CU_ASSERT(open_file(after, "d", BC_OPEN_DIRECTORY) >= 0);
    CU_ASSERT_EQUAL(open_file(after, "d/e", BC_OPEN_DIRECTORY), -ENOENT);
    CU_ASSERT_EQUAL(open_file(after, "g", BC_OPEN_READ), -ENOENT);
    bc_sim_close(&after);
    CU_ASSERT_EQUAL(io->ops->rmdir(io, BC_AT_CWD, "d"), -ENOTEMPTY);
    CU_ASSERT_EQUAL(io->ops->rmdir(io, BC_AT_CWD, "d/e"), 0);
    CU_ASSERT_EQUAL(io->ops->rmdir(io, BC_AT_CWD, "d"), 0);
    bc_sim_close(&sim);
}

static void link_is_a_second_name_that_needs_a_directory_sync(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    struct bc_io *io = bc_sim_io(sim);
    CU_ASSERT_EQUAL(io->ops->link(io, BC_AT_CWD, "f", "g"), 0);
    CU_ASSERT_EQUAL(io->ops->link(io, BC_AT_CWD, "f", "g"), -EEXIST);
    CU_ASSERT_EQUAL(io->ops->link(io, BC_AT_CWD, "x", "y"), -ENOENT);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "g", "-");
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    /* Both names share the file: what is written and synced through one is there under the other. */
    CU_ASSERT_EQUAL(write_at(sim, fd, "more", 4), 4);
    CU_ASSERT_EQUAL(sync_file(sim, fd), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "basemore");
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "g", "basemore");
    /* A rename moves the name it says, not the other one; of two names of one file it does nothing. */
    CU_ASSERT_EQUAL(io->ops->rename(io, BC_AT_CWD, "f", "g"), 0);
    CU_ASSERT_STRING_EQUAL(content(sim, "f"), "basemore");
    CU_ASSERT_EQUAL(io->ops->rename(io, BC_AT_CWD, "g", "h"), 0);
    CU_ASSERT_STRING_EQUAL(content(sim, "f"), "basemore");
    CU_ASSERT_STRING_EQUAL(content(sim, "g"), "-");
    CU_ASSERT_EQUAL(io->ops->unlink(io, BC_AT_CWD, "f"), 0);
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "h", "basemore");
    bc_sim_fail(sim, BC_SIM_LINK, 1, ENOSPC, false);
    CU_ASSERT_EQUAL(io->ops->link(io, BC_AT_CWD, "h", "i"), -ENOSPC);
    bc_sim_crash_at(sim, bc_sim_changes(sim) + 1);
    CU_ASSERT_EQUAL(io->ops->link(io, BC_AT_CWD, "h", "i"), -EIO);
    CU_ASSERT_STRING_EQUAL(content(sim, "i"), "-");
    expect_after(sim, BC_SIM_CUT_ALL, 1, "i", "basemore");
    bc_sim_close(&sim);
}

static bool is_base(struct bc_sim *after)
{
    return strcmp(content(after, "f"), "base") == 0;
}

static bool has_second_sector_only(struct bc_sim *after)
{
    char data[1200] = {0};
    struct bc_io *io = bc_sim_io(after);
    int fd = open_file(after, "f", BC_OPEN_READ);
    ssize_t got = io->ops->pread(io, fd, data, sizeof data, 0);
    return got > 600 && data[10] == 0 && data[600] == 'x';
}

static bool has_all(struct bc_sim *after)
{
    return strlen(content(after, "f")) == 1104;
}

static bool grew_as_zeros(struct bc_sim *after)
{
    char data[1200];
    memset(data, 'z', sizeof data);
    struct bc_io *io = bc_sim_io(after);
    int fd = open_file(after, "f", BC_OPEN_READ);
    ssize_t got = io->ops->pread(io, fd, data, sizeof data, 0);
    return got == 1104 && data[10] == 0 && data[600] == 0 && data[1103] == 0;
}

static bool is_torn_in_a_sector(struct bc_sim *after)
{
    size_t size = strlen(content(after, "f"));
    return size > 4 && size % 512 != 0 && size != 1104;
}

static bool base_is_damaged(struct bc_sim *after)
{
    return memcmp(content(after, "f"), "base", 4) != 0;
}

static void random_cut_keeps_any_subset_of_sectors(void)
{
    int fd;
    char text[1101];
    struct bc_sim *sim = disk_with_file(&fd);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    CU_ASSERT_EQUAL(write_at(sim, fd, text, 4), 1100);
    CU_ASSERT(ever(sim, is_base));
    CU_ASSERT(ever(sim, has_second_sector_only));
    CU_ASSERT(ever(sim, has_all));
    CU_ASSERT(ever(sim, grew_as_zeros));
    CU_ASSERT(ever(sim, is_torn_in_a_sector));
    CU_ASSERT_FALSE(ever(sim, base_is_damaged));
    bc_sim_close(&sim);
}

static bool has_new_without_old(struct bc_sim *after)
{
    return open_file(after, "b", BC_OPEN_READ) >= 0 && open_file(after, "a", BC_OPEN_READ) < 0;
}

static bool has_old_without_new(struct bc_sim *after)
{
    return open_file(after, "a", BC_OPEN_READ) >= 0 && open_file(after, "b", BC_OPEN_READ) < 0;
}

static bool has_neither_or_both(struct bc_sim *after)
{
    return has_new_without_old(after) == has_old_without_new(after);
}

static void rename_is_atomic_in_every_cut(void)
{
    struct bc_sim *sim = bc_sim_open(1);
    struct bc_io *io = bc_sim_io(sim);
    CU_ASSERT(open_file(sim, "a", BC_OPEN_WRITE | BC_OPEN_CREATE) >= 0);
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    CU_ASSERT_EQUAL(io->ops->rename(io, BC_AT_CWD, "a", "m"), 0);
    CU_ASSERT_EQUAL(io->ops->rename(io, BC_AT_CWD, "m", "b"), 0);
    CU_ASSERT(ever(sim, has_new_without_old));
    CU_ASSERT(ever(sim, has_old_without_new));
    CU_ASSERT_EQUAL(sync_root(sim), 0);
    CU_ASSERT_EQUAL(io->ops->rename(io, BC_AT_CWD, "b", "a"), 0);
    CU_ASSERT_FALSE(ever(sim, has_neither_or_both));
    bc_sim_close(&sim);
}

static void same_seed_gives_the_same_disk(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    CU_ASSERT_EQUAL(write_at(sim, fd, "abcdefgh", 508), 8);
    for (uint64_t seed = 0; seed < 50; seed++) {
        char first[4096];
        struct bc_sim *after = bc_sim_power_cut(sim, BC_SIM_CUT_RANDOM, seed);
        strcpy(first, content(after, "f"));
        bc_sim_close(&after);
        expect_after(sim, BC_SIM_CUT_RANDOM, seed, "f", first);
    }
    bc_sim_close(&sim);
}

static void crash_fails_that_call_and_all_later_changes(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    bc_sim_crash_at(sim, bc_sim_changes(sim) + 2);
    CU_ASSERT_EQUAL(write_at(sim, fd, "1", 4), 1);
    CU_ASSERT_FALSE(bc_sim_crashed(sim));
    CU_ASSERT_EQUAL(write_at(sim, fd, "2", 5), -EIO);
    CU_ASSERT(bc_sim_crashed(sim));
    CU_ASSERT_EQUAL(write_at(sim, fd, "3", 6), -EIO);
    CU_ASSERT_EQUAL(sync_file(sim, fd), -EIO);
    CU_ASSERT_EQUAL(open_file(sim, "new", BC_OPEN_WRITE | BC_OPEN_CREATE), -EIO);
    CU_ASSERT_STRING_EQUAL(content(sim, "f"), "base1");
    expect_after(sim, BC_SIM_CUT_ALL, 0, "f", "base1");
    expect_after(sim, BC_SIM_CUT_ALL, 1, "f", "base12");
    expect_after(sim, BC_SIM_CUT_SYNCED, 1, "f", "base");
    CU_ASSERT_EQUAL(bc_sim_io(sim)->ops->close(bc_sim_io(sim), fd), 0);
    bc_sim_close(&sim);
}

static void killed_process_leaves_written_bytes_unsynced(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    CU_ASSERT_EQUAL(write_at(sim, fd, "1", 4), 1);
    bc_sim_crash_at(sim, bc_sim_changes(sim) + 1);
    CU_ASSERT_EQUAL(write_at(sim, fd, "2", 5), -EIO);
    bc_sim_kill(sim);
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
    CU_ASSERT_STRING_EQUAL(content(sim, "f"), "base1");
    expect_after(sim, BC_SIM_CUT_ALL, 1, "f", "base1");
    expect_after(sim, BC_SIM_CUT_SYNCED, 1, "f", "base");
    fd = open_file(sim, "f", BC_OPEN_WRITE);
    CU_ASSERT_EQUAL(sync_file(sim, fd), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 1, "f", "base1");
    bc_sim_close(&sim);
}

static void failure_strikes_the_ordered_call_once_or_for_ever(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 2, ENOSPC, false);
    CU_ASSERT_EQUAL(write_at(sim, fd, "1", 4), 1);
    CU_ASSERT_EQUAL(write_at(sim, fd, "2", 5), -ENOSPC);
    CU_ASSERT_EQUAL(write_at(sim, fd, "3", 5), 1);
    CU_ASSERT_STRING_EQUAL(content(sim, "f"), "base13");
    bc_sim_fail(sim, BC_SIM_PWRITEV, 1, EDQUOT, true);
    CU_ASSERT_EQUAL(write_at(sim, fd, "4", 6), -EDQUOT);
    CU_ASSERT_EQUAL(write_at(sim, fd, "5", 6), -EDQUOT);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 0, 0, false);
    CU_ASSERT_EQUAL(write_at(sim, fd, "6", 6), 1);
    bc_sim_close(&sim);
}

static void failed_sync_loses_what_a_second_one_pretends_to_save(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    CU_ASSERT_EQUAL(write_at(sim, fd, "lost", 4), 4);
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, false);
    CU_ASSERT_EQUAL(sync_file(sim, fd), -EIO);
    CU_ASSERT_EQUAL(sync_file(sim, fd), 0);
    CU_ASSERT_STRING_EQUAL(content(sim, "f"), "baselost");
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "base");
    CU_ASSERT_EQUAL(write_at(sim, fd, "again", 4), 5);
    CU_ASSERT_EQUAL(sync_file(sim, fd), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "baseagain");
    bc_sim_close(&sim);
}

static void short_transfers_are_finished_by_the_callers_above(void)
{
    int fd;
    char data[16] = {0};
    size_t got = 0;
    struct bc_sim *sim = disk_with_file(&fd);
    bc_sim_set_short(sim, 3);
    CU_ASSERT_EQUAL(write_at(sim, fd, "12345678", 0), 3);
    struct iovec iov[2] = {{.iov_base = (char[]){"abcd"}, .iov_len = 4}, {.iov_base = (char[]){"efgh"}, .iov_len = 4}};
    CU_ASSERT_EQUAL(bc_io_write(bc_sim_io(sim), fd, "f", iov, 2, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_read(bc_sim_io(sim), fd, "f", data, sizeof data, 0, &got), BITCASK_OK);
    CU_ASSERT_EQUAL(got, 8);
    CU_ASSERT_STRING_EQUAL(data, "abcdefgh");
    bc_sim_close(&sim);
}

static void locks_count_between_opens_and_end_with_close(void)
{
    struct bc_sim *sim = bc_sim_open(1);
    struct bc_io *io = bc_sim_io(sim);
    int a = open_file(sim, "l", BC_OPEN_WRITE | BC_OPEN_CREATE), b = open_file(sim, "l", BC_OPEN_WRITE);
    CU_ASSERT_EQUAL(io->ops->lock(io, a, BC_LOCK_EXCLUSIVE, 0, 10), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, a, BC_LOCK_EXCLUSIVE, 0, 10), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, b, BC_LOCK_SHARED, 9, 1), -EAGAIN);
    CU_ASSERT_EQUAL(io->ops->lock(io, b, BC_LOCK_SHARED, 10, 1), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, a, BC_LOCK_NONE, 4, 2), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, b, BC_LOCK_EXCLUSIVE, 4, 2), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, b, BC_LOCK_SHARED, 3, 1), -EAGAIN);
    CU_ASSERT_EQUAL(io->ops->lock(io, b, BC_LOCK_SHARED, 6, 1), -EAGAIN);
    CU_ASSERT_EQUAL(io->ops->lock(io, a, BC_LOCK_SHARED, 0, 1), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, b, BC_LOCK_SHARED, 0, 1), 0);
    CU_ASSERT_EQUAL(io->ops->close(io, a), 0);
    CU_ASSERT_EQUAL(io->ops->lock(io, b, BC_LOCK_EXCLUSIVE, 0, 0), 0);
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 1);
    CU_ASSERT_EQUAL(bc_sim_misuses(sim), 0);
    CU_ASSERT_EQUAL(io->ops->close(io, a), -EBADF);
    CU_ASSERT_EQUAL(bc_sim_misuses(sim), 1);
    bc_sim_close(&sim);
}

static void exclusive_create_and_truncate_work_as_on_a_real_disk(void)
{
    int fd;
    struct bc_sim *sim = disk_with_file(&fd);
    struct bc_file_info info;
    CU_ASSERT_EQUAL(open_file(sim, "f", BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE), -EEXIST);
    CU_ASSERT_EQUAL(open_file(sim, "x", BC_OPEN_READ), -ENOENT);
    CU_ASSERT_EQUAL(open_file(sim, "f", BC_OPEN_DIRECTORY), -ENOTDIR);
    CU_ASSERT_EQUAL(open_file(sim, "/", BC_OPEN_WRITE), -EISDIR);
    CU_ASSERT_EQUAL(open_file(sim, "x/y", BC_OPEN_WRITE | BC_OPEN_CREATE), -ENOENT);
    CU_ASSERT_EQUAL(bc_sim_io(sim)->ops->truncate(bc_sim_io(sim), fd, 2), 0);
    CU_ASSERT_EQUAL(bc_sim_io(sim)->ops->info(bc_sim_io(sim), fd, &info), 0);
    CU_ASSERT_EQUAL(info.size, 2);
    CU_ASSERT(info.is_regular && !info.is_directory);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "base");
    CU_ASSERT_EQUAL(sync_file(sim, fd), 0);
    expect_after(sim, BC_SIM_CUT_SYNCED, 0, "f", "ba");
    bc_sim_close(&sim);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"unsynced write is lost and synced one stays", unsynced_write_is_lost_and_synced_one_stays},
        {"synced file without synced name is gone", synced_file_without_synced_name_is_gone},
        {"rename, unlink and rmdir need a directory sync", rename_unlink_and_rmdir_need_a_directory_sync},
        {"link is a second name that needs a directory sync", link_is_a_second_name_that_needs_a_directory_sync},
        {"random cut keeps any subset of sectors", random_cut_keeps_any_subset_of_sectors},
        {"rename is atomic in every cut", rename_is_atomic_in_every_cut},
        {"same seed gives the same disk", same_seed_gives_the_same_disk},
        {"crash fails that call and all later changes", crash_fails_that_call_and_all_later_changes},
        {"killed process leaves written bytes unsynced", killed_process_leaves_written_bytes_unsynced},
        {"failure strikes the ordered call once or for ever", failure_strikes_the_ordered_call_once_or_for_ever},
        {"failed sync loses what a second one pretends to save", failed_sync_loses_what_a_second_one_pretends_to_save},
        {"short transfers are finished by the callers above", short_transfers_are_finished_by_the_callers_above},
        {"locks count between opens and end with close", locks_count_between_opens_and_end_with_close},
        {"exclusive create and truncate work as on a real disk", exclusive_create_and_truncate_work_as_on_a_real_disk},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"io_sim", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) return 2;
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
