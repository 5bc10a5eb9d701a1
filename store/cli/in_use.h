/* in_use.h - who has the store, and how to do the same where he has it mounted.
 */
#ifndef CLI_IN_USE_H
#define CLI_IN_USE_H

#include "cli.h"

/* Tells that the store is in use: by which process, where it is mounted, and what to do there. To be called after
 * BITCASK_IN_USE, while the library's detail line still stands. Returns CLI_FAILED. */
int cli_tell_in_use(const struct cli_store *store);

/* Where the store is mounted; NULL: nowhere that is seen from here. To be freed. */
char *cli_mountpoint_of(const char *store);

#endif
