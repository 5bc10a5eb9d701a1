/* dump.h - data files told record by record, damaged ones too.
 */
#ifndef BC_DUMP_H
#define BC_DUMP_H

#include "db/db.h"

/* As bitcask_dump() and bitcask_dump_file(). */
bc_status bc_dump_partition(struct bitcask_partition *node,
                            bool (*visit)(void *context, const bitcask_dump_record *record), void *context);
bc_status bc_dump_file(struct bc_io *io, const char *path,
                       bool (*visit)(void *context, const bitcask_dump_record *record), void *context);


/* ---- dump_hint.c ---- */

/* As bitcask_dump_hints() and bitcask_dump_checkpoint(). */
bc_status bc_dump_hints(struct bitcask_partition *node, bool (*visit)(void *context, const bitcask_dump_record *record),
                        void *context);
bc_status bc_dump_checkpoint(struct bitcask_partition *node,
                             bool (*visit)(void *context, const bitcask_dump_record *record), void *context);

/* One such file by its path; *none: it is named like neither, and was not looked at. */
bc_status bc_dump_index_file(struct bc_io *io, const char *path,
                             bool (*visit)(void *context, const bitcask_dump_record *record), void *context,
                             bool *none);

#endif
