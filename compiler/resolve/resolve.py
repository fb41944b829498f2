"""From the syntax tree to the model: every semantic error is raised here, with its span.

A statement with an error is given up on and the next one is read, so that one run shows all errors.
"""

from __future__ import annotations

import heapq
import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path

from ...dsl import syntax
from ...dsl.diagnostics import Code, Failed, Label, Report, fail
from ...dsl.source import Span
from ...dsl.walk import call_parts
from ...dsl.words import suggest
from .. import codes
from ..data.files import Files
from ..data.tables import Texts
from ..edges.degrees import End, unreached
from ..edges.edge_set import EdgeSet, Indices, Shape, TooManyEdges
from ..graph.model import (
    Bias,
    Connection,
    Data,
    DataFile,
    Dropout,
    Layer,
    LossTerm,
    Model,
    Normalise,
    Operation,
    PenaltyTerm,
    UnitNames,
)
from ..names.axes import Axes
from ..names.evaluate import Surroundings
from ..names.names import Declaration, Names, Placed, refuse_long, unroll
from ..names.reserved import CLASSES, class_name
from ..names.sides import Axis, Member, Side, rank_text, unit_text
from ..sets.resolver import NamedSet, SetResolver, Sides
from .loss import Network, resolve_loss
from .operations import resolve_operation
from .stating import Connecting, statements
from .weights import resolve_weight

# Units of one side; sizes are 64-bit, and a batch of one must fit in memory.
UNIT_LIMIT = 10**10


def resolve(
    spec: syntax.Spec,
    report: Report,
    directory: Path,
    overrides: Mapping[str, int | float],
    name: str | None = None,
) -> Model:
    """The model of a spec. Raises `SpecError` with all errors found.

    `directory` is where the spec stands, `overrides` the params given on the command line, and `name` what
    the model is called if not as the spec says.
    """
    resolver = Resolver(report, directory, overrides, name)
    resolver.read(spec)
    report.check()
    return resolver.model()


@dataclass
class Resolver:
    """The state of one resolution; `read` fills it statement by statement."""

    report: Report
    directory: Path
    overrides: Mapping[str, int | float]
    renamed: str | None
    name: str = ""
    inputs: dict[str, Data] = field(default_factory=dict[str, Data])
    targets: dict[str, Data] = field(default_factory=dict[str, Data])
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])
    connections: dict[str, Connection] = field(default_factory=dict[str, Connection])
    outputs: dict[str, None] = field(default_factory=dict[str, None])
    losses: list[LossTerm] = field(default_factory=list[LossTerm])
    penalties: list[PenaltyTerm] = field(default_factory=list[PenaltyTerm])
    shapes: dict[str, Shape] = field(default_factory=dict[str, Shape])
    side_axes: dict[str, tuple[Axis | None, ...]] = field(default_factory=dict[str, tuple[Axis | None, ...]])
    _shapeless: set[str] = field(default_factory=set[str])
    _edge_ends: dict[str, tuple[Indices, Indices]] = field(default_factory=dict[str, tuple[Indices, Indices]])
    _default_bias: dict[str, bool] = field(default_factory=dict[str, bool])
    _connecting: dict[str, Connecting] = field(default_factory=dict[str, Connecting])
    _name_span: Span | None = None
    _given_up: bool = False

    def __post_init__(self) -> None:
        self.names = Names(self.report, self.overrides, self._surroundings)
        self.files = Files(self.directory, self.report)
        self.axes = Axes(self.names, self.files, self._reaching)
        self.sets = SetResolver(self.names, self.files, self._declare_set)

    def read(self, spec: syntax.Spec) -> None:
        """Resolve all statements, in the order of what needs what."""
        statements = unroll(spec, self.names)
        self._check_overrides()
        for step in (
            self._declare,
            self._read_params,
            self._read_axes,
            self._read_shapes,
            self._read_edges,
            self._resolve_edges,
            self._read_layers,
            self._read_connections,
            self._read_outputs,
            self._read_losses,
        ):
            for placed in statements:
                try:
                    step(placed)
                except Failed:
                    self._given_up = True
        self.names.refuse_shadowing()
        if self._given_up or self.names.given_up:
            self._cycle()  # what is wrong besides may be for want of a statement that was given up
        else:
            self._check_network()

    def model(self) -> Model:
        """The model, layers in an order in which they can be computed."""
        return Model(
            name=self.name,
            params=tuple(sorted(self.names.params.items())),
            inputs=tuple(self.inputs.values()),
            targets=tuple(self.targets.values()),
            layers=tuple(self.layers[name] for name in self._order()),
            connections=tuple(self.connections.values()),
            outputs=tuple(self.outputs),
            losses=tuple(self.losses),
            penalties=tuple(self.penalties),
            unit_names=self._unit_names(),
            files=tuple(DataFile(name, sha) for name, sha in sorted(self.files.digests.items())),
            axes={name: axes for name, axes in self.side_axes.items() if any(axes)},
            statements=statements(self.names, self.axes.known, self.sets.named, self._connecting),
        )

    def _unit_names(self) -> tuple[UnitNames, ...]:
        """The named axes that inputs and layers have as dimensions, in the order of the spec."""
        bearers: dict[str, list[tuple[str, int]]] = {}
        axes: dict[str, Axis] = {}
        for side in (*self.inputs, *self.layers):
            for dimension, axis in enumerate(self.side_axes[side]):
                if axis is not None and axis.names is not None:
                    axes[axis.name] = axis
                    bearers.setdefault(axis.name, []).append((side, dimension))
        return tuple(UnitNames(n, axis.names or (), tuple(bearers[n])) for n, axis in axes.items())

    def _check_overrides(self) -> None:
        for name in self.overrides:
            if name not in self.names.declared or self.names.declared[name].kind != "param":
                raise UnknownParam(name, [d.name for d in self.names.declared.values() if d.kind == "param"])

    # ---------------------------------------------------------------------------------- declarations

    def _declare(self, placed: Placed) -> None:
        match placed.statement:
            case syntax.ModelStatement(name=name):
                self.name = self.renamed or self.names.text(name, placed.variables)
                self._check_model_name(name.span)
            case syntax.DataStatement(name=name, keyword=keyword):
                self.names.declare(name, keyword, placed)
            case syntax.LayerStatement(name=name):
                self.names.declare(name, "layer", placed)
            case syntax.EdgesStatement(name=name):
                self.names.declare(name, "edge set", placed)
            case syntax.ConnectStatement() as statement:
                self.names.declare(
                    statement.name, "connection", placed, self._connection_name(statement, placed)
                )
            case _:
                return

    def _check_model_name(self, span: Span) -> None:
        """The model's name is a part of file names and of a class's name."""
        self._name_span = span
        if refuse_long(self.name, span, self.report):
            return
        generated = class_name(self.name)
        if self.name.startswith("_") or "__" in self.name:
            self.report.add(codes.UNDERSCORES, span, name=self.name)
        elif keyword.iskeyword(self.name):
            why = "it is a keyword of Python"
            self.report.add(
                codes.RESERVED_NAME, span, name=self.name, why=why, help=f"`{self.name}_` would do"
            )
        elif generated in CLASSES:
            help = f"`{self.name}_model` would do"
            self.report.add(codes.NAME_COLLISION, span, name=self.name, generated=generated, help=help)

    def _connection_name(self, statement: syntax.ConnectStatement, placed: Placed) -> str:
        if statement.name:
            return self.names.text(statement.name, placed.variables)
        source = self.names.text(statement.source, placed.variables)
        target = self.names.text(statement.target, placed.variables)
        return f"{source}_{target}"

    def _own(self, name: syntax.Name, placed: Placed) -> str:
        """The name that a statement declares, if it is this statement that holds the name."""
        text = self.names.text(name, placed.variables)
        declared = self.names.declared.get(text)
        if declared is None or declared.placed is not placed:
            raise Failed
        return text

    def _read_params(self, placed: Placed) -> None:
        if isinstance(placed.statement, syntax.ParamStatement):
            self.names.number(
                syntax.Reference(placed.statement.span, placed.statement.name), placed.variables
            )

    def _read_axes(self, placed: Placed) -> None:
        if isinstance(placed.statement, syntax.AxisStatement):
            declared = self.names.declared[self.names.text(placed.statement.name, placed.variables)]
            # A chain of axes that is too long is told once, not again for each axis further on.
            if declared.kind == "axis" and not self.report.has_any(codes.LONG_CHAIN):
                self._axis(declared)

    def _axis(self, declared: Declaration) -> Axis:
        """An axis, worked out when it is first asked for."""
        axis = self.axes.find(declared)
        self._refuse_many_units(axis.size, declared.span)
        return axis

    def _refuse_many_units(self, units: int, span: Span) -> None:
        if units > UNIT_LIMIT:
            raise fail(self.report, codes.TOO_MANY_UNITS, span, units=f"{units:,}", limit=f"{UNIT_LIMIT:,}")

    def _shape(self, shape: syntax.Shape, placed: Placed, what: str) -> tuple[Shape, tuple[Axis | None, ...]]:
        """Sizes, and the axis of each dimension that is one."""
        evaluator = self.names.evaluator(placed.variables)
        axes = tuple(self._axis_of(size, placed.variables) for size in shape.dimensions)
        sizes = tuple(
            axis.size if axis else evaluator.integer(size, f"a size of {what}", least=1)
            for size, axis in zip(shape.dimensions, axes, strict=True)
        )
        self._refuse_many_units(prod(sizes), shape.span)
        return sizes, axes

    def _axis_of(self, size: syntax.Expression, variables: Mapping[str, int]) -> Axis | None:
        """The axis that stands where a size could stand, if one does."""
        if not isinstance(size, syntax.Reference):
            return None
        name = self.names.text(size.name, variables)
        declared = self.names.declared.get(name)
        if declared is None or declared.kind != "axis" or name in variables:
            return None
        return self._axis(declared)

    def _shape_of(self, declared: Declaration) -> Shape:
        """The shape of a layer or an input, worked out when it is first asked for."""
        name, statement = declared.name, declared.placed.statement
        assert isinstance(statement, syntax.LayerStatement | syntax.DataStatement)
        if name not in self.shapes:
            with self.names.needing(declared):
                if name in self._shapeless:
                    raise Failed
                self._shapeless.add(name)
                if statement.shape is None:
                    raise self._no_shape(statement, declared.kind, name)
                self.shapes[name], self.side_axes[name] = self._shape(
                    statement.shape, declared.placed, f"`{name}`"
                )
                self._shapeless.remove(name)
        return self.shapes[name]

    def _surroundings(self, variables: Mapping[str, int]) -> Surroundings:
        """What expressions read of the rest of the spec."""
        return Surroundings(
            lambda reference: self._length(reference, variables),
            lambda attribute: self._numbered(attribute, variables),
            lambda node: self._named_axis(node, variables),
        )

    def _named_axis(self, node: syntax.Expression, variables: Mapping[str, int]) -> Axis | None:
        """The axis that stands behind `in`, or the one that `names(...)` there makes."""
        if isinstance(node, syntax.Call):
            return self.axes.listed(node, variables)
        return self._axis_of(node, variables)

    def _reaching(self, node: syntax.Expression, variables: Mapping[str, int]) -> Member:
        """The named set whose ends are the units of an axis."""
        if isinstance(node, syntax.Reference):
            declared = self.names.declared.get(self.names.text(node.name, variables))
            if declared is not None and declared.kind == "edge set":
                self._named_set(declared, node.span)
        return self.sets.member(node, variables)

    def _declare_set(self, declared: Declaration) -> None:
        """Read the statement of a named set whose turn has not come yet."""
        with self.names.needing(declared):
            self._read_edges(declared.placed)

    def _length(self, reference: syntax.Reference, variables: Mapping[str, int]) -> int:
        """Number of units of an axis, a layer or an input, or of edges in a set."""
        found = self.names.find(reference.name, variables, "axis", "layer", "input", "edge set")
        if found.kind == "axis":
            return self._axis(found).size
        if found.kind == "edge set":
            return self._named_set(found, reference.span).count
        return prod(self._shape_of(found))

    def _numbered(self, attribute: syntax.Attribute, variables: Mapping[str, int]) -> Texts | Indices:
        """A field of an axis, or one of the two ends of all edges of a set."""
        found = self.names.find(attribute.value.name, variables, "axis", "edge set")
        if found.kind == "axis":
            known = self._axis(found).fields
            if attribute.field in known:
                return Texts(known[attribute.field])
            what = "field"
        else:
            known, what = ("source", "target"), "end"
            if attribute.field in known:
                return self._ends(found, attribute)
        guess = suggest(attribute.field, known)
        listed = ", ".join(f"`{name}`" for name in known)
        help = f"did you mean `{guess}`?" if guess else f"its {what}s are {listed}" if known else ()
        fields = {"name": found.name, "what": what, "field": attribute.field}
        raise fail(self.report, codes.NO_FIELD, attribute.span, help=help, **fields)

    def _ends(self, declared: Declaration, attribute: syntax.Attribute) -> Indices:
        edges = self._named_set(declared, attribute.span)
        shape = edges.source_shape if attribute.field == "source" else edges.target_shape
        if len(shape) > 1:
            raise fail(
                self.report,
                codes.RANK,
                attribute.span,
                side=f"{declared.name}.{attribute.field}",
                rank=rank_text(shape),
                shape=list(shape),
                given=1,
                help="the ends of an edge are known where its sides have one dimension",
            )
        try:
            if declared.name not in self._edge_ends:
                self._edge_ends[declared.name] = edges.edges()
            return self._edge_ends[declared.name][0 if attribute.field == "source" else 1]
        except TooManyEdges as error:
            count = f"{error.count:,}"
            raise fail(self.report, codes.TOO_MANY_EDGES, attribute.span, count=count) from None

    def _named_set(self, declared: Declaration, span: Span) -> EdgeSet:
        """A named set, resolved when it is first asked for."""
        if self.sets.resolved.get(declared.name) is not None:
            return self.sets.edges_of(declared.name, span)
        with self.names.needing(declared):
            self._read_edges(declared.placed)
            return self.sets.edges_of(declared.name, span)

    def _read_shapes(self, placed: Placed) -> None:
        statement = placed.statement
        if isinstance(statement, syntax.LayerStatement):
            self._shape_of(self.names.declared[self._own(statement.name, placed)])
        elif isinstance(statement, syntax.DataStatement):
            self._read_data(statement, placed)

    def _no_shape(self, statement: syntax.Statement, what: str, name: str) -> Failed:
        help = f"units stand in brackets: `{what} {name}[10]`"
        return fail(self.report, codes.NO_SHAPE, statement.span, what=what, name=name, help=help)

    def _read_data(self, statement: syntax.DataStatement, placed: Placed) -> None:
        name = self._own(statement.name, placed)
        shape: Shape = ()
        if statement.shape is not None and statement.keyword == "input":
            shape = self._shape_of(self.names.declared[name])
        elif statement.shape is not None:
            shape, _ = self._shape(statement.shape, placed, f"`{name}`")
        classes = None
        if statement.classes is not None:
            classes = self.names.evaluator(placed.variables).integer(
                statement.classes, "the number of classes", least=2
            )
            if statement.keyword == "input":
                raise fail(self.report, codes.NOT_YET, statement.span, what="an input of class codes")
        elif statement.shape is None:
            raise self._no_shape(statement, statement.keyword, name)
        data = Data(name, shape, classes, statement.name.span)
        if statement.keyword == "input":
            self.inputs[name] = data
            self.shapes[name] = shape
        else:
            self.targets[name] = data

    # ---------------------------------------------------------------------------- edges, connections

    def _read_edges(self, placed: Placed) -> None:
        statement = placed.statement
        if not isinstance(statement, syntax.EdgesStatement):
            return
        name = self._own(statement.name, placed)
        if name in self.sets.named:
            return
        sides = Sides(self._side(statement.source, placed), self._side(statement.target, placed), name)
        self.sets.named[name] = NamedSet(sides, statement.set, placed)

    def _resolve_edges(self, placed: Placed) -> None:
        if not isinstance(placed.statement, syntax.EdgesStatement):
            return
        name = self._own(placed.statement.name, placed)
        if name in self.sets.named:
            self.sets.named_edges(name)

    def _side(self, side: syntax.Name | syntax.Shape, placed: Placed) -> Side:
        if isinstance(side, syntax.Shape):
            shape, axes = self._shape(side, placed, "a side")
            sizes = (axis.name if axis else str(size) for size, axis in zip(shape, axes, strict=True))
            return Side(f"[{', '.join(sizes)}]", shape, axes)
        found = self.names.find(side, placed.variables, "layer", "input", "axis")
        if found.kind == "axis":
            axis = self._axis(found)
            return Side(axis.name, (axis.size,), (axis,))
        shape = self._shape_of(found)
        return Side(found.name, shape, self.side_axes[found.name])

    def _read_layers(self, placed: Placed) -> None:
        statement = placed.statement
        if not isinstance(statement, syntax.LayerStatement):
            return
        name = self._own(statement.name, placed)
        if name not in self.shapes:
            raise Failed
        shape = self.shapes[name]
        side = Side(name, shape, self.side_axes[name])
        operations: list[Operation] = []
        spans: list[Span] = []
        has_bias = False
        for node in statement.operations:
            parts = call_parts(node)
            has_bias = has_bias or (parts is not None and parts[0] == "bias")
            try:
                operation = resolve_operation(node, side, self.sets, placed.variables)
            except Failed:
                continue
            if operation is not None:
                operations.append(operation)
                spans.append(node.span)
        self._refuse_repeats(operations, spans)
        self.layers[name] = Layer(name, shape, tuple(operations), statement.name.span)
        self._default_bias[name] = not has_bias

    def _refuse_repeats(self, operations: list[Operation], spans: list[Span]) -> None:
        """What an operation holds is named after the layer and the operation, so each kind can stand once."""
        seen: dict[str, Span] = {}
        for operation, span in zip(operations, spans, strict=True):
            match operation:
                case Normalise():
                    key = operation.norm.name
                case Bias():
                    key = "bias"
                case Dropout():
                    key = "dropout"
                case _:
                    continue
            if key in seen:
                others = (Label(seen[key], "first here"),)
                self.report.add(codes.OPERATION_TWICE, span, name=key, others=others)
            seen.setdefault(key, span)

    def _read_connections(self, placed: Placed) -> None:
        statement = placed.statement
        if not isinstance(statement, syntax.ConnectStatement):
            return
        name = self._connection_name(statement, placed)
        if self.names.declared.get(name) is None or self.names.declared[name].placed is not placed:
            raise Failed
        source = self.names.find(statement.source, placed.variables, "layer", "input")
        target = self.names.find(statement.target, placed.variables, "layer")
        if source.name not in self.shapes or target.name not in self.shapes:
            raise Failed
        sides = Sides(self._side(statement.source, placed), self._side(statement.target, placed), name)
        edges = self.sets.resolve(statement.set, sides, placed.variables)
        if not edges.count:
            self.report.add(codes.NO_EDGES, statement.set.span, name=name)
        weight = resolve_weight(statement, sides, edges, self.sets, placed.variables)
        self.connections[name] = Connection(name, source.name, target.name, edges, weight, statement.span)
        self._connecting[name] = Connecting(sides, statement.set, placed.variables)
        layer = self.layers.get(target.name)
        if layer and weight is not None and self._default_bias.pop(target.name, False):
            bias = Bias(layer.units, 0.0, None, None)
            self.layers[target.name] = Layer(layer.name, layer.shape, (bias, *layer.operations), layer.span)

    # --------------------------------------------------------------------------------- outputs, loss

    def _read_outputs(self, placed: Placed) -> None:
        statement = placed.statement
        if not isinstance(statement, syntax.OutputStatement):
            return
        for name in statement.names:
            found = self.names.find(name, placed.variables, "layer")
            if found.name in self.outputs:
                raise fail(self.report, codes.ARGUMENT_TWICE, name.span, name=found.name)
            self.outputs[found.name] = None

    def _read_losses(self, placed: Placed) -> None:
        statement = placed.statement
        if not isinstance(statement, syntax.LossStatement):
            return
        for term in resolve_loss(statement.value, self._network, placed.variables):
            if isinstance(term, LossTerm):
                self.losses.append(term)
            else:
                self.penalties.append(term)

    @cached_property
    def _network(self) -> Network:
        """What losses speak of, once all connections have been read."""
        return Network(self.names, self.inputs, self.targets, self.layers, self.connections)

    # -------------------------------------------------------------------------------- whole network

    def _check_network(self) -> None:
        if not self.layers:
            self.report.add(codes.NO_LAYERS, self._name_span)
            return
        entered = {connection.target for connection in self.connections.values()}
        for layer in self.layers.values():
            if layer.name not in entered:
                self.report.add(codes.NOTHING_ENTERS, layer.span, name=layer.name)
        if self._cycle():
            return
        read = {c.source for c in self.connections.values()}
        if not self.outputs:
            self.outputs = dict.fromkeys(name for name in self.layers if name not in read)
        self._check_reach()
        compared = {term.target for term in self.losses}
        for data in self.inputs.values():
            if data.name not in read and data.name not in compared:
                self.report.add(codes.UNUSED, data.span, what="input", name=data.name)
        self._warn_unconnected()
        for data in self.targets.values():
            if data.name not in compared:
                self.report.add(codes.UNUSED, data.span, what="target", name=data.name)

    def _warn_unconnected(self) -> None:
        """Units that no connection at all feeds, or reads."""
        into: dict[str, list[EdgeSet]] = {}
        out: dict[str, list[EdgeSet]] = {}
        for connection in self.connections.values():
            into.setdefault(connection.target, []).append(connection.edges)
            out.setdefault(connection.source, []).append(connection.edges)
        for name, side in {**self.inputs, **self.layers}.items():
            if name in self.layers:
                self._warn_missing(codes.UNITS_WITHOUT_INPUT, into.get(name, []), "target", side)
            if name in out and name not in self.outputs:
                self._warn_missing(codes.UNITS_UNREAD, out[name], "source", side)

    def _warn_missing(self, code: Code, sets: list[EdgeSet], end: End, side: Layer | Data) -> None:
        if not sets:
            return  # nothing enters, which is an error
        count, first = unreached(sets, end, most=5)
        if count:
            units = Side(side.name, side.shape, self.side_axes[side.name])
            named = ", ".join(unit_text(int(unit), units) for unit in first)
            more = ", ..." if count > 5 else ""
            of = prod(side.shape)
            self.report.add(code, side.span, count=count, of=of, side=side.name, first=named + more)

    def _cycle(self) -> bool:
        order = self._order()
        if len(order) == len(self.layers):
            return False
        stuck = set(self.layers) - set(order)
        # Every stuck layer has a stuck source, so walking backwards must come round.
        walk = [next(name for name in self.layers if name in stuck)]
        into = {c.target: c for c in self.connections.values() if c.source in stuck and c.target in stuck}
        seen: set[str] = set()
        while walk[-1] not in seen:
            seen.add(walk[-1])
            walk.append(into[walk[-1]].source)
        cycle = walk[walk.index(walk[-1]) :][::-1]
        spans = [into[name].span for name in cycle[1:]]
        self.report.add(
            codes.CYCLE,
            spans[-1],
            chain=" -> ".join(cycle),
            others=tuple(Label(span, "and this") for span in spans[:-1]),
            help=(
                f"write each step as a layer of its own, `{cycle[0]}_next` say; its connections have weights "
                "of their own",
                "steps that share weights, as those of a recurrent network, cannot be written yet",
            ),
        )
        return True

    def _order(self) -> list[str]:
        """Layers by dependency, otherwise in the spec's order; layers on a cycle are left out."""
        position = {name: at for at, name in enumerate(self.layers)}
        readers: dict[str, list[str]] = {name: [] for name in self.layers}
        waits = dict.fromkeys(self.layers, 0)
        for connection in self.connections.values():
            if connection.source in self.layers and connection.target in self.layers:
                readers[connection.source].append(connection.target)
                waits[connection.target] += 1
        ready = [at for name, at in position.items() if waits[name] == 0]
        names = list(self.layers)
        order: list[str] = []
        heapq.heapify(ready)
        while ready:
            order.append(names[heapq.heappop(ready)])
            for reader in readers[order[-1]]:
                waits[reader] -= 1
                if waits[reader] == 0:
                    heapq.heappush(ready, position[reader])
        return order

    def _check_reach(self) -> None:
        sources: dict[str, list[str]] = {name: [] for name in self.layers}
        for connection in self.connections.values():
            sources[connection.target].append(connection.source)
        pending = [*self.outputs, *(term.prediction for term in self.losses)]
        reached: set[str] = set()
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending.extend(sources.get(name, ()))
        for layer in self.layers.values():
            if layer.name not in reached:
                self.report.add(codes.REACHES_NOTHING, layer.span, name=layer.name)


class UnknownParam(Exception):
    """`-D` names a param that the spec does not declare."""

    def __init__(self, name: str, known: list[str]) -> None:
        self.name = name
        self.known = known
        super().__init__(name)
