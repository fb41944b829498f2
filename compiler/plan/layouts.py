"""Which layout every value has in memory, batch first or units first, and where a value is transposed.

Kernels along edges compute units first, (units, batch), so that an edge reads one run of the batch.
Convolutions are batch first, inputs come and outputs go so. Products with a matrix read and write either
layout, and all else keeps what it reads: an expression of several layers reads them in one. Layers are
assigned layouts such that as few numbers as possible are transposed: whole chains of sparse layers stay units
first, and dense layers between them too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import combinations, pairwise
from math import prod
from typing import Literal, TypeAlias

from ...dsl.records import record
from ..graph.graph import Combine, Graph, Operation, Project, Value
from .kernels import KERNELS, KernelName

Layout: TypeAlias = Literal["batch first", "units first"]

# Kernels that read and write units first, or batch first, and those that read and write either layout.
FIXED = frozenset(name for name, kernel in KERNELS.items() if kernel.layout == "units first")
BATCH_FIRST = frozenset(name for name, kernel in KERNELS.items() if kernel.layout == "batch first")
FREE = frozenset(name for name, kernel in KERNELS.items() if kernel.layout == "either")


@record
class Transpose:
    """A copy of a value in the other layout; where it is trained through, its gradient is copied back.

    `value` is an input or a layer; `connection` is whose reading or result it is, or the layer whose
    expression reads it, None for one that serves all, or what is returned.
    """

    value: str
    connection: str | None
    to: Layout
    units: int
    reason: str


@record
class Copy:
    """A copy of an input or layer beside it, in the other layout, and what reads it, as in `Transpose`."""

    value: str
    to: Layout
    connections: tuple[str, ...]


@record
class Layouts:
    """The inputs and layers that are units first, copies that are made once, and all transposes.

    An input is one of `units_first` where it is transposed before anything reads it.
    """

    units_first: tuple[str, ...]
    copies: tuple[Copy, ...]
    transposes: tuple[Transpose, ...]

    def of(self, value: str) -> Layout:
        """The layout of an input or layer, once it is made."""
        return "units first" if value in self._units_first else "batch first"

    def copy_of(self, value: str) -> Copy | None:
        """The copy of an input or layer, if there is one."""
        return self._copies.get(value)

    def is_copy_read(self, value: str, reader: str) -> bool:
        """Whether a connection, or the expression of a layer, reads the copy of a value."""
        return (value, reader) in self._copies_read

    def before(self, value: str, reader: str) -> Layout | None:
        """Into which layout a value is transposed for a connection or the expression of a layer, if it is."""
        return self._at(value, reader)

    def after(self, projection: Project) -> Layout | None:
        """Into which layout a projection's result is transposed, if it is."""
        return self._at(projection.layer, projection.connection)

    def _at(self, value: str, connection: str) -> Layout | None:
        return self._transposed.get((value, connection))

    @cached_property
    def _units_first(self) -> frozenset[str]:
        return frozenset(self.units_first)

    @cached_property
    def _copies(self) -> Mapping[str, Copy]:
        return {copy.value: copy for copy in self.copies}

    @cached_property
    def _copies_read(self) -> frozenset[tuple[str, str]]:
        return frozenset((copy.value, reader) for copy in self.copies for reader in copy.connections)

    @cached_property
    def _transposed(self) -> Mapping[tuple[str, str | None], Layout]:
        return {(t.value, t.connection): t.to for t in self.transposes}


@record
class _Reading:
    """What a connection or an expression reads, in which layout, None for either.

    Also what it transposes from then on.
    """

    value: str
    reader: str
    layout: Layout | None
    transposes: tuple[Transpose, ...] = ()


def assign(graph: Graph, kernels: Mapping[str, KernelName]) -> Layouts:
    """Layouts for a graph whose connections are computed by some kernels, by connection."""
    network = _Network(graph, kernels)
    return network.layouts(network.units_first())


class _Network:
    """What every layout costs, in numbers that are transposed for a sample, times `scale`.

    `costs` says what it costs that a value is batch first, and that it is units first; `bonds` what it costs
    that a value is units first and another is not, which between a layer and its earlier steps is more than
    all else. Of assignments that transpose as much, those cost less, by
    one for each, in which layers stay as edges give them; `scale` is more than all of these together.
    """

    def __init__(self, graph: Graph, kernels: Mapping[str, KernelName]) -> None:
        self.graph, self.kernels = graph, kernels
        self.projections = graph.projections
        self.scale = 1 + len(self.projections)
        inputs = {data.name: prod(data.shape) for data in graph.inputs}
        # An earlier step of an input is like an input, and that of a layer has the layer's layout.
        inputs |= {each.output.name: each.output.units for each in graph.delays if not each.input.layer}
        late = [each for each in graph.delays if each.input.layer]
        self.inputs = frozenset(inputs)
        self.units = inputs | {layer.name: layer.units for layer in graph.layers}
        self.units |= {each.output.name: each.output.units for each in late}
        self.costs: dict[str, tuple[int, int]] = dict.fromkeys(self.units, (0, 0))
        self.bonds: dict[str, list[tuple[str, int]]] = {name: [] for name in self.units}
        # Inputs over time are copied anyway, to have steps first; but earlier steps of one are made of it.
        folded = {data.name for data in graph.inputs if data.over_time} - {*graph.read_late}
        for name in (*inputs, *graph.outputs):
            if name not in folded:
                self._add(name, 0, self.scale * self.units[name])
        for projection in self.projections:
            source, target = projection.input.name, projection.layer
            kernel = kernels[projection.connection]
            if kernel in FIXED:
                self._add(source, self.scale * self.units[source], 0)
                self._add(target, self.scale * self.units[target] + 1, 0)
            elif kernel in BATCH_FIRST or kernel == "embedding":
                if kernel in BATCH_FIRST and source not in inputs:  # of an input the original is there
                    self._add(source, 0, self.scale * self.units[source])
                self._add(target, 0, self.scale * self.units[target])
            elif kernel not in FREE:
                bond = self.scale * min(self.units[source], self.units[target])
                self.bonds[target].append((source, bond))
                if source not in inputs:  # of an input the original is there anyway
                    self.bonds[source].append((target, bond))
        for expression in graph.operations:
            if isinstance(expression, Combine):
                for value in _of_several_units(expression):
                    bond = self.scale * value.units
                    self.bonds[expression.layer].append((value.name, bond))
                    if value.name not in inputs:
                        self.bonds[value.name].append((expression.layer, bond))

        never = 1 + 4 * self.scale * len(graph.operations) * sum(self.units.values())
        for each in late:
            self.bonds[each.output.name].append((each.input.name, never))
            self.bonds[each.input.name].append((each.output.name, never))

    def _add(self, name: str, batch_first: int, units_first: int) -> None:
        held = self.costs[name]
        self.costs[name] = held[0] + batch_first, held[1] + units_first

    def units_first(self) -> set[str]:
        """The values that are units first in the cheapest assignment; where two cost the same, the fewest."""
        prefers = {name: units_first - batch_first for name, (batch_first, units_first) in self.costs.items()}
        bonds: dict[str, dict[str, int]] = {name: {} for name in self.units}
        for name, others in self.bonds.items():
            for other, bond in others:
                bonds[name][other] = bonds[name].get(other, 0) + bond
                bonds[other].setdefault(name, 0)
        return cheapest(prefers, bonds)

    def layouts(self, first: set[str]) -> Layouts:
        """What follows where some inputs and layers are units first."""
        readings = [each for operation in self.graph.operations for each in self._readings(operation, first)]
        readers: dict[tuple[str, Layout], list[str]] = {}
        for each in readings:
            if each.layout is not None:
                readers.setdefault((each.value, each.layout), []).append(each.reader)
        plain, copies, before = self._shared(first, readers)
        transposes: list[Transpose] = []
        for each in readings:
            at = each.value, each.reader
            transposes += [before[at]] if at in before else []
            transposes += each.transposes
        transposes += [
            Transpose(name, None, "batch first", self.units[name], "returned")
            for name in self.graph.outputs
            if name in plain
        ]
        return Layouts(tuple(name for name in self.units if name in plain), tuple(copies), tuple(transposes))

    def _readings(self, operation: Operation, first: set[str]) -> Sequence[_Reading]:
        """What a connection or an expression reads."""
        match operation:
            case Project():
                return [self._of_connection(operation, first)]
            case Combine(layer=layer):
                to = _layout(layer in first)
                return [_Reading(value.name, layer, to) for value in _of_several_units(operation)]
            case _:
                return ()

    def _of_connection(self, projection: Project, first: set[str]) -> _Reading:
        """What one connection reads, and what is transposed within it and behind it."""
        source, target, connection = projection.input.name, projection.layer, projection.connection
        kernel, to = self.kernels[connection], _layout(target in first)
        units = self.units[target]
        if kernel in FIXED:
            result = Transpose(target, connection, to, units, "edges computes units first")
            return _Reading(source, connection, "units first", () if target in first else (result,))
        if kernel in BATCH_FIRST or kernel == "embedding":
            result = Transpose(target, connection, to, units, f"{kernel} gives batch first")
            reads = "batch first" if kernel in BATCH_FIRST else None
            return _Reading(source, connection, reads, (result,) if target in first else ())
        if kernel in FREE:
            return _Reading(source, connection, None)
        reads, original = _layout(source in first), source in self.inputs and source in first
        if reads != to and units < self.units[source] and not original:
            why = f"{kernel} gives the layout that it reads"
            return _Reading(source, connection, reads, (Transpose(target, connection, to, units, why),))
        return _Reading(source, connection, to)

    def _shared(
        self, first: set[str], readers: Mapping[tuple[str, Layout], list[str]]
    ) -> tuple[set[str], list[Copy], dict[tuple[str, str], Transpose]]:
        """The values that are made units first, what is copied once, and what is transposed before a reader.

        An input is made units first where nothing reads it otherwise.
        """
        plain = {name for name in first if name not in self.inputs}
        copies: list[Copy] = []
        before: dict[tuple[str, str], Transpose] = {}
        for name, units in self.units.items():
            other = _layout(name not in plain)
            asking, rest = readers.get((name, other), []), readers.get((name, _layout(name in plain)), [])
            why = f"read so by {', '.join(asking)}"
            if name in self.inputs and name in first and asking and not rest:
                plain.add(name)
                before[name, asking[0]] = Transpose(name, None, other, units, why)
            elif len(asking) > 1:
                copies.append(Copy(name, other, tuple(asking)))
                before[name, asking[0]] = Transpose(name, None, other, units, why)
            elif asking:
                before[name, asking[0]] = Transpose(name, asking[0], other, units, why)
        return plain, copies, before


def cheapest(prefers: dict[str, int], bonds: dict[str, dict[str, int]]) -> set[str]:
    """Which names to choose so that it costs least; where two choices cost the same, the smallest set.

    `prefers` is what it costs to choose a name, which may be negative, and `bonds[a][b]` what it costs to
    choose `a` and not `b`; two names between which there is a bond stand in each other's bonds. Names with at
    most two others are taken out first, their best answers becoming costs of those, which solves trees and
    chains with parallel paths in one pass; what is left is solved by a minimal cut. Both dicts are used up.
    """
    taken: list[tuple[str, int, dict[str, tuple[int, int]]]] = []
    waiting = [name for name in bonds if len(bonds[name]) <= 2]
    for name in waiting:  # grows while it is gone through
        if name not in bonds or len(bonds[name]) > 2:
            continue
        between = {other: (bond, bonds[other].pop(name)) for other, bond in bonds.pop(name).items()}
        own = prefers.pop(name)
        taken.append((name, own, between))
        best = {
            chosen: min(_answers(own, between, chosen))
            for count in range(len(between) + 1)
            for chosen in combinations(between, count)
        }
        if len(between) == 2:
            a, b = between
            prefers[a] += best[a, b] - best[(b,)]
            prefers[b] += best[(b,)] - best[()]
            bonds[a][b] = bonds[a].get(b, 0) + best[(a,)] + best[(b,)] - best[a, b] - best[()]
            bonds[b].setdefault(a, 0)
        elif between:
            (a,) = between
            prefers[a] += best[(a,)] - best[()]
        waiting += between
    chosen = _cut(prefers, bonds)
    for name, own, between in reversed(taken):
        without, with_it = _answers(own, between, chosen)
        if with_it < without:
            chosen.add(name)
    return chosen


def _answers(own: int, between: Mapping[str, tuple[int, int]], chosen: Collection[str]) -> tuple[int, int]:
    """What it costs not to choose a name, and to choose it, where some of those around it are chosen."""
    without = sum(inwards for other, (_, inwards) in between.items() if other in chosen)
    return without, own + sum(outwards for other, (outwards, _) in between.items() if other not in chosen)


def _cut(prefers: Mapping[str, int], room: dict[str, dict[str, int]]) -> set[str]:
    """What `cheapest` gives, by a minimal cut between what prefers to be chosen and what does not.

    It is found by augmenting paths, the shortest from one name after the other: `spare` is what each name's
    preference has left, `room` what can still be sent along a bond. Names from which nothing more can be sent
    are chosen, and passed over from then on.
    """
    spare = {name: -cost for name, cost in prefers.items()}
    chosen: set[str] = set()
    for start in spare:
        while spare[start] > 0 and start not in chosen:
            came: dict[str, str] = {start: start}
            pending = [start]
            for name in pending:  # grows while it is gone through
                if spare[name] < 0:
                    break
                for other, left in room[name].items():
                    if left and other not in came and other not in chosen:
                        came[other] = name
                        pending.append(other)
            else:
                chosen |= came.keys()
                break
            path = [name]
            while path[-1] != start:
                path.append(came[path[-1]])
            pairs = list(pairwise(reversed(path)))
            flow = min(spare[start], -spare[name], *(room[a][b] for a, b in pairs))
            spare[start] -= flow
            spare[name] += flow
            for a, b in pairs:
                room[a][b] -= flow
                room[b][a] += flow
    return chosen


def _of_several_units(expression: Combine) -> list[Value]:
    """The inputs of an expression that have a layout: of one unit, both are the same."""
    return [value for value in expression.inputs if value.units > 1]


def _layout(units_first: bool) -> Layout:
    return "units first" if units_first else "batch first"
