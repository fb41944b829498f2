"""A builder taken apart into digits: what each end's index is made of, and which clauses speak of it.

Each dimension of a side is a digit of its units' numbers. `i // 16` and `i % 16` split a dimension into two
digits where nothing else is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from typing import TypeAlias

from ...dsl import syntax
from ...dsl.records import record
from ...dsl.walk import mapped, names_in
from ..edges.edge_set import EdgeSet
from ..names.policies import Policies
from ..names.sides import Scope, Side
from .linear import divisor_of, plus_zero, uses
from .terms import bare, calls, components, conjuncts, generator_of, owners_of, with_units


class NotSymbolic(Exception):
    """The set has to be found edge by edge."""


# Finds the edges of a builder one by one.
Listing: TypeAlias = Callable[[syntax.Builder, Scope, Policies], EdgeSet]


@record(frozen=False)
class Digit:
    """One digit of one end: its size, the index name it is, or the expression it is computed by."""

    end: str
    size: int
    name: str | None
    computed: syntax.Expression | None = None


@record(frozen=False)
class Group:
    """Digits that are tied together, and what ties them."""

    digits: list[Digit] = field(default_factory=list["Digit"])
    ranges: list[str] = field(default_factory=list[str])
    conditions: list[syntax.Expression] = field(default_factory=list[syntax.Expression])
    memberships: list[syntax.Membership] = field(default_factory=list[syntax.Membership])

    def of(self, end: str) -> list[Digit]:
        """The digits of one end, in order."""
        return [digit for digit in self.digits if digit.end == end]


@record(frozen=False)
class Form:
    """One builder taken apart. `ranges` are the index names with an `in` of their own, by name."""

    node: syntax.Builder
    scope: Scope
    policies: Policies
    listing: Listing
    source: list[Digit] = field(default_factory=list[Digit])
    target: list[Digit] = field(default_factory=list[Digit])
    index_names: set[str] = field(default_factory=set[str])
    ranges: dict[str, syntax.Comparison] = field(default_factory=dict[str, syntax.Comparison])
    conditions: list[syntax.Expression] = field(default_factory=list[syntax.Expression])
    memberships: list[syntax.Membership] = field(default_factory=list[syntax.Membership])

    @property
    def digits(self) -> list[Digit]:
        """The digits of both ends, in order."""
        return [*self.source, *self.target]

    def names(self, node: object) -> set[str]:
        """The index names and ranges in an expression."""
        return names_in(node, self.scope.text) & (self.index_names | self.ranges.keys())

    def ends(self, membership: syntax.Membership) -> set[str]:
        """The index names and ranges at both ends of a membership."""
        return self.names(membership.edge.source) | self.names(membership.edge.target)


def taken_apart(node: syntax.Builder, scope: Scope, policies: Policies, listing: Listing) -> Form:
    """The digits of a builder, or `NotSymbolic`."""
    form = Form(node, scope, policies, listing)
    arrow, *others = node.edges
    if others or isinstance(arrow.source, syntax.List) or isinstance(arrow.target, syntax.List):
        raise NotSymbolic
    if any(calls(node, "chance")):
        raise NotSymbolic  # every pair of units draws for itself
    # The digits of an index, and sides of digits, do not say any longer which axis they run over.
    form.scope = replace(scope, owners=owners_of(arrow, node, scope))
    for clause in node.clauses:
        if isinstance(clause, syntax.Membership):
            form.memberships.append(clause)
            continue
        for part in conjuncts(with_units(clause, form.scope, form.scope.owners)):
            _clause(form, part)
    form.source = list(_digits(form, arrow.source, scope.source))
    form.target = list(_digits(form, arrow.target, scope.target))
    for side in (form.source, form.target):
        names = [digit.name for digit in side if digit.name]
        if len({*names}) < len(names):
            raise NotSymbolic
    form.index_names = {digit.name for digit in (*form.source, *form.target) if digit.name}
    if form.index_names & form.ranges.keys() or any(map(scope.declared, form.index_names | {*form.ranges})):
        raise NotSymbolic
    known = form.index_names | form.ranges.keys() | scope.loop_variables.keys()
    for membership in form.memberships:
        ends = names_in(membership.edge.source, scope.text) | names_in(membership.edge.target, scope.text)
        if any(name not in known and scope.declared(name) is None for name in ends):
            raise NotSymbolic  # a name that only memberships know ties them together
    _split(form)
    return form


def _clause(form: Form, part: syntax.Expression) -> None:
    name = generator_of(part, form.scope)
    if name is None or name in form.ranges:
        form.conditions.append(part)
    else:
        assert isinstance(part, syntax.Comparison)
        form.ranges[name] = part


def _digits(form: Form, index: syntax.Expression, side: Side) -> Iterator[Digit]:
    parts = components(index)
    if len(parts) != len(side.shape):
        raise NotSymbolic
    end = "source" if side is form.scope.source else "target"
    for part, size in zip(parts, side.shape, strict=True):
        name = bare(part, form.scope)
        yield Digit(end, size, None if name in form.ranges else name, part)


def _split(form: Form) -> None:
    """Split what occurs in `//` and `%` by one divisor alone into two digits."""
    computed = [digit.computed for digit in (*form.source, *form.target) if digit.name is None]
    edges = [side for m in form.memberships for side in (m.edge.source, m.edge.target)]
    for name in sorted(form.index_names):
        sizes = {digit.size for digit in (*form.source, *form.target) if digit.name == name}
        divisors = {
            divisor_of(use, name, form.scope)
            for node in (*form.conditions, *computed, *edges, *form.ranges.values())
            for use in uses(node, name, form.scope)
        }
        if len(divisors) != 1 or len(sizes) != 1:
            continue
        (divisor,), (size,) = divisors, sizes
        if not divisor or size % divisor or divisor in (1, size):
            continue
        _split_digit(form, name, divisor)


def _split_digit(form: Form, name: str, divisor: int) -> None:
    for side in (form.source, form.target):
        for at, digit in enumerate(side):
            if digit.name == name:
                side[at : at + 1] = [
                    Digit(digit.end, digit.size // divisor, f"{name}//"),
                    Digit(digit.end, divisor, f"{name}%"),
                ]
    form.index_names = form.index_names - {name} | {f"{name}//", f"{name}%"}

    def renamed(node: syntax.Expression) -> syntax.Expression:
        if isinstance(node, syntax.Binary) and bare(node.left, form.scope) == name:
            return syntax.Reference(node.span, syntax.Name(node.span, (f"{name}{node.operator}",)))
        return mapped(node, renamed)

    for digit in (*form.source, *form.target):
        if digit.name is None and digit.computed is not None:
            digit.computed = renamed(digit.computed)
            if bare(digit.computed, form.scope) in form.index_names:
                digit.computed = plus_zero(digit.computed)  # alone, it would run over all of this digit
    form.conditions = [renamed(condition) for condition in form.conditions]
    form.memberships = [
        replace(m, edge=syntax.Arrow(m.edge.span, renamed(m.edge.source), renamed(m.edge.target)))
        for m in form.memberships
    ]
