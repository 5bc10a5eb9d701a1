/* sandbox_seccomp.c - the system calls that the daemon may make: see sandbox.h.
 *
 * A list of what is allowed; all else fails with ENOSYS, so that a C library that tries something newer falls back, as
 * on an older kernel (clone3, whose flags no filter can see, is one of these). A list by name: what this libseccomp or
 * this machine does not know is skipped.
 *
 * Not in it, on purpose: execve, fork, ptrace, mount, umount, setuid and its kin, bpf, io_uring, kexec, keyctl, all
 * that changes owners, modes and times of files, and memory that can be executed.
 */
#ifdef BCFS_HAVE_SECCOMP

#include "sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The store's files, and the connection to the kernel. */
static const char files[] =
    "openat close read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 fdatasync fsync "
    "ftruncate ftruncate64 fallocate fstat fstat64 fstatat64 newfstatat statx fstatfs fstatfs64 statfs "
    "statfs64 unlinkat mkdirat renameat renameat2 linkat getdents64 lseek _llseek fcntl fcntl64 dup dup2 "
    "dup3 pipe2 fadvise64 readahead faccessat faccessat2 readlinkat sync_file_range copy_file_range poll "
    "ppoll ppoll_time64 chdir stat lstat";

/* Memory, threads, time, randomness, signals of its own. */
static const char process[] =
    "munmap mremap madvise brk msync mincore futex futex_time64 set_robust_list rseq sched_yield "
    "sched_getaffinity getcpu membarrier exit exit_group gettid getpid getppid getuid geteuid getgid getegid "
    "uname sysinfo getrusage times getrandom clock_gettime clock_gettime64 clock_getres gettimeofday time "
    "nanosleep clock_nanosleep clock_nanosleep_time64 restart_syscall rt_sigaction rt_sigprocmask "
    "rt_sigreturn rt_sigtimedwait rt_sigtimedwait_time64 rt_sigpending sigaltstack sigreturn set_tid_address "
    "wait4 waitid";

/* To syslog, and to the process that mounts; the sockets for it: below. */
static const char messages[] = "connect sendto sendmsg recvmsg";

/* A server. */
static const char server[] =
    "bind listen accept accept4 setsockopt getsockopt getsockname getpeername recvfrom shutdown "
    "epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 select _newselect pselect6 "
    "pselect6_time64 sendfile sendfile64 sendmmsg recvmmsg";

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* names: with blanks between. */
static int allow_all(scmp_filter_ctx filter, const char *names)
{
    int result = 0;
    for (size_t length = 0; result == 0 && *names != '\0'; names += length + strspn(names + length, " ")) {
        char name[32];
        length = strcspn(names, " ");
        snprintf(name, sizeof name, "%.*s", (int)length, names);
        int number = seccomp_syscall_resolve_name(name);
        if (number != __NR_SCMP_ERROR) result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    return result;
}

static int allow_if(scmp_filter_ctx filter, const char *name, struct scmp_arg_cmp condition)
{
    int number = seccomp_syscall_resolve_name(name);
    return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, condition);
}

/* Calls whose arguments decide. */
static int allow_some(scmp_filter_ctx filter, bool listens)
{
    static const char *const maps[] = {"mmap", "mmap2", "mprotect"};
    static const char *const signals[] = {"kill", "tgkill"};
    static const unsigned long names[] = {PR_SET_NAME, 0x53564d41 /* PR_SET_VMA: names of memory, for debuggers */};
    const scmp_datum_t self = (scmp_datum_t)getpid();
    int result = 0;

    for (size_t i = 0; result == 0 && i < COUNT(maps); i++) {
        result = allow_if(filter, maps[i], SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    for (size_t i = 0; result == 0 && i < COUNT(signals); i++) {
        result = allow_if(filter, signals[i], SCMP_A0(SCMP_CMP_EQ, self, 0));
    }
    for (size_t i = 0; result == 0 && i < COUNT(names); i++) {
        result = allow_if(filter, "prctl", SCMP_A0(SCMP_CMP_EQ, names[i], 0));
    }
    /* Threads, and no process. */
    if (result == 0) result = allow_if(filter, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    /* Limits can be read. */
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0, 0),
                                  SCMP_A2(SCMP_CMP_EQ, 0, 0));
    }
    /* syslog(3) connects when it has something to say, and again when the system's logger was restarted. */
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM));
    }
    if (result == 0 && listens) result = allow_if(filter, "socket", SCMP_A0(SCMP_CMP_EQ, AF_INET, 0));
    if (result == 0 && listens) result = allow_if(filter, "socket", SCMP_A0(SCMP_CMP_EQ, AF_INET6, 0));
    return result;
}

int bcfs_sandbox_filter_calls(bool listens)
{
    /* Asked first: without it libseccomp would fail in ways that look like others. */
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) return ENOSYS;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) return ENOMEM;
    int result = allow_all(filter, files);
    if (result == 0) result = allow_all(filter, process);
    if (result == 0) result = allow_all(filter, messages);
    if (result == 0 && listens) result = allow_all(filter, server);
    if (result == 0) result = allow_some(filter, listens);
    /* Sorted by the kernel's cache anyway; a tree finds a number in fewer steps than a list of 130 comparisons. */
    if (result == 0) (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (result == 0) result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (result == 0) result = seccomp_load(filter);
    seccomp_release(filter);
    return result == -ECANCELED ? ENOSYS : -result;
}

#else
/* ISO C wants something in each file. */
typedef int bcfs_no_seccomp;
#endif
