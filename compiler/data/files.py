"""Edges, masks and vectors from files beside the spec: regular files alone, and nothing is unpickled."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...dsl.diagnostics import Report, fail
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.words import KnownWords
from .. import codes
from . import limits
from .packed import Bomb, array_of, arrays_of
from .tables import Column, Table, read_lines, read_table

T = TypeVar("T")

# Files that are text; those that are read line by line, always.
_TEXTS = ("csv", "tsv", "mtx", "gmt", "txt")
_LINES = ("gmt", "txt")
# Files that the name of one that is not there is compared with.
_FILES_COMPARED = 5000


@record(frozen=False)
class Files:
    """Reads the files that a spec names, relative to the folder it stands in, and notes their digests."""

    directory: Path
    report: Report
    # What `once` keeps, and how many bytes more it may.
    kept: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    room: int = 256 << 20
    folders: dict[Path, KnownWords] = field(default_factory=dict[Path, KnownWords])
    digests: dict[str, str] = field(default_factory=dict[str, str])
    _tables: dict[tuple[str, bool], Table] = field(default_factory=dict[tuple[str, bool], Table])

    def read(self, name: str, span: Span) -> bytes:
        """The content of a file. Raises `Failed` if it is absent, not a regular file, or unreadable."""
        path = self.directory / name
        try:
            if not path.exists():
                raise fail(self.report, codes.NO_FILE, span, name=name, help=self._where(name, path))
            # What is opened is looked at once more: it may be another file by then.
            if not stat.S_ISREG(path.stat().st_mode):
                raise fail(self.report, codes.NOT_A_FILE, span, name=name)
            with open(
                os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
            ) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise fail(self.report, codes.NOT_A_FILE, span, name=name)
                limit = _size_limit(name)
                if found.st_size > limit:
                    fields = {"size": f"{found.st_size:,}", "limit": f"{limit:,}"}
                    raise fail(self.report, codes.FILE_TOO_LARGE, span, name=name, **fields)
                # Files that the system makes up have no size and may have no end.
                content = file.read(found.st_size)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise fail(self.report, codes.UNREADABLE, span, name=name, reason=reason) from None
        self.digests[name] = hashlib.sha256(content).hexdigest()
        return content

    def _where(self, name: str, path: Path) -> str:
        """What helps to find a file that is not there."""
        if "\\" in name:
            return f'folders are parted by `/` on every system: `"{name.replace(chr(92), "/")}"`'
        near = self._beside(path.parent).nearest(path.name)
        if near:
            return f"did you mean `{PurePosixPath(name).with_name(near)}`?"
        return "files are looked for beside the spec"

    def _beside(self, folder: Path) -> KnownWords:
        """The names of the files in a folder, which is looked into once."""
        if folder not in self.folders:
            found = islice(folder.iterdir(), _FILES_COMPARED) if folder.is_dir() else ()
            self.folders[folder] = KnownWords(path.name for path in found)
        return self.folders[folder]

    def once(self, what: str, name: str, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """What is made of a file's content, made once, and kept as long as there is room for its bytes."""
        if (what, name) not in self.kept:
            made = make()
            if size(made) > self.room:
                return made
            self.room -= size(made)
            self.kept[what, name] = made
        return self.kept[what, name]

    # -------------------------------------------------------------------------------------- arrays

    def array(self, name: str, span: Span) -> NDArray[Any]:
        """The array in a .npy file, or the only one in a .npz file."""
        loaded = self.loaded(name, span)
        if isinstance(loaded, dict):
            if len(loaded) != 1:
                reason = f"it holds {len(loaded)} arrays ({', '.join([*loaded][:5])}); one is needed"
                raise fail(self.report, codes.BAD_ARRAY, span, name=name, reason=reason)
            (loaded,) = loaded.values()
        return loaded

    def finite(self, name: str, span: Span) -> NDArray[Any]:
        """An array of finite numbers."""
        array = self.array(name, span)
        reason = ""
        if array.dtype.kind not in "iuf":
            reason = f"its entries are of type {array.dtype}, and numbers are needed"
        elif not (right := np.isfinite(array)).all():
            place = tuple(int(at) for at in np.unravel_index(np.argmin(right), array.shape))
            reason = f"its entry at {list(place)} is {array[place]}, and finite numbers are needed"
        if reason:
            raise fail(self.report, codes.BAD_ARRAY, span, name=name, reason=reason)
        return array

    def zero_one(
        self, name: str, span: Span, about: Callable[[str], str] = lambda name: ""
    ) -> NDArray[np.bool_]:
        """An array whose entries must all be 0 or 1, as booleans; `about` helps with one that is not."""
        array = self.array(name, span)
        if array.dtype.kind not in "biuf":
            raise fail(
                self.report, codes.NOT_ZERO_ONE, span, name=name, value=f"entries of type {array.dtype}"
            )
        wrong = (array != 0) & (array != 1)
        if wrong.any():
            place = tuple(int(at) for at in np.unravel_index(np.argmax(wrong), array.shape))
            value = f"{array[place]} at {list(place)}"
            help = about(name) or ()
            raise fail(self.report, codes.NOT_ZERO_ONE, span, name=name, value=value, help=help)
        return array.astype(bool)

    def loaded(self, name: str, span: Span) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """The array in a file of NumPy's, or all of an archive."""
        content = self.read(name, span)
        limit = limits.unpacked_limit(len(content))
        try:
            if content.startswith(b"PK"):
                return arrays_of(content, limit)
            if not content.startswith(b"\x93NUMPY"):
                raise ValueError("it is no file of NumPy's")
            return array_of(content)
        except Bomb as bomb:
            fields = {"size": f"{bomb.size:,}", "limit": f"{limit:,}"}
            raise fail(self.report, codes.UNPACKS_TO_TOO_MUCH, span, name=name, **fields) from None
        except Exception as error:  # numpy, zipfile and zlib raise all kinds on a damaged file
            reason = str(error) or type(error).__name__
        raise fail(self.report, codes.BAD_ARRAY, span, name=name, reason=reason)

    # --------------------------------------------------------------------------------------- tables

    def table(self, name: str, span: Span, *, header: bool = True) -> Table:
        """The rows of a .csv, .tsv or .parquet file, or the members of a .gmt file, read once.

        Without a `header` the columns are called 0, 1 and so on.
        """
        if (name, header) in self._tables:
            return replace(self._tables[name, header], span=span)
        size = 0

        def content() -> bytes:
            nonlocal size
            found = self.read(name, span)
            size = len(found)
            return found

        table = read_table(name, content, self.report, span, header=header)
        if size <= limits.KEPT_SIZE_LIMIT:
            self._tables[name, header] = table
        return table

    def lines(self, name: str, span: Span) -> Column:
        """The lines of a text, as a column without a name."""
        return read_lines(name, lambda: self.read(name, span), self.report, span)


def _size_limit(name: str) -> int:
    """The most bytes that a file of this name may have."""
    suffix = name.rpartition(".")[2].lower()
    if suffix in _LINES:
        return limits.LINES_SIZE_LIMIT
    return limits.TEXT_SIZE_LIMIT if suffix in _TEXTS else limits.FILE_SIZE_LIMIT
