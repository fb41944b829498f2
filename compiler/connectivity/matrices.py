"""Sparse matrices from files: Matrix Market text, and what `scipy.sparse.save_npz` writes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .edge_set import Indices


class BadMatrix(Exception):
    """Why a file is no matrix that can be read."""


@dataclass(frozen=True, eq=False)
class Entries:
    """The stored entries of a matrix: row, column, int64 (entries,), and its value if it has any."""

    shape: tuple[int, int]
    row: Indices
    column: Indices
    value: NDArray[np.float64] | None


def matrix_market(content: bytes) -> Entries:
    """The entries of a .mtx file; of a dense one those that are not zero. Raises `BadMatrix`."""
    banner, _, rest = content.partition(b"\n")
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
    while rest.lstrip().startswith(b"%"):
        rest = rest.partition(b"\n")[2]
    sizes, _, rest = rest.lstrip().partition(b"\n")
    rows, columns, *stored = _sizes(sizes, 3 if layout == "coordinate" else 2)
    width = 1 if layout == "array" else 2 if kind == "pattern" else 3
    count = stored[0] if stored else rows * columns
    numbers = _numbers(rest)
    if len(numbers) != count * width:
        raise BadMatrix(
            f"its header promises {count:,} entries, {count * width:,} numbers; it has {len(numbers):,}"
        )
    if layout == "array":
        dense = numbers.reshape(columns, rows).T
        row, column = np.nonzero(dense)
        return _checked((rows, columns), row, column, dense[row, column])
    table = numbers.reshape(count, width)
    row, column = _whole(table[:, 0]) - 1, _whole(table[:, 1]) - 1
    value = table[:, 2] if width == 3 else None
    if symmetry != "general":
        # Only one triangle is stored.
        other = row != column
        sign = -1.0 if symmetry == "skew-symmetric" else 1.0
        row, column = np.concatenate([row, column[other]]), np.concatenate([column, row[other]])
        value = None if value is None else np.concatenate([value, sign * value[other]])
    return _checked((rows, columns), row, column, value)


def _sizes(line: bytes, count: int) -> list[int]:
    words = line.split()
    if len(words) != count or not all(word.isdigit() and len(word) < 19 for word in words):
        raise BadMatrix(
            f"the line of its sizes is `{line[:40].decode('latin-1')}`, not {count} whole numbers"
        )
    return [int(word) for word in words]


def _numbers(text: bytes) -> NDArray[np.float64]:
    """All numbers of a text, separated by blanks and line ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of what is no number
        try:
            return np.fromstring(text.decode("ascii"), np.float64, sep=" ") if text.strip() else np.empty(0)
        except (ValueError, DeprecationWarning):
            raise BadMatrix("there is something in it that is no number") from None


def _whole(values: NDArray[np.float64]) -> Indices:
    if not np.all((values == np.floor(values)) & (np.abs(values) < 2.0**53)):
        raise BadMatrix("an index in it is no whole number")
    return values.astype(np.int64)


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
    shape: tuple[int, int], row: NDArray[Any], column: NDArray[Any], value: NDArray[Any] | None
) -> Entries:
    """Entries that lie within the matrix."""
    row, column = row.astype(np.int64), column.astype(np.int64)
    for index, size, what in ((row, shape[0], "row"), (column, shape[1], "column")):
        outside = (index < 0) | (index >= size)
        if outside.any():
            at = int(np.argmax(outside))
            raise BadMatrix(f"entry {at} is in {what} {index[at]}, counted from 0, of {size}")
    return Entries(shape, row, column, None if value is None else value.astype(np.float64))
