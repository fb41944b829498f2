"""Tables of texts: .csv, .tsv and .parquet files, sets of genes, named arrays. Polars holds their columns.

Every value is kept as its text; what a column is read as shows in how it is used.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...dsl.diagnostics import Report, fail
from ...dsl.source import Span
from ...dsl.words import counted, suggest
from .. import codes
from ..edges.edge_set import EDGE_LIMIT, Indices, TooManyEdges
from . import limits
from .packed import Bomb, parquet_size

if TYPE_CHECKING:
    import polars as pl

    from ..names.sides import Axis

_BYTES_AT_ONCE = 1 << 22
_TEXTS_AT_ONCE = 1 << 20
# Columns that a message shows, and that a name which is none is compared with.
_COLUMNS_SHOWN = 20
_COLUMNS_COMPARED = 5000
# zlib's first bytes, which polars would unpack whatever the file is called.
_PACKED = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of texts, and the place of each row in the file, `line 5` say.

    With `rows` only these count, (rows,), as a condition leaves them. A column that is `named` holds places
    in a series of names.
    """

    name: str
    header: tuple[str, ...]
    columns: tuple[pl.Series, ...]
    place: Callable[[int], str]
    report: Report
    span: Span
    rows: Indices | None = None
    named: Mapping[str, pl.Series] = field(default_factory=dict[str, "pl.Series"])

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.columns[0]) if self.rows is None else len(self.rows)

    def kept(self, mask: NDArray[np.bool_]) -> Table:
        """The rows for which the mask, (rows,), holds."""
        found = np.flatnonzero(mask)
        return replace(self, rows=found if self.rows is None else self.rows[found])

    @cached_property
    def places(self) -> dict[str, tuple[int, ...]]:
        """Which columns have a name."""
        places: dict[str, list[int]] = {}
        for at, name in enumerate(self.header):
            places.setdefault(name, []).append(at)
        return {name: tuple(at) for name, at in places.items()}

    def column(self, name: str) -> Column:
        """A column. Raises `Failed` if there is none of that name, or two."""
        places = self.places.get(name, ())
        if len(places) != 1:
            number = f"{len(places)} columns" if places else "no column"
            fields = {"name": self.name, "number": number, "column": name}
            raise fail(self.report, codes.NO_COLUMN, self.span, help=self._about_columns(name), **fields)
        series = self.columns[places[0]]
        series = series if self.rows is None else series.gather(self.rows)
        return Column(self, name, series, self.named.get(name))

    def _about_columns(self, name: str) -> tuple[str, ...]:
        """What ends the search for a column that is not there, or there twice."""
        if name in self.places:
            return ("the first line names the columns, each by a name of its own",)
        listed = ", ".join(f"`{column[:40]}`" for column in self.header[:_COLUMNS_SHOWN])
        more = f" and {len(self.header) - _COLUMNS_SHOWN:,} more" if len(self.header) > _COLUMNS_SHOWN else ""
        guess = suggest(name, self.header[:_COLUMNS_COMPARED])
        if len(self.header) == 1 and (separator := _about_separator(self.header[0])):
            return (separator,)
        if all(map(_is_number, self.header)) and not name.isdigit():
            return ("its first line seems to be a row: `header = off` reads a table without a header line",)
        return (f"did you mean `{guess}`?" if guess else f"its columns are {listed}{more}",)

    def place_of(self, row: int) -> str:
        """Where in the file a row stands."""
        return self.place(row if self.rows is None else int(self.rows[row]))


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table: texts that are compared as they are, or read as numbers where all of them are."""

    table: Table
    name: str
    series: pl.Series
    names: pl.Series | None = None

    @cached_property
    def texts(self) -> pl.Series:
        """The values as they are written; an absent one is empty."""
        import polars as pl

        series = self.series if self.names is None else self.names.gather(self.series)
        if series.dtype == pl.String:
            return series.fill_null("") if series.null_count() else series
        try:
            if series.dtype.is_nested() or isinstance(series.dtype, pl.Binary | pl.Object):
                raise pl.exceptions.InvalidOperationError
            return series.cast(pl.String).fill_null("")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            reason = f"column `{self.name}` holds values of the type {series.dtype}"
        help = "columns of texts and of numbers are read"
        fields = {"name": self.table.name, "reason": reason, "help": help}
        raise fail(self.table.report, codes.BAD_TABLE, self.table.span, **fields)

    def integers(self) -> Indices:
        """Unit numbers, int64 (rows,). Raises `Failed` at the first that is none."""
        import polars as pl

        found = self._cast(pl.Int64)
        if found.null_count():
            self._refuse(found, WHOLE)
        return np.asarray(found.to_numpy(), np.int64)

    def numbers(self) -> NDArray[np.float64]:
        """Numbers, float64 (rows,). Raises `Failed` at the first that is none."""
        found = self._finite()
        if found.null_count():
            self._refuse(found, FINITE)
        return np.asarray(found.to_numpy(), np.float64)

    @cached_property
    def values(self) -> NDArray[Any]:
        """Numbers (rows,), int64 if all of them are whole."""
        import polars as pl

        whole = self._cast(pl.Int64)
        return self.numbers() if whole.null_count() else np.asarray(whole.to_numpy(), np.int64)

    @cached_property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return not self._finite().null_count()

    @cached_property
    def codes(self) -> Indices:
        """A number for each text, equal where the texts are, (rows,)."""
        return codes_of(self.texts, self.texts)

    def units(self, axis: Axis) -> tuple[Indices, NDArray[np.bool_]]:
        """The unit of an axis that each value names, int64 (rows,), and where there is none."""
        import polars as pl

        texts = self.texts if self.names is None else self.names
        found = texts.cast(axis.categories, strict=False).to_physical()
        found = found if self.names is None else found.gather(self.series)
        unknown = found.is_null().to_numpy() if found.null_count() else np.zeros(len(found), bool)
        return found.fill_null(0).cast(pl.Int64).to_numpy(), unknown

    def at(self, where: NDArray[np.bool_]) -> pl.Series:
        """The texts in the rows of a mask."""
        return self.texts.filter(where)

    def named(self, row: int) -> str:
        """The text in a row."""
        return str(self.texts[row])

    def _cast(self, kind: Any) -> pl.Series:
        """The values as integers or floats, null where a value is none."""
        import polars as pl

        series = self.series
        if series.dtype.is_numeric():
            whole = not kind.is_integer() or series.dtype.is_integer()
            return series.cast(kind, strict=False) if whole else pl.Series([None] * len(series), dtype=kind)
        found = self.texts.cast(kind, strict=False)
        return self.texts.str.strip_chars().cast(kind, strict=False) if found.null_count() else found

    def _finite(self) -> pl.Series:
        import polars as pl

        found = self._cast(pl.Float64)
        infinite = ~found.is_finite().fill_null(True)
        return found.zip_with(~infinite, pl.Series([None], dtype=pl.Float64)) if infinite.any() else found

    def _refuse(self, found: pl.Series, what: str) -> None:
        row = found.is_null().arg_max() or 0
        table = self.table
        fields = {"name": table.name, "place": table.place_of(row), "column": self.name}
        value = str(self.texts[row])
        fields |= {"value": value[:40], "what": what, "help": _about_value(value, what)}
        raise fail(table.report, codes.BAD_VALUE, table.span, **fields)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _about_value(value: str, what: str) -> str | tuple[()]:
    """What ends the search for what is wrong with a value that is no number."""
    text = value.strip()
    if not text:
        return "the value is empty"
    if "," in text and _is_number(text.replace(",", ".", 1)):
        return f"decimals are written with a point: `{text.replace(',', '.', 1)}`"
    if what == WHOLE and _is_number(text) and float(text) % 1 == 0:
        return f"unit numbers are whole: `{float(text):.0f}`; pandas adds the `.0` where a column has gaps"
    return ()


# What a column of unit numbers, and one of weights holds.
WHOLE, FINITE = "an integer of 64 bits", "a finite number"


def codes_of(texts: pl.Series, among: pl.Series) -> Indices:
    """The place of each text among the distinct ones of a series that has them all, (rows,)."""
    import polars as pl

    return texts.cast(pl.Enum(among.unique().sort())).to_physical().cast(pl.Int64).to_numpy()


@dataclass(frozen=True, eq=False)
class Texts:
    """A column at some rows, one row or many; at all of them if `rows` is None."""

    column: Column
    rows: Indices | int | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether all values of the column are numbers."""
        return self.column.is_numeric

    def numbers(self) -> Any:
        """The values as numbers. Raises `Failed` if one of the column is none."""
        return self._taken(self.column.values)

    def equal(self, other: Texts | str) -> Any:
        """Where the texts are the same, letter by letter."""
        import polars as pl

        if isinstance(other, str):
            return self._taken((self.column.texts == other).to_numpy())
        if other.column is self.column:
            return np.equal(self._taken(self.column.codes), other._taken(self.column.codes))
        both = pl.concat([self.column.texts, other.column.texts])
        ours, theirs = codes_of(self.column.texts, both), codes_of(other.column.texts, both)
        return np.equal(self._taken(ours), other._taken(theirs))

    def among(self, names: Sequence[str]) -> Any:
        """Where the texts are some of these."""
        import polars as pl

        return self._taken(self.column.texts.is_in(pl.Series(names, dtype=pl.String).implode()).to_numpy())

    def __len__(self) -> int:
        return len(self.column.series)

    def at(self, rows: Indices | int) -> Texts:
        """The same column at these rows."""
        return Texts(self.column, rows)

    def _taken(self, values: NDArray[Any]) -> Any:
        return values if self.rows is None else values[self.rows]


# ------------------------------------------------------------------------------------------------- readers


def read_table(
    name: str, content: Callable[[], bytes], report: Report, span: Span, *, header: bool = True
) -> Table:
    """The table in a file; `content` reads it. Raises `Failed` after recording what is wrong with it.

    Without a `header`, in a .csv or .tsv file, the columns are called 0, 1 and so on.
    """
    suffix = name.rpartition(".")[2].lower()
    try:
        if suffix in ("csv", "tsv"):
            names, columns, place = _read_csv(content, "\t" if suffix == "tsv" else ",", header)
        else:
            names, columns, place = {"parquet": _read_parquet, "gmt": _read_gmt}[suffix](content)
    except _Unusable as error:
        reason, help = error.reason, error.help
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=reason, help=help) from None
    except _TooLarge as error:
        fields = {"name": name, "count": f"{error.count:,}", "limit": f"{error.limit:,}", "what": error.what}
        raise fail(report, codes.TABLE_TOO_LARGE, span, **fields) from None
    except Bomb as bomb:
        fields = {"size": f"{bomb.size:,}", "limit": f"{limits.unpacked_limit(len(content())):,}"}
        raise fail(report, codes.UNPACKS_TO_TOO_MUCH, span, name=name, **fields) from None
    return Table(name, names, columns, place, report, span)


class _Unusable(Exception):
    """Why a file is no table, and what would help."""

    def __init__(self, reason: str, help: str | tuple[()] = ()) -> None:
        self.reason, self.help = reason, help
        super().__init__(reason)


class _TooLarge(Exception):
    """A table has more of something than it may."""

    def __init__(self, count: int, what: str, limit: int) -> None:
        self.count, self.what, self.limit = count, what, limit
        super().__init__(what)


def _refuse_many(count: int, what: str, limit: int) -> None:
    if count > limit:
        raise _TooLarge(count, what, limit)


_Read = tuple[tuple[str, ...], "tuple[pl.Series, ...]", Callable[[int], str]]


def _read_csv(content: Callable[[], bytes], delimiter: str, has_header: bool) -> _Read:
    import polars as pl

    raw = content()
    _refuse_other_kinds(raw)

    def place(row: int) -> str:
        rows = _csv_rows(content(), delimiter)
        if has_header:
            next(rows)
        return f"line {next(line for at, (line, _) in enumerate(rows) if at == row)}"

    fast = _read_fast(raw, delimiter, has_header=has_header)
    if fast is not None:
        return *fast, place
    rows: list[list[str]] = []
    for _, row in _csv_rows(raw, delimiter):
        _refuse_many(len(row), "columns", limits.COLUMN_LIMIT)
        if not rows:
            _refuse_many(len(raw), "bytes, and quotes or line ends of another kind", limits.LINES_SIZE_LIMIT)
        rows.append(row)
    if not rows:
        raise _Unusable("it is empty")
    if not has_header:
        rows.insert(0, [*map(str, range(len(rows[0])))])
    header = tuple(column.strip() for column in rows.pop(0))
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return header, tuple(pl.Series(values, dtype=pl.String) for values in columns), place


# How files begin that are no UTF-8 text, and what they then are.
_BEGINNINGS = (
    (b"\x1f\x8b", "packed by gzip", "unpack it first: `gunzip FILE`"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "save the sheet as `CSV UTF-8` in Excel"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as `CSV UTF-8` in Excel"),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8, which Excel calls `CSV UTF-8`"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8, which Excel calls `CSV UTF-8`"),
)


def _refuse_other_kinds(content: bytes) -> None:
    """Refuse what is no text, before it is decoded."""
    for beginning, what, help in _BEGINNINGS:
        if content.startswith(beginning):
            raise _Unusable(f"it is {what}", help)
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise _Unusable(
            f"line {line} has a NUL character, which no text has", "is it a file of another kind?"
        )


def _text(content: bytes) -> str:
    _refuse_other_kinds(content)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _not_utf8(content[: error.start + 1]) from None


def _not_utf8(until: bytes) -> _Unusable:
    """The reason for a text whose last byte here does not fit."""
    line = until.count(b"\n") + 1
    help = f"is it Latin-1? As that, the letter is `{until[-1:].decode('latin-1')}`; save the file as UTF-8"
    return _Unusable(f"line {line}, byte {len(until) - 1} of the file, does not fit UTF-8 text", help)


def _csv_rows(content: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
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
                raise _Unusable(reason + counted(len(first), "column"), _about_width(row, first))
            yield reader.line_num, row
    except UnicodeDecodeError:
        _text(content)
        raise
    except csv.Error as error:
        raise _Unusable(f"line {reader.line_num}: {error}") from None


def _about_width(row: list[str], first: list[str]) -> str | tuple[()]:
    """What ends the search for what is wrong with a row that is longer or shorter than the first."""
    if row[0].startswith("#") or first[0].startswith("#"):
        return "a table has no comments: leave the line out"
    if len(first) == 1 and (separator := _about_separator(first[0])):
        return separator
    if len(row) > len(first) and not any(row[len(first) :]):
        return "there are commas at the end of the line that the header does not have"
    if len(row) > len(first):
        return "a value with the separator in it stands in quotes"
    return ()


def _about_separator(header: str) -> str | tuple[()]:
    """What parts the columns of a header that was taken for one column."""
    for mark, said in ((";", "`;`"), ("\t", "tabs"), ("|", "`|`"), (",", "commas"), (" ", "blanks")):
        if mark in header:
            return f"its columns are parted by {said}; a `.csv` file has commas there, and a `.tsv` file tabs"
    return ()


def _read_fast(
    content: bytes, delimiter: str, *, has_header: bool = True
) -> tuple[tuple[str, ...], tuple[pl.Series, ...]] | None:
    """Header and columns as `_csv_rows` gives them, where polars is sure to read the same; else None."""
    import polars as pl

    end = len(content)
    while content.endswith((b"\n\n", b"\n\r\n"), 0, end):
        end -= 1 + content.endswith(b"\r\n", 0, end)
    content = content[:end]
    first = content[: content.find(b"\n") + 1]
    quotes = content.count(b'"')
    alone = content.count(b"\r") != content.count(b"\r\n")
    if alone or first.count(b'"') % 2 or not first.strip() or content.startswith(_PACKED):
        return None
    if content.endswith(delimiter.encode()):
        return None  # polars passes over an empty value there
    delimiters = _between_quotes(content, delimiter) if quotes else content.count(delimiter.encode())
    if delimiters is None:
        return None
    try:
        _, header = next(_csv_rows(first, delimiter))
        width = len(header)
        if width < 2:
            return None  # a blank line would be a row
        _refuse_many(width, "columns", limits.COLUMN_LIMIT)
        _refuse_many(delimiters + delimiters // (width - 1), "values", limits.VALUE_LIMIT)
        frame = pl.read_csv(
            content,
            has_header=False,
            skip_lines=int(has_header),
            schema={str(at): pl.String for at in range(width)},
            separator=delimiter,
            quote_char='"' if quotes else None,
            empty_string_is_null=False,
            glob=False,
        )
    except _TooLarge:
        raise
    except (Exception, pl.exceptions.PanicException):  # the careful reader finds out what is wrong
        return None
    if any((column.str.len_bytes().max() or 0) > csv.field_size_limit() for column in frame):  # pyright: ignore
        return None
    # Polars refuses rows that are too long and fills those that are too short.
    complete = delimiters == (frame.height + has_header) * (width - 1)
    names = map(str.strip, header) if has_header else map(str, range(width))
    return (tuple(names), tuple(frame)) if complete else None


def _between_quotes(content: bytes, delimiter: str) -> int | None:
    """How many delimiters stand outside of quotes; None if a quote does neither open nor close a field."""
    data = np.frombuffer(content, np.uint8)
    before, after = np.zeros(256, bool), np.zeros(256, bool)
    before[[*f'{delimiter}\n"'.encode()]] = True
    after[[*f'{delimiter}\r\n"'.encode()]] = True
    count = delimiters = 0
    for start in range(0, len(data), _BYTES_AT_ONCE):
        some = data[start : start + _BYTES_AT_ONCE]
        is_quote = some == ord('"')
        inside = np.logical_xor.accumulate(is_quote) ^ bool(count % 2)
        delimiters += int(np.count_nonzero((some == ord(delimiter)) & ~inside))
        quotes = start + np.flatnonzero(is_quote)
        # Of two quotes in a row one leaves the field and the other enters it again.
        enters, leaves = quotes[count % 2 :: 2], quotes[1 - count % 2 :: 2]
        if not np.all(before[data[enters - 1]] | (enters == 0)):
            return None
        if not np.all(after[data[(leaves + 1) % len(data)]] | (leaves == len(data) - 1)):
            return None
        count += len(quotes)
    return None if count % 2 else delimiters


def _read_parquet(content: Callable[[], bytes]) -> _Read:
    import polars as pl

    packed = content()
    try:
        size, values = parquet_size(packed)
        if size > limits.unpacked_limit(len(packed)):
            raise Bomb(size)
        lazy = pl.scan_parquet(io.BytesIO(packed))
        height = int(lazy.select(pl.len()).collect().item())
        width = len(lazy.collect_schema())
        _refuse_many(height, "rows", EDGE_LIMIT)
        _refuse_many(max(values, height * width), "values", limits.VALUE_LIMIT)
        _refuse_many(width, "columns", limits.COLUMN_LIMIT)
        frame = lazy.collect()
    except (Bomb, _TooLarge):
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # a damaged file raises all kinds
        reason = str(error).strip().partition("\n")[0]
        raise _Unusable(f"it cannot be read as Parquet ({reason[:100]})") from None
    if not frame.width:
        raise _Unusable("it is empty")
    return tuple(frame.columns), tuple(frame), lambda row: f"row {row + 1}"


def _read_gmt(content: Callable[[], bytes]) -> _Read:
    """A set a line: its name, a description and its members, between tabs. A row for every member."""
    import polars as pl

    text = _text(content())
    lines = pl.Series("line", text.replace("\r\n", "\n").split("\n"), dtype=pl.String)
    frame = pl.DataFrame({"line": lines}).with_row_index("number", 1)
    frame = frame.filter(pl.col("line").str.strip_chars() != "")
    if not frame.height:
        raise _Unusable("it is empty")
    fields = pl.col("line").str.split("\t")
    frame = frame.select("number", set=fields.list.get(0), rest=fields.list.slice(1))
    bare = frame.filter(pl.col("rest").list.len() == 0)
    if bare.height:
        raise _Unusable(
            f"line {bare['number'][0]} has no tab: a set is its name, a description and its members"
        )
    frame = frame.select(
        "number", "set", description=pl.col("rest").list.get(0), member=pl.col("rest").list.slice(1)
    )
    # Tabs at the end of a line, as spreadsheets write them, are no members.
    frame = frame.explode("member").filter(pl.col("member").fill_null("") != "")
    numbers = frame["number"].to_numpy()
    columns = (frame["member"], frame["set"], frame["description"])
    return ("member", "set", "description"), columns, lambda row: f"line {numbers[row]}"


def read_lines(name: str, content: Callable[[], bytes], report: Report, span: Span) -> Column:
    """The lines of a text, as a column without a name; a line end at the end of the file begins no other."""
    import polars as pl

    try:
        text = _text(content()).replace("\r\n", "\n")
    except _Unusable as error:
        reason, help = error.reason, error.help
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=reason, help=help) from None
    lines = text.removesuffix("\n").split("\n") if text else []
    series = pl.Series(lines, dtype=pl.String)
    table = Table(name, ("",), (series,), lambda row: f"line {row + 1}", report, span)
    return table.column("")


def table_of_arrays(name: str, arrays: dict[str, NDArray[Any]], report: Report, span: Span) -> Table:
    """The pairs in a .npz file: one array a column, of integers, numbers or texts.

    Beside unit numbers `x` there may be `x.names`, the names of all units; then `x` stands for names.
    """
    header: list[str] = []
    columns: list[pl.Series] = []
    named: dict[str, pl.Series] = {}
    try:
        for column, array in arrays.items():
            if column.endswith(".names") and column.removesuffix(".names") in arrays:
                continue
            names = arrays.get(f"{column}.names")
            if array.ndim != 1 or array.dtype.kind not in "iufU":
                kind = f"type {array.dtype}, shape {list(array.shape)}"
                raise _Unusable(f"`{column}` is no vector of numbers or texts ({kind})")
            if columns and len(array) != len(columns[0]):
                raise _Unusable(f"`{column}` and `{header[0]}` differ in length")
            header.append(column)
            if names is None:
                columns.append(_series(array, column))
                continue
            if names.ndim != 1 or names.dtype.kind != "U" or array.dtype.kind not in "iu":
                raise _Unusable(f"`{column}.names` must be texts, and `{column}` unit numbers")
            if len(array) and not (array.min() >= 0 and array.max() < len(names)):
                raise _Unusable(f"`{column}` has numbers beyond its {counted(len(names), 'name')}")
            columns.append(_series(array, column))
            named[column] = _series(names, f"{column}.names")
    except _Unusable as error:
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=error.reason) from None
    if not columns:
        raise fail(report, codes.BAD_TABLE, span, name=name, reason="it is empty")
    return Table(name, tuple(header), tuple(columns), lambda row: f"entry {row}", report, span, named=named)


def _series(array: NDArray[Any], column: str) -> pl.Series:
    """An array as polars holds it."""
    import polars as pl

    if len(array) > EDGE_LIMIT:
        raise TooManyEdges(len(array))
    if array.dtype.kind != "U":
        wide = np.float64 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        return pl.Series(array.astype(wide))
    try:
        some = [
            pl.Series(array[start : start + _TEXTS_AT_ONCE].tolist(), dtype=pl.String)
            for start in range(0, len(array), _TEXTS_AT_ONCE)
        ]
    except (ValueError, SystemError):  # numpy takes any number for a letter
        raise _Unusable(f"`{column}` has something that is no text in Unicode") from None
    return pl.concat(some) if some else pl.Series([], dtype=pl.String)
