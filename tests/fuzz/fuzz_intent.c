/* fuzz_intent.c - the value of a redo intent, of any bytes: records one after another to the end, or CORRUPT.
 *
 * What was decoded and is encoded again must give the same bytes.
 */
#include "base/crc.h"
#include "fuzz.h"
#include "log/intent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bc_buffer again = {0};
    struct bc_redo redo;
    size_t offset = 0, before = 0;
    bc_status status;
    if (size == 0) return 0;
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    if (data[0] & 1) fuzz_seal_intent(bytes, size - 1);
    while ((status = bc_intent_next(bytes, size - 1, &offset, &redo)) == BITCASK_OK) {
        FUZZ_CHECK(offset > before && offset <= size - 1);
        fuzz_touch(redo.record.key, redo.record.key_size);
        fuzz_touch(redo.record.attrs, redo.record.attrs_size);
        fuzz_touch(redo.record.value, redo.record.value_size);
        FUZZ_CHECK(bc_intent_add(&again, redo.partition_id, &redo.record) == BITCASK_OK);
        before = offset;
    }
    FUZZ_CHECK(status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT);
    FUZZ_CHECK(status == BITCASK_CORRUPT || offset == size - 1);
    FUZZ_CHECK(again.size == before && (before == 0 || memcmp(again.data, bytes, before) == 0));
    bc_buffer_release(&again);
    free(bytes);
    return 0;
}
