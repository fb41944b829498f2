"""How weights start: drawn from a distribution, given by an expression, or loaded from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.walk import call_parts, name_of, written
from ...dsl.words import counted, suggest
from .. import codes
from ..catalogue.initialisers import DISTRIBUTIONS
from ..edges.edge_set import Full
from ..graph.model import Drawn, Given, Start
from ..names.arguments import bind
from ..names.file_arguments import file_name
from .edge_values import EdgeValues


def drawn(values: EdgeValues, node: syntax.Expression) -> Start:
    """`weight ~ distribution(...)`."""
    report = values.sets.names.report
    name = name_of(report, node)
    if name not in DISTRIBUTIONS:
        guess = suggest(name, DISTRIBUTIONS)
        help = "distributions are " + ", ".join(f"`{d}`" for d in DISTRIBUTIONS)
        if guess:
            help = f"did you mean `{guess}`?"
        elif not isinstance(node, syntax.Call) or name in ("load", "column"):
            help = f"a weight that is given is written `weight = {written(report, node)}`"
        raise fail(report, codes.UNKNOWN_DISTRIBUTION, node.span, name=name, help=help)
    entry = DISTRIBUTIONS[name]
    bound = bind(report, node, entry.parameters)
    arguments: list[float | NDArray[np.float64]] = []
    for parameter in entry.parameters:
        if parameter not in bound:
            raise fail(report, codes.MISSING_ARGUMENT, node.span, name=name, argument=parameter)
        value = _by_entry(values, values.per_edge(bound[parameter].value), bound[parameter].value)
        if parameter in entry.nonnegative and np.any(np.asarray(value) < 0):
            raise fail(
                report,
                codes.TOO_SMALL,
                bound[parameter].span,
                what=f"`{parameter}`",
                value=f"{np.min(value):g}",
                least=0,
            )
        arguments.append(value)
    if entry.ordered and np.any(np.less(arguments[1], arguments[0])):
        low, high = entry.parameters
        width = np.min(np.subtract(arguments[1], arguments[0]))
        what = f"`{high}` less `{low}`"
        raise fail(report, codes.TOO_SMALL, node.span, what=what, value=f"{width:g}", least=0)
    return Drawn(name, tuple(arguments))


def given(values: EdgeValues, node: syntax.Expression, sign: float | NDArray[np.float64] | None) -> Start:
    """`weight = expression`, `weight = load("w.npy")` or `weight = column("w")`."""
    parts = call_parts(node)
    if parts and parts[0] == "load":
        loaded = _loaded(values, node)
        if len(loaded) != values.edges.count:
            return Given(loaded)
        return _given(values, loaded, node, sign)
    if parts and parts[0] in DISTRIBUTIONS:
        help = f"a weight that is drawn is written `weight ~ {written(values.sets.names.report, node)}`"
        raise fail(values.sets.names.report, codes.UNKNOWN_FUNCTION, node.span, name=parts[0], help=help)
    return _given(values, values.per_edge(node), node, sign)


def _given(
    values: EdgeValues,
    value: float | NDArray[Any],
    node: syntax.Expression,
    sign: float | NDArray[np.float64] | None,
) -> Given:
    """Start values of edges as those of a parameter."""
    report = values.sets.names.report
    if sign is not None and np.any(wrong := np.atleast_1d(value * sign) < 0):
        first = np.broadcast_to(value, len(wrong))[np.argmax(wrong)]
        raise fail(report, codes.AGAINST_SIGN, node.span, value=f"{first:g}")
    value = _by_entry(values, value, node)
    return Given(values.float32(value, node) if isinstance(value, np.ndarray) else value)


def _by_entry(
    values: EdgeValues, value: float | NDArray[Any], node: syntax.Expression
) -> float | NDArray[Any]:
    """What edges have as what the entries of their parameter have."""
    if values.index is None or not isinstance(value, np.ndarray):
        return value
    entries = np.empty(values.entries or 0, value.dtype)
    entries[values.index] = value
    differs = entries[values.index] != value
    if np.any(differs):
        at = int(np.argmax(differs))
        raise fail(
            values.sets.names.report,
            codes.SHARED_STARTS,
            node.span,
            first=f"{value[at]:g}",
            second=f"{entries[values.index[at]]:g}",
        )
    return entries


def _loaded(values: EdgeValues, node: syntax.Expression) -> NDArray[np.float32]:
    report = values.sets.names.report
    name = file_name(node, bind(report, node, ("file",)), values.sets.names, values.variables)
    weights = values.sets.files.finite(name, node.span)
    n_source, n_target = values.sides.source.units, values.sides.target.units
    matrix = isinstance(values.edges, Full) and weights.shape == (n_target, n_source)
    if values.entries is not None and weights.shape == (values.entries,):
        return values.float32(weights, node)
    if weights.shape != (values.edges.count,) and not matrix:
        fields = {"name": name, "shape": list(weights.shape), "edges": counted(values.edges.count, "edge")}
        help = _about_shape(values, weights.shape, name)
        raise fail(report, codes.WEIGHT_SHAPE, node.span, help=help, **fields)
    return values.float32(weights.reshape(-1), node)


def _about_shape(values: EdgeValues, shape: tuple[int, ...], name: str) -> str:
    """What to do with weights of another shape than the edges have, in Python."""
    n_source, n_target = values.sides.source.units, values.sides.target.units
    turned = ".T" if shape == (n_source, n_target) != (n_target, n_source) else ""
    if turned and isinstance(values.edges, Full):
        return f'this is (sources, targets): `numpy.save("{name}", weights.T)` makes it (targets, sources)'
    if shape in ((n_target, n_source), (n_source, n_target)):
        return (
            "of a (targets, sources) matrix, take the entries at the edges: "
            f"`weights{turned}[mask]`, where `mask` has True at each edge"
        )
    return (
        "there is one weight for each edge, ordered by target, then by source, which is the order of "
        "`matrix[mask]` for a (targets, sources) matrix; `spec-compile edges` prints the edges"
    )
