"""Tables in .csv and .tsv files, as Python's csv module reads them, most of them faster than it does."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ...dsl.words import counted
from . import limits
from .columns import PADDING, Coded, Later, Unusable, Values, coded_pieces

_BYTES_AT_ONCE = 1 << 22

Read = tuple[tuple[str, ...], tuple[Values, ...], Callable[[int], str]]
"""The names of columns, the columns, and where in the file each row stands."""


class TooLarge(Exception):
    """A table has more of something than it may."""

    def __init__(self, count: int, what: str, limit: int) -> None:
        self.count, self.what, self.limit = count, what, limit
        super().__init__(what)


def refuse_many(count: int, what: str, limit: int) -> None:
    """Raise `TooLarge` if there are more than the limit."""
    if count > limit:
        raise TooLarge(count, what, limit)


def read_csv(content: Callable[[], bytes], delimiter: str, *, has_header: bool) -> Read:
    """A table whose columns are parted by a delimiter; without a header they are called 0, 1 and so on."""
    raw = content()
    refuse_other_kinds(raw)

    def place(row: int) -> str:
        rows = csv_rows(content(), delimiter)
        if has_header:
            next(rows)
        return f"line {next(line for at, (line, _) in enumerate(rows) if at == row)}"

    fast = read_fast(raw, delimiter, has_header=has_header)
    if fast is not None:
        return *fast, place
    rows: list[list[str]] = []
    for _, row in csv_rows(raw, delimiter):
        refuse_many(len(row), "columns", limits.COLUMN_LIMIT)
        if not rows:
            refuse_many(len(raw), "bytes, and quotes or line ends of another kind", limits.LINES_SIZE_LIMIT)
        rows.append(row)
    if not rows:
        raise Unusable("it is empty")
    if not has_header:
        rows.insert(0, [*map(str, range(len(rows[0])))])
    header = tuple(column.strip() for column in rows.pop(0))
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return header, tuple(map(Coded.of, columns)), place


# How files begin that are no UTF-8 text, and what they then are.
_BEGINNINGS = (
    (b"\x1f\x8b", "packed by gzip", "unpack it first: `gunzip FILE`"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "save the sheet as `CSV UTF-8` in Excel"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as `CSV UTF-8` in Excel"),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8, which Excel calls `CSV UTF-8`"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8, which Excel calls `CSV UTF-8`"),
)


def refuse_other_kinds(content: bytes) -> None:
    """Refuse what is no text, before it is decoded."""
    for beginning, what, help in _BEGINNINGS:
        if content.startswith(beginning):
            raise Unusable(f"it is {what}", help)
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise Unusable(f"line {line} has a NUL character, which no text has", "is it a file of another kind?")


def text_of(content: bytes) -> str:
    """A text in UTF-8. Raises `Unusable` where it is none."""
    refuse_other_kinds(content)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _not_utf8(content[: error.start + 1]) from None


def _not_utf8(until: bytes) -> Unusable:
    """The reason for a text whose last byte here does not fit."""
    line = until.count(b"\n") + 1
    help = f"is it Latin-1? As that, the letter is `{until[-1:].decode('latin-1')}`; save the file as UTF-8"
    return Unusable(f"line {line}, byte {len(until) - 1} of the file, does not fit UTF-8 text", help)


def csv_rows(content: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The header and all rows with the line that each ends on, blank lines left out."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    first: list[str] = []
    try:
        for row in reader:
            if len(row) < 2 and not "".join(row).strip():
                continue
            first = first or row
            if len(row) != len(first):
                reason = f"line {reader.line_num} has {counted(len(row), 'value')} for "
                raise Unusable(reason + counted(len(first), "column"), _about_width(row, first))
            yield reader.line_num, row
    except UnicodeDecodeError:
        text_of(content)
        raise
    except csv.Error as error:
        raise Unusable(f"line {reader.line_num}: {error}") from None


def _about_width(row: list[str], first: list[str]) -> str | tuple[()]:
    """What ends the search for what is wrong with a row that is longer or shorter than the first."""
    if row[0].startswith("#") or first[0].startswith("#"):
        return "a table has no comments: leave the line out"
    if len(first) == 1 and (separator := about_separator(first[0])):
        return separator
    if len(row) > len(first) and not any(row[len(first) :]):
        return "there are commas at the end of the line that the header does not have"
    if len(row) > len(first):
        return "a value with the separator in it stands in quotes"
    return ()


def about_separator(header: str) -> str | tuple[()]:
    """What parts the columns of a header that was taken for one column."""
    for mark, said in ((";", "`;`"), ("\t", "tabs"), ("|", "`|`"), (",", "commas"), (" ", "blanks")):
        if mark in header:
            return f"its columns are parted by {said}; a `.csv` file has commas there, and a `.tsv` file tabs"
    return ()


def read_fast(
    content: bytes, delimiter: str, *, has_header: bool = True
) -> tuple[tuple[str, ...], tuple[Values, ...]] | None:
    """Header and columns as `csv_rows` gives them, found without it in a plain file; None for other files."""
    begin = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    end = len(content)
    while content.endswith((b"\n\n", b"\n\r\n"), begin, end):
        end -= 1 + content.endswith(b"\r\n", begin, end)
    first = content[: content.find(b"\n") + 1]
    alone = content.count(b"\r") != content.count(b"\r\n")
    if alone or first.count(b'"') % 2 or not first.strip() or not _is_utf8(content):
        return None
    try:
        _, header = next(csv_rows(first, delimiter))
    except (Unusable, StopIteration):  # the careful reader says what is wrong
        return None
    width = len(header)
    if width < 2:
        return None  # a blank line would be a row
    refuse_many(width, "columns", limits.COLUMN_LIMIT)
    quoted = b'"' in content
    ends = _field_ends(content, end, delimiter, quoted=quoted)
    if ends is None or len(ends) % width:
        return None
    table = ends.reshape(-1, width)
    data = np.frombuffer(content, np.uint8)
    # Every line has as many values as the header, and none more.
    is_line = np.concatenate([data[ends[:-1]] == ord("\n"), [True]]).reshape(-1, width)
    if not (is_line[:, -1].all() and not is_line[:, :-1].any()):
        return None
    if int(np.diff(ends, prepend=np.uint32(begin)).max()) > csv.field_size_limit():
        return None
    starts = np.concatenate([[begin], ends[:-1] + 1]).astype(np.uint32).reshape(-1, width)
    last = table[:, -1] - (data[np.maximum(table[:, -1], 1) - 1] == ord("\r"))
    padded = content + PADDING

    def column(at: int) -> Values:
        own = last if at == width - 1 else table[:, at]
        rows = slice(int(has_header), None)
        finish = _unquoted if quoted else None
        return Later(len(own[rows]), lambda: coded_pieces(padded, starts[rows, at], own[rows], finish))

    names = map(str.strip, header) if has_header else map(str, range(width))
    return tuple(names), tuple(map(column, range(width)))


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), _BYTES_AT_ONCE):
            decoder.decode(content[start : start + _BYTES_AT_ONCE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if field.startswith('"') else field


def _field_ends(content: bytes, end: int, delimiter: str, *, quoted: bool) -> NDArray[np.uint32] | None:
    """Where in `content[:end]` fields end, by a delimiter or a line end outside of quotes.

    None if a quote does neither open nor close a field.
    """
    data = np.frombuffer(content, np.uint8, end)
    before, after = np.zeros(256, bool), np.zeros(256, bool)
    before[[*f'{delimiter}\n"'.encode()]] = True
    after[[*f'{delimiter}\r\n"'.encode()]] = True
    found: list[NDArray[np.uint32]] = []
    fields = count = 0
    for start in range(0, len(data), _BYTES_AT_ONCE):
        some = data[start : start + _BYTES_AT_ONCE]
        ends = (some == ord(delimiter)) | (some == ord("\n"))
        if quoted:
            is_quote = some == ord('"')
            ends &= ~(np.logical_xor.accumulate(is_quote) ^ bool(count % 2))
            quotes = start + np.flatnonzero(is_quote)
            # Of two quotes in a row one leaves the field and the other enters it again.
            enters, leaves = quotes[count % 2 :: 2], quotes[1 - count % 2 :: 2]
            if not np.all(before[data[enters - 1]] | (enters == 0)):
                return None
            if not np.all(after[data[(leaves + 1) % len(data)]] | (leaves == len(data) - 1)):
                return None
            count += len(quotes)
        found.append((start + np.flatnonzero(ends)).astype(np.uint32))
        fields += len(found[-1])
        refuse_many(fields, "values", limits.VALUE_LIMIT)
    if data[-1] != ord("\n"):
        found.append(np.array([end], np.uint32))
    return None if count % 2 else np.concatenate(found)
