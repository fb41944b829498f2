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

from ...dsl.diagnostics import Report
from ...dsl.source import Span
from ...dsl.words import counted, suggest
from .. import codes
from ..expressions import fail
from .edge_set import EDGE_LIMIT, Indices

if TYPE_CHECKING:
    import polars as pl

    from .sides import Axis

_BYTES_AT_ONCE = 1 << 22
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

    def column(self, name: str) -> Column:
        """A column. Raises `Failed` if there is none of that name, or two."""
        count = self.header.count(name)
        if count != 1:
            number = f"{count} columns" if count else "no column"
            guess = suggest(name, self.header)
            help = f"did you mean `{guess}`?" if guess else "its columns are " + ", ".join(self.header)
            fields = {"name": self.name, "number": number, "column": name}
            raise fail(self.report, codes.NO_COLUMN, self.span, help=help, **fields)
        series = self.columns[self.header.index(name)]
        series = series if self.rows is None else series.gather(self.rows)
        return Column(self, name, series, self.named.get(name))

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
        if series.dtype.is_nested() or isinstance(series.dtype, pl.Binary | pl.Object):
            reason = f"column `{self.name}` holds values of the type {series.dtype}"
            raise fail(
                self.table.report, codes.BAD_TABLE, self.table.span, name=self.table.name, reason=reason
            )
        return series.cast(pl.String).fill_null("")

    def integers(self) -> Indices:
        """Unit numbers, int64 (rows,). Raises `Failed` at the first that is none."""
        import polars as pl

        found = self._cast(pl.Int64)
        if found.null_count():
            self._refuse(found, "an integer of 64 bits")
        return np.asarray(found.to_numpy(), np.int64)

    def numbers(self) -> NDArray[np.float64]:
        """Numbers, float64 (rows,). Raises `Failed` at the first that is none."""
        found = self._finite()
        if found.null_count():
            self._refuse(found, "a finite number")
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
        value = str(self.texts[row])[:40]
        raise fail(table.report, codes.BAD_VALUE, table.span, value=value, what=what, **fields)


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


def read_table(name: str, content: Callable[[], bytes], report: Report, span: Span) -> Table:
    """The table in a file; `content` reads it. Raises `Failed` after recording what is wrong with it."""
    suffix = name.rpartition(".")[2].lower()
    read = {"csv": _read_csv, "tsv": _read_csv, "parquet": _read_parquet, "gmt": _read_gmt}[suffix]
    try:
        header, columns, place = read(name, content)
    except _Unusable as error:
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=str(error)) from None
    return Table(name, header, columns, place, report, span)


class _Unusable(Exception):
    """Why a file is no table."""


_Read = tuple[tuple[str, ...], "tuple[pl.Series, ...]", Callable[[int], str]]


def _read_csv(name: str, content: Callable[[], bytes]) -> _Read:
    import polars as pl

    delimiter = "\t" if name.lower().endswith(".tsv") else ","
    raw = content()

    def place(row: int) -> str:
        rows = _csv_rows(_text(content()), delimiter)
        next(rows)
        return f"line {next(line for at, (line, _) in enumerate(rows) if at == row)}"

    fast = _read_fast(raw, delimiter)
    if fast is not None:
        return *fast, place
    rows = [row for _, row in _csv_rows(_text(raw), delimiter)]
    if not rows:
        raise _Unusable("it is empty")
    header = tuple(column.strip() for column in rows.pop(0))
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return header, tuple(pl.Series(values, dtype=pl.String) for values in columns), place


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unusable(f"byte {error.start} does not fit UTF-8 text") from None


def _csv_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The header and all rows with the line that each ends on, blank lines left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = 0
    try:
        for row in reader:
            if len(row) < 2 and not "".join(row).strip():
                continue
            columns = columns or len(row)
            if len(row) != columns:
                reason = f"line {reader.line_num} has {counted(len(row), 'value')} for "
                raise _Unusable(reason + counted(columns, "column"))
            yield reader.line_num, row
    except csv.Error as error:
        raise _Unusable(str(error)) from None


def _read_fast(content: bytes, delimiter: str) -> tuple[tuple[str, ...], tuple[pl.Series, ...]] | None:
    """Header and columns as `_csv_rows` gives them, where polars is sure to read the same; else None."""
    import polars as pl

    while content.endswith((b"\n\n", b"\n\r\n")):
        content = content.rstrip(b"\r\n")
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
        _, header = next(_csv_rows(first.decode("utf-8-sig"), delimiter))
        width = len(header)
        if width < 2:
            return None  # a blank line would be a row
        frame = pl.read_csv(
            content,
            has_header=False,
            skip_lines=1,
            schema={str(at): pl.String for at in range(width)},
            separator=delimiter,
            quote_char='"' if quotes else None,
            empty_string_is_null=False,
            glob=False,
        )
    except (Exception, pl.exceptions.PanicException):  # the careful reader finds out what is wrong
        return None
    if any((column.str.len_bytes().max() or 0) > csv.field_size_limit() for column in frame):  # pyright: ignore
        return None
    # Polars refuses rows that are too long and fills those that are too short.
    complete = delimiters == (frame.height + 1) * (width - 1)
    return (tuple(name.strip() for name in header), tuple(frame)) if complete else None


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


def _read_parquet(name: str, content: Callable[[], bytes]) -> _Read:
    import polars as pl

    try:
        lazy = pl.scan_parquet(io.BytesIO(content()))
        height = int(lazy.select(pl.len()).collect().item())
        if height > EDGE_LIMIT:
            raise _Unusable(f"it has {height:,} rows, and {EDGE_LIMIT:,} are the most")
        frame = lazy.collect()
    except (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).strip().partition("\n")[0]
        raise _Unusable(f"it cannot be read as Parquet ({reason[:100]})") from None
    if not frame.width:
        raise _Unusable("it is empty")
    return tuple(frame.columns), tuple(frame), lambda row: f"row {row + 1}"


def _read_gmt(name: str, content: Callable[[], bytes]) -> _Read:
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
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=str(error)) from None
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
                columns.append(_series(array))
                continue
            if names.ndim != 1 or names.dtype.kind != "U" or array.dtype.kind not in "iu":
                raise _Unusable(f"`{column}.names` must be texts, and `{column}` unit numbers")
            if len(array) and not (array.min() >= 0 and array.max() < len(names)):
                raise _Unusable(f"`{column}` has numbers beyond its {counted(len(names), 'name')}")
            columns.append(_series(array))
            named[column] = _series(names)
    except _Unusable as error:
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=str(error)) from None
    if not columns:
        raise fail(report, codes.BAD_TABLE, span, name=name, reason="it is empty")
    return Table(name, tuple(header), tuple(columns), lambda row: f"entry {row}", report, span, named=named)


def _series(array: NDArray[Any]) -> pl.Series:
    import polars as pl

    return pl.Series(array.tolist(), dtype=pl.String) if array.dtype.kind == "U" else pl.Series(array)
