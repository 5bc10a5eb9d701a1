/* fuzz_hint.c - a hint of any bytes: refused, or all that it hands out keeps the promises of hint.h.
 *
 * Checked: keys ascend, records lie within the data, there are as many as the head says, each is found by its key, and
 * the filter knows it. In a forged hint a look-up may miss; it may not find another key.
 */
#include "fuzz.h"
#include "index/index.h"
#include "log/hint_format.h"

static void check_entry(const struct bc_hint *hint, const struct bc_hint_entry *entry)
{
    const struct bc_hint_head *head = bc_hint_head(hint);
    FUZZ_CHECK(entry->key_size > 0 && entry->key_size <= BITCASK_NAME_MAX);
    fuzz_touch(entry->key, entry->key_size);
    FUZZ_CHECK((uint64_t)entry->offset + entry->record_size <= head->data_size);
    FUZZ_CHECK(entry->record_size > BC_RECORD_HEAD_SIZE && entry->value_size < entry->record_size);
    FUZZ_CHECK((entry->flags & ~BC_HINT_PUBLIC) == 0 && entry->version <= head->last_version);
    FUZZ_CHECK(!(entry->flags & BC_HINT_TOMBSTONE) || entry->value_size == 0);
}

static void walk(const struct bc_hint *hint)
{
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry, found;
    struct bc_buffer buffer = {0};
    uint8_t last[BITCASK_NAME_MAX];
    size_t last_size = 0;
    uint64_t keys = 0;
    bc_status status;
    FUZZ_CHECK(bc_hint_cursor_open(hint, &cursor) == BITCASK_OK);
    while ((status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK) {
        check_entry(hint, &entry);
        FUZZ_CHECK(keys == 0 || bc_key_compare(last, last_size, entry.key, entry.key_size) < 0);
        last_size = entry.key_size;
        memcpy(last, entry.key, last_size);
        keys++;
        (void)bc_hint_may_contain(hint, bc_hash_key(last, last_size));
        status = bc_hint_find(hint, last, last_size, &buffer, &found);
        FUZZ_CHECK(status == BITCASK_OK || status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT);
        if (status == BITCASK_OK) {
            check_entry(hint, &found);
            FUZZ_CHECK(found.key_size == last_size && memcmp(found.key, last, last_size) == 0);
        }
        last[last_size - 1] ^= 1;
        status = bc_hint_find(hint, last, last_size, &buffer, &found);
        if (status == BITCASK_OK) FUZZ_CHECK(found.key_size == last_size && memcmp(found.key, last, last_size) == 0);
        last[last_size - 1] ^= 1;
    }
    FUZZ_CHECK(status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT);
    FUZZ_CHECK(keys <= bc_hint_head(hint)->keys);
    FUZZ_CHECK(status == BITCASK_CORRUPT || keys == bc_hint_head(hint)->keys);
    bc_hint_cursor_close(&cursor);
    bc_buffer_release(&buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file;
    struct bc_hint *hint = NULL;
    struct bc_hint_head head = {0};
    if (size == 0) return 0;
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & 1) fuzz_seal_hint(bytes, size - 1);
    fuzz_file_init(&file, bytes, size - 1);
    uint32_t segment_id = size - 1 >= BC_HINT_HEADER_SIZE ? bc_get_u32(bytes + BC_HINT_AT_SEGMENT_ID) : 1;
    if (bc_hint_read_head(&file.io, 0, segment_id, &head) == BITCASK_OK) {
        (void)bc_hint_looks_whole(&file.io, 0, &head);
        if (bc_hint_open(&file.io, 0, &head, true, &hint) == BITCASK_OK) {
            FUZZ_CHECK(bc_hint_memory(hint) < size * 4 + 4096);
            walk(hint);
            bc_hint_close(&hint);
        }
    }
    FUZZ_CHECK(file.open == 0 && hint == NULL);
    free(bytes);
    return 0;
}
