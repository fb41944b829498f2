"""All assignments of a builder's index names that meet its clauses, in time proportional to what they bound.

The names are assigned one after the other, all partial assignments at once as arrays. Before a name is
assigned, its range is narrowed in every row by the conditions that speak of it, so `abs(i - j) <= 2` looks at
five targets of a source and not at all of them; conditions are tested as soon as their names are assigned.
The candidates that may be looked at are limited.

A condition that fails for an assignment, say by a division by zero, matters only if no other condition rules
the assignment out: `{ i -> j : i % j == 0, j != 0 }` is every divisor, whichever of the two is written first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.walk import called_name, children, mapped, names_in
from ...dsl.words import article
from .. import codes
from ..edges.draw import pair_uniforms
from ..edges.edge_set import Indices, distinct
from ..names.budget import Budget, OverBudget
from ..names.by_name import between, goes_by_name, is_placed, no_common_name, places
from ..names.evaluate import Evaluator, Faulty, Value, is_integer
from ..names.sides import Member, Scope, Side, rank_text
from .narrowing import WHOLE, Ends, Interval, narrow

# Candidates held in memory at once.
CHUNK = 1 << 20
# 2^64 over the golden ratio: far from the differences of seeds that people choose.
GOLDEN = 0x9E3779B97F4A7C15
EXACT = 2.0**52

# Values of the index names, one a row. Under "" stands the number of a row's pending fault, 0 for none.
Rows = dict[str, Indices]


# First and last of a range in every row; or of the places in a list, whose values come with them, (items,),
# or (items, rows) if they differ from row to row.
Places: TypeAlias = tuple[Value, Value, "Indices | None"]


@record(eq=False)
class Partners:
    """The units at the other ends of the edges of a unit or, with no name of one, those that have edges."""

    of: str | None
    units: Indices
    partners: Indices

    @staticmethod
    def both(units: Indices, partners: Indices, name: str) -> tuple[Partners, Partners]:
        """The units at one end of all edges, and the partners of the one of some name."""
        order = np.argsort(units, kind="stable")
        units, partners = units[order], partners[order]
        return Partners(None, units, distinct(units)), Partners(name, units, partners)

    def places(self, rows: Rows) -> Places:
        """Where in `partners` those of every row are."""
        if self.of is None:
            return 0, len(self.partners) - 1, self.partners
        first = np.searchsorted(self.units, rows[self.of], side="left")
        last = np.searchsorted(self.units, rows[self.of], side="right") - 1
        return first, last, self.partners


@record
class Domain:
    """What an index name runs over: numbers below a size, those after its `in`, or ends of edges."""

    name: str
    span: Span
    values: int | syntax.Range | syntax.List | Partners

    def needs(self, text: Callable[[syntax.Name], str]) -> set[str]:
        """The names that the values depend on."""
        if isinstance(self.values, Partners):
            return {self.values.of} if self.values.of else set()
        return names_in(self.values, text)


@record
class Condition:
    """A condition and the index names it needs; one that draws needs all, and is tested when others hold."""

    node: syntax.Expression
    needs: frozenset[str]
    draws: bool = False


def components(side: syntax.Expression) -> tuple[syntax.Expression, ...]:
    """The index of a side, one expression per dimension."""
    return side.items if isinstance(side, syntax.Tuple) else (side,)


def numbered(index: syntax.Expression, side: Side, scope: Scope) -> syntax.Expression:
    """The index of a side, or a list of them, with the numbers of units in place of their names."""
    if isinstance(index, syntax.List):
        return replace(index, items=tuple(numbered(item, side, scope) for item in index.items))
    parts = components(index)
    if len(parts) != len(side.shape) or not any(isinstance(part, syntax.String) for part in parts):
        return index
    units: list[syntax.Expression] = []
    for dimension, part in enumerate(parts):
        if isinstance(part, syntax.String):
            unit = side.unit_of_name(dimension, scope.string(part), scope.report, part.span)
            part = syntax.Number(part.span, unit, str(unit))
        units.append(part)
    return replace(index, items=tuple(units)) if isinstance(index, syntax.Tuple) else units[0]


def owners_of(arrow: syntax.Arrow, node: syntax.Builder, scope: Scope) -> dict[str, tuple[Side, int]]:
    """The side and dimension that each index name runs over: of an arrow, or of a membership's set."""
    owners = dict(scope.owners)
    ends = [(arrow.source, scope.source), (arrow.target, scope.target)]
    for clause in node.clauses:
        if isinstance(clause, syntax.Membership):
            member = scope.member(clause.set)
            ends += [(clause.edge.source, member.source), (clause.edge.target, member.target)]
    for index, side in ends:
        for dimension, part in enumerate(components(index)[: len(side.shape)]):
            name = bare(part, scope)
            if name is not None:
                owners.setdefault(name, (side, dimension))
    return owners


def with_units(
    node: syntax.Expression, scope: Scope, owners: Mapping[str, tuple[Side, int]]
) -> syntax.Expression:
    """A condition with the numbers of units in place of names that an index name is compared with."""
    if not isinstance(node, syntax.Comparison):
        return mapped(node, lambda part: with_units(part, scope, owners))
    operands = (node.first, *(operand for _, operand in node.rest))
    names = (bare(operand, scope) or "" for operand in operands)
    owner = next((owners[name] for name in names if name in owners), None)
    if owner is None:
        return node
    side, dimension = owner
    for (left, right), (symbol, _) in zip(pairwise(operands), node.rest, strict=True):
        if symbol[0] in "<>" and (isinstance(left, syntax.String) or isinstance(right, syntax.String)):
            raise fail(scope.report, codes.TEXT_ORDER, node.span, operator=symbol)

    def numbered_part(part: syntax.Expression) -> syntax.Expression:
        if isinstance(part, syntax.String):
            unit = side.unit_of_name(dimension, scope.string(part), scope.report, part.span)
            return syntax.Number(part.span, unit, str(unit))
        if isinstance(part, syntax.List | syntax.Parenthesised):
            return mapped(part, numbered_part)
        return part

    def contained(operand: syntax.Expression) -> syntax.Expression:
        listed, axis = scope.surroundings and scope.surroundings.named(operand), side.axis(dimension)
        if not listed or axis is None or axis.names is None or listed.names is None:
            return numbered_part(operand)
        units = [unit for unit in places(listed, axis).tolist() if unit >= 0]
        if not units:
            raise no_common_name(listed, axis, scope.report, operand.span)
        items = (syntax.Number(operand.span, unit, str(unit)) for unit in units)
        return syntax.List(operand.span, tuple(items))

    rest = tuple(
        (symbol, contained(part) if symbol == "in" else numbered_part(part)) for symbol, part in node.rest
    )
    return replace(node, first=numbered_part(node.first), rest=rest)


def member_of(membership: syntax.Membership, scope: Scope, owners: Mapping[str, tuple[Side, int]]) -> Member:
    """The named set of a membership, its units as the index names number them that stand for whole indices.

    Where such a name runs over an axis with other names than that of the set, units are matched by name.
    """
    member = scope.member(membership.set)
    sides = (member.source, member.target)
    wanted: list[Side] = []
    for index, side in zip((membership.edge.source, membership.edge.target), sides, strict=True):
        axes, shape = [side.axis(at) for at in range(len(side.shape))], list(side.shape)
        for at, part in enumerate(components(index)[: len(shape)]):
            owner = owners.get(bare(part, scope) or "")
            own, other = axes[at], owner[0].axis(owner[1]) if owner else None
            if own is None or other is None or not goes_by_name(own, other):
                continue
            if own.positions.keys().isdisjoint(other.positions):
                raise no_common_name(other, own, scope.report, part.span)
            axes[at], shape[at] = other, other.size
        wanted.append(Side(side.name, tuple(shape), tuple(axes)))
    source, target = wanted
    if not is_placed(sides, (source, target)):
        return member
    return Member(source, target, between(member.edges, sides, (source, target)))


def bare(expression: syntax.Expression, scope: Scope) -> str | None:
    """The index name that stands alone in an index position, if one does."""
    if isinstance(expression, syntax.Parenthesised):
        return bare(expression.inner, scope)
    if not isinstance(expression, syntax.Reference):
        return None
    name = scope.text(expression.name)
    return None if name in scope.loop_variables else name


class Search:
    """The assignments of one arrow, whose sides are no lists, under the clauses of its builder."""

    def __init__(self, arrow: syntax.Arrow, node: syntax.Builder, scope: Scope, budget: Budget) -> None:
        self.scope = scope
        self.budget = budget
        self.rows: Rows = {}
        self._fixed: dict[str, Places] = {}
        self._free: dict[str, Domain] = {}
        self._given: dict[str, list[str]] = {}
        self.arrow = arrow
        self._owners = owners_of(arrow, node, scope)
        clauses = (
            clause if isinstance(clause, syntax.Membership) else with_units(clause, scope, self._owners)
            for clause in node.clauses
        )
        node = replace(node, clauses=tuple(clauses))
        self.evaluator = Evaluator(scope.report, self._lookup, {"chance": self._chance}, scope.surroundings)
        self._drawing = {id(call): at for at, call in enumerate(calls(node, "chance"))}
        generated, conditions = self._clauses(node)
        self.domains = self._ordered(self._bound(arrow, generated))
        names = frozenset(domain.name for domain in self.domains)
        self.conditions = [
            Condition(condition, names, draws=True)
            if any(calls(condition, "chance"))
            else Condition(condition, names & names_in(condition, scope.text))
            for condition in conditions
        ]
        self._check(arrow)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are assigned, but for those of memberships."""
        return tuple(domain.name for domain in self.domains if not domain.name.startswith("#"))

    def solutions(self) -> Iterator[Rows]:
        """All assignments, in chunks of at most `CHUNK` rows."""
        start = self._meeting([c for c in self.conditions if not c.needs], {"": np.zeros(1, np.int64)})
        pending = [iter([start])]  # at each depth, rows in which that many names are assigned
        while pending:
            rows = next(pending[-1], None)
            if rows is None:
                pending.pop()
            elif len(pending) <= len(self.domains):
                pending.append(self._assigned(rows, len(pending) - 1))
            else:
                self.refuse_faults(rows, rows[""])
                yield rows

    def attempt(self, expression: syntax.Expression, rows: Rows) -> tuple[Value, Faulty]:
        """The value of an expression in every row, and its faults."""
        self.rows = rows
        return self.evaluator.attempt(expression)

    def assignment(self, rows: Rows, row: int) -> str:
        """`i = 3, j = 0`."""
        return ", ".join(f"{name} = {rows[name][row]}" for name in self.names if name in rows)

    def refuse_faults(self, rows: Rows, faulty: Faulty) -> None:
        """Raise `Failed` at the first row with a fault, or at one that all rows have."""
        if isinstance(faulty, np.ndarray) and faulty.ndim and faulty.any():
            row = int(np.argmax(faulty != 0))
            raise self.evaluator.failure(int(faulty[row]), self.assignment(rows, row))
        if np.any(faulty):
            raise self.evaluator.failure(int(np.max(faulty)))

    def _chance(self, call: syntax.Call) -> Value:
        """`chance(p)`: whether a pair is drawn, by a number of its own."""
        if len(call.arguments) != 1 or call.arguments[0].name:
            takes = "one number, without a name"
            raise fail(self.scope.report, codes.ARGUMENT_COUNT, call.span, name="chance", count=takes)
        probability = self.evaluator.value(call.arguments[0].value)
        rows, shape = self.rows, self.rows[""].shape
        value = np.broadcast_to(np.asarray(probability, float), shape)
        wrong = ~((value >= 0) & (value <= 1))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise fail(
                self.scope.report,
                codes.NOT_A_PROBABILITY,
                call.arguments[0].span,
                value=f"{value[at]:g}",
                label=self.assignment(rows, at),
            )
        units = [
            self._unit(index, side, rows)
            for index, side in (
                (self.arrow.source, self.scope.source),
                (self.arrow.target, self.scope.target),
            )
        ]
        # Each call within a builder draws numbers of its own.
        seed = self.scope.seed() + self._drawing[id(call)] * GOLDEN
        self.rows = rows
        return pair_uniforms(seed % 2**64, *units) < value

    def _unit(self, index: syntax.Expression, side: Side, rows: Rows) -> Indices:
        """The unit that an index names in every row, counted around the ends where it is outside."""
        unit = np.zeros(rows[""].shape, np.int64)
        for part, size in zip(components(index), side.shape, strict=True):
            value, _ = self.attempt(part, rows)
            unit = unit * size + np.floor(np.broadcast_to(value, unit.shape)).astype(np.int64) % size
        return unit

    def _lookup(self, reference: syntax.Reference) -> Value:
        name = self.scope.text(reference.name)
        return self.rows[name] if name in self.rows else self.scope.outer(reference)

    # ---------------------------------------------------------------------------------- what is given

    def _clauses(self, node: syntax.Builder) -> tuple[dict[str, Domain], list[syntax.Expression]]:
        """The names with an `in` of their own, and all other conditions."""
        generated: dict[str, Domain] = {}
        conditions: list[syntax.Expression] = []
        bound: set[str] = set()
        ends: dict[str, Domain] = {}
        for at, clause in enumerate(node.clauses):
            if isinstance(clause, syntax.Membership):
                domains, equations = self._membership(clause, at, bound)
                ends.update({domain.name: domain for domain in domains})
                conditions += equations
                continue
            for part in conjuncts(clause):
                name = generator_of(part, self.scope)
                if name is None or name in generated:
                    conditions.append(part)
                    continue
                assert isinstance(part, syntax.Comparison)
                values = part.rest[0][1]
                if not isinstance(values, syntax.Range | syntax.List):
                    raise fail(self.scope.report, codes.IN_WHAT, values.span)
                generated[name] = Domain(name, part.first.span, values)
        return {**ends, **generated}, conditions

    def _membership(
        self, clause: syntax.Membership, at: int, bound: set[str]
    ) -> tuple[list[Domain], list[syntax.Expression]]:
        """Both ends of a named set's edges as names of their own, and what makes the indices equal to them.

        The ends of the first set are run over; where names are known from another one, they give the ends.
        """
        member = member_of(clause, self.scope, self._owners)
        names = (f"#{at}s", f"#{at}t")
        used: list[set[str]] = []
        equations: list[syntax.Expression] = []
        free: dict[str, Domain] = {}
        given: list[str] = []
        for end, index, side, name in (
            ("source", clause.edge.source, member.source, names[0]),
            ("target", clause.edge.target, member.target, names[1]),
        ):
            parts = components(numbered(index, side, self.scope))
            if len(parts) != len(side.shape):
                raise fail(
                    self.scope.report,
                    codes.RANK,
                    index.span,
                    side=f"the {end} of the set",
                    rank=rank_text(side.shape),
                    shape=list(side.shape),
                    given=len(parts),
                )
            stride = side.units
            used.append(set())
            for part, size in zip(parts, side.shape, strict=True):
                used[-1] |= names_in(part, self.scope.text)
                stride //= max(size, 1)
                unit = syntax.Reference(part.span, syntax.Name(part.span, (name,)))
                along = _digit(unit, stride, size, len(parts))
                equations.append(syntax.Comparison(part.span, part, (("==", along),)))
                alone = bare(part, self.scope)
                if alone is not None and self.scope.declared(alone) is None:
                    given.append(alone)
                    free[alone] = Domain(alone, part.span, size)
        units, partners = member.edges.edges()
        sides = (member.source, member.target)
        # Searched from the end that is known from sets before, if only one is.
        if used[1] & bound and not used[0] & bound:
            names, units, partners, used, sides = names[::-1], partners, units, used[::-1], sides[::-1]
        first, second = Partners.both(units, partners, names[0])
        known = bool(used[0] & bound)
        bound |= used[0] | used[1]
        self._given[names[1]] = given
        domain = Domain(names[0], clause.span, sides[0].units if known else first)
        self._free |= free
        return [domain, Domain(names[1], clause.span, second)], equations

    def _bound(self, arrow: syntax.Arrow, generated: dict[str, Domain]) -> list[Domain]:
        """The index names of the arrow, then the others, in the order they are written."""
        domains: dict[str, Domain] = {}
        for expression, side in ((arrow.source, self.scope.source), (arrow.target, self.scope.target)):
            parts = components(expression)
            if len(parts) != len(side.shape):
                raise fail(
                    self.scope.report,
                    codes.RANK,
                    expression.span,
                    side=side.name,
                    rank=rank_text(side.shape),
                    shape=list(side.shape),
                    given=len(parts),
                )
            for part, size in zip(parts, side.shape, strict=True):
                name = bare(part, self.scope)
                if name is not None:
                    domains.setdefault(name, generated.get(name) or Domain(name, part.span, size))
        ends = {name: domain for name, domain in generated.items() if name.startswith("#")}
        # A name that only memberships know runs over the units there.
        for name, domain in (*generated.items(), *self._free.items()):
            domains.setdefault(name, domain)
        # After the ends of a set the names that they give, which then narrow the ends of the next one.
        ordered: dict[str, Domain] = {}
        for name, domain in ends.items():
            ordered[name] = domain
            if name in self._given:
                ordered |= {given: domains[given] for given in self._given[name] if given in domains}
        domains = {**ordered, **{name: domain for name, domain in domains.items() if name not in ordered}}
        for domain in domains.values():
            if (kind := self.scope.declared(domain.name)) is not None:
                # A param, layer or axis as an index is almost surely meant as its number.
                raise fail(
                    self.scope.report,
                    codes.INDEX_IS_DECLARED,
                    domain.span,
                    name=domain.name,
                    kind=article(kind),
                    help="choose another name for the index"
                    + (f", or write `{domain.name} + 0` for the number" if kind == "param" else ""),
                )
        return list(domains.values())

    def _ordered(self, domains: list[Domain]) -> list[Domain]:
        """The names such that one whose range depends on others, as in `k in 0..i`, comes after them."""
        names = {domain.name for domain in domains}
        waiting, result = list(domains), list[Domain]()
        while waiting:
            placed = {domain.name for domain in result}
            for domain in waiting:
                if domain.needs(self.scope.text) & names <= placed:
                    break
            else:
                raise fail(self.scope.report, codes.RANGE_CYCLE, waiting[0].span, name=waiting[0].name)
            waiting.remove(domain)
            result.append(domain)
        return result

    def _check(self, arrow: syntax.Arrow) -> None:
        """Refuse what cannot be evaluated or has the wrong kind, whatever the names are."""
        rows = {name: np.empty(0, np.int64) for name in ("", *(domain.name for domain in self.domains))}
        for domain in self.domains:
            places = self._places(domain, rows)
            if not domain.needs(self.scope.text) & rows.keys():
                self._fixed[domain.name] = places
        for condition in self.conditions:
            value, _ = self.attempt(condition.node, rows)
            if np.asarray(value).dtype.kind != "b":
                raise fail(self.scope.report, codes.NOT_A_CONDITION, condition.node.span)
        for part in (*components(arrow.source), *components(arrow.target)):
            value, _ = self.attempt(part, rows)
            if np.asarray(value).dtype.kind == "b":
                raise fail(self.scope.report, codes.NOT_A_NUMBER, part.span, what="a condition")

    # --------------------------------------------------------------------------------------- domains

    def _integers(self, expression: syntax.Expression, rows: Rows, what: str) -> Value:
        """An integer, or one a row."""
        value, faulty = self.attempt(expression, rows)
        self.refuse_faults(rows, faulty)
        if np.asarray(value).dtype.kind == "b":
            raise fail(self.scope.report, codes.NOT_A_NUMBER, expression.span, what=what)
        if not is_integer(value) and np.size(value):
            raise self.evaluator.not_an_integer(expression, what, np.ravel(value)[0])
        return value if is_integer(value) else np.zeros(0, np.int64)

    def _places(self, domain: Domain, rows: Rows) -> Places:
        """What a name runs over."""
        if domain.name in self._fixed:
            return self._fixed[domain.name]
        match domain.values:
            case Partners():
                return domain.values.places(rows)
            case int(size):
                return 0, size - 1, None
            case syntax.Range(first=first, last=last):
                return (
                    self._integers(first, rows, "the first of a range"),
                    self._integers(last, rows, "the last of a range"),
                    None,
                )
            case syntax.List(items=items):
                values = [self._integers(item, rows, "an index") for item in items]
                if any(np.ndim(value) for value in values):
                    values = [np.broadcast_to(value, rows[""].shape) for value in values]
                return 0, len(values) - 1, np.array(values, np.int64)

    def _box(self, rows: Rows, level: int) -> dict[str, Interval]:
        """Where each name may lie: its values if it is assigned, else its range as far as that is known."""
        box = {name: Interval(values.astype(float), values.astype(float)) for name, values in rows.items()}
        for domain in self.domains[level:]:
            box[domain.name] = WHOLE
            if all(name in rows for name in domain.needs(self.scope.text) & box.keys()):
                first, last, values = self._places(domain, rows)
                if values is None:
                    box[domain.name] = Interval(np.asarray(first, float), np.asarray(last, float))
                elif values.size:
                    box[domain.name] = Interval(float(values.min()), float(values.max()))
        return box

    # ------------------------------------------------------------------------------------- extension

    def _assigned(self, rows: Rows, level: int) -> Iterator[Rows]:
        """The rows with the name of a level assigned, those that may remain, in chunks."""
        domain = self.domains[level]
        known = {*rows, domain.name}
        ready = [c for c in self.conditions if domain.name in c.needs and c.needs <= known]
        first, counts, values = self._narrowed(domain, rows, level)
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        for start in range(0, total, CHUNK):
            position = np.arange(start, min(start + CHUNK, total))
            row = np.searchsorted(ends, position, side="right")
            value = first[row] + (position - (ends[row] - counts[row]))
            extended = {name: column[row] for name, column in rows.items()}
            if values is not None:
                value = values[value] if values.ndim == 1 else values[value, row]
            extended[domain.name] = value
            remaining = self._meeting([c for c in ready if not c.draws], extended)
            remaining = self._meeting([c for c in ready if c.draws], remaining)
            if len(remaining[""]):
                yield remaining

    def _narrowed(self, domain: Domain, rows: Rows, level: int) -> tuple[Indices, Indices, Indices | None]:
        """The first value and the number of values to look at in every row. Raises `OverBudget`."""
        first, last, values = self._places(domain, rows)
        first = np.broadcast_to(np.asarray(first, np.int64), rows[""].shape)
        last = np.broadcast_to(np.asarray(last, np.int64), rows[""].shape)
        empty: NDArray[np.bool_] | bool = False
        about = [c.node for c in self.conditions if domain.name in c.needs and not c.draws]
        if values is None and about:
            box = self._box(rows, level)
            low, high = narrow(about, domain.name, box, self.scope.text, self.scope.outer)
            empty = np.greater(low, high)
            # A bound is of no use where floats are not exact to the unit.
            first = np.where(np.abs(low) < EXACT, np.maximum(first, _integer(np.ceil(low))), first)
            last = np.where(np.abs(high) < EXACT, np.minimum(last, _integer(np.floor(high))), last)
        sizes = np.where(empty | (last < first), 0.0, last.astype(float) - first.astype(float) + 1)
        try:
            self.budget.spend(sizes.sum())
        except OverBudget:
            most = max(
                (c for c in self.conditions if c.node in about), key=lambda c: len(c.needs), default=None
            )
            raise OverBudget(domain.name, most.node if most else None) from None
        counts = np.where(sizes > 0, last - first + 1, 0)
        return first, counts, values

    def _meeting(self, conditions: list[Condition], rows: Rows) -> Rows:
        """The rows that no condition rules out; those in which one fails note that fault."""
        if not conditions:
            return rows
        keep = np.ones(rows[""].shape, bool)
        pending = rows[""]
        for condition in conditions:
            truth, faulty = self.attempt(condition.node, rows)
            keep &= np.logical_or(truth, np.not_equal(faulty, 0))
            if np.any(faulty):
                pending = np.where(pending, pending, faulty)
        return {name: values[keep] for name, values in {**rows, "": pending}.items()}


def _integer(bound: Ends) -> Indices:
    return np.clip(np.nan_to_num(bound), -EXACT, EXACT).astype(np.int64)


def _digit(unit: syntax.Expression, stride: int, size: int, rank: int) -> syntax.Expression:
    """The index along one dimension of a unit's number."""
    span = unit.span
    if rank == 1:
        return unit
    along = syntax.Binary(span, "//", unit, syntax.Number(span, stride, str(stride)))
    return syntax.Binary(span, "%", along, syntax.Number(span, size, str(size)))


def calls(node: object, name: str) -> Iterator[syntax.Call]:
    """The calls of a function in a clause or a whole builder."""
    if isinstance(node, syntax.Builder):
        for clause in node.clauses:
            yield from calls(clause, name)
    elif isinstance(node, syntax.Call):
        if called_name(node) == name:
            yield node
        for argument in node.arguments:
            yield from calls(argument.value, name)
    elif isinstance(node, syntax.Expression):
        for child in children(node):
            yield from calls(child, name)


def conjuncts(clause: syntax.Expression) -> Iterator[syntax.Expression]:
    """The conditions that a clause joins by `and`."""
    if isinstance(clause, syntax.Binary) and clause.operator == "and":
        yield from conjuncts(clause.left)
        yield from conjuncts(clause.right)
    elif isinstance(clause, syntax.Parenthesised):
        yield from conjuncts(clause.inner)
    else:
        yield clause


def generator_of(node: syntax.Expression, scope: Scope) -> str | None:
    """The name of `name in values`."""
    if isinstance(node, syntax.Comparison) and len(node.rest) == 1 and node.rest[0][0] == "in":
        return bare(node.first, scope)
    return None
