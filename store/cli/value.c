/* value.c - values on their way into and out of a store, see value.h.
 */
#include "value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

enum {
    PIECE = 1024 * 1024,    /* bytes of a large value that are handed on at a time */
    ROOM_LEAST = 64 * 1024, /* bytes of memory that gathering begins with */
    ROOM_KEPT = 1024 * 1024 /* bytes that stay for the next value */
};

void cli_gather_reset(struct cli_gather *gather)
{
    if (gather->room > ROOM_KEPT) cli_gather_release(gather);
    gather->size = 0;
}

void cli_gather_release(struct cli_gather *gather)
{
    free(gather->data);
    memset(gather, 0, sizeof(*gather));
}

/* Makes room for size bytes. Returns an exit status. */
static int make_room(struct cli_gather *gather, const char *name, size_t size)
{
    if (size > BITCASK_VALUE_MAX) return cli_error("%s: larger than a value may be, 256 MiB", name);
    if (size <= gather->room) return CLI_OK;
    size_t room = gather->room ? gather->room : ROOM_LEAST;
    while (room < size) room *= 2;
    char *grown = realloc(gather->data, room);
    if (!grown) return cli_error("%s: out of memory", name);
    gather->data = grown;
    gather->room = room;
    return CLI_OK;
}

int cli_gather_write(struct cli_gather *gather, const char *name, uint64_t offset, const void *data, size_t size)
{
    uint64_t end = offset > BITCASK_VALUE_MAX || size > BITCASK_VALUE_MAX ? UINT64_MAX : offset + size;
    int status = make_room(gather, name, end > BITCASK_VALUE_MAX ? SIZE_MAX : (size_t)end);

    if (status != CLI_OK) return status;
    if (offset > gather->size) memset(gather->data + gather->size, 0, (size_t)offset - gather->size);
    if (size > 0) memcpy(gather->data + offset, data, size);
    if (end > gather->size) gather->size = (size_t)end;
    return CLI_OK;
}

int cli_gather_file(struct cli_gather *gather, int fd, const char *name)
{
    for (;;) {
        bool full = gather->size == BITCASK_VALUE_MAX;
        char spare; /* one byte more than a value may have, so that a longer one is noticed */
        int status = make_room(gather, name, full ? gather->size : gather->size + 1);
        if (status != CLI_OK) return status;
        ssize_t got = full ? read(fd, &spare, 1) : read(fd, gather->data + gather->size, gather->room - gather->size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cli_error("%s: %s; nothing was stored", name, strerror(errno));
        if (got == 0) return CLI_OK;
        if (full) return make_room(gather, name, SIZE_MAX);
        gather->size += (size_t)got;
    }
}

bitcask_status cli_gather_put(const struct cli_gather *gather, bitcask_partition *partition, const void *key,
                              size_t key_size, const bitcask_write_options *options)
{
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
