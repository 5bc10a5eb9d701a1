/* findings.h - what a verify or a repair told, kept for comparison; and hints made for it.
 *
 * Threads: one.
 */
#ifndef BC_TEST_FINDINGS_H
#define BC_TEST_FINDINGS_H

#include "db/db.h"
#include "fixture.h"
#include "log/hint.h"
#include "partition/verify.h"

#define FINDINGS_KEPT 200u

struct told {
    bitcask_finding_kind kind;
    char path[64];
    char file[64];
    uint64_t offset, size;
    char key[64]; /* "" if it is not known */
    char text[256];
};

struct findings {
    bitcask_verify_result result;
    struct told list[FINDINGS_KEPT];
    size_t count;
    size_t stop_after;  /* findings; 0: never */
    size_t pauses_left; /* calls of pace until one says stop; 0: none does */
    uint64_t paced;     /* bytes */
};

/* For the functions of options and of struct bc_verify. */
bool findings_found(void *context, const bitcask_finding *finding);
bool findings_pace(void *context, uint64_t bytes);

/* Each begins anew. Of a partition of an open store; of the files of partition id below STORE/partitions. */
bc_status findings_verify(bitcask_partition *partition, struct findings *findings);
bc_status findings_verify_files(const char *store, uint64_t id, struct findings *findings);

/* A repair of the whole store, or of one partition without what is below. */
bc_status findings_repair(struct bc_io *io, const char *store, struct findings *findings);

/* The first finding of that kind with this file and key (NULL: any), NULL if there is none. */
const struct told *findings_of(const struct findings *findings, bitcask_finding_kind kind, const char *file,
                               const char *key);

/* Whether there is a finding of that kind, file and key at that place; says on stderr what there is instead. */
bool findings_told(const struct findings *findings, bitcask_finding_kind kind, const char *file, const char *key,
                   uint64_t offset, uint64_t size);

/* Whether nothing was found; says on stderr what was. What a merge may leave, or be about to, does
 * not count: a hint or a segment that is not there, a file that is superseded. */
bool findings_clean(const struct findings *findings);
void findings_print(const struct findings *findings);

/* Makes the hint of a sealed segment from what can be read of it. */
void findings_make_hint(const char *store, uint64_t partition_id, uint32_t segment_id);

/* A handle on the directory of a partition of a store on the real disk. */
int findings_dir(const char *store, uint64_t partition_id);

#endif
