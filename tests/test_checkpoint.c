/* test_checkpoint.c - checkpoints of the index: what opening from one costs and gives, when one is written, and what
 * comes of it where that fails.
 *
 * What random operations leave is tested by test_model, what crashes leave by test_crash_checkpoint.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "partition/checkpoint.h"
#include "saved_store.h"

/* ---- what it costs, what it gives ---- */

static void opening_reads_the_checkpoint_and_the_tail_alone(void)
{
    const char *path = fixture_path("tail"), *killed = fixture_path("tail-killed");
    struct book book;
    uint64_t log;

    book_open(&book, 20000, 100);
    saved_open(path, false);
    saved_scribble(&book, 30000, 1);
    EXPECT(BITCASK_OK, saved_save(saved_root));
    saved_scribble(&book, 100, 2); /* some 14 KB */
    fixture_copy(path, killed);
    saved_close();
    log = merging_bytes(killed, 0, ".data", NULL);
    CU_ASSERT(log > 3000000);
    for (int i = 0; i < 2; i++) {
        bitcask_stats stats;
        saved_open(killed, i == 0);                                      /* a reader first, who changes nothing */
        EXPECT(BITCASK_OK, bitcask_partition_stats(saved_root, &stats)); /* which is not cold */
        CU_ASSERT(saved_is(saved_root));
        /* Headers of 50 segments and of the store's own, and the tail twice: it is written again. */
        CU_ASSERT(saved_count.bytes[IO_COUNT_DATA] < 60 * 4300 + 2 * 20000);
        CU_ASSERT(saved_count.bytes[IO_COUNT_HINT] < 60 * 200);
        CU_ASSERT(saved_count.bytes[IO_COUNT_OTHER] < fixture_size(saved_file(killed)) + 100000);
        CU_ASSERT(saved_count.bytes[IO_COUNT_DATA] + saved_count.bytes[IO_COUNT_HINT] < log / 8);
        CU_ASSERT(book_agrees(&book, saved_root));
        CU_ASSERT(merging_accounts_agree(saved_root));
        /* What was laid out behind the log is cut off by who writes; nothing else is worth a line. */
        CU_ASSERT(*saved_said == '\0' || strstr(saved_said, "laid out for later writes") != NULL);
        saved_close();
    }
    book_close(&book);
}

static void attributes_partitions_and_internal_keys_come_back(void)
{
    const char *path = fixture_path("attributes");
    bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | BITCASK_ATTR_MTIME | BITCASK_ATTR_UID,
                           .mode = 0100640,
                           .mtime_ns = 12345,
                           .uid = 77};
    bitcask_write_options options = {.attrs = &attrs};
    static const uint8_t internal[3] = {0, 0x7e, 1};
    struct bc_write write = {.key = internal, .key_size = 3, .value = "v", .value_size = 1};
    struct bc_partition *instance;
    bitcask_partition *sub = NULL;
    bitcask_entry before, after;

    saved_open(path, false);
    EXPECT(BITCASK_OK, bitcask_put(saved_root, "with", 4, "value", 5, &options, NULL));
    EXPECT(BITCASK_OK, put_text(saved_root, "gone", "x", 0));
    EXPECT(BITCASK_OK, delete_text(saved_root, "gone", 0));
    EXPECT(BITCASK_OK, bitcask_partition_create(saved_root, "sub", 3, &attrs, 0, &sub));
    EXPECT(BITCASK_OK, put_text(sub, "below", "y", 0));
    EXPECT(BITCASK_OK, bc_node_pin(saved_root, &instance));
    bc_fair_lock_soon(&instance->write_lock);
    EXPECT(BITCASK_OK, bc_partition_append(instance, &write, 1, true, 0));
    bc_fair_unlock(&instance->write_lock);
    bc_node_unpin(saved_root);
    EXPECT(BITCASK_OK, bitcask_stat(saved_root, "with", 4, &before));
    bitcask_partition_close(&sub);
    saved_close();
    merging_each_file(path, 0, ".hint", saved_remove_file, NULL);
    for (int read_only = 0; read_only < 2; read_only++) {
        saved_open(path, read_only);
        CU_ASSERT(saved_is(saved_root));
        EXPECT(BITCASK_OK, bitcask_stat(saved_root, "with", 4, &after));
        CU_ASSERT(after.version == before.version && after.attrs.mode == 0100640 && after.attrs.uid == 77 &&
                  after.attrs.mtime_ns == 12345 && after.value_size == 5);
        CU_ASSERT_STRING_EQUAL(get_text(saved_root, "with"), "value");
        CU_ASSERT_STRING_EQUAL(get_text(saved_root, "gone"), "-");
        EXPECT(BITCASK_OK, bc_node_pin(saved_root, &instance));
        EXPECT(BITCASK_OK, bc_partition_find(instance, internal, 3, NULL));
        bc_node_unpin(saved_root);
        EXPECT(BITCASK_OK, bitcask_partition_open(saved_db, "sub", &sub));
        CU_ASSERT_STRING_EQUAL(get_text(sub, "below"), "y");
        CU_ASSERT(saved_is(sub));
        bitcask_partition_close(&sub);
        saved_close();
    }
}

static void versions_go_on_where_they_were(void)
{
    struct bc_sim *sim = bc_sim_open(3), *killed;
    struct bc_partition *instance;
    uint64_t before = 0, after = 0;

    merging_open_on(sim, &saved_db, &saved_root);
    EXPECT(BITCASK_OK, bitcask_put(saved_root, "a", 1, "1", 1, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_put(saved_root, "b", 1, "1", 1, NULL, &before));
    EXPECT(BITCASK_OK,
           bitcask_delete(saved_root, "b", 1, NULL)); /* the highest version is that of nothing in the index */
    EXPECT(BITCASK_OK, saved_save(saved_root));
    killed = bc_sim_power_cut(sim, BC_SIM_CUT_ALL, 0); /* no closing mark, that would say it too */
    saved_close();
    bc_sim_set_clock(killed, 1000);
    merging_open_on(killed, &saved_db, &saved_root);
    EXPECT(BITCASK_OK, bc_node_pin(saved_root, &instance));
    CU_ASSERT(instance->checkpoint.id != 0);
    bc_node_unpin(saved_root);
    EXPECT(BITCASK_OK, bitcask_put(saved_root, "c", 1, "1", 1, NULL, &after));
    CU_ASSERT(after > before + 1);
    saved_close();
    bc_sim_close(&killed);
    bc_sim_close(&sim);
}

static void unchanged_partition_is_not_written_again(void)
{
    const char *path = fixture_path("unchanged");
    struct book book;
    uint64_t digest;

    book_open(&book, 3000, 100);
    saved_open(path, false);
    saved_scribble(&book, 4000, 1);
    saved_close();
    CU_ASSERT(fixture_size(saved_file(path)) != UINT64_MAX);
    for (int i = 0; i < 3; i++) {
        size_t size;
        uint8_t *bytes = fixture_read(saved_file(path), &size), *now;

        saved_open(path, false);
        if (i > 0) CU_ASSERT(book_agrees(&book, saved_root)); /* warm */
        saved_close();
        digest = fixture_digest(path);
        now = fixture_read(saved_file(path), &size);
        CU_ASSERT(memcmp(bytes, now, size) == 0); /* the id is another one each time */
        free(bytes);
        free(now);
    }
    CU_ASSERT_EQUAL(digest, fixture_digest(path));
    saved_expect_book(path, &book, false);
    book_close(&book);
}

static void small_logs_get_none(void)
{
    const char *path = fixture_path("small");
    const struct bc_checkpoint_limits usual = {.keys = 256, .least = 64 * 1024, .growth = 32 * 1024 * 1024};
    struct book book;

    bc_checkpoint_limits = usual;
    book_open(&book, 1000, 100);
    saved_open(path, false);
    for (size_t key = 0; key < 10; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
    saved_close();
    CU_ASSERT_EQUAL(fixture_size(saved_file(path)), UINT64_MAX);
    saved_open(path, false);
    for (size_t key = 0; key < 2000; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key % 100));
    saved_close(); /* long enough, but of few keys */
    CU_ASSERT_EQUAL(fixture_size(saved_file(path)), UINT64_MAX);
    saved_open(path, false);
    for (size_t key = 10; key < 900; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
    saved_close();
    CU_ASSERT(fixture_size(saved_file(path)) != UINT64_MAX);
    saved_want_all();
    saved_expect_book(path, &book, false);
    book_close(&book);
}

/* ---- in the background ---- */

static void grown_logs_get_one_in_the_background(void)
{
    const char *path = fixture_path("background");
    bitcask_options options;
    struct book book;
    uint64_t first;

    bc_checkpoint_limits.growth = 100000;
    bitcask_options_init(&options);
    options.create = true;
    options.sync_interval_ms = 5;
    book_open(&book, 2000, 100);
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &saved_db));
    EXPECT(BITCASK_OK, bitcask_partition_open(saved_db, "", &saved_root));
    for (size_t i = 0; i < 500; i++) EXPECT(BITCASK_OK, book_put(&book, saved_root, i));
    usleep(50000);
    CU_ASSERT_EQUAL(fixture_size(saved_file(path)), UINT64_MAX); /* 71 KB are not enough */
    for (size_t i = 500; i < 1000; i++) EXPECT(BITCASK_OK, book_put(&book, saved_root, i));
    for (int i = 0; i < 20000 && fixture_size(saved_file(path)) == UINT64_MAX; i++) usleep(5000);
    first = fixture_size(saved_file(path));
    CU_ASSERT(first != UINT64_MAX);
    /* Durable puts leave the thread that syncs nothing to sync; it comes by all the same. */
    const bitcask_write_options durable = {.flags = BITCASK_DURABLE};
    static char value[1000];
    for (unsigned i = 0; i < 400; i++) {
        char name[16];
        size_t size = (size_t)snprintf(name, sizeof name, "durable%u", i % 300);
        EXPECT(BITCASK_OK, bitcask_put(saved_root, name, size, value, sizeof value, &durable, NULL));
    }
    for (int i = 0; i < 20000 && fixture_size(saved_file(path)) == first; i++) usleep(5000);
    CU_ASSERT(fixture_size(saved_file(path)) != first);
    CU_ASSERT(book_agrees(&book, saved_root));
    saved_close();
    bc_checkpoint_limits.growth = 32 * 1024 * 1024;
    saved_expect_book(path, &book, false);
    book_close(&book);
}

/* What a thread of its own goes on with while checkpoints are written. */
struct scribbler {
    struct book *book;
    pthread_mutex_t lock; /* held during each operation */
    atomic_bool stop;
    uint64_t seed;
    uint64_t operations;
};

static void *go_on_writing(void *context)
{
    struct scribbler *scribbler = context;

    while (!atomic_load(&scribbler->stop)) {
        pthread_mutex_lock(&scribbler->lock);
        size_t key = fixture_below(&scribbler->seed, scribbler->book->keys);
        if (fixture_below(&scribbler->seed, 4))
            (void)book_put(scribbler->book, saved_root, key);
        else
            (void)book_delete(scribbler->book, saved_root, key);
        if (fixture_below(&scribbler->seed, 3000) == 0) (void)merging_rotate(saved_root);
        scribbler->operations++;
        pthread_mutex_unlock(&scribbler->lock);
    }
    return NULL;
}

/* Of several shards, so that blocks hold what was written since the first one was copied. */
static void checkpoints_beside_a_writer_are_right(void)
{
    const char *path = fixture_path("beside"), *copy = fixture_path("beside-copy");
    struct book book;
    struct scribbler scribbler = {.book = &book, .seed = fixture_number("SEED", 5)};
    pthread_t thread;
    bitcask *own = NULL;
    bitcask_partition *own_root = NULL;
    size_t loaded = 0;

    book_open(&book, 130000, 20);
    merging_open(path, 4 << 20, &own, &own_root);
    saved_root = own_root;
    for (size_t key = 0; key < book.keys; key += 1000) EXPECT(BITCASK_OK, book_put_batch(&book, saved_root, key, 1000));
    pthread_mutex_init(&scribbler.lock, NULL);
    pthread_create(&thread, NULL, go_on_writing, &scribbler);
    for (int i = 0; i < 4; i++) {
        EXPECT(BITCASK_OK, saved_save(own_root));
        usleep(2000);
        if (i < 2) continue;
        pthread_mutex_lock(&scribbler.lock);
        saved_forbid_closing();
        fixture_copy(path, copy); /* as if killed */
        saved_open(copy, false);
        loaded += saved_is(saved_root);
        CU_ASSERT(book_agrees(&book, saved_root));
        CU_ASSERT(merging_accounts_agree(saved_root));
        saved_close();
        saved_root = own_root;
        saved_want_all();
        fixture_remove(copy);
        pthread_mutex_unlock(&scribbler.lock);
    }
    atomic_store(&scribbler.stop, true);
    pthread_join(thread, NULL);
    pthread_mutex_destroy(&scribbler.lock);
    CU_ASSERT_EQUAL(loaded, 2);
    CU_ASSERT(scribbler.operations > 10);
    CU_ASSERT(merging_accounts_agree(own_root));
    bitcask_partition_close(&own_root);
    EXPECT(BITCASK_OK, bitcask_close(&own));
    saved_expect_book(path, &book, false);
    fixture_remove(path);
    book_close(&book);
}

/* ---- when it cannot be written ---- */

static void failure_to_write_one_costs_nothing_else(void)
{
    static const enum bc_sim_call kinds[] = {BC_SIM_OPEN,  BC_SIM_PWRITEV, BC_SIM_FDATASYNC, BC_SIM_RENAME,
                                             BC_SIM_PREAD, BC_SIM_CLOSE,   BC_SIM_RANDOM};
    static const int errors[] = {ENOSPC, EIO};

    for (size_t kind = 0; kind < 7; kind++)
        for (int e = 0; e < 2; e++)
            for (uint64_t n = 1;; n++) {
                struct bc_sim *sim = bc_sim_open(5);
                struct book book;
                uint64_t calls;
                bool old = n % 2, log_failed, reached;

                book_open(&book, 30, 100);
                saved_forbid_closing();
                merging_open_on(sim, &saved_db, &saved_root);
                for (size_t key = 0; key < 20; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
                if (old) EXPECT(BITCASK_OK, saved_save(saved_root));
                for (size_t key = 0; key < 20; key += 3) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
                calls = bc_sim_calls(sim, kinds[kind]);
                bc_sim_fail(sim, kinds[kind], n, errors[e], false);
                bc_status status = saved_save(saved_root);
                reached = bc_sim_calls(sim, kinds[kind]) - calls >= n;
                bc_sim_fail(sim, kinds[kind], 0, 0, false);
                CU_ASSERT(status != BITCASK_OK || !reached || kinds[kind] == BC_SIM_PREAD ||
                          kinds[kind] == BC_SIM_OPEN);
                CU_ASSERT_EQUAL(saved_is(saved_root), old || status == BITCASK_OK);
                log_failed = status != BITCASK_OK && saved_is_poisoned(saved_root); /* its sync, or that of its names */
                CU_ASSERT(!log_failed || kinds[kind] == BC_SIM_FDATASYNC || kinds[kind] == BC_SIM_OPEN);
                EXPECT(log_failed ? BITCASK_POISONED : BITCASK_OK,
                       bitcask_put(saved_root, "next", 4, "x", 1, NULL, NULL));
                CU_ASSERT(book_agrees(&book, saved_root));
                bitcask_partition_close(&saved_root);
                status = bitcask_close(&saved_db);
                CU_ASSERT(log_failed || status == BITCASK_OK);
                CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
                saved_want_all();
                merging_open_on(sim, &saved_db, &saved_root);
                CU_ASSERT(book_agrees(&book, saved_root));
                CU_ASSERT(merging_accounts_agree(saved_root));
                saved_close();
                bc_sim_close(&sim);
                book_close(&book);
                if (!reached) break;
            }
}

static void full_disk_allows_a_close_and_leaves_nothing_behind(void)
{
    struct bc_sim *sim = bc_sim_open(6);
    struct book book;
    int fd = -1;

    book_open(&book, 30, 100);
    merging_open_on(sim, &saved_db, &saved_root);
    for (size_t key = 0; key < 20; key++) EXPECT(BITCASK_OK, book_put(&book, saved_root, key));
    EXPECT(BITCASK_OK, bitcask_sync(saved_db));
    bc_sim_fail(sim, BC_SIM_PWRITEV, 2, ENOSPC, true); /* no hint either */
    saved_close();
    bc_sim_fail(sim, BC_SIM_PWRITEV, 0, 0, false);
    merging_open_on(sim, &saved_db, &saved_root);
    EXPECT(BITCASK_NOT_FOUND,
           bc_io_open(bc_sim_io(sim), BC_AT_CWD, "/store/partitions/00/0000000000000000/index.tmp", BC_OPEN_READ, &fd));
    CU_ASSERT(book_agrees(&book, saved_root));
    saved_close();
    bc_sim_close(&sim);
    book_close(&book);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"opening reads the checkpoint and the tail alone", opening_reads_the_checkpoint_and_the_tail_alone},
        {"attributes, partitions and internal keys come back", attributes_partitions_and_internal_keys_come_back},
        {"versions go on where they were", versions_go_on_where_they_were},
        {"unchanged partition is not written again", unchanged_partition_is_not_written_again},
        {"small logs get none", small_logs_get_none},
        {"grown logs get one in the background", grown_logs_get_one_in_the_background},
        {"checkpoints beside a writer are right", checkpoints_beside_a_writer_are_right},
        {"failure to write one costs nothing else", failure_to_write_one_costs_nothing_else},
        {"full disk allows a close and leaves nothing behind", full_disk_allows_a_close_and_leaves_nothing_behind},
        CU_TEST_INFO_NULL,
    };
    saved_want_all();
    return fixture_run("checkpoint", tests);
}
