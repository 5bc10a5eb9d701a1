/* test_stops.c - functions of the caller's that are called once for each thing, or now and then: where one says stop it
 * is not called again, and what was under way ends, with its status, with nothing changed and nothing left open.
 *
 * Each stops at the first call, at the second, and so on, until there is none that it could stop at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/dump.h"
#include "db/maintain.h"
#include "db/metrics.h"
#include "findings.h"
#include "io_sim.h"
#include "small_store.h"

/* Counts its calls, and says stop in one of them. */
struct stopper {
    unsigned calls, at;
};

static bool go_on(void *context)
{
    struct stopper *stopper = context;
    return ++stopper->calls != stopper->at;
}

static bool visit_metric(void *context, const bitcask_metric *metric)
{
    CU_ASSERT(metric->name != NULL && metric->help != NULL);
    return go_on(context);
}

static bool visit_record(void *context, const bitcask_dump_record *record)
{
    CU_ASSERT(record->file[0] != '\0' && record->flags != NULL);
    return go_on(context);
}

static bool visit_segment(void *context, const bitcask_segment_info *segment)
{
    CU_ASSERT(segment->bytes >= segment->live_bytes);
    return go_on(context);
}

static bool visit_finding(void *context, const bitcask_finding *finding)
{
    CU_ASSERT(finding->text[0] != '\0');
    return go_on(context);
}

static bool visit_progress(void *context, const bitcask_progress *progress)
{
    CU_ASSERT(progress->path != NULL);
    return go_on(context);
}

static struct bc_sim *whole, *sim;
static bitcask *db;
static bitcask_partition *root;

static void open_store(bool read_only)
{
    EXPECT(BITCASK_OK, small_store_open(bc_sim_io(sim), read_only, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static void close_store(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
}

/* Calls what is to be stopped at every one of its calls; the number that it has when nobody stops it. At the last one
 * it may be too late: then all was done. */
static unsigned stop_everywhere(bitcask_status (*call)(struct stopper *stopper), bitcask_status stopped)
{
    struct stopper stopper = {0};

    if (stopped == BITCASK_OK) EXPECT(BITCASK_OK, call(&stopper));
    for (unsigned at = 1; at <= 1000; at++) {
        struct stopper last = {.at = at};
        bitcask_status status = call(&last);
        if (status == BITCASK_OK && stopped != BITCASK_OK && last.calls <= at) return at;
        EXPECT(stopped, status);
        CU_ASSERT_EQUAL(last.calls, at);
        if (at == stopper.calls) return at;
    }
    CU_FAIL("there is no end to its calls");
    return 0;
}

static bitcask_status metrics(struct stopper *stopper)
{
    return bitcask_metrics(root, BITCASK_BELOW | BITCASK_UNOPENED, visit_metric, stopper);
}

static bitcask_status metrics_by_partition(struct stopper *stopper)
{
    return bitcask_metrics(root, BITCASK_BELOW | BITCASK_UNOPENED | BITCASK_BY_PARTITION, visit_metric, stopper);
}

static bitcask_status dump(struct stopper *stopper)
{
    return bitcask_dump(root, visit_record, stopper);
}

static bitcask_status dump_hints(struct stopper *stopper)
{
    return bitcask_dump_hints(root, visit_record, stopper);
}

static bitcask_status dump_checkpoint(struct stopper *stopper)
{
    return bitcask_dump_checkpoint(root, visit_record, stopper);
}

static bitcask_status segments(struct stopper *stopper)
{
    return bitcask_segments(root, visit_segment, stopper);
}

static char path[128]; /* of a file of the root */

static bitcask_status dump_file(struct stopper *stopper)
{
    bool none = false;
    bitcask_status status = bc_dump_index_file(bc_sim_io(sim), path, visit_record, stopper, &none);
    return none ? bc_dump_file(bc_sim_io(sim), path, visit_record, stopper) : status;
}

static void looks_stop_where_they_are_told_to(void)
{
    char files[SMALL_FILES_MAX][128];

    sim = bc_sim_power_cut(whole, BC_SIM_CUT_ALL, 1);
    open_store(true);
    unsigned all = stop_everywhere(metrics, BITCASK_OK);
    CU_ASSERT_EQUAL(stop_everywhere(metrics_by_partition, BITCASK_OK), all);
    (void)stop_everywhere(dump, BITCASK_OK);
    (void)stop_everywhere(dump_hints, BITCASK_OK);
    (void)stop_everywhere(dump_checkpoint, BITCASK_OK);
    CU_ASSERT_EQUAL(stop_everywhere(segments, BITCASK_OK), 3);
    size_t count = small_store_files(bc_sim_io(sim), files);
    for (size_t i = 0; i < count; i++) {
        if (!strstr(files[i], "/0000000000000000/")) continue;
        snprintf(path, sizeof path, "%s", files[i]);
        (void)stop_everywhere(dump_file, BITCASK_OK);
    }
    close_store();
    bc_sim_close(&sim);
}

static bitcask_status verify_progress(struct stopper *stopper)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .progress = visit_progress, .context = stopper};
    return bitcask_verify(root, &options, NULL);
}

static bitcask_status merge_progress(struct stopper *stopper)
{
    const bitcask_merge_options options = {BITCASK_BELOW | BITCASK_MERGE_FULL, visit_progress, stopper};
    return bitcask_merge(root, &options, NULL);
}

static bitcask_status repair_progress(struct stopper *stopper)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .progress = visit_progress, .context = stopper};
    bitcask_verify_result result = {0};
    return bc_db_repair(bc_sim_io(sim), SMALL_STORE, "", &options, &result);
}

static void work_stops_where_it_is_told_to(void)
{
    sim = bc_sim_power_cut(whole, BC_SIM_CUT_ALL, 1);
    open_store(false);
    (void)stop_everywhere(verify_progress, BITCASK_CANCELLED);
    (void)stop_everywhere(merge_progress, BITCASK_CANCELLED);
    close_store();
    (void)stop_everywhere(repair_progress, BITCASK_CANCELLED);
    open_store(true);
    CU_ASSERT_EQUAL(bitcask_verify(root, NULL, NULL), BITCASK_OK);
    close_store();
    bc_sim_close(&sim);
}

static bitcask_status verify_found(struct stopper *stopper)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = visit_finding, .context = stopper};
    return bitcask_verify(root, &options, NULL);
}

static void spoil(const char *file, const char *bytes)
{
    char name[128];
    size_t size;

    snprintf(name, sizeof name, SMALL_STORE "/partitions/00/0000000000000000/%s", file);
    uint8_t *data = small_store_read(bc_sim_io(sim), name, &size);
    uint8_t *at = memmem(data, size, bytes, strlen(bytes));
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at[1] ^= 1;
    small_store_write(bc_sim_io(sim), name, data, size);
    free(data);
}

/* With findings of all sorts, in data, in hints and in names. */
static void verify_stops_at_any_finding(void)
{
    sim = bc_sim_power_cut(whole, BC_SIM_CUT_ALL, 1);
    spoil("000001.data", "a2.0 a2.0");
    spoil("active.data", "last.0 last.0");
    spoil("000002.hint", "b0");
    small_store_write(bc_sim_io(sim), SMALL_STORE "/partitions/00/0000000000000000/stranger", "x", 1);
    open_store(false);
    bitcask_verify_result result = {0};
    EXPECT(BITCASK_OK, bitcask_verify(root, &(bitcask_verify_options){.flags = BITCASK_BELOW}, &result));
    CU_ASSERT(result.damage >= 2 && result.hints >= 1 && result.notes >= 1);
    uint64_t all = result.damage + result.hints + result.notes;
    for (unsigned at = 1; at <= all; at++) {
        struct stopper stopper = {.at = at};
        EXPECT(BITCASK_CANCELLED, verify_found(&stopper));
        CU_ASSERT_EQUAL(stopper.calls, at);
    }
    close_store();
    bc_sim_close(&sim);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"looks stop where they are told to", looks_stop_where_they_are_told_to},
        {"work stops where it is told to", work_stops_where_it_is_told_to},
        {"verify stops at any finding", verify_stops_at_any_finding},
        CU_TEST_INFO_NULL,
    };

    whole = bc_sim_open(1);
    small_store_make(bc_sim_io(whole));
    int result = fixture_run("stops", tests);
    bc_sim_close(&whole);
    return result;
}
