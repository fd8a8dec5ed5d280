"""A sound Go program but for its symbol table: 3 GB, and a hole.

usage: symbol_table.py FILE PROGRAM    (a program that was not stripped)
"""

import sys

import elf

copy = elf.Copy(sys.argv[2], sys.argv[1])
length = 3_000_000_000 // 24 * 24
copy.change(copy.section(b".symtab"), offset=copy.hole(length), size=length)
