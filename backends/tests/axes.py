"""Statements of axes with names as Python functions."""

from __future__ import annotations

from ...compiler.graph import statement as stated
from ..source import Assign, Binary, Expression, Function, Name, Return, Scope, Statement, node
from .expressions import Naming, Python


def axis_function(naming: Naming, name: str, value: stated.AxisNames) -> Function:
    """The function that gives an axis."""
    lines: list[Statement] = []
    result = _names(naming, value, lines)
    scope = naming.scope
    body = (*lines, Return(result))
    return Function(naming.axis(name).text, (), body, scope.name("Axis"), decorators=(scope.name("cache"),))


def rows_of_table(scope: Scope, file: str, *, header: bool) -> Expression:
    """The rows of a table."""
    return scope.expression("rows(file, **options)", file=file, options={} if header else {"header": False})


def _names(naming: Naming, value: stated.AxisNames, lines: list[Statement]) -> Expression:
    """The names of an axis as an expression; `lines` get what stands before it."""
    python, quote = Python(naming), naming.scope.expression
    match value:
        case stated.SameNames(axis):
            return python.axis(axis)
        case stated.CombinedNames(operator, left, right):
            one = _part(naming, left, lines)
            return Binary(one, operator, _part(naming, right, lines))
        case stated.ReachedNames(edges, end, axis, other, bound):
            names = node(None)
            if isinstance(bound, tuple):
                names = quote("[*names]", names=bound)
            elif bound is not None:
                names = _part(naming, bound, lines).get("places")
            return quote(
                "reached(edges, end, axis, names, other)",
                edges=naming.set(edges),
                end=int(end == "target"),
                axis=python.axis(axis),
                names=names,
                other=python.axis(other or axis),
            )
        case stated.FileNames(file, None):
            return quote("names_of_lines(content(file))", file=file)
        case stated.FileNames(file, column, header, where):
            rows = rows_of_table(naming.scope, file, header=header)
            if where is not None:
                kept = quote("(row for row in rows if where)", rows=rows, where=python.tree(where))
                rows = _bound("kept", kept, lines)
            return quote("names_of_rows(rows, column)", rows=rows, column=column)
        case stated.Unstated(why):
            raise AssertionError(why)


def _part(naming: Naming, value: stated.AxisNames, lines: list[Statement]) -> Expression:
    """Names of which others are made: those that edges reach have a line of their own."""
    names = _names(naming, value, lines)
    return _bound("some", names, lines) if isinstance(value, stated.ReachedNames) else names


def _bound(wish: str, value: Expression, lines: list[Statement]) -> Name:
    """A variable of this value, which `lines` bind."""
    name = Name(f"{wish}_{len(lines) + 1}" if lines else wish)
    lines.append(Assign(name, value))
    return name
