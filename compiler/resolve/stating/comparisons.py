"""Comparisons: of numbers, of units of an axis, and of texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ....dsl import syntax
from ....dsl.walk import called_name
from ...graph import statement as stated
from ...names.arithmetic import FUNCTIONS
from ...sets.rules.rule import NoStatement
from .axes import AxisStatements
from .bound import Bound, Scope, opened

Translate: TypeAlias = Callable[[syntax.Expression, Scope], stated.Expression]


class Comparisons:
    """Translates comparisons, whose operands `number` translates, and `text` those of texts."""

    def __init__(self, bound: Bound, axes: AxisStatements, number: Translate, text: Translate) -> None:
        self._bound = bound
        self._axes = axes
        self._number = number
        self._text = text

    def comparison(self, node: syntax.Comparison, scope: Scope) -> stated.Expression:
        """What a comparison says, of whatever it compares."""
        operands = [opened(node.first), *(opened(operand) for _, operand in node.rest)]
        names = (self._bound.bare(operand, scope.variables) or "" for operand in operands)
        indices = (scope.indices[name] for name in names if name in scope.indices)
        owner = next(indices, None)
        if len(node.rest) > 1 and self._speaks_of_texts(operands, scope):
            links = [
                self.comparison(syntax.Comparison(node.span, left, (link,)), scope)
                for left, link in zip(operands, node.rest, strict=False)
            ]
            made = links[0]
            for link in links[1:]:
                made = stated.Operation("and", (made, link))
            return made
        if owner is not None:
            return self._of_units(node, owner, scope)
        symbol, right = node.rest[0] if node.rest else ("", node.first)
        if self._speaks_of_texts(operands, scope):
            return self._of_texts(node.first, symbol, opened(right), scope)
        if fields := self._of_fields(operands, symbol, scope):
            return fields
        rest = tuple((symbol, self._number(operand, scope)) for symbol, operand in node.rest)
        return stated.Comparison(self._number(node.first, scope), rest)

    def _of_units(self, node: syntax.Comparison, axis: str, scope: Scope) -> stated.Expression:
        """A comparison in which names stand for units of an axis."""

        def part(node: syntax.Expression) -> stated.Expression:
            node = opened(node)
            if isinstance(node, syntax.String):
                return stated.Unit(axis, self._bound.string(node, scope.variables))
            if isinstance(node, syntax.List):
                return stated.Items(tuple(map(part, node.items)))
            return self._number(node, scope)

        first = part(node.first)
        if node.rest[0][0] == "in" and len(node.rest) == 1:
            other = self._axes.behind_in(node.rest[0][1], scope.variables)
            if other is not None:
                name = stated.UnitName(axis, first)
                return stated.Comparison(name, (("in", stated.Names(other)),))
        return stated.Comparison(first, tuple((symbol, part(operand)) for symbol, operand in node.rest))

    def _speaks_of_texts(self, operands: list[syntax.Expression], scope: Scope) -> bool:
        """Whether a text, or the names of an axis, are among what is compared."""
        listed = [item for o in operands if isinstance(o, syntax.List) for item in map(opened, o.items)]
        return any(isinstance(operand, syntax.String) for operand in (*operands, *listed)) or any(
            self._axes.behind_in(operand, scope.variables) is not None for operand in operands[1:]
        )

    def _of_texts(
        self, left: syntax.Expression, symbol: str, right: syntax.Expression, scope: Scope
    ) -> stated.Expression:
        axis = self._axes.behind_in(right, scope.variables) if symbol == "in" else None
        if axis is not None:
            return stated.Comparison(self._text(left, scope), (("in", stated.Names(axis)),))
        return stated.Comparison(self._text(left, scope), ((symbol, self._text(right, scope)),))

    def _of_fields(
        self, operands: list[syntax.Expression], symbol: str, scope: Scope
    ) -> stated.Expression | None:
        """A comparison of two fields, which may be numbers or texts."""
        if len(operands) != 2 or symbol not in ("==", "!="):
            return None
        if not all(isinstance(o, syntax.Call) and called_name(o) not in FUNCTIONS for o in operands):
            return None
        left, right = (self._text(operand, scope) for operand in operands)
        if isinstance(left, stated.Column) and isinstance(right, stated.Column):
            raise NoStatement("two columns are compared with each other")
        if not (isinstance(left, stated.Field) and isinstance(right, stated.Field)):
            return None
        alike = stated.Alike(left, right)
        return alike if symbol == "==" else stated.Operation("not", (alike,))
