"""What an expression says on every edge of a connection: numbers, keys, columns of the file of its set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.findings import Label
from ...dsl.walk import call_parts, called_name
from ...dsl.words import suggest
from .. import codes
from ..data.columns import Coded
from ..edges.degrees import degrees
from ..edges.edge_set import EdgeSet, Indices, Listed, occurrences
from ..names.arithmetic import FLOAT32_MAX, Value
from ..names.by_name import is_placed, placed
from ..names.evaluate import Evaluator
from ..names.faults import not_an_integer
from ..names.sides import unit_text
from ..sets.loading.edges import loaded_edges
from ..sets.loading.numbers import keys_by_edge, numbers_by_edge, wholes_by_edge
from ..sets.resolver import SetResolver
from ..sets.rules.rule import Sides


class EdgeValues:
    """Evaluates what an expression says over the edges of one connection."""

    def __init__(
        self,
        statement: syntax.ConnectStatement,
        sides: Sides,
        edges: EdgeSet,
        sets: SetResolver,
        variables: Mapping[str, int],
        classes: int,
    ) -> None:
        self.classes = classes
        self.statement = statement
        self.sides = sides
        self.edges = edges
        self.sets = sets
        self.variables = variables
        # The entry of each edge and how many there are, where weights are shared.
        self.index: Indices | None = None
        self.entries: int | None = None

    def evaluated(self, node: syntax.Expression) -> float | NDArray[np.float64]:
        """A number, or one per edge where the expression speaks of the edge."""
        value = self._evaluator().value(node)
        if isinstance(value, bool) or (isinstance(value, np.ndarray) and value.dtype.kind == "b"):
            raise fail(self.sets.names.report, codes.NOT_A_NUMBER, node.span, what="a condition")
        return value.astype(np.float64) if isinstance(value, np.ndarray) else float(value)

    def per_edge(self, node: syntax.Expression) -> float | NDArray[np.float64]:
        """A number that fits a 32-bit float, or one per edge where the expression speaks of the edge."""
        value = self.evaluated(node)
        self.float32(np.asarray(value), node)
        return value

    def whole(self, node: syntax.Expression, what: str) -> int | Indices:
        """A whole number, at least 1, or one per edge where the expression speaks of the edge."""
        while isinstance(node, syntax.Parenthesised):
            node = node.inner
        if isinstance(node, syntax.Call) and called_name(node) == "column":
            read = partial(wholes_by_edge, what=what)
            return self._by_edge(node, lambda *given: (read(*given), ()))[0].astype(np.int64)
        value = self.evaluated(node)
        numbers = np.atleast_1d(value)
        fraction, small = numbers % 1 != 0, numbers < 1
        if np.any(fraction | small):
            at = int(np.argmax(fraction | small))
            if isinstance(value, np.ndarray):
                what = f"{what} of {self._edge_text(at)}"
            if fraction[at]:
                raise not_an_integer(self.sets.names.report, node, what, f"{numbers[at]:g}")
            fields = {"what": what, "value": f"{numbers[at]:g}", "least": 1}
            raise fail(self.sets.names.report, codes.TOO_SMALL, node.span, **fields)
        return value.astype(np.int64) if isinstance(value, np.ndarray) else int(value)

    def key(self, node: syntax.Expression) -> tuple[float | NDArray[np.float64], tuple[str, ...]]:
        """A part of a key: a number, or one per edge; of texts the place of each among these."""
        while isinstance(node, syntax.Parenthesised):
            node = node.inner
        if isinstance(node, syntax.Call) and called_name(node) == "column":
            return self._by_edge(node, keys_by_edge)
        evaluator = self._evaluator()
        value, faulty = evaluator.key(node)
        if isinstance(value, Coded):
            if np.any(faulty):
                raise evaluator.failure(int(np.max(faulty)))
            return value.ranked()
        return self.evaluated(node), ()

    def _edge_text(self, at: int) -> str:
        """An edge, by its number, as people write it."""
        source, target = (int(units[at]) for units in self.edges.edges())
        return f"{unit_text(source, self.sides.source)} -> {unit_text(target, self.sides.target)}"

    def _column(self, node: syntax.Call) -> NDArray[np.float64]:
        """A column of numbers, in edge order."""
        return self._by_edge(node, lambda *given: (numbers_by_edge(*given), ()))[0]

    def _by_edge(
        self, node: syntax.Call, read: Callable[..., tuple[NDArray[np.float64], tuple[str, ...]]]
    ) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """A column of the file that the set was loaded from, perhaps by way of its name, in edge order."""
        loaded, sides, variables = self._loads()
        parts = call_parts(loaded)
        if not (isinstance(loaded, syntax.Call) and parts and parts[0] == "load"):
            others = () if loaded is self.statement.set else (Label(loaded.span, "this is not one `load`"),)
            help = "give each `load` a connection of its own: several into one layer add up"
            raise fail(
                self.sets.names.report, codes.COLUMN_WITHOUT_TABLE, node.span, others=others, help=help
            )
        call = self.sets.load_call(loaded, variables)
        values, texts = read(call, sides, node, self.variables)
        if is_placed(sides.both, self.sides.both):
            edges = loaded_edges(call, sides)
            values = values[placed(edges, sides.both, self.sides.both).origin]
        return values, texts

    def _loads(self) -> tuple[syntax.Expression, Sides, Mapping[str, int]]:
        """The set of the connection, or what the named set that it is stands for, with what surrounds it."""
        node, sides, variables = self.statement.set, self.sides, self.variables
        while isinstance(node, syntax.Parenthesised | syntax.Reference):
            if isinstance(node, syntax.Parenthesised):
                node = node.inner
                continue
            named = self.sets.named.get(self.sets.names.text(node.name, variables))
            if named is None:
                break
            node, sides, variables = named.node, named.sides, named.placed.variables
        return node, sides, variables

    def _evaluator(self) -> Evaluator:
        """What gives the value of an expression on every edge."""
        columns: dict[str, Callable[[], Indices]] = {
            "fan_in": lambda: self._fan(self.edges.edges()[1]),
            "fan_out": lambda: self._fan(self.edges.edges()[0]),
        }
        uniform = self._uniform_fans()
        hint = "indices are known here where the set is one pair of braces, or a window with names"
        if isinstance(self.statement.set, syntax.Builder):
            hint = "an index is known here if every edge has one value of it"

        def lookup(reference: syntax.Reference) -> Value:
            name = self.sets.names.text(reference.name, self.variables)
            if name in uniform:
                return uniform[name]
            if name in columns:
                return columns[name]()
            if not self.sets.names.is_number(name, self.variables) and name in self._index_columns:
                return self._index_columns[name]
            if self.sets.names.is_number(name, self.variables):
                return self.sets.names.number(reference, self.variables)
            guess = suggest(name, ("none", *columns, *self._index_columns))
            return self.sets.names.number(
                reference, self.variables, f"did you mean `{guess}`?" if guess else hint
            )

        functions = {"column": self._column}
        surroundings = self.sets.names.surroundings(self.variables)
        return Evaluator(self.sets.names.report, lookup, functions, surroundings)

    def _fan(self, units: Indices) -> Indices:
        """How many edges the unit of each edge has: the most of all edges that share a weight."""
        fan = occurrences(units)
        if self.index is None:
            return fan
        most = np.zeros(self.entries or 0, fan.dtype)
        np.maximum.at(most, self.index, fan)
        return most[self.index]

    def _uniform_fans(self) -> dict[str, int]:
        """`fan_in` and `fan_out` where they are one number, so that no array is made of it."""
        if isinstance(self.edges, Listed) or not self.edges.count:
            return {}
        ends = {"fan_in": degrees(self.edges, "target"), "fan_out": degrees(self.edges, "source")}
        fans = {name: fans.low for name, fans in ends.items() if fans.low == fans.high}
        if "fan_in" in fans:
            fans["fan_in"] //= self.classes
        return fans

    @cached_property
    def _index_columns(self) -> dict[str, Indices]:
        """The values of index names on every edge, where the set is exactly one builder or rule.

        Of several assignments that make one edge, only what they have in common is visible.
        """
        return self.sets.index_columns(self.statement.set, self.sides, self.variables)

    def float32(self, value: NDArray[Any], node: syntax.Expression) -> NDArray[np.float32]:
        """Numbers as float32. Raises `Failed` if one is beyond its range."""
        if np.any(np.abs(value) > FLOAT32_MAX):
            raise fail(self.sets.names.report, codes.BEYOND_FLOAT32, node.span, what="a weight")
        return value.astype(np.float32)
