/* sandbox.h - the daemon shuts itself off from all that it does not need, before it reads the first byte of a store.
 *
 * What it needs is the store's directory, the connection to the kernel, and to look into /proc for the groups of who
 * sent a request; mounting and unmounting are done by another process (mounter.h). So whoever finds a fault in the code
 * that reads a store, or in the code that answers requests, gets no more than that.
 *
 * All of it is inherited by threads and cannot be undone. Threads: the only one that there is.
 */
#ifndef BCFS_SANDBOX_H
#define BCFS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What is asked for. */
struct bcfs_sandbox_options {
    bool no_new_privs; /* no program that it ran could gain privileges; the two filters need it */
    bool capabilities; /* give them up */
    bool landlock;     /* no file but the store's, and /proc, which is for reading */
    bool seccomp;      /* no system call but those of a list */
    bool dumpable;     /* may be traced by its user and dump core; for debugging */
    bool listens;      /* a TCP socket of its own will be listened on */
};

enum bcfs_sandbox_state {
    BCFS_SANDBOX_OFF, /* not asked for */
    BCFS_SANDBOX_ON,
    BCFS_SANDBOX_MISSING,   /* the kernel has it not, or not switched on */
    BCFS_SANDBOX_NOT_BUILT, /* made without libseccomp */
};

/* What came of it. */
struct bcfs_sandbox {
    enum bcfs_sandbox_state no_new_privs;
    enum bcfs_sandbox_state capabilities;
    enum bcfs_sandbox_state landlock;
    enum bcfs_sandbox_state seccomp;
    uint64_t kept;    /* capabilities that it still has, a bit each */
    int landlock_abi; /* of the kernel; 0: none */
    bool dumpable;
    bool core_limited;
};

/* All on, and off in builds that cannot work so: with sanitizers, and where configure was told. */
void bcfs_sandbox_defaults(struct bcfs_sandbox_options *options);

/* Takes a word of -o that leaves out a part: no_sandbox, no_caps, no_landlock, no_seccomp, no_nnp, dumpable. False: it
 * is none of these. */
bool bcfs_sandbox_word(struct bcfs_sandbox_options *options, const char *word);

/* Enters it. store: the directory that stays accessible, absolute; read_only: for reading alone. What the kernel lacks
 * is left out, noted in *sandbox and not a failure. False after a line that says what failed: the process must not go
 * on. */
bool bcfs_sandbox_enter(const struct bcfs_sandbox_options *options, const char *store, bool read_only,
                        struct bcfs_sandbox *sandbox);

/* Prints what came of it, a line "name: value" each. */
void bcfs_sandbox_text(FILE *out, const struct bcfs_sandbox *sandbox);

/* Puts the list of system calls into force (sandbox_seccomp.c). Returns 0 or an errno; ENOSYS: the kernel has no such
 * thing. */
int bcfs_sandbox_filter_calls(bool listens);

#endif
