/* crc.h - CRC-32C (Castagnoli), the check of everything on disk; computed by ISA-L.
 */
#ifndef BC_CRC_H
#define BC_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32C of size bytes, standard form (initial and final complement); crc is 0 to begin with, or the result
 * so far to go on: bc_crc32c(bc_crc32c(0, a, n), b, m) is the CRC of a followed by b. Any size. */
uint32_t bc_crc32c(uint32_t crc, const void *data, size_t size);

#endif
