/* attrs.h - the attributes of a record on disk: type, length, payload, one after another.
 *
 * A type is one byte; its top bit says that a reader which does not know it must refuse the record. A length is
 * LEB128 (at most 3 bytes), integers are little-endian with their leading zero bytes left out, so that uid 0 is
 * two bytes. Types come in ascending order, each at most once. Times are stored as two's complement, whole 8 bytes.
 */
#ifndef BC_ATTRS_H
#define BC_ATTRS_H

#include "base/bytes.h"

#define BC_ATTRS_SIZE_MAX (BITCASK_XATTRS_MAX + 128u) /* encoded bytes; more is corrupt */

enum bc_attr_type {
    BC_ATTR_MODE = 1,
    BC_ATTR_UID = 2,
    BC_ATTR_GID = 3,
    BC_ATTR_MTIME = 4,
    BC_ATTR_CTIME = 5,
    BC_ATTR_ATIME = 6,
    BC_ATTR_INO = 7,
    BC_ATTR_RDEV = 8,
    BC_ATTR_XATTRS = 9,
    BC_ATTR_EXPIRY = 0x80 | 10 /* to ignore it would bring the dead back */
};

/* Encoded size of attrs, in bytes. */
size_t bc_attrs_size(const bitcask_attrs *attrs);

/* Encodes into out, which has room for bc_attrs_size(). xattrs_size is at most BITCASK_XATTRS_MAX (asserted). */
void bc_attrs_encode(const bitcask_attrs *attrs, uint8_t *out);

/* Decodes size bytes; attrs->xattrs points into data. CORRUPT on a bad length, order or range, and NEWER_FORMAT
 * for an unknown type that must be understood; other unknown types are skipped. */
bc_status bc_attrs_decode(const uint8_t *data, size_t size, bitcask_attrs *attrs);

/* Whether size bytes are types and lengths that add up, whatever the payloads say; no detail line. So cheap that a
 * search for records can ask it before it computes a CRC over what may be 64 KiB. */
bool bc_attrs_plausible(const uint8_t *data, size_t size);

/* Sets the members present in `from` in `into`, keeps its others. Pointers are copied, not what they point at. */
void bc_attrs_merge(bitcask_attrs *into, const bitcask_attrs *from);

#endif
