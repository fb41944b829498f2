"""Edges, masks and vectors from files beside the spec: regular files alone, and nothing is unpickled."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, cast
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from ...dsl.diagnostics import Report
from ...dsl.source import Span
from ...dsl.words import counted, suggest
from .. import codes
from ..expressions import Failed, fail
from .edge_set import Indices

# A spec may come from a stranger: one file of it may not fill the memory.
FILE_SIZE_LIMIT = 4 << 30

INTEGER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass
class Files:
    """Reads the files that a spec names, relative to the folder it stands in, and notes their digests."""

    directory: Path
    report: Report
    digests: dict[str, str] = field(default_factory=dict[str, str])

    def read(self, name: str, span: Span) -> bytes:
        """The content of a file. Raises `Failed` if it is absent, not a regular file, or unreadable."""
        path = self.directory / name
        try:
            if not path.exists():
                near = suggest(
                    path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
                )
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

    # -------------------------------------------------------------------------------------- arrays

    def array(self, name: str, span: Span) -> NDArray[Any]:
        """The array in a .npy file, or the only one in a .npz file."""
        content = io.BytesIO(self.read(name, span))
        try:
            if is_zipfile(content):
                with ZipFile(content) as archive:
                    unpacked = sum(entry.file_size for entry in archive.infolist())
                if unpacked > FILE_SIZE_LIMIT:
                    raise fail(
                        self.report, codes.FILE_TOO_LARGE, span, name=name, limit=f"{FILE_SIZE_LIMIT:,}"
                    )
            elif not content.getvalue().startswith(b"\x93NUMPY"):
                raise ValueError("it is no file of NumPy's")
            content.seek(0)
            loaded: Any = np.load(content, allow_pickle=False)
            reason = "it is none"
            if not isinstance(loaded, np.ndarray):
                names: list[str] = loaded.files
                reason = f"it holds {len(names)} arrays ({', '.join(names[:5])}); one is needed"
                loaded = loaded[names[0]] if len(names) == 1 else None
            if isinstance(loaded, np.ndarray):
                return cast("NDArray[Any]", loaded)
        except Failed:
            raise
        except Exception as error:  # numpy, zipfile and zlib raise all kinds on a damaged file
            reason = str(error) or type(error).__name__
            if "allow_pickle" in reason:
                reason = "it holds Python objects, which are not read"
        raise fail(self.report, codes.BAD_ARRAY, span, name=name, reason=reason)

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

    # --------------------------------------------------------------------------------------- tables

    def table(self, name: str, span: Span) -> Table:
        """A .csv or .tsv file with a header line; every value is kept as its text."""
        content = self.read(name, span)
        try:
            text = content.decode("utf-8-sig")
            delimiter = "\t" if name.lower().endswith(".tsv") else ","
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            header: list[str] = []
            rows: list[list[str]] = []
            lines: list[int] = []
            for row in reader:
                if len(row) < 2 and not "".join(row).strip():
                    continue  # a blank line
                if not header:
                    header = [column.strip() for column in row]
                    continue
                if len(row) != len(header):
                    reason = f"line {reader.line_num} has {counted(len(row), 'value')} for "
                    reason += counted(len(header), "column")
                    raise fail(self.report, codes.BAD_TABLE, span, name=name, reason=reason)
                rows.append(row)
                lines.append(reader.line_num)
        except UnicodeDecodeError as error:
            reason = f"byte {error.start} does not fit UTF-8 text"
            raise fail(self.report, codes.BAD_TABLE, span, name=name, reason=reason) from None
        except csv.Error as error:
            raise fail(self.report, codes.BAD_TABLE, span, name=name, reason=str(error)) from None
        if not header:
            raise fail(self.report, codes.BAD_TABLE, span, name=name, reason="it is empty")
        return Table(name, span, header, rows, lines, self.report)


@dataclass
class Table:
    """A table of texts with the line of the file that each row stands on."""

    name: str
    span: Span
    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    report: Report

    def texts(self, column: str) -> list[str]:
        """The values of a column. Raises `Failed` if there is none of that name, or two."""
        count = self.header.count(column)
        if count != 1:
            number = f"{count} columns" if count else "no column"
            guess = suggest(column, self.header)
            help = f"did you mean `{guess}`?" if guess else "its columns are " + ", ".join(self.header)
            fields = {"name": self.name, "number": number, "column": column}
            raise fail(self.report, codes.NO_COLUMN, self.span, help=help, **fields)
        at = self.header.index(column)
        return [row[at].strip() for row in self.rows]

    def integers(self, column: str) -> Indices:
        """A column of unit numbers, int64 (rows,)."""
        texts = self.texts(column)
        self._refuse_others(column, texts, _is_integer, "an integer of 64 bits")
        return np.array([int(text) for text in texts], np.int64)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column of numbers, float64 (rows,)."""
        texts = self.texts(column)
        self._refuse_others(column, texts, _is_number, "a finite number")
        return np.array([float(text) for text in texts], np.float64)

    def _refuse_others(self, column: str, texts: list[str], right: Callable[[str], bool], what: str) -> None:
        at = next((i for i, text in enumerate(texts) if not right(text)), None)
        if at is None:
            return
        raise fail(
            self.report,
            codes.BAD_VALUE,
            self.span,
            name=self.name,
            line=self.lines[at],
            column=column,
            value=texts[at][:40],
            what=what,
        )


def _is_integer(text: str) -> bool:
    # Not all that `int` takes: `1_000` is more likely a name than a thousand.
    return INTEGER.fullmatch(text) is not None and len(text) < 30 and abs(int(text)) < 2**63


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None and isfinite(float(text))
