"""The graph: a small fixed set of operations on named values, without any framework in it.

A value is an array (batch, units) or, for codes, (batch, ...); its `shape` leaves the batch out. Operations
stand in the order in which they can be computed. `check` holds a graph to these rules and runs after every
pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from ..catalogue.activations import Activation
from ..catalogue.losses import Penalty
from ..catalogue.norms import Norm
from ..catalogue.reductions import Reduction
from ..edges.degrees import degrees
from ..edges.edge_set import Diagonal, EdgeSet, Full, Indices, Shape
from ..functions.function import Function, Numbers
from ..functions.tree import Tree, arguments_in
from .model import Data, DataFile, ExpressionTerm, LossTerm, Start, UnitNames
from .statement import Statements


@record
class Value:
    """A named array; `layer` is the layer whose result it is, None for a step on the way to one.

    With `classes`, the last dimension of `shape`, it stands for units of which few are 1 and the others 0,
    and holds the codes of those that are 1: an array of the other dimensions, -1 where none is.
    """

    name: str
    shape: Shape
    layer: str | None = None
    classes: int | None = None

    @property
    def positions(self) -> int:
        """Number of codes per sample."""
        return self.units // (self.classes or 1)

    @property
    def units(self) -> int:
        """Number of entries per sample."""
        return prod(self.shape)


@record
class Parameter:
    """An array that a model holds, under the name that it has in every target.

    `start` is how a weight starts, or the one number that every entry starts as. What is neither trained nor
    moved by training (`trainable` False, `running` False) is a constant.
    """

    name: str
    shape: Shape
    start: Start | float
    trainable: bool
    running: bool = False

    @property
    def is_named(self) -> bool:
        """Whether the spec names it, so that several may share it: others are called after what has them."""
        return "." not in self.name


# ----------------------------------------------------------------- what weights and biases are made of


@record(eq=False)
class Spread:
    """entry[e] = of[index[e]], and 0 where the index is -1; of a matrix it counts along the rows.

    With `per` in place of an index, the entries are those of units of `shape`, and units with equal indices
    along these dimensions have one. `name` is `<connection>.weight` or `<layer>.bias`. `keys` (of's entries,
    numbers), if there are any, are what edges with one entry have in common.
    """

    name: str
    of: Parameter | Through
    index: Indices | None
    per: tuple[int, ...] | None
    shape: Shape
    keys: NDArray[np.float64] | None = None


@record
class Turned:
    """entry[t, s] = of[s, t]."""

    name: str
    of: Parameter | Through
    shape: Shape


@record
class Through:
    """entry[e] = function(of[e])."""

    name: str
    of: Parameter
    function: Function
    numbers: Numbers

    @property
    def shape(self) -> Shape:
        """That of the parameter."""
        return self.of.shape


@record(eq=False)
class Times:
    """entry[e] = factor * of[e], for a number or an array of the entries' shape, flattened."""

    name: str
    of: Parameter | Through | Spread | Turned
    factor: float | NDArray[np.float32]

    @property
    def shape(self) -> Shape:
        """That of what is multiplied."""
        return self.of.shape


@record
class Cut:
    """entry[e] = of[first + e], up to of[last - 1]: the entries of some of a connection's edges.

    Of the same there are others, which all of it is cut into.
    """

    name: str
    of: Spread | Times
    first: int
    last: int

    @property
    def shape(self) -> Shape:
        """One entry an edge."""
        return (self.last - self.first,)


# What a projection reads as its weight, and a layer as its bias.
Made: TypeAlias = Spread | Turned | Through | Times | Cut
Entries: TypeAlias = Parameter | Made


def steps_of(entries: Entries) -> tuple[Made, ...]:
    """How entries are made of their parameter, the first step first."""
    return () if isinstance(entries, Parameter) else (*steps_of(entries.of), entries)


def made_among(weights: Iterable[Entries | None]) -> dict[str, Made]:
    """The weights among these that are made of parameters, by name, each behind what it is cut out of."""
    made: dict[str, Made] = {}
    for weight in weights:
        if isinstance(weight, Cut):
            made[weight.of.name] = weight.of
        if not isinstance(weight, Parameter | None):
            made[weight.name] = weight
    return made


def cuts_among(made: Mapping[str, Made]) -> Mapping[str, tuple[Cut, ...]]:
    """What each weight is cut into, by its name, in order."""
    cuts: dict[str, list[Cut]] = {}
    for each in made.values():
        if isinstance(each, Cut):
            cuts.setdefault(each.of.name, []).append(each)
    return {name: tuple(each) for name, each in cuts.items()}


def identifier(name: str) -> str:
    """The name of a parameter, or of what is made of one, as a name in code: without dots."""
    return name.replace(".", "_")


def parameter_of(entries: Entries) -> Parameter:
    """The parameter that entries are made of."""
    return entries if isinstance(entries, Parameter) else parameter_of(entries.of)


# --------------------------------------------------------------------------------------------- operations


@record
class Project:
    """output[t] = sum over the edges s -> t of weight[e] * input[s]; `weight` None is a plain sum.

    `connection` is its name, `layer` the layer that it enters. If it has some of the edges of a connection,
    whose delay they have in common, `connection` is a name of their own: see `Divided`.
    """

    output: Value
    input: Value
    connection: str
    layer: str
    edges: EdgeSet
    weight: Entries | None

    @property
    def parameter(self) -> Parameter | None:
        """The parameter that the weight is made of."""
        return None if self.weight is None else parameter_of(self.weight)

    @property
    def holds_weight(self) -> bool:
        """Whether the weight is a parameter of this connection alone."""
        return isinstance(self.weight, Parameter) and not self.weight.is_named

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)


@record
class Pool(Project):
    """output[t] = reduction over the edges s -> t of weight[e] * input[s]; `empty` where t has none.

    It has a list of edges: what is one to one is a `Project`, and every pair is written as a `Product`.
    """

    reduction: Reduction
    empty: float

    @property
    def has_empty(self) -> bool:
        """Whether there is a unit without an edge, so that `empty` is read."""
        return degrees(self.edges, "target").low == 0


@record
class Add:
    """output = sum of inputs."""

    output: Value
    inputs: tuple[Value, ...]


@record
class AddBias:
    """output[u] = input[u] + bias[u]."""

    output: Value
    input: Value
    bias: Entries

    @property
    def parameter(self) -> Parameter:
        """The parameter that the bias is made of."""
        return parameter_of(self.bias)

    @property
    def holds_bias(self) -> bool:
        """Whether the parameter is of this layer alone."""
        return not self.parameter.is_named

    @property
    def by_unit(self) -> bool:
        """Whether every unit has an entry of its own."""
        return isinstance(self.bias, Parameter)

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)


@record
class Apply:
    """output = activation(input), which mixes units `over` some dimensions of the layer, or over none."""

    output: Value
    input: Value
    activation: Activation
    arguments: tuple[tuple[str, float], ...]
    over: tuple[int, ...]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)


@record
class Combine:
    """output = tree of the inputs, element by element: the value of a layer that is an expression.

    The inputs stand in the tree by their names. Each has as many units as the output, or one. `layer` is the
    layer's name.
    """

    output: Value
    inputs: tuple[Value, ...]
    layer: str
    tree: Tree


@record
class Rectify:
    """output = input where that is above 0, else slope * input; `per` as in `AddBias`."""

    output: Value
    input: Value
    slope: Parameter
    per: tuple[int, ...] | None

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)


@record
class Compute:
    """output = function(input), element by element, with numbers for its other arguments."""

    output: Value
    input: Value
    function: Function
    numbers: Numbers

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)


@record
class ApplyNorm:
    """output = norm(input) * weight + bias; a norm with running statistics uses them outside training.

    `per` is that of `model.Normalise`.
    """

    output: Value
    input: Value
    norm: Norm
    arguments: tuple[tuple[str, float], ...]
    per: tuple[int, ...] | None
    weight: Parameter
    bias: Parameter | None
    running_mean: Parameter | None
    running_var: Parameter | None

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)

    @property
    def name(self) -> str:
        """What its parameters' names begin with: `<layer>.<norm>`."""
        return self.weight.name.rpartition(".")[0]


@record
class Drop:
    """output = input with units zeroed with probability p in training, the rest scaled by 1 / (1 - p).

    Units with equal indices along the dimensions `per` are zeroed together.
    """

    output: Value
    input: Value
    p: float
    per: tuple[int, ...] | None

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)


@record
class Multiply:
    """output = factor * input."""

    output: Value
    input: Value
    factor: float

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are read."""
        return (self.input,)


@record
class Delay:
    """output at step t = input at step t - steps, and `start` before the first step: a number, or one a unit.

    It is no operation of a chain: its input may be computed behind what reads its output.
    """

    output: Value
    input: Value
    steps: int
    start: Parameter | float


@record(eq=False)
class Divided:
    """A connection whose edges are divided among projections, `parts` by name, one for each delay.

    `order` (edges,) has its edges, by their number in canonical order, as the parts have them one after the
    other. Its weight, if it has one, is made in that order and cut.
    """

    connection: str
    edges: EdgeSet
    parts: tuple[str, ...]
    order: Indices


Operation: TypeAlias = (
    Project | Pool | Add | AddBias | Apply | Combine | Compute | Rectify | ApplyNorm | Drop | Multiply
)


@record
class WeightPenalty:
    """`coefficient * penalty(parameter)`, a term of the loss."""

    coefficient: float
    penalty: Penalty
    parameter: str


@record
class Graph:
    """A whole network as operations, which compute one step of a network that runs over time.

    These read inputs, each other, and values of earlier steps, which `delays` give. There is a step for each
    of those that inputs over time have, or `steps` where there is no such input. The outputs in `over_time`
    are returned for all steps, others for the last one.
    """

    name: str
    inputs: tuple[Data, ...]
    targets: tuple[Data, ...]
    parameters: tuple[Parameter, ...]
    operations: tuple[Operation, ...]
    layers: tuple[Value, ...]
    outputs: tuple[str, ...]
    losses: tuple[LossTerm | ExpressionTerm, ...]
    penalties: tuple[WeightPenalty, ...]
    unit_names: tuple[UnitNames, ...]
    files: tuple[DataFile, ...]
    statements: Statements = field(default_factory=Statements)
    delays: tuple[Delay, ...] = ()
    over_time: frozenset[str] = frozenset()
    steps: int | None = None
    divided: tuple[Divided, ...] = ()

    def value(self, name: str) -> Value:
        """The value of a layer or an input."""
        return self.values[name]

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """The values of inputs and layers, by name."""
        values = {data.name: input_value(data) for data in self.inputs}
        return values | {str(layer.layer): layer for layer in self.layers}

    @property
    def has_time(self) -> bool:
        """Whether the network runs over time."""
        return bool(self.delays) or any(data.over_time for data in self.inputs)

    @cached_property
    def timed(self) -> frozenset[str]:
        """The values that may differ from step to step, by name."""
        timed = {data.name for data in self.inputs if data.over_time}
        timed |= {delay.output.name for delay in self.delays}
        for operation in self.operations:
            if any(value.name in timed for value in operation.inputs):
                timed.add(operation.output.name)
        return frozenset(timed)

    @cached_property
    def delayed(self) -> Mapping[str, Delay]:
        """What gives the values of earlier steps, by the names of these."""
        return {delay.output.name: delay for delay in self.delays}

    def origin(self, value: Value) -> str:
        """The input or layer that a value is, or is an earlier step of."""
        delay = self.delayed.get(value.name)
        return value.name if delay is None else delay.input.name

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """The layers that read each value, now or at later steps, by the name of what it is."""
        found: dict[str, dict[str, None]] = {}
        for name, chain in self.chains.items():
            for value in (value for op in chain for value in op.inputs):
                found.setdefault(self.origin(value), {})[name] = None
        return {name: tuple(layers) for name, layers in found.items()}

    @cached_property
    def read_late(self) -> Mapping[str, Delay]:
        """A delay of each input and layer that is read late, by its name; they all start alike."""
        first: dict[str, Delay] = {}
        for delay in self.delays:
            first.setdefault(delay.input.name, delay)
        return first

    @cached_property
    def memory(self) -> Mapping[str, int]:
        """How many steps back each input and layer is read, by name, of those that are."""
        longest: dict[str, int] = {}
        for delay in self.delays:
            name = delay.input.name
            longest[name] = max(delay.steps, longest.get(name, 0))
        return longest

    def is_given_over_time(self, name: str) -> bool:
        """Whether an input, a target or a layer is given for all steps, as an argument or as a result."""
        if name in self.outputs:
            return name in self.over_time
        data = {data.name: data.over_time for data in (*self.inputs, *self.targets)}
        return data.get(name, name in self.timed)

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """The layers that the loss reads, in the order of its terms."""
        return tuple(dict.fromkeys(name for term in self.losses for name in term.layers))

    @cached_property
    def projections(self) -> tuple[Project, ...]:
        """The projections among the operations, in their order."""
        return tuple(operation for operation in self.operations if isinstance(operation, Project))

    @cached_property
    def read(self) -> tuple[Value, ...]:
        """The inputs and layers that projections and expressions read, in the order of the operations."""
        return tuple(
            value
            for operation in self.operations
            if isinstance(operation, Project | Combine)
            for value in operation.inputs
        )

    @cached_property
    def weighted(self) -> Mapping[str, Project]:
        """By its name, the projection that a parameter's start goes by: the first that has it as it is."""
        first = {op.parameter.name: op for op in reversed(self.projections) if op.parameter}
        whole = {op.weight.name: op for op in reversed(self.projections) if isinstance(op.weight, Parameter)}
        return first | whole

    @cached_property
    def made(self) -> Mapping[str, Made]:
        """The weights that are made of parameters, by name, in the order in which they are needed."""
        return made_among(op.weight for op in self.projections)

    @cached_property
    def connections(self) -> Mapping[str, tuple[Project, ...]]:
        """The projections of each connection of the spec, by its name: one, or one for each delay."""
        found: dict[str, list[Project]] = {}
        for op in self.projections:
            whole = self.parts.get(op.connection)
            found.setdefault(whole.connection if whole else op.connection, []).append(op)
        return {name: tuple(ops) for name, ops in found.items()}

    @cached_property
    def parts(self) -> Mapping[str, Divided]:
        """The connections that projections have some of the edges of, by the names of these."""
        return {part: each for each in self.divided for part in each.parts}

    @cached_property
    def chains(self) -> Mapping[str, tuple[Operation, ...]]:
        """The operations that make each layer's value, by the value's name."""
        chains: dict[str, tuple[Operation, ...]] = {}
        chain: list[Operation] = []
        for operation in self.operations:
            chain.append(operation)
            if operation.output.layer is not None:
                chains[operation.output.name] = tuple(chain)
                chain = []
        return chains


def input_value(data: Data) -> Value:
    """The value of an input, as edges read it."""
    return Value(data.name, data.units, classes=data.classes)


def parameters_of(operation: Operation | Delay) -> tuple[Parameter, ...]:
    """The parameters that an operation holds."""
    match operation:
        case Delay(start=start):
            return (start,) if isinstance(start, Parameter) else ()
        case Project():
            return () if operation.parameter is None else (operation.parameter,)
        case AddBias():
            return (operation.parameter,)
        case Rectify():
            return (operation.slope,)
        case ApplyNorm():
            held = (operation.weight, operation.bias, operation.running_mean, operation.running_var)
            return tuple(parameter for parameter in held if parameter is not None)
        case _:
            return ()


class GraphError(AssertionError):
    """A pass has broken the graph's rules: a fault of the compiler, never of a spec."""


def check(graph: Graph) -> Graph:
    """The graph itself, if it keeps the rules: values made once and before use, shapes and names fit."""
    shapes = {data.name: data.units for data in graph.inputs}
    shapes |= {delay.output.name: delay.output.shape for delay in graph.delays}
    for operation in graph.operations:
        for value in operation.inputs:
            if shapes.get(value.name) != value.shape:
                raise GraphError(
                    f"`{operation.output.name}` reads `{value.name}`, which is not there as {value.shape}"
                )
        if operation.output.name in shapes:
            raise GraphError(f"`{operation.output.name}` is made twice")
        _check_shapes(operation)
        shapes[operation.output.name] = operation.output.shape
    every = (*graph.delays, *graph.operations)
    held = [parameter for operation in every for parameter in parameters_of(operation)]
    parameters = {parameter.name for parameter in graph.parameters}
    if len(parameters) != len({id(parameter) for parameter in (*graph.parameters, *held)}):
        raise GraphError("two parameters have one name")
    if {p.name for p in held} != parameters:
        raise GraphError("parameters and operations do not fit")
    for layer in graph.layers:
        if shapes.get(layer.name) != layer.shape:
            raise GraphError(f"the layer `{layer.layer}` is not computed")
    for delay in graph.delays:
        if delay.steps < 1 or shapes.get(delay.input.name) != delay.output.shape:
            raise GraphError(f"`{delay.output.name}` is no value of an earlier step")
    for each in graph.divided:
        count = sum(op.edges.count for op in graph.connections.get(each.connection, ()))
        if not count == len(each.order) == each.edges.count:
            raise GraphError(f"the edges of `{each.connection}` are not those of its parts")
    for cuts in cuts_among(graph.made).values():
        bounds = [(0, 0), *((cut.first, cut.last) for cut in cuts)]
        touch = all(one[1] == other[0] for one, other in pairwise(bounds))
        if not touch or bounds[-1][1] != prod(cuts[0].of.shape):
            raise GraphError(f"`{cuts[0].of.name}` is not cut into all that it is")
    known = {layer.layer for layer in graph.layers}
    for name in (*graph.outputs, *graph.compared):
        if name not in known:
            raise GraphError(f"`{name}` is no layer")
    for penalty in graph.penalties:
        if penalty.parameter not in parameters:
            raise GraphError(f"`{penalty.parameter}` is no parameter")
    return graph


def _check_shapes(operation: Operation) -> None:
    if isinstance(operation, Project):
        sides = (operation.input.units, operation.output.units)
        if sides != (prod(operation.edges.source_shape), prod(operation.edges.target_shape)):
            raise GraphError(f"the edges of `{operation.connection}` do not fit its sides")
        if isinstance(operation, Pool) and isinstance(operation.edges, Full | Diagonal):
            raise GraphError(f"the edges of `{operation.connection}` cannot be pooled")
        if operation.weight is not None and prod(operation.weight.shape) != operation.edges.count:
            raise GraphError(f"the weight of `{operation.connection}` does not fit its edges")
        if operation.input.classes and not (isinstance(operation.edges, Full) and operation.weight):
            raise GraphError(f"`{operation.connection}` reads class codes otherwise than by `all`")
    elif isinstance(operation, Combine):
        _check_combined(operation)
    elif any(value.units != operation.output.units for value in operation.inputs):
        raise GraphError(f"`{operation.output.name}` changes the number of units")
    if isinstance(operation, AddBias) and prod(operation.bias.shape) != operation.output.units:
        raise GraphError(f"the bias of `{operation.output.name}` does not fit its units")
    made = operation.weight if isinstance(operation, Project) else None
    made = operation.bias if isinstance(operation, AddBias) else made
    for step in steps_of(made) if made else ():
        _check_step(step)


def _check_combined(operation: Combine) -> None:
    name, units = operation.output.name, [value.units for value in operation.inputs]
    if {value.name for value in operation.inputs} != {*arguments_in(operation.tree)}:
        raise GraphError(f"the expression of `{name}` does not read its inputs")
    if max(units, default=0) != operation.output.units or any(n not in (1, max(units)) for n in units):
        raise GraphError(f"`{name}` changes the number of units")
    if any(value.classes for value in operation.inputs):
        raise GraphError(f"`{name}` reads class codes otherwise than by `all`")


def _check_step(step: Made) -> None:
    match step:
        case Spread(index=np.ndarray() as index):
            if len(index) != prod(step.shape):
                raise GraphError(f"the index of `{step.name}` does not fit its entries")
            if len(index) and not -1 <= index.min() <= index.max() < prod(step.of.shape):
                raise GraphError(f"the index of `{step.name}` is outside its parameter")
        case Turned():
            if step.shape != step.of.shape[::-1]:
                raise GraphError(f"`{step.name}` is not its parameter turned")
        case Times(factor=np.ndarray() as factor):
            if len(factor) != prod(step.shape):
                raise GraphError(f"the factors of `{step.name}` do not fit its entries")
        case _:
            return
