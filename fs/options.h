/* options.h - what the command line of bitcaskfs says.
 *
 * Holds the options of one mount, checked against their ranges but not yet against the world: whether STORE and
 * MOUNTPOINT can be used is mountpoint.h's business. Strings are as given on the command line, until main() makes
 * the two paths absolute. Read-only once the session runs, so any thread may read it without a lock.
 */
#ifndef BCFS_OPTIONS_H
#define BCFS_OPTIONS_H

#include "bitcask.h"
#include "sandbox.h"

#include <stdbool.h>
#include <stdint.h>

struct bcfs_options {
    char *store;        /* STORE; owned */
    char *mountpoint;   /* MOUNTPOINT; owned */
    char *kernel_flags; /* nodev,noexec,... for mount(2), joined by commas, "" for none; owned */
    bool foreground;    /* -f, -d: stay attached to the terminal */
    bool debug;         /* -d: print every request; implies foreground */
    bool read_only;     /* ro: the store is opened read-only as well */
    bool allow_other;   /* users other than the one that mounts may enter */
    bool remount;       /* only change the flags of the mount that is there */
    bool shown_flag;    /* one that makes sense with remount only */
    bool writeback;     /* the kernel gathers writes */
    bool acl;           /* POSIX ACLs are kept and count */

    /* What is taken for the owner and the mode of files whose record states none. */
    int64_t uid; /* -1: the store's owner; likewise the group */
    int64_t gid;
    uint32_t umask;

    bitcask_sync_policy sync;
    unsigned sync_interval_ms; /* counts for BITCASK_SYNC_INTERVAL */
    unsigned commit_ms;        /* quiet time after which a changed file is committed; 0: in each call */
    unsigned max_open;         /* partitions open at once; 0: the library decides */
    unsigned max_nodes;        /* files and directories that the kernel may know at once; more: prune.h */
    uint64_t segment_size;     /* bytes; 0: the library decides */
    uint64_t memory_limit;     /* bytes for the indexes of open partitions; 0: the library decides */

    char *http;        /* where to listen, as given; owned; NULL: nowhere */
    bool http_foreign; /* and not on this machine's loopback alone */

    bool scheduler;             /* merge in the background */
    uint64_t merge_bytes_per_s; /* the most that merges write; 0: no limit */

    struct bcfs_sandbox_options sandbox; /* what the daemon shuts itself off from */
};

/* Fills in *options from the command line; options before, between and after the operands count alike, later ones win.
 * Returns false after one line on stderr that says what is wrong. --help, --version and words that are no option at
 * all (-x) end the process, as argp does it. The caller releases *options, whatever the result. Before threads. */
bool bcfs_options_parse(struct bcfs_options *options, int argc, char **argv);

/* Frees what options owns; the struct may be parsed into again. */
void bcfs_options_release(struct bcfs_options *options);

#endif
