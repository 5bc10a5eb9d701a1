/* test_marks.c - what a log says of how far it is durable, where an append came in the midst of a sync.
 *
 * On the simulated disk, the power cut with each single change kept that no sync has covered. Threads: one; what others
 * would do meanwhile is done by the disk's hook.
 */
#include <stdio.h>
#include <string.h>

#include "db/db.h"
#include "fixture.h"
#include "io_sim.h"
#include "log/scan.h"

static bitcask *db;
static bitcask_partition *root;

static bitcask_status open_on(struct bc_sim *sim)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    bitcask_status status = bc_db_open(bc_sim_io(sim), "store", &options, &db);
    return status == BITCASK_OK ? bitcask_partition_open(db, "", &root) : status;
}

static bitcask_status close_all(void)
{
    bitcask_partition_close(&root);
    return bitcask_close(&db);
}

/* As another thread would, after the sync's length was noted and before the disk is asked. */
static void put_meanwhile(void *context, enum bc_sim_call kind)
{
    unsigned *left = context;
    if (kind != BC_SIM_FDATASYNC || *left == 0) return;
    (*left)--;
    EXPECT(BITCASK_OK, put_text(root, "b", "not covered by the sync", 0));
}

/* The length that the last mark in the root's log states; and where the record of key ends. */
static void find_mark(struct bc_sim *sim, const char *key, uint64_t *stated, uint64_t *end)
{
    struct bc_segment_header header;
    struct bc_segment *segment = NULL;
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    const char *path = fixture_partition_file("store", 0, "active.data");
    *stated = *end = 0;
    EXPECT(BITCASK_OK, bc_segment_open(bc_sim_io(sim), BC_AT_CWD, path, false, &segment, &header));
    EXPECT(BITCASK_OK, bc_scan_open(segment, header.header_size, segment->end, &scan));
    while (bc_scan_next(scan, &item) == BITCASK_OK && item.kind != BC_SCAN_END) {
        if (item.kind != BC_SCAN_RECORD) continue;
        if (bc_record_is_mark(&item.record)) *stated = bc_get_u64(item.record.value);
        if (item.record.key_size == strlen(key) && memcmp(item.record.key, key, strlen(key)) == 0)
            *end = item.offset + item.size;
    }
    bc_scan_close(&scan);
    bc_segment_unref(&segment);
}

static void what_a_sync_did_not_cover_is_a_torn_tail_and_no_rot(void)
{
    struct bc_sim *sim = bc_sim_open(5);
    unsigned left = 0;
    bc_sim_set_hook(sim, put_meanwhile, &left);
    EXPECT(BITCASK_OK, open_on(sim));
    EXPECT(BITCASK_OK, put_text(root, "first", "1", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, put_text(root, "a", "covered by the sync", 0));
    left = 1;
    EXPECT(BITCASK_OK, bitcask_partition_sync(root));
    CU_ASSERT_EQUAL(left, 0);
    EXPECT(BITCASK_OK, put_text(root, "c", "with a mark in front of it", 0));
    uint64_t unsynced = bc_sim_unsynced(sim), seen_c = 0, stated, end;
    find_mark(sim, "a", &stated, &end);
    CU_ASSERT(end > 0 && stated == end); /* no more than was asked to be synced */
    CU_ASSERT(unsynced >= 1);
    bitcask *first_db = db;
    bitcask_partition *first_root = root;
    for (uint64_t i = 0; i < unsynced; i++) {
        struct bc_sim *cut = bc_sim_power_cut(sim, BC_SIM_CUT_SYNCED_AND_ONE, i);
        bitcask_stats stats = {0};
        db = NULL;
        root = NULL;
        EXPECT(BITCASK_OK, open_on(cut));
        CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "covered by the sync");
        EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
        CU_ASSERT_EQUAL(stats.damaged_regions, 0);
        seen_c += strcmp(get_text(root, "c"), "-") == 0;
        EXPECT(BITCASK_OK, close_all());
        bc_sim_close(&cut);
    }
    CU_ASSERT(seen_c > 0);
    db = first_db;
    root = first_root;
    EXPECT(BITCASK_OK, close_all());
    bc_sim_close(&sim);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"what a sync did not cover is a torn tail and no rot", what_a_sync_did_not_cover_is_a_torn_tail_and_no_rot},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("marks", tests);
}
