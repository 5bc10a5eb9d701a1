/* options.c - the command line of bitcaskfs.
 *
 * mount(8) runs `bitcaskfs STORE MOUNTPOINT -o ...` with all that /etc/fstab says, so the words that only mount(8)
 * or systemd care for are accepted and dropped, the kernel's flags are passed on, and anything else that is not
 * ours is refused by name: a misspelt sync=always must not be taken for a wish that was granted.
 */
#include "options.h"

#include "command.h"
#include "http_listen.h"
#include "log.h"
#include "number.h"

#include <argp.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

const char *argp_program_version = "bitcaskfs " PACKAGE_VERSION;

/* Words for mount(8), systemd and people. atime flags belong here: reads never write an atime. */
static const char *const IGNORED[] = {
    "auto",       "noauto",   "user",       "nouser",     "users",       "owner",         "group",
    "nofail",     "atime",    "relatime",   "norelatime", "strictatime", "nostrictatime", "lazytime",
    "nolazytime", "diratime", "nodiratime", "_netdev",    "defaults",    "comment=*",     "default_permissions",
    "x-*",        "X-*",      "iversion",   "noiversion", "loud",        "silent",        "nomand",
};

/* Flags that mount(2) knows, which libfuse and fusermount3 take by these names. */
static const char *const KERNEL_FLAGS[] = {
    "suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "sync", "dirsync", "noatime",
};

/* What the kernel shows of a mount, which mount(8) hands back when it remounts one. */
static const char *const SHOWN_FLAGS[] = {
    "user_id=*", "group_id=*", "rootmode=*", "fd=*", "max_read=*", "blksize=*", "fsname=*", "subtype=*",
};

enum {
    MEMORY_MIN = 64 * 1024,
    INTERVAL_MS_MAX = 3600 * 1000,
    COMMIT_MS_MAX = 3600 * 1000,
    OPEN_MAX_LIMIT = 1000 * 1000,
    NODES_MIN = 100,
    NODES_DEFAULT = 256 * 1024,
    NODES_MAX = 1000 * 1000 * 1000
};

static bool matches(const char *const *patterns, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (fnmatch(patterns[i], word, 0) == 0) return true;
    }
    return false;
}

/* Reads the number behind a word of -o, or says where it is wrong. */
static bool parse_limited(const char *name, const char *text, uint64_t min, uint64_t max, unsigned *number)
{
    uint64_t value = 0;
    if (!bcfs_parse_number(text, false, min, max, &value)) {
        bcfs_log(BCFS_LOG_ERROR, "-o %s=%s: must be a number from %llu to %llu", name, text, (unsigned long long)min,
                 (unsigned long long)max);
        return false;
    }
    *number = (unsigned)value;
    return true;
}

static bool parse_sync(struct bcfs_options *options, const char *policy)
{
    if (strcmp(policy, "always") == 0) {
        options->sync = BITCASK_SYNC_ALWAYS;
        return true;
    }
    if (strcmp(policy, "os") == 0) {
        options->sync = BITCASK_SYNC_OS;
        return true;
    }
    if (strcmp(policy, "interval") == 0) {
        options->sync = BITCASK_SYNC_INTERVAL;
        return true;
    }
    if (strncmp(policy, "interval=", 9) == 0) {
        options->sync = BITCASK_SYNC_INTERVAL;
        return parse_limited("sync=interval", policy + 9, 1, INTERVAL_MS_MAX, &options->sync_interval_ms);
    }
    bcfs_log(BCFS_LOG_ERROR, "-o sync=%s: must be always, interval=MS or os", policy);
    return false;
}

static bool parse_segment_size(struct bcfs_options *options, const char *text)
{
    const uint64_t min = 64u << 10;
    const uint64_t max = ((uint64_t)4 << 30) - 1;
    if (bcfs_parse_number(text, true, min, max, &options->segment_size)) return true;
    bcfs_log(BCFS_LOG_ERROR, "-o segment_size=%s: must be a size from 64K to less than 4G, such as 256M", text);
    return false;
}

static bool parse_memory(struct bcfs_options *options, const char *text)
{
    if (bcfs_parse_number(text, true, MEMORY_MIN, UINT64_MAX, &options->memory_limit)) return true;
    bcfs_log(BCFS_LOG_ERROR, "-o memory=%s: must be a size from 64K on, such as 512M", text);
    return false;
}

static bool parse_merge_rate(struct bcfs_options *options, const char *text)
{
    options->merge_bytes_per_s = 0;
    if (strcmp(text, "off") == 0 ||
        bcfs_parse_number(text, true, BCFS_RATE_MIN, BCFS_RATE_MAX, &options->merge_bytes_per_s)) {
        return true;
    }
    bcfs_log(BCFS_LOG_ERROR, "-o merge_rate=%s: must be off, or bytes a second from 4K on, such as 20M", text);
    return false;
}

static bool parse_id(const char *name, const char *text, int64_t *id)
{
    uint64_t value = 0;
    if (bcfs_parse_number(text, false, 0, UINT32_MAX - 1, &value)) {
        *id = (int64_t)value;
        return true;
    }
    bcfs_log(BCFS_LOG_ERROR, "-o %s=%s: must be a number, as id(1) shows it", name, text);
    return false;
}

static bool parse_umask(struct bcfs_options *options, const char *text)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 8);
    if (text[0] < '0' || text[0] > '7' || *end != '\0' || value > 0777) {
        bcfs_log(BCFS_LOG_ERROR, "-o umask=%s: must be octal, from 0 to 777, such as 027", text);
        return false;
    }
    options->umask = (uint32_t)value;
    return true;
}

static bool parse_scheduler(struct bcfs_options *options, const char *text)
{
    options->scheduler = strcmp(text, "on") == 0;
    if (options->scheduler || strcmp(text, "off") == 0) return true;
    bcfs_log(BCFS_LOG_ERROR, "-o scheduler=%s: must be on or off", text);
    return false;
}

static bool add_kernel_flag(struct bcfs_options *options, const char *word)
{
    const char *before = options->kernel_flags == NULL ? "" : options->kernel_flags;
    size_t size = strlen(before) + 1 + strlen(word) + 1;
    char *joined = malloc(size);
    if (joined == NULL) {
        bcfs_log(BCFS_LOG_ERROR, "out of memory");
        return false;
    }
    char *end = stpcpy(joined, before);
    if (end != joined) *end++ = ',';
    strcpy(end, word);
    free(options->kernel_flags);
    options->kernel_flags = joined;
    return true;
}

static bool take_http(struct bcfs_options *options, const char *text)
{
    free(options->http);
    options->http = strdup(text);
    if (options->http == NULL) bcfs_log(BCFS_LOG_ERROR, "out of memory");
    return options->http != NULL;
}

/* Options with a value: NAME=VALUE. */
static bool parse_setting(struct bcfs_options *options, const char *word, bool *known)
{
    static const char *const names[] = {
        "sync=",      "interval=",   "commit_ms=", "max_open=", "segment_size=", "memory=",
        "scheduler=", "merge_rate=", "uid=",       "gid=",      "umask=",        "http=",   "max_nodes="};
    enum {
        SYNC,
        INTERVAL,
        COMMIT_MS,
        MAX_OPEN,
        SEGMENT_SIZE,
        MEMORY,
        SCHEDULER,
        MERGE_RATE,
        UID,
        GID,
        UMASK,
        HTTP,
        MAX_NODES,
        COUNT
    };
    size_t which = 0;
    while (which < COUNT && strncmp(word, names[which], strlen(names[which])) != 0) which++;
    *known = which < COUNT;
    if (!*known) return true;

    const char *value = word + strlen(names[which]);
    switch (which) {
    case SYNC: return parse_sync(options, value);
    case INTERVAL:
        options->sync = BITCASK_SYNC_INTERVAL;
        return parse_limited("interval", value, 1, INTERVAL_MS_MAX, &options->sync_interval_ms);
    case COMMIT_MS: return parse_limited("commit_ms", value, 0, COMMIT_MS_MAX, &options->commit_ms);
    case MAX_OPEN: return parse_limited("max_open", value, 1, OPEN_MAX_LIMIT, &options->max_open);
    case SEGMENT_SIZE: return parse_segment_size(options, value);
    case MEMORY: return parse_memory(options, value);
    case SCHEDULER: return parse_scheduler(options, value);
    case MERGE_RATE: return parse_merge_rate(options, value);
    case UID: return parse_id("uid", value, &options->uid);
    case GID: return parse_id("gid", value, &options->gid);
    case HTTP: return take_http(options, value);
    case MAX_NODES: return parse_limited("max_nodes", value, NODES_MIN, NODES_MAX, &options->max_nodes);
    default: return parse_umask(options, value);
    }
}

/* One word of a -o list. */
static bool parse_word(struct bcfs_options *options, const char *word)
{
    if (word[0] == '\0') return true;
    if (strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0) {
        options->read_only = word[1] == 'o';
        return true;
    }
    if (strcmp(word, "allow_other") == 0) {
        options->allow_other = true;
        return true;
    }
    if (strcmp(word, "acl") == 0 || strcmp(word, "noacl") == 0) {
        options->acl = word[0] == 'a';
        return true;
    }
    if (strcmp(word, "writeback") == 0 || strcmp(word, "remount") == 0) {
        *(word[0] == 'w' ? &options->writeback : &options->remount) = true;
        return true;
    }
    if (strcmp(word, "http_foreign") == 0) {
        options->http_foreign = true;
        return true;
    }
    if (strcmp(word, "debug") == 0) {
        options->debug = options->foreground = true;
        return true;
    }
    if (bcfs_sandbox_word(&options->sandbox, word)) return true;
    if (matches(KERNEL_FLAGS, sizeof KERNEL_FLAGS / sizeof KERNEL_FLAGS[0], word)) {
        return add_kernel_flag(options, word);
    }

    bool known = false;
    if (!parse_setting(options, word, &known)) return false;
    if (known || matches(IGNORED, sizeof IGNORED / sizeof IGNORED[0], word)) return true;
    if (matches(SHOWN_FLAGS, sizeof SHOWN_FLAGS / sizeof SHOWN_FLAGS[0], word)) {
        options->shown_flag = true;
        return true;
    }
    bcfs_log(BCFS_LOG_ERROR, "-o %s: unknown option; bitcaskfs --help lists those there are", word);
    return false;
}

/* A whole -o argument: words with commas between. */
static bool parse_list(struct bcfs_options *options, const char *list)
{
    char *copy = strdup(list);
    if (copy == NULL) {
        bcfs_log(BCFS_LOG_ERROR, "out of memory");
        return false;
    }
    bool good = true;
    char *rest = copy;
    for (char *word = strsep(&rest, ","); word != NULL && good; word = strsep(&rest, ",")) {
        good = parse_word(options, word);
    }
    free(copy);
    return good;
}

/* ---- argp ---- */

static const char DOC[] =
    "Mounts the bitcask STORE, a directory, at the directory MOUNTPOINT: each partition is a directory there and each "
    "key a file. A STORE that is absent or empty is created.\v"
    "Words of -o, joined by commas:\n"
    "  ro, rw               read-only, also beside a running writer\n"
    "  allow_other          let other users in\n"
    "  acl, noacl           whether POSIX ACLs are kept and count (acl)\n"
    "  uid=N, gid=N         owner of files that have none stored (the store's)\n"
    "  umask=MODE           their mode, with the bits of MODE taken out (022)\n"
    "  writeback            let the kernel gather small writes\n"
    "  remount              change ro, rw, nosuid, ... of the mount that is there\n"
    "  sync=always          every change is on the disk when its call returns\n"
    "  sync=interval=MS     ... or at most MS milliseconds after its commit (1000)\n"
    "  sync=os              ... or when the system sees fit, and at fsync\n"
    "  commit_ms=MS         commit a file MS after its last change (100)\n"
    "  max_open=N           keep at most N partitions open\n"
    "  max_nodes=N          files that the kernel may know at once (262144)\n"
    "  segment_size=SIZE    size of a data file, 64K to less than 4G (256M)\n"
    "  memory=SIZE          memory for the indexes of open partitions (a quarter)\n"
    "  scheduler=on|off     merge in the background (on)\n"
    "  merge_rate=SIZE|off  the most that merges write a second, as in 20M (off)\n"
    "  http=ADDRESS:PORT    metrics, a page over HTTP, as in 127.0.0.1:9464 (off)\n"
    "  http_foreign         let that be no address of this machine's loopback\n"
    "  debug                same as -d\n"
    "  no_sandbox           no sandbox; parts of it: no_caps, no_landlock,\n"
    "                       no_seccomp, no_nnp, dumpable\n"
    "and the flags of mount(8): nodev, nosuid, noexec, noatime, sync, ...\n\n"
    "fusermount3 -u MOUNTPOINT ends it. More in bitcaskfs(8).";

static const struct argp_option OPTIONS[] = {
    {"foreground", 'f', NULL, 0, "Stay attached to the terminal", 0},
    {"debug", 'd', NULL, 0, "Print every request; implies -f", 0},
    {"options", 'o', "LIST", 0, "Options of the mount, see below", 0},
    {0},
};

struct parse_state {
    struct bcfs_options *options;
    bool failed;
};

static bool add_operand(struct bcfs_options *options, const char *operand)
{
    char **place = options->store == NULL ? &options->store : &options->mountpoint;
    if (*place != NULL) {
        bcfs_log(BCFS_LOG_ERROR, "%s: one operand too many; usage: bitcaskfs [-f] [-d] [-o LIST] STORE MOUNTPOINT",
                 operand);
        return false;
    }
    *place = strdup(operand);
    if (*place == NULL) bcfs_log(BCFS_LOG_ERROR, "out of memory");
    return *place != NULL;
}

static error_t parse_key(int key, char *argument, struct argp_state *state)
{
    struct parse_state *parse = state->input;
    struct bcfs_options *options = parse->options;
    bool good = true;

    switch (key) {
    case 'f': options->foreground = true; break;
    case 'd': options->foreground = options->debug = true; break;
    case 'o': good = parse_list(options, argument); break;
    case ARGP_KEY_ARG: good = add_operand(options, argument); break;
    case ARGP_KEY_END:
        if (options->store == NULL || options->mountpoint == NULL) {
            bcfs_log(BCFS_LOG_ERROR, "%s is missing; usage: bitcaskfs [-f] [-d] [-o LIST] STORE MOUNTPOINT",
                     options->store == NULL ? "STORE" : "MOUNTPOINT");
            good = false;
        }
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    if (good) return 0;
    parse->failed = true;
    return EINVAL;
}

bool bcfs_options_parse(struct bcfs_options *options, int argc, char **argv)
{
    memset(options, 0, sizeof *options);
    options->sync = BITCASK_SYNC_INTERVAL;
    options->sync_interval_ms = 1000;
    options->commit_ms = 100;
    options->scheduler = true;
    options->acl = true;
    options->uid = options->gid = -1;
    options->umask = 022;
    options->max_nodes = NODES_DEFAULT;
    bcfs_sandbox_defaults(&options->sandbox);
    argp_err_exit_status = EXIT_FAILURE;

    struct parse_state parse = {.options = options, .failed = false};
    const struct argp argp = {.options = OPTIONS, .parser = parse_key, .args_doc = "STORE MOUNTPOINT", .doc = DOC};
    error_t error = argp_parse(&argp, argc, argv, 0, NULL, &parse);
    if (error != 0 && !parse.failed) bcfs_log(BCFS_LOG_ERROR, "command line: %s", strerror(error));
    if (error != 0) return false;

    if (options->store[0] == '\0' || options->mountpoint[0] == '\0') {
        bcfs_log(BCFS_LOG_ERROR, "%s is empty; it must name a directory",
                 options->store[0] == '\0' ? "STORE" : "MOUNTPOINT");
        return false;
    }
    if (options->shown_flag && !options->remount) {
        bcfs_log(BCFS_LOG_ERROR, "-o user_id=, fsname= and the like: only the kernel sets these; leave them out");
        return false;
    }
    struct bcfs_http_address address;
    return options->http == NULL || bcfs_http_address_parse(options->http, options->http_foreign, &address);
}

void bcfs_options_release(struct bcfs_options *options)
{
    free(options->store);
    free(options->mountpoint);
    free(options->kernel_flags);
    free(options->http);
    memset(options, 0, sizeof *options);
}
