/* test_mapping.c - files in memory: values handed out where they stand, the window that appends go through, and what
 * happens when a page of either is not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/mapping.h"
#include "merging.h"

#define SMALL_SEGMENT 65536u /* of it a sixteenth is log before there is a window */

static struct bc_partition *instance_of(bitcask_partition *partition)
{
    struct bc_partition *instance = NULL;
    EXPECT(BITCASK_OK, bc_node_pin(partition, &instance));
    bc_node_unpin(partition);
    return instance;
}

static bitcask_status put_sized(bitcask_partition *root, const char *key, size_t size, int fill)
{
    static uint8_t bytes[65536];
    memset(bytes, fill, size);
    return bitcask_put(root, key, strlen(key), bytes, size, NULL, NULL);
}

/* The first byte of the value under key, "all its bytes are the same" checked; -1: it cannot be had. */
static int filled_with(bitcask_partition *root, const char *key)
{
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_get(root, key, strlen(key), &value);
    CU_ASSERT(status == BITCASK_OK || status == BITCASK_IO || status == BITCASK_CORRUPT || status == BITCASK_NOT_FOUND);
    if (status != BITCASK_OK) return -1;
    const uint8_t *data = bitcask_value_data(value);
    for (size_t i = 1; i < bitcask_value_size(value); i++) CU_ASSERT_FATAL(data[i] == data[0]);
    int first = data[0];
    bitcask_value_unpin(&value);
    return first;
}

static void cut_file(const char *path, off_t size)
{
    CU_ASSERT_EQUAL(truncate(path, size), 0);
}

/* ---- the registry and the signal ---- */

static sigjmp_buf back;
static volatile sig_atomic_t foreign;

static void on_foreign(int signal)
{
    (void)signal;
    foreign++;
    siglongjmp(back, 1);
}

static void fault_elsewhere_goes_to_the_handler_before_ours(void)
{
    const char *path = fixture_path("foreign");
    struct bc_mapping *ours = NULL;
    fixture_write(path, "x", 1);
    int fd = open(path, O_RDONLY);
    CU_ASSERT_EQUAL_FATAL(bc_mapping_open(fd, 0, 65536, false, &ours), 0);
    volatile uint8_t *theirs = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);
    CU_ASSERT_FATAL(theirs != MAP_FAILED);
    foreign = 0;
    if (sigsetjmp(back, 1) == 0) (void)theirs[32768];
    CU_ASSERT_EQUAL(foreign, 1);
    CU_ASSERT_FALSE(atomic_load(&ours->broken));
    CU_ASSERT_EQUAL(ours->data[0], 'x');
    CU_ASSERT_EQUAL(((volatile uint8_t *)ours->data)[32768], 0);
    CU_ASSERT_TRUE(atomic_load(&ours->broken));
    CU_ASSERT_EQUAL(foreign, 1);
    bc_mapping_close(ours);
    munmap((void *)(uintptr_t)theirs, 65536);
    close(fd);
}

#define THREADS 4

static atomic_bool stop;

static void *map_and_fault(void *context)
{
    int fd = *(int *)context;
    while (!atomic_load(&stop)) {
        struct bc_mapping *good = NULL, *bad = NULL;
        if (bc_mapping_open(fd, 0, 1, false, &good) || bc_mapping_open(fd, 0, 65536 * 4, false, &bad)) abort();
        uint8_t sum = 0;
        for (size_t at = 65536; at < bad->size; at += 8192) sum |= ((volatile uint8_t *)bad->data)[at];
        if (sum || !atomic_load(&bad->broken) || atomic_load(&good->broken) || good->data[0] != 'x') abort();
        bc_mapping_close(bad);
        bc_mapping_close(good);
    }
    return NULL;
}

static void faults_of_many_threads_each_find_their_mapping(void)
{
    const char *path = fixture_path("threads");
    pthread_t threads[THREADS];
    fixture_write(path, "x", 1);
    int fd = open(path, O_RDONLY);
    atomic_store(&stop, false);
    for (int i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, map_and_fault, &fd), 0);
    usleep(200000);
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    struct bc_mapping *many[200];
    for (int i = 0; i < 200; i++) CU_ASSERT_EQUAL_FATAL(bc_mapping_open(fd, 0, 100, false, &many[i]), 0);
    for (int i = 0; i < 200; i++) bc_mapping_close(many[i]);
    close(fd);
}

/* ---- reading ---- */

static void loaded_value_stands_in_the_mapping(void)
{
    const char *path = fixture_path("zero-copy");
    struct bc_io *io = bc_io_posix();
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_value *value = NULL;
    merging_open(path, SMALL_SEGMENT, &db, &root);
    EXPECT(BITCASK_OK, put_sized(root, "sealed", 20000, 's'));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_sized(root, "active", 20000, 'a'));
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "active" : "sealed";
        uint64_t before = bc_io_count(&io->bytes_read);
        EXPECT(BITCASK_OK, bitcask_get(root, key, 6, &value));
        const struct bc_value *inner = (const struct bc_value *)value;
        const struct bc_mapping *mapping = atomic_load(&inner->segment->mapping);
        const uint8_t *data = bitcask_value_data(value);
        CU_ASSERT_PTR_NULL(inner->record);
        CU_ASSERT_PTR_NOT_NULL_FATAL(mapping);
        CU_ASSERT(data >= mapping->data && data + 20000 <= mapping->data + mapping->size);
        CU_ASSERT_EQUAL(bc_io_count(&io->bytes_read) - before, inner->entry.record_size);
        bitcask_value_unload(value);
        CU_ASSERT_PTR_NULL(bitcask_value_data(value));
        EXPECT(BITCASK_OK, bitcask_value_load(value));
        CU_ASSERT_PTR_EQUAL(bitcask_value_data(value), data);
        bitcask_value_unpin(&value);
    }
    /* It outlives its key, its partition's instance and the store's idea of the file. */
    EXPECT(BITCASK_OK, bitcask_get(root, "sealed", 6, &value));
    EXPECT(BITCASK_OK, delete_text(root, "sealed", 0));
    EXPECT(BITCASK_OK, merging_all(root, BC_MERGE_FULL, NULL, NULL));
    CU_ASSERT_EQUAL(((const uint8_t *)bitcask_value_data(value))[19999], 's');
    bitcask_value_unpin(&value);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

static void cut_segment_is_a_status_and_others_stay_readable(void)
{
    const char *path = fixture_path("cut");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_value *value = NULL;
    uint8_t copy[9000];
    size_t got = 0;
    merging_open(path, SMALL_SEGMENT, &db, &root);
    EXPECT(BITCASK_OK, put_sized(root, "front", 9000, 'f'));
    EXPECT(BITCASK_OK, put_sized(root, "back", 9000, 'b'));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_sized(root, "other", 9000, 'o'));
    EXPECT(BITCASK_OK, merging_rotate(root));
    EXPECT(BITCASK_OK, put_sized(root, "late", 9000, 'l'));
    EXPECT(BITCASK_OK, merging_rotate(root));
    /* Its pages are there, and then are not: found while the record is checked. */
    CU_ASSERT_EQUAL(filled_with(root, "late"), 'l');
    cut_file(merging_data_file(path, 0, 3), 4096);
    EXPECT_DETAIL(BITCASK_CORRUPT, "000003.data: cut short", bitcask_get(root, "late", 4, &value));
    EXPECT(BITCASK_OK, bitcask_get(root, "back", 4, &value));
    const uint8_t *data = bitcask_value_data(value);
    CU_ASSERT_EQUAL(data[8999], 'b');
    cut_file(merging_data_file(path, 0, 1), 12288);
    /* One that was loaded before can be touched, and reading it says what became of it. */
    CU_ASSERT_EQUAL(data[8999], 0);
    EXPECT_DETAIL(BITCASK_CORRUPT, "000001.data: cut short", bitcask_value_read(value, 0, copy, sizeof copy, &got));
    CU_ASSERT_EQUAL(got, 0);
    bitcask_value_unload(value);
    EXPECT_DETAIL(BITCASK_CORRUPT, "000001.data: cut short", bitcask_value_load(value));
    bitcask_value_unpin(&value);
    EXPECT_DETAIL(BITCASK_CORRUPT, "000001.data: cut short", bitcask_get(root, "back", 4, &value));
    CU_ASSERT_EQUAL(filled_with(root, "front"), 'f');
    CU_ASSERT_EQUAL(filled_with(root, "other"), 'o');
    /* One that was loaded, and is still there, is read as it was. */
    EXPECT(BITCASK_OK, bitcask_get(root, "front", 5, &value));
    EXPECT(BITCASK_OK, bitcask_value_read(value, 0, copy, sizeof copy, &got));
    CU_ASSERT(got == 9000 && copy[0] == 'f' && copy[8999] == 'f');
    bitcask_value_unpin(&value);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

/* ---- the window ---- */

/* Puts records of some 1000 bytes until there is a window; how many. */
static int until_window(bitcask_partition *root)
{
    struct bc_partition *instance = instance_of(root);
    char key[16];
    int i = 0;
    for (; !instance->window && i < 400; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        EXPECT(BITCASK_OK, put_sized(root, key, 1000, 'a' + i % 26));
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(instance->window);
    return i;
}

static void small_log_has_no_window_and_ends_where_its_file_does(void)
{
    const char *path = fixture_path("small");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_stats stats = {0};
    merging_open(path, 1024 * 1024 * 1024, &db, &root);
    int count = until_window(root);
    struct bc_partition *instance = instance_of(root);
    CU_ASSERT(count > 240 && instance->active->end > 256 * 1024);
    CU_ASSERT(instance->window->size <= 4 * 1024 * 1024);
    const char *file = fixture_partition_file(path, 0, "active.data");
    CU_ASSERT(fixture_size(file) > instance->active->end);
    CU_ASSERT_EQUAL(fixture_size(file), instance->file_end);
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT_EQUAL(stats.data_bytes, instance->active->end);
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", i);
        CU_ASSERT_EQUAL(filled_with(root, key), 'a' + i % 26);
    }
    uint64_t end = instance->active->end;
    EXPECT(BITCASK_OK, merging_rotate(root));
    CU_ASSERT_PTR_NULL(instance->window);
    CU_ASSERT_EQUAL(fixture_size(merging_data_file(path, 0, 1)), end);
    CU_ASSERT_EQUAL(fixture_size(file), instance->active->end);
    until_window(root);
    CU_ASSERT(fixture_size(file) > instance->active->end);
    end = instance->active->end;
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(fixture_size(file), end + 36); /* the closing mark */
}

static void append_through_the_window_needs_no_call(void)
{
    struct bc_sim *sim = bc_sim_open(1);
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_options options;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "store", &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    until_window(root);
    uint64_t written = bc_sim_calls(sim, BC_SIM_PWRITEV), copied = bc_sim_calls(sim, BC_SIM_MAP_WRITE);
    uint64_t bytes = bc_io_count(&bc_sim_io(sim)->bytes_written), end = instance_of(root)->active->end;
    uint64_t laid = bc_sim_calls(sim, BC_SIM_MAP) + bc_sim_calls(sim, BC_SIM_TRUNCATE);
    for (int i = 0; i < 2000; i++) EXPECT(BITCASK_OK, put_sized(root, "k", 100, 'x'));
    CU_ASSERT_EQUAL(bc_sim_calls(sim, BC_SIM_PWRITEV), written);
    CU_ASSERT_EQUAL(bc_sim_calls(sim, BC_SIM_MAP_WRITE), copied + 2000);
    CU_ASSERT_EQUAL(bc_io_count(&bc_sim_io(sim)->bytes_written) - bytes, instance_of(root)->active->end - end);
    CU_ASSERT(bc_sim_calls(sim, BC_SIM_MAP) + bc_sim_calls(sim, BC_SIM_TRUNCATE) <= laid + 6);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    CU_ASSERT_EQUAL(bc_sim_misuses(sim), 0);
    CU_ASSERT_EQUAL(bc_sim_handles(sim), 0);
    bc_sim_close(&sim);
}

static void failed_window_write_fails_the_put_alone(void)
{
    struct bc_sim *sim = bc_sim_open(1);
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    merging_open_on(sim, &db, &root);
    until_window(root);
    EXPECT(BITCASK_OK, put_sized(root, "k", 500, 'o'));
    uint64_t end = instance_of(root)->active->end;
    bc_sim_fail(sim, BC_SIM_MAP_WRITE, 1, ENOSPC, false);
    EXPECT_DETAIL(BITCASK_NO_SPACE, "active.data", put_sized(root, "k", 500, 'n'));
    CU_ASSERT_EQUAL(instance_of(root)->active->end, end);
    CU_ASSERT_EQUAL(filled_with(root, "k"), 'o');
    uint64_t copied = bc_sim_calls(sim, BC_SIM_MAP_WRITE);
    EXPECT(BITCASK_OK, put_sized(root, "k", 500, 'p'));
    CU_ASSERT_EQUAL(bc_sim_calls(sim, BC_SIM_MAP_WRITE), copied);
    CU_ASSERT_PTR_NULL(instance_of(root)->window);
    CU_ASSERT_EQUAL(filled_with(root, "k"), 'p');
    /* The next segment has a window again. */
    EXPECT(BITCASK_OK, merging_rotate(root));
    until_window(root);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    bc_sim_close(&sim);
}

/* Of an append of single records that failed half-way, none may show: neither now nor when a power cut takes the cut
 * back, and another record of the size of the first one stands in its place. */
static void records_of_a_failed_append_stay_away(void)
{
    static const char *const keys[] = {"a", "b", "c", "d"};
    struct bc_sim *sim = bc_sim_open(1);
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    struct bc_write writes[4] = {{0}};
    merging_open_on(sim, &db, &root);
    until_window(root);
    EXPECT(BITCASK_OK, bitcask_partition_sync(root));
    struct bc_partition *instance = instance_of(root);
    for (int i = 0; i < 4; i++)
        writes[i] = (struct bc_write){.key = keys[i], .key_size = 1, .value = "v", .value_size = 1};
    bc_sim_fail(sim, BC_SIM_MAP_WRITE, 1, EIO, false);
    bc_fair_lock_soon(&instance->write_lock);
    EXPECT(BITCASK_IO, bc_partition_append(instance, writes, 4, true, 0));
    bc_fair_unlock(&instance->write_lock);
    EXPECT(BITCASK_OK, put_sized(root, "e", 1, 'e'));
    CU_ASSERT_STRING_EQUAL(get_text(root, "b"), "-");
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct bc_sim *after = bc_sim_power_cut(sim, BC_SIM_CUT_RANDOM, seed);
        bitcask *again = NULL;
        bitcask_partition *found = NULL;
        merging_open_on(after, &again, &found);
        for (int i = 0; i < 4; i++) CU_ASSERT_STRING_EQUAL(get_text(found, keys[i]), "-");
        bitcask_partition_close(&found);
        EXPECT(BITCASK_OK, bitcask_close(&again));
        bc_sim_close(&after);
    }
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    bc_sim_close(&sim);
}

static void file_cut_under_the_window_fails_the_put_alone(void)
{
    const char *path = fixture_path("window-cut");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    merging_open(path, SMALL_SEGMENT, &db, &root);
    EXPECT(BITCASK_OK, put_sized(root, "k", 500, 'o'));
    for (int i = 0; i < 12; i++) EXPECT(BITCASK_OK, put_sized(root, "x", 1000, 'x'));
    until_window(root);
    CU_ASSERT(instance_of(root)->active->end > 8192);
    cut_file(fixture_partition_file(path, 0, "active.data"), 4096);
    EXPECT_DETAIL(BITCASK_IO, "active.data: cannot write", put_sized(root, "k", 500, 'n'));
    CU_ASSERT_EQUAL(filled_with(root, "k"), 'o');
    CU_ASSERT_EQUAL(filled_with(root, "x"), -1); /* it was in what was cut off: known to be damaged, not wrong */
    EXPECT(BITCASK_OK, put_sized(root, "k", 500, 'p'));
    EXPECT(BITCASK_OK, put_sized(root, "x", 500, 'y'));
    CU_ASSERT_EQUAL(filled_with(root, "k"), 'p');
    CU_ASSERT_EQUAL(filled_with(root, "x"), 'y');
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    merging_open(path, SMALL_SEGMENT, &db, &root);
    CU_ASSERT_EQUAL(filled_with(root, "k"), 'p');
    CU_ASSERT_EQUAL(filled_with(root, "x"), 'y');
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

/* ---- beside the writer, and after it ---- */

static bool no_bad_stretch(void *context, const bitcask_dump_record *record)
{
    if (record->state != BITCASK_DUMP_HEADER && record->state != BITCASK_DUMP_GOOD) ++*(unsigned *)context;
    return true;
}

static bool tell_damage(void *context, const bitcask_finding *finding)
{
    (void)context;
    if (finding->kind == BITCASK_FOUND_DAMAGE)
        fprintf(stderr, "%s, %llu bytes at offset %llu: %s\n", finding->file, (unsigned long long)finding->size,
                (unsigned long long)finding->offset, finding->text);
    return true;
}

static void expect_sound(const char *path, bool read_only, unsigned keys)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_options options;
    bitcask_stats stats = {0};
    bitcask_verify_result found = {0};
    unsigned bad = 0;
    bitcask_options_init(&options);
    options.read_only = read_only;
    EXPECT(BITCASK_OK, bitcask_open(path, &options, &db));
    CU_ASSERT_PTR_NOT_NULL_FATAL(db);
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_dump(root, no_bad_stretch, &bad));
    CU_ASSERT_EQUAL(bad, 0);
    EXPECT(BITCASK_OK, bitcask_verify(root, &(bitcask_verify_options){.found = tell_damage}, &found));
    CU_ASSERT_EQUAL(found.damage, 0);
    EXPECT(BITCASK_OK, bitcask_partition_stats(root, &stats));
    CU_ASSERT_EQUAL(stats.damaged_regions, 0);
    CU_ASSERT(keys == 0 || stats.live_keys == keys);
    for (unsigned i = 0; i < keys; i += 17) {
        char key[16];
        snprintf(key, sizeof key, "%06u", i);
        CU_ASSERT_EQUAL(filled_with(root, key), 'z');
    }
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

static void killed_writers_zeros_are_no_damage_and_go(void)
{
    const char *path = fixture_path("killed");
    const unsigned keys = 5000;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bitcask *db = fixture_open(path, BITCASK_SYNC_OS);
        bitcask_partition *root = NULL;
        if (!db || bitcask_partition_open(db, "", &root) != BITCASK_OK) _exit(1);
        for (unsigned i = 0; i < keys; i++) {
            char key[16];
            snprintf(key, sizeof key, "%06u", i);
            if (put_sized(root, key, 100, 'z') != BITCASK_OK) _exit(1);
        }
        raise(SIGKILL);
    }
    int ended = 0;
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    CU_ASSERT_FATAL(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
    const char *file = fixture_partition_file(path, 0, "active.data");
    size_t size = 0;
    uint8_t *bytes = fixture_read(file, &size);
    size_t end = size;
    while (end > 0 && bytes[end - 1] == 0) end--;
    free(bytes);
    CU_ASSERT(end > 600000 && size - end > 10000);
    expect_sound(path, true, keys);
    CU_ASSERT_EQUAL(fixture_size(file), size);
    bitcask_verify_result found = {0};
    EXPECT(BITCASK_OK, bitcask_repair(path, "", NULL, &found));
    CU_ASSERT_EQUAL(found.damage, 0);
    expect_sound(path, false, keys);
    CU_ASSERT(fixture_size(file) >= end && fixture_size(file) < end + 100);
}

static void *keep_putting(void *context)
{
    bitcask_partition *root = context;
    bitcask_write_options options = {.flags = BITCASK_DURABLE};
    uint8_t value[2000];
    memset(value, 'z', sizeof value);
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        char key[16];
        snprintf(key, sizeof key, "r%u", i % 50);
        if (bitcask_put(root, key, strlen(key), value, 1 + i * 37 % sizeof value, i % 3 ? NULL : &options, NULL))
            abort();
    }
    return NULL;
}

static void reader_beside_the_writer_takes_nothing_for_damage(void)
{
    const char *path = fixture_path("beside");
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    pthread_t writer;
    merging_open(path, 16 * 1024 * 1024, &db, &root);
    until_window(root);
    atomic_store(&stop, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, keep_putting, root), 0);
    for (int i = 0; i < 40; i++) expect_sound(path, true, 0);
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    expect_sound(path, false, 0);
}

/* The writer's store on a simulated disk, and what it writes as soon as so much was read. */
static struct {
    struct bc_io *io;
    bitcask_partition *root;
    uint64_t from, to; /* bytes read; the end of the log afterwards, within the file as the reader found it */
    bool rotate;       /* that, instead */
    bool done;
} between;

static void write_between(void *context, enum bc_sim_call kind)
{
    bitcask_write_options options = {.flags = BITCASK_DURABLE};
    (void)context;
    if (kind != BC_SIM_PREAD || between.done || bc_io_count(&between.io->bytes_read) < between.from) return;
    between.done = true;
    if (between.rotate) {
        EXPECT(BITCASK_OK, merging_rotate(between.root));
        return;
    }
    while (instance_of(between.root)->active->end < between.to)
        EXPECT(BITCASK_OK, put_sized(between.root, "late", 1000, 'l'));
    EXPECT(BITCASK_OK, bitcask_put(between.root, "last", 4, "v", 1, &options, NULL));
    EXPECT(BITCASK_OK, put_sized(between.root, "late", 1000, 'l')); /* states that to be durable */
}

/* A scan reads a mebibyte at a time. Zeros at the end of one, and records in the next that were written meanwhile, must
 * not look like a hole in the log. */
static void reader_stops_where_the_writer_was(void)
{
    struct bc_sim *sim = bc_sim_open(1);
    bitcask *db = NULL, *reader = NULL;
    bitcask_partition *root = NULL, *seen = NULL;
    bitcask_options options;
    bitcask_stats stats = {0};
    unsigned bad = 0;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "store", &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    until_window(root);
    while (instance_of(root)->active->end < 900 * 1024) EXPECT(BITCASK_OK, put_sized(root, "k", 1000, 'k'));
    CU_ASSERT(instance_of(root)->active->end < 1000 * 1024 && instance_of(root)->file_end > 1100 * 1024);
    bitcask_options_init(&options);
    options.read_only = true;
    for (int i = 0; i < 3; i++) {
        bool dump = i == 1;
        bitcask_verify_result sound = {0};
        if (dump) {
            while (instance_of(root)->active->end < 1900 * 1024 || instance_of(root)->file_end < 2100 * 1024)
                EXPECT(BITCASK_OK, put_sized(root, "k", 1000, 'k'));
            CU_ASSERT(instance_of(root)->active->end < 2040 * 1024 && instance_of(root)->file_end > 2100 * 1024);
        }
        EXPECT(BITCASK_OK, bc_db_open(bc_sim_io(sim), "store", &options, &reader));
        bc_sim_set_hook(sim, write_between, NULL);
        between.io = bc_sim_io(sim);
        between.root = root;
        between.from = bc_io_count(&between.io->bytes_read) + (dump ? 2048u : 1024u) * 1024u;
        between.to = (dump ? 2080u : 1050u) * 1024u;
        between.rotate = i == 2;
        between.done = false;
        EXPECT(BITCASK_OK, bitcask_partition_open(reader, "", &seen));
        if (dump) EXPECT(BITCASK_OK, bitcask_dump(seen, no_bad_stretch, &bad));
        CU_ASSERT_EQUAL(filled_with(seen, "k"), 'k');
        CU_ASSERT_TRUE(between.done);
        CU_ASSERT_EQUAL(bad, 0);
        EXPECT(BITCASK_OK, bitcask_partition_stats(seen, &stats));
        CU_ASSERT_EQUAL(stats.damaged_regions, 0);
        bc_sim_set_hook(sim, NULL, NULL);
        EXPECT(BITCASK_OK, bitcask_verify(seen, &(bitcask_verify_options){.found = tell_damage}, &sound));
        CU_ASSERT_EQUAL(sound.damage, 0);
        bitcask_partition_close(&seen);
        EXPECT(BITCASK_OK, bitcask_close(&reader));
    }
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    bc_sim_close(&sim);
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_foreign};
    (void)sigaction(SIGBUS, &action, NULL); /* before the first mapping */
    static CU_TestInfo tests[] = {
        {"killed writer's zeros are no damage, and go", killed_writers_zeros_are_no_damage_and_go},
        {"fault elsewhere goes to the handler before ours", fault_elsewhere_goes_to_the_handler_before_ours},
        {"faults of many threads each find their mapping", faults_of_many_threads_each_find_their_mapping},
        {"loaded value stands in the mapping", loaded_value_stands_in_the_mapping},
        {"cut segment is a status, and others stay readable", cut_segment_is_a_status_and_others_stay_readable},
        {"small log has no window and ends where its file does", small_log_has_no_window_and_ends_where_its_file_does},
        {"append through the window needs no call", append_through_the_window_needs_no_call},
        {"failed window write fails the put alone", failed_window_write_fails_the_put_alone},
        {"records of a failed append stay away", records_of_a_failed_append_stay_away},
        {"file cut under the window fails the put alone", file_cut_under_the_window_fails_the_put_alone},
        {"reader beside the writer takes nothing for damage", reader_beside_the_writer_takes_nothing_for_damage},
        {"reader stops where the writer was", reader_stops_where_the_writer_was},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("mapping", tests);
}
