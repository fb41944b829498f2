"""PyTorch: what it spells differently."""

from __future__ import annotations

from ...compiler.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Graph,
    Multiply,
    Operation,
    Project,
    Value,
)
from ...compiler.plan import Plan
from ...compiler.reserved import class_name
from ..layout import WIDTH, call, collection, total
from ..target import (
    Rendering,
    Target,
    Unsupported,
    bias_index,
    chain_of,
    is_identity,
    loss_arguments,
    scaled,
    shape_text,
    shapes_text,
    spelled,
    start_context,
    start_kernels,
    stored_edges,
    stored_needs,
    summary,
)

# Source text in {x} and the activation's parameters; `F` is torch.nn.functional.
ACTIVATIONS: dict[str, str | Unsupported] = {
    "tanh": "torch.tanh({x})",
    "sigmoid": "torch.sigmoid({x})",
    "relu": "torch.relu({x})",
    "leaky_relu": "F.leaky_relu({x}, negative_slope={slope})",
    "gelu": 'F.gelu({x}, approximate="none")',
    "gelu_tanh": 'F.gelu({x}, approximate="tanh")',
    # F.softplus turns linear above 20 unless told otherwise, which float64 would notice.
    "softplus": "F.softplus({x}, threshold=50)",
    "softmax": "torch.softmax({x}, dim=-1)",
}

# Source text in {y}, the prediction, and {t}, the target, as (batch, ...).
LOSSES: dict[str, str | Unsupported] = {
    "cross_entropy": "F.cross_entropy({y}, {t})",
    "binary_cross_entropy": "F.binary_cross_entropy_with_logits({y}, {t})",
    "mse": "F.mse_loss({y}, {t})",
    "squared_error": "({y} - {t}).square().sum() / len({y})",
    "mae": "F.l1_loss({y}, {t})",
}

PENALTIES: dict[str, str | Unsupported] = {
    "l1": "{w}.abs().sum()",
    "l2": "{w}.square().sum()",
}

NORMS: dict[str, str | Unsupported] = {
    "batch_norm": "nn.BatchNorm1d({units}, eps={eps}, momentum={momentum})",
    "layer_norm": "nn.LayerNorm({units}, eps={eps})",
}


def render(plan: Plan) -> Rendering:
    """What the PyTorch template places."""
    graph = plan.graph
    kernels = {"arrays_of", "load_into", *start_kernels(plan)}
    constructor: list[str] = []
    forward: list[str] = []
    for data in graph.inputs:
        if len(data.shape) > 1:
            kernels.add("flat")
            forward.append(f"{data.name} = flat({data.name}, {shape_text(data.shape)})")
    for layer in graph.layers:
        chain = chain_of(graph, layer)
        constructor += _construct(layer, chain, plan, kernels)
        forward += _forward(layer, chain)
    inputs = [data.name for data in graph.inputs]
    outputs = [f'values["{name}"]' for name in graph.outputs]
    typed = [f"{name}: Tensor" for name in inputs]
    returned = "Tensor" if len(outputs) == 1 else "tuple[Tensor, ...]"
    entries = [f'"{layer.layer}": {_shaped(layer)}' for layer in graph.layers]
    losses = _losses(graph)
    loss_inputs = [f"{name}: Tensor" for name in loss_arguments(graph)]
    context = {
        **start_context(plan, "start_values"),
        "class_name": class_name(graph.name),
        "stored": any("stored" in line for line in constructor),
        "summary": summary(plan),
        "constructor": tuple(constructor),
        "edges": "EdgeProjection" in kernels,
        "layers_signature": call("def layers(", ["self", *typed], ") -> dict[str, Tensor]:", 4),
        "forward": tuple(forward),
        "layers_return": collection("return {", entries, "}", 8),
        "forward_signature": call("def forward(", ["self", *typed], f") -> {returned}:", 4),
        "forward_shapes": shapes_text(graph),
        "forward_body": _forward_body(inputs, outputs),
        "loss": total("return ", losses, 8) if losses else "",
        "loss_signature": call("def loss(", ["self", *loss_inputs], ") -> Tensor:", 4),
    }
    imports = {
        "import numpy as np",
        "import torch",
        "from torch import Tensor",
        "from torch import nn",
        "from collections.abc import Mapping",
    }
    if "EdgeProjection" in kernels:
        kernels.add("refuse_other_edges")
    if any("F." in line for line in (*forward, *losses)):
        imports.add("import torch.nn.functional as F")
    needed, imported = stored_needs(plan)
    return Rendering(context, frozenset(kernels | needed), frozenset(imports | imported))


def _forward_body(inputs: list[str], outputs: list[str]) -> tuple[str, ...]:
    computed = f"self.layers({', '.join(inputs)})"
    if len(outputs) == 1:
        return (f"return {computed}{outputs[0].removeprefix('values')}",)
    return (
        f"values = {computed}",
        call("return (", outputs, ")", 8) if len(outputs) > 6 else "return " + ", ".join(outputs),
    )


def _losses(graph: Graph) -> list[str]:
    """The terms of the loss as source text."""
    terms: list[str] = []
    for term in graph.losses:
        y, t = term.prediction, term.target
        if term.loss.codes and len(graph.value(y).shape) > 1:
            y, t = f"{y}.flatten(0, -2)", f"{t}.flatten()"
        terms.append(scaled(term.coefficient, spelled(LOSSES, term.loss.name, y=y, t=t)))
    terms += [
        scaled(penalty.coefficient, spelled(PENALTIES, penalty.penalty.name, w=f"self.{penalty.parameter}"))
        for penalty in graph.penalties
    ]
    return terms


def _shaped(layer: Value) -> str:
    """A layer's value in its declared shape."""
    if len(layer.shape) == 1:
        return layer.name
    return f"{layer.name}.unflatten(1, {shape_text(layer.shape)})"


# ------------------------------------------------------------------------------------------- constructor


def _construct(layer: Value, chain: tuple[Operation, ...], plan: Plan, kernels: set[str]) -> list[str]:
    """Lines of `__init__` for one layer: its projections, then what it holds itself."""
    lines: list[str] = []
    parts: list[str] = []
    for operation in chain:
        match operation:
            case Project():
                lines += _projection(operation, plan, kernels)
            case AddBias():
                parts.append(f"bias={operation.bias.shape[0]}")
                if not operation.by_unit:
                    parts.append(f"bias_index={bias_index(operation)}")
            case ApplyNorm():
                numbers = dict(operation.arguments)
                text = spelled(NORMS, operation.norm.name, units=operation.output.units, **numbers)
                parts.append(f"{operation.norm.name}={text}")
            case Drop():
                parts.append(f"dropout=nn.Dropout({operation.p})")
            case Add() | Apply() | Multiply():
                pass
    if parts:
        kernels.add("LayerParts")
        lines.append(call(f"self.{layer.name} = LayerParts(", parts, ")", 8))
    return lines


def _projection(operation: Project, plan: Plan, kernels: set[str]) -> list[str]:
    name = operation.connection
    n_source, n_target = operation.input.units, operation.output.units
    kernel = plan.choice(name).kernel
    frozen = "" if operation.weight is None or operation.weight.trainable else ", trainable=False"
    if kernel == "diagonal":
        if operation.weight is None:
            return []  # the value itself
        kernels.add("DiagonalProjection")
        return [f"self.{name} = DiagonalProjection({n_source}{frozen})"]
    if kernel == "dense":
        if operation.weight is None:
            kernels.add("DenseSum")
            return [f"self.{name} = DenseSum({n_target})"]
        kernels.add("DenseProjection")
        return [f"self.{name} = DenseProjection(({n_target}, {n_source}){frozen})"]
    kernels.add("EdgeProjection")
    kernels.add("edges_of")
    arguments = [stored_edges(name), f"({n_target}, {n_source})"]
    if operation.weight is None:
        arguments.append("weighted=False")
    elif not operation.weight.trainable:
        arguments.append("trainable=False")
    return [call(f"self.{name} = EdgeProjection(", arguments, ")", 8)]


# ----------------------------------------------------------------------------------------------- forward


def _forward(layer: Value, chain: tuple[Operation, ...]) -> list[str]:
    """Lines of `layers` for one layer: its sum with the bias first, then one line a step."""
    name = layer.name
    sums = [_projected(op) for op in chain if isinstance(op, Project)]
    steps = [op for op in chain if not isinstance(op, Project | Add)]
    if steps and isinstance(steps[0], AddBias):
        sums.append(_bias(steps[0], name))
        steps = steps[1:]
    # The first activation goes round the sum where that stays on one line.
    if steps and isinstance(steps[0], Apply) and len(steps[0].output.shape) == 1:
        around = f"{name} = {_step(steps[0], ' + '.join(sums))}"
        if len(around) + 8 <= WIDTH and around.count(" + ".join(sums)) == 1:
            return [around, *(f"{name} = {_step(step, name)}" for step in steps[1:])]
    lines = [total(f"{name} = ", sums, 8)]
    lines += [f"{name} = {_step(step, name)}" for step in steps]
    return lines


def _projected(operation: Project) -> str:
    x = operation.input.name
    return x if is_identity(operation) else f"self.{operation.connection}({x})"


def _bias(operation: AddBias, layer: str) -> str:
    if operation.by_unit:
        return f"self.{layer}.bias"
    return f"self.{layer}.unit_bias()"


def _step(operation: Operation, x: str) -> str:
    match operation:
        case AddBias():
            return f"{x} + {_bias(operation, x)}"
        case Apply():
            shape = operation.output.shape
            mixes = operation.activation.derivative is None and len(shape) > 1
            argument = f"{x}.unflatten(1, {shape_text(shape)})" if mixes else x
            text = spelled(ACTIVATIONS, operation.activation.name, x=argument, **dict(operation.arguments))
            return f"{text}.flatten(1)" if mixes else text
        case ApplyNorm():
            return f"self.{operation.name}({x})"
        case Drop():
            return f"self.{x}.dropout({x})"
        case Multiply():
            return f"{operation.factor} * {x}"
        case Project() | Add():
            raise AssertionError("a sum is no step")


TARGET = Target("torch", render)
