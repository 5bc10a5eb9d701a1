/* scan.c - walks a segment record by record and says what stands where, damage included.
 *
 * Holds a window of the file, WINDOW_SIZE bytes, that moves forward. It may assume nothing of what it reads. Memory
 * is that window: a front always fits into it, and of a value that does not only a piece at a time is there.
 *
 * Invariant: the items of one scan cover the segment from the first offset to the end without gap or overlap.
 *
 * What keeps the search behind damage fast: single bytes reject nearly every offset, then attributes whose lengths do
 * not add up; only what passes both has its CRC computed. A run of zeros is passed over by memcmp.
 */
#include "log/scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"

#define WINDOW_SIZE ((size_t)1 << 20)

_Static_assert(BC_RECORD_HEAD_SIZE + 255 + BC_ATTRS_SIZE_MAX < WINDOW_SIZE / 2, "a front and more fit the window");

struct bc_scan {
    struct bc_segment *segment; /* not owned */
    uint64_t at;                /* where the next item starts */
    uint64_t end;               /* only shrinks: see read_some() */
    uint64_t window_offset;     /* of window[0] in the segment */
    size_t window_size;         /* bytes of window that hold the segment's */
    uint8_t window[WINDOW_SIZE];
};

bc_status bc_scan_find_used(struct bc_segment *segment, uint64_t end, uint64_t *used)
{
    uint8_t block[4096];
    bc_status status = BITCASK_OK;

    *used = 0;
    while (end > 0) {
        uint64_t start = (end - 1) / sizeof block * sizeof block;
        size_t got = 0;

        status = bc_io_read(segment->io, segment->fd, segment->name, block, (size_t)(end - start), start, &got);
        if (status != BITCASK_OK) return status;
        while (got > 0 && block[got - 1] == 0) got--;
        *used = start + got;
        if (got > 0) break;
        end = start;
    }
    return status;
}

bc_status bc_scan_open(struct bc_segment *segment, uint64_t offset, uint64_t end, struct bc_scan **scan)
{
    struct bc_scan *made = malloc(sizeof *made);
    if (made == NULL) return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", segment->name);
    made->segment = segment;
    made->at = offset;
    made->end = end;
    made->window_offset = offset;
    made->window_size = 0;
    *scan = made;
    return BITCASK_OK;
}

void bc_scan_close(struct bc_scan **scan)
{
    free(*scan);
    *scan = NULL;
}

/* Reads size bytes at offset, fewer at the end of the file. A reader beside a writer may find the file shorter than
 * it was a moment ago, when the writer cut back a failed append: the scan's end then is where the file ends. */
static bc_status read_some(struct bc_scan *scan, uint64_t offset, uint8_t *out, size_t size, size_t *got)
{
    struct bc_segment *segment = scan->segment;
    *got = 0;
    if (segment->memory != NULL) {
        uint64_t end = atomic_load_explicit(&segment->end, memory_order_acquire);
        uint64_t there = offset < end ? end - offset : 0;
        *got = there < size ? (size_t)there : size;
        if (*got > 0) memcpy(out, segment->memory + offset, *got);
    } else {
        bc_status status = bc_io_read(segment->io, segment->fd, segment->name, out, size, offset, got);
        if (status != BITCASK_OK) return status;
    }
    if (*got < size && offset + *got < scan->end) scan->end = offset + *got;
    return BITCASK_OK;
}

/* Makes `wanted` bytes at offset readable, fewer at the end: *data points at them, *available counts all that the
 * window holds from there. wanted is at most WINDOW_SIZE. Pointers into the window from before are void. */
static bc_status load(struct bc_scan *scan, uint64_t offset, size_t wanted, const uint8_t **data, size_t *available)
{
    uint64_t left = offset < scan->end ? scan->end - offset : 0;
    if (wanted > left) wanted = (size_t)left;

    size_t skip = 0;
    size_t kept = 0;
    if (offset >= scan->window_offset && offset - scan->window_offset <= scan->window_size) {
        skip = (size_t)(offset - scan->window_offset);
        kept = scan->window_size - skip;
    }
    if (kept < wanted) {
        if (kept > 0 && skip > 0) memmove(scan->window, scan->window + skip, kept);
        scan->window_offset = offset;
        scan->window_size = kept;
        skip = 0;
        size_t more = (left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE) - kept;
        size_t got = 0;
        bc_status status = read_some(scan, offset + kept, scan->window + kept, more, &got);
        if (status != BITCASK_OK) return status;
        kept += got;
        scan->window_size = kept;
    }
    *data = scan->window + skip;
    *available = kept;
    return BITCASK_OK;
}

/* The front of a record at offset. CORRUPT, without a detail line: there is none. */
static bc_status front_at(struct bc_scan *scan, uint64_t offset, struct bc_record *record)
{
    size_t wanted = BC_RECORD_HEAD_SIZE;
    for (;;) {
        const uint8_t *data = NULL;
        size_t available = 0;
        bc_status status = load(scan, offset, wanted, &data, &available);
        if (status != BITCASK_OK) return status;
        uint64_t remaining = offset < scan->end ? scan->end - offset : 0;
        status = bc_record_decode(data, available, scan->segment->generation, offset, remaining, record, &wanted);
        if (status != BITCASK_TOO_LARGE) return status;
        if (wanted <= available || wanted > remaining) return BITCASK_CORRUPT;
    }
}

/* The CRC of a value that does not fit the window, read in pieces behind its front, which stays where it is. */
static bc_status check_large_value(struct bc_scan *scan, struct bc_record *record, bool *good)
{
    const uint8_t *front = NULL;
    size_t available = 0;
    size_t front_size = bc_record_front_size(record);
    /* Asking for the whole window moves the front to its beginning. */
    bc_status status = load(scan, scan->at, WINDOW_SIZE, &front, &available);
    if (status != BITCASK_OK) return status;
    record->key = front + BC_RECORD_HEAD_SIZE;
    record->attrs = record->key + record->key_size;

    uint8_t *room = scan->window + front_size;
    uint64_t offset = scan->at + front_size;
    uint64_t left = record->value_size;
    size_t piece = available > front_size ? available - front_size : 0;
    uint32_t crc = 0;
    for (;;) {
        crc = bc_crc32c(crc, room, piece);
        offset += piece;
        left -= piece;
        if (left == 0) break;
        size_t step = left < WINDOW_SIZE - front_size ? (size_t)left : WINDOW_SIZE - front_size;
        status = read_some(scan, offset, room, step, &piece);
        if (status != BITCASK_OK) return status;
        if (piece == 0) break;
    }
    scan->window_size = front_size;
    *good = left == 0 && crc == record->value_crc;
    return BITCASK_OK;
}

/* Checks the value of the record at scan->at and fills the item in. */
static bc_status take_record(struct bc_scan *scan, struct bc_record *record, struct bc_scan_item *item)
{
    uint64_t size = bc_record_size(record);
    bool good = false;
    if (size > WINDOW_SIZE) {
        bc_status status = check_large_value(scan, record, &good);
        if (status != BITCASK_OK) return status;
    } else {
        const uint8_t *data = NULL;
        size_t available = 0;
        bc_status status = load(scan, scan->at, (size_t)size, &data, &available);
        if (status != BITCASK_OK) return status;
        record->key = data + BC_RECORD_HEAD_SIZE;
        record->attrs = record->key + record->key_size;
        record->value = data + bc_record_front_size(record);
        good = available >= size && bc_crc32c(0, record->value, record->value_size) == record->value_crc;
        if (available < size) record->value = NULL;
    }
    /* Should the file have become shorter meanwhile, what is left of the record ends with it. */
    if (size > scan->end - scan->at) size = scan->end - scan->at;
    *item = (struct bc_scan_item){good ? BC_SCAN_RECORD : BC_SCAN_BAD_VALUE, scan->at, size, *record};
    scan->at += size;
    return BITCASK_OK;
}

/* The offset of the first byte from `offset` on that is not zero, or the end. */
static bc_status skip_zeros(struct bc_scan *scan, uint64_t offset, uint64_t *nonzero)
{
    while (offset < scan->end) {
        const uint8_t *data = NULL;
        size_t available = 0;
        bc_status status = load(scan, offset, 1, &data, &available);
        if (status != BITCASK_OK) return status;
        if (available == 0) break;
        /* Every byte equals the one in front of it, and the first is zero. */
        bool all_zero = data[0] == 0 && memcmp(data, data + 1, available - 1) == 0;
        size_t i = 0;
        if (all_zero) {
            i = available;
        } else {
            while (data[i] == 0) i++;
        }
        offset += i;
        if (!all_zero) break;
    }
    *nonzero = offset;
    return BITCASK_OK;
}

/* The first offset from `offset` on at which a record stands, or the end. */
static bc_status find_record(struct bc_scan *scan, uint64_t offset, uint64_t *found)
{
    struct bc_record record;
    while (offset + BC_RECORD_HEAD_SIZE < scan->end) {
        const uint8_t *data = NULL;
        size_t available = 0;
        bc_status status = load(scan, offset, BC_RECORD_HEAD_SIZE, &data, &available);
        if (status != BITCASK_OK) return status;
        if (available < BC_RECORD_HEAD_SIZE) break;

        size_t last = available - BC_RECORD_HEAD_SIZE;
        size_t i = 0;
        while (i <= last && !bc_record_may_start(data + i)) i++;
        offset += i;
        if (i > last) continue;
        status = front_at(scan, offset, &record);
        if (status == BITCASK_OK) {
            *found = offset;
            return BITCASK_OK;
        }
        if (status != BITCASK_CORRUPT) return status;
        offset++;
    }
    *found = scan->end;
    return BITCASK_OK;
}

/* The stretch from scan->at on that is no record. */
static bc_status take_bad(struct bc_scan *scan, struct bc_scan_item *item)
{
    uint64_t start = scan->at;
    uint64_t nonzero = start;
    bc_status status = skip_zeros(scan, start, &nonzero);
    if (status != BITCASK_OK) return status;

    enum bc_scan_kind kind = nonzero >= scan->end ? BC_SCAN_ZEROS : BC_SCAN_BAD;
    uint64_t next = scan->end;
    if (kind == BC_SCAN_BAD) {
        /* A head may begin with zeros, but not all of it up to and with its key's size is zero. */
        uint64_t from = nonzero > start + BC_RECORD_HEAD_SIZE ? nonzero - BC_RECORD_HEAD_SIZE : start + 1;
        status = find_record(scan, from, &next);
        if (status != BITCASK_OK) return status;
    }
    if (next > scan->end) next = scan->end;
    *item = (struct bc_scan_item){.kind = kind, .offset = start, .size = next > start ? next - start : 0};
    if (item->size == 0) item->kind = BC_SCAN_END;
    scan->at = start + item->size;
    return BITCASK_OK;
}

bc_status bc_scan_next(struct bc_scan *scan, struct bc_scan_item *item)
{
    if (scan->at >= scan->end) {
        *item = (struct bc_scan_item){.kind = BC_SCAN_END, .offset = scan->at};
        return BITCASK_OK;
    }
    struct bc_record record;
    bc_status status = front_at(scan, scan->at, &record);
    if (status == BITCASK_OK) return take_record(scan, &record, item);
    if (status != BITCASK_CORRUPT) return status;
    return take_bad(scan, item);
}
