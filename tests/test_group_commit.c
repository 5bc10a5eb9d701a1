/* test_group_commit.c - many threads whose writes are to be durable share one sync; one thread does not wait for
 * others.
 *
 * On a disk of its own kind each time: as the machine has it, one on which a sync takes no time, one on which it is
 * slow. PUTS (default 300) is how many writes each thread does.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db/db.h"
#include "fixture.h"

#define WRITERS 16u

/* The machine's disk, but for its syncs. First member: io is what the store gets. */
struct disk {
    struct bc_io io;
    struct bc_io_ops ops;
    long sync_ns;           /* 0: at once; -1: the machine's own */
    _Atomic uint64_t syncs; /* of files */
};

static int disk_sync(struct bc_io *io, int fd)
{
    struct disk *disk = (struct disk *)io;

    atomic_fetch_add(&disk->syncs, 1);
    if (disk->sync_ns < 0) return bc_io_posix()->ops->fdatasync(io, fd);
    if (disk->sync_ns > 0) nanosleep(&(struct timespec){0, disk->sync_ns}, NULL);
    return 0;
}

static int disk_sync_dir(struct bc_io *io, int fd)
{
    return ((struct disk *)io)->sync_ns < 0 ? bc_io_posix()->ops->sync_dir(io, fd) : 0;
}

static void disk_init(struct disk *disk, long sync_ns)
{
    memset(disk, 0, sizeof *disk);
    disk->ops = *bc_io_posix()->ops;
    disk->ops.fdatasync = disk_sync;
    disk->ops.sync_dir = disk_sync_dir;
    disk->io = (struct bc_io){.ops = &disk->ops, .context = bc_io_posix()->context};
    disk->sync_ns = sync_ns;
}

struct writers {
    bitcask_partition *partition;
    pthread_barrier_t start;
    unsigned puts;
    atomic_uint numbers, failures;
};

/* Whether the record under key, just acknowledged, is durable in the partition's own books. */
static bool is_durable(bitcask_partition *partition, const char *key)
{
    struct bc_partition *instance;
    bitcask_location location;
    bool durable;

    if (bc_node_pin(partition, &instance) != BITCASK_OK) return false;
    /* One segment: the offset is the position. */
    durable = bc_partition_locate(instance, key, strlen(key), &location) == BITCASK_OK &&
              bc_partition_is_durable(instance, location.offset + location.record_bytes);
    bc_node_unpin(partition);
    return durable;
}

static void *write_all(void *argument)
{
    struct writers *writers = argument;
    unsigned number = atomic_fetch_add(&writers->numbers, 1);

    pthread_barrier_wait(&writers->start);
    for (unsigned i = 0; i < writers->puts; i++) {
        char key[32];

        snprintf(key, sizeof key, "%u.%u", number, i);
        if (put_text(writers->partition, key, "a value", BITCASK_DURABLE) != BITCASK_OK ||
            !is_durable(writers->partition, key))
            atomic_fetch_add(&writers->failures, 1);
    }
    return NULL;
}

/* Lets `count` threads write, each so many; the syncs that it took. */
static uint64_t syncs_of(struct disk *disk, unsigned count, unsigned puts)
{
    struct writers writers = {.puts = puts};
    const char *path = fixture_path("store");
    pthread_t threads[WRITERS];
    bitcask_options options;
    bitcask *db = NULL;
    uint64_t before;

    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    EXPECT(BITCASK_OK, bc_db_open(&disk->io, path, &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &writers.partition));
    EXPECT(BITCASK_OK, put_text(writers.partition, "first", "", BITCASK_DURABLE));
    if (pthread_barrier_init(&writers.start, NULL, count) != 0) exit(99);
    before = atomic_load(&disk->syncs);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, write_all, &writers) != 0) exit(99);
    for (unsigned i = 0; i < count; i++) pthread_join(threads[i], NULL);
    before = atomic_load(&disk->syncs) - before;
    CU_ASSERT_EQUAL(atomic_load(&writers.failures), 0);
    pthread_barrier_destroy(&writers.start);
    bitcask_partition_close(&writers.partition);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
    return before;
}

static void check_many(long sync_ns, const char *what)
{
    unsigned puts = (unsigned)fixture_number("PUTS", 300);
    struct disk disk;
    uint64_t syncs;

    disk_init(&disk, sync_ns);
    syncs = syncs_of(&disk, WRITERS, puts);
    printf("%s: %u puts, %llu syncs\n", what, WRITERS * puts, (unsigned long long)syncs);
    CU_ASSERT(syncs > 0);
    CU_ASSERT(syncs * 4 <= (uint64_t)WRITERS * puts);
}

static void writers_share_a_sync_on_a_real_disk(void)
{
    check_many(-1, "a real disk");
}

static void writers_share_a_sync_that_takes_no_time(void)
{
    check_many(0, "syncs at once");
}

static void writers_share_a_sync_that_is_slow(void)
{
    check_many(300000, "syncs of 300 us");
}

static void lone_writer_syncs_once_for_each_put(void)
{
    struct disk disk;

    disk_init(&disk, 0);
    CU_ASSERT_EQUAL(syncs_of(&disk, 1, 1000), 1000);
}

/* Two waves: many, and then one. It must not go on waiting for those who have left. */
static void lone_writer_does_not_wait_for_those_who_left(void)
{
    const char *path = fixture_path("left");
    struct writers writers = {.puts = 50};
    pthread_t threads[WRITERS];
    bitcask_options options;
    struct disk disk;
    bitcask *db = NULL;
    uint64_t syncs;

    disk_init(&disk, 100000);
    bitcask_options_init(&options);
    options.create = true;
    options.sync = BITCASK_SYNC_OS;
    EXPECT(BITCASK_OK, bc_db_open(&disk.io, path, &options, &db));
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &writers.partition));
    if (pthread_barrier_init(&writers.start, NULL, WRITERS) != 0) exit(99);
    for (unsigned i = 0; i < WRITERS; i++)
        if (pthread_create(&threads[i], NULL, write_all, &writers) != 0) exit(99);
    for (unsigned i = 0; i < WRITERS; i++) pthread_join(threads[i], NULL);
    syncs = atomic_load(&disk.syncs);
    for (int i = 0; i < 3; i++) EXPECT(BITCASK_OK, put_text(writers.partition, "last", "", BITCASK_DURABLE));
    CU_ASSERT_EQUAL(atomic_load(&disk.syncs) - syncs, 3);
    /* Two syncs were gathered for in vain, at most; from then on none is. */
    CU_ASSERT_EQUAL(writers.partition->instance->last_group, 1);
    CU_ASSERT_EQUAL(writers.partition->instance->group_before, 1);
    CU_ASSERT_EQUAL(atomic_load(&writers.failures), 0);
    pthread_barrier_destroy(&writers.start);
    bitcask_partition_close(&writers.partition);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    fixture_remove(path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"writers share a sync on a real disk", writers_share_a_sync_on_a_real_disk},
        {"writers share a sync that takes no time", writers_share_a_sync_that_takes_no_time},
        {"writers share a sync that is slow", writers_share_a_sync_that_is_slow},
        {"lone writer syncs once for each put", lone_writer_syncs_once_for_each_put},
        {"lone writer does not wait for those who left", lone_writer_does_not_wait_for_those_who_left},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("group commit", tests);
}
