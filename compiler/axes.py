"""Axes: named index spaces, `axis gene = names("genes.txt")`, worked out when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..dsl import syntax
from ..dsl.diagnostics import Report
from . import codes
from .arguments import Bound, bind, call_parts, name_of
from .connectivity.files import Files
from .connectivity.sides import Axis
from .connectivity.tables import Column, Table, Texts
from .expressions import Evaluator, Failed, fail
from .scope import Declaration, Names

# Files that hold names: a name a line, or a table.
NAME_FILES = ("txt", "csv", "tsv", "parquet")


@dataclass
class Axes:
    """The axes of a spec by name; None for one whose statement has an error, which is recorded."""

    names: Names
    files: Files
    known: dict[str, Axis | None] = field(default_factory=dict[str, "Axis | None"])

    def find(self, declared: Declaration) -> Axis:
        """The axis that is declared. Raises `Failed` if it has an error, which is recorded."""
        name = declared.name
        if name not in self.known:
            statement = declared.placed.statement
            assert isinstance(statement, syntax.AxisStatement)
            with self.names.needing(declared):
                try:
                    self.known[name] = self._read(name, statement.value, declared.placed.variables)
                except (Failed, RecursionError):
                    self.known[name] = None
                    raise
        axis = self.known[name]
        if axis is None:
            raise Failed
        return axis

    def _read(self, name: str, value: syntax.Expression, variables: Mapping[str, int]) -> Axis:
        parts = call_parts(value)
        if parts is None or parts[0] != "names" or not isinstance(value, syntax.Call):
            return Axis(
                name, self.names.evaluator(variables).integer(value, f"the size of `{name}`", least=1)
            )
        bound = bind(self.names.report, value, ("file", "column", "where", "header"), 1)
        file = file_name(value, bound, self.names, variables)
        suffix = file.rpartition(".")[2].lower()
        if suffix not in NAME_FILES:
            raise unknown_kind(self.names.report, value, file, NAME_FILES)
        if suffix == "txt":
            return self._from_lines(name, file, value, bound)
        return self._from_table(name, file, value, bound, variables)

    def _from_lines(self, name: str, file: str, node: syntax.Call, bound: Bound) -> Axis:
        """A name a line, kept letter by letter."""
        for surplus in bound.keys() & {"column", "where", "header"}:
            help = f"`{surplus}` is for tables"
            raise fail(
                self.names.report, codes.SURPLUS_ARGUMENT, bound[surplus].span, name="names", help=help
            )
        column = self.files.lines(file, node.span)
        tabs = column.texts.str.contains("\t", literal=True)
        if tabs.any():
            at = tabs.arg_max() or 0
            stem = file.rpartition(".")[0]
            help = f'a table is called `.tsv`, and a column named: `names("{stem}.tsv", column = "...")`'
            fields = {"name": file, "axis": name, "reason": f"{column.table.place_of(at)} has a tab"}
            raise fail(self.names.report, codes.BAD_NAMES, node.span, help=help, **fields)
        return Axis(name, len(column.series), self._distinct(name, column))

    def _from_table(
        self, name: str, file: str, node: syntax.Call, bound: Bound, variables: Mapping[str, int]
    ) -> Axis:
        """A column of names; the others are fields."""
        if "column" not in bound:
            raise fail(self.names.report, codes.MISSING_ARGUMENT, node.span, name="names", argument="column")
        header = has_header(node, bound, file, self.names.report)
        table = self.files.table(file, node.span, header=header)
        if "where" in bound:
            table = table.kept(rows_where(bound["where"].value, table, self.names, variables))
        wanted = column_name(bound["column"].value, self.names, variables)
        column = table.column(wanted)
        names = self._distinct(name, column)
        others = {other for other, places in table.places.items() if other != wanted and len(places) == 1}
        return Axis(name, len(names), names, {other: table.column(other) for other in sorted(others)})

    def _distinct(self, axis: str, column: Column) -> tuple[str, ...]:
        """The names in a column. Raises `Failed` if one is empty or stands there twice, or there is none."""
        texts, table = column.texts, column.table
        reason = "" if len(texts) else "it has no names"
        nul = texts.str.contains("\0", literal=True)
        if nul.any():
            reason = f"{table.place_of(nul.arg_max() or 0)} has a NUL character"
        elif (texts == "").any():
            reason = f"{table.place_of((texts == '').arg_max() or 0)} has an empty name"
        elif texts.n_unique() < len(texts):
            again = int(np.flatnonzero(~texts.is_first_distinct().to_numpy())[0])
            first = (texts == texts[again]).arg_max() or 0
            reason = (
                f"`{texts[again]}` stands on {table.place_of(first)} and again on {table.place_of(again)}"
            )
        if reason:
            fields = {"name": table.name, "axis": axis, "reason": reason}
            raise fail(self.names.report, codes.BAD_NAMES, table.span, **fields)
        return tuple(texts.to_list())


def file_name(node: syntax.Expression, bound: Bound, names: Names, variables: Mapping[str, int]) -> str:
    """The file argument of `load` or `names`, templates filled in."""
    parts = call_parts(node)
    assert parts is not None
    if "file" not in bound:
        raise fail(names.report, codes.MISSING_ARGUMENT, node.span, name=parts[0], argument="file")
    value = bound["file"].value
    if not isinstance(value, syntax.String):
        raise fail(names.report, codes.NOT_A_STRING, value.span, what="a file's name")
    return names.string(value, variables)


# What can be done about files of other kinds, by their endings.
_OTHER_KINDS = {
    **dict.fromkeys(("gz", "bz2", "xz", "zst", "zip", "7z", "tar"), "unpack it first"),
    **dict.fromkeys(("xlsx", "xls", "ods"), "save the sheet as `CSV UTF-8`"),
    **dict.fromkeys(
        ("txt", "dat", "edges", "edgelist", "tab", "text", ""),
        "a table is a `.csv` file, with commas, or a `.tsv` file, with tabs; "
        "`header = off` reads one without a header line",
    ),
    **dict.fromkeys(("npy", "npz", "mtx"), "names stand in a text, one a line, or in a column of a table"),
}


def unknown_kind(report: Report, node: syntax.Expression, name: str, kinds: Iterable[str]) -> Failed:
    """Record that a file's ending is none of those that are read, and return the exception to raise."""
    listed = ", ".join(f"`.{kind}`" for kind in kinds)
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    help = _OTHER_KINDS.get(suffix, ())
    return fail(report, codes.FILE_KIND, node.span, name=name, kinds=listed, help=help)


def has_header(node: syntax.Expression, bound: Bound, file: str, report: Report) -> bool:
    """Whether a table has a header line: unless `header = off` is among the arguments."""
    if "header" not in bound:
        return True
    value = bound["header"].value
    if call_parts(value) != ("off", ()):
        raise fail(report, codes.UNKNOWN_CHOICE, value.span, name="header", choices="`off`")
    if not file.lower().endswith((".csv", ".tsv")):
        help = "`header` is for `.csv` and `.tsv` files"
        name = name_of(report, node)
        raise fail(report, codes.SURPLUS_ARGUMENT, bound["header"].span, name=name, help=help)
    return False


def column_name(node: syntax.Expression, names: Names, variables: Mapping[str, int]) -> str:
    """A column's name, templates filled in."""
    if not isinstance(node, syntax.String):
        raise fail(names.report, codes.NOT_A_STRING, node.span, what="a column's name")
    return names.string(node, variables)


def rows_where(
    node: syntax.Expression, table: Table, names: Names, variables: Mapping[str, int]
) -> NDArray[np.bool_]:
    """The rows of a table that meet a condition, in which `column("name")` is a value of the row, (rows,)."""

    def column(call: syntax.Call) -> Texts:
        bound = bind(names.report, call, ("name",))
        if "name" not in bound:
            raise fail(names.report, codes.MISSING_ARGUMENT, call.span, name="column", argument="name")
        at_node = replace(table, span=call.span)
        return Texts(at_node.column(column_name(bound["name"].value, names, variables)))

    surroundings = names.surroundings(variables)
    evaluator = Evaluator(
        names.report,
        lambda reference: names.number(reference, variables),
        surroundings=replace(surroundings, column=column),
    )
    value = evaluator.value(node)
    if np.asarray(value).dtype.kind != "b":
        raise fail(names.report, codes.NOT_A_CONDITION, node.span)
    return np.broadcast_to(np.asarray(value, bool), (table.height,))
