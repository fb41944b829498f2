"""Files, headers, columns and conditions of rows, as the arguments of `load` and `names` say them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.walk import call_parts, name_of
from .. import codes
from ..data.tables import Table, Texts
from .arguments import Bound, bind
from .evaluate import Evaluator
from .names import Names


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


def column_name(
    node: syntax.Expression, names: Names, variables: Mapping[str, int], what: str = "a column's name"
) -> str:
    """A name in quotes, of a column or whatever else, templates filled in."""
    if not isinstance(node, syntax.String):
        raise fail(names.report, codes.NOT_A_STRING, node.span, what=what)
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
