/* starve.c - see starve.h.
 */
#include "starve.h"

#include <stddef.h>
#include <string.h>

#include "fixture.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);

static uint64_t count, fails_at;

/* Whether this one is to fail. */
static bool is_refused(void)
{
    return fixture_own == 0 && ++count == fails_at;
}

void starve_at(uint64_t n)
{
    count = 0;
    fails_at = n;
}

uint64_t starve_count(void)
{
    return count;
}

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size);
void *__wrap_calloc(size_t number, size_t size)
{
    return is_refused() ? NULL : __real_calloc(number, size);
}

void *__wrap_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size)
{
    return is_refused() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}
