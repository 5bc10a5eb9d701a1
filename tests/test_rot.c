/* test_rot.c - a small store on the simulated disk, each byte of it changed in three ways, and each file cut at each
 * length. Then, as a reader and as a writer: no wrong value, no crash, each record that is whole is read, the damage is
 * reported with its file and place, memory stays within twice that of the clean store; and a repair brings back what
 * the damage of a header had hidden. A slice of it, spread evenly; with LONG=1 all.
 *
 * Three stores: with checkpoints, with hints alone, with nothing but data. Linked with malloc() wrapped.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/maintain.h"
#include "findings.h"
#include "io_sim.h"
#include "rot_places.h"

#define SHOWN_MAX 20u /* violations that are told; of more with ROT_SHOWN */

enum store_kind { WITH_CHECKPOINTS, WITH_HINTS, DATA_ALONE, STORE_KINDS };

static struct bc_sim *clean[STORE_KINDS];
static int64_t clean_peak[STORE_KINDS];
static uint64_t flips, truncations, repairs, violations;
static struct findings told;

/* What is done to a file. */
struct damage {
    enum store_kind kind;
    size_t file;
    bool cut;
    uint64_t at;
    uint8_t byte; /* what stands there then */
    bool header;  /* of a data file: it is refused as a whole */
    bool data;
};

/* ---- memory ---- */

static int64_t held, peak;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static void *got(void *memory)
{
    if (memory) held += (int64_t)malloc_usable_size(memory);
    if (held > peak) peak = held;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return got(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return got(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (memory) held -= (int64_t)malloc_usable_size(memory);
    return got(__real_realloc(memory, size));
}

void __wrap_free(void *memory)
{
    if (memory) held -= (int64_t)malloc_usable_size(memory);
    __real_free(memory);
}

/* ---- checks ---- */

static void violated(const struct damage *damage, const char *who, const char *what, const char *name)
{
    if (violations++ >= fixture_number("ROT_SHOWN", SHOWN_MAX)) return;
    fprintf(stderr, "store %d, %s, %s at %llu (%02x), %s: %s: %s (%s)\n", (int)damage->kind, rot_files[damage->file],
            damage->cut ? "cut" : "changed", (unsigned long long)damage->at, damage->byte, who, name, what,
            bitcask_error_detail());
}

static bool ends_in(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);
    return size >= end_size && strcmp(path + size - end_size, end) == 0;
}

/* Whether all that the name needs is there as it was. */
static bool is_whole(const struct damage *damage, const struct rot_name *name)
{
    if (!damage->data) return true;
    if (damage->header) return !rot_needs_partition(name, rot_partition[damage->file]);
    if (damage->cut) return !rot_needs_behind(name, damage->file, damage->at);
    return !rot_needs(name, damage->file, damage->at);
}

/* Whether a value of before may be read, the damage being told: the log, being cut, does not say that there was
 * another; nor does a record whose key cannot be read, where no checkpoint knows it; and a repair leaves it out. */
static bool may_be_old(const struct damage *damage, const char *who)
{
    return damage->cut || damage->header || damage->kind != WITH_CHECKPOINTS || strcmp(who, "repair") == 0;
}

static void check_name(const struct damage *damage, const char *who, bitcask *db, const struct rot_name *name)
{
    const struct small_name *small = &name->name;
    bitcask_partition *partition = NULL;
    bitcask_value *value = NULL;
    char wanted[SMALL_VALUE_MAX];
    bool whole = is_whole(damage, name);
    bitcask_status status = bitcask_partition_open(db, small->partition, &partition);
    if (status == BITCASK_OK) status = bitcask_get(partition, small->key, strlen(small->key), &value);
    small_value(small->was, small->generation, small->size, wanted);
    if (name->deleted) {
        if (whole && status != BITCASK_NOT_FOUND) violated(damage, who, "is back, or cannot be asked for", small->key);
        if (status == BITCASK_OK && !small_value_was_put(small, bitcask_value_data(value), bitcask_value_size(value)))
            violated(damage, who, "a value that nobody put", small->key);
    } else if (status == BITCASK_OK) {
        const void *data = bitcask_value_data(value);
        size_t size = (size_t)bitcask_value_size(value);
        bool latest = size == small->size && memcmp(size ? data : "", wanted, size) == 0;
        if (!latest && !small_value_was_put(small, data, size))
            violated(damage, who, "a value that nobody put", small->key);
        else if (!latest && (whole || !may_be_old(damage, who)))
            violated(damage, who, "an old value", small->key);
    } else if (whole) {
        violated(damage, who, "not to be read", small->key);
    }
    bitcask_value_unpin(&value);
    bitcask_partition_close(&partition);
}

/* Damage of the file that covers the place; of hints and checkpoints any finding of theirs. */
static bool is_told(const struct damage *damage)
{
    const char *slash = strrchr(rot_files[damage->file], '/');
    for (size_t i = 0; i < told.count && i < FINDINGS_KEPT; i++) {
        const struct told *t = &told.list[i];
        if (strcmp(t->file, slash + 1) != 0) continue;
        if (!damage->data && t->kind == BITCASK_FOUND_HINT) return true;
        if (damage->data && t->kind == BITCASK_FOUND_DAMAGE &&
            (damage->cut || (t->offset <= damage->at && damage->at - t->offset < t->size)))
            return true;
    }
    return false;
}

/* Whether nobody can tell that something is wrong: the active segment's end may be torn by a power cut at any time, and
 * no more than that is known of a sealed one without a hint that ends with a record. */
static bool may_be_silent(const struct damage *damage)
{
    const char *slash = strrchr(rot_files[damage->file], '/');
    if (!damage->data) return strcmp(slash, "/000003.hint") == 0; /* of the active one, which need not have any */
    if (damage->cut && damage->at < rot_header_size[damage->file]) return false;
    if (damage->cut) return ends_in(rot_files[damage->file], "/active.data") || damage->kind == DATA_ALONE;
    return rot_last_mark[damage->file] > 0 && damage->at >= rot_last_mark[damage->file];
}

static char why[512]; /* what a verify that did not run said */

static bc_status verify_all(struct bc_io *io)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = findings_found, .context = &told};
    told.count = 0;
    bc_status status = small_store_open(io, true, &db);
    if (status == BITCASK_OK) status = bitcask_partition_open(db, "", &root);
    if (status == BITCASK_OK) status = bitcask_verify(root, &options, &told.result);
    snprintf(why, sizeof why, "%s", bitcask_error_detail());
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
    return status;
}

static void check_names(const struct damage *damage, const char *who, bitcask *db)
{
    for (size_t i = 0; i < ROT_NAMES; i++) check_name(damage, who, db, &rot_names[i]);
}

static void check_reader(const struct damage *damage, struct bc_io *io)
{
    bitcask *db = NULL;
    int64_t before = held;
    peak = held;
    bitcask_status status = small_store_open(io, true, &db);
    if (status == BITCASK_OK) check_names(damage, "reader", db);
    if (status != BITCASK_OK && !damage->header) violated(damage, "reader", "does not open", "store");
    if (status == BITCASK_OK && bitcask_close(&db) != BITCASK_OK) violated(damage, "reader", "close", "store");
    if (clean_peak[damage->kind] > 0 && peak - before > 2 * clean_peak[damage->kind])
        violated(damage, "reader", "more than twice the memory", "store");
    if (clean_peak[damage->kind] == 0) clean_peak[damage->kind] = peak - before;
}

static void check_verify(const struct damage *damage, struct bc_io *io)
{
    bc_status status = verify_all(io);
    if (status == BITCASK_OK) {
        if (!is_told(damage) && !may_be_silent(damage)) violated(damage, "verify", "tells nothing", "damage");
    } else if (!damage->header) {
        violated(damage, "verify", "does not run", "store");
    } else if (!strstr(why, strrchr(rot_files[damage->file], '/') + 1)) {
        violated(damage, "verify", "does not name the file", "store");
    }
}

/* A writer reads the same, goes on writing, and throws nothing away. */
static void check_writer(const struct damage *damage, struct bc_io *io)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_value *value = NULL;
    char files[SMALL_FILES_MAX][128];
    if (small_store_open(io, false, &db) == BITCASK_OK) {
        check_names(damage, "writer", db);
        if (bitcask_partition_open(db, "", &root) == BITCASK_OK) {
            bitcask_status status = bitcask_put(root, "new", 3, "value", 5, NULL, NULL);
            if (status == BITCASK_OK && (bitcask_get(root, "new", 3, &value) != BITCASK_OK ||
                                         memcmp(bitcask_value_data(value), "value", 5) != 0))
                violated(damage, "writer", "what was put is not there", "new");
            if (status != BITCASK_OK && !damage->header) violated(damage, "writer", "cannot be put", "new");
        }
        bitcask_value_unpin(&value);
        bitcask_partition_close(&root);
        if (bitcask_close(&db) != BITCASK_OK && !damage->header) violated(damage, "writer", "close", "store");
        if (small_store_open(io, false, &db) == BITCASK_OK) check_names(damage, "writer, again", db);
        (void)bitcask_close(&db);
    } else if (!damage->header) {
        violated(damage, "writer", "does not open", "store");
    }
    size_t count = small_store_files(io, files), found = 0, wanted = 0;
    for (size_t i = 0; i < rot_file_count; i++) {
        if (!ends_in(rot_files[i], ".data")) continue;
        wanted++;
        for (size_t k = 0; k < count; k++) found += strcmp(files[k], rot_files[i]) == 0;
    }
    if (found < wanted) violated(damage, "writer", "a data file is gone", "store");
}

/* After a repair nothing is damaged, and all is there that was whole, behind a damaged header too. */
static void check_repair(const struct damage *damage, struct bc_io *io)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW};
    struct damage repaired = *damage;
    bitcask_verify_result result = {0};
    bitcask *db = NULL;
    bitcask_status status = bc_db_repair(io, SMALL_STORE, "", &options, &result);
    repairs++;
    if (status != BITCASK_OK) {
        violated(damage, "repair", "does not run", "store");
        return;
    }
    if (!damage->cut) repaired.header = false;
    if (!damage->cut && damage->header) repaired.data = false; /* all its records are to be read again */
    if (small_store_open(io, false, &db) != BITCASK_OK) {
        violated(damage, "repair", "does not open", "store");
        return;
    }
    check_names(&repaired, "repair", db);
    if (bitcask_close(&db) != BITCASK_OK) violated(damage, "repair", "close", "store");
    if (verify_all(io) != BITCASK_OK) violated(damage, "repair", "does not verify", "store");
    /* What is lost stays lost: names of inodes, or extents, that are no more. */
    for (size_t i = 0; i < told.count && i < FINDINGS_KEPT; i++)
        if (told.list[i].kind == BITCASK_FOUND_DAMAGE && told.list[i].file[0])
            violated(damage, "repair", "leaves damage", told.list[i].file);
}

/* ---- changes ---- */

static void try(const struct damage *damage, const uint8_t *good, size_t size, bool repair)
{
    const char *path = rot_files[damage->file];
    struct bc_sim *sim = bc_sim_power_cut(clean[damage->kind], BC_SIM_CUT_ALL, 0);
    uint8_t *bad = malloc(size + 1);
    if (!bad) exit(99);
    memcpy(bad, good, size);
    if (!damage->cut) bad[damage->at] = damage->byte;
    small_store_write(bc_sim_io(sim), path, bad, damage->cut ? (size_t)damage->at : size);
    free(bad);
    struct bc_sim *other = repair ? bc_sim_power_cut(sim, BC_SIM_CUT_ALL, 0) : NULL;
    check_reader(damage, bc_sim_io(sim));
    check_verify(damage, bc_sim_io(sim));
    check_writer(damage, bc_sim_io(sim));
    if (bc_sim_handles(sim) != 0 || bc_sim_misuses(sim) != 0) violated(damage, "disk", "handles left open", "store");
    bc_sim_close(&sim);
    if (!other) return;
    check_repair(damage, bc_sim_io(other));
    bc_sim_close(&other);
}

/* Whether a file is worth it in this store: one of hints and checkpoints where it is the one that is read. */
static bool is_tried(enum store_kind kind, const char *path)
{
    if (ends_in(path, "/index")) return kind == WITH_CHECKPOINTS;
    if (ends_in(path, ".hint")) return kind == WITH_HINTS;
    return ends_in(path, ".data");
}

static void try_all(uint64_t every, uint64_t *count)
{
    for (int kind = 0; kind < STORE_KINDS; kind++)
        for (size_t file = 0; file < rot_file_count; file++) {
            size_t size;
            if (!is_tried((enum store_kind)kind, rot_files[file])) continue;
            bool data = ends_in(rot_files[file], ".data");
            uint8_t *good = small_store_read(bc_sim_io(clean[kind]), rot_files[file], &size);
            for (uint64_t at = 0; at < size; at++)
                for (int way = 0; way < 4; way++) {
                    const uint8_t bytes[] = {(uint8_t)(good[at] ^ (1u << at % 8)), 0, 0xff};
                    struct damage damage = {.kind = (enum store_kind)kind, .file = file, .cut = way == 3, .at = at};
                    if (!damage.cut) damage.byte = bytes[way];
                    if (!damage.cut && damage.byte == good[at]) continue;
                    damage.data = data;
                    damage.header = data && at < rot_header_size[file];
                    if ((*count)++ % every != 0) continue;
                    *(damage.cut ? &truncations : &flips) += 1;
                    try(&damage, good, size, damage.header || *count / every % 8 == 0);
                }
            free(good);
        }
}

static void make_stores(void)
{
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        clean[kind] = bc_sim_open(7);
        struct bc_io *io = bc_sim_io(clean[kind]);
        small_store_make(io);
        if (kind == WITH_CHECKPOINTS) rot_places_find(io);
        for (size_t i = 0; i < rot_file_count; i++)
            if ((kind >= WITH_HINTS && ends_in(rot_files[i], "/index")) ||
                (kind == DATA_ALONE && ends_in(rot_files[i], ".hint")))
                CU_ASSERT_EQUAL(bc_io_unlink(io, BC_AT_CWD, rot_files[i]), BITCASK_OK);
        /* What a clean one takes. */
        const struct damage none = {.kind = (enum store_kind)kind};
        check_reader(&none, io);
        CU_ASSERT(verify_all(io) == BITCASK_OK && told.result.damage == 0);
        CU_ASSERT_EQUAL(violations, 0);
    }
}

static void rot_is_told_and_hits_nothing_else(void)
{
    uint64_t count = 0, every = fixture_number("ROT_EVERY", fixture_number("LONG", 0) ? 1 : 97);
    make_stores();
    try_all(every, &count);
    printf("ROT flips: %llu, truncations: %llu, violations: %llu (repairs: %llu; of %llu possible)\n",
           (unsigned long long)flips, (unsigned long long)truncations, (unsigned long long)violations,
           (unsigned long long)repairs, (unsigned long long)count);
    CU_ASSERT_EQUAL(violations, 0);
    CU_ASSERT(flips > 1000 && truncations > 300);
    for (int kind = 0; kind < STORE_KINDS; kind++) bc_sim_close(&clean[kind]);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"rot is told and hits nothing else", rot_is_told_and_hits_nothing_else},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("rot", tests);
}
