#!/usr/bin/env python3
"""Lists the records of a bitcask data file. Written from bitcask(5) alone, with nothing but Python.

    read_segment.py [-l] FILE.data      -l: the attributes of each record too, behind its line

A line for each record, its fields separated by tabs: offset, size, check (ok, BAD-VALUE, or BAD for bytes that are no
record), version, size of the attributes, size of the value, flags, key. The last line, on standard error, says how far
the log is stated to be on stable storage. Exit status: 0, or 1 if something is damaged.
"""

import struct
import sys

FLAGS = ["tombstone", "more", "partition", "link", "inode", "extent", "durable"]
ATTRIBUTES = {1: "mode", 2: "uid", 3: "gid", 4: "mtime", 5: "ctime", 6: "atime", 7: "ino", 8: "rdev", 9: "xattrs",
              138: "expiry"}
TIMES = {4, 5, 6, 138}
DURABLE = 64


def make_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)  # 0x1EDC6F41, reflected
        table.append(n)
    return table


TABLE = make_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def attributes(data):
    """The list of (type, payload), or None where the bytes are no attributes."""
    found, at, last = [], 0, 0
    while at < len(data):
        kind, length, shift = data[at], 0, 0
        at += 1
        if kind <= last:
            return None
        last = kind
        while True:
            if at == len(data) or shift > 14:
                return None
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if length > len(data) - at:
            return None
        found.append((kind, data[at:at + length]))
        at += length
    return found


def show_attribute(kind, payload):
    name = ATTRIBUTES.get(kind, str(kind))
    if kind == 9:
        return f"{name}={payload.hex()}"
    value = int.from_bytes(payload, "little", signed=kind in TIMES)
    return f"{name}={value:o}" if kind == 1 else f"{name}={value}"


def read_header(data):
    if data[:8] != b"bitcask\n":
        sys.exit("not a bitcask file")
    version, kind, size = struct.unpack_from("<HHI", data, 8)
    if size < 62 or size > len(data) or crc32c(data[:size - 4]) != struct.unpack_from("<I", data, size - 4)[0]:
        sys.exit("the header is damaged: nothing in the file can be checked")
    if version != 1 or kind != 1:
        sys.exit(f"format version {version}, kind {kind}: not a data file of version 1")
    segment, lowest, generation, partition, parent, last, path_size = struct.unpack_from("<IIQQQQH", data, 16)
    path = data[58:58 + path_size]
    print(f"segment {segment} of partition {partition:016x} below {parent:016x}, last known as {quote(path)}",
          file=sys.stderr)
    return size, generation


def front_at(data, at, generation):
    """The front of the record at this offset: (version, flags, key, attributes, value's size and CRC), or None."""
    if len(data) - at < 27:
        return None
    head_crc, value_crc, version, value_size, key_size = struct.unpack_from("<IIQIB", data, at)
    attrs_size = int.from_bytes(data[at + 21:at + 24], "little")
    flags = struct.unpack_from("<H", data, at + 24)[0]
    if key_size == 0 or flags >= 128 or attrs_size > 65664 or (flags & 1 and value_size > 0):
        return None
    end = at + 26 + key_size + attrs_size
    if end + value_size > len(data):
        return None
    attrs = attributes(data[end - attrs_size:end])
    if attrs is None:
        return None
    if crc32c(struct.pack("<QQ", generation, at) + data[at + 4:end]) != head_crc:
        return None
    return version, flags, data[at + 26:at + 26 + key_size], attrs_size, attrs, end, value_size, value_crc


def quote(key):
    text = ""
    for byte in key:
        if byte in b'\\"':
            text += "\\" + chr(byte)
        else:
            text += chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"
    return f'"{text}"'


def read_segment(data, long):
    at, generation = read_header(data)
    stated, damaged = at, False
    while at < len(data):
        front = front_at(data, at, generation)
        if front is None:
            if not any(data[at:]):
                break  # room that was laid out in advance
            start = at
            while at < len(data) and (front := front_at(data, at, generation)) is None:
                at += 1
            print(start, at - start, "BAD", sep="\t")
            damaged = True
            continue
        version, flags, key, attrs_size, attrs, end, value_size, value_crc = front
        value = data[end:end + value_size]
        good = crc32c(value) == value_crc
        names = ",".join(name for bit, name in enumerate(FLAGS) if flags & 1 << bit) or "-"
        print(at, end + value_size - at, "ok" if good else "BAD-VALUE", version, attrs_size, value_size, names,
              quote(key), sep="\t")
        if long and attrs:
            print("", *(show_attribute(kind, payload) for kind, payload in attrs), sep="\t")
        if good and flags & DURABLE:
            stated = max(stated, at)
        if good and key == b"\0D" and value_size == 8:
            mark = int.from_bytes(value, "little")
            stated = max(stated, mark) if mark <= at else stated
        damaged = damaged or not good
        at = end + value_size
    print(f"{at} bytes of log, stated to be on stable storage: {stated}", file=sys.stderr)
    return damaged


def main():
    long = sys.argv[1:2] == ["-l"]
    files = sys.argv[2 if long else 1:]
    if len(files) != 1 or files[0] in ("-h", "--help"):
        sys.exit(__doc__)
    with open(files[0], "rb") as file:
        data = file.read()
    return 1 if read_segment(data, long) else 0


if __name__ == "__main__":
    sys.exit(main())
