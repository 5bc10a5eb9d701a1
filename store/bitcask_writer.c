/* bitcask_writer.c - the public API of writers: arguments are checked here, the work is done below. */
#include "bitcask_parts.h"

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
