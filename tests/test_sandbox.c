/* test_sandbox.c - processes that enter the sandbox and try to get out of it.
 *
 * Each attempt is made four times by a process of its own, the same code each time: without a sandbox, where it must
 * succeed or proves nothing and is left out; within all of it, where it must fail; and within each part alone that is
 * said to stop it. So a part that does nothing is seen, though another one would have stopped the attempt as well.
 */
#include "unit.h"

#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* The parts, as bits; above them, in the high bits, the version of Landlock that an attempt needs. */
enum { FILES = 1, CALLS = 2, CAPS = 4, DUMP = 8, ALL = 15 };
#define FROM_VERSION(version) ((unsigned)(version) << 8)

static char store[300];   /* where the daemon may be */
static char outside[300]; /* a directory beside it, with a file "file" */
static int outside_fd;
static unsigned landlock_version;
static char abstract_name[64];

/* ---- running something in a sandbox ---- */

static struct bcfs_sandbox_options options_of(unsigned parts)
{
    return (struct bcfs_sandbox_options){
        .no_new_privs = (parts & (FILES | CALLS)) != 0,
        .capabilities = (parts & CAPS) != 0,
        .landlock = (parts & FILES) != 0,
        .seccomp = (parts & CALLS) != 0,
        .dumpable = (parts & DUMP) == 0,
    };
}

enum { WORKED = 0, DENIED = 1, BROKEN = 2 };

/* What the attempt comes to in a process of its own. */
static int outcome(const struct bcfs_sandbox_options *options, bool read_only, bool (*attempt)(void))
{
    pid_t child = fork();
    if (child == 0) {
        struct bcfs_sandbox sandbox;
        if (!bcfs_sandbox_enter(options, store, read_only, &sandbox)) _exit(BROKEN);
        _exit(attempt() ? WORKED : DENIED);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return BROKEN;
    return WEXITSTATUS(status);
}

/* ---- ways out ---- */

static bool opens(const char *path, int flags)
{
    return open(path, flags | O_CLOEXEC, 0600) >= 0;
}

static bool in_outside(char path[400], const char *name)
{
    snprintf(path, 400, "%s/%s", outside, name);
    return true;
}

static bool read_a_file(void)
{
    return opens("/etc/passwd", O_RDONLY);
}

static bool read_through_a_descriptor(void)
{
    return openat(outside_fd, "file", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool create_a_file(void)
{
    char path[400];
    return in_outside(path, "new") && opens(path, O_WRONLY | O_CREAT) && unlink(path) == 0;
}

static bool list_a_directory(void)
{
    return opens(outside, O_RDONLY | O_DIRECTORY);
}

static bool remove_a_file(void)
{
    char path[400];
    return in_outside(path, "victim") && unlink(path) == 0;
}

static bool cut_a_file(void)
{
    char path[400];
    return in_outside(path, "file") && truncate(path, 0) == 0;
}

static bool link_a_file_in(void)
{
    char from[400], to[400];
    snprintf(to, sizeof to, "%s/linked", store);
    return in_outside(from, "file") && linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0 && unlink(to) == 0;
}

static bool move_a_file_out(void)
{
    char from[400], to[400];
    snprintf(from, sizeof from, "%s/mine", store);
    return in_outside(to, "taken") && rename(from, to) == 0 && rename(to, from) == 0;
}

static bool make_a_symlink(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/symlink", store);
    return symlink("/etc/passwd", path) == 0 && unlink(path) == 0;
}

static bool execute(void)
{
    return execl("/bin/true", "true", (char *)NULL) == 0;
}

static bool make_a_process(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child > 0 && waitpid(child, NULL, 0) == child;
}

static bool trace_the_parent(void)
{
    return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0;
}

static bool read_the_parents_memory(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/mem", (long)getppid());
    return opens(path, O_RDONLY);
}

static bool signal_the_parent(void)
{
    return kill(getppid(), 0) == 0;
}

static bool change_a_setting_of_the_kernel(void)
{
    return opens("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static bool speak_ip(void)
{
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool connects_by_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == ECONNREFUSED);
}

static bool listens_by_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
}

static bool send_to_another_process(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path + 1, abstract_name, strlen(abstract_name));
    return fd >= 0 && sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(abstract_name))) == 1;
}

static bool mount_something(void)
{
    return mount("none", outside, "tmpfs", 0, NULL) == 0 && umount2(outside, MNT_DETACH) == 0;
}

static bool become_another_user(void)
{
    return setuid(12345) == 0;
}

static bool give_a_file_away(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/mine", store);
    return chown(path, 12345, 12345) == 0 && chown(path, 0, 0) == 0;
}

static bool change_the_root(void)
{
    return chroot(store) == 0;
}

static bool make_a_user_namespace(void)
{
    return unshare(CLONE_NEWUSER) == 0;
}

static bool map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool make_memory_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool change_a_mode(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/mine", store);
    return chmod(path, 0666) == 0;
}

static bool dumps_core(void)
{
    struct rlimit limit;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max > 0;
}

static bool become_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

/* What stops each, alone. */
static const struct {
    const char *name;
    bool (*attempt)(void);
    unsigned stopped_by;
} attempts[] = {
    {"reads a file", read_a_file, FILES},
    {"reads a file through a descriptor of its directory", read_through_a_descriptor, FILES},
    {"creates a file", create_a_file, FILES},
    {"lists a directory", list_a_directory, FILES},
    {"removes a file", remove_a_file, FILES},
    {"cuts a file", cut_a_file, FILES | CALLS | FROM_VERSION(3)},
    {"links a file into the store", link_a_file_in, FILES},
    {"moves a file out of the store", move_a_file_out, FILES},
    {"makes a symlink in the store", make_a_symlink, FILES | CALLS},
    {"executes a program", execute, FILES | CALLS},
    {"makes a process", make_a_process, CALLS},
    {"traces another process", trace_the_parent, FILES | CALLS},
    {"reads another process's memory", read_the_parents_memory, FILES},
    {"signals another process", signal_the_parent, FILES | CALLS | FROM_VERSION(6)},
    {"changes a setting of the kernel", change_a_setting_of_the_kernel, FILES},
    {"speaks IP", speak_ip, CALLS},
    {"connects by TCP", connects_by_tcp, FILES | CALLS | FROM_VERSION(4)},
    {"listens by TCP", listens_by_tcp, FILES | CALLS | FROM_VERSION(4)},
    {"sends to another process", send_to_another_process, FILES | FROM_VERSION(6)},
    {"mounts something", mount_something, FILES | CALLS | CAPS},
    {"becomes another user", become_another_user, CALLS | CAPS},
    {"gives a file away", give_a_file_away, CALLS | CAPS},
    {"changes the root", change_the_root, CALLS | CAPS},
    {"makes a user namespace", make_a_user_namespace, CALLS},
    {"maps code", map_code, CALLS},
    {"makes memory executable", make_memory_executable, CALLS},
    {"changes a mode", change_a_mode, CALLS},
    {"dumps core", dumps_core, DUMP},
    {"becomes dumpable again", become_dumpable, CALLS},
};

static void make_files(void)
{
    char path[400];
    static const char *const names[] = {"file", "victim"};
    for (size_t i = 0; i < 2; i++) {
        in_outside(path, names[i]);
        close(open(path, O_WRONLY | O_CREAT, 0600));
    }
    snprintf(path, sizeof path, "%s/mine", store);
    close(open(path, O_WRONLY | O_CREAT, 0600));
}

static int try_with(size_t i, unsigned parts)
{
    struct bcfs_sandbox_options options = options_of(parts);
    make_files();
    return outcome(&options, false, attempts[i].attempt);
}

static void nothing_leads_out(void)
{
    unsigned made = 0, left_out = 0, alone = 0;
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        if (try_with(i, 0) != WORKED) {
            printf("\n    not tried: %s", attempts[i].name);
            left_out++;
            continue;
        }
        unsigned version = attempts[i].stopped_by >> 8;
        unsigned parts = attempts[i].stopped_by & ALL;
        if (landlock_version == 0 || version > landlock_version) parts &= ~(unsigned)FILES;
        if (parts == 0) continue;
        made++;
        int all = try_with(i, ALL);
        if (all != DENIED) printf("\n    within all of it (%d): %s", all, attempts[i].name);
        CU_ASSERT_EQUAL(all, DENIED);
        for (unsigned part = 1; part < ALL; part <<= 1) {
            if ((parts & part) == 0) continue;
            int result = try_with(i, part);
            if (result != DENIED) printf("\n    within part %u alone (%d): %s", part, result, attempts[i].name);
            CU_ASSERT_EQUAL(result, DENIED);
            alone++;
        }
    }
    printf("\n    ESCAPES tried: %u, by one part alone: %u, not possible here: %u ", made, alone, left_out);
    CU_ASSERT_TRUE(made > 10);
}

/* ---- what must work inside ---- */

static void *a_thread(void *argument)
{
    void *memory = malloc(1 << 20);
    bool *worked = argument;
    *worked = memory != NULL;
    free(memory);
    return NULL;
}

static bool the_work_of_a_store(void)
{
    char path[400];
    struct dirent *entry = NULL;
    int entries = 0;
    snprintf(path, sizeof path, "%s/partition", store);
    int dir = mkdirat(AT_FDCWD, path, 0700) != 0 && errno != EEXIST ? -1 : open(path, O_RDONLY | O_DIRECTORY);
    int file = openat(dir, "new.tmp", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    uint8_t *window = MAP_FAILED;
    if (file < 0 || fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 65536) != 0 || ftruncate(file, 65536) != 0) return false;
    window = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (window == MAP_FAILED || madvise(window, 65536, MADV_RANDOM) != 0) return false;
    memcpy(window, "record", 6);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (pwrite(file, "record", 6, 6) != 6 || fdatasync(file) != 0 || fcntl(file, F_OFD_SETLK, &lock) != 0) return false;
    if (renameat(dir, "new.tmp", dir, "active.data") != 0 || fsync(dir) != 0) return false;
    if (linkat(dir, "active.data", dir, "000001.data", 0) != 0 || unlinkat(dir, "000001.data", 0) != 0) return false;
    /* A snapshot links into another directory. */
    if (mkdirat(dir, "snapshot", 0700) != 0) return false;
    int snapshot = openat(dir, "snapshot", O_RDONLY | O_DIRECTORY);
    if (landlock_version != 1 && linkat(dir, "active.data", snapshot, "000001.data", 0) != 0) return false;
    if (landlock_version != 1 && unlinkat(snapshot, "000001.data", 0) != 0) return false;
    DIR *list = fdopendir(dup(dir));
    while (list != NULL && (entry = readdir(list)) != NULL) entries++;
    return entries == 4 && unlinkat(dir, "snapshot", AT_REMOVEDIR) == 0 && unlinkat(dir, "active.data", 0) == 0 &&
           unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0;
}

static bool the_work_of_a_daemon(void)
{
    pthread_t thread;
    bool worked = false;
    char path[64], bytes[16];
    sigset_t set;
    struct timespec none = {0};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (pthread_create(&thread, NULL, a_thread, &worked) != 0 || pthread_join(thread, NULL) != 0 || !worked)
        return false;
    if (syscall(SYS_getrandom, bytes, sizeof bytes, 0) != sizeof bytes) return false;
    /* Who sent a request: its groups. */
    snprintf(path, sizeof path, "/proc/%ld/status", (long)getppid());
    if (!opens(path, O_RDONLY)) return false;
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || kill(getpid(), SIGUSR1) != 0) return false;
    if (sigtimedwait(&set, NULL, &none) != SIGUSR1) return false;
    /* syslog(3), as when the system's logger was started anew. */
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 && syscall(SYS_membarrier, 0, 0, 0) >= 0;
}

static void what_is_needed_works(void)
{
    struct bcfs_sandbox_options options = options_of(ALL);
    CU_ASSERT_EQUAL(outcome(&options, false, the_work_of_a_store), WORKED);
    CU_ASSERT_EQUAL(outcome(&options, false, the_work_of_a_daemon), WORKED);
    CU_ASSERT_EQUAL(outcome(&options, true, the_work_of_a_daemon), WORKED);
}

static bool read_in_the_store(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/mine", store);
    return opens(path, O_RDONLY) && opens(store, O_RDONLY | O_DIRECTORY);
}

static bool write_in_the_store(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/mine", store);
    return opens(path, O_RDWR);
}

static void a_read_only_store_cannot_be_written(void)
{
    struct bcfs_sandbox_options options = options_of(ALL);
    make_files();
    CU_ASSERT_EQUAL(outcome(&options, true, read_in_the_store), WORKED);
    CU_ASSERT_EQUAL(outcome(&options, false, write_in_the_store), WORKED);
    if (landlock_version > 0) CU_ASSERT_EQUAL(outcome(&options, true, write_in_the_store), DENIED);
}

static void a_server_may_listen_and_not_connect(void)
{
    struct bcfs_sandbox_options options = options_of(ALL);
    options.listens = true;
    CU_ASSERT_EQUAL(outcome(&options, false, listens_by_tcp), WORKED);
    if (landlock_version >= 4) CU_ASSERT_EQUAL(outcome(&options, false, connects_by_tcp), DENIED);
}

/* ---- words ---- */

static void words_leave_out_parts(void)
{
    static const char *const words[] = {"no_caps", "no_landlock", "no_seccomp", "dumpable", "no_nnp", "no_sandbox"};
    struct bcfs_sandbox_options options;
    for (size_t i = 0; i < 6; i++) {
        options = options_of(ALL);
        CU_ASSERT_TRUE(bcfs_sandbox_word(&options, words[i]));
        CU_ASSERT_EQUAL(options.capabilities, i != 0 && i != 5);
        CU_ASSERT_EQUAL(options.landlock, i != 1 && i != 4 && i != 5);
        CU_ASSERT_EQUAL(options.seccomp, i != 2 && i != 4 && i != 5);
        CU_ASSERT_EQUAL(options.dumpable, i == 3 || i == 5);
        CU_ASSERT_EQUAL(options.no_new_privs, i != 4 && i != 5);
    }
    CU_ASSERT_FALSE(bcfs_sandbox_word(&options, "no_"));
    CU_ASSERT_FALSE(bcfs_sandbox_word(&options, "no_capsicum"));
}

static void states_are_told(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct bcfs_sandbox sandbox = {
        .no_new_privs = BCFS_SANDBOX_ON,
        .capabilities = BCFS_SANDBOX_ON,
        .landlock = BCFS_SANDBOX_MISSING,
        .seccomp = BCFS_SANDBOX_NOT_BUILT,
        .kept = 1u << 2,
        .core_limited = true,
    };
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    bcfs_sandbox_text(out, &sandbox);
    sandbox = (struct bcfs_sandbox){.landlock = BCFS_SANDBOX_ON, .landlock_abi = 6, .kept = 0x21, .dumpable = true};
    bcfs_sandbox_text(out, &sandbox);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, "no_new_privs: on\ncapabilities: dac_read_search\nlandlock: not in this kernel\n"
                                 "seccomp: not built in\ndumpable: no\ncore dumps: off\n"
                                 "no_new_privs: off\ncapabilities: not given up (0x21)\nlandlock: on, version 6\n"
                                 "seccomp: off\ndumpable: yes\ncore dumps: as the limit of the process says\n");
    free(text);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"nothing_leads_out", nothing_leads_out},
        {"what_is_needed_works", what_is_needed_works},
        {"a_read_only_store_cannot_be_written", a_read_only_store_cannot_be_written},
        {"a_server_may_listen_and_not_connect", a_server_may_listen_and_not_connect},
        {"words_leave_out_parts", words_leave_out_parts},
        {"states_are_told", states_are_told},
        CU_TEST_INFO_NULL,
    };
    struct bcfs_sandbox_options defaults;
    char scratch[256];
    bcfs_sandbox_defaults(&defaults);
    if (!defaults.landlock) {
        fputs("test_sandbox: SKIPPED: this build has the sandbox switched off\n", stderr);
        return 77;
    }
    int fd = unit_scratch_open(scratch);
    snprintf(store, sizeof store, "%s/store", scratch);
    snprintf(outside, sizeof outside, "%s/outside", scratch);
    long version = syscall(444, NULL, (size_t)0, 1);
    landlock_version = version > 0 ? (unsigned)version : 0;
    printf("Landlock version %u\n", landlock_version);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(abstract_name, sizeof abstract_name, "bitcaskfs-test-%ld", (long)getpid());
    memcpy(address.sun_path + 1, abstract_name, strlen(abstract_name));
    int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (mkdir(store, 0700) != 0 || mkdir(outside, 0700) != 0 ||
        bind(receiver, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(abstract_name))) != 0) {
        perror(scratch);
        return 2;
    }
    outside_fd = open(outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    int result = unit_run("sandbox", tests);

    static const char *const left[] = {"store/mine", "outside/file", "outside/victim"};
    for (size_t i = 0; i < 3; i++) unlinkat(fd, left[i], 0);
    rmdir(store);
    rmdir(outside);
    close(fd);
    rmdir(scratch);
    return result;
}
