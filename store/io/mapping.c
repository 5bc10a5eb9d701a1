/* mapping.c - see mapping.h: the registry of mappings, and the handler of SIGBUS that looks into it.
 *
 * The handler runs in the middle of anything and may take no lock. So the registry is a list of blocks that only grows,
 * its places are used again but never freed, and all that the handler reads of them is atomic. The place that it looks
 * for holds still, because the thread that was interrupted is using the mapping; other places may change meanwhile, and
 * are never taken for it, since no two mappings overlap: `start` is published last and withdrawn first.
 */
#include "io/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK_PLACES 64u
#define MAPPINGS_MAX 16384u /* a quarter of what Linux lets a process have by default: others need some, too */

struct place {
    struct bc_mapping mapping;
    _Atomic uintptr_t start; /* 0: free */
    _Atomic size_t length;
    atomic_bool writable;
    struct place *next_free; /* guarded by lock */
};

struct block {
    struct place places[BLOCK_PLACES];
    struct block *next; /* set before the block is published */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of those who map; never taken by the handler */
static struct place *free_places;                        /* guarded by lock, as are the next two */
static size_t used;
static bool installed;
static struct block *_Atomic blocks;
static struct sigaction previous; /* written before the handler is installed, and not again */
static long page_size;            /* likewise */

static struct place *find_place(uintptr_t address)
{
    for (struct block *block = atomic_load(&blocks); block != NULL; block = block->next) {
        for (size_t i = 0; i < BLOCK_PLACES; i++) {
            struct place *place = &block->places[i];
            uintptr_t start = atomic_load(&place->start);
            size_t length = atomic_load(&place->length);

            if (start == 0 || address < start || address - start >= length) continue;
            if (atomic_load(&place->start) == start) return place;
        }
    }
    return NULL;
}

/* Lays zeros over [at, at + size). The bare system call: a sanitizer's mmap() is not made for signal handlers. */
static bool lay_zeros(uintptr_t at, size_t size, bool writable)
{
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
#ifdef SYS_mmap2
    long result = syscall(SYS_mmap2, at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#else
    long result = syscall(SYS_mmap, at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#endif
    return result != -1;
}

static bool mend(uintptr_t address)
{
    struct place *place = find_place(address);
    uintptr_t page = address & ~((uintptr_t)page_size - 1);
    bool writable;

    if (place == NULL) return false;
    writable = atomic_load(&place->writable);
    /* Marked first: another thread may find the zeros as soon as they are there. */
    atomic_store(&place->mapping.broken, true);
    if (lay_zeros(page, (size_t)page_size, writable)) return true;
    /* Each page replaced may make two mappings of one; where there can be no more, all of it goes. */
    return lay_zeros(atomic_load(&place->start), atomic_load(&place->length), writable);
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    bool sent = info->si_code <= 0; /* by kill(2) or the like, not by an access */

    if (!sent && mend((uintptr_t)info->si_addr)) {
        errno = saved;
        return;
    }
    if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != NULL) {
        previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
    } else if (previous.sa_handler == SIG_DFL || !sent) {
        /* As if we had not been here: the access happens again and ends the process, with an honest core. */
        struct sigaction action = {.sa_handler = SIG_DFL};
        (void)sigaction(SIGBUS, &action, NULL);
        if (sent) (void)raise(SIGBUS);
    }
    errno = saved;
}

/* lock held. */
static bool install(void)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};

    if (installed) return true;
    page_size = sysconf(_SC_PAGESIZE);
    (void)sigemptyset(&action.sa_mask);
    /* Asked for first: the handler may run before a call that both installs and asks has returned. */
    if (page_size <= 0 || sigaction(SIGBUS, NULL, &previous) != 0) return false;
    installed = sigaction(SIGBUS, &action, NULL) == 0;
    return installed;
}

/* lock held. */
static struct place *take_place(void)
{
    struct place *place;

    if (free_places == NULL) {
        struct block *block = calloc(1, sizeof *block);

        if (block == NULL) return NULL;
        for (size_t i = BLOCK_PLACES; i-- > 0;) {
            block->places[i].next_free = free_places;
            free_places = &block->places[i];
        }
        block->next = atomic_load(&blocks);
        atomic_store(&blocks, block);
    }
    place = free_places;
    free_places = place->next_free;
    used++;
    return place;
}

static void give_back(struct place *place)
{
    pthread_mutex_lock(&lock);
    place->next_free = free_places;
    free_places = place;
    used--;
    pthread_mutex_unlock(&lock);
}

int bc_mapping_open(int fd, uint64_t offset, size_t size, bool writable, struct bc_mapping **mapping)
{
    struct place *place = NULL;
    void *data;

    if (size == 0 || offset > INT64_MAX || size > PTRDIFF_MAX) return -EINVAL;
    pthread_mutex_lock(&lock);
    if (used < MAPPINGS_MAX && install()) place = take_place();
    pthread_mutex_unlock(&lock);
    if (place == NULL) return -ENOMEM;
    data = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, (off_t)offset);
    if (data == MAP_FAILED) {
        int error = errno;
        give_back(place);
        return -error;
    }
    place->mapping.data = data;
    place->mapping.offset = offset;
    place->mapping.size = size;
    atomic_store(&place->mapping.broken, false);
    atomic_store(&place->writable, writable);
    atomic_store(&place->length, size);
    atomic_store(&place->start, (uintptr_t)data);
    *mapping = &place->mapping;
    return 0;
}

void bc_mapping_close(struct bc_mapping *mapping)
{
    struct place *place = (struct place *)mapping; /* its first member */

    /* Before the addresses are free, and somebody else's. */
    atomic_store(&place->start, 0);
    (void)munmap(mapping->data, mapping->size);
    give_back(place);
}
