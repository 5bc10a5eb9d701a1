/* store_dir.c - the store's own directory: what makes it a store, who may open it, who has it.
 *
 * STORE is the marker: text, written last when a store is created, so that a directory is a store only once it is a
 * whole one. LOCK is never deleted; its bytes are locked by open files, so a killed process leaves nothing behind:
 *   byte 0  exclusive: the writer
 *   byte 1  shared: readers and the writer; exclusive: repair
 *   byte 2  exclusive: the writer, until it begins to close; whoever finds it free knows that waiting pays
 */
#include "db/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MARKER "STORE"
#define MARKER_NEW "STORE.new"
#define LOCK "LOCK"
#define PARTITIONS "partitions"
#define MARKER_LINE "bitcaskfs store\n"
#define GRACE_MS 500u       /* between an unmount that returned and its daemon's noticing */
#define READER_GRACE_MS 100u /* the same for who only reads: most often the daemon is simply at work */
#define PROBE_MS 20u        /* readers look at the writer's lock by taking it for a moment */
#define POLL_MS 10u

enum { LOCK_WRITER = 0, LOCK_READERS = 1, LOCK_SERVING = 2 };

struct content {
    bool marker;
    bool foreign;
    char what[64]; /* the first foreign name */
};

static bool look_at(void *context, const char *name)
{
    static const char *const ours[] = {MARKER_NEW, LOCK, BC_RESERVE_NAME, PARTITIONS, "snapshots", "lost+found"};
    struct content *content = context;

    if (strcmp(name, MARKER) == 0) {
        content->marker = true;
        return true;
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcmp(name, ours[i]) == 0) return true;
    if (!content->foreign) snprintf(content->what, sizeof content->what, "%s", name);
    content->foreign = true;
    return true;
}

static bc_status check_marker(struct bitcask *db)
{
    char text[512], *line;
    unsigned long format;
    size_t got;
    int fd = -1;
    bc_status status = bc_io_open(db->env.io, db->dir_fd, MARKER, BC_OPEN_READ, &fd);

    if (status != BITCASK_OK) return status;
    status = bc_io_read(db->env.io, fd, MARKER, text, sizeof text - 1, 0, &got);
    (void)bc_io_close(db->env.io, &fd);
    if (status != BITCASK_OK) return status;
    text[got] = '\0';
    if (strncmp(text, MARKER_LINE, strlen(MARKER_LINE)) != 0)
        return bc_fail(BITCASK_NOT_A_STORE, "%s: its file STORE is not that of a bitcaskfs store", db->path);
    line = strstr(text, "\nformat: ");
    format = line ? strtoul(line + strlen("\nformat: "), NULL, 10) : 0;
    if (format == 0) return bc_fail(BITCASK_CORRUPT, "%s: its file STORE names no format version", db->path);
    if (format > BC_FORMAT_VERSION)
        return bc_fail(BITCASK_NEWER_FORMAT, "%s has format version %lu, this software knows up to %u; use a newer one",
                       db->path, format, BC_FORMAT_VERSION);
    return BITCASK_OK;
}

static bc_status write_marker(struct bitcask *db)
{
    uint8_t id[16];
    char text[256], created[32];
    time_t seconds = (time_t)(bc_io_now_ns(db->env.io) / 1000000000);
    struct tm tm;
    struct iovec iov;
    int fd = -1;
    bc_status status = bc_io_random(db->env.io, id, sizeof id);

    if (status != BITCASK_OK) return status;
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 4122: random */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    if (!gmtime_r(&seconds, &tm) || strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(created, sizeof created, "unknown");
    snprintf(text, sizeof text,
             MARKER_LINE "format: %u\n"
                         "uuid: %02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n"
                         "created: %s\n",
             BC_FORMAT_VERSION, id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11],
             id[12], id[13], id[14], id[15], created);
    iov = (struct iovec){text, strlen(text)};
    status = bc_io_open(db->env.io, db->dir_fd, MARKER_NEW, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_TRUNCATE, &fd);
    if (status == BITCASK_OK) status = bc_io_write(db->env.io, fd, MARKER_NEW, &iov, 1, 0);
    /* Synced before it gets its name: a power cut must not leave an empty marker. */
    if (status == BITCASK_OK) status = bc_io_sync(db->env.io, fd, MARKER_NEW);
    if (fd >= 0) {
        bc_status closed = bc_io_close(db->env.io, &fd);
        if (status == BITCASK_OK) status = closed;
    }
    if (status == BITCASK_OK) status = bc_io_rename(db->env.io, db->dir_fd, MARKER_NEW, MARKER);
    /* Before the store is used: its names must be there when what is put into it is acknowledged as durable. */
    if (status == BITCASK_OK) status = bc_io_sync_dir(db->env.io, db->dir_fd, db->path);
    return status;
}

/* Makes the store's name durable in the directory above it. */
static bc_status sync_parent(struct bitcask *db)
{
    char *parent = strdup(db->path), *slash;
    int fd = -1;
    bc_status status;

    if (!parent) return BITCASK_NO_MEMORY;
    for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--) parent[n - 1] = '\0';
    slash = strrchr(parent, '/');
    if (slash == parent) slash[1] = '\0';
    else if (slash) *slash = '\0';
    status = bc_io_open(db->env.io, BC_AT_CWD, slash ? parent : ".", BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd);
    if (status == BITCASK_OK) status = bc_io_sync_dir(db->env.io, fd, parent);
    (void)bc_io_close(db->env.io, &fd);
    free(parent);
    return status;
}

static bc_status open_directory(struct bitcask *db, bool create)
{
    struct bc_file_info info;
    bc_status status =
        bc_io_open(db->env.io, BC_AT_CWD, db->path, BC_OPEN_READ | BC_OPEN_DIRECTORY, &db->dir_fd);

    if (status == BITCASK_NOT_FOUND && create) {
        status = bc_io_mkdir(db->env.io, BC_AT_CWD, db->path);
        if (status == BITCASK_NOT_FOUND)
            return bc_fail(status, "%s: the directory above it does not exist; create that first", db->path);
        if (status == BITCASK_OK || status == BITCASK_EXISTS)
            status = bc_io_open(db->env.io, BC_AT_CWD, db->path, BC_OPEN_READ | BC_OPEN_DIRECTORY, &db->dir_fd);
    }
    if (status == BITCASK_NOT_FOUND) return bc_fail(status, "%s: there is no such directory", db->path);
    if (status == BITCASK_NOT_PARTITION)
        return bc_fail(BITCASK_NOT_A_STORE, "%s is a file; a store is a directory", db->path);
    if (status != BITCASK_OK) return status;
    status = bc_io_info(db->env.io, db->dir_fd, db->path, &info);
    if (status != BITCASK_OK) return status;
    if (info.uid != geteuid())
        return bc_fail(BITCASK_UNSAFE, "%s belongs to user %u and you are user %u; run as its owner", db->path, info.uid,
                       (unsigned)geteuid());
    if (info.mode & 022)
        return bc_fail(BITCASK_UNSAFE, "%s may be written to by others (mode %03o); chmod go-w it", db->path,
                       info.mode & 0777);
    return BITCASK_OK;
}

static bc_status in_use(struct bitcask *db)
{
    char text[32];
    size_t got = 0;

    if (bc_io_read(db->env.io, db->lock_fd, LOCK, text, sizeof text - 1, 0, &got) != BITCASK_OK) got = 0;
    text[got] = '\0';
    if (strtol(text, NULL, 10) > 0)
        return bc_fail(BITCASK_IN_USE, "%s is in use by process %ld; end that first, or go through its mount", db->path,
                       strtol(text, NULL, 10));
    return bc_fail(BITCASK_IN_USE, "%s is in use by another process", db->path);
}

static bc_status try_lock(struct bitcask *db, enum bc_lock_kind kind, int byte)
{
    return bc_io_lock(db->env.io, db->lock_fd, LOCK, kind, (uint64_t)byte, 1);
}

static void pause_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* Whether somebody else has the byte, by taking it for a moment. */
static bool is_taken(struct bitcask *db, int byte)
{
    if (try_lock(db, BC_LOCK_SHARED, byte) != BITCASK_OK) return true;
    (void)try_lock(db, BC_LOCK_NONE, byte);
    return false;
}

/* Takes the writer's locks, or, exclusive, repair's, which keep readers out as well. Waits only for a writer that is
 * closing. */
static bc_status lock_writer(struct bitcask *db, unsigned wait_ms, bool exclusive)
{
    unsigned grace = wait_ms > GRACE_MS ? GRACE_MS : wait_ms > PROBE_MS ? wait_ms : PROBE_MS;
    char text[32];
    struct iovec iov;
    bc_status status;

    for (unsigned waited = 0;; waited += POLL_MS) {
        bool closing;

        status = try_lock(db, BC_LOCK_EXCLUSIVE, LOCK_WRITER);
        if (status != BITCASK_IN_USE) break;
        closing = !is_taken(db, LOCK_SERVING);
        if (waited >= (closing && wait_ms > grace ? wait_ms : grace)) return in_use(db);
        pause_ms(POLL_MS);
    }
    if (status == BITCASK_OK)
        status = try_lock(db, exclusive ? BC_LOCK_EXCLUSIVE : BC_LOCK_SHARED, LOCK_READERS);
    if (status == BITCASK_IN_USE && exclusive)
        return bc_fail(status, "%s is being read by another process; a repair needs it alone: end that first", db->path);
    if (status == BITCASK_IN_USE) return bc_fail(status, "%s is being repaired; wait for that to end", db->path);
    for (int i = 0; status == BITCASK_OK && i < 100; i++) {
        status = try_lock(db, BC_LOCK_EXCLUSIVE, LOCK_SERVING); /* somebody may be probing it just now */
        if (status != BITCASK_IN_USE) break;
        status = BITCASK_OK;
        pause_ms(1);
    }
    if (status != BITCASK_OK) return status;
    snprintf(text, sizeof text, "%-20ld\n", (long)getpid()); /* for the message of those who are refused */
    iov = (struct iovec){text, strlen(text)};
    return bc_io_write(db->env.io, db->lock_fd, LOCK, &iov, 1, 0);
}

/* Takes part as a reader. A writer that is closing has not written everything yet: who is willing to wait sees it. */
static bc_status lock_reader(struct bitcask *db, unsigned wait_ms)
{
    unsigned grace = wait_ms < READER_GRACE_MS ? wait_ms : READER_GRACE_MS;
    bc_status status = bc_io_open(db->env.io, db->dir_fd, LOCK, BC_OPEN_READ, &db->lock_fd);

    if (status != BITCASK_OK) return status;
    for (unsigned waited = 0; waited < wait_ms; waited += POLL_MS) {
        bool serving = is_taken(db, LOCK_SERVING);

        if (serving ? waited >= grace : !is_taken(db, LOCK_WRITER)) break;
        pause_ms(POLL_MS);
    }
    status = try_lock(db, BC_LOCK_SHARED, LOCK_READERS);
    if (status == BITCASK_IN_USE) return bc_fail(status, "%s is being repaired; wait for that to end", db->path);
    return status;
}

static bool has_entry(void *context, const char *name)
{
    (void)name;
    return !(*(bool *)context = true);
}

/* A directory `partitions` is left by an earlier creation that was cut short if it is empty; else STORE was lost. */
static bc_status check_leftover(struct bitcask *db)
{
    bool used = false;
    int fd = -1;
    bc_status status = bc_io_open(db->env.io, db->dir_fd, PARTITIONS, BC_OPEN_READ | BC_OPEN_DIRECTORY, &fd);

    if (status == BITCASK_OK) status = bc_io_list(db->env.io, fd, PARTITIONS, has_entry, &used);
    (void)bc_io_close(db->env.io, &fd);
    if (status != BITCASK_OK || !used) return status;
    return bc_fail(BITCASK_NOT_A_STORE, "%s holds partitions, but its file STORE is missing; restore that from a backup",
                   db->path);
}

static bc_status create_store(struct bitcask *db)
{
    bc_status status = bc_io_mkdir(db->env.io, db->dir_fd, PARTITIONS);

    if (status == BITCASK_EXISTS) status = check_leftover(db);
    /* Before the marker gets its name: names of one directory reach the disk in any order, and a power cut must not
     * leave a marker that promises a whole store. */
    if (status == BITCASK_OK) status = bc_io_sync_dir(db->env.io, db->dir_fd, db->path);
    /* Likewise the store's own name, whoever made it: an earlier process may have been killed right after. */
    if (status == BITCASK_OK) status = sync_parent(db);
    return status == BITCASK_OK ? write_marker(db) : status;
}

static bc_status list_content(struct bitcask *db, struct content *content)
{
    *content = (struct content){0};
    return bc_io_list(db->env.io, db->dir_fd, db->path, look_at, content);
}

bc_status bc_store_dir_open(struct bitcask *db, const bitcask_options *options)
{
    bool create = options->create && !options->read_only;
    struct content content;
    bc_status status = open_directory(db, create);

    if (status == BITCASK_OK) status = list_content(db, &content);
    if (status == BITCASK_OK && content.marker) status = check_marker(db);
    else if (status == BITCASK_OK && content.foreign)
        status = bc_fail(BITCASK_NOT_A_STORE, "%s is not a store and not empty: it holds '%s'; name an empty directory",
                         db->path, content.what);
    else if (status == BITCASK_OK && !create)
        status = bc_fail(BITCASK_NOT_A_STORE, "%s is not a store: it has no file STORE", db->path);
    if (status != BITCASK_OK) return status;
    if (options->read_only) {
        status = lock_reader(db, options->lock_wait_ms);
    } else {
        status = bc_io_open(db->env.io, db->dir_fd, LOCK, BC_OPEN_WRITE | BC_OPEN_CREATE, &db->lock_fd);
        if (status == BITCASK_OK) status = lock_writer(db, options->lock_wait_ms, false);
        /* Looked at again: another process may have created it while this one waited for the lock. */
        if (status == BITCASK_OK && !content.marker) status = list_content(db, &content);
        if (status == BITCASK_OK && !content.marker) status = create_store(db);
        /* A marker that is there may have got its name from a process that was killed before it synced that. */
        else if (status == BITCASK_OK) status = bc_io_sync_dir(db->env.io, db->dir_fd, db->path);
    }
    if (status != BITCASK_OK) return status;
    return bc_io_open_own_dir(db->env.io, db->dir_fd, PARTITIONS, &db->env.partitions_fd);
}

bc_status bc_store_dir_open_for_repair(struct bitcask *db)
{
    bc_status status = open_directory(db, false);

    if (status == BITCASK_OK) status = check_marker(db);
    if (status == BITCASK_NOT_FOUND && db->dir_fd >= 0)
        status = bc_fail(BITCASK_NOT_A_STORE, "%s is not a store: it has no file STORE", db->path);
    if (status == BITCASK_OK)
        status = bc_io_open(db->env.io, db->dir_fd, LOCK, BC_OPEN_WRITE | BC_OPEN_CREATE, &db->lock_fd);
    if (status == BITCASK_OK) status = lock_writer(db, 0, true);
    if (status != BITCASK_OK) return status;
    return bc_io_open_own_dir(db->env.io, db->dir_fd, PARTITIONS, &db->env.partitions_fd);
}

bc_status bc_store_dir_holder(struct bc_io *io, const char *path, int64_t *pid)
{
    char text[32];
    size_t got = 0;
    int dir_fd = -1, fd = -1;
    bc_status status = bc_io_open(io, BC_AT_CWD, path, BC_OPEN_READ | BC_OPEN_DIRECTORY, &dir_fd);

    *pid = 0;
    if (status == BITCASK_OK) status = bc_io_open(io, dir_fd, LOCK, BC_OPEN_READ, &fd);
    if (status == BITCASK_OK) {
        status = bc_io_lock(io, fd, LOCK, BC_LOCK_SHARED, LOCK_WRITER, 1);
        /* Free, and now ours until the file is closed: what stands in it is of a process that has gone. */
        if (status == BITCASK_OK) status = BITCASK_NOT_FOUND;
        else if (status == BITCASK_IN_USE) status = bc_io_read(io, fd, LOCK, text, sizeof text - 1, 0, &got);
    }
    if (status == BITCASK_OK) {
        text[got] = '\0';
        *pid = strtoll(text, NULL, 10) > 0 ? strtoll(text, NULL, 10) : 0;
    }
    (void)bc_io_close(io, &fd);
    (void)bc_io_close(io, &dir_fd);
    return status;
}

void bc_store_dir_announce_close(struct bitcask *db)
{
    if (!db->env.read_only && db->lock_fd >= 0) (void)try_lock(db, BC_LOCK_NONE, LOCK_SERVING);
}

void bc_store_dir_close(struct bitcask *db)
{
    (void)bc_io_close(db->env.io, &db->env.partitions_fd);
    (void)bc_io_close(db->env.io, &db->lock_fd); /* releases the locks */
    (void)bc_io_close(db->env.io, &db->dir_fd);
}
