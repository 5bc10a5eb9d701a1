/* test_live_index.c - eight readers beside a writer that makes the index grow and shrink, and merges without a pause.
 * Made to be run under TSan.
 *
 * Some keys are always there: each get must find them, and each scan list them once, in order. The others come and go
 * in cycles of steps: step by step each is put in turn, then each deleted in turn. The writer says which step it has
 * begun and which it has done; a reader notes the one before and the other after, and so knows of many of them, too,
 * that they were there, or gone, all the while that it looked. SECONDS (default 3, with LONG=1 60) is how long it goes
 * on, but a whole cycle and a merge at least.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PASSING 35000u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PASSING 35000u
#endif
#endif
#ifndef PASSING
#define PASSING 50000u /* keys that come and go */
#endif

#define READERS 8u
#define STAYING 2000u
#define CYCLE (2u * PASSING) /* steps: PASSING puts, then as many deletions, in the same order */
#define NAME_SIZE 24u
#define VALUE_SIZE 64u

struct shared {
    bitcask *db;
    bitcask_partition *root;
    atomic_bool stop;
    atomic_uint failures;
    _Atomic uint64_t begun, done; /* steps, counted from the first cycle on */
    _Atomic uint64_t gets, scans, writes;
};

static struct shared shared;
static char staying[STAYING][NAME_SIZE + 1]; /* in order */

static void failed(const char *what, bitcask_status status)
{
    if (atomic_fetch_add(&shared.failures, 1) < 10)
        fprintf(stderr, "%s: %s (%s)\n", what, bitcask_status_text(status), bitcask_error_detail());
    atomic_store(&shared.stop, true);
}

static bool good(const char *what, bitcask_status status)
{
    if (status != BITCASK_OK) failed(what, status);
    return status == BITCASK_OK;
}

static bool going_on(void)
{
    return !atomic_load(&shared.stop);
}

/* ---- keys ---- */

/* The kind and the number stand behind random digits: neighbours in one order are none in the other. */
static void make_name(char kind, unsigned number, char name[NAME_SIZE + 1])
{
    uint64_t state = number * 2u + (kind == 's');
    snprintf(name, NAME_SIZE + 1, "%016llx-%c%06u", (unsigned long long)fixture_random(&state), kind, number);
}

static void make_value(const char *name, uint64_t count, char value[VALUE_SIZE])
{
    memset(value, 0, VALUE_SIZE);
    snprintf(value, VALUE_SIZE, "%.24s %llu", name, (unsigned long long)count);
}

static bool is_value_of(const char *name, const void *data, uint64_t size)
{
    return size == VALUE_SIZE && memcmp(data, name, NAME_SIZE) == 0 && ((const char *)data)[NAME_SIZE] == ' ';
}

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, NAME_SIZE);
}

enum presence { PRESENT, ABSENT, CHANGING };

/* What is known of a passing key between two moments: all steps below done were over at the first, none from begun on
 * had begun at the second. */
static enum presence presence_of(unsigned number, uint64_t done, uint64_t begun)
{
    uint64_t cycle = done / CYCLE * CYCLE, put = cycle + number, deletion = put + PASSING;
    if (done <= put) return begun <= put ? ABSENT : CHANGING; /* its deletion was a step of the cycle before */
    if (done <= deletion) return begun <= deletion ? PRESENT : CHANGING;
    return begun <= put + CYCLE ? ABSENT : CHANGING;
}

/* ---- the writer ---- */

static bool write_staying(uint64_t *rng, uint64_t count)
{
    const char *name = staying[fixture_below(rng, STAYING)];
    char value[VALUE_SIZE];
    make_value(name, count, value);
    return good("put", bitcask_put(shared.root, name, NAME_SIZE, value, sizeof value, NULL, NULL));
}

static bool do_step(uint64_t step, bitcask_batch *batch)
{
    unsigned number = (unsigned)(step % PASSING);
    static char values[64][VALUE_SIZE]; /* a batch borrows them */
    char name[NAME_SIZE + 1], *value = values[step % 64];
    make_name('p', number, name);
    if (step % CYCLE >= PASSING)
        return good("delete", batch ? bitcask_batch_delete(batch, name, NAME_SIZE)
                                    : bitcask_delete(shared.root, name, NAME_SIZE, NULL));
    make_value(name, step, value);
    return good("put", batch ? bitcask_batch_put(batch, name, NAME_SIZE, value, VALUE_SIZE, NULL)
                             : bitcask_put(shared.root, name, NAME_SIZE, value, VALUE_SIZE, NULL, NULL));
}

static void *writer_main(void *argument)
{
    uint64_t rng = 1, step = 0;
    bitcask_batch *batch = NULL;
    (void)argument;
    good("batch", bitcask_batch_open(shared.root, &batch));
    while (going_on()) {
        bool together = fixture_below(&rng, 2);
        uint64_t count = together ? 1 + fixture_below(&rng, 60) : 1;
        bool fine = true;
        atomic_store(&shared.begun, step + count);
        for (uint64_t i = 0; fine && i < count; i++) fine = do_step(step + i, together ? batch : NULL);
        if (together) fine = fine && good("commit", bitcask_batch_commit(batch, 0, 0, NULL));
        if (!fine || !write_staying(&rng, step)) break;
        step += count;
        atomic_store(&shared.done, step);
        atomic_fetch_add(&shared.writes, count + 1);
    }
    bitcask_batch_close(&batch);
    return NULL;
}

static bool merge_on(void *context, const bitcask_progress *progress)
{
    (void)context, (void)progress;
    return going_on();
}

/* One call may take as long as the writer seals segments faster than it merges them. */
static void *merger_main(void *argument)
{
    (void)argument;
    for (unsigned i = 0; going_on(); i++) {
        bitcask_merge_options options = {.flags = i % 3 == 0 ? BITCASK_MERGE_FULL : 0, .progress = merge_on};
        if (i % 2 == 0) good("rotate", bitcask_rotate(shared.root, 0));
        bitcask_status status = bitcask_merge(shared.root, &options, NULL);
        if (status != BITCASK_CANCELLED || going_on()) good("merge", status);
    }
    return NULL;
}

/* ---- readers ---- */

static void get_staying(const char *name)
{
    bitcask_value *value = NULL;
    bitcask_entry entry;
    if (!good("get of a key that is always there", bitcask_get(shared.root, name, NAME_SIZE, &value))) return;
    if (!is_value_of(name, bitcask_value_data(value), bitcask_value_size(value)))
        failed("a value of another key", BITCASK_CORRUPT);
    bitcask_value_unpin(&value);
    good("stat of a key that is always there", bitcask_stat(shared.root, name, NAME_SIZE, &entry));
}

static void get_passing(unsigned number)
{
    char name[NAME_SIZE + 1];
    bitcask_value *value = NULL;
    make_name('p', number, name);
    uint64_t done = atomic_load(&shared.done);
    bitcask_status status = bitcask_get(shared.root, name, NAME_SIZE, &value);
    enum presence presence = presence_of(number, done, atomic_load(&shared.begun));
    if (status != BITCASK_OK && status != BITCASK_NOT_FOUND) failed("get", status);
    if (status == BITCASK_OK && presence == ABSENT) failed("a deleted key is found", status);
    if (status == BITCASK_NOT_FOUND && presence == PRESENT) failed("a key is missed", status);
    if (value && !is_value_of(name, bitcask_value_data(value), bitcask_value_size(value)))
        failed("a value of another key", BITCASK_CORRUPT);
    bitcask_value_unpin(&value);
}

/* What one scan has seen. */
struct scan {
    char last[NAME_SIZE + 1];
    unsigned next_staying; /* of those to come, counted from where the scan begins */
    uint8_t *listed;       /* of each passing key, whether it was */
};

static bool take_entry(struct scan *scan, const bitcask_entry *entry, bool reverse)
{
    char name[NAME_SIZE + 1] = "", kind;
    unsigned number;
    if (entry->key_size == NAME_SIZE) memcpy(name, entry->key, NAME_SIZE);
    int order = memcmp(scan->last, name, NAME_SIZE);
    if (scan->last[0] && (reverse ? order <= 0 : order >= 0)) return false;
    memcpy(scan->last, name, sizeof name);
    if (sscanf(name, "%*16[0-9a-f]-%c%u", &kind, &number) != 2 || entry->value_size != VALUE_SIZE) return false;
    if (kind == 'p') {
        if (number < PASSING) scan->listed[number] = 1;
        return number < PASSING;
    }
    unsigned at = scan->next_staying++;
    return at < STAYING && memcmp(name, staying[reverse ? STAYING - 1 - at : at], NAME_SIZE) == 0;
}

static void scan_all(bool reverse, uint8_t *listed)
{
    bitcask_query_options options = {.reverse = reverse};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    struct scan scan = {.listed = listed};
    memset(listed, 0, PASSING);
    uint64_t done = atomic_load(&shared.done);
    bitcask_status status = bitcask_query_open(shared.root, &options, &query);
    if (!good("query_open", status)) return;
    while ((status = bitcask_query_next(query, &entry)) == BITCASK_OK)
        if (!take_entry(&scan, &entry, reverse)) {
            failed("a scan lists a wrong name, or one out of order, or misses one", BITCASK_CORRUPT);
            break;
        }
    bitcask_query_close(&query);
    if (status == BITCASK_OK) return;
    uint64_t begun = atomic_load(&shared.begun);
    if (status != BITCASK_NOT_FOUND) failed("query_next", status);
    if (scan.next_staying != STAYING) failed("a scan ended early", status);
    for (unsigned number = 0; number < PASSING; number++) {
        enum presence presence = presence_of(number, done, begun);
        if (presence == PRESENT && !listed[number]) failed("a scan misses a key", status);
        if (presence == ABSENT && listed[number]) failed("a scan lists a deleted key", status);
    }
    atomic_fetch_add(&shared.scans, 1);
}

static void *reader_main(void *argument)
{
    uint64_t rng = 100 + (uintptr_t)argument;
    uint8_t *listed = malloc(PASSING);
    if (!listed) exit(99);
    while (going_on()) {
        for (unsigned i = 0; i < 500 && going_on(); i++) {
            get_staying(staying[fixture_below(&rng, STAYING)]);
            get_passing((unsigned)fixture_below(&rng, PASSING));
        }
        atomic_fetch_add(&shared.gets, 1000);
        scan_all(fixture_below(&rng, 2), listed);
    }
    free(listed);
    return NULL;
}

/* ---- beginning and end ---- */

static void check_end(void)
{
    uint8_t *listed = malloc(PASSING);
    bitcask_verify_result result;
    if (!listed) exit(99);
    /* The last step is over: of each key it is known whether it is there. */
    for (unsigned i = 0; i < STAYING; i++) get_staying(staying[i]);
    for (unsigned i = 0; i < PASSING; i++) get_passing(i);
    for (int reverse = 0; reverse < 2; reverse++) scan_all(reverse, listed);
    EXPECT(BITCASK_OK, bitcask_verify(shared.root, NULL, &result));
    CU_ASSERT_EQUAL(result.damage, 0);
    CU_ASSERT_EQUAL(atomic_load(&shared.failures), 0);
    free(listed);
}

static void open_root(const char *path, const bitcask_options *options)
{
    EXPECT(BITCASK_OK, bitcask_open(path, options, &shared.db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(shared.db);
    EXPECT(BITCASK_OK, bitcask_partition_open(shared.db, "", &shared.root));
}

static void close_root(void)
{
    bitcask_partition_close(&shared.root);
    EXPECT(BITCASK_OK, bitcask_close(&shared.db));
}

static uint64_t merges(void)
{
    bitcask_stats stats = {0};
    good("stats", bitcask_get_stats(shared.db, &stats));
    return stats.merges;
}

static void wait_for_the_end(uint64_t seconds)
{
    for (uint64_t i = 0; going_on(); i++) {
        bool enough = atomic_load(&shared.done) >= CYCLE && merges() > 0;
        if (i >= seconds * 20 && enough) break;
        if (i % 1200 == 1199) /* should it never end, the log says what it waited for */
            fprintf(stderr, "waiting: %llu steps of %u, %llu merges, %llu gets\n", (unsigned long long)shared.done,
                    CYCLE, (unsigned long long)merges(), (unsigned long long)shared.gets);
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    atomic_store(&shared.stop, true);
}

static void keys_that_stay_are_found_and_listed_once_while_the_index_grows_and_shrinks(void)
{
    pthread_t threads[READERS + 2];
    bitcask_options options;
    uint64_t seconds = fixture_number("SECONDS", fixture_number("LONG", 0) ? 60 : 3);
    const char *path = fixture_path("live");
    bitcask_options_init(&options);
    options.create = true;
    options.sync_interval_ms = 50;
    options.segment_size = 1024 * 1024;
    open_root(path, &options);
    for (unsigned i = 0; i < STAYING; i++) {
        char value[VALUE_SIZE];
        make_name('s', i, staying[i]);
        make_value(staying[i], 0, value);
        EXPECT(BITCASK_OK, bitcask_put(shared.root, staying[i], NAME_SIZE, value, sizeof value, NULL, NULL));
    }
    qsort(staying, STAYING, sizeof *staying, compare_names);
    for (uintptr_t i = 0; i < READERS + 2; i++)
        if (pthread_create(&threads[i], NULL,
                           i == 0   ? writer_main
                           : i == 1 ? merger_main
                                    : reader_main,
                           (void *)i) != 0)
            exit(99);
    wait_for_the_end(seconds);
    for (unsigned i = 0; i < READERS + 2; i++) pthread_join(threads[i], NULL);
    printf("%llu writes (%.1f cycles), %llu gets, %llu scans, %llu merges\n", (unsigned long long)shared.writes,
           (double)shared.done / CYCLE, (unsigned long long)shared.gets, (unsigned long long)shared.scans,
           (unsigned long long)merges());
    check_end();
    close_root();
    open_root(path, &options);
    check_end();
    close_root();
    fixture_remove(path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"keys that stay are found and listed once while the index grows and shrinks",
         keys_that_stay_are_found_and_listed_once_while_the_index_grows_and_shrinks},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("live_index", tests);
}
