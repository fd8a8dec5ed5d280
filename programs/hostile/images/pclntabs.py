"""A program that waits for ever, with two million words that look like the beginning of Go's table of
functions each. Whoever searches all of memory for a pointer to each takes an hour for them.

usage: pclntabs.py FILE
"""

import struct
import sys

import elf

MAGIC = struct.pack("<IHBB", 0xFFFFFFF1, 0, 1, 8)

data = elf.build_info().ljust(64, b"\0") + MAGIC * 2_000_000 + bytes(64)
elf.write(sys.argv[1], elf.program(data))
