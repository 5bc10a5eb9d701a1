/* test_link_model.c - random puts, links, deletions, renames and batches on few names, beside a model of which name is
 * which file. ROUNDS: how many, default 3000. SEED is printed and can be given.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/inodes.h"

enum { PARTITIONS = 3, KEYS = 7, NAMES = PARTITIONS * KEYS, ITEMS = 12 };

struct world {
    bitcask *db;
    bitcask_partition *partitions[PARTITIONS], *files;
    uint64_t rng;
    int at[NAMES]; /* the file of a name; 0: none */
    struct {
        char text[32];
        size_t size;
    } content[100000]; /* of a file: text, filled up to size */
    int last_file;
    unsigned last_text;
};

static char keys[KEYS][2] = {"a", "b", "c", "d", "e", "f", "g"};

static unsigned draw(struct world *world, unsigned below)
{
    return (unsigned)fixture_below(&world->rng, below);
}

static bitcask_partition *where(const struct world *world, unsigned name)
{
    return world->partitions[name / KEYS];
}

static const char *key(unsigned name)
{
    return keys[name % KEYS];
}

static void open_world(struct world *world)
{
    static const char *const paths[PARTITIONS] = {"", "p", "p/q"};
    world->db = fixture_open(fixture_path("model"), BITCASK_SYNC_OS);
    world->db->inline_max = 500;
    world->db->extent_shift = 12;
    for (int i = 0; i < PARTITIONS; i++) {
        if (bitcask_partition_open(world->db, paths[i], &world->partitions[i]) == BITCASK_OK) continue;
        EXPECT(BITCASK_OK, bitcask_partition_create(world->partitions[i - 1], paths[i] + (i > 1 ? 2 : 0), 1, NULL, 0,
                                                    &world->partitions[i]));
    }
    EXPECT(BITCASK_OK, bitcask_partition_open_files(world->db, &world->files));
}

static void close_world(struct world *world)
{
    bitcask_partition_close(&world->files);
    for (int i = 0; i < PARTITIONS; i++) bitcask_partition_close(&world->partitions[i]);
    EXPECT(BITCASK_OK, bitcask_close(&world->db));
}

/* A new content for a file; the bytes are the caller's to free. */
static char *new_content(struct world *world, int file, size_t *size)
{
    char *bytes;
    *size = draw(world, 6) ? 32 : 20000 + draw(world, 100);
    bytes = calloc(1, *size);
    snprintf(world->content[file].text, sizeof world->content[file].text, "content %u", ++world->last_text);
    memcpy(bytes, world->content[file].text, 32);
    world->content[file].size = *size;
    return bytes;
}

static int count(const struct world *world, int file)
{
    int names = 0;
    for (int i = 0; i < NAMES; i++) names += world->at[i] == file;
    return names;
}

static bool agrees(struct world *world, unsigned name)
{
    int file = world->at[name];
    bitcask_entry entry;
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_stat(where(world, name), key(name), 1, &entry);
    if (file == 0) return status == BITCASK_NOT_FOUND;
    if (status != BITCASK_OK || entry.nlink != (uint64_t)count(world, file)) return false;
    bool same = bitcask_get(where(world, name), key(name), 1, &value) == BITCASK_OK &&
                bitcask_value_size(value) == world->content[file].size &&
                memcmp(bitcask_value_data(value), world->content[file].text, 32) == 0;
    bitcask_value_unpin(&value);
    return same;
}

static void put(struct world *world, unsigned name)
{
    size_t size;
    if (world->at[name] == 0) world->at[name] = ++world->last_file;
    char *bytes = new_content(world, world->at[name], &size);
    bitcask_entry entry;
    char number[17];
    bitcask_partition *partition = where(world, name);
    const char *to = key(name);
    size_t to_size = 1;
    /* Sometimes by its number. */
    if (draw(world, 3) == 0 && bitcask_stat(partition, to, 1, &entry) == BITCASK_OK && entry.file_id != 0) {
        snprintf(number, sizeof number, "%016llx", (unsigned long long)entry.file_id);
        partition = world->files;
        to = number;
        to_size = 16;
    }
    EXPECT(BITCASK_OK, bitcask_put(partition, to, to_size, bytes, size, NULL, NULL));
    free(bytes);
}

/* A random item, and what comes of it, in the model too. */
static bitcask_status one_item(struct world *world, bitcask_move_item *item)
{
    unsigned from = draw(world, NAMES), to = draw(world, NAMES), kind = draw(world, 6);
    int a = world->at[from], b = world->at[to];
    *item = (bitcask_move_item){.from = where(world, from),
                                .from_key = key(from),
                                .from_key_size = 1,
                                .to = where(world, to),
                                .to_key = key(to),
                                .to_key_size = 1};
    if (kind < 2) {
        item->flags = BITCASK_LINK;
        if (b != 0) return BITCASK_EXISTS;
        world->at[to] = a;
        return a != 0 ? BITCASK_OK : BITCASK_NOT_FOUND;
    }
    if (kind < 4) {
        item->flags = BITCASK_REMOVE;
        world->at[from] = 0;
        return a != 0 ? BITCASK_OK : BITCASK_NOT_FOUND;
    }
    if (a == 0) return BITCASK_NOT_FOUND;
    if (kind == 4 && b != 0) {
        item->flags = BITCASK_EXCHANGE;
        world->at[to] = a;
        world->at[from] = b;
    } else if (a != b) {
        world->at[to] = a;
        world->at[from] = 0;
    }
    return BITCASK_OK;
}

static void items(struct world *world)
{
    bitcask_move_item list[ITEMS];
    size_t many = 1 + draw(world, ITEMS), good = 0, done = 0;
    bitcask_status wanted = BITCASK_OK;
    for (size_t i = 0; i < many && wanted == BITCASK_OK; i++) {
        wanted = one_item(world, &list[i]);
        if (wanted == BITCASK_OK) good++;
    }
    EXPECT(wanted, bitcask_move(world->db, list, good + (wanted != BITCASK_OK), &done));
    CU_ASSERT_EQUAL(done, good);
}

static void batch(struct world *world)
{
    bitcask_batch *batch = NULL;
    char *bytes[ITEMS] = {0};
    bool was_put[KEYS] = {false};
    unsigned partition = draw(world, PARTITIONS), many = 1 + draw(world, ITEMS);
    EXPECT(BITCASK_OK, bitcask_batch_open(world->partitions[partition], &batch));
    for (unsigned i = 0; i < many; i++) {
        unsigned name = partition * KEYS + draw(world, KEYS);
        size_t size;
        /* Of a put before a deletion of the same name nobody sees anything, under no other name either. */
        if (draw(world, 3) == 0 && !was_put[name % KEYS]) {
            EXPECT(BITCASK_OK, bitcask_batch_delete(batch, key(name), 1));
            world->at[name] = 0;
            continue;
        }
        was_put[name % KEYS] = true;
        if (world->at[name] == 0) world->at[name] = ++world->last_file;
        bytes[i] = new_content(world, world->at[name], &size);
        EXPECT(BITCASK_OK, bitcask_batch_put(batch, key(name), 1, bytes[i], size, NULL));
    }
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    bitcask_batch_close(&batch);
    for (unsigned i = 0; i < many; i++) free(bytes[i]);
}

static void step(struct world *world)
{
    unsigned kind = draw(world, 100);
    if (kind < 40) {
        put(world, draw(world, NAMES));
    } else if (kind < 90) {
        items(world);
    } else if (kind < 97) {
        batch(world);
    } else {
        close_world(world);
        open_world(world);
    }
}

static uint64_t seed;

static void names_and_files_agree(void)
{
    struct world *world = calloc(1, sizeof *world);
    uint64_t rounds = fixture_number("ROUNDS", 3000);
    bool same = true;
    world->rng = seed;
    open_world(world);
    for (uint64_t i = 0; i < rounds && same && world->last_file < 99000; i++) {
        step(world);
        for (unsigned name = 0; name < NAMES && same; name++) {
            same = agrees(world, name);
            if (!same) fprintf(stderr, "step %llu: name %u\n", (unsigned long long)i, name);
        }
        if (i % 200 == 0) {
            bitcask_verify_result result;
            const bitcask_verify_options options = {.flags = BITCASK_BELOW};
            EXPECT(BITCASK_OK, bitcask_verify(world->partitions[0], &options, &result));
            CU_ASSERT_EQUAL(result.damage + result.hints, 0);
        }
    }
    CU_ASSERT(same);
    close_world(world);
    free(world);
}

int main(void)
{
    seed = fixture_number("SEED", (uint64_t)time(NULL));
    printf("SEED=%#llx\n", (unsigned long long)seed);
    CU_TestInfo tests[] = {{"names and files agree", names_and_files_agree}, CU_TEST_INFO_NULL};
    return fixture_run("model of links", tests);
}
