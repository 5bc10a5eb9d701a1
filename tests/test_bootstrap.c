/* test_bootstrap.c - opening a partition's directory: what is read of it, which files count, hints that are none, what
 * crashes and strangers leave.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io_count.h"
#include "merging.h"
#include "partition/checkpoint.h"

static struct io_count count;
static bitcask *db;
static bitcask_partition *root;
static char said[8192]; /* by the log callback */
static unsigned lines;

static void hear(void *context, bitcask_log_level level, const char *line)
{
    size_t size = strlen(said);

    (void)context, (void)level;
    lines++;
    snprintf(said + size, sizeof said - size, "%s\n", line);
}

static bitcask_status try_open(const char *path, bool read_only)
{
    bitcask_options options;
    bitcask_status status;

    bitcask_options_init(&options);
    options.create = !read_only;
    options.read_only = read_only;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = 65536;
    options.log = hear;
    said[0] = 0;
    lines = 0;
    io_count_init(&count, bc_io_posix());
    status = bc_db_open(&count.io, path, &options, &db);
    if (status == BITCASK_OK) status = bitcask_partition_open(db, "", &root);
    return status;
}

static void open_store(const char *path, bool read_only)
{
    EXPECT(BITCASK_OK, try_open(path, read_only));
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
}

static void close_store(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

static void remove_file(const char *path, void *context)
{
    (void)context;
    fixture_remove(path);
}

static unsigned damaged_regions(void)
{
    bitcask_stats stats;

    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    return (unsigned)stats.damaged_regions;
}

/* ---- what is read ---- */

/* 50 segments, put and deleted over one another; the store is left open. */
static void fill_segments(struct book *book, size_t keys, size_t value_size)
{
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    uint64_t rng = 1;

    book_open(book, keys, value_size);
    for (unsigned i = 0; merging_segments(root, list) < 51; i++) {
        for (unsigned j = 0; j < 200 && merging_segments(root, list) < 51; j++) {
            size_t key = fixture_below(&rng, keys);
            bool put = book->counts[key] % 2 || fixture_below(&rng, 8);
            EXPECT(BITCASK_OK, put ? book_put(book, root, key) : book_delete(book, root, key));
            if (value_size < 1000) j++;
        }
    }
    for (unsigned i = 0; i < 3; i++) EXPECT(BITCASK_OK, book_put(book, root, i)); /* the tail */
}

/* Opens, loads all, and holds what was read against what there is: hints whole, of each data file a header, and the
 * active one if it has no hint. */
static void check_what_is_read(const char *path, const struct book *book, bool tail)
{
    unsigned files, hints;
    uint64_t data_bytes = merging_bytes(path, 0, ".data", &files), hint_bytes = merging_bytes(path, 0, ".hint", &hints);
    uint64_t active = fixture_size(fixture_partition_file(path, 0, "active.data"));
    bitcask_stats stats;

    CU_ASSERT(hints + tail == files);
    open_store(path, false);
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT(count.bytes[IO_COUNT_HINT] <= hint_bytes + 4096);
    CU_ASSERT(count.bytes[IO_COUNT_DATA] <=
              (files + 2) * 4300 + (tail ? 2 * active : 0)); /* it is written again, too */
    CU_ASSERT(count.bytes[IO_COUNT_DATA] * 4 < data_bytes);
    CU_ASSERT(book_agrees(book, root));
    CU_ASSERT(merging_accounts_agree(root));
    CU_ASSERT_EQUAL(stats.damaged_regions, 0);
    CU_ASSERT_EQUAL(lines, 0);
    close_store();
}

static void opening_reads_hints_and_the_tail_alone(size_t keys, size_t value_size)
{
    const char *path = fixture_path("reads-%zu", value_size), *killed = fixture_path("killed-%zu", value_size);
    struct book book;

    open_store(path, false);
    fill_segments(&book, keys, value_size);
    fixture_copy(path, killed);
    close_store();
    check_what_is_read(path, &book, false);
    check_what_is_read(killed, &book, true);
    check_what_is_read(killed, &book, false);
    book_close(&book);
}

static void opening_reads_hints_and_the_tail_alone_of_small_values(void)
{
    opening_reads_hints_and_the_tail_alone(5000, 100);
}

static void opening_reads_hints_and_the_tail_alone_of_large_values(void)
{
    opening_reads_hints_and_the_tail_alone(30, 60000);
}

static void equal_with_hints_and_without_and_with_some_damaged(void)
{
    const char *path = fixture_path("equal");
    struct book book;

    open_store(path, false);
    fill_segments(&book, 3000, 100);
    close_store();
    for (int way = 0; way < 6; way++) {
        open_store(path, false); /* so that every hint is there */
        CU_ASSERT(book_agrees_key(&book, root, 1));
        close_store();
        if (way % 3 == 1) merging_each_file(path, 0, ".hint", remove_file, NULL);
        for (uint32_t id = 2; way % 3 == 2 && id < 52; id += 2) {
            const char *file = merging_hint_file(path, 0, id);
            size_t size;
            uint8_t *bytes = fixture_read(file, &size);

            bytes[(id * 977) % size] ^= 0x40;
            fixture_write(file, bytes, size);
            free(bytes);
        }
        open_store(path, way >= 3);
        CU_ASSERT(book_agrees(&book, root));
        CU_ASSERT(merging_accounts_agree(root));
        CU_ASSERT_EQUAL(damaged_regions(), 0);
        CU_ASSERT_EQUAL(lines, way % 3 == 2 ? 25 : 0); /* each is told of, once */
        close_store();
    }
    open_store(path, false);
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    check_what_is_read(path, &book, false); /* a writer has made them anew */
    book_close(&book);
}

static void clean_close_leaves_nothing_to_scan(void)
{
    const char *path = fixture_path("clean");
    struct book book;

    book_open(&book, 300, 100);
    open_store(path, false);
    EXPECT(BITCASK_OK, book_put_batch(&book, root, 0, 300)); /* one segment, the active one */
    close_store();
    uint64_t size = fixture_size(fixture_partition_file(path, 0, "active.data"));
    CU_ASSERT(size > 40000 && fixture_size(merging_hint_file(path, 0, 1)) < size / 3);
    for (int i = 0; i < 4; i++) {
        open_store(path, i % 2);
        CU_ASSERT(book_agrees_key(&book, root, 7));
        EXPECT(BITCASK_OK,
               bitcask_stat(root, "none", 4, &(bitcask_entry){0}) == BITCASK_NOT_FOUND ? BITCASK_OK : BITCASK_IO);
        CU_ASSERT(count.bytes[IO_COUNT_DATA] < 15000); /* headers, of the store's own too, marks, a value */
        CU_ASSERT(book_agrees(&book, root));
        close_store();
        CU_ASSERT_EQUAL(fixture_size(fixture_partition_file(path, 0, "active.data")), size); /* nor does it grow */
    }
    book_close(&book);
}

/* ---- hints that are none ---- */

/* Three sealed segments and an active one, each with something of all that a hint may hold. */
static void fill_hints(struct book *book)
{
    bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | BITCASK_ATTR_MTIME, .mode = 0100600, .mtime_ns = 5};
    bitcask_write_options options = {.attrs = &attrs};

    book_open(book, 12, 30);
    for (size_t segment = 0; segment < 4; segment++) {
        for (size_t key = segment; key < 12; key += 2) EXPECT(BITCASK_OK, book_put(book, root, key));
        if (segment > 0) EXPECT(BITCASK_OK, book_delete(book, root, segment));
        EXPECT(BITCASK_OK, bitcask_put(root, "with attrs", 10, "v", 1, &options, NULL));
        if (segment == 1) EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, NULL));
        if (segment < 3) EXPECT(BITCASK_OK, merging_rotate(root));
    }
}

static void expect_good(const struct book *book, bool by_key_first)
{
    bitcask_partition *sub = NULL;
    bitcask_entry entry;
    bool good = true;

    /* Either way of asking may be the first: a cold partition answers single keys from the hints themselves. */
    if (by_key_first)
        for (size_t key = 0; key < book->keys; key++) good = book_agrees_key(book, root, key) && good;
    good = book_agrees(book, root) && good && merging_accounts_agree(root);
    CU_ASSERT(good);
    EXPECT(BITCASK_OK, bitcask_stat(root, "with attrs", 10, &entry));
    CU_ASSERT(entry.attrs.mode == 0100600 && entry.attrs.mtime_ns == 5);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "sub", &sub));
    bitcask_partition_close(&sub);
    CU_ASSERT_EQUAL(damaged_regions(), 0);
}

/* Puts bytes in a hint's place, opens in turn as writer and reader, and finds all as it was. */
static void try_hint(const char *path, const char *file, const void *bytes, size_t size, unsigned turn,
                     const struct book *book)
{
    fixture_write(file, bytes, size);
    open_store(path, turn % 4 == 3);
    expect_good(book, turn % 2 == 0);
    close_store();
}

static void no_byte_of_a_hint_is_believed_unchecked(void)
{
    const char *path = fixture_path("flipped");
    struct book book;

    open_store(path, false);
    fill_hints(&book);
    close_store();
    for (uint32_t id = 2; id < 5; id += 2) { /* of a sealed segment, and of the active one */
        const char *file = merging_hint_file(path, 0, id);
        size_t size, size_now;
        uint8_t *good = fixture_read(file, &size), *bad = malloc(size);
        unsigned turn = 0;

        CU_ASSERT(size > 250);
        if (!bad) exit(99);
        for (size_t at = 0; at < size; at++) {
            memcpy(bad, good, size);
            bad[at] ^= (uint8_t)(1u << (at * 5 % 8));
            try_hint(path, file, bad, size, turn++, &book);
        }
        for (size_t cut = 0; cut < size; cut++) try_hint(path, file, good, cut, turn++, &book);
        memset(bad, 0, size);
        try_hint(path, file, bad, size, 0, &book);
        uint8_t *now = fixture_read(file, &size_now); /* made anew by the writer's close */
        CU_ASSERT_EQUAL(size_now, size);
        free(now);
        free(good);
        free(bad);
    }
    book_close(&book);
}

static void hint_of_another_segment_or_generation_is_not_believed(void)
{
    const char *path = fixture_path("other"), *file = merging_hint_file(path, 0, 3);
    struct book book;
    size_t sizes[4];
    uint8_t *hints[4];

    open_store(path, false);
    fill_hints(&book);
    hints[0] = fixture_read(file, &sizes[0]); /* of the generation before the merge */
    EXPECT(BITCASK_OK, merging_run(root, 3, 3, NULL, NULL));
    close_store();
    hints[1] = fixture_read(merging_hint_file(path, 0, 1), &sizes[1]);
    hints[2] = fixture_read(merging_hint_file(path, 0, 2), &sizes[2]);
    hints[3] = fixture_read(merging_data_file(path, 0, 2), &sizes[3]); /* no hint at all */
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned turn = 0; turn < 4; turn++) try_hint(path, file, hints[i], sizes[i], turn, &book);
        CU_ASSERT_EQUAL(lines, 1);
    }
    for (unsigned i = 0; i < 4; i++) free(hints[i]);
    book_close(&book);
}

/* A hint of the active segment tells of its beginning; what came behind is scanned. */
static void older_hint_of_the_active_segment_stands_for_its_beginning(void)
{
    const char *path = fixture_path("beginning"), *killed = fixture_path("beginning-killed");
    struct book book;

    open_store(path, false);
    fill_hints(&book);
    close_store();
    open_store(path, false);
    EXPECT(BITCASK_OK, book_put(&book, root, 5));
    EXPECT(BITCASK_OK, book_delete(&book, root, 7));
    fixture_copy(path, killed);
    close_store();
    for (int i = 0; i < 3; i++) {
        open_store(killed, i == 0);
        CU_ASSERT(book_agrees(&book, root));
        CU_ASSERT(merging_accounts_agree(root));
        CU_ASSERT_EQUAL(lines, 0);
        close_store();
    }
    book_close(&book);
}

/* ---- which files count ---- */

static void gap_in_the_ids_is_fine(void)
{
    const char *path = fixture_path("gap");
    static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
    struct book book;

    book_open(&book, 10, 30);
    open_store(path, false);
    for (size_t key = 0; key < 5; key++) {
        EXPECT(BITCASK_OK, book_put(&book, root, key));
        if (key == 2) EXPECT(BITCASK_OK, book_delete(&book, root, 2));
        EXPECT(BITCASK_OK, merging_rotate(root));
    }
    EXPECT(BITCASK_OK, book_put(&book, root, 9));
    EXPECT(BITCASK_OK, merging_run(root, 3, 3, NULL, NULL)); /* nothing is left of it */
    for (int i = 0; i < 3; i++) {
        CU_ASSERT(merging_segments(root, list) == 5 && list[2].segment_id == 4);
        CU_ASSERT(book_agrees(&book, root));
        close_store();
        open_store(path, i == 1);
    }
    close_store();
    fixture_remove(merging_data_file(path, 0, 2)); /* one that was lost is no reason to refuse the others */
    open_store(path, false);
    book.counts[1] = 0;
    CU_ASSERT(book_agrees(&book, root));
    close_store();
    book_close(&book);
}

struct chain {
    const char *path;
    uint8_t *data[4], *hints[4]; /* 1, 2, 3 as sealed; [0]: 2, as merged of 1 and 2 */
    size_t data_size[4], hint_size[4];
    struct book book;
};

/* Segments 1 to 3 and the active one; 1 and 2 merged, then 2 and 3. All that was there on the way is kept. */
static void make_chain(struct chain *chain, const char *name)
{
    struct book *book = &chain->book;

    chain->path = fixture_path("%s", name);
    open_store(chain->path, false);
    book_open(book, 12, 30);
    EXPECT(BITCASK_OK, book_put_batch(book, root, 0, 8));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_delete(book, root, 0));
    EXPECT(BITCASK_OK, book_put(book, root, 1));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_delete(book, root, 2));
    EXPECT(BITCASK_OK, book_put(book, root, 3));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, book_delete(book, root, 4));
    for (uint32_t id = 1; id < 4; id++) {
        chain->data[id] = fixture_read(merging_data_file(chain->path, 0, id), &chain->data_size[id]);
        chain->hints[id] = fixture_read(merging_hint_file(chain->path, 0, id), &chain->hint_size[id]);
    }
    EXPECT(BITCASK_OK, merging_run(root, 1, 2, NULL, NULL));
    chain->data[0] = fixture_read(merging_data_file(chain->path, 0, 2), &chain->data_size[0]);
    chain->hints[0] = fixture_read(merging_hint_file(chain->path, 0, 2), &chain->hint_size[0]);
    EXPECT(BITCASK_OK, merging_run(root, 2, 3, NULL, NULL));
    CU_ASSERT(book_agrees(book, root));
    close_store();
}

static void release_chain(struct chain *chain)
{
    for (int i = 0; i < 4; i++) {
        free(chain->data[i]);
        free(chain->hints[i]);
    }
    book_close(&chain->book);
}

static void put_back(const struct chain *chain, uint32_t id, int from, bool hint)
{
    fixture_write(merging_data_file(chain->path, 0, id), chain->data[from], chain->data_size[from]);
    if (hint) fixture_write(merging_hint_file(chain->path, 0, id), chain->hints[from], chain->hint_size[from]);
}

static void superseded_file_that_is_back_is_ignored_and_removed(void)
{
    struct chain chain;

    make_chain(&chain, "superseded");
    for (unsigned i = 0; i < 16; i++) {
        bool hint = i & 1, both = i & 2, merged = i & 4, read_only = i & 8;
        uint32_t ids[2] = {both || !merged ? 1 : 2, 2};

        put_back(&chain, ids[0], ids[0] == 1 ? 1 : 0, hint);
        if (both) put_back(&chain, 2, merged ? 0 : 2, hint);
        open_store(chain.path, read_only);
        CU_ASSERT(book_agrees(&chain.book, root));
        CU_ASSERT(merging_accounts_agree(root));
        for (unsigned j = 0; j <= both; j++) {
            CU_ASSERT_EQUAL(access(merging_data_file(chain.path, 0, ids[j]), F_OK) == 0, read_only);
            CU_ASSERT_EQUAL(access(merging_hint_file(chain.path, 0, ids[j]), F_OK) == 0, read_only && hint);
        }
        CU_ASSERT_EQUAL(lines, read_only ? 0 : 1);
        close_store();
        open_store(chain.path, false); /* away with what the reader left */
        CU_ASSERT(book_agrees(&chain.book, root));
        close_store();
        CU_ASSERT_NOT_EQUAL(access(merging_data_file(chain.path, 0, ids[0]), F_OK), 0);
    }
    release_chain(&chain);
}

/* The merged 2 stands for 1 and 2; a 3 that stands for 2 and 3 can be of no history that has it. */
static void coverage_that_crosses_is_refused(void)
{
    struct chain chain;
    bitcask_value *value = NULL;

    make_chain(&chain, "crosses");
    for (uint32_t id = 1; id < 4; id++) put_back(&chain, id, (int)id, true);
    fixture_remove(merging_hint_file(chain.path, 0, 3));
    open_store(chain.path, false);
    EXPECT(BITCASK_OK, merging_run(root, 2, 3, NULL, NULL));
    close_store();
    put_back(&chain, 2, 0, true);
    for (int read_only = 0; read_only < 2; read_only++) {
        uint64_t before = fixture_digest(chain.path);
        bitcask_status status = try_open(chain.path, read_only);

        if (status == BITCASK_OK) status = bitcask_get(root, "k", 1, &value);
        EXPECT_DETAIL(BITCASK_CORRUPT, "crosses", status);
        bitcask_partition_close(&root);
        (void)bitcask_close(&db);
        CU_ASSERT(fixture_digest(chain.path) == before || !read_only);
        CU_ASSERT_EQUAL(access(merging_data_file(chain.path, 0, 2), F_OK), 0);
        CU_ASSERT_EQUAL(access(merging_data_file(chain.path, 0, 3), F_OK), 0);
    }
    fixture_remove(merging_data_file(chain.path, 0, 2));
    open_store(chain.path, false);
    CU_ASSERT(book_agrees(&chain.book, root));
    close_store();
    release_chain(&chain);
}

static void two_segments_of_one_id_are_refused(void)
{
    struct chain chain;
    bitcask_value *value = NULL;
    size_t size;

    make_chain(&chain, "twice");
    const char *active = fixture_partition_file(chain.path, 0, "active.data");
    uint8_t *good = fixture_read(active, &size);
    for (int from = 0; from < 4; from++) { /* each of them claims an id that is sealed, or covered */
        fixture_write(active, chain.data[from], chain.data_size[from]);
        for (int read_only = 0; read_only < 2; read_only++) {
            bitcask_status status = try_open(chain.path, read_only);

            if (status == BITCASK_OK) status = bitcask_get(root, "k", 1, &value);
            EXPECT_DETAIL(BITCASK_CORRUPT, "active.data", status);
            bitcask_partition_close(&root);
            (void)bitcask_close(&db);
        }
    }
    fixture_write(active, good, size);
    free(good);
    open_store(chain.path, false);
    CU_ASSERT(book_agrees(&chain.book, root));
    close_store();
    release_chain(&chain);
}

/* ---- what lies about ---- */

static void leftovers_go_and_strangers_stay(void)
{
    static const char *const leftovers[] = {"new.tmp", "merge.tmp", "hint.tmp", "000777.hint", "000001.hint"};
    static const char *const strangers[] = {"notes.txt", "000009.data.bak", "9.data", "000003.damaged", "index.old"};
    struct chain chain;

    make_chain(&chain, "leftovers");
    for (int read_only = 1; read_only >= 0; read_only--) {
        for (size_t i = 0; i < 5; i++) {
            fixture_write(fixture_partition_file(chain.path, 0, leftovers[i]), "left behind", 11);
            fixture_write(fixture_partition_file(chain.path, 0, strangers[i]), "not ours", 8);
        }
        open_store(chain.path, read_only);
        CU_ASSERT(book_agrees(&chain.book, root));
        for (size_t i = 0; i < 5; i++) {
            CU_ASSERT_EQUAL(fixture_size(fixture_partition_file(chain.path, 0, strangers[i])), 8);
            CU_ASSERT_EQUAL(access(fixture_partition_file(chain.path, 0, leftovers[i]), F_OK) == 0, read_only);
        }
        CU_ASSERT_EQUAL(lines, 1); /* one of them is named, and that there are others */
        CU_ASSERT_PTR_NOT_NULL(strstr(said, "left alone"));
        CU_ASSERT_PTR_NOT_NULL(strstr(said, "and others"));
        close_store();
    }
    for (size_t i = 1; i < 5; i++) fixture_remove(fixture_partition_file(chain.path, 0, strangers[i]));
    open_store(chain.path, false);
    CU_ASSERT(book_agrees(&chain.book, root));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "notes.txt"));
    CU_ASSERT_PTR_NULL(strstr(said, "and others"));
    close_store();
    release_chain(&chain);
}

/* ---- beside a writer ---- */

/* A reader has its files open, whatever becomes of their names; a new one sees what is there then. */
static void reader_goes_on_over_the_writers_merges(void)
{
    const char *path = fixture_path("beside");
    bitcask *writer = NULL;
    bitcask_partition *written = NULL;
    struct book book, then;

    book_open(&book, 500, 100);
    book_open(&then, 500, 100);
    open_store(path, false);
    writer = db;
    written = root;
    db = NULL;
    root = NULL;
    for (int round = 0; round < 6; round++) {
        EXPECT(BITCASK_OK, book_put_batch(&book, written, (size_t)round * 50, 200));
        for (size_t key = (size_t)round; key < 500; key += 9) EXPECT(BITCASK_OK, book_delete(&book, written, key));
        EXPECT(BITCASK_OK, merging_rotate(written));
        open_store(path, true);
        memcpy(then.counts, book.counts, 500 * sizeof *book.counts);
        CU_ASSERT(book_agrees_key(&then, root, 250));
        EXPECT(BITCASK_OK, book_put_batch(&book, written, 0, 500));
        EXPECT(BITCASK_OK, merging_all(written, BC_MERGE_FULL, NULL, NULL));
        CU_ASSERT(book_agrees(&then, root));
        close_store();
        open_store(path, true);
        CU_ASSERT(book_agrees(&book, root));
        close_store();
    }
    bitcask_partition_close(&written);
    EXPECT(BITCASK_OK, bitcask_close(&writer));
    book_close(&book);
    book_close(&then);
}

int main(void)
{
    bc_checkpoint_limits.least = UINT64_MAX; /* what is tried here is what opens without one */
    static CU_TestInfo tests[] = {
        {"opening reads hints and the tail alone, of small values",
         opening_reads_hints_and_the_tail_alone_of_small_values},
        {"opening reads hints and the tail alone, of large values",
         opening_reads_hints_and_the_tail_alone_of_large_values},
        {"equal with hints, and without, and with some damaged", equal_with_hints_and_without_and_with_some_damaged},
        {"clean close leaves nothing to scan", clean_close_leaves_nothing_to_scan},
        {"no byte of a hint is believed unchecked", no_byte_of_a_hint_is_believed_unchecked},
        {"hint of another segment or generation is not believed",
         hint_of_another_segment_or_generation_is_not_believed},
        {"older hint of the active segment stands for its beginning",
         older_hint_of_the_active_segment_stands_for_its_beginning},
        {"gap in the ids is fine", gap_in_the_ids_is_fine},
        {"superseded file that is back is ignored and removed", superseded_file_that_is_back_is_ignored_and_removed},
        {"coverage that crosses is refused", coverage_that_crosses_is_refused},
        {"two segments of one id are refused", two_segments_of_one_id_are_refused},
        {"leftovers go and strangers stay", leftovers_go_and_strangers_stay},
        {"reader goes on over the writer's merges", reader_goes_on_over_the_writers_merges},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("bootstrap", tests);
}
