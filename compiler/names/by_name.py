"""Units that go by their names: the edges of a set between other axes than its own, which share names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.words import counted
from .. import codes
from ..data.axis import Axis
from ..edges.edge_set import EdgeSet, Full, Indices, from_keys, pair_keys
from .sides import Side, named_first


def goes_by_name(own: Axis | None, wanted: Axis | None) -> bool:
    """Whether units of one dimension are found by name along another: both have names, and not the same."""
    if own is None or wanted is None or own.names is None or wanted.names is None:
        return False
    return own.names != wanted.names


def places(axis: Axis, among: Axis) -> Indices:
    """The unit of `among` that bears the name of each unit of an axis, int64 (units,); -1 where none does."""
    positions = among.positions
    return np.array([positions.get(name, -1) for name in axis.names or ()], np.int64)


def refuse_strays(axis: Axis, own: Axis, report: Report, span: Span) -> None:
    """Raise `Failed` if each of two axes has names that the other one lacks, `own` being that of a set."""
    lacking = [name for name in axis.names or () if name not in own.positions]
    if lacking and axis.size - len(lacking) < own.size:
        raise _differ(axis, own, lacking, report, span)


def no_common_name(axis: Axis, own: Axis, report: Report, span: Span) -> Failed:
    """Record that two axes that must go by name share none, and return the exception to raise."""
    return _differ(axis, own, axis.names or (), report, span)


def _differ(axis: Axis, own: Axis, lacking: Sequence[str], report: Report, span: Span) -> Failed:
    near = own.nearest(lacking[0])
    return fail(
        report,
        codes.NAMES_DIFFER,
        span,
        axis=axis.name,
        own=own.name,
        lacking=counted(len(lacking), "unit"),
        first=named_first(lacking),
        help=f'did you mean `{near}` by "{lacking[0][:60]}"?' if near else (),
    )


@record(eq=False)
class Placed:
    """A set of edges between other sides, and which edge of the set each of its edges is, int64 (edges,)."""

    edges: EdgeSet
    origin: Indices


def is_placed(sides: tuple[Side, Side], wanted: tuple[Side, Side]) -> bool:
    """Whether a set between some sides has to go by name between others."""
    return any(
        goes_by_name(own.axis(at), other.axis(at))
        for own, other in zip(sides, wanted, strict=True)
        if len(own.shape) == len(other.shape)
        for at in range(len(own.shape))
    )


def between(edges: EdgeSet, sides: tuple[Side, Side], wanted: tuple[Side, Side]) -> EdgeSet:
    """The edges of a set whose two ends other sides have too, by name. Raises `TooManyEdges`."""
    if isinstance(edges, Full) and all(
        _has_all(own, other) for own, other in zip(sides, wanted, strict=True)
    ):
        return Full(wanted[0].shape, wanted[1].shape)
    return placed(edges, sides, wanted).edges


def placed(edges: EdgeSet, sides: tuple[Side, Side], wanted: tuple[Side, Side]) -> Placed:
    """As `between`, with the origin of every edge. Raises `TooManyEdges`."""
    units: list[Indices] = []
    kept: NDArray[np.bool_] = np.ones(edges.count, bool)
    for own, other, end in zip(sides, wanted, edges.edges(), strict=True):
        unit, found = _moved(end, own, other)
        units.append(unit)
        kept &= found
    origin = np.flatnonzero(kept)
    shapes = wanted[0].shape, wanted[1].shape
    keys = pair_keys(units[0][origin], units[1][origin], *shapes)
    order = np.argsort(keys, kind="stable")
    return Placed(from_keys(keys[order], *shapes), origin[order])


def _has_all(own: Side, wanted: Side) -> bool:
    """Whether a side has every unit of another."""
    return all(
        not goes_by_name(axis := own.axis(at), other := wanted.axis(at))
        or axis is None
        or other is None
        or not (places(other, axis) < 0).any()
        for at in range(len(own.shape))
    )


def _moved(units: Indices, own: Side, wanted: Side) -> tuple[Indices, NDArray[np.bool_]]:
    """The units of another side that units are there, and which of them it has; the sides have one rank."""
    moved, found = np.zeros(len(units), np.int64), np.ones(len(units), bool)
    stride = prod(own.shape)
    for at, (size, wide) in enumerate(zip(own.shape, wanted.shape, strict=True)):
        stride //= max(size, 1)
        index = units // stride % size
        axis, other = own.axis(at), wanted.axis(at)
        if axis is not None and other is not None and goes_by_name(axis, other):
            index = places(axis, other)[index]
            found &= index >= 0
        moved = moved * wide + index
    return moved, found
