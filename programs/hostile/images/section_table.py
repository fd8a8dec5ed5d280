"""A file that claims ten million sections (690 MB), whose table is a hole: read in one piece it costs
as much memory as it claims, and the file costs no disk. It runs, and waits for ever; Go's build
information makes it a Go program.

usage: section_table.py FILE
"""

import struct
import sys

import elf

COUNT = 10_800_000
TABLE = 0x10000

# `e_shnum` 0: the first section's size is the number (elf(5)).
first = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, COUNT, 0, 0, 0, 0)
content = elf.program(elf.build_info(), (TABLE, 0, 0)).ljust(TABLE, b"\0") + first
elf.write(sys.argv[1], content, TABLE + COUNT * elf.SECTION_HEADER)
