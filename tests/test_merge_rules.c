/* test_merge_rules.c - on the simulated disk: what stands in the output of a merge, what a partition is opened from,
 * and what hints may not stand for. The rules are those of ARCHITECTURE.md; test_crash_merge.c tests their order.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "accounts.h"
#include "db/db.h"
#include "fixture.h"
#include "io_sim.h"
#include "log/scan.h"
#include "merging.h"
#include "partition/merge.h"

#define ROOT_DIRECTORY "/store/partitions/00/0000000000000000/"
#define MARK_SIZE (BC_RECORD_HEAD_SIZE + 2 + 8)

static struct bc_sim *sim;
static bitcask *db;
static bitcask_partition *root;

static void open_store(void)
{
    merging_open_on(sim, &db, &root);
}

static void close_store(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
}

static void begin(void)
{
    sim = bc_sim_open(9);
    open_store();
}

static void end(void)
{
    close_store();
    bc_sim_close(&sim);
}

static struct bc_partition *pin(void)
{
    struct bc_partition *instance = NULL;
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    CU_ASSERT_PTR_NOT_NULL_FATAL(instance);
    return instance;
}

static void rotate(void)
{
    struct bc_partition *instance = pin();
    bc_fair_lock_soon(&instance->write_lock);
    EXPECT(BITCASK_OK, bc_partition_rotate(instance));
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(root);
}

static void merge(uint32_t first_id, uint32_t last_id)
{
    const struct bc_merge_run run = {.first_id = first_id, .last_id = last_id};
    bitcask_merge_result result = {0};
    struct bc_partition *instance = pin();
    EXPECT(BITCASK_OK, bc_partition_merge(instance, &run, NULL, &result));
    CU_ASSERT_EQUAL(result.merges, 1);
    CU_ASSERT(accounts_agree(instance));
    bc_node_unpin(root);
}

static void remove_file(const char *name)
{
    struct bc_io *io = bc_sim_io(sim);
    char path[100];
    snprintf(path, sizeof path, ROOT_DIRECTORY "%s", name);
    EXPECT(BITCASK_OK, bc_io_unlink(io, BC_AT_CWD, path));
}

/* ---- outputs ---- */

struct content {
    struct bc_segment_header header;
    char keys[300]; /* in order, "a +b " where + is a tombstone */
    size_t records;
    uint16_t flags; /* all that occur */
    uint64_t highest;
};

/* Reads a sealed segment as a scan would. */
static void read_segment(uint32_t id, struct content *content)
{
    struct bc_segment *segment = NULL;
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    char path[100], name[16];
    *content = (struct content){.records = 0};
    bc_segment_name(id, name);
    snprintf(path, sizeof path, ROOT_DIRECTORY "%s", name);
    EXPECT(BITCASK_OK, bc_segment_open(bc_sim_io(sim), BC_AT_CWD, path, false, &segment, &content->header));
    CU_ASSERT_PTR_NOT_NULL_FATAL(segment);
    EXPECT(BITCASK_OK, bc_scan_open(segment, segment->header_size, segment->end, &scan));
    while (bc_scan_next(scan, &item) == BITCASK_OK && item.kind != BC_SCAN_END) {
        CU_ASSERT_EQUAL(item.kind, BC_SCAN_RECORD);
        if (item.kind != BC_SCAN_RECORD) break;
        size_t used = strlen(content->keys);
        snprintf(content->keys + used, sizeof content->keys - used, "%s%.*s ",
                 item.record.flags & BC_RECORD_TOMBSTONE ? "+" : "", item.record.key_size,
                 (const char *)item.record.key);
        content->records++;
        content->flags |= item.record.flags;
        if (item.record.version > content->highest) content->highest = item.record.version;
    }
    bc_scan_close(&scan);
    bc_segment_unref(&segment);
}

static void expect_keys(uint32_t id, const char *keys)
{
    struct content content;
    read_segment(id, &content);
    CU_ASSERT_STRING_EQUAL(content.keys, keys);
    if (strcmp(content.keys, keys) != 0) fprintf(stderr, "segment %u holds '%s', not '%s'\n", id, content.keys, keys);
}

static void tombstones_are_kept_where_an_older_segment_may_need_them(void)
{
    begin();
    for (const char *key = "a\0b\0c\0"; *key; key += 2) EXPECT(BITCASK_OK, put_text(root, key, "v", 0));
    rotate();
    EXPECT(BITCASK_OK, put_text(root, "d", "v", 0));
    EXPECT(BITCASK_OK, put_text(root, "e", "v", 0));
    rotate();
    EXPECT(BITCASK_OK, delete_text(root, "a", 0));
    EXPECT(BITCASK_OK, delete_text(root, "b", 0));
    EXPECT(BITCASK_OK, delete_text(root, "d", 0));
    rotate();
    EXPECT(BITCASK_OK, put_text(root, "b", "w", 0));
    merge(2, 3);
    /* d was in the run alone, and the filter of segment 1 says so; b has a later put. */
    expect_keys(3, "+a e ");
    merge(1, 3);
    expect_keys(3, "c e ");
    end();
}

static void tombstone_is_kept_where_no_filter_can_be_asked(void)
{
    begin();
    EXPECT(BITCASK_OK, put_text(root, "a", "v", 0));
    rotate();
    EXPECT(BITCASK_OK, put_text(root, "b", "v", 0));
    EXPECT(BITCASK_OK, delete_text(root, "b", 0));
    EXPECT(BITCASK_OK, put_text(root, "c", "v", 0));
    rotate();
    remove_file("000001.hint");
    merge(2, 2);
    expect_keys(2, "+b c ");
    merge(1, 2);
    expect_keys(2, "a c ");
    end();
}

static void output_is_sorted_and_says_nothing_of_batches_and_syncs(void)
{
    struct content content;
    bitcask_batch *batch = NULL;
    uint64_t last = 0;
    begin();
    EXPECT(BITCASK_OK, put_text(root, "d", "v", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, put_text(root, "c", "v", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "b", 1, "v", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "f", 1, "v", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "a", 1, "v", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, BITCASK_DURABLE, 0, NULL));
    bitcask_batch_close(&batch);
    rotate();
    read_segment(1, &content);
    CU_ASSERT((content.flags & BC_RECORD_MORE) && (content.flags & BC_RECORD_DURABLE)); /* or this tests nothing */
    EXPECT(BITCASK_OK, put_text(root, "e", "v", 0));
    EXPECT(BITCASK_OK, delete_text(root, "e", 0)); /* the last version: of a record that is left out */
    rotate();
    read_segment(2, &content);
    last = content.highest;
    merge(1, 2);
    read_segment(2, &content);
    CU_ASSERT_STRING_EQUAL(content.keys, "a b c d f ");
    CU_ASSERT_EQUAL(content.flags, 0);
    CU_ASSERT_EQUAL(content.header.lowest_id, 1);
    CU_ASSERT_EQUAL(content.header.last_version, last);
    end();
}

/* What can fail for want of files fails before the commit point: the inputs are untouched, and writing goes on. */
static void merge_without_files_to_spare_harms_nothing(void)
{
    const struct bc_merge_run run = {.first_id = 1, .last_id = 2};
    bc_status status = BITCASK_TOO_MANY_FILES;
    for (uint64_t n = 1; status == BITCASK_TOO_MANY_FILES; n++) {
        bitcask_merge_result result = {0};
        begin();
        EXPECT(BITCASK_OK, put_text(root, "a", "v", 0));
        EXPECT(BITCASK_OK, put_text(root, "b", "v", 0));
        rotate();
        EXPECT(BITCASK_OK, put_text(root, "a", "w", 0));
        rotate();
        struct bc_partition *instance = pin();
        bc_sim_fail(sim, BC_SIM_OPEN, n, EMFILE, true);
        status = bc_partition_merge(instance, &run, NULL, &result);
        bc_sim_fail(sim, BC_SIM_OPEN, 0, 0, false);
        CU_ASSERT(accounts_agree(instance));
        CU_ASSERT(n > 2 || status == BITCASK_TOO_MANY_FILES);
        if (status != BITCASK_OK) EXPECT(BITCASK_OK, bc_partition_merge(instance, &run, NULL, &result));
        CU_ASSERT_EQUAL(result.merges, 1);
        bc_node_unpin(root);
        EXPECT(BITCASK_OK, put_text(root, "c", "v", 0));
        CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "w");
        CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "v");
        end();
    }
    EXPECT(BITCASK_OK, status);
}

/* A segment that was merged, and could not be removed, neither then nor at the next open, must not come back when all
 * that covers it is empty. */
static void segment_that_cannot_be_removed_stays_superseded(void)
{
    begin();
    EXPECT(BITCASK_OK, put_text(root, "a", "v", 0));
    rotate();
    EXPECT(BITCASK_OK, put_text(root, "b", "v", 0));
    rotate();
    bc_sim_fail(sim, BC_SIM_UNLINK, 1, EIO, true);
    merge(1, 2);
    close_store();
    open_store();
    EXPECT(BITCASK_OK, delete_text(root, "a", 0));
    EXPECT(BITCASK_OK, delete_text(root, "b", 0));
    bc_sim_fail(sim, BC_SIM_UNLINK, 0, 0, false);
    rotate();
    merge(2, 3);
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "-");
    close_store();
    open_store();
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "-");
    end();
}

/* ---- opening ---- */

static void just_sealed_partition_is_opened_cold(void)
{
    struct bc_partition *instance = NULL;
    begin();
    EXPECT(BITCASK_OK, put_text(root, "a", "v", 0));
    rotate();
    close_store();
    open_store();
    EXPECT(BITCASK_OK, bc_node_pin_reading(root, &instance));
    CU_ASSERT(atomic_load(&instance->cold));
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "v");
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "-");
    CU_ASSERT(atomic_load(&instance->cold));
    bc_node_unpin(root);
    EXPECT(BITCASK_OK, put_text(root, "b", "w", 0));
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "v");
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "w");
    end();
}

/* Changes the size of active.data by so much, or one byte of it, counted from the end. */
static void change_active(uint64_t cut, uint64_t flip_from_end)
{
    struct bc_io *io = bc_sim_io(sim);
    struct bc_file_info info = {0};
    uint8_t byte = 0;
    size_t got = 0;
    struct iovec iov = {&byte, 1};
    int fd = -1;
    EXPECT(BITCASK_OK, bc_io_open(io, BC_AT_CWD, ROOT_DIRECTORY BC_ACTIVE_NAME, BC_OPEN_WRITE, &fd));
    EXPECT(BITCASK_OK, bc_io_info(io, fd, "active", &info));
    if (cut) EXPECT(BITCASK_OK, bc_io_truncate(io, fd, "active", info.size - cut));
    if (flip_from_end) {
        EXPECT(BITCASK_OK, bc_io_read(io, fd, "active", &byte, 1, info.size - flip_from_end, &got));
        byte ^= 1;
        EXPECT(BITCASK_OK, bc_io_write(io, fd, "active", &iov, 1, info.size - flip_from_end));
    }
    EXPECT(BITCASK_OK, bc_io_close(io, &fd));
}

/* A power cut took the closing mark. The hint says as well how far the log is durable, but it may be gone at the next
 * open: so the log must say it again, or else rot would be cut off for a torn tail. */
static void closing_mark_is_written_again_though_a_hint_says_the_same(void)
{
    char value[5000];
    bitcask_stats stats = {0};
    memset(value, 'v', sizeof value);
    begin();
    EXPECT(BITCASK_OK, bitcask_put(root, "a", 1, value, sizeof value, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_put(root, "b", 1, value, sizeof value, NULL, NULL));
    close_store();
    change_active(MARK_SIZE, 0);
    open_store();
    CU_ASSERT_STRING_EQUAL(get_text(root, "c"), "-");
    close_store();
    remove_file("000001.hint");
    change_active(0, MARK_SIZE + 100); /* in the value of b */
    open_store();
    bitcask_value *got = NULL;
    EXPECT(BITCASK_CORRUPT, bitcask_get(root, "b", 1, &got));
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT_EQUAL(stats.damaged_regions, 1);
    end();
}

static uint64_t version_of(const char *key)
{
    bitcask_entry entry = {0};
    EXPECT(BITCASK_OK, bitcask_stat(root, key, strlen(key), &entry));
    return entry.version;
}

/* The last version is known from hints too, also where nothing of what is behind them can be used. */
static void versions_grow_though_the_clock_goes_back(void)
{
    char value[9000];
    memset(value, 'v', sizeof value);
    begin();
    EXPECT(BITCASK_OK, bitcask_put(root, "a", 1, value, sizeof value, NULL, NULL));
    close_store();
    bc_sim_set_clock(sim, 1000);
    change_active(0, 1); /* the closing mark */
    open_store();
    EXPECT(BITCASK_OK, put_text(root, "b", "v", 0));
    CU_ASSERT(version_of("b") > version_of("a"));
    close_store();
    open_store();
    EXPECT(BITCASK_OK, put_text(root, "c", "v", 0));
    CU_ASSERT(version_of("c") > version_of("b"));
    rotate();
    merge(1, 1);
    close_store();
    remove_file("000001.hint");
    open_store();
    EXPECT(BITCASK_OK, put_text(root, "d", "v", 0));
    CU_ASSERT(version_of("d") > version_of("c"));
    end();
}

/* A hint says that the log is durable as far as it goes: so none is made of what could not be synced. */
static void no_hint_is_made_of_what_could_not_be_synced(void)
{
    struct bc_io *io;
    char value[9000];
    int fd = -1;
    memset(value, 'v', sizeof value);
    begin();
    io = bc_sim_io(sim);
    EXPECT(BITCASK_OK, bitcask_put(root, "a", 1, value, sizeof value, NULL, NULL));
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, false);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_IO, bitcask_close(&db));
    EXPECT(BITCASK_NOT_FOUND, bc_io_open(io, BC_AT_CWD, ROOT_DIRECTORY "000001.hint", BC_OPEN_READ, &fd));
    open_store();
    CU_ASSERT_STRING_NOT_EQUAL(get_text(root, "a"), "-"); /* read back, written again and synced */
    close_store();
    EXPECT(BITCASK_OK, bc_io_open(io, BC_AT_CWD, ROOT_DIRECTORY "000001.hint", BC_OPEN_READ, &fd));
    EXPECT(BITCASK_OK, bc_io_close(io, &fd));
    bc_sim_close(&sim);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"tombstones are kept where an older segment may need them",
         tombstones_are_kept_where_an_older_segment_may_need_them},
        {"tombstone is kept where no filter can be asked", tombstone_is_kept_where_no_filter_can_be_asked},
        {"output is sorted and says nothing of batches and syncs",
         output_is_sorted_and_says_nothing_of_batches_and_syncs},
        {"merge without files to spare harms nothing", merge_without_files_to_spare_harms_nothing},
        {"segment that cannot be removed stays superseded", segment_that_cannot_be_removed_stays_superseded},
        {"just sealed partition is opened cold", just_sealed_partition_is_opened_cold},
        {"closing mark is written again though a hint says the same",
         closing_mark_is_written_again_though_a_hint_says_the_same},
        {"versions grow though the clock goes back", versions_grow_though_the_clock_goes_back},
        {"no hint is made of what could not be synced", no_hint_is_made_of_what_could_not_be_synced},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("merge_rules", tests);
}
