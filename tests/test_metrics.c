/* test_metrics.c - histograms and counters, and how they are told: names, order, how many, and that none falls.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "db/db.h"
#include "fixture.h"

static bitcask *db;
static bitcask_partition *root;
static const char *path;

static void begin_with(const bitcask_options *options)
{
    path = fixture_path("store");
    EXPECT(BITCASK_OK, bitcask_open(path, options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static void begin(void)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    begin_with(&options);
}

static void end(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

static bitcask_partition *create(const char *name)
{
    bitcask_partition *made = NULL;
    EXPECT(BITCASK_OK, bitcask_partition_create(root, name, strlen(name), NULL, 0, &made));
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    return made;
}

/* ---- looking for one figure ---- */

struct wanted {
    const char *name, *partition, *operation;
    uint64_t value; /* of a histogram its count */
    unsigned found;
};

static bool look(void *context, const bitcask_metric *metric)
{
    struct wanted *wanted = context;

    if (strcmp(metric->name, wanted->name) != 0) return true;
    if ((metric->partition == NULL) != (wanted->partition == NULL)) return true;
    if (metric->partition && strcmp(metric->partition, wanted->partition) != 0) return true;
    if (wanted->operation && (!metric->operation || strcmp(metric->operation, wanted->operation) != 0)) return true;
    wanted->value = metric->histogram ? metric->histogram->count : metric->value;
    wanted->found++;
    return true;
}

/* UINT64_MAX: it is not told. */
static uint64_t figure(bitcask_partition *of, unsigned flags, const char *name, const char *partition,
                       const char *operation)
{
    struct wanted wanted = {.name = name, .partition = partition, .operation = operation};

    EXPECT(BITCASK_OK, bitcask_metrics(of, flags, look, &wanted));
    CU_ASSERT(wanted.found <= 1);
    return wanted.found ? wanted.value : UINT64_MAX;
}

static uint64_t whole(const char *name, const char *operation)
{
    return figure(root, BITCASK_BELOW, name, NULL, operation);
}

/* ---- histograms ---- */

static void a_time_at_a_bound_is_below_it(void)
{
    CU_ASSERT_EQUAL(bc_histogram_bucket(0), 0);
    for (unsigned i = 0; i + 1 < BITCASK_HISTOGRAM_BUCKETS; i++) {
        CU_ASSERT_EQUAL(bc_histogram_bucket(BITCASK_HISTOGRAM_BOUND_NS(i)), i);
        CU_ASSERT_EQUAL(bc_histogram_bucket(BITCASK_HISTOGRAM_BOUND_NS(i) + 1), i + 1);
    }
    CU_ASSERT_EQUAL(bc_histogram_bucket(UINT64_MAX), BITCASK_HISTOGRAM_BUCKETS - 1);
}

static void a_histogram_adds_up(void)
{
    struct bc_timings one = {0}, two = {0};
    bitcask_histogram sum = {0};

    bc_histogram_add(&one.of[BC_TIMED_PUT], 100, 1);
    bc_histogram_add(&one.of[BC_TIMED_PUT], 1000, 64);
    bc_histogram_add(&two.of[BC_TIMED_PUT], UINT64_MAX / 2, 1);
    bc_timings_merge(&two, &one);
    bc_histogram_sum(&two.of[BC_TIMED_PUT], &sum);
    CU_ASSERT_EQUAL(sum.count, 66);
    CU_ASSERT_EQUAL(sum.sum_ns, 100 + 64 * 1000 + UINT64_MAX / 2);
    CU_ASSERT_EQUAL(sum.counts[0], 1);
    CU_ASSERT_EQUAL(sum.counts[3], 64);
    CU_ASSERT_EQUAL(sum.counts[BITCASK_HISTOGRAM_BUCKETS - 1], 1);
}

static void samples_count_for_those_between_them(void)
{
    unsigned tick = 0;
    uint64_t counted = 0, timed = 0;

    for (unsigned i = 0; i < 6400; i++) {
        struct bc_sample sample = bc_sample_begin(&tick);
        counted += sample.weight;
        timed += sample.weight > 0;
        CU_ASSERT(sample.weight == 0 || sample.began_ns > 0);
        CU_ASSERT(counted <= i + 1u && counted + BC_SAMPLE_EVERY > i);
    }
    CU_ASSERT_EQUAL(counted, 6400);
    CU_ASSERT_EQUAL(timed, 64 + 99);
    tick = UINT32_MAX - 1; /* the counter's end is not another beginning */
    for (unsigned i = 0; i < 10; i++) {
        struct bc_sample sample = bc_sample_begin(&tick);
        CU_ASSERT(sample.weight != 1);
    }
}

#define THREADS 4
#define ADDS 50000

static void *add_on(void *context)
{
    for (unsigned i = 0; i < ADDS; i++) bc_histogram_add(context, i, 1);
    return NULL;
}

static void threads_lose_no_count(void)
{
    static struct bc_histogram histogram;
    bitcask_histogram sum = {0};
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++) CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, add_on, &histogram), 0);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    bc_histogram_sum(&histogram, &sum);
    CU_ASSERT_EQUAL(sum.count, THREADS * ADDS);
    CU_ASSERT_EQUAL(sum.sum_ns, (uint64_t)THREADS * ADDS * (ADDS - 1) / 2);
}

/* ---- a store's figures ---- */

/* Among the first of this program: a thread's first operations are all timed. */
static void each_operation_is_counted_and_timed(void)
{
    bitcask_batch *batch = NULL;
    uint64_t fsyncs;

    begin();
    for (unsigned i = 0; i < 10; i++) {
        EXPECT(BITCASK_OK, put_text(root, "key", "value", 0));
        CU_ASSERT_STRING_EQUAL(get_text(root, "key"), "value");
    }
    EXPECT(BITCASK_OK, delete_text(root, "key", 0));
    CU_ASSERT_EQUAL(whole("bitcask_puts_total", NULL), 10);
    CU_ASSERT_EQUAL(whole("bitcask_gets_total", NULL), 10);
    CU_ASSERT_EQUAL(whole("bitcask_deletes_total", NULL), 1);
    CU_ASSERT_EQUAL(whole("bitcask_live_keys", NULL), 0);
    CU_ASSERT_EQUAL(whole("bitcask_operation_seconds", "get"), 10);
    CU_ASSERT_EQUAL(whole("bitcask_operation_seconds", "put"), 11); /* a deletion is one */
    CU_ASSERT_EQUAL(figure(root, 0, "bitcask_partition_operation_seconds", "/", "put"), 11);
    CU_ASSERT(whole("bitcask_bytes_written_total", NULL) >= whole("bitcask_log_bytes_written_total", NULL));
    CU_ASSERT(whole("bitcask_log_bytes_written_total", NULL) >= 10 * (26 + 3 + 5) + 26 + 3);

    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "a", 1, "b", 1, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    CU_ASSERT_EQUAL(whole("bitcask_operation_seconds", "commit"), 1);

    fsyncs = whole("bitcask_operation_seconds", "fsync");
    EXPECT(BITCASK_OK, put_text(root, "key", "value", BITCASK_DURABLE));
    CU_ASSERT_EQUAL(whole("bitcask_operation_seconds", "fsync"), fsyncs + 1);

    for (unsigned i = 0; i < 2000; i++) EXPECT(BITCASK_OK, put_text(root, "key", "another value", 0));
    EXPECT(BITCASK_OK, bitcask_merge(root, &(bitcask_merge_options){.flags = BITCASK_MERGE_FULL}, NULL));
    CU_ASSERT_EQUAL(whole("bitcask_operation_seconds", "merge"), 1);
    CU_ASSERT_EQUAL(whole("bitcask_compactions_total", NULL), 1);
    CU_ASSERT(whole("bitcask_compaction_seconds_total", NULL) > 0);
    CU_ASSERT(whole("bitcask_compaction_reclaimed_bytes_total", NULL) > 2000 * 26);
    end();
}

static void pinned_values_are_timed_where_they_are_read(void)
{
    bitcask_value *value = NULL;
    char buffer[10];
    size_t got;

    begin();
    EXPECT(BITCASK_OK, put_text(root, "key", "value", 0));
    EXPECT(BITCASK_OK, bitcask_pin(root, "key", 3, &value));
    CU_ASSERT_EQUAL(whole("bitcask_operation_seconds", "get"), 0);
    EXPECT(BITCASK_OK, bitcask_value_read(value, 0, buffer, sizeof buffer, &got));
    EXPECT(BITCASK_OK, bitcask_value_load(value)); /* is there */
    bitcask_value_unpin(&value);
    CU_ASSERT_EQUAL(figure(root, 0, "bitcask_partition_operation_seconds", "/", "get"), 1);
    end();
}

static void a_part_of_the_tree_has_its_own_figures(void)
{
    bitcask_partition *a, *b;

    begin();
    a = create("a");
    b = create("b");
    EXPECT(BITCASK_OK, put_text(a, "1", "x", 0));
    EXPECT(BITCASK_OK, put_text(b, "1", "x", 0));
    EXPECT(BITCASK_OK, put_text(b, "2", "x", 0));
    CU_ASSERT_EQUAL(whole("bitcask_live_keys", NULL), 5); /* a and b are two */
    CU_ASSERT_EQUAL(figure(root, 0, "bitcask_live_keys", NULL, NULL), 2);
    CU_ASSERT_EQUAL(figure(a, BITCASK_BELOW, "bitcask_live_keys", NULL, NULL), 1);
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "/b", NULL), 2);
    CU_ASSERT_EQUAL(figure(a, BITCASK_BELOW, "bitcask_partition_live_keys", "/b", NULL), UINT64_MAX);
    CU_ASSERT_EQUAL(figure(a, BITCASK_BELOW, "bitcask_bytes_written_total", NULL, NULL), UINT64_MAX);
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "rest", NULL), UINT64_MAX);
    bitcask_partition_close(&a);
    bitcask_partition_close(&b);
    end();
}

struct census {
    char last[128];
    char seen[64][128]; /* names */
    unsigned names, partitions, lines;
    uint64_t keys;
    bool torn; /* a name came back after another one */
};

static bool count_series(void *context, const bitcask_metric *metric)
{
    struct census *census = context;

    census->lines++;
    if (strcmp(census->last, metric->name) != 0) {
        for (unsigned i = 0; i < census->names; i++) census->torn |= strcmp(census->seen[i], metric->name) == 0;
        if (census->names < 64) strcpy(census->seen[census->names++], metric->name);
        strcpy(census->last, metric->name);
    }
    if (strcmp(metric->name, "bitcask_partition_live_keys") == 0) {
        census->partitions++;
        census->keys += metric->value;
    }
    return true;
}

static void only_the_largest_are_told_apart(void)
{
    struct census census = {0};
    bitcask_partition *grows = NULL;
    char value[1000];
    uint64_t rest;

    begin();
    for (unsigned i = 0; i < BITCASK_METRICS_PARTITIONS + 20; i++) {
        char name[16];
        bitcask_partition *made;

        snprintf(name, sizeof name, "p%03u", i);
        made = create(name);
        memset(value, 'x', sizeof value);
        EXPECT(BITCASK_OK, bitcask_put(made, "key", 3, value, i == 5 ? 0 : 100 + i, NULL, NULL));
        for (unsigned k = 0; i == 5 && k < 2; k++) EXPECT(BITCASK_OK, put_text(made, "key", "", 0));
        bitcask_partition_close(&made);
    }
    EXPECT(BITCASK_OK, bitcask_metrics(root, BITCASK_BELOW, count_series, &census));
    CU_ASSERT_EQUAL(census.partitions, BITCASK_METRICS_PARTITIONS + 1);
    CU_ASSERT_EQUAL(census.keys, whole("bitcask_live_keys", NULL));
    CU_ASSERT(!census.torn);
    CU_ASSERT(census.lines < 3000);
    CU_ASSERT_NOT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "/p119", NULL), UINT64_MAX);
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "/p005", NULL), UINT64_MAX);
    CU_ASSERT(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "rest", NULL) >= 20);

    /* One that grows leaves the rest, and takes nothing of what was counted there along. */
    rest = figure(root, BITCASK_BELOW, "bitcask_partition_puts_total", "rest", NULL);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "p005", &grows));
    memset(value, 'y', sizeof value);
    EXPECT(BITCASK_OK, bitcask_put(grows, "key", 3, value, sizeof value, NULL, NULL));
    bitcask_partition_close(&grows);
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_puts_total", "/p005", NULL), 4);
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_puts_total", "rest", NULL), rest);
    end();
}

/* Four partitions are open at once, and `remembered` of the others known. */
static void begin_narrow(size_t remembered)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    options.max_open = 4;
    begin_with(&options);
    db->ledgers_max = remembered;
}

static bitcask_partition *numbered(unsigned i, bool make)
{
    char name[16];
    bitcask_partition *found = NULL;

    snprintf(name, sizeof name, "p%u", i);
    if (make) return create(name);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, name, &found));
    return found;
}

static void counters_outlive_what_they_counted_in(void)
{
    uint64_t puts = 0, rest, last_rest = 0;

    begin_narrow(3);
    for (unsigned i = 0; i < 40; i++) {
        bitcask_partition *made = numbered(i % 20, i < 20);

        puts += i < 20;                                                      /* the partition's record */
        EXPECT(BITCASK_OK, put_text(made, "key", "value", BITCASK_DURABLE)); /* so that each is timed */
        EXPECT(BITCASK_OK, delete_text(made, "key", BITCASK_DURABLE));
        bitcask_partition_close(&made);
        puts++;
        CU_ASSERT_EQUAL(whole("bitcask_puts_total", NULL), puts);
        CU_ASSERT(whole("bitcask_partitions_known", NULL) <= 4 + 3 + 1);
        rest = figure(root, BITCASK_BELOW, "bitcask_partition_puts_total", "rest", NULL);
        CU_ASSERT(rest == UINT64_MAX || rest >= last_rest);
        last_rest = rest == UINT64_MAX ? last_rest : rest;
    }
    CU_ASSERT(last_rest > 0);
    CU_ASSERT(whole("bitcask_partition_closes_total", NULL) > 10);
    CU_ASSERT_EQUAL(whole("bitcask_operation_seconds", "put"), 80);
    CU_ASSERT(db->closed_count <= 3);
    end();
}

/* What was closed to make room is still there, and its series go on. */
static void figures_outlive_the_closing(void)
{
    bitcask_stats stats;

    begin_narrow(BC_LEDGERS_MAX);
    for (unsigned round = 1; round <= 3; round++)
        for (unsigned i = 0; i < 20; i++) {
            bitcask_partition *at = numbered(i, round == 1);
            uint64_t keys = round == 1 ? 3 * (i + 1) + i + 1 : 3 * 20 + 20;

            for (unsigned key = 0; round == 1 && key < 3; key++)
                EXPECT(BITCASK_OK, put_text(at, &"abc"[key], "value", 0));
            if (round > 1) EXPECT(BITCASK_OK, put_text(at, "abc", "another", BITCASK_DURABLE));
            bitcask_partition_close(&at);
            CU_ASSERT_EQUAL(whole("bitcask_live_keys", NULL), keys);
            CU_ASSERT(whole("bitcask_partitions_open", NULL) <= 5);
        }
    CU_ASSERT(whole("bitcask_partition_closes_total", NULL) > 40);
    CU_ASSERT_EQUAL(whole("bitcask_partitions_known", NULL), 20 + 2); /* the root, and the store's own */
    for (unsigned i = 0; i < 20; i++) {
        char label[16];

        snprintf(label, sizeof label, "/p%u", i);
        CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", label, NULL), 3);
        CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_puts_total", label, NULL), 5);
        CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_segments", label, NULL), 1);
        CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_open", label, NULL), i > 16);
        CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_operation_seconds", label, "fsync") > 0, true);
    }
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "rest", NULL), UINT64_MAX);
    EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
    CU_ASSERT_EQUAL(stats.live_keys, 80);
    CU_ASSERT_EQUAL(stats.puts, 20 + 100);
    CU_ASSERT_EQUAL(stats.partitions_known, 22);
    CU_ASSERT_EQUAL(stats.live_bytes + stats.dead_bytes, stats.data_bytes);
    CU_ASSERT_EQUAL(stats.data_bytes, whole("bitcask_data_bytes", NULL));
    end();
}

static void what_is_deleted_or_renamed_is_told_so(void)
{
    bitcask_move_item rename = {.from_key = "a", .from_key_size = 1, .to_key = "c", .to_key_size = 1};
    bitcask_partition *a, *b;
    uint64_t puts;

    begin_narrow(BC_LEDGERS_MAX);
    rename.from = rename.to = root;
    a = create("a");
    EXPECT(BITCASK_OK, bitcask_partition_create(a, "b", 1, NULL, 0, &b));
    EXPECT(BITCASK_OK, put_text(b, "key", "value", 0));
    bitcask_partition_close(&b);
    for (unsigned i = 0; i < 10; i++) {
        bitcask_partition *other = numbered(i, true);
        EXPECT(BITCASK_OK, put_text(other, "key", "value", 0));
        bitcask_partition_close(&other);
    }
    CU_ASSERT_EQUAL(figure(a, BITCASK_BELOW, "bitcask_live_keys", NULL, NULL), 2);
    EXPECT(BITCASK_OK, bitcask_move(db, &rename, 1, NULL));
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "/a/b", NULL), UINT64_MAX);
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "/c/b", NULL), 1);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "c/b", &b));
    EXPECT(BITCASK_OK, delete_text(b, "key", 0));
    bitcask_partition_close(&b);
    puts = whole("bitcask_puts_total", NULL);
    CU_ASSERT(puts >= 23);
    EXPECT(BITCASK_OK, bitcask_partition_drop(a, "b", 1, 0));
    CU_ASSERT_EQUAL(figure(root, BITCASK_BELOW, "bitcask_partition_live_keys", "/c/b", NULL), UINT64_MAX);
    CU_ASSERT_EQUAL(whole("bitcask_puts_total", NULL), puts);
    CU_ASSERT_EQUAL(whole("bitcask_live_keys", NULL), 21);
    bitcask_partition_close(&a);
    end();
}

static atomic_bool over;
static atomic_uint failures; /* CUnit is for one thread */

static void *overwrite_on(void *context)
{
    uint64_t random = *(const uint64_t *)context;

    while (!atomic_load(&over)) {
        bitcask_partition *at = NULL;
        char name[16];

        snprintf(name, sizeof name, "p%u", (unsigned)fixture_below(&random, 12));
        if (bitcask_partition_open(db, name, &at) != BITCASK_OK || put_text(at, "key", "another", 0) != BITCASK_OK)
            atomic_fetch_add(&failures, 1);
        bitcask_partition_close(&at);
    }
    return NULL;
}

/* Keys are only overwritten meanwhile: so at each look there are as many, and no counter is less than before. */
static void figures_hold_while_partitions_come_and_go(void)
{
    const uint64_t seeds[THREADS] = {1, 2, 3, 4};
    pthread_t threads[THREADS];
    uint64_t last[3] = {0}, now, closes;
    bitcask_stats stats;

    begin_narrow(BC_LEDGERS_MAX);
    for (unsigned i = 0; i < 36; i++) { /* until each was closed */
        bitcask_partition *at = numbered(i % 12, i < 12);
        EXPECT(BITCASK_OK, put_text(at, "key", "value", 0));
        bitcask_partition_close(&at);
    }
    closes = whole("bitcask_partition_closes_total", NULL);
    atomic_store(&over, false);
    for (unsigned i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, overwrite_on, (void *)(uintptr_t)&seeds[i]), 0);
    for (unsigned i = 0; i < 100 || whole("bitcask_partition_closes_total", NULL) < closes + 20; i++) {
        CU_ASSERT_EQUAL(whole("bitcask_live_keys", NULL), 24);
        now = whole("bitcask_puts_total", NULL);
        CU_ASSERT(now >= last[0]);
        last[0] = now;
        now = figure(root, BITCASK_BELOW, "bitcask_partition_puts_total", "/p7", NULL);
        /* While it is being opened or closed it may be missing from one look: a gap, no fall. */
        CU_ASSERT(now >= last[1]);
        if (now != UINT64_MAX) last[1] = now;
        now = whole("bitcask_operation_seconds", "put");
        CU_ASSERT(now >= last[2]);
        last[2] = now;
        EXPECT(BITCASK_OK, bitcask_get_stats(db, &stats));
        CU_ASSERT_EQUAL(stats.live_keys, 24);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT(last[1] > 0);
    CU_ASSERT_EQUAL(atomic_load(&failures), 0);
    CU_ASSERT_EQUAL(whole("bitcask_live_keys", NULL), 24);
    end();
}

/* ---- as text ---- */

static bool print(void *context, const bitcask_metric *metric)
{
    bitcask_metric_print(context, metric, NULL);
    return true;
}

static void names_of_any_bytes_cannot_break_a_line(void)
{
    bitcask_partition *odd;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    begin();
    odd = create("a\"b\\c\nd\xff}");
    EXPECT(BITCASK_OK, put_text(odd, "1", "x", 0));
    EXPECT(BITCASK_OK, bitcask_metrics(root, BITCASK_BELOW, print, out));
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\nbitcask_partition_live_keys{partition=\"/a\\\\x22b\\\\x5cc\\\\x0ad\\\\xff}\"} 1\n"));
    CU_ASSERT_PTR_NULL(strchr(text, '\xff'));
    free(text);
    bitcask_partition_close(&odd);
    end();
}

static void a_histogram_is_told_cumulative(void)
{
    bitcask_histogram histogram = {.count = 3, .sum_ns = 1500000000, .counts = {1, 0, 1}};
    bitcask_metric metric = {
        .name = "x_seconds", .help = "Help.", .type = BITCASK_HISTOGRAM, .nanoseconds = true, .histogram = &histogram};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    histogram.counts[BITCASK_HISTOGRAM_BUCKETS - 1] = 1;
    bitcask_metric_print(out, &metric, NULL);
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "# HELP x_seconds Help.\n# TYPE x_seconds histogram\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_bucket{le=\"0.000000128\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_bucket{le=\"0.000000512\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_bucket{le=\"+Inf\"} 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "x_seconds_sum 1.500000000\nx_seconds_count 3\n"));
    free(text);
}

/* ---- health ---- */

static void health_names_what_is_poisoned(void)
{
    bitcask_partition *a;
    bitcask_health health;

    begin();
    a = create("a");
    EXPECT(BITCASK_OK, put_text(a, "1", "x", 0));
    EXPECT(BITCASK_OK, bitcask_get_health(root, &health));
    CU_ASSERT(health.poisoned == 0 && health.damaged == 0 && health.merge == BITCASK_OK);
    atomic_store(&a->instance->poisoned, true);
    EXPECT(BITCASK_OK, bitcask_get_health(root, &health));
    CU_ASSERT_EQUAL(health.poisoned, 1);
    CU_ASSERT_STRING_EQUAL(health.poisoned_path, "/a");
    CU_ASSERT_EQUAL(whole("bitcask_poisoned_partitions", NULL), 1);
    atomic_store(&a->instance->poisoned, false);
    bitcask_partition_close(&a);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a time at a bound is below it", a_time_at_a_bound_is_below_it},
        {"a histogram adds up", a_histogram_adds_up},
        {"samples count for those between them", samples_count_for_those_between_them},
        {"threads lose no count", threads_lose_no_count},
        {"each operation is counted and timed", each_operation_is_counted_and_timed},
        {"pinned values are timed where they are read", pinned_values_are_timed_where_they_are_read},
        {"a part of the tree has its own figures", a_part_of_the_tree_has_its_own_figures},
        {"only the largest are told apart", only_the_largest_are_told_apart},
        {"counters outlive what they counted in", counters_outlive_what_they_counted_in},
        {"figures outlive the closing", figures_outlive_the_closing},
        {"what is deleted or renamed is told so", what_is_deleted_or_renamed_is_told_so},
        {"figures hold while partitions come and go", figures_hold_while_partitions_come_and_go},
        {"names of any bytes cannot break a line", names_of_any_bytes_cannot_break_a_line},
        {"a histogram is told cumulative", a_histogram_is_told_cumulative},
        {"health names what is poisoned", health_names_what_is_poisoned},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("metrics", tests);
}
