/* value.c - values on their way into and out of a store, see value.h.
 */
#include "value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

enum {
    PIECE = 1024 * 1024,        /* bytes of a large value that are handed on at a time */
    ROOM_LEAST = 64 * 1024,     /* bytes of memory that gathering begins with */
    ROOM_KEPT = 1024 * 1024,    /* bytes that stay for the next value */
    IN_MEMORY = 8 * 1024 * 1024 /* bytes of a value that are gathered before a writer takes it */
};

void cli_gather_reset(struct cli_gather *gather)
{
    bitcask_writer_close(&gather->writer);
    if (gather->room > ROOM_KEPT) cli_gather_release(gather);
    gather->size = 0;
}

void cli_gather_release(struct cli_gather *gather)
{
    bitcask_writer_close(&gather->writer);
    free(gather->data);
    gather->data = NULL;
    gather->size = gather->room = 0;
}

uint64_t cli_gather_size(const struct cli_gather *gather)
{
    return gather->writer ? bitcask_writer_size(gather->writer) : gather->size;
}

static int refuse(const char *name, bitcask_status status)
{
    if (status == BITCASK_TOO_LARGE) return cli_error("%s: larger than a value may be, 16 TiB", name);
    return cli_error("%s: %s; nothing was stored", name, bitcask_status_text(status));
}

/* Makes room for size bytes of memory. Returns an exit status. */
static int make_room(struct cli_gather *gather, const char *name, size_t size)
{
    if (size <= gather->room) return CLI_OK;
    size_t room = gather->room ? gather->room : ROOM_LEAST;
    while (room < size) room *= 2;
    char *grown = realloc(gather->data, room);
    if (!grown) return cli_error("%s: out of memory", name);
    gather->data = grown;
    gather->room = room;
    return CLI_OK;
}

/* Hands what was gathered over to a writer. */
static bitcask_status begin_writer(struct cli_gather *gather)
{
    if (gather->writer) return BITCASK_OK;
    bitcask_status status = bitcask_writer_open(gather->partition, NULL, &gather->writer);
    if (status == BITCASK_OK) status = bitcask_writer_write(gather->writer, 0, gather->data, gather->size);
    return status;
}

int cli_gather_write(struct cli_gather *gather, const char *name, uint64_t offset, const void *data, size_t size)
{
    if (offset > BITCASK_SIZE_MAX || size > BITCASK_SIZE_MAX - offset) return refuse(name, BITCASK_TOO_LARGE);
    uint64_t end = offset + size;
    if (gather->writer || (gather->partition && end > IN_MEMORY)) {
        bitcask_status wrote = begin_writer(gather);
        if (wrote == BITCASK_OK) wrote = bitcask_writer_write(gather->writer, offset, data, size);
        if (wrote == BITCASK_OK && end > bitcask_writer_size(gather->writer))
            wrote = bitcask_writer_truncate(gather->writer, end);
        return wrote == BITCASK_OK ? CLI_OK : refuse(name, wrote);
    }
    if (end > BITCASK_VALUE_MAX) return cli_error("%s: larger than 256 MiB, and no store is open", name);
    int status = make_room(gather, name, (size_t)end);
    if (status != CLI_OK) return status;
    if (offset > gather->size) memset(gather->data + gather->size, 0, (size_t)offset - gather->size);
    if (size > 0) memcpy(gather->data + offset, data, size);
    if (end > gather->size) gather->size = (size_t)end;
    return CLI_OK;
}

int cli_gather_file(struct cli_gather *gather, int fd, const char *name)
{
    char *piece = malloc(PIECE);
    int status = piece ? CLI_OK : cli_error("%s: out of memory", name);

    gather->more = false;
    while (status == CLI_OK) {
        if (!gather->partition && gather->size >= IN_MEMORY) {
            gather->more = true;
            break;
        }
        ssize_t got = read(fd, piece, PIECE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) status = cli_error("%s: %s; nothing was stored", name, strerror(errno));
        if (got <= 0) break;
        status = cli_gather_write(gather, name, cli_gather_size(gather), piece, (size_t)got);
    }
    free(piece);
    return status;
}

bitcask_status cli_gather_put(struct cli_gather *gather, bitcask_partition *partition, const void *key, size_t key_size,
                              const bitcask_write_options *options)
{
    if (gather->writer) return bitcask_writer_commit(gather->writer, partition, key, key_size, options, NULL);
    return bitcask_put(partition, key, key_size, gather->data, gather->size, options, NULL);
}

bitcask_status cli_value_pieces(bitcask_value *value, bool (*take)(void *context, const void *data, size_t size),
                                void *context)
{
    uint64_t size = bitcask_value_size(value);
    bitcask_status status = BITCASK_OK;

    if (size <= PIECE) {
        status = bitcask_value_load(value);
        if (status == BITCASK_OK && size > 0) take(context, bitcask_value_data(value), (size_t)size);
        return status;
    }
    char *piece = malloc(PIECE);
    if (!piece) return BITCASK_NO_MEMORY;
    for (uint64_t at = 0; at < size;) {
        size_t got = 0;
        status = bitcask_value_read(value, at, piece, PIECE, &got);
        if (status != BITCASK_OK || got == 0 || !take(context, piece, got)) break;
        at += got;
    }
    free(piece);
    return status;
}
