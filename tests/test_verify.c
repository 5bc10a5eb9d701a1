/* test_verify.c - what verify finds, and that it finds nothing where nothing is wrong, beside a writer too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "damaged_store.h"
#include "findings.h"
#include "partition/load.h"

static struct findings told;

/* ---- nothing wrong ---- */

static void clean_stores_are_clean(void)
{
    const char *path = fixture_path("clean"), *killed = fixture_path("clean-killed");
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    EXPECT(BITCASK_OK, findings_verify(root, &told)); /* nothing was ever put there */
    CU_ASSERT(findings_clean(&told) && told.result.segments == 0 && told.result.partitions == 1);
    EXPECT(BITCASK_OK, put_text(root, "one", "1", 0));
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_clean(&told) && told.result.segments == 1 && told.result.records == 1);
    fill(root);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_clean(&told) && told.result.segments == 3 && told.result.records > 18);
    CU_ASSERT_EQUAL(told.paced, told.result.bytes - told.result.segments * 62);
    fixture_copy(path, killed);
    close_damaged(&db, &root);
    for (int i = 0; i < 4; i++) {
        const char *store = i % 2 ? killed : path;
        EXPECT(BITCASK_OK, findings_verify_files(store, 0, &told));
        CU_ASSERT(findings_clean(&told) && told.result.segments == 3);
        db = open_damaged(store, i < 2);
        root = root_of(db);
        EXPECT(BITCASK_OK, findings_verify(root, &told));
        CU_ASSERT(findings_clean(&told) && told.result.segments == 3);
        if (i >= 2) EXPECT(BITCASK_OK, put_text(root, "one", "more", BITCASK_DURABLE));
        EXPECT(BITCASK_OK, findings_verify(root, &told));
        CU_ASSERT(findings_clean(&told));
        close_damaged(&db, &root);
    }
}

static void good_hints_are_not_told(void)
{
    const char *path = make_store("hinted");
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(findings_clean(&told) && told.count == 0);
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_clean(&told) && told.count == 0);
    close_damaged(&db, &root);
}

/* ---- damage, one kind after the other ---- */

static void rot_below_an_open_store_is_told_with_its_keys(void)
{
    const char *path = make_store("rot"), *sealed, *active;
    uint64_t k3, k3_size, k5, k5_size, last, last_size;
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    CU_ASSERT_STRING_EQUAL(get_text(root, "k3"), "value of 3, abcdef."); /* opened while it is whole */
    sealed = file_of(path, "000002.data");
    active = file_of(path, "active.data");
    find_record(sealed, "k3", &k3, &k3_size);
    find_record(sealed, "k5", &k5, &k5_size);
    find_record(active, "last", &last, &last_size);
    flip(sealed, k3 + 5);
    flip(sealed, k5 + k5_size - 1);
    flip(active, last + 30);
    flip(active, 3);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT_EQUAL(told.result.damage, 4);
    CU_ASSERT_EQUAL(told.result.hints, 0);
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k3", k3, k3_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k5", k5, k5_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "active.data", "last", last, last_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "active.data", "", 0, 62));
    struct bc_partition *instance;
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    unsigned damaged = 0;
    for (uint32_t i = 0; i < instance->slot_count; i++) damaged += instance->slots[i].damaged;
    bc_node_unpin(root);
    CU_ASSERT_EQUAL(damaged, 2); /* so that no merge touches them */
    close_damaged(&db, &root);
}

static void rot_before_the_open_is_told_with_what_the_hint_knows(void)
{
    const char *path = make_store("rot2"), *sealed = file_of(path, "000002.data");
    uint64_t k3, k3_size, k4, k4_size, gone, gone_size;
    find_record(sealed, "k3", &k3, &k3_size);
    find_record(sealed, "k4", &k4, &k4_size);
    find_record(sealed, "gone", &gone, &gone_size);
    flip(sealed, k3 + 4);
    flip(sealed, k4 + 4);
    flip(sealed, gone + 4);
    for (int with_hint = 1; with_hint >= 0; with_hint--) {
        if (!with_hint) CU_ASSERT_EQUAL(unlink(file_of(path, "000002.hint")), 0);
        for (int open = 0; open < 2; open++) {
            if (!open) {
                EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
            } else {
                bitcask *db = open_damaged(path, true);
                bitcask_partition *root = root_of(db);
                EXPECT(BITCASK_OK, findings_verify(root, &told));
                close_damaged(&db, &root);
            }
            CU_ASSERT_EQUAL(told.result.hints, 0);
            if (with_hint) {
                CU_ASSERT_EQUAL(told.result.damage, 3);
                CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k3", k3, k3_size));
                CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k4", k4, k4_size));
                CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "gone", gone, gone_size));
            } else {
                CU_ASSERT_EQUAL(told.result.damage, 2);
                CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "", k3, k3_size + k4_size));
            }
        }
    }
}

/* A closed store may have a hint of its active segment too. */
static void hint_of_the_active_segment_knows_its_keys(void)
{
    const char *path = make_store("activehint"), *active = file_of(path, "active.data");
    uint64_t b1, b1_size;
    size_t size;
    uint8_t *bytes = fixture_read(active, &size);
    fixture_write(file_of(path, "000003.data"), bytes, size);
    free(bytes);
    findings_make_hint(path, 0, 3);
    CU_ASSERT_EQUAL(unlink(file_of(path, "000003.data")), 0);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT_EQUAL(told.count, 0);
    find_record(active, "b1", &b1, &b1_size);
    flip(active, b1 + 4);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(told.count == 1 && findings_told(&told, BITCASK_FOUND_DAMAGE, "active.data", "b1", b1, b1_size));
    bitcask *db = open_damaged(path, true);
    bitcask_partition *root = root_of(db);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(told.count == 1 && findings_told(&told, BITCASK_FOUND_DAMAGE, "active.data", "b1", b1, b1_size));
    close_damaged(&db, &root);
}

static void file_cut_short_below_an_open_store_is_told(void)
{
    const char *path = make_store("short");
    uint64_t last, last_size, k7, k7_size, k8, k8_size, gone, gone_size;
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    CU_ASSERT_STRING_EQUAL(get_text(root, "last"), "in the active one");
    find_record(file_of(path, "active.data"), "last", &last, &last_size);
    find_record(file_of(path, "000002.data"), "k7", &k7, &k7_size);
    find_record(file_of(path, "000002.data"), "k8", &k8, &k8_size);
    find_record(file_of(path, "000002.data"), "gone", &gone, &gone_size);
    uint64_t size = fixture_size(file_of(path, "active.data"));
    CU_ASSERT_EQUAL(truncate(file_of(path, "active.data"), (off_t)last), 0);
    CU_ASSERT_EQUAL(truncate(file_of(path, "000002.data"), (off_t)k7 + 30), 0);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "active.data", "last", last, last_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "active.data", "", last, size - last));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k7", k7, k7_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k8", k8, k8_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "gone", gone, gone_size));
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
    /* Now on its own: only the hint knows that the sealed file was longer, by what was cut off at a record's end. */
    CU_ASSERT_EQUAL(truncate(file_of(path, "000002.data"), (off_t)k7), 0);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k8", k8, k8_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "gone", gone, gone_size));
    CU_ASSERT_EQUAL(told.result.damage, 3);
    CU_ASSERT_EQUAL(told.result.hints, 0);
}

static void file_that_goes_or_comes_is_told(void)
{
    const char *path = make_store("names");
    size_t size;
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    CU_ASSERT_STRING_EQUAL(get_text(root, "last"), "in the active one");
    uint8_t *bytes = fixture_read(file_of(path, "000002.data"), &size);
    CU_ASSERT_EQUAL(unlink(file_of(path, "000001.data")), 0);
    fixture_write(file_of(path, "000007.data"), bytes, size);
    fixture_write(file_of(path, "000009.hint"), bytes, size);
    fixture_write(file_of(path, "notes.txt"), bytes, size);
    fixture_write(file_of(path, "000001.data.damaged.2"), bytes, size);
    fixture_write(file_of(path, "new.tmp"), bytes, size);
    free(bytes);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT_EQUAL(told.result.damage, 2);
    CU_ASSERT_EQUAL(told.result.hints, 0);
    CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_DAMAGE, "000001.data", ""));
    CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_DAMAGE, "000007.data", ""));
    CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_NOTE, "000009.hint", ""));
    CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_NOTE, "notes.txt", ""));
    const struct told *aside = findings_of(&told, BITCASK_FOUND_NOTE, "000001.data.damaged.2", "");
    CU_ASSERT(aside && strstr(aside->text, "set aside"));
    CU_ASSERT_PTR_NULL(findings_of(&told, BITCASK_FOUND_NOTE, "new.tmp", NULL));
    close_damaged(&db, &root);
}

/* ---- files made by hand ---- */

static void records_that_contradict_the_rules_are_told(void)
{
    static const uint8_t bad_attrs[] = {1, 2, 5, 0}, newer[] = {0xff, 0};
    const char *path = make_empty_store("rules");
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    add_record(segment, "a", "v", 10, 0, NULL, 0);
    uint64_t hostile = add_record(segment, "hostile", "v", BC_VERSION_MAX + 1, 0, NULL, 0);
    uint64_t child = add_record(segment, "child", "short", 11, BC_RECORD_PARTITION, NULL, 0);
    uint64_t attrs = add_record(segment, "attrs", "v", 12, 0, bad_attrs, sizeof bad_attrs);
    uint64_t future = add_record(segment, "newer", "v", 13, 0, newer, sizeof newer);
    uint64_t unordered = add_record(segment, "a2", "v", 5, 0, NULL, 0);
    add_record(segment, "a1", "v", 20, 0, NULL, 0);
    uint64_t batch = add_record(segment, "batch", "v", 21, BC_RECORD_MORE, NULL, 0);
    uint64_t end = segment->end;
    bc_segment_unref(&segment);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000001.data", "hostile", hostile, child - hostile));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000001.data", "child", child, attrs - child));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000001.data", "attrs", attrs, future - attrs));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_NOTE, "000001.data", "newer", future, unordered - future));
    const struct told *found = findings_of(&told, BITCASK_FOUND_DAMAGE, "000001.data", "");
    CU_ASSERT(found && found->offset == batch && found->size == end - batch && strstr(found->text, "batch"));
    found = found + 1;
    CU_ASSERT(found->offset == unordered && strstr(found->text, "version"));
    CU_ASSERT_EQUAL(told.result.damage, 5);
}

static void segment_merged_from_itself_is_in_the_order_of_its_keys(void)
{
    const char *path = make_empty_store("keyorder");
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    add_record(segment, "a", "v", 30, 0, NULL, 0);
    add_record(segment, "ab", "v", 10, 0, NULL, 0);
    add_record(segment, "b", "v", 20, 0, NULL, 0);
    bc_segment_unref(&segment);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(findings_clean(&told));
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_clean(&told));
    close_damaged(&db, &root);
}

static void file_of_another_place_is_told(void)
{
    const char *path = make_empty_store("places");
    size_t size;
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    add_record(segment, "a", "v", 30, 0, NULL, 0);
    bc_segment_unref(&segment);
    uint8_t *bytes = fixture_read(file_of(path, "000001.data"), &size);
    fixture_write(file_of(path, "000002.data"), bytes, size);
    fixture_write(file_of(path, "active.data"), bytes, size);
    free(bytes);
    bytes = fixture_read(fixture_partition_file(path, 1, "active.data"), &size);
    fixture_write(file_of(path, "000003.data"), bytes, size);
    free(bytes);
    segment = craft(path, "000004.data", 4, 9);
    bc_segment_unref(&segment);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT_EQUAL(told.result.damage, 4);
    CU_ASSERT(strstr(findings_of(&told, BITCASK_FOUND_DAMAGE, "000002.data", "")->text, "segment 1") != NULL);
    CU_ASSERT(strstr(findings_of(&told, BITCASK_FOUND_DAMAGE, "000003.data", "")->text, "belongs to") != NULL);
    CU_ASSERT(strstr(findings_of(&told, BITCASK_FOUND_DAMAGE, "000004.data", "")->text, "from 9 on") != NULL);
    CU_ASSERT(strstr(findings_of(&told, BITCASK_FOUND_DAMAGE, "active.data", "")->text, "sealed") != NULL);
}

static void superseded_file_is_noted_and_not_judged(void)
{
    const char *path = make_empty_store("leftover");
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    uint64_t a = add_record(segment, "a", "old", 10, 0, NULL, 0);
    bc_segment_unref(&segment);
    segment = craft(path, "000002.data", 2, 1);
    add_record(segment, "a", "old", 10, 0, NULL, 0);
    add_record(segment, "b", "new", 9, 0, NULL, 0);
    bc_segment_unref(&segment);
    flip(file_of(path, "000001.data"), a + 3);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    const struct told *found = findings_of(&told, BITCASK_FOUND_NOTE, "000001.data", "");
    CU_ASSERT(found && strstr(found->text, "superseded"));
    CU_ASSERT(told.result.damage == 0 && told.result.segments == 1);
}

/* ---- the index and its accounts ---- */

static void index_that_disagrees_with_the_data_is_told(void)
{
    const char *path = make_store("index");
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    struct bc_partition *instance;
    struct bc_entry k1, k2, k3, k4, entry;
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    struct bc_index *index = instance->index;
    EXPECT(BITCASK_OK, bc_index_get(index, "k1", 2, &k1));
    EXPECT(BITCASK_OK, bc_index_get(index, "k2", 2, &k2));
    EXPECT(BITCASK_OK, bc_index_get(index, "k3", 2, &k3));
    EXPECT(BITCASK_OK, bc_index_get(index, "k4", 2, &k4));
    /* One that is missing, one that leads to another key's record, one that says something else, one that was never
     * moved on from an older record, one that is deleted. */
    EXPECT(BITCASK_OK, bc_index_remove(index, "k2", 2, NULL));
    EXPECT(BITCASK_OK, bc_index_put(index, "made up", 7, &k3, NULL, NULL));
    entry = k4;
    entry.version++;
    EXPECT(BITCASK_OK, bc_index_put(index, "k4", 2, &entry, NULL, NULL));
    uint64_t old, old_size, gone, gone_size;
    find_record(file_of(path, "000001.data"), "k1", &old, &old_size);
    entry = k1;
    for (entry.slot = 0; instance->slots[entry.slot].segment->segment_id != 1;) entry.slot++;
    entry.offset = (uint32_t)old;
    entry.record_size = (uint32_t)old_size;
    EXPECT(BITCASK_OK, bc_index_put(index, "k1", 2, &entry, NULL, NULL));
    find_record(file_of(path, "000002.data"), "gone", &gone, &gone_size);
    entry = k1;
    entry.offset = (uint32_t)gone;
    EXPECT(BITCASK_OK, bc_index_put(index, "gone", 4, &entry, NULL, NULL));
    bc_node_unpin(root);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k2", k2.offset, k2.record_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "made up", k3.offset, k3.record_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k4", k4.offset, k4.record_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "k1", k1.offset, k1.record_size));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "000002.data", "gone", gone, gone_size));
    /* The older record is not of that version either; and the accounts of both segments are wrong now. */
    CU_ASSERT_EQUAL(told.result.damage, 8);
    CU_ASSERT_EQUAL(told.result.hints, 0);
    close_damaged(&db, &root);
}

static void accounts_that_are_wrong_are_told(void)
{
    const char *path = make_store("accounts");
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    struct bc_partition *instance;
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    instance->slots[0].live_bytes++;
    instance->slots[1].live_keys--;
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT_EQUAL(told.result.damage, 2);
    instance->slots[0].live_bytes--;
    instance->slots[1].live_keys++;
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_clean(&told));
    bc_node_unpin(root);
    close_damaged(&db, &root);
}

/* While a merge is at work its output is there beside its inputs; what crosses comes of no merge. */
static void crossing_coverage_of_an_open_store_is_told(void)
{
    const char *path = make_store("coverage");
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    struct bc_partition *instance;
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    for (uint32_t i = 0; i < instance->slot_count; i++)
        if (instance->slots[i].segment->segment_id == 2) instance->slots[i].segment->lowest_id = 1;
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(findings_clean(&told));
    instance->active->lowest_id = 2;
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    const struct told *found = findings_of(&told, BITCASK_FOUND_DAMAGE, "active.data", "");
    CU_ASSERT(found && strstr(found->text, "000002.data") && told.result.damage == 1);
    instance->active->lowest_id = 3;
    bc_node_unpin(root);
    close_damaged(&db, &root);
}

/* ---- being stopped ---- */

static void verify_stops_when_told_to(void)
{
    const char *path = make_store("stopped");
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT(told.paced > 60000);
    /* At each call of pace, and at each finding. */
    for (size_t i = 1; i <= 3; i++) {
        told.pauses_left = i;
        EXPECT(BITCASK_CANCELLED, findings_verify(root, &told));
    }
    told.pauses_left = 0;
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    for (uint64_t at = 70; at < 300; at += 25) flip(file_of(path, "000001.data"), at);
    for (size_t i = 1; i <= 2; i++) {
        told.stop_after = i;
        EXPECT(BITCASK_CANCELLED, findings_verify(root, &told));
        CU_ASSERT_EQUAL(told.count, i);
        EXPECT(BITCASK_CANCELLED, findings_verify_files(path, 0, &told));
        CU_ASSERT_EQUAL(told.count, i);
    }
    told.stop_after = 0;
    close_damaged(&db, &root);
}

static void key_that_is_no_name_is_damage_and_never_shown(void)
{
    static const char *const keys[] = {"good", "a/b", "..", ".bitcask", "."};
    const char *path = make_empty_store("hostile names");
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    bitcask_query *query = NULL;
    bitcask_entry entry;
    for (size_t i = 0; i < 5; i++) add_record(segment, keys[i], "v", 10 + i, 0, NULL, 0);
    bc_segment_unref(&segment);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    for (size_t i = 1; i < 5; i++) CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_DAMAGE, NULL, keys[i]));
    CU_ASSERT_EQUAL(told.result.damage, 4);
    for (int repaired = 0; repaired < 2; repaired++) {
        bitcask *db = open_damaged(path, true);
        bitcask_partition *root = root_of(db);
        EXPECT(BITCASK_OK, bitcask_query_open(root, NULL, &query));
        EXPECT(BITCASK_OK, bitcask_query_next(query, &entry));
        CU_ASSERT(entry.key_size == 4 && memcmp(entry.key, "good", 4) == 0);
        EXPECT(BITCASK_NOT_FOUND, bitcask_query_next(query, &entry));
        bitcask_query_close(&query);
        close_damaged(&db, &root);
        EXPECT(BITCASK_OK, findings_repair(bc_io_posix(), path, &told));
    }
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT_EQUAL(told.result.damage, 0);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"clean stores are clean", clean_stores_are_clean},
        {"good hints are not told", good_hints_are_not_told},
        {"rot below an open store is told with its keys", rot_below_an_open_store_is_told_with_its_keys},
        {"rot before the open is told with what the hint knows", rot_before_the_open_is_told_with_what_the_hint_knows},
        {"hint of the active segment knows its keys", hint_of_the_active_segment_knows_its_keys},
        {"file cut short below an open store is told", file_cut_short_below_an_open_store_is_told},
        {"file that goes or comes is told", file_that_goes_or_comes_is_told},
        {"records that contradict the rules are told", records_that_contradict_the_rules_are_told},
        {"segment merged from itself is in the order of its keys",
         segment_merged_from_itself_is_in_the_order_of_its_keys},
        {"file of another place is told", file_of_another_place_is_told},
        {"superseded file is noted and not judged", superseded_file_is_noted_and_not_judged},
        {"index that disagrees with the data is told", index_that_disagrees_with_the_data_is_told},
        {"accounts that are wrong are told", accounts_that_are_wrong_are_told},
        {"crossing coverage of an open store is told", crossing_coverage_of_an_open_store_is_told},
        {"verify stops when told to", verify_stops_when_told_to},
        {"key that is no name is damage and never shown", key_that_is_no_name_is_damage_and_never_shown},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("verify", tests);
}
