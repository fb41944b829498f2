"""The network that a spec's statements add up to, and what can be wrong with it as a whole."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import field
from math import prod

from ...dsl.diagnostics import Report
from ...dsl.findings import Code, Label
from ...dsl.records import record
from ...dsl.source import Span
from .. import codes
from ..data.axis import Axis
from ..edges.degrees import End, unreached
from ..edges.edge_set import EdgeSet
from ..graph.model import Connection, Data, ExpressionTerm, Layer, LossTerm, PenaltyTerm
from ..names.sides import Side, unit_text


@record(frozen=False)
class Network:
    """What the statements that have been read declare, by name and in their order."""

    name: str = ""
    name_span: Span | None = None
    inputs: dict[str, Data] = field(default_factory=dict[str, Data])
    targets: dict[str, Data] = field(default_factory=dict[str, Data])
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])
    connections: dict[str, Connection] = field(default_factory=dict[str, Connection])
    # Whether each output is returned for every step.
    outputs: dict[str, bool] = field(default_factory=dict[str, bool])
    # How many steps there are, and where that is said.
    steps: tuple[int, Span] | None = None
    losses: list[LossTerm | ExpressionTerm] = field(default_factory=list["LossTerm | ExpressionTerm"])
    penalties: list[PenaltyTerm] = field(default_factory=list[PenaltyTerm])


@record
class Link:
    """What leads from a layer or an input to a layer: a connection, or a place where an expression reads.

    It arrives `delay` steps later.
    """

    source: str
    target: str
    span: Span
    delay: int = 0


def links(network: Network) -> Iterator[Link]:
    """All that leads to layers, in the order of the spec."""
    for connection in network.connections.values():
        yield Link(connection.source, connection.target, connection.span, connection.delay)
    for layer in network.layers.values():
        for read in layer.reads:
            yield Link(read.name, layer.name, read.span, read.delay)


def reached_by_time(network: Network) -> set[str]:
    """The inputs and layers that may differ from step to step."""
    reached = {data.name for data in network.inputs.values() if data.over_time}
    readers: dict[str, list[str]] = {}
    for link in links(network):
        readers.setdefault(link.source, []).append(link.target)
        if link.delay:
            reached.add(link.target)
    pending = [*reached]
    while pending:
        for reader in readers.get(pending.pop(), ()):
            if reader not in reached:
                reached.add(reader)
                pending.append(reader)
    return reached


def order(network: Network) -> list[str]:
    """Layers by dependency within a step, otherwise in the spec's order; layers on a cycle are left out."""
    position = {name: at for at, name in enumerate(network.layers)}
    readers: dict[str, list[str]] = {name: [] for name in network.layers}
    waits = dict.fromkeys(network.layers, 0)
    for link in links(network):
        if link.source in network.layers and link.target in network.layers and not link.delay:
            readers[link.source].append(link.target)
            waits[link.target] += 1
    ready = [at for name, at in position.items() if waits[name] == 0]
    names = list(network.layers)
    found: list[str] = []
    heapq.heapify(ready)
    while ready:
        found.append(names[heapq.heappop(ready)])
        for reader in readers[found[-1]]:
            waits[reader] -= 1
            if waits[reader] == 0:
                heapq.heappush(ready, position[reader])
    return found


def check_network(network: Network, side_axes: Mapping[str, tuple[Axis | None, ...]], report: Report) -> None:
    """Record what is wrong with the whole; without an `output`, the layers that nothing reads are outputs."""
    if not network.layers:
        report.add(codes.NO_LAYERS, network.name_span)
        return
    entered = {link.target for link in links(network)}
    for layer in network.layers.values():
        if layer.name not in entered:
            report.add(codes.NOTHING_ENTERS, layer.span, name=layer.name)
    if refuse_cycle(network, report):
        return
    read = {link.source for link in links(network)}
    if not network.outputs:
        others = {link.source for link in links(network) if link.source != link.target}
        timed = reached_by_time(network)
        network.outputs = {name: name in timed for name in network.layers if name not in others}
    _refuse_dead_ends(network, report)
    compared = {name for term in network.losses for name in term.data}
    _warn_unused(network.inputs, "input", read | compared, report)
    _warn_unconnected(network, side_axes, report)
    _warn_unused(network.targets, "target", compared, report)


def refuse_cycle(network: Network, report: Report) -> bool:
    """Record, and say, that layers feed themselves."""
    ordered = order(network)
    if len(ordered) == len(network.layers):
        return False
    stuck = set(network.layers) - set(ordered)
    # Every stuck layer has a stuck source, so walking backwards must come round.
    walk = [next(name for name in network.layers if name in stuck)]
    among = [link for link in links(network) if link.source in stuck and link.target in stuck]
    into = {link.target: link for link in among if not link.delay}
    seen: set[str] = set()
    while walk[-1] not in seen:
        seen.add(walk[-1])
        walk.append(into[walk[-1]].source)
    cycle = walk[walk.index(walk[-1]) :][::-1]
    spans = [into[name].span for name in cycle[1:]]
    report.add(
        codes.CYCLE,
        spans[-1],
        chain=" -> ".join(cycle),
        others=tuple(Label(span, "and this") for span in spans[:-1]),
        help=(
            "`with delay = 1` lets a connection read the step before, and `before(...)` an expression",
            f"or write each step as a layer of its own, `{cycle[0]}_next` say, or all of them with `for`",
            "connections of several steps have one weight where they say so: `with share = w`",
        ),
    )
    return True


def _refuse_dead_ends(network: Network, report: Report) -> None:
    """Record the layers that lead to no output and no loss."""
    sources: dict[str, list[str]] = {name: [] for name in network.layers}
    for link in links(network):
        sources[link.target].append(link.source)
    pending = [*network.outputs, *(name for term in network.losses for name in term.layers)]
    reached: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending.extend(sources.get(name, ()))
    for layer in network.layers.values():
        if layer.name not in reached:
            report.add(codes.REACHES_NOTHING, layer.span, name=layer.name)


def _warn_unused(declared: Mapping[str, Data], what: str, used: set[str], report: Report) -> None:
    for data in declared.values():
        if data.name not in used:
            report.add(codes.UNUSED, data.span, what=what, name=data.name)


def _warn_unconnected(
    network: Network, side_axes: Mapping[str, tuple[Axis | None, ...]], report: Report
) -> None:
    """Units that no connection at all feeds, or reads."""
    into: dict[str, list[EdgeSet]] = {}
    out: dict[str, list[EdgeSet]] = {}
    for connection in network.connections.values():
        into.setdefault(connection.target, []).append(connection.edges)
        out.setdefault(connection.source, []).append(connection.edges)
    # An expression reads all units.
    whole = {read.name for layer in network.layers.values() for read in layer.reads}
    for name, side in {**network.inputs, **network.layers}.items():
        units = Side(name, side.shape, side_axes[name])
        # A layer that nothing enters is an error, which is recorded.
        if name in network.layers and name in into:
            _warn_missing(codes.UNITS_WITHOUT_INPUT, into[name], "target", units, side.span, report)
        if name in out and name not in network.outputs and name not in whole:
            _warn_missing(codes.UNITS_UNREAD, out[name], "source", units, side.span, report)


def _warn_missing(code: Code, sets: list[EdgeSet], end: End, side: Side, span: Span, report: Report) -> None:
    count, first = unreached(sets, end, most=5)
    if count:
        named = ", ".join(unit_text(int(unit), side) for unit in first)
        more = ", ..." if count > 5 else ""
        report.add(code, span, count=count, of=prod(side.shape), side=side.name, first=named + more)
