"""The methods of a PyTorch module that compute layers, statement by statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from ...compiler.edges.edge_set import Full
from ...compiler.functions.guard import guarded
from ...compiler.functions.tree import is_name
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Combine,
    Cut,
    Drop,
    Operation,
    Project,
    Spread,
    Value,
    identifier,
    parameter_of,
)
from ...compiler.graph.graph import Parameter as GraphParameter
from ...compiler.graph.model import Data
from ...compiler.plan.layouts import Layout
from ...compiler.plan.plan import Plan
from .. import parts
from ..definitions import part_names, parted
from ..functions import TORCH, Writer, apart
from ..source import (
    Assign,
    Attribute,
    Binary,
    Expression,
    Function,
    Given,
    Name,
    Pair,
    Parameter,
    Scope,
    Statement,
    node,
)
from ..target import (
    behind,
    chain_of,
    expression_of,
    is_identity,
)

# What turns a value into a layout, and what a copy in it is called behind the value's name.
CONVERSIONS: dict[Layout, str] = {"units first": "to_units_first", "batch first": "to_batch_first"}
COPIES: dict[Layout, str] = {"units first": "units_first", "batch first": "batch_first"}

Copies: TypeAlias = Mapping[str, Expression]


def linear_of(layer: Value, plan: Plan) -> Project | None:
    """The connection that is all of a layer's sum, with a bias if there is one, where `nn.Linear` does that.

    It gives what is batch first. A bias that comes later or that units share is the layer's.
    """
    chain = chain_of(plan.graph, layer)
    projections = [op for op in chain if isinstance(op, Project)]
    if len(projections) != 1 or plan.layouts.of(layer.name) != "batch first":
        return None
    only, biases = projections[0], [op for op in chain if isinstance(op, AddBias)]
    shared = any(not (op.by_unit and op.holds_bias) for op in biases)
    if only.input.classes or not only.holds_weight or shared:
        return None
    return only if isinstance(only.edges, Full) else None


def held_by_model(plan: Plan) -> dict[str, str]:
    """The attributes of the model that are parameters, by the parameters' names: what weights are made of."""
    graph = plan.graph
    weights = [op.parameter for op in graph.projections if op.parameter and not op.holds_weight]
    biases = [op.parameter for op in graph.operations if isinstance(op, AddBias) and not op.holds_bias]
    starts = [delay.start for delay in graph.delays if isinstance(delay.start, GraphParameter)]
    held = {parameter.name: parameter.name for parameter in (*weights, *biases, *starts)}
    return attributes(plan, held)


def makers_of(plan: Plan) -> dict[str, str]:
    """The attributes of the model that make weights of parameters, by the weights' names."""
    whole = (name for name, made in plan.made.items() if not isinstance(made, Cut))
    return attributes(plan, {name: f"{name}.entries" for name in whole})


def attributes(plan: Plan, wished: Mapping[str, str]) -> dict[str, str]:
    """Names of attributes that nothing else of a model has; those of the spec stay as they are."""
    names = parts.names_of_spec(plan.graph)
    attributes: dict[str, str] = {}
    for key, wish in wished.items():
        name = identifier(wish)
        while name in names and "." in wish:
            name += "_"
        attributes[key] = name
    return attributes


def own_bias_of(layer: Value, plan: Plan) -> AddBias | None:
    """The bias that `nn.Linear` adds, where it computes a layer's sum."""
    first = next(iter(behind(chain_of(plan.graph, layer))), None)
    return first if isinstance(first, AddBias) and linear_of(layer, plan) else None


def has_module(layer: Value, plan: Plan) -> bool:
    """Whether a layer has a module of its own: not where `nn.Linear` does all there is to do."""
    steps = behind(chain_of(plan.graph, layer))
    return not linear_of(layer, plan) or [op for op in steps if op is not own_bias_of(layer, plan)] != []


def is_passed_on(chain: tuple[Operation, ...]) -> bool:
    """Whether a layer begins with the value of another as it is.

    That is so of one connection without weights, and of an expression that is a name, without a bias.
    """
    first, projections = next(iter(behind(chain)), None), [op for op in chain if isinstance(op, Project)]
    if isinstance(first, AddBias):
        return False
    if expression := expression_of(chain):
        return is_name(expression.tree)
    return len(projections) == 1 and is_identity(projections[0])


def method(
    scope: Scope, name: str, tensors: list[str], body: list[Statement], returns: Expression, docstring: str
) -> Function:
    """A method that takes tensors with names of the spec."""
    tensor = scope.name("Tensor")
    parameters = (Parameter(scope.name("self")), *(Parameter(scope.user(each), tensor) for each in tensors))
    return Function(name, parameters, tuple(body), returns, docstring)


def layers_method(scope: Scope, plan: Plan) -> Function:
    """`layers`, which returns every layer's value."""
    graph, layouts = plan.graph, plan.layouts
    copies = {copy.value: scope.new(f"{copy.value}_{COPIES[copy.to]}") for copy in layouts.copies}
    first = graph.inputs[0]
    body = [*batch_line(scope, first.name, first.shape)]
    for data in graph.inputs:
        x = scope.user(data.name)
        body += flat_input(scope, data.name, data.shape) if data.classes is None else codes_input(scope, data)
        if layouts.of(data.name) == "units first":
            body += scope.statements("x = to_units_first(x)", x=x)
        body += copy_lines(scope, data.name, plan, copies)
    weights, made = weights_of(scope, plan)
    body += made
    for layer in graph.layers:
        body += layer_lines(scope, layer, chain_of(graph, layer), plan, copies | weights)
        body += copy_lines(scope, layer.name, plan, copies)
    pairs = [Pair(node(layer.name), shaped(scope, layer)) for layer in graph.layers]
    body += scope.statements("values = {**pairs}\nreturn unflat(values, batch)", pairs=pairs)
    said = "Every layer's value by name, each an array of its own."
    inputs = [data.name for data in graph.inputs]
    return method(scope, "layers", inputs, body, scope.expression("dict[str, Tensor]"), said)


def codes_input(scope: Scope, data: Data) -> tuple[Statement, ...]:
    """Class codes as (batch, positions)."""
    text = "x = input_codes(name, x, batch, shape, classes)"
    x = scope.user(data.name)
    return scope.statements(text, x=x, name=data.name, shape=data.shape, classes=data.classes)


def weights_of(scope: Scope, plan: Plan) -> tuple[dict[str, Expression], list[Statement]]:
    """The weight of each connection that does not hold its own, under a key of its own, and what makes it."""
    own, held, makers = scope.name("self"), held_by_model(plan), makers_of(plan)
    variables: dict[str, Expression] = {}
    lines: list[Statement] = []
    for name, maker in makers.items():
        cuts = plan.cuts.get(name, ())
        variable = scope.new(identifier(name) + "_by_delay" * bool(cuts))
        entries: Expression = own.get(maker)(own.get(held[parameter_of(plan.made[name]).name]))
        if cuts:
            entries = entries.get("split")(node(tuple(cut.last - cut.first for cut in cuts)))
        lines.append(Assign(variable, entries))
        variables[name] = variable
        variables |= {cut.name: variable.at(number) for number, cut in enumerate(cuts)}
    weights: dict[str, Expression] = {}
    for op in plan.graph.projections:
        if (weight := plan.weight(op)) is not None and not op.holds_weight:
            named = isinstance(weight, GraphParameter)
            weights[weight_key(op)] = own.get(held[weight.name]) if named else variables[weight.name]
    return weights, lines


def weight_key(operation: Project) -> str:
    """What a connection's weight is found by, beside copies of values, whose names have no dot."""
    return f"{operation.connection}.weight"


def batch_line(
    scope: Scope, name: str, shape: tuple[int, ...], batch: Name | None = None
) -> tuple[Statement, ...]:
    """Dimensions before an array's declared shape are those of the batch, which has a name."""
    x, batch = scope.user(name), batch or scope.name("batch")
    if not shape:
        return scope.statements("batch = x.shape", batch=batch, x=x)
    return scope.statements("batch = x.shape[:end]", batch=batch, x=x, end=-len(shape))


def flat_input(
    scope: Scope, name: str, shape: tuple[int, ...], *dtype: Given, batch: Name | None = None
) -> tuple[Statement, ...]:
    """An array as (batch, units); `dtype` is what its numbers are turned into if they are not floating."""
    return scope.statements(
        "x = flat(name, x, batch, shape, *dtype)",
        batch=batch or scope.name("batch"),
        x=scope.user(name),
        name=name,
        shape=shape,
        dtype=dtype,
    )


def copy_lines(scope: Scope, value: str, plan: Plan, copies: Copies) -> list[Statement]:
    """The line that makes the copy of a value, if there is one."""
    copy = plan.layouts.copy_of(value)
    return [Assign(copies[value], converted(scope, scope.user(value), copy.to))] if copy else []


def converted(scope: Scope, x: Expression, to: Layout) -> Expression:
    """A value in a layout: a copy, unless it is that already."""
    return scope.name(CONVERSIONS[to])(x)


def shaped(scope: Scope, layer: Value, value: Expression | None = None) -> Expression:
    """A layer's value in its declared shape."""
    value = value or scope.user(layer.name)
    if len(layer.shape) == 1:
        return value
    return scope.expression("value.unflatten(1, shape)", value=value, shape=layer.shape)


def layer_lines(
    scope: Scope,
    layer: Value,
    chain: tuple[Operation, ...],
    plan: Plan,
    copies: Copies,
    same: Collection[str] = (),
) -> list[Statement]:
    """One layer in `layers`: its sum with the bias, and the layer's module around it.

    An expression reads at every step what is the `same` at all of them.
    """
    value, module = scope.user(layer.name), scope.name("self").get(layer.name)
    steps, bias = behind(chain), None
    if steps and isinstance(steps[0], AddBias) and not own_bias_of(layer, plan):
        bias = bias_of(steps[0], chain, module, plan)
    # A copy, so that each layer's value is an array of its own.
    copied = is_passed_on(chain) and all(isinstance(step, Drop) for step in steps)
    if expression := expression_of(chain):
        lines = list[Statement]()
        made = combined(scope, expression, plan, copies, lines, same)
        made = made.get("clone")() if copied else made
        made = apart(lines, lambda: value, made if bias is None else Binary(made, "+", bias))
        return [*lines, Assign(value, module(made))]
    projections = [op for op in chain if isinstance(op, Project)]
    if copied:
        passed = projected(scope, projections[0], None, plan, copies)
        return [Assign(value, module(passed.get("clone")()))]
    return summed_layer(scope, layer, projections, bias, plan, copies)


def summed_layer(
    scope: Scope,
    layer: Value,
    projections: Iterable[Project],
    onto: Expression | None,
    plan: Plan,
    copies: Copies,
) -> list[Statement]:
    """Statements for a layer that is the sum of projections, with its module around the last of these."""
    value, module = scope.user(layer.name), scope.name("self").get(layer.name)
    *sums, last = sums_onto(scope, projections, value, onto, plan, copies)
    whole = module(last) if has_module(layer, plan) else last
    return [*(Assign(value, each) for each in sums), Assign(value, whole)]


def sums_onto(
    scope: Scope,
    projections: Iterable[Project],
    value: Expression,
    onto: Expression | None,
    plan: Plan,
    copies: Copies,
) -> list[Expression]:
    """The sums of projections, each of which is assigned to `value`: the next is of that.

    Each projection adds onto what there is already, which the first one gets as the bias, or as what it is
    added `onto`: nothing takes a pass of its own.
    """
    sums = list[Expression]()
    # Values that are passed on come first, where nothing else does: the others are added onto them.
    for operation in sorted(projections, key=lambda op: not is_identity(op)):
        sums.append(projected(scope, operation, value if sums else onto, plan, copies))
    return sums


def projections_onto(
    scope: Scope,
    projections: Iterable[Project],
    value: Expression,
    onto: Expression | None,
    plan: Plan,
    copies: Copies,
) -> list[Statement]:
    """Statements that make `value` the sum of projections and of what they are added `onto`."""
    return [Assign(value, each) for each in sums_onto(scope, projections, value, onto, plan, copies)]


def combined(
    scope: Scope,
    expression: Combine,
    plan: Plan,
    copies: Copies,
    lines: list[Statement],
    same: Collection[str] = (),
) -> Expression:
    """The value of an expression, which reads all in one layout; what is long stands in `lines` before it.

    Where it reads what is the `same` at every step, the other values have a dimension for these.
    """
    names: dict[str, Expression] = {}
    for value in expression.inputs:
        x = scope.user(value.name)
        if plan.layouts.is_copy_read(value.name, expression.layer):
            x = copies[value.name]
        if before := plan.layouts.before(value.name, expression.layer):
            local = scope.new(f"{value.name}_{COPIES[before]}")
            lines.append(Assign(local, converted(scope, x, before)))
            x = local
        if same and value.name not in same:
            local = scope.new(f"{value.name}_by_step")
            lines += scope.statements("local = by_step(x, steps)", local=local, x=x)
            x = local
        names[value.name] = x
    writer = Writer(scope, TORCH, names, tuple(names))
    made = parted(writer, guarded(expression.tree), part_names(scope, expression.layer), lines)
    return scope.expression("made.flatten(0, 1)", made=made) if same else made


def projected(
    scope: Scope, operation: Project, onto: Expression | None, plan: Plan, copies: Copies
) -> Expression:
    """A projection's sums, added onto what is given: a bias, or what the layer is so far."""
    x, after = scope.user(operation.input.name), plan.layouts.after(operation)
    if plan.layouts.is_copy_read(operation.input.name, operation.connection):
        x = copies[operation.input.name]
    if before := plan.layouts.before(operation.input.name, operation.connection):
        x = converted(scope, x, before)
    # What is transposed takes a bias along, and not an array, which is in the other layout.
    takes = not is_identity(operation) and not (after and isinstance(onto, Name))
    y: Expression = x
    if not is_identity(operation):
        given: dict[str, Given] = {"onto": onto} if onto is not None and takes else {}
        if weight_key(operation) in copies:
            given["weight"] = copies[weight_key(operation)]
        y = scope.name("self").get(operation.connection)(x, **given)
    if after:
        y = converted(scope, y, after)
    return y if onto is None or takes else scope.expression("y + onto", y=y, onto=onto)


def bias_of(operation: AddBias, chain: tuple[Operation, ...], module: Attribute, plan: Plan) -> Expression:
    """The bias of every unit; that of every channel where a convolution adds it."""
    whole = operation.by_unit or is_by_channel(operation, chain, plan)
    return module.get("bias") if whole else module.get("unit_bias")()


def is_by_channel(operation: AddBias, chain: tuple[Operation, ...], plan: Plan) -> bool:
    """Whether a bias is the first thing that is added to a convolution, and each channel of it has one."""
    bias = operation.bias
    projections = [op for op in chain if isinstance(op, Project)]
    first = next((op for op in chain if not isinstance(op, Project | Add)), None)
    if first is not operation or not isinstance(bias, Spread) or bias.per is None:
        return False
    if plan.graph.has_time and len(projections) > 1:
        return False  # another one may be the first to add it
    if any(map(is_identity, projections)) or plan.choice(projections[0].connection).kernel != "convolution":
        return False
    window, rank = plan.window(projections[0].connection), len(bias.shape)
    behind = rank - len(window.along)
    channels = range(len(window.along), rank) if window.last[1] else range(behind)
    return window.copies == 1 and bias.per == tuple(channels) != ()
