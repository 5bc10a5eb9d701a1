/* remount.h - `-o remount`: other flags for a mount that is there, as mount(8) has it.
 *
 * The kernel keeps the flags of a mount and whether it is read-only, so nothing is asked of the daemon that serves it,
 * which goes on with the options it was started with.
 */
#ifndef BCFS_REMOUNT_H
#define BCFS_REMOUNT_H

#include "options.h"

#include <stdbool.h>

/* Changes ro or rw and the kernel's flags of the mount at options->mountpoint to what options say; flags that they do
 * not name stay. False after one line that says why not: nothing was changed. */
bool bcfs_remount(const struct bcfs_options *options);

#endif
