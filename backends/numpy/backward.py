"""The backward pass: the graph in the opposite order, with one function a kind of operation.

Each of these gives what the operation's inputs and parameters get of its output's gradient `d`, and the walk
adds this to what they have from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import TypeAlias

from ...compiler.edges.edge_set import Full
from ...compiler.graph.graph import (
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Multiply,
    Operation,
    Parameter,
    Project,
    Rectify,
    Value,
)
from ...dsl.records import record
from ..parts import bias_index, stored_edges
from ..source import Assign, Comment, Expression, Name, Statement, scaled, sum_of, times
from ..target import is_identity, is_sparse
from .module import Module, flattened, mixed, shaped, slopes, together, weight

# What a gradient is of, and a term of it.
Share: TypeAlias = tuple[Value | Parameter, Expression]


@record(frozen=False)
class Gradients:
    """The gradients so far: the first statement for each makes it, and later ones add to it."""

    module: Module
    begun: set[str] = field(default_factory=set[str])

    def add(self, shares: Iterable[Share]) -> list[Statement]:
        """Statements that add terms to gradients."""
        return [self._add(of, term) for of, term in shares]

    def _add(self, of: Value | Parameter, term: Expression) -> Statement:
        variable = self.module.variable(of)
        if of.name in self.begun:
            return Assign(variable, sum_of([variable, term]))
        self.begun.add(of.name)
        if isinstance(term, Name) and of.name in self.module.graph.values:
            term = term.get("copy")()  # what is returned is not what was given
        return Assign(variable, term)


def backward_steps(module: Module) -> list[Statement]:
    """Statements from the loss, or from the gradients of the outputs, back to parameters and inputs."""
    graph, gradients = module.graph, Gradients(module)
    if graph.losses:
        statements = gradients.add(_losses(module))
    else:
        statements = _given(module)
        gradients.begun |= {*graph.outputs}
    sources = _sources(module)
    for step in reversed(module.steps):
        output = step[-1].output
        if output.name not in gradients.begun:
            continue
        if output.layer is not None:
            statements.append(Comment(f"{output.layer} <- {', '.join(sources[output.layer])}"))
        statements += gradients.add(_back(module, step, module.gradients[output.name]))
    statements += gradients.add(_unreached(module, gradients.begun))
    statements += gradients.add(_penalties(module))
    return [*statements, *_of_inputs(module, gradients.begun)]


def _sources(module: Module) -> dict[str, dict[str, None]]:
    """What enters each layer."""
    sources: dict[str, dict[str, None]] = {}
    for op in module.graph.projections:
        sources.setdefault(op.layer, {})[op.input.layer or op.input.name] = None
    return sources


# --------------------------------------------------------------------------------- where it begins and ends


def _losses(module: Module) -> Iterator[Share]:
    """What predictions get of the terms of the loss."""
    for term in module.graph.losses:
        value = module.graph.value(term.prediction)
        y, target = module.step(value), module.target(term.target)
        slope = module.scope.expression(term.loss.derivative, y=shaped(y, value), t=target)
        d = scaled(term.coefficient * term.loss.factor, slope)
        yield value, d if len(value.shape) == 1 else d.get("reshape")(y.get("shape"))


def _given(module: Module) -> list[Statement]:
    """Statements that flatten the gradients of outputs, where they are given."""
    outputs = [module.graph.value(name) for name in module.graph.outputs]
    return [flattened(module.gradients[y.name], y) for y in outputs if len(y.shape) > 1]


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
        yield from module.scope.statements(text, key=data.name, d=d, shape=data.shape)


# ----------------------------------------------------------------------------------------------- each step


def _back(module: Module, step: tuple[Operation, ...], d: Name) -> Iterator[Share]:
    """What a step's inputs and parameters get of the gradient `d` of its output."""
    if isinstance(step[0], Project):
        yield from (_bias(module, op, d) for op in step if isinstance(op, AddBias))
        for op in step:
            if isinstance(op, Project):
                yield from _project(module, op, d)
        return
    match step[-1]:
        case Apply() as op:
            yield op.input, _activated(module, op, d)
        case AddBias() as op:
            yield _bias(module, op, d)
            yield op.input, d
        case Multiply() as op:
            yield op.input, module.scope.expression("factor * d", factor=op.factor, d=d)
        case Drop() as op:
            yield op.input, times(d, module.extra(op.output, "keep"))
        case Rectify() as op:
            yield from _rectified(module, op, d)
        case ApplyNorm() as op:
            yield from _norm(module, op, d)
        case op:
            raise AssertionError(op)


def _bias(module: Module, op: AddBias, d: Name) -> Share:
    if op.by_unit:
        return op.bias, module.scope.expression("d.sum(axis=0)", d=d)
    index, (size,) = bias_index(module.scope, op), op.bias.shape
    return op.bias, module.scope.name("gathered")(d, index, size)


def _project(module: Module, op: Project, d: Name) -> Iterator[Share]:
    if is_identity(op):
        yield op.input, d
        return
    if op.weight is not None and op.weight.trainable:
        yield op.weight, _weight(module, op, d)
    if op.input.classes:
        return
    scope, w, n = module.scope, weight(op, module), op.input.units
    if is_sparse(op):
        yield op.input, scope.name("project_back")(d, w, stored_edges(scope, op.connection), n)
    elif op.weight is None:
        yield op.input, scope.expression("np.repeat(d.sum(axis=1, keepdims=True), n, axis=1)", d=d, n=n)
    else:
        yield op.input, scope.expression("d @ w" if isinstance(op.edges, Full) else "d * w", d=d, w=w)


def _weight(module: Module, op: Project, d: Name) -> Expression:
    """The gradient of the weights of a projection."""
    scope, x = module.scope, module.read(op.input)
    if op.input.classes:
        shape = (op.output.units, op.input.units)
        return scope.name("looked_up_weight")(x, d, shape, op.input.classes)
    if is_sparse(op):
        return scope.name("project_weight")(x, d, stored_edges(scope, op.connection))
    return scope.expression("d.T @ x" if isinstance(op.edges, Full) else "(d * x).sum(axis=0)", d=d, x=x)


def _activated(module: Module, op: Apply, d: Name) -> Expression:
    scope, y = module.scope, module.step(op.output)
    if op.activation.derivative is not None:
        slope = scope.expression(op.activation.derivative, x=module.read(op.input), y=y, **dict(op.arguments))
        return times(d, slope)
    return mixed(scope, op, op.activation.gradient, d=d, y=y)


def _norm(module: Module, op: ApplyNorm, d: Name) -> Iterator[Share]:
    scope, hat, std = module.scope, module.extra(op.output, "hat"), module.extra(op.output, "std")
    weight = module.p(op.weight.name)
    if op.norm.running and op.per is not None:
        index, (size,) = bias_index(scope, op), op.weight.shape
        gathered = scope.name("gathered")
        yield op.weight, gathered(times(d, hat), index, size)
        if op.bias:
            yield op.bias, gathered(d, index, size)
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
    if op.per is None:
        yield op.slope, scope.expression("np.where(x > 0, 0, d * x).sum(axis=0)", x=x, d=d)
    else:
        at_zero, (size,) = scope.expression("np.where(x > 0, 0, d * x)", x=x, d=d), op.slope.shape
        yield op.slope, scope.name("gathered")(at_zero, bias_index(scope, op), size)
    yield op.input, scope.expression("np.where(x > 0, d, slope * d)", x=x, d=d, slope=slopes(module, op))
