"""The loss: functions as `model.compile` takes them, or, where these do not do, a model that has its own.

Keras compares an output of the model with one target. A loss that reads anything else is a function of all
that it reads, and the model computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from ...compiler.functions.guard import guarded
from ...compiler.graph.graph import Graph
from ...compiler.graph.model import ExpressionTerm, LossTerm
from ...dsl.records import record
from ..functions import KERAS, Writer
from ..parts import spelled
from ..source import (
    Assign,
    Expression,
    Function,
    Name,
    Parameter,
    Scope,
    Statement,
    returned_sum,
    scaled,
)
from ..target import loss_arguments
from .spelling import LOSSES, OF_SAMPLES, POOLED, VOCABULARY


@record
class LossFunction:
    """The loss function of one output: what it is called, what it compares, and its body."""

    name: Name
    output: str
    target: str
    body: tuple[Statement, ...]


@record
class OwnLoss:
    """A loss that the model computes: its function, what it reads, and the targets among that."""

    function: Function
    reads: tuple[str, ...]
    targets: tuple[str, ...]
    aliases: tuple[Assign, ...]


def is_own_loss(graph: Graph) -> bool:
    """Whether the loss is more than each output of some beside a target of its own."""
    compared: dict[str, set[str]] = {}
    for term in graph.losses:
        match term.layers, term.data:
            case (output,), (target,):
                compared.setdefault(output, set()).add(target)
            case _:
                return True
    return any(output not in graph.outputs or len(targets) > 1 for output, targets in compared.items())


def kept_layers(graph: Graph) -> tuple[str, ...]:
    """The layers that the loss reads, and that the model does not return."""
    return tuple(name for name in graph.compared if name not in graph.outputs)


def loss_functions(graph: Graph) -> list[LossFunction]:
    """A function for every output that the loss reads: `loss` alone, or one that has the output's name."""
    compared: dict[str, list[LossTerm | ExpressionTerm]] = {}
    for term in graph.losses:
        compared.setdefault(term.layers[0], []).append(term)
    scope, losses = Scope(VOCABULARY, frozenset()), list[LossFunction]()
    for output, terms in compared.items():
        name = scope.new(f"{output}_loss") if len(compared) > 1 else scope.name("loss")
        losses.append(LossFunction(name, output, terms[0].data[0], _loss_body(graph, terms)))
    return losses


def own_loss(graph: Graph) -> OwnLoss:
    """The loss as a function of layers, inputs and targets."""
    reads = loss_arguments(graph)
    scope, targets = Scope(VOCABULARY, frozenset(reads)), {data.name for data in graph.targets}
    names: dict[str, Expression] = {name: scope.user(name) for name in reads}
    shapes = {name: graph.value(name).shape for name in graph.compared}
    for term in graph.losses:
        if not _is_coded(term):
            shapes |= dict.fromkeys(term.data, graph.value(term.layers[0]).shape)
    over = {
        name for term in graph.losses if _is_over_time(graph, term) for name in (*term.layers, *term.data)
    }
    # Over time the steps are samples like others; beside what is not, they are not.
    every = [name for name in shapes if name not in over] and [*shapes]
    whole = {name: (None, *shape) if name in over else shape for name, shape in shapes.items()}
    checks = _checks(scope, {name: whole[name] for name in every}, names)
    checks += _checks(scope, {name: shapes[name] for name in shapes if name in over}, names)
    terms = [_Read(term, names) for term in graph.losses]
    body = (*checks, *_coded(scope, graph, terms), *_by_sample(scope, graph, terms))
    tensors = tuple(Parameter(scope.user(name)) for name in reads)
    said = (
        "The loss of the network above, one value a sample, of layers and of what they are compared with.\n\n"
        "The model takes the mean of it; penalties of weights are `model.losses`, which the model adds."
    )
    function = Function("loss", tensors, body, docstring=said)
    return OwnLoss(function, reads, tuple(name for name in reads if name in targets), scope.aliases(function))


def _checks(
    scope: Scope, shapes: Mapping[str, tuple[int | None, ...]], names: Mapping[str, Expression]
) -> list[Statement]:
    """A statement that holds arrays to their shapes, and to one batch."""
    given = [
        scope.expression("(name, x.shape, shape)", name=name, x=names[name], shape=shape)
        for name, shape in shapes.items()
    ]
    return [*scope.statements("batch_of([*given])", given=given)] if given else []


def _is_over_time(graph: Graph, term: LossTerm | ExpressionTerm) -> bool:
    """Whether a term compares all steps."""
    return graph.is_given_over_time(term.layers[0])


@record(frozen=False)
class _Read:
    """A term, and what it reads by name."""

    term: LossTerm | ExpressionTerm
    names: dict[str, Expression]


def _is_coded(term: LossTerm | ExpressionTerm) -> TypeGuard[LossTerm]:
    return isinstance(term, LossTerm) and term.loss.codes


def _loss_body(graph: Graph, terms: Sequence[LossTerm | ExpressionTerm]) -> tuple[Statement, ...]:
    """The loss of one output, a value a sample, so that Keras can weight samples."""
    scope, value, target = Scope(VOCABULARY, frozenset()), graph.value(terms[0].layers[0]), terms[0].data[0]
    codes = _is_coded(terms[0])
    checks = scope.statements(
        "codes, logits = coded(output, y_pred, target, y_true, shape)"
        if codes
        else "check_compared(output, y_pred, target, y_true, shape)",
        output=value.name,
        target=target,
        shape=value.shape,
    )
    y, t = map(scope.name, ("logits", "codes") if codes else ("y_pred", "y_true"))
    return (*checks, *_by_sample(scope, graph, [_Read(term, {value.name: y, target: t}) for term in terms]))


def _coded(scope: Scope, graph: Graph, terms: Sequence[_Read]) -> list[Statement]:
    """Statements that check class codes, one for each pair that is compared; terms get what these give."""
    lines, made = list[Statement](), dict[tuple[str, str], dict[str, Expression]]()
    for each in terms:
        if not _is_coded(each.term):
            continue
        y, t = pair = each.term.prediction, each.term.target
        if pair not in made:
            logits, codes = scope.new(f"{y}_logits"), scope.new(f"{t}_codes")
            made[pair] = {y: logits, t: codes}
            lines += scope.statements(
                "codes, logits = coded(prediction, y, target, t, shape)",
                codes=codes,
                logits=logits,
                prediction=y,
                y=each.names[y],
                target=t,
                t=each.names[t],
                shape=graph.value(y).shape,
            )
        each.names = made[pair]
    return lines


def _by_sample(scope: Scope, graph: Graph, terms: Sequence[_Read]) -> list[Statement]:
    """Statements that return the sum of terms, one value a sample."""
    lines, terms_by_sample = list[Statement](), list[Expression]()
    for at, read in enumerate(terms):
        term = read.term
        name, pool, rank, each = _by_unit(scope, graph, read)
        over_time = _is_over_time(graph, term)
        if pool == "mean":
            each = _pooled(scope, pool, rank + over_time, each)
        else:
            each = _pooled(scope, "mean", int(over_time), _pooled(scope, pool, rank, each))
        if len(terms) > 1 or term.coefficient != 1:
            # What functions of Keras return has no type, so that checkers would take it for None.
            local = scope.new(f"{name}_{at}") if len(terms) > 1 else scope.name("each")
            lines.append(Assign(local, each, annotation=scope.name("Any")))
            each = local
        terms_by_sample.append(scaled(term.coefficient, each))
    return [*lines, *returned_sum(terms_by_sample, scope.name("total"))]


def _pooled(scope: Scope, pool: str, rank: int, each: Expression) -> Expression:
    """What is taken over the last dimensions of an array, if any."""
    if not rank:
        return each
    return scope.expression("keras.ops").get(pool)(each, axis=-1 if rank == 1 else tuple(range(-rank, 0)))


def _by_unit(scope: Scope, graph: Graph, read: _Read) -> tuple[str, str, int, Expression]:
    """A term's name, what it takes over units, of how many dimensions, and its value for each unit."""
    term, names = read.term, read.names
    if isinstance(term, ExpressionTerm):
        each = Writer(scope, KERAS, names, tuple(names)).value(guarded(term.value))
        return term.name or term.pool, term.pool, len(term.shape), each
    rank = len(graph.value(term.prediction).shape) - term.loss.codes
    axes = tuple(range(-rank, 0))
    holes = {"y": names[term.prediction], "t": names[term.target], "axes": axes, **dict(term.arguments)}
    each, rank = spelled(scope, LOSSES, term.loss.name, **holes), rank * (term.loss.name not in OF_SAMPLES)
    return term.loss.name, POOLED.get(term.loss.name, "mean"), rank, each
