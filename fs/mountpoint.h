/* mountpoint.h - the two operands, STORE and MOUNTPOINT, before and after the mount.
 *
 * Says whether a mount can be made there, in a line for a person when not, and takes mounts away again. A mount is
 * known by its id in the kernel's table, not by its path: what is detached is what was meant, also if something
 * else has been mounted over it.
 *
 * Functions that return bool have said the reason with bcfs_log() when they return false. They change nothing on
 * disk or in the mount table unless their comment says so.
 */
#ifndef BCFS_MOUNTPOINT_H
#define BCFS_MOUNTPOINT_H

#include <stdbool.h>
#include <stdint.h>

/* The file system type in the mount table. */
#define BCFS_MOUNT_TYPE "fuse.bitcaskfs"

/* Resolves MOUNTPOINT as given: *path is its absolute path without symlinks, to be freed by the caller. It must be a
 * directory, empty, which the caller may use, and not yet a mount of this kind; or the root of one whose daemon
 * died: then *dead is set, and bcfs_mountpoint_clear() has to be called before mounting. */
bool bcfs_mountpoint_check(const char *given, char **path, bool *dead);

/* Detaches dead mounts of this kind from path until what is below comes to light; that must be an empty directory. */
bool bcfs_mountpoint_clear(const char *path);

/* Finds the mount of this kind whose root is at MOUNTPOINT as given: its absolute path and what it says is mounted,
 * both to be freed by the caller. */
bool bcfs_mount_find(const char *given, char **path, char **store);

/* Resolves STORE as given, which need not exist if its parent directory does: *path is absolute and without
 * symlinks, to be freed by the caller. Whether it is a store, bitcask_open() says. */
bool bcfs_store_resolve(const char *given, char **path);

/* Refuses a STORE that would disappear below its own mount, or a MOUNTPOINT in the midst of the store's files. Both
 * are absolute, as resolved above. */
bool bcfs_paths_apart(const char *store, const char *mountpoint);

/* May this user let others into a mount? */
bool bcfs_allow_other_check(void);

/* Is there a /dev/fuse that this user may open? */
bool bcfs_device_check(void);

/* The id of the mount that path, or the open descriptor fd, lies in; -1 if that cannot be found out. Asks nothing of
 * the mounted file system, so it works on a dead mount and never waits for a daemon. */
int bcfs_mount_id(const char *path);
int bcfs_mount_id_of_fd(int fd);

/* The number of the mount that path lies in, which no other mount ever gets: the kernel gives the id above to the next
 * mount as soon as it is free. 0 if the kernel has none (before Linux 6.8) or path cannot be opened. */
uint64_t bcfs_mount_unique_id(const char *path);

/* Takes the mount with this id away from path, at once for new users; those that have files open keep them. True
 * too if the mount is not there any more. From any thread. */
bool bcfs_mount_detach(const char *path, int mount_id);

#endif
