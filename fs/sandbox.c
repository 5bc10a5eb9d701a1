/* sandbox.c - what the daemon gives up: see sandbox.h.
 *
 * Landlock and the capabilities are used through their system calls: the C library knows neither, and two libraries
 * more would be code inside what is to be kept small. The kernel's headers may be older than the kernel, so what they
 * may lack stands here.
 */
#include "sandbox.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool failed(const char *what, int error, const char *option)
{
    bcfs_log(BCFS_LOG_ERROR, "cannot %s: %s; -o %s does without", what, strerror(error), option);
    return false;
}

/* ---- core dumps and tracing ---- */

/* What is in memory are users' files, and no core dump or debugger of whoever runs the daemon shall show them. */
static bool limit_dumps(const struct bcfs_sandbox_options *options, struct bcfs_sandbox *sandbox)
{
    static const struct rlimit none = {0, 0};
    if (!options->dumpable && (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)) {
        return failed("forbid core dumps", errno, "dumpable");
    }
    sandbox->dumpable = options->dumpable;
    sandbox->core_limited = !options->dumpable;
    return true;
}

/* ---- capabilities ---- */

static bool set_capabilities(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    for (int i = 0; i < 2; i++) {
        data[i].permitted = (uint32_t)(permitted >> (32 * i));
        data[i].effective = (uint32_t)(effective >> (32 * i));
    }
    return syscall(SYS_capset, &header, data) == 0;
}

static bool get_permitted(uint64_t *permitted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) return false;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return true;
}

static bool can_reach(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0 || (errno != EACCES && errno != EPERM);
}

/* None is needed for a store of one's own. Root alone may have one below a directory that only somebody else can enter:
 * then it keeps the right to pass through there, and Landlock says where it ends. */
static bool drop_capabilities(const struct bcfs_sandbox_options *options, const char *store,
                              struct bcfs_sandbox *sandbox)
{
    uint64_t permitted = 0;
    uint64_t kept = 0;
    if (!get_permitted(&permitted)) return failed("read the capabilities", errno, "no_caps");
    sandbox->kept = permitted;
    if (!options->capabilities) return true;

    /* The bounding set first: taking something out of it takes a capability too. */
    for (unsigned long i = 0; i < 64; i++) {
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (options->listens) kept = permitted & (uint64_t)1 << CAP_NET_BIND_SERVICE;
    if (!set_capabilities(permitted, 0)) return failed("give up capabilities", errno, "no_caps");
    if (!can_reach(store)) kept |= permitted & (uint64_t)1 << CAP_DAC_READ_SEARCH;
    if (!set_capabilities(kept, kept)) return failed("give up capabilities", errno, "no_caps");
    sandbox->capabilities = BCFS_SANDBOX_ON;
    sandbox->kept = kept;
    return true;
}

/* ---- Landlock ---- */

/* The numbers are the same on all machines. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { VERSION_FLAG = 1, PATH_BENEATH = 1 };

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_DIR (1ull << 4)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_DIR (1ull << 7)
#define FS_MAKE_REG (1ull << 8)
#define FS_MAKE_SYM (1ull << 12)  /* the highest of ABI 1 */
#define FS_REFER (1ull << 13)     /* ABI 2: links and renames across directories */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_BIND_TCP (1ull << 0)  /* ABI 4 */
#define NET_CONNECT_TCP (1ull << 1)
#define SCOPE_ABSTRACT_SOCKET (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ull << 1)

struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* All that this kernel can deny. */
static struct ruleset handled_by(int abi, bool listens, size_t *size)
{
    struct ruleset handled = {.fs = FS_MAKE_SYM | (FS_MAKE_SYM - 1)};
    if (abi >= 2) handled.fs |= FS_REFER;
    if (abi >= 3) handled.fs |= FS_TRUNCATE;
    if (abi >= 4) handled.net = listens ? NET_CONNECT_TCP : NET_CONNECT_TCP | NET_BIND_TCP;
    if (abi >= 5) handled.fs |= FS_IOCTL_DEV;
    if (abi >= 6) handled.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
    *size = abi >= 6 ? sizeof handled : abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
    return handled;
}

static bool allow_beneath(int ruleset, const char *path, uint64_t allowed)
{
    struct path_rule rule = {.allowed = allowed, .fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (rule.fd < 0) return false;
    bool good = syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0) == 0;
    int error = errno;
    close(rule.fd);
    errno = error;
    return good;
}

static bool restrict_files(const struct bcfs_sandbox_options *options, const char *store, bool read_only,
                           struct bcfs_sandbox *sandbox)
{
    long abi = syscall(CREATE_RULESET, NULL, (size_t)0, VERSION_FLAG);
    sandbox->landlock_abi = abi > 0 ? (int)abi : 0;
    if (!options->landlock) return true;
    if (abi < 1) {
        sandbox->landlock = BCFS_SANDBOX_MISSING;
        return true;
    }

    size_t size = 0;
    struct ruleset handled = handled_by((int)abi, options->listens, &size);
    uint64_t allowed = FS_READ_FILE | FS_READ_DIR;
    if (!read_only) {
        allowed |= FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE;
    }
    int ruleset = (int)syscall(CREATE_RULESET, &handled, size, 0);
    if (ruleset < 0) return failed("make a Landlock ruleset", errno, "no_landlock");
    bool good = allow_beneath(ruleset, store, allowed & handled.fs);
    /* Without /proc a caller's groups are those that the kernel sends. */
    if (good && !allow_beneath(ruleset, "/proc", FS_READ_FILE) && errno != ENOENT) good = false;
    if (good) good = syscall(RESTRICT_SELF, ruleset, 0) == 0;
    int error = errno;
    close(ruleset);
    if (!good) return failed("enter Landlock", error, "no_landlock");
    sandbox->landlock = BCFS_SANDBOX_ON;
    return true;
}

/* ---- system calls ---- */

static bool filter_calls(const struct bcfs_sandbox_options *options, struct bcfs_sandbox *sandbox)
{
    if (!options->seccomp) return true;
#ifdef BCFS_HAVE_SECCOMP
    int error = bcfs_sandbox_filter_calls(options->listens);
    if (error != 0 && error != ENOSYS) return failed("limit the system calls", error, "no_seccomp");
    sandbox->seccomp = error == 0 ? BCFS_SANDBOX_ON : BCFS_SANDBOX_MISSING;
#else
    sandbox->seccomp = BCFS_SANDBOX_NOT_BUILT;
#endif
    return true;
}

/* ---- all of it ---- */

bool bcfs_sandbox_enter(const struct bcfs_sandbox_options *options, const char *store, bool read_only,
                        struct bcfs_sandbox *sandbox)
{
    memset(sandbox, 0, sizeof *sandbox);
    tzset(); /* syslog(3) writes local times, and the file that says what these are cannot be read later */
    if (!limit_dumps(options, sandbox) || !drop_capabilities(options, store, sandbox)) return false;
    if (options->no_new_privs) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("forbid new privileges", errno, "no_nnp");
        sandbox->no_new_privs = BCFS_SANDBOX_ON;
    }
    return restrict_files(options, store, read_only, sandbox) && filter_calls(options, sandbox);
}
