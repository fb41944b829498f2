"""Tables: .csv, .tsv and .parquet files, sets of genes, named arrays.

What a column is read as, texts, numbers or units of an axis, shows in how it is used.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...dsl.diagnostics import Report, fail
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.words import counted, suggest
from .. import codes
from ..edges.edge_set import EDGE_LIMIT, Indices, TooManyEdges
from . import limits
from .columns import Coded, Later, Mask, Numeric, Other, Unusable, Values, Words
from .csv_text import Read, TooLarge, about_separator, read_csv, refuse_many, text_of
from .packed import Bomb, parquet_size

T = TypeVar("T")

if TYPE_CHECKING:
    import polars as pl


# Columns that a message shows, and that a name which is none is compared with.
_COLUMNS_SHOWN = 20
_COLUMNS_COMPARED = 5000


@record(eq=False)
class Table:
    """Columns, and the place of each row in the file, `line 5` say.

    With `rows` only these count, (rows,), as a condition leaves them.
    """

    name: str
    header: tuple[str, ...]
    columns: tuple[Values, ...]
    place: Callable[[int], str]
    report: Report
    span: Span
    rows: Indices | None = None

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.columns[0].height if self.rows is None else len(self.rows)

    def kept(self, mask: Mask) -> Table:
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
        values = self.columns[places[0]]
        return Column(self, name, values if self.rows is None else values.at(self.rows))

    def _about_columns(self, name: str) -> tuple[str, ...]:
        """What ends the search for a column that is not there, or there twice."""
        if name in self.places:
            return ("the first line names the columns, each by a name of its own",)
        listed = ", ".join(f"`{column[:40]}`" for column in self.header[:_COLUMNS_SHOWN])
        more = f" and {len(self.header) - _COLUMNS_SHOWN:,} more" if len(self.header) > _COLUMNS_SHOWN else ""
        guess = suggest(name, self.header[:_COLUMNS_COMPARED])
        if len(self.header) == 1 and (separator := about_separator(self.header[0])):
            return (separator,)
        if all(map(_is_number, self.header)) and not name.isdigit():
            return ("its first line seems to be a row: `header = off` reads a table without a header line",)
        return (f"did you mean `{guess}`?" if guess else f"its columns are {listed}{more}",)

    def place_of(self, row: int) -> str:
        """Where in the file a row stands."""
        return self.place(row if self.rows is None else int(self.rows[row]))


@record(eq=False)
class Column:
    """A column of a table: texts that are compared as they are, or read as numbers where all of them are."""

    table: Table
    name: str
    values: Values

    @cached_property
    def texts(self) -> Coded:
        """The values as they are written, an absent one empty. Raises `Failed` if they are neither."""
        return self._read(self.values.coded)

    def integers(self) -> Indices:
        """Unit numbers, int64 (rows,). Raises `Failed` at the first that is none."""
        return self._all(self.values.whole, WHOLE)

    def numbers(self) -> NDArray[np.float64]:
        """Numbers, float64 (rows,). Raises `Failed` at the first that is none."""
        return self._all(self.values.numbers, FINITE)

    @cached_property
    def wholes_or_numbers(self) -> NDArray[Any]:
        """Numbers (rows,), int64 if all of them are whole."""
        found, right = self._read(self.values.whole)
        return found if right.all() else self.numbers()

    @cached_property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return bool(self._read(self.values.numbers)[1].all())

    def units(self, positions: Mapping[str, int]) -> tuple[Indices, Mask]:
        """The unit whose name each value is, int64 (rows,), and where there is none."""
        words = self.texts.words.texts
        unit = np.fromiter((positions.get(word, -1) for word in words), np.int64, len(words))
        found = unit[self.texts.codes]
        unknown = found < 0
        found[unknown] = 0
        return found, unknown

    def _read(self, how: Callable[[], T]) -> T:
        """The values in one way. Raises `Failed` if they are of a type that is not read."""
        try:
            return how()
        except Unusable as error:
            reason, help = f"column `{self.name}` holds {error.reason}", error.help
        fields = {"name": self.table.name, "reason": reason, "help": help}
        raise fail(self.table.report, codes.BAD_TABLE, self.table.span, **fields)

    def _all(self, read: Callable[[], tuple[NDArray[Any], Mask]], what: str) -> NDArray[Any]:
        """All numbers. Raises `Failed` at the first that is none."""
        found, right = self._read(read)
        self.refuse(~right, what)
        return found

    def refuse(self, wrong: Mask, what: str) -> None:
        """Raises `Failed` after recording the first row that is wrong, if there is one: no `what`."""
        if not wrong.any():
            return
        row, table = int(np.argmax(wrong)), self.table
        value = self.texts[row]
        fields = {"name": table.name, "place": table.place_of(row), "column": self.name}
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


@record(eq=False)
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
        return self._taken(self.column.wholes_or_numbers)

    def equal(self, other: Texts | str) -> Any:
        """Where the texts are the same, letter by letter."""
        ours = self.column.texts
        if isinstance(other, str):
            return self._taken(ours.codes == ours.words.code.get(other, -1))
        theirs = other.column.texts
        code = np.fromiter((ours.words.code.get(word, -1) for word in theirs.words.texts), np.int64)
        return np.equal(self._taken(ours.codes), other._taken(code[theirs.codes]))

    def among(self, names: Sequence[str]) -> Any:
        """Where the texts are some of these."""
        return self._taken(self.column.texts.where(frozenset(names).__contains__))

    def __len__(self) -> int:
        return self.column.values.height

    def at(self, rows: Indices | int) -> Texts:
        """The same column at these rows."""
        return Texts(self.column, rows)

    def coded(self) -> Coded:
        """The texts themselves, (rows,)."""
        texts = self.column.texts
        return texts if self.rows is None else texts.at(np.atleast_1d(self.rows))

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
            names, columns, place = read_csv(content, "\t" if suffix == "tsv" else ",", has_header=header)
        else:
            names, columns, place = {"parquet": _read_parquet, "gmt": _read_gmt}[suffix](content)
    except Unusable as error:
        reason, help = error.reason, error.help
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=reason, help=help) from None
    except TooLarge as error:
        fields = {"name": name, "count": f"{error.count:,}", "limit": f"{error.limit:,}", "what": error.what}
        raise fail(report, codes.TABLE_TOO_LARGE, span, **fields) from None
    except Bomb as bomb:
        fields = {"size": f"{bomb.size:,}", "limit": f"{limits.unpacked_limit(len(content())):,}"}
        raise fail(report, codes.UNPACKS_TO_TOO_MUCH, span, name=name, **fields) from None
    return Table(name, names, columns, place, report, span)


def _read_parquet(content: Callable[[], bytes]) -> Read:
    try:
        import polars as pl
    except ImportError:
        help = "install it by `pip install 'nnspec[tables]'`, or save the table as .csv"
        raise Unusable("Parquet is read by polars, which is not installed", help) from None

    packed = content()
    try:
        size, values = parquet_size(packed)
        if size > limits.unpacked_limit(len(packed)):
            raise Bomb(size)
        lazy = pl.scan_parquet(io.BytesIO(packed))
        height = int(lazy.select(pl.len()).collect().item())
        width = len(lazy.collect_schema())
        refuse_many(height, "rows", EDGE_LIMIT)
        refuse_many(max(values, height * width), "values", limits.VALUE_LIMIT)
        refuse_many(width, "columns", limits.COLUMN_LIMIT)
        frame = lazy.collect()
    except (Bomb, TooLarge):
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # a damaged file raises all kinds
        reason = str(error).strip().partition("\n")[0]
        raise Unusable(f"it cannot be read as Parquet ({reason[:100]})") from None
    if not frame.width:
        raise Unusable("it is empty")
    columns = tuple(Later(height, partial(_values_of, series)) for series in frame)
    return tuple(frame.columns), columns, lambda row: f"row {row + 1}"


def _values_of(series: pl.Series) -> Values:
    """A column of a .parquet file."""
    import polars as pl

    kind = series.dtype
    if kind.is_nested() or isinstance(kind, pl.Binary | pl.Object):
        return Other(len(series), str(kind))
    if kind.is_float() or (kind.is_integer() and not isinstance(kind, pl.Int128 | pl.UInt128)):
        missing = series.is_null().to_numpy() if series.null_count() else None
        return Numeric(series.fill_null(0).to_numpy(), missing)
    try:
        texts = series.cast(pl.String).fill_null("")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return Other(len(series), str(kind))
    words = texts.unique()
    return Coded(texts.cast(pl.Enum(words)).to_physical().to_numpy(), Words(words.to_list()))


def _read_gmt(content: Callable[[], bytes]) -> Read:
    """A set a line: its name, a description and its members, between tabs. A row for every member."""
    sets, descriptions, members, numbers = list[str](), list[str](), list[str](), list[int]()
    empty = True
    for number, line in enumerate(text_of(content()).replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            continue
        empty = False
        name, *rest = line.split("\t")
        if not rest:
            raise Unusable(f"line {number} has no tab: a set is its name, a description and its members")
        # Tabs at the end of a line, as spreadsheets write them, are no members.
        own = [member for member in rest[1:] if member]
        members += own
        sets += [name] * len(own)
        descriptions += [rest[0]] * len(own)
        numbers += [number] * len(own)
    if empty:
        raise Unusable("it is empty")
    columns = tuple(map(Coded.of, (members, sets, descriptions)))
    return ("member", "set", "description"), columns, lambda row: f"line {numbers[row]}"


def read_lines(name: str, content: Callable[[], bytes], report: Report, span: Span) -> Column:
    """The lines of a text, as a column without a name; a line end at the end of the file begins no other."""
    try:
        text = text_of(content()).replace("\r\n", "\n")
    except Unusable as error:
        reason, help = error.reason, error.help
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=reason, help=help) from None
    lines = text.removesuffix("\n").split("\n") if text else []
    table = Table(name, ("",), (Coded.of(lines),), lambda row: f"line {row + 1}", report, span)
    return table.column("")


def table_of_arrays(name: str, arrays: dict[str, NDArray[Any]], report: Report, span: Span) -> Table:
    """The pairs in a .npz file: one array a column, of integers, numbers or texts.

    Beside unit numbers `x` there may be `x.names`, the names of all units; then `x` stands for names.
    """
    columns: dict[str, Values] = {}
    try:
        for column, array in arrays.items():
            if column.endswith(".names") and column.removesuffix(".names") in arrays:
                continue
            if array.ndim != 1 or array.dtype.kind not in "iufU":
                kind = f"type {array.dtype}, shape {list(array.shape)}"
                raise Unusable(f"`{column}` is no vector of numbers or texts ({kind})")
            if columns and len(array) != next(iter(columns.values())).height:
                raise Unusable(f"`{column}` and `{next(iter(columns))}` differ in length")
            columns[column] = _values_in(array, arrays.get(f"{column}.names"), column)
    except Unusable as error:
        raise fail(report, codes.BAD_TABLE, span, name=name, reason=error.reason) from None
    if not columns:
        raise fail(report, codes.BAD_TABLE, span, name=name, reason="it is empty")
    return Table(name, (*columns,), (*columns.values(),), lambda row: f"entry {row}", report, span)


def _values_in(array: NDArray[Any], names: NDArray[Any] | None, column: str) -> Values:
    """A vector, and the names of the units whose numbers are in it, if there are any."""
    if names is None:
        return _held(array, column)
    if names.ndim != 1 or names.dtype.kind != "U" or array.dtype.kind not in "iu":
        raise Unusable(f"`{column}.names` must be texts, and `{column}` unit numbers")
    if len(array) and not (array.min() >= 0 and array.max() < len(names)):
        raise Unusable(f"`{column}` has numbers beyond its {counted(len(names), 'name')}")
    numbers, texts = _held(array, column), _held(names, f"{column}.names")
    assert isinstance(numbers, Numeric)
    return replace(numbers, names=texts.coded().at(numbers.array))


def _held(array: NDArray[Any], column: str) -> Values:
    """An array as columns hold it."""
    if len(array) > EDGE_LIMIT:
        raise TooManyEdges(len(array))
    if array.dtype.kind != "U":
        wide = np.float64 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        return Numeric(array.astype(wide))
    try:
        texts = Coded.of(array.tolist())
        "".join(texts.words.texts).encode()
    except (ValueError, SystemError):  # numpy takes any number for a letter
        raise Unusable(f"`{column}` has something that is no text in Unicode") from None
    return texts
