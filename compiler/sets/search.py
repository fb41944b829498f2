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

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import fail
from .. import codes
from ..edges.edge_set import Indices
from ..names.budget import Budget, OverBudget
from ..names.sides import Scope
from .clauses import Condition, clauses_of
from .domains import Domain, Ranges
from .intervals import Ends
from .joining import Joins
from .narrowing import narrow
from .rows import Rows, RowValues
from .terms import components

# Candidates held in memory at once.
CHUNK = 1 << 20
EXACT = 2.0**52


class Search:
    """The assignments of one arrow, whose sides are no lists, under the clauses of its builder.

    `values` are those of expressions in the rows that are found, and `names` are assigned in each of them.
    """

    def __init__(self, arrow: syntax.Arrow, node: syntax.Builder, scope: Scope, budget: Budget) -> None:
        clauses = clauses_of(arrow, node, scope)
        self.names = clauses.names
        self.values = RowValues(arrow, clauses.builder, clauses.names, scope)
        self._scope = scope
        self._budget = budget
        self._conditions = clauses.conditions
        self._ranges = Ranges(clauses.domains, self.values)
        self._joins = Joins(clauses.conditions, self.values)
        self._check(arrow)

    def solutions(self) -> Iterator[Rows]:
        """All assignments, in chunks of at most `CHUNK` rows."""
        start = self._meeting([c for c in self._conditions if not c.needs], {"": np.zeros(1, np.int64)})
        pending = [iter([start])]  # at each depth, rows in which that many names are assigned
        while pending:
            rows = next(pending[-1], None)
            if rows is None:
                pending.pop()
            elif len(pending) <= len(self._ranges.domains):
                pending.append(self._assigned(rows, len(pending) - 1))
            else:
                self.values.refuse_faults(rows, rows[""])
                yield rows

    def _check(self, arrow: syntax.Arrow) -> None:
        """Refuse what cannot be evaluated or has the wrong kind, whatever the names are."""
        rows = {name: np.empty(0, np.int64) for name in ("", *(d.name for d in self._ranges.domains))}
        for condition in self._conditions:
            value, _ = self.values.attempt(condition.node, rows)
            if np.asarray(value).dtype.kind != "b":
                raise fail(self._scope.report, codes.NOT_A_CONDITION, condition.node.span)
        for part in (*components(arrow.source), *components(arrow.target)):
            value, _ = self.values.attempt(part, rows)
            if np.asarray(value).dtype.kind == "b":
                raise fail(self._scope.report, codes.NOT_A_NUMBER, part.span, what="a condition")

    def _assigned(self, rows: Rows, level: int) -> Iterator[Rows]:
        """The rows with the name of a level assigned, those that may remain, in chunks."""
        domain = self._ranges.domains[level]
        known = {*rows, domain.name}
        ready = [c for c in self._conditions if domain.name in c.needs and c.needs <= known]
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
        first, last, values = self._joins.places(domain, rows) or self._ranges.places(domain, rows)
        first = np.broadcast_to(np.asarray(first, np.int64), rows[""].shape)
        last = np.broadcast_to(np.asarray(last, np.int64), rows[""].shape)
        empty: NDArray[np.bool_] | bool = False
        about = [c.node for c in self._conditions if domain.name in c.needs and not c.draws]
        if values is None and about:
            box = self._ranges.box(rows, level)
            low, high = narrow(about, domain.name, box, self._scope.text, self._scope.outer)
            empty = np.greater(low, high)
            # A bound is of no use where floats are not exact to the unit.
            first = np.where(np.abs(low) < EXACT, np.maximum(first, _integer(np.ceil(low))), first)
            last = np.where(np.abs(high) < EXACT, np.minimum(last, _integer(np.floor(high))), last)
        sizes = np.where(empty | (last < first), 0.0, last.astype(float) - first.astype(float) + 1)
        try:
            self._budget.spend(sizes.sum())
        except OverBudget:
            most = max(
                (c for c in self._conditions if c.node in about), key=lambda c: len(c.needs), default=None
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
            truth, faulty = self.values.attempt(condition.node, rows)
            keep &= np.logical_or(truth, np.not_equal(faulty, 0))
            if np.any(faulty):
                pending = np.where(pending, pending, faulty)
        return {name: values[keep] for name, values in {**rows, "": pending}.items()}


def _integer(bound: Ends) -> Indices:
    return np.clip(np.nan_to_num(bound), -EXACT, EXACT).astype(np.int64)
