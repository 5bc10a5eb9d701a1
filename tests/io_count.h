/* io_count.h - a disk in front of another one that counts what is read, by the kind of file, and fails reads on demand.
 *
 * Files are told by how their names end: data files, hints, all others. Threads: any; failing is switched by one.
 */
#ifndef BC_IO_COUNT_H
#define BC_IO_COUNT_H

#include <stdatomic.h>

#include "io/io.h"

enum io_count_kind { IO_COUNT_DATA, IO_COUNT_HINT, IO_COUNT_OTHER, IO_COUNT_KINDS };

#define IO_COUNT_HANDLES 65536

struct io_count {
    struct bc_io io;      /* the table to open a store on */
    struct bc_io_ops ops; /* those of the disk behind, but for open and pread */
    const struct bc_io_ops *behind;
    atomic_int errors[IO_COUNT_KINDS]; /* what reads of such files fail with, a positive errno; 0: they do not */
    _Atomic uint64_t reads[IO_COUNT_KINDS], bytes[IO_COUNT_KINDS];
    atomic_uchar kinds[IO_COUNT_HANDLES];
};

/* behind must outlive it. */
void io_count_init(struct io_count *count, const struct bc_io *behind);

/* All counts become 0. */
void io_count_reset(struct io_count *count);

#endif
