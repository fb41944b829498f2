"""From the model to the graph: every layer becomes a chain of operations, every name is given out."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ..edges.edge_set import Full, Shape
from ..names.reserved import RESERVED
from .graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Graph,
    Multiply,
    Operation,
    Parameter,
    Project,
    Rectify,
    Value,
    WeightPenalty,
    input_value,
    parameters_of,
)
from .model import Activate, Bias, Connection, Dropout, Layer, Model, Normalise, Prelu, Scale
from .model import Operation as LayerOperation


def lower(model: Model) -> Graph:
    """The graph of a model."""
    taken = dict.fromkeys(RESERVED, 0)
    for named in (*model.inputs, *model.targets, *model.layers, *model.connections):
        taken[named.name] = 0
    values = {data.name: input_value(data) for data in model.inputs}
    operations: list[Operation] = []
    for layer in model.layers:
        chain = list(_layer(layer, model, values, taken))
        operations.extend(chain)
        values[layer.name] = chain[-1].output
    parameters = [parameter for operation in operations for parameter in parameters_of(operation)]
    return Graph(
        name=model.name,
        inputs=model.inputs,
        targets=model.targets,
        parameters=tuple(parameters),
        operations=tuple(operations),
        layers=tuple(values[layer.name] for layer in model.layers),
        outputs=model.outputs,
        losses=model.losses,
        penalties=tuple(
            WeightPenalty(term.coefficient, term.penalty, f"{term.connection}.weight")
            for term in model.penalties
        ),
        unit_names=model.unit_names,
        files=model.files,
        statements=model.statements,
    )


def _layer(
    layer: Layer, model: Model, values: dict[str, Value], taken: dict[str, int]
) -> Iterator[Operation]:
    """The sum of what enters a layer, then its operations; the last one makes the layer's own value."""
    incoming = model.into(layer.name)
    remaining = len(layer.operations) + (len(incoming) > 1)
    shape = layer.shape

    def result(step: str) -> Value:
        """The value of the next step: the layer itself if nothing follows."""
        return Value(layer.name, shape, layer.name) if remaining == 0 else Value(_free(step, taken), shape)

    sums: list[Value] = []
    for connection in incoming:
        single = len(incoming) == 1
        output = (
            result(f"{layer.name}_input") if single else Value(_free(f"{connection.name}_part", taken), shape)
        )
        yield Project(
            output,
            values[connection.source],
            connection.name,
            layer.name,
            connection.edges,
            _weight(connection),
        )
        sums.append(output)
    value = sums[0]
    if len(sums) > 1:
        remaining -= 1
        value = result(f"{layer.name}_input")
        yield Add(value, tuple(sums))
    for operation in layer.operations:
        remaining -= 1
        step = _operation(operation, layer, value, result(f"{layer.name}_{_step_name(operation)}"))
        yield step
        value = step.output


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
        case Prelu():
            return "prelu"
        case Normalise():
            return operation.norm.name
        case Dropout():
            return "dropout"
        case Scale():
            return "scale"


def _weight(connection: Connection) -> Parameter | None:
    if connection.weight is None:
        return None
    edges = connection.edges
    shape: Shape = (edges.count,)
    if isinstance(edges, Full):
        sources, targets = Value("", edges.source_shape).units, Value("", edges.target_shape).units
        shape = (targets, sources)
    return Parameter(f"{connection.name}.weight", shape, connection.weight.start, connection.weight.trainable)


def _operation(operation: LayerOperation, layer: Layer, value: Value, output: Value) -> Operation:
    match operation:
        case Bias():
            bias = Parameter(f"{layer.name}.bias", (operation.size,), operation.start, trainable=True)
            return AddBias(output, value, bias, operation.index, operation.per)
        case Activate():
            return Apply(output, value, operation.activation, operation.arguments, operation.over)
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
