#!/usr/bin/env python3
"""A second reader of flists, from FORMAT.md alone: second_reader.py FILE lists the image.

It checks what it needs to read, no more, and needs the `zstd` program. The tests compare its
listing with what the library reads.
"""

import struct
import subprocess
import sys


def unzstd(frame):
    return subprocess.run(["zstd", "-dcq"], input=frame, stdout=subprocess.PIPE, check=True).stdout


def sections(file):
    magic, version, count, _, incompat, length = struct.unpack_from("<8sIIIIQ", file)
    assert magic == b"\x93flist\r\n" and version == 1 and incompat == 0 and length == len(file)
    contents, end = {}, 64 + 32 * count
    for row in range(count):
        tag, flags, offset, stored, length = struct.unpack_from("<4sIQQQ", file, 64 + 32 * row)
        assert offset == end, "sections follow each other"
        end = offset + stored
        contents[tag.decode("ascii")] = unzstd(file[offset:end]) if flags & 1 else file[offset:end]
        assert len(contents[tag.decode("ascii")]) == length
    assert end == len(file)
    return contents


class Column:
    """Reads a section from its beginning to its end."""

    def __init__(self, contents, tag):
        self.bytes, self.at = contents.get(tag, b""), 0

    def left(self):
        return self.at < len(self.bytes)

    def take(self, count):
        self.at += count
        assert self.at <= len(self.bytes)
        return self.bytes[self.at - count : self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        z = self.number()
        return z // 2 if z % 2 == 0 else -(z + 1) // 2

    def difference(self, base):
        return (base + self.signed()) % 2**64

    def string(self):
        start, self.at = self.at, self.bytes.index(0, self.at) + 1
        return self.bytes[start : self.at - 1]

    def counted(self):
        return self.take(self.number())


def listing(file):
    contents = sections(file)
    columns = {}

    def col(tag):
        return columns.setdefault(tag, Column(contents, tag))

    modes = []
    while col("imod").left():
        modes.append(col("imod").number())
    births = col("bsec").left()
    position, following = 0, 2
    for ino, mode in enumerate(modes, 1):
        line = f"inode {ino}: {mode:o} {col('iuid').number()}:{col('igid').number()}"
        line += f" {col('isec').signed()}+{col('insc').number()} xattrs {col('ixat').number()}"
        if births:
            line += f" born {col('bsec').signed()}+{col('bnsc').number()}"
        yield line
        kind = mode >> 12
        if kind == 0o10:
            size, count = col("fsiz").number(), col("fext").number()
            yield f"  size {size}"
            extents, end = [], 0
            if count == 0 and size > 0:
                extents = [(0, size)]
            for _ in range(count - 1):
                start, length = end + col("ehol").number(), col("elen").number()
                extents.append((start, length))
                end = start + length
            for start, length in extents:
                position = col("epos").difference(position)
                yield f"  extent {start} {length} at {position}"
                position += length
        elif kind == 0o12:
            yield f"  to {col('ltgt').string().hex()}"
        elif kind in (0o6, 0o2):
            number = col("vdev").number()
            yield f"  device {number >> 20}:{number % 2**20}"
        elif kind == 0o4:
            name = b""
            while rest := col("dnam").string():
                name = name[: col("dpre").number()] + rest
                target = col("dino").number()
                if target == 0:
                    target, following = following, following + 1
                yield f"  entry {name.hex()} {target}"
    while col("xset").left():
        yield "xattr set"
        for _ in range(col("xset").number()):
            yield f"  {col('xset').counted().hex()}={col('xset').counted().hex()}"
    pack = end = 0
    while col("clen").left():
        length, stored = col("clen").number(), col("csto").number()
        before, pack = pack, col("cpak").difference(pack)
        offset = col("coff").difference(end if pack == before else 0)
        end = offset + stored
        yield f"chunk {length} stored {stored} in {pack} at {offset} id {col('chid').take(32).hex()}"
    while col("plen").left():
        yield f"pack {col('plen').number()} id {col('pkid').take(32).hex()}"
    if col("prof").left():
        yield f"profile of {col('prof').number()} chunks"
    while col("meta").left():
        yield f"meta {col('meta').counted().hex()}={col('meta').counted().hex()}"
    assert not any(column.left() for column in columns.values()), "nothing is left over"


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as flist:
        print("\n".join(listing(flist.read())))
