"""What the clauses of a builder give one of its arrows: what index names run over, and what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.records import record
from ...dsl.walk import names_in
from ...dsl.words import article
from .. import codes
from ..names.sides import Scope, Side
from .domains import Domain, Partners
from .terms import (
    bare,
    calls,
    conjuncts,
    generator_of,
    member_of,
    numbered,
    owners_of,
    parts_of,
    with_units,
)


@record
class Condition:
    """A condition and the index names it needs; one that draws needs all, and is tested when others hold."""

    node: syntax.Expression
    needs: frozenset[str]
    draws: bool = False


@record
class Clauses:
    """The index names in the order in which they are assigned, and all conditions.

    The `builder` is that which they are made of, with the numbers of units in place of their names.
    """

    builder: syntax.Builder
    domains: list[Domain]
    conditions: list[Condition]

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are assigned, but for those of memberships."""
        return tuple(domain.name for domain in self.domains if not domain.name.startswith("#"))


def clauses_of(arrow: syntax.Arrow, node: syntax.Builder, scope: Scope) -> Clauses:
    """What clauses give an arrow whose sides are no lists. Raises `Failed` after recording a diagnostic."""
    owners = owners_of(arrow, node, scope)
    clauses = (
        clause if isinstance(clause, syntax.Membership) else with_units(clause, scope, owners)
        for clause in node.clauses
    )
    node = replace(node, clauses=tuple(clauses))
    memberships = _Memberships(scope, owners)
    generated: dict[str, Domain] = {}
    nodes: list[syntax.Expression] = []
    for at, clause in enumerate(node.clauses):
        if isinstance(clause, syntax.Membership):
            nodes += memberships.add(clause, at)
            continue
        for part in conjuncts(clause):
            name = generator_of(part, scope)
            if name is None or name in generated:
                nodes.append(part)
                continue
            assert isinstance(part, syntax.Comparison)
            values = part.rest[0][1]
            if not isinstance(values, syntax.Range | syntax.List):
                raise fail(scope.report, codes.IN_WHAT, values.span)
            generated[name] = Domain(name, part.first.span, values)
    domains = _ordered(_bound(arrow, generated, memberships, scope), scope)
    names = frozenset(domain.name for domain in domains)
    conditions = [
        Condition(node, names, draws=True)
        if any(calls(node, "chance"))
        else Condition(node, names & names_in(node, scope.text))
        for node in nodes
    ]
    return Clauses(node, domains, conditions)


class _Memberships:
    """The edges of named sets that indices must be, one set after the other.

    Both ends of a set's edges are names of their own, `ends`, and equations make the indices equal to them.
    The ends of the first set are run over; where names are known from another one, they give the ends. After
    an end come the names that it gives, `given`; `free` has what they run over if nothing else says it.
    """

    def __init__(self, scope: Scope, owners: Mapping[str, tuple[Side, int]]) -> None:
        self.ends: dict[str, Domain] = {}
        self.free: dict[str, Domain] = {}
        self.given: dict[str, list[str]] = {}
        self._scope = scope
        self._owners = owners
        self._bound: set[str] = set()

    def add(self, clause: syntax.Membership, at: int) -> list[syntax.Expression]:
        """Read a membership, the clause of some number, and return its equations."""
        member = member_of(clause, self._scope, self._owners)
        names, sides = (f"#{at}s", f"#{at}t"), (member.source, member.target)
        used: list[set[str]] = []
        given: list[str] = []
        equations: list[syntax.Expression] = []
        for end, index, side, name in (
            ("source", clause.edge.source, member.source, names[0]),
            ("target", clause.edge.target, member.target, names[1]),
        ):
            index = numbered(index, side, self._scope)
            parts = parts_of(index, side, f"the {end} of the set", self._scope)
            equations += _equations(parts, side, name)
            used.append({name for part in parts for name in names_in(part, self._scope.text)})
            for part, size in zip(parts, side.shape, strict=True):
                alone = bare(part, self._scope)
                if alone is not None and self._scope.declared(alone) is None:
                    given.append(alone)
                    self.free[alone] = Domain(alone, part.span, size)
        units, partners = member.edges.edges()
        # Searched from the end that is known from sets before, if only one is.
        if used[1] & self._bound and not used[0] & self._bound:
            names, units, partners, used, sides = names[::-1], partners, units, used[::-1], sides[::-1]
        first, second = Partners.both(units, partners, names[0])
        known = bool(used[0] & self._bound)
        self._bound |= used[0] | used[1]
        self.given[names[1]] = given
        self.ends[names[0]] = Domain(names[0], clause.span, sides[0].units if known else first)
        self.ends[names[1]] = Domain(names[1], clause.span, second)
        return equations


def _equations(parts: tuple[syntax.Expression, ...], side: Side, name: str) -> list[syntax.Expression]:
    """What makes the parts of an index those of the unit that a name stands for."""
    stride = side.units
    equations: list[syntax.Expression] = []
    for part, size in zip(parts, side.shape, strict=True):
        stride //= max(size, 1)
        unit = syntax.Reference(part.span, syntax.Name(part.span, (name,)))
        along = _digit(unit, stride, size, len(parts))
        equations.append(syntax.Comparison(part.span, part, (("==", along),)))
    return equations


def _digit(unit: syntax.Expression, stride: int, size: int, rank: int) -> syntax.Expression:
    """The index along one dimension of a unit's number."""
    span = unit.span
    if rank == 1:
        return unit
    along = syntax.Binary(span, "//", unit, syntax.Number(span, stride, str(stride)))
    return syntax.Binary(span, "%", along, syntax.Number(span, size, str(size)))


def _bound(
    arrow: syntax.Arrow, generated: Mapping[str, Domain], memberships: _Memberships, scope: Scope
) -> list[Domain]:
    """The ends of sets, the index names of the arrow, then the others, in the order they are written."""
    domains: dict[str, Domain] = {}
    for index, side in ((arrow.source, scope.source), (arrow.target, scope.target)):
        for part, size in zip(parts_of(index, side, side.name, scope), side.shape, strict=True):
            name = bare(part, scope)
            if name is not None:
                domains.setdefault(name, generated.get(name) or Domain(name, part.span, size))
    # A name that only memberships know runs over the units there.
    for name, domain in (*generated.items(), *memberships.free.items()):
        domains.setdefault(name, domain)
    # After the ends of a set the names that they give, which then narrow the ends of the next one.
    ordered: dict[str, Domain] = {}
    for name, domain in memberships.ends.items():
        ordered[name] = domain
        ordered |= {given: domains[given] for given in memberships.given.get(name, ()) if given in domains}
    domains = {**ordered, **{name: domain for name, domain in domains.items() if name not in ordered}}
    for domain in domains.values():
        if (kind := scope.declared(domain.name)) is not None:
            # A param, layer or axis as an index is almost surely meant as its number.
            raise fail(
                scope.report,
                codes.INDEX_IS_DECLARED,
                domain.span,
                name=domain.name,
                kind=article(kind),
                help="choose another name for the index"
                + (f", or write `{domain.name} + 0` for the number" if kind == "param" else ""),
            )
    return list(domains.values())


def _ordered(domains: list[Domain], scope: Scope) -> list[Domain]:
    """The names such that one whose range depends on others, as in `k in 0..i`, comes after them."""
    names = {domain.name for domain in domains}
    waiting, result = list(domains), list[Domain]()
    while waiting:
        placed = {domain.name for domain in result}
        for domain in waiting:
            if domain.needs(scope.text) & names <= placed:
                break
        else:
            raise fail(scope.report, codes.RANGE_CYCLE, waiting[0].span, name=waiting[0].name)
        waiting.remove(domain)
        result.append(domain)
    return result
