"""A sound Go program but for its debug information: 700 kB that inflate to 700 MB of nothing.

usage: compressed.py FILE PROGRAM    (a program with debug information)
"""

import struct
import sys
import zlib

import elf

SIZE = 700_000_000
COMPRESSED = 0x800

compressor = zlib.compressobj(9)
stream = b"".join(compressor.compress(bytes(1_000_000)) for _ in range(SIZE // 1_000_000))
# `Elf64_Chdr`: zlib, the size, the alignment.
content = struct.pack("<IIQQ", 1, 0, SIZE, 1) + stream + compressor.flush()
copy = elf.Copy(sys.argv[2], sys.argv[1])
at = copy.append(content)
copy.change(copy.section(b".debug_info"), offset=at, size=len(content), flags=COMPRESSED)
