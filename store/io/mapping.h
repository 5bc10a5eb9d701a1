/* mapping.h - parts of files in memory, and what happens when one of their pages cannot be had.
 *
 * A page of a mapped file may be gone when it is touched: the file was cut short by somebody, the disk cannot read it,
 * or has no room for it after all. The kernel then sends SIGBUS. The first mapping installs a handler for it, for the
 * whole process, which lays zeroed memory over the page, so that the access ends, and marks the mapping as broken;
 * whoever read or wrote looks at the mark afterwards. What is not ours goes on to the handler that was there before.
 * The handler stays for good: another one that is installed later must hand on what it does not know, too.
 *
 * Threads: any; a mapping is closed when nobody uses it any more.
 */
#ifndef BC_MAPPING_H
#define BC_MAPPING_H

#include "io/io.h"

/* Maps size bytes of fd from offset, which is a multiple of the page size. The part may reach beyond the end of the
 * file: what lies there can be used once the file has grown. 0 or a negative errno; -ENOMEM also where there are very
 * many mappings already. */
int bc_mapping_open(int fd, uint64_t offset, size_t size, bool writable, struct bc_mapping **mapping);
void bc_mapping_close(struct bc_mapping *mapping);

#endif
