"""Axes: named index spaces, `axis gene = names("genes.txt")`, worked out when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..dsl import syntax
from . import codes
from .arguments import Bound, bind, call_parts
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
        bound = bind(self.names.report, value, ("file", "column", "where"), 1)
        file = file_name(value, bound, self.names, variables)
        suffix = file.rpartition(".")[2].lower()
        if suffix not in NAME_FILES:
            kinds = ", ".join(f"`.{kind}`" for kind in NAME_FILES)
            raise fail(self.names.report, codes.FILE_KIND, value.span, name=file, kinds=kinds)
        if suffix == "txt":
            return self._from_lines(name, file, value, bound)
        return self._from_table(name, file, value, bound, variables)

    def _from_lines(self, name: str, file: str, node: syntax.Call, bound: Bound) -> Axis:
        """A name a line, kept letter by letter."""
        for surplus in bound.keys() & {"column", "where"}:
            help = f"`{surplus}` is for tables"
            raise fail(
                self.names.report, codes.SURPLUS_ARGUMENT, bound[surplus].span, name="names", help=help
            )
        column = self.files.lines(file, node.span)
        return Axis(name, len(column.series), self._distinct(name, column))

    def _from_table(
        self, name: str, file: str, node: syntax.Call, bound: Bound, variables: Mapping[str, int]
    ) -> Axis:
        """A column of names; the others are fields."""
        if "column" not in bound:
            raise fail(self.names.report, codes.MISSING_ARGUMENT, node.span, name="names", argument="column")
        table = self.files.table(file, node.span)
        if "where" in bound:
            table = table.kept(rows_where(bound["where"].value, table, self.names, variables))
        wanted = column_name(bound["column"].value, self.names, variables)
        column = table.column(wanted)
        names = self._distinct(name, column)
        others = {other for other in table.header if other != wanted and table.header.count(other) == 1}
        return Axis(name, len(names), names, {other: table.column(other) for other in sorted(others)})

    def _distinct(self, axis: str, column: Column) -> tuple[str, ...]:
        """The names in a column. Raises `Failed` if one is empty or stands there twice, or there is none."""
        texts, table = column.texts, column.table
        reason = "" if len(texts) else "it has no names"
        if (texts == "").any():
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
