"""The names that statements declare, and the numbers of params."""

from __future__ import annotations

from ...dsl import syntax
from ...dsl.diagnostics import Report
from ...dsl.source import Span
from .. import codes
from ..names.names import Placed, refuse_long
from ..names.reserved import model_refusal
from .connections import connection_name
from .known import Known
from .sharing import declare_share, shares_of


def declare(statement: syntax.Statement, placed: Placed, known: Known) -> None:
    """Enter the name of a statement."""
    names = known.names
    for node, edges in shares_of(statement):
        declare_share(node, edges, names, placed)
    match statement:
        case syntax.ModelStatement(name=name):
            known.network.name = known.network.name or names.text(name, placed.variables)
            known.network.name_span = name.span
            _check_model_name(known.network.name, name.span, known.report)
        case syntax.DataStatement(name=name, keyword=kind):
            names.declare(name, kind, placed)
        case syntax.LayerStatement(name=name):
            names.declare(name, "layer", placed)
        case syntax.EdgesStatement(name=name):
            names.declare(name, "edge set", placed)
        case syntax.FunctionStatement(name=name):
            names.declare(name, "function", placed)
        case syntax.ConnectStatement(name=name):
            names.declare(name, "connection", placed, connection_name(statement, placed, names))
        case _:
            return


def _check_model_name(name: str, span: Span, report: Report) -> None:
    """The model's name is a part of file names and of a class's name."""
    if refuse_long(name, span, report):
        return
    if name.startswith("_") or "__" in name:
        report.add(codes.UNDERSCORES, span, name=name)
    elif why := model_refusal(name):
        report.add(codes.RESERVED_NAME, span, name=name, why=why, help=f"`{name}_` would do")


def read_param(statement: syntax.ParamStatement, placed: Placed, known: Known) -> None:
    """The number of a `param` statement."""
    known.names.number(syntax.Reference(statement.span, statement.name), placed.variables)
