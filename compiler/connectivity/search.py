"""All assignments of a builder's index names that meet its clauses, in time proportional to what they bound.

The names are assigned one after the other, all partial assignments at once as arrays. Before a name is
assigned, its range is narrowed in every row by the conditions that speak of it, so `abs(i - j) <= 2` looks at
five targets of a source and not at all of them; conditions are tested as soon as their names are assigned.
The candidates that may be looked at are limited.

A condition that fails for an assignment, say by a division by zero, matters only if no other condition rules
the assignment out: `{ i -> j : i % j == 0, j != 0 }` is every divisor, whichever of the two is written first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.source import Span
from .. import codes
from ..expressions import Evaluator, Faulty, Value, article, fail, is_integer, names_in
from .edge_set import Indices
from .narrowing import WHOLE, Ends, Interval, narrow
from .sides import Scope, rank_text

# Candidates of one builder, about a minute of work; and those held in memory at once.
CANDIDATE_LIMIT = 400_000_000
CHUNK = 1 << 20
EXACT = 2.0**52

# Values of the index names, one a row. Under "" stands the number of a row's pending fault, 0 for none.
Rows = dict[str, Indices]


# First and last of a range in every row; or of the places in a list, whose values come with them, (items,),
# or (items, rows) if they differ from row to row.
Places: TypeAlias = tuple[Value, Value, "Indices | None"]


class OverBudget(Exception):
    """More candidates than `CANDIDATE_LIMIT`."""


@dataclass
class Budget:
    """Candidates that a builder may still look at."""

    left: int = field(default_factory=lambda: CANDIDATE_LIMIT)


@dataclass(frozen=True)
class Domain:
    """What an index name runs over: the numbers below a size, or those after its `in`."""

    name: str
    span: Span
    values: int | syntax.Range | syntax.List


@dataclass(frozen=True)
class Condition:
    """A condition and the index names it needs."""

    node: syntax.Expression
    needs: frozenset[str]


def components(side: syntax.Expression) -> tuple[syntax.Expression, ...]:
    """The index of a side, one expression per dimension."""
    return side.items if isinstance(side, syntax.Tuple) else (side,)


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
        self.evaluator = Evaluator(scope.report, self._lookup)
        generated, conditions = self._clauses(node)
        self.domains = self._ordered(self._bound(arrow, generated))
        names = {domain.name for domain in self.domains}
        self.conditions = [
            Condition(condition, frozenset(names_in(condition, scope.text) & names))
            for condition in conditions
        ]
        self._check(arrow)

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
        return ", ".join(f"{name} = {values[row]}" for name, values in rows.items() if name)

    def refuse_faults(self, rows: Rows, faulty: Faulty) -> None:
        """Raise `Failed` at the first row with a fault, or at one that all rows have."""
        if isinstance(faulty, np.ndarray) and faulty.ndim and faulty.any():
            row = int(np.argmax(faulty != 0))
            raise self.evaluator.failure(int(faulty[row]), self.assignment(rows, row))
        if np.any(faulty):
            raise self.evaluator.failure(int(np.max(faulty)))

    def _lookup(self, reference: syntax.Reference) -> Value:
        name = self.scope.text(reference.name)
        return self.rows[name] if name in self.rows else self.scope.outer(reference)

    # ---------------------------------------------------------------------------------- what is given

    def _clauses(self, node: syntax.Builder) -> tuple[dict[str, Domain], list[syntax.Expression]]:
        """The names with an `in` of their own, and all other conditions."""
        generated: dict[str, Domain] = {}
        conditions: list[syntax.Expression] = []
        for clause in node.clauses:
            if isinstance(clause, syntax.Membership):
                raise fail(self.scope.report, codes.NOT_YET, clause.span, what="membership in a named set")
            for part in _conjuncts(clause):
                domain = self._generator(part)
                if domain is None or domain.name in generated:
                    conditions.append(part)
                else:
                    generated[domain.name] = domain
        return generated, conditions

    def _generator(self, node: syntax.Expression) -> Domain | None:
        """`name in range` or `name in list`."""
        if not (isinstance(node, syntax.Comparison) and len(node.rest) == 1 and node.rest[0][0] == "in"):
            return None
        name, values = bare(node.first, self.scope), node.rest[0][1]
        if name is None:
            return None
        if not isinstance(values, syntax.Range | syntax.List):
            raise fail(self.scope.report, codes.IN_WHAT, values.span)
        return Domain(name, node.first.span, values)

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
        domains = {**domains, **{name: d for name, d in generated.items() if name not in domains}}
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
                if names_in(domain.values, self.scope.text) & names <= placed:
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
            if not names_in(domain.values, self.scope.text) & rows.keys():
                self._fixed[domain.name] = places
        for condition in self.conditions:
            value, _ = self.attempt(condition.node, rows)
            if np.asarray(value).dtype.kind != "b":
                raise fail(self.scope.report, codes.NOT_A_CONDITION, condition.node.span)
        for part in (*components(arrow.source), *components(arrow.target)):
            if isinstance(part, syntax.String):
                raise fail(self.scope.report, codes.NOT_YET, part.span, what="a name as an index")
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
            if all(name in rows for name in names_in(domain.values, self.scope.text) & box.keys()):
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
            remaining = self._meeting(ready, extended)
            if len(remaining[""]):
                yield remaining

    def _narrowed(self, domain: Domain, rows: Rows, level: int) -> tuple[Indices, Indices, Indices | None]:
        """The first value and the number of values to look at in every row. Raises `OverBudget`."""
        first, last, values = self._places(domain, rows)
        first = np.broadcast_to(np.asarray(first, np.int64), rows[""].shape)
        last = np.broadcast_to(np.asarray(last, np.int64), rows[""].shape)
        empty: NDArray[np.bool_] | bool = False
        about = [c.node for c in self.conditions if domain.name in c.needs]
        if values is None and about:
            box = self._box(rows, level)
            low, high = narrow(about, domain.name, box, self.scope.text, self.scope.outer)
            empty = np.greater(low, high)
            # A bound is of no use where floats are not exact to the unit.
            first = np.where(np.abs(low) < EXACT, np.maximum(first, _integer(np.ceil(low))), first)
            last = np.where(np.abs(high) < EXACT, np.minimum(last, _integer(np.floor(high))), last)
        sizes = np.where(empty | (last < first), 0.0, last.astype(float) - first.astype(float) + 1)
        if sizes.sum() > self.budget.left:
            raise OverBudget
        counts = np.where(sizes > 0, last - first + 1, 0)
        self.budget.left -= int(counts.sum())
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


def _conjuncts(clause: syntax.Expression) -> Iterator[syntax.Expression]:
    if isinstance(clause, syntax.Binary) and clause.operator == "and":
        yield from _conjuncts(clause.left)
        yield from _conjuncts(clause.right)
    elif isinstance(clause, syntax.Parenthesised):
        yield from _conjuncts(clause.inner)
    else:
        yield clause
