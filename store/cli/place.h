/* place.h - places in a store that are made on the way: partitions, and what new things get.
 */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "cli.h"

/* What a new file or directory made by this process gets: owner, group, and the mode that the umask leaves. */
bitcask_attrs cli_attrs_of_new(uint32_t mode);

/* Opens the partition at path, making what is missing of it from the root down. */
bitcask_status cli_make_partitions(bitcask *db, const char *path, bitcask_partition **partition);

#endif
