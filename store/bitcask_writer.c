/* bitcask_writer.c - the public API of writers and batches: arguments are checked here, the work is done below. */
#include "bitcask_parts.h"

#include "db/batch.h"
#include "db/writer.h"

bitcask_status bitcask_writer_open(bitcask_partition *partition, bitcask_value **base, bitcask_writer **writer)
{
    struct bc_value *value = base ? (struct bc_value *)*base : NULL;

    ENTER();
    bc_status status = bc_writer_open(partition->db, &value, writer);
    if (base) *base = (bitcask_value *)value;
    return status;
}

bitcask_status bitcask_writer_write(bitcask_writer *writer, uint64_t offset, const void *bytes, size_t size)
{
    ENTER();
    return bc_writer_write(writer, offset, bytes, size);
}

bitcask_status bitcask_writer_read(bitcask_writer *writer, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    ENTER();
    return bc_writer_read(writer, offset, buffer, size, got);
}

bitcask_status bitcask_writer_truncate(bitcask_writer *writer, uint64_t size)
{
    ENTER();
    return bc_writer_resize(writer, size);
}

bitcask_status bitcask_writer_punch(bitcask_writer *writer, uint64_t offset, uint64_t size)
{
    ENTER();
    return bc_writer_clear(writer, offset, size);
}

bitcask_status bitcask_writer_reserve(bitcask_writer *writer, uint64_t offset, uint64_t size)
{
    ENTER();
    return bc_writer_reserve(writer, offset, size);
}

bitcask_status bitcask_writer_seek(bitcask_writer *writer, uint64_t offset, bool hole, uint64_t *found)
{
    ENTER();
    return bc_writer_seek(writer, offset, hole, found);
}

uint64_t bitcask_writer_size(bitcask_writer *writer)
{
    uint64_t size, stored, memory;

    bc_writer_state(writer, &size, &stored, &memory);
    return size;
}

uint64_t bitcask_writer_stored(bitcask_writer *writer)
{
    uint64_t size, stored, memory;

    bc_writer_state(writer, &size, &stored, &memory);
    return stored;
}

uint64_t bitcask_writer_memory(bitcask_writer *writer)
{
    uint64_t size, stored, memory;

    bc_writer_state(writer, &size, &stored, &memory);
    return memory;
}

bitcask_status bitcask_writer_flush(bitcask_writer *writer)
{
    ENTER();
    return bc_writer_flush(writer);
}

bitcask_status bitcask_writer_commit(bitcask_writer *writer, bitcask_partition *partition, const void *key,
                                     size_t key_size, const bitcask_write_options *options, uint64_t *version)
{
    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    if (status == BITCASK_OK) status = bc_check_attrs(options ? options->attrs : NULL);
    return status == BITCASK_OK ? bc_writer_commit(writer, partition, key, key_size, options, version) : status;
}

void bitcask_writer_close(bitcask_writer **writer)
{
    bc_writer_close(writer);
}

/* ---- batches ---- */

bitcask_status bitcask_batch_open(bitcask_partition *partition, bitcask_batch **batch)
{
    ENTER();
    return bc_batch_open(partition, batch);
}

bitcask_status bitcask_batch_put(bitcask_batch *batch, const void *key, size_t key_size, const void *value,
                                 size_t value_size, const bitcask_attrs *attrs)
{
    struct bc_write write = {.key = key, .key_size = key_size, .value = value, .value_size = (uint32_t)value_size};

    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    if (status == BITCASK_OK) status = bc_check_value(value, value_size);
    if (status == BITCASK_OK) status = bc_check_attrs(attrs);
    if (status != BITCASK_OK) return status;
    if (attrs) write.attrs = *attrs;
    return bc_batch_add(batch, &write, NULL);
}

bitcask_status bitcask_batch_put_writer(bitcask_batch *batch, const void *key, size_t key_size, bitcask_writer *writer,
                                        const bitcask_attrs *attrs)
{
    struct bc_write write = {.key = key, .key_size = key_size};

    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    if (status == BITCASK_OK) status = bc_check_attrs(attrs);
    if (status != BITCASK_OK) return status;
    if (attrs) write.attrs = *attrs;
    return bc_batch_add(batch, &write, writer);
}

bitcask_status bitcask_batch_delete(bitcask_batch *batch, const void *key, size_t key_size)
{
    const struct bc_write write = {.key = key, .key_size = key_size, .flags = BC_RECORD_TOMBSTONE};

    ENTER();
    bc_status status = bitcask_check_name(key, key_size);
    return status == BITCASK_OK ? bc_batch_add(batch, &write, NULL) : status;
}

bitcask_status bitcask_batch_commit(bitcask_batch *batch, unsigned flags, uint64_t reserved, uint64_t *versions)
{
    ENTER();
    return bc_batch_commit(batch, flags, reserved, versions);
}

void bitcask_batch_clear(bitcask_batch *batch)
{
    bc_batch_clear(batch);
}

void bitcask_batch_close(bitcask_batch **batch)
{
    bc_batch_close(batch);
}
