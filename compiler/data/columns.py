"""Columns of tables as they are held: numbers as arrays, texts as numbers of distinct words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from ..edges.edge_set import Indices

Mask = NDArray[np.bool_]
Codes = NDArray[np.integer[Any]]

_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_DIGITS = len(str(_MOST))


class Unusable(Exception):
    """Why a file is no table, and what would help."""

    def __init__(self, reason: str, help: str | tuple[()] = ()) -> None:
        self.reason, self.help = reason, help
        super().__init__(reason)


@record(eq=False)
class Words:
    """The distinct texts of a column, and what each of them is as a number."""

    texts: Sequence[str]

    @cached_property
    def code(self) -> dict[str, int]:
        """The place of each word."""
        return {text: at for at, text in enumerate(self.texts)}

    @cached_property
    def whole(self) -> tuple[Indices, Mask]:
        """Each word as an integer of 64 bits, (words,), and where it is one."""
        together = "".join(self.texts)
        # Most columns of numbers have nothing but digits.
        lengths = {*map(len, self.texts)}
        if together.isascii() and together.isdecimal() and 0 not in lengths and max(lengths) < _DIGITS:
            found = np.fromiter(map(int, self.texts), np.int64, len(self.texts))
            return found, np.ones(len(self.texts), bool)
        return _filled([_whole(text) for text in self.texts], np.int64)

    @cached_property
    def numbers(self) -> tuple[NDArray[np.float64], Mask]:
        """Each word as a number, float64 (words,), and where it is a finite one."""
        together = "".join(self.texts)
        if together.isascii() and "_" not in together:
            try:
                found = np.fromiter(map(float, self.texts), np.float64, len(self.texts))
            except ValueError:
                pass
            else:
                return found, np.isfinite(found)
        found, right = _filled([_number(text) for text in self.texts], np.float64)
        return found, right & np.isfinite(found)


def _whole(text: str) -> int | None:
    text = text.strip()
    if not _WHOLE.fullmatch(text) or len(text.lstrip("+-0")) > _DIGITS:
        return None
    sign = -1 if text.startswith("-") else 1
    value = sign * int(text.lstrip("+-0") or "0")
    return value if _LEAST <= value <= _MOST else None


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _filled(values: Sequence[float | None], kind: type[Any]) -> tuple[NDArray[Any], Mask]:
    """Numbers as an array, zero where there is none, and where there are some."""
    right = np.array([value is not None for value in values], bool)
    return np.array([value or 0 for value in values], kind), right


class Values:
    """What a column holds, (rows,)."""

    @property
    def height(self) -> int:
        """Number of rows."""
        raise NotImplementedError

    def coded(self) -> Coded:
        """The values as they are written. Raises `Unusable` where they are neither texts nor numbers."""
        raise NotImplementedError

    def at(self, rows: Indices) -> Values:
        """The values in these rows."""
        return self.coded().at(rows)

    def whole(self) -> tuple[Indices, Mask]:
        """The values as integers of 64 bits, (rows,), and where they are some."""
        return self.coded().whole()

    def numbers(self) -> tuple[NDArray[np.float64], Mask]:
        """The values as numbers, float64 (rows,), and where they are finite ones."""
        return self.coded().numbers()


@record(eq=False)
class Coded(Values):
    """Texts: for each row the place of its text among distinct words, (rows,)."""

    codes: Codes
    words: Words

    @staticmethod
    def of(texts: Iterable[str]) -> Coded:
        """Texts one by one."""
        places: dict[str, int] = {}
        codes = [places.setdefault(text, len(places)) for text in texts]
        return Coded(np.array(codes, np.int32), Words([*places]))

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.codes)

    def coded(self) -> Coded:
        """The texts themselves."""
        return self

    def at(self, rows: Indices) -> Coded:
        """The texts in these rows."""
        return Coded(self.codes[rows], self.words)

    def whole(self) -> tuple[Indices, Mask]:
        """The texts as integers of 64 bits, (rows,), and where they are some."""
        found, right = self.words.whole
        return found[self.codes], right[self.codes]

    def numbers(self) -> tuple[NDArray[np.float64], Mask]:
        """The texts as numbers, float64 (rows,), and where they are finite ones."""
        found, right = self.words.numbers
        return found[self.codes], right[self.codes]

    def __getitem__(self, row: int) -> str:
        return self.words.texts[int(self.codes[row])]

    def where(self, holds: Callable[[str], bool]) -> Mask:
        """Where a condition holds, which is asked once a word, (rows,)."""
        words = self.words.texts
        return np.fromiter(map(holds, words), bool, len(words))[self.codes]

    @cached_property
    def first(self) -> Indices:
        """The row in which each text that is there stands first, ascending, (distinct texts,)."""
        first = np.full(len(self.words.texts), self.height)
        np.minimum.at(first, self.codes, np.arange(self.height))
        return np.sort(first[first < self.height])

    @property
    def distinct(self) -> list[str]:
        """The texts that are there, each once, by the row in which it stands first."""
        return [self[row] for row in self.first.tolist()]

    def ranked(self) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """The place of each row's text among those that are there, (rows,), and these, sorted."""
        texts = tuple(sorted(self.distinct))
        place = {text: at for at, text in enumerate(texts)}
        words = np.array([place.get(word, 0) for word in self.words.texts], np.float64)
        return words[self.codes], texts


@record(eq=False)
class Numeric(Values):
    """Numbers that are held as such, and where they are missing, (rows,).

    With `names`, these are what unit numbers stand for, (rows,).
    """

    array: NDArray[Any]
    missing: Mask | None = None
    names: Coded | None = None

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.array)

    def coded(self) -> Coded:
        """The names, or the numbers as Python writes them; one that is missing is empty."""
        return self._written if self.names is None else self.names

    @cached_property
    def _written(self) -> Coded:
        distinct, codes = np.unique(self.array, return_inverse=True)
        words = [*map(str, distinct.tolist())]
        if self.missing is not None:
            codes = np.where(self.missing, len(words), codes)
            words.append("")
        return Coded(codes.reshape(-1), Words(words))

    def at(self, rows: Indices) -> Numeric:
        """The numbers in these rows."""
        missing = None if self.missing is None else self.missing[rows]
        return Numeric(self.array[rows], missing, None if self.names is None else self.names.at(rows))

    def whole(self) -> tuple[Indices, Mask]:
        """The numbers as integers of 64 bits, (rows,); those of floating point are none."""
        if self.array.dtype.kind == "f":
            return np.zeros(self.height, np.int64), np.zeros(self.height, bool)
        right = self._present()
        if self.array.dtype.kind == "u":
            right = right & (self.array <= _MOST)
        return self.array.astype(np.int64), right

    def numbers(self) -> tuple[NDArray[np.float64], Mask]:
        """The numbers, float64 (rows,), and where they are finite."""
        found = self.array.astype(np.float64)
        return found, self._present() & np.isfinite(found)

    def _present(self) -> Mask:
        return np.ones(self.height, bool) if self.missing is None else ~self.missing


@record(eq=False)
class Other(Values):
    """Values of a type that is neither text nor number."""

    rows: int
    kind: str

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.rows

    def coded(self) -> Coded:
        """Raises `Unusable`."""
        raise Unusable(f"values of the type {self.kind}", "columns of texts and of numbers are read")

    def at(self, rows: Indices) -> Other:
        """As many values as rows."""
        return Other(len(rows), self.kind)


@record(eq=False)
class Later(Values):
    """Values that are made when they are first asked for: of most tables, a few columns are."""

    rows: int
    make: Callable[[], Values]

    @cached_property
    def made(self) -> Values:
        """What is made."""
        return self.make()

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.rows

    def coded(self) -> Coded:
        """The values as they are written."""
        return self.made.coded()

    def at(self, rows: Indices) -> Values:
        """The values in these rows, made when they are asked for as well."""
        return Later(len(rows), lambda: self.made.at(rows))

    def whole(self) -> tuple[Indices, Mask]:
        """The values as integers of 64 bits, (rows,), and where they are some."""
        return self.made.whole()

    def numbers(self) -> tuple[NDArray[np.float64], Mask]:
        """The values as numbers, float64 (rows,), and where they are finite ones."""
        return self.made.numbers()


# -------------------------------------------------------------------------------------- texts side by side

# Turns of putting rows into slots before those that are left are sorted: enough unless a file is made to
# resist.
_TURNS = 16
_FACTORS = [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD]
# What is left of eight bytes of which so many belong to a text, on whatever machine.
_KEPT = np.array([(1 << 8 * size) - 1 for size in range(9)], "<u8")
PADDING = bytes(8)


def coded_pieces(content: bytes, starts: Codes, ends: Codes, finish: Callable[[str], str] | None) -> Coded:
    """The pieces `content[starts:ends]` of a text in UTF-8, which has no NUL but the `PADDING` at its end.

    `finish` makes of a piece the text that it stands for; two pieces may stand for one text.
    """
    eights = np.ndarray((len(content) - len(PADDING) + 1,), "<u8", content, strides=(1,))
    sizes = ends - starts
    codes = np.empty(len(starts), np.int32)
    words: list[str] = []
    for rows, width in _by_width(sizes):
        begin, size = starts[rows], sizes[rows]
        keys = [eights[begin + 8 * at] for at in range(width)]
        keys[-1] &= _KEPT[size - 8 * (width - 1)]
        group, first = grouped(keys)
        codes[rows] = group + len(words)
        places = zip(begin[first].tolist(), ends[rows][first].tolist(), strict=True)
        words += b"\0".join([content[start:end] for start, end in places]).decode().split("\0")
    if finish is None or not words:
        return Coded(codes, Words(words))
    finished = Coded.of(map(finish, words))
    return Coded(finished.codes[codes], finished.words)


def _by_width(sizes: Codes) -> Iterable[tuple[Any, int]]:
    """Rows by how many times eight bytes their texts take."""
    if not len(sizes):
        return
    widths = np.maximum((sizes + 7) // 8, 1)
    least = int(widths.min())
    if least == widths.max():
        yield slice(None), least
        return
    order = np.argsort(widths, kind="stable")
    borders = np.flatnonzero(np.diff(widths[order])) + 1
    for rows in np.split(order, borders):
        yield rows, int(widths[rows[0]])


def grouped(keys: Sequence[NDArray[np.uint64]]) -> tuple[Indices, Indices]:
    """For rows of keys, (rows,) each: a number for each row, equal where all keys are, and a row of each."""
    rows = len(keys[0])
    owner = np.empty(rows, np.int32)
    left = np.arange(rows, dtype=np.int32)
    for turn in range(_TURNS):
        if not len(left):
            break
        own = [key[left] for key in keys] if turn else keys
        slot = _slots(own, turn)
        table = np.empty(int(slot.max()) + 1, np.int32)
        table[slot] = left
        found = table[slot]
        same = np.logical_and.reduce([key[found] == one for key, one in zip(keys, own, strict=True)])
        owner[left[same]] = found[same]
        left = left[~same]
    if len(left):
        order = left[np.lexsort([key[left] for key in keys])]
        new = np.logical_or.reduce([np.diff(key[order], prepend=~key[order[:1]]) != 0 for key in keys])
        owner[order] = order[new][np.cumsum(new) - 1]
    own_row = owner == np.arange(rows)
    return (np.cumsum(own_row) - 1)[owner], np.flatnonzero(own_row)


def _slots(keys: Sequence[NDArray[np.uint64]], turn: int) -> NDArray[np.uint64]:
    """A slot for each row, equal where all keys are; about twice as many slots as rows."""
    mixed = np.full(len(keys[0]), turn, np.uint64)
    factor = np.uint64(_FACTORS[turn % len(_FACTORS)])
    for key in keys:
        mixed = (mixed ^ key) * factor
        mixed ^= mixed >> np.uint64(29)
    mixed *= factor
    return mixed >> np.uint64(64 - (2 * len(mixed)).bit_length())
