"""Parameters that training cannot move: no gradient comes to them, or they start where it is 0 and stay."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...dsl.diagnostics import Report
from ...dsl.records import record
from ...dsl.source import Span
from .. import codes
from ..functions.derive import derivative
from ..functions.evaluate import evaluate
from ..functions.simplify import simplified
from ..functions.tree import ZERO, Tree, substituted
from ..graph.model import Bias, Compute, Connection, ExpressionTerm, Given, Normalise, Prelu
from .known import Known
from .network import order


@record
class _Wall:
    """A place that no gradient passes on its way to some layers and connections, and why."""

    span: Span
    reason: str
    help: str
    layers: tuple[str, ...] = ()
    connection: str = ""


@record
class _Way:
    """The way of the gradient back through a network: the parameters that it comes to, and what stops it.

    `onto` has the layers that it comes from to each: those that connections lead to, and expressions.
    """

    known: Known
    reached: set[str]
    walls: list[_Wall]
    into: dict[str, list[Connection]]
    onto: dict[str, set[str]]


def warn_of_untrained(known: Known) -> None:
    """Warn of trained parameters that no gradient comes to, and of weights that start where theirs is 0."""
    way = _Way(known, set(), [], {}, {})
    for connection in known.network.connections.values():
        way.into.setdefault(connection.target, []).append(connection)
        way.onto.setdefault(connection.source, set()).add(connection.target)
        _warn_of_stuck(connection, known.report)
    for layer in known.network.layers.values():
        if layer.value is not None:
            for read in layer.reads:
                if derivative(layer.value, read.key) == ZERO:
                    way.walls.append(_constant_in(read.name, read.span))
                else:
                    way.onto.setdefault(read.name, set()).add(layer.name)
    _go_back(way)
    told = {*way.reached}
    for wall in way.walls:
        behind = [name for name in _behind(wall, way) if name not in told]
        if behind:
            told |= {*behind}
            named = ", ".join(f"`{name}`" for name in behind[:3])
            named += f" and {len(behind) - 3} more" if len(behind) > 3 else ""
            known.report.add(
                codes.NO_GRADIENT, wall.span, help=wall.help, parameters=named, reason=wall.reason
            )


def _slope(function: Compute) -> Tree:
    """The derivative of a function with its numbers."""
    return simplified(substituted(function.function.slope, dict(function.numbers)))


# ------------------------------------------------------------------------------------- no gradient at all


def _go_back(way: _Way) -> None:
    """Follow the gradient from the loss, or from the outputs where a spec has none, to what it comes to."""
    network = way.known.network
    arrives = {*_compared(way)} if network.losses else {*network.outputs}
    for term in network.penalties:
        weighted = network.connections[term.connection]
        way.reached.update(_weights(weighted))
    passed, waiting, came = set[str](), [*reversed(order(network))], -1
    while came < len(passed):  # what is read in later steps alone may be reached only in the next turn
        came, looked_at, waiting = len(passed), waiting, list[str]()
        for name in looked_at:
            if name not in arrives and passed.isdisjoint(way.onto.get(name, ())):
                waiting.append(name)
            elif _passes(name, way):
                passed.add(name)


def _compared(way: _Way) -> Iterator[str]:
    """The layers that the terms of the loss have a derivative by."""
    for term in way.known.network.losses:
        for name in term.layers:
            if not isinstance(term, ExpressionTerm) or derivative(term.value, name) != ZERO:
                yield name
                continue
            way.walls.append(_constant_in(name, term.span))


def _constant_in(name: str, span: Span) -> _Wall:
    """An expression that does not move with a layer that it reads."""
    reason = f"this has the derivative 0 by `{name}` everywhere"
    return _Wall(span, reason, "what is not to be trained says so itself: `with trainable = false`", (name,))


def _passes(name: str, way: _Way) -> bool:
    """Whether the gradient passes a layer that it comes to, up to the sum of what arrives there."""
    network, stated = way.known.network, dict(_spans(name, way.known))
    for operation in reversed(network.layers[name].operations):
        if isinstance(operation, Compute) and _slope(operation) == ZERO:
            way.walls.append(_flat(operation, stated[id(operation)], name, ""))
            return False
        way.reached.update(_parameters(operation, name))
    for connection in way.into.get(name, []):
        weight = connection.weight
        if weight is not None and weight.through is not None and _slope(weight.through) == ZERO:
            way.walls.append(_flat(weight.through, connection.span, "", connection.name))
        else:
            way.reached.update(_weights(connection))
    return True


def _spans(name: str, known: Known) -> Iterator[tuple[int, Span]]:
    return ((id(operation), span) for operation, span in known.operations[name])


def _flat(function: Compute, span: Span, layer: str, connection: str) -> _Wall:
    name = function.function.name
    reason = f"`{name}` has the derivative 0 everywhere"
    help = f"`function {name}(...) = ... with derivative = ...` states one to train by"
    return _Wall(span, reason, help, (layer,) if layer else (), connection)


def _behind(wall: _Wall, way: _Way) -> Iterator[str]:
    """The trained parameters that a gradient would come to if it passed."""
    network = way.known.network
    if wall.connection:
        yield from _weights(network.connections[wall.connection])
    pending, seen = [*wall.layers], set[str]()
    while pending:
        name = pending.pop(0)
        if name in seen or name not in network.layers:
            continue
        seen.add(name)
        for connection in way.into.get(name, []):
            yield from _weights(connection)
            pending.append(connection.source)
        pending += [read.name for read in network.layers[name].reads]
        for operation in network.layers[name].operations:
            yield from _parameters(operation, name)


def _weights(connection: Connection) -> Iterator[str]:
    """The trained parameter of a connection, if it has one."""
    weight = connection.weight
    if weight is not None and weight.trainable:
        yield weight.share.parameter if weight.share else f"{connection.name}.weight"


def _parameters(operation: object, layer: str) -> Iterator[str]:
    """The parameters of an operation, by their names or that of what holds them."""
    match operation:
        case Bias():
            yield operation.share or f"{layer}.bias"
        case Normalise():
            yield f"{layer}.{operation.norm.name}"
        case Prelu():
            yield f"{layer}.prelu.weight"
        case _:
            return


# -------------------------------------------------------------------------------- weights that start stuck


def _warn_of_stuck(connection: Connection, report: Report) -> None:
    """Warn of given weights that start where the derivative of what they go through is 0."""
    weight = connection.weight
    if (
        weight is None
        or weight.through is None
        or not weight.trainable
        or not isinstance(weight.start, Given)
    ):
        return
    slope = _slope(weight.through)
    start = np.atleast_1d(np.asarray(weight.start.value, np.float64))
    slopes = np.broadcast_to(evaluate(slope, {weight.through.function.first: start}), start.shape)
    stuck = start[slopes == 0]
    if slope == ZERO or not len(stuck):
        return
    name = weight.through.function.name
    many = (
        "all weights start" if len(stuck) == len(start) else f"{len(stuck):,} of {len(start):,} weights start"
    )
    by_sign = "`sign` takes the absolute value: start from others, such as `weight = 0.1`"
    report.add(
        codes.STUCK,
        connection.span,
        what=many,
        value=f"{stuck[0]:g}",
        function=name,
        help=by_sign if name == "abs" else "start from others, where the function rises or falls",
    )
