/* index_memory.c - what the index takes, in memory and in time: bytes a key beside one of pointers, opening, order,
 * gets, and the longest that a put had to wait while it grew.
 *
 * index_memory DIRECTORY [KEYS [VALUE_SIZE]]: KEYS (1,000,000) of 16 bytes in random order with values of VALUE_SIZE
 * (8) bytes. Each step is a process of its own, so that memory is that of the step alone; what was just written is
 * still in the page cache. Opening: medians of ROUNDS (5). Stores are made below DIRECTORY, and removed.
 */
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bitcask.h"
#include "measure.h"
#include "unpacked_index.h"

#define PASSES 4
#define GETS_MAX 2000000u
#define LATER_PUTS 1000u /* behind the last seal, in the store that is killed after one */

/* Memory at one moment, beyond that before the store was opened. */
struct memory {
    uint64_t index_bytes, key_bytes; /* as stats has it */
    double anonymous, mapped;        /* of this process; the latter is of the store's files */
};

/* Shared with the process that does a step. */
struct results {
    struct memory filled, opened, passed;
    double put_rate, put_us[4], open_ms, close_ms, pass_rate[PASSES], get_rate;
    double unpacked_bytes;
    uint64_t segments;
};

static const char *base;
static pid_t parent;
static uint64_t keys = 1000000;
static size_t value_size = 8;
static int rounds = 5;
static struct results *results;
static uint32_t *waits; /* nanoseconds that each put took, in shared memory, so as not to count as this process's */

static void must(bitcask_status status, const char *what)
{
    if (status == BITCASK_OK) return;
    fprintf(stderr, "index_memory: %s: %s: %s\n", what, bitcask_status_text(status), bitcask_error_detail());
    exit(1);
}

static void *share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return memory;
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[16384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) != 0) {
        fprintf(stderr, "index_memory: failed: %s\n", command);
        exit(1);
    }
}

static void remove_all(void)
{
    char command[8192];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    if (getpid() == parent && system(command) != 0) fprintf(stderr, "index_memory: %s is left behind\n", base);
}

/* ---- the store ---- */

struct store {
    bitcask *db;
    bitcask_partition *root;
};

/* undisturbed: nothing is synced, segments are of the largest size; else with the default options. */
static struct store open_store(const char *name, bool undisturbed)
{
    struct store store = {NULL, NULL};
    bitcask_options options;
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", base, name);
    bitcask_options_init(&options);
    options.create = true;
    if (undisturbed) {
        options.sync = BITCASK_SYNC_OS;
        options.segment_size = UINT32_MAX;
    }
    must(bitcask_open(path, &options, &store.db), "open");
    must(bitcask_partition_open(store.db, "", &store.root), "open the root");
    return store;
}

static void close_store(struct store *store)
{
    bitcask_partition_close(&store->root);
    must(bitcask_close(&store->db), "close");
}

/* The digits of the key, over and over. */
static void make_value(const char key[MEASURE_KEY_SIZE], char *value)
{
    for (size_t i = 0; i < value_size; i++) value[i] = key[i % MEASURE_KEY_SIZE];
}

static void put(const struct store *store, uint64_t number, char *value)
{
    char key[MEASURE_KEY_SIZE];
    measure_key(number, key);
    make_value(key, value);
    must(bitcask_put(store->root, key, sizeof key, value, value_size, NULL, NULL), "put");
}

/* Bytes of the mappings of files below DIRECTORY that are in memory. */
static double mapped_bytes(void)
{
    char line[8192];
    bool ours = false;
    double kib = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long value;
        if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' ')) ours = strstr(line, base) != NULL;
        if (ours && sscanf(line, "Rss: %llu", &value) == 1) kib += (double)value;
    }
    if (file) fclose(file);
    return kib * 1024;
}

static void take_memory(const struct store *store, uint64_t anonymous_before, struct memory *memory)
{
    bitcask_stats stats;
    must(bitcask_partition_stats(store->root, &stats), "stats");
    if (stats.live_keys != keys) must(BITCASK_CORRUPT, "the number of keys is wrong");
    memory->index_bytes = stats.index_bytes;
    memory->key_bytes = stats.key_bytes;
    memory->anonymous = (double)measure_memory("RssAnon") - (double)anonymous_before;
    memory->mapped = mapped_bytes();
    results->segments = stats.segments;
}

/* ---- steps, each in a process of its own ---- */

static int compare_waits(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* What waits for the disk is no matter of the index. (On a tmpfs it plays no part at all.) */
static void fill_and_time(const char *name)
{
    char *value = malloc(value_size ? value_size : 1);
    if (!value) exit(1);
    uint64_t before = measure_memory("RssAnon");
    struct store store = open_store(name, true);
    uint64_t begin = measure_now_ns(), last = begin;
    for (uint64_t i = 0; i < keys; i++) {
        put(&store, i, value);
        uint64_t now = measure_now_ns();
        waits[i] = (uint32_t)(now - last < UINT32_MAX ? now - last : UINT32_MAX);
        last = now;
    }
    results->put_rate = (double)keys * 1e9 / (double)(last - begin);
    take_memory(&store, before, &results->filled);
    qsort(waits, keys, sizeof *waits, compare_waits);
    results->put_us[0] = waits[keys / 2] / 1e3;
    results->put_us[1] = waits[keys - 1 - keys / 100] / 1e3;
    results->put_us[2] = waits[keys - 1 - keys / 10000] / 1e3;
    results->put_us[3] = waits[keys - 1] / 1e3;
    close_store(&store);
    free(value);
}

/* Fills a store, and is killed as it stands. */
static void fill_and_die(const char *name)
{
    char *value = malloc(value_size ? value_size : 1);
    struct store store = open_store(name, false);
    for (uint64_t i = 0; i < keys; i++) put(&store, i, value);
    raise(SIGKILL);
}

/* The same, where everything but the last puts stands in sealed segments. */
static void fill_and_seal_and_die(const char *name)
{
    char *value = malloc(value_size ? value_size : 1);
    struct store store = open_store(name, false);
    for (uint64_t i = 0; i < keys; i++) put(&store, i, value);
    must(bitcask_rotate(store.root, 0), "rotate");
    for (uint64_t i = 0; i < LATER_PUTS && i < keys; i++) put(&store, i, value);
    raise(SIGKILL);
}

static void open_and_close(const char *name)
{
    uint64_t before = measure_memory("RssAnon"), begin = measure_now_ns();
    struct store store = open_store(name, false);
    bitcask_stats stats;
    must(bitcask_partition_stats(store.root, &stats), "stats"); /* counts: the index is there */
    results->open_ms = measure_seconds_since(begin) * 1e3;
    take_memory(&store, before, &results->opened);
    begin = measure_now_ns();
    close_store(&store);
    results->close_ms = measure_seconds_since(begin) * 1e3;
}

static double time_pass(const struct store *store)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    char last[MEASURE_KEY_SIZE] = {0};
    uint64_t seen = 0, begin = measure_now_ns();
    must(bitcask_query_open(store->root, NULL, &query), "query");
    while (bitcask_query_next(query, &entry) == BITCASK_OK) {
        if (entry.key_size != sizeof last || memcmp(last, entry.key, sizeof last) >= 0 ||
            entry.value_size != value_size)
            must(BITCASK_CORRUPT, "an entry is wrong, or out of order");
        memcpy(last, entry.key, sizeof last);
        seen++;
    }
    double rate = (double)seen / measure_seconds_since(begin);
    bitcask_query_close(&query);
    if (seen != keys) must(BITCASK_CORRUPT, "keys are missing");
    return rate;
}

static double time_gets(const struct store *store)
{
    uint64_t count = keys < GETS_MAX ? keys : GETS_MAX, rng = 1, begin = measure_now_ns();
    char *wanted = malloc(value_size ? value_size : 1);
    if (!wanted) exit(1);
    for (uint64_t i = 0; i < count; i++) {
        char key[MEASURE_KEY_SIZE];
        bitcask_value *value = NULL;
        measure_key(measure_random(&rng) % keys, key);
        must(bitcask_get(store->root, key, sizeof key, &value), "get");
        make_value(key, wanted);
        if (bitcask_value_size(value) != value_size ||
            (value_size && memcmp(bitcask_value_data(value), wanted, value_size) != 0))
            must(BITCASK_CORRUPT, "a value is wrong");
        bitcask_value_unpin(&value);
    }
    double rate = (double)count / measure_seconds_since(begin);
    free(wanted);
    return rate;
}

static void read_everything(const char *name)
{
    uint64_t before = measure_memory("RssAnon");
    struct store store = open_store(name, false);
    for (int i = 0; i < PASSES; i++) {
        results->pass_rate[i] = time_pass(&store);
        if (i == 0) take_memory(&store, before, &results->passed);
    }
    time_gets(&store); /* warm */
    results->get_rate = time_gets(&store);
    close_store(&store);
}

static void build_unpacked(const char *name)
{
    uint64_t before = measure_memory("RssAnon");
    (void)name;
    if (unpacked_index_build(keys) != keys) must(BITCASK_CORRUPT, "the unpacked index has lost keys");
    results->unpacked_bytes = (double)measure_memory("RssAnon") - (double)before;
}

/* Runs a step and waits for its end, by the signal if killed is set. */
static void step(void (*main)(const char *name), const char *name, bool killed)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        main(name);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child ||
        (killed ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : !WIFEXITED(status) || WEXITSTATUS(status))) {
        fprintf(stderr, "index_memory: the step on %s has failed\n", name);
        exit(1);
    }
}

/* ---- the report ---- */

static void print_memory(const char *when, const struct memory *memory)
{
    double resident = memory->anonymous + memory->mapped, share = resident / (double)memory->index_bytes;
    double count = (double)keys;
    printf("%-34s %8.1f %8.1f %8.1f %8.1f %8.1f   %s, %+.1f %%\n", when,
           (double)(memory->index_bytes - memory->key_bytes) / count, (double)memory->index_bytes / count,
           memory->anonymous / count, memory->mapped / count, resident / count,
           share > 0.9 && share < 1.1 ? "agrees" : "DIFFERS", (share - 1) * 100);
}

static void report_memory(void)
{
    double key_bytes = (double)results->passed.key_bytes, count = (double)keys;
    double packed = ((double)results->passed.index_bytes - key_bytes) / count;
    /* The unpacked one keeps the bytes of its keys in blocks of malloc, whose overhead is its own. */
    double unpacked = (results->unpacked_bytes - count * MEASURE_KEY_SIZE) / count;
    printf("\n%-34s %8s %8s %8s %8s %8s   bytes a key\n", "memory", "stats", "stats", "RssAnon", "mapped", "both");
    printf("%-34s %8s %8s %8s %8s %8s   against stats\n", "", "no keys", "all", "", "", "");
    print_memory("after filling", &results->filled);
    print_memory("after opening (clean close)", &results->opened);
    print_memory("after a pass in order", &results->passed);
    printf("%-34s %8.1f %8s %8.1f\n", "unpacked: malloc, pointers", unpacked, "", results->unpacked_bytes / count);
    printf("%-34s %8.1f beside the key bytes, against %.1f: %.0f %% saved\n", "packed", packed, unpacked,
           (1 - packed / unpacked) * 100);
}

/* Opens a copy each time, as opening repairs what the kill has left. */
static double time_opens(const char *name, bool killed)
{
    double ms[MEASURE_ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        if (killed) run("rm -rf '%s/copy' && cp -r '%s/%s' '%s/copy'", base, base, name, base);
        step(open_and_close, killed ? "copy" : name, false);
        ms[i] = results->open_ms;
    }
    return measure_median(ms, (size_t)rounds);
}

static void report_opens(void)
{
    static const char *const names[] = {"killed", "sealed"};
    printf("%-34s %8.1f ms\n", "open after a clean close", time_opens("clean", false));
    printf("%-34s %8.1f ms\n", "close, nothing changed", results->close_ms);
    for (int i = 0; i < 2; i++) {
        step(i ? fill_and_seal_and_die : fill_and_die, names[i], true);
        double ms = time_opens(names[i], true);
        printf("%-34s %8.1f ms   (%llu segments%s)\n", "open after kill -9", ms, (unsigned long long)results->segments,
               i ? ", all but the last 1,000 puts sealed" : "");
        run("rm -rf '%s/%s' '%s/copy'", base, names[i], base);
    }
}

int main(int argc, char **argv)
{
    char directory[4096];
    const char *given = getenv("ROUNDS");
    if (given && *given) rounds = atoi(given);
    if (argc > 2) keys = strtoull(argv[2], NULL, 10);
    if (argc > 3) value_size = (size_t)strtoull(argv[3], NULL, 10);
    if (argc < 2 || keys == 0 || rounds < 1 || rounds > MEASURE_ROUNDS_MAX)
        return fprintf(stderr, "usage: index_memory DIRECTORY [KEYS [VALUE_SIZE]]\n"), 2;
    snprintf(directory, sizeof directory, "%s/index-memory-XXXXXX", argv[1]);
    if (!mkdtemp(directory)) return perror(directory), 1;
    base = realpath(directory, NULL); /* as the kernel names mappings */
    if (!base) return perror(directory), 1;
    parent = getpid();
    atexit(remove_all);
    results = share(sizeof *results);
    waits = share(keys * sizeof *waits);
    printf("%llu keys of 16 bytes, values of %zu\n", (unsigned long long)keys, value_size);
    step(fill_and_time, "clean", false);
    printf("%-34s %8.0f thousand/s; one put: p50 %.2f us, p99 %.2f us, p99.99 %.3f ms, longest %.3f ms\n", "filling",
           results->put_rate / 1e3, results->put_us[0], results->put_us[1], results->put_us[2] / 1e3,
           results->put_us[3] / 1e3);
    report_opens();
    step(open_and_close, "clean", false);
    step(read_everything, "clean", false);
    printf("%-34s %8.2f million keys/s", "query of all, in order", results->pass_rate[0] / 1e6);
    double later = measure_median(results->pass_rate + 1, PASSES - 1);
    printf(", then %.2f\n%-34s %8.0f thousand/s\n", later / 1e6, "random gets", results->get_rate / 1e3);
    step(build_unpacked, "unpacked", false);
    report_memory();
    return 0;
}
