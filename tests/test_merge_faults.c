/* test_merge_faults.c - merges that do not come to their end: cancelled, on a full or failing disk, in a power cut,
 * over damaged segments. The inputs are what they were, or the output is all they were; nothing is left lying about.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io_sim.h"
#include "log/hint.h"
#include "merging.h"

#define KEYS 60u
#define FAILURES_TOLD 5

static struct bc_sim *sim;
static bitcask *db;
static bitcask_partition *root;
static uint64_t seed;

static bitcask_options options_for_tests(void)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    bc_io_posix()->background = false; /* hints at once, not a second later */
    options.segment_size = 1024 * 1024;
    return options;
}

static bitcask_status try_open_on_sim(void)
{
    bitcask_options options = options_for_tests();
    bitcask_status status = bc_db_open(bc_sim_io(sim), "/store", &options, &db);

    if (status == BITCASK_OK) status = bitcask_partition_open(db, "", &root);
    return status;
}

static void open_on_sim(void)
{
    EXPECT(BITCASK_OK, try_open_on_sim());
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
}

static void open_on_disk(const char *path)
{
    bitcask_options options = options_for_tests();

    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static bitcask_status close_store(void)
{
    bitcask_partition_close(&root);
    return bitcask_close(&db);
}

/* ---- cancelled ---- */

struct pacer {
    unsigned calls, cancel_at;
};

static bool count_down(void *context, uint64_t bytes)
{
    struct pacer *pacer = context;

    (void)bytes;
    return ++pacer->calls != pacer->cancel_at;
}

/* Three segments with something live and something dead in each, and something in the active one. */
static void fill(struct book *book)
{
    const size_t n = book->keys, from[3] = {0, n / 2, n / 4}, to[3] = {n, n, n * 5 / 8};

    for (int round = 0; round < 3; round++) {
        EXPECT(BITCASK_OK, book_put_batch(book, root, from[round], to[round] - from[round]));
        for (size_t key = (size_t)round; key < book->keys; key += 5) EXPECT(BITCASK_OK, book_delete(book, root, key));
        EXPECT(BITCASK_OK, merging_rotate(root));
    }
    EXPECT(BITCASK_OK, book_put(book, root, 3));
    EXPECT(BITCASK_OK, book_delete(book, root, 4));
}

static void cancelled_merge_leaves_everything_as_it_was(void)
{
    const char *path = fixture_path("cancelled");
    struct pacer pacer = {0};
    const struct bc_merge_hooks hooks = {count_down, &pacer};
    bitcask_status status = BITCASK_CANCELLED;
    struct book book;

    book_open(&book, 6000, 500);
    open_on_disk(path);
    fill(&book);
    EXPECT(BITCASK_OK, bitcask_sync(db));
    uint64_t before = fixture_digest(path);
    for (unsigned at = 1; status == BITCASK_CANCELLED; at++) {
        bitcask_merge_result result = {0};

        pacer = (struct pacer){.cancel_at = at};
        status = merging_run(root, 1, 3, &hooks, &result);
        if (status != BITCASK_CANCELLED) break;
        CU_ASSERT_EQUAL(pacer.calls, at); /* it is not asked again */
        CU_ASSERT(result.merges == 0 && result.bytes_in == 0);
        CU_ASSERT_EQUAL(fixture_digest(path), before);
    }
    EXPECT(BITCASK_OK, status); /* the one that was not cancelled */
    CU_ASSERT(pacer.calls >= 6);
    CU_ASSERT(book_agrees(&book, root));
    CU_ASSERT(merging_accounts_agree(root));
    EXPECT(BITCASK_OK, close_store());
    open_on_disk(path);
    CU_ASSERT(book_agrees(&book, root));
    EXPECT(BITCASK_OK, close_store());
    book_close(&book);
}

struct dropper {
    struct bc_partition *instance;
    pthread_t thread;
    bool started;
    bitcask_status status;
};

static void *drop_sub(void *argument)
{
    struct dropper *dropper = argument;

    dropper->status = bitcask_partition_drop(root, "sub", 3, 0);
    return NULL;
}

/* Has the partition dropped by another thread, which then waits for the merge to end. */
static bool drop_meanwhile(void *context, uint64_t bytes)
{
    struct dropper *dropper = context;

    (void)bytes;
    if (dropper->started) return true;
    dropper->started = true;
    if (pthread_create(&dropper->thread, NULL, drop_sub, dropper) != 0) exit(99);
    for (int i = 0; i < 20000 && !atomic_load(&dropper->instance->dropped); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    return true;
}

static void merge_of_a_dropped_partition_is_cancelled(void)
{
    const char *path = fixture_path("dropped");
    struct dropper dropper = {0};
    const struct bc_merge_hooks hooks = {drop_meanwhile, &dropper};
    bitcask_partition *sub = NULL;
    struct book book;

    book_open(&book, 3000, 40);
    open_on_disk(path);
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "sub", 3, NULL, 0, &sub));
    EXPECT(BITCASK_OK, book_put_batch(&book, sub, 0, book.keys));
    for (size_t key = 0; key < book.keys; key++) EXPECT(BITCASK_OK, book_delete(&book, sub, key));
    EXPECT(BITCASK_OK, merging_rotate(sub));
    uint64_t id = bitcask_partition_id(sub);
    EXPECT(BITCASK_OK, bc_node_pin(sub, &dropper.instance));
    bc_node_unpin(sub);
    EXPECT(BITCASK_CANCELLED, merging_run(sub, 1, 1, &hooks, NULL));
    CU_ASSERT_FATAL(dropper.started);
    pthread_join(dropper.thread, NULL);
    EXPECT(BITCASK_OK, dropper.status);
    EXPECT(BITCASK_NOT_FOUND, merging_run(sub, 1, 1, &hooks, NULL));
    bitcask_partition_close(&sub);
    EXPECT(BITCASK_OK, close_store());
    CU_ASSERT_EQUAL(merging_bytes(path, id, "", NULL), 0);
    open_on_disk(path);
    EXPECT(BITCASK_NOT_FOUND, bitcask_partition_open(db, "sub", &sub));
    EXPECT(BITCASK_OK, close_store());
    book_close(&book);
}

/* ---- a disk that fails ---- */

static const char *const call_names[BC_SIM_CALLS] = {
    "open", "close", "pread", "pwritev", "fdatasync", "sync_dir", "truncate", "allocate",
    "info", "mkdir", "rmdir", "rename",  "unlink",    "list",     "lock",     "random"};

/* Where the partition stood when it was last synced, and where it stands now. */
struct span {
    struct book durable, now;
};

static void span_close(struct span *span)
{
    book_close(&span->durable);
    book_close(&span->now);
}

/* Three segments of little, durable; then changes that are not. */
static void begin_span(struct span *span)
{
    book_open(&span->now, KEYS, 100);
    book_open(&span->durable, KEYS, 100);
    sim = bc_sim_open(seed);
    open_on_sim();
    fill(&span->now);
    EXPECT(BITCASK_OK, bitcask_sync(db));
    memcpy(span->durable.counts, span->now.counts, KEYS * sizeof *span->now.counts);
    for (size_t key = 10; key < 30; key++) {
        EXPECT(BITCASK_OK, key % 2 ? book_put(&span->now, root, key) : book_delete(&span->now, root, key));
    }
}

/* Whether each key has one of the states that it had from the last sync on. */
static bool is_within(const struct span *span)
{
    bool good = true;

    for (size_t key = 0; key < KEYS; key++) {
        static char expected[BOOK_VALUE_MAX];
        char name[20];
        size_t name_size = book_key(key, name);
        bitcask_value *value = NULL;
        bitcask_status status = bitcask_get(root, name, name_size, &value);
        bool found = false;

        for (uint64_t c = span->durable.counts[key]; c <= span->now.counts[key] && !found; c++) {
            size_t size = book_value(&span->now, key, c, expected);

            if (c == 0 || c % 2)
                found = status == BITCASK_NOT_FOUND;
            else
                found = status == BITCASK_OK && bitcask_value_size(value) == size &&
                        memcmp(bitcask_value_data(value), expected, size) == 0;
        }
        if (!found)
            fprintf(stderr, "%s: %s; not what it was from count %llu to %llu\n", name, bitcask_status_text(status),
                    (unsigned long long)span->durable.counts[key], (unsigned long long)span->now.counts[key]);
        bitcask_value_unpin(&value);
        good = good && found;
    }
    return good;
}

static bool is_tidy_name(void *context, const char *name)
{
    unsigned *strange = context;
    uint32_t id;

    if (strcmp(name, "active.data") != 0 && !bc_segment_parse_name(name, &id) && !bc_hint_parse_name(name, &id)) {
        fprintf(stderr, "left behind: %s\n", name);
        ++*strange;
    }
    return true;
}

static bool is_tidy(void)
{
    struct bc_io *io = bc_sim_io(sim);
    unsigned strange = 0;
    int fd = io->ops->open(io, BC_AT_CWD, "/store/partitions/00/0000000000000000", BC_OPEN_DIRECTORY);

    if (fd < 0 || io->ops->list(io, fd, is_tidy_name, &strange) < 0) strange++;
    io->ops->close(io, fd);
    return strange == 0;
}

/* After a power cut now: opens, holds what it should, and can be merged; then a durable put and one more cut. */
static bool survives_cut(const struct span *span, enum bc_sim_cut cut, uint64_t cut_seed)
{
    struct bc_sim *before = sim;
    bitcask *was = db;
    bitcask_partition *was_root = root;
    bool good;

    db = NULL;
    root = NULL;
    sim = bc_sim_power_cut(before, cut, cut_seed);
    good = fixture_expect(BITCASK_OK, try_open_on_sim(), "open after a power cut", __FILE__, __LINE__) &&
           is_within(span) && is_tidy() && merging_accounts_agree(root) && put_text(root, "new", "v", 0) == BITCASK_OK;
    if (good) good = fixture_expect(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL), "merge", __FILE__, 0);
    good = good && is_within(span) && merging_accounts_agree(root);
    good = close_store() == BITCASK_OK && good && bc_sim_handles(sim) == 0;
    bc_sim_close(&sim);
    sim = before;
    db = was;
    root = was_root;
    return good;
}

/* Opens the store again, on the same system, writes durably, and cuts the power. */
static bool survives_reopening(const struct span *span, const struct book *expected, bool names_failed)
{
    bool good = fixture_expect(BITCASK_OK, try_open_on_sim(), "reopen", __FILE__, __LINE__);

    good = good && book_agrees(expected, root) && is_tidy() && merging_accounts_agree(root);
    good =
        good && put_text(root, "last", "v", BITCASK_DURABLE) == BITCASK_OK && survives_cut(span, BC_SIM_CUT_SYNCED, 1);
    /* This syncs the directory, and with it what the open has removed. Where an earlier sync of it has failed, names
     * may be on disk otherwise than they look, and nothing but a look after the next power cut would show. */
    if (!names_failed) good = good && merging_rotate(root) == BITCASK_OK && survives_cut(span, BC_SIM_CUT_SYNCED, 1);
    if (good) good = fixture_expect(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL), "merge", __FILE__, 0);
    good = good && book_agrees(expected, root) && survives_cut(span, BC_SIM_CUT_SYNCED, 1);
    return close_store() == BITCASK_OK && good && bc_sim_handles(sim) == 0;
}

/* One merge whose call n of a kind fails. Whether there was one. */
static bool merge_with_failure(enum bc_sim_call kind, uint64_t n, int error, unsigned *failed)
{
    struct span span;
    bitcask_status status;
    uint64_t calls;
    bool good, hit;

    begin_span(&span);
    calls = bc_sim_calls(sim, kind);
    bc_sim_fail(sim, kind, n, error, false);
    status = merging_run(root, 1, 3, NULL, NULL);
    hit = bc_sim_calls(sim, kind) - calls >= n;
    bc_sim_fail(sim, kind, 0, 0, false);
    good = book_agrees(&span.now, root) && merging_accounts_agree(root);
    good = survives_cut(&span, BC_SIM_CUT_SYNCED, 1) && good;
    for (uint64_t i = 0; i < 4; i++) good = survives_cut(&span, BC_SIM_CUT_RANDOM, seed + n * 8 + i) && good;
    (void)close_store(); /* it may have no word to keep any more */
    good = bc_sim_handles(sim) == 0 && bc_sim_misuses(sim) == 0 && good;
    good = survives_reopening(&span, &span.now, kind == BC_SIM_SYNC_DIR) && good;
    if (!good && (*failed)++ < FAILURES_TOLD)
        fprintf(stderr, "SEED=%llu: %s %llu failed, and the merge: %s\n", (unsigned long long)seed, call_names[kind],
                (unsigned long long)n, bitcask_status_text(status));
    bc_sim_close(&sim);
    span_close(&span);
    return hit;
}

static void any_call_of_a_merge_may_fail(void)
{
    unsigned failed = 0, merges = 0;

    for (unsigned kind = 0; kind < BC_SIM_CALLS; kind++) {
        for (uint64_t n = 1; merge_with_failure(kind, n, EIO, &failed); n++) merges++;
    }
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT(merges > 25);
}

/* The power goes in changing call n of the merge of segments 1 to 3; or the process dies there, the store is opened
 * again, and the power goes then. Whether there was such a call. */
static bool merge_with_crash(struct span *span, uint64_t n, unsigned *failed)
{
    bool good = true, crashed;

    bc_sim_crash_at(sim, bc_sim_changes(sim) + n);
    (void)merging_run(root, 1, 3, NULL, NULL);
    crashed = bc_sim_crashed(sim);
    for (uint64_t i = 0; i < 2; i++) good = survives_cut(span, BC_SIM_CUT_ALL, i) && good;
    good = survives_cut(span, BC_SIM_CUT_SYNCED, 0) && good;
    for (uint64_t i = 0; i < 8; i++) good = survives_cut(span, BC_SIM_CUT_RANDOM, seed + n * 8 + i) && good;
    (void)close_store();
    bc_sim_kill(sim);
    good = fixture_expect(BITCASK_OK, try_open_on_sim(), "open after a kill", __FILE__, __LINE__) && good;
    good = good && book_agrees(&span->now, root) && is_tidy();
    for (uint64_t i = 0; i < 8; i++) good = good && survives_cut(span, BC_SIM_CUT_RANDOM, seed + n * 8 + i);
    if (!good && (*failed)++ < FAILURES_TOLD)
        fprintf(stderr, "SEED=%llu: crash at change %llu\n", (unsigned long long)seed, (unsigned long long)n);
    (void)close_store();
    bc_sim_close(&sim);
    span_close(span);
    return crashed;
}

static void power_may_go_at_any_call_of_a_merge(void)
{
    unsigned failed = 0;
    struct span span;
    uint64_t n = 1;

    for (begin_span(&span); merge_with_crash(&span, n, &failed); n++) begin_span(&span);
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT(n > 10);
}

/* Three segments of which a merge leaves nothing: what the last deletes stands in those before. */
static void begin_empty_span(struct span *span)
{
    static const size_t from[3] = {0, 30, 0};

    book_open(&span->now, KEYS, 20);
    book_open(&span->durable, KEYS, 20);
    sim = bc_sim_open(seed);
    open_on_sim();
    for (int i = 0; i < 3; i++) {
        for (size_t key = from[i]; key < KEYS; key += 3) {
            EXPECT(BITCASK_OK, i < 2 ? book_put(&span->now, root, key) : BITCASK_OK);
        }
        for (size_t key = 0; key < KEYS && i == 2; key++) EXPECT(BITCASK_OK, book_delete(&span->now, root, key));
        EXPECT(BITCASK_OK, merging_rotate(root));
    }
    EXPECT(BITCASK_OK, put_text(root, "active", "v", 0));
    EXPECT(BITCASK_OK, bitcask_sync(db));
    memcpy(span->durable.counts, span->now.counts, KEYS * sizeof *span->now.counts);
}

static void power_may_go_at_any_call_of_a_merge_that_leaves_nothing(void)
{
    unsigned failed = 0;
    struct span span;
    uint64_t n = 1;

    for (begin_empty_span(&span); merge_with_crash(&span, n, &failed); n++) begin_empty_span(&span);
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT(n > 10);
}

/* The two renames of a merge, of the hint and of the data: where one fails the inputs are in use as before, and the
 * hint that gave way to the output's is made anew. */
static void merge_that_gets_no_name_leaves_inputs_with_their_hints(void)
{
    for (uint64_t n = 1; n < 3; n++) {
        static bitcask_segment_info list[MERGING_SEGMENTS_MAX];
        struct bc_partition *instance;
        struct span span;

        begin_span(&span);
        EXPECT(BITCASK_OK, close_store()); /* all hints are made by now, and none is wanted */
        open_on_sim();
        CU_ASSERT(book_agrees(&span.now, root));
        bc_sim_fail(sim, BC_SIM_RENAME, n, EIO, false);
        EXPECT(BITCASK_IO, merging_run(root, 1, 3, NULL, NULL));
        CU_ASSERT_EQUAL(merging_segments(root, list), 4);
        CU_ASSERT(is_tidy());
        EXPECT(BITCASK_OK, close_store());
        open_on_sim();
        EXPECT(BITCASK_OK, bc_node_pin_reading(root, &instance));
        CU_ASSERT(atomic_load(&instance->cold)); /* so there are hints of all */
        bc_node_unpin(root);
        CU_ASSERT(book_agrees(&span.now, root));
        EXPECT(BITCASK_OK, merging_run(root, 1, 3, NULL, NULL));
        CU_ASSERT(book_agrees(&span.now, root));
        EXPECT(BITCASK_OK, close_store());
        bc_sim_close(&sim);
        span_close(&span);
    }
}

static void full_disk_is_found_out_before_a_byte_is_copied(void)
{
    static const int errors[] = {ENOSPC, EDQUOT};
    static const bitcask_status statuses[] = {BITCASK_NO_SPACE, BITCASK_QUOTA};

    for (size_t i = 0; i < 2; i++) {
        struct span span;

        begin_span(&span);
        uint64_t written = bc_io_count(&bc_sim_io(sim)->bytes_written);
        bc_sim_fail(sim, BC_SIM_ALLOCATE, 1, errors[i], true);
        EXPECT(statuses[i], merging_run(root, 1, 3, NULL, NULL));
        CU_ASSERT(bc_io_count(&bc_sim_io(sim)->bytes_written) - written < 200); /* a header, and one with the reserve */
        bc_sim_fail(sim, BC_SIM_ALLOCATE, 0, 0, false);
        CU_ASSERT(is_tidy());
        CU_ASSERT(book_agrees(&span.now, root));
        EXPECT(BITCASK_OK, merging_run(root, 1, 3, NULL, NULL)); /* room again */
        CU_ASSERT(book_agrees(&span.now, root));
        EXPECT(BITCASK_OK, close_store());
        bc_sim_close(&sim);
        span_close(&span);
    }
}

/* A merge that failed tells why, though it cleans up behind. */
static void failure_is_told_with_its_reason(void)
{
    struct span span;

    begin_span(&span);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 2, EIO, false);
    EXPECT_DETAIL(BITCASK_IO, "merge.tmp", merging_run(root, 1, 3, NULL, NULL));
    bc_sim_fail(sim, BC_SIM_FDATASYNC, 1, EIO, false); /* of the active segment */
    EXPECT_DETAIL(BITCASK_IO, "active.data", merging_run(root, 1, 3, NULL, NULL));
    EXPECT(BITCASK_POISONED, merging_run(root, 1, 3, NULL, NULL));
    CU_ASSERT(book_agrees(&span.now, root));
    (void)close_store();
    bc_sim_close(&sim);
    span_close(&span);
}

/* An input that could not be unlinked is superseded by the output; if that goes, being empty, the input must not be
 * there any more. */
static void input_that_stays_behind_does_not_come_back(void)
{
    for (int at_open = 0; at_open < 2; at_open++) {
        sim = bc_sim_open(seed);
        open_on_sim();
        EXPECT(BITCASK_OK, put_text(root, "a", "1", 0));
        EXPECT(BITCASK_OK, merging_rotate(root));
        EXPECT(BITCASK_OK, put_text(root, "b", "1", 0));
        EXPECT(BITCASK_OK, merging_rotate(root));
        bc_sim_fail(sim, BC_SIM_UNLINK, 1, EIO, false);
        EXPECT(BITCASK_OK, merging_run(root, 1, 2, NULL, NULL));
        if (at_open) { /* and again when it is to be removed at open */
            EXPECT(BITCASK_OK, close_store());
            bc_sim_fail(sim, BC_SIM_UNLINK, 1, EIO, true);
            open_on_sim();
            bc_sim_fail(sim, BC_SIM_UNLINK, 0, 0, false);
        }
        EXPECT(BITCASK_OK, delete_text(root, "a", 0));
        EXPECT(BITCASK_OK, delete_text(root, "b", 0));
        EXPECT(BITCASK_OK, merging_rotate(root));
        EXPECT(BITCASK_OK, merging_run(root, 2, 3, NULL, NULL));
        for (int i = 0; i < 2; i++) {
            EXPECT(BITCASK_OK, close_store());
            open_on_sim();
            CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "-");
            CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "-");
            EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
        }
        EXPECT(BITCASK_OK, close_store());
        CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
        bc_sim_close(&sim);
    }
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"cancelled merge leaves everything as it was", cancelled_merge_leaves_everything_as_it_was},
        {"merge of a dropped partition is cancelled", merge_of_a_dropped_partition_is_cancelled},
        {"any call of a merge may fail", any_call_of_a_merge_may_fail},
        {"power may go at any call of a merge", power_may_go_at_any_call_of_a_merge},
        {"power may go at any call of a merge that leaves nothing",
         power_may_go_at_any_call_of_a_merge_that_leaves_nothing},
        {"merge that gets no name leaves inputs with their hints",
         merge_that_gets_no_name_leaves_inputs_with_their_hints},
        {"full disk is found out before a byte is copied", full_disk_is_found_out_before_a_byte_is_copied},
        {"failure is told with its reason", failure_is_told_with_its_reason},
        {"input that stays behind does not come back", input_that_stays_behind_does_not_come_back},
        CU_TEST_INFO_NULL,
    };
    seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%llu\n", (unsigned long long)seed);
    return fixture_run("merge faults", tests);
}
