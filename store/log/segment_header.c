/* segment_header.c - the header of a data file, to bytes and back, and the names of data files.
 *
 * Pure functions on memory. The decoder takes its bytes for hostile: it holds each length against the bytes given to
 * it and the size of the file before it is used. Of a header of any version these stay where they are: magic,
 * version, kind, header size, and the CRC in the header's last four bytes. So a newer file can be told from a damaged
 * one.
 */
#include "log/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc.h"

enum {
    AT_MAGIC = 0,
    AT_FORMAT = 8,
    AT_KIND = 10,
    AT_HEADER_SIZE = 12,
    AT_SEGMENT_ID = 16,
    AT_LOWEST_ID = 20,
    AT_GENERATION = 24,
    AT_PARTITION_ID = 32,
    AT_PARENT_ID = 40,
    AT_LAST_VERSION = 48,
    AT_PATH_SIZE = 56,
    AT_PATH = 58,
    MAGIC_SIZE = 8,
    CRC_SIZE = 4
};

_Static_assert(AT_PATH + CRC_SIZE == BC_SEGMENT_HEADER_FIXED, "the fixed part and the CRC");
_Static_assert(sizeof BC_SEGMENT_MAGIC - 1 == MAGIC_SIZE, "the magic is eight bytes");

void bc_segment_name(uint32_t segment_id, char name[16])
{
    snprintf(name, 16, "%06" PRIu32 ".data", segment_id);
}

bool bc_segment_parse_name(const char *name, uint32_t *segment_id)
{
    uint64_t id = 0;
    const char *p = name;
    for (; *p >= '0' && *p <= '9'; p++) {
        id = id * 10 + (uint64_t)(*p - '0');
        if (id > UINT32_MAX) return false;
    }
    /* One id has one name: "7.data" beside "000007.data" would be a second segment of the same id. */
    char expected[16];
    bc_segment_name((uint32_t)id, expected);
    if (strcmp(name, expected) != 0) return false;
    *segment_id = (uint32_t)id;
    return true;
}

size_t bc_segment_header_encode(const struct bc_segment_header *header, uint8_t *out, size_t room)
{
    size_t path_size = strnlen(header->path, BC_SEGMENT_PATH_MAX);
    size_t size = BC_SEGMENT_HEADER_FIXED + path_size;
    if (room < size) return size;

    memcpy(out + AT_MAGIC, BC_SEGMENT_MAGIC, MAGIC_SIZE);
    bc_put_u16(out + AT_FORMAT, BC_FORMAT_VERSION);
    bc_put_u16(out + AT_KIND, BC_KIND_DATA);
    bc_put_u32(out + AT_HEADER_SIZE, (uint32_t)size);
    bc_put_u32(out + AT_SEGMENT_ID, header->segment_id);
    bc_put_u32(out + AT_LOWEST_ID, header->lowest_id);
    bc_put_u64(out + AT_GENERATION, header->generation);
    bc_put_u64(out + AT_PARTITION_ID, header->partition_id);
    bc_put_u64(out + AT_PARENT_ID, header->parent_id);
    bc_put_u64(out + AT_LAST_VERSION, header->last_version);
    bc_put_u16(out + AT_PATH_SIZE, (uint16_t)path_size);
    memcpy(out + AT_PATH, header->path, path_size);
    bc_put_u32(out + AT_PATH + path_size, bc_crc32c(0, out, AT_PATH + path_size));
    return size;
}

static bc_status cut_short(const char *file_name)
{
    return bc_fail(BITCASK_CORRUPT, "%s: header: cut short", file_name);
}

static bc_status newer(const char *file_name, unsigned format)
{
    return bc_fail(BITCASK_NEWER_FORMAT, "%s: format %u is newer than this version of bitcask reads (%u)", file_name,
                   format, BC_FORMAT_VERSION);
}

bc_status bc_segment_header_decode(const uint8_t *data, size_t available, uint64_t file_size, const char *file_name,
                                   struct bc_segment_header *header)
{
    if (file_size == 0) return bc_fail(BITCASK_CORRUPT, "%s: header: empty file", file_name);
    if (available > file_size) available = (size_t)file_size;
    if (memcmp(data, BC_SEGMENT_MAGIC, available < MAGIC_SIZE ? available : MAGIC_SIZE) != 0)
        return bc_fail(BITCASK_CORRUPT, "%s: header: not a data file", file_name);
    if (available < AT_SEGMENT_ID) return cut_short(file_name);

    unsigned format = bc_get_u16(data + AT_FORMAT);
    uint32_t size = bc_get_u32(data + AT_HEADER_SIZE);
    if (size > file_size) return cut_short(file_name);
    if (size > available || size < BC_SEGMENT_HEADER_FIXED) {
        /* A newer format may have more to say than a caller of this one reads. */
        if (format > BC_FORMAT_VERSION && size > available) return newer(file_name, format);
        return bc_fail(BITCASK_CORRUPT, "%s: header: bad size of %" PRIu32 " bytes", file_name, size);
    }
    if (bc_get_u32(data + size - CRC_SIZE) != bc_crc32c(0, data, size - CRC_SIZE))
        return bc_fail(BITCASK_CORRUPT, "%s: header: checksum does not match", file_name);
    if (format > BC_FORMAT_VERSION) return newer(file_name, format);
    if (format != BC_FORMAT_VERSION || bc_get_u16(data + AT_KIND) != BC_KIND_DATA)
        return bc_fail(BITCASK_CORRUPT, "%s: header: not a data file", file_name);

    size_t path_size = bc_get_u16(data + AT_PATH_SIZE);
    if (path_size > BC_SEGMENT_PATH_MAX || path_size + BC_SEGMENT_HEADER_FIXED != size ||
        memchr(data + AT_PATH, '\0', path_size) != NULL)
        return bc_fail(BITCASK_CORRUPT, "%s: header: bad path", file_name);

    header->segment_id = bc_get_u32(data + AT_SEGMENT_ID);
    header->lowest_id = bc_get_u32(data + AT_LOWEST_ID);
    header->generation = bc_get_u64(data + AT_GENERATION);
    header->partition_id = bc_get_u64(data + AT_PARTITION_ID);
    header->parent_id = bc_get_u64(data + AT_PARENT_ID);
    header->last_version = bc_get_u64(data + AT_LAST_VERSION);
    header->header_size = size;
    memcpy(header->path, data + AT_PATH, path_size);
    header->path[path_size] = '\0';
    return BITCASK_OK;
}
