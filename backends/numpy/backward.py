"""The backward pass: the graph in the opposite order, with one function a kind of operation.

Each of these gives what the operation's inputs and parameters get of its output's gradient `d`, and the walk
adds this to what they have from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from functools import partial
from typing import TypeAlias

from ...compiler.edges.edge_set import Full
from ...compiler.functions.derive import derivative, reusing
from ...compiler.functions.guard import guarded
from ...compiler.functions.simplify import simplified
from ...compiler.functions.tree import ZERO, Argument, apply, walk
from ...compiler.functions.tree import Apply as Word
from ...compiler.graph.graph import (
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Compute,
    Cut,
    Drop,
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
    parameter_of,
    steps_of,
)
from ...compiler.graph.model import ExpressionTerm
from ...dsl.records import record
from ..definitions import is_short, part_names, parted
from ..functions import NUMPY, Writer, apart
from ..parts import factor_of, index_along, index_of, stored_edges
from ..source import (
    Assign,
    Binary,
    Comment,
    Expression,
    Name,
    Statement,
    flat,
    names_in,
    node,
    scaled,
    sum_of,
    times,
)
from ..target import is_identity, is_sparse
from .forward import entries, weight_steps
from .module import Module, flattened, key_of, mixed, shaped, slopes, together, weight

# What a gradient is of, and a term of it.
Share: TypeAlias = tuple[Value | Parameter | Made, Expression]


@record(frozen=False)
class Gradients:
    """The gradients so far: the first statement for each makes it, and later ones add to it."""

    module: Module
    begun: set[str] = field(default_factory=set[str])

    def add(self, shares: Iterable[Share]) -> list[Statement]:
        """Statements that add terms to gradients."""
        return [self._add(of, term) for of, term in shares]

    def _add(self, of: Value | Parameter | Made, term: Expression) -> Statement:
        variable, key = self.module.variable(of), key_of(of)
        if key in self.begun:
            return Assign(variable, sum_of([variable, term]))
        self.begun.add(key)
        if isinstance(term, Name) and key in self.module.graph.values:
            term = term.get("copy")()  # what is returned is not what was given
        return Assign(variable, term)


def backward_steps(module: Module) -> list[Statement]:
    """Statements from the loss, or from the gradients of the outputs, back to parameters and inputs."""
    gradients = Gradients(module)
    lines = begin_back(gradients)
    lines += [*back_through(module.steps, gradients), *end_back(gradients)]
    return whole_backward(module, lines)


def whole_backward(module: Module, statements: Sequence[Statement]) -> list[Statement]:
    """The statements of a backward pass that are of use, behind the weights that they read."""
    statements = read_later(statements)
    return [*_weights_read(module, statements), *statements]


def begin_back(gradients: Gradients) -> list[Statement]:
    """Statements that give the gradients of the layers that the loss reads, or of the outputs."""
    module = gradients.module
    if module.graph.losses:
        before = list[Statement]()
        shares = [*_losses(module, before)]
        return [*before, *gradients.add(shares)]
    gradients.begun |= {*module.graph.outputs}
    return _given(module)


def back_through(steps: Sequence[tuple[Operation, ...]], gradients: Gradients) -> list[Statement]:
    """Statements through some steps, in the opposite order."""
    module, statements = gradients.module, list[Statement]()
    sources = _sources(module)
    for step in reversed(steps):
        output = step[-1].output
        if output.name not in gradients.begun:
            continue
        if output.layer is not None:
            statements.append(Comment(f"{output.layer} <- {', '.join(sources[output.layer])}"))
        before = list[Statement]()
        shares = [*back(module, step, module.gradients[output.name], before)]
        statements += [*before, *gradients.add(shares)]
    return statements


def end_back(gradients: Gradients) -> list[Statement]:
    """Statements for what parameters have from elsewhere than the steps, and for the inputs."""
    module, statements = gradients.module, list[Statement]()
    statements += gradients.add(_of_cuts(module, gradients.begun))
    before = list[Statement]()
    weights = gradients.add(_of_weights(module, gradients.begun, before))
    statements += [*before, *weights]
    statements += gradients.add(_unreached(module, gradients.begun))
    statements += gradients.add(_penalties(module))
    return [*statements, *_of_inputs(module, gradients.begun)]


def read_later(statements: Sequence[Statement]) -> list[Statement]:
    """The statements without what nothing behind them reads: the gradient of a layer whose slope is 0."""
    read: set[str] = set()
    kept: list[Statement] = []
    for each in reversed(statements):
        if isinstance(each, Assign) and isinstance(each.target, Name) and each.target.text not in read:
            continue
        if isinstance(each, Comment) and (not kept or isinstance(kept[-1], Comment)):
            continue  # nothing stands below it
        read |= {name.text for name in names_in(each)}
        kept.append(each)
    return kept[::-1]


def _weights_read(module: Module, statements: Sequence[Statement]) -> list[Statement]:
    """Statements that make the weights again that the derivative reads."""
    read, kept = {name.text for name in names_in(statements)}, list[Statement]()
    for each in reversed(weight_steps(module)):
        if {name.text for name in names_in(each.target)} & read:
            read |= {name.text for name in names_in(each.value)}
            kept.append(each)
    return kept[::-1]


def _sources(module: Module) -> dict[str, dict[str, None]]:
    """What enters each layer."""
    sources: dict[str, dict[str, None]] = {}
    for op in module.graph.operations:
        if isinstance(op, Project | Combine):
            sources.setdefault(op.layer, {}).update({value.name: None for value in op.inputs})
    return sources


# --------------------------------------------------------------------------------- where it begins and ends


def _losses(module: Module, before: list[Statement]) -> Iterator[Share]:
    """What predictions get of the terms of the loss, behind statements for what is long."""
    for term in module.graph.losses:
        if isinstance(term, ExpressionTerm):
            yield from _expression(module, term, before)
            continue
        value = module.graph.value(term.prediction)
        y, target = module.compared(value), module.target(term.target)
        slope = module.scope.expression(
            term.loss.derivative, y=shaped(y, value), t=target, **dict(term.arguments)
        )
        d = scaled(term.coefficient * term.loss.factor, slope)
        d = d if len(value.shape) == 1 else d.get("reshape")(y.get("shape"))
        yield value, module.at_its_steps(value, d)


def _expression(module: Module, term: ExpressionTerm, before: list[Statement]) -> Iterator[Share]:
    """What the layers get of a term that is an expression: its derivative by each."""
    layers = {name: module.graph.value(name) for name in term.layers}
    names = {name: shaped(module.compared(value), value) for name, value in layers.items()}
    names |= {name: module.target(name) for name in term.data}
    writer = Writer(module.scope, NUMPY, names, tuple(names))
    for name, value in layers.items():
        slope = derivative(term.value, name)
        if slope == ZERO:
            continue
        y = module.compared(value)
        count = module.scope.expression("y.size" if term.pool == "mean" else "len(y)", y=y)
        written = writer.value(guarded(slope))
        written = apart(before, lambda name=name: module.scope.new(f"{name}_slope"), written)
        d = Binary(scaled(term.coefficient, written), "/", count)
        d = d if len(value.shape) == 1 else d.get("reshape")(y.get("shape"))
        yield value, module.at_its_steps(value, d)


def _given(module: Module) -> list[Statement]:
    """Statements that flatten the gradients of outputs, where they are given, and of one step give all."""
    outputs = [module.graph.value(name) for name in module.graph.outputs]
    lines = [flattened(module.gradients[y.name], y) for y in outputs if len(y.shape) > 1]
    of_one = [module.gradients[y.name] for y in outputs if module.is_last_step(y)]
    return [*lines, *(Assign(d, module.scope.expression("at_last_step(d, steps)", d=d)) for d in of_one)]


def _of_cuts(module: Module, reached: set[str]) -> Iterator[Share]:
    """What weights get of the gradients of what they are cut into."""
    for name, cuts in module.plan.cuts.items():
        if key_of(cuts[0]) in reached:
            each = [*map(module.variable, cuts)]
            yield module.plan.made[name], module.scope.expression("np.concatenate([*each])", each=each)


def _of_weights(module: Module, reached: set[str], before: list[Statement]) -> Iterator[Share]:
    """What parameters get of the gradients of the weights that are made of them.

    Statements that have to stand before that are added to `before`.
    """
    for made in module.plan.made.values():
        if isinstance(made, Cut) or key_of(made) not in reached:
            continue
        d: Expression = module.variable(made)
        entries_of = partial(module.helper, flat(d), "entries")
        for step in reversed(steps_of(made)):
            d = apart(before, entries_of, d) if isinstance(step, Through) else d
            d = _of_step(module, step, d)
        yield parameter_of(made), d


def _of_step(module: Module, step: Made, d: Expression) -> Expression:
    """The gradient of what a step takes, from that of what it makes."""
    scope = module.scope
    match step:
        case Spread():
            flat = d if len(step.shape) == 1 else d.get("ravel")()
            return scope.name("gathered")(flat, index_of(scope, step), node(step.of.shape))
        case Turned():
            return d.get("T")
        case Through():
            x = entries(module, step.of)
            y = module.functions.value(step.function, step.numbers, x)
            return times(d, module.functions.slope(step.function, step.numbers, x, y))
        case Times():
            return times(factor_of(scope, step), d)
        case Cut():
            raise AssertionError(step)  # all that a weight is cut into is taken together


def _unreached(module: Module, reached: set[str]) -> list[Share]:
    """Zeros for trained parameters that have no part in the outputs."""
    trained = [each for each in module.graph.parameters if each.trainable and each.name not in reached]
    return [(each, module.scope.expression("np.zeros_like(w)", w=module.p(each.name))) for each in trained]


def _penalties(module: Module) -> Iterator[Share]:
    parameters = {parameter.name: parameter for parameter in module.graph.parameters}
    for term in module.graph.penalties:
        slope = module.scope.expression(term.penalty.derivative, w=module.p(term.parameter))
        yield parameters[term.parameter], scaled(term.coefficient * term.penalty.factor, slope)


def _of_inputs(module: Module, reached: set[str]) -> Iterator[Statement]:
    """Statements for the gradients of inputs, in the shapes that were given."""
    for data in module.graph.inputs:
        if data.classes is not None:
            continue
        d: Expression = module.gradients[data.name]
        if data.name not in reached:
            d = module.scope.expression("np.zeros_like(x)", x=module.local[data.name])
        text = "g[key] = d.reshape(*batch, *shape)"
        if data.over_time:
            text = "g[key] = unfolded(d, batch, steps, shape)"
        yield from module.scope.statements(text, key=data.name, d=d, shape=data.shape)


# ----------------------------------------------------------------------------------------------- each step


def back(module: Module, step: tuple[Operation, ...], d: Name, before: list[Statement]) -> Iterator[Share]:
    """What a step's inputs and parameters get of the gradient `d` of its output.

    Statements for what stands in it more than once are added to those `before`.
    """
    if isinstance(step[0], Project):
        yield from (_bias(module, op, d) for op in step if isinstance(op, AddBias))
        for op in step:
            if isinstance(op, Project):
                yield from _project(module, op, _of_one_step(module, op, d, before))
        return
    match step[-1]:
        case Apply() as op:
            yield op.input, mixed(module.scope, op, op.activation.gradient, d=d, y=module.step(op.output))
        case Compute() as op:
            x, y = module.read(op.input), module.step(op.output)
            yield op.input, times(d, module.functions.slope(op.function, op.numbers, x, y))
        case Combine() as op:
            yield from _combined(module, op, d, before)
        case AddBias() as op:
            yield _bias(module, op, d)
            yield op.input, d
        case Multiply() as op:
            yield op.input, scaled(op.factor, d)
        case Drop() as op:
            yield op.input, times(d, module.extra(op.output, "keep"))
        case Rectify() as op:
            yield from _rectified(module, op, d)
        case ApplyNorm() as op:
            yield from _norm(module, op, d)
        case op:
            raise AssertionError(op)


def _of_one_step(module: Module, op: Project, d: Name, before: list[Statement]) -> Name:
    """The gradient of what a connection brings: the sum over all steps where it brings the same to each."""
    if not module.is_once(op.input) or op.layer not in module.graph.timed:
        return d
    once = module.scope.new(f"{d.text}_once")
    before += module.scope.statements("once = summed_steps(d, steps)", once=once, d=d)
    return once


def _combined(module: Module, op: Combine, d: Name, before: list[Statement]) -> Iterator[Share]:
    """What each input of an expression gets; of one unit that all units read, the sum over these."""
    names = {value.name: module.read(value) for value in op.inputs}
    repeated = set[str]()
    if not module.at_step and not module.is_once(op.output):
        repeated = {value.name for value in op.inputs if module.is_once(value)}
    for name in repeated:
        names[name] = module.scope.expression("every_step(x, steps)", x=names[name])
    names |= {op.output.name: module.step(op.output), " d": d}
    writer, local = Writer(module.scope, NUMPY, names, tuple(names)), part_names(module.scope, d.text)
    for value in op.inputs:
        slope = reusing(derivative(op.tree, value.name), op.tree, op.output.name)
        if slope == ZERO:
            continue
        chooses = any(isinstance(each, Word) and each.word == "where" for each in walk(slope))
        # A derivative that chooses is a factor, which is held finite by itself.
        factor = guarded(slope) if chooses else simplified(apply("*", Argument(" d"), slope))
        if chooses and is_short(factor):
            given = times(d, module.functions.factor(factor, names))
        else:
            given = parted(writer, factor, local, before)
            given = times(d, given) if chooses else given
        if value.units < op.output.units:
            given = module.scope.expression("d.sum(axis=1, keepdims=True)", d=given)
        if value.name in repeated:
            given = module.scope.expression("summed_steps(d, steps)", d=given)
        yield value, given


def _bias(module: Module, op: AddBias, d: Name) -> Share:
    if isinstance(op.bias, Parameter):
        return op.bias, module.scope.expression("d.sum(axis=0)", d=d)
    assert isinstance(op.bias, Spread)
    total = module.scope.expression("d.sum(axis=0)", d=d)
    index, shape = index_of(module.scope, op.bias), node(op.parameter.shape)
    return op.parameter, module.scope.name("gathered")(total, index, shape)


def _project(module: Module, op: Project, d: Name) -> Iterator[Share]:
    if is_identity(op):
        yield op.input, d
        return
    if isinstance(op, Pool):
        yield from _pool(module, op, d)
        return
    if op.parameter is not None and op.parameter.trainable:
        of = module.plan.weight(op)
        assert of is not None
        yield of, _weight(module, op, d)
    if op.input.classes:
        return
    scope, w, n = module.scope, weight(op, module), op.input.units
    if windows := module.windows(op):
        yield op.input, scope.name("convolve_back")(d, w, windows)
    elif is_sparse(op):
        yield op.input, scope.name("project_back")(d, w, stored_edges(scope, op.connection), n)
    elif op.weight is None:
        yield op.input, scope.expression("np.repeat(d.sum(axis=1, keepdims=True), n, axis=1)", d=d, n=n)
    else:
        yield op.input, scope.expression("d @ w" if isinstance(op.edges, Full) else "d * w", d=d, w=w)


def _pool(module: Module, op: Pool, d: Name) -> Iterator[Share]:
    scope, w = module.scope, weight(op, module)
    if windows := module.windows(op):
        back = scope.name(f"{op.reduction.name}_of_windows_back")
        yield op.input, back(module.read(op.input), d, windows)
        return
    ends, slopes = stored_edges(scope, op.connection), scope.name(f"{op.reduction.name}_slopes")
    given = module.read(op.input), d, w, ends, slopes
    if op.parameter is not None and op.parameter.trainable:
        assert op.weight is not None
        yield op.weight, scope.name("pool_weight")(*given)
    yield op.input, scope.name("pool_back")(*given)


def _weight(module: Module, op: Project, d: Name) -> Expression:
    """The gradient of the weights of a projection."""
    scope, x = module.scope, module.read(op.input)
    if op.input.classes:
        shape = (op.output.units, op.input.units)
        return scope.name("looked_up_weight")(x, d, shape, op.input.classes)
    if windows := module.windows(op):
        return scope.name("convolve_weight")(x, d, windows)
    if is_sparse(op):
        return scope.name("project_weight")(x, d, stored_edges(scope, op.connection))
    return scope.expression("d.T @ x" if isinstance(op.edges, Full) else "(d * x).sum(axis=0)", d=d, x=x)


def _norm(module: Module, op: ApplyNorm, d: Name) -> Iterator[Share]:
    scope, hat, std = module.scope, module.extra(op.output, "hat"), module.extra(op.output, "std")
    weight = module.p(op.weight.name)
    if op.norm.running and op.per is not None:
        index, shape = index_along(scope, op.output.shape, op.per), node(op.weight.shape)
        gathered = scope.name("gathered")
        yield op.weight, gathered(scope.expression("(d * hat).sum(axis=0)", d=d, hat=hat), index, shape)
        if op.bias:
            yield op.bias, gathered(scope.expression("d.sum(axis=0)", d=d), index, shape)
        weight = weight.at(index)
    else:
        yield op.weight, scope.expression("(d * hat).sum(axis=0)", d=d, hat=hat)
        if op.bias:
            yield op.bias, scope.expression("d.sum(axis=0)", d=d)
    given = [times(d, weight), hat, std]
    if op.running_mean is not None:
        given.append(scope.name("training"))
    yield op.input, scope.name(f"{op.norm.name}_gradient")(*given, **together(op))


def _rectified(module: Module, op: Rectify, d: Name) -> Iterator[Share]:
    scope, x = module.scope, module.read(op.input)
    total = scope.expression("np.where(x > 0, 0, d * x).sum(axis=0)", x=x, d=d)
    if op.per is None:
        yield op.slope, total
    else:
        index = index_along(scope, op.output.shape, op.per)
        yield op.slope, scope.name("gathered")(total, index, node(op.slope.shape))
    yield op.input, scope.expression("np.where(x > 0, d, slope * d)", x=x, d=d, slope=slopes(module, op))
