/* test_full.c - on a simulated disk with not a block left: deletions and merges work all the same, whatever came
 * before, and nothing else grows into what is kept for them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/db.h"
#include "db/maintain.h"
#include "fixture.h"
#include "io_sim.h"

enum { DIRECTORIES = 4, SMALL = 50, LARGE = 40, LARGE_SIZE = 90000, KEPT = 8 };

static struct bc_sim *sim;
static bitcask *db;
static bitcask_partition *root;

static void open_store(void)
{
    bitcask_options options;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = 256 * 1024;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "/store", &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
}

static void close_store(void)
{
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

static void begin(void)
{
    sim = bc_sim_open(5);
    open_store();
}

static void end(void)
{
    close_store();
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
    CU_ASSERT_EQUAL(bc_sim_misuses(sim), 0);
    bc_sim_close(&sim);
}

static uint64_t file_size(const char *path)
{
    struct bc_io *io = bc_sim_io(sim);
    struct bc_file_info info = {0};
    int fd = -1;

    if (bc_io_open(io, BC_AT_CWD, path, BC_OPEN_READ, &fd) != BITCASK_OK) return 0;
    EXPECT(BITCASK_OK, bc_io_info(io, fd, path, &info));
    (void)bc_io_close(io, &fd);
    return info.size;
}

static uint64_t reserve_size(void)
{
    return file_size("/store/RESERVE");
}

static bitcask_partition *directory(int i)
{
    bitcask_partition *partition = NULL;
    char name[16];

    if (i < 0) return root;
    snprintf(name, sizeof name, "dir%d", i);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, name, &partition));
    return partition;
}

static void close_directory(bitcask_partition *partition)
{
    if (partition != root) bitcask_partition_close(&partition);
}

static bitcask_status put(bitcask_partition *partition, const char *kind, int i, size_t size)
{
    static char value[LARGE_SIZE];
    char key[32];

    snprintf(key, sizeof key, "%s%03d", kind, i);
    memset(value, 'a' + i % 26, size);
    return bitcask_put(partition, key, strlen(key), value, size, NULL, NULL);
}

static void fill(void)
{
    for (int d = -1; d < DIRECTORIES; d++) {
        bitcask_partition *partition;
        char name[16];

        snprintf(name, sizeof name, "dir%d", d);
        if (d >= 0) EXPECT(BITCASK_OK, bitcask_partition_create(root, name, strlen(name), NULL, 0, NULL));
        partition = directory(d);
        for (int i = 0; i < SMALL; i++) EXPECT(BITCASK_OK, put(partition, "small", i, 200));
        for (int i = 0; i < LARGE; i++) EXPECT(BITCASK_OK, put(partition, "large", i, LARGE_SIZE));
        EXPECT(BITCASK_OK, put(partition, "linked", 0, 100));
        for (int i = 1; i < KEPT; i++) {
            char key[16];
            snprintf(key, sizeof key, "linked%03d", i);
            EXPECT(BITCASK_OK, bitcask_link(partition, "linked000", 9, partition, key, strlen(key), 0));
        }
        close_directory(partition);
    }
}

/* Not a block is free: others took what there was. */
static void others_take_all(void)
{
    bc_sim_set_room(sim, bc_sim_used(sim));
}

static void delete_all(void)
{
    static const struct {
        const char *kind;
        int count;
    } kinds[] = {{"large", LARGE}, {"linked", KEPT}, {"small", SMALL}};

    for (int d = DIRECTORIES - 1; d >= -1; d--) {
        bitcask_partition *partition = directory(d);

        for (size_t k = 0; k < 3; k++)
            for (int i = 0; i < kinds[k].count; i++) {
                char key[32];
                snprintf(key, sizeof key, "%s%03d", kinds[k].kind, i);
                EXPECT(BITCASK_OK, bitcask_delete(partition, key, strlen(key), NULL));
            }
        close_directory(partition);
    }
    for (int d = 0; d < DIRECTORIES; d++) {
        char name[16];
        snprintf(name, sizeof name, "dir%d", d);
        EXPECT(BITCASK_OK, bitcask_partition_drop(root, name, strlen(name), 0));
    }
    EXPECT(BITCASK_OK, bitcask_sync(db));
}

/* All is deleted and merged on the full disk, which is nearly empty then, and the store is sound. */
static void empties(void)
{
    const bitcask_merge_options full = {.flags = BITCASK_MERGE_FULL | BITCASK_BELOW};
    uint64_t before = bc_sim_used(sim);
    bitcask_verify_result found;
    bitcask_verify_options verify = {.flags = BITCASK_BELOW};

    delete_all();
    EXPECT(BITCASK_OK, bitcask_merge(root, &full, NULL));
    /* Partition 1, where the large values are, is nobody's sub-directory. */
    EXPECT(BITCASK_OK, bc_db_merge(db->inodes, &full, &(bitcask_merge_result){0}));
    CU_ASSERT(bc_sim_used(sim) < before / 8);
    EXPECT(BITCASK_OK, put_text(root, "again", "there is room", 0));
    CU_ASSERT_EQUAL(reserve_size() >= BC_RESERVE_LEAST, true);
    EXPECT(BITCASK_OK, bitcask_verify(root, &verify, &found));
    CU_ASSERT_EQUAL(found.damage, 0);
}

static void deletions_and_merges_work_with_every_block_taken(void)
{
    begin();
    fill();
    others_take_all();
    EXPECT(BITCASK_NO_SPACE, put(root, "more", 0, 60000));
    empties();
    end();
}

static void they_work_where_the_store_is_opened_on_such_a_disk(void)
{
    begin();
    fill();
    close_store();
    others_take_all();
    open_store();
    empties();
    end();
}

static void they_work_after_a_process_that_was_killed(void)
{
    begin();
    fill();
    others_take_all();
    bc_sim_crash_at(sim, bc_sim_changes(sim) + 1);
    EXPECT(BITCASK_IO, put_text(root, "lost", "", 0));
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
    bc_sim_kill(sim);
    others_take_all(); /* what was laid out behind the logs is gone */
    open_store();
    empties();
    end();
}

static void they_work_after_puts_that_filled_the_disk(void)
{
    int i = 0;

    begin();
    fill();
    bc_sim_set_room(sim, bc_sim_used(sim) + 3000000);
    while (i < 1000 && put(root, "fill", i, LARGE_SIZE) == BITCASK_OK) i++;
    CU_ASSERT(i > 10 && i < 100);
    EXPECT(BITCASK_NO_SPACE, put(root, "fill", i, LARGE_SIZE));
    others_take_all();
    for (int n = 0; n < i; n++) {
        char key[16];
        snprintf(key, sizeof key, "fill%03d", n);
        EXPECT(BITCASK_OK, bitcask_delete(root, key, 7, NULL));
    }
    empties();
    end();
}

static void nothing_else_grows_into_what_is_kept(void)
{
    uint64_t whole, i = 0;

    begin();
    fill();
    close_store(); /* what is laid out behind the logs is given back */
    others_take_all();
    open_store();
    whole = reserve_size();
    for (int d = -1; d < DIRECTORIES; d++) {
        bitcask_partition *partition = directory(d);

        for (int n = 0; n < LARGE; n++) {
            char key[16];
            snprintf(key, sizeof key, "large%03d", n);
            EXPECT(BITCASK_OK, bitcask_delete(partition, key, 8, NULL));
        }
        close_directory(partition);
    }
    CU_ASSERT(reserve_size() < whole);
    /* A little room comes: it is the reserve's before it is anybody's. What a log has laid out already it may use. */
    bc_sim_set_room(sim, bc_sim_used(sim) + 4096);
    while (i < 1000 && put(root, "more", (int)i, 3000) == BITCASK_OK) i++;
    CU_ASSERT(i < 1000);
    CU_ASSERT(reserve_size() <= whole);
    bc_sim_set_room(sim, 0);
    EXPECT(BITCASK_OK, put(root, "more", 0, 60000));
    CU_ASSERT(reserve_size() >= whole);
    end();
}

static void what_was_promised_is_kept_whatever_deletions_take(void)
{
    const uint64_t bound = bitcask_record_bound(8, 60000, 0);
    const bitcask_write_options options = {.reserved = bound};
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 0600};
    char key[208];
    static char value[60000];

    begin();
    fill();
    EXPECT(BITCASK_OK, put_text(root, "promised0", "", 0));
    /* Their tombstones take more than is kept for each key. */
    for (int n = 0; n < SMALL; n++) {
        snprintf(key, sizeof key, "%0200d", n);
        EXPECT(BITCASK_OK, put_text(root, key, "", 0));
    }
    close_store(); /* with no more laid out than is wanted */
    open_store();
    others_take_all();
    for (uint64_t room = bc_sim_used(sim); bitcask_reserve(root, bound + bitcask_record_bound(8, 100, 0)) != BITCASK_OK;
         room += 4096)
        bc_sim_set_room(sim, room);
    others_take_all();
    for (int n = 0; n < SMALL; n++) {
        snprintf(key, sizeof key, "%0200d", n);
        EXPECT(BITCASK_OK, bitcask_delete(root, key, 200, NULL));
        CU_ASSERT(root->instance->allocated >= root->instance->active->end + root->instance->reserved);
    }
    EXPECT(BITCASK_OK, bitcask_rotate(root, 0));
    bitcask_unreserve(root, bitcask_record_bound(8, 100, 0));
    EXPECT(BITCASK_OK, bitcask_set_attrs(root, "linked000", 9, &attrs, BITCASK_PROMISED, NULL));
    EXPECT(BITCASK_OK, bitcask_set_attrs(root, "promised0", 9, &attrs, BITCASK_PROMISED, NULL));
    EXPECT(BITCASK_OK, bitcask_put(root, "promised", 8, value, sizeof value, &options, NULL));
    end();
}

/* A large value goes with a record of the directory, and one of partition 1: these were promised too, and want no
 * reserve that is whole. */
static void what_was_promised_of_large_values_is_kept(void)
{
    enum { COUNT = 20 };
    static char value[LARGE_SIZE];
    const uint64_t bound = bitcask_record_bound(8, 0, 0) + bitcask_record_bound(8, 8, 0);
    bitcask_writer *writers[COUNT];
    bitcask_batch *batch = NULL;
    uint64_t versions[COUNT];

    begin();
    fill();
    for (int i = 0; i < COUNT; i++) {
        writers[i] = NULL;
        EXPECT(BITCASK_OK, bitcask_writer_open(root, NULL, &writers[i]));
        EXPECT(BITCASK_OK, bitcask_writer_write(writers[i], 0, value, sizeof value));
        EXPECT(BITCASK_OK, bitcask_reserve(root, bound));
    }
    others_take_all();
    CU_ASSERT(bc_reserve_give(&db->reserve, BC_RESERVE_DELETION, 4096));
    others_take_all();
    EXPECT(BITCASK_OK, bitcask_batch_open(root, &batch));
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof key, "prom%04d", i);
        EXPECT(BITCASK_OK, bitcask_batch_put_writer(batch, key, 8, writers[i], NULL));
    }
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, COUNT * bound, versions));
    bitcask_batch_close(&batch);
    for (int i = 0; i < COUNT; i++) bitcask_writer_close(&writers[i]);
    CU_ASSERT_EQUAL(root->instance->reserved, 0);
    end();
}

/* Of many keys the tombstones alone take more than is kept for them: then what they left dead is merged. */
static void deletions_have_the_room_of_what_they_leave_dead(void)
{
    enum { COUNT = 8000, KEY = 60, VALUE = 2000 };
    static char value[VALUE];
    char key[KEY + 1];

    begin();
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%060d", i);
        EXPECT(BITCASK_OK, bitcask_put(root, key, KEY, value, sizeof value, NULL, NULL));
    }
    close_store();
    others_take_all();
    open_store();
    CU_ASSERT(reserve_size() < COUNT * KEY);
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%060d", i);
        EXPECT(BITCASK_OK, bitcask_delete(root, key, KEY, NULL));
    }
    EXPECT(BITCASK_OK, bitcask_merge(root, &(bitcask_merge_options){.flags = BITCASK_MERGE_FULL}, NULL));
    bc_sim_set_room(sim, 0);
    CU_ASSERT(bc_sim_used(sim) < 2 * BC_RESERVE_LEAST + 100000);
    end();
}

/* A run of segments wants more room than there is; each of them alone does not. */
static void a_merge_goes_segment_by_segment_where_room_is_short(void)
{
    enum { SEGMENTS = 8, BLOCKS = 60, LIVE = 4 };
    bitcask_merge_result result;

    begin();
    for (int s = 0; s < SEGMENTS; s++) {
        for (int i = 0; i < BLOCKS; i++) EXPECT(BITCASK_OK, put(root, "block", s * BLOCKS + i, 4000));
        for (int i = LIVE; i < BLOCKS; i++) {
            char key[16];
            snprintf(key, sizeof key, "block%03d", s * BLOCKS + i);
            EXPECT(BITCASK_OK, bitcask_delete(root, key, 8, NULL));
        }
        EXPECT(BITCASK_OK, bitcask_rotate(root, 0));
    }
    close_store();
    others_take_all();
    open_store();
    CU_ASSERT(reserve_size() / 2 < SEGMENTS * LIVE * 4000);
    EXPECT(BITCASK_OK, bitcask_merge(root, &(bitcask_merge_options){.flags = BITCASK_MERGE_FULL}, &result));
    CU_ASSERT(result.bytes_out < result.bytes_in / 4);
    for (int s = 0; s < SEGMENTS; s++) {
        char key[16];
        bitcask_value *value = NULL;
        snprintf(key, sizeof key, "block%03d", s * BLOCKS);
        EXPECT(BITCASK_OK, bitcask_get(root, key, 8, &value));
        bitcask_value_unpin(&value);
    }
    end();
}

/* What a merge was lent and gave back, but for a block, the next one has. */
static void what_came_back_in_part_can_be_lent_again(void)
{
    struct bc_reserve reserve;
    int fd = -1;

    sim = bc_sim_open(5);
    EXPECT(BITCASK_OK, bc_io_open(bc_sim_io(sim), BC_AT_CWD, "/", BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd));
    EXPECT(BITCASK_OK, bc_reserve_open(&reserve, bc_sim_io(sim), fd));
    EXPECT(BITCASK_OK, bc_reserve_keep(&reserve, 0));
    others_take_all();
    for (uint64_t i = 1; i <= 4; i++) {
        uint64_t before = reserve.size;
        CU_ASSERT(bc_reserve_lend(&reserve));
        CU_ASSERT_EQUAL(reserve.size, before - (BC_RESERVE_LEAST / 2 - (i - 1) * 4096));
        bc_sim_set_room(sim, bc_sim_used(sim) + before - reserve.size - 4096);
        bc_reserve_refill(&reserve, true);
        CU_ASSERT_EQUAL(reserve.size, before - 4096);
        CU_ASSERT_EQUAL(reserve.given[BC_RESERVE_MERGE], i * 4096);
        CU_ASSERT_EQUAL(reserve.given[BC_RESERVE_DELETION], 0);
    }
    bc_reserve_close(&reserve);
    EXPECT(BITCASK_OK, bc_io_close(bc_sim_io(sim), &fd));
    bc_sim_close(&sim);
}

/* What is live in a segment has to be written before the segment can go. */
static void a_merge_has_room_for_a_little_that_lives(void)
{
    const bitcask_merge_options full = {.flags = BITCASK_MERGE_FULL};
    bitcask_merge_result result;

    begin();
    for (int i = 0; i < 60; i++) EXPECT(BITCASK_OK, put(root, "block", i, 4000));
    EXPECT(BITCASK_OK, bitcask_rotate(root, 0));
    for (int i = 3; i < 60; i++) {
        char key[16];
        snprintf(key, sizeof key, "block%03d", i);
        EXPECT(BITCASK_OK, bitcask_delete(root, key, 8, NULL));
    }
    EXPECT(BITCASK_OK, bitcask_rotate(root, 0));
    close_store();
    others_take_all();
    open_store();
    EXPECT(BITCASK_OK, bitcask_merge(root, &full, &result));
    CU_ASSERT(result.bytes_out < result.bytes_in / 8);
    CU_ASSERT_EQUAL(reserve_size(), BC_RESERVE_LEAST);
    end();
}

/* Each tombstone alone would fit behind the log, and all of them do not. */
static void a_round_of_deletions_has_room_for_all_of_them(void)
{
    enum { COUNT = 60 };
    static char keys[COUNT][64];
    static bitcask_move_item items[COUNT];
    size_t done = 0;

    begin();
    for (int i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "%060d", i);
        items[i] = (bitcask_move_item){
            .from = root, .from_key = keys[i], .from_key_size = 60, .to = root, .flags = BITCASK_REMOVE};
        EXPECT(BITCASK_OK, put_text(root, keys[i], "", 0));
    }
    others_take_all();
    EXPECT(BITCASK_OK, bitcask_move(db, items, COUNT, &done));
    CU_ASSERT_EQUAL(done, COUNT);
    bc_sim_set_room(sim, 0);
    EXPECT(BITCASK_OK, put_text(root, "not poisoned", "", 0));
    end();
}

static void the_reserve_follows_what_the_store_holds(void)
{
    const bitcask_merge_options full = {.flags = BITCASK_MERGE_FULL};
    uint64_t largest;

    begin();
    CU_ASSERT_EQUAL(reserve_size(), 0); /* a store that nothing was put into takes no more than before */
    EXPECT(BITCASK_OK, put_text(root, "first", "", 0));
    CU_ASSERT_EQUAL(reserve_size(), BC_RESERVE_LEAST);
    for (int i = 0; i < 200; i++) EXPECT(BITCASK_OK, put(root, "large", i, LARGE_SIZE));
    largest = reserve_size();
    CU_ASSERT(largest >= 200 * LARGE_SIZE / BC_RESERVE_SHARE && largest <= 400 * LARGE_SIZE / BC_RESERVE_SHARE);
    close_store();
    CU_ASSERT_EQUAL(reserve_size(), largest);
    open_store();
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "large%03d", i);
        EXPECT(BITCASK_OK, bitcask_delete(root, key, 8, NULL));
    }
    EXPECT(BITCASK_OK, bc_db_merge(db->inodes, &full, &(bitcask_merge_result){0}));
    CU_ASSERT(reserve_size() < largest);
    end();
}

/* A copy with holes, one that is no file, one that is much too large. */
static void a_reserve_that_is_none_does_no_harm(void)
{
    struct bc_io *io = bc_sim_io(sim = bc_sim_open(5));
    int fd = -1;

    open_store();
    close_store();
    EXPECT(BITCASK_OK, bc_io_open(io, BC_AT_CWD, "/store/RESERVE", BC_OPEN_WRITE | BC_OPEN_CREATE, &fd));
    EXPECT(BITCASK_OK, bc_io_truncate(io, fd, "RESERVE", BC_RESERVE_MOST + 123));
    EXPECT(BITCASK_OK, bc_io_close(io, &fd));
    open_store();
    CU_ASSERT_EQUAL(reserve_size(), BC_RESERVE_MOST);
    EXPECT(BITCASK_OK, put_text(root, "key", "value", 0));
    close_store();

    EXPECT(BITCASK_OK, bc_io_unlink(io, BC_AT_CWD, "/store/RESERVE"));
    EXPECT(BITCASK_OK, bc_io_mkdir(io, BC_AT_CWD, "/store/RESERVE"));
    open_store();
    EXPECT(BITCASK_OK, put_text(root, "key", "again", 0));
    CU_ASSERT_STRING_EQUAL(get_text(root, "key"), "again");
    end();
}

/* Without one the store does without: whatever fails, nothing else does. */
static void a_reserve_that_fails_fails_nothing(void)
{
    static const enum bc_sim_call calls[] = {BC_SIM_OPEN, BC_SIM_ALLOCATE, BC_SIM_TRUNCATE, BC_SIM_INFO};

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        sim = bc_sim_open(5);
        struct bc_reserve reserve;
        int fd = -1;

        EXPECT(BITCASK_OK, bc_io_open(bc_sim_io(sim), BC_AT_CWD, "/", BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd));
        for (int laid_out = 0; laid_out < 2; laid_out++) {
            if (laid_out) { /* the first store left one */
                EXPECT(BITCASK_OK, bc_reserve_open(&reserve, bc_sim_io(sim), fd));
                EXPECT(BITCASK_OK, bc_reserve_keep(&reserve, 0));
                bc_reserve_close(&reserve);
            }
            bc_sim_fail(sim, calls[i], 1, 5, true);
            EXPECT(BITCASK_OK, bc_reserve_open(&reserve, bc_sim_io(sim), fd));
            EXPECT(BITCASK_OK, bc_reserve_keep(&reserve, 1));
            (void)bc_reserve_give(&reserve, BC_RESERVE_DELETION, 4096);
            EXPECT(BITCASK_OK, bc_reserve_keep(&reserve, 1));
            bc_reserve_close(&reserve);
            bc_sim_fail(sim, calls[i], 0, 0, false);
        }
        EXPECT(BITCASK_OK, bc_io_close(bc_sim_io(sim), &fd));
        CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
        bc_sim_close(&sim);
    }
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"deletions and merges work with every block taken", deletions_and_merges_work_with_every_block_taken},
        {"they work where the store is opened on such a disk", they_work_where_the_store_is_opened_on_such_a_disk},
        {"they work after a process that was killed", they_work_after_a_process_that_was_killed},
        {"they work after puts that filled the disk", they_work_after_puts_that_filled_the_disk},
        {"nothing else grows into what is kept", nothing_else_grows_into_what_is_kept},
        {"what was promised is kept whatever deletions take", what_was_promised_is_kept_whatever_deletions_take},
        {"what was promised of large values is kept", what_was_promised_of_large_values_is_kept},
        {"deletions have the room of what they leave dead", deletions_have_the_room_of_what_they_leave_dead},
        {"a merge goes segment by segment where room is short", a_merge_goes_segment_by_segment_where_room_is_short},
        {"what came back in part can be lent again", what_came_back_in_part_can_be_lent_again},
        {"a merge has room for a little that lives", a_merge_has_room_for_a_little_that_lives},
        {"a round of deletions has room for all of them", a_round_of_deletions_has_room_for_all_of_them},
        {"the reserve follows what the store holds", the_reserve_follows_what_the_store_holds},
        {"a reserve that is none does no harm", a_reserve_that_is_none_does_no_harm},
        {"a reserve that fails fails nothing", a_reserve_that_fails_fails_nothing},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("full", tests);
}
