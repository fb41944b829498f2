"""Sets in braces: their arrows, what index names run over, and the conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from ....dsl import syntax
from ....dsl.walk import call_parts
from ...graph import statement as stated
from ...names.sides import Side
from ...sets.rules.rule import Sides
from ...sets.terms import calls, components, conjuncts
from .bound import Bound, Scope, Variables, end_of
from .expressions import Expressions


class Builders:
    """Translates sets in braces between their sides."""

    def __init__(self, bound: Bound, expressions: Expressions) -> None:
        self._bound = bound
        self._expressions = expressions

    def builder(
        self, node: syntax.Builder, sides: Sides, variables: Variables, seed: stated.Seed
    ) -> stated.Builder:
        """A set in braces; `seed` is for what it draws, unless it gives one itself."""
        wraps = False
        for policy in node.policies:
            if policy.name == "seed":
                seed = stated.Seed(self._expressions.number(policy.value, Scope(variables)))
            elif policy.name == "outside":
                wraps = call_parts(policy.value) == ("wrap", ())
        chances = {id(call): at for at, call in enumerate(calls(node, "chance"))}
        arrows: list[stated.Arrow | stated.Pairs] = []
        for arrow in node.edges:
            ends = [
                [components(item) for item in (end.items if isinstance(end, syntax.List) else (end,))]
                for end in (arrow.source, arrow.target)
            ]
            lone = (self._bound.bare(part, variables) for end in ends for item in end for part in item)
            if not node.clauses and not any(lone):
                listed = [
                    tuple(self._index(item, side, Scope(variables)) for item in end)
                    for end, side in zip(ends, sides.both, strict=True)
                ]
                arrows.append(stated.Pairs(listed[0], listed[1]))
                continue
            arrows += [
                self._arrow(source, target, node, sides, Scope(variables, {}, chances, seed))
                for source, target in product(*ends)
            ]
        return stated.Builder(tuple(arrows), wraps)

    def _arrow(
        self,
        source: tuple[syntax.Expression, ...],
        target: tuple[syntax.Expression, ...],
        node: syntax.Builder,
        sides: Sides,
        scope: Scope,
    ) -> stated.Arrow:
        places: dict[str, stated.Domain] = {}
        axes: dict[str, str | None] = {}
        for name, size, axis, end, at in self._positions(source, target, node, sides, scope.variables):
            places.setdefault(name, stated.Domain(name, size, end, at))
            axes.setdefault(name, axis)
        generated, conditions = self._clauses(node, scope.variables)
        scope = replace(scope, indices={**dict.fromkeys(generated), **axes})
        domains = {**places, **self._generated(generated, places, scope)}
        return stated.Arrow(
            self._index(source, sides.source, scope),
            self._index(target, sides.target, scope),
            tuple(domains.values()),
            tuple(self._condition(condition, scope) for condition in conditions),
        )

    def _clauses(
        self, node: syntax.Builder, variables: Variables
    ) -> tuple[dict[str, syntax.Expression], list[syntax.Expression | syntax.Membership]]:
        """The clauses `name in values` by name, and all other conditions."""
        generated: dict[str, syntax.Expression] = {}
        conditions: list[syntax.Expression | syntax.Membership] = []
        for clause in node.clauses:
            for part in [clause] if isinstance(clause, syntax.Membership) else conjuncts(clause):
                match part:
                    case syntax.Comparison(rest=(("in", syntax.Range() | syntax.List()),)):
                        name = self._bound.bare(part.first, variables)
                    case _:
                        name = None
                if name is None or name in generated:
                    conditions.append(part)
                else:
                    assert isinstance(part, syntax.Comparison)
                    generated[name] = part
        return generated, conditions

    def _generated(
        self, generated: Mapping[str, syntax.Expression], places: Mapping[str, stated.Domain], scope: Scope
    ) -> dict[str, stated.Domain]:
        """What the names of `name in values` run over."""
        domains: dict[str, stated.Domain] = {}
        for name, part in generated.items():
            made = self._expressions.number(part, scope)
            assert isinstance(made, stated.Comparison)
            values = made.rest[0][1]
            assert isinstance(values, stated.Interval | stated.Items)
            place = places.get(name)
            # A name that an end of a membership's set binds first has no place in the arrow.
            end, at = (place.end, place.dimension) if place else ("", 0)
            domains[name] = stated.Domain(name, values, end, at)
        return domains

    def _positions(
        self,
        source: tuple[syntax.Expression, ...],
        target: tuple[syntax.Expression, ...],
        node: syntax.Builder,
        sides: Sides,
        variables: Variables,
    ) -> Iterator[tuple[str, int, str | None, str, int]]:
        """The index names that stand alone in an index: size, axis, and the end and place in the arrow."""
        for end, index, side in (("source", source, sides.source), ("target", target, sides.target)):
            for at, part in enumerate(index):
                if (name := self._bound.bare(part, variables)) is not None:
                    yield name, side.shape[at], end_of(side).axes[at], end, at
        for clause in node.clauses:
            if not isinstance(clause, syntax.Membership):
                continue
            own = self._bound.sides(clause.set, variables)
            for index, side in zip((clause.edge.source, clause.edge.target), own.both, strict=True):
                for at, part in enumerate(components(index)):
                    name = self._bound.bare(part, variables)
                    if name is not None and name not in self._bound.names.declared:
                        yield name, side.shape[at], end_of(side).axes[at], "", 0

    def _index(
        self, index: tuple[syntax.Expression, ...], side: Side, scope: Scope
    ) -> tuple[stated.Expression, ...]:
        """An index of a side; a unit's name is its number."""
        parts: list[stated.Expression] = []
        for part, axis in zip(index, end_of(side).axes, strict=True):
            if isinstance(part, syntax.String):
                assert axis is not None
                parts.append(stated.Unit(axis, self._bound.string(part, scope.variables)))
            else:
                parts.append(self._expressions.number(part, scope))
        return tuple(parts)

    def _condition(self, node: syntax.Expression | syntax.Membership, scope: Scope) -> stated.Expression:
        if not isinstance(node, syntax.Membership):
            return self._expressions.number(node, scope)
        own = self._bound.sides(node.set, scope.variables)
        ends: list[tuple[stated.Expression, ...]] = []
        for index, side in zip((node.edge.source, node.edge.target), own.both, strict=True):
            written = components(index)
            parts = list(self._index(written, side, scope))
            for at, (part, axis) in enumerate(zip(written, end_of(side).axes, strict=True)):
                other = scope.indices.get(self._bound.bare(part, scope.variables) or "")
                if axis is not None and other is not None and axis != other:
                    parts[at] = stated.Moved(parts[at], other, axis)
            ends.append(tuple(parts))
        return stated.Member(self._bound.text(node.set, scope.variables), ends[0], ends[1])
