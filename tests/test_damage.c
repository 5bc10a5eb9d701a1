/* test_damage.c - bytes on disk: what a put appends, torn tails, rot in the middle, data files that are none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "log/segment.h"

#define KEYS 9

/* What the library said while it worked. */
static char said[4096];

static void hear(void *context, bitcask_log_level level, const char *line)
{
    (void)context;
    (void)level;
    size_t size = strlen(said);
    snprintf(said + size, sizeof said - size, "%s\n", line);
}

static bitcask_status open_both(const char *path, bitcask **db, bitcask_partition **root)
{
    bitcask_options options;
    bitcask_options_init(&options);
    options.sync = BITCASK_SYNC_OS;
    options.create = true;
    options.log = hear;
    said[0] = 0;
    bitcask_status status = bitcask_open(path, &options, db);
    return status == BITCASK_OK ? bitcask_partition_open(*db, "", root) : status;
}

static void close_both(bitcask **db, bitcask_partition **root)
{
    bitcask_partition_close(root);
    EXPECT(BITCASK_OK, bitcask_close(db));
}

static const char *active(const char *path)
{
    return fixture_partition_file(path, 0, "active.data");
}

/* "k0" to "k8" with values of their own. */
static void key_and_value(int i, char key[8], char value[40])
{
    snprintf(key, 8, "k%d", i);
    snprintf(value, 40, "value of %d, %.*s.", i, i * 2, "abcdefghijklmnopqrstuvwxyz");
}

/* ---- what a put appends ---- */

static void file_grows_by_exactly_the_encoded_record(void)
{
    const char *path = fixture_path("grows");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    EXPECT(BITCASK_OK, put_text(root, "first", "makes the file", 0));
    for (int i = 0; i < KEYS; i++) {
        char key[8], value[40];
        uint64_t version = 0;
        size_t size, needed;
        uint64_t before = fixture_size(active(path));
        key_and_value(i, key, value);
        bitcask_attrs attrs = {.present = i % 2 ? BITCASK_ATTR_MODE | BITCASK_ATTR_UID : 0, .mode = 0100600, .uid = 0};
        bitcask_write_options options = {.attrs = &attrs};
        EXPECT(BITCASK_OK, bitcask_put(root, key, strlen(key), value, strlen(value), &options, &version));
        /* mode: type, length and two bytes; uid 0: type and length */
        size_t attrs_size = i % 2 ? 6 : 0, front = 26 + strlen(key) + attrs_size;
        CU_ASSERT_EQUAL(fixture_size(active(path)) - before, front + strlen(value));
        uint8_t *file = fixture_read(active(path), &size), expected[128];
        struct bc_segment_header header;
        struct bc_record record;
        EXPECT(BITCASK_OK, bc_segment_header_decode(file, size, size, "active.data", &header));
        EXPECT(BITCASK_OK, bc_record_decode(file + before, size - before, header.generation, before, size - before,
                                            &record, &needed));
        CU_ASSERT(record.version == version && record.flags == 0 && record.attrs_size == attrs_size);
        CU_ASSERT(record.key_size == strlen(key) && memcmp(record.key, key, strlen(key)) == 0);
        CU_ASSERT(memcmp(file + before + front, value, strlen(value)) == 0);
        bc_record_encode(&record, header.generation, before, expected);
        CU_ASSERT(memcmp(file + before, expected, front) == 0);
        free(file);
    }
    close_both(&db, &root);
}

struct listed {
    unsigned good, bad_value, bad, headers;
};

static bool count_stretch(void *context, const bitcask_dump_record *record)
{
    struct listed *listed = context;
    listed->headers += record->state == BITCASK_DUMP_HEADER;
    listed->good += record->state == BITCASK_DUMP_GOOD;
    listed->bad_value += record->state == BITCASK_DUMP_BAD_VALUE;
    listed->bad += record->state == BITCASK_DUMP_BAD;
    return true;
}

/* ---- torn tails ---- */

static void tail_cut_at_any_byte_loses_the_last_record_alone(void)
{
    const char *path = fixture_path("torn"), *copy = fixture_path("torn-copy");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    EXPECT(BITCASK_OK, put_text(root, "a", "1", 0));
    EXPECT(BITCASK_OK, put_text(root, "b", "old", 0));
    uint64_t start = fixture_size(active(path));
    EXPECT(BITCASK_OK, put_text(root, "b", "the value that is torn", 0));
    uint64_t size = fixture_size(active(path));
    for (uint64_t cut = start; cut < size; cut++) {
        bitcask *torn = NULL;
        bitcask_partition *torn_root = NULL;
        size_t file_size;
        fixture_copy(path, copy);
        uint8_t *file = fixture_read(active(copy), &file_size);
        fixture_write(active(copy), file, (size_t)cut);
        free(file);
        EXPECT(BITCASK_OK, open_both(copy, &torn, &torn_root));
        CU_ASSERT_STRING_EQUAL(get_text(torn_root, "a"), "1");
        CU_ASSERT_STRING_EQUAL(get_text(torn_root, "b"), "old");
        CU_ASSERT_EQUAL(fixture_size(active(copy)), start);
        CU_ASSERT_EQUAL(strlen(said) > 0, cut > start); /* a tail that was cut off is told */
        EXPECT(BITCASK_OK, put_text(torn_root, "b", "new", 0));
        close_both(&torn, &torn_root);
        EXPECT(BITCASK_OK, open_both(copy, &torn, &torn_root));
        CU_ASSERT_STRING_EQUAL(get_text(torn_root, "a"), "1");
        CU_ASSERT_STRING_EQUAL(get_text(torn_root, "b"), "new");
        close_both(&torn, &torn_root);
        fixture_remove(copy);
    }
    close_both(&db, &root);
}

static void batch_without_its_end_is_cut_off_as_a_whole(void)
{
    const char *path = fixture_path("batch"), *copy = fixture_path("batch-copy");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_batch *batch = NULL;
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    EXPECT(BITCASK_OK, put_text(root, "a", "old", 0));
    uint64_t start = fixture_size(active(path));
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "a", 1, "new", 3, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "b", 1, "new", 3, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_delete(batch, "a", 1));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    uint64_t size = fixture_size(active(path));
    for (uint64_t cut = start; cut <= size; cut++) {
        bitcask *torn = NULL;
        bitcask_partition *torn_root = NULL;
        size_t file_size;
        fixture_copy(path, copy);
        uint8_t *file = fixture_read(active(copy), &file_size);
        fixture_write(active(copy), file, (size_t)cut);
        free(file);
        EXPECT(BITCASK_OK, open_both(copy, &torn, &torn_root));
        CU_ASSERT_STRING_EQUAL(get_text(torn_root, "a"), cut < size ? "old" : "-");
        CU_ASSERT_STRING_EQUAL(get_text(torn_root, "b"), cut < size ? "-" : "new");
        close_both(&torn, &torn_root);
        fixture_remove(copy);
    }
    close_both(&db, &root);
}

/* ---- rot in the middle ---- */

/* Writes the keys one after the other; offsets[i] is where the record of key i begins, and the last one where the log
 * ends before the clean close. */
static const char *make_closed_store(const char *name, uint64_t offsets[KEYS + 1])
{
    const char *path = fixture_path("%s", name);
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    EXPECT(BITCASK_OK, put_text(root, "first", "makes the file", 0));
    for (int i = 0; i < KEYS; i++) {
        char key[8], value[40];
        key_and_value(i, key, value);
        offsets[i] = fixture_size(active(path));
        EXPECT(BITCASK_OK, put_text(root, key, value, 0));
    }
    offsets[KEYS] = fixture_size(active(path));
    close_both(&db, &root);
    return path;
}

/* The root of a store whose key `hit` was damaged in value_damaged or in what stands before it. */
static void check_damaged(bitcask_partition *root, int hit, bool value_damaged)
{
    bitcask_stats stats;
    for (int i = 0; i < KEYS; i++) {
        char key[8], value[40];
        key_and_value(i, key, value);
        const char *got = get_text(root, key);
        bool refused = *got == '!', gone = strcmp(got, "-") == 0;
        CU_ASSERT(i == hit ? refused || (gone && !value_damaged) : strcmp(got, value) == 0);
    }
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT_EQUAL(stats.damaged_regions, 1);
}

static void rot_in_the_middle_is_reported_and_hits_its_key_alone(void)
{
    uint64_t offsets[KEYS + 1];
    const char *path = make_closed_store("rot", offsets);
    const int hit = 4;
    char key[8], value[40];
    size_t size;
    uint8_t *file = fixture_read(active(path), &size);
    key_and_value(hit, key, value);
    uint64_t value_at = offsets[hit] + 26 + strlen(key);
    for (uint64_t at = offsets[hit]; at < offsets[hit + 1]; at++) {
        bitcask *db = NULL;
        bitcask_partition *root = NULL;
        bitcask_value *pinned = NULL;
        struct listed listed = {0};
        file[at] ^= (uint8_t)(1u << (at % 8));
        fixture_write(active(path), file, size);
        EXPECT(BITCASK_OK, open_both(path, &db, &root));
        check_damaged(root, hit, at >= value_at);
        CU_ASSERT(strlen(said) > 0);
        if (at >= value_at) EXPECT(BITCASK_CORRUPT, bitcask_get(root, key, strlen(key), &pinned));
        EXPECT(BITCASK_CORRUPT, bitcask_dump(root, count_stretch, &listed));
        CU_ASSERT(listed.headers == 1 && listed.bad + listed.bad_value == 1 && listed.good >= KEYS);
        if (at % 8 == 0) { /* life goes on behind it */
            EXPECT(BITCASK_OK, put_text(root, key, "healed", BITCASK_DURABLE));
            CU_ASSERT_STRING_EQUAL(get_text(root, key), "healed");
            close_both(&db, &root);
            EXPECT(BITCASK_OK, open_both(path, &db, &root));
            CU_ASSERT_STRING_EQUAL(get_text(root, key), "healed");
        }
        bitcask_partition_close(&root);
        EXPECT(BITCASK_OK, bitcask_close(&db));
        CU_ASSERT(fixture_size(active(path)) >= offsets[KEYS]); /* nothing was cut off */
        file[at] ^= (uint8_t)(1u << (at % 8));
    }
    free(file);
}

/* A length of nearly 4 GiB in a damaged head is neither allocated nor believed. */
static void huge_length_in_a_head_is_not_believed(void)
{
    uint64_t offsets[KEYS + 1];
    const char *path = make_closed_store("huge", offsets);
    size_t size;
    uint8_t *file = fixture_read(active(path), &size);
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    memset(file + offsets[2] + 16, 0xff, 10);
    fixture_write(active(path), file, size);
    free(file);
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    check_damaged(root, 2, false);
    close_both(&db, &root);
}

static void clean_store_shows_no_damage(void)
{
    uint64_t offsets[KEYS + 1];
    const char *path = make_closed_store("clean", offsets);
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_stats stats;
    struct listed listed = {0};
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT_EQUAL(stats.damaged_regions, 0);
    CU_ASSERT_STRING_EQUAL(said, "");
    EXPECT(BITCASK_OK, bitcask_dump(root, count_stretch, &listed));
    CU_ASSERT(listed.good > KEYS && listed.bad + listed.bad_value == 0 && listed.headers == 1);
    close_both(&db, &root);
}

/* ---- data files that are none ---- */

/* The first failure on the way to a key of partition "sub". */
static bitcask_status use(const char *path, bool read_only, char detail[600])
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_partition *sub = NULL;
    bitcask_value *value = NULL;
    bitcask_options_init(&options);
    options.sync = BITCASK_SYNC_OS;
    options.read_only = read_only;
    bitcask_status status = bitcask_open(path, &options, &db);
    if (status == BITCASK_OK) status = bitcask_partition_open(db, "sub", &sub);
    if (status == BITCASK_OK) status = bitcask_get(sub, "k", 1, &value);
    snprintf(detail, 600, "%s", bitcask_error_detail());
    bitcask_value_unpin(&value);
    if (sub && !read_only) CU_ASSERT_NOT_EQUAL(put_text(sub, "k", "x", 0), BITCASK_OK);
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    return status;
}

static void bad_data_file_is_refused_with_a_clear_line_and_left_alone(void)
{
    const char *path = fixture_path("bad");
    char detail[600];
    bitcask *db = NULL;
    bitcask_partition *root = NULL, *sub = NULL;
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "k", "v", 0));
    char file[1024];
    snprintf(file, sizeof file, "%s", fixture_partition_file(path, bitcask_partition_id(sub), "active.data"));
    bitcask_partition_close(&sub);
    close_both(&db, &root);
    size_t size;
    uint8_t *good = fixture_read(file, &size);
    size_t header_size = bc_get_u32(good + 12);
    CU_ASSERT_EQUAL(header_size, 62 + strlen("sub"));
    /* 0 to header_size - 1: cut there; then each byte of the header flipped; then a text and a picture. */
    for (size_t i = 0; i < 2 * header_size + 2; i++) {
        uint8_t bad[4096] = {0};
        size_t bad_size = i < header_size ? i : size;
        memcpy(bad, good, bad_size);
        if (i >= header_size && i < 2 * header_size) bad[i - header_size] ^= (uint8_t)(1u << (i % 8));
        if (i == 2 * header_size) memset(bad, 'x', bad_size = 200);
        if (i == 2 * header_size + 1) memcpy(bad, "\x89PNG\r\n\x1a\n", 8);
        fixture_write(file, bad, bad_size);
        for (int read_only = 0; read_only < 2; read_only++) {
            bitcask_status status = use(path, read_only, detail);
            bool expected = status == BITCASK_CORRUPT || (status == BITCASK_NEWER_FORMAT && i >= header_size);
            if (!expected) fprintf(stderr, "case %zu: %s (%s)\n", i, bitcask_status_text(status), detail);
            CU_ASSERT(expected);
            CU_ASSERT(strstr(detail, "active.data") != NULL);
            size_t after_size;
            uint8_t *after = fixture_read(file, &after_size);
            CU_ASSERT(after_size == bad_size && memcmp(after, bad, bad_size) == 0);
            free(after);
        }
    }
    fixture_write(file, good, size);
    free(good);
    EXPECT(BITCASK_OK, open_both(path, &db, &root));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    CU_ASSERT_STRING_EQUAL(get_text(sub, "k"), "v");
    bitcask_partition_close(&sub);
    close_both(&db, &root);
}

/* ---- hostile bytes ---- */

/* Whatever stands in the file: the store opens or is refused, a value read is the one that was put, or one is missing
 * or said to be damaged; nothing is made up. */
static void expect_no_wrong_value(const char *path)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    char key[8], value[40];
    if (open_both(path, &db, &root) == BITCASK_OK) {
        for (int i = 0; i < KEYS; i++) {
            key_and_value(i, key, value);
            const char *got = get_text(root, key);
            CU_ASSERT(strcmp(got, value) == 0 || got[0] == '-' || got[0] == '!');
        }
        bitcask_partition *child = NULL;
        if (bitcask_partition_open(db, "sub", &child) == BITCASK_OK) (void)get_text(child, "moved");
        bitcask_partition_close(&child);
    }
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
}

/* A store that was killed: an active and a sealed segment, and an intent in partition 1 that was not struck out. */
static void make_killed_store(const char *made, const char *killed)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL, *sub = NULL;
    char key[8], value[40], *filler = malloc(64 * 1024);
    CU_ASSERT_PTR_NOT_NULL_FATAL(filler);
    memset(filler, 'f', 64 * 1024);
    bitcask_options options;
    bitcask_options_init(&options);
    options.sync = BITCASK_SYNC_OS;
    options.create = true;
    options.segment_size = 65536;
    EXPECT(BITCASK_OK, bitcask_open(made, &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    for (int i = 0; i < KEYS; i++) {
        key_and_value(i, key, value);
        EXPECT(BITCASK_OK, put_text(root, key, value, BITCASK_DURABLE));
        if (i == 5) EXPECT(BITCASK_OK, bitcask_put(root, "f", 1, filler, 64 * 1024, NULL, NULL));
    }
    EXPECT(BITCASK_OK, put_text(root, "moved", "m", 0));
    bitcask_move_item item = {
        .from = root, .from_key = "moved", .from_key_size = 5, .to = sub, .to_key = "moved", .to_key_size = 5};
    EXPECT(BITCASK_OK, bitcask_move(db, &item, 1, NULL));
    fixture_copy(made, killed);
    bitcask_partition_close(&sub);
    close_both(&db, &root);
    free(filler);
}

static void no_byte_of_a_file_makes_a_wrong_value(void)
{
    const char *killed = fixture_path("killed"), *victim = fixture_path("victim");
    make_killed_store(fixture_path("made"), killed);
    char files[4][512];
    snprintf(files[0], 512, "%s", fixture_partition_file(victim, 0, "active.data"));
    snprintf(files[1], 512, "%s", fixture_partition_file(victim, 0, "000001.data"));
    snprintf(files[2], 512, "%s", fixture_partition_file(victim, 1, "active.data"));
    snprintf(files[3], 512, "%s/STORE", victim);
    uint64_t rng = fixture_number("SEED", 5);
    for (size_t f = 0; f < 4; f++) {
        size_t size;
        fixture_remove(victim);
        fixture_copy(killed, victim);
        CU_ASSERT_NOT_EQUAL_FATAL(fixture_size(files[f]), UINT64_MAX);
        uint8_t *good = fixture_read(files[f], &size);
        uint8_t *bad = malloc(size);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bad);
        /* Each byte of a small file, some of a large one, and now and then many at once. */
        for (size_t at = 0; at < size;
             at += 1 + (size > 4096 ? fixture_below(&rng, size / 200) : fixture_below(&rng, 6))) {
            memcpy(bad, good, size);
            if (at % 5)
                bad[at] ^= (uint8_t)(1u << fixture_below(&rng, 8));
            else
                for (size_t i = at; i < size && i < at + 40; i++) bad[i] = (uint8_t)fixture_random(&rng);
            fixture_remove(victim);
            fixture_copy(killed, victim);
            fixture_write(files[f], bad, size);
            expect_no_wrong_value(victim);
        }
        free(good);
        free(bad);
    }
}

static void file_in_the_wrong_place_is_refused(void)
{
    const char *killed = fixture_path("killed2"), *store = fixture_path("misplaced");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    char active_file[512], sealed[512], third[512], inodes[512];
    make_killed_store(fixture_path("made2"), killed);
    snprintf(active_file, 512, "%s", fixture_partition_file(store, 0, "active.data"));
    snprintf(sealed, 512, "%s", fixture_partition_file(store, 0, "000001.data"));
    snprintf(third, 512, "%s", fixture_partition_file(store, 0, "000009.data"));
    snprintf(inodes, 512, "%s", fixture_partition_file(store, 1, "active.data"));
    struct {
        const char *from, *to, *says;
    } cases[] = {{inodes, active_file, "belongs to partition"},
                 {sealed, third, "says that it is segment"},
                 {sealed, active_file, "which is sealed already"}};
    for (size_t i = 0; i < 3; i++) {
        size_t size;
        fixture_remove(store);
        fixture_copy(killed, store);
        uint8_t *bytes = fixture_read(cases[i].from, &size);
        fixture_write(cases[i].to, bytes, size);
        free(bytes);
        bitcask_status status = open_both(store, &db, &root);
        if (status == BITCASK_OK && root) status = put_text(root, "new", "v", 0);
        EXPECT_DETAIL(BITCASK_CORRUPT, cases[i].says, status);
        bitcask_partition_close(&root);
        (void)bitcask_close(&db);
    }
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"file grows by exactly the encoded record", file_grows_by_exactly_the_encoded_record},
        {"tail cut at any byte loses the last record alone", tail_cut_at_any_byte_loses_the_last_record_alone},
        {"batch without its end is cut off as a whole", batch_without_its_end_is_cut_off_as_a_whole},
        {"rot in the middle is reported and hits its key alone", rot_in_the_middle_is_reported_and_hits_its_key_alone},
        {"huge length in a head is not believed", huge_length_in_a_head_is_not_believed},
        {"clean store shows no damage", clean_store_shows_no_damage},
        {"bad data file is refused with a clear line and left alone",
         bad_data_file_is_refused_with_a_clear_line_and_left_alone},
        {"no byte of a file makes a wrong value", no_byte_of_a_file_makes_a_wrong_value},
        {"file in the wrong place is refused", file_in_the_wrong_place_is_refused},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("damage", tests);
}
