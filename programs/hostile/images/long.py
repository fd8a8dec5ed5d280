"""A sound Go program that is 1000 GB long: all but the first megabytes are a hole.

usage: long.py FILE PROGRAM
"""

import os
import sys

import elf

elf.Copy(sys.argv[2], sys.argv[1])
os.truncate(sys.argv[1], 1000 << 30)
