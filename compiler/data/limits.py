"""How much one file may hold: a spec may come from a stranger, and no file of it may fill the memory.

Each is checked before anything of that size is made. What edges a set may have is `edge_set.EDGE_LIMIT`.
"""

from __future__ import annotations

# Bytes of a file, and of one that is text.
FILE_SIZE_LIMIT = 4 << 30
TEXT_SIZE_LIMIT = 3 << 30
# Bytes of a text that is read line by line in Python, which takes many times its size.
LINES_SIZE_LIMIT = 256 << 20
# Bytes that a file may unpack to: the first whatever its size, a hundred times its size up to the second.
UNPACKED_LIMIT = 1 << 30
MOST_UNPACKED_LIMIT = 4 << 30
UNPACKED_RATIO = 100
# Columns of a table, and values in all of them together.
COLUMN_LIMIT = 100_000
VALUE_LIMIT = 400_000_000
# Tables from larger files are not kept: to read one again costs less than the memory.
KEPT_SIZE_LIMIT = 64 << 20


def unpacked_limit(size: int) -> int:
    """How many bytes a file of this size may unpack to."""
    return min(max(UNPACKED_LIMIT, UNPACKED_RATIO * size), MOST_UNPACKED_LIMIT)
