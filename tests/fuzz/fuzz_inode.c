/* fuzz_inode.c - the value of an inode's record, the store's own keys, and attributes, of any bytes.
 *
 * The first byte says which. What decodes stays within its bytes, keeps the order that is promised, and what is encoded
 * of it decodes to the same.
 */
#include "fuzz.h"
#include "log/inode_body.h"

static void body(const uint8_t *data, size_t size)
{
    struct bc_inode_body body;
    if (bc_inode_decode(data, size, &body) != BITCASK_OK) return;
    uint8_t *again = malloc(size), *out = again + BC_INODE_HEAD_SIZE;
    FUZZ_CHECK(again != NULL && size >= BC_INODE_HEAD_SIZE && body.size <= BITCASK_SIZE_MAX);
    bc_inode_encode_head(&body, again);
    if (body.extent_shift == 0) {
        FUZZ_CHECK(body.size == size - BC_INODE_HEAD_SIZE && body.content == data + BC_INODE_HEAD_SIZE);
        memcpy(out, body.content, (size_t)body.size);
    } else {
        uint64_t end = 0;
        FUZZ_CHECK(body.extent_shift >= BC_EXTENT_SHIFT_MIN && body.extent_shift <= BC_EXTENT_SHIFT_MAX);
        FUZZ_CHECK(size == BC_INODE_HEAD_SIZE + body.run_count * BC_INODE_RUN_SIZE);
        for (size_t i = 0; i < body.run_count; i++) {
            struct bc_run run = bc_inode_run(&body, i);
            FUZZ_CHECK(run.count > 0 && run.first >= end && run.count <= UINT64_MAX - run.first);
            end = run.first + run.count;
            /* The last extent begins within the content. */
            FUZZ_CHECK(end - 1 <= UINT64_MAX >> body.extent_shift && (end - 1) << body.extent_shift < body.size);
            bc_inode_put_run(&run, out + i * BC_INODE_RUN_SIZE);
        }
    }
    FUZZ_CHECK(memcmp(again, data, size) == 0);
    free(again);
}

static void keys(const uint8_t *data, size_t size)
{
    uint64_t ino, value_id, number;
    uint8_t key[BC_EXTENT_KEY_SIZE];
    bool inode = bc_is_inode_key(data, size, &ino), extent = bc_is_extent_key(data, size, &value_id, &number);
    FUZZ_CHECK(!(inode && extent));
    FUZZ_CHECK(inode == bc_is_inode_key(data, size, NULL) && extent == bc_is_extent_key(data, size, NULL, NULL));
    if (inode) {
        bc_inode_key(ino, key);
        FUZZ_CHECK(size == BC_INODE_KEY_SIZE && memcmp(key, data, size) == 0);
    }
    if (extent) {
        bc_extent_key(value_id, number, key);
        FUZZ_CHECK(size == BC_EXTENT_KEY_SIZE && memcmp(key, data, size) == 0);
    }
}

static void attributes(const uint8_t *data, size_t size)
{
    bitcask_attrs attrs = {0}, again = {0};
    bool plausible = bc_attrs_plausible(data, size);
    if (bc_attrs_decode(data, size, &attrs) != BITCASK_OK) return;
    FUZZ_CHECK(plausible);
    if (attrs.present & BITCASK_ATTR_XATTRS) fuzz_touch(attrs.xattrs, attrs.xattrs_size);
    size_t encoded = bc_attrs_size(&attrs);
    FUZZ_CHECK(encoded <= BC_ATTRS_SIZE_MAX && encoded <= size); /* ours is the shortest form */
    uint8_t *out = malloc(encoded + 1);
    FUZZ_CHECK(out != NULL);
    bc_attrs_encode(&attrs, out);
    FUZZ_CHECK(bc_attrs_decode(out, encoded, &again) == BITCASK_OK && again.present == attrs.present);
    FUZZ_CHECK(again.mode == attrs.mode && again.uid == attrs.uid && again.gid == attrs.gid);
    FUZZ_CHECK(again.mtime_ns == attrs.mtime_ns && again.ctime_ns == attrs.ctime_ns &&
               again.atime_ns == attrs.atime_ns);
    FUZZ_CHECK(again.ino == attrs.ino && again.rdev == attrs.rdev && again.expiry_ns == attrs.expiry_ns);
    FUZZ_CHECK(again.xattrs_size == attrs.xattrs_size);
    if (attrs.xattrs_size > 0) FUZZ_CHECK(memcmp(again.xattrs, attrs.xattrs, attrs.xattrs_size) == 0);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] % 3 == 0) body(bytes, size - 1);
    if (data[0] % 3 == 1) keys(bytes, size - 1);
    if (data[0] % 3 == 2) attributes(bytes, size - 1);
    free(bytes);
    return 0;
}
