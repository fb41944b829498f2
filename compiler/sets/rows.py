"""Assignments of index names as rows of arrays, and what expressions are worth in every row."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import fail
from .. import codes
from ..data.columns import Coded
from ..edges.draw import pair_uniforms
from ..edges.edge_set import Indices
from ..names.arithmetic import Value, is_integer
from ..names.evaluate import Evaluator
from ..names.faults import Faulty, not_an_integer
from ..names.sides import Scope, Side
from .terms import calls, components

# 2^64 over the golden ratio: far from the differences of seeds that people choose.
GOLDEN = 0x9E3779B97F4A7C15

# Values of the index names, one a row. Under "" stands the number of a row's pending fault, 0 for none.
Rows: TypeAlias = dict[str, Indices]


class RowValues:
    """Evaluates expressions of one arrow of a builder in all rows at once; messages speak of some `names`."""

    def __init__(
        self, arrow: syntax.Arrow, node: syntax.Builder, names: tuple[str, ...], scope: Scope
    ) -> None:
        self.arrow = arrow
        self.names = names
        self.scope = scope
        self._rows: Rows = {}
        self._drawing = {id(call): at for at, call in enumerate(calls(node, "chance"))}
        self._evaluator = Evaluator(scope.report, self._lookup, {"chance": self._chance}, scope.surroundings)

    def attempt(self, expression: syntax.Expression, rows: Rows) -> tuple[Value, Faulty]:
        """The value of an expression in every row, and its faults."""
        self._rows = rows
        return self._evaluator.attempt(expression)

    def key(self, expression: syntax.Expression, rows: Rows) -> tuple[Value | Coded, Faulty]:
        """As `attempt`, or the texts that a field stands for in every row."""
        self._rows = rows
        return self._evaluator.key(expression)

    def integers(self, expression: syntax.Expression, rows: Rows, what: str) -> Value:
        """An integer, or one a row. Raises `Failed` if a value is none; messages call it `what`."""
        value, faulty = self.attempt(expression, rows)
        self.refuse_faults(rows, faulty)
        if np.asarray(value).dtype.kind == "b":
            raise fail(self.scope.report, codes.NOT_A_NUMBER, expression.span, what=what)
        if not is_integer(value) and np.size(value):
            raise not_an_integer(self.scope.report, expression, what, np.ravel(value)[0])
        return value if is_integer(value) else np.zeros(0, np.int64)

    def assignment(self, rows: Rows, row: int) -> str:
        """`i = 3, j = 0`."""
        return ", ".join(f"{name} = {rows[name][row]}" for name in self.names if name in rows)

    def refuse_faults(self, rows: Rows, faulty: Faulty) -> None:
        """Raise `Failed` at the first row with a fault, or at one that all rows have."""
        if isinstance(faulty, np.ndarray) and faulty.ndim and faulty.any():
            row = int(np.argmax(faulty != 0))
            raise self._evaluator.failure(int(faulty[row]), self.assignment(rows, row))
        if np.any(faulty):
            raise self._evaluator.failure(int(np.max(faulty)))

    def _lookup(self, reference: syntax.Reference) -> Value:
        name = self.scope.text(reference.name)
        return self._rows[name] if name in self._rows else self.scope.outer(reference)

    def _chance(self, call: syntax.Call) -> Value:
        """`chance(p)`: whether a pair is drawn, by a number of its own."""
        if len(call.arguments) != 1 or call.arguments[0].name:
            takes = "one number, without a name"
            raise fail(self.scope.report, codes.ARGUMENT_COUNT, call.span, name="chance", count=takes)
        probability = self._evaluator.value(call.arguments[0].value)
        rows, shape = self._rows, self._rows[""].shape
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
        ends = ((self.arrow.source, self.scope.source), (self.arrow.target, self.scope.target))
        units = [self._unit(index, side, rows) for index, side in ends]
        # Each call within a builder draws numbers of its own.
        seed = self.scope.seed() + self._drawing[id(call)] * GOLDEN
        self._rows = rows
        return pair_uniforms(seed % 2**64, *units) < value

    def _unit(self, index: syntax.Expression, side: Side, rows: Rows) -> Indices:
        """The unit that an index names in every row, counted around the ends where it is outside."""
        unit = np.zeros(rows[""].shape, np.int64)
        for part, size in zip(components(index), side.shape, strict=True):
            value, _ = self.attempt(part, rows)
            unit = unit * size + np.floor(np.broadcast_to(value, unit.shape)).astype(np.int64) % size
        return unit
