"""Edges restated from rules, so that no list of them has to be stored."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Edges(NamedTuple):
    """Source and target unit of every edge, sorted by (target, source), and how many units there are."""

    source: np.ndarray
    target: np.ndarray
    sources: int
    targets: int


def every_pair(sources: int, targets: int) -> Edges:
    """All pairs of units."""
    return Edges(
        np.tile(np.arange(sources), targets), np.repeat(np.arange(targets), sources), sources, targets
    )


def same_index(units: int) -> Edges:
    """Each unit with its own counterpart."""
    return Edges(np.arange(units), np.arange(units), units, units)


def shifted_edges(
    source_shape: int | tuple[int, ...],
    target_shape: int | tuple[int, ...],
    offsets: Iterable[int | tuple[int, ...]],
    strides: int | tuple[int, ...] = 1,
    wrap: bool = False,
) -> Edges:
    """The sources at `stride * target + offset` along every dimension, for each of the offsets.

    Those beyond an end are left out or, with `wrap`, counted from the other end.
    """
    from_shape, to_shape = np.atleast_1d(source_shape), np.atleast_1d(target_shape)
    sources, targets = math.prod(from_shape.tolist()), math.prod(to_shape.tolist())
    shifts = np.reshape(list(offsets), (-1, len(to_shape)))
    place = np.stack(np.unravel_index(np.arange(targets), to_shape), axis=-1)
    place = place[:, None, :] * np.atleast_1d(strides) + shifts  # (targets, offsets, dimensions)
    if wrap:
        place %= from_shape
    inside = ((place >= 0) & (place < from_shape)).all(axis=-1)
    source = np.atleast_1d(np.ravel_multi_index(tuple(place[inside].T), from_shape))
    target = np.nonzero(inside)[0]
    order = np.argsort(target * sources + source, kind="stable")
    return Edges(source[order], target[order], sources, targets)


def crossed_edges(*factors: Edges) -> Edges:
    """The product of edges: units are numbered by their unit in the first factor, then in the second, ..."""
    source, target, sources, targets = factors[0]
    for factor in factors[1:]:
        source = (source[:, None] * factor.sources + factor.source).ravel()
        target = (target[:, None] * factor.targets + factor.target).ravel()
        sources, targets = sources * factor.sources, targets * factor.targets
        order = np.argsort(target * sources + source, kind="stable")
        source, target = source[order], target[order]
    return Edges(source, target, sources, targets)


def ends_of(connection: str, edges: Edges) -> dict[str, np.ndarray]:
    """Both ends of a connection's edges by name, as 32-bit integers where they fit."""
    small = max(edges.sources, edges.targets) < 2**31
    dtype = np.int32 if small else np.int64
    return {
        f"{connection}.source": edges.source.astype(dtype),
        f"{connection}.target": edges.target.astype(dtype),
    }
