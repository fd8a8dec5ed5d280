"""Making ELF files that are not what they seem: what the other scripts of this folder share.

Each takes the file to write, and some a sound Go program to change. What they write costs a few
megabytes of disk at most, whatever its headers claim.
"""

import os
import shutil
import struct
import sys

SECTION_HEADER = 64
# Waits for ever: pause(); again.
PAUSE = bytes.fromhex("b8220000000f05ebf7")
BUILD_INFO = b"\xff Go buildinf:\x08\x02" + bytes(16)


def build_info(version=b"go1.27.3"):
    """What the linker writes first into the data segment: the version, and no modules."""
    return BUILD_INFO + bytes([len(version)]) + version + b"\0"


def program(data, sections=None):
    """An executable that waits for ever, with `data` in its writable segment at 0x600000.

    `sections`: the offset of the section table, its number of entries, and the index of the names.
    """
    code = PAUSE.ljust(16, b"\x90")
    text_at, data_at = 0x1000, 0x2000
    offset, number, names = sections or (0, 0, 0)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0x400000 + text_at, 64, offset, 0, 64, 56, 2, 64, number, names
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, text_at, 0x400000 + text_at, 0, len(code), len(code), 4096)
    load += struct.pack("<IIQQQQQQ", 1, 6, data_at, 0x600000, 0, len(data), len(data), 4096)
    return (header + load).ljust(text_at, b"\0") + code.ljust(data_at - text_at, b"\0") + data


def write(path, content, length=None):
    with open(path, "wb") as file:
        file.write(content)
        if length is not None:
            file.truncate(length)
    os.chmod(path, 0o755)


class Copy:
    """A copy of a sound program, whose section headers can be changed."""

    def __init__(self, source, path):
        shutil.copyfile(source, path)
        os.chmod(path, 0o755)
        self.file = open(path, "r+b")
        self.table = self.number(0x28, "Q")
        self.count = self.number(0x3C, "H")
        names = self.header(self.number(0x3E, "H"))
        self.names = self.bytes(names["offset"], names["size"])

    def bytes(self, at, length):
        self.file.seek(at)
        return self.file.read(length)

    def number(self, at, kind):
        return struct.unpack("<" + kind, self.bytes(at, struct.calcsize(kind)))[0]

    def header(self, index):
        raw = self.bytes(self.table + index * SECTION_HEADER, SECTION_HEADER)
        fields = ("name", "kind", "flags", "addr", "offset", "size", "link", "info", "align", "entry")
        return dict(zip(fields, struct.unpack("<IIQQQQIIQQ", raw)))

    def section(self, wanted):
        """The index of a section by name."""
        for index in range(self.count):
            start = self.header(index)["name"]
            if self.names[start : self.names.index(b"\0", start)] == wanted:
                return index
        sys.exit(f"the program has no section {wanted.decode()}")

    def change(self, index, **changes):
        header = {**self.header(index), **changes}
        self.file.seek(self.table + index * SECTION_HEADER)
        self.file.write(struct.pack("<IIQQQQIIQQ", *header.values()))

    def append(self, content):
        """Adds `content` at the end, and answers where that is."""
        at = self.file.seek(0, os.SEEK_END)
        self.file.write(content)
        return at

    def hole(self, length):
        """Adds a hole at the end, and answers where that is."""
        at = (self.file.seek(0, os.SEEK_END) + 4095) // 4096 * 4096
        self.file.truncate(at + length)
        return at
