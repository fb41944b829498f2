"""Statements of axes: the names that an expression of axes makes."""

from __future__ import annotations

from collections.abc import Callable

from ....dsl import syntax
from ....dsl.walk import called_name
from ...graph import statement as stated
from ...names.arguments import bind
from ...names.unit_axes import REACHED
from ...sets.rules.load import refuse_parquet
from .bound import Bound, Scope, Variables, end_of


class AxisStatements:
    """Translates expressions of axes; `made` has the statements of axes that have been met.

    `number` translates the condition after `where`.
    """

    def __init__(self, bound: Bound, number: Callable[[syntax.Expression, Scope], stated.Expression]) -> None:
        self.made: dict[str, stated.AxisNames] = {}
        self._bound = bound
        self._number = number

    def axis(self, node: syntax.Expression, variables: Variables) -> stated.AxisNames:
        """The names that an expression of axes makes."""
        match node:
            case syntax.Parenthesised():
                return self.axis(node.inner, variables)
            case syntax.Reference():
                return stated.SameNames(self._bound.text(node, variables))
            case syntax.Binary():
                return stated.CombinedNames(
                    node.operator, self.axis(node.left, variables), self.axis(node.right, variables)
                )
            case syntax.Call() if called_name(node) in REACHED:
                return self._reached(node, variables)
            case _:
                return self._of_file(node, variables)

    def behind_in(self, node: syntax.Expression, variables: Variables) -> str | None:
        """The axis with names that is meant behind `in`; `names(...)` there is one with a number instead."""
        if isinstance(node, syntax.Parenthesised):
            return self.behind_in(node.inner, variables)
        if isinstance(node, syntax.Call) and called_name(node) in ("names", *REACHED):
            found = self.axis(node, variables)
            for name, known in self.made.items():
                if known == found:
                    return name
            name = str(len(self.made))
            self.made[name] = found
            return name
        if isinstance(node, syntax.Reference):
            name = self._bound.text(node, variables)
            axis = self._bound.axes.get(name)
            return name if name not in variables and axis and axis.names else None
        return None

    def _reached(self, node: syntax.Call, variables: Variables) -> stated.ReachedNames:
        end, bounding = REACHED[called_name(node)]
        given = bind(self._bound.names.report, node, ("set", bounding), 1)
        name = self._bound.text(given["set"].value, variables)
        ends = [end_of(side).axes[0] for side in self._bound.sets[name].sides.both]
        axis, other = ends if end == "source" else ends[::-1]
        assert axis is not None
        bounds: stated.AxisNames | tuple[str, ...] | None = None
        if bounding in given:
            value = given[bounding].value
            listed = isinstance(value, syntax.List)
            bounds = (
                tuple(self._bound.string(item, variables) for item in value.items)
                if listed
                else self.axis(value, variables)
            )
        return stated.ReachedNames(name, end, axis, other, bounds)

    def _of_file(self, node: syntax.Expression, variables: Variables) -> stated.FileNames:
        report = self._bound.names.report
        given = bind(report, node, ("file", "column", "where", "header", "duplicate"), 1)
        where = self._number(given["where"].value, Scope(variables)) if "where" in given else None
        column = self._bound.string(given["column"].value, variables) if "column" in given else None
        file = self._bound.string(given["file"].value, variables)
        refuse_parquet(file)
        return stated.FileNames(file, column, "header" not in given, where)
