"""The plan: kernels for connections, layouts for values, and what has to be stored beside the code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from ..edges.convolution import Window
from ..edges.degrees import degrees
from ..edges.edge_set import EdgeSet, Listed, Product, Shifted
from ..edges.restated import is_restated
from ..graph.graph import (
    AddBias,
    Cut,
    Entries,
    Graph,
    Made,
    Operation,
    Parameter,
    Project,
    Spread,
    Times,
    cuts_among,
    made_among,
    parameter_of,
    steps_of,
)
from ..graph.model import Drawn, DrawnByFanIn, Given, UnitNames
from .choice import Choice, choose
from .layouts import Layouts, assign


@record(eq=False)
class Stored:
    """An array that no rule in the generated code restates, kept in `<model>.npz`."""

    name: str
    array: NDArray[np.generic]


@record
class FanIn:
    """How the total fan-in of a layer's units is told: one number, plus counts of stored edges."""

    constant: int
    counted: tuple[str, ...]
    units: int


@record
class Plan:
    """A graph with everything decided that a target needs to know.

    Kernels are chosen for batches of `batch`. Of a network over time every `remat`-th state is kept for its
    gradients and what is between computed again; 0 keeps all. The edges of connections that are `restated`
    are made anew by the generated code; others' are stored.
    """

    graph: Graph
    batch: int
    choices: tuple[Choice, ...]
    layouts: Layouts
    restated: tuple[str, ...]
    stored: tuple[Stored, ...]
    fan_ins: tuple[tuple[str, FanIn], ...]
    remat: int = 0

    def choice(self, connection: str) -> Choice:
        """The kernel chosen for a connection."""
        return self._choices[connection]

    def window(self, connection: str) -> Window:
        """The window of a connection that is computed as a convolution, or pooled."""
        window = self.choice(connection).window
        assert window is not None
        return window

    def weight(self, projection: Project) -> Entries | None:
        """What the kernel of a connection reads as its weight: by edge, or by entry of a convolution."""
        weight = projection.weight
        if self.choice(projection.connection).kernel != "convolution":
            return weight
        assert isinstance(weight, Spread)
        own = weight.of
        return own if isinstance(own, Parameter) else replace(own, name=f"{projection.connection}.kernel")

    @cached_property
    def made(self) -> Mapping[str, Made]:
        """The weights that kernels read and that are made of parameters, by name, in the order of need."""
        return made_among(self.weight(projection) for projection in self.graph.projections)

    @cached_property
    def cuts(self) -> Mapping[str, tuple[Cut, ...]]:
        """What weights are cut into, by their names."""
        return cuts_among(self.made)

    def enters_each_step(self, operation: Operation) -> bool:
        """Whether PyTorch computes in a loop what enters it over a connection, and not all of it before.

        Sums of all steps are units by steps by samples, which are written, laid out by steps and read again,
        and so are their gradients. Of a few sources it takes less to compute them where they are needed.
        """
        return (
            isinstance(operation, Project)
            and self.choice(operation.connection).kernel == "dense"
            and self.layouts.of(operation.layer) == "units first"
            and operation.input.units <= self.batch
        )

    def restated_projections(self) -> tuple[Project, ...]:
        """The projections whose edges the generated code makes anew."""
        restated = frozenset(self.restated)
        return tuple(op for op in self.graph.projections if op.connection in restated)

    def fan_in(self, layer: str) -> FanIn:
        """The fan-in that the default start of weights into a layer is scaled by."""
        return self._fan_ins[layer]

    @cached_property
    def _choices(self) -> Mapping[str, Choice]:
        return {choice.connection: choice for choice in self.choices}

    @cached_property
    def _fan_ins(self) -> Mapping[str, FanIn]:
        return dict(self.fan_ins)


def plan(graph: Graph, batch: int, remat: int = 0) -> Plan:
    """Choose kernels for batches of some size, assign layouts, and say what is stored."""
    projections = graph.projections
    choices = tuple(choose(projection, batch) for projection in projections)
    return Plan(
        graph=graph,
        batch=batch,
        choices=choices,
        layouts=assign(graph, {choice.connection: choice.kernel for choice in choices}),
        restated=tuple(p.connection for p in projections if is_restated(p.edges)),
        stored=tuple(_all_stored(graph)),
        fan_ins=tuple(_fan_ins(projections)),
        remat=remat,
    )


def _all_stored(graph: Graph) -> list[Stored]:
    """What no rule restates, each array once."""
    biases = [op.bias for op in graph.operations if isinstance(op, AddBias)]
    stored = [stored for projection in graph.projections for stored in _stored(projection)]
    stored += [stored for named in graph.unit_names for stored in _names(named)]
    stored += [stored for bias in biases for stored in _of_entries(bias)]
    return [*{each.name: each for each in stored}.values()]


def compact(array: NDArray[np.int64]) -> NDArray[np.generic]:
    """Indices as int32 where they fit: half the bytes in the file and in every gather."""
    fits = len(array) == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
    return array.astype(np.int32) if fits else array


def part_name(connection: str, at: int) -> str:
    """Under which name the edges of one factor of a restated product are stored."""
    return f"{connection}.part{at}"


def _stored(projection: Project) -> list[Stored]:
    stored: list[Stored] = []
    name, edges = projection.connection, projection.edges
    if isinstance(edges, Product) and is_restated(edges):
        for at, factor in enumerate(edges.factors):
            if isinstance(factor, Listed):
                stored += _ends(part_name(name, at), factor)
    elif isinstance(edges, Listed | Shifted | Product) and not is_restated(edges):
        stored += _ends(name, edges)
    return stored if projection.weight is None else [*stored, *_of_entries(projection.weight)]


def _of_entries(entries: Entries) -> list[Stored]:
    """What the parameter starts as, if that is an array, and which entry of it stands where."""
    stored: list[Stored] = []
    parameter = parameter_of(entries)
    match parameter.start:
        case Given(value=np.ndarray() as start):
            stored.append(Stored(f"{parameter.name}.start", start))
        case Drawn(arguments=arguments):
            stored += [
                Stored(f"{parameter.name}.start_{position}", argument)
                for position, argument in enumerate(arguments)
                if isinstance(argument, np.ndarray)
            ]
        case _:
            pass
    for step in steps_of(entries):
        match step:
            case Spread(index=np.ndarray() as index):
                stored.append(Stored(f"{step.name}.index", compact(index)))
            case Times(factor=np.ndarray() as factor):
                stored.append(Stored(f"{step.name}.times", factor))
            case _:
                pass
    return stored


def _names(named: UnitNames) -> list[Stored]:
    """The names of an axis as UTF-8, one behind the other, and where each ends: no room for a longest one."""
    texts = [name.encode() for name in named.names]
    return [
        Stored(f"{named.axis}.names", np.frombuffer(b"".join(texts), np.uint8)),
        Stored(f"{named.axis}.name_ends", np.cumsum([len(text) for text in texts])),
    ]


def _ends(name: str, edges: EdgeSet) -> list[Stored]:
    source, target = edges.edges()
    return [Stored(f"{name}.source", compact(source)), Stored(f"{name}.target", compact(target))]


def _fan_ins(projections: Iterable[Project]) -> list[tuple[str, FanIn]]:
    """The total fan-in of each layer with a weight that starts by it: weighted connections all count."""
    into: dict[str, list[Project]] = {}
    for projection in projections:
        if projection.weight is not None:
            into.setdefault(projection.layer, []).append(projection)
    result: list[tuple[str, FanIn]] = []
    for layer, entering in into.items():
        if not any(p.parameter and isinstance(p.parameter.start, DrawnByFanIn) for p in entering):
            continue
        constant = 0
        counted: list[str] = []
        for projection in entering:
            if projection.input.classes:  # of the units of one code at most one is not 0
                constant += projection.input.positions
                continue
            found = degrees(projection.edges, "target")
            if found.low == found.high and not isinstance(projection.edges, Listed):
                constant += found.low
            else:
                counted.append(projection.connection)
        result.append((layer, FanIn(constant, tuple(counted), entering[0].output.units)))
    return result
