/* query.h - a range of names in order. One thread at a time uses a query.
 */
#ifndef BC_QUERY_H
#define BC_QUERY_H

#include "db/db.h"

struct bitcask_query;

/* As bitcask_query_open(), _next() and _close(). */
bc_status bc_query_open(struct bitcask_partition *node, const bitcask_query_options *options,
                        struct bitcask_query **query);
bc_status bc_query_next(struct bitcask_query *query, bitcask_entry *entry);
void bc_query_close(struct bitcask_query **query);

#endif
