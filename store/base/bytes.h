/* bytes.h - little-endian numbers in byte arrays, and a growing byte buffer.
 *
 * The formats are little-endian on every machine; compilers turn these into single moves where they can.
 */
#ifndef BC_BYTES_H
#define BC_BYTES_H

#include "base/status.h"

static inline void bc_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void bc_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static inline void bc_put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint16_t bc_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)(p[1] << 8));
}

static inline uint32_t bc_get_u32(const uint8_t *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) v |= (uint32_t)p[i] << (8 * i);
    return v;
}

static inline uint64_t bc_get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* A growing array of bytes. All zero is an empty one; release frees it. */
struct bc_buffer {
    uint8_t *data;
    size_t size;
    size_t room;
};

/* Makes room for size more bytes behind the end and returns where, or NULL when out of memory; the caller fills
 * them and adds to size. */
uint8_t *bc_buffer_extend(struct bc_buffer *buffer, size_t size);
bc_status bc_buffer_append(struct bc_buffer *buffer, const void *data, size_t size);
void bc_buffer_reset(struct bc_buffer *buffer);   /* empties it, keeps its memory */
void bc_buffer_release(struct bc_buffer *buffer); /* empties it, frees its memory */

/* A list of elements of size bytes, count of them, with room for *room: the same list, moved if need be, with room for
 * one more. NULL when out of memory: the list is as before. */
void *bc_list_room(void *list, size_t count, size_t *room, size_t size);

#endif
