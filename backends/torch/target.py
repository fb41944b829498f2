"""PyTorch: what it spells differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...compiler.edges.edge_set import Shape
from ...compiler.functions.function import Function as Stated
from ...compiler.functions.function import Numbers
from ...compiler.functions.guard import guarded
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Compute,
    Cut,
    Drop,
    Graph,
    Made,
    Multiply,
    Operation,
    Pool,
    Project,
    Rectify,
    Spread,
    Through,
    Times,
    Turned,
    Value,
    steps_of,
)
from ...compiler.graph.model import ExpressionTerm
from ...compiler.plan.layouts import FREE, Layout
from ...compiler.plan.plan import Plan
from .. import parts
from ..definitions import Definitions, native
from ..functions import TORCH, Writer, apart
from ..source import (
    Assign,
    Comment,
    Expression,
    Function,
    Given,
    Pair,
    Scope,
    Statement,
    needs_of,
    node,
    printed,
    returned_sum,
    scaled,
)
from ..target import (
    Grid,
    Rendering,
    Target,
    chain_of,
    grid_of,
    is_identity,
    loss_arguments,
    shapes_text,
    summary,
    units_digests,
)
from . import stages as over_time
from .layers import (
    batch_line,
    flat_input,
    has_module,
    held_by_model,
    is_by_channel,
    is_passed_on,
    layers_method,
    linear_of,
    makers_of,
    method,
    own_bias_of,
)
from .names import VOCABULARY, class_name

# Python's text with holes, everywhere in this module. Activations are modules, because what explains a
# network by its modules (captum, shap) sees nothing else. Holes are the activation's parameters.
ACTIVATIONS: dict[str, str] = {
    "softmax": "nn.Softmax(dim=dim)",
    "log_softmax": "nn.LogSoftmax(dim=dim)",
}

# What `Layer` and `LateBiasLayer` call their own, so that no part of a layer can be called so.
OF_LAYERS = frozenset(
    ["add_tables", "bias", "bias_behind", "bias_index", "parts", "table_names", "unit_bias"]
)
# PyTorch's own for functions of the catalogue, which `tests/functions` holds to their definitions. Not
# `nn.Hardsigmoid`, whose derivative is 1/6 in single precision whatever the input's is.
NATIVE = {
    "celu": "nn.CELU(alpha=alpha)",
    "elu": "nn.ELU(alpha=alpha)",
    "gelu": 'nn.GELU(approximate="none")',
    "gelu_tanh": 'nn.GELU(approximate="tanh")',
    "hard_shrink": "nn.Hardshrink(lambd=bound)",
    "hard_silu": "nn.Hardswish()",
    "hard_tanh": "nn.Hardtanh(min_val=low, max_val=high)",
    "leaky_relu": "nn.LeakyReLU(negative_slope=slope)",
    "log_sigmoid": "nn.LogSigmoid()",
    "mish": "nn.Mish()",
    "relu": "nn.ReLU()",
    "relu6": "nn.ReLU6()",
    "selu": "nn.SELU()",
    "sigmoid": "nn.Sigmoid()",
    "silu": "nn.SiLU()",
    "soft_shrink": "nn.Softshrink(lambd=bound)",
    # It turns linear above 20 unless told otherwise, which float64 would notice.
    "softplus": "nn.Softplus(threshold=50)",
    "softsign": "nn.Softsign()",
    "tanh": "nn.Tanh()",
    "tanh_shrink": "nn.Tanhshrink()",
    "threshold": "nn.Threshold(threshold=bound, value=value)",
}

# Holes are `y`, the prediction, and `t`, the target, as (batch, ...).
LOSSES: dict[str, str] = {
    "cross_entropy": "F.cross_entropy(y, t)",
    # PyTorch divides by the sum of weights unless it takes no mean.
    "soft_cross_entropy": "soft_cross_entropy(y, t, smoothing=smoothing, weights=weights)",
    "cosine": "cosine(y, t)",
    "binary_cross_entropy": "F.binary_cross_entropy_with_logits(y, t)",
    "mse": "F.mse_loss(y, t)",
    "squared_error": "(y - t).square().sum() / len(y)",
    "mae": "F.l1_loss(y, t)",
}

PENALTIES: dict[str, str] = {
    "l1": "w.abs().sum()",
    "l2": "w.square().sum()",
}

# Where units are units first, or several dimensions are taken together that are no neighbours.
MIXING: dict[str, str] = {
    "softmax": "Softmax(shape, over)",
    "log_softmax": "LogSoftmax(shape, over)",
}

NORMS: dict[Layout, dict[str, str]] = {
    "batch first": {
        "batch_norm": "nn.BatchNorm1d(units, eps=eps, momentum=momentum)",
        "layer_norm": "nn.LayerNorm(units, eps=eps)",
        "rms_norm": "nn.RMSNorm(units, eps=eps)",
    },
    "units first": {
        "batch_norm": "UnitsFirstBatchNorm1d(units, eps=eps, momentum=momentum)",
        "layer_norm": "UnitsFirstLayerNorm(units, eps=eps)",
        "rms_norm": "GroupedRMSNorm((units,), (1,), eps=eps)",
    },
}

# Norms of units that are taken together by their place in the layer.
GROUPED_NORMS: dict[str, str] = {
    "batch_norm": "GroupedBatchNorm(entries, shape, over, eps=eps, momentum=momentum, **units_first)",
    "layer_norm": "GroupedLayerNorm(shape, over, eps=eps)",
    "rms_norm": "GroupedRMSNorm(shape, over, eps=eps)",
}


# The layers that pool otherwise than by a sum, and all layers whose checkpoints say which edges they are for.
POOLS = {
    "mean": "EdgeMean",
    "max": "EdgeMax",
    "min": "EdgeMin",
    "product": "EdgeProduct",
    "logsumexp": "EdgeLogSumExp",
}
# Those that pool windows on a grid.
WINDOW_POOLS = {"mean": "WindowMean", "max": "WindowMax", "min": "WindowMin"}
ALONG_EDGES = frozenset(
    [
        *("BlockProjection", "ConvolutionProjection", "EdgeProjection", "MaskedProjection"),
        *POOLS.values(),
        *WINDOW_POOLS.values(),
    ]
)

# The constructor has no names of the spec, but as attributes.
PLAIN = Scope(VOCABULARY, frozenset())


def render(plan: Plan) -> Rendering:
    """What the PyTorch template places."""
    graph, scope = plan.graph, Scope(VOCABULARY, parts.names_of_spec(plan.graph))
    made = _definitions(plan)
    constructor = _constructor(plan, made)
    methods = [*(over_time.methods if graph.has_time else _methods)(scope, plan), *_loss(scope, plan)]
    functions = [
        parts.start_function(PLAIN, plan, "start_values"),
        parts.wiring(PLAIN, plan),
        *parts.unit_name_functions(PLAIN, plan),
        *((function,) for function in made.statements),
    ]
    trees = constructor, methods, functions
    frame = PLAIN.expression("[np, torch, nn, Mapping, arrays_of, load_into]")
    context = {
        "name": graph.name,
        "class_name": class_name(graph.name),
        "summary": summary(plan),
        "array_names": printed(_array_names(plan), 4),
        "constructor": printed(constructor, 8),
        "methods": tuple(printed([method], 4) for method in methods),
        "functions": tuple(printed(function) for function in functions if function),
        "aliases": printed(scope.aliases(*trees)),
    }
    return Rendering(context, needs_of(frame, *trees))


# ------------------------------------------------------------------------------------------- constructor


def _definitions(plan: Plan) -> Definitions:
    """The functions that the module defines."""
    scope = Scope(VOCABULARY, frozenset([class_name(plan.graph.name)]))
    return Definitions(scope, PLAIN, TORCH, "Tensor")


def _constructor(plan: Plan, made: Definitions) -> list[Statement]:
    """The statements of `__init__` that are the network's own."""
    graph = plan.graph
    lines = _shared_parameters(plan, made)
    lines += [
        line for layer in graph.layers for line in _construct(layer, chain_of(graph, layer), plan, made)
    ]
    if any(linear_of(layer, plan) for layer in graph.layers):
        lines[:0] = PLAIN.statements("state = torch.get_rng_state()")
        lines += [Comment("Start values come by name: nothing is drawn from PyTorch's generator.")]
        lines += PLAIN.statements("torch.set_rng_state(state)")
    lines[:0] = parts.loading(PLAIN, plan, lines)
    if parts_of := [op.connection for op in graph.projections if op.connection in graph.parts]:
        some = [PLAIN.name("self").get(each) for each in parts_of]
        lines += PLAIN.statements("without_digests(*some)", some=some)
    if digests := units_digests(plan):
        pairs = [Pair(node(name), node(digest)) for name, digest in digests.items()]
        lines += PLAIN.statements("digests = {**pairs}\nhold_units(self, digests)", pairs=pairs)
    if needs_of(lines).kernels & ALONG_EDGES:
        lines += PLAIN.statements("self.register_load_state_dict_pre_hook(refuse_other_edges)")
    return lines


def _shared_parameters(plan: Plan, functions: Definitions) -> list[Statement]:
    """The parameters that are the model's own, and what makes weights of them."""
    parameters = {parameter.name: parameter for parameter in plan.graph.parameters}
    lines: list[Statement] = []
    for name, attribute in held_by_model(plan).items():
        shape, own = parameters[name].shape, PLAIN.name("self")
        zeros = PLAIN.expression("torch.zeros(*shape)", shape=shape)
        if parameters[name].trainable:
            lines.append(Assign(own.get(attribute), PLAIN.expression("nn.Parameter(zeros)", zeros=zeros)))
        else:
            lines += PLAIN.statements("self.register_buffer(name, zeros)", name=attribute, zeros=zeros)
    for name, attribute in makers_of(plan).items():
        made = [_maker(step, functions) for step in steps_of(plan.made[name])]
        whole = made[0] if len(made) == 1 else PLAIN.expression("nn.Sequential(*made)", made=made)
        lines.append(_attribute(attribute, whole))
    return lines


def _maker(step: Made, functions: Definitions) -> Expression:
    """The module of one step from a parameter to a weight."""
    match step:
        case Spread():
            index = parts.index_of(PLAIN, step)
            return PLAIN.name("Spread")(index, node(step.of.shape), node(step.shape))
        case Turned():
            return PLAIN.name("Turned")()
        case Through():
            return _computed(step.function, step.numbers, functions)
        case Times(factor=float() as factor):
            return PLAIN.expression("Scale(factor)", factor=factor)
        case Times():
            return PLAIN.name("Times")(parts.factor_of(PLAIN, step))
        case Cut():
            raise AssertionError(step)  # which is no module


def _array_names(plan: Plan) -> tuple[Statement, ...]:
    """What maps PyTorch's names of parameters to those in every target, where they differ."""
    graph = plan.graph
    pairs = [
        Pair(node(f"{linear.connection}.bias"), node(bias.parameter.name))
        for layer in graph.layers
        if (linear := linear_of(layer, plan)) and (bias := own_bias_of(layer, plan))
    ]
    pairs += [
        Pair(node(attribute), node(name))
        for name, attribute in held_by_model(plan).items()
        if attribute != name
    ]
    pairs += [
        Pair(node(f"{layer.layer}.bias"), node(op.parameter.name))
        for layer in graph.layers
        for op in chain_of(graph, layer)
        if isinstance(op, AddBias) and not op.holds_bias
    ]
    return PLAIN.statements("_array_names = {**pairs}", pairs=pairs) if pairs else ()


def _construct(
    layer: Value, chain: tuple[Operation, ...], plan: Plan, functions: Definitions
) -> list[Statement]:
    """What makes one layer: its projections, then the module of the layer itself, if it needs one."""
    lines = [line for op in chain if isinstance(op, Project) for line in _projection(op, layer, plan)]
    own_bias, linear = own_bias_of(layer, plan), linear_of(layer, plan)
    class_, layout = "Layer", plan.layouts.of(layer.name)
    bias, made = dict[str, Given](), dict[str, Expression]()
    own = not is_passed_on(chain)  # whether what the next part gets is a tensor that nothing else has
    for operation in chain:
        match operation:
            case AddBias() if operation is own_bias:
                pass
            case AddBias():
                if made:
                    class_, bias["bias_behind"], own = "LateBiasLayer", len(made), True
                bias["bias"] = operation.parameter.shape[0]
                if not operation.holds_bias:
                    bias["bias"] = PLAIN.name("self").get(operation.parameter.name)
                if isinstance(operation.bias, Spread) and not is_by_channel(operation, chain, plan):
                    bias["bias_index"] = parts.index_of(PLAIN, operation.bias)
            case Apply() | Compute() | Rectify() | ApplyNorm() | Drop() | Multiply():
                if isinstance(operation, Apply | Compute | Rectify) and not own:
                    _add_part(made, "view", PLAIN.expression("View()"))
                _add_part(made, *_part(operation, layout, functions))
                own = isinstance(operation, ApplyNorm | Multiply) or (own and isinstance(operation, Drop))
            case Project() | Add() | Combine():
                pass
    if linear is None or bias:
        module = PLAIN.name(class_)(**bias, **made)
    elif len(made) == 1 and isinstance(chain[-1], Apply | Compute):
        (module,) = made.values()
    else:
        module = PLAIN.expression("nn.Sequential(OrderedDict(**made))", made=made)
    return [*lines, _attribute(layer.name, module)] if has_module(layer, plan) else lines


def _attribute(name: str, value: Expression) -> Assign:
    return Assign(PLAIN.name("self").get(name), value)


def _add_part(made: dict[str, Expression], name: str, part: Expression) -> None:
    """Add a part of a layer under its name, numbered where there is one already: `tanh`, `tanh_2`."""
    number, free = 1, name
    while free in made or free in OF_LAYERS:
        number += 1
        free = f"{name}_{number}"
    made[free] = part


def _part(
    operation: Apply | Compute | Rectify | ApplyNorm | Drop | Multiply,
    layout: Layout,
    functions: Definitions,
) -> tuple[str, Expression]:
    """What a step of a layer is called in its module, and that part."""
    match operation:
        case Apply():
            return operation.activation.name, _activation(operation, layout)
        case Compute():
            return operation.function.name, _computed(operation.function, operation.numbers, functions)
        case Rectify():
            text = "GroupedPReLU(**grid)" if (grid := _grid(operation)) else "PReLU(units)"
            return "prelu", PLAIN.expression(text, grid=grid, units=operation.output.units)
        case ApplyNorm():
            return operation.norm.name, _norm(operation, layout)
        case Drop():
            text = "GroupedDropout(p, **grid)" if (grid := _grid(operation)) else "nn.Dropout(p)"
            return "dropout", PLAIN.expression(text, p=operation.p, grid=grid)
        case Multiply():
            return "scale", PLAIN.expression("Scale(factor)", factor=operation.factor)


def _computed(function: Stated, numbers: Numbers, functions: Definitions) -> Expression:
    """A function as a module: PyTorch's own, or one that calls what the module defines."""
    if (text := native(NATIVE, function, numbers)) is not None:
        return PLAIN.expression(text, **dict(numbers))
    name, (_, *parameters) = functions.defined(function, numbers)
    given = {each.text: value for each, (_, value) in zip(parameters, numbers, strict=True)}
    return PLAIN.expression("Elementwise(function, **given)", function=name, given=given)


def _grid(operation: Rectify | Drop) -> dict[str, Given]:
    """Where units are taken together, by the names that kernels have for that."""
    grid = grid_of(operation)
    return {"shape": grid.shape, "over": grid.over} if grid else {}


def _norm(operation: ApplyNorm, layout: Layout) -> Expression:
    name, numbers = operation.norm.name, dict(operation.arguments)
    if grid := grid_of(operation):
        return parts.spelled(
            PLAIN,
            GROUPED_NORMS,
            name,
            entries=operation.weight.shape[0],
            shape=grid.shape,
            over=grid.over,
            **numbers,
            units_first={"units_first": True} if layout == "units first" else {},
        )
    return parts.spelled(PLAIN, NORMS[layout], name, units=operation.output.units, **numbers)


def _activation(operation: Apply, layout: Layout) -> Expression:
    """An activation that mixes units, which sees them in the layer's shape."""
    name, numbers = operation.activation.name, dict(operation.arguments)
    grid, every = grid_of(operation), Grid((operation.output.units,), (1,))
    shape, over = (grid or every).shape, list((grid or every).over)
    if layout == "units first" or len(over) > 1:
        return parts.spelled(PLAIN, MIXING, name, **numbers, shape=shape, over=tuple(over))
    axis = over[-1]
    plain = parts.spelled(PLAIN, ACTIVATIONS, name, **numbers, dim=-1 if axis == len(shape) else axis)
    if grid is None:
        return plain
    text = "nn.Sequential(nn.Unflatten(1, shape), plain, nn.Flatten())"
    return PLAIN.expression(text, shape=shape, plain=plain)


def _projection(operation: Project, layer: Value, plan: Plan) -> list[Statement]:
    if is_identity(operation):
        return []  # the value itself
    if operation is linear_of(layer, plan):
        return [_attribute(operation.connection, _plain_linear(operation, layer, plan))]
    name, edges = operation.connection, operation.edges
    kernel = plan.choice(name).kernel
    shape, weight = (operation.output.units, operation.input.units), operation.weight
    options = dict[str, Given]()
    made = weight is not None and not operation.holds_weight
    if operation.holds_weight and operation.parameter and not operation.parameter.trainable:
        options["trainable"] = False
    if not operation.holds_weight and kernel not in ("dense", "diagonal", "convolution", "window"):
        options["weighted"] = False
    if kernel in FREE and plan.layouts.of(operation.layer) == "units first":
        options["units_first"] = True
    if isinstance(operation, Pool) and operation.has_empty:
        options["empty"] = operation.empty
    match kernel:
        case "embedding":
            class_, arguments = "Embedding", [shape, operation.input.classes]
        case "dense" if weight is None:
            class_, arguments = "DenseSum", [shape[0]]
        case "dense":
            class_, arguments = ("DenseProduct", []) if made else ("DenseProjection", [shape])
        case "diagonal":
            class_, arguments = ("DiagonalProduct", []) if made else ("DiagonalProjection", [shape[1]])
        case "blocks":
            class_, arguments = "BlockProjection", [shape, *parts.block_arguments(PLAIN, edges, name)]
        case "edges" | "band":
            class_, arguments = "EdgeProjection", [parts.stored_edges(PLAIN, name), shape]
        case "masked":
            class_, arguments = "MaskedProjection", [parts.stored_edges(PLAIN, name), shape]
        case "convolution":
            windows = parts.windows(PLAIN, plan.window(name))
            class_, arguments = "ConvolutionProjection", [parts.stored_edges(PLAIN, name), windows]
        case "window":
            assert isinstance(operation, Pool)
            windows = parts.windows(PLAIN, plan.window(name))
            class_ = WINDOW_POOLS[operation.reduction.name]
            arguments = [parts.stored_edges(PLAIN, name), windows]
        case "pool":
            assert isinstance(operation, Pool)
            class_, arguments = POOLS[operation.reduction.name], [parts.stored_edges(PLAIN, name), shape]
    return [_attribute(name, PLAIN.name(class_)(*arguments, **options))]


def _plain_linear(operation: Project, layer: Value, plan: Plan) -> Expression:
    bias = {} if own_bias_of(layer, plan) else {"bias": False}
    made = PLAIN.expression(
        "nn.Linear(n_source, n_target, **bias)",
        n_source=operation.input.units,
        n_target=operation.output.units,
        bias=bias,
    )
    assert operation.parameter is not None
    return made if operation.parameter.trainable else PLAIN.expression("frozen(made)", made=made)


# ----------------------------------------------------------------------------------------------- methods


def _methods(scope: Scope, plan: Plan) -> list[Function]:
    """`layers`, and `forward` of it."""
    return [layers_method(scope, plan), _forward(scope, plan)]


def _forward(scope: Scope, plan: Plan) -> Function:
    graph = plan.graph
    inputs = [data.name for data in graph.inputs]
    values = scope.name("self").get("layers")(*(scope.user(name) for name in inputs))
    if len(graph.outputs) == 1:
        value = _returned(scope, values, graph.value(graph.outputs[0]), plan)
        body = scope.statements("return value", value=value)
        returns = scope.name("Tensor")
    else:
        given = [_returned(scope, scope.name("values"), graph.value(name), plan) for name in graph.outputs]
        body = scope.statements("values = computed\nreturn *given,", computed=values, given=given)
        returns = scope.expression("tuple[Tensor, ...]")
    return method(scope, "forward", inputs, [*body], returns, f"{shapes_text(graph)}.")


def _returned(scope: Scope, values: Expression, layer: Value, plan: Plan) -> Expression:
    """An output as it is returned: batch first."""
    value = values.at(layer.name)
    if plan.layouts.of(layer.name) == "batch first":
        return value
    return scope.expression("returned(value, units)", value=value, units=layer.units)


def _loss(scope: Scope, plan: Plan) -> list[Function]:
    """The method `loss`, if there is a term for it."""
    graph, lines = plan.graph, list[Statement]()
    terms = _terms(scope, graph, held_by_model(plan), lines)
    if not terms:
        return []
    body = [*_loss_checks(scope, graph), *lines, *returned_sum(terms, scope.name("total"))]
    said, arguments = "The loss of the network above, a mean over the batch.", [*loss_arguments(graph)]
    return [method(scope, "loss", arguments, body, scope.name("Tensor"), said)]


def _loss_checks(scope: Scope, graph: Graph) -> list[Statement]:
    """What holds what the loss reads to its shapes: nothing is broadcast, and no code left out."""
    if not graph.losses:
        return []
    checks: dict[str, Sequence[Statement]] = {}
    over = [name for name in graph.compared if graph.is_given_over_time(name)]
    first, both = (over or graph.compared)[0], 0 < len(over) < len(graph.compared)
    batch = [*batch_line(scope, first, graph.value(first).shape)]
    # Over time the steps are samples like others.
    once = scope.new("batch_of_a_step") if both else scope.name("batch")
    batch += scope.statements("once = batch[:-1]", once=once) if both else ()

    def flat(name: str, like: str, shape: Shape, *dtype: Given) -> Sequence[Statement]:
        return flat_input(scope, name, shape, *dtype, batch=None if like in over else once)

    for y in graph.compared:
        checks[y] = flat(y, y, graph.value(y).shape)
    for term in graph.losses:
        y, shape = term.layers[0], graph.value(term.layers[0]).shape
        if isinstance(term, ExpressionTerm) or not term.loss.codes:
            for t in term.data:
                checks.setdefault(t, flat(t, y, shape, scope.user(y).get("dtype")))
            continue
        t = term.target
        codes = scope.statements(
            "t = class_codes(name, t, batch, shape, classes)",
            batch=scope.name("batch") if y in over else once,
            t=scope.user(t),
            name=t,
            shape=shape[:-1],
            classes=shape[-1],
        )
        checks.setdefault(t, codes)
    return [*batch, *(line for lines in checks.values() for line in lines)]


def _terms(scope: Scope, graph: Graph, held: Mapping[str, str], lines: list[Statement]) -> list[Expression]:
    """The terms of the loss, behind `lines` for what is long; `held` are parameters of the model's own."""
    terms: list[Expression] = []
    for term in graph.losses:
        if isinstance(term, ExpressionTerm):
            names = {name: scope.user(name) for name in (*term.layers, *term.data)}
            each = Writer(scope, TORCH, names, tuple(names)).value(guarded(term.value))
            each = apart(lines, lambda term=term: scope.new(f"{term.layers[0]}_costs"), each)
            text = "each.mean()" if term.pool == "mean" else "each.sum() / len(y)"
            pooled = scope.expression(text, each=each, y=names[term.layers[0]])
            terms.append(scaled(term.coefficient, pooled))
            continue
        y, shape = term.prediction, graph.value(term.prediction).shape
        prediction: Expression = scope.user(y)
        if term.loss.codes and len(shape) > 1:
            prediction = scope.expression("y.reshape(-1, classes)", y=prediction, classes=shape[-1])
        given = {"y": prediction, "t": scope.user(term.target), **dict(term.arguments)}
        spelled = parts.spelled(scope, LOSSES, term.loss.name, **given)
        terms.append(scaled(term.coefficient, spelled))
    for penalty in graph.penalties:
        own = scope.name("self")
        weight: Expression = own.get(graph.weighted[penalty.parameter].connection).get("weight")
        if penalty.parameter in held:
            weight = own.get(held[penalty.parameter])
        spelled = parts.spelled(scope, PENALTIES, penalty.penalty.name, w=weight)
        terms.append(scaled(penalty.coefficient, spelled))
    return terms


TARGET = Target("torch", "PyTorch", render, rematerialises=True)
