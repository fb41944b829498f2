"""Sparse matrices from files: Matrix Market text, and what `scipy.sparse.save_npz` writes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from ...dsl.words import counted
from ..edges.edge_set import EDGE_LIMIT, Indices, TooManyEdges


class BadMatrix(Exception):
    """Why a file is no matrix that can be read."""


@record(eq=False)
class Entries:
    """The stored entries of a matrix: row, column, int64 (entries,), and its value if it has any.

    `place` is where in the file an entry stands, `line 5` say.
    """

    shape: tuple[int, int]
    row: Indices
    column: Indices
    value: NDArray[np.float64] | None
    place: Callable[[int], str] = lambda at: f"entry {at}"


# How many bytes of a text are looked at at once, in arrays of eight bytes for each.
_BYTES_AT_ONCE = 1 << 22


def matrix_market(content: bytes) -> Entries:
    """The entries of a .mtx file; of a dense one those that are not zero. Raises `BadMatrix`."""
    banner = content[: content.find(b"\n") + 1] or content[:1024]
    words = banner.decode("latin-1").lower().split()
    if len(words) != 5 or words[:2] != ["%%matrixmarket", "matrix"]:
        raise BadMatrix("it does not begin with `%%MatrixMarket matrix`")
    layout, kind, symmetry = words[2:]
    for word, known in (
        (layout, ("coordinate", "array")),
        (kind, ("real", "integer", "pattern")),
        (symmetry, ("general", "symmetric", "skew-symmetric")),
    ):
        if word not in known:
            raise BadMatrix(f"it is `{word[:20]}`; {', '.join(f'`{k}`' for k in known)} are read")
    if layout == "array" and (kind == "pattern" or symmetry != "general"):
        raise BadMatrix("of `array` matrices only `general` ones with numbers are read")
    if kind == "pattern" and symmetry == "skew-symmetric":
        raise BadMatrix("a `pattern` has no signs, and so cannot be `skew-symmetric`")
    sizes, start = _size_line(content, len(banner))
    rows, columns, *stored = _sizes(sizes, 3 if layout == "coordinate" else 2)
    if symmetry != "general" and rows != columns:
        raise BadMatrix(f"a `{symmetry}` matrix is square, and this one is {rows:,} x {columns:,}")
    width = 1 if layout == "array" else 2 if kind == "pattern" else 3
    count = stored[0] if stored else rows * columns
    lines = _lines(content, start, width, 0 if layout == "array" else 2, all_whole=kind == "integer")
    if lines != count:
        raise BadMatrix(f"its header promises entries on {counted(count, 'line')}, and there are {lines:,}")
    if count > EDGE_LIMIT:
        raise TooManyEdges(count)
    numbers = _numbers(content[start:], count * width)

    def place(at: int) -> str:
        return f"line {_line_of(content, start, at)}"

    if layout == "array":
        dense = numbers.reshape(columns, rows).T
        row, column = np.nonzero(dense)
        return _checked(
            (rows, columns),
            row,
            column,
            dense[row, column],
            lambda at: place(int(column[at]) * rows + int(row[at])),
        )
    table = numbers.reshape(count, width)
    row, column = table[:, 0].astype(np.int64) - 1, table[:, 1].astype(np.int64) - 1
    entries = _checked((rows, columns), row, column, table[:, 2] if width == 3 else None, place, first=1)
    return entries if symmetry == "general" else _mirrored(entries, symmetry)


def _mirrored(stored: Entries, symmetry: str) -> Entries:
    """Both triangles of a matrix of which only the lower one is stored."""
    row, column, value, count = stored.row, stored.column, stored.value, len(stored.row)
    skew = symmetry == "skew-symmetric"
    wrong = row <= column if skew else row < column
    if wrong.any():
        what = "on or above" if skew else "above"
        reason = f"{stored.place(int(np.argmax(wrong)))} is {what} the diagonal"
        raise BadMatrix(f"{reason}; of a `{symmetry}` matrix only what is below it is stored")
    other = np.flatnonzero(row != column)
    sign = -1.0 if skew else 1.0
    return Entries(
        stored.shape,
        np.concatenate([row, column[other]]),
        np.concatenate([column, row[other]]),
        None if value is None else np.concatenate([value, sign * value[other]]),
        lambda at: stored.place(at if at < count else int(other[at - count])),
    )


def _size_line(content: bytes, start: int) -> tuple[bytes, int]:
    """The first line that is neither blank nor a comment, and where the next one begins."""
    while start < len(content):
        end = content.find(b"\n", start) + 1 or len(content)
        line = content[start : min(end, start + 1024)].strip()
        if line and not line.startswith(b"%"):
            return line, end
        start = end
    return b"", start


def _sizes(line: bytes, count: int) -> list[int]:
    words = line.split()
    if len(words) != count or not all(word.isdigit() and len(word) < 19 for word in words):
        raise BadMatrix(
            f"the line of its sizes is `{line[:40].decode('latin-1')}`, not {count} whole numbers"
        )
    return [int(word) for word in words]


def _lines(content: bytes, start: int, width: int, whole: int, *, all_whole: bool) -> int:
    """How many lines with numbers there are: `width` on each, of which the first `whole` are whole."""
    count = 0
    while start < len(content):
        # Lines are looked at whole.
        end = content.rfind(b"\n", start, start + _BYTES_AT_ONCE) + 1
        end = end or content.find(b"\n", start) + 1 or len(content)
        if end - start > 16 * _BYTES_AT_ONCE:
            raise BadMatrix("a line of it is too long")
        count += _lines_of(content, start, end, width, width if all_whole else whole)
        start = end
    return count


# What stands between numbers, what they are made of, and what whole ones are made of.
_BLANKS, _DIGITS = b" \t\r\n", b"0123456789"
_OF_NUMBERS = _DIGITS + b"+-.eEdDnNaAiIfFtTyY"


def _lines_of(content: bytes, start: int, end: int, width: int, whole: int) -> int:
    kinds = np.zeros(256, np.uint8)
    kinds[[*_OF_NUMBERS]], kinds[[*_DIGITS]], kinds[[*_BLANKS]] = 1, 2, 3
    data = np.frombuffer(content, np.uint8, end - start, start)
    kind = kinds[data]
    if not kind.all():
        at = start + int(np.argmax(kind == 0))
        raise BadMatrix(f"line {_number(content, at)} has something that is no number")
    inside = kind != 3
    edges = np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    breaks = np.flatnonzero(data == ord("\n"))
    # How many numbers stand before the end of each line.
    before = np.searchsorted(firsts, np.append(breaks, len(data)))
    counts = np.diff(np.concatenate([[0], before]))
    wrong = (counts != 0) & (counts != width)
    if wrong.any():
        line = _number(content, start) + int(np.argmax(wrong))
        found = int(counts[np.argmax(wrong)])
        raise BadMatrix(f"line {line} has {counted(found, 'number')} instead of {width}")
    if whole:
        other = np.concatenate([[0], np.cumsum(kind == 1)])
        signs = (data[firsts] == ord("-")) | (data[firsts] == ord("+"))
        unlike = other[ends] - other[firsts] - signs > 0
        unlike |= ends - firsts > 18
        unlike = unlike.reshape(-1, width)[:, :whole]
        if unlike.any():
            at = start + int(firsts.reshape(-1, width)[:, :whole][unlike][0])
            raise BadMatrix(f"line {_number(content, at)} has a number that is not whole")
    return int(np.count_nonzero(counts))


def _number(content: bytes, at: int) -> int:
    """The line that a byte stands on, from 1."""
    return content.count(b"\n", 0, at) + 1


def _line_of(content: bytes, start: int, entry: int) -> int:
    """The line of an entry; blank ones hold none."""
    line = _number(content, start)
    for text in io.BytesIO(content[start:]):
        entry -= bool(text.strip())
        if entry < 0:
            break
        line += 1
    return line


def _numbers(text: bytes, count: int) -> NDArray[np.float64]:
    """All numbers of a text, separated by blanks and line ends, (count,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of what is no number
        try:
            numbers = np.fromstring(text, np.float64, sep=" ") if count else np.empty(0)
        except (ValueError, DeprecationWarning):
            numbers = np.empty(0)
    if len(numbers) != count:
        raise BadMatrix("there is something in it that is no number")
    return numbers


# What scipy stores for each of its formats that are read.
_STORED = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}


def is_scipy(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether these arrays are a matrix of scipy's."""
    return "format" in arrays and "shape" in arrays


def scipy_matrix(arrays: dict[str, NDArray[Any]]) -> Entries:
    """The entries of a matrix from `scipy.sparse.save_npz`. Raises `BadMatrix`."""
    word: Any = arrays["format"].item() if arrays["format"].size == 1 else ""
    kind = word.decode("latin-1") if isinstance(word, bytes) else str(word)
    if kind not in _STORED:
        raise BadMatrix(f"its format is `{kind[:20]}`; {', '.join(f'`{k}`' for k in _STORED)} are read")
    needed = {name: arrays.get(name) for name in (*_STORED[kind], "shape", "data")}
    first, second, sizes, data = needed.values()
    if first is None or second is None or sizes is None or data is None:
        absent = next(name for name, array in needed.items() if array is None)
        raise BadMatrix(f"the array `{absent}` is missing")
    if any(array.ndim != 1 or array.dtype.kind not in "iu" for array in (first, second, sizes)):
        raise BadMatrix("its indices are no vectors of integers")
    if data.shape != first.shape or data.dtype.kind not in "biuf" or sizes.shape != (2,):
        raise BadMatrix("its arrays do not fit together")
    shape = int(sizes[0]), int(sizes[1])
    if min(shape) < 0:
        raise BadMatrix(f"its shape is {list(shape)}")
    if kind == "coo":
        if first.shape != second.shape:
            raise BadMatrix("its arrays do not fit together")
        return _checked(shape, first, second, data)
    counts = np.diff(second.astype(np.int64))
    lines = shape[0] if kind == "csr" else shape[1]
    if len(second) != lines + 1 or second[0] != 0 or second[-1] != len(first) or np.any(counts < 0):
        raise BadMatrix("its arrays do not fit together")
    along = np.repeat(np.arange(lines), counts)
    row, column = (along, first) if kind == "csr" else (first, along)
    return _checked(shape, row, column, data)


def _checked(
    shape: tuple[int, int],
    row: NDArray[Any],
    column: NDArray[Any],
    value: NDArray[Any] | None,
    place: Callable[[int], str] = Entries.place,
    first: int = 0,
) -> Entries:
    """Entries that lie within the matrix; the file counts its rows and columns from `first`."""
    if len(row) > EDGE_LIMIT:
        raise TooManyEdges(len(row))
    row, column = row.astype(np.int64), column.astype(np.int64)
    for index, size, what in ((row, shape[0], "row"), (column, shape[1], "column")):
        outside = (index < 0) | (index >= size)
        if outside.any():
            at = int(np.argmax(outside))
            number = int(index[at]) + first
            raise BadMatrix(f"{place(at)} is in {what} {number}, counted from {first}, of {size:,}")
    return Entries(shape, row, column, None if value is None else value.astype(np.float64), place)
