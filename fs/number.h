/* number.h - numbers as people write them on a command line or into a control file. */
#ifndef BCFS_NUMBER_H
#define BCFS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Reads text, all of it, as a decimal number from min to max. units: K, M or G may stand behind it, for 2^10, 2^20 and
 * 2^30. False, and *number unchanged, if it is anything else: a sign, a blank, a fraction, a number too large. */
bool bcfs_parse_number(const char *text, bool units, uint64_t min, uint64_t max, uint64_t *number);

#endif
