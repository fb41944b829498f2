"""The loss: functions as `model.compile` takes them, or, where these do not do, a model that has its own.

Keras compares an output of the model with one target. A loss that reads anything else is a function of all
that it reads, and the model computes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.graph.graph import Graph
from ...compiler.graph.model import LossTerm
from ...dsl.records import record
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
from .spelling import LOSSES, POOLED, VOCABULARY


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
        compared.setdefault(term.prediction, set()).add(term.target)
    return any(output not in graph.outputs or len(targets) > 1 for output, targets in compared.items())


def kept_layers(graph: Graph) -> tuple[str, ...]:
    """The layers that the loss reads, and that the model does not return."""
    return tuple(name for name in graph.compared if name not in graph.outputs)


def loss_functions(graph: Graph) -> list[LossFunction]:
    """A function for every output that the loss reads: `loss` alone, or one that has the output's name."""
    compared: dict[str, list[LossTerm]] = {}
    for term in graph.losses:
        compared.setdefault(term.prediction, []).append(term)
    scope, losses = Scope(VOCABULARY, frozenset()), list[LossFunction]()
    for output, terms in compared.items():
        name = scope.new(f"{output}_loss") if len(compared) > 1 else scope.name("loss")
        losses.append(LossFunction(name, output, terms[0].target, _loss_body(graph, terms)))
    return losses


def own_loss(graph: Graph) -> OwnLoss:
    """The loss as a function of layers, inputs and targets."""
    reads = loss_arguments(graph)
    scope, targets = Scope(VOCABULARY, frozenset(reads)), {data.name for data in graph.targets}
    tensors = tuple(Parameter(scope.user(name)) for name in reads)
    compared = {name: graph.value(name).shape for name in graph.compared}
    taken = {term.target: compared[term.prediction] for term in graph.losses if not term.loss.codes}
    given = [
        scope.expression("(name, x.shape, shape)", name=name, x=scope.user(name), shape=shape)
        for name, shape in {**compared, **taken}.items()
    ]
    checks = list(scope.statements("batch_of([*given])", given=given))
    terms = [_Compared(term, scope.user(term.prediction), scope.user(term.target)) for term in graph.losses]
    body = (*checks, *_coded(scope, graph, terms), *_by_sample(scope, graph, terms))
    said = (
        "The loss of the network above, one value a sample, of layers and of what they are compared with.\n\n"
        "The model takes the mean of it; penalties of weights are `model.losses`, which the model adds."
    )
    function = Function("loss", tensors, body, docstring=said)
    return OwnLoss(function, reads, tuple(name for name in reads if name in targets), scope.aliases())


@record(frozen=False)
class _Compared:
    """A term, and what it compares by that name in code."""

    term: LossTerm
    y: Expression
    t: Expression


def _loss_body(graph: Graph, terms: Sequence[LossTerm]) -> tuple[Statement, ...]:
    """The loss of one output, a value a sample, so that Keras can weight samples."""
    scope, value = Scope(VOCABULARY, frozenset()), graph.value(terms[0].prediction)
    codes = terms[0].loss.codes
    checks = scope.statements(
        "codes, logits = coded(output, y_pred, target, y_true, shape)"
        if codes
        else "check_compared(output, y_pred, target, y_true, shape)",
        output=value.name,
        target=terms[0].target,
        shape=value.shape,
    )
    y, t = map(scope.name, ("logits", "codes") if codes else ("y_pred", "y_true"))
    return (*checks, *_by_sample(scope, graph, [_Compared(term, y, t) for term in terms]))


def _coded(scope: Scope, graph: Graph, terms: Sequence[_Compared]) -> list[Statement]:
    """Statements that check class codes, one for each pair that is compared; terms get what these give."""
    lines, made = list[Statement](), dict[tuple[str, str], tuple[Name, Name]]()
    for each in terms:
        if not each.term.loss.codes:
            continue
        y, t = pair = each.term.prediction, each.term.target
        if pair not in made:
            made[pair] = scope.new(f"{y}_logits"), scope.new(f"{t}_codes")
            lines += scope.statements(
                "codes, logits = coded(prediction, y, target, t, shape)",
                codes=made[pair][1],
                logits=made[pair][0],
                prediction=y,
                y=each.y,
                target=t,
                t=each.t,
                shape=graph.value(y).shape,
            )
        each.y, each.t = made[pair]
    return lines


def _by_sample(scope: Scope, graph: Graph, terms: Sequence[_Compared]) -> list[Statement]:
    """Statements that return the sum of terms, one value a sample."""
    lines, terms_by_sample = list[Statement](), list[Expression]()
    for at, compared in enumerate(terms):
        term = compared.term
        rank = len(graph.value(term.prediction).shape) - term.loss.codes
        each = spelled(scope, LOSSES, term.loss.name, y=compared.y, t=compared.t)
        if rank:
            pool = scope.expression("keras.ops").get(POOLED.get(term.loss.name, "mean"))
            each = pool(each, axis=-1 if rank == 1 else tuple(range(-rank, 0)))
        if len(terms) > 1 or term.coefficient != 1:
            # What functions of Keras return has no type, so that checkers would take it for None.
            name = scope.new(f"{term.loss.name}_{at}") if len(terms) > 1 else scope.name("each")
            lines.append(Assign(name, each, annotation=scope.name("Any")))
            each = name
        terms_by_sample.append(scaled(term.coefficient, each))
    return [*lines, *returned_sum(terms_by_sample, scope.name("total"))]
