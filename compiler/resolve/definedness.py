"""Which functions are not finite for some of the values that they can be given, where a spec applies them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...dsl.source import Span
from .. import codes
from ..edges.degrees import degrees
from ..functions.domain import ANYTHING, LEAST, Outside, Range, Ranges, range_of, undefined
from ..functions.function import Function, Numbers
from ..functions.simplify import simplified
from ..functions.text import said
from ..functions.tree import Argument, Tree, apply, arguments_in, substituted
from ..graph.model import Activate, Compute, Connection, Dropout, ExpressionTerm, Operation, Prelu, Scale
from .known import Known
from .network import order

_OF_ACTIVATIONS = {
    "softmax": Range(LEAST, 1.0),
    "log_softmax": Range(-math.inf, 0.0),
}


def warn_of_undefined(known: Known) -> None:
    """Warn of the operations, weights and losses with a part that is not finite everywhere.

    Of what stands in a loop, the first is named.
    """
    arriving: dict[str, list[Connection]] = {}
    for connection in known.network.connections.values():
        arriving.setdefault(connection.target, []).append(connection)
    values: dict[str, Range] = dict.fromkeys(known.network.inputs, ANYTHING)
    for name in order(known.network):
        values[name] = _through_layer(name, arriving.get(name, []), values, known)
    for connection in known.network.connections.values():
        if connection.weight is not None and connection.weight.through is not None:
            through = connection.weight.through
            found = _of_function(through.function, through.numbers, ANYTHING)
            _warn(found, connection.span, known, f"in `{through.function.name}`, ")
    for term in known.network.losses:
        if isinstance(term, ExpressionTerm):
            given: Ranges = {Argument(layer): values[layer] for layer in term.layers}
            # What is read of inputs and targets alone is as the data are, and no gradient goes through it.
            found = (o for o in undefined(simplified(term.value), given) if _reads(o, term.layers))
            _warn(found, term.span, known)


def _reads(outside: Outside, layers: Iterable[str]) -> bool:
    return bool({*arguments_in(outside.operand)} & {*layers})


def _warn(found: Iterable[Outside], span: Span, known: Known, within: str = "") -> None:
    """Warn of the first that is found."""
    for outside in found:
        fault = f"{within}{outside.said}"
        help = f"`{said(outside.inside)}` is finite everywhere; so is a `where` that leaves such values out"
        known.report.add(codes.UNDEFINED, span, fault=fault, help=help)
        return


def _of_function(function: Function, numbers: Numbers, given: Range) -> Iterable[Outside]:
    """What is undefined of a function of values in a range."""
    ranges: Ranges = {Argument(function.first): given}
    for tree in (function.value, function.declared):
        if tree is not None:
            yield from undefined(_with(tree, numbers), ranges)


def _with(tree: Tree, numbers: Numbers) -> Tree:
    return simplified(substituted(tree, dict(numbers)))


def _through_layer(name: str, arriving: list[Connection], values: dict[str, Range], known: Known) -> Range:
    """The values that a layer can have; warns of operations on the way."""
    layer = known.network.layers[name]
    stated = known.operations[name]
    if layer.value is not None:
        given: Ranges = {
            Argument(each.key): ANYTHING if each.delay else values[each.name] for each in layer.reads
        }
        tree = simplified(layer.value)
        _warn(undefined(tree, given), layer.span, known)
        found = range_of(tree, given)
    else:
        found = ANYTHING if len(stated) < len(layer.operations) else _sum(arriving, values)
    for operation, span in stated:
        if isinstance(operation, Compute):
            found_in = _of_function(operation.function, operation.numbers, found)
            _warn(found_in, span, known, f"in `{operation.function.name}`, ")
        found = _after(operation, found)
    return found


def _after(operation: Operation, given: Range) -> Range:
    match operation:
        case Compute(function, numbers):
            return range_of(_with(function.value, numbers), {Argument(function.first): given})
        case Activate(activation):
            return _OF_ACTIVATIONS.get(activation.name, ANYTHING)
        case Dropout():
            low, high = min(given.low, 0.0), max(given.high, 0.0)
            return Range(low * math.inf if low else 0.0, high * math.inf if high else 0.0, given.held | {0.0})
        case Scale(factor):
            return range_of(apply("*", factor, Argument("x")), {Argument("x"): given})
        case Prelu() if given.low >= 0:
            return given
        case _:
            return ANYTHING


def _sum(arriving: list[Connection], values: dict[str, Range]) -> Range:
    """The values of a sum of what several connections bring: of which sign they are."""
    brought = [
        _brought(connection, ANYTHING if connection.delay else values[connection.source])
        for connection in arriving
    ]
    if not brought:
        return ANYTHING
    if len(brought) == 1:
        return brought[0]
    low, high = sum(each.low for each in brought), sum(each.high for each in brought)
    return Range(low, high)


def _brought(connection: Connection, source: Range) -> Range:
    """What a connection without weights brings: a pool of its source, or a sum without bounds."""
    if connection.weight is not None:
        return ANYTHING
    pooling = connection.pooling
    some = bool(connection.edges.count) and degrees(connection.edges, "target").low > 0
    nothing = Range(0.0, 0.0, frozenset([0.0]))
    if pooling is None:
        many = degrees(connection.edges, "target").high > 1
        low = source.low if not many else -math.inf if source.low < 0 else source.low
        high = source.high if not many else math.inf if source.high > 0 else source.high
        found = Range(low, high, source.held & {0.0} if many else source.held)
        return found if some else found.or_else(nothing)
    match pooling.reduction.name:
        case "mean" | "max" | "min":
            found = source
        case "product" if source.low >= 0:
            found = Range(0.0, math.inf, source.held & {0.0})
        case _:
            return ANYTHING
    return found if some else found.or_else(Range(pooling.empty, pooling.empty, frozenset([pooling.empty])))
