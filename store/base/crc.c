/* crc.c - CRC-32C by ISA-L, which picks the fastest code that the processor has.
 *
 * ISA-L takes an int for the length, returns the bare register without the standard's complements, and wants a
 * pointer to non-const bytes that it only reads. All three are dealt with here and nowhere else.
 */
#include "base/crc.h"

#include <isa-l/crc.h>

/* Well below INT_MAX, and a multiple of any block that ISA-L works in. */
#define STEP ((size_t)1 << 30)

uint32_t bc_crc32c(uint32_t crc, const void *data, size_t size)
{
    unsigned char *p = (unsigned char *)(uintptr_t)data;
    uint32_t state = ~crc;
    while (size > 0) {
        size_t step = size < STEP ? size : STEP;
        state = crc32_iscsi(p, (int)step, state);
        p += step;
        size -= step;
    }
    return ~state;
}
