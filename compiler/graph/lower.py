"""From the model to the graph: every layer becomes a chain of operations, every name is given out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from hashlib import sha256
from math import prod
from typing import TypeVar, cast

import numpy as np

from ...dsl.records import record
from ..edges.edge_set import Diagonal, Full, Indices, Listed, Product, weight_shape
from ..edges.structure import recognised
from ..functions.tree import Argument, substituted
from ..names.reserved import RESERVED
from . import graph
from .graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Cut,
    Delay,
    Divided,
    Drop,
    Entries,
    Graph,
    Made,
    Multiply,
    Operation,
    Parameter,
    Pool,
    Project,
    Rectify,
    Spread,
    Through,
    Times,
    Turned,
    Value,
    WeightPenalty,
    input_value,
    parameter_of,
    parameters_of,
    steps_of,
)
from .model import (
    Activate,
    Bias,
    Compute,
    Connection,
    Dropout,
    Layer,
    Model,
    Normalise,
    Prelu,
    Scale,
    Share,
    Weight,
)
from .model import Operation as LayerOperation

T = TypeVar("T", bound=Entries)


def lower(model: Model) -> Graph:
    """The graph of a model."""
    taken = dict.fromkeys(RESERVED, 0)
    for named in (*model.inputs, *model.targets, *model.layers, *model.connections):
        taken[named.name] = 0
    values = {data.name: input_value(data) for data in model.inputs}
    operations: list[Operation] = []
    held = _Held()
    late = _Late(model, taken, {layer.name: layer.start for layer in model.layers})
    for layer in model.layers:
        chain = list(_layer(layer, model, values, taken, held, late))
        operations.extend(chain)
        values[layer.name] = chain[-1].output
    delays = tuple(late.delays.values())
    parameters = [parameter for each in (*operations, *delays) for parameter in parameters_of(each)]
    return Graph(
        name=model.name,
        inputs=model.inputs,
        targets=model.targets,
        parameters=tuple({parameter.name: parameter for parameter in parameters}.values()),
        operations=tuple(operations),
        layers=tuple(values[layer.name] for layer in model.layers),
        outputs=model.outputs,
        losses=model.losses,
        penalties=tuple(
            WeightPenalty(term.coefficient, term.penalty, held.weights[term.connection])
            for term in model.penalties
        ),
        unit_names=model.unit_names,
        files=model.files,
        statements=model.statements,
        delays=delays,
        over_time=model.over_time,
        steps=model.steps,
        divided=tuple(late.divided),
    )


@record
class _Late:
    """The values of earlier steps that have been read so far, each once, by what is read and how late."""

    model: Model
    taken: dict[str, int]
    starts: Mapping[str, float | None]
    delays: dict[tuple[str, int], Delay] = field(default_factory=dict[tuple[str, int], Delay])
    trained: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    divided: list[Divided] = field(default_factory=list[Divided])

    def value(self, name: str, steps: int) -> Value:
        """An input or a layer as it was some steps before."""
        if (name, steps) not in self.delays:
            shape = self.model.shape(name)
            source = Value(name, shape, name if name in self.starts else None)
            output = Value(_free(f"{name}_before" + (f"_{steps}" if steps > 1 else ""), self.taken), shape)
            self.delays[name, steps] = Delay(output, source, steps, self._start(source))
        return self.delays[name, steps].output

    def _start(self, of: Value) -> Parameter | float:
        start = self.starts.get(of.name, 0.0)
        if start is not None:
            return start
        own = Parameter(f"{of.name}.start", (of.units,), 0.0, trainable=True)
        return self.trained.setdefault(of.name, own)


def _layer(
    layer: Layer,
    model: Model,
    values: dict[str, Value],
    taken: dict[str, int],
    held: _Held,
    late: _Late,
) -> Iterator[Operation]:
    """The sum of what enters a layer, or its expression, then its operations.

    The last operation makes the layer's own value.
    """
    incoming = [part for each in model.into(layer.name) for part in _parts(each, late, held)]
    remaining = len(layer.operations) + (len(incoming) > 1)
    shape = layer.shape

    def result(step: str) -> Value:
        """The value of the next step: the layer itself if nothing follows."""
        return Value(layer.name, shape, layer.name) if remaining == 0 else Value(_free(step, taken), shape)

    def read(name: str, delay: int) -> Value:
        return late.value(name, delay) if delay else values[name]

    sums: list[Value] = []
    if layer.value is not None:
        output = result(f"{layer.name}_input")
        inputs = {each.key: read(each.name, each.delay) for each in layer.reads}
        tree = substituted(layer.value, {key: Argument(value.name) for key, value in inputs.items()})
        yield Combine(output, tuple(inputs.values()), layer.name, tree)
        sums.append(output)
    for connection, weight in incoming:
        single = len(incoming) == 1
        output = (
            result(f"{layer.name}_input") if single else Value(_free(f"{connection.name}_part", taken), shape)
        )
        yield _projection(connection, output, read(connection.source, connection.delay), weight, held)
        sums.append(output)
    value = sums[0]
    if len(sums) > 1:
        remaining -= 1
        value = result(f"{layer.name}_input")
        yield Add(value, tuple(sums))
    for operation in layer.operations:
        remaining -= 1
        output = result(f"{layer.name}_{_step_name(operation)}")
        step = _operation(operation, layer, value, output, held)
        yield step
        value = step.output


def _parts(connection: Connection, late: _Late, held: _Held) -> list[tuple[Connection, Entries | None]]:
    """A connection, or one for the edges of each delay where these differ, with their part of its weight."""
    if connection.delays is None:
        return [(connection, None)]
    edges, delays = connection.edges, connection.delays
    order = np.argsort(delays, kind="stable")
    different, counts = np.unique(delays, return_counts=True)
    ends = [int(end) for end in np.cumsum(counts)]
    whole = _ordered_weight(connection, held, order, tuple(ends))
    source, target = edges.edges()
    found: list[tuple[Connection, Entries | None]] = []
    for delay, first, last in zip(different.tolist(), [0, *ends], ends, strict=False):
        name, some = _free(f"{connection.name}_delay_{delay}", late.taken), order[first:last]
        listed = Listed(edges.source_shape, edges.target_shape, source[some], target[some])
        known = recognised(listed)
        own = listed if isinstance(known, Full | Diagonal) else known
        part = replace(connection, name=name, edges=own, weight=None, delay=delay, delays=None)
        found.append((part, held.once(Cut(f"{name}.weight", whole, first, last)) if whole else None))
    names = tuple(part.name for part, _ in found)
    late.divided.append(Divided(connection.name, edges, names, order))
    return found


def _projection(
    connection: Connection, output: Value, source: Value, part: Entries | None, held: _Held
) -> Project:
    """What brings a layer what arrives over a connection. Of one input, all ways to pool make the same.

    A `part` is that of the weight of the connection that this one is a part of.
    """
    edges, pooling = connection.edges, connection.pooling
    named = output, source, connection.name, connection.target
    if pooling is None or isinstance(edges, Diagonal):
        return Project(*named, edges, part or _weight(connection, held))
    if isinstance(edges, Full):
        listed, weight = Product(edges.source_shape, edges.target_shape, (edges,)), connection.weight
        if weight is not None and weight.share is not None:
            weight = replace(weight, share=_listed(weight.share))
        connection = replace(connection, edges=listed, weight=weight)
    weight = _weight(connection, held)
    return Pool(*named, connection.edges, weight, pooling.reduction, pooling.empty)


def _listed(share: Share) -> Share:
    """The entries of a matrix as those of a list of its edges; the parameter stays a matrix."""
    if share.index is not None or len(share.shape) == 1:
        return share
    index = np.arange(prod(share.shape))
    if share.turned:
        index = index.reshape(share.shape).T.reshape(-1)
    return replace(share, index=index, turned=False)


def _free(name: str, taken: dict[str, int]) -> str:
    """A name that nothing else has, noted in `taken` with how often it has been asked for again."""
    free, again = name, taken.get(name, 0)
    while free in taken:
        again += 1
        free = f"{name}_" if again == 1 else f"{name}_{again + 1}"
    taken[name] = again
    taken[free] = 0
    return free


def _step_name(operation: LayerOperation) -> str:
    match operation:
        case Bias():
            return "sum"
        case Activate():
            return operation.activation.name
        case Compute():
            return operation.function.name
        case Prelu():
            return "prelu"
        case Normalise():
            return operation.norm.name
        case Dropout():
            return "dropout"
        case Scale():
            return "scale"


@record
class _Held:
    """The parameters so far, by name, and the weights that are made of them, each once."""

    parameters: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    made: dict[tuple[object, ...], Entries] = field(default_factory=dict[tuple[object, ...], Entries])
    # The parameter of each connection's weight.
    weights: dict[str, str] = field(default_factory=dict[str, str])

    def once(self, entries: T, cut: tuple[int, ...] = ()) -> T:
        """Entries, or those made in the same way of the same parameter before, as in the turns of a loop.

        If they are `cut`, it is where each part ends.
        """
        way = tuple(map(_way, steps_of(entries)))
        key = parameter_of(entries).name, entries.shape, cut, *way
        return cast("T", self.made.setdefault(key, entries))


def _way(step: Made) -> tuple[object, ...]:
    """What tells a step from others."""
    match step:
        case Spread():
            return "spread", None if step.index is None else sha256(step.index.tobytes()).digest(), step.per
        case Turned():
            return ("turned",)
        case Through():
            return "through", step.function, step.numbers
        case Times():
            return "times", sha256(np.asarray(step.factor).tobytes()).digest()
        case Cut():
            return "cut", id(step.of), step.first, step.last


def _weight(connection: Connection, held: _Held) -> Entries | None:
    """The weight of a connection, made of a parameter that others may share."""
    weight = connection.weight
    if weight is None:
        return None
    name, share, shape = f"{connection.name}.weight", weight.share, weight_shape(connection.edges)
    made = _values(connection, weight, held)
    entries: Entries = made
    if share is not None and share.turned:
        entries = Turned(name, made, shape)
    elif share is not None and share.index is not None:
        entries = Spread(name, made, share.index, None, shape, share.keys)
    if weight.factor is not None:
        entries = Times(name, entries, weight.factor)
    return held.once(entries)


def _ordered_weight(
    connection: Connection, held: _Held, order: Indices, ends: tuple[int, ...]
) -> Spread | Times | None:
    """The weight of a connection with its edges in another order, of which parts end at `ends`."""
    weight = connection.weight
    if weight is None:
        return None
    name, made = f"{connection.name}.weight", _values(connection, weight, held)
    index = None if weight.share is None else _listed(weight.share).index
    index = order if index is None else index[order]
    spread = Spread(name, made, index, None, (len(order),))
    if weight.factor is None:
        return held.once(spread, ends)
    factor = weight.factor if isinstance(weight.factor, float | int) else weight.factor[order]
    return held.once(Times(name, spread, factor), ends)


def _values(connection: Connection, weight: Weight, held: _Held) -> Parameter | Through:
    """The parameter of a connection's weight, or what a function makes of that."""
    name, share, edges = f"{connection.name}.weight", weight.share, connection.edges
    shape = weight_shape(edges)
    own = Parameter(
        name if share is None else share.parameter,
        shape if share is None else share.shape,
        weight.start,
        weight.trainable,
    )
    held.weights[connection.name] = own.name
    parameter = held.parameters.setdefault(own.name, own)
    if weight.through is None:
        return parameter
    return Through(name, parameter, weight.through.function, weight.through.numbers)


def _operation(
    operation: LayerOperation,
    layer: Layer,
    value: Value,
    output: Value,
    held: _Held,
) -> Operation:
    match operation:
        case Bias():
            name = f"{layer.name}.bias"
            bias = Parameter(operation.share or name, (operation.size,), operation.start, trainable=True)
            bias = held.parameters.setdefault(bias.name, bias)
            if operation.index is None and operation.per is None:
                return AddBias(output, value, bias)
            index, per = operation.index, operation.per
            return AddBias(output, value, Spread(name, bias, index, per, layer.shape))
        case Activate():
            return Apply(output, value, operation.activation, operation.arguments, operation.over)
        case Compute():
            return graph.Compute(output, value, operation.function, operation.numbers)
        case Prelu():
            slope = Parameter(
                f"{layer.name}.prelu.weight", (operation.size,), operation.start, trainable=True
            )
            return Rectify(output, value, slope, operation.per)
        case Normalise():
            return _norm(operation, layer, value, output)
        case Dropout():
            return Drop(output, value, operation.p, operation.per)
        case Scale():
            return Multiply(output, value, operation.factor)


def _norm(operation: Normalise, layer: Layer, value: Value, output: Value) -> ApplyNorm:
    name, units, per = f"{layer.name}.{operation.norm.name}", (layer.units,), operation.per
    running = operation.norm.running
    if running and per is not None:
        units = (prod(layer.shape[at] for at in per),)
    return ApplyNorm(
        output,
        value,
        operation.norm,
        operation.arguments,
        per,
        weight=Parameter(f"{name}.weight", units, 1.0, trainable=True),
        bias=Parameter(f"{name}.bias", units, 0.0, trainable=True) if operation.norm.shifts else None,
        running_mean=Parameter(f"{name}.running_mean", units, 0.0, False, running=True) if running else None,
        running_var=Parameter(f"{name}.running_var", units, 1.0, False, running=True) if running else None,
    )
