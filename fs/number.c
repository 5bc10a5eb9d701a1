/* number.c - reading numbers: see number.h. */
#include "number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool bcfs_parse_number(const char *text, bool units, uint64_t min, uint64_t max, uint64_t *number)
{
    if (text[0] < '0' || text[0] > '9') return false;

    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0) return false;

    unsigned shift = 0;
    if (units && *end != '\0') {
        const char *unit = strchr("KkMmGg", *end);
        if (unit == NULL) return false;
        shift = strchr("Kk", *end) != NULL ? 10 : strchr("Mm", *end) != NULL ? 20 : 30;
        end++;
    }
    if (*end != '\0' || value > UINT64_MAX >> shift) return false;
    value <<= shift;
    if (value < min || value > max) return false;
    *number = value;
    return true;
}
