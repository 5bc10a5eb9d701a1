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

#endif
