/* place.c - places in a store that are made on the way: partitions, and what new things get.
 */
#include "place.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bitcask_attrs cli_attrs_of_new(uint32_t mode)
{
    mode_t mask = umask(0);
    umask(mask);
    return (bitcask_attrs){.present = BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID,
                           .mode = mode & ~(uint32_t)mask,
                           .uid = geteuid(),
                           .gid = getegid()};
}

bitcask_status cli_make_partitions(bitcask *db, const char *path, bitcask_partition **partition)
{
    bitcask_attrs attrs = cli_attrs_of_new(S_IFDIR | 0777);
    bitcask_status status = bitcask_partition_open(db, "", partition);
    for (const char *name = path; status == BITCASK_OK && *name;) {
        size_t size = strcspn(name, "/");
        bitcask_partition *child = NULL;
        status = bitcask_partition_open_at(*partition, name, size, &child);
        if (status == BITCASK_NOT_FOUND) status = bitcask_partition_create(*partition, name, size, &attrs, 0, &child);
        bitcask_partition_close(partition);
        *partition = child;
        name += size + (name[size] == '/');
    }
    return status;
}
