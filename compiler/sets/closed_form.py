"""Set builders in closed form: bands, windows, blocks and graphs between channels, of any size.

Each dimension of a side is a digit of its units' numbers. `i // 16` and `i % 16` split a dimension into two
digits where nothing else is said of it. Conditions and computed indices tie digits of the source to digits of
the target; groups of digits that nothing ties together are independent, so that the set is the product of
what each group allows: every pair, a list of offsets, or the edges of a named set.

Conditions on i and j that look at `i - j` alone allow the same offsets everywhere: they are tried with j = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from fractions import Fraction
from math import prod
from typing import TypeAlias

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report
from ...dsl.records import record
from ...dsl.walk import called_name, children, mapped, names_in
from ..edges.edge_set import EdgeSet, Full, Shape, TooManyEdges, listed, nothing, product, shifted
from ..edges.structure import is_worth, recognised
from ..names.budget import Budget, OverBudget
from ..names.evaluate import FUNCTIONS, Value
from ..names.policies import Policies
from ..names.sides import Scope, Side
from .narrowing import summands_of
from .search import Search, bare, calls, components, conjuncts, generator_of, member_of, owners_of, with_units

# A list of offsets longer than this is no description of a set.
OFFSET_LIMIT = 1 << 20
# Differences of indices that are tried to find the offsets.
LOOKED_AT = 40_000_000


class _NotSymbolic(Exception):
    """The set has to be found edge by edge."""


# Finds the edges of a builder one by one.
Listing: TypeAlias = Callable[[syntax.Builder, Scope, Policies], EdgeSet]


def symbolic(node: syntax.Builder, scope: Scope, policies: Policies, listing: Listing) -> EdgeSet | None:
    """The set of a builder without looking at its edges, or None if that cannot be done.

    Groups of digits that have no closed form are listed by themselves if there are several. Raises `Failed`
    for what is wrong with the builder wherever its names are.
    """
    report = Report(scope.report.source)
    try:
        return _Form(node, replace(scope, report=report), policies, listing).set()
    except (_NotSymbolic, OverBudget, TooManyEdges):
        return None
    except Failed:
        if report.diagnostics:  # to be found again, with the assignment at fault
            return None
        raise


@record(frozen=False)
class _Digit:
    """One digit of one end: its size, the index name it is, or the expression it is computed by."""

    end: str
    size: int
    name: str | None
    computed: syntax.Expression | None = None


@record(frozen=False)
class _Group:
    """Digits that are tied together, and what ties them."""

    digits: list[_Digit] = field(default_factory=list["_Digit"])
    ranges: list[str] = field(default_factory=list[str])
    conditions: list[syntax.Expression] = field(default_factory=list[syntax.Expression])
    memberships: list[syntax.Membership] = field(default_factory=list[syntax.Membership])

    def of(self, end: str) -> list[_Digit]:
        """The digits of one end, in order."""
        return [digit for digit in self.digits if digit.end == end]


class _Form:
    """One builder taken apart."""

    def __init__(self, node: syntax.Builder, scope: Scope, policies: Policies, listing: Listing) -> None:
        self.node, self.scope, self.policies, self.listing = node, scope, policies, listing
        arrow, *others = node.edges
        if others or isinstance(arrow.source, syntax.List) or isinstance(arrow.target, syntax.List):
            raise _NotSymbolic
        if any(calls(node, "chance")):
            raise _NotSymbolic  # every pair of units draws for itself
        # The digits of an index, and sides of digits, do not say any longer which axis they run over.
        self.scope = replace(scope, owners=owners_of(arrow, node, scope))
        self.ranges: dict[str, syntax.Comparison] = {}
        self.conditions: list[syntax.Expression] = []
        self.memberships: list[syntax.Membership] = []
        for clause in node.clauses:
            if isinstance(clause, syntax.Membership):
                self.memberships.append(clause)
                continue
            for part in conjuncts(with_units(clause, self.scope, self.scope.owners)):
                self._clause(part)
        self.source = list(self._digits(arrow.source, scope.source))
        self.target = list(self._digits(arrow.target, scope.target))
        for side in (self.source, self.target):
            names = [digit.name for digit in side if digit.name]
            if len({*names}) < len(names):
                raise _NotSymbolic
        self.index_names = {digit.name for digit in (*self.source, *self.target) if digit.name}
        if self.index_names & self.ranges.keys() or any(
            map(scope.declared, self.index_names | {*self.ranges})
        ):
            raise _NotSymbolic
        known = self.index_names | self.ranges.keys() | scope.loop_variables.keys()
        for membership in self.memberships:
            ends = names_in(membership.edge.source, scope.text) | names_in(membership.edge.target, scope.text)
            if any(name not in known and scope.declared(name) is None for name in ends):
                raise _NotSymbolic  # a name that only memberships know ties them together
        self._split()
        self.digits = [*self.source, *self.target]

    def _clause(self, part: syntax.Expression) -> None:
        name = generator_of(part, self.scope)
        if name is None or name in self.ranges:
            self.conditions.append(part)
        else:
            assert isinstance(part, syntax.Comparison)
            self.ranges[name] = part

    def _digits(self, index: syntax.Expression, side: Side) -> Iterator[_Digit]:
        parts = components(index)
        if len(parts) != len(side.shape):
            raise _NotSymbolic
        end = "source" if side is self.scope.source else "target"
        for part, size in zip(parts, side.shape, strict=True):
            name = bare(part, self.scope)
            yield _Digit(end, size, None if name in self.ranges else name, part)

    def _names(self, node: object) -> set[str]:
        """The index names and ranges in an expression."""
        return names_in(node, self.scope.text) & (self.index_names | self.ranges.keys())

    def _ends(self, membership: syntax.Membership) -> set[str]:
        return self._names(membership.edge.source) | self._names(membership.edge.target)

    # ------------------------------------------------------------------------------------------ digits

    def _split(self) -> None:
        """Split what occurs in `//` and `%` by one divisor alone into two digits."""
        computed = [digit.computed for digit in (*self.source, *self.target) if digit.name is None]
        edges = [side for m in self.memberships for side in (m.edge.source, m.edge.target)]
        for name in sorted(self.index_names):
            sizes = {digit.size for digit in (*self.source, *self.target) if digit.name == name}
            divisors = {
                _divisor(use, name, self.scope)
                for node in (*self.conditions, *computed, *edges, *self.ranges.values())
                for use in _uses(node, name, self.scope)
            }
            if len(divisors) != 1 or len(sizes) != 1:
                continue
            (divisor,), (size,) = divisors, sizes
            if not divisor or size % divisor or divisor in (1, size):
                continue
            self._split_digit(name, divisor)

    def _split_digit(self, name: str, divisor: int) -> None:
        for side in (self.source, self.target):
            for at, digit in enumerate(side):
                if digit.name == name:
                    side[at : at + 1] = [
                        _Digit(digit.end, digit.size // divisor, f"{name}//"),
                        _Digit(digit.end, divisor, f"{name}%"),
                    ]
        self.index_names = self.index_names - {name} | {f"{name}//", f"{name}%"}

        def renamed(node: syntax.Expression) -> syntax.Expression:
            if isinstance(node, syntax.Binary) and bare(node.left, self.scope) == name:
                return syntax.Reference(node.span, syntax.Name(node.span, (f"{name}{node.operator}",)))
            return mapped(node, renamed)

        for digit in (*self.source, *self.target):
            if digit.name is None and digit.computed is not None:
                digit.computed = renamed(digit.computed)
                if bare(digit.computed, self.scope) in self.index_names:
                    digit.computed = _plus_zero(digit.computed)  # alone, it would run over all of this digit
        self.conditions = [renamed(condition) for condition in self.conditions]
        self.memberships = [
            replace(m, edge=syntax.Arrow(m.edge.span, renamed(m.edge.source), renamed(m.edge.target)))
            for m in self.memberships
        ]

    # ------------------------------------------------------------------------------------------ groups

    def set(self) -> EdgeSet:
        """The set."""
        groups = self._groups()
        shapes = self.scope.source.shape, self.scope.target.shape
        tied = sum(len(group.digits) for group in groups)
        self.whole = len(groups) == 1 and tied == len(self.digits)
        found = product(*shapes, self._in_order([(group, self._factor(group)) for group in groups]))
        return found if is_worth(found) else listed(*found.edges(), *shapes)

    def _groups(self) -> list[_Group]:
        """The digits by what ties them together; a digit that nothing ties stands in no group."""
        ties = [self._names(condition) for condition in self.conditions]
        ties += [self._ends(membership) for membership in self.memberships]
        ties += [
            self._names(digit.computed) | {f"#{at}"}
            for at, digit in enumerate(self.digits)
            if digit.name is None
        ]
        sources, targets = (
            {digit.name for digit in side if digit.name} for side in (self.source, self.target)
        )
        ties += [{name} for name in sources & targets]
        ties += [{name} | self._names(values.rest[0][1]) for name, values in self.ranges.items()]
        pools: list[set[str]] = []
        for names in ties:
            if not names:
                raise _NotSymbolic  # true everywhere or nowhere
            touching = [pool for pool in pools if pool & names]
            pools = [pool for pool in pools if not pool & names] + [names.union(*touching)]
        groups: list[_Group] = []
        for pool in pools:
            group = _Group()
            group.digits = [d for at, d in enumerate(self.digits) if (d.name or f"#{at}") in pool]
            group.ranges = [name for name in self.ranges if name in pool]
            group.conditions = [c for c in self.conditions if self._names(c) <= pool]
            group.memberships = [m for m in self.memberships if self._ends(m) <= pool]
            groups.append(group)
        return groups

    def _in_order(self, factors: list[tuple[_Group, EdgeSet]]) -> list[EdgeSet]:
        """The factors in the order of their digits, with `all` between the digits that none speaks of."""
        result: list[EdgeSet] = []
        done = [0, 0]
        waiting = [([self._place(group, side) for side in (0, 1)], factor) for group, factor in factors]
        while waiting:
            for entry in waiting:
                places, factor = entry
                others = [other for other, _ in waiting if other is not places]
                if all(_comes_first(places, other) for other in others):
                    break
            else:
                raise _NotSymbolic  # the digits of the two sides stand in different orders
            waiting.remove(entry)
            self._pass(done, [at if p is None else p[0] for at, p in zip(done, places, strict=True)], result)
            result.append(factor)
            done = [at if p is None else p[1] for at, p in zip(done, places, strict=True)]
        self._pass(done, [len(self.source), len(self.target)], result)
        return result

    def _place(self, group: _Group, side: int) -> tuple[int, int] | None:
        """Where the digits of a group stand on a side; they stand together, or it is no factor."""
        digits = (self.source, self.target)[side]
        at = [place for place, digit in enumerate(digits) if any(digit is d for d in group.digits)]
        if at and at != list(range(at[0], at[-1] + 1)):
            raise _NotSymbolic
        return (at[0], at[-1] + 1) if at else None

    def _pass(self, done: list[int], until: list[int], result: list[EdgeSet]) -> None:
        if any(last < first for first, last in zip(done, until, strict=True)):
            raise _NotSymbolic  # the digits of the two sides stand in different orders
        sources, targets = (
            tuple(digit.size for digit in side[first:last])
            for side, first, last in zip((self.source, self.target), done, until, strict=True)
        )
        if sources or targets:
            result.append(Full(sources, targets))

    # ----------------------------------------------------------------------------------------- factors

    def _factor(self, group: _Group) -> EdgeSet:
        """What a group of digits allows: in closed form, or listed if that is not the whole builder."""
        try:
            return self._closed(group)
        except _NotSymbolic:
            if self.whole or not group.digits:
                raise
            return self._listed(group)

    def _listed(self, group: _Group) -> EdgeSet:
        """The edges that a group allows between its own digits."""
        span = self.node.span
        indices: list[syntax.Expression] = []
        sides: list[Side] = []
        for end, side in (("source", self.scope.source), ("target", self.scope.target)):
            digits = group.of(end)
            parts = [
                digit.computed
                if digit.name is None and digit.computed is not None
                else syntax.Reference(span, syntax.Name(span, (str(digit.name),)))
                for digit in digits
            ]
            indices.append(parts[0] if len(parts) == 1 else syntax.Tuple(span, tuple(parts)))
            sides.append(Side(side.name, tuple(digit.size for digit in digits)))
        clauses = (*(self.ranges[name] for name in group.ranges), *group.conditions, *group.memberships)
        arrow = syntax.Arrow(span, *indices)
        scope = replace(self.scope, source=sides[0], target=sides[1])
        return recognised(self.listing(syntax.Builder(span, (arrow,), clauses, ()), scope, self.policies))

    def _closed(self, group: _Group) -> EdgeSet:
        source, target = group.of("source"), group.of("target")
        if group.memberships:
            return self._graph(group, source, target)
        if len(source) != len(target) or not source:
            raise _NotSymbolic
        if all(digit.name for digit in group.digits):
            shared = [s.name == t.name for s, t in zip(source, target, strict=True)]
            if all(shared) and not group.conditions and not group.ranges:
                return self._band(source, target, [(0,) * len(source)], [1] * len(source))
            crossed = {s.name for s in source} & {t.name for t in target}  # `(j, i) -> (i, j)`
            if crossed or group.ranges:
                raise _NotSymbolic
            return self._by_difference(group, source, target)
        return self._by_formula(group, source, target)

    def _graph(self, group: _Group, source: list[_Digit], target: list[_Digit]) -> EdgeSet:
        """The edges of a named set, whose ends are the digits as they stand."""
        (membership, *others) = group.memberships
        shared = {digit.name for digit in source} & {digit.name for digit in target}
        if others or group.conditions or group.ranges or shared:
            raise _NotSymbolic  # `{ i -> i : i -> i in g }` are the loops of g alone
        member = member_of(membership, self.scope, self.scope.owners)
        for digits, index, side in (
            (source, membership.edge.source, member.source),
            (target, membership.edge.target, member.target),
        ):
            names = [bare(part, self.scope) for part in components(index)]
            if names != [digit.name for digit in digits] or side.shape != tuple(d.size for d in digits):
                raise _NotSymbolic
        return member.edges

    def _by_difference(self, group: _Group, source: list[_Digit], target: list[_Digit]) -> EdgeSet:
        """Offsets that meet conditions which look at differences of paired digits alone."""
        pairs = [(str(s.name), str(t.name)) for s, t in zip(source, target, strict=True)]
        if not all(self._is_invariant(condition, pairs) for condition in group.conditions):
            raise _NotSymbolic
        span = self.node.span
        clauses: list[syntax.Expression] = [
            syntax.Comparison(
                span,
                syntax.Reference(span, syntax.Name(span, (str(s.name),))),
                (("in", syntax.Range(span, _number(1 - t.size, span), _number(s.size - 1, span))),),
            )
            for s, t in zip(source, target, strict=True)
        ]
        rows = self._assignments([*clauses, *group.conditions], {name for _, name in pairs})
        offsets = np.stack([rows[name] for name, _ in pairs], axis=1)
        return self._band(source, target, map(tuple, offsets.tolist()), [1] * len(source))

    def _by_formula(self, group: _Group, source: list[_Digit], target: list[_Digit]) -> EdgeSet:
        """Offsets of sources computed from targets, or the other way round."""
        strides: list[int] = []
        signs: list[int] = []
        for s, t in zip(source, target, strict=True):
            stride, sign = 1, 1
            if s.name and t.name:
                if s.name != t.name:
                    raise _NotSymbolic
            elif s.name is None and t.name is not None:
                stride = self._stride(s, t.name)
            elif s.name is not None:
                stride, sign = self._stride(t, s.name), -1
                if stride != 1:
                    raise _NotSymbolic
            else:
                raise _NotSymbolic
            strides.append(stride)
            signs.append(sign)
        names = {str(digit.name) for digit in group.digits if digit.name}
        clauses = [self.ranges[name] for name in group.ranges]
        if any(self._names(clause) & names for clause in (*group.conditions, *clauses)):
            raise _NotSymbolic
        nowhere = _number(0, self.node.span)
        columns = self._assignments(
            [*clauses, *group.conditions],
            names,
            [
                next((d.computed for d in pair if d.name is None and d.computed is not None), nowhere)
                for pair in zip(source, target, strict=True)
            ],
        )
        offsets = np.stack([columns[f"={at}"] * sign for at, sign in enumerate(signs)], axis=1)
        if self.policies.duplicate == "error" and len({*map(tuple, offsets.tolist())}) < len(offsets):
            raise _NotSymbolic  # for the message
        return self._band(source, target, map(tuple, offsets.tolist()), strides)

    def _stride(self, digit: _Digit, name: str) -> int:
        """The factor of the other end's index in a computed one, whose rest is made of ranges alone."""
        factors = _linear(digit.computed, self.index_names, self.scope)
        if factors is None or {n for n, f in factors.items() if f} != {name}:
            raise _NotSymbolic
        factor = factors[name]
        if factor < 1 or factor.denominator != 1:
            raise _NotSymbolic
        return int(factor)

    def _band(
        self,
        source: list[_Digit],
        target: list[_Digit],
        offsets: Iterable[tuple[int, ...]],
        strides: list[int],
    ) -> EdgeSet:
        sources, targets = tuple(d.size for d in source), tuple(d.size for d in target)
        wanted = sorted({*offsets})
        if not wanted:
            return nothing(sources, targets)
        if len(wanted) > OFFSET_LIMIT:
            raise _NotSymbolic
        # What is computed is checked: a source by its formula, or a target that repeats the source's name.
        ends = [
            "source" if s.name is None else "target" if t.name in (None, s.name) else ""
            for s, t in zip(source, target, strict=True)
        ]
        computed = any(ends)
        if computed and self.policies.outside == "wrap":
            if sources != targets or {*strides} != {1}:
                raise _NotSymbolic
            found = shifted(sources, targets, (1,) * len(sources), wanted, wrap=True)
            if found.count != prod(targets) * len(wanted):
                raise _NotSymbolic  # offsets that are the same around the ring
            return _separated(sources, targets, strides, wanted, wrap=True) or found
        inside = _all_inside(sources, targets, strides, wanted, ends)
        if computed and self.policies.outside == "error" and not inside:
            raise _NotSymbolic  # for the message
        found = _separated(sources, targets, strides, wanted, wrap=False)
        return found or shifted(sources, targets, tuple(strides), wanted)

    def _assignments(
        self,
        clauses: list[syntax.Expression],
        zero: set[str],
        indices: list[syntax.Expression] | None = None,
    ) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """What the clauses' ranges run over where the conditions hold and some names are zero.

        Under `=0`, `=1`, ... stand the values of the indices.
        """
        nowhere = Side("", ())
        outer = self.scope.outer

        def at_zero(reference: syntax.Reference) -> Value:
            return 0 if self.scope.text(reference.name) in zero else outer(reference)

        known = {**self.scope.loop_variables, **dict.fromkeys(zero, 0)}
        scope = replace(self.scope, source=nowhere, target=nowhere, loop_variables=known, outer=at_zero)
        span, empty = self.node.span, syntax.Tuple(self.node.span, ())
        arrow = syntax.Arrow(span, empty, empty)
        search = Search(arrow, syntax.Builder(span, (arrow,), tuple(clauses), ()), scope, Budget(LOOKED_AT))
        columns: dict[str, list[np.ndarray[tuple[int], np.dtype[np.int64]]]] = {
            name: [np.empty(0, np.int64)]
            for name in (*search.names, *(f"={at}" for at in range(len(indices or []))))
        }
        count = 0
        for rows in search.solutions():
            count += len(rows[""])
            if count > OFFSET_LIMIT:
                raise _NotSymbolic
            for name in search.names:
                columns[name].append(rows[name])
            for at, index in enumerate(indices or []):
                value, faulty = search.attempt(index, rows)
                value = np.asarray(value)
                if np.any(faulty) or value.dtype.kind not in "iu":
                    raise _NotSymbolic
                columns[f"={at}"].append(np.broadcast_to(value.astype(np.int64), rows[""].shape))
        return {name: np.concatenate(parts) for name, parts in columns.items()}

    # -------------------------------------------------------------------------------------- invariance

    def _is_invariant(self, node: syntax.Expression, pairs: list[tuple[str, str]]) -> bool:
        """Whether a condition has one value wherever the differences of paired names are the same."""
        if not self._names(node):
            return _is_deterministic(node)
        factors = _linear(node, self.index_names, self.scope)
        # Sums of whole multiples are exact; others round differently from place to place.
        if factors is not None and all(factor.denominator == 1 for factor in factors.values()):
            return all(factors.get(i, 0) == -factors.get(j, 0) for i, j in pairs)
        match node:
            case syntax.Comparison():
                lefts = (node.first, *(right for _, right in node.rest[:-1]))
                return all(
                    self._is_link(left, symbol, right, pairs)
                    for left, (symbol, right) in zip(lefts, node.rest, strict=True)
                )
            case syntax.Call():
                return _is_deterministic(node) and all(
                    self._is_invariant(argument.value, pairs) for argument in node.arguments
                )
            case _:
                inner = children(node)
                return bool(inner) and all(self._is_invariant(child, pairs) for child in inner)

    def _is_link(
        self, left: syntax.Expression, symbol: str, right: syntax.Expression, pairs: list[tuple[str, str]]
    ) -> bool:
        if symbol == "in":
            return self._is_invariant(left, pairs) and not self._names(right)
        moduli = [_modulus(side, self.scope) for side in (left, right)]
        if symbol in ("==", "!=") and moduli[0] is not None and moduli[1] is not None:
            (first, by), (second, other) = moduli[0], moduli[1]
            if by == other and self._is_invariant(syntax.Binary(left.span, "-", first, second), pairs):
                return True
        return self._is_invariant(syntax.Binary(left.span, "-", left, right), pairs)


# ----------------------------------------------------------------------------------------------- expressions


def _comes_first(places: list[tuple[int, int] | None], other: list[tuple[int, int] | None]) -> bool:
    """Whether a group stands before another on every side where both have digits."""
    return all(p is None or q is None or p[1] <= q[0] for p, q in zip(places, other, strict=True))


def _is_deterministic(node: syntax.Expression) -> bool:
    """Whether an expression has no function in it that draws, or looks anything up."""
    if isinstance(node, syntax.Call):
        return called_name(node) in FUNCTIONS and all(
            _is_deterministic(argument.value) for argument in node.arguments
        )
    return all(_is_deterministic(child) for child in children(node))


def _plus_zero(node: syntax.Expression) -> syntax.Expression:
    return syntax.Binary(node.span, "+", node, _number(0, node.span))


def _number(value: int, span: syntax.Span) -> syntax.Expression:
    number = syntax.Number(span, abs(value), str(abs(value)))
    return number if value >= 0 else syntax.Unary(span, "-", number)


def _uses(node: syntax.Expression | None, name: str, scope: Scope) -> Iterator[syntax.Expression]:
    """The smallest operations around each use of a name, or the name where there is none."""
    if node is None:
        return
    if bare(node, scope) == name:
        yield node
        return
    for child in children(node):
        if bare(child, scope) == name:
            yield node
        else:
            yield from _uses(child, name, scope)


def _divisor(use: syntax.Expression, name: str, scope: Scope) -> int | None:
    """The m of `name // m` and `name % m`."""
    if isinstance(use, syntax.Binary) and use.operator in ("//", "%") and bare(use.left, scope) == name:
        value = _constant(use.right, scope)
        if value is not None and value.denominator == 1 and value > 0:
            return int(value)
    return None


def _modulus(node: syntax.Expression, scope: Scope) -> tuple[syntax.Expression, Fraction] | None:
    """`a` and `m` of `a % m`."""
    if isinstance(node, syntax.Parenthesised):
        return _modulus(node.inner, scope)
    if isinstance(node, syntax.Binary) and node.operator == "%":
        value = _constant(node.right, scope)
        if value is not None and value.denominator == 1 and value > 0:
            return node.left, value
    return None


def _constant(node: syntax.Expression, scope: Scope) -> Fraction | None:
    match node:
        case syntax.Parenthesised():
            return _constant(node.inner, scope)
        case syntax.Number(value=value):
            return Fraction(value) if isinstance(value, int) else None
        case syntax.Reference():
            if (
                scope.text(node.name) not in scope.loop_variables
                and scope.declared(scope.text(node.name)) != "param"
            ):
                return None
            value = scope.outer(node)
            return Fraction(value) if isinstance(value, int) else None
        case _:
            return None


def _linear(node: syntax.Expression | None, names: set[str], scope: Scope) -> dict[str, Fraction] | None:
    """The factor of each of some names in a sum; None if one occurs other than times a number."""
    if node is None:
        return None
    if not names_in(node, scope.text) & names:
        return {}
    if isinstance(node, syntax.Reference):
        return {scope.text(node.name): Fraction(1)}
    terms = summands_of(node, lambda part: _constant(part, scope))
    if not terms:
        return None
    total: dict[str, Fraction] = {}
    for factor, term in terms:
        inner = _linear(term, names, scope)
        if inner is None:
            return None
        for name, own in inner.items():
            total[name] = total.get(name, Fraction(0)) + factor * own
    return total


# ---------------------------------------------------------------------------------------------------- bands


def _all_inside(
    sources: Shape, targets: Shape, strides: list[int], offsets: list[tuple[int, ...]], ends: list[str]
) -> bool:
    """Whether the end of every edge that is computed along a dimension is there."""
    for at, (n_source, n_target, stride) in enumerate(zip(sources, targets, strides, strict=True)):
        low, high = min(o[at] for o in offsets), max(o[at] for o in offsets)
        if ends[at] == "source" and (low < 0 or stride * (n_target - 1) + high >= n_source):
            return False
        if ends[at] == "target" and (high > 0 or n_source - 1 - low >= n_target):
            return False
    return True


def _separated(
    sources: Shape, targets: Shape, strides: list[int], offsets: list[tuple[int, ...]], *, wrap: bool
) -> EdgeSet | None:
    """A box of offsets as one band a dimension."""
    along = [sorted({offset[at] for offset in offsets}) for at in range(len(sources))]
    if len(sources) < 2 or prod(map(len, along)) != len(offsets):
        return None
    bands = [
        shifted((n_source,), (n_target,), (stride,), [(o,) for o in some], wrap)
        for n_source, n_target, stride, some in zip(sources, targets, strides, along, strict=True)
    ]
    return product(sources, targets, bands)
