/* test_query.c - every kind of query against a sorted array of the same names.
 *
 * The names are random bytes of every length with long common beginnings, and some of them are partitions. Bounds are
 * of every kind that can be told apart: absent, empty, a name that is there, one that is not, right in front of a name
 * and right behind it, longer than a name may be, beginning with NUL. SEED comes from the environment and is printed.
 * COMBINATIONS: of the combinations of all that, one in so many is tried (default 1, with a sanitizer 20).
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define BOUND_MAX 600u

struct name {
    uint8_t bytes[BITCASK_NAME_MAX];
    size_t size;
    bool partition;
    bool there;
};

/* What the store must hold: in order, each name once. */
struct names {
    struct name *list;
    size_t count;
};

struct bound {
    uint8_t bytes[BOUND_MAX];
    size_t size;
    bool given;
};

enum bound_kind {
    BOUND_NONE,
    BOUND_EMPTY,
    BOUND_PRESENT,
    BOUND_ABSENT,
    BOUND_BEFORE, /* nothing lies between it and a name, but what is longer than 255 bytes */
    BOUND_BEHIND, /* nothing lies between a name and it */
    BOUND_LONGER, /* a name, filled up to more than 255 bytes */
    BOUND_NUL,
    BOUND_TOP,
    BOUND_SAME, /* as the other one */
    BOUND_KINDS
};

enum prefix_kind {
    PREFIX_NONE,
    PREFIX_EMPTY,
    PREFIX_COMMON, /* a few bytes that many names begin with */
    PREFIX_WHOLE,  /* a name */
    PREFIX_ABSENT,
    PREFIX_TOP, /* 0xff only: nothing is above it */
    PREFIX_LONGER,
    PREFIX_KINDS
};

static uint64_t rng;
static bitcask *db;
static bitcask_partition *root;

static int compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    if (order != 0) return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return compare(x->bytes, x->size, y->bytes, y->size);
}

/* ---- names ---- */

static uint8_t random_byte(void)
{
    static const uint8_t favourites[] = {0x01, 0xff, 'a', 'b', '.', 0x80};
    uint8_t byte;
    if (fixture_below(&rng, 2)) return favourites[fixture_below(&rng, sizeof favourites)];
    do byte = (uint8_t)(1 + fixture_below(&rng, 255));
    while (byte == '/');
    return byte;
}

static size_t random_size(void)
{
    static const size_t favourites[] = {1, 2, 8, 16, BITCASK_NAME_MAX - 1, BITCASK_NAME_MAX};
    if (fixture_below(&rng, 3) == 0) return favourites[fixture_below(&rng, 6)];
    return 1 + fixture_below(&rng, fixture_below(&rng, 2) ? 20 : BITCASK_NAME_MAX);
}

/* A name that begins as an earlier one does, mostly. */
static void make_name(const struct names *names, struct name *name)
{
    do {
        size_t from = 0;
        name->size = random_size();
        if (names->count > 0 && fixture_below(&rng, 4)) {
            const struct name *like = &names->list[fixture_below(&rng, names->count)];
            from = fixture_below(&rng, (like->size < name->size ? like->size : name->size) + 1);
            memcpy(name->bytes, like->bytes, from);
        }
        for (size_t i = from; i < name->size; i++) name->bytes[i] = random_byte();
    } while (bitcask_check_name(name->bytes, name->size) != BITCASK_OK);
}

static uint64_t value_size_of(const struct name *name)
{
    return name->partition ? 0 : name->size % 40;
}

static void add(struct name *name)
{
    static const uint8_t value[64] = "a value";
    bitcask_status status = name->partition
                                ? bitcask_partition_create(root, name->bytes, name->size, NULL, 0, NULL)
                                : bitcask_put(root, name->bytes, name->size, value, value_size_of(name), NULL, NULL);
    EXPECT(BITCASK_OK, status);
    name->there = true;
}

static void take_away(struct name *name)
{
    EXPECT(BITCASK_OK, name->partition ? bitcask_partition_drop(root, name->bytes, name->size, 0)
                                       : bitcask_delete(root, name->bytes, name->size, NULL));
    name->there = false;
}

/* A new store in which about `count` names were put in random order, some of them partitions, and some keys deleted
 * again: those are in the array, as not there. */
static void open_filled(const char *path, struct names *names, size_t count, unsigned partitions)
{
    *names = (struct names){.list = calloc(count, sizeof *names->list)};
    if (!names->list) exit(99);
    for (size_t i = 0; i < count; i++) make_name(names, &names->list[names->count++]);
    qsort(names->list, count, sizeof *names->list, compare_names);
    names->count = 0;
    for (size_t i = 0; i < count; i++)
        if (names->count == 0 || compare_names(&names->list[names->count - 1], &names->list[i]) != 0)
            names->list[names->count++] = names->list[i];
    while (partitions-- > 0) names->list[fixture_below(&rng, names->count)].partition = true;
    db = fixture_open(path, BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    size_t *order = malloc(names->count * sizeof *order);
    if (!order) exit(99);
    for (size_t i = 0; i < names->count; i++) {
        size_t at = fixture_below(&rng, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (size_t i = 0; i < names->count; i++) add(&names->list[order[i]]);
    free(order);
    for (size_t i = 0; i < names->count / 8; i++) {
        struct name *name = &names->list[fixture_below(&rng, names->count)];
        if (name->there && !name->partition) take_away(name);
    }
}

static void close_filled(const char *path, struct names *names)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    free(names->list);
    fixture_remove(path);
}

/* ---- one query ---- */

/* A bound of this kind; other: what BOUND_SAME takes. */
static void make_bound(const struct names *names, enum bound_kind kind, const struct bound *other, struct bound *bound)
{
    const struct name *name = &names->list[fixture_below(&rng, names->count)];
    struct name absent;
    memset(bound, 0, sizeof *bound);
    bound->given = kind != BOUND_NONE;
    if (kind == BOUND_SAME) *bound = *other;
    if (kind == BOUND_ABSENT) {
        make_name(names, &absent);
        name = &absent;
    }
    if (kind >= BOUND_PRESENT && kind <= BOUND_NUL) {
        memcpy(bound->bytes, name->bytes, name->size);
        bound->size = name->size;
    }
    if (kind == BOUND_BEFORE) {
        if (--bound->bytes[bound->size - 1] == 0)
            bound->size--;
        else
            while (bound->size < BITCASK_NAME_MAX) bound->bytes[bound->size++] = 0xff;
    }
    if (kind == BOUND_BEHIND) bound->bytes[bound->size++] = (uint8_t)fixture_below(&rng, 2);
    if (kind == BOUND_LONGER) {
        uint8_t filler = (uint8_t)(fixture_below(&rng, 2) ? 0xff : fixture_below(&rng, 2));
        size_t size = 256 + fixture_below(&rng, BOUND_MAX - 256);
        while (bound->size < size) bound->bytes[bound->size++] = filler;
    }
    if (kind == BOUND_NUL) bound->bytes[0] = 0;
    if (kind == BOUND_TOP) {
        bound->size = 1 + fixture_below(&rng, BITCASK_NAME_MAX);
        memset(bound->bytes, 0xff, bound->size);
    }
}

static void make_prefix(const struct names *names, enum prefix_kind kind, struct bound *prefix)
{
    static const enum bound_kind bounds[] = {
        BOUND_NONE, BOUND_EMPTY, BOUND_PRESENT, BOUND_PRESENT, BOUND_ABSENT, BOUND_TOP, BOUND_LONGER,
    };
    make_bound(names, bounds[kind], NULL, prefix);
    if (kind == PREFIX_COMMON && prefix->size > 2) prefix->size = 1 + fixture_below(&rng, 2);
    if (kind == PREFIX_TOP && fixture_below(&rng, 2)) prefix->size = 1;
}

static bool wants(const bitcask_query_options *options, const struct name *name)
{
    if (!name->there) return false;
    if (options->keys != options->partitions && options->partitions != name->partition) return false;
    if (options->from) {
        int order = compare(name->bytes, name->size, options->from, options->from_size);
        if (order < 0 || (order == 0 && options->from_exclusive)) return false;
    }
    if (options->to) {
        int order = compare(name->bytes, name->size, options->to, options->to_size);
        if (order > 0 || (order == 0 && options->to_exclusive)) return false;
    }
    if (!options->prefix || options->prefix_size == 0) return true;
    return name->size >= options->prefix_size && memcmp(name->bytes, options->prefix, options->prefix_size) == 0;
}

static bool is_entry(const bitcask_entry *entry, const struct name *name)
{
    return entry->key_size == name->size && memcmp(entry->key, name->bytes, name->size) == 0 &&
           (entry->kind == BITCASK_PARTITION) == name->partition && entry->value_size == value_size_of(name);
}

static void show_bytes(const char *what, const void *bytes, size_t size)
{
    fprintf(stderr, "  %s:", what);
    if (!bytes) fprintf(stderr, " NULL");
    for (size_t i = 0; bytes && i < size; i++) fprintf(stderr, " %02x", ((const uint8_t *)bytes)[i]);
    fprintf(stderr, "\n");
}

static bool differs(const bitcask_query_options *options, const char *how, const struct name *wanted,
                    const bitcask_entry *entry)
{
    fprintf(stderr, "a query %s\n", how);
    show_bytes(options->from_exclusive ? "from, without it" : "from", options->from, options->from_size);
    show_bytes(options->to_exclusive ? "to, without it" : "to", options->to, options->to_size);
    show_bytes("prefix", options->prefix, options->prefix_size);
    fprintf(stderr, "  limit %llu%s%s%s\n", (unsigned long long)options->limit, options->reverse ? ", reverse" : "",
            options->keys ? ", keys" : "", options->partitions ? ", partitions" : "");
    if (wanted) show_bytes("wanted", wanted->bytes, wanted->size);
    if (entry) show_bytes("got", entry->key, entry->key_size);
    CU_FAIL("a query differs from the sorted array");
    return false;
}

/* Whether a query gives exactly what the array says. last: gets the last name, unless there was none. */
static bool agrees(const struct names *names, const bitcask_query_options *options, struct name **last)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    uint64_t left = options->limit ? options->limit : UINT64_MAX;
    bool same = true;
    EXPECT(BITCASK_OK, bitcask_query_open(root, options, &query));
    if (!query) return false;
    for (size_t i = 0; same && left > 0 && i < names->count; i++) {
        struct name *name = &names->list[options->reverse ? names->count - 1 - i : i];
        if (!wants(options, name)) continue;
        if (bitcask_query_next(query, &entry) != BITCASK_OK)
            same = differs(options, "ended early, or failed", name, NULL);
        else if (!is_entry(&entry, name))
            same = differs(options, "gave another name, or told another kind or size", name, &entry);
        left--;
        if (last) *last = name;
    }
    for (int i = 0; same && i < 2; i++)
        if (bitcask_query_next(query, &entry) != BITCASK_NOT_FOUND)
            same = differs(options, "did not end", NULL, &entry);
    bitcask_query_close(&query);
    return same;
}

/* ---- the tests ---- */

/* One digit of a number that counts through all combinations. */
static unsigned digit(uint64_t *number, unsigned base)
{
    unsigned value = (unsigned)(*number % base);
    *number /= base;
    return value;
}

static void choose(const struct names *names, uint64_t number, struct bound bounds[3], bitcask_query_options *options)
{
    make_bound(names, (enum bound_kind)digit(&number, BOUND_SAME), NULL, &bounds[0]);
    make_bound(names, (enum bound_kind)digit(&number, BOUND_KINDS), &bounds[0], &bounds[1]);
    make_prefix(names, (enum prefix_kind)digit(&number, PREFIX_KINDS), &bounds[2]);
    /* Most pairs of names stand the wrong way round, one time in two. */
    if (compare(bounds[0].bytes, bounds[0].size, bounds[1].bytes, bounds[1].size) > 0 && bounds[0].given &&
        bounds[1].given && fixture_below(&rng, 4)) {
        struct bound swapped = bounds[0];
        bounds[0] = bounds[1];
        bounds[1] = swapped;
    }
    *options = (bitcask_query_options){
        .from = bounds[0].given ? bounds[0].bytes : NULL,
        .from_size = bounds[0].size,
        .to = bounds[1].given ? bounds[1].bytes : NULL,
        .to_size = bounds[1].size,
        .prefix = bounds[2].given ? bounds[2].bytes : NULL,
        .prefix_size = bounds[2].size,
        .from_exclusive = digit(&number, 2),
        .to_exclusive = digit(&number, 2),
        .reverse = digit(&number, 2),
        .keys = digit(&number, 2),
        .partitions = digit(&number, 2),
    };
    unsigned limit = digit(&number, 4);
    options->limit = limit == 0 ? 0 : limit == 1 ? 1 : limit == 2 ? fixture_below(&rng, 130) + 1 : UINT64_MAX;
}

static uint64_t combinations(void)
{
    return (uint64_t)BOUND_SAME * BOUND_KINDS * PREFIX_KINDS * 2 * 2 * 2 * 2 * 2 * 4;
}

static void every_combination_gives_what_a_sorted_array_gives(void)
{
    const char *path = fixture_path("combinations");
    uint64_t step = fixture_number("COMBINATIONS", SANITIZED ? 20 : 1), tried = 0;
    struct names names;
    struct bound bounds[3];
    bitcask_query_options options;
    bool same = true;
    open_filled(path, &names, 250, 20);
    for (uint64_t i = fixture_below(&rng, step); same && i < combinations(); i += step, tried++) {
        choose(&names, i, bounds, &options);
        same = agrees(&names, &options, NULL);
        if (!same) fprintf(stderr, "  combination %llu\n", (unsigned long long)i);
    }
    printf("%llu combinations ", (unsigned long long)tried);
    close_filled(path, &names);
}

static void the_same_in_a_store_of_many_names_and_after_reopening(void)
{
    const char *path = fixture_path("many");
    struct names names;
    struct bound bounds[3];
    bitcask_query_options options;
    bool same = true;
    open_filled(path, &names, SANITIZED ? 2000 : 10000, 40);
    for (int reopened = 0; same && reopened < 2; reopened++) {
        for (int i = 0; same && i < (SANITIZED ? 50 : 300); i++) {
            choose(&names, fixture_random(&rng) % combinations(), bounds, &options);
            same = agrees(&names, &options, NULL);
        }
        bitcask_partition_close(&root);
        EXPECT(BITCASK_OK, bitcask_close(&db));
        db = fixture_open(path, BITCASK_SYNC_OS);
        EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    }
    close_filled(path, &names);
}

/* Pages of `page` names, each begun behind the last name of the one before, which is deleted in between, or not. */
static bool pages_agree(struct names *names, uint64_t page, bool reverse, bool deleting, bool prefixed)
{
    bitcask_query_options options = {.limit = page, .reverse = reverse};
    struct bound prefix;
    make_prefix(names, prefixed ? PREFIX_COMMON : PREFIX_NONE, &prefix);
    options.prefix = prefix.given ? prefix.bytes : NULL;
    options.prefix_size = prefix.size;
    for (struct name *last = NULL, *deleted = NULL;;) {
        struct name *before = last;
        if (!agrees(names, &options, &last)) return false;
        if (deleted) add(deleted);
        deleted = NULL;
        if (last == before) return true;
        if (deleting && !last->partition) {
            take_away(last);
            deleted = last;
        }
        if (reverse) {
            options.to = last->bytes;
            options.to_size = last->size;
            options.to_exclusive = true;
        } else {
            options.from = last->bytes;
            options.from_size = last->size;
            options.from_exclusive = true;
        }
    }
}

static void resuming_behind_a_name_misses_and_repeats_nothing_also_if_it_was_deleted(void)
{
    static const uint64_t pages[] = {1, 2, 63, 64, 65, 500, 5000};
    const char *path = fixture_path("pages");
    struct names names;
    bool same = true;
    open_filled(path, &names, SANITIZED ? 400 : 1500, 10);
    for (unsigned i = 0; same && i < 7 * 8; i++) same = pages_agree(&names, pages[i / 8], i & 1, i & 2, i & 4);
    close_filled(path, &names);
}

/* Deletes or inserts names around `near`, none of which is an even one: those stay. */
static void disturb(struct names *names, size_t near, unsigned many)
{
    for (unsigned i = 0; i < many; i++) {
        size_t at = fixture_below(&rng, 3) ? near + fixture_below(&rng, 200) : fixture_below(&rng, names->count);
        at |= 1;
        if (at >= names->count || names->list[at].partition) continue;
        if (names->list[at].there)
            take_away(&names->list[at]);
        else
            add(&names->list[at]);
    }
}

/* Where a name stands in the array. */
static size_t find(const struct names *names, const bitcask_entry *entry)
{
    struct name wanted = {.size = entry->key_size};
    memcpy(wanted.bytes, entry->key, entry->key_size);
    const struct name *found = bsearch(&wanted, names->list, names->count, sizeof wanted, compare_names);
    return found ? (size_t)(found - names->list) : SIZE_MAX;
}

/* One pass over everything while odd names come and go: a few at a time, or now and then most of them. */
static bool pass_disturbed(struct names *names, bool reverse)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    size_t next = 0, seen = 0; /* counted from where the pass began */
    bitcask_status status;
    bool same = true;
    EXPECT(BITCASK_OK, bitcask_query_open(root, &(bitcask_query_options){.reverse = reverse}, &query));
    while (same && (status = bitcask_query_next(query, &entry)) == BITCASK_OK) {
        size_t at = find(names, &entry);
        size_t place = at == SIZE_MAX || !reverse ? at : names->count - 1 - at;
        same = at != SIZE_MAX && place >= next;
        /* Each even name that was passed over is one that is missing. */
        for (; same && next < place; next++) same = (reverse ? names->count - 1 - next : next) % 2 == 1;
        next = place + 1;
        if (++seen % 16 == 0) disturb(names, at, 12);
        if (seen % 700 == 0) disturb(names, 0, (unsigned)names->count);
    }
    for (; same && next < names->count; next++) same = (reverse ? names->count - 1 - next : next) % 2 == 1;
    bitcask_query_close(&query);
    return same && status == BITCASK_NOT_FOUND;
}

static void names_that_stay_are_listed_once_and_in_order_while_others_come_and_go(void)
{
    const char *path = fixture_path("disturbed");
    struct names names;
    open_filled(path, &names, SANITIZED ? 1500 : 6000, 20);
    for (size_t i = 0; i < names.count; i += 2)
        if (!names.list[i].there) add(&names.list[i]);
    for (int i = 0; i < 8; i++) {
        CU_ASSERT(pass_disturbed(&names, i % 2));
        CU_ASSERT(agrees(&names, &(bitcask_query_options){.reverse = i % 2}, NULL));
    }
    close_filled(path, &names);
}

/* Bytes that malloc has given out and not got back. Sanitizers have a malloc of their own, which does not say. */
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Memory of this process that no file stands behind, in bytes. */
static size_t anonymous(void)
{
    char line[128];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %zu", &kib) == 1) break;
    if (file) fclose(file);
    return kib * 1024;
}

static void a_scan_takes_the_same_memory_however_many_names_there_are(void)
{
    const char *path = fixture_path("memory");
    const unsigned count = SANITIZED ? 20000 : 200000;
    bitcask_query *query = NULL;
    bitcask_entry entry;
    char name[32];
    db = fixture_open(path, BITCASK_SYNC_OS);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    for (unsigned i = 0; i < count; i++) {
        int size = snprintf(name, sizeof name, "%08x%08x", i * 0x9e3779b1u, i);
        EXPECT(BITCASK_OK, bitcask_put(root, name, (size_t)size, "x", 1, NULL, NULL));
    }
    /* The first pass may sort what nobody asked the order of before; those behind it have nothing to set up. */
    for (int pass = 0; pass < 3; pass++) {
        size_t first = 0, most = 0, first_anonymous = 0;
        unsigned seen = 0;
        EXPECT(BITCASK_OK, bitcask_query_open(root, &(bitcask_query_options){.reverse = pass == 2}, &query));
        while (bitcask_query_next(query, &entry) == BITCASK_OK) {
            if (++seen == 1) {
                first = allocated();
                first_anonymous = anonymous();
            }
            if (seen % 1000 == 0 && allocated() > most) most = allocated();
        }
        size_t last_anonymous = anonymous();
        bitcask_query_close(&query);
        CU_ASSERT_EQUAL(seen, count);
        if (pass == 0 || SANITIZED) continue;
        CU_ASSERT(most < first + 64 * 1024);
        CU_ASSERT(last_anonymous < first_anonymous + 1024 * 1024);
        if (most > first) printf("(%zu bytes more) ", most - first);
    }
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"every combination gives what a sorted array gives", every_combination_gives_what_a_sorted_array_gives},
        {"the same in a store of many names, and after reopening",
         the_same_in_a_store_of_many_names_and_after_reopening},
        {"resuming behind a name misses and repeats nothing, also if it was deleted",
         resuming_behind_a_name_misses_and_repeats_nothing_also_if_it_was_deleted},
        {"names that stay are listed once and in order while others come and go",
         names_that_stay_are_listed_once_and_in_order_while_others_come_and_go},
        {"a scan takes the same memory however many names there are",
         a_scan_takes_the_same_memory_however_many_names_there_are},
        CU_TEST_INFO_NULL,
    };
    rng = fixture_number("SEED", (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid());
    printf("SEED=%llu\n", (unsigned long long)rng);
    return fixture_run("query", tests);
}
