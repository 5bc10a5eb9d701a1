/* finding.h - telling what verify and repair found, and going at the pace that is asked of them.
 */
#ifndef BC_FINDING_H
#define BC_FINDING_H

#include "partition/verify.h"

/* Counts a finding and tells it, with the partition's path and a formatted line filled in. CANCELLED where whoever
 * listens has heard enough. */
bc_status bc_tell(const struct bc_verify *verify, bitcask_finding finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for what concerns a file as a whole; file "" for the partition. */
bc_status bc_tell_file(const struct bc_verify *verify, bitcask_finding_kind kind, const char *file, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

/* Notes a file that means nothing to an open. */
bc_status bc_tell_other(const struct bc_verify *verify, const char *file);

/* Says that bytes were read. CANCELLED where that is to be the end. */
bc_status bc_pace(const struct bc_verify *verify, uint64_t bytes);

#endif
