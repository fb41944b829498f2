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
from ...compiler.layouts import FREE, Copy, Layout
from ...compiler.plan import Plan
from ...compiler.reserved import class_name
from ..layout import WIDTH, call, collection, total
from ..target import (
    Rendering,
    Target,
    Unsupported,
    band_arguments,
    bias_index,
    block_arguments,
    chain_of,
    is_identity,
    loss_arguments,
    rule_kernels,
    scaled,
    shape_text,
    shapes_text,
    spelled,
    start_context,
    start_kernels,
    stored_edges,
    stored_needs,
    summary,
    units_digests,
)

# Source text in {x}, the activation's parameters, and {dim}, its last dimension; `F` is torch.nn.functional.
ACTIVATIONS: dict[str, str | Unsupported] = {
    "tanh": "torch.tanh({x})",
    "sigmoid": "torch.sigmoid({x})",
    "relu": "torch.relu({x})",
    "leaky_relu": "F.leaky_relu({x}, negative_slope={slope})",
    "gelu": 'F.gelu({x}, approximate="none")',
    "gelu_tanh": 'F.gelu({x}, approximate="tanh")',
    # F.softplus turns linear above 20 unless told otherwise, which float64 would notice.
    "softplus": "F.softplus({x}, threshold=50)",
    "softmax": "torch.softmax({x}, dim={dim})",
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

# What the layers along edges are called, and what changes a value's layout or works in the other one.
ALONG_EDGES = frozenset(["BandProjection", "BlockProjection", "EdgeProjection", "MaskedProjection"])
CONVERSIONS = ("to_units_first", "to_batch_first", "batch_norm_units_first", "layer_norm_units_first")

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
        if plan.layouts.of(data.name) == "units first":
            forward.append(f"{data.name} = to_units_first({data.name})")
        forward += _copies(data.name, plan)
    for layer in graph.layers:
        chain = chain_of(graph, layer)
        constructor += _construct(layer, chain, plan, kernels)
        forward += [*_forward(layer, chain, plan), *_copies(layer.name, plan)]
    if digests := units_digests(plan):
        kernels.add("hold_units")
        texts = [f'"{name}": "{digest}"' for name, digest in digests.items()]
        constructor += [collection("digests = {", texts, "}", 8), "hold_units(self, digests)"]
    inputs = [data.name for data in graph.inputs]
    outputs = [_returned(graph.value(name), plan) for name in graph.outputs]
    converting = [line for line in (*forward, *outputs) if "_first(" in line]
    kernels |= {name for name in CONVERSIONS if any(f"{name}(" in line for line in converting)}
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
        "edges": bool(kernels & ALONG_EDGES),
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
    if kernels & ALONG_EDGES:
        kernels.add("refuse_other_edges")
    if any("F." in line for line in (*forward, *losses)):
        imports.add("import torch.nn.functional as F")
    needed, imported = stored_needs(plan)
    return Rendering(context, frozenset(kernels | needed), frozenset(imports | imported))


def _returned(layer: Value, plan: Plan) -> str:
    """An output as it is returned: batch first."""
    value = f'values["{layer.name}"]'
    if plan.layouts.of(layer.name) == "batch first":
        return value
    if len(layer.shape) == 1:
        return f"to_batch_first({value})"
    return f"to_batch_first({value}.flatten(1)).unflatten(1, {shape_text(layer.shape)})"


def _forward_body(inputs: list[str], outputs: list[str]) -> tuple[str, ...]:
    computed = f"self.layers({', '.join(inputs)})"
    if len(outputs) == 1:
        return (f"return {outputs[0].replace('values', computed, 1)}",)
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
    if is_identity(operation):
        return []  # the value itself
    name, edges = operation.connection, operation.edges
    n_source, n_target = operation.input.units, operation.output.units
    kernel = plan.choice(name).kernel
    shape, weight = f"({n_target}, {n_source})", operation.weight
    options = ["trainable=False"] * (weight is not None and not weight.trainable)
    if weight is None:
        options.append("weighted=False")
    if kernel in FREE and plan.layouts.of(operation.layer) == "units first":
        options.append("units_first=True")
    match kernel:
        case "dense" if weight is None:
            class_, arguments = "DenseSum", [str(n_target)]
            options.remove("weighted=False")
        case "dense":
            class_, arguments = "DenseProjection", [shape]
        case "diagonal":
            class_, arguments = "DiagonalProjection", [str(n_source)]
        case "band":
            class_, arguments = "BandProjection", [shape, *band_arguments(edges)]
        case "blocks":
            class_, arguments = "BlockProjection", [shape, *block_arguments(edges, name)]
            kernels.update(rule_kernels(arguments))
        case "edges" | "masked":
            class_ = "EdgeProjection" if kernel == "edges" else "MaskedProjection"
            arguments = [stored_edges(name), shape]
            kernels.add("edges_of")
    kernels.add(class_)
    return [call(f"self.{name} = {class_}(", [*arguments, *options], ")", 8)]


# ----------------------------------------------------------------------------------------------- forward


def _forward(layer: Value, chain: tuple[Operation, ...], plan: Plan) -> list[str]:
    """Lines of `layers` for one layer: its sum with the bias first, then one line a step.

    Each projection adds onto what there is already, which the first one gets as the bias: nothing takes a
    pass of its own.
    """
    name, units_first = layer.name, plan.layouts.of(layer.name) == "units first"
    steps = [op for op in chain if not isinstance(op, Project | Add)]
    so_far = ""
    if steps and isinstance(steps[0], AddBias):
        so_far, steps = _bias(steps[0], name), steps[1:]
    lines: list[str] = []
    projections = [op for op in chain if isinstance(op, Project)]
    # Values that are passed on come first, where nothing else does: the others are added onto them.
    for operation in sorted(projections, key=lambda op: not is_identity(op)):
        so_far = _projected(operation, name if lines else so_far, plan)
        lines.append(f"{name} = {so_far}")
    # The first activation goes round the sum where that stays on one line.
    if (
        steps
        and isinstance(first := steps[0], Apply)
        and (first.activation.derivative is not None or len(first.output.shape) == 1)
    ):
        around = f"{name} = {_step(first, so_far, units_first)}"
        if len(around) + 8 <= WIDTH:
            lines[-1], steps = around, steps[1:]
    return [*lines, *(f"{name} = {_step(step, name, units_first)}" for step in steps)]


def _projected(operation: Project, onto: str, plan: Plan) -> str:
    """A projection's sums, added onto what is given as source text: a bias, or what the layer is so far."""
    x, after = operation.input.name, plan.layouts.after(operation)
    for copy in plan.layouts.copies:
        if operation.connection in copy.connections:
            x = _copy_name(copy, plan)
    if before := plan.layouts.before(operation):
        x = f"{_conversion(before)}({x})"
    if is_identity(operation):
        y, added = x, ""
    else:
        # What is transposed takes a bias along, and not an array, which is in the other layout.
        added = onto if not after or onto != operation.layer else ""
        y = f"self.{operation.connection}({', '.join([x, *[added] * bool(added)])})"
    y = f"{_conversion(after)}({y})" if after else y
    return f"{y} + {onto}" if onto and not added else y


def _copy_name(copy: Copy, plan: Plan) -> str:
    """What a copy in the other layout is called."""
    taken = {data.name for data in plan.graph.inputs} | {layer.name for layer in plan.graph.layers}
    name = f"{copy.value}_{copy.to.replace(' ', '_')}"
    while name in taken:
        name += "_"
    return name


def _copies(value: str, plan: Plan) -> list[str]:
    """The line that makes the copy of a value, if there is one."""
    return [
        f"{_copy_name(copy, plan)} = {_conversion(copy.to)}({value})"
        for copy in plan.layouts.copies
        if copy.value == value
    ]


def _conversion(to: Layout) -> str:
    return "to_units_first" if to == "units first" else "to_batch_first"


def _bias(operation: AddBias, layer: str) -> str:
    if operation.by_unit:
        return f"self.{layer}.bias"
    return f"self.{layer}.unit_bias()"


def _step(operation: Operation, x: str, units_first: bool) -> str:
    """A step after the sum, of a layer that is units first or not."""
    match operation:
        case AddBias():
            return f"{x} + {_bias(operation, x)}"
        case Apply():
            return _activated(operation, x, units_first)
        case ApplyNorm():
            if units_first:
                return f"{operation.norm.name}_units_first(self.{operation.name}, {x})"
            return f"self.{operation.name}({x})"
        case Drop():
            return f"self.{x}.dropout({x})"
        case Multiply():
            return f"{operation.factor} * {x}"
        case Project() | Add():
            raise AssertionError("a sum is no step")


def _activated(operation: Apply, x: str, units_first: bool) -> str:
    """An activation; what mixes units goes along the last dimension of the layer's shape."""
    name, numbers, shape = operation.activation.name, dict(operation.arguments), operation.output.shape
    if operation.activation.derivative is not None:
        return spelled(ACTIVATIONS, name, x=x, **numbers)
    if not units_first:
        x = x if len(shape) == 1 else f"{x}.unflatten(1, {shape_text(shape)})"
        text = spelled(ACTIVATIONS, name, x=x, dim=-1, **numbers)
        return text if len(shape) == 1 else f"{text}.flatten(1)"
    x = f"({x}).t()" if " + " in x else f"{x}.t()"
    if len(shape) == 1:
        return f"{spelled(ACTIVATIONS, name, x=x, dim=0, **numbers)}.t()"
    x = f"{x}.unflatten(0, {shape_text(shape)})"
    return f"{spelled(ACTIVATIONS, name, x=x, dim=-2, **numbers)}.flatten(0, -2).t()"


TARGET = Target("torch", render)
