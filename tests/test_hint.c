/* test_hint.c - hints: what was written is found and walked, in few bytes and reads; what fails leaves nothing behind.
 */
#include "unit.h"

#include <errno.h>

#include "hint_check.h"
#include "index/index.h"

static void names_go_there_and_back(void)
{
    static const char *const others[] = {"", "7.hint", "000007.data", "hint.tmp", "0000007.hint", "4294967296.hint"};
    char name[16];
    uint32_t id = 5;
    bc_hint_name(UINT32_MAX, name);
    CU_ASSERT(bc_hint_parse_name(name, &id) && id == UINT32_MAX);
    bc_hint_name(7, name);
    CU_ASSERT_STRING_EQUAL(name, HINT_NAME);
    CU_ASSERT(bc_hint_parse_name(name, &id) && id == 7);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) CU_ASSERT(!bc_hint_parse_name(others[i], &id));
    CU_ASSERT_EQUAL(id, 7);
}

static void entries_come_back_as_they_were(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 100, 10000};
    uint64_t seed = unit_seed("round trip");
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (unsigned largest = 3; largest <= 255; largest += 84) {
            int at;
            size_t count = 0;
            uint64_t bytes = 0, tombstone_bytes = 0;
            struct hint_item *items = hint_items_make(&seed, counts[c], largest, &count);
            struct bc_sim *sim = hint_disk_open(&at);
            struct bc_hint *hint = NULL;
            bc_sim_set_short(sim, c == 4 ? 7 : 0);
            CU_ASSERT_EQUAL(hint_write(bc_sim_io(sim), at, &hint_head, items, count, &bytes), BITCASK_OK);
            CU_ASSERT_EQUAL(hint_check(bc_sim_io(sim), at, items, count), 0);
            CU_ASSERT(!hint_disk_has(sim, at, BC_HINT_TEMPORARY_NAME));
            CU_ASSERT_EQUAL(bc_hint_open(bc_sim_io(sim), at, &hint_head, true, &hint), BITCASK_OK);
            for (size_t i = 0; i < count; i++)
                if (items[i].entry.flags & BC_HINT_TOMBSTONE) tombstone_bytes += items[i].entry.record_size;
            CU_ASSERT_EQUAL(bc_hint_head(hint)->tombstone_bytes, tombstone_bytes);
            CU_ASSERT_EQUAL(bc_hint_head(hint)->last_version, hint_head.last_version);
            CU_ASSERT_EQUAL(bc_hint_file_size(hint), bytes);
            bc_hint_close(&hint);
            hint_disk_close(&sim, at);
            free(items);
        }
    }
}

/* An entry may bring its xattrs: they stay out. One whose record is no sum of its parts is no problem. */
static void xattrs_stay_out(void)
{
    int at;
    struct bc_sim *sim = hint_disk_open(&at);
    struct hint_item item = {.key = "key"};
    item.entry = (struct bc_hint_entry){.key = item.key, .key_size = 3, .offset = 100, .record_size = 5000};
    item.entry.flags = BC_HINT_XATTRS;
    item.entry.version = 1;
    item.entry.attrs = (bitcask_attrs){.present = BITCASK_ATTR_XATTRS | BITCASK_ATTR_UID, .uid = 3};
    item.entry.attrs.xattrs = "secret";
    item.entry.attrs.xattrs_size = 6;
    CU_ASSERT_EQUAL(hint_write(bc_sim_io(sim), at, &hint_head, &item, 1, NULL), BITCASK_OK);
    item.entry.attrs.present = BITCASK_ATTR_UID;
    CU_ASSERT_EQUAL(hint_check(bc_sim_io(sim), at, &item, 1), 0);
    hint_disk_close(&sim, at);
}

/* For who does not know the generation: the head says it. */
static void head_can_be_read_alone(void)
{
    int at;
    uint64_t seed = unit_seed("head alone");
    size_t count = 0;
    struct bc_hint_head head = {0};
    struct hint_item *items = hint_items_make(&seed, 100, 40, &count);
    struct bc_sim *sim = hint_disk_open(&at);
    CU_ASSERT_EQUAL(bc_hint_read_head(bc_sim_io(sim), at, 7, &head), BITCASK_NOT_FOUND);
    CU_ASSERT_EQUAL(hint_write(bc_sim_io(sim), at, &hint_head, items, count, NULL), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_read_head(bc_sim_io(sim), at, 7, &head), BITCASK_OK);
    CU_ASSERT(head.generation == hint_head.generation && head.data_size == hint_head.data_size && head.keys == count);
    /* Under another name it is that of another segment; and its bytes are checked. */
    CU_ASSERT_EQUAL(bc_io_rename(bc_sim_io(sim), at, HINT_NAME, "000008.hint"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_read_head(bc_sim_io(sim), at, 8, &head), BITCASK_CORRUPT);
    int fd = -1;
    uint8_t byte = 0x5a;
    struct iovec iov = {&byte, 1};
    CU_ASSERT_EQUAL(bc_io_open(bc_sim_io(sim), at, "000008.hint", BC_OPEN_WRITE, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_write(bc_sim_io(sim), fd, "000008.hint", &iov, 1, 30), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(bc_sim_io(sim), &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_hint_read_head(bc_sim_io(sim), at, 8, &head), BITCASK_CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "checksum"));
    hint_disk_close(&sim, at);
    free(items);
}

/* One figure of the design: hints take at most 0.3 of the payload, at keys of 16 and values of 100 bytes. Counts the
 * reads as well. */
static void hint_takes_few_bytes_and_reads(void)
{
    enum { KEYS = 100000 };
    uint64_t seed = unit_seed("size"), bytes = 0;
    struct hint_item *items = calloc(KEYS, sizeof *items);
    struct bc_hint_entry entry;
    struct bc_buffer buffer = {0};
    struct bc_hint *hint = NULL;
    size_t errors = 0, claimed = 0;
    int at;
    for (size_t i = 0; i < KEYS; i++) {
        unit_random_bytes(&seed, items[i].key, 16);
        items[i].entry = (struct bc_hint_entry){.key_size = 16, .value_size = 100, .record_size = 142};
        items[i].entry.offset = (uint32_t)(62 + i * 142);
        items[i].entry.version = hint_head.last_version - unit_random(&seed) % 4000000000u;
    }
    qsort(items, KEYS, sizeof *items, hint_item_order);
    for (size_t i = 0; i < KEYS; i++) items[i].entry.key = items[i].key;
    struct bc_sim *sim = hint_disk_open(&at);
    struct bc_io *io = bc_sim_io(sim);
    CU_ASSERT_EQUAL(hint_write(io, at, &hint_head, items, KEYS, &bytes), BITCASK_OK);
    CU_ASSERT_EQUAL_FATAL(bc_hint_open(io, at, &hint_head, true, &hint), BITCASK_OK);
    printf("[%.2f bytes a key] ", (double)bytes / KEYS);
    CU_ASSERT(bytes <= 34 * KEYS); /* 0.3 of 116 is 34.8 */
    CU_ASSERT(bc_hint_memory(hint) < 3 * KEYS);

    uint64_t reads = bc_sim_calls(sim, BC_SIM_PREAD);
    hint_check_cursor(hint, items, KEYS, &errors);
    CU_ASSERT_EQUAL(errors, 0);
    CU_ASSERT(bc_sim_calls(sim, BC_SIM_PREAD) - reads <= bytes / (120 << 10) + 1);
    for (size_t i = 0; i < KEYS; i += 997) {
        reads = bc_sim_calls(sim, BC_SIM_PREAD);
        CU_ASSERT_EQUAL(bc_hint_find(hint, items[i].key, 16, &buffer, &entry), BITCASK_OK);
        CU_ASSERT(hint_entry_same(&entry, &items[i].entry));
        CU_ASSERT_EQUAL(bc_sim_calls(sim, BC_SIM_PREAD), reads + 1);
    }
    reads = bc_sim_calls(sim, BC_SIM_PREAD);
    for (size_t i = 0; i < KEYS; i++) {
        CU_ASSERT(bc_hint_may_contain(hint, bc_hash_key(items[i].key, 16)));
        claimed += bc_hint_may_contain(hint, bc_hash_key(items[i].key, 15));
    }
    CU_ASSERT(claimed < KEYS * 4 / 1000);
    CU_ASSERT_EQUAL(bc_sim_calls(sim, BC_SIM_PREAD), reads);
    bc_buffer_release(&buffer);
    bc_hint_close(&hint);
    hint_disk_close(&sim, at);
    free(items);
}

/* ---- the disk fails ---- */

static void write_that_fails_leaves_nothing(void)
{
    static const enum bc_sim_call kinds[] = {BC_SIM_OPEN, BC_SIM_PWRITEV, BC_SIM_CLOSE, BC_SIM_RENAME};
    uint64_t seed = unit_seed("failures");
    size_t count = 0;
    struct hint_item *items = hint_items_make(&seed, 6000, 100, &count);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        bc_status status = BITCASK_NO_SPACE;
        uint64_t n = 0;
        while (status != BITCASK_OK) {
            int at;
            struct bc_sim *sim = hint_disk_open(&at);
            struct bc_io *io = bc_sim_io(sim);
            n++;
            bc_sim_fail(sim, kinds[k], n, ENOSPC, kinds[k] == BC_SIM_PWRITEV && n % 2 == 0);
            status = hint_write(io, at, &hint_head, items, count, NULL);
            bc_sim_fail(sim, kinds[k], 0, 0, false);
            if (status != BITCASK_OK) {
                CU_ASSERT_EQUAL(status, BITCASK_NO_SPACE);
                CU_ASSERT_PTR_NOT_NULL(strstr(bc_detail(), "No space left"));
            }
            CU_ASSERT_EQUAL(bc_sim_handles(sim), 1);
            CU_ASSERT(!hint_disk_has(sim, at, BC_HINT_TEMPORARY_NAME));
            CU_ASSERT_EQUAL(hint_disk_has(sim, at, HINT_NAME), status == BITCASK_OK);
            if (status == BITCASK_OK) CU_ASSERT_EQUAL(hint_check(io, at, items, count), 0);
            hint_disk_close(&sim, at);
        }
        CU_ASSERT(n > (kinds[k] == BC_SIM_PWRITEV ? 4 : 1));
    }
    free(items);
}

/* A caller that goes on after a failed add, and one that gives up. */
static void failed_and_aborted_writers_leave_no_file(void)
{
    uint64_t seed = unit_seed("abort");
    size_t count = 0, i = 0;
    struct hint_item *items = hint_items_make(&seed, 6000, 100, &count);
    struct bc_hint_writer *writer = NULL;
    int at;
    struct bc_sim *sim = hint_disk_open(&at);
    struct bc_io *io = bc_sim_io(sim);
    bc_hint_writer_abort(&writer);
    CU_ASSERT_EQUAL(bc_hint_writer_open(io, at, &hint_head, &writer), BITCASK_OK);
    bc_sim_fail(sim, BC_SIM_PWRITEV, 1, EIO, false);
    while (bc_hint_writer_add(writer, &items[i].entry) == BITCASK_OK) i++;
    CU_ASSERT_EQUAL(bc_hint_writer_add(writer, &items[i].entry), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_hint_writer_commit(&writer, NULL), BITCASK_IO);
    CU_ASSERT_PTR_NULL(writer);
    CU_ASSERT(!hint_disk_has(sim, at, BC_HINT_TEMPORARY_NAME) && !hint_disk_has(sim, at, HINT_NAME));

    CU_ASSERT_EQUAL(bc_hint_writer_open(io, at, &hint_head, &writer), BITCASK_OK);
    for (i = 0; i < count; i++) CU_ASSERT_EQUAL(bc_hint_writer_add(writer, &items[i].entry), BITCASK_OK);
    bc_fail(BITCASK_IO, "why");
    bc_sim_fail(sim, BC_SIM_CLOSE, 1, EIO, false);
    bc_hint_writer_abort(&writer);
    CU_ASSERT_STRING_EQUAL(bc_detail(), "why");
    CU_ASSERT_PTR_NULL(writer);
    CU_ASSERT(!hint_disk_has(sim, at, BC_HINT_TEMPORARY_NAME) && !hint_disk_has(sim, at, HINT_NAME));
    hint_disk_close(&sim, at);
    free(items);
}

static void failed_reads_are_io_errors(void)
{
    static const enum bc_sim_call kinds[] = {BC_SIM_OPEN, BC_SIM_INFO, BC_SIM_PREAD};
    uint64_t seed = unit_seed("reads");
    size_t count = 0;
    int at;
    struct hint_item *items = hint_items_make(&seed, 6000, 100, &count);
    struct bc_sim *sim = hint_disk_open(&at);
    struct bc_io *io = bc_sim_io(sim);
    CU_ASSERT_EQUAL(hint_write(io, at, &hint_head, items, count, NULL), BITCASK_OK);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            struct bc_hint *hint = NULL;
            struct bc_hint_cursor *cursor = NULL;
            struct bc_buffer buffer = {0};
            struct bc_hint_entry entry;
            size_t seen = 0;
            bc_sim_fail(sim, kinds[k], n, EIO, false);
            bc_status status = bc_hint_open(io, at, &hint_head, true, &hint);
            if (status == BITCASK_OK)
                status = bc_hint_find(hint, items[9].key, items[9].entry.key_size, &buffer, &entry);
            if (status == BITCASK_OK) status = bc_hint_cursor_open(hint, &cursor);
            while (status == BITCASK_OK && (status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK) seen++;
            CU_ASSERT(status == BITCASK_IO || (status == BITCASK_NOT_FOUND && seen == count));
            /* A read that failed once may be tried again, and the walk goes on where it was. */
            while (cursor != NULL && bc_hint_cursor_next(cursor, &entry) == BITCASK_OK) seen++;
            CU_ASSERT(cursor == NULL || seen == count);
            done = status == BITCASK_NOT_FOUND;
            bc_buffer_release(&buffer);
            bc_hint_cursor_close(&cursor);
            bc_hint_close(&hint);
            CU_ASSERT_EQUAL(bc_sim_handles(sim), 1);
        }
        bc_sim_fail(sim, kinds[k], 0, 0, false);
    }
    hint_disk_close(&sim, at);
    free(items);
}

/* A power cut leaves no hint, one that is refused, or the right one, and does not hinder the next writer. */
static void power_cut_leaves_a_good_hint_or_none(void)
{
    uint64_t seed = unit_seed("power");
    size_t count = 0, good = 0, bad = 0, left_over = 0;
    struct hint_item *items = hint_items_make(&seed, 4000, 100, &count);
    for (unsigned round = 0; round < 120; round++) {
        int at;
        struct bc_sim *sim = hint_disk_open(&at);
        bc_sim_crash_at(sim, round % 8 == 7 ? 0 : bc_sim_changes(sim) + 1 + round % 8);
        hint_write(bc_sim_io(sim), at, &hint_head, items, count, NULL);
        struct bc_sim *after = bc_sim_power_cut(sim, round % 3 == 0 ? BC_SIM_CUT_ALL : BC_SIM_CUT_RANDOM, round);
        struct bc_io *io = bc_sim_io(after);
        CU_ASSERT_EQUAL_FATAL(bc_io_open(io, BC_AT_CWD, "d", BC_OPEN_DIRECTORY, &at), BITCASK_OK);
        if (hint_disk_has(after, at, HINT_NAME)) {
            if (hint_check(io, at, items, count) == 0)
                good++;
            else
                bad++;
        }
        left_over += hint_disk_has(after, at, BC_HINT_TEMPORARY_NAME);
        CU_ASSERT_EQUAL(hint_write(io, at, &hint_head, items, 3, NULL), BITCASK_OK);
        CU_ASSERT_EQUAL(hint_check(io, at, items, 3), 0);
        CU_ASSERT(!hint_disk_has(after, at, BC_HINT_TEMPORARY_NAME));
        hint_disk_close(&after, at);
        bc_sim_close(&sim);
    }
    printf("[%zu good, %zu bad, %zu left over] ", good, bad, left_over);
    CU_ASSERT(good > 0 && bad > 0 && left_over > 0);
    free(items);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"names go there and back", names_go_there_and_back},
        {"entries come back as they were", entries_come_back_as_they_were},
        {"head can be read alone", head_can_be_read_alone},
        {"xattrs stay out", xattrs_stay_out},
        {"hint takes few bytes and reads", hint_takes_few_bytes_and_reads},
        {"write that fails leaves nothing", write_that_fails_leaves_nothing},
        {"failed and aborted writers leave no file", failed_and_aborted_writers_leave_no_file},
        {"failed reads are io errors", failed_reads_are_io_errors},
        {"power cut leaves a good hint or none", power_cut_leaves_a_good_hint_or_none},
        CU_TEST_INFO_NULL,
    };
    return unit_run("hint", tests);
}
