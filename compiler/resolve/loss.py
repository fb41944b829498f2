"""The loss: a linear combination of loss terms and penalties, with every coefficient known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.findings import Label
from ...dsl.walk import called_name, name_of
from ...dsl.words import suggest
from .. import codes
from ..catalogue.losses import LOSSES, PENALTIES
from ..functions.function import Function
from ..functions.tree import Apply as FunctionTree
from ..functions.tree import Argument
from ..graph.model import Activate, Compute, Dropout, Layer, LossTerm, PenaltyTerm
from ..names.arguments import bind
from ..names.evaluate import FLOAT32_MAX, FUNCTIONS
from ..names.names import Placed
from .known import Known
from .sharing import SHARED

# Losses of the language that this version does not have.
LATER = frozenset(["huber", "log_cosh", "hinge", "kl_divergence", "poisson", "cosine"])


Term: TypeAlias = LossTerm | PenaltyTerm


def read_loss(statement: syntax.LossStatement, placed: Placed, known: Known) -> None:
    """The terms of a `loss` statement: none of them, if one has an error."""
    for term in list(_terms(statement.value, 1.0, known, placed.variables)):
        if isinstance(term, LossTerm):
            known.network.losses.append(term)
        else:
            known.network.penalties.append(term)


def _terms(
    node: syntax.Expression, coefficient: float, known: Known, variables: Mapping[str, int]
) -> Iterator[Term]:
    report = known.names.report
    match node:
        case syntax.Parenthesised():
            yield from _terms(node.inner, coefficient, known, variables)
        case syntax.Unary(operator="-" | "+"):
            sign = -1.0 if node.operator == "-" else 1.0
            yield from _terms(node.operand, sign * coefficient, known, variables)
        case syntax.Binary(operator="+" | "-"):
            sign = -1.0 if node.operator == "-" else 1.0
            failed = False
            for side, factor in ((node.left, coefficient), (node.right, sign * coefficient)):
                try:
                    yield from _terms(side, factor, known, variables)
                except Failed:
                    failed = True  # the terms on the other side may have errors too
            if failed:
                raise Failed
        case syntax.Binary(operator="*" | "/"):
            left, right = _has_term(node.left), _has_term(node.right)
            if (left and right) or (right and node.operator == "/"):
                raise fail(report, codes.LOSS_PRODUCT, node.span)
            if not (left or right):
                raise fail(report, codes.LOSS_CONSTANT, node.span)
            term, other = (node.left, node.right) if left else (node.right, node.left)
            number = known.names.evaluator(variables).number(other)
            if node.operator == "/" and number == 0:
                raise fail(report, codes.DIVISION_BY_ZERO, node.span)
            factor = 1 / number if node.operator == "/" else number
            yield from _terms(term, coefficient * factor, known, variables)
        case syntax.Call(function=syntax.Reference()) if called_name(node) not in FUNCTIONS:
            yield from _term(node, coefficient, known, variables)
        case _:
            raise fail(report, codes.LOSS_PRODUCT if _has_term(node) else codes.LOSS_CONSTANT, node.span)


def _has_term(node: syntax.Expression) -> bool:
    """Whether an expression holds a loss term, and so is no number."""
    match node:
        case syntax.Parenthesised():
            return _has_term(node.inner)
        case syntax.Unary():
            return _has_term(node.operand)
        case syntax.Binary():
            return _has_term(node.left) or _has_term(node.right)
        case syntax.Comparison():
            return any(_has_term(part) for part in (node.first, *(value for _, value in node.rest)))
        case syntax.Tuple() | syntax.List():
            return any(_has_term(item) for item in node.items)
        case syntax.Call():
            if called_name(node) in {*FUNCTIONS, "chance"}:
                return any(_has_term(argument.value) for argument in node.arguments)
            return isinstance(node.function, syntax.Reference)
        case _:
            return False


def _term(
    node: syntax.Call, coefficient: float, known: Known, variables: Mapping[str, int]
) -> Iterator[Term]:
    report = known.names.report
    name = name_of(report, node)
    if abs(coefficient) > FLOAT32_MAX:
        raise fail(report, codes.BEYOND_FLOAT32, node.span, what="the coefficient of this term")
    if name in PENALTIES:
        yield from _penalties(node, name, coefficient, known, variables)
        return
    if name in LATER:
        raise fail(report, codes.NOT_YET, node.span, what=f"the loss `{name}`")
    if name not in LOSSES:
        losses = [*LOSSES, *PENALTIES]
        guess = suggest(name, losses)
        help = f"did you mean `{guess}`?" if guess else "losses are " + ", ".join(f"`{n}`" for n in losses)
        raise fail(report, codes.UNKNOWN_LOSS, node.function.span, name=name, help=help)
    yield _loss(node, name, coefficient, known, variables)


def _loss(
    node: syntax.Call, name: str, coefficient: float, known: Known, variables: Mapping[str, int]
) -> LossTerm:
    report = known.names.report
    bound = bind(report, node, ("prediction", "target"))
    for argument in ("prediction", "target"):
        if argument not in bound:
            raise fail(report, codes.MISSING_ARGUMENT, node.span, name=name, argument=argument)
    prediction = known.names.find(_name(bound["prediction"].value, known, "a layer"), variables, "layer")
    target = known.names.find(_name(bound["target"].value, known, "a target"), variables, "target", "input")
    layer = known.network.layers.get(prediction.name)
    data = known.network.targets.get(target.name) or known.network.inputs.get(target.name)
    if layer is None or data is None:
        raise Failed  # its own statement has an error, which is recorded
    if data.classes is not None and target.name in known.network.inputs:
        help = (
            f"declare a target of the same codes beside it: `target {data.name}_again: class[{data.classes}]`"
        )
        raise fail(report, codes.CODES_COMPARED, bound["target"].span, name=data.name, help=help)
    entry = LOSSES[name]
    if entry.codes != (data.classes is not None):
        raise fail(
            report,
            codes.CODES_WANTED if entry.codes else codes.CODES_NOT_WANTED,
            bound["target"].span,
            loss=name,
            target=data.name,
            others=(Label(data.span, "declared here"),),
            help=f"class codes are declared `target {data.name}: class[10]`" if entry.codes else (),
        )
    wanted = (*data.shape, data.classes) if data.classes is not None else data.shape
    if layer.shape != wanted:
        raise fail(
            report,
            codes.LOSS_SHAPES,
            node.span,
            prediction=layer.name,
            shape=list(layer.shape),
            target=data.name,
            wanted=list(wanted),
            others=(Label(layer.span, "declared here"), Label(data.span, "compared with this")),
        )
    _refuse_squashed(name, layer, bound["prediction"], known)
    return LossTerm(coefficient, entry, layer.name, data.name, node.span)


# What a loss on logits applies itself, and so must not find at the end of a layer.
_SQUASHES = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}


def _refuse_squashed(name: str, layer: Layer, argument: syntax.Argument, known: Known) -> None:
    last = next((op for op in reversed(layer.operations) if not isinstance(op, Dropout)), None)
    squash = _SQUASHES.get(name)
    applied = (isinstance(last, Activate) and last.activation.name == squash) or (
        isinstance(last, Compute) and _is_word(last.function, squash)
    )
    if applied:
        raise fail(
            known.names.report,
            codes.SQUASHED_TWICE,
            argument.span,
            loss=name,
            activation=_SQUASHES[name],
            layer=layer.name,
            others=(Label(layer.span, f"its last operation is `{_SQUASHES[name]}`"),),
        )


def _is_word(function: Function, word: str | None) -> bool:
    """Whether a function is nothing but a word of the language, whatever it is called."""
    return function.value == FunctionTree(word or "", (Argument(function.first),))


def _penalties(
    node: syntax.Call, name: str, coefficient: float, known: Known, variables: Mapping[str, int]
) -> Iterator[PenaltyTerm]:
    report = known.names.report
    if not node.arguments:
        raise fail(report, codes.NOT_A_NAME, node.span, what="a layer or connection")
    seen: set[str] = set()
    for argument in node.arguments:
        if argument.name is not None:
            raise fail(report, codes.UNKNOWN_ARGUMENT, argument.span, name=name, argument=argument.name)
        found = known.names.find(
            _name(argument.value, known, "a layer or connection"),
            variables,
            *("layer", "connection", SHARED),
        )
        chosen = known.trained.get(found.name, [])
        if not chosen and known.lacks_connections:
            raise Failed  # a connection has an error, which is recorded
        if not chosen:
            raise fail(report, codes.NO_WEIGHTS, argument.span, name=found.name)
        for connection in chosen:
            share = connection.weight.share if connection.weight else None
            parameter = share.parameter if share and share.named else connection.name
            if parameter not in seen:
                seen.add(parameter)
                yield PenaltyTerm(coefficient, PENALTIES[name], connection.name, node.span)


def _name(node: syntax.Expression, known: Known, what: str) -> syntax.Name:
    if not isinstance(node, syntax.Reference):
        raise fail(known.names.report, codes.NOT_A_NAME, node.span, what=what)
    return node.name
