"""Axes of files: `names("genes.txt")`, a name a line, or `names("genes.csv", column = "id")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.records import record
from .. import codes
from ..data.axis import Axis
from ..data.columns import Unusable
from ..data.files import Files
from ..data.tables import Column
from ..edges.edge_set import Indices, distinct
from .arguments import Bound, bind
from .file_arguments import column_name, file_name, has_header, rows_where, unknown_kind
from .names import Names
from .policies import DUPLICATE, Policies

# Files that hold names: a name a line, or a table.
NAME_FILES = ("txt", "csv", "tsv", "parquet")


@record
class FileAxes:
    """Reads the axes of a spec's files."""

    names: Names
    files: Files

    def read(
        self, name: str, value: syntax.Call, variables: Mapping[str, int], *, merges: bool = False
    ) -> Axis:
        """`names(file, ...)`; with `merges`, a name that stands there twice counts once in any case."""
        report = self.names.report
        bound = bind(report, value, ("file", "column", "where", "header", "duplicate"), 1)
        file = file_name(value, bound, self.names, variables)
        suffix = file.rpartition(".")[2].lower()
        if suffix not in NAME_FILES:
            raise unknown_kind(report, value, file, NAME_FILES)
        if "duplicate" in bound:
            given = bound["duplicate"]
            policy = syntax.Attribution(given.span, "duplicate", given.span, "=", given.value)
            policies = Policies.of((policy,), report, lambda n: self.names.text(n, variables), (DUPLICATE,))
            merges = merges or policies.duplicate == "merge"
        if suffix == "txt":
            return self._from_lines(name, file, value, bound, merges)
        return self._from_table(name, file, value, bound, variables, merges)

    def _from_lines(self, name: str, file: str, node: syntax.Call, bound: Bound, merges: bool) -> Axis:
        """A name a line, kept letter by letter."""
        for surplus in bound.keys() & {"column", "where", "header"}:
            help = f"`{surplus}` is for tables"
            raise fail(
                self.names.report, codes.SURPLUS_ARGUMENT, bound[surplus].span, name="names", help=help
            )
        column = self.files.lines(file, node.span)
        tabs = column.texts.where(lambda text: "\t" in text)
        if tabs.any():
            at = int(np.argmax(tabs))
            stem = file.rpartition(".")[0]
            help = f'a table is called `.tsv`, and a column named: `names("{stem}.tsv", column = "...")`'
            fields = {"name": file, "axis": name, "reason": f"{column.table.place_of(at)} has a tab"}
            raise fail(self.names.report, codes.BAD_NAMES, node.span, help=help, **fields)
        names = self._distinct(name, column, merges)
        return Axis(name, len(names), names)

    def _from_table(
        self,
        name: str,
        file: str,
        node: syntax.Call,
        bound: Bound,
        variables: Mapping[str, int],
        merges: bool,
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
        names = self._distinct(name, column, merges)
        others = {other for other, places in table.places.items() if other != wanted and len(places) == 1}
        fields = {other: table.column(other) for other in sorted(others)}
        if len(names) < table.height:
            first = column.texts.first
            fields = {
                n: at_rows(field, first) for n, field in fields.items() if _is_of(column, field, len(names))
            }
        return Axis(name, len(names), names, fields)

    def _distinct(self, axis: str, column: Column, merges: bool) -> tuple[str, ...]:
        """The names in a column, each once. Raises `Failed` if one is empty, or there is none.

        Without `merges`, a name that stands there twice is an error too.
        """
        texts, table = column.texts, column.table
        reason = "" if texts.height else "it has no names"
        help = ()
        nul, empty = texts.where(lambda text: "\0" in text), texts.where(lambda text: not text)
        if nul.any():
            reason = f"{table.place_of(int(np.argmax(nul)))} has a NUL character"
        elif empty.any():
            reason = f"{table.place_of(int(np.argmax(empty)))} has an empty name"
        elif not merges and len(texts.first) < texts.height:
            again = int(np.setdiff1d(np.arange(texts.height), texts.first)[0])
            first = int(np.argmax(texts.codes == texts.codes[again]))
            reason = (
                f"`{texts[again]}` stands on {table.place_of(first)} and again on {table.place_of(again)}"
            )
            help = "`duplicate = merge` takes each name once, where it stands first"
        if reason:
            fields = {"name": table.name, "axis": axis, "reason": reason}
            raise fail(self.names.report, codes.BAD_NAMES, table.span, help=help, **fields)
        return tuple(texts.distinct)


def at_rows(column: Column, rows: Indices) -> Column:
    """A column at some of its rows."""
    table = column.table
    table = replace(table, rows=rows if table.rows is None else table.rows[rows])
    return Column(table, column.name, column.values.at(rows))


def _is_of(names: Column, field: Column, count: int) -> bool:
    """Whether a column has one value for each of `count` names that may stand on several rows."""
    try:
        values = field.values.coded()
    except Unusable:
        return False
    pairs = names.texts.codes.astype(np.int64) * len(values.words.texts) + values.codes
    return len(distinct(pairs)) == count
