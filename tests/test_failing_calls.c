/* test_failing_calls.c - each call of the disk failing once, in all that a program may do with a store besides putting
 * and getting, which the crash tests do: reading in parts, writers, rounds, looks inside, merges, checks, repairs.
 *
 * What failed says so, as a failure of the disk: never as damage, nor as a name that is not there. Nothing is left
 * open; opened anew the store is sound, and what was not being changed is as it was. All of that once more with no
 * memory for more than one open partition, so that each step may have to open one, and that may fail. One in FAIL_EVERY
 * (2; of those 8; LONG=1: 1) of the calls fails in each kind and script; FAIL_SCRIPT and FAIL_AT choose one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/dump.h"
#include "db/maintain.h"
#include "db/metrics.h"
#include "failing_disks.h"
#include "fixture.h"
#include "small_store.h"

/* One play of a script. */
struct play {
    struct bc_sim *sim;
    bitcask *db;
    bitcask_partition *root, *sub;
    bool scarce;      /* no memory for more than one partition */
    bool rotten;      /* damage may be told, too */
    bool wrong;       /* something came out as it must not */
    const char *what; /* the call that did */
};

typedef void (*script)(struct play *play);

static const char *script_name;
static enum bc_sim_call failing;
static uint64_t failing_at;

/* Tells, once, what came out wrong. */
static void violated(struct play *play, const char *call, bitcask_status status, const char *detail)
{
    if (play->wrong) return;
    play->wrong = true;
    fprintf(stderr, "script %s, call %llu of kind %d failing: %s: %s (%s)\n", script_name,
            (unsigned long long)failing_at, (int)failing, call, bitcask_status_text(status), detail);
}

/* Whether the call did what it should. If not, it must say that the disk failed, in words. */
static bool did(struct play *play, bitcask_status status, const char *call)
{
    if (status == BITCASK_OK) return true;
    bool told = status == BITCASK_IO || status == BITCASK_POISONED || status == BITCASK_NO_SPACE ||
                status == BITCASK_TOO_MANY_FILES ||
                (play->rotten && (status == BITCASK_CORRUPT || status == BITCASK_NOT_FOUND));
    if (!told || bitcask_error_detail()[0] == '\0') violated(play, call, status, bitcask_error_detail());
    return false;
}

#define DID(call) did(play, call, #call)

static bool open_store(struct play *play, bool read_only)
{
    if (!DID(small_store_open(bc_sim_io(play->sim), read_only, &play->db))) return false;
    if (play->scarce) play->db->memory.limit = 1;
    return DID(bitcask_partition_open(play->db, "", &play->root)) &&
           DID(bitcask_partition_open(play->db, "sub", &play->sub));
}

static void close_store(struct play *play)
{
    bitcask_partition_close(&play->sub);
    bitcask_partition_close(&play->root);
    if (play->db) (void)DID(bitcask_close(&play->db));
}

/* ---- scripts ---- */

static void read_names(struct play *play)
{
    for (size_t i = 0; i < SMALL_NAMES; i++) {
        const struct small_name *name = &small_names[i];
        bitcask_partition *partition = NULL;
        bitcask_value *value = NULL;
        bitcask_entry entry;
        char wanted[SMALL_VALUE_MAX];

        small_value(name->was, name->generation, name->size, wanted);
        if (!DID(bitcask_partition_open(play->db, name->partition, &partition))) continue;
        (void)DID(bitcask_stat(partition, name->key, strlen(name->key), &entry));
        if (DID(bitcask_get(partition, name->key, strlen(name->key), &value)) &&
            (bitcask_value_size(value) != name->size ||
             (name->size > 0 && memcmp(bitcask_value_data(value), wanted, name->size) != 0)))
            violated(play, name->key, BITCASK_OK, "another value");
        bitcask_value_unpin(&value);
        bitcask_partition_close(&partition);
    }
}

/* All between a1 and c1 but a1, which a script may have moved. */
static void read_range(struct play *play)
{
    const bitcask_query_options options = {
        .from = "a1", .from_size = 2, .from_exclusive = true, .to = "c1", .to_size = 2};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bitcask_status status;
    unsigned count = 0;

    if (!DID(bitcask_query_open(play->root, &options, &query))) return;
    while ((status = bitcask_query_next(query, &entry)) == BITCASK_OK) count++;
    if (status != BITCASK_NOT_FOUND)
        (void)DID(status);
    else if (count != 9)
        violated(play, "bitcask_query_next", BITCASK_NOT_FOUND, "the range ends early");
    bitcask_query_close(&query);
}

static void reads(struct play *play)
{
    if (!open_store(play, false)) return;
    read_names(play);
    read_range(play);
    read_names(play);
}

static void reads_of_a_reader(struct play *play)
{
    if (!open_store(play, true)) return;
    read_names(play);
    read_range(play);
}

static void reads_in_parts(struct play *play)
{
    bitcask_value *value = NULL, *xattrs = NULL;
    char wanted[SMALL_VALUE_MAX], part[300];
    uint64_t found;
    size_t got;

    if (!open_store(play, true)) return;
    small_value("big", 0, 5000, wanted);
    if (DID(bitcask_pin(play->sub, "alias", 5, &value))) {
        for (uint64_t at = 0; at < 5000; at += 290)
            if (DID(bitcask_value_read(value, at, part, sizeof part, &got)) && memcmp(part, wanted + at, got) != 0)
                violated(play, "bitcask_value_read", BITCASK_OK, "other bytes");
        (void)DID(bitcask_value_seek(value, 0, true, &found));
        if (DID(bitcask_value_load(value)) && memcmp(bitcask_value_data(value), wanted, 5000) != 0)
            violated(play, "bitcask_value_load", BITCASK_OK, "other bytes");
        bitcask_value_unload(value);
        (void)DID(bitcask_value_load(value));
    }
    bitcask_value_unpin(&value);
    if (DID(bitcask_pin(play->root, "attrs", 5, &value))) {
        (void)DID(bitcask_value_read(value, 2, part, 3, &got));
        (void)DID(bitcask_value_seek(value, 2, false, &found));
        (void)DID(bitcask_value_load(value));
    }
    bitcask_value_unpin(&value);
    if (DID(bitcask_partition_xattrs(play->sub, &xattrs))) bitcask_value_unpin(&xattrs);
}

static bool visit_record(void *context, const bitcask_dump_record *record)
{
    (void)record;
    ++*(unsigned *)context;
    return true;
}

static bool visit_metric(void *context, const bitcask_metric *metric)
{
    (void)metric;
    ++*(unsigned *)context;
    return true;
}

static bool visit_segment(void *context, const bitcask_segment_info *segment)
{
    (void)segment;
    ++*(unsigned *)context;
    return true;
}

static void looks(struct play *play)
{
    bitcask_health health;
    bitcask_stats stats;
    bitcask_location location;
    bitcask_entry entry;
    unsigned count = 0;

    if (!open_store(play, false)) return;
    (void)DID(bitcask_dump(play->root, visit_record, &count));
    (void)DID(bitcask_dump(play->sub, visit_record, &count));
    (void)DID(bitcask_dump_hints(play->root, visit_record, &count));
    /* Of one that could not be read a writer makes another. */
    bitcask_status status = bitcask_dump_checkpoint(play->root, visit_record, &count);
    if (status != BITCASK_NOT_FOUND) (void)DID(status);
    (void)DID(bitcask_segments(play->root, visit_segment, &count));
    (void)DID(bitcask_locate(play->root, "big", 3, &location));
    (void)DID(bitcask_locate(play->root, "a0", 2, &location));
    (void)DID(bitcask_partition_stat(play->root, &entry));
    (void)DID(bitcask_partition_stat(play->sub, &entry));
    (void)DID(bitcask_metrics(play->root, BITCASK_BELOW | BITCASK_UNOPENED, visit_metric, &count));
    (void)DID(bitcask_get_stats(play->db, &stats));
    (void)DID(bitcask_partition_stats(play->sub, &stats));
    (void)DID(bitcask_get_health(play->root, &health));
    if (!bitcask_error_detail()[0] && !play->rotten && health.damaged > 0)
        violated(play, "health", BITCASK_OK, "damage");
}

static char whole_files[SMALL_FILES_MAX][128]; /* of a whole store */
static size_t whole_count;

static void looks_at_each_file(struct play *play)
{
    unsigned seen = 0;

    for (size_t i = 0; i < whole_count; i++) {
        bool none = false;
        if (strstr(whole_files[i], "/0000000000000000/") == NULL) continue;
        bitcask_status status = bc_dump_index_file(bc_sim_io(play->sim), whole_files[i], visit_record, &seen, &none);
        (void)did(play, none ? bc_dump_file(bc_sim_io(play->sim), whole_files[i], visit_record, &seen) : status,
                  whole_files[i]);
    }
}

static bool no_damage(void *context, const bitcask_finding *finding)
{
    struct play *play = context;
    if (finding->kind == BITCASK_FOUND_DAMAGE) violated(play, "verify", BITCASK_OK, finding->text);
    return true;
}

static void verifies(struct play *play)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = no_damage, .context = play};

    if (open_store(play, true)) (void)DID(bitcask_verify(play->root, &options, NULL));
    close_store(play);
    if (open_store(play, false)) (void)DID(bitcask_verify(play->root, &options, NULL));
}

static void repairs(struct play *play)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW};
    bitcask_verify_result result = {0};

    (void)DID(bc_db_repair(bc_sim_io(play->sim), SMALL_STORE, "", &options, &result));
}

/* Damage that is there already is told, or what failed on the way to it. */
static void looks_at_rot(struct play *play)
{
    const bitcask_verify_options verify = {.flags = BITCASK_BELOW};
    const bitcask_merge_options merge = {.flags = BITCASK_BELOW | BITCASK_MERGE_FULL};

    play->rotten = true;
    looks_at_each_file(play);
    if (open_store(play, true)) (void)DID(bitcask_verify(play->root, &verify, NULL));
    close_store(play);
    looks(play);
    if (!play->db) return;
    (void)DID(bitcask_verify(play->root, &verify, NULL));
    (void)DID(bitcask_merge(play->root, &merge, NULL));
    play->rotten = false;
}

static void repairs_of_rot(struct play *play)
{
    play->rotten = true;
    repairs(play);
    play->rotten = false;
}

static void merges(struct play *play)
{
    const bitcask_merge_options options = {.flags = BITCASK_BELOW | BITCASK_MERGE_FULL}, some = {0};

    if (!open_store(play, false)) return;
    (void)DID(bitcask_rotate(play->root, BITCASK_BELOW));
    (void)DID(bitcask_merge(play->root, &some, NULL));
    (void)DID(bitcask_merge(play->root, &options, NULL));
    read_names(play);
    (void)DID(bitcask_sync(play->db));
}

/* What follows changes the names a1 and big, and makes those that begin with n. */

static void writes(struct play *play)
{
    bitcask_writer *writer = NULL, *fresh = NULL;
    bitcask_value *base = NULL;
    char part[500];
    size_t got;
    uint64_t found;

    if (!open_store(play, false)) return;
    if (DID(bitcask_pin(play->root, "big", 3, &base)) && DID(bitcask_writer_open(play->root, &base, &writer))) {
        (void)DID(bitcask_writer_write(writer, 4000, "in the midst", 12));
        (void)DID(bitcask_writer_read(writer, 3900, part, sizeof part, &got));
        (void)DID(bitcask_writer_commit(writer, play->root, "big", 3, NULL, NULL));
        (void)DID(bitcask_writer_punch(writer, 100, 4200));
        (void)DID(bitcask_writer_truncate(writer, 9000));
        (void)DID(bitcask_writer_write(writer, 16000, "at the end", 10));
        (void)DID(bitcask_writer_seek(writer, 0, true, &found));
        (void)DID(bitcask_writer_commit(writer, play->root, "big", 3, NULL, NULL));
        (void)DID(bitcask_writer_read(writer, 15900, part, sizeof part, &got));
        (void)DID(bitcask_writer_truncate(writer, 20));
        (void)DID(bitcask_writer_commit(writer, play->root, "big", 3, NULL, NULL));
    }
    bitcask_writer_close(&writer);
    bitcask_value_unpin(&base);
    if (DID(bitcask_writer_open(play->root, NULL, &fresh))) {
        (void)DID(bitcask_writer_reserve(fresh, 0, 3000));
        (void)DID(bitcask_writer_write(fresh, 12000, part, sizeof part));
        (void)DID(bitcask_writer_commit(fresh, play->sub, "n1", 2,
                                        &(bitcask_write_options){BITCASK_DURABLE, NULL, 0, 0}, NULL));
    }
    bitcask_writer_close(&fresh);
}

static void batches(struct play *play)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 0100600};
    bitcask_batch *batch = NULL;
    bitcask_writer *writer = NULL;
    static const char value[3000];

    if (!open_store(play, false)) return;
    (void)DID(bitcask_reserve(play->root, 5000));
    if (DID(bitcask_batch_open(play->root, &batch)) && DID(bitcask_writer_open(play->root, NULL, &writer))) {
        (void)DID(bitcask_writer_write(writer, 0, value, sizeof value));
        (void)DID(bitcask_batch_put(batch, "a1", 2, "edited", 6, &attrs));
        (void)DID(bitcask_batch_put_writer(batch, "n2", 2, writer, &attrs));
        (void)DID(bitcask_batch_put(batch, "n3", 2, value, sizeof value, NULL));
        (void)DID(bitcask_batch_delete(batch, "big", 3));
        (void)DID(bitcask_batch_commit(batch, BITCASK_DURABLE, 3000, NULL));
    }
    bitcask_batch_close(&batch);
    bitcask_writer_close(&writer);
    bitcask_unreserve(play->root, 2000);
    (void)DID(bitcask_set_attrs(play->root, "a1", 2, &attrs, BITCASK_DURABLE, NULL));
    (void)DID(bitcask_partition_set_attrs(play->sub, &attrs, 0));
}

static void rounds(struct play *play)
{
    bitcask_partition *made = NULL;
    size_t done;

    if (!open_store(play, false)) return;
    if (!DID(bitcask_partition_create(play->sub, "n4", 2, NULL, BITCASK_DURABLE, &made))) return;
    if (DID(bitcask_link(play->root, "a1", 2, made, "n5", 2, 0)) &&
        DID(bitcask_link(play->root, "big", 3, made, "n6", 2, 0))) {
        const bitcask_move_item items[] = {{made, "n5", 2, play->sub, "n7", 2, 0, NULL, NULL},
                                           {made, "n6", 2, NULL, NULL, 0, BITCASK_REMOVE, NULL, NULL},
                                           {play->root, "big", 3, made, "n8", 2, 0, NULL, NULL}};
        const bitcask_move_item back[] = {{made, "n8", 2, play->root, "big", 3, BITCASK_NOREPLACE, NULL, NULL},
                                          {play->sub, "n4", 2, play->root, "n4", 2, 0, NULL, NULL}};
        if (DID(bitcask_move(play->db, items, 3, &done)) && DID(bitcask_move(play->db, back, 2, &done)))
            (void)DID(bitcask_partition_drop(play->root, "n4", 2, BITCASK_DURABLE));
    }
    bitcask_partition_close(&made);
    (void)DID(bitcask_sync(play->db));
}

/* What was done before the process died is done again. */
static void recovers(struct play *play)
{
    bitcask_partition *made = NULL;
    bitcask_entry entry;

    if (!open_store(play, false)) return;
    read_range(play);
    if (DID(bitcask_partition_open(play->db, "n9", &made))) {
        (void)DID(bitcask_sync(play->db));
        (void)DID(bitcask_stat(made, "n1", 2, &entry));
        (void)DID(put_text(made, "n2", "more", BITCASK_DURABLE));
    }
    bitcask_partition_close(&made);
}

static void recovers_to_read(struct play *play)
{
    bitcask_partition *made = NULL;
    bitcask_value *value = NULL;

    if (!open_store(play, true)) return;
    if (DID(bitcask_partition_open(play->db, "n9", &made)) && DID(bitcask_get(made, "n1", 2, &value)) &&
        (bitcask_value_size(value) != 6 || memcmp(bitcask_value_data(value), "edited", 6) != 0))
        violated(play, "n9/n1", BITCASK_OK, "another value");
    bitcask_value_unpin(&value);
    bitcask_partition_close(&made);
    read_range(play);
}

/* ---- playing ---- */

static const struct {
    enum bc_sim_call kind;
    int error;
} kinds[] = {
    {BC_SIM_OPEN, EMFILE}, {BC_SIM_PREAD, EIO},     {BC_SIM_PWRITEV, EIO},  {BC_SIM_FDATASYNC, EIO},
    {BC_SIM_CLOSE, EIO},   {BC_SIM_SYNC_DIR, EIO},  {BC_SIM_TRUNCATE, EIO}, {BC_SIM_ALLOCATE, ENOSPC},
    {BC_SIM_MAP, EIO},     {BC_SIM_MAP_WRITE, EIO}, {BC_SIM_INFO, EIO},     {BC_SIM_MKDIR, EIO},
    {BC_SIM_RMDIR, EIO},   {BC_SIM_RENAME, EIO},    {BC_SIM_UNLINK, EIO},   {BC_SIM_LINK, EIO},
    {BC_SIM_LIST, EIO},    {BC_SIM_LOCK, EIO},      {BC_SIM_RANDOM, EIO},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static bool is_changed(const struct small_name *name)
{
    return strcmp(name->was, "a1") == 0 || strcmp(name->was, "big") == 0;
}

/* Opens the store with a disk that is well again: all that no script changes is as it was. */
static void check_after(struct play *play, bool sound)
{
    if (!open_store(play, false)) {
        violated(play, "opening anew", BITCASK_IO, "failed");
    } else {
        const bitcask_verify_options options = {
            .flags = BITCASK_BELOW, .found = sound ? no_damage : NULL, .context = play};
        for (size_t i = 0; i < SMALL_NAMES; i++) {
            const struct small_name *name = &small_names[i];
            bitcask_partition *partition = NULL;
            char wanted[SMALL_VALUE_MAX + 1];
            if (is_changed(name) || !DID(bitcask_partition_open(play->db, name->partition, &partition))) continue;
            small_value(name->was, name->generation, name->size, wanted);
            wanted[name->size] = '\0';
            if (strcmp(get_text(partition, name->key), wanted) != 0) violated(play, "after it", BITCASK_OK, name->key);
            bitcask_partition_close(&partition);
        }
        if (bitcask_verify(play->root, &options, NULL) != BITCASK_OK)
            violated(play, "verify after it", BITCASK_IO, bitcask_error_detail());
    }
    close_store(play);
}

/* Plays it with call n of that kind failing. False: there is none of that number. */
static bool play_once(struct bc_sim *disk, script run, size_t kind, uint64_t n, bool sound, bool scarce)
{
    struct play play = {.sim = bc_sim_power_cut(disk, BC_SIM_CUT_ALL, n), .scarce = scarce};
    uint64_t before;
    bool fired;

    failing = kinds[kind].kind;
    failing_at = n;
    before = bc_sim_calls(play.sim, failing);
    bc_sim_fail(play.sim, failing, n, kinds[kind].error, false);
    run(&play);
    close_store(&play);
    fired = bc_sim_calls(play.sim, failing) >= before + n;
    bc_sim_fail(play.sim, failing, 0, 0, false);
    if (bc_sim_misuses(play.sim) > 0) violated(&play, "handles", BITCASK_OK, "one was used that was not open");
    if (bc_sim_handles(play.sim) > 0) violated(&play, "handles", BITCASK_OK, "some were left open");
    play.scarce = false;
    if (!play.wrong) check_after(&play, sound);
    bc_sim_close(&play.sim);
    CU_ASSERT_FALSE(play.wrong);
    return fired;
}

static void play_kinds(const char *name, struct bc_sim *disk, script run, bool sound, bool scarce)
{
    const char *only = getenv("FAIL_SCRIPT");
    uint64_t every = fixture_number("FAIL_EVERY", fixture_number("LONG", 0) ? 1 : scarce ? 8 : 2);
    uint64_t at = fixture_number("FAIL_AT", 0);
    uint64_t points = 0;

    if (only && strcmp(only, name) != 0) return;
    script_name = name;
    for (size_t kind = 0; kind < KINDS; kind++)
        for (uint64_t n = at ? at : 1; play_once(disk, run, kind, n, sound, scarce) && !at; n += every) points++;
    printf("[%s%s: %llu calls] ", name, scarce ? ", scarce" : "", (unsigned long long)points);
    CU_ASSERT(at || points > 0);
}

static void play_all(const char *name, struct bc_sim *disk, script run, bool sound)
{
    play_kinds(name, disk, run, sound, false);
    play_kinds(name, disk, run, sound, true);
}

static struct bc_sim *whole, *bare, *killed, *damaged, *rotten;

static void reading_says_what_failed(void)
{
    play_all("reads", whole, reads, true);
    play_all("reads without indexes", bare, reads, true);
    play_all("reader", whole, reads_of_a_reader, true);
    play_all("reader without indexes", bare, reads_of_a_reader, true);
    play_all("parts", whole, reads_in_parts, true);
}

static void looks_inside_say_what_failed(void)
{
    play_all("looks", whole, looks, true);
    whole_count = small_store_files(bc_sim_io(whole), whole_files);
    play_all("files", whole, looks_at_each_file, true);
    play_all("verifies", whole, verifies, true);
    play_all("rot", rotten, looks_at_rot, false);
}

static void repairs_that_fail_lose_nothing(void)
{
    play_all("repairs", damaged, repairs, false);
    play_all("repairs of nothing", whole, repairs, true);
    play_all("repairs of rot", rotten, repairs_of_rot, false);
}

static void merges_that_fail_lose_nothing(void)
{
    play_all("merges", whole, merges, true);
    play_all("merges without indexes", bare, merges, true);
}

static void writing_that_fails_spoils_nothing_else(void)
{
    play_all("writes", whole, writes, true);
    play_all("batches", whole, batches, true);
    play_all("rounds", whole, rounds, true);
}

static void recovery_that_fails_is_done_again(void)
{
    play_all("recovery", killed, recovers, true);
    play_all("recovery for a reader", killed, recovers_to_read, true);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"reading says what failed", reading_says_what_failed},
        {"looks inside say what failed", looks_inside_say_what_failed},
        {"repairs that fail lose nothing", repairs_that_fail_lose_nothing},
        {"merges that fail lose nothing", merges_that_fail_lose_nothing},
        {"writing that fails spoils nothing else", writing_that_fails_spoils_nothing_else},
        {"recovery that fails is done again", recovery_that_fails_is_done_again},
        CU_TEST_INFO_NULL,
    };

    whole = failing_disk(true);
    bare = failing_disk(false);
    killed = failing_disk_killed();
    damaged = failing_disk_damaged();
    rotten = failing_disk_rotten();
    int result = fixture_run("failing calls", tests);
    bc_sim_close(&whole);
    bc_sim_close(&bare);
    bc_sim_close(&killed);
    bc_sim_close(&damaged);
    bc_sim_close(&rotten);
    return result;
}
