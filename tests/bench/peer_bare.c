/* peer_bare.c - no store at all, for store_peers: pwrite and fdatasync into a file that was written once before, the
 * least that a durable put can cost on this disk.
 *
 * Each put writes a record of the size that key, value and a small header take, behind the last one; the file system
 * has no metadata to change then. At the end of the file it begins anew.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define RECORD_SIZE (26u + PEER_KEY_SIZE + PEER_VALUE_SIZE)
#define FILE_SIZE (16u * 1024 * 1024)

struct handle {
    int fd;
    bool durable;
    _Atomic uint64_t end;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *open_file(const char *directory, uint64_t keys, bool durable)
{
    static const char zeros[65536];
    struct handle *handle = calloc(1, sizeof *handle);
    char path[4200];
    (void)keys;
    if (!handle) die("bare");
    snprintf(path, sizeof path, "%s/file", directory);
    handle->durable = durable;
    handle->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (handle->fd < 0) die(path);
    for (unsigned at = 0; at < FILE_SIZE; at += sizeof zeros)
        if (pwrite(handle->fd, zeros, sizeof zeros, (off_t)at) != (ssize_t)sizeof zeros) die(path);
    if (fsync(handle->fd) != 0) die(path);
    return handle;
}

static void close_file(void *opened)
{
    struct handle *handle = opened;
    if (close(handle->fd) != 0) die("bare: close");
    free(handle);
}

static void put(void *opened, const char *key, const char *value)
{
    struct handle *handle = opened;
    char record[RECORD_SIZE] = {0};
    uint64_t at = atomic_fetch_add(&handle->end, RECORD_SIZE) % (FILE_SIZE - RECORD_SIZE);
    memcpy(record + 26, key, PEER_KEY_SIZE);
    memcpy(record + 26 + PEER_KEY_SIZE, value, PEER_VALUE_SIZE);
    if (pwrite(handle->fd, record, sizeof record, (off_t)at) != (ssize_t)sizeof record) die("bare: pwrite");
    if (handle->durable && fdatasync(handle->fd) != 0) die("bare: fdatasync");
}

const struct peer peer_bare = {
    .name = "pwrite",
    .settings = "bare pwrite (durable: and fdatasync) of 142 bytes into a file written before",
    .open = open_file,
    .close = close_file,
    .put = put,
};
