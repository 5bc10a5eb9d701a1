/* bytes.c - the growing byte buffer.
 *
 * Invariant: size <= room, and data is NULL exactly when room is 0. A failed call leaves the buffer as it was.
 */
#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 256u

uint8_t *bc_buffer_extend(struct bc_buffer *buffer, size_t size)
{
    /* At least one byte, so that even an empty extension of an empty buffer has an address. */
    size_t wanted = 0;
    if (__builtin_add_overflow(buffer->size, size > 0 ? size : 1, &wanted)) return NULL;
    if (wanted > buffer->room) {
        size_t room = buffer->room > SIZE_MAX / 2 ? wanted : buffer->room * 2;
        if (room < wanted) room = wanted;
        if (room < FIRST_ROOM) room = FIRST_ROOM;
        uint8_t *data = realloc(buffer->data, room);
        if (data == NULL) return NULL;
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->size;
}

bc_status bc_buffer_append(struct bc_buffer *buffer, const void *data, size_t size)
{
    uint8_t *end = bc_buffer_extend(buffer, size);
    if (end == NULL) return bc_fail(BITCASK_NO_MEMORY, "out of memory: a buffer cannot grow by %zu bytes", size);
    if (size > 0) memcpy(end, data, size);
    buffer->size += size;
    return BITCASK_OK;
}

void bc_buffer_reset(struct bc_buffer *buffer)
{
    buffer->size = 0;
}

void bc_buffer_release(struct bc_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct bc_buffer){0};
}

void *bc_list_room(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room) return list;
    size_t more = *room > 0 ? *room * 2 : 16;
    void *moved = more > SIZE_MAX / size ? NULL : realloc(list, more * size);
    if (moved != NULL) *room = more;
    return moved;
}
