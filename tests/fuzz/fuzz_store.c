/* fuzz_store.c - a whole store with any of its bytes changed, as a reader, a writer, verify and repair find it.
 *
 * An input is changes to the small store of tests/small_store.h, which is made anew, the same each time, on the
 * simulated disk: one byte of flags (1: checksums are made right afterwards, 2: no checkpoints), then of each change
 * the number of a file and what is done to it (1 byte: number, and 64, 128 or 192), a place (2 bytes), a count (1
 * byte), and, for an overwrite and for an append, so many bytes. If the format or that store change, old inputs mean
 * something else.
 *
 * Checked: nothing crashes, no value is read that was never written (unless checksums were forged), what a writer puts
 * it reads again, and after a repair no damage is left.
 */
#include "db/maintain.h"
#include "fuzz.h"
#include "io_sim.h"
#include "small_store.h"

enum { MAKE_RIGHT = 1, NO_CHECKPOINTS = 2, OVERWRITE = 0, CUT = 64, APPEND = 128, REMOVE = 192 };

static struct bc_sim *whole;
static char files[SMALL_FILES_MAX][128];
static size_t file_count;

static bool ends_in(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);
    return size >= end_size && strcmp(path + size - end_size, end) == 0;
}

static void make_right(const char *path, uint8_t *data, size_t size)
{
    if (ends_in(path, ".data")) fuzz_seal_segment(data, size);
    if (ends_in(path, ".hint")) fuzz_seal_hint(data, size);
    if (ends_in(path, "/index")) fuzz_seal_checkpoint(data, size);
}

/* Does one change; the bytes of input it took. */
static size_t change(struct bc_io *io, const uint8_t *input, size_t left, bool forge)
{
    const char *path = files[(input[0] & 63) % file_count];
    size_t place = bc_get_u16(input + 1), count = input[3], taken = 4, size;
    unsigned kind = input[0] & 192u;
    int fd = -1;
    if (bc_io_open(io, BC_AT_CWD, path, BC_OPEN_READ, &fd) != BITCASK_OK) return taken;
    (void)bc_io_close(io, &fd);
    if (kind == REMOVE) {
        if (count % 4 == 0) (void)bc_io_unlink(io, BC_AT_CWD, path);
        return taken;
    }
    uint8_t *data = small_store_read(io, path, &size);
    if (kind == OVERWRITE || kind == APPEND) {
        if (count > left - taken) count = left - taken;
        if (kind == APPEND) {
            data = realloc(data, size + count + 1);
            FUZZ_CHECK(data != NULL);
            place = size;
            size += count;
        }
        for (size_t i = 0; i < count && place + i < size; i++) data[place + i] = input[taken + i];
        taken += count;
    } else if (place < size) {
        size = place;
    }
    if (forge) make_right(path, data, size);
    small_store_write(io, path, data, size);
    free(data);
    return taken;
}

/* Reads all there is below a partition. */
static void read_below(bitcask_partition *partition, unsigned depth)
{
    const bitcask_query_options all = {0};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    if (bitcask_query_open(partition, &all, &query) != BITCASK_OK) return;
    for (unsigned i = 0; i < 1000 && bitcask_query_next(query, &entry) == BITCASK_OK; i++) {
        bitcask_value *value = NULL;
        bitcask_partition *child = NULL;
        FUZZ_CHECK(entry.key_size > 0 && bitcask_check_name(entry.key, entry.key_size) == BITCASK_OK);
        if (entry.kind == BITCASK_PARTITION) {
            if (depth > 0 && bitcask_partition_open_at(partition, entry.key, entry.key_size, &child) == BITCASK_OK)
                read_below(child, depth - 1);
            bitcask_partition_close(&child);
            continue;
        }
        if (bitcask_get(partition, entry.key, entry.key_size, &value) == BITCASK_OK) {
            bitcask_value_entry(value, &entry);
            if (entry.attrs.present & BITCASK_ATTR_XATTRS) fuzz_touch(entry.attrs.xattrs, entry.attrs.xattrs_size);
            if (bitcask_value_data(value)) fuzz_touch(bitcask_value_data(value), (size_t)bitcask_value_size(value));
        }
        bitcask_value_unpin(&value);
    }
    bitcask_query_close(&query);
}

/* No value that was never put, where no checksum was forged. */
static void check_names(bitcask *db, bool forged)
{
    for (size_t i = 0; i < SMALL_NAMES; i++) {
        const struct small_name *name = &small_names[i];
        bitcask_partition *partition = NULL;
        bitcask_value *value = NULL;
        if (bitcask_partition_open(db, name->partition, &partition) == BITCASK_OK &&
            bitcask_get(partition, name->key, strlen(name->key), &value) == BITCASK_OK && !forged)
            FUZZ_CHECK(small_value_was_put(name, bitcask_value_data(value), (size_t)bitcask_value_size(value)));
        bitcask_value_unpin(&value);
        bitcask_partition_close(&partition);
    }
}

static void look(struct bc_io *io, bool read_only, bool forged)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_value *value = NULL;
    if (small_store_open(io, read_only, &db) != BITCASK_OK) return;
    if (bitcask_partition_open(db, "", &root) == BITCASK_OK) {
        read_below(root, 4);
        check_names(db, forged);
        (void)bitcask_verify(root, &(bitcask_verify_options){.flags = BITCASK_BELOW}, NULL);
        if (!read_only && bitcask_put(root, "new", 3, "value", 5, NULL, NULL) == BITCASK_OK) {
            FUZZ_CHECK(bitcask_get(root, "new", 3, &value) == BITCASK_OK && bitcask_value_size(value) == 5);
            FUZZ_CHECK(memcmp(bitcask_value_data(value), "value", 5) == 0);
            bitcask_value_unpin(&value);
            (void)bitcask_delete(root, "a0", 2, NULL);
            (void)bitcask_merge(root, &(bitcask_merge_options){.flags = BITCASK_MERGE_FULL | BITCASK_BELOW}, NULL);
            FUZZ_CHECK(bitcask_get(root, "new", 3, &value) == BITCASK_OK);
            bitcask_value_unpin(&value);
            read_below(root, 4);
        }
    }
    bitcask_partition_close(&root);
    (void)bitcask_close(&db);
}

static void repair(struct bc_io *io, bool forged)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW};
    bitcask_verify_result result = {0};
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    if (bc_db_repair(io, SMALL_STORE, "", &options, &result) != BITCASK_OK) return;
    FUZZ_CHECK(small_store_open(io, false, &db) == BITCASK_OK);
    FUZZ_CHECK(bitcask_partition_open(db, "", &root) == BITCASK_OK);
    read_below(root, 4);
    check_names(db, forged);
    FUZZ_CHECK(bitcask_put(root, "new", 3, "value", 5, NULL, NULL) == BITCASK_OK);
    bitcask_partition_close(&root);
    FUZZ_CHECK(bitcask_close(&db) == BITCASK_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!whole) {
        whole = bc_sim_open(7);
        small_store_make(bc_sim_io(whole));
        file_count = small_store_files(bc_sim_io(whole), files);
    }
    if (size == 0) return 0;
    bool forged = (data[0] & MAKE_RIGHT) != 0;
    struct bc_sim *changed = bc_sim_power_cut(whole, BC_SIM_CUT_ALL, 0);
    struct bc_io *io = bc_sim_io(changed);
    for (size_t i = 0; i < file_count && (data[0] & NO_CHECKPOINTS) != 0; i++)
        if (ends_in(files[i], "/index")) (void)bc_io_unlink(io, BC_AT_CWD, files[i]);
    for (size_t at = 1; size - at >= 4;) at += change(io, data + at, size - at, forged);
    struct bc_sim *repaired = bc_sim_power_cut(changed, BC_SIM_CUT_ALL, 0);
    look(io, true, forged);
    look(io, false, forged);
    look(io, false, forged);
    FUZZ_CHECK(bc_sim_handles(changed) == 0 && bc_sim_misuses(changed) == 0);
    repair(bc_sim_io(repaired), forged);
    FUZZ_CHECK(bc_sim_handles(repaired) == 0 && bc_sim_misuses(repaired) == 0);
    bc_sim_close(&changed);
    bc_sim_close(&repaired);
    return 0;
}
