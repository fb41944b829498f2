"""Set expressions: sets in braces, rules, named sets, and what is combined of them."""

from __future__ import annotations

from ....dsl import syntax
from ....dsl.walk import name_of
from ...graph import statement as stated
from ...sets.rules import RULES
from ...sets.rules.rule import NoStatement, Sides, Stating
from .bound import Bound, Scope, Variables, end_of
from .builders import Builders
from .expressions import Expressions


class Sets:
    """Translates set expressions between their sides."""

    def __init__(self, bound: Bound, expressions: Expressions) -> None:
        self._bound = bound
        self._expressions = expressions
        self._builders = Builders(bound, expressions)

    def whole(self, sides: Sides, node: syntax.Expression, variables: Variables) -> stated.Stated:
        """A whole set between its sides."""
        try:
            made = self._set(node, sides, variables, "0")
        except NoStatement as error:
            made = stated.Unstated(str(error))
        return stated.Stated(end_of(sides.source), end_of(sides.target), made)

    def _set(self, node: syntax.Expression, sides: Sides, variables: Variables, place: str) -> stated.Set:
        """A set expression; `place` is what a seed is made from."""
        match node:
            case syntax.Parenthesised():
                return self._set(node.inner, sides, variables, place)
            case syntax.Binary():
                left = self._set(node.left, sides, variables, place + "0")
                return stated.Combined(
                    node.operator, left, self._set(node.right, sides, variables, place + "1")
                )
            case syntax.Builder():
                return self._builders.builder(node, sides, variables, stated.Seed(None, (sides.owner, place)))
            case _:
                return self._rule(node, sides, variables, place)

    def _rule(self, node: syntax.Expression, sides: Sides, variables: Variables, place: str) -> stated.Set:
        report = self._bound.names.report
        rule = RULES.get(name_of(report, node))
        if rule is None:
            return self._named(node, sides, variables)
        scope = Scope(variables)
        stating = Stating(
            sides,
            place,
            report,
            expression=lambda inner: self._expressions.number(inner, scope),
            string=lambda inner: self._bound.string(inner, variables),
            within=lambda inner, place: self._set(inner, sides, variables, place),
            named=lambda inner, closure: self._named(inner, sides, variables, closure=closure),
        )
        return rule.state(node, stating)

    def _named(
        self, node: syntax.Expression, sides: Sides, variables: Variables, *, closure: bool = False
    ) -> stated.Named:
        own = self._bound.sides(node, variables)
        ends = (
            tuple(zip(end_of(mine).axes, end_of(other).axes, strict=True))
            for mine, other in zip(own.both, sides.both, strict=True)
        )
        source, target = (tuple((a, b) if a and b and a != b else None for a, b in end) for end in ends)
        return stated.Named(self._bound.text(node, variables), source, target, closure)
