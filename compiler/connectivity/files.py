"""Edges, masks and vectors from files beside the spec: regular files alone, and nothing is unpickled."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from ...dsl.diagnostics import Report
from ...dsl.source import Span
from ...dsl.words import KnownWords
from .. import codes
from ..expressions import Failed, fail
from .tables import Column, Table, read_lines, read_table

T = TypeVar("T")

# A spec may come from a stranger: one file of it may not fill the memory.
FILE_SIZE_LIMIT = 4 << 30
# Tables from larger files are not kept: to read one again costs less than the memory.
KEPT_SIZE_LIMIT = 64 << 20


@dataclass
class Files:
    """Reads the files that a spec names, relative to the folder it stands in, and notes their digests."""

    directory: Path
    report: Report
    # What `once` keeps, and how many bytes more it may.
    kept: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    room: int = 256 << 20
    folders: dict[Path, KnownWords] = field(default_factory=dict[Path, KnownWords])
    digests: dict[str, str] = field(default_factory=dict[str, str])
    _tables: dict[str, Table] = field(default_factory=dict[str, Table])

    def read(self, name: str, span: Span) -> bytes:
        """The content of a file. Raises `Failed` if it is absent, not a regular file, or unreadable."""
        path = self.directory / name
        try:
            if not path.exists():
                near = self._beside(path.parent).nearest(path.name)
                help = f"did you mean `{near}`?" if near else "files are looked for beside the spec"
                raise fail(self.report, codes.NO_FILE, span, name=name, help=help)
            if not path.is_file():
                raise fail(self.report, codes.NOT_A_FILE, span, name=name)
            if path.stat().st_size > FILE_SIZE_LIMIT:
                raise fail(self.report, codes.FILE_TOO_LARGE, span, name=name, limit=f"{FILE_SIZE_LIMIT:,}")
            content = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise fail(self.report, codes.UNREADABLE, span, name=name, reason=reason) from None
        self.digests[name] = hashlib.sha256(content).hexdigest()
        return content

    def _beside(self, folder: Path) -> KnownWords:
        """The names of the files in a folder, which is looked into once."""
        if folder not in self.folders:
            self.folders[folder] = (
                KnownWords(p.name for p in folder.iterdir()) if folder.is_dir() else KnownWords()
            )
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

    def zero_one(self, name: str, span: Span) -> NDArray[np.bool_]:
        """An array whose entries must all be 0 or 1, as booleans."""
        array = self.array(name, span)
        if array.dtype.kind not in "biuf":
            raise fail(
                self.report, codes.NOT_ZERO_ONE, span, name=name, value=f"entries of type {array.dtype}"
            )
        wrong = (array != 0) & (array != 1)
        if wrong.any():
            value = array.ravel()[np.argmax(wrong)]
            raise fail(self.report, codes.NOT_ZERO_ONE, span, name=name, value=value)
        return array.astype(bool)

    def loaded(self, name: str, span: Span) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """The array in a file of NumPy's, or all of an archive."""
        content = io.BytesIO(self.read(name, span))
        try:
            if is_zipfile(content):
                with ZipFile(content) as archive:
                    unpacked = sum(entry.file_size for entry in archive.infolist())
                if unpacked > FILE_SIZE_LIMIT:
                    limit = f"{FILE_SIZE_LIMIT:,}"
                    raise fail(self.report, codes.FILE_TOO_LARGE, span, name=name, limit=limit)
            elif not content.getvalue().startswith(b"\x93NUMPY"):
                raise ValueError("it is no file of NumPy's")
            content.seek(0)
            loaded: Any = np.load(content, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return cast("NDArray[Any]", loaded)
            arrays: dict[str, Any] = {entry: loaded[entry] for entry in loaded.files}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("it holds more than arrays")
            return arrays
        except Failed:
            raise
        except Exception as error:  # numpy, zipfile and zlib raise all kinds on a damaged file
            reason = str(error) or type(error).__name__
            if "allow_pickle" in reason:
                reason = "it holds Python objects, which are not read"
        raise fail(self.report, codes.BAD_ARRAY, span, name=name, reason=reason)

    # --------------------------------------------------------------------------------------- tables

    def table(self, name: str, span: Span) -> Table:
        """The rows of a .csv, .tsv or .parquet file, or the members of a .gmt file, read once."""
        if name in self._tables:
            return replace(self._tables[name], span=span)
        size = 0

        def content() -> bytes:
            nonlocal size
            found = self.read(name, span)
            size = len(found)
            return found

        table = read_table(name, content, self.report, span)
        if size <= KEPT_SIZE_LIMIT:
            self._tables[name] = table
        return table

    def lines(self, name: str, span: Span) -> Column:
        """The lines of a text, as a column without a name."""
        return read_lines(name, lambda: self.read(name, span), self.report, span)
