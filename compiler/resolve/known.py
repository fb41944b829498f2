"""What is known of a spec so far: passes over its statements fill it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report
from ...dsl.records import record
from ...dsl.source import Span
from ..data.axis import Axis
from ..data.files import Files
from ..edges.edge_set import Indices, Shape
from ..functions.function import Function
from ..graph.model import Connection, Operation
from ..names.axes import Axes
from ..names.names import Names, Placed
from ..sets.resolver import SetResolver
from .network import Network
from .sharing import Tie
from .stating.statements import Connecting


@record(frozen=False)
class Known:
    """Names, axes and sets, each worked out when it is first asked for, and the network they make.

    `shapes` and `side_axes` are those of inputs and layers; `shapeless` are the ones whose shape is being
    worked out, or has an error. `edge_ends` are the ends of named sets whose edges an expression counts.
    `functions` are those that have been read, None where there is an error. `ties` are the parameters that
    are shared by name. `over` is where an output is said to be one, over time or not, `starts` where
    the start of a layer stands. `unbiased` are layers without a `bias`, which get one with the first
    connection that has weights. `operations` are those that layers state, with their places.
    """

    report: Report
    names: Names
    files: Files
    axes: Axes
    sets: SetResolver
    network: Network = field(default_factory=Network)
    shapes: dict[str, Shape] = field(default_factory=dict[str, Shape])
    side_axes: dict[str, tuple[Axis | None, ...]] = field(default_factory=dict[str, tuple[Axis | None, ...]])
    shapeless: set[str] = field(default_factory=set[str])
    edge_ends: dict[str, tuple[Indices, Indices]] = field(default_factory=dict[str, tuple[Indices, Indices]])
    unbiased: set[str] = field(default_factory=set[str])
    operations: dict[str, tuple[tuple[Operation, Span], ...]] = field(
        default_factory=dict[str, "tuple[tuple[Operation, Span], ...]"]
    )
    functions: dict[str, Function | None] = field(default_factory=dict[str, "Function | None"])
    functions_being_read: list[str] = field(default_factory=list[str])
    functions_used: set[str] = field(default_factory=set[str])
    connecting: dict[str, Connecting] = field(default_factory=dict[str, Connecting])
    ties: dict[str, Tie] = field(default_factory=dict[str, Tie])
    over: dict[str, Span] = field(default_factory=dict[str, Span])
    starts: dict[str, Span] = field(default_factory=dict[str, Span])

    def own(self, name: syntax.Name, placed: Placed) -> str:
        """The name that a statement declares. Raises `Failed` if another statement holds the name."""
        return self.holding(self.names.text(name, placed.variables), placed)

    def holding(self, name: str, placed: Placed) -> str:
        """A name, if it is this statement that holds it. Raises `Failed` if it is not."""
        declared = self.names.declared.get(name)
        if declared is None or declared.placed is not placed:
            raise Failed
        return name

    @cached_property
    def trained(self) -> Mapping[str, list[Connection]]:
        """The connections with trained weights, by their names and by those of the layers they enter.

        To be asked for once all connections have been read.
        """
        trained: dict[str, list[Connection]] = {}
        for connection in self.network.connections.values():
            if connection.weight is not None and connection.weight.trainable:
                trained.setdefault(connection.name, []).append(connection)
                trained.setdefault(connection.target, []).append(connection)
                if connection.weight.share and connection.weight.share.named:
                    trained.setdefault(connection.weight.share.parameter, []).append(connection)
        return trained

    @cached_property
    def lacks_connections(self) -> bool:
        """Whether a connection has an error, which is recorded."""
        declared = self.names.declared.values()
        return any(d.kind == "connection" and d.name not in self.network.connections for d in declared)
