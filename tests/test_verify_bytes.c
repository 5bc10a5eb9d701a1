/* test_verify_bytes.c - every byte changed and every length cut, in data files and hints; verify beside a writer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "damaged_store.h"
#include "findings.h"
#include "partition/data_file.h"

static struct findings told;

/* Verifies what a reader makes of the root; false if the store does not open. */
static bool verify_as_reader(const char *path)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_options_init(&options);
    options.read_only = true;
    bitcask_status status = bitcask_open(path, &options, &db);
    if (status == BITCASK_OK) status = bitcask_partition_open(db, "", &root);
    if (status == BITCASK_OK) status = findings_verify(root, &told);
    CU_ASSERT(status == BITCASK_OK || status == BITCASK_CORRUPT || status == BITCASK_NEWER_FORMAT);
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
    return status == BITCASK_OK;
}

/* Damage in file that covers offset, or 0 to the header's end. */
static bool damage_covers(const char *file, uint64_t offset)
{
    for (size_t i = 0; i < told.count && i < FINDINGS_KEPT; i++) {
        const struct told *t = &told.list[i];
        if (t->kind == BITCASK_FOUND_DAMAGE && strcmp(t->file, file) == 0 && t->offset <= offset &&
            offset - t->offset < t->size)
            return true;
    }
    return false;
}

static void every_changed_byte_of_a_sealed_segment_is_found(void)
{
    const char *path = make_store("bytes");
    const char *sealed = file_of(path, "000002.data");
    size_t size;
    uint8_t *good = fixture_read(sealed, &size);
    for (int with_hint = 1; with_hint >= 0; with_hint--) {
        if (!with_hint) CU_ASSERT_EQUAL(unlink(file_of(path, "000002.hint")), 0);
        for (size_t at = 0; at < size; at++) {
            good[at] ^= (uint8_t)(1u << (at % 8));
            fixture_write(sealed, good, size);
            good[at] ^= (uint8_t)(1u << (at % 8));
            EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
            /* A header may say, with a good checksum, only what it said before. */
            bool found = damage_covers("000002.data", at);
            if (!found) fprintf(stderr, "byte %zu:\n", at), findings_print(&told);
            CU_ASSERT(found);
            if (verify_as_reader(path)) CU_ASSERT(at >= 62 && damage_covers("000002.data", at));
        }
    }
    free(good);
}

static void changed_byte_of_the_active_segment_is_found_unless_it_is_a_torn_tail(void)
{
    const char *path = make_store("active"), *active = file_of(path, "active.data");
    size_t size;
    uint8_t *good = fixture_read(active, &size);
    uint64_t mark = size - 36; /* the closing mark: all before it is durable, itself it is not */
    for (size_t at = 0; at < size; at++) {
        good[at] ^= (uint8_t)(1u << (at % 8));
        fixture_write(active, good, size);
        good[at] ^= (uint8_t)(1u << (at % 8));
        EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
        /* Without the mark only what an earlier record says is durable is known to be. */
        if (at < mark) CU_ASSERT(damage_covers("active.data", at));
        if (at >= mark) CU_ASSERT(findings_clean(&told));
        (void)verify_as_reader(path);
    }
    for (size_t cut = 0; cut <= size; cut++) {
        fixture_write(active, good, cut);
        EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
        CU_ASSERT_EQUAL(told.result.damage > 0,
                        cut < 62); /* a tail that is gone cannot be told from one never written */
        CU_ASSERT_EQUAL(verify_as_reader(path), cut >= 62);
        if (cut >= 62) CU_ASSERT(findings_clean(&told));
    }
    free(good);
}

static void every_truncation_of_a_sealed_segment_is_found(void)
{
    const char *path = make_store("cuts"), *sealed = file_of(path, "000002.data");
    size_t size;
    uint8_t *good = fixture_read(sealed, &size);
    for (size_t cut = 0; cut < size; cut++) {
        fixture_write(sealed, good, cut);
        EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
        CU_ASSERT(told.result.damage > 0);
        if (cut >= 62) CU_ASSERT(verify_as_reader(path) && told.result.damage > 0);
    }
    /* Without its hint one that ends with a record looks whole. */
    CU_ASSERT_EQUAL(unlink(file_of(path, "000002.hint")), 0);
    for (size_t cut = 0; cut < size; cut++) {
        fixture_write(sealed, good, cut);
        EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
        (void)verify_as_reader(path);
    }
    free(good);
}

/* ---- hints ---- */

static void every_changed_byte_of_a_hint_is_found_and_is_no_damage(void)
{
    const char *path = make_store("hints"), *hint = file_of(path, "000002.hint");
    size_t size;
    uint8_t *good = fixture_read(hint, &size);
    for (size_t at = 0; at < size; at++) {
        good[at] ^= (uint8_t)(1u << (at % 8));
        fixture_write(hint, good, size);
        good[at] ^= (uint8_t)(1u << (at % 8));
        EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
        bool found = told.count == 1 && findings_of(&told, BITCASK_FOUND_HINT, "000002.hint", NULL);
        if (!found) fprintf(stderr, "byte %zu:\n", at), findings_print(&told);
        CU_ASSERT(found);
        CU_ASSERT(verify_as_reader(path) && told.count == 1 && told.result.hints == 1);
    }
    for (size_t cut = 0; cut < size; cut += 1 + cut / 50) {
        fixture_write(hint, good, cut);
        CU_ASSERT(verify_as_reader(path) && told.count == 1 && told.result.hints == 1);
    }
    free(good);
}

/* Makes hints of a copy of the segment that differs, under the generation of the true one: what a writer with a fault
 * could leave. */
static void hint_that_says_something_else_is_found(void)
{
    const char *path = make_empty_store("liar");
    struct bc_segment *segment = craft(path, "000001.data", 1, 1);
    uint64_t generation = segment->generation, ends[5];
    static const char *const keys[] = {"a", "b", "c", "a", "d"};
    for (size_t i = 0; i < 5; i++) {
        add_record(segment, keys[i], "v", 10 + i, 0, NULL, 0);
        ends[i] = segment->end;
    }
    bc_segment_unref(&segment);
    findings_make_hint(path, 0, 1);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(told.count == 0);
    /* The last record of a key is damaged, an older one is good: the hint is right all the same. */
    flip(file_of(path, "000001.data"), ends[3] - 1);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(told.count == 1 && findings_told(&told, BITCASK_FOUND_DAMAGE, "000001.data", "a", ends[2], 28));
    flip(file_of(path, "000001.data"), ends[3] - 1);
    flip(file_of(path, "000001.data"), ends[2] + 3);
    EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
    CU_ASSERT(told.count == 1 && findings_told(&told, BITCASK_FOUND_DAMAGE, "000001.data", "a", ends[2], 28));
    flip(file_of(path, "000001.data"), ends[2] + 3);
    for (int fault = 0; fault < 6; fault++) {
        struct bc_hint_writer *writer = NULL;
        int fd = findings_dir(path, 0);
        struct bc_hint_head head = {
            .segment_id = 1, .generation = generation, .data_size = ends[4], .last_version = 20};
        uint64_t header = ends[0] - 28;
        uint64_t starts[] = {header, ends[0], ends[1], ends[2], ends[3]};
        if (fault == 5) head.data_size = ends[3]; /* of when it was shorter */
        EXPECT(BITCASK_OK, bc_hint_writer_open(bc_io_posix(), fd, &head, &writer));
        for (int k = 0; k < 4; k++) {
            size_t i = k == 0 ? 3 : k == 3 ? 4 : (size_t)k;
            struct bc_hint_entry entry = {.key = (const uint8_t *)keys[i],
                                          .key_size = 1,
                                          .offset = (uint32_t)starts[i],
                                          .record_size = 28,
                                          .value_size = 1,
                                          .version = 10 + i};
            if (fault == 0 && k == 0) entry.offset = (uint32_t)starts[0], entry.version = 10; /* an older record */
            if (fault == 1 && k == 1) entry.version = 15;
            if (fault == 2 && k == 2) continue; /* a key left out */
            if (fault == 3 && k == 3) entry.flags = BC_HINT_TOMBSTONE, entry.value_size = 0;
            if (fault == 4 && k == 3) entry.key = (const uint8_t *)"e"; /* a key made up */
            if (fault == 5 && k == 3) continue;
            EXPECT(BITCASK_OK, bc_hint_writer_add(writer, &entry));
        }
        EXPECT(BITCASK_OK, bc_hint_writer_commit(&writer, NULL));
        close(fd);
        EXPECT(BITCASK_OK, findings_verify_files(path, 0, &told));
        bool found = told.count == 1 && findings_of(&told, BITCASK_FOUND_HINT, "000001.hint", NULL);
        if (!found) fprintf(stderr, "fault %d:\n", fault), findings_print(&told);
        CU_ASSERT(found);
    }
}

static void missing_and_foreign_hints_are_told(void)
{
    const char *path = make_store("foreign");
    size_t size;
    uint8_t *other = fixture_read(file_of(path, "000001.hint"), &size);
    fixture_write(file_of(path, "000002.hint"), other, size);
    free(other);
    CU_ASSERT_EQUAL(unlink(file_of(path, "000001.hint")), 0);
    CU_ASSERT(verify_as_reader(path));
    CU_ASSERT(told.result.damage == 0 && told.result.hints == 1 && told.result.notes == 1);
    CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_HINT, "000002.hint", NULL));
    CU_ASSERT_PTR_NOT_NULL(findings_of(&told, BITCASK_FOUND_NOTE, "000001.data", NULL));
}

/* ---- beside a writer ---- */

struct writing {
    bitcask_partition *root;
    atomic_bool stop;
};

static void *write_on(void *context)
{
    struct writing *writing = context;
    uint64_t random = 7;
    while (!atomic_load(&writing->stop)) {
        char key[16], value[600];
        snprintf(key, sizeof key, "w%u", (unsigned)fixture_below(&random, 300));
        memset(value, 'v', sizeof value);
        switch (fixture_below(&random, 8)) {
        case 0:
        case 1:
        case 2: (void)delete_text(writing->root, key, 0); break;
        case 3: {
            bitcask_batch *batch = NULL;
            EXPECT(BITCASK_OK, bitcask_batch_open(writing->root, &batch));
            EXPECT(BITCASK_OK, bitcask_batch_put(batch, key, strlen(key), value, 20, NULL));
            EXPECT(BITCASK_OK, bitcask_batch_delete(batch, "w5", 2));
            EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
            bitcask_batch_close(&batch);
            break;
        }
        case 4: EXPECT(BITCASK_OK, put_text(writing->root, key, "durable", BITCASK_DURABLE)); break;
        default:
            EXPECT(BITCASK_OK, bitcask_put(writing->root, key, strlen(key), value, fixture_below(&random, sizeof value),
                                           NULL, NULL));
        }
    }
    return NULL;
}

static void *merge_on(void *context)
{
    static const bitcask_merge_options options = {.flags = BITCASK_MERGE_FULL};
    struct writing *writing = context;
    while (!atomic_load(&writing->stop)) EXPECT(BITCASK_OK, bitcask_merge(writing->root, &options, NULL));
    return NULL;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void verify_beside(const char *name, bool merges)
{
    const char *path = fixture_path("%s", name);
    bitcask *db = open_damaged(path, false);
    struct writing writing = {.root = root_of(db)};
    pthread_t writer, merger;
    unsigned rounds = 0;
    atomic_init(&writing.stop, false);
    fill(writing.root);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_on, &writing), 0);
    if (merges) CU_ASSERT_EQUAL_FATAL(pthread_create(&merger, NULL, merge_on, &writing), 0);
    for (double end = seconds() + 2; seconds() < end; rounds++) {
        EXPECT(BITCASK_OK, findings_verify(writing.root, &told));
        CU_ASSERT(findings_clean(&told));
        if (!verify_as_reader(path)) continue;
        CU_ASSERT(findings_clean(&told));
    }
    atomic_store(&writing.stop, true);
    CU_ASSERT_EQUAL(pthread_join(writer, NULL), 0);
    if (merges) CU_ASSERT_EQUAL(pthread_join(merger, NULL), 0);
    CU_ASSERT(rounds > 2);
    EXPECT(BITCASK_OK, findings_verify(writing.root, &told));
    CU_ASSERT(findings_clean(&told) && told.result.segments > (merges ? 0u : 3u));
    close_damaged(&db, &writing.root);
}

static void verify_beside_a_writer_finds_nothing(void)
{
    verify_beside("beside", false);
}

static void verify_beside_a_writer_and_merges_finds_nothing(void)
{
    verify_beside("beside merges", true);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"every changed byte of a sealed segment is found", every_changed_byte_of_a_sealed_segment_is_found},
        {"changed byte of the active segment is found unless it is a torn tail",
         changed_byte_of_the_active_segment_is_found_unless_it_is_a_torn_tail},
        {"every truncation of a sealed segment is found", every_truncation_of_a_sealed_segment_is_found},
        {"every changed byte of a hint is found and is no damage",
         every_changed_byte_of_a_hint_is_found_and_is_no_damage},
        {"hint that says something else is found", hint_that_says_something_else_is_found},
        {"missing and foreign hints are told", missing_and_foreign_hints_are_told},
        {"verify beside a writer finds nothing", verify_beside_a_writer_finds_nothing},
        {"verify beside a writer and merges finds nothing", verify_beside_a_writer_and_merges_finds_nothing},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("verify bytes", tests);
}
