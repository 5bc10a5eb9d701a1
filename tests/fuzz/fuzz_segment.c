/* fuzz_segment.c - a data file of any bytes: its header, a scan of all records, each record read by its place again.
 *
 * Checked: the items of a scan follow one another without a gap to the end, however it is damaged; a record that a scan
 * hands out is one, and is read the same by itself; attributes decode, or are refused.
 */
#include "base/crc.h"
#include "fuzz.h"
#include "log/scan.h"

static void check_record(struct bc_segment *segment, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    struct bc_buffer buffer = {0};
    struct bc_record again;
    bitcask_attrs attrs;
    FUZZ_CHECK(record->key_size > 0 && (record->flags & ~BC_RECORD_KNOWN) == 0);
    FUZZ_CHECK(bc_record_size(record) == item->size);
    fuzz_touch(record->key, record->key_size);
    fuzz_touch(record->attrs, record->attrs_size);
    if (bc_attrs_decode(record->attrs, record->attrs_size, &attrs) == BITCASK_OK &&
        (attrs.present & BITCASK_ATTR_XATTRS) != 0)
        fuzz_touch(attrs.xattrs, attrs.xattrs_size);
    FUZZ_CHECK(bc_segment_read_front(segment, item->offset, &buffer, &again) == BITCASK_OK);
    FUZZ_CHECK(again.version == record->version && again.key_size == record->key_size);
    FUZZ_CHECK(memcmp(again.key, record->key, record->key_size) == 0);
    uint8_t *value = malloc(again.value_size + (size_t)1);
    FUZZ_CHECK(value != NULL);
    bc_status status = bc_segment_read_value(segment, item->offset, &again, value);
    FUZZ_CHECK(status == (item->kind == BC_SCAN_RECORD ? BITCASK_OK : BITCASK_CORRUPT));
    if (item->kind == BC_SCAN_RECORD) {
        FUZZ_CHECK(bc_crc32c(0, value, again.value_size) == again.value_crc);
        FUZZ_CHECK(record->value == NULL || memcmp(record->value, value, again.value_size) == 0);
    }
    free(value);
    bc_buffer_release(&buffer);
}

static void scan(struct bc_segment *segment, uint64_t from)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    uint64_t at = from;
    FUZZ_CHECK(bc_scan_open(segment, from, segment->end, &scan) == BITCASK_OK);
    for (;;) {
        FUZZ_CHECK(bc_scan_next(scan, &item) == BITCASK_OK);
        FUZZ_CHECK(item.offset == at);
        if (item.kind == BC_SCAN_END) break;
        FUZZ_CHECK(item.size > 0 && item.size <= segment->end - at);
        if (item.kind == BC_SCAN_RECORD || item.kind == BC_SCAN_BAD_VALUE) check_record(segment, &item);
        at += item.size;
    }
    FUZZ_CHECK(at == segment->end);
    FUZZ_CHECK(bc_scan_next(scan, &item) == BITCASK_OK && item.kind == BC_SCAN_END);
    bc_scan_close(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file;
    struct bc_segment_header header;
    struct bc_segment *segment = NULL;
    uint64_t used;
    if (size == 0) return 0;
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & 1) fuzz_seal_segment(bytes, size - 1);
    fuzz_file_init(&file, bytes, size - 1);
    if (bc_segment_open(&file.io, 0, "000001.data", false, &segment, &header) == BITCASK_OK) {
        FUZZ_CHECK(header.header_size <= size - 1 && strlen(header.path) <= BC_SEGMENT_PATH_MAX);
        FUZZ_CHECK(bc_scan_find_used(segment, segment->end, &used) == BITCASK_OK && used <= segment->end);
        scan(segment, header.header_size);
        bc_segment_unref(&segment);
    }
    FUZZ_CHECK(file.open == 0);
    free(bytes);
    return 0;
}
