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
from ..catalogue.losses import LOSSES, PENALTIES, SOFT_CROSS_ENTROPY
from ..functions.function import Function
from ..functions.losses import Pool, loss_function, pool_of, statements
from ..functions.simplify import simplified
from ..functions.tree import Apply as FunctionTree
from ..functions.tree import Argument, Tree, substituted
from ..graph.model import Activate, Compute, Data, Dropout, ExpressionTerm, Layer, LossTerm, PenaltyTerm
from ..names.arguments import Bound, bind
from ..names.evaluate import FLOAT32_MAX, FUNCTIONS
from ..names.names import Placed
from .functions import function_names
from .known import Known
from .sharing import SHARED
from .values import read_values

# What is taken over the units of a sample, by the word that takes it of an expression.
POOLS: Mapping[str, Pool] = {"mean": "mean", "sum": "sum"}

Term: TypeAlias = LossTerm | ExpressionTerm | PenaltyTerm


def read_loss(statement: syntax.LossStatement, placed: Placed, known: Known) -> None:
    """The terms of a `loss` statement: none of them, if one has an error."""
    for term in list(_terms(statement.value, 1.0, known, placed.variables)):
        if isinstance(term, PenaltyTerm):
            known.network.penalties.append(term)
        else:
            known.network.losses.append(term)


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
    if name in POOLS:
        yield _expression(node, POOLS[name], coefficient, known, variables)
        return
    if name in LOSSES:
        yield _loss(node, name, coefficient, known, variables)
        return
    function = loss_function(name)
    if function is None:
        raise _no_loss(node, name, known)
    yield _function(node, function, coefficient, known, variables)


def _no_loss(node: syntax.Call, name: str, known: Known) -> Failed:
    """Record that no loss has this name, and return the exception to raise."""
    losses = [*dict.fromkeys([*LOSSES, *statements()]), *POOLS, *PENALTIES]
    guess = suggest(name, losses)
    help = f"did you mean `{guess}`?" if guess else "losses are " + ", ".join(f"`{n}`" for n in losses)
    if name in function_names(known):
        help = f"`{name}` has a value for each unit: write `mean({name}(...))` or `sum({name}(...))`"
    return fail(known.names.report, codes.UNKNOWN_LOSS, node.function.span, name=name, help=help)


def _expression(
    node: syntax.Call, pool: Pool, coefficient: float, known: Known, variables: Mapping[str, int]
) -> ExpressionTerm:
    """`mean(...)` or `sum(...)` of an expression of layers, inputs and targets."""
    report, name = known.names.report, called_name(node)
    if len(node.arguments) != 1 or node.arguments[0].name is not None:
        count = "one expression, without a name"
        raise fail(report, codes.ARGUMENT_COUNT, node.span, name=name, count=count)
    tree, places = read_values(
        node.arguments[0].value, ("layer", "input", "target"), known, variables, loss_function
    )
    taken = {name: _read_by_loss(name, known) for name in places}
    layers = tuple(name for name, each in taken.items() if isinstance(each, Layer))
    if not layers:
        raise fail(report, codes.LOSS_WITHOUT_LAYER, node.span, name=name)
    first, *others = taken.values()
    for other in others:
        if other.shape != first.shape:
            raise fail(
                report,
                codes.SHAPES_IN_LOSS,
                node.span,
                one=first.name,
                shape=list(first.shape),
                other=other.name,
                others_shape=list(other.shape),
                others=(Label(first.span, "declared here"), Label(other.span, "declared here")),
            )
    data = tuple(name for name in taken if name not in layers)
    return ExpressionTerm(coefficient, pool, tree, layers, data, first.shape, "", (), node.span)


def _read_by_loss(name: str, known: Known) -> Layer | Data:
    """A layer, an input or a target."""
    network = known.network
    found = network.layers.get(name) or network.targets.get(name) or network.inputs.get(name)
    if found is None:
        raise Failed  # its own statement has an error, which is recorded
    return found


def _function(
    node: syntax.Call, function: Function, coefficient: float, known: Known, variables: Mapping[str, int]
) -> ExpressionTerm:
    """A named loss that is a function of each unit, with its numbers."""
    _, _, *parameters = function.arguments
    bound = bind(known.names.report, node, ("prediction", "target", *parameters))
    layer, data = _compared(node, function.name, bound, known, variables)
    if data.classes is not None:
        raise _other_target(function.name, data, bound["target"], known)
    _refuse_other_shape(layer, data, layer.shape == data.shape, data.shape, node, known)
    values: dict[str, Tree | float] = {"y": Argument(layer.name), "t": Argument(data.name)}
    numbers = dict(function.defaults)
    for name, argument in bound.items():
        if name in numbers:
            numbers[name] = float(known.names.evaluator(variables).number(argument.value))
            _refuse_number(name, numbers[name], argument, known)
    tree = simplified(substituted(function.value, {**values, **numbers}))
    name, given = function.name, tuple((each, numbers[each]) for each in bound if each in numbers)
    read = (layer.name,), (data.name,)
    return ExpressionTerm(coefficient, pool_of(name), tree, *read, layer.shape, name, given, node.span)


def _refuse_number(name: str, value: float, argument: syntax.Argument, known: Known) -> None:
    """The numbers of losses are widths, which are positive."""
    if not 0 < value <= FLOAT32_MAX:
        wanted = {"what": f"`{name}`", "wanted": "above 0", "value": value}
        raise fail(known.names.report, codes.OUT_OF_RANGE, argument.span, **wanted)


def _loss(
    node: syntax.Call, name: str, coefficient: float, known: Known, variables: Mapping[str, int]
) -> LossTerm:
    options = ("smoothing", "weights") if name == "cross_entropy" else ()
    bound = bind(known.names.report, node, ("prediction", "target", *options), positional=2)
    layer, data = _compared(node, name, bound, known, variables)
    entry = LOSSES[name]
    if entry.codes != (data.classes is not None):
        raise _other_target(name, data, bound["target"], known)
    wanted = (*data.shape, data.classes) if data.classes is not None else data.shape
    _refuse_other_shape(layer, data, layer.shape == wanted, wanted, node, known)
    _refuse_squashed(name, layer, bound["prediction"], known)
    if not bound.keys() & {*options}:
        return LossTerm(coefficient, entry, layer.name, data.name, node.span)
    given = _softened(bound, data, known, variables)
    return LossTerm(coefficient, SOFT_CROSS_ENTROPY, layer.name, data.name, node.span, given)


def _softened(
    bound: Bound, data: Data, known: Known, variables: Mapping[str, int]
) -> tuple[tuple[str, float | tuple[float, ...] | None], ...]:
    """The smoothing of `cross_entropy`, and the weights of its classes, None without any."""
    report, evaluator = known.names.report, known.names.evaluator(variables)

    def number(node: syntax.Expression, what: str, wanted: str, most: float) -> float:
        value = float(evaluator.number(node))
        if not 0 <= value <= most:
            raise fail(report, codes.OUT_OF_RANGE, node.span, what=what, wanted=wanted, value=value)
        return value

    smoothing, weights = 0.0, None
    if "smoothing" in bound:
        smoothing = number(bound["smoothing"].value, "`smoothing`", "from 0 to 1", 1)
    if "weights" in bound:
        listed = bound["weights"].value
        if not isinstance(listed, syntax.List) or len(listed.items) != data.classes:
            raise fail(report, codes.CLASS_WEIGHTS, listed.span, classes=data.classes, target=data.name)
        weights = tuple(number(item, "a weight", "0 or above", FLOAT32_MAX) for item in listed.items)
    return ("smoothing", smoothing), ("weights", weights)


def _compared(
    node: syntax.Call, name: str, bound: Bound, known: Known, variables: Mapping[str, int]
) -> tuple[Layer, Data]:
    """The layer and the target, or input, that a named loss compares."""
    for argument in ("prediction", "target"):
        if argument not in bound:
            raise fail(known.names.report, codes.MISSING_ARGUMENT, node.span, name=name, argument=argument)
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
        at = bound["target"].span
        raise fail(known.names.report, codes.CODES_COMPARED, at, name=data.name, help=help)
    return layer, data


def _other_target(name: str, data: Data, argument: syntax.Argument, known: Known) -> Failed:
    """Record that a loss needs a target of the other kind, and return the exception to raise."""
    codes_wanted = data.classes is None
    return fail(
        known.names.report,
        codes.CODES_WANTED if codes_wanted else codes.CODES_NOT_WANTED,
        argument.span,
        loss=name,
        target=data.name,
        others=(Label(data.span, "declared here"),),
        help=f"class codes are declared `target {data.name}: class[10]`" if codes_wanted else (),
    )


def _refuse_other_shape(
    layer: Layer, data: Data, fits: bool, wanted: tuple[int, ...], node: syntax.Call, known: Known
) -> None:
    if not fits:
        raise fail(
            known.names.report,
            codes.LOSS_SHAPES,
            node.span,
            prediction=layer.name,
            shape=list(layer.shape),
            target=data.name,
            wanted=list(wanted),
            others=(Label(layer.span, "declared here"), Label(data.span, "compared with this")),
        )


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
