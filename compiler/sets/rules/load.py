"""The rule `load(file, ...)`: the pairs of a table, or the entries of a matrix."""

from __future__ import annotations

from ....dsl import syntax
from ....dsl.walk import call_parts, name_of
from ...edges.edge_set import EdgeSet
from ...graph import statement as stated
from ...names.arguments import bind
from ..loading.call import MATRICES, PARAMETERS, LoadCall, column_names, suffix_of
from ..loading.edges import loaded_edges
from .rule import NoStatement, Rule, Setting, Stating


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    call = LoadCall.of(node, setting.names, setting.files, setting.variables)
    return loaded_edges(call, setting.sides)


def _state(node: syntax.Expression, stating: Stating) -> stated.Set:
    bound = bind(stating.report, node, PARAMETERS, 1)
    file = stating.string(bound["file"].value)
    refuse_parquet(file)
    if "rows" in bound and suffix_of(file) in MATRICES:
        return stated.Matrix(file, name_of(stating.report, bound["rows"].value))
    where = stating.expression(bound["where"].value) if "where" in bound else None
    outside = call_parts(bound["outside"].value) if "outside" in bound else None
    source, target = len(stating.sides.source.shape), len(stating.sides.target.shape)
    header = "header" not in bound
    ends = (("source", source, 0), ("target", target, source))
    source_columns, target_columns = (
        column_names(
            end,
            rank,
            before,
            file,
            header=header,
            given=stating.string(bound[end].value) if end in bound else None,
        )
        for end, rank, before in ends
    )
    return stated.Table(file, header, source_columns, target_columns, where, outside == ("wrap", ()))


def refuse_parquet(file: str) -> None:
    """Raise `NoStatement` for a file that the generated tests could not read."""
    if suffix_of(file) == "parquet":
        raise NoStatement("Python by itself reads no Parquet files")


LOAD = Rule("load", _edges, _state)
