/* test_io_edges.c - the real disk at its edges: names that lead elsewhere, places that no file reaches, handles that
 * are none; and a bus error that is none of ours, which goes to who was there before.
 */
#include "unit.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "io/mapping.h"

void __gcov_dump(void) __attribute__((weak));

/* Ends a child. One that counts which branches it takes would take its counts along. */
static void end_child(bool good)
{
    if (__gcov_dump) __gcov_dump();
    _exit(good ? 0 : 1);
}

static void names_with_a_slash_lead_nowhere(void)
{
    char path[256];
    int at = unit_scratch_open(path), fd = -1;
    struct bc_io *io = bc_io_posix();

    CU_ASSERT_EQUAL(bc_io_mkdir(io, at, "d"), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_open(io, at, "d/f", BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_mkdir(io, at, "d/e"), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_rmdir(io, at, "d/"), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_unlink(io, at, "./f"), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_rename(io, at, "f", "d/f"), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_rename(io, at, "./f", "g"), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_link(io, at, "f", "d/f"), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_link(io, at, "./f", "g"), BITCASK_OK);
    CU_ASSERT_EQUAL(faccessat(at, "f", F_OK, 0), 0);
    CU_ASSERT_EQUAL(faccessat(at, "g", F_OK, 0), -1);
    unit_scratch_close(at, path);
}

static void places_that_no_file_reaches_are_refused(void)
{
    char path[256], byte = 'x';
    int at = unit_scratch_open(path), fd = -1;
    struct bc_io *io = bc_io_posix();
    struct bc_mapping *mapping = NULL;
    struct iovec iov = {&byte, 1};
    const uint64_t far = (uint64_t)INT64_MAX + 1;
    uint64_t bytes = 0;
    size_t got = 7;

    CU_ASSERT_EQUAL(bc_io_open(io, at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_read(io, fd, "f", &byte, 1, far, &got), BITCASK_IO);
    CU_ASSERT_EQUAL(got, 0);
    CU_ASSERT_NOT_EQUAL(bc_io_write(io, fd, "f", &iov, 1, far), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_truncate(io, fd, "f", far), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_allocate(io, fd, "f", far, 1), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_allocate(io, fd, "f", INT64_MAX, 2), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_lock(io, fd, "f", BC_LOCK_SHARED, far, 1), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_map(io, fd, "f", 0, 0, BC_MAP_READ, &mapping), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_map(io, fd, "f", far, 1, BC_MAP_READ, &mapping), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_map(io, fd, "f", 0, (size_t)PTRDIFF_MAX + 1, BC_MAP_READ, &mapping), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_map(io, fd, "f", 0, (size_t)1 << 62, BC_MAP_READ, &mapping), BITCASK_OK);
    CU_ASSERT_PTR_NULL(mapping);
    CU_ASSERT(bc_io_free_bytes(io, at) > 0 && io->ops->free_bytes(io, at, &bytes) == 0 && bytes > 0);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    unit_scratch_close(at, path);
}

static bool count_name(void *context, const char *name)
{
    (void)name;
    ++*(unsigned *)context;
    return true;
}

static void handles_that_are_none_are_errors(void)
{
    char path[256], byte = 'x';
    int at = unit_scratch_open(path), fd = -1;
    struct bc_io *io = bc_io_posix();
    struct bc_mapping *mapping = NULL;
    struct bc_file_info info;
    struct iovec iov = {&byte, 1};
    unsigned names = 0;
    size_t got;

    CU_ASSERT_EQUAL(bc_io_info(io, 999999, "f", &info), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_read(io, 999999, "f", &byte, 1, 0, &got), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_write(io, 999999, "f", &iov, 1, 0), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_sync(io, 999999, "f"), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_sync_dir(io, 999999, "d"), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_list(io, 999999, "d", count_name, &names), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_io_lock(io, 999999, "f", BC_LOCK_EXCLUSIVE, 0, 1), BITCASK_IO);
    CU_ASSERT_NOT_EQUAL(bc_io_map(io, 999999, "f", 0, 4096, BC_MAP_READ, &mapping), BITCASK_OK);
    CU_ASSERT_EQUAL(bc_io_free_bytes(io, 999999), UINT64_MAX);
    CU_ASSERT_EQUAL(bc_io_open(io, at, "f", BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), BITCASK_OK);
    CU_ASSERT_NOT_EQUAL(bc_io_list(io, fd, "f", count_name, &names), BITCASK_OK);
    CU_ASSERT_EQUAL(names, 0);
    CU_ASSERT_EQUAL(bc_io_close(io, &fd), BITCASK_OK);
    unit_scratch_close(at, path);
}

/* ---- bus errors ---- */

static sigjmp_buf away;
static volatile sig_atomic_t told;

static void on_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    told = number == SIGBUS && info != NULL ? 1 : -1;
    siglongjmp(away, 1);
}

static void on_plain(int number)
{
    told = number == SIGBUS ? 2 : -1;
    siglongjmp(away, 1);
}

/* A page of a file that is not there any more. */
static volatile char *lost_page(int at)
{
    int fd = openat(at, "lost", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0) end_child(false);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED || ftruncate(fd, 0) != 0) end_child(false);
    close(fd);
    return page;
}

/* A mapping of the store's, so that its handler is there. */
static struct bc_mapping *own_mapping(int at)
{
    struct bc_mapping *mapping = NULL;
    int fd = openat(at, "own", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 8192) != 0 || bc_mapping_open(fd, 0, 8192, false, &mapping) != 0) end_child(false);
    if (ftruncate(fd, 0) != 0) end_child(false);
    close(fd);
    return mapping;
}

/* Runs what in a child that has that handler for SIGBUS before the store's; how it ended. */
static int in_child(int at, const struct sigaction *before, bool (*what)(int at))
{
    int ended = -1;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)sigaction(SIGBUS, before, NULL);
        (void)alarm(60); /* an access that is repeated for ever is a failure, too */
        end_child(what(at));
    }
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    return ended;
}

static bool touch_both(int at)
{
    struct bc_mapping *own = own_mapping(at);
    volatile char *lost = lost_page(at);

    told = 0;
    if (sigsetjmp(away, 1) == 0) {
        (void)*lost;
        return false; /* it should not have come back */
    }
    /* Ours is mended, and nobody is told. */
    volatile int before = told; /* volatile: they are looked at after a jump */
    told = 0;
    volatile bool mended = *(volatile uint8_t *)own->data == 0 && atomic_load(&own->broken) && told == 0;
    /* One that was sent by somebody is none of ours either, wherever it points. */
    if (sigsetjmp(away, 1) == 0) raise(SIGBUS);
    bc_mapping_close(own);
    return mended && before > 0 && told == before;
}

static bool touch_lost(int at)
{
    (void)own_mapping(at);
    (void)*lost_page(at);
    return false;
}

static bool send_one(int at)
{
    (void)own_mapping(at);
    raise(SIGBUS);
    return true;
}

static void bus_error_of_others_goes_to_who_was_there_before(void)
{
    const struct sigaction info = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO}, plain = {.sa_handler = on_plain},
                           none = {.sa_handler = SIG_DFL}, ignored = {.sa_handler = SIG_IGN};
    char path[256];
    int at = unit_scratch_open(path), ended;

    CU_ASSERT_EQUAL(in_child(at, &info, touch_both), 0);
    CU_ASSERT_EQUAL(in_child(at, &plain, touch_both), 0);
    /* Nobody was there: it ends the process, as ever; by the signal, so that there is an honest core. */
    ended = in_child(at, &none, touch_lost);
    CU_ASSERT(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGBUS);
    ended = in_child(at, &none, send_one);
    CU_ASSERT(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGBUS);
    /* Ignored when it is sent; but an access cannot go on. */
    CU_ASSERT_EQUAL(in_child(at, &ignored, send_one), 0);
    ended = in_child(at, &ignored, touch_lost);
    CU_ASSERT(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGBUS);
    unit_scratch_close(at, path);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        /* The first: after the process's first mapping it is too late to have been there before. */
        {"a bus error of others goes to who was there before", bus_error_of_others_goes_to_who_was_there_before},
        {"names with a slash lead nowhere", names_with_a_slash_lead_nowhere},
        {"places that no file reaches are refused", places_that_no_file_reaches_are_refused},
        {"handles that are none are errors", handles_that_are_none_are_errors},
        CU_TEST_INFO_NULL,
    };

    return unit_run("io edges", tests);
}
