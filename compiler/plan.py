"""The plan: for every connection a kernel, with the reason, and what has to be stored beside the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .connectivity.edge_set import Diagonal, Full, Listed, fan_in
from .graph import AddBias, Graph, Project
from .model import Drawn, DrawnByFanIn, Given

Kernel: TypeAlias = Literal["dense", "diagonal", "edges"]


@dataclass(frozen=True)
class Choice:
    """The kernel of one connection and one sentence that says why."""

    connection: str
    kernel: Kernel
    reason: str


@dataclass(frozen=True, eq=False)
class Stored:
    """An array that no rule in the generated code restates, kept in `<model>.npz`."""

    name: str
    array: NDArray[np.generic]


@dataclass(frozen=True)
class FanIn:
    """How the total fan-in of a layer's units is told: one number, plus counts of stored edges."""

    constant: int
    counted: tuple[str, ...]
    units: int


@dataclass(frozen=True)
class Plan:
    """A graph with everything decided that a target needs to know."""

    graph: Graph
    choices: tuple[Choice, ...]
    stored: tuple[Stored, ...]
    fan_ins: tuple[tuple[str, FanIn], ...]

    def choice(self, connection: str) -> Choice:
        """The kernel chosen for a connection."""
        return next(choice for choice in self.choices if choice.connection == connection)

    def fan_in(self, weight: str) -> FanIn:
        """The fan-in that a weight's default start is scaled by."""
        return dict(self.fan_ins)[weight]


def plan(graph: Graph) -> Plan:
    """Choose kernels and say what is stored."""
    projections = [operation for operation in graph.operations if isinstance(operation, Project)]
    return Plan(
        graph=graph,
        choices=tuple(_choice(projection) for projection in projections),
        stored=tuple(stored for projection in projections for stored in _stored(projection))
        + tuple(
            Stored(f"{operation.bias.name}.index", _compact(operation.index))
            for operation in graph.operations
            if isinstance(operation, AddBias) and operation.index is not None
        ),
        fan_ins=tuple(_fan_ins(projections)),
    )


def _choice(projection: Project) -> Choice:
    edges = projection.edges
    match edges:
        case Full():
            return Choice(projection.connection, "dense", "every pair is connected: one matrix product")
        case Diagonal():
            return Choice(
                projection.connection, "diagonal", "each unit feeds its own counterpart: a product by unit"
            )
        case Listed():
            degrees = fan_in(edges)
            pairs = projection.input.units * projection.output.units
            low, high = degrees.min(), degrees.max()
            spread = f"{low}" if low == high else f"{low} to {high}"
            reason = f"{edges.count:,} of {pairs:,} pairs, fan-in {spread}: gathered by edge"
            return Choice(projection.connection, "edges", reason)


def _compact(array: NDArray[np.int64]) -> NDArray[np.generic]:
    """Indices as int32 where they fit: half the bytes in the file and in every gather."""
    fits = len(array) == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
    return array.astype(np.int32) if fits else array


def _stored(projection: Project) -> list[Stored]:
    stored: list[Stored] = []
    name = projection.connection
    if isinstance(projection.edges, Listed):
        source, target = projection.edges.edges()
        stored += [Stored(f"{name}.source", _compact(source)), Stored(f"{name}.target", _compact(target))]
    start = projection.weight.start if projection.weight else None
    if isinstance(start, Given) and isinstance(start.value, np.ndarray):
        stored.append(Stored(f"{name}.weight.start", start.value))
    if isinstance(start, Drawn):
        stored += [
            Stored(f"{name}.weight.start_{position}", argument)
            for position, argument in enumerate(start.arguments)
            if isinstance(argument, np.ndarray)
        ]
    return stored


def _fan_ins(projections: list[Project]) -> list[tuple[str, FanIn]]:
    """The total fan-in of the layer behind each weight that starts by it: weighted connections all count."""
    result: list[tuple[str, FanIn]] = []
    for projection in projections:
        if projection.weight is None or not isinstance(projection.weight.start, DrawnByFanIn):
            continue
        into = [other for other in projections if other.weight and other.layer == projection.layer]
        constant = 0
        counted: list[str] = []
        for other in into:
            match other.edges:
                case Full():
                    constant += other.input.units
                case Diagonal():
                    constant += 1
                case Listed():
                    counted.append(other.connection)
        result.append((projection.weight.name, FanIn(constant, tuple(counted), projection.output.units)))
    return result
