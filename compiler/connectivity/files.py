"""Edges, masks and vectors from files beside the spec: regular files alone, and nothing is unpickled."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ...dsl.diagnostics import Report
from ...dsl.source import Span
from ...dsl.words import suggest
from .. import codes
from ..expressions import fail
from .edge_set import Indices

# A spec may come from a stranger: one file of it may not fill the memory.
FILE_SIZE_LIMIT = 4 << 30


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
                raise fail(self.report, codes.FILE_TOO_LARGE, span, name=name, limit=FILE_SIZE_LIMIT)
            content = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise fail(self.report, codes.UNREADABLE, span, name=name, reason=reason) from None
        self.digests[name] = hashlib.sha256(content).hexdigest()
        return content

    # -------------------------------------------------------------------------------------- arrays

    def array(self, name: str, span: Span) -> NDArray[Any]:
        """The array in a .npy file, or the only one in a .npz file."""
        content = self.read(name, span)
        try:
            loaded = np.load(io.BytesIO(content), allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            if len(loaded.files) == 1:
                return loaded[loaded.files[0]]
        except (ValueError, OSError, EOFError, KeyError, MemoryError, BadZipFile) as error:
            raise fail(self.report, codes.BAD_ARRAY, span, name=name, reason=str(error)) from None
        raise fail(
            self.report,
            codes.BAD_ARRAY,
            span,
            name=name,
            reason=f"it holds {len(loaded.files)} arrays ({', '.join(loaded.files[:5])}); one is needed",
        )

    def zero_one(self, name: str, span: Span) -> NDArray[np.bool_]:
        """An array whose entries must all be 0 or 1, as booleans."""
        array = self.array(name, span)
        if array.dtype.kind not in "biuf" or not np.all((array == 0) | (array == 1)):
            wrong = next((v for v in array.ravel().tolist() if v not in (0, 1)), array.dtype)
            raise fail(self.report, codes.NOT_ZERO_ONE, span, name=name, value=wrong)
        return array.astype(bool)

    # --------------------------------------------------------------------------------------- tables

    def table(self, name: str, span: Span) -> Table:
        """A .csv or .tsv file with a header line; every value is kept as its text."""
        content = self.read(name, span)
        try:
            text = content.decode("utf-8-sig")
            reader = csv.reader(
                io.StringIO(text, newline=""), delimiter="\t" if name.endswith(".tsv") else ",", strict=True
            )
            header = [column.strip() for column in next(reader, [])]
            rows: list[list[str]] = []
            lines: list[int] = []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    reason = f"line {reader.line_num} has {len(row)} values for {len(header)} columns"
                    raise fail(self.report, codes.BAD_TABLE, span, name=name, reason=reason)
                rows.append(row)
                lines.append(reader.line_num)
        except (UnicodeDecodeError, csv.Error) as error:
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
        if self.header.count(column) != 1:
            guess = suggest(column, self.header)
            help = f"did you mean `{guess}`?" if guess else "its columns are " + ", ".join(self.header)
            raise fail(self.report, codes.NO_COLUMN, self.span, column=column, name=self.name, help=help)
        at = self.header.index(column)
        return [row[at].strip() for row in self.rows]

    def integers(self, column: str) -> Indices:
        """A column of unit numbers, int64 (rows,)."""
        texts = self.texts(column)
        try:
            return np.array([int(text) for text in texts], np.int64)
        except (ValueError, OverflowError):
            raise self._wrong(column, texts, _is_integer, "an integer of 64 bits") from None

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column of numbers, float64 (rows,)."""
        texts = self.texts(column)
        try:
            numbers = np.array([float(text) for text in texts], np.float64)
            if np.isfinite(numbers).all():
                return numbers
        except ValueError:
            numbers = None
        raise self._wrong(column, texts, _is_number, "a finite number")

    def _wrong(self, column: str, texts: list[str], right: Any, what: str) -> Exception:
        at = next(i for i, text in enumerate(texts) if not right(text))
        return fail(
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
    try:
        return abs(int(text)) < 2**63
    except ValueError:
        return False


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
