"""Loss functions as `model.compile` takes them: one for each output that the loss reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...compiler.graph.graph import Graph, Value
from ...compiler.graph.model import LossTerm
from ...dsl.records import record
from ..parts import spelled
from ..source import Assign, Expression, Name, Scope, Statement, returned_sum, scaled
from ..target import Unsupported
from .spelling import LOSSES, POOLED, VOCABULARY


@record
class LossFunction:
    """The loss function of one output: what it is called, what it compares, and its body."""

    name: Name
    output: str
    target: str
    body: tuple[Statement, ...]


def loss_functions(graph: Graph, outputs: Collection[str]) -> list[LossFunction]:
    """A function for every output that the loss reads: `loss` alone, or one that has the output's name."""
    compared: dict[str, list[LossTerm]] = {}
    for term in graph.losses:
        compared.setdefault(term.prediction, []).append(term)
    scope, losses = Scope(VOCABULARY, frozenset()), list[LossFunction]()
    for output, terms in compared.items():
        if output not in outputs:
            why = f"Keras gives a loss only what the model returns; add `{output}` to `output`"
            raise Unsupported(why, terms[0].span)
        if len({term.target for term in terms}) > 1:
            why = f"Keras compares an output with one target, but the loss compares `{output}` with several"
            raise Unsupported(why, terms[1].span)
        name = scope.new(f"{output}_loss") if len(compared) > 1 else scope.name("loss")
        losses.append(LossFunction(name, output, terms[0].target, _loss_body(graph.value(output), terms)))
    return losses


def _loss_body(value: Value, terms: Sequence[LossTerm]) -> tuple[Statement, ...]:
    """The loss of one output, a value a sample, so that Keras can weight samples."""
    scope = Scope(VOCABULARY, frozenset())
    codes = terms[0].loss.codes
    lines = [
        *scope.statements(
            "codes, logits = coded(output, y_pred, target, y_true, shape)"
            if codes
            else "check_compared(output, y_pred, target, y_true, shape)",
            output=value.name,
            target=terms[0].target,
            shape=value.shape,
        )
    ]
    rank = len(value.shape) - codes
    terms_by_sample: list[Expression] = []
    for at, term in enumerate(terms):
        each = spelled(scope, LOSSES, term.loss.name)
        if rank:
            pool = scope.expression("keras.ops").get(POOLED.get(term.loss.name, "mean"))
            each = pool(each, axis=-1 if rank == 1 else tuple(range(-rank, 0)))
        if len(terms) > 1 or term.coefficient != 1:
            # What functions of Keras return has no type, so that checkers would take it for None.
            name = scope.new(f"{term.loss.name}_{at}") if len(terms) > 1 else scope.name("each")
            lines.append(Assign(name, each, annotation=scope.name("Any")))
            each = name
        terms_by_sample.append(scaled(term.coefficient, each))
    return (*lines, *returned_sum(terms_by_sample, scope.name("total")))
