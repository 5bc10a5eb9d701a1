/* scan.h - the sequential reader: walks a segment from its header to its end, record by record.
 *
 * Heads and values are checked. At bytes that are no record it searches on, offset by offset, for the next good
 * record, and reports what lies between as one bad stretch; what follows good records can so be seen behind damage.
 * Memory is bounded by its window and the largest front, not by what a damaged length says. Threads: one at a time.
 */
#ifndef BC_SCAN_H
#define BC_SCAN_H

#include "log/segment.h"

enum bc_scan_kind {
    BC_SCAN_RECORD,    /* a record, head and value verified */
    BC_SCAN_BAD_VALUE, /* head, key and attributes verify, the value does not */
    BC_SCAN_BAD,       /* size bytes that are no record; the next item, if any, is a good one */
    BC_SCAN_ZEROS,     /* nothing but zeros from offset to the end: preallocated or never written */
    BC_SCAN_END        /* the end of the segment; offset is it */
};

struct bc_scan_item {
    enum bc_scan_kind kind;
    uint64_t offset;
    uint64_t size;           /* bytes of the whole stretch */
    struct bc_record record; /* of a record and a bad value; pointers valid until the next call. value is NULL
                                where it is larger than the window */
};

struct bc_scan;

/* Where the segment's file has its last byte that is not zero: *used is one behind it. A writer beside us lays out
 * zeros in advance, and writes into them while we read: what a scan meets at or behind *used was not there, or not
 * whole, when this was called; all before it was, but for the last record, which may end in zeros or be unfinished. */
bc_status bc_scan_find_used(struct bc_segment *segment, uint64_t end, uint64_t *used);

/* From offset (the header's size for the whole log) to end (bytes). The segment is not owned and must outlive it. */
bc_status bc_scan_open(struct bc_segment *segment, uint64_t offset, uint64_t end, struct bc_scan **scan);

/* The next item, BC_SCAN_END again and again at the end. Fails only for I/O errors and memory. */
bc_status bc_scan_next(struct bc_scan *scan, struct bc_scan_item *item);
void bc_scan_close(struct bc_scan **scan);

#endif
