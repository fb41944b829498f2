"""PyTorch: what it spells differently."""

from __future__ import annotations

from ...compiler.graph.graph import (
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
from ...compiler.names.reserved import class_name
from ...compiler.plan.layouts import FREE, Copy, Layout
from ...compiler.plan.plan import Plan
from ..layout import WIDTH, call, collection, returned_sum
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

# Modules, because what explains a network by its modules (captum, shap) sees nothing else. Source text in the
# activation's parameters.
ACTIVATIONS: dict[str, str | Unsupported] = {
    "tanh": "nn.Tanh()",
    "sigmoid": "nn.Sigmoid()",
    "relu": "nn.ReLU()",
    "leaky_relu": "nn.LeakyReLU(negative_slope={slope})",
    "gelu": 'nn.GELU(approximate="none")',
    "gelu_tanh": 'nn.GELU(approximate="tanh")',
    # It turns linear above 20 unless told otherwise, which float64 would notice.
    "softplus": "nn.Softplus(threshold=50)",
    "softmax": "nn.Softmax(dim=-1)",
}

# Source text in {y}, the prediction, and {t}, the target, as (batch, ...); `F` is torch.nn.functional.
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
# Parts of layers that are ours and not PyTorch's.
PARTS = ("Scale", "Softmax", "UnitsFirstBatchNorm1d", "UnitsFirstLayerNorm", "View")
CONVERSIONS = ("to_units_first", "to_batch_first")

# Source text behind `nn.`, or `UnitsFirst` where the layer is stored so.
NORMS: dict[str, str | Unsupported] = {
    "batch_norm": "BatchNorm1d({units}, eps={eps}, momentum={momentum})",
    "layer_norm": "LayerNorm({units}, eps={eps})",
}


def render(plan: Plan) -> Rendering:
    """What the PyTorch template places."""
    graph = plan.graph
    kernels = {"arrays_of", "load_into", "flat", "unflat", *start_kernels(plan)}
    constructor: list[str] = []
    forward = [_batch_line(graph.inputs[0].name, graph.inputs[0].shape)]
    for data in graph.inputs:
        forward.append(_flat_line(data.name, data.shape))
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
    kernels |= {"returned"} if any(value.startswith("returned(") for value in outputs) else set[str]()
    losses = _losses(graph)
    checks = _loss_checks(graph)
    kernels |= {"class_codes"} if any(term.loss.codes for term in graph.losses) else set[str]()
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
        "layers_values": collection("values = {", entries, "}", 8),
        "forward_signature": call("def forward(", ["self", *typed], f") -> {returned}:", 4),
        "forward_shapes": shapes_text(graph),
        "forward_body": _forward_body(inputs, outputs),
        "loss_checks": checks,
        "loss": returned_sum(losses, 8) if losses else (),
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


def _batch_line(name: str, shape: tuple[int, ...]) -> str:
    """Dimensions before an array's declared shape are those of the batch."""
    return f"batch = {name}.shape[:-{len(shape)}]"


def _flat_line(name: str, shape: tuple[int, ...], *dtype: str) -> str:
    """An array as (batch, units); `dtype` is what its numbers are turned into if they are not floating."""
    return call(f"{name} = flat(", [f'"{name}"', name, "batch", shape_text(shape), *dtype], ")", 8)


def _returned(layer: Value, plan: Plan) -> str:
    """An output as it is returned: batch first."""
    value = f'values["{layer.name}"]'
    return value if plan.layouts.of(layer.name) == "batch first" else f"returned({value}, {layer.units})"


def _forward_body(inputs: list[str], outputs: list[str]) -> tuple[str, ...]:
    computed = f"self.layers({', '.join(inputs)})"
    if len(outputs) == 1:
        return (f"return {outputs[0].replace('values', computed, 1)}",)
    return (
        f"values = {computed}",
        call("return (", outputs, ")", 8) if len(outputs) > 6 else "return " + ", ".join(outputs),
    )


def _loss_checks(graph: Graph) -> tuple[str, ...]:
    """Lines that hold what the loss reads to its shapes: nothing is broadcast, and no code left out."""
    if not graph.losses:
        return ()
    first, lines = graph.losses[0].prediction, dict[str, str]()
    for term in graph.losses:
        y, shape = term.prediction, graph.value(term.prediction).shape
        lines[y] = _flat_line(y, shape)
    for term in graph.losses:
        y, t, shape = term.prediction, term.target, graph.value(term.prediction).shape
        if not term.loss.codes:
            lines.setdefault(t, _flat_line(t, shape, f"{y}.dtype"))
            continue
        given = [f'"{t}"', t, "batch", _tuple_text(shape[:-1]), str(shape[-1])]
        lines.setdefault(t, call(f"{t} = class_codes(", given, ")", 8))
    return (_batch_line(first, graph.value(first).shape), *lines.values())


def _tuple_text(shape: tuple[int, ...]) -> str:
    return shape_text(shape) if shape else "()"


def _losses(graph: Graph) -> list[str]:
    """The terms of the loss as source text."""
    terms: list[str] = []
    for term in graph.losses:
        y, shape = term.prediction, graph.value(term.prediction).shape
        if term.loss.codes and len(shape) > 1:
            y = f"{y}.reshape(-1, {shape[-1]})"
        terms.append(scaled(term.coefficient, spelled(LOSSES, term.loss.name, y=y, t=term.target)))
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
    """Lines of `__init__` for one layer: its projections, then the module of the layer itself."""
    lines = [line for op in chain if isinstance(op, Project) for line in _projection(op, plan, kernels)]
    class_, bias, parts = "Layer", list[str](), dict[str, str]()
    own = not _is_passed_on(chain)  # whether what the next part gets is a tensor that nothing else has
    for operation in chain:
        match operation:
            case AddBias():
                if parts:
                    class_, bias, own = "LateBiasLayer", [f"bias_behind={len(parts)}"], True
                bias.append(f"bias={operation.bias.shape[0]}")
                if not operation.by_unit:
                    bias.append(f"bias_index={bias_index(operation)}")
            case Apply() | ApplyNorm() | Drop() | Multiply():
                if isinstance(operation, Apply) and not own:
                    _add_part(parts, "view", "View()")
                _add_part(parts, *_part(operation, plan.layouts.of(layer.name) == "units first"))
                own = isinstance(operation, ApplyNorm | Multiply) or (own and isinstance(operation, Drop))
            case Project() | Add():
                pass
    kernels |= {
        class_,
        *(kernel for kernel in PARTS if any(t.startswith(f"{kernel}(") for t in parts.values())),
    }
    given = [*bias, *(f"{name}={text}" for name, text in parts.items())]
    return [*lines, call(f"self.{layer.name} = {class_}(", given, ")", 8)]


def _is_passed_on(chain: tuple[Operation, ...]) -> bool:
    """Whether a layer's sum is the value of another as it is: one connection without weights, and no bias."""
    first = next((op for op in chain if not isinstance(op, Project | Add)), None)
    projections = [op for op in chain if isinstance(op, Project)]
    return len(projections) == 1 and is_identity(projections[0]) and not isinstance(first, AddBias)


def _add_part(parts: dict[str, str], name: str, text: str) -> None:
    """Add a part of a layer under its name, numbered where there is one already: `tanh`, `tanh_2`."""
    number, free = 1, name
    while free in parts:
        number += 1
        free = f"{name}_{number}"
    parts[free] = text


def _part(operation: Apply | ApplyNorm | Drop | Multiply, units_first: bool) -> tuple[str, str]:
    """What a step of a layer is called in its module, and the source text of that part."""
    match operation:
        case Apply():
            return operation.activation.name, _activation(operation, units_first)
        case ApplyNorm():
            numbers = dict(operation.arguments)
            text = spelled(NORMS, operation.norm.name, units=operation.output.units, **numbers)
            return operation.norm.name, ("UnitsFirst" if units_first else "nn.") + text
        case Drop():
            return "dropout", f"nn.Dropout({operation.p})"
        case Multiply():
            return "scale", f"Scale({operation.factor})"


def _activation(operation: Apply, units_first: bool) -> str:
    """An activation; what mixes units goes along the last dimension of the layer's shape."""
    shape = operation.output.shape
    text = spelled(ACTIVATIONS, operation.activation.name, **dict(operation.arguments))
    if operation.activation.derivative is not None:
        return text
    if units_first:
        return f"Softmax({shape_text(shape)})"
    if len(shape) == 1:
        return text
    return f"nn.Sequential(nn.Unflatten(1, {shape_text(shape)}), {text}, nn.Flatten())"


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
    """Lines of `layers` for one layer: its sum with the bias, and the layer's module around it.

    Each projection adds onto what there is already, which the first one gets as the bias: nothing takes a
    pass of its own.
    """
    name = layer.name
    steps = [op for op in chain if not isinstance(op, Project | Add)]
    so_far = _bias(steps[0], name) if steps and isinstance(steps[0], AddBias) else ""
    lines: list[str] = []
    projections = [op for op in chain if isinstance(op, Project)]
    if _is_passed_on(chain) and all(isinstance(step, Drop) for step in steps):
        # A copy, so that each layer's value is an array of its own.
        return [f"{name} = self.{name}({_projected(projections[0], '', plan)}.clone())"]
    # Values that are passed on come first, where nothing else does: the others are added onto them.
    for operation in sorted(projections, key=lambda op: not is_identity(op)):
        so_far = _projected(operation, name if lines else so_far, plan)
        lines.append(f"{name} = {so_far}")
    # The layer goes round its last sum where that stays on one line.
    around = f"{name} = self.{name}({so_far})"
    if len(around) + 8 <= WIDTH:
        return [*lines[:-1], around]
    return [*lines, f"{name} = self.{name}({name})"]


def _projected(operation: Project, onto: str, plan: Plan) -> str:
    """A projection's sums, added onto what is given as source text: a bias, or what the layer is so far."""
    x, after = operation.input.name, plan.layouts.after(operation)
    if copy := plan.layouts.copy_for(operation.connection):
        x = _copy_name(copy, plan)
    if before := plan.layouts.before(operation):
        x = f"{_conversion(before)}({x})"
    if is_identity(operation):
        y, added = x, ""
    else:
        # What is transposed takes a bias along, and not an array, which is in the other layout.
        added = onto if not after or onto != operation.layer else ""
        y = f"self.{operation.connection}({x}{f', onto={added}' if added else ''})"
    y = f"{_conversion(after)}({y})" if after else y
    return f"{y} + {onto}" if onto and not added else y


def _copy_name(copy: Copy, plan: Plan) -> str:
    """What a copy in the other layout is called."""
    name = f"{copy.value}_{copy.to.replace(' ', '_')}"
    while name in plan.graph.values:
        name += "_"
    return name


def _copies(value: str, plan: Plan) -> list[str]:
    """The line that makes the copy of a value, if there is one."""
    copy = plan.layouts.copy_of(value)
    return [f"{_copy_name(copy, plan)} = {_conversion(copy.to)}({value})"] if copy else []


def _conversion(to: Layout) -> str:
    return "to_units_first" if to == "units first" else "to_batch_first"


def _bias(operation: AddBias, layer: str) -> str:
    if operation.by_unit:
        return f"self.{layer}.bias"
    return f"self.{layer}.unit_bias()"


TARGET = Target("torch", render)
