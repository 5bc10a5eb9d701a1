/* verify.h - reading a partition whole and holding everything in it against everything else.
 *
 * Threads: beside readers and the writer; the instance stays pinned. repair: nobody else has the store open.
 */
#ifndef BC_VERIFY_H
#define BC_VERIFY_H

#include "partition/partition.h"

struct bc_verify {
    const struct bc_env *env;
    const char *path; /* of the partition, for findings */
    /* Told of each finding; false stops. May be NULL. */
    bool (*found)(void *context, const bitcask_finding *finding);
    /* Called for each piece read: waits if it must; false stops. May be NULL. */
    bool (*pace)(void *context, uint64_t bytes);
    void *context;
    bitcask_verify_result *result; /* added to */
};

/* Checks an open partition. OK whatever was found; CANCELLED; IO and NO_MEMORY where it could not be looked at. */
bc_status bc_verify_partition(const struct bc_verify *verify, struct bc_partition *partition);

/* Checks the files of partition id, which need not open: header by header. For partitions whose open says CORRUPT. */
bc_status bc_verify_files(const struct bc_verify *verify, uint64_t id);

/* Sets damaged segments of partition id aside, with what is good copied out. Nobody has the store open. */
bc_status bc_repair_files(const struct bc_verify *verify, uint64_t id);

#endif
