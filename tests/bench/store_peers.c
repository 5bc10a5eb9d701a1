/* store_peers.c - this store beside others: put, get, miss, overwrite, batches, durable puts, reopening, memory.
 *
 * Built and started by store_peers.sh, which knows the peers that are installed (macros PEER_LMDB and so on).
 *
 * store_peers DIRECTORY: KEYS (1,000,000) of 16 bytes with values of 100, in random order, by one thread; DURABLE
 * (2,000) puts by one writer, and by sixteen together. ROUNDS (3): in each, every store takes its turn, beginning with
 * another one, each step in a process of its own; the table has the medians. Every value is checked as it is read.
 * ONLY: names of stores, separated by commas. Stores are made below DIRECTORY and removed.
 */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "peer.h"

#define BATCH 100u
#define WRITERS 16u
#define VERIFIED 1000u /* keys looked up after a step that reads none itself */

static const struct peer *const peers[] = {
    &peer_bitcask,      &peer_bare,
#ifdef PEER_TKRZW
    &peer_tkrzw,
#endif
#ifdef PEER_KYOTOCABINET
    &peer_kyotocabinet,
#endif
#ifdef PEER_LMDB
    &peer_lmdb,
#endif
#ifdef PEER_LEVELDB
    &peer_leveldb,
#endif
#ifdef PEER_ROCKSDB
    &peer_rocksdb,
#endif
};
#define PEERS (sizeof peers / sizeof *peers)

enum figure { PUT, GET, MISS, OVERWRITE, BATCHES, DURABLE, DURABLE_16, REOPEN_MS, RSS, ANON, FIGURES };

static const struct {
    const char *title;
    bool less_is_better;
} figures[FIGURES] = {
    [PUT] = {"put", false},
    [GET] = {"get", false},
    [MISS] = {"miss", false},
    [OVERWRITE] = {"overwrite", false},
    [BATCHES] = {"batch 100", false},
    [DURABLE] = {"durable", false},
    [DURABLE_16] = {"16 writers", false},
    [REOPEN_MS] = {"reopen ms", true},
    [RSS] = {"RSS MiB", true},
    [ANON] = {"anon MiB", true},
};

static const char *base;
static uint32_t keys, durable_puts;
static double *shared;                                     /* of the step that runs, by figure: mapped by both */
static double samples[PEERS][FIGURES][MEASURE_ROUNDS_MAX]; /* 0: not measured */

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void wrong(const struct peer *peer, const char *what)
{
    fprintf(stderr, "store_peers: %s: %s\n", peer->name, what);
    exit(1);
}

/* ---- the work ---- */

/* Puts all keys in order of their numbers, which for the bytes of the keys is a random one. */
static double time_puts(const struct peer *peer, void *store, char generation)
{
    char key[PEER_KEY_SIZE], value[PEER_VALUE_SIZE];
    uint64_t begin = measure_now_ns();
    for (uint32_t i = 0; i < keys; i++) {
        measure_key(i, key);
        measure_value(key, generation, value, sizeof value);
        peer->put(store, key, value);
    }
    return keys / measure_seconds_since(begin);
}

static void check_get(const struct peer *peer, void *store, uint32_t number, char generation)
{
    char key[PEER_KEY_SIZE], value[PEER_VALUE_SIZE];
    size_t size = 0;
    measure_key(number, key);
    if (!peer->get(store, key, value, &size)) wrong(peer, "a key is missing");
    if (!measure_value_is(key, generation, value, size, sizeof value)) wrong(peer, "a value is wrong");
}

static double time_gets(const struct peer *peer, void *store, const uint32_t *order, char generation)
{
    uint64_t begin = measure_now_ns();
    for (uint32_t i = 0; i < keys; i++) check_get(peer, store, order[i], generation);
    return keys / measure_seconds_since(begin);
}

static double time_misses(const struct peer *peer, void *store, const uint32_t *order)
{
    char key[PEER_KEY_SIZE], value[PEER_VALUE_SIZE];
    size_t size;
    uint64_t begin = measure_now_ns();
    for (uint32_t i = 0; i < keys; i++) {
        measure_key((uint64_t)UINT32_MAX + 1 + order[i], key);
        if (peer->get(store, key, value, &size)) wrong(peer, "a key is there that was never put");
    }
    return keys / measure_seconds_since(begin);
}

static double time_batches(const struct peer *peer, void *store, char generation)
{
    static char batch_keys[BATCH][PEER_KEY_SIZE], batch_values[BATCH][PEER_VALUE_SIZE];
    uint64_t begin = measure_now_ns();
    for (uint32_t i = 0; i < keys; i += BATCH) {
        uint32_t count = keys - i < BATCH ? keys - i : BATCH;
        for (uint32_t j = 0; j < count; j++) {
            measure_key(i + j, batch_keys[j]);
            measure_value(batch_keys[j], generation, batch_values[j], PEER_VALUE_SIZE);
        }
        peer->put_batch(store, (const char(*)[PEER_KEY_SIZE])batch_keys, (const char(*)[PEER_VALUE_SIZE])batch_values,
                        count);
    }
    return keys / measure_seconds_since(begin);
}

struct writer {
    const struct peer *peer;
    void *store;
    uint32_t first, count;
    pthread_t thread;
};

static void *write_durably(void *context)
{
    const struct writer *writer = context;
    char key[PEER_KEY_SIZE], value[PEER_VALUE_SIZE];
    for (uint32_t i = writer->first; i < writer->first + writer->count; i++) {
        measure_key(i, key);
        measure_value(key, 'd', value, sizeof value);
        writer->peer->put(writer->store, key, value);
    }
    return NULL;
}

static double time_durable_puts(const struct peer *peer, void *store, unsigned threads)
{
    struct writer writers[WRITERS];
    uint32_t each = durable_puts / threads;
    uint64_t begin = measure_now_ns();
    for (unsigned i = 0; i < threads; i++) {
        writers[i] = (struct writer){.peer = peer, .store = store, .first = i * each, .count = each};
        if (pthread_create(&writers[i].thread, NULL, write_durably, &writers[i]) != 0) die("pthread_create");
    }
    for (unsigned i = 0; i < threads; i++) pthread_join(writers[i].thread, NULL);
    double rate = each * threads / measure_seconds_since(begin);
    for (uint32_t i = 0; peer->get && i < each * threads; i++) check_get(peer, store, i, 'd');
    return rate;
}

/* ---- steps: each in a process of its own ---- */

static void fill_and_read(const struct peer *peer, const char *directory)
{
    uint32_t *order = measure_shuffled(keys, 1);
    uint64_t rss = measure_memory("VmRSS"), anonymous = measure_memory("RssAnon");
    void *store = peer->open(directory, keys, false);
    shared[PUT] = time_puts(peer, store, 'a');
    if (peer->get) {
        for (uint32_t i = 0; i < keys; i++) check_get(peer, store, i, 'a'); /* warm */
        shared[GET] = time_gets(peer, store, order, 'a');
        shared[MISS] = time_misses(peer, store, order);
        shared[RSS] = ((double)measure_memory("VmRSS") - (double)rss) / (1 << 20);
        shared[ANON] = ((double)measure_memory("RssAnon") - (double)anonymous) / (1 << 20);
    }
    shared[OVERWRITE] = time_puts(peer, store, 'b');
    peer->close(store);
    free(order);
}

/* Open is what comes before the first value. */
static void reopen(const struct peer *peer, const char *directory)
{
    uint64_t begin = measure_now_ns();
    if (!peer->get) return;
    void *store = peer->open(directory, keys, false);
    check_get(peer, store, keys / 2, 'b');
    shared[REOPEN_MS] = measure_seconds_since(begin) * 1e3;
    for (uint32_t i = 0; i < VERIFIED; i++) check_get(peer, store, (uint32_t)((uint64_t)keys * i / VERIFIED), 'b');
    peer->close(store);
}

static void fill_in_batches(const struct peer *peer, const char *directory)
{
    if (!peer->put_batch) return;
    void *store = peer->open(directory, keys, false);
    shared[BATCHES] = time_batches(peer, store, 'c');
    for (uint32_t i = 0; i < VERIFIED; i++) check_get(peer, store, (uint32_t)((uint64_t)keys * i / VERIFIED), 'c');
    peer->close(store);
}

static void put_durably(const struct peer *peer, const char *directory)
{
    void *store = peer->open(directory, durable_puts, true);
    shared[DURABLE] = time_durable_puts(peer, store, 1);
    peer->close(store);
}

static void put_durably_together(const struct peer *peer, const char *directory)
{
    void *store = peer->open(directory, durable_puts, true);
    shared[DURABLE_16] = time_durable_puts(peer, store, WRITERS);
    peer->close(store);
}

static const struct {
    void (*run)(const struct peer *peer, const char *directory);
    bool keeps; /* what the step before left */
} steps[] = {
    {fill_and_read, false},        {reopen, true}, {fill_in_batches, false}, {put_durably, false},
    {put_durably_together, false},
};

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void run_step(const struct peer *peer, size_t step, const char *directory)
{
    int status;
    if (!steps[step].keeps) {
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        if (mkdir(directory, 0700) != 0) die(directory);
        /* What another store left dirty is not to be written back while this one is measured. */
        sync();
    }
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        steps[step].run(peer, directory);
        exit(0);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "store_peers: %s failed in step %zu\n", peer->name, step);
        exit(1);
    }
}

static void run_round(const struct peer *peer, double into[FIGURES][MEASURE_ROUNDS_MAX], int round)
{
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/%s", base, peer->name);
    memset(shared, 0, FIGURES * sizeof *shared);
    for (size_t step = 0; step < sizeof steps / sizeof *steps; step++) run_step(peer, step, directory);
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (int i = 0; i < FIGURES; i++) into[i][round] = shared[i];
}

/* ---- the table ---- */

static void print_figure(int figure, double value)
{
    if (value <= 0) {
        printf(" %10s", "-");
    } else if (figure >= REOPEN_MS) {
        printf(" %10.1f", value);
    } else if (figure == DURABLE || figure == DURABLE_16) {
        printf(" %10.2f", value / 1e3);
    } else {
        printf(" %10.0f", value / 1e3);
    }
}

static void print_table(const bool chosen[PEERS], int rounds)
{
    double medians[PEERS][FIGURES];
    printf("%u keys of 16 bytes, values of 100, %u durable puts; thousand ops/s, medians of %d rounds\n\n%-14s", keys,
           durable_puts, rounds, "");
    for (int i = 0; i < FIGURES; i++) printf(" %10s", figures[i].title);
    putchar('\n');
    for (size_t p = 0; p < PEERS; p++) {
        if (!chosen[p]) continue;
        printf("%-14s", peers[p]->name);
        for (int i = 0; i < FIGURES; i++)
            print_figure(i, medians[p][i] = measure_median(samples[p][i], (size_t)rounds));
        putchar('\n');
    }
    if (chosen[0]) puts("\nbitcask against each, how many times better (above 1) or worse:");
    for (size_t p = 1; chosen[0] && p < PEERS; p++) {
        if (!chosen[p]) continue;
        printf("%-14s", peers[p]->name);
        for (int i = 0; i < FIGURES; i++) {
            double mine = medians[0][i], theirs = medians[p][i];
            if (mine <= 0 || theirs <= 0)
                printf(" %10s", "-");
            else
                printf(" %10.2f", figures[i].less_is_better ? theirs / mine : mine / theirs);
        }
        putchar('\n');
    }
    putchar('\n');
    for (size_t p = 0; p < PEERS; p++)
        if (chosen[p]) printf("%-14s %s\n", peers[p]->name, peers[p]->settings);
}

/* Whether name stands in the list that ONLY is, or there is none. */
static bool is_chosen(const char *name)
{
    const char *only = getenv("ONLY");
    size_t length = strlen(name);
    if (!only || !*only) return true;
    for (const char *at = only; (at = strstr(at, name)) != NULL; at += length)
        if ((at == only || at[-1] == ',') && (at[length] == ',' || at[length] == 0)) return true;
    return false;
}

int main(int argc, char **argv)
{
    int rounds = (int)number_of("ROUNDS", 3);
    bool chosen[PEERS];
    keys = (uint32_t)number_of("KEYS", 1000000);
    durable_puts = (uint32_t)number_of("DURABLE", 2000);
    if (argc != 2 || rounds < 1 || rounds > MEASURE_ROUNDS_MAX || keys == 0 || durable_puts < WRITERS)
        return fprintf(stderr, "usage: store_peers DIRECTORY; see its first lines for the environment\n"), 2;
    base = argv[1];
    shared = mmap(NULL, FIGURES * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("mmap");
    for (size_t p = 0; p < PEERS; p++) chosen[p] = is_chosen(peers[p]->name);
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < PEERS; i++) {
            size_t p = (i + (size_t)round) % PEERS;
            if (!chosen[p]) continue;
            fprintf(stderr, "round %d: %s\n", round + 1, peers[p]->name);
            run_round(peers[p], samples[p], round);
        }
    print_table(chosen, rounds);
    return 0;
}
