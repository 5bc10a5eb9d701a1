/* bench_work.c - the workloads that bench measures.
 *
 * Each operation is timed by itself, in the thread that does it. Keys are numbers of 12 digits, values random bytes, so
 * that nothing below compresses them. Which key is next is random, but the same in each run.
 */
#include "bench_work.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DURABLE_SHARE = 100, /* of the operations; each waits for the disk */
    QUERY_SHARE = 100,   /* of the operations; each is of so many keys */
    OPENS = 20,
    LOOK_EVERY = 64 /* operations between two looks at the signals */
};

/* One of the threads of a workload. */
struct worker {
    struct cli_bench *bench;
    bitcask_partition *partition;
    bitcask_status (*operation)(struct worker *worker, uint64_t i);
    uint64_t first, end; /* numbers of its operations */
    uint64_t random;
    char *value; /* random bytes; owned */
    struct cli_histogram times;
    atomic_uint_fast64_t done;
    bitcask_status status;
    char detail[256];
    bool draws; /* this one shows the progress of all */
    struct worker *all;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t make_key(char key[32], char kind, uint64_t number)
{
    return (size_t)snprintf(key, 32, "%c%012" PRIu64, kind, number);
}

/* ---- operations ---- */

static bitcask_status put(struct worker *worker, uint64_t number, unsigned flags)
{
    bitcask_write_options options = {.flags = flags};
    char key[32];
    size_t size = make_key(key, 'k', number);

    memcpy(worker->value, &number, worker->bench->value_size < sizeof(number) ? 0 : sizeof(number));
    return bitcask_put(worker->partition, key, size, worker->value, (size_t)worker->bench->value_size, &options, NULL);
}

static bitcask_status get(struct worker *worker, char kind, uint64_t number)
{
    bitcask_value *value = NULL;
    char key[32];
    size_t size = make_key(key, kind, number);
    bitcask_status status = bitcask_get(worker->partition, key, size, &value);
    bitcask_value_unpin(&value);
    return status;
}

static uint64_t some_key(struct worker *worker)
{
    return next_random(&worker->random) % worker->bench->ops;
}

static bitcask_status do_fill(struct worker *worker, uint64_t i)
{
    return put(worker, i, 0);
}

static bitcask_status do_get(struct worker *worker, uint64_t i)
{
    (void)i;
    return get(worker, 'k', some_key(worker));
}

static bitcask_status do_miss(struct worker *worker, uint64_t i)
{
    bitcask_status status = get(worker, 'm', i);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

static bitcask_status do_overwrite(struct worker *worker, uint64_t i)
{
    (void)i;
    return put(worker, some_key(worker), 0);
}

static bitcask_status do_durable(struct worker *worker, uint64_t i)
{
    (void)i;
    return put(worker, some_key(worker), BITCASK_DURABLE);
}

static bitcask_status do_query(struct worker *worker, uint64_t i)
{
    char from[32];
    bitcask_query_options options = {.from = from, .limit = QUERY_SHARE};
    bitcask_query *query = NULL;
    bitcask_entry entry;

    (void)i;
    options.from_size = make_key(from, 'k', some_key(worker));
    bitcask_status status = bitcask_query_open(worker->partition, &options, &query);
    while (status == BITCASK_OK) status = bitcask_query_next(query, &entry);
    bitcask_query_close(&query);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

static bitcask_status do_mixed(struct worker *worker, uint64_t i)
{
    return i % 10 == 0 ? do_overwrite(worker, i) : do_get(worker, i);
}

/* ---- running them ---- */

static bool draw(struct worker *worker)
{
    bitcask_progress state = {.path = "", .bytes_total = 0};

    for (unsigned t = 0; t < worker->bench->threads; t++) {
        state.bytes_done += worker->all[t].done;
        state.bytes_total += worker->all[t].end - worker->all[t].first;
    }
    return cli_progress_update(&worker->bench->progress, &state);
}

static void *work(void *context)
{
    struct worker *worker = context;
    uint64_t before = now_ns();

    for (uint64_t i = worker->first; i < worker->end; i++) {
        worker->status = worker->operation(worker, i);
        uint64_t now = now_ns();
        if (worker->status != BITCASK_OK) {
            snprintf(worker->detail, sizeof(worker->detail), "%s", bitcask_error_detail());
            break;
        }
        cli_histogram_add(&worker->times, now - before);
        worker->done = i + 1 - worker->first;
        if (i % LOOK_EVERY == 0) {
            if (worker->draws ? !draw(worker) : cli_progress_signal() != 0) break;
            now = now_ns(); /* drawing is no part of the next one */
        }
        before = now;
    }
    return NULL;
}

static bool prepare(struct worker *worker, struct cli_bench *bench, unsigned t, uint64_t ops, struct worker *all)
{
    worker->bench = bench;
    worker->all = all;
    worker->draws = t == 0;
    worker->first = ops * t / bench->threads;
    worker->end = ops * (t + 1) / bench->threads;
    worker->random = UINT64_C(88172645463325252) + t * UINT64_C(7046029254386353131);
    worker->value = malloc((size_t)bench->value_size + 8);
    if (!worker->value) return false;
    for (uint64_t i = 0; i + 8 <= bench->value_size + 8; i += 8) {
        uint64_t bytes = next_random(&worker->random);
        memcpy(worker->value + i, &bytes, sizeof(bytes));
    }
    return true;
}

/* Lets all threads do their share of ops operations. Returns an exit status. */
static int run(struct cli_bench *bench, uint64_t ops, bitcask_status (*operation)(struct worker *worker, uint64_t i),
               struct cli_bench_result *result)
{
    struct worker *workers = calloc(bench->threads, sizeof(*workers));
    pthread_t *threads = calloc(bench->threads, sizeof(*threads));
    bitcask_partition *root = NULL;
    int status = CLI_OK;
    unsigned started = 1;

    bitcask_status opened = bitcask_partition_open(bench->store.db, "", &root);
    if (opened != BITCASK_OK) {
        status = cli_fail(&bench->store, NULL, opened);
        goto out;
    }
    bool good = workers && threads;
    for (unsigned t = 0; good && t < bench->threads; t++) {
        good = prepare(&workers[t], bench, t, ops, workers);
        workers[t].partition = root;
        workers[t].operation = operation;
    }
    if (!good) {
        status = cli_error("out of memory");
        goto out;
    }
    uint64_t began_ns = now_ns();
    bench->progress.began_ns = began_ns;
    for (; started < bench->threads; started++)
        if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0) break;
    work(&workers[0]);
    for (unsigned t = 1; t < started; t++) pthread_join(threads[t], NULL);
    result->elapsed_ns = now_ns() - began_ns;
    cli_progress_clear(&bench->progress);
    if (started < bench->threads) status = cli_error("only %u of %u threads could be started", started, bench->threads);
    for (unsigned t = 0; t < bench->threads; t++) {
        cli_histogram_merge(&result->times, &workers[t].times);
        if (workers[t].status != BITCASK_OK && status == CLI_OK)
            status = cli_error("%s: %s", bench->store.path,
                               workers[t].detail[0] ? workers[t].detail : bitcask_status_text(workers[t].status));
    }
    result->ops = result->times.count;

out:
    for (unsigned t = 0; workers && t < bench->threads; t++) free(workers[t].value);
    free(workers);
    free(threads);
    bitcask_partition_close(&root);
    return status;
}

/* ---- the workloads ---- */

static uint64_t share_of(const struct cli_bench *bench, unsigned share)
{
    return bench->ops / share > 0 ? bench->ops / share : 1;
}

static int run_fill(struct cli_bench *bench, struct cli_bench_result *result)
{
    int status = run(bench, bench->ops, do_fill, result);
    bench->filled = status == CLI_OK && cli_progress_signal() == 0;
    return status;
}

static int run_get(struct cli_bench *bench, struct cli_bench_result *result)
{
    return run(bench, bench->ops, do_get, result);
}

static int run_miss(struct cli_bench *bench, struct cli_bench_result *result)
{
    return run(bench, bench->ops, do_miss, result);
}

static int run_overwrite(struct cli_bench *bench, struct cli_bench_result *result)
{
    return run(bench, bench->ops, do_overwrite, result);
}

static int run_durable(struct cli_bench *bench, struct cli_bench_result *result)
{
    return run(bench, share_of(bench, DURABLE_SHARE), do_durable, result);
}

static int run_query(struct cli_bench *bench, struct cli_bench_result *result)
{
    return run(bench, share_of(bench, QUERY_SHARE), do_query, result);
}

/* Closes the store and opens it, until a key can be read. */
static int run_open(struct cli_bench *bench, struct cli_bench_result *result)
{
    struct cli_store *store = &bench->store;
    struct worker worker = {.bench = bench};

    for (int i = 0; i < OPENS && cli_progress_signal() == 0; i++) {
        int status = cli_store_close(store, CLI_OK);
        if (status != CLI_OK) return status;
        uint64_t before = now_ns();
        status = cli_store_open(store, store->path, CLI_WRITE);
        if (status != CLI_OK) return status;
        bitcask_status got = bitcask_partition_open(store->db, "", &worker.partition);
        if (got == BITCASK_OK) got = get(&worker, 'k', bench->ops / 2);
        if (got != BITCASK_OK) status = cli_fail(store, NULL, got);
        uint64_t took = now_ns() - before;
        bitcask_partition_close(&worker.partition);
        if (status != CLI_OK) return status;
        cli_histogram_add(&result->times, took);
        result->elapsed_ns += took;
        result->ops++;
    }
    return CLI_OK;
}

/* Merges everything, again and again, beside the workload. */
struct merging {
    bitcask *db;
    atomic_bool stop;
    uint64_t merges;
};

static bool go_on_merging(void *context, const bitcask_progress *progress)
{
    struct merging *merging = context;
    (void)progress;
    return !merging->stop;
}

static void *merge(void *context)
{
    struct merging *merging = context;
    bitcask_merge_options options = {.flags = BITCASK_MERGE_FULL, .progress = go_on_merging, .context = merging};
    bitcask_merge_result result;
    bitcask_partition *root = NULL;

    bitcask_status status = bitcask_partition_open(merging->db, "", &root);
    while (status == BITCASK_OK && !merging->stop) {
        status = bitcask_merge(root, &options, &result);
        if (status == BITCASK_OK) merging->merges++;
    }
    bitcask_partition_close(&root);
    return NULL;
}

static int run_mixed(struct cli_bench *bench, struct cli_bench_result *result)
{
    struct merging merging = {.db = bench->store.db};
    pthread_t thread;

    bool started = pthread_create(&thread, NULL, merge, &merging) == 0;
    int status = started ? run(bench, bench->ops, do_mixed, result) : cli_error("no thread could be started");
    merging.stop = true;
    if (started) pthread_join(thread, NULL);
    result->merges = merging.merges;
    return status;
}

const struct cli_bench_workload cli_bench_workloads[CLI_BENCH_WORKLOADS] = {
    {"fill", "a put of a new key", run_fill},
    {"get", "a read of a random key", run_get},
    {"miss", "a read of a key that is not there", run_miss},
    {"overwrite", "a put of a random key that is there", run_overwrite},
    {"durable", "such a put, on stable storage", run_durable},
    {"query", "a range of 100 names", run_query},
    {"open", "opening the store, to the first read", run_open},
    {"mixed", "nine reads and a put, beside merges", run_mixed},
};
