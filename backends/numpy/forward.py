"""The forward pass: one statement a step, in the order of the graph."""

from __future__ import annotations

from collections.abc import Iterator

from ...compiler.edges.edge_set import Diagonal, Full
from ...compiler.functions.guard import guarded
from ...compiler.graph.graph import (
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Compute,
    Cut,
    Drop,
    Entries,
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
)
from ..definitions import part_names, parted
from ..functions import NUMPY, Writer
from ..parts import factor_of, in_shape, index_of, stored_edges
from ..source import Assign, Call, Constant, Display, Expression, Name, Statement, scaled, summed, times
from ..target import is_identity
from .module import EXTRAS, Module, mixed, slopes, together, weight


def forward_steps(module: Module) -> list[Statement]:
    """Statements that compute all values from the inputs, each (samples, units)."""
    steps = [statement for step in module.steps for statement in step_statements(module, step)]
    return [*weight_steps(module), *steps]


def kept(module: Module) -> Iterator[tuple[str, Name]]:
    """What `layers` returns, by name: of every step what its derivative needs besides its value, and that."""
    for *_, op in module.steps:
        for what in EXTRAS.get(type(op), ()):
            extra = module.extras[op.output.name, what]
            yield extra.text, extra
        yield op.output.name, module.local[op.output.name]


def step_statements(module: Module, step: tuple[Operation, ...]) -> list[Statement]:
    """Statements that compute one step."""
    op = step[-1]
    output = module.local[op.output.name]
    if isinstance(step[0], Project):
        return summed(output, _terms(module, step))
    if isinstance(op, Combine):
        return _combined(module, op)
    x = module.local[step[0].inputs[0].name]
    match op:
        case Apply():
            return [Assign(output, mixed(module.scope, op, op.activation.formula, x=x))]
        case Compute():
            return [Assign(output, module.functions.value(op.function, op.numbers, x))]
        case AddBias():
            return summed(output, [x, bias_entries(module, op.bias)])
        case Rectify():
            text = "y = np.where(x > 0, x, slope * x)"
            return [*module.scope.statements(text, y=output, x=x, slope=slopes(module, op))]
        case Multiply():
            if abs(op.factor) == 1:
                text = "y = x.copy()" if op.factor == 1 else "y = -x"
                return [*module.scope.statements(text, y=output, x=x)]
            return [Assign(output, scaled(op.factor, x))]
        case Drop():
            return _dropped(module, op, x)
        case ApplyNorm():
            return [_normalised(module, op, x)]
        case _:
            raise AssertionError(op)


def _combined(module: Module, op: Combine) -> list[Statement]:
    """The value of an expression, behind statements for parts that repeat."""
    names = {value.name: module.local[value.name] for value in op.inputs}
    writer, lines = Writer(module.scope, NUMPY, names, tuple(names)), list[Statement]()
    value = parted(writer, guarded(op.tree), part_names(module.scope, op.layer), lines)
    if isinstance(value, Name):
        value = value.get("copy")()  # what is returned is not what was given
    return [*lines, Assign(module.local[op.output.name], value)]


def _terms(module: Module, step: tuple[Operation, ...]) -> list[Expression]:
    """The terms of a layer's sum: its projections, and its bias."""
    projections = [projected(module, op) for op in step if isinstance(op, Project)]
    terms = [*projections, *(bias_entries(module, op.bias) for op in step if isinstance(op, AddBias))]
    if len(terms) == 1 and isinstance(terms[0], Name):
        return [terms[0].get("copy")()]  # what is returned is not what was given
    return terms


def projected(module: Module, op: Project) -> Expression:
    """What a connection brings to its layer."""
    x = module.local[op.input.name]
    if is_identity(op):
        return x
    quote, w = module.scope.expression, weight(op, module)
    if isinstance(op, Pool) and (windows := module.windows(op)):
        return module.scope.name(f"{op.reduction.name}_of_windows")(x, windows)
    if isinstance(op, Pool):
        ends, pools = stored_edges(module.scope, op.connection), module.scope.name(f"{op.reduction.name}_of")
        return module.scope.name("pool")(x, w, ends, op.output.units, pools, op.empty)
    match op.edges:
        case Full() if op.input.classes:
            return module.scope.name("looked_up")(x, w, op.input.classes)
        case Full() if op.weight is None:
            return quote("np.repeat(x.sum(axis=1, keepdims=True), n, axis=1)", x=x, n=op.output.units)
        case Full():
            return quote("x @ w.T", x=x, w=w)
        case Diagonal():
            return quote("x * w", x=x, w=w)
        case _ if windows := module.windows(op):
            return module.scope.name("convolve")(x, w, windows)
        case _:
            ends = stored_edges(module.scope, op.connection)
            return module.scope.name("project")(x, w, ends, op.output.units)


def weight_steps(module: Module) -> list[Assign]:
    """Statements that make weights of parameters."""
    return [Assign(module.weights[name], entries(module, made)) for name, made in module.plan.made.items()]


def entries(module: Module, of: Entries) -> Expression:
    """A weight or a bias, made of its parameter."""
    match of:
        case Parameter():
            return module.p(of.name)
        case Spread():
            return in_shape(module.scope, _spread(module, of), of.shape)
        case Turned():
            return entries(module, of.of).get("T")
        case Through():
            return module.functions.value(of.function, of.numbers, entries(module, of.of))
        case Times():
            return times(factor_of(module.scope, of), entries(module, of.of))
        case Cut():
            whole, ends = module.weights[of.of.name], {"first": of.first, "last": of.last}
            return module.scope.expression("whole[first:last]", whole=whole, **ends)


def bias_entries(module: Module, bias: Entries) -> Expression:
    """A bias, one entry a unit whatever the shape of its layer."""
    return _spread(module, bias) if isinstance(bias, Spread) else entries(module, bias)


def _spread(module: Module, of: Spread) -> Expression:
    return module.scope.name("spread")(entries(module, of.of), index_of(module.scope, of))


def _dropped(module: Module, op: Drop, x: Expression) -> list[Statement]:
    keep = module.extras[op.output.name, "keep"]
    text = (
        "keep = dropout_mask(x.shape, probability, rng, **grid) if training and rng is not None else 1\n"
        "y = x * keep"
    )
    output, grid = module.local[op.output.name], together(op, "grid")
    return [*module.scope.statements(text, keep=keep, x=x, probability=op.p, grid=grid, y=output)]


def _normalised(module: Module, op: ApplyNorm, x: Expression) -> Statement:
    scope, numbers = module.scope, {name: Constant(value) for name, value in op.arguments}
    norm = scope.name(op.norm.name)
    if op.running_mean is None:
        held = [module.p(parameter.name) for parameter in (op.weight, op.bias) if parameter]
        call: Call = norm(x, *held, **numbers, **together(op))
    else:
        call = norm(x, scope.name("p"), op.name, **numbers, training=scope.name("training"), **together(op))
    extras = [module.extras[op.output.name, what] for what in EXTRAS[ApplyNorm]]
    return Assign(Display("()", (module.local[op.output.name], *extras), bare=True), call)
