#!/usr/bin/env python3
"""Lists the entries of a bitcask hint file. Written from bitcask(5) alone, with nothing but Python.

    read_hint.py FILE.hint

A line for each key, in the order of the keys: offset and size of its record in the data file, version, size of the
value, flags, key, separated by tabs. A check that fails ends it with a message: a hint is to be believed as a whole or
not at all. The hashes of the keys and the filter are passed over, since Python has no XXH3.
"""

import struct
import sys

from read_segment import attributes, crc32c, quote

FLAGS = ["tombstone", "partition", "xattrs", None, None, "link"]


class Reader:
    """Takes numbers and bytes from a piece of memory, and never from behind its end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size > len(self.data) - self.at:
            sys.exit("cut short")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                sys.exit("a number is too long")


def read_block(entries, last_version):
    reader, key, version = Reader(entries), b"", last_version
    while reader.at < len(entries):
        shared, rest, flags = reader.number(1), reader.number(1), reader.number(1)
        reader.number(4)  # of the key's hash
        offset, value_size, delta = reader.number(4), reader.varint(), reader.varint()
        version = (version + (delta >> 1 ^ -(delta & 1))) % 2 ** 64
        record_size = reader.varint() if flags & 16 else None
        attrs_size = reader.varint() if flags & 8 else 0
        key = key[:shared] + reader.take(rest)
        if attributes(reader.take(attrs_size)) is None:
            sys.exit("bad attributes")
        if flags & (2 | 32):
            reader.number(8)
        if record_size is None:
            record_size = 26 + len(key) + attrs_size + value_size
        names = ",".join(name for bit, name in enumerate(FLAGS) if name and flags & 1 << bit) or "-"
        print(offset, record_size, version, value_size, names, quote(key), sep="\t")


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    if len(data) < 108 or data[:8] != b"bitcask\n" or struct.unpack_from("<HHI", data, 8) != (1, 2, 108):
        sys.exit("not a hint of version 1")
    if crc32c(data[:104]) != struct.unpack_from("<I", data, 104)[0]:
        sys.exit("the header is damaged")
    (segment, blocks, generation, data_size, last_version, keys, tombstones, entries_size, index_size, filter_size, salt,
     index_crc, filter_crc) = struct.unpack_from("<IIQQQQQQQQQII", data, 16)
    if len(data) != 108 + entries_size + index_size + filter_size:
        sys.exit("the areas do not fill the file")
    index = data[108 + entries_size:108 + entries_size + index_size]
    if crc32c(index) != index_crc or crc32c(data[len(data) - filter_size:]) != filter_crc:
        sys.exit("the index of the blocks, or the filter, is damaged")
    reader, at = Reader(index), 108
    for _ in range(blocks):
        size = reader.varint()
        reader.take(reader.number(1))
        block = data[at:at + size]
        if crc32c(struct.pack("<QQQ", generation, salt, at) + block[:-4]) != int.from_bytes(block[-4:], "little"):
            sys.exit(f"the block at {at} is damaged")
        read_block(block[:-4], last_version)
        at += size
    print(f"{keys} keys of segment {segment}, of the first {data_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
