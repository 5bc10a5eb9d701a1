/* inode_body.c - see inode_body.h.
 */
#include "log/inode_body.h"

#include <assert.h>

static void put_big(uint8_t *out, uint64_t number)
{
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)(number >> (56 - 8 * i));
}

static uint64_t get_big(const uint8_t *in)
{
    uint64_t number = 0;

    for (int i = 0; i < 8; i++) number = number << 8 | in[i];
    return number;
}

void bc_inode_key(uint64_t ino, uint8_t key[BC_INODE_KEY_SIZE])
{
    key[0] = 0;
    key[1] = BC_KEY_INODE;
    put_big(key + 2, ino);
}

void bc_extent_key(uint64_t value_id, uint64_t number, uint8_t key[BC_EXTENT_KEY_SIZE])
{
    key[0] = 0;
    key[1] = BC_KEY_EXTENT;
    put_big(key + 2, value_id);
    put_big(key + 10, number);
}

bool bc_is_inode_key(const void *key, size_t size, uint64_t *ino)
{
    const uint8_t *bytes = key;

    if (size != BC_INODE_KEY_SIZE || bytes[0] != 0 || bytes[1] != BC_KEY_INODE) return false;
    if (ino) *ino = get_big(bytes + 2);
    return true;
}

bool bc_is_extent_key(const void *key, size_t size, uint64_t *value_id, uint64_t *number)
{
    const uint8_t *bytes = key;

    if (size != BC_EXTENT_KEY_SIZE || bytes[0] != 0 || bytes[1] != BC_KEY_EXTENT) return false;
    if (value_id) *value_id = get_big(bytes + 2);
    if (number) *number = get_big(bytes + 10);
    return true;
}

static bool shift_is_good(unsigned shift)
{
    return shift == 0 || (shift >= BC_EXTENT_SHIFT_MIN && shift <= BC_EXTENT_SHIFT_MAX);
}

void bc_inode_encode_head(const struct bc_inode_body *body, uint8_t *out)
{
    assert(shift_is_good(body->extent_shift) && body->size <= BITCASK_SIZE_MAX);
    out[0] = BC_INODE_FORMAT;
    out[1] = body->extent_shift;
    bc_put_u32(out + 2, body->links);
    bc_put_u64(out + 6, body->size);
}

void bc_inode_put_run(const struct bc_run *run, uint8_t out[BC_INODE_RUN_SIZE])
{
    assert(run->count > 0);
    bc_put_u64(out, run->first);
    bc_put_u64(out + 8, run->count);
    bc_put_u64(out + 16, run->value_id);
}

struct bc_run bc_inode_run(const struct bc_inode_body *body, size_t i)
{
    const uint8_t *in = body->runs + i * BC_INODE_RUN_SIZE;

    return (struct bc_run){bc_get_u64(in), bc_get_u64(in + 8), bc_get_u64(in + 16)};
}

static bc_status check_runs(const struct bc_inode_body *body)
{
    uint64_t extents = (body->size + (1ull << body->extent_shift) - 1) >> body->extent_shift, next = 0;

    for (size_t i = 0; i < body->run_count; i++) {
        struct bc_run run = bc_inode_run(body, i);

        if (run.count == 0 || run.first < next || run.first >= extents || run.count > extents - run.first)
            return bc_fail(BITCASK_CORRUPT, "an inode's map has a run out of place (number %zu)", i);
        next = run.first + run.count;
    }
    return BITCASK_OK;
}

bc_status bc_inode_decode(const uint8_t *data, size_t size, struct bc_inode_body *body)
{
    size_t rest = size - BC_INODE_HEAD_SIZE;

    if (size < BC_INODE_HEAD_SIZE) return bc_fail(BITCASK_CORRUPT, "an inode has %zu bytes", size);
    if (data[0] != BC_INODE_FORMAT) return bc_fail(BITCASK_NEWER_FORMAT, "an inode is of format %u", data[0]);
    *body = (struct bc_inode_body){
        .extent_shift = data[1],
        .links = bc_get_u32(data + 2),
        .size = bc_get_u64(data + 6),
    };
    if (!shift_is_good(body->extent_shift))
        return bc_fail(BITCASK_CORRUPT, "an inode has extents of 2^%u bytes", body->extent_shift);
    if (body->size > BITCASK_SIZE_MAX)
        return bc_fail(BITCASK_CORRUPT, "an inode has a size of %llu bytes", (unsigned long long)body->size);
    if (body->extent_shift == 0) {
        if (body->size != rest) return bc_fail(BITCASK_CORRUPT, "an inode's content does not fill it");
        body->content = data + BC_INODE_HEAD_SIZE;
        return BITCASK_OK;
    }
    if (rest % BC_INODE_RUN_SIZE != 0) return bc_fail(BITCASK_CORRUPT, "an inode's map ends in a run");
    body->runs = data + BC_INODE_HEAD_SIZE;
    body->run_count = rest / BC_INODE_RUN_SIZE;
    return check_runs(body);
}
