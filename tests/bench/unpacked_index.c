/* unpacked_index.c - an index of pointers. See unpacked_index.h.
 */
#include "unpacked_index.h"

#include "measure.h"

#define LEVELS_MAX 16u

struct entry {
    struct entry *chain; /* the next of its bucket */
    char *key;
    uint64_t hash;
    uint64_t offset; /* where its record is, and in which file */
    uint32_t segment;
    uint32_t record_size;
    uint64_t version;
    int64_t mtime_ns;
    uint64_t value_size;
    uint32_t attributes;
    uint8_t key_size;
    uint8_t levels;
    struct entry *next[]; /* of the skip list, lowest first */
};

static struct entry **buckets;
static size_t bucket_count;
static struct entry *heads[LEVELS_MAX];

static void *must_malloc(size_t size)
{
    void *memory = malloc(size);
    if (!memory) {
        perror("malloc");
        exit(1);
    }
    return memory;
}

static uint64_t hash_of(const char *key)
{
    uint64_t state, low;
    memcpy(&state, key, sizeof state);
    memcpy(&low, key + sizeof state, sizeof low);
    state ^= low * 0x9e3779b97f4a7c15u;
    return measure_random(&state);
}

/* A quarter of the entries of each level stand on the next as well. */
static uint8_t random_levels(uint64_t *rng)
{
    uint64_t bits = measure_random(rng);
    uint8_t levels = 1;
    for (; levels < LEVELS_MAX && (bits & 3) == 0; bits >>= 2) levels++;
    return levels;
}

static void insert_hashed(struct entry *entry)
{
    struct entry **bucket = &buckets[entry->hash & (bucket_count - 1)];
    entry->chain = *bucket;
    *bucket = entry;
}

static void grow_table(size_t count)
{
    struct entry **old = buckets;
    size_t old_count = bucket_count;
    if (count < bucket_count) return;
    bucket_count = bucket_count ? 2 * bucket_count : 1024;
    buckets = must_malloc(bucket_count * sizeof(struct entry *));
    memset(buckets, 0, bucket_count * sizeof(struct entry *));
    for (size_t i = 0; i < old_count; i++)
        for (struct entry *entry = old[i], *after; entry; entry = after) {
            after = entry->chain;
            insert_hashed(entry);
        }
    free(old);
}

static struct entry *make_entry(size_t number, uint64_t *rng)
{
    uint8_t levels = random_levels(rng);
    struct entry *entry = must_malloc(sizeof *entry + levels * sizeof entry->next[0]);
    memset(entry, 0, sizeof *entry);
    entry->key = must_malloc(MEASURE_KEY_SIZE);
    measure_key(number, entry->key);
    entry->hash = hash_of(entry->key);
    entry->key_size = MEASURE_KEY_SIZE;
    entry->levels = levels;
    entry->offset = number * 50;
    entry->version = number;
    return entry;
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp((*(struct entry *const *)a)->key, (*(struct entry *const *)b)->key, MEASURE_KEY_SIZE);
}

/* Links the skip list: what it takes does not depend on the order of insertion, and one pass behind a sort is faster
 * than searching a place for each. */
static void link_in_order(size_t count)
{
    struct entry **sorted = must_malloc(count * sizeof(struct entry *));
    struct entry **ends[LEVELS_MAX];
    size_t at = 0;
    for (size_t i = 0; i < bucket_count; i++)
        for (struct entry *entry = buckets[i]; entry; entry = entry->chain) sorted[at++] = entry;
    qsort(sorted, count, sizeof *sorted, compare_entries);
    for (unsigned level = 0; level < LEVELS_MAX; level++) ends[level] = &heads[level];
    for (size_t i = 0; i < count; i++)
        for (unsigned level = 0; level < sorted[i]->levels; level++) {
            *ends[level] = sorted[i];
            ends[level] = &sorted[i]->next[level];
        }
    for (unsigned level = 0; level < LEVELS_MAX; level++) *ends[level] = NULL;
    free(sorted);
}

static const struct entry *find(const char *key)
{
    uint64_t hash = hash_of(key);
    const struct entry *entry = buckets[hash & (bucket_count - 1)];
    while (entry && (entry->hash != hash || memcmp(entry->key, key, MEASURE_KEY_SIZE) != 0)) entry = entry->chain;
    return entry;
}

/* Through the skip list, for some of the keys. */
static const struct entry *find_ordered(const char *key)
{
    struct entry *const *from = heads;
    for (unsigned level = LEVELS_MAX; level-- > 0;)
        while (from[level] && memcmp(from[level]->key, key, MEASURE_KEY_SIZE) < 0) from = from[level]->next;
    return from[0] && memcmp(from[0]->key, key, MEASURE_KEY_SIZE) == 0 ? from[0] : NULL;
}

size_t unpacked_index_build(size_t count)
{
    uint64_t rng = 1;
    size_t found = 0;
    char key[MEASURE_KEY_SIZE];
    for (size_t i = 0; i < count; i++) {
        grow_table(i);
        insert_hashed(make_entry(i, &rng));
    }
    link_in_order(count);
    for (size_t i = 0; i < count; i++) {
        measure_key(i, key);
        const struct entry *entry = find(key);
        found += entry && (i % 1000 != 0 || find_ordered(key) == entry);
    }
    for (const struct entry *entry = heads[0]; entry && entry->next[0]; entry = entry->next[0])
        if (compare_entries(&entry, &entry->next[0]) >= 0) return 0;
    return found;
}
