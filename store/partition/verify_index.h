/* verify_index.h - an open partition's index held against its data files, while it is written to.
 *
 * The check begins with a list of the segments as they were at one moment, the active one up to where it ended then.
 * Each is held by a reference, so that it can be read whatever a merge does to its place. What does not fit is looked
 * at once more under the write lock, and counts only if index and place are still what they were.
 *
 * Threads: one verify uses it, beside readers and the writer.
 */
#ifndef BC_VERIFY_INDEX_H
#define BC_VERIFY_INDEX_H

#include "partition/survey.h"

/* A segment as it was when the check began. */
struct bc_subject {
    struct bc_segment *segment; /* reference held */
    uint32_t slot;
    bool active;
    uint64_t end;
    struct bc_survey survey;
};

struct bc_index_check {
    const struct bc_verify *verify;
    struct bc_partition *partition;
    struct bc_subject *subjects; /* oldest records first */
    size_t count;
    size_t *subject_of; /* slot -> its place in subjects + 1, 0: none */
    uint32_t slot_count;
    struct bc_index *missing; /* keys whose last record so far is a value and that the index does not have: each with
                                 its subject's place as slot */
    size_t current;           /* the subject that is being read */
};

/* Lists the segments. Takes write_lock. With listed, that is called under write_lock as well: so what it
 * sees in the directory is of the same moment. */
bc_status bc_index_check_begin(struct bc_index_check *check, bc_status (*listed)(void *context), void *context);

/* For bc_survey.each: looks a record of the current subject up in the index. */
bc_status bc_index_check_record(void *check, const struct bc_scan_item *item);

/* Notes the keys that the index has in bad stretches of the current subject. */
bc_status bc_index_check_lost(struct bc_index_check *check);

/* Once all subjects are read: keys that are missing, entries that lead to no record. */
bc_status bc_index_check_end(struct bc_index_check *check);

/* Whether what the slots count is what the index holds. */
bc_status bc_index_check_accounts(struct bc_index_check *check);

void bc_index_check_release(struct bc_index_check *check);

#endif
