"""A sound position-independent Go program but for its relocations: 3 GB, and a hole.

usage: relocations.py FILE PROGRAM    (built with -buildmode=pie)
"""

import sys

import elf

copy = elf.Copy(sys.argv[2], sys.argv[1])
tables = [index for index in range(copy.count) if copy.header(index)["kind"] == 4]
if not tables:
    sys.exit("the program has no relocations")
length = 3_000_000_000 // 24 * 24
copy.change(tables[0], offset=copy.hole(length), size=length)
