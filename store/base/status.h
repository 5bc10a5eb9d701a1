/* status.h - statuses inside the store, and the line that explains the last failure of a thread.
 *
 * Every fallible function of the store returns a bc_status. The one that notices a failure writes the detail;
 * those above pass the status on and leave the detail alone, unless they know better what to do about it.
 */
#ifndef BC_STATUS_H
#define BC_STATUS_H

#include "bitcask_types.h"

typedef bitcask_status bc_status;

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
void bc_detail_clear(void);

#endif
