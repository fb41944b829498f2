"""The files that a spec reads, read again: tables by Python's csv, arrays by NumPy."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .expected import Expected
from .rules import Statement, unit_of


def read_file(name: str, sha256: str, tests: Path) -> bytes:
    """The content of a file that the spec reads, as it was when the spec was compiled.

    It is looked for in the folders that NNSPEC_SPEC_FOLDER names, in those around the tests, and in the ones
    beside them. The test is skipped where there is no such file, and fails where there is only one with
    another content.
    """
    told = filter(None, os.environ.get("NNSPEC_SPEC_FOLDER", "").split(os.pathsep))
    around = tests.resolve().parents
    beside = (path for folder in around[:2] for path in sorted(folder.glob("*")))
    folders = dict.fromkeys([*map(Path, told), *around, *beside])
    found = [folder / name for folder in folders if os.path.isfile(folder / name)]
    if not found:
        pytest.skip(
            f"`{name}`, which the spec reads, is not here: NNSPEC_SPEC_FOLDER names the spec's folder"
        )
    for path in found:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    raise AssertionError(f"`{name}` has changed since the spec was compiled: compile it again")


def text_of(content: bytes) -> str:
    """A text in UTF-8, without the mark that some programs begin it with."""
    return content.decode("utf-8").removeprefix("\ufeff")


def rows_of(name: str, content: bytes, *, header: bool = True) -> Iterator[dict[str, str]]:
    """The rows of a table, of a file of gene sets or of named vectors: texts by the names of columns."""
    kind = name.rpartition(".")[2].lower()
    if kind == "gmt":
        yield from gene_sets(content)
        return
    if kind == "npz":
        yield from vectors(content)
        return
    reader = csv.reader(
        io.StringIO(text_of(content), newline=""), delimiter="\t" if kind == "tsv" else ",", strict=True
    )
    rows = (row for row in reader if len(row) > 1 or "".join(row).strip())
    columns = [column.strip() for column in next(rows)] if header else None
    for row in rows:
        yield dict(zip(columns or map(str, range(len(row))), row, strict=True))


def gene_sets(content: bytes) -> Iterator[dict[str, str]]:
    """A row for every member of every set of a .gmt file."""
    for line in text_of(content).replace("\r\n", "\n").split("\n"):
        if line.strip():
            name, description, *members = line.split("\t")
            for member in filter(None, members):
                yield {"set": name, "description": description, "member": member}


def vectors(content: bytes) -> Iterator[dict[str, str]]:
    """The rows of an archive of vectors; `x.names` are the names of what `x` has the numbers of."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    columns = {
        name: arrays[f"{name}.names"][array] if f"{name}.names" in arrays else array
        for name, array in arrays.items()
        if not (name.endswith(".names") and name.removesuffix(".names") in arrays)
    }
    for row in zip(*(column.tolist() for column in columns.values()), strict=True):
        yield dict(zip(columns, map(str, row), strict=True))


def whole(text: str) -> int:
    """A whole number from its text."""
    return int(text)


def number(text: str) -> int | float:
    """A number from its text, a whole one where there is no point or exponent."""
    text = text.strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else float(text)


# ------------------------------------------------------------------------------------------------- names


class Axis:
    """The names of an axis's units, in order, and for each the row of the table that it is from, if any."""

    def __init__(self, names: Iterable[str], rows: Sequence[dict[str, str]] = ()) -> None:
        self.names, self.rows = tuple(names), rows

    @cached_property
    def places(self) -> dict[str, int]:
        """The number of the unit of each name."""
        return {name: unit for unit, name in enumerate(self.names)}

    def text(self, field: str, unit: int) -> str:
        """A field of a unit."""
        return self.rows[unit][field]

    def number(self, field: str, unit: int) -> int | float:
        """A field of a unit, as a number."""
        return number(self.rows[unit][field])

    def is_numeric(self, field: str) -> bool:
        """Whether all values of a field are numbers."""
        try:
            return bool(np.isfinite([float(row[field]) for row in self.rows]).all())
        except ValueError:
            return False

    def some(self, wanted: Callable[[int], bool]) -> Axis:
        """Some of the units, in order."""
        kept = [unit for unit in range(len(self.names)) if wanted(unit)]
        rows = [self.rows[unit] for unit in kept] if self.rows else ()
        return Axis([self.names[unit] for unit in kept], rows)

    def __or__(self, other: Axis) -> Axis:
        added = [name for name in other.names if name not in self.places]
        return Axis([*self.names, *added]) if added else self

    def __and__(self, other: Axis) -> Axis:
        return self.some(lambda unit: self.names[unit] in other.places)

    def __sub__(self, other: Axis) -> Axis:
        return self.some(lambda unit: self.names[unit] not in other.places)


def names_of_lines(content: bytes) -> Axis:
    """The lines of a text as names, each where it stands first."""
    text = text_of(content).replace("\r\n", "\n").removesuffix("\n")
    return Axis(dict.fromkeys(text.split("\n") if text else []))


def names_of_rows(rows: Iterable[dict[str, str]], column: str) -> Axis:
    """The names in a column, each where it stands first."""
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        first.setdefault(row[column], row)
    return Axis(first, [*first.values()])


def reached(edges: Statement, at: int, axis: Axis, bound: Collection[str] | None, other: Axis) -> Axis:
    """The units of an axis at one end of edges, 0 or 1, whose other end is one of the bounding names."""
    wanted = {edge[at] for edge in edges.whole if bound is None or other.names[edge[1 - at]] in bound}
    return axis.some(lambda unit: unit in wanted)


def alike(left: Axis, field: str, unit: int, right: Axis, other: str, at: int) -> bool:
    """Whether fields of two units are equal: as numbers if all values of both are numbers, else as texts."""
    if left.is_numeric(field) and right.is_numeric(other):
        return left.number(field, unit) == right.number(other, at)
    return left.text(field, unit) == right.text(other, at)


def renamed(unit: int, own: Axis, other: Axis) -> int | None:
    """The unit of another axis that has the name of a unit, if there is one."""
    return other.places.get(own.names[unit])


def by_name(
    edges: Iterable[Any],
    source: Sequence[tuple[Axis, Axis] | None],
    target: Sequence[tuple[Axis, Axis] | None],
) -> Iterator[Any]:
    """Edges between other axes that share names: along each dimension the axis of the set, and the other."""
    for edge in edges:
        ends: list[Any] = []
        for unit, axes in zip(edge, (source, target), strict=True):
            index = unit if isinstance(unit, tuple) else (unit,)
            place = tuple(
                renamed(part, *pair) if pair else part for part, pair in zip(index, axes, strict=True)
            )
            ends.append(place[0] if len(place) == 1 else place)
        yield ends[0], ends[1]


def check_axis_names(expected: Expected, axis: str, stated: Axis) -> None:
    """The stored names of an axis, one behind the other in UTF-8, are those that the spec states."""
    texts = [name.encode() for name in stated.names]
    assert bytes(expected.stored[f"{axis}.names"]) == b"".join(texts), f"{axis}: other names are stored"
    ends = np.cumsum([len(text) for text in texts])
    assert np.array_equal(expected.stored[f"{axis}.name_ends"], ends), f"{axis}: names end elsewhere"


# ---------------------------------------------------------------------------------------------- matrices


def matrix(
    name: str, content: bytes, rows: str, source: tuple[int, ...], target: tuple[int, ...]
) -> Iterator[Any]:
    """The edges of a matrix whose rows are the units of the `source` or of the `target`, of these shapes."""
    entries = market_entries(content) if name.lower().endswith(".mtx") else array_entries(content)
    for row, column in entries:
        s, t = (row, column) if rows == "source" else (column, row)
        yield unit_of(s, source), unit_of(t, target)


def array_entries(content: bytes) -> Iterator[tuple[int, int]]:
    """The entries of a matrix of NumPy's that are not zero, or those that one of SciPy's stores."""
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        dense: Any = loaded
    elif "format" not in loaded.files:
        (name,) = loaded.files
        dense = loaded[name]
    else:
        kind = (
            str(loaded["format"].item(), "ascii") if loaded["format"].dtype.kind == "S" else loaded["format"]
        )
        if kind == "coo":
            yield from zip(loaded["row"].tolist(), loaded["col"].tolist(), strict=True)
            return
        inner, ends = loaded["indices"].tolist(), loaded["indptr"].tolist()
        for outer, (first, last) in enumerate(pairwise(ends)):
            for at in inner[first:last]:
                yield (outer, at) if kind == "csr" else (at, outer)
        return
    yield from zip(*(along.tolist() for along in np.nonzero(dense)), strict=True)


def market_entries(content: bytes) -> Iterator[tuple[int, int]]:
    """The entries of a Matrix Market file: those that it stores, or of an array those that are not zero."""
    lines = content.decode("latin-1").splitlines()
    _, _, layout, _, symmetry = lines[0].lower().split()
    numbers = (line.split() for line in lines[1:] if line.strip() and not line.lstrip().startswith("%"))
    height = int(next(numbers)[0])
    for at, words in enumerate(numbers):
        if layout == "array":
            if float(words[0]):
                yield at % height, at // height
            continue
        row, column = int(words[0]) - 1, int(words[1]) - 1
        yield row, column
        if symmetry != "general" and row != column:
            yield column, row
