/* starve.c - see starve.h. What is live is a table of addresses, open addressing, of which those of the test's own
 * memory are no part; so the store's own bookkeeping is compared with a second one, without a sanitizer too.
 */
#include "starve.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"

#define GONE ((void *)1)

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *context);
DIR *__real_fdopendir(int fd);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static uint64_t count, fails_at;
static bool forever, failed, others_only;
static void **places; /* NULL: free; GONE: free, and a search goes on */
static size_t room, used, live;
static _Thread_local bool left_out;

/* ---- what is live ---- */

static size_t place_of(const void *memory)
{
    return (size_t)(((uintptr_t)memory >> 4) * 0x9e3779b97f4a7c15u >> 20) & (room - 1);
}

static void insert(void *memory)
{
    size_t at = place_of(memory);
    while (places[at] && places[at] != GONE) at = (at + 1) & (room - 1);
    if (!places[at]) used++;
    places[at] = memory;
}

static void note_got(void *memory)
{
    if (!memory || fixture_own > 0) return;
    pthread_mutex_lock(&lock);
    if (2 * (used + 1) > room) {
        void **old = places;
        size_t old_room = room;
        room = room ? room * 2 : 8192;
        used = 0;
        places = __real_calloc(room, sizeof *places);
        if (!places) abort();
        for (size_t i = 0; i < old_room; i++)
            if (old[i] && old[i] != GONE) insert(old[i]);
        __real_free(old);
    }
    insert(memory);
    live++;
    pthread_mutex_unlock(&lock);
}

/* Whether it was live. */
static bool note_gone(const void *memory)
{
    bool found = false;
    if (!memory) return false;
    pthread_mutex_lock(&lock);
    for (size_t at = room ? place_of(memory) : 0; room && places[at]; at = (at + 1) & (room - 1))
        if (places[at] == memory) {
            places[at] = GONE;
            live--;
            found = true;
            break;
        }
    pthread_mutex_unlock(&lock);
    return found;
}

size_t starve_live(void)
{
    pthread_mutex_lock(&lock);
    size_t now = live;
    pthread_mutex_unlock(&lock);
    return now;
}

void starve_forget_live(void)
{
    pthread_mutex_lock(&lock);
    __real_free(places);
    places = NULL;
    room = used = live = 0;
    pthread_mutex_unlock(&lock);
}

/* ---- what fails ---- */

/* Whether this one is to fail. */
static bool is_refused(void)
{
    if (fixture_own > 0) return false;
    pthread_mutex_lock(&lock);
    bool refused = false;
    if (!others_only || !left_out) {
        count++;
        refused = fails_at > 0 && (count == fails_at || (forever && count > fails_at));
        failed |= refused;
    }
    pthread_mutex_unlock(&lock);
    if (refused) errno = ENOMEM;
    return refused;
}

static void order(uint64_t n, bool and_all_after)
{
    pthread_mutex_lock(&lock);
    count = 0;
    fails_at = n;
    forever = and_all_after;
    failed = false;
    pthread_mutex_unlock(&lock);
}

void starve_at(uint64_t n)
{
    order(n, false);
}

void starve_from(uint64_t n)
{
    order(n, true);
}

void starve_others_only(bool on)
{
    pthread_mutex_lock(&lock);
    others_only = on;
    left_out = on;
    pthread_mutex_unlock(&lock);
}

uint64_t starve_count(void)
{
    pthread_mutex_lock(&lock);
    uint64_t now = count;
    pthread_mutex_unlock(&lock);
    return now;
}

bool starve_failed(void)
{
    pthread_mutex_lock(&lock);
    bool now = failed;
    pthread_mutex_unlock(&lock);
    return now;
}

/* ---- in the place of the library's ---- */

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    void *memory = is_refused() ? NULL : __real_malloc(size);
    note_got(memory);
    return memory;
}

void *__wrap_calloc(size_t number, size_t size);
void *__wrap_calloc(size_t number, size_t size)
{
    void *memory = is_refused() ? NULL : __real_calloc(number, size);
    note_got(memory);
    return memory;
}

void *__wrap_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size)
{
    if (is_refused()) return NULL;
    bool was_live = note_gone(memory);
    void *moved = __real_realloc(memory, size);
    if (!moved) abort();
    if (was_live || !memory) note_got(moved);
    return moved;
}

void __wrap_free(void *memory);
void __wrap_free(void *memory)
{
    (void)note_gone(memory);
    __real_free(memory);
}

char *__wrap_strndup(const char *text, size_t most);
char *__wrap_strndup(const char *text, size_t most)
{
    size_t size = strnlen(text, most);
    char *copy = __wrap_malloc(size + 1);
    if (!copy) return NULL;
    copy[size] = 0;
    return memcpy(copy, text, size);
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

static int print_to(char **out, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *text = size < 0 ? NULL : __wrap_malloc((size_t)size + 1);
    if (text) {
        vsnprintf(text, (size_t)size + 1, format, again);
        *out = text;
    }
    va_end(again);
    return text ? size : -1;
}

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = print_to(out, format, args);
    va_end(args);
    return size;
}

/* With optimization on, headers call this in its place. */
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...) __attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
{
    va_list args;
    (void)flag;
    va_start(args, format);
    int size = print_to(out, format, args);
    va_end(args);
    return size;
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return is_refused() ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *context)
{
    return is_refused() ? EAGAIN : __real_pthread_create(thread, attr, start, context);
}

DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
    return is_refused() ? NULL : __real_fdopendir(fd);
}
