/* saved_store.c - see saved_store.h.
 */
#include "saved_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "partition/checkpoint.h"

struct io_count saved_count;
bitcask *saved_db;
bitcask_partition *saved_root;
char saved_said[8192];

static void hear(void *context, bitcask_log_level level, const char *line)
{
    size_t size = strlen(saved_said);

    (void)context, (void)level;
    snprintf(saved_said + size, sizeof saved_said - size, "%s\n", line);
}

bitcask_status saved_try_open(const char *path, bool read_only)
{
    bitcask_options options;
    bitcask_status status;

    bitcask_options_init(&options);
    options.create = !read_only;
    options.read_only = read_only;
    options.sync = BITCASK_SYNC_OS;
    options.segment_size = 65536;
    options.log = hear;
    saved_said[0] = 0;
    io_count_init(&saved_count, bc_io_posix());
    status = bc_db_open(&saved_count.io, path, &options, &saved_db);
    if (status == BITCASK_OK) status = bitcask_partition_open(saved_db, "", &saved_root);
    return status;
}

void saved_open(const char *path, bool read_only)
{
    EXPECT(BITCASK_OK, saved_try_open(path, read_only));
    CU_ASSERT_PTR_NOT_NULL_FATAL(saved_root);
}

void saved_close(void)
{
    bitcask_partition_close(&saved_root);
    EXPECT(BITCASK_OK, bitcask_close(&saved_db));
}

void saved_remove_file(const char *path, void *context)
{
    (void)context;
    fixture_remove(path);
}

const char *saved_file(const char *store)
{
    return fixture_partition_file(store, 0, BC_CHECKPOINT_NAME);
}

bc_status saved_save(bitcask_partition *partition)
{
    struct bc_partition *instance;
    bc_status status = bc_node_pin(partition, &instance);

    if (status != BITCASK_OK) return status;
    pthread_mutex_lock(&instance->files_lock);
    status = bc_checkpoint_save(instance);
    pthread_mutex_unlock(&instance->files_lock);
    bc_node_unpin(partition);
    return status;
}

bool saved_is(bitcask_partition *partition)
{
    struct bc_partition *instance;
    bool saved;

    if (bc_node_pin(partition, &instance) != BITCASK_OK) return false;
    saved = instance->checkpoint.id != 0;
    bc_node_unpin(partition);
    return saved;
}

bool saved_is_poisoned(bitcask_partition *partition)
{
    struct bc_partition *instance;
    bool poisoned;

    if (bc_node_pin(partition, &instance) != BITCASK_OK) return false;
    poisoned = atomic_load(&instance->poisoned);
    bc_node_unpin(partition);
    return poisoned;
}

void saved_forbid_closing(void)
{
    bc_checkpoint_limits.least = INT64_MAX;
}
void saved_want_all(void)
{
    bc_checkpoint_limits.least = 1;
    bc_checkpoint_limits.keys = 0;
}

void saved_scribble(struct book *book, size_t operations, uint64_t seed)
{
    for (size_t i = 0; i < operations; i++) {
        size_t key = fixture_below(&seed, book->keys);

        EXPECT(BITCASK_OK,
               fixture_below(&seed, 4) ? book_put(book, saved_root, key) : book_delete(book, saved_root, key));
    }
}

void saved_expect_book(const char *path, const struct book *book, bool read_only)
{
    for (int i = 0; i < 2; i++) {
        saved_open(path, read_only);
        CU_ASSERT(book_agrees(book, saved_root));
        CU_ASSERT(merging_accounts_agree(saved_root));
        saved_close();
    }
}

const char *saved_path;

uint8_t *saved_make_store(const char *name, struct book *book, size_t *size)
{
    saved_path = fixture_path("%s", name);
    book_open(book, 1500, 60);
    saved_open(saved_path, false);
    saved_scribble(book, 3000, 9);
    EXPECT(BITCASK_OK, saved_save(saved_root));
    saved_forbid_closing();
    saved_scribble(book, 50, 10);
    saved_close();
    /* Without hints: then the index is built from the checkpoint, or the data, and no partition is cold. */
    merging_each_file(saved_path, 0, ".hint", saved_remove_file, NULL);
    return fixture_read(saved_file(saved_path), size);
}
