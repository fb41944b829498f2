"""The plan: for every connection a kernel, with the reason, and what has to be stored beside the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .connectivity.degrees import degrees
from .connectivity.edge_set import Diagonal, EdgeSet, Full, Listed, Product, Shape, Shifted
from .connectivity.structure import described
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
    """A graph with everything decided that a target needs to know.

    The edges of connections that are `restated` are made anew by the generated code; others' are stored.
    """

    graph: Graph
    choices: tuple[Choice, ...]
    restated: tuple[str, ...]
    stored: tuple[Stored, ...]
    fan_ins: tuple[tuple[str, FanIn], ...]

    def choice(self, connection: str) -> Choice:
        """The kernel chosen for a connection."""
        return next(choice for choice in self.choices if choice.connection == connection)

    def restated_projections(self) -> tuple[Project, ...]:
        """The projections whose edges the generated code makes anew."""
        operations = self.graph.operations
        return tuple(o for o in operations if isinstance(o, Project) and o.connection in self.restated)

    def fan_in(self, weight: str) -> FanIn:
        """The fan-in that a weight's default start is scaled by."""
        return dict(self.fan_ins)[weight]


def plan(graph: Graph) -> Plan:
    """Choose kernels and say what is stored."""
    projections = [operation for operation in graph.operations if isinstance(operation, Project)]
    return Plan(
        graph=graph,
        choices=tuple(_choice(projection) for projection in projections),
        restated=tuple(p.connection for p in projections if _is_restated(p.edges)),
        stored=tuple(stored for projection in projections for stored in _stored(projection))
        + tuple(Stored(f"{named.axis}.names", np.array(named.names)) for named in graph.unit_names)
        + tuple(
            Stored(f"{operation.bias.name}.index", compact(operation.index))
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
        case Listed() | Shifted() | Product():
            fan_in = degrees(edges, "target")
            pairs = projection.input.units * projection.output.units
            spread = f"{fan_in.low}" if fan_in.low == fan_in.high else f"{fan_in.low} to {fan_in.high}"
            what = "" if isinstance(edges, Listed) else f"{described(edges)}: "
            reason = f"{what}{edges.count:,} of {pairs:,} pairs, fan-in {spread}: gathered by edge"
            return Choice(projection.connection, "edges", reason)


def compact(array: NDArray[np.int64]) -> NDArray[np.generic]:
    """Indices as int32 where they fit: half the bytes in the file and in every gather."""
    fits = len(array) == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
    return array.astype(np.int32) if fits else array


# A rule with more offsets than this is no shorter to read than to store.
OFFSETS_WORTH_READING = 64


def _is_restated(edges: EdgeSet) -> bool:
    """Whether a sparse set has a rule that is short enough to stand in generated code."""
    match edges:
        case Shifted():
            return len(offset_runs(edges.offsets)) <= OFFSETS_WORTH_READING
        case Product():
            return all(_is_restated(f) for f in edges.factors if isinstance(f, Shifted))
        case Full() | Diagonal() | Listed():
            return False


def offset_runs(offsets: tuple[Shape, ...]) -> tuple[range | Shape, ...]:
    """Offsets along one dimension as ranges where three or more are evenly spaced, others as they are."""
    if not offsets or len(offsets[0]) > 1:
        return offsets
    runs: list[range | Shape] = []
    numbers = [offset for (offset,) in offsets]
    while numbers:
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        length = 1
        while length < len(numbers) and numbers[length] == numbers[0] + length * step:
            length += 1
        if length < 3:
            length = 1
            runs.append((numbers[0],))
        else:
            runs.append(range(numbers[0], numbers[0] + length * step, step))
        numbers = numbers[length:]
    return tuple(runs)


def part_name(connection: str, at: int) -> str:
    """Under which name the edges of one factor of a restated product are stored."""
    return f"{connection}.part{at}"


def _stored(projection: Project) -> list[Stored]:
    stored: list[Stored] = []
    name, edges = projection.connection, projection.edges
    if isinstance(edges, Product) and _is_restated(edges):
        for at, factor in enumerate(edges.factors):
            if isinstance(factor, Listed):
                stored += _ends(part_name(name, at), factor)
    elif isinstance(edges, Listed | Shifted | Product) and not _is_restated(edges):
        stored += _ends(name, edges)
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


def _ends(name: str, edges: EdgeSet) -> list[Stored]:
    source, target = edges.edges()
    return [Stored(f"{name}.source", compact(source)), Stored(f"{name}.target", compact(target))]


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
            entering = degrees(other.edges, "target")
            if entering.low == entering.high and not isinstance(other.edges, Listed):
                constant += entering.low
            else:
                counted.append(other.connection)
        result.append((projection.weight.name, FanIn(constant, tuple(counted), projection.output.units)))
    return result
