"""Which layout every value has in memory, batch first or units first, and where a value is transposed.

Kernels along edges compute units first, (units, batch), so that an edge reads one run of the batch. Inputs
come and outputs go batch first. Products with a matrix read and write either layout, and all else keeps what
it reads. Layers are assigned layouts such that as few numbers as possible are transposed: whole chains of
sparse layers stay units first, and dense layers between them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Literal, TypeAlias

from .graph import Graph, Project
from .kernels import Kernel

Layout: TypeAlias = Literal["batch first", "units first"]

# What a kernel reads and writes: along edges always units first, a matrix either, the others what they read.
# A band does, too, but inside it is units first: what comes and goes batch first, it transposes itself.
FIXED: frozenset[Kernel] = frozenset(["edges", "band"])
FREE: frozenset[Kernel] = frozenset(["dense", "masked"])


@dataclass(frozen=True)
class Transpose:
    """A copy of a value in the other layout; where it is trained through, its gradient is copied back.

    `value` is an input or a layer; `connection` is whose reading or result it is, None for what the model is
    given or returns as a whole. What is `inside` is done by the kernel.
    """

    value: str
    connection: str | None
    to: Layout
    units: int
    reason: str
    inside: bool = False


@dataclass(frozen=True)
class Layouts:
    """The inputs and layers that are units first, and all transposes in the order of computation.

    An input is one of `units_first` where it is transposed before anything reads it.
    """

    units_first: tuple[str, ...]
    transposes: tuple[Transpose, ...]

    def of(self, value: str) -> Layout:
        """The layout of an input or layer, once it is made."""
        return "units first" if value in self.units_first else "batch first"

    def before(self, projection: Project) -> Layout | None:
        """Into which layout a projection's input is transposed for it, if it is."""
        return self._at(projection, projection.input.name)

    def after(self, projection: Project) -> Layout | None:
        """Into which layout a projection's result is transposed, if it is."""
        return self._at(projection, projection.layer)

    def _at(self, projection: Project, value: str) -> Layout | None:
        for transpose in self.transposes:
            if (transpose.value, transpose.connection, transpose.inside) == (
                value,
                projection.connection,
                False,
            ):
                return transpose.to
        return None


def assign(graph: Graph, kernels: Mapping[str, Kernel]) -> Layouts:
    """Layouts for a graph whose connections are computed by some kernels, by connection."""
    network = _Network(graph, kernels)
    first = network.units_first()
    return Layouts(
        tuple(name for name in network.units if name in first),
        tuple(network.transposes(first)),
    )


class _Network:
    """What every layout costs, in numbers that are transposed for a sample, times `scale`.

    `costs` says what it costs that a value is batch first, and that it is units first; `bonds` what it costs
    that two values have different layouts. Of assignments that transpose as much, those cost less, by one for
    each, in which layers stay as edges give them; `scale` is more than all of these together.
    """

    def __init__(self, graph: Graph, kernels: Mapping[str, Kernel]) -> None:
        self.graph, self.kernels = graph, kernels
        self.projections = [operation for operation in graph.operations if isinstance(operation, Project)]
        self.scale = 1 + len(self.projections)
        inputs = {data.name: prod(data.shape) for data in graph.inputs}
        self.units = inputs | {layer.name: layer.units for layer in graph.layers}
        self.costs: dict[str, tuple[int, int]] = dict.fromkeys(self.units, (0, 0))
        self.bonds: dict[str, list[tuple[str, int]]] = {name: [] for name in self.units}
        for name in (*inputs, *graph.outputs):
            self._add(name, 0, self.scale * self.units[name])
        for projection in self.projections:
            source, target = projection.input.name, projection.layer
            kernel = kernels[projection.connection]
            if kernel in FIXED:
                self._add(source, self.scale * self.units[source], 0)
                self._add(target, self.scale * self.units[target] + (kernel == "edges"), 0)
            elif kernel not in FREE:
                bond = self.scale * min(self.units[source], self.units[target])
                self.bonds[source].append((target, bond))
                self.bonds[target].append((source, bond))

    def _add(self, name: str, batch_first: int, units_first: int) -> None:
        held = self.costs[name]
        self.costs[name] = held[0] + batch_first, held[1] + units_first

    def units_first(self) -> set[str]:
        """The values that are units first in the cheapest assignment; where two cost the same, the fewest.

        It is a minimal cut between what prefers one layout and what prefers the other, found by augmenting
        paths (Edmonds and Karp 1972): `spare` is what each value's preference has left, `room` what can still
        be sent along a bond.
        """
        spare = {name: batch_first - units_first for name, (batch_first, units_first) in self.costs.items()}
        room: dict[str, dict[str, int]] = {name: {} for name in self.units}
        for name, bonds in self.bonds.items():
            for other, bond in bonds:
                room[name][other] = room[name].get(other, 0) + bond
        while True:
            came: dict[str, str | None] = {name: None for name, left in spare.items() if left > 0}
            pending = list(came)
            for name in pending:  # grows while it is gone through
                if spare[name] < 0:
                    break
                for other, left in room[name].items():
                    if left and other not in came:
                        came[other] = name
                        pending.append(other)
            else:
                return set(came)
            path = [name]
            while (before := came[path[-1]]) is not None:
                path.append(before)
            path.reverse()
            pairs = list(pairwise(path))
            flow = min(spare[path[0]], -spare[path[-1]], *(room[a][b] for a, b in pairs))
            spare[path[0]] -= flow
            spare[path[-1]] += flow
            for a, b in pairs:
                room[a][b] -= flow
                room[b][a] += flow

    def transposes(self, first: set[str]) -> Iterator[Transpose]:
        """All transposes, in the order of computation."""

        def layout(name: str) -> Layout:
            return "units first" if name in first else "batch first"

        for data in self.graph.inputs:
            if data.name in first:
                yield Transpose(data.name, None, "units first", self.units[data.name], "comes batch first")
        for projection in self.projections:
            source, target = projection.input.name, projection.layer
            kernel, connection = self.kernels[projection.connection], projection.connection
            reads, gives = layout(source), layout(target)
            if kernel in FREE:
                continue
            if kernel in FIXED:
                inside = kernel == "band" and reads == gives
                for name, has in ((source, reads), (target, gives)):
                    to = "units first" if name == source else "batch first"
                    if has == "batch first":
                        why = f"{kernel} is units first"
                        yield Transpose(name, connection, to, self.units[name], why, inside)
            elif reads != gives:
                name = source if self.units[source] <= self.units[target] else target
                yield Transpose(name, connection, gives, self.units[name], f"{kernel} keeps what it reads")
        for name in self.graph.outputs:
            if name in first:
                yield Transpose(name, None, "batch first", self.units[name], "is returned batch first")
