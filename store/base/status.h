/* status.h - statuses inside the store, and the line that explains the last failure of a thread.
 *
 * Every fallible function of the store returns a bc_status. The one that notices a failure writes the detail;
 * those above pass the status on and leave the detail alone, unless they know better what to do about it.
 */
#ifndef BC_STATUS_H
#define BC_STATUS_H

#include "bitcask_types.h"

typedef bitcask_status bc_status;

#define BC_DETAIL_SIZE 512 /* bytes of a detail line, its end included */

/* The status for an errno value (positive); BITCASK_IO for one without a status of its own. */
bc_status bc_status_from_errno(int error);

/* English text, never NULL; and the errno for a status, 0 for BITCASK_OK. */
const char *bc_status_text(bc_status status);
int bc_status_errno(bc_status status);

/* Sets this thread's detail line, cut at 511 bytes; bytes outside printable ASCII are escaped as \xNN. Returns status,
 * so that a failure is one statement: return bc_fail(BITCASK_CORRUPT, "%s: ...", name). */
bc_status bc_fail(bc_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* This thread's detail line, "" if none; valid until the next bc_fail or bc_detail_clear of this thread. */
const char *bc_detail(void);

/* The same of a failure with this status, for a line in a log; the status's text where it left none (no memory). */
const char *bc_detail_of(bc_status status);
void bc_detail_clear(void);

/* The first failure of several steps, with its line: later ones, and what tidies up, write others, or none. Begins as
 * {0}. */
struct bc_failure {
    bc_status status;
    char line[BC_DETAIL_SIZE];
};

/* Remembers status if it is the first that is not OK, with the line that is there now. */
void bc_failure_note(struct bc_failure *failure, bc_status status);

/* The status of the first, whose line is this thread's again; OK if there was none, and the line stays. */
bc_status bc_failure_end(const struct bc_failure *failure);

#endif
