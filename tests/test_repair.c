/* test_repair.c - damaged stores repaired: what is good is there afterwards, what was damaged is kept, whatever happens
 * in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "damaged_store.h"
#include "db/maintain.h"
#include "findings.h"

static struct findings told;

static bitcask_status repair(const char *path)
{
    return findings_repair(bc_io_posix(), path, &told);
}

/* The root's keys as fill() left them, but for those in `lost`: there as an older value, or not at all. */
static void check_keys(bitcask_partition *root, const char *lost)
{
    char key[8], value[40];
    for (int i = 0; i < KEYS - 1; i++) {
        key_and_value(i, key, value);
        const char *got = get_text(root, key);
        bool is_lost = lost && strcmp(lost, key) == 0;
        if (strcmp(got, value) == 0) continue;
        CU_ASSERT(is_lost && (strcmp(got, "-") == 0 || (i == 1 && strcmp(got, "an older one") == 0)));
    }
    /* A deletion that was lost brings its key back. */
    CU_ASSERT(strcmp(get_text(root, "gone"), "-") == 0 || (lost && strcmp(lost, "gone") == 0));
    CU_ASSERT_STRING_EQUAL(get_text(root, "attrs"), "v");
    CU_ASSERT_STRING_EQUAL(get_text(root, "b1"), "1");
    CU_ASSERT_STRING_EQUAL(get_text(root, "last"), "in the active one");
}

/* The store opens, is sound, and holds what it should. */
static void check_store(const char *path, const char *lost)
{
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db), *sub = NULL;
    bitcask_stats stats;
    check_keys(root, lost);
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    if (told.result.damage + told.result.hints > 0) findings_print(&told);
    CU_ASSERT(told.result.damage == 0 && told.result.hints == 0);
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT_EQUAL(stats.damaged_regions, 0);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    EXPECT(BITCASK_OK, put_text(root, "after", "works", BITCASK_DURABLE));
    bitcask_partition_close(&sub);
    close_damaged(&db, &root);
    db = open_damaged(path, true);
    root = root_of(db);
    check_keys(root, lost);
    CU_ASSERT_STRING_EQUAL(get_text(root, "after"), "works");
    close_damaged(&db, &root);
}

static bool same_bytes(const char *file, const uint8_t *bytes, size_t size)
{
    size_t got_size;
    if (fixture_size(file) == UINT64_MAX) return false;
    uint8_t *got = fixture_read(file, &got_size);
    bool same = got_size == size && memcmp(got, bytes, size) == 0;
    free(got);
    return same;
}

/* Which key's last record covers a byte of 000002.data; NULL for one that no key is lost with. */
static const char *key_at(const char *file, uint64_t at)
{
    static const char *const keys[] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "gone"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint64_t offset, size;
        find_record(file, keys[i], &offset, &size);
        if (at >= offset && at - offset < size) return keys[i];
    }
    return NULL;
}

static void sound_store_is_left_alone(void)
{
    const char *path = make_store("sound");
    size_t size;
    uint64_t before = fixture_digest(path);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT(findings_clean(&told) && told.result.segments_repaired == 0);
    CU_ASSERT(told.result.partitions == 3 && told.result.segments == 4);
    uint8_t *lock = fixture_read(fixture_path("sound/LOCK"), &size); /* names who was there last */
    CU_ASSERT(size > 0);
    free(lock);
    CU_ASSERT_EQUAL(fixture_digest(path), before);
    /* A torn tail is no damage: it is the next open's to cut off. */
    uint8_t *active = fixture_read(file_of(path, "active.data"), &size);
    active[size - 10] ^= 1;
    fixture_write(file_of(path, "active.data"), active, size);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT(findings_clean(&told) && told.result.segments_repaired == 0);
    CU_ASSERT(same_bytes(file_of(path, "active.data"), active, size));
    free(active);
    check_store(path, NULL);
}

static void every_changed_byte_costs_its_own_record_at_most(void)
{
    const char *made = make_store("made"), *path = fixture_path("copy");
    const char *whole = file_of(made, "000002.data"), *sealed = file_of(path, "000002.data");
    size_t size;
    uint8_t *bytes = fixture_read(whole, &size);
    for (int with_hint = 0; with_hint < 2; with_hint++) {
        for (size_t at = with_hint ? 0 : 1; at < size; at += at < 70 ? 1 : 3) {
            const char *lost = at < 62 ? NULL : key_at(whole, at);
            fixture_remove(path);
            fixture_copy(made, path);
            if (!with_hint) CU_ASSERT_EQUAL(unlink(file_of(path, "000002.hint")), 0);
            bytes[at] ^= (uint8_t)(1u << (at % 8));
            fixture_write(sealed, bytes, size);
            EXPECT(BITCASK_OK, repair(path));
            CU_ASSERT(told.result.damage > 0 && told.result.segments_repaired == 1);
            if (lost && with_hint)
                CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_DAMAGE, "000002.data", lost));
            CU_ASSERT(same_bytes(file_of(path, "000002.data.damaged"), bytes, size));
            CU_ASSERT_EQUAL(fixture_size(file_of(path, "000002.hint")), UINT64_MAX);
            CU_ASSERT_EQUAL(fixture_size(file_of(path, "new.tmp")), UINT64_MAX);
            bytes[at] ^= (uint8_t)(1u << (at % 8));
            CU_ASSERT_NOT_EQUAL(fixture_size(sealed), UINT64_MAX);
            check_store(path, lost);
            EXPECT(BITCASK_OK, repair(path));
            CU_ASSERT(told.result.damage == 0 && told.result.segments_repaired == 0);
        }
    }
    free(bytes);
}

/* One byte of it the header's checksum gives back; of two it does not say which. */
static void segment_whose_generation_is_lost_is_set_aside(void)
{
    const char *path = make_store("lost"), *sealed = file_of(path, "000002.data");
    CU_ASSERT_EQUAL(unlink(file_of(path, "000002.hint")), 0);
    flip(sealed, 25);
    flip(sealed, 30);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT(told.result.damage > 0 && told.result.segments_repaired == 1);
    CU_ASSERT_EQUAL(fixture_size(sealed), UINT64_MAX);
    CU_ASSERT_NOT_EQUAL(fixture_size(file_of(path, "000002.data.damaged")), UINT64_MAX);
}

static void every_truncation_keeps_what_is_whole(void)
{
    const char *made = make_store("made2"), *path = fixture_path("copy2");
    const char *whole = file_of(made, "000002.data"), *sealed = file_of(path, "000002.data");
    size_t size;
    uint8_t *bytes = fixture_read(whole, &size);
    for (size_t cut = 0; cut < size; cut += 1 + cut / 40) {
        char key[8], value[40];
        fixture_remove(path);
        fixture_copy(made, path);
        fixture_write(sealed, bytes, cut);
        EXPECT(BITCASK_OK, repair(path));
        CU_ASSERT(told.result.segments_repaired == 1 && same_bytes(file_of(path, "000002.data.damaged"), bytes, cut));
        bitcask *db = open_damaged(path, false);
        bitcask_partition *root = root_of(db);
        for (int i = 0; i < KEYS; i++) {
            uint64_t offset, record_size;
            key_and_value(i, key, value);
            find_record(whole, key, &offset, &record_size);
            if (i < KEYS - 1 && offset + record_size <= cut) CU_ASSERT_STRING_EQUAL(get_text(root, key), value);
            if (i < KEYS - 1 && offset + record_size > cut)
                CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_DAMAGE, NULL, key));
        }
        EXPECT(BITCASK_OK, findings_verify(root, &told));
        CU_ASSERT(told.result.damage == 0);
        close_damaged(&db, &root);
    }
    free(bytes);
}

static void active_segment_is_repaired_where_it_was_durable(void)
{
    const char *path = make_store("active"), *active = file_of(path, "active.data");
    uint64_t b2, b2_size;
    size_t size;
    find_record(active, "b2", &b2, &b2_size);
    flip(active, b2 + b2_size - 1);
    uint8_t *damaged = fixture_read(active, &size);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT(findings_told(&told, BITCASK_FOUND_DAMAGE, "active.data", "b2", b2, b2_size));
    CU_ASSERT_EQUAL(told.result.segments_repaired, 1);
    CU_ASSERT(same_bytes(file_of(path, "active.data.damaged"), damaged, size));
    free(damaged);
    /* The copy says that it is durable: what goes bad in it later is damage again, and no torn tail. */
    uint64_t b1, b1_size;
    find_record(active, "b1", &b1, &b1_size);
    flip(active, b1 + 4);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT_EQUAL(told.result.damage, 1);
    flip(active, b1 + 4);
    check_store(path, NULL);
}

static void header_of_the_active_segment_is_made_anew(void)
{
    const char *path = make_store("header"), *active = file_of(path, "active.data");
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    flip(active, 17);
    bitcask_options_init(&options);
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    CU_ASSERT_STRING_EQUAL(get_text(root, "last"), "!the stored data are damaged");
    close_damaged(&db, &root);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT_EQUAL(told.result.segments_repaired, 1);
    check_store(path, NULL);
}

/* The second repair of a file finds the name taken that the first one gave. */
static void earlier_damage_is_kept_too(void)
{
    const char *path = make_store("twice"), *sealed = file_of(path, "000002.data");
    uint64_t offset, record_size;
    for (int round = 0; round < 3; round++) {
        char key[8], value[40], name[64];
        size_t size;
        key_and_value(round + 2, key, value);
        find_record(sealed, key, &offset, &record_size);
        flip(sealed, offset + record_size - 1);
        uint8_t *damaged = fixture_read(sealed, &size);
        EXPECT(BITCASK_OK, repair(path));
        CU_ASSERT_EQUAL(told.result.segments_repaired, 1);
        snprintf(name, sizeof name, round ? "000002.data.damaged.%d" : "000002.data.damaged", round);
        CU_ASSERT(same_bytes(file_of(path, name), damaged, size));
        free(damaged);
    }
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(told.result.damage == 0 && told.result.notes == 3 + 1); /* and one hint is missing */
}

static void large_value_is_copied_and_batch_is_let_go_of(void)
{
    const char *path = fixture_path("large");
    const size_t large = 3 * 1024 * 1024 + 17;
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_value *value = NULL;
    uint64_t bad, bad_size;
    uint8_t *bytes = malloc(large);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (size_t i = 0; i < large; i++) bytes[i] = (uint8_t)(i * 31 + i / 251);
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, put_text(root, "bad", "to be hit", 0));
    bitcask_batch *batch = NULL;
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "first", 5, "1", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "large", 5, bytes, large, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "third", 5, "3", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    close_damaged(&db, &root);
    const char *active = file_of(path, "active.data");
    find_record(active, "bad", &bad, &bad_size);
    flip(active, bad + bad_size - 1);
    find_record(active, "third", &bad, &bad_size);
    flip(active, bad + 1); /* the end of the batch */
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT_EQUAL(told.result.segments_repaired, 1);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT_EQUAL(told.result.damage, 0);
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_get(root, "large", 5, &value));
    CU_ASSERT(bitcask_value_size(value) == large && memcmp(bitcask_value_data(value), bytes, large) == 0);
    bitcask_value_unpin(&value);
    CU_ASSERT_STRING_EQUAL(get_text(root, "first"), "1");
    CU_ASSERT_STRING_EQUAL(get_text(root, "third"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "bad"), "-");
    close_damaged(&db, &root);
    free(bytes);
}

/* ---- what an open refuses ---- */

static void files_that_an_open_refuses_are_set_aside_or_mended(void)
{
    static const uint8_t bad_attrs[] = {1, 2, 5, 0};
    const char *path = make_empty_store("refused");
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    add_record(segment, "a", "1", 10, 0, NULL, 0);
    add_record(segment, "bad attrs", "2", 11, 0, bad_attrs, sizeof bad_attrs);
    add_record(segment, "no id", "3", 12, 4, NULL, 0); /* says that it is a partition */
    add_record(segment, "hostile", "4", UINT64_MAX, 0, NULL, 0);
    add_record(segment, "b", "5", 13, 2, NULL, 0); /* says that more of its batch follows */
    bc_segment_unref(&segment);
    size_t size;
    uint8_t *bytes = fixture_read(file_of(path, "000001.data"), &size);
    fixture_write(file_of(path, "000002.data"), bytes, size);
    fixture_write(file_of(path, "000003.data"), "rubbish", 7);
    fixture_write(file_of(path, "000004.data"), "", 0);
    fixture_write(file_of(path, "active.data"), "", 0);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT_EQUAL(told.result.segments_repaired, 5);
    CU_ASSERT(same_bytes(file_of(path, "000001.data.damaged"), bytes, size));
    CU_ASSERT(same_bytes(file_of(path, "000002.data.damaged"), bytes, size));
    CU_ASSERT_EQUAL(fixture_size(file_of(path, "active.data.damaged")), 0);
    free(bytes);
    fixture_write(file_of(path, "000003.data"), "other rubbish", 13);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT(same_bytes(file_of(path, "000003.data.damaged"), (const uint8_t *)"rubbish", 7));
    CU_ASSERT(same_bytes(file_of(path, "000003.data.damaged.1"), (const uint8_t *)"other rubbish", 13));
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "1");
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "5");
    CU_ASSERT_STRING_EQUAL(get_text(root, "bad attrs"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(root, "hostile"), "-");
    EXPECT(BITCASK_OK, put_text(root, "new", "6", 0));
    EXPECT(BITCASK_OK, findings_verify(root, &told));
    CU_ASSERT_EQUAL(told.result.damage, 0);
    close_damaged(&db, &root);
}

/* A whole record that makes no sense is no torn tail, wherever it stands: an open refuses it. */
static void senseless_record_of_the_active_segment_is_mended(void)
{
    static const uint8_t bad_attrs[] = {1, 2, 5, 0};
    const char *path = make_empty_store("senseless");
    struct bc_segment *segment = craft(path, "active.data", 1, 1);
    add_record(segment, "a", "1", 10, 0, NULL, 0);
    add_record(segment, "bad attrs", "2", 11, 0, bad_attrs, sizeof bad_attrs);
    add_record(segment, "b", "3", 12, 0, NULL, 0);
    bc_segment_unref(&segment);
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT(told.result.damage == 1 && told.result.segments_repaired == 1);
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db);
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "1");
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "3");
    close_damaged(&db, &root);
}

static void records_of_a_newer_version_are_left_alone(void)
{
    static const uint8_t newer[] = {0xff, 0};
    const char *path = make_empty_store("newer");
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    add_record(segment, "hostile", "4", UINT64_MAX, 0, NULL, 0);
    add_record(segment, "from the future", "5", 13, 0, newer, sizeof newer);
    bc_segment_unref(&segment);
    size_t size;
    uint8_t *bytes = fixture_read(file_of(path, "000001.data"), &size);
    EXPECT_DETAIL(BITCASK_NEWER_FORMAT, "newer version", repair(path));
    CU_ASSERT(same_bytes(file_of(path, "000001.data"), bytes, size));
    CU_ASSERT_EQUAL(fixture_size(file_of(path, "000001.data.damaged")), UINT64_MAX);
    free(bytes);
}

/* ---- many partitions ---- */

static bitcask_status repair_at(const char *path, const char *partition, unsigned flags)
{
    const bitcask_verify_options options = {.flags = flags, .found = findings_found, .context = &told};
    told.count = 0;
    return bc_db_repair(bc_io_posix(), path, partition, &options, &told.result);
}

/* A store whose root and its directories "sub" and "sub/below" each hold a key "k" and one that will be hit. */
static const char *make_tree(const char *name, uint64_t ids[2])
{
    const char *path = fixture_path("%s", name);
    bitcask *db = open_damaged(path, false);
    bitcask_partition *nodes[3] = {root_of(db), NULL, NULL};
    for (int i = 0; i < 3; i++) {
        EXPECT(BITCASK_OK, put_text(nodes[i], "hit", "bad value", 0));
        if (i < 2)
            EXPECT(BITCASK_OK,
                   bitcask_partition_create(nodes[i], i ? "below" : "sub", i ? 5 : 3, NULL, 0, &nodes[i + 1]));
        EXPECT(BITCASK_OK, put_text(nodes[i], "k", "good", 0));
        if (i < 2) ids[i] = bitcask_partition_id(nodes[i + 1]);
    }
    for (int i = 2; i >= 0; i--) bitcask_partition_close(&nodes[i]);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    return path;
}

static void hit(const char *path, uint64_t id)
{
    uint64_t offset, size;
    char file[600];
    snprintf(file, sizeof file, "%s", fixture_partition_file(path, id, "active.data"));
    find_record(file, "hit", &offset, &size);
    flip(file, offset + size - 1);
}

static void partitions_are_repaired_from_the_top_down(void)
{
    uint64_t ids[2];
    const char *path = make_tree("tree", ids);
    hit(path, ids[1]);
    flip(file_of(path, "active.data"), 20); /* the root's header: it does not open, so nothing below is reached */
    EXPECT(BITCASK_CORRUPT, repair_at(path, "sub/below", 0));
    EXPECT(BITCASK_OK, repair_at(path, "", 0));
    CU_ASSERT(told.result.segments_repaired == 1 && told.result.partitions == 1);
    EXPECT(BITCASK_OK, repair_at(path, "sub", 0));
    CU_ASSERT(told.result.segments_repaired == 0 && told.result.partitions == 1);
    EXPECT(BITCASK_NOT_FOUND, repair_at(path, "sub/none", 0));
    EXPECT(BITCASK_NOT_PARTITION, repair_at(path, "sub/k", 0));
    EXPECT(BITCASK_OK, repair_at(path, "/sub", BITCASK_BELOW));
    CU_ASSERT(told.result.segments_repaired == 1 && told.result.partitions == 2);
    CU_ASSERT(told.count == 1 && strcmp(told.list[0].path, "sub/below") == 0 && strcmp(told.list[0].key, "hit") == 0);
    EXPECT(BITCASK_OK, repair_at(path, "", BITCASK_BELOW));
    CU_ASSERT(told.result.damage == 0 && told.result.partitions == 4);
}

static void store_that_does_not_open_is_repaired(void)
{
    uint64_t ids[2];
    const char *path = make_tree("closed", ids);
    bitcask_options options;
    bitcask *db = NULL;
    char inodes[600];
    snprintf(inodes, sizeof inodes, "%s", fixture_partition_file(path, 1, "active.data"));
    flip(inodes, 30);
    flip(inodes, 25); /* its generation: nothing of partition 1 can be read */
    bitcask_options_init(&options);
    EXPECT(BITCASK_CORRUPT, bitcask_open(path, &options, &db));
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT_EQUAL(told.result.segments_repaired, 1);
    CU_ASSERT_STRING_EQUAL(told.list[0].path, "(inodes)");
    db = open_damaged(path, false);
    bitcask_partition *below = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub/below", &below));
    CU_ASSERT_STRING_EQUAL(get_text(below, "k"), "good");
    close_damaged(&db, &below);
}

/* A log that lost the name of a directory: what is below it must survive the sweep that follows an unclean end. */
static void directory_whose_name_was_lost_is_kept_on_disk(void)
{
    const char *path = fixture_path("unclean"), *killed = fixture_path("unclean-killed");
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db), *sub = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "k", "v", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, put_text(root, "k", "v", BITCASK_DURABLE));
    EXPECT(BITCASK_OK, put_text(root, "k2", "v", BITCASK_DURABLE));
    char file[600];
    snprintf(file, sizeof file, "%s", fixture_partition_file(killed, bitcask_partition_id(sub), "active.data"));
    fixture_copy(path, killed);
    bitcask_partition_close(&sub);
    close_damaged(&db, &root);
    uint64_t offset, size;
    find_record(file_of(killed, "active.data"), "sub", &offset, &size);
    flip(file_of(killed, "active.data"), offset + 4);
    EXPECT(BITCASK_OK, repair(killed));
    const struct told *note = findings_of(&told, BITCASK_FOUND_NOTE, "", NULL);
    CU_ASSERT(told.result.segments_repaired == 1 && note && strstr(note->text, "is in no directory"));
    db = open_damaged(killed, false);
    root = root_of(db);
    CU_ASSERT_STRING_EQUAL(get_text(root, "k"), "v");
    close_damaged(&db, &root);
    CU_ASSERT_NOT_EQUAL(fixture_size(file), UINT64_MAX);
}

/* What stands in an intent alone is reached, and still redone by the open that follows. */
static void renames_cut_short_are_left_to_the_next_open(void)
{
    const char *path = fixture_path("moved"), *killed = fixture_path("moved-killed");
    uint64_t ids[2];
    make_tree("moved", ids);
    bitcask *db = open_damaged(path, false);
    bitcask_partition *root = root_of(db), *to = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "to", 2, NULL, BITCASK_DURABLE, &to));
    EXPECT(BITCASK_OK, put_text(to, "first", "makes the file", BITCASK_DURABLE));
    char file[600];
    snprintf(file, sizeof file, "%s", fixture_partition_file(path, bitcask_partition_id(to), "active.data"));
    uint64_t before = fixture_size(file);
    snprintf(file, sizeof file, "%s", fixture_partition_file(killed, bitcask_partition_id(to), "active.data"));
    bitcask_move_item item = {
        .from = root, .from_key = "sub", .from_key_size = 3, .to = to, .to_key = "moved", .to_key_size = 5};
    EXPECT(BITCASK_OK, bitcask_move(db, &item, 1, NULL));
    fixture_copy(path, killed);
    bitcask_partition_close(&to);
    close_damaged(&db, &root);
    CU_ASSERT_EQUAL(truncate(file, (off_t)before), 0); /* the power went before its new name was on disk */
    hit(killed, ids[1]);
    EXPECT(BITCASK_OK, repair(killed));
    CU_ASSERT(told.count == 1 && strcmp(told.list[0].path, "to/moved/below") == 0);
    db = open_damaged(killed, false);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "to/moved/below", &to));
    CU_ASSERT_STRING_EQUAL(get_text(to, "k"), "good");
    CU_ASSERT_STRING_EQUAL(get_text(to, "hit"), "-");
    close_damaged(&db, &to);
}

/* ---- who else is there ---- */

static const char *guarded;

/* Tries to get in while a repair is at work. */
static bool try_to_open(void *context, const bitcask_finding *finding)
{
    bitcask_options options;
    bitcask *db = NULL;
    (void)context;
    (void)finding;
    bitcask_options_init(&options);
    EXPECT_DETAIL(BITCASK_IN_USE, "in use by process", bitcask_open(guarded, &options, &db));
    options.read_only = true;
    EXPECT_DETAIL(BITCASK_IN_USE, "being repaired", bitcask_open(guarded, &options, &db));
    EXPECT(BITCASK_IN_USE, repair_at(guarded, "", BITCASK_BELOW));
    return true;
}

static void repair_is_alone_with_the_store(void)
{
    uint64_t ids[2];
    const char *path = make_tree("alone", ids);
    bitcask_verify_result result;
    bitcask *db = open_damaged(path, false);
    EXPECT_DETAIL(BITCASK_IN_USE, "in use by process", repair(path));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    db = open_damaged(path, true);
    EXPECT_DETAIL(BITCASK_IN_USE, "is being read by another process", repair(path));
    EXPECT(BITCASK_OK, bitcask_close(&db));
    hit(path, ids[0]);
    guarded = path;
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = try_to_open};
    EXPECT(BITCASK_OK, bc_db_repair(bc_io_posix(), path, "", &options, &result));
    CU_ASSERT_EQUAL(result.segments_repaired, 1);
    db = open_damaged(path, false);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    EXPECT(BITCASK_NOT_FOUND, repair(fixture_path("no such store")));
    EXPECT(BITCASK_NOT_A_STORE, repair(fixture_dir()));
}

/* Stopped at each of its findings it has repaired nothing of that file, and says so. */
static void repair_stops_when_told_to(void)
{
    const char *path = make_store("stops");
    uint64_t offset, record_size;
    for (int i = 2; i < 5; i++) {
        char key[8], value[40];
        key_and_value(i, key, value);
        find_record(file_of(path, "000002.data"), key, &offset, &record_size);
        flip(file_of(path, "000002.data"), offset + record_size - 1);
    }
    for (told.stop_after = 1; told.stop_after <= 3; told.stop_after++) {
        EXPECT(BITCASK_CANCELLED, repair(path));
        CU_ASSERT(told.count == told.stop_after && told.result.segments_repaired == 0);
        CU_ASSERT_EQUAL(fixture_size(file_of(path, "000002.data.damaged")), UINT64_MAX);
    }
    told.stop_after = 0;
    EXPECT(BITCASK_OK, repair(path));
    CU_ASSERT_EQUAL(told.result.segments_repaired, 1);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"sound store is left alone", sound_store_is_left_alone},
        {"every changed byte costs its own record at most", every_changed_byte_costs_its_own_record_at_most},
        {"segment whose generation is lost is set aside", segment_whose_generation_is_lost_is_set_aside},
        {"every truncation keeps what is whole", every_truncation_keeps_what_is_whole},
        {"active segment is repaired where it was durable", active_segment_is_repaired_where_it_was_durable},
        {"header of the active segment is made anew", header_of_the_active_segment_is_made_anew},
        {"earlier damage is kept too", earlier_damage_is_kept_too},
        {"large value is copied and batch is let go of", large_value_is_copied_and_batch_is_let_go_of},
        {"files that an open refuses are set aside or mended", files_that_an_open_refuses_are_set_aside_or_mended},
        {"senseless record of the active segment is mended", senseless_record_of_the_active_segment_is_mended},
        {"records of a newer version are left alone", records_of_a_newer_version_are_left_alone},
        {"partitions are repaired from the top down", partitions_are_repaired_from_the_top_down},
        {"store that does not open is repaired", store_that_does_not_open_is_repaired},
        {"directory whose name was lost is kept on disk", directory_whose_name_was_lost_is_kept_on_disk},
        {"renames cut short are left to the next open", renames_cut_short_are_left_to_the_next_open},
        {"repair is alone with the store", repair_is_alone_with_the_store},
        {"repair stops when told to", repair_stops_when_told_to},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("repair", tests);
}
