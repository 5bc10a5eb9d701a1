/* test_scan.c - the sequential reader: what it makes of good logs, damage in every place, and of no log at all. */
#include "unit.h"

#include "base/crc.h"
#include "log/scan.h"

#define GENERATION UINT64_C(0xa1b2c3d4e5f60718)
#define WINDOW ((size_t)1 << 20) /* of the scanner: what is worth testing happens around its multiples */

/* A log under construction: its bytes, and the items that a scan is to find. */
#define ITEMS_MAX 512
struct item {
    enum bc_scan_kind kind;
    uint64_t offset;
    uint64_t size;
};
struct log {
    struct bc_buffer bytes;
    struct item items[ITEMS_MAX];
    size_t count;
};

static void log_expect(struct log *log, enum bc_scan_kind kind, uint64_t offset, uint64_t size)
{
    struct item *last = log->count > 0 ? &log->items[log->count - 1] : NULL;
    if (kind == BC_SCAN_BAD && last != NULL && last->kind == BC_SCAN_BAD) {
        last->size += size; /* neighbours are one stretch */
        return;
    }
    CU_ASSERT_FATAL(log->count < ITEMS_MAX);
    log->items[log->count++] = (struct item){kind, offset, size};
}

/* Appends a record with attributes of about attrs_size bytes (0: none) and a random value. */
static void log_record_with(struct log *log, uint64_t *seed, const char *key, size_t attrs_size, size_t value_size)
{
    bitcask_attrs attrs = {0};
    uint8_t *xattrs = malloc(attrs_size + 1);
    if (attrs_size > 0) {
        unit_random_bytes(seed, xattrs, attrs_size);
        attrs.present = BITCASK_ATTR_XATTRS;
        attrs.xattrs = xattrs;
        attrs.xattrs_size = attrs_size;
    }
    uint8_t *encoded = malloc(bc_attrs_size(&attrs) + 1);
    bc_attrs_encode(&attrs, encoded);
    uint8_t *value = malloc(value_size + 1);
    unit_random_bytes(seed, value, value_size);
    struct bc_record record = {
        .version = unit_random(seed),
        .key_size = (uint8_t)strlen(key),
        .attrs_size = (uint32_t)bc_attrs_size(&attrs),
        .value_size = (uint32_t)value_size,
        .value_crc = bc_crc32c(0, value, value_size),
        .key = (const uint8_t *)key,
        .attrs = encoded,
    };
    uint64_t offset = log->bytes.size;
    uint8_t *front = bc_buffer_extend(&log->bytes, bc_record_front_size(&record));
    CU_ASSERT_PTR_NOT_NULL_FATAL(front);
    bc_record_encode(&record, GENERATION, offset, front);
    log->bytes.size += bc_record_front_size(&record);
    CU_ASSERT_EQUAL_FATAL(bc_buffer_append(&log->bytes, value, value_size), BITCASK_OK);
    log_expect(log, BC_SCAN_RECORD, offset, bc_record_size(&record));
    free(xattrs);
    free(encoded);
    free(value);
}

static void log_record(struct log *log, uint64_t *seed, const char *key, size_t value_size)
{
    log_record_with(log, seed, key, 0, value_size);
}

static void log_bytes(struct log *log, const void *bytes, size_t size)
{
    if (size == 0) return;
    log_expect(log, BC_SCAN_BAD, log->bytes.size, size);
    CU_ASSERT_EQUAL_FATAL(bc_buffer_append(&log->bytes, bytes, size), BITCASK_OK);
}

/* Garbage that begins with a byte that is not zero. */
static void log_garbage(struct log *log, uint64_t *seed, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    unit_random_bytes(seed, bytes, size);
    bytes[0] |= 1;
    log_bytes(log, bytes, size);
    free(bytes);
}

static void log_fill(struct log *log, uint8_t byte, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    memset(bytes, byte, size);
    log_bytes(log, bytes, size);
    free(bytes);
}

static void log_release(struct log *log)
{
    bc_buffer_release(&log->bytes);
    log->count = 0;
}

/* The first size bytes of the log as a segment in memory, of exactly that size. */
static struct bc_segment *segment_of(const struct log *log, size_t size)
{
    struct bc_segment *segment = calloc(1, sizeof *segment);
    segment->fd = -1;
    segment->references = 1;
    segment->generation = GENERATION;
    segment->end = size;
    segment->memory = malloc(size > 0 ? size : 1);
    if (size > 0) memcpy(segment->memory, log->bytes.data, size);
    return segment;
}

/* Scans and holds the items against the expected ones; the end must then come again and again. */
static void expect_items(struct bc_segment *segment, const struct item *items, size_t count)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    uint64_t end = segment->end;
    CU_ASSERT_EQUAL_FATAL(bc_scan_open(segment, 0, end, &scan), BITCASK_OK);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL_FATAL(bc_scan_next(scan, &item), BITCASK_OK);
        CU_ASSERT_EQUAL(item.kind, items[i].kind);
        CU_ASSERT_EQUAL(item.offset, items[i].offset);
        CU_ASSERT_EQUAL_FATAL(item.size, items[i].size);
        if (item.kind == BC_SCAN_RECORD) CU_ASSERT_EQUAL(item.record.value == NULL, item.size > WINDOW);
    }
    for (int again = 0; again < 3; again++) {
        CU_ASSERT_EQUAL(bc_scan_next(scan, &item), BITCASK_OK);
        CU_ASSERT_EQUAL(item.kind, BC_SCAN_END);
        CU_ASSERT_EQUAL(item.offset, end);
    }
    bc_scan_close(&scan);
    CU_ASSERT_PTR_NULL(scan);
}

static void expect_log(struct log *log)
{
    struct bc_segment *segment = segment_of(log, log->bytes.size);
    expect_items(segment, log->items, log->count);
    bc_segment_unref(&segment);
}

static void three_records_yield_three_items_and_stop(void)
{
    struct log log = {0};
    uint64_t seed = 1;
    log_record(&log, &seed, "one", 10);
    log_record(&log, &seed, "two", 0);
    log_record_with(&log, &seed, "three", 40, 500);
    CU_ASSERT_EQUAL(log.count, 3);
    expect_log(&log);

    struct bc_segment *segment = segment_of(&log, log.bytes.size);
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    CU_ASSERT_EQUAL(bc_scan_open(segment, log.items[2].offset, segment->end, &scan), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_scan_next(scan, &item), BITCASK_OK);
    CU_ASSERT_EQUAL(item.kind, BC_SCAN_RECORD);
    CU_ASSERT(item.record.key_size == 5 && memcmp(item.record.key, "three", 5) == 0);
    CU_ASSERT_EQUAL_FATAL(item.record.value_size, 500);
    CU_ASSERT(memcmp(item.record.value, log.bytes.data + log.bytes.size - 500, 500) == 0);
    CU_ASSERT_EQUAL(bc_crc32c(0, item.record.value, 500), item.record.value_crc);
    bitcask_attrs attrs;
    CU_ASSERT_EQUAL(bc_attrs_decode(item.record.attrs, item.record.attrs_size, &attrs), BITCASK_OK);
    CU_ASSERT_EQUAL(attrs.xattrs_size, 40);
    bc_scan_close(&scan);
    bc_segment_unref(&segment);
    log_release(&log);
}

static void empty_log_ends_at_once(void)
{
    struct log log = {0};
    expect_log(&log);
    log_release(&log);
}

static void records_behind_a_bad_middle_are_seen(void)
{
    uint64_t seed = unit_seed("middle");
    struct log log = {0};
    log_record(&log, &seed, "before", 100);
    log_record(&log, &seed, "damaged", 100);
    log_record(&log, &seed, "behind", 100);
    /* Any byte of the front, so that the record as a whole is lost; what is around it is not. */
    size_t front = BC_RECORD_HEAD_SIZE + 7;
    for (size_t i = 0; i < front; i++) {
        struct bc_segment *segment = segment_of(&log, log.bytes.size);
        segment->memory[log.items[1].offset + i] ^= 0x40;
        struct item items[3] = {log.items[0], log.items[1], log.items[2]};
        items[1].kind = BC_SCAN_BAD;
        expect_items(segment, items, 3);
        bc_segment_unref(&segment);
    }
    log_release(&log);
}

static void flipped_value_costs_its_own_record_only(void)
{
    uint64_t seed = unit_seed("value");
    struct log log = {0};
    log_record(&log, &seed, "before", 100);
    log_record(&log, &seed, "rotten", 50);
    log_record(&log, &seed, "behind", 100);
    for (size_t i = 1; i <= 50; i++) {
        struct bc_segment *segment = segment_of(&log, log.bytes.size);
        segment->memory[log.items[2].offset - i] ^= 1;
        struct item items[3] = {log.items[0], log.items[1], log.items[2]};
        items[1].kind = BC_SCAN_BAD_VALUE;
        expect_items(segment, items, 3);
        bc_segment_unref(&segment);
    }
    log_release(&log);
}

static void tail_torn_at_any_length_is_one_bad_stretch(void)
{
    uint64_t seed = unit_seed("torn");
    struct log log = {0};
    log_record(&log, &seed, "one", 30);
    log_record_with(&log, &seed, "two", 20, 0);
    log_record(&log, &seed, "three", 40);
    for (size_t cut = 0; cut <= log.bytes.size; cut++) {
        struct item items[4];
        size_t count = 0;
        uint64_t end = 0;
        while (count < log.count && log.items[count].offset + log.items[count].size <= cut) {
            items[count] = log.items[count];
            end = items[count].offset + items[count].size;
            count++;
        }
        if (end < cut) {
            bool zeros = true;
            for (size_t i = end; i < cut; i++) zeros = zeros && log.bytes.data[i] == 0;
            items[count++] = (struct item){zeros ? BC_SCAN_ZEROS : BC_SCAN_BAD, end, cut - end};
        }
        struct bc_segment *segment = segment_of(&log, cut);
        expect_items(segment, items, count);
        bc_segment_unref(&segment);
    }
    log_release(&log);
}

static void zeros_to_the_end_are_told_from_damage(void)
{
    static const size_t sizes[] = {1, 2, 25, 26, 27, 28, 4096, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 17};
    uint64_t seed = unit_seed("zeros");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct log log = {0};
        log_record(&log, &seed, "k", 5);
        log_fill(&log, 0, sizes[i]);
        log.items[1].kind = BC_SCAN_ZEROS;
        expect_log(&log);
        log_release(&log);

        /* The same run with one other byte behind it. */
        log_record(&log, &seed, "k", 5);
        log_fill(&log, 0, sizes[i]);
        log_bytes(&log, "x", 1);
        expect_log(&log);
        log_release(&log);

        /* And with a record behind it. */
        log_fill(&log, 0, sizes[i]);
        log_record(&log, &seed, "k", 5);
        expect_log(&log);
        log_release(&log);
    }
}

/* A head that begins with zeros: the CRC's bytes and the version's are what they happen to be. */
static void record_whose_head_begins_with_zeros_is_found_behind_zeros(void)
{
    for (size_t zeros = 1; zeros < 40; zeros++) {
        struct log log = {0};
        log_fill(&log, 0, zeros);
        struct bc_record record = {.key_size = 1, .key = (const uint8_t *)"k"};
        uint8_t front[27] = {1};
        for (record.version = 0; front[0] != 0; record.version++) bc_record_encode(&record, GENERATION, zeros, front);
        log_expect(&log, BC_SCAN_RECORD, zeros, sizeof front);
        CU_ASSERT_EQUAL(bc_buffer_append(&log.bytes, front, sizeof front), BITCASK_OK);
        expect_log(&log);
        log_release(&log);
    }
}

static void garbage_is_one_bad_stretch(void)
{
    static const size_t sizes[] = {1, 26, 27, 1000, WINDOW - 13, WINDOW, 2 * WINDOW + 5};
    uint64_t seed = unit_seed("garbage");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct log log = {0};
        log_garbage(&log, &seed, sizes[i]);
        expect_log(&log);
        log_record(&log, &seed, "behind", 33);
        log_garbage(&log, &seed, sizes[i]);
        expect_log(&log);
        log_release(&log);
    }
}

/* Text in 16-bit characters looks like heads at every second offset: all flags known, sizes within the segment. */
static void text_of_wide_characters_is_passed_over(void)
{
    uint64_t seed = unit_seed("wide");
    struct log log = {0};
    uint8_t *text = calloc(WINDOW, 1);
    for (size_t i = 0; i < WINDOW; i += 2) text[i] = (uint8_t)('a' + unit_random(&seed) % 26);
    log_bytes(&log, text, WINDOW);
    log_record(&log, &seed, "behind", 10);
    expect_log(&log);
    free(text);
    log_release(&log);
}

/* A value of 16 MiB puts a byte where, one offset earlier, the key's size would stand: the search goes on by one byte
 * from there, not by more. */
static void record_right_behind_what_looks_like_one_is_found(void)
{
    uint64_t seed = unit_seed("behind a look-alike");
    struct log log = {0};
    log_garbage(&log, &seed, 2);
    log_record(&log, &seed, "k", (size_t)1 << 24);
    log_record(&log, &seed, "behind", 1);
    CU_ASSERT(bc_record_may_start(log.bytes.data + 1));
    expect_log(&log);
    log_release(&log);
}

static void log_inside_a_value_is_not_taken_for_records(void)
{
    uint64_t seed = unit_seed("inside");
    struct log inner = {0}, log = {0};
    for (int i = 0; i < 20; i++) log_record(&inner, &seed, "forged", 30);
    struct bc_record record = {.version = 1,
                               .key_size = 5,
                               .value_size = (uint32_t)inner.bytes.size,
                               .value_crc = bc_crc32c(0, inner.bytes.data, inner.bytes.size),
                               .key = (const uint8_t *)"outer"};
    uint8_t front[BC_RECORD_HEAD_SIZE + 5];
    bc_record_encode(&record, GENERATION, 0, front);
    front[10] ^= 1; /* the outer head is damaged, so the search goes through the value */
    log_bytes(&log, front, sizeof front);
    log_bytes(&log, inner.bytes.data, inner.bytes.size);
    log_record(&log, &seed, "behind", 10);
    expect_log(&log);
    log_release(&inner);
    log_release(&log);
}

static void value_larger_than_the_window_is_checked_in_pieces(void)
{
    uint64_t seed = unit_seed("large");
    for (size_t lead = 0; lead < 2; lead++) {
        struct log log = {0};
        if (lead > 0) log_record(&log, &seed, "before", WINDOW / 2);
        log_record_with(&log, &seed, "large", 60000, 2 * WINDOW + 77);
        log_record(&log, &seed, "exact", WINDOW - BC_RECORD_HEAD_SIZE - 5);
        log_record(&log, &seed, "one more", WINDOW - BC_RECORD_HEAD_SIZE - 7);
        log_record(&log, &seed, "behind", 10);
        expect_log(&log);

        /* The front stays readable although the value went through the same memory. */
        struct bc_segment *segment = segment_of(&log, log.bytes.size);
        struct bc_scan *scan = NULL;
        struct bc_scan_item item;
        CU_ASSERT_EQUAL(bc_scan_open(segment, 0, segment->end, &scan), BITCASK_OK);
        for (size_t i = 0; i <= lead; i++) CU_ASSERT_EQUAL(bc_scan_next(scan, &item), BITCASK_OK);
        CU_ASSERT(item.record.key_size == 5 && memcmp(item.record.key, "large", 5) == 0);
        CU_ASSERT(memcmp(item.record.attrs, log.bytes.data + item.offset + BC_RECORD_HEAD_SIZE + 5,
                         item.record.attrs_size) == 0);
        bc_scan_close(&scan);

        /* A flip in each piece of it. */
        for (size_t at = 70000; at < 2 * WINDOW; at += WINDOW / 2) {
            struct item items[8];
            memcpy(items, log.items, log.count * sizeof items[0]);
            items[lead].kind = BC_SCAN_BAD_VALUE;
            segment->memory[items[lead].offset + at] ^= 0x10;
            expect_items(segment, items, log.count);
            segment->memory[items[lead].offset + at] ^= 0x10;
        }
        bc_segment_unref(&segment);
        log_release(&log);
    }
}

/* Records of which some part, the front included, lies across the edge of the window. */
static void fronts_across_the_edge_of_the_window_are_whole(void)
{
    uint64_t seed = unit_seed("edge");
    for (size_t before = 0; before < 70; before += 3) {
        struct log log = {0};
        log_record(&log, &seed, "fill", WINDOW - BC_RECORD_HEAD_SIZE - 4 - before);
        log_record_with(&log, &seed, "edge", 30, 20);
        log_record(&log, &seed, "behind", 1);
        expect_log(&log);
        log_release(&log);
        log_garbage(&log, &seed, WINDOW - before);
        log_record_with(&log, &seed, "edge", BITCASK_XATTRS_MAX, 20);
        log_record(&log, &seed, "behind", 1);
        expect_log(&log);
        log_release(&log);
    }
}

static void random_mixtures_are_taken_apart(void)
{
    uint64_t seed = unit_seed("mixture");
    for (int round = 0; round < 150; round++) {
        struct log log = {0};
        size_t pieces = 1 + (size_t)(unit_random(&seed) % 40);
        for (size_t i = 0; i < pieces; i++) {
            size_t size = (size_t)(unit_random(&seed) % 300);
            switch (unit_random(&seed) % 6) {
            case 0: log_garbage(&log, &seed, size + 1); break;
            case 1:
                if (log.count > 0 && i + 1 < pieces) log_fill(&log, 0, size + 1);
                break;
            case 2:
                log_record(&log, &seed, "rotten", size + 1);
                log.bytes.data[log.bytes.size - 1 - size / 2] ^= 0x80;
                log.items[log.count - 1].kind = BC_SCAN_BAD_VALUE;
                break;
            default: log_record_with(&log, &seed, "some key", size % 50, size * (unit_random(&seed) % 3)); break;
            }
        }
        if (log.count > 0 && log.items[log.count - 1].kind == BC_SCAN_BAD) log_garbage(&log, &seed, 9);
        expect_log(&log);
        log_release(&log);
    }
}

static void file_is_scanned_like_memory_and_may_shrink_meanwhile(void)
{
    char path[256];
    int at = unit_scratch_open(path);
    struct bc_io *io = bc_io_posix();
    uint64_t seed = unit_seed("file");
    struct log log = {0};
    for (int i = 0; i < 20; i++) log_record_with(&log, &seed, "key", 100, 200000);
    log_garbage(&log, &seed, 1000);
    log_record(&log, &seed, "large", 2 * WINDOW);
    struct bc_segment *segment = calloc(1, sizeof *segment);
    segment->io = io;
    segment->references = 1;
    segment->generation = GENERATION;
    segment->end = log.bytes.size;
    CU_ASSERT_EQUAL_FATAL(bc_io_open(io, at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE, &segment->fd), BITCASK_OK);
    struct iovec iov = {log.bytes.data, log.bytes.size};
    CU_ASSERT_EQUAL(bc_io_write(io, segment->fd, "f", &iov, 1, 0), BITCASK_OK);
    uint64_t read_before = bc_io_count(&io->bytes_read);
    expect_items(segment, log.items, log.count);
    /* Nothing is read twice, but for a window's worth behind the bad stretch. */
    CU_ASSERT(bc_io_count(&io->bytes_read) - read_before <= log.bytes.size + WINDOW);

    struct bc_scan *scan = NULL;
    struct bc_scan_item item = {.kind = BC_SCAN_END};
    CU_ASSERT_EQUAL(bc_scan_open(segment, 0, segment->end, &scan), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_scan_next(scan, &item), BITCASK_OK);
    uint64_t cut = log.items[9].offset + 100;
    CU_ASSERT_EQUAL(bc_io_truncate(io, segment->fd, "f", cut), BITCASK_OK);
    uint64_t covered = item.size;
    while (bc_scan_next(scan, &item) == BITCASK_OK && item.kind != BC_SCAN_END) {
        CU_ASSERT_EQUAL(item.offset, covered);
        covered += item.size;
    }
    CU_ASSERT_EQUAL(item.kind, BC_SCAN_END);
    CU_ASSERT_EQUAL(item.offset, cut);
    CU_ASSERT_EQUAL(covered, cut);
    bc_scan_close(&scan);
    bc_segment_unref(&segment);
    log_release(&log);
    unit_scratch_close(at, path);
}

static ssize_t failing_pread(struct bc_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    (void)io, (void)fd, (void)data, (void)size, (void)offset;
    return -5; /* EIO */
}

static void read_error_is_an_error_and_no_bad_stretch(void)
{
    struct bc_io_ops ops = *bc_io_posix()->ops;
    ops.pread = failing_pread;
    struct bc_io io = {.ops = &ops};
    struct bc_segment segment = {.io = &io, .fd = 3, .name = "f", .end = 1000, .generation = GENERATION};
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    CU_ASSERT_EQUAL(bc_scan_open(&segment, 0, 1000, &scan), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_scan_next(scan, &item), BITCASK_IO);
    bc_scan_close(&scan);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"three records yield three items and stop", three_records_yield_three_items_and_stop},
        {"empty log ends at once", empty_log_ends_at_once},
        {"records behind a bad middle are seen", records_behind_a_bad_middle_are_seen},
        {"flipped value costs its own record only", flipped_value_costs_its_own_record_only},
        {"tail torn at any length is one bad stretch", tail_torn_at_any_length_is_one_bad_stretch},
        {"zeros to the end are told from damage", zeros_to_the_end_are_told_from_damage},
        {"record whose head begins with zeros is found behind zeros",
         record_whose_head_begins_with_zeros_is_found_behind_zeros},
        {"garbage is one bad stretch", garbage_is_one_bad_stretch},
        {"text of wide characters is passed over", text_of_wide_characters_is_passed_over},
        {"record right behind what looks like one is found", record_right_behind_what_looks_like_one_is_found},
        {"log inside a value is not taken for records", log_inside_a_value_is_not_taken_for_records},
        {"value larger than the window is checked in pieces", value_larger_than_the_window_is_checked_in_pieces},
        {"fronts across the edge of the window are whole", fronts_across_the_edge_of_the_window_are_whole},
        {"random mixtures are taken apart", random_mixtures_are_taken_apart},
        {"file is scanned like memory and may shrink meanwhile", file_is_scanned_like_memory_and_may_shrink_meanwhile},
        {"read error is an error and no bad stretch", read_error_is_an_error_and_no_bad_stretch},
        CU_TEST_INFO_NULL,
    };
    return unit_run("scan", tests);
}
